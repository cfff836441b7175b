/* Birth of a cluster, and finding one.
 *
 * A directory that is in no cluster belongs to a node that knows only whom it was told to look for (controller.quorum.voters). It
 * probes them all. Two things can be found:
 *
 *   - everybody listed is as empty as this node, and was told the same list: then each of them syncs the founders, the (node id,
 *     directory id) of all, and only then may it vote. The first leader's first entry carries the cluster id and the founders.
 *     The cluster id is the one that the founder with the lowest id proposes, so all agree on it before anybody leads.
 *   - a cluster: if it has this very directory among its voters, this is a founder that heard of it late, and joins them. If
 *     not, then this node is new there, or its disk was replaced: it must not vote, for it may have forgotten votes and entries
 *     that it has acknowledged. It follows as a learner.
 *
 * One who does not answer could be either: so nobody founds anything while one of the listed is silent. */
#include "common/mutant.h"
#include "controller/raft/raft_state.h"

static int place_of(const struct raft *raft, int32_t id)
{
    for (uint32_t i = 0; i < raft->config.listed_count; i++)
        if (raft->config.listed[i] == id) return (int)i;
    return -1;
}

static void take_founder(struct raft *raft, struct raft_member member, struct uuid proposed)
{
    int place = place_of(raft, member.id);
    if (place < 0) return;
    raft->state.unborn.founders[place] = member;
    raft->state.unborn.proposed[place] = proposed;
}

static void probe_peers(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->config.listed_count; i++) {
        if (raft->config.listed[i] == raft->config.self.id) continue;
        struct raft_message probe = raft_message_make(raft, RAFT_PROBE, (struct raft_member){.id = raft->config.listed[i]});
        probe.probe.proposed_cluster_id = raft->config.proposed_cluster_id;
        probe.probe.leader = RAFT_NO_MEMBER;
        probe.probe.voters.count = raft->config.listed_count;
        for (uint32_t j = 0; j < raft->config.listed_count; j++) probe.probe.voters.voters[j].id = raft->config.listed[j];
        raft_send_now(raft, &probe);
    }
}

void raft_birth_begin(struct raft *raft)
{
    ASSERT(raft->role == RAFT_UNBORN);
    for (uint32_t i = 0; i < VOTERS_MAX; i++) raft->state.unborn.founders[i] = RAFT_NO_MEMBER;
    raft->state.unborn.probe_deadline_us = raft->now_us;
    raft->state.unborn.probe_delay_us = RAFT_FIRST_PROBE_US;
    take_founder(raft, raft->config.self, raft->config.proposed_cluster_id);
}

/* ---- joining --------------------------------------------------------------------------------------------------------- */

static void join(struct raft *raft, struct uuid cluster_id, const struct raft_voters *founders)
{
    ASSERT(!uuid_is_zero(cluster_id));
    ASSERT(raft->hard.term == 0 && raft_log_last_index(&raft->log) == 0);
    raft->hard.cluster_id = cluster_id;
    raft->hard.founders = *founders;
    raft_persist_hard_state(raft);
    raft->history.items[0].membership.current = *founders;
}

static void found(struct raft *raft)
{
    struct raft_voters founders = {0};
    for (uint32_t i = 0; i < raft->config.listed_count; i++) {
        if (raft->state.unborn.founders[i].id == RAFT_NOBODY) return;
        raft_voters_put(&founders, raft->state.unborn.founders[i]);
    }
    join(raft, raft->state.unborn.proposed[0], &founders);
    raft_become_follower(raft, 0, RAFT_NO_MEMBER);
    if (founders.count == 1)
        raft_election_campaign(raft); /* the vote goes into the same write */
    else
        raft_election_arm(raft, raft->rank * (int64_t)RAFT_RANK_DELAY_US + raft_random_below(raft, RAFT_RANK_JITTER_US));
}

static void join_cluster(struct raft *raft, const struct raft_message *message)
{
    struct raft_voters founders = message->probe.voters;
    bool is_among = raft_voters_contain(&founders, raft->config.self);
    if (MUTANT("wiped_voter_votes") && raft_voters_find(&founders, raft->config.self.id)) {
        raft_voters_put(&founders, raft->config.self);
        is_among = true;
    }
    if (!is_among) founders.count = 0;
    join(raft, message->cluster_id, &founders);
    if (is_among) {
        raft_become_follower(raft, 0, RAFT_NO_MEMBER);
        return;
    }
    raft_become_learner(raft);
    raft_learner_hear(raft, message);
}

/* ---- hearing --------------------------------------------------------------------------------------------------------- */

static bool has_same_list(const struct raft *raft, const struct raft_voters *voters)
{
    if (voters->count != raft->config.listed_count) return false;
    for (uint32_t i = 0; i < voters->count; i++)
        if (voters->voters[i].id != raft->config.listed[i]) return false;
    return true;
}

/* PROBE or PROBE_ANSWER: both say who sends it. */
void raft_birth_hear(struct raft *raft, const struct raft_message *message)
{
    ASSERT(raft->role == RAFT_UNBORN);
    if (message->probe.is_born) {
        /* Only an answer tells the voters. */
        bool is_usable = message->type == RAFT_PROBE_ANSWER && !uuid_is_zero(message->cluster_id) && message->probe.voters.count > 0 &&
                         raft_voters_are_valid(&message->probe.voters);
        if (is_usable) join_cluster(raft, message);
        return;
    }
    bool is_fit = has_same_list(raft, &message->probe.voters) && message->from.id != raft->config.self.id &&
                  !uuid_is_zero(message->from.directory_id) && !uuid_is_zero(message->probe.proposed_cluster_id);
    if (!is_fit) return;
    bool is_news = place_of(raft, message->from.id) >= 0 && raft->state.unborn.founders[place_of(raft, message->from.id)].id == RAFT_NOBODY;
    take_founder(raft, message->from, message->probe.proposed_cluster_id);
    if (is_news) raft->state.unborn.probe_delay_us = RAFT_FIRST_PROBE_US;
    if (place_of(raft, raft->config.self.id) >= 0) found(raft);
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
