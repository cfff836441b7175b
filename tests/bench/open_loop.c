#include "tests/bench/open_loop.h"

#include "common/mem.h"
#include "tests/bench/load.h"
#include "tests/bench/raw.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void open_loop_init(struct open_loop *loop, int64_t rate, int64_t seconds, int (*error_of)(const struct buf *answer))
{
    *loop = (struct open_loop){.error_of = error_of, .total = (size_t)(rate * seconds)};
    loop->latencies_us = mem_calloc(loop->total, sizeof *loop->latencies_us);
    for (int i = 0; i < OPEN_LOOP_LANES; i++)
        loop->lanes[i] = (struct open_loop_lane){.wire.fd = -1, .due_us = mem_calloc(loop->total, sizeof(int64_t))};
}

void open_loop_deinit(struct open_loop *loop)
{
    for (int i = 0; i < OPEN_LOOP_LANES; i++) {
        wire_close(&loop->lanes[i].wire);
        buf_unref(loop->lanes[i].frame);
        mem_free(loop->lanes[i].due_us);
    }
    mem_free(loop->latencies_us);
}

static bool send_one(struct open_loop *loop, struct open_loop_lane *lane, int64_t due_us)
{
    if (lane->count == loop->total) return false;
    lane->due_us[(lane->first + lane->count++) % loop->total] = due_us;
    return wire_send(&lane->wire, buf_slice(lane->frame));
}

static bool receive_one(struct open_loop *loop, struct open_loop_lane *lane)
{
    struct buf *answer = NULL;
    bool ok = wire_receive(&lane->wire, &answer) == WIRE_ANSWERED && loop->error_of(answer) == 0;
    buf_unref(answer);
    if (!ok) return false;
    loop->latencies_us[loop->answered++] = raw_now_us() - lane->due_us[lane->first];
    lane->first = (lane->first + 1) % loop->total;
    lane->count--;
    return true;
}

/* Takes the answers that are there, waiting until `until_us` for the first. */
static bool take_answers(struct open_loop *loop, int64_t until_us)
{
    struct pollfd ready[OPEN_LOOP_LANES];
    int64_t left_us = until_us - raw_now_us();
    struct timespec wait = {.tv_nsec = left_us > 0 ? (long)(left_us < 900000 ? left_us * 1000 : 900000000) : 0};
    for (int i = 0; i < OPEN_LOOP_LANES; i++) ready[i] = (struct pollfd){.fd = loop->lanes[i].wire.fd, .events = POLLIN};
    if (ppoll(ready, OPEN_LOOP_LANES, &wait, NULL) <= 0) return true;
    for (int i = 0; i < OPEN_LOOP_LANES; i++)
        if (ready[i].revents && !receive_one(loop, &loop->lanes[i])) return false;
    return true;
}

static bool run(struct open_loop *loop, int64_t rate)
{
    int64_t began_us = raw_now_us(), deadline_us = began_us + (int64_t)loop->total * 1000000 / rate + PATIENCE_US;
    for (size_t sent = 0; loop->answered < loop->total && raw_now_us() < deadline_us;) {
        int64_t due_us = began_us + (int64_t)sent * 1000000 / rate;
        if (sent < loop->total && raw_now_us() >= due_us) {
            if (!send_one(loop, &loop->lanes[sent % OPEN_LOOP_LANES], due_us)) return false;
            sent++;
        } else if (!take_answers(loop, sent < loop->total ? due_us : deadline_us)) {
            return false;
        }
    }
    return loop->answered == loop->total;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

void sort_i64(int64_t *values, size_t count) { qsort(values, count, sizeof *values, compare_i64); }

void print_percentiles(int64_t *us, size_t count)
{
    sort_i64(us, count);
    (void)printf("%lld %lld %lld %lld\n", (long long)us[count / 2], (long long)us[count * 99 / 100], (long long)us[count * 999 / 1000],
                 (long long)us[count - 1]);
}

bool open_loop_run(struct open_loop *loop, int64_t rate)
{
    if (!run(loop, rate)) return false;
    print_percentiles(loop->latencies_us, loop->total);
    return true;
}
