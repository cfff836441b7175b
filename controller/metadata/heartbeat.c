#include "controller/metadata/heartbeat.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#define DIAL_BACKOFF_FIRST_US 5000
#define DIAL_BACKOFF_MAX_US   1000000
#define TIMEOUT_ONLY_US       60000000 /* after a wrong fence */

void heartbeats_init(struct heartbeats *heartbeats, int64_t timeout_us)
{
    ASSERT(timeout_us > 0);
    *heartbeats = (struct heartbeats){.timeout_us = timeout_us};
    map_init(&heartbeats->sessions, 0);
}

void heartbeats_resign(struct heartbeats *heartbeats)
{
    MAP_FOR_EACH (&heartbeats->sessions, struct session, session) mem_free(session);
    map_deinit(&heartbeats->sessions);
    map_init(&heartbeats->sessions, 0);
}

void heartbeats_deinit(struct heartbeats *heartbeats)
{
    heartbeats_resign(heartbeats);
    map_deinit(&heartbeats->sessions);
}

static struct session *find(const struct heartbeats *heartbeats, int32_t broker_id)
{
    return map_get(&heartbeats->sessions, MAP_KEY(&broker_id));
}

static struct session *begin_session(struct heartbeats *heartbeats, const struct image_broker *broker, int64_t now_us)
{
    struct session *session = find(heartbeats, broker->id);
    if (!session) {
        session = mem_alloc(sizeof *session);
        session->broker_id = broker->id;
        map_put(&heartbeats->sessions, MAP_KEY(&session->broker_id), session);
    }
    *session = (struct session){.broker_id = broker->id,
                                .epoch = broker->epoch,
                                .contact_us = now_us,
                                .dial_at_us = now_us,
                                .timeout_only_until_us = session->timeout_only_until_us};
    return session;
}

void heartbeats_take_office(struct heartbeats *heartbeats, const struct image *image, int64_t now_us)
{
    heartbeats_resign(heartbeats);
    struct image_broker *broker;
    for (uint32_t at = 0; (broker = image_next_broker(image, &at));)
        begin_session(heartbeats, broker, now_us)->shutdown_index = image->index;
}

void heartbeats_on_registered(struct heartbeats *heartbeats, const struct image_broker *broker, uint64_t connection, int64_t now_us)
{
    begin_session(heartbeats, broker, now_us)->connection = connection;
}

void heartbeats_on_contact(struct heartbeats *heartbeats, int32_t broker_id, uint64_t connection, int64_t applied_index, int64_t now_us)
{
    struct session *session = find(heartbeats, broker_id);
    if (!session) return;
    if (session->is_gone) session->timeout_only_until_us = saturating_add_i64(now_us, TIMEOUT_ONLY_US);
    session->is_gone = false;
    session->connection = connection;
    session->contact_us = now_us;
    session->dial_backoff_us = 0;
    session->applied_index = max_i64(session->applied_index, applied_index);
}

void heartbeats_on_shutting_down(struct heartbeats *heartbeats, int32_t broker_id, int64_t index)
{
    struct session *session = find(heartbeats, broker_id);
    if (session) session->shutdown_index = index;
}

int32_t heartbeats_on_closed(struct heartbeats *heartbeats, uint64_t connection, int64_t now_us)
{
    MAP_FOR_EACH (&heartbeats->sessions, struct session, session) {
        if (session->connection != connection) continue;
        session->connection = NO_CONNECTION;
        session->dial_at_us = now_us;
        session->dial_backoff_us = 0;
        return session->broker_id;
    }
    return NO_BROKER;
}

/* ---- dialing --------------------------------------------------------------------------------------------------------- */

/* Evidence about a fenced broker changes nothing: it is dialed no more. */
static bool wants_dial(const struct session *session, const struct image *image, int64_t now_us)
{
    const struct image_broker *broker = image_broker_get(image, session->broker_id);
    if (!broker || broker->fenced || session->connection != NO_CONNECTION) return false;
    return session->dial == NO_DIAL && !session->is_gone && session->timeout_only_until_us <= now_us;
}

int32_t heartbeats_next_dial(struct heartbeats *heartbeats, const struct image *image, uint64_t *dial, int64_t now_us)
{
    MAP_FOR_EACH (&heartbeats->sessions, struct session, session) {
        if (session->dial_at_us > now_us || !wants_dial(session, image, now_us)) continue;
        session->dial = *dial = ++heartbeats->last_dial;
        int64_t backoff = session->dial_backoff_us;
        session->dial_backoff_us = backoff ? min_i64(backoff * 4, DIAL_BACKOFF_MAX_US) : DIAL_BACKOFF_FIRST_US;
        return session->broker_id;
    }
    return NO_BROKER;
}

void heartbeats_on_dialed(struct heartbeats *heartbeats, int32_t broker_id, uint64_t dial, bool is_refused, int64_t now_us)
{
    struct session *session = find(heartbeats, broker_id);
    ASSERT(dial != NO_DIAL);
    if (!session || session->dial != dial) return;
    session->dial = NO_DIAL;
    session->dial_at_us = saturating_add_i64(now_us, session->dial_backoff_us);
    /* Meanwhile it may have spoken: then there is no evidence. */
    if (is_refused && session->connection == NO_CONNECTION && session->timeout_only_until_us <= now_us) session->is_gone = true;
}

/* ---- verdicts -------------------------------------------------------------------------------------------------------- */

void heartbeats_forgive(struct heartbeats *heartbeats, int64_t stalled_us)
{
    ASSERT(stalled_us > 0);
    MAP_FOR_EACH (&heartbeats->sessions, struct session, session) session->contact_us = saturating_add_i64(session->contact_us, stalled_us);
}

static bool is_over(const struct heartbeats *heartbeats, const struct session *session, int64_t now_us)
{
    return session->is_gone || now_us - session->contact_us >= heartbeats->timeout_us;
}

int32_t heartbeats_next_lost(const struct heartbeats *heartbeats, const struct image *image, uint32_t *at, int64_t now_us)
{
    for (const struct session *session; (session = map_next(&heartbeats->sessions, at));) {
        const struct image_broker *broker = image_broker_get(image, session->broker_id);
        if (broker && !broker->fenced && is_over(heartbeats, session, now_us)) return session->broker_id;
    }
    return NO_BROKER;
}

bool heartbeats_is_gone(const struct heartbeats *heartbeats, const struct image_broker *broker, int64_t now_us)
{
    const struct session *session = find(heartbeats, broker->id);
    if (!session || is_over(heartbeats, session, now_us)) return true;
    /* A fenced broker leads nothing and is in no ISR: nothing is lost by replacing one that is only on its way back. */
    return broker->fenced && session->connection == NO_CONNECTION;
}

bool heartbeats_is_connected(const struct heartbeats *heartbeats, const struct image_broker *broker)
{
    const struct session *session = find(heartbeats, broker->id);
    return session && session->connection != NO_CONNECTION;
}

bool heartbeats_is_undecided(const struct heartbeats *heartbeats, const struct image_broker *broker, int64_t now_us)
{
    const struct session *session = find(heartbeats, broker->id);
    if (!session || heartbeats_is_gone(heartbeats, broker, now_us)) return false;
    return session->connection == NO_CONNECTION && session->timeout_only_until_us <= now_us;
}

int64_t heartbeats_lowest_applied(const struct heartbeats *heartbeats, const struct image *image, int32_t except)
{
    int64_t lowest = INT64_MAX;
    struct image_broker *broker;
    for (uint32_t at = 0; (broker = image_next_broker(image, &at));) {
        if (!image_broker_is_active(broker) || broker->id == except) continue;
        const struct session *session = find(heartbeats, broker->id);
        lowest = min_i64(lowest, session ? session->applied_index : 0);
    }
    return lowest;
}

int64_t heartbeats_shutdown_index(const struct heartbeats *heartbeats, int32_t broker_id)
{
    const struct session *session = find(heartbeats, broker_id);
    return session ? session->shutdown_index : INT64_MAX;
}

int64_t heartbeats_deadline_us(const struct heartbeats *heartbeats, const struct image *image)
{
    int64_t deadline = INT64_MAX;
    MAP_FOR_EACH (&heartbeats->sessions, struct session, session) {
        const struct image_broker *broker = image_broker_get(image, session->broker_id);
        if (!broker || broker->fenced) continue;
        deadline = min_i64(deadline, session->is_gone ? INT64_MIN : saturating_add_i64(session->contact_us, heartbeats->timeout_us));
        bool needs_dial = session->connection == NO_CONNECTION && session->dial == NO_DIAL && !session->is_gone;
        if (needs_dial) deadline = min_i64(deadline, max_i64(session->dial_at_us, session->timeout_only_until_us));
    }
    return deadline;
}
