/* What the system says of this process: processor time, memory, descriptors. Any thread. */
#ifndef SKIFF_BROKER_ADMIN_PROCESS_METRICS_H
#define SKIFF_BROKER_ADMIN_PROCESS_METRICS_H

#include "common/metrics.h"

/* What cannot be found out is left out. */
void process_measure(struct metrics *metrics);

#endif
