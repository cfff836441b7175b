/* Records on their way to the log, and what happens when they are committed or refused. See group_internal.h, group_shard.h. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/mem.h"

/* ---- building ---- */

struct group_batch *batch_create(struct group *group, enum batch_kind kind)
{
    struct group_batch *batch = mem_alloc(sizeof *batch);
    *batch = (struct group_batch){.kind = kind, .group = group, .generation = group->generation, .timer.kind = GROUP_TIMER_COMMIT};
    list_init(&batch->readers);
    writer_init(&batch->bytes, 256);
    return batch;
}

static const struct group_record *batch_records(const struct group_batch *batch) { return batch->append.records; }

void batch_destroy(struct group_batch *batch)
{
    ASSERT(!heap_is_linked(&batch->timer.node));
    ASSERT(list_is_empty(&batch->readers));
    uintptr_t records = (uintptr_t)batch_records(batch); /* ours; the view of it is read-only */
    mem_free((void *)records);
    mem_free(batch->spans);
    writer_deinit(&batch->bytes);
    text_free(batch->swap.old_id);
    text_free(batch->swap.new_id);
    text_free(batch->swap.leader_id);
    mem_free(batch->swap.protocols);
    mem_free(batch);
}

static struct record_span *new_span(struct group_batch *batch)
{
    if (batch->append.count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 4;
        batch->spans = mem_realloc(batch->spans, batch->capacity, sizeof *batch->spans);
    }
    struct record_span *span = &batch->spans[batch->append.count++];
    *span = (struct record_span){.key_at = writer_size(&batch->bytes)};
    return span;
}

static void end_span(struct group_batch *batch, struct record_span *span, bool is_tombstone)
{
    span->end = writer_size(&batch->bytes);
    span->is_tombstone = is_tombstone;
    ASSERT(span->key_at < span->value_at && span->value_at <= span->end);
}

void batch_add_offset(struct group_batch *batch, struct slice topic, int32_t partition, const struct offset_commit_value *value)
{
    struct record_span *span = new_span(batch);
    group_record_write_offset_key(&batch->bytes, batch->group->id, topic, partition);
    span->value_at = writer_size(&batch->bytes);
    group_record_write_offset(&batch->bytes, value);
    end_span(batch, span, false);
}

void batch_add_offset_tombstone(struct group_batch *batch, struct slice topic, int32_t partition)
{
    struct record_span *span = new_span(batch);
    group_record_write_offset_key(&batch->bytes, batch->group->id, topic, partition);
    span->value_at = writer_size(&batch->bytes);
    end_span(batch, span, true);
}

void batch_add_group_tombstone(struct group_batch *batch)
{
    struct record_span *span = new_span(batch);
    group_record_write_metadata_key(&batch->bytes, batch->group->id);
    span->value_at = writer_size(&batch->bytes);
    end_span(batch, span, true);
}

void batch_add_logged_metadata(struct group_batch *batch)
{
    ASSERT(!slice_is_null(batch->group->logged));
    struct record_span *span = new_span(batch);
    group_record_write_metadata_key(&batch->bytes, batch->group->id);
    span->value_at = writer_size(&batch->bytes);
    writer_bytes(&batch->bytes, batch->group->logged);
    end_span(batch, span, false);
}

static void fill_member(const struct group_member *member, struct slice assignment, struct group_metadata_value_members *out)
{
    *out = (struct group_metadata_value_members){
        .member_id = member->id,
        .group_instance_id = member->instance_id,
        .client_id = member->client_id,
        .client_host = member->client_host,
        .rebalance_timeout = member->rebalance_timeout_ms,
        .session_timeout = member->session_timeout_ms,
        .subscription = group_member_metadata(member, member->group->protocol_name),
        .assignment = assignment,
    };
    ASSERT(!slice_is_null(out->subscription));
}

/* The member's assignment in the leader's request; the last one when it is named twice. */
static void index_assignments(struct map *by_member, const struct sync_group_request_assignments *assignments, int32_t count)
{
    for (int32_t i = count - 1; i >= 0; i--) {
        uintptr_t entry = (uintptr_t)&assignments[i];
        if (!map_get(by_member, assignments[i].member_id)) map_put(by_member, assignments[i].member_id, (void *)entry);
    }
}

void batch_add_metadata(struct group_batch *batch, const struct sync_group_request_assignments *assignments, int32_t count)
{
    struct group *group = batch->group;
    struct map by_member;
    map_init(&by_member, group->members.seed);
    index_assignments(&by_member, assignments, count);
    struct group_metadata_value_members *members = mem_calloc(group_member_count(group), sizeof *members);
    int32_t n = 0;
    MAP_FOR_EACH (&group->members, const struct group_member, member) {
        const struct sync_group_request_assignments *given = map_get(&by_member, member->id);
        struct slice own = batch->kind == BATCH_ASSIGNMENT ? SLICE_LITERAL("") : member->assignment;
        fill_member(member, given ? given->assignment : own, &members[n++]);
    }
    struct group_metadata_value value = {
        .protocol_type = slice_is_null(group->protocol_type) ? SLICE_LITERAL("") : group->protocol_type,
        .generation = batch->kind == BATCH_CREATE ? 0 : group->generation,
        .protocol = group->protocol_name,
        .leader = group->leader ? group->leader->id : SLICE_NULL,
        .current_state_timestamp = group->state_ms,
        .members = members,
        .members_count = n,
    };
    if (batch->kind == BATCH_CREATE) { /* nobody's yet: members count when their assignment is stored */
        value.protocol_type = SLICE_LITERAL("");
        value.protocol = value.leader = SLICE_NULL;
        value.members_count = 0;
    }
    struct record_span *span = new_span(batch);
    group_record_write_metadata_key(&batch->bytes, group->id);
    span->value_at = writer_size(&batch->bytes);
    group_record_write_metadata(&batch->bytes, &value);
    end_span(batch, span, false);
    mem_free(members);
    map_deinit(&by_member);
}

/* ---- under way ---- */

static void make_records(struct group_batch *batch)
{
    struct group_record *records = mem_calloc(batch->append.count, sizeof *records);
    struct slice bytes = writer_slice(&batch->bytes);
    for (size_t i = 0; i < batch->append.count; i++) {
        const struct record_span *span = &batch->spans[i];
        records[i].key = slice_make(bytes.p + span->key_at, span->value_at - span->key_at);
        records[i].value = span->is_tombstone ? SLICE_NULL : slice_make(bytes.p + span->value_at, span->end - span->value_at);
    }
    mem_free(batch->spans);
    batch->spans = NULL;
    batch->append.records = records;
    batch->append.bytes = bytes.n;
}

void batch_submit(struct group_shard *shard, struct group_batch *batch, struct group_request *request)
{
    ASSERT(batch->append.count > 0);
    ASSERT(shard->state == GROUP_SHARD_ACTIVE);
    make_records(batch);
    batch->append.token = ++shard->last_token;
    batch->request = request;
    batch->group->batch_count++;
    if (batch->kind == BATCH_DELETE) {
        ASSERT(!batch->group->is_deleting);
        batch->group->is_deleting = true;
    }
    list_push_back(&shard->batches, &batch->node);
    list_push_back(&shard->actions->appends, &batch->append.node);
    timer_set(shard, &batch->timer, shard->config->offsets_commit_timeout_ms);
}

bool batch_is_too_large(const struct group_batch *batch) { return writer_size(&batch->bytes) > GROUP_BATCH_BYTES_MAX; }

bool batch_is_full(const struct group_batch *batch)
{
    return batch->append.count >= GROUP_BATCH_RECORDS_MAX || writer_size(&batch->bytes) >= GROUP_BATCH_BYTES_ENOUGH;
}

struct group_batch *batch_with_room(struct group_shard *shard, struct group_batch *batch)
{
    struct group *group = batch->group;
    ASSERT(batch->kind == BATCH_OFFSETS);
    if (!batch_is_full(batch)) return batch;
    batch_submit(shard, batch, NULL);
    return batch_create(group, BATCH_OFFSETS);
}

struct group_batch *batch_newest(struct group_shard *shard, const struct group *group)
{
    for (struct list_node *node = list_last(&shard->batches); node && node != &shard->batches.head; node = node->prev) {
        struct group_batch *batch = CONTAINER_OF(node, struct group_batch, node);
        if (batch->group == group && batch->kind != BATCH_SNAPSHOT) return batch;
    }
    return NULL;
}

static void note_offsets_of(const struct group_batch *batch, struct map *keys)
{
    for (size_t i = 0; i < batch->append.count; i++) {
        const struct group_record *record = &batch->append.records[i];
        struct group_record_key key;
        if (slice_is_null(record->value) || group_record_parse_key(record->key, &key) != ERR_OK) continue;
        if (key.type == GROUP_RECORD_OFFSET && !map_get(keys, record->key)) map_put(keys, record->key, keys);
    }
}

void batch_note_offsets_under_way(const struct group_shard *shard, const struct group *group, struct map *keys)
{
    if (group->batch_count == 0) return;
    LIST_FOR_EACH (&shard->batches, node) {
        const struct group_batch *batch = CONTAINER_OF(node, struct group_batch, node);
        if (batch->group == group && batch->kind == BATCH_OFFSETS) note_offsets_of(batch, keys);
    }
}

static void add_tombstones_of(struct group_batch *batch, const struct group_batch *under_way, struct slice topic)
{
    for (size_t i = 0; i < under_way->append.count; i++) {
        const struct group_record *record = &under_way->append.records[i];
        struct group_record_key key;
        if (slice_is_null(record->value) || group_record_parse_key(record->key, &key) != ERR_OK) continue;
        if (key.type != GROUP_RECORD_OFFSET || (!slice_is_null(topic) && !slice_equal(key.topic, topic))) continue;
        batch_add_offset_tombstone(batch, key.topic, key.partition);
    }
}

void batch_add_tombstones_under_way(struct group_shard *shard, struct group_batch *batch, struct slice topic)
{
    LIST_FOR_EACH (&shard->batches, node) {
        const struct group_batch *under_way = CONTAINER_OF(node, struct group_batch, node);
        if (under_way->group == batch->group && under_way->kind == BATCH_OFFSETS) add_tombstones_of(batch, under_way, topic);
    }
}

/* ---- the outcome ---- */

enum kafka_error append_error_to_client(enum kafka_error error)
{
    /* Errors about the log mean nothing to those who talk to a coordinator. */
    static const struct {
        int16_t from, to;
    } table[] = {
        {KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_COORDINATOR_NOT_AVAILABLE},
        {KAFKA_NOT_ENOUGH_REPLICAS, KAFKA_COORDINATOR_NOT_AVAILABLE},
        {KAFKA_REQUEST_TIMED_OUT, KAFKA_COORDINATOR_NOT_AVAILABLE},
        {KAFKA_NOT_LEADER_OR_FOLLOWER, KAFKA_NOT_COORDINATOR},
        {KAFKA_KAFKA_STORAGE_ERROR, KAFKA_NOT_COORDINATOR},
        {KAFKA_MESSAGE_TOO_LARGE, KAFKA_UNKNOWN_SERVER_ERROR},
        {KAFKA_RECORD_LIST_TOO_LARGE, KAFKA_UNKNOWN_SERVER_ERROR},
        {KAFKA_INVALID_FETCH_SIZE, KAFKA_UNKNOWN_SERVER_ERROR},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if ((int16_t)error == table[i].from) return (enum kafka_error)table[i].to;
    return error;
}

static void answer_readers(struct group_shard *shard, struct group_batch *batch, enum kafka_error error)
{
    struct list_node *node = NULL;
    while ((node = list_pop_front(&batch->readers))) {
        struct group_request *request = CONTAINER_OF(node, struct group_request, node);
        if (error == KAFKA_NONE)
            answer_offset_fetch(shard, request);
        else
            request_fail(shard, request, error);
    }
}

static void answer_request(struct group_shard *shard, struct group_batch *batch, enum kafka_error error)
{
    struct group_request *request = batch->request;
    if (!request) return;
    batch->request = NULL;
    if (error == KAFKA_NONE)
        request_complete(shard, request);
    else
        request_fail(shard, request, error);
}

/* What those do who were waiting for a group's membership to be stored. */
static void run_continuation(struct group_shard *shard, struct group_batch *batch, enum kafka_error error)
{
    if (batch->is_given_up || batch->kind == BATCH_OFFSETS || batch->kind == BATCH_DELETE || batch->kind == BATCH_SNAPSHOT) return;
    if (batch->kind == BATCH_ASSIGNMENT)
        on_assignment_stored(shard, batch, error);
    else if (batch->kind == BATCH_STATIC)
        on_static_stored(shard, batch, error);
    group_account(shard, batch->group);
}

static void note_logged(struct group_batch *batch)
{
    for (size_t i = 0; i < batch->append.count; i++) {
        const struct group_record *record = &batch->append.records[i];
        struct group_record_key key;
        bool is_key = group_record_parse_key(record->key, &key) == ERR_OK;
        ASSERT(is_key);
        if (key.type == GROUP_RECORD_METADATA) group_note_logged(batch->group, record->value);
    }
}

/* The records say what has changed; the same code reads them when the log is loaded. */
static void apply_committed(struct group_shard *shard, struct group_batch *batch)
{
    if (batch->kind == BATCH_SNAPSHOT) return;
    if (batch->kind == BATCH_OFFSETS || batch->kind == BATCH_DELETE)
        for (size_t i = 0; i < batch->append.count; i++) apply_record(shard, &batch->append.records[i]);
    else {
        batch->group->is_committed = true;
        note_logged(batch);
        group_account(shard, batch->group);
    }
}

/* Those that came while the group was being deleted: to the new group of that name, or to the old one that is still there. */
static void release_waiting(struct group_shard *shard, struct list *waiting)
{
    struct list_node *node = NULL;
    while ((node = list_pop_front(waiting))) {
        struct group_request *request = CONTAINER_OF(node, struct group_request, node);
        shard->waiting_count--;
        if (request->type == GROUP_JOIN)
            on_join(shard, request);
        else if (request->type == GROUP_OFFSET_COMMIT)
            on_offset_commit(shard, request);
        else if (request->type == GROUP_OFFSET_DELETE)
            on_offset_delete(shard, request);
        else
            on_delete(shard, request);
    }
}

static void list_move(struct list *from, struct list *to)
{
    struct list_node *node = NULL;
    list_init(to);
    while ((node = list_pop_front(from))) list_push_back(to, node);
}

/* A group of which nothing was ever committed is gone when nothing is under way. */
static void forget_unborn(struct group_shard *shard, struct group *group)
{
    if (group->is_committed || group->batch_count > 0 || group_member_count(group) > 0 || map_count(&group->pending) > 0) return;
    ASSERT(group->offsets.count == 0);
    group_destroy(shard, group);
}

static void on_committed(struct group_shard *shard, struct group_batch *batch)
{
    struct list waiting;
    list_init(&waiting);
    if (batch->kind == BATCH_DELETE) {
        list_move(&batch->group->waiting, &waiting);
        batch->group->is_deleting = false;
    }
    apply_committed(shard, batch);
    run_continuation(shard, batch, KAFKA_NONE);
    answer_request(shard, batch, KAFKA_NONE);
    answer_readers(shard, batch, KAFKA_NONE);
    release_waiting(shard, &waiting);
}

static void on_refused(struct group_shard *shard, struct group_batch *batch, enum kafka_error error)
{
    struct group *group = batch->group;
    struct list waiting;
    list_init(&waiting);
    if (batch->kind == BATCH_DELETE) {
        list_move(&group->waiting, &waiting);
        group->is_deleting = false;
    }
    if (batch->kind == BATCH_CREATE) on_create_failed(shard, group, error);
    run_continuation(shard, batch, error);
    answer_request(shard, batch, error);
    answer_readers(shard, batch, KAFKA_NONE); /* what is committed did not change: that is the answer */
    forget_unborn(shard, group);
    release_waiting(shard, &waiting);
}

static struct group_batch *find_batch(struct group_shard *shard, uint64_t token)
{
    LIST_FOR_EACH (&shard->batches, node) {
        struct group_batch *batch = CONTAINER_OF(node, struct group_batch, node);
        if (batch->append.token == token) return batch;
    }
    return NULL;
}

void on_appended(struct group_shard *shard, uint64_t token, enum kafka_error error)
{
    struct group_batch *batch = find_batch(shard, token);
    ASSERT(batch != NULL);
    /* S2: effects in the order of the log. */
    ASSERT_IMPLIES(error == KAFKA_NONE, list_first(&shard->batches) == &batch->node);
    list_remove(&batch->node);
    timer_cancel(shard, &batch->timer);
    ASSERT(batch->group->batch_count > 0);
    batch->group->batch_count--;
    if (error == KAFKA_NONE)
        snapshot_on_committed(shard, batch);
    else
        snapshot_on_refused(shard, batch);
    if (error == KAFKA_NONE)
        on_committed(shard, batch);
    else
        on_refused(shard, batch, append_error_to_client(error));
    batch_destroy(batch);
    snapshot_go_on(shard);
}

/* Neither committed nor refused: the clients learn that now, the records take effect when they are committed. */
void on_batch_timeout(struct group_shard *shard, struct group_batch *batch)
{
    enum kafka_error error = append_error_to_client(KAFKA_REQUEST_TIMED_OUT);
    run_continuation(shard, batch, error);
    batch->is_given_up = true;
    answer_request(shard, batch, error);
    answer_readers(shard, batch, error);
    struct list_node *node = NULL;
    while (batch->group->is_deleting && (node = list_pop_front(&batch->group->waiting))) {
        shard->waiting_count--;
        request_fail(shard, CONTAINER_OF(node, struct group_request, node), error);
    }
}
