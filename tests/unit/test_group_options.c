/* The options of `skiff consumer-groups` (broker/cli/group_options.h): what goes together, and what is refused before anything is done. */
#include "broker/cli/group_options.h"
#include "broker/cli/group_text.h"

#include <check.h>

#define WORDS_MAX 16

static struct arena arena;
static void setup(void) { arena_init(&arena, 1 << 20); }
static void teardown(void) { arena_deinit(&arena); }

static const char *parse(const char *line, struct group_options *options)
{
    char *argv[WORDS_MAX + 1] = {NULL}, *rest = NULL;
    char *words = (char *)(uintptr_t)arena_printf(&arena, "consumer-groups %s", line).p;
    int argc = 0;
    for (char *word = strtok_r(words, " ", &rest); word && argc < WORDS_MAX; word = strtok_r(NULL, " ", &rest)) argv[argc++] = word;
    return group_options_parse(argc, argv, &arena, options);
}

START_TEST(each_way_to_reset)
{
    static const struct {
        const char *text;
        enum group_option reset;
        int64_t number;
    } cases[] = {
        {"--to-earliest", GROUP_OPTION_TO_EARLIEST, 0},
        {"--to-latest", GROUP_OPTION_TO_LATEST, 0},
        {"--to-current", GROUP_OPTION_TO_CURRENT, 0},
        {"--to-offset 12", GROUP_OPTION_TO_OFFSET, 12},
        {"--to-offset=12", GROUP_OPTION_TO_OFFSET, 12},
        {"--shift-by -5", GROUP_OPTION_SHIFT_BY, -5},
        {"--to-datetime 1970-01-01T00:00:01.000", GROUP_OPTION_TO_DATETIME, 1000},
        {"--by-duration PT2S", GROUP_OPTION_BY_DURATION, 2000},
        {"--from-file plan.csv", GROUP_OPTION_FROM_FILE, 0},
    };
    struct group_options options;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice line = arena_printf(&arena, "--reset-offsets --group a --group b --topic t:1,2 --execute %s", cases[i].text);
        const char *problem = parse((const char *)line.p, &options);
        ck_assert_msg(!problem, "%s: %s", cases[i].text, problem);
        ck_assert(options.action == GROUP_OPTION_RESET_OFFSETS && options.reset == cases[i].reset && options.number == cases[i].number);
        ck_assert(options.group_count == 2 && slice_equal_str(options.groups[1], "b"));
        ck_assert(options.topic_count == 1 && options.topics[0].count == 2 && options.has[GROUP_OPTION_EXECUTE]);
    }
}
END_TEST

START_TEST(other_actions)
{
    static const char *const accepted[] = {
        "--list",
        "--list --state",
        "--list --state empty,stable --type",
        "--describe --group g",
        "--describe --all-groups --members --verbose",
        "--describe --group g --state --verbose",
        "--describe --group g --offsets --timeout 100",
        "--delete --group a --group b",
        "--delete --all-groups --bootstrap-server h:1,h:2",
        "--delete-offsets --group g --topic t --topic u:1",
        "--reset-offsets --all-groups --all-topics --to-latest --export",
        "--reset-offsets --group g --from-file f",
    };
    struct group_options options;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        const char *problem = parse(accepted[i], &options);
        ck_assert_msg(!problem, "%s: %s", accepted[i], problem);
    }
    ck_assert(!parse("--list --state empty --type", &options));
    ck_assert_str_eq(options.value[GROUP_OPTION_STATE], "empty");
    ck_assert(!options.value[GROUP_OPTION_TYPE] && options.has[GROUP_OPTION_TYPE]);
    ck_assert_str_eq(options.bootstrap, "localhost:9092");
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    static const char *const refused[] = {
        "",
        "--list --describe --group g",
        "--describe",
        "--describe --group g --all-groups",
        "--describe --group g --members --offsets",
        "--describe --group g --state empty",
        "--describe --group",
        "--list --group g",
        "--list --verbose",
        "--list --state asleep",
        "--list --state empty,",
        "--list --type share",
        "list",
        "--lists",
        "--list=all",
        "--delete",
        "--delete --group g --topic t",
        "--delete --group g --dry-run", /* who asks for a rehearsal does not want it done */
        "--delete-offsets --group g",
        "--delete-offsets --group g --group h --topic t",
        "--delete-offsets --all-groups --topic t",
        "--reset-offsets --group g --to-latest",
        "--reset-offsets --topic t --to-latest",
        "--reset-offsets --group g --topic t",
        "--reset-offsets --group g --topic t --all-topics --to-latest",
        "--reset-offsets --group g --topic t: --to-latest",
        "--reset-offsets --group g --topic t --to-latest --to-earliest",
        "--reset-offsets --group g --topic t --to-offset 1 --to-offset 2",
        "--reset-offsets --group g --topic t --to-offset x",
        "--reset-offsets --group g --topic t --to-datetime yesterday",
        "--reset-offsets --group g --topic t --by-duration 1h",
        "--reset-offsets --group g --topic t --to-latest --execute --dry-run",
        "--list --timeout 0",
        "--list --timeout soon",
    };
    struct group_options options;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) ck_assert_msg(parse(refused[i], &options) != NULL, "%s", refused[i]);
}
END_TEST

START_TEST(help_names_every_option)
{
    struct slice help = group_options_help(&arena);
    static const char *const names[] = {
#define GROUP_OPTION(name, id, takes, goes_with, help) "--" name,
#include "broker/cli/group_options.def"
#undef GROUP_OPTION
    };
    for (size_t i = 0; i < GROUP_OPTION_COUNT; i++) ck_assert_msg(strstr((const char *)help.p, names[i]) != NULL, "%s", names[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_options");
    TCase *options = tcase_create("options");
    tcase_add_checked_fixture(options, setup, teardown);
    tcase_add_test(options, each_way_to_reset);
    tcase_add_test(options, other_actions);
    tcase_add_test(options, what_makes_no_sense_is_refused);
    tcase_add_test(options, help_names_every_option);
    suite_add_tcase(suite, options);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
