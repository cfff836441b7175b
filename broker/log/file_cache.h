/* Which segments of a node hold an open descriptor or a loaded index. Both are opened on first use and given back in the order
 * of their last use when there are more than the limits allow. One owner thread. */
#ifndef SKIFF_BROKER_LOG_FILE_CACHE_H
#define SKIFF_BROKER_LOG_FILE_CACHE_H

#include "common/env.h"

struct file_cache {
    struct list entries; /* least recently used first */
    uint32_t files_open, files_max;
    size_t index_bytes, index_bytes_max;
};

/* Embedded in the owner. `evict` must give back the file and the index, and end with file_cache_remove(). */
struct file_cache_entry {
    struct list_node node;
    size_t index_bytes; /* of a loaded index that can be read again from disk */
    bool has_file;
    void (*evict)(struct file_cache_entry *entry);
};

void file_cache_init(struct file_cache *cache, uint32_t files_max, size_t index_bytes_max);
void file_cache_deinit(struct file_cache *cache);
/* The entry was just used and now holds this much; evicts others as needed, never the entry itself. */
void file_cache_use(struct file_cache *cache, struct file_cache_entry *entry, bool has_file, size_t index_bytes);
/* No-op when it is not in the cache. */
void file_cache_remove(struct file_cache *cache, struct file_cache_entry *entry);

#endif
