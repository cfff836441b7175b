#include "broker/handlers/topic_creation.h"

#include "broker/node/group_coordinator.h"
#include "common/checked.h"

#define CREATE_TOPICS_VERSION 5    /* -1 for partitions and replicas: the cluster's defaults */
#define CREATIONS_MAX         1000 /* under way at once; a client that asks for more gets "unknown" until some are done */
#define CREATION_TIMEOUT_MS   10000

struct topic_creation {
    struct list_node node; /* dispatch->creations */
    struct dispatch *dispatch;
    struct forward forward;
    struct buf *request;
    size_t name_size;
    char name[TOPIC_NAME_MAX];
};

static void creation_destroy(struct topic_creation *creation)
{
    list_remove(&creation->node);
    creation->dispatch->creation_count--;
    buf_unref(creation->request);
    mem_free(creation);
}

static void on_created(struct forward *forward, enum kafka_error error, struct buf *frame, struct slice body, int64_t now_us)
{
    struct topic_creation *creation = forward->user;
    struct create_topics_response response;
    struct arena arena;
    (void)frame;
    arena_init(&arena, codec_decode_budget(body.n));
    if (!error && !codec_decode_exact(KMSG_CREATE_TOPICS_RESPONSE, CREATE_TOPICS_VERSION, body, &arena, &response) &&
        response.topics_count == 1)
        error = (enum kafka_error)response.topics[0].error_code;
    if (error && error != KAFKA_TOPIC_ALREADY_EXISTS)
        log_line_limited(env_logger(creation->dispatch->env), &creation->dispatch->creation_log, now_us, "topics that could not be created",
                         "handlers", "topic %.*s was asked for and could not be created: %s", (int)creation->name_size, creation->name,
                         kafka_error_name((int16_t)error));
    arena_deinit(&arena);
    creation_destroy(creation);
}

/* Nodes that brokers run on, as far as the config and the image tell. */
static int32_t count_nodes(const struct dispatch *dispatch)
{
    struct slice voters = dispatch->config->values[CONFIG_CONTROLLER_QUORUM_VOTERS].text;
    int32_t brokers = (int32_t)map_count(&dispatch->image->brokers), listed = voters.n > 0;
    for (size_t i = 0; i < voters.n; i++) listed += voters.p[i] == ',';
    return max_i32(brokers, config_has_role(dispatch->config, "controller") ? listed : 0);
}

/* Kafka's settings of its internal topics; no more replicas than there are nodes, so that one node and three work alike. */
static void describe_offsets_topic(const struct dispatch *dispatch, struct create_topics_request_topics *topic,
                                   struct create_topics_request_configs configs[static 3])
{
    const struct config *config = dispatch->config;
    const char *segment_bytes = config_text(config, CONFIG_OFFSETS_TOPIC_SEGMENT_BYTES);
    configs[0] = (struct create_topics_request_configs){.name = SLICE_LITERAL("cleanup.policy"), .value = SLICE_LITERAL("compact")};
    configs[1] = (struct create_topics_request_configs){.name = SLICE_LITERAL("compression.type"), .value = SLICE_LITERAL("producer")};
    configs[2] = (struct create_topics_request_configs){.name = SLICE_LITERAL("segment.bytes"), .value = slice_str(segment_bytes)};
    topic->num_partitions = (int32_t)config_number(config, CONFIG_OFFSETS_TOPIC_NUM_PARTITIONS);
    topic->replication_factor = (int16_t)min_i64(config_number(config, CONFIG_OFFSETS_TOPIC_REPLICATION_FACTOR), count_nodes(dispatch));
    topic->configs = configs;
    topic->configs_count = 3;
}

static struct buf *encode_request(const struct dispatch *dispatch, struct slice name)
{
    struct create_topics_request_topics topic = {.name = name, .num_partitions = -1, .replication_factor = -1};
    struct create_topics_request_configs configs[3];
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = CREATION_TIMEOUT_MS};
    struct writer w;
    if (slice_equal_str(name, OFFSETS_TOPIC)) describe_offsets_topic(dispatch, &topic, configs);
    writer_init(&w, 256);
    enum err err = codec_encode(KMSG_CREATE_TOPICS_REQUEST, CREATE_TOPICS_VERSION, &request, &w);
    ASSERT(err == ERR_OK);
    return writer_take(&w);
}

void topic_creation_start(struct dispatch *dispatch, struct slice name)
{
    ASSERT(name.n <= TOPIC_NAME_MAX);
    if (dispatch->creation_count >= CREATIONS_MAX || dispatch->is_stopping) return;
    LIST_FOR_EACH (&dispatch->creations, node) {
        const struct topic_creation *other = CONTAINER_OF(node, struct topic_creation, node);
        if (slice_equal(name, slice_make(other->name, other->name_size))) return;
    }
    struct topic_creation *creation = mem_alloc(sizeof *creation);
    creation->dispatch = dispatch;
    creation->name_size = name.n;
    memcpy(creation->name, name.p, name.n);
    creation->request = encode_request(dispatch, name);
    list_push_back(&dispatch->creations, &creation->node);
    dispatch->creation_count++;
    creation->forward = (struct forward){.principal = "User:ANONYMOUS",
                                         .client_address = "",
                                         .api_key = API_CREATE_TOPICS,
                                         .api_version = CREATE_TOPICS_VERSION,
                                         .body = buf_slice(creation->request),
                                         .timeout_ms = CREATION_TIMEOUT_MS,
                                         .done = on_created,
                                         .user = creation};
    controller_channel_forward(dispatch->controller, &creation->forward);
}

void dispatch_deinit(struct dispatch *dispatch)
{
    quotas_deinit(&dispatch->quotas);
    mem_free(dispatch->throttled);
    for (struct list_node *node; (node = list_first(&dispatch->creations));) {
        struct topic_creation *creation = CONTAINER_OF(node, struct topic_creation, node);
        controller_channel_cancel_forward(&creation->forward);
        creation_destroy(creation);
    }
    leader_hold_deinit(&dispatch->hold);
    mem_free(dispatch->times);
}
