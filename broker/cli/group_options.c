#include "broker/cli/group_options.h"

#include "broker/cli/group_text.h"
#include "common/str.h"

#include <strings.h>

#define TIMEOUT_MS     10000
#define TIMEOUT_MS_MAX 3600000

enum takes { NOTHING, VALUE, MAYBE, MANY };
enum goes_with {
    WITH_LIST = 1 << GROUP_OPTION_LIST,
    WITH_DESCRIBE = 1 << GROUP_OPTION_DESCRIBE,
    WITH_RESET = 1 << GROUP_OPTION_RESET_OFFSETS,
    WITH_DELETE = 1 << GROUP_OPTION_DELETE,
    WITH_DELETE_OFFSETS = 1 << GROUP_OPTION_DELETE_OFFSETS,
    WITH_ALL = WITH_LIST | WITH_DESCRIBE | WITH_RESET | WITH_DELETE | WITH_DELETE_OFFSETS
};
struct row {
    const char *name;
    enum takes takes;
    unsigned goes_with;
    const char *help;
};
static const struct row rows[] = {
#define GROUP_OPTION(name, id, takes, goes_with, help) {(name), (takes), (goes_with), (help)},
#include "broker/cli/group_options.def"
#undef GROUP_OPTION
};
_Static_assert(sizeof rows / sizeof *rows == GROUP_OPTION_COUNT, "a row for each option");

#define EXPLAIN(arena, ...) ((const char *)arena_printf((arena), __VA_ARGS__).p)

/* ---- one argument -------------------------------------------------------------------------------------------------- */

struct parsing {
    char **argv;
    int argc, at;
    struct arena *arena;
    struct group_options *options;
};

static enum group_option find_option(struct slice name)
{
    enum group_option id = 0;
    while (id < GROUP_OPTION_COUNT && !slice_equal_str(name, rows[id].name)) id++;
    return id;
}

static const char *keep(struct parsing *p, enum group_option id, const char *value)
{
    struct group_options *options = p->options;
    if (options->has[id] && rows[id].takes != MANY) return EXPLAIN(p->arena, "--%s is given twice", rows[id].name);
    options->has[id] = true;
    options->value[id] = value;
    if (id == GROUP_OPTION_GROUP) options->groups[options->group_count++] = slice_str(value);
    if (id != GROUP_OPTION_TOPIC) return NULL;
    if (group_text_parse_scope(slice_str(value), p->arena, &options->topics[options->topic_count++])) return NULL;
    return EXPLAIN(p->arena, "%s is not TOPIC or TOPIC:PARTITION,...", value);
}

/* "--name VALUE" and "--name=VALUE". */
static const char *take_argument(struct parsing *p)
{
    const char *text = p->argv[p->at++], *value = NULL;
    struct slice rest = slice_str(text), name;
    if (strncmp(text, "--", 2) != 0) return EXPLAIN(p->arena, "%s is not an option", text);
    (void)str_split(&rest, '=', &name);
    enum group_option id = find_option(slice_make(name.p + 2, name.n - 2));
    if (id == GROUP_OPTION_COUNT) return EXPLAIN(p->arena, "there is no option %.*s", SLICE_ARG(name));
    bool has_value = !slice_is_null(rest), wants_value = rows[id].takes == VALUE || rows[id].takes == MANY;
    if (has_value && rows[id].takes == NOTHING) return EXPLAIN(p->arena, "--%s takes no value", rows[id].name);
    if (has_value)
        value = (const char *)rest.p;
    else if (p->at < p->argc && (wants_value || (rows[id].takes == MAYBE && p->argv[p->at][0] != '-')))
        value = p->argv[p->at++];
    if (wants_value && !value) return EXPLAIN(p->arena, "--%s needs a value", rows[id].name);
    return keep(p, id, value);
}

/* ---- what goes together -------------------------------------------------------------------------------------------- */

/* How many of them are given; *last is one of those. */
static int count_given(const struct group_options *options, enum group_option from, enum group_option to, enum group_option *last)
{
    int n = 0;
    for (enum group_option id = from; id <= to; id++)
        if (options->has[id]) n++, *last = id;
    return n;
}

static const char *check_action(struct parsing *p)
{
    struct group_options *options = p->options;
    if (count_given(options, GROUP_OPTION_LIST, GROUP_OPTION_DELETE_OFFSETS, &options->action) != 1)
        return "one of --list, --describe, --reset-offsets, --delete and --delete-offsets must be given";
    for (enum group_option id = GROUP_OPTION_DELETE_OFFSETS + 1; id < GROUP_OPTION_COUNT; id++)
        if (options->has[id] && !(rows[id].goes_with & 1u << options->action))
            return EXPLAIN(p->arena, "--%s does not go with --%s", rows[id].name, rows[options->action].name);
    return NULL;
}

static const char *check_groups(struct parsing *p)
{
    const struct group_options *options = p->options;
    const char *action = rows[options->action].name;
    if (options->action == GROUP_OPTION_LIST) return NULL;
    if (options->has[GROUP_OPTION_GROUP] && options->has[GROUP_OPTION_ALL_GROUPS]) return "--group and --all-groups exclude each other";
    if (options->action == GROUP_OPTION_DELETE_OFFSETS && options->group_count != 1) return "--delete-offsets needs one --group";
    if (options->group_count == 0 && !options->has[GROUP_OPTION_ALL_GROUPS])
        return EXPLAIN(p->arena, "--%s needs --group or --all-groups", action);
    return NULL;
}

/* "a,b": each of them is one of the names, whatever its case. */
static bool are_names(const char *text, const char *const *names, size_t count)
{
    struct slice rest = slice_str(text), part;
    while (str_split(&rest, ',', &part)) {
        bool is_name = false;
        part = str_trim(part);
        for (size_t i = 0; i < count; i++)
            is_name |= part.n == strlen(names[i]) && strncasecmp((const char *)part.p, names[i], part.n) == 0;
        if (!is_name) return false;
    }
    return true;
}

static const char *check_list(const struct group_options *options)
{
    static const char *const states[] = {"PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty",
                                         "Assigning",          "Reconciling"};
    static const char *const types[] = {"classic", "consumer"};
    if (!are_names(options->value[GROUP_OPTION_STATE], states, sizeof states / sizeof *states))
        return "--state takes of PreparingRebalance, CompletingRebalance, Stable, Dead, Empty, Assigning and Reconciling";
    if (!are_names(options->value[GROUP_OPTION_TYPE], types, sizeof types / sizeof *types)) return "--type takes of classic and consumer";
    return NULL;
}

static const char *check_describe(const struct group_options *options)
{
    if (options->has[GROUP_OPTION_STATE] + options->has[GROUP_OPTION_OFFSETS] + options->has[GROUP_OPTION_MEMBERS] > 1)
        return "--offsets, --members and --state exclude each other";
    return options->value[GROUP_OPTION_STATE] ? "--state takes no value with --describe" : NULL;
}

static const char *check_topics(const struct group_options *options)
{
    if (options->action == GROUP_OPTION_DELETE_OFFSETS) return options->topic_count ? NULL : "--delete-offsets needs --topic";
    if (options->topic_count && options->has[GROUP_OPTION_ALL_TOPICS]) return "--topic and --all-topics exclude each other";
    if (options->topic_count || options->has[GROUP_OPTION_ALL_TOPICS] || options->reset == GROUP_OPTION_FROM_FILE) return NULL;
    return "--reset-offsets needs --topic or --all-topics";
}

static const char *check_reset(struct parsing *p)
{
    struct group_options *options = p->options;
    if (count_given(options, GROUP_OPTION_TO_EARLIEST, GROUP_OPTION_FROM_FILE, &options->reset) != 1)
        return "--reset-offsets needs one of --to-earliest, --to-latest, --to-current, --to-offset, --shift-by, --to-datetime, "
               "--by-duration and --from-file";
    if (options->has[GROUP_OPTION_DRY_RUN] && options->has[GROUP_OPTION_EXECUTE]) return "--dry-run and --execute exclude each other";
    const char *text = options->value[options->reset];
    struct slice value = slice_str(text);
    bool is_fine = true;
    if (options->reset == GROUP_OPTION_TO_OFFSET || options->reset == GROUP_OPTION_SHIFT_BY)
        is_fine = str_parse_i64(value, &options->number);
    else if (options->reset == GROUP_OPTION_TO_DATETIME)
        is_fine = group_text_parse_time(value, &options->number);
    else if (options->reset == GROUP_OPTION_BY_DURATION)
        is_fine = group_text_parse_duration(value, &options->number);
    if (!is_fine)
        return EXPLAIN(p->arena, "--%s cannot be \"%s\"; it takes %s", rows[options->reset].name, text, rows[options->reset].help);
    return check_topics(options);
}

static const char *check(struct parsing *p)
{
    struct group_options *options = p->options;
    const char *problem = check_action(p);
    if (!problem) problem = check_groups(p);
    if (problem) return problem;
    if (options->action == GROUP_OPTION_LIST) return check_list(options);
    if (options->action == GROUP_OPTION_DESCRIBE) return check_describe(options);
    if (options->action == GROUP_OPTION_RESET_OFFSETS) return check_reset(p);
    return options->action == GROUP_OPTION_DELETE_OFFSETS ? check_topics(options) : NULL;
}

const char *group_options_parse(int argc, char **argv, struct arena *arena, struct group_options *options)
{
    struct parsing p = {.argv = argv, .argc = argc, .at = 1, .arena = arena, .options = options};
    *options = (struct group_options){.timeout_ms = TIMEOUT_MS};
    options->groups = arena_calloc(arena, (size_t)argc, sizeof *options->groups);
    options->topics = arena_calloc(arena, (size_t)argc, sizeof *options->topics);
    while (p.at < argc) {
        const char *problem = take_argument(&p);
        if (problem) return problem;
    }
    options->bootstrap = options->has[GROUP_OPTION_BOOTSTRAP] ? options->value[GROUP_OPTION_BOOTSTRAP] : "localhost:9092";
    const char *timeout = options->value[GROUP_OPTION_TIMEOUT];
    if (timeout &&
        (!str_parse_i64(slice_str(timeout), &options->timeout_ms) || options->timeout_ms < 1 || options->timeout_ms > TIMEOUT_MS_MAX))
        return "--timeout takes milliseconds, an hour at most";
    return check(&p);
}

/* ---- help ---------------------------------------------------------------------------------------------------------- */

static struct slice append(struct arena *arena, struct slice text, const struct row *row)
{
    static const char *const value[] = {[NOTHING] = "", [VALUE] = " ...", [MAYBE] = " [...]", [MANY] = " ..."};
    struct slice option = arena_printf(arena, "--%s%s", row->name, value[row->takes]);
    return arena_printf(arena, "%.*s  %-24s %s\n", SLICE_ARG(text), (const char *)option.p, row->help);
}

struct slice group_options_help(struct arena *arena)
{
    struct slice text = SLICE_LITERAL("usage: skiff consumer-groups ACTION [OPTION]...\n\nactions:\n");
    for (enum group_option id = 0; id <= GROUP_OPTION_DELETE_OFFSETS; id++) text = append(arena, text, &rows[id]);
    for (enum group_option action = 0; action <= GROUP_OPTION_DELETE_OFFSETS; action++) {
        text = arena_printf(arena, "%.*s\nwith --%s:\n", SLICE_ARG(text), rows[action].name);
        for (enum group_option id = GROUP_OPTION_DELETE_OFFSETS + 1; id < GROUP_OPTION_COUNT; id++)
            if (rows[id].goes_with != WITH_ALL && rows[id].goes_with & 1u << action) text = append(arena, text, &rows[id]);
    }
    text = arena_printf(arena, "%.*s\nalways:\n", SLICE_ARG(text));
    for (enum group_option id = 0; id < GROUP_OPTION_COUNT; id++)
        if (rows[id].goes_with == WITH_ALL) text = append(arena, text, &rows[id]);
    return arena_printf(arena, "%.*s\nStatus: 0, 1 when something was refused or failed, 2 when the options make no sense.\n",
                        SLICE_ARG(text));
}
