/* The checker of whole clusters (tests/sim/checker.h) is itself checked: what must be found, and what must not. */
#include "tests/sim/checker.h"

#include <check.h>

struct checker_test {
    struct verdict verdict;
    struct workload workload;
    struct checker checker;
};

static void begin(struct checker_test *test)
{
    *test = (struct checker_test){.workload = {.node_count = 3, .voter_count = 3}};
    checker_init(&test->checker, &test->verdict, &test->workload);
}

/* `vote` and `entries`, all of them durable, are what the node shows. */
static void look(struct checker_test *test, uint32_t node, enum raft_role role, int64_t term, int32_t vote, int64_t entries, int64_t commit)
{
    const struct raft_status raft = {
        .role = role, .term = term, .vote = {.id = vote}, .last_index = entries, .durable_index = entries, .commit_index = commit};
    const struct checker_view view = {.raft = &raft};
    checker_look(&test->checker, node, &view, NULL);
}

static void expect(struct checker_test *test, const char *id)
{
    if (id)
        ck_assert_pstr_eq(test->verdict.id, id);
    else
        ck_assert_ptr_null(test->verdict.id);
    checker_deinit(&test->checker);
}

/* Node 0 leads term 1 and commits 5 entries; node 1 holds them, node 2 has only 3. */
static void commit_five(struct checker_test *test)
{
    look(test, 2, RAFT_FOLLOWER, 1, 0, 3, 0);
    look(test, 1, RAFT_FOLLOWER, 1, 0, 5, 0);
    look(test, 0, RAFT_LEADER, 1, 0, 3, 0);
    look(test, 0, RAFT_LEADER, 1, 0, 5, 5);
}

START_TEST(r_complete_finds_a_leader_without_what_was_committed)
{
    struct checker_test test;
    begin(&test);
    commit_five(&test);
    look(&test, 2, RAFT_LEADER, 2, 2, 3, 0);
    expect(&test, "R-COMPLETE");
}
END_TEST

/* Seed 3376: a candidate has its votes, sleeps while term 3 commits more, wakes and takes its office of term 2. */
START_TEST(r_complete_lets_a_candidate_sleep_on_its_votes)
{
    struct checker_test test;
    begin(&test);
    commit_five(&test);
    look(&test, 1, RAFT_CANDIDATE, 2, 1, 5, 5);
    look(&test, 2, RAFT_FOLLOWER, 2, 1, 3, 0);
    look(&test, 0, RAFT_LEADER, 3, 0, 6, 5);
    look(&test, 2, RAFT_FOLLOWER, 3, 0, 9, 5);
    look(&test, 0, RAFT_LEADER, 3, 0, 9, 9);
    look(&test, 1, RAFT_LEADER, 2, 1, 5, 5);
    expect(&test, NULL);
}
END_TEST

START_TEST(r_vote_finds_a_vote_that_elected_and_was_forgotten)
{
    struct checker_test test;
    begin(&test);
    look(&test, 0, RAFT_CANDIDATE, 2, 0, 0, 0);
    look(&test, 1, RAFT_FOLLOWER, 2, 0, 0, 0);
    look(&test, 0, RAFT_LEADER, 2, 0, 0, 0);
    checker_on_crash(&test.checker, 1, true);
    look(&test, 1, RAFT_FOLLOWER, 1, RAFT_NOBODY, 0, 0);
    expect(&test, "R-VOTE");
}
END_TEST

START_TEST(r_vote_lets_a_vote_be_lost_that_elected_nobody)
{
    struct checker_test test;
    begin(&test);
    look(&test, 0, RAFT_CANDIDATE, 2, 0, 0, 0);
    look(&test, 1, RAFT_FOLLOWER, 2, 0, 0, 0);
    checker_on_crash(&test.checker, 1, true);
    look(&test, 1, RAFT_FOLLOWER, 1, RAFT_NOBODY, 0, 0);
    look(&test, 2, RAFT_FOLLOWER, 2, 0, 0, 0);
    look(&test, 0, RAFT_LEADER, 2, 0, 0, 0);
    expect(&test, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_checker");
    TCase *tests = tcase_create("raft");
    tcase_add_test(tests, r_complete_finds_a_leader_without_what_was_committed);
    tcase_add_test(tests, r_complete_lets_a_candidate_sleep_on_its_votes);
    tcase_add_test(tests, r_vote_finds_a_vote_that_elected_and_was_forgotten);
    tcase_add_test(tests, r_vote_lets_a_vote_be_lost_that_elected_nobody);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}
