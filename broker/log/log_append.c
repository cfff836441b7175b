/* Appending: batches of one call are gathered into groups, each group is one write at the end of the active segment.
 *
 * The producer state runs ahead of the write, because a batch may continue one of the same group; when the write fails the log
 * is cut back to its last good batch and the producers of the group are taken back. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#define GROUP_BATCHES_MAX 32

struct group {
    struct slice slices[GROUP_BATCHES_MAX];
    struct record_batch heads[GROUP_BATCHES_MAX];
    struct buf *bufs[GROUP_BATCHES_MAX];           /* for the tail; NULL: a follower's */
    struct plog_batch *batches[GROUP_BATCHES_MAX]; /* a leader's; NULL: a follower's */
    struct producer_undo undos[GROUP_BATCHES_MAX];
    uint32_t count, undo_count;
    int64_t bytes;
    int64_t next_offset;
};

static void group_begin(struct plog *log, struct group *group)
{
    group->count = group->undo_count = 0;
    group->bytes = 0;
    group->next_offset = plog_end(log);
}

static void group_add(struct plog *log, struct group *group, const struct record_batch *head, struct buf *buf, struct plog_batch *batch,
                      int64_t now_ms)
{
    struct producer_event event;
    ASSERT(group->count < GROUP_BATCHES_MAX && head->base_offset >= group->next_offset);
    if (plog_producer_event(head, &event)) {
        producer_state_prepare_undo(&log->producers, event.producer_id, &group->undos[group->undo_count++]);
        producer_state_append(&log->producers, &event, now_ms);
    }
    group->slices[group->count] = head->bytes;
    group->heads[group->count] = *head;
    group->bufs[group->count] = buf;
    group->batches[group->count] = batch;
    group->count++;
    group->bytes += (int64_t)record_batch_size(head);
    group->next_offset = record_batch_next_offset(head);
}

/* ---- writing a group ----------------------------------------------------------------------------------------------- */

static void count_in(struct plog *log, struct segment *active, const struct record_batch *head, struct buf *buf)
{
    int64_t position = active->size;
    segment_add(active, head, record_batch_size(head), log->config.index_interval_bytes);
    if (epoch_cache_assign(&log->epochs, head->partition_leader_epoch, head->base_offset)) plog_epochs_changed(log, head->base_offset);
    if (buf)
        tail_push(&log->tail, buf, (size_t)(head->bytes.p - buf->data), record_batch_size(head), head->base_offset,
                  record_batch_next_offset(head), active->base_offset, position);
}

/* Where a full disk left us: a part of the group may be in the file behind the last good batch. */
static enum err cut_back(struct plog *log, struct group *group)
{
    struct segment *active = plog_active(log);
    env_mark(log->shared->env, "log: a write found the disk full");
    while (group->undo_count > 0) producer_state_undo(&log->producers, &group->undos[--group->undo_count]);
    enum err err = active->file ? env_truncate(log->shared->env, active->file, active->size) : ERR_OK;
    active->allocated = 0;
    if (err) plog_fail(log, err);
    return err ? ERR_IO : ERR_NO_SPACE;
}

static enum err group_write(struct plog *log, struct group *group)
{
    if (group->count == 0) return ERR_OK;
    struct env_file *file = NULL;
    enum err err = plog_open_active(log, &file);
    struct segment *active = plog_active(log);
    if (!err) err = segment_reserve(active, group->bytes, log->config.segment_bytes);
    if (!err) err = env_pwritev(log->shared->env, file, group->slices, group->count, active->size);
    if (err == ERR_NO_SPACE) return cut_back(log, group);
    if (err) return plog_check(log, err);
    for (uint32_t i = 0; i < group->count; i++) {
        count_in(log, active, &group->heads[i], group->bufs[i]);
        if (group->batches[i]) group->batches[i]->verdict = PLOG_APPENDED;
    }
    active->appended_us = env_now_us(log->shared->env);
    segment_mark_dirty(active, true);
    group_begin(log, group);
    return ERR_OK;
}

/* ---- rolling ------------------------------------------------------------------------------------------------------- */

static bool is_index_full(const struct plog *log, const struct segment *active)
{
    int64_t room = log->config.segment_index_bytes / OFFSET_INDEX_ENTRY_BYTES;
    return (int64_t)active->index.offset_count + GROUP_BATCHES_MAX >= max_i64(room, 2LL * GROUP_BATCHES_MAX);
}

/* Must the batch that would follow the group go to a new segment? The rule for time is Kafka's: between the first batch of the
 * segment and this one, by their timestamps. */
static bool must_roll(const struct plog *log, const struct group *group, const struct record_batch *batch, int64_t base_offset)
{
    const struct segment *active = plog_active(log);
    int64_t filled = active->size + group->bytes;
    if (filled == 0) return false;
    if (filled + (int64_t)record_batch_size(batch) > min_i64(log->config.segment_bytes, SEGMENT_POSITION_MAX)) return true;
    if (base_offset + batch->last_offset_delta - active->base_offset > SEGMENT_POSITION_MAX) return true;
    int64_t first_ms = active->size ? active->first_timestamp_ms : group->heads[0].max_timestamp;
    if (first_ms >= 0 && batch->max_timestamp >= 0 && batch->max_timestamp - first_ms > plog_segment_ms(log, active)) return true;
    return is_index_full(log, active);
}

/* Room for one more batch in the group, and in the segment that it goes to. */
static enum err make_room(struct plog *log, struct group *group, const struct record_batch *batch, int64_t base_offset)
{
    bool rolls = must_roll(log, group, batch, base_offset);
    if (!rolls && group->count < GROUP_BATCHES_MAX) return ERR_OK;
    enum err err = group_write(log, group);
    return err || !rolls ? err : plog_roll(log);
}

/* ---- the leader ---------------------------------------------------------------------------------------------------- */

static enum plog_verdict check_producer(const struct plog *log, struct plog_batch *batch, const struct record_batch *head)
{
    struct producer_event event;
    const struct producer_batch *original = NULL;
    if (!plog_producer_event(head, &event)) return PLOG_APPENDED;
    switch (producer_state_check(&log->producers, &event, &original)) {
    case PRODUCER_OK: return PLOG_APPENDED;
    case PRODUCER_OUT_OF_ORDER: return PLOG_OUT_OF_ORDER;
    case PRODUCER_OLD_EPOCH: return PLOG_OLD_PRODUCER_EPOCH;
    case PRODUCER_BAD_TXN_STATE: return PLOG_BAD_TXN_STATE;
    case PRODUCER_DUPLICATE: break;
    }
    batch->base_offset = original->last_offset - original->offset_delta;
    if (log->config.is_log_append_time) batch->append_time_ms = original->timestamp_ms;
    return PLOG_DUPLICATE;
}

static void stamp(struct plog *log, struct plog_batch *batch, int64_t base_offset, int32_t leader_epoch, int64_t now_ms)
{
    uint8_t *bytes = batch->buf->data + batch->at;
    record_batch_stamp(bytes, base_offset, leader_epoch);
    batch->base_offset = base_offset;
    if (!log->config.is_log_append_time) return;
    record_batch_set_log_append_time(bytes, batch->size, now_ms);
    batch->append_time_ms = now_ms;
}

static void parse_whole(const struct plog_batch *batch, struct record_batch *head)
{
    enum err err = record_batch_parse(slice_make(batch->buf->data + batch->at, batch->size), head);
    ASSERT(err == ERR_OK && record_batch_size(head) == batch->size);
    ASSERT(head->last_offset_delta >= 0);
}

static enum err lead_one(struct plog *log, struct group *group, struct plog_batch *batch, int32_t leader_epoch, int64_t now_ms)
{
    struct record_batch head;
    parse_whole(batch, &head);
    if ((int64_t)batch->size > log->config.segment_bytes) {
        batch->verdict = PLOG_TOO_LARGE;
        return ERR_OK;
    }
    batch->verdict = check_producer(log, batch, &head);
    if (batch->verdict != PLOG_APPENDED) return ERR_OK;
    batch->verdict = PLOG_FAILED; /* until it is written */
    enum err err = make_room(log, group, &head, group->next_offset);
    if (err) return err;
    stamp(log, batch, group->next_offset, leader_epoch, now_ms);
    parse_whole(batch, &head);
    group_add(log, group, &head, batch->buf, batch, now_ms);
    return ERR_OK;
}

enum err plog_append_leader(struct plog *log, struct plog_batch *batches, size_t count, int32_t leader_epoch)
{
    ASSERT(!plog_is_busy(log) && !log->is_deleted);
    ASSERT(leader_epoch >= epoch_cache_last(&log->epochs));
    struct group group;
    int64_t now_ms = env_wall_ms(log->shared->env);
    enum err err = log->is_failed ? ERR_IO : ERR_OK;
    for (size_t i = 0; i < count; i++) {
        batches[i].verdict = PLOG_FAILED;
        batches[i].base_offset = batches[i].append_time_ms = -1;
    }
    group_begin(log, &group);
    for (size_t i = 0; !err && i < count; i++) err = lead_one(log, &group, &batches[i], leader_epoch, now_ms);
    if (!err) err = group_write(log, &group);
    /* A duplicate of a batch that was not written is not in the log either. */
    for (size_t i = 0; err && i < count; i++) {
        if (batches[i].verdict == PLOG_DUPLICATE && batches[i].base_offset >= plog_end(log)) batches[i].verdict = PLOG_FAILED;
        if (batches[i].verdict == PLOG_FAILED) batches[i].base_offset = -1;
    }
    plog_invariants(log);
    return err;
}

/* ---- the follower -------------------------------------------------------------------------------------------------- */

/* L-ORDER, L-EPOCH. Gaps between batches exist only where a compacted leader has them. */
static bool continues(const struct plog *log, const struct group *group, const struct record_batch *head, int32_t max_epoch)
{
    int32_t last_epoch = group->count ? group->heads[group->count - 1].partition_leader_epoch : epoch_cache_last(&log->epochs);
    if (head->last_offset_delta < 0 || head->base_offset > INT64_MAX - head->last_offset_delta - 1) return false;
    if (head->partition_leader_epoch < max_i32(last_epoch, 0) || head->partition_leader_epoch > max_epoch) return false;
    return log->config.is_compacted ? head->base_offset >= group->next_offset : head->base_offset == group->next_offset;
}

/* An empty log takes the place of its only segment: it then begins where the batch does. */
static enum err rebase(struct plog *log, int64_t base_offset)
{
    struct segment *empty = plog_active(log);
    ASSERT(log->segment_count == 1 && empty->size == 0);
    char *path = segment_path(log->directory, empty->base_offset, ".log");
    enum err err = log->has_directory ? env_unlink(log->shared->env, path) : ERR_OK;
    mem_free(path);
    if (err && err != ERR_NOT_FOUND) return plog_check(log, err);
    segment_destroy(empty);
    log->segment_count = 0;
    (void)plog_push_segment(log, base_offset);
    return ERR_OK;
}

/* After DeleteRecords a leader's start can lie inside a batch: a new follower gets that batch whole. */
static enum err rebase_for_first(struct plog *log, struct group *group, const struct record_batch *head)
{
    bool is_empty = log->segment_count == 1 && plog_active(log)->size == 0 && group->count == 0;
    bool contains_end = head->base_offset >= 0 && head->base_offset < plog_end(log) && head->last_offset_delta >= 0 &&
                        head->last_offset_delta >= plog_end(log) - head->base_offset;
    if (!is_empty || !contains_end) return ERR_OK;
    enum err err = rebase(log, head->base_offset);
    group_begin(log, group);
    return err;
}

static enum err follow_one(struct plog *log, struct group *group, const struct record_batch *head, int32_t max_epoch, int64_t now_ms)
{
    enum err err = rebase_for_first(log, group, head);
    if (err) return err;
    if (!continues(log, group, head, max_epoch) || !record_batch_is_crc_valid(head)) return ERR_CORRUPT;
    err = make_room(log, group, head, head->base_offset);
    if (err) return err;
    group_add(log, group, head, NULL, NULL, now_ms);
    return ERR_OK;
}

enum err plog_append_follower(struct plog *log, struct buf *buf, size_t at, size_t size, int32_t max_epoch,
                              struct plog_follower_append *out)
{
    ASSERT(!plog_is_busy(log) && !log->is_deleted);
    ASSERT(at + size <= buf->size);
    struct group group;
    int64_t now_ms = env_wall_ms(log->shared->env), end_before = plog_end(log), size_before = plog_size(log);
    struct slice left = slice_make(buf->data + at, size);
    enum err err = log->is_failed ? ERR_IO : ERR_OK;
    *out = (struct plog_follower_append){.first_offset = end_before};
    group_begin(log, &group);
    /* Nobody tails a follower: its answers are freed at once, so that the next one lands in memory that the processor still has
     * in its cache. What the tail has of an earlier leadership would leave a gap. */
    tail_truncate(&log->tail, INT64_MIN);
    while (!err) {
        struct record_batch head;
        err = record_batch_parse(left, &head);
        if (!err) err = follow_one(log, &group, &head, max_epoch, now_ms);
        if (!err) left = slice_make(left.p + record_batch_size(&head), left.n - record_batch_size(&head));
    }
    /* AGAIN: the answer ends here. A bad batch does not undo the good ones before it. */
    if (err == ERR_AGAIN || err == ERR_CORRUPT) {
        enum err written = group_write(log, &group);
        err = written ? written : err == ERR_AGAIN ? ERR_OK : err;
    }
    if (plog_active(log)->size == 0 && plog_end(log) < log->start) {
        enum err rebased = rebase(log, log->start);
        err = rebased ? rebased : err;
    }
    out->bytes = plog_size(log) - size_before;
    plog_invariants(log);
    return err;
}
