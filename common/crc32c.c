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
__attribute__((target("sse4.2"))) static uint32_t extend_sse42(uint32_t crc, struct slice bytes)
{
    uint64_t state = ~crc;
    const uint8_t *p = bytes.p;
    size_t left = bytes.n;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t word = 0;
        memcpy(&word, p, 8);
        state = __builtin_ia32_crc32di(state, word);
    }
    for (; left > 0; p++, left--) state = __builtin_ia32_crc32qi((uint32_t)state, *p);
    return ~(uint32_t)state;
}

uint32_t crc32c_extend(uint32_t crc, struct slice bytes)
{
    return __builtin_cpu_supports("sse4.2") ? extend_sse42(crc, bytes) : crc32c_extend_portable(crc, bytes);
}
#else
uint32_t crc32c_extend(uint32_t crc, struct slice bytes) { return crc32c_extend_portable(crc, bytes); }
#endif
