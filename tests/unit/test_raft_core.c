/* One raft_step() at a time: what may leave before the disk has answered, whom a node listens to, what it never does.
 * What several nodes do together is told in tests/scenario/. */
#include "controller/raft/raft_state.h"

#include <check.h>

#define MS 1000

static struct raft_member member(int32_t id, uint8_t disk)
{
    struct raft_member m = {.id = id};
    memset(m.directory_id.bytes, disk, 16);
    return m;
}

static const struct uuid cluster = {{42}};

/* Node 0 of the voters 0, 1, 2, in term 1, with `count` entries of term 1 in its log. */
struct fixture {
    struct raft *raft;
    struct raft_actions actions;
    int64_t now_us;
    uint64_t random;
};

static struct raft_config config_of(int32_t id, uint32_t listed)
{
    struct raft_config config = {
        .self = member(id, (uint8_t)(10 + id)),
        .listed_count = listed,
        .proposed_cluster_id = {{7}},
        .heartbeat_us = 100 * MS,
        .election_timeout_us = 1000 * MS,
        .fetch_timeout_us = 2000 * MS,
        .message_bytes_max = 1000,
        .trailing_entries = 2,
    };
    for (uint32_t i = 0; i < listed; i++) config.listed[i] = (int32_t)i;
    return config;
}

static void setup(struct fixture *f, uint32_t voters, int64_t count)
{
    struct raft_config config = config_of(0, voters);
    struct raft_recovered recovered = {
        .hard_state = {.term = 1, .vote = RAFT_NO_MEMBER, .cluster_id = cluster}, .first_index = 1, .count = count};
    for (uint32_t i = 0; i < voters; i++) raft_voters_put(&recovered.hard_state.founders, member((int32_t)i, (uint8_t)(10 + i)));
    struct raft_entry entries[8];
    ck_assert_int_le(count, 8);
    for (int64_t i = 0; i < count; i++) entries[i] = (struct raft_entry){.term = 1, .type = RAFT_ENTRY_DATA, .bytes = buf_create(0)};
    recovered.entries = entries;
    *f = (struct fixture){.now_us = 1000 * MS, .random = 1};
    f->raft = raft_create(&config, &recovered, f->now_us, 1);
}

static void step(struct fixture *f, struct raft_event event)
{
    event.now_us = f->now_us;
    event.random = f->random++;
    raft_step(f->raft, &event, &f->actions);
}

static void receive(struct fixture *f, struct raft_message message)
{
    if (message.to.id == 0 && uuid_is_zero(message.to.directory_id)) message.to = member(0, 10);
    if (uuid_is_zero(message.cluster_id)) message.cluster_id = cluster;
    if (raft_message_is_request(message.type)) message.request = 77;
    step(f, (struct raft_event){.type = RAFT_RECEIVE, .message = &message});
}

static void persisted(struct fixture *f) { step(f, (struct raft_event){.type = RAFT_PERSISTED, .write = f->raft->last_write}); }

static void tick_at_deadline(struct fixture *f)
{
    f->now_us = max_i64(f->now_us, f->actions.deadline_us);
    step(f, (struct raft_event){.type = RAFT_TICK});
}

static const struct raft_message nothing = {.type = RAFT_MESSAGE_TYPES};
static bool is_there(const struct raft_message *message) { return message != &nothing; }

/* The message of that type in the list, or `nothing`. */
static const struct raft_message *find(const struct raft_message *messages, size_t count, enum raft_message_type type)
{
    const struct raft_message *found = &nothing;
    for (size_t i = 0; i < count; i++)
        if (messages[i].type == type) found = &messages[i];
    return found;
}
static const struct raft_message *now(const struct fixture *f, enum raft_message_type type)
{
    return find(f->actions.send_now, f->actions.send_now_count, type);
}
static const struct raft_message *later(const struct fixture *f, enum raft_message_type type)
{
    return find(f->actions.send_after_persist, f->actions.send_after_persist_count, type);
}

static struct raft_message vote_from(int32_t id, int64_t term, int64_t last_index, int64_t last_term)
{
    struct raft_message message = {.type = RAFT_VOTE, .from = member(id, (uint8_t)(10 + id)), .term = term};
    message.vote.last_index = last_index;
    message.vote.last_term = last_term;
    return message;
}

static struct raft_message append_from(int32_t id, int64_t term, int64_t prev_index, int64_t prev_term, const struct raft_entry *entries,
                                       uint32_t count, int64_t commit)
{
    struct raft_message message = {.type = RAFT_APPEND, .from = member(id, (uint8_t)(10 + id)), .term = term};
    message.append.prev_index = prev_index;
    message.append.prev_term = prev_term;
    message.append.entries = entries;
    message.append.count = count;
    message.append.commit = commit;
    return message;
}

/* Makes node 0 the leader of term 2 of three, with the vote of node 1. */
static void lead(struct fixture *f)
{
    step(f, (struct raft_event){.type = RAFT_TICK});
    tick_at_deadline(f);
    ck_assert_int_eq(f->raft->role, RAFT_PRE_CANDIDATE);
    struct raft_message answer = {
        .type = RAFT_VOTE_ANSWER, .from = member(1, 11), .term = 1, .vote_answer = {.is_pre_vote = true, .is_granted = true}};
    receive(f, answer);
    ck_assert_int_eq(f->raft->role, RAFT_CANDIDATE);
    persisted(f);
    answer.term = 2;
    answer.vote_answer.is_pre_vote = false;
    receive(f, answer);
    ck_assert_int_eq(f->raft->role, RAFT_LEADER);
}

START_TEST(r_vote_is_durable_before_it_is_told)
{
    struct fixture f;
    setup(&f, 3, 2);
    receive(&f, vote_from(1, 2, 2, 1));
    ck_assert_ptr_nonnull(f.actions.persist.hard_state);
    ck_assert_int_eq(f.actions.persist.hard_state->vote.id, 1);
    ck_assert(!is_there(now(&f, RAFT_VOTE_ANSWER)));
    ck_assert(later(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    receive(&f, vote_from(2, 2, 9, 1)); /* another one in the same term */
    ck_assert(!now(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    receive(&f, vote_from(1, 2, 2, 1)); /* the same again: the same answer, not before the same write */
    ck_assert(later(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    ck_assert_uint_eq(f.actions.write, 1);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(r_vote_refuses_a_shorter_log)
{
    struct fixture f;
    setup(&f, 3, 2);
    receive(&f, vote_from(1, 2, 1, 1));
    ck_assert(!now(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    ck_assert_int_eq(f.raft->hard.term, 2); /* the term counts all the same */
    raft_destroy(f.raft);
}
END_TEST

START_TEST(r_vote_pre_vote_changes_nothing)
{
    struct fixture f;
    setup(&f, 3, 2);
    struct raft_message vote = vote_from(1, 2, 2, 1);
    vote.vote.is_pre_vote = true;
    receive(&f, vote);
    ck_assert(now(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    ck_assert_ptr_null(f.actions.persist.hard_state);
    ck_assert_int_eq(f.raft->hard.term, 1);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(votes_of_and_for_another_disk_are_void)
{
    struct fixture f;
    setup(&f, 3, 2);
    struct raft_message vote = vote_from(1, 2, 9, 1);
    vote.from = member(1, 99); /* node 1, wiped */
    receive(&f, vote);
    ck_assert(!now(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    vote = vote_from(1, 2, 9, 1);
    vote.to = member(0, 98); /* for what node 0 was before */
    receive(&f, vote);
    ck_assert(!is_there(now(&f, RAFT_VOTE_ANSWER)));
    ck_assert(is_there(now(&f, RAFT_PROBE_ANSWER)));
    ck_assert_int_eq(f.raft->hard.term, 1);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(q_10_another_cluster_is_not_heard)
{
    struct fixture f;
    setup(&f, 3, 2);
    struct raft_message vote = vote_from(1, 9, 9, 9);
    vote.cluster_id = (struct uuid){{43}};
    receive(&f, vote);
    ck_assert_int_eq(f.raft->hard.term, 1);
    struct raft_message append = append_from(1, 9, 2, 1, NULL, 0, 0);
    append.cluster_id = vote.cluster_id;
    receive(&f, append);
    ck_assert_int_eq(f.raft->hard.term, 1);
    ck_assert(is_there(now(&f, RAFT_PROBE_ANSWER))); /* every request has an answer */
    raft_destroy(f.raft);
}
END_TEST

START_TEST(a_living_leader_is_not_voted_out)
{
    struct fixture f;
    setup(&f, 3, 2);
    struct raft_message heartbeat = {.type = RAFT_HEARTBEAT, .from = member(1, 11), .term = 1};
    receive(&f, heartbeat);
    receive(&f, vote_from(2, 2, 9, 1));
    ck_assert(!now(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    ck_assert_int_eq(f.raft->hard.term, 1);
    step(&f, (struct raft_event){.type = RAFT_CONNECTION_BROKEN, .node_id = 1});
    receive(&f, vote_from(2, 2, 9, 1));
    ck_assert(later(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(succession_follows_the_rank)
{
    struct fixture f;
    setup(&f, 3, 2);
    struct raft_message heartbeat = {.type = RAFT_HEARTBEAT, .from = member(1, 11), .term = 1, .heartbeat = {.rank = 3}};
    receive(&f, heartbeat);
    ck_assert_int_ge(f.actions.deadline_us - f.now_us, 2000 * MS);               /* silence: the fetch timeout */
    step(&f, (struct raft_event){.type = RAFT_CONNECTION_BROKEN, .node_id = 2}); /* not the leader's */
    ck_assert_int_ge(f.actions.deadline_us - f.now_us, 2000 * MS);
    step(&f, (struct raft_event){.type = RAFT_CONNECTION_BROKEN, .node_id = 1});
    ck_assert_int_ge(f.actions.deadline_us - f.now_us, 45 * MS);
    ck_assert_int_lt(f.actions.deadline_us - f.now_us, 50 * MS);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(a_leader_is_confirmed_as_of_when_its_answered_heartbeats_left)
{
    struct fixture f;
    setup(&f, 3, 2);
    lead(&f);
    ck_assert_int_eq(raft_confirmed_us(f.raft), INT64_MIN);
    int64_t first_us = now(&f, RAFT_HEARTBEAT)->heartbeat.sent_us;
    ck_assert_int_eq(first_us, f.now_us);
    tick_at_deadline(&f); /* the next ones leave */
    struct raft_message answer = {
        .type = RAFT_HEARTBEAT_ANSWER, .from = member(1, 11), .term = 2, .heartbeat_answer = {.sent_us = first_us}};
    receive(&f, answer);
    ck_assert_int_eq(raft_confirmed_us(f.raft), first_us); /* not as of the answer */
    answer.from = member(2, 99);
    answer.heartbeat_answer.sent_us = f.now_us;
    receive(&f, answer); /* from another disk */
    ck_assert_int_eq(raft_confirmed_us(f.raft), first_us);
    answer.from = member(2, 12);
    answer.heartbeat_answer.sent_us = f.now_us + 1000 * MS; /* nobody answers before the question */
    receive(&f, answer);
    ck_assert_int_eq(raft_confirmed_us(f.raft), f.now_us);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(entries_are_acknowledged_when_durable_and_heartbeats_at_once)
{
    struct fixture f;
    setup(&f, 3, 2);
    struct raft_entry entry = {.term = 1, .type = RAFT_ENTRY_DATA, .bytes = buf_create(0)};
    receive(&f, append_from(1, 1, 2, 1, &entry, 1, 0));
    ck_assert_int_eq(f.actions.persist.append_from, 3);
    ck_assert_int_eq(f.actions.persist.append_to, 3);
    ck_assert(!is_there(now(&f, RAFT_APPEND_ANSWER)));
    ck_assert_int_eq(later(&f, RAFT_APPEND_ANSWER)->append_answer.index, 3);
    struct raft_message heartbeat = {.type = RAFT_HEARTBEAT, .from = member(1, 11), .term = 1};
    receive(&f, heartbeat); /* the disk is still busy */
    ck_assert(is_there(now(&f, RAFT_HEARTBEAT_ANSWER)));
    ck_assert_uint_eq(f.actions.send_after_persist_count, 0);
    buf_unref(entry.bytes);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(a_conflict_cuts_and_a_repetition_does_not)
{
    struct fixture f;
    setup(&f, 3, 4);
    struct raft_entry entries[2] = {{.term = 1, .type = RAFT_ENTRY_DATA, .bytes = buf_create(0)}, {.term = 2, .type = RAFT_ENTRY_DATA}};
    entries[1].bytes = entries[0].bytes;
    receive(&f, append_from(1, 2, 1, 1, entries, 1, 1)); /* entry 2 again, delayed: 3 and 4 stay */
    ck_assert_int_eq(f.actions.persist.truncate_from, 0);
    ck_assert_int_eq(raft_log_last_index(&f.raft->log), 4);
    ck_assert_int_eq(f.actions.committed_to, 1);
    receive(&f, append_from(1, 2, 1, 1, entries, 2, 1)); /* entry 3 is of another term */
    ck_assert_int_eq(f.actions.persist.truncate_from, 3);
    ck_assert_int_eq(f.actions.persist.append_from, 3);
    ck_assert_int_eq(raft_log_last_index(&f.raft->log), 3);
    receive(&f, append_from(1, 2, 9, 2, NULL, 0, 1)); /* too far: where to go back to */
    const struct raft_message *answer = later(&f, RAFT_APPEND_ANSWER);
    ck_assert(answer->append_answer.is_rejected);
    ck_assert_int_eq(answer->append_answer.hint_index, 3);
    ck_assert_int_eq(answer->append_answer.hint_term, 2);
    buf_unref(entries[0].bytes);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(q_02_a_leader_counts_itself_when_its_disk_does)
{
    struct fixture f;
    setup(&f, 3, 2);
    lead(&f);
    ck_assert_int_eq(f.actions.persist.append_to, 3); /* its own first entry */
    struct raft_message answer = {.type = RAFT_APPEND_ANSWER, .from = member(1, 11), .term = 2, .append_answer = {.index = 3}};
    receive(&f, answer);
    ck_assert_int_eq(f.raft->commit_index, 0);
    persisted(&f);
    ck_assert_int_eq(f.raft->commit_index, 3);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(r_oldterm_entries_before_are_committed_by_the_own_first)
{
    struct fixture f;
    setup(&f, 3, 2);
    lead(&f);
    persisted(&f);
    struct raft_message answer = {.type = RAFT_APPEND_ANSWER, .from = member(1, 11), .term = 2, .append_answer = {.index = 2}};
    receive(&f, answer); /* a majority has entry 2 of term 1: that does not make it committed (figure 8) */
    ck_assert_int_eq(f.raft->commit_index, 0);
    answer.append_answer.index = 3;
    receive(&f, answer);
    ck_assert_int_eq(f.raft->commit_index, 3);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(q_04_a_leader_that_nobody_answers_resigns)
{
    struct fixture f;
    setup(&f, 3, 2);
    lead(&f);
    for (int i = 0; i < 30 && f.raft->role == RAFT_LEADER; i++) tick_at_deadline(&f);
    ck_assert_int_eq(f.raft->role, RAFT_FOLLOWER);
    ck_assert_int_eq(f.raft->hard.term, 2);
    raft_destroy(f.raft);
    setup(&f, 1, 0); /* one that is alone never does */
    step(&f, (struct raft_event){.type = RAFT_TICK});
    tick_at_deadline(&f);
    persisted(&f);
    ck_assert_int_eq(f.raft->role, RAFT_LEADER);
    for (int i = 0; i < 50; i++) tick_at_deadline(&f);
    ck_assert_int_eq(f.raft->role, RAFT_LEADER);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(one_voter_is_born_and_votes_in_one_write)
{
    struct raft_config config = config_of(0, 1);
    struct raft_recovered recovered = {.hard_state.vote = RAFT_NO_MEMBER, .first_index = 1};
    struct fixture f = {.now_us = 1, .random = 1};
    f.raft = raft_create(&config, &recovered, 1, 1);
    step(&f, (struct raft_event){.type = RAFT_TICK});
    ck_assert_int_eq(f.raft->role, RAFT_CANDIDATE);
    ck_assert_uint_eq(f.actions.write, 1);
    ck_assert_uint_eq(f.actions.persist.hard_state->founders.count, 1);
    ck_assert(uuid_equal(f.actions.persist.hard_state->cluster_id, config.proposed_cluster_id));
    persisted(&f);
    ck_assert_int_eq(f.raft->role, RAFT_LEADER);
    ck_assert_int_eq(raft_entry_at(f.raft, 1)->type, RAFT_ENTRY_VOTERS); /* record 1 */
    persisted(&f);
    ck_assert_int_eq(f.raft->commit_index, 1);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(an_empty_directory_neither_votes_nor_campaigns_in_a_cluster)
{
    struct raft_config config = config_of(0, 3);
    struct raft_recovered recovered = {.hard_state.vote = RAFT_NO_MEMBER, .first_index = 1};
    struct fixture f = {.now_us = 1, .random = 1};
    f.raft = raft_create(&config, &recovered, 1, 1);
    step(&f, (struct raft_event){.type = RAFT_TICK});
    ck_assert_uint_eq(f.actions.send_now_count, 2); /* probes */
    receive(&f, vote_from(1, 5, 0, 0));
    ck_assert(is_there(now(&f, RAFT_PROBE_ANSWER))); /* not a word about votes */
    struct raft_message probe = {
        .type = RAFT_PROBE_ANSWER, .from = member(1, 11), .term = 5, .probe = {.is_born = true, .leader = member(2, 12)}};
    for (int32_t i = 0; i < 3; i++) raft_voters_put(&probe.probe.voters, member(i, (uint8_t)(i == 0 ? 55 : 10 + i)));
    receive(&f, probe); /* node 0 is a voter there, but with another disk */
    ck_assert_int_eq(f.raft->role, RAFT_LEARNER);
    ck_assert_int_eq(later(&f, RAFT_FOLLOW)->to.id, 2);
    persisted(&f);
    struct raft_message vote = vote_from(1, 6, 9, 5);
    vote.to = member(0, 55); /* for the disk that is lost, as everybody asks who does not count the new one */
    receive(&f, vote);
    ck_assert(!is_there(now(&f, RAFT_VOTE_ANSWER)) && !is_there(later(&f, RAFT_VOTE_ANSWER)));
    ck_assert_int_eq(f.raft->hard.vote.id, RAFT_NOBODY);
    for (int i = 0; i < 100; i++) {
        tick_at_deadline(&f);
        ck_assert_int_eq(f.raft->role, RAFT_LEARNER);
    }
    raft_destroy(f.raft);
}
END_TEST

/* 4.2.2: a node may be among the voters, and needed, before it has heard so. */
START_TEST(a_learner_votes_when_it_is_asked_as_what_it_is)
{
    struct fixture f;
    setup(&f, 3, 2);
    f.raft->config.self = member(0, 77);
    raft_become_learner(f.raft);
    struct raft_message vote = vote_from(1, 6, 9, 5);
    vote.to = member(0, 77);
    receive(&f, vote);
    ck_assert(later(&f, RAFT_VOTE_ANSWER)->vote_answer.is_granted);
    ck_assert_int_eq(f.raft->role, RAFT_LEARNER);
    raft_destroy(f.raft);
}
END_TEST

/* A swap of disks that was never committed: this node has it in its log, the cluster has not. Found by the simulator. */
START_TEST(a_voter_that_the_leader_does_not_count_follows_as_a_learner)
{
    struct fixture f;
    setup(&f, 3, 2);
    struct raft_message heartbeat = {.type = RAFT_HEARTBEAT, .from = member(1, 11), .to = member(0, 99), .term = 2};
    receive(&f, heartbeat);
    ck_assert_int_eq(f.raft->role, RAFT_LEARNER);
    ck_assert_int_eq(later(&f, RAFT_FOLLOW)->follow.hint_index, 2);
    receive(&f, heartbeat);
    ck_assert(!is_there(later(&f, RAFT_FOLLOW))); /* it is asking already */
    heartbeat.to = member(0, 10);
    receive(&f, heartbeat); /* it counts after all */
    ck_assert_int_eq(f.raft->role, RAFT_FOLLOWER);
    heartbeat.to = member(0, 99);
    receive(&f, heartbeat); /* ... as long as the disks are being exchanged, both do */
    ck_assert_int_eq(f.raft->role, RAFT_FOLLOWER);
    raft_destroy(f.raft);
}
END_TEST

/* Its leader resigns, and says so in a term of which nobody leads yet. */
START_TEST(a_learner_without_a_leader_looks_for_one_soon)
{
    struct fixture f;
    setup(&f, 3, 2);
    f.raft->config.self = member(0, 77);
    raft_become_learner(f.raft);
    struct raft_message answer = {.type = RAFT_PROBE_ANSWER,
                                  .from = member(1, 11),
                                  .to = member(0, 77),
                                  .term = 1,
                                  .probe = {.is_born = true, .leader = member(1, 11)}};
    receive(&f, answer);
    ck_assert_int_eq(later(&f, RAFT_FOLLOW)->to.id, 1);
    answer.term = 2;
    answer.probe.leader = RAFT_NO_MEMBER;
    receive(&f, answer);
    ck_assert_int_le(f.actions.deadline_us, f.now_us + 50 * MS);
    tick_at_deadline(&f);
    ck_assert(is_there(now(&f, RAFT_PROBE)));
    answer.probe.leader = answer.from = member(2, 12);
    receive(&f, answer);
    ck_assert_int_eq(later(&f, RAFT_FOLLOW)->to.id, 2);
    raft_destroy(f.raft);
}
END_TEST

/* A candidate's term may never get a leader, and is forgotten when the candidate dies before it is durable: who took it over would
 * refuse every leader of a lower one. Found by the simulator. */
START_TEST(a_learner_takes_over_terms_of_leaders_only)
{
    struct fixture f;
    setup(&f, 3, 2);
    f.raft->config.self = member(0, 77);
    raft_become_learner(f.raft);
    struct raft_message answer = {.type = RAFT_PROBE_ANSWER,
                                  .from = member(1, 11),
                                  .to = member(0, 77),
                                  .term = 9,
                                  .probe = {.is_born = true, .leader = RAFT_NO_MEMBER}};
    receive(&f, answer);
    ck_assert_int_eq(raft_term(f.raft), 1);
    answer.term = 2;
    answer.probe.leader = answer.from;
    receive(&f, answer);
    ck_assert_int_eq(later(&f, RAFT_FOLLOW)->to.id, 1);
    ck_assert_int_eq(raft_term(f.raft), 2);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(an_empty_directory_joins_the_expected_cluster_only)
{
    struct raft_config config = config_of(0, 3);
    struct raft_recovered recovered = {.hard_state.vote = RAFT_NO_MEMBER, .first_index = 1};
    struct fixture f = {.now_us = 1, .random = 1};
    config.expected_cluster_id = cluster;
    f.raft = raft_create(&config, &recovered, 1, 1);
    struct raft_message answer = {.type = RAFT_PROBE_ANSWER,
                                  .from = member(1, 11),
                                  .cluster_id = {{43}},
                                  .term = 1,
                                  .probe = {.is_born = true, .leader = member(1, 11), .voters = {1, {member(1, 11)}}}};
    receive(&f, answer);
    ck_assert_int_eq(f.raft->role, RAFT_UNBORN);
    answer.cluster_id = cluster;
    receive(&f, answer);
    ck_assert_int_eq(f.raft->role, RAFT_LEARNER);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(birth_waits_for_everybody_listed)
{
    struct raft_config config = config_of(0, 3);
    struct raft_recovered recovered = {.hard_state.vote = RAFT_NO_MEMBER, .first_index = 1};
    struct fixture f = {.now_us = 1, .random = 1};
    f.raft = raft_create(&config, &recovered, 1, 1);
    step(&f, (struct raft_event){.type = RAFT_TICK});
    struct raft_message probe = {
        .type = RAFT_PROBE_ANSWER, .from = member(1, 11), .probe = {.leader = RAFT_NO_MEMBER, .proposed_cluster_id = {{8}}}};
    for (int32_t i = 0; i < 3; i++) raft_voters_put(&probe.probe.voters, member(i, 0));
    receive(&f, probe);
    ck_assert_int_eq(f.raft->role, RAFT_UNBORN); /* node 2 is silent: it may know a cluster */
    probe.from = member(2, 12);
    probe.probe.voters.count = 2; /* ... and was told another list */
    receive(&f, probe);
    ck_assert_int_eq(f.raft->role, RAFT_UNBORN);
    probe.probe.voters.count = 3;
    receive(&f, probe);
    ck_assert_uint_eq(f.actions.persist.hard_state->founders.count, 3);
    ck_assert(uuid_equal(f.raft->hard.cluster_id, config.proposed_cluster_id)); /* the lowest id's */
    ck_assert_int_eq(f.raft->role, RAFT_UNBORN);
    /* All must have promised the same on their disks, this node too. */
    raft_voters_put(&probe.probe.voters, config.self);
    raft_voters_put(&probe.probe.voters, member(1, 11));
    raft_voters_put(&probe.probe.voters, member(2, 12));
    receive(&f, probe);
    probe.from = member(1, 11);
    receive(&f, probe);
    ck_assert_int_eq(f.raft->role, RAFT_UNBORN);
    persisted(&f);
    ck_assert_int_eq(f.raft->role, RAFT_FOLLOWER);
    ck_assert_int_eq(raft_term(f.raft), 0);
    raft_destroy(f.raft);
}
END_TEST

START_TEST(a_leader_proposes_batches_and_hands_over)
{
    struct fixture f;
    setup(&f, 3, 2);
    lead(&f);
    persisted(&f);
    struct raft_message answer = {.type = RAFT_APPEND_ANSWER, .from = member(1, 11), .term = 2, .append_answer = {.index = 3}};
    receive(&f, answer);
    struct buf *bytes = buf_create(0);
    for (int i = 0; i < 3; i++) {
        step(&f, (struct raft_event){.type = RAFT_PROPOSE, .entry = bytes});
        ck_assert_int_eq(f.actions.proposed_index, 4 + i);
        ck_assert_uint_eq(f.actions.send_now_count, 0); /* they leave together */
    }
    step(&f, (struct raft_event){.type = RAFT_REPLICATE});
    ck_assert_uint_eq(now(&f, RAFT_APPEND)->append.count, 3);
    step(&f, (struct raft_event){.type = RAFT_TRANSFER, .node_id = RAFT_NOBODY});
    ck_assert(!is_there(now(&f, RAFT_TIMEOUT_NOW))); /* the successor has not everything yet */
    step(&f, (struct raft_event){.type = RAFT_PROPOSE, .entry = bytes});
    ck_assert_int_eq(f.actions.proposed_index, 0);
    answer.append_answer.index = 6;
    receive(&f, answer);
    ck_assert_int_eq(now(&f, RAFT_TIMEOUT_NOW)->to.id, 1);
    buf_unref(bytes);
    raft_destroy(f.raft);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raft_core");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, r_vote_is_durable_before_it_is_told);
    tcase_add_test(tcase, r_vote_refuses_a_shorter_log);
    tcase_add_test(tcase, r_vote_pre_vote_changes_nothing);
    tcase_add_test(tcase, votes_of_and_for_another_disk_are_void);
    tcase_add_test(tcase, q_10_another_cluster_is_not_heard);
    tcase_add_test(tcase, a_living_leader_is_not_voted_out);
    tcase_add_test(tcase, succession_follows_the_rank);
    tcase_add_test(tcase, a_leader_is_confirmed_as_of_when_its_answered_heartbeats_left);
    tcase_add_test(tcase, entries_are_acknowledged_when_durable_and_heartbeats_at_once);
    tcase_add_test(tcase, a_conflict_cuts_and_a_repetition_does_not);
    tcase_add_test(tcase, q_02_a_leader_counts_itself_when_its_disk_does);
    tcase_add_test(tcase, r_oldterm_entries_before_are_committed_by_the_own_first);
    tcase_add_test(tcase, q_04_a_leader_that_nobody_answers_resigns);
    tcase_add_test(tcase, one_voter_is_born_and_votes_in_one_write);
    tcase_add_test(tcase, an_empty_directory_neither_votes_nor_campaigns_in_a_cluster);
    tcase_add_test(tcase, a_learner_votes_when_it_is_asked_as_what_it_is);
    tcase_add_test(tcase, a_voter_that_the_leader_does_not_count_follows_as_a_learner);
    tcase_add_test(tcase, a_learner_without_a_leader_looks_for_one_soon);
    tcase_add_test(tcase, an_empty_directory_joins_the_expected_cluster_only);
    tcase_add_test(tcase, a_learner_takes_over_terms_of_leaders_only);
    tcase_add_test(tcase, birth_waits_for_everybody_listed);
    tcase_add_test(tcase, a_leader_proposes_batches_and_hands_over);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
