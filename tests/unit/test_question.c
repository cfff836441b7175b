/* Asking a loop from another thread (broker/admin/question.h): answered, too late, never. The sanitizers see what is freed twice or not
 * at all, or touched by two threads. */
#include "broker/admin/question.h"
#include "common/io/io.h"

#include <check.h>

#define LONG_MS  10000
#define SHORT_MS 20

struct fixture {
    struct logger logger;
    struct io *io;
    struct gate *gate;
    int asked; /* the loop's */
};

static void fill(void *user, struct report *report)
{
    struct fixture *f = user;
    f->asked++;
    report->is_ready = true;
    if (report->wants_metrics) metrics_put(&report->metrics, METRIC_LEADERS, f->asked);
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){.logger = io_stderr_logger(LOG_ERROR), .gate = gate_create()};
    f->io = io_create(&f->logger);
}

static void run_once(struct fixture *f)
{
    io_start_thread(f->io, "test");
    struct question *last = question_ask(f->gate, io_env(f->io), fill, f, false, 10);
    questions_await(f->gate, &last, 1, LONG_MS);
    ck_assert_ptr_nonnull(question_report(last));
    question_done(last);
    io_stop(f->io);
    io_join_thread(f->io);
}

static void teardown(struct fixture *f)
{
    gate_unref(f->gate);
    io_destroy(f->io);
}

START_TEST(a_loop_that_runs_answers)
{
    struct fixture f;
    setup(&f);
    io_start_thread(f.io, "test");
    for (int i = 1; i <= 100; i++) {
        struct question *questions[2];
        for (size_t k = 0; k < 2; k++) questions[k] = question_ask(f.gate, io_env(f.io), fill, &f, k == 1, 10);
        questions_await(f.gate, questions, 2, LONG_MS);
        ck_assert_ptr_nonnull(question_report(questions[0]));
        ck_assert_ptr_null(question_report(questions[0])->metrics.series[METRIC_LEADERS].first);
        ck_assert(question_report(questions[1])->is_ready);
        ck_assert_double_eq(question_report(questions[1])->metrics.series[METRIC_LEADERS].first->value, 2 * i);
        for (size_t k = 0; k < 2; k++) question_done(questions[k]);
    }
    io_stop(f.io);
    io_join_thread(f.io);
    teardown(&f);
}
END_TEST

START_TEST(a_loop_that_comes_late_frees_what_was_given_up)
{
    struct fixture f;
    setup(&f);
    struct question *question = question_ask(f.gate, io_env(f.io), fill, &f, true, 10);
    questions_await(f.gate, &question, 1, SHORT_MS);
    ck_assert_ptr_null(question);
    ck_assert_ptr_null(question_report(question));
    question_done(question);
    run_once(&f);
    ck_assert_int_eq(f.asked, 1); /* nobody wanted the first answer any more */
    teardown(&f);
}
END_TEST

START_TEST(a_loop_that_never_comes_drops_it)
{
    struct fixture f;
    setup(&f);
    struct question *question = question_ask(f.gate, io_env(f.io), fill, &f, true, 10);
    questions_await(f.gate, &question, 1, SHORT_MS);
    ck_assert_ptr_null(question);
    teardown(&f); /* the gate's owner goes first: the question keeps it */
    ck_assert_int_eq(f.asked, 0);
}
END_TEST

START_TEST(nobody_waits_at_a_closed_gate)
{
    struct fixture f;
    setup(&f);
    struct question *question = question_ask(f.gate, io_env(f.io), fill, &f, true, 10);
    gate_close(f.gate);
    questions_await(f.gate, &question, 1, 1000 * LONG_MS); /* the test's time limit is shorter */
    ck_assert_ptr_null(question);
    teardown(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("question");
    TCase *tcase = tcase_create("question");
    tcase_add_test(tcase, a_loop_that_runs_answers);
    tcase_add_test(tcase, a_loop_that_comes_late_frees_what_was_given_up);
    tcase_add_test(tcase, a_loop_that_never_comes_drops_it);
    tcase_add_test(tcase, nobody_waits_at_a_closed_gate);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
