#include "controller/metadata/topic_control.h"

#include "common/assert.h"
#include "common/str.h"
#include "controller/metadata/assignment.h"
#include "controller/metadata/config_control.h"
#include "controller/metadata/partition_edit.h"
#include "controller/metadata/placement.h"
#include "controller/metadata/quota.h"

/* One new topic, or the new partitions of one. */
struct growth {
    struct control *control;
    struct placement *placement;
    struct uuid topic_id;
    int32_t first, count; /* partitions */
    uint32_t replica_count;
};

/* ---- names ----------------------------------------------------------------------------------------------------------- */

struct refusal topic_check_name(struct control *control, struct slice name)
{
    const char *text = (const char *)name.p;
    int size = (int)name.n;
    if (size == 0) return REFUSE(control, INVALID_TOPIC_EXCEPTION, "Topic name is invalid: the empty string is not allowed");
    if ((size == 1 && text[0] == '.') || (size == 2 && text[0] == '.' && text[1] == '.'))
        return REFUSE(control, INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '%.*s' is not allowed", size, text);
    if (name.n > TOPIC_NAME_MAX)
        return REFUSE(control, INVALID_TOPIC_EXCEPTION,
                      "Topic name is invalid: the length of '%.*s' is longer than the max allowed length %d", TOPIC_NAME_MAX, text,
                      TOPIC_NAME_MAX);
    for (int i = 0; i < size; i++) {
        char c = text[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!is_fine)
            return REFUSE(control, INVALID_TOPIC_EXCEPTION,
                          "Topic name is invalid: '%.*s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
                          size, text);
    }
    if (slice_equal_str(name, "__cluster_metadata"))
        return REFUSE(control, INVALID_TOPIC_EXCEPTION, "Creation of internal topic __cluster_metadata is prohibited.");
    return NOT_REFUSED;
}

/* "a.b" and "a_b" would be one name in metrics. Only names with either character can collide, so most are never compared. */
static bool may_collide(struct slice name) { return name.n > 0 && (memchr(name.p, '.', name.n) || memchr(name.p, '_', name.n)); }

static struct slice metric_name(struct control *control, struct slice name)
{
    uint8_t *copy = arena_alloc(control->arena, name.n);
    for (size_t i = 0; i < name.n; i++) copy[i] = name.p[i] == '.' ? '_' : name.p[i];
    return slice_make(copy, name.n);
}

/* Metric name -> the first topic that has it, if the request has a name that may collide: the topics are gone through once, however
 * many it names. */
static void note_metric_names(struct control *control, const struct create_topics_request *request, struct map *taken)
{
    int32_t i = 0;
    struct image_topic *topic = NULL;
    while (i < request->topics_count && !may_collide(request->topics[i].name)) i++;
    if (i == request->topics_count) return;
    for (uint32_t at = 0; (topic = image_next_topic(control->image, &at));) {
        struct slice name = slice_make(topic->name, topic->name_size);
        if (!may_collide(name)) continue;
        struct slice key = metric_name(control, name);
        if (!map_get(taken, key)) map_put(taken, key, topic);
    }
}

static struct refusal check_collision(struct control *control, const struct map *taken, struct slice name)
{
    const struct image_topic *topic = may_collide(name) ? map_get(taken, metric_name(control, name)) : NULL;
    if (!topic) return NOT_REFUSED;
    return REFUSE(control, INVALID_TOPIC_EXCEPTION, "Topic '%.*s' collides with existing topic: %s", SLICE_ARG(name), topic->name);
}

/* Partitions that come or go count against the client's quota. */
static struct refusal count_partitions(struct control *control, int64_t partitions)
{
    if (!control->mutation || quotas_mutate(control->mutation, control->image, partitions)) return NOT_REFUSED;
    return REFUSE(control, THROTTLING_QUOTA_EXCEEDED, "%s", kafka_error_message(KAFKA_THROTTLING_QUOTA_EXCEEDED));
}

/* How often a request names a topic. Named twice, it is left alone and answered once. */
struct mention {
    uint32_t count;
    bool is_answered;
};

static void count_mention(struct map *mentions, struct arena *arena, struct slice key)
{
    struct mention *mention = map_get(mentions, key);
    if (!mention) map_put(mentions, key, mention = arena_calloc(arena, 1, sizeof *mention));
    mention->count++;
}

static bool is_repeated(const struct map *mentions, struct slice key)
{
    const struct mention *mention = map_get(mentions, key);
    return mention && mention->count > 1;
}

/* Whether this is the first time that it is asked: the answer for this topic is due. */
static bool is_answer_due(const struct map *mentions, struct slice key)
{
    struct mention *mention = map_get(mentions, key);
    ASSERT(mention != NULL);
    bool is_due = !mention->is_answered;
    mention->is_answered = true;
    return is_due;
}

static struct refusal check_once(struct control *control, const struct map *mentions, struct slice name)
{
    return is_repeated(mentions, name) ? REFUSE(control, INVALID_REQUEST, "Duplicate topic name.") : NOT_REFUSED;
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

static void add_partition(const struct growth *growth, int32_t partition, struct node_ids replicas)
{
    struct partition_state state;
    assignment_first_state(growth->control->image, replicas, &state);
    records_add_partition(growth->control->records, growth->topic_id, partition, replicas, &state);
}

static void place(const struct growth *growth)
{
    for (int32_t i = 0; i < growth->count; i++) {
        int32_t replicas[REPLICAS_MAX];
        int32_t partition = growth->first + i;
        placement_next(growth->placement, (uint32_t)partition, growth->replica_count, replicas);
        add_partition(growth, partition, (struct node_ids){replicas, growth->replica_count});
    }
}

/* ---- CreateTopics ---------------------------------------------------------------------------------------------------- */

static struct refusal create_by_hand(struct growth *growth, const struct create_topics_request_topics *topic)
{
    struct control *control = growth->control;
    if (topic->replication_factor != -1)
        return REFUSE(control, INVALID_REQUEST, "A manual partition assignment was specified, but replication factor was not set to -1.");
    if (topic->num_partitions != -1)
        return REFUSE(control, INVALID_REQUEST, "A manual partition assignment was specified, but numPartitions was not set to -1.");
    growth->count = topic->assignments_count;
    const struct create_topics_request_assignments **by_index =
        arena_calloc(control->arena, (size_t)growth->count, sizeof(const struct create_topics_request_assignments *));
    for (int32_t i = 0; i < growth->count; i++) {
        const struct create_topics_request_assignments *given = &topic->assignments[i];
        if (given->partition_index < 0 || given->partition_index >= growth->count)
            return REFUSE(control, INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive 0-based integer sequence");
        if (by_index[given->partition_index])
            return REFUSE(control, INVALID_REPLICA_ASSIGNMENT, "Found multiple manual partition assignments for partition %d",
                          given->partition_index);
        by_index[given->partition_index] = given;
    }
    for (int32_t i = 0; i < growth->count; i++) {
        struct node_ids replicas = {by_index[i]->broker_ids, (uint32_t)by_index[i]->broker_ids_count};
        struct refusal refusal = assignment_check(control, i, replicas, growth->replica_count);
        if (is_refused(refusal)) return refusal;
        growth->replica_count = replicas.count;
        add_partition(growth, i, replicas);
    }
    return NOT_REFUSED;
}

static struct refusal create_automatically(struct growth *growth, const struct create_topics_request_topics *topic)
{
    struct control *control = growth->control;
    if (topic->replication_factor < -1 || topic->replication_factor == 0)
        return REFUSE(control, INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0, or -1 to use the default value.");
    if (topic->num_partitions < -1 || topic->num_partitions == 0)
        return REFUSE(control, INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value.");
    growth->count = topic->num_partitions == -1 ? control->settings->default_partitions : topic->num_partitions;
    growth->replica_count =
        (uint32_t)(topic->replication_factor == -1 ? control->settings->default_replication_factor : topic->replication_factor);
    struct refusal refusal = assignment_check_automatic(control, growth->replica_count);
    if (!is_refused(refusal)) place(growth);
    return refusal;
}

static void add_configs(struct control *control, const struct create_topics_request_topics *topic)
{
    const char *name = (const char *)arena_printf(control->arena, "%.*s", SLICE_ARG(topic->name)).p;
    for (int32_t i = 0; i < topic->configs_count; i++) {
        const char *key = (const char *)arena_printf(control->arena, "%.*s", SLICE_ARG(topic->configs[i].name)).p;
        const char *value = (const char *)arena_printf(control->arena, "%.*s", SLICE_ARG(str_trim(topic->configs[i].value))).p;
        records_add_config(control->records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, name, key, value);
    }
}

static struct uuid new_topic_id(const struct control *control)
{
    struct uuid id;
    while (!uuid_from_random(prng_next(control->prng), prng_next(control->prng), &id) || image_topic_by_id(control->image, id)) {
    }
    return id;
}

/* KIP-525: what the topic has, also what it did not ask for. */
static void describe(struct control *control, const struct create_topics_request_topics *topic,
                     struct create_topics_response_topics *result)
{
    result->configs_count = TOPIC_CONFIG_COUNT;
    result->configs = arena_calloc(control->arena, TOPIC_CONFIG_COUNT, sizeof *result->configs);
    for (size_t i = 0; i < TOPIC_CONFIG_COUNT; i++) {
        struct slice own = SLICE_NULL;
        for (int32_t c = 0; c < topic->configs_count; c++)
            if (slice_equal_str(topic->configs[c].name, topic_config_table[i].name)) own = topic->configs[c].value;
        enum config_source source;
        result->configs[i].name = slice_str(topic_config_table[i].name);
        result->configs[i].value = config_effective(control->image, &topic_config_table[i], own, &source);
        result->configs[i].config_source = (int8_t)source;
    }
}

static struct refusal create_one(struct control *control, struct placement *placement, const struct map *names, const struct map *taken,
                                 const struct create_topics_request_topics *topic, struct create_topics_response_topics *result)
{
    struct refusal refusal = check_once(control, names, topic->name);
    if (!is_refused(refusal)) refusal = topic_check_name(control, topic->name);
    if (!is_refused(refusal) && image_topic_by_name(control->image, topic->name))
        refusal = REFUSE(control, TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", SLICE_ARG(topic->name));
    if (!is_refused(refusal)) refusal = check_collision(control, taken, topic->name);
    if (!is_refused(refusal)) refusal = config_check_new_topic(control, topic->configs, topic->configs_count);
    if (is_refused(refusal)) return refusal;

    struct growth growth = {.control = control, .placement = placement, .topic_id = new_topic_id(control)};
    records_add_topic(control->records, growth.topic_id, topic->name);
    refusal = topic->assignments_count ? create_by_hand(&growth, topic) : create_automatically(&growth, topic);
    if (!is_refused(refusal)) refusal = count_partitions(control, growth.count);
    if (is_refused(refusal)) return refusal;
    add_configs(control, topic);
    result->topic_id = growth.topic_id;
    result->num_partitions = growth.count;
    result->replication_factor = (int16_t)growth.replica_count;
    describe(control, topic, result);
    return NOT_REFUSED;
}

/* A whole request is one operation: more than this would hold the log too long (KAFKA-17870). */
static struct refusal check_total(struct control *control, int64_t partitions)
{
    if (partitions <= METADATA_RECORDS_PER_OPERATION_MAX) return NOT_REFUSED;
    return REFUSE(control, POLICY_VIOLATION, "Excessively large number of partitions per request: %lld, at most %d are possible.",
                  (long long)partitions, METADATA_RECORDS_PER_OPERATION_MAX);
}

static int64_t partitions_of(const struct control *control, const struct create_topics_request *request)
{
    int64_t total = 0;
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct create_topics_request_topics *topic = &request->topics[i];
        int32_t count = topic->assignments_count ? topic->assignments_count : topic->num_partitions;
        total += count == -1 ? control->settings->default_partitions : count > 0 ? count : 0;
    }
    return total;
}

void topic_create(struct control *control, const struct create_topics_request *request, struct create_topics_response *response)
{
    struct placement placement;
    struct map names, taken;
    map_init(&names, image_seed(control->image));
    map_init(&taken, image_seed(control->image));
    placement_init(&placement, control->image, control->prng);
    for (int32_t i = 0; i < request->topics_count; i++) count_mention(&names, control->arena, request->topics[i].name);
    note_metric_names(control, request, &taken);
    struct refusal too_large = check_total(control, partitions_of(control, request));
    response->topics_count = 0;
    response->topics = arena_calloc(control->arena, (size_t)request->topics_count, sizeof *response->topics);
    for (int32_t i = 0; i < request->topics_count; i++) {
        if (!is_answer_due(&names, request->topics[i].name)) continue;
        struct create_topics_response_topics *result = &response->topics[response->topics_count++];
        *result = (struct create_topics_response_topics){.name = request->topics[i].name, .num_partitions = -1, .replication_factor = -1};
        result->configs = arena_alloc(control->arena, 0);
        struct refusal refusal =
            is_refused(too_large) ? too_large : create_one(control, &placement, &names, &taken, &request->topics[i], result);
        result->error_code = (int16_t)refusal.error;
        result->error_message = refusal.message;
        if (is_refused(refusal) || request->validate_only) records_rollback(control->records);
        records_cut(control->records);
    }
    placement_deinit(&placement);
    map_deinit(&names);
    map_deinit(&taken);
}

/* ---- DeleteTopics ---------------------------------------------------------------------------------------------------- */

/* What a request names by name, and what by id. */
struct deletion {
    struct control *control;
    struct map names, ids;
};

static void mention(struct deletion *deletion, const struct delete_topics_request_topics *asked)
{
    struct arena *arena = deletion->control->arena;
    if (!slice_is_null(asked->name)) {
        if (uuid_is_zero(asked->topic_id)) count_mention(&deletion->names, arena, asked->name);
        return;
    }
    count_mention(&deletion->ids, arena, MAP_KEY(&asked->topic_id));
}

/* Of a topic that is named both ways, the name is answered. */
static bool is_told_by_name(const struct deletion *deletion, struct uuid id)
{
    const struct image_topic *topic = image_topic_by_id(deletion->control->image, id);
    const struct mention *name = topic ? map_get(&deletion->names, slice_make(topic->name, topic->name_size)) : NULL;
    return name && name->count == 1 && !is_repeated(&deletion->ids, MAP_KEY(&id));
}

static bool is_deletion_due(const struct deletion *deletion, const struct delete_topics_request_topics *asked)
{
    bool is_by_id = slice_is_null(asked->name);
    if (is_by_id == uuid_is_zero(asked->topic_id)) return true; /* named by both, or by neither: each is told */
    if (!is_by_id) return is_answer_due(&deletion->names, asked->name);
    return !is_told_by_name(deletion, asked->topic_id) && is_answer_due(&deletion->ids, MAP_KEY(&asked->topic_id));
}

static struct refusal delete_one(const struct deletion *deletion, const struct delete_topics_request_topics *asked,
                                 struct delete_topics_response_responses *result)
{
    struct control *control = deletion->control;
    bool is_by_id = slice_is_null(asked->name);
    if (is_by_id == uuid_is_zero(asked->topic_id))
        return REFUSE(control, INVALID_REQUEST,
                      is_by_id ? "Neither topic name nor id were specified." : "You may not specify both topic name and topic id.");
    if (!control->settings->is_topic_deletion_enabled) return REFUSE(control, TOPIC_DELETION_DISABLED, "Topic deletion is disabled.");
    if (is_by_id && is_repeated(&deletion->ids, MAP_KEY(&asked->topic_id))) return REFUSE(control, INVALID_REQUEST, "Duplicate topic id.");
    struct refusal refusal = is_by_id ? NOT_REFUSED : check_once(control, &deletion->names, asked->name);
    if (is_refused(refusal)) return refusal;
    const struct image_topic *topic =
        is_by_id ? image_topic_by_id(control->image, asked->topic_id) : image_topic_by_name(control->image, asked->name);
    if (!topic && is_by_id) return REFUSE(control, UNKNOWN_TOPIC_ID, "This server does not host this topic ID.");
    if (!topic) return REFUSE(control, UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.");
    result->name = slice_make(topic->name, topic->name_size);
    result->topic_id = topic->id;
    if (!is_by_id && map_get(&deletion->ids, MAP_KEY(&topic->id)))
        return REFUSE(control, INVALID_REQUEST, "The provided topic name maps to an ID that was already supplied.");
    refusal = count_partitions(control, topic->partition_count);
    if (is_refused(refusal)) return refusal;
    records_add_remove_topic(control->records, topic->id);
    records_cut(control->records);
    return NOT_REFUSED;
}

/* What is to be deleted, in the form that requests have from version 6 on. */
static const struct delete_topics_request_topics *asked_to_delete(struct control *control, int16_t version,
                                                                  const struct delete_topics_request *request, int32_t *count)
{
    bool has_ids = version >= 6;
    *count = has_ids ? request->topics_count : request->topic_names_count;
    if (has_ids) return request->topics;
    struct delete_topics_request_topics *asked = arena_calloc(control->arena, (size_t)*count, sizeof *asked);
    for (int32_t i = 0; i < *count; i++) asked[i].name = request->topic_names[i];
    return asked;
}

void topic_delete(struct control *control, int16_t version, const struct delete_topics_request *request,
                  struct delete_topics_response *response)
{
    struct deletion deletion = {.control = control};
    map_init(&deletion.names, image_seed(control->image));
    map_init(&deletion.ids, image_seed(control->image));
    int32_t count;
    const struct delete_topics_request_topics *asked = asked_to_delete(control, version, request, &count);
    response->responses_count = 0;
    response->responses = arena_calloc(control->arena, (size_t)count, sizeof *response->responses);
    for (int32_t i = 0; i < count; i++) mention(&deletion, &asked[i]);
    for (int32_t i = 0; i < count; i++) {
        if (!is_deletion_due(&deletion, &asked[i])) continue;
        struct delete_topics_response_responses *result = &response->responses[response->responses_count++];
        *result = (struct delete_topics_response_responses){.name = asked[i].name, .topic_id = asked[i].topic_id};
        struct refusal refusal = delete_one(&deletion, &asked[i], result);
        result->error_code = (int16_t)refusal.error;
        result->error_message = refusal.message;
    }
    map_deinit(&deletion.names);
    map_deinit(&deletion.ids);
}

/* ---- CreatePartitions ------------------------------------------------------------------------------------------------ */

static struct refusal grow_by_hand(struct growth *growth, const struct create_partitions_request_topics *topic)
{
    struct control *control = growth->control;
    if (topic->assignments_count != growth->count)
        return REFUSE(control, INVALID_REPLICA_ASSIGNMENT,
                      "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", growth->count,
                      topic->assignments_count);
    for (int32_t i = 0; i < growth->count; i++) {
        struct node_ids replicas = {topic->assignments[i].broker_ids, (uint32_t)topic->assignments[i].broker_ids_count};
        struct refusal refusal = assignment_check(control, growth->first + i, replicas, growth->replica_count);
        if (is_refused(refusal)) return refusal;
        add_partition(growth, growth->first + i, replicas);
    }
    return NOT_REFUSED;
}

/* `total`: of new partitions in the request so far. */
static struct refusal grow_one(struct control *control, struct placement *placement, const struct map *names, int64_t *total,
                               const struct create_partitions_request_topics *topic)
{
    struct refusal refusal = check_once(control, names, topic->name);
    if (is_refused(refusal)) return refusal;
    const struct image_topic *now = image_topic_by_name(control->image, topic->name);
    if (!now) return REFUSE(control, UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.");
    if (topic->count == now->partition_count)
        return REFUSE(control, INVALID_PARTITIONS, "Topic already has %d partition(s).", now->partition_count);
    if (topic->count < now->partition_count)
        return REFUSE(control, INVALID_PARTITIONS, "The topic %s currently has %d partition(s); %d would not be an increase.", now->name,
                      now->partition_count, topic->count);
    struct growth growth = {.control = control,
                            .placement = placement,
                            .topic_id = now->id,
                            .first = now->partition_count,
                            .count = topic->count - now->partition_count,
                            .replica_count = now->partitions[0].replica_count};
    *total += growth.count;
    refusal = check_total(control, *total);
    bool is_by_hand = topic->assignments_count >= 0;
    if (!is_refused(refusal))
        refusal = is_by_hand ? grow_by_hand(&growth, topic) : assignment_check_automatic(control, growth.replica_count);
    if (!is_refused(refusal)) refusal = count_partitions(control, growth.count);
    if (!is_refused(refusal) && !is_by_hand) place(&growth);
    return refusal;
}

void topic_create_partitions(struct control *control, const struct create_partitions_request *request,
                             struct create_partitions_response *response)
{
    struct placement placement;
    struct map names;
    map_init(&names, image_seed(control->image));
    placement_init(&placement, control->image, control->prng);
    for (int32_t i = 0; i < request->topics_count; i++) count_mention(&names, control->arena, request->topics[i].name);
    response->results_count = 0;
    response->results = arena_calloc(control->arena, (size_t)request->topics_count, sizeof *response->results);
    int64_t total = 0;
    for (int32_t i = 0; i < request->topics_count; i++) {
        if (!is_answer_due(&names, request->topics[i].name)) continue;
        struct refusal refusal = grow_one(control, &placement, &names, &total, &request->topics[i]);
        response->results[response->results_count++] = (struct create_partitions_response_results){
            .name = request->topics[i].name, .error_code = (int16_t)refusal.error, .error_message = refusal.message};
        if (is_refused(refusal) || request->validate_only) records_rollback(control->records);
        records_cut(control->records);
    }
    placement_deinit(&placement);
    map_deinit(&names);
}
