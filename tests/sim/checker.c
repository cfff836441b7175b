/* See checker.h. The controllers' part; partitions are in checker_partition.c. */
#include "tests/sim/checker_internal.h"

#include "common/checked.h"

void checker_init(struct checker *checker, struct verdict *verdict, const struct workload *workload)
{
    *checker = (struct checker){
        .verdict = verdict, .workload = workload, .node_count = workload->node_count, .voter_count = workload->voter_count};
    for (uint32_t node = 0; node < WORKLOAD_NODES_MAX; node++) checker->nodes[node].vote = RAFT_NOBODY;
}

void checker_deinit(struct checker *checker)
{
    for (uint32_t p = 0; p < WORKLOAD_PARTITIONS_MAX; p++) sim_free(checker->partitions[p].leaders);
    sim_free(checker->raft_leaders);
    sim_free(checker->committed_in_term);
    sim_free(checker->votes);
    sim_free(checker->image_hashes);
}

int32_t *checker_slot(int32_t **array, int64_t *count, int64_t index)
{
    ASSERT(index >= 0 && index < 1 << 24);
    if (index >= *count) {
        int64_t grown = *count * 2 > index ? *count * 2 : index + 16;
        *array = sim_realloc(*array, (size_t)grown * sizeof **array);
        for (int64_t i = *count; i < grown; i++) (*array)[i] = -1;
        *count = grown;
    }
    return &(*array)[index];
}

/* ---- Raft ---------------------------------------------------------------------------------------------------------- */

/* The greatest index that was committed before `term` began. A candidate may sleep on its votes while later terms commit: it
 * leads for nobody, and needs nothing of theirs. */
static int64_t committed_before(struct checker *checker, int64_t term)
{
    int64_t committed = 0;
    for (int64_t t = 0; t < term && t < checker->committed_count; t++) committed = max_i64(committed, checker->committed_in_term[t]);
    return committed;
}

static void check_leader(struct checker *checker, uint32_t node, const struct raft_status *raft)
{
    int32_t *leader = checker_slot(&checker->raft_leaders, &checker->raft_term_count, raft->term);
    if (*leader == (int32_t)node) return;
    if (*leader >= 0) {
        verdict_fail(checker->verdict, "R-ELEC", "term %lld has the leaders %d and %u", (long long)raft->term, *leader, node);
        return;
    }
    if (node >= checker->voter_count) verdict_fail(checker->verdict, "R-ELEC", "node %u leads, and is no voter", node);
    *leader = (int32_t)node;
    checker->elections++;
    int64_t committed = committed_before(checker, raft->term);
    if (raft->last_index < committed) {
        verdict_fail(checker->verdict, "R-COMPLETE", "node %u leads term %lld with entries up to %lld; %lld were committed before", node,
                     (long long)raft->term, (long long)raft->last_index, (long long)committed);
    }
}

static void check_commit(struct checker *checker, const struct raft_status *raft)
{
    if (raft->commit_index <= checker->committed) return;
    checker->committed = raft->commit_index;
    ASSERT(raft->commit_index <= INT32_MAX);
    *checker_slot(&checker->committed_in_term, &checker->committed_count, raft->term) = (int32_t)raft->commit_index;
    uint32_t holders = 0;
    for (uint32_t i = 0; i < checker->voter_count; i++)
        holders += max_i64(checker->nodes[i].durable, checker->nodes[i].lost) >= raft->commit_index;
    if (holders * 2 > checker->voter_count) return;
    verdict_fail(checker->verdict, "R-HW", "index %lld is committed and durable on %u of %u voters only", (long long)raft->commit_index,
                 holders, checker->voter_count);
}

/* ---- votes --------------------------------------------------------------------------------------------------------- */

static int32_t *votes_for(struct checker *checker, int64_t term, uint32_t candidate)
{
    int32_t *votes = checker_slot(&checker->votes, &checker->vote_count, term * WORKLOAD_NODES_MAX + candidate);
    if (*votes < 0) *votes = 0;
    return votes;
}

/* A new disk has cast none of the old one's votes. */
static int32_t voter_bit(const struct checker *checker, uint32_t node)
{
    return 1 << (node + (checker->nodes[node].is_replaced ? WORKLOAD_NODES_MAX : 0));
}

/* Terms that came and went in one turn: it may have voted for anybody in them. */
static void see_skipped_terms(struct checker *checker, uint32_t node, const struct checker_node *known, int64_t term)
{
    for (int64_t t = known->vote == RAFT_NOBODY ? known->term : known->term + 1; t < term; t++) {
        for (uint32_t candidate = 0; candidate < checker->voter_count; candidate++)
            *votes_for(checker, t, candidate) |= voter_bit(checker, node);
    }
}

static bool is_majority(const struct checker *checker, int32_t votes)
{
    uint32_t nodes = ((uint32_t)votes | (uint32_t)votes >> WORKLOAD_NODES_MAX) & ((1u << WORKLOAD_NODES_MAX) - 1);
    return (uint32_t)__builtin_popcount(nodes) * 2 > checker->voter_count;
}

static void forget_vote(struct checker *checker, uint32_t node, int64_t term, uint32_t candidate)
{
    int32_t *votes = votes_for(checker, term, candidate), before = *votes;
    *votes &= ~voter_bit(checker, node);
    if (*checker_slot(&checker->raft_leaders, &checker->raft_term_count, term) != (int32_t)candidate) return;
    if (!is_majority(checker, before) || is_majority(checker, *votes)) return;
    verdict_fail(checker->verdict, "R-VOTE", "node %u has forgotten its vote in term %lld, which node %u leads by it", node,
                 (long long)term, candidate);
}

/* What was on its way to the disk may be lost: nobody was told. */
static void check_restarted_votes(struct checker *checker, uint32_t node, const struct checker_node *known, const struct raft_status *raft)
{
    for (int64_t term = raft->term; term <= known->term; term++) {
        for (uint32_t candidate = 0; candidate < checker->voter_count; candidate++) {
            if (term > raft->term || raft->vote.id != (int32_t)candidate) forget_vote(checker, node, term, candidate);
        }
    }
}

static void check_votes(struct checker *checker, uint32_t node, const struct raft_status *raft)
{
    const struct checker_node *known = &checker->nodes[node];
    if (node >= checker->voter_count) return;
    if (!known->is_seen && known->is_known) check_restarted_votes(checker, node, known, raft);
    if (known->is_seen && raft->term > known->term) see_skipped_terms(checker, node, known, raft->term);
    if (raft->vote.id != RAFT_NOBODY) *votes_for(checker, raft->term, (uint32_t)raft->vote.id) |= voter_bit(checker, node);
}

/* After a restart a replica calls less durable than is: what was durable once stays so until it is cut. A log that ends in another
 * term may have been cut and have grown again. */
static void see_durable(struct checker_node *known, const struct raft_status *raft)
{
    bool may_be_cut = raft->last_index < known->owed || (known->is_seen && raft->last_term != known->last_term);
    known->durable = max_i64(raft->durable_index, min_i64(known->durable, raft->last_index));
    if (raft->durable_index > known->owed || may_be_cut) known->owed = raft->durable_index;
    known->last_term = raft->last_term;
}

/* ---- one replica --------------------------------------------------------------------------------------------------- */

static void check_raft(struct checker *checker, uint32_t node, const struct raft_status *raft)
{
    struct checker_node *known = &checker->nodes[node];
    check_votes(checker, node, raft);
    if (known->is_seen && raft->term < known->term)
        verdict_fail(checker->verdict, "R-TERM", "node %u went from term %lld to %lld", node, (long long)known->term,
                     (long long)raft->term);
    if (known->is_seen && raft->commit_index < known->commit)
        verdict_fail(checker->verdict, "R-HW", "node %u committed %lld and then %lld", node, (long long)known->commit,
                     (long long)raft->commit_index);
    if (!known->is_seen && known->is_known && raft->last_index < known->owed)
        verdict_fail(checker->verdict, "R-DUR", "node %u restarts with entries up to %lld; %lld were durable", node,
                     (long long)raft->last_index, (long long)known->owed);
    see_durable(known, raft);
    known->is_seen = known->is_known = true;
    known->term = raft->term;
    known->vote = raft->vote.id;
    known->commit = raft->commit_index;
    if (raft->role == RAFT_LEADER) check_leader(checker, node, raft);
    check_commit(checker, raft);
}

/* ---- images -------------------------------------------------------------------------------------------------------- */

static void check_image(struct checker *checker, uint32_t node, const struct image *image)
{
    struct checker_node *known = &checker->nodes[node];
    if (image->index == known->image_index) return;
    known->image_index = image->index;
    if (image->index >= checker->image_count) {
        int64_t grown = image->index * 2 + 64;
        checker->image_hashes = sim_realloc(checker->image_hashes, (size_t)grown * sizeof *checker->image_hashes);
        memset(checker->image_hashes + checker->image_count, 0, (size_t)(grown - checker->image_count) * sizeof *checker->image_hashes);
        checker->image_count = grown;
    }
    uint64_t *hash = &checker->image_hashes[image->index], is = image_hash(image) | 1;
    if (*hash == 0) {
        *hash = is;
        image_check(image);
    } else if (*hash != is) {
        verdict_fail(checker->verdict, "R-SAFE", "node %u has another image at index %lld than an earlier one", node,
                     (long long)image->index);
    }
}

/* ---- entry points -------------------------------------------------------------------------------------------------- */

void checker_look(struct checker *checker, uint32_t node, const struct checker_view *view, const struct image *newest)
{
    checker->current = *view;
    checker->current_node = node;
    checker->newest = newest;
    if (view->raft) check_raft(checker, node, view->raft);
    if (view->image) check_image(checker, node, view->image);
    if (view->replicas) checker_look_at_replicas(checker);
    if (newest && newest->index > checker->truth_index) {
        checker->truth_index = newest->index;
        checker_look_at_truth(checker);
    }
}

void checker_on_crash(struct checker *checker, uint32_t node, bool is_power)
{
    checker->nodes[node].is_seen = false;
    checker->nodes[node].image_index = 0;
    for (uint32_t p = 0; p < WORKLOAD_PARTITIONS_MAX; p++) {
        struct checker_replica *replica = &checker->partitions[p].replicas[node];
        replica->is_seen = false;
        if (is_power) replica->log_end = replica->durable_end;
    }
}

void checker_on_wipe(struct checker *checker, uint32_t node)
{
    checker->nodes[node] = (struct checker_node){.is_replaced = true, .lost = checker->nodes[node].durable, .vote = RAFT_NOBODY};
    for (uint32_t p = 0; p < WORKLOAD_PARTITIONS_MAX; p++) {
        checker->partitions[p].replicas[node] = (struct checker_replica){.owes_nothing = true};
    }
}
