/* What the cases of librdkafka in the client matrix share: clients, topics, records, the group's members.
 *
 * Each case runs in a child process with one thread of its own: kit_fail() ends it, and what it has open ends with it. */
#ifndef SKIFF_TESTS_COMPAT_LIBRDKAFKA_KIT_H
#define SKIFF_TESTS_COMPAT_LIBRDKAFKA_KIT_H

#include "common/attr.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

enum { KIT_TIMEOUT_MS = 30000 };

struct kit_case {
    const char *name;
    void (*run)(void);
    bool kills; /* begins with every node up, and has more time */
};

/* Runs the cases one after the other and reports them in TAP; the exit status of the program. */
int kit_run(const struct kit_case *cases, size_t count);
/* Ends the case as failed. */
NORETURN void kit_fail(const char *format, ...) PRINTF_LIKE(1, 2);
/* What the report says beside "passed". */
void kit_note(const char *format, ...) PRINTF_LIKE(1, 2);
void kit_expect(bool is_right, const char *format, ...) PRINTF_LIKE(2, 3);
void kit_expect_error(const char *what, rd_kafka_resp_err_t expected, rd_kafka_resp_err_t found);
int64_t kit_now_ms(void);
/* The name of a topic or group of this run; never freed. */
char *kit_name(const char *suffix);
/* Kills the leader of a partition (kill-leader.sh). */
void kit_kill_leader(const char *topic, int32_t partition);

/* What became of the records that a producer sent. */
struct kit_deliveries {
    size_t acked, failed;
    rd_kafka_resp_err_t error;
};

/* `settings` are "key=value" with blanks between them. Delivery reports count in `deliveries`, which may be NULL. */
rd_kafka_t *kit_producer(const char *settings, struct kit_deliveries *deliveries);
rd_kafka_t *kit_consumer(const char *group, const char *settings);
/* A topic with three replicas, two of which must be in sync; its name. */
char *kit_topic(const char *suffix, int partitions, const char *settings);
/* Partitions of a topic as the cluster says. */
int32_t kit_partition_count(const char *topic);

/* A record to be sent; partition and timestamp_ms are the client's own unless set. */
struct kit_record {
    const char *topic;
    const void *key, *value;
    size_t key_size, value_size;
    int32_t partition;
    int64_t timestamp_ms;
    rd_kafka_headers_t *headers; /* taken over */
};
struct kit_record kit_record(const char *topic, const char *key, const char *value);
rd_kafka_resp_err_t kit_try_send(rd_kafka_t *producer, const struct kit_record *record);
void kit_send(rd_kafka_t *producer, const struct kit_record *record);
/* Records FIRST to LAST: "value N" under one of 97 keys, N ms after `timestamp_ms` unless that is 0. */
void kit_send_numbered(rd_kafka_t *producer, const char *topic, int first, int last, int64_t timestamp_ms);
/* Until every record is acknowledged. */
void kit_flush(rd_kafka_t *producer, const struct kit_deliveries *deliveries);

/* Messages that were read, in the order in which they came. */
struct kit_messages {
    rd_kafka_message_t **at;
    size_t count, capacity;
};
void kit_keep(struct kit_messages *messages, rd_kafka_message_t *message);
void kit_forget(struct kit_messages *messages);
/* Everything in a topic, by a consumer of its own. */
void kit_read_all(const char *topic, struct kit_messages *out);
/* The number in a value of kit_send_numbered(). */
int kit_number(const rd_kafka_message_t *message);
/* Each record of kit_send_numbered(1 to count) once, with its key, in order in its partition. */
void kit_expect_numbered(const struct kit_messages *messages, int count);

void cases_codec_none(void);
void cases_codec_gzip(void);
void cases_codec_snappy(void);
void cases_codec_lz4(void);
void cases_codec_zstd(void);
void cases_headers(void);
void cases_null_key_value(void);
void cases_big_record(void);
void cases_idempotence(void);
void cases_partitioner(void);
void cases_offsets(void);
void cases_group(void);
void cases_group_cooperative(void);
void cases_group_static(void);
void cases_group_killed(void);
void cases_admin(void);
void cases_leader_killed(void);
void cases_txn_refused(void);

#endif
