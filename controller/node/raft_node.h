/* A controller's Raft replica over env: the loop event -> raft_step() -> persist -> send -> apply, with the store on disk
 * (raft_store.h) and the peers on the network (raft_peers.h).
 *
 * One owner thread: the env's. Callbacks come from inside the env's callbacks, never from inside a call of this header except
 * where it says so; they may call raft_node_propose(). */
#ifndef SKIFF_CONTROLLER_NODE_RAFT_NODE_H
#define SKIFF_CONTROLLER_NODE_RAFT_NODE_H

#include "common/env.h"
#include "controller/raft/raft.h"
#include "proto/connection.h"

struct raft_node;

struct raft_node_voter {
    int32_t id;
    uint16_t port;
    char host[HOST_MAX + 1];
};

struct raft_node_config {
    int32_t node_id;
    const char *directory; /* of the metadata log; created when missing; copied */
    uint32_t voter_count;  /* controller.quorum.voters */
    struct raft_node_voter voters[VOTERS_MAX];
    struct uuid expected_cluster_id; /* that the records of this node belong to, or zero: an empty directory joins no other */
    struct uuid proposed_cluster_id; /* from `storage format`, or zero: drawn */
    int64_t heartbeat_ms;            /* 0: the default of each */
    int64_t election_timeout_ms;
    int64_t fetch_timeout_ms;
    int64_t snapshot_log_bytes; /* committed since the last snapshot, at least, before the next is taken */
};

struct raft_node_leader {
    int32_t id; /* RAFT_NOBODY: none known */
    int64_t term;
    bool is_self; /* this node leads, and everything before its term is applied: it may serve */
};

struct raft_node_callbacks {
    void *user;
    /* Every committed entry, in order, without gaps, once: `bytes` is NULL for Raft's own entries. The buffer is borrowed: take a
     * reference to keep it. */
    void (*committed)(void *user, int64_t index, int64_t term, struct buf *bytes, int64_t now_us);
    /* The state after the last `committed` or `load_snapshot`; one reference. */
    struct buf *(*take_snapshot)(void *user);
    /* Replaces the whole state. An error ends the node (on_failed). */
    enum err (*load_snapshot)(void *user, int64_t index, int64_t term, struct slice bytes, int64_t now_us);
    /* Leadership, or what is known of it, changed. Losing it drops nothing here: what was proposed and is not committed may still
     * be, or not; the owner forgets it. */
    void (*leader)(void *user, const struct raft_node_leader *leader, int64_t now_us);
    /* The cluster's id is known; once per start. */
    void (*cluster)(void *user, struct uuid cluster_id, struct uuid directory_id, int64_t now_us);
    /* The disk failed or lies. Nothing follows; destroy the node. */
    void (*failed)(void *user, enum err err, const char *reason, int64_t now_us);
};

/* Recovers what the directory holds (waits for the disk) and calls load_snapshot from inside. ERR_CORRUPT, ERR_IO ... with a log
 * line that says what and where; *out is then NULL. */
NODISCARD enum err raft_node_create(struct env *env, const struct raft_node_config *config, const struct raft_node_callbacks *callbacks,
                                    struct raft_node **out);
/* Starts probing and campaigning; call once the listener is open. */
void raft_node_start(struct raft_node *node);
/* Drops what is not durable yet; no further callback. */
void raft_node_destroy(struct raft_node *node);

/* Appends one entry to the leader's log. It is committed when `committed` brings *index with *term; another term at that index
 * means that it was lost. All proposals of one loop turn share one write and one message a peer.
 * ERR_CLOSED: not the leader, or handing over; ERR_LIMIT: too large, or too much uncommitted. Takes its own reference. */
NODISCARD enum err raft_node_propose(struct raft_node *node, struct buf *bytes, int64_t *index, int64_t *term);
/* Entries larger than this are refused before they are appended. */
#define RAFT_ENTRY_BYTES_MAX (16 << 20)
/* Whoever listens for peers must accept frames of this size: the largest entry with what is around it. */
#define RAFT_FRAME_BYTES_MAX (32 << 20)

/* A request with one of the keys 20000-20019 came in on the controller's listener: to be returned from on_request(). */
enum request_progress raft_node_on_request(struct raft_node *node, struct request *request);
/* Hands leadership to the best follower, if this node leads; otherwise does nothing. */
void raft_node_transfer(struct raft_node *node);
/* For DescribeQuorum. */
void raft_node_status(const struct raft_node *node, struct raft_status *status);
size_t raft_node_peers_status(const struct raft_node *node, struct raft_peer_status *peers, size_t capacity);
/* raft_confirmed_us(). */
int64_t raft_node_confirmed_us(const struct raft_node *node);
int64_t raft_node_applied_index(const struct raft_node *node);
struct uuid raft_node_directory_id(const struct raft_node *node);
/* For checkers. */
const struct raft *raft_node_raft(const struct raft_node *node);

#endif
