/* Administration through librdkafka, for the scenarios:
 *
 *   admin BOOTSTRAP create TOPIC PARTITIONS REPLICAS [KEY=VALUE]...
 *   admin BOOTSTRAP delete TOPIC
 *   admin BOOTSTRAP partitions TOPIC COUNT          raise the number of partitions
 *   admin BOOTSTRAP configs TOPIC                   "key=value", one a line, sorted by the broker
 *   admin BOOTSTRAP alter TOPIC KEY=VALUE...        replaces the topic's configs
 *   admin BOOTSTRAP alter-many TOPIC COUNT          COUNT changes, one after the other
 *   admin BOOTSTRAP commit GROUP TOPIC COUNT        COUNT commits of partition 0, offsets 1 to COUNT, one after the other
 *   admin BOOTSTRAP committed GROUP TOPIC           the offset that is committed for partition 0
 *   admin BOOTSTRAP create-many PREFIX COUNT PARTITIONS REPLICAS     COUNT topics in one request
 *
 * Status 0 on success; else 1 and the broker's error name and text on stderr. */
#include "common/assert.h"
#include "common/mem.h"
#include "common/str.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>

enum { TIMEOUT_MS = 60000 };

static const char *bootstrap;
static rd_kafka_t *client;
static rd_kafka_queue_t *queue;

static int complain(const char *what, rd_kafka_resp_err_t error, const char *text)
{
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return 0;
    (void)fprintf(stderr, "%s: %s: %s\n", what, rd_kafka_err2name(error), text ? text : rd_kafka_err2str(error));
    return 1;
}

static int64_t number(const char *text)
{
    int64_t value = -1;
    ASSERT(str_parse_i64(slice_str(text), &value));
    return value;
}

/* The answer, or NULL after complaining. */
static rd_kafka_event_t *answer(const char *what)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
    if (event && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) return event;
    (void)complain(what, event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT,
                   event ? rd_kafka_event_error_string(event) : NULL);
    return NULL;
}

static int topics_answered(const rd_kafka_topic_result_t **results, size_t count)
{
    int status = 0;
    for (size_t i = 0; i < count; i++)
        status |= complain(rd_kafka_topic_result_name(results[i]), rd_kafka_topic_result_error(results[i]),
                           rd_kafka_topic_result_error_string(results[i]));
    return status;
}

static int finish_create(const char *what)
{
    size_t count = 0;
    rd_kafka_event_t *event = answer(what);
    if (!event) return 1;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    int status = topics_answered(results, count);
    rd_kafka_event_destroy(event);
    return status;
}

static rd_kafka_NewTopic_t *new_topic(const char *name, const char *partitions, const char *replicas)
{
    char why[256];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, (int)number(partitions), (int)number(replicas), why, sizeof why);
    if (!topic) (void)fprintf(stderr, "%s: %s\n", name, why);
    return topic;
}

static int create(int count, char **arguments)
{
    rd_kafka_NewTopic_t *topic = new_topic(arguments[0], arguments[1], arguments[2]);
    if (!topic) return 1;
    for (int i = 3; i < count; i++) {
        char *equals = strchr(arguments[i], '=');
        ASSERT(equals);
        *equals = '\0';
        (void)rd_kafka_NewTopic_set_config(topic, arguments[i], equals + 1);
    }
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_NewTopic_destroy(topic);
    return finish_create("create");
}

static int create_many(char **arguments)
{
    size_t count = (size_t)number(arguments[1]);
    char name[256];
    rd_kafka_NewTopic_t **topics = mem_calloc(count, sizeof(rd_kafka_NewTopic_t *));
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "%s-%zu", arguments[0], i);
        topics[i] = new_topic(name, arguments[2], arguments[3]);
        ASSERT(topics[i]);
    }
    rd_kafka_CreateTopics(client, topics, count, NULL, queue);
    rd_kafka_NewTopic_destroy_array(topics, count);
    mem_free(topics);
    return finish_create("create");
}

static int delete (const char *name)
{
    size_t count = 0;
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_event_t *event = answer("delete");
    if (!event) return 1;
    const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    int status = topics_answered(results, count);
    rd_kafka_event_destroy(event);
    return status;
}

static int add_partitions(const char *name, const char *total)
{
    char why[256];
    size_t count = 0;
    rd_kafka_NewPartitions_t *wanted = rd_kafka_NewPartitions_new(name, (size_t)number(total), why, sizeof why);
    ASSERT(wanted);
    rd_kafka_CreatePartitions(client, &wanted, 1, NULL, queue);
    rd_kafka_NewPartitions_destroy(wanted);
    rd_kafka_event_t *event = answer("partitions");
    if (!event) return 1;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
    int status = topics_answered(results, count);
    rd_kafka_event_destroy(event);
    return status;
}

static int print_configs(const rd_kafka_ConfigResource_t *resource)
{
    size_t count = 0;
    int status = complain(rd_kafka_ConfigResource_name(resource), rd_kafka_ConfigResource_error(resource),
                          rd_kafka_ConfigResource_error_string(resource));
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        (void)printf("%s=%s\n", rd_kafka_ConfigEntry_name(entries[i]), value ? value : "");
    }
    return status;
}

static int describe_configs(const char *name)
{
    size_t count = 0;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_DescribeConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_event_t *event = answer("configs");
    if (!event) return 1;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    int status = count == 1 ? print_configs(resources[0]) : 1;
    rd_kafka_event_destroy(event);
    return status;
}

static int alter_configs(int count, char **arguments)
{
    size_t answered = 0;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, arguments[0]);
    for (int i = 1; i < count; i++) {
        char *equals = strchr(arguments[i], '=');
        ASSERT(equals);
        *equals = '\0';
        (void)rd_kafka_ConfigResource_set_config(resource, arguments[i], equals + 1);
    }
    rd_kafka_AlterConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_event_t *event = answer("alter");
    if (!event) return 1;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &answered);
    int status = answered != 1 ||
                 complain(arguments[0], rd_kafka_ConfigResource_error(resources[0]), rd_kafka_ConfigResource_error_string(resources[0]));
    rd_kafka_event_destroy(event);
    return status;
}

static int alter_many(char *topic, const char *count)
{
    int status = 0;
    char setting[64];
    for (int64_t i = 0; i < number(count) && status == 0; i++) {
        (void)snprintf(setting, sizeof setting, "retention.ms=%lld", (long long)(3600000 + i));
        status = alter_configs(2, (char *[]){topic, setting});
    }
    return status;
}

static rd_kafka_t *new_consumer(const char *group)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool is_set = rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, why, sizeof why) == RD_KAFKA_CONF_OK &&
                  rd_kafka_conf_set(conf, "group.id", group, why, sizeof why) == RD_KAFKA_CONF_OK;
    ASSERT(is_set);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    ASSERT(consumer != NULL);
    return consumer;
}

static int commit(char **arguments)
{
    rd_kafka_t *consumer = new_consumer(arguments[0]);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *partition = rd_kafka_topic_partition_list_add(offsets, arguments[1], 0);
    int status = 0;
    for (int64_t i = 1; i <= number(arguments[2]) && status == 0; i++) {
        partition->offset = i;
        status = complain("commit", rd_kafka_commit(consumer, offsets, 0), NULL);
    }
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_destroy(consumer);
    return status;
}

static int committed(char **arguments)
{
    rd_kafka_t *consumer = new_consumer(arguments[0]);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *partition = rd_kafka_topic_partition_list_add(offsets, arguments[1], 0);
    int status = complain("committed", rd_kafka_committed(consumer, offsets, TIMEOUT_MS), NULL);
    if (status == 0) (void)printf("%lld\n", (long long)partition->offset);
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_destroy(consumer);
    return status;
}

static int run(const char *command, int count, char **arguments)
{
    if (strcmp(command, "create") == 0 && count >= 3) return create(count, arguments);
    if (strcmp(command, "create-many") == 0 && count == 4) return create_many(arguments);
    if (strcmp(command, "commit") == 0 && count == 3) return commit(arguments);
    if (strcmp(command, "committed") == 0 && count == 2) return committed(arguments);
    if (strcmp(command, "delete") == 0 && count == 1) return delete (arguments[0]);
    if (strcmp(command, "partitions") == 0 && count == 2) return add_partitions(arguments[0], arguments[1]);
    if (strcmp(command, "configs") == 0 && count == 1) return describe_configs(arguments[0]);
    if (strcmp(command, "alter-many") == 0 && count == 2) return alter_many(arguments[0], arguments[1]);
    if (strcmp(command, "alter") == 0 && count >= 2) return alter_configs(count, arguments);
    (void)fprintf(stderr, "usage: admin BOOTSTRAP create|create-many|commit|committed|delete|partitions|configs|alter ARGUMENT...\n");
    return 2;
}

int main(int argc, char **argv)
{
    char why[256];
    if (argc < 3) return run("", 0, NULL);
    bootstrap = argv[1];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], why, sizeof why);
    (void)rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    ASSERT(client);
    queue = rd_kafka_queue_new(client);
    int status = run(argv[2], argc - 3, argv + 3);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return status;
}
