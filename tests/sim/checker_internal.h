#ifndef SKIFF_TESTS_SIM_CHECKER_INTERNAL_H
#define SKIFF_TESTS_SIM_CHECKER_INTERNAL_H

#include "tests/sim/checker.h"
#include "tests/sim/sim_internal.h"

/* The place of `index` in an array that grows; new places hold -1. */
int32_t *checker_slot(int32_t **array, int64_t *count, int64_t index);
/* The current node's replicas may have changed. */
void checker_look_at_replicas(struct checker *checker);
/* The newest committed image has changed. */
void checker_look_at_truth(struct checker *checker);

#endif
