/* What a heartbeat's answer allows, in logical time. The whole of it, with cut networks and clocks that drift, is for group_sim. */
#include "broker/node/lease.h"

#include <check.h>

#define SECOND  ((int64_t)1000000)
#define TIMEOUT (8 * SECOND)
#define LASTS   LEASE_SHARE(TIMEOUT)

static struct lease lease;

static void setup(void) { lease_init(&lease); }

static struct lease_promise promise(int64_t confirmed_ago_us, int64_t index)
{
    return (struct lease_promise){
        .session_timeout_us = TIMEOUT, .confirmed_ago_us = confirmed_ago_us, .index = index, .others_applied = index};
}

static void hear(int64_t sent_us, int64_t confirmed_ago_us, int64_t index, int64_t applied_index)
{
    struct lease_promise said = promise(confirmed_ago_us, index);
    lease_on_promise(&lease, &said, sent_us, applied_index);
}

START_TEST(a_lease_counts_from_when_the_question_left)
{
    ck_assert(!lease_holds(&lease, 0));
    hear(10 * SECOND, 0, 5, 5);
    ck_assert(lease_holds(&lease, 10 * SECOND + LASTS - 1));
    ck_assert(!lease_holds(&lease, 10 * SECOND + LASTS));
    ck_assert_int_lt(LASTS, TIMEOUT);
    hear(11 * SECOND, 0, 5, 5);
    ck_assert(lease_holds(&lease, 11 * SECOND + LASTS - 1));
    hear(9 * SECOND, 0, 5, 5); /* nothing is taken back */
    ck_assert(lease_holds(&lease, 11 * SECOND + LASTS - 1));
}
END_TEST

START_TEST(a_controller_that_was_confirmed_long_ago_promises_less)
{
    hear(10 * SECOND, SECOND, 5, 5);
    ck_assert(lease_holds(&lease, 9 * SECOND + LASTS - 1));
    ck_assert(!lease_holds(&lease, 9 * SECOND + LASTS));
    setup();
    hear(10 * SECOND, LASTS, 5, 5);
    ck_assert(!lease_holds(&lease, 10 * SECOND));
    hear(10 * SECOND, -1, 5, 5); /* nonsense */
    ck_assert(!lease_holds(&lease, 10 * SECOND));
    struct lease_promise none = {.index = 5};
    lease_on_promise(&lease, &none, 10 * SECOND, 5);
    ck_assert(!lease_holds(&lease, 10 * SECOND));
}
END_TEST

START_TEST(a_promise_counts_when_the_metadata_of_then_is_applied)
{
    hear(10 * SECOND, 0, 7, 5);
    ck_assert(!lease_holds(&lease, 10 * SECOND));
    lease_on_applied(&lease, 6);
    ck_assert(!lease_holds(&lease, 10 * SECOND));
    hear(11 * SECOND, 0, 9, 6); /* does not replace the one that waits */
    lease_on_applied(&lease, 7);
    ck_assert(lease_holds(&lease, 10 * SECOND + LASTS - 1));
    ck_assert(!lease_holds(&lease, 10 * SECOND + LASTS));
    hear(12 * SECOND, 0, 9, 9);
    ck_assert(lease_holds(&lease, 12 * SECOND + LASTS - 1));
}
END_TEST

START_TEST(a_lease_that_is_given_up_is_over)
{
    hear(10 * SECOND, 0, 5, 5);
    hear(10 * SECOND, 0, 9, 5); /* waits */
    lease_drop(&lease);
    ck_assert(!lease_holds(&lease, 10 * SECOND));
    lease_on_applied(&lease, 9);
    ck_assert(!lease_holds(&lease, 10 * SECOND));
}
END_TEST

START_TEST(an_office_begins_when_all_know_or_a_session_later)
{
    const struct handover from_nobody = {0}, handover = {.index = 7, .seen_us = 10 * SECOND};
    ck_assert(lease_is_handed_over(&lease, &from_nobody, 0));
    ck_assert(!lease_is_handed_over(&lease, &handover, INT64_MAX)); /* nobody has told how long a session is */
    hear(10 * SECOND, 0, 6, 6);
    ck_assert(!lease_is_handed_over(&lease, &handover, 10 * SECOND + TIMEOUT - 1));
    ck_assert(lease_is_handed_over(&lease, &handover, 10 * SECOND + TIMEOUT));
    hear(11 * SECOND, 0, 7, 7);
    ck_assert(lease_is_handed_over(&lease, &handover, 11 * SECOND));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease");
    TCase *tcase = tcase_create("lease");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, a_lease_counts_from_when_the_question_left);
    tcase_add_test(tcase, a_controller_that_was_confirmed_long_ago_promises_less);
    tcase_add_test(tcase, a_promise_counts_when_the_metadata_of_then_is_applied);
    tcase_add_test(tcase, a_lease_that_is_given_up_is_over);
    tcase_add_test(tcase, an_office_begins_when_all_know_or_a_session_later);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
