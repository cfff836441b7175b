#include "common/setting.h"

#include "common/str.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const type_names[] = {
    [SETTING_BOOLEAN] = "BOOLEAN", [SETTING_STRING] = "STRING", [SETTING_INT] = "INT",
    [SETTING_SHORT] = "SHORT",     [SETTING_LONG] = "LONG",     [SETTING_DOUBLE] = "DOUBLE",
    [SETTING_LIST] = "LIST",       [SETTING_CLASS] = "CLASS",   [SETTING_PASSWORD] = "PASSWORD",
};
const char *setting_type_name(enum setting_type type) { return type_names[type]; }

static bool is_whole_number(enum setting_type type) { return type == SETTING_INT || type == SETTING_SHORT || type == SETTING_LONG; }

static void type_bounds(enum setting_type type, int64_t *low, int64_t *high)
{
    *low = type == SETTING_LONG ? INT64_MIN : type == SETTING_SHORT ? INT16_MIN : INT32_MIN;
    *high = type == SETTING_LONG ? INT64_MAX : type == SETTING_SHORT ? INT16_MAX : INT32_MAX;
}

/* Narrows the bounds by "LOW..HIGH". */
static void range_bounds(const char *range, int64_t *low, int64_t *high)
{
    const char *dots = strstr(range, "..");
    int64_t bound = 0;
    if (!dots) return;
    if (str_parse_i64(slice_make(range, (size_t)(dots - range)), &bound)) *low = bound;
    if (str_parse_i64(slice_str(dots + 2), &bound)) *high = bound;
}

static bool parse_whole_number(const struct setting *setting, struct slice text, int64_t *number, char *reason)
{
    int64_t low = 0, high = 0;
    type_bounds(setting->type, &low, &high);
    range_bounds(setting->range, &low, &high);
    if (str_parse_i64(text, number) && *number >= low && *number <= high) return true;
    (void)snprintf(reason, SETTING_REASON_MAX, "must be a whole number from %lld to %lld", (long long)low, (long long)high);
    return false;
}

/* Nearly all of Kafka's are shares of something; one with a range has no end. */
static bool parse_double(const struct setting *setting, struct slice text, char *reason)
{
    bool is_share = *setting->range == '\0';
    char copy[64], *end = copy;
    if (text.n > 0 && text.n < sizeof copy) {
        memcpy(copy, text.p, text.n);
        copy[text.n] = '\0';
        double value = strtod(copy, &end);
        if (*end == '\0' && value >= 0 && (value <= 1 || !is_share)) return true;
    }
    (void)snprintf(reason, SETTING_REASON_MAX, is_share ? "must be a number from 0 to 1" : "must be a number, 0 or greater");
    return false;
}

static bool is_same_word(struct slice a, struct slice b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if ((a.p[i] | 0x20) != (b.p[i] | 0x20)) return false;
    return true;
}

static bool parse_boolean(struct slice text, int64_t *number, char *reason)
{
    *number = is_same_word(text, SLICE_LITERAL("true"));
    if (*number || is_same_word(text, SLICE_LITERAL("false"))) return true;
    (void)snprintf(reason, SETTING_REASON_MAX, "must be true or false");
    return false;
}

static bool is_choice(const char *choices, struct slice word)
{
    struct slice rest = slice_str(choices), choice;
    while (str_split(&rest, '|', &choice))
        if (slice_equal(choice, word)) return true;
    return false;
}

static bool is_digits(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9') return false;
    return text.n > 0;
}

/* "*", or "PARTITION:BROKER,..."; to Kafka, items may be missing. */
static bool check_replicas(const struct setting *setting, struct slice text, char *reason)
{
    struct slice rest = text, item, partition;
    size_t items = 0, stars = 0, pairs = 0;
    while (rest.n > 0 && str_split(&rest, ',', &item)) {
        item = str_trim(item);
        items += item.n > 0;
        stars += slice_equal_str(item, "*");
        pairs += str_split(&item, ':', &partition) && is_digits(partition) && is_digits(item);
    }
    if (pairs == items || (items == 1 && stars == 1)) return true;
    (void)snprintf(reason, SETTING_REASON_MAX,
                   "%s must be the literal '*' or a list of replicas in the following format: "
                   "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
                   setting->name);
    return false;
}

static bool check_choices(const struct setting *setting, struct slice text, char *reason)
{
    struct slice rest = text, word = text;
    bool is_list = setting->type == SETTING_LIST;
    if (*setting->range == '\0' || (is_list && text.n == 0)) return true;
    while (!is_list || str_split(&rest, ',', &word)) {
        if (!is_choice(setting->range, str_trim(word))) {
            (void)snprintf(reason, SETTING_REASON_MAX, "must be %s %s", is_list ? "a list of" : "one of", setting->range);
            return false;
        }
        if (!is_list) break;
    }
    return true;
}

bool setting_parse(const struct setting *setting, struct slice text, int64_t *number, char reason[static SETTING_REASON_MAX])
{
    *number = 0;
    text = str_trim(text);
    if (is_whole_number(setting->type)) return parse_whole_number(setting, text, number, reason);
    switch (setting->type) {
    case SETTING_BOOLEAN: return parse_boolean(text, number, reason);
    case SETTING_DOUBLE: return parse_double(setting, text, reason);
    case SETTING_INT:
    case SETTING_SHORT:
    case SETTING_LONG:
    case SETTING_STRING:
    case SETTING_LIST:
    case SETTING_CLASS:
    case SETTING_PASSWORD: break;
    }
    return strcmp(setting->range, SETTING_REPLICAS) == 0 ? check_replicas(setting, text, reason) : check_choices(setting, text, reason);
}

const struct setting *setting_find(const struct setting *table, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal_str(name, table[i].name)) return &table[i];
    return NULL;
}

const struct setting *setting_nearest(const struct setting *table, size_t count, struct slice name)
{
    const struct setting *nearest = NULL;
    unsigned least = 4; /* more changes than that make another word */
    for (size_t i = 0; i < count; i++) {
        unsigned distance = str_distance(name, slice_str(table[i].name));
        if (distance < least) least = distance, nearest = &table[i];
    }
    return nearest;
}
