/* Metadata answers that wait for a successor: a client whose connection to a leader breaks asks at once who leads now. If it is told
 * the dead leader's name, it asks again only after its own timers (librdkafka: up to a second), though the successor is known a few
 * milliseconds later.
 *
 * This node's own evidence is that its connection to that leader broke too. A request that names a topic which that broker still
 * leads in the image is held until the image says otherwise, METADATA_HOLD_US after the break at most: then the image's word is
 * given, whatever it is. One owner thread: the broker's. */
#ifndef SKIFF_BROKER_HANDLERS_METADATA_HOLD_H
#define SKIFF_BROKER_HANDLERS_METADATA_HOLD_H

#include "common/env.h"

#define LOST_LEADERS_MAX  16     /* that break within one hold; more, and the oldest is held for no longer */
#define METADATA_HOLD_US  250000 /* a decision takes 5-50 ms; answers of the connection queue behind the held one meanwhile */
#define METADATA_HELD_MAX 256    /* each keeps its frame, and is looked at with every batch of metadata */

struct call;
struct dispatch;
struct image;
struct metadata_request;

struct lost_leader {
    int32_t broker_id;
    int64_t broker_epoch; /* another registration is another life */
    int64_t lost_us;
};

struct metadata_hold {
    struct env *env;
    struct lost_leader lost[LOST_LEADERS_MAX]; /* a ring */
    size_t lost_count;                         /* so far */
    struct list held;                          /* struct held_metadata */
    uint32_t held_count;
    struct env_timer timer; /* the end of the oldest hold */
};

void metadata_hold_init(struct metadata_hold *hold, struct env *env);
/* Held requests must be gone: their connections have been closed. */
void metadata_hold_deinit(struct metadata_hold *hold);
/* The connection to a broker from which this node fetched is broken. */
void metadata_hold_on_lost(struct metadata_hold *hold, const struct image *image, int32_t broker_id, int64_t now_us);
/* The image has changed: answers the requests that have nothing to wait for any more. */
void metadata_hold_on_image(struct metadata_hold *hold, int64_t now_us);
/* True: the call is kept, and metadata_answer() is called for it later. The request lives in the call's arena and frame. */
bool metadata_hold_keeps(struct metadata_hold *hold, struct call *call, const struct metadata_request *request);
/* metadata.c's */
void metadata_answer(struct call *call, const struct metadata_request *request);

#endif
