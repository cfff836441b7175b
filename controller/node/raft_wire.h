/* Raft's messages as bytes (proto/raft.proto). Pure; any thread. */
#ifndef SKIFF_CONTROLLER_NODE_RAFT_WIRE_H
#define SKIFF_CONTROLLER_NODE_RAFT_WIRE_H

#include "common/arena.h"
#include "controller/raft/raft.h"

/* One reference. `chunk` are a SNAPSHOT's bytes, otherwise SLICE_NULL. */
struct buf *raft_wire_encode(const struct raft_message *message, struct slice chunk);

/* A decoded message borrows from the bytes, the arena and `parts`. */
struct raft_wire_parts {
    struct raft_membership membership;
    struct raft_entry *entries; /* each with a reference of its bytes */
    uint32_t count;
};
/* False: not a message, or one of a later version. `message->request` is left 0. */
bool raft_wire_decode(struct slice bytes, struct arena *arena, struct raft_message *message, struct raft_wire_parts *parts);
void raft_wire_release(struct raft_wire_parts *parts);

/* The api key that a request travels under. */
int16_t raft_wire_key(enum raft_message_type type);

#endif
