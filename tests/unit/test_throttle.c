/* Whole nodes that hold somebody back: clients above their quota (KIP-219), and replication under a throttle (KIP-73). The arithmetic is in
 * test_quota.c. */
#include "tests/unit/node_fixture.h"

#include "broker/node/replica_manager.h"
#include "broker/node/replica_throttle.h"
#include "proto/errors.h"

#define RATE        100000 /* bytes a second */
#define VALUE_BYTES 10000
#define RECORDS     100 /* a megabyte: ten seconds */

static const struct image_topic *topic_of(const struct fixture *f)
{
    return image_topic_by_name(broker_node_image(f->broker), SLICE_LITERAL("events"));
}

static const struct produce_response *produce(struct fixture *f)
{
    char value[VALUE_BYTES + 1];
    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = 0;
    struct buf *batch = fixture_batch(value);
    struct produce_request_partition_data data = {.records = buf_slice(batch)};
    struct produce_request_topic_data topic = {.name = SLICE_LITERAL("events"), .partition_data = &data, .partition_data_count = 1};
    struct produce_request request = {.acks = 1, .timeout_ms = 10000, .topic_data = &topic, .topic_data_count = 1};
    const struct produce_response *response = fixture_ask(f, API_PRODUCE, 9, &request);
    ck_assert_int_eq(response->responses[0].partition_responses[0].error_code, 0);
    buf_unref(batch);
    return response;
}

static const struct fetch_response *fetch(struct fixture *f, int64_t offset)
{
    struct fetch_request_partitions partition = {.current_leader_epoch = -1,
                                                 .fetch_offset = offset,
                                                 .last_fetched_epoch = -1,
                                                 .log_start_offset = -1,
                                                 .partition_max_bytes = 1 << 20,
                                                 .high_watermark = INT64_MAX};
    struct fetch_request_topics topic = {.topic = SLICE_LITERAL("events"), .partitions = &partition, .partitions_count = 1};
    struct fetch_request request = {.replica_id = -1,
                                    .replica_state = {.replica_id = -1, .replica_epoch = -1},
                                    .min_bytes = 1,
                                    .max_bytes = 1 << 20,
                                    .session_epoch = -1,
                                    .topics = &topic,
                                    .topics_count = 1,
                                    .rack_id = SLICE_LITERAL("")};
    const struct fetch_response *response = fixture_ask(f, API_FETCH, 12, &request);
    ck_assert_int_eq(response->responses[0].partitions[0].error_code, 0);
    return response;
}

/* ---- quotas of clients --------------------------------------------------------------------------------------------- */

static void set_quota(struct fixture *f, const char *key, double value)
{
    fixture_set_quota(f, "test", key, value);
    sim_run_for(f->sim, 100 * SIM_MS);
}

START_TEST(a_producer_above_its_quota_is_told_to_wait_and_not_heard)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    for (int i = 0; i < RECORDS; i++) ck_assert_int_eq(produce(f)->throttle_time_ms, 0);
    set_quota(f, "producer_byte_rate", RATE);
    int64_t began_us = sim_now_us(f->sim), told_ms = 0;
    for (int i = 0; i < RECORDS; i++) told_ms += produce(f)->throttle_time_ms; /* does not care what it is told */
    int64_t took_us = sim_now_us(f->sim) - began_us;
    ck_assert_int_ge(took_us, 8 * SIM_SECOND); /* the first second's worth is free, and the last answer does not wait */
    ck_assert_int_le(took_us, 11 * SIM_SECOND);
    ck_assert_int_ge(told_ms, 8000);
    fixture_connect(f); /* another connection of the same client owes the same */
    ck_assert_int_gt(produce(f)->throttle_time_ms, 0);
    set_quota(f, "producer_byte_rate", 0);
    ck_assert_int_eq(produce(f)->throttle_time_ms, 0);
    fixture_end(f);
}
END_TEST

START_TEST(a_consumer_above_its_quota_is_told_to_wait_and_not_heard)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    for (int i = 0; i < RECORDS; i++) (void)produce(f);
    set_quota(f, "consumer_byte_rate", RATE);
    int64_t began_us = sim_now_us(f->sim), told_ms = 0, bytes = 0;
    for (int64_t offset = 0; offset < RECORDS;) {
        const struct fetch_response *response = fetch(f, offset);
        struct slice records = response->responses[0].partitions[0].records;
        ck_assert_uint_le(records.n, RATE);
        told_ms += response->throttle_time_ms;
        bytes += (int64_t)records.n;
        offset += (int64_t)records.n / VALUE_BYTES;
    }
    ck_assert_int_gt(bytes, RECORDS * VALUE_BYTES);
    int64_t took_us = sim_now_us(f->sim) - began_us;
    ck_assert_int_ge(took_us, 8 * SIM_SECOND);
    ck_assert_int_le(took_us, 11 * SIM_SECOND);
    ck_assert_int_ge(told_ms, 8000);
    fixture_end(f);
}
END_TEST

/* ---- replication --------------------------------------------------------------------------------------------------- */

static void set_config(struct fixture *f, int8_t type, const char *resource, const char *name, const char *value)
{
    ck_assert_int_eq(fixture_alter_config(f, 1, type, resource, name, 0, value), 0);
}

/* A broker takes what is for itself. */
static void set_broker_config(struct fixture *f, int32_t broker, const char *name, const char *value)
{
    fixture_connect_to(f, broker);
    set_config(f, 4, broker ? "1" : "0", name, value);
    fixture_connect_to(f, 0);
}

static void reassign(struct fixture *f)
{
    int32_t brokers[] = {0, 1};
    struct alter_partition_reassignments_request_partitions partition = {.replicas = brokers, .replicas_count = 2};
    struct alter_partition_reassignments_request_topics topic = {
        .name = SLICE_LITERAL("events"), .partitions = &partition, .partitions_count = 1};
    struct alter_partition_reassignments_request request = {
        .timeout_ms = 10000, .allow_replication_factor_change = true, .topics = &topic, .topics_count = 1};
    const struct alter_partition_reassignments_response *response = fixture_ask(f, API_ALTER_PARTITION_REASSIGNMENTS, 1, &request);
    ck_assert_int_eq(response->responses[0].partitions[0].error_code, 0);
}

static bool is_in_sync(void *context) { return topic_of(context)->partitions[0].isr_count == 2; }

static int64_t time_to_sync_us(struct fixture *f)
{
    int64_t began_us = sim_now_us(f->sim);
    reassign(f);
    ck_assert(sim_wait(f->sim, is_in_sync, f, 60 * SIM_SECOND));
    return sim_now_us(f->sim) - began_us;
}

static struct fixture *begin_alone(void)
{
    struct fixture *f = fixture_create_nodes("", 2);
    int32_t brokers[] = {0};
    struct create_topics_request_assignments assignment = {.broker_ids = brokers, .broker_ids_count = 1};
    struct create_topics_request_topics topic = {.name = SLICE_LITERAL("events"),
                                                 .num_partitions = -1,
                                                 .replication_factor = -1,
                                                 .assignments = &assignment,
                                                 .assignments_count = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    const struct create_topics_response *response = fixture_ask(f, API_CREATE_TOPICS, 7, &request);
    ck_assert_int_eq(response->topics[0].error_code, 0);
    sim_run_for(f->sim, SIM_SECOND);
    for (int i = 0; i < RECORDS; i++) (void)produce(f);
    return f;
}

/* As kafka-reassign-partitions --throttle sets it, on one side or the other. */
START_TEST(a_replica_that_moves_is_held_back_to_the_rate)
{
    static const char *const rates[] = {"leader.replication.throttled.rate", "follower.replication.throttled.rate"},
                             *const lists[] = {"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"},
                             *const replicas[] = {"7:1,0:0", "0:1"};
    struct fixture *f = begin_alone();
    for (int i = 0; i < 2; i++) set_broker_config(f, i, rates[_i], "100000");
    set_config(f, 2, "events", lists[_i], replicas[_i]);
    int64_t took_us = time_to_sync_us(f);
    ck_assert_int_ge(took_us, 7 * SIM_SECOND);
    ck_assert_int_le(took_us, 13 * SIM_SECOND);
    /* In sync, it follows at once. */
    int64_t began_us = sim_now_us(f->sim);
    for (int i = 0; i < RECORDS; i++) (void)produce(f);
    sim_run_for(f->sim, SIM_SECOND);
    struct replica_info info;
    ck_assert(replica_manager_info(broker_node_replicas(f->nodes[1].broker), topic_of(f)->id, 0, &info));
    ck_assert_int_eq(info.log_end, 2 * RECORDS);
    ck_assert_int_le(sim_now_us(f->sim) - began_us, 3 * SIM_SECOND);
    fixture_end(f);
}
END_TEST

START_TEST(who_is_not_named_is_not_held_back)
{
    struct fixture *f = begin_alone();
    for (int i = 0; i < 2; i++) set_broker_config(f, i, "leader.replication.throttled.rate", "1000");
    set_config(f, 2, "events", "leader.replication.throttled.replicas", "0:1,1:0");
    ck_assert_int_le(time_to_sync_us(f), 2 * SIM_SECOND);
    fixture_end(f);
}
END_TEST

/* The last word of an operator who waits no longer. */
START_TEST(a_throttle_that_is_taken_away_holds_nobody_back)
{
    struct fixture *f = begin_alone();
    set_config(f, 4, "0", "leader.replication.throttled.rate", "1000");
    set_config(f, 2, "events", "leader.replication.throttled.replicas", "*");
    reassign(f);
    sim_run_for(f->sim, 5 * SIM_SECOND);
    ck_assert(!is_in_sync(f));
    set_config(f, 4, "0", "leader.replication.throttled.rate", "100000000");
    ck_assert(sim_wait(f->sim, is_in_sync, f, 2 * SIM_SECOND));
    fixture_end(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("throttle");
    TCase *tcase = tcase_create("throttle");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_producer_above_its_quota_is_told_to_wait_and_not_heard);
    tcase_add_test(tcase, a_consumer_above_its_quota_is_told_to_wait_and_not_heard);
    tcase_add_loop_test(tcase, a_replica_that_moves_is_held_back_to_the_rate, 0, 2);
    tcase_add_test(tcase, who_is_not_named_is_not_held_back);
    tcase_add_test(tcase, a_throttle_that_is_taken_away_holds_nobody_back);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
