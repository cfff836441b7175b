/* What people write for `skiff consumer-groups`, on the command line and in files: times, durations, partitions, plans. Pure. */
#ifndef SKIFF_BROKER_CLI_GROUP_TEXT_H
#define SKIFF_BROKER_CLI_GROUP_TEXT_H

#include "common/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "2024-05-17T09:30:00.000", with "Z", "+02", "+0200" or "+02:00" behind it; UTC without. The fraction has three digits, or is left out. */
bool group_text_parse_time(struct slice text, int64_t *ms);
/* ISO 8601: "PT1H30M", "P7D", "PT0.5S". */
bool group_text_parse_duration(struct slice text, int64_t *ms);

/* "TOPIC", or "TOPIC:0,1,2". */
struct group_scope {
    struct slice topic;
    int32_t *partitions; /* in the arena */
    size_t count;        /* 0: all of them */
};
bool group_text_parse_scope(struct slice text, struct arena *arena, struct group_scope *scope);

/* A line of a plan: "TOPIC,PARTITION,OFFSET", or "GROUP,TOPIC,PARTITION,OFFSET". Quoted as CSV is ("a ""b""" is a "b"). */
struct group_plan_line {
    struct slice group; /* null: the line names none */
    struct slice topic;
    int32_t partition;
    int64_t offset;
};
bool group_text_parse_line(struct slice text, bool has_group, struct arena *arena, struct group_plan_line *line);
struct slice group_text_print_line(const struct group_plan_line *line, struct arena *arena);

#endif
