/* Locks of keys, for operations between their decision and their commit. A name is locked by any number of readers or by one writer.
 * An operation takes all its locks at once or none, so there is no deadlock; who waits is the caller's business. One owner thread. */
#ifndef SKIFF_CONTROLLER_NODE_CONTROLLER_LOCKS_H
#define SKIFF_CONTROLLER_NODE_CONTROLLER_LOCKS_H

#include "common/arena.h"
#include "common/map.h"

enum lock_mode { LOCK_SHARED, LOCK_EXCLUSIVE };

struct lock_want {
    struct slice key;
    enum lock_mode mode;
};
/* The locks of one operation. The memory is the operation's arena's. */
struct lock_set {
    struct lock_want *wants;
    size_t count, capacity;
};

struct locks {
    struct map held; /* key -> struct lock */
};

void locks_init(struct locks *locks);
/* Asserts that nothing is held. */
void locks_deinit(struct locks *locks);
/* `key` must live as long as the set. */
void lock_set_add(struct lock_set *set, struct arena *arena, struct slice key, enum lock_mode mode);
/* All or none. A set may name a key twice. */
bool locks_try(struct locks *locks, const struct lock_set *set);
void locks_release(struct locks *locks, const struct lock_set *set);

#endif
