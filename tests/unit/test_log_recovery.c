/* Recovery of the partition log: power fails at every file operation of a script that does everything a log does, with every
 * outcome that the simulated disk knows; then what comes back is held against the list of what was appended and flushed. */
#include "broker/log/checkpoint.h"
#include "tests/unit/log_bench.h"

#include <stdlib.h>

/* ---- the script ---------------------------------------------------------------------------------------------------- */

struct script {
    struct bench bench;
    struct plog_claims claims; /* what the checkpoints of the log directory hold */
    struct model before;       /* the log as it was before the truncation that is under way */
    int64_t safe_end;          /* flushed: must come back */
    int64_t start_max;         /* highest log start that the log has seen */
    int32_t epoch;
    int32_t sequence[3];
    bool is_truncating;
    uint64_t crash_at, first_operation;
};

static bool is_dead(struct script *script)
{
    struct bench *bench = &script->bench;
    if (!script->crash_at || sim_disk_operations(bench->node) < script->crash_at) return false;
    sim_run_for(bench->sim, SIM_SECOND);
    ck_assert(!sim_node_is_running(bench->node));
    return true;
}

static void append(struct script *script, int count, int32_t records, size_t value_bytes)
{
    struct bench *bench = &script->bench;
    struct plog_batch batches[8];
    CHECK(count <= 8);
    for (int i = 0; i < count; i++) {
        struct batch_wish wish = {
            .epoch = script->epoch, .records = records, .value_bytes = value_bytes, .timestamp_ms = 1000 + bench->model.end};
        int producer = i % 4;
        if (producer < 3) {
            wish.producer_id = producer + 1;
            wish.sequence = script->sequence[producer];
            script->sequence[producer] += records;
        }
        batches[i] = wish_batch(&wish);
    }
    enum err err = plog_append_leader(bench->log, batches, (size_t)count, script->epoch);
    CHECK(err == ERR_OK || err == ERR_IO);
    for (int i = 0; i < count; i++) {
        struct record_batch head;
        CHECK(record_batch_parse(buf_slice(batches[i].buf), &head) == ERR_OK);
        /* One that failed with the power may be in the file all the same. */
        bool was_stamped = head.base_offset == bench->model.end && head.partition_leader_epoch == script->epoch;
        if (batches[i].verdict == PLOG_APPENDED || (batches[i].verdict == PLOG_FAILED && was_stamped))
            model_push(&bench->model, buf_slice(batches[i].buf));
        buf_unref(batches[i].buf);
    }
}

static void flush(struct script *script)
{
    if (bench_flush(&script->bench) && script->bench.log) script->safe_end = plog_flushed_end(script->bench.log);
}

/* The broker's periodic checkpoints; the worst case for recovery is that they are on disk at once. */
static void checkpoint(struct script *script)
{
    plog_write_epochs(script->bench.log);
    sim_run_for(script->bench.sim, 10 * SIM_MS);
    if (!script->bench.log) return;
    script->claims.recovery_point = plog_recovery_point(script->bench.log);
    script->claims.log_start = plog_start(script->bench.log);
}

static void truncate(struct script *script, int64_t offset)
{
    struct bench *bench = &script->bench;
    struct bench_op wait = BENCH_OP;
    model_clear(&script->before, bench->model.count ? bench->model.batches[0].base : bench->model.start);
    for (size_t i = 0; i < bench->model.count; i++) model_push(&script->before, buf_slice(bench->model.batches[i].bytes));
    script->is_truncating = true;
    model_truncate(&bench->model, offset);
    script->safe_end = min_i64(script->safe_end, bench->model.end);
    script->claims.high_watermark = min_i64(script->claims.high_watermark, bench->model.end);
    plog_truncate_to(bench->log, offset, &wait.op);
    if (!bench_wait(bench, &wait) || wait.err) return;
    script->is_truncating = false;
    script->epoch++;
    for (int p = 0; p < 3; p++) script->sequence[p] = 0;
    for (size_t i = 0; i < bench->model.count; i++) {
        struct record_batch head;
        ck_assert_int_eq(record_batch_parse(buf_slice(bench->model.batches[i].bytes), &head), ERR_OK);
        if (head.producer_id > 0) script->sequence[head.producer_id - 1] = head.base_sequence + head.count;
    }
}

static void truncate_fully(struct script *script, int64_t offset)
{
    struct bench *bench = &script->bench;
    struct bench_op wait = BENCH_OP;
    model_clear(&script->before, bench->model.batches[0].base);
    for (size_t i = 0; i < bench->model.count; i++) model_push(&script->before, buf_slice(bench->model.batches[i].bytes));
    script->is_truncating = true;
    script->safe_end = 0;
    script->claims.high_watermark = 0;
    script->start_max = offset;
    model_clear(&bench->model, offset);
    plog_truncate_fully(bench->log, offset, &wait.op);
    if (!bench_wait(bench, &wait) || wait.err) return;
    script->is_truncating = false;
    script->safe_end = offset;
    script->claims.log_start = offset; /* the caller's checkpoint of log starts follows */
    for (int p = 0; p < 3; p++) script->sequence[p] = 0;
}

static void retain(struct script *script, int64_t bytes)
{
    struct bench *bench = &script->bench;
    (void)plog_delete_old_segments(bench->log, -1, bytes, env_wall_ms(bench->env), plog_flushed_end(bench->log));
    script->start_max = plog_start(bench->log);
    sim_run_for(bench->sim, 10 * SIM_MS);
    if (bench->log) bench->model.start = plog_start(bench->log);
}

/* An idle log closes its segment after segment.ms. */
static void roll_by_time(struct script *script)
{
    struct bench *bench = &script->bench;
    bench_pass(bench, 2 * bench->config.segment_ms * 1000);
    if (bench->log) ck_assert_uint_eq(plog_delete_old_segments(bench->log, -1, -1, env_wall_ms(bench->env), 0), 0);
}

/* The segment is closed while a flush of all its bytes is under way: its index is not part of that flush. */
static void flush_over_roll(struct script *script)
{
    struct bench *bench = &script->bench;
    struct file_set set;
    struct plog_flush flush;
    struct bench_op wait = BENCH_OP;
    file_set_init(&set);
    bool is_begun = plog_flush_begin(bench->log, &set, &flush);
    ck_assert(is_begun || plog_is_failed(bench->log));
    if (is_begun) file_set_commit(&set, bench->env, &wait.commit);
    file_set_deinit(&set);
    roll_by_time(script);
    if (!is_begun || !bench_wait(bench, &wait) || !bench->log) return;
    (void)plog_flush_done(bench->log, &flush, wait.err);
    script->safe_end = plog_flushed_end(bench->log);
}

static void raise_high_watermark(struct script *script) { script->claims.high_watermark = script->safe_end; }

static void step(struct script *script, int number)
{
    switch (number) {
    case 0: append(script, 3, 2, 100); break;
    case 1: flush(script); break;
    case 2: append(script, 4, 3, 300); break; /* rolls */
    case 3: append(script, 8, 1, 250); break;
    case 4: flush(script); break;
    case 5: checkpoint(script); break;
    case 6: append(script, 5, 4, 150); break;
    case 7: truncate(script, script->safe_end + 6); break; /* inside what was not flushed */
    case 8: append(script, 6, 2, 400); break;
    case 9: flush(script); break;
    case 10: checkpoint(script); break;
    case 11: append(script, 4, 2, 500); break;
    case 12: flush(script); break;
    case 13: truncate(script, script->claims.recovery_point - 14); break; /* below a checkpoint, over segments */
    case 14: append(script, 8, 3, 200); break;
    case 15: append(script, 8, 3, 200); break;
    case 16: flush(script); break;
    case 17: raise_high_watermark(script); break;
    case 18: checkpoint(script); break;
    case 19: retain(script, 4000); break;
    case 20: append(script, 3, 2, 100); break;
    case 21: flush(script); break;
    case 22: roll_by_time(script); break;
    case 23: flush(script); break;
    case 24: append(script, 7, 3, 50); break;
    case 25: flush_over_roll(script); break;
    case 26: checkpoint(script); break;
    case 27: append(script, 1, 3, 50); break;
    case 28: flush(script); break;
    case 29: checkpoint(script); break;
    case 30: truncate_fully(script, 1000); break;
    case 31: append(script, 7, 2, 300); break;
    case 32: flush(script); break;
    case 33: append(script, 2, 1, 700); break;
    default: UNREACHABLE();
    }
}
#define STEPS 34

static void script_begin(struct script *script, uint64_t seed)
{
    *script = (struct script){.epoch = 1};
    bench_begin(&script->bench, seed);
    script->bench.config.segment_bytes = 2500;
    sim_disk_set_cold_rate(script->bench.node, 0);
    bench_start(&script->bench);
    bench_make_log_dir(&script->bench);
    script->first_operation = sim_disk_operations(script->bench.node) + 1;
    bench_create(&script->bench);
}

static void script_end(struct script *script)
{
    model_deinit(&script->before);
    bench_end(&script->bench);
}

/* Until the power fails, or to the end. */
static void script_run(struct script *script)
{
    for (int i = 0; i < STEPS; i++) {
        step(script, i);
        if (is_dead(script)) return;
    }
}

/* ---- what must hold after it --------------------------------------------------------------------------------------- */

/* The log is a beginning of `model`, from its own first batch on; then the model is cut to it. */
static bool is_beginning_of(struct bench *bench, const struct model *model)
{
    struct plog_read read = {
        .offset = plog_start(bench->log), .limit = INT64_MAX, .file_limit = INT64_MAX, .bytes_max = 1 << 20, .is_first_whole = true};
    bool agrees = true;
    while (agrees && read.offset < plog_end(bench->log)) {
        CHECK(bench_read(bench, &read) == ERR_OK);
        CHECK(read.next_offset > read.offset);
        struct buf *bytes = bench_bytes(bench, &read);
        size_t i = model_find(model, read.offset);
        for (size_t at = 0; agrees && at < bytes->size; i++) {
            const struct buf *want = i < model->count ? model->batches[i].bytes : NULL;
            agrees = want && bytes->size - at >= want->size && memcmp(bytes->data + at, want->data, want->size) == 0;
            at += agrees ? want->size : 0;
        }
        buf_unref(bytes);
        plog_read_release(&read);
        read.offset = read.next_offset;
    }
    return agrees;
}

static void adopt(struct bench *bench, struct model *from)
{
    struct model taken = {.start = plog_start(bench->log)};
    for (size_t i = 0; i < from->count && from->batches[i].end <= plog_end(bench->log); i++) {
        if (from->batches[i].end <= taken.start) continue;
        if (taken.count == 0) taken.end = from->batches[i].base;
        model_push(&taken, buf_slice(from->batches[i].bytes));
    }
    if (taken.count == 0) taken.end = plog_end(bench->log);
    model_deinit(&bench->model);
    bench->model = taken;
}

/* I-REPL: for each producer the last five batches of the log are known, with their offsets. */
static void check_producers(struct bench *bench)
{
    int kept[3] = {0};
    for (size_t i = bench->model.count; i-- > 0;) {
        struct record_batch head;
        CHECK(record_batch_parse(buf_slice(bench->model.batches[i].bytes), &head) == ERR_OK);
        if (head.producer_id < 1 || kept[head.producer_id - 1]++ >= 5) continue;
        struct plog_batch retry = {.buf = buf_copy(buf_slice(bench->model.batches[i].bytes))};
        retry.size = retry.buf->size;
        CHECK(plog_append_leader(bench->log, &retry, 1, 100) == ERR_OK);
        CHECK(retry.verdict == PLOG_DUPLICATE);
        CHECK(retry.base_offset == head.base_offset);
        buf_unref(retry.buf);
    }
}

struct tally {
    unsigned runs, whole, cut, absent;
};

/* Whatever the disk did with what was not flushed: a power cut alone never looks like damage. */
static void open_after_crash(struct script *script, struct tally *tally, struct plog_recovery *report)
{
    enum err err = bench_open(&script->bench, &script->claims, report);
    ck_assert_msg(err == ERR_OK, "%s at operation %llu: %s", err_text(err), (unsigned long long)script->crash_at, report->reason);
    tally->whole += report->found == PLOG_WHOLE;
    tally->cut += report->found == PLOG_CUT;
}

/* The log goes on after the crash, and what it then holds survives another one. */
static void check_life_after(struct script *script)
{
    struct bench *bench = &script->bench;
    struct plog_recovery report;
    int64_t end = plog_end(bench->log);
    struct plog_claims claims = script->claims;
    sim_node_crash(bench->node, SIM_CRASH_POWER);
    bench_start(bench);
    ck_assert_int_eq(bench_open(bench, &claims, &report), ERR_OK);
    ck_assert_int_eq(report.found, PLOG_WHOLE);
    ck_assert_int_eq(plog_end(bench->log), end);
    bench_check_all(bench);
    script->epoch = 100;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(bench_append(bench, &(struct batch_wish){.epoch = 100, .records = 3, .value_bytes = 300}), PLOG_APPENDED);
    ck_assert_int_eq(plog_close_clean(bench->log), ERR_OK);
    ck_assert_int_eq(plog_flushed_end(bench->log), plog_end(bench->log));
    claims = (struct plog_claims){.log_start = plog_start(bench->log), .is_clean = true};
    sim_node_crash(bench->node, SIM_CRASH_POWER);
    bench_start(bench);
    ck_assert_int_eq(bench_open(bench, &claims, &report), ERR_OK);
    ck_assert_int_eq(report.scanned_bytes, 0);
    bench_check_all(bench);
}

static void check_after_crash(struct script *script, struct tally *tally)
{
    struct bench *bench = &script->bench;
    struct plog_recovery report;
    tally->runs++;
    sim_disk_crash_at(bench->node, 0);
    bench_start(bench);
    struct env_file *file = NULL;
    bool has_directory = env_open(bench->env, BENCH_DIR "/" BENCH_NAME "/partition.metadata", ENV_OPEN_READ, &file) == ERR_OK;
    env_file_unref(file);
    if (!has_directory) {
        ck_assert_int_eq(script->safe_end, 0);
        tally->absent++;
        return;
    }
    open_after_crash(script, tally, &report);
    ck_assert_int_ge(plog_end(bench->log), script->safe_end);
    ck_assert_int_le(plog_start(bench->log), max_i64(script->start_max, script->claims.log_start));
    bool is_new = is_beginning_of(bench, &bench->model);
    ck_assert(is_new || (script->is_truncating && is_beginning_of(bench, &script->before)));
    adopt(bench, is_new ? &bench->model : &script->before);
    bench_check_all(bench);
    check_producers(bench);
    check_life_after(script);
}

static void count_operations(uint64_t *first, uint64_t *last)
{
    struct script script;
    script_begin(&script, 1);
    script_run(&script);
    bench_check_all(&script.bench);
    *first = script.first_operation;
    *last = sim_disk_operations(script.bench.node);
    script_end(&script);
}

static void crash_and_recover(uint64_t at, uint64_t round, enum sim_disk_outcome outcome, struct tally *tally)
{
    struct script script;
    script_begin(&script, at + 1000 * round);
    script.crash_at = at;
    sim_disk_set_outcome(script.bench.node, outcome);
    sim_disk_crash_at(script.bench.node, at);
    script_run(&script);
    ck_assert_msg(!sim_node_is_running(script.bench.node), "operation %llu", (unsigned long long)at);
    check_after_crash(&script, tally);
    script_end(&script);
}

/* One outcome a test, so that a failure names it. */
START_TEST(a_crash_at_every_file_operation_loses_nothing_that_was_flushed)
{
    struct tally tally = {0};
    uint64_t first = 0, last = 0;
    count_operations(&first, &last);
    ck_assert_uint_gt(last - first, 100);
    /* These draw for every sector. */
    uint64_t rounds = _i == SIM_DISK_RANDOM || _i == SIM_DISK_MOMENTS ? 5 : 1;
    for (uint64_t at = first; at <= last; at++)
        for (uint64_t round = 0; round < rounds; round++) crash_and_recover(at, round, (enum sim_disk_outcome)_i, &tally);
    ck_assert_uint_eq(tally.runs, rounds * (last - first + 1));
    ck_assert_uint_gt(tally.whole, tally.runs / 4);
    ck_assert(tally.cut > 0 || _i == SIM_DISK_KEEP_ALL);
}
END_TEST

/* ---- deletion ------------------------------------------------------------------------------------------------------ */

/* A topic is deleted and made again under the same name; the new log writes other records. */
static void delete_and_create(struct script *script)
{
    struct bench *bench = &script->bench;
    struct bench_op wait = BENCH_OP;
    append(script, 8, 3, 200);
    flush(script);
    if (is_dead(script)) return;
    for (size_t i = 0; i < bench->model.count; i++) model_push(&script->before, buf_slice(bench->model.batches[i].bytes));
    model_clear(&bench->model, 0);
    bench->doomed = bench->log;
    wait.gone = &bench->doomed;
    plog_delete(bench->log, &wait.op);
    bench->log = plog_create(&bench->shared, BENCH_DIR, "topic", 0, (struct uuid){{99}}, &bench->config);
    script->safe_end = 0;
    script->epoch = 50;
    memset(script->sequence, 0, sizeof script->sequence);
    append(script, 7, 2, 300);
    if (!is_dead(script)) flush(script);
    if (!is_dead(script)) (void)bench_wait(bench, &wait);
}

/* What has the new id is the new log, what has the old id the old one; what has none the broker sets aside. */
static void check_identity(struct script *script)
{
    struct bench *bench = &script->bench;
    struct plog_recovery report;
    enum err err = bench_open(bench, &(struct plog_claims){.cut_damage = true}, &report);
    ck_assert(err == ERR_OK || err == ERR_NOT_FOUND);
    if (err) return;
    struct uuid id = plog_topic_id(bench->log);
    if (uuid_equal(id, (struct uuid){{99}})) {
        ck_assert(is_beginning_of(bench, &bench->model));
        ck_assert_int_ge(plog_end(bench->log), script->safe_end);
    } else if (uuid_equal(id, BENCH_TOPIC_ID)) {
        ck_assert_int_eq(script->safe_end == 0 || script->epoch < 50, 1);
        ck_assert(is_beginning_of(bench, script->epoch < 50 ? &bench->model : &script->before));
    } else {
        ck_assert(uuid_is_zero(id));
        ck_assert_int_eq(script->safe_end, 0);
    }
}

START_TEST(d_resurrect_a_crash_never_mixes_two_topics)
{
    struct script script;
    script_begin(&script, 1);
    delete_and_create(&script);
    uint64_t first = script.first_operation, last = sim_disk_operations(script.bench.node);
    script_end(&script);
    for (uint64_t at = first; at <= last; at++) {
        script_begin(&script, at);
        script.crash_at = at;
        sim_disk_set_outcome(script.bench.node, (enum sim_disk_outcome)_i);
        sim_disk_crash_at(script.bench.node, at);
        delete_and_create(&script);
        ck_assert(is_dead(&script));
        sim_disk_crash_at(script.bench.node, 0);
        bench_start(&script.bench);
        check_identity(&script);
        script_end(&script);
    }
}
END_TEST

/* ---- logs without records ---- */

static void begin_empty(struct bench *bench, int outcome)
{
    bench_begin(bench, 7);
    bench_start(bench);
    bench_make_log_dir(bench);
    bench_create(bench);
    sim_disk_set_outcome(bench->node, (enum sim_disk_outcome)outcome);
}

/* No checkpoint has told of its start yet. */
static void check_end_after_power_cut(struct bench *bench, int64_t end)
{
    const struct plog_claims claims = {.recovery_point = end, .high_watermark = end};
    struct plog_recovery report;
    sim_node_crash(bench->node, SIM_CRASH_POWER);
    bench_start(bench);
    ck_assert_int_eq(bench_open(bench, &claims, &report), ERR_OK);
    ck_assert_int_eq(report.found, PLOG_WHOLE);
    ck_assert_int_eq(plog_end(bench->log), end);
    ck_assert(uuid_equal(plog_topic_id(bench->log), BENCH_TOPIC_ID));
    bench_end(bench);
}

START_TEST(a_log_of_which_all_was_deleted_keeps_its_end)
{
    struct bench bench;
    begin_empty(&bench, _i);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(bench_append(&bench, &(struct batch_wish){.records = 10, .value_bytes = 100}), PLOG_APPENDED);
    ck_assert(bench_flush(&bench));
    ck_assert(plog_advance_start(bench.log, 50));
    ck_assert_uint_gt(plog_delete_old_segments(bench.log, -1, -1, env_wall_ms(bench.env), 50), 0);
    sim_run_for(bench.sim, SIM_SECOND);
    check_end_after_power_cut(&bench, 50);
}
END_TEST

START_TEST(a_log_that_starts_over_before_it_has_a_directory_keeps_its_end)
{
    struct bench bench;
    struct bench_op wait = BENCH_OP;
    begin_empty(&bench, _i);
    plog_truncate_fully(bench.log, 50, &wait.op);
    ck_assert(bench_wait(&bench, &wait));
    ck_assert_int_eq(wait.err, ERR_OK);
    check_end_after_power_cut(&bench, 50);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_recovery");
    TCase *tcase = tcase_create("core");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_crash_at_every_file_operation_loses_nothing_that_was_flushed, 0, SIM_DISK_OUTCOME_COUNT);
    tcase_add_loop_test(tcase, d_resurrect_a_crash_never_mixes_two_topics, 0, SIM_DISK_OUTCOME_COUNT);
    tcase_add_loop_test(tcase, a_log_of_which_all_was_deleted_keeps_its_end, 0, SIM_DISK_OUTCOME_COUNT);
    tcase_add_loop_test(tcase, a_log_that_starts_over_before_it_has_a_directory_keeps_its_end, 0, SIM_DISK_OUTCOME_COUNT);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
