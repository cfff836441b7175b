/* Leader epoch -> first offset of that epoch, for one log (KIP-101, KIP-279). Derived from the epochs in the batch headers; the
 * file leader-epoch-checkpoint only spares reading them all. Pure. Owner: the log.
 *
 * Both columns strictly increase. */
#ifndef SKIFF_BROKER_LOG_EPOCH_CACHE_H
#define SKIFF_BROKER_LOG_EPOCH_CACHE_H

#include "common/attr.h"
#include "common/slice.h"
#include "common/writer.h"

struct epoch_entry {
    int32_t epoch;
    int64_t start;
};
struct epoch_cache {
    struct epoch_entry *entries;
    uint32_t count, capacity;
};

void epoch_cache_init(struct epoch_cache *cache);
void epoch_cache_deinit(struct epoch_cache *cache);
/* A batch of `epoch` begins at `start`. True when that is a new entry. Asserts that neither runs backwards. */
bool epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start);
/* The log now ends at `end`: drops entries that start there or later. True when something changed. */
bool epoch_cache_cut_end(struct epoch_cache *cache, int64_t end);
/* The log now starts at `start`: the epoch that contains it begins there, older ones go. True when something changed. */
bool epoch_cache_cut_start(struct epoch_cache *cache, int64_t start);
/* -1 when there is none. */
int32_t epoch_cache_last(const struct epoch_cache *cache);
int32_t epoch_cache_at(const struct epoch_cache *cache, int64_t offset);
/* See plog_epoch_end(). */
void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end, int32_t *found_epoch, int64_t *end_offset);

/* The text of leader-epoch-checkpoint. */
void epoch_cache_write(const struct epoch_cache *cache, struct writer *w);
/* False when the text is not whole and in order; the cache is then empty. */
NODISCARD bool epoch_cache_parse(struct epoch_cache *cache, struct slice text);

#endif
