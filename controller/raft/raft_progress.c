#include "controller/raft/raft_progress.h"

#include "common/assert.h"
#include "common/checked.h"

void raft_progress_init(struct raft_progress *progress, struct raft_member member, bool is_voter, int64_t next_index)
{
    ASSERT(next_index > 0);
    ASSERT(member.id >= 0);
    *progress = (struct raft_progress){
        .member = member,
        .is_voter = is_voter,
        .next_index = next_index,
        .last_contact_us = INT64_MIN,
        .last_caught_up_us = INT64_MIN,
        .confirmed_us = INT64_MIN,
        .last_asked_us = INT64_MIN,
    };
}

static void become(struct raft_progress *progress, enum raft_progress_state state)
{
    progress->state = state;
    progress->is_waiting = false;
    progress->window_count = 0;
}

void raft_progress_become_probe(struct raft_progress *progress)
{
    become(progress, RAFT_PROGRESS_PROBE);
    progress->next_index = progress->match_index + 1; /* from what is known for sure: a snapshot on its way may be lost */
}

void raft_progress_become_replicate(struct raft_progress *progress)
{
    become(progress, RAFT_PROGRESS_REPLICATE);
    progress->next_index = progress->match_index + 1;
}

void raft_progress_become_snapshot(struct raft_progress *progress, int64_t snapshot_index)
{
    ASSERT(snapshot_index > progress->match_index);
    become(progress, RAFT_PROGRESS_SNAPSHOT);
    progress->snapshot_index = snapshot_index;
    progress->snapshot_offset = 0;
}

bool raft_progress_is_paused(const struct raft_progress *progress)
{
    if (!progress->is_voter) return progress->follow_request == 0;
    if (progress->is_unreachable) return true;
    return progress->state == RAFT_PROGRESS_REPLICATE ? progress->window_count == RAFT_WINDOW_MAX : progress->is_waiting;
}

void raft_progress_sent(struct raft_progress *progress, int64_t last_index)
{
    ASSERT(!raft_progress_is_paused(progress));
    ASSERT(last_index >= progress->next_index - 1);
    if (progress->state == RAFT_PROGRESS_PROBE || !progress->is_voter) {
        progress->is_waiting = true;
    } else {
        progress->window[progress->window_count++] = last_index;
    }
    if (progress->state == RAFT_PROGRESS_REPLICATE) progress->next_index = last_index + 1;
}

bool raft_progress_matched(struct raft_progress *progress, int64_t index)
{
    uint32_t answered = 0;
    while (answered < progress->window_count && progress->window[answered] <= index) answered++;
    progress->window_count -= answered;
    memmove(progress->window, progress->window + answered, progress->window_count * sizeof progress->window[0]);
    if (progress->state == RAFT_PROGRESS_PROBE) progress->is_waiting = false;
    bool is_news = index > progress->match_index;
    progress->match_index = max_i64(progress->match_index, index);
    progress->next_index = max_i64(progress->next_index, progress->match_index + 1);
    return is_news;
}

bool raft_progress_rejected(struct raft_progress *progress, int64_t prev_index, int64_t retry_index)
{
    if (progress->state == RAFT_PROGRESS_SNAPSHOT) return false;
    if (progress->state == RAFT_PROGRESS_REPLICATE) {
        if (prev_index <= progress->match_index) return false;
        raft_progress_become_probe(progress);
        return true;
    }
    if (prev_index != progress->next_index - 1) return false;
    progress->next_index = max_i64(min_i64(prev_index, retry_index + 1), progress->match_index + 1);
    progress->is_waiting = false;
    return true;
}
