/* The log in memory: everything after the last compaction, and which part of it is on disk.
 *
 * Invariants: base_index <= durable_index <= last index; terms never decrease with the index; an entry's write number never
 * decreases with the index. Owns a reference of each entry's bytes. One owner thread. */
#ifndef SKIFF_CONTROLLER_RAFT_RAFT_LOG_H
#define SKIFF_CONTROLLER_RAFT_RAFT_LOG_H

#include "controller/raft/raft.h"

struct raft_log {
    struct raft_entry *entries; /* the first one has index base_index + 1 */
    int64_t count, capacity;
    int64_t base_index, base_term; /* the last entry that is gone; 0, 0 at the beginning */
    int64_t durable_index;
};

/* Takes over the references; all of it is durable. */
void raft_log_init(struct raft_log *log, int64_t base_index, int64_t base_term, const struct raft_entry *entries, int64_t count);
void raft_log_deinit(struct raft_log *log);

static inline int64_t raft_log_first_index(const struct raft_log *log) { return log->base_index + 1; }
static inline int64_t raft_log_last_index(const struct raft_log *log) { return log->base_index + log->count; }
int64_t raft_log_last_term(const struct raft_log *log);
const struct raft_entry *raft_log_at(const struct raft_log *log, int64_t index);
/* False when the entry is compacted away (but the last of those: its term is known) or not there yet. "Unknown" is never a
 * match: a term of 0 for a missing entry once was (etcd 76f1249). */
bool raft_log_term(const struct raft_log *log, int64_t index, int64_t *term);
bool raft_log_matches(const struct raft_log *log, int64_t index, int64_t term);
/* The last index <= `index` whose term is <= `term`, at least base_index: where two logs may agree at best. */
int64_t raft_log_last_with_term(const struct raft_log *log, int64_t index, int64_t term);

/* Takes its own reference. */
void raft_log_append(struct raft_log *log, const struct raft_entry *entry);
/* Removes `from` and all after it. */
void raft_log_truncate(struct raft_log *log, int64_t from);
/* Removes everything up to `to`. */
void raft_log_compact(struct raft_log *log, int64_t to);
/* Starts over after an installed snapshot. */
void raft_log_reset(struct raft_log *log, int64_t index, int64_t term);
/* All writes up to number `write` are on disk. */
void raft_log_persisted(struct raft_log *log, uint64_t write);

#endif
