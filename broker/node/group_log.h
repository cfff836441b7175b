/* How long the log of a coordinator gets: when it has grown by more than offsets.topic.snapshot.min.bytes and four times its state, the
 * state is written again (struct group_snapshot), and the log begins where that began. One for each led partition of
 * __consumer_offsets, whose owner thread it shares. No I/O. */
#ifndef SKIFF_BROKER_NODE_GROUP_LOG_H
#define SKIFF_BROKER_NODE_GROUP_LOG_H

#include "broker/coordinator/group_shard.h"

struct group_log {
    int64_t bytes_min;
    int64_t told_end;    /* all records below are committed, and the shard was told */
    int64_t grown_bytes; /* since the beginning of the last snapshot, or of the log */
    int64_t begun_bytes; /* what it was when the snapshot under way began */
    int64_t next_start;  /* where the log may begin when the snapshot under way is committed */
};

/* The log was loaded up to `end`. */
void group_log_init(struct group_log *log, int64_t end, int64_t bytes, int64_t bytes_min);
void group_log_appended(struct group_log *log, int64_t bytes);
/* All that lies below `end` is committed, and the shard was told. */
void group_log_told(struct group_log *log, int64_t end);
/* True: it is time; feed GROUP_EVENT_SNAPSHOT. */
bool group_log_begin(struct group_log *log, const struct group_shard *shard);
/* Where the log may begin now that a snapshot is committed, once; else -1. */
int64_t group_log_end(struct group_log *log, const struct group_shard *shard);

#endif
