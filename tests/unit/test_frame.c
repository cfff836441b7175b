/* Frames and headers. */
#include "common/limits.h"
#include "proto/api.h"
#include "proto/frame.h"

#include <check.h>

/* The frame behind its size, which is checked. */
static struct slice frame_of(const struct writer *w)
{
    struct reader r = reader_make(writer_slice(w));
    ck_assert_int_eq(reader_i32(&r), (int32_t)writer_size(w) - 4);
    return slice_make(r.p, r.left);
}

START_TEST(w1_sizes)
{
    ck_assert(frame_check_size(-1, 100) == ERR_CORRUPT);
    ck_assert(frame_check_size(0, 100) == ERR_CORRUPT);
    ck_assert(frame_check_size(FRAME_BYTES_MIN - 1, 100) == ERR_CORRUPT);
    ck_assert(frame_check_size(FRAME_BYTES_MIN, 100) == ERR_OK);
    ck_assert(frame_check_size(100, 100) == ERR_OK);
    ck_assert(frame_check_size(101, 100) == ERR_LIMIT);
    ck_assert(frame_check_size(INT32_MAX, 100) == ERR_LIMIT);
}
END_TEST

START_TEST(other_protocols_are_named)
{
    ck_assert_str_eq(frame_foreign_protocol((const uint8_t *)"GET / HTTP/1.1"), "an HTTP request");
    ck_assert_str_eq(frame_foreign_protocol((const uint8_t *)"\x16\x03\x01\x02\x00"), "a TLS handshake");
    ck_assert_ptr_null(frame_foreign_protocol((const uint8_t *)"\0\0\0\x20"));
}
END_TEST

START_TEST(header_versions)
{
    ck_assert_int_eq(api_request_header_version(API_METADATA, 8), 1);
    ck_assert_int_eq(api_request_header_version(API_METADATA, 9), 2);
    ck_assert_int_eq(api_response_header_version(API_METADATA, 8), 0);
    ck_assert_int_eq(api_response_header_version(API_METADATA, 9), 1);
    ck_assert_int_eq(api_request_header_version(API_API_VERSIONS, 99), 2);
    for (int16_t v = 0; v < 9; v++) ck_assert_int_eq(api_response_header_version(API_API_VERSIONS, v), 0);
    ck_assert_int_eq(api_request_header_version(API_SASL_HANDSHAKE, 1), 1);
    ck_assert_int_eq(api_response_header_version(API_OFFSET_DELETE, 0), 0);
    ck_assert_int_eq(api_request_header_version(API_PRIVATE_FIRST, 5), 1);
    ck_assert_int_eq(api_response_header_version(API_PRIVATE_FIRST, 5), 0);
}
END_TEST

/* Client ids are int16 strings even in header 2, so that any request's header can be read. */
START_TEST(client_ids_are_never_compact)
{
    struct frame_request r;
    struct slice v4 = SLICE_LITERAL("\0\x12\0\4\0\0\0\7\0\2me\0"
                                    "\4lib\0041.0\0");
    ck_assert(frame_parse_request(v4, &r) == ERR_OK);
    ck_assert_int_eq(r.api_key, API_API_VERSIONS);
    ck_assert_int_eq(r.api_version, 4);
    ck_assert_int_eq(r.correlation_id, 7);
    ck_assert(slice_equal_str(r.client_id, "me"));
    ck_assert_uint_eq(r.body.n, 9);
    ck_assert(frame_parse_request(SLICE_LITERAL("\0\x12\0\x63\0\0\0\7\xff\xff\0"), &r) == ERR_OK);
    ck_assert(slice_is_null(r.client_id));
    ck_assert_int_eq(r.api_version, 99);
}
END_TEST

START_TEST(malformed_headers)
{
    struct frame_request r;
    struct slice good = SLICE_LITERAL("\0\x12\0\4\0\0\0\7\0\2me\0");
    for (size_t n = 0; n < good.n; n++) ck_assert(frame_parse_request(slice_make(good.p, n), &r) == ERR_CORRUPT);
    ck_assert(frame_parse_request(SLICE_LITERAL("\0\3\0\1\0\0\0\7\xff\xfe"), &r) == ERR_CORRUPT);
    ck_assert(frame_parse_request(SLICE_LITERAL("\0\3\xff\xff\0\0\0\7\0\0"), &r) == ERR_CORRUPT);
}
END_TEST

START_TEST(unknown_apis_are_read_as_far_as_their_header)
{
    struct frame_request r;
    ck_assert(frame_parse_request(SLICE_LITERAL("\x7f\xff\0\0\0\0\0\7\0\0body"), &r) == ERR_OK);
    ck_assert(!api_is_known(r.api_key));
    ck_assert_str_eq(api_name(r.api_key), "unknown");
    ck_assert(slice_equal_str(r.body, "body"));
}
END_TEST

START_TEST(requests_and_responses_round_trip)
{
    for (int16_t key = 0; key < API_KEY_COUNT; key++) {
        for (int16_t v = api_version_min(key); v <= api_version_max(key); v++) {
            struct writer w;
            struct arena arena;
            struct prng prng;
            struct frame_request r;
            writer_init(&w, 0);
            arena_init(&arena, 64 << 20);
            prng_init(&prng, (uint64_t)key);
            void *request = arena_alloc(&arena, codec_struct_size(api_request(key))),
                 *response = arena_alloc(&arena, codec_struct_size(api_response(key)));
            codec_randomize(api_request(key), v, &prng, &arena, request);
            codec_randomize(api_response(key), v, &prng, &arena, response);
            ck_assert(frame_encode_request(key, v, 77, SLICE_LITERAL("test"), request, &w) == ERR_OK);
            ck_assert(frame_parse_request(frame_of(&w), &r) == ERR_OK);
            ck_assert(r.api_key == key && r.api_version == v && r.correlation_id == 77);
            ck_assert(codec_decode_exact(api_request(key), v, r.body, &arena, request) == ERR_OK);
            w.buf->size = 0;
            int32_t correlation_id = 0;
            ck_assert(frame_encode_response(key, v, 78, response, &w, NULL, NULL) == ERR_OK);
            ck_assert(frame_parse_response(frame_of(&w), key, v, &correlation_id, &r.body) == ERR_OK);
            ck_assert_int_eq(correlation_id, 78);
            ck_assert(codec_decode_exact(api_response(key), v, r.body, &arena, response) == ERR_OK);
            arena_deinit(&arena);
            writer_deinit(&w);
        }
    }
}
END_TEST

START_TEST(a_response_that_does_not_encode_leaves_no_trace)
{
    struct writer w;
    struct metadata_response response;
    writer_init(&w, 0);
    CODEC_INIT(metadata_response, &response);
    struct metadata_response_topics topic = {.name = SLICE_NULL}; /* v9 has no null here */
    response.topics = &topic;
    response.topics_count = 1;
    writer_bytes(&w, SLICE_LITERAL("earlier"));
    ck_assert(frame_encode_response(API_METADATA, 9, 1, &response, &w, NULL, NULL) == ERR_INVALID);
    ck_assert(slice_equal_str(writer_slice(&w), "earlier"));
    writer_deinit(&w);
}
END_TEST

static void on_records(void *context, size_t position, struct slice records)
{
    *(size_t *)context = position;
    ck_assert_uint_eq(records.n, 1000);
}

START_TEST(the_size_counts_records_outside)
{
    static char token;
    struct writer w;
    struct fetch_response_partitions partition;
    struct fetch_response_responses topic = {.topic = SLICE_LITERAL("t"), .partitions = &partition, .partitions_count = 1};
    struct fetch_response response;
    CODEC_INIT(fetch_response_partitions, &partition);
    partition.records = slice_make(&token, 1000);
    size_t position = 0;
    writer_init(&w, 0);
    CODEC_INIT(fetch_response, &response);
    response.responses = &topic;
    response.responses_count = 1;
    ck_assert(frame_encode_response(API_FETCH, 4, 1, &response, &w, on_records, &position) == ERR_OK);
    struct reader r = reader_make(writer_slice(&w));
    ck_assert_int_eq(reader_i32(&r), (int32_t)r.left + 1000);
    ck_assert_uint_eq(position, writer_size(&w));
    writer_deinit(&w);
}
END_TEST

START_TEST(the_table_of_apis)
{
    char row[100];
    api_print_row(API_PRODUCE, row, sizeof row);
    ck_assert_str_eq(row, "| 0 | Produce | 3-13 | 9+ |");
    api_print_row(API_INIT_PRODUCER_ID, row, sizeof row);
    ck_assert_str_eq(row, "| 22 | InitProducerId | 0-6 (latest unstable) | 2+ |");
    ck_assert_int_eq(api_version_max_stable(API_INIT_PRODUCER_ID), 5);
    api_print_row(API_LEADER_AND_ISR, row, sizeof row);
    ck_assert_str_eq(row, "| 4 | LeaderAndIsr | none | none |");
    ck_assert(!api_is_known(API_LEADER_AND_ISR));
    ck_assert_uint_eq(api_print_row(API_KEY_COUNT, row, sizeof row), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("frame");
    tcase_add_test(tcase, w1_sizes);
    tcase_add_test(tcase, other_protocols_are_named);
    tcase_add_test(tcase, header_versions);
    tcase_add_test(tcase, client_ids_are_never_compact);
    tcase_add_test(tcase, malformed_headers);
    tcase_add_test(tcase, unknown_apis_are_read_as_far_as_their_header);
    tcase_add_test(tcase, requests_and_responses_round_trip);
    tcase_add_test(tcase, a_response_that_does_not_encode_leaves_no_trace);
    tcase_add_test(tcase, the_size_counts_records_outside);
    tcase_add_test(tcase, the_table_of_apis);
    Suite *suite = suite_create("frame");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
