/* Memory by node: a program linked with --wrap for the functions of common/mem.h (sim.mk) gives every allocation to the node
 * whose code runs, so that a crash takes all of the process's memory at once, whatever state it was in, as in life.
 *
 * Without --wrap nothing is tracked, and the nodes' destroy callbacks have to free everything. */
#include "common/mem.h"
#include "tests/sim/sim_internal.h"

/* In front of each allocation; keeps malloc's alignment. */
struct block {
    struct list_node node;
    size_t size;
    struct sim_node *owner; /* NULL: the test program */
};
_Static_assert(sizeof(struct block) % 16 == 0, "alignment");

/* Whose code runs on this thread. The allocator's interface has no place for it. */
static _Thread_local struct sim_node *owner;

struct sim_node *sim_memory_enter(struct sim_node *node)
{
    struct sim_node *before = owner;
    owner = node;
    return before;
}

void sim_memory_purge(struct sim_node *node)
{
    for (struct list_node *at; (at = list_pop_front(&node->memory));) sim_free(CONTAINER_OF(at, struct block, node));
    node->memory_bytes = 0;
}

size_t sim_node_memory(const struct sim_node *node) { return node->memory_bytes; }

/* ---- what the linker puts in the place of common/mem.c ---------------------------------------------------------------- */

void *__wrap_mem_calloc(size_t count, size_t size);
void *__wrap_mem_alloc(size_t size);
void *__wrap_mem_realloc(void *pointer, size_t count, size_t size);
void __wrap_mem_free(void *pointer);
char *__wrap_mem_strndup(const char *text, size_t size);
char *__wrap_mem_strdup(const char *text);

static void *block_attach(struct block *block, size_t size)
{
    block->size = size;
    block->owner = owner;
    list_node_init(&block->node);
    if (owner) {
        list_push_back(&owner->memory, &block->node);
        owner->memory_bytes += size;
    }
    return block + 1;
}

static void block_detach(struct block *block)
{
    if (!block->owner) return;
    block->owner->memory_bytes -= block->size;
    list_remove(&block->node);
}

void *__wrap_mem_calloc(size_t count, size_t size)
{
    size_t total = 0;
    ASSERT(!__builtin_mul_overflow(count, size, &total));
    return block_attach(sim_alloc(sizeof(struct block) + total), total);
}

void *__wrap_mem_alloc(size_t size) { return __wrap_mem_calloc(1, size); }

void *__wrap_mem_realloc(void *pointer, size_t count, size_t size)
{
    if (!pointer) return __wrap_mem_calloc(count, size);
    size_t total = 0;
    ASSERT(!__builtin_mul_overflow(count, size, &total));
    struct block *block = (struct block *)pointer - 1;
    block_detach(block);
    return block_attach(sim_realloc(block, sizeof(struct block) + total), total);
}

void __wrap_mem_free(void *pointer)
{
    if (!pointer) return;
    struct block *block = (struct block *)pointer - 1;
    block_detach(block);
    sim_free(block);
}

char *__wrap_mem_strndup(const char *text, size_t size)
{
    char *copy = __wrap_mem_alloc(size + 1);
    if (size) memcpy(copy, text, size);
    return copy;
}

char *__wrap_mem_strdup(const char *text) { return __wrap_mem_strndup(text, strlen(text)); }
