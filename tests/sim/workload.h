/* Model clients of a simulated cluster, and the history of what they saw.
 *
 * Each client is a process on a node of its own: an idempotent acks=all producer for every partition, with up to five batches
 * under way, and a consumer of every partition that starts over from time to time. They speak Kafka's protocol over
 * proto/channel. What they are told goes into the history, which finds contradictions at once:
 *
 *   L-OFF1   an offset of a partition has one content, whoever tells it
 *   Q-REPEAT nothing at or above the answer's high watermark is handed out
 *   I-GAP    the batch after an acknowledged one is never out of order
 *   I-DUP    no record at two offsets; the sequence of each producer without gap or change of order (final read)
 *   Q-LOST   every acknowledged record is there in the end, at the offset of its acknowledgement (final read)
 *   Q-RANGE  no offset that was once readable is ever out of range, unless its deletion was asked for
 *   Q-TRIM   what was deleted stays so, and nothing above it goes: in the end a partition starts where it was asked to
 *
 * Memory: a client's belongs to its node; the history is the test program's. */
#ifndef SKIFF_TESTS_SIM_WORKLOAD_H
#define SKIFF_TESTS_SIM_WORKLOAD_H

#include "common/uuid.h"
#include "proto/channel.h"
#include "proto/errors.h"
#include "tests/sim/sim.h"

#define WORKLOAD_NODES_MAX      9
#define WORKLOAD_TOPICS_MAX     8
#define WORKLOAD_PARTITIONS_MAX 16 /* of all topics together */
#define WORKLOAD_CLIENTS_MAX    4
#define GROUP_PARTITIONS        4 /* that the model group shares out */
#define PRODUCER_WINDOW_MAX     5 /* what an idempotent producer may have under way */

/* ---- verdict ------------------------------------------------------------------------------------------------------- */

struct verdict {
    const char *id; /* of the first invariant that broke; NULL: none */
    char text[512];
};
/* Later failures of the same run are dropped. */
void verdict_fail(struct verdict *verdict, const char *id, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- history ------------------------------------------------------------------------------------------------------- */

/* Who produced a record, and its place in the producer's sequence for the partition. Never 0. */
static inline uint64_t record_value(uint32_t client, uint32_t partition, uint32_t number)
{
    return UINT64_C(1) << 63 | (uint64_t)client << 48 | (uint64_t)partition << 32 | number;
}
static inline uint32_t record_client(uint64_t value) { return (uint32_t)(value >> 48 & 0x7fff); }
static inline uint32_t record_partition(uint64_t value) { return (uint32_t)(value >> 32 & 0xffff); }
static inline uint32_t record_number(uint64_t value) { return (uint32_t)value; }

struct history_producer {
    int64_t *offsets; /* of each record's acknowledgement; -1: none yet */
    uint32_t count, capacity;
};
struct history_partition {
    uint64_t *values; /* by offset; 0: not seen */
    int64_t count, capacity;
    int64_t readable_end; /* the greatest high watermark that a consumer was told */
    int64_t trim_asked;   /* the records below it were asked to be deleted ... */
    int64_t trim_done;    /* ... and the answer was that those below this one are */
    bool trim_lingers;    /* a request had no answer, and may come late */
    struct history_producer producers[WORKLOAD_CLIENTS_MAX];
};
struct history {
    struct verdict *verdict;
    struct history_partition partitions[WORKLOAD_PARTITIONS_MAX];
    uint64_t acked, read;
    int64_t last_ack_us;
    void (*on_acked)(void *context, uint32_t partition, int64_t offset); /* optional */
    void *context;
};
void history_init(struct history *history, struct verdict *verdict);
void history_deinit(struct history *history);
/* Someone was told that `value` is at `offset`. */
void history_place(struct history *history, uint32_t partition, int64_t offset, uint64_t value, const char *told_by);
void history_acked(struct history *history, uint64_t value, int64_t offset, int64_t now_us);
void history_readable(struct history *history, uint32_t partition, int64_t end);
/* Where the last record is that was acknowledged with all before it; 0: there is none. */
int64_t history_settled(const struct history *history, uint32_t partition, uint32_t client);
/* The whole partition as it is in the end, by offset; it begins at `start`. */
void history_check_final(struct history *history, uint32_t partition, const uint64_t *values, int64_t start, int64_t count);

/* ---- workload ------------------------------------------------------------------------------------------------------ */

/* One life of a topic: what is created again under its name is another one, with partitions of its own. */
struct workload_topic {
    char name[32];
    struct uuid id; /* zero until committed metadata has it */
    bool is_created;
    bool is_deleted; /* its deletion was asked for: nothing is owed any more */
    bool is_gone;    /* its deletion was answered */
    int32_t partition_count;
    int16_t replication_factor, min_insync;
    uint32_t first; /* number of its partition 0 among all */
};
struct group_history;
struct workload {
    struct sim *sim;
    struct verdict *verdict;
    struct history history;
    uint32_t node_count;
    uint32_t voter_count;  /* the nodes before this one are controllers ... */
    uint32_t first_broker; /* ... and those from this one on brokers: some are both */
    char hosts[WORKLOAD_NODES_MAX][16];
    uint16_t port;
    uint32_t topic_count, partition_count, client_count;
    uint32_t first_life_count; /* the topics that are created at the start; the others were created again */
    struct workload_topic topics[WORKLOAD_TOPICS_MAX];
    uint32_t window;      /* batches under way of a producer */
    uint32_t records_max; /* per producer */
    int64_t think_us;     /* mean pause between batches */
    int16_t produce_version, fetch_version, metadata_version;
    /* Whether that node leads the partition in that epoch, as committed metadata has it. */
    bool (*leads)(void *context, uint32_t partition, int32_t node, int32_t leader_epoch);
    void *context;
    struct group_history *groups; /* NULL: no group; else every client is a member (member.h) */
    int64_t move_us;              /* mean pause between reassignments of replicas; 0: none */
    bool is_stopping;             /* no new batches; those under way are finished */
    struct client *clients[WORKLOAD_CLIENTS_MAX];
    struct sim_node *client_nodes[WORKLOAD_CLIENTS_MAX];
};
/* Adds the client nodes (not started). Topics and the rest are set by the caller before. */
void workload_add_clients(struct workload *workload);
/* Every batch that was ever begun is acknowledged. */
bool workload_is_quiet(const struct workload *workload);
/* Asks for the topic to be deleted and created again. False: not possible now. */
bool workload_recreate(struct workload *workload, uint32_t topic);
/* Asks for the records below some offset to be deleted. False: not possible now. */
bool workload_trim(struct workload *workload, uint32_t partition, struct prng *prng);
/* Committed metadata has a topic of that name and id. */
void workload_learn(struct workload *workload, struct slice name, struct uuid id);
const struct workload_topic *workload_topic_of(const struct workload *workload, uint32_t partition);
/* Reads every partition from the start to the high watermark and checks it. Drives the simulation; false: not done in time. */
bool workload_final_read(struct workload *workload, int64_t timeout_us);

#endif
