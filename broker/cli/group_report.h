/* What `skiff consumer-groups` knows of a group, and how it looks on a terminal. Slices live in the client's arena. */
#ifndef SKIFF_BROKER_CLI_GROUP_REPORT_H
#define SKIFF_BROKER_CLI_GROUP_REPORT_H

#include "broker/cli/client.h"
#include "broker/cli/group_rows.h"

struct group_report_member {
    const struct describe_groups_response_members *member;
    const struct consumer_protocol_assignment *assignment; /* NULL: none, or not a consumer's */
};
struct group_report {
    struct arena *arena;
    const struct describe_groups_response_groups *group;
    const struct client_node *coordinator;
    struct group_rows rows; /* sorted */
    struct group_report_member *members;
    size_t member_count;
};

/* Kafka's tables. Verbose: with the lag in seconds, the state, the members and the last rebalances; */
void group_report_print_offsets(const struct group_report *report, bool is_verbose);
/* with what each member is assigned; */
void group_report_print_members(const struct group_report *report, bool is_verbose);
/* with the last rebalances. */
void group_report_print_state(const struct group_report *report, bool is_verbose);

#endif
