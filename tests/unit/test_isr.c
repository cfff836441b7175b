/* broker/replica/isr: in-sync sets and the high watermark as arithmetic. */
#include "broker/replica/isr.h"

#include <check.h>
#include <stdlib.h>

#define U ISR_OFFSET_UNKNOWN

struct watermark_case {
    const char *what;
    int64_t ends[4];
    size_t count;
    isr_set committed, proposed;
    int32_t min_insync;
    int64_t before, after;
};

static const struct watermark_case cases[] = {
    {"a lone leader moves with its own durable end", {7}, 1, 1, 0, 1, 3, 7},
    {"the slowest member of the ISR counts", {9, 5, 7}, 3, 7, 0, 1, 3, 5},
    {"replicas outside the ISR do not", {9, 5, 7}, 3, 5, 0, 1, 3, 7},
    {"a proposed member counts: the controller may have taken it", {9, 5, 7}, 3, 5, 7, 1, 3, 5},
    {"a proposal to shrink does not free it: the old ISR may still hold", {9, 2, 7}, 3, 7, 5, 1, 2, 2},
    {"a member that has not fetched in this epoch holds it", {9, U, 7}, 3, 7, 0, 1, 3, 3},
    {"it never moves back", {9, 2, 7}, 3, 7, 0, 1, 5, 5},
    {"below min.insync.replicas it stands still", {9, 5, 7}, 3, 1, 0, 2, 3, 3},
    {"a proposal does not count towards the minimum", {9, 9, 7}, 3, 1, 3, 2, 3, 3},
    {"no more replicas are needed than there are", {9}, 1, 1, 0, 2, 3, 9},
    {"exactly the minimum is enough", {9, 6, 1}, 3, 3, 0, 2, 3, 6},
};

START_TEST(q_hw_moves_to_the_least_end_of_the_maximal_isr)
{
    const struct watermark_case *c = &cases[_i];
    struct isr_watermark_input input = {c->ends, c->count, c->committed, c->proposed, c->min_insync, c->before};
    ck_assert_msg(isr_high_watermark(&input) == c->after, "%s: %lld, not %lld", c->what, (long long)isr_high_watermark(&input),
                  (long long)c->after);
}
END_TEST

/* All sets of three replicas with all ends in 0..2: the watermark never passes a member of either set. */
START_TEST(q_hw_never_passes_a_member_exhaustively)
{
    for (isr_set committed = 1; committed < 8; committed += 2)
        for (isr_set proposed = 0; proposed < 8; proposed++)
            for (int n = 0; n < 27; n++) {
                int64_t ends[3] = {n % 3, n / 3 % 3, n / 9};
                struct isr_watermark_input input = {ends, 3, committed, proposed, 1, 0};
                int64_t watermark = isr_high_watermark(&input);
                for (size_t i = 0; i < 3; i++)
                    if (isr_has(committed | proposed, i)) ck_assert_int_le(watermark, ends[i]);
            }
}
END_TEST

START_TEST(sets_hold_up_to_sixty_four_replicas)
{
    ck_assert_uint_eq(isr_all(0), 0);
    ck_assert_uint_eq(isr_all(3), 7);
    ck_assert_uint_eq(isr_all(64), UINT64_MAX);
    ck_assert_int_eq(isr_count(isr_all(64)), 64);
    ck_assert(isr_has(isr_of(63), 63) && !isr_has(isr_of(63), 0));
    ck_assert(isr_contains(7, 5) && !isr_contains(5, 7) && isr_contains(5, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("isr");
    TCase *tcase = tcase_create("isr");
    tcase_add_loop_test(tcase, q_hw_moves_to_the_least_end_of_the_maximal_isr, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tcase, q_hw_never_passes_a_member_exhaustively);
    tcase_add_test(tcase, sets_hold_up_to_sixty_four_replicas);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
