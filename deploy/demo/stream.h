/* A stream of lines into one topic, and the readers beside it: the demo's client, built on librdkafka.
 *
 * Threads: one produces (and receives the acknowledgements), one per partition and reader consumes, and the caller's asks
 * and steers.  The lock guards the verdict and every counter below it. */
#ifndef SKIFF_DEPLOY_DEMO_STREAM_H
#define SKIFF_DEPLOY_DEMO_STREAM_H

#include "deploy/demo/lines.h"
#include "deploy/demo/verdict.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>

struct stream_options {
    const char *bootstrap, *topic;
    int32_t partitions, replicas;
    uint64_t lines_min;             /* finish only after so many */
    uint64_t lines_per_s;           /* pace until the end is asked for; 0: as fast as it goes */
    const char *min_insync;         /* min.insync.replicas of the topic */
    const char *request_timeout_ms; /* after which the client gives up on a node that does not answer */
};

struct stream_reader {
    struct stream *stream;
    enum reader_id id;
    int32_t partition;
    pthread_t thread;
    int64_t end; /* stop before this offset; -1: not known yet */
    bool complete;
};

/* Acknowledgements of one partition since the last mark. */
struct stream_gap {
    int64_t last_ack_us, longest_us;
    bool acked_awaited; /* a record that was sent after the last stream_await_acks() began */
};

struct stream {
    struct stream_options options;
    rd_kafka_t *producer;
    struct lines lines;
    pthread_t thread;
    struct stream_reader live[VERDICT_PARTITIONS_MAX];

    pthread_mutex_t lock;
    struct verdict verdict;
    struct stream_gap gaps[VERDICT_PARTITIONS_MAX];
    uint32_t awaited; /* number of the first record that stream_await_acks() waits for */
    uint64_t failed;
    bool finishing, flushed, aborted;
    int64_t started_us;
};

int64_t stream_now_us(void);
/* Makes the client and the topic.  False, with a line on stderr, when that fails. */
bool stream_init(struct stream *s, const struct stream_options *options);
void stream_deinit(struct stream *s);
/* Starts producing and reading. */
void stream_start(struct stream *s);
/* Gaps are measured from here. */
void stream_mark(struct stream *s);
/* Until every partition has acknowledged a record that was sent after the call; false after timeout_ms. */
bool stream_await_acks(struct stream *s, int timeout_ms);
/* "Topic: ... Partition: 0  Leader: 2  Replicas: 2,0,1  Isr: 0,1" for each partition. */
bool stream_describe(struct stream *s, FILE *out);
/* Until every partition has a leader and `members` in-sync replicas; false after timeout_ms. */
bool stream_await_isr(struct stream *s, int members, int timeout_ms);
void stream_print_gaps(struct stream *s, FILE *out);
/* Sends up to lines_min, flushes, lets the live readers catch up and reads all again from offset 0. */
bool stream_finish(struct stream *s, FILE *out);

/* A client's configuration from names and values that are known to be right. */
rd_kafka_conf_t *stream_conf(const char *const settings[][2], size_t count);
/* reader.c: reads one partition from offset 0 until reader->end. */
void *stream_reader_run(void *reader);

#endif
