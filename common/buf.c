#include "common/buf.h"

#include "common/assert.h"
#include "common/mem.h"

#include <stdlib.h>

struct buf *buf_create(size_t capacity)
{
    ASSERT(capacity <= SIZE_MAX - sizeof(struct buf));
    struct buf *buf = mem_realloc(NULL, 1, sizeof *buf + capacity);
    atomic_init(&buf->references, 1);
    buf->unused = 0;
    buf->size = 0;
    buf->capacity = capacity;
    return buf;
}

struct buf *buf_copy(struct slice bytes)
{
    struct buf *buf = buf_create(bytes.n);
    if (bytes.n) memcpy(buf->data, bytes.p, bytes.n);
    buf->size = bytes.n;
    return buf;
}

struct buf *buf_shrink(struct buf *buf)
{
    ASSERT(atomic_load_explicit(&buf->references, memory_order_relaxed) == 1);
    struct buf *smaller = mem_realloc(buf, 1, sizeof *buf + buf->size);
    smaller->capacity = smaller->size;
    return smaller;
}

struct buf *buf_ref(struct buf *buf)
{
    uint32_t before = atomic_fetch_add_explicit(&buf->references, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return buf;
}

void buf_unref(struct buf *buf)
{
    if (!buf) return;
    uint32_t before = atomic_fetch_sub_explicit(&buf->references, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1) mem_free(buf);
}
