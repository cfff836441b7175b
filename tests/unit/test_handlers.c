/* Every API that a broker serves, at every version it advertises, asked of a whole node in the simulator. Numbers in names are
 * those of known traps of the protocol. */
#include "tests/unit/node_fixture.h"

#include "broker/handlers/handler.h"
#include "common/topic_config.h"
#include "proto/errors.h"

static struct uuid topic_id_of(struct fixture *f, const char *name)
{
    const struct image_topic *topic = image_topic_by_name(broker_node_image(f->broker), slice_str(name));
    ck_assert_ptr_nonnull(topic);
    return topic->id;
}

/* ---- ApiVersions --------------------------------------------------------------------------------------------------- */

static const struct api_versions_request client_software = {
    .client_software_name = {(const uint8_t *)"test", 4}, .client_software_version = {(const uint8_t *)"1.0", 3}, .node_id = -1};

START_TEST(api_versions_lists_what_is_served)
{
    struct fixture *f = fixture_create("");
    for (int16_t version = 0; version <= 4; version++) {
        const struct api_versions_response *response = fixture_ask(f, API_API_VERSIONS, version, &client_software);
        ck_assert_int_eq(response->error_code, 0);
        ck_assert_int_eq(response->api_keys_count, (int32_t)handler_count);
        for (int32_t i = 0; i < response->api_keys_count; i++) {
            const struct handler *handler = handler_find(response->api_keys[i].api_key);
            ck_assert_int_eq(response->api_keys[i].max_version, handler->version_max);
            bool is_produce = handler->api_key == API_PRODUCE; /* KAFKA-18659 */
            ck_assert_int_eq(response->api_keys[i].min_version, is_produce ? 0 : handler->version_min);
        }
        if (version < 3) continue;
        ck_assert_int_ge(response->finalized_features_epoch, 0);
        ck_assert_int_gt(response->finalized_features_count, 0);
        for (int32_t i = 0; i < response->supported_features_count; i++)
            if (version < 4) ck_assert_int_gt(response->supported_features[i].min_version, 0);
    }
    fixture_end(f);
}
END_TEST

START_TEST(trap_1_api_versions_of_the_future_is_answered_with_one_row)
{
    struct fixture *f = fixture_create("");
    fixture_send_raw(f, API_API_VERSIONS, 77, true, buf_copy(SLICE_LITERAL("\x05odd bytes of a later schema")));
    f->call.is_flexible = false;
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    ck_assert_int_eq(f->err, ERR_OK);
    struct arena arena;
    struct api_versions_response response;
    arena_init(&arena, 1 << 16);
    ck_assert_int_eq(codec_decode_exact(KMSG_API_VERSIONS_RESPONSE, 0, f->body, &arena, &response), ERR_OK);
    ck_assert_int_eq(response.error_code, KAFKA_UNSUPPORTED_VERSION);
    ck_assert_int_eq(response.api_keys_count, 1);
    ck_assert_int_eq(response.api_keys[0].api_key, API_API_VERSIONS);
    ck_assert_int_eq(response.api_keys[0].max_version, 4);
    arena_deinit(&arena);
    ck_assert_ptr_nonnull(fixture_ask(f, API_API_VERSIONS, 4, &client_software)); /* the connection lives */
    fixture_end(f);
}
END_TEST

START_TEST(api_versions_refuses_strange_software_names)
{
    struct fixture *f = fixture_create("");
    static const char *const names[] = {"", "-a", "a-", "a b", "a\n", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct api_versions_request request = client_software;
        request.client_software_name = slice_str(names[i]);
        const struct api_versions_response *response = fixture_ask(f, API_API_VERSIONS, 3, &request);
        ck_assert_int_eq(response->error_code, KAFKA_INVALID_REQUEST);
    }
    fixture_end(f);
}
END_TEST

START_TEST(what_is_not_served_closes_the_connection)
{
    struct fixture *f = fixture_create("");
    static const struct {
        int16_t key, version;
    } asked[] = {{9999, 0}, {API_JOIN_GROUP, 0}, {API_METADATA, 99}, {API_PRODUCE, 2}, {-1, 0}, {20000, 0}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        fixture_send_raw(f, asked[i].key, asked[i].version, false, buf_copy(SLICE_LITERAL("\0\0\0\0\0\0\0\0")));
        ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
        ck_assert_int_ne(f->err, ERR_OK);
        sim_run_for(f->sim, SIM_MS);
        ck_assert(f->is_closed);
        fixture_connect(f);
    }
    fixture_end(f);
}
END_TEST

/* ---- Metadata ------------------------------------------------------------------------------------------------------ */

/* As librdkafka 2.15 asks for all topics: it keeps four bytes for a count that takes one. */
START_TEST(what_is_behind_a_request_is_not_looked_at)
{
    struct fixture *f = fixture_create("");
    struct metadata_response response;
    struct arena arena;
    ck_assert_int_eq(fixture_create_topic(f, "events", 3), 0);
    fixture_send_raw(f, API_METADATA, 13, true, buf_copy(SLICE_LITERAL("\0\0\0\0\0\0\0")));
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, SIM_SECOND));
    ck_assert_int_eq(f->err, ERR_OK);
    arena_init(&arena, 1 << 16);
    ck_assert_int_eq(codec_decode_exact(KMSG_METADATA_RESPONSE, 13, f->body, &arena, &response), ERR_OK);
    ck_assert_int_eq(response.topics_count, 1);
    ck_assert(slice_equal_str(response.topics[0].name, "events"));
    arena_deinit(&arena);
    fixture_end(f);
}
END_TEST

START_TEST(metadata_at_every_version)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 3), 0);
    for (int16_t version = 0; version <= 13; version++) {
        struct metadata_request_topics topic = {.name = SLICE_LITERAL("events")};
        struct metadata_request request = {.topics = &topic, .topics_count = 1, .allow_auto_topic_creation = true};
        const struct metadata_response *response = fixture_ask(f, API_METADATA, version, &request);
        ck_assert_int_eq(response->brokers_count, 1);
        ck_assert(slice_equal_str(response->brokers[0].host, "node"));
        ck_assert_int_eq(response->brokers[0].port, 9092);
        ck_assert_int_eq(response->topics_count, 1);
        ck_assert_int_eq(response->topics[0].partitions_count, 3);
        ck_assert_int_eq(response->topics[0].partitions[2].leader_id, 0);
        ck_assert_int_eq(response->topics[0].partitions[2].isr_nodes_count, 1);
        if (version >= 1) ck_assert_int_eq(response->controller_id, 0);
        if (version >= 2) ck_assert(response->cluster_id.n > 0);
        if (version >= 10) ck_assert(uuid_equal(response->topics[0].topic_id, topic_id_of(f, "events")));
    }
    fixture_end(f);
}
END_TEST

START_TEST(trap_37_all_topics_or_none)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "a", 1), 0);
    ck_assert_int_eq(fixture_create_topic(f, "b", 1), 0);
    struct metadata_request none = {.allow_auto_topic_creation = true}, all = {.topics_count = -1, .allow_auto_topic_creation = true};
    ck_assert_int_eq(((const struct metadata_response *)fixture_ask(f, API_METADATA, 0, &none))->topics_count, 2);
    ck_assert_int_eq(((const struct metadata_response *)fixture_ask(f, API_METADATA, 1, &none))->topics_count, 0);
    ck_assert_int_eq(((const struct metadata_response *)fixture_ask(f, API_METADATA, 1, &all))->topics_count, 2);
    ck_assert_int_eq(((const struct metadata_response *)fixture_ask(f, API_METADATA, 13, &all))->topics_count, 2);
    fixture_end(f);
}
END_TEST

/* W-7: else few bytes ask for much. */
START_TEST(a_topic_is_described_once_however_often_it_is_named)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "a", 1), 0);
    struct metadata_request_topics names[] = {
        {.name = SLICE_LITERAL("a")}, {.name = SLICE_LITERAL("absent")}, {.name = SLICE_LITERAL("a")}, {.name = SLICE_LITERAL("absent")}};
    struct metadata_request request = {.topics = names, .topics_count = 4};
    const struct metadata_response *response = fixture_ask(f, API_METADATA, 12, &request);
    ck_assert_int_eq(response->topics_count, 2);
    ck_assert(slice_equal_str(response->topics[0].name, "a"));
    struct uuid id = response->topics[0].topic_id;
    struct metadata_request_topics ids[] = {{.topic_id = id}, {.topic_id = id}, {.name = SLICE_LITERAL("a")}};
    request = (struct metadata_request){.topics = ids, .topics_count = 3};
    response = fixture_ask(f, API_METADATA, 12, &request);
    ck_assert_int_eq(response->topics_count, 1);
    /* An id goes before a name. */
    struct metadata_request_topics both[] = {{.topic_id = id, .name = SLICE_LITERAL("absent")}};
    request = (struct metadata_request){.topics = both, .topics_count = 1};
    response = fixture_ask(f, API_METADATA, 12, &request);
    ck_assert(slice_equal_str(response->topics[0].name, "a"));
    fixture_end(f);
}
END_TEST

static int16_t ask_for_topic(struct fixture *f, const char *name, bool may_create)
{
    struct metadata_request_topics topic = {.name = slice_str(name)};
    struct metadata_request request = {.topics = &topic, .topics_count = 1, .allow_auto_topic_creation = may_create};
    const struct metadata_response *response = fixture_ask(f, API_METADATA, 12, &request);
    ck_assert_int_eq(response->topics_count, 1);
    return response->topics[0].error_code;
}

START_TEST(trap_38_topics_are_created_when_asked_for)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(ask_for_topic(f, "never", false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(ask_for_topic(f, "wanted", true), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(ask_for_topic(f, "a/b", true), KAFKA_INVALID_TOPIC_EXCEPTION);
    sim_run_for(f->sim, SIM_SECOND);
    ck_assert_int_eq(ask_for_topic(f, "wanted", true), 0);
    ck_assert_int_eq(ask_for_topic(f, "never", false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fixture_end(f);
    f = fixture_create("auto.create.topics.enable=false\n");
    ck_assert_int_eq(ask_for_topic(f, "wanted", true), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    sim_run_for(f->sim, SIM_SECOND);
    ck_assert_int_eq(ask_for_topic(f, "wanted", true), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fixture_end(f);
}
END_TEST

/* ---- Produce and Fetch --------------------------------------------------------------------------------------------- */

static const struct produce_response_partition_responses *produce(struct fixture *f, int16_t version, const char *topic, int32_t partition,
                                                                  int16_t acks, struct slice records)
{
    struct produce_request_partition_data data = {.index = partition, .records = records};
    struct produce_request_topic_data topic_data = {.name = slice_str(topic), .partition_data = &data, .partition_data_count = 1};
    const struct image_topic *known = image_topic_by_name(broker_node_image(f->broker), slice_str(topic));
    if (known) topic_data.topic_id = known->id;
    struct produce_request request = {.acks = acks, .timeout_ms = 10000, .topic_data = &topic_data, .topic_data_count = 1};
    const struct produce_response *response = fixture_ask(f, API_PRODUCE, version, &request);
    ck_assert_int_eq(response->responses_count, 1);
    ck_assert_int_eq(response->responses[0].partition_responses_count, 1);
    return &response->responses[0].partition_responses[0];
}

static const struct fetch_response *fetch(struct fixture *f, int16_t version, const char *topic, int64_t offset, int32_t wait_ms)
{
    struct fetch_request_partitions partition = {.current_leader_epoch = -1,
                                                 .fetch_offset = offset,
                                                 .last_fetched_epoch = -1,
                                                 .log_start_offset = -1,
                                                 .partition_max_bytes = 1 << 20,
                                                 .high_watermark = INT64_MAX};
    struct fetch_request_topics topics = {.topic = slice_str(topic), .partitions = &partition, .partitions_count = 1};
    const struct image_topic *known = image_topic_by_name(broker_node_image(f->broker), slice_str(topic));
    if (known) topics.topic_id = known->id;
    struct fetch_request request = {.replica_id = -1,
                                    .replica_state = {.replica_id = -1, .replica_epoch = -1},
                                    .max_wait_ms = wait_ms,
                                    .min_bytes = 1,
                                    .max_bytes = 1 << 20,
                                    .session_epoch = -1,
                                    .topics = &topics,
                                    .topics_count = 1,
                                    .rack_id = SLICE_LITERAL("")};
    return fixture_ask(f, API_FETCH, version, &request);
}

START_TEST(produce_and_fetch_at_every_version)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    int64_t next = 0;
    for (int16_t version = 3; version <= 13; version++, next++) {
        struct buf *batch = fixture_batch("value");
        const struct produce_response_partition_responses *answer =
            produce(f, version, "events", 0, version % 2 ? 1 : -1, buf_slice(batch));
        ck_assert_int_eq(answer->error_code, 0);
        ck_assert_int_eq(answer->base_offset, next);
        buf_unref(batch);
    }
    for (int16_t version = 4; version <= 18; version++) {
        const struct fetch_response *response = fetch(f, version, "events", 3, 0);
        ck_assert_int_eq(response->error_code, 0);
        ck_assert_int_eq(response->session_id, 0);
        ck_assert_int_eq(response->responses_count, 1);
        if (version < 13) ck_assert(slice_equal_str(response->responses[0].topic, "events"));
        const struct fetch_response_partitions *partition = &response->responses[0].partitions[0];
        ck_assert_int_eq(partition->error_code, 0);
        ck_assert_int_eq(partition->high_watermark, next);
        struct record_batch first;
        ck_assert_int_eq(record_batch_parse(partition->records, &first), ERR_OK);
        ck_assert_int_eq(first.base_offset, 3);
        ck_assert(record_batch_is_crc_valid(&first));
    }
    fixture_end(f);
}
END_TEST

START_TEST(produce_says_what_is_wrong)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    struct buf *batch = fixture_batch("value");
    for (int16_t version = 3; version <= 13; version++) {
        enum kafka_error unknown = version >= 13 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        ck_assert_int_eq(produce(f, version, "absent", 0, 1, buf_slice(batch))->error_code, unknown);
        ck_assert_int_eq(produce(f, version, "events", 7, 1, buf_slice(batch))->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        ck_assert_int_eq(produce(f, version, "events", 0, 2, buf_slice(batch))->error_code, KAFKA_INVALID_REQUIRED_ACKS);
        ck_assert_int_eq(produce(f, version, "events", 0, 1, SLICE_NULL)->error_code, KAFKA_INVALID_RECORD);
    }
    batch->data[batch->size - 1] ^= 1;
    ck_assert_int_eq(produce(f, 9, "events", 0, 1, buf_slice(batch))->error_code, KAFKA_CORRUPT_MESSAGE);
    buf_unref(batch);
    fixture_end(f);
}
END_TEST

START_TEST(trap_11_the_record_at_fault_is_named)
{
    struct fixture *f =
        fixture_create("message.max.bytes=1000000\nlog.message.timestamp.after.max.ms=0\nlog.message.timestamp.before.max.ms=0\n");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    struct buf *batch = fixture_batch("value");
    sim_run_for(f->sim, SIM_SECOND); /* its time is past */
    const struct produce_response_partition_responses *response = produce(f, 9, "events", 0, 1, buf_slice(batch));
    ck_assert_int_eq(response->error_code, KAFKA_INVALID_TIMESTAMP);
    ck_assert_int_eq(response->record_errors_count, 1);
    ck_assert_int_eq(response->record_errors[0].batch_index, 0);
    ck_assert(!slice_is_null(response->record_errors[0].batch_index_error_message));
    batch->data[batch->size - 1] ^= 1;
    ck_assert_int_eq(produce(f, 9, "events", 0, 1, buf_slice(batch))->record_errors_count, 0);
    buf_unref(batch);
    fixture_end(f);
}
END_TEST

START_TEST(trap_11_every_record_at_fault_is_named)
{
    struct fixture *f = fixture_create("log.cleanup.policy=compact\n");
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    record_batch_spec_init(&spec);
    record_batch_builder_init(&builder, &spec);
    for (int i = 0; i < 4; i++)
        record_batch_builder_add(&builder, 1000, i % 2 ? SLICE_NULL : SLICE_LITERAL("key"), SLICE_LITERAL("value"), NULL, 0);
    struct buf *batch = record_batch_builder_finish(&builder);
    record_batch_builder_deinit(&builder);
    const struct produce_response_partition_responses *response = produce(f, 9, "events", 0, 1, buf_slice(batch));
    ck_assert_int_eq(response->error_code, KAFKA_INVALID_RECORD);
    ck_assert_int_eq(response->record_errors_count, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(response->record_errors[i].batch_index, 2 * i + 1);
        ck_assert(slice_equal(response->record_errors[i].batch_index_error_message, response->error_message));
    }
    buf_unref(batch);
    fixture_end(f);
}
END_TEST

static struct buf *zstd_batch(void)
{
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    record_batch_spec_init(&spec);
    spec.compression = COMPRESSION_ZSTD;
    record_batch_builder_init(&builder, &spec);
    record_batch_builder_add(&builder, 1000, SLICE_LITERAL("key"), SLICE_LITERAL("value"), NULL, 0);
    struct buf *batch = record_batch_builder_finish(&builder);
    record_batch_builder_deinit(&builder);
    return batch;
}

START_TEST(trap_8_zstd_is_for_clients_that_know_it)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    struct buf *plain = fixture_batch("value"), *zstd = zstd_batch();
    for (int16_t version = 3; version < 7; version++)
        ck_assert_int_eq(produce(f, version, "events", 0, 1, buf_slice(zstd))->error_code, KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    ck_assert_int_eq(produce(f, 9, "events", 0, 1, buf_slice(plain))->base_offset, 0);
    ck_assert_int_eq(produce(f, 7, "events", 0, 1, buf_slice(zstd))->base_offset, 1);
    ck_assert_int_eq(produce(f, 9, "events", 0, 1, buf_slice(plain))->base_offset, 2);
    for (int16_t version = 4; version <= 18; version++) {
        /* What comes before it, then the error, then what comes behind it. */
        const struct fetch_response_partitions *partition = fetch(f, version, "events", 0, 0)->responses[0].partitions;
        ck_assert_int_eq(partition->error_code, KAFKA_NONE);
        ck_assert_uint_eq(partition->records.n, version < 10 ? plain->size : 2 * plain->size + zstd->size);
        partition = fetch(f, version, "events", 1, 0)->responses[0].partitions;
        ck_assert_int_eq(partition->error_code, version < 10 ? KAFKA_UNSUPPORTED_COMPRESSION_TYPE : KAFKA_NONE);
        ck_assert_uint_eq(partition->records.n, version < 10 ? 0 : plain->size + zstd->size);
        partition = fetch(f, version, "events", 2, 0)->responses[0].partitions;
        ck_assert_int_eq(partition->error_code, KAFKA_NONE);
        ck_assert_uint_eq(partition->records.n, plain->size);
    }
    buf_unref(plain);
    buf_unref(zstd);
    fixture_end(f);
}
END_TEST

START_TEST(trap_9_acks_0_is_not_answered_and_errors_close)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    struct buf *batch = fixture_batch("value");
    for (int round = 0; round < 2; round++) {
        struct produce_request_partition_data data = {.index = round, .records = buf_slice(batch)};
        struct produce_request_topic_data topic = {.name = SLICE_LITERAL("events"), .partition_data = &data, .partition_data_count = 1};
        struct produce_request request = {.acks = 0, .timeout_ms = 10000, .topic_data = &topic, .topic_data_count = 1};
        struct writer w;
        writer_init(&w, 256);
        ck_assert_int_eq(codec_encode(KMSG_PRODUCE_REQUEST, 7, &request, &w), ERR_OK);
        fixture_send_raw(f, API_PRODUCE, 7, false, writer_take(&w));
        sim_run_for(f->sim, SIM_SECOND);
        ck_assert_int_eq(f->is_closed, round == 1);
        ck_assert_int_eq(f->is_answered, round == 1);
        if (round == 0) channel_cancel(&f->call);
    }
    fixture_connect(f);
    ck_assert_int_eq(fetch(f, 12, "events", 0, 0)->responses[0].partitions[0].high_watermark, 1);
    buf_unref(batch);
    fixture_end(f);
}
END_TEST

START_TEST(fetch_waits_for_records_and_tells_unknown_topics_at_once)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    int64_t before_us = sim_now_us(f->sim);
    const struct fetch_response *response = fetch(f, 12, "events", 0, 500);
    ck_assert_int_ge(sim_now_us(f->sim) - before_us, 500 * SIM_MS);
    ck_assert_int_eq(response->responses[0].partitions[0].error_code, 0);
    ck_assert_uint_eq(response->responses[0].partitions[0].records.n, 0);
    before_us = sim_now_us(f->sim);
    response = fetch(f, 12, "absent", 0, 500);
    ck_assert_int_lt(sim_now_us(f->sim) - before_us, 100 * SIM_MS);
    ck_assert_int_eq(response->responses[0].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(fetch(f, 12, "events", 99, 0)->responses[0].partitions[0].error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    fixture_end(f);
}
END_TEST

/* ---- offsets, producers -------------------------------------------------------------------------------------------- */

START_TEST(trap_22_list_offsets_at_every_version)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    for (int i = 0; i < 3; i++) {
        struct buf *batch = fixture_batch("value");
        ck_assert_int_eq(produce(f, 9, "events", 0, -1, buf_slice(batch))->error_code, 0);
        buf_unref(batch);
    }
    static const struct {
        int64_t timestamp, offset;
        int16_t since;
    } asked[] = {{-1, 3, 1}, {-2, 0, 1}, {-3, 0, 7}, {-4, 0, 8}, {-5, -1, 9}, {-6, -1, 11}, {1000, 0, 1}, {2000, -1, 1}};
    for (int16_t version = 1; version <= 11; version++) {
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
            struct list_offsets_request_partitions partition = {.current_leader_epoch = -1, .timestamp = asked[i].timestamp};
            struct list_offsets_request_topics topic = {.name = SLICE_LITERAL("events"), .partitions = &partition, .partitions_count = 1};
            struct list_offsets_request request = {.replica_id = -1, .topics = &topic, .topics_count = 1, .timeout_ms = 1000};
            const struct list_offsets_response *response = fixture_ask(f, API_LIST_OFFSETS, version, &request);
            const struct list_offsets_response_partitions *answer = &response->topics[0].partitions[0];
            if (version < asked[i].since) {
                ck_assert_int_eq(answer->error_code, KAFKA_UNSUPPORTED_VERSION);
                continue;
            }
            ck_assert_int_eq(answer->error_code, 0);
            ck_assert_msg(answer->offset == asked[i].offset, "%lld gives %lld", (long long)asked[i].timestamp, (long long)answer->offset);
            if (version >= 4 && answer->offset >= 0) ck_assert_int_eq(answer->leader_epoch, 0);
        }
    }
    fixture_end(f);
}
END_TEST

START_TEST(offset_for_leader_epoch_and_init_producer_id_at_every_version)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    for (int16_t version = 2; version <= 4; version++) {
        struct offset_for_leader_epoch_request_partitions partition = {.current_leader_epoch = -1, .leader_epoch = 0};
        struct offset_for_leader_epoch_request_topics topic = {
            .topic = SLICE_LITERAL("events"), .partitions = &partition, .partitions_count = 1};
        struct offset_for_leader_epoch_request request = {.replica_id = -1, .topics = &topic, .topics_count = 1};
        const struct offset_for_leader_epoch_response *response = fixture_ask(f, API_OFFSET_FOR_LEADER_EPOCH, version, &request);
        ck_assert_int_eq(response->topics[0].partitions[0].error_code, 0);
        ck_assert_int_eq(response->topics[0].partitions[0].end_offset, 0);
    }
    int64_t last = -1;
    for (int16_t version = 0; version <= 5; version++) {
        struct init_producer_id_request request = {.transaction_timeout_ms = 60000, .producer_id = -1, .producer_epoch = -1};
        const struct init_producer_id_response *response = fixture_ask(f, API_INIT_PRODUCER_ID, version, &request);
        ck_assert_int_eq(response->error_code, 0);
        ck_assert_int_gt(response->producer_id, last);
        ck_assert_int_eq(response->producer_epoch, 0);
        last = response->producer_id;
        request.transactional_id = SLICE_LITERAL("txn");
        response = fixture_ask(f, API_INIT_PRODUCER_ID, version, &request);
        ck_assert_int_eq(response->error_code, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        request.transactional_id = SLICE_LITERAL("");
        response = fixture_ask(f, API_INIT_PRODUCER_ID, version, &request);
        ck_assert_int_eq(response->error_code, KAFKA_INVALID_REQUEST);
        if (version < 3) continue;
        request = (struct init_producer_id_request){.producer_id = 5, .producer_epoch = -1};
        response = fixture_ask(f, API_INIT_PRODUCER_ID, version, &request);
        ck_assert_int_eq(response->error_code, KAFKA_INVALID_REQUEST);
        request = (struct init_producer_id_request){.producer_id = -1, .producer_epoch = 3};
        response = fixture_ask(f, API_INIT_PRODUCER_ID, version, &request);
        ck_assert_int_eq(response->error_code, KAFKA_INVALID_REQUEST);
        request = (struct init_producer_id_request){.producer_id = -2, .producer_epoch = -1};
        response = fixture_ask(f, API_INIT_PRODUCER_ID, version, &request);
        ck_assert_int_eq(response->error_code, KAFKA_INVALID_REQUEST);
    }
    fixture_end(f);
}
END_TEST

/* With an error that no client takes for one that passes: who asks for transactions learns at once that there are none. */
START_TEST(nobody_coordinates_transactions)
{
    struct fixture *f = fixture_create("");
    for (int16_t version = 1; version <= 6; version++) {
        struct slice key = SLICE_LITERAL("txn");
        struct find_coordinator_request request = {.key_type = 1, .key = SLICE_LITERAL("")};
        if (version < 4)
            request.key = key;
        else
            request.coordinator_keys = &key, request.coordinator_keys_count = 1;
        const struct find_coordinator_response *response = fixture_ask(f, API_FIND_COORDINATOR, version, &request);
        int16_t error = version < 4 ? response->error_code : response->coordinators[0].error_code;
        struct slice text = version < 4 ? response->error_message : response->coordinators[0].error_message;
        ck_assert_int_eq(error, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        ck_assert(slice_equal_str(text, "Transactions are not served yet."));
    }
    fixture_end(f);
}
END_TEST

START_TEST(find_coordinator_at_every_version)
{
    struct fixture *f = fixture_create("");
    for (int16_t version = 0; version <= 6; version++) {
        struct slice keys[] = {SLICE_LITERAL("one"), SLICE_LITERAL("two")};
        struct find_coordinator_request request = {.key = SLICE_LITERAL("")};
        if (version < 4)
            request.key = keys[0];
        else
            request.coordinator_keys = keys, request.coordinator_keys_count = 2;
        const struct find_coordinator_response *response = fixture_ask(f, API_FIND_COORDINATOR, version, &request);
        if (version < 4) {
            ck_assert_int_eq(response->error_code, version == 0 ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_NONE);
            if (version == 0) sim_run_for(f->sim, SIM_SECOND); /* the topic is being created */
            continue;
        }
        ck_assert_int_eq(response->coordinators_count, 2);
        ck_assert(slice_equal_str(response->coordinators[1].key, "two"));
        ck_assert_int_eq(response->coordinators[1].error_code, KAFKA_NONE);
        ck_assert(slice_equal_str(response->coordinators[1].host, "node"));
        request.key_type = 9;
        response = fixture_ask(f, API_FIND_COORDINATOR, version, &request);
        ck_assert_int_eq(response->coordinators[1].error_code, KAFKA_INVALID_REQUEST);
    }
    fixture_end(f);
}
END_TEST

/* ---- admin --------------------------------------------------------------------------------------------------------- */

START_TEST(topics_are_created_grown_and_deleted_at_every_version)
{
    struct fixture *f = fixture_create("");
    for (int16_t version = 2; version <= 7; version++) {
        char name[16];
        (void)snprintf(name, sizeof name, "topic-%d", version);
        struct create_topics_request_topics topic = {.name = slice_str(name), .num_partitions = 2, .replication_factor = 1};
        struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
        const struct create_topics_response *response = fixture_ask(f, API_CREATE_TOPICS, version, &request);
        ck_assert_int_eq(response->topics[0].error_code, 0);
        if (version >= 5) ck_assert_int_eq(response->topics[0].num_partitions, 2);
        response = fixture_ask(f, API_CREATE_TOPICS, version, &request);
        ck_assert_int_eq(response->topics[0].error_code, KAFKA_TOPIC_ALREADY_EXISTS);
        ck_assert_int_eq(ask_for_topic(f, name, false), 0); /* visible at once */
    }
    for (int16_t version = 0; version <= 3; version++) {
        struct create_partitions_request_topics topic = {.name = SLICE_LITERAL("topic-2"), .count = 3 + version, .assignments_count = -1};
        struct create_partitions_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
        const struct create_partitions_response *response = fixture_ask(f, API_CREATE_PARTITIONS, version, &request);
        ck_assert_int_eq(response->results_count, 1);
        ck_assert_int_eq(response->results[0].error_code, 0);
    }
    for (int16_t version = 1; version <= 6; version++) {
        char name[16];
        (void)snprintf(name, sizeof name, "topic-%d", version + 1);
        struct slice text = slice_str(name);
        struct delete_topics_request_topics topic = {.name = text};
        struct delete_topics_request request = {.timeout_ms = 10000};
        if (version >= 6)
            request.topics = &topic, request.topics_count = 1;
        else
            request.topic_names = &text, request.topic_names_count = 1;
        const struct delete_topics_response *response = fixture_ask(f, API_DELETE_TOPICS, version, &request);
        ck_assert_int_eq(response->responses[0].error_code, 0);
        ck_assert_int_eq(ask_for_topic(f, name, false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    fixture_end(f);
}
END_TEST

static const struct describe_configs_response_configs *find_config(const struct describe_configs_response *response, const char *name)
{
    ck_assert_int_eq(response->results_count, 1);
    ck_assert_int_eq(response->results[0].error_code, 0);
    for (int32_t i = 0; i < response->results[0].configs_count; i++)
        if (slice_equal_str(response->results[0].configs[i].name, name)) return &response->results[0].configs[i];
    ck_abort_msg("%s is missing", name);
}

static const struct describe_configs_response *describe(struct fixture *f, int16_t version, int8_t type, const char *name)
{
    struct describe_configs_request_resources resource = {
        .resource_type = type, .resource_name = slice_str(name), .configuration_keys_count = -1};
    struct describe_configs_request request = {
        .resources = &resource, .resources_count = 1, .include_synonyms = true, .include_documentation = version >= 3};
    return fixture_ask(f, API_DESCRIBE_CONFIGS, version, &request);
}

START_TEST(trap_40_every_setting_is_described_with_its_origin)
{
    struct fixture *f = fixture_create("log.retention.hours=2\n");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    for (int16_t version = 1; version <= 4; version++) {
        const struct describe_configs_response *response = describe(f, version, 2, "events");
        ck_assert_int_eq(response->results[0].configs_count, TOPIC_CONFIG_COUNT);
        const struct describe_configs_response_configs *retention = find_config(response, "retention.ms");
        ck_assert(slice_equal_str(retention->value, "7200000"));
        ck_assert_int_eq(retention->config_source, 4);
        ck_assert_int_eq(retention->synonyms_count, 2);
        ck_assert(slice_equal_str(retention->synonyms[0].name, "log.retention.hours"));
        ck_assert_int_eq(find_config(response, "cleanup.policy")->config_source, 5);
        if (version >= 3) ck_assert_int_eq(find_config(response, "cleanup.policy")->config_type, SETTING_LIST);
        response = describe(f, version, 4, "0");
        ck_assert_int_eq(response->results[0].configs_count, CONFIG_COUNT);
        ck_assert(find_config(response, "node.id")->read_only);
        ck_assert(!find_config(response, "log.retention.bytes")->read_only);
    }
    ck_assert_int_eq(describe(f, 4, 2, "absent")->results[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(describe(f, 4, 4, "1")->results[0].error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(describe(f, 4, 8, "0")->results[0].error_code, KAFKA_INVALID_REQUEST);
    fixture_end(f);
}
END_TEST

START_TEST(settings_are_changed_and_wrong_ones_refused)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    for (int16_t version = 0; version <= 1; version++) {
        ck_assert_int_eq(fixture_alter_config(f, version, 2, "events", "retention.ms", 0, "1234"), 0);
        ck_assert(slice_equal_str(find_config(describe(f, 4, 2, "events"), "retention.ms")->value, "1234"));
        ck_assert_int_eq(find_config(describe(f, 4, 2, "events"), "retention.ms")->config_source, 1);
        ck_assert_int_eq(fixture_alter_config(f, version, 2, "events", "retention.ms", 1, NULL), 0);
        ck_assert_int_eq(find_config(describe(f, 4, 2, "events"), "retention.ms")->config_source, 5);
        ck_assert_int_eq(fixture_alter_config(f, version, 2, "events", "retention.ms", 0, "soon"), KAFKA_INVALID_CONFIG);
        ck_assert_int_eq(fixture_alter_config(f, version, 4, "0", "log.dirs", 0, "/x"), KAFKA_INVALID_REQUEST);
        ck_assert_int_eq(fixture_alter_config(f, version, 4, "", "no.such", 0, "x"), KAFKA_INVALID_REQUEST);
        ck_assert_int_eq(fixture_alter_config(f, version, 4, "", "log.retention.bytes", 0, "many"), KAFKA_INVALID_REQUEST);
        ck_assert_int_eq(fixture_alter_config(f, version, 4, "", "log.retention.bytes", 0, "1000"), 0);
        ck_assert(slice_equal_str(find_config(describe(f, 4, 2, "events"), "retention.bytes")->value, "1000"));
        ck_assert_int_eq(find_config(describe(f, 4, 2, "events"), "retention.bytes")->config_source, 3);
        ck_assert_int_eq(fixture_alter_config(f, version, 4, "", "log.retention.bytes", 1, NULL), 0);
    }
    for (int16_t version = 0; version <= 2; version++) {
        struct alter_configs_request_configs config = {.name = SLICE_LITERAL("retention.ms"), .value = SLICE_LITERAL("99")};
        struct alter_configs_request_resources resource = {
            .resource_type = 2, .resource_name = SLICE_LITERAL("events"), .configs = &config, .configs_count = 1};
        struct alter_configs_request request = {.resources = &resource, .resources_count = 1};
        const struct alter_configs_response *response = fixture_ask(f, API_ALTER_CONFIGS, version, &request);
        ck_assert_int_eq(response->responses[0].error_code, 0);
    }
    fixture_end(f);
}
END_TEST

/* Of three resources the second is refused by the broker, the third by the controller: the first is changed. */
START_TEST(each_resource_is_altered_by_itself)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    static const int16_t errors[] = {KAFKA_NONE, KAFKA_INVALID_REQUEST, KAFKA_UNKNOWN_TOPIC_OR_PARTITION};
    static const char *const names[] = {"events", "0", "absent"};
    for (int16_t version = 0; version <= 1; version++) {
        struct alter_configs_request_configs change = {.name = SLICE_LITERAL("retention.ms"), .value = SLICE_LITERAL("99")};
        struct incremental_alter_configs_request_configs step = {.name = SLICE_LITERAL("segment.ms"), .value = SLICE_LITERAL("98")};
        struct alter_configs_request_resources whole[3];
        struct incremental_alter_configs_request_resources steps[3];
        for (int i = 0; i < 3; i++) {
            int8_t type = i == 1 ? 4 : 2;
            whole[i] = (struct alter_configs_request_resources){type, slice_str(names[i]), &change, 1};
            steps[i] = (struct incremental_alter_configs_request_resources){type, slice_str(names[i]), &step, 1};
        }
        const struct alter_configs_response *altered =
            fixture_ask(f, API_ALTER_CONFIGS, version, &(struct alter_configs_request){.resources = whole, .resources_count = 3});
        ck_assert_int_eq(altered->responses_count, 3);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(altered->responses[i].error_code, errors[i]);
            ck_assert(slice_equal_str(altered->responses[i].resource_name, names[i]));
        }
        ck_assert(slice_equal_str(find_config(describe(f, 4, 2, "events"), "retention.ms")->value, "99"));
        const struct incremental_alter_configs_response *stepped =
            fixture_ask(f, API_INCREMENTAL_ALTER_CONFIGS, version,
                        &(struct incremental_alter_configs_request){.resources = steps, .resources_count = 3});
        ck_assert_int_eq(stepped->responses_count, 3);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(stepped->responses[i].error_code, errors[i]);
            ck_assert(slice_equal_str(stepped->responses[i].resource_name, names[i]));
        }
        ck_assert(slice_equal_str(find_config(describe(f, 4, 2, "events"), "segment.ms")->value, "98"));
    }
    fixture_end(f);
}
END_TEST

static int16_t alter_broker(struct fixture *f, const char *broker, const char *name, const char *value)
{
    return fixture_alter_config(f, 1, 4, broker, name, value ? 0 : 1, value);
}
static int source_of(struct fixture *f, int8_t type, const char *resource, const char *name)
{
    return find_config(describe(f, 4, type, resource), name)->config_source;
}

START_TEST(settings_of_one_broker_go_before_those_of_all)
{
    struct fixture *f = fixture_create("message.max.bytes=4000\n");
    ck_assert_int_eq(fixture_create_topic(f, "events", 1), 0);
    ck_assert_int_eq(source_of(f, 4, "0", "message.max.bytes"), 4);
    ck_assert_int_eq(alter_broker(f, "", "message.max.bytes", "3000"), 0);
    ck_assert_int_eq(source_of(f, 4, "0", "message.max.bytes"), 3);
    ck_assert_int_eq(source_of(f, 4, "", "message.max.bytes"), 3);
    ck_assert_int_eq(alter_broker(f, "0", "message.max.bytes", "50"), 0);
    const struct describe_configs_response_configs *config = find_config(describe(f, 4, 4, "0"), "message.max.bytes");
    ck_assert_int_eq(config->config_source, 2);
    ck_assert(!config->read_only);
    ck_assert_int_eq(config->synonyms_count, 4);
    const int sources[] = {2, 3, 4, 5};
    for (int i = 0; i < 4; i++) ck_assert_int_eq(config->synonyms[i].source, sources[i]);
    config = find_config(describe(f, 4, 2, "events"), "max.message.bytes");
    ck_assert_int_eq(config->config_source, 2);
    ck_assert(slice_equal_str(config->value, "50"));
    /* And it holds. */
    struct buf *batch = fixture_batch("value");
    ck_assert_int_eq(produce(f, 9, "events", 0, 1, buf_slice(batch))->error_code, KAFKA_MESSAGE_TOO_LARGE);
    ck_assert_int_eq(fixture_alter_config(f, 1, 2, "events", "max.message.bytes", 0, "4000"), 0); /* the topic's goes before both */
    ck_assert_int_eq(produce(f, 9, "events", 0, 1, buf_slice(batch))->error_code, 0);
    ck_assert_int_eq(fixture_alter_config(f, 1, 2, "events", "max.message.bytes", 1, NULL), 0);
    ck_assert_int_eq(fixture_alter_config(f, 1, 4, "0", "message.max.bytes", 1, ""), 0); /* kafka-configs deletes with an empty value */
    ck_assert_int_eq(source_of(f, 2, "events", "max.message.bytes"), 3);
    ck_assert_int_eq(produce(f, 9, "events", 0, 1, buf_slice(batch))->error_code, 0);
    buf_unref(batch);
    fixture_end(f);
}
END_TEST

START_TEST(settings_of_brokers_change_what_runs_or_are_refused)
{
    struct fixture *f = fixture_create("");
    /* Controllers decide by these; the broker of that id could not obey alone. */
    ck_assert_int_eq(alter_broker(f, "0", "min.insync.replicas", "2"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "0", "unclean.leader.election.enable", "true"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "", "unclean.leader.election.enable", "false"), 0);
    ck_assert_int_eq(alter_broker(f, "", "listeners", "PLAINTEXT://:1"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "7", "max.connections", "5"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "zero", "max.connections", "5"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "0", "num.io.threads", "0"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "0", "num.io.threads", "16"), 0);
    ck_assert_int_eq(alter_broker(f, "0", "producer.id.expiration.ms", "600000"), 0);
    /* Nobody could take it back. */
    ck_assert_int_eq(alter_broker(f, "", "max.connections.per.ip", "0"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "", "max.connection.creation.rate", "0"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "", "max.connections.per.ip.overrides", "nobody"), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter_broker(f, "", "max.connections.per.ip.overrides", "nobody:1"), 0);
    ck_assert_int_eq(alter_broker(f, "", "max.connections.per.ip", "0"), 0);
    struct channel *first = f->channel;
    f->channel = NULL;
    fixture_connect(f);
    sim_run_for(f->sim, SIM_SECOND);
    ck_assert(f->is_closed);
    f->channel = first;
    f->is_closed = false;
    ck_assert_int_eq(alter_broker(f, "0", "max.connections.per.ip", "2"), 0); /* goes before that of all */
    f->channel = NULL;
    fixture_connect(f);
    sim_run_for(f->sim, SIM_SECOND);
    ck_assert(!f->is_closed);
    channel_close(first);
    fixture_end(f);
}
END_TEST

START_TEST(the_cluster_and_its_quorum_are_described_at_every_version)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "events", 2), 0);
    for (int16_t version = 0; version <= 2; version++) {
        struct describe_cluster_request cluster = {.endpoint_type = 1, .include_cluster_authorized_operations = true};
        const struct describe_cluster_response *response = fixture_ask(f, API_DESCRIBE_CLUSTER, version, &cluster);
        ck_assert_int_eq(response->error_code, 0);
        ck_assert_int_eq(response->brokers_count, 1);
        ck_assert_int_eq(response->controller_id, 0);
        struct describe_quorum_request_partitions partition = {0};
        struct describe_quorum_request_topics topic = {
            .topic_name = SLICE_LITERAL("__cluster_metadata"), .partitions = &partition, .partitions_count = 1};
        struct describe_quorum_request quorum = {.topics = &topic, .topics_count = 1};
        const struct describe_quorum_response *answer = fixture_ask(f, API_DESCRIBE_QUORUM, version, &quorum);
        ck_assert_int_eq(answer->error_code, 0);
        ck_assert_int_eq(answer->topics[0].partitions[0].leader_id, 0);
        ck_assert_int_eq(answer->topics[0].partitions[0].current_voters_count, 1);
    }
    struct describe_cluster_request controllers = {.endpoint_type = 2};
    const struct describe_cluster_response *refused = fixture_ask(f, API_DESCRIBE_CLUSTER, 1, &controllers);
    ck_assert_int_eq(refused->error_code, KAFKA_MISMATCHED_ENDPOINT_TYPE);
    fixture_end(f);
}
END_TEST

START_TEST(topic_partitions_come_in_pages)
{
    struct fixture *f = fixture_create("");
    ck_assert_int_eq(fixture_create_topic(f, "b", 3), 0);
    ck_assert_int_eq(fixture_create_topic(f, "a", 2), 0);
    struct describe_topic_partitions_request_cursor cursor = {.topic_name = SLICE_LITERAL("a")};
    struct describe_topic_partitions_request request = {.response_partition_limit = 0}; /* 1 at least */
    char seen[64] = "", name[2] = "a";
    for (int page = 0; page < 5; page++) {
        const struct describe_topic_partitions_response *response = fixture_ask(f, API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
        ck_assert_int_eq(response->topics_count, 1); /* none without partitions on this page */
        for (int32_t t = 0; t < response->topics_count; t++)
            for (int32_t i = 0; i < response->topics[t].partitions_count; i++) {
                size_t n = strlen(seen);
                (void)snprintf(seen + n, sizeof seen - n, "%.*s%d ", SLICE_ARG(response->topics[t].name),
                               response->topics[t].partitions[i].partition_index);
            }
        if (!response->next_cursor) break;
        name[0] = (char)response->next_cursor->topic_name.p[0];
        cursor.topic_name = slice_str(name);
        cursor.partition_index = response->next_cursor->partition_index;
        request.cursor = &cursor;
    }
    ck_assert_str_eq(seen, "a0 a1 b0 b1 b2 ");
    fixture_end(f);
}
END_TEST

/* Valid requests with random contents, and the same with a byte changed: each is answered so that the answer can be read, or its
 * connection is closed, and the node goes on. */
START_TEST(random_requests_do_no_harm)
{
    struct fixture *f = fixture_create("");
    struct prng prng;
    prng_init(&prng, (uint64_t)_i);
    ck_assert_int_eq(fixture_create_topic(f, "events", 3), 0);
    for (int round = 0; round < 300; round++) {
        const struct handler *handler = &handlers[prng_below(&prng, handler_count)];
        int16_t version = (int16_t)prng_range(&prng, handler->version_min, handler->version_max);
        struct arena arena;
        struct writer w;
        arena_init(&arena, 1 << 20);
        writer_init(&w, 256);
        void *request = arena_alloc(&arena, codec_struct_size(api_request(handler->api_key)));
        codec_randomize(api_request(handler->api_key), version, &prng, &arena, request);
        ck_assert_int_eq(codec_encode(api_request(handler->api_key), version, request, &w), ERR_OK);
        arena_deinit(&arena);
        struct buf *body = writer_take(&w);
        if (body->size > 0 && prng_chance(&prng, 1, 2)) body->data[prng_below(&prng, body->size)] ^= (uint8_t)(1 << prng_below(&prng, 8));
        fixture_send_raw(f, handler->api_key, version, api_request_header_version(handler->api_key, version) == 2, body);
        (void)sim_wait(f->sim, fixture_has_answer, f, 100 * SIM_MS);
        if (f->is_answered && f->err == ERR_OK) continue;
        /* Closed, a produce without answer, or one that waits for long. */
        sim_run_for(f->sim, SIM_MS);
        fixture_connect(f);
    }
    ck_assert_ptr_nonnull(fixture_ask(f, API_API_VERSIONS, 4, &client_software));
    fixture_end(f);
}
END_TEST

START_TEST(topic_names_are_kafkas)
{
    char longest[251];
    memset(longest, 'x', sizeof longest);
    ck_assert(is_valid_topic_name(SLICE_LITERAL("a.B-c_9")));
    ck_assert(is_valid_topic_name(slice_make(longest, 249)));
    ck_assert(!is_valid_topic_name(slice_make(longest, 250)));
    static const char *const bad[] = {"", ".", "..", "a/b", "a b", "../etc", "a\n", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert(!is_valid_topic_name(slice_str(bad[i])));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handlers");
    TCase *tcase = tcase_create("core");
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, api_versions_lists_what_is_served);
    tcase_add_test(tcase, trap_1_api_versions_of_the_future_is_answered_with_one_row);
    tcase_add_test(tcase, api_versions_refuses_strange_software_names);
    tcase_add_test(tcase, what_is_not_served_closes_the_connection);
    tcase_add_test(tcase, what_is_behind_a_request_is_not_looked_at);
    tcase_add_test(tcase, metadata_at_every_version);
    tcase_add_test(tcase, trap_37_all_topics_or_none);
    tcase_add_test(tcase, a_topic_is_described_once_however_often_it_is_named);
    tcase_add_test(tcase, trap_38_topics_are_created_when_asked_for);
    tcase_add_test(tcase, produce_and_fetch_at_every_version);
    tcase_add_test(tcase, produce_says_what_is_wrong);
    tcase_add_test(tcase, trap_11_the_record_at_fault_is_named);
    tcase_add_test(tcase, trap_11_every_record_at_fault_is_named);
    tcase_add_test(tcase, trap_8_zstd_is_for_clients_that_know_it);
    tcase_add_test(tcase, trap_9_acks_0_is_not_answered_and_errors_close);
    tcase_add_test(tcase, fetch_waits_for_records_and_tells_unknown_topics_at_once);
    tcase_add_test(tcase, trap_22_list_offsets_at_every_version);
    tcase_add_test(tcase, offset_for_leader_epoch_and_init_producer_id_at_every_version);
    tcase_add_test(tcase, find_coordinator_at_every_version);
    tcase_add_test(tcase, nobody_coordinates_transactions);
    tcase_add_test(tcase, topics_are_created_grown_and_deleted_at_every_version);
    tcase_add_test(tcase, trap_40_every_setting_is_described_with_its_origin);
    tcase_add_test(tcase, settings_are_changed_and_wrong_ones_refused);
    tcase_add_test(tcase, each_resource_is_altered_by_itself);
    tcase_add_test(tcase, settings_of_one_broker_go_before_those_of_all);
    tcase_add_test(tcase, settings_of_brokers_change_what_runs_or_are_refused);
    tcase_add_test(tcase, the_cluster_and_its_quorum_are_described_at_every_version);
    tcase_add_test(tcase, topic_partitions_come_in_pages);
    tcase_add_loop_test(tcase, random_requests_do_no_harm, 1, 17);
    tcase_add_test(tcase, topic_names_are_kafkas);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
