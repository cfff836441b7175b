#include "broker/handlers/metadata_hold.h"

#include "broker/handlers/handler.h"
#include "common/assert.h"
#include "common/checked.h"

struct held_metadata {
    struct list_node node; /* hold->held, in order of arrival */
    struct metadata_hold *hold;
    struct call *call;
    const struct metadata_request *request;
};

/* ---- who is lost --------------------------------------------------------------------------------------------------- */

static bool is_current(const struct lost_leader *lost, const struct image *image, int64_t now_us)
{
    const struct image_broker *broker = image_broker_get(image, lost->broker_id);
    return now_us < lost->lost_us + METADATA_HOLD_US && broker && !broker->fenced && broker->epoch == lost->broker_epoch;
}

/* Those that count now; most of the time none. */
static size_t find_current(const struct metadata_hold *hold, const struct image *image, int64_t now_us, int32_t ids[LOST_LEADERS_MAX])
{
    size_t count = 0, known = min_size(hold->lost_count, LOST_LEADERS_MAX);
    for (size_t i = 0; i < known; i++)
        if (is_current(&hold->lost[i], image, now_us)) ids[count++] = hold->lost[i].broker_id;
    return count;
}

static bool is_led_by(const struct image_topic *topic, const int32_t *ids, size_t count)
{
    for (int32_t p = 0; p < topic->partition_count; p++)
        for (size_t i = 0; i < count; i++)
            if (topic->partitions[p].leader == ids[i]) return true;
    return false;
}

/* A request for all topics names none. */
static bool names_a_partition_of(const struct image *image, const struct metadata_request *request, const int32_t *ids, size_t count)
{
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct metadata_request_topics *wanted = &request->topics[i];
        const struct image_topic *topic =
            slice_is_null(wanted->name) ? image_topic_by_id(image, wanted->topic_id) : image_topic_by_name(image, wanted->name);
        if (topic && is_led_by(topic, ids, count)) return true;
    }
    return false;
}

static bool must_wait(const struct metadata_hold *hold, const struct call *call, const struct metadata_request *request, int64_t now_us)
{
    int32_t ids[LOST_LEADERS_MAX];
    size_t count = find_current(hold, call_image(call), now_us, ids);
    return count > 0 && names_a_partition_of(call_image(call), request, ids, count);
}

/* ---- who waits ----------------------------------------------------------------------------------------------------- */

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

static void set_timer(struct metadata_hold *hold)
{
    int64_t at_us = 0;
    size_t known = min_size(hold->lost_count, LOST_LEADERS_MAX);
    for (size_t i = 0; i < known; i++) at_us = max_i64(at_us, hold->lost[i].lost_us + METADATA_HOLD_US);
    if (hold->held_count > 0)
        env_timer_set(hold->env, &hold->timer, at_us);
    else
        env_timer_clear(hold->env, &hold->timer);
}

void metadata_hold_on_image(struct metadata_hold *hold, int64_t now_us)
{
    LIST_FOR_EACH (&hold->held, node) {
        struct held_metadata *held = CONTAINER_OF(node, struct held_metadata, node);
        if (!must_wait(hold, held->call, held->request, now_us)) release(held);
    }
    set_timer(hold);
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    metadata_hold_on_image(CONTAINER_OF(timer, struct metadata_hold, timer), now_us);
}

bool metadata_hold_keeps(struct metadata_hold *hold, struct call *call, const struct metadata_request *request)
{
    if (hold->lost_count == 0 || hold->held_count >= METADATA_HELD_MAX || call->dispatch->is_stopping) return false;
    if (!must_wait(hold, call, request, env_now_us(hold->env))) return false;
    struct held_metadata *held = arena_alloc(&call->arena, sizeof *held);
    *held = (struct held_metadata){.hold = hold, .call = call, .request = request};
    list_push_back(&hold->held, &held->node);
    hold->held_count++;
    call->state = held;
    call->request->user = call;
    call->request->on_abandoned = on_abandoned;
    set_timer(hold);
    return true;
}

void metadata_hold_on_lost(struct metadata_hold *hold, const struct image *image, int32_t broker_id, int64_t now_us)
{
    const struct image_broker *broker = image_broker_get(image, broker_id);
    if (!broker || broker->fenced) return;
    hold->lost[hold->lost_count++ % LOST_LEADERS_MAX] =
        (struct lost_leader){.broker_id = broker_id, .broker_epoch = broker->epoch, .lost_us = now_us};
}

void metadata_hold_init(struct metadata_hold *hold, struct env *env)
{
    *hold = (struct metadata_hold){.env = env};
    list_init(&hold->held);
    env_timer_init(&hold->timer, on_timer);
}

void metadata_hold_deinit(struct metadata_hold *hold)
{
    ASSERT(list_is_empty(&hold->held));
    env_timer_clear(hold->env, &hold->timer);
}
