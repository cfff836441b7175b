/* Removing segments from either end, and truncation.
 *
 * A truncation changes what is in memory at once and then the disk, in steps that each end with a commit:
 *     LIMIT   the note that an older recovery-point checkpoint must not be believed (only when one may exist)
 *     REMOVE  the segments above the cut, last one first
 *     COPY    only when readers hold ranges above the cut: the part below it becomes a new file, renamed over the old one
 *     LAST    the cut segment's file
 * A crash between two steps leaves the old log or a shorter beginning of it. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#include <stdio.h>

#define DELETED_SUFFIX ".deleted"
#define COPY_SUFFIX    ".truncated"
#define COPY_CHUNK     ((int64_t)1024 * 1024)

static const char *const segment_suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};
#define SUFFIX_COUNT (sizeof segment_suffixes / sizeof segment_suffixes[0])

static void continue_truncation(struct plog *log, enum err err, int64_t now_us);

/* ---- removal of segments ------------------------------------------------------------------------------------------- */

/* Missing is what we want. */
static enum err unlink_file(struct plog *log, int64_t base_offset, const char *suffix)
{
    char *path = segment_path(log->directory, base_offset, suffix);
    enum err err = env_unlink(log->shared->env, path);
    mem_free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err rename_deleted(struct plog *log, int64_t base_offset, const char *suffix)
{
    char to_suffix[32];
    (void)snprintf(to_suffix, sizeof to_suffix, "%s%s", suffix, DELETED_SUFFIX);
    char *from = segment_path(log->directory, base_offset, suffix), *to = segment_path(log->directory, base_offset, to_suffix);
    enum err err = env_rename(log->shared->env, from, to);
    mem_free(from);
    mem_free(to);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err unlink_deleted(struct plog *log, int64_t base_offset, const char *suffix)
{
    char whole_suffix[32];
    (void)snprintf(whole_suffix, sizeof whole_suffix, "%s%s", suffix, DELETED_SUFFIX);
    return unlink_file(log, base_offset, whole_suffix);
}

static enum err each_suffix(struct plog *log, int64_t base_offset, enum err (*action)(struct plog *, int64_t, const char *))
{
    enum err err = ERR_OK;
    for (size_t i = 0; !err && i < SUFFIX_COUNT; i++) err = action(log, base_offset, segment_suffixes[i]);
    return err;
}

enum err plog_unlink_segment(struct plog *log, int64_t base_offset) { return each_suffix(log, base_offset, unlink_file); }

enum err plog_unlink_indexes(struct plog *log, int64_t base_offset)
{
    enum err err = unlink_file(log, base_offset, ".index");
    return err ? err : unlink_file(log, base_offset, ".timeindex");
}

void plog_queue_removal(struct plog *log, struct segment *segment, bool is_renamed)
{
    struct removal *removal = mem_alloc(sizeof *removal);
    removal->base_offset = segment->base_offset;
    removal->is_renamed = is_renamed;
    list_push_back(&log->removals, &removal->node);
    segment_destroy(segment);
}

static void end_removals(struct plog *log, enum err err, int64_t now_us)
{
    log->is_removing = false;
    if (log->truncation == TRUNCATION_REMOVE) continue_truncation(log, log->is_failed ? ERR_IO : err, now_us);
    plog_unref(log);
}

/* The first removal's names are gone from the directory for good. */
static void on_removed(struct env_op *op, enum err err, int64_t now_us)
{
    struct plog *log = CONTAINER_OF(op, struct plog, removal_op);
    struct removal *removal = CONTAINER_OF(list_pop_front(&log->removals), struct removal, node);
    if (!err && removal->is_renamed && !log->is_deleted) err = each_suffix(log, removal->base_offset, unlink_deleted);
    mem_free(removal);
    if (err && !log->is_deleted) plog_fail(log, err);
    if (log->is_failed || log->is_deleted || list_is_empty(&log->removals)) {
        end_removals(log, err, now_us);
        return;
    }
    log->is_removing = false;
    plog_run_removals(log);
    plog_unref(log);
}

void plog_run_removals(struct plog *log)
{
    if (log->is_removing || list_is_empty(&log->removals)) return;
    const struct removal *removal = CONTAINER_OF(list_first(&log->removals), struct removal, node);
    const char *directory = log->directory;
    enum err err = each_suffix(log, removal->base_offset, removal->is_renamed ? rename_deleted : unlink_file);
    if (err) plog_fail(log, err);
    log->is_removing = true;
    log->removal_op.done = on_removed;
    plog_ref(log);
    env_commit(log->shared->env, &log->removal_op, NULL, 0, &directory, 1);
}

/* ---- truncation: the disk ------------------------------------------------------------------------------------------ */

static void end_truncation(struct plog *log, enum err err, int64_t now_us)
{
    struct plog_op *done = log->truncation_done;
    if (err && !log->is_deleted) plog_fail(log, err);
    log->truncation = TRUNCATION_NONE;
    log->truncation_done = NULL;
    env_file_unref(log->truncation_copy);
    log->truncation_copy = NULL;
    done->done(done, err ? ERR_IO : ERR_OK, now_us);
    plog_unref(log);
}

static void on_truncation_committed(struct env_op *op, enum err err, int64_t now_us)
{
    continue_truncation(CONTAINER_OF(op, struct plog, truncation_op), err, now_us);
}

/* The last step leaves nothing to a flush, of which there may be none: an emptied log claims its end at once. */
static void commit_step(struct plog *log, enum truncation_step step, struct env_file *file)
{
    struct file_set set;
    file_set_init(&set);
    log->truncation = step;
    if (file) file_set_add_file(&set, file);
    if (log->has_directory) file_set_add_directory(&set, log->directory);
    enum err err = step == TRUNCATION_LAST ? plog_add_unsynced(log, &set) : ERR_OK;
    if (err) plog_fail(log, err);
    file_set_commit(&set, log->shared->env, &log->truncation_op);
    file_set_deinit(&set);
}

static enum err write_limit(struct plog *log, int64_t limit, struct env_file **file)
{
    struct env *env = log->shared->env;
    struct writer w;
    size_t size = strlen(log->directory) + sizeof RECOVERY_LIMIT_FILE + 1;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s", log->directory, RECOVERY_LIMIT_FILE);
    writer_init(&w, 32);
    checkpoint_write_number(&w, limit);
    writer_u8(&w, '\n');
    struct slice text = writer_slice(&w);
    enum err err = env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, file);
    if (!err) err = env_pwritev(env, *file, &text, 1, 0);
    log->has_limit = true;
    writer_deinit(&w);
    mem_free(path);
    return err;
}

/* [0, size) of the cut segment as a new file, so that ranges of the old one that are still being sent stay what they were. */
static enum err copy_segment_wait(struct plog *log, struct segment *segment)
{
    struct env *env = log->shared->env;
    struct env_file *from = NULL;
    bool is_created = false;
    char *path = segment_path(log->directory, segment->base_offset, COPY_SUFFIX);
    enum err err = env_open(env, path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &log->truncation_copy);
    mem_free(path);
    if (!err) err = segment_open(segment, false, &is_created, &from);
    struct buf *chunk = buf_create((size_t)COPY_CHUNK);
    for (int64_t at = 0; !err && at < segment->size; at += (int64_t)chunk->size) {
        size_t size = (size_t)min_i64(segment->size - at, COPY_CHUNK);
        err = env_pread_wait(env, from, chunk->data, size, at, &chunk->size);
        if (!err && chunk->size < size) err = ERR_IO;
        struct slice bytes = buf_slice(chunk);
        if (!err) err = env_pwritev(env, log->truncation_copy, &bytes, 1, at);
    }
    buf_unref(chunk);
    return err;
}

static enum err take_copy(struct plog *log, struct segment *segment)
{
    char *from = segment_path(log->directory, segment->base_offset, COPY_SUFFIX);
    char *to = segment_path(log->directory, segment->base_offset, ".log");
    enum err err = env_rename(log->shared->env, from, to);
    mem_free(from);
    mem_free(to);
    if (err) return err;
    segment_replace_file(segment, log->truncation_copy);
    log->truncation_copy = NULL;
    return ERR_OK;
}

/* The cut segment's file; its old index files speak of more than it holds. */
static void cut_file(struct plog *log, int64_t now_us)
{
    struct segment *segment = plog_active(log);
    struct env_file *file = NULL;
    bool is_created = false;
    enum err err = plog_unlink_indexes(log, segment->base_offset);
    if (!err && segment->published > segment->size) {
        err = copy_segment_wait(log, segment);
        if (!err) {
            commit_step(log, TRUNCATION_COPY, log->truncation_copy);
            return;
        }
    }
    /* Created when missing: an empty file carries the offset at which an emptied log goes on. */
    if (!err) err = plog_ensure_directory(log);
    if (!err) err = segment_open(segment, true, &is_created, &file);
    if (!err) err = env_truncate(log->shared->env, file, segment->size);
    if (err)
        end_truncation(log, err, now_us);
    else
        commit_step(log, TRUNCATION_LAST, file);
}

static void continue_truncation(struct plog *log, enum err err, int64_t now_us)
{
    if (err || log->is_deleted) {
        end_truncation(log, err, now_us);
        return;
    }
    switch (log->truncation) {
    case TRUNCATION_LIMIT:
        log->truncation = TRUNCATION_REMOVE;
        if (list_is_empty(&log->removals))
            cut_file(log, now_us);
        else
            plog_run_removals(log);
        return;
    case TRUNCATION_REMOVE: cut_file(log, now_us); return;
    case TRUNCATION_COPY:
        err = take_copy(log, plog_active(log));
        if (err)
            end_truncation(log, err, now_us);
        else
            commit_step(log, TRUNCATION_LAST, NULL);
        return;
    case TRUNCATION_LAST: end_truncation(log, ERR_OK, now_us); return;
    case TRUNCATION_NONE: UNREACHABLE();
    }
}

/* The first step always ends with a commit, so that done() never comes from inside the call. `kept`: where what stays ends. */
static void begin_truncation(struct plog *log, int64_t kept, enum err err, struct plog_op *op)
{
    struct env_file *limit = NULL;
    log->truncation_done = op;
    log->truncation_op.done = on_truncation_committed;
    log->generation++;
    plog_ref(log);
    if (!err && log->has_directory && kept < log->recovery_claimed) err = write_limit(log, kept, &limit);
    if (err) plog_fail(log, err);
    commit_step(log, TRUNCATION_LIMIT, limit);
    env_file_unref(limit);
    plog_invariants(log);
}

/* ---- truncation: the memory ---------------------------------------------------------------------------------------- */

static void drop_segments_above(struct plog *log, uint32_t keep)
{
    while (log->segment_count > keep) {
        struct segment *segment = log->segments[--log->segment_count];
        if (log->has_directory)
            plog_queue_removal(log, segment, false);
        else
            segment_destroy(segment);
    }
}

static enum err drop_snapshots_above(struct plog *log, int64_t offset)
{
    enum err err = ERR_OK;
    while (log->snapshot_count > 0 && log->snapshots[log->snapshot_count - 1] > offset && !err)
        err = unlink_file(log, log->snapshots[--log->snapshot_count], ".snapshot");
    return err;
}

static enum err load_index_wait(struct segment *segment)
{
    bool is_good = true;
    if (segment->is_index_loaded) return ERR_OK;
    enum err err = segment_read_index_wait(segment, &is_good);
    segment->is_index_loaded = true; /* an empty one is slow but right */
    return err;
}

/* Where the batch that contains `offset` begins; everything from there on goes. */
static enum err find_cut(struct segment *segment, int64_t offset, int64_t *position, int64_t *end)
{
    struct segment_cursor cursor;
    struct record_batch head;
    size_t size = 0;
    enum err err = load_index_wait(segment);
    if (err) return err;
    segment_cursor_init(&cursor, segment, SEGMENT_CHUNK_LOOKUP, true);
    err = segment_cursor_seek(&cursor, offset, position, &head, &size);
    segment_cursor_deinit(&cursor);
    if (err == ERR_NOT_FOUND) {
        *position = segment->size;
        *end = segment->next_offset;
        return ERR_OK;
    }
    if (!err) *end = *position == 0 ? segment->base_offset : min_i64(offset, head.base_offset);
    return err;
}

/* Everything that is derived from the batches, after the segments were cut. */
static enum err forget_above(struct plog *log)
{
    int64_t end = plog_end(log);
    tail_truncate(&log->tail, end);
    if (epoch_cache_cut_end(&log->epochs, end)) plog_epochs_changed(log, end);
    log->flushed_end = min_i64(log->flushed_end, end);
    log->start = min_i64(log->start, end);
    enum err err = drop_snapshots_above(log, end);
    return err ? err : plog_rebuild_producers_wait(log);
}

void plog_truncate_to(struct plog *log, int64_t offset, struct plog_op *op)
{
    ASSERT(op->done != NULL && !plog_is_busy(log) && !log->is_deleted);
    if (offset < log->segments[0]->base_offset) {
        plog_truncate_fully(log, offset, op);
        return;
    }
    enum err err = log->is_failed ? ERR_IO : ERR_OK;
    if (!err && offset < plog_end(log)) {
        int64_t position = 0, end = 0;
        uint32_t at = plog_segment_at(log, offset);
        err = find_cut(log->segments[at], offset, &position, &end);
        if (!err) {
            drop_segments_above(log, at + 1);
            err = segment_cut_wait(log->segments[at], position, end);
        }
        if (!err) err = forget_above(log);
    }
    begin_truncation(log, plog_end(log), err, op);
}

void plog_truncate_fully(struct plog *log, int64_t offset, struct plog_op *op)
{
    ASSERT(op->done != NULL && !plog_is_busy(log) && !log->is_deleted);
    ASSERT(offset >= 0);
    enum err err = log->is_failed ? ERR_IO : ERR_OK;
    drop_segments_above(log, 0);
    (void)plog_push_segment(log, offset);
    tail_truncate(&log->tail, INT64_MIN);
    if (epoch_cache_cut_end(&log->epochs, 0)) plog_epochs_changed(log, 0);
    producer_state_clear(&log->producers);
    log->start = log->flushed_end = offset;
    if (!err) err = drop_snapshots_above(log, -1);
    begin_truncation(log, 0, err, op);
}
