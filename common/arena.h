/* Bump allocator with a cap: the memory of one request, freed as a whole.  One owner thread.
 * The cap is what keeps a hostile request from allocating more than its bytes pay for (limits.h). */
#ifndef SKIFF_COMMON_ARENA_H
#define SKIFF_COMMON_ARENA_H

#include "common/slice.h"

struct arena_chunk;
struct arena_mark {
    struct arena_chunk *chunk;
    uint8_t *at;
    size_t used;
};
struct arena {
    struct arena_chunk *chunks;
    uint8_t *at, *end; /* the free part of the newest chunk */
    size_t used;       /* bytes handed out */
    size_t cap;
};

void arena_init(struct arena *arena, size_t cap);
void arena_deinit(struct arena *arena);
/* What is allocated after the mark is freed by the rewind; marks nest. */
struct arena_mark arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);
/* Zeroed, aligned to 16; NULL when the cap would be passed.  Size 0 gives a valid pointer. */
void *arena_try_alloc(struct arena *arena, size_t size);
/* The same, for memory whose size no stranger chooses: passing the cap asserts. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_calloc(struct arena *arena, size_t count, size_t size);
struct slice arena_copy(struct arena *arena, struct slice bytes);
/* A formatted string in the arena (NUL-terminated; the NUL is not counted). */
struct slice arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a text that a peer is told: what it quotes may be as long as its request, so it is cut (EXPLANATION_MAX). */
struct slice arena_explain(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
