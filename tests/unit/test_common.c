/* common/: the small pieces everything stands on. */
#include "common/arena.h"
#include "common/crc32c.h"
#include "common/heap.h"
#include "common/list.h"
#include "common/log_limit.h"
#include "common/map.h"
#include "common/mem.h"
#include "common/prng.h"
#include "common/reader.h"
#include "common/str.h"
#include "common/uuid.h"
#include "common/writer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(crc32c_matches_the_check_value_and_the_portable_one)
{
    ck_assert_uint_eq(crc32c(SLICE_LITERAL("123456789")), 0xe3069283);
    struct prng prng;
    prng_init(&prng, 7);
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)prng_next(&prng);
    for (size_t n = 0; n < sizeof bytes; n++) {
        struct slice all = slice_make(bytes, n);
        ck_assert_uint_eq(crc32c(all), crc32c_extend_portable(0, all));
        size_t half = n / 3;
        uint32_t first = crc32c(slice_make(bytes, half));
        ck_assert_uint_eq(crc32c_extend(first, slice_make(bytes + half, n - half)), crc32c(all));
    }
}
END_TEST

START_TEST(crc32c_of_long_input_is_that_of_its_parts)
{
    struct prng prng;
    prng_init(&prng, 8);
    static uint8_t bytes[20000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)prng_next(&prng);
    for (int round = 0; round < 300; round++) {
        size_t at = prng_below(&prng, 64), n = prng_below(&prng, sizeof bytes - at), half = n ? prng_below(&prng, n) : 0;
        struct slice all = slice_make(bytes + at, n);
        ck_assert_uint_eq(crc32c(all), crc32c_extend_portable(0, all));
        uint32_t first = crc32c(slice_make(all.p, half));
        ck_assert_uint_eq(crc32c_extend(first, slice_make(all.p + half, n - half)), crc32c(all));
    }
}
END_TEST

START_TEST(map_agrees_with_a_list_model)
{
    struct map map;
    map_init(&map, 42);
    struct prng prng;
    prng_init(&prng, 1);
    int32_t keys[200];
    bool present[200] = {false};
    for (int i = 0; i < 200; i++) keys[i] = i;
    uint32_t live = 0;
    for (int step = 0; step < 20000; step++) {
        size_t k = prng_below(&prng, 200);
        ck_assert_int_eq(map_get(&map, MAP_KEY(&keys[k])) != NULL, present[k]);
        if (present[k]) {
            ck_assert_ptr_eq(map_remove(&map, MAP_KEY(&keys[k])), &keys[k]);
            live--;
        } else {
            map_put(&map, MAP_KEY(&keys[k]), &keys[k]);
            live++;
        }
        present[k] = !present[k];
        ck_assert_uint_eq(map_count(&map), live);
    }
    uint32_t seen = 0;
    MAP_FOR_EACH (&map, int32_t, key) {
        ck_assert(present[*key]);
        seen++;
    }
    ck_assert_uint_eq(seen, live);
    map_deinit(&map);
}
END_TEST

START_TEST(map_iterates_in_insertion_order)
{
    struct map map;
    map_init(&map, 3);
    int32_t keys[100];
    for (int i = 0; i < 100; i++) {
        keys[i] = 1000 - i;
        map_put(&map, MAP_KEY(&keys[i]), &keys[i]);
    }
    int next = 0;
    MAP_FOR_EACH (&map, int32_t, key) ck_assert_ptr_eq(key, &keys[next++]);
    ck_assert_int_eq(next, 100);
    map_deinit(&map);
}
END_TEST

START_TEST(heap_pops_in_order_and_removes_from_the_middle)
{
    struct heap heap;
    heap_init(&heap);
    struct heap_node nodes[500] = {0};
    struct prng prng;
    prng_init(&prng, 9);
    for (int i = 0; i < 500; i++) heap_insert(&heap, &nodes[i], (int64_t)prng_below(&prng, 100));
    for (int i = 0; i < 500; i += 3) heap_remove(&heap, &nodes[i]);
    int64_t last = -1;
    uint64_t last_order = 0;
    uint32_t popped = 0;
    for (struct heap_node *node; (node = heap_first(&heap)); popped++) {
        ck_assert(node->key > last || (node->key == last && node->order > last_order));
        last = node->key, last_order = node->order;
        heap_remove(&heap, node);
    }
    ck_assert_uint_eq(popped, 500 - 167);
    heap_deinit(&heap);
}
END_TEST

START_TEST(varints_round_trip_and_reject_overflow)
{
    const int64_t values[] = {0, 1, -1, 63, 64, -64, -65, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct writer w;
        writer_init(&w, 0);
        writer_varint64(&w, values[i]);
        struct reader r = reader_make(writer_slice(&w));
        ck_assert_int_eq(reader_varint64(&r), values[i]);
        ck_assert(reader_done(&r));
        writer_deinit(&w);
    }
    struct reader six = reader_make(SLICE_LITERAL("\xff\xff\xff\xff\xff\x01"));
    ck_assert_uint_eq(reader_uvarint32(&six), 0);
    ck_assert(!reader_ok(&six));
    struct reader wide = reader_make(SLICE_LITERAL("\xff\xff\xff\xff\x1f"));
    reader_uvarint32(&wide);
    ck_assert(!reader_ok(&wide));
    struct reader full = reader_make(SLICE_LITERAL("\xff\xff\xff\xff\x0f"));
    ck_assert_uint_eq(reader_uvarint32(&full), UINT32_MAX);
    ck_assert(reader_done(&full));
}
END_TEST

START_TEST(reader_failure_is_sticky)
{
    struct reader r = reader_make(SLICE_LITERAL("\x01\x02\x03"));
    ck_assert_int_eq(reader_i16(&r), 0x0102);
    ck_assert_int_eq(reader_i32(&r), 0);
    ck_assert(!reader_ok(&r));
    ck_assert_int_eq(reader_i8(&r), 0);
    ck_assert(!reader_done(&r));
}
END_TEST

START_TEST(arena_rewinds_to_a_mark)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct arena_mark empty = arena_mark(&arena);
    uint8_t *kept = arena_alloc(&arena, 100);
    memset(kept, 7, 100);
    size_t used = arena.used;
    struct arena_mark mark = arena_mark(&arena);
    for (int round = 0; round < 1000; round++) {
        uint8_t *small = arena_alloc(&arena, 64), *large = arena_alloc(&arena, 10000);
        for (size_t i = 0; i < 64; i++) ck_assert_msg(small[i] == 0, "memory handed out again is zero");
        memset(small, 1, 64);
        memset(large, 2, 10000);
        arena_rewind(&arena, mark);
        ck_assert_uint_eq(arena.used, used);
    }
    for (size_t i = 0; i < 100; i++) ck_assert_uint_eq(kept[i], 7);
    arena_rewind(&arena, empty);
    ck_assert(arena.used == 0 && arena.chunks == NULL);
    arena_deinit(&arena);
}
END_TEST

START_TEST(arena_keeps_to_its_cap)
{
    struct arena arena;
    arena_init(&arena, 4096);
    size_t got = 0;
    while (arena_try_alloc(&arena, 100)) got++;
    ck_assert_uint_eq(got, 4096 / 112);
    ck_assert_ptr_null(arena_try_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(arena_try_alloc(&arena, SIZE_MAX - 8));
    arena_deinit(&arena);
    ck_assert(slice_equal_str(arena_printf(&arena, "%s-%d", "topic", 7), "topic-7"));
    arena_deinit(&arena);
}
END_TEST

START_TEST(uuid_text_round_trips)
{
    struct prng prng;
    prng_init(&prng, 5);
    for (int i = 0; i < 1000; i++) {
        struct uuid uuid, again;
        if (!uuid_from_random(prng_next(&prng), prng_next(&prng), &uuid)) continue;
        char text[UUID_TEXT_SIZE];
        uuid_text(uuid, text);
        ck_assert(text[0] != '-');
        ck_assert(uuid_parse(slice_str(text), &again));
        ck_assert(uuid_equal(uuid, again));
    }
    struct uuid out;
    ck_assert(!uuid_parse(SLICE_LITERAL("AAAAAAAAAAAAAAAAAAAAA!"), &out));
    ck_assert(!uuid_parse(SLICE_LITERAL("AAAAAAAAAAAAAAAAAAAAAB"), &out));
    ck_assert(!uuid_parse(SLICE_LITERAL("short"), &out));
}
END_TEST

START_TEST(str_parses_and_splits)
{
    int64_t n = 0;
    ck_assert(str_parse_i64(SLICE_LITERAL("-9223372036854775808"), &n) && n == INT64_MIN);
    ck_assert(!str_parse_i64(SLICE_LITERAL("9223372036854775808"), &n));
    ck_assert(!str_parse_i64(SLICE_LITERAL("12x"), &n) && !str_parse_i64(SLICE_LITERAL("-"), &n) && !str_parse_i64(SLICE_LITERAL(""), &n));
    ck_assert(slice_equal_str(str_trim(SLICE_LITERAL("\xc2\xa0 a b\r\n")), "a b"));
    struct slice rest = SLICE_LITERAL("a,,b"), part;
    ck_assert(str_split(&rest, ',', &part) && slice_equal_str(part, "a"));
    ck_assert(str_split(&rest, ',', &part) && part.n == 0);
    ck_assert(str_split(&rest, ',', &part) && slice_equal_str(part, "b"));
    ck_assert(!str_split(&rest, ',', &part));
    struct slice host;
    uint16_t port = 0;
    ck_assert(str_parse_host_port(SLICE_LITERAL("[::1]:9092"), &host, &port) && slice_equal_str(host, "::1") && port == 9092);
    ck_assert(str_parse_host_port(SLICE_LITERAL(":1"), &host, &port) && host.n == 0);
    ck_assert(!str_parse_host_port(SLICE_LITERAL("a:65536"), &host, &port) && !str_parse_host_port(SLICE_LITERAL("a"), &host, &port));
    ck_assert_uint_eq(str_distance(SLICE_LITERAL("retention.ms"), SLICE_LITERAL("retenton.mss")), 2);
}
END_TEST

struct sink {
    int lines, told;
    unsigned long long left_out;
};
static void take_line(void *context, enum log_level level, const char *component, const char *text)
{
    struct sink *sink = context;
    ck_assert_int_eq(level, LOG_WARN);
    ck_assert_str_eq(component, "test");
    if (sscanf(text, "floods: %llu more", &sink->left_out) == 1)
        sink->told++;
    else
        sink->lines++;
}

START_TEST(log_lines_of_a_flood_are_counted_not_written)
{
    struct sink sink = {0};
    struct logger logger = {.level = LOG_INFO, .sink = take_line, .context = &sink};
    struct log_limit limit = {0};
    int64_t now_us = LOG_LIMIT_INTERVAL_US;
    const int per_interval = 5000, intervals = 6;
    for (int i = 0; i < per_interval * intervals; i++, now_us += LOG_LIMIT_INTERVAL_US / per_interval)
        log_line_limited(&logger, &limit, now_us, "floods", "test", "line %d", i);
    ck_assert_int_eq(sink.lines, LOG_LIMIT_LINES);
    ck_assert_int_eq(sink.told, intervals - 1);
    ck_assert_uint_eq(sink.left_out, (unsigned)per_interval);
    log_limit_tell(&logger, &limit, now_us - 1, "floods", "test", false); /* not yet */
    ck_assert_int_eq(sink.told, intervals - 1);
    log_limit_tell(&logger, &limit, now_us, "floods", "test", true);
    log_limit_tell(&logger, &limit, now_us, "floods", "test", true); /* once */
    ck_assert_int_eq(sink.told, intervals);
    /* After a quiet while it has its lines back. */
    now_us += 2 * (int64_t)LOG_LIMIT_INTERVAL_US;
    for (int i = 0; i < LOG_LIMIT_LINES; i++) log_line_limited(&logger, &limit, now_us, "floods", "test", "again");
    ck_assert_int_eq(sink.lines, 2 * LOG_LIMIT_LINES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("common");
    TCase *tcase = tcase_create("core");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, crc32c_matches_the_check_value_and_the_portable_one);
    tcase_add_test(tcase, crc32c_of_long_input_is_that_of_its_parts);
    tcase_add_test(tcase, map_agrees_with_a_list_model);
    tcase_add_test(tcase, map_iterates_in_insertion_order);
    tcase_add_test(tcase, heap_pops_in_order_and_removes_from_the_middle);
    tcase_add_test(tcase, varints_round_trip_and_reject_overflow);
    tcase_add_test(tcase, reader_failure_is_sticky);
    tcase_add_test(tcase, arena_rewinds_to_a_mark);
    tcase_add_test(tcase, arena_keeps_to_its_cap);
    tcase_add_test(tcase, uuid_text_round_trips);
    tcase_add_test(tcase, str_parses_and_splits);
    tcase_add_test(tcase, log_lines_of_a_flood_are_counted_not_written);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
