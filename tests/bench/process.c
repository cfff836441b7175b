#include "tests/bench/process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static double one_cpu_ms(const char *pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    (void)snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[n] = 0;
    const char *behind_name = strrchr(text, ')');
    /* Fields 14 and 15. */
    int got = behind_name ? sscanf(behind_name, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) : 0;
    return got == 2 ? (double)(user + system) * 1000 / (double)sysconf(_SC_CLK_TCK) : 0;
}

double process_cpu_ms(char **pids, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) sum += one_cpu_ms(pids[i]);
    return sum;
}

double process_rss_kb(const char *pid)
{
    char path[64], line[128];
    double kb = 0;
    (void)snprintf(path, sizeof path, "/proc/%s/status", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %lf", &kb) == 1) break;
    (void)fclose(file);
    return kb;
}
