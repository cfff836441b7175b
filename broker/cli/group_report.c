#include "broker/cli/group_report.h"

#include "broker/cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define UNKNOWN SLICE_LITERAL("-")

static struct slice or_dash(struct slice text) { return text.n > 0 ? text : UNKNOWN; }

/* ---- offsets ------------------------------------------------------------------------------------------------------- */

static int64_t lag_of(const struct group_row *row)
{
    if (row->committed == ROW_UNKNOWN || row->end == ROW_UNKNOWN) return ROW_UNKNOWN;
    return row->end > row->committed ? row->end - row->committed : 0;
}

static void put_owner(struct table *table, const struct describe_groups_response_members *owner)
{
    table_put(table, owner ? owner->member_id : UNKNOWN);
    table_put(table, owner ? or_dash(owner->client_host) : UNKNOWN);
    table_put(table, owner ? or_dash(owner->client_id) : UNKNOWN);
}

static struct slice seconds_of(struct arena *arena, int64_t ms)
{
    return ms == ROW_UNKNOWN ? UNKNOWN : arena_printf(arena, "%lld.%lld", (long long)ms / 1000, (long long)ms % 1000 / 100);
}

static void print_offsets(const struct group_report *report, bool is_verbose)
{
    static const char *const plain[] = {"GROUP", "TOPIC",       "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET",
                                        "LAG",   "CONSUMER-ID", "HOST",      "CLIENT-ID"};
    static const char *const verbose[] = {"GROUP", "TOPIC",       "PARTITION",   "CURRENT-OFFSET", "LOG-END-OFFSET",
                                          "LAG",   "LAG-SECONDS", "CONSUMER-ID", "HOST",           "CLIENT-ID"};
    struct table table;
    table_begin(&table, report->arena, is_verbose ? verbose : plain, is_verbose ? 10 : 9);
    for (size_t i = 0; i < report->rows.count; i++) {
        const struct group_row *row = &report->rows.at[i];
        table_put(&table, report->group->group_id);
        table_put(&table, row->topic);
        table_put_number(&table, row->partition);
        table_put_number(&table, row->committed);
        table_put_number(&table, row->end);
        table_put_number(&table, lag_of(row));
        if (is_verbose) table_put(&table, seconds_of(report->arena, row->lag_ms));
        put_owner(&table, row->owner);
    }
    table_print(&table);
}

/* ---- members ------------------------------------------------------------------------------------------------------- */

static int compare_partitions(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* "orders:0,1;returns:3" */
static struct slice assignment_of(struct arena *arena, const struct consumer_protocol_assignment *assignment)
{
    struct slice text = SLICE_NULL;
    for (int32_t t = 0; assignment && t < assignment->assigned_partitions_count; t++) {
        const struct consumer_protocol_assignment_assigned_partitions *of = &assignment->assigned_partitions[t];
        if (of->partitions_count) qsort(of->partitions, (size_t)of->partitions_count, sizeof *of->partitions, compare_partitions);
        for (int32_t p = 0; p < of->partitions_count; p++) {
            const char *separator = p > 0 ? "," : text.n > 0 ? ";" : "";
            text = arena_printf(arena, "%.*s%s%.*s%s%d", SLICE_ARG(text), separator, p ? 0 : (int)of->topic.n, (const char *)of->topic.p,
                                p ? "" : ":", of->partitions[p]);
        }
    }
    return or_dash(text);
}

static int64_t partition_count(const struct consumer_protocol_assignment *assignment)
{
    int64_t count = 0;
    for (int32_t t = 0; assignment && t < assignment->assigned_partitions_count; t++)
        count += assignment->assigned_partitions[t].partitions_count;
    return count;
}

static bool has_instances(const struct group_report *report)
{
    for (size_t i = 0; i < report->member_count; i++)
        if (report->members[i].member->group_instance_id.n > 0) return true;
    return false;
}

/* A classic group has no epochs and no target: Kafka shows them as unknown, too. */
static void print_members(const struct group_report *report, bool is_verbose)
{
    static const char *const with_instance[] = {"GROUP",       "CONSUMER-ID",   "GROUP-INSTANCE-ID",  "HOST",         "CLIENT-ID",
                                                "#PARTITIONS", "CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT"};
    static const char *const without[] = {"GROUP",         "CONSUMER-ID",        "HOST",         "CLIENT-ID",        "#PARTITIONS",
                                          "CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT"};
    bool has_instance = has_instances(report);
    struct table table;
    table_begin(&table, report->arena, has_instance ? with_instance : without, (has_instance ? 6 : 5) + (is_verbose ? 4u : 0u));
    for (size_t i = 0; i < report->member_count; i++) {
        const struct describe_groups_response_members *member = report->members[i].member;
        table_put(&table, report->group->group_id);
        table_put(&table, member->member_id);
        if (has_instance) table_put(&table, or_dash(member->group_instance_id));
        table_put(&table, or_dash(member->client_host));
        table_put(&table, or_dash(member->client_id));
        table_put(&table, arena_printf(report->arena, "%lld", (long long)partition_count(report->members[i].assignment)));
        if (!is_verbose) continue;
        table_put(&table, UNKNOWN);
        table_put(&table, assignment_of(report->arena, report->members[i].assignment));
        table_put(&table, UNKNOWN);
        table_put(&table, UNKNOWN);
    }
    table_print(&table);
}

/* ---- the group ----------------------------------------------------------------------------------------------------- */

static void print_reason(struct arena *arena, const struct describe_groups_response_rebalance_reasons *reason)
{
    char when[40] = "";
    struct tm parts;
    time_t seconds = (time_t)(reason->wall_ms / 1000);
    if (gmtime_r(&seconds, &parts)) (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%SZ", &parts);
    (void)printf("  %s  generation %d: %.*s", when, reason->generation, SLICE_ARG(reason->cause));
    if (reason->member.n) (void)printf(" (%.*s)", SLICE_ARG(table_printable(arena, reason->member)));
    if (reason->gap_ms >= 0) (void)printf(", not heard of for %lld ms", (long long)reason->gap_ms);
    if (reason->told.n) (void)printf("; it said: %.*s", SLICE_ARG(table_printable(arena, reason->told)));
    (void)printf("\n");
}

static void print_reasons(const struct group_report *report)
{
    const struct describe_groups_response_groups *group = report->group;
    (void)printf("\nWhy the last rebalances happened, the newest first%s\n",
                 group->rebalance_reasons_count ? ":" : ": the coordinator knows of none since it took office.");
    for (int32_t i = 0; i < group->rebalance_reasons_count; i++) print_reason(report->arena, &group->rebalance_reasons[i]);
}

/* Beside the tables: for people, not for what reads them. */
static void remark(const struct describe_groups_response_groups *group)
{
    bool is_rebalancing =
        slice_equal_str(group->group_state, "PreparingRebalance") || slice_equal_str(group->group_state, "CompletingRebalance");
    (void)fflush(stdout);
    if (group->members_count == 0)
        (void)fprintf(stderr, "Consumer group '%.*s' has no active members.\n", SLICE_ARG(group->group_id));
    else if (is_rebalancing)
        (void)fprintf(stderr, "Consumer group '%.*s' is rebalancing.\n", SLICE_ARG(group->group_id));
}

static void print_summary(const struct group_report *report)
{
    const struct describe_groups_response_groups *group = report->group;
    (void)printf("%.*s: %.*s, %zu members, protocol %.*s (%.*s), coordinator %d\n\n", SLICE_ARG(group->group_id),
                 SLICE_ARG(group->group_state), report->member_count, SLICE_ARG(or_dash(group->protocol_data)),
                 SLICE_ARG(or_dash(group->protocol_type)), report->coordinator->id);
}

void group_report_print_offsets(const struct group_report *report, bool is_verbose)
{
    remark(report->group);
    if (is_verbose) print_summary(report);
    print_offsets(report, is_verbose);
    if (!is_verbose) return;
    if (report->member_count) {
        (void)printf("\n");
        print_members(report, true);
    }
    print_reasons(report);
}

void group_report_print_members(const struct group_report *report, bool is_verbose)
{
    remark(report->group);
    print_members(report, is_verbose);
}

void group_report_print_state(const struct group_report *report, bool is_verbose)
{
    static const char *const titles[] = {"GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"};
    const struct describe_groups_response_groups *group = report->group;
    const struct client_node *node = report->coordinator;
    struct table table;
    remark(group);
    table_begin(&table, report->arena, titles, 5);
    table_put(&table, group->group_id);
    table_put(&table, arena_printf(report->arena, "%s:%u (%d)", node->host, node->port, node->id));
    table_put(&table, or_dash(group->protocol_data));
    table_put(&table, group->group_state);
    table_put(&table, arena_printf(report->arena, "%d", group->members_count));
    table_print(&table);
    if (is_verbose) print_reasons(report);
}
