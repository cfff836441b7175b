/* The committed offsets of one group: topic -> partitions, sorted.
 *
 * A million of them is an ordinary coordinator, so an entry is 56 bytes in an array that grows by a half; topic names are shared by
 * all groups of a shard (struct topic_names). Only what is committed in the log is here. One owner thread. */
#ifndef SKIFF_BROKER_COORDINATOR_GROUP_OFFSETS_H
#define SKIFF_BROKER_COORDINATOR_GROUP_OFFSETS_H

#include "common/map.h"
#include "common/uuid.h"

#include <stdint.h>

/* A topic's name, once for all groups of a shard. */
struct topic_name {
    uint32_t references;
    uint32_t size;
    uint8_t bytes[];
};
struct topic_names {
    struct map names;
    size_t bytes; /* heap that they take, for the memory budget */
};
void topic_names_init(struct topic_names *names, uint64_t seed);
/* Asserts that no name is in use. */
void topic_names_deinit(struct topic_names *names);

struct committed_offset {
    int32_t partition;
    int32_t leader_epoch; /* -1: not told */
    int64_t offset;
    int64_t commit_ms;            /* wall clock of the commit */
    int64_t expire_ms;            /* -1: by retention; else from OffsetCommit v2-4 with a retention of its own */
    struct uuid topic_id;         /* zero: committed by name only */
    struct stored_text *metadata; /* NULL: the empty string */
};
struct stored_text {
    uint32_t size;
    uint8_t bytes[];
};
static inline struct slice committed_offset_metadata(const struct committed_offset *offset)
{
    return offset->metadata ? slice_make(offset->metadata->bytes, offset->metadata->size) : SLICE_LITERAL("");
}

struct group_topic {
    struct topic_name *name; /* one reference */
    uint32_t count, capacity;
    uint32_t snapshot_serial;         /* of the snapshot that wrote these offsets again (group_shard.h) */
    struct committed_offset *offsets; /* by partition */
};
static inline struct slice group_topic_name(const struct group_topic *topic) { return slice_make(topic->name->bytes, topic->name->size); }

struct group_offsets {
    struct topic_names *names;
    struct map topics; /* name -> struct group_topic */
    uint64_t count;    /* of offsets */
    size_t bytes;      /* heap that they take, without the names */
};

void group_offsets_init(struct group_offsets *offsets, struct topic_names *names, uint64_t seed);
void group_offsets_deinit(struct group_offsets *offsets);
/* Replaces. `metadata` is copied; offset->metadata is not looked at. */
void group_offsets_put(struct group_offsets *offsets, struct slice topic, const struct committed_offset *offset, struct slice metadata);
/* False: there was none. */
bool group_offsets_remove(struct group_offsets *offsets, struct slice topic, int32_t partition);
/* NULL: none. */
const struct group_topic *group_offsets_topic(const struct group_offsets *offsets, struct slice topic);
const struct committed_offset *group_offsets_find(const struct group_topic *topic, int32_t partition);
/* Sorted, unique, counted: for tests and VERIFY builds. */
void group_offsets_invariants(const struct group_offsets *offsets);

#endif
