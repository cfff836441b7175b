/* Members of a consumer group over plain sockets, one connection each, all driven by one thread: JoinGroup v3, SyncGroup v2,
 * Heartbeat v2. */
#ifndef SKIFF_TESTS_BENCH_MEMBERS_H
#define SKIFF_TESTS_BENCH_MEMBERS_H

#include "tests/integration/wire.h"

struct member {
    struct wire wire;
    char id[128]; /* "": the coordinator gives it one */
    enum { MEMBER_OUTSIDE, MEMBER_JOINING, MEMBER_SYNCING, MEMBER_STABLE, MEMBER_BEATING } phase;
    int32_t generation;
};
struct members {
    const char *group;
    struct member *list;
    int count;
    int poller;
    int32_t newest; /* generation */
    int stable;     /* members in it */
    int round;      /* a part of each member's subscription: whoever joins again brings news, which starts a rebalance */
};

/* Connects to the group's coordinator, waiting until there is one. */
bool members_open(struct members *m, const char *address, const char *group, int count);
void members_close(struct members *m);
/* Every member joins (again); true when all are stable in one generation. */
bool members_rebalance(struct members *m);
/* A heartbeat of each, all answered. False: somebody must join again. */
bool members_beat(struct members *m);

#endif
