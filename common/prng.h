/* Pseudo-random numbers (xoshiro256**), always seeded by the caller: the same seed gives the same run. Not for secrets. */
#ifndef SKIFF_COMMON_PRNG_H
#define SKIFF_COMMON_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t s[4];
};

static inline uint64_t prng_splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static inline void prng_init(struct prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) prng->s[i] = prng_splitmix(&seed);
}
static inline uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->s, x = s[1] * 5, result = (x << 7 | x >> 57) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}
/* Uniform in [0, bound), bound > 0. */
static inline uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, value = prng_next(prng);
    while (value >= limit) value = prng_next(prng);
    return value % bound;
}
/* Uniform in [low, high]. */
static inline int64_t prng_range(struct prng *prng, int64_t low, int64_t high)
{
    return low + (int64_t)prng_below(prng, (uint64_t)(high - low) + 1);
}
static inline bool prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator)
{
    return prng_below(prng, denominator) < numerator;
}

#endif
