/* The codec: every message at every version against itself, and against hostile bytes. */
#include "common/limits.h"
#include "common/mem.h"
#include "proto/codec.h"
#include "proto/codec_fields.h"
#include "proto/schema.h"

#include <check.h>

#define ARENA_CAP (64u << 20)

struct fixture {
    struct arena arena;
    struct writer writer;
};

static void begin(struct fixture *f)
{
    arena_init(&f->arena, ARENA_CAP);
    writer_init(&f->writer, 0);
}

static void end(struct fixture *f)
{
    arena_deinit(&f->arena);
    writer_deinit(&f->writer);
}

static bool has_versions(enum kmsg kmsg) { return schema_messages[kmsg].version_max >= schema_messages[kmsg].version_min; }

/* Random value -> bytes -> value -> the same bytes, and the size is as announced. */
static void check_round_trip(enum kmsg kmsg, int16_t version, struct prng *prng)
{
    struct fixture f;
    begin(&f);
    void *message = arena_alloc(&f.arena, codec_struct_size(kmsg)), *again = arena_alloc(&f.arena, codec_struct_size(kmsg));
    codec_randomize(kmsg, version, prng, &f.arena, message);
    ck_assert_msg(codec_encode(kmsg, version, message, &f.writer) == ERR_OK, "%s v%d does not encode", codec_name(kmsg), version);
    size_t size = 0;
    ck_assert(codec_size(kmsg, version, message, &size) == ERR_OK);
    ck_assert_uint_eq(size, writer_size(&f.writer));
    struct slice bytes = writer_slice(&f.writer);
    ck_assert_msg(codec_decode_exact(kmsg, version, bytes, &f.arena, again) == ERR_OK, "%s v%d does not decode", codec_name(kmsg), version);
    struct writer second;
    writer_init(&second, 0);
    ck_assert(codec_encode(kmsg, version, again, &second) == ERR_OK);
    ck_assert_msg(slice_equal(bytes, writer_slice(&second)), "%s v%d differs", codec_name(kmsg), version);
    writer_deinit(&second);
    end(&f);
}

START_TEST(every_message_and_version_round_trips)
{
    struct prng prng;
    prng_init(&prng, 1);
    for (int kmsg = 0; kmsg < KMSG_COUNT; kmsg++) {
        if (!has_versions((enum kmsg)kmsg)) continue;
        for (int16_t v = schema_messages[kmsg].version_min; v <= schema_messages[kmsg].version_max; v++) {
            for (int i = 0; i < 20; i++) check_round_trip((enum kmsg)kmsg, v, &prng);
        }
    }
}
END_TEST

/* ---- hostile input: W-2 to W-7 of the reliability rules ---------------------------------------------------------- */

static enum err decode(enum kmsg kmsg, int16_t version, struct slice bytes)
{
    struct arena arena;
    arena_init(&arena, codec_decode_budget(bytes.n));
    void *message = mem_alloc(codec_struct_size(kmsg));
    enum err err = codec_decode_exact(kmsg, version, bytes, &arena, message);
    ck_assert_uint_le(arena.used, codec_decode_budget(bytes.n));
    mem_free(message);
    arena_deinit(&arena);
    return err;
}

START_TEST(w2_array_counts_are_held_against_the_bytes_left)
{
    /* Metadata v0: an array of strings that is never null. */
    ck_assert(decode(KMSG_METADATA_REQUEST, 0, SLICE_LITERAL("\0\0\0\1\0\1a")) == ERR_OK);
    ck_assert(decode(KMSG_METADATA_REQUEST, 0, SLICE_LITERAL("\0\0\0\2\0\1a")) == ERR_CORRUPT);
    ck_assert(decode(KMSG_METADATA_REQUEST, 0, SLICE_LITERAL("\x7f\xff\xff\xff\0\1a")) == ERR_CORRUPT);
    ck_assert(decode(KMSG_METADATA_REQUEST, 0, SLICE_LITERAL("\xff\xff\xff\xff")) == ERR_CORRUPT);
    ck_assert(decode(KMSG_METADATA_REQUEST, 1, SLICE_LITERAL("\xff\xff\xff\xff")) == ERR_OK);
    ck_assert(decode(KMSG_METADATA_REQUEST, 1, SLICE_LITERAL("\xff\xff\xff\xfe")) == ERR_CORRUPT);
    ck_assert(decode(KMSG_METADATA_REQUEST, 9, SLICE_LITERAL("\xff\xff\xff\xff\x0f\0\0\0\0")) == ERR_CORRUPT);
}
END_TEST

START_TEST(w2_no_array_is_longer_than_kafka_reads)
{
    struct writer w;
    writer_init(&w, 0);
    writer_i32(&w, ARRAY_COUNT_MAX + 1);
    memset(writer_reserve(&w, 2 * (ARRAY_COUNT_MAX + 1)), 0, 2 * (ARRAY_COUNT_MAX + 1));
    ck_assert(decode(KMSG_METADATA_REQUEST, 0, writer_slice(&w)) == ERR_CORRUPT);
    writer_patch_i32(&w, 0, ARRAY_COUNT_MAX);
    w.buf->size -= 2;
    ck_assert(decode(KMSG_METADATA_REQUEST, 0, writer_slice(&w)) == ERR_OK);
    writer_deinit(&w);
}
END_TEST

/* FetchRequest v12 without topics, followed by `tags`. */
static enum err decode_tags(struct slice tags)
{
    struct writer w;
    writer_init(&w, 0);
    writer_bytes(&w, SLICE_LITERAL("\0\0\0\0"
                                   "\0\0\0\0"
                                   "\0\0\0\0"
                                   "\0\0\0\0"
                                   "\0"
                                   "\0\0\0\0"
                                   "\0\0\0\0"
                                   "\1"
                                   "\1"
                                   "\1"));
    writer_bytes(&w, tags);
    enum err err = decode(KMSG_FETCH_REQUEST, 12, writer_slice(&w));
    writer_deinit(&w);
    return err;
}

START_TEST(w3_tagged_fields)
{
    ck_assert(decode_tags(SLICE_LITERAL("\0")) == ERR_OK);
    ck_assert(decode_tags(SLICE_LITERAL("\1\0\2\2a")) == ERR_OK);   /* cluster_id "a" */
    ck_assert(decode_tags(SLICE_LITERAL("\1\x7f\3abc")) == ERR_OK); /* unknown: skipped */
    ck_assert(decode_tags(SLICE_LITERAL("\2\0\2\2a\x7f\0")) == ERR_OK);
    ck_assert(decode_tags(SLICE_LITERAL("\2\x7f\0\0\2\2a")) == ERR_CORRUPT); /* decreasing */
    ck_assert(decode_tags(SLICE_LITERAL("\2\x7f\0\x7f\0")) == ERR_CORRUPT);  /* twice */
    ck_assert(decode_tags(SLICE_LITERAL("\1\0\3\2ab")) == ERR_CORRUPT);      /* the value does not fill its size */
    ck_assert(decode_tags(SLICE_LITERAL("\1\0\1\2a")) == ERR_CORRUPT);       /* nor may it be longer */
    ck_assert(decode_tags(SLICE_LITERAL("\1\x7f\x0f"
                                        "abc")) == ERR_CORRUPT); /* beyond the end */
    ck_assert(decode_tags(SLICE_LITERAL("\xff\xff\xff\xff\x0f")) == ERR_CORRUPT);
}
END_TEST

START_TEST(w4_varints_that_overflow)
{
    ck_assert(decode_tags(SLICE_LITERAL("\x80\x80\x80\x80\x10")) == ERR_CORRUPT);
    ck_assert(decode_tags(SLICE_LITERAL("\x80\x80\x80\x80\x80\x00")) == ERR_CORRUPT);
    ck_assert(decode_tags(SLICE_LITERAL("\1\x7f\xff\xff\xff\xff\x0f")) == ERR_CORRUPT);
}
END_TEST

START_TEST(w6_trailing_bytes)
{
    struct arena arena;
    struct metadata_request request;
    struct reader r = reader_make(SLICE_LITERAL("\xff\xff\xff\xff"
                                                "next"));
    arena_init(&arena, 0);
    ck_assert(codec_decode(KMSG_METADATA_REQUEST, 1, &r, &arena, &request) == ERR_OK);
    ck_assert_uint_eq(r.left, 4);
    ck_assert(decode(KMSG_METADATA_REQUEST, 1,
                     SLICE_LITERAL("\xff\xff\xff\xff"
                                   "next")) == ERR_CORRUPT);
    ck_assert(codec_decode_request(KMSG_METADATA_REQUEST, 1,
                                   SLICE_LITERAL("\xff\xff\xff\xff"
                                                 "next"),
                                   &arena, &request) == ERR_OK);
    arena_deinit(&arena);
}
END_TEST

/* What an element takes in memory, over its smallest encoding. */
static size_t ratio_of(const struct schema_op *op)
{
    static const size_t sizes[] = {1, 1, 2, 2, 4, 8, 8, 16};
    size_t wire = op->flags & SCHEMA_COMPACT ? 1 : 2;
    if (op->type == SCHEMA_STRUCT)
        wire = schema_layouts[op->layout].size_min;
    else if (op->type < sizeof sizes / sizeof sizes[0])
        wire = sizes[op->type];
    return op_element_size(op) / wire;
}

static void check_ratios(uint16_t index, enum kmsg kmsg)
{
    const struct schema_layout *layout = &schema_layouts[index];
    for (unsigned i = 0; i < layout->present + layout->tagged; i++) {
        const struct schema_op *op = &schema_ops[layout->op_first + i];
        /* Two reach 21 with nothing but empty strings, and are refused when somebody sends 64 KiB of them. */
        size_t max = kmsg == KMSG_LIST_GROUPS_RESPONSE || kmsg == KMSG_OFFSET_FETCH_REQUEST ? 21 : DECODE_BUDGET_FACTOR;
        if (op->flags & SCHEMA_ARRAY) ck_assert_msg(ratio_of(op) <= max, "%s: %zu", codec_name(kmsg), ratio_of(op));
        if (op->type == SCHEMA_STRUCT) check_ratios(op->layout, kmsg);
    }
}

START_TEST(w7_honest_messages_fit_the_budget_by_construction)
{
    for (int i = 0; i < KMSG_COUNT; i++) {
        const struct schema_message *m = &schema_messages[i];
        for (int16_t v = m->version_min; v <= m->version_max; v++) check_ratios(message_layout((enum kmsg)i, v), (enum kmsg)i);
    }
}
END_TEST

START_TEST(w7_a_message_over_its_budget_is_refused)
{
    struct writer w;
    struct arena arena;
    struct metadata_request request;
    writer_init(&w, 0);
    writer_i32(&w, 1000);
    memset(writer_reserve(&w, 2000), 0, 2000);
    arena_init(&arena, 1000);
    ck_assert(codec_decode_exact(KMSG_METADATA_REQUEST, 0, writer_slice(&w), &arena, &request) == ERR_LIMIT);
    arena_deinit(&arena);
    writer_deinit(&w);
}
END_TEST

/* Every prefix of a valid message is refused; every changed byte is at worst another message. */
static void check_damage(enum kmsg kmsg, int16_t version, struct prng *prng)
{
    struct fixture f;
    begin(&f);
    void *message = arena_alloc(&f.arena, codec_struct_size(kmsg));
    codec_randomize(kmsg, version, prng, &f.arena, message);
    ck_assert(codec_encode(kmsg, version, message, &f.writer) == ERR_OK);
    struct slice bytes = writer_slice(&f.writer);
    for (size_t n = 0; n < bytes.n && n < 400; n++) {
        ck_assert_msg(decode(kmsg, version, slice_make(bytes.p, n)) != ERR_OK, "%s v%d, %zu of %zu bytes", codec_name(kmsg), version, n,
                      bytes.n);
        struct buf *bad = buf_copy(bytes);
        bad->data[n] = (uint8_t)prng_next(prng);
        (void)!decode(kmsg, version, buf_slice(bad));
        buf_unref(bad);
    }
    end(&f);
}

START_TEST(damaged_messages_are_harmless)
{
    struct prng prng;
    prng_init(&prng, 2);
    for (int kmsg = 0; kmsg < KMSG_COUNT; kmsg++) {
        if (has_versions((enum kmsg)kmsg)) check_damage((enum kmsg)kmsg, schema_messages[kmsg].version_max, &prng);
    }
}
END_TEST

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

START_TEST(defaults_are_the_schemas)
{
    struct fetch_request request;
    CODEC_INIT(fetch_request, &request);
    ck_assert(slice_is_null(request.cluster_id));
    ck_assert_int_eq(request.replica_state.replica_id, -1);
    ck_assert_int_eq(request.max_bytes, INT32_MAX);
    ck_assert_int_eq(request.session_epoch, -1);
    ck_assert(!slice_is_null(request.rack_id) && request.rack_id.n == 0);
    struct streams_group_heartbeat_response response;
    codec_set_defaults(KMSG_STREAMS_GROUP_HEARTBEAT_RESPONSE, &response);
    ck_assert_int_eq(response.active_tasks_count, -1);
    struct arena arena;
    arena_init(&arena, 4096);
    struct fetch_response_partitions *partitions = CODEC_NEW(&arena, fetch_response_partitions, 2);
    ck_assert_int_eq(partitions[1].preferred_read_replica, -1);
    ck_assert_int_eq(partitions[1].diverging_epoch.end_offset, -1);
    arena_deinit(&arena);
}
END_TEST

START_TEST(fields_that_a_version_lacks_get_their_defaults)
{
    struct arena arena;
    struct fetch_request request;
    struct slice v4 = SLICE_LITERAL("\xff\xff\xff\xff"
                                    "\0\0\1\0"
                                    "\0\0\0\1"
                                    "\0\0\1\0"
                                    "\1"
                                    "\0\0\0\0");
    arena_init(&arena, 0);
    ck_assert(codec_decode_exact(KMSG_FETCH_REQUEST, 4, v4, &arena, &request) == ERR_OK);
    ck_assert_int_eq(request.isolation_level, 1);
    ck_assert_int_eq(request.session_epoch, -1);
    ck_assert_int_eq(request.replica_state.replica_epoch, -1);
    ck_assert(!slice_is_null(request.rack_id));
    arena_deinit(&arena);
}
END_TEST

START_TEST(a_value_that_the_version_cannot_carry)
{
    struct fixture f;
    struct fetch_request request;
    begin(&f);
    writer_bytes(&f.writer, SLICE_LITERAL("before"));
    CODEC_INIT(fetch_request, &request);
    request.rack_id = SLICE_LITERAL("dropped: ignorable");
    ck_assert(codec_encode(KMSG_FETCH_REQUEST, 4, &request, &f.writer) == ERR_OK);
    struct fetch_request_forgotten_topics_data forgotten = {.topic = SLICE_LITERAL("t")};
    request.forgotten_topics_data = &forgotten;
    request.forgotten_topics_data_count = 1;
    ck_assert(codec_encode(KMSG_FETCH_REQUEST, 4, &request, &f.writer) == ERR_INVALID);
    ck_assert(codec_encode(KMSG_FETCH_REQUEST, 7, &request, &f.writer) == ERR_OK);
    forgotten.topic = SLICE_NULL;
    size_t size = writer_size(&f.writer);
    ck_assert(codec_encode(KMSG_FETCH_REQUEST, 7, &request, &f.writer) == ERR_INVALID);
    static char text[40000];
    forgotten.topic = slice_make(text, sizeof text);
    ck_assert(codec_encode(KMSG_FETCH_REQUEST, 7, &request, &f.writer) == ERR_LIMIT);
    ck_assert_uint_eq(writer_size(&f.writer), size);
    end(&f);
}
END_TEST

/* Where the hook put the records. */
struct piece_log {
    int count;
    size_t positions[4];
    struct slice records[4];
};

static void on_records(void *context, size_t position, struct slice records)
{
    struct piece_log *log = context;
    log->positions[log->count] = position;
    log->records[log->count++] = records;
}

START_TEST(records_may_be_left_out_of_the_output)
{
    struct fixture f;
    struct piece_log log = {0};
    struct writer whole, joined;
    struct fetch_response_partitions *partitions = NULL;
    struct fetch_response_responses topic = {.topic = SLICE_LITERAL("t"), .partitions_count = 3};
    struct fetch_response response;
    begin(&f);
    partitions = topic.partitions = CODEC_NEW(&f.arena, fetch_response_partitions, 3);
    writer_init(&whole, 0);
    writer_init(&joined, 0);
    codec_set_defaults(KMSG_FETCH_RESPONSE, &response);
    partitions[0].records = SLICE_LITERAL("first");
    partitions[1].records = SLICE_LITERAL("");
    partitions[2].records = SLICE_LITERAL("and the last");
    response.responses = &topic;
    response.responses_count = 1;
    size_t bytes = 0, at = 0;
    ck_assert(codec_encode(KMSG_FETCH_RESPONSE, 12, &response, &whole) == ERR_OK);
    ck_assert(codec_encode_pieces(KMSG_FETCH_RESPONSE, 12, &response, &f.writer, on_records, &log, &bytes) == ERR_OK);
    ck_assert_int_eq(log.count, 2);
    ck_assert_uint_eq(bytes, 17);
    for (int i = 0; i < log.count; at = log.positions[i++]) {
        writer_bytes(&joined, slice_make(writer_slice(&f.writer).p + at, log.positions[i] - at));
        writer_bytes(&joined, log.records[i]);
    }
    writer_bytes(&joined, slice_make(writer_slice(&f.writer).p + at, writer_size(&f.writer) - at));
    ck_assert(slice_equal(writer_slice(&joined), writer_slice(&whole)));
    writer_deinit(&whole);
    writer_deinit(&joined);
    end(&f);
}
END_TEST

/* ---- text -------------------------------------------------------------------------------------------------------- */

START_TEST(printing_is_bounded_and_keeps_secrets)
{
    char text[512], small[10];
    struct incremental_alter_configs_request_configs config = {.name = SLICE_LITERAL("sasl\n\"x\""), .value = SLICE_LITERAL("hunter2")};
    struct incremental_alter_configs_request_resources resource = {
        .resource_type = 2, .resource_name = SLICE_LITERAL("t"), .configs = &config, .configs_count = 1};
    struct incremental_alter_configs_request request = {.resources = &resource, .resources_count = 1};
    size_t n = codec_print(KMSG_INCREMENTAL_ALTER_CONFIGS_REQUEST, 1, &request, text, sizeof text);
    ck_assert_uint_eq(n, strlen(text));
    ck_assert_str_eq(text, "{resources: [{resource_type: 2, resource_name: \"t\", configs: [{name: \"sasl\\x0a\\\"x\\\"\", "
                           "config_operation: 0, value: <hidden>}]}], validate_only: false}");
    ck_assert_uint_eq(codec_print(KMSG_INCREMENTAL_ALTER_CONFIGS_REQUEST, 1, &request, small, sizeof small), 9);
    ck_assert_str_eq(small, "{resource");
}
END_TEST

static Suite *codec_suite(void)
{
    Suite *suite = suite_create("codec");
    TCase *tcase = tcase_create("codec");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_message_and_version_round_trips);
    tcase_add_test(tcase, w2_array_counts_are_held_against_the_bytes_left);
    tcase_add_test(tcase, w2_no_array_is_longer_than_kafka_reads);
    tcase_add_test(tcase, w3_tagged_fields);
    tcase_add_test(tcase, w4_varints_that_overflow);
    tcase_add_test(tcase, w6_trailing_bytes);
    tcase_add_test(tcase, w7_honest_messages_fit_the_budget_by_construction);
    tcase_add_test(tcase, w7_a_message_over_its_budget_is_refused);
    tcase_add_test(tcase, damaged_messages_are_harmless);
    tcase_add_test(tcase, defaults_are_the_schemas);
    tcase_add_test(tcase, fields_that_a_version_lacks_get_their_defaults);
    tcase_add_test(tcase, a_value_that_the_version_cannot_carry);
    tcase_add_test(tcase, records_may_be_left_out_of_the_output);
    tcase_add_test(tcase, printing_is_bounded_and_keeps_secrets);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(codec_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
