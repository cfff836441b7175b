/* Partitions that `skiff consumer-groups` is asked about, and what it learned of each. Slices live in the client's arena. */
#ifndef SKIFF_BROKER_CLI_GROUP_ROWS_H
#define SKIFF_BROKER_CLI_GROUP_ROWS_H

#include "common/arena.h"
#include "gen/kmsg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROW_UNKNOWN   (-1)
#define LEADER_NONE   (-1)
#define LEADER_ABSENT (-2) /* there is no such partition */

struct group_row {
    struct slice topic;
    int32_t partition;
    int32_t leader;     /* LEADER_... */
    int64_t committed;  /* of the group; ROW_UNKNOWN */
    int64_t found;      /* the last answer of group_ask_offsets(); ROW_UNKNOWN */
    int64_t start, end; /* of the log; ROW_UNKNOWN */
    int64_t target;     /* what the offset is to be */
    int64_t lag_ms;     /* age of the oldest record that is not committed; 0: there is none; ROW_UNKNOWN */
    const struct describe_groups_response_members *owner; /* NULL: nobody */
    int16_t error;                                        /* of the last request about it */
};
struct group_rows {
    struct arena *arena;
    struct group_row *at;
    size_t count, capacity;
};

/* A new row, of which nothing is known; valid until the next one. */
struct group_row *group_rows_add(struct group_rows *rows, struct slice topic, int32_t partition);
/* By topic, then partition. Rows of one partition become one: the later one's target, and what either of them knows. */
void group_rows_sort(struct group_rows *rows);
/* In sorted rows; NULL: not there. */
struct group_row *group_rows_find(const struct group_rows *rows, struct slice topic, int32_t partition);
/* In sorted rows: the first row behind those of the topic of row `from`. */
size_t group_rows_topic_end(const struct group_rows *rows, size_t from);
size_t group_rows_topic_count(const struct group_rows *rows);

#endif
