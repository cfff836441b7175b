/* Who of the brokers lives: dials for evidence, fences, gives preferred replicas their leaderships back, and internal topics their
 * replicas. */
#include "common/checked.h"
#include "common/mem.h"
#include "controller/metadata/reassign_control.h"
#include "controller/metadata/replication_control.h"
#include "controller/node/controller_internal.h"

#define DIAL_TIMEOUT_US  1000000
#define UPDATE_AGAIN_US  5000    /* what is due is under way: a fence waits for its locks */
#define TICK_US          1000000 /* often enough to see that this process stood still ... */
#define STALL_US         500000  /* ... for so long that brokers could not be heard */
#define BALANCE_DELAY_US 2000000 /* a node that is back joins its ISRs one after the other: move its leaderships together */
#define BALANCE_BATCH    1000    /* leaderships moved at a time */

/* A connect to a broker's registered endpoint, for the answer of its kernel only. */
struct dial {
    struct list_node node;
    struct controller_node *controller;
    struct env_stream *stream;
    int32_t broker_id;
    uint64_t serial;
};

/* ---- fencing --------------------------------------------------------------------------------------------------------- */

static void lock_all_brokers(struct operation *operation) { operation_lock_brokers(operation, LOCK_EXCLUSIVE); }

/* The evidence may have been refuted while the operation waited for its locks. */
static void decide_fence(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    struct control control = operation_control(operation);
    uint32_t at = 0;
    for (int32_t id; (id = heartbeats_next_lost(&node->heartbeats, &node->image, &at, env_now_us(node->env))) != NO_BROKER;)
        if (id == operation->broker_id) cluster_fence_broker(&control, id);
}

static void fence_committed(struct operation *operation, int64_t now_us)
{
    struct controller_node *node = operation->controller;
    log_line(env_logger(node->env), LOG_WARN, "controller", "broker %d is fenced: it is gone or silent", (int32_t)operation->broker_id);
    sessions_update(node, now_us);
    controller_retry_held(node);
}

static const struct operation_kind FENCE = {"fence broker", lock_all_brokers, decide_fence, fence_committed, false};

static bool is_being_fenced(const struct controller_node *node, int32_t broker_id)
{
    const struct list *lists[] = {&node->waiting, &node->proposed};
    for (size_t l = 0; l < 2; l++) {
        LIST_FOR_EACH (lists[l], each) {
            const struct operation *operation = CONTAINER_OF(each, struct operation, node);
            if (operation->kind == &FENCE && operation->broker_id == broker_id) return true;
        }
    }
    return false;
}

static void fence_lost(struct controller_node *node, int64_t now_us)
{
    uint32_t at = 0;
    for (int32_t id; (id = heartbeats_next_lost(&node->heartbeats, &node->image, &at, now_us)) != NO_BROKER;) {
        if (is_being_fenced(node, id)) continue;
        struct operation *operation = operation_create(node, &FENCE, NULL, SIZE_MAX);
        operation->broker_id = id;
        operation_submit(operation);
    }
}

/* ---- dialing --------------------------------------------------------------------------------------------------------- */

static void on_dial_event(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct dial *dial = user;
    struct controller_node *node = dial->controller;
    if (event->type != ENV_STREAM_CONNECTED && event->type != ENV_STREAM_CLOSED) return;
    struct dial found = *dial;
    bool is_refused = event->type == ENV_STREAM_CLOSED && event->err == ERR_REFUSED;
    if (event->type == ENV_STREAM_CONNECTED) env_stream_close(node->env, stream);
    list_remove(&dial->node);
    mem_free(dial);
    heartbeats_on_dialed(&node->heartbeats, found.broker_id, found.serial, is_refused, event->now_us);
    sessions_update(node, event->now_us);
    controller_retry_held(node);
}

static void dial_broker(struct controller_node *node, int32_t broker_id, uint64_t serial)
{
    const struct image_broker *broker = image_broker_get(&node->image, broker_id);
    struct dial *dial = mem_alloc(sizeof *dial);
    dial->controller = node;
    dial->broker_id = broker_id;
    dial->serial = serial;
    list_push_back(&node->dials, &dial->node);
    dial->stream = env_connect(node->env, broker->listeners[0].host, broker->listeners[0].port, DIAL_TIMEOUT_US, on_dial_event, dial);
}

/* ---- the office ------------------------------------------------------------------------------------------------------ */

void sessions_begin(struct controller_node *node, int64_t now_us)
{
    heartbeats_take_office(&node->heartbeats, &node->image, now_us);
    node->session_timer_us = now_us;
    sessions_balance_soon(node, now_us);
    sessions_update(node, now_us);
}

void sessions_end(struct controller_node *node)
{
    struct list_node *first;
    while ((first = list_pop_front(&node->dials))) {
        struct dial *dial = CONTAINER_OF(first, struct dial, node);
        env_stream_close(node->env, dial->stream);
        mem_free(dial);
    }
    heartbeats_resign(&node->heartbeats);
    env_timer_clear(node->env, &node->session_timer);
    env_timer_clear(node->env, &node->balance_timer);
    node->is_balance_due = false;
}

/* The timer is set at all times, so one that is late shows that nothing here ran. */
static void forgive_stall(struct controller_node *node, int64_t now_us)
{
    int64_t late_us = now_us - node->session_timer_us;
    if (late_us < STALL_US) return;
    log_line(env_logger(node->env), LOG_WARN, "controller", "this process stood still for %lld ms: sessions are extended by that",
             (long long)(late_us / 1000));
    heartbeats_forgive(&node->heartbeats, late_us);
    node->session_timer_us = now_us;
}

void sessions_update(struct controller_node *node, int64_t now_us)
{
    if (!controller_is_active(node)) return;
    forgive_stall(node, now_us);
    uint64_t dial;
    for (int32_t id; (id = heartbeats_next_dial(&node->heartbeats, &node->image, &dial, now_us)) != NO_BROKER;) dial_broker(node, id, dial);
    fence_lost(node, now_us);
    int64_t deadline = min_i64(heartbeats_deadline_us(&node->heartbeats, &node->image), controller_held_until_us(node));
    node->session_timer_us = min_i64(max_i64(deadline, now_us + UPDATE_AGAIN_US), now_us + TICK_US);
    env_timer_set(node->env, &node->session_timer, node->session_timer_us);
    operations_on_applied(node, now_us);
}

void sessions_on_timer(struct env_timer *timer, int64_t now_us)
{
    struct controller_node *node = CONTAINER_OF(timer, struct controller_node, session_timer);
    sessions_update(node, now_us);
    controller_retry_held(node);
}

/* ---- preferred leaders ----------------------------------------------------------------------------------------------- */

static void decide_balance(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    struct control control = operation_control(operation);
    uint32_t moved = replication_balance(&control, node->config.rebalance_interval_ms > 0, BALANCE_BATCH);
    /* Not in one batch: a partition changes once in it. */
    if (moved == 0) reassign_grow_internal_topics(&control, control.settings->internal_replicas, BALANCE_BATCH);
}

/* More may be left, and the records themselves are changes: sessions_balance_soon() has been called for them. */
static const struct operation_kind BALANCE = {"balance leaders", lock_all_brokers, decide_balance, NULL, false};

void sessions_balance_soon(struct controller_node *node, int64_t now_us)
{
    if (!controller_is_active(node) || node->is_balance_due) return;
    int64_t interval_us = node->config.rebalance_interval_ms * 1000;
    node->is_balance_due = true;
    env_timer_set(node->env, &node->balance_timer, now_us + (interval_us > 0 ? min_i64(interval_us, BALANCE_DELAY_US) : BALANCE_DELAY_US));
}

void sessions_on_balance(struct env_timer *timer, int64_t now_us)
{
    struct controller_node *node = CONTAINER_OF(timer, struct controller_node, balance_timer);
    (void)now_us;
    node->is_balance_due = false;
    operation_submit(operation_create(node, &BALANCE, NULL, SIZE_MAX));
}
