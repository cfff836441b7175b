/* Answers that name leaders, and wait for a successor: a client whose connection to a leader breaks asks at once who leads now
 * (Metadata), or who coordinates its group (FindCoordinator). If it is told the dead leader's name, it asks again only after its own
 * timers (librdkafka: up to a second), though the successor is known a few milliseconds later.
 *
 * A leader is lost when this node's connection to it broke: the one by which it fetches, or, since it need not follow that leader, the
 * one by which it watches every broker from the first question on (broker/node/peer_probe.h). A request that names a partition which a
 * lost broker still leads in the image is held until the image says otherwise or that broker gives a sign of life, LEADER_HOLD_US
 * after the loss at most: then the image's word is given, whatever it is. So while the controllers take longer than that to decide,
 * or cannot, a dead leader is still named.
 *
 * The request itself may be the first sign: a dying process closes one connection after the other, the client's perhaps before ours.
 * Therefore a leader is doubted when a client asks that has been connected for a while and has not just asked; the answer waits
 * until the leader has given a sign that is younger than the request, LEADER_DOUBT_US at most. A client that begins, or asks time
 * and again, does not wait.
 *
 * A Metadata request for all topics names none: it comes from tools. One owner thread: the broker's. */
#ifndef SKIFF_BROKER_HANDLERS_LEADER_HOLD_H
#define SKIFF_BROKER_HANDLERS_LEADER_HOLD_H

#include "proto/connection.h"

#define LOST_LEADERS_MAX    16     /* that are lost within one hold; more, and the oldest is held for no longer */
#define DOUBTED_LEADERS_MAX 32     /* of one request; of those that name topics of more leaders the others are believed */
#define LEADER_CALM_US      10000  /* since a client connected or was answered: so long its next question is an ordinary one */
#define LEADER_DOUBT_US     10000  /* PEER_PATIENCE_US, also for those who wait for the second question */
#define LEADER_HOLD_US      250000 /* a decision takes 5-50 ms; answers of the connection queue behind the held one meanwhile */
#define LEADER_HELD_MAX     256    /* each keeps its frame, and is looked at with every batch of metadata and every sign */

struct call;
struct image;
struct peer_probes;
struct replica_manager;

typedef bool leader_visit_fn(void *context, int32_t leader_id); /* true: enough */
struct leader_question {
    /* The leaders, or NO_LEADER, of the partitions that the request names, in its order, until one is enough. */
    void (*each_leader)(const struct call *call, const void *request, leader_visit_fn *visit, void *context);
    void (*answer)(struct call *call, const void *request);
};

struct lost_leader {
    int32_t broker_id;
    int64_t broker_epoch; /* another registration is another life */
    int64_t lost_us;
    bool is_refuted; /* it has given a sign since */
};

struct leader_hold {
    struct env *env;
    const struct image *image;
    int32_t node_id;
    struct peer_probes *probes;
    struct lost_leader lost[LOST_LEADERS_MAX]; /* a ring */
    size_t lost_count;                         /* so far */
    struct list held;                          /* struct held_call */
    uint32_t held_count;
    struct env_timer timer; /* the first end of a doubt or of a hold */
};

void leader_hold_init(struct leader_hold *hold, struct env *env, const struct image *image, const struct replica_manager *replicas,
                      int32_t node_id);
/* Held requests must be gone: their connections have been closed. */
void leader_hold_deinit(struct leader_hold *hold);
/* The connection to a broker from which this node fetched is broken. */
void leader_hold_on_lost(struct leader_hold *hold, int32_t broker_id, int64_t now_us);
/* The image has changed: answers the requests that have nothing to wait for any more. */
void leader_hold_on_image(struct leader_hold *hold, int64_t now_us);
/* Answers at once, or keeps the call and answers later. The request lives in the call's arena and frame. */
enum request_progress leader_hold_ask(struct leader_hold *hold, struct call *call, const struct leader_question *question,
                                      const void *request);

#endif
