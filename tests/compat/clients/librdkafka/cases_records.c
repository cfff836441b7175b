/* What a record carries, where it goes, and that it arrives once. */
#include "tests/compat/clients/librdkafka/kit.h"

#include "common/assert.h"
#include "common/mem.h"

#include <stdio.h>
#include <string.h>

static void codec(const char *name)
{
    char settings[64], suffix[32];
    struct kit_deliveries deliveries = {0};
    struct kit_messages messages = {0};
    const int64_t begin_ms = kit_now_ms() - 3600000;
    (void)snprintf(settings, sizeof settings, "acks=all compression.codec=%s", name);
    (void)snprintf(suffix, sizeof suffix, "codec-%s", name);
    const char *topic = kit_topic(suffix, 3, "");
    rd_kafka_t *producer = kit_producer(settings, &deliveries);
    kit_send_numbered(producer, topic, 1, 1000, begin_ms);
    kit_flush(producer, &deliveries);
    kit_read_all(topic, &messages);
    kit_expect_numbered(&messages, 1000);
    for (size_t i = 0; i < messages.count; i++) {
        rd_kafka_timestamp_type_t type;
        int64_t found_ms = rd_kafka_message_timestamp(messages.at[i], &type);
        kit_expect(type == RD_KAFKA_TIMESTAMP_CREATE_TIME && found_ms == begin_ms + kit_number(messages.at[i]),
                   "record %d has another timestamp", kit_number(messages.at[i]));
    }
}

void cases_codec_none(void) { codec("none"); }
void cases_codec_gzip(void) { codec("gzip"); }
void cases_codec_snappy(void) { codec("snappy"); }
void cases_codec_lz4(void) { codec("lz4"); }
void cases_codec_zstd(void) { codec("zstd"); }

void cases_headers(void)
{
    static const struct {
        const char *name, *value;
    } sent[] = {{"colour", "red"}, {"colour", "blue"}, {"empty", ""}, {"null", NULL}};
    struct kit_messages messages = {0};
    rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
    const char *topic = kit_topic("headers", 1, "");
    rd_kafka_t *producer = kit_producer("acks=all", NULL);
    for (size_t i = 0; i < 4; i++)
        (void)rd_kafka_header_add(headers, sent[i].name, -1, sent[i].value, sent[i].value ? (ssize_t)strlen(sent[i].value) : 0);
    struct kit_record record = kit_record(topic, NULL, "value");
    record.headers = headers;
    kit_send(producer, &record);
    kit_flush(producer, NULL);

    kit_read_all(topic, &messages);
    kit_expect(messages.count == 1, "%zu records came", messages.count);
    kit_expect_error("headers", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_message_headers(messages.at[0], &headers));
    kit_expect(rd_kafka_header_cnt(headers) == 4, "%zu headers came", rd_kafka_header_cnt(headers));
    for (size_t i = 0; i < 4; i++) {
        const char *name;
        const void *value;
        size_t size;
        (void)rd_kafka_header_get_all(headers, i, &name, &value, &size);
        bool is_same = strcmp(name, sent[i].name) == 0 && (value != NULL) == (sent[i].value != NULL) &&
                       (!value || (size == strlen(sent[i].value) && memcmp(value, sent[i].value, size) == 0));
        kit_expect(is_same, "header %zu came back as %s", i, name);
    }
}

void cases_null_key_value(void)
{
    static const struct {
        const char *key, *value;
    } sent[] = {{NULL, "value"}, {"key", NULL}, {"key", ""}, {"", "value"}, {NULL, NULL}};
    enum { SENT = sizeof sent / sizeof sent[0] };
    struct kit_messages messages = {0};
    const char *topic = kit_topic("nulls", 1, "");
    rd_kafka_t *producer = kit_producer("acks=all", NULL);
    for (size_t i = 0; i < SENT; i++) {
        struct kit_record record = kit_record(topic, sent[i].key, sent[i].value);
        kit_send(producer, &record);
    }
    kit_flush(producer, NULL);
    kit_read_all(topic, &messages);
    kit_expect(messages.count == SENT, "%zu records came", messages.count);
    for (size_t i = 0; i < SENT; i++) {
        const rd_kafka_message_t *found = messages.at[i];
        kit_expect((found->key != NULL) == (sent[i].key != NULL) && (found->payload != NULL) == (sent[i].value != NULL),
                   "record %zu: null is not null, or the other way round", i);
        kit_expect(found->key_len == (sent[i].key ? strlen(sent[i].key) : 0) && found->len == (sent[i].value ? strlen(sent[i].value) : 0),
                   "record %zu: another length", i);
    }
}

/* Sends one record of `size` bytes; what became of it. */
static rd_kafka_resp_err_t send_big(const char *topic, const char *bytes, size_t size)
{
    struct kit_deliveries deliveries = {0};
    struct kit_record record = kit_record(topic, NULL, NULL);
    rd_kafka_t *producer = kit_producer("acks=all message.max.bytes=4000000", &deliveries);
    record.value = bytes;
    record.value_size = size;
    kit_send(producer, &record);
    kit_expect_error("flush", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_flush(producer, KIT_TIMEOUT_MS));
    rd_kafka_destroy(producer);
    return deliveries.error;
}

static void expect_only(const char *topic, const char *bytes, size_t size)
{
    struct kit_messages messages = {0};
    kit_read_all(topic, &messages);
    kit_expect(messages.count == 1, "%zu records came", messages.count);
    kit_expect(messages.at[0]->len == size && memcmp(messages.at[0]->payload, bytes, size) == 0, "a big record came back changed");
}

void cases_big_record(void)
{
    enum { BIG = 900000, BIGGER = 2000000 };
    char *bytes = mem_alloc(BIGGER);
    const char *small = kit_topic("big", 1, "max.message.bytes=1048588"), *large = kit_topic("bigger", 1, "max.message.bytes=4194304");
    uint32_t state = 1; /* bytes that do not compress */
    for (size_t i = 0; i < BIGGER; i++) bytes[i] = (char)((state = state * 1664525 + 1013904223) >> 24);
    kit_expect_error("900,000 bytes", RD_KAFKA_RESP_ERR_NO_ERROR, send_big(small, bytes, BIG));
    kit_expect_error("2,000,000 bytes", RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, send_big(small, bytes, BIGGER));
    expect_only(small, bytes, BIG);
    kit_expect_error("2,000,000 bytes where 4 MB are allowed", RD_KAFKA_RESP_ERR_NO_ERROR, send_big(large, bytes, BIGGER));
    expect_only(large, bytes, BIGGER);
    mem_free(bytes);
}

void cases_idempotence(void)
{
    struct kit_deliveries deliveries = {0};
    struct kit_messages messages = {0};
    const char *topic = kit_topic("idempotence", 1, "");
    rd_kafka_t *producer = kit_producer("enable.idempotence=true", &deliveries);
    kit_send_numbered(producer, topic, 1, 5000, 0);
    kit_flush(producer, &deliveries);
    kit_read_all(topic, &messages);
    kit_expect_numbered(&messages, 5000);
}

typedef int32_t partitioner(const rd_kafka_topic_t *topic, const void *key, size_t size, int32_t count, void *opaque, void *message);

static void expect_partitions(const char *name, partitioner *choose)
{
    enum { KEYS = 50, PARTITIONS = 5 };
    char settings[64], key[16];
    struct kit_messages messages = {0};
    const char *topic = kit_topic(name, PARTITIONS, "");
    (void)snprintf(settings, sizeof settings, "acks=all partitioner=%s", name);
    rd_kafka_t *producer = kit_producer(settings, NULL);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "customer-%d", i);
        struct kit_record record = kit_record(topic, key, "x");
        kit_send(producer, &record);
    }
    kit_flush(producer, NULL);
    kit_read_all(topic, &messages);
    kit_expect(messages.count == KEYS, "%zu records came", messages.count);
    for (size_t i = 0; i < messages.count; i++) {
        const rd_kafka_message_t *found = messages.at[i];
        kit_expect(found->partition == choose(found->rkt, found->key, found->key_len, PARTITIONS, NULL, NULL),
                   "%s: a key is in partition %d", name, found->partition);
    }
}

void cases_partitioner(void)
{
    struct kit_messages messages = {0};
    expect_partitions("consistent", rd_kafka_msg_partitioner_consistent);
    expect_partitions("murmur2", rd_kafka_msg_partitioner_murmur2);
    const char *topic = kit_topic("explicit", 5, "");
    rd_kafka_t *producer = kit_producer("acks=all", NULL);
    struct kit_record record = kit_record(topic, "key", "value");
    for (record.partition = 0; record.partition < 5; record.partition++) kit_send(producer, &record);
    kit_flush(producer, NULL);
    kit_read_all(topic, &messages);
    int partitions = 0;
    for (size_t i = 0; i < messages.count; i++) partitions |= 1 << messages.at[i]->partition;
    kit_expect(messages.count == 5 && partitions == 31, "explicit partitions: %zu records in %x", messages.count, (unsigned)partitions);
}
