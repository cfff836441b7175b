/* Operations: what changes the metadata, from the request to the answer.
 *
 *   submit --> WAITING --locks--> decide --> PROPOSED --last batch replayed--> COMMITTED --brokers have applied it--> answered
 *                 |                  |           |                                 (kinds that wait for brokers; 1 s at most)
 *                 |                  +-- no records: answered
 *                 +------------------------------+-- office lost: NOT_CONTROLLER
 *
 * WAITING is first in, first out: nobody overtakes, so nobody starves. */
#include "common/assert.h"
#include "common/mem.h"
#include "controller/node/controller_internal.h"
#include "proto/pb.h"

#define APPLIED_WAIT_US  1000000 /* a broker that is about to die must not hold an answer for a whole session */
#define PROPOSE_RETRY_US 10000   /* what keeps Raft from taking an entry is over soon */

static void propose(struct operation *operation);
static void pump(struct controller_node *node);

/* ---- life ------------------------------------------------------------------------------------------------------------ */

struct operation *operation_create(struct controller_node *node, const struct operation_kind *kind, struct request *request,
                                   size_t memory_max)
{
    struct operation *operation = mem_alloc(sizeof *operation);
    operation->controller = node;
    operation->kind = kind;
    operation->request = request;
    operation->broker_id = NO_BROKER;
    operation->locks_index = -1;
    if (request) operation->connection = controller_connection_id(node, request);
    arena_init(&operation->arena, memory_max);
    records_init(&operation->records);
    return operation;
}

static void destroy(struct operation *operation)
{
    if (list_is_linked(&operation->node)) list_remove(&operation->node);
    for (uint32_t i = operation->batch_next; i < operation->batch_count; i++) buf_unref(operation->batches[i]);
    mem_free(operation->batches);
    records_deinit(&operation->records);
    arena_deinit(&operation->arena);
    buf_unref(operation->answer);
    mem_free(operation);
}

static void answer(struct operation *operation)
{
    if (operation->request) {
        ASSERT(operation->answer);
        request_respond_buf(operation->request, operation->answer);
        operation->answer = NULL;
    }
    destroy(operation);
}

static void refuse(struct operation *operation, enum kafka_error error, const char *message)
{
    if (operation->request) controller_refuse(operation->controller, operation->request, error, message);
    destroy(operation);
}

void operation_forget(struct operation *operation) { destroy(operation); }

void operation_decide_now(struct operation *operation)
{
    operation->kind->decide(operation);
    ASSERT(records_is_empty(&operation->records));
    answer(operation);
}

static void unlock(struct operation *operation)
{
    locks_release(&operation->controller->locks, &operation->locks);
    operation->locks.count = 0;
}

static void move_to(struct operation *operation, struct list *list, enum operation_state state)
{
    if (list_is_linked(&operation->node)) list_remove(&operation->node);
    list_push_back(list, &operation->node);
    operation->state = state;
}

struct control operation_control(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    return (struct control){&node->image, &node->config.settings, &node->prng, &operation->arena, &operation->records, NULL};
}

/* ---- deciding and proposing ------------------------------------------------------------------------------------------ */

/* A topic's id becomes its name in the image of now. */
static void build_locks(struct operation *operation)
{
    arena_rewind(&operation->arena, operation->before_locks);
    operation->locks = (struct lock_set){0};
    operation->locks_index = operation->controller->image.index;
    operation->kind->locks(operation);
}

static bool try_lock(struct operation *operation)
{
    if (operation->locks_index != operation->controller->image.index) build_locks(operation);
    return locks_try(&operation->controller->locks, &operation->locks);
}

static bool is_too_large(const struct operation *operation)
{
    for (uint32_t i = 0; i < operation->batch_count; i++)
        if (operation->batches[i]->size > RAFT_ENTRY_BYTES_MAX) return true;
    return false;
}

static void decide(struct operation *operation)
{
    operation->records.announce = operation->kind->waits_for_brokers;
    operation->kind->decide(operation);
    operation->batches = records_take(&operation->records, &operation->batch_count);
    if (operation->batch_count && !is_too_large(operation)) {
        move_to(operation, &operation->controller->proposed, OPERATION_PROPOSED);
        propose(operation);
        return;
    }
    unlock(operation);
    if (operation->batch_count)
        refuse(operation, KAFKA_POLICY_VIOLATION, "The request would change too much metadata at once.");
    else
        answer(operation);
}

static void propose(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    ASSERT(operation->batch_next < operation->batch_count);
    struct buf *batch = operation->batches[operation->batch_next];
    enum err err = raft_node_propose(node->raft, batch, &operation->index, &operation->term);
    if (err == ERR_OK) {
        buf_unref(batch);
        operation->batch_next++;
        return;
    }
    operation->index = 0;
    /* Raft's log is full of what is not committed, or it hands the leadership over, which may fail. Once it is lost all is dropped. */
    env_timer_set(node->env, &node->retry_timer, env_now_us(node->env) + PROPOSE_RETRY_US);
}

void operations_on_retry(struct env_timer *timer, int64_t now_us)
{
    struct controller_node *node = CONTAINER_OF(timer, struct controller_node, retry_timer);
    (void)now_us;
    LIST_FOR_EACH (&node->proposed, each) {
        struct operation *operation = CONTAINER_OF(each, struct operation, node);
        if (operation->index == 0) propose(operation);
    }
}

void operation_submit(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    operation->before_locks = arena_mark(&operation->arena);
    move_to(operation, &node->waiting, OPERATION_WAITING);
    pump(node);
}

/* Starts whatever may start, in the order of arrival. */
static void pump(struct controller_node *node)
{
    if (node->is_pumping) return;
    node->is_pumping = true;
    struct list_node *first;
    while (controller_is_active(node) && (first = list_first(&node->waiting))) {
        struct operation *operation = CONTAINER_OF(first, struct operation, node);
        if (!try_lock(operation)) break;
        list_remove(&operation->node);
        decide(operation);
    }
    node->is_pumping = false;
}

/* ---- after the commit ------------------------------------------------------------------------------------------------ */

static bool is_applied(const struct operation *operation)
{
    const struct controller_node *node = operation->controller;
    return heartbeats_lowest_applied(&node->heartbeats, &node->image, NO_BROKER) >= operation->index;
}

static void finish(struct operation *operation, int64_t now_us)
{
    struct controller_node *node = operation->controller;
    unlock(operation);
    if (operation->kind->committed) operation->kind->committed(operation, now_us);
    if (!operation->kind->waits_for_brokers || is_applied(operation)) {
        answer(operation);
        return;
    }
    operation->answer_by_us = now_us + APPLIED_WAIT_US;
    if (list_is_empty(&node->committed)) env_timer_set(node->env, &node->answer_timer, operation->answer_by_us);
    move_to(operation, &node->committed, OPERATION_COMMITTED);
}

void operations_on_committed(struct controller_node *node, int64_t index, int64_t term, int64_t now_us)
{
    LIST_FOR_EACH (&node->proposed, each) {
        struct operation *operation = CONTAINER_OF(each, struct operation, node);
        if (operation->index != index) continue;
        /* Overwritten by another leader: Raft is about to say that this office is over. */
        if (operation->term != term) break;
        if (operation->batch_next < operation->batch_count)
            propose(operation);
        else
            finish(operation, now_us);
        break;
    }
    pump(node);
}

void operations_on_applied(struct controller_node *node, int64_t now_us)
{
    struct list due; /* an answer may end a connection, and that leads back here */
    list_init(&due);
    LIST_FOR_EACH (&node->committed, each) {
        struct operation *operation = CONTAINER_OF(each, struct operation, node);
        if (operation->answer_by_us <= now_us || is_applied(operation)) move_to(operation, &due, OPERATION_COMMITTED);
    }
    for (struct list_node *each; (each = list_first(&due));) answer(CONTAINER_OF(each, struct operation, node));
    struct list_node *first = list_first(&node->committed);
    if (first) env_timer_set(node->env, &node->answer_timer, CONTAINER_OF(first, struct operation, node)->answer_by_us);
}

void operations_on_answer_time(struct env_timer *timer, int64_t now_us)
{
    operations_on_applied(CONTAINER_OF(timer, struct controller_node, answer_timer), now_us);
}

void operations_drop_all(struct controller_node *node)
{
    struct list_node *first;
    while ((first = list_first(&node->proposed))) {
        struct operation *operation = CONTAINER_OF(first, struct operation, node);
        unlock(operation);
        refuse(operation, KAFKA_NOT_CONTROLLER, "");
    }
    while ((first = list_first(&node->waiting))) refuse(CONTAINER_OF(first, struct operation, node), KAFKA_NOT_CONTROLLER, "");
    /* These are committed: that some broker has not applied them yet is no failure. */
    while ((first = list_first(&node->committed))) answer(CONTAINER_OF(first, struct operation, node));
    env_timer_clear(node->env, &node->answer_timer);
    env_timer_clear(node->env, &node->retry_timer);
}

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

void operation_lock_name(struct operation *operation, const char *name)
{
    lock_set_add(&operation->locks, &operation->arena, slice_str(name), LOCK_EXCLUSIVE);
}

/* Who is active decides about every partition: whoever elects, places or changes an ISR reads it, whoever fences or unfences writes
 * it. So a broker that is being fenced cannot slip back into an ISR before the records are replayed. */
void operation_lock_brokers(struct operation *operation, enum lock_mode mode)
{
    lock_set_add(&operation->locks, &operation->arena, SLICE_LITERAL("brokers"), mode);
}

/* "a.b" and "a_b" are one key: they must not be created at once. */
void operation_lock_topic(struct operation *operation, struct slice name)
{
    uint8_t *key = arena_alloc(&operation->arena, name.n + 1);
    key[0] = '/';
    for (size_t i = 0; i < name.n; i++) key[i + 1] = name.p[i] == '.' ? '_' : name.p[i];
    lock_set_add(&operation->locks, &operation->arena, slice_make(key, name.n + 1), LOCK_EXCLUSIVE);
}

void operation_lock_topic_id(struct operation *operation, ProtobufCBinaryData topic_id)
{
    struct uuid id;
    const struct image_topic *topic = pb_uuid(topic_id, &id) ? image_topic_by_id(&operation->controller->image, id) : NULL;
    /* An unknown id stays unknown: an id is never used twice, and a topic that is just being created is nobody's yet. */
    if (topic) operation_lock_topic(operation, slice_make(topic->name, topic->name_size));
}
