/* Making it durable: group commit, truncations, deletions, checkpoints, and what happens when a disk fails.
 *
 * One commit round per log directory is under way at a time. Everything that wants a flush meanwhile shares the next round, so that
 * a hundred partitions cost one. A round older than log.flush.stall.ms counts as failed; a failed one takes the directory offline,
 * for the kernel may have dropped the pages although the next sync succeeds. */
#include "broker/node/replica_fetcher.h"
#include "broker/node/replica_internal.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/mutant.h"

#include <stdio.h>

#define CHECKPOINT_AGAIN_US 10000 /* after one that could not be written */

static struct replica *replica_to_flush(struct list_node *node) { return CONTAINER_OF(node, struct replica, to_flush); }

/* ---- failure ---- */

static bool is_any_dir_online(const struct replica_manager *m)
{
    for (size_t i = 0; i < m->dir_count; i++)
        if (m->dirs[i]->is_online) return true;
    return false;
}

static void fail_replica(struct replica *replica)
{
    replica_refuse_queued(replica, KAFKA_KAFKA_STORAGE_ERROR);
    replica_fetcher_forget(replica);
    struct partition_event event = {.type = PARTITION_FAILED, .now_us = env_now_us(replica->manager->env)};
    replica_feed(replica, &event);
    replica_forget_flush(replica);
}

static void report_offline(struct replica_manager *m, struct log_dir *dir)
{
    struct fetch_target *targets = mem_calloc(map_count(&m->replicas) + 1, sizeof *targets);
    size_t count = 0;
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (replica->dir == dir) targets[count++] = replica->target;
    }
    if (m->channel) controller_channel_on_offline(m->channel, targets, count);
    mem_free(targets);
}

void log_dir_fail(struct log_dir *dir, const char *what, enum err err)
{
    struct replica_manager *m = dir->manager;
    if (!dir->is_online) return;
    dir->is_online = false;
    char reason[REPLICA_REASON_MAX];
    (void)snprintf(reason, sizeof reason, "log directory %s is offline: %s failed: %s", dir->path, what, err_text(err));
    log_line(env_logger(m->env), LOG_ERROR, "log", "%s", reason);
    env_mark(m->env, "a log directory went offline");
    env_timer_clear(m->env, &dir->stall);
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (replica->dir == dir) fail_replica(replica);
    }
    report_offline(m, dir);
    if (!is_any_dir_online(m) && m->options.on_failed) m->options.on_failed(m->options.user, reason);
}

void replica_on_log_error(struct replica *replica, const char *what, enum err err)
{
    /* Without space the log was cut back to its last good batch and stays; anything else leaves the medium's state unknown. */
    if (err == ERR_NO_SPACE && !plog_is_failed(replica->log)) return;
    log_dir_fail(replica->dir, what, err);
}

/* ---- commit rounds ---- */

void replica_want_flush(struct replica *replica)
{
    if (!replica->dir->is_online || replica->flush || list_is_linked(&replica->to_flush)) return;
    list_push_back(&replica->dir->to_flush, &replica->to_flush);
    replica_manager_schedule(replica->manager);
}

void replica_forget_flush(struct replica *replica)
{
    if (replica->flush) replica->flush->replica = NULL;
    replica->flush = NULL;
    if (list_is_linked(&replica->to_flush)) list_remove(&replica->to_flush);
}

static void end_flush(struct replica_flush *flush, enum err err, int64_t now_us)
{
    struct replica *replica = flush->replica;
    struct partition_event event = {
        .type = PARTITION_FLUSHED, .now_us = now_us, .log = {.offset = flush->token.end, .truncations = flush->truncations}};
    bool has_moved = plog_flush_done(flush->log, &flush->token, err);
    list_remove(&flush->node);
    mem_free(flush);
    if (!replica) return;
    replica->flush = NULL;
    if (err == ERR_OK && (has_moved || MUTANT("stale_flush_counts"))) replica_feed(replica, &event);
    if (err == ERR_OK && partition_needs_flush(&replica->partition) && !replica->partition.settings->counts_unflushed)
        replica_want_flush(replica);
}

static void on_commit(struct env_op *op, enum err err, int64_t now_us)
{
    struct log_dir *dir = CONTAINER_OF(op, struct log_dir, commit);
    dir->is_committing = false;
    histogram_add(&dir->manager->counters.flushes, now_us - dir->committing_since_us, now_us);
    env_timer_clear(dir->env, &dir->stall);
    while (!list_is_empty(&dir->flushing)) end_flush(CONTAINER_OF(list_first(&dir->flushing), struct replica_flush, node), err, now_us);
    if (err != ERR_OK) log_dir_fail(dir, "a flush", err);
    replica_manager_schedule(dir->manager);
}

static void on_stall(struct env_timer *timer, int64_t now_us)
{
    (void)now_us;
    struct log_dir *dir = CONTAINER_OF(timer, struct log_dir, stall);
    log_dir_fail(dir, "a flush (log.flush.stall.ms)", ERR_TIMEOUT);
}

static void join_round(struct replica *replica, struct file_set *set)
{
    list_remove(&replica->to_flush);
    struct plog_flush token;
    if (!plog_flush_begin(replica->log, set, &token)) return;
    struct replica_flush *flush = mem_alloc(sizeof *flush);
    *flush = (struct replica_flush){.replica = replica, .log = replica->log, .token = token, .truncations = replica->partition.truncations};
    replica->flush = flush;
    list_push_back(&replica->dir->flushing, &flush->node);
}

static void start_commit(struct log_dir *dir)
{
    if (dir->is_committing || !dir->is_online || list_is_empty(&dir->to_flush)) return;
    struct file_set set;
    file_set_init(&set);
    while (!list_is_empty(&dir->to_flush)) join_round(replica_to_flush(list_first(&dir->to_flush)), &set);
    if (!list_is_empty(&dir->flushing)) {
        dir->is_committing = true;
        dir->committing_since_us = env_now_us(dir->env);
        dir->commit = (struct env_op){.done = on_commit};
        env_timer_init(&dir->stall, on_stall);
        env_timer_set(dir->env, &dir->stall, saturating_add_i64(env_now_us(dir->env), dir->manager->options.flush_stall_ms * 1000));
        file_set_commit(&set, dir->env, &dir->commit);
    }
    file_set_deinit(&set);
}

void replica_start_commits(struct replica_manager *m)
{
    for (size_t i = 0; i < m->dir_count; i++) start_commit(m->dirs[i]);
}

/* ---- truncation and deletion ---- */

static void on_deleted(struct plog_op *op, enum err err, int64_t now_us)
{
    (void)now_us;
    struct replica_deletion *deletion = CONTAINER_OF(op, struct replica_deletion, op);
    struct log_dir *dir = deletion->dir;
    list_remove(&deletion->node);
    mem_free(deletion);
    if (err != ERR_OK) log_dir_fail(dir, "deleting a log", err);
}

/* Its name is free at once: a truncation under way goes on under another one. */
void replica_delete_log(struct replica *replica)
{
    struct replica_deletion *deletion = mem_alloc(sizeof *deletion);
    deletion->op.done = on_deleted;
    deletion->dir = replica->dir;
    deletion->log = replica->log;
    list_push_back(&replica->dir->deletions, &deletion->node);
    plog_delete(replica->log, &deletion->op);
    if (replica->truncation) replica->truncation->replica = NULL;
    replica->truncation = NULL;
    replica->log = NULL;
}

static void on_truncated(struct plog_op *op, enum err err, int64_t now_us)
{
    struct replica_truncation *truncation = CONTAINER_OF(op, struct replica_truncation, op);
    struct replica *replica = truncation->replica;
    struct log_dir *dir = truncation->dir;
    uint32_t truncations = truncation->truncations;
    list_remove(&truncation->node);
    mem_free(truncation);
    if (replica) replica->truncation = NULL;
    if (err != ERR_OK) {
        log_dir_fail(dir, "truncating a log", err);
    } else if (replica) {
        struct partition_event event = {
            .type = PARTITION_FLUSHED, .now_us = now_us, .log = {.offset = plog_flushed_end(replica->log), .truncations = truncations}};
        replica_feed(replica, &event);
    }
}

static struct replica_truncation *begin_truncation(struct replica *replica)
{
    ASSERT(replica->truncation == NULL);
    ASSERT(!partition_is_leader(&replica->partition));
    struct replica_truncation *truncation = mem_alloc(sizeof *truncation);
    truncation->op.done = on_truncated;
    truncation->replica = replica;
    truncation->dir = replica->dir;
    truncation->truncations = replica->partition.truncations + 1;
    replica->truncation = truncation;
    list_push_back(&replica->dir->truncations, &truncation->node);
    return truncation;
}

void replica_truncate(struct replica *replica, int64_t offset)
{
    if (offset < replica->partition.high_watermark) {
        log_line(env_logger(replica->manager->env), LOG_WARN, "replica", "%s: the leader's log ends below our high watermark: %lld < %lld",
                 plog_name(replica->log), (long long)offset, (long long)replica->partition.high_watermark);
        env_mark(replica->manager->env, "a follower truncated below its high watermark");
    }
    env_mark(replica->manager->env, "a follower truncated");
    struct replica_truncation *truncation = begin_truncation(replica);
    plog_truncate_to(replica->log, offset, &truncation->op);
    replica_feed_log(replica, PARTITION_TRUNCATED, plog_end(replica->log));
}

void replica_restart_log(struct replica *replica, int64_t offset)
{
    env_mark(replica->manager->env, "a follower fell behind its leader's log start");
    struct replica_truncation *truncation = begin_truncation(replica);
    plog_truncate_fully(replica->log, offset, &truncation->op);
    replica_feed_log(replica, PARTITION_RESET, offset);
}

/* ---- checkpoints ---- */

static const char *const checkpoint_names[LOG_DIR_CHECKPOINTS] = {CHECKPOINT_RECOVERY_POINT, CHECKPOINT_LOG_START,
                                                                  CHECKPOINT_HIGH_WATERMARK};

#define CHECKPOINT_OF_STARTS 1 /* its place among them */

static void write_entry(struct writer *w, size_t which, struct plog *log, int64_t high_watermark)
{
    struct slice topic;
    int32_t partition = 0;
    bool is_name = plog_parse_name(slice_str(plog_name(log)), &topic, &partition);
    ASSERT(is_name);
    int64_t offset = which == 0                      ? plog_recovery_point(log)
                     : which == CHECKPOINT_OF_STARTS ? plog_start(log)
                                                     : plog_durable_watermark(log, high_watermark);
    offset_checkpoint_write_entry(w, topic, partition, offset);
}

/* Logs that no metadata has claimed yet keep what the last checkpoint said of them. */
static void write_checkpoint_text(const struct log_dir *dir, size_t which, struct writer *w)
{
    const struct replica_manager *m = dir->manager;
    size_t count = 0;
    LIST_FOR_EACH (&m->all, node) count += CONTAINER_OF(node, struct replica, in_manager)->dir == dir;
    LIST_FOR_EACH (&m->orphan_list, node) count += CONTAINER_OF(node, struct orphan, node)->dir == dir;
    checkpoint_write_head(w, count);
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (replica->dir == dir) write_entry(w, which, replica->log, replica->partition.high_watermark);
    }
    LIST_FOR_EACH (&m->orphan_list, node) {
        struct orphan *orphan = CONTAINER_OF(node, struct orphan, node);
        if (orphan->dir == dir) write_entry(w, which, orphan->log, orphan->high_watermark);
    }
}

void replica_drop_claims(struct log_dir *dir)
{
    struct replica_manager *m = dir->manager;
    dir->dropped++;
    env_timer_set(m->env, &m->checkpoint, env_now_us(m->env));
}

bool replica_has_stale_claims(const struct replica_manager *m)
{
    for (size_t i = 0; i < m->dir_count; i++) {
        const struct log_dir *dir = m->dirs[i];
        for (size_t which = 0; dir->is_online && which < LOG_DIR_CHECKPOINTS; which++)
            if (dir->checkpoints[which].covered < dir->dropped) return true;
    }
    return false;
}

/* The logs that had to wait are created. */
static void look_at_claims(struct replica_manager *m)
{
    if (!m->awaits_checkpoint || m->is_closing) return;
    for (size_t i = 0; i < m->dir_count; i++)
        for (size_t which = 0; which < LOG_DIR_CHECKPOINTS; which++)
            if (m->dirs[i]->checkpoints[which].is_under_way) return;
    if (replica_has_stale_claims(m)) {
        env_timer_set(m->env, &m->checkpoint, saturating_add_i64(env_now_us(m->env), CHECKPOINT_AGAIN_US));
        return;
    }
    m->awaits_checkpoint = false;
    replica_manager_apply_all(m);
}

static void on_checkpoint_written(struct file_replace *replace, enum err err, int64_t now_us)
{
    (void)now_us;
    struct log_dir_checkpoint *checkpoint = CONTAINER_OF(replace, struct log_dir_checkpoint, replace);
    checkpoint->is_under_way = false;
    struct log_dir *dir = checkpoint->dir;
    bool is_of_starts = checkpoint == &dir->checkpoints[CHECKPOINT_OF_STARTS];
    if (err == ERR_OK)
        checkpoint->covered = checkpoint->covers;
    else
        checkpoint->hash = 0;
    if (err == ERR_OK && is_of_starts) replica_on_starts_durable(dir);
    if (dir->is_start_wanted) replica_manager_schedule(dir->manager);
    if (err != ERR_OK && err != ERR_NO_SPACE) log_dir_fail(dir, "writing a checkpoint", err);
    look_at_claims(dir->manager);
}

static void note_starts(struct log_dir *dir)
{
    LIST_FOR_EACH (&dir->manager->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (replica->dir == dir) replica->writing_start = plog_start(replica->log);
    }
}

static void write_checkpoint(struct log_dir *dir, size_t which)
{
    struct log_dir_checkpoint *checkpoint = &dir->checkpoints[which];
    if (checkpoint->is_under_way) return;
    struct writer w;
    writer_init(&w, 1024);
    write_checkpoint_text(dir, which, &w);
    uint64_t hash = map_hash(0, writer_slice(&w));
    if (hash == checkpoint->hash) {
        checkpoint->covered = dir->dropped;
    } else {
        checkpoint->dir = dir;
        checkpoint->covers = dir->dropped;
        checkpoint->replace = (struct file_replace){.done = on_checkpoint_written};
        enum err err = file_replace_start(&checkpoint->replace, dir->env, dir->path, checkpoint_names[which], writer_slice(&w));
        if (err == ERR_OK) {
            checkpoint->hash = hash;
            checkpoint->is_under_way = true;
            if (which == CHECKPOINT_OF_STARTS) note_starts(dir);
        } else if (err != ERR_NO_SPACE) {
            log_dir_fail(dir, "writing a checkpoint", err);
        }
    }
    writer_deinit(&w);
}

void replica_write_checkpoints(struct replica_manager *m)
{
    for (size_t i = 0; i < m->dir_count; i++)
        for (size_t which = 0; m->dirs[i]->is_online && which < LOG_DIR_CHECKPOINTS; which++) write_checkpoint(m->dirs[i], which);
    look_at_claims(m);
}

void replica_want_durable_start(struct replica *replica)
{
    replica->dir->is_start_wanted = true;
    replica_manager_schedule(replica->manager);
}

/* One that is being written does not have it: its end leads back here. */
void replica_write_wanted_starts(struct replica_manager *m)
{
    for (size_t i = 0; i < m->dir_count; i++) {
        struct log_dir *dir = m->dirs[i];
        if (!dir->is_online || !dir->is_start_wanted || dir->checkpoints[CHECKPOINT_OF_STARTS].is_under_way) continue;
        dir->is_start_wanted = false;
        write_checkpoint(dir, CHECKPOINT_OF_STARTS);
    }
}

/* Of what the next checkpoint may say. */
void replica_write_epochs(struct replica_manager *m)
{
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (replica->dir->is_online) plog_write_epochs(replica->log);
    }
}

bool replica_write_checkpoints_wait(struct log_dir *dir)
{
    bool is_written = true;
    for (size_t which = 0; which < LOG_DIR_CHECKPOINTS; which++) {
        struct writer w;
        writer_init(&w, 1024);
        write_checkpoint_text(dir, which, &w);
        is_written &= file_replace_wait(dir->env, dir->path, checkpoint_names[which], writer_slice(&w)) == ERR_OK;
        writer_deinit(&w);
    }
    return is_written;
}

void replica_abandon_dir(struct log_dir *dir)
{
    struct list_node *node = NULL;
    env_timer_clear(dir->env, &dir->stall);
    while ((node = list_pop_front(&dir->flushing)) != NULL) mem_free(CONTAINER_OF(node, struct replica_flush, node));
    while ((node = list_pop_front(&dir->truncations)) != NULL) mem_free(CONTAINER_OF(node, struct replica_truncation, node));
    while ((node = list_pop_front(&dir->deletions)) != NULL) {
        struct replica_deletion *deletion = CONTAINER_OF(node, struct replica_deletion, node);
        plog_abandon(deletion->log);
        mem_free(deletion);
    }
    for (size_t i = 0; i < LOG_DIR_CHECKPOINTS; i++)
        if (dir->checkpoints[i].is_under_way) file_replace_abandon(&dir->checkpoints[i].replace);
    if (dir->is_writing_meta) file_replace_abandon(&dir->meta_replace);
    log_dir_destroy(dir);
}
