#include "broker/node/group_coordinator.h"

#include "broker/node/group_log.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/limits.h"
#include "common/mem.h"
#include "proto/record_batch.h"

#define LOAD_BYTES        (1 << 20) /* read and replayed in one turn: a few milliseconds */
#define LOAD_WAIT_MS      500
#define LOAD_AGAIN_US     10000
#define DOUBT_POLL_US     20000
#define STORE_BYTES_MAX   (256 << 10) /* of the batches of a turn that share one record batch */
#define STORE_TIMEOUT_MS  (1ll << 40) /* the core keeps the time; the log's word is waited for */
#define STORE_API_VERSION 11
#define DECOMPRESSED_MAX  (64 << 20)
#define NO_OFFSET         (-1)
#define NEXT_TURN         0 /* a time long past: a timer that is due never fires in the turn that sets it */

/* One partition of __consumer_offsets in one leader epoch. */
struct led_partition {
    struct group_coordinator *owner;
    struct uuid topic_id;
    int32_t partition, leader_epoch;
    struct group_shard shard;
    /* Loading. */
    bool is_fetching;
    struct replica_fetch fetch;
    struct fetch_position position;
    int64_t end_offset; /* of the log when the epoch began; NO_OFFSET: not known yet */
    int64_t log_bytes;  /* and how large it was */
    int64_t began_us;
    uint64_t unreadable_count; /* batches */
    struct env_timer again;    /* loading: try again; serving: ask after batches in doubt */
    /* Serving. */
    struct env_timer deadline; /* the shard's */
    struct list appends;       /* struct group_append, until the end of the turn */
    struct group_log log;
    struct list_node to_store; /* in owner->to_store */
};

/* One record batch on its way into the log: it holds the batches of a turn. */
struct store {
    struct list_node node;
    struct led_partition *led; /* NULL: unloaded meanwhile, nobody waits */
    struct replica_produce produce;
    struct produce_partition partition;
    struct buf *records;
    int64_t doubt_end; /* committed when the high watermark has reached it; NO_OFFSET: no doubt */
    size_t count;
    uint64_t tokens[];
};

struct group_coordinator {
    struct env *env;
    const struct image *image;
    struct replica_manager *replicas;
    struct controller_channel *controller;
    int32_t node_id;
    struct group_config config;
    int64_t snapshot_bytes_min;
    struct led_partition **led; /* [led_count], by partition; NULL: led elsewhere */
    struct handover *handovers; /* [led_count]: the last one of each */
    int32_t led_count;
    struct list to_store; /* struct led_partition */
    struct list stores;   /* struct store under way or in doubt, of all partitions */
    struct env_turn_end turn_end;
    bool is_stopped;
};

static const struct logger *logger_of(const struct group_coordinator *c) { return env_logger(c->env); }

/* No other node can have taken over what this one coordinates. */
static bool is_sure(const struct group_coordinator *c) { return lease_holds(controller_channel_lease(c->controller), env_now_us(c->env)); }

/* ---- steps --------------------------------------------------------------------------------------------------------- */

/* A JoinGroup may have waited for longer than the lease lasts, and is answered from memory. The others come back in the turn in which
 * they came in, or when the log has spoken. */
static void doubt_join(const struct group_coordinator *c, struct group_request *request)
{
    if (request->type != GROUP_JOIN || request->out.join.error_code || is_sure(c)) return;
    CODEC_INIT(join_group_response, &request->out.join);
    group_request_fail(request, KAFKA_NOT_COORDINATOR);
}

static void schedule_store(struct led_partition *led)
{
    if (!list_is_linked(&led->to_store)) list_push_back(&led->owner->to_store, &led->to_store);
    env_at_turn_end(led->owner->env, &led->owner->turn_end);
}

static void take_actions(struct led_partition *led, struct group_actions *actions, int64_t now_us)
{
    struct env *env = led->owner->env;
    bool is_storing = !list_is_empty(&actions->appends);
    for (struct list_node *node; (node = list_pop_front(&actions->appends));) list_push_back(&led->appends, node);
    if (is_storing) schedule_store(led);
    if (actions->deadline_ms > INT64_MAX / 1000) /* never */
        env_timer_clear(env, &led->deadline);
    else
        env_timer_set(env, &led->deadline, actions->deadline_ms * 1000);
    for (struct list_node *node; (node = list_pop_front(&actions->completed));) {
        struct group_call *call = CONTAINER_OF(CONTAINER_OF(node, struct group_request, node), struct group_call, request);
        doubt_join(led->owner, &call->request);
        call->done(call, now_us);
    }
}

static void step(struct led_partition *led, struct group_event *event, int64_t now_us)
{
    struct group_actions actions;
    event->now_ms = now_us / 1000;
    event->wall_ms = env_wall_ms(led->owner->env);
    group_shard_step(&led->shard, event, &actions);
    take_actions(led, &actions, now_us);
}

static void on_deadline(struct env_timer *timer, int64_t now_us)
{
    struct group_event event = {.type = GROUP_EVENT_TICK};
    step(CONTAINER_OF(timer, struct led_partition, deadline), &event, now_us);
}

/* ---- storing ------------------------------------------------------------------------------------------------------- */

static void store_destroy(struct store *store)
{
    list_remove(&store->node);
    if (store->records) buf_unref(store->records);
    mem_free(store);
}

/* The log is kept small: its state is written again at its end, and then it begins there. */
static void look_after_log(struct led_partition *led, int64_t now_us)
{
    struct group_event event = {.type = GROUP_EVENT_SNAPSHOT};
    if (led->shard.snapshot.state == GROUP_SNAPSHOT_RUNNING) return;
    int64_t start = group_log_end(&led->log, &led->shard);
    if (start != NO_OFFSET) {
        env_mark(led->owner->env, "groups: the log was written again");
        log_line(logger_of(led->owner), LOG_INFO, "groups",
                 OFFSETS_TOPIC "-%d is written again in %llu records and begins at offset %lld now", led->partition,
                 (unsigned long long)led->shard.snapshot.records, (long long)start);
        (void)replica_manager_advance_start(led->owner->replicas, led->topic_id, led->partition, start);
    }
    if (led->unreadable_count == 0 && group_log_begin(&led->log, &led->shard)) step(led, &event, now_us);
}

static void tell(struct store *store, enum kafka_error error, int64_t now_us)
{
    struct led_partition *led = store->led;
    int64_t next = error == KAFKA_NONE && store->doubt_end == NO_OFFSET
                       ? store->partition.base_offset + store->partition.last_offset_delta + 1
                       : NO_OFFSET;
    for (size_t i = 0; i < store->count; i++) {
        struct group_event event = {.type = GROUP_EVENT_APPENDED, .appended = {.token = store->tokens[i], .error = error}};
        step(led, &event, now_us);
    }
    store_destroy(store);
    if (next != NO_OFFSET) group_log_told(&led->log, next);
    if (error == KAFKA_NONE) look_after_log(led, now_us);
}

static bool is_in_doubt(enum kafka_error error)
{
    return error == KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND || error == KAFKA_REQUEST_TIMED_OUT;
}

/* What was appended before `until` is below it in the log, so it is committed, too. */
static void settle_before(const struct store *until, int64_t now_us)
{
    LIST_FOR_EACH (&until->led->owner->stores, node) {
        struct store *store = CONTAINER_OF(node, struct store, node);
        if (store == until) break;
        if (store->led == until->led && store->doubt_end != NO_OFFSET) tell(store, KAFKA_NONE, now_us);
    }
}

static void on_stored(struct replica_produce *produce, int64_t now_us)
{
    struct store *store = CONTAINER_OF(produce, struct store, produce);
    struct led_partition *led = store->led;
    struct replica_info info;
    if (!led) {
        store_destroy(store);
        return;
    }
    if (!is_in_doubt(store->partition.error)) {
        if (!store->partition.error) settle_before(store, now_us);
        tell(store, store->partition.error, now_us);
        return;
    }
    bool is_here = replica_manager_info(led->owner->replicas, led->topic_id, led->partition, &info);
    store->doubt_end = is_here ? info.log_end : INT64_MAX;
    env_timer_set(led->owner->env, &led->again, now_us + DOUBT_POLL_US);
}

/* Batches in doubt are committed in the order of the log. */
static void settle_doubts(struct led_partition *led, int64_t now_us)
{
    struct replica_info info;
    bool is_here = replica_manager_info(led->owner->replicas, led->topic_id, led->partition, &info);
    bool has_more = false;
    LIST_FOR_EACH (&led->owner->stores, node) {
        struct store *store = CONTAINER_OF(node, struct store, node);
        if (store->led != led || store->doubt_end == NO_OFFSET) continue;
        if (is_here && info.high_watermark >= store->doubt_end)
            tell(store, KAFKA_NONE, now_us);
        else
            has_more = true;
    }
    if (has_more) env_timer_set(led->owner->env, &led->again, now_us + DOUBT_POLL_US);
}

static struct store *store_create(struct led_partition *led, size_t count)
{
    struct store *store = mem_alloc(sizeof *store + count * sizeof *store->tokens);
    store->led = led;
    store->count = count;
    store->doubt_end = NO_OFFSET;
    store->partition = (struct produce_partition){.topic_id = led->topic_id, .partition = led->partition};
    store->produce = (struct replica_produce){.acks = -1,
                                              .api_version = STORE_API_VERSION,
                                              .timeout_ms = STORE_TIMEOUT_MS,
                                              .partitions = &store->partition,
                                              .partition_count = 1,
                                              .done = on_stored};
    list_push_back(&led->owner->stores, &store->node);
    return store;
}

/* As many of the turn's batches as fit one record batch, at least one. */
static size_t count_together(const struct led_partition *led)
{
    size_t count = 0, bytes = 0;
    LIST_FOR_EACH (&led->appends, node) {
        bytes += CONTAINER_OF(node, struct group_append, node)->bytes;
        if (count > 0 && bytes > STORE_BYTES_MAX) break;
        count++;
    }
    return count;
}

static const struct group_append *next_append(struct led_partition *led)
{
    struct list_node *node = list_pop_front(&led->appends);
    ASSERT(node != NULL);
    return CONTAINER_OF(node, struct group_append, node);
}

static void store_some(struct led_partition *led)
{
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    size_t count = count_together(led);
    int64_t wall_ms = env_wall_ms(led->owner->env);
    record_batch_spec_init(&spec);
    record_batch_builder_init(&builder, &spec);
    struct store *store = store_create(led, count);
    for (size_t i = 0; i < count; i++) {
        const struct group_append *append = next_append(led);
        ASSERT(append->count > 0);
        store->tokens[i] = append->token;
        for (size_t r = 0; r < append->count; r++)
            record_batch_builder_add(&builder, wall_ms, append->records[r].key, append->records[r].value, NULL, 0);
    }
    store->records = record_batch_builder_finish(&builder);
    group_log_appended(&led->log, (int64_t)store->records->size);
    store->produce.buf = store->records;
    store->partition.records = buf_slice(store->records);
    replica_manager_produce(led->owner->replicas, &store->produce);
}

static void on_turn_end(struct env_turn_end *turn_end, int64_t now_us)
{
    struct group_coordinator *c = CONTAINER_OF(turn_end, struct group_coordinator, turn_end);
    (void)now_us;
    for (struct list_node *node; (node = list_pop_front(&c->to_store));) {
        struct led_partition *led = CONTAINER_OF(node, struct led_partition, to_store);
        while (!list_is_empty(&led->appends)) store_some(led);
    }
}

/* ---- loading ------------------------------------------------------------------------------------------------------- */

static void load(struct led_partition *led, int64_t now_us);

static void load_later(struct led_partition *led, int64_t now_us) { env_timer_set(led->owner->env, &led->again, now_us + LOAD_AGAIN_US); }

static void finish_loading(struct led_partition *led, int64_t now_us)
{
    struct group_event event = {.type = GROUP_EVENT_LOADED};
    const struct group_counters *counters = &led->shard.counters;
    step(led, &event, now_us);
    group_log_init(&led->log, led->position.offset, led->log_bytes, led->owner->snapshot_bytes_min);
    if (led->end_offset > 0)
        log_line(logger_of(led->owner), LOG_INFO, "groups",
                 "coordinator of " OFFSETS_TOPIC "-%d (leader epoch %d) serves: %u groups, %llu offsets from %llu records, %lld ms",
                 led->partition, led->leader_epoch, map_count(&led->shard.groups), (unsigned long long)led->shard.offset_count,
                 (unsigned long long)counters->records_loaded, (long long)(env_now_us(led->owner->env) - led->began_us) / 1000);
    if (counters->records_skipped + counters->records_malformed + led->unreadable_count > 0)
        log_line(logger_of(led->owner), LOG_WARN, "groups",
                 OFFSETS_TOPIC
                 "-%d holds %llu records of kinds that are not served, %llu that are malformed and %llu batches that cannot be"
                 " opened: they stay in the log, which grows",
                 led->partition, (unsigned long long)counters->records_skipped, (unsigned long long)counters->records_malformed,
                 (unsigned long long)led->unreadable_count);
}

static void replay_batch(struct led_partition *led, const struct record_batch *batch, int64_t now_us)
{
    struct record_iterator it;
    struct record record;
    if (record_batch_is_control(batch)) return;
    enum err err = record_iterator_init(&it, batch, DECOMPRESSED_MAX);
    while (!err && record_iterator_next(&it, &record)) {
        struct group_event event = {.type = GROUP_EVENT_RECORD, .record = {.key = record.key, .value = record.value}};
        if (!slice_is_null(record.key)) step(led, &event, now_us);
    }
    led->unreadable_count += err != ERR_OK;
    record_iterator_deinit(&it);
}

static void replay(struct led_partition *led, struct slice bytes, int64_t now_us)
{
    struct record_batch batch;
    while (record_batch_parse(bytes, &batch) == ERR_OK) {
        if (record_batch_last_offset(&batch) >= led->position.offset) {
            replay_batch(led, &batch, now_us);
            led->position.offset = record_batch_next_offset(&batch);
        }
        bytes = slice_make(bytes.p + record_batch_size(&batch), bytes.n - record_batch_size(&batch));
    }
}

static void replay_pieces(struct led_partition *led, const struct fetch_result *result, int64_t now_us)
{
    struct buf *whole = buf_create((size_t)result->bytes);
    size_t at = 0;
    for (size_t i = 0; i < result->piece_count; i++) {
        const struct env_piece *piece = &result->pieces[i];
        ASSERT(piece->buf != NULL); /* asked for in memory */
        memcpy(whole->data + at, piece->buf->data + piece->position, (size_t)piece->length);
        at += (size_t)piece->length;
    }
    replay(led, slice_make(whole->data, at), now_us);
    buf_unref(whole);
}

static void on_fetched(struct replica_fetch *fetch, int64_t now_us)
{
    struct led_partition *led = CONTAINER_OF(fetch, struct led_partition, fetch);
    const struct fetch_result *result = fetch->result_count == 1 ? &fetch->results[0] : NULL;
    enum kafka_error error = result ? result->error : fetch->error;
    int64_t log_start = result ? result->log_start_offset : NO_OFFSET;
    const int64_t before = led->position.offset;
    led->is_fetching = false;
    if (result && result->bytes > 0) replay_pieces(led, result, now_us);
    replica_manager_release_fetch(fetch);
    if (error == KAFKA_OFFSET_OUT_OF_RANGE && log_start > led->position.offset) led->position.offset = log_start;
    if (error == KAFKA_NONE && led->position.offset > before)
        env_timer_set(led->owner->env, &led->again, NEXT_TURN); /* the loop has others to serve */
    else
        load_later(led, now_us); /* also when there was nothing yet: the high watermark is on its way */
}

static void fetch_more(struct led_partition *led)
{
    led->is_fetching = true;
    led->fetch = (struct replica_fetch){.replica_id = -1,
                                        .replica_epoch = -1,
                                        .max_wait_ms = LOAD_WAIT_MS,
                                        .min_bytes = 1,
                                        .max_bytes = LOAD_BYTES,
                                        .is_in_memory = true,
                                        .session_epoch = FETCH_EPOCH_FINAL,
                                        .partitions = &led->position,
                                        .partition_count = 1,
                                        .done = on_fetched};
    replica_manager_fetch(led->owner->replicas, &led->fetch);
}

/* Where the epoch began; false: the replica has not taken office yet. */
static bool find_end(struct led_partition *led)
{
    struct replica_info info;
    if (led->end_offset != NO_OFFSET) return true;
    if (!replica_manager_info(led->owner->replicas, led->topic_id, led->partition, &info)) return false;
    if (info.role != PARTITION_LEADER || info.leader_epoch != led->leader_epoch) return false;
    led->end_offset = info.log_end;
    led->log_bytes = info.size_bytes;
    led->position.offset = info.log_start;
    return true;
}

/* Nobody else may still answer for this partition; false: the controller is asked. */
static bool is_handed_over(const struct led_partition *led, int64_t now_us)
{
    const struct group_coordinator *c = led->owner;
    if (lease_is_handed_over(controller_channel_lease(c->controller), &c->handovers[led->partition], now_us)) return true;
    controller_channel_ask(c->controller);
    return false;
}

static void load(struct led_partition *led, int64_t now_us)
{
    ASSERT(!led->is_fetching);
    if (!find_end(led))
        load_later(led, now_us);
    else if (led->position.offset < led->end_offset)
        fetch_more(led);
    else if (is_handed_over(led, now_us))
        finish_loading(led, now_us);
    else
        load_later(led, now_us);
}

static void on_again(struct env_timer *timer, int64_t now_us)
{
    struct led_partition *led = CONTAINER_OF(timer, struct led_partition, again);
    if (led->shard.state == GROUP_SHARD_LOADING)
        load(led, now_us);
    else
        settle_doubts(led, now_us);
}

/* ---- taking office and leaving it ---------------------------------------------------------------------------------- */

static void take_office(struct group_coordinator *c, const struct image_topic *topic, int32_t partition, int64_t now_us)
{
    struct led_partition *led = mem_alloc(sizeof *led);
    led->owner = c;
    led->topic_id = topic->id;
    led->partition = partition;
    led->leader_epoch = topic->partitions[partition].leader_epoch;
    led->end_offset = NO_OFFSET;
    led->began_us = now_us;
    led->position = (struct fetch_position){.target = {.topic_id = topic->id, .partition = partition},
                                            .current_leader_epoch = led->leader_epoch,
                                            .last_fetched_epoch = -1,
                                            .log_start = -1,
                                            .bytes_max = LOAD_BYTES};
    group_shard_init(&led->shard, &c->config, env_random64(c->env));
    env_timer_init(&led->again, on_again);
    env_timer_init(&led->deadline, on_deadline);
    list_init(&led->appends);
    list_node_init(&led->to_store);
    c->led[partition] = led;
    load(led, now_us);
}

static void forget(struct led_partition *led)
{
    struct group_coordinator *c = led->owner;
    env_timer_clear(c->env, &led->again);
    env_timer_clear(c->env, &led->deadline);
    if (led->is_fetching) replica_manager_abandon_fetch(&led->fetch);
    if (list_is_linked(&led->to_store)) list_remove(&led->to_store);
    LIST_FOR_EACH (&c->stores, node) {
        struct store *store = CONTAINER_OF(node, struct store, node);
        if (store->led != led) continue;
        store->led = NULL;
        if (store->doubt_end != NO_OFFSET) store_destroy(store); /* the log has said its last word */
    }
    c->led[led->partition] = NULL;
    group_shard_deinit(&led->shard);
    mem_free(led);
}

static void leave_office(struct led_partition *led, int64_t now_us)
{
    struct group_event event = {.type = GROUP_EVENT_UNLOADED};
    list_init(&led->appends); /* the shard's own; it forgets them */
    step(led, &event, now_us);
    forget(led);
}

static bool is_led_here(const struct group_coordinator *c, const struct image_topic *topic, int32_t partition)
{
    return !c->is_stopped && topic && partition < topic->partition_count && topic->partitions[partition].leader == c->node_id;
}

static bool is_same_office(const struct led_partition *led, const struct image_topic *topic)
{
    return uuid_equal(led->topic_id, topic->id) && led->leader_epoch == topic->partitions[led->partition].leader_epoch;
}

static void grow(struct group_coordinator *c, int32_t count)
{
    size_t before = (size_t)c->led_count, more = (size_t)count - before;
    c->led = mem_realloc(c->led, (size_t)count, sizeof(*c->led));
    c->handovers = mem_realloc(c->handovers, (size_t)count, sizeof(*c->handovers));
    memset(c->led + before, 0, more * sizeof(*c->led));
    memset(c->handovers + before, 0, more * sizeof(*c->handovers));
    c->led_count = count;
}

/* The leader before may be another broker that does not know yet that its time is over; or leaders were skipped, and may have been anybody.
 */
static bool is_handover(const struct group_coordinator *c, const struct partition_change *change)
{
    int32_t epoch = partition_change_now(change)->leader_epoch;
    if (epoch == change->old_leader_epoch || (change->is_new && epoch == 0)) return false;
    if (change->is_new || epoch > change->old_leader_epoch + 1) return true;
    return change->old_leader != c->node_id && image_is_active(c->image, change->old_leader);
}

static void note_handovers(struct group_coordinator *c, const struct image_delta *delta, int64_t now_us)
{
    for (uint32_t i = 0; i < delta->partition_count; i++) {
        const struct partition_change *change = &delta->partitions[i];
        if (strcmp(change->topic->name, OFFSETS_TOPIC) == 0 && is_handover(c, change))
            c->handovers[change->partition] = (struct handover){.index = c->image->index, .seen_us = now_us};
    }
}

static void look_at_leaders(struct group_coordinator *c, const struct image_delta *delta, int64_t now_us)
{
    const struct image_topic *topic = image_topic_by_name(c->image, SLICE_LITERAL(OFFSETS_TOPIC));
    if (topic && topic->partition_count > c->led_count) grow(c, topic->partition_count);
    if (delta) note_handovers(c, delta, now_us);
    for (int32_t p = 0; p < c->led_count; p++) {
        bool is_here = is_led_here(c, topic, p);
        if (c->led[p] && !(is_here && is_same_office(c->led[p], topic))) leave_office(c->led[p], now_us);
        if (is_here && !c->led[p]) take_office(c, topic, p, now_us);
    }
}

static void tell_topic_deleted(struct group_coordinator *c, const struct image_topic *topic, int64_t now_us)
{
    for (int32_t p = 0; p < c->led_count; p++) {
        struct group_event event = {.type = GROUP_EVENT_TOPIC_DELETED,
                                    .topic = {.name = slice_make(topic->name, topic->name_size), .id = topic->id}};
        if (c->led[p] && c->led[p]->shard.state == GROUP_SHARD_ACTIVE) step(c->led[p], &event, now_us);
    }
}

static bool touches_offsets(const struct image_delta *delta)
{
    const char *last = NULL;
    for (uint32_t i = 0; i < delta->partition_count; i++) {
        const char *name = delta->partitions[i].topic->name;
        if (name != last && strcmp(name, OFFSETS_TOPIC) == 0) return true;
        last = name;
    }
    for (uint32_t i = 0; i < delta->topics_removed.count; i++)
        if (strcmp(delta->topics_removed.items[i]->name, OFFSETS_TOPIC) == 0) return true;
    return false;
}

void group_coordinator_apply(struct group_coordinator *c, const struct image_delta *delta, int64_t now_us)
{
    if (touches_offsets(delta)) look_at_leaders(c, delta, now_us);
    for (uint32_t i = 0; i < delta->topics_removed.count; i++) tell_topic_deleted(c, delta->topics_removed.items[i], now_us);
}

void group_coordinator_stop(struct group_coordinator *c, int64_t now_us)
{
    c->is_stopped = true;
    look_at_leaders(c, NULL, now_us);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static struct group_config config_of(const struct config *config)
{
    return (struct group_config){
        .group_initial_rebalance_delay_ms = (int32_t)config_number(config, CONFIG_GROUP_INITIAL_REBALANCE_DELAY_MS),
        .group_max_size = (int32_t)config_number(config, CONFIG_GROUP_MAX_SIZE),
        .group_min_session_timeout_ms = (int32_t)config_number(config, CONFIG_GROUP_MIN_SESSION_TIMEOUT_MS),
        .group_max_session_timeout_ms = (int32_t)config_number(config, CONFIG_GROUP_MAX_SESSION_TIMEOUT_MS),
        .offset_metadata_max_bytes = (int32_t)config_number(config, CONFIG_OFFSET_METADATA_MAX_BYTES),
        .offsets_commit_timeout_ms = (int32_t)config_number(config, CONFIG_OFFSETS_COMMIT_TIMEOUT_MS),
        .offsets_retention_ms = config_number(config, CONFIG_OFFSETS_RETENTION_MINUTES) * 60000,
        .offsets_retention_check_interval_ms = config_number(config, CONFIG_OFFSETS_RETENTION_CHECK_INTERVAL_MS),
        .bytes_max = GROUP_SHARD_BYTES_MAX,
    };
}

struct group_coordinator *group_coordinator_create(struct env *env, const struct config *config, const struct image *image,
                                                   struct replica_manager *replicas, struct controller_channel *controller, int32_t node_id)
{
    struct group_coordinator *c = mem_alloc(sizeof *c);
    c->env = env;
    c->image = image;
    c->replicas = replicas;
    c->controller = controller;
    c->node_id = node_id;
    c->config = config_of(config);
    c->snapshot_bytes_min = config_number(config, CONFIG_OFFSETS_TOPIC_SNAPSHOT_MIN_BYTES);
    c->turn_end.run = on_turn_end;
    list_init(&c->to_store);
    list_init(&c->stores);
    return c;
}

void group_coordinator_destroy(struct group_coordinator *c)
{
    if (!c) return;
    env_cancel_turn_end(c->env, &c->turn_end);
    for (int32_t p = 0; p < c->led_count; p++) ASSERT(c->led[p] == NULL);
    LIST_FOR_EACH (&c->stores, node) store_destroy(CONTAINER_OF(node, struct store, node));
    mem_free(c->led);
    mem_free(c->handovers);
    mem_free(c);
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static uint32_t next_code_point(struct slice text, size_t *at)
{
    static const uint8_t lead_bits[] = {0x7f, 0x1f, 0x0f, 0x07};
    uint8_t lead = text.p[(*at)++];
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    uint32_t code = lead & lead_bits[more];
    for (; more > 0 && *at < text.n; more--) code = code << 6 | (text.p[(*at)++] & 0x3f);
    return code;
}

int32_t java_string_hash(struct slice text)
{
    uint32_t hash = 0;
    for (size_t at = 0; at < text.n;) {
        uint32_t code = next_code_point(text, &at);
        if (code >= 0x10000) {
            hash = 31 * hash + (0xd800 + ((code - 0x10000) >> 10));
            code = 0xdc00 + ((code - 0x10000) & 0x3ff);
        }
        hash = 31 * hash + code;
    }
    return (int32_t)hash;
}

enum kafka_error group_coordinator_partition(const struct group_coordinator *c, struct slice group_id, int32_t *partition)
{
    const struct image_topic *topic = image_topic_by_name(c->image, SLICE_LITERAL(OFFSETS_TOPIC));
    int32_t hash = java_string_hash(group_id);
    if (!topic) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    *partition = (hash == INT32_MIN ? 0 : hash < 0 ? -hash : hash) % topic->partition_count;
    return KAFKA_NONE;
}

static struct led_partition *find_led(const struct group_coordinator *c, struct slice group_id, enum kafka_error *error)
{
    int32_t partition = 0;
    *error = group_coordinator_partition(c, group_id, &partition);
    struct led_partition *led = !*error && partition < c->led_count ? c->led[partition] : NULL;
    if (!led)
        *error = KAFKA_NOT_COORDINATOR;
    else if (led->shard.state == GROUP_SHARD_LOADING)
        *error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    return *error ? NULL : led;
}

/* What members are told while their group is being loaded, as Kafka does: a heartbeat need not worry; a rebalance that was under way
 * is lost, so who syncs must join again. */
static enum kafka_error soften(enum group_request_type type, enum kafka_error error)
{
    if (error != KAFKA_COORDINATOR_LOAD_IN_PROGRESS) return error;
    if (type == GROUP_HEARTBEAT) return KAFKA_NONE;
    return type == GROUP_SYNC ? KAFKA_REBALANCE_IN_PROGRESS : error;
}

void group_coordinator_send(struct group_coordinator *c, struct group_call *call, int64_t now_us)
{
    enum kafka_error error;
    struct led_partition *led = find_led(c, call->request.group_id, &error);
    if (!led) {
        error = soften(call->request.type, error);
        if (error) group_request_fail(&call->request, error); /* an answer is a good one until it is failed */
        call->done(call, now_us);
        return;
    }
    struct group_event event = {.type = GROUP_EVENT_REQUEST, .request = &call->request};
    event.random[0] = env_random64(c->env);
    event.random[1] = env_random64(c->env);
    call->request.is_unsure = !is_sure(c);
    if (call->request.is_unsure) env_mark(c->env, "groups: no lease");
    step(led, &event, now_us);
}

const struct group_shard *group_coordinator_shard(const struct group_coordinator *c, struct slice group_id, enum kafka_error *error)
{
    const struct led_partition *led = find_led(c, group_id, error);
    if (led && !is_sure(c)) *error = KAFKA_NOT_COORDINATOR;
    return *error ? NULL : &led->shard;
}

const struct group_shard *group_coordinator_next(const struct group_coordinator *c, uint32_t *position)
{
    while (*position < (uint32_t)c->led_count) {
        const struct led_partition *led = c->led[(*position)++];
        if (led && led->shard.state == GROUP_SHARD_ACTIVE) return &led->shard;
    }
    return NULL;
}

enum kafka_error group_coordinator_check_all(const struct group_coordinator *c)
{
    for (int32_t p = 0; p < c->led_count; p++) {
        if (!c->led[p]) continue;
        if (c->led[p]->shard.state == GROUP_SHARD_LOADING) return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
        if (!is_sure(c)) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    return KAFKA_NONE;
}
