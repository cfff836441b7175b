/* Heap memory.  Allocation never fails to its caller: what a stranger can make us allocate is bounded by limits and
 * budgets at the edge (common/limits.h), so running out of memory inside is fatal.  Any thread. */
#ifndef SKIFF_COMMON_MEM_H
#define SKIFF_COMMON_MEM_H

#include <stddef.h>

/* Zeroed memory; never NULL, also for size 0. */
void *mem_alloc(size_t size);
void *mem_calloc(size_t count, size_t size);
/* Grows or shrinks; bytes beyond the old size are not zeroed.  `pointer` may be NULL. */
void *mem_realloc(void *pointer, size_t count, size_t size);
void mem_free(void *pointer);
/* A NUL-terminated copy of `size` bytes. */
char *mem_strndup(const char *text, size_t size);
char *mem_strdup(const char *text);

/* For a process that moves messages: what was freed stays for the next one, up to a bound, instead of going back to the system,
 * which clears each page before it gives it out again. Call once, before there are threads. */
void mem_keep_freed(void);
/* After work that took much more memory than the usual: what of it is free goes back to the system, of all threads. Takes a
 * millisecond or two. */
void mem_give_back(void);

#endif
