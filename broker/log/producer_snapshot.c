/* Kafka's .snapshot format: version int16 = 1, CRC-32C uint32 of what follows, count int32, then the entries. */
#include "broker/log/producer_state.h"

#include "common/assert.h"
#include "common/crc32c.h"
#include "common/mem.h"
#include "common/reader.h"

#define SNAPSHOT_VERSION     1
#define SNAPSHOT_CRC_AT      2
#define SNAPSHOT_ENTRIES_AT  6
#define SNAPSHOT_ENTRY_BYTES 46

static void write_entry(struct writer *w, const struct producer *producer, const struct producer_batch *batch, bool is_last)
{
    writer_i64(w, producer->id);
    writer_i16(w, producer->epoch);
    writer_i32(w, batch->last_sequence);
    writer_i64(w, batch->last_offset);
    writer_i32(w, batch->offset_delta);
    writer_i64(w, is_last ? producer->last_timestamp_ms : batch->timestamp_ms);
    writer_i32(w, is_last ? producer->coordinator_epoch : -1);
    writer_i64(w, is_last ? producer->txn_first_offset : -1);
}

void producer_snapshot_write(const struct producer_state *state, struct writer *w)
{
    int32_t count = 0;
    size_t start = writer_size(w);
    writer_i16(w, SNAPSHOT_VERSION);
    writer_u32(w, 0);
    writer_i32(w, 0);
    MAP_FOR_EACH (&state->producers, struct producer, producer) {
        for (uint8_t i = 0; i < producer->batch_count; i++, count++)
            write_entry(w, producer, &producer->batches[i], i + 1 == producer->batch_count);
        if (producer->batch_count > 0) continue;
        write_entry(w, producer, &(struct producer_batch){.last_sequence = PRODUCER_NO_SEQUENCE, .last_offset = -1}, true);
        count++;
    }
    writer_patch_i32(w, start + SNAPSHOT_ENTRIES_AT, count);
    struct slice bytes = writer_slice(w);
    uint32_t crc = crc32c(slice_make(bytes.p + start + SNAPSHOT_ENTRIES_AT, bytes.n - start - SNAPSHOT_ENTRIES_AT));
    writer_patch_i32(w, start + SNAPSHOT_CRC_AT, (int32_t)crc);
}

/* False when the values cannot be. */
static bool read_entry(struct producer_state *state, struct reader *r, int64_t now_ms)
{
    struct producer entry = {.id = reader_i64(r), .epoch = reader_i16(r), .seen_ms = now_ms};
    struct producer_batch batch = {.last_sequence = reader_i32(r)};
    batch.last_offset = reader_i64(r);
    batch.offset_delta = reader_i32(r);
    batch.timestamp_ms = reader_i64(r);
    entry.coordinator_epoch = reader_i32(r);
    entry.txn_first_offset = reader_i64(r);
    if (!reader_ok(r) || entry.id < 0 || entry.epoch < 0) return false;
    if (batch.last_sequence < PRODUCER_NO_SEQUENCE || batch.offset_delta < 0) return false;
    if (batch.last_sequence >= 0 && batch.last_offset < batch.offset_delta) return false;

    struct producer *producer = map_get(&state->producers, MAP_KEY(&entry.id));
    if (!producer) {
        producer = mem_alloc(sizeof *producer);
        *producer = entry;
        producer->txn_first_offset = -1;
        map_put(&state->producers, MAP_KEY(&producer->id), producer);
    }
    if (producer->epoch != entry.epoch || producer->batch_count == PRODUCER_BATCHES_KEPT) return false;
    state->open_transactions += (uint32_t)(entry.txn_first_offset >= 0) - (uint32_t)(producer->txn_first_offset >= 0);
    producer->coordinator_epoch = entry.coordinator_epoch;
    producer->txn_first_offset = entry.txn_first_offset;
    producer->last_timestamp_ms = batch.timestamp_ms;
    if (batch.last_sequence >= 0) producer->batches[producer->batch_count++] = batch;
    return true;
}

static bool read_all(struct producer_state *state, struct slice bytes, int64_t now_ms)
{
    struct reader r = reader_make(bytes);
    int16_t version = reader_i16(&r);
    uint32_t crc = reader_u32(&r);
    if (!reader_ok(&r) || version != SNAPSHOT_VERSION) return false;
    if (crc32c(slice_make(r.p, r.left)) != crc) return false;
    int32_t count = reader_i32(&r);
    if (!reader_ok(&r) || count < 0 || (size_t)count != r.left / SNAPSHOT_ENTRY_BYTES) return false;
    for (int32_t i = 0; i < count; i++)
        if (!read_entry(state, &r, now_ms)) return false;
    return reader_done(&r);
}

bool producer_snapshot_parse(struct producer_state *state, struct slice bytes, int64_t now_ms)
{
    producer_state_clear(state);
    if (read_all(state, bytes, now_ms)) return true;
    producer_state_clear(state);
    return false;
}
