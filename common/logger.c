#include "common/logger.h"

#include "common/assert.h"
#include "common/limits.h"

#include <stdarg.h>
#include <stdio.h>

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    ASSERT((unsigned)level < sizeof names / sizeof *names);
    return names[level];
}

void log_line(const struct logger *logger, enum log_level level, const char *component, const char *format, ...)
{
    if (!logger || !logger->sink || level < logger->level) return;
    char text[LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    }
    logger->sink(logger->context, level, component, text);
}
