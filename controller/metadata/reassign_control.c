#include "controller/metadata/reassign_control.h"

#include "common/assert.h"
#include "controller/metadata/assignment.h"
#include "controller/metadata/feature_control.h"
#include "controller/metadata/partition_edit.h"

/* ---- AlterPartitionReassignments ------------------------------------------------------------------------------------- */

static struct refusal cancel(struct control *control, const struct image_topic *topic, int32_t partition)
{
    struct partition_edit edit;
    if (!image_reassignment_get(control->image, topic->id, partition))
        return (struct refusal){KAFKA_NO_REASSIGNMENT_IN_PROGRESS, SLICE_NULL};
    partition_edit_begin(&edit, control->image, topic, partition);
    if (!partition_edit_revert(&edit) && !edit.is_unclean_allowed)
        return REFUSE(control, INVALID_REPLICA_ASSIGNMENT,
                      "Unable to revert partition assignment for %s:%d because it would require an unclean leader election, or leave fewer "
                      "replicas in sync than min.insync.replicas.",
                      topic->name, partition);
    partition_edit_commit(&edit, control->records);
    return NOT_REFUSED;
}

static struct refusal check_factor(struct control *control, const struct image_topic *topic, int32_t partition, uint32_t wanted)
{
    uint32_t adding = image_adding(image_reassignment_get(control->image, topic->id, partition)).count;
    uint32_t now = topic->partitions[partition].replica_count - adding;
    if (now == wanted) return NOT_REFUSED;
    return REFUSE(control, INVALID_REPLICATION_FACTOR, "The replication factor is changed from %u to %u", now, wanted);
}

static struct refusal change(struct control *control, const struct image_topic *topic, int32_t partition, struct node_ids target,
                             bool may_change_factor)
{
    struct partition_edit edit;
    struct refusal refusal = assignment_check_ids(control, target, 0);
    if (!is_refused(refusal) && !may_change_factor) refusal = check_factor(control, topic, partition, target.count);
    if (is_refused(refusal)) return refusal;
    if (target.count + topic->partitions[partition].replica_count > REPLICAS_MAX)
        return REFUSE(control, INVALID_REPLICA_ASSIGNMENT, "While it moves, partition %s:%d would have more than %d replicas.", topic->name,
                      partition, REPLICAS_MAX);
    partition_edit_begin(&edit, control->image, topic, partition);
    if (!partition_edit_reassign(&edit, target))
        return REFUSE(
            control, INVALID_REPLICA_ASSIGNMENT,
            "Too few replicas of %s:%d would stay in sync without those that the reassignment under way adds: wait until more are.",
            topic->name, partition);
    partition_edit_commit(&edit, control->records);
    return NOT_REFUSED;
}

static struct refusal reassign_one(struct control *control, bool may_change_factor, struct slice name,
                                   const struct alter_partition_reassignments_request_partitions *asked)
{
    const struct image_topic *topic = image_topic_by_name(control->image, name);
    if (!topic) return REFUSE(control, UNKNOWN_TOPIC_OR_PARTITION, "Unable to find a topic named %.*s.", SLICE_ARG(name));
    if (asked->partition_index < 0 || asked->partition_index >= topic->partition_count)
        return REFUSE(control, UNKNOWN_TOPIC_OR_PARTITION, "Unable to find partition %.*s:%d.", SLICE_ARG(name), asked->partition_index);
    struct node_ids target = {asked->replicas, asked->replicas_count > 0 ? (uint32_t)asked->replicas_count : 0};
    return asked->replicas_count < 0 ? cancel(control, topic, asked->partition_index)
                                     : change(control, topic, asked->partition_index, target, may_change_factor);
}

/* A second item for a partition would be decided on the state before the first. */
static bool is_first(struct control *control, struct map *seen, struct slice topic, int32_t partition)
{
    struct slice key = arena_printf(control->arena, "%d:%.*s", partition, SLICE_ARG(topic));
    if (map_get(seen, key)) return false;
    map_put(seen, key, seen);
    return true;
}

void reassign_partitions(struct control *control, const struct alter_partition_reassignments_request *request,
                         struct alter_partition_reassignments_response *response)
{
    struct map seen;
    struct refusal too_old = feature_check_level(control, 2, "Reassignments");
    response->allow_replication_factor_change = request->allow_replication_factor_change;
    response->error_code = (int16_t)too_old.error;
    response->error_message = too_old.message;
    if (is_refused(too_old)) return;
    map_init(&seen, image_seed(control->image));
    response->responses_count = request->topics_count;
    response->responses = arena_calloc(control->arena, (size_t)request->topics_count, sizeof *response->responses);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct alter_partition_reassignments_request_topics *topic = &request->topics[t];
        struct alter_partition_reassignments_response_responses *out = &response->responses[t];
        out->name = topic->name;
        out->partitions_count = topic->partitions_count;
        out->partitions = arena_calloc(control->arena, (size_t)topic->partitions_count, sizeof *out->partitions);
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            struct refusal refusal =
                is_first(control, &seen, topic->name, topic->partitions[p].partition_index)
                    ? reassign_one(control, request->allow_replication_factor_change, topic->name, &topic->partitions[p])
                    : REFUSE(control, INVALID_REQUEST, "A partition is named twice.");
            out->partitions[p].partition_index = topic->partitions[p].partition_index;
            out->partitions[p].error_code = (int16_t)refusal.error;
            out->partitions[p].error_message = refusal.message;
            records_cut(control->records);
        }
    }
    map_deinit(&seen);
}

/* ---- internal topics ------------------------------------------------------------------------------------------------- */

/* An active broker, and how many replicas of the topic it has or is to get. */
struct host {
    const struct image_broker *broker;
    uint32_t load;
};
struct hosts {
    struct host *items;
    uint32_t count;
};

static struct hosts active_hosts(struct control *control, const struct image_topic *topic)
{
    struct hosts hosts = {.items = arena_calloc(control->arena, map_count(&control->image->brokers), sizeof *hosts.items)};
    const struct image_broker *broker = NULL;
    for (uint32_t at = 0; (broker = image_next_broker(control->image, &at));) {
        if (!image_broker_is_active(broker)) continue;
        struct host *host = &hosts.items[hosts.count++];
        host->broker = broker;
        for (int32_t i = 0; i < topic->partition_count; i++)
            host->load += node_ids_contain(image_replicas(&topic->partitions[i]), broker->id);
    }
    return hosts;
}

static bool is_rack_used(const struct image *image, struct node_ids replicas, const char *rack)
{
    for (uint32_t i = 0; i < replicas.count; i++) {
        const struct image_broker *broker = image_broker_get(image, replicas.ids[i]);
        if (broker && strcmp(broker->rack, rack) == 0) return true;
    }
    return false;
}

/* A rack that has no replica yet comes first, then the broker with the fewest. NULL: all have one. */
static struct host *next_host(const struct image *image, const struct hosts *hosts, struct node_ids replicas)
{
    struct host *best = NULL;
    bool is_best_in_new_rack = false;
    for (uint32_t i = 0; i < hosts->count; i++) {
        struct host *host = &hosts->items[i];
        if (node_ids_contain(replicas, host->broker->id)) continue;
        bool is_in_new_rack = !is_rack_used(image, replicas, host->broker->rack);
        bool is_better =
            !best || (is_in_new_rack && !is_best_in_new_rack) || (is_in_new_rack == is_best_in_new_rack && host->load < best->load);
        if (!is_better) continue;
        best = host;
        is_best_in_new_rack = is_in_new_rack;
    }
    return best;
}

static bool grow_partition(struct control *control, const struct image_topic *topic, int32_t partition, struct hosts *hosts,
                           uint32_t factor)
{
    const struct image_partition *now = &topic->partitions[partition];
    int32_t target[REPLICAS_MAX];
    uint32_t count = now->replica_count;
    struct host *host = NULL;
    /* Without a leader nobody could catch up. */
    if (count >= factor || now->leader == NO_LEADER || image_reassignment_get(control->image, topic->id, partition)) return false;
    memcpy(target, image_replicas(now).ids, count * sizeof *target);
    while (count < factor && (host = next_host(control->image, hosts, (struct node_ids){target, count}))) {
        target[count++] = host->broker->id;
        host->load++;
    }
    if (count == now->replica_count) return false;
    struct partition_edit edit;
    partition_edit_begin(&edit, control->image, topic, partition);
    bool is_possible = partition_edit_reassign(&edit, (struct node_ids){target, count});
    ASSERT(is_possible); /* nobody leaves */
    partition_edit_commit(&edit, control->records);
    records_cut(control->records);
    return true;
}

uint32_t reassign_grow_internal_topics(struct control *control, uint32_t factor, uint32_t count_max)
{
    static const char *const NAMES[] = {"__consumer_offsets", "__transaction_state", "__share_group_state"};
    uint32_t done = 0;
    ASSERT(factor <= REPLICAS_MAX);
    if (image_feature_level(control->image, "skiff.version") < 2) return 0;
    for (size_t n = 0; n < sizeof NAMES / sizeof *NAMES; n++) {
        const struct image_topic *topic = image_topic_by_name(control->image, slice_str(NAMES[n]));
        if (!topic) continue;
        struct hosts hosts = active_hosts(control, topic);
        for (int32_t i = 0; i < topic->partition_count && done < count_max; i++) done += grow_partition(control, topic, i, &hosts, factor);
    }
    return done;
}

/* ---- ElectLeaders ---------------------------------------------------------------------------------------------------- */

static struct refusal refuse_plainly(enum kafka_error error)
{
    return (struct refusal){error, slice_str(kafka_error_message((int16_t)error))};
}

static struct refusal elect_one(struct control *control, const struct image_topic *topic, int32_t partition, enum election_type type)
{
    const struct image_partition *now = &topic->partitions[partition];
    bool has_leader = now->leader != NO_LEADER;
    bool is_preferred = has_leader && now->leader == image_replicas(now).ids[0];
    if (type == ELECTION_PREFERRED ? is_preferred : has_leader) return refuse_plainly(KAFKA_ELECTION_NOT_NEEDED);
    struct partition_edit edit;
    partition_edit_begin(&edit, control->image, topic, partition);
    if (type == ELECTION_PREFERRED) edit.wants_preferred = true;
    if (type == ELECTION_UNCLEAN) edit.is_unclean_allowed = true;
    bool is_elected = partition_edit_commit(&edit, control->records);
    records_cut(control->records);
    if (is_elected) return NOT_REFUSED;
    return refuse_plainly(type == ELECTION_PREFERRED ? KAFKA_PREFERRED_LEADER_NOT_AVAILABLE : KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE);
}

static void say_partition(struct elect_leaders_response_partition_result *out, int32_t partition, struct refusal refusal)
{
    *out = (struct elect_leaders_response_partition_result){
        .partition_id = partition, .error_code = (int16_t)refusal.error, .error_message = refusal.message};
}

/* Every topic is in the answer, but no partition that has the wanted leader already. */
static void elect_everywhere(struct control *control, enum election_type type, struct elect_leaders_response *response)
{
    const struct image_topic *topic = NULL;
    response->replica_election_results =
        arena_calloc(control->arena, map_count(&control->image->topics), sizeof *response->replica_election_results);
    for (uint32_t at = 0; (topic = image_next_topic(control->image, &at));) {
        struct elect_leaders_response_replica_election_results *out =
            &response->replica_election_results[response->replica_election_results_count++];
        *out = (struct elect_leaders_response_replica_election_results){.topic = slice_make(topic->name, topic->name_size)};
        out->partition_result = arena_calloc(control->arena, (size_t)topic->partition_count, sizeof *out->partition_result);
        for (int32_t i = 0; i < topic->partition_count; i++) {
            struct refusal refusal = elect_one(control, topic, i, type);
            if (refusal.error == KAFKA_ELECTION_NOT_NEEDED) continue;
            say_partition(&out->partition_result[out->partition_result_count++], i, refusal);
        }
    }
}

static struct refusal elect_named(struct control *control, struct map *seen, struct slice name, int32_t partition, enum election_type type)
{
    const struct image_topic *topic = image_topic_by_name(control->image, name);
    if (!topic) return REFUSE(control, UNKNOWN_TOPIC_OR_PARTITION, "No such topic as %.*s", SLICE_ARG(name));
    if (partition < 0 || partition >= topic->partition_count)
        return REFUSE(control, UNKNOWN_TOPIC_OR_PARTITION, "No such partition as %.*s-%d", SLICE_ARG(name), partition);
    if (!is_first(control, seen, name, partition)) return refuse_plainly(KAFKA_ELECTION_NOT_NEEDED);
    return elect_one(control, topic, partition, type);
}

void elect_leaders(struct control *control, const struct elect_leaders_request *request, struct elect_leaders_response *response)
{
    enum election_type type = request->election_type == ELECTION_UNCLEAN ? ELECTION_UNCLEAN : ELECTION_PREFERRED;
    bool is_known = request->election_type == (int8_t)type;
    if (!is_known) response->error_code = KAFKA_INVALID_REQUEST;
    if (request->topic_partitions_count < 0) {
        if (!is_known) return;
        elect_everywhere(control, type, response);
        return;
    }
    struct map seen;
    map_init(&seen, image_seed(control->image));
    response->replica_election_results_count = request->topic_partitions_count;
    response->replica_election_results =
        arena_calloc(control->arena, (size_t)request->topic_partitions_count, sizeof *response->replica_election_results);
    for (int32_t t = 0; t < request->topic_partitions_count; t++) {
        const struct elect_leaders_request_topic_partitions *asked = &request->topic_partitions[t];
        struct elect_leaders_response_replica_election_results *out = &response->replica_election_results[t];
        out->topic = asked->topic;
        out->partition_result_count = asked->partitions_count;
        out->partition_result = arena_calloc(control->arena, (size_t)asked->partitions_count, sizeof *out->partition_result);
        for (int32_t i = 0; i < asked->partitions_count; i++)
            say_partition(&out->partition_result[i], asked->partitions[i],
                          is_known ? elect_named(control, &seen, asked->topic, asked->partitions[i], type)
                                   : REFUSE(control, INVALID_REQUEST, "There is no election type %d.", request->election_type));
    }
    map_deinit(&seen);
}
