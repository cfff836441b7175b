/* The text files of a log directory: Kafka's formats, and replacement that a crash cannot tear. */
#include "broker/log/checkpoint.h"
#include "tests/sim/sim.h"

#include <check.h>
#include <stdlib.h>

/* ---- formats ------------------------------------------------------------------------------------------------------- */

struct seen {
    int count;
    int64_t sum;
};
static void on_entry(void *context, struct slice topic, int32_t partition, int64_t offset)
{
    struct seen *seen = context;
    ck_assert(slice_equal_str(topic, "a.b-c") || slice_equal_str(topic, "t"));
    seen->count++;
    seen->sum += partition + offset;
}

START_TEST(offsets_are_kept_in_kafkas_text)
{
    struct writer w;
    struct seen seen = {0};
    writer_init(&w, 64);
    checkpoint_write_head(&w, 2);
    offset_checkpoint_write_entry(&w, SLICE_LITERAL("a.b-c"), 3, 10);
    offset_checkpoint_write_entry(&w, SLICE_LITERAL("t"), 0, INT64_MAX / 2);
    ck_assert(slice_equal_str(writer_slice(&w), "0\n2\na.b-c 3 10\nt 0 4611686018427387903\n"));
    ck_assert(offset_checkpoint_parse(writer_slice(&w), on_entry, &seen));
    ck_assert_int_eq(seen.count, 2);
    ck_assert_int_eq(seen.sum, 13 + INT64_MAX / 2);
    writer_deinit(&w);
}
END_TEST

START_TEST(bad_offsets_are_refused)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "1\n0\n",
                                      "0\n1\n",
                                      "0\n1\nt 0\n",
                                      "0\n1\nt 0 -1\n",
                                      "0\n1\nt -1 0\n",
                                      "0\n1\nt 0 5",
                                      "0\n1\n 0 5\n",
                                      "0\n1\nt 0 5\nt 1 5\n",
                                      "0\n2\nt 0 5\n",
                                      "0\n1\nt 0 5x\n",
                                      "0\n1\nt 3000000000 5\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct seen seen = {0};
        ck_assert_msg(!offset_checkpoint_parse(slice_str(bad[i]), on_entry, &seen), "%s", bad[i]);
    }
}
END_TEST

START_TEST(meta_properties_round_trip)
{
    struct log_dir_meta meta = {.cluster_id = "MkU3OEVBNTcwNTJENDM2Qk", .node_id = 7, .directory_id = {{9, 8, 7}}, .broker_epoch = 42}, got;
    struct writer w;
    writer_init(&w, 64);
    log_dir_meta_write(&meta, &w);
    ck_assert(log_dir_meta_parse(&got, writer_slice(&w)));
    ck_assert_str_eq(got.cluster_id, meta.cluster_id);
    ck_assert(got.node_id == 7 && got.broker_epoch == 42 && uuid_equal(got.directory_id, meta.directory_id));
    for (size_t n = 0; n < writer_size(&w); n++) {
        bool is_good = log_dir_meta_parse(&got, slice_make(writer_slice(&w).p, n));
        /* Cut between two lines it may say less, never something else. */
        ck_assert(!is_good || (got.node_id == 7 && writer_slice(&w).p[n - 1] == '\n'));
    }
    writer_deinit(&w);
    ck_assert(log_dir_meta_parse(&got, SLICE_LITERAL("#\n#Mon Jan 01 00:00:00 UTC 2024\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n"
                                                     "version=1\ncluster.id=x\n")));
    ck_assert(!log_dir_meta_parse(&got, SLICE_LITERAL("version=2\ncluster.id=x\nnode.id=1\n")));
    ck_assert(!log_dir_meta_parse(&got, SLICE_LITERAL("version=1\ncluster.id=x\nnode.id=a\n")));
}
END_TEST

START_TEST(partition_metadata_round_trips)
{
    struct uuid id = {{1, 2, 3, 255}}, got;
    struct writer w;
    writer_init(&w, 64);
    partition_metadata_write(id, &w);
    ck_assert(partition_metadata_parse(writer_slice(&w), &got) && uuid_equal(id, got));
    for (size_t n = 0; n < writer_size(&w); n++) ck_assert(!partition_metadata_parse(slice_make(writer_slice(&w).p, n), &got));
    writer_deinit(&w);
}
END_TEST

/* ---- replacing ----------------------------------------------------------------------------------------------------- */

struct bench {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct file_replace replace;
    bool is_done;
    enum err err;
};

static void on_start(void *user, struct sim_node *node) { ((struct bench *)user)->env = sim_env_create(node); }
static void on_destroy(void *user, struct sim_node *node)
{
    (void)node;
    file_replace_abandon(&((struct bench *)user)->replace);
}
static void on_replaced(struct file_replace *replace, enum err err, int64_t now_us)
{
    struct bench *bench = CONTAINER_OF(replace, struct bench, replace);
    (void)now_us;
    bench->is_done = true;
    bench->err = err;
}
static bool is_done(void *context) { return ((struct bench *)context)->is_done; }

static bool content_is(struct bench *bench, const char *text)
{
    struct buf *bytes = NULL;
    enum err err = file_read_wait(bench->env, "/d", "f", 1000, &bytes);
    bool is_equal = !err && slice_equal_str(buf_slice(bytes), text);
    buf_unref(bytes);
    return is_equal;
}

/* Replaces with the power failing at operation `at`; false when the script was over before. */
static bool replace_once(enum sim_disk_outcome outcome, uint64_t at, bool waits)
{
    struct bench bench = {.replace.done = on_replaced};
    const char *root = "/";
    bench.sim = sim_create(at);
    bench.node = sim_node_add(bench.sim, "n", &(struct sim_process){.start = on_start, .destroy = on_destroy, .user = &bench});
    sim_disk_set_outcome(bench.node, outcome);
    sim_node_start(bench.node);
    ck_assert_int_eq(env_mkdir(bench.env, "/d"), ERR_OK);
    ck_assert_int_eq(env_commit_wait(bench.env, NULL, 0, &root, 1), ERR_OK);
    ck_assert_int_eq(file_replace_wait(bench.env, "/d", "f", SLICE_LITERAL("old")), ERR_OK);
    sim_disk_crash_at(bench.node, sim_disk_operations(bench.node) + at);
    bool is_written = false;
    if (waits) {
        is_written = file_replace_wait(bench.env, "/d", "f", SLICE_LITERAL("the new one")) == ERR_OK;
    } else if (file_replace_start(&bench.replace, bench.env, "/d", "f", SLICE_LITERAL("the new one")) == ERR_OK) {
        is_written = sim_wait(bench.sim, is_done, &bench, SIM_SECOND) && bench.err == ERR_OK;
    }
    sim_run_for(bench.sim, SIM_SECOND);
    bool has_crashed = !sim_node_is_running(bench.node);
    if (!has_crashed) sim_node_crash(bench.node, SIM_CRASH_POWER);
    sim_disk_crash_at(bench.node, 0);
    sim_node_start(bench.node);
    ck_assert(content_is(&bench, "the new one") || (!is_written && content_is(&bench, "old")));
    sim_destroy(bench.sim);
    return has_crashed;
}

START_TEST(q_06_a_crash_leaves_the_old_file_or_the_new_one)
{
    for (int waits = 0; waits < 2; waits++)
        for (uint64_t at = 1; replace_once((enum sim_disk_outcome)_i, at, waits); at++) ck_assert_uint_lt(at, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_checkpoint");
    TCase *tcase = tcase_create("core");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, offsets_are_kept_in_kafkas_text);
    tcase_add_test(tcase, bad_offsets_are_refused);
    tcase_add_test(tcase, meta_properties_round_trip);
    tcase_add_test(tcase, partition_metadata_round_trips);
    tcase_add_loop_test(tcase, q_06_a_crash_leaves_the_old_file_or_the_new_one, 0, SIM_DISK_OUTCOME_COUNT);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
