/* One log directory: its identity, its state, and the small files at its top (broker/log/checkpoint.h):
 *
 *   meta.properties                    version, node.id, cluster.id, directory.id (Kafka's) and skiff.broker.epoch: the broker epoch
 *                                      that was synced here before the node asked to be unfenced
 *   replication-offset-checkpoint      high watermarks
 *   recovery-point-offset-checkpoint   below it the logs are flushed
 *   log-start-offset-checkpoint
 *   .kafka_cleanshutdown               everything was flushed; removed at the start
 *   .lock                              held by the process
 *
 * Owner: the replica manager's thread. */
#ifndef SKIFF_BROKER_NODE_LOG_DIR_H
#define SKIFF_BROKER_NODE_LOG_DIR_H

#include "broker/log/checkpoint.h"
#include "broker/log/log.h"
#include "common/map.h"

struct replica_manager;

/* Recovery points, log starts, high watermarks. */
#define LOG_DIR_CHECKPOINTS 3
struct log_dir_checkpoint {
    struct file_replace replace;
    struct log_dir *dir;
    bool is_under_way;
    uint64_t hash;            /* of what was written last: an idle node writes nothing */
    uint64_t covers, covered; /* the value of `dropped` that the one under way knows, and the one on the disk */
};

struct log_dir {
    struct env *env;
    struct replica_manager *manager;
    char *path;
    struct log_dir_meta meta;
    bool is_online;
    bool was_clean;   /* the last process here wrote the mark of a clean shutdown */
    size_t log_count; /* to spread new partitions */

    /* Flushing: one commit round under way at a time. */
    struct list to_flush; /* replicas that wait for the next round */
    struct list flushing; /* struct replica_flush: in this one */
    bool is_committing;
    int64_t committing_since_us;
    struct env_op commit;
    struct env_timer stall;

    struct log_dir_checkpoint checkpoints[LOG_DIR_CHECKPOINTS];
    uint64_t dropped;     /* logs that have gone; until each checkpoint knows, it still claims things of them, by name */
    bool is_start_wanted; /* somebody waits for a log start to be durable: write that checkpoint as soon as possible */
    struct file_replace meta_replace;
    bool is_writing_meta;

    struct list truncations; /* struct replica_truncation, under way */
    struct list deletions;   /* struct replica_deletion, under way */
};

/* Whose directory it is, before anything is started: an error, with its reason, when it is not this node's. What else may be wrong is
 * found by whoever opens it. */
NODISCARD enum err log_dir_check(struct env *env, const char *path, int32_t node_id, char *reason, size_t reason_size);
/* Creates, locks and reads the directory, waiting; a fresh one gets its id here. On an error *reason says what
 * and what to do. Removes the mark of a clean shutdown (and remembers it). */
/* The cluster that its meta.properties names; zero: none yet, or what it says is not to be read: log_dir_open() will tell. */
struct uuid log_dir_cluster_id(struct env *env, const char *path);
NODISCARD enum err log_dir_open(struct env *env, const char *path, int32_t node_id, struct log_dir **out, char *reason, size_t reason_size);
void log_dir_destroy(struct log_dir *dir);
/* Something is on its way to its disk. */
bool log_dir_is_busy(const struct log_dir *dir);

/* The offset checkpoints, read at the start: TOPIC-PARTITION -> offset. A damaged file counts as absent from the damage on. */
struct offset_map {
    struct map by_name;
};
void offset_map_load(struct offset_map *map, const struct log_dir *dir, const char *file);
void offset_map_deinit(struct offset_map *map);
/* 0 when absent. */
int64_t offset_map_get(const struct offset_map *map, const char *name);

#endif
