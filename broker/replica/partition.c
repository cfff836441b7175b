/* One replica of one partition. See partition.h.
 *
 * Invariants (partition_invariants() checks them after every step; the names are those of the tests)
 *  P1  log_start <= high_watermark <= log_end; log_start <= durable_end <= log_end.
 *  P2  Q-HW: the high watermark moves only when the committed ISR has min.insync.replicas members, and then not above the least
 *      end that counts as held in the maximal ISR (committed ISR and a proposal that may have been committed). It never moves
 *      back, except with a follower's log when that is cut.
 *  P3  Q-ACK: a produce waits only at a leader, for an offset above the high watermark, and is acknowledged only in the leader
 *      epoch of its append, or in those after it if nobody else led in between.
 *  P4  ISR and proposal are subsets of the replicas; only a leader proposes; the leader is in its ISR.
 *  P5  Leader epoch and partition epoch never decrease.
 *  P6  Q-MATCH: a follower's end counts only from a fetch that matches our log, by its newest known incarnation, in our epoch.
 *  P7  Q-TRUNC: a follower fetches only when what it holds, and what it cut, is durable.
 *
 *                    leader is another            leader is this node
 *        +--------+ ------------------> +----------+ ------------> +--------+
 *        |  IDLE  |                     | FOLLOWER | <------------ | LEADER |
 *        +--------+ <------------------ +----------+               +--------+
 *             ^       no leader known                                   |
 *             +---------------------------------------------------------+        any --- directory failed ---> OFFLINE
 *
 *   event           IDLE            FOLLOWER                 LEADER                            function
 *   ASSIGNED        role by leader_id; a new leader epoch starts the role anew                on_assigned
 *   CONFIGURED      remember        remember                 watermark, waiters                on_configured
 *   APPENDED        -               log_end                  log_end, watermark (policy os)    on_appended
 *   FLUSHED         durable_end     durable_end              durable_end, watermark            on_flushed
 *   TRUNCATED       ends, watermark back                     asserts                           on_truncated
 *   TRIMMED         log_start       log_start, watermark up  log_start                         on_trimmed
 *   RESET           all at offset   all at offset            asserts                           on_reset
 *   FETCHED_BY      -               -                        progress, watermark, ISR joins    on_fetched_by
 *   FETCHED         -               watermark                -                                 on_fetched
 *   WAITING         asserts         asserts                  wait, or complete at once         on_waiting
 *   ISR_ANSWERED    -               -                        await metadata                     on_isr_answered
 *   TICK            -               -                        ISR shrinks, ISR joins            on_tick
 *   REMOVED         role IDLE; waiters fail                                                    on_removed
 *   FAILED          role OFFLINE; waiters fail                                                 on_failed
 *
 * In OFFLINE every event is ignored. */
#include "broker/replica/partition.h"

#include "common/checked.h"
#include "common/mem.h"
#include "common/mutant.h"

#define PROPOSE_AGAIN_US 500000 /* after a refusal: about the time that metadata needs to catch up, far below replica lag */

const char *partition_role_name(enum partition_role role)
{
    static const char *const names[] = {"idle", "leader", "follower", "offline"};
    ASSERT((size_t)role < sizeof names / sizeof *names);
    return names[role];
}

/* ---- questions ---- */

int32_t partition_find(const struct partition *p, int32_t broker_id)
{
    for (size_t i = 0; i < p->replica_count; i++)
        if (p->replicas[i].id == broker_id) return (int32_t)i;
    return -1;
}

isr_set partition_maximal_isr(const struct partition *p)
{
    return isr_maximal(p->isr, p->proposal_state == PROPOSAL_NONE ? 0 : p->proposal.isr);
}

int64_t partition_held_end(const struct partition *p)
{
    return p->settings->counts_unflushed || MUTANT("hw_ignores_own_flush") ? p->log_end : p->durable_end;
}

int64_t partition_low_watermark(const struct partition *p, int64_t own_start)
{
    ASSERT(own_start <= p->log_start);
    int64_t low = own_start;
    for (size_t i = 0; i < p->replica_count; i++) {
        const struct partition_replica *replica = &p->replicas[i];
        if (i != p->local && (replica->is_eligible || replica->is_electable)) low = min_i64(low, replica->log_start);
    }
    return low;
}

bool partition_needs_flush(const struct partition *p)
{
    return p->role != PARTITION_OFFLINE && (p->durable_end < p->log_end || !p->is_truncation_durable);
}

bool partition_can_fetch(const struct partition *p)
{
    if (p->role != PARTITION_FOLLOWER) return false;
    bool counts = p->settings->counts_unflushed && p->is_truncation_durable;
    return counts || !partition_needs_flush(p) || MUTANT("fetch_before_flush");
}

int64_t partition_cut_offset(const struct partition *p, int64_t leader_epoch_end, int64_t own_epoch_end)
{
    if (MUTANT("truncate_to_watermark")) return p->high_watermark;
    return max_i64(min_i64(own_epoch_end, leader_epoch_end), p->log_start);
}

static int32_t effective_minimum(const struct partition *p) { return isr_effective_minimum(p->min_insync, p->replica_count); }

enum kafka_error partition_check_leader(const struct partition *p, int32_t leader_epoch)
{
    if (p->role == PARTITION_OFFLINE) return KAFKA_KAFKA_STORAGE_ERROR;
    if (leader_epoch != EPOCH_UNSAID && leader_epoch < p->leader_epoch) return KAFKA_FENCED_LEADER_EPOCH;
    if (leader_epoch > p->leader_epoch) return KAFKA_UNKNOWN_LEADER_EPOCH;
    return p->role == PARTITION_LEADER ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

enum kafka_error partition_check_reader(const struct partition *p, int32_t leader_epoch)
{
    enum kafka_error error = partition_check_leader(p, leader_epoch);
    return error == KAFKA_NOT_LEADER_OR_FOLLOWER && p->role == PARTITION_FOLLOWER ? KAFKA_NONE : error;
}

enum kafka_error partition_check_produce(const struct partition *p, int16_t acks)
{
    enum kafka_error error = partition_check_leader(p, -1);
    if (error != KAFKA_NONE) return error;
    if (acks == -1 && isr_count(p->isr) < effective_minimum(p)) return KAFKA_NOT_ENOUGH_REPLICAS;
    return KAFKA_NONE;
}

/* Nobody is, whose broker is not registered: there the epoch is unknown, and one that is not said would be equal to it. */
static bool is_registered_as(const struct partition_replica *replica, int64_t broker_epoch)
{
    return replica->broker_epoch >= 0 && broker_epoch == replica->broker_epoch;
}

enum kafka_error partition_check_follower(const struct partition *p, int32_t replica_id, int64_t broker_epoch, int32_t leader_epoch)
{
    enum kafka_error error = partition_check_leader(p, leader_epoch);
    if (error != KAFKA_NONE) return error;
    int32_t at = partition_find(p, replica_id);
    /* A follower whose epoch is ours may know of an assignment that has not come here yet; one that does not say may be the older. Both
     * ask again. */
    if (at < 0 || (size_t)at == p->local) return leader_epoch == EPOCH_UNSAID ? KAFKA_NOT_LEADER_OR_FOLLOWER : KAFKA_UNKNOWN_LEADER_EPOCH;
    return is_registered_as(&p->replicas[at], broker_epoch) ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

/* ---- the high watermark ---- */

static void collect_ends(const struct partition *p, int64_t ends[static REPLICAS_MAX])
{
    for (size_t i = 0; i < p->replica_count; i++) ends[i] = i == p->local ? partition_held_end(p) : p->replicas[i].end_offset;
}

/* Leader: progress was made or the ISR changed. */
static void advance_watermark(struct partition *p, struct partition_actions *actions)
{
    ASSERT(p->role == PARTITION_LEADER);
    int64_t ends[REPLICAS_MAX];
    collect_ends(p, ends);
    struct isr_watermark_input input = {
        .ends = ends,
        .count = p->replica_count,
        .committed = p->isr,
        .proposed = p->proposal_state == PROPOSAL_NONE || MUTANT("hw_of_committed_isr") ? 0 : p->proposal.isr,
        .min_insync = p->min_insync,
        .high_watermark = p->high_watermark,
    };
    int64_t watermark = isr_high_watermark(&input);
    if (watermark == p->high_watermark) return;
    ASSERT(watermark > p->high_watermark);
    ASSERT(watermark <= partition_held_end(p));
    p->high_watermark = watermark;
    actions->changed |= PARTITION_WATERMARK_MOVED;
    purgatory_complete(&p->produce, watermark, &actions->completed);
}

/* With fewer than min.insync.replicas the watermark stands still: those who wait learn it now rather than by timeout. */
static void fail_waiters_below_minimum(struct partition *p, struct partition_actions *actions)
{
    if (isr_count(p->isr) < effective_minimum(p)) purgatory_fail(&p->produce, KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND, &actions->completed);
}

/* ---- the in-sync set ---- */

static void propose(struct partition *p, isr_set isr, struct partition_actions *actions)
{
    ASSERT(p->proposal_state == PROPOSAL_NONE);
    ASSERT(isr_has(isr, p->local));
    p->proposal = (struct isr_proposal){.leader_epoch = p->leader_epoch, .partition_epoch = p->partition_epoch, .isr = isr};
    p->proposal_state = PROPOSAL_SENT;
    if (isr_contains(p->isr, isr) && MUTANT("isr_shrink_without_cas")) p->isr = isr;
    actions->propose = true;
    actions->proposal = p->proposal;
}

static bool may_join(const struct partition *p, size_t i)
{
    const struct partition_replica *replica = &p->replicas[i];
    if (isr_has(p->isr, i) || i == p->local) return false;
    if (!replica->is_eligible || replica->is_ousted) return false;
    if (replica->fetched_epoch != replica->broker_epoch && !MUTANT("join_of_old_incarnation")) return false;
    /* Once elected it would bring back what DeleteRecords has called deleted. */
    if (replica->log_start < p->log_start) return false;
    /* Both: the watermark may still lie before the epoch's start, and a replica without the earlier epoch's end could then be
     * elected without it. */
    return replica->end_offset >= p->high_watermark && replica->end_offset >= p->epoch_start;
}

static void propose_joins(struct partition *p, int64_t now_us, struct partition_actions *actions)
{
    if (p->proposal_state != PROPOSAL_NONE || now_us < p->propose_after_us) return;
    isr_set isr = p->isr;
    for (size_t i = 0; i < p->replica_count; i++)
        if (may_join(p, i)) isr |= isr_of(i);
    if (isr != p->isr) propose(p, isr, actions);
}

static bool is_lagging(const struct partition *p, size_t i, int64_t now_us)
{
    const struct partition_replica *replica = &p->replicas[i];
    if (i == p->local || replica->end_offset == p->log_end) return false;
    return now_us - replica->caught_up_us > p->settings->lag_max_us;
}

static void propose_leaves(struct partition *p, int64_t now_us, struct partition_actions *actions)
{
    if (p->proposal_state != PROPOSAL_NONE) return;
    isr_set isr = p->isr;
    for (size_t i = 0; i < p->replica_count; i++)
        if (isr_has(isr, i) && is_lagging(p, i, now_us)) isr &= ~isr_of(i);
    if (isr != p->isr) propose(p, isr, actions);
}

/* A committed ISR arrives, by the controller's answer or by metadata. */
static void commit_isr(struct partition *p, isr_set isr, int32_t partition_epoch, struct partition_actions *actions)
{
    ASSERT(partition_epoch >= p->partition_epoch);
    p->proposal_state = PROPOSAL_NONE;
    p->partition_epoch = partition_epoch;
    p->isr = isr;
    actions->changed |= PARTITION_ISR_CHANGED;
}

/* ---- roles ---- */

static void leave_office(struct partition *p, enum kafka_error error, struct partition_actions *actions)
{
    if (MUTANT("fenced_leader_acks")) purgatory_complete(&p->produce, INT64_MAX, &actions->completed);
    purgatory_fail(&p->produce, error, &actions->completed);
    p->proposal_state = PROPOSAL_NONE;
    p->propose_after_us = 0;
    actions->changed |= PARTITION_ROLE_CHANGED;
}

static void forget_progress(struct partition *p, int64_t now_us)
{
    for (size_t i = 0; i < p->replica_count; i++) {
        struct partition_replica *replica = &p->replicas[i];
        replica->is_ousted = false;
        replica->end_offset = ISR_OFFSET_UNKNOWN;
        replica->fetched_epoch = -1;
        replica->caught_up_us = replica->fetched_us = now_us;
        replica->leader_end_then = INT64_MAX;
        replica->log_start = -1;
    }
}

static void become_leader(struct partition *p, int64_t now_us, struct partition_actions *actions)
{
    p->role = PARTITION_LEADER;
    p->epoch_start = p->log_end;
    forget_progress(p, now_us);
    advance_watermark(p, actions);
}

static void become_follower(struct partition *p)
{
    ASSERT(purgatory_is_empty(&p->produce));
    p->role = PARTITION_FOLLOWER;
    p->epoch_start = 0;
}

static void become_idle(struct partition *p)
{
    ASSERT(purgatory_is_empty(&p->produce));
    p->role = PARTITION_IDLE;
    p->epoch_start = 0;
}

/* The next epoch has the same leader when a replica was removed (rule E5 of the controller's partition_edit.h). Had anybody else led in
 * between, it would not be the next. */
static bool stays_in_office(const struct partition *p, const struct partition_assignment *a)
{
    return p->role == PARTITION_LEADER && a->leader_id == p->leader_id && a->leader_epoch == p->leader_epoch + 1;
}

/* The log goes on as it was, so those who wait go on waiting. */
static void renew_office(struct partition *p, int32_t leader_epoch, struct partition_actions *actions)
{
    purgatory_renew(&p->produce, leader_epoch);
    p->propose_after_us = 0;
    actions->changed |= PARTITION_ROLE_CHANGED;
}

static void take_role(struct partition *p, const struct partition_assignment *a, int64_t now_us, struct partition_actions *actions)
{
    ASSERT(p->proposal_state == PROPOSAL_NONE); /* commit_isr() has settled it */
    if (stays_in_office(p, a))
        renew_office(p, a->leader_epoch, actions);
    else
        leave_office(p, KAFKA_NOT_LEADER_OR_FOLLOWER, actions);
    p->leader_id = a->leader_id;
    p->leader_epoch = a->leader_epoch;
    if (a->leader_id < 0)
        become_idle(p);
    else if (a->leader_id == p->settings->local_id)
        become_leader(p, now_us, actions);
    else
        become_follower(p);
}

static bool is_listed(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id) return true;
    return false;
}

/* Neither we nor a fence took it out: the broker has said that it lost the replica (KIP-112). What is remembered of its progress would let
 * it join again at once. A fence may need several batches, and be seen only after its partitions: then the unfencing clears this. */
static bool is_ousted(const struct partition *p, size_t i, const struct partition_member *member, const struct partition_assignment *a)
{
    const struct partition_replica *before = &p->replicas[i];
    bool is_back = member->is_eligible && !before->is_eligible;
    if (before->is_ousted) return !is_back;
    if (!before->is_eligible || !member->is_eligible || !isr_has(p->isr, i)) return false;
    bool is_ours = p->proposal_state != PROPOSAL_NONE && !isr_has(p->proposal.isr, i);
    return !is_ours && !is_listed(a->isr, a->isr_count, member->id);
}

/* The new replica list; progress of those that stay is kept. */
static void take_replicas(struct partition *p, const struct partition_assignment *a, int64_t now_us)
{
    ASSERT(a->member_count > 0 && a->member_count <= REPLICAS_MAX);
    struct partition_replica *replicas = mem_calloc(a->member_count, sizeof *replicas);
    p->local = SIZE_MAX;
    for (size_t i = 0; i < a->member_count; i++) {
        const struct partition_member *member = &a->members[i];
        int32_t old = partition_find(p, member->id);
        if (old >= 0)
            replicas[i] = p->replicas[old];
        else
            replicas[i] = (struct partition_replica){.id = member->id,
                                                     .end_offset = ISR_OFFSET_UNKNOWN,
                                                     .fetched_epoch = -1,
                                                     .caught_up_us = now_us,
                                                     .leader_end_then = INT64_MAX,
                                                     .log_start = -1};
        replicas[i].is_ousted = old >= 0 && is_ousted(p, (size_t)old, member, a);
        replicas[i].is_eligible = member->is_eligible;
        replicas[i].is_electable = member->is_electable;
        replicas[i].broker_epoch = member->broker_epoch;
        if (member->id == p->settings->local_id) p->local = i;
    }
    ASSERT(p->local != SIZE_MAX);
    mem_free(p->replicas);
    p->replicas = replicas;
    p->replica_count = a->member_count;
}

static isr_set isr_of_ids(const struct partition *p, const int32_t *ids, size_t count)
{
    isr_set isr = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t at = partition_find(p, ids[i]);
        ASSERT(at >= 0);
        isr |= isr_of((size_t)at);
    }
    return isr;
}

/* ---- events ---- */

static void on_assigned(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    const struct partition_assignment *a = &event->assigned;
    /* Older than what we know. */
    if (a->leader_epoch < p->leader_epoch || a->partition_epoch < p->partition_epoch) return;
    bool is_newer = a->partition_epoch > p->partition_epoch;
    bool is_new_role = a->leader_epoch > p->leader_epoch || a->leader_id != p->leader_id;
    ASSERT_IMPLIES(is_new_role, is_newer);
    ASSERT_IMPLIES(!is_newer, a->member_count == p->replica_count);
    take_replicas(p, a, event->now_us);
    if (is_newer) commit_isr(p, isr_of_ids(p, a->isr, a->isr_count), a->partition_epoch, actions);
    if (is_new_role) take_role(p, a, event->now_us, actions);
    if (p->role != PARTITION_LEADER) return;
    advance_watermark(p, actions);
    fail_waiters_below_minimum(p, actions);
    propose_joins(p, event->now_us, actions);
}

static void on_configured(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    ASSERT(event->configured.min_insync > 0);
    p->min_insync = event->configured.min_insync;
    if (p->role != PARTITION_LEADER) return;
    advance_watermark(p, actions);
    fail_waiters_below_minimum(p, actions);
}

/* Followers say nothing of partitions that stand still: those that hold everything are caught up until this append. */
static void note_end_of_idleness(struct partition *p, int64_t now_us)
{
    for (size_t i = 0; i < p->replica_count; i++)
        if (p->replicas[i].end_offset == p->log_end) p->replicas[i].caught_up_us = now_us;
}

static void on_appended(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    ASSERT(p->role == PARTITION_LEADER || p->role == PARTITION_FOLLOWER);
    ASSERT(event->log.offset >= p->log_end);
    note_end_of_idleness(p, event->now_us);
    p->log_end = event->log.offset;
    actions->changed |= PARTITION_END_MOVED;
    if (p->role == PARTITION_LEADER && p->settings->counts_unflushed) advance_watermark(p, actions);
}

static void on_flushed(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    /* The log was cut since: what the flush wrote is not what lies there now. */
    if (event->log.truncations != p->truncations && !MUTANT("stale_flush_counts")) return;
    p->is_truncation_durable = true;
    p->durable_end = max_i64(p->durable_end, min_i64(event->log.offset, p->log_end));
    if (p->role == PARTITION_LEADER) advance_watermark(p, actions);
}

static void on_truncated(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    ASSERT(p->role != PARTITION_LEADER);
    ASSERT(event->log.offset >= p->log_start && event->log.offset <= p->log_end);
    p->log_end = event->log.offset;
    p->durable_end = min_i64(p->durable_end, p->log_end);
    p->truncations++;
    p->is_truncation_durable = false;
    p->high_watermark = min_i64(p->high_watermark, p->log_end);
    actions->changed |= PARTITION_END_MOVED;
}

static void on_trimmed(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    ASSERT(event->log.offset >= p->log_start && event->log.offset <= p->log_end);
    ASSERT_IMPLIES(p->role == PARTITION_LEADER, event->log.offset <= p->high_watermark);
    /* Where all has gone the end is the start: a replica must not claim by it what no flush has covered. */
    ASSERT(event->log.offset <= partition_held_end(p));
    p->log_start = event->log.offset;
    p->high_watermark = max_i64(p->high_watermark, p->log_start);
    p->durable_end = max_i64(p->durable_end, p->log_start);
    actions->changed |= PARTITION_START_MOVED;
}

static void on_reset(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    ASSERT(p->role != PARTITION_LEADER);
    p->log_start = p->log_end = p->durable_end = p->high_watermark = event->log.offset;
    p->truncations++;
    p->is_truncation_durable = false;
    actions->changed |= PARTITION_END_MOVED | PARTITION_START_MOVED;
}

/* When did the follower last hold all that we held? Now, or at its previous fetch if it has by now all that we held then. */
static void note_progress(struct partition *p, struct partition_replica *replica, const struct partition_event *event)
{
    int64_t offset = event->fetched_by.offset;
    if (offset >= p->log_end)
        replica->caught_up_us = event->now_us;
    else if (offset >= replica->leader_end_then)
        replica->caught_up_us = max_i64(replica->caught_up_us, replica->fetched_us);
    replica->is_ousted = false;
    replica->end_offset = offset;
    replica->fetched_epoch = event->fetched_by.broker_epoch;
    replica->fetched_us = event->now_us;
    replica->leader_end_then = p->log_end;
    replica->log_start = event->fetched_by.log_start;
}

static void on_fetched_by(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    if (p->role != PARTITION_LEADER || !event->fetched_by.is_matching) return;
    int32_t at = partition_find(p, event->fetched_by.replica_id);
    if (at < 0 || (size_t)at == p->local || event->fetched_by.offset > p->log_end) return;
    struct partition_replica *replica = &p->replicas[at];
    if (!is_registered_as(replica, event->fetched_by.broker_epoch) && !MUTANT("join_of_old_incarnation")) return;
    note_progress(p, replica, event);
    if (isr_has(partition_maximal_isr(p), (size_t)at)) advance_watermark(p, actions);
    if (!isr_has(p->isr, (size_t)at)) propose_joins(p, event->now_us, actions);
}

static void on_fetched(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    if (p->role != PARTITION_FOLLOWER) return;
    int64_t watermark = min_i64(event->fetched.leader_high_watermark, p->log_end);
    if (watermark <= p->high_watermark) return;
    p->high_watermark = watermark;
    actions->changed |= PARTITION_WATERMARK_MOVED;
}

static void on_waiting(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    struct produce_waiter *waiter = event->waiting;
    ASSERT(p->role == PARTITION_LEADER);
    ASSERT(waiter->leader_epoch == p->leader_epoch);
    ASSERT(waiter->required_offset <= p->log_end);
    purgatory_add(&p->produce, waiter);
    purgatory_complete(&p->produce, p->high_watermark, &actions->completed);
    fail_waiters_below_minimum(p, actions);
}

static bool is_same_proposal(const struct isr_proposal *a, const struct isr_proposal *b)
{
    return a->leader_epoch == b->leader_epoch && a->partition_epoch == b->partition_epoch && a->isr == b->isr;
}

static void on_isr_answered(struct partition *p, const struct partition_event *event)
{
    /* Metadata has overtaken the answer: it tells more. */
    if (p->proposal_state != PROPOSAL_SENT || !is_same_proposal(&p->proposal, &event->isr_answered.proposal)) return;
    /* Committed, refused (INELIGIBLE_REPLICA: the controller has moved the partition epoch on), or stale (INVALID_UPDATE_VERSION,
     * FENCED_LEADER_EPOCH, NEW_LEADER_ELECTED, UNKNOWN_TOPIC_ID ...): metadata is on its way, and only that says which ISR holds. An
     * earlier copy of the proposal may have won. And only there is the new ISR in order with changes of min.insync.replicas: an answer
     * that overtook a raised minimum would let this leader acknowledge alone what a member of the ELR lacks. */
    p->proposal_state = PROPOSAL_IN_DOUBT;
    if (event->isr_answered.error == KAFKA_INELIGIBLE_REPLICA) p->propose_after_us = saturating_add_i64(event->now_us, PROPOSE_AGAIN_US);
}

static void on_tick(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    if (p->role != PARTITION_LEADER) return;
    propose_leaves(p, event->now_us, actions);
    propose_joins(p, event->now_us, actions);
}

static void on_removed(struct partition *p, struct partition_actions *actions)
{
    leave_office(p, KAFKA_NOT_LEADER_OR_FOLLOWER, actions);
    p->leader_id = -1;
    become_idle(p);
}

static void on_failed(struct partition *p, struct partition_actions *actions)
{
    leave_office(p, KAFKA_KAFKA_STORAGE_ERROR, actions);
    p->role = PARTITION_OFFLINE;
}

/* ---- life ---- */

void partition_init(struct partition *p, const struct partition_settings *settings, struct uuid topic_id, int32_t index, int64_t log_start,
                    int64_t log_end, int64_t durable_end, int64_t high_watermark)
{
    *p = (struct partition){
        .settings = settings,
        .topic_id = topic_id,
        .index = index,
        .leader_id = -1,
        .leader_epoch = -1,
        .partition_epoch = -1,
        .min_insync = 1,
        .log_start = log_start,
        .log_end = log_end,
        .durable_end = max_i64(durable_end, log_start), /* after a crash the recovery point may lie below the start */
        .is_truncation_durable = true,
        .high_watermark = min_i64(max_i64(high_watermark, log_start), log_end),
    };
    purgatory_init(&p->produce);
    partition_invariants(p);
}

void partition_deinit(struct partition *p)
{
    purgatory_deinit(&p->produce);
    mem_free(p->replicas);
}

static void dispatch(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    switch (event->type) {
    case PARTITION_ASSIGNED: on_assigned(p, event, actions); break;
    case PARTITION_CONFIGURED: on_configured(p, event, actions); break;
    case PARTITION_APPENDED: on_appended(p, event, actions); break;
    case PARTITION_FLUSHED: on_flushed(p, event, actions); break;
    case PARTITION_TRUNCATED: on_truncated(p, event, actions); break;
    case PARTITION_TRIMMED: on_trimmed(p, event, actions); break;
    case PARTITION_RESET: on_reset(p, event, actions); break;
    case PARTITION_FETCHED_BY: on_fetched_by(p, event, actions); break;
    case PARTITION_FETCHED: on_fetched(p, event, actions); break;
    case PARTITION_WAITING: on_waiting(p, event, actions); break;
    case PARTITION_ISR_ANSWERED: on_isr_answered(p, event); break;
    case PARTITION_TICK: on_tick(p, event, actions); break;
    case PARTITION_REMOVED: on_removed(p, actions); break;
    case PARTITION_FAILED: on_failed(p, actions); break;
    }
}

void partition_step(struct partition *p, const struct partition_event *event, struct partition_actions *actions)
{
    *actions = (struct partition_actions){0};
    list_init(&actions->completed);
    if (p->role == PARTITION_OFFLINE) return;
    int32_t leader_epoch = p->leader_epoch, partition_epoch = p->partition_epoch;
    dispatch(p, event, actions);
    ASSERT(p->leader_epoch >= leader_epoch); /* P5 */
    ASSERT(p->partition_epoch >= partition_epoch);
    partition_invariants(p);
}

static void check_waiters(const struct partition *p)
{
    ASSERT_IMPLIES(p->role != PARTITION_LEADER, purgatory_is_empty(&p->produce));
    if (purgatory_is_empty(&p->produce)) return;
    const struct produce_waiter *first = CONTAINER_OF(list_first(&p->produce.waiters), struct produce_waiter, node);
    ASSERT(first->required_offset > p->high_watermark);
    ASSERT(first->leader_epoch == p->leader_epoch);
}

void partition_invariants(const struct partition *p)
{
    ASSERT(p->log_start <= p->high_watermark && p->high_watermark <= p->log_end); /* P1 */
    ASSERT(p->log_start <= p->durable_end && p->durable_end <= p->log_end);
    check_waiters(p); /* P3 */
    if (p->role == PARTITION_IDLE || p->role == PARTITION_OFFLINE) return;
    ASSERT(isr_contains(isr_all(p->replica_count), partition_maximal_isr(p))); /* P4 */
    ASSERT_IMPLIES(p->proposal_state != PROPOSAL_NONE, p->role == PARTITION_LEADER);
    ASSERT_IMPLIES(p->role == PARTITION_LEADER, isr_has(p->isr, p->local));
    ASSERT_IMPLIES(p->role == PARTITION_LEADER, p->leader_id == p->settings->local_id);
}
