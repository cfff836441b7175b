/* The file quorum-state: who this node is, and Raft's hard state.
 *
 * Two slots, 4 KiB apart, written in turn, each with a sequence number and a CRC-32C: a write that a crash tears leaves the other slot
 * as it was, and one commit of one file is enough: no temporary file, no rename. A slot is written only after the one before is
 * durable. */
#ifndef SKIFF_CONTROLLER_NODE_RAFT_STORE_STATE_H
#define SKIFF_CONTROLLER_NODE_RAFT_STORE_STATE_H

#include "controller/node/raft_store.h"

struct store_state {
    struct env *env;
    struct env_file *file;
    uint64_t durable_sequence; /* a write that is not durable yet is overwritten by the next */
    struct raft_store_identity identity;
};

/* Reads it, or draws an identity and writes the first slot without a commit (identity.is_new). ERR_CORRUPT: neither slot is whole,
 * or the directory belongs to another node id. */
NODISCARD enum err store_state_open(struct store_state *state, struct env *env, const char *directory, int32_t node_id,
                                    struct uuid proposed_cluster_id, struct raft_hard_state *hard_state);
void store_state_close(struct store_state *state);
NODISCARD enum err store_state_write(struct store_state *state, const struct raft_hard_state *hard_state);
/* The last write is. */
static inline void store_state_durable(struct store_state *state) { state->durable_sequence++; }

#endif
