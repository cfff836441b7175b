/* Many partitions, many connections, and clients that do nothing. */
#include "common/mem.h"
#include "tests/bench/load.h"
#include "tests/bench/members.h"
#include "tests/bench/open_loop.h"
#include "tests/bench/process.h"
#include "tests/bench/raw.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { API_FETCH = 1, FETCH_VERSION = 11, FETCH_BYTES = 1 << 20, METADATA_VERSION = 4, EVENTS_MAX = 64 };
enum { HEARTBEAT_US = 3000000, SETTLE_US = 3000000, SAME_READINGS = 5, READING_US = 200000 };

/* ---- Metadata ------------------------------------------------------------------------------------------------------ */

static bool ask_metadata(struct wire *w, const struct buf *frame)
{
    struct buf *answer = NULL;
    bool is_answered = wire_send(w, buf_slice(frame)) && wire_receive(w, &answer) == WIRE_ANSWERED;
    buf_unref(answer);
    return is_answered;
}

int load_metadata(char **arguments, int count)
{
    struct wire w;
    struct writer body;
    int64_t requests = load_number(arguments[1]), done = 0;
    int64_t *us = mem_calloc((size_t)requests, sizeof *us);
    (void)count;
    writer_init(&body, 64);
    writer_i32(&body, -1); /* all topics */
    writer_i8(&body, 0);   /* create none */
    struct buf *frame = raw_frame(WIRE_METADATA, METADATA_VERSION, writer_slice(&body));
    bool ok = wire_open(&w, arguments[0], RAW_TIMEOUT_MS);
    for (; ok && done < requests; done++) {
        int64_t began_us = raw_now_us();
        ok = ask_metadata(&w, frame);
        us[done] = raw_now_us() - began_us;
    }
    if (ok) print_percentiles(us, (size_t)requests);
    wire_close(&w);
    buf_unref(frame);
    writer_deinit(&body);
    mem_free(us);
    return ok ? 0 : load_fail("no answer");
}

/* ---- idle connections ---------------------------------------------------------------------------------------------- */

/* ApiVersions v0, as every client begins. */
static bool open_idle(const char *address, struct wire *w)
{
    struct reader r;
    struct buf *frame = wire_open(w, address, RAW_TIMEOUT_MS) ? wire_call(w, WIRE_API_VERSIONS, 0, false, SLICE_NULL, &r) : NULL;
    buf_unref(frame);
    return frame != NULL;
}

static bool open_all_idle(const char *address, struct wire *wires, int count)
{
    for (int i = 0; i < count; i++)
        if (!open_idle(address, &wires[i])) return false;
    return true;
}

/* When it does not change any more; the last reading of a process that never settles. */
static double settled_rss_kb(const char *pid)
{
    int64_t deadline_us = raw_now_us() + PATIENCE_US;
    double kb = process_rss_kb(pid);
    for (int same = 0; same < SAME_READINGS && raw_now_us() < deadline_us; same++) {
        (void)usleep(READING_US);
        double now_kb = process_rss_kb(pid);
        if (now_kb != kb) same = -1;
        kb = now_kb;
    }
    return kb;
}

int load_hold(char **arguments, int count)
{
    int connections = (int)load_number(arguments[1]);
    struct wire *wires = mem_calloc((size_t)connections, sizeof *wires);
    double before_kb = settled_rss_kb(arguments[2]);
    (void)count;
    bool ok = open_all_idle(arguments[0], wires, connections);
    if (ok) (void)printf("%.0f %.0f\n", before_kb, settled_rss_kb(arguments[2]));
    for (int i = 0; i < connections && wires[i].timeout_ms > 0; i++) wire_close(&wires[i]);
    mem_free(wires);
    return ok ? 0 : load_fail("a connection was refused");
}

/* ---- idle clients -------------------------------------------------------------------------------------------------- */

/* Consumer I waits for records of partition I: a Fetch that is answered empty after half a second, and sent again. */
struct idle {
    struct wire *consumers, *producers;
    struct buf **fetches;
    int count, poller;
};

static bool open_consumer(struct idle *idle, int i, const char *topic, const struct raw_topic *about)
{
    struct writer body;
    int32_t partition = i % about->partitions;
    struct wire *w = &idle->consumers[i];
    struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    writer_init(&body, 128);
    raw_put_fetch(&body, FETCH_VERSION, topic, partition, 0, FETCH_BYTES);
    idle->fetches[i] = raw_frame(API_FETCH, FETCH_VERSION, writer_slice(&body));
    writer_deinit(&body);
    const char *leader = raw_leader_address(about, partition);
    return leader && open_idle(leader, w) && epoll_ctl(idle->poller, EPOLL_CTL_ADD, w->fd, &wanted) == 0 &&
           wire_send(w, buf_slice(idle->fetches[i]));
}

static bool idle_open(struct idle *idle, const char *address, const char *topic, int count)
{
    struct raw_topic about = {0};
    *idle = (struct idle){.consumers = mem_calloc((size_t)count, sizeof *idle->consumers),
                          .producers = mem_calloc((size_t)count, sizeof *idle->producers),
                          .fetches = mem_calloc((size_t)count, sizeof(*idle->fetches)),
                          .count = count,
                          .poller = epoll_create1(0)};
    bool ok = idle->poller >= 0 && raw_describe(address, topic, &about) && about.partitions > 0;
    for (int i = 0; ok && i < count; i++) {
        const char *leader = raw_leader_address(&about, i % about.partitions);
        ok = open_consumer(idle, i, topic, &about) && leader && open_idle(leader, &idle->producers[i]);
    }
    raw_topic_deinit(&about);
    return ok;
}

/* The process ends: what is not closed here the system closes. */
static void idle_close(struct idle *idle)
{
    for (int i = 0; i < idle->count; i++) buf_unref(idle->fetches[i]);
    mem_free(idle->fetches);
    mem_free(idle->consumers);
    mem_free(idle->producers);
}

static bool fetch_again(struct idle *idle, uint32_t i)
{
    struct buf *answer = NULL;
    bool ok = wire_receive(&idle->consumers[i], &answer) == WIRE_ANSWERED;
    buf_unref(answer);
    return ok && wire_send(&idle->consumers[i], buf_slice(idle->fetches[i]));
}

static bool fetch_until(struct idle *idle, int64_t until_us)
{
    struct epoll_event events[EVENTS_MAX];
    for (int64_t now_us; (now_us = raw_now_us()) < until_us;) {
        int n = epoll_wait(idle->poller, events, EVENTS_MAX, (int)((until_us - now_us) / 1000) + 1);
        for (int i = 0; i < n; i++)
            if (!fetch_again(idle, events[i].data.u32)) return false;
    }
    return true;
}

static bool live(struct idle *idle, struct members *m, int64_t duration_us)
{
    int64_t until_us = raw_now_us() + duration_us;
    while (raw_now_us() < until_us) {
        int64_t beat_us = raw_now_us() + HEARTBEAT_US;
        if (!members_beat(m) || !fetch_until(idle, beat_us < until_us ? beat_us : until_us)) return false;
    }
    return true;
}

int load_idle(char **arguments, int count)
{
    struct idle idle;
    struct members m;
    int clients = (int)load_number(arguments[2]);
    int64_t duration_us = load_number(arguments[3]) * 1000000;
    bool ok = members_open(&m, arguments[0], "idle", clients) && members_rebalance(&m);
    ok = idle_open(&idle, arguments[0], arguments[1], clients) && ok && live(&idle, &m, SETTLE_US);
    double cpu_ms = process_cpu_ms(arguments + 4, count - 4);
    int64_t began_us = raw_now_us();
    ok = ok && live(&idle, &m, duration_us);
    cpu_ms = process_cpu_ms(arguments + 4, count - 4) - cpu_ms;
    if (ok) (void)printf("%.2f\n", cpu_ms * 100000 / (double)(raw_now_us() - began_us));
    idle_close(&idle);
    members_close(&m);
    return ok ? 0 : load_fail("an idle client was disturbed");
}
