/* sim: runs simulated clusters, seed after seed, and reports in TAP.
 *
 *   sim [--seed N] [--runs N] [--nodes 3|5] [--calm] [--mutant NAME] [--verbose]
 *
 * Without --nodes every third run has five nodes. Every hundredth seed is run twice: the hashes must be equal. With --mutant (a
 * build with planted bugs only) the runs must find the bug: it succeeds at the first seed that fails, and fails when none does. */
#include "common/mutant.h"
#include "tests/sim/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
    uint64_t seed, runs;
    uint32_t nodes; /* 0: by the seed */
    bool is_calm, is_verbose;
    const char *mutant;
} options = {.seed = 1, .runs = 1};

#ifdef SKIFF_MUTANTS
bool mutant_is_on(const char *name) { return options.mutant && strcmp(name, options.mutant) == 0; }
#endif

static void print_details(uint64_t seed, const struct cluster_result *result)
{
    printf("# seed %" PRIu64 ": %s, %" PRIu64 " events, %lld virtual ms, hash %016" PRIx64 ", %" PRIu64 " acked, %" PRIu64 " read, %" PRIu64
           " elections, %" PRIu64 " leaders;",
           seed, outcome_name(result->outcome), result->events, (long long)result->virtual_us / SIM_MS, result->hash, result->acked, result->read,
           result->elections, result->leader_changes);
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        if (result->faults[fault]) printf(" %s %" PRIu64, fault_name((enum fault)fault), result->faults[fault]);
    }
    printf("\n");
    if (result->verdict.id) printf("# %s: %s\n", result->verdict.id, result->verdict.text);
}

static struct cluster_result run_seed(uint64_t seed)
{
    struct cluster_result result;
    uint32_t nodes = options.nodes ? options.nodes : seed % 3 == 0 ? 5 : 3;
    cluster_run(&(struct cluster_options){.seed = seed, .node_count = nodes, .is_calm = options.is_calm}, &result);
    if (options.is_verbose || result.outcome != OUTCOME_PASS) print_details(seed, &result);
    return result;
}

static bool is_option(const char *argument, const char *name, char **value, const char **out)
{
    if (strcmp(argument, name) != 0 || !*value) return false;
    *out = *value;
    return true;
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        if (is_option(argv[i], "--seed", &argv[i + 1], &value)) options.seed = strtoull(value, NULL, 10);
        else if (is_option(argv[i], "--runs", &argv[i + 1], &value)) options.runs = strtoull(value, NULL, 10);
        else if (is_option(argv[i], "--nodes", &argv[i + 1], &value)) options.nodes = (uint32_t)strtoul(value, NULL, 10);
        else if (is_option(argv[i], "--mutant", &argv[i + 1], &value)) options.mutant = value;
        else if (strcmp(argv[i], "--calm") == 0) options.is_calm = true;
        else if (strcmp(argv[i], "--verbose") == 0) options.is_verbose = true;
        else return false;
        i += value != NULL;
    }
    return options.nodes <= WORKLOAD_NODES_MAX && options.runs > 0;
}

/* The mutant must be caught. */
static int hunt(void)
{
    for (uint64_t i = 0; i < options.runs; i++) {
        struct cluster_result result = run_seed(options.seed + i);
        if (result.outcome != OUTCOME_FAIL) continue;
        printf("ok - mutant %s dies: seed %" PRIu64 " %s\n", options.mutant, options.seed + i, result.verdict.id);
        return 0;
    }
    printf("not ok - mutant %s survives %" PRIu64 " seeds\n", options.mutant, options.runs);
    return 1;
}

static int check(void)
{
    uint64_t failures = 0, vacuous = 0, acked = 0, events = 0;
    for (uint64_t i = 0; i < options.runs; i++) {
        uint64_t seed = options.seed + i;
        struct cluster_result result = run_seed(seed);
        bool repeats = seed % 100 != 0 || run_seed(seed).hash == result.hash;
        if (!repeats) printf("# seed %" PRIu64 " does not repeat\n", seed);
        vacuous += result.outcome == OUTCOME_VACUOUS;
        if (!repeats || (result.outcome != OUTCOME_PASS && result.outcome != OUTCOME_VACUOUS)) {
            printf("not ok - seed %" PRIu64 ": %s %s\n", seed, outcome_name(result.outcome), result.verdict.id ? result.verdict.id : "");
            failures++;
        }
        acked += result.acked;
        events += result.events;
        fflush(stdout);
    }
    printf("# %" PRIu64 " runs, %" PRIu64 " events, %" PRIu64 " records acknowledged, %" PRIu64 " vacuous\n", options.runs, events, acked, vacuous);
    /* A seed that shows nothing is no failure, many of them are. */
    bool is_ok = failures == 0 && vacuous * 10 <= options.runs;
    if (is_ok) printf("ok - %" PRIu64 " seeds from %" PRIu64 "\n", options.runs, options.seed);
    else if (failures == 0) printf("not ok - %" PRIu64 " of %" PRIu64 " seeds show nothing\n", vacuous, options.runs);
    return is_ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: sim [--seed N] [--runs N] [--nodes 3|5] [--calm] [--mutant NAME] [--verbose]\n");
        return 2;
    }
#ifndef SKIFF_MUTANTS
    if (options.mutant) {
        fprintf(stderr, "sim: this build has no planted bugs: make check-mutants\n");
        return 2;
    }
#endif
    return options.mutant ? hunt() : check();
}
