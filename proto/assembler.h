/* Cuts a byte stream into frames: int32 length, then that many bytes.  Used by both sides of a connection.
 * The buffer of an unfinished frame starts small and grows with the bytes that came (reliability: no allocation on the word of a
 * length field). Owned by its connection. */
#ifndef SKIFF_PROTO_ASSEMBLER_H
#define SKIFF_PROTO_ASSEMBLER_H

#include "common/buf.h"

struct assembler {
    int32_t frame_bytes_min, frame_bytes_max;
    int32_t whole_max; /* a frame up to here gets all of its buffer at once */
    /* Asked before the buffer of a frame becomes `capacity` bytes large; false: not now. NULL: always. */
    bool (*may_grow)(struct assembler *assembler, size_t capacity);
    uint8_t length[4];
    uint8_t length_count;
    int32_t frame_size;     /* valid when length_count == 4 */
    struct buf *unfinished; /* NULL between frames */
};

enum assembler_result {
    ASSEMBLER_FRAME,    /* *frame is complete; its reference is the caller's */
    ASSEMBLER_MORE,     /* all input is consumed */
    ASSEMBLER_NO_SPACE, /* may_grow() said no: feed the rest again later */
    ASSEMBLER_BAD_SIZE, /* frame_size is outside the limits; the stream cannot be read on */
};

void assembler_init(struct assembler *assembler, int32_t frame_bytes_min, int32_t frame_bytes_max);
void assembler_deinit(struct assembler *assembler);
/* Consumes from *input. Bytes that lie in the room already are taken as they are. */
enum assembler_result assembler_feed(struct assembler *assembler, struct slice *input, struct buf **frame);
/* The free part of the unfinished frame's buffer, size 0 when there is none: where a stream may read to. */
size_t assembler_room(const struct assembler *assembler, uint8_t **room);
static inline bool assembler_is_idle(const struct assembler *assembler) { return assembler->length_count == 0; }
/* What the first four bytes of a stream look like when they are no length: "an HTTP request", "a TLS hello", or NULL. */
const char *assembler_guess(const uint8_t length[static 4]);

#endif
