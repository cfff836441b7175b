/* Opening a log after a stop or a crash.
 *
 * Three passes. LOOK: the files and what they claim. SCAN: every batch from the recovery point on (after a clean stop: none) is
 * read, checked and indexed in memory. APPLY: when what was found is good, the torn tail is cut and the derived state is made.
 * Nothing on disk changes before APPLY, so that a damaged log stays as it was for the operator.
 *
 * Below the recovery point indexes and epochs are believed: they were durable before the recovery point passed them. */
#include "broker/log/recovery_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>

#define SMALL_FILE_MAX ((size_t)16 * 1024 * 1024) /* an epoch file of a million entries */
#define OFFSET_DIGITS  20

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
    recovery->durable_end = max_i64(recovery->claims->recovery_point, recovery->claims->high_watermark);
    if (!recovery->log->has_limit) return ERR_OK;
    enum err err = read_small(recovery, RECOVERY_LIMIT_FILE, &text);
    if (err) return err;
    int64_t limit = text ? parse_limit(buf_slice(text)) : 0;
    recovery->recovery_point = min_i64(recovery->recovery_point, limit);
    recovery->durable_end = min_i64(recovery->durable_end, limit);
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

/* ---- judge --------------------------------------------------------------------------------------------------------- */

static int64_t cut_bytes_of(const struct plog *log, const struct damage *damage)
{
    int64_t bytes = damage->file_size - (damage->is_gap ? 0 : log->segments[damage->segment]->size);
    for (uint32_t i = damage->segment + 1; i < log->segment_count; i++) bytes += log->segments[i]->size;
    return bytes;
}

static void explain_damage(struct recovery *recovery, const struct damage *damage, const char *verdict)
{
    struct plog_recovery *report = recovery->report;
    const struct segment *segment = recovery->log->segments[damage->segment];
    (void)snprintf(report->reason, sizeof report->reason, "%s at offset %lld in %020lld.log, %lld bytes from there on: %s",
                   damage->is_gap ? "a gap" : "no good batch", (long long)damage->offset, (long long)segment->base_offset,
                   (long long)report->cut_bytes, verdict);
}

static enum err judge_damage(struct recovery *recovery, const struct damage *damage)
{
    struct plog_recovery *report = recovery->report;
    bool is_torn = false;
    report->found = PLOG_DAMAGED;
    report->cut_bytes = cut_bytes_of(recovery->log, damage);
    if (recovery->claims->is_clean || damage->offset < recovery->durable_end) {
        explain_damage(recovery, damage, "this had been flushed");
        return ERR_OK;
    }
    enum err err = recovery_is_torn(recovery, damage, &is_torn);
    if (err) return err;
    if (is_torn) report->found = PLOG_CUT;
    explain_damage(recovery, damage, is_torn ? "a torn write that no flush had covered" : "no power cut does this");
    return ERR_OK;
}

/* A torn tail is what no flush had covered. All else is damage. (Below the log start nothing is owed to anybody.) */
static enum err judge(struct recovery *recovery, const struct damage *damage)
{
    struct plog *log = recovery->log;
    struct plog_recovery *report = recovery->report;
    int64_t log_start = recovery->claims->log_start;
    report->end = damage->is_found ? damage->offset : log->segment_count ? plog_active(log)->next_offset : log_start;
    enum err err = damage->is_found ? judge_damage(recovery, damage) : ERR_OK;
    if (err || report->found == PLOG_DAMAGED || report->end >= recovery->durable_end) return err;
    report->found = PLOG_DAMAGED;
    (void)snprintf(report->reason, sizeof report->reason, "it ends at offset %lld, and everything below %lld had been flushed",
                   (long long)report->end, (long long)recovery->durable_end);
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
    struct segment *segment = log->segments[at];
    enum err err = plog_unlink_segment(log, segment->base_offset);
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

static enum err cut_segment(struct plog *log, struct segment *segment)
{
    enum err err = truncate_file(log, segment);
    return err ? err : plog_unlink_indexes(log, segment->base_offset);
}

/* Last segments first: a crash in between leaves a beginning of the log. */
static enum err apply_cut(struct recovery *recovery, const struct damage *damage)
{
    struct plog *log = recovery->log;
    enum err err = ERR_OK;
    uint32_t kept = damage->is_found ? damage->segment + !damage->is_gap : log->segment_count;
    struct segment *cut = damage->is_found && !damage->is_gap ? log->segments[damage->segment] : NULL;
    while (!err && log->segment_count > kept) err = drop_segment(log, log->segment_count - 1);
    if (!err && cut) err = cut_segment(log, cut);
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

static enum err apply_derived(struct recovery *recovery)
{
    struct plog *log = recovery->log;
    const struct plog_claims *claims = recovery->claims;
    int64_t end = plog_end(log);
    log->start = max_i64(claims->log_start, log->segments[0]->base_offset);
    log->flushed_end = claims->is_clean ? end : max_i64(log->segments[0]->base_offset, min_i64(recovery->durable_end, end));
    log->recovery_claimed = max_i64(claims->recovery_point, claims->high_watermark);
    if (recovery->first_scanned < log->segment_count) log->epochs_missing = log->segments[recovery->first_scanned]->base_offset;
    (void)epoch_cache_cut_end(&log->epochs, end);
    (void)epoch_cache_cut_start(&log->epochs, log->start);
    (void)epoch_cache_cut_end(&log->epochs, end);
    if (!claims->is_clean) {
        /* What was read may have been in a page cache that outlived its process: the next flush puts it on the medium. */
        file_set_add_directory(&log->unsynced, log->log_dir);
        file_set_add_directory(&log->unsynced, log->directory);
        log->is_metadata_dirty = true;
    }
    while (log->snapshot_count > 0 && log->snapshots[log->snapshot_count - 1] > end) {
        char name[64];
        (void)snprintf(name, sizeof name, "%020lld.snapshot", (long long)log->snapshots[--log->snapshot_count]);
        enum err err = unlink_named(log, name);
        if (err) return err;
    }
    return plog_rebuild_producers_wait(log);
}

/* A cut is durable before anything is appended behind it: else another power cut could mix what was cut with what came then. */
static enum err commit_cut(struct plog *log)
{
    struct file_set set;
    struct env_file *file = NULL;
    bool is_created = false;
    enum err err = segment_open(plog_active(log), false, &is_created, &file);
    if (err && err != ERR_NOT_FOUND) return err;
    file_set_init(&set);
    if (file) file_set_add_file(&set, file);
    file_set_add_directory(&set, log->directory);
    err = file_set_commit_wait(&set, log->shared->env);
    file_set_deinit(&set);
    segment_close_file(plog_active(log));
    return err;
}

static enum err apply(struct recovery *recovery, const struct damage *damage)
{
    enum err err = apply_cut(recovery, damage);
    if (!err) err = apply_segments(recovery);
    if (!err) err = apply_derived(recovery);
    if (!err && damage->is_found) err = commit_cut(recovery->log);
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
    if (!err) err = recovery_scan(recovery, &damage);
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
