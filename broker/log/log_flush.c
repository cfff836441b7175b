/* What is durable. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#include <stdio.h>

/* ---- flush --------------------------------------------------------------------------------------------------------- */

static void swap_sets(struct file_set *a, struct file_set *b)
{
    struct file_set c = *a;
    *a = *b;
    *b = c;
}

static void add_all(struct file_set *to, const struct file_set *from)
{
    for (size_t i = 0; i < from->file_count; i++) file_set_add_file(to, from->files[i]);
    for (size_t i = 0; i < from->directory_count; i++) file_set_add_directory(to, from->directories[i]);
}

static enum err add_dirty_segments(struct plog *log, struct file_set *set)
{
    for (uint32_t i = log->segment_count; i > 0; i--) {
        struct segment *segment = log->segments[i - 1];
        struct env_file *file = NULL;
        bool is_created = false;
        if (segment->is_closed && segment->index_state == SEGMENT_INDEX_WRITTEN) segment->index_state = SEGMENT_INDEX_FLUSHING;
        if (!segment->is_dirty) continue;
        enum err err = segment_open(segment, false, &is_created, &file);
        if (err) return err;
        file_set_add_file(set, file);
        /* What is written from now on is the next flush's. The set's reference keeps the descriptor until the commit. */
        segment_mark_dirty(segment, false);
    }
    return ERR_OK;
}

static enum err add_metadata(struct plog *log, struct file_set *set)
{
    struct env_file *file = NULL;
    if (!log->is_metadata_dirty) return ERR_OK;
    log->is_metadata_dirty = false;
    size_t size = strlen(log->directory) + sizeof CHECKPOINT_PARTITION + 1;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s", log->directory, CHECKPOINT_PARTITION);
    enum err err = env_open(log->shared->env, path, ENV_OPEN_READ, &file);
    mem_free(path);
    if (err) return err == ERR_NOT_FOUND ? ERR_OK : err;
    file_set_add_file(set, file);
    env_file_unref(file);
    return ERR_OK;
}

/* A flush that is under way may end later than its caller. */
enum err plog_add_unsynced(struct plog *log, struct file_set *set)
{
    add_all(set, &log->unsynced);
    add_all(set, &log->flushing);
    return add_metadata(log, set);
}

bool plog_flush_begin(struct plog *log, struct file_set *set, struct plog_flush *flush)
{
    if (log->is_failed || log->is_deleted || log->is_flushing || plog_is_busy(log)) return false;
    if (log->flushed_end == plog_end(log) && file_set_is_empty(&log->unsynced)) return false;
    swap_sets(&log->unsynced, &log->flushing);
    ASSERT(file_set_is_empty(&log->unsynced));
    enum err err = add_dirty_segments(log, &log->flushing);
    if (!err) err = add_metadata(log, &log->flushing);
    if (err) {
        plog_fail(log, err);
        return false;
    }
    add_all(set, &log->flushing);
    *flush = (struct plog_flush){.generation = log->generation, .end = plog_end(log)};
    log->is_flushing = true;
    plog_ref(log);
    return true;
}

/* A flush that does not count leaves everything to the next one. */
static void take_back(struct plog *log)
{
    add_all(&log->unsynced, &log->flushing);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->index_state == SEGMENT_INDEX_FLUSHING) segment->index_state = SEGMENT_INDEX_WRITTEN;
        if (segment->next_offset > log->flushed_end && segment->size > 0) segment_mark_dirty(segment, true);
    }
}

/* All that any checkpoint file can claim is durable again: the note against older ones has served. */
static void drop_limit(struct plog *log)
{
    if (!log->has_limit || plog_recoverable_end(log) < log->recovery_claimed) return;
    size_t size = strlen(log->directory) + sizeof RECOVERY_LIMIT_FILE + 1;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s", log->directory, RECOVERY_LIMIT_FILE);
    enum err err = env_unlink(log->shared->env, path);
    mem_free(path);
    if (err && err != ERR_NOT_FOUND) plog_fail(log, err);
    log->has_limit = false;
}

static bool count_flush(struct plog *log, const struct plog_flush *flush)
{
    ASSERT(flush->end <= plog_end(log));
    for (uint32_t i = 0; i < log->segment_count; i++)
        if (log->segments[i]->index_state == SEGMENT_INDEX_FLUSHING) log->segments[i]->index_state = SEGMENT_INDEX_DURABLE;
    bool moved = flush->end > log->flushed_end;
    log->flushed_end = max_i64(log->flushed_end, flush->end);
    drop_limit(log);
    return moved;
}

bool plog_flush_done(struct plog *log, const struct plog_flush *flush, enum err err)
{
    ASSERT(log->is_flushing);
    bool moved = false;
    if (err)
        plog_fail(log, err);
    else if (flush->generation != log->generation)
        take_back(log);
    else if (!log->is_failed && !log->is_deleted)
        moved = count_flush(log, flush);
    file_set_clear(&log->flushing);
    log->is_flushing = false;
    plog_invariants(log);
    plog_unref(log);
    return moved;
}

/* ---- the recovery point -------------------------------------------------------------------------------------------- */

/* Recovery believes indexes and epochs below the recovery point without reading the batches: it stays below the first segment
 * whose index files are not durable, and below the first epoch that leader-epoch-checkpoint lacks. */
int64_t plog_recoverable_end(const struct plog *log)
{
    int64_t end = min_i64(log->flushed_end, log->epochs_missing);
    if (log->epochs_write) end = min_i64(end, log->epochs_write->missing);
    for (uint32_t i = 0; i < log->segment_count && log->segments[i]->base_offset < end; i++)
        if (log->segments[i]->index_state != SEGMENT_INDEX_DURABLE) end = log->segments[i]->base_offset;
    return end;
}

int64_t plog_recovery_point(struct plog *log)
{
    int64_t end = plog_recoverable_end(log);
    log->recovery_claimed = max_i64(log->recovery_claimed, end);
    return end;
}

int64_t plog_durable_watermark(struct plog *log, int64_t high_watermark)
{
    int64_t durable = min_i64(high_watermark, log->flushed_end);
    log->recovery_claimed = max_i64(log->recovery_claimed, durable);
    return durable;
}

static void on_epochs_written(struct file_replace *replace, enum err err, int64_t now_us)
{
    struct epochs_write *write = CONTAINER_OF(replace, struct epochs_write, replace);
    struct plog *log = write->log;
    (void)now_us;
    ASSERT(log->epochs_write == write);
    if (err) log->epochs_missing = min_i64(log->epochs_missing, write->missing);
    log->epochs_write = NULL;
    mem_free(write);
    if (!log->is_deleted && err != ERR_NO_SPACE && err) plog_fail(log, err);
    plog_unref(log);
}

void plog_write_epochs(struct plog *log)
{
    if (log->is_failed || log->is_deleted || log->epochs_write || plog_is_busy(log)) return;
    if (log->epochs_missing == INT64_MAX || !log->has_directory) return;
    struct writer w;
    writer_init(&w, 64);
    epoch_cache_write(&log->epochs, &w);
    struct epochs_write *write = mem_alloc(sizeof *write);
    *write = (struct epochs_write){.replace.done = on_epochs_written, .log = log, .missing = log->epochs_missing};
    enum err err = file_replace_start(&write->replace, log->shared->env, log->directory, LEADER_EPOCH_FILE, writer_slice(&w));
    writer_deinit(&w);
    if (err) mem_free(write);
    if (plog_check(log, err)) return;
    log->epochs_write = write;
    log->epochs_missing = INT64_MAX;
    plog_ref(log);
}
