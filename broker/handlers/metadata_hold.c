#include "broker/handlers/metadata_hold.h"

#include "broker/handlers/handler.h"
#include "broker/node/peer_probe.h"
#include "common/assert.h"
#include "common/checked.h"

struct leader_set {
    int32_t ids[LOST_LEADERS_MAX + DOUBTED_LEADERS_MAX];
    size_t count;
};

struct held_metadata {
    struct list_node node; /* hold->held, in order of arrival */
    struct metadata_hold *hold;
    struct call *call;
    const struct metadata_request *request;
    int64_t asked_us;
    struct leader_set doubted;
};

/* ---- sets of leaders ----------------------------------------------------------------------------------------------- */

static bool has(const struct leader_set *set, int32_t id)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->ids[i] == id) return true;
    return false;
}

static void add_leaders(struct leader_set *set, const struct image_topic *topic, int32_t own_id)
{
    for (int32_t p = 0; p < topic->partition_count && set->count < DOUBTED_LEADERS_MAX; p++) {
        int32_t leader = topic->partitions[p].leader;
        if (leader != NO_LEADER && leader != own_id && !has(set, leader)) set->ids[set->count++] = leader;
    }
}

/* The other brokers that lead what the request names. A request for all topics names none. */
static void find_leaders(const struct metadata_hold *hold, const struct metadata_request *request, struct leader_set *set)
{
    set->count = 0;
    for (int32_t i = 0; i < request->topics_count && set->count < DOUBTED_LEADERS_MAX; i++) {
        const struct image_topic *topic = metadata_topic(hold->image, &request->topics[i]);
        if (topic) add_leaders(set, topic, hold->node_id);
    }
}

static bool is_led_by(const struct image_topic *topic, const struct leader_set *set)
{
    for (int32_t p = 0; p < topic->partition_count; p++)
        if (has(set, topic->partitions[p].leader)) return true;
    return false;
}

static bool names_a_partition_of(const struct image *image, const struct metadata_request *request, const struct leader_set *set)
{
    for (int32_t i = 0; set->count > 0 && i < request->topics_count; i++) {
        const struct image_topic *topic = metadata_topic(image, &request->topics[i]);
        if (topic && is_led_by(topic, set)) return true;
    }
    return false;
}

/* ---- who is lost --------------------------------------------------------------------------------------------------- */

static size_t known_lost(const struct metadata_hold *hold) { return min_size(hold->lost_count, LOST_LEADERS_MAX); }

static bool is_of_this_life(const struct metadata_hold *hold, const struct lost_leader *lost)
{
    const struct image_broker *broker = image_broker_get(hold->image, lost->broker_id);
    return broker && !broker->fenced && broker->epoch == lost->broker_epoch;
}

static bool is_current(const struct metadata_hold *hold, const struct lost_leader *lost, int64_t now_us)
{
    return !lost->is_refuted && now_us < lost->lost_us + METADATA_HOLD_US && is_of_this_life(hold, lost);
}

/* Those that count now; most of the time none. */
static void find_lost(const struct metadata_hold *hold, int64_t now_us, struct leader_set *set)
{
    set->count = 0;
    for (size_t i = 0; i < known_lost(hold); i++)
        if (is_current(hold, &hold->lost[i], now_us)) set->ids[set->count++] = hold->lost[i].broker_id;
}

static bool is_known_as_lost(const struct metadata_hold *hold, int32_t broker_id)
{
    for (size_t i = 0; i < known_lost(hold); i++) {
        const struct lost_leader *lost = &hold->lost[i];
        if (lost->broker_id == broker_id && !lost->is_refuted && is_of_this_life(hold, lost)) return true;
    }
    return false;
}

static void refute(struct metadata_hold *hold, int32_t broker_id, int64_t alive_us)
{
    for (size_t i = 0; i < known_lost(hold); i++)
        if (hold->lost[i].broker_id == broker_id && hold->lost[i].lost_us <= alive_us) hold->lost[i].is_refuted = true;
}

void metadata_hold_on_lost(struct metadata_hold *hold, int32_t broker_id, int64_t now_us)
{
    const struct image_broker *broker = image_broker_get(hold->image, broker_id);
    if (!broker || broker->fenced) return;
    hold->lost[hold->lost_count++ % LOST_LEADERS_MAX] =
        (struct lost_leader){.broker_id = broker_id, .broker_epoch = broker->epoch, .lost_us = now_us};
}

/* ---- who waits ----------------------------------------------------------------------------------------------------- */

/* For a lost leader's successor, or for a sign of a doubted one. */
static bool must_wait(const struct held_metadata *held, int64_t now_us)
{
    const struct metadata_hold *hold = held->hold;
    struct leader_set awaited;
    find_lost(hold, now_us, &awaited);
    for (size_t i = 0; now_us < held->asked_us + METADATA_DOUBT_US && i < held->doubted.count; i++)
        if (!peer_probes_is_settled(hold->probes, held->doubted.ids[i], held->asked_us))
            awaited.ids[awaited.count++] = held->doubted.ids[i];
    return names_a_partition_of(hold->image, held->request, &awaited);
}

static void forget(struct held_metadata *held)
{
    list_remove(&held->node);
    held->hold->held_count--;
}

static void on_abandoned(struct request *request)
{
    struct call *call = request->user;
    forget(call->state);
    call_finish(call);
}

static void release(struct held_metadata *held)
{
    struct call *call = held->call;
    forget(held);
    call->request->user = NULL;
    call->request->on_abandoned = NULL;
    metadata_answer(call, held->request);
}

static void set_timer(struct metadata_hold *hold, int64_t now_us)
{
    int64_t at_us = INT64_MAX;
    for (size_t i = 0; i < known_lost(hold); i++) {
        const struct lost_leader *lost = &hold->lost[i];
        if (is_current(hold, lost, now_us)) at_us = min_i64(at_us, lost->lost_us + METADATA_HOLD_US);
    }
    LIST_FOR_EACH (&hold->held, node) {
        int64_t end_us = CONTAINER_OF(node, struct held_metadata, node)->asked_us + METADATA_DOUBT_US;
        if (end_us > now_us) at_us = min_i64(at_us, end_us);
    }
    if (hold->held_count > 0 && at_us < INT64_MAX)
        env_timer_set(hold->env, &hold->timer, at_us);
    else
        env_timer_clear(hold->env, &hold->timer);
}

void metadata_hold_on_image(struct metadata_hold *hold, int64_t now_us)
{
    if (hold->held_count == 0) return;
    LIST_FOR_EACH (&hold->held, node) {
        struct held_metadata *held = CONTAINER_OF(node, struct held_metadata, node);
        if (!must_wait(held, now_us)) release(held);
    }
    set_timer(hold, now_us);
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    metadata_hold_on_image(CONTAINER_OF(timer, struct metadata_hold, timer), now_us);
}

static void on_sign(void *user, int32_t broker_id, enum peer_sign sign, int64_t asked_us, int64_t now_us)
{
    struct metadata_hold *hold = user;
    if (sign == PEER_ALIVE) refute(hold, broker_id, asked_us);
    /* Once: a broker that stays away is no news. */
    if (sign == PEER_LOST && !is_known_as_lost(hold, broker_id)) metadata_hold_on_lost(hold, broker_id, now_us);
    metadata_hold_on_image(hold, now_us);
}

static void keep(struct metadata_hold *hold, const struct held_metadata *waiting)
{
    struct call *call = waiting->call;
    struct held_metadata *held = arena_alloc(&call->arena, sizeof *held);
    *held = *waiting;
    list_push_back(&hold->held, &held->node);
    hold->held_count++;
    call->state = held;
    call->request->user = call;
    call->request->on_abandoned = on_abandoned;
    set_timer(hold, held->asked_us);
}

/* Whether something may have happened to the client. */
static bool is_sudden(const struct call *call, int64_t now_us)
{
    return now_us - connection_noted_us(call->request->connection) >= METADATA_CALM_US;
}

/* There are clients: from now on they may ask about any broker. */
static void watch_brokers(struct metadata_hold *hold)
{
    struct image_broker *broker = NULL;
    for (uint32_t at = 0; (broker = image_next_broker(hold->image, &at));)
        if (broker->id != hold->node_id && !broker->fenced) peer_probes_watch(hold->probes, broker->id);
}

static void doubt_leaders(struct metadata_hold *hold, struct held_metadata *held)
{
    find_leaders(hold, held->request, &held->doubted);
    for (size_t i = 0; i < held->doubted.count; i++) peer_probes_ask(hold->probes, held->doubted.ids[i]);
}

bool metadata_hold_keeps(struct metadata_hold *hold, struct call *call, const struct metadata_request *request)
{
    struct held_metadata held = {.hold = hold, .call = call, .request = request, .asked_us = env_now_us(hold->env)};
    if (hold->held_count >= METADATA_HELD_MAX || call->dispatch->is_stopping) return false;
    watch_brokers(hold);
    if (is_sudden(call, held.asked_us)) doubt_leaders(hold, &held);
    if (!must_wait(&held, held.asked_us)) return false;
    keep(hold, &held);
    return true;
}

void metadata_hold_init(struct metadata_hold *hold, struct env *env, const struct image *image, const struct replica_manager *replicas,
                        int32_t node_id)
{
    *hold = (struct metadata_hold){.env = env, .image = image, .node_id = node_id};
    list_init(&hold->held);
    env_timer_init(&hold->timer, on_timer);
    hold->probes = peer_probes_create(env, replicas, node_id, on_sign, hold);
}

void metadata_hold_deinit(struct metadata_hold *hold)
{
    ASSERT(list_is_empty(&hold->held));
    env_timer_clear(hold->env, &hold->timer);
    peer_probes_destroy(hold->probes);
}
