/* broker/replica/purgatory: waiters leave in offset order, each once. */
#include "broker/replica/purgatory.h"

#include <check.h>
#include <stdlib.h>

static struct purgatory purgatory;
static struct list completed;

static void setup(void)
{
    purgatory_init(&purgatory);
    list_init(&completed);
}

static void add(struct produce_waiter *waiter, int64_t offset)
{
    *waiter = (struct produce_waiter){.required_offset = offset, .leader_epoch = 1, .error = KAFKA_UNKNOWN_SERVER_ERROR};
    purgatory_add(&purgatory, waiter);
}

static int64_t pop(enum kafka_error *error)
{
    struct list_node *node = list_pop_front(&completed);
    if (!node) return -1;
    struct produce_waiter *waiter = CONTAINER_OF(node, struct produce_waiter, node);
    *error = waiter->error;
    return waiter->required_offset;
}

START_TEST(q_ack_completes_what_the_watermark_has_passed_in_order)
{
    struct produce_waiter w[4];
    enum kafka_error error = KAFKA_NONE;
    for (int i = 0; i < 4; i++) add(&w[i], (i + 1) * 10);
    purgatory_complete(&purgatory, 9, &completed);
    ck_assert(list_is_empty(&completed));
    purgatory_complete(&purgatory, 29, &completed);
    ck_assert_int_eq(pop(&error), 10);
    ck_assert_int_eq(error, KAFKA_NONE);
    ck_assert_int_eq(pop(&error), 20);
    ck_assert_int_eq(pop(&error), -1);
    purgatory_fail(&purgatory, KAFKA_NOT_LEADER_OR_FOLLOWER, &completed);
    ck_assert_int_eq(pop(&error), 30);
    ck_assert_int_eq(error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(pop(&error), 40);
    ck_assert(purgatory_is_empty(&purgatory));
    purgatory_deinit(&purgatory);
}
END_TEST

START_TEST(a_retry_of_an_older_batch_finds_its_place)
{
    struct produce_waiter w[4];
    enum kafka_error error = KAFKA_NONE;
    add(&w[0], 20);
    add(&w[1], 30);
    add(&w[2], 10);
    add(&w[3], 25);
    purgatory_complete(&purgatory, 100, &completed);
    for (int64_t i = 0; i < 4; i++) {
        static const int64_t expected[] = {10, 20, 25, 30};
        ck_assert_int_eq(pop(&error), expected[i]);
    }
}
END_TEST

START_TEST(a_cancelled_waiter_is_gone_and_cancelling_twice_is_fine)
{
    struct produce_waiter w[2];
    enum kafka_error error = KAFKA_NONE;
    add(&w[0], 10);
    add(&w[1], 20);
    purgatory_cancel(&w[0]);
    purgatory_cancel(&w[0]);
    purgatory_complete(&purgatory, 20, &completed);
    ck_assert_int_eq(pop(&error), 20);
    ck_assert_int_eq(pop(&error), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("purgatory");
    TCase *tcase = tcase_create("purgatory");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, q_ack_completes_what_the_watermark_has_passed_in_order);
    tcase_add_test(tcase, a_retry_of_an_older_batch_finds_its_place);
    tcase_add_test(tcase, a_cancelled_waiter_is_gone_and_cancelling_twice_is_fine);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
