/* Plays the transcripts tests/scenario/raft_*.txt: TAP, one test a file.
 *
 *     scenario_raft [--rewrite] FILE...
 *
 * A line that begins with a letter is a command; indented lines are what must happen, exactly; everything else is a comment.
 * --rewrite puts what does happen into the files: read the difference before you keep it.
 *
 *     new VOTERS [LEARNERS]         empty directories, nobody runs
 *     past N TERM [TERM OF ENTRY]*  node N was in the cluster before, in TERM, with these entries
 *     start N* | crash N | wipe N   a crash loses what is not durable; a wiped node has an empty directory of another id
 *     tick N [MS]                   to N's deadline, or so much later
 *     persist N                     N's disk has done all that was asked
 *     deliver [FROM] TO             what is under way arrives; `deliver` alone: everything
 *     lose [FROM] TO                ... or not
 *     settle                        disks and network, until nothing moves
 *     cut N | heal N                nothing to or from N
 *     broken N LEADER               N's connection to LEADER breaks
 *     failed N PEER                 N's requests to PEER will have no answer
 *     propose N TEXT | transfer N [TO] | snapshot N
 *     show N*                       state; `?` marks entries that are not durable */
#include "common/mem.h"
#include "tests/scenario/raft_stage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 512
#define WORDS_MAX      32

struct command {
    int count;
    char *words[WORDS_MAX];
    char text[LINE_MAX_BYTES];
};

static void split(struct command *command, const char *line)
{
    snprintf(command->text, sizeof command->text, "%s", line);
    command->count = 0;
    char *rest = command->text;
    for (char *word; command->count < WORDS_MAX && (word = strsep(&rest, " \n"));)
        if (*word) command->words[command->count++] = word;
}

static int64_t number(const struct command *command, int word, int64_t otherwise)
{
    return word < command->count ? strtoll(command->words[word], NULL, 10) : otherwise;
}

static bool is_node(const struct stage *stage, const struct command *command, int word)
{
    return number(command, word, -1) >= 0 && number(command, word, -1) < stage->count;
}

static bool run_on_each(struct stage *stage, const struct command *command, void (*fn)(struct stage *stage, int n))
{
    for (int i = 1; i < command->count; i++) {
        if (!is_node(stage, command, i)) return false;
        fn(stage, (int)number(command, i, 0));
    }
    return true;
}

static bool run_past(struct stage *stage, const struct command *command)
{
    int64_t terms[WORDS_MAX];
    int count = 0;
    if (!is_node(stage, command, 1) || command->count < 3) return false;
    for (int i = 3; i < command->count; i++) terms[count++] = number(command, i, 0);
    stage_past(stage, (int)number(command, 1, 0), number(command, 2, 0), terms, count);
    return true;
}

static void deliver(struct stage *stage, int from, int to) { (void)stage_deliver(stage, from, to); }

static bool run_traffic(struct stage *stage, const struct command *command, void (*fn)(struct stage *stage, int from, int to))
{
    int from = command->count > 2 ? (int)number(command, 1, -1) : -1;
    int to = (int)number(command, command->count > 2 ? 2 : 1, -1);
    fn(stage, from, to);
    return true;
}

static bool run_on_node(struct stage *stage, const struct command *command)
{
    const char *verb = command->words[0];
    if (!is_node(stage, command, 1)) return false;
    int n = (int)number(command, 1, 0);
    if (strcmp(verb, "crash") == 0)
        stage_crash(stage, n);
    else if (strcmp(verb, "wipe") == 0)
        stage_wipe(stage, n);
    else if (strcmp(verb, "tick") == 0)
        stage_tick(stage, n, number(command, 2, -1));
    else if (strcmp(verb, "persist") == 0)
        stage_persist(stage, n);
    else if (strcmp(verb, "cut") == 0)
        stage_cut(stage, n, true);
    else if (strcmp(verb, "heal") == 0)
        stage_cut(stage, n, false);
    else if (strcmp(verb, "snapshot") == 0)
        stage_snapshot(stage, n);
    else if (strcmp(verb, "propose") == 0)
        stage_propose(stage, n, command->count > 2 ? command->words[2] : "");
    else if (strcmp(verb, "transfer") == 0)
        stage_event(stage, n, (struct raft_event){.type = RAFT_TRANSFER, .node_id = (int32_t)number(command, 2, RAFT_NOBODY)});
    else if (strcmp(verb, "broken") == 0)
        stage_event(stage, n, (struct raft_event){.type = RAFT_CONNECTION_BROKEN, .node_id = (int32_t)number(command, 2, RAFT_NOBODY)});
    else if (strcmp(verb, "failed") == 0)
        stage_event(stage, n, (struct raft_event){.type = RAFT_SEND_FAILED, .node_id = (int32_t)number(command, 2, RAFT_NOBODY)});
    else
        return false;
    return true;
}

/* False: not a command. */
static bool run_command(struct stage *stage, const char *line)
{
    struct command command;
    split(&command, line);
    const char *verb = command.words[0];
    if (strcmp(verb, "new") == 0) {
        FILE *out = stage->out;
        stage_deinit(stage);
        stage_init(stage, out);
        stage_new(stage, (int)number(&command, 1, 3), (int)number(&command, 2, 0));
        return true;
    }
    if (strcmp(verb, "past") == 0) return run_past(stage, &command);
    if (strcmp(verb, "start") == 0) return run_on_each(stage, &command, stage_start);
    if (strcmp(verb, "show") == 0) return run_on_each(stage, &command, stage_show);
    if (strcmp(verb, "deliver") == 0) return run_traffic(stage, &command, deliver);
    if (strcmp(verb, "lose") == 0) return run_traffic(stage, &command, stage_lose);
    if (strcmp(verb, "settle") == 0) {
        stage_settle(stage);
        return true;
    }
    return run_on_node(stage, &command);
}

/* The file as it should be, given what happens. NULL: it cannot be read, or a command is none. */
static char *play(FILE *in, const char *path, size_t *size)
{
    char *text = NULL, line[LINE_MAX_BYTES];
    FILE *out = open_memstream(&text, size);
    struct stage *stage = mem_alloc(sizeof *stage);
    bool is_sound = true;
    stage_init(stage, out);
    for (int number_of_line = 1; is_sound && fgets(line, sizeof line, in); number_of_line++) {
        if (line[0] == ' ') continue; /* an expectation: what happens was printed already */
        fputs(line, out);
        if (line[0] < 'a' || line[0] > 'z') continue;
        is_sound = run_command(stage, line);
        if (!is_sound) printf("# %s:%d: not a command: %s", path, number_of_line, line);
    }
    stage_deinit(stage);
    mem_free(stage);
    fclose(out);
    if (is_sound) return text;
    free(text);
    return NULL;
}

static void show_difference(const char *expected, const char *actual)
{
    int line = 1;
    const char *start_expected = expected, *start_actual = actual;
    for (; *expected && *expected == *actual; expected++, actual++) {
        if (*expected != '\n') continue;
        start_expected = expected + 1;
        start_actual = actual + 1;
        line++;
    }
    printf("# line %d\n#   expected: %.*s\n#   happened: %.*s\n", line, (int)strcspn(start_expected, "\n"), start_expected,
           (int)strcspn(start_actual, "\n"), start_actual);
}

static char *read_all(FILE *in)
{
    char *text = NULL, line[LINE_MAX_BYTES];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    while (fgets(line, sizeof line, in)) fputs(line, out);
    fclose(out);
    rewind(in);
    return text;
}

static bool run_file(const char *path, bool is_rewrite)
{
    FILE *in = fopen(path, "r");
    if (!in) {
        printf("not ok - %s cannot be read\n", path);
        return false;
    }
    char *expected = read_all(in);
    size_t size = 0;
    char *actual = play(in, path, &size);
    fclose(in);
    bool is_ok = actual && strcmp(expected, actual) == 0;
    if (!is_ok && actual) show_difference(expected, actual);
    if (!is_ok && actual && is_rewrite) {
        FILE *out = fopen(path, "w");
        if (out) fputs(actual, out);
        if (out) fclose(out);
    }
    printf("%s - %s\n", is_ok ? "ok" : "not ok", path);
    free(expected);
    free(actual);
    return is_ok;
}

int main(int argc, char **argv)
{
    bool is_rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    static const char *const all[] = {
        "tests/scenario/raft_birth.txt",    "tests/scenario/raft_election.txt", "tests/scenario/raft_replication.txt",
        "tests/scenario/raft_snapshot.txt", "tests/scenario/raft_amnesia.txt",
    };
    int failed = 0;
    for (int i = is_rewrite ? 2 : 1; i < argc; i++) failed += !run_file(argv[i], is_rewrite);
    if (argc > 1) return failed != 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) failed += !run_file(all[i], false);
    return failed != 0;
}
