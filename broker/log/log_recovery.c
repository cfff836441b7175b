/* Opening a log after a stop or a crash.
 *
 * Three passes. LOOK: the files and what they claim. SCAN: every batch from the recovery point on (after a clean stop: none) is
 * read, checked and indexed in memory. APPLY: when what was found is good, the torn tail is cut and the derived state is made.
 * Nothing on disk changes before APPLY, so that a damaged log stays as it was for the operator.
 *
 * Below the recovery point indexes and epochs are believed: they were durable before the recovery point passed them. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/crc32c.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>

#define SMALL_FILE_MAX (16u * 1024 * 1024) /* an epoch file of a million entries */
#define OFFSET_DIGITS  20
/* Places that look like a batch behind the damage, until chance does not explain them any more. */
#define CANDIDATES_MAX 10000

struct recovery {
    struct plog *log;
    const struct plog_claims *claims;
    struct plog_recovery *report;
    int64_t recovery_point, high_watermark; /* the claims, as far as they may be believed */
    bool are_epochs_known;
    uint32_t first_scanned; /* segments from here on were read */
    char **junk;            /* names of files to remove */
    size_t junk_count;
};

/* ---- look ---------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

static void add_junk(struct recovery *recovery, const char *name)
{
    recovery->junk = mem_realloc(recovery->junk, recovery->junk_count + 1, sizeof *recovery->junk);
    recovery->junk[recovery->junk_count++] = mem_strdup(name);
}

/* "%020d.suffix" */
static bool parse_file_name(const char *name, int64_t *offset, const char **suffix)
{
    if (strlen(name) <= OFFSET_DIGITS || name[OFFSET_DIGITS] != '.') return false;
    for (size_t i = 0; i < OFFSET_DIGITS; i++)
        if (name[i] < '0' || name[i] > '9') return false;
    *suffix = name + OFFSET_DIGITS;
    return str_parse_i64(slice_make(name, OFFSET_DIGITS), offset);
}

/* The names come in byte order: segments by their offsets, and of one segment the indexes before the log. */
static void on_file(void *context, const char *name, bool is_directory)
{
    static const char *const leftovers[] = {".deleted", ".cleaned", ".truncated", ".tmp"};
    struct recovery *recovery = context;
    struct plog *log = recovery->log;
    const char *suffix = NULL;
    int64_t offset = 0;
    if (is_directory) return;
    if (strcmp(name, RECOVERY_LIMIT_FILE) == 0) log->has_limit = true;
    for (size_t i = 0; i < sizeof leftovers / sizeof leftovers[0]; i++)
        if (ends_with(name, leftovers[i])) {
            add_junk(recovery, name);
            return;
        }
    if (!parse_file_name(name, &offset, &suffix)) return;
    if (strcmp(suffix, ".log") == 0)
        (void)plog_push_segment(log, offset);
    else if (strcmp(suffix, ".snapshot") == 0)
        plog_note_snapshot(log, offset);
}

static enum err read_small(struct recovery *recovery, const char *name, struct buf **out)
{
    *out = NULL;
    enum err err = file_read_wait(recovery->log->shared->env, recovery->log->directory, name, SMALL_FILE_MAX, out);
    return err == ERR_NOT_FOUND || err == ERR_LIMIT ? ERR_OK : err;
}

/* An unreadable note limits everything. */
static int64_t parse_limit(struct slice text)
{
    struct slice line = SLICE_NULL;
    int64_t limit = 0;
    bool is_good = checkpoint_next_line(&text, &line) && str_parse_i64(line, &limit) && limit >= 0;
    return is_good ? limit : 0;
}

static enum err look_at_limit(struct recovery *recovery)
{
    struct buf *text = NULL;
    recovery->recovery_point = recovery->claims->recovery_point;
    recovery->high_watermark = recovery->claims->high_watermark;
    if (!recovery->log->has_limit) return ERR_OK;
    enum err err = read_small(recovery, RECOVERY_LIMIT_FILE, &text);
    if (err) return err;
    int64_t limit = text ? parse_limit(buf_slice(text)) : 0;
    recovery->recovery_point = min_i64(recovery->recovery_point, limit);
    recovery->high_watermark = min_i64(recovery->high_watermark, limit);
    buf_unref(text);
    return ERR_OK;
}

static enum err look_at_small_files(struct recovery *recovery)
{
    struct plog *log = recovery->log;
    struct buf *text = NULL;
    enum err err = read_small(recovery, CHECKPOINT_PARTITION, &text);
    if (err) return err;
    if (!text || !partition_metadata_parse(buf_slice(text), &log->topic_id)) log->topic_id = UUID_ZERO;
    buf_unref(text);
    err = read_small(recovery, LEADER_EPOCH_FILE, &text);
    if (err) return err;
    recovery->are_epochs_known = text && epoch_cache_parse(&log->epochs, buf_slice(text));
    buf_unref(text);
    return look_at_limit(recovery);
}

static enum err look_at_sizes(struct plog *log)
{
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct env_file *file = NULL;
        bool is_created = false;
        enum err err = segment_open(log->segments[i], false, &is_created, &file);
        if (!err) err = env_file_size(file, &log->segments[i]->size);
        if (err) return err;
    }
    return ERR_OK;
}

/* ---- scan: one batch ----------------------------------------------------------------------------------------------- */

static enum err check_crc(struct segment_cursor *cursor, int64_t position, size_t size, uint32_t expected, bool *is_good)
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
    if (!err && head->base_offset >= expected) err = check_crc(cursor, position, *size, head->crc, is_good);
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

struct damage {
    bool is_found;
    bool is_gap;       /* the segment does not continue the one before it; else a batch in it is bad */
    uint32_t segment;  /* index */
    int64_t offset;    /* where the good batches end */
    int64_t behind;    /* position in the segment from which on good batches would speak against a torn tail */
    int64_t file_size; /* of the segment */
};

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
    struct record_batch head;
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
    segment->bytes_since_index = 0;
    segment->is_closed = false;
    segment->is_index_loaded = true;
}

/* Everything behind the damage that holds a batch speaks against a torn tail. */
static enum err look_behind(struct recovery *recovery, const struct damage *damage, bool *is_found)
{
    struct plog *log = recovery->log;
    enum err err = ERR_OK;
    *is_found = false;
    for (uint32_t i = damage->segment; !err && !*is_found && i < log->segment_count; i++) {
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

static enum err scan(struct recovery *recovery, struct damage *damage)
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

/* ---- judge --------------------------------------------------------------------------------------------------------- */

static int64_t cut_bytes_of(const struct plog *log, const struct damage *damage)
{
    int64_t bytes = damage->file_size - (damage->is_gap ? 0 : log->segments[damage->segment]->size);
    for (uint32_t i = damage->segment + 1; i < log->segment_count; i++) bytes += log->segments[i]->size;
    return bytes;
}

static void explain(struct recovery *recovery, const struct damage *damage, const char *verdict)
{
    struct plog_recovery *report = recovery->report;
    const struct plog *log = recovery->log;
    if (!damage->is_found) {
        (void)snprintf(report->reason, sizeof report->reason, "ends at offset %lld, below high watermark %lld or log start %lld",
                       (long long)report->end, (long long)recovery->high_watermark, (long long)recovery->claims->log_start);
        return;
    }
    const struct segment *segment = log->segments[damage->segment];
    (void)snprintf(report->reason, sizeof report->reason, "%s at offset %lld in %020lld.log, %lld bytes behind it: %s",
                   damage->is_gap ? "gap" : "no good batch", (long long)damage->offset, (long long)segment->base_offset,
                   (long long)report->cut_bytes, verdict);
}

/* A torn tail is what no flush had covered. All else is damage. */
static enum err judge(struct recovery *recovery, const struct damage *damage)
{
    struct plog *log = recovery->log;
    struct plog_recovery *report = recovery->report;
    const struct plog_claims *claims = recovery->claims;
    bool has_batch_behind = false;
    report->end = damage->is_found ? damage->offset : log->segment_count ? plog_active(log)->next_offset : claims->log_start;
    int64_t must_have = max_i64(recovery->high_watermark, claims->log_start);
    if (damage->is_found) {
        report->found = PLOG_CUT;
        report->cut_bytes = cut_bytes_of(log, damage);
        explain(recovery, damage, "a torn tail");
        enum err err = look_behind(recovery, damage, &has_batch_behind);
        if (err) return err;
        if (claims->is_clean || damage->offset < recovery->recovery_point) {
            report->found = PLOG_DAMAGED;
            explain(recovery, damage, "this had been flushed");
        } else if (has_batch_behind) {
            report->found = PLOG_DAMAGED;
            explain(recovery, damage, "a good batch follows");
        }
    }
    if (report->end < must_have) {
        report->found = PLOG_DAMAGED;
        explain(recovery, &(struct damage){0}, "");
    }
    return ERR_OK;
}

/* ---- apply --------------------------------------------------------------------------------------------------------- */

static enum err unlink_named(struct plog *log, const char *name)
{
    size_t size = strlen(log->directory) + strlen(name) + 2;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s", log->directory, name);
    enum err err = env_unlink(log->shared->env, path);
    mem_free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* The segment at `at` leaves the log, its files first. */
static enum err drop_segment(struct plog *log, uint32_t at)
{
    static const char *const suffixes[] = {"log", "index", "timeindex", "txnindex"};
    struct segment *segment = log->segments[at];
    enum err err = ERR_OK;
    for (size_t i = 0; !err && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%020lld.%s", (long long)segment->base_offset, suffixes[i]);
        err = unlink_named(log, name);
    }
    segment_destroy(segment);
    log->segment_count--;
    memmove(log->segments + at, log->segments + at + 1, (log->segment_count - at) * sizeof(struct segment *));
    return err;
}

static enum err truncate_file(struct plog *log, struct segment *segment)
{
    struct env_file *file = NULL;
    bool is_created = false;
    enum err err = segment_open(segment, false, &is_created, &file);
    return err ? err : env_truncate(log->shared->env, file, segment->size);
}

/* Last segments first: a crash in between leaves a beginning of the log. */
static enum err apply_cut(struct recovery *recovery, const struct damage *damage)
{
    struct plog *log = recovery->log;
    enum err err = ERR_OK;
    uint32_t kept = damage->is_found ? damage->segment + !damage->is_gap : log->segment_count;
    while (!err && log->segment_count > kept) err = drop_segment(log, log->segment_count - 1);
    if (!err && damage->is_found && !damage->is_gap) err = truncate_file(log, log->segments[damage->segment]);
    for (uint32_t i = log->segment_count; !err && i > 0; i--)
        if (log->segments[i - 1]->size == 0 && i != log->segment_count) err = drop_segment(log, i - 1);
    /* What was to be deleted long ago, or a log cut below its own start. */
    bool is_above = recovery->claims->log_start > recovery->report->end;
    while (!err && is_above && log->segment_count > 0) err = drop_segment(log, log->segment_count - 1);
    for (size_t i = 0; !err && i < recovery->junk_count; i++) err = unlink_named(log, recovery->junk[i]);
    return err;
}

/* All but the last are closed; what was read is not known to be on the medium. */
static enum err apply_segments(struct recovery *recovery)
{
    struct plog *log = recovery->log;
    int64_t now_ms = env_wall_ms(log->shared->env);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        bool is_last = i + 1 == log->segment_count;
        enum err err = !is_last && !segment->is_closed ? segment_close(segment, now_ms, &log->unsynced) : ERR_OK;
        if (err) return err;
        if (i >= recovery->first_scanned && segment->size > 0) segment_mark_dirty(segment, true);
        segment_close_file(segment);
    }
    if (log->segment_count == 0 || plog_active(log)->is_closed)
        (void)plog_push_segment(log, max_i64(recovery->report->end, recovery->claims->log_start));
    return ERR_OK;
}

/* The file was read, perhaps from a page cache that outlived its process: the next flush puts it on the medium. */
static enum err flush_later(struct plog *log, const char *name)
{
    char path[PATH_BYTES_MAX];
    struct env_file *file = NULL;
    int n = snprintf(path, sizeof path, "%s/%s", log->directory, name);
    if (n < 0 || (size_t)n >= sizeof path) return ERR_LIMIT;
    enum err err = env_open(log->shared->env, path, ENV_OPEN_READ, &file);
    if (err) return err == ERR_NOT_FOUND ? ERR_OK : err;
    file_set_add_file(&log->unsynced, file);
    env_file_unref(file);
    return ERR_OK;
}

static enum err apply_derived(struct recovery *recovery)
{
    struct plog *log = recovery->log;
    const struct plog_claims *claims = recovery->claims;
    int64_t end = plog_end(log);
    log->start = max_i64(claims->log_start, log->segments[0]->base_offset);
    log->flushed_end = claims->is_clean ? end : max_i64(log->segments[0]->base_offset, min_i64(recovery->recovery_point, end));
    log->recovery_claimed = claims->recovery_point;
    if (recovery->first_scanned < log->segment_count) log->epochs_missing = log->segments[recovery->first_scanned]->base_offset;
    (void)epoch_cache_cut_end(&log->epochs, end);
    (void)epoch_cache_cut_start(&log->epochs, log->start);
    (void)epoch_cache_cut_end(&log->epochs, end);
    file_set_add_directory(&log->unsynced, log->log_dir);
    file_set_add_directory(&log->unsynced, log->directory);
    enum err file_err = flush_later(log, CHECKPOINT_PARTITION);
    if (file_err) return file_err;
    while (log->snapshot_count > 0 && log->snapshots[log->snapshot_count - 1] > end) {
        char name[64];
        (void)snprintf(name, sizeof name, "%020lld.snapshot", (long long)log->snapshots[--log->snapshot_count]);
        enum err err = unlink_named(log, name);
        if (err) return err;
    }
    return plog_rebuild_producers_wait(log);
}

static enum err apply(struct recovery *recovery, const struct damage *damage)
{
    enum err err = apply_cut(recovery, damage);
    if (!err) err = apply_segments(recovery);
    if (!err) err = apply_derived(recovery);
    return err;
}

/* ---- open ---------------------------------------------------------------------------------------------------------- */

static enum err recover(struct recovery *recovery)
{
    struct plog *log = recovery->log;
    struct damage damage = {0};
    enum err err = env_list(log->shared->env, log->directory, on_file, recovery);
    if (!err) err = look_at_small_files(recovery);
    if (!err) err = look_at_sizes(log);
    if (!err) err = scan(recovery, &damage);
    if (!err) err = judge(recovery, &damage);
    if (err) return err;
    if (recovery->report->found == PLOG_DAMAGED && !recovery->claims->cut_damage) return ERR_CORRUPT;
    return apply(recovery, &damage);
}

static enum err open_once(struct plog_shared *shared, const char *log_dir, const char *name, const struct plog_config *config,
                          const struct plog_claims *claims, struct plog **log, struct plog_recovery *report)
{
    *report = (struct plog_recovery){.found = PLOG_WHOLE};
    struct recovery recovery = {.log = plog_alloc(shared, log_dir, name, config), .claims = claims, .report = report};
    recovery.log->has_directory = true;
    enum err err = recover(&recovery);
    for (size_t i = 0; i < recovery.junk_count; i++) mem_free(recovery.junk[i]);
    mem_free(recovery.junk);
    if (err) {
        plog_unref(recovery.log);
        return err;
    }
    plog_invariants(recovery.log);
    *log = recovery.log;
    return ERR_OK;
}

enum err plog_open(struct plog_shared *shared, const char *log_dir, const char *name, const struct plog_config *config,
                   const struct plog_claims *claims, struct plog **log, struct plog_recovery *report)
{
    struct slice topic = SLICE_NULL;
    int32_t partition = 0;
    *log = NULL;
    if (!plog_parse_name(slice_str(name), &topic, &partition)) return ERR_INVALID;
    enum err err = open_once(shared, log_dir, name, config, claims, log, report);
    if (err != ERR_CORRUPT || report->found == PLOG_DAMAGED) return err;
    /* The headers that producer state is made from are damaged where nothing was scanned. */
    report->found = PLOG_DAMAGED;
    (void)snprintf(report->reason, sizeof report->reason, "a batch that had been flushed is damaged");
    if (!claims->cut_damage) return err;
    struct plog_claims nothing = {.log_start = claims->log_start, .cut_damage = true};
    return open_once(shared, log_dir, name, config, &nothing, log, report);
}
