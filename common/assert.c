#include "common/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *expression, const char *file, int line, const char *function)
{
    (void)fprintf(stderr, "skiff: assertion failed: %s, %s:%d in %s()\n", expression, file, line, function);
    (void)fflush(stderr);
    abort();
}
