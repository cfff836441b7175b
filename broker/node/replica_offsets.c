/* ListOffsets and OffsetForLeaderEpoch. See replica_manager.h. */
#include "broker/node/replica_internal.h"
#include "common/assert.h"
#include "common/mem.h"

static void finish(struct replica_list_offset *request, enum kafka_error error)
{
    struct replica_manager *m = request->manager;
    request->error = error;
    if (error != KAFKA_NONE) {
        request->offset = request->found_timestamp = -1;
        request->leader_epoch = -1;
    }
    if (list_is_linked(&request->node)) list_remove(&request->node);
    list_push_back(&m->listed, &request->node);
    replica_manager_schedule(m);
}

static void found(struct replica_list_offset *request, const struct replica *replica, int64_t offset)
{
    request->offset = offset;
    /* The epoch of that offset, not the current one; at the end, of what will be appended there. */
    int32_t epoch = offset < replica->partition.log_end ? plog_epoch_at(replica->log, offset) : replica->partition.leader_epoch;
    request->leader_epoch = epoch;
    finish(request, KAFKA_NONE);
}

static void search(struct replica_list_offset *request);

/* The caller may give the request up while the disk works: what the env writes into is not the request. */
struct offset_cold_read {
    struct plog_disk_read disk_read;
    struct replica_list_offset *request;
};

static void on_cold_read(struct plog_disk_read *disk_read, enum err err, int64_t now_us)
{
    (void)now_us;
    struct offset_cold_read *cold = CONTAINER_OF(disk_read, struct offset_cold_read, disk_read);
    struct replica_list_offset *request = cold->request;
    mem_free(cold);
    if (!request) return;
    request->cold = NULL;
    list_remove(&request->node);
    if (err != ERR_OK)
        finish(request, KAFKA_KAFKA_STORAGE_ERROR);
    else
        search(request);
}

static void wait_for_disk(struct replica_list_offset *request, struct plog_want *want)
{
    struct replica_manager *m = request->manager;
    struct offset_cold_read *cold = mem_alloc(sizeof *cold);
    cold->disk_read.done = on_cold_read;
    cold->request = request;
    request->cold = cold;
    list_push_back(&m->listing, &request->node);
    plog_fetch_from_disk(m->env, &cold->disk_read, want);
}

/* Clients see what the high watermark has passed. */
static int64_t search_limit(const struct replica_list_offset *request, const struct replica *replica)
{
    return request->is_replica ? replica->partition.log_end : replica_visible_end(replica, request->is_read_committed);
}

static void search_time(struct replica_list_offset *request, struct replica *replica)
{
    struct plog_found_offset result = {.offset = -1};
    int64_t limit = search_limit(request, replica);
    enum err err = request->timestamp == LIST_OFFSETS_MAX_TIMESTAMP ? plog_find_max_timestamp(replica->log, &result)
                                                                    : plog_find_timestamp(replica->log, request->timestamp, limit, &result);
    if (err == ERR_AGAIN) {
        wait_for_disk(request, &result.want);
        return;
    }
    if (err != ERR_OK) {
        replica_on_log_error(replica, "a search by time", err);
        finish(request, KAFKA_KAFKA_STORAGE_ERROR);
        return;
    }
    bool is_hidden = result.offset < 0 || result.offset >= limit;
    request->offset = is_hidden ? -1 : result.offset;
    request->found_timestamp = is_hidden ? -1 : result.timestamp_ms;
    request->leader_epoch = is_hidden ? -1 : result.leader_epoch;
    finish(request, KAFKA_NONE);
}

static enum kafka_error check(const struct replica_list_offset *request, const struct replica *replica)
{
    enum kafka_error error = request->may_read_followers ? partition_check_reader(&replica->partition, request->current_leader_epoch)
                                                         : partition_check_leader(&replica->partition, request->current_leader_epoch);
    if (error != KAFKA_NONE) return error;
    /* Q-HW: a new leader does not yet know how far clients have seen; a smaller end would look like a loss to them. */
    bool needs_end =
        request->timestamp == LIST_OFFSETS_LATEST || request->timestamp >= 0 || request->timestamp == LIST_OFFSETS_MAX_TIMESTAMP;
    if (needs_end && !request->is_replica && !partition_is_end_known(&replica->partition)) return KAFKA_OFFSET_NOT_AVAILABLE;
    return KAFKA_NONE;
}

static void search(struct replica_list_offset *request)
{
    struct replica *replica = replica_find(request->manager, request->topic_id, request->partition);
    enum kafka_error error =
        replica ? check(request, replica) : replica_absent_error(request->manager, request->topic_id, request->partition);
    if (error != KAFKA_NONE) {
        finish(request, error);
        return;
    }
    ASSERT(replica != NULL);
    switch (request->timestamp) {
    case LIST_OFFSETS_LATEST: found(request, replica, search_limit(request, replica)); return;
    case LIST_OFFSETS_EARLIEST:
    case LIST_OFFSETS_EARLIEST_LOCAL: found(request, replica, replica->partition.log_start); return;
    case LIST_OFFSETS_LATEST_TIERED:
    case LIST_OFFSETS_EARLIEST_PENDING_UPLOAD: finish(request, KAFKA_NONE); return; /* nothing is tiered: -1 */
    default: search_time(request, replica);
    }
}

void replica_manager_list_offset(struct replica_manager *m, struct replica_list_offset *request)
{
    request->manager = m;
    request->offset = request->found_timestamp = -1;
    request->leader_epoch = -1;
    request->cold = NULL;
    list_node_init(&request->node);
    search(request);
}

void replica_manager_abandon_list_offset(struct replica_list_offset *request)
{
    if (request->cold) request->cold->request = NULL;
    request->cold = NULL;
    if (list_is_linked(&request->node)) list_remove(&request->node);
}

struct replica_epoch_end replica_manager_epoch_end(struct replica_manager *m, struct uuid topic_id, int32_t partition,
                                                   int32_t current_leader_epoch, int32_t leader_epoch)
{
    struct replica_epoch_end end = {.leader_epoch = -1, .end_offset = -1};
    const struct replica *replica = replica_find(m, topic_id, partition);
    end.error = replica ? partition_check_leader(&replica->partition, current_leader_epoch) : replica_absent_error(m, topic_id, partition);
    if (end.error != KAFKA_NONE) return end;
    ASSERT(replica != NULL);
    if (leader_epoch < 0 || leader_epoch > replica->partition.leader_epoch) return end;
    if (leader_epoch == replica->partition.leader_epoch) {
        end.leader_epoch = leader_epoch;
        end.end_offset = replica->partition.log_end;
        return end;
    }
    plog_epoch_end(replica->log, leader_epoch, &end.leader_epoch, &end.end_offset);
    return end;
}
