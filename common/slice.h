/* A borrowed run of bytes: it owns nothing, and lives no longer than what it points into. */
#ifndef SKIFF_COMMON_SLICE_H
#define SKIFF_COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `p` is NULL for Kafka's null string or null bytes; an empty string has p != NULL and n == 0. */
struct slice {
    const uint8_t *p;
    size_t n;
};

#define SLICE_NULL ((struct slice){NULL, 0})
/* From a string literal. */
#define SLICE_LITERAL(text) ((struct slice){(const uint8_t *)("" text), sizeof(text) - 1})
/* printf("%.*s", SLICE_ARG(s)) */
#define SLICE_ARG(s) (int)(s).n, (s).p ? (const char *)(s).p : ""

static inline struct slice slice_make(const void *p, size_t n) { return (struct slice){p, n}; }
static inline struct slice slice_str(const char *text) { return text ? (struct slice){(const uint8_t *)text, strlen(text)} : SLICE_NULL; }
static inline bool slice_is_null(struct slice s) { return s.p == NULL; }
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.p == NULL) == (b.p == NULL) && (a.n == 0 || (a.p && memcmp(a.p, b.p, a.n) == 0));
}
static inline bool slice_equal_str(struct slice a, const char *text) { return slice_equal(a, slice_str(text)); }
/* Byte order, shorter first on a tie: <0, 0, >0. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n && a.p && b.p ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

#endif
