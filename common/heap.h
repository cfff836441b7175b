/* Intrusive binary min-heap, for deadlines.  The node remembers its place, so removal is O(log n).  Ties pop in the order of
 * insertion, which keeps runs repeatable.  One owner thread. */
#ifndef SKIFF_COMMON_HEAP_H
#define SKIFF_COMMON_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    uint64_t order;
    uint32_t place; /* index + 1; 0: not in a heap */
};
struct heap {
    struct heap_node **nodes;
    uint32_t count, capacity;
    uint64_t next_order;
};

void heap_init(struct heap *heap);
void heap_deinit(struct heap *heap);
static inline bool heap_is_linked(const struct heap_node *node) { return node->place != 0; }
void heap_insert(struct heap *heap, struct heap_node *node, int64_t key);
void heap_remove(struct heap *heap, struct heap_node *node);
/* The least key, or NULL. */
static inline struct heap_node *heap_first(const struct heap *heap) { return heap->count ? heap->nodes[0] : 0; }

#endif
