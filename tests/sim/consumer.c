/* The consumer side of a model client: one fetch under way for each partition; what it reads goes into the history. */
#include "tests/sim/client.h"

#include "proto/record_batch.h"

#define REQUEST_TIMEOUT_US (3 * (int64_t)SIM_SECOND)
#define BACKOFF_US         (30 * SIM_MS)

static void schedule(struct consumer *consumer, int64_t delay_us)
{
    struct client *client = consumer->client;
    env_timer_set(client->env, &consumer->timer, env_now_us(client->env) + client_pause_us(client, delay_us));
}

static bool is_over(const struct consumer *consumer)
{
    return workload_topic_of(consumer->client->workload, consumer->partition)->is_deleted;
}

static void fetch(struct consumer *consumer)
{
    struct client *client = consumer->client;
    const struct workload *workload = client->workload;
    const struct workload_topic *topic = workload_topic_of(workload, consumer->partition);
    const struct client_partition *known = &client->partitions[consumer->partition];
    struct fetch_request_partitions partition = {.partition = (int32_t)(consumer->partition - topic->first),
                                                 .current_leader_epoch = known->leader_epoch,
                                                 .fetch_offset = consumer->offset,
                                                 .last_fetched_epoch = -1,
                                                 .log_start_offset = -1,
                                                 .partition_max_bytes = 1 << (8 + prng_below(&client->prng, 10)),
                                                 .high_watermark = INT64_MAX};
    struct fetch_request_topics topics = {
        .topic = slice_str(topic->name), .topic_id = topic->id, .partitions = &partition, .partitions_count = 1};
    struct fetch_request request;
    codec_set_defaults(KMSG_FETCH_REQUEST, &request);
    request.max_wait_ms = consumer->is_final ? 50 : 500;
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    request.session_epoch = -1;
    request.topics = &topics;
    request.topics_count = 1;
    client_send(&consumer->call, known->leader, API_FETCH, workload->fetch_version, &request, REQUEST_TIMEOUT_US);
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    struct consumer *consumer = CONTAINER_OF(timer, struct consumer, timer);
    struct client *client = consumer->client;
    (void)now_us;
    if (client_call_is_pending(&consumer->call) || consumer->is_done || is_over(consumer)) return;
    if (client->partitions[consumer->partition].leader < 0) {
        client_refresh(client);
        schedule(consumer, BACKOFF_US);
        return;
    }
    fetch(consumer);
}

static void keep(struct consumer *consumer, uint64_t value)
{
    if (consumer->count == consumer->capacity) {
        consumer->capacity = consumer->capacity ? consumer->capacity * 2 : 256;
        consumer->values = mem_realloc(consumer->values, (size_t)consumer->capacity, sizeof *consumer->values);
    }
    consumer->values[consumer->count++] = value;
}

static void on_record(struct consumer *consumer, const struct record *record, int64_t high_watermark)
{
    struct workload *workload = consumer->client->workload;
    uint64_t value = 0;
    if (record->offset < consumer->offset) return; /* the batch began before what we asked for */
    if (record->offset != consumer->offset) {
        verdict_fail(workload->verdict, "L-ORDER", "partition %u: offset %lld is followed by %lld", consumer->partition,
                     (long long)consumer->offset - 1, (long long)record->offset);
        return;
    }
    if (record->offset >= high_watermark) {
        verdict_fail(workload->verdict, "Q-REPEAT", "partition %u: offset %lld was handed out with high watermark %lld",
                     consumer->partition, (long long)record->offset, (long long)high_watermark);
        return;
    }
    if (record->value.n >= sizeof value) memcpy(&value, record->value.p, sizeof value);
    bool is_ours = value >> 63 && record_client(value) < workload->client_count && record_partition(value) == consumer->partition;
    if (!is_ours) {
        verdict_fail(workload->verdict, "L-BYTES", "partition %u offset %lld holds no record of ours", consumer->partition,
                     (long long)record->offset);
        return;
    }
    history_place(&workload->history, consumer->partition, record->offset, value, "a consumer");
    workload->history.read++;
    if (consumer->is_final) keep(consumer, value);
    consumer->offset++;
}

static void on_batch(struct consumer *consumer, const struct record_batch *batch, int64_t high_watermark)
{
    struct record_iterator it;
    struct record record;
    if (!record_batch_is_crc_valid(batch)) {
        verdict_fail(consumer->client->workload->verdict, "L-BYTES", "partition %u: the batch at %lld has a wrong checksum",
                     consumer->partition, (long long)batch->base_offset);
        return;
    }
    enum err err = record_iterator_init(&it, batch, 1 << 20);
    ASSERT(err == ERR_OK);
    while (record_iterator_next(&it, &record)) on_record(consumer, &record, high_watermark);
    record_iterator_deinit(&it);
}

static void on_records(struct consumer *consumer, struct slice records, int64_t high_watermark)
{
    struct record_batch batch;
    while (records.n > 0 && record_batch_parse(records, &batch) == ERR_OK) {
        on_batch(consumer, &batch, high_watermark);
        records.p += record_batch_size(&batch);
        records.n -= record_batch_size(&batch);
    }
}

static void on_success(struct consumer *consumer, const struct fetch_response_partitions *answer)
{
    struct client *client = consumer->client;
    struct history *history = &client->workload->history;
    history_readable(history, consumer->partition, answer->high_watermark);
    on_records(consumer, answer->records, answer->high_watermark);
    if (consumer->is_final && consumer->offset >= answer->high_watermark &&
        consumer->offset >= history->partitions[consumer->partition].readable_end) {
        consumer->is_done = true;
        return;
    }
    if (!consumer->is_final && prng_chance(&client->prng, 1, 200)) {
        consumer->offset = (int64_t)prng_below(&client->prng, (uint64_t)consumer->offset + 1);
    }
    schedule(consumer, consumer->is_final ? 0 : client->workload->think_us);
}

/* Records go only when their deletion was asked for. */
static void on_out_of_range(struct consumer *consumer, int64_t log_start)
{
    struct workload *workload = consumer->client->workload;
    int64_t asked = workload->history.partitions[consumer->partition].trim_asked;
    if (log_start <= consumer->offset || log_start > asked) {
        verdict_fail(
            workload->verdict, "Q-RANGE",
            "partition %u: offset %lld, readable before, is out of range: the log starts at %lld, and records below %lld were to go",
            consumer->partition, (long long)consumer->offset, (long long)log_start, (long long)asked);
        return;
    }
    consumer->offset = consumer->start = log_start;
    while (consumer->is_final && consumer->count < log_start) keep(consumer, 0);
    schedule(consumer, 0);
}

static void on_fetched(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    struct consumer *consumer = CONTAINER_OF(call, struct consumer, call);
    struct client *client = consumer->client;
    const struct fetch_response *response = message;
    const struct fetch_response_partitions *answer = NULL;
    (void)now_us;
    if (is_over(consumer)) return;
    if (err == ERR_OK && response->responses_count == 1 && response->responses[0].partitions_count == 1)
        answer = &response->responses[0].partitions[0];
    if (answer && answer->error_code == KAFKA_NONE) {
        on_success(consumer, answer);
        return;
    }
    if (answer && answer->error_code == KAFKA_OFFSET_OUT_OF_RANGE) {
        on_out_of_range(consumer, answer->log_start_offset);
        return;
    }
    log_line(env_logger(client->env), LOG_DEBUG, "consumer", "partition %u offset %lld: %s", consumer->partition,
             (long long)consumer->offset,
             answer ? kafka_error_name(answer->error_code)
             : err  ? err_text(err)
                    : "no answer");
    client_refresh(client);
    schedule(consumer, BACKOFF_US);
}

void consumer_init(struct consumer *consumer, struct client *client, uint32_t partition)
{
    consumer->client = client;
    consumer->partition = partition;
    consumer->call = (struct client_call){.client = client, .done = on_fetched};
    env_timer_init(&consumer->timer, on_timer);
}

void consumer_begin(struct consumer *consumer) { schedule(consumer, consumer->client->workload->think_us); }

void consumer_begin_final(struct consumer *consumer)
{
    consumer->is_final = true;
    consumer->offset = consumer->start = 0;
    channel_cancel(&consumer->call.call);
    schedule(consumer, 0);
}
