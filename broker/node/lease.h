/* How long this broker may believe that what it leads is led by nobody else, and when its predecessors have ceased to.
 *
 * A broker that is cut off does not learn that others took over what it led. Its logs are safe all the same: what it appends is not
 * committed. But what it knows may be old, so whoever answers from memory (group coordinators) asks its lease first.
 *
 *   lease      A heartbeat was sent at s, the controller was confirmed by a majority c before the heartbeat came in, and knew the metadata
 * up to index x. Who has applied x and still leads then led at s - c, and the controller fences it no sooner than a session timeout T after
 * s: the lease lasts from s - c for LEASE_SHARE of T by the own clock. The rest of T is for clocks that differ. handover   Leadership also
 * moves away from brokers that live: to preferred replicas, by reassignments. The old leader may hold a lease and not know yet. So the new
 * one begins when all active brokers have applied the change, or T after it saw it. Fenced brokers have no lease any more, and who shuts
 * down gives its lease up before it says so.
 *
 * Assumed: monotonic clocks of the nodes run alike within a tenth, and go on while a machine sleeps; an endpoint that refuses connections
 * belongs to a process that has ended (the controller fences on that evidence at once).
 *
 * Pure; one owner thread: the broker's. */
#ifndef SKIFF_BROKER_NODE_LEASE_H
#define SKIFF_BROKER_NODE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#define LEASE_SHARE(timeout_us) ((timeout_us) / 4 * 3)

struct lease {
    int64_t until_us;                        /* INT64_MIN: none */
    int64_t pending_until_us, pending_index; /* as soon as that index is applied; INT64_MIN: nothing is pending */
    int64_t session_timeout_us;              /* the controller's; 0: not told yet */
    int64_t others_applied;                  /* the other active brokers have applied so much */
};

/* What the answer to a heartbeat says. */
struct lease_promise {
    int64_t session_timeout_us; /* 0: none */
    int64_t confirmed_ago_us, index, others_applied;
};

void lease_init(struct lease *lease);
/* The heartbeat left at `sent_us`; the own image is at `applied_index`. */
void lease_on_promise(struct lease *lease, const struct lease_promise *promise, int64_t sent_us, int64_t applied_index);
void lease_on_applied(struct lease *lease, int64_t applied_index);
/* Leaving, or registering anew. */
void lease_drop(struct lease *lease);
bool lease_holds(const struct lease *lease, int64_t now_us);

/* A leadership that came from somebody who may not know yet; all zero: from nobody. */
struct handover {
    int64_t index; /* of the metadata that says so */
    int64_t seen_us;
};
bool lease_is_handed_over(const struct lease *lease, const struct handover *handover, int64_t now_us);

#endif
