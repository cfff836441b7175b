#include "broker/log/segment_index.h"

#include "common/assert.h"
#include "common/mem.h"
#include "common/reader.h"

void segment_index_init(struct segment_index *index) { *index = (struct segment_index){0}; }

void segment_index_deinit(struct segment_index *index)
{
    mem_free(index->offsets);
    mem_free(index->times);
    *index = (struct segment_index){0};
}

size_t segment_index_bytes(const struct segment_index *index)
{
    return index->offset_capacity * sizeof *index->offsets + index->time_capacity * sizeof *index->times;
}

static void *grow(void *entries, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) return entries;
    *capacity = *capacity ? 2 * *capacity : 8;
    return mem_realloc(entries, *capacity, size);
}

void segment_index_add_offset(struct segment_index *index, uint32_t relative, uint32_t position)
{
    const struct offset_entry *last = index->offset_count ? &index->offsets[index->offset_count - 1] : NULL;
    ASSERT(relative <= INT32_MAX && position <= INT32_MAX);
    ASSERT_IMPLIES(last, last->relative < relative && last->position < position);
    index->offsets = grow(index->offsets, index->offset_count, &index->offset_capacity, sizeof *index->offsets);
    index->offsets[index->offset_count++] = (struct offset_entry){relative, position};
}

void segment_index_add_time(struct segment_index *index, int64_t timestamp_ms, uint32_t relative)
{
    const struct time_entry *last = index->time_count ? &index->times[index->time_count - 1] : NULL;
    ASSERT(relative <= INT32_MAX);
    if (last && timestamp_ms <= last->timestamp_ms) return;
    ASSERT_IMPLIES(last, last->relative <= relative);
    index->times = grow(index->times, index->time_count, &index->time_capacity, sizeof *index->times);
    index->times[index->time_count++] = (struct time_entry){timestamp_ms, relative};
}

void segment_index_truncate(struct segment_index *index, uint32_t relative, uint32_t position)
{
    while (index->offset_count && index->offsets[index->offset_count - 1].position >= position) index->offset_count--;
    while (index->time_count && index->times[index->time_count - 1].relative >= relative) index->time_count--;
}

/* Number of entries with relative <= `relative`. */
static uint32_t count_up_to(const struct segment_index *index, uint32_t relative)
{
    uint32_t low = 0, high = index->offset_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->offsets[middle].relative <= relative)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t segment_index_floor(const struct segment_index *index, uint32_t relative)
{
    uint32_t count = count_up_to(index, relative);
    return count ? index->offsets[count - 1].position : 0;
}

uint32_t segment_index_floor_position(const struct segment_index *index, uint32_t relative, uint32_t position)
{
    uint32_t low = 0, high = count_up_to(index, relative);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->offsets[middle].position <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? index->offsets[low - 1].position : 0;
}

uint32_t segment_index_floor_time(const struct segment_index *index, int64_t timestamp_ms)
{
    uint32_t low = 0, high = index->time_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->times[middle].timestamp_ms <= timestamp_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? index->times[low - 1].relative : 0;
}

void segment_index_write_offsets(const struct segment_index *index, struct writer *w)
{
    for (uint32_t i = 0; i < index->offset_count; i++) {
        writer_u32(w, index->offsets[i].relative);
        writer_u32(w, index->offsets[i].position);
    }
}

void segment_index_write_times(const struct segment_index *index, struct writer *w)
{
    for (uint32_t i = 0; i < index->time_count; i++) {
        writer_i64(w, index->times[i].timestamp_ms);
        writer_u32(w, index->times[i].relative);
    }
}

static bool parse_offsets(struct segment_index *index, struct slice bytes, int64_t segment_bytes)
{
    struct reader r = reader_make(bytes);
    int64_t relative_before = -1, position_before = -1;
    while (r.left >= OFFSET_INDEX_ENTRY_BYTES) {
        int32_t relative = reader_i32(&r), position = reader_i32(&r);
        if (relative <= relative_before || position <= position_before || position >= segment_bytes) return false;
        segment_index_add_offset(index, (uint32_t)relative, (uint32_t)position);
        relative_before = relative, position_before = position;
    }
    return reader_done(&r);
}

static bool parse_times(struct segment_index *index, struct slice bytes)
{
    struct reader r = reader_make(bytes);
    int64_t relative_before = -1, timestamp_before = INT64_MIN;
    while (r.left >= TIME_INDEX_ENTRY_BYTES) {
        int64_t timestamp = reader_i64(&r);
        int32_t relative = reader_i32(&r);
        if (relative < 0 || relative < relative_before || timestamp <= timestamp_before) return false;
        segment_index_add_time(index, timestamp, (uint32_t)relative);
        relative_before = relative, timestamp_before = timestamp;
    }
    return reader_done(&r);
}

bool segment_index_parse(struct segment_index *index, struct slice offsets, struct slice times, int64_t segment_bytes)
{
    segment_index_deinit(index);
    if (parse_offsets(index, offsets, segment_bytes) && parse_times(index, times)) return true;
    segment_index_deinit(index);
    return false;
}
