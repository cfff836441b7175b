/* Kafka's own APIs on the controller's port, for tools with --bootstrap-controller: ApiVersions, DescribeCluster (of controllers) and
 * DescribeQuorum. Every controller answers the first two; DescribeQuorum is the active controller's, which DescribeCluster names: the
 * others say NOT_LEADER_OR_FOLLOWER, as Kafka's do. Nothing here writes, so nothing here is an operation. */
#include "common/assert.h"
#include "controller/metadata/feature_control.h"
#include "controller/node/controller_internal.h"
#include "proto/api.h"
#include "proto/codec.h"
#include "proto/frame.h"

#include <stdlib.h>

#define ENDPOINT_CONTROLLERS        2
#define OPERATIONS_UNKNOWN          INT32_MIN
#define FEATURES_FROM               3
#define SUPPORTED_WITH_LEVEL_0_FROM 4 /* older clients stumble over features whose least level is 0 (KAFKA-17492) */

struct tool_call {
    struct controller_node *node;
    struct request *request;
    int16_t api_version; /* of the answer */
    struct arena arena;
};

struct tool_api {
    int16_t key, version_min, version_max;
    void (*serve)(struct tool_call *call, const void *message);
};

static void serve_api_versions(struct tool_call *call, const void *message);
static void serve_describe_quorum(struct tool_call *call, const void *message);
static void serve_describe_cluster(struct tool_call *call, const void *message);

static const struct tool_api APIS[] = {
    {API_API_VERSIONS, 0, 4, serve_api_versions},
    {API_DESCRIBE_QUORUM, 0, 2, serve_describe_quorum},
    {API_DESCRIBE_CLUSTER, 0, 2, serve_describe_cluster},
};
static const size_t API_COUNT = sizeof APIS / sizeof *APIS;

static void answer(struct tool_call *call, const void *response)
{
    struct writer body;
    writer_init(&body, 256);
    if (api_response_header_version(call->request->api_key, call->api_version) > 0) writer_u8(&body, 0); /* no tagged fields */
    enum err err = codec_encode(api_response(call->request->api_key), call->api_version, response, &body);
    ASSERT(err == ERR_OK); /* made here, for a version that is served */
    request_respond_buf(call->request, writer_take(&body));
}

/* ---- ApiVersions ----------------------------------------------------------------------------------------------------- */

static void add_features(struct tool_call *call, struct api_versions_response *response)
{
    const struct image *image = &call->node->image;
    response->finalized_features_epoch = image->index > 0 ? image->index : -1;
    response->supported_features = arena_calloc(&call->arena, FEATURE_COUNT, sizeof *response->supported_features);
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        if (FEATURES[i].level_min == 0 && call->api_version < SUPPORTED_WITH_LEVEL_0_FROM) continue;
        response->supported_features[response->supported_features_count++] = (struct api_versions_response_supported_features){
            slice_str(FEATURES[i].name), (int16_t)FEATURES[i].level_min, (int16_t)FEATURES[i].level_max};
    }
    response->finalized_features = arena_calloc(&call->arena, image->feature_count, sizeof *response->finalized_features);
    for (uint32_t i = 0; i < image->feature_count; i++) {
        const struct image_feature *feature = &image->features[i];
        if (feature->level_max == 0) continue;
        response->finalized_features[response->finalized_features_count++] = (struct api_versions_response_finalized_features){
            slice_str(feature->name), (int16_t)feature->level_max, (int16_t)feature->level_max};
    }
}

static void serve_api_versions(struct tool_call *call, const void *message)
{
    (void)message;
    struct api_versions_response response = {.finalized_features_epoch = -1};
    response.api_keys = arena_calloc(&call->arena, API_COUNT, sizeof *response.api_keys);
    for (size_t i = 0; i < API_COUNT; i++)
        response.api_keys[i] = (struct api_versions_response_api_keys){APIS[i].key, APIS[i].version_min, APIS[i].version_max};
    response.api_keys_count = (int32_t)API_COUNT;
    if (call->api_version >= FEATURES_FROM) add_features(call, &response);
    answer(call, &response);
}

/* KIP-511: a version that is not served is answered in version 0, with the versions that are. */
static void refuse_api_versions(struct tool_call *call, const struct tool_api *api)
{
    struct api_versions_response_api_keys key = {api->key, api->version_min, api->version_max};
    struct api_versions_response response = {
        .error_code = KAFKA_UNSUPPORTED_VERSION, .api_keys = &key, .api_keys_count = 1, .finalized_features_epoch = -1};
    call->api_version = 0;
    answer(call, &response);
}

/* ---- DescribeCluster ------------------------------------------------------------------------------------------------- */

static void serve_describe_cluster(struct tool_call *call, const void *message)
{
    const struct describe_cluster_request *request = message;
    const struct raft_node_config *raft = &call->node->config.raft;
    struct describe_cluster_response response = {
        .endpoint_type = ENDPOINT_CONTROLLERS,
        .cluster_id = slice_str(call->node->image.cluster_id),
        .controller_id = call->node->leader.id,
        .cluster_authorized_operations = OPERATIONS_UNKNOWN,
    };
    if (request->endpoint_type != ENDPOINT_CONTROLLERS) {
        response.error_code = KAFKA_MISMATCHED_ENDPOINT_TYPE;
        response.error_message = SLICE_LITERAL("This is a controller's listener: ask it for controllers (endpoint type 2).");
        answer(call, &response);
        return;
    }
    response.brokers = arena_calloc(&call->arena, raft->voter_count, sizeof *response.brokers);
    for (uint32_t i = 0; i < raft->voter_count; i++)
        response.brokers[response.brokers_count++] = (struct describe_cluster_response_brokers){
            .broker_id = raft->voters[i].id, .host = slice_str(raft->voters[i].host), .port = raft->voters[i].port};
    answer(call, &response);
}

/* ---- DescribeQuorum -------------------------------------------------------------------------------------------------- */

/* From version 2 on the answer has directories and addresses; before, one that has them cannot be written. */
#define ADDRESSES_FROM 2

static void describe_replica(const struct controller_node *node, const struct raft_peer_status *peer, bool has_directory,
                             struct describe_quorum_response_replica_state *state)
{
    int64_t wall_ms = env_wall_ms(node->env), now_us = env_now_us(node->env);
    state->replica_id = peer->member.id;
    if (has_directory) state->replica_directory_id = peer->member.directory_id;
    state->log_end_offset = peer->match_index + 1;
    /* Monotonic times become the leader's wall clock. */
    state->last_fetch_timestamp = peer->last_contact_us == INT64_MIN ? -1 : wall_ms - (now_us - peer->last_contact_us) / 1000;
    state->last_caught_up_timestamp = peer->last_caught_up_us == INT64_MIN ? -1 : wall_ms - (now_us - peer->last_caught_up_us) / 1000;
}

static int compare_peers(const void *a, const void *b)
{
    const struct raft_peer_status *x = a, *y = b;
    return (x->member.id > y->member.id) - (x->member.id < y->member.id);
}

static void describe_replicas(const struct controller_node *node, bool has_directories, struct arena *arena,
                              struct describe_quorum_response_partitions *partition)
{
    size_t count = raft_node_peers_status(node->raft, NULL, 0);
    struct raft_peer_status *peers = arena_calloc(arena, count, sizeof *peers);
    count = raft_node_peers_status(node->raft, peers, count);
    qsort(peers, count, sizeof *peers, compare_peers);
    partition->current_voters = arena_calloc(arena, count, sizeof *partition->current_voters);
    partition->observers = arena_calloc(arena, count, sizeof *partition->observers);
    for (size_t i = 0; i < count; i++) {
        if (peers[i].is_voter)
            describe_replica(node, &peers[i], has_directories, &partition->current_voters[partition->current_voters_count++]);
        else
            describe_replica(node, &peers[i], has_directories, &partition->observers[partition->observers_count++]);
    }
}

static void describe_nodes(const struct controller_node *node, struct arena *arena, struct describe_quorum_response *response)
{
    const struct raft_node_config *raft = &node->config.raft;
    struct describe_quorum_response_listeners *listeners = arena_calloc(arena, raft->voter_count, sizeof *listeners);
    response->nodes = arena_calloc(arena, raft->voter_count, sizeof *response->nodes);
    response->nodes_count = (int32_t)raft->voter_count;
    for (uint32_t i = 0; i < raft->voter_count; i++) {
        const struct raft_node_voter *voter = &raft->voters[i];
        listeners[i].name = slice_str(node->config.listener_name);
        listeners[i].host = slice_str(voter->host);
        listeners[i].port = voter->port;
        response->nodes[i].node_id = voter->id;
        response->nodes[i].listeners = &listeners[i];
        response->nodes[i].listeners_count = 1;
    }
}

/* There is one log, and an answer describes it once: a request that names anything else, or more, gets an error for each partition. */
static enum kafka_error check_quorum_request(const struct controller_node *node, const struct describe_quorum_request *request)
{
    bool is_the_log = request->topics_count == 1 && slice_equal_str(request->topics[0].topic_name, "__cluster_metadata") &&
                      request->topics[0].partitions_count == 1 && request->topics[0].partitions[0].partition_index == 0;
    if (!is_the_log) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return controller_is_active(node) ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

static void fill_topics(const struct describe_quorum_request *request, enum kafka_error error, struct arena *arena,
                        struct describe_quorum_response *response)
{
    response->topics_count = request->topics_count;
    response->topics = arena_calloc(arena, (size_t)request->topics_count, sizeof *response->topics);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct describe_quorum_request_topics *topic = &request->topics[t];
        struct describe_quorum_response_topics *out = &response->topics[t];
        out->topic_name = topic->topic_name;
        out->partitions_count = topic->partitions_count;
        out->partitions = arena_calloc(arena, (size_t)topic->partitions_count, sizeof *out->partitions);
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            out->partitions[p].partition_index = topic->partitions[p].partition_index;
            out->partitions[p].error_code = (int16_t)error;
            out->partitions[p].leader_id = out->partitions[p].leader_epoch = -1;
        }
    }
}

void controller_describe_quorum(const struct controller_node *node, const struct describe_quorum_request *request, int16_t api_version,
                                struct arena *arena, struct describe_quorum_response *response)
{
    enum kafka_error error = check_quorum_request(node, request);
    codec_set_defaults(KMSG_DESCRIBE_QUORUM_RESPONSE, response);
    fill_topics(request, error, arena, response);
    if (error != KAFKA_NONE) return;
    struct raft_status status;
    struct describe_quorum_response_partitions *partition = &response->topics[0].partitions[0];
    raft_node_status(node->raft, &status);
    partition->leader_id = status.leader.id;
    partition->leader_epoch = (int32_t)status.term;
    partition->high_watermark = status.commit_index + 1;
    describe_replicas(node, api_version >= ADDRESSES_FROM, arena, partition);
    if (api_version >= ADDRESSES_FROM) describe_nodes(node, arena, response);
}

static void serve_describe_quorum(struct tool_call *call, const void *message)
{
    struct describe_quorum_response response;
    controller_describe_quorum(call->node, message, call->api_version, &call->arena, &response);
    answer(call, &response);
}

/* ---- dispatch -------------------------------------------------------------------------------------------------------- */

static const struct tool_api *find(int16_t key)
{
    for (size_t i = 0; i < API_COUNT; i++)
        if (APIS[i].key == key) return &APIS[i];
    return NULL;
}

static void serve(struct tool_call *call, const struct tool_api *api, struct slice body)
{
    enum kmsg kmsg = api_request(api->key);
    void *message = arena_alloc(&call->arena, codec_struct_size(kmsg));
    call->arena.cap = call->arena.used + codec_decode_budget(body.n);
    enum err err = codec_decode_request(kmsg, call->api_version, body, &call->arena, message);
    call->arena.cap = SIZE_MAX;
    if (err == ERR_OK)
        api->serve(call, message);
    else
        request_close(call->request, "a malformed request: %s version %d", api_name(api->key), call->api_version);
}

void controller_on_tool_request(struct controller_node *node, struct request *request)
{
    const struct tool_api *api = find(request->api_key);
    struct frame_request frame;
    if (!api) {
        request_close(request, "%s (key %d) is not served on the controller's port", api_name(request->api_key), request->api_key);
        return;
    }
    bool has_version = request->api_version >= api->version_min && request->api_version <= api->version_max;
    bool is_readable = frame_parse_request(buf_slice(request->frame), &frame) == ERR_OK;
    if (!is_readable || (!has_version && api->key != API_API_VERSIONS)) {
        request_close(request, "%s: %s version %d", is_readable ? "a version that is not served" : "a malformed header",
                      api_name(request->api_key), request->api_version);
        return;
    }
    struct tool_call call = {.node = node, .request = request, .api_version = request->api_version};
    arena_init(&call.arena, SIZE_MAX);
    if (has_version)
        serve(&call, api, frame.body);
    else
        refuse_api_versions(&call, api);
    arena_deinit(&call.arena);
}
