/* A request to the group coordinator: the decoded message that goes in, the message that comes out.
 *
 * Intrusive and owned by the caller, who keeps it alive from GROUP_EVENT_REQUEST until it comes back in actions.completed. The answer
 * lives in the request's own arena. Inputs are borrowed while is_input_needed is true: a parked JoinGroup or SyncGroup, which may wait
 * for minutes, needs none any more, so its frame can go. */
#ifndef SKIFF_BROKER_COORDINATOR_GROUP_REQUEST_H
#define SKIFF_BROKER_COORDINATOR_GROUP_REQUEST_H

#include "common/list.h"
#include "proto/codec.h"
#include "proto/errors.h"

enum group_request_type {
    GROUP_JOIN,
    GROUP_SYNC,
    GROUP_HEARTBEAT,
    GROUP_LEAVE,
    GROUP_OFFSET_COMMIT,
    GROUP_OFFSET_FETCH,
    GROUP_OFFSET_DELETE,
    GROUP_DELETE,
};

struct group_request {
    struct list_node node; /* in a queue of the shard, or in actions.completed */
    enum group_request_type type;
    int16_t version; /* of the client's request */
    bool is_input_needed;
    /* This node may have been replaced and not know it yet: nothing that it remembers is told. What the log decides goes on. */
    bool is_unsure;
    struct slice group_id;
    /* JOIN: who asks, as tools show it; the host is an address as text, "/10.0.0.7" in Kafka's form. */
    struct slice client_id, client_host;
    uint64_t random[2];  /* the event's, kept in case the request waits: each new member id needs its own */
    bool require_stable; /* OFFSET_FETCH: wait for what is being committed */
    union {
        const struct join_group_request *join; /* v0: rebalance_timeout_ms is taken from the session timeout */
        const struct sync_group_request *sync;
        const struct heartbeat_request *heartbeat;
        const struct leave_group_request *leave; /* v0-2: member_id; later: members */
        /* Topics that exist, with name and id (zero: the client's version has none); others are answered by the caller. */
        const struct offset_commit_request *commit;
        const struct offset_fetch_request_groups *fetch; /* topics_count -1: all; with names */
        const struct offset_delete_request *offset_delete;
    } in;
    union {
        struct join_group_response join;
        struct sync_group_response sync;
        struct heartbeat_response heartbeat;
        struct leave_group_response leave;
        struct offset_commit_response commit;      /* the topics of the input, in its order */
        struct offset_fetch_response_groups fetch; /* error_code: of the group */
        struct offset_delete_response offset_delete;
        enum kafka_error deleted; /* DELETE: one group of a DeleteGroups */
    } out;
    /* OFFSET_FETCH of all: to what topic each offset of out.fetch was committed; zero: by name only. One row after the other. */
    const struct uuid *fetched_ids;
    struct arena arena;
};

/* Sets the out message to its defaults; the caller then fills the inputs. */
void group_request_init(struct group_request *request, enum group_request_type type, int16_t version, struct slice group_id);
void group_request_deinit(struct group_request *request);
/* Fills the answer of any request with one error, in the form that its API has for it. */
void group_request_fail(struct group_request *request, enum kafka_error error);

#endif
