#include "common/metrics.h"

#include "common/assert.h"
#include "common/str.h"

#include <stdarg.h>
#include <stdio.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53: above, not every whole number is a double */

const struct metric metric_table[METRIC_COUNT] = {
#define METRIC(id, type_, name_, labels_, kafka_name_, kafka_labels_, help_)                                                               \
    [METRIC_##id] = {.name = (name_),                                                                                                      \
                     .labels = (labels_),                                                                                                  \
                     .kafka_name = (kafka_name_),                                                                                          \
                     .kafka_labels = (kafka_labels_),                                                                                      \
                     .help = (help_),                                                                                                      \
                     .type = METRIC_TYPE_##type_},
#include "common/metrics.def"
#undef METRIC
};

const char *metric_type_name(enum metric_type type)
{
    static const char *const names[] = {"counter", "gauge", "histogram"};
    ASSERT((size_t)type < sizeof names / sizeof *names);
    return names[type];
}

/* ---- a page -------------------------------------------------------------------------------------------------------- */

void metrics_init(struct metrics *m, uint32_t series_max)
{
    *m = (struct metrics){.series_max = series_max};
    arena_init(&m->arena, SIZE_MAX);
}

void metrics_deinit(struct metrics *m) { arena_deinit(&m->arena); }

static size_t label_count(const char *names)
{
    size_t count = *names ? 1 : 0;
    for (; *names; names++) count += *names == ',';
    return count;
}

/* Bytes of the character at `p`, of which `left` are there; 0: it is none (also overlong forms and surrogates). */
static size_t utf8_size(const uint8_t *p, size_t left)
{
    size_t size = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    if (size == 0 || size > left) return 0;
    for (size_t i = 1; i < size; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return size;
}

static bool can_show(struct slice label)
{
    if (label.n > METRIC_LABEL_BYTES_MAX) return false;
    for (size_t at = 0, size = 0; at < label.n; at += size)
        if ((size = utf8_size(label.p + at, label.n - at)) == 0) return false;
    return true;
}

static struct metric_sample *add_sample(struct metrics *m, enum metric_id id, const struct slice *labels)
{
    struct metric_series *series = &m->series[id];
    size_t count = label_count(metric_table[id].labels);
    ASSERT(count <= METRIC_LABELS_MAX);
    ASSERT_IMPLIES(count > 0, labels != NULL);
    bool is_shown = count == 0 || series->count < m->series_max;
    for (size_t i = 0; is_shown && i < count; i++) is_shown = can_show(labels[i]);
    if (!is_shown) {
        m->left_out++;
        return NULL;
    }
    struct metric_sample *sample = arena_alloc(&m->arena, sizeof *sample);
    for (size_t i = 0; i < count; i++) sample->labels[i] = arena_copy(&m->arena, labels[i]);
    if (series->last)
        series->last->next = sample;
    else
        series->first = sample;
    series->last = sample;
    series->count++;
    return sample;
}

void metrics_put(struct metrics *m, enum metric_id id, double value)
{
    ASSERT(*metric_table[id].labels == '\0');
    metrics_put_labelled(m, id, NULL, value);
}

void metrics_put_labelled(struct metrics *m, enum metric_id id, const struct slice *labels, double value)
{
    ASSERT(metric_table[id].type != METRIC_TYPE_HISTOGRAM);
    struct metric_sample *sample = add_sample(m, id, labels);
    if (sample) sample->value = value;
}

void metrics_put_histogram(struct metrics *m, enum metric_id id, const struct slice *labels, const struct histogram *histogram)
{
    ASSERT(metric_table[id].type == METRIC_TYPE_HISTOGRAM);
    struct metric_sample *sample = add_sample(m, id, labels);
    if (sample) sample->histogram = (const void *)arena_copy(&m->arena, slice_make(histogram, sizeof *histogram)).p;
}

/* ---- text ---------------------------------------------------------------------------------------------------------- */

static void put(struct writer *out, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(struct writer *out, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ASSERT(size >= 0 && (size_t)size < sizeof text);
    writer_bytes(out, slice_make(text, (size_t)size));
}

static void put_number(struct writer *out, double value)
{
    if (value > -EXACT_MAX && value < EXACT_MAX && value == (double)(long long)value)
        put(out, " %lld\n", (long long)value);
    else
        put(out, " %.9g\n", value);
}

static void put_escaped(struct writer *out, struct slice value)
{
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        if (c == '\\' || c == '"' || c == '\n') writer_u8(out, '\\');
        writer_u8(out, c == '\n' ? 'n' : c);
    }
}

/* One line's name and labels; `extra` is a last label, NULL: none. */
struct line {
    const char *name, *suffix;
    const char *labels;
    const char *extra_name, *extra;
};

static void put_head(struct writer *out, const struct line *line, const struct metric_sample *sample)
{
    struct slice rest = slice_str(line->labels), name;
    char before = '{';
    put(out, "%s%s", line->name, line->suffix);
    for (size_t i = 0; rest.n > 0 && str_split(&rest, ',', &name); i++) {
        put(out, "%c%.*s=\"", before, SLICE_ARG(name));
        put_escaped(out, sample->labels[i]);
        writer_u8(out, '"');
        before = ',';
    }
    if (line->extra) put(out, "%c%s=\"%s\"", before, line->extra_name, line->extra);
    if (line->extra || *line->labels) writer_u8(out, '}');
}

static void put_line(struct writer *out, struct line line, const struct metric_sample *sample, double value)
{
    put_head(out, &line, sample);
    put_number(out, value);
}

static void put_buckets(struct writer *out, struct line line, const struct metric_sample *sample)
{
    const struct histogram *h = sample->histogram;
    struct line bucket = line, sum = line, count = line;
    uint64_t total = 0;
    char bound[32] = "+Inf";
    bucket.suffix = "_bucket", bucket.extra_name = "le", bucket.extra = bound;
    sum.suffix = "_sum", count.suffix = "_count";
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        total += h->counts[i];
        if (i < HISTOGRAM_BOUNDS)
            (void)snprintf(bound, sizeof bound, "%.9g", (double)histogram_bounds_us[i] / 1e6);
        else
            (void)snprintf(bound, sizeof bound, "+Inf");
        put_line(out, bucket, sample, (double)total);
    }
    put_line(out, sum, sample, (double)h->sum_us / 1e6);
    put_line(out, count, sample, (double)h->count);
}

static void put_quantiles(struct writer *out, struct line line, const struct metric_sample *sample, int64_t now_us)
{
    static const char *const quantiles[] = {"0.5", "0.75", "0.95", "0.98", "0.99", "0.999"};
    static const double values[] = {0.5, 0.75, 0.95, 0.98, 0.99, 0.999};
    const struct histogram *h = sample->histogram;
    struct line quantile = line, sum = line, count = line;
    quantile.extra_name = "quantile";
    sum.suffix = "_sum", count.suffix = "_count";
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        quantile.extra = quantiles[i];
        put_line(out, quantile, sample, histogram_quantile_us(h, values[i], now_us) / 1e3);
    }
    put_line(out, sum, sample, (double)h->sum_us / 1e3);
    put_line(out, count, sample, (double)h->count);
}

static bool has_samples(const struct metrics *const *pages, size_t count, size_t id)
{
    for (size_t i = 0; i < count; i++)
        if (pages[i]->series[id].first) return true;
    return false;
}

static void put_samples(const struct metrics *const *pages, size_t count, size_t id, bool is_kafka, struct writer *out)
{
    const struct metric *metric = &metric_table[id];
    struct line line = {
        .name = is_kafka ? metric->kafka_name : metric->name, .suffix = "", .labels = is_kafka ? metric->kafka_labels : metric->labels};
    for (size_t i = 0; i < count; i++)
        for (const struct metric_sample *sample = pages[i]->series[id].first; sample; sample = sample->next)
            if (!sample->histogram)
                put_line(out, line, sample, sample->value);
            else if (is_kafka)
                put_quantiles(out, line, sample, pages[i]->now_us);
            else
                put_buckets(out, line, sample);
}

static void put_type(struct writer *out, const char *name, const char *help, const char *type)
{
    put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* All rows of that Kafka name, told from its first. */
static void put_kafka_family(const struct metrics *const *pages, size_t count, size_t first, struct writer *out)
{
    const struct metric *metric = &metric_table[first];
    bool has_any = false;
    for (size_t id = 0; id < METRIC_COUNT; id++) {
        if (strcmp(metric_table[id].kafka_name, metric->kafka_name) != 0) continue;
        if (id < first) return; /* it has been written */
        has_any |= has_samples(pages, count, id);
    }
    if (!has_any) return;
    put_type(out, metric->kafka_name, metric->help, metric->type == METRIC_TYPE_HISTOGRAM ? "summary" : metric_type_name(metric->type));
    for (size_t id = first; id < METRIC_COUNT; id++)
        if (strcmp(metric_table[id].kafka_name, metric->kafka_name) == 0) put_samples(pages, count, id, true, out);
}

void metrics_write(const struct metrics *const *pages, size_t count, struct writer *out)
{
    for (size_t id = 0; id < METRIC_COUNT; id++) {
        if (!has_samples(pages, count, id)) continue;
        put_type(out, metric_table[id].name, metric_table[id].help, metric_type_name(metric_table[id].type));
        put_samples(pages, count, id, false, out);
    }
    for (size_t id = 0; id < METRIC_COUNT; id++)
        if (*metric_table[id].kafka_name) put_kafka_family(pages, count, id, out);
}
