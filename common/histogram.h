/* How long things took: counts by duration since the start, and of the last minutes, for quantiles that follow what happens now.
 * The bounds are fixed, so that histograms of all nodes add up. One owner thread. */
#ifndef SKIFF_COMMON_HISTOGRAM_H
#define SKIFF_COMMON_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS    17                     /* 100 us to 30 s, about 2.5 times each */
#define HISTOGRAM_BUCKETS   (HISTOGRAM_BOUNDS + 1) /* the last one has no bound */
#define HISTOGRAM_WINDOW_US ((int64_t)60000000)    /* quantiles are over the last one to two of these */

extern const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

/* Zeroed memory is an empty one. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS]; /* of durations <= the bound, and above the one before */
    uint64_t count;
    int64_t sum_us;
    uint32_t recent[2][HISTOGRAM_BUCKETS]; /* this window, the one before */
    int64_t window_us;                     /* when this window began */
};

/* A negative duration counts as none. */
void histogram_add(struct histogram *histogram, int64_t duration_us, int64_t now_us);
/* An estimate from the recent windows, even within a bucket; 0 when nothing happened. 0 < quantile <= 1. */
double histogram_quantile_us(const struct histogram *histogram, double quantile, int64_t now_us);

#endif
