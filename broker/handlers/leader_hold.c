#include "broker/handlers/leader_hold.h"

#include "broker/handlers/handler.h"
#include "broker/node/peer_probe.h"
#include "common/assert.h"
#include "common/checked.h"

struct leader_set {
    int32_t ids[LOST_LEADERS_MAX + DOUBTED_LEADERS_MAX];
    size_t count;
};

struct held_call {
    struct list_node node; /* hold->held, in order of arrival */
    struct leader_hold *hold;
    struct call *call;
    const struct leader_question *question;
    const void *request;
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

struct collection {
    struct leader_set *set;
    int32_t own_id;
};

static bool collect(void *context, int32_t leader)
{
    const struct collection *collection = context;
    struct leader_set *set = collection->set;
    ASSERT(set->count < DOUBTED_LEADERS_MAX);
    if (leader != NO_LEADER && leader != collection->own_id && !has(set, leader)) set->ids[set->count++] = leader;
    return set->count == DOUBTED_LEADERS_MAX;
}

struct search {
    const struct leader_set *set;
    bool is_found;
};

static bool look_for(void *context, int32_t leader)
{
    struct search *search = context;
    search->is_found = has(search->set, leader);
    return search->is_found;
}

static bool names_a_partition_of(const struct held_call *held, const struct leader_set *set)
{
    struct search search = {.set = set};
    if (set->count > 0) held->question->each_leader(held->call, held->request, look_for, &search);
    return search.is_found;
}

/* ---- who is lost --------------------------------------------------------------------------------------------------- */

static size_t known_lost(const struct leader_hold *hold) { return min_size(hold->lost_count, LOST_LEADERS_MAX); }

static bool is_of_this_life(const struct leader_hold *hold, const struct lost_leader *lost)
{
    const struct image_broker *broker = image_broker_get(hold->image, lost->broker_id);
    return broker && !broker->fenced && broker->epoch == lost->broker_epoch;
}

static bool is_current(const struct leader_hold *hold, const struct lost_leader *lost, int64_t now_us)
{
    return !lost->is_refuted && now_us < lost->lost_us + LEADER_HOLD_US && is_of_this_life(hold, lost);
}

/* Those that count now; most of the time none. */
static void find_lost(const struct leader_hold *hold, int64_t now_us, struct leader_set *set)
{
    set->count = 0;
    for (size_t i = 0; i < known_lost(hold); i++)
        if (is_current(hold, &hold->lost[i], now_us)) set->ids[set->count++] = hold->lost[i].broker_id;
}

static bool is_known_as_lost(const struct leader_hold *hold, int32_t broker_id)
{
    for (size_t i = 0; i < known_lost(hold); i++) {
        const struct lost_leader *lost = &hold->lost[i];
        if (lost->broker_id == broker_id && !lost->is_refuted && is_of_this_life(hold, lost)) return true;
    }
    return false;
}

static void refute(struct leader_hold *hold, int32_t broker_id, int64_t alive_us)
{
    for (size_t i = 0; i < known_lost(hold); i++)
        if (hold->lost[i].broker_id == broker_id && hold->lost[i].lost_us <= alive_us) hold->lost[i].is_refuted = true;
}

void leader_hold_on_lost(struct leader_hold *hold, int32_t broker_id, int64_t now_us)
{
    const struct image_broker *broker = image_broker_get(hold->image, broker_id);
    if (!broker || broker->fenced) return;
    hold->lost[hold->lost_count++ % LOST_LEADERS_MAX] =
        (struct lost_leader){.broker_id = broker_id, .broker_epoch = broker->epoch, .lost_us = now_us};
}

/* ---- who waits ----------------------------------------------------------------------------------------------------- */

/* For a lost leader's successor, or for a sign of a doubted one. */
static bool must_wait(const struct held_call *held, int64_t now_us)
{
    const struct leader_hold *hold = held->hold;
    struct leader_set awaited;
    find_lost(hold, now_us, &awaited);
    for (size_t i = 0; now_us < held->asked_us + LEADER_DOUBT_US && i < held->doubted.count; i++)
        if (!peer_probes_is_settled(hold->probes, held->doubted.ids[i], held->asked_us))
            awaited.ids[awaited.count++] = held->doubted.ids[i];
    return names_a_partition_of(held, &awaited);
}

static void forget(struct held_call *held)
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

static void answer(struct call *call, const struct leader_question *question, const void *request)
{
    if (call->request->connection) connection_note(call->request->connection, env_now_us(call->dispatch->env));
    question->answer(call, request);
}

static void release(struct held_call *held)
{
    struct call *call = held->call;
    forget(held);
    call->request->user = NULL;
    call->request->on_abandoned = NULL;
    answer(call, held->question, held->request);
}

static void set_timer(struct leader_hold *hold, int64_t now_us)
{
    int64_t at_us = INT64_MAX;
    for (size_t i = 0; i < known_lost(hold); i++) {
        const struct lost_leader *lost = &hold->lost[i];
        if (is_current(hold, lost, now_us)) at_us = min_i64(at_us, lost->lost_us + LEADER_HOLD_US);
    }
    LIST_FOR_EACH (&hold->held, node) {
        int64_t end_us = CONTAINER_OF(node, struct held_call, node)->asked_us + LEADER_DOUBT_US;
        if (end_us > now_us) at_us = min_i64(at_us, end_us);
    }
    if (hold->held_count > 0 && at_us < INT64_MAX)
        env_timer_set(hold->env, &hold->timer, at_us);
    else
        env_timer_clear(hold->env, &hold->timer);
}

void leader_hold_on_image(struct leader_hold *hold, int64_t now_us)
{
    if (hold->held_count == 0) return;
    LIST_FOR_EACH (&hold->held, node) {
        struct held_call *held = CONTAINER_OF(node, struct held_call, node);
        if (!must_wait(held, now_us)) release(held);
    }
    set_timer(hold, now_us);
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    leader_hold_on_image(CONTAINER_OF(timer, struct leader_hold, timer), now_us);
}

static void on_sign(void *user, int32_t broker_id, enum peer_sign sign, int64_t asked_us, int64_t now_us)
{
    struct leader_hold *hold = user;
    if (sign == PEER_ALIVE) refute(hold, broker_id, asked_us);
    /* Once: a broker that stays away is no news. */
    if (sign == PEER_LOST && !is_known_as_lost(hold, broker_id)) leader_hold_on_lost(hold, broker_id, now_us);
    leader_hold_on_image(hold, now_us);
}

static void keep(struct leader_hold *hold, const struct held_call *waiting)
{
    struct call *call = waiting->call;
    struct held_call *held = arena_alloc(&call->arena, sizeof *held);
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
    return now_us - connection_noted_us(call->request->connection) >= LEADER_CALM_US;
}

/* There are clients: from now on they may ask about any broker. */
static void watch_brokers(struct leader_hold *hold)
{
    struct image_broker *broker = NULL;
    for (uint32_t at = 0; (broker = image_next_broker(hold->image, &at));)
        if (broker->id != hold->node_id && !broker->fenced) peer_probes_watch(hold->probes, broker->id);
}

static void doubt_leaders(struct leader_hold *hold, struct held_call *held)
{
    struct collection collection = {.set = &held->doubted, .own_id = hold->node_id};
    held->question->each_leader(held->call, held->request, collect, &collection);
    for (size_t i = 0; i < held->doubted.count; i++) peer_probes_ask(hold->probes, held->doubted.ids[i]);
}

static bool keeps(struct leader_hold *hold, struct call *call, const struct leader_question *question, const void *request)
{
    struct held_call held = {.hold = hold, .call = call, .question = question, .request = request, .asked_us = env_now_us(hold->env)};
    if (hold->held_count >= LEADER_HELD_MAX || call->dispatch->is_stopping) return false;
    watch_brokers(hold);
    if (is_sudden(call, held.asked_us)) doubt_leaders(hold, &held);
    if (!must_wait(&held, held.asked_us)) return false;
    keep(hold, &held);
    return true;
}

enum request_progress leader_hold_ask(struct leader_hold *hold, struct call *call, const struct leader_question *question,
                                      const void *request)
{
    if (keeps(hold, call, question, request)) return REQUEST_PARKED;
    answer(call, question, request);
    return REQUEST_DONE;
}

void leader_hold_init(struct leader_hold *hold, struct env *env, const struct image *image, const struct replica_manager *replicas,
                      int32_t node_id)
{
    *hold = (struct leader_hold){.env = env, .image = image, .node_id = node_id};
    list_init(&hold->held);
    env_timer_init(&hold->timer, on_timer);
    hold->probes = peer_probes_create(env, replicas, node_id, on_sign, hold);
}

void leader_hold_deinit(struct leader_hold *hold)
{
    ASSERT(list_is_empty(&hold->held));
    env_timer_clear(hold->env, &hold->timer);
    peer_probes_destroy(hold->probes);
}
