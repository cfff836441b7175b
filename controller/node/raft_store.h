/* What Raft keeps on disk: one directory with
 *
 *     quorum-state                      who this is (node id, directory id) and Raft's hard state: two slots, written in turn
 *     INDEX-GENERATION.log              segments of the log: append-only; truncation and restart begin a new generation
 *     INDEX-TERM.snapshot               the state machine up to INDEX; one, after a moment with two
 *     own|leader.snapshot.tmp           one that is being written
 *
 * raft_store_log.h has the layout of the log, and why recovery can tell a torn tail from damage.
 *
 * Writes are queued by raft_store_write() and made durable together by raft_store_flush(): one commit is under way at a time, and
 * what is queued meanwhile goes with the next. Completions come in the order of the write numbers. Any error is final: the
 * store answers with `failed` once, and nothing more.
 *
 * One owner thread. */
#ifndef SKIFF_CONTROLLER_NODE_RAFT_STORE_H
#define SKIFF_CONTROLLER_NODE_RAFT_STORE_H

#include "common/env.h"
#include "controller/raft/raft.h"

struct raft_store;

struct raft_store_callbacks {
    void *user;
    void (*durable)(void *user, uint64_t write, int64_t now_us);
    void (*snapshot_taken)(void *user, int64_t index, int64_t size, int64_t now_us);
    void (*snapshot_installed)(void *user, int64_t index, int64_t now_us);
    void (*failed)(void *user, enum err err, const char *what, int64_t now_us);
};

struct raft_store_identity {
    int32_t node_id;
    struct uuid directory_id;
    struct uuid proposed_cluster_id;
    bool is_new; /* drawn now: durable with the first flush, and not to be told before */
};

struct raft_store_recovered {
    struct raft_store_identity identity;
    struct raft_recovered raft; /* raft.entries: free the array with mem_free(); the references go to raft_create() */
    struct buf *snapshot_bytes; /* NULL without a snapshot; one reference */
};

/* Creates the directory if it is missing, recovers what is there, waiting for the disk. Errors are logged with file and place. */
NODISCARD enum err raft_store_open(struct env *env, const char *directory, int32_t node_id, struct uuid proposed_cluster_id,
                                   const struct raft_store_callbacks *callbacks, struct raft_store **out,
                                   struct raft_store_recovered *recovered);
/* Makes a new identity durable, waiting: before it is told to anybody. One that stays alone need not wait for it. */
NODISCARD enum err raft_store_settle(struct raft_store *store);
/* Frees what raft_store_open() found. */
void raft_store_forget(struct raft_store_recovered *recovered);
/* No callback any more; operations that are under way finish on their own. */
void raft_store_close(struct raft_store *store);

/* Queues what a step asks for. The snapshot chunk is not part of the write: raft_store_chunk(). */
void raft_store_write(struct raft_store *store, const struct raft *raft, const struct raft_actions *actions);
/* Starts a commit of what is queued, unless one is under way. */
void raft_store_flush(struct raft_store *store);
/* Entries up to `index` may go. */
void raft_store_compact(struct raft_store *store, int64_t index);
/* Bytes of all segments. */
int64_t raft_store_log_bytes(const struct raft_store *store);

/* Writes a snapshot of our own; snapshot_taken() follows. False: one is being written already. Takes its own reference. */
bool raft_store_take_snapshot(struct raft_store *store, const struct raft_snapshot *snapshot, struct buf *bytes);
/* A chunk of the leader's; after the last one snapshot_installed() follows. */
void raft_store_chunk(struct raft_store *store, const struct raft_snapshot_chunk *chunk);
/* The installed or taken snapshot's bytes, for loading: waits for the disk. */
NODISCARD enum err raft_store_load_snapshot(struct raft_store *store, struct buf **bytes);

/* A part of the current snapshot, for sending. */
struct raft_store_read {
    /* bytes: one reference for the callee, or NULL with an error. Comes also after the store is closed. */
    void (*done)(struct raft_store_read *read, enum err err, struct buf *bytes, int64_t now_us);
    void (*dropped)(struct raft_store_read *read); /* the env ended first: frees the read */
    /* the store's: */
    struct env_op op;
    struct buf *bytes;
    size_t wanted, got;
};
/* False: that snapshot is not there any more. */
bool raft_store_read_snapshot(struct raft_store *store, struct raft_store_read *read, int64_t index, int64_t offset, int64_t length);

#endif
