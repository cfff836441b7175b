/* protobuf-c with this project's memory: messages live in an arena, bytes in a struct buf. Any thread. */
#ifndef SKIFF_PROTO_PB_H
#define SKIFF_PROTO_PB_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/uuid.h"

#include <protobuf-c/protobuf-c.h>

/* Decoded structs take at most this many times the bytes on the wire, plus a little: the cap of an arena for `size` bytes. */
size_t pb_unpack_budget(size_t size);
/* NULL: malformed, or over the arena's cap. The message lives in the arena and is not freed by itself. */
void *pb_unpack(const ProtobufCMessageDescriptor *descriptor, struct slice bytes, struct arena *arena);
/* A field that this build does not know, at any depth. */
bool pb_has_unknown(const ProtobufCMessage *message);
/* One reference. */
struct buf *pb_pack(const ProtobufCMessage *message);

static inline struct slice pb_slice(ProtobufCBinaryData data) { return slice_make(data.data ? data.data : (const uint8_t *)"", data.len); }
/* protobuf-c's structs hold char * and uint8_t * also for what they only read. */
static inline char *pb_lend(const char *text)
{
    char *lent = NULL;
    memcpy(&lent, &text, sizeof lent);
    return lent;
}
static inline ProtobufCBinaryData pb_lend_bytes(struct slice bytes)
{
    ProtobufCBinaryData lent = {.len = bytes.n};
    memcpy(&lent.data, &bytes.p, sizeof lent.data);
    return lent;
}
/* False unless there are 16 bytes. */
bool pb_uuid(ProtobufCBinaryData data, struct uuid *out);
/* `uuid` must outlive the message. */
static inline ProtobufCBinaryData pb_uuid_data(struct uuid *uuid) { return (ProtobufCBinaryData){sizeof uuid->bytes, uuid->bytes}; }

#endif
