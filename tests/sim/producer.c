/* The producer side of a model client: for each partition a queue of batches that are not acknowledged. They are sent in order of
 * their sequences; after a failure the failed one and what follows is sent again, as Kafka's idempotent producer does. */
#include "tests/sim/client.h"

#include "proto/record_batch.h"

#define RECORDS_PER_BATCH_MAX 4
#define PADDING_MAX           200
#define REQUEST_TIMEOUT_US    (3 * (int64_t)SIM_SECOND)
#define BACKOFF_US            (30 * SIM_MS)

static void on_produced(struct client_call *call, enum err err, const void *message, int64_t now_us);

static struct buf *build_records(struct producer *producer, const struct batch *batch)
{
    struct client *client = producer->client;
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    uint8_t bytes[8 + PADDING_MAX];
    record_batch_spec_init(&spec);
    spec.producer_id = client->producer_id;
    spec.producer_epoch = client->producer_epoch;
    spec.base_sequence = batch->base_sequence;
    record_batch_builder_init(&builder, &spec);
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t value = record_value(client->index, producer->partition, batch->first_number + i);
        size_t padding = (size_t)prng_below(&client->prng, PADDING_MAX + 1);
        memset(bytes, 'x', sizeof bytes);
        memcpy(bytes, &value, sizeof value);
        record_batch_builder_add(&builder, env_wall_ms(client->env), SLICE_NULL, slice_make(bytes, sizeof value + padding), NULL, 0);
    }
    return record_batch_builder_finish(&builder);
}

static void add_batch(struct producer *producer)
{
    struct client *client = producer->client;
    struct batch *batch = mem_alloc(sizeof *batch);
    batch->producer = producer;
    batch->call = (struct client_call){.client = client, .done = on_produced};
    batch->first_number = producer->next_number;
    batch->count = 1 + (uint32_t)prng_below(&client->prng, RECORDS_PER_BATCH_MAX);
    batch->base_sequence = producer->next_sequence;
    batch->records = build_records(producer, batch);
    producer->next_number += batch->count;
    producer->next_sequence += (int32_t)batch->count;
    producer->batch_count++;
    list_push_back(&producer->batches, &batch->node);
}

static void send_batch(struct batch *batch)
{
    struct producer *producer = batch->producer;
    struct client *client = producer->client;
    const struct workload *workload = client->workload;
    const struct workload_topic *topic = workload_topic_of(workload, producer->partition);
    struct produce_request_partition_data data = {.index = (int32_t)(producer->partition - topic->first),
                                                  .records = buf_slice(batch->records)};
    struct produce_request_topic_data topic_data = {
        .name = slice_str(topic->name), .topic_id = topic->id, .partition_data = &data, .partition_data_count = 1};
    struct produce_request request;
    codec_set_defaults(KMSG_PRODUCE_REQUEST, &request);
    request.transactional_id = SLICE_NULL;
    request.acks = -1;
    request.timeout_ms = 2000;
    request.topic_data = &topic_data;
    request.topic_data_count = 1;
    batch->is_sent = true;
    batch->asked = client->partitions[producer->partition];
    log_line(env_logger(client->env), LOG_DEBUG, "producer", "partition %u sequence %d to node %d, epoch %d", producer->partition,
             batch->base_sequence, batch->asked.leader, batch->asked.leader_epoch);
    client_send(&batch->call, batch->asked.leader, API_PRODUCE, workload->produce_version, &request, REQUEST_TIMEOUT_US);
}

static void schedule(struct producer *producer, int64_t mean_us)
{
    struct client *client = producer->client;
    env_timer_set(client->env, &producer->timer, env_now_us(client->env) + client_pause_us(client, mean_us));
}

static bool is_over(const struct producer *producer)
{
    return workload_topic_of(producer->client->workload, producer->partition)->is_deleted;
}

static void pump(struct producer *producer)
{
    struct client *client = producer->client;
    const struct workload *workload = client->workload;
    if (is_over(producer)) return;
    /* A broker without state of a producer takes any first sequence, as Kafka's does: until the first batch is acknowledged there
     * is no second one that could be taken for it. */
    uint32_t window = producer->has_acked ? workload->window : 1;
    bool may_add = !workload->is_stopping && producer->batch_count < window && producer->next_number < workload->records_max;
    if (may_add) add_batch(producer);
    if (client->partitions[producer->partition].leader < 0) {
        client_refresh(client);
        schedule(producer, BACKOFF_US);
        return;
    }
    LIST_FOR_EACH (&producer->batches, node) {
        struct batch *batch = CONTAINER_OF(node, struct batch, node);
        if (!batch->is_sent) send_batch(batch);
    }
    if (producer->next_number < workload->records_max && !workload->is_stopping) schedule(producer, workload->think_us);
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    (void)now_us;
    pump(CONTAINER_OF(timer, struct producer, timer));
}

static void drop_acked(struct producer *producer)
{
    LIST_FOR_EACH (&producer->batches, node) {
        struct batch *batch = CONTAINER_OF(node, struct batch, node);
        if (!batch->is_acked) return;
        list_remove(node);
        buf_unref(batch->records);
        mem_free(batch);
        producer->batch_count--;
    }
}

static void try_again(struct batch *batch)
{
    batch->is_sent = false;
    client_refresh(batch->producer->client);
    schedule(batch->producer, BACKOFF_US);
}

static void on_acked(struct batch *batch, int64_t base_offset, int64_t now_us)
{
    struct producer *producer = batch->producer;
    struct workload *workload = producer->client->workload;
    batch->is_acked = producer->has_acked = true;
    for (uint32_t i = 0; i < batch->count; i++) {
        history_acked(&workload->history, record_value(producer->client->index, producer->partition, batch->first_number + i),
                      base_offset + i, now_us);
    }
    drop_acked(producer);
}

/* A leader that does not know yet that its office has ended lacks what its successor took. */
static bool is_answer_of_leader(const struct batch *batch)
{
    const struct workload *workload = batch->producer->client->workload;
    return workload->leads(workload->context, batch->producer->partition, batch->asked.leader, batch->asked.leader_epoch);
}

/* An error that the protocol does not allow here. */
static void on_bad_error(struct batch *batch, int16_t error)
{
    const struct producer *producer = batch->producer;
    verdict_fail(producer->client->workload->verdict, error == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER ? "I-GAP" : "I-ERROR",
                 "partition %u: batch with sequence %d of client %u got %s though all before it are acknowledged", producer->partition,
                 batch->base_sequence, producer->client->index, kafka_error_name(error));
}

static void on_produced(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    struct batch *batch = CONTAINER_OF(call, struct batch, call);
    const struct produce_response *response = message;
    struct producer *producer = batch->producer;
    if (is_over(producer)) return;
    if (err != ERR_OK) {
        log_line(env_logger(producer->client->env), LOG_DEBUG, "producer", "partition %u sequence %d: %s", producer->partition,
                 batch->base_sequence, err_text(err));
        try_again(batch);
        return;
    }
    ASSERT(response->responses_count == 1 && response->responses[0].partition_responses_count == 1);
    const struct produce_response_partition_responses *answer = &response->responses[0].partition_responses[0];
    bool is_oldest = list_first(&producer->batches) == &batch->node;
    if (answer->error_code == KAFKA_NONE)
        on_acked(batch, answer->base_offset, now_us);
    else if (kafka_error_is_retriable(answer->error_code))
        try_again(batch);
    else if (answer->error_code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER && (!is_oldest || !is_answer_of_leader(batch)))
        try_again(batch);
    else
        on_bad_error(batch, answer->error_code);
}

void producer_init(struct producer *producer, struct client *client, uint32_t partition)
{
    producer->client = client;
    producer->partition = partition;
    list_init(&producer->batches);
    env_timer_init(&producer->timer, on_timer);
}

void producer_begin(struct producer *producer) { schedule(producer, producer->client->workload->think_us); }
