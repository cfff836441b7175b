/* Sessions of brokers with the active controller, in logical time: who lives, who is gone, who has applied what.
 *
 * The one rule of evidence: a broker is gone when its session's current connection is gone AND a fresh connect to its registered
 * endpoint is refused. A close alone, or silence alone, is none. Without evidence a session ends when nothing was heard for the
 * session timeout. Whoever was fenced on evidence and then speaks in the same epoch was wrongly fenced (a firewall answers "refused",
 * a proxy closed the connection): for 60 s only the timeout counts against it.
 *
 * On taking office nothing is known: every session starts silent, without connection, so the unfenced brokers are dialed at once and
 * have a full timeout to speak. A dial that connects says nothing; it is repeated, less and less often, while the connection is
 * missing: the kernel of a dying process may close its connections before its listener.
 *
 * Pure: the caller dials, fences and tells the time. One owner thread: the controller's. */
#ifndef SKIFF_CONTROLLER_METADATA_HEARTBEAT_H
#define SKIFF_CONTROLLER_METADATA_HEARTBEAT_H

#include "controller/metadata/image.h"

#define NO_CONNECTION 0
#define NO_DIAL       0

struct session {
    int32_t broker_id;
    bool is_gone;        /* the evidence is complete */
    uint64_t dial;       /* under way; NO_DIAL */
    int64_t epoch;       /* broker epoch */
    uint64_t connection; /* the current one; NO_CONNECTION */
    int64_t contact_us;  /* last heard */
    int64_t dial_at_us;  /* the next dial while the connection is missing */
    int64_t dial_backoff_us;
    int64_t timeout_only_until_us;
    int64_t applied_index;
    int64_t shutdown_index; /* whoever has applied this knows that its leaderships moved */
};

struct heartbeats {
    struct map sessions; /* broker id -> struct session */
    uint64_t last_dial;  /* their serials go on over incarnations of brokers and offices: a late answer is about nobody */
    int64_t timeout_us;  /* broker.session.timeout.ms */
};

void heartbeats_init(struct heartbeats *heartbeats, int64_t timeout_us);
void heartbeats_deinit(struct heartbeats *heartbeats);
void heartbeats_take_office(struct heartbeats *heartbeats, const struct image *image, int64_t now_us);
void heartbeats_resign(struct heartbeats *heartbeats);

/* A registration was committed, asked for on `connection`. */
void heartbeats_on_registered(struct heartbeats *heartbeats, const struct image_broker *broker, uint64_t connection, int64_t now_us);
/* A heartbeat of the current epoch came in. */
void heartbeats_on_contact(struct heartbeats *heartbeats, int32_t broker_id, uint64_t connection, int64_t applied_index, int64_t now_us);
void heartbeats_on_shutting_down(struct heartbeats *heartbeats, int32_t broker_id, int64_t index);
/* A connection ended; NO_BROKER, or whose current one it was: worth a dial now. */
int32_t heartbeats_on_closed(struct heartbeats *heartbeats, uint64_t connection, int64_t now_us);
/* The next broker to dial now, or NO_BROKER. The dial is under way until heartbeats_on_dialed() is told its serial. */
int32_t heartbeats_next_dial(struct heartbeats *heartbeats, const struct image *image, uint64_t *dial, int64_t now_us);
/* No-op for a dial of a session that is over: what it found may be the endpoint's last user. */
void heartbeats_on_dialed(struct heartbeats *heartbeats, int32_t broker_id, uint64_t dial, bool is_refused, int64_t now_us);

/* The controller itself stood still for so long (a paused process, a sleeping machine): nobody could be heard. */
void heartbeats_forgive(struct heartbeats *heartbeats, int64_t stalled_us);
/* The next unfenced broker that is to be fenced now, from *at on; NO_BROKER at the end. */
int32_t heartbeats_next_lost(const struct heartbeats *heartbeats, const struct image *image, uint32_t *at, int64_t now_us);
/* Whether another incarnation may take over the registration. */
bool heartbeats_is_gone(const struct heartbeats *heartbeats, const struct image_broker *broker, int64_t now_us);
/* Its session has a connection. */
bool heartbeats_is_connected(const struct heartbeats *heartbeats, const struct image_broker *broker);
/* A dial may soon complete the evidence: a newcomer should wait a moment. */
bool heartbeats_is_undecided(const struct heartbeats *heartbeats, const struct image_broker *broker, int64_t now_us);
/* The lowest index that the active brokers (but not `except`) have applied; INT64_MAX when there is none. */
int64_t heartbeats_lowest_applied(const struct heartbeats *heartbeats, const struct image *image, int32_t except);
int64_t heartbeats_shutdown_index(const struct heartbeats *heartbeats, int32_t broker_id);
/* When to look again at the latest. */
int64_t heartbeats_deadline_us(const struct heartbeats *heartbeats, const struct image *image);

#endif
