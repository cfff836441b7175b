/* What operators ask of whole nodes: replicas move with their records, and the answers of a cluster without security; and consumers that
 * read from the replica in their rack. */
#include "tests/unit/node_fixture.h"

#include "broker/node/replica_manager.h"
#include "proto/errors.h"

static const struct image_topic *topic_of(const struct fixture *f, const char *name)
{
    return image_topic_by_name(broker_node_image(f->broker), slice_str(name));
}

static void create_on(struct fixture *f, const char *name, int32_t *brokers, int32_t count)
{
    struct create_topics_request_assignments assignment = {.broker_ids = brokers, .broker_ids_count = count};
    struct create_topics_request_topics topic = {
        .name = slice_str(name), .num_partitions = -1, .replication_factor = -1, .assignments = &assignment, .assignments_count = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    const struct create_topics_response *response = fixture_ask(f, API_CREATE_TOPICS, 7, &request);
    ck_assert_int_eq(response->topics[0].error_code, 0);
    sim_run_for(f->sim, SIM_SECOND);
    fixture_connect_to(f, brokers[0]);
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

static const struct fetch_response_partitions *fetch(struct fixture *f, int16_t version, const char *topic, int64_t offset,
                                                     const char *rack)
{
    struct fetch_request_partitions partition = {.current_leader_epoch = -1,
                                                 .fetch_offset = offset,
                                                 .last_fetched_epoch = -1,
                                                 .log_start_offset = -1,
                                                 .partition_max_bytes = 1 << 20,
                                                 .high_watermark = INT64_MAX};
    struct fetch_request_topics topics = {
        .topic = slice_str(topic), .topic_id = topic_of(f, topic)->id, .partitions = &partition, .partitions_count = 1};
    struct fetch_request request = {.replica_id = -1,
                                    .replica_state = {.replica_id = -1, .replica_epoch = -1},
                                    .min_bytes = 1,
                                    .max_bytes = 1 << 20,
                                    .session_epoch = -1,
                                    .topics = &topics,
                                    .topics_count = 1,
                                    .rack_id = slice_str(rack)};
    const struct fetch_response *response = fixture_ask(f, API_FETCH, version, &request);
    ck_assert_int_eq(response->responses_count, 1);
    return &response->responses[0].partitions[0];
}

/* ---- reassignment -------------------------------------------------------------------------------------------------- */

static int16_t reassign(struct fixture *f, const char *name, int32_t *brokers, int32_t count)
{
    struct alter_partition_reassignments_request_partitions partition = {.replicas = brokers, .replicas_count = count};
    struct alter_partition_reassignments_request_topics topic = {.name = slice_str(name), .partitions = &partition, .partitions_count = 1};
    struct alter_partition_reassignments_request request = {
        .timeout_ms = 10000, .allow_replication_factor_change = true, .topics = &topic, .topics_count = 1};
    const struct alter_partition_reassignments_response *response = fixture_ask(f, API_ALTER_PARTITION_REASSIGNMENTS, 1, &request);
    ck_assert_int_eq(response->error_code, 0);
    return response->responses[0].partitions[0].error_code;
}

static int32_t listed(struct fixture *f)
{
    struct list_partition_reassignments_request request = {.timeout_ms = 1000, .topics_count = -1};
    const struct list_partition_reassignments_response *response = fixture_ask(f, API_LIST_PARTITION_REASSIGNMENTS, 0, &request);
    ck_assert_int_eq(response->error_code, 0);
    return response->topics_count ? response->topics[0].partitions[0].adding_replicas_count : 0;
}

/* As every node knows, for the next question may go to any of them. */
static bool has_moved(void *context)
{
    const struct fixture *f = context;
    for (int32_t i = 0; i < f->node_count; i++)
        if (map_count(&broker_node_image(f->nodes[i].broker)->reassignments) > 0) return false;
    return topic_of(f, "events")->partitions[0].leader == 2;
}

START_TEST(replicas_move_with_their_records)
{
    struct fixture *f = fixture_create_nodes("", 3);
    create_on(f, "events", (int32_t[]){0}, 1);
    produce(f, "events", 5);
    sim_node_pause(f->nodes[1].node);
    ck_assert_int_eq(reassign(f, "events", (int32_t[]){2, 1}, 2), 0);
    ck_assert_int_eq(listed(f), 2);
    sim_run_for(f->sim, SIM_SECOND);
    ck_assert_int_eq(listed(f), 2);
    sim_node_resume(f->nodes[1].node);
    ck_assert(sim_wait(f->sim, has_moved, f, 60 * SIM_SECOND));
    fixture_connect_to(f, 2);
    ck_assert_int_eq(listed(f), 0);
    const struct fetch_response_partitions *answer = fetch(f, 12, "events", 4, "");
    ck_assert_int_eq(answer->error_code, 0);
    ck_assert_int_eq(answer->high_watermark, 5);
    struct replica_info info;
    ck_assert(!replica_manager_info(broker_node_replicas(f->nodes[0].broker), topic_of(f, "events")->id, 0, &info));
    produce(f, "events", 1);
    ck_assert_int_eq(reassign(f, "events", NULL, -1), KAFKA_NO_REASSIGNMENT_IN_PROGRESS);
    fixture_end(f);
}
END_TEST

/* ---- an unclean election ------------------------------------------------------------------------------------------- */

static void delete_records_before(struct fixture *f, const char *name, int64_t offset)
{
    struct delete_records_request_partitions partition = {.offset = offset};
    struct delete_records_request_topics topic = {.name = slice_str(name), .partitions = &partition, .partitions_count = 1};
    struct delete_records_request request = {.timeout_ms = 10000, .topics = &topic, .topics_count = 1};
    const struct delete_records_response *response = fixture_ask(f, API_DELETE_RECORDS, 2, &request);
    ck_assert_int_eq(response->topics[0].partitions[0].error_code, 0);
}

static void elect_uncleanly(struct fixture *f, const char *name)
{
    int32_t partition = 0;
    struct elect_leaders_request_topic_partitions topic = {.topic = slice_str(name), .partitions = &partition, .partitions_count = 1};
    struct elect_leaders_request request = {
        .election_type = 1, .topic_partitions = &topic, .topic_partitions_count = 1, .timeout_ms = 10000};
    const struct elect_leaders_response *response = fixture_ask(f, API_ELECT_LEADERS, 2, &request);
    ck_assert_int_eq(response->replica_election_results[0].partition_result[0].error_code, 0);
}

static const struct image_partition *seen_by_the_third(const struct fixture *f)
{
    return &image_topic_by_name(broker_node_image(f->nodes[2].broker), SLICE_LITERAL("events"))->partitions[0];
}
static bool has_lost_one(void *context) { return seen_by_the_third(context)->isr_count < 2; }
static bool has_no_leader(void *context) { return seen_by_the_third(context)->leader < 0; }
static bool has_both(void *context) { return !has_lost_one(context); }

/* The old leader's log began, after records were deleted, where the new one's had not come to: what was acknowledged since must not be
 * missing at its front. */
START_TEST(a_log_that_begins_above_its_leaders_end_begins_anew)
{
    struct fixture *f = fixture_create_nodes("", 3);
    struct replica_info info;
    create_on(f, "events", (int32_t[]){0, 1}, 2);
    struct uuid id = topic_of(f, "events")->id;
    produce(f, "events", 2);
    sim_node_crash(f->nodes[1].node, SIM_CRASH_PROCESS);
    ck_assert(sim_wait(f->sim, has_lost_one, f, 30 * SIM_SECOND));
    produce(f, "events", 3);
    delete_records_before(f, "events", 4 + _i); /* one record is left, or none */
    sim_node_crash(f->nodes[0].node, SIM_CRASH_PROCESS);
    sim_node_start(f->nodes[1].node);
    ck_assert(sim_wait(f->sim, has_no_leader, f, 30 * SIM_SECOND));
    sim_run_for(f->sim, 5 * SIM_SECOND);
    fixture_connect_to(f, 1);
    elect_uncleanly(f, "events");
    sim_run_for(f->sim, SIM_SECOND);
    produce(f, "events", 1);
    sim_node_start(f->nodes[0].node);
    sim_run_for(f->sim, 10 * SIM_SECOND);
    produce(f, "events", 3);
    ck_assert(sim_wait(f->sim, has_both, f, 30 * SIM_SECOND));
    ck_assert(replica_manager_info(broker_node_replicas(f->nodes[0].broker), id, 0, &info));
    ck_assert_int_eq(info.log_start, 0);
    ck_assert_int_eq(info.log_end, 6);
    fixture_end(f);
}
END_TEST

/* ---- racks (KIP-392) ------------------------------------------------------------------------------------------------- */

/* Each node of the fixture is a rack of its own. */
START_TEST(consumers_are_sent_to_the_replica_in_their_rack)
{
    struct fixture *f = fixture_create_nodes("replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector\n", 2);
    create_on(f, "events", (int32_t[]){0, 1}, 2);
    produce(f, "events", 3);
    sim_run_for(f->sim, SIM_SECOND);
    for (int16_t version = 10; version <= 18; version++) {
        const char *const at_home[] = {"", "rack0", "rack9"};
        for (size_t i = 0; i < 3; i++) {
            const struct fetch_response_partitions *own = fetch(f, version, "events", 0, at_home[i]);
            ck_assert_int_eq(own->preferred_read_replica, -1);
            ck_assert_int_gt((int)own->records.n, 0);
        }
        const struct fetch_response_partitions *answer = fetch(f, version, "events", 3, "rack1");
        ck_assert_int_eq(answer->error_code, 0);
        ck_assert_int_eq(answer->preferred_read_replica, version < 11 ? -1 : 1);
        ck_assert_int_eq(answer->high_watermark, 3);
        ck_assert_int_eq((int)answer->records.n, 0);
    }
    fixture_connect_to(f, 1);
    for (int16_t version = 10; version <= 18; version++) {
        const struct fetch_response_partitions *answer = fetch(f, version, "events", 0, "rack1");
        ck_assert_int_eq(answer->error_code, version < 11 ? KAFKA_NOT_LEADER_OR_FOLLOWER : KAFKA_NONE);
        if (version < 11) continue;
        ck_assert_int_gt((int)answer->records.n, 0);
        ck_assert_int_eq(answer->preferred_read_replica, -1);
        ck_assert_int_eq(answer->high_watermark, 3);
        ck_assert_int_eq(fetch(f, version, "events", 9, "rack1")->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    }
    fixture_end(f);
}
END_TEST

/* ---- what a cluster without security answers --------------------------------------------------------------------- */

START_TEST(unsecured_answers_at_every_version)
{
    struct fixture *f = fixture_create("");
    for (int16_t version = 1; version <= 3; version++) {
        struct describe_acls_request request = {
            .resource_type_filter = 1, .pattern_type_filter = version == 1 ? 3 : 1, .operation = 1, .permission_type = 1};
        ck_assert_int_eq(((const struct describe_acls_response *)fixture_ask(f, API_DESCRIBE_ACLS, version, &request))->error_code,
                         KAFKA_SECURITY_DISABLED);
    }
    struct describe_user_scram_credentials_request_users user = {.name = SLICE_LITERAL("alice")};
    struct describe_user_scram_credentials_request all = {.users_count = -1}, one = {.users = &user, .users_count = 1};
    const struct describe_user_scram_credentials_response *response = fixture_ask(f, API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &all);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->results_count, 0);
    response = fixture_ask(f, API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &one);
    ck_assert_int_eq(response->results[0].error_code, KAFKA_RESOURCE_NOT_FOUND);
    fixture_end(f);
}
END_TEST

START_TEST(config_resources_are_listed)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    struct list_config_resources_request request = {0};
    const struct list_config_resources_response *response = fixture_ask(f, API_LIST_CONFIG_RESOURCES, 0, &request);
    ck_assert_int_eq(response->config_resources_count, 0);
    response = fixture_ask(f, API_LIST_CONFIG_RESOURCES, 1, &request);
    ck_assert_int_eq(response->config_resources_count, 3); /* the topic, the broker, its logger */
    request = (struct list_config_resources_request){.resource_types = (int8_t[]){2}, .resource_types_count = 1};
    response = fixture_ask(f, API_LIST_CONFIG_RESOURCES, 1, &request);
    ck_assert_int_eq(response->config_resources_count, 1);
    ck_assert(slice_equal_str(response->config_resources[0].resource_name, "events"));
    request = (struct list_config_resources_request){.resource_types = (int8_t[]){99}, .resource_types_count = 1};
    response = fixture_ask(f, API_LIST_CONFIG_RESOURCES, 1, &request);
    ck_assert_int_eq(response->error_code, KAFKA_UNSUPPORTED_VERSION);
    fixture_end(f);
}
END_TEST

START_TEST(quotas_features_elections_and_removals_at_every_version)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    for (int16_t version = 0; version <= 1; version++) {
        struct alter_client_quotas_request_entity entity = {SLICE_LITERAL("client-id"), SLICE_LITERAL("clerk")};
        struct alter_client_quotas_request_ops op = {.key = SLICE_LITERAL("producer_byte_rate"), .value = 100 + version};
        struct alter_client_quotas_request_entries entry = {.entity = &entity, .entity_count = 1, .ops = &op, .ops_count = 1};
        struct alter_client_quotas_request alter = {.entries = &entry, .entries_count = 1};
        const struct alter_client_quotas_response *altered = fixture_ask(f, API_ALTER_CLIENT_QUOTAS, version, &alter);
        ck_assert_int_eq(altered->entries[0].error_code, 0);
        struct describe_client_quotas_request describe = {0};
        const struct describe_client_quotas_response *described = fixture_ask(f, API_DESCRIBE_CLIENT_QUOTAS, version, &describe);
        ck_assert_int_eq(described->entries_count, 1);
        ck_assert_double_eq(described->entries[0].values[0].value, 100 + version);
    }
    for (int16_t version = 0; version <= 2; version++) {
        int32_t partition = 0;
        struct elect_leaders_request_topic_partitions topic = {
            .topic = SLICE_LITERAL("events"), .partitions = &partition, .partitions_count = 1};
        struct elect_leaders_request elect = {.topic_partitions = &topic, .topic_partitions_count = 1, .timeout_ms = 1000};
        const struct elect_leaders_response *elected = fixture_ask(f, API_ELECT_LEADERS, version, &elect);
        ck_assert_int_eq(elected->replica_election_results[0].partition_result[0].error_code, KAFKA_ELECTION_NOT_NEEDED);
        struct update_features_request_feature_updates update = {
            .feature = SLICE_LITERAL("eligible.leader.replicas.version"), .max_version_level = 1, .upgrade_type = 1};
        struct update_features_request features = {.timeout_ms = 1000, .feature_updates = &update, .feature_updates_count = 1};
        ck_assert_int_eq(((const struct update_features_response *)fixture_ask(f, API_UPDATE_FEATURES, version, &features))->error_code, 0);
    }
    struct unregister_broker_request unregister = {.broker_id = 9};
    const struct unregister_broker_response *unregistered = fixture_ask(f, API_UNREGISTER_BROKER, 0, &unregister);
    ck_assert_int_eq(unregistered->error_code, KAFKA_BROKER_ID_NOT_REGISTERED);
    fixture_end(f);
}
END_TEST

static bool is_registered_anew(void *context)
{
    const struct fixture *f = context;
    const struct image_broker *broker = image_broker_get(broker_node_image(f->broker), 2);
    return broker && !broker->fenced && topic_of(f, "events")->partitions[0].isr_count == 3;
}

/* It finds out by its next heartbeat. */
START_TEST(a_broker_that_runs_registers_anew)
{
    struct fixture *f = fixture_create_nodes("", 3);
    create_on(f, "events", (int32_t[]){0, 1, 2}, 3);
    struct unregister_broker_request unregister = {.broker_id = 2};
    const struct unregister_broker_response *response = fixture_ask(f, API_UNREGISTER_BROKER, 0, &unregister);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert(sim_wait(f->sim, is_registered_anew, f, 30 * SIM_SECOND));
    fixture_end(f);
}
END_TEST

static const struct create_topics_response *create_at(struct fixture *f, int16_t version, const char *name, int32_t partitions)
{
    struct create_topics_request_topics topic = {.name = slice_str(name), .num_partitions = partitions, .replication_factor = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 1000};
    return fixture_ask(f, API_CREATE_TOPICS, version, &request);
}

START_TEST(a_quota_of_partitions_is_kept_by_the_controller_and_heeded_by_the_broker)
{
    struct fixture *f = fixture_create("");
    fixture_set_quota(f, NULL, "controller_mutation_rate", 1);
    const struct create_topics_response *created = create_at(f, 7, "a", 13);
    ck_assert_int_eq(created->topics[0].error_code, 0);
    ck_assert_int_eq(created->throttle_time_ms, 0);
    created = create_at(f, 7, "b", 1);
    ck_assert_int_eq(created->topics[0].error_code, KAFKA_THROTTLING_QUOTA_EXCEEDED);
    ck_assert_int_gt(created->throttle_time_ms, 1000);
    ck_assert_int_le(created->throttle_time_ms, 2000);
    /* It is not heard meanwhile, and then it owes nothing. */
    created = create_at(f, 5, "b", 3);
    ck_assert_int_eq(created->topics[0].error_code, 0);
    ck_assert_int_gt(created->throttle_time_ms, 2000);
    ck_assert_int_le(created->throttle_time_ms, 3000);
    fixture_end(f);
}
END_TEST

static int32_t metadata_throttle(struct fixture *f)
{
    struct metadata_request request = {.topics_count = 0};
    return ((const struct metadata_response *)fixture_ask(f, API_METADATA, 9, &request))->throttle_time_ms;
}

START_TEST(who_takes_too_much_of_the_threads_time_is_told_and_not_heard)
{
    struct fixture *f = fixture_create("");
    sim_set_work(f->sim, 5 * 1000000); /* a request takes 10 ms, half of them before its answer */
    for (int i = 0; i < 5; i++) ck_assert_int_eq(metadata_throttle(f), 0);
    fixture_set_quota(f, NULL, "request_percentage", 2);
    ck_assert_int_eq(metadata_throttle(f), 0); /* a second's worth is there at first: 20 ms */
    ck_assert_int_eq(metadata_throttle(f), 0);
    int32_t throttle_ms = metadata_throttle(f);
    ck_assert_int_gt(throttle_ms, 200);
    ck_assert_int_le(throttle_ms, 250);
    /* Answers that the controller made say it, too. */
    int64_t before_us = env_now_us(f->client);
    struct create_topics_request_topics topic = {.name = SLICE_LITERAL("a"), .num_partitions = 1, .replication_factor = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 1000};
    const struct create_topics_response *created = fixture_ask(f, API_CREATE_TOPICS, 7, &request);
    ck_assert_int_eq(created->topics[0].error_code, 0);
    ck_assert(slice_equal_str(created->topics[0].name, "a"));
    ck_assert_int_gt(created->throttle_time_ms, 0);
    ck_assert_int_ge(env_now_us(f->client) - before_us, 200 * SIM_MS); /* it was not heard */
    sim_set_work(f->sim, 500 * 1000000);
    throttle_ms = metadata_throttle(f);
    ck_assert_int_eq(throttle_ms, 1000); /* at most */
    fixture_end(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cluster_admin");
    TCase *tcase = tcase_create("core");
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, replicas_move_with_their_records);
    tcase_add_loop_test(tcase, a_log_that_begins_above_its_leaders_end_begins_anew, 0, 2);
    tcase_add_test(tcase, consumers_are_sent_to_the_replica_in_their_rack);
    tcase_add_test(tcase, unsecured_answers_at_every_version);
    tcase_add_test(tcase, config_resources_are_listed);
    tcase_add_test(tcase, a_quota_of_partitions_is_kept_by_the_controller_and_heeded_by_the_broker);
    tcase_add_test(tcase, who_takes_too_much_of_the_threads_time_is_told_and_not_heard);
    tcase_add_test(tcase, quotas_features_elections_and_removals_at_every_version);
    tcase_add_test(tcase, a_broker_that_runs_registers_anew);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
