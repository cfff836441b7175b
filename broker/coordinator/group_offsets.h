/* The committed offsets of one group: topic -> partitions, sorted.
 *
 * A million of them is an ordinary coordinator: they are packed (offset_rows.h), and topic names are shared by all groups of a shard
 * (struct topic_names). Only what is committed in the log is here. One owner thread. */
#ifndef SKIFF_BROKER_COORDINATOR_GROUP_OFFSETS_H
#define SKIFF_BROKER_COORDINATOR_GROUP_OFFSETS_H

#include "broker/coordinator/offset_rows.h"

#include "common/map.h"

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

struct group_topic {
    struct topic_name *name;  /* one reference */
    uint32_t snapshot_serial; /* of the snapshot that wrote these offsets again (group_shard.h) */
    struct offset_rows rows;
};
static inline struct slice group_topic_name(const struct group_topic *topic) { return slice_make(topic->name->bytes, topic->name->size); }
static inline uint32_t group_topic_count(const struct group_topic *topic) { return topic->rows.count; }
/* In the order of the partitions. */
static inline struct committed_offset group_topic_at(const struct group_topic *topic, uint32_t i)
{
    return offset_rows_at(&topic->rows, i);
}

struct group_offsets {
    struct topic_names *names;
    struct map topics; /* name -> struct group_topic */
    uint64_t count;    /* of offsets */
    size_t bytes;      /* heap that they take, without the names */
};

void group_offsets_init(struct group_offsets *offsets, struct topic_names *names, uint64_t seed);
void group_offsets_deinit(struct group_offsets *offsets);
/* Replaces; copies the metadata. */
void group_offsets_put(struct group_offsets *offsets, struct slice topic, const struct committed_offset *offset);
/* False: there was none. */
bool group_offsets_remove(struct group_offsets *offsets, struct slice topic, int32_t partition);
/* NULL: none. */
const struct group_topic *group_offsets_topic(const struct group_offsets *offsets, struct slice topic);
/* False: none, or `topic` is NULL. */
bool group_offsets_has(const struct group_topic *topic, int32_t partition);
bool group_offsets_find(const struct group_topic *topic, int32_t partition, struct committed_offset *offset);
/* Sorted, unique, counted: for tests and VERIFY builds. */
void group_offsets_invariants(const struct group_offsets *offsets);

#endif
