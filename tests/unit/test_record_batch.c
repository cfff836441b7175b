/* Record batches: building, walking, stamping, and every rule of validation. */
#include "proto/record_batch.h"

#include <check.h>
#include <stdio.h>

#define NOW 1700000000000

static struct buf *build(const struct record_batch_spec *spec, int records)
{
    struct record_batch_builder b;
    record_batch_builder_init(&b, spec);
    for (int i = 0; i < records; i++) {
        char value[32];
        int n = snprintf(value, sizeof value, "value %d", i);
        const struct record_header header = {SLICE_LITERAL("h"), i % 2 ? SLICE_NULL : SLICE_LITERAL("x")};
        struct slice key = i % 3 == 2 ? SLICE_NULL : SLICE_LITERAL("key");
        record_batch_builder_add(&b, NOW + i, key, slice_make(value, (size_t)n), &header, i % 2);
    }
    return record_batch_builder_finish(&b);
}

static struct buf *build_plain(int records)
{
    struct record_batch_spec spec;
    record_batch_spec_init(&spec);
    return build(&spec, records);
}

static struct record_batch parse(const struct buf *buf)
{
    struct record_batch batch;
    ck_assert(record_batch_parse(buf_slice(buf), &batch) == ERR_OK);
    return batch;
}

static const struct record_batch_rules lenient = {
    .is_from_client = true, .bytes_max = 1 << 20, .decompressed_max = 1 << 20, .timestamp_min = INT64_MIN, .timestamp_max = INT64_MAX};

static struct record_batch_verdict validate(const struct buf *buf, const struct record_batch_rules *rules)
{
    struct record_batch batch;
    struct record_batch_verdict v = record_batch_parse_produced(buf_slice(buf), &batch);
    return v.error ? v : record_batch_validate(&batch, rules);
}

/* Overwrites a field of the header and repairs the CRC. */
static void set(struct buf *buf, size_t at, uint64_t value, size_t n)
{
    for (size_t i = n; i-- > 0; value >>= 8) buf->data[at + i] = (uint8_t)value;
    struct record_batch batch = parse(buf);
    record_batch_set_max_timestamp(buf->data, buf->size, batch.max_timestamp);
}

static const enum compression codecs[] = {COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_SNAPPY, COMPRESSION_LZ4, COMPRESSION_ZSTD};

START_TEST(what_is_built_is_read_back_with_every_codec)
{
    struct record_batch_spec spec;
    record_batch_spec_init(&spec);
    spec.base_offset = 42;
    spec.compression = codecs[_i];
    struct buf *buf = build(&spec, 100);
    struct record_batch batch = parse(buf);
    ck_assert(record_batch_is_crc_valid(&batch));
    ck_assert_int_eq(record_batch_next_offset(&batch), 142);
    ck_assert_int_eq(batch.max_timestamp, NOW + 99);
    struct record_iterator it;
    ck_assert(record_iterator_init(&it, &batch, 1 << 20) == ERR_OK);
    struct record record;
    for (int i = 0; record_iterator_next(&it, &record); i++) {
        ck_assert_int_eq(record.offset, 42 + i);
        ck_assert_int_eq(record.timestamp, NOW + i);
        ck_assert(slice_is_null(record.key) == (i % 3 == 2));
        ck_assert_int_eq(record.header_count, i % 2);
        struct record_header header;
        ck_assert(record_next_header(&record, &header) == (i % 2 == 1));
        if (i % 2) ck_assert(slice_is_null(header.value));
        ck_assert(!record_next_header(&record, &header));
    }
    ck_assert(record_iterator_is_whole(&it));
    record_iterator_deinit(&it);
    record_batch_stamp(buf->data, 0, 0); /* as producers send it */
    ck_assert_int_eq(validate(buf, &lenient).error, KAFKA_NONE);
    buf_unref(buf);
}
END_TEST

START_TEST(stamping_leaves_the_crc_valid)
{
    struct buf *buf = build_plain(3);
    record_batch_stamp(buf->data, 1000, 7);
    struct record_batch batch = parse(buf);
    ck_assert_int_eq(batch.base_offset, 1000);
    ck_assert_int_eq(batch.partition_leader_epoch, 7);
    ck_assert(record_batch_is_crc_valid(&batch));
    record_batch_set_log_append_time(buf->data, buf->size, NOW + 5000);
    batch = parse(buf);
    ck_assert(record_batch_is_crc_valid(&batch));
    struct record_iterator it;
    struct record record;
    ck_assert(record_iterator_init(&it, &batch, 0) == ERR_OK);
    while (record_iterator_next(&it, &record)) ck_assert_int_eq(record.timestamp, NOW + 5000);
    ck_assert(record_iterator_is_whole(&it));
    record_iterator_deinit(&it);
    buf_unref(buf);
}
END_TEST

START_TEST(sequences_wrap_to_zero)
{
    struct record_batch batch = {.base_sequence = INT32_MAX - 1, .last_offset_delta = 3};
    ck_assert_int_eq(record_batch_last_sequence(&batch), 1);
    batch.base_sequence = NO_SEQUENCE;
    ck_assert_int_eq(record_batch_last_sequence(&batch), NO_SEQUENCE);
}
END_TEST

START_TEST(w8_a_flipped_bit_anywhere_is_noticed)
{
    struct buf *buf = build_plain(5);
    for (size_t at = 0; at < buf->size; at++) {
        bool is_assigned = at >= 12 && at < 16; /* the leader epoch is the broker's */
        buf->data[at] ^= 0x10;
        ck_assert_msg((validate(buf, &lenient).error != KAFKA_NONE) == !is_assigned, "byte %zu", at);
        buf->data[at] ^= 0x10;
    }
    buf_unref(buf);
}
END_TEST

START_TEST(w8_every_cut_is_noticed)
{
    struct buf *buf = build_plain(5);
    for (size_t n = 0; n < buf->size; n++) {
        struct record_batch batch;
        ck_assert(record_batch_parse(slice_make(buf->data, n), &batch) == ERR_AGAIN);
        ck_assert_int_ne(record_batch_parse_produced(slice_make(buf->data, n), &batch).error, KAFKA_NONE);
    }
    ck_assert_int_eq(record_batch_parse_produced(SLICE_NULL, &(struct record_batch){0}).error, KAFKA_INVALID_RECORD);
    buf_unref(buf);
}
END_TEST

START_TEST(w8_exactly_one_batch)
{
    struct buf *one = build_plain(2);
    struct writer w;
    writer_init(&w, 0);
    writer_bytes(&w, buf_slice(one));
    writer_bytes(&w, buf_slice(one));
    struct record_batch batch;
    ck_assert_int_eq(record_batch_parse_produced(writer_slice(&w), &batch).error, KAFKA_INVALID_RECORD);
    one->data[RECORD_BATCH_MAGIC_AT] = 1;
    ck_assert_int_eq(record_batch_parse_produced(buf_slice(one), &batch).error, KAFKA_INVALID_RECORD);
    ck_assert(record_batch_parse(buf_slice(one), &batch) == ERR_CORRUPT);
    writer_deinit(&w);
    buf_unref(one);
}
END_TEST

/* Header fields that no client may send: where, what, how long, and the answer. */
static const struct bad_header {
    const char *name;
    size_t at;
    uint64_t value;
    size_t n;
    enum kafka_error error;
} bad_headers[] = {
    {"base offset", 0, 7, 8, KAFKA_INVALID_RECORD},
    {"no records", 57, 0, 4, KAFKA_INVALID_RECORD},
    {"last offset below count", 23, 1, 4, KAFKA_INVALID_RECORD},
    {"control", 21, RECORD_BATCH_CONTROL, 2, KAFKA_INVALID_RECORD},
    {"delete horizon", 21, RECORD_BATCH_DELETE_HORIZON, 2, KAFKA_INVALID_RECORD},
    {"transactional without producer", 21, RECORD_BATCH_TRANSACTIONAL, 2, KAFKA_INVALID_RECORD},
    {"producer without sequence", 43, 5, 8, KAFKA_INVALID_RECORD},
    {"negative producer", 43, (uint64_t)-2, 8, KAFKA_INVALID_RECORD},
    {"log append time", 21, RECORD_BATCH_LOG_APPEND_TIME, 2, KAFKA_INVALID_TIMESTAMP},
    {"unknown codec", 21, 5, 2, KAFKA_UNSUPPORTED_COMPRESSION_TYPE},
    {"not gzip", 21, COMPRESSION_GZIP, 2, KAFKA_NONE}, /* not opened: a consumer's problem */
};

START_TEST(w8_headers_of_clients)
{
    const struct bad_header *bad = &bad_headers[_i];
    struct buf *buf = build_plain(5);
    set(buf, bad->at, bad->value, bad->n);
    struct record_batch_verdict v = validate(buf, &lenient);
    ck_assert_msg(v.error == bad->error, "%s: %s", bad->name, kafka_error_name((int16_t)v.error));
    ck_assert((v.message != NULL) == (v.error != KAFKA_NONE));
    buf_unref(buf);
}
END_TEST

START_TEST(w8_more_records_claimed_than_there_are)
{
    struct buf *buf = build_plain(5);
    set(buf, 57, 6, 4);
    set(buf, 23, 5, 4);
    struct record_batch_verdict v = validate(buf, &lenient);
    ck_assert_int_eq(v.error, KAFKA_INVALID_RECORD);
    ck_assert_int_eq(v.record_index, 5);
    set(buf, 57, 4, 4);
    set(buf, 23, 3, 4);
    ck_assert_int_eq(validate(buf, &lenient).error, KAFKA_INVALID_RECORD);
    buf_unref(buf);
}
END_TEST

START_TEST(w8_topic_rules)
{
    struct buf *buf = build_plain(5);
    struct record_batch_rules rules = lenient;
    rules.needs_keys = true;
    struct record_batch_verdict v = validate(buf, &rules);
    ck_assert_int_eq(v.error, KAFKA_INVALID_RECORD);
    ck_assert_int_eq(v.record_index, 2);
    rules = lenient;
    rules.timestamp_max = NOW + 2;
    v = validate(buf, &rules);
    ck_assert_int_eq(v.error, KAFKA_INVALID_TIMESTAMP);
    ck_assert_int_eq(v.record_index, 3);
    rules = lenient;
    rules.bytes_max = buf->size - 1;
    ck_assert_int_eq(validate(buf, &rules).error, KAFKA_MESSAGE_TOO_LARGE);
    ck_assert_int_eq(validate(buf, &lenient).max_timestamp, NOW + 4);
    buf_unref(buf);
}
END_TEST

/* Records 2 and 5 of six have no key, 4 and 5 come too late: the key is looked at first, as in Kafka. */
START_TEST(w8_every_record_at_fault_is_listed)
{
    struct buf *buf = build_plain(6);
    struct record_batch batch = parse(buf);
    struct record_batch_rules rules = lenient;
    struct record_fault faults[4];
    rules.needs_keys = true;
    ck_assert_int_eq(record_batch_list_faults(&batch, &rules, faults, 4), 2);
    ck_assert_int_eq(faults[0].index, 2);
    ck_assert_int_eq(faults[1].index, 5);
    rules.timestamp_max = NOW + 3;
    ck_assert_int_eq(record_batch_list_faults(&batch, &rules, faults, 4), 3);
    ck_assert_int_eq(faults[1].index, 4);
    ck_assert_int_eq(faults[1].error, KAFKA_INVALID_TIMESTAMP);
    ck_assert_int_eq(faults[2].index, 5);
    ck_assert_int_eq(faults[2].error, KAFKA_INVALID_RECORD);
    ck_assert_int_eq(record_batch_list_faults(&batch, &rules, faults, 1), 1);
    ck_assert_int_eq(record_batch_list_faults(&batch, &lenient, faults, 4), 0);
    buf_unref(buf);
}
END_TEST

START_TEST(w8_compressed_records_are_opened_on_demand_and_within_the_cap)
{
    struct record_batch_spec spec;
    record_batch_spec_init(&spec);
    spec.compression = COMPRESSION_ZSTD;
    struct buf *buf = build(&spec, 1000);
    struct record_batch_rules rules = lenient;
    rules.opens_compressed = true;
    ck_assert_int_eq(validate(buf, &rules).error, KAFKA_NONE);
    rules.decompressed_max = 1000;
    ck_assert_int_eq(validate(buf, &rules).error, KAFKA_INVALID_RECORD);
    rules = lenient;
    rules.needs_keys = true;
    ck_assert_int_eq(validate(buf, &rules).record_index, 2);
    buf_unref(buf);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("record_batch");
    tcase_add_loop_test(tcase, what_is_built_is_read_back_with_every_codec, 0, sizeof codecs / sizeof codecs[0]);
    tcase_add_test(tcase, stamping_leaves_the_crc_valid);
    tcase_add_test(tcase, sequences_wrap_to_zero);
    tcase_add_test(tcase, w8_a_flipped_bit_anywhere_is_noticed);
    tcase_add_test(tcase, w8_every_cut_is_noticed);
    tcase_add_test(tcase, w8_exactly_one_batch);
    tcase_add_loop_test(tcase, w8_headers_of_clients, 0, sizeof bad_headers / sizeof bad_headers[0]);
    tcase_add_test(tcase, w8_more_records_claimed_than_there_are);
    tcase_add_test(tcase, w8_topic_rules);
    tcase_add_test(tcase, w8_every_record_at_fault_is_listed);
    tcase_add_test(tcase, w8_compressed_records_are_opened_on_demand_and_within_the_cap);
    Suite *suite = suite_create("record_batch");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
