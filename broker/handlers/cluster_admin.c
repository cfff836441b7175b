/* What operators ask of the metadata, from this broker's image: ListPartitionReassignments, ListConfigResources, DescribeClientQuotas;
 * and what a cluster without security answers: DescribeAcls, DescribeUserScramCredentials. */
#include "broker/handlers/handler.h"
#include "common/map.h"
#include "controller/metadata/quota_control.h"

/* ---- ListPartitionReassignments -------------------------------------------------------------------------------------- */

struct listing {
    struct call *call;
    struct list_partition_reassignments_response response;
};

static int32_t *copy_ids(struct call *call, struct node_ids ids, int32_t *count)
{
    int32_t *copy = arena_calloc(&call->arena, ids.count, sizeof *copy);
    if (ids.count) memcpy(copy, ids.ids, ids.count * sizeof *copy);
    *count = (int32_t)ids.count;
    return copy;
}

/* Those of one topic stand together. */
static void list_one(struct listing *listing, const struct image_topic *topic, const struct image_reassignment *reassignment)
{
    struct list_partition_reassignments_response *response = &listing->response;
    struct list_partition_reassignments_response_topics *last =
        response->topics_count ? &response->topics[response->topics_count - 1] : NULL;
    if (!last || !slice_equal_str(last->name, topic->name)) {
        last = &response->topics[response->topics_count++];
        last->name = slice_make(topic->name, topic->name_size);
        last->partitions = arena_calloc(&listing->call->arena, (size_t)topic->partition_count, sizeof *last->partitions);
    }
    struct list_partition_reassignments_response_partitions *out = &last->partitions[last->partitions_count++];
    out->partition_index = reassignment->key.partition;
    out->replicas = copy_ids(listing->call, image_replicas(&topic->partitions[reassignment->key.partition]), &out->replicas_count);
    out->adding_replicas = copy_ids(listing->call, image_adding(reassignment), &out->adding_replicas_count);
    out->removing_replicas = copy_ids(listing->call, image_removing(reassignment), &out->removing_replicas_count);
}

/* `asked` of each partition; NULL: all. */
static void list_topic(struct listing *listing, const struct image_topic *topic, const bool *asked)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_reassignment *reassignment = image_reassignment_get(call_image(listing->call), topic->id, i);
        if (reassignment && (!asked || asked[i])) list_one(listing, topic, reassignment);
    }
}

/* However often something is named, it is listed once, and each name costs one look-up. */
static void list_named(struct listing *listing, const struct list_partition_reassignments_request *request)
{
    struct call *call = listing->call;
    const struct image_topic **topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof(*topics));
    bool **asked = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof(*asked));
    struct map seen; /* name -> bool[] */
    size_t count = 0;
    map_init(&seen, image_seed(call_image(call)));
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct list_partition_reassignments_request_topics *from = &request->topics[t];
        const struct image_topic *topic = image_topic_by_name(call_image(call), from->name);
        if (!topic) continue;
        bool *marks = map_get(&seen, from->name);
        if (!marks) {
            marks = arena_calloc(&call->arena, (size_t)topic->partition_count, sizeof *marks);
            map_put(&seen, from->name, marks);
            topics[count] = topic;
            asked[count++] = marks;
        }
        for (int32_t i = 0; i < from->partition_indexes_count; i++)
            if (from->partition_indexes[i] >= 0 && from->partition_indexes[i] < topic->partition_count)
                marks[from->partition_indexes[i]] = true;
    }
    map_deinit(&seen);
    for (size_t i = 0; i < count; i++) list_topic(listing, topics[i], asked[i]);
}

enum request_progress handle_list_partition_reassignments(struct call *call, const void *message)
{
    const struct list_partition_reassignments_request *request = message;
    const struct image *image = call_image(call);
    struct listing listing = {.call = call};
    const struct image_topic *topic = NULL;
    bool is_idle = map_count(&image->reassignments) == 0;
    listing.response.topics = arena_calloc(&call->arena, map_count(&image->reassignments), sizeof *listing.response.topics);
    for (uint32_t at = 0; !is_idle && request->topics_count < 0 && (topic = image_next_topic(image, &at));)
        list_topic(&listing, topic, NULL);
    if (!is_idle && request->topics_count > 0) list_named(&listing, request);
    call_respond(call, &listing.response);
    return REQUEST_DONE;
}

/* ---- ListConfigResources --------------------------------------------------------------------------------------------- */

/* Kafka's numbers. */
enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, RESOURCE_BROKER_LOGGER = 8, RESOURCE_CLIENT_METRICS = 16, RESOURCE_GROUP = 32 };

static bool wants(const struct call *call, const struct list_config_resources_request *request, int8_t type)
{
    if (call->api_version == 0) return type == RESOURCE_CLIENT_METRICS;
    for (int32_t i = 0; i < request->resource_types_count; i++)
        if (request->resource_types[i] == type) return true;
    return request->resource_types_count == 0;
}

static bool is_known_resource(int8_t type)
{
    return type == RESOURCE_TOPIC || type == RESOURCE_BROKER || type == RESOURCE_BROKER_LOGGER || type == RESOURCE_CLIENT_METRICS ||
           type == RESOURCE_GROUP;
}

static void add_brokers(struct call *call, int8_t type, struct list_config_resources_response *response)
{
    const struct image_broker *broker = NULL;
    for (uint32_t at = 0; (broker = image_next_broker(call_image(call), &at));)
        if (!broker->fenced)
            response->config_resources[response->config_resources_count++] =
                (struct list_config_resources_response_config_resources){arena_printf(&call->arena, "%d", broker->id), type};
}

/* Groups and client metrics have no settings here: none are listed. */
enum request_progress handle_list_config_resources(struct call *call, const void *message)
{
    const struct list_config_resources_request *request = message;
    const struct image *image = call_image(call);
    const struct image_topic *topic = NULL;
    struct list_config_resources_response response = {0};
    for (int32_t i = 0; i < request->resource_types_count; i++)
        if (!is_known_resource(request->resource_types[i])) response.error_code = KAFKA_UNSUPPORTED_VERSION;
    response.config_resources =
        arena_calloc(&call->arena, map_count(&image->topics) + 2 * map_count(&image->brokers), sizeof *response.config_resources);
    bool is_wanted = response.error_code == KAFKA_NONE;
    for (uint32_t at = 0; is_wanted && wants(call, request, RESOURCE_TOPIC) && (topic = image_next_topic(image, &at));)
        response.config_resources[response.config_resources_count++] =
            (struct list_config_resources_response_config_resources){slice_make(topic->name, topic->name_size), RESOURCE_TOPIC};
    if (is_wanted && wants(call, request, RESOURCE_BROKER)) add_brokers(call, RESOURCE_BROKER, &response);
    if (is_wanted && wants(call, request, RESOURCE_BROKER_LOGGER)) add_brokers(call, RESOURCE_BROKER_LOGGER, &response);
    call_respond(call, &response);
    return REQUEST_DONE;
}

/* ---- quotas, ACLs, SCRAM --------------------------------------------------------------------------------------------- */

enum request_progress handle_describe_client_quotas(struct call *call, const void *message)
{
    struct describe_client_quotas_response response;
    codec_set_defaults(KMSG_DESCRIBE_CLIENT_QUOTAS_RESPONSE, &response);
    quota_describe(call_image(call), message, &call->arena, &response);
    call_respond(call, &response);
    return REQUEST_DONE;
}

enum request_progress handle_describe_acls(struct call *call, const void *message)
{
    (void)message;
    struct describe_acls_response response = {.error_code = KAFKA_SECURITY_DISABLED,
                                              .error_message = SLICE_LITERAL("No Authorizer is configured on the broker")};
    call_respond(call, &response);
    return REQUEST_DONE;
}

/* Nobody has credentials: all that are named are unknown. */
enum request_progress handle_describe_user_scram_credentials(struct call *call, const void *message)
{
    const struct describe_user_scram_credentials_request *request = message;
    struct describe_user_scram_credentials_response response;
    int32_t count = request->users_count > 0 ? request->users_count : 0;
    struct map seen;
    map_init(&seen, image_seed(call_image(call)));
    codec_set_defaults(KMSG_DESCRIBE_USER_SCRAM_CREDENTIALS_RESPONSE, &response);
    response.results = arena_calloc(&call->arena, (size_t)count, sizeof *response.results);
    for (int32_t i = 0; i < count; i++) {
        struct slice user = request->users[i].name;
        struct describe_user_scram_credentials_response_results *result = map_get(&seen, user);
        const char *text = result ? "Cannot describe SCRAM credentials for the same user twice in a single request"
                                  : "Attempt to describe a user credential that does not exist";
        enum kafka_error error = result ? KAFKA_DUPLICATE_RESOURCE : KAFKA_RESOURCE_NOT_FOUND;
        if (!result) map_put(&seen, user, result = &response.results[response.results_count++]);
        *result = (struct describe_user_scram_credentials_response_results){
            .user = user,
            .error_code = (int16_t)error,
            .error_message = arena_printf(&call->arena, "%s: %.*s", text, SLICE_ARG(shown(user)))};
    }
    map_deinit(&seen);
    call_respond(call, &response);
    return REQUEST_DONE;
}
