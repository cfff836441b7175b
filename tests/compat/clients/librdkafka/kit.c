#include "tests/compat/clients/librdkafka/kit.h"

#include "common/assert.h"
#include "common/mem.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAID_MAX = 400 };
static char *said; /* what the case has to say; its process shares it with this one's parent */

/* One line, without what TAP and the document's tables would take for theirs. */
static PRINTF_LIKE(1, 0) void say(const char *format, va_list arguments)
{
    (void)vsnprintf(said, SAID_MAX, format, arguments);
    for (char *c = said; *c; c++)
        if (strchr("\n\r#|", *c)) *c = ' ';
}

void kit_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    _exit(1);
}

void kit_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void kit_expect(bool is_right, const char *format, ...)
{
    va_list arguments;
    if (is_right) return;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    _exit(1);
}

void kit_expect_error(const char *what, rd_kafka_resp_err_t expected, rd_kafka_resp_err_t found)
{
    kit_expect(found == expected, "%s: expected %s, found %s", what, rd_kafka_err2name(expected), rd_kafka_err2name(found));
}

int64_t kit_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    kit_expect(value != NULL, "%s is not set", name);
    return value;
}

char *kit_name(const char *suffix)
{
    char name[200];
    (void)snprintf(name, sizeof name, "%s-%s", setting("PREFIX"), suffix);
    return mem_strdup(name);
}

static void bring_back_nodes(void)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "'%s' >&2", setting("KILL_LEADER"));
    ASSERT(system(command) == 0);
}

void kit_kill_leader(const char *topic, int32_t partition)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "'%s' '%s' %d >&2", setting("KILL_LEADER"), topic, partition);
    kit_expect(system(command) == 0, "the leader of %s-%d could not be killed", topic, partition);
}

/* ---- cases ------------------------------------------------------------------------------------------------------------ */

/* Its exit status, or -1 when it had to be killed. */
static int await_child(pid_t child, int limit_s)
{
    int status = 0;
    int64_t deadline_ms = kit_now_ms() + limit_s * 1000;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (kit_now_ms() > deadline_ms) {
            (void)kill(child, SIGKILL);
            (void)waitpid(child, &status, 0);
            return -1;
        }
        (void)usleep(5000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool run_case(const struct kit_case *one)
{
    const int limit_s = one->kills ? 120 : 60;
    if (one->kills) bring_back_nodes();
    said[0] = '\0';
    (void)fflush(stdout);
    pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0) {
        one->run();
        _exit(0);
    }
    int status = await_child(child, limit_s);
    if (status < 0) (void)snprintf(said, SAID_MAX, "no end within %d s", limit_s);
    if (status > 1) (void)snprintf(said, SAID_MAX, "it ended with status %d", status);
    (void)printf("%s - %s%s%s\n", status == 0 ? "ok" : "not ok", one->name, said[0] ? ": " : "", said);
    return status == 0;
}

int kit_run(const struct kit_case *cases, size_t count)
{
    int status = 0;
    said = mmap(NULL, SAID_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(said != MAP_FAILED);
    for (size_t i = 0; i < count; i++)
        if (!run_case(&cases[i])) status = 1;
    return status;
}

/* ---- clients ---------------------------------------------------------------------------------------------------------- */

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];
    kit_expect(rd_kafka_conf_set(conf, key, value, why, sizeof why) == RD_KAFKA_CONF_OK, "%s=%s: %s", key, value, why);
}

static rd_kafka_conf_t *new_conf(const char *settings)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char *copy = mem_strdup(settings), *rest = NULL;
    set(conf, "bootstrap.servers", setting("BOOTSTRAP"));
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        ASSERT(equals);
        *equals = '\0';
        set(conf, word, equals + 1);
    }
    mem_free(copy);
    return conf;
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct kit_deliveries *deliveries = opaque;
    (void)producer;
    if (!deliveries) return;
    if (!message->err) {
        deliveries->acked++;
        return;
    }
    deliveries->failed++;
    deliveries->error = message->err;
}

static rd_kafka_t *new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    kit_expect(client != NULL, "%s", why);
    return client;
}

rd_kafka_t *kit_producer(const char *settings, struct kit_deliveries *deliveries)
{
    rd_kafka_conf_t *conf = new_conf(settings);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, deliveries);
    return new_client(RD_KAFKA_PRODUCER, conf);
}

rd_kafka_t *kit_consumer(const char *group, const char *settings)
{
    rd_kafka_conf_t *conf = new_conf(settings);
    set(conf, "group.id", group);
    set(conf, "auto.offset.reset", "earliest");
    rd_kafka_t *consumer = new_client(RD_KAFKA_CONSUMER, conf);
    (void)rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

static rd_kafka_NewTopic_t *new_topic(const char *name, int partitions, const char *settings)
{
    char why[256], *copy = mem_strdup(settings), *rest = NULL;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 3, why, sizeof why);
    kit_expect(topic != NULL, "%s: %s", name, why);
    (void)rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", "2");
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        ASSERT(equals);
        *equals = '\0';
        (void)rd_kafka_NewTopic_set_config(topic, word, equals + 1);
    }
    mem_free(copy);
    return topic;
}

char *kit_topic(const char *suffix, int partitions, const char *settings)
{
    size_t count = 0;
    char *name = kit_name(suffix);
    rd_kafka_t *client = kit_producer("", NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewTopic_t *topic = new_topic(name, partitions, settings);
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KIT_TIMEOUT_MS);
    kit_expect(event != NULL, "no answer to CreateTopics");
    kit_expect_error("CreateTopics", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_event_error(event));
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    kit_expect(count == 1, "CreateTopics answers %zu topics", count);
    kit_expect_error("create the topic", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_topic_result_error(results[0]));
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return name;
}

int32_t kit_partition_count(const char *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_t *client = kit_producer("", NULL);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    kit_expect_error("metadata", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_metadata(client, 0, handle, &metadata, KIT_TIMEOUT_MS));
    kit_expect(metadata->topic_cnt == 1, "metadata of %d topics", metadata->topic_cnt);
    kit_expect_error(topic, RD_KAFKA_RESP_ERR_NO_ERROR, metadata->topics[0].err);
    int32_t count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(client);
    return count;
}
