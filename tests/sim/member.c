/* The life of one model member. See member.h. */
#include "tests/sim/client.h"

#include <stdio.h>

#define GROUP              "group"
#define SESSION_MS         4000
#define REBALANCE_MS       4000
#define REQUEST_TIMEOUT_US (3 * (int64_t)SIM_SECOND)
#define ROUND_TIMEOUT_US   (10 * (int64_t)SIM_SECOND) /* of what waits for others */
#define PAUSE_US           (30 * SIM_MS)
#define NO_COORDINATOR     (-1)
#define ANYBODY            (-1)

static void rest(struct member *member)
{
    struct client *client = member->client;
    env_timer_set(client->env, &member->timer, env_now_us(client->env) + client_pause_us(client, PAUSE_US));
}

static struct group_history *history_of(const struct member *member) { return member->client->workload->groups; }
static struct slice id_of(const struct member *member) { return slice_str(member->id); }

static void set_id(struct member *member, struct slice id)
{
    ASSERT(id.n < sizeof member->id);
    (void)snprintf(member->id, sizeof member->id, "%.*s", (int)id.n, (const char *)id.p);
}

static void ask_node(struct member *member, int32_t node, int16_t api_key, int16_t version, const void *request)
{
    bool waits_for_others = api_key == API_JOIN_GROUP || api_key == API_SYNC_GROUP;
    member->asked_us = sim_now_us(member->client->workload->sim);
    member->stored_before = history_of(member)->stored_generation;
    member->is_asking_anybody = node != member->coordinator;
    client_send(&member->call, node, api_key, version, request, waits_for_others ? ROUND_TIMEOUT_US : REQUEST_TIMEOUT_US);
}

static void ask(struct member *member, int16_t api_key, int16_t version, const void *request)
{
    ask_node(member, member->coordinator, api_key, version, request);
}

/* ---- questions ----------------------------------------------------------------------------------------------------- */

static void find(struct member *member)
{
    struct find_coordinator_request request = {.key = SLICE_LITERAL(GROUP)};
    ask(member, API_FIND_COORDINATOR, 3, &request);
}

static void join(struct member *member)
{
    struct join_group_request_protocols protocol = {.name = SLICE_LITERAL("model"), .metadata = SLICE_LITERAL("all")};
    struct join_group_request request = {.group_id = SLICE_LITERAL(GROUP),
                                         .session_timeout_ms = SESSION_MS,
                                         .rebalance_timeout_ms = REBALANCE_MS,
                                         .member_id = id_of(member),
                                         .group_instance_id = SLICE_NULL,
                                         .protocol_type = SLICE_LITERAL("consumer"),
                                         .protocols = &protocol,
                                         .protocols_count = 1,
                                         .reason = SLICE_NULL};
    ask(member, API_JOIN_GROUP, 9, &request);
}

/* An assignment is one byte: a set of partitions. */
static void sync(struct member *member)
{
    struct sync_group_request_assignments assignments[WORKLOAD_CLIENTS_MAX];
    uint8_t owned[WORKLOAD_CLIENTS_MAX] = {0};
    for (uint32_t p = 0; p < GROUP_PARTITIONS && member->other_count; p++) owned[p % member->other_count] |= (uint8_t)(1u << p);
    for (uint32_t i = 0; i < member->other_count; i++)
        assignments[i] =
            (struct sync_group_request_assignments){.member_id = slice_str(member->others[i]), .assignment = slice_make(&owned[i], 1)};
    struct sync_group_request request = {.group_id = SLICE_LITERAL(GROUP),
                                         .generation_id = member->generation,
                                         .member_id = id_of(member),
                                         .group_instance_id = SLICE_NULL,
                                         .protocol_type = SLICE_LITERAL("consumer"),
                                         .protocol_name = SLICE_LITERAL("model"),
                                         .assignments = assignments,
                                         .assignments_count = (int32_t)member->other_count};
    ask(member, API_SYNC_GROUP, 5, &request);
}

static void read_offsets(struct member *member, int32_t node)
{
    int32_t indexes[GROUP_PARTITIONS];
    for (int32_t p = 0; p < GROUP_PARTITIONS; p++) indexes[p] = p;
    struct offset_fetch_request_topics topic = {.name = slice_str(member->client->workload->topics[0].name),
                                                .partition_indexes = indexes,
                                                .partition_indexes_count = GROUP_PARTITIONS};
    struct offset_fetch_request request = {.group_id = SLICE_LITERAL(GROUP), .topics = &topic, .topics_count = 1};
    ask_node(member, node, API_OFFSET_FETCH, 6, &request);
}

static void heartbeat(struct member *member)
{
    struct heartbeat_request request = {
        .group_id = SLICE_LITERAL(GROUP), .generation_id = member->generation, .member_id = id_of(member), .group_instance_id = SLICE_NULL};
    ask(member, API_HEARTBEAT, 4, &request);
}

static void leave(struct member *member)
{
    struct leave_group_request_members one = {.member_id = id_of(member), .group_instance_id = SLICE_NULL, .reason = SLICE_NULL};
    struct leave_group_request request = {
        .group_id = SLICE_LITERAL(GROUP), .member_id = SLICE_LITERAL(""), .members = &one, .members_count = 1};
    ask(member, API_LEAVE_GROUP, 5, &request);
    member->id[0] = 0;
    member->step = MEMBER_JOINING;
}

/* One of its partitions; false: it has none, or has committed enough. */
static bool commit(struct member *member)
{
    uint32_t p = (uint32_t)prng_below(&member->client->prng, GROUP_PARTITIONS);
    while (member->owned && !(member->owned >> p & 1)) p = (p + 1) % GROUP_PARTITIONS;
    int64_t offset = member->owned ? group_history_begin(history_of(member), p, sim_now_us(member->client->workload->sim)) : -1;
    if (offset < 0) return false;
    struct offset_commit_request_partitions partition = {
        .partition_index = (int32_t)p, .committed_offset = offset, .committed_leader_epoch = -1, .committed_metadata = SLICE_LITERAL("")};
    struct offset_commit_request_topics topic = {
        .name = slice_str(member->client->workload->topics[0].name), .partitions = &partition, .partitions_count = 1};
    struct offset_commit_request request = {.group_id = SLICE_LITERAL(GROUP),
                                            .generation_id_or_member_epoch = member->generation,
                                            .member_id = id_of(member),
                                            .group_instance_id = SLICE_NULL,
                                            .retention_time_ms = -1,
                                            .topics = &topic,
                                            .topics_count = 1};
    member->commit_partition = p;
    member->commit_offset = offset;
    ask(member, API_OFFSET_COMMIT, 8, &request);
    return true;
}

static void be_stable(struct member *member)
{
    struct client *client = member->client;
    uint64_t what = prng_below(&client->prng, 100);
    if (what < 2 && !client->workload->is_stopping)
        leave(member);
    else if (what < 20)
        read_offsets(member, member->coordinator);
    else if (what < 35)
        read_offsets(member, ANYBODY); /* who is no coordinator any more must not answer */
    else if (what < 60 || !commit(member))
        heartbeat(member);
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    struct member *member = CONTAINER_OF(timer, struct member, timer);
    (void)now_us;
    if (client_call_is_pending(&member->call)) return;
    if (member->coordinator == NO_COORDINATOR) {
        find(member);
        return;
    }
    switch (member->step) {
    case MEMBER_JOINING: join(member); break;
    case MEMBER_SYNCING: sync(member); break;
    case MEMBER_READING: read_offsets(member, member->coordinator); break;
    case MEMBER_STABLE: be_stable(member); break;
    }
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

/* True: none. */
static bool is_fine(struct member *member, int16_t error)
{
    switch (error) {
    case KAFKA_NONE: return true;
    case KAFKA_NOT_COORDINATOR:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
        if (!member->is_asking_anybody) member->coordinator = NO_COORDINATOR;
        break;
    case KAFKA_UNKNOWN_MEMBER_ID:
        member->id[0] = 0;
        member->step = MEMBER_JOINING;
        break;
    case KAFKA_REBALANCE_IN_PROGRESS:
    case KAFKA_ILLEGAL_GENERATION: member->step = MEMBER_JOINING; break;
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION: /* it is about to be created */
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS: break;
    case KAFKA_MEMBER_ID_REQUIRED: break; /* the answer has it */
    default: verdict_fail(member->client->workload->verdict, "G-ERROR", "a member is told %s", kafka_error_name(error));
    }
    return false;
}

static void on_found(struct member *member, const struct find_coordinator_response *answer)
{
    if (!answer->error_code) member->coordinator = answer->node_id;
}

static void on_joined(struct member *member, const struct join_group_response *answer)
{
    if (answer->error_code == KAFKA_MEMBER_ID_REQUIRED) set_id(member, answer->member_id);
    if (!is_fine(member, answer->error_code)) return;
    if (answer->generation_id < member->stored_before)
        verdict_fail(member->client->workload->verdict, "G-GEN", "generation %d after %d was stored", answer->generation_id,
                     member->stored_before);
    set_id(member, answer->member_id);
    member->generation = answer->generation_id;
    member->other_count = (uint32_t)answer->members_count;
    ASSERT(member->other_count <= WORKLOAD_CLIENTS_MAX * 4);
    for (uint32_t i = 0; i < member->other_count && i < WORKLOAD_CLIENTS_MAX; i++)
        (void)snprintf(member->others[i], sizeof member->others[i], "%.*s", (int)answer->members[i].member_id.n,
                       (const char *)answer->members[i].member_id.p);
    /* Those who have left without a word are still listed: they get nothing. */
    if (member->other_count > WORKLOAD_CLIENTS_MAX) member->other_count = WORKLOAD_CLIENTS_MAX;
    member->step = MEMBER_SYNCING;
}

static void on_synced(struct member *member, const struct sync_group_response *answer)
{
    if (!is_fine(member, answer->error_code)) return;
    if (member->generation < member->stored_before)
        verdict_fail(member->client->workload->verdict, "G-GEN", "generation %d is served after %d was stored", member->generation,
                     member->stored_before);
    member->owned = answer->assignment.n ? answer->assignment.p[0] : 0;
    group_history_synced(history_of(member), member->client->index, member->generation, member->owned);
    member->step = MEMBER_READING;
}

static void on_read(struct member *member, const struct offset_fetch_response *answer)
{
    if (!is_fine(member, answer->error_code)) return;
    ASSERT(answer->topics_count == 1 && answer->topics[0].partitions_count == GROUP_PARTITIONS);
    for (uint32_t p = 0; p < GROUP_PARTITIONS; p++)
        group_history_read(history_of(member), p, answer->topics[0].partitions[p].committed_offset, member->asked_us);
    if (member->step == MEMBER_READING) member->step = MEMBER_STABLE;
}

static void on_committed(struct member *member, const struct offset_commit_response *answer)
{
    ASSERT(answer->topics_count == 1);
    if (is_fine(member, answer->topics[0].partitions[0].error_code))
        group_history_acked(history_of(member), member->commit_partition, member->commit_offset, sim_now_us(member->client->workload->sim));
}

static void on_answer(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    struct member *member = CONTAINER_OF(call, struct member, call);
    (void)now_us;
    rest(member);
    if (err) {
        if (!member->is_asking_anybody) member->coordinator = NO_COORDINATOR;
        return;
    }
    switch (call->call.api_key) {
    case API_FIND_COORDINATOR: on_found(member, message); break;
    case API_JOIN_GROUP: on_joined(member, message); break;
    case API_SYNC_GROUP: on_synced(member, message); break;
    case API_HEARTBEAT: (void)is_fine(member, ((const struct heartbeat_response *)message)->error_code); break;
    case API_OFFSET_FETCH: on_read(member, message); break;
    case API_OFFSET_COMMIT: on_committed(member, message); break;
    case API_LEAVE_GROUP: break; /* whatever it says: the id is not used again */
    default: UNREACHABLE();
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

void member_init(struct member *member, struct client *client)
{
    member->client = client;
    member->coordinator = NO_COORDINATOR;
    member->generation = -1;
    member->call = (struct client_call){.client = client, .done = on_answer};
    env_timer_init(&member->timer, on_timer);
}

void member_begin(struct member *member) { rest(member); }

bool members_are_stable(const struct workload *workload)
{
    uint32_t owned = 0;
    for (uint32_t i = 0; i < workload->client_count; i++) {
        const struct member *member = &workload->clients[i]->member;
        if (member->step != MEMBER_STABLE || member->generation != workload->clients[0]->member.generation) return false;
        owned |= member->owned;
    }
    return owned == (1u << GROUP_PARTITIONS) - 1;
}
