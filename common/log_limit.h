/* Log lines that strangers can bring about: the first few of a cause are written, then only how many were left out, once an interval.
 * A cause that was quiet for an interval gets its lines back. One struct for each cause; its owner's thread. */
#ifndef SKIFF_COMMON_LOG_LIMIT_H
#define SKIFF_COMMON_LOG_LIMIT_H

#include "common/logger.h"

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_LINES       20       /* enough to see who and why */
#define LOG_LIMIT_INTERVAL_US 10000000 /* a line every ten seconds says that it goes on */

struct log_limit {
    int64_t since_us;  /* of the interval */
    uint32_t count;    /* in it */
    bool is_flooded;   /* the one before was over the limit: nothing is written in this one */
    uint64_t left_out; /* not told yet */
};

/* `cause` names them in the line that tells how many were left out. */
void log_line_limited(const struct logger *logger, struct log_limit *limit, int64_t now_us, const char *cause, const char *component,
                      const char *format, ...) PRINTF_LIKE(6, 7);
/* Tells what was left out if the interval is over, or if `is_last`: nothing may come after it. */
void log_limit_tell(const struct logger *logger, struct log_limit *limit, int64_t now_us, const char *cause, const char *component,
                    bool is_last);

#endif
