/* Sending and reading for the cases (kit.h). */
#include "tests/compat/clients/librdkafka/kit.h"

#include "common/assert.h"
#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 16, KEYS = 97 };

struct kit_record kit_record(const char *topic, const char *key, const char *value)
{
    return (struct kit_record){.topic = topic,
                               .key = key,
                               .key_size = key ? strlen(key) : 0,
                               .value = value,
                               .value_size = value ? strlen(value) : 0,
                               .partition = RD_KAFKA_PARTITION_UA};
}

static rd_kafka_resp_err_t produce(rd_kafka_t *producer, const struct kit_record *record)
{
    rd_kafka_vu_t fields[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {.ptr = (void *)(uintptr_t)record->key, .size = record->key_size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.ptr = (void *)(uintptr_t)record->value, .size = record->value_size}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = record->headers},
    };
    size_t count = sizeof fields / sizeof fields[0] - (record->headers ? 0 : 1);
    rd_kafka_error_t *error = rd_kafka_produceva(producer, fields, count);
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (error) rd_kafka_error_destroy(error);
    return code;
}

/* Waits while the queue is full. */
rd_kafka_resp_err_t kit_try_send(rd_kafka_t *producer, const struct kit_record *record)
{
    rd_kafka_resp_err_t error = produce(producer, record);
    while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        (void)rd_kafka_poll(producer, 10);
        error = produce(producer, record);
    }
    return error;
}

void kit_send(rd_kafka_t *producer, const struct kit_record *record)
{
    kit_expect_error("send", RD_KAFKA_RESP_ERR_NO_ERROR, kit_try_send(producer, record));
}

void kit_send_numbered(rd_kafka_t *producer, const char *topic, int first, int last, int64_t timestamp_ms)
{
    char key[16], value[24];
    for (int i = first; i <= last; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i % KEYS);
        (void)snprintf(value, sizeof value, "value %d", i);
        struct kit_record record = kit_record(topic, key, value);
        record.timestamp_ms = timestamp_ms ? timestamp_ms + i : 0;
        kit_send(producer, &record);
    }
}

void kit_flush(rd_kafka_t *producer, const struct kit_deliveries *deliveries)
{
    kit_expect_error("flush", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_flush(producer, KIT_TIMEOUT_MS));
    kit_expect(!deliveries || deliveries->failed == 0, "%zu records were not acknowledged: %s", deliveries ? deliveries->failed : 0,
               deliveries ? rd_kafka_err2name(deliveries->error) : "");
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

void kit_keep(struct kit_messages *messages, rd_kafka_message_t *message)
{
    if (messages->count == messages->capacity) {
        messages->capacity = messages->capacity ? messages->capacity * 2 : 64;
        messages->at = mem_realloc(messages->at, messages->capacity, sizeof(rd_kafka_message_t *));
    }
    messages->at[messages->count++] = message;
}

void kit_forget(struct kit_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++) rd_kafka_message_destroy(messages->at[i]);
    mem_free(messages->at);
    *messages = (struct kit_messages){0};
}

static rd_kafka_t *reader_of(const char *topic, int32_t partitions)
{
    rd_kafka_t *consumer = kit_consumer(topic, "enable.partition.eof=true enable.auto.commit=false");
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t i = 0; i < partitions; i++) rd_kafka_topic_partition_list_add(all, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    kit_expect_error("assign", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_assign(consumer, all));
    rd_kafka_topic_partition_list_destroy(all);
    return consumer;
}

void kit_read_all(const char *topic, struct kit_messages *out)
{
    int32_t partitions = kit_partition_count(topic), ended = 0;
    rd_kafka_t *consumer = reader_of(topic, partitions);
    int64_t deadline_ms = kit_now_ms() + KIT_TIMEOUT_MS;
    while (ended < partitions) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        kit_expect(kit_now_ms() < deadline_ms, "after %zu records the end of %s does not come", out->count, topic);
        if (!message) continue;
        if (!message->err) {
            kit_keep(out, message);
            continue;
        }
        kit_expect_error("read", RD_KAFKA_RESP_ERR__PARTITION_EOF, message->err);
        ended++;
        rd_kafka_message_destroy(message);
    }
    /* The messages hold the client: it ends with the case. */
}

int kit_number(const rd_kafka_message_t *message)
{
    char text[24];
    kit_expect(message->len > 6 && message->len < sizeof text && memcmp(message->payload, "value ", 6) == 0, "a value that nobody sent");
    memcpy(text, message->payload, message->len);
    text[message->len] = '\0';
    return (int)strtol(text + 6, NULL, 10);
}

static void expect_key(const rd_kafka_message_t *message, int number)
{
    char key[16];
    int size = snprintf(key, sizeof key, "key-%d", number % KEYS);
    kit_expect(message->key_len == (size_t)size && memcmp(message->key, key, message->key_len) == 0, "record %d has another key", number);
}

void kit_expect_numbered(const struct kit_messages *messages, int count)
{
    int last[PARTITIONS_MAX] = {0};
    bool *seen = mem_calloc((size_t)count + 1, sizeof(bool));
    for (size_t i = 0; i < messages->count; i++) {
        const rd_kafka_message_t *message = messages->at[i];
        int number = kit_number(message);
        ASSERT(message->partition >= 0 && message->partition < PARTITIONS_MAX);
        kit_expect(number >= 1 && number <= count, "record %d was not sent", number);
        kit_expect(!seen[number], "record %d came twice", number);
        kit_expect(number > last[message->partition], "record %d came after %d in partition %d", number, last[message->partition],
                   message->partition);
        expect_key(message, number);
        seen[number] = true;
        last[message->partition] = number;
    }
    mem_free(seen);
    kit_expect(messages->count == (size_t)count, "%zu of %d records came", messages->count, count);
}
