#include "broker/cli/group_text.h"

#include "common/checked.h"
#include "common/str.h"

#include <ctype.h>

#define DAY_MS     86400000
#define HOUR_MS    3600000
#define MINUTE_MS  60000
#define SECOND_MS  1000
#define DIGITS_MAX 18 /* of a number that an int64_t holds for sure */
#define LINE_CELLS 4

/* ---- a cursor ------------------------------------------------------------------------------------------------------ */

static bool take_char(struct slice *rest, char wanted)
{
    if (rest->n == 0 || toupper(rest->p[0]) != wanted) return false;
    *rest = slice_make(rest->p + 1, rest->n - 1);
    return true;
}

static size_t count_digits(struct slice rest)
{
    size_t n = 0;
    while (n < rest.n && isdigit(rest.p[n])) n++;
    return n;
}

static bool take_digits(struct slice *rest, size_t least, size_t most, int64_t *number)
{
    size_t n = count_digits(*rest);
    if (n < least || n > most || !str_parse_i64(slice_make(rest->p, n), number)) return false;
    *rest = slice_make(rest->p + n, rest->n - n);
    return true;
}

/* Behind a sign that may be missing. */
static bool take_number(struct slice *rest, int64_t *number)
{
    bool is_negative = take_char(rest, '-');
    if (!is_negative) (void)take_char(rest, '+');
    if (!take_digits(rest, 1, DIGITS_MAX, number)) return false;
    if (is_negative) *number = -*number;
    return true;
}

/* ---- times --------------------------------------------------------------------------------------------------------- */

struct moment {
    int64_t year, month, day, hour, minute, second, ms;
};

static bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static int64_t days_of(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days of the years before this one, counted from the year 0 of the Gregorian calendar. */
static int64_t days_before(int64_t year) { return year == 0 ? 0 : year * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1; }

static bool is_moment(const struct moment *m)
{
    return m->month >= 1 && m->month <= 12 && m->day >= 1 && m->day <= days_of(m->year, m->month) && m->hour < 24 && m->minute < 60 &&
           m->second < 60;
}

static int64_t moment_ms(const struct moment *m)
{
    int64_t days = days_before(m->year) - days_before(1970) + m->day - 1;
    for (int64_t month = 1; month < m->month; month++) days += days_of(m->year, month);
    return days * DAY_MS + m->hour * HOUR_MS + m->minute * MINUTE_MS + m->second * SECOND_MS + m->ms;
}

static bool take_moment(struct slice *rest, struct moment *m)
{
    return take_digits(rest, 4, 4, &m->year) && take_char(rest, '-') && take_digits(rest, 1, 2, &m->month) && take_char(rest, '-') &&
           take_digits(rest, 1, 2, &m->day) && take_char(rest, 'T') && take_digits(rest, 1, 2, &m->hour) && take_char(rest, ':') &&
           take_digits(rest, 1, 2, &m->minute) && take_char(rest, ':') && take_digits(rest, 1, 2, &m->second) &&
           (!take_char(rest, '.') || take_digits(rest, 3, 3, &m->ms));
}

/* How far the clocks of the zone are ahead. */
static bool take_zone(struct slice *rest, int64_t *zone_ms)
{
    int64_t hours = 0, minutes = 0;
    bool is_west = false;
    *zone_ms = 0;
    if (rest->n == 0 || take_char(rest, 'Z')) return true;
    is_west = take_char(rest, '-');
    if ((!is_west && !take_char(rest, '+')) || rest->n < 2) return false;
    struct slice digits = slice_make(rest->p, 2);
    if (!take_digits(&digits, 2, 2, &hours)) return false;
    *rest = slice_make(rest->p + 2, rest->n - 2);
    bool has_minutes = take_char(rest, ':') || rest->n > 0;
    if ((has_minutes && !take_digits(rest, 2, 2, &minutes)) || hours > 23 || minutes > 59) return false;
    *zone_ms = (hours * HOUR_MS + minutes * MINUTE_MS) * (is_west ? -1 : 1);
    return true;
}

bool group_text_parse_time(struct slice text, int64_t *ms)
{
    struct slice rest = text;
    struct moment moment = {0};
    int64_t zone_ms = 0;
    if (!take_moment(&rest, &moment) || !is_moment(&moment) || !take_zone(&rest, &zone_ms) || rest.n > 0) return false;
    *ms = moment_ms(&moment) - zone_ms;
    return true;
}

/* ---- durations ----------------------------------------------------------------------------------------------------- */

/* "12H": adds it to the total. What is not one stays where it is. */
static bool take_part(struct slice *rest, char unit, int64_t unit_ms, int64_t *total_ms)
{
    struct slice at = *rest;
    int64_t count = 0, part_ms = 0, sum_ms = 0;
    if (!take_number(&at, &count) || !take_char(&at, unit)) return false;
    if (!checked_mul_i64(count, unit_ms, &part_ms) || !checked_add_i64(*total_ms, part_ms, &sum_ms)) return false;
    *total_ms = sum_ms;
    *rest = at;
    return true;
}

/* What stands behind the point, up to nine digits, as milliseconds. */
static bool take_fraction(struct slice *rest, int64_t *ms)
{
    size_t n = count_digits(*rest);
    int64_t digits[3] = {0};
    if (n > 9) return false;
    for (size_t i = 0; i < n && i < 3; i++) digits[i] = rest->p[i] - '0';
    *ms = digits[0] * 100 + digits[1] * 10 + digits[2];
    *rest = slice_make(rest->p + n, rest->n - n);
    return true;
}

static bool take_seconds(struct slice *rest, int64_t *total_ms)
{
    struct slice at = *rest;
    int64_t count = 0, ms = 0, part_ms = 0, sum_ms = 0;
    bool is_negative = at.n > 0 && at.p[0] == '-';
    if (!take_number(&at, &count) || !checked_mul_i64(count, SECOND_MS, &part_ms)) return false;
    if ((take_char(&at, '.') || take_char(&at, ',')) && !take_fraction(&at, &ms)) return false;
    if (!take_char(&at, 'S') || !checked_add_i64(*total_ms, part_ms, &sum_ms)) return false;
    if (!checked_add_i64(sum_ms, is_negative ? -ms : ms, total_ms)) return false;
    *rest = at;
    return true;
}

bool group_text_parse_duration(struct slice text, int64_t *ms)
{
    struct slice rest = text;
    int64_t total_ms = 0;
    bool is_negative = take_char(&rest, '-');
    if (!is_negative) (void)take_char(&rest, '+');
    if (!take_char(&rest, 'P')) return false;
    bool has_part = take_part(&rest, 'D', DAY_MS, &total_ms);
    if (take_char(&rest, 'T')) {
        has_part = take_part(&rest, 'H', HOUR_MS, &total_ms);
        has_part |= take_part(&rest, 'M', MINUTE_MS, &total_ms);
        has_part |= take_seconds(&rest, &total_ms);
    }
    return has_part && rest.n == 0 && checked_mul_i64(total_ms, is_negative ? -1 : 1, ms);
}

/* ---- partitions ---------------------------------------------------------------------------------------------------- */

static bool parse_partition(struct slice text, int32_t *partition)
{
    int64_t number = 0;
    return str_parse_i64(text, &number) && number >= 0 && checked_narrow_i32(number, partition);
}

bool group_text_parse_scope(struct slice text, struct arena *arena, struct group_scope *scope)
{
    struct slice rest = text, part;
    *scope = (struct group_scope){0};
    if (!str_split(&rest, ':', &scope->topic) || scope->topic.n == 0) return false;
    if (slice_is_null(rest)) return true;
    scope->partitions = arena_calloc(arena, rest.n + 1, sizeof *scope->partitions);
    while (str_split(&rest, ',', &part))
        if (!parse_partition(part, &scope->partitions[scope->count++])) return false;
    return true;
}

/* ---- plans --------------------------------------------------------------------------------------------------------- */

/* Behind its opening quote. */
static bool take_quoted(struct slice *rest, struct arena *arena, struct slice *cell)
{
    uint8_t *out = arena_alloc(arena, rest->n + 1);
    size_t n = 0;
    while (rest->n > 0) {
        uint8_t c = rest->p[0];
        *rest = slice_make(rest->p + 1, rest->n - 1);
        if (c == '"' && !take_char(rest, '"')) {
            *cell = slice_make(out, n);
            return rest->n == 0 || rest->p[0] == ',';
        }
        out[n++] = c;
    }
    return false;
}

/* False: malformed. *is_last: nothing stands behind it. */
static bool take_cell(struct slice *rest, struct arena *arena, struct slice *cell, bool *is_last)
{
    if (take_char(rest, '"')) {
        if (!take_quoted(rest, arena, cell)) return false;
    } else {
        size_t n = 0;
        while (n < rest->n && rest->p[n] != ',') n++;
        *cell = slice_make(rest->p, n);
        *rest = slice_make(rest->p + n, rest->n - n);
    }
    *is_last = !take_char(rest, ',');
    return true;
}

bool group_text_parse_line(struct slice text, bool has_group, struct arena *arena, struct group_plan_line *line)
{
    struct slice cells[LINE_CELLS] = {0}, rest = text;
    size_t expected = has_group ? 4 : 3, n = 0;
    bool is_last = false;
    for (; n < expected && !is_last; n++)
        if (!take_cell(&rest, arena, &cells[n], &is_last)) return false;
    if (n != expected || !is_last) return false;
    const struct slice *at = has_group ? cells + 1 : cells;
    *line = (struct group_plan_line){.group = has_group ? cells[0] : SLICE_NULL, .topic = at[0]};
    return line->topic.n > 0 && parse_partition(str_trim(at[1]), &line->partition) && str_parse_i64(str_trim(at[2]), &line->offset);
}

static struct slice quoted(struct slice text, struct arena *arena)
{
    bool is_plain = true;
    for (size_t i = 0; i < text.n; i++) is_plain &= text.p[i] > ' ' && text.p[i] != '"' && text.p[i] != ',';
    if (is_plain && text.n > 0) return text;
    uint8_t *out = arena_alloc(arena, 2 * text.n + 2);
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"') out[n++] = '"';
        out[n++] = text.p[i];
    }
    out[n++] = '"';
    return slice_make(out, n);
}

struct slice group_text_print_line(const struct group_plan_line *line, struct arena *arena)
{
    struct slice topic = quoted(line->topic, arena);
    if (slice_is_null(line->group)) return arena_printf(arena, "%.*s,%d,%lld", SLICE_ARG(topic), line->partition, (long long)line->offset);
    struct slice group = quoted(line->group, arena);
    return arena_printf(arena, "%.*s,%.*s,%d,%lld", SLICE_ARG(group), SLICE_ARG(topic), line->partition, (long long)line->offset);
}
