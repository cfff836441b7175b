/* What /proc tells about the servers. */
#ifndef SKIFF_TESTS_BENCH_PROCESS_H
#define SKIFF_TESTS_BENCH_PROCESS_H

/* CPU time of all threads of these processes, user and system. */
double process_cpu_ms(char **pids, int count);
double process_rss_kb(const char *pid);

#endif
