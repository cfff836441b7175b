/* The benchmark's load generator.  Every result is one line on stdout.
 *
 *   load first-ack ADDRESS TOPIC REPLICAS SINCE      milliseconds from SINCE (seconds, as $EPOCHREALTIME) until a new topic
 *                                                    took a record with acks=all
 *   load produce ADDRESS TOPIC ACKS MEGABYTES        128 KiB batches of 1 KiB records, 5 requests in flight: MB/s
 *   load consume ADDRESS TOPIC                       partition 0 from offset 0 to its end: MB and MB/s
 *   load latency ADDRESS TOPIC RATE SECONDS          acks=all, one record each, open loop over 16 connections:
 *                                                    p50, p99, p99.9 and longest, in microseconds, from the intended time
 *   load create ADDRESS TOPIC PARTITIONS REPLICAS    milliseconds until every partition's leader serves
 *
 * ADDRESS is any node; partition 0's leader is looked up. */
#include "tests/bench/raw.h"

#include "common/assert.h"
#include "common/mem.h"
#include "common/str.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { IN_FLIGHT = 5, CONNECTIONS = 16, RECORDS_A_BATCH = 128, RECORD_SIZE = 1010, FETCH_BYTES = 8 << 20, API_FETCH = 1 };
enum { TOPIC_EXISTS = 36, PATIENCE_US = 120000000, RETRY_US = 1000 };

static int64_t parse(const char *text)
{
    int64_t value = 0;
    ASSERT(str_parse_i64(slice_str(text), &value) && value != INT64_MIN);
    return value;
}

static int fail(const char *what)
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

static int first_ack(const char *address, const char *topic, int16_t replicas, double since_s)
{
    struct timespec now;
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
    if (error != 0) return fail("no acknowledgement");
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

static int produce(const char *address, const char *topic, int16_t acks, int64_t megabytes)
{
    struct wire w;
    if (!open_leader(address, topic, &w)) return fail("no leader");
    struct buf *frame = raw_produce_frame(topic, acks, RECORDS_A_BATCH, RECORD_SIZE);
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
    return ok ? 0 : fail("a request was refused");
}

/* ---- consume ---- */

/* Fetch v11 of partition 0: older ones may not carry zstd, which a server has to look for. */
static struct buf *fetch(struct wire *w, const char *topic, int64_t offset, struct reader *answer)
{
    struct writer body;
    writer_init(&body, 128);
    writer_i32(&body, -1);  /* no replica */
    writer_i32(&body, 500); /* wait at most */
    writer_i32(&body, 1);   /* for so many bytes */
    writer_i32(&body, FETCH_BYTES);
    writer_i8(&body, 0);   /* isolation */
    writer_i32(&body, 0);  /* no session */
    writer_i32(&body, -1); /* nor a new one */
    writer_i32(&body, 1);
    wire_put_string(&body, topic);
    writer_i32(&body, 1);
    writer_i32(&body, 0);
    writer_i32(&body, -1); /* any leader epoch */
    writer_i64(&body, offset);
    writer_i64(&body, -1); /* no log start: not a replica */
    writer_i32(&body, FETCH_BYTES);
    writer_i32(&body, 0); /* nothing forgotten */
    wire_put_string(&body, "");
    struct buf *frame = wire_call(w, API_FETCH, 11, false, writer_slice(&body), answer);
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
static bool read_fetched(struct reader *r, int64_t *offset, int64_t *end, size_t *bytes)
{
    (void)reader_i32(r); /* throttle */
    if (reader_i16(r) != 0) return false;
    (void)reader_i32(r); /* session */
    (void)reader_i32(r);
    (void)wire_get_string(r);
    (void)reader_i32(r);
    (void)reader_i32(r);
    if (reader_i16(r) != 0) return false;
    *end = reader_i64(r);
    (void)reader_i64(r); /* last stable offset */
    (void)reader_i64(r); /* log start */
    int32_t aborted = reader_i32(r);
    if (aborted > 0) (void)reader_bytes(r, (size_t)aborted * 16);
    (void)reader_i32(r); /* preferred replica */
    int32_t size = reader_i32(r);
    struct slice records = reader_bytes(r, size > 0 ? (size_t)size : 0);
    *bytes += records.n;
    *offset = next_offset(records, *offset);
    return reader_ok(r);
}

static int consume(const char *address, const char *topic)
{
    struct wire w;
    struct reader r;
    int64_t offset = 0, end = 1, began_us = raw_now_us();
    size_t bytes = 0;
    bool ok = open_leader(address, topic, &w);
    while (ok && offset < end) {
        struct buf *frame = fetch(&w, topic, offset, &r);
        ok = frame && read_fetched(&r, &offset, &end, &bytes);
        buf_unref(frame);
    }
    wire_close(&w);
    if (!ok) return fail("cannot fetch");
    double megabytes = (double)bytes / 1e6;
    (void)printf("%.1f %.1f\n", megabytes, megabytes / ((double)(raw_now_us() - began_us) / 1e6));
    return 0;
}

/* ---- latency ---- */

struct lane {
    struct wire wire;
    int64_t *intended_us; /* ring of requests without an answer */
    size_t first, count;
};

struct latencies {
    int64_t *us;
    size_t count;
};

static bool lane_send(struct lane *lane, const struct buf *frame, int64_t intended_us, size_t ring)
{
    if (lane->count == ring) return false;
    lane->intended_us[(lane->first + lane->count++) % ring] = intended_us;
    return wire_send(&lane->wire, buf_slice(frame));
}

static bool lane_receive(struct lane *lane, struct latencies *seen, size_t ring)
{
    if (!take_answer(&lane->wire)) return false;
    seen->us[seen->count++] = raw_now_us() - lane->intended_us[lane->first];
    lane->first = (lane->first + 1) % ring;
    lane->count--;
    return true;
}

/* Takes the answers that are there, waiting until `until_us` for the first. */
static bool take_answers(struct lane *lanes, struct latencies *seen, int64_t until_us, size_t ring)
{
    struct pollfd ready[CONNECTIONS];
    int64_t left_us = until_us - raw_now_us();
    struct timespec wait = {.tv_nsec = left_us > 0 ? (long)(left_us < 900000 ? left_us * 1000 : 900000000) : 0};
    for (int i = 0; i < CONNECTIONS; i++) ready[i] = (struct pollfd){.fd = lanes[i].wire.fd, .events = POLLIN};
    if (ppoll(ready, CONNECTIONS, &wait, NULL) <= 0) return true;
    for (int i = 0; i < CONNECTIONS; i++)
        if (ready[i].revents && !lane_receive(&lanes[i], seen, ring)) return false;
    return true;
}

static bool run_open_loop(struct lane *lanes, const struct buf *frame, int64_t rate, size_t total, struct latencies *seen)
{
    int64_t began_us = raw_now_us(), deadline_us = began_us + (int64_t)total * 1000000 / rate + PATIENCE_US;
    for (size_t sent = 0; seen->count < total && raw_now_us() < deadline_us;) {
        int64_t due_us = began_us + (int64_t)sent * 1000000 / rate;
        if (sent < total && raw_now_us() >= due_us) {
            if (!lane_send(&lanes[sent % CONNECTIONS], frame, due_us, total)) return false;
            sent++;
        } else if (!take_answers(lanes, seen, sent < total ? due_us : deadline_us, total)) {
            return false;
        }
    }
    return seen->count == total;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int latency(const char *address, const char *topic, int64_t rate, int64_t seconds)
{
    struct lane lanes[CONNECTIONS];
    size_t total = (size_t)(rate * seconds);
    struct latencies seen = {.us = mem_calloc(total, sizeof *seen.us)};
    struct buf *frame = raw_produce_frame(topic, -1, 1, 100);
    bool ok = true;
    for (int i = 0; i < CONNECTIONS; i++) {
        lanes[i] = (struct lane){.intended_us = mem_calloc(total, sizeof(int64_t))};
        ok = open_leader(address, topic, &lanes[i].wire) && ok;
    }
    ok = ok && run_open_loop(lanes, frame, rate, total, &seen);
    for (int i = 0; i < CONNECTIONS; i++) {
        wire_close(&lanes[i].wire);
        mem_free(lanes[i].intended_us);
    }
    if (ok) {
        qsort(seen.us, total, sizeof *seen.us, compare_i64);
        (void)printf("%lld %lld %lld %lld\n", (long long)seen.us[total / 2], (long long)seen.us[total * 99 / 100],
                     (long long)seen.us[total * 999 / 1000], (long long)seen.us[total - 1]);
    }
    buf_unref(frame);
    mem_free(seen.us);
    return ok ? 0 : fail("a request was refused, or the system cannot keep up");
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

static int create(const char *address, const char *topic, int32_t partitions, int16_t replicas)
{
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
        if (raw_now_us() - began_us > PATIENCE_US) return fail("not every leader serves");
        (void)usleep(RETRY_US);
    }
    (void)printf("%.1f\n", (double)(raw_now_us() - began_us) / 1000);
    return 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 3 ? argv[1] : "";
    if (strcmp(command, "first-ack") == 0 && argc == 6) return first_ack(argv[2], argv[3], (int16_t)parse(argv[4]), strtod(argv[5], NULL));
    if (strcmp(command, "produce") == 0 && argc == 6) return produce(argv[2], argv[3], (int16_t)parse(argv[4]), parse(argv[5]));
    if (strcmp(command, "consume") == 0 && argc == 4) return consume(argv[2], argv[3]);
    if (strcmp(command, "latency") == 0 && argc == 6) return latency(argv[2], argv[3], parse(argv[4]), parse(argv[5]));
    if (strcmp(command, "create") == 0 && argc == 6) return create(argv[2], argv[3], (int32_t)parse(argv[4]), (int16_t)parse(argv[5]));
    return fail("usage: load first-ack|produce|consume|latency|create ADDRESS TOPIC ...");
}
