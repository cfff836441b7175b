/* What the files of the replica manager share: replica_manager.c (life, metadata), replica_recover.c (start), replica_produce.c,
 * replica_fetch.c, replica_offsets.c, replica_admin.c, replica_retention.c, replica_flush.c and replica_fetcher.c. Nobody else includes it.
 */
#ifndef SKIFF_BROKER_NODE_REPLICA_INTERNAL_H
#define SKIFF_BROKER_NODE_REPLICA_INTERNAL_H

#include "broker/node/controller_channel.h"
#include "broker/node/log_dir.h"
#include "broker/node/replica_manager.h"
#include "broker/node/replica_metrics.h"
#include "broker/replica/producer_gaps.h"

struct replica_fetcher;

/* Where a follower stands with its leader (replica_fetcher.h). */
enum replica_fetch_state {
    REPLICA_FETCH_NONE,    /* no fetcher: not a follower, or its leader is not registered */
    REPLICA_FETCH_READY,   /* the next request names it */
    REPLICA_FETCH_ASKED,   /* the leader knows what we want */
    REPLICA_FETCH_BUSY,    /* flushing or truncating */
    REPLICA_FETCH_DELAYED, /* after an error, or held back by a throttle */
};
struct replica_fetch_view {
    struct replica_fetcher *fetcher;
    enum replica_fetch_state state;
    struct list_node in_fetcher;
    struct list_node in_state; /* in the fetcher's list of the ready, or of the delayed */
    int32_t asked_leader_epoch;
    int64_t asked_offset;
    int64_t leader_start;  /* where the leader's log starts, as it said in this epoch; 0: not said */
    uint64_t asked_serial; /* of the request that named it: answers to earlier ones are not meant for what it is now */
    int64_t delayed_until_us;
    uint32_t failures; /* in a row */
};

/* One log's part of a commit round; outlives the replica when it must. */
struct replica_flush {
    struct list_node node;   /* in dir->flushing */
    struct replica *replica; /* NULL: gone meanwhile */
    struct plog *log;
    struct plog_flush token;
    uint32_t truncations;
};

/* A truncation on its way to the disk; outlives the replica when it must. */
struct replica_truncation {
    struct plog_op op;
    struct list_node node;   /* in dir->truncations */
    struct replica *replica; /* NULL: gone meanwhile */
    struct log_dir *dir;
    uint32_t truncations;
};

struct replica_deletion {
    struct plog_op op;
    struct list_node node; /* in dir->deletions */
    struct log_dir *dir;
    struct plog *log;
};

/* One partition on this node. */
struct replica {
    struct partition partition;
    struct plog *log;
    struct log_dir *dir;
    struct replica_manager *manager;
    struct fetch_target target; /* key in the map */
    struct topic_settings settings;
    bool is_throttled[THROTTLE_SIDES]; /* as the leader, as a follower */
    struct topic_traffic *traffic;     /* of its topic; one reference */
    struct list_node in_manager;

    struct list produced; /* produce_partition: to be appended at the end of this turn */
    struct producer_gaps gaps;
    struct list_node to_append;
    struct list_node to_retain;
    struct list watchers; /* fetch_entry.watch */

    struct list_node to_flush;   /* in dir->to_flush */
    struct replica_flush *flush; /* under way */
    struct replica_truncation *truncation;

    struct alter_partition *alter; /* a proposal under way, or NULL */

    int64_t durable_start; /* the log start that a crash leaves: of the last checkpoint that was written ... */
    int64_t writing_start; /* ... and of the one under way */
    struct list deletions; /* struct replica_delete_records that wait for all replicas */
    struct replica_fetch_view fetch;
};

/* A log found at the start that no metadata has claimed yet. */
struct orphan {
    struct list_node node;
    struct plog *log;
    struct log_dir *dir;
    int64_t high_watermark;
};

struct replica_manager {
    struct env *env;
    struct replica_manager_options options;
    struct partition_settings partition_settings;
    const struct image *image;
    struct controller_channel *channel;
    struct plog_shared logs;
    struct log_dir *dirs[LOG_DIRS_MAX];
    size_t dir_count;
    struct fetch_target *damaged;
    size_t damaged_count;
    bool is_started; /* the image is ours to obey */
    bool is_closing;
    bool awaits_checkpoint; /* before it creates logs whose names the checkpoints on the disk may know */
    int64_t broker_epoch;
    struct map replicas; /* by target */
    struct list all;
    struct map orphans; /* by TOPIC-PARTITION */
    struct list orphan_list;

    struct list to_append; /* replicas with something in `produced` */
    struct list to_retain; /* replicas whose log start was moved up */
    struct list produces;  /* requests that wait */
    struct list produced;  /* answered: done() is due at the end of this turn */
    struct list parked;    /* fetch requests that wait */
    struct list woken;     /* fetch requests to look at */
    struct list fetched;   /* answered: done() is due */
    struct list listing;   /* list-offset requests that wait for the disk */
    struct list listed;    /* answered: done() is due */
    struct list deleted;   /* answered deletions: done() is due */
    struct env_turn_end turn_end;
    struct env_timer tick, checkpoint, retention;
    struct fetch_session_cache sessions;
    struct map fetchers; /* by leader id */
    struct replica_throttle throttles[THROTTLE_SIDES];
    struct replica_counters counters;

    struct {
        void (*done)(void *user, bool is_clean);
        void *user;
        struct env_timer timer;
        int64_t deadline_us;
    } stop;
    struct {
        void (*done)(void *user, enum err err, int64_t now_us);
        void *user;
        size_t pending;
        enum err err;
    } epoch_write;
};

/* ---- replica_manager.c ---- */

struct replica *replica_find(const struct replica_manager *manager, struct uuid topic_id, int32_t partition);
/* No such replica here: NOT_LEADER_OR_FOLLOWER if the image knows the partition, else UNKNOWN_TOPIC_ID or _OR_PARTITION. */
enum kafka_error replica_absent_error(const struct replica_manager *manager, struct uuid topic_id, int32_t partition);
/* Who leads, for answers that refuse; -1, -1 with other errors. */
void replica_leader_hint(const struct replica_manager *manager, struct uuid topic_id, int32_t partition, enum kafka_error error,
                         int32_t *leader_id, int32_t *leader_epoch);
/* One event through the state machine, and its effects. */
void replica_feed(struct replica *replica, const struct partition_event *event);
void replica_feed_log(struct replica *replica, enum partition_event_type type, int64_t offset);
/* A follower's log starts where its leader's history has not come to: an unclean election has thrown away what it was to follow. Filled
 * on from its start it would lack what is acknowledged below. Deletes the log and frees the replica; another begins with nothing. */
void replica_begin_anew(struct replica *replica);
/* Work for the end of this turn exists. */
static inline void replica_manager_schedule(struct replica_manager *manager) { env_at_turn_end(manager->env, &manager->turn_end); }
/* The first offset that a consumer does not see. */
int64_t replica_visible_end(const struct replica *replica, bool is_read_committed);

/* ---- replica_retention.c ---- */

/* The log start has moved up: at the end of the turn, segments that are wholly below it go. */
void replica_retain_soon(struct replica *replica);
void replica_retain_queued(struct replica_manager *manager);
void replica_on_retention(struct env_timer *timer, int64_t now_us);

/* ---- replica_recover.c ---- */

NODISCARD enum err replica_manager_recover(struct replica_manager *manager, char reason[REPLICA_REASON_MAX]);
/* The log of that name and topic, or NULL; one of that name and another topic is set aside (D-RESURRECT). */
bool replica_has_orphan(struct replica_manager *manager, const char *topic, int32_t partition, struct uuid topic_id);
struct orphan *replica_claim_orphan(struct replica_manager *manager, const char *topic, int32_t partition, struct uuid topic_id);
void replica_set_aside_orphans(struct replica_manager *manager);
void replica_drop_orphans(struct replica_manager *manager);

/* ---- replica_produce.c ---- */

void replica_append_queued(struct replica *replica, int64_t now_us);
void replica_refuse_queued(struct replica *replica, enum kafka_error error);
void replica_produce_complete(struct produce_waiter *waiter);

/* ---- replica_fetch.c ---- */

void replica_fetch_wake(struct replica *replica);
void replica_fetch_unwatch(struct replica *replica);
void replica_fetch_run_woken(struct replica_manager *manager, int64_t now_us);
void replica_fetch_session_ended(void *manager, struct fetch_session *session);
void replica_fetch_finish_all(struct replica_manager *manager);

/* ---- replica_admin.c ---- */

/* Something happened that deletions may wait for. */
void replica_check_deletions(struct replica *replica);
/* What waits is the callers' again. */
void replica_drop_deletions(struct replica *replica);
/* The log starts of the directory's replicas were written. */
void replica_on_starts_durable(struct log_dir *dir);

/* ---- replica_flush.c ---- */

void replica_want_flush(struct replica *replica);
void replica_forget_flush(struct replica *replica);
void replica_start_commits(struct replica_manager *manager);
void replica_on_log_error(struct replica *replica, const char *what, enum err err);
void log_dir_fail(struct log_dir *dir, const char *what, enum err err);
/* Cuts the log at `offset`; the replica can fetch again when that is durable. */
void replica_truncate(struct replica *replica, int64_t offset);
/* Empties it; it starts at `offset`. */
void replica_restart_log(struct replica *replica, int64_t offset);
void replica_delete_log(struct replica *replica);
void replica_write_checkpoints(struct replica_manager *manager);
/* A log has gone from the directory; and whether a checkpoint on the disk may still name one that has. */
void replica_drop_claims(struct log_dir *dir);
bool replica_has_stale_claims(const struct replica_manager *manager);
/* The replica's log start is to be durable soon. */
void replica_want_durable_start(struct replica *replica);
void replica_write_wanted_starts(struct replica_manager *manager);
bool replica_write_checkpoints_wait(struct log_dir *dir);
void replica_write_epochs(struct replica_manager *manager);
/* Frees the directory; what is under way will never end (replica_manager_destroy). */
void replica_abandon_dir(struct log_dir *dir);

#endif
