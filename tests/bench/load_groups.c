/* Consumer groups: commits, loading, rebalances. */
#include "common/mem.h"
#include "tests/bench/load.h"
#include "tests/bench/members.h"
#include "tests/bench/open_loop.h"
#include "tests/bench/process.h"
#include "tests/bench/raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { API_OFFSET_COMMIT = 8, API_OFFSET_FETCH = 9, COMMIT_VERSION = 7, OFFSET_FETCH_VERSION = 5, GROUP_NAME_MAX = 64 };

/* ---- OffsetCommit -------------------------------------------------------------------------------------------------- */

/* Of partitions 0 to `partitions` - 1, by nobody's member, as tools and consumers that assign themselves do. */
static void put_commit(struct writer *body, const char *group, const char *topic, int32_t partitions)
{
    wire_put_string(body, group);
    writer_i32(body, -1); /* generation */
    wire_put_string(body, "");
    wire_put_string(body, NULL); /* instance */
    writer_i32(body, 1);
    wire_put_string(body, topic);
    writer_i32(body, partitions);
    for (int32_t i = 0; i < partitions; i++) {
        writer_i32(body, i);
        writer_i64(body, 1000000 + i);
        writer_i32(body, 0); /* leader epoch */
        wire_put_string(body, "");
    }
}

/* The first error in the answer, a frame as wire_receive() gives it. */
static int commit_error(const struct buf *answer)
{
    struct reader r = reader_make(buf_slice(answer));
    (void)reader_i32(&r); /* correlation */
    (void)reader_i32(&r); /* throttle */
    (void)reader_i32(&r); /* one topic */
    (void)wire_get_string(&r);
    int error = 0;
    for (int32_t n = reader_i32(&r); n > 0 && error == 0 && reader_ok(&r); n--) {
        (void)reader_i32(&r);
        error = reader_i16(&r);
    }
    return reader_ok(&r) ? error : RAW_NO_ANSWER;
}

static bool open_coordinator(const char *address, const char *group, struct wire *w)
{
    char coordinator[RAW_ADDRESS_MAX];
    w->fd = -1;
    return raw_await_coordinator(address, group, coordinator) && wire_open(w, coordinator, RAW_TIMEOUT_MS);
}

static struct buf *commit_frame(const char *group, const char *topic, int32_t partitions)
{
    struct writer body;
    writer_init(&body, 128 + (size_t)partitions * 20);
    put_commit(&body, group, topic, partitions);
    struct buf *frame = raw_frame(API_OFFSET_COMMIT, COMMIT_VERSION, writer_slice(&body));
    writer_deinit(&body);
    return frame;
}

static int commit_once(struct wire *w, const struct buf *frame)
{
    struct buf *answer = NULL;
    bool is_answered = wire_send(w, buf_slice(frame)) && wire_receive(w, &answer) == WIRE_ANSWERED;
    int error = is_answered ? commit_error(answer) : RAW_NO_ANSWER;
    buf_unref(answer);
    return error;
}

/* The coordinator may have to load first. */
static bool commit_at_last(struct wire *w, const struct buf *frame)
{
    int64_t deadline_us = raw_now_us() + PATIENCE_US;
    while (commit_once(w, frame) != 0) {
        if (raw_now_us() > deadline_us) return false;
        (void)usleep(RETRY_US);
    }
    return true;
}

int load_commit(char **arguments, int count)
{
    struct open_loop loop;
    int64_t rate = load_number(arguments[2]);
    bool ok = true;
    (void)count;
    open_loop_init(&loop, rate, load_number(arguments[3]), commit_error);
    for (int i = 0; i < OPEN_LOOP_LANES; i++) {
        char group[GROUP_NAME_MAX];
        struct open_loop_lane *lane = &loop.lanes[i];
        (void)snprintf(group, sizeof group, "commits-%d", i);
        lane->frame = commit_frame(group, arguments[1], 1);
        ok = ok && open_coordinator(arguments[0], group, &lane->wire) && commit_at_last(&lane->wire, lane->frame);
    }
    ok = ok && open_loop_run(&loop, rate);
    open_loop_deinit(&loop);
    return ok ? 0 : load_fail("a commit was refused, or the system cannot keep up");
}

static bool commit_all(const char *address, const char *topic, int32_t partitions, int number)
{
    struct wire w;
    char group[GROUP_NAME_MAX];
    (void)snprintf(group, sizeof group, "many-%d", number);
    struct buf *frame = commit_frame(group, topic, partitions);
    bool ok = open_coordinator(address, group, &w) && commit_at_last(&w, frame);
    wire_close(&w);
    buf_unref(frame);
    return ok;
}

int load_commit_many(char **arguments, int count)
{
    struct raw_topic about;
    int groups = (int)load_number(arguments[2]);
    bool ok = raw_describe(arguments[0], arguments[1], &about) && about.partitions > 0;
    int32_t partitions = about.partitions;
    raw_topic_deinit(&about);
    (void)count;
    for (int i = 0; ok && i < groups; i++) ok = commit_all(arguments[0], arguments[1], partitions, i);
    if (!ok) return load_fail("a commit was refused");
    (void)printf("%lld\n", (long long)groups * partitions);
    return 0;
}

/* ---- OffsetFetch --------------------------------------------------------------------------------------------------- */

/* v5, partition 0; -1 while there is no such offset. */
static int64_t fetch_offset(const char *coordinator, const char *group, const char *topic)
{
    struct wire w;
    struct writer body;
    struct reader r;
    if (!wire_open(&w, coordinator, RAW_TIMEOUT_MS)) return -1;
    writer_init(&body, 128);
    wire_put_string(&body, group);
    writer_i32(&body, 1);
    wire_put_string(&body, topic);
    writer_i32(&body, 1);
    writer_i32(&body, 0);
    struct buf *frame = wire_call(&w, API_OFFSET_FETCH, OFFSET_FETCH_VERSION, false, writer_slice(&body), &r);
    writer_deinit(&body);
    wire_close(&w);
    if (!frame) return -1;
    (void)reader_i32(&r); /* throttle */
    int32_t topics = reader_i32(&r);
    (void)wire_get_string(&r);
    (void)reader_i32(&r); /* one partition */
    (void)reader_i32(&r);
    int64_t offset = topics == 1 ? reader_i64(&r) : -1;
    bool is_whole = reader_ok(&r);
    buf_unref(frame);
    return is_whole ? offset : -1;
}

int load_await_offset(char **arguments, int count)
{
    struct timespec now;
    char coordinator[RAW_ADDRESS_MAX];
    double since_s = strtod(arguments[3], NULL);
    int64_t deadline_us = raw_now_us() + PATIENCE_US;
    (void)count;
    while (!raw_await_coordinator(arguments[0], arguments[1], coordinator) || fetch_offset(coordinator, arguments[1], arguments[2]) < 0) {
        if (raw_now_us() > deadline_us) return load_fail("no offset");
        (void)usleep(RETRY_US);
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)printf("%.1f\n", ((double)now.tv_sec + (double)now.tv_nsec / 1e9 - since_s) * 1000);
    return 0;
}

/* ---- rebalances ---------------------------------------------------------------------------------------------------- */

static bool measure_rounds(struct members *m, int rounds, int64_t *us)
{
    for (int i = 0; i < rounds; i++) {
        int64_t began_us = raw_now_us();
        if (!members_rebalance(m)) return false;
        us[i] = raw_now_us() - began_us;
    }
    return true;
}

int load_rebalance(char **arguments, int count)
{
    struct members m;
    int rounds = (int)load_number(arguments[3]);
    int64_t *us = mem_calloc((size_t)rounds, sizeof *us);
    bool ok = members_open(&m, arguments[0], arguments[1], (int)load_number(arguments[2])) && members_rebalance(&m);
    double cpu_ms = process_cpu_ms(arguments + 4, count - 4);
    ok = ok && measure_rounds(&m, rounds, us);
    cpu_ms = process_cpu_ms(arguments + 4, count - 4) - cpu_ms;
    members_close(&m);
    sort_i64(us, (size_t)rounds);
    if (ok) (void)printf("%.2f %.2f\n", (double)us[rounds / 2] / 1000, cpu_ms / rounds);
    mem_free(us);
    return ok ? 0 : load_fail("the group does not come together");
}
