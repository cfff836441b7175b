/* The partitions' part of the checker. */
#include "tests/sim/checker_internal.h"

#include "common/checked.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names --------------------------------------------------------------------------------------------------------- */

static const struct image_topic *topic_of(const struct checker *checker, uint32_t partition, int32_t *index)
{
    const struct workload_topic *topic = workload_topic_of(checker->workload, partition);
    *index = (int32_t)(partition - topic->first);
    return checker->newest && !uuid_is_zero(topic->id) ? image_topic_by_id(checker->newest, topic->id) : NULL;
}

/* The committed state; NULL before the topic exists, and while nobody who runs knows it. */
static const struct image_partition *committed_state(const struct checker *checker, uint32_t partition)
{
    int32_t index = 0;
    if (!checker->newest || checker->newest->index < checker->truth_index) return NULL;
    if (workload_topic_of(checker->workload, partition)->is_deleted) return NULL; /* nothing is owed */
    const struct image_topic *topic = topic_of(checker, partition, &index);
    return topic && index < topic->partition_count ? &topic->partitions[index] : NULL;
}

static bool is_counted_on(const struct image_partition *state, uint32_t node)
{
    return node_ids_contain(image_isr(state), (int32_t)node) || node_ids_contain(image_elr(state), (int32_t)node);
}

/* ---- what the checker sees, for people: SIM_TRACE=PARTITION ------------------------------------------------------------ */

static bool is_traced(uint32_t partition)
{
    const char *wanted = getenv("SIM_TRACE");
    return wanted && strtoul(wanted, NULL, 10) == partition;
}

static void print_ids(const char *label, struct node_ids nodes)
{
    (void)fprintf(stderr, " %s", label);
    for (uint32_t i = 0; i < nodes.count; i++) (void)fprintf(stderr, "%s%d", i ? "," : " ", nodes.ids[i]);
}

static void trace_state(const struct checker *checker, uint32_t partition, const struct image_partition *state)
{
    if (!is_traced(partition)) return;
    (void)fprintf(stderr, "%12.6f metadata %lld: leader %d epochs %d %d", (double)sim_now_us(checker->workload->sim) / SIM_SECOND,
                  (long long)checker->newest->index, state->leader, state->leader_epoch, state->partition_epoch);
    print_ids("replicas", image_replicas(state));
    print_ids("isr", image_isr(state));
    print_ids("elr", image_elr(state));
    (void)fprintf(stderr, "\n");
}

static void trace_replica(const struct checker *checker, uint32_t partition, const struct replica_info *info)
{
    if (!is_traced(partition)) return;
    (void)fprintf(stderr, "%12.6f node %u %s of %d epoch %d: start %lld, high watermark %lld, durable %lld, end %lld\n",
                  (double)sim_now_us(checker->workload->sim) / SIM_SECOND, checker->current_node, partition_role_name(info->role),
                  info->leader_id, info->leader_epoch, (long long)info->log_start, (long long)info->high_watermark,
                  (long long)info->durable_end, (long long)info->log_end);
}

/* ---- one partition against the committed state ---------------------------------------------------------------------- */

/* Q-LOST: who may be elected holds everything that was ever below a high watermark. */
static void check_candidates(struct checker *checker, uint32_t partition, const struct image_partition *state)
{
    struct checker_partition *p = &checker->partitions[partition];
    struct node_ids sets[] = {image_isr(state), image_elr(state)};
    for (size_t s = 0; s < 2; s++) {
        for (uint32_t i = 0; i < sets[s].count; i++) {
            const struct checker_replica *replica = &p->replicas[sets[s].ids[i]];
            if (replica->owes_nothing || replica->log_end >= p->watermark) continue;
            verdict_fail(checker->verdict, "Q-LOST",
                         "partition %u: node %d is in the %s and holds offsets below %lld only; %lld were committed", partition,
                         sets[s].ids[i], s == 0 ? "ISR" : "ELR", (long long)replica->log_end, (long long)p->watermark);
        }
    }
}

/* Q-HW: the watermark has just moved. The members' ends are what was last seen of them. */
static void check_members(struct checker *checker, uint32_t partition, const struct image_partition *state,
                          const struct checker_replica *leader)
{
    struct checker_partition *p = &checker->partitions[partition];
    if (leader->high_watermark > leader->durable_end) {
        verdict_fail(checker->verdict, "Q-HW", "partition %u: leader %u has high watermark %lld and is durable up to %lld", partition,
                     checker->current_node, (long long)leader->high_watermark, (long long)leader->durable_end);
    }
    if (!state || state->leader_epoch != leader->leader_epoch) return;
    struct node_ids isr = image_isr(state);
    for (uint32_t i = 0; i < isr.count; i++) {
        const struct checker_replica *member = &p->replicas[isr.ids[i]];
        if (member->owes_nothing || member->durable_end >= leader->high_watermark) continue;
        verdict_fail(checker->verdict, "Q-HW",
                     "partition %u: leader %u has high watermark %lld; member %d of the ISR is durable up to %lld", partition,
                     checker->current_node, (long long)leader->high_watermark, isr.ids[i], (long long)member->durable_end);
    }
}

static void check_new_leader(struct checker *checker, uint32_t partition, const struct replica_info *info)
{
    struct checker_partition *p = &checker->partitions[partition];
    int64_t count = p->epoch_count;
    int32_t *leader = checker_slot(&p->leaders, &count, info->leader_epoch);
    p->epoch_count = (int32_t)count;
    if (*leader >= 0 && *leader != (int32_t)checker->current_node) {
        verdict_fail(checker->verdict, "L-EPOCH", "partition %u: leader epoch %d has the leaders %d and %u", partition, info->leader_epoch,
                     *leader, checker->current_node);
    }
    if (*leader < 0) checker->leader_changes++;
    *leader = (int32_t)checker->current_node;
    /* A node that slept takes offices that have ended since: nobody follows it there. */
    const struct image_partition *state = committed_state(checker, partition);
    if (state && state->leader_epoch == info->leader_epoch && info->log_end < p->watermark) {
        verdict_fail(checker->verdict, "Q-LEADER", "partition %u: node %u leads epoch %d with offsets below %lld; %lld were committed",
                     partition, checker->current_node, info->leader_epoch, (long long)info->log_end, (long long)p->watermark);
    }
}

/* ---- one replica --------------------------------------------------------------------------------------------------- */

static void check_ends(struct checker *checker, uint32_t partition, const struct replica_info *info)
{
    bool is_ordered =
        info->log_start <= info->high_watermark && info->high_watermark <= info->log_end && info->durable_end <= info->log_end;
    if (is_ordered) return;
    verdict_fail(checker->verdict, "L-ENDS", "partition %u on node %u: start %lld, high watermark %lld, durable end %lld, end %lld",
                 partition, checker->current_node, (long long)info->log_start, (long long)info->high_watermark,
                 (long long)info->durable_end, (long long)info->log_end);
}

/* Between what was asked and what was answered nothing is promised. An office that has ended is nobody's leader. */
static void check_start(struct checker *checker, uint32_t partition, const struct replica_info *info, const struct image_partition *state)
{
    const struct history_partition *known = &checker->workload->history.partitions[partition];
    if (info->log_start > known->trim_asked) {
        verdict_fail(checker->verdict, "L-START", "partition %u on node %u starts at %lld; records below %lld were to be deleted",
                     partition, checker->current_node, (long long)info->log_start, (long long)known->trim_asked);
    }
    bool is_leader = info->role == PARTITION_LEADER && state && state->leader_epoch == info->leader_epoch;
    if (is_leader && info->log_start < known->trim_done) {
        verdict_fail(checker->verdict, "Q-TRIM", "partition %u: leader %u of epoch %d starts at %lld; what is below %lld was deleted",
                     partition, checker->current_node, info->leader_epoch, (long long)info->log_start, (long long)known->trim_done);
    }
}

/* Also when nobody counts on it any more: it may have been counted while it ran. What was to be deleted may go in any way. */
static void check_restart(struct checker *checker, uint32_t partition, const struct checker_replica *before,
                          const struct replica_info *info)
{
    bool is_owed = before->durable_end > checker->workload->history.partitions[partition].trim_asked;
    if (before->is_seen || !before->is_known || info->log_end >= before->durable_end || !is_owed) return;
    verdict_fail(checker->verdict, "Q-DUR", "partition %u: node %u restarts with offsets below %lld; those below %lld were durable",
                 partition, checker->current_node, (long long)info->log_end, (long long)before->durable_end);
}

static void check_leader(struct checker *checker, uint32_t partition, const struct checker_replica *before,
                         const struct checker_replica *now, const struct replica_info *info)
{
    struct checker_partition *p = &checker->partitions[partition];
    bool is_same_reign = before->is_seen && before->role == PARTITION_LEADER && before->leader_epoch == now->leader_epoch;
    if (!is_same_reign) check_new_leader(checker, partition, info);
    if (is_same_reign && now->high_watermark < before->high_watermark) {
        verdict_fail(checker->verdict, "Q-HW", "partition %u: the high watermark of leader %u went from %lld to %lld", partition,
                     checker->current_node, (long long)before->high_watermark, (long long)now->high_watermark);
    }
    bool has_moved = now->high_watermark > p->watermark;
    if (has_moved) p->watermark = now->high_watermark;
    if (has_moved || (is_same_reign && now->high_watermark > before->high_watermark))
        check_members(checker, partition, committed_state(checker, partition), now);
}

/* A wiped node owes again once its new life has begun, which its registration does, and no set counts on the old one. Before, a set may
 * still come to count on what the old one had fetched. */
static bool still_owes_nothing(const struct checker *checker, uint32_t partition, const struct checker_replica *before)
{
    if (!before->owes_nothing) return false;
    const struct image_partition *state = committed_state(checker, partition);
    return !state || is_counted_on(state, checker->current_node);
}

static void look_at_replica(struct checker *checker, uint32_t partition, const struct replica_info *info)
{
    struct checker_partition *p = &checker->partitions[partition];
    struct checker_replica *replica = &p->replicas[checker->current_node];
    const struct image_partition *committed = committed_state(checker, partition);
    /* It was moved elsewhere, perhaps back since, and does not know that yet: a leader may still tell what everybody held before. */
    bool is_moved = info->partition_epoch < replica->moved_before;
    if (committed && (is_moved || !node_ids_contain(image_replicas(committed), (int32_t)checker->current_node))) {
        if (info->role == PARTITION_LEADER && info->high_watermark > p->watermark) p->watermark = info->high_watermark;
        check_candidates(checker, partition, committed);
        return;
    }
    struct checker_replica before = *replica;
    bool is_same = before.is_seen && before.role == info->role && before.leader_epoch == info->leader_epoch &&
                   before.log_start == info->log_start && before.log_end == info->log_end && before.durable_end >= info->durable_end &&
                   before.high_watermark == info->high_watermark;
    if (is_same || info->role == PARTITION_OFFLINE) return;
    trace_replica(checker, partition, info);
    check_ends(checker, partition, info);
    check_start(checker, partition, info, committed);
    check_restart(checker, partition, &before, info);
    /* After a restart a node calls less durable than is: what was durable once stays so until it is cut. */
    *replica = (struct checker_replica){.is_seen = true,
                                        .is_known = true,
                                        .owes_nothing = still_owes_nothing(checker, partition, &before),
                                        .moved_before = before.moved_before,
                                        .role = info->role,
                                        .leader_epoch = info->leader_epoch,
                                        .log_start = info->log_start,
                                        .log_end = info->log_end,
                                        .durable_end = max_i64(info->durable_end, min_i64(before.durable_end, info->log_end)),
                                        .high_watermark = info->high_watermark};
    /* In one turn a leader can move its watermark, answer, and lose its office. */
    if (before.is_seen && before.role == PARTITION_LEADER && info->high_watermark > p->watermark) p->watermark = info->high_watermark;
    if (info->role == PARTITION_LEADER) check_leader(checker, partition, &before, replica, info);
    if (info->high_watermark > p->watermark) {
        verdict_fail(checker->verdict, "Q-HW", "partition %u: node %u has the high watermark %lld; no leader had one above %lld", partition,
                     checker->current_node, (long long)info->high_watermark, (long long)p->watermark);
    }
    const struct image_partition *state = committed_state(checker, partition);
    if (state) check_candidates(checker, partition, state);
}

static void look_at_one(void *context, struct uuid topic_id, int32_t index, const struct replica_info *info)
{
    struct checker *checker = context;
    for (uint32_t t = 0; t < checker->workload->topic_count; t++) {
        const struct workload_topic *topic = &checker->workload->topics[t];
        /* What is being deleted goes in the turn in which it may still have advanced. */
        if (uuid_equal(topic->id, topic_id) && !topic->is_deleted) look_at_replica(checker, topic->first + (uint32_t)index, info);
    }
}

/* L-TORN. */
static void check_recovery(struct checker *checker)
{
    size_t count = 0;
    (void)replica_manager_damaged(checker->current.replicas, &count);
    if (count > 0)
        verdict_fail(checker->verdict, "L-TORN", "node %u calls %zu logs damaged that only a power cut has seen", checker->current_node,
                     count);
}

void checker_look_at_replicas(struct checker *checker)
{
    check_recovery(checker);
    replica_manager_each(checker->current.replicas, look_at_one, checker);
}

/* What was moved elsewhere is deleted; should it come back it begins anew. */
static void forget_moved(struct checker *checker, struct checker_partition *p, const struct image_partition *state)
{
    for (uint32_t n = 0; n < checker->node_count; n++) {
        if (node_ids_contain(image_replicas(state), (int32_t)n)) continue;
        p->replicas[n] = (struct checker_replica){.owes_nothing = p->replicas[n].owes_nothing, .moved_before = state->partition_epoch + 1};
    }
}

/* ---- committed metadata -------------------------------------------------------------------------------------------- */

void checker_look_at_truth(struct checker *checker)
{
    for (uint32_t partition = 0; partition < checker->workload->partition_count; partition++) {
        const struct image_partition *state = committed_state(checker, partition);
        struct checker_partition *p = &checker->partitions[partition];
        if (!state) continue;
        if (p->is_known && state->partition_epoch == p->partition_epoch) continue;
        p->is_known = true;
        if (state->leader_epoch < p->leader_epoch || state->partition_epoch < p->partition_epoch)
            verdict_fail(checker->verdict, "P-PE", "partition %u went back from epochs (%d, %d) to (%d, %d)", partition, p->leader_epoch,
                         p->partition_epoch, state->leader_epoch, state->partition_epoch);
        p->leader = state->leader;
        p->leader_epoch = state->leader_epoch;
        p->partition_epoch = state->partition_epoch;
        forget_moved(checker, p, state);
        trace_state(checker, partition, state);
        check_candidates(checker, partition, state);
    }
}

bool checker_is_leader(const struct checker *checker, uint32_t partition, int32_t node, int32_t leader_epoch)
{
    const struct checker_partition *p = &checker->partitions[partition];
    return p->is_known && p->leader == node && p->leader_epoch == leader_epoch;
}

void checker_acked(struct checker *checker, uint32_t partition, int64_t offset)
{
    if (offset < checker->partitions[partition].watermark) return;
    verdict_fail(checker->verdict, "Q-ACK", "partition %u: offset %lld was acknowledged; no leader had a high watermark above %lld",
                 partition, (long long)offset, (long long)checker->partitions[partition].watermark);
}
