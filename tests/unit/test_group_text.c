/* What people write for `skiff consumer-groups` (broker/cli/group_text.h): what is read, and what is refused. */
#include "broker/cli/group_text.h"

#include <check.h>

START_TEST(times_are_read_as_kafka_reads_them)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00.000", 0},
        {"1970-01-01T00:00:00", 0},
        {"2000-02-29T23:59:59.999", 951868799999},
        {"2024-05-17T09:30:00.000Z", 1715938200000},
        {"2024-05-17T09:30:00.000+02:00", 1715931000000},
        {"2024-05-17T09:30:00.000-0330", 1715950800000},
        {"2024-05-17T09:30:00.000+02", 1715931000000},
        {"1969-12-31T23:59:59.999", -1},
        {"0000-01-01T00:00:00.000", -62167219200000},
        {"2024-1-2T3:4:5.006", 1704164645006},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = 0;
        ck_assert_msg(group_text_parse_time(slice_str(cases[i].text), &ms), "%s", cases[i].text);
        ck_assert_msg(ms == cases[i].ms, "%s: %lld", cases[i].text, (long long)ms);
    }
}
END_TEST

START_TEST(what_is_no_time_is_refused)
{
    static const char *const cases[] = {
        "",
        "2024-05-17",
        "2024-05-17 09:30:00.000",
        "2024-02-30T00:00:00.000",
        "2023-02-29T00:00:00.000",
        "2024-13-01T00:00:00.000",
        "2024-00-01T00:00:00.000",
        "2024-05-17T24:00:00.000",
        "2024-05-17T09:60:00.000",
        "2024-05-17T09:30:60.000",
        "2024-05-17T09:30:00.5", /* Kafka's tool takes this for five milliseconds */
        "2024-05-17T09:30:00.000+2",
        "2024-05-17T09:30:00.000+24:00",
        "2024-05-17T09:30:00.000+02:",
        "2024-05-17T09:30:00.000Zulu",
        "24-05-17T09:30:00.000",
        "-2024-05-17T09:30:00.000",
    };
    int64_t ms = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(!group_text_parse_time(slice_str(cases[i]), &ms), "%s", cases[i]);
}
END_TEST

START_TEST(durations_are_read_as_java_reads_them)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"PT1H", 3600000},    {"P7D", 604800000},   {"P1DT2H3M4.5S", 93784500}, {"pt0.001s", 1},
        {"PT-6H", -21600000}, {"-PT6H", -21600000}, {"-PT-6H", 21600000},       {"PT1.0000000S", 1000},
        {"PT-1.5S", -1500},   {"+P1D", 86400000},   {"PT1,25S", 1250},          {"PT0S", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = 1;
        ck_assert_msg(group_text_parse_duration(slice_str(cases[i].text), &ms), "%s", cases[i].text);
        ck_assert_msg(ms == cases[i].ms, "%s: %lld", cases[i].text, (long long)ms);
    }
}
END_TEST

START_TEST(what_is_no_duration_is_refused)
{
    static const char *const cases[] = {"",
                                        "P",
                                        "PT",
                                        "P1DT",
                                        "1H",
                                        "PT1",
                                        "P1H",
                                        "P1M",
                                        "PT1D",
                                        "PT1M2H",
                                        "PT1H ",
                                        "P1.5D",
                                        "PTS",
                                        "PT1.1234567890S",
                                        "P999999999999999999D",
                                        "PT9999999999999999999S"};
    int64_t ms = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(!group_text_parse_duration(slice_str(cases[i]), &ms), "%s", cases[i]);
}
END_TEST

static struct arena arena;
static void setup(void) { arena_init(&arena, 1 << 20); }
static void teardown(void) { arena_deinit(&arena); }

START_TEST(scopes)
{
    struct group_scope scope;
    ck_assert(group_text_parse_scope(SLICE_LITERAL("orders"), &arena, &scope));
    ck_assert(slice_equal_str(scope.topic, "orders") && scope.count == 0);
    ck_assert(group_text_parse_scope(SLICE_LITERAL("orders:3,0,12"), &arena, &scope));
    ck_assert(slice_equal_str(scope.topic, "orders") && scope.count == 3);
    ck_assert(scope.partitions[0] == 3 && scope.partitions[1] == 0 && scope.partitions[2] == 12);
    static const char *const refused[] = {"", ":0", "orders:", "orders:x", "orders:1,", "orders:-1", "orders:0:1", "orders:2147483648"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        ck_assert_msg(!group_text_parse_scope(slice_str(refused[i]), &arena, &scope), "%s", refused[i]);
}
END_TEST

START_TEST(plan_lines)
{
    struct group_plan_line line;
    ck_assert(group_text_parse_line(SLICE_LITERAL("orders,3,-1"), false, &arena, &line));
    ck_assert(slice_is_null(line.group) && slice_equal_str(line.topic, "orders") && line.partition == 3 && line.offset == -1);
    ck_assert(group_text_parse_line(SLICE_LITERAL("\"a \"\"b\"\", c\",orders, 3 ,12"), true, &arena, &line));
    ck_assert(slice_equal_str(line.group, "a \"b\", c") && slice_equal_str(line.topic, "orders") && line.offset == 12);
    /* Kafka's tool quotes whatever is longer than 24 characters. */
    ck_assert(group_text_parse_line(SLICE_LITERAL("\"a.topic.with.a.rather.long.name\",0,5"), false, &arena, &line));
    ck_assert(slice_equal_str(line.topic, "a.topic.with.a.rather.long.name"));
    static const char *const refused[] = {"",           "orders",      "orders,1",     "orders,1,2,3", ",1,2",        "orders,x,2",
                                          "orders,1,x", "orders,-1,2", "\"orders,1,2", "\"o\"x,1,2",   "orders,1,2,", "orders,1,"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        ck_assert_msg(!group_text_parse_line(slice_str(refused[i]), false, &arena, &line), "%s", refused[i]);
}
END_TEST

START_TEST(plan_lines_come_back)
{
    static const char *const names[] = {"plain", "with,comma", "with \"quotes\"", "with space", "", "h\xc3\xa4ufig"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct group_plan_line in = {.group = slice_str(names[i]), .topic = SLICE_LITERAL("t"), .partition = 7, .offset = INT64_MAX}, out;
        struct slice text = group_text_print_line(&in, &arena);
        ck_assert_msg(group_text_parse_line(text, true, &arena, &out), "%.*s", SLICE_ARG(text));
        ck_assert(slice_equal(in.group, out.group) && slice_equal(in.topic, out.topic));
        ck_assert(out.partition == 7 && out.offset == INT64_MAX);
    }
    struct group_plan_line single = {.topic = SLICE_LITERAL("t"), .partition = 1, .offset = 2};
    ck_assert(slice_equal_str(group_text_print_line(&single, &arena), "t,1,2"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_text");
    TCase *texts = tcase_create("texts");
    tcase_add_checked_fixture(texts, setup, teardown);
    tcase_add_test(texts, times_are_read_as_kafka_reads_them);
    tcase_add_test(texts, what_is_no_time_is_refused);
    tcase_add_test(texts, durations_are_read_as_java_reads_them);
    tcase_add_test(texts, what_is_no_duration_is_refused);
    tcase_add_test(texts, scopes);
    tcase_add_test(texts, plan_lines);
    tcase_add_test(texts, plan_lines_come_back);
    suite_add_tcase(suite, texts);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
