/* The group coordinators of whole nodes in the simulator: who has a group, what outlives its coordinator, and what those who wait
 * are told when it goes. What one coordinator does by itself is in test_group.c and test_group_offsets.c. */
#include "tests/unit/node_fixture.h"

#include "broker/node/group_coordinator.h"
#include "broker/node/replica_internal.h"
#include "proto/errors.h"

#define SETTINGS "offsets.topic.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n"
#define GROUP    "readers"
#define TOPIC    "events"

/* ---- what a client does -------------------------------------------------------------------------------------------- */

static const struct image_topic *offsets_topic(const struct fixture *f, int32_t node)
{
    return image_topic_by_name(broker_node_image(f->nodes[node].broker), SLICE_LITERAL(OFFSETS_TOPIC));
}

static int32_t find_once(struct fixture *f, int16_t *error)
{
    struct find_coordinator_request request = {.key = SLICE_LITERAL(GROUP)};
    const struct find_coordinator_response *response = fixture_ask(f, API_FIND_COORDINATOR, 3, &request);
    ck_assert_ptr_nonnull(response);
    *error = response->error_code;
    return response->node_id;
}

/* Asks the node until it knows, and is connected to the coordinator. */
static int32_t find(struct fixture *f, int32_t from)
{
    int16_t error = 0;
    fixture_connect_to(f, from);
    for (int tries = 0; tries < 200; tries++) {
        int32_t id = find_once(f, &error);
        if (!error) {
            if (id != from) fixture_connect_to(f, id);
            return id;
        }
        ck_assert_int_eq(error, KAFKA_COORDINATOR_NOT_AVAILABLE);
        sim_run_for(f->sim, 20 * SIM_MS);
    }
    ck_abort_msg("no coordinator: %s", kafka_error_name(error));
}

static void send_commit_with(struct fixture *f, const char *member, int32_t generation, int64_t offset, const char *metadata)
{
    struct offset_commit_request_partitions partition = {
        .committed_offset = offset, .committed_leader_epoch = -1, .committed_metadata = slice_str(metadata)};
    struct offset_commit_request_topics topic = {.name = SLICE_LITERAL(TOPIC), .partitions = &partition, .partitions_count = 1};
    struct offset_commit_request request = {.group_id = SLICE_LITERAL(GROUP),
                                            .generation_id_or_member_epoch = generation,
                                            .member_id = slice_str(member),
                                            .group_instance_id = SLICE_NULL,
                                            .retention_time_ms = -1,
                                            .topics = &topic,
                                            .topics_count = 1};
    struct writer w;
    writer_init(&w, 256);
    ck_assert_int_eq(codec_encode(KMSG_OFFSET_COMMIT_REQUEST, 9, &request, &w), ERR_OK);
    fixture_send_raw(f, API_OFFSET_COMMIT, 9, true, writer_take(&w));
}

static void send_commit(struct fixture *f, const char *member, int32_t generation, int64_t offset)
{
    send_commit_with(f, member, generation, offset, "note");
}

static int16_t commit_error(struct fixture *f)
{
    struct arena arena;
    struct offset_commit_response response;
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, 60 * SIM_SECOND));
    ck_assert_int_eq(f->err, ERR_OK);
    arena_init(&arena, 1 << 16);
    ck_assert_int_eq(codec_decode_exact(KMSG_OFFSET_COMMIT_RESPONSE, 9, f->body, &arena, &response), ERR_OK);
    ck_assert_int_eq(response.topics_count, 1);
    int16_t error = response.topics[0].partitions[0].error_code;
    arena_deinit(&arena);
    return error;
}
static int16_t commit_as(struct fixture *f, const char *member, int32_t generation, int64_t offset)
{
    send_commit(f, member, generation, offset);
    return commit_error(f);
}
static int16_t commit(struct fixture *f, int64_t offset) { return commit_as(f, "", -1, offset); }

static int64_t fetch_offset(struct fixture *f, int16_t *error)
{
    int32_t index = 0;
    struct offset_fetch_request_groups_topics topic = {
        .name = SLICE_LITERAL(TOPIC), .partition_indexes = &index, .partition_indexes_count = 1};
    struct offset_fetch_request_groups group = {.group_id = SLICE_LITERAL(GROUP), .member_epoch = -1, .topics = &topic, .topics_count = 1};
    struct offset_fetch_request request = {.group_id = SLICE_LITERAL(""), .groups = &group, .groups_count = 1};
    const struct offset_fetch_response *response = fixture_ask(f, API_OFFSET_FETCH, 9, &request);
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->groups_count, 1);
    *error = response->groups[0].error_code;
    return *error ? -2 : response->groups[0].topics[0].partitions[0].committed_offset;
}

/* Returns how many topics GROUP has, asked for all of them; *offset is of the first. */
static int32_t fetch_all(struct fixture *f, int16_t version, int64_t *offset)
{
    bool is_single = version < 8;
    struct offset_fetch_request_groups group = {.group_id = SLICE_LITERAL(GROUP), .member_epoch = -1, .topics_count = -1};
    struct offset_fetch_request single = {.group_id = SLICE_LITERAL(GROUP), .topics_count = -1};
    struct offset_fetch_request several = {.group_id = SLICE_LITERAL(""), .groups = &group, .groups_count = 1};
    const struct offset_fetch_response *response = fixture_ask(f, API_OFFSET_FETCH, version, is_single ? &single : &several);
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(is_single ? response->error_code : response->groups[0].error_code, KAFKA_NONE);
    int32_t count = is_single ? response->topics_count : response->groups[0].topics_count;
    if (count == 0) return 0;
    *offset = is_single ? response->topics[0].partitions[0].committed_offset : response->groups[0].topics[0].partitions[0].committed_offset;
    return count;
}

struct joined {
    int16_t error;
    int32_t generation;
    char member[128];
};

static struct join_group_request join_request(struct join_group_request_protocols *protocol, const char *member)
{
    *protocol = (struct join_group_request_protocols){.name = SLICE_LITERAL("range"), .metadata = SLICE_LITERAL("topics")};
    return (struct join_group_request){.group_id = SLICE_LITERAL(GROUP),
                                       .session_timeout_ms = 30000,
                                       .rebalance_timeout_ms = 60000,
                                       .member_id = slice_str(member),
                                       .group_instance_id = SLICE_NULL,
                                       .protocol_type = SLICE_LITERAL("consumer"),
                                       .protocols = protocol,
                                       .protocols_count = 1,
                                       .reason = SLICE_NULL};
}

static struct joined join_as(struct fixture *f, const char *member)
{
    struct joined joined = {0};
    struct join_group_request_protocols protocol;
    struct join_group_request request = join_request(&protocol, member);
    const struct join_group_response *response = fixture_ask(f, API_JOIN_GROUP, 9, &request);
    ck_assert_ptr_nonnull(response);
    joined.error = response->error_code;
    joined.generation = response->generation_id;
    (void)snprintf(joined.member, sizeof joined.member, "%.*s", (int)response->member_id.n, (const char *)response->member_id.p);
    return joined;
}

static void send_join(struct fixture *f, const char *member)
{
    struct writer w;
    struct join_group_request_protocols protocol;
    struct join_group_request request = join_request(&protocol, member);
    writer_init(&w, 256);
    ck_assert_int_eq(codec_encode(KMSG_JOIN_GROUP_REQUEST, 9, &request, &w), ERR_OK);
    fixture_send_raw(f, API_JOIN_GROUP, 9, true, writer_take(&w));
}

static int16_t join_answer(struct fixture *f)
{
    struct arena arena;
    struct join_group_response response;
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, 60 * SIM_SECOND));
    ck_assert_int_eq(f->err, ERR_OK);
    arena_init(&arena, 1 << 16);
    ck_assert_int_eq(codec_decode_exact(KMSG_JOIN_GROUP_RESPONSE, 9, f->body, &arena, &response), ERR_OK);
    int16_t error = response.error_code;
    arena_deinit(&arena);
    return error;
}

static int16_t sync_as(struct fixture *f, const struct joined *who)
{
    struct sync_group_request_assignments assignment = {.member_id = slice_str(who->member), .assignment = SLICE_LITERAL("all of it")};
    struct sync_group_request request = {.group_id = SLICE_LITERAL(GROUP),
                                         .generation_id = who->generation,
                                         .member_id = slice_str(who->member),
                                         .group_instance_id = SLICE_NULL,
                                         .protocol_type = SLICE_LITERAL("consumer"),
                                         .protocol_name = SLICE_LITERAL("range"),
                                         .assignments = &assignment,
                                         .assignments_count = 1};
    const struct sync_group_response *response = fixture_ask(f, API_SYNC_GROUP, 5, &request);
    ck_assert_ptr_nonnull(response);
    return response->error_code;
}

static int16_t heartbeat(struct fixture *f, const struct joined *who)
{
    struct heartbeat_request request = {.group_id = SLICE_LITERAL(GROUP),
                                        .generation_id = who->generation,
                                        .member_id = slice_str(who->member),
                                        .group_instance_id = SLICE_NULL};
    const struct heartbeat_response *response = fixture_ask(f, API_HEARTBEAT, 4, &request);
    ck_assert_ptr_nonnull(response);
    return response->error_code;
}

/* A group of one, stable. */
static struct joined begin_group(struct fixture *f)
{
    struct joined who = join_as(f, "");
    ck_assert_int_eq(who.error, KAFKA_MEMBER_ID_REQUIRED);
    who = join_as(f, who.member);
    ck_assert_int_eq(who.error, KAFKA_NONE);
    ck_assert_int_eq(sync_as(f, &who), KAFKA_NONE);
    return who;
}

/* ---- three nodes --------------------------------------------------------------------------------------------------- */

static bool has_all_in_sync(void *context)
{
    const struct fixture *f = context;
    for (int32_t i = 0; i < f->node_count; i++) {
        const struct image_topic *topic = offsets_topic(f, i);
        if (!topic) return false;
        for (int32_t p = 0; p < topic->partition_count; p++)
            if (topic->partitions[p].isr_count != f->node_count) return false;
    }
    return true;
}

/* Returns the coordinator of GROUP. */
static int32_t begin(struct fixture **f, const char *settings, int32_t nodes)
{
    *f = fixture_create_nodes(settings, nodes);
    ck_assert_int_eq(fixture_create_topic(*f, TOPIC, 1), 0);
    int32_t id = find(*f, 0);
    ck_assert(sim_wait((*f)->sim, has_all_in_sync, *f, 10 * SIM_SECOND));
    return id;
}

/* The offsets of GROUP stand at one of three nodes. */
static int32_t begin_with_one_replica(struct fixture **f)
{
    *f = fixture_create_nodes(SETTINGS "offsets.topic.replication.factor=1\n", 3);
    ck_assert_int_eq(fixture_create_topic(*f, TOPIC, 1), 0);
    return find(*f, 0);
}

static bool is_coordinated_elsewhere(struct fixture *f, int32_t than)
{
    int16_t error = 0;
    return find_once(f, &error) != than && !error;
}

/* From a node that lives; returns the new coordinator, connected. */
static int32_t find_other(struct fixture *f, int32_t than)
{
    int32_t from = (than + 1) % f->node_count;
    fixture_connect_to(f, from);
    for (int tries = 0; tries < 20000 && !is_coordinated_elsewhere(f, than); tries++) sim_run_for(f->sim, SIM_MS);
    int32_t id = find(f, from);
    ck_assert_int_ne(id, than);
    return id;
}

START_TEST(trap_30_the_offsets_topic_comes_when_it_is_asked_for)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 3);
    const struct image_topic *topic = offsets_topic(f, 0);
    ck_assert_int_eq(topic->partition_count, 4);
    ck_assert_int_eq(topic->partitions[0].replica_count, 3);
    struct metadata_request_topics asked = {.name = SLICE_LITERAL(OFFSETS_TOPIC)};
    struct metadata_request request = {.topics = &asked, .topics_count = 1};
    const struct metadata_response *response = fixture_ask(f, API_METADATA, 12, &request);
    ck_assert_int_eq(response->topics_count, 1);
    ck_assert(response->topics[0].is_internal);
    fixture_end(f);
}
END_TEST

START_TEST(g_offdur_offsets_members_and_generation_outlive_the_coordinator)
{
    struct fixture *f;
    int32_t first = begin(&f, SETTINGS, 3);
    struct joined who = begin_group(f);
    int16_t error = 0;
    ck_assert_int_eq(commit_as(f, who.member, who.generation, 41), KAFKA_NONE);
    ck_assert_int_eq(commit_as(f, who.member, who.generation, 42), KAFKA_NONE);
    ck_assert_int_eq(commit_as(f, who.member, who.generation + 1, 43), KAFKA_ILLEGAL_GENERATION);
    sim_node_crash(f->nodes[first].node, _i ? SIM_CRASH_POWER : SIM_CRASH_PROCESS);
    (void)find_other(f, first);
    for (int64_t offset = -2; offset < 0;) {
        offset = fetch_offset(f, &error);
        ck_assert_msg(offset == -2 || offset == 42, "committed 42, found %lld", (long long)offset);
        ck_assert_msg(!error || error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_NOT_COORDINATOR, "%s",
                      kafka_error_name(error));
        sim_run_for(f->sim, SIM_MS);
    }
    ck_assert_int_eq(heartbeat(f, &who), KAFKA_NONE);
    ck_assert_int_eq(commit_as(f, who.member, who.generation, 44), KAFKA_NONE);
    struct joined again = join_as(f, who.member); /* the leader, who wants another assignment */
    ck_assert_int_eq(again.error, KAFKA_NONE);
    ck_assert_int_eq(again.generation, who.generation + 1);
    ck_assert_int_eq(commit_as(f, who.member, who.generation, 45), KAFKA_ILLEGAL_GENERATION);
    fixture_end(f);
}
END_TEST

START_TEST(g_offdur_offsets_outlive_all_nodes)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 3);
    int16_t error = 0;
    ck_assert_int_eq(commit(f, 7), KAFKA_NONE);
    for (int32_t i = 0; i < 3; i++) sim_node_crash(f->nodes[i].node, SIM_CRASH_POWER);
    for (int32_t i = 0; i < 3; i++) sim_node_start(f->nodes[i].node);
    ck_assert(sim_wait(f->sim, fixture_is_active, f, 30 * SIM_SECOND));
    (void)find(f, 1);
    int64_t offset = -2;
    for (int tries = 0; tries < 100 && offset == -2; tries++) {
        offset = fetch_offset(f, &error);
        sim_run_for(f->sim, 20 * SIM_MS);
    }
    ck_assert_int_eq(offset, 7);
    fixture_end(f);
}
END_TEST

struct lag {
    struct fixture *f;
    int32_t leader, partition;
    int64_t end;
};

static struct replica_info log_of(const struct lag *lag, int32_t node)
{
    struct replica_info info = {0};
    (void)replica_manager_info(broker_node_replicas(lag->f->nodes[node].broker), offsets_topic(lag->f, node)->id, lag->partition, &info);
    return info;
}

/* Committed, as the leader alone knows. */
static bool is_known_to_leader(void *context)
{
    const struct lag *lag = context;
    return log_of(lag, lag->leader).high_watermark >= lag->end;
}

static bool is_led_elsewhere(void *context)
{
    struct lag *lag = context;
    for (int32_t i = 0; i < 3; i++) {
        int32_t leader = sim_node_is_running(lag->f->nodes[i].node) ? offsets_topic(lag->f, i)->partitions[lag->partition].leader : -1;
        if (leader < 0 || leader == lag->leader) continue;
        lag->leader = leader;
        return true;
    }
    return false;
}

/* The leader dies before it has told anyone that a commit is committed: the next one has it, but may not yet tell. */
START_TEST(g_offdur_a_coordinator_that_loads_says_so)
{
    struct lag lag = {0};
    struct fixture *f;
    int16_t error = 0;
    int64_t offset = -2;
    bool was_loading = false;
    lag.leader = begin(&f, "offsets.topic.num.partitions=1\n", 3);
    lag.f = f;
    struct joined who = join_as(f, "");
    ck_assert_int_eq(commit(f, 7), KAFKA_NONE);
    sim_net_set_delay(f->sim, 20 * SIM_MS, 0);
    sim_run_for(f->sim, SIM_SECOND);
    lag.end = log_of(&lag, lag.leader).log_end + 1;
    send_commit(f, "", -1, 8);
    ck_assert(sim_wait(f->sim, is_known_to_leader, &lag, SIM_SECOND));
    sim_node_crash(f->nodes[lag.leader].node, SIM_CRASH_PROCESS);
    ck_assert(sim_wait(f->sim, is_led_elsewhere, &lag, 20 * SIM_SECOND));
    fixture_connect_to(f, lag.leader);
    if (_i) ck_assert_int_eq(heartbeat(f, &who), KAFKA_NONE); /* of a member that is not known any more: it need not worry yet */
    for (int tries = 0; tries < 100 && offset == -2; tries++, sim_run_for(f->sim, SIM_MS)) {
        offset = fetch_offset(f, &error);
        was_loading |= error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    }
    ck_assert_int_eq(offset, 8);
    ck_assert_msg(was_loading || _i, "the question came too late to see the group being loaded");
    fixture_end(f);
}
END_TEST

/* To the leader, from there to a follower while the leader flushes, the follower's flush, back, and the answer: nothing else is waited
 * for, and nobody lingers. */
START_TEST(a_commit_takes_four_ways_and_one_flush)
{
    struct fixture *f;
    const int64_t way_us = 10 * SIM_MS, flush_us = 3 * SIM_MS;
    (void)begin(&f, SETTINGS, 3);
    sim_net_set_delay(f->sim, way_us, 0);
    for (int i = 0; i < 3; i++) sim_disk_set_commit_latency(f->nodes[i].node, flush_us, 0);
    ck_assert_int_eq(commit(f, 1), KAFKA_NONE);
    sim_run_for(f->sim, SIM_SECOND); /* the followers wait at the leader again */
    int64_t began_us = sim_now_us(f->sim);
    ck_assert_int_eq(commit(f, 2), KAFKA_NONE);
    int64_t took_us = sim_now_us(f->sim) - began_us;
    ck_assert_int_ge(took_us, 4 * way_us + flush_us);
    ck_assert_int_le(took_us, 4 * way_us + flush_us + 100);
    fixture_end(f);
}
END_TEST

/* What the loop reads between two looks at its sockets. */
struct reading {
    struct fixture *f;
    uint64_t bytes, largest;
};

static void look_at_reading(void *context)
{
    struct reading *reading = context;
    if (!sim_node_is_running(reading->f->nodes[0].node) || !reading->f->nodes[0].broker) return;
    uint64_t bytes = broker_node_replicas(reading->f->nodes[0].broker)->counters.traffic.bytes_out;
    if (bytes > reading->bytes && bytes - reading->bytes > reading->largest) reading->largest = bytes - reading->bytes;
    reading->bytes = bytes;
}

START_TEST(a_long_log_is_loaded_between_other_things)
{
    struct fixture *f;
    char metadata[4001];
    int16_t error = 0;
    int64_t offset = -2;
    memset(metadata, 'm', sizeof metadata - 1);
    metadata[sizeof metadata - 1] = 0;
    (void)begin(&f, "offsets.topic.num.partitions=1\n", 1);
    for (int64_t i = 0; i < 1000; i++) {
        send_commit_with(f, "", -1, i, metadata);
        ck_assert_int_eq(commit_error(f), KAFKA_NONE);
    }
    struct reading reading = {.f = f};
    sim_node_crash(f->nodes[0].node, SIM_CRASH_PROCESS);
    sim_after_each_event(f->sim, look_at_reading, &reading);
    sim_node_start(f->nodes[0].node);
    ck_assert(sim_wait(f->sim, fixture_is_active, f, 30 * SIM_SECOND));
    fixture_connect(f);
    for (int tries = 0; tries < 100 && offset == -2; tries++, sim_run_for(f->sim, 20 * SIM_MS)) offset = fetch_offset(f, &error);
    ck_assert_int_eq(offset, 999);
    ck_assert_uint_ge(reading.bytes, 3 << 20);
    ck_assert_uint_le(reading.largest, 1 << 20);
    fixture_end(f);
}
END_TEST

static void on_stopped(void *user, bool is_clean) { *(bool *)user = is_clean; }
static bool is_true(void *context) { return *(bool *)context; }

/* A join that waits for the others is sent to the next coordinator, and so is who asks later. */
START_TEST(who_waits_is_told_when_the_node_is_stopped)
{
    struct fixture *f;
    int32_t first = begin(&f, SETTINGS, 3);
    struct joined who = begin_group(f);
    int16_t error = 0;
    bool is_stopped = false;
    ck_assert_int_eq(commit_as(f, who.member, who.generation, 5), KAFKA_NONE);
    struct joined late = join_as(f, "");
    send_join(f, late.member); /* waits for `who`, who does not come */
    sim_run_for(f->sim, 100 * SIM_MS);
    ck_assert(!f->is_answered);
    broker_node_stop(f->nodes[first].broker, 10000, on_stopped, &is_stopped);
    ck_assert_int_eq(join_answer(f), KAFKA_NOT_COORDINATOR);
    ck_assert(sim_wait(f->sim, is_true, &is_stopped, 15 * SIM_SECOND));
    sim_node_exit(f->nodes[first].node);
    (void)find_other(f, first);
    for (int tries = 0; tries < 100 && fetch_offset(f, &error) == -2; tries++) sim_run_for(f->sim, 10 * SIM_MS);
    ck_assert_int_eq(fetch_offset(f, &error), 5);
    fixture_end(f);
}
END_TEST

static void cut_off(const struct fixture *f, int32_t node)
{
    for (int32_t i = 0; i < f->node_count; i++) {
        if (i == node) continue;
        sim_net_block(f->sim, f->nodes[i].node, f->nodes[node].node);
        sim_net_block(f->sim, f->nodes[node].node, f->nodes[i].node);
    }
}

static int32_t leader_of(const struct fixture *f, int32_t node)
{
    int32_t partition = java_string_hash(SLICE_LITERAL(GROUP)) % 4;
    return offsets_topic(f, node)->partitions[partition < 0 ? -partition : partition].leader;
}

/* Clients still reach it. It goes silent before anybody takes its place, and is loyal to what it knows no longer. */
START_TEST(g_offmon_a_coordinator_that_is_cut_off_goes_silent_in_time)
{
    struct fixture *f;
    int32_t first = begin(&f, SETTINGS, 3), other = (first + 1) % 3;
    int16_t error = 0;
    struct joined who = begin_group(f);
    ck_assert_int_eq(commit_as(f, who.member, who.generation, 7), KAFKA_NONE);
    cut_off(f, first);
    ck_assert_int_eq(fetch_offset(f, &error), 7);
    while (fetch_offset(f, &error) == 7) {
        ck_assert_int_eq(leader_of(f, other), first);
        sim_run_for(f->sim, 50 * SIM_MS);
    }
    ck_assert_int_eq(error, KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(heartbeat(f, &who), KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(join_as(f, who.member).error, KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(commit_as(f, who.member, who.generation + 1, 8), KAFKA_NOT_COORDINATOR); /* not that the generation is wrong */
    ck_assert_int_eq(leader_of(f, other), first);
    (void)find_other(f, first);
    for (int tries = 0; tries < 100 && (error = commit_as(f, who.member, who.generation, 9)); tries++) sim_run_for(f->sim, 20 * SIM_MS);
    ck_assert_int_eq(error, KAFKA_NONE);
    fixture_connect_to(f, first);
    ck_assert_int_eq(fetch_offset(f, &error), -2);
    sim_net_heal(f->sim);
    for (int tries = 0; tries < 1000 && find_once(f, &error) == first; tries++) sim_run_for(f->sim, 20 * SIM_MS);
    (void)find(f, other);
    for (int tries = 0; tries < 100 && fetch_offset(f, &error) == -2; tries++) sim_run_for(f->sim, 20 * SIM_MS);
    ck_assert_int_eq(fetch_offset(f, &error), 9);
    ck_assert_int_eq(heartbeat(f, &who), KAFKA_NONE); /* a session is not over because it was refused */
    fixture_end(f);
}
END_TEST

/* A JoinGroup that came in time is not answered when the time is over: the rebalance may have been replaced. */
START_TEST(g_offmon_who_waits_for_a_rebalance_is_told_that_the_coordinator_is_cut_off)
{
    struct fixture *f;
    int32_t first = begin(&f, SETTINGS, 3);
    (void)begin_group(f);
    struct joined late = join_as(f, "");
    send_join(f, late.member); /* waits until the first member's session is over */
    sim_run_for(f->sim, 100 * SIM_MS);
    ck_assert(!f->is_answered);
    cut_off(f, first);
    ck_assert_int_eq(join_answer(f), KAFKA_NOT_COORDINATOR);
    fixture_end(f);
}
END_TEST

/* ---- one node ------------------------------------------------------------------------------------------------------ */

START_TEST(a_client_that_waits_may_leave)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    struct joined who = begin_group(f), late = join_as(f, "");
    send_join(f, late.member);
    sim_run_for(f->sim, 100 * SIM_MS);
    fixture_connect(f); /* closes the connection that waits */
    ck_assert_int_eq(heartbeat(f, &who), KAFKA_REBALANCE_IN_PROGRESS);
    who = join_as(f, who.member); /* the absent one's join ends, too, and its answer goes nowhere */
    ck_assert_int_eq(who.error, KAFKA_NONE);
    ck_assert_int_eq(sync_as(f, &who), KAFKA_NONE);
    fixture_end(f);
}
END_TEST

/* From the version on that can say it, a client must. */
START_TEST(a_sync_says_of_what_protocol)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    struct joined who = begin_group(f);
    struct sync_group_request request = {.group_id = SLICE_LITERAL(GROUP),
                                         .generation_id = who.generation,
                                         .member_id = slice_str(who.member),
                                         .group_instance_id = SLICE_NULL,
                                         .protocol_type = SLICE_LITERAL("consumer"),
                                         .protocol_name = SLICE_NULL};
    ck_assert_int_eq(((const struct sync_group_response *)fixture_ask(f, API_SYNC_GROUP, 4, &request))->error_code, KAFKA_NONE);
    const struct sync_group_response *response = fixture_ask(f, API_SYNC_GROUP, 5, &request);
    ck_assert_int_eq(response->error_code, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    ck_assert(slice_is_null(response->protocol_type) && response->assignment.n == 0);
    fixture_end(f);
}
END_TEST

/* The simulator ends the node like kill -9: nobody is told, and everything is freed. */
START_TEST(a_node_may_die_while_clients_wait)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    (void)begin_group(f);
    struct joined late = join_as(f, "");
    send_join(f, late.member);
    sim_run_for(f->sim, 100 * SIM_MS);
    sim_node_crash(f->nodes[0].node, SIM_CRASH_PROCESS);
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    ck_assert_int_ne(f->err, ERR_OK);
    fixture_end(f);
}
END_TEST

/* As Kafka: else a client could make offsets without end. */
START_TEST(offsets_of_partitions_that_do_not_exist_are_refused)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    struct uuid id = image_topic_by_name(broker_node_image(f->broker), SLICE_LITERAL(TOPIC))->id;
    for (int16_t version = 2; version <= 10; version++) {
        struct offset_commit_request_partitions partitions[] = {
            {.partition_index = 1, .committed_offset = 5, .committed_leader_epoch = -1, .committed_metadata = SLICE_LITERAL("")},
            {.partition_index = 0, .committed_offset = 6, .committed_leader_epoch = -1, .committed_metadata = SLICE_LITERAL("")},
            {.partition_index = -1, .committed_offset = 7, .committed_leader_epoch = -1, .committed_metadata = SLICE_LITERAL("")}};
        struct offset_commit_request_topics topic = {
            .name = SLICE_LITERAL(TOPIC), .topic_id = id, .partitions = partitions, .partitions_count = 3};
        struct offset_commit_request request = {.group_id = SLICE_LITERAL(GROUP),
                                                .generation_id_or_member_epoch = -1,
                                                .member_id = SLICE_LITERAL(""),
                                                .group_instance_id = SLICE_NULL,
                                                .retention_time_ms = -1,
                                                .topics = &topic,
                                                .topics_count = 1};
        const struct offset_commit_response *response = fixture_ask(f, API_OFFSET_COMMIT, version, &request);
        static const int16_t expected[] = {KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_NONE, KAFKA_UNKNOWN_TOPIC_OR_PARTITION};
        ck_assert_int_eq(response->topics[0].partitions_count, 3);
        for (int32_t i = 0; i < 3; i++) {
            ck_assert_int_eq(response->topics[0].partitions[i].partition_index, partitions[i].partition_index);
            ck_assert_int_eq(response->topics[0].partitions[i].error_code, expected[i]);
        }
    }
    fixture_end(f);
}
END_TEST

START_TEST(a_group_that_is_named_twice_is_deleted_once)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    ck_assert_int_eq(commit(f, 7), KAFKA_NONE);
    struct slice names[] = {SLICE_LITERAL(GROUP), SLICE_LITERAL("unknown"), SLICE_LITERAL(GROUP)};
    struct delete_groups_request request = {.groups_names = names, .groups_names_count = 3};
    const struct delete_groups_response *response = fixture_ask(f, API_DELETE_GROUPS, 2, &request);
    ck_assert_int_eq(response->results_count, 2);
    for (int32_t i = 0; i < 2; i++) ck_assert(slice_equal(response->results[i].group_id, names[i]));
    ck_assert_int_eq(response->results[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(response->results[1].error_code, KAFKA_GROUP_ID_NOT_FOUND);
    fixture_end(f);
}
END_TEST

static int16_t delete_topic(struct fixture *f)
{
    struct delete_topics_request_topics topic = {.name = SLICE_LITERAL(TOPIC)};
    struct delete_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    const struct delete_topics_response *response = fixture_ask(f, API_DELETE_TOPICS, 6, &request);
    ck_assert_ptr_nonnull(response);
    return response->responses[0].error_code;
}

/* Nobody coordinates the group when its topic is deleted, so nobody forgets its offsets. In the topic that has that name now they would
 * make a consumer pass over records that it never saw. */
START_TEST(g_offmon_offsets_of_a_topic_that_was_deleted_behind_the_coordinator_do_not_count)
{
    struct fixture *f;
    int16_t error = 0;
    int64_t offset = -2;
    int32_t coordinator = begin_with_one_replica(&f);
    ck_assert_int_eq(commit(f, 7), KAFKA_NONE);
    sim_node_crash(f->nodes[coordinator].node, SIM_CRASH_PROCESS);
    sim_run_for(f->sim, 15 * SIM_SECOND);
    fixture_connect_to(f, (coordinator + 1) % 3);
    ck_assert_int_eq(delete_topic(f), KAFKA_NONE);
    ck_assert_int_eq(fixture_create_topic(f, TOPIC, 1), 0);
    sim_node_start(f->nodes[coordinator].node);
    sim_run_for(f->sim, 5 * SIM_SECOND);
    ck_assert_int_eq(find(f, coordinator), coordinator);
    for (int tries = 0; tries < 100 && offset == -2; tries++, sim_run_for(f->sim, 20 * SIM_MS)) offset = fetch_offset(f, &error);
    ck_assert_int_eq(offset, -1);
    for (int16_t version = 2; version <= 10; version++) ck_assert_int_eq(fetch_all(f, version, &offset), 0);
    ck_assert_int_eq(commit(f, 1), KAFKA_NONE);
    ck_assert_int_eq(fetch_offset(f, &error), 1);
    for (int16_t version = 2; version <= 10; version++, offset = 0) {
        ck_assert_int_eq(fetch_all(f, version, &offset), 1);
        ck_assert_int_eq(offset, 1);
    }
    fixture_end(f);
}
END_TEST

START_TEST(who_asks_is_told_why_the_group_rebalanced)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    struct joined who = begin_group(f);
    struct slice group = SLICE_LITERAL(GROUP);
    struct describe_groups_request request = {.groups = &group, .groups_count = 1};
    const struct describe_groups_response *response = fixture_ask(f, API_DESCRIBE_GROUPS, 6, &request);
    ck_assert_int_eq(response->groups[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(response->groups[0].members_count, 1);
    ck_assert_int_eq(response->groups[0].rebalance_reasons_count, 0);
    request.include_rebalance_reasons = true;
    response = fixture_ask(f, API_DESCRIBE_GROUPS, 6, &request);
    ck_assert_int_eq(response->groups[0].rebalance_reasons_count, 1);
    ck_assert(slice_equal_str(response->groups[0].rebalance_reasons[0].cause, "a member joined"));
    ck_assert(slice_equal_str(response->groups[0].rebalance_reasons[0].member, who.member));
    response = fixture_ask(f, API_DESCRIBE_GROUPS, 4, &request); /* too old to carry them */
    ck_assert_int_eq(response->groups[0].rebalance_reasons_count, 0);
    fixture_end(f);
}
END_TEST

/* In microseconds it is no time any more. */
START_TEST(expiry_may_be_put_off_for_ever)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS "offsets.retention.check.interval.ms=9300000000000000\n", 1);
    ck_assert_int_eq(commit(f, 7), KAFKA_NONE);
    fixture_end(f);
}
END_TEST

START_TEST(trap_31_strangers_do_not_write_to_internal_topics)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    struct buf *batch = fixture_batch("rubbish");
    struct produce_request_partition_data partition = {.records = buf_slice(batch)};
    struct produce_request_topic_data topic = {
        .name = SLICE_LITERAL(OFFSETS_TOPIC), .partition_data = &partition, .partition_data_count = 1};
    struct produce_request request = {
        .transactional_id = SLICE_NULL, .acks = -1, .timeout_ms = 1000, .topic_data = &topic, .topic_data_count = 1};
    const struct produce_response *response = fixture_ask(f, API_PRODUCE, 9, &request);
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->responses[0].partition_responses[0].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    buf_unref(batch);
    fixture_end(f);
}
END_TEST

START_TEST(trap_25_offsets_at_every_version)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    struct uuid id = image_topic_by_name(broker_node_image(f->broker), SLICE_LITERAL(TOPIC))->id;
    for (int16_t version = 2; version <= 10; version++) {
        struct offset_commit_request_partitions partition = {
            .committed_offset = 100 + version, .committed_leader_epoch = -1, .committed_metadata = SLICE_LITERAL("note")};
        struct offset_commit_request_topics topics[] = {
            {.name = SLICE_LITERAL(TOPIC), .topic_id = id, .partitions = &partition, .partitions_count = 1},
            {.name = SLICE_LITERAL("absent"), .topic_id = {.bytes = {1}}, .partitions = &partition, .partitions_count = 1}};
        struct offset_commit_request request = {.group_id = SLICE_LITERAL(GROUP),
                                                .generation_id_or_member_epoch = -1,
                                                .member_id = SLICE_LITERAL(""),
                                                .group_instance_id = SLICE_NULL,
                                                .retention_time_ms = -1,
                                                .topics = topics,
                                                .topics_count = 2};
        const struct offset_commit_response *response = fixture_ask(f, API_OFFSET_COMMIT, version, &request);
        ck_assert_int_eq(response->topics_count, 2);
        ck_assert_int_eq(response->topics[0].partitions[0].error_code, KAFKA_NONE);
        ck_assert_int_eq(response->topics[1].partitions[0].error_code,
                         version >= 10 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    for (int16_t version = 1; version <= 7; version++) {
        int32_t indexes[] = {0, 5};
        struct offset_fetch_request_topics topic = {
            .name = SLICE_LITERAL(TOPIC), .partition_indexes = indexes, .partition_indexes_count = 2};
        struct offset_fetch_request request = {.group_id = SLICE_LITERAL(GROUP), .topics = &topic, .topics_count = 1};
        const struct offset_fetch_response *response = fixture_ask(f, API_OFFSET_FETCH, version, &request);
        ck_assert_int_eq(response->topics[0].partitions_count, 2);
        ck_assert_int_eq(response->topics[0].partitions[0].committed_offset, 110);
        ck_assert(slice_equal_str(response->topics[0].partitions[0].metadata, "note"));
        ck_assert_int_eq(response->topics[0].partitions[1].committed_offset, -1);
        ck_assert_int_eq(response->topics[0].partitions[1].error_code, KAFKA_NONE);
        request = (struct offset_fetch_request){.group_id = SLICE_LITERAL(GROUP), .topics_count = -1}; /* all */
        if (version < 2) continue;
        response = fixture_ask(f, API_OFFSET_FETCH, version, &request);
        ck_assert_int_eq(response->topics_count, 1);
    }
    for (int16_t version = 8; version <= 10; version++) {
        int32_t index = 0;
        struct offset_fetch_request_groups_topics topics[] = {
            {.name = SLICE_LITERAL("absent"), .topic_id = {.bytes = {1}}, .partition_indexes = &index, .partition_indexes_count = 1},
            {.name = SLICE_LITERAL(TOPIC), .topic_id = id, .partition_indexes = &index, .partition_indexes_count = 1}};
        struct offset_fetch_request_groups groups[] = {
            {.group_id = SLICE_LITERAL(GROUP), .member_epoch = -1, .topics = topics, .topics_count = 2},
            {.group_id = SLICE_LITERAL("unknown"), .member_epoch = -1, .topics_count = -1},
            {.group_id = SLICE_LITERAL(GROUP), .member_epoch = -1}, /* of no topic, which is not of all */
            {.group_id = SLICE_LITERAL(GROUP), .member_epoch = -1, .topics = topics, .topics_count = 2}, /* once more, as Kafka does */
            {.group_id = SLICE_LITERAL(GROUP), .member_epoch = -1, .topics_count = -1},
            {.group_id = SLICE_LITERAL(GROUP), .member_epoch = -1, .topics_count = -1}}; /* a few bytes for all there is: once only */
        struct offset_fetch_request request = {.group_id = SLICE_LITERAL(""), .groups = groups, .groups_count = 6};
        const struct offset_fetch_response *response = fixture_ask(f, API_OFFSET_FETCH, version, &request);
        ck_assert_int_eq(response->groups_count, 6);
        ck_assert_int_eq(response->groups[2].error_code, KAFKA_NONE);
        ck_assert_int_eq(response->groups[3].topics[1].partitions[0].committed_offset, 110);
        ck_assert_int_eq(response->groups[4].topics_count, 1);
        ck_assert_int_eq(response->groups[5].error_code, KAFKA_INVALID_REQUEST);
        ck_assert_int_eq(response->groups[2].topics_count, 0);
        ck_assert_int_eq(response->groups[0].topics_count, 2);
        ck_assert_int_eq(response->groups[0].topics[0].partitions[0].error_code, version >= 10 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_NONE);
        ck_assert_int_eq(response->groups[0].topics[1].partitions[0].committed_offset, 110);
        ck_assert_int_eq(response->groups[1].topics_count, 0);
    }
    fixture_end(f);
}
END_TEST

static const struct offset_delete_response *delete_offsets(struct fixture *f, const char *group, const char *topic, int32_t count)
{
    struct offset_delete_request_partitions partitions[2] = {{0}, {5}};
    struct offset_delete_request_topics topics = {.name = slice_str(topic), .partitions = partitions, .partitions_count = count};
    struct offset_delete_request request = {.group_id = slice_str(group), .topics = &topics, .topics_count = 1};
    return fixture_ask(f, API_OFFSET_DELETE, 0, &request);
}

START_TEST(offsets_of_partitions_that_are_not_there_are_not_deleted)
{
    struct fixture *f;
    (void)begin(&f, SETTINGS, 1);
    ck_assert_int_eq(delete_offsets(f, GROUP, TOPIC, 2)->error_code, KAFKA_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(commit(f, 7), KAFKA_NONE);
    const struct offset_delete_response *response = delete_offsets(f, GROUP, TOPIC, 2);
    ck_assert_int_eq(response->error_code, KAFKA_NONE);
    ck_assert_int_eq(response->topics[0].partitions[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(response->topics[0].partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    /* Of nothing that is there, the coordinator is not asked. */
    response = delete_offsets(f, "unknown", "absent", 1);
    ck_assert_int_eq(response->error_code, KAFKA_NONE);
    ck_assert_int_eq(response->topics[0].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fixture_end(f);
}
END_TEST

/* ---- doubt --------------------------------------------------------------------------------------------------------- */

/* A commit that is in the log when too few replicas are left is neither refused nor believed: who waits is told to ask again, and
 * once the replicas are back it counts, before those that come later. */
/* The offsets topic, for which each commit needs all three. */
static void create_careful_topic(struct fixture *f)
{
    struct create_topics_request_configs config = {.name = SLICE_LITERAL("min.insync.replicas"), .value = SLICE_LITERAL("3")};
    struct create_topics_request_topics topic = {
        .name = SLICE_LITERAL(OFFSETS_TOPIC), .num_partitions = 2, .replication_factor = 3, .configs = &config, .configs_count = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    const struct create_topics_response *response = fixture_ask(f, API_CREATE_TOPICS, 7, &request);
    ck_assert_int_eq(response->topics[0].error_code, KAFKA_NONE);
}

START_TEST(g_offmon_a_commit_in_doubt_counts_when_it_is_committed)
{
    struct fixture *f = fixture_create_nodes("offsets.commit.timeout.ms=20000\n", 3);
    int16_t error = 0;
    ck_assert_int_eq(fixture_create_topic(f, TOPIC, 1), 0);
    create_careful_topic(f);
    int32_t first = find(f, 0), follower = (first + 1) % 3;
    ck_assert(sim_wait(f->sim, has_all_in_sync, f, 10 * SIM_SECOND));
    ck_assert_int_eq(commit(f, 1), KAFKA_NONE);
    sim_node_pause(f->nodes[follower].node); /* the next batch is appended; the watermark waits until this one is fenced, and then, too */
    ck_assert_int_eq(commit(f, 2), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(commit(f, 3), KAFKA_COORDINATOR_NOT_AVAILABLE); /* not even appended */
    ck_assert_int_eq(fetch_offset(f, &error), 1);
    sim_node_resume(f->nodes[follower].node);
    for (error = -1; error; sim_run_for(f->sim, SIM_MS)) {
        error = commit(f, 4);
        ck_assert(!error || error == KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
    ck_assert_int_eq(fetch_offset(f, &error), 4);
    sim_run_for(f->sim, SIM_SECOND);
    ck_assert_int_eq(fetch_offset(f, &error), 4);
    fixture_end(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_coordinator");
    TCase *cluster = tcase_create("cluster"), *node = tcase_create("node");
    tcase_set_timeout(cluster, 60);
    tcase_add_test(cluster, trap_30_the_offsets_topic_comes_when_it_is_asked_for);
    tcase_add_loop_test(cluster, g_offdur_offsets_members_and_generation_outlive_the_coordinator, 0, 2);
    tcase_add_test(cluster, g_offdur_offsets_outlive_all_nodes);
    tcase_add_test(cluster, who_waits_is_told_when_the_node_is_stopped);
    tcase_add_test(cluster, g_offmon_a_coordinator_that_is_cut_off_goes_silent_in_time);
    tcase_add_test(cluster, g_offmon_who_waits_for_a_rebalance_is_told_that_the_coordinator_is_cut_off);
    tcase_add_test(cluster, g_offmon_a_commit_in_doubt_counts_when_it_is_committed);
    tcase_add_loop_test(cluster, g_offdur_a_coordinator_that_loads_says_so, 0, 2);
    tcase_add_test(cluster, a_commit_takes_four_ways_and_one_flush);
    tcase_add_test(cluster, g_offmon_offsets_of_a_topic_that_was_deleted_behind_the_coordinator_do_not_count);
    tcase_add_test(node, a_long_log_is_loaded_between_other_things);
    tcase_add_test(node, a_client_that_waits_may_leave);
    tcase_add_test(node, a_node_may_die_while_clients_wait);
    tcase_add_test(node, offsets_of_partitions_that_do_not_exist_are_refused);
    tcase_add_test(node, a_group_that_is_named_twice_is_deleted_once);
    tcase_add_test(node, expiry_may_be_put_off_for_ever);
    tcase_add_test(node, who_asks_is_told_why_the_group_rebalanced);
    tcase_add_test(node, trap_31_strangers_do_not_write_to_internal_topics);
    tcase_add_test(node, trap_25_offsets_at_every_version);
    tcase_add_test(node, offsets_of_partitions_that_are_not_there_are_not_deleted);
    tcase_add_test(node, a_sync_says_of_what_protocol);
    suite_add_tcase(suite, cluster);
    suite_add_tcase(suite, node);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
