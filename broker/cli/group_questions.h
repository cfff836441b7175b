/* What `skiff consumer-groups` asks a cluster: coordinators about groups, leaders about partitions. Main thread.
 *
 * A coordinator that moves or loads, or a partition whose leader changes, is asked again until the client's timeout. Answers are Kafka
 * errors; where nobody answered, KAFKA_COORDINATOR_NOT_AVAILABLE or KAFKA_REQUEST_TIMED_OUT, and client_reason() says more. */
#ifndef SKIFF_BROKER_CLI_GROUP_QUESTIONS_H
#define SKIFF_BROKER_CLI_GROUP_QUESTIONS_H

#include "broker/cli/client.h"
#include "broker/cli/group_rows.h"
#include "broker/cli/group_text.h"
#include "gen/kmsg.h"

struct group_listing {
    struct slice group, protocol_type, state, type;
};
/* Every group of every coordinator, by name. False: one of them did not answer; the others' are there. */
bool group_list(struct client *client, struct group_listing **listings, size_t *count);

/* *coordinator is set, too. KAFKA_GROUP_ID_NOT_FOUND. */
int16_t group_describe(struct client *client, struct slice group, const struct describe_groups_response_groups **answer,
                       int32_t *coordinator);
/* Adds a row for each partition with an offset. */
int16_t group_fetch_offsets(struct client *client, struct slice group, struct group_rows *rows);
/* Commits the targets of sorted rows. What happened to a partition is in its row; the answer is that of the group, or the first of them. */
int16_t group_commit(struct client *client, struct slice group, struct group_rows *rows);
int16_t group_delete(struct client *client, struct slice group);
/* Of sorted rows. The answer is that of the group; what happened to a partition is in its row. */
int16_t group_delete_offsets(struct client *client, struct slice group, struct group_rows *rows);

/* Adds a row for each partition of the scope; the cluster is asked only when that is all of a topic. */
int16_t group_add_scope(struct client *client, const struct group_scope *scope, struct group_rows *rows);
/* The leaders of sorted rows. */
int16_t group_find_leaders(struct client *client, struct group_rows *rows);
/* ListOffsets: OFFSETS_LATEST, OFFSETS_EARLIEST, or the first record from a time on. Sorted rows that have a leader get `found`; the
 * answer is the first error that one of them got. */
#define OFFSETS_LATEST   (-1)
#define OFFSETS_EARLIEST (-2)
int16_t group_ask_offsets(struct client *client, struct group_rows *rows, int64_t timestamp);

#endif
