#include "broker/handlers/group_call.h"

#include "common/assert.h"

struct group_fan *group_fan_create(struct call *call, size_t count, group_fan_fn *answer)
{
    struct group_fan *fan = mem_alloc(sizeof *fan + count * sizeof *fan->items);
    fan->call = call;
    fan->count = count;
    fan->answer = answer;
    return fan;
}

enum request_progress group_fan_refuse(struct call *call, int32_t count)
{
    ASSERT(count > GROUPS_PER_REQUEST_MAX);
    call_close(call, "%d groups in one request; at most %d can be asked about at a time", count, GROUPS_PER_REQUEST_MAX);
    return REQUEST_DONE;
}

static void destroy(struct group_fan *fan)
{
    for (size_t i = 0; i < fan->count; i++)
        if (fan->items[i].is_asked) group_request_deinit(&fan->items[i].group.request);
    mem_free(fan);
}

static void finish_one(struct group_fan *fan)
{
    ASSERT(fan->pending > 0);
    if (--fan->pending > 0) return;
    fan->answer(fan);
    destroy(fan);
}

static void on_done(struct group_call *group, int64_t now_us)
{
    (void)now_us;
    finish_one(CONTAINER_OF(group, struct group_fan_item, group)->fan);
}

struct group_request *group_fan_ask(struct group_fan *fan, size_t item, enum group_request_type type, struct slice group_id)
{
    ASSERT(fan->count <= GROUPS_PER_REQUEST_MAX);
    ASSERT(item < fan->count);
    struct group_fan_item *to = &fan->items[item];
    to->fan = fan;
    to->is_asked = true;
    to->group.done = on_done;
    group_request_init(&to->group.request, type, fan->call->api_version, group_id);
    return &to->group.request;
}

static bool is_input_needed(const struct group_fan *fan)
{
    for (size_t i = 0; i < fan->count; i++)
        if (fan->items[i].is_asked && fan->items[i].group.request.is_input_needed) return true;
    return false;
}

enum request_progress group_fan_send(struct group_fan *fan)
{
    struct dispatch *dispatch = fan->call->dispatch;
    int64_t now_us = env_now_us(dispatch->env);
    fan->pending = 1; /* this function */
    for (size_t i = 0; i < fan->count; i++) fan->pending += fan->items[i].is_asked;
    for (size_t i = 0; i < fan->count; i++)
        if (fan->items[i].is_asked) group_coordinator_send(dispatch->groups, &fan->items[i].group, now_us);
    bool is_done = fan->pending == 1;
    if (!is_done && fan->can_release_frame && !is_input_needed(fan)) call_release_frame(fan->call);
    finish_one(fan);
    return is_done ? REQUEST_DONE : REQUEST_PARKED;
}
