/* Produce: batches of a loop turn are checked when they come, appended together at its end, and answered when their acks say. Large
 * batches that must be opened or compressed anew are checked by another thread (batch_check.h); what comes behind one waits for it, so
 * that a producer's batches stay in their order. */
#include "broker/node/batch_check.h"
#include "broker/node/replica_internal.h"
#include "common/arena.h"
#include "common/checked.h"
#include "common/mem.h"
#include "proto/record_batch.h"

#define APPEND_BATCHES_MAX 64 /* of one partition in one append call */
#define TIMEOUT_AGAIN_US   1000

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
    part->request->manager->counters.produce_failed++;
    refuse(part, error);
    settle(part);
}

/* Nothing of it was appended, and the client will try again. */
static void settle_postponed(struct replica *replica, struct produce_partition *part, enum kafka_error error)
{
    int64_t now_us = env_now_us(replica->manager->env);
    if (part->producer_id >= 0) producer_gaps_note(&replica->gaps, part->producer_id, part->producer_epoch, part->sequence, now_us);
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

static struct batch_check describe_check(const struct replica *replica, const struct produce_partition *part)
{
    const struct topic_settings *settings = &replica->settings;
    bool is_create_time = !settings->log.is_log_append_time;
    int64_t wall_ms = env_wall_ms(replica->manager->env);
    return (struct batch_check){
        .records = part->records,
        .api_version = part->request->api_version,
        .is_recompressed = settings->is_recompressed,
        .compression = settings->compression,
        .level = topic_settings_compression_level(settings),
        .rules =
            {
                .is_from_client = true,
                .needs_keys = settings->log.is_compacted,
                .bytes_max = (size_t)settings->max_message_bytes,
                .decompressed_max = batch_check_decompressed_max(settings->max_message_bytes),
                .timestamp_min = is_create_time ? saturating_add_i64(wall_ms, -settings->timestamp_before_max_ms) : INT64_MIN,
                .timestamp_max = is_create_time ? saturating_add_i64(wall_ms, settings->timestamp_after_max_ms) : INT64_MAX,
            },
    };
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

static void want_append(struct replica *replica)
{
    if (!list_is_linked(&replica->to_append)) list_push_back(&replica->manager->to_append, &replica->to_append);
    replica_manager_schedule(replica->manager);
}

static void enqueue(struct replica *replica, struct produce_partition *part)
{
    part->buf = buf_ref(part->request->buf);
    list_push_back(&replica->produced, &part->node);
    part->replica = replica;
}

static void dequeue(struct produce_partition *part)
{
    list_remove(&part->node);
    buf_unref(part->buf);
    part->buf = NULL;
    if (part->check) part->check->part = NULL;
    part->check = NULL;
}

/* The batch is to be appended as the check left it. */
static void take_checked(struct produce_partition *part, struct batch_check *check)
{
    part->last_offset_delta = check->last_offset_delta;
    if (!check->converted) return;
    buf_unref(part->buf);
    part->buf = check->converted;
    part->records = buf_slice(part->buf);
}

static void take_faults(struct produce_partition *part, const struct batch_check *check)
{
    part->error_message = check->verdict.message;
    if (!part->request->arena) return;
    struct record_fault *faults = arena_calloc(part->request->arena, (size_t)check->fault_count, sizeof *faults);
    for (int32_t i = 0; i < check->fault_count; i++) faults[i] = check->faults[i];
    part->faults = faults;
    part->fault_count = check->fault_count;
}

static void end_check(struct produce_partition *part, struct batch_check *check)
{
    struct replica *replica = part->replica;
    part->check = NULL;
    if (check->verdict.error == KAFKA_NONE) {
        take_checked(part, check);
    } else {
        take_faults(part, check);
        dequeue(part);
        settle_refused(part, check->verdict.error);
    }
    want_append(replica);
}

static void check_work(void *arg) { batch_check_run(arg); }

static void on_checked(struct env_op *op, enum err err, int64_t now_us)
{
    struct batch_check *check = CONTAINER_OF(op, struct batch_check, op);
    ASSERT(err == ERR_OK); /* nobody cancels it */
    (void)now_us;
    if (check->part)
        end_check(check->part, check);
    else
        buf_unref(check->converted);
    batch_check_destroy(check);
}

static void on_check_dropped(struct env_op *op)
{
    struct batch_check *check = CONTAINER_OF(op, struct batch_check, op);
    if (check->part) check->part->check = NULL; /* the process ends: nothing is appended any more */
    buf_unref(check->converted);
    batch_check_destroy(check);
}

static void check_elsewhere(struct produce_partition *part, const struct batch_check *described)
{
    struct batch_check *check = mem_alloc(sizeof *check);
    *check = *described;
    check->part = part;
    check->buf = buf_ref(part->request->buf);
    check->op = (struct env_op){.done = on_checked, .dropped = on_check_dropped};
    part->check = check;
    env_work(part->request->manager->env, &check->op, check_work, check);
}

static void admit(struct replica *replica, struct produce_partition *part)
{
    struct batch_check check = describe_check(replica, part);
    enqueue(replica, part);
    if (batch_check_is_long(&check)) {
        check_elsewhere(part, &check);
        return;
    }
    batch_check_run(&check);
    end_check(part, &check);
    batch_check_deinit(&check);
}

static void take(struct replica_manager *m, struct produce_partition *part)
{
    struct replica *replica = replica_find(m, part->topic_id, part->partition);
    m->counters.produce_batches++;
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
    admit(replica, part);
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
        part->faults = NULL;
        part->fault_count = 0;
        part->base_offset = part->append_time_ms = part->log_start_offset = -1;
        part->leader_id = part->leader_epoch = -1;
        part->producer_id = -1;
        part->buf = NULL;
        part->check = NULL;
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
    if (batch->verdict == PLOG_APPENDED) replica_count_appended(replica, part->last_offset_delta + 1, (int64_t)batch->size);
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

/* The first that waits, when it has been checked. */
static struct produce_partition *next_checked(const struct replica *replica)
{
    LIST_FOR_EACH (&replica->produced, node) {
        struct produce_partition *part = CONTAINER_OF(node, struct produce_partition, node);
        return part->check ? NULL : part;
    }
    return NULL;
}

/* Takes up to APPEND_BATCHES_MAX parts off the queue; those that may no longer be appended are refused. */
static size_t collect(struct replica *replica, struct produce_partition **parts, struct plog_batch *batches)
{
    struct produce_partition *part = NULL;
    size_t count = 0;
    while (count < APPEND_BATCHES_MAX && (part = next_checked(replica)) != NULL) {
        enum kafka_error error = check_append(replica, part);
        if (error != KAFKA_NONE) {
            dequeue(part);
            settle_postponed(replica, part, error);
            continue;
        }
        parts[count] = part;
        batches[count++] =
            (struct plog_batch){.buf = buf_ref(part->buf), .at = (size_t)(part->records.p - part->buf->data), .size = part->records.n};
        dequeue(part);
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
    while (next_checked(replica)) append_some(replica, now_us);
}

void replica_refuse_queued(struct replica *replica, enum kafka_error error)
{
    LIST_FOR_EACH (&replica->produced, node) {
        struct produce_partition *part = CONTAINER_OF(node, struct produce_partition, node);
        dequeue(part);
        settle_postponed(replica, part, error);
    }
    if (list_is_linked(&replica->to_append)) list_remove(&replica->to_append);
}
