/* The log in memory, and a leader's picture of a peer. */
#include "controller/raft/raft_log.h"
#include "controller/raft/raft_progress.h"

#include <check.h>

static void append(struct raft_log *log, int64_t term, uint64_t write)
{
    struct buf *bytes = buf_create(0);
    raft_log_append(log, &(struct raft_entry){.term = term, .type = RAFT_ENTRY_DATA, .write = write, .bytes = bytes});
    buf_unref(bytes);
}

/* Entries 1.. with these terms, entry i in write i. */
static struct raft_log log_of(const int64_t *terms, size_t count)
{
    struct raft_log log;
    raft_log_init(&log, 0, 0, NULL, 0);
    for (size_t i = 0; i < count; i++) append(&log, terms[i], i + 1);
    return log;
}

START_TEST(an_unknown_term_never_matches)
{
    struct raft_log log = log_of((int64_t[]){1, 1, 2, 2}, 4);
    raft_log_persisted(&log, 4);
    raft_log_compact(&log, 2);
    int64_t term = -1;
    ck_assert(!raft_log_term(&log, 1, &term)); /* compacted away */
    ck_assert(!raft_log_matches(&log, 1, 0));
    ck_assert(!raft_log_matches(&log, 5, 0)); /* not there yet */
    ck_assert(raft_log_matches(&log, 2, 1));  /* the last one that is gone is known */
    ck_assert(raft_log_matches(&log, 4, 2));
    raft_log_deinit(&log);
}
END_TEST

START_TEST(where_two_logs_may_agree)
{
    struct raft_log log = log_of((int64_t[]){1, 1, 3, 3, 5}, 5);
    ck_assert_int_eq(raft_log_last_with_term(&log, 5, 5), 5);
    ck_assert_int_eq(raft_log_last_with_term(&log, 9, 4), 4);
    ck_assert_int_eq(raft_log_last_with_term(&log, 3, 4), 3);
    ck_assert_int_eq(raft_log_last_with_term(&log, 5, 2), 2);
    ck_assert_int_eq(raft_log_last_with_term(&log, 5, 0), 0);
    raft_log_deinit(&log);
}
END_TEST

/* etcd 442: an entry is written, replaced, and written again as it was; the first write's completion says nothing about the third. */
START_TEST(r_dur_a_late_completion_counts_for_its_own_write_only)
{
    struct raft_log log = log_of((int64_t[]){1}, 1);
    append(&log, 1, 2); /* (2, term 1) in write 2 */
    raft_log_truncate(&log, 2);
    append(&log, 2, 3); /* (2, term 2) in write 3 */
    raft_log_truncate(&log, 2);
    append(&log, 3, 4); /* (2, term 3) in write 4 */
    raft_log_persisted(&log, 2);
    ck_assert_int_eq(log.durable_index, 1);
    raft_log_persisted(&log, 3);
    ck_assert_int_eq(log.durable_index, 1);
    raft_log_persisted(&log, 4);
    ck_assert_int_eq(log.durable_index, 2);
    raft_log_deinit(&log);
}
END_TEST

START_TEST(truncation_takes_durability_back)
{
    struct raft_log log = log_of((int64_t[]){1, 1, 1}, 3);
    raft_log_persisted(&log, 3);
    raft_log_truncate(&log, 2);
    ck_assert_int_eq(log.durable_index, 1);
    ck_assert_int_eq(raft_log_last_index(&log), 1);
    raft_log_reset(&log, 10, 4);
    ck_assert_int_eq(raft_log_last_index(&log), 10);
    ck_assert_int_eq(raft_log_last_term(&log), 4);
    ck_assert_int_eq(log.durable_index, 10);
    raft_log_deinit(&log);
}
END_TEST

static struct raft_progress voter(int64_t next)
{
    struct raft_progress progress;
    raft_progress_init(&progress, (struct raft_member){.id = 1}, true, next);
    return progress;
}

START_TEST(a_probe_is_one_message)
{
    struct raft_progress progress = voter(11);
    raft_progress_sent(&progress, 12);
    ck_assert(raft_progress_is_paused(&progress));
    ck_assert(!raft_progress_rejected(&progress, 7, 3)); /* the answer to something older */
    ck_assert(raft_progress_rejected(&progress, 10, 4));
    ck_assert_int_eq(progress.next_index, 5);
    ck_assert(!raft_progress_is_paused(&progress));
    ck_assert(raft_progress_matched(&progress, 4));
    ck_assert_int_eq(progress.next_index, 5);
}
END_TEST

START_TEST(replication_has_a_window)
{
    struct raft_progress progress = voter(1);
    raft_progress_become_replicate(&progress);
    for (int64_t i = 1; i <= RAFT_WINDOW_MAX; i++) raft_progress_sent(&progress, i);
    ck_assert(raft_progress_is_paused(&progress));
    raft_progress_matched(&progress, 3);
    ck_assert(!raft_progress_is_paused(&progress));
    ck_assert_uint_eq(progress.window_count, RAFT_WINDOW_MAX - 3);
    ck_assert(!raft_progress_matched(&progress, 2)); /* late */
    ck_assert_int_eq(progress.match_index, 3);
    ck_assert(!raft_progress_rejected(&progress, 3, 1)); /* it has that: an old refusal */
    ck_assert(raft_progress_rejected(&progress, 9, 1));
    ck_assert_int_eq(progress.state, RAFT_PROGRESS_PROBE);
    ck_assert_int_eq(progress.next_index, 4); /* E-06: match < next */
    ck_assert_uint_eq(progress.window_count, 0);
}
END_TEST

START_TEST(a_lost_snapshot_is_not_taken_for_installed)
{
    struct raft_progress progress = voter(3);
    raft_progress_become_snapshot(&progress, 100);
    progress.is_waiting = true;
    ck_assert(raft_progress_is_paused(&progress));
    raft_progress_become_probe(&progress);
    ck_assert_int_eq(progress.next_index, 1);
    ck_assert(!raft_progress_is_paused(&progress));
    raft_progress_matched(&progress, 100); /* it was: only the answer was late */
    ck_assert_int_eq(progress.next_index, 101);
}
END_TEST

START_TEST(a_learner_gets_one_answer_a_question)
{
    struct raft_progress progress;
    raft_progress_init(&progress, (struct raft_member){.id = 7}, false, 5);
    ck_assert(raft_progress_is_paused(&progress));
    progress.follow_request = 1;
    ck_assert(!raft_progress_is_paused(&progress));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raft_log");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, an_unknown_term_never_matches);
    tcase_add_test(tcase, where_two_logs_may_agree);
    tcase_add_test(tcase, r_dur_a_late_completion_counts_for_its_own_write_only);
    tcase_add_test(tcase, truncation_takes_durability_back);
    tcase_add_test(tcase, a_probe_is_one_message);
    tcase_add_test(tcase, replication_has_a_window);
    tcase_add_test(tcase, a_lost_snapshot_is_not_taken_for_installed);
    tcase_add_test(tcase, a_learner_gets_one_answer_a_question);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
