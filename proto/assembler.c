#include "proto/assembler.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/limits.h"
#include "common/mem.h"

/* A stranger makes us hold at most this many times what it has sent (beyond FRAME_CHARGE_MIN). What comes before the buffer has
 * its last size is copied: the larger the factor, the less. */
#define GROWTH_FACTOR 16

void assembler_init(struct assembler *assembler, int32_t frame_bytes_min, int32_t frame_bytes_max)
{
    ASSERT(frame_bytes_min > 0);
    ASSERT(frame_bytes_max >= frame_bytes_min);
    *assembler = (struct assembler){.frame_bytes_min = frame_bytes_min, .frame_bytes_max = frame_bytes_max, .whole_max = FRAME_CHARGE_MIN};
}

void assembler_deinit(struct assembler *assembler)
{
    buf_unref(assembler->unfinished);
    assembler->unfinished = NULL;
    assembler->length_count = 0;
}

static void take_length(struct assembler *assembler, struct slice *input)
{
    while (assembler->length_count < 4 && input->n > 0) {
        assembler->length[assembler->length_count++] = *input->p++;
        input->n--;
    }
    uint32_t size = 0;
    for (size_t i = 0; i < 4; i++) size = size << 8 | assembler->length[i];
    assembler->frame_size = (int32_t)size;
}

/* Room for at least one more byte; false: may_grow() refused. */
static bool make_room(struct assembler *assembler, size_t available)
{
    struct buf *old = assembler->unfinished;
    size_t have = old ? old->size : 0, frame_size = (size_t)assembler->frame_size;
    if (old && have < old->capacity) return true;
    size_t capacity = min_size(max_size((size_t)assembler->whole_max, (have + available) * GROWTH_FACTOR), frame_size);
    if (assembler->may_grow && !assembler->may_grow(assembler, capacity)) return false;
    struct buf *bigger = buf_create(capacity);
    if (have) memcpy(bigger->data, old->data, have);
    bigger->size = have;
    buf_unref(old);
    assembler->unfinished = bigger;
    return true;
}

enum assembler_result assembler_feed(struct assembler *assembler, struct slice *input, struct buf **frame)
{
    if (assembler->length_count < 4) {
        take_length(assembler, input);
        if (assembler->length_count < 4) return ASSEMBLER_MORE;
    }
    if (assembler->frame_size < assembler->frame_bytes_min || assembler->frame_size > assembler->frame_bytes_max) return ASSEMBLER_BAD_SIZE;
    while (input->n > 0) {
        if (!make_room(assembler, input->n)) return ASSEMBLER_NO_SPACE;
        struct buf *buf = assembler->unfinished;
        size_t take = min_size(buf->capacity - buf->size, input->n);
        if (input->p != buf->data + buf->size) memcpy(buf->data + buf->size, input->p, take);
        buf->size += take;
        *input = slice_make(input->p + take, input->n - take);
        if (buf->size < (size_t)assembler->frame_size) continue;
        ASSERT(buf->size == (size_t)assembler->frame_size);
        assembler->unfinished = NULL;
        assembler->length_count = 0;
        *frame = buf;
        return ASSEMBLER_FRAME;
    }
    return ASSEMBLER_MORE;
}

size_t assembler_room(const struct assembler *assembler, uint8_t **room)
{
    struct buf *buf = assembler->unfinished;
    *room = buf ? buf->data + buf->size : NULL;
    return buf ? buf->capacity - buf->size : 0;
}

const char *assembler_guess(const uint8_t length[static 4])
{
    static const char *const http[] = {"GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI", "PATC", "CONN", "HTTP"};
    for (size_t i = 0; i < sizeof http / sizeof *http; i++)
        if (memcmp(length, http[i], 4) == 0) return "an HTTP request";
    if (length[0] == 0x16 && length[1] == 0x03) return "a TLS hello";
    if (memcmp(length, "SSH-", 4) == 0) return "an SSH client";
    return NULL;
}
