#include "common/heap.h"

#include "common/assert.h"
#include "common/mem.h"

void heap_init(struct heap *heap) { *heap = (struct heap){0}; }

void heap_deinit(struct heap *heap)
{
    mem_free(heap->nodes);
    *heap = (struct heap){0};
}

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void put_at(struct heap *heap, uint32_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void sift_up(struct heap *heap, uint32_t index)
{
    struct heap_node *node = heap->nodes[index];
    while (index > 0 && is_before(node, heap->nodes[(index - 1) / 2])) {
        put_at(heap, index, heap->nodes[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put_at(heap, index, node);
}

static void sift_down(struct heap *heap, uint32_t index)
{
    struct heap_node *node = heap->nodes[index];
    for (;;) {
        uint32_t child = index * 2 + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && is_before(heap->nodes[child + 1], heap->nodes[child])) child++;
        if (!is_before(heap->nodes[child], node)) break;
        put_at(heap, index, heap->nodes[child]);
        index = child;
    }
    put_at(heap, index, node);
}

void heap_insert(struct heap *heap, struct heap_node *node, int64_t key)
{
    ASSERT(!heap_is_linked(node));
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 16;
        heap->nodes = mem_realloc(heap->nodes, heap->capacity, sizeof *heap->nodes);
    }
    node->key = key;
    node->order = heap->next_order++;
    put_at(heap, heap->count++, node);
    sift_up(heap, heap->count - 1);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    ASSERT(heap_is_linked(node));
    uint32_t index = node->place - 1;
    ASSERT(heap->nodes[index] == node);
    node->place = 0;
    struct heap_node *last = heap->nodes[--heap->count];
    if (last == node) return;
    put_at(heap, index, last);
    sift_up(heap, index);
    sift_down(heap, last->place - 1);
}
