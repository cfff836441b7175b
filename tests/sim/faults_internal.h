/* What single faults and plots share. */
#ifndef SKIFF_TESTS_SIM_FAULTS_INTERNAL_H
#define SKIFF_TESTS_SIM_FAULTS_INTERNAL_H

#include "tests/sim/cluster.h"

/* Some time from now, in virtual microseconds. */
int64_t faults_later(struct cluster *cluster, int64_t least_ms, int64_t most_ms);
/* The node dies, and comes back after a while. */
void faults_crash(struct cluster_node *node, enum sim_crash how);
/* Power loss, and an empty disk. */
void faults_wipe(struct cluster_node *node);
/* Nothing reaches the node (`in`) or leaves it (`out`), until undo_network_at. */
void faults_isolate(const struct cluster_node *node, bool in, bool out, bool from_clients);
/* The promise covers one lost disk in a run, and not that of the only voter. */
bool faults_may_lose_disk(const struct cluster_node *node);

/* faults_plots.c: several faults, one after the other, aimed at one rule. False: not possible now. */
bool plot_amnesia(struct cluster *cluster);
bool plot_depose(struct cluster_node *node);
bool plot_usurp(struct cluster_node *node);
/* Is it the moment for one of a coordinator that is about to hand over? */
void plot_handover(struct cluster *cluster);

#endif
