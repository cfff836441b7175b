/* broker/node/batch_check: valid or not, and in the topic's codec. */
#include "broker/node/batch_check.h"
#include "common/mem.h"

#include <check.h>

#define RECORDS 200

static struct buf *make_batch(enum compression compression, size_t value_bytes)
{
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    uint8_t *value = mem_calloc(value_bytes + 1, 1);
    record_batch_spec_init(&spec);
    spec.compression = compression;
    spec.producer_id = 4000;
    spec.producer_epoch = 3;
    spec.base_sequence = 77;
    record_batch_builder_init(&builder, &spec);
    for (int i = 0; i < RECORDS; i++) {
        struct record_header header = {SLICE_LITERAL("h"), SLICE_NULL};
        memset(value, 'a' + i % 26, value_bytes);
        struct slice key = i % 3 == 0 ? SLICE_NULL : slice_make((uint8_t *)&i, sizeof i);
        record_batch_builder_add(&builder, 1700000000000 + i * 7, key, slice_make(value, value_bytes), &header, i % 2);
    }
    mem_free(value);
    return record_batch_builder_finish(&builder);
}

static struct batch_check check_of(const struct buf *batch, enum compression target)
{
    return (struct batch_check){
        .records = buf_slice(batch),
        .api_version = 11,
        .is_recompressed = true,
        .compression = target,
        .level = compression_default_level(target),
        .rules = {.is_from_client = true,
                  .bytes_max = 1 << 20,
                  .decompressed_max = 1 << 24,
                  .timestamp_min = INT64_MIN,
                  .timestamp_max = INT64_MAX},
    };
}

static void same_records(const struct record_batch *a, const struct record_batch *b)
{
    struct record_iterator x, y;
    struct record left, right;
    ck_assert_int_eq(record_iterator_init(&x, a, 1 << 24), ERR_OK);
    ck_assert_int_eq(record_iterator_init(&y, b, 1 << 24), ERR_OK);
    int count = 0;
    for (; record_iterator_next(&x, &left); count++) {
        ck_assert(record_iterator_next(&y, &right));
        ck_assert_int_eq(left.offset, right.offset);
        ck_assert_int_eq(left.timestamp, right.timestamp);
        ck_assert(slice_equal(left.key, right.key) && slice_is_null(left.key) == slice_is_null(right.key));
        ck_assert(slice_equal(left.value, right.value));
        ck_assert(slice_equal(left.headers, right.headers));
    }
    ck_assert_int_eq(count, RECORDS);
    ck_assert(record_iterator_is_whole(&y));
    record_iterator_deinit(&x);
    record_iterator_deinit(&y);
}

/* _i: which codec becomes which. */
START_TEST(a_batch_in_another_codec_says_the_same)
{
    enum compression from = (enum compression)(_i / 5), to = (enum compression)(_i % 5);
    struct buf *batch = make_batch(from, 60);
    struct batch_check check = check_of(batch, to);
    struct record_batch before, after;
    batch_check_run(&check);
    ck_assert_int_eq(check.verdict.error, KAFKA_NONE);
    ck_assert_int_eq(check.last_offset_delta, RECORDS - 1);
    ck_assert(from == to ? check.converted == NULL : check.converted != NULL);
    if (check.converted) {
        ck_assert_int_eq(record_batch_parse(buf_slice(batch), &before), ERR_OK);
        ck_assert_int_eq(record_batch_parse(buf_slice(check.converted), &after), ERR_OK);
        ck_assert(record_batch_is_crc_valid(&after));
        ck_assert_int_eq(record_batch_compression(&after), to);
        ck_assert_uint_eq(record_batch_size(&after), check.converted->size);
        ck_assert_int_eq(after.producer_id, 4000);
        ck_assert_int_eq(after.producer_epoch, 3);
        ck_assert_int_eq(after.base_sequence, 77);
        ck_assert_int_eq(after.base_timestamp, before.base_timestamp);
        ck_assert_int_eq(after.max_timestamp, before.max_timestamp);
        same_records(&before, &after);
    }
    buf_unref(check.converted);
    buf_unref(batch);
}
END_TEST

START_TEST(a_level_makes_a_difference)
{
    static const struct {
        enum compression codec;
        int32_t fast, thorough;
    } levels[] = {{COMPRESSION_GZIP, 1, 9}, {COMPRESSION_LZ4, 9, 12}, {COMPRESSION_ZSTD, -5, 19}};
    struct buf *batch = make_batch(COMPRESSION_NONE, 300);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct batch_check fast = check_of(batch, levels[i].codec), thorough = fast;
        fast.level = levels[i].fast;
        thorough.level = levels[i].thorough;
        batch_check_run(&fast);
        batch_check_run(&thorough);
        ck_assert_uint_lt(thorough.converted->size, fast.converted->size);
        buf_unref(fast.converted);
        buf_unref(thorough.converted);
    }
    buf_unref(batch);
}
END_TEST

START_TEST(what_grows_beyond_max_message_bytes_is_refused)
{
    struct buf *batch = make_batch(COMPRESSION_ZSTD, 1000);
    struct batch_check check = check_of(batch, COMPRESSION_NONE);
    check.rules.bytes_max = 100000;
    batch_check_run(&check);
    ck_assert_int_eq(check.verdict.error, KAFKA_MESSAGE_TOO_LARGE);
    ck_assert_ptr_null(check.converted);
    buf_unref(batch);
}
END_TEST

START_TEST(a_bomb_is_refused_before_it_has_grown)
{
    struct buf *batch = make_batch(COMPRESSION_ZSTD, 100000);
    struct batch_check check = check_of(batch, COMPRESSION_LZ4);
    ck_assert_uint_lt(batch->size, 1 << 20);
    check.rules.decompressed_max = batch_check_decompressed_max(10000);
    batch_check_run(&check);
    ck_assert_int_eq(check.verdict.error, KAFKA_INVALID_RECORD);
    ck_assert_ptr_null(check.converted);
    ck_assert_uint_eq(batch_check_decompressed_max(10000), 1 << 20);
    ck_assert_uint_eq(batch_check_decompressed_max(1 << 20), 64 << 20);
    ck_assert_uint_eq(batch_check_decompressed_max(INT32_MAX), 64 << 20);
    buf_unref(batch);
}
END_TEST

START_TEST(damage_inside_a_compressed_batch_is_found_when_it_is_opened)
{
    struct buf *batch = make_batch(COMPRESSION_ZSTD, 100);
    batch->data[RECORD_BATCH_HEADER + 20] ^= 0x40;
    record_batch_set_max_timestamp(batch->data, batch->size, 1700000000000 + (RECORDS - 1) * 7); /* the CRC fits again */
    struct batch_check kept = check_of(batch, COMPRESSION_ZSTD), opened = check_of(batch, COMPRESSION_GZIP);
    batch_check_run(&kept);
    ck_assert_int_eq(kept.verdict.error, KAFKA_NONE);
    batch_check_run(&opened);
    ck_assert_int_ne(opened.verdict.error, KAFKA_NONE);
    ck_assert_ptr_null(opened.converted);
    buf_unref(batch);
}
END_TEST

START_TEST(only_large_batches_that_must_be_opened_take_long)
{
    struct buf *large = make_batch(COMPRESSION_NONE, 300), *small = make_batch(COMPRESSION_NONE, 10);
    struct batch_check check = check_of(large, COMPRESSION_NONE);
    ck_assert(!batch_check_is_long(&check));
    check.compression = COMPRESSION_ZSTD;
    ck_assert(batch_check_is_long(&check));
    check.rules.bytes_max = 1000; /* refused by its size */
    ck_assert(!batch_check_is_long(&check));
    check = check_of(small, COMPRESSION_ZSTD);
    ck_assert(!batch_check_is_long(&check));
    buf_unref(large);
    buf_unref(small);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch_check");
    TCase *tcase = tcase_create("all");
    tcase_add_loop_test(tcase, a_batch_in_another_codec_says_the_same, 0, 25);
    tcase_add_test(tcase, a_level_makes_a_difference);
    tcase_add_test(tcase, what_grows_beyond_max_message_bytes_is_refused);
    tcase_add_test(tcase, a_bomb_is_refused_before_it_has_grown);
    tcase_add_test(tcase, damage_inside_a_compressed_batch_is_found_when_it_is_opened);
    tcase_add_test(tcase, only_large_batches_that_must_be_opened_take_long);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
