/* What clients were told, and whether it fits together. */
#include "tests/sim/sim_internal.h"
#include "tests/sim/workload.h"

#include <stdarg.h>
#include <stdio.h>

void verdict_fail(struct verdict *verdict, const char *id, const char *format, ...)
{
    if (verdict->id) return;
    verdict->id = id;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(verdict->text, sizeof verdict->text, format, arguments);
    va_end(arguments);
}

void history_init(struct history *history, struct verdict *verdict) { *history = (struct history){.verdict = verdict}; }

void history_deinit(struct history *history)
{
    for (uint32_t p = 0; p < WORKLOAD_PARTITIONS_MAX; p++) {
        sim_free(history->partitions[p].values);
        for (uint32_t c = 0; c < WORKLOAD_CLIENTS_MAX; c++) sim_free(history->partitions[p].producers[c].offsets);
    }
}

static void describe(uint64_t value, char out[static 48])
{
    (void)snprintf(out, 48, "record %u of client %u", record_number(value), record_client(value));
}

void history_place(struct history *history, uint32_t partition, int64_t offset, uint64_t value, const char *told_by)
{
    struct history_partition *p = &history->partitions[partition];
    ASSERT(partition < WORKLOAD_PARTITIONS_MAX && offset >= 0 && value != 0);
    while (offset >= p->capacity) {
        int64_t capacity = p->capacity ? p->capacity * 2 : 256;
        p->values = sim_realloc(p->values, (size_t)capacity * sizeof *p->values);
        memset(p->values + p->capacity, 0, (size_t)(capacity - p->capacity) * sizeof *p->values);
        p->capacity = capacity;
    }
    if (offset >= p->count) p->count = offset + 1;
    if (p->values[offset] != 0 && p->values[offset] != value) {
        char is[48], was[48];
        describe(value, is);
        describe(p->values[offset], was);
        verdict_fail(history->verdict, "L-OFF1", "partition %u offset %lld: %s says %s, it was %s", partition, (long long)offset, told_by,
                     is, was);
        return;
    }
    p->values[offset] = value;
}

void history_acked(struct history *history, uint64_t value, int64_t offset, int64_t now_us)
{
    uint32_t partition = record_partition(value), number = record_number(value);
    struct history_producer *producer = &history->partitions[partition].producers[record_client(value)];
    while (number >= producer->capacity) {
        uint32_t capacity = producer->capacity ? producer->capacity * 2 : 64;
        producer->offsets = sim_realloc(producer->offsets, capacity * sizeof *producer->offsets);
        for (uint32_t i = producer->capacity; i < capacity; i++) producer->offsets[i] = -1;
        producer->capacity = capacity;
    }
    if (number >= producer->count) producer->count = number + 1;
    producer->offsets[number] = offset;
    history->acked++;
    history->last_ack_us = now_us;
    if (history->on_acked) history->on_acked(history->context, partition, offset);
    history_place(history, partition, offset, value, "an acknowledgement");
}

void history_readable(struct history *history, uint32_t partition, int64_t end)
{
    struct history_partition *p = &history->partitions[partition];
    if (end > p->readable_end) p->readable_end = end;
}

int64_t history_settled(const struct history *history, uint32_t partition, uint32_t client)
{
    const struct history_producer *producer = &history->partitions[partition].producers[client];
    int64_t last = 0;
    for (uint32_t number = 0; number < producer->count && producer->offsets[number] >= 0; number++) last = producer->offsets[number];
    return last;
}

/* Each producer's records: each once, in order, without a gap. Of the deleted ones some were told to nobody: so many may be missing. */
static void check_sequences(struct history *history, uint32_t partition, const uint64_t *values, int64_t start, int64_t count)
{
    const uint64_t *told = history->partitions[partition].values;
    uint32_t next[WORKLOAD_CLIENTS_MAX] = {0}, untold = 0;
    for (int64_t offset = 0; offset < count; offset++) {
        uint64_t value = offset < start ? told[offset] : values[offset];
        if (value == 0) {
            untold++;
            continue;
        }
        uint32_t client = record_client(value), number = record_number(value);
        if (number < next[client] || number - next[client] > untold) {
            verdict_fail(history->verdict, number < next[client] ? "I-DUP" : "I-GAP",
                         "partition %u offset %lld: record %u of client %u where %u is next", partition, (long long)offset, number, client,
                         next[client]);
            return;
        }
        untold -= number - next[client];
        next[client] = number + 1;
    }
}

void history_check_final(struct history *history, uint32_t partition, const uint64_t *values, int64_t start, int64_t count)
{
    struct history_partition *p = &history->partitions[partition];
    for (uint32_t client = 0; client < WORKLOAD_CLIENTS_MAX; client++) {
        const struct history_producer *producer = &p->producers[client];
        for (uint32_t number = 0; number < producer->count; number++) {
            int64_t offset = producer->offsets[number];
            if (offset < start || (offset < count && values[offset] == record_value(client, partition, number))) continue;
            verdict_fail(history->verdict, "Q-LOST",
                         "partition %u: record %u of client %u was acknowledged at offset %lld and is not there", partition, number, client,
                         (long long)offset);
            return;
        }
    }
    if (start != p->trim_asked) {
        verdict_fail(history->verdict, "Q-TRIM", "partition %u starts at %lld; the deletion of what is below %lld was asked for", partition,
                     (long long)start, (long long)p->trim_asked);
        return;
    }
    for (int64_t offset = start; offset < count; offset++) history_place(history, partition, offset, values[offset], "the final read");
    if (p->count > count) {
        verdict_fail(history->verdict, "Q-LOST", "partition %u ends at %lld; offset %lld was read or acknowledged", partition,
                     (long long)count, (long long)p->count - 1);
    }
    check_sequences(history, partition, values, start, count);
}
