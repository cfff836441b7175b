/* What operators ask of the logs of whole nodes: DeleteRecords, DescribeProducers, DescribeLogDirs, ends of followers' logs. */
#include "tests/unit/node_fixture.h"

#include "broker/node/replica_manager.h"
#include "proto/errors.h"

static const struct image_topic *topic_of(const struct fixture *f, int32_t node, const char *name)
{
    return image_topic_by_name(broker_node_image(f->nodes[node].broker), slice_str(name));
}

static void connect_to_leader(struct fixture *f, const char *topic)
{
    int32_t leader = topic_of(f, 0, topic)->partitions[0].leader;
    ck_assert_int_ge(leader, 0);
    fixture_connect_to(f, leader);
}

static void produce(struct fixture *f, const char *topic, int records)
{
    for (int i = 0; i < records; i++) {
        struct buf *batch = fixture_batch("value");
        struct produce_request_partition_data data = {.records = buf_slice(batch)};
        struct produce_request_topic_data topic_data = {.name = slice_str(topic), .partition_data = &data, .partition_data_count = 1};
        struct produce_request request = {.acks = -1, .timeout_ms = 10000, .topic_data = &topic_data, .topic_data_count = 1};
        const struct produce_response *response = fixture_ask(f, API_PRODUCE, 9, &request);
        ck_assert_int_eq(response->responses[0].partition_responses[0].error_code, 0);
        buf_unref(batch);
    }
}

static struct delete_records_response_partitions delete_records(struct fixture *f, int16_t version, const char *topic, int32_t partition,
                                                                int64_t offset, int32_t timeout_ms)
{
    struct delete_records_request_partitions asked = {.partition_index = partition, .offset = offset};
    struct delete_records_request_topics topics = {.name = slice_str(topic), .partitions = &asked, .partitions_count = 1};
    struct delete_records_request request = {.topics = &topics, .topics_count = 1, .timeout_ms = timeout_ms};
    const struct delete_records_response *response = fixture_ask(f, API_DELETE_RECORDS, version, &request);
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->topics_count, 1);
    ck_assert(slice_equal_str(response->topics[0].name, topic));
    ck_assert_int_eq(response->topics[0].partitions_count, 1);
    ck_assert_int_eq(response->topics[0].partitions[0].partition_index, partition);
    return response->topics[0].partitions[0];
}

START_TEST(delete_records_at_every_version)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    produce(f, "events", 6);
    for (int16_t version = 0; version <= 2; version++) {
        struct delete_records_response_partitions answer = delete_records(f, version, "events", 0, version + 1, 10000);
        ck_assert_int_eq(answer.error_code, 0);
        ck_assert_int_eq(answer.low_watermark, version + 1);
    }
    ck_assert_int_eq(delete_records(f, 2, "events", 0, 1, 10000).low_watermark, 3); /* it does not go back */
    ck_assert_int_eq(delete_records(f, 2, "events", 0, -1, 10000).low_watermark, 6);
    ck_assert_int_eq(delete_records(f, 2, "events", 0, 7, 10000).error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(delete_records(f, 2, "events", 0, -2, 10000).error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(delete_records(f, 2, "events", 1, 0, 10000).error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(delete_records(f, 2, "absent", 0, 0, 10000).error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fixture_end(f);
}
END_TEST

static int64_t start_at(const struct fixture *f, int32_t node, const char *topic)
{
    struct replica_info info;
    const struct image_topic *known = topic_of(f, node, topic);
    if (!known || !replica_manager_info(broker_node_replicas(f->nodes[node].broker), known->id, 0, &info)) return -1;
    return info.log_start;
}

/* RET-2. */
START_TEST(ret_2_deleted_records_stay_deleted_on_every_replica_when_the_power_fails)
{
    struct fixture *f = fixture_create_nodes("", 3);
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    sim_run_for(f->sim, SIM_SECOND);
    connect_to_leader(f, "events");
    produce(f, "events", 5);
    ck_assert_int_eq(delete_records(f, 2, "events", 0, 4, 10000).error_code, 0);
    for (int32_t i = 0; i < 3; i++) ck_assert_int_eq(start_at(f, i, "events"), 4);
    for (int32_t i = 0; i < 3; i++) sim_node_crash(f->nodes[i].node, SIM_CRASH_POWER);
    for (int32_t i = 0; i < 3; i++) sim_node_start(f->nodes[i].node);
    ck_assert(sim_wait(f->sim, fixture_is_active, f, 60 * SIM_SECOND));
    for (int32_t i = 0; i < 3; i++) ck_assert_int_eq(start_at(f, i, "events"), 4);
    fixture_end(f);
}
END_TEST

START_TEST(delete_records_waits_for_a_silent_replica_and_times_out)
{
    struct fixture *f = fixture_create_nodes("", 3);
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    sim_run_for(f->sim, SIM_SECOND);
    connect_to_leader(f, "events");
    produce(f, "events", 5);
    int32_t follower = (topic_of(f, 0, "events")->partitions[0].leader + 1) % 3;
    sim_node_pause(f->nodes[follower].node);
    struct delete_records_response_partitions answer = delete_records(f, 2, "events", 0, 3, 1000);
    ck_assert_int_eq(answer.error_code, KAFKA_REQUEST_TIMED_OUT);
    ck_assert_int_lt(answer.low_watermark, 3);
    sim_node_resume(f->nodes[follower].node);
    answer = delete_records(f, 2, "events", 0, 3, 20000);
    ck_assert_int_eq(answer.error_code, 0);
    ck_assert_int_eq(answer.low_watermark, 3);
    fixture_end(f);
}
END_TEST

static struct list_offsets_response_partitions list_latest(struct fixture *f, int32_t replica_id)
{
    struct list_offsets_request_partitions asked = {.current_leader_epoch = -1, .timestamp = -1};
    struct list_offsets_request_topics topics = {.name = SLICE_LITERAL("events"), .partitions = &asked, .partitions_count = 1};
    struct list_offsets_request request = {.replica_id = replica_id, .topics = &topics, .topics_count = 1, .timeout_ms = 1000};
    const struct list_offsets_response *response = fixture_ask(f, API_LIST_OFFSETS, 6, &request);
    return response->topics[0].partitions[0];
}

/* Its replica id is -2. */
START_TEST(a_debugging_client_is_told_the_end_of_a_followers_log)
{
    struct fixture *f = fixture_create_nodes("", 3);
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    sim_run_for(f->sim, SIM_SECOND);
    connect_to_leader(f, "events");
    produce(f, "events", 5);
    fixture_connect_to(f, (topic_of(f, 0, "events")->partitions[0].leader + 1) % 3);
    ck_assert_int_eq(list_latest(f, -1).error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    struct list_offsets_response_partitions answer = list_latest(f, -2);
    ck_assert_int_eq(answer.error_code, KAFKA_NONE);
    ck_assert_int_eq(answer.offset, 5);
    fixture_end(f);
}
END_TEST

static const struct describe_producers_response_partitions *describe_producers(struct fixture *f, const char *topic, int32_t partition)
{
    struct describe_producers_request_topics topics = {
        .name = slice_str(topic), .partition_indexes = &partition, .partition_indexes_count = 1};
    struct describe_producers_request request = {.topics = &topics, .topics_count = 1};
    const struct describe_producers_response *response = fixture_ask(f, API_DESCRIBE_PRODUCERS, 0, &request);
    ck_assert_int_eq(response->topics_count, 1);
    ck_assert_int_eq(response->topics[0].partitions_count, 1);
    return &response->topics[0].partitions[0];
}

START_TEST(producers_are_described_by_every_replica)
{
    struct fixture *f = fixture_create_nodes("", 3);
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    sim_run_for(f->sim, SIM_SECOND);
    connect_to_leader(f, "events");
    ck_assert_int_eq(describe_producers(f, "events", 0)->active_producers_count, 0);
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    record_batch_spec_init(&spec);
    spec.producer_id = 77, spec.producer_epoch = 3, spec.base_sequence = 0;
    record_batch_builder_init(&builder, &spec);
    record_batch_builder_add(&builder, 1000, SLICE_LITERAL("key"), SLICE_LITERAL("a"), NULL, 0);
    record_batch_builder_add(&builder, 2000, SLICE_LITERAL("key"), SLICE_LITERAL("b"), NULL, 0);
    struct buf *batch = record_batch_builder_finish(&builder);
    record_batch_builder_deinit(&builder);
    struct produce_request_partition_data data = {.records = buf_slice(batch)};
    struct produce_request_topic_data topic_data = {.name = SLICE_LITERAL("events"), .partition_data = &data, .partition_data_count = 1};
    struct produce_request request = {.acks = -1, .timeout_ms = 10000, .topic_data = &topic_data, .topic_data_count = 1};
    ck_assert_int_eq(
        ((const struct produce_response *)fixture_ask(f, API_PRODUCE, 9, &request))->responses[0].partition_responses[0].error_code, 0);
    buf_unref(batch);
    const struct describe_producers_response_partitions *answer = describe_producers(f, "events", 0);
    ck_assert_int_eq(answer->error_code, 0);
    ck_assert_int_eq(answer->active_producers_count, 1);
    ck_assert_int_eq(answer->active_producers[0].producer_id, 77);
    ck_assert_int_eq(answer->active_producers[0].producer_epoch, 3);
    ck_assert_int_eq(answer->active_producers[0].last_sequence, 1);
    ck_assert_int_eq(answer->active_producers[0].last_timestamp, 2000);
    ck_assert_int_eq(answer->active_producers[0].current_txn_start_offset, -1);
    ck_assert_int_eq(describe_producers(f, "events", 1)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(describe_producers(f, "absent", 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(describe_producers(f, "a b", 0)->error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    fixture_connect_to(f, (topic_of(f, 0, "events")->partitions[0].leader + 1) % 3);
    answer = describe_producers(f, "events", 0);
    ck_assert_int_eq(answer->error_code, 0);
    ck_assert_int_eq(answer->active_producers_count, 1);
    ck_assert_int_eq(answer->active_producers[0].producer_id, 77);
    fixture_end(f);
}
END_TEST

START_TEST(log_dirs_are_described_at_every_version)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 2), 0);
    ck_assert_int_eq(fixture_create_topic(f, "others", 1), 0);
    produce(f, "events", 3);
    for (int16_t version = 1; version <= 5; version++) {
        struct describe_log_dirs_request request = {.topics_count = -1};
        const struct describe_log_dirs_response *all = fixture_ask(f, API_DESCRIBE_LOG_DIRS, version, &request);
        ck_assert_int_eq(all->results_count, 1);
        ck_assert_int_eq(all->results[0].error_code, 0);
        ck_assert(slice_equal_str(all->results[0].log_dir, "/data"));
        ck_assert_int_eq(all->results[0].topics_count, 2);
        if (version >= 4) ck_assert_int_gt(all->results[0].total_bytes, 0);
        const struct describe_log_dirs_response_topics *events = &all->results[0].topics[0];
        ck_assert(slice_equal_str(events->name, "events"));
        ck_assert_int_eq(events->partitions_count, 2);
        ck_assert_int_gt(events->partitions[0].partition_size, 0);
        ck_assert_int_eq(events->partitions[1].partition_size, 0);
        ck_assert_int_eq(events->partitions[0].offset_lag, 0);
    }
    int32_t asked[] = {1, 1, 9, -1};
    struct describe_log_dirs_request_topics topics[] = {{.topic = SLICE_LITERAL("events"), .partitions = asked, .partitions_count = 4},
                                                        {.topic = SLICE_LITERAL("absent"), .partitions = asked, .partitions_count = 1},
                                                        {.topic = SLICE_LITERAL("events"), .partitions = asked, .partitions_count = 1}};
    struct describe_log_dirs_request request = {.topics = topics, .topics_count = 3};
    const struct describe_log_dirs_response *some = fixture_ask(f, API_DESCRIBE_LOG_DIRS, 4, &request);
    ck_assert_int_eq(some->results[0].topics_count, 1);
    ck_assert_int_eq(some->results[0].topics[0].partitions_count, 1);
    ck_assert_int_eq(some->results[0].topics[0].partitions[0].partition_index, 1);
    fixture_end(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_admin");
    TCase *tcase = tcase_create("core");
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, delete_records_at_every_version);
    tcase_add_test(tcase, ret_2_deleted_records_stay_deleted_on_every_replica_when_the_power_fails);
    tcase_add_test(tcase, delete_records_waits_for_a_silent_replica_and_times_out);
    tcase_add_test(tcase, a_debugging_client_is_told_the_end_of_a_followers_log);
    tcase_add_test(tcase, producers_are_described_by_every_replica);
    tcase_add_test(tcase, log_dirs_are_described_at_every_version);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
