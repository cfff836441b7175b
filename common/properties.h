/* Java's .properties text: "key = value" lines, comments, continued lines, escapes; as people paste it: with a BOM, CR, no-break
 * spaces and blanks at line ends.  No state: any thread. */
#ifndef SKIFF_COMMON_PROPERTIES_H
#define SKIFF_COMMON_PROPERTIES_H

#include "common/arena.h"

struct property {
    struct slice key, value; /* in the arena */
    int line;                /* where it begins, from 1 */
};
struct properties {
    struct slice rest;
    int next_line;
};

void properties_begin(struct properties *properties, struct slice text);
/* False at the end. */
bool properties_next(struct properties *properties, struct arena *arena, struct property *out);

#endif
