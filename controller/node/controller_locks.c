#include "controller/node/controller_locks.h"

#include "common/assert.h"
#include "common/mem.h"

struct lock {
    uint32_t shared, exclusive; /* holds; exclusive ones are all of one set */
    const struct lock_set *owner;
    struct slice key;
};

void locks_init(struct locks *locks) { map_init(&locks->held, 0); }

void locks_deinit(struct locks *locks)
{
    ASSERT(map_count(&locks->held) == 0);
    map_deinit(&locks->held);
}

void lock_set_add(struct lock_set *set, struct arena *arena, struct slice key, enum lock_mode mode)
{
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 4;
        struct lock_want *wants = arena_calloc(arena, capacity, sizeof *wants);
        if (set->count) memcpy(wants, set->wants, set->count * sizeof *wants);
        set->wants = wants;
        set->capacity = capacity;
    }
    set->wants[set->count++] = (struct lock_want){key, mode};
}

static bool is_free(const struct locks *locks, const struct lock_want *want)
{
    const struct lock *lock = map_get(&locks->held, want->key);
    return !lock || (want->mode == LOCK_SHARED && lock->exclusive == 0);
}

static void take(struct locks *locks, const struct lock_set *set, const struct lock_want *want)
{
    struct lock *lock = map_get(&locks->held, want->key);
    if (!lock) {
        lock = mem_alloc(sizeof *lock + want->key.n);
        memcpy(lock + 1, want->key.p, want->key.n);
        lock->key = slice_make(lock + 1, want->key.n);
        lock->owner = set;
        map_put(&locks->held, lock->key, lock);
    }
    ASSERT_IMPLIES(want->mode == LOCK_EXCLUSIVE, lock->owner == set);
    if (want->mode == LOCK_EXCLUSIVE)
        lock->exclusive++;
    else
        lock->shared++;
}

bool locks_try(struct locks *locks, const struct lock_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (!is_free(locks, &set->wants[i])) return false;
    for (size_t i = 0; i < set->count; i++) take(locks, set, &set->wants[i]);
    return true;
}

void locks_release(struct locks *locks, const struct lock_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct lock *lock = map_get(&locks->held, set->wants[i].key);
        ASSERT(lock);
        uint32_t *holds = set->wants[i].mode == LOCK_EXCLUSIVE ? &lock->exclusive : &lock->shared;
        ASSERT(*holds > 0);
        if (--*holds || lock->shared || lock->exclusive) continue;
        map_remove(&locks->held, lock->key);
        mem_free(lock);
    }
}
