#include "proto/pb.h"

#include "common/assert.h"

#define UNPACK_FACTOR 48 /* a one-byte varint may become a submessage struct of that size */
#define UNPACK_BASE   4096

size_t pb_unpack_budget(size_t size) { return UNPACK_BASE + size * UNPACK_FACTOR; }

static void *arena_allocate(void *arena, size_t size) { return arena_try_alloc(arena, size); }
static void arena_keep(void *arena, void *pointer) { (void)arena, (void)pointer; }

void *pb_unpack(const ProtobufCMessageDescriptor *descriptor, struct slice bytes, struct arena *arena)
{
    ProtobufCAllocator allocator = {arena_allocate, arena_keep, arena};
    return protobuf_c_message_unpack(descriptor, &allocator, bytes.n, bytes.p);
}

/* The field's submessages: how many, and where the pointers are. */
static size_t submessages(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, ProtobufCMessage *const **out)
{
    const uint8_t *base = (const uint8_t *)message;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = 0;
        memcpy(&count, base + field->quantifier_offset, sizeof count);
        memcpy(out, base + field->offset, sizeof *out);
        return count;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t chosen = 0;
        memcpy(&chosen, base + field->quantifier_offset, sizeof chosen);
        if (chosen != field->id) return 0;
    }
    *out = (ProtobufCMessage *const *)(const void *)(base + field->offset);
    return **out != NULL;
}

/* Depth is bounded by the .proto files: no message nests in itself. */
bool pb_has_unknown(const ProtobufCMessage *message)
{
    if (message->n_unknown_fields) return true;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        ProtobufCMessage *const *items = NULL;
        size_t count = submessages(message, field, &items);
        for (size_t at = 0; at < count; at++)
            if (pb_has_unknown(items[at])) return true;
    }
    return false;
}

struct buf *pb_pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    struct buf *buf = buf_create(size);
    buf->size = protobuf_c_message_pack(message, buf->data);
    ASSERT(buf->size == size);
    return buf;
}

bool pb_uuid(ProtobufCBinaryData data, struct uuid *out)
{
    if (data.len != sizeof out->bytes) return false;
    memcpy(out->bytes, data.data, sizeof out->bytes);
    return true;
}
