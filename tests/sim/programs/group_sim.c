/* Consumer groups in whole clusters under faults, one seed after the other: TAP.
 *
 *     group_sim [--seeds FROM-TO] [--seconds N] [--mutant NAME]
 *
 * Without arguments: what `make check` runs. A failing seed prints the line that runs it alone. No seed begins after N seconds. With
 * --mutant (a build with planted bugs: make check-mutants-groups) some seed must fail. */
#include "common/mutant.h"
#include "tests/sim/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEEDS_MAX 100000

static struct arguments {
    uint64_t from, to;
    int64_t seconds;
    const char *mutant;
} arguments = {.from = 1, .to = 40, .seconds = 15};

struct totals {
    uint64_t count, failed, acked, read, rebalances;
};

#ifdef SKIFF_MUTANTS
bool mutant_is_on(const char *name) { return arguments.mutant && strcmp(name, arguments.mutant) == 0; }
#endif

static bool parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0) {
            if (sscanf(argv[i + 1], "%" SCNu64 "-%" SCNu64, &arguments.from, &arguments.to) != 2) return false;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            arguments.seconds = strtoll(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--mutant") == 0) {
            arguments.mutant = argv[i + 1];
        } else {
            return false;
        }
    }
    return argc % 2 == 1 && arguments.from <= arguments.to && arguments.to - arguments.from < SEEDS_MAX;
}

/* In a process of its own: an assertion hides no other seed. */
static bool run(uint64_t seed, struct cluster_result *result)
{
    const struct cluster_options options = {
        .seed = seed, .shape = {3, 3, 0}, .has_groups = true, .faults = seed % 2 ? group_faults : group_usurping_faults};
    *result = (struct cluster_result){.outcome = OUTCOME_FAIL, .verdict.id = "died"};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        cluster_run(&options, result);
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 &&
           (result->outcome == OUTCOME_PASS || result->outcome == OUTCOME_VACUOUS);
}

static void report_failure(uint64_t seed, const struct cluster_result *result)
{
    printf("not ok - groups seed %" PRIu64 ": %s %s: %s\n# group_sim --seeds %" PRIu64 "-%" PRIu64 "\n", seed,
           outcome_name(result->outcome), result->verdict.id ? result->verdict.id : "", result->verdict.text, seed, seed);
}

static int check(struct cluster_result *result)
{
    struct totals t = {0};
    const time_t began = time(NULL);
    for (uint64_t seed = arguments.from; seed <= arguments.to && time(NULL) - began < arguments.seconds; seed++, t.count++) {
        bool is_ok = run(seed, result);
        t.acked += result->group_commits;
        t.read += result->group_reads;
        t.rebalances += result->rebalances;
        t.failed += !is_ok;
        if (!is_ok) report_failure(seed, result);
    }
    bool is_vacuous = t.acked < t.count || t.rebalances < 2 * t.count;
    printf("%s - groups under faults, %" PRIu64 " seeds from %" PRIu64 "\n", t.failed || is_vacuous ? "not ok" : "ok", t.count,
           arguments.from);
    printf("# %" PRIu64 " commits acknowledged, %" PRIu64 " offsets read, %" PRIu64 " rebalances\n", t.acked, t.read, t.rebalances);
    return t.failed || is_vacuous;
}

/* The mutant must be caught. */
static int hunt(struct cluster_result *result)
{
    for (uint64_t seed = arguments.from; seed <= arguments.to; seed++) {
        if (run(seed, result)) continue;
        printf("ok - mutant %s dies: seed %" PRIu64 ", %s\n# %s\n", arguments.mutant, seed,
               result->verdict.id ? result->verdict.id : outcome_name(result->outcome), result->verdict.text);
        return 0;
    }
    printf("not ok - mutant %s survives\n", arguments.mutant);
    return 1;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: group_sim [--seeds FROM-TO] [--seconds N] [--mutant NAME]\n");
        return 2;
    }
    struct cluster_result *result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED) return 2;
    return arguments.mutant ? hunt(result) : check(result);
}
