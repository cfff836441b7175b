/* Fetch, for consumers and for followers (KIP-227 sessions, KIP-516 topic ids, KIP-951 leader hints).
 *
 *   handle_fetch ---- names to ids ----> replica_manager_fetch ---- enough bytes, or the wait is over ----> on_fetched -> the answer
 *
 * Record bytes never pass through here: the answer is header bytes and, between them, the ranges of files or buffers that the
 * replica manager chose. Requests that name topics (before version 13) have no sessions, so every partition is asked for each
 * time and those of unknown topics are answered here. */
#include "broker/handlers/handler.h"
#include "broker/replica/fetch_session.h"
#include "common/assert.h"
#include "common/checked.h"

#define TOPIC_IDS_FROM     13
#define REPLICA_STATE_FROM 15
#define LEADER_FROM        12
#define RACK_FROM          11
#define ZSTD_FROM          10
#define ENDPOINTS_FROM     16

struct fetch_call {
    struct replica_fetch fetch;
    struct call *call;
    struct slice client_id; /* null when nobody has a quota */
    size_t held_bytes;      /* its share of dispatch->waiting_fetch_bytes */
    struct endpoints endpoints;
    struct fetch_response_responses *unknown; /* topics that nobody knows, already answered */
    int32_t unknown_count;
    /* The names that the request used, since the frame is gone when the answer is written; only before version 13. */
    struct named_topic *names;
    size_t name_count, name_at;
};
struct named_topic {
    struct uuid id;
    struct slice name;
};

/* ---- the answer ---------------------------------------------------------------------------------------------------- */

static void fill_partition(struct fetch_call *f, const struct fetch_result *from, struct fetch_response_partitions *to)
{
    *to = (struct fetch_response_partitions){.partition_index = from->partition,
                                             .error_code = (int16_t)from->error,
                                             .high_watermark = from->high_watermark,
                                             .last_stable_offset = from->last_stable_offset,
                                             .log_start_offset = from->log_start_offset,
                                             .diverging_epoch = {.epoch = -1, .end_offset = -1},
                                             .current_leader = {.leader_id = -1, .leader_epoch = -1},
                                             .snapshot_id = {.end_offset = -1, .epoch = -1},
                                             .aborted_transactions_count = -1,
                                             .preferred_read_replica = f->call->api_version >= RACK_FROM ? from->preferred_replica : -1,
                                             .records = SLICE_LITERAL("")};
    if (from->is_diverging)
        to->diverging_epoch =
            (struct fetch_response_diverging_epoch){.epoch = from->diverging_epoch, .end_offset = from->diverging_end_offset};
    /* A token: call_send_pieces() asks for what it stands for. */
    if (from->bytes > 0) to->records = slice_make(from, (size_t)from->bytes);
    if (f->call->api_version < LEADER_FROM || (from->error != KAFKA_NOT_LEADER_OR_FOLLOWER && from->error != KAFKA_FENCED_LEADER_EPOCH))
        return;
    to->current_leader = (struct fetch_response_current_leader){.leader_id = from->leader_id, .leader_epoch = from->leader_epoch};
    endpoints_add(&f->endpoints, from->leader_id);
}

static void on_records(void *context, struct slice token, const struct env_piece **pieces, size_t *count)
{
    const struct fetch_result *result = (const void *)token.p;
    (void)context;
    *pieces = result->pieces;
    *count = result->piece_count;
}

/* Results come in the order of the request: mostly the next one. */
static struct slice topic_name(struct fetch_call *f, struct uuid id)
{
    for (size_t tries = 0; tries < f->name_count; tries++) {
        const struct named_topic *named = &f->names[f->name_at];
        if (uuid_equal(named->id, id)) return named->name;
        f->name_at = (f->name_at + 1) % f->name_count;
    }
    return SLICE_LITERAL("");
}

/* Results of one topic that follow each other become one entry. */
static void group_results(struct fetch_call *f, struct fetch_response *response)
{
    struct call *call = f->call;
    const struct replica_fetch *fetch = &f->fetch;
    struct fetch_response_partitions *partitions = arena_calloc(&call->arena, fetch->result_count, sizeof *partitions);
    struct fetch_response_responses *topics = arena_calloc(&call->arena, fetch->result_count + (size_t)f->unknown_count, sizeof *topics),
                                    *topic = NULL;
    for (size_t i = 0; i < fetch->result_count; i++) {
        fill_partition(f, &fetch->results[i], &partitions[i]);
        if (!topic || !uuid_equal(topic->topic_id, fetch->results[i].topic_id)) {
            topic = &topics[response->responses_count++];
            topic->topic_id = fetch->results[i].topic_id;
            topic->topic = call->api_version < TOPIC_IDS_FROM ? topic_name(f, topic->topic_id) : SLICE_LITERAL("");
            topic->partitions = &partitions[i];
        }
        topic->partitions_count++;
    }
    for (int32_t i = 0; i < f->unknown_count; i++) topics[response->responses_count++] = f->unknown[i];
    response->responses = topics;
}

static void add_endpoints(struct fetch_call *f, struct fetch_response *response)
{
    struct call *call = f->call;
    if (call->api_version < ENDPOINTS_FROM) return;
    response->node_endpoints = arena_calloc(&call->arena, f->endpoints.count, sizeof *response->node_endpoints);
    for (size_t i = 0; i < f->endpoints.count; i++) {
        const struct image_broker *broker = image_broker_get(call_image(call), f->endpoints.ids[i]);
        const struct image_listener *listener = call_endpoint(call, broker);
        if (!listener) continue;
        response->node_endpoints[response->node_endpoints_count++] =
            (struct fetch_response_node_endpoints){.node_id = broker->id,
                                                   .host = slice_str(listener->host),
                                                   .port = listener->port,
                                                   .rack = *broker->rack ? slice_str(broker->rack) : SLICE_NULL};
    }
}

static int32_t charge(struct fetch_call *f)
{
    int64_t bytes = 0;
    if (slice_is_null(f->client_id)) return 0;
    for (size_t i = 0; i < f->fetch.result_count; i++) bytes += f->fetch.results[i].bytes;
    return call_charge(f->call, QUOTA_FETCH, f->client_id, bytes);
}

/* Nobody needs a fetch to wait: when those that do hold much, the next is answered with what there is. */
static void begin_wait(struct fetch_call *f)
{
    struct dispatch *dispatch = f->call->dispatch;
    f->held_bytes = f->call->arena.used + f->fetch.partition_count * sizeof(struct fetch_entry);
    if (dispatch->waiting_fetch_bytes + f->held_bytes > WAITING_FETCH_BYTES_MAX) f->fetch.max_wait_ms = 0;
    dispatch->waiting_fetch_bytes += f->held_bytes;
}

static void end_wait(struct fetch_call *f)
{
    struct dispatch *dispatch = f->call->dispatch;
    ASSERT(dispatch->waiting_fetch_bytes >= f->held_bytes);
    dispatch->waiting_fetch_bytes -= f->held_bytes;
}

static void on_fetched(struct replica_fetch *fetch, int64_t now_us)
{
    struct fetch_call *f = CONTAINER_OF(fetch, struct fetch_call, fetch);
    struct fetch_response response = {.error_code = (int16_t)fetch->error, .session_id = fetch->answer_session_id};
    (void)now_us;
    end_wait(f);
    call_resume(f->call);
    if (!fetch->error) {
        response.throttle_time_ms = charge(f);
        group_results(f, &response);
        add_endpoints(f, &response);
    }
    response.throttle_time_ms = max_i32(response.throttle_time_ms, call_throttle(f->call));
    call_send_pieces(f->call, &response, on_records, f);
    replica_manager_release_fetch(fetch);
    call_end(f->call);
}

static void on_abandoned(struct request *request)
{
    struct call *call = request->user;
    struct fetch_call *f = call->state;
    end_wait(f);
    replica_manager_abandon_fetch(&f->fetch);
    call_finish(call);
}

/* ---- the request --------------------------------------------------------------------------------------------------- */

static void answer_unknown_topic(struct fetch_call *f, const struct fetch_request_topics *from)
{
    struct call *call = f->call;
    struct fetch_response_responses *to = &f->unknown[f->unknown_count++];
    struct fetch_result refused = {.error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                   .high_watermark = -1,
                                   .last_stable_offset = -1,
                                   .log_start_offset = -1,
                                   .preferred_replica = -1};
    to->topic = arena_copy(&call->arena, from->topic);
    to->partitions = arena_calloc(&call->arena, (size_t)from->partitions_count, sizeof *to->partitions);
    to->partitions_count = from->partitions_count;
    for (int32_t i = 0; i < from->partitions_count; i++) {
        refused.partition = from->partitions[i].partition;
        fill_partition(f, &refused, &to->partitions[i]);
    }
}

static void take_positions(struct fetch_call *f, const struct fetch_request *request, struct fetch_position *positions)
{
    struct call *call = f->call;
    bool has_ids = call->api_version >= TOPIC_IDS_FROM;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct fetch_request_topics *topic = &request->topics[t];
        struct uuid id = topic->topic_id;
        if (!has_ids) {
            const struct image_topic *known = image_topic_by_name(call_image(call), topic->topic);
            if (!known) {
                answer_unknown_topic(f, topic);
                continue;
            }
            id = known->id;
            f->names[f->name_count++] = (struct named_topic){.id = id, .name = arena_copy(&call->arena, topic->topic)};
        }
        for (int32_t i = 0; i < topic->partitions_count; i++) {
            const struct fetch_request_partitions *from = &topic->partitions[i];
            positions[f->fetch.partition_count++] =
                (struct fetch_position){.target = {.topic_id = id, .partition = from->partition},
                                        .current_leader_epoch = from->current_leader_epoch < 0 ? -1 : from->current_leader_epoch,
                                        .offset = from->fetch_offset,
                                        .last_fetched_epoch = from->last_fetched_epoch,
                                        .log_start = from->log_start_offset,
                                        .bytes_max = from->partition_max_bytes};
        }
    }
}

/* With names there are no sessions, so there is nothing to forget. */
static void take_forgotten(struct fetch_call *f, const struct fetch_request *request)
{
    size_t count = 0;
    if (f->call->api_version < TOPIC_IDS_FROM) return;
    for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) count += (size_t)request->forgotten_topics_data[t].partitions_count;
    struct fetch_target *targets = arena_calloc(&f->call->arena, count, sizeof *targets);
    f->fetch.forgotten = targets;
    for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) {
        const struct fetch_request_forgotten_topics_data *topic = &request->forgotten_topics_data[t];
        for (int32_t i = 0; i < topic->partitions_count; i++)
            targets[f->fetch.forgotten_count++] = (struct fetch_target){.topic_id = topic->topic_id, .partition = topic->partitions[i]};
    }
}

/* One answer takes no more than a second's worth, but for a first batch that is larger. */
static void respect_quota(struct fetch_call *f)
{
    struct call *call = f->call;
    struct slice client_id = call->request->client_id;
    f->client_id = arena_copy(&call->arena, slice_is_null(client_id) ? SLICE_LITERAL("") : client_id);
    int64_t most = call_quota(call, QUOTA_FETCH, client_id);
    if (f->fetch.max_bytes > most) f->fetch.max_bytes = (int32_t)most;
}

enum request_progress handle_fetch(struct call *call, const void *message)
{
    const struct fetch_request *request = message;
    struct fetch_call *f = arena_alloc(&call->arena, sizeof *f);
    size_t partition_count = 0;
    for (int32_t i = 0; i < request->topics_count; i++) partition_count += (size_t)request->topics[i].partitions_count;
    struct fetch_position *positions = arena_calloc(&call->arena, partition_count, sizeof *positions);
    bool has_state = call->api_version >= REPLICA_STATE_FROM;
    int64_t bytes_max = config_number(call->dispatch->config, CONFIG_FETCH_MAX_BYTES);
    int32_t replica_id = has_state ? request->replica_state.replica_id : request->replica_id;
    if (replica_id >= 0 && !call_is_allowed(call, ACL_CLUSTER_ACTION)) {
        call_close(call, "not authorized: a Fetch in the name of broker %d", replica_id);
        return REQUEST_DONE;
    }
    f->call = call;
    f->unknown = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *f->unknown);
    f->names = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *f->names);
    f->fetch = (struct replica_fetch){.replica_id = replica_id,
                                      .replica_epoch = has_state ? request->replica_state.replica_epoch : -1,
                                      .max_wait_ms = request->max_wait_ms,
                                      .min_bytes = request->min_bytes,
                                      .max_bytes = request->max_bytes < bytes_max ? request->max_bytes : (int32_t)bytes_max,
                                      .is_read_committed = request->isolation_level == 1,
                                      .may_read_followers = replica_id < 0 && call->api_version >= RACK_FROM,
                                      .rack = arena_copy(&call->arena, request->rack_id),
                                      .refuses_zstd = call->api_version < ZSTD_FROM,
                                      .has_sessions = call->api_version >= TOPIC_IDS_FROM,
                                      .session_id = request->session_id,
                                      .session_epoch = request->session_epoch,
                                      .partitions = positions,
                                      .done = on_fetched};
    if (replica_id < 0 && call_has_quotas(call)) respect_quota(f);
    take_positions(f, request, positions);
    take_forgotten(f, request);
    if (f->unknown_count > 0) f->fetch.max_wait_ms = 0; /* an error is answered at once */
    if (replica_id >= 0) {
        connection_use_reserve(call->request->connection);
        call_is_of_follower(call);
    }
    call->state = f;
    call->request->user = call;
    call->request->on_abandoned = on_abandoned;
    begin_wait(f);
    replica_manager_fetch(call->dispatch->replicas, &f->fetch);
    call_release_frame(call);
    return REQUEST_PARKED;
}
