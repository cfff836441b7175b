/* The benchmark's load generator.  Every result is one line on stdout.
 *
 *   load first-ack ADDRESS TOPIC REPLICAS SINCE      milliseconds from SINCE (seconds, as $EPOCHREALTIME) until a new topic
 *                                                    took a record with acks=all
 *   load produce ADDRESS TOPIC ACKS MEGABYTES        128 KiB batches of 1 KiB records, 5 requests in flight: MB/s
 *   load consume ADDRESS TOPIC [FETCH-VERSION]       partition 0 from offset 0 to its end: MB and MB/s; version 11, or 4, whose
 *                                                    clients may not be given zstd
 *   load latency ADDRESS TOPIC RATE SECONDS          acks=all, one record each, open loop over 16 connections:
 *                                                    p50, p99, p99.9 and longest, in microseconds, from the intended time
 *   load create ADDRESS TOPIC PARTITIONS REPLICAS    milliseconds until every partition's leader serves
 *   load commit ADDRESS TOPIC RATE SECONDS           OffsetCommit of one partition each, 16 groups, as `latency`
 *   load commit-many ADDRESS TOPIC GROUPS            each group commits every partition of the topic: how many offsets
 *   load await-offset ADDRESS GROUP TOPIC SINCE      milliseconds from SINCE until OffsetFetch tells the offset of partition 0
 *   load rebalance ADDRESS GROUP MEMBERS ROUNDS [PID...]
 *                                                    every member joins again with another subscription: milliseconds from the first
 *                                                    JoinGroup to the last SyncGroup's answer (the median of all rounds), and CPU
 *                                                    milliseconds of the processes per round
 *   load metadata ADDRESS REQUESTS                   of all topics, one after the other: p50, p99, p99.9 and longest, in microseconds
 *   load hold ADDRESS CONNECTIONS PID                resident KB of the process before and with so many idle connections
 *   load idle ADDRESS TOPIC CLIENTS SECONDS [PID...] so many members of a group that wait for records with Fetch and send heartbeats,
 *                                                    and as many producers that send nothing: CPU of the processes, % of a core
 *
 * ADDRESS is any node; leaders and coordinators are looked up. */
#include "tests/bench/load.h"
#include "tests/bench/open_loop.h"
#include "tests/bench/raw.h"

#include "common/assert.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { IN_FLIGHT = 5, RECORDS_A_BATCH = 128, RECORD_SIZE = 1010, FETCH_BYTES = 8 << 20, API_FETCH = 1, FETCH_VERSION = 11 };
enum { TOPIC_EXISTS = 36 };

int64_t load_number(const char *text)
{
    int64_t value = 0;
    ASSERT(str_parse_i64(slice_str(text), &value) && value != INT64_MIN);
    return value;
}

int load_fail(const char *what)
{
    (void)fprintf(stderr, "load: %s\n", what);
    return 1;
}

/* A connection to the leader of partition 0. */
static bool open_leader(const char *address, const char *topic, struct wire *w)
{
    struct raw_topic about;
    *w = (struct wire){.fd = -1};
    bool known = raw_describe(address, topic, &about);
    const char *leader = known ? raw_leader_address(&about, 0) : NULL;
    bool open = leader && wire_open(w, leader, RAW_TIMEOUT_MS);
    raw_topic_deinit(&about);
    return open;
}

/* One request, one answer: the error. */
static int produce_once(const char *address, const char *topic, const struct buf *frame)
{
    struct wire w;
    struct buf *answer = NULL;
    int error = RAW_NO_ANSWER;
    if (open_leader(address, topic, &w) && wire_send(&w, buf_slice(frame)) && wire_receive(&w, &answer) == WIRE_ANSWERED)
        error = raw_produce_error(answer);
    buf_unref(answer);
    wire_close(&w);
    return error;
}

static bool try_create(const char *address, const char *topic, int16_t replicas)
{
    struct raw_topic about;
    bool known = raw_describe(address, topic, &about) && about.controller[0] != '\0';
    int error = known ? raw_create_topic(about.controller, topic, 1, replicas) : RAW_NO_ANSWER;
    raw_topic_deinit(&about);
    return error == 0 || error == TOPIC_EXISTS;
}

static int first_ack(char **arguments, int count)
{
    const char *address = arguments[0], *topic = arguments[1];
    int16_t replicas = (int16_t)load_number(arguments[2]);
    double since_s = strtod(arguments[3], NULL);
    struct timespec now;
    (void)count;
    struct buf *frame = raw_produce_frame(topic, -1, 1, 100);
    int64_t deadline_us = raw_now_us() + PATIENCE_US;
    bool created = false;
    int error = RAW_NO_ANSWER;
    while (error != 0 && raw_now_us() < deadline_us) {
        if (!created) created = try_create(address, topic, replicas);
        if (created) error = produce_once(address, topic, frame);
        if (error != 0) (void)usleep(RETRY_US);
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    buf_unref(frame);
    if (error != 0) return load_fail("no acknowledgement");
    (void)printf("%.1f\n", ((double)now.tv_sec + (double)now.tv_nsec / 1e9 - since_s) * 1000);
    return 0;
}

static bool take_answer(struct wire *w)
{
    struct buf *answer = NULL;
    bool ok = wire_receive(w, &answer) == WIRE_ANSWERED && raw_produce_error(answer) == 0;
    buf_unref(answer);
    return ok;
}

static int produce(char **arguments, int count)
{
    const char *topic = arguments[1];
    int64_t megabytes = load_number(arguments[3]);
    struct wire w;
    (void)count;
    if (!open_leader(arguments[0], topic, &w)) return load_fail("no leader");
    struct buf *frame = raw_produce_frame(topic, (int16_t)load_number(arguments[2]), RECORDS_A_BATCH, RECORD_SIZE);
    int64_t total = megabytes * 1000000 / (int64_t)frame->size, sent = 0, acked = 0, began_us = raw_now_us();
    bool ok = true;
    while (ok && acked < total) {
        if (sent < total && sent - acked < IN_FLIGHT) {
            ok = wire_send(&w, buf_slice(frame));
            sent++;
        } else {
            ok = take_answer(&w);
            acked++;
        }
    }
    double seconds = (double)(raw_now_us() - began_us) / 1e6;
    if (ok) (void)printf("%.1f\n", (double)total * (double)frame->size / 1e6 / seconds);
    buf_unref(frame);
    wire_close(&w);
    return ok ? 0 : load_fail("a request was refused");
}

/* ---- consume ---- */

static struct buf *fetch(struct wire *w, int16_t version, const char *topic, int64_t offset, struct reader *answer)
{
    struct writer body;
    writer_init(&body, 128);
    raw_put_fetch(&body, version, topic, 0, offset, FETCH_BYTES);
    struct buf *frame = wire_call(w, API_FETCH, version, false, writer_slice(&body), answer);
    writer_deinit(&body);
    return frame;
}

/* Moves past the whole batches in `records`. */
static int64_t next_offset(struct slice records, int64_t offset)
{
    struct reader r = reader_make(records);
    while (r.left >= 61) {
        int64_t base = reader_i64(&r);
        struct reader batch = reader_make(reader_bytes(&r, (size_t)reader_u32(&r)));
        (void)reader_bytes(&batch, 4 + 1 + 4 + 2);
        int32_t last = reader_i32(&batch);
        if (!reader_ok(&r) || !reader_ok(&batch)) break; /* the last batch may be cut */
        offset = base + last + 1;
    }
    return offset;
}

/* Reads one answer; false on an error.  *end is the high watermark. */
static bool read_fetched(struct reader *r, int16_t version, int64_t *offset, int64_t *end, size_t *bytes)
{
    (void)reader_i32(r); /* throttle */
    if (version >= 7 && reader_i16(r) != 0) return false;
    if (version >= 7) (void)reader_i32(r); /* session */
    (void)reader_i32(r);
    (void)wire_get_string(r);
    (void)reader_i32(r);
    (void)reader_i32(r);
    if (reader_i16(r) != 0) return false;
    *end = reader_i64(r);
    (void)reader_i64(r);                   /* last stable offset */
    if (version >= 5) (void)reader_i64(r); /* log start */
    int32_t aborted = reader_i32(r);
    if (aborted > 0) (void)reader_bytes(r, (size_t)aborted * 16);
    if (version >= 11) (void)reader_i32(r); /* preferred replica */
    int32_t size = reader_i32(r);
    struct slice records = reader_bytes(r, size > 0 ? (size_t)size : 0);
    *bytes += records.n;
    *offset = next_offset(records, *offset);
    return reader_ok(r);
}

static int consume(char **arguments, int count)
{
    const char *topic = arguments[1];
    int16_t version = count > 2 ? (int16_t)load_number(arguments[2]) : FETCH_VERSION;
    struct wire w;
    struct reader r;
    int64_t offset = 0, end = 1, began_us = raw_now_us();
    size_t bytes = 0;
    bool ok = open_leader(arguments[0], topic, &w);
    while (ok && offset < end) {
        struct buf *frame = fetch(&w, version, topic, offset, &r);
        ok = frame && read_fetched(&r, version, &offset, &end, &bytes);
        buf_unref(frame);
    }
    wire_close(&w);
    if (!ok) return load_fail("cannot fetch");
    double megabytes = (double)bytes / 1e6;
    (void)printf("%.1f %.1f\n", megabytes, megabytes / ((double)(raw_now_us() - began_us) / 1e6));
    return 0;
}

/* ---- latency ---- */

static int latency(char **arguments, int count)
{
    struct open_loop loop;
    int64_t rate = load_number(arguments[2]);
    bool ok = true;
    (void)count;
    open_loop_init(&loop, rate, load_number(arguments[3]), raw_produce_error);
    for (int i = 0; i < OPEN_LOOP_LANES; i++) {
        loop.lanes[i].frame = raw_produce_frame(arguments[1], -1, 1, 100);
        ok = open_leader(arguments[0], arguments[1], &loop.lanes[i].wire) && ok;
    }
    ok = ok && open_loop_run(&loop, rate);
    open_loop_deinit(&loop);
    return ok ? 0 : load_fail("a request was refused, or the system cannot keep up");
}

/* ---- create ---- */

static bool all_serve(const char *address, const char *topic, int32_t partitions)
{
    struct raw_topic about;
    int32_t serving = 0;
    if (raw_describe(address, topic, &about) && about.partitions == partitions && about.leaderless == 0)
        for (int32_t i = 0; i < about.brokers; i++) serving += raw_count_serving(about.broker[i].address, topic, &about);
    raw_topic_deinit(&about);
    return serving == partitions;
}

static int create(char **arguments, int count)
{
    const char *address = arguments[0], *topic = arguments[1];
    int32_t partitions = (int32_t)load_number(arguments[2]);
    int16_t replicas = (int16_t)load_number(arguments[3]);
    (void)count;
    struct raw_topic about;
    bool known = raw_describe(address, topic, &about);
    int64_t began_us = raw_now_us();
    int error = known ? raw_create_topic(about.controller, topic, partitions, replicas) : RAW_NO_ANSWER;
    raw_topic_deinit(&about);
    if (error != 0) {
        (void)fprintf(stderr, "load: the topic was not created: error %d\n", error);
        return 1;
    }
    while (!all_serve(address, topic, partitions)) {
        if (raw_now_us() - began_us > PATIENCE_US) return load_fail("not every leader serves");
        (void)usleep(RETRY_US);
    }
    (void)printf("%.1f\n", (double)(raw_now_us() - began_us) / 1000);
    return 0;
}

/* ---- commands ---- */

static const struct command {
    const char *name;
    int least, most; /* arguments */
    int (*run)(char **arguments, int count);
} commands[] = {
    {"first-ack", 4, 4, first_ack},
    {"produce", 4, 4, produce},
    {"consume", 2, 3, consume},
    {"latency", 4, 4, latency},
    {"create", 4, 4, create},
    {"commit", 4, 4, load_commit},
    {"commit-many", 3, 3, load_commit_many},
    {"await-offset", 4, 4, load_await_offset},
    {"rebalance", 4, 99, load_rebalance},
    {"metadata", 2, 2, load_metadata},
    {"hold", 3, 3, load_hold},
    {"idle", 4, 99, load_idle},
};

/* Thousands of connections. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    raise_file_limit();
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
        const struct command *command = &commands[i];
        bool fits = argc - 2 >= command->least && argc - 2 <= command->most;
        if (strcmp(argv[1], command->name) == 0 && fits) return command->run(argv + 2, argc - 2);
    }
    return load_fail("usage: the commands stand at the top of tests/bench/load.c");
}
