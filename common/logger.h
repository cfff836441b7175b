/* Log lines.  One line an event: time, level, component, text with its numbers.  A logger belongs to a node; where lines go
 * is the sink's business (stderr in the real process, memory in the simulator).  The sink may be called from any thread. */
#ifndef SKIFF_COMMON_LOGGER_H
#define SKIFF_COMMON_LOGGER_H

#include "common/attr.h"
#include "common/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct logger {
    enum log_level level; /* lines below it are dropped */
    void (*sink)(void *context, enum log_level level, const char *component, const char *text);
    void *context;
};

/* The text is cut at LOG_LINE_MAX bytes; control characters in it are shown as '?', so that a client's name cannot forge a line. */
void log_line(const struct logger *logger, enum log_level level, const char *component, const char *format, ...) PRINTF_LIKE(4, 5);
const char *log_level_name(enum log_level level);

#endif
