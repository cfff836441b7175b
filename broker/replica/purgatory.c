/* See purgatory.h. */
#include "broker/replica/purgatory.h"

static struct produce_waiter *waiter_of(struct list_node *node) { return CONTAINER_OF(node, struct produce_waiter, node); }

void purgatory_init(struct purgatory *purgatory) { list_init(&purgatory->waiters); }

void purgatory_deinit(struct purgatory *purgatory) { ASSERT(list_is_empty(&purgatory->waiters)); }

void purgatory_add(struct purgatory *purgatory, struct produce_waiter *waiter)
{
    ASSERT(!list_is_linked(&waiter->node));
    struct list_node *before = list_last(&purgatory->waiters);
    ASSERT(!before || waiter_of(before)->leader_epoch == waiter->leader_epoch);
    /* Only the retry of an older batch takes a step here. */
    while (before != NULL && waiter_of(before)->required_offset > waiter->required_offset)
        before = before->prev == &purgatory->waiters.head ? NULL : before->prev;
    list_insert_before(before ? before->next : purgatory->waiters.head.next, &waiter->node);
}

static void complete_first(struct purgatory *purgatory, enum kafka_error error, struct list *completed)
{
    struct list_node *first = list_first(&purgatory->waiters);
    ASSERT(first != NULL);
    struct produce_waiter *waiter = waiter_of(first);
    waiter->error = error;
    list_remove(&waiter->node);
    list_push_back(completed, &waiter->node);
}

void purgatory_complete(struct purgatory *purgatory, int64_t high_watermark, struct list *completed)
{
    while (!purgatory_is_empty(purgatory) && waiter_of(list_first(&purgatory->waiters))->required_offset <= high_watermark)
        complete_first(purgatory, KAFKA_NONE, completed);
}

void purgatory_fail(struct purgatory *purgatory, enum kafka_error error, struct list *completed)
{
    ASSERT(error != KAFKA_NONE);
    while (!purgatory_is_empty(purgatory)) complete_first(purgatory, error, completed);
}

void purgatory_renew(struct purgatory *purgatory, int32_t leader_epoch)
{
    LIST_FOR_EACH (&purgatory->waiters, node) {
        ASSERT(waiter_of(node)->leader_epoch <= leader_epoch);
        waiter_of(node)->leader_epoch = leader_epoch;
    }
}

void purgatory_cancel(struct produce_waiter *waiter)
{
    if (list_is_linked(&waiter->node)) list_remove(&waiter->node);
}
