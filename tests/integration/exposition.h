/* A strict reader of Prometheus text (format 0.0.4), for tests: what it takes, Prometheus takes. Each family has HELP and TYPE, once,
 * before its samples, which stand together; no series comes twice; histograms add up. */
#ifndef SKIFF_TESTS_INTEGRATION_EXPOSITION_H
#define SKIFF_TESTS_INTEGRATION_EXPOSITION_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPOSITION_SERIES_MAX   50000
#define EXPOSITION_FAMILIES_MAX 1000
#define EXPOSITION_NAME_MAX     256

struct exposition {
    char error[512]; /* "" : it is well formed */
    size_t line;
    char families[EXPOSITION_FAMILIES_MAX][EXPOSITION_NAME_MAX]; /* the last one is open */
    char type[16], helped[EXPOSITION_NAME_MAX];
    size_t family_count, sample_count;
    struct {
        const char *at; /* in the text: name and labels */
        size_t size;
        double value;
    } samples[EXPOSITION_SERIES_MAX];
    double buckets, bound; /* of the histogram series that is being read */
};

static inline bool exposition_fail(struct exposition *e, const char *what, const char *at)
{
    (void)snprintf(e->error, sizeof e->error, "line %zu: %s: %.*s", e->line, what, (int)strcspn(at, "\n"), at);
    return false;
}

static inline size_t exposition_name(const char *at)
{
    const char *first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";
    const char *rest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";
    return *at && strchr(first, *at) ? strspn(at, rest) : 0;
}

/* "{a="b",...}"; 0: malformed. */
static inline size_t exposition_labels(const char *at)
{
    const char *p = at;
    for (char want = '{'; *p == want || (want == ',' && *p == '}'); want = ',') {
        if (*p == '}') return (size_t)(p + 1 - at);
        size_t name = exposition_name(++p);
        if (name == 0 || memchr(p, ':', name) || p[name] != '=' || p[name + 1] != '"') return 0;
        for (p += name + 2; *p != '"'; p++) {
            if (*p == '\\' && *++p != '\\' && *p != '"' && *p != 'n') return 0;
            if (*p == '\0' || *p == '\n') return 0;
        }
        p++;
    }
    return 0;
}

static inline bool exposition_type(struct exposition *e, const char *at)
{
    size_t name = exposition_name(at);
    if (name == 0 || name >= EXPOSITION_NAME_MAX || at[name] != ' ') return exposition_fail(e, "a TYPE without a name", at);
    for (size_t i = 0; i < e->family_count; i++)
        if (strlen(e->families[i]) == name && memcmp(e->families[i], at, name) == 0) return exposition_fail(e, "a second TYPE", at);
    if (strlen(e->helped) != name || memcmp(e->helped, at, name) != 0) return exposition_fail(e, "a TYPE without its HELP before", at);
    (void)snprintf(e->type, sizeof e->type, "%.*s", (int)strcspn(at + name + 1, "\n"), at + name + 1);
    if (strcmp(e->type, "counter") != 0 && strcmp(e->type, "gauge") != 0 && strcmp(e->type, "histogram") != 0 &&
        strcmp(e->type, "summary") != 0)
        return exposition_fail(e, "an unknown type", at);
    if (e->family_count == EXPOSITION_FAMILIES_MAX) return exposition_fail(e, "too many families", at);
    (void)snprintf(e->families[e->family_count++], EXPOSITION_NAME_MAX, "%.*s", (int)name, at);
    return true;
}

static inline bool exposition_comment(struct exposition *e, const char *at)
{
    if (strncmp(at, "# TYPE ", 7) == 0) return exposition_type(e, at + 7);
    size_t name = strncmp(at, "# HELP ", 7) == 0 ? exposition_name(at + 7) : 0;
    if (name == 0 || name >= EXPOSITION_NAME_MAX || at[7 + name] != ' ') return exposition_fail(e, "neither HELP nor TYPE", at);
    (void)snprintf(e->helped, sizeof e->helped, "%.*s", (int)name, at + 7);
    return true;
}

/* Buckets of a series follow each other, rise, and end with +Inf, which is the count. */
static inline bool exposition_histogram(struct exposition *e, const char *at, const char *suffix, double value)
{
    const char *le = strstr(at, "le=\"");
    if (strncmp(suffix, "_bucket", 7) == 0) {
        double bound = le ? strtod(le + 4, NULL) : 0;
        if (!le) return exposition_fail(e, "a bucket without a bound", at);
        if (e->buckets >= 0 && (value < e->buckets || bound <= e->bound)) return exposition_fail(e, "buckets that do not rise", at);
        e->buckets = value, e->bound = bound;
    } else if (strncmp(suffix, "_count", 6) == 0) {
        if (value != e->buckets || e->bound < 1e300) return exposition_fail(e, "a count that is not the last bucket", at);
        e->buckets = -1;
    }
    return true;
}

static inline bool exposition_sample(struct exposition *e, const char *at)
{
    size_t name = exposition_name(at), labels = at[name] == '{' ? exposition_labels(at + name) : 0;
    const char *family = e->family_count ? e->families[e->family_count - 1] : "", *suffix = at + strlen(family),
               *number = at + name + labels;
    char *end = NULL;
    if (name == 0 || (at[name] == '{' && labels == 0) || *number != ' ') return exposition_fail(e, "no sample", at);
    double value = strtod(number + 1, &end);
    if (end == number + 1 || *end != '\n') return exposition_fail(e, "no number", at);
    if (strncmp(at, family, strlen(family)) != 0) return exposition_fail(e, "a sample outside its family", at);
    size_t rest = name - strlen(family);
    bool is_compound = strcmp(e->type, "histogram") == 0 || strcmp(e->type, "summary") == 0;
    bool has_suffix = (rest == 4 && strncmp(suffix, "_sum", 4) == 0) || (rest == 6 && strncmp(suffix, "_count", 6) == 0) ||
                      (rest == 7 && strncmp(suffix, "_bucket", 7) == 0 && strcmp(e->type, "histogram") == 0);
    if (rest != 0 && !(is_compound && has_suffix)) return exposition_fail(e, "a sample outside its family", at);
    if (strcmp(e->type, "counter") == 0 && value < 0) return exposition_fail(e, "a negative counter", at);
    if (e->sample_count == EXPOSITION_SERIES_MAX) return exposition_fail(e, "too many series", at);
    for (size_t i = 0; i < e->sample_count; i++)
        if (e->samples[i].size == name + labels && memcmp(e->samples[i].at, at, name + labels) == 0)
            return exposition_fail(e, "a series that comes twice", at);
    e->samples[e->sample_count].at = at;
    e->samples[e->sample_count].size = name + labels;
    e->samples[e->sample_count++].value = value;
    return strcmp(e->type, "histogram") != 0 || exposition_histogram(e, at, suffix, value);
}

/* `text` must live as long as the result, which the caller frees. */
static inline struct exposition *exposition_read(const char *text)
{
    struct exposition *e = calloc(1, sizeof *e);
    if (!e) abort();
    e->buckets = -1;
    for (const char *at = text; *at && !*e->error; at = strchr(at, '\n') + 1) {
        e->line++;
        if (!strchr(at, '\n'))
            (void)exposition_fail(e, "a line that does not end", at);
        else
            (void)(*at == '#' ? exposition_comment(e, at) : exposition_sample(e, at));
        if (*e->error) break;
    }
    return e;
}

/* The value of `series`, name and labels as they stand in the text; `missing` when there is none. */
static inline double exposition_value(const struct exposition *e, const char *series, double missing)
{
    for (size_t i = 0; i < e->sample_count; i++)
        if (e->samples[i].size == strlen(series) && memcmp(e->samples[i].at, series, e->samples[i].size) == 0) return e->samples[i].value;
    return missing;
}

#endif
