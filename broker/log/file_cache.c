#include "broker/log/file_cache.h"

#include "common/assert.h"

void file_cache_init(struct file_cache *cache, uint32_t files_max, size_t index_bytes_max)
{
    ASSERT(files_max > 0);
    *cache = (struct file_cache){.files_max = files_max, .index_bytes_max = index_bytes_max};
    list_init(&cache->entries);
}

void file_cache_deinit(struct file_cache *cache)
{
    ASSERT(list_is_empty(&cache->entries));
    ASSERT(cache->files_open == 0 && cache->index_bytes == 0);
}

static bool is_over(const struct file_cache *cache)
{
    return cache->files_open > cache->files_max || cache->index_bytes > cache->index_bytes_max;
}

void file_cache_use(struct file_cache *cache, struct file_cache_entry *entry, bool has_file, size_t index_bytes)
{
    ASSERT(entry->evict != NULL);
    file_cache_remove(cache, entry);
    entry->has_file = has_file;
    entry->index_bytes = index_bytes;
    cache->files_open += has_file;
    cache->index_bytes += index_bytes;
    list_push_back(&cache->entries, &entry->node);
    for (struct list_node *first; is_over(cache) && (first = list_first(&cache->entries)) != &entry->node;) {
        ASSERT(first != NULL);
        struct file_cache_entry *oldest = CONTAINER_OF(first, struct file_cache_entry, node);
        oldest->evict(oldest);
        ASSERT(!list_is_linked(&oldest->node));
    }
}

void file_cache_remove(struct file_cache *cache, struct file_cache_entry *entry)
{
    if (!list_is_linked(&entry->node)) return;
    list_remove(&entry->node);
    ASSERT(cache->files_open >= entry->has_file && cache->index_bytes >= entry->index_bytes);
    cache->files_open -= entry->has_file;
    cache->index_bytes -= entry->index_bytes;
    entry->has_file = false;
    entry->index_bytes = 0;
}
