/* All partitions of one broker: their logs, their state machines (broker/replica/partition.h), and who waits for them.
 *
 *   handlers ----> replica_manager <---- metadata deltas
 *                   |    |     |
 *              struct plog   replica_fetcher (leaders elsewhere), controller_channel (ISR proposals)
 *
 * Effects of a loop turn leave together at its end: one append per partition, then one commit round per log directory (one round
 * under way at a time: what comes meanwhile shares the next one), then the answers.
 *
 * Requests are structs of the caller, which own the answer too, and live until done(). done() comes exactly once, never from inside
 * the call that asked. One owner thread: the env's. */
#ifndef SKIFF_BROKER_NODE_REPLICA_MANAGER_H
#define SKIFF_BROKER_NODE_REPLICA_MANAGER_H

#include "broker/log/log.h"
#include "broker/log/producer_state.h"
#include "broker/node/replica_throttle.h"
#include "broker/node/topic_settings.h"
#include "broker/replica/fetch_session.h"
#include "broker/replica/partition.h"
#include "controller/metadata/delta.h"

struct replica_manager;
struct controller_channel;

/* ---- life ---------------------------------------------------------------------------------------------------------- */

struct replica_manager_options {
    int32_t node_id;
    const char *const *log_dirs; /* log.dirs; created when missing */
    size_t log_dir_count;
    const char *listener_name; /* inter.broker.listener.name: where leaders are reached; NULL: their first */
    struct topic_settings topic_defaults;
    bool counts_unflushed;                   /* log.flush.policy=os */
    int64_t flush_stall_ms;                  /* log.flush.stall.ms */
    int64_t replica_lag_max_ms;              /* replica.lag.time.max.ms */
    int64_t fetch_wait_max_ms;               /* replica.fetch.wait.max.ms */
    int32_t fetch_partition_bytes;           /* replica.fetch.max.bytes */
    int32_t fetch_response_bytes;            /* replica.fetch.response.max.bytes */
    int64_t fetch_backoff_ms;                /* replica.fetch.backoff.ms */
    int64_t socket_timeout_ms;               /* replica.socket.timeout.ms */
    int64_t checkpoint_interval_ms;          /* replica.high.watermark.checkpoint.interval.ms */
    int64_t retention_check_ms;              /* log.retention.check.interval.ms */
    int64_t throttled_rates[THROTTLE_SIDES]; /* leader., follower.replication.throttled.rate */
    bool is_rack_aware;                      /* replica.selector.class=RackAwareReplicaSelector */
    uint32_t fetch_sessions_max;             /* max.incremental.fetch.session.cache.slots */
    uint32_t open_files_max;
    size_t tail_bytes_max;
    /* The last log directory went offline: nothing can be served any more. `reason` names it. */
    void (*on_failed)(void *user, const char *reason);
    /* The connection to a leader that we followed broke. Optional. */
    void (*on_leader_lost)(void *user, int32_t broker_id, int64_t now_us);
    void *user;
};
/* Kafka's defaults; the caller sets node_id, log_dirs and the callback. */
extern const struct replica_manager_options replica_manager_options_default;

/* Opens the log directories and recovers the logs in them, waiting for the disk. On an error *reason (REPLICA_REASON_MAX bytes)
 * says what, where and what to do, and *out is NULL. The image must outlive the manager; it is only read. */
#define REPLICA_REASON_MAX 512
NODISCARD enum err replica_manager_create(struct env *env, const struct replica_manager_options *options, const struct image *image,
                                          struct replica_manager **out, char reason[REPLICA_REASON_MAX]);
/* Where ISR proposals go; before the first metadata. */
void replica_manager_set_channel(struct replica_manager *manager, struct controller_channel *channel);
/* Where this node reaches another broker, and which registration of it says so; NULL: there is none. */
const struct image_listener *replica_manager_endpoint(const struct replica_manager *manager, int32_t broker_id, int64_t *broker_epoch);
/* The image has changed by `delta`; or was replaced by a snapshot. Nothing happens before replica_manager_start(): what this node
 * did in an earlier life is not what it may do now. */
void replica_manager_apply(struct replica_manager *manager, const struct image_delta *delta);
void replica_manager_apply_all(struct replica_manager *manager);
/* Answers all who wait with NOT_LEADER_OR_FOLLOWER; leads and follows nothing any more. When what the disks are doing has ended, all
 * is flushed, checkpoints and the mark of a clean shutdown are written, and done() says whether they were: otherwise the next start
 * recovers. Once. */
void replica_manager_stop(struct replica_manager *manager, void (*done)(void *user, bool is_clean), void *user);
/* The process ends: nothing that is under way will complete, and requests are dropped. Without a stop: as if it had been killed. */
void replica_manager_destroy(struct replica_manager *manager);

/* ---- produce ------------------------------------------------------------------------------------------------------- */

struct produce_partition {
    /* In. */
    struct uuid topic_id;
    int32_t partition;
    struct slice records; /* one record batch, inside the request's buf; not yet looked at */
    /* Out. */
    enum kafka_error error;
    const char *error_message;         /* NULL: the text of the error code */
    const struct record_fault *faults; /* the records that are not valid, in the request's arena */
    int32_t fault_count;
    int64_t base_offset;    /* -1 with an error */
    int64_t append_time_ms; /* -1: CreateTime */
    int64_t log_start_offset;
    int32_t leader_id, leader_epoch; /* with NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH: who leads; -1 unknown */
    /* the manager's: */
    struct list_node node;
    struct replica_produce *request;
    struct replica *replica;
    struct produce_waiter waiter;
    struct buf *buf;           /* that holds `records`, while they wait to be appended */
    struct batch_check *check; /* under way */
    int32_t last_offset_delta;
    int64_t producer_id; /* -1: not idempotent */
    int16_t producer_epoch;
    int32_t sequence;
};
struct replica_produce {
    /* In. */
    struct buf *buf; /* borrowed during the call; the log stamps the batches in it: nobody else may read it from here on */
    int16_t acks;    /* -1, 0, 1 */
    int16_t api_version;
    int64_t timeout_ms;
    struct produce_partition *partitions;
    size_t partition_count;
    struct arena *arena; /* for the faults; NULL: nobody wants to know them */
    void (*done)(struct replica_produce *request, int64_t now_us);
    void *user;
    /* the manager's: */
    struct replica_manager *manager;
    struct env_timer timer;
    struct list_node node;
    size_t pending;
};
void replica_manager_produce(struct replica_manager *manager, struct replica_produce *request);

/* ---- fetch --------------------------------------------------------------------------------------------------------- */

/* One partition of the answer. */
struct fetch_result {
    struct uuid topic_id;
    int32_t partition;
    enum kafka_error error;
    int64_t high_watermark;     /* -1 with an error */
    int64_t last_stable_offset; /* -1 with an error */
    int64_t log_start_offset;   /* -1 with an error, but with OFFSET_OUT_OF_RANGE */
    bool is_diverging;          /* only with last_fetched_epoch: the tagged field */
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
    int32_t leader_id, leader_epoch; /* hint with errors 6 and 74; -1: none */
    int32_t preferred_replica;       /* whom the consumer shall ask instead (KIP-392), without records; -1 */
    struct env_piece *pieces;        /* whole batches, `bytes` in all */
    size_t piece_count;
    int64_t bytes;
};
struct replica_fetch {
    /* In. `partitions` and `forgotten` are only read during the call. */
    int32_t replica_id;    /* -1: a consumer. The caller has authorized a follower */
    int64_t replica_epoch; /* KIP-903; -1 */
    int64_t max_wait_ms;
    int32_t min_bytes, max_bytes;
    bool is_read_committed;
    bool may_read_followers; /* a consumer that knows KIP-392 */
    struct slice rack;       /* of the consumer; lives as long as the request; "": not said */
    bool is_in_memory;       /* the connection cannot send file ranges (TLS) */
    bool refuses_zstd;       /* Fetch before version 10 knows no zstd: what it gets ends before such a batch */
    bool has_sessions;       /* the request names topics by id (Fetch 13 and later): sessions are offered */
    int32_t session_id, session_epoch;
    const struct fetch_position *partitions;
    size_t partition_count;
    const struct fetch_target *forgotten;
    size_t forgotten_count;
    void (*done)(struct replica_fetch *request, int64_t now_us);
    void *user;
    /* Out. */
    enum kafka_error error; /* of the whole request (sessions) */
    int32_t answer_session_id;
    struct fetch_result *results; /* in the order in which they were asked for; until replica_manager_release_fetch() */
    size_t result_count;
    /* the manager's: */
    struct replica_manager *manager;
    struct fetch_session *session;
    struct env_timer timer;
    struct list_node node;
    int64_t deadline_us, disk_deadline_us;
    struct fetch_cold_read *cold;
};
void replica_manager_fetch(struct replica_manager *manager, struct replica_fetch *request);
/* After done(): frees the results and drops their piece references (take one for each piece that goes on). */
void replica_manager_release_fetch(struct replica_fetch *request);
/* The connection broke: gives back what the request holds; done() does not come. Not for an answered one. */
void replica_manager_abandon_fetch(struct replica_fetch *request);

/* ---- offsets ------------------------------------------------------------------------------------------------------- */

#define LIST_OFFSETS_LATEST                  (-1)
#define LIST_OFFSETS_EARLIEST                (-2)
#define LIST_OFFSETS_MAX_TIMESTAMP           (-3)
#define LIST_OFFSETS_EARLIEST_LOCAL          (-4)
#define LIST_OFFSETS_LATEST_TIERED           (-5)
#define LIST_OFFSETS_EARLIEST_PENDING_UPLOAD (-6)

/* One partition of ListOffsets; may wait for a cold read. */
struct replica_list_offset {
    /* In. */
    struct uuid topic_id;
    int32_t partition;
    int32_t current_leader_epoch; /* -1: not said */
    int64_t timestamp;            /* or one of the above */
    bool is_read_committed;
    bool is_replica;         /* a follower or a debugging client may see the log end */
    bool may_read_followers; /* a debugging client asks whom it likes */
    void (*done)(struct replica_list_offset *request, int64_t now_us);
    void *user;
    /* Out. */
    enum kafka_error error;
    int64_t offset, found_timestamp; /* -1 */
    int32_t leader_epoch;            /* of that offset */
    /* the manager's: */
    struct replica_manager *manager;
    struct list_node node;
    struct offset_cold_read *cold;
};
void replica_manager_list_offset(struct replica_manager *manager, struct replica_list_offset *request);
/* The connection broke: done() does not come. */
void replica_manager_abandon_list_offset(struct replica_list_offset *request);

struct replica_epoch_end {
    enum kafka_error error;
    int32_t leader_epoch; /* -1: undefined */
    int64_t end_offset;   /* -1 */
};
/* OffsetForLeaderEpoch, at once. */
struct replica_epoch_end replica_manager_epoch_end(struct replica_manager *manager, struct uuid topic_id, int32_t partition,
                                                   int32_t current_leader_epoch, int32_t leader_epoch);

/* ---- for operators ------------------------------------------------------------------------------------------------- */

#define DELETE_RECORDS_TO_WATERMARK (-1)

/* One partition of DeleteRecords: moves the log start up, and waits until that is durable here and on every live replica (RET-2). */
struct replica_delete_records {
    /* In. */
    struct uuid topic_id;
    int32_t partition;
    int64_t offset; /* or DELETE_RECORDS_TO_WATERMARK */
    int64_t timeout_ms;
    void (*done)(struct replica_delete_records *request, int64_t now_us);
    /* Out. */
    enum kafka_error error; /* REQUEST_TIMED_OUT: the start has moved, but not everywhere yet */
    int64_t low_watermark;  /* no live replica has records below it; -1 with other errors */
    /* the manager's: */
    struct replica_manager *manager;
    struct replica *replica;
    struct list_node node;
    struct env_timer timer;
    bool is_late; /* the time is up: only our own disk is waited for */
};
void replica_manager_delete_records(struct replica_manager *manager, struct replica_delete_records *request);

/* The producers that our replica of a partition knows, one after the other; *at begins at 0. NULL: no more, or no replica here. */
enum kafka_error replica_manager_check_replica(const struct replica_manager *manager, struct uuid topic_id, int32_t partition);
const struct producer *replica_manager_next_producer(const struct replica_manager *manager, struct uuid topic_id, int32_t partition,
                                                     uint32_t *at);

struct replica_dir_info {
    const char *path;
    struct uuid id;
    bool is_online;
    int64_t total_bytes, usable_bytes; /* of its file system; -1: unknown */
};
/* All of log.dirs; returns their number. */
size_t replica_manager_dir_infos(const struct replica_manager *manager, struct replica_dir_info infos[static LOG_DIRS_MAX]);
/* The leader's log begins at `offset` from now on (at most the high watermark: OFFSET_OUT_OF_RANGE), or where it began before; whole
 * segments below it go. Followers learn it with their next fetch. Not yet durable: a crash may bring records back that are still
 * there. */
enum kafka_error replica_manager_advance_start(struct replica_manager *manager, struct uuid topic_id, int32_t partition, int64_t offset);

/* ---- for the controller channel ------------------------------------------------------------------------------------ */

/* What a restarting broker may claim (DESIGN 4). */
struct replica_directory {
    struct uuid id;
    int64_t written_epoch; /* broker epoch last written and synced here; -1 */
};
/* The usable ones; returns their number, at most LOG_DIRS_MAX. */
size_t replica_manager_directories(const struct replica_manager *manager, struct replica_directory directories[static LOG_DIRS_MAX]);
bool replica_manager_was_clean(const struct replica_manager *manager);
bool replica_manager_is_flushing(const struct replica_manager *manager); /* log.flush.policy=fsync */
/* Replicas that recovery found damaged. */
const struct fetch_target *replica_manager_damaged(const struct replica_manager *manager, size_t *count);
/* "" when no directory has one yet. */
const char *replica_manager_cluster_id(const struct replica_manager *manager);
/* Writes and syncs the epoch (and the cluster's id) in every usable directory; done(OK), or the error of the last one. */
void replica_manager_write_epoch(struct replica_manager *manager, int64_t broker_epoch, const char *cluster_id,
                                 void (*done)(void *user, enum err err, int64_t now_us), void *user);
/* The image holds this incarnation's registration: takes up what it says, and sets aside logs that it does not know. Again with
 * each new broker epoch. */
void replica_manager_start(struct replica_manager *manager, int64_t broker_epoch);

/* ---- looking at it ------------------------------------------------------------------------------------------------- */

struct replica_info {
    enum partition_role role;
    int32_t leader_id, leader_epoch, partition_epoch;
    int64_t log_start, log_end, durable_end, high_watermark;
    int64_t size_bytes;
    size_t replica_count, isr_count;
    bool is_under_min_isr;
    struct uuid directory_id;
};
/* False: not on this broker. */
bool replica_manager_info(const struct replica_manager *manager, struct uuid topic_id, int32_t partition, struct replica_info *info);
size_t replica_manager_count(const struct replica_manager *manager);
/* For metrics and checkers: every partition of the node, in the order in which it came here. */
void replica_manager_each(const struct replica_manager *manager,
                          void (*each)(void *context, struct uuid topic_id, int32_t partition, const struct replica_info *info),
                          void *context);
struct metrics;
/* Traffic, replicas, logs, flushes: in O(partitions). */
void replica_manager_measure(const struct replica_manager *manager, struct metrics *metrics);
/* Replicas that have not taken up the part that metadata gives them, and those in failed log directories. */
struct replica_readiness {
    size_t idle_count, offline_count;
};
struct replica_readiness replica_manager_readiness(const struct replica_manager *manager);

#endif
