/* Snapshot files.
 *
 *     magic "SKRS" | version u16 | membership bytes u16 | index i64 | term i64 | size i64 | membership | crc u32 of all this |
 *     size bytes | crc u32 of those
 *
 * Written under a temporary name, committed, renamed to INDEX-TERM.snapshot, the directory committed: only then does it exist. The one
 * before is removed after that. */
#ifndef SKIFF_CONTROLLER_NODE_RAFT_STORE_SNAPSHOT_H
#define SKIFF_CONTROLLER_NODE_RAFT_STORE_SNAPSHOT_H

#include "controller/node/raft_store.h"

struct store_snapshot {
    struct env *env;
    const char *directory;
    struct raft_snapshot current;
    struct env_file *file; /* NULL: there is none */
    int64_t data_position;
};

/* Finds and checks the newest; *bytes has one reference, or is NULL without a snapshot. Removes what was never finished. */
NODISCARD enum err store_snapshot_open(struct store_snapshot *snapshot, struct env *env, const char *directory, struct buf **bytes);
void store_snapshot_close(struct store_snapshot *snapshot);
NODISCARD enum err store_snapshot_load(struct store_snapshot *snapshot, struct buf **bytes);

/* One that is being written: our own, or the leader's; both may be under way at once. */
struct store_snapshot_writer {
    struct store_snapshot *snapshot;
    const char *name; /* of the temporary file */
    struct raft_snapshot description;
    struct env_file *file; /* NULL: none */
    int64_t data_position, offset;
    uint32_t crc;
};
/* Starts one, giving up any that was begun. */
NODISCARD enum err store_snapshot_begin(struct store_snapshot_writer *writer, const struct raft_snapshot *description);
NODISCARD enum err store_snapshot_append(struct store_snapshot_writer *writer, struct slice bytes);
/* All bytes are there; after this, commit `file`. */
NODISCARD enum err store_snapshot_end(struct store_snapshot_writer *writer);
/* The file is durable: gives it its name; after this, commit the directory. */
NODISCARD enum err store_snapshot_rename(struct store_snapshot_writer *writer);
/* The name is durable: the newer of the two is the current one now, the other goes. */
void store_snapshot_switch(struct store_snapshot_writer *writer);
void store_snapshot_abandon(struct store_snapshot_writer *writer);

#endif
