/* One consumer of one partition, by assignment, from offset 0. */
#include "deploy/demo/stream.h"

enum { READ_AT_ONCE = 1000, POLL_MS = 100 };

static rd_kafka_t *consumer_create(const struct stream *s)
{
    char why[256];
    const char *const settings[][2] = {
        {"bootstrap.servers", s->options.bootstrap},
        {"group.id", "failover-demo"},
        {"enable.auto.commit", "false"},
        {"check.crcs", "true"},
        {"auto.offset.reset", "error"},
        {"log_level", "0"},
    };
    return rd_kafka_new(RD_KAFKA_CONSUMER, stream_conf(settings, sizeof settings / sizeof *settings), why, sizeof why);
}

static void assign(rd_kafka_t *consumer, const char *topic, int32_t partition)
{
    rd_kafka_topic_partition_list_t *wanted = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(wanted, topic, partition)->offset = 0;
    (void)rd_kafka_assign(consumer, wanted);
    rd_kafka_topic_partition_list_destroy(wanted);
}

static uint32_t number_of(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    const void *bytes = NULL;
    size_t size = 0;
    uint32_t number = UINT32_MAX;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        rd_kafka_header_get_last(headers, "n", &bytes, &size) == RD_KAFKA_RESP_ERR_NO_ERROR && size == sizeof number)
        memcpy(&number, bytes, size);
    return number;
}

/* Notes the messages and moves the position past them; false when the reader is to stop. */
static bool note(struct stream_reader *reader, rd_kafka_message_t **messages, ssize_t count, int64_t *position)
{
    struct stream *s = reader->stream;
    (void)pthread_mutex_lock(&s->lock);
    for (ssize_t i = 0; i < count; i++) {
        const rd_kafka_message_t *m = messages[i];
        if (m->err) continue; /* transient: librdkafka goes on by itself */
        verdict_read(&s->verdict, reader->id, number_of(m), m->partition, m->offset, slice_make(m->key, m->key_len),
                     slice_make(m->payload, m->len));
        *position = m->offset + 1;
    }
    reader->complete = reader->end >= 0 && *position >= reader->end;
    bool go_on = !reader->complete && !s->aborted;
    (void)pthread_mutex_unlock(&s->lock);
    return go_on;
}

void *stream_reader_run(void *argument)
{
    struct stream_reader *reader = argument;
    rd_kafka_message_t *messages[READ_AT_ONCE];
    int64_t position = 0;
    rd_kafka_t *consumer = consumer_create(reader->stream);
    if (!consumer) return NULL;
    assign(consumer, reader->stream->options.topic, reader->partition);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    ssize_t count = 0;
    while (note(reader, messages, count, &position)) {
        for (ssize_t i = 0; i < count; i++) rd_kafka_message_destroy(messages[i]);
        count = rd_kafka_consume_batch_queue(queue, POLL_MS, messages, READ_AT_ONCE);
        if (count < 0) count = 0;
    }
    for (ssize_t i = 0; i < count; i++) rd_kafka_message_destroy(messages[i]);
    rd_kafka_queue_destroy(queue);
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return NULL;
}
