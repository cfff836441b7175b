#include "broker/log/tail_cache.h"

#include "common/assert.h"
#include "common/mem.h"

#define IN_CACHE(pointer) CONTAINER_OF(pointer, struct tail_entry, in_cache)
#define IN_TAIL(pointer)  CONTAINER_OF(pointer, struct tail_entry, in_tail)

void tail_cache_init(struct tail_cache *cache, size_t bytes_max)
{
    *cache = (struct tail_cache){.bytes_max = bytes_max};
    list_init(&cache->entries);
}

void tail_cache_deinit(struct tail_cache *cache)
{
    ASSERT(list_is_empty(&cache->entries));
    ASSERT(cache->bytes == 0);
}

void tail_init(struct tail *tail, struct tail_cache *cache)
{
    tail->cache = cache;
    list_init(&tail->entries);
}

static void drop(struct tail_entry *entry)
{
    struct tail_cache *cache = entry->tail->cache;
    ASSERT(cache->bytes >= entry->charge);
    cache->bytes -= entry->charge;
    list_remove(&entry->in_cache);
    list_remove(&entry->in_tail);
    buf_unref(entry->buf);
    mem_free(entry);
}

void tail_deinit(struct tail *tail) { tail_truncate(tail, INT64_MIN); }

/* Several batches of one buffer pay for it once; the oldest batch holds the charge, so that the sum falls late, never early. */
static size_t charge_of(const struct tail *tail, const struct buf *buf)
{
    struct list_node *last = list_last(&tail->entries);
    bool is_paid = last && IN_TAIL(last)->buf == buf;
    return sizeof(struct tail_entry) + (is_paid ? 0 : buf->capacity);
}

void tail_push(struct tail *tail, struct buf *buf, size_t at, size_t size, int64_t base_offset, int64_t end_offset, int64_t segment_base,
               int64_t position)
{
    struct tail_cache *cache = tail->cache;
    ASSERT(base_offset < end_offset && at + size <= buf->size);
    struct tail_entry *entry = mem_alloc(sizeof *entry);
    *entry = (struct tail_entry){.tail = tail,
                                 .buf = buf_ref(buf),
                                 .at = at,
                                 .size = size,
                                 .base_offset = base_offset,
                                 .end_offset = end_offset,
                                 .segment_base = segment_base,
                                 .position = position,
                                 .charge = charge_of(tail, buf)};
    list_push_back(&cache->entries, &entry->in_cache);
    list_push_back(&tail->entries, &entry->in_tail);
    cache->bytes += entry->charge;
    for (struct list_node *oldest; cache->bytes > cache->bytes_max && (oldest = list_first(&cache->entries)) != NULL;)
        drop(IN_CACHE(oldest));
}

struct tail_entry *tail_find(const struct tail *tail, int64_t offset)
{
    struct list_node *first = list_first(&tail->entries);
    if (!first || offset < IN_TAIL(first)->base_offset) return NULL;
    /* Readers are near the end. */
    for (struct list_node *node = list_last(&tail->entries); node && node != &tail->entries.head; node = node->prev) {
        struct tail_entry *entry = IN_TAIL(node);
        if (offset >= entry->end_offset) return NULL;
        if (offset >= entry->base_offset) return entry;
    }
    return NULL;
}

struct tail_entry *tail_next(const struct tail *tail, const struct tail_entry *entry)
{
    struct list_node *next = list_next(&tail->entries, &entry->in_tail);
    return next ? IN_TAIL(next) : NULL;
}

void tail_truncate(struct tail *tail, int64_t offset)
{
    for (struct list_node *last; (last = list_last(&tail->entries)) && IN_TAIL(last)->end_offset > offset;) drop(IN_TAIL(last));
}
