/* What the files of the group coordinator share: the shard's effects, and the steps of a group's life. Nobody outside includes it. */
#ifndef SKIFF_BROKER_COORDINATOR_GROUP_INTERNAL_H
#define SKIFF_BROKER_COORDINATOR_GROUP_INTERNAL_H

#include "broker/coordinator/group_shard.h"

/* ---- memory ---- */

/* A heap copy; null stays null. */
struct slice text_copy(struct slice text);
void text_free(struct slice text);

/* ---- effects (group_shard.c) ---- */

/* In at least a millisecond, so that no step runs in circles. */
void timer_set(struct group_shard *shard, struct group_timer *timer, int64_t delay_ms);
void timer_cancel(struct group_shard *shard, struct group_timer *timer);
/* The answer is filled in. */
void request_complete(struct group_shard *shard, struct group_request *request);
void request_fail(struct group_shard *shard, struct group_request *request, enum kafka_error error);
/* No memory for more of what strangers want us to remember: for new groups, members, offsets; and, a quarter later, for what
 * running groups need. */
bool shard_is_full(const struct group_shard *shard);
bool shard_is_exhausted(const struct group_shard *shard);
/* After anything that changed what the group holds. */
void group_account(struct group_shard *shard, struct group *group);

/* ---- batches (group_batch.c) ---- */

enum batch_kind {
    BATCH_OFFSETS,    /* commits, or tombstones of offsets: the effect is in the records */
    BATCH_DELETE,     /* ends with the group's tombstone */
    BATCH_CREATE,     /* a group that somebody joins */
    BATCH_EMPTY,      /* the last member has gone */
    BATCH_ASSIGNMENT, /* the leader's */
    BATCH_STATIC,     /* an instance id has a new member id */
    BATCH_SNAPSHOT,   /* what is committed already, again */
};

struct record_span {
    size_t key_at, value_at, end;
    bool is_tombstone;
};

/* What a static member was before another process took over, to be put back when that cannot be written. */
struct static_swap {
    struct slice old_id, new_id;
    int32_t session_timeout_ms, rebalance_timeout_ms;
    struct member_protocol *protocols;
    uint32_t protocol_count;
    struct slice leader_id; /* before */
};

struct group_batch {
    struct group_append append;
    struct list_node node; /* in shard->batches */
    enum batch_kind kind;
    struct group *group;
    int32_t generation;            /* ASSIGNMENT */
    struct static_swap swap;       /* STATIC */
    bool is_given_up;              /* timed out: its continuation ran with an error */
    struct group_request *request; /* whose answer waits for it; may be NULL */
    struct list readers;           /* struct group_request: offset fetches that want what is being committed */
    struct group_timer timer;
    /* While it is built. */
    struct writer bytes;
    struct record_span *spans;
    size_t capacity;
};

struct group_batch *batch_create(struct group *group, enum batch_kind kind);
void batch_destroy(struct group_batch *batch);
void batch_add_offset(struct group_batch *batch, struct slice topic, int32_t partition, const struct offset_commit_value *value);
void batch_add_offset_tombstone(struct group_batch *batch, struct slice topic, int32_t partition);
/* The group as it is, with the assignments given (count 0: those that the members have). */
void batch_add_metadata(struct group_batch *batch, const struct sync_group_request_assignments *assignments, int32_t count);
void batch_add_group_tombstone(struct group_batch *batch);
/* The metadata record that the log has already. */
void batch_add_logged_metadata(struct group_batch *batch);
/* As many tombstones as one append should have. */
bool batch_is_full(const struct group_batch *batch);
/* The batch, or, when it is full, another one behind it: only for tombstones of offsets. */
struct group_batch *batch_with_room(struct group_shard *shard, struct group_batch *batch);
/* More than any log takes as one record batch: nothing is to be added any more. */
bool batch_is_too_large(const struct group_batch *batch);
/* Asks for the append; the batch is the shard's from here on. */
void batch_submit(struct group_shard *shard, struct group_batch *batch, struct group_request *request);
void on_appended(struct group_shard *shard, uint64_t token, enum kafka_error error);
void on_batch_timeout(struct group_shard *shard, struct group_batch *batch);
/* The newest batch of the group that is under way and changes it, or NULL. */
struct group_batch *batch_newest(struct group_shard *shard, const struct group *group);
/* The keys of the offsets that batches under way will write for the group; they live as long as the batches. */
void batch_note_offsets_under_way(const struct group_shard *shard, const struct group *group, struct map *keys);
/* Tombstones of the offsets that batches under way will write for the group: of one topic, or of all (null). */
void batch_add_tombstones_under_way(struct group_shard *shard, struct group_batch *batch, struct slice topic);
enum kafka_error append_error_to_client(enum kafka_error error);

/* ---- records (group_replay.c): the only code that changes committed offsets, live and while loading ---- */

void apply_record(struct group_shard *shard, const struct group_record *record);

/* ---- group.c ---- */

struct group *group_create(struct group_shard *shard, struct slice id);
/* Asserts that nobody waits and no batch is under way. */
void group_destroy(struct group_shard *shard, struct group *group);
/* All members and pending ids, without a word to anyone. */
void group_forget_members(struct group_shard *shard, struct group *group);
struct group *group_get(const struct group_shard *shard, struct slice id);
void group_become(struct group_shard *shard, struct group *group, enum group_state state);
void group_remember(struct group_shard *shard, struct group *group, enum rebalance_cause cause, const struct group_member *member,
                    struct slice told);

struct group_member *group_find_member(const struct group *group, struct slice id);
struct group_member *group_find_instance(const struct group *group, struct slice instance_id);
struct member_identity {
    struct slice id, instance_id, client_id, client_host;
    int32_t session_timeout_ms, rebalance_timeout_ms;
};
/* At the end of the members; leads when it is the first. */
struct group_member *group_add_member(struct group *group, const struct member_identity *identity,
                                      const struct join_group_request_protocols *protocols, int32_t count);
/* Its parked requests must have been answered. */
void group_remove_member(struct group_shard *shard, struct group_member *member);
/* Takes the new block over; the old one is the caller's. */
void group_exchange_protocols(struct group_member *member, struct member_protocol *protocols, uint32_t count);
struct member_protocol *protocols_copy(const struct group *group, const struct join_group_request_protocols *protocols, int32_t count,
                                       uint32_t *out_count);
/* The member goes on under another id, at the end of the members. */
void group_rename_member(struct group_member *member, struct slice id);
bool group_has_protocols(const struct group_member *member, const struct join_group_request_protocols *protocols, int32_t count);
void group_set_assignment(struct group_member *member, struct slice assignment);
void group_set_protocol_type(struct group *group, struct slice type);
void group_set_protocol_name(struct group *group, struct slice name);
/* Could a member with these join? */
bool group_supports(const struct group *group, struct slice type, const struct join_group_request_protocols *protocols, int32_t count);
/* The protocol that all support and most prefer. */
struct slice group_select_protocol(const struct group *group);
int32_t group_rebalance_timeout_ms(const struct group *group);
bool group_all_joined(const struct group *group);
/* NONE, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID. */
enum kafka_error group_check_member(const struct group *group, struct slice member_id, struct slice instance_id);
struct group_pending *group_add_pending(struct group *group, struct slice id);
struct group_pending *group_find_pending(const struct group *group, struct slice id);
void group_remove_pending(struct group_shard *shard, struct group_pending *pending);

/* ---- answers to members (group_answers.c) ---- */

/* The session runs anew; heard: because the member spoke. */
void member_schedule(struct group_shard *shard, struct group_member *member);
void member_heard(struct group_shard *shard, struct group_member *member);
void member_park_join(struct group_shard *shard, struct group_member *member, struct group_request *request);
void member_park_sync(struct group_shard *shard, struct group_member *member, struct group_request *request);
/* No-ops when nothing is parked. */
void member_fail_join(struct group_shard *shard, struct group_member *member, struct slice member_id, enum kafka_error error);
void member_fail_sync(struct group_shard *shard, struct group_member *member, enum kafka_error error);
void member_complete_join(struct group_shard *shard, struct group_member *member);
void member_complete_sync(struct group_shard *shard, struct group_member *member);
/* The current generation, told to a member; only a leader that shall assign gets the members. */
void request_fill_join(struct group_request *request, const struct group_member *member, bool with_members);
void request_fill_sync(struct group_request *request, const struct group_member *member);
/* It has left, timed out, or was too slow: what it waits for is answered UNKNOWN_MEMBER_ID. */
void member_drop(struct group_shard *shard, struct group_member *member);

/* ---- rebalance (group_rebalance.c) ---- */

void rebalance_prepare(struct group_shard *shard, struct group *group);
/* Begins a rebalance, or completes one that only waited for this. */
void rebalance_prepare_or_complete(struct group_shard *shard, struct group *group);
void rebalance_complete_if_joined(struct group_shard *shard, struct group *group);
void rebalance_complete(struct group_shard *shard, struct group *group);
/* The member spoke for this generation. */
void rebalance_member_synced(struct group_shard *shard, struct group_member *member);
void on_assignment_stored(struct group_shard *shard, struct group_batch *batch, enum kafka_error error);
void on_group_timer(struct group_shard *shard, struct group_timer *timer);

/* ---- requests ---- */

void on_join(struct group_shard *shard, struct group_request *request);
void on_static_stored(struct group_shard *shard, struct group_batch *batch, enum kafka_error error);
void on_create_failed(struct group_shard *shard, struct group *group, enum kafka_error error);
void on_sync(struct group_shard *shard, struct group_request *request);
void on_heartbeat(struct group_shard *shard, struct group_request *request);
void on_leave(struct group_shard *shard, struct group_request *request);
void on_offset_commit(struct group_shard *shard, struct group_request *request);
void on_offset_fetch(struct group_shard *shard, struct group_request *request);
void answer_offset_fetch(struct group_shard *shard, struct group_request *request);
void on_offset_delete(struct group_shard *shard, struct group_request *request);
void on_delete(struct group_shard *shard, struct group_request *request);
/* Parks a request while the group is being deleted; false: it is not. */
bool request_waits(struct group_shard *shard, struct group *group, struct group_request *request);

/* ---- the state again (group_snapshot.c) ---- */

void on_snapshot(struct group_shard *shard);
void snapshot_on_committed(struct group_shard *shard, const struct group_batch *batch);
/* Whatever the batch was. */
void snapshot_on_refused(struct group_shard *shard, const struct group_batch *batch);
/* Writes on when all that was written is committed. */
void snapshot_go_on(struct group_shard *shard);
/* A committed metadata record; `value` is copied. */
void group_note_logged(struct group *group, struct slice value);

/* ---- expiry (group_expiry.c) ---- */

void on_expiry(struct group_shard *shard);
void on_topic_deleted(struct group_shard *shard, struct slice topic, struct uuid id);

#endif
