#include "broker/log/epoch_cache.h"

#include "broker/log/checkpoint.h"
#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/str.h"

void epoch_cache_init(struct epoch_cache *cache) { *cache = (struct epoch_cache){0}; }

void epoch_cache_deinit(struct epoch_cache *cache)
{
    mem_free(cache->entries);
    *cache = (struct epoch_cache){0};
}

static void push(struct epoch_cache *cache, int32_t epoch, int64_t start)
{
    if (cache->count == cache->capacity) {
        cache->capacity = cache->capacity ? 2 * cache->capacity : 2;
        cache->entries = mem_realloc(cache->entries, cache->capacity, sizeof *cache->entries);
    }
    cache->entries[cache->count++] = (struct epoch_entry){epoch, start};
}

bool epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start)
{
    ASSERT(epoch >= 0 && start >= 0);
    if (cache->count) {
        const struct epoch_entry *last = &cache->entries[cache->count - 1];
        ASSERT(epoch >= last->epoch);
        if (epoch == last->epoch) return false;
        ASSERT(start > last->start);
    }
    push(cache, epoch, start);
    return true;
}

bool epoch_cache_cut_end(struct epoch_cache *cache, int64_t end)
{
    uint32_t before = cache->count;
    while (cache->count && cache->entries[cache->count - 1].start >= end) cache->count--;
    return cache->count != before;
}

/* Index of the entry whose range contains `offset`, or -1 when it is below the first. */
static int64_t index_at(const struct epoch_cache *cache, int64_t offset)
{
    int64_t low = 0, high = (int64_t)cache->count; /* first entry that starts above offset */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (cache->entries[middle].start <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

bool epoch_cache_cut_start(struct epoch_cache *cache, int64_t start)
{
    int64_t first = index_at(cache, start);
    if (first < 0 || cache->entries[first].start == start) {
        if (first <= 0) return false;
    }
    cache->count -= (uint32_t)first;
    memmove(cache->entries, cache->entries + first, cache->count * sizeof *cache->entries);
    cache->entries[0].start = start;
    return true;
}

int32_t epoch_cache_last(const struct epoch_cache *cache) { return cache->count ? cache->entries[cache->count - 1].epoch : -1; }

int32_t epoch_cache_at(const struct epoch_cache *cache, int64_t offset)
{
    int64_t at = index_at(cache, offset);
    return at < 0 ? -1 : cache->entries[at].epoch;
}

void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end, int32_t *found_epoch, int64_t *end_offset)
{
    uint32_t above = 0; /* first entry with a larger epoch */
    while (above < cache->count && cache->entries[above].epoch <= epoch) above++;
    *found_epoch = above == 0 ? epoch : cache->entries[above - 1].epoch;
    *end_offset = above == cache->count ? log_end : cache->entries[above].start;
}

void epoch_cache_write(const struct epoch_cache *cache, struct writer *w)
{
    checkpoint_write_head(w, cache->count);
    for (uint32_t i = 0; i < cache->count; i++) {
        checkpoint_write_number(w, cache->entries[i].epoch);
        writer_u8(w, ' ');
        checkpoint_write_number(w, cache->entries[i].start);
        writer_u8(w, '\n');
    }
}

static bool parse_entry(struct epoch_cache *cache, struct slice line)
{
    struct slice epoch_text = SLICE_NULL;
    int64_t epoch = 0, start = 0;
    int32_t narrow = 0;
    if (!str_split(&line, ' ', &epoch_text) || slice_is_null(line)) return false;
    if (!str_parse_i64(epoch_text, &epoch) || !str_parse_i64(line, &start)) return false;
    if (!checked_narrow_i32(epoch, &narrow) || narrow < 0 || start < 0) return false;
    const struct epoch_entry *last = cache->count ? &cache->entries[cache->count - 1] : NULL;
    if (last && (narrow <= last->epoch || start <= last->start)) return false;
    push(cache, narrow, start);
    return true;
}

bool epoch_cache_parse(struct epoch_cache *cache, struct slice text)
{
    int64_t count = 0;
    struct slice line = SLICE_NULL;
    cache->count = 0;
    bool is_good = checkpoint_parse_head(&text, &count);
    for (; is_good && count > 0; count--) is_good = checkpoint_next_line(&text, &line) && parse_entry(cache, line);
    is_good = is_good && text.n == 0;
    if (!is_good) cache->count = 0;
    return is_good;
}
