#include "broker/handlers/topic_creation.h"

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

static struct buf *encode_request(struct slice name)
{
    struct create_topics_request_topics topic = {.name = name, .num_partitions = -1, .replication_factor = -1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = CREATION_TIMEOUT_MS};
    struct writer w;
    writer_init(&w, 128);
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
    creation->request = encode_request(name);
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
    for (struct list_node *node; (node = list_first(&dispatch->creations));) {
        struct topic_creation *creation = CONTAINER_OF(node, struct topic_creation, node);
        controller_channel_cancel_forward(&creation->forward);
        creation_destroy(creation);
    }
    metadata_hold_deinit(&dispatch->hold);
}
