/* Producer state of a log: from batch headers, to and from snapshot files. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#include <stdio.h>

#define SNAPSHOT_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define MARKER_BYTES_MAX   4096 /* a marker is one record of a few bytes */

/* Control record: key (version int16, type int16), value (version int16, coordinator epoch int32). */
static bool read_marker(const struct record_batch *batch, int32_t *coordinator_epoch)
{
    struct record_iterator it;
    struct record record;
    enum err err = record_iterator_init(&it, batch, MARKER_BYTES_MAX);
    bool is_marker = !err && record_iterator_next(&it, &record);
    if (is_marker) {
        struct reader key = reader_make(record.key), value = reader_make(record.value);
        (void)reader_i16(&key);
        int16_t type = reader_i16(&key);
        (void)reader_i16(&value);
        *coordinator_epoch = reader_i32(&value);
        is_marker = reader_ok(&key) && reader_ok(&value) && (type == 0 || type == 1); /* abort, commit */
    }
    record_iterator_deinit(&it);
    return is_marker;
}

bool plog_producer_event(const struct record_batch *batch, struct producer_event *event)
{
    if (batch->producer_id < 0 || batch->producer_epoch < 0) return false;
    *event = (struct producer_event){.producer_id = batch->producer_id,
                                     .producer_epoch = batch->producer_epoch,
                                     .first_sequence = batch->base_sequence,
                                     .offset_delta = batch->last_offset_delta,
                                     .base_offset = batch->base_offset,
                                     .timestamp_ms = batch->max_timestamp,
                                     .is_transactional = record_batch_is_transactional(batch),
                                     .is_marker = record_batch_is_control(batch)};
    if (event->is_marker) return read_marker(batch, &event->coordinator_epoch);
    return batch->base_sequence >= 0;
}

/* ---- snapshots ----------------------------------------------------------------------------------------------------- */

void plog_note_snapshot(struct plog *log, int64_t offset)
{
    ASSERT_IMPLIES(log->snapshot_count > 0, log->snapshots[log->snapshot_count - 1] < offset);
    if (log->snapshot_count == log->snapshot_capacity) {
        log->snapshot_capacity = log->snapshot_capacity ? 2 * log->snapshot_capacity : 2;
        log->snapshots = mem_realloc(log->snapshots, log->snapshot_capacity, sizeof *log->snapshots);
    }
    log->snapshots[log->snapshot_count++] = offset;
}

static enum err write_snapshot_file(struct plog *log, const char *path)
{
    struct env *env = log->shared->env;
    struct env_file *file = NULL;
    struct writer w;
    writer_init(&w, 64);
    producer_snapshot_write(&log->producers, &w);
    struct slice bytes = writer_slice(&w);
    enum err err = env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (!err) err = env_pwritev(env, file, &bytes, 1, 0);
    if (!err) {
        file_set_add_file(&log->unsynced, file);
        file_set_add_directory(&log->unsynced, log->directory);
    }
    env_file_unref(file);
    writer_deinit(&w);
    return err;
}

enum err plog_write_snapshot(struct plog *log)
{
    int64_t end = plog_end(log);
    if (log->snapshot_count > 0 && log->snapshots[log->snapshot_count - 1] == end) return ERR_OK;
    char *path = segment_path(log->directory, end, ".snapshot");
    enum err err = write_snapshot_file(log, path);
    if (!err) plog_note_snapshot(log, end);
    if (err == ERR_NO_SPACE) {
        /* Recovery then starts from an older one. */
        enum err unlinked = env_unlink(log->shared->env, path);
        err = unlinked == ERR_NOT_FOUND ? ERR_OK : unlinked;
    }
    mem_free(path);
    return err;
}

/* The newest snapshot at or below the log end that is whole; *from is where the log goes on from it. */
static enum err load_snapshot_wait(struct plog *log, int64_t now_ms, int64_t *from)
{
    for (uint32_t i = log->snapshot_count; i > 0; i--) {
        int64_t offset = log->snapshots[i - 1];
        if (offset > plog_end(log) || offset < log->segments[0]->base_offset) continue;
        char name[40];
        struct buf *bytes = NULL;
        (void)snprintf(name, sizeof name, "%020lld.snapshot", (long long)offset);
        enum err err = file_read_wait(log->shared->env, log->directory, name, SNAPSHOT_BYTES_MAX, &bytes);
        if (err == ERR_IO) return err;
        bool is_good = !err && producer_snapshot_parse(&log->producers, buf_slice(bytes), now_ms);
        buf_unref(bytes);
        if (is_good) {
            *from = offset;
            return ERR_OK;
        }
        env_mark(log->shared->env, "log: a producer snapshot is torn");
    }
    producer_state_clear(&log->producers);
    *from = log->segments[0]->base_offset;
    return ERR_OK;
}

/* ---- from the batches ---------------------------------------------------------------------------------------------- */

static enum err replay_batch(struct plog *log, struct segment_cursor *cursor, int64_t position, struct record_batch *head, size_t size,
                             int64_t now_ms)
{
    struct producer_event event;
    if (record_batch_is_control(head) && size <= MARKER_BYTES_MAX) {
        struct slice bytes = SLICE_NULL;
        enum err err = segment_cursor_bytes(cursor, position, size, &bytes);
        if (!err) err = record_batch_parse(bytes, head);
        if (err) return err;
    }
    if (plog_producer_event(head, &event)) producer_state_append(&log->producers, &event, now_ms);
    return ERR_OK;
}

static enum err replay_segment(struct plog *log, struct segment *segment, int64_t from, int64_t now_ms)
{
    struct segment_cursor cursor;
    segment_cursor_init(&cursor, segment, SEGMENT_CHUNK_SCAN, true);
    enum err err = ERR_OK;
    for (int64_t position = 0; !err && position < segment->size;) {
        struct record_batch head;
        size_t size = 0;
        err = segment_cursor_head(&cursor, position, &head, &size);
        if (!err && head.base_offset >= from) err = replay_batch(log, &cursor, position, &head, size, now_ms);
        position += (int64_t)size;
    }
    segment_cursor_deinit(&cursor);
    return err;
}

enum err plog_rebuild_producers_wait(struct plog *log)
{
    int64_t now_ms = env_wall_ms(log->shared->env), from = 0;
    enum err err = load_snapshot_wait(log, now_ms, &from);
    for (uint32_t i = plog_segment_at(log, from); !err && i < log->segment_count; i++)
        err = replay_segment(log, log->segments[i], from, now_ms);
    return err;
}

const struct producer *plog_next_producer(const struct plog *log, uint32_t *at) { return map_next(&log->producers.producers, at); }

bool plog_knows_producer(const struct plog *log, int64_t producer_id) { return producer_state_get(&log->producers, producer_id) != NULL; }
