/* OffsetCommit, OffsetFetch and OffsetDelete: names and topic ids in, one question to the coordinator for each group, the answer in the
 * order of the request. Offsets of a partition that does not exist are neither committed nor deleted (and can still be fetched by name
 * until they are forgotten, or a topic has the name again). */
#include "broker/handlers/group_call.h"

#include "common/assert.h"
#include "common/map.h"

#define TOPIC_IDS_FROM   10 /* of both */
#define GROUPS_FROM      8  /* OffsetFetch: several groups */
#define GROUP_ERROR_FROM 2  /* OffsetFetch: before, an error of the group stands at each partition */
#define NO_OFFSET        (-1)

/* What of a topic of a request exists. */
struct offset_place {
    int32_t known;   /* the topic's place among those that exist, or -1: nothing of it does */
    bool *exists;    /* each partition */
    bool is_unknown; /* the topic */
};

/* ---- OffsetCommit -------------------------------------------------------------------------------------------------- */

struct commit_context {
    const struct offset_commit_request *request;
    struct offset_commit_request known; /* topics and partitions that exist */
    struct offset_place *places;        /* of each topic of the request */
};

static enum kafka_error unknown_error(const struct call *call, const struct offset_place *place)
{
    return place->is_unknown && call->api_version >= TOPIC_IDS_FROM ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* The coordinator's answers, and between them those that it was not asked for. */
static struct offset_commit_response_topics answer_topic(struct call *call, const struct offset_commit_request_topics *from,
                                                         const struct offset_place *place, const struct offset_commit_response *answer)
{
    struct offset_commit_response_topics to = {.name = from->name, .topic_id = from->topic_id, .partitions_count = from->partitions_count};
    const struct offset_commit_response_partitions *next = place->known >= 0 ? answer->topics[place->known].partitions : NULL;
    to.partitions = arena_calloc(&call->arena, (size_t)from->partitions_count, sizeof *to.partitions);
    for (int32_t i = 0; i < from->partitions_count; i++) {
        if (place->exists[i]) {
            ASSERT(next != NULL);
            to.partitions[i] = *next++;
            continue;
        }
        to.partitions[i] = (struct offset_commit_response_partitions){.partition_index = from->partitions[i].partition_index,
                                                                      .error_code = (int16_t)unknown_error(call, place)};
    }
    return to;
}

static void answer_commit(struct group_fan *fan)
{
    struct call *call = fan->call;
    const struct commit_context *context = fan->context;
    const struct offset_commit_request *request = context->request;
    const struct offset_commit_response *answer = &fan->items[0].group.request.out.commit;
    struct offset_commit_response response = {.topics_count = request->topics_count};
    response.topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *response.topics);
    for (int32_t i = 0; i < request->topics_count; i++)
        response.topics[i] = answer_topic(call, &request->topics[i], &context->places[i], answer);
    call_respond(call, &response);
}

static void find_known_partitions(struct call *call, struct commit_context *context, const struct offset_commit_request_topics *from,
                                  struct offset_place *place)
{
    const struct image_topic *topic = call->api_version >= TOPIC_IDS_FROM ? image_topic_by_id(call_image(call), from->topic_id)
                                                                          : image_topic_by_name(call_image(call), from->name);
    size_t count = (size_t)from->partitions_count;
    struct offset_commit_request_topics to = *from;
    *place = (struct offset_place){.known = -1, .exists = arena_calloc(&call->arena, count, sizeof(bool)), .is_unknown = !topic};
    if (!topic) return;
    to.name = arena_copy(&call->arena, slice_make(topic->name, topic->name_size)); /* outlives a change of the image */
    to.topic_id = topic->id;
    to.partitions = arena_calloc(&call->arena, count, sizeof *to.partitions);
    to.partitions_count = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t index = from->partitions[i].partition_index;
        place->exists[i] = index >= 0 && index < topic->partition_count;
        if (place->exists[i]) to.partitions[to.partitions_count++] = from->partitions[i];
    }
    if (to.partitions_count == 0) return;
    place->known = context->known.topics_count++;
    context->known.topics[place->known] = to;
}

static struct commit_context *find_known_topics(struct call *call, const struct offset_commit_request *request)
{
    struct commit_context *context = arena_alloc(&call->arena, sizeof *context);
    size_t count = (size_t)request->topics_count;
    context->request = request;
    context->known = *request;
    context->known.topics = arena_calloc(&call->arena, count, sizeof *context->known.topics);
    context->known.topics_count = 0;
    context->places = arena_calloc(&call->arena, count, sizeof *context->places);
    for (size_t i = 0; i < count; i++) find_known_partitions(call, context, &request->topics[i], &context->places[i]);
    return context;
}

enum request_progress handle_offset_commit(struct call *call, const void *message)
{
    struct commit_context *context = find_known_topics(call, message);
    struct group_fan *fan = group_fan_create(call, 1, answer_commit);
    fan->context = context;
    if (context->known.topics_count > 0 || context->request->topics_count == 0)
        group_fan_ask(fan, 0, GROUP_OFFSET_COMMIT, context->request->group_id)->in.commit = &context->known;
    return group_fan_send(fan);
}

/* ---- OffsetFetch --------------------------------------------------------------------------------------------------- */

struct fetch_context {
    struct offset_fetch_request_groups *groups; /* as asked */
    struct offset_fetch_request_groups *known;  /* topics by name, without those whose id is unknown */
};

static struct offset_fetch_response_groups_topics refuse_id(struct call *call, const struct offset_fetch_request_groups_topics *from)
{
    struct offset_fetch_response_groups_topics to = {
        .name = from->name, .topic_id = from->topic_id, .partitions_count = from->partition_indexes_count};
    to.partitions = arena_calloc(&call->arena, (size_t)from->partition_indexes_count, sizeof *to.partitions);
    for (int32_t i = 0; i < from->partition_indexes_count; i++)
        to.partitions[i] = (struct offset_fetch_response_groups_topics_partitions){.partition_index = from->partition_indexes[i],
                                                                                   .committed_offset = NO_OFFSET,
                                                                                   .committed_leader_epoch = -1,
                                                                                   .metadata = SLICE_LITERAL(""),
                                                                                   .error_code = KAFKA_UNKNOWN_TOPIC_ID};
    return to;
}

/* Offsets of a topic that had the name before are not this topic's (see note_ids). */
static void keep_own(struct offset_fetch_response_groups_topics *topic, const struct uuid *committed_to)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < topic->partitions_count; i++)
        if (uuid_is_zero(committed_to[i]) || uuid_equal(committed_to[i], topic->topic_id)) topic->partitions[kept++] = topic->partitions[i];
    topic->partitions_count = kept;
}

/* Of all topics of a group. Those that are gone have no id: they can be told by name only. */
static void keep_existing(struct call *call, const struct group_request *request, struct offset_fetch_response_groups *group)
{
    const struct uuid *committed_to = request->fetched_ids;
    int32_t kept = 0;
    for (int32_t i = 0; i < group->topics_count; i++) {
        struct offset_fetch_response_groups_topics topic = group->topics[i];
        const struct image_topic *now = image_topic_by_name(call_image(call), topic.name);
        const struct uuid *ids = committed_to;
        committed_to += topic.partitions_count;
        if (!now && call->api_version >= TOPIC_IDS_FROM) continue;
        if (now) {
            topic.topic_id = now->id;
            keep_own(&topic, ids);
        }
        if (topic.partitions_count > 0) group->topics[kept++] = topic;
    }
    group->topics_count = kept;
}

/* Puts the refused topics of a request by id back into their places. */
static void merge_ids(struct call *call, const struct offset_fetch_request_groups *asked, struct offset_fetch_response_groups *group)
{
    struct offset_fetch_response_groups_topics *topics = arena_calloc(&call->arena, (size_t)asked->topics_count, sizeof *topics);
    int32_t at = 0;
    if (group->error_code) return;
    for (int32_t i = 0; i < asked->topics_count; i++) {
        const struct offset_fetch_request_groups_topics *from = &asked->topics[i];
        topics[i] = slice_is_null(from->name) ? refuse_id(call, from) : group->topics[at++];
        topics[i].topic_id = from->topic_id;
    }
    group->topics = topics;
    group->topics_count = asked->topics_count;
}

static void respond_groups(struct group_fan *fan)
{
    struct call *call = fan->call;
    const struct fetch_context *context = fan->context;
    struct offset_fetch_response response = {.groups_count = (int32_t)fan->count};
    response.groups = arena_calloc(&call->arena, fan->count, sizeof *response.groups);
    for (size_t i = 0; i < fan->count; i++) {
        const struct group_request *request = &fan->items[i].group.request;
        response.groups[i] = request->out.fetch;
        response.groups[i].group_id = context->groups[i].group_id;
        if (!fan->items[i].is_asked)
            response.groups[i].error_code = KAFKA_INVALID_REQUEST; /* all of it, twice */
        else if (context->groups[i].topics_count < 0)
            keep_existing(call, request, &response.groups[i]);
        else if (call->api_version >= TOPIC_IDS_FROM)
            merge_ids(call, &context->groups[i], &response.groups[i]);
    }
    call_respond(call, &response);
}

static struct offset_fetch_response_topics old_topic(struct call *call, const struct offset_fetch_response_groups_topics *from)
{
    struct offset_fetch_response_topics to = {.name = from->name, .partitions_count = from->partitions_count};
    to.partitions = arena_calloc(&call->arena, (size_t)from->partitions_count, sizeof *to.partitions);
    for (int32_t i = 0; i < from->partitions_count; i++)
        to.partitions[i] =
            (struct offset_fetch_response_topics_partitions){.partition_index = from->partitions[i].partition_index,
                                                             .committed_offset = from->partitions[i].committed_offset,
                                                             .committed_leader_epoch = from->partitions[i].committed_leader_epoch,
                                                             .metadata = from->partitions[i].metadata,
                                                             .error_code = from->partitions[i].error_code};
    return to;
}

static struct offset_fetch_response_topics failed_topic(struct call *call, const struct offset_fetch_request_groups_topics *from,
                                                        int16_t error)
{
    struct offset_fetch_response_topics to = {.name = from->name, .partitions_count = from->partition_indexes_count};
    to.partitions = arena_calloc(&call->arena, (size_t)from->partition_indexes_count, sizeof *to.partitions);
    for (int32_t i = 0; i < from->partition_indexes_count; i++)
        to.partitions[i] = (struct offset_fetch_response_topics_partitions){.partition_index = from->partition_indexes[i],
                                                                            .committed_offset = NO_OFFSET,
                                                                            .committed_leader_epoch = -1,
                                                                            .metadata = SLICE_LITERAL(""),
                                                                            .error_code = error};
    return to;
}

static void respond_single(struct group_fan *fan)
{
    struct call *call = fan->call;
    const struct offset_fetch_request_groups *asked = &((const struct fetch_context *)fan->context)->groups[0];
    struct offset_fetch_response_groups *group = &fan->items[0].group.request.out.fetch;
    if (asked->topics_count < 0) keep_existing(call, &fan->items[0].group.request, group);
    bool is_failed_each = group->error_code && call->api_version < GROUP_ERROR_FROM;
    struct offset_fetch_response response = {0};
    if (!is_failed_each) response.error_code = group->error_code;
    response.topics_count = is_failed_each ? asked->topics_count : group->error_code ? 0 : group->topics_count;
    response.topics = arena_calloc(&call->arena, (size_t)response.topics_count, sizeof *response.topics);
    for (int32_t i = 0; i < response.topics_count; i++)
        response.topics[i] = is_failed_each ? failed_topic(call, &asked->topics[i], group->error_code) : old_topic(call, &group->topics[i]);
    call_respond(call, &response);
}

static void answer_fetch(struct group_fan *fan)
{
    if (fan->call->api_version < GROUPS_FROM)
        respond_single(fan);
    else
        respond_groups(fan);
}

/* One group, as the versions with several have it. */
static struct offset_fetch_request_groups *old_groups(struct call *call, const struct offset_fetch_request *request)
{
    struct offset_fetch_request_groups *group = arena_alloc(&call->arena, sizeof *group);
    *group = (struct offset_fetch_request_groups){
        .group_id = request->group_id, .member_id = SLICE_NULL, .member_epoch = -1, .topics_count = request->topics_count};
    if (request->topics_count < 0) return group;
    group->topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *group->topics);
    for (int32_t i = 0; i < request->topics_count; i++)
        group->topics[i] =
            (struct offset_fetch_request_groups_topics){.name = request->topics[i].name,
                                                        .partition_indexes = request->topics[i].partition_indexes,
                                                        .partition_indexes_count = request->topics[i].partition_indexes_count};
    return group;
}

/* Names the topics of a request by id; *known leaves out those that nobody knows, whose name stays null. */
static void resolve_ids(struct call *call, struct offset_fetch_request_groups *asked, struct offset_fetch_request_groups *known)
{
    if (asked->topics_count < 0) return;
    known->topics = arena_calloc(&call->arena, (size_t)asked->topics_count, sizeof *known->topics);
    known->topics_count = 0;
    for (int32_t i = 0; i < asked->topics_count; i++) {
        const struct image_topic *topic = image_topic_by_id(call_image(call), asked->topics[i].topic_id);
        asked->topics[i].name = topic ? arena_copy(&call->arena, slice_make(topic->name, topic->name_size)) : SLICE_NULL;
        if (topic) known->topics[known->topics_count++] = asked->topics[i];
    }
}

/* By name a topic is meant that exists now: offsets of one that had its name and was deleted, while nobody coordinated the group, would
 * let a consumer pass over records that it never saw. */
static void note_ids(struct call *call, struct offset_fetch_request_groups *asked)
{
    for (int32_t i = 0; i < asked->topics_count; i++) {
        const struct image_topic *topic = image_topic_by_name(call_image(call), asked->topics[i].name);
        if (topic) asked->topics[i].topic_id = topic->id;
    }
}

enum request_progress handle_offset_fetch(struct call *call, const void *message)
{
    const struct offset_fetch_request *request = message;
    bool is_single = call->api_version < GROUPS_FROM;
    if (!is_single && request->groups_count > GROUPS_PER_REQUEST_MAX) return group_fan_refuse(call, request->groups_count);
    size_t count = is_single ? 1 : (size_t)request->groups_count;
    struct map told; /* the groups of which all is told, which may be much: once */
    struct fetch_context *context = arena_alloc(&call->arena, sizeof *context);
    struct group_fan *fan = group_fan_create(call, count, answer_fetch);
    context->groups = is_single ? old_groups(call, request) : request->groups;
    context->known = arena_calloc(&call->arena, count, sizeof *context->known);
    fan->context = context;
    map_init(&told, image_seed(call_image(call)));
    for (size_t i = 0; i < count; i++) {
        bool wants_all = context->groups[i].topics_count < 0;
        if (wants_all && map_get(&told, context->groups[i].group_id)) continue;
        if (wants_all) map_put(&told, context->groups[i].group_id, fan);
        context->known[i] = context->groups[i];
        if (call->api_version >= TOPIC_IDS_FROM)
            resolve_ids(call, &context->groups[i], &context->known[i]);
        else
            note_ids(call, &context->groups[i]);
        struct group_request *ask = group_fan_ask(fan, i, GROUP_OFFSET_FETCH, context->groups[i].group_id);
        ask->in.fetch = &context->known[i];
        ask->require_stable = request->require_stable;
    }
    map_deinit(&told);
    return group_fan_send(fan);
}

/* ---- OffsetDelete -------------------------------------------------------------------------------------------------- */

struct delete_context {
    const struct offset_delete_request *request;
    struct offset_delete_request known; /* topics and partitions that exist */
    struct offset_place *places;        /* of each topic of the request */
};

static struct offset_delete_response_topics deleted_topic(struct call *call, const struct offset_delete_request_topics *from,
                                                          const struct offset_place *place, const struct offset_delete_response *answer)
{
    struct offset_delete_response_topics to = {.name = from->name, .partitions_count = from->partitions_count};
    const struct offset_delete_response_partitions *next = place->known >= 0 ? answer->topics[place->known].partitions : NULL;
    to.partitions = arena_calloc(&call->arena, (size_t)from->partitions_count, sizeof *to.partitions);
    for (int32_t i = 0; i < from->partitions_count; i++) {
        if (place->exists[i]) {
            ASSERT(next != NULL);
            to.partitions[i] = *next++;
            continue;
        }
        to.partitions[i] = (struct offset_delete_response_partitions){.partition_index = from->partitions[i].partition_index,
                                                                      .error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION};
    }
    return to;
}

static void answer_delete(struct group_fan *fan)
{
    struct call *call = fan->call;
    const struct delete_context *context = fan->context;
    const struct offset_delete_response *answer = &fan->items[0].group.request.out.offset_delete;
    struct offset_delete_response response = {0};
    if (fan->items[0].is_asked) response.error_code = answer->error_code;
    if (!response.error_code) response.topics_count = context->request->topics_count;
    response.topics = arena_calloc(&call->arena, (size_t)response.topics_count, sizeof *response.topics);
    for (int32_t i = 0; i < response.topics_count; i++)
        response.topics[i] = deleted_topic(call, &context->request->topics[i], &context->places[i], answer);
    call_respond(call, &response);
}

static void find_deleted_partitions(struct call *call, struct delete_context *context, const struct offset_delete_request_topics *from,
                                    struct offset_place *place)
{
    const struct image_topic *topic = image_topic_by_name(call_image(call), from->name);
    size_t count = (size_t)from->partitions_count;
    struct offset_delete_request_topics to = {.name = from->name};
    *place = (struct offset_place){.known = -1, .exists = arena_calloc(&call->arena, count, sizeof(bool)), .is_unknown = !topic};
    if (!topic) return;
    to.partitions = arena_calloc(&call->arena, count, sizeof *to.partitions);
    for (size_t i = 0; i < count; i++) {
        int32_t index = from->partitions[i].partition_index;
        place->exists[i] = index >= 0 && index < topic->partition_count;
        if (place->exists[i]) to.partitions[to.partitions_count++] = from->partitions[i];
    }
    if (to.partitions_count == 0) return;
    place->known = context->known.topics_count++;
    context->known.topics[place->known] = to;
}

enum request_progress handle_offset_delete(struct call *call, const void *message)
{
    const struct offset_delete_request *request = message;
    struct delete_context *context = arena_alloc(&call->arena, sizeof *context);
    struct group_fan *fan = group_fan_create(call, 1, answer_delete);
    size_t count = (size_t)request->topics_count;
    fan->context = context;
    context->request = request;
    context->known = (struct offset_delete_request){.group_id = request->group_id};
    context->known.topics = arena_calloc(&call->arena, count, sizeof *context->known.topics);
    context->places = arena_calloc(&call->arena, count, sizeof *context->places);
    for (size_t i = 0; i < count; i++) find_deleted_partitions(call, context, &request->topics[i], &context->places[i]);
    if (context->known.topics_count > 0) group_fan_ask(fan, 0, GROUP_OFFSET_DELETE, request->group_id)->in.offset_delete = &context->known;
    return group_fan_send(fan);
}
