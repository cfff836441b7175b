/* The start: log directories are opened, logs recovered. Which of them are ours to serve only metadata can tell: until it claims
 * them they are orphans, and what it does not know is set aside, never attached (D-STRAY, D-RESURRECT). */
#include "broker/node/replica_internal.h"
#include "common/checked.h"
#include "common/mem.h"

#include <stdio.h>

#define PARTITION_METADATA_BYTES_MAX 4096

struct name_list {
    char **names;
    size_t count, capacity;
};

static void collect_directory(void *context, const char *name, bool is_directory)
{
    struct name_list *list = context;
    if (!is_directory) return;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->names = mem_realloc(list->names, list->capacity, sizeof *list->names);
    }
    list->names[list->count++] = mem_strdup(name);
}

static void free_names(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++) mem_free(list->names[i]);
    mem_free(list->names);
}

static bool ends_with(struct slice text, struct slice end) { return text.n >= end.n && memcmp(text.p + text.n - end.n, end.p, end.n) == 0; }

/* ---- one log ---- */

struct claims {
    struct offset_map recovery_points, log_starts, high_watermarks;
};

static void load_claims(struct claims *claims, const struct log_dir *dir)
{
    offset_map_load(&claims->recovery_points, dir, CHECKPOINT_RECOVERY_POINT);
    offset_map_load(&claims->log_starts, dir, CHECKPOINT_LOG_START);
    offset_map_load(&claims->high_watermarks, dir, CHECKPOINT_HIGH_WATERMARK);
}

static void free_claims(struct claims *claims)
{
    offset_map_deinit(&claims->recovery_points);
    offset_map_deinit(&claims->log_starts);
    offset_map_deinit(&claims->high_watermarks);
}

/* The controller must take a damaged replica out of the ISR before it elects anybody: name it in the registration. */
static void note_damaged(struct replica_manager *m, const struct log_dir *dir, const char *name, int32_t partition)
{
    char path[PATH_BYTES_MAX];
    struct buf *text = NULL;
    struct fetch_target target = {.partition = partition};
    int n = snprintf(path, sizeof path, "%s/%s", dir->path, name);
    if (n < 0 || (size_t)n >= sizeof path) return;
    if (file_read_wait(m->env, path, CHECKPOINT_PARTITION, PARTITION_METADATA_BYTES_MAX, &text) != ERR_OK) return;
    bool is_known = partition_metadata_parse(buf_slice(text), &target.topic_id);
    buf_unref(text);
    if (!is_known) return;
    m->damaged = mem_realloc(m->damaged, m->damaged_count + 1, sizeof *m->damaged);
    m->damaged[m->damaged_count++] = target;
}

/* What is good is kept: the broker leaves the in-sync set with this replica (note_damaged), and its leader refills the rest. When
 * all replicas are in that state after a power cut, their good beginnings are all there is. */
static enum err open_damaged(struct replica_manager *m, struct log_dir *dir, const char *name, struct plog_claims *claim, struct plog **log,
                             struct plog_recovery *recovery)
{
    log_line(env_logger(m->env), LOG_ERROR, "log",
             "%s/%s is damaged: %s; offsets below %lld are kept, this replica leaves the in-sync replicas, and its leader refills it from "
             "there on",
             dir->path, name, recovery->reason, (long long)recovery->end);
    env_mark(m->env, "recovery cut a damaged log");
    claim->cut_damage = true;
    enum err err = plog_open(&m->logs, dir->path, name, &m->options.topic_defaults.log, claim, log, recovery);
    if (err != ERR_CORRUPT) return err;
    log_line(env_logger(m->env), LOG_ERROR, "log", "%s/%s cannot be repaired and is set aside as -stray: %s", dir->path, name,
             recovery->reason);
    return plog_set_aside(m->env, dir->path, name);
}

static void adopt_orphan(struct replica_manager *m, struct log_dir *dir, struct plog *log, int64_t high_watermark)
{
    struct orphan *orphan = mem_alloc(sizeof *orphan);
    orphan->log = log;
    orphan->dir = dir;
    orphan->high_watermark = high_watermark;
    list_push_back(&m->orphan_list, &orphan->node);
    map_put(&m->orphans, slice_str(plog_name(log)), orphan);
}

/* A directory that was away comes back with what it held then. The newer one was recovered first; of two of the same registration
 * nobody can tell which is the live one, so the broker does not vouch for either. */
static enum err set_twin_aside(struct replica_manager *m, const struct orphan *kept, const struct log_dir *dir, const char *name,
                               int32_t partition)
{
    ASSERT(kept->dir != dir);
    log_line(env_logger(m->env), LOG_WARN, "log", "%s/%s is in %s too; the one in %s is set aside", dir->path, name, kept->dir->path,
             dir->path);
    if (kept->dir->meta.broker_epoch == dir->meta.broker_epoch) note_damaged(m, dir, name, partition);
    return plog_set_aside(m->env, dir->path, name);
}

static enum err recover_log(struct replica_manager *m, struct log_dir *dir, const struct claims *claims, const char *name,
                            int32_t partition)
{
    const struct orphan *twin = map_get(&m->orphans, slice_str(name));
    if (twin) return set_twin_aside(m, twin, dir, name, partition);
    struct plog_claims claim = {
        .recovery_point = offset_map_get(&claims->recovery_points, name),
        .log_start = offset_map_get(&claims->log_starts, name),
        .high_watermark = offset_map_get(&claims->high_watermarks, name),
        .is_clean = dir->was_clean,
    };
    struct plog_recovery recovery = {0};
    struct plog *log = NULL;
    enum err err = plog_open(&m->logs, dir->path, name, &m->options.topic_defaults.log, &claim, &log, &recovery);
    if (err == ERR_CORRUPT) {
        note_damaged(m, dir, name, partition);
        err = open_damaged(m, dir, name, &claim, &log, &recovery);
    }
    if (err != ERR_OK || !log) return err;
    if (recovery.found == PLOG_CUT)
        log_line(env_logger(m->env), LOG_WARN, "log", "%s/%s: cut what a crash left of unflushed writes, the log ends at %lld: %s",
                 dir->path, name, (long long)recovery.end, recovery.reason);
    adopt_orphan(m, dir, log, min_i64(claim.high_watermark, plog_end(log)));
    return ERR_OK;
}

/* ---- one directory ---- */

static enum err recover_entry(struct replica_manager *m, struct log_dir *dir, const struct claims *claims, const char *name)
{
    struct slice topic;
    int32_t partition = 0;
    if (ends_with(slice_str(name), SLICE_LITERAL("-delete"))) return plog_remove_directory(m->env, dir->path, name);
    if (!plog_parse_name(slice_str(name), &topic, &partition)) return ERR_OK;
    return recover_log(m, dir, claims, name, partition);
}

static bool claims_what_is_gone(const struct replica_manager *m, const struct log_dir *dir, const struct offset_map *claims)
{
    size_t found = 0;
    LIST_FOR_EACH (&m->orphan_list, node) {
        const struct orphan *orphan = CONTAINER_OF(node, struct orphan, node);
        found += orphan->dir == dir && map_get(&claims->by_name, slice_str(plog_name(orphan->log))) != NULL;
    }
    return map_count(&claims->by_name) > found;
}

/* A deletion may have been cut short before the checkpoints forgot the log. */
static void forget_gone_logs(const struct replica_manager *m, struct log_dir *dir, const struct claims *claims)
{
    bool is_stale = claims_what_is_gone(m, dir, &claims->recovery_points) || claims_what_is_gone(m, dir, &claims->log_starts) ||
                    claims_what_is_gone(m, dir, &claims->high_watermarks);
    if (is_stale && !replica_write_checkpoints_wait(dir)) dir->dropped++;
}

static enum err recover_dir(struct replica_manager *m, struct log_dir *dir, char reason[REPLICA_REASON_MAX])
{
    struct name_list list = {0};
    struct claims claims;
    enum err err = env_list(m->env, dir->path, collect_directory, &list);
    load_claims(&claims, dir);
    for (size_t i = 0; err == ERR_OK && i < list.count; i++) {
        err = recover_entry(m, dir, &claims, list.names[i]);
        if (err != ERR_OK)
            (void)snprintf(reason, REPLICA_REASON_MAX, "%s/%s cannot be opened: %s", dir->path, list.names[i], err_text(err));
    }
    if (err != ERR_OK && !reason[0]) (void)snprintf(reason, REPLICA_REASON_MAX, "%s cannot be listed: %s", dir->path, err_text(err));
    if (err == ERR_OK) forget_gone_logs(m, dir, &claims);
    free_claims(&claims);
    free_names(&list);
    return err;
}

static enum err open_dirs(struct replica_manager *m, char reason[REPLICA_REASON_MAX])
{
    for (size_t i = 0; i < m->options.log_dir_count; i++) {
        struct log_dir *dir = NULL;
        enum err err = log_dir_open(m->env, m->options.log_dirs[i], m->options.node_id, &dir, reason, REPLICA_REASON_MAX);
        if (err != ERR_OK) return err;
        dir->manager = m;
        m->dirs[m->dir_count++] = dir;
    }
    return ERR_OK;
}

/* Those that took part in the latest registration come first. */
static void sort_dirs(const struct replica_manager *m, struct log_dir *sorted[static LOG_DIRS_MAX])
{
    for (size_t i = 0; i < m->dir_count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1]->meta.broker_epoch < m->dirs[i]->meta.broker_epoch; at--) sorted[at] = sorted[at - 1];
        sorted[at] = m->dirs[i];
    }
}

enum err replica_manager_recover(struct replica_manager *m, char reason[REPLICA_REASON_MAX])
{
    struct log_dir *sorted[LOG_DIRS_MAX] = {0};
    reason[0] = '\0';
    enum err err = open_dirs(m, reason);
    sort_dirs(m, sorted);
    for (size_t i = 0; err == ERR_OK && i < m->dir_count; i++) {
        ASSERT(sorted[i] != NULL);
        err = recover_dir(m, sorted[i], reason);
    }
    return err;
}

/* ---- orphans ---- */

static void unlink_orphan(struct replica_manager *m, struct orphan *orphan)
{
    map_remove(&m->orphans, slice_str(plog_name(orphan->log)));
    list_remove(&orphan->node);
}

static void set_orphan_aside(struct replica_manager *m, struct orphan *orphan)
{
    char name[TOPIC_NAME_MAX + 16];
    (void)snprintf(name, sizeof name, "%s", plog_name(orphan->log));
    char id[UUID_TEXT_SIZE];
    uuid_text(plog_topic_id(orphan->log), id);
    unlink_orphan(m, orphan);
    replica_drop_claims(orphan->dir);
    plog_destroy(orphan->log);
    log_line(env_logger(m->env), LOG_WARN, "log", "%s/%s, topic id %s, belongs to no replica of this node; set aside as -stray",
             orphan->dir->path, name, id);
    env_mark(m->env, "a stray log was set aside");
    enum err err = plog_set_aside(m->env, orphan->dir->path, name);
    if (err != ERR_OK) log_dir_fail(orphan->dir, "setting a stray log aside", err);
    mem_free(orphan);
}

bool replica_has_orphan(struct replica_manager *m, const char *topic, int32_t partition, struct uuid topic_id)
{
    char name[TOPIC_NAME_MAX + 16];
    (void)snprintf(name, sizeof name, "%s-%d", topic, partition);
    struct orphan *orphan = map_get(&m->orphans, slice_str(name));
    if (!orphan) return false;
    if (uuid_equal(plog_topic_id(orphan->log), topic_id)) return true;
    set_orphan_aside(m, orphan);
    return false;
}

struct orphan *replica_claim_orphan(struct replica_manager *m, const char *topic, int32_t partition, struct uuid topic_id)
{
    if (!replica_has_orphan(m, topic, partition, topic_id)) return NULL;
    char name[TOPIC_NAME_MAX + 16];
    (void)snprintf(name, sizeof name, "%s-%d", topic, partition);
    struct orphan *orphan = map_get(&m->orphans, slice_str(name));
    ASSERT(orphan != NULL);
    unlink_orphan(m, orphan);
    return orphan;
}

void replica_set_aside_orphans(struct replica_manager *m)
{
    while (!list_is_empty(&m->orphan_list)) set_orphan_aside(m, CONTAINER_OF(list_first(&m->orphan_list), struct orphan, node));
}

void replica_drop_orphans(struct replica_manager *m)
{
    while (!list_is_empty(&m->orphan_list)) {
        struct orphan *orphan = CONTAINER_OF(list_first(&m->orphan_list), struct orphan, node);
        unlink_orphan(m, orphan);
        plog_abandon(orphan->log);
        mem_free(orphan);
    }
}

/* ---- what a restarting broker may claim ---- */

size_t replica_manager_directories(const struct replica_manager *m, struct replica_directory directories[static LOG_DIRS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < m->dir_count; i++)
        if (m->dirs[i]->is_online)
            directories[count++] = (struct replica_directory){m->dirs[i]->meta.directory_id, m->dirs[i]->meta.broker_epoch};
    return count;
}

bool replica_manager_was_clean(const struct replica_manager *m)
{
    for (size_t i = 0; i < m->dir_count; i++)
        if (!m->dirs[i]->was_clean) return false;
    return true;
}

bool replica_manager_is_flushing(const struct replica_manager *m) { return !m->options.counts_unflushed; }

const struct fetch_target *replica_manager_damaged(const struct replica_manager *m, size_t *count)
{
    *count = m->damaged_count;
    return m->damaged;
}

const char *replica_manager_cluster_id(const struct replica_manager *m)
{
    for (size_t i = 0; i < m->dir_count; i++)
        if (m->dirs[i]->meta.cluster_id[0]) return m->dirs[i]->meta.cluster_id;
    return "";
}

static void on_epoch_written(struct file_replace *replace, enum err err, int64_t now_us);

static void write_epoch_in(struct log_dir *dir, int64_t broker_epoch, const char *cluster_id)
{
    struct replica_manager *m = dir->manager;
    dir->meta.broker_epoch = broker_epoch;
    (void)snprintf(dir->meta.cluster_id, sizeof dir->meta.cluster_id, "%s", cluster_id);
    struct writer w;
    writer_init(&w, 256);
    log_dir_meta_write(&dir->meta, &w);
    dir->meta_replace = (struct file_replace){.done = on_epoch_written};
    enum err err = file_replace_start(&dir->meta_replace, m->env, dir->path, CHECKPOINT_META, writer_slice(&w));
    writer_deinit(&w);
    if (err == ERR_OK) {
        dir->is_writing_meta = true;
        m->epoch_write.pending++;
    } else {
        log_dir_fail(dir, "writing " CHECKPOINT_META, err);
        m->epoch_write.err = err;
    }
}

static void on_epoch_written(struct file_replace *replace, enum err err, int64_t now_us)
{
    struct log_dir *dir = CONTAINER_OF(replace, struct log_dir, meta_replace);
    struct replica_manager *m = dir->manager;
    dir->is_writing_meta = false;
    if (err != ERR_OK) {
        m->epoch_write.err = err;
        log_dir_fail(dir, "writing " CHECKPOINT_META, err);
    }
    ASSERT(m->epoch_write.pending > 0);
    if (--m->epoch_write.pending == 0) m->epoch_write.done(m->epoch_write.user, m->epoch_write.err, now_us);
}

void replica_manager_write_epoch(struct replica_manager *m, int64_t broker_epoch, const char *cluster_id,
                                 void (*done)(void *user, enum err err, int64_t now_us), void *user)
{
    ASSERT(m->epoch_write.pending == 0);
    m->epoch_write.done = done;
    m->epoch_write.user = user;
    m->epoch_write.err = ERR_OK;
    for (size_t i = 0; i < m->dir_count; i++)
        if (m->dirs[i]->is_online) write_epoch_in(m->dirs[i], broker_epoch, cluster_id);
}
