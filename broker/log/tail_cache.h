/* The newest bytes of the logs of a node, as the buffers that brought them: what followers and tailing consumers read, without
 * touching a file. Each log keeps its own run of entries in offset order; all share one budget, oldest bytes first out.
 * One owner thread. */
#ifndef SKIFF_BROKER_LOG_TAIL_CACHE_H
#define SKIFF_BROKER_LOG_TAIL_CACHE_H

#include "common/buf.h"
#include "common/list.h"

struct tail_cache {
    struct list entries; /* of all logs, oldest first */
    size_t bytes, bytes_max;
};
/* The part of one log. */
struct tail {
    struct tail_cache *cache;
    struct list entries; /* offset order, without gaps */
};
/* One batch. */
struct tail_entry {
    struct list_node in_cache, in_tail;
    struct tail *tail;
    struct buf *buf; /* a reference */
    size_t at, size;
    int64_t base_offset, end_offset; /* end: first offset after it */
    int64_t segment_base, position;  /* where it is on disk */
    size_t charge;
};

void tail_cache_init(struct tail_cache *cache, size_t bytes_max);
void tail_cache_deinit(struct tail_cache *cache);
void tail_init(struct tail *tail, struct tail_cache *cache);
void tail_deinit(struct tail *tail);
void tail_push(struct tail *tail, struct buf *buf, size_t at, size_t size, int64_t base_offset, int64_t end_offset, int64_t segment_base,
               int64_t position);
/* The entry that contains `offset`, or NULL. */
struct tail_entry *tail_find(const struct tail *tail, int64_t offset);
struct tail_entry *tail_next(const struct tail *tail, const struct tail_entry *entry);
/* Drops what ends above `offset`. */
void tail_truncate(struct tail *tail, int64_t offset);

#endif
