#include "controller/metadata/partition_edit.h"

#include "common/assert.h"
#include "common/mutant.h"

static bool is_true(const char *text) { return text && (text[0] == 't' || text[0] == 'T'); }

void partition_edit_begin(struct partition_edit *edit, const struct image *image, const struct image_topic *topic, int32_t partition)
{
    ASSERT(partition >= 0 && partition < topic->partition_count);
    *edit = (struct partition_edit){.image = image,
                                    .topic = topic,
                                    .partition = partition,
                                    .before = &topic->partitions[partition],
                                    .leaving = NO_BROKER,
                                    .arriving = NO_BROKER,
                                    .dropped = NO_BROKER};
    partition_state_of(image, topic, partition, &edit->after);
    edit->min_isr = image_min_isr_configured(image, topic);
    edit->is_unclean_allowed =
        is_true(image_topic_config(image, topic, "unclean.leader.election.enable", "unclean.leader.election.enable"));
}

static struct node_ids isr_of(const struct partition_state *state) { return (struct node_ids){state->isr, state->isr_count}; }
static struct node_ids replicas_of(const struct partition_state *state) { return (struct node_ids){state->replicas, state->replica_count}; }
static struct node_ids elr_of(const struct partition_state *state) { return (struct node_ids){state->elr, state->elr_count}; }

static void remove_id(int32_t *ids, uint32_t *count, int32_t id)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++)
        if (ids[i] != id) ids[kept++] = ids[i];
    *count = kept;
}

void partition_edit_leave(struct partition_edit *edit, int32_t broker_id)
{
    edit->leaving = broker_id;
    remove_id(edit->after.isr, &edit->after.isr_count, broker_id);
}

void partition_edit_drop(struct partition_edit *edit, int32_t broker_id)
{
    edit->dropped = edit->leaving = broker_id;
    remove_id(edit->after.isr, &edit->after.isr_count, broker_id);
    remove_id(edit->after.elr, &edit->after.elr_count, broker_id);
}

void partition_edit_set_isr(struct partition_edit *edit, struct node_ids isr)
{
    ASSERT(isr.count > 0 && isr.count <= edit->before->replica_count);
    memcpy(edit->after.isr, isr.ids, isr.count * sizeof *isr.ids);
    edit->after.isr_count = isr.count;
}

static bool may_lead(const struct partition_edit *edit, int32_t broker_id)
{
    if (broker_id == edit->leaving || broker_id == NO_BROKER) return false;
    return broker_id == edit->arriving || image_is_active(edit->image, broker_id);
}

static int32_t effective_minimum(const struct partition_edit *edit)
{
    return edit->min_isr < (int32_t)edit->after.replica_count ? edit->min_isr : (int32_t)edit->after.replica_count;
}

/* E1. */
static void derive_elr(struct partition_edit *edit)
{
    struct partition_state *after = &edit->after;
    after->elr_count = 0;
    if ((int32_t)after->isr_count >= effective_minimum(edit)) return;
    struct node_ids replicas = replicas_of(&edit->after);
    for (uint32_t i = 0; i < replicas.count; i++) {
        int32_t id = replicas.ids[i];
        bool held_all = node_ids_contain(image_isr(edit->before), id) || node_ids_contain(image_elr(edit->before), id);
        if (held_all && id != edit->dropped && !node_ids_contain(isr_of(after), id)) after->elr[after->elr_count++] = id;
    }
}

/* The first replica that may lead and is among `candidates`. */
static int32_t first_of(const struct partition_edit *edit, struct node_ids candidates)
{
    struct node_ids replicas = replicas_of(&edit->after);
    for (uint32_t i = 0; i < replicas.count; i++)
        if (may_lead(edit, replicas.ids[i]) && node_ids_contain(candidates, replicas.ids[i])) return replicas.ids[i];
    return NO_LEADER;
}

static void become_whole_isr(struct partition_edit *edit, int32_t leader, bool is_unclean)
{
    edit->after.leader = leader;
    edit->after.isr[0] = leader;
    edit->after.isr_count = 1;
    if (is_unclean) {
        edit->after.elr_count = 0;
        edit->after.recovering = true;
        return;
    }
    remove_id(edit->after.elr, &edit->after.elr_count, leader);
    if (effective_minimum(edit) <= 1) edit->after.elr_count = 0;
}

/* E4. */
static int32_t unclean_candidate(const struct partition_edit *edit)
{
    if (edit->is_unclean_allowed) return first_of(edit, replicas_of(&edit->after));
    if (edit->after.isr_count || edit->after.elr_count) return NO_LEADER;
    int32_t last = edit->before->last_known_leader;
    const struct image_broker *broker = image_broker_get(edit->image, last);
    return broker && !broker->is_flushing && may_lead(edit, last) ? last : NO_LEADER;
}

/* E3, E4. */
static void elect(struct partition_edit *edit)
{
    struct partition_state *after = &edit->after;
    int32_t preferred = after->replicas[0];
    bool can_keep = may_lead(edit, after->leader) && node_ids_contain(isr_of(after), after->leader);
    if (edit->wants_preferred && may_lead(edit, preferred) && node_ids_contain(isr_of(after), preferred)) {
        after->leader = preferred;
        return;
    }
    if (can_keep) return;
    after->leader = first_of(edit, isr_of(after));
    if (after->leader != NO_LEADER) return;
    int32_t eligible = first_of(edit, elr_of(after));
    if (eligible != NO_LEADER) {
        become_whole_isr(edit, eligible, false);
        return;
    }
    int32_t unclean = unclean_candidate(edit);
    if (unclean != NO_LEADER) become_whole_isr(edit, unclean, true);
}

/* ---- reassignment ---------------------------------------------------------------------------------------------------- */

static void remove_all(int32_t *ids, uint32_t *count, struct node_ids gone)
{
    for (uint32_t i = 0; i < gone.count; i++) remove_id(ids, count, gone.ids[i]);
}

static uint32_t without(int32_t *out, struct node_ids ids, struct node_ids excluded)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ids.count; i++)
        if (!node_ids_contain(excluded, ids.ids[i])) out[count++] = ids.ids[i];
    return count;
}

/* Whoever left held committed records: then as many must stay as an acknowledgement promises (E1, E6). */
static bool keeps_enough(const struct partition_edit *edit)
{
    const struct partition_state *after = &edit->after;
    bool has_lost = after->isr_count < edit->before->isr_count || after->elr_count < edit->before->elr_count;
    return !has_lost || (int32_t)after->isr_count >= effective_minimum(edit);
}

bool partition_edit_reassign(struct partition_edit *edit, struct node_ids target)
{
    struct partition_state *after = &edit->after;
    int32_t first[REPLICAS_MAX], leaving[REPLICAS_MAX];
    struct node_ids adding_now = {after->adding, after->adding_count};
    ASSERT(target.count > 0 && target.count <= REPLICAS_MAX);
    /* What an earlier reassignment was adding, and this one does not want, goes at once. */
    uint32_t leaving_count = without(leaving, adding_now, target);
    struct node_ids began_with = {first, without(first, replicas_of(after), adding_now)};
    after->adding_count = without(after->adding, target, began_with);
    after->removing_count = without(after->removing, began_with, target);
    ASSERT(target.count + after->removing_count <= REPLICAS_MAX);
    memcpy(after->replicas, target.ids, target.count * sizeof *target.ids);
    memcpy(after->replicas + target.count, after->removing, after->removing_count * sizeof *after->removing);
    after->replica_count = target.count + after->removing_count;
    remove_all(after->isr, &after->isr_count, (struct node_ids){leaving, leaving_count});
    remove_all(after->elr, &after->elr_count, (struct node_ids){leaving, leaving_count});
    return keeps_enough(edit);
}

bool partition_edit_revert(struct partition_edit *edit)
{
    struct partition_state *after = &edit->after;
    struct node_ids adding = {after->adding, after->adding_count};
    remove_all(after->replicas, &after->replica_count, adding);
    remove_all(after->isr, &after->isr_count, adding);
    remove_all(after->elr, &after->elr_count, adding);
    after->adding_count = after->removing_count = 0;
    ASSERT(after->replica_count > 0);
    return keeps_enough(edit);
}

/* E6. */
static void complete_reassignment(struct partition_edit *edit)
{
    struct partition_state *after = &edit->after;
    struct node_ids removing = {after->removing, after->removing_count};
    int32_t staying[REPLICAS_MAX];
    if (after->adding_count + after->removing_count == 0) return;
    for (uint32_t i = 0; i < after->adding_count; i++)
        if (!node_ids_contain(isr_of(after), after->adding[i])) return;
    uint32_t staying_count = without(staying, isr_of(after), removing), replica_count = after->replica_count - removing.count;
    uint32_t minimum = (uint32_t)edit->min_isr < replica_count ? (uint32_t)edit->min_isr : replica_count;
    if (staying_count < minimum) return;
    remove_all(after->replicas, &after->replica_count, removing);
    remove_all(after->isr, &after->isr_count, removing);
    remove_all(after->elr, &after->elr_count, removing);
    after->adding_count = after->removing_count = 0;
}

static bool is_reassignment_changed(const struct partition_edit *edit)
{
    const struct image_reassignment *before = image_reassignment_get(edit->image, edit->topic->id, edit->partition);
    const struct partition_state *after = &edit->after;
    return !node_ids_equal(replicas_of(after), image_replicas(edit->before)) ||
           !node_ids_equal((struct node_ids){after->adding, after->adding_count}, image_adding(before)) ||
           !node_ids_equal((struct node_ids){after->removing, after->removing_count}, image_removing(before));
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static bool is_changed(const struct partition_edit *edit)
{
    const struct image_partition *before = edit->before;
    const struct partition_state *after = &edit->after;
    return edit->moves_on || after->leader != before->leader || after->recovering != before->recovering ||
           after->last_known_leader != before->last_known_leader || !node_ids_equal(isr_of(after), image_isr(before)) ||
           !node_ids_equal(elr_of(after), image_elr(before)) || is_reassignment_changed(edit);
}

static bool loses_replica(const struct partition_edit *edit)
{
    if (MUTANT("removal_without_leader_epoch")) return false;
    struct node_ids before = image_replicas(edit->before);
    for (uint32_t i = 0; i < before.count; i++)
        if (!node_ids_contain(replicas_of(&edit->after), before.ids[i])) return true;
    return false;
}

/* E5. */
static int32_t next_leader_epoch(const struct partition_edit *edit)
{
    bool is_new = edit->after.leader != edit->before->leader || loses_replica(edit);
    return edit->before->leader_epoch + is_new;
}

bool partition_edit_finish(struct partition_edit *edit)
{
    const struct image_partition *before = edit->before;
    struct partition_state *after = &edit->after;
    complete_reassignment(edit);
    derive_elr(edit);
    elect(edit);
    after->has_new_replicas = !node_ids_equal(replicas_of(after), image_replicas(before));
    if (after->leader != NO_LEADER)
        after->last_known_leader = NO_BROKER;
    else if (before->leader != NO_LEADER)
        after->last_known_leader = before->leader;
    if (!is_changed(edit)) return false;
    after->leader_epoch = next_leader_epoch(edit);
    after->partition_epoch = before->partition_epoch + 1;
    ASSERT_IMPLIES(after->leader != NO_LEADER, node_ids_contain(isr_of(after), after->leader));
    ASSERT_IMPLIES((int32_t)after->isr_count >= effective_minimum(edit), after->elr_count == 0);
    return true;
}

/* From a broker that lives: what the new leader may do depends on when the old one knows. */
static bool is_handed_over(const struct partition_edit *edit)
{
    int32_t from = edit->before->leader, to = edit->after.leader;
    return from != to && from != NO_LEADER && to != NO_LEADER && image_is_active(edit->image, from);
}

bool partition_edit_commit(struct partition_edit *edit, struct records *records)
{
    if (!partition_edit_finish(edit)) return false;
    records->announce |= is_handed_over(edit);
    records_add_partition_change(records, edit->topic->id, edit->partition, &edit->after);
    return true;
}
