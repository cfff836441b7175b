/* Three whole nodes in the simulator: what clients are told while a leader is lost, and what they cannot bring about. */
#include "tests/unit/node_fixture.h"

#include "broker/handlers/leader_hold.h"
#include "broker/node/replica_manager.h"
#include "proto/errors.h"

static const struct image_partition *seen_by(const struct fixture *f, int32_t node)
{
    const struct image_topic *topic = image_topic_by_name(broker_node_image(f->nodes[node].broker), SLICE_LITERAL("events"));
    ck_assert_ptr_nonnull(topic);
    return &topic->partitions[0];
}

static bool is_in_sync(void *context)
{
    const struct fixture *f = context;
    for (int32_t i = 0; i < f->node_count; i++) {
        const struct image_topic *topic = image_topic_by_name(broker_node_image(f->nodes[i].broker), SLICE_LITERAL("events"));
        if (!topic || topic->partitions[0].isr_count != f->node_count) return false;
    }
    return true;
}

/* The leader of partition 0 is `leader`; its followers have a connection to it. */
static struct fixture *start(int32_t *leader)
{
    struct fixture *f = fixture_create_nodes("", 3);
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    ck_assert(sim_wait(f->sim, is_in_sync, f, 10 * SIM_SECOND));
    sim_run_for(f->sim, SIM_SECOND);
    *leader = seen_by(f, 0)->leader;
    return f;
}

static void send_metadata(struct fixture *f, bool is_for_all)
{
    struct metadata_request_topics topic = {.name = SLICE_LITERAL("events")};
    struct metadata_request request = {.topics = &topic, .topics_count = is_for_all ? -1 : 1};
    struct writer w;
    writer_init(&w, 64);
    ck_assert_int_eq(codec_encode(KMSG_METADATA_REQUEST, 12, &request, &w), ERR_OK);
    fixture_send_raw(f, API_METADATA, 12, true, writer_take(&w));
}

/* The leader that the answer names. */
static int32_t answered_leader(struct fixture *f)
{
    struct metadata_response response;
    ck_assert_int_eq(f->err, ERR_OK);
    arena_deinit(&f->arena);
    arena_init(&f->arena, 1 << 16);
    ck_assert_int_eq(codec_decode_exact(KMSG_METADATA_RESPONSE, 12, f->body, &f->arena, &response), ERR_OK);
    ck_assert_int_eq(response.topics_count, 1);
    return response.topics[0].partitions[0].leader_id;
}

static bool has_seen_break(void *context)
{
    struct fixture *f = context;
    return f->is_closed;
}

/* The client has been told who leads, a while ago: when it asks again, there is a reason. */
static void use(struct fixture *f, int32_t node)
{
    fixture_connect_to(f, node);
    send_metadata(f, false);
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    sim_run_for(f->sim, 2 * LEADER_CALM_US);
}

/* A client that learns of the death by its own connection asks a follower at that moment. */
static void kill_leader(struct fixture *f, int32_t leader)
{
    fixture_connect_to(f, leader);
    send_metadata(f, false);
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    sim_node_crash(f->nodes[leader].node, SIM_CRASH_PROCESS);
    ck_assert(sim_wait(f->sim, has_seen_break, f, SIM_SECOND));
    sim_run_for(f->sim, SIM_MS); /* the follower's own connection breaks as fast as the network allows */
}

START_TEST(metadata_never_names_a_leader_whose_connection_just_broke)
{
    for (int32_t k = 1; k <= 2; k++) {
        int32_t leader = 0;
        struct fixture *f = start(&leader);
        int32_t asked = (leader + k) % 3;
        kill_leader(f, leader);
        fixture_connect_to(f, asked);
        send_metadata(f, false);
        ck_assert(sim_wait(f->sim, fixture_has_answer, f, LEADER_HOLD_US));
        ck_assert_int_ne(answered_leader(f), leader);
        ck_assert_int_ne(answered_leader(f), NO_LEADER);
        fixture_end(f);
    }
}
END_TEST

START_TEST(a_held_call_request_is_answered_in_time_when_nobody_can_decide)
{
    int32_t leader = 0;
    struct fixture *f = start(&leader);
    int32_t other = (leader + 1) % 3, asked = (leader + 2) % 3;
    sim_node_crash(f->nodes[other].node, SIM_CRASH_PROCESS);
    kill_leader(f, leader);
    int64_t broken_us = sim_now_us(f->sim);
    fixture_connect_to(f, asked);
    send_metadata(f, false);
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    ck_assert_int_eq(answered_leader(f), leader); /* the last that was decided */
    ck_assert_int_gt(sim_now_us(f->sim) - broken_us, LEADER_HOLD_US / 2);
    ck_assert_int_lt(sim_now_us(f->sim) - broken_us, LEADER_HOLD_US + 10 * SIM_MS);
    int64_t asked_us = sim_now_us(f->sim);
    send_metadata(f, false); /* once */
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    ck_assert_int_lt(sim_now_us(f->sim) - asked_us, 10 * SIM_MS);
    fixture_end(f);
}
END_TEST

START_TEST(metadata_of_all_topics_or_of_a_client_that_leaves_is_not_kept)
{
    int32_t leader = 0;
    struct fixture *f = start(&leader);
    int32_t other = (leader + 1) % 3, asked = (leader + 2) % 3;
    sim_node_crash(f->nodes[other].node, SIM_CRASH_PROCESS);
    kill_leader(f, leader);
    fixture_connect_to(f, asked);
    int64_t asked_us = sim_now_us(f->sim);
    send_metadata(f, true);
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    ck_assert_int_lt(sim_now_us(f->sim) - asked_us, 10 * SIM_MS);
    send_metadata(f, false);
    sim_run_for(f->sim, 10 * SIM_MS);
    ck_assert(!f->is_answered);
    fixture_connect_to(f, asked); /* the sanitizer sees what is left of the other one */
    fixture_end(f);
}
END_TEST

static void await_successor(struct fixture *f, int32_t leader)
{
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, LEADER_HOLD_US));
    ck_assert_int_ne(answered_leader(f), leader);
    ck_assert_int_ne(answered_leader(f), NO_LEADER);
}

/* The leader's process dies connection by connection: the client's is broken, those of the nodes are not yet. */
START_TEST(metadata_never_names_a_dead_leader_when_the_question_overtakes_the_evidence)
{
    static const int64_t late_us[] = {1, 300, SIM_MS, 5 * SIM_MS};
    int32_t leader = 0;
    struct fixture *f = start(&leader);
    use(f, (leader + 1 + _i % 2) % 3);
    sim_node_pause(f->nodes[leader].node);
    send_metadata(f, false);
    sim_run_for(f->sim, late_us[_i / 2]);
    sim_node_crash(f->nodes[leader].node, SIM_CRASH_PROCESS);
    await_successor(f, leader);
    fixture_end(f);
}
END_TEST

START_TEST(metadata_asked_twice_names_a_dead_leader_in_neither_answer)
{
    int32_t leader = 0;
    struct fixture *f = start(&leader), *first = mem_alloc(sizeof *first);
    use(f, (leader + 1) % 3);
    sim_node_pause(f->nodes[leader].node);
    *first = *f;
    first->frame = NULL;
    arena_init(&first->arena, 1 << 16);
    send_metadata(first, false);
    send_metadata(f, false); /* behind it, on the same connection */
    sim_run_for(f->sim, SIM_MS);
    sim_node_crash(f->nodes[leader].node, SIM_CRASH_PROCESS);
    await_successor(first, leader);
    await_successor(f, leader);
    buf_unref(first->frame);
    arena_deinit(&first->arena);
    mem_free(first);
    fixture_end(f);
}
END_TEST

/* "events" has no replica on *stranger. */
static struct fixture *start_with_stranger(int32_t *leader, int32_t *stranger)
{
    struct fixture *f = fixture_create_nodes("", 3);
    struct create_topics_request_topics topic = {.name = SLICE_LITERAL("events"), .num_partitions = 1, .replication_factor = 2};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    const struct create_topics_response *response = fixture_ask(f, API_CREATE_TOPICS, 7, &request);
    ck_assert_int_eq(response->topics[0].error_code, 0);
    sim_run_for(f->sim, 2 * SIM_SECOND);
    *leader = seen_by(f, 0)->leader;
    for (int32_t id = 0; id < 3; id++)
        if (!node_ids_contain(image_replicas(seen_by(f, 0)), id)) *stranger = id;
    return f;
}

/* It has no connection for fetches that could break. */
START_TEST(metadata_of_a_node_that_follows_nothing_of_the_dead_leader_does_not_name_it)
{
    bool is_new_client = _i == 1;
    int32_t leader = 0, stranger = 0;
    struct fixture *f = start_with_stranger(&leader, &stranger);
    use(f, stranger);
    sim_node_crash(f->nodes[leader].node, SIM_CRASH_PROCESS);
    if (is_new_client) sim_run_for(f->sim, SIM_MS);
    if (is_new_client) fixture_connect_to(f, stranger);
    send_metadata(f, false);
    await_successor(f, leader);
    fixture_end(f);
}
END_TEST

static int64_t time_of_answer(struct fixture *f)
{
    int64_t asked_us = sim_now_us(f->sim);
    send_metadata(f, false);
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    return sim_now_us(f->sim) - asked_us;
}

START_TEST(metadata_waits_neither_for_a_leader_that_lives_nor_long_for_one_that_is_silent)
{
    int32_t leader = 0;
    struct fixture *f = start(&leader);
    use(f, (leader + 1) % 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_lt(time_of_answer(f), 5 * SIM_MS);
        ck_assert_int_eq(answered_leader(f), leader);
        sim_run_for(f->sim, 2 * LEADER_CALM_US);
    }
    sim_node_pause(f->nodes[leader].node);
    int64_t waited_us = time_of_answer(f);
    ck_assert_int_gt(waited_us, LEADER_DOUBT_US / 2);
    ck_assert_int_lt(waited_us, LEADER_DOUBT_US + 5 * SIM_MS);
    ck_assert_int_eq(answered_leader(f), leader);
    for (int i = 0; i < 3; i++) {
        sim_run_for(f->sim, 2 * LEADER_CALM_US);
        ck_assert_int_lt(time_of_answer(f), 5 * SIM_MS); /* once */
    }
    sim_node_resume(f->nodes[leader].node);
    fixture_end(f);
}
END_TEST

/* Whoever asks while the first connect is under way wants a second one. */
START_TEST(metadata_waits_no_longer_for_a_leader_that_cannot_be_reached)
{
    int32_t leader = 0;
    struct fixture *f = start(&leader), *first = mem_alloc(sizeof *first);
    int32_t asked = (leader + 1) % 3;
    sim_net_block(f->sim, f->nodes[asked].node, f->nodes[leader].node);
    fixture_connect_to(f, asked);
    sim_run_for(f->sim, 2 * LEADER_CALM_US);
    *first = *f;
    first->frame = NULL;
    arena_init(&first->arena, 1 << 16);
    int64_t asked_us = sim_now_us(f->sim);
    send_metadata(first, false);
    sim_run_for(f->sim, SIM_MS);
    send_metadata(f, false); /* behind it, on the same connection */
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    ck_assert_int_lt(sim_now_us(f->sim) - asked_us, LEADER_DOUBT_US + 5 * SIM_MS);
    sim_run_for(f->sim, SIM_SECOND);
    buf_unref(first->frame);
    arena_deinit(&first->arena);
    mem_free(first);
    sim_net_heal(f->sim);
    fixture_end(f);
}
END_TEST

/* A client that begins, or asks again and again, costs the leader no question and waits for none. */
START_TEST(ordinary_metadata_does_not_wait_for_a_leader)
{
    int32_t leader = 0;
    struct fixture *f = start(&leader);
    sim_node_pause(f->nodes[leader].node);
    fixture_connect_to(f, (leader + 1) % 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_lt(time_of_answer(f), 5 * SIM_MS);
        ck_assert_int_eq(answered_leader(f), leader);
    }
    sim_node_resume(f->nodes[leader].node);
    fixture_end(f);
}
END_TEST

START_TEST(a_leader_that_answers_is_not_lost_though_its_connection_broke)
{
    int32_t leader = 0;
    struct fixture *f = start(&leader);
    int32_t asked = (leader + 1) % 3;
    use(f, asked);
    sim_net_cut(f->sim, f->nodes[leader].node, f->nodes[asked].node);
    sim_run_for(f->sim, SIM_MS);
    ck_assert_int_lt(time_of_answer(f), 5 * SIM_MS);
    ck_assert_int_eq(answered_leader(f), leader);
    fixture_end(f);
}
END_TEST

/* ---- who coordinates a group ----------------------------------------------------------------------------------------- */

#define FIND_COORDINATOR_VERSION 4

static void send_find_coordinator(struct fixture *f)
{
    struct slice group = SLICE_LITERAL("group");
    struct find_coordinator_request request = {.key = SLICE_LITERAL(""), .coordinator_keys = &group, .coordinator_keys_count = 1};
    struct writer w;
    writer_init(&w, 64);
    ck_assert_int_eq(codec_encode(KMSG_FIND_COORDINATOR_REQUEST, FIND_COORDINATOR_VERSION, &request, &w), ERR_OK);
    fixture_send_raw(f, API_FIND_COORDINATOR, FIND_COORDINATOR_VERSION, true, writer_take(&w));
}

/* -1: none was named. */
static int32_t answered_coordinator(struct fixture *f)
{
    struct find_coordinator_response response;
    ck_assert_int_eq(f->err, ERR_OK);
    arena_deinit(&f->arena);
    arena_init(&f->arena, 1 << 16);
    ck_assert_int_eq(codec_decode_exact(KMSG_FIND_COORDINATOR_RESPONSE, FIND_COORDINATOR_VERSION, f->body, &f->arena, &response), ERR_OK);
    ck_assert_int_eq(response.coordinators_count, 1);
    return response.coordinators[0].node_id;
}

static int32_t find_coordinator(struct fixture *f)
{
    send_find_coordinator(f);
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    return answered_coordinator(f);
}

static bool are_offsets_in_sync(void *context)
{
    const struct fixture *f = context;
    for (int32_t i = 0; i < f->node_count; i++) {
        const struct image_topic *topic = image_topic_by_name(broker_node_image(f->nodes[i].broker), SLICE_LITERAL("__consumer_offsets"));
        if (!topic) return false;
        for (int32_t p = 0; p < topic->partition_count; p++)
            if (topic->partitions[p].isr_count != f->node_count) return false;
    }
    return true;
}

/* The group has a coordinator, which the client, connected to another node, was told a while ago. */
static struct fixture *start_group(int32_t *coordinator)
{
    struct fixture *f = fixture_create_nodes("offsets.topic.num.partitions=6\n", 3);
    (void)find_coordinator(f); /* creates the topic */
    ck_assert(sim_wait(f->sim, are_offsets_in_sync, f, 10 * SIM_SECOND));
    *coordinator = find_coordinator(f);
    ck_assert_int_ge(*coordinator, 0);
    fixture_connect_to(f, (*coordinator + 1) % 3);
    ck_assert_int_eq(find_coordinator(f), *coordinator);
    sim_run_for(f->sim, 2 * LEADER_CALM_US);
    return f;
}

/* The evidence comes first, with the question, or after it. */
START_TEST(find_coordinator_never_names_one_that_just_died)
{
    static const int64_t late_us[] = {-SIM_MS, 1, 300, SIM_MS, 5 * SIM_MS};
    int32_t coordinator = 0;
    struct fixture *f = start_group(&coordinator);
    struct sim_node *dying = f->nodes[coordinator].node;
    if (late_us[_i] < 0) {
        sim_node_crash(dying, SIM_CRASH_PROCESS);
        sim_run_for(f->sim, -late_us[_i]);
        send_find_coordinator(f);
    } else {
        sim_node_pause(dying);
        send_find_coordinator(f);
        sim_run_for(f->sim, late_us[_i]);
        sim_node_crash(dying, SIM_CRASH_PROCESS);
    }
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, LEADER_HOLD_US));
    ck_assert_int_ne(answered_coordinator(f), coordinator);
    ck_assert_int_ge(answered_coordinator(f), 0);
    fixture_end(f);
}
END_TEST

START_TEST(find_coordinator_waits_for_nobody_who_lives_nor_for_long)
{
    int32_t coordinator = 0;
    struct fixture *f = start_group(&coordinator);
    int64_t asked_us = sim_now_us(f->sim);
    ck_assert_int_eq(find_coordinator(f), coordinator);
    ck_assert_int_lt(sim_now_us(f->sim) - asked_us, 5 * SIM_MS);
    /* Nobody can decide: the last word counts. */
    sim_node_crash(f->nodes[(coordinator + 2) % 3].node, SIM_CRASH_PROCESS);
    sim_node_crash(f->nodes[coordinator].node, SIM_CRASH_PROCESS);
    sim_run_for(f->sim, SIM_MS);
    asked_us = sim_now_us(f->sim);
    ck_assert_int_eq(find_coordinator(f), coordinator);
    ck_assert_int_gt(sim_now_us(f->sim) - asked_us, LEADER_HOLD_US / 2);
    ck_assert_int_lt(sim_now_us(f->sim) - asked_us, LEADER_HOLD_US + 10 * SIM_MS);
    fixture_end(f);
}
END_TEST

/* ---- who is a follower --------------------------------------------------------------------------------------------- */

static void send_produce(struct fixture *f, struct slice records)
{
    struct produce_request_partition_data data = {.records = records};
    struct produce_request_topic_data topic = {.name = SLICE_LITERAL("events"), .partition_data = &data, .partition_data_count = 1};
    struct produce_request request = {.acks = -1, .timeout_ms = 60000, .topic_data = &topic, .topic_data_count = 1};
    struct writer w;
    writer_init(&w, 256);
    ck_assert_int_eq(codec_encode(KMSG_PRODUCE_REQUEST, 9, &request, &w), ERR_OK);
    fixture_send_raw(f, API_PRODUCE, 9, true, writer_take(&w));
}

/* A second client's Fetch, as broker `id` that holds everything below `offset`; the partition's error code. */
static int16_t fetch_as(struct fixture *stranger, int16_t version, int32_t id, int64_t epoch, int64_t offset, struct uuid topic_id)
{
    struct fetch_request_partitions partition = {
        .current_leader_epoch = -1, .fetch_offset = offset, .last_fetched_epoch = -1, .partition_max_bytes = 1 << 20};
    struct fetch_request_topics topics = {
        .topic = SLICE_LITERAL("events"), .topic_id = topic_id, .partitions = &partition, .partitions_count = 1};
    struct fetch_request request = {.replica_id = version < 15 ? id : -1,
                                    .replica_state = {.replica_id = version < 15 ? -1 : id, .replica_epoch = version < 15 ? -1 : epoch},
                                    .max_bytes = 1 << 20,
                                    .session_epoch = -1,
                                    .topics = &topics,
                                    .topics_count = 1,
                                    .rack_id = SLICE_LITERAL("")};
    const struct fetch_response *response = fixture_ask(stranger, API_FETCH, version, &request);
    ck_assert_int_eq(response->responses_count, 1);
    ck_assert_int_eq(response->responses[0].partitions_count, 1);
    return response->responses[0].partitions[0].error_code;
}

static bool is_appended(void *context)
{
    struct fixture *f = context;
    const struct image_topic *topic = image_topic_by_name(broker_node_image(f->broker), SLICE_LITERAL("events"));
    struct replica_info info;
    return replica_manager_info(broker_node_replicas(f->nodes[topic->partitions[0].leader].broker), topic->id, 0, &info) &&
           info.log_end == 1;
}

/* Q-ACK: the followers are stopped; nobody else's word acknowledges a record. */
START_TEST(q_ack_a_stranger_who_claims_to_be_a_follower_moves_nothing)
{
    int32_t leader = 0;
    struct fixture *f = start(&leader), *stranger = mem_alloc(sizeof *stranger);
    struct uuid topic_id = image_topic_by_name(broker_node_image(f->broker), SLICE_LITERAL("events"))->id;
    struct buf *batch = fixture_batch("value");
    for (int32_t k = 1; k <= 2; k++) sim_node_pause(f->nodes[(leader + k) % 3].node);
    fixture_connect_to(f, leader);
    send_produce(f, buf_slice(batch));
    ck_assert(sim_wait(f->sim, is_appended, f, SIM_SECOND));
    *stranger = *f;
    stranger->channel = NULL;
    stranger->frame = NULL;
    arena_init(&stranger->arena, 1 << 16);
    fixture_connect_to(stranger, leader);
    for (int32_t k = 1; k <= 2; k++) {
        int32_t id = (leader + k) % 3;
        int64_t epoch = image_broker_get(broker_node_image(f->nodes[leader].broker), id)->epoch;
        const int64_t wrong[] = {-1, 0, epoch - 1, epoch + 1, INT64_MAX};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
            ck_assert_int_eq(fetch_as(stranger, 17, id, wrong[i], 1, topic_id), KAFKA_NOT_LEADER_OR_FOLLOWER);
        ck_assert_int_eq(fetch_as(stranger, 14, id, -1, 1, topic_id), KAFKA_NOT_LEADER_OR_FOLLOWER);
        ck_assert_int_eq(fetch_as(stranger, 4, id, -1, 1, topic_id), KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
    ck_assert_int_eq(fetch_as(stranger, 17, leader, 1, 1, topic_id), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(fetch_as(stranger, 17, 77, 1, 1, topic_id), KAFKA_NOT_LEADER_OR_FOLLOWER);
    struct replica_info info;
    ck_assert(replica_manager_info(broker_node_replicas(f->nodes[leader].broker), topic_id, 0, &info));
    ck_assert_int_eq(info.high_watermark, 0);
    ck_assert(!f->is_answered);
    /* Nor did it lock the real ones out. */
    for (int32_t k = 1; k <= 2; k++) sim_node_resume(f->nodes[(leader + k) % 3].node);
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, 10 * SIM_SECOND));
    ck_assert_int_eq(f->err, ERR_OK);
    channel_close(stranger->channel);
    buf_unref(stranger->frame);
    arena_deinit(&stranger->arena);
    mem_free(stranger);
    buf_unref(batch);
    fixture_end(f);
}
END_TEST

static const struct image_partition *partition_of(const struct fixture *f, int32_t index)
{
    return &image_topic_by_name(broker_node_image(f->broker), SLICE_LITERAL("events"))->partitions[index];
}

struct disk_loss {
    struct fixture *fixture;
    int32_t broker_id;
    int32_t past_epoch; /* partition epoch that has been seen */
};

static bool is_out(void *context)
{
    const struct disk_loss *loss = context;
    const struct image_partition *p = partition_of(loss->fixture, 0);
    return p->partition_epoch > loss->past_epoch && !node_ids_contain(image_isr(p), loss->broker_id);
}

/* A broker loses one of two log directories: it stays out with the replicas there, and in with the others. */
START_TEST(p_isr_a_replica_whose_disk_failed_does_not_come_back)
{
    struct fixture *f = fixture_create_nodes("log.dirs=/data,/more\n", 3);
    ck_assert_int_eq(fixture_create_topic(f, "events", 2), 0);
    ck_assert(sim_wait(f->sim, is_in_sync, f, 10 * SIM_SECOND));
    sim_run_for(f->sim, SIM_SECOND);
    int32_t leader = partition_of(f, 0)->leader;
    struct disk_loss loss = {.fixture = f, .broker_id = (leader + 1) % 3, .past_epoch = -1};
    struct uuid topic_id = image_topic_by_name(broker_node_image(f->broker), SLICE_LITERAL("events"))->id;
    struct buf *batch = fixture_batch("value");
    fixture_connect_to(f, leader);
    send_produce(f, buf_slice(batch));
    sim_disk_fail_commits(f->nodes[loss.broker_id].node, 1);
    ck_assert(sim_wait(f->sim, is_out, &loss, 5 * SIM_SECOND));
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    loss.past_epoch = partition_of(f, 0)->partition_epoch;
    sim_run_for(f->sim, 5 * SIM_SECOND);
    ck_assert_int_eq(partition_of(f, 0)->partition_epoch, loss.past_epoch);
    ck_assert_uint_eq(partition_of(f, 1)->isr_count, 3);
    /* A fetch that was under way when the disk failed brings it in, once, and the broker says again that it is not there. */
    int64_t epoch = image_broker_get(broker_node_image(f->broker), loss.broker_id)->epoch;
    ck_assert_int_eq(fetch_as(f, 17, loss.broker_id, epoch, 1, topic_id), KAFKA_NONE);
    ck_assert(sim_wait(f->sim, is_out, &loss, SIM_SECOND));
    ck_assert_int_eq(partition_of(f, 0)->partition_epoch, loss.past_epoch + 2);
    sim_run_for(f->sim, 5 * SIM_SECOND);
    ck_assert_int_eq(partition_of(f, 0)->partition_epoch, loss.past_epoch + 2);
    buf_unref(batch);
    fixture_end(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failover");
    TCase *tcase = tcase_create("clients");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, metadata_never_names_a_leader_whose_connection_just_broke);
    tcase_add_test(tcase, a_held_call_request_is_answered_in_time_when_nobody_can_decide);
    tcase_add_test(tcase, metadata_of_all_topics_or_of_a_client_that_leaves_is_not_kept);
    tcase_add_loop_test(tcase, metadata_never_names_a_dead_leader_when_the_question_overtakes_the_evidence, 0, 8);
    tcase_add_test(tcase, metadata_asked_twice_names_a_dead_leader_in_neither_answer);
    tcase_add_loop_test(tcase, metadata_of_a_node_that_follows_nothing_of_the_dead_leader_does_not_name_it, 0, 2);
    tcase_add_test(tcase, metadata_waits_neither_for_a_leader_that_lives_nor_long_for_one_that_is_silent);
    tcase_add_test(tcase, metadata_waits_no_longer_for_a_leader_that_cannot_be_reached);
    tcase_add_test(tcase, ordinary_metadata_does_not_wait_for_a_leader);
    tcase_add_test(tcase, a_leader_that_answers_is_not_lost_though_its_connection_broke);
    tcase_add_test(tcase, q_ack_a_stranger_who_claims_to_be_a_follower_moves_nothing);
    tcase_add_loop_test(tcase, find_coordinator_never_names_one_that_just_died, 0, 5);
    tcase_add_test(tcase, find_coordinator_waits_for_nobody_who_lives_nor_for_long);
    tcase_add_test(tcase, p_isr_a_replica_whose_disk_failed_does_not_come_back);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
