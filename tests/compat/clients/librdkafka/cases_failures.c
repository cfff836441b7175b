/* A leader dies in mid-stream; a transaction begins. */
#include "tests/compat/clients/librdkafka/kit.h"

#include <stdio.h>

enum { RECORDS = 20000, STEP = 200 };

static rd_kafka_t *follow(const char *topic)
{
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(3);
    rd_kafka_t *consumer = kit_consumer(topic, "enable.auto.commit=false");
    for (int32_t i = 0; i < 3; i++) rd_kafka_topic_partition_list_add(all, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    kit_expect_error("assign", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_assign(consumer, all));
    rd_kafka_topic_partition_list_destroy(all);
    return consumer;
}

/* What has come by now; waits a little for the first. Errors of a connection are the client's to heal. */
static void read_some(rd_kafka_t *consumer, struct kit_messages *messages)
{
    for (rd_kafka_message_t *message; (message = rd_kafka_consumer_poll(consumer, 10));) {
        if (message->err)
            rd_kafka_message_destroy(message);
        else
            kit_keep(messages, message);
    }
}

void cases_leader_killed(void)
{
    struct kit_deliveries deliveries = {0};
    struct kit_messages messages = {0};
    const char *topic = kit_topic("stream", 3, "");
    rd_kafka_t *producer = kit_producer("enable.idempotence=true", &deliveries);
    rd_kafka_t *consumer = follow(topic);
    for (int i = 1; i <= RECORDS; i += STEP) {
        kit_send_numbered(producer, topic, i, i + STEP - 1, 0);
        (void)rd_kafka_poll(producer, 10);
        read_some(consumer, &messages);
        if (i != RECORDS / 2 + 1) continue;
        for (int64_t deadline_ms = kit_now_ms() + KIT_TIMEOUT_MS; messages.count == 0; read_some(consumer, &messages))
            kit_expect(kit_now_ms() < deadline_ms, "nothing is read before the kill");
        kit_kill_leader(topic, 0);
    }
    kit_flush(producer, &deliveries);
    kit_expect(deliveries.acked == RECORDS, "%zu of %d records are acknowledged", deliveries.acked, RECORDS);
    int64_t deadline_ms = kit_now_ms() + KIT_TIMEOUT_MS;
    while (messages.count < RECORDS && kit_now_ms() < deadline_ms) read_some(consumer, &messages);
    kit_expect_numbered(&messages, RECORDS);
    struct kit_messages again = {0};
    kit_read_all(topic, &again);
    kit_expect_numbered(&again, RECORDS);
}

/* The error's name becomes the note: the report shows what happens. */
static bool is_refused(rd_kafka_error_t *error, const char *call)
{
    if (!error) return false;
    kit_note("refused: %s: %s", call, rd_kafka_error_name(error));
    kit_expect(rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__TIMED_OUT, "%s: no answer within %d s", call, KIT_TIMEOUT_MS / 1000);
    return true;
}

void cases_txn_refused(void)
{
    char settings[200];
    struct kit_deliveries deliveries = {0};
    struct kit_messages messages = {0};
    const char *topic = kit_topic("txn", 1, "");
    (void)snprintf(settings, sizeof settings, "transactional.id=%s", topic);
    rd_kafka_t *producer = kit_producer(settings, &deliveries);
    if (is_refused(rd_kafka_init_transactions(producer, KIT_TIMEOUT_MS), "init_transactions")) return;
    if (is_refused(rd_kafka_begin_transaction(producer), "begin_transaction")) return;
    kit_send_numbered(producer, topic, 1, 10, 0);
    if (is_refused(rd_kafka_commit_transaction(producer, KIT_TIMEOUT_MS), "commit_transaction")) return;
    kit_read_all(topic, &messages);
    kit_expect_numbered(&messages, 10);
    kit_note("served");
}
