/* Where the logs of a node begin: retention by age and size, and starts that are moved up by hand. */
#include "broker/node/replica_internal.h"
#include "common/checked.h"

/* What has gone from the front of the log, the state machine learns here. */
static void tell_start(struct replica *replica)
{
    if (plog_is_failed(replica->log))
        replica_on_log_error(replica, "deleting old segments", ERR_IO);
    else if (plog_start(replica->log) > replica->partition.log_start)
        replica_feed_log(replica, PARTITION_TRIMMED, plog_start(replica->log));
}

static void retain(struct replica *replica)
{
    const struct topic_settings *settings = &replica->settings;
    int64_t retention_ms = settings->is_deleted_by_age ? settings->retention_ms : -1;
    int64_t retention_bytes = settings->is_deleted_by_age ? settings->retention_bytes : -1;
    if (replica->manager->is_closing || replica->partition.role == PARTITION_OFFLINE || plog_is_busy(replica->log)) return;
    /* What goes must be durable, too: without records the log claims by its start alone what it holds. */
    int64_t limit = min_i64(replica->partition.high_watermark, partition_held_end(&replica->partition));
    (void)plog_delete_old_segments(replica->log, retention_ms, retention_bytes, env_wall_ms(replica->manager->env), limit);
    tell_start(replica);
}

static void expire_producers(struct replica *replica, int64_t wall_ms, int64_t now_us)
{
    int64_t silence_us = replica->settings.log.producer_id_expiration_ms * 1000;
    producer_gaps_expire(&replica->gaps, saturating_add_i64(now_us, -silence_us));
    if (replica->partition.role != PARTITION_OFFLINE && !plog_is_busy(replica->log)) plog_expire_producers(replica->log, wall_ms);
}

void replica_on_retention(struct env_timer *timer, int64_t now_us)
{
    struct replica_manager *m = CONTAINER_OF(timer, struct replica_manager, retention);
    int64_t wall_ms = env_wall_ms(m->env);
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        expire_producers(replica, wall_ms, now_us);
        retain(replica);
        if (m->options.counts_unflushed && partition_needs_flush(&replica->partition)) replica_want_flush(replica);
    }
    env_timer_set(m->env, timer, saturating_add_i64(now_us, m->options.retention_check_ms * 1000));
}

void replica_retain_soon(struct replica *replica)
{
    if (!list_is_linked(&replica->to_retain)) list_push_back(&replica->manager->to_retain, &replica->to_retain);
    replica_manager_schedule(replica->manager);
}

void replica_retain_queued(struct replica_manager *m)
{
    struct list_node *node = NULL;
    while ((node = list_pop_front(&m->to_retain)) != NULL) retain(CONTAINER_OF(node, struct replica, to_retain));
}

enum kafka_error replica_manager_advance_start(struct replica_manager *m, struct uuid topic_id, int32_t partition, int64_t offset)
{
    struct replica *replica = replica_find(m, topic_id, partition);
    if (!replica) return replica_absent_error(m, topic_id, partition);
    enum kafka_error error = partition_check_leader(&replica->partition, -1);
    if (error == KAFKA_NONE && (offset < 0 || offset > replica->partition.high_watermark)) error = KAFKA_OFFSET_OUT_OF_RANGE;
    if (error == KAFKA_NONE && plog_is_busy(replica->log)) error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (error == KAFKA_NONE && plog_advance_start(replica->log, offset)) tell_start(replica);
    return error;
}
