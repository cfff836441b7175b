#include "common/mem.h"

#include "common/assert.h"
#include "common/checked.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_MAPPING_FROM (4 << 20) /* beyond the usual fetch response: such a block goes back when it is freed */
#define FREE_AT_END_MAX  (2 << 20) /* of the heap: a fetch response or two */

static NORETURN void out_of_memory(size_t size)
{
    (void)fprintf(stderr, "skiff: out of memory: cannot allocate %zu bytes\n", size);
    abort();
}

void mem_keep_freed(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_FROM);
    (void)mallopt(M_TRIM_THRESHOLD, FREE_AT_END_MAX);
}

void mem_give_back(void) { (void)malloc_trim(0); }

void *mem_calloc(size_t count, size_t size)
{
    void *pointer = calloc(count ? count : 1, size ? size : 1);
    if (!pointer) out_of_memory(size);
    return pointer;
}

void *mem_alloc(size_t size) { return mem_calloc(1, size); }

void *mem_realloc(void *pointer, size_t count, size_t size)
{
    size_t total = 0;
    if (!checked_mul_size(count, size, &total)) out_of_memory(SIZE_MAX);
    void *grown = realloc(pointer, total ? total : 1);
    if (!grown) out_of_memory(total);
    return grown;
}

void mem_free(void *pointer) { free(pointer); }

char *mem_strndup(const char *text, size_t size)
{
    char *copy = mem_alloc(size + 1);
    if (size) memcpy(copy, text, size);
    return copy;
}

char *mem_strdup(const char *text) { return mem_strndup(text, strlen(text)); }
