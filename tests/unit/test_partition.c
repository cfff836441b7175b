/* broker/replica/partition: plays the transcripts tests/scenario/partition_*.txt. A line without indent is an event; the indented
 * lines below it are what the partition must say, all of it and nothing more. The files explain the rules better than code. */
#include "broker/replica/partition.h"
#include "common/mem.h"
#include "common/mutant.h"
#include "common/str.h"

#include <check.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WAITERS_MAX 64
#define WORDS_MAX   16
#define OUTPUT_MAX  4096

struct player {
    struct partition_settings settings;
    struct partition partition;
    bool is_open;
    int64_t now_us;
    struct isr_proposal proposal; /* the last one */
    uint32_t flush_truncations;   /* when the last flush began */
    struct produce_waiter waiters[WAITERS_MAX];
    size_t waiter_count;
    char output[OUTPUT_MAX];
    size_t output_size;
};

static glob_t files;

#ifdef SKIFF_MUTANTS
/* MUTANT=name in the environment plants one bug: a transcript must notice. */
bool mutant_is_on(const char *name)
{
    const char *wanted = getenv("MUTANT");
    return wanted && strcmp(wanted, name) == 0;
}
#endif

__attribute__((format(printf, 2, 3))) static void say(struct player *player, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    player->output_size += (size_t)vsnprintf(player->output + player->output_size, OUTPUT_MAX - player->output_size, format, arguments);
    va_end(arguments);
    ck_assert_uint_lt(player->output_size, OUTPUT_MAX);
}

/* ---- the words of a line: "name", "name=value" ---- */

struct words {
    char *names[WORDS_MAX], *values[WORDS_MAX];
    size_t count;
};

static void split(char *line, struct words *words)
{
    words->count = 0;
    for (char *save = NULL, *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(word, '=');
        if (equals) *equals = '\0';
        words->names[words->count] = word;
        words->values[words->count++] = equals ? equals + 1 : NULL;
    }
}
static const char *text(const struct words *words, const char *name)
{
    for (size_t i = 1; i < words->count; i++)
        if (strcmp(words->names[i], name) == 0) return words->values[i] ? words->values[i] : "";
    return NULL;
}
static int64_t parse(const char *value)
{
    int64_t number = 0;
    ck_assert_msg(str_parse_i64(slice_str(value), &number), "not a number: %s", value);
    return number;
}
static int64_t number(const struct words *words, const char *name, int64_t otherwise)
{
    const char *value = text(words, name);
    return value ? parse(value) : otherwise;
}
static size_t ids(const struct words *words, const char *name, int32_t out[static REPLICAS_MAX])
{
    const char *value = text(words, name);
    struct slice rest = value ? slice_str(value) : SLICE_NULL, part;
    size_t count = 0;
    while (str_split(&rest, ',', &part)) {
        int64_t id = 0;
        if (part.n && str_parse_i64(part, &id)) out[count++] = (int32_t)id;
    }
    return count;
}
static bool holds(const int32_t *list, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == id) return true;
    return false;
}

/* ---- saying what happened ---- */

static void say_isr(struct player *player, isr_set isr)
{
    const char *separator = "";
    for (size_t i = 0; i < player->partition.replica_count; i++)
        if (isr_has(isr, i)) {
            say(player, "%s%d", separator, player->partition.replicas[i].id);
            separator = ",";
        }
}

static void say_changes(struct player *player, unsigned changed)
{
    const struct partition *p = &player->partition;
    if (changed & PARTITION_ROLE_CHANGED) say(player, "role %s, epoch %d\n", partition_role_name(p->role), p->leader_epoch);
    if (changed & PARTITION_ISR_CHANGED) {
        say(player, "isr ");
        say_isr(player, p->isr);
        say(player, "\n");
    }
    if (changed & PARTITION_START_MOVED) say(player, "start %lld\n", (long long)p->log_start);
    if (changed & PARTITION_END_MOVED) say(player, "end %lld\n", (long long)p->log_end);
    if (changed & PARTITION_WATERMARK_MOVED) say(player, "hw %lld\n", (long long)p->high_watermark);
}

static void step(struct player *player, struct partition_event event)
{
    struct partition_actions actions;
    event.now_us = player->now_us;
    partition_step(&player->partition, &event, &actions);
    say_changes(player, actions.changed);
    LIST_FOR_EACH (&actions.completed, node) {
        const struct produce_waiter *waiter = CONTAINER_OF(node, struct produce_waiter, node);
        if (waiter->error == KAFKA_NONE)
            say(player, "ack %lld\n", (long long)waiter->required_offset);
        else
            say(player, "fail %lld %s\n", (long long)waiter->required_offset, kafka_error_name((int16_t)waiter->error));
        list_remove(node);
    }
    if (!actions.propose) return;
    player->proposal = actions.proposal;
    say(player, "propose isr ");
    say_isr(player, actions.proposal.isr);
    say(player, " at %d/%d\n", actions.proposal.leader_epoch, actions.proposal.partition_epoch);
}

/* ---- the events ---- */

static void open_partition(struct player *player, const struct words *words)
{
    player->settings = (struct partition_settings){.local_id = (int32_t)number(words, "node", 0),
                                                   .counts_unflushed = text(words, "policy") && strcmp(text(words, "policy"), "os") == 0,
                                                   .lag_max_us = number(words, "lag", 30000) * 1000};
    int64_t end = number(words, "end", 0);
    partition_init(&player->partition, &player->settings, UUID_ZERO, 0, number(words, "start", 0), end, number(words, "durable", end),
                   number(words, "hw", 0));
    player->is_open = true;
    struct partition_event event = {.type = PARTITION_CONFIGURED, .configured = {.min_insync = (int32_t)number(words, "min", 1)}};
    step(player, event);
}

static void assign(struct player *player, const struct words *words)
{
    struct partition_member members[REPLICAS_MAX];
    int32_t replicas[REPLICAS_MAX], isr[REPLICAS_MAX], fenced[REPLICAS_MAX], restarted[REPLICAS_MAX], unregistered[REPLICAS_MAX];
    int32_t elr[REPLICAS_MAX];
    size_t elr_count = ids(words, "elr", elr);
    size_t fenced_count = ids(words, "fenced", fenced), restarted_count = ids(words, "restarted", restarted);
    size_t unregistered_count = ids(words, "unregistered", unregistered);
    struct partition_event event = {.type = PARTITION_ASSIGNED,
                                    .assigned = {.leader_id = (int32_t)number(words, "leader", -1),
                                                 .leader_epoch = (int32_t)number(words, "epoch", -1),
                                                 .partition_epoch = (int32_t)number(words, "change", -1),
                                                 .members = members,
                                                 .member_count = ids(words, "replicas", replicas),
                                                 .isr = isr,
                                                 .isr_count = ids(words, "isr", isr)}};
    for (size_t i = 0; i < event.assigned.member_count; i++) {
        bool is_registered = !holds(unregistered, unregistered_count, replicas[i]);
        int64_t registered = holds(restarted, restarted_count, replicas[i]) ? 2 : 1;
        members[i] = (struct partition_member){.id = replicas[i],
                                               .is_eligible = is_registered && !holds(fenced, fenced_count, replicas[i]),
                                               .is_electable = holds(elr, elr_count, replicas[i]),
                                               .broker_epoch = is_registered ? registered : -1};
    }
    step(player, event);
}

static void log_event(struct player *player, enum partition_event_type type, const struct words *words)
{
    struct partition_event event = {.type = type, .log = {.offset = parse(words->names[1]), .truncations = player->partition.truncations}};
    if (type == PARTITION_FLUSHED && text(words, "begun-before-the-cut")) event.log.truncations--;
    step(player, event);
}

static void fetch_by(struct player *player, const struct words *words)
{
    struct partition_event event = {.type = PARTITION_FETCHED_BY,
                                    .fetched_by = {.replica_id = (int32_t)parse(words->names[1]),
                                                   .broker_epoch = number(words, "incarnation", 1),
                                                   .offset = number(words, "offset", 0),
                                                   .log_start = number(words, "start", 0),
                                                   .is_matching = !text(words, "diverging")}};
    step(player, event);
}

static void wait_for(struct player *player, const struct words *words)
{
    ck_assert_uint_lt(player->waiter_count, WAITERS_MAX);
    struct produce_waiter *waiter = &player->waiters[player->waiter_count++];
    *waiter = (struct produce_waiter){.required_offset = parse(words->names[1]), .leader_epoch = player->partition.leader_epoch};
    step(player, (struct partition_event){.type = PARTITION_WAITING, .waiting = waiter});
}

static enum kafka_error error_named(const char *name)
{
    for (int16_t code = -1; code < 200; code++)
        if (strcmp(kafka_error_name(code), name) == 0) return (enum kafka_error)code;
    ck_abort_msg("no such error: %s", name);
}

static void answer(struct player *player, const struct words *words)
{
    struct partition_event event = {.type = PARTITION_ISR_ANSWERED,
                                    .isr_answered = {.proposal = player->proposal, .error = error_named(words->names[1])}};
    step(player, event);
}

static void ask(struct player *player, const struct words *words)
{
    const struct partition *p = &player->partition;
    const char *what = words->names[1];
    if (strcmp(what, "produce") == 0)
        say(player, "%s\n", kafka_error_name((int16_t)partition_check_produce(p, (int16_t)number(words, "acks", -1))));
    else if (strcmp(what, "leader") == 0)
        say(player, "%s\n", kafka_error_name((int16_t)partition_check_leader(p, (int32_t)number(words, "epoch", -1))));
    else if (strcmp(what, "follower") == 0)
        say(player, "%s\n",
            kafka_error_name((int16_t)partition_check_follower(p, (int32_t)number(words, "id", -1), number(words, "incarnation", 1),
                                                               (int32_t)number(words, "epoch", -1))));
    else if (strcmp(what, "may-fetch") == 0)
        say(player, "%s\n", partition_can_fetch(p) ? "yes" : "no");
    else if (strcmp(what, "cut") == 0)
        say(player, "%lld\n", (long long)partition_cut_offset(p, number(words, "leader", 0), number(words, "own", 0)));
    else if (strcmp(what, "end-known") == 0)
        say(player, "%s\n", partition_is_end_known(p) ? "yes" : "no");
    else if (strcmp(what, "low-watermark") == 0)
        say(player, "%lld\n", (long long)partition_low_watermark(p, number(words, "own", p->log_start)));
    else if (strcmp(what, "offsets") == 0)
        say(player, "start %lld hw %lld durable %lld end %lld\n", (long long)p->log_start, (long long)p->high_watermark,
            (long long)p->durable_end, (long long)p->log_end);
    else
        ck_abort_msg("ask what? %s", what);
}

static void play(struct player *player, const struct words *words)
{
    static const struct {
        const char *name;
        void (*run)(struct player *player, const struct words *words);
    } commands[] = {{"open", open_partition}, {"assign", assign}, {"fetch-by", fetch_by},
                    {"wait", wait_for},       {"answer", answer}, {"ask", ask}};
    static const struct {
        const char *name;
        enum partition_event_type type;
    } log_events[] = {{"append", PARTITION_APPENDED},
                      {"flush", PARTITION_FLUSHED},
                      {"truncate", PARTITION_TRUNCATED},
                      {"trim", PARTITION_TRIMMED},
                      {"reset", PARTITION_RESET}},
      bare[] = {{"tick", PARTITION_TICK}, {"remove", PARTITION_REMOVED}, {"disk-fails", PARTITION_FAILED}};
    const char *name = words->names[0];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0) {
            commands[i].run(player, words);
            return;
        }
    for (size_t i = 0; i < sizeof log_events / sizeof *log_events; i++)
        if (strcmp(name, log_events[i].name) == 0) {
            log_event(player, log_events[i].type, words);
            return;
        }
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
        if (strcmp(name, bare[i].name) == 0) {
            step(player, (struct partition_event){.type = bare[i].type});
            return;
        }
    if (strcmp(name, "fetched") == 0)
        step(player, (struct partition_event){.type = PARTITION_FETCHED, .fetched = {.leader_high_watermark = number(words, "hw", 0)}});
    else if (strcmp(name, "min") == 0)
        step(player, (struct partition_event){.type = PARTITION_CONFIGURED, .configured = {.min_insync = (int32_t)parse(words->names[1])}});
    else if (strcmp(name, "pass") == 0)
        player->now_us += parse(words->names[1]) * 1000;
    else
        ck_abort_msg("no such event: %s", name);
}

/* ---- the transcript ---- */

static void close_partition(struct player *player)
{
    if (!player->is_open) return;
    player->output_size = 0;
    step(player, (struct partition_event){.type = PARTITION_REMOVED});
    partition_deinit(&player->partition);
    player->is_open = false;
    player->waiter_count = 0;
}

struct expectation {
    char text[OUTPUT_MAX];
    size_t size;
    char event[256];
    int line;
};

static void compare(struct player *player, struct expectation *expected, const char *path)
{
    if (expected->event[0])
        ck_assert_msg(strcmp(player->output, expected->text) == 0, "%s:%d: %s\nexpected:\n%ssaid:\n%s", path, expected->line,
                      expected->event, expected->text, player->output);
    player->output_size = 0;
    player->output[0] = '\0';
    expected->size = 0;
    expected->text[0] = '\0';
}

static void play_file(const char *path)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    struct player *player = mem_alloc(sizeof *player);
    struct expectation *expected = mem_alloc(sizeof *expected);
    char line[256];
    for (int at = 1; fgets(line, sizeof line, file); at++) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') continue;
        if (line[0] == ' ') {
            expected->size +=
                (size_t)snprintf(expected->text + expected->size, OUTPUT_MAX - expected->size, "%s\n", line + strspn(line, " "));
            continue;
        }
        compare(player, expected, path);
        (void)snprintf(expected->event, sizeof expected->event, "%s", line);
        expected->line = at;
        struct words words;
        split(line, &words);
        if (strcmp(words.names[0], "open") == 0) close_partition(player);
        player->output[0] = '\0';
        player->output_size = 0;
        play(player, &words);
    }
    compare(player, expected, path);
    close_partition(player);
    mem_free(player);
    mem_free(expected);
    (void)fclose(file);
}

START_TEST(transcript) { play_file(files.gl_pathv[_i]); }
END_TEST

int main(void)
{
    Suite *suite = suite_create("partition");
    if (glob("tests/scenario/partition_*.txt", 0, NULL, &files) != 0) {
        (void)fprintf(stderr, "run me from the top of the tree: tests/scenario/partition_*.txt\n");
        return EXIT_FAILURE;
    }
    TCase *tcase = tcase_create("transcripts");
    tcase_add_loop_test(tcase, transcript, 0, (int)files.gl_pathc);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    globfree(&files);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
