/* The few requests that the benchmark sends, over plain sockets: a load generator that costs little and sends both systems
 * the same bytes. */
#ifndef SKIFF_TESTS_BENCH_RAW_H
#define SKIFF_TESTS_BENCH_RAW_H

#include "tests/integration/wire.h"

enum { RAW_TIMEOUT_MS = 30000, RAW_ADDRESS_MAX = 96, RAW_NO_ANSWER = -1000 };

/* Partitions of one topic and who leads them. */
struct raw_topic {
    int32_t partitions;
    int32_t leaderless;
    int32_t *leaders; /* broker id by partition */
    int32_t brokers;
    struct {
        int32_t id;
        char address[RAW_ADDRESS_MAX];
    } broker[16];
    char controller[RAW_ADDRESS_MAX]; /* where to send CreateTopics; "" when not known */
};

int64_t raw_now_us(void);
/* Wraps a body in a whole frame, to be sent many times. Non-flexible versions. */
struct buf *raw_frame(int16_t key, int16_t version, struct slice body);
/* False when the node does not answer.  A topic that does not exist has no partitions. */
bool raw_describe(const char *address, const char *topic, struct raw_topic *out);
void raw_topic_deinit(struct raw_topic *topic);
const char *raw_leader_address(const struct raw_topic *topic, int32_t partition);
/* The topic's Kafka error, or RAW_NO_ANSWER. */
int raw_create_topic(const char *address, const char *topic, int32_t partitions, int16_t replicas);
/* A whole Produce frame, acks as given: one batch of `records` records of `size` bytes each, to partition 0. */
struct buf *raw_produce_frame(const char *topic, int16_t acks, int32_t records, size_t size);
/* The error in a Produce answer (a frame as wire_receive() gives it). */
int raw_produce_error(const struct buf *answer);
/* The body of a Fetch of one partition, v4 (before zstd, before sessions) or v11. */
void raw_put_fetch(struct writer *body, int16_t version, const char *topic, int32_t partition, int64_t offset, int32_t bytes_max);
/* The group's coordinator; asks until there is one. False: the time is up. */
bool raw_await_coordinator(const char *address, const char *group, char coordinator[RAW_ADDRESS_MAX]);
/* How many of the partitions that the broker at `address` leads answer ListOffsets without an error. */
int32_t raw_count_serving(const char *address, const char *topic, const struct raw_topic *about);

#endif
