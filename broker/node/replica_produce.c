/* Produce: batches of a loop turn are checked when they come, appended together at its end, and answered when their acks say. */
#include "broker/node/replica_internal.h"
#include "common/checked.h"
#include "common/mem.h"
#include "proto/record_batch.h"

#define APPEND_BATCHES_MAX     64          /* of one partition in one append call */
#define DECOMPRESSED_BYTES_MAX (256 << 20) /* a batch that expands beyond it is refused: 256 times the default message size */
#define TIMEOUT_AGAIN_US       1000

static void refuse(struct produce_partition *part, enum kafka_error error)
{
    struct replica_manager *m = part->request->manager;
    part->error = error;
    part->base_offset = -1;
    replica_leader_hint(m, part->topic_id, part->partition, error, &part->leader_id, &part->leader_epoch);
}

/* One partition of the request has its answer. */
static void settle(struct produce_partition *part)
{
    struct replica_produce *request = part->request;
    struct replica_manager *m = request->manager;
    part->replica = NULL;
    ASSERT(request->pending > 0);
    if (--request->pending > 0) return;
    env_timer_clear(m->env, &request->timer);
    list_remove(&request->node);
    list_push_back(&m->produced, &request->node);
    replica_manager_schedule(m);
}

static void settle_refused(struct produce_partition *part, enum kafka_error error)
{
    refuse(part, error);
    settle(part);
}

/* Nothing of it was appended, and the client will try again. */
static void settle_postponed(struct replica *replica, struct produce_partition *part, enum kafka_error error)
{
    if (part->producer_id >= 0) producer_gaps_note(&replica->gaps, part->producer_id, part->producer_epoch, part->sequence);
    settle_refused(part, error);
}

void replica_produce_complete(struct produce_waiter *waiter)
{
    struct produce_partition *part = CONTAINER_OF(waiter, struct produce_partition, waiter);
    if (waiter->error != KAFKA_NONE)
        settle_refused(part, waiter->error);
    else
        settle(part);
}

/* ---- before the append ---- */

static struct record_batch_verdict check_batch(const struct replica *replica, struct slice records, int16_t api_version,
                                               struct record_batch *batch)
{
    struct record_batch_verdict verdict = record_batch_parse_produced(records, batch);
    if (verdict.error != KAFKA_NONE) return verdict;
    if (api_version < 7 && record_batch_compression(batch) == COMPRESSION_ZSTD)
        return (struct record_batch_verdict){.error = KAFKA_UNSUPPORTED_COMPRESSION_TYPE, .record_index = -1};
    const struct topic_settings *settings = &replica->settings;
    bool is_create_time = !settings->log.is_log_append_time;
    int64_t wall_ms = env_wall_ms(replica->manager->env);
    struct record_batch_rules rules = {
        .is_from_client = true,
        .needs_keys = settings->log.is_compacted,
        .bytes_max = (size_t)settings->max_message_bytes,
        .decompressed_max = DECOMPRESSED_BYTES_MAX,
        .timestamp_min = is_create_time ? saturating_add_i64(wall_ms, -settings->timestamp_before_max_ms) : INT64_MIN,
        .timestamp_max = is_create_time ? saturating_add_i64(wall_ms, settings->timestamp_after_max_ms) : INT64_MAX,
    };
    return record_batch_validate(batch, &rules);
}

static void read_producer(struct produce_partition *part)
{
    struct record_batch batch;
    if (record_batch_parse(part->records, &batch) != ERR_OK || batch.base_sequence < 0) return;
    part->producer_id = batch.producer_id;
    part->producer_epoch = batch.producer_epoch;
    part->sequence = batch.base_sequence;
    part->last_offset_delta = batch.last_offset_delta;
}

static enum kafka_error admit_batch(const struct replica *replica, struct produce_partition *part)
{
    struct record_batch batch;
    struct record_batch_verdict verdict = check_batch(replica, part->records, part->request->api_version, &batch);
    part->error_message = verdict.message;
    part->error_record = verdict.error == KAFKA_NONE ? -1 : verdict.record_index;
    part->last_offset_delta = verdict.error == KAFKA_NONE ? batch.last_offset_delta : 0;
    return verdict.error;
}

static void enqueue(struct replica *replica, struct produce_partition *part)
{
    (void)buf_ref(part->request->buf);
    list_push_back(&replica->produced, &part->node);
    part->replica = replica;
    if (!list_is_linked(&replica->to_append)) list_push_back(&replica->manager->to_append, &replica->to_append);
    replica_manager_schedule(replica->manager);
}

static void take(struct replica_manager *m, struct produce_partition *part)
{
    struct replica *replica = replica_find(m, part->topic_id, part->partition);
    if (!replica) {
        settle_refused(part, replica_absent_error(m, part->topic_id, part->partition));
        return;
    }
    read_producer(part);
    enum kafka_error error = partition_check_produce(&replica->partition, part->request->acks);
    if (error != KAFKA_NONE) {
        settle_postponed(replica, part, error);
        return;
    }
    error = admit_batch(replica, part);
    if (error == KAFKA_NONE)
        enqueue(replica, part);
    else
        settle_refused(part, error);
}

static struct produce_partition *dequeue(struct replica *replica)
{
    struct list_node *node = list_pop_front(&replica->produced);
    ASSERT(node != NULL);
    return CONTAINER_OF(node, struct produce_partition, node);
}

static void on_produce_timeout(struct env_timer *timer, int64_t now_us)
{
    struct replica_produce *request = CONTAINER_OF(timer, struct replica_produce, timer);
    for (size_t i = 0; i < request->partition_count; i++) {
        struct produce_partition *part = &request->partitions[i];
        if (!part->replica) continue;
        if (list_is_linked(&part->node)) { /* comes before the end of the turn that appends */
            env_timer_set(request->manager->env, timer, now_us + TIMEOUT_AGAIN_US);
            return;
        }
        purgatory_cancel(&part->waiter);
        settle_refused(part, KAFKA_REQUEST_TIMED_OUT);
    }
}

static void begin(struct replica_manager *m, struct replica_produce *request)
{
    request->manager = m;
    env_timer_init(&request->timer, on_produce_timeout);
    list_node_init(&request->node);
    list_push_back(&m->produces, &request->node);
    request->pending = request->partition_count + 1; /* this call */
    for (size_t i = 0; i < request->partition_count; i++) {
        struct produce_partition *part = &request->partitions[i];
        part->request = request;
        part->replica = NULL;
        part->error = KAFKA_NONE;
        part->error_message = NULL;
        part->error_record = -1;
        part->base_offset = part->append_time_ms = part->log_start_offset = -1;
        part->leader_id = part->leader_epoch = -1;
        part->producer_id = -1;
        list_node_init(&part->node);
        list_node_init(&part->waiter.node);
    }
}

void replica_manager_produce(struct replica_manager *m, struct replica_produce *request)
{
    ASSERT(request->acks >= -1 && request->acks <= 1);
    ASSERT(!m->is_closing);
    begin(m, request);
    for (size_t i = 0; i < request->partition_count; i++) take(m, &request->partitions[i]);
    struct produce_partition none = {.request = request};
    if (request->acks == -1 && request->pending > 1)
        env_timer_set(m->env, &request->timer, saturating_add_i64(env_now_us(m->env), max_i64(request->timeout_ms, 0) * 1000 + 1));
    settle(&none);
}

/* ---- the append ---- */

static enum kafka_error error_of(enum plog_verdict verdict, enum err err)
{
    switch (verdict) {
    case PLOG_APPENDED:
    case PLOG_DUPLICATE: return KAFKA_NONE;
    case PLOG_OUT_OF_ORDER: return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    case PLOG_OLD_PRODUCER_EPOCH: return KAFKA_INVALID_PRODUCER_EPOCH;
    case PLOG_BAD_TXN_STATE: return KAFKA_INVALID_TXN_STATE;
    case PLOG_TOO_LARGE: return KAFKA_RECORD_LIST_TOO_LARGE;
    case PLOG_FAILED: return err == ERR_OK ? KAFKA_UNKNOWN_SERVER_ERROR : KAFKA_KAFKA_STORAGE_ERROR;
    }
    UNREACHABLE();
}

static void acknowledge(struct replica *replica, struct produce_partition *part, const struct plog_batch *batch, enum err err,
                        int64_t now_us)
{
    enum kafka_error error = error_of(batch->verdict, err);
    if (batch->verdict == PLOG_FAILED) {
        settle_postponed(replica, part, error);
        return;
    }
    if (error != KAFKA_NONE) {
        settle_refused(part, error);
        return;
    }
    part->base_offset = batch->base_offset;
    part->append_time_ms = batch->append_time_ms;
    part->log_start_offset = replica->partition.log_start;
    if (part->request->acks != -1) {
        settle(part);
        return;
    }
    part->waiter.required_offset = batch->base_offset + part->last_offset_delta + 1;
    part->waiter.leader_epoch = replica->partition.leader_epoch;
    struct partition_event event = {.type = PARTITION_WAITING, .now_us = now_us, .waiting = &part->waiter};
    replica_feed(replica, &event);
}

static enum kafka_error check_append(struct replica *replica, const struct produce_partition *part)
{
    enum kafka_error error = partition_check_produce(&replica->partition, part->request->acks);
    if (error != KAFKA_NONE) return error;
    /* A truncation of the follower that this replica was has not ended. */
    if (plog_is_busy(replica->log)) return KAFKA_NOT_LEADER_OR_FOLLOWER;
    bool is_beginning = part->producer_id >= 0 && !plog_knows_producer(replica->log, part->producer_id);
    if (is_beginning && !producer_gaps_admit(&replica->gaps, part->producer_id, part->producer_epoch, part->sequence))
        return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    return KAFKA_NONE;
}

/* Takes up to APPEND_BATCHES_MAX parts off the queue; those that may no longer be appended are refused. */
static size_t collect(struct replica *replica, struct produce_partition **parts, struct plog_batch *batches)
{
    size_t count = 0;
    while (count < APPEND_BATCHES_MAX && !list_is_empty(&replica->produced)) {
        struct produce_partition *part = dequeue(replica);
        enum kafka_error error = check_append(replica, part);
        if (error != KAFKA_NONE) {
            buf_unref(part->request->buf);
            settle_postponed(replica, part, error);
            continue;
        }
        parts[count] = part;
        batches[count++] = (struct plog_batch){
            .buf = part->request->buf, .at = (size_t)(part->records.p - part->request->buf->data), .size = part->records.n};
    }
    return count;
}

static void append_some(struct replica *replica, int64_t now_us)
{
    struct produce_partition *parts[APPEND_BATCHES_MAX];
    struct plog_batch batches[APPEND_BATCHES_MAX];
    size_t count = collect(replica, parts, batches);
    if (count == 0) return;
    enum err err = plog_append_leader(replica->log, batches, count, replica->partition.leader_epoch);
    if (plog_end(replica->log) > replica->partition.log_end) replica_feed_log(replica, PARTITION_APPENDED, plog_end(replica->log));
    for (size_t i = 0; i < count; i++) {
        buf_unref(batches[i].buf);
        acknowledge(replica, parts[i], &batches[i], err, now_us);
    }
    if (err != ERR_OK) replica_on_log_error(replica, "an append", err);
}

void replica_append_queued(struct replica *replica, int64_t now_us)
{
    while (!list_is_empty(&replica->produced)) append_some(replica, now_us);
}

void replica_refuse_queued(struct replica *replica, enum kafka_error error)
{
    while (!list_is_empty(&replica->produced)) {
        struct produce_partition *part = dequeue(replica);
        buf_unref(part->request->buf);
        settle_postponed(replica, part, error);
    }
    if (list_is_linked(&replica->to_append)) list_remove(&replica->to_append);
}
