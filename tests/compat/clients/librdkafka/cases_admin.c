/* The library's admin calls, and its own errors for what cannot be. */
#include "tests/compat/clients/librdkafka/kit.h"

#include "common/mem.h"

#include <string.h>

static rd_kafka_t *client;
static rd_kafka_queue_t *queue;

/* The answer to the request that was sent last. */
static rd_kafka_event_t *answer(const char *what)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KIT_TIMEOUT_MS);
    kit_expect(event != NULL, "%s: no answer", what);
    kit_expect_error(what, RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_event_error(event));
    return event;
}

static void expect_topic_result(const char *what, rd_kafka_resp_err_t expected, const rd_kafka_topic_result_t **results, size_t count)
{
    kit_expect(count == 1, "%s: %zu results", what, count);
    kit_expect_error(what, expected, rd_kafka_topic_result_error(results[0]));
}

static void create(const char *what, const char *name, int partitions, int replicas, rd_kafka_resp_err_t expected)
{
    char why[256];
    size_t count;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, replicas, why, sizeof why);
    kit_expect(topic != NULL, "%s: %s", what, why);
    (void)rd_kafka_NewTopic_set_config(topic, "retention.ms", "86400000");
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = answer(what);
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    expect_topic_result(what, expected, results, count);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
}

static void add_partitions(const char *what, const char *name, size_t total, rd_kafka_resp_err_t expected)
{
    char why[256];
    size_t count;
    rd_kafka_NewPartitions_t *partitions = rd_kafka_NewPartitions_new(name, total, why, sizeof why);
    rd_kafka_CreatePartitions(client, &partitions, 1, NULL, queue);
    rd_kafka_event_t *event = answer(what);
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
    expect_topic_result(what, expected, results, count);
    rd_kafka_event_destroy(event);
    rd_kafka_NewPartitions_destroy(partitions);
}

static void delete_topic(const char *what, const char *name, rd_kafka_resp_err_t expected)
{
    size_t count;
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = answer(what);
    const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    expect_topic_result(what, expected, results, count);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(topic);
}

/* ---- configs ---------------------------------------------------------------------------------------------------------- */

static void expect_config(const char *topic, const char *name, const char *expected)
{
    size_t count, entries;
    const char *found = NULL;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_DescribeConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = answer("describe configs");
    const rd_kafka_ConfigResource_t **results =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    kit_expect(count == 1, "describe configs: %zu results", count);
    kit_expect_error("describe configs", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_ConfigResource_error(results[0]));
    const rd_kafka_ConfigEntry_t **all = rd_kafka_ConfigResource_configs(results[0], &entries);
    for (size_t i = 0; i < entries; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(all[i]), name) == 0) found = rd_kafka_ConfigEntry_value(all[i]);
    kit_expect(found && strcmp(found, expected) == 0, "%s is %s, not %s", name, found ? found : "not there", expected);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
}

static void alter_config(const char *what, const char *topic, const char *name, const char *value, rd_kafka_resp_err_t expected)
{
    size_t count;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    (void)rd_kafka_ConfigResource_set_config(resource, name, value);
    rd_kafka_AlterConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = answer(what);
    const rd_kafka_ConfigResource_t **results = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
    kit_expect(count == 1, "%s: %zu results", what, count);
    kit_expect_error(what, expected, rd_kafka_ConfigResource_error(results[0]));
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
}

/* ---- records and groups ----------------------------------------------------------------------------------------------- */

static rd_kafka_topic_partition_list_t *offset_of(const char *topic, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
    return list;
}

static void delete_records(const char *topic, int64_t before)
{
    int64_t low, high;
    rd_kafka_topic_partition_list_t *list = offset_of(topic, before);
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = answer("delete records");
    const rd_kafka_topic_partition_list_t *done = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    kit_expect(done->cnt == 1, "delete records: %d results", done->cnt);
    kit_expect_error("delete records", RD_KAFKA_RESP_ERR_NO_ERROR, done->elems[0].err);
    kit_expect(done->elems[0].offset == before, "delete records: the log begins at %lld", (long long)done->elems[0].offset);
    kit_expect_error("first offset", RD_KAFKA_RESP_ERR_NO_ERROR,
                     rd_kafka_query_watermark_offsets(client, topic, 0, &low, &high, KIT_TIMEOUT_MS));
    kit_expect(low == before, "after deleting records the first offset is %lld", (long long)low);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

/* A group without members that has committed. */
static void commit(const char *group, const char *topic, int64_t offset)
{
    rd_kafka_t *consumer = kit_consumer(group, "");
    rd_kafka_topic_partition_list_t *list = offset_of(topic, offset);
    kit_expect_error("commit", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_commit(consumer, list, 0));
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(consumer);
}

static void expect_listed(const char *group)
{
    size_t count;
    bool found = false;
    rd_kafka_ListConsumerGroups(client, NULL, queue);
    rd_kafka_event_t *event = answer("list groups");
    const rd_kafka_ListConsumerGroups_result_t *result = rd_kafka_event_ListConsumerGroups_result(event);
    const rd_kafka_ConsumerGroupListing_t **listed = rd_kafka_ListConsumerGroups_result_valid(result, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rd_kafka_ConsumerGroupListing_group_id(listed[i]), group) == 0) found = true;
    kit_expect(found, "the group is not among the %zu listed", count);
    rd_kafka_event_destroy(event);
}

static void expect_described(const char *group, rd_kafka_consumer_group_state_t expected)
{
    size_t count;
    rd_kafka_DescribeConsumerGroups(client, &group, 1, NULL, queue);
    rd_kafka_event_t *event = answer("describe groups");
    const rd_kafka_ConsumerGroupDescription_t **described =
        rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    kit_expect(count == 1, "describe groups: %zu results", count);
    rd_kafka_consumer_group_state_t found = rd_kafka_ConsumerGroupDescription_state(described[0]);
    kit_expect(found == expected, "the group is %s, not %s", rd_kafka_consumer_group_state_name(found),
               rd_kafka_consumer_group_state_name(expected));
    rd_kafka_event_destroy(event);
}

static void expect_offset(const char *group, const char *topic, int64_t expected)
{
    size_t count;
    rd_kafka_topic_partition_list_t *list = offset_of(topic, 0);
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(group, list);
    rd_kafka_ListConsumerGroupOffsets(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = answer("list offsets of a group");
    const rd_kafka_group_result_t **results =
        rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    const rd_kafka_topic_partition_list_t *found = count == 1 ? rd_kafka_group_result_partitions(results[0]) : NULL;
    kit_expect(found && found->cnt == 1 && found->elems[0].offset == expected, "the group's offset is %lld",
               found && found->cnt ? (long long)found->elems[0].offset : -2);
    rd_kafka_event_destroy(event);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

static void alter_offset(const char *group, const char *topic, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = offset_of(topic, offset);
    rd_kafka_AlterConsumerGroupOffsets_t *request = rd_kafka_AlterConsumerGroupOffsets_new(group, list);
    rd_kafka_AlterConsumerGroupOffsets(client, &request, 1, NULL, queue);
    rd_kafka_event_destroy(answer("alter offsets of a group"));
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

static void delete_offset(const char *group, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = offset_of(topic, 0);
    rd_kafka_DeleteConsumerGroupOffsets_t *request = rd_kafka_DeleteConsumerGroupOffsets_new(group, list);
    rd_kafka_DeleteConsumerGroupOffsets(client, &request, 1, NULL, queue);
    rd_kafka_event_destroy(answer("delete offsets of a group"));
    rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

static void delete_group(const char *what, const char *group, rd_kafka_resp_err_t expected)
{
    size_t count;
    rd_kafka_DeleteGroup_t *request = rd_kafka_DeleteGroup_new(group);
    rd_kafka_DeleteGroups(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = answer(what);
    const rd_kafka_group_result_t **results = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count);
    kit_expect(count == 1, "%s: %zu results", what, count);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(results[0]);
    kit_expect_error(what, expected, error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteGroup_destroy(request);
}

/* ---- the case --------------------------------------------------------------------------------------------------------- */

static void expect_cluster(void)
{
    const struct rd_kafka_metadata *metadata = NULL;
    kit_expect_error("metadata", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_metadata(client, 0, NULL, &metadata, KIT_TIMEOUT_MS));
    kit_expect(metadata->broker_cnt == 3, "%d brokers", metadata->broker_cnt);
    rd_kafka_metadata_destroy(metadata);
    char *id = rd_kafka_clusterid(client, KIT_TIMEOUT_MS);
    kit_expect(id && strlen(id) == 22, "the cluster's id is %s", id ? id : "not there");
    rd_kafka_mem_free(client, id);
    kit_expect(rd_kafka_controllerid(client, KIT_TIMEOUT_MS) >= 0, "there is no controller");
}

static void topics(const char *topic)
{
    const char *absent = kit_name("absent");
    create("create a topic", topic, 3, 3, RD_KAFKA_RESP_ERR_NO_ERROR);
    create("create it again", topic, 3, 3, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS);
    create("more replicas than nodes", absent, 1, 9, RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR);
    create("a name that is not allowed", "a b", 1, 1, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION);
    expect_config(topic, "retention.ms", "86400000");
    alter_config("alter a config", topic, "retention.ms", "3600000", RD_KAFKA_RESP_ERR_NO_ERROR);
    expect_config(topic, "retention.ms", "3600000");
    alter_config("a wrong value", topic, "retention.ms", "soon", RD_KAFKA_RESP_ERR_INVALID_CONFIG);
    alter_config("an unknown config", topic, "no.such.key", "1", RD_KAFKA_RESP_ERR_INVALID_CONFIG);
    add_partitions("add partitions", topic, 5, RD_KAFKA_RESP_ERR_NO_ERROR);
    kit_expect(kit_partition_count(topic) == 5, "%d partitions after adding some", kit_partition_count(topic));
    add_partitions("fewer partitions", topic, 2, RD_KAFKA_RESP_ERR_INVALID_PARTITIONS);
    add_partitions("partitions of an unknown topic", absent, 5, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    delete_topic("delete an unknown topic", absent, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
}

static void groups(const char *topic)
{
    const char *group = kit_name("admin-group");
    commit(group, topic, 7);
    expect_listed(group);
    expect_described(group, RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY);
    expect_described(kit_name("nobody"), RD_KAFKA_CONSUMER_GROUP_STATE_DEAD);
    expect_offset(group, topic, 7);
    alter_offset(group, topic, 3);
    expect_offset(group, topic, 3);
    delete_offset(group, topic);
    expect_offset(group, topic, RD_KAFKA_OFFSET_INVALID);
    delete_group("delete a group", group, RD_KAFKA_RESP_ERR_NO_ERROR);
    delete_group("delete it again", group, RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND);
}

void cases_admin(void)
{
    const char *topic = kit_name("admin");
    client = kit_producer("acks=all", NULL);
    queue = rd_kafka_queue_new(client);
    expect_cluster();
    topics(topic);
    for (int i = 0; i < 10; i++) {
        struct kit_record record = kit_record(topic, NULL, "value");
        record.partition = 0;
        kit_send(client, &record);
    }
    kit_flush(client, NULL);
    delete_records(topic, 4);
    groups(topic);
    delete_topic("delete a topic", topic, RD_KAFKA_RESP_ERR_NO_ERROR);
    delete_topic("delete it again", topic, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
}
