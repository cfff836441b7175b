#include "broker/cli/group_rows.h"

#include "common/assert.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 16

struct group_row *group_rows_add(struct group_rows *rows, struct slice topic, int32_t partition)
{
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? rows->capacity * 2 : FIRST_CAPACITY;
        struct group_row *at = arena_calloc(rows->arena, capacity, sizeof *at);
        if (rows->count) memcpy(at, rows->at, rows->count * sizeof *at);
        rows->at = at;
        rows->capacity = capacity;
    }
    struct group_row *row = &rows->at[rows->count++];
    *row = (struct group_row){.topic = topic,
                              .partition = partition,
                              .leader = LEADER_ABSENT,
                              .committed = ROW_UNKNOWN,
                              .found = ROW_UNKNOWN,
                              .start = ROW_UNKNOWN,
                              .end = ROW_UNKNOWN,
                              .target = ROW_UNKNOWN,
                              .lag_ms = ROW_UNKNOWN};
    return row;
}

static int compare(const void *a, const void *b)
{
    const struct group_row *x = a, *y = b;
    int topics = slice_compare(x->topic, y->topic);
    return topics ? topics : (x->partition > y->partition) - (x->partition < y->partition);
}

/* qsort() may swap what compares equal, and the later line of a plan counts. */
static int compare_in_order(const void *a, const void *b)
{
    const struct group_row *x = a, *y = b;
    int order = compare(a, b);
    return order ? order : (x->found > y->found) - (x->found < y->found);
}

static void merge(struct group_row *into, const struct group_row *later)
{
    into->target = later->target;
    if (into->committed == ROW_UNKNOWN) into->committed = later->committed;
    if (!into->owner) into->owner = later->owner;
}

void group_rows_sort(struct group_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++) rows->at[i].found = (int64_t)i;
    if (rows->count) qsort(rows->at, rows->count, sizeof *rows->at, compare_in_order);
    for (size_t i = 0; i < rows->count; i++) {
        rows->at[i].found = ROW_UNKNOWN;
        if (count > 0 && compare(&rows->at[count - 1], &rows->at[i]) == 0)
            merge(&rows->at[count - 1], &rows->at[i]);
        else
            rows->at[count++] = rows->at[i];
    }
    rows->count = count;
}

struct group_row *group_rows_find(const struct group_rows *rows, struct slice topic, int32_t partition)
{
    struct group_row key = {.topic = topic, .partition = partition};
    return rows->count ? bsearch(&key, rows->at, rows->count, sizeof *rows->at, compare) : NULL;
}

size_t group_rows_topic_end(const struct group_rows *rows, size_t from)
{
    ASSERT(from < rows->count);
    size_t end = from + 1;
    while (end < rows->count && slice_equal(rows->at[end].topic, rows->at[from].topic)) end++;
    return end;
}

size_t group_rows_topic_count(const struct group_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i = group_rows_topic_end(rows, i)) count++;
    return count;
}
