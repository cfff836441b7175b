#include "common/writer.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#define CAPACITY_MIN 128u
#define SPARE_MAX    4096u /* what is taken may be kept for long, as an entry of a log is */

void writer_init(struct writer *w, size_t capacity_hint) { w->buf = capacity_hint ? buf_create(capacity_hint) : NULL; }

void writer_deinit(struct writer *w)
{
    buf_unref(w->buf);
    w->buf = NULL;
}

struct buf *writer_take(struct writer *w)
{
    struct buf *buf = w->buf ? w->buf : buf_create(0);
    w->buf = NULL;
    return buf->capacity - buf->size > SPARE_MAX ? buf_shrink(buf) : buf;
}

static void grow(struct writer *w, size_t needed)
{
    size_t capacity = max_size(w->buf ? w->buf->capacity * 2 : CAPACITY_MIN, needed);
    struct buf *bigger = buf_create(capacity);
    if (w->buf) {
        memcpy(bigger->data, w->buf->data, w->buf->size);
        bigger->size = w->buf->size;
        buf_unref(w->buf);
    }
    w->buf = bigger;
}

uint8_t *writer_reserve(struct writer *w, size_t n)
{
    size_t needed = 0;
    bool fits = checked_add_size(writer_size(w), n, &needed);
    ASSERT(fits);
    if (!w->buf || needed > w->buf->capacity) grow(w, needed);
    uint8_t *at = w->buf->data + w->buf->size;
    w->buf->size = needed;
    return at;
}

void writer_bytes(struct writer *w, struct slice bytes)
{
    if (bytes.n) memcpy(writer_reserve(w, bytes.n), bytes.p, bytes.n);
}

void writer_big_endian(struct writer *w, uint64_t value, size_t n)
{
    uint8_t *at = writer_reserve(w, n);
    for (size_t i = n; i-- > 0; value >>= 8) at[i] = (uint8_t)value;
}

void writer_uvarint(struct writer *w, uint64_t value)
{
    while (value >= 0x80) {
        writer_u8(w, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    writer_u8(w, (uint8_t)value);
}

void writer_patch_i32(struct writer *w, size_t at, int32_t value)
{
    ASSERT(w->buf != NULL);
    ASSERT(at + 4 <= w->buf->size);
    for (size_t i = 0; i < 4; i++) w->buf->data[at + i] = (uint8_t)((uint32_t)value >> (24 - 8 * i));
}
