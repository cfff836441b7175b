/* Raft clusters under faults, one seed after the other: TAP.
 *
 *     raft_sim [--seeds FROM-TO] [--seconds N] [--voters N] [--mutant NAME]
 *
 * Without arguments: what `make check` runs. A failing seed prints the line that runs it alone. With --mutant (a build with planted
 * bugs) some seed must fail, or stop at an assertion. */
#include "common/mutant.h"
#include "tests/sim/raft_cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct arguments {
    uint64_t from, to;
    int64_t seconds;
    int voters; /* 0: from the seed */
    const char *mutant;
};

#ifdef SKIFF_MUTANTS
static const char *mutant;
bool mutant_is_on(const char *name) { return mutant && strcmp(name, mutant) == 0; }
#endif

static void choose(const struct arguments *arguments, uint64_t seed, struct raft_cluster_options *options)
{
    static const int voters[] = {3, 3, 3, 5, 5, 1};
    *options = (struct raft_cluster_options){
        .seed = seed,
        .voters = arguments->voters ? arguments->voters : voters[seed % 6],
        .learners = seed % 4 == 0 ? 1 : 0,
        .has_faults = seed % 16 != 15,
        .fault_us = arguments->seconds * 1000000,
    };
}

static bool run(const struct arguments *arguments, uint64_t seed, struct raft_cluster_result *total)
{
    struct raft_cluster_options options;
    struct raft_cluster_result result, again;
    choose(arguments, seed, &options);
    raft_cluster_run(&options, &result);
    if (result.is_ok && seed % 50 == 0) { /* the same seed is the same run, bit for bit */
        raft_cluster_run(&options, &again);
        if (again.hash != result.hash || again.events != result.events) {
            result.is_ok = false;
            snprintf(result.failure, sizeof result.failure, "the same seed ran differently");
        }
    }
    total->events += result.events;
    total->committed += result.committed;
    total->acknowledged += result.acknowledged;
    total->virtual_us += result.virtual_us;
    total->crashes += result.crashes;
    total->wipes += result.wipes;
    total->partitions += result.partitions;
    total->leaders += result.leaders;
    total->snapshots_installed += result.snapshots_installed;
    if (!result.is_ok)
        printf("not ok - raft seed %" PRIu64 ": %s\n# raft_sim --seeds %" PRIu64 "-%" PRIu64 " --seconds %" PRId64 "\n", seed,
               result.failure, seed, seed, arguments->seconds);
    return result.is_ok;
}

/* In a child process: an assertion is a way to die, too. */
static int hunt(const struct arguments *arguments)
{
#ifdef SKIFF_MUTANTS
    mutant = arguments->mutant;
#endif
    for (uint64_t seed = arguments->from; seed <= arguments->to; seed++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            struct raft_cluster_options options;
            struct raft_cluster_result result;
            choose(arguments, seed, &options);
            raft_cluster_run(&options, &result);
            if (!result.is_ok) printf("# seed %" PRIu64 ": %s\n", seed, result.failure);
            fflush(stdout);
            _exit(!result.is_ok);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child) return 2;
        if (status == 0) continue;
        printf("ok - mutant %s dies: seed %" PRIu64 "%s\n", arguments->mutant, seed, WIFSIGNALED(status) ? " (an assertion)" : "");
        return 0;
    }
    printf("not ok - mutant %s survives seeds %" PRIu64 "-%" PRIu64 "\n", arguments->mutant, arguments->from, arguments->to);
    return 1;
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0) {
            if (sscanf(argv[i + 1], "%" SCNu64 "-%" SCNu64, &arguments->from, &arguments->to) != 2) return false;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            arguments->seconds = strtoll(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--voters") == 0) {
            arguments->voters = (int)strtol(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--mutant") == 0) {
            arguments->mutant = argv[i + 1];
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.from = 1, .to = 200, .seconds = 10};
    struct raft_cluster_result total = {0};
    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr, "usage: raft_sim [--seeds FROM-TO] [--seconds N] [--voters N] [--mutant NAME]\n");
        return 2;
    }
    if (arguments.mutant) return hunt(&arguments);
    setvbuf(stdout, NULL, _IOLBF, 0);
    uint64_t failed = 0;
    for (uint64_t seed = arguments.from; seed <= arguments.to && failed < 5; seed++) failed += !run(&arguments, seed, &total);
    bool is_vacuous =
        arguments.to - arguments.from >= 100 && (!total.crashes || !total.wipes || !total.partitions || !total.snapshots_installed);
    printf("%s - raft under faults, seeds %" PRIu64 "-%" PRIu64 "\n", failed ? "not ok" : "ok", arguments.from, arguments.to);
    if (is_vacuous) printf("not ok - a declared fault never happened\n");
    printf("# %" PRIu64 " events, %" PRId64 " s of virtual time, %" PRId64 " entries committed, %" PRId64
           " acknowledged, %u leaders, %u crashes, %u wiped disks, %u partitions, %u snapshots loaded\n",
           total.events, total.virtual_us / 1000000, total.committed, total.acknowledged, total.leaders, total.crashes, total.wipes,
           total.partitions, total.snapshots_installed);
    return failed || is_vacuous;
}
