/* Signs of life of other brokers, for whoever must know at once.
 *
 * A broker that is watched has one connection, and one question (ApiVersions) at a time on it. An answer speaks for the time since its
 * question left: who asks while one is under way waits for the next. A connection that breaks is dialed again with a question, since
 * the other side closes idle ones too: only a refused dial says that nobody is there.
 *
 *   watch, ask, a break --> question out --answer--------------------------> ALIVE
 *                                        --refused-------------------------> LOST
 *                                        --PEER_PATIENCE_US or many breaks-> SILENT: nobody waits for it again before it has answered
 *
 * One owner thread: the broker's. */
#ifndef SKIFF_BROKER_NODE_PEER_PROBE_H
#define SKIFF_BROKER_NODE_PEER_PROBE_H

#include "common/env.h"

#define PEER_PATIENCE_US 10000 /* brokers answer within a millisecond or two; a dying process closes its sockets in less than that */

struct peer_probes;
struct replica_manager;

enum peer_sign { PEER_ALIVE, PEER_LOST, PEER_SILENT };

/* The question left at `asked_us`. */
typedef void peer_sign_fn(void *user, int32_t broker_id, enum peer_sign sign, int64_t asked_us, int64_t now_us);

struct peer_probes *peer_probes_create(struct env *env, const struct replica_manager *replicas, int32_t node_id, peer_sign_fn *on_sign,
                                       void *user);
void peer_probes_destroy(struct peer_probes *probes);
/* Its end is wanted to be known, now and later: the callback says so without being asked. */
void peer_probes_watch(struct peer_probes *probes, int32_t broker_id);
/* A sign is wanted that speaks for now. It comes by callback, never in here. */
void peer_probes_ask(struct peer_probes *probes, int32_t broker_id);
/* There is a sign that speaks for `since_us`, or none is to be expected. */
bool peer_probes_is_settled(const struct peer_probes *probes, int32_t broker_id, int64_t since_us);

#endif
