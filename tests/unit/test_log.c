/* The partition log against a list model, and its promises one by one. */
#include "broker/log/log_internal.h"
#include "tests/unit/log_bench.h"

#include <stdlib.h>

static struct batch_wish plain(int32_t epoch, int32_t records, size_t value_bytes)
{
    return (struct batch_wish){.epoch = epoch, .records = records, .value_bytes = value_bytes, .timestamp_ms = 1000};
}

static void begin(struct bench *bench, uint64_t seed)
{
    bench_begin(bench, seed);
    bench_start(bench);
    bench_create(bench);
}

/* ---- append and read ----------------------------------------------------------------------------------------------- */

START_TEST(an_unused_log_leaves_no_file_and_no_descriptor)
{
    struct bench bench;
    begin(&bench, 1);
    uint64_t operations = sim_disk_operations(bench.node);
    ck_assert_int_eq(plog_start(bench.log), 0);
    ck_assert_int_eq(plog_end(bench.log), 0);
    struct plog_read read = {.limit = INT64_MAX, .file_limit = INT64_MAX, .bytes_max = 100};
    ck_assert_int_eq(plog_read(bench.log, &read), ERR_OK);
    ck_assert_int_eq(read.bytes, 0);
    ck_assert_uint_eq(sim_disk_operations(bench.node), operations);
    ck_assert_uint_eq(bench.shared.files.files_open, 0);
    bench_end(&bench);
}
END_TEST

START_TEST(a_read_begins_with_the_batch_that_contains_the_offset)
{
    struct bench bench;
    begin(&bench, 2);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(bench_append(&bench, &(struct batch_wish){.records = 7, .value_bytes = 50}), PLOG_APPENDED);
    for (int64_t offset = 0; offset <= 70; offset++)
        for (int in_memory = 0; in_memory < 2; in_memory++) {
            struct plog_read read = {
                .offset = offset, .limit = 70, .file_limit = in_memory ? 0 : 70, .bytes_max = 1, .is_first_whole = true};
            ck_assert_int_eq(bench_read(&bench, &read), ERR_OK);
            bench_check_read(&bench, &read);
            ck_assert_int_eq(read.next_offset, offset == 70 ? 70 : offset / 7 * 7 + 7);
            plog_read_release(&read);
        }
    struct plog_read outside = {.offset = 71, .limit = 70, .file_limit = 70, .bytes_max = 1};
    ck_assert_int_eq(plog_read(bench.log, &outside), ERR_NOT_FOUND);
    bench_end(&bench);
}
END_TEST

/* Twelve plain records, three of zstd, three plain. */
static void check_plain_ranges(struct bench *bench)
{
    static const int64_t starts[] = {0, 4, 12, 15}, ends[] = {12, 12, 12, 18};
    for (int i = 0; i < 4; i++) {
        struct plog_read read = {.offset = starts[i], .limit = 18, .file_limit = 18, .bytes_max = 100000, .refuses_zstd = true};
        ck_assert_int_eq(bench_read(bench, &read), ERR_OK);
        bench_check_read(bench, &read);
        ck_assert_int_eq(read.next_offset, ends[i]);
        ck_assert_int_eq(read.is_before_zstd, ends[i] == 12);
        ck_assert_uint_eq(read.piece_count, starts[i] != 12);
        if (read.piece_count) ck_assert_ptr_nonnull(read.pieces[0].file);
        plog_read_release(&read);
    }
}

START_TEST(trap_8_who_knows_no_zstd_gets_file_ranges_that_end_before_it)
{
    struct bench bench;
    struct plog_recovery report;
    bench_begin(&bench, 20);
    bench.tail_bytes_max = 0;
    bench_start(&bench);
    bench_make_log_dir(&bench);
    bench_create(&bench);
    for (int i = 0; i < 6; i++) {
        struct batch_wish wish = plain(0, 3, 50);
        if (i == 4) wish.compression = COMPRESSION_ZSTD;
        ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    }
    check_plain_ranges(&bench);
    for (int is_clean = 0; is_clean < 2; is_clean++) { /* headers read while recovering, and only when asked for */
        ck_assert_int_eq(plog_close_clean(bench.log), ERR_OK);
        sim_node_crash(bench.node, SIM_CRASH_PROCESS);
        bench_start(&bench);
        ck_assert_int_eq(bench_open(&bench, &(struct plog_claims){.is_clean = is_clean}, &report), ERR_OK);
        check_plain_ranges(&bench);
    }
    bench_end(&bench);
}
END_TEST

START_TEST(several_batches_of_a_turn_are_one_write)
{
    struct bench bench;
    begin(&bench, 3);
    struct batch_wish wish = plain(0, 2, 20);
    ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    struct plog_batch batches[5];
    for (int i = 0; i < 5; i++) batches[i] = wish_batch(&wish);
    uint64_t before = sim_disk_operations(bench.node);
    ck_assert_int_eq(plog_append_leader(bench.log, batches, 5, 0), ERR_OK);
    ck_assert_uint_eq(sim_disk_operations(bench.node), before + 1);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(batches[i].verdict, PLOG_APPENDED);
        ck_assert_int_eq(batches[i].base_offset, 2 + 2 * i);
        model_push(&bench.model, buf_slice(batches[i].buf));
        buf_unref(batches[i].buf);
    }
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

START_TEST(log_append_time_stamps_the_batch)
{
    struct bench bench;
    bench_begin(&bench, 4);
    bench.config.is_log_append_time = true;
    bench_start(&bench);
    bench_create(&bench);
    struct batch_wish wish = plain(0, 3, 10);
    struct plog_batch batch = wish_batch(&wish);
    struct record_batch head;
    ck_assert_int_eq(plog_append_leader(bench.log, &batch, 1, 7), ERR_OK);
    ck_assert_int_eq(batch.append_time_ms, env_wall_ms(bench.env));
    ck_assert_int_eq(record_batch_parse(buf_slice(batch.buf), &head), ERR_OK);
    ck_assert(record_batch_is_crc_valid(&head) && record_batch_is_log_append_time(&head));
    ck_assert_int_eq(head.max_timestamp, batch.append_time_ms);
    ck_assert_int_eq(head.partition_leader_epoch, 7);
    buf_unref(batch.buf);
    bench_end(&bench);
}
END_TEST

START_TEST(i_dup_a_retry_gets_the_original_offset)
{
    struct bench bench;
    begin(&bench, 5);
    struct batch_wish wish = {.records = 4, .value_bytes = 10, .producer_id = 9};
    for (int i = 0; i < 7; i++, wish.sequence += 4) ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    for (int back = 1; back <= 7; back++) {
        struct batch_wish retry = wish;
        retry.sequence -= 4 * back;
        struct plog_batch batch = wish_batch(&retry);
        ck_assert_int_eq(plog_append_leader(bench.log, &batch, 1, 0), ERR_OK);
        ck_assert_int_eq(batch.verdict, back <= 5 ? PLOG_DUPLICATE : PLOG_OUT_OF_ORDER);
        if (back <= 5) ck_assert_int_eq(batch.base_offset, 28 - 4 * back);
        buf_unref(batch.buf);
    }
    wish.sequence += 1;
    ck_assert_int_eq(bench_append(&bench, &wish), PLOG_OUT_OF_ORDER);
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

START_TEST(l_order_a_follower_takes_only_what_continues_its_log)
{
    struct bench bench;
    begin(&bench, 6);
    struct plog_follower_append out;
    struct batch_wish wish = {.epoch = 3, .records = 5, .value_bytes = 10};
    struct buf *first = make_batch(&wish);
    ck_assert_int_eq(plog_append_follower(bench.log, first, 0, first->size, 2, &out), ERR_CORRUPT); /* epoch above the request's */
    ck_assert_int_eq(plog_append_follower(bench.log, first, 0, first->size - 1, 3, &out), ERR_OK);  /* not all there */
    ck_assert_int_eq(out.bytes, 0);
    ck_assert_int_eq(plog_append_follower(bench.log, first, 0, first->size, 3, &out), ERR_OK);
    ck_assert_int_eq(out.bytes, (int64_t)first->size);
    model_push(&bench.model, buf_slice(first));
    wish.base_offset = 6;
    struct buf *gap = make_batch(&wish);
    ck_assert_int_eq(plog_append_follower(bench.log, gap, 0, gap->size, 3, &out), ERR_CORRUPT);
    wish.base_offset = 5;
    wish.epoch = 2;
    struct buf *older = make_batch(&wish);
    ck_assert_int_eq(plog_append_follower(bench.log, older, 0, older->size, 3, &out), ERR_CORRUPT);
    wish.epoch = 3;
    struct buf *flipped = make_batch(&wish);
    flipped->data[flipped->size - 1] ^= 1;
    ck_assert_int_eq(plog_append_follower(bench.log, flipped, 0, flipped->size, 3, &out), ERR_CORRUPT);
    bench_check_all(&bench);
    buf_unref(first), buf_unref(gap), buf_unref(older), buf_unref(flipped);
    bench_end(&bench);
}
END_TEST

START_TEST(a_follower_accepts_batches_larger_than_its_segments)
{
    struct bench bench;
    begin(&bench, 7);
    bench.config.segment_bytes = 100;
    plog_configure(bench.log, &bench.config);
    struct plog_follower_append out;
    for (int i = 0; i < 3; i++) {
        struct buf *large = make_batch(&(struct batch_wish){.base_offset = 2 * i, .records = 2, .value_bytes = 1000});
        ck_assert_int_eq(plog_append_follower(bench.log, large, 0, large->size, 0, &out), ERR_OK);
        model_push(&bench.model, buf_slice(large));
        buf_unref(large);
    }
    ck_assert_int_eq(bench_append(&bench, &(struct batch_wish){.records = 1, .value_bytes = 100}), PLOG_TOO_LARGE);
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

START_TEST(a_first_batch_that_straddles_the_start_is_taken_whole)
{
    struct bench bench;
    begin(&bench, 8);
    struct bench_op wait = BENCH_OP;
    plog_truncate_fully(bench.log, 50, &wait.op);
    ck_assert(bench_wait(&bench, &wait) && wait.err == ERR_OK);
    struct plog_follower_append out;
    struct buf *batch = make_batch(&(struct batch_wish){.base_offset = 45, .records = 10, .value_bytes = 10});
    ck_assert_int_eq(plog_append_follower(bench.log, batch, 0, batch->size, 0, &out), ERR_OK);
    ck_assert_int_eq(plog_start(bench.log), 50);
    ck_assert_int_eq(plog_end(bench.log), 55);
    struct plog_read read = {.offset = 50, .limit = 55, .file_limit = 0, .bytes_max = 1000};
    ck_assert_int_eq(bench_read(&bench, &read), ERR_OK);
    ck_assert_int_eq(read.bytes, (int64_t)batch->size);
    plog_read_release(&read);
    buf_unref(batch);
    bench_end(&bench);
}
END_TEST

/* ---- errors -------------------------------------------------------------------------------------------------------- */

START_TEST(a_full_disk_leaves_the_log_at_its_last_good_batch)
{
    struct bench bench;
    begin(&bench, 9);
    struct batch_wish wish = {.records = 3, .value_bytes = 200, .producer_id = 5};
    for (int i = 0; i < 4; i++, wish.sequence += 3) ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    sim_disk_set_capacity(bench.node, sim_disk_used(bench.node) + 100);
    ck_assert_int_eq(bench_append(&bench, &wish), PLOG_FAILED);
    bench_check_all(&bench);
    ck_assert(!plog_is_failed(bench.log));
    sim_disk_set_capacity(bench.node, 1 << 30);
    /* The failed batch's sequence was not kept: the same batch is the next one. */
    ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

START_TEST(p_11_a_failed_write_ends_the_log)
{
    struct bench bench;
    begin(&bench, 10);
    struct batch_wish wish = plain(0, 1, 10);
    ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    sim_disk_fail_writes(bench.node, 1);
    struct plog_batch batch = wish_batch(&wish);
    ck_assert_int_eq(plog_append_leader(bench.log, &batch, 1, 0), ERR_IO);
    ck_assert_int_eq(batch.verdict, PLOG_FAILED);
    ck_assert(plog_is_failed(bench.log));
    ck_assert_int_eq(plog_append_leader(bench.log, &batch, 1, 0), ERR_IO);
    buf_unref(batch.buf);
    bench_end(&bench);
}
END_TEST

/* ---- flush --------------------------------------------------------------------------------------------------------- */

START_TEST(q_trunc_a_flush_that_a_truncation_overtook_does_not_count)
{
    struct bench bench;
    begin(&bench, 11);
    struct batch_wish wish = plain(0, 5, 10);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    struct file_set set;
    struct plog_flush flush;
    struct bench_op commit = BENCH_OP, truncation = BENCH_OP;
    file_set_init(&set);
    ck_assert(plog_flush_begin(bench.log, &set, &flush));
    ck_assert_int_eq(flush.end, 20);
    file_set_commit(&set, bench.env, &commit.commit);
    file_set_deinit(&set);
    plog_truncate_to(bench.log, 12, &truncation.op);
    model_truncate(&bench.model, 12);
    ck_assert_int_eq(plog_end(bench.log), 10);
    ck_assert(bench_wait(&bench, &truncation) && bench_wait(&bench, &commit));
    ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    ck_assert(!plog_flush_done(bench.log, &flush, ERR_OK));
    ck_assert_int_eq(plog_flushed_end(bench.log), 0);
    ck_assert(bench_flush(&bench));
    ck_assert_int_eq(plog_flushed_end(bench.log), 15);
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

START_TEST(a_failed_flush_ends_the_log)
{
    struct bench bench;
    begin(&bench, 12);
    struct batch_wish wish = plain(0, 5, 10);
    ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    sim_disk_fail_commits(bench.node, 1);
    ck_assert(!bench_flush(&bench));
    ck_assert(plog_is_failed(bench.log));
    ck_assert_int_eq(plog_flushed_end(bench.log), 0);
    bench_end(&bench);
}
END_TEST

/* ---- time, epochs -------------------------------------------------------------------------------------------------- */

START_TEST(offsets_are_found_by_time)
{
    struct bench bench;
    begin(&bench, 13);
    /* Batch i holds times 100 i ... 100 i + 9; batch 30 is late by 500. */
    for (int i = 0; i < 60; i++) {
        int64_t time_ms = i == 30 ? 2500 : 100 * i;
        ck_assert_int_eq(
            bench_append(&bench, &(struct batch_wish){.epoch = i / 20, .records = 10, .value_bytes = 30, .timestamp_ms = time_ms}),
            PLOG_APPENDED);
    }
    struct plog_found_offset found;
    for (int64_t time_ms = 0; time_ms < 6000; time_ms += 7) {
        int64_t batch = time_ms / 100 + (time_ms % 100 > 9), record = time_ms % 100 > 9 ? 0 : time_ms % 100;
        if (batch == 30) batch = 31, record = 0;
        ck_assert_int_eq(bench_find_time(&bench, time_ms, &found), ERR_OK);
        if (batch == 60) {
            ck_assert_int_eq(found.offset, -1);
            continue;
        }
        ck_assert_int_eq(found.offset, 10 * batch + record);
        ck_assert_int_eq(found.leader_epoch, batch / 20);
    }
    ck_assert_int_eq(bench_find_time(&bench, -1, &found), ERR_OK);
    ck_assert_int_eq(found.offset, 599);
    ck_assert_int_eq(found.timestamp_ms, 5909);
    bench_end(&bench);
}
END_TEST

START_TEST(epoch_ends_follow_kip_279)
{
    struct bench bench;
    begin(&bench, 14);
    int32_t epochs[] = {2, 2, 5, 9}, found = 0;
    int64_t end = 0;
    plog_epoch_end(bench.log, 4, &found, &end);
    ck_assert(found == 4 && end == 0);
    for (int i = 0; i < 4; i++) {
        struct batch_wish wish = plain(epochs[i], 10, 10);
        ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    }
    const struct {
        int32_t asked, found;
        int64_t end;
    } cases[] = {{1, 1, 0}, {2, 2, 20}, {4, 2, 20}, {5, 5, 30}, {8, 5, 30}, {9, 9, 40}, {12, 9, 40}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plog_epoch_end(bench.log, cases[i].asked, &found, &end);
        ck_assert_int_eq(found, cases[i].found);
        ck_assert_int_eq(end, cases[i].end);
    }
    bench_end(&bench);
}
END_TEST

/* ---- truncation, retention, deletion ------------------------------------------------------------------------------- */

START_TEST(bytes_that_were_handed_out_survive_a_truncation)
{
    struct bench bench;
    begin(&bench, 15);
    bench.config.segment_bytes = 1 << 20;
    plog_configure(bench.log, &bench.config);
    struct batch_wish wish = plain(0, 20, 2000);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    struct plog_read read = {.offset = 0, .limit = 60, .file_limit = 60, .bytes_max = 1 << 20};
    ck_assert_int_eq(bench_read(&bench, &read), ERR_OK);
    ck_assert(read.piece_count == 1 && read.pieces[0].file != NULL);
    struct buf *before = bench_bytes(&bench, &read);
    struct bench_op wait = BENCH_OP;
    plog_truncate_to(bench.log, 20, &wait.op);
    model_truncate(&bench.model, 20);
    ck_assert(bench_wait(&bench, &wait) && wait.err == ERR_OK);
    struct batch_wish other = plain(1, 15, 2500);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(bench_append(&bench, &other), PLOG_APPENDED);
    struct buf *after = bench_bytes(&bench, &read);
    ck_assert(slice_equal(buf_slice(before), buf_slice(after)));
    buf_unref(before), buf_unref(after);
    plog_read_release(&read);
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

START_TEST(ret_1_only_closed_segments_below_the_high_watermark_go)
{
    struct bench bench;
    begin(&bench, 16);
    int64_t now_ms = env_wall_ms(bench.env), far = 100LL * 365 * 24 * 3600 * 1000;
    for (int i = 0; i < 40; i++) {
        struct batch_wish wish = {.records = 10, .value_bytes = 50, .timestamp_ms = i < 20 ? now_ms - 1000000 : now_ms + far};
        ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    }
    int64_t size = plog_size(bench.log);
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, -1, -1, now_ms, 400), 0);
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, 500000, -1, now_ms, 30), 0); /* the high watermark is in the first */
    ck_assert_uint_gt(plog_delete_old_segments(bench.log, 500000, -1, now_ms, 400), 0);
    ck_assert_int_gt(plog_start(bench.log), 0);
    ck_assert_int_le(plog_start(bench.log), 200); /* the future ones are as old as their segment */
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, 500000, -1, now_ms, 400), 0);
    ck_assert_uint_gt(plog_delete_old_segments(bench.log, 500000, -1, now_ms + 1000000, 400), 0);
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, -1, size, now_ms, 400), 0);
    bench.model.start = plog_start(bench.log);
    sim_run_for(bench.sim, SIM_SECOND);
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

/* `count` batches of 10 records, of now. */
static void append_now(struct bench *bench, int count, size_t value_bytes)
{
    for (int i = 0; i < count; i++) {
        struct batch_wish wish = {.records = 10, .value_bytes = value_bytes, .timestamp_ms = env_wall_ms(bench->env)};
        ck_assert_int_eq(bench_append(bench, &wish), PLOG_APPENDED);
    }
}

START_TEST(ret_1_an_active_segment_that_has_expired_as_a_whole_goes)
{
    struct bench bench;
    begin(&bench, 18);
    append_now(&bench, 5, 50);
    bench_pass(&bench, 3 * SIM_SECOND);
    append_now(&bench, 1, 50);
    bench_pass(&bench, 3 * SIM_SECOND);
    int64_t end = plog_end(bench.log);
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, 5000, -1, env_wall_ms(bench.env), end), 0); /* its last batch is young */
    bench_pass(&bench, 3 * SIM_SECOND);
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, 5000, -1, env_wall_ms(bench.env), end - 1), 0); /* not all is committed */
    ck_assert_uint_gt(plog_delete_old_segments(bench.log, 5000, -1, env_wall_ms(bench.env), end), 0);
    ck_assert_int_eq(plog_start(bench.log), end);
    ck_assert_int_eq(plog_end(bench.log), end);
    append_now(&bench, 1, 50);
    ck_assert_uint_gt(plog_delete_old_segments(bench.log, -1, 0, env_wall_ms(bench.env), plog_end(bench.log)), 0); /* retention.bytes=0 */
    ck_assert_int_eq(plog_size(bench.log), 0);
    bench.model.start = plog_start(bench.log);
    sim_run_for(bench.sim, SIM_SECOND);
    bench_end(&bench);
}
END_TEST

START_TEST(ret_1_a_clock_that_jumps_takes_nothing_from_the_active_segment)
{
    struct bench bench;
    begin(&bench, 19);
    append_now(&bench, 3, 50);
    bench_pass(&bench, 3 * SIM_SECOND);
    int64_t jumped_ms = env_wall_ms(bench.env) + 30LL * 24 * 3600 * 1000;
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, 5000, -1, jumped_ms, plog_end(bench.log)), 0);
    ck_assert_int_eq(plog_start(bench.log), 0);
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

/* DeleteRecords gives space back although the segment is far from full. */
START_TEST(ret_1_an_active_segment_that_is_mostly_below_the_log_start_is_closed)
{
    struct bench bench;
    begin(&bench, 20);
    bench.config.segment_bytes = 64 << 20;
    plog_configure(bench.log, &bench.config);
    append_now(&bench, 300, 1000);
    ck_assert(plog_advance_start(bench.log, 2000));
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, -1, -1, env_wall_ms(bench.env), 3000), 0); /* closed now */
    append_now(&bench, 10, 1000);
    ck_assert(plog_advance_start(bench.log, 3050));
    ck_assert_uint_eq(plog_delete_old_segments(bench.log, -1, -1, env_wall_ms(bench.env), 3100), 1);
    ck_assert_int_lt(plog_size(bench.log), 200000);
    ck_assert_int_eq(plog_start(bench.log), 3050);
    bench.model.start = 3050;
    sim_run_for(bench.sim, SIM_SECOND);
    bench_end(&bench);
}
END_TEST

/* Logs that began together do not end their segments together. */
START_TEST(segment_jitter_ends_a_segment_before_its_time)
{
    struct bench bench;
    begin(&bench, 21);
    bench.config.segment_bytes = 64 << 20;
    bench.config.segment_ms = 1000000;
    bench.config.segment_jitter_ms = 900000;
    plog_configure(bench.log, &bench.config);
    int64_t first_ms = env_wall_ms(bench.env);
    uint32_t early = 0;
    for (int i = 0; i < 40; i++) {
        uint32_t before = bench.log->segment_count;
        struct batch_wish wish = {.records = 1, .value_bytes = 10, .timestamp_ms = first_ms += 300000};
        ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
        early += bench.log->segment_count - before;
    }
    ck_assert_uint_gt(early, 10); /* without jitter: one in four batches */
    ck_assert_uint_lt(early, 40);
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

START_TEST(d_resurrect_a_deleted_log_comes_back_empty)
{
    struct bench bench;
    begin(&bench, 17);
    struct batch_wish wish = plain(0, 10, 50);
    for (int i = 0; i < 20; i++) ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    struct bench_op wait = BENCH_OP;
    plog_write_epochs(bench.log); /* is under way when the log goes */
    plog_delete(bench.log, &wait.op);
    bench.log = NULL;
    model_clear(&bench.model, 0);
    bench_create(&bench);
    ck_assert_int_eq(bench_append(&bench, &wish), PLOG_APPENDED);
    ck_assert(bench_wait(&bench, &wait) && wait.err == ERR_OK);
    sim_run_for(bench.sim, SIM_SECOND);
    bench_check_all(&bench);
    ck_assert_int_eq(plog_close_clean(bench.log), ERR_OK);
    plog_destroy(bench.log);
    struct plog_recovery report;
    ck_assert_int_eq(bench_open(&bench, &(struct plog_claims){.is_clean = true}, &report), ERR_OK);
    ck_assert(uuid_equal(plog_topic_id(bench.log), BENCH_TOPIC_ID));
    bench_check_all(&bench);
    bench_end(&bench);
}
END_TEST

/* ---- F9: random operations ----------------------------------------------------------------------------------------- */

struct fuzz {
    struct bench bench;
    struct prng prng;
    int32_t epoch;
    int32_t sequences[4]; /* next of each producer */
    int64_t time_ms;
    bool was_full; /* index files and snapshots may be missing */
};

static int64_t below(struct fuzz *fuzz, int64_t bound) { return (int64_t)prng_below(&fuzz->prng, (uint64_t)bound); }

/* What is in the log is what counts: after a truncation, or when a batch failed, the sequences go on from there. */
static void reset_sequences(struct fuzz *fuzz)
{
    for (int p = 0; p < 4; p++) {
        fuzz->sequences[p] = -1;
        for (size_t i = 0; i < fuzz->bench.model.count; i++) {
            struct record_batch head;
            ck_assert_int_eq(record_batch_parse(buf_slice(fuzz->bench.model.batches[i].bytes), &head), ERR_OK);
            if (head.producer_id == p + 1) fuzz->sequences[p] = head.base_sequence + head.count;
        }
    }
}

static struct batch_wish any_wish(struct fuzz *fuzz)
{
    struct batch_wish wish = {.epoch = fuzz->epoch,
                              .records = (int32_t)below(fuzz, 5) + 1,
                              .value_bytes = (size_t)below(fuzz, 200),
                              .timestamp_ms = fuzz->time_ms += below(fuzz, 20)};
    if (prng_chance(&fuzz->prng, 1, 2)) {
        wish.producer_id = below(fuzz, 4) + 1;
        int32_t *next = &fuzz->sequences[wish.producer_id - 1];
        if (*next < 0) *next = 0;
        wish.sequence = *next;
    }
    if (prng_chance(&fuzz->prng, 1, 4)) wish.compression = COMPRESSION_ZSTD;
    return wish;
}

static void op_append(struct fuzz *fuzz)
{
    struct plog_batch batches[6];
    struct batch_wish wishes[6];
    size_t count = (size_t)below(fuzz, 6) + 1;
    if (prng_chance(&fuzz->prng, 1, 8)) fuzz->epoch += (int32_t)below(fuzz, 3);
    for (size_t i = 0; i < count; i++) {
        wishes[i] = any_wish(fuzz);
        if (wishes[i].producer_id) fuzz->sequences[wishes[i].producer_id - 1] += wishes[i].records;
        batches[i] = wish_batch(&wishes[i]);
    }
    ck_assert_int_eq(plog_append_leader(fuzz->bench.log, batches, count, fuzz->epoch), ERR_OK);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(batches[i].verdict, PLOG_APPENDED);
        model_push(&fuzz->bench.model, buf_slice(batches[i].buf));
        buf_unref(batches[i].buf);
    }
}

/* Some of the batches find no room. */
static void op_append_to_a_full_disk(struct fuzz *fuzz)
{
    struct plog_batch batches[6];
    fuzz->was_full = true;
    sim_disk_set_capacity(fuzz->bench.node, sim_disk_used(fuzz->bench.node) + below(fuzz, 1500));
    for (int i = 0; i < 6; i++) {
        struct batch_wish wish = any_wish(fuzz);
        if (wish.producer_id) fuzz->sequences[wish.producer_id - 1] += wish.records;
        batches[i] = wish_batch(&wish);
    }
    enum err err = plog_append_leader(fuzz->bench.log, batches, 6, fuzz->epoch);
    ck_assert(err == ERR_OK || err == ERR_NO_SPACE);
    for (int i = 0; i < 6; i++) {
        ck_assert(err || batches[i].verdict == PLOG_APPENDED);
        if (batches[i].verdict == PLOG_APPENDED) model_push(&fuzz->bench.model, buf_slice(batches[i].buf));
        buf_unref(batches[i].buf);
    }
    sim_disk_set_capacity(fuzz->bench.node, 1 << 30);
    ck_assert_int_eq(plog_end(fuzz->bench.log), fuzz->bench.model.end);
    reset_sequences(fuzz);
}

static void op_append_as_follower(struct fuzz *fuzz)
{
    struct writer w;
    struct plog_follower_append out;
    struct model *model = &fuzz->bench.model;
    int64_t next = model->end;
    writer_init(&w, 64);
    for (int64_t i = below(fuzz, 5); i >= 0; i--) {
        struct batch_wish wish = any_wish(fuzz);
        wish.base_offset = next;
        next += wish.records;
        if (wish.producer_id) fuzz->sequences[wish.producer_id - 1] += wish.records;
        struct buf *one = make_batch(&wish);
        writer_bytes(&w, buf_slice(one));
        buf_unref(one);
    }
    size_t whole = writer_size(&w);
    struct slice extra = slice_make(writer_slice(&w).p, (size_t)below(fuzz, 61));
    uint8_t torn[64];
    memcpy(torn, extra.p, extra.n);
    writer_bytes(&w, slice_make(torn, extra.n)); /* the beginning of a batch that did not fit the answer */
    struct buf *all = writer_take(&w);
    ck_assert_int_eq(plog_append_follower(fuzz->bench.log, all, 0, all->size, fuzz->epoch, &out), ERR_OK);
    ck_assert_int_eq(out.bytes, (int64_t)whole);
    for (size_t at = 0; at < whole;) {
        size_t size = 0;
        ck_assert_int_eq(record_batch_peek_size(slice_make(all->data + at, whole - at), &size), ERR_OK);
        model_push(model, slice_make(all->data + at, size));
        at += size;
    }
    buf_unref(all);
}

/* Is the producer's newest batch above the log start? Below it the log may have forgotten (I-NOSTATE). */
static bool is_visible(const struct model *model, int64_t producer_id)
{
    for (size_t i = model->count; i-- > 0;) {
        struct record_batch head;
        ck_assert_int_eq(record_batch_parse(buf_slice(model->batches[i].bytes), &head), ERR_OK);
        if (head.producer_id == producer_id) return head.base_offset >= model->start;
    }
    return false;
}

static void op_retry(struct fuzz *fuzz)
{
    struct batch_wish wish = any_wish(fuzz);
    if (!wish.producer_id || wish.sequence < 10 || !is_visible(&fuzz->bench.model, wish.producer_id)) return;
    wish.sequence -= 1;
    enum plog_verdict verdict = bench_append(&fuzz->bench, &wish);
    ck_assert(verdict == PLOG_OUT_OF_ORDER || (verdict == PLOG_DUPLICATE && wish.records == 1));
}

static void op_read(struct fuzz *fuzz)
{
    struct model *model = &fuzz->bench.model;
    struct plog_read read = {.offset = prng_range(&fuzz->prng, model->start, model->end),
                             .limit = prng_range(&fuzz->prng, model->start, model->end),
                             .bytes_max = (int32_t)below(fuzz, 3000),
                             .is_first_whole = prng_chance(&fuzz->prng, 1, 2),
                             .is_in_memory = prng_chance(&fuzz->prng, 1, 4),
                             .refuses_zstd = prng_chance(&fuzz->prng, 1, 2)};
    /* A high watermark lies between batches. */
    size_t i = model_find(model, prng_range(&fuzz->prng, model->start, model->end));
    read.file_limit = i < model->count ? model->batches[i].base : model->end;
    ck_assert_int_eq(bench_read(&fuzz->bench, &read), ERR_OK);
    bench_check_read(&fuzz->bench, &read);
    plog_read_release(&read);
}

static void op_truncate(struct fuzz *fuzz)
{
    struct model *model = &fuzz->bench.model;
    int64_t span = prng_chance(&fuzz->prng, 1, 4) ? model->end - model->start : min_i64(20, model->end - model->start);
    int64_t offset = model->end - below(fuzz, span + 1);
    struct bench_op wait = BENCH_OP;
    plog_truncate_to(fuzz->bench.log, offset, &wait.op);
    model_truncate(model, offset);
    if (model->end < model->start) model->start = model->end; /* a batch that straddled the start went as a whole */
    ck_assert(bench_wait(&fuzz->bench, &wait) && wait.err == ERR_OK);
    fuzz->epoch++;
    reset_sequences(fuzz);
}

static void op_truncate_fully(struct fuzz *fuzz)
{
    if (below(fuzz, 5) > 0) return;
    struct bench_op wait = BENCH_OP;
    int64_t offset = below(fuzz, 1000);
    plog_truncate_fully(fuzz->bench.log, offset, &wait.op);
    model_clear(&fuzz->bench.model, offset);
    ck_assert(bench_wait(&fuzz->bench, &wait) && wait.err == ERR_OK);
    reset_sequences(fuzz);
}

static void op_retention(struct fuzz *fuzz)
{
    struct model *model = &fuzz->bench.model;
    (void)plog_delete_old_segments(fuzz->bench.log, -1, 6000 + below(fuzz, 8000), env_wall_ms(fuzz->bench.env), model->end);
    ck_assert_int_ge(plog_start(fuzz->bench.log), model->start);
    model->start = plog_start(fuzz->bench.log);
}

static void op_advance_start(struct fuzz *fuzz)
{
    struct model *model = &fuzz->bench.model;
    int64_t offset = min_i64(model->end, model->start + below(fuzz, 10));
    ck_assert(plog_advance_start(fuzz->bench.log, offset) == (offset > model->start));
    model->start = offset;
}

static void op_flush(struct fuzz *fuzz)
{
    ck_assert(bench_flush(&fuzz->bench));
    ck_assert_int_eq(plog_flushed_end(fuzz->bench.log), fuzz->bench.model.end);
    if (prng_chance(&fuzz->prng, 1, 2)) plog_write_epochs(fuzz->bench.log);
}

/* The process ends with or without notice; the page cache survives. */
static void op_reopen(struct fuzz *fuzz)
{
    struct bench *bench = &fuzz->bench;
    struct plog_recovery report;
    bool is_clean = prng_chance(&fuzz->prng, 1, 2);
    sim_run_for(bench->sim, SIM_SECOND); /* no operation is under way */
    if (is_clean) ck_assert_int_eq(plog_close_clean(bench->log), ERR_OK);
    struct plog_claims claims = {.recovery_point = plog_recovery_point(bench->log),
                                 .log_start = plog_start(bench->log),
                                 .is_clean = is_clean,
                                 .high_watermark = plog_start(bench->log)};
    sim_node_crash(bench->node, SIM_CRASH_PROCESS);
    bench_start(bench);
    enum err err = bench_open(bench, &claims, &report);
    if (err == ERR_NOT_FOUND) {
        ck_assert_uint_eq(bench->model.count, 0);
        model_clear(&bench->model, 0);
        bench_create(bench);
        return;
    }
    ck_assert_msg(err == ERR_OK, "%s", report.reason);
    ck_assert_int_eq(report.found, PLOG_WHOLE);
    if (is_clean && !fuzz->was_full) ck_assert_int_eq(report.scanned_bytes, 0);
}

static void one_seed(uint64_t seed)
{
    static void (*const ops[])(struct fuzz *) = {
        op_append, op_append, op_append,   op_append_to_a_full_disk, op_append_as_follower, op_append_as_follower, op_read,  op_read,
        op_read,   op_retry,  op_truncate, op_truncate_fully,        op_retention,          op_advance_start,      op_flush, op_flush,
        op_reopen};
    struct fuzz fuzz = {.time_ms = 1000};
    prng_init(&fuzz.prng, seed);
    bench_begin(&fuzz.bench, seed);
    fuzz.bench.files_max = (uint32_t)below(&fuzz, 4) + 1;
    fuzz.bench.tail_bytes_max = (size_t)below(&fuzz, 20000);
    fuzz.bench.config.segment_bytes = 1500 + below(&fuzz, 4000);
    fuzz.bench.config.index_interval_bytes = below(&fuzz, 500);
    bench_start(&fuzz.bench);
    bench_create(&fuzz.bench);
    for (int i = 0; i < 200; i++) {
        ops[below(&fuzz, sizeof ops / sizeof ops[0])](&fuzz);
        if (i % 20 == 0) bench_check_all(&fuzz.bench);
    }
    bench_check_all(&fuzz.bench);
    bench_end(&fuzz.bench);
}

START_TEST(f9_random_operations_agree_with_a_list)
{
    for (uint64_t seed = 1 + 8 * (uint64_t)_i; seed <= 8 + 8 * (uint64_t)_i; seed++) one_seed(seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("core");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, an_unused_log_leaves_no_file_and_no_descriptor);
    tcase_add_test(tcase, a_read_begins_with_the_batch_that_contains_the_offset);
    tcase_add_test(tcase, trap_8_who_knows_no_zstd_gets_file_ranges_that_end_before_it);
    tcase_add_test(tcase, several_batches_of_a_turn_are_one_write);
    tcase_add_test(tcase, log_append_time_stamps_the_batch);
    tcase_add_test(tcase, i_dup_a_retry_gets_the_original_offset);
    tcase_add_test(tcase, l_order_a_follower_takes_only_what_continues_its_log);
    tcase_add_test(tcase, a_follower_accepts_batches_larger_than_its_segments);
    tcase_add_test(tcase, a_first_batch_that_straddles_the_start_is_taken_whole);
    tcase_add_test(tcase, a_full_disk_leaves_the_log_at_its_last_good_batch);
    tcase_add_test(tcase, p_11_a_failed_write_ends_the_log);
    tcase_add_test(tcase, q_trunc_a_flush_that_a_truncation_overtook_does_not_count);
    tcase_add_test(tcase, a_failed_flush_ends_the_log);
    tcase_add_test(tcase, offsets_are_found_by_time);
    tcase_add_test(tcase, epoch_ends_follow_kip_279);
    tcase_add_test(tcase, bytes_that_were_handed_out_survive_a_truncation);
    tcase_add_test(tcase, ret_1_only_closed_segments_below_the_high_watermark_go);
    tcase_add_test(tcase, ret_1_an_active_segment_that_has_expired_as_a_whole_goes);
    tcase_add_test(tcase, ret_1_a_clock_that_jumps_takes_nothing_from_the_active_segment);
    tcase_add_test(tcase, ret_1_an_active_segment_that_is_mostly_below_the_log_start_is_closed);
    tcase_add_test(tcase, segment_jitter_ends_a_segment_before_its_time);
    tcase_add_test(tcase, d_resurrect_a_deleted_log_comes_back_empty);
    tcase_add_loop_test(tcase, f9_random_operations_agree_with_a_list, 0, 10);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
