/* The group coordinator of one partition of __consumer_offsets, as a state machine: classic groups, their members, their offsets.
 *
 * It knows the log as records that it asks to append and that come back as committed. The caller (broker/node) turns the world into
 * events, and the actions back into effects, in this order:
 *     1. append each batch of actions.appends: all batches of a loop turn in one log append, in the order given;
 *     2. encode and send the answers of actions.completed, in order;
 *     3. call again with GROUP_EVENT_TICK at actions.deadline_ms, or any event before.
 *
 * Life: group_shard_init() for a leader epoch of the partition; GROUP_EVENT_RECORD for each record from the log's start to the end that
 * the epoch began with; GROUP_EVENT_LOADED once the high watermark has reached that end in the same epoch (G-OFFDUR); requests;
 * GROUP_EVENT_UNLOADED when the partition is led elsewhere or shut down; group_shard_deinit(). In between, an epoch's shard serves
 * alone: what belongs to an older epoch never reaches it (G-RACE).
 *
 * An append ends in one of three ways:
 *     committed             APPENDED with KAFKA_NONE, in the order of the batches; only then its effect shows and its answer leaves
 *     refused               APPENDED with the error; nothing of it is in the log
 *     in the log, in doubt  (NOT_ENOUGH_REPLICAS_AFTER_APPEND): say nothing until the high watermark passes it, or UNLOADED. Who waits is
 *                           answered COORDINATOR_NOT_AVAILABLE after offsets.commit.timeout.ms; the effect comes with the commit.
 *
 * Time and randomness come inside each event. One owner thread. Invariants stand at the top of group_shard.c, those of a group, with
 * its states, at the top of group.c. */
#ifndef SKIFF_BROKER_COORDINATOR_GROUP_SHARD_H
#define SKIFF_BROKER_COORDINATOR_GROUP_SHARD_H

#include "broker/coordinator/group.h"
#include "broker/coordinator/group_records.h"
#include "broker/coordinator/group_request.h"

#include "common/heap.h"

/* The settings' names are Kafka's. May change between steps. */
struct group_config {
    int32_t group_initial_rebalance_delay_ms;
    int32_t group_max_size;
    int32_t group_min_session_timeout_ms, group_max_session_timeout_ms;
    int32_t offset_metadata_max_bytes;
    int32_t offsets_commit_timeout_ms;
    int64_t offsets_retention_ms;
    int64_t offsets_retention_check_interval_ms;
    size_t bytes_max; /* memory of one shard: GROUP_SHARD_BYTES_MAX, less in tests */
};

enum group_shard_state {
    GROUP_SHARD_LOADING,
    GROUP_SHARD_ACTIVE,
    GROUP_SHARD_UNLOADED, /* final */
};

/* Records to append: owned by the shard, alive until the APPENDED event with its token. */
struct group_append {
    struct list_node node; /* in actions.appends */
    uint64_t token;        /* rising */
    const struct group_record *records;
    size_t count;
    size_t bytes; /* of keys and values */
};

struct group_counters {
    uint64_t records_loaded, records_skipped, records_malformed;
    uint64_t rebalances_started, rebalances_completed;
    uint64_t offset_commits, offsets_expired, offsets_deleted, groups_deleted;
};

/* The whole state, written again behind everything else. Begun by GROUP_EVENT_SNAPSHOT, whose caller notes an offset up to which all
 * records of the log are committed and told; once DONE, the log may begin there. FAILED: some append was refused meanwhile; nothing
 * may go. A successor knows nothing of it: half a snapshot repeats what the log holds. */
struct group_snapshot {
    enum { GROUP_SNAPSHOT_NONE, GROUP_SNAPSHOT_RUNNING, GROUP_SNAPSHOT_DONE, GROUP_SNAPSHOT_FAILED } state;
    uint32_t serial;
    uint32_t pending;    /* its batches under way; may outlast its failure */
    uint64_t last_token; /* of the batches that must be committed before it goes on */
    struct list groups;  /* struct group.in_snapshot: still to be written */
    uint64_t records, bytes;
};

struct group_shard {
    const struct group_config *config; /* the caller's; outlives the shard */
    enum group_shard_state state;
    uint64_t seed;
    struct map groups; /* id -> struct group; also those whose first record is not committed yet */
    struct topic_names names;
    uint64_t offset_count; /* of all groups */
    size_t bytes;          /* heap of all groups, estimated; names keep their own count */
    struct heap timers;    /* struct group_timer */
    struct group_timer expiry;
    struct list batches; /* struct group_batch under way, in the order of the log */
    uint64_t last_token;
    uint32_t waiting_count; /* requests behind a lock */
    struct group_snapshot snapshot;
    struct group_counters counters;
    /* Of the step under way. */
    int64_t now_ms, wall_ms;
    struct group_actions *actions;
};

enum group_event_type {
    GROUP_EVENT_RECORD, /* loading: one committed record, in the order of the log */
    GROUP_EVENT_LOADED,
    GROUP_EVENT_REQUEST,
    GROUP_EVENT_APPENDED, /* a batch was committed or refused */
    GROUP_EVENT_TICK,
    GROUP_EVENT_TOPIC_DELETED,
    GROUP_EVENT_SNAPSHOT, /* asserts group_shard_can_snapshot() */
    GROUP_EVENT_UNLOADED, /* all who wait get NOT_COORDINATOR; batches under way are forgotten */
};

struct group_event {
    enum group_event_type type;
    int64_t now_ms;     /* monotonic */
    int64_t wall_ms;    /* goes into records */
    uint64_t random[2]; /* REQUEST: for the id of a new member */
    union {
        struct group_record record;
        struct group_request *request;
        struct {
            uint64_t token;
            enum kafka_error error;
        } appended;
        struct {
            struct slice name;
            struct uuid id;
        } topic;
    };
};

struct group_actions {
    struct list appends;   /* struct group_append */
    struct list completed; /* struct group_request */
    int64_t deadline_ms;   /* INT64_MAX: none */
};

/* The seed is for hash tables (common/map.h). */
void group_shard_init(struct group_shard *shard, const struct group_config *config, uint64_t seed);
/* Asserts UNLOADED, or that nothing was ever asked of it. */
void group_shard_deinit(struct group_shard *shard);
/* *actions is overwritten. */
void group_shard_step(struct group_shard *shard, const struct group_event *event, struct group_actions *actions);
void group_shard_invariants(const struct group_shard *shard);

/* ---- questions: no effect; only what is committed in the log exists ---- */

/* NULL: no such group. */
const struct group *group_shard_find(const struct group_shard *shard, struct slice group_id);
/* All groups, in the order in which they came: start with *position = 0; NULL at the end. */
const struct group *group_shard_next(const struct group_shard *shard, uint32_t *position);
/* Fills one group of a DescribeGroups answer (authorized operations are the caller's). The shard must be ACTIVE, or the error says
 * why not. Slices point into the group: encode before the next step. */
void group_shard_describe(const struct group_shard *shard, struct slice group_id, int16_t version, struct arena *arena,
                          struct describe_groups_response_groups *out);
/* Does ListGroups with these filters name the group? Case does not count, as in Kafka. */
bool group_matches_filters(const struct group *group, const struct slice *states, int32_t states_count, const struct slice *types,
                           int32_t types_count);
void group_list_entry(const struct group *group, struct list_groups_response_groups *out);
/* Serving, no snapshot under way, and no record in the log that it does not understand: a snapshot would lose that one. */
bool group_shard_can_snapshot(const struct group_shard *shard);
/* Bytes of heap that the shard takes, nearly. */
size_t group_shard_bytes(const struct group_shard *shard);

#endif
