/* One model client: connections, metadata, calls. Internal to the workload. */
#ifndef SKIFF_TESTS_SIM_CLIENT_H
#define SKIFF_TESTS_SIM_CLIENT_H

#include "common/assert.h"
#include "common/mem.h"
#include "proto/codec.h"
#include "tests/sim/member.h"
#include "tests/sim/workload.h"

struct client_broker {
    struct client *client;
    struct channel *channel; /* NULL: none */
};
struct client_partition {
    int32_t leader, leader_epoch; /* -1: unknown */
};

/* A request under way; embedded in what waits for it. */
struct client_call {
    struct channel_call call;
    struct client *client;
    /* `response` is the API's struct, valid during the call; NULL with an error. */
    void (*done)(struct client_call *call, enum err err, const void *response, int64_t now_us);
};

struct batch {
    struct list_node node;
    struct producer *producer;
    struct client_call call;
    struct buf *records;
    uint32_t first_number, count;
    int32_t base_sequence;
    struct client_partition asked; /* the leader that it was sent to */
    bool is_sent, is_acked;
};
struct producer {
    struct client *client;
    uint32_t partition;
    struct list batches; /* not acknowledged, oldest first */
    uint32_t batch_count, next_number;
    int32_t next_sequence;
    bool has_acked; /* ever, and it was not deleted */
    struct env_timer timer;
};
struct consumer {
    struct client *client;
    uint32_t partition;
    int64_t offset;
    struct client_call call;
    struct env_timer timer;
    /* The final read: from the start to the high watermark, into values. */
    bool is_final, is_done;
    int64_t start; /* of the log, as an answer said that we had asked below it */
    uint64_t *values;
    int64_t count, capacity;
};

enum member_step { MEMBER_JOINING, MEMBER_SYNCING, MEMBER_READING, MEMBER_STABLE };
struct member {
    struct client *client;
    struct client_call call;
    struct env_timer timer;
    enum member_step step;
    int32_t coordinator, generation; /* -1 */
    char id[MEMBER_ID_MAX];
    char others[WORKLOAD_CLIENTS_MAX][MEMBER_ID_MAX]; /* for a leader: who shares the partitions */
    uint32_t other_count;
    uint32_t owned; /* a set of partitions */
    uint32_t commit_partition;
    int64_t commit_offset;
    int64_t asked_us;       /* when the question left ... */
    int32_t stored_before;  /* ... and the newest generation that was stored then */
    bool is_asking_anybody; /* not the coordinator that it knows */
};

struct client {
    struct workload *workload;
    struct env *env;
    uint32_t index;
    struct prng prng;
    struct client_broker brokers[WORKLOAD_NODES_MAX];
    struct client_partition partitions[WORKLOAD_PARTITIONS_MAX];
    bool has_begun[WORKLOAD_TOPICS_MAX]; /* to produce and to consume */
    struct client_call metadata_call, create_call, delete_call, move_call, trim_call, producer_id_call;
    int64_t move_at_us; /* the next reassignment */
    bool is_refresh_due, is_set_up;
    struct env_timer refresh_timer, setup_timer;
    uint32_t creating, deleting; /* the topic that the call is about */
    uint32_t trimming;           /* the partition */
    int64_t trim_offset;
    int64_t producer_id; /* -1: none yet */
    int16_t producer_epoch;
    struct producer producers[WORKLOAD_PARTITIONS_MAX];
    struct consumer consumers[WORKLOAD_PARTITIONS_MAX];
    struct member member;
};

/* `broker` -1: any. The call must not be under way. */
void client_send(struct client_call *call, int32_t broker, int16_t api_key, int16_t version, const void *request, int64_t timeout_us);
static inline bool client_call_is_pending(const struct client_call *call) { return channel_call_is_pending(&call->call); }
/* What we know of leaders is wrong: ask again soon. */
void client_refresh(struct client *client);
int64_t client_pause_us(struct client *client, int64_t mean_us);

/* admin.c: topics come and go, records are deleted. Client 0 does it for all. */
void admin_init(struct client *client);
/* The next thing to do; false: nothing now. */
bool admin_step(struct client *client);
bool admin_is_done(const struct workload *workload);

void producer_init(struct producer *producer, struct client *client, uint32_t partition);
void producer_begin(struct producer *producer);
void member_init(struct member *member, struct client *client);
void member_begin(struct member *member);
void consumer_init(struct consumer *consumer, struct client *client, uint32_t partition);
void consumer_begin(struct consumer *consumer);
void consumer_begin_final(struct consumer *consumer);

#endif
