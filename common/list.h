/* Intrusive doubly linked list.  Embed a struct list_node; get the owner back with CONTAINER_OF.
 * A node is in at most one list; a removed node is re-initialised, and inserting a linked node asserts.
 * None of these allocate. */
#ifndef SKIFF_COMMON_LIST_H
#define SKIFF_COMMON_LIST_H

#include "common/assert.h"
#include "common/attr.h"

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *next, *prev;
};
struct list {
    struct list_node head;
};

static inline void list_init(struct list *list) { list->head.next = list->head.prev = &list->head; }
static inline void list_node_init(struct list_node *node) { node->next = node->prev = NULL; }
static inline bool list_is_empty(const struct list *list) { return list->head.next == &list->head; }
static inline bool list_is_linked(const struct list_node *node) { return node->next != NULL; }

static inline void list_insert_before(struct list_node *position, struct list_node *node)
{
    ASSERT(!list_is_linked(node));
    node->prev = position->prev;
    node->next = position;
    position->prev->next = node;
    position->prev = node;
}
static inline void list_push_back(struct list *list, struct list_node *node) { list_insert_before(&list->head, node); }
static inline void list_push_front(struct list *list, struct list_node *node) { list_insert_before(list->head.next, node); }
static inline void list_remove(struct list_node *node)
{
    ASSERT(list_is_linked(node));
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_node_init(node);
}
/* First node, or NULL. */
static inline struct list_node *list_first(const struct list *list) { return list_is_empty(list) ? NULL : list->head.next; }
static inline struct list_node *list_last(const struct list *list) { return list_is_empty(list) ? NULL : list->head.prev; }
static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
    return node->next == &list->head ? NULL : node->next;
}
static inline struct list_node *list_pop_front(struct list *list)
{
    struct list_node *node = list_first(list);
    if (node) list_remove(node);
    return node;
}

/* `node` may be removed inside the loop body, its successor may not. */
#define LIST_FOR_EACH(list, node)                                                                                                          \
    for (struct list_node *node = (list)->head.next, *node##_next = node->next; node != &(list)->head;                                     \
         node = node##_next, node##_next = node->next)

#endif
