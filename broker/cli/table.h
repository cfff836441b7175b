/* A table on a terminal: cells row after row, as wide as they have to be. Cells live in the arena. */
#ifndef SKIFF_BROKER_CLI_TABLE_H
#define SKIFF_BROKER_CLI_TABLE_H

#include "common/arena.h"

#define TABLE_COLUMNS_MAX 10

struct table {
    struct arena *arena;
    size_t columns, count, capacity;
    struct slice *cells; /* the first row has the titles */
};

void table_begin(struct table *table, struct arena *arena, const char *const *titles, size_t columns);
/* Names are strangers' choice: nothing in what this returns steers the terminal. */
struct slice table_printable(struct arena *arena, struct slice text);
void table_put(struct table *table, struct slice text);
/* "-" for -1, which is unknown. */
void table_put_number(struct table *table, int64_t number);
/* To stdout. */
void table_print(const struct table *table);

#endif
