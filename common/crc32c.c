#include "common/crc32c.h"

/* Reflected polynomial 0x82f63b78, four bits a step: 64 bytes of constants instead of a table built at start. */
static const uint32_t nibble_table[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c_extend_portable(uint32_t crc, struct slice bytes)
{
    crc = ~crc;
    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= bytes.p[i];
        crc = crc >> 4 ^ nibble_table[crc & 15];
        crc = crc >> 4 ^ nibble_table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

/* The instruction has a latency of three cycles and takes one a cycle: three streams keep it busy. */
#define STREAM_BYTES ((size_t)1024)
/* x^(8n - 33) modulo the polynomial, reflected, for n = 1024 and 2048: multiplying by it moves a state over n bytes. */
#define OVER_ONE_STREAM  0x170076fa
#define OVER_TWO_STREAMS 0xa51b6135

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t word = 0;
    memcpy(&word, p, 8);
    return word;
}

__attribute__((target("sse4.2,pclmul"))) static uint64_t three_streams(uint64_t state, const uint8_t *p)
{
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < STREAM_BYTES; i += 8) {
        state = _mm_crc32_u64(state, load64(p + i));
        second = _mm_crc32_u64(second, load64(p + STREAM_BYTES + i));
        third = _mm_crc32_u64(third, load64(p + 2 * STREAM_BYTES + i));
    }
    __m128i moved = _mm_xor_si128(_mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)state), _mm_cvtsi64_si128(OVER_TWO_STREAMS), 0),
                                  _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)second), _mm_cvtsi64_si128(OVER_ONE_STREAM), 0));
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(moved)) ^ third;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t extend_sse42(uint32_t crc, struct slice bytes)
{
    uint64_t state = ~crc;
    const uint8_t *p = bytes.p;
    size_t left = bytes.n;
    for (; left >= 3 * STREAM_BYTES; p += 3 * STREAM_BYTES, left -= 3 * STREAM_BYTES) state = three_streams(state, p);
    for (; left >= 8; p += 8, left -= 8) state = _mm_crc32_u64(state, load64(p));
    for (; left > 0; p++, left--) state = _mm_crc32_u8((uint32_t)state, *p);
    return ~(uint32_t)state;
}

uint32_t crc32c_extend(uint32_t crc, struct slice bytes)
{
    bool is_fast = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
    return is_fast ? extend_sse42(crc, bytes) : crc32c_extend_portable(crc, bytes);
}
#else
uint32_t crc32c_extend(uint32_t crc, struct slice bytes) { return crc32c_extend_portable(crc, bytes); }
#endif
