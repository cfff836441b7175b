/* Where reading begins: first, last, by offset, by time. */
#include "tests/compat/clients/librdkafka/kit.h"

enum { RECORDS = 100 };

static rd_kafka_topic_partition_list_t *at(const char *topic, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
    return list;
}

/* The offset of the next record; -1 when the end comes first. */
static int64_t next_offset(rd_kafka_t *consumer)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, KIT_TIMEOUT_MS);
    kit_expect(message != NULL, "neither a record nor the end comes");
    if (message->err) kit_expect_error("read", RD_KAFKA_RESP_ERR__PARTITION_EOF, message->err);
    int64_t offset = message->err ? -1 : message->offset;
    rd_kafka_message_destroy(message);
    return offset;
}

static void expect_begin(const char *what, const char *topic, int64_t from, int64_t expected)
{
    rd_kafka_t *consumer = kit_consumer(topic, "enable.partition.eof=true enable.auto.commit=false");
    rd_kafka_topic_partition_list_t *list = at(topic, from);
    kit_expect_error("assign", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_assign(consumer, list));
    int64_t found = next_offset(consumer);
    kit_expect(found == expected, "%s: reading begins at %lld, not at %lld", what, (long long)found, (long long)expected);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(consumer);
}

static void expect_time(rd_kafka_t *consumer, const char *topic, int64_t time_ms, int64_t expected)
{
    rd_kafka_topic_partition_list_t *list = at(topic, time_ms);
    kit_expect_error("offsets for times", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_offsets_for_times(consumer, list, KIT_TIMEOUT_MS));
    kit_expect_error("offsets for times", RD_KAFKA_RESP_ERR_NO_ERROR, list->elems[0].err);
    kit_expect(list->elems[0].offset == expected, "offset for a time: %lld, not %lld", (long long)list->elems[0].offset,
               (long long)expected);
    rd_kafka_topic_partition_list_destroy(list);
}

static void expect_seek(rd_kafka_t *consumer, const char *topic, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = at(topic, offset);
    rd_kafka_error_t *error = rd_kafka_seek_partitions(consumer, list, KIT_TIMEOUT_MS);
    kit_expect(!error, "seek: %s", rd_kafka_error_string(error));
    kit_expect_error("seek", RD_KAFKA_RESP_ERR_NO_ERROR, list->elems[0].err);
    kit_expect(next_offset(consumer) == offset, "after a seek reading goes on elsewhere");
    rd_kafka_topic_partition_list_destroy(list);
}

void cases_offsets(void)
{
    int64_t low = -1, high = -1;
    const int64_t begin_ms = kit_now_ms() - 3600000; /* record N, at offset N - 1, is of begin_ms + N */
    struct kit_deliveries deliveries = {0};
    const char *topic = kit_topic("offsets", 1, "");
    rd_kafka_t *producer = kit_producer("acks=all", &deliveries);
    kit_send_numbered(producer, topic, 1, RECORDS, begin_ms);
    kit_flush(producer, &deliveries);

    expect_begin("earliest", topic, RD_KAFKA_OFFSET_BEGINNING, 0);
    expect_begin("latest", topic, RD_KAFKA_OFFSET_END, -1);
    expect_begin("the last three", topic, RD_KAFKA_OFFSET_TAIL(3), RECORDS - 3);
    expect_begin("an offset", topic, 42, 42);
    expect_begin("an offset beyond the end, reset to earliest", topic, 5000, 0);

    rd_kafka_t *consumer = kit_consumer(topic, "enable.partition.eof=true enable.auto.commit=false");
    rd_kafka_topic_partition_list_t *list = at(topic, 0);
    kit_expect_error("assign", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_assign(consumer, list));
    kit_expect(next_offset(consumer) == 0, "reading does not begin at 0");
    expect_seek(consumer, topic, 77);
    expect_seek(consumer, topic, 5);
    expect_time(consumer, topic, begin_ms - 1000, 0);
    expect_time(consumer, topic, begin_ms + 51, 50);
    expect_time(consumer, topic, begin_ms + RECORDS + 1, RD_KAFKA_OFFSET_END);
    kit_expect_error("first and last offset", RD_KAFKA_RESP_ERR_NO_ERROR,
                     rd_kafka_query_watermark_offsets(consumer, topic, 0, &low, &high, KIT_TIMEOUT_MS));
    kit_expect(low == 0 && high == RECORDS, "first and last offset: %lld and %lld", (long long)low, (long long)high);
}
