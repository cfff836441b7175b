/* What `skiff consumer-groups` knows of a group, and how it looks on a terminal. Slices live in the client's arena. */
#ifndef SKIFF_BROKER_CLI_GROUP_REPORT_H
#define SKIFF_BROKER_CLI_GROUP_REPORT_H

#include "gen/kmsg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_UNKNOWN (-1)

struct group_report_row {
    struct slice topic;
    int32_t partition;
    int64_t committed, end; /* REPORT_UNKNOWN */
    int64_t lag_ms;         /* age of the oldest record that is not committed; 0: there is none; or REPORT_UNKNOWN */
    const struct describe_groups_response_members *owner; /* NULL: nobody */
};
struct group_report_assignment {
    const struct describe_groups_response_members *member;
    const struct consumer_protocol_assignment *assignment; /* NULL: none, or not a consumer's */
};
struct group_report {
    const struct describe_groups_response_groups *group;
    int32_t coordinator;
    struct group_report_row *rows; /* by topic, then partition */
    size_t row_count;
    struct group_report_assignment *members;
    size_t member_count;
};

/* Kafka's table of offsets; verbose: with the lag in seconds, the state, the members and the last rebalances. */
void group_report_print(const struct group_report *report, bool is_verbose);

#endif
