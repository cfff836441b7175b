#include "common/assert.h"
#include "tests/sim/member.h"

void group_history_init(struct group_history *history, struct verdict *verdict)
{
    history->verdict = verdict;
    history->stored_generation = -1;
}

int64_t group_history_begin(struct group_history *history, uint32_t partition, int64_t now_us)
{
    ASSERT(partition < GROUP_PARTITIONS);
    if (history->counts[partition] == GROUP_COMMITS_MAX) return -1;
    int64_t offset = history->counts[partition]++;
    history->commits[partition][offset] = (struct group_commit){now_us, -1};
    return offset;
}

void group_history_acked(struct group_history *history, uint32_t partition, int64_t offset, int64_t now_us)
{
    struct group_commit *commit = &history->commits[partition][offset];
    ASSERT(offset < history->counts[partition]);
    if (commit->acked_us < 0) commit->acked_us = now_us;
    history->acked++;
}

static void check_none(struct group_history *history, uint32_t partition, int64_t asked_us)
{
    for (int64_t i = 0; i < history->counts[partition]; i++) {
        int64_t acked_us = history->commits[partition][i].acked_us;
        if (acked_us >= 0 && acked_us < asked_us)
            verdict_fail(history->verdict, "G-OFFDUR", "partition %u: commit %lld was acknowledged, and later there is no offset",
                         partition, (long long)i);
    }
}

void group_history_read(struct group_history *history, uint32_t partition, int64_t offset, int64_t asked_us)
{
    ASSERT(partition < GROUP_PARTITIONS);
    history->read++;
    if (offset < 0) {
        check_none(history, partition, asked_us);
        return;
    }
    if (offset >= history->counts[partition]) {
        verdict_fail(history->verdict, "G-OFFMON", "partition %u: offset %lld was never committed", partition, (long long)offset);
        return;
    }
    int64_t acked_us = history->commits[partition][offset].acked_us;
    for (int64_t i = offset + 1; acked_us >= 0 && i < history->counts[partition]; i++) {
        const struct group_commit *later = &history->commits[partition][i];
        if (later->began_us > acked_us && later->acked_us >= 0 && later->acked_us < asked_us)
            verdict_fail(history->verdict, "G-OFFMON", "partition %u: commit %lld is read after %lld, which replaced it, was acknowledged",
                         partition, (long long)offset, (long long)i);
    }
}

void group_history_synced(struct group_history *history, uint32_t client, int32_t generation, uint32_t owned)
{
    ASSERT(generation >= 0 && generation < GROUP_GENERATIONS_MAX);
    if (generation > history->stored_generation) {
        history->stored_generation = generation;
        history->rebalances++;
    }
    for (uint32_t p = 0; p < GROUP_PARTITIONS; p++) {
        uint8_t *owner = &history->owners[generation][p];
        if (!(owned >> p & 1)) continue;
        if (*owner && *owner != client + 1)
            verdict_fail(history->verdict, "G-OWN", "partition %u belongs to clients %d and %u in generation %d", p, *owner - 1, client,
                         generation);
        *owner = (uint8_t)(client + 1);
    }
}
