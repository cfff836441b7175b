#include "controller/metadata/assignment.h"

#include "common/assert.h"

static bool has_active(const struct image *image, struct node_ids replicas)
{
    for (uint32_t i = 0; i < replicas.count; i++)
        if (image_is_active(image, replicas.ids[i])) return true;
    return false;
}

struct refusal assignment_check_ids(struct control *control, struct node_ids replicas, uint32_t replica_count)
{
    if (replicas.count == 0)
        return REFUSE(control, INVALID_REPLICA_ASSIGNMENT, "The manual partition assignment includes an empty replica list.");
    if (replicas.count > REPLICAS_MAX)
        return REFUSE(control, INVALID_REPLICA_ASSIGNMENT, "The manual partition assignment includes more than %d replicas.", REPLICAS_MAX);
    for (uint32_t i = 0; i < replicas.count; i++) {
        int32_t id = replicas.ids[i];
        if (!image_broker_get(control->image, id))
            return REFUSE(control, INVALID_REPLICA_ASSIGNMENT,
                          "The manual partition assignment includes broker %d, but no such broker is registered.", id);
        if (node_ids_contain((struct node_ids){replicas.ids, i}, id))
            return REFUSE(control, INVALID_REPLICA_ASSIGNMENT, "The manual partition assignment includes the broker %d more than once.",
                          id);
    }
    if (replica_count && replicas.count != replica_count)
        return REFUSE(control, INVALID_REPLICA_ASSIGNMENT,
                      "The manual partition assignment includes a partition with %u replica(s), but this is not consistent with previous "
                      "partitions, which have %u replica(s).",
                      replicas.count, replica_count);
    return NOT_REFUSED;
}

struct refusal assignment_check(struct control *control, int32_t partition, struct node_ids replicas, uint32_t replica_count)
{
    struct refusal refusal = assignment_check_ids(control, replicas, replica_count);
    if (is_refused(refusal)) return refusal;
    if (!has_active(control->image, replicas))
        return REFUSE(control, INVALID_REPLICA_ASSIGNMENT,
                      "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.",
                      partition);
    return NOT_REFUSED;
}

struct refusal assignment_check_automatic(struct control *control, uint32_t replica_count)
{
    uint32_t active = 0, at = 0;
    for (struct image_broker *broker; (broker = image_next_broker(control->image, &at));) active += image_broker_is_active(broker);
    uint32_t registered = map_count(&control->image->brokers);
    if (active == 0)
        return REFUSE(control, INVALID_REPLICATION_FACTOR,
                      "Unable to replicate the partition %u time(s): All brokers are currently fenced.", replica_count);
    if (replica_count > registered || replica_count > REPLICAS_MAX)
        return REFUSE(control, INVALID_REPLICATION_FACTOR,
                      "Unable to replicate the partition %u time(s): The target replication factor of %u cannot be reached because only %u "
                      "broker(s) are registered.",
                      replica_count, replica_count, registered);
    return NOT_REFUSED;
}

void assignment_first_state(const struct image *image, struct node_ids replicas, struct partition_state *state)
{
    *state = (struct partition_state){.leader = NO_LEADER, .last_known_leader = NO_BROKER};
    for (uint32_t i = 0; i < replicas.count; i++)
        if (image_is_active(image, replicas.ids[i])) state->isr[state->isr_count++] = replicas.ids[i];
    ASSERT(state->isr_count > 0);
    state->leader = state->isr[0];
}
