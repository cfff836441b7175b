/* What a leader knows of one peer (etcd's "progress").
 *
 *                 answer: matches                    peer has less than the log's first entry
 *     PROBE  ------------------------>  REPLICATE -------------------------------------------+
 *       ^  <------------------------                                                          v
 *       |     refused, or a request lost                                                  SNAPSHOT
 *       +-------------------------------------------------------------------------------------+
 *                                installed, or a request lost
 *
 * Invariant: 0 <= match < next. PROBE sends one message at a time, REPLICATE a window of them, SNAPSHOT one chunk at a time.
 * A learner is sent to only as an answer to its FOLLOW, whatever the state. Values; owned by the leader. */
#ifndef SKIFF_CONTROLLER_RAFT_RAFT_PROGRESS_H
#define SKIFF_CONTROLLER_RAFT_RAFT_PROGRESS_H

#include "controller/raft/raft.h"

enum raft_progress_state { RAFT_PROGRESS_PROBE, RAFT_PROGRESS_REPLICATE, RAFT_PROGRESS_SNAPSHOT };

#define RAFT_WINDOW_MAX 16 /* unanswered APPENDs of a peer: enough to keep a disk and a network busy at once */

struct raft_progress {
    struct raft_member member;
    bool is_voter;
    enum raft_progress_state state;
    int64_t match_index, next_index;
    bool is_waiting;     /* PROBE, SNAPSHOT: the one message is under way */
    bool is_unreachable; /* a request was lost; nothing but heartbeats until it answers one */
    uint32_t window_count;
    int64_t window[RAFT_WINDOW_MAX]; /* REPLICATE: last index of each unanswered APPEND, ascending */
    int64_t snapshot_index, snapshot_offset;
    uint64_t follow_request; /* learner: the FOLLOW to be answered; 0: none */
    int64_t sent_commit;     /* the commit index that it was told */
    int64_t last_contact_us;
    int64_t last_caught_up_us;
    int64_t confirmed_us;  /* when the newest heartbeat left that it has answered: it followed us then, or later */
    int64_t last_asked_us; /* learner: its last FOLLOW */
};

void raft_progress_init(struct raft_progress *progress, struct raft_member member, bool is_voter, int64_t next_index);
void raft_progress_become_probe(struct raft_progress *progress);
void raft_progress_become_replicate(struct raft_progress *progress);
void raft_progress_become_snapshot(struct raft_progress *progress, int64_t snapshot_index);
/* Nothing more may be sent before an answer. */
bool raft_progress_is_paused(const struct raft_progress *progress);
/* An APPEND of entries up to `last_index` left. */
void raft_progress_sent(struct raft_progress *progress, int64_t last_index);
/* It has everything up to `index`, durably. False: that was known. */
bool raft_progress_matched(struct raft_progress *progress, int64_t index);
/* It refused what should follow `prev_index`; `retry_index` is where the logs may meet. False: an old answer. */
bool raft_progress_rejected(struct raft_progress *progress, int64_t prev_index, int64_t retry_index);

#endif
