/* Deleting: old segments of a log (retention), whole logs, and what a crash left of either. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#include <stdio.h>

/* ---- retention ----------------------------------------------------------------------------------------------------- */

/* The records cannot have been appended after the segment was closed, whatever time their producers claim (RET-1). */
static int64_t newest_ms(const struct segment *segment)
{
    return segment->max_timestamp_ms < 0 ? segment->closed_ms : min_i64(segment->max_timestamp_ms, segment->closed_ms);
}

static bool is_expendable(const struct plog *log, const struct segment *segment, int64_t retention_ms, int64_t excess_bytes, int64_t now_ms)
{
    if (segment->next_offset <= log->start) return true;
    if (retention_ms >= 0 && now_ms - newest_ms(segment) > retention_ms) return true;
    return excess_bytes >= segment->size;
}

static void drop_snapshots_below(struct plog *log, int64_t offset)
{
    uint32_t count = 0;
    while (count < log->snapshot_count && log->snapshots[count] < offset) count++;
    for (uint32_t i = 0; i < count; i++) {
        char *path = segment_path(log->directory, log->snapshots[i], ".snapshot");
        enum err err = env_unlink(log->shared->env, path);
        if (err && err != ERR_NOT_FOUND) plog_fail(log, err);
        mem_free(path);
    }
    log->snapshot_count -= count;
    memmove(log->snapshots, log->snapshots + count, log->snapshot_count * sizeof *log->snapshots);
}

/* Older entries in leader-epoch-checkpoint do no harm: recovery cuts them by the log start. */
static void raise_start(struct plog *log, int64_t start)
{
    ASSERT(start >= log->start);
    log->start = start;
    (void)epoch_cache_cut_start(&log->epochs, start);
    (void)epoch_cache_cut_end(&log->epochs, plog_end(log));
}

/* An empty file carries the offset at which an emptied log goes on. It is there before the others go: a directory keeps its order. */
static enum err create_active(struct plog *log)
{
    struct env_file *file = NULL;
    return plog_active(log)->size > 0 ? ERR_OK : plog_open_active(log, &file);
}

static void drop_front(struct plog *log, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) plog_queue_removal(log, log->segments[i], true);
    log->segment_count -= count;
    memmove(log->segments, log->segments + count, log->segment_count * sizeof(struct segment *));
    int64_t first = log->segments[0]->base_offset;
    raise_start(log, max_i64(log->start, first));
    log->flushed_end = max_i64(log->flushed_end, first);
    drop_snapshots_below(log, first);
    plog_run_removals(log);
}

/* ---- the active segment ---- */

#define DEAD_BYTES_MIN ((int64_t)1 << 20) /* below the log start, before they are worth a segment of their own */

/* RET-1: the wall clock alone, which may have jumped, does not make old what this process appended. */
static bool has_rested(const struct plog *log, const struct segment *segment, int64_t ms)
{
    return segment->appended_us < 0 || (env_now_us(log->shared->env) - segment->appended_us) / 1000 >= ms;
}

/* An idle log still closes its segment when it is old: one whose timestamps lie in the future would stay forever. */
static bool is_active_old(const struct plog *log, int64_t now_ms)
{
    const struct segment *active = plog_active(log);
    int64_t age_ms = plog_segment_ms(log, active);
    return active->first_timestamp_ms >= 0 && now_ms - active->first_timestamp_ms > age_ms && has_rested(log, active, age_ms);
}

/* Its larger part lies below the log start, and goes with the next advance if it is closed now. */
static bool is_active_dead(const struct plog *log)
{
    const struct segment *active = plog_active(log);
    if (log->start <= active->base_offset) return false;
    int64_t dead_bytes = segment_index_floor(&active->index, (uint32_t)(log->start - active->base_offset));
    return dead_bytes >= max_i64(DEAD_BYTES_MIN, active->size / 2);
}

/* May all of it go? It is closed first then, as Kafka does. */
static bool is_active_expendable(const struct plog *log, int64_t retention_ms, int64_t excess_bytes, int64_t now_ms)
{
    const struct segment *active = plog_active(log);
    if (active->size == 0) return false;
    if (active->next_offset <= log->start || excess_bytes >= active->size) return true;
    bool is_expired = retention_ms >= 0 && active->max_timestamp_ms >= 0 && now_ms - active->max_timestamp_ms > retention_ms;
    return is_expired && has_rested(log, active, retention_ms);
}

uint32_t plog_delete_old_segments(struct plog *log, int64_t retention_ms, int64_t retention_bytes, int64_t now_ms, int64_t high_watermark)
{
    if (log->is_failed || log->is_deleted || plog_is_busy(log)) return 0;
    bool must_close = plog_active(log)->size > 0 && (is_active_old(log, now_ms) || is_active_dead(log));
    if (must_close && plog_roll(log) == ERR_IO) return 0;
    int64_t excess = retention_bytes >= 0 ? plog_size(log) - retention_bytes : -1;
    uint32_t count = 0;
    for (; count + 1 < log->segment_count; count++) {
        const struct segment *segment = log->segments[count];
        if (segment->next_offset > high_watermark) break;
        if (!is_expendable(log, segment, retention_ms, excess, now_ms)) break;
        excess -= segment->size;
    }
    bool takes_all = count + 1 == log->segment_count && plog_end(log) <= high_watermark &&
                     is_active_expendable(log, retention_ms, excess, now_ms) && plog_roll(log) == ERR_OK;
    count += takes_all;
    if (count > 0 && create_active(log) != ERR_OK) count = 0;
    if (count > 0 && !log->is_failed) drop_front(log, count);
    plog_invariants(log);
    return count;
}

bool plog_advance_start(struct plog *log, int64_t offset)
{
    ASSERT(!log->is_deleted);
    offset = min_i64(offset, plog_end(log));
    if (offset <= log->start) return false;
    raise_start(log, offset);
    return true;
}

/* ---- whole logs ---------------------------------------------------------------------------------------------------- */

#define NAME_BYTES_MAX 255 /* of a file in Linux file systems; Kafka cuts the topic's name to the same */

static char *join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s", directory, name);
    return path;
}

/* TOPIC-PARTITION.UNIQUE-SUFFIX: a name that no partition has. */
static char *new_name(struct env *env, const char *name, const char *suffix)
{
    char ending[64];
    int size = snprintf(ending, sizeof ending, ".%016llx%016llx-%s", (unsigned long long)env_random64(env),
                        (unsigned long long)env_random64(env), suffix);
    ASSERT(size > 0 && (size_t)size < sizeof ending);
    char *whole = mem_alloc(NAME_BYTES_MAX + 1);
    (void)snprintf(whole, NAME_BYTES_MAX + 1, "%.*s%s", NAME_BYTES_MAX - size, name, ending);
    return whole;
}

struct listing {
    struct env *env;
    const char *directory;
    enum err err;
};

static void unlink_listed(void *context, const char *name, bool is_directory)
{
    struct listing *listing = context;
    if (is_directory || listing->err) return;
    char *path = join(listing->directory, name);
    listing->err = env_unlink(listing->env, path);
    mem_free(path);
}

static enum err remove_tree(struct env *env, const char *directory)
{
    struct listing listing = {.env = env, .directory = directory};
    enum err err = env_list(env, directory, unlink_listed, &listing);
    if (err) return err == ERR_NOT_FOUND ? ERR_OK : err;
    return listing.err ? listing.err : env_rmdir(env, directory);
}

enum err plog_remove_directory(struct env *env, const char *log_dir, const char *name)
{
    char *path = join(log_dir, name);
    enum err err = remove_tree(env, path);
    mem_free(path);
    return err;
}

enum err plog_set_aside(struct env *env, const char *log_dir, const char *name)
{
    char *from = join(log_dir, name), *aside = new_name(env, name, "stray"), *to = join(log_dir, aside);
    enum err err = env_rename(env, from, to);
    if (!err) err = env_commit_wait(env, NULL, 0, &log_dir, 1);
    mem_free(from);
    mem_free(aside);
    mem_free(to);
    return err;
}

static void end_deletion(struct plog *log, enum err err, int64_t now_us)
{
    struct plog_op *done = log->deletion->done;
    done->done(done, err, now_us);
    plog_unref(log);
}

/* The rename is durable. Removing a large file takes a while: one segment a turn. What stays behind a failure is found by its
 * name at the next start. */
static void on_deletion_step(struct env_op *op, enum err err, int64_t now_us)
{
    struct deletion *deletion = CONTAINER_OF(op, struct deletion, op);
    struct plog *log = deletion->log;
    if (!err) err = deletion->err;
    if (err || !log->has_directory) {
        end_deletion(log, err, now_us);
        return;
    }
    if (log->segment_count > 0) {
        struct segment *segment = log->segments[--log->segment_count];
        deletion->err = plog_unlink_segment(log, segment->base_offset);
        segment_destroy(segment);
        env_commit(log->shared->env, op, NULL, 0, NULL, 0);
        return;
    }
    end_deletion(log, remove_tree(log->shared->env, log->directory), now_us);
}

static enum err rename_away(struct plog *log)
{
    char *name = new_name(log->shared->env, log->name, "delete"), *path = join(log->log_dir, name);
    enum err err = env_rename(log->shared->env, log->directory, path);
    mem_free(name);
    if (err) {
        mem_free(path);
        return err;
    }
    mem_free(log->directory);
    log->directory = path;
    for (uint32_t i = 0; i < log->segment_count; i++) log->segments[i]->directory = path;
    return ERR_OK;
}

void plog_delete(struct plog *log, struct plog_op *op)
{
    ASSERT(op->done != NULL && !log->is_deleted);
    const char *log_dir = log->log_dir;
    log->is_deleted = true;
    if (log->epochs_write) log->epochs_write->replace.is_cancelled = true;
    tail_truncate(&log->tail, INT64_MIN);
    struct deletion *deletion = mem_alloc(sizeof *deletion);
    *deletion = (struct deletion){.log = log, .done = op, .err = log->has_directory ? rename_away(log) : ERR_OK};
    deletion->op.done = on_deletion_step;
    log->deletion = deletion;
    env_commit(log->shared->env, &deletion->op, NULL, 0, &log_dir, 1);
}
