/* What Raft makes of messages that are late, or that no member of its protocol would send. */
#include "controller/raft/raft.h"

#include <check.h>

#define CLUSTER      ((struct uuid){{9}})
#define LISTED_COUNT 3

static struct raft_member member_of(int32_t id, uint8_t directory) { return (struct raft_member){id, (struct uuid){{1, directory}}}; }

struct world {
    struct raft *raft;
    struct raft_actions actions;
    int64_t now_us;
    uint64_t request;
};

static struct raft_entry entry_of(int64_t term)
{
    return (struct raft_entry){.term = term, .type = RAFT_ENTRY_LEADER, .bytes = buf_create(0)};
}

/* Node 1 of the voters 1 .. `voters`, each with directory id == node id, with these terms in its log. */
static struct world begin(uint32_t voters, const int64_t *terms, int64_t count)
{
    struct world w = {.now_us = 1000000};
    struct raft_config config = {
        .self = member_of(1, 1), .listed_count = LISTED_COUNT, .listed = {1, 2, 3}, .proposed_cluster_id = CLUSTER};
    config.heartbeat_us = 100000, config.election_timeout_us = 1000000, config.fetch_timeout_us = 2000000;
    config.message_bytes_max = 1 << 20;
    struct raft_entry entries[4];
    for (int64_t i = 0; i < count; i++) entries[i] = entry_of(terms[i]);
    struct raft_recovered recovered = {.first_index = 1, .count = count, .entries = entries};
    recovered.hard_state = (struct raft_hard_state){.term = terms[count - 1], .vote = RAFT_NO_MEMBER, .cluster_id = CLUSTER};
    recovered.hard_state.founders.count = voters;
    for (uint32_t i = 0; i < voters; i++) recovered.hard_state.founders.voters[i] = member_of((int32_t)i + 1, (uint8_t)(i + 1));
    w.raft = raft_create(&config, &recovered, w.now_us, 7);
    return w;
}

static void step(struct world *w, struct raft_event event)
{
    event.now_us = w->now_us;
    event.random = (uint64_t)w->now_us;
    raft_step(w->raft, &event, &w->actions);
}

static void settle(struct world *w) { step(w, (struct raft_event){.type = RAFT_PERSISTED, .write = w->actions.write}); }

static void receive(struct world *w, struct raft_message message)
{
    message.cluster_id = CLUSTER;
    message.to = member_of(1, 1);
    if (raft_message_is_request(message.type)) message.request = ++w->request;
    step(w, (struct raft_event){.type = RAFT_RECEIVE, .message = &message});
}

static struct raft_status status_of(const struct world *w)
{
    struct raft_status status;
    raft_status(w->raft, &status);
    return status;
}

static int64_t match_of(const struct world *w, struct raft_member member)
{
    struct raft_peer_status peers[8];
    size_t count = raft_peers_status(w->raft, peers, 8);
    for (size_t i = 0; i < count; i++)
        if (peers[i].member.id == member.id && uuid_equal(peers[i].member.directory_id, member.directory_id)) return peers[i].match_index;
    return -1;
}

static void lead(struct world *w, uint32_t voters)
{
    w->now_us += 1000000;
    step(w, (struct raft_event){.type = RAFT_TICK});
    struct raft_message answer = {.type = RAFT_VOTE_ANSWER, .from = member_of(2, 2), .term = status_of(w).term};
    answer.vote_answer.is_pre_vote = answer.vote_answer.is_granted = true;
    if (voters > 1) receive(w, answer);
    answer.vote_answer.is_pre_vote = false;
    answer.term = status_of(w).term;
    settle(w);
    if (voters > 1) receive(w, answer);
    settle(w);
    ck_assert_int_eq(status_of(w).role, RAFT_LEADER);
}

static void end(struct world *w) { raft_destroy(w->raft); }

START_TEST(r_notrunc_entries_of_an_older_term_than_what_is_committed_are_ignored)
{
    struct world w = begin(3, (int64_t[]){1, 3}, 2);
    struct raft_message append = {.type = RAFT_APPEND, .from = member_of(2, 2), .term = 3};
    append.append.prev_index = 2, append.append.prev_term = 3, append.append.commit = 2;
    receive(&w, append);
    ck_assert_int_eq(status_of(&w).commit_index, 2);
    struct raft_entry entries[3] = {entry_of(1), entry_of(1), entry_of(1)};
    append.append.prev_index = append.append.prev_term = 0;
    append.append.count = 3, append.append.entries = entries;
    receive(&w, append);
    ck_assert_int_eq(status_of(&w).last_index, 2);
    ck_assert_int_eq(w.actions.send_now[0].type, RAFT_PROBE_ANSWER);
    for (int i = 0; i < 3; i++) buf_unref(entries[i].bytes);
    end(&w);
}
END_TEST

START_TEST(r_match_a_learner_acknowledges_in_the_term_of_its_leader_only)
{
    struct world w = begin(1, (int64_t[]){1, 5}, 2);
    struct raft_member learner = member_of(4, 4);
    lead(&w, 1);
    int64_t last = status_of(&w).last_index;
    ck_assert_int_eq(status_of(&w).term, 6);
    struct raft_message follow = {.type = RAFT_FOLLOW, .from = learner, .term = 5};
    follow.follow.index = 2; /* of a log that another leader may have replaced since */
    receive(&w, follow);
    ck_assert_int_eq(match_of(&w, learner), 0);
    ck_assert_uint_eq(w.actions.send_now_count, 1);
    ck_assert_int_eq(w.actions.send_now[0].type, RAFT_APPEND);
    ck_assert_int_eq(w.actions.send_now[0].append.prev_index, 2);
    follow.term = 6;
    follow.follow.index = last;
    receive(&w, follow);
    ck_assert_int_eq(match_of(&w, learner), last);
    end(&w);
}
END_TEST

/* A membership that is appended in the step of a message may move the log, which the message borrows from. */
START_TEST(r_conf_messages_borrow_from_where_the_log_is_after_the_step)
{
    struct world w = begin(3, (int64_t[]){1}, 1);
    struct raft_member newcomer = member_of(3, 33); /* node 3 with another disk */
    lead(&w, 3);
    struct raft_message ack = {.type = RAFT_APPEND_ANSWER, .from = member_of(2, 2), .term = status_of(&w).term};
    ack.append_answer.index = status_of(&w).last_index;
    receive(&w, ack);
    ck_assert_int_eq(status_of(&w).commit_index, status_of(&w).last_index);
    int64_t committed = status_of(&w).commit_index;
    struct buf *bytes = buf_create(0);
    while (status_of(&w).last_index < 64) step(&w, (struct raft_event){.type = RAFT_PROPOSE, .entry = bytes});
    buf_unref(bytes);
    struct raft_message follow = {.type = RAFT_FOLLOW, .from = newcomer, .term = status_of(&w).term};
    follow.follow.index = committed;
    receive(&w, follow);
    ck_assert_uint_eq(status_of(&w).membership.outgoing.count, 3);
    uint32_t appends = 0;
    for (size_t i = 0; i < w.actions.send_now_count; i++) {
        const struct raft_message *message = &w.actions.send_now[i];
        if (message->type != RAFT_APPEND) continue;
        appends++;
        ck_assert_ptr_eq(message->append.entries, raft_entry_at(w.raft, message->append.prev_index + 1));
    }
    ck_assert_uint_gt(appends, 1);
    end(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raft_messages");
    TCase *tests = tcase_create("raft_messages");
    tcase_add_test(tests, r_notrunc_entries_of_an_older_term_than_what_is_committed_are_ignored);
    tcase_add_test(tests, r_match_a_learner_acknowledges_in_the_term_of_its_leader_only);
    tcase_add_test(tests, r_conf_messages_borrow_from_where_the_log_is_after_the_step);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
