/* Growing output, big-endian.  Owns its memory until writer_take(). */
#ifndef SKIFF_COMMON_WRITER_H
#define SKIFF_COMMON_WRITER_H

#include "common/buf.h"

struct writer {
    struct buf *buf; /* NULL before the first byte */
};

void writer_init(struct writer *w, size_t capacity_hint);
void writer_deinit(struct writer *w);
/* Hands the bytes over (one reference) and leaves the writer empty; never NULL. */
struct buf *writer_take(struct writer *w);
/* n bytes to be filled by the caller before the next call. */
uint8_t *writer_reserve(struct writer *w, size_t n);
static inline size_t writer_size(const struct writer *w) { return w->buf ? w->buf->size : 0; }
static inline struct slice writer_slice(const struct writer *w) { return w->buf ? buf_slice(w->buf) : slice_make("", 0); }

void writer_bytes(struct writer *w, struct slice bytes);
void writer_big_endian(struct writer *w, uint64_t value, size_t n);
static inline void writer_i8(struct writer *w, int8_t v) { writer_big_endian(w, (uint8_t)v, 1); }
static inline void writer_u8(struct writer *w, uint8_t v) { writer_big_endian(w, v, 1); }
static inline void writer_i16(struct writer *w, int16_t v) { writer_big_endian(w, (uint16_t)v, 2); }
static inline void writer_u16(struct writer *w, uint16_t v) { writer_big_endian(w, v, 2); }
static inline void writer_i32(struct writer *w, int32_t v) { writer_big_endian(w, (uint32_t)v, 4); }
static inline void writer_u32(struct writer *w, uint32_t v) { writer_big_endian(w, v, 4); }
static inline void writer_i64(struct writer *w, int64_t v) { writer_big_endian(w, (uint64_t)v, 8); }
void writer_uvarint(struct writer *w, uint64_t value);
static inline void writer_varint32(struct writer *w, int32_t v) { writer_uvarint(w, (uint32_t)v << 1 ^ (0u - ((uint32_t)v >> 31))); }
static inline void writer_varint64(struct writer *w, int64_t v) { writer_uvarint(w, (uint64_t)v << 1 ^ (0u - ((uint64_t)v >> 63))); }
/* Overwrites an earlier int32, for lengths that are known late. */
void writer_patch_i32(struct writer *w, size_t at, int32_t value);

static inline size_t uvarint_size(uint64_t value)
{
    size_t n = 1;
    for (; value >= 0x80; value >>= 7) n++;
    return n;
}

#endif
