/* What the files of the controller node share; nobody else includes it.
 *
 *   controller_node.c       construction; Raft's callbacks; what the broker is told
 *   controller_operation.c  operations: locks, proposals, commits, answers
 *   controller_requests.c   requests of brokers (20100-20103)
 *   controller_forward.c    clients' admin requests (20104)
 *   controller_tools.c      Kafka's own APIs, for tools
 *   controller_sessions.c   dialing, fencing, preferred leaders
 *   controller_metrics.c    its part of /metrics */
#ifndef SKIFF_CONTROLLER_NODE_CONTROLLER_INTERNAL_H
#define SKIFF_CONTROLLER_NODE_CONTROLLER_INTERNAL_H

#include "controller/metadata/delta.h"
#include "controller/metadata/heartbeat.h"
#include "controller/metadata/quota.h"
#include "controller/node/controller_locks.h"
#include "controller/node/controller_node.h"
#include "gen/controller_rpc.pb-c.h"
#include "gen/kmsg.h"
#include "proto/private_api.h"

/* ---- operations ------------------------------------------------------------------------------------------------------ */

struct operation;

struct operation_kind {
    const char *name;
    /* What it reads and writes. Called again when the image has changed while it waited. */
    void (*locks)(struct operation *operation);
    /* Writes the records and the answer from the current image; nothing else. Called once, with the locks held. */
    void (*decide)(struct operation *operation);
    /* Optional: the records are replayed. */
    void (*committed)(struct operation *operation, int64_t now_us);
    /* The answer waits until the active brokers have applied it. */
    bool waits_for_brokers;
};

enum operation_state {
    OPERATION_WAITING,   /* for locks */
    OPERATION_PROPOSED,  /* its batches go through the log, one after the other */
    OPERATION_COMMITTED, /* the brokers apply it */
};

struct operation {
    struct list_node node; /* in the list of its state */
    struct controller_node *controller;
    const struct operation_kind *kind;
    enum operation_state state;
    struct request *request; /* NULL: the controller's own */
    void *message;           /* the decoded request; in the arena */
    struct arena arena;
    struct records records;
    struct lock_set locks;
    struct arena_mark before_locks;
    int64_t locks_index; /* of the image that they were made from; -1: they were not */
    struct buf *answer;  /* body of the response; NULL without request */
    struct buf **batches;
    uint32_t batch_count, batch_next;
    int64_t index, term;  /* of the batch that was proposed last; 0: none is on its way */
    int64_t answer_by_us; /* COMMITTED: it waits no longer */
    uint64_t connection;  /* that the request came on */
    int64_t broker_id;    /* of what it is about */
    bool is_shutdown;     /* a heartbeat that starts a controlled shutdown */
};

/* ---- the node -------------------------------------------------------------------------------------------------------- */

struct controller_node {
    struct env *env;
    struct controller_node_config config;
    struct server server;
    uint16_t port;
    uint64_t last_connection;
    struct raft_node *raft;
    struct prng prng;
    /* The replicated state. */
    struct image image;
    struct image_delta delta;
    struct uuid cluster_id;
    /* Office. */
    struct raft_node_leader leader;
    struct heartbeats heartbeats;
    struct locks locks;
    struct quotas quotas;                     /* of partitions */
    struct list waiting, proposed, committed; /* struct operation */
    struct list held;                         /* struct held_request: what waits for evidence, for other brokers or for the office */
    struct list dials;                        /* struct dial */
    struct env_timer session_timer, balance_timer, answer_timer, retry_timer;
    int64_t session_timer_us; /* when it is to fire */
    bool is_balance_due;      /* balance_timer runs */
    bool has_failed;          /* the log holds what this version cannot replay: the image is void */
    bool is_pumping, is_retrying;
    uint64_t elections, unclean_elections; /* of partition leaders, while in office */
};

/* controller_node.c */
void controller_fail(struct controller_node *node, const char *reason);
bool controller_is_active(const struct controller_node *node);

/* controller_operation.c */
struct operation *operation_create(struct controller_node *node, const struct operation_kind *kind, struct request *request,
                                   size_t memory_max);
/* Starts it, now or when its locks are free. It ends by itself. */
void operation_submit(struct operation *operation);
/* Decides and answers at once: for what writes no records. */
void operation_decide_now(struct operation *operation);
/* Ends it without an answer: the request is the caller's again. */
void operation_forget(struct operation *operation);
/* For decide(). */
struct control operation_control(struct operation *operation);
/* A batch was committed and replayed. */
void operations_on_committed(struct controller_node *node, int64_t index, int64_t term, int64_t now_us);
/* The active brokers' applied indexes, or the brokers, changed. */
void operations_on_applied(struct controller_node *node, int64_t now_us);
/* The office is lost. */
void operations_drop_all(struct controller_node *node);
void operations_on_retry(struct env_timer *timer, int64_t now_us);
void operations_on_answer_time(struct env_timer *timer, int64_t now_us);
/* Keys. */
void operation_lock_brokers(struct operation *operation, enum lock_mode mode);
void operation_lock_topic(struct operation *operation, struct slice name);
void operation_lock_topic_id(struct operation *operation, ProtobufCBinaryData topic_id);
void operation_lock_name(struct operation *operation, const char *name);

/* controller_requests.c */
enum request_progress controller_on_request(void *user, struct request *request);
void controller_on_closed(void *user, struct connection *connection);
void controller_refuse(struct controller_node *node, struct request *request, enum kafka_error error, const char *message);
/* What was held is looked at again. */
void controller_retry_held(struct controller_node *node);
/* When the first of them has waited long enough; INT64_MAX: none waits. */
int64_t controller_held_until_us(const struct controller_node *node);
uint64_t controller_connection_id(struct controller_node *node, struct request *request);

/* controller_forward.c */
void controller_on_forward(struct operation *operation);

/* controller_tools.c */
void controller_on_tool_request(struct controller_node *node, struct request *request);
/* Borrows from the request; the rest is in the arena. */
void controller_describe_quorum(const struct controller_node *node, const struct describe_quorum_request *request, int16_t api_version,
                                struct arena *arena, struct describe_quorum_response *response);

/* controller_sessions.c */
void sessions_begin(struct controller_node *node, int64_t now_us);
void sessions_end(struct controller_node *node);
/* Dials and fences whatever is due, and sets the timer. */
void sessions_update(struct controller_node *node, int64_t now_us);
void sessions_on_timer(struct env_timer *timer, int64_t now_us);
/* Something changed: leaders may have to move. */
void sessions_balance_soon(struct controller_node *node, int64_t now_us);
void sessions_on_balance(struct env_timer *timer, int64_t now_us);

/* controller_metrics.c */
/* The delta holds what a committed batch changed. */
void controller_count_elections(struct controller_node *node);

#endif
