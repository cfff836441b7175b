/* Assertions, always on: it is better to stop than to go on in a state nobody thought of.
 * VERIFY_ASSERT is for checks that cost more than O(1): simulator, test and sanitizer builds only. */
#ifndef SKIFF_COMMON_ASSERT_H
#define SKIFF_COMMON_ASSERT_H

#include "common/attr.h"

NORETURN void assert_failed(const char *expression, const char *file, int line, const char *function);

#define ASSERT(expression)                                                                                                                 \
    do {                                                                                                                                   \
        if (__builtin_expect(!(expression), 0)) assert_failed(#expression, __FILE__, __LINE__, __func__);                                  \
    } while (0)
#define ASSERT_IMPLIES(condition, consequence) ASSERT(!(condition) || (consequence))
#define UNREACHABLE()                          assert_failed("unreachable", __FILE__, __LINE__, __func__)

#ifdef SKIFF_VERIFY
#define VERIFY_ASSERT(expression) ASSERT(expression)
#else
#define VERIFY_ASSERT(expression) ((void)0)
#endif

#endif
