/* sim: runs simulated clusters, seed after seed, and reports in TAP.
 *
 *   sim [--seed N] [--runs N] [--jobs N] [--seconds N] [--nodes 3|5] [--calm] [--faults NAME,NAME...]
 *       [--mutant NAME] [--verbose]
 *
 * Without arguments: 200 seeds from 1 ($SIM_SEEDS in the environment: another number). With --seconds no seed begins after that
 * time; $TEST_TIMEOUT, the runner's limit, sets it to three quarters of it. Without --nodes every third run has five
 * nodes, and in every fourth some are only controllers or only brokers. Every seed runs in a process of its own, so that an assertion in
 * one hides no other. Every hundredth seed is run twice: the hashes must be equal. With --mutant (a build with planted bugs: make
 * check-mutants) some seed must fail.
 *
 * To look into a failure: SIM_LOG=INFO SIM_TRACE=PARTITION sim --seed N --runs 1 */
#include "common/mutant.h"
#include "tests/sim/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX     64
#define REPEAT_EVERY 100

static struct {
    uint64_t seed, runs, jobs;
    uint64_t seconds; /* 0: no limit */
    uint32_t nodes;   /* 0: by the seed */
    uint64_t faults;  /* 0: by the seed */
    bool is_calm, is_verbose;
    const char *mutant;
} options = {.seed = 1, .runs = 200};

/* What a seed's process leaves for us. */
struct report {
    struct cluster_result result;
    pid_t child;
    bool is_done;    /* false: it died on the way */
    bool is_varying; /* the same seed ran differently */
};

#ifdef SKIFF_MUTANTS
bool mutant_is_on(const char *name) { return options.mutant && strcmp(name, options.mutant) == 0; }
#endif

/* ---- one seed ------------------------------------------------------------------------------------------------------ */

static struct cluster_shape shape_of(uint64_t seed)
{
    static const struct cluster_shape shapes[] = {{6, 3, 3}, {3, 1, 0}, {5, 3, 0}, {5, 3, 3}};
    uint32_t nodes = options.nodes ? options.nodes : seed % 3 == 0 ? 5 : 3;
    if (options.nodes || seed % 4 != 3) return (struct cluster_shape){.node_count = nodes, .voter_count = nodes};
    return shapes[seed / 4 % (sizeof shapes / sizeof *shapes)];
}

static void run_seed(uint64_t seed, struct report *report)
{
    struct cluster_options cluster = {.seed = seed, .shape = shape_of(seed), .is_calm = options.is_calm, .faults = options.faults};
    cluster_run(&cluster, &report->result);
    if (seed % REPEAT_EVERY == 0) {
        struct cluster_result again;
        cluster_run(&cluster, &again);
        report->is_varying = again.hash != report->result.hash;
    }
    report->is_done = true;
}

static bool has_failed(const struct report *report)
{
    enum outcome outcome = report->result.outcome;
    return !report->is_done || report->is_varying || outcome == OUTCOME_FAIL || outcome == OUTCOME_NO_PROGRESS;
}

static void print_details(uint64_t seed, const struct report *report)
{
    const struct cluster_result *result = &report->result;
    if (!report->is_done) {
        printf("# seed %" PRIu64 " ended in an assertion or a signal; run it alone to see which\n", seed);
        return;
    }
    printf("# seed %" PRIu64 ": %s, %" PRIu64 " events, %lld virtual ms, hash %016" PRIx64 ", %" PRIu64 " acked, %" PRIu64 " read, %" PRIu64
           " elections, %" PRIu64 " leaders;",
           seed, outcome_name(result->outcome), result->events, (long long)result->virtual_us / SIM_MS, result->hash, result->acked,
           result->read, result->elections, result->leader_changes);
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        if (result->faults[fault]) printf(" %s %" PRIu64, fault_name((enum fault)fault), result->faults[fault]);
    }
    printf("\n");
    if (result->verdict.id) printf("# %s: %s\n", result->verdict.id, result->verdict.text);
    if (report->is_varying) printf("# the same seed ran differently the second time\n");
}

static void print_failure(uint64_t seed, const struct report *report)
{
    const char *id = report->result.verdict.id;
    print_details(seed, report);
    printf("not ok - seed %" PRIu64 ": %s%s%s\n", seed, report->is_done ? outcome_name(report->result.outcome) : "died", id ? " " : "",
           id ? id : "");
}

/* ---- many seeds ---------------------------------------------------------------------------------------------------- */

static void begin_seed(uint64_t seed, struct report *report)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        run_seed(seed, report);
        _exit(0);
    }
    report->child = child;
    if (child < 0) perror("sim: fork");
}

static bool is_late(time_t began) { return options.seconds > 0 && (uint64_t)(time(NULL) - began) >= options.seconds; }

/* Runs them all, or until one fails when `stops`; the number that was run. */
static uint64_t run_seeds(struct report *reports, bool stops)
{
    uint64_t begun = 0, running = 0;
    bool is_over = false;
    const time_t began = time(NULL);
    while (running > 0 || (begun < options.runs && !is_over)) {
        if (begun < options.runs && running < options.jobs && !is_over) {
            begin_seed(options.seed + begun, &reports[begun]);
            begun++;
            running++;
            continue;
        }
        pid_t ended = wait(NULL);
        if (ended < 0) break;
        running--;
        is_over |= is_late(began);
        for (uint64_t i = begun; stops && i-- > 0;) {
            if (reports[i].child != ended) continue;
            is_over |= has_failed(&reports[i]);
            break;
        }
    }
    return begun;
}

/* The mutant must be caught. */
static int hunt(struct report *reports)
{
    uint64_t count = run_seeds(reports, true);
    for (uint64_t i = 0; i < count; i++) {
        if (!has_failed(&reports[i])) continue;
        const char *id = reports[i].result.verdict.id;
        const char *how = id ? id : reports[i].is_done ? outcome_name(reports[i].result.outcome) : "an assertion";
        if (options.is_verbose) print_details(options.seed + i, &reports[i]);
        printf("ok - mutant %s dies: seed %" PRIu64 ", %s\n", options.mutant, options.seed + i, how);
        return 0;
    }
    printf("not ok - mutant %s survives %" PRIu64 " seeds\n", options.mutant, count);
    return 1;
}

static int check(struct report *reports)
{
    uint64_t failures = 0, vacuous = 0, acked = 0, events = 0, count = run_seeds(reports, false);
    int64_t virtual_us = 0;
    for (uint64_t i = 0; i < count; i++) {
        const struct cluster_result *result = &reports[i].result;
        if (has_failed(&reports[i])) {
            print_failure(options.seed + i, &reports[i]);
            failures++;
        } else if (options.is_verbose) {
            print_details(options.seed + i, &reports[i]);
        }
        vacuous += result->outcome == OUTCOME_VACUOUS;
        acked += result->acked;
        events += result->events;
        virtual_us += result->virtual_us;
    }
    printf("# %" PRIu64 " clusters, %lld virtual minutes, %" PRIu64 " events, %" PRIu64 " records acknowledged, %" PRIu64 " vacuous\n",
           count, (long long)virtual_us / SIM_SECOND / 60, events, acked, vacuous);
    /* A seed that shows nothing is no failure, many of them are. */
    bool is_ok = failures == 0 && vacuous * 10 <= count;
    if (is_ok)
        printf("ok - %" PRIu64 " seeds from %" PRIu64 "\n", count, options.seed);
    else if (failures == 0)
        printf("not ok - %" PRIu64 " of %" PRIu64 " seeds show nothing\n", vacuous, count);
    return is_ok ? 0 : 1;
}

/* ---- arguments ----------------------------------------------------------------------------------------------------- */

static bool is_option(const char *argument, const char *name, char *value, const char **out)
{
    if (strcmp(argument, name) != 0 || !value) return false;
    *out = value;
    return true;
}

static uint64_t parse_faults(const char *names)
{
    uint64_t faults = 0;
    while (*names) {
        size_t length = strcspn(names, ",");
        int fault = 0;
        while (fault < FAULT_COUNT &&
               (strlen(fault_name((enum fault)fault)) != length || strncmp(fault_name((enum fault)fault), names, length) != 0))
            fault++;
        if (fault == FAULT_COUNT) return 0;
        faults |= UINT64_C(1) << fault;
        names += length + (names[length] == ',');
    }
    return faults;
}

static bool parse(int argc, char **argv)
{
    const char *seeds = getenv("SIM_SEEDS"), *limit = getenv("TEST_TIMEOUT");
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (seeds && *seeds) options.runs = strtoull(seeds, NULL, 10);
    if (limit && *limit) options.seconds = strtoull(limit, NULL, 10) * 3 / 4;
    options.jobs = cpus > 0 ? (uint64_t)cpus : 1;
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        if (is_option(argv[i], "--seed", argv[i + 1], &value))
            options.seed = strtoull(value, NULL, 10);
        else if (is_option(argv[i], "--runs", argv[i + 1], &value))
            options.runs = strtoull(value, NULL, 10);
        else if (is_option(argv[i], "--jobs", argv[i + 1], &value))
            options.jobs = strtoull(value, NULL, 10);
        else if (is_option(argv[i], "--seconds", argv[i + 1], &value))
            options.seconds = strtoull(value, NULL, 10);
        else if (is_option(argv[i], "--nodes", argv[i + 1], &value))
            options.nodes = (uint32_t)strtoul(value, NULL, 10);
        else if (is_option(argv[i], "--faults", argv[i + 1], &value) && parse_faults(value) != 0)
            options.faults = parse_faults(value);
        else if (is_option(argv[i], "--mutant", argv[i + 1], &value))
            options.mutant = value;
        else if (strcmp(argv[i], "--calm") == 0)
            options.is_calm = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            options.is_verbose = true;
        else
            return false;
        i += value != NULL;
    }
    return options.nodes <= WORKLOAD_NODES_MAX && options.runs > 0 && options.jobs > 0 && options.jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: sim [--seed N] [--runs N] [--jobs N] [--seconds N] [--nodes 3|5] [--calm] [--faults NAME,NAME...] "
                        "[--mutant NAME] [--verbose]\n");
        return 2;
    }
#ifndef SKIFF_MUTANTS
    if (options.mutant) {
        fprintf(stderr, "sim: this build has no planted bugs: make check-mutants\n");
        return 2;
    }
#endif
    size_t size = options.runs * sizeof(struct report);
    struct report *reports = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reports == MAP_FAILED) {
        perror("sim");
        return 2;
    }
    int status = options.mutant ? hunt(reports) : check(reports);
    munmap(reports, size);
    return status;
}
