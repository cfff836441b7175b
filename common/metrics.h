/* A page of metrics: what each loop of a process measured, and all of it as Prometheus text (format 0.0.4).
 *
 * A loop fills a page of its own when it is asked for one; the page then belongs to whoever writes the text. Nothing is shared, so there
 * are no locks. The names are in metrics.def. Labels are copied. */
#ifndef SKIFF_COMMON_METRICS_H
#define SKIFF_COMMON_METRICS_H

#include "common/arena.h"
#include "common/histogram.h"
#include "common/writer.h"

#define METRIC_LABELS_MAX      3
#define METRIC_LABEL_BYTES_MAX 255 /* longer values are left out, not cut: two might become one */

enum metric_id {
#define METRIC(id, type, name, labels, kafka_name, kafka_labels, help) METRIC_##id,
#include "common/metrics.def"
#undef METRIC
    METRIC_COUNT
};
enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE, METRIC_TYPE_HISTOGRAM };

struct metric {
    const char *name, *labels; /* label names, separated by commas */
    const char *kafka_name, *kafka_labels;
    const char *help;
    enum metric_type type;
};
extern const struct metric metric_table[METRIC_COUNT];
const char *metric_type_name(enum metric_type type);

struct metric_sample {
    struct metric_sample *next;
    struct slice labels[METRIC_LABELS_MAX];
    double value;
    const struct histogram *histogram;
};
struct metric_series {
    struct metric_sample *first, *last;
    uint32_t count;
};
struct metrics {
    struct arena arena;
    struct metric_series series[METRIC_COUNT];
    int64_t now_us;      /* of the loop that fills it */
    uint32_t series_max; /* of one metric with labels */
    uint64_t left_out;
};

void metrics_init(struct metrics *metrics, uint32_t series_max);
void metrics_deinit(struct metrics *metrics);

/* A metric without labels. */
void metrics_put(struct metrics *metrics, enum metric_id id, double value);
/* As many labels as the metric has names for. Left out: beyond series_max, values that are too long or not UTF-8. */
void metrics_put_labelled(struct metrics *metrics, enum metric_id id, const struct slice *labels, double value);
static inline void metrics_put_one(struct metrics *metrics, enum metric_id id, const char *label, double value)
{
    struct slice slice = slice_str(label);
    metrics_put_labelled(metrics, id, &slice, value);
}
/* Labels as above; NULL: the metric has none. The histogram is copied. */
void metrics_put_histogram(struct metrics *metrics, enum metric_id id, const struct slice *labels, const struct histogram *histogram);
/* Another series of this metric would be left out: spares the work to find out what it is. */
static inline bool metrics_is_full(const struct metrics *metrics, enum metric_id id)
{
    return metrics->series[id].count >= metrics->series_max;
}
static inline void metrics_leave_out(struct metrics *metrics, uint64_t count) { metrics->left_out += count; }

/* All pages as one text; metrics without a sample do not show. */
void metrics_write(const struct metrics *const *pages, size_t count, struct writer *out);

#endif
