/* Offsets by time. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"

/* What one batch may expand to when it is searched. One that expands further is answered with its first offset. */
#define DECOMPRESSED_MAX ((size_t)128 * 1024 * 1024)
#define WANT_BYTES       ((size_t)128 * 1024)

/* The first record of the batch with a timestamp of at least `timestamp_ms`; false when its header promised too much. */
static bool find_in_batch(const struct record_batch *batch, int64_t timestamp_ms, struct plog_found_offset *out)
{
    struct record_iterator it;
    struct record record;
    bool is_found = false;
    enum err err = record_iterator_init(&it, batch, DECOMPRESSED_MAX);
    while (!err && !is_found && record_iterator_next(&it, &record)) {
        is_found = record.timestamp >= timestamp_ms;
        out->offset = record.offset;
        out->timestamp_ms = record.timestamp;
    }
    record_iterator_deinit(&it);
    if (err) {
        out->offset = batch->base_offset;
        out->timestamp_ms = batch->max_timestamp;
        is_found = true;
    }
    if (is_found) out->leader_epoch = batch->partition_leader_epoch;
    return is_found;
}

/* Reads the batch at `position` whole. */
static enum err search_batch(struct segment_cursor *cursor, int64_t position, size_t size, int64_t timestamp_ms,
                             struct plog_found_offset *out, bool *is_found)
{
    struct segment *segment = cursor->segment;
    struct buf *buf = buf_create(size);
    struct record_batch batch;
    enum err err = env_pread_now(segment->shared->env, segment->file, buf->data, size, position, &buf->size);
    if (!err && record_batch_parse(buf_slice(buf), &batch)) err = ERR_CORRUPT;
    if (!err) *is_found = find_in_batch(&batch, timestamp_ms, out);
    if (err == ERR_AGAIN) out->want = (struct plog_want){.file = env_file_ref(segment->file), .position = position, .size = size};
    buf_unref(buf);
    return err;
}

/* From the batch that contains `offset` on, in this segment. ERR_NOT_FOUND: none. */
static enum err search_segment(struct segment *segment, int64_t offset, int64_t timestamp_ms, struct plog_found_offset *out)
{
    struct segment_cursor cursor;
    struct record_batch head;
    size_t size = 0;
    int64_t position = 0;
    bool is_found = false;
    segment_cursor_init(&cursor, segment, SEGMENT_CHUNK_LOOKUP, false);
    cursor.want = &out->want;
    cursor.want_size = WANT_BYTES;
    enum err err = segment_cursor_seek(&cursor, offset, &position, &head, &size);
    while (!err && !is_found) {
        if (head.max_timestamp >= timestamp_ms) err = search_batch(&cursor, position, size, timestamp_ms, out, &is_found);
        if (err || is_found) break;
        position += (int64_t)size;
        err = position < segment->size ? segment_cursor_head(&cursor, position, &head, &size) : ERR_NOT_FOUND;
    }
    segment_cursor_deinit(&cursor);
    return err;
}

static void not_found(struct plog_found_offset *out)
{
    *out = (struct plog_found_offset){.offset = -1, .timestamp_ms = -1, .leader_epoch = -1};
}

/* NOT_FOUND is an answer; a failing disk is not. */
static enum err finish(struct plog *log, enum err err, struct plog_found_offset *out)
{
    struct plog_want want = out->want;
    if (err) not_found(out);
    out->want = want;
    if (err == ERR_NOT_FOUND) return ERR_OK;
    return err == ERR_IO ? plog_check(log, err) : err;
}

enum err plog_find_timestamp(struct plog *log, int64_t timestamp_ms, int64_t limit, struct plog_found_offset *out)
{
    enum err err = ERR_NOT_FOUND;
    not_found(out);
    if (log->is_failed) return ERR_IO;
    for (uint32_t i = 0; err == ERR_NOT_FOUND && i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->size == 0 || segment->max_timestamp_ms < timestamp_ms || segment->next_offset <= log->start) continue;
        err = segment_load_index(segment, &out->want);
        if (err) break;
        int64_t from = segment->base_offset + segment_index_floor_time(&segment->index, timestamp_ms);
        err = search_segment(segment, max_i64(from, log->start), timestamp_ms, out);
    }
    if (!err && (out->offset < log->start || out->offset >= limit)) err = ERR_NOT_FOUND;
    return finish(log, err, out);
}

enum err plog_find_max_timestamp(struct plog *log, struct plog_found_offset *out)
{
    struct segment *best = NULL;
    not_found(out);
    if (log->is_failed) return ERR_IO;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->max_timestamp_ms >= 0 && (!best || segment->max_timestamp_ms > best->max_timestamp_ms)) best = segment;
    }
    if (!best) return ERR_OK;
    enum err err = segment_load_index(best, &out->want);
    if (!err) err = search_segment(best, best->max_timestamp_last, best->max_timestamp_ms, out);
    return finish(log, err, out);
}
