/* CreateTopics, DeleteTopics, CreatePartitions: Kafka's semantics, codes and texts; placement. */
#include "controller/metadata/placement.h"
#include "controller/metadata/quota.h"
#include "tests/unit/metadata_fixture.h"

static struct meta meta;
static char message[512];

static void setup(void)
{
    meta_init(&meta, 3);
    meta_start_brokers(&meta, 3);
}
static void teardown(void) { meta_deinit(&meta); }

static struct create_topics_response_topics create(struct create_topics_request_topics topic, bool validate_only)
{
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .validate_only = validate_only};
    struct create_topics_response response = {0};
    topic_create(&meta.control, &request, &response);
    struct create_topics_response_topics result = response.topics[0];
    snprintf(message, sizeof message, "%.*s", SLICE_ARG(result.error_message));
    meta_commit(&meta);
    return result;
}

static int16_t create_plain(const char *name, int32_t partitions, int16_t replicas)
{
    struct create_topics_request_topics topic = {.name = slice_str(name), .num_partitions = partitions, .replication_factor = replicas};
    return create(topic, false).error_code;
}

START_TEST(creates_with_defaults_and_says_what_it_made)
{
    meta.settings.default_partitions = 4;
    meta.settings.default_replication_factor = 2;
    struct create_topics_request_topics topic = {.name = SLICE_LITERAL("t"), .num_partitions = -1, .replication_factor = -1};
    struct create_topics_response_topics result = create(topic, true);
    ck_assert_int_eq(result.error_code, 0);
    ck_assert_msg(!image_topic_by_name(&meta.image, topic.name), "validate_only");
    result = create(topic, false);
    ck_assert_int_eq(result.num_partitions, 4);
    ck_assert_int_eq(result.replication_factor, 2);
    ck_assert_int_gt(result.configs_count, 20);
    const struct image_topic *made = image_topic_by_name(&meta.image, topic.name);
    ck_assert(uuid_equal(made->id, result.topic_id));
    ck_assert_int_eq(made->partition_count, 4);
    for (int32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(image_isr(&made->partitions[i]).count, 2);
        ck_assert_int_eq(made->partitions[i].leader, image_replicas(&made->partitions[i]).ids[0]);
        ck_assert_int_eq(made->partitions[i].leader_epoch, 0);
    }
}
END_TEST

START_TEST(refuses_what_kafka_refuses)
{
    ck_assert_int_eq(create_plain("t", 1, 1), KAFKA_NONE);
    ck_assert_int_eq(create_plain("t", 1, 1), KAFKA_TOPIC_ALREADY_EXISTS);
    ck_assert_str_eq(message, "Topic 't' already exists.");
    ck_assert_int_eq(create_plain("", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(create_plain("..", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(create_plain("a/b", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(create_plain("a.b", 1, 1), KAFKA_NONE);
    ck_assert_int_eq(create_plain("a_b", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(create_plain("x", 0, 1), KAFKA_INVALID_PARTITIONS);
    ck_assert_int_eq(create_plain("x", 1, 0), KAFKA_INVALID_REPLICATION_FACTOR);
    ck_assert_int_eq(create_plain("x", 1, 4), KAFKA_INVALID_REPLICATION_FACTOR);
    ck_assert_ptr_nonnull(strstr(message, "only 3 broker(s) are registered"));
    ck_assert_int_eq(create_plain("x", 10001, 1), KAFKA_POLICY_VIOLATION);
    char name[300];
    memset(name, 'n', sizeof name);
    name[250] = 0;
    ck_assert_int_eq(create_plain(name, 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    name[249] = 0;
    ck_assert_int_eq(create_plain(name, 1, 1), KAFKA_NONE);
    for (int32_t id = 0; id < 3; id++) meta_fence(&meta, id);
    ck_assert_int_eq(create_plain("x", 1, 1), KAFKA_INVALID_REPLICATION_FACTOR);
    ck_assert_ptr_nonnull(strstr(message, "All brokers are currently fenced"));
}
END_TEST

/* The topics are gone through once for all the names. */
START_TEST(many_names_are_held_against_many_topics_at_once)
{
    enum { TOPICS = 300, ASKED = 20000 };
    char name[32];
    for (int i = 0; i < TOPICS; i++) {
        (void)snprintf(name, sizeof name, "topic_%06d", i);
        ck_assert_int_eq(meta_create_topic(&meta, name, 1, 1, 1), 0);
    }
    struct create_topics_request_topics *topics = arena_calloc(&meta.arena, ASKED, sizeof *topics);
    for (int i = 0; i < ASKED; i++)
        topics[i] = (struct create_topics_request_topics){.name = arena_printf(&meta.arena, "topic.%06d", i + TOPICS - 1),
                                                          .replication_factor = -1};
    struct create_topics_request request = {.topics = topics, .topics_count = ASKED};
    struct create_topics_response response = {0};
    topic_create(&meta.control, &request, &response);
    ck_assert_int_eq(response.topics[0].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(response.topics[1].error_code, KAFKA_INVALID_PARTITIONS);
}
END_TEST

START_TEST(assignment_by_hand_is_checked)
{
    int32_t good[] = {2, 0}, twice[] = {1, 1}, unknown[] = {0, 9}, one[] = {1};
    struct create_topics_request_assignments assignments[] = {{1, good, 2}, {0, good, 2}};
    struct create_topics_request_topics topic = {
        .name = SLICE_LITERAL("t"), .num_partitions = -1, .replication_factor = -1, .assignments = assignments, .assignments_count = 2};
    struct {
        int32_t *ids, count;
        int16_t expected;
    } wrong[] = {{twice, 2, KAFKA_INVALID_REPLICA_ASSIGNMENT},
                 {unknown, 2, KAFKA_INVALID_REPLICA_ASSIGNMENT},
                 {one, 1, KAFKA_INVALID_REPLICA_ASSIGNMENT},
                 {one, 0, KAFKA_INVALID_REPLICA_ASSIGNMENT}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assignments[0].broker_ids = wrong[i].ids, assignments[0].broker_ids_count = wrong[i].count;
        ck_assert_int_eq(create(topic, false).error_code, wrong[i].expected);
    }
    assignments[0] = (struct create_topics_request_assignments){2, good, 2};
    ck_assert_int_eq(create(topic, false).error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assignments[0].partition_index = 1;
    topic.num_partitions = 2;
    ck_assert_int_eq(create(topic, false).error_code, KAFKA_INVALID_REQUEST);
    topic.num_partitions = -1;
    ck_assert_int_eq(create(topic, false).error_code, KAFKA_NONE);
    ck_assert_int_eq(meta_partition(&meta, "t", 1)->leader, 2);
}
END_TEST

START_TEST(wrong_config_creates_nothing)
{
    struct create_topics_request_configs config = {SLICE_LITERAL("retention.msec"), SLICE_LITERAL("5")};
    struct create_topics_request_topics topic = {
        .name = SLICE_LITERAL("t"), .num_partitions = 1, .replication_factor = 1, .configs = &config, .configs_count = 1};
    ck_assert_int_eq(create(topic, false).error_code, KAFKA_INVALID_CONFIG);
    config = (struct create_topics_request_configs){SLICE_LITERAL("retention.ms"), SLICE_NULL};
    ck_assert_int_eq(create(topic, false).error_code, KAFKA_INVALID_CONFIG);
    config = (struct create_topics_request_configs){SLICE_LITERAL("retention.ms"), SLICE_LITERAL("5")};
    ck_assert_int_eq(create(topic, false).error_code, KAFKA_NONE);
    ck_assert_str_eq(image_configs_get(&image_topic_by_name(&meta.image, topic.name)->configs, "retention.ms"), "5");
}
END_TEST

START_TEST(topics_of_one_request_stand_or_fall_alone)
{
    struct create_topics_request_topics topics[] = {
        {.name = SLICE_LITERAL("good"), .num_partitions = 1, .replication_factor = 1},
        {.name = SLICE_LITERAL("bad"), .num_partitions = 1, .replication_factor = 9},
        {.name = SLICE_LITERAL("twice"), .num_partitions = 1, .replication_factor = 1},
        {.name = SLICE_LITERAL("twice"), .num_partitions = 1, .replication_factor = 1},
    };
    struct create_topics_request request = {.topics = topics, .topics_count = 4};
    struct create_topics_response response = {0};
    topic_create(&meta.control, &request, &response);
    ck_assert_int_eq(response.topics[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(response.topics[1].error_code, KAFKA_INVALID_REPLICATION_FACTOR);
    ck_assert_int_eq(response.topics[2].error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(response.topics_count, 3);
    meta_commit(&meta);
    ck_assert_uint_eq(map_count(&meta.image.topics), 1);
}
END_TEST

static struct delete_topics_response_responses delete_by(struct slice name, struct uuid id)
{
    struct delete_topics_request_topics topic = {name, id};
    struct delete_topics_request request = {.topics = &topic, .topics_count = 1};
    struct delete_topics_response response = {0};
    topic_delete(&meta.control, 6, &request, &response);
    struct delete_topics_response_responses result = response.responses[0];
    meta_commit(&meta);
    return result;
}

START_TEST(d_resurrect_a_new_topic_of_the_same_name_has_another_id)
{
    create_plain("t", 1, 1);
    struct uuid first = image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->id;
    ck_assert_int_eq(delete_by(SLICE_NULL, first).error_code, KAFKA_NONE);
    ck_assert_ptr_null(image_topic_by_id(&meta.image, first));
    create_plain("t", 1, 1);
    ck_assert(!uuid_equal(image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->id, first));
    ck_assert_int_eq(delete_by(SLICE_NULL, first).error_code, KAFKA_UNKNOWN_TOPIC_ID);
    ck_assert_int_eq(delete_by(SLICE_LITERAL("nope"), UUID_ZERO).error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(delete_by(SLICE_LITERAL("t"), first).error_code, KAFKA_INVALID_REQUEST);
    meta.settings.is_topic_deletion_enabled = false;
    ck_assert_int_eq(delete_by(SLICE_LITERAL("t"), UUID_ZERO).error_code, KAFKA_TOPIC_DELETION_DISABLED);
    meta.settings.is_topic_deletion_enabled = true;
    ck_assert_int_eq(delete_by(SLICE_LITERAL("t"), UUID_ZERO).error_code, KAFKA_NONE);
}
END_TEST

/* As in Kafka: who says it twice is not understood, told so once, and nothing is deleted. */
START_TEST(what_is_to_be_deleted_twice_stays)
{
    create_plain("t", 1, 1);
    struct uuid id = image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->id;
    struct slice names[] = {SLICE_LITERAL("t"), SLICE_LITERAL("absent"), SLICE_LITERAL("t")};
    struct delete_topics_request_topics ids[] = {{SLICE_NULL, id}, {SLICE_NULL, id}};
    struct delete_topics_request by_name = {.topic_names = names, .topic_names_count = 3};
    struct delete_topics_response response = {0};
    topic_delete(&meta.control, 5, &by_name, &response);
    ck_assert_int_eq(response.responses_count, 2);
    ck_assert_int_eq(response.responses[0].error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(response.responses[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);

    response = (struct delete_topics_response){0};
    topic_delete(&meta.control, 6, &(struct delete_topics_request){.topics = ids, .topics_count = 2}, &response);
    ck_assert_int_eq(response.responses_count, 1);
    ck_assert_int_eq(response.responses[0].error_code, KAFKA_INVALID_REQUEST);
    ck_assert(slice_is_null(response.responses[0].name) && uuid_equal(response.responses[0].topic_id, id));
    meta_commit(&meta);
    ck_assert_ptr_nonnull(image_topic_by_id(&meta.image, id));
}
END_TEST

/* As in Kafka: by name and by its id is twice, and told under both; a name said twice is not understood, but the id beside it is. */
START_TEST(what_is_to_be_deleted_by_name_and_by_id)
{
    create_plain("t", 1, 1);
    struct uuid id = image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->id;
    const struct delete_topics_request_topics name = {SLICE_LITERAL("t"), UUID_ZERO}, by_id = {SLICE_NULL, id};
    struct {
        struct delete_topics_request_topics topics[4];
        int32_t count, answers;
        bool is_deleted;
    } cases[] = {
        {{name, by_id}, 2, 1, false},        {{by_id, name}, 2, 1, false},
        {{name, by_id, by_id}, 3, 2, false}, {{name, name, by_id, by_id}, 4, 2, false},
        {{by_id, name, name}, 3, 2, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct delete_topics_response response = {0};
        struct delete_topics_request request = {.topics = cases[i].topics, .topics_count = cases[i].count};
        topic_delete(&meta.control, 6, &request, &response);
        ck_assert_int_eq(response.responses_count, cases[i].answers);
        for (int32_t k = 0; k < response.responses_count; k++)
            ck_assert_int_eq(response.responses[k].error_code, cases[i].is_deleted && k == 0 ? KAFKA_NONE : KAFKA_INVALID_REQUEST);
        if (cases[i].answers == 1)
            ck_assert(slice_equal_str(response.responses[0].name, "t") && uuid_equal(response.responses[0].topic_id, id));
        meta_commit(&meta);
        ck_assert_int_eq(image_topic_by_id(&meta.image, id) == NULL, cases[i].is_deleted);
    }
}
END_TEST

static int16_t grow(const char *name, int32_t count, int32_t *by_hand)
{
    struct create_partitions_request_assignments assignment = {by_hand, 2};
    struct create_partitions_request_topics topic = {
        .name = slice_str(name), .count = count, .assignments = by_hand ? &assignment : NULL, .assignments_count = by_hand ? 1 : -1};
    struct create_partitions_request request = {.topics = &topic, .topics_count = 1};
    struct create_partitions_response response = {0};
    topic_create_partitions(&meta.control, &request, &response);
    int16_t error = response.results[0].error_code;
    meta_commit(&meta);
    return error;
}

START_TEST(what_is_to_grow_twice_is_answered_once)
{
    create_plain("t", 2, 2);
    struct create_partitions_request_topics topics[] = {{.name = SLICE_LITERAL("t"), .count = 3, .assignments_count = -1},
                                                        {.name = SLICE_LITERAL("t"), .count = 4, .assignments_count = -1}};
    struct create_partitions_request request = {.topics = topics, .topics_count = 2};
    struct create_partitions_response response = {0};
    topic_create_partitions(&meta.control, &request, &response);
    ck_assert_int_eq(response.results_count, 1);
    ck_assert_int_eq(response.results[0].error_code, KAFKA_INVALID_REQUEST);
    meta_commit(&meta);
    ck_assert_int_eq(image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->partition_count, 2);
}
END_TEST

START_TEST(topics_grow)
{
    int32_t by_hand[] = {2, 1};
    create_plain("t", 2, 2);
    ck_assert_int_eq(grow("t", 2, NULL), KAFKA_INVALID_PARTITIONS);
    ck_assert_int_eq(grow("t", 1, NULL), KAFKA_INVALID_PARTITIONS);
    ck_assert_int_eq(grow("nope", 5, NULL), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(grow("t", 5, NULL), KAFKA_NONE);
    ck_assert_int_eq(grow("t", 7, by_hand), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    struct create_partitions_request_topics none_assigned = {.name = SLICE_LITERAL("t"), .count = 7};
    struct create_partitions_request request = {.topics = &none_assigned, .topics_count = 1};
    struct create_partitions_response response = {0};
    topic_create_partitions(&meta.control, &request, &response);
    ck_assert_int_eq(response.results[0].error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(grow("t", 6, by_hand), KAFKA_NONE);
    ck_assert_int_eq(image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->partition_count, 6);
    ck_assert_int_eq(meta_partition(&meta, "t", 5)->leader, 2);
    ck_assert_uint_eq(meta_partition(&meta, "t", 4)->replica_count, 2);
}
END_TEST

START_TEST(placement_spreads_leaders_and_followers)
{
    teardown();
    meta_init(&meta, 9);
    meta_start_brokers(&meta, 5);
    create_plain("t", 100, 3);
    int leads[5] = {0}, holds[5] = {0}, follows_0[5] = {0};
    for (int32_t i = 0; i < 100; i++) {
        const struct image_partition *p = meta_partition(&meta, "t", i);
        leads[p->leader]++;
        for (int r = 0; r < 3; r++) holds[image_replicas(p).ids[r]]++;
        if (p->leader == 0) follows_0[image_replicas(p).ids[1]]++;
    }
    for (int id = 0; id < 5; id++) {
        ck_assert_int_eq(leads[id], 20);
        ck_assert(holds[id] >= 55 && holds[id] <= 65);
        ck_assert_msg(id == 0 || follows_0[id] == 5, "whoever follows 0 takes over its share");
    }
}
END_TEST

/* What Kafka 4.3.1's StripedReplicaPlacer made of the same clusters, the worst of 20 random starts: how far apart the brokers are that have
 * the most and the least leaders, and replicas. Every partition had a replica in as many racks as can be. */
static const struct racks {
    int32_t brokers[3]; /* in each rack */
    uint32_t replica_count, partition_count, leader_spread, replica_spread;
} kafkas_racks[] = {
    {{1, 1, 1}, 3, 30, 0, 0},   {{2, 2, 2}, 3, 60, 0, 0},   {{3, 3, 3}, 3, 90, 18, 0},  {{3, 3, 3}, 2, 90, 0, 0},
    {{2, 2, 0}, 3, 40, 16, 16}, {{2, 1, 0}, 2, 30, 14, 17}, {{4, 4, 1}, 3, 90, 27, 70}, {{5, 0, 0}, 3, 100, 0, 0},
};

static void take_racks(const struct racks *racks)
{
    static const char *const names[] = {"a", "b", "c"};
    int32_t id = 0;
    meta_init(&meta, 9);
    meta_start_brokers(&meta, racks->brokers[0] + racks->brokers[1] + racks->brokers[2]);
    for (int rack = 0; rack < 3; rack++) {
        for (int32_t i = 0; i < racks->brokers[rack]; i++, id++) {
            struct image_broker *broker = image_broker_get(&meta.image, id);
            mem_free(broker->rack);
            broker->rack = mem_strdup(names[rack]);
        }
    }
}

static uint32_t spread_of(const uint32_t *counts, uint32_t n)
{
    uint32_t least = counts[0], most = counts[0];
    for (uint32_t i = 1; i < n; i++) {
        if (counts[i] < least) least = counts[i];
        if (counts[i] > most) most = counts[i];
    }
    return most - least;
}

static uint32_t count_racks(const int32_t *replicas, uint32_t count)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < count; i++) seen |= 1u << (image_broker_get(&meta.image, replicas[i])->rack[0] - 'a');
    return (uint32_t)__builtin_popcount(seen);
}

START_TEST(placement_is_no_worse_than_kafkas_in_racks)
{
    const struct racks *racks = &kafkas_racks[_i];
    struct placement placement;
    struct prng prng;
    teardown();
    take_racks(racks);
    for (uint64_t seed = 0; seed < 20; seed++) {
        uint32_t leads[9] = {0}, holds[9] = {0};
        int32_t replicas[3];
        prng_init(&prng, seed);
        placement_init(&placement, &meta.image, &prng);
        uint32_t racks_wanted = racks->replica_count < placement.rack_count ? racks->replica_count : placement.rack_count;
        for (uint32_t n = 0; n < racks->partition_count; n++) {
            placement_next(&placement, n, racks->replica_count, replicas);
            leads[replicas[0]]++;
            for (uint32_t r = 0; r < racks->replica_count; r++) holds[replicas[r]]++;
            ck_assert_uint_eq(count_racks(replicas, racks->replica_count), racks_wanted);
        }
        ck_assert_uint_le(spread_of(leads, placement.count), racks->leader_spread);
        ck_assert_uint_le(spread_of(holds, placement.count), racks->replica_spread);
        placement_deinit(&placement);
    }
}
END_TEST

START_TEST(placement_uses_every_rack_and_fenced_brokers_last)
{
    struct prng prng;
    struct placement placement;
    prng_init(&prng, 4);
    const char *const racks[] = {"a", "a", "b"};
    for (int32_t id = 0; id < 3; id++) {
        struct image_broker *broker = image_broker_get(&meta.image, id);
        mem_free(broker->rack);
        broker->rack = mem_strdup(racks[id]);
    }
    placement_init(&placement, &meta.image, &prng);
    for (uint32_t n = 0; n < 30; n++) {
        int32_t replicas[2];
        placement_next(&placement, n, 2, replicas);
        ck_assert_msg((replicas[0] == 2) != (replicas[1] == 2), "one in each rack");
    }
    placement_deinit(&placement);
    meta_fence(&meta, 1);
    placement_init(&placement, &meta.image, &prng);
    for (uint32_t n = 0; n < 30; n++) {
        int32_t replicas[3];
        placement_next(&placement, n, 3, replicas);
        ck_assert_int_eq(replicas[2], 1);
    }
    placement_deinit(&placement);
}
END_TEST

/* ---- quotas of partitions (KIP-599) ---------------------------------------------------------------------------------- */

static struct quotas quotas;
static struct quota_mutation mutation;

static void begin_quota(double rate, bool is_strict)
{
    struct quota_entity entity = {.has = {[QUOTA_CLIENT_ID] = true}};
    quotas_init(&quotas, 3);
    records_add_quota(&meta.records, &entity, "controller_mutation_rate", &rate);
    records_cut(&meta.records);
    meta_commit(&meta);
    mutation = (struct quota_mutation){
        .quotas = &quotas, .user = SLICE_LITERAL("alice"), .client_id = SLICE_LITERAL("clerk"), .now_us = 1, .is_strict = is_strict};
    meta.control.mutation = &mutation;
}
static void end_quota(void) { quotas_deinit(&quotas); }

static int16_t delete_plain(const char *name)
{
    struct slice names[] = {slice_str(name)};
    struct delete_topics_request request = {.topic_names = names, .topic_names_count = 1};
    struct delete_topics_response response = {0};
    topic_delete(&meta.control, 5, &request, &response);
    int16_t error = response.responses[0].error_code;
    meta_commit(&meta);
    return error;
}
static int16_t grow_plain(const char *name, int32_t count)
{
    struct create_partitions_request_topics topic = {.name = slice_str(name), .count = count, .assignments_count = -1};
    struct create_partitions_request request = {.topics = &topic, .topics_count = 1};
    struct create_partitions_response response = {0};
    topic_create_partitions(&meta.control, &request, &response);
    int16_t error = response.results[0].error_code;
    meta_commit(&meta);
    return error;
}

START_TEST(beyond_the_quota_partitions_neither_come_nor_go)
{
    begin_quota(2, true);
    ck_assert_int_eq(create_plain("a", 20, 1), KAFKA_NONE); /* eleven seconds' worth is there at first: 22 */
    ck_assert_int_eq(grow_plain("a", 32), KAFKA_NONE);      /* whoever has something left may overdraw */
    ck_assert_int_eq(mutation.wait_us, 0);
    ck_assert_int_eq(create_plain("b", 1, 1), KAFKA_THROTTLING_QUOTA_EXCEEDED);
    ck_assert_str_eq(message, kafka_error_message(KAFKA_THROTTLING_QUOTA_EXCEEDED));
    ck_assert_int_ge(mutation.wait_us, 5000000);
    ck_assert_int_le(mutation.wait_us, 5000010);
    ck_assert_int_eq(grow_plain("a", 33), KAFKA_THROTTLING_QUOTA_EXCEEDED);
    ck_assert_int_eq(delete_plain("a"), KAFKA_THROTTLING_QUOTA_EXCEEDED);
    ck_assert_int_eq(delete_plain("b"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION); /* what is wrong anyway is told */
    ck_assert_int_eq(image_topic_by_name(&meta.image, SLICE_LITERAL("a"))->partition_count, 32);
    mutation.client_id = SLICE_LITERAL("another");
    ck_assert_int_eq(create_plain("c", 1, 1), KAFKA_NONE);
    mutation.client_id = SLICE_LITERAL("clerk");
    mutation.now_us += 5000010; /* what was refused did not count */
    ck_assert_int_eq(delete_plain("a"), KAFKA_NONE);
    ck_assert_int_eq(create_plain("b", 1, 1), KAFKA_THROTTLING_QUOTA_EXCEEDED);
    end_quota();
}
END_TEST

START_TEST(clients_that_do_not_know_the_error_wait_afterwards)
{
    begin_quota(1, false);
    ck_assert_int_eq(create_plain("a", 11, 1), KAFKA_NONE);
    ck_assert_int_eq(mutation.wait_us, 0);
    ck_assert_int_eq(create_plain("b", 4, 1), KAFKA_NONE);
    ck_assert_int_ge(mutation.wait_us, 4000000);
    ck_assert_int_eq(delete_plain("a"), KAFKA_NONE);
    ck_assert_int_ge(mutation.wait_us, 15000000);
    end_quota();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("topic_control");
    TCase *tests = tcase_create("topic_control");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, creates_with_defaults_and_says_what_it_made);
    tcase_add_test(tests, refuses_what_kafka_refuses);
    tcase_add_test(tests, many_names_are_held_against_many_topics_at_once);
    tcase_add_test(tests, assignment_by_hand_is_checked);
    tcase_add_test(tests, wrong_config_creates_nothing);
    tcase_add_test(tests, topics_of_one_request_stand_or_fall_alone);
    tcase_add_test(tests, d_resurrect_a_new_topic_of_the_same_name_has_another_id);
    tcase_add_test(tests, what_is_to_be_deleted_twice_stays);
    tcase_add_test(tests, what_is_to_be_deleted_by_name_and_by_id);
    tcase_add_test(tests, what_is_to_grow_twice_is_answered_once);
    tcase_add_test(tests, topics_grow);
    tcase_add_test(tests, beyond_the_quota_partitions_neither_come_nor_go);
    tcase_add_test(tests, clients_that_do_not_know_the_error_wait_afterwards);
    tcase_add_test(tests, placement_spreads_leaders_and_followers);
    tcase_add_test(tests, placement_uses_every_rack_and_fenced_brokers_last);
    tcase_add_loop_test(tests, placement_is_no_worse_than_kafkas_in_racks, 0, sizeof kafkas_racks / sizeof *kafkas_racks);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
