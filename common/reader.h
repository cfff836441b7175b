/* Bounds-checked cursor over borrowed bytes, big-endian.  Failure is sticky: once a read does not fit or is malformed, every
 * later read gives 0 and reader_ok() is false, so decoding is straight-line code with one check at the end.
 * Slices that it returns point into the input. */
#ifndef SKIFF_COMMON_READER_H
#define SKIFF_COMMON_READER_H

#include "common/slice.h"

struct reader {
    const uint8_t *p;
    size_t left;
    bool failed;
};

static inline struct reader reader_make(struct slice bytes) { return (struct reader){bytes.p, bytes.n, false}; }
static inline bool reader_ok(const struct reader *r) { return !r->failed; }
/* Everything read, nothing failed. */
static inline bool reader_done(const struct reader *r) { return !r->failed && r->left == 0; }
static inline void reader_fail(struct reader *r)
{
    r->failed = true;
    r->left = 0;
}

/* The next n bytes; SLICE_NULL and failure when fewer are left. */
static inline struct slice reader_bytes(struct reader *r, size_t n)
{
    if (r->failed || n > r->left) {
        reader_fail(r);
        return SLICE_NULL;
    }
    struct slice bytes = {r->p, n};
    r->p += n;
    r->left -= n;
    return bytes;
}

static inline uint64_t reader_big_endian(struct reader *r, size_t n)
{
    struct slice bytes = reader_bytes(r, n);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.n; i++) value = value << 8 | bytes.p[i];
    return value;
}
static inline int8_t reader_i8(struct reader *r) { return (int8_t)reader_big_endian(r, 1); }
static inline uint8_t reader_u8(struct reader *r) { return (uint8_t)reader_big_endian(r, 1); }
static inline int16_t reader_i16(struct reader *r) { return (int16_t)reader_big_endian(r, 2); }
static inline uint16_t reader_u16(struct reader *r) { return (uint16_t)reader_big_endian(r, 2); }
static inline int32_t reader_i32(struct reader *r) { return (int32_t)reader_big_endian(r, 4); }
static inline uint32_t reader_u32(struct reader *r) { return (uint32_t)reader_big_endian(r, 4); }
static inline int64_t reader_i64(struct reader *r) { return (int64_t)reader_big_endian(r, 8); }

/* Unsigned varint of at most `bits` (32 or 64) bits; bits beyond that, or a sixth / eleventh byte, fail. */
static inline uint64_t reader_uvarint(struct reader *r, unsigned bits)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint64_t byte = reader_u8(r);
        if (shift + 7 > bits && (byte & 0x7f) >> (bits - shift)) break;
        value |= (byte & 0x7f) << shift;
        if (!(byte & 0x80)) return r->failed ? 0 : value;
    }
    reader_fail(r);
    return 0;
}
static inline uint32_t reader_uvarint32(struct reader *r) { return (uint32_t)reader_uvarint(r, 32); }
/* Zigzag varints of Kafka's records. */
static inline int32_t reader_varint32(struct reader *r)
{
    uint32_t raw = (uint32_t)reader_uvarint(r, 32);
    return (int32_t)(raw >> 1 ^ (0u - (raw & 1)));
}
static inline int64_t reader_varint64(struct reader *r)
{
    uint64_t raw = reader_uvarint(r, 64);
    return (int64_t)(raw >> 1 ^ (0u - (raw & 1)));
}

#endif
