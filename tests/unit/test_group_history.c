/* The judge of simulated groups is judged: it accepts what may be and finds what may not. */
#include "tests/sim/member.h"

#include <check.h>
#include <stdlib.h>

static struct verdict verdict;
static struct group_history *history;

static void begin(void)
{
    verdict = (struct verdict){0};
    history = calloc(1, sizeof *history);
    ck_assert_ptr_nonnull(history);
    group_history_init(history, &verdict);
}
static void end(void) { free(history); }

static void commit(int64_t began_us, int64_t acked_us)
{
    int64_t offset = group_history_begin(history, 0, began_us);
    if (acked_us >= 0) group_history_acked(history, 0, offset, acked_us);
}

START_TEST(what_may_be_is_accepted)
{
    group_history_read(history, 0, -1, 5);
    commit(10, 20);
    group_history_read(history, 0, -1, 15); /* asked before the answer */
    commit(30, -1);                         /* its answer never came: it counts, or not */
    group_history_read(history, 0, 0, 100);
    group_history_read(history, 0, 1, 100);
    commit(110, 120);
    group_history_read(history, 0, 0, 119);
    group_history_read(history, 0, 1, 200);
    group_history_read(history, 0, 2, 200);
    group_history_synced(history, 0, 3, 0x3);
    group_history_synced(history, 1, 3, 0xc);
    group_history_synced(history, 0, 3, 0x3); /* again */
    group_history_synced(history, 1, 4, 0x3);
    ck_assert_ptr_null(verdict.id);
    ck_assert_int_eq(history->stored_generation, 4);
    ck_assert_uint_eq(history->rebalances, 2);
}
END_TEST

START_TEST(g_offdur_a_forgotten_offset_is_found)
{
    commit(10, 20);
    group_history_read(history, 0, -1, 21);
    ck_assert_str_eq(verdict.id, "G-OFFDUR");
}
END_TEST

START_TEST(g_offmon_an_offset_that_goes_back_is_found)
{
    commit(10, 20);
    commit(30, 40);
    group_history_read(history, 0, 0, 41);
    ck_assert_str_eq(verdict.id, "G-OFFMON");
}
END_TEST

START_TEST(g_offmon_an_offset_that_nobody_committed_is_found)
{
    commit(10, 20);
    group_history_read(history, 0, 1, 41);
    ck_assert_str_eq(verdict.id, "G-OFFMON");
}
END_TEST

START_TEST(g_own_a_partition_with_two_owners_is_found)
{
    group_history_synced(history, 0, 3, 0x3);
    group_history_synced(history, 1, 3, 0x2);
    ck_assert_str_eq(verdict.id, "G-OWN");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_history");
    TCase *tcase = tcase_create("verdicts");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, what_may_be_is_accepted);
    tcase_add_test(tcase, g_offdur_a_forgotten_offset_is_found);
    tcase_add_test(tcase, g_offmon_an_offset_that_goes_back_is_found);
    tcase_add_test(tcase, g_offmon_an_offset_that_nobody_committed_is_found);
    tcase_add_test(tcase, g_own_a_partition_with_two_owners_is_found);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
