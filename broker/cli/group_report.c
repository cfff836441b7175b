#include "broker/cli/group_report.h"

#include "common/mem.h"
#include "common/slice.h"

#include <stdio.h>
#include <time.h>

#define COLUMNS_MAX 10
#define CELL_MAX    320

/* ---- tables -------------------------------------------------------------------------------------------------------- */

struct table {
    size_t columns, rows, capacity;
    char (*cells)[CELL_MAX]; /* row after row; the first has the titles */
};

static char *next_cell(struct table *table, size_t *at)
{
    if (*at == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = mem_realloc(table->cells, table->capacity, sizeof *table->cells);
    }
    return table->cells[(*at)++];
}

/* Names are strangers' choice: nothing in them steers the terminal. */
static void put(struct table *table, size_t *at, struct slice text)
{
    char *cell = next_cell(table, at);
    size_t n = text.n < CELL_MAX ? text.n : CELL_MAX - 1;
    for (size_t i = 0; i < n; i++) cell[i] = (char)(text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i]);
    cell[n] = 0;
}

static void put_number(struct table *table, size_t *at, int64_t number)
{
    if (number == REPORT_UNKNOWN)
        put(table, at, SLICE_LITERAL("-"));
    else
        (void)snprintf(next_cell(table, at), CELL_MAX, "%lld", (long long)number);
}

static void print_table(struct table *table, size_t cell_count)
{
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < cell_count; i++) {
        size_t length = strlen(table->cells[i]), *width = &widths[i % table->columns];
        if (length > *width) *width = length;
    }
    for (size_t i = 0; i < cell_count; i++) {
        bool is_last = i % table->columns == table->columns - 1;
        (void)printf("%-*s%s", is_last ? 0 : (int)widths[i % table->columns], table->cells[i], is_last ? "\n" : "  ");
    }
    mem_free(table->cells);
}

/* ---- parts --------------------------------------------------------------------------------------------------------- */

static struct slice or_dash(struct slice text) { return text.n > 0 ? text : SLICE_LITERAL("-"); }

static int64_t lag_of(const struct group_report_row *row)
{
    if (row->committed == REPORT_UNKNOWN || row->end == REPORT_UNKNOWN) return REPORT_UNKNOWN;
    return row->end > row->committed ? row->end - row->committed : 0;
}

static void put_owner(struct table *table, size_t *at, const struct describe_groups_response_members *owner)
{
    put(table, at, owner ? owner->member_id : SLICE_LITERAL("-"));
    put(table, at, owner ? or_dash(owner->client_host) : SLICE_LITERAL("-"));
    put(table, at, owner ? or_dash(owner->client_id) : SLICE_LITERAL("-"));
}

static void put_seconds(struct table *table, size_t *at, int64_t ms)
{
    if (ms == REPORT_UNKNOWN)
        put(table, at, SLICE_LITERAL("-"));
    else
        (void)snprintf(next_cell(table, at), CELL_MAX, "%lld.%lld", (long long)ms / 1000, (long long)ms % 1000 / 100);
}

static void print_offsets(const struct group_report *report, bool is_verbose)
{
    static const char *const titles[] = {"GROUP", "TOPIC",       "PARTITION",   "CURRENT-OFFSET", "LOG-END-OFFSET",
                                         "LAG",   "LAG-SECONDS", "CONSUMER-ID", "HOST",           "CLIENT-ID"};
    struct table table = {.columns = is_verbose ? 10 : 9};
    size_t at = 0;
    for (size_t i = 0; i < 10; i++)
        if (is_verbose || i != 6) put(&table, &at, slice_str(titles[i]));
    for (size_t i = 0; i < report->row_count; i++) {
        const struct group_report_row *row = &report->rows[i];
        put(&table, &at, report->group->group_id);
        put(&table, &at, row->topic);
        put_number(&table, &at, row->partition);
        put_number(&table, &at, row->committed);
        put_number(&table, &at, row->end);
        put_number(&table, &at, lag_of(row));
        if (is_verbose) put_seconds(&table, &at, row->lag_ms);
        put_owner(&table, &at, row->owner);
    }
    print_table(&table, at);
}

/* "orders(0,1) returns(3)" */
static void print_assignment(const struct consumer_protocol_assignment *assignment, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s", assignment && assignment->assigned_partitions_count ? "" : "-");
    for (int32_t t = 0; assignment && t < assignment->assigned_partitions_count; t++) {
        const struct consumer_protocol_assignment_assigned_partitions *of = &assignment->assigned_partitions[t];
        for (int32_t p = 0; p < of->partitions_count && used < size; p++) {
            bool is_first = p == 0;
            used += (size_t)snprintf(out + used, size - used, "%s%.*s%s%d", is_first && t ? " " : "", is_first ? (int)of->topic.n : 0,
                                     (const char *)of->topic.p, is_first ? "(" : ",", of->partitions[p]);
        }
        if (used < size && of->partitions_count) used += (size_t)snprintf(out + used, size - used, ")");
    }
}

static void print_members(const struct group_report *report)
{
    static const char *const titles[] = {"CONSUMER-ID", "INSTANCE-ID", "HOST", "CLIENT-ID", "ASSIGNMENT"};
    struct table table = {.columns = 5};
    size_t at = 0;
    for (size_t i = 0; i < 5; i++) put(&table, &at, slice_str(titles[i]));
    for (size_t i = 0; i < report->member_count; i++) {
        const struct describe_groups_response_members *member = report->members[i].member;
        put(&table, &at, member->member_id);
        put(&table, &at, or_dash(member->group_instance_id));
        put(&table, &at, or_dash(member->client_host));
        put(&table, &at, or_dash(member->client_id));
        print_assignment(report->members[i].assignment, next_cell(&table, &at), CELL_MAX);
    }
    (void)printf("\n");
    print_table(&table, at);
}

static void print_reason(const struct describe_groups_response_rebalance_reasons *reason)
{
    char when[40] = "";
    struct tm parts;
    time_t seconds = (time_t)(reason->wall_ms / 1000);
    if (gmtime_r(&seconds, &parts)) (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%SZ", &parts);
    (void)printf("  %s  generation %d: %.*s", when, reason->generation, (int)reason->cause.n, (const char *)reason->cause.p);
    if (reason->member.n) (void)printf(" (%.*s)", (int)reason->member.n, (const char *)reason->member.p);
    if (reason->gap_ms >= 0) (void)printf(", not heard of for %lld ms", (long long)reason->gap_ms);
    if (reason->told.n) (void)printf("; it said: %.*s", (int)reason->told.n, (const char *)reason->told.p);
    (void)printf("\n");
}

static void print_reasons(const struct describe_groups_response_groups *group)
{
    (void)printf("\nWhy the last rebalances happened, the newest first%s\n",
                 group->rebalance_reasons_count ? ":" : ": the coordinator knows of none since it took office.");
    for (int32_t i = 0; i < group->rebalance_reasons_count; i++) print_reason(&group->rebalance_reasons[i]);
}

void group_report_print(const struct group_report *report, bool is_verbose)
{
    const struct describe_groups_response_groups *group = report->group;
    if (report->member_count == 0)
        (void)printf("Consumer group '%.*s' has no active members.\n", (int)group->group_id.n, (const char *)group->group_id.p);
    if (is_verbose)
        (void)printf("%.*s: %.*s, %zu members, protocol %.*s (%.*s), coordinator %d\n", (int)group->group_id.n,
                     (const char *)group->group_id.p, (int)group->group_state.n, (const char *)group->group_state.p, report->member_count,
                     (int)or_dash(group->protocol_data).n, (const char *)or_dash(group->protocol_data).p,
                     (int)or_dash(group->protocol_type).n, (const char *)or_dash(group->protocol_type).p, report->coordinator);
    (void)printf("\n");
    print_offsets(report, is_verbose);
    if (!is_verbose) return;
    if (report->member_count) print_members(report);
    print_reasons(group);
}
