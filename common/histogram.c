#include "common/histogram.h"

#include "common/assert.h"

#include <string.h>

const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {100,    250,    500,    1000,    2500,    5000,    10000,    25000,   50000,
                                                       100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000};

static size_t bucket_of(int64_t duration_us)
{
    size_t at = 0;
    while (at < HISTOGRAM_BOUNDS && duration_us > histogram_bounds_us[at]) at++;
    return at;
}

void histogram_add(struct histogram *h, int64_t duration_us, int64_t now_us)
{
    if (duration_us < 0) duration_us = 0;
    int64_t age_us = now_us - h->window_us;
    if (age_us >= HISTOGRAM_WINDOW_US) {
        if (age_us < 2 * HISTOGRAM_WINDOW_US)
            memcpy(h->recent[1], h->recent[0], sizeof h->recent[1]);
        else
            memset(h->recent[1], 0, sizeof h->recent[1]);
        memset(h->recent[0], 0, sizeof h->recent[0]);
        h->window_us = now_us;
    }
    size_t bucket = bucket_of(duration_us);
    h->counts[bucket]++;
    h->recent[0][bucket]++;
    h->count++;
    h->sum_us += duration_us;
}

double histogram_quantile_us(const struct histogram *h, double quantile, int64_t now_us)
{
    ASSERT(quantile > 0 && quantile <= 1);
    int64_t age_us = now_us - h->window_us;
    size_t windows = age_us < HISTOGRAM_WINDOW_US ? 2 : age_us < 2 * HISTOGRAM_WINDOW_US ? 1 : 0;
    uint64_t counts[HISTOGRAM_BUCKETS] = {0}, total = 0;
    for (size_t w = 0; w < windows; w++)
        for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) counts[i] += h->recent[w][i], total += h->recent[w][i];
    double wanted = quantile * (double)total, before = 0;
    for (size_t i = 0; total > 0 && i < HISTOGRAM_BOUNDS; i++) {
        double here = (double)counts[i];
        if (here > 0 && before + here >= wanted) {
            double low = i ? (double)histogram_bounds_us[i - 1] : 0, high = (double)histogram_bounds_us[i];
            return low + (high - low) * (wanted - before) / here;
        }
        before += here;
    }
    return total > 0 ? (double)histogram_bounds_us[HISTOGRAM_BOUNDS - 1] : 0;
}
