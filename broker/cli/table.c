#include "broker/cli/table.h"

#include "common/assert.h"

#include <stdio.h>

#define FIRST_CAPACITY 64

void table_begin(struct table *table, struct arena *arena, const char *const *titles, size_t columns)
{
    ASSERT(columns > 0 && columns <= TABLE_COLUMNS_MAX);
    *table = (struct table){.arena = arena, .columns = columns};
    for (size_t i = 0; i < columns; i++) table_put(table, slice_str(titles[i]));
}

struct slice table_printable(struct arena *arena, struct slice text)
{
    uint8_t *printable = arena_alloc(arena, text.n);
    for (size_t i = 0; i < text.n; i++) printable[i] = text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i];
    return slice_make(printable, text.n);
}

void table_put(struct table *table, struct slice text)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : FIRST_CAPACITY;
        struct slice *cells = arena_calloc(table->arena, capacity, sizeof *cells);
        if (table->count) memcpy(cells, table->cells, table->count * sizeof *cells);
        table->cells = cells;
        table->capacity = capacity;
    }
    table->cells[table->count++] = table_printable(table->arena, text);
}

void table_put_number(struct table *table, int64_t number)
{
    table_put(table, number == -1 ? SLICE_LITERAL("-") : arena_printf(table->arena, "%lld", (long long)number));
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    ASSERT(table->count % table->columns == 0);
    for (size_t i = 0; i < table->count; i++)
        if (table->cells[i].n > widths[i % table->columns]) widths[i % table->columns] = table->cells[i].n;
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        bool is_last = column == table->columns - 1;
        (void)printf("%.*s%*s", SLICE_ARG(table->cells[i]), is_last ? 0 : (int)(widths[column] - table->cells[i].n + 2), "");
        if (is_last) (void)printf("\n");
    }
}
