/* Expected failures.  Every function that can fail returns one; the caller may not ignore it. */
#ifndef SKIFF_COMMON_ERR_H
#define SKIFF_COMMON_ERR_H

enum err {
#define ERR(name, text) ERR_##name,
#include "common/err.def"
#undef ERR
    ERR_COUNT
};

/* A static string, never NULL. */
const char *err_text(enum err err);

#endif
