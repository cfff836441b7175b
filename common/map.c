#include "common/map.h"

#include "common/assert.h"
#include "common/mem.h"

#define SLOT_EMPTY   0u
#define SLOT_REMOVED UINT32_MAX
#define SLOTS_MIN    8u

static inline uint64_t rotate_left(uint64_t x, unsigned bits) { return (x << bits) | (x >> (64 - bits)); }

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1, s->v2 += s->v3;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0, s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v1, s->v0 += s->v3;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2, s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 = rotate_left(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t map_hash(uint64_t seed, struct slice key)
{
    uint64_t k0 = seed, k1 = rotate_left(seed, 32) ^ 0x9e3779b97f4a7c15u;
    struct sip s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
    size_t at = 0;
    for (; at + 8 <= key.n; at += 8) {
        uint64_t word = 0;
        memcpy(&word, key.p + at, 8);
        sip_word(&s, word);
    }
    uint64_t tail = (uint64_t)key.n << 56;
    if (key.n > at) {
        uint64_t word = 0;
        memcpy(&word, key.p + at, key.n - at);
        tail |= word;
    }
    sip_word(&s, tail);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void map_init(struct map *map, uint64_t seed) { *map = (struct map){.seed = seed}; }

void map_deinit(struct map *map)
{
    mem_free(map->entries);
    mem_free(map->slots);
    *map = (struct map){.seed = map->seed};
}

/* The slot that holds `key`, or SLOT_REMOVED (no slot has that number). */
static uint32_t find_slot(const struct map *map, struct slice key, uint64_t hash)
{
    if (map->slot_count == 0) return SLOT_REMOVED;
    uint32_t mask = map->slot_count - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        uint32_t slot = map->slots[at];
        if (slot == SLOT_EMPTY) return SLOT_REMOVED;
        if (slot == SLOT_REMOVED) continue;
        const struct map_entry *entry = &map->entries[slot - 1];
        if (entry->hash == hash && slice_equal(entry->key, key)) return at;
    }
}

static void place(struct map *map, uint32_t entry_index)
{
    uint32_t mask = map->slot_count - 1;
    uint32_t at = (uint32_t)map->entries[entry_index].hash & mask;
    while (map->slots[at] != SLOT_EMPTY && map->slots[at] != SLOT_REMOVED) at = (at + 1) & mask;
    map->slots[at] = entry_index + 1;
}

/* Drops removed entries and makes room for one more; called when entries[] is full. */
static void rebuild(struct map *map)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (map->entries[i].value) map->entries[kept++] = map->entries[i];
    }
    ASSERT(kept == map->live);
    ASSERT(kept < UINT32_MAX / 8);
    map->entry_count = kept;
    uint32_t slots = SLOTS_MIN;
    while (slots < (kept + 1) * 2) slots *= 2;
    map->entry_capacity = slots / 4 * 3;
    map->entries = mem_realloc(map->entries, map->entry_capacity, sizeof *map->entries);
    mem_free(map->slots);
    map->slots = mem_calloc(slots, sizeof *map->slots);
    map->slot_count = slots;
    for (uint32_t i = 0; i < kept; i++) place(map, i);
}

void *map_get(const struct map *map, struct slice key)
{
    uint32_t at = find_slot(map, key, map_hash(map->seed, key));
    return at == SLOT_REMOVED ? NULL : map->entries[map->slots[at] - 1].value;
}

void map_put(struct map *map, struct slice key, void *value)
{
    ASSERT(value != NULL);
    uint64_t hash = map_hash(map->seed, key);
    ASSERT(find_slot(map, key, hash) == SLOT_REMOVED);
    if (map->entry_count == map->entry_capacity) rebuild(map);
    map->entries[map->entry_count] = (struct map_entry){.key = key, .value = value, .hash = hash};
    place(map, map->entry_count++);
    map->live++;
}

void *map_remove(struct map *map, struct slice key)
{
    uint32_t at = find_slot(map, key, map_hash(map->seed, key));
    if (at == SLOT_REMOVED) return NULL;
    struct map_entry *entry = &map->entries[map->slots[at] - 1];
    void *value = entry->value;
    ASSERT(value != NULL);
    *entry = (struct map_entry){.key = SLICE_NULL};
    map->slots[at] = SLOT_REMOVED;
    map->live--;
    return value;
}

void *map_next(const struct map *map, uint32_t *position)
{
    while (*position < map->entry_count) {
        void *value = map->entries[(*position)++].value;
        if (value) return value;
    }
    return NULL;
}
