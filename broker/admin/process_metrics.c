#include "broker/admin/process_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void put_usage(struct metrics *metrics)
{
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        int64_t seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec, us = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
        metrics_put(metrics, METRIC_CPU_SECONDS, (double)seconds + (double)us / 1e6);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) metrics_put(metrics, METRIC_MAX_FILES, (double)limit.rlim_cur);
}

static void put_memory(struct metrics *metrics)
{
    long long total = 0, resident = 0;
    long page = sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return;
    if (fscanf(file, "%lld %lld", &total, &resident) == 2) {
        metrics_put(metrics, METRIC_VIRTUAL_BYTES, (double)total * (double)page);
        metrics_put(metrics, METRIC_RESIDENT_BYTES, (double)resident * (double)page);
    }
    (void)fclose(file);
}

static void put_open_files(struct metrics *metrics)
{
    DIR *dir = opendir("/proc/self/fd");
    long count = -3; /* ".", ".." and the directory itself */
    if (!dir) return;
    while (readdir(dir)) count++;
    (void)closedir(dir);
    metrics_put(metrics, METRIC_OPEN_FILES, (double)count);
}

/* When the system started, since 1970; 0: not known. */
static long long boot_seconds(void)
{
    char line[256];
    long long seconds = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "btime %lld", &seconds) == 1) break;
    (void)fclose(file);
    return seconds;
}

static void put_start(struct metrics *metrics)
{
    char text[1024];
    unsigned long long ticks = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file) return;
    size_t size = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    /* The second field, a name in parentheses, may hold anything; the start is the 22nd. */
    const char *rest = strrchr(text, ')');
    long long boot = boot_seconds();
    if (rest && boot && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks) == 1)
        metrics_put(metrics, METRIC_START_SECONDS, (double)boot + (double)ticks / (double)sysconf(_SC_CLK_TCK));
}

void process_measure(struct metrics *metrics)
{
    put_usage(metrics);
    put_memory(metrics);
    put_open_files(metrics);
    put_start(metrics);
}
