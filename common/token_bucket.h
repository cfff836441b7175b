/* A rate kept by a bucket of tokens: it fills at the rate, up to a second's worth or more, and what passes takes tokens out. Whoever takes
 * more than is there leaves a debt; until that is filled up again nobody should pass. So single takes may be of any size, and the mean is
 * the rate. Header only; a value; no unit: bytes here.
 *
 * The rate comes with each call, so that it may change at any time. */
#ifndef SKIFF_COMMON_TOKEN_BUCKET_H
#define SKIFF_COMMON_TOKEN_BUCKET_H

#include "common/assert.h"

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
    double tokens; /* less than 0: a debt */
    int64_t filled_us;
    bool is_used;   /* false: it is full */
    double seconds; /* whose worth it holds; 0: one */
};

static inline void token_bucket_fill(struct token_bucket *bucket, double rate, int64_t now_us)
{
    ASSERT(rate > 0);
    double seconds = now_us > bucket->filled_us ? (double)(now_us - bucket->filled_us) / 1e6 : 0;
    double full = bucket->seconds > 0 ? rate * bucket->seconds : rate;
    bucket->tokens = bucket->is_used ? bucket->tokens + rate * seconds : full;
    if (bucket->tokens > full) bucket->tokens = full;
    bucket->is_used = true;
    bucket->filled_us = now_us;
}

static inline void token_bucket_take(struct token_bucket *bucket, double rate, int64_t amount, int64_t now_us)
{
    token_bucket_fill(bucket, rate, now_us);
    bucket->tokens -= (double)amount;
}

/* How long until the debt is filled up; 0: there is none. An hour at most: rates may be tiny. */
static inline int64_t token_bucket_wait_us(struct token_bucket *bucket, double rate, int64_t now_us)
{
    const double most_us = 3600e6;
    token_bucket_fill(bucket, rate, now_us);
    if (bucket->tokens >= 0) return 0;
    double wait_us = -bucket->tokens / rate * 1e6 + 1;
    return wait_us < most_us ? (int64_t)wait_us : (int64_t)most_us;
}

#endif
