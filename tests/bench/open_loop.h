/* Requests at a fixed rate over several connections, whether answers come or not. A latency counts from the time at which its
 * request was due, so that a server that stalls pays for all that had to wait. */
#ifndef SKIFF_TESTS_BENCH_OPEN_LOOP_H
#define SKIFF_TESTS_BENCH_OPEN_LOOP_H

#include "tests/integration/wire.h"

enum { OPEN_LOOP_LANES = 16 };

struct open_loop_lane {
    struct wire wire;
    struct buf *frame; /* what it sends each time */
    /* Of requests without an answer: a ring. */
    int64_t *due_us;
    size_t first, count;
};
struct open_loop {
    struct open_loop_lane lanes[OPEN_LOOP_LANES];
    int (*error_of)(const struct buf *answer);
    int64_t *latencies_us;
    size_t answered, total;
};

/* No lane has a connection or a frame yet: the caller gives them. */
void open_loop_init(struct open_loop *loop, int64_t rate, int64_t seconds, int (*error_of)(const struct buf *answer));
void open_loop_deinit(struct open_loop *loop);
/* False: a request was refused, or the system cannot keep up. Then prints p50, p99, p99.9 and the longest, in microseconds. */
bool open_loop_run(struct open_loop *loop, int64_t rate);

void sort_i64(int64_t *values, size_t count);
/* Sorts them. */
void print_percentiles(int64_t *us, size_t count);

#endif
