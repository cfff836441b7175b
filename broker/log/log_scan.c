/* What is in the segment files: batch by batch where nothing may be believed, else by the names and the indexes. */
#include "broker/log/recovery_internal.h"
#include "common/assert.h"
#include "common/checked.h"
#include "common/crc32c.h"

/* Places that look like a batch behind the damage, until chance does not explain them any more. */
#define CANDIDATES_MAX 10000

/* ---- scan: one batch ----------------------------------------------------------------------------------------------- */

enum err recovery_check_crc(struct segment_cursor *cursor, int64_t position, size_t size, uint32_t expected, bool *is_good)
{
    uint32_t crc = 0;
    for (size_t at = RECORD_BATCH_CRC_FROM; at < size;) {
        struct slice bytes = SLICE_NULL;
        size_t n = min_size(size - at, cursor->chunk_capacity);
        enum err err = segment_cursor_bytes(cursor, position + (int64_t)at, n, &bytes);
        if (err) return err;
        crc = crc32c_extend(crc, bytes);
        at += n;
    }
    *is_good = crc == expected;
    return ERR_OK;
}

/* A batch with a right CRC that may stand at or after `expected`. */
static enum err check_batch(struct segment_cursor *cursor, int64_t position, int64_t end, int64_t expected, struct record_batch *head,
                            size_t *size, bool *is_good)
{
    *is_good = false;
    enum err err = segment_cursor_head_within(cursor, position, end, head, size);
    if (!err && head->base_offset >= expected) err = recovery_check_crc(cursor, position, *size, head->crc, is_good);
    return err == ERR_CORRUPT || err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Is there a good batch anywhere in [from, end)? Every byte may be its first: the damage may have swallowed lengths. */
static enum err find_batch_behind(struct segment_cursor *cursor, int64_t from, int64_t end, int64_t expected, bool *is_found)
{
    struct record_batch head;
    size_t size = 0;
    *is_found = false;
    for (uint32_t candidates = 0; !*is_found && from + RECORD_BATCH_HEADER <= end;) {
        struct slice window = SLICE_NULL;
        size_t n = (size_t)min_i64(end - from, (int64_t)cursor->chunk_capacity);
        enum err err = segment_cursor_bytes(cursor, from, n, &window);
        if (err) return err == ERR_NOT_FOUND ? ERR_OK : err;
        const uint8_t *magic = memchr(window.p + RECORD_BATCH_MAGIC_AT, RECORD_BATCH_MAGIC, n - RECORD_BATCH_MAGIC_AT);
        if (!magic) {
            from += (int64_t)(n - RECORD_BATCH_MAGIC_AT);
            continue;
        }
        from += magic - window.p - RECORD_BATCH_MAGIC_AT;
        if (from + RECORD_BATCH_HEADER > end) break;
        err = check_batch(cursor, from, end, expected, &head, &size, is_found);
        if (err) return err;
        if (size > 0 && ++candidates > CANDIDATES_MAX) *is_found = true;
        from++;
    }
    return ERR_OK;
}

/* ---- scan: segments ------------------------------------------------------------------------------------------------ */

static bool has_order(const struct recovery *recovery, const struct record_batch *head, int64_t expected, bool follows_epochs)
{
    const struct plog *log = recovery->log;
    if (follows_epochs && head->partition_leader_epoch < epoch_cache_last(&log->epochs)) return false;
    return log->config.is_compacted || head->base_offset == expected;
}

/* Reads the whole segment; on return segment->size is where its good batches end. */
static enum err scan_segment(struct recovery *recovery, struct segment *segment, bool follows_epochs, struct damage *damage)
{
    struct plog *log = recovery->log;
    struct segment_cursor cursor;
    int64_t file_size = segment->size;
    enum err err = ERR_OK;
    segment_cursor_init(&cursor, segment, SEGMENT_CHUNK_SCAN, true);
    segment->size = 0;
    segment_index_deinit(&segment->index);
    segment->is_index_loaded = true;
    while (!err && segment->size < file_size) {
        struct record_batch head;
        size_t size = 0;
        bool is_good = false;
        err = check_batch(&cursor, segment->size, file_size, segment->next_offset, &head, &size, &is_good);
        if (err || !is_good || !has_order(recovery, &head, segment->next_offset, follows_epochs)) break;
        segment_add(segment, &head, size, log->config.index_interval_bytes);
        if (follows_epochs) (void)epoch_cache_assign(&log->epochs, head.partition_leader_epoch, head.base_offset);
    }
    segment_cursor_deinit(&cursor);
    recovery->report->scanned_bytes += segment->size;
    if (!err && segment->size < file_size)
        *damage = (struct damage){.is_found = true, .offset = segment->next_offset, .behind = segment->size + 1, .file_size = file_size};
    return err;
}

static bool is_trusted(const struct recovery *recovery, uint32_t i)
{
    const struct plog *log = recovery->log;
    if (recovery->claims->is_clean) return true;
    return i + 1 < log->segment_count && log->segments[i + 1]->base_offset <= recovery->recovery_point;
}

/* A closed segment below the recovery point: the names and the ends of its indexes tell all. */
static enum err take_closed(struct recovery *recovery, uint32_t i, bool *needs_scan)
{
    struct plog *log = recovery->log;
    struct segment *segment = log->segments[i];
    bool is_good = false;
    enum err err = segment->size > 0 ? segment_check_index_wait(segment, &is_good) : ERR_OK;
    *needs_scan = !is_good;
    if (err || !is_good) return err;
    segment->next_offset = log->segments[i + 1]->base_offset;
    segment->is_closed = true;
    segment->is_index_loaded = false;
    segment->closed_ms = env_wall_ms(log->shared->env);
    return ERR_OK;
}

/* The open segment after a clean stop. */
static enum err take_open(struct segment *segment, bool *needs_scan)
{
    struct segment_cursor cursor;
    struct record_batch head = {0};
    size_t size = 0;
    bool is_good = true;
    *needs_scan = false;
    if (segment->size == 0) return ERR_OK;
    enum err err = segment_read_index_wait(segment, &is_good);
    *needs_scan = !is_good;
    if (err || !is_good) return err;
    err = segment_read_rest_wait(segment, &segment->next_offset);
    segment_cursor_init(&cursor, segment, SEGMENT_CHUNK_LOOKUP, true);
    if (!err) err = segment_cursor_head(&cursor, 0, &head, &size);
    segment_cursor_deinit(&cursor);
    if (!err) segment->first_timestamp_ms = head.max_timestamp;
    *needs_scan = err == ERR_CORRUPT;
    return err == ERR_CORRUPT ? ERR_OK : err;
}

static void reset_segment(struct segment *segment)
{
    segment->next_offset = segment->base_offset;
    segment->first_timestamp_ms = segment->max_timestamp_ms = segment->max_timestamp_last = -1;
    segment->bytes_since_index = segment->plain_end = 0;
    segment->is_closed = false;
    segment->is_index_loaded = true;
}

enum err recovery_look_behind(struct recovery *recovery, const struct damage *damage, uint32_t until, bool *is_found)
{
    struct plog *log = recovery->log;
    enum err err = ERR_OK;
    *is_found = false;
    for (uint32_t i = damage->segment; !err && !*is_found && i < until; i++) {
        struct segment_cursor cursor;
        struct segment *segment = log->segments[i];
        int64_t from = i == damage->segment ? damage->behind : 0;
        int64_t end = i == damage->segment ? damage->file_size : segment->size;
        segment_cursor_init(&cursor, segment, SEGMENT_CHUNK_SCAN, true);
        err = find_batch_behind(&cursor, from, end, min_i64(damage->offset, segment->base_offset), is_found);
        segment_cursor_deinit(&cursor);
    }
    return err;
}

enum err recovery_scan(struct recovery *recovery, struct damage *damage)
{
    struct plog *log = recovery->log;
    int64_t expected = log->segment_count ? log->segments[0]->base_offset : 0;
    bool is_below = true; /* nothing was scanned for its contents yet */
    recovery->first_scanned = log->segment_count;
    for (uint32_t i = 0; i < log->segment_count && !damage->is_found; i++) {
        struct segment *segment = log->segments[i];
        bool is_last = i + 1 == log->segment_count, needs_scan = false;
        enum err err = ERR_OK;
        bool trusts = is_below && is_trusted(recovery, i) && recovery->are_epochs_known;
        if (trusts) err = is_last ? take_open(segment, &needs_scan) : take_closed(recovery, i, &needs_scan);
        if (err) return err;
        if (!trusts && is_below) {
            is_below = false;
            recovery->first_scanned = i;
            (void)epoch_cache_cut_end(&log->epochs, segment->base_offset);
        }
        bool is_gap = log->config.is_compacted ? segment->base_offset < expected : segment->base_offset != expected;
        if (!trusts && is_gap)
            *damage = (struct damage){.is_found = true, .is_gap = true, .offset = expected, .file_size = segment->size};
        else if (!trusts || needs_scan) {
            reset_segment(segment);
            err = scan_segment(recovery, segment, !is_below, damage);
        }
        if (err) return err;
        damage->segment = i;
        expected = segment->next_offset;
    }
    return ERR_OK;
}
