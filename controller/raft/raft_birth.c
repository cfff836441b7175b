/* Birth of a cluster, and finding one.
 *
 * A directory that is in no cluster belongs to a node that knows only whom it was told to look for (controller.quorum.voters). It
 * probes them all. Two things can be found:
 *
 *   - everybody listed is as empty as this node, and was told the same list. Then it promises the founders, the (node id, directory
 *     id) of all: it syncs them, and tells them with its probes. When all have promised the same founders, the birth is sealed, and only
 *     then may this node campaign or vote. The first leader's first entry carries the cluster id and the founders. The cluster id is the
 *     one that the founder with the lowest id proposes, so all agree on it before anybody leads.
 *   - a cluster: if it has this very directory among its voters, the birth was sealed without this node hearing of it, and it joins them.
 *     If not, then this node is new there, or its disk was replaced: it must not vote, for it may have forgotten votes and entries that
 *     it has acknowledged. It follows as a learner.
 *
 * One who does not answer could be either: so nobody founds anything while one of the listed is silent.
 *
 * A promise binds nobody: it is given up when one of the founders answers with another directory. So a node whose disk is replaced in
 * the middle of a birth finds the others ready for another one. What cannot be are two births. Say p has sealed the founders F, and q
 * the founders G, and p is among G, q among F. Each had told the promise of the other's before its own, so p went from G to F and q
 * from F to G. But a promise is only given up for a directory that replaced another: all that differs is newer in F than in G, and
 * newer in G than in F. This needs that nobody goes back to an older directory, hence two rules: who has which directory is
 * taken from answers only (they come in the order of the probes, from whoever has the address, while a probe of a dead node may
 * come late), and all answers are forgotten with a promise that is given up.
 * Who has sealed F and votes never promises again (hard.term > 0); before that, its restart is as if it never had. If it was wiped
 * instead, so that the others are born anew, nothing is lost that a majority of F had: the others of F have not voted in it. */
#include "common/mutant.h"
#include "controller/raft/raft_state.h"

static int place_of(const struct raft *raft, int32_t id)
{
    for (uint32_t i = 0; i < raft->config.listed_count; i++)
        if (raft->config.listed[i] == id) return (int)i;
    return -1;
}

static bool has_promised(const struct raft *raft) { return raft->hard.founders.count > 0; }

/* Only then it may be told. */
static bool is_promise_durable(const struct raft *raft)
{
    return has_promised(raft) && raft->durable_write >= raft->state.unborn.promise_write;
}

void raft_birth_describe(const struct raft *raft, struct raft_voters *voters)
{
    ASSERT(raft->role == RAFT_UNBORN);
    if (is_promise_durable(raft)) {
        *voters = raft->hard.founders;
        return;
    }
    *voters = (struct raft_voters){.count = raft->config.listed_count};
    for (uint32_t i = 0; i < raft->config.listed_count; i++) voters->voters[i].id = raft->config.listed[i];
}

static void probe_peers(struct raft *raft)
{
    raft->state.unborn.probed_us = raft->now_us;
    for (uint32_t i = 0; i < raft->config.listed_count; i++) {
        if (raft->config.listed[i] == raft->config.self.id) continue;
        struct raft_message probe = raft_message_make(raft, RAFT_PROBE, (struct raft_member){.id = raft->config.listed[i]});
        probe.probe.proposed_cluster_id = raft->config.proposed_cluster_id;
        probe.probe.leader = RAFT_NO_MEMBER;
        raft_birth_describe(raft, &probe.probe.voters);
        raft_send_now(raft, &probe);
    }
}

/* Somebody has news: ask, but not each time. */
void raft_birth_probe_soon(struct raft *raft)
{
    int64_t at_us = max_i64(raft->now_us, raft->state.unborn.probed_us + RAFT_FIRST_PROBE_US);
    raft->state.unborn.probe_delay_us = RAFT_FIRST_PROBE_US;
    raft->state.unborn.probe_deadline_us = min_i64(raft->state.unborn.probe_deadline_us, at_us);
}

static void forget_answers(struct raft *raft)
{
    for (uint32_t i = 0; i < VOTERS_MAX; i++) {
        raft->state.unborn.founders[i] = RAFT_NO_MEMBER;
        raft->state.unborn.has_same_promise[i] = false;
    }
    int own = place_of(raft, raft->config.self.id);
    if (own < 0) return;
    raft->state.unborn.founders[own] = raft->config.self;
    raft->state.unborn.proposed[own] = raft->config.proposed_cluster_id;
    raft->state.unborn.has_same_promise[own] = true;
}

void raft_birth_begin(struct raft *raft)
{
    ASSERT(raft->role == RAFT_UNBORN);
    forget_answers(raft);
    raft->state.unborn.probed_us = raft->now_us - RAFT_FIRST_PROBE_US;
    raft->state.unborn.probe_deadline_us = raft->now_us;
    raft->state.unborn.probe_delay_us = RAFT_FIRST_PROBE_US;
}

/* ---- founding -------------------------------------------------------------------------------------------------------- */

static void persist_founders(struct raft *raft, struct uuid cluster_id, const struct raft_voters *founders)
{
    ASSERT(!uuid_is_zero(cluster_id));
    ASSERT(raft->hard.term == 0 && raft_log_last_index(&raft->log) == 0);
    raft->hard.cluster_id = cluster_id;
    raft->hard.founders = *founders;
    raft_persist_hard_state(raft);
    raft->history.items[0].membership.current = *founders;
}

static void promise(struct raft *raft, const struct raft_voters *founders)
{
    bool is_another = has_promised(raft);
    persist_founders(raft, raft->state.unborn.proposed[0], founders);
    raft->state.unborn.promise_write = raft->last_write;
    if (!is_another) return;
    forget_answers(raft);
    raft_birth_probe_soon(raft);
}

static void seal(struct raft *raft)
{
    raft_become_follower(raft, 0, RAFT_NO_MEMBER);
    if (raft->config.listed_count == 1)
        raft_election_campaign(raft); /* the vote goes into the same write */
    else
        raft_election_arm(raft, raft->rank * (int64_t)RAFT_RANK_DELAY_US + raft_random_below(raft, RAFT_RANK_JITTER_US));
}

static void found(struct raft *raft)
{
    struct raft_voters founders = {0};
    bool is_unanimous = true;
    if (place_of(raft, raft->config.self.id) < 0) return;
    for (uint32_t i = 0; i < raft->config.listed_count; i++) {
        if (raft->state.unborn.founders[i].id == RAFT_NOBODY) return;
        raft_voters_put(&founders, raft->state.unborn.founders[i]);
        is_unanimous &= raft->state.unborn.has_same_promise[i];
    }
    if (!raft_voters_equal(&founders, &raft->hard.founders)) {
        promise(raft, &founders);
        if (founders.count == 1) seal(raft);
    } else if (is_unanimous && is_promise_durable(raft)) {
        seal(raft);
    }
}

void raft_birth_persisted(struct raft *raft)
{
    ASSERT(raft->role == RAFT_UNBORN);
    if (!is_promise_durable(raft)) return;
    probe_peers(raft); /* to tell it */
    found(raft);
}

/* ---- joining --------------------------------------------------------------------------------------------------------- */

static void join_cluster(struct raft *raft, const struct raft_message *message)
{
    struct raft_voters voters = message->probe.voters;
    bool is_among = raft_voters_contain(&voters, raft->config.self);
    if (MUTANT("wiped_voter_votes") && raft_voters_find(&voters, raft->config.self.id)) {
        raft_voters_put(&voters, raft->config.self);
        is_among = true;
    }
    if (is_among) {
        persist_founders(raft, message->cluster_id, &voters);
        raft_become_follower(raft, 0, RAFT_NO_MEMBER);
    } else if (message->probe.leader.id != RAFT_NOBODY) {
        /* For good: a majority has voted. Where nobody leads yet, those who sealed the birth may all forget it in a restart. */
        voters.count = 0;
        persist_founders(raft, message->cluster_id, &voters);
        raft_become_learner(raft);
        raft_learner_hear(raft, message);
    }
}

/* ---- hearing --------------------------------------------------------------------------------------------------------- */

static bool has_same_list(const struct raft *raft, const struct raft_voters *voters)
{
    if (voters->count != raft->config.listed_count) return false;
    for (uint32_t i = 0; i < voters->count; i++)
        if (voters->voters[i].id != raft->config.listed[i]) return false;
    return true;
}

static void hear_of_cluster(struct raft *raft, const struct raft_message *message)
{
    /* Only an answer tells the voters. */
    bool is_usable = message->type == RAFT_PROBE_ANSWER && !uuid_is_zero(message->cluster_id) && message->probe.voters.count > 0 &&
                     raft_voters_are_valid(&message->probe.voters);
    if (!is_usable) return;
    int place = place_of(raft, message->from.id);
    if (place >= 0) raft->state.unborn.founders[place] = RAFT_NO_MEMBER;
    join_cluster(raft, message);
}

/* PROBE or PROBE_ANSWER: both say who sends it. */
void raft_birth_hear(struct raft *raft, const struct raft_message *message)
{
    ASSERT(raft->role == RAFT_UNBORN);
    if (message->probe.is_born) {
        hear_of_cluster(raft, message);
        return;
    }
    int place = place_of(raft, message->from.id);
    bool is_fit = has_same_list(raft, &message->probe.voters) && message->from.id != raft->config.self.id && place >= 0 &&
                  !uuid_is_zero(message->from.directory_id) && !uuid_is_zero(message->probe.proposed_cluster_id);
    if (!is_fit) return;
    if (!raft_member_equal(raft->state.unborn.founders[place], message->from)) {
        raft_birth_probe_soon(raft);
        if (message->type == RAFT_PROBE) return;
        raft->state.unborn.founders[place] = message->from;
        raft->state.unborn.proposed[place] = message->probe.proposed_cluster_id;
    }
    raft->state.unborn.has_same_promise[place] = has_promised(raft) && raft_voters_equal(&message->probe.voters, &raft->hard.founders);
    found(raft);
}

void raft_birth_tick(struct raft *raft)
{
    ASSERT(raft->role == RAFT_UNBORN);
    if (raft->now_us < raft->state.unborn.probe_deadline_us) return;
    int64_t delay = raft->state.unborn.probe_delay_us;
    raft->state.unborn.probe_delay_us = min_i64(2 * delay, raft->config.heartbeat_us);
    raft->state.unborn.probe_deadline_us = raft->now_us + delay + raft_random_below(raft, delay);
    if (raft->config.listed_count == 1 && raft->config.listed[0] == raft->config.self.id)
        found(raft);
    else
        probe_peers(raft);
}
