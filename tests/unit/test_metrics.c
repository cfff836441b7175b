/* /metrics as text: what a strict reader takes, names for both dashboards, labels that need an escape, bounds. */
#include "common/metrics.h"
#include "tests/integration/exposition.h"

#include <check.h>

static char *text_of(const struct metrics *const *pages, size_t count)
{
    struct writer out;
    writer_init(&out, 1024);
    metrics_write(pages, count, &out);
    struct slice bytes = writer_slice(&out);
    char *text = malloc(bytes.n + 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, bytes.p, bytes.n);
    text[bytes.n] = '\0';
    writer_deinit(&out);
    return text;
}

static struct exposition *read_text(const char *text)
{
    struct exposition *e = exposition_read(text);
    ck_assert_msg(!*e->error, "%s", e->error);
    return e;
}

static size_t count_names(const char *list)
{
    size_t count = *list ? 1 : 0;
    for (; *list; list++) count += *list == ',';
    return count;
}

START_TEST(every_row_can_be_shown)
{
    struct metrics metrics;
    const struct metrics *page = &metrics;
    const struct histogram none = {0};
    struct slice labels[] = {SLICE_LITERAL("a"), SLICE_LITERAL("b"), SLICE_LITERAL("c")};
    metrics_init(&metrics, 10);
    for (int id = 0; id < METRIC_COUNT; id++)
        if (metric_table[id].type == METRIC_TYPE_HISTOGRAM)
            metrics_put_histogram(&metrics, (enum metric_id)id, labels, &none);
        else
            metrics_put_labelled(&metrics, (enum metric_id)id, labels, id);
    char *text = text_of(&page, 1);
    struct exposition *e = read_text(text);
    ck_assert_uint_ge(e->sample_count, METRIC_COUNT);
    free(e);
    free(text);
    metrics_deinit(&metrics);
}
END_TEST

START_TEST(the_table_is_consistent)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric *metric = &metric_table[i];
        size_t size = strlen(metric->name);
        bool is_total = size > 6 && strcmp(metric->name + size - 6, "_total") == 0;
        ck_assert_msg(is_total == (metric->type == METRIC_TYPE_COUNTER), "%s", metric->name);
        ck_assert_uint_le(count_names(metric->labels), METRIC_LABELS_MAX);
        ck_assert_msg(!*metric->kafka_name || count_names(metric->labels) == count_names(metric->kafka_labels), "%s", metric->name);
        for (int k = 0; k < i; k++) {
            ck_assert_str_ne(metric->name, metric_table[k].name);
            if (*metric->kafka_name && strcmp(metric->kafka_name, metric_table[k].kafka_name) == 0)
                ck_assert_msg(metric->type == metric_table[k].type, "%s", metric->kafka_name);
        }
    }
}
END_TEST

START_TEST(a_value_has_both_names)
{
    struct metrics metrics;
    const struct metrics *page = &metrics;
    metrics_init(&metrics, 10);
    metrics_put(&metrics, METRIC_UNDER_REPLICATED, 3);
    metrics_put(&metrics, METRIC_BYTES_IN, 5e15);
    metrics_put_one(&metrics, METRIC_TOPIC_BYTES_IN, "orders", 7);
    metrics_put(&metrics, METRIC_CPU_SECONDS, 0.25);
    char *text = text_of(&page, 1);
    struct exposition *e = read_text(text);
    ck_assert_double_eq(exposition_value(e, "skiff_under_replicated_partitions", -1), 3);
    ck_assert_double_eq(exposition_value(e, "kafka_server_replicamanager_underreplicatedpartitions", -1), 3);
    ck_assert_double_eq(exposition_value(e, "skiff_bytes_in_total", -1), 5e15);
    ck_assert_double_eq(exposition_value(e, "kafka_server_brokertopicmetrics_bytesin_total", -1), 5e15);
    ck_assert_double_eq(exposition_value(e, "kafka_server_brokertopicmetrics_bytesin_total{topic=\"orders\"}", -1), 7);
    ck_assert_double_eq(exposition_value(e, "skiff_topic_bytes_in_total{topic=\"orders\"}", -1), 7);
    ck_assert_double_eq(exposition_value(e, "process_cpu_seconds_total", -1), 0.25);
    ck_assert_ptr_nonnull(strstr(text, "skiff_bytes_in_total 5000000000000000\n"));
    free(e);
    free(text);
    metrics_deinit(&metrics);
}
END_TEST

START_TEST(labels_are_escaped_or_left_out)
{
    struct metrics metrics;
    const struct metrics *page = &metrics;
    char longest[METRIC_LABEL_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[METRIC_LABEL_BYTES_MAX + 1] = '\0';
    metrics_init(&metrics, 10);
    metrics_put_one(&metrics, METRIC_GROUP_MEMBERS, "a\"b\\c\nd", 1);
    metrics_put_one(&metrics, METRIC_GROUP_MEMBERS, "caf\xc3\xa9 \xf0\x9f\x9a\xa3", 2);
    metrics_put_one(&metrics, METRIC_GROUP_MEMBERS, longest, 3);
    longest[METRIC_LABEL_BYTES_MAX] = '\0';
    metrics_put_one(&metrics, METRIC_GROUP_MEMBERS, longest, 4);
    static const char *const bad[] = {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) metrics_put_one(&metrics, METRIC_GROUP_MEMBERS, bad[i], 5);
    ck_assert_uint_eq(metrics.left_out, 7);
    char *text = text_of(&page, 1);
    struct exposition *e = read_text(text);
    ck_assert_double_eq(exposition_value(e, "skiff_group_members{group=\"a\\\"b\\\\c\\nd\"}", -1), 1);
    ck_assert_double_eq(exposition_value(e, "kafka_consumergroup_members{consumergroup=\"caf\xc3\xa9 \xf0\x9f\x9a\xa3\"}", -1), 2);
    ck_assert_uint_eq(e->sample_count, 6);
    free(e);
    free(text);
    metrics_deinit(&metrics);
}
END_TEST

START_TEST(series_are_bounded)
{
    struct metrics metrics;
    char name[32];
    metrics_init(&metrics, 3);
    for (int i = 0; i < 10; i++) {
        ck_assert(metrics_is_full(&metrics, METRIC_TOPIC_LOG_BYTES) == (i >= 3));
        (void)snprintf(name, sizeof name, "topic-%d", i);
        metrics_put_one(&metrics, METRIC_TOPIC_LOG_BYTES, name, i);
    }
    ck_assert_uint_eq(metrics.series[METRIC_TOPIC_LOG_BYTES].count, 3);
    ck_assert_uint_eq(metrics.left_out, 7);
    metrics_put(&metrics, METRIC_LEADERS, 1); /* those without labels are not */
    ck_assert_uint_eq(metrics.series[METRIC_LEADERS].count, 1);
    metrics_deinit(&metrics);
}
END_TEST

START_TEST(pages_of_several_loops_are_one_text)
{
    struct metrics a, b;
    const struct metrics *pages[] = {&a, &b};
    metrics_init(&a, 10);
    metrics_init(&b, 10);
    metrics_put_one(&a, METRIC_CONNECTIONS, "PLAINTEXT", 1);
    metrics_put_one(&b, METRIC_CONNECTIONS, "CONTROLLER", 2);
    metrics_put(&b, METRIC_RAFT_TERM, 9);
    char *text = text_of(pages, 2);
    struct exposition *e = read_text(text);
    ck_assert_double_eq(exposition_value(e, "skiff_connections{listener=\"PLAINTEXT\"}", -1), 1);
    ck_assert_double_eq(exposition_value(e, "skiff_connections{listener=\"CONTROLLER\"}", -1), 2);
    ck_assert_double_eq(exposition_value(e, "kafka_server_raftmetrics_current_epoch", -1), 9);
    free(e);
    free(text);
    metrics_deinit(&a);
    metrics_deinit(&b);
}
END_TEST

START_TEST(histograms_are_seconds_here_and_milliseconds_there)
{
    struct metrics metrics;
    const struct metrics *page = &metrics;
    struct histogram h = {0};
    struct slice label = SLICE_LITERAL("Produce");
    for (int i = 0; i < 98; i++) histogram_add(&h, 1500, 1000);
    histogram_add(&h, 60000000, 1000); /* beyond the last bound */
    histogram_add(&h, -5, 1000);
    metrics_init(&metrics, 10);
    metrics.now_us = 2000;
    metrics_put_histogram(&metrics, METRIC_REQUEST_SECONDS, &label, &h);
    char *text = text_of(&page, 1);
    struct exposition *e = read_text(text);
    ck_assert_double_eq(exposition_value(e, "skiff_request_seconds_bucket{api=\"Produce\",le=\"0.0001\"}", -1), 1);
    ck_assert_double_eq(exposition_value(e, "skiff_request_seconds_bucket{api=\"Produce\",le=\"0.001\"}", -1), 1);
    ck_assert_double_eq(exposition_value(e, "skiff_request_seconds_bucket{api=\"Produce\",le=\"0.0025\"}", -1), 99);
    ck_assert_double_eq(exposition_value(e, "skiff_request_seconds_bucket{api=\"Produce\",le=\"+Inf\"}", -1), 100);
    ck_assert_double_eq_tol(exposition_value(e, "skiff_request_seconds_sum{api=\"Produce\"}", -1), 60.147, 1e-6);
    double median = exposition_value(e, "kafka_network_requestmetrics_totaltimems{request=\"Produce\",quantile=\"0.5\"}", -1);
    ck_assert(median > 1 && median < 2.5);
    ck_assert_double_eq(exposition_value(e, "kafka_network_requestmetrics_totaltimems{request=\"Produce\",quantile=\"0.999\"}", -1), 30000);
    ck_assert_double_eq(exposition_value(e, "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"}", -1), 100);
    free(e);
    free(text);
    metrics_deinit(&metrics);
}
END_TEST

START_TEST(quantiles_follow_the_last_minutes)
{
    struct histogram h = {0};
    const int64_t minute = HISTOGRAM_WINDOW_US;
    for (int i = 0; i < 100; i++) histogram_add(&h, 5000000, 10 * minute);
    ck_assert(histogram_quantile_us(&h, 0.5, 10 * minute) > 1000000);
    for (int i = 0; i < 300; i++) histogram_add(&h, 50, 11 * minute);
    ck_assert(histogram_quantile_us(&h, 0.5, 11 * minute) <= 100);
    ck_assert(histogram_quantile_us(&h, 0.99, 11 * minute) > 1000000); /* the window before still counts */
    histogram_add(&h, 50, 12 * minute);
    ck_assert(histogram_quantile_us(&h, 0.99, 12 * minute) <= 100);
    ck_assert_double_eq(histogram_quantile_us(&h, 0.99, 15 * minute), 0);
    ck_assert_uint_eq(h.count, 401);
}
END_TEST

/* The reader that the tests trust must refuse what Prometheus does. */
START_TEST(the_strict_reader_refuses)
{
    static const char *const bad[] = {
        "skiff_a 1\n",
        "# HELP a b\n# TYPE a gauge\na 1",
        "# HELP a b\n# TYPE a gauge\na one\n",
        "# HELP a b\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a b\n# TYPE a gauge\nb 1\n",
        "# HELP a b\n# TYPE a gauge\na{x=\"1} 1\n",
        "# HELP a b\n# TYPE a gauge\na{x=\"\\y\"} 1\n",
        "# HELP a b\n# TYPE a gauge\na{x=\"1\"y=\"2\"} 1\n",
        "# HELP a b\n# TYPE a counter\na -1\n",
        "# TYPE a gauge\na 1\n",
        "# HELP a b\n# TYPE a gauge\na 1\n# HELP c d\n# TYPE c gauge\nc 1\n# HELP a b\n# TYPE a gauge\na{x=\"1\"} 1\n",
        "# HELP a b\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        "# HELP a b\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
        "# HELP a b\n# TYPE a gauge\na_sum 1\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct exposition *e = exposition_read(bad[i]);
        ck_assert_msg(*e->error, "%s", bad[i]);
        free(e);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tcase = tcase_create("metrics");
    tcase_add_test(tcase, every_row_can_be_shown);
    tcase_add_test(tcase, the_table_is_consistent);
    tcase_add_test(tcase, a_value_has_both_names);
    tcase_add_test(tcase, labels_are_escaped_or_left_out);
    tcase_add_test(tcase, series_are_bounded);
    tcase_add_test(tcase, pages_of_several_loops_are_one_text);
    tcase_add_test(tcase, histograms_are_seconds_here_and_milliseconds_there);
    tcase_add_test(tcase, quantiles_follow_the_last_minutes);
    tcase_add_test(tcase, the_strict_reader_refuses);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
