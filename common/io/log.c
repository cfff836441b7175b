/* Log lines on stderr. One write a line, so that lines of several threads do not mix. */
#include "common/io/io_internal.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void write_line(void *context, enum log_level level, const char *component, const char *text)
{
    (void)context;
    struct timespec now;
    struct tm parts;
    char stamp[32], line[LOG_LINE_MAX + 128];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    size_t length = strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &parts);
    ASSERT(length > 0);
    int size = snprintf(line, sizeof line, "[%s,%03ld] %s [%s] %s\n", stamp, now.tv_nsec / 1000000, log_level_name(level), component, text);
    if (size < 0) return;
    /* A log that cannot be written has nowhere to complain. */
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1);
    (void)ignored;
}

struct logger io_stderr_logger(enum log_level level) { return (struct logger){.level = level, .sink = write_line}; }
