#include "common/log_limit.h"

#include "common/limits.h"

#include <stdarg.h>
#include <stdio.h>

static bool is_over(const struct log_limit *limit, int64_t now_us) { return now_us - limit->since_us >= LOG_LIMIT_INTERVAL_US; }

void log_limit_tell(const struct logger *logger, struct log_limit *limit, int64_t now_us, const char *cause, const char *component,
                    bool is_last)
{
    if (limit->left_out == 0 || (!is_last && !is_over(limit, now_us))) return;
    log_line(logger, LOG_WARN, component, "%s: %llu more, not shown one by one", cause, (unsigned long long)limit->left_out);
    limit->left_out = 0;
}

static bool admits(struct log_limit *limit, int64_t now_us)
{
    if (is_over(limit, now_us)) {
        bool is_quiet = now_us - limit->since_us >= 2 * (int64_t)LOG_LIMIT_INTERVAL_US;
        limit->is_flooded = !is_quiet && limit->count > LOG_LIMIT_LINES;
        limit->since_us = now_us;
        limit->count = 0;
    }
    limit->count += limit->count < UINT32_MAX;
    return !limit->is_flooded && limit->count <= LOG_LIMIT_LINES;
}

void log_line_limited(const struct logger *logger, struct log_limit *limit, int64_t now_us, const char *cause, const char *component,
                      const char *format, ...)
{
    log_limit_tell(logger, limit, now_us, cause, component, false);
    if (!admits(limit, now_us)) {
        limit->left_out++;
        return;
    }
    char text[LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_line(logger, LOG_WARN, component, "%s", text);
}
