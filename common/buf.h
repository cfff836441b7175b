/* Reference-counted bytes: what sockets, the log and followers share without copying.
 * The count is atomic, so a reference may be dropped on any thread; the bytes are written by one owner before the buffer
 * is shared and never after. */
#ifndef SKIFF_COMMON_BUF_H
#define SKIFF_COMMON_BUF_H

#include "common/slice.h"

#include <stdatomic.h>

struct buf {
    _Atomic uint32_t references;
    uint32_t unused;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    uint8_t data[];
};

/* One reference, size 0.  The data is not zeroed. */
struct buf *buf_create(size_t capacity);
struct buf *buf_copy(struct slice bytes);
/* Gives back what lies behind the bytes in use; the only reference, and it may move. */
struct buf *buf_shrink(struct buf *buf);
struct buf *buf_ref(struct buf *buf);
/* NULL is fine. */
void buf_unref(struct buf *buf);
static inline struct slice buf_slice(const struct buf *buf) { return slice_make(buf->data, buf->size); }

#endif
