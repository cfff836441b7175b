#include "broker/node/group_log.h"

#include "common/assert.h"
#include "common/checked.h"

#define STATES_PER_LOG 4 /* a log is this many times larger than what it says before it is written again */

void group_log_init(struct group_log *log, int64_t end, int64_t bytes, int64_t bytes_min)
{
    ASSERT(end >= 0 && bytes >= 0 && bytes_min > 0);
    *log = (struct group_log){.bytes_min = bytes_min, .told_end = end, .grown_bytes = bytes, .next_start = -1};
}

void group_log_appended(struct group_log *log, int64_t bytes)
{
    ASSERT(bytes > 0);
    log->grown_bytes += bytes;
}

void group_log_told(struct group_log *log, int64_t end)
{
    ASSERT(end > log->told_end);
    log->told_end = end;
}

/* In memory, or as it was written last: names are written with every offset, and are in memory once. */
static int64_t state_bytes(const struct group_shard *shard)
{
    return max_i64((int64_t)group_shard_bytes(shard), (int64_t)shard->snapshot.bytes);
}

bool group_log_begin(struct group_log *log, const struct group_shard *shard)
{
    int64_t enough = max_i64(log->bytes_min, STATES_PER_LOG * state_bytes(shard));
    if (log->grown_bytes <= enough || !group_shard_can_snapshot(shard)) return false;
    ASSERT(log->next_start == -1);
    log->next_start = log->told_end;
    log->begun_bytes = log->grown_bytes;
    log->grown_bytes = 0;
    return true;
}

int64_t group_log_end(struct group_log *log, const struct group_shard *shard)
{
    int64_t start = shard->snapshot.state == GROUP_SNAPSHOT_DONE ? log->next_start : -1;
    ASSERT(shard->snapshot.state != GROUP_SNAPSHOT_RUNNING);
    if (shard->snapshot.state == GROUP_SNAPSHOT_FAILED && log->next_start != -1) log->grown_bytes += log->begun_bytes;
    log->next_start = -1;
    return start;
}
