#include "controller/raft/raft_log.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

void raft_log_init(struct raft_log *log, int64_t base_index, int64_t base_term, const struct raft_entry *entries, int64_t count)
{
    ASSERT(base_index >= 0 && base_term >= 0);
    ASSERT(count >= 0);
    *log = (struct raft_log){.base_index = base_index, .base_term = base_term, .durable_index = base_index + count};
    log->entries = mem_calloc((size_t)count, sizeof *entries);
    log->count = log->capacity = count;
    for (int64_t i = 0; i < count; i++) {
        log->entries[i] = entries[i];
        log->entries[i].write = 0;
    }
}

void raft_log_deinit(struct raft_log *log)
{
    for (int64_t i = 0; i < log->count; i++) buf_unref(log->entries[i].bytes);
    mem_free(log->entries);
}

int64_t raft_log_last_term(const struct raft_log *log) { return log->count ? log->entries[log->count - 1].term : log->base_term; }

const struct raft_entry *raft_log_at(const struct raft_log *log, int64_t index)
{
    ASSERT(index > log->base_index);
    ASSERT(index <= raft_log_last_index(log));
    return &log->entries[index - log->base_index - 1];
}

bool raft_log_term(const struct raft_log *log, int64_t index, int64_t *term)
{
    if (index < log->base_index || index > raft_log_last_index(log)) return false;
    *term = index == log->base_index ? log->base_term : raft_log_at(log, index)->term;
    return true;
}

bool raft_log_matches(const struct raft_log *log, int64_t index, int64_t term)
{
    int64_t own = 0;
    return raft_log_term(log, index, &own) && own == term;
}

int64_t raft_log_last_with_term(const struct raft_log *log, int64_t index, int64_t term)
{
    int64_t low = log->base_index, high = max_i64(low, min_i64(index, raft_log_last_index(log)));
    while (low < high) { /* terms never decrease: the answer is in [low, high] */
        int64_t middle = high - (high - low) / 2;
        if (raft_log_at(log, middle)->term <= term)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

void raft_log_append(struct raft_log *log, const struct raft_entry *entry)
{
    ASSERT(entry->term >= raft_log_last_term(log));
    ASSERT(entry->write > 0);
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 64;
        log->entries = mem_realloc(log->entries, (size_t)log->capacity, sizeof *log->entries);
    }
    log->entries[log->count] = *entry;
    buf_ref(entry->bytes);
    log->count++;
}

void raft_log_truncate(struct raft_log *log, int64_t from)
{
    ASSERT(from > log->base_index);
    ASSERT(from <= raft_log_last_index(log));
    int64_t keep = from - log->base_index - 1;
    for (int64_t i = keep; i < log->count; i++) buf_unref(log->entries[i].bytes);
    log->count = keep;
    log->durable_index = min_i64(log->durable_index, from - 1);
}

void raft_log_compact(struct raft_log *log, int64_t to)
{
    ASSERT(to > log->base_index);
    ASSERT(to <= raft_log_last_index(log));
    int64_t gone = to - log->base_index, term = raft_log_at(log, to)->term;
    for (int64_t i = 0; i < gone; i++) buf_unref(log->entries[i].bytes);
    log->count -= gone;
    memmove(log->entries, log->entries + gone, (size_t)log->count * sizeof *log->entries);
    log->base_index = to;
    log->base_term = term;
    /* What a durable snapshot replaces need not be written any more. */
    log->durable_index = max_i64(log->durable_index, to);
}

void raft_log_reset(struct raft_log *log, int64_t index, int64_t term)
{
    for (int64_t i = 0; i < log->count; i++) buf_unref(log->entries[i].bytes);
    log->count = 0;
    log->base_index = log->durable_index = index;
    log->base_term = term;
}

void raft_log_persisted(struct raft_log *log, uint64_t write)
{
    while (log->durable_index < raft_log_last_index(log) && raft_log_at(log, log->durable_index + 1)->write <= write) log->durable_index++;
}
