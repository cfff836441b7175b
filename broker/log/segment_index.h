/* The two sparse indexes of one segment, in memory, and their files in Kafka's format:
 *     .index      8 bytes an entry: relative offset of the last record of a batch, position of that batch
 *     .timeindex 12 bytes an entry: largest timestamp so far, relative last offset of the batch that brought it
 * Relative to the segment's base offset. Both columns of both tables increase strictly, only the time index's offsets may stay.
 *
 * The files are written when the segment is closed, and at a clean shutdown; until then the memory is the only copy, and a crash
 * makes recovery read the batch headers again. So a file is whole or is not there. Pure. Owner: the segment. */
#ifndef SKIFF_BROKER_LOG_SEGMENT_INDEX_H
#define SKIFF_BROKER_LOG_SEGMENT_INDEX_H

#include "common/attr.h"
#include "common/slice.h"
#include "common/writer.h"

#define OFFSET_INDEX_ENTRY_BYTES 8
#define TIME_INDEX_ENTRY_BYTES   12

struct offset_entry {
    uint32_t relative, position;
};
struct time_entry {
    int64_t timestamp_ms;
    uint32_t relative;
};
struct segment_index {
    struct offset_entry *offsets;
    struct time_entry *times;
    uint32_t offset_count, offset_capacity;
    uint32_t time_count, time_capacity;
};

void segment_index_init(struct segment_index *index);
/* Gives the memory back; the index is empty. */
void segment_index_deinit(struct segment_index *index);
size_t segment_index_bytes(const struct segment_index *index);

void segment_index_add_offset(struct segment_index *index, uint32_t relative, uint32_t position);
/* No-op when the timestamp is not larger than the last entry's. */
void segment_index_add_time(struct segment_index *index, int64_t timestamp_ms, uint32_t relative);
/* Drops entries of batches at or above the position / offset. */
void segment_index_truncate(struct segment_index *index, uint32_t relative, uint32_t position);

/* Position of a batch that begins at or below `relative`: where to start looking for it. */
uint32_t segment_index_floor(const struct segment_index *index, uint32_t relative);
/* The last entry that is at most at `position` and at most at `relative`; 0 when there is none. */
uint32_t segment_index_floor_position(const struct segment_index *index, uint32_t relative, uint32_t position);
/* Relative offset of a batch below which every timestamp is smaller than `timestamp_ms`. */
uint32_t segment_index_floor_time(const struct segment_index *index, int64_t timestamp_ms);

void segment_index_write_offsets(const struct segment_index *index, struct writer *w);
void segment_index_write_times(const struct segment_index *index, struct writer *w);
/* False when the bytes cannot be the index of a segment of this size; the index is then empty. */
NODISCARD bool segment_index_parse(struct segment_index *index, struct slice offsets, struct slice times, int64_t segment_bytes);

#endif
