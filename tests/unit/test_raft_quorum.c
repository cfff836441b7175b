/* Majorities and voter sets: tables. */
#include "controller/raft/raft_membership.h"
#include "controller/raft/raft_quorum.h"

#include <check.h>
#include <stdio.h>

static struct raft_member member(int32_t id, uint8_t disk)
{
    struct raft_member m = {.id = id};
    m.directory_id.bytes[0] = disk;
    return m;
}

static struct raft_voters voters_of(int count)
{
    struct raft_voters voters = {0};
    for (int i = 0; i < count; i++) raft_voters_put(&voters, member(i, 1));
    return voters;
}

static int64_t index_of(const void *context, struct raft_member m) { return ((const int64_t *)context)[m.id]; }
static enum raft_vote_state vote_of(const void *context, struct raft_member m)
{
    char c = ((const char *)context)[m.id];
    return c == 'y' ? RAFT_VOTE_GRANTED : c == 'n' ? RAFT_VOTE_REFUSED : RAFT_VOTE_MISSING;
}

START_TEST(index_of_one_set)
{
    static const struct {
        int count;
        int64_t reached[5];
        int64_t expected;
    } rows[] = {
        {1, {7}, 7},          {2, {7, 9}, 7},          {3, {7, 9, 0}, 7},       {3, {9, 9, 0}, 9},       {3, {0, 0, 9}, 0},
        {4, {1, 2, 3, 4}, 2}, {5, {1, 2, 3, 4, 5}, 3}, {5, {5, 5, 5, 0, 0}, 5}, {5, {9, 0, 0, 0, 9}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raft_membership membership = {.current = voters_of(rows[i].count)};
        ck_assert_int_eq(raft_quorum_index(&membership, index_of, rows[i].reached), rows[i].expected);
    }
}
END_TEST

START_TEST(joint_index_needs_both_sets)
{
    struct raft_membership membership = {.current = voters_of(3)};
    raft_voters_put(&membership.outgoing, member(2, 1));
    raft_voters_put(&membership.outgoing, member(3, 1));
    raft_voters_put(&membership.outgoing, member(4, 1));
    ck_assert_int_eq(raft_quorum_index(&membership, index_of, (int64_t[]){9, 9, 9, 1, 1}), 1);
    ck_assert_int_eq(raft_quorum_index(&membership, index_of, (int64_t[]){0, 0, 9, 9, 9}), 0);
    ck_assert_int_eq(raft_quorum_index(&membership, index_of, (int64_t[]){5, 0, 9, 7, 0}), 5);
}
END_TEST

START_TEST(tally)
{
    static const struct {
        int count;
        const char *votes;
        enum raft_tally expected;
    } rows[] = {
        {1, "y", RAFT_TALLY_WON},      {1, "-", RAFT_TALLY_OPEN},    {3, "y--", RAFT_TALLY_OPEN},   {3, "yy-", RAFT_TALLY_WON},
        {3, "ynn", RAFT_TALLY_LOST},   {3, "yn-", RAFT_TALLY_OPEN},  {4, "yy--", RAFT_TALLY_OPEN},  {4, "yynn", RAFT_TALLY_LOST},
        {5, "yynn-", RAFT_TALLY_OPEN}, {5, "yynny", RAFT_TALLY_WON}, {5, "ynnn-", RAFT_TALLY_LOST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raft_membership membership = {.current = voters_of(rows[i].count)};
        ck_assert_int_eq(raft_quorum_tally(&membership, vote_of, rows[i].votes), rows[i].expected);
    }
}
END_TEST

START_TEST(joint_tally_needs_both_sets)
{
    struct raft_membership membership = {.current = voters_of(2)};
    raft_voters_put(&membership.outgoing, member(2, 1));
    ck_assert_int_eq(raft_quorum_tally(&membership, vote_of, "yy-"), RAFT_TALLY_OPEN);
    ck_assert_int_eq(raft_quorum_tally(&membership, vote_of, "yyy"), RAFT_TALLY_WON);
    ck_assert_int_eq(raft_quorum_tally(&membership, vote_of, "yyn"), RAFT_TALLY_LOST);
}
END_TEST

START_TEST(voters_are_sorted_and_distinct)
{
    struct raft_voters voters = {0};
    raft_voters_put(&voters, member(5, 1));
    raft_voters_put(&voters, member(2, 1));
    raft_voters_put(&voters, member(9, 1));
    raft_voters_put(&voters, member(5, 2)); /* the same node with another disk takes its place */
    ck_assert_uint_eq(voters.count, 3);
    ck_assert(raft_voters_are_valid(&voters));
    ck_assert(raft_voters_contain(&voters, member(5, 2)));
    ck_assert(!raft_voters_contain(&voters, member(5, 1)));
    voters.voters[0].id = 9;
    ck_assert(!raft_voters_are_valid(&voters));
}
END_TEST

START_TEST(membership_survives_its_entry)
{
    struct raft_membership membership = {.current = voters_of(VOTERS_MAX), .outgoing = voters_of(3)}, decoded;
    struct uuid cluster_id = {{1, 2, 3}}, decoded_id;
    struct buf *bytes = raft_membership_encode(cluster_id, &membership);
    ck_assert_int_eq(raft_membership_decode(buf_slice(bytes), &decoded_id, &decoded), ERR_OK);
    ck_assert(uuid_equal(cluster_id, decoded_id));
    ck_assert(raft_voters_equal(&membership.current, &decoded.current));
    ck_assert(raft_voters_equal(&membership.outgoing, &decoded.outgoing));
    for (size_t n = 0; n < bytes->size; n++) /* every cut, and one byte too many */
        ck_assert_int_eq(raft_membership_decode(slice_make(bytes->data, n), &decoded_id, &decoded), ERR_CORRUPT);
    buf_unref(bytes);
}
END_TEST

START_TEST(r_conf_history_goes_back_on_truncation)
{
    struct raft_history history;
    struct raft_membership one = {.current = voters_of(1)}, two = {.current = voters_of(2)}, three = {.current = voters_of(3)};
    raft_history_init(&history, 0, &one);
    raft_history_append(&history, 5, &two);
    raft_history_append(&history, 9, &three);
    ck_assert_uint_eq(raft_history_at(&history, 8)->membership.current.count, 2);
    raft_history_truncate(&history, 9); /* at each index: KAFKA and canonical/raft both forgot one */
    ck_assert_uint_eq(raft_history_last(&history)->membership.current.count, 2);
    raft_history_truncate(&history, 6);
    ck_assert_uint_eq(raft_history_last(&history)->membership.current.count, 2);
    raft_history_truncate(&history, 5);
    ck_assert_uint_eq(raft_history_last(&history)->membership.current.count, 1);
    raft_history_append(&history, 7, &three);
    raft_history_compact(&history, 7);
    ck_assert_uint_eq(history.count, 1);
    ck_assert_uint_eq(raft_history_at(&history, 7)->membership.current.count, 3);
    raft_history_deinit(&history);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raft_quorum");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, index_of_one_set);
    tcase_add_test(tcase, joint_index_needs_both_sets);
    tcase_add_test(tcase, tally);
    tcase_add_test(tcase, joint_tally_needs_both_sets);
    tcase_add_test(tcase, voters_are_sorted_and_distinct);
    tcase_add_test(tcase, membership_survives_its_entry);
    tcase_add_test(tcase, r_conf_history_goes_back_on_truncation);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
