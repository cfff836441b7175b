/* The one hash map of the project: byte-string keys, iteration in insertion order, hashing seeded (SipHash-1-3) so that a
 * stranger cannot choose colliding keys.  Nothing ever iterates by hash or address: runs repeat bit for bit.
 *
 * A key is borrowed: it must point into memory that lives and stays unchanged while the entry is in the map; normally a
 * field of the value itself.  Values are never NULL.  One owner thread. */
#ifndef SKIFF_COMMON_MAP_H
#define SKIFF_COMMON_MAP_H

#include "common/slice.h"

struct map_entry {
    struct slice key;
    void *value; /* NULL: removed, skipped by iteration */
    uint64_t hash;
};

struct map {
    struct map_entry *entries; /* insertion order */
    uint32_t *slots;           /* entry index + 1; 0 empty; UINT32_MAX removed */
    uint32_t entry_count;      /* used places of entries[], removed ones included */
    uint32_t entry_capacity;
    uint32_t slot_count; /* a power of two, or 0 before the first insertion */
    uint32_t live;
    uint64_t seed;
};

void map_init(struct map *map, uint64_t seed);
/* Frees the table, not the values. */
void map_deinit(struct map *map);
static inline uint32_t map_count(const struct map *map) { return map->live; }
/* NULL when absent. */
void *map_get(const struct map *map, struct slice key);
/* Asserts that the key is absent. */
void map_put(struct map *map, struct slice key, void *value);
/* The value that was there, or NULL. */
void *map_remove(struct map *map, struct slice key);
/* Iteration: start with *position = 0; NULL at the end.  Removing the returned entry during iteration is fine; putting is not. */
void *map_next(const struct map *map, uint32_t *position);

/* The key of a fixed-size field, e.g. MAP_KEY(&broker->id). */
#define MAP_KEY(field) slice_make((field), sizeof *(field))
#define MAP_FOR_EACH(map, type, name)                                                                                                      \
    for (uint32_t name##_at = 0, name##_on = 1; name##_on; name##_on = 0)                                                                  \
        for (type *name = map_next((map), &name##_at); name; name = map_next((map), &name##_at))

uint64_t map_hash(uint64_t seed, struct slice key);

#endif
