/* What operators ask of replicas: deletions of records, producers, log directories. See replica_manager.h.
 *
 *   delete_records --> the start moves --> checkpoint written --> followers learn it by fetch, write theirs, and say so --> done()
 */
#include "broker/node/replica_fetcher.h"
#include "common/assert.h"
#include "common/checked.h"

/* ---- DeleteRecords --------------------------------------------------------------------------------------------------- */

static void finish(struct replica_delete_records *request, enum kafka_error error)
{
    struct replica_manager *m = request->manager;
    request->error = error;
    if (error != KAFKA_NONE && error != KAFKA_REQUEST_TIMED_OUT) request->low_watermark = -1;
    env_timer_clear(m->env, &request->timer);
    if (list_is_linked(&request->node)) list_remove(&request->node);
    request->replica = NULL;
    list_push_back(&m->deleted, &request->node);
    replica_manager_schedule(m);
}

static void check_one(struct replica_delete_records *request)
{
    const struct replica *replica = request->replica;
    enum kafka_error error = partition_check_leader(&replica->partition, -1);
    if (error != KAFKA_NONE) {
        finish(request, error);
        return;
    }
    request->low_watermark = partition_low_watermark(&replica->partition, replica->durable_start);
    if (request->low_watermark >= request->offset)
        finish(request, KAFKA_NONE);
    else if (request->is_late && replica->durable_start >= request->offset)
        finish(request, KAFKA_REQUEST_TIMED_OUT);
}

void replica_check_deletions(struct replica *replica)
{
    LIST_FOR_EACH (&replica->deletions, node) check_one(CONTAINER_OF(node, struct replica_delete_records, node));
}

void replica_drop_deletions(struct replica *replica)
{
    struct list_node *node = NULL;
    while ((node = list_pop_front(&replica->deletions)) != NULL)
        env_timer_clear(replica->manager->env, &CONTAINER_OF(node, struct replica_delete_records, node)->timer);
}

void replica_on_starts_durable(struct log_dir *dir)
{
    LIST_FOR_EACH (&dir->manager->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (replica->dir != dir || replica->writing_start <= replica->durable_start) continue;
        replica->durable_start = replica->writing_start;
        replica_fetcher_on_start_durable(replica);
        replica_check_deletions(replica);
    }
}

static void on_timeout(struct env_timer *timer, int64_t now_us)
{
    struct replica_delete_records *request = CONTAINER_OF(timer, struct replica_delete_records, timer);
    const struct replica_manager *m = request->manager;
    if (request->is_late || request->replica->durable_start >= request->offset) {
        finish(request, KAFKA_REQUEST_TIMED_OUT);
        return;
    }
    /* A client that does not wait for other replicas still learns what became of ours. */
    request->is_late = true;
    env_timer_set(m->env, timer, saturating_add_i64(now_us, m->options.flush_stall_ms * 1000));
}

static enum kafka_error check(const struct replica_delete_records *request, const struct replica *replica)
{
    const struct partition *p = &replica->partition;
    enum kafka_error error = partition_check_leader(p, -1);
    if (error != KAFKA_NONE) return error;
    if (replica->settings.log.is_compacted && !replica->settings.is_deleted_by_age) return KAFKA_POLICY_VIOLATION;
    bool is_in_range = request->offset == DELETE_RECORDS_TO_WATERMARK || (request->offset >= 0 && request->offset <= p->high_watermark);
    return is_in_range ? KAFKA_NONE : KAFKA_OFFSET_OUT_OF_RANGE;
}

void replica_manager_delete_records(struct replica_manager *m, struct replica_delete_records *request)
{
    struct replica *replica = replica_find(m, request->topic_id, request->partition);
    request->manager = m;
    request->replica = replica;
    request->low_watermark = -1;
    request->is_late = false;
    list_node_init(&request->node);
    env_timer_init(&request->timer, on_timeout);
    if (!replica) {
        finish(request, replica_absent_error(m, request->topic_id, request->partition));
        return;
    }
    enum kafka_error error = check(request, replica);
    if (error != KAFKA_NONE) {
        finish(request, error);
        return;
    }
    if (request->offset == DELETE_RECORDS_TO_WATERMARK) request->offset = replica->partition.high_watermark;
    if (plog_advance_start(replica->log, request->offset)) replica_feed_log(replica, PARTITION_TRIMMED, plog_start(replica->log));
    ASSERT(replica->partition.log_start >= request->offset);
    if (replica->durable_start < request->offset) replica_want_durable_start(replica);
    list_push_back(&replica->deletions, &request->node);
    env_timer_set(m->env, &request->timer, saturating_add_i64(env_now_us(m->env), max_i64(request->timeout_ms, 0) * 1000));
    check_one(request);
}

/* ---- producers ------------------------------------------------------------------------------------------------------- */

enum kafka_error replica_manager_check_replica(const struct replica_manager *m, struct uuid topic_id, int32_t partition)
{
    const struct replica *replica = replica_find(m, topic_id, partition);
    return replica ? partition_check_reader(&replica->partition, -1) : replica_absent_error(m, topic_id, partition);
}

const struct producer *replica_manager_next_producer(const struct replica_manager *m, struct uuid topic_id, int32_t partition, uint32_t *at)
{
    const struct replica *replica = replica_find(m, topic_id, partition);
    return replica && partition_check_reader(&replica->partition, EPOCH_UNSAID) == KAFKA_NONE ? plog_next_producer(replica->log, at) : NULL;
}

/* ---- directories ----------------------------------------------------------------------------------------------------- */

size_t replica_manager_dir_infos(const struct replica_manager *m, struct replica_dir_info infos[static LOG_DIRS_MAX])
{
    for (size_t i = 0; i < m->dir_count; i++) {
        const struct log_dir *dir = m->dirs[i];
        infos[i] = (struct replica_dir_info){.path = dir->path, .id = dir->meta.directory_id, .is_online = dir->is_online};
        if (!dir->is_online || env_space(m->env, dir->path, &infos[i].usable_bytes, &infos[i].total_bytes) != ERR_OK)
            infos[i].usable_bytes = infos[i].total_bytes = -1;
    }
    return m->dir_count;
}
