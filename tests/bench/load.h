/* The commands of the benchmark's load generator: load.c lists what each takes and prints. */
#ifndef SKIFF_TESTS_BENCH_LOAD_H
#define SKIFF_TESTS_BENCH_LOAD_H

#include <stdint.h>

enum { PATIENCE_US = 120000000, RETRY_US = 1000 };

/* Decimal; anything else is a mistake of the script. */
int64_t load_number(const char *text);
/* The exit code of a command that failed. */
int load_fail(const char *what);

/* ---- load_groups.c ---- */
int load_commit(char **arguments, int count);
int load_commit_many(char **arguments, int count);
int load_await_offset(char **arguments, int count);
int load_rebalance(char **arguments, int count);

/* ---- load_scale.c ---- */
int load_metadata(char **arguments, int count);
int load_hold(char **arguments, int count);
int load_idle(char **arguments, int count);

#endif
