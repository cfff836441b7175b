/* How much memory the system lets this process have: the least limit of its control group and of those above it. Reads files; no state. */
#ifndef SKIFF_BROKER_CLI_MEMORY_LIMIT_H
#define SKIFF_BROKER_CLI_MEMORY_LIMIT_H

#include <stdint.h>

/* Bytes; 0: no limit, or nobody says. `membership` is /proc/self/cgroup, `mount` is /sys/fs/cgroup. */
int64_t memory_limit_find(const char *membership, const char *mount);

#endif
