#include "common/arena.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/limits.h"
#include "common/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define CHUNK_MIN 1024u
#define CHUNK_MAX 65536u
#define ALIGNMENT 16u

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
};
#define CHUNK_HEADER ((sizeof(struct arena_chunk) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

void arena_init(struct arena *arena, size_t cap) { *arena = (struct arena){.cap = cap}; }

void arena_deinit(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        mem_free(chunk);
        chunk = next;
    }
    *arena = (struct arena){.cap = arena->cap};
}

struct arena_mark arena_mark(const struct arena *arena) { return (struct arena_mark){arena->chunks, arena->at, arena->used}; }

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    ASSERT(mark.used <= arena->used);
    while (arena->chunks != mark.chunk) {
        struct arena_chunk *newest = arena->chunks;
        ASSERT(newest);
        arena->chunks = newest->next;
        mem_free(newest);
    }
    arena->at = mark.at;
    arena->end = mark.chunk ? (uint8_t *)mark.chunk + CHUNK_HEADER + mark.chunk->size : NULL;
    arena->used = mark.used;
    if (mark.chunk) memset(arena->at, 0, (size_t)(arena->end - arena->at)); /* what is handed out is zero */
}

static void grow(struct arena *arena, size_t size)
{
    size_t want = arena->chunks ? min_size(arena->chunks->size * 2, CHUNK_MAX) : CHUNK_MIN;
    want = max_size(want, size);
    struct arena_chunk *chunk = mem_alloc(CHUNK_HEADER + want);
    chunk->next = arena->chunks;
    chunk->size = want;
    arena->chunks = chunk;
    arena->at = (uint8_t *)chunk + CHUNK_HEADER;
    arena->end = arena->at + want;
}

void *arena_try_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT) return NULL;
    size_t padded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (padded == 0) padded = ALIGNMENT;
    if (padded > arena->cap - arena->used) return NULL;
    if (padded > (size_t)(arena->end - arena->at)) grow(arena, padded);
    void *pointer = arena->at;
    arena->at += padded;
    arena->used += padded;
    return pointer;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *pointer = arena_try_alloc(arena, size);
    ASSERT(pointer != NULL);
    return pointer;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t total = 0;
    bool fits = checked_mul_size(count, size, &total);
    ASSERT(fits);
    return arena_alloc(arena, total);
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    if (slice_is_null(bytes)) return SLICE_NULL;
    uint8_t *copy = arena_alloc(arena, bytes.n);
    if (bytes.n) memcpy(copy, bytes.p, bytes.n);
    return slice_make(copy, bytes.n);
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    ASSERT(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    int written = vsnprintf(text, (size_t)length + 1, format, again);
    ASSERT(written == length);
    va_end(again);
    va_end(arguments);
    return slice_make(text, (size_t)length);
}

struct slice arena_explain(struct arena *arena, const char *format, ...)
{
    char text[EXPLANATION_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    size_t kept = (size_t)length;
    if (kept >= sizeof text) {
        kept = sizeof text - 1;
        while (kept > 0 && ((uint8_t)text[kept - 1] & 0x80)) kept--; /* no half characters */
    }
    return arena_copy(arena, slice_make(text, kept));
}
