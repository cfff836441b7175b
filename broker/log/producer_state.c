#include "broker/log/producer_state.h"

#include "common/assert.h"
#include "common/mem.h"

void producer_state_init(struct producer_state *state, uint64_t seed)
{
    map_init(&state->producers, seed);
    state->open_transactions = 0;
}

void producer_state_clear(struct producer_state *state)
{
    uint64_t seed = state->producers.seed;
    MAP_FOR_EACH (&state->producers, struct producer, producer) mem_free(producer);
    map_deinit(&state->producers);
    producer_state_init(state, seed);
}

void producer_state_deinit(struct producer_state *state)
{
    producer_state_clear(state);
    map_deinit(&state->producers);
}

static struct producer *find(const struct producer_state *state, int64_t producer_id)
{
    return map_get(&state->producers, MAP_KEY(&producer_id));
}

const struct producer *producer_state_get(const struct producer_state *state, int64_t producer_id) { return find(state, producer_id); }

/* ---- sequence numbers ---------------------------------------------------------------------------------------------- */

int32_t producer_last_sequence(int32_t first_sequence, int32_t offset_delta)
{
    ASSERT(first_sequence >= 0 && offset_delta >= 0);
    return (int32_t)(((int64_t)first_sequence + offset_delta) & INT32_MAX);
}

static bool is_next(int32_t last_sequence, int32_t first_sequence)
{
    if (last_sequence == PRODUCER_NO_SEQUENCE || last_sequence == INT32_MAX) return first_sequence == 0;
    return first_sequence == last_sequence + 1;
}

static int32_t last_sequence_of(const struct producer *producer)
{
    return producer->batch_count ? producer->batches[producer->batch_count - 1].last_sequence : PRODUCER_NO_SEQUENCE;
}

/* ---- checks of a leader -------------------------------------------------------------------------------------------- */

static const struct producer_batch *find_duplicate(const struct producer *producer, const struct producer_event *event)
{
    if (event->producer_epoch != producer->epoch) return NULL;
    int32_t last = producer_last_sequence(event->first_sequence, event->offset_delta);
    for (uint8_t i = 0; i < producer->batch_count; i++) {
        const struct producer_batch *batch = &producer->batches[i];
        if (batch->last_sequence == last && batch->offset_delta == event->offset_delta) return batch;
    }
    return NULL;
}

/* Epoch before sequence (Z-06): an old epoch is fenced whatever it sends. */
static enum producer_verdict check_data(const struct producer *producer, const struct producer_event *event)
{
    if (event->producer_epoch < producer->epoch) return PRODUCER_OLD_EPOCH;
    int32_t last = event->producer_epoch > producer->epoch ? PRODUCER_NO_SEQUENCE : last_sequence_of(producer);
    if (!is_next(last, event->first_sequence)) return PRODUCER_OUT_OF_ORDER;
    if (producer->txn_first_offset >= 0 && !event->is_transactional) return PRODUCER_BAD_TXN_STATE;
    return PRODUCER_OK;
}

enum producer_verdict producer_state_check(const struct producer_state *state, const struct producer_event *event,
                                           const struct producer_batch **original)
{
    ASSERT(event->producer_id >= 0);
    const struct producer *producer = find(state, event->producer_id);
    *original = NULL;
    if (!producer) return PRODUCER_OK; /* I-NOSTATE: retention may have dropped what came before */
    if (event->is_marker) {
        bool is_old = event->producer_epoch < producer->epoch || event->coordinator_epoch < producer->coordinator_epoch;
        return is_old ? PRODUCER_OLD_EPOCH : PRODUCER_OK;
    }
    *original = find_duplicate(producer, event);
    return *original ? PRODUCER_DUPLICATE : check_data(producer, event);
}

/* ---- what was appended --------------------------------------------------------------------------------------------- */

static void push_batch(struct producer *producer, const struct producer_batch *batch)
{
    if (producer->batch_count == PRODUCER_BATCHES_KEPT) {
        producer->batch_count--;
        memmove(producer->batches, producer->batches + 1, producer->batch_count * sizeof *batch);
    }
    producer->batches[producer->batch_count++] = *batch;
}

static struct producer *get_or_add(struct producer_state *state, int64_t producer_id, int16_t epoch)
{
    struct producer *producer = find(state, producer_id);
    if (producer) return producer;
    producer = mem_alloc(sizeof *producer);
    *producer = (struct producer){.id = producer_id, .epoch = epoch, .coordinator_epoch = -1, .txn_first_offset = -1};
    map_put(&state->producers, MAP_KEY(&producer->id), producer);
    return producer;
}

void producer_state_append(struct producer_state *state, const struct producer_event *event, int64_t now_ms)
{
    ASSERT(event->producer_id >= 0);
    struct producer *producer = get_or_add(state, event->producer_id, event->producer_epoch);
    if (producer->epoch != event->producer_epoch) {
        producer->epoch = event->producer_epoch;
        producer->batch_count = 0;
    }
    producer->last_timestamp_ms = event->timestamp_ms;
    producer->seen_ms = now_ms;
    if (event->is_marker) {
        state->open_transactions -= producer->txn_first_offset >= 0;
        producer->txn_first_offset = -1;
        producer->coordinator_epoch = event->coordinator_epoch;
        return;
    }
    push_batch(producer, &(struct producer_batch){.last_sequence = producer_last_sequence(event->first_sequence, event->offset_delta),
                                                  .offset_delta = event->offset_delta,
                                                  .last_offset = event->base_offset + event->offset_delta,
                                                  .timestamp_ms = event->timestamp_ms});
    if (!event->is_transactional || producer->txn_first_offset >= 0) return;
    producer->txn_first_offset = event->base_offset;
    state->open_transactions++;
}

void producer_state_prepare_undo(const struct producer_state *state, int64_t producer_id, struct producer_undo *undo)
{
    const struct producer *producer = find(state, producer_id);
    undo->is_new = producer == NULL;
    undo->before = producer ? *producer : (struct producer){.id = producer_id, .txn_first_offset = -1};
}

void producer_state_undo(struct producer_state *state, const struct producer_undo *undo)
{
    struct producer *producer = find(state, undo->before.id);
    ASSERT(producer != NULL);
    if (producer->txn_first_offset >= 0) state->open_transactions--;
    if (undo->before.txn_first_offset >= 0) state->open_transactions++;
    if (undo->is_new) {
        (void)map_remove(&state->producers, MAP_KEY(&undo->before.id));
        mem_free(producer);
    } else {
        *producer = undo->before;
    }
}

void producer_state_expire(struct producer_state *state, int64_t now_ms, int64_t expiration_ms)
{
    ASSERT(expiration_ms > 0);
    MAP_FOR_EACH (&state->producers, struct producer, producer) {
        if (producer->txn_first_offset >= 0 || now_ms - producer->seen_ms < expiration_ms) continue;
        (void)map_remove(&state->producers, MAP_KEY(&producer->id));
        mem_free(producer);
    }
}

int64_t producer_state_first_unstable(const struct producer_state *state)
{
    int64_t first = -1;
    if (state->open_transactions == 0) return first;
    MAP_FOR_EACH (&state->producers, struct producer, producer) {
        if (producer->txn_first_offset < 0) continue;
        if (first < 0 || producer->txn_first_offset < first) first = producer->txn_first_offset;
    }
    return first;
}
