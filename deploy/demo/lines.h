/* Real text that is on every machine: package file lists, headers, licences.  Lines come from many files in turn, so that
 * the keys (the files' paths) mix.  When all files are through, it starts again; the key then carries the number of the round. */
#ifndef SKIFF_DEPLOY_DEMO_LINES_H
#define SKIFF_DEPLOY_DEMO_LINES_H

#include "common/slice.h"

#include <stdio.h>

enum { LINES_OPEN = 32, LINE_MAX_BYTES = 64 << 10 };

struct lines_file {
    FILE *stream; /* NULL: free */
    char *key;
};

struct lines {
    char **paths;
    uint32_t path_count, path_capacity;
    uint32_t next; /* path to open next */
    uint32_t round;
    uint32_t turn; /* of open[] */
    struct lines_file open[LINES_OPEN];
    char *buffer; /* getline's */
    size_t buffer_size;
};

/* False when the machine has no such files. */
bool lines_init(struct lines *lines);
void lines_deinit(struct lines *lines);
/* Both slices are valid until the next call. */
void lines_next(struct lines *lines, struct slice *key, struct slice *line);

#endif
