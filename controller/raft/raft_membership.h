/* Voter sets: who they are, how an entry carries them, and which one holds at which place of the log.
 * Values; the history owns its array. One owner thread. */
#ifndef SKIFF_CONTROLLER_RAFT_RAFT_MEMBERSHIP_H
#define SKIFF_CONTROLLER_RAFT_RAFT_MEMBERSHIP_H

#include "controller/raft/raft.h"

/* NULL when no voter has that id. */
const struct raft_member *raft_voters_find(const struct raft_voters *voters, int32_t id);
bool raft_voters_contain(const struct raft_voters *voters, struct raft_member member);
bool raft_voters_equal(const struct raft_voters *a, const struct raft_voters *b);
/* Keeps the order; replaces the directory id of a voter that is there. Asserts that there is room. */
void raft_voters_put(struct raft_voters *voters, struct raft_member member);
/* Sorted, distinct ids >= 0, directory ids that are set. */
bool raft_voters_are_valid(const struct raft_voters *voters);
bool raft_membership_contains(const struct raft_membership *membership, struct raft_member member);
static inline bool raft_membership_is_joint(const struct raft_membership *membership) { return membership->outgoing.count > 0; }

/* The memberships of a log, oldest first. items[0] is what held before the first entry that is still in the log: the snapshot's, or
 * the founders'. A membership holds from the moment it is appended (4.1), so truncation must be able to go back. */
struct raft_history {
    struct raft_history_item {
        int64_t index; /* of the entry that brought it */
        struct raft_membership membership;
    } * items;
    size_t count, capacity;
};

void raft_history_init(struct raft_history *history, int64_t index, const struct raft_membership *membership);
void raft_history_deinit(struct raft_history *history);
void raft_history_append(struct raft_history *history, int64_t index, const struct raft_membership *membership);
/* Forgets what entries from `from` on brought. */
void raft_history_truncate(struct raft_history *history, int64_t from);
/* Entries up to `index` will not be asked for any more. */
void raft_history_compact(struct raft_history *history, int64_t index);
static inline const struct raft_history_item *raft_history_last(const struct raft_history *history)
{
    return &history->items[history->count - 1];
}
/* The one that holds after entry `index`. */
const struct raft_history_item *raft_history_at(const struct raft_history *history, int64_t index);

#endif
