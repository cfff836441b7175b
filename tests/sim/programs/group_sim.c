/* Consumer groups in whole clusters under faults, one seed after the other: TAP.
 *
 *     group_sim [--seeds FROM-TO] [--seconds N]
 *
 * Without arguments: what `make check` runs. A failing seed prints the line that runs it alone. No seed begins after N seconds. */
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

#ifdef SKIFF_MUTANTS
bool mutant_is_on(const char *name) { return name == NULL; }
#endif

struct arguments {
    uint64_t from, to;
    int64_t seconds;
};

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0) {
            if (sscanf(argv[i + 1], "%" SCNu64 "-%" SCNu64, &arguments->from, &arguments->to) != 2) return false;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            arguments->seconds = strtoll(argv[i + 1], NULL, 10);
        } else {
            return false;
        }
    }
    return argc % 2 == 1 && arguments->from <= arguments->to && arguments->to - arguments->from < SEEDS_MAX;
}

/* In a process of its own: an assertion hides no other seed. */
static bool run(uint64_t seed, struct cluster_result *result)
{
    const struct cluster_options options = {.seed = seed, .shape = {3, 3, 0}, .has_groups = true, .faults = group_faults};
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

int main(int argc, char **argv)
{
    struct arguments arguments = {.from = 1, .to = 40, .seconds = 15};
    uint64_t failed = 0, count = 0, acked = 0, read = 0, rebalances = 0;
    const time_t began = time(NULL);
    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr, "usage: group_sim [--seeds FROM-TO] [--seconds N]\n");
        return 2;
    }
    struct cluster_result *result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED) return 2;
    for (uint64_t seed = arguments.from; seed <= arguments.to && time(NULL) - began < arguments.seconds; seed++, count++) {
        bool is_ok = run(seed, result);
        acked += result->group_commits;
        read += result->group_reads;
        rebalances += result->rebalances;
        if (is_ok) continue;
        failed++;
        printf("not ok - groups seed %" PRIu64 ": %s %s: %s\n# group_sim --seeds %" PRIu64 "-%" PRIu64 "\n", seed,
               outcome_name(result->outcome), result->verdict.id ? result->verdict.id : "", result->verdict.text, seed, seed);
    }
    bool is_vacuous = acked < count || rebalances < 2 * count;
    printf("%s - groups under faults, %" PRIu64 " seeds from %" PRIu64 "\n", failed || is_vacuous ? "not ok" : "ok", count, arguments.from);
    printf("# %" PRIu64 " commits acknowledged, %" PRIu64 " offsets read, %" PRIu64 " rebalances\n", acked, read, rebalances);
    return failed || is_vacuous;
}
