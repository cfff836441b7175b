/* broker/replica/producer_gaps: a producer's beginning that was refused is waited for. */
#include "broker/replica/producer_gaps.h"

#include <check.h>
#include <stdlib.h>

static struct producer_gaps gaps;

static void setup(void) { producer_gaps_init(&gaps, 3); }
static void teardown(void) { producer_gaps_deinit(&gaps); }

START_TEST(i_gap_nothing_passes_what_was_refused)
{
    ck_assert(producer_gaps_admit(&gaps, 7, 0, 5)); /* retention may have dropped its state */
    producer_gaps_note(&gaps, 7, 0, 0, 1);
    ck_assert(!producer_gaps_admit(&gaps, 7, 0, 3));
    producer_gaps_note(&gaps, 7, 0, 3, 1); /* refused because of the first */
    ck_assert(!producer_gaps_admit(&gaps, 7, 0, 3));
    ck_assert(producer_gaps_admit(&gaps, 7, 0, 0));
    ck_assert(producer_gaps_admit(&gaps, 7, 0, 3));
}
END_TEST

START_TEST(a_new_epoch_begins_anew)
{
    producer_gaps_note(&gaps, 7, 0, 0, 1);
    ck_assert(producer_gaps_admit(&gaps, 7, 1, 9));
    producer_gaps_note(&gaps, 7, 0, 4, 1);
    producer_gaps_note(&gaps, 7, 2, 6, 1);
    ck_assert(!producer_gaps_admit(&gaps, 7, 2, 8));
    ck_assert(producer_gaps_admit(&gaps, 8, 2, 8));
}
END_TEST

START_TEST(memory_is_bounded_and_the_oldest_goes_first)
{
    for (int64_t id = 0; id <= PRODUCER_GAPS_MAX; id++) producer_gaps_note(&gaps, id, 0, 0, 1);
    ck_assert_uint_eq(map_count(&gaps.by_id), PRODUCER_GAPS_MAX);
    ck_assert(producer_gaps_admit(&gaps, 0, 0, 1));
    ck_assert(!producer_gaps_admit(&gaps, 1, 0, 1));
}
END_TEST

START_TEST(who_is_silent_for_long_is_forgotten)
{
    producer_gaps_note(&gaps, 7, 0, 5, 1000);
    producer_gaps_note(&gaps, 8, 0, 5, 1001);
    producer_gaps_note(&gaps, 7, 0, 6, 2000); /* refused because of the first */
    producer_gaps_expire(&gaps, 999);
    ck_assert_uint_eq(map_count(&gaps.by_id), 2);
    producer_gaps_expire(&gaps, 1999);
    ck_assert_uint_eq(map_count(&gaps.by_id), 1);
    ck_assert(producer_gaps_admit(&gaps, 8, 0, 6));
    ck_assert(!producer_gaps_admit(&gaps, 7, 0, 6));
    producer_gaps_expire(&gaps, 2000);
    ck_assert(producer_gaps_admit(&gaps, 7, 0, 6));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producer_gaps");
    TCase *tcase = tcase_create("producer_gaps");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, i_gap_nothing_passes_what_was_refused);
    tcase_add_test(tcase, a_new_epoch_begins_anew);
    tcase_add_test(tcase, memory_is_bounded_and_the_oldest_goes_first);
    tcase_add_test(tcase, who_is_silent_for_long_is_forgotten);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
