#include "tests/sim/raft_checker.h"

#include "common/crc32c.h"
#include "common/mem.h"
#include "controller/raft/raft_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* One place of a replica's log, as last seen. */
struct seen_entry {
    int64_t term;
    uint64_t write;
    const struct buf *bytes;
    uint64_t chain;  /* hash of everything up to here */
    uint64_t digest; /* the same over what the owner is given */
};

#define HARD_STATES_MAX 64 /* terms that pass while one write is on its way to a disk */

struct seen_vote {
    int64_t term;
    struct raft_member voter, candidate;
};

struct seen_node {
    uint64_t incarnation;
    struct seen_entry *log; /* by index; place 0 is before the first */
    int64_t base_index, last_index, capacity;
    int64_t commit_index;
    int64_t applied_index;
    uint64_t applied_digest;
    int64_t durable_index;
    int64_t durable_term;
    struct raft_member durable_vote;
    struct raft_member member;
    int64_t hard_term; /* as last seen */
    struct raft_member hard_vote;
    /* Seen, not durable yet, in order: while a disk is slow a node may go on to the next term before it tells its vote in this one. */
    struct seen_hard_state {
        int64_t term;
        struct raft_member vote;
        uint64_t write; /* that makes it durable */
    } hard_states[HARD_STATES_MAX];
    size_t hard_state_count;
};

/* A disk that is gone: what was acknowledged from it counted once. */
struct lost_disk {
    struct raft_member member;
    struct seen_entry *log;
    int64_t base_index, durable_index;
};

struct seen_leader {
    int64_t term;
    int node;
    uint64_t incarnation;
};

/* All (term, hash) that were ever seen at an index: one a term, so there are few. */
struct seen_matches {
    struct seen_match {
        int64_t term;
        uint64_t chain;
    } * items;
    size_t count, capacity;
};

struct raft_checker {
    void (*failed)(void *context, const char *text);
    void *context;
    bool has_failed;
    struct seen_node nodes[CHECKED_NODES_MAX];
    struct lost_disk *lost;
    size_t lost_count, lost_capacity;
    struct seen_leader *leaders;
    size_t leader_count, leader_capacity;
    struct seen_vote *votes;
    size_t vote_count, vote_capacity;
    struct seen_matches *matches; /* by index */
    size_t match_capacity;
    struct seen_entry *committed; /* the one true log */
    int64_t committed_index, committed_capacity;
};

static void violate(struct raft_checker *checker, const char *format, ...) PRINTF_LIKE(2, 3);
static void violate(struct raft_checker *checker, const char *format, ...)
{
    if (checker->has_failed) return;
    checker->has_failed = true;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    checker->failed(checker->context, text);
}

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return items;
    *capacity = *capacity ? 2 * *capacity : 4;
    return mem_realloc(items, *capacity, size);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = (a ^ b) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u + b;
    return z ^ z >> 29;
}

uint64_t raft_checker_digest(uint64_t before, int64_t index, int64_t term, struct slice bytes)
{
    return mix(mix(mix(before, (uint64_t)index), (uint64_t)term), slice_is_null(bytes) ? 1 : 2 + (uint64_t)crc32c(bytes));
}

struct raft_checker *raft_checker_create(void (*failed)(void *context, const char *text), void *context)
{
    struct raft_checker *checker = mem_alloc(sizeof *checker);
    checker->failed = failed;
    checker->context = context;
    checker->committed_capacity = 64;
    checker->committed = mem_calloc(64, sizeof *checker->committed);
    for (int i = 0; i < CHECKED_NODES_MAX; i++) {
        checker->nodes[i].durable_vote = checker->nodes[i].hard_vote = RAFT_NO_MEMBER;
        checker->nodes[i].log = mem_calloc(64, sizeof *checker->nodes[i].log);
        checker->nodes[i].capacity = 64;
    }
    return checker;
}

void raft_checker_destroy(struct raft_checker *checker)
{
    for (int i = 0; i < CHECKED_NODES_MAX; i++) mem_free(checker->nodes[i].log);
    for (size_t i = 0; i < checker->lost_count; i++) mem_free(checker->lost[i].log);
    mem_free(checker->lost);
    mem_free(checker->leaders);
    mem_free(checker->votes);
    for (size_t i = 0; i < checker->match_capacity; i++) mem_free(checker->matches[i].items);
    mem_free(checker->matches);
    mem_free(checker->committed);
    mem_free(checker);
}

int64_t raft_checker_committed(const struct raft_checker *checker) { return checker->committed_index; }

/* ---- logs ------------------------------------------------------------------------------------------------------------ */

static struct seen_entry *place(struct seen_node *node, int64_t index)
{
    while (index >= node->capacity) {
        node->log = mem_realloc(node->log, (size_t)node->capacity * 2, sizeof *node->log);
        node->capacity *= 2;
    }
    return &node->log[index];
}

static void check_match(struct raft_checker *checker, int n, int64_t index, const struct seen_entry *entry)
{
    size_t at = (size_t)index, before = checker->match_capacity;
    while (at >= checker->match_capacity) checker->match_capacity = checker->match_capacity ? 2 * checker->match_capacity : 64;
    if (checker->match_capacity != before) {
        checker->matches = mem_realloc(checker->matches, checker->match_capacity, sizeof *checker->matches);
        memset(checker->matches + before, 0, (checker->match_capacity - before) * sizeof *checker->matches);
    }
    struct seen_matches *matches = &checker->matches[at];
    for (size_t i = 0; i < matches->count; i++) {
        if (matches->items[i].term != entry->term) continue;
        if (matches->items[i].chain != entry->chain)
            violate(checker, "R-MATCH: node %d has another log than an earlier one up to (%" PRId64 ", term %" PRId64 ")", n, index,
                    entry->term);
        return;
    }
    matches->items = grow(matches->items, matches->count, &matches->capacity, sizeof *matches->items);
    matches->items[matches->count++] = (struct seen_match){entry->term, entry->chain};
}

static void see_entry(struct raft_checker *checker, int n, int64_t index, const struct raft_entry *entry)
{
    struct seen_node *node = &checker->nodes[n];
    struct seen_entry before = *place(node, index - 1), *seen = place(node, index);
    seen->term = entry->term;
    seen->write = entry->write;
    seen->bytes = entry->bytes;
    struct slice bytes = entry->type == RAFT_ENTRY_DATA ? buf_slice(entry->bytes) : SLICE_NULL;
    seen->digest = raft_checker_digest(before.digest, index, entry->term, bytes);
    seen->chain = mix(raft_checker_digest(before.chain, index, entry->term, buf_slice(entry->bytes)), (uint64_t)entry->type);
    check_match(checker, n, index, seen);
}

/* The first index that differs from what was seen. Writes are numbered upwards, so what has the same number is the same. */
static int64_t first_changed(struct seen_node *node, const struct raft *raft)
{
    int64_t index = min_i64(node->last_index, raft_log_last_index(&raft->log));
    for (; index > raft->log.base_index; index--) {
        const struct raft_entry *entry = raft_log_at(&raft->log, index);
        const struct seen_entry *seen = &node->log[index];
        if (seen->term == entry->term && seen->write == entry->write && seen->bytes == entry->bytes) break;
    }
    return index + 1;
}

static void see_log(struct raft_checker *checker, int n, const struct raft *raft)
{
    struct seen_node *node = &checker->nodes[n];
    int64_t base = raft->log.base_index, last = raft_log_last_index(&raft->log);
    if (base > node->base_index) { /* compacted, or replaced by an installed snapshot */
        if (base > checker->committed_index) {
            violate(checker, "R-SNAP: node %d has a snapshot up to %" PRId64 ", but only %" PRId64 " is committed", n, base,
                    checker->committed_index);
            return;
        }
        *place(node, base) = checker->committed[base];
        node->last_index = max_i64(node->last_index, base);
    }
    int64_t from = max_i64(first_changed(node, raft), base + 1);
    if (from <= node->commit_index && from <= node->last_index && last >= from &&
        node->log[from].term != raft_log_at(&raft->log, from)->term)
        violate(checker, "R-NOTRUNC: node %d changed entry %" PRId64 ", committed up to %" PRId64, n, from, node->commit_index);
    if (last < node->commit_index)
        violate(checker, "R-NOTRUNC: node %d truncated to %" PRId64 ", committed up to %" PRId64, n, last, node->commit_index);
    for (int64_t index = from; index <= last && !checker->has_failed; index++) see_entry(checker, n, index, raft_log_at(&raft->log, index));
    node->last_index = last;
}

/* ---- restarts and disks ---------------------------------------------------------------------------------------------- */

/* All that a log still holds after a restart, without the numbers of writes. */
static void see_restart(struct raft_checker *checker, int n, const struct raft *raft)
{
    struct seen_node *node = &checker->nodes[n];
    int64_t base = raft->log.base_index, durable = node->durable_index;
    uint64_t chain = durable <= node->last_index ? node->log[durable].chain : 0;
    if (base > 0 && base <= checker->committed_index) *place(node, base) = checker->committed[base];
    node->last_index = node->base_index = base;
    node->commit_index = 0;
    for (int64_t index = base + 1; index <= raft_log_last_index(&raft->log); index++)
        see_entry(checker, n, index, raft_log_at(&raft->log, index));
    node->last_index = raft_log_last_index(&raft->log);
    if (raft->hard.term < node->durable_term)
        violate(checker, "R-EPOCH: node %d came back in term %" PRId64 ", it was durable in %" PRId64, n, raft->hard.term,
                node->durable_term);
    if (raft->hard.term == node->durable_term && node->durable_vote.id != RAFT_NOBODY &&
        !raft_member_equal(raft->hard.vote, node->durable_vote))
        violate(checker, "R-VOTE: node %d forgot its vote in term %" PRId64, n, node->durable_term);
    if (durable > base && (durable > node->last_index || node->log[durable].chain != chain))
        violate(checker, "R-DUR: node %d lost durable entries up to %" PRId64 ", has %" PRId64, n, durable, node->last_index);
}

void raft_checker_wiped(struct raft_checker *checker, int n)
{
    struct seen_node *node = &checker->nodes[n];
    checker->lost = grow(checker->lost, checker->lost_count, &checker->lost_capacity, sizeof *checker->lost);
    checker->lost[checker->lost_count++] = (struct lost_disk){node->member, node->log, node->base_index, node->durable_index};
    struct seen_node empty = {
        .incarnation = node->incarnation, .capacity = 64, .durable_vote = RAFT_NO_MEMBER, .hard_vote = RAFT_NO_MEMBER};
    empty.log = mem_calloc(64, sizeof *empty.log);
    *node = empty;
}

static void see_durable_hard_state(struct raft_checker *checker, struct seen_node *node, const struct seen_hard_state *state)
{
    bool is_vote =
        state->vote.id != RAFT_NOBODY && (node->durable_term != state->term || !raft_member_equal(node->durable_vote, state->vote));
    node->durable_term = state->term;
    node->durable_vote = state->vote;
    if (!is_vote) return;
    for (size_t i = 0; i < checker->vote_count; i++) {
        const struct seen_vote *vote = &checker->votes[i];
        if (vote->term != node->durable_term || !raft_member_equal(vote->voter, node->member)) continue;
        if (!raft_member_equal(vote->candidate, node->durable_vote))
            violate(checker, "R-VOTE: node %d voted for %d and for %d in term %" PRId64, vote->voter.id, vote->candidate.id,
                    node->durable_vote.id, vote->term);
        return;
    }
    checker->votes = grow(checker->votes, checker->vote_count, &checker->vote_capacity, sizeof *checker->votes);
    checker->votes[checker->vote_count++] = (struct seen_vote){node->durable_term, node->member, node->durable_vote};
}

static void see_hard_state(struct raft_checker *checker, struct seen_node *node, const struct raft *raft)
{
    if (node->hard_term != raft->hard.term || !raft_member_equal(node->hard_vote, raft->hard.vote)) {
        node->hard_term = raft->hard.term;
        node->hard_vote = raft->hard.vote;
        ASSERT(node->hard_state_count < HARD_STATES_MAX);
        node->hard_states[node->hard_state_count++] = (struct seen_hard_state){raft->hard.term, raft->hard.vote, raft->last_write};
    }
    size_t durable = 0;
    while (durable < node->hard_state_count && node->hard_states[durable].write <= raft->durable_write)
        see_durable_hard_state(checker, node, &node->hard_states[durable++]);
    node->hard_state_count -= durable;
    memmove(node->hard_states, node->hard_states + durable, node->hard_state_count * sizeof node->hard_states[0]);
}

/* ---- elections ------------------------------------------------------------------------------------------------------- */

static bool has_voted(const struct raft_checker *checker, struct raft_member voter, int64_t term, struct raft_member candidate)
{
    for (size_t i = checker->vote_count; i-- > 0;) {
        const struct seen_vote *vote = &checker->votes[i];
        if (vote->term == term && raft_member_equal(vote->voter, voter)) return raft_member_equal(vote->candidate, candidate);
    }
    return false;
}

static void see_candidate(struct raft_checker *checker, const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->state.candidate.voter_count; i++) {
        if (raft->state.candidate.votes[i] != RAFT_VOTE_GRANTED) continue;
        struct raft_member voter = raft->state.candidate.voters[i];
        if (!has_voted(checker, voter, raft->hard.term, raft->config.self))
            violate(checker, "R-VOTE: node %d counts a vote of node %d in term %" PRId64 " that is not durable there", raft->config.self.id,
                    voter.id, raft->hard.term);
    }
}

static enum raft_vote_state durable_vote_of(const void *context, struct raft_member voter)
{
    const void *const *both = context;
    const struct raft *raft = both[1];
    return has_voted(both[0], voter, raft->hard.term, raft->config.self) ? RAFT_VOTE_GRANTED : RAFT_VOTE_REFUSED;
}

static void see_new_leader(struct raft_checker *checker, int n, const struct raft *raft, uint64_t incarnation)
{
    int64_t term = raft->hard.term;
    for (size_t i = checker->leader_count; i-- > 0;) {
        const struct seen_leader *leader = &checker->leaders[i];
        if (leader->term != term) continue;
        if (leader->node != n || leader->incarnation != incarnation)
            violate(checker, "R-ELEC: nodes %d and %d both led term %" PRId64, leader->node, n, term);
        return;
    }
    checker->leaders = grow(checker->leaders, checker->leader_count, &checker->leader_capacity, sizeof *checker->leaders);
    checker->leaders[checker->leader_count++] = (struct seen_leader){term, n, incarnation};
    /* Its first entry may bring another membership than the one that elected it: only at birth, and then it is the same. */
    const void *both[2] = {checker, raft};
    if (raft_quorum_tally(raft_membership_now(raft), durable_vote_of, both) != RAFT_TALLY_WON)
        violate(checker, "R-VOTE: node %d leads term %" PRId64 " without a majority of durable votes", n, term);
    int64_t committed = checker->committed_index;
    const struct seen_node *node = &checker->nodes[n];
    bool is_complete = committed == 0 ||
                       (committed <= node->last_index && node->log[committed].chain == checker->committed[committed].chain) ||
                       committed < raft->log.base_index;
    if (!is_complete)
        violate(checker, "R-COMPLETE: node %d leads term %" PRId64 " without the committed entry %" PRId64, n, term, committed);
}

/* ---- committing ------------------------------------------------------------------------------------------------------ */

struct durable_query {
    const struct raft_checker *checker;
    int64_t index;
    uint64_t chain;
};

static bool covers(const struct durable_query *query, const struct seen_entry *log, int64_t base_index, int64_t durable_index)
{
    if (durable_index < query->index) return false;
    return query->index < base_index || log[query->index].chain == query->chain;
}

static enum raft_vote_state has_durably(const void *context, struct raft_member member)
{
    const struct durable_query *query = context;
    for (int i = 0; i < CHECKED_NODES_MAX; i++) {
        const struct seen_node *node = &query->checker->nodes[i];
        if (raft_member_equal(node->member, member) && covers(query, node->log, node->base_index, node->durable_index))
            return RAFT_VOTE_GRANTED;
    }
    for (size_t i = 0; i < query->checker->lost_count; i++) {
        const struct lost_disk *lost = &query->checker->lost[i];
        if (raft_member_equal(lost->member, member) && covers(query, lost->log, lost->base_index, lost->durable_index))
            return RAFT_VOTE_GRANTED;
    }
    return RAFT_VOTE_REFUSED;
}

static void see_leader_commit(struct raft_checker *checker, int n, const struct raft *raft)
{
    int64_t commit = raft->commit_index;
    const struct seen_entry *entry = &checker->nodes[n].log[commit];
    if (entry->term != raft->hard.term)
        violate(checker, "R-OLDTERM: leader %d of term %" PRId64 " commits entry %" PRId64 " of term %" PRId64, n, raft->hard.term, commit,
                entry->term);
    /* The newest membership in the log decides, committed or not (4.1). */
    struct durable_query query = {checker, commit, entry->chain};
    const struct raft_membership *membership = raft_membership_now(raft);
    if (raft_quorum_tally(membership, has_durably, &query) != RAFT_TALLY_WON)
        violate(checker, "R-HW: leader %d commits entry %" PRId64 " that no majority has durably", n, commit);
}

static void see_commit(struct raft_checker *checker, int n, const struct raft *raft)
{
    struct seen_node *node = &checker->nodes[n];
    int64_t from = max_i64(node->commit_index, raft->log.base_index) + 1;
    if (raft->commit_index > node->commit_index && raft->role == RAFT_LEADER && raft->commit_index > checker->committed_index)
        see_leader_commit(checker, n, raft);
    for (int64_t index = from; index <= raft->commit_index && !checker->has_failed; index++) {
        if (index <= checker->committed_index) {
            if (checker->committed[index].chain != node->log[index].chain)
                violate(checker, "R-SAFE: node %d commits another entry %" PRId64 " than was committed", n, index);
            continue;
        }
        if (index >= checker->committed_capacity) {
            checker->committed_capacity *= 2;
            checker->committed = mem_realloc(checker->committed, (size_t)checker->committed_capacity, sizeof *checker->committed);
        }
        checker->committed[index] = node->log[index];
        checker->committed_index = index;
    }
    node->commit_index = raft->commit_index;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

void raft_checker_observe(struct raft_checker *checker, int n, const struct raft *raft, uint64_t incarnation)
{
    if (checker->has_failed) return;
    struct seen_node *node = &checker->nodes[n];
    node->member = raft->config.self;
    bool is_restart = node->incarnation != incarnation;
    int64_t last_before = node->last_index;
    if (is_restart) {
        see_restart(checker, n, raft);
        node->incarnation = incarnation;
        node->hard_state_count = 0;
        node->hard_term = -1; /* it may have moved on already, before it was seen for the first time */
    }
    bool was_leader = !is_restart && raft->role == RAFT_LEADER && raft->state.leader.term_first_index <= last_before;
    if (was_leader && first_changed(node, raft) <= last_before && raft->log.base_index < last_before &&
        raft_log_last_index(&raft->log) < last_before)
        violate(checker, "R-APPEND: leader %d removed entries after %" PRId64, n, raft_log_last_index(&raft->log));
    see_log(checker, n, raft);
    if (checker->has_failed) return;
    node->base_index = raft->log.base_index;
    node->durable_index = raft->log.durable_index;
    see_hard_state(checker, node, raft);
    if (raft->role == RAFT_CANDIDATE) see_candidate(checker, raft);
    if (raft->role == RAFT_LEADER) see_new_leader(checker, n, raft, incarnation);
    see_commit(checker, n, raft);
    if (node->applied_index > 0 && node->applied_index <= checker->committed_index &&
        checker->committed[node->applied_index].digest != node->applied_digest)
        violate(checker, "R-SAFE: node %d applied something else than was committed, at or before %" PRId64, n, node->applied_index);
}

void raft_checker_applied(struct raft_checker *checker, int n, int64_t index, uint64_t digest)
{
    checker->nodes[n].applied_index = index; /* compared when the event is over: it may be the one that committed it */
    checker->nodes[n].applied_digest = digest;
}

void raft_checker_loaded(struct raft_checker *checker, int n, int64_t index, uint64_t digest)
{
    if (checker->has_failed) return;
    if (index > checker->committed_index)
        violate(checker, "R-SNAP: node %d loads a snapshot up to %" PRId64 ", committed is %" PRId64, n, index, checker->committed_index);
    else if (checker->committed[index].digest != digest)
        violate(checker, "R-SNAP: node %d loads another state than the log's up to %" PRId64, n, index);
}
