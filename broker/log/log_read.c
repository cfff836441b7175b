/* Reading: from the tail's buffers, or as a range of a segment file, or as a copy of such a range. Never waits. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

/* Up to here a read from memory, in one writev with the response header, beats sendfile's extra call. */
#define SMALL_READ_MAX ((int64_t)32 * 1024)
/* Asking the disk: not less than this, it costs the same. */
#define WANT_BYTES_MIN ((int64_t)128 * 1024)

void plog_read_release(struct plog_read *read)
{
    for (size_t i = 0; i < read->piece_count; i++) {
        buf_unref(read->pieces[i].buf);
        env_file_unref(read->pieces[i].file);
    }
    env_file_unref(read->want.file);
    read->want.file = NULL;
    read->piece_count = 0;
    read->bytes = 0;
}

/* ---- from the tail ------------------------------------------------------------------------------------------------- */

/* The batches of the tail that one read takes. */
struct run {
    const struct tail_entry *first, *end; /* end: the first one not taken, or NULL */
    int64_t bytes, next_offset;
    size_t pieces; /* batches side by side in one buffer are one piece */
    bool is_before_zstd;
};

static bool is_side_by_side(const struct tail_entry *entry, const struct tail_entry *next)
{
    return entry && entry->buf == next->buf && entry->at + entry->size == next->at;
}

static bool is_zstd(const struct tail_entry *entry)
{
    struct record_batch head;
    size_t size = 0;
    enum err err = record_batch_parse_header(slice_make(entry->buf->data + entry->at, entry->size), &head, &size);
    ASSERT(err == ERR_OK); /* it was appended */
    return record_batch_compression(&head) == COMPRESSION_ZSTD;
}

static struct run find_run(const struct tail *tail, const struct tail_entry *first, const struct plog_read *read, int64_t limit,
                           int64_t bytes_max)
{
    struct run run = {.first = first, .next_offset = read->offset};
    const struct tail_entry *last = NULL, *entry = first;
    for (; entry && entry->end_offset <= limit; last = entry, entry = tail_next(tail, entry)) {
        bool fits = run.bytes + (int64_t)entry->size <= bytes_max;
        if (!fits && !(run.bytes == 0 && read->is_first_whole)) break;
        run.is_before_zstd = read->refuses_zstd && is_zstd(entry);
        if (run.is_before_zstd) break;
        run.pieces += !is_side_by_side(last, entry);
        run.bytes += (int64_t)entry->size;
        run.next_offset = entry->end_offset;
    }
    run.end = entry;
    return run;
}

static void reference_run(struct plog_read *read, const struct tail *tail, const struct run *run)
{
    const struct tail_entry *last = NULL;
    for (const struct tail_entry *entry = run->first; entry != run->end; last = entry, entry = tail_next(tail, entry)) {
        if (is_side_by_side(last, entry)) {
            read->pieces[read->piece_count - 1].length += (int64_t)entry->size;
            continue;
        }
        read->pieces[read->piece_count++] =
            (struct env_piece){.buf = buf_ref(entry->buf), .position = (int64_t)entry->at, .length = (int64_t)entry->size};
    }
}

/* Many small buffers: one copy costs less than a long vector, here and in the kernel. */
static void copy_run(struct plog_read *read, const struct tail *tail, const struct run *run)
{
    struct buf *buf = buf_create((size_t)run->bytes);
    for (const struct tail_entry *entry = run->first; entry != run->end; entry = tail_next(tail, entry)) {
        memcpy(buf->data + buf->size, entry->buf->data + entry->at, entry->size);
        buf->size += entry->size;
    }
    read->pieces[read->piece_count++] = env_piece_buf(buf);
}

/* Everything the tail has for this read; false when it does not reach back to the offset, or has more than a small read. */
static bool read_tail(struct plog *log, struct plog_read *read, int64_t limit, bool in_memory)
{
    const struct tail_entry *first = tail_find(&log->tail, read->offset);
    if (!first) return false;
    struct run run = find_run(&log->tail, first, read, limit, in_memory ? read->bytes_max : min_i64(read->bytes_max, SMALL_READ_MAX + 1));
    bool is_all = !run.end || run.end->end_offset > limit || run.is_before_zstd || read->bytes_max <= SMALL_READ_MAX;
    if (!in_memory && (run.bytes > SMALL_READ_MAX || !is_all)) return false;
    read->is_before_zstd = run.is_before_zstd;
    if (run.bytes == 0) return true;
    if (run.pieces <= PLOG_READ_PIECES_MAX)
        reference_run(read, &log->tail, &run);
    else
        copy_run(read, &log->tail, &run);
    read->bytes = run.bytes;
    read->next_offset = run.next_offset;
    return true;
}

/* ---- from a file --------------------------------------------------------------------------------------------------- */

struct range {
    int64_t from, to; /* positions */
    int64_t next_offset;
};

/* The end of the whole batches from range->from on that keep to the limits; the first one is already in the range. */
static enum err extend(struct segment_cursor *cursor, struct range *range, int64_t limit, int64_t position_max)
{
    struct segment *segment = cursor->segment;
    if (segment->next_offset <= limit && segment->size <= position_max) {
        range->to = segment->size;
        range->next_offset = segment->next_offset;
        return ERR_OK;
    }
    uint32_t relative = (uint32_t)max_i64(0, min_i64(limit - segment->base_offset, SEGMENT_POSITION_MAX));
    int64_t position =
        max_i64(range->to, segment_index_floor_position(&segment->index, relative, (uint32_t)min_i64(position_max, SEGMENT_POSITION_MAX)));
    while (position < segment->size) {
        struct record_batch head;
        size_t size = 0;
        enum err err = segment_cursor_head(cursor, position, &head, &size);
        if (err) return err;
        if (position + (int64_t)size > position_max || record_batch_last_offset(&head) >= limit) {
            /* An index entry may point to a batch that is itself too much: what lies before it is fine. */
            range->to = position;
            range->next_offset = max_i64(range->next_offset, head.base_offset);
            return ERR_OK;
        }
        position += (int64_t)size;
        range->to = position;
        range->next_offset = record_batch_next_offset(&head);
    }
    return ERR_OK;
}

static enum err find_range(struct segment_cursor *cursor, const struct plog_read *read, int64_t limit, struct range *range)
{
    struct record_batch head;
    size_t size = 0;
    *range = (struct range){.next_offset = read->offset};
    enum err err = segment_cursor_seek(cursor, read->offset, &range->from, &head, &size);
    range->to = range->from;
    if (err) return err;
    if (record_batch_last_offset(&head) >= limit) return ERR_OK;
    if ((int64_t)size > read->bytes_max && !read->is_first_whole) return ERR_OK;
    range->to += (int64_t)size;
    range->next_offset = record_batch_next_offset(&head);
    return extend(cursor, range, limit, max_i64(range->to, range->from + read->bytes_max));
}

/* Looks at the headers that nobody has looked at yet. */
static enum err end_before_zstd(struct segment_cursor *cursor, struct range *range, struct plog_read *read)
{
    struct segment *segment = cursor->segment;
    struct record_batch head;
    size_t size = 0;
    for (int64_t at = max_i64(range->from, segment->plain_end); at < range->to; at += (int64_t)size) {
        enum err err = segment_cursor_head(cursor, at, &head, &size);
        if (err) return err;
        if (segment_note_plain(segment, at, &head, size)) continue;
        range->to = at;
        range->next_offset = max_i64(read->offset, head.base_offset);
        read->is_before_zstd = true;
    }
    return ERR_OK;
}

static enum err copy_range(struct segment_cursor *cursor, const struct range *range, struct plog_read *read)
{
    struct segment *segment = cursor->segment;
    size_t size = (size_t)(range->to - range->from);
    struct buf *buf = buf_create(size);
    enum err err = env_pread_now(segment->shared->env, segment->file, buf->data, size, range->from, &buf->size);
    if (!err && buf->size < size) err = ERR_CORRUPT;
    if (!err) {
        read->pieces[read->piece_count++] = env_piece_buf(buf);
        return ERR_OK;
    }
    buf_unref(buf);
    if (err == ERR_AGAIN) read->want = (struct plog_want){.file = env_file_ref(segment->file), .position = range->from, .size = size};
    return err;
}

/* Is the end of the range in memory too? Its start was just looked at; what lies between was written, or read ahead, with them. */
static enum err hand_out_range(struct segment_cursor *cursor, const struct range *range, struct plog_read *read)
{
    struct segment *segment = cursor->segment;
    uint8_t last = 0;
    size_t got = 0;
    int64_t size = range->to - range->from;
    enum err err = env_pread_now(segment->shared->env, segment->file, &last, 1, range->to - 1, &got);
    if (err == ERR_AGAIN)
        read->want = (struct plog_want){.file = env_file_ref(segment->file), .position = range->from, .size = (size_t)size};
    if (err) return err;
    if (got == 0) return ERR_CORRUPT;
    read->pieces[read->piece_count++] = env_piece_file(env_file_ref(segment->file), range->from, size);
    segment->published = max_i64(segment->published, range->to);
    return ERR_OK;
}

static enum err read_segment(struct segment *segment, struct plog_read *read, int64_t limit, bool in_memory)
{
    struct segment_cursor cursor;
    struct range range;
    enum err err = segment_load_index(segment, &read->want);
    if (err) return err;
    segment_cursor_init(&cursor, segment, SEGMENT_CHUNK_LOOKUP, false);
    cursor.want = &read->want;
    cursor.want_size = (size_t)max_i64(read->bytes_max, WANT_BYTES_MIN);
    err = find_range(&cursor, read, limit, &range);
    if (!err && read->refuses_zstd) err = end_before_zstd(&cursor, &range, read);
    if (!err && range.to > range.from) {
        err = in_memory ? copy_range(&cursor, &range, read) : hand_out_range(&cursor, &range, read);
        if (!err) {
            read->bytes = range.to - range.from;
            read->next_offset = range.next_offset;
        }
    }
    segment_cursor_deinit(&cursor);
    return err;
}

static enum err read_files(struct plog *log, struct plog_read *read, int64_t limit, bool in_memory)
{
    enum err err = ERR_NOT_FOUND;
    /* The offset may lie in a gap that compaction left at the end of a segment: the next one has what follows. */
    for (uint32_t i = plog_segment_at(log, read->offset); err == ERR_NOT_FOUND && i < log->segment_count; i++)
        err = read_segment(log->segments[i], read, limit, in_memory);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err plog_read(struct plog *log, struct plog_read *read)
{
    ASSERT(read->bytes_max >= 0 && read->file_limit >= 0);
    read->piece_count = 0;
    read->bytes = 0;
    read->next_offset = read->offset;
    read->is_before_zstd = false;
    read->want = (struct plog_want){0};
    if (log->is_failed) return ERR_IO;
    if (read->offset < log->start || read->offset > plog_end(log)) return ERR_NOT_FOUND;
    int64_t limit = min_i64(read->limit, plog_end(log));
    if (read->offset >= limit) return ERR_OK;

    bool in_memory = read->is_in_memory || read->offset >= read->file_limit;
    if (!in_memory) limit = min_i64(limit, read->file_limit);
    if (read_tail(log, read, limit, in_memory)) return ERR_OK;
    enum err err = read_files(log, read, limit, in_memory);
    return err == ERR_IO ? plog_check(log, err) : err;
}

/* ---- from the disk ------------------------------------------------------------------------------------------------- */

static void on_disk_read(struct env_op *op, enum err err, int64_t now_us)
{
    struct plog_disk_read *disk_read = CONTAINER_OF(op, struct plog_disk_read, op);
    env_file_unref(disk_read->file);
    mem_free(disk_read->bytes);
    disk_read->file = NULL;
    disk_read->bytes = NULL;
    disk_read->done(disk_read, err, now_us);
}

void plog_fetch_from_disk(struct env *env, struct plog_disk_read *disk_read, struct plog_want *want)
{
    ASSERT(disk_read->done != NULL && want->file != NULL);
    disk_read->op.done = on_disk_read;
    disk_read->file = want->file;
    disk_read->bytes = mem_alloc(want->size);
    want->file = NULL;
    env_pread(env, &disk_read->op, disk_read->file, disk_read->bytes, want->size, want->position, &disk_read->got);
}
