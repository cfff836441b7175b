/* Torn or rotten: every subset of the sectors that no flush had covered may be lost, and the log comes back by itself, with all
 * that was flushed and as much more as is whole; but what was flushed and is wrong is never cut. */
#include "common/prng.h"
#include "tests/unit/log_bench.h"

#include <stdlib.h>

#define SECTOR         512
#define FILE_BYTES_MAX ((size_t)16 * 1024)
#define SEGMENT_PATH   BENCH_DIR "/" BENCH_NAME "/00000000000000000000.log"
#define LOST_MAX       7 /* sectors: all subsets are tried */

/* One segment: the first `flushed` bytes were flushed, up to offset flushed_end. */
struct stage {
    struct bench bench;
    struct prng prng;
    uint8_t *bytes; /* of the segment file */
    size_t size, flushed;
    int64_t flushed_end;
};

static void append(struct stage *stage)
{
    struct batch_wish wish = {.epoch = 3, .timestamp_ms = 1000};
    wish.records = (int32_t)prng_range(&stage->prng, 1, 4);
    wish.value_bytes = (size_t)prng_range(&stage->prng, 1, prng_chance(&stage->prng, 1, 3) ? 600 : 60);
    ck_assert_int_eq(bench_append(&stage->bench, &wish), PLOG_APPENDED);
}

static void look(struct stage *stage)
{
    ck_assert(sim_disk_read(stage->bench.node, SEGMENT_PATH, stage->bytes, FILE_BYTES_MAX, &stage->size));
    ck_assert_uint_le(stage->size, FILE_BYTES_MAX);
}

static size_t log_bytes(const struct stage *stage) { return (size_t)plog_size(stage->bench.log); }

static void stage_begin(struct stage *stage, uint64_t seed)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    stage->bytes = bytes;
    bench_begin(&stage->bench, seed);
    stage->bench.config.segment_bytes = (int64_t)FILE_BYTES_MAX;
    stage->prng = sim_prng(stage->bench.sim, "torn");
    bench_start(&stage->bench);
    bench_make_log_dir(&stage->bench);
    bench_create(&stage->bench);
    sim_disk_set_cold_rate(stage->bench.node, 0);
}

static void stage_flush(struct stage *stage)
{
    ck_assert(bench_flush(&stage->bench));
    stage->flushed = log_bytes(stage);
    stage->flushed_end = plog_end(stage->bench.log);
}

static void stage_close(struct stage *stage)
{
    plog_destroy(stage->bench.log);
    stage->bench.log = NULL;
}

/* Puts other bytes in the place of the segment and opens the log. */
static enum err open_with(struct stage *stage, const uint8_t *bytes, size_t size, const struct plog_claims *claims,
                          struct plog_recovery *report)
{
    sim_disk_write(stage->bench.node, SEGMENT_PATH, bytes, size);
    return bench_open(&stage->bench, claims, report);
}

/* ---- torn ---------------------------------------------------------------------------------------------------------- */

/* Where the first batch begins that is not what it was. */
static int64_t first_loss(const struct stage *stage, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < stage->bench.model.count; i++) {
        const struct buf *batch = stage->bench.model.batches[i].bytes;
        if (at + batch->size > size || memcmp(bytes + at, batch->data, batch->size) != 0) return stage->bench.model.batches[i].base;
        at += batch->size;
    }
    return stage->bench.model.end;
}

static void tear(struct stage *stage, unsigned lost, size_t size)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    struct plog_recovery report;
    memcpy(bytes, stage->bytes, size);
    for (size_t i = stage->flushed; i < size; i++)
        if (lost >> (i / SECTOR - stage->flushed / SECTOR) & 1) bytes[i] = 0;
    int64_t expected = first_loss(stage, bytes, size);
    /* The checkpoints may know of nothing, or of all that was flushed. */
    struct plog_claims claims = {.recovery_point = lost & 1 ? stage->flushed_end : 0, .high_watermark = lost & 2 ? stage->flushed_end : 0};
    enum err err = open_with(stage, bytes, size, &claims, &report);
    ck_assert_msg(err == ERR_OK, "sectors %x of %zu bytes lost, %zu flushed: %s", lost, size, stage->flushed, report.reason);
    CHECK(plog_end(stage->bench.log) == expected && expected >= stage->flushed_end);
    stage_close(stage);
}

START_TEST(any_subset_of_unflushed_sectors_may_be_lost)
{
    struct stage stage;
    stage_begin(&stage, (uint64_t)_i);
    for (int64_t count = prng_range(&stage.prng, 0, 6); count > 0; count--) append(&stage);
    stage_flush(&stage);
    append(&stage);
    while ((log_bytes(&stage) - 1) / SECTOR - stage.flushed / SECTOR + 1 < LOST_MAX - 1) append(&stage);
    look(&stage);
    stage_close(&stage);
    unsigned sectors = (unsigned)((stage.size - 1) / SECTOR - stage.flushed / SECTOR + 1);
    for (unsigned lost = 0; lost < 1U << sectors; lost++) {
        tear(&stage, lost, stage.size);
        tear(&stage, lost, (size_t)prng_range(&stage.prng, (int64_t)stage.flushed, (int64_t)stage.size));
    }
    bench_end(&stage.bench);
}
END_TEST

/* ---- rotten -------------------------------------------------------------------------------------------------------- */

static bool is_in_leader_epoch(const struct stage *stage, size_t position)
{
    size_t at = 0;
    for (size_t i = 0; i < stage->bench.model.count && at <= position; i++) {
        if (position - at >= 12 && position - at < 16) return true;
        at += stage->bench.model.batches[i].bytes->size;
    }
    return false;
}

static void flip_everywhere(struct stage *stage, const struct plog_claims *claims)
{
    struct plog_recovery report;
    for (size_t i = 0; i < stage->size; i++) {
        uint8_t before = stage->bytes[i];
        stage->bytes[i] = (uint8_t)(before ^ 1U << prng_below(&stage->prng, 8));
        enum err err = open_with(stage, stage->bytes, stage->size, claims, &report);
        stage->bytes[i] = before;
        if (err == ERR_CORRUPT) continue;
        /* The checksum does not cover the leader epoch: one that is too large does not show. */
        ck_assert_msg(err == ERR_OK && report.found == PLOG_WHOLE && is_in_leader_epoch(stage, i), "byte %zu of %zu: %s", i, stage->size,
                      report.reason);
        CHECK(plog_end(stage->bench.log) == stage->flushed_end);
        stage_close(stage);
    }
}

START_TEST(a_flipped_bit_in_what_was_flushed_is_never_cut)
{
    struct stage stage;
    stage_begin(&stage, (uint64_t)_i);
    while (log_bytes(&stage) < 1500) append(&stage);
    stage_flush(&stage);
    look(&stage);
    stage_close(&stage);
    flip_everywhere(&stage, &(struct plog_claims){0});
    bench_end(&stage.bench);
}
END_TEST

static void append_zeros(struct stage *stage, size_t count)
{
    static const uint8_t zeros[2 * SECTOR];
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    record_batch_spec_init(&spec);
    record_batch_builder_init(&builder, &spec);
    record_batch_builder_add(&builder, 1000, SLICE_NULL, slice_make(zeros, count), NULL, 0);
    struct plog_batch batch = {.buf = record_batch_builder_finish(&builder)};
    batch.size = batch.buf->size;
    ck_assert_int_eq(plog_append_leader(stage->bench.log, &batch, 1, 3), ERR_OK);
    model_push(&stage->bench.model, buf_slice(batch.buf));
    buf_unref(batch.buf);
}

/* Values that are zeros look like sectors that were lost; below what the checkpoints know they never count as that. */
START_TEST(a_flipped_bit_beside_a_sector_of_zeros_is_never_cut_below_the_checkpoints)
{
    struct stage stage;
    stage_begin(&stage, 1);
    append(&stage);
    append_zeros(&stage, 2 * SECTOR);
    append(&stage);
    stage_flush(&stage);
    look(&stage);
    stage_close(&stage);
    flip_everywhere(&stage, &(struct plog_claims){.recovery_point = stage.flushed_end});
    flip_everywhere(&stage, &(struct plog_claims){.high_watermark = stage.flushed_end});
    bench_end(&stage.bench);
}
END_TEST

START_TEST(zeros_that_were_appended_are_no_hole)
{
    struct stage stage;
    struct plog_recovery report;
    stage_begin(&stage, 1);
    for (size_t count = 1; count < SECTOR; count += 13) append_zeros(&stage, count);
    look(&stage);
    stage_close(&stage);
    ck_assert_int_eq(open_with(&stage, stage.bytes, stage.size, &(struct plog_claims){0}, &report), ERR_OK);
    ck_assert_int_eq(report.found, PLOG_WHOLE);
    bench_end(&stage.bench);
}
END_TEST

START_TEST(a_short_file_is_damage_only_below_the_checkpoints)
{
    struct stage stage;
    struct plog_recovery report;
    stage_begin(&stage, 1);
    for (int i = 0; i < 5; i++) append(&stage);
    stage_flush(&stage);
    look(&stage);
    stage_close(&stage);
    size_t kept = stage.size - stage.bench.model.batches[4].bytes->size;
    struct plog_claims claims = {.recovery_point = stage.flushed_end};
    ck_assert_int_eq(open_with(&stage, stage.bytes, kept, &claims, &report), ERR_CORRUPT);
    ck_assert_int_eq(report.found, PLOG_DAMAGED);
    ck_assert_int_eq(report.end, stage.bench.model.batches[4].base);
    ck_assert_int_eq(open_with(&stage, stage.bytes, kept - 10, &claims, &report), ERR_CORRUPT);
    ck_assert_int_eq(report.end, stage.bench.model.batches[3].base);
    ck_assert_int_eq(open_with(&stage, stage.bytes, kept - 10, &(struct plog_claims){0}, &report), ERR_OK);
    ck_assert_int_eq(report.found, PLOG_CUT);
    bench_end(&stage.bench);
}
END_TEST

/* ---- several segments ---------------------------------------------------------------------------------------------- */

/* A hole in a segment behind which there are whole segments; then the cut survives the next power cut. */
START_TEST(a_hole_reaches_over_segments)
{
    struct stage stage;
    struct plog_recovery report;
    stage_begin(&stage, 1);
    stage.bench.config.segment_bytes = 4000;
    plog_configure(stage.bench.log, &stage.bench.config);
    for (int i = 0; i < 3; i++) append(&stage);
    stage_flush(&stage);
    while (log_bytes(&stage) < 12000) append(&stage);
    look(&stage);
    stage_close(&stage);
    size_t hole = (stage.flushed + SECTOR - 1) / SECTOR * SECTOR;
    ck_assert_uint_lt(hole + SECTOR, stage.size);
    memset(stage.bytes + hole, 0, SECTOR);
    int64_t expected = first_loss(&stage, stage.bytes, stage.size);
    ck_assert_int_eq(open_with(&stage, stage.bytes, stage.size, &(struct plog_claims){0}, &report), ERR_OK);
    ck_assert_int_eq(report.found, PLOG_CUT);
    ck_assert_int_eq(plog_end(stage.bench.log), expected);
    stage_close(&stage);
    sim_node_crash(stage.bench.node, SIM_CRASH_POWER);
    bench_start(&stage.bench);
    ck_assert_int_eq(bench_open(&stage.bench, &(struct plog_claims){0}, &report), ERR_OK);
    ck_assert_int_eq(report.found, PLOG_WHOLE);
    ck_assert_int_eq(plog_end(stage.bench.log), expected);
    bench_end(&stage.bench);
}
END_TEST

/* ---- what the checkpoints say -------------------------------------------------------------------------------------- */

START_TEST(the_checkpointed_watermark_is_flushed)
{
    struct stage stage;
    stage_begin(&stage, 1);
    append(&stage);
    stage_flush(&stage);
    append(&stage);
    ck_assert_int_eq(plog_durable_watermark(stage.bench.log, plog_end(stage.bench.log)), stage.flushed_end);
    ck_assert_int_eq(plog_durable_watermark(stage.bench.log, 0), 0);
    bench_end(&stage.bench);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_torn");
    TCase *tcase = tcase_create("core");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, any_subset_of_unflushed_sectors_may_be_lost, 0, 40);
    tcase_add_loop_test(tcase, a_flipped_bit_in_what_was_flushed_is_never_cut, 0, 8);
    tcase_add_test(tcase, a_flipped_bit_beside_a_sector_of_zeros_is_never_cut_below_the_checkpoints);
    tcase_add_test(tcase, zeros_that_were_appended_are_no_hole);
    tcase_add_test(tcase, a_short_file_is_damage_only_below_the_checkpoints);
    tcase_add_test(tcase, a_hole_reaches_over_segments);
    tcase_add_test(tcase, the_checkpointed_watermark_is_flushed);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
