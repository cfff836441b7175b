/* Life, metadata and the state machines of all partitions of a node. See replica_manager.h. */
#include "broker/node/replica_fetcher.h"
#include "broker/node/replica_internal.h"
#include "common/checked.h"
#include "common/mem.h"

#include <stdio.h>

#define TICKS_PER_LAG 4 /* a lagging follower is seen this often within replica.lag.time.max.ms, at worst a quarter late */

#define STOP_AGAIN_US    2000
#define STOP_PATIENCE_US 3000000 /* a disk that needs longer to end a stop gets a recovery instead of a clean mark */

static void on_stop(struct env_timer *timer, int64_t now_us);

const struct replica_manager_options replica_manager_options_default = {
    .node_id = -1,
    .flush_stall_ms = 10000,
    .replica_lag_max_ms = 30000,
    .fetch_wait_max_ms = 500,
    .fetch_partition_bytes = 1 << 20,
    .fetch_response_bytes = 10 << 20,
    .fetch_backoff_ms = 1000,
    .socket_timeout_ms = 30000,
    .checkpoint_interval_ms = 5000,
    .retention_check_ms = 300000,
    .fetch_sessions_max = FETCH_SESSIONS_MAX,
    .open_files_max = 512,
    .tail_bytes_max = 16 << 20,
    .throttled_rates = {INT64_MAX, INT64_MAX},
};

/* ---- finding ---- */

struct replica *replica_find(const struct replica_manager *m, struct uuid topic_id, int32_t partition)
{
    struct fetch_target target = {topic_id, partition};
    return map_get(&m->replicas, MAP_KEY(&target));
}

enum kafka_error replica_absent_error(const struct replica_manager *m, struct uuid topic_id, int32_t partition)
{
    if (!image_topic_by_id(m->image, topic_id)) return KAFKA_UNKNOWN_TOPIC_ID;
    return image_partition_get(m->image, topic_id, partition) ? KAFKA_NOT_LEADER_OR_FOLLOWER : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

void replica_leader_hint(const struct replica_manager *m, struct uuid topic_id, int32_t partition, enum kafka_error error,
                         int32_t *leader_id, int32_t *leader_epoch)
{
    *leader_id = *leader_epoch = -1;
    if (error != KAFKA_NOT_LEADER_OR_FOLLOWER && error != KAFKA_FENCED_LEADER_EPOCH) return;
    const struct image_partition *p = image_partition_get(m->image, topic_id, partition);
    if (!p) return;
    *leader_id = p->leader;
    *leader_epoch = p->leader_epoch;
}

int64_t replica_visible_end(const struct replica *replica, bool is_read_committed)
{
    int64_t unstable = is_read_committed ? plog_first_unstable(replica->log) : -1;
    return unstable < 0 ? replica->partition.high_watermark : min_i64(unstable, replica->partition.high_watermark);
}

/* ---- effects of a step ---- */

static void on_isr_answer(struct alter_partition *item, int64_t now_us)
{
    struct replica *replica = item->user;
    struct partition_event event = {
        .type = PARTITION_ISR_ANSWERED,
        .now_us = now_us,
        .isr_answered = {.proposal = item->proposal, .error = item->error},
    };
    replica->alter = NULL;
    mem_free(item);
    replica_feed(replica, &event);
}

static void cancel_proposal(struct replica *replica)
{
    if (!replica->alter) return;
    controller_channel_cancel_alter(replica->manager->channel, replica->alter);
    mem_free(replica->alter);
    replica->alter = NULL;
}

static void send_proposal(struct replica *replica, const struct isr_proposal *proposal)
{
    struct replica_manager *m = replica->manager;
    cancel_proposal(replica); /* metadata has overtaken it */
    struct alter_partition *item = mem_alloc(sizeof *item);
    item->topic_id = replica->target.topic_id;
    item->partition = replica->target.partition;
    item->proposal = *proposal;
    item->done = on_isr_answer;
    item->user = replica;
    const struct partition *p = &replica->partition;
    for (size_t i = 0; i < p->replica_count; i++) {
        if (!isr_has(proposal->isr, i)) continue;
        int64_t epoch = i == p->local ? m->broker_epoch : p->replicas[i].broker_epoch;
        item->members[item->member_count++] = (struct alter_partition_member){p->replicas[i].id, epoch};
    }
    replica->alter = item;
    controller_channel_alter_partition(m->channel, item);
}

static void list_isr(const struct partition *p, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < p->replica_count && used < size; i++)
        if (isr_has(p->isr, i)) used += (size_t)snprintf(text + used, size - used, "%s%d", used ? "," : "", p->replicas[i].id);
}

static void log_changes(const struct replica *replica, unsigned changed)
{
    const struct partition *p = &replica->partition;
    const struct logger *logger = env_logger(replica->manager->env);
    char isr[256];
    if (!(changed & (PARTITION_ISR_CHANGED | PARTITION_ROLE_CHANGED)) || logger->level > LOG_DEBUG) return;
    list_isr(p, isr, sizeof isr);
    log_line(logger, LOG_DEBUG, "replica",
             "%s: %s, leader %d, epoch %d/%d, in sync %s, offsets %lld to %lld, high watermark %lld, durable %lld", plog_name(replica->log),
             partition_role_name(p->role), p->leader_id, p->leader_epoch, p->partition_epoch, isr, (long long)p->log_start,
             (long long)p->log_end, (long long)p->high_watermark, (long long)p->durable_end);
}

void replica_feed(struct replica *replica, const struct partition_event *event)
{
    struct partition_actions actions;
    bool could_fetch = partition_can_fetch(&replica->partition);
    int in_sync = isr_count(replica->partition.isr);
    partition_step(&replica->partition, event, &actions);
    LIST_FOR_EACH (&actions.completed, node) {
        list_remove(node);
        replica_produce_complete(CONTAINER_OF(node, struct produce_waiter, node));
    }
    log_changes(replica, actions.changed);
    if (actions.changed & PARTITION_ISR_CHANGED) replica_count_isr(replica, in_sync);
    if (actions.propose) send_proposal(replica, &actions.proposal);
    if (actions.changed) replica_fetch_wake(replica);
    if (actions.changed & PARTITION_START_MOVED) replica_retain_soon(replica);
    /* The leader may be asked whether every replica has given records up for good. */
    if ((actions.changed & PARTITION_START_MOVED) && replica->partition.role == PARTITION_FOLLOWER) replica_want_durable_start(replica);
    replica_check_deletions(replica);
    if (!replica->partition.settings->counts_unflushed && partition_needs_flush(&replica->partition)) replica_want_flush(replica);
    if (!could_fetch && partition_can_fetch(&replica->partition)) replica_fetcher_on_durable(replica);
}

void replica_feed_log(struct replica *replica, enum partition_event_type type, int64_t offset)
{
    struct partition_event event = {
        .type = type,
        .now_us = env_now_us(replica->manager->env),
        .log = {.offset = offset, .truncations = replica->partition.truncations},
    };
    replica_feed(replica, &event);
}

/* ---- replicas come and go ---- */

static struct log_dir *emptiest_dir(const struct replica_manager *m)
{
    struct log_dir *best = NULL;
    for (size_t i = 0; i < m->dir_count; i++)
        if (m->dirs[i]->is_online && (!best || m->dirs[i]->log_count < best->log_count)) best = m->dirs[i];
    return best;
}

/* The log that was found at the start, or a new one. */
static int64_t attach_log(struct replica *replica, const struct image_topic *topic)
{
    struct replica_manager *m = replica->manager;
    struct orphan *orphan = replica_claim_orphan(m, topic->name, replica->target.partition, topic->id);
    int64_t high_watermark = 0;
    if (orphan) {
        replica->log = orphan->log;
        replica->dir = orphan->dir;
        high_watermark = orphan->high_watermark;
        plog_configure(replica->log, &replica->settings.log);
        mem_free(orphan);
    } else {
        replica->dir = emptiest_dir(m);
        ASSERT(replica->dir != NULL);
        replica->log = plog_create(&m->logs, replica->dir->path, topic->name, replica->target.partition, topic->id, &replica->settings.log);
    }
    replica->dir->log_count++;
    return high_watermark;
}

static void configure(struct replica *replica)
{
    struct partition_event event = {.type = PARTITION_CONFIGURED,
                                    .now_us = env_now_us(replica->manager->env),
                                    .configured = {.min_insync = (int32_t)min_i64(replica->settings.min_insync, REPLICAS_MAX)}};
    replica_feed(replica, &event);
}

/* The checkpoints know logs by name: after a crash, what they say of one that has gone would be read as a claim on the next of that name,
 * whose end lies below. So a new log waits until they have forgotten. */
static bool may_attach(struct replica_manager *m, const struct image_topic *topic, int32_t partition)
{
    if (replica_has_orphan(m, topic->name, partition, topic->id) || !replica_has_stale_claims(m)) return true;
    if (!m->awaits_checkpoint) env_timer_set(m->env, &m->checkpoint, env_now_us(m->env));
    m->awaits_checkpoint = true;
    return false;
}

static void take_throttles(struct replica *replica, const struct image_topic *topic)
{
    for (int side = 0; side < THROTTLE_SIDES; side++)
        replica->is_throttled[side] =
            replica_throttle_names(topic, replica->target.partition, replica->manager->options.node_id, (enum throttle_side)side);
}

static struct replica *create_replica(struct replica_manager *m, const struct image_topic *topic, int32_t partition)
{
    if (!emptiest_dir(m) || !may_attach(m, topic, partition)) return NULL;
    struct replica *replica = mem_alloc(sizeof *replica);
    replica->manager = m;
    replica->target = (struct fetch_target){topic->id, partition};
    list_init(&replica->produced);
    list_init(&replica->watchers);
    list_init(&replica->deletions);
    producer_gaps_init(&replica->gaps, env_random64(m->env));
    topic_settings_resolve(&m->options.topic_defaults, m->image, m->options.node_id, topic, &replica->settings);
    take_throttles(replica, topic);
    int64_t high_watermark = attach_log(replica, topic);
    struct plog *log = replica->log;
    replica->durable_start = replica->writing_start = plog_start(log);
    partition_init(&replica->partition, &m->partition_settings, topic->id, partition, plog_start(log), plog_end(log), plog_flushed_end(log),
                   high_watermark);
    map_put(&m->replicas, MAP_KEY(&replica->target), replica);
    replica->traffic = topic_traffic_ref(&m->counters, topic->id);
    list_push_back(&m->all, &replica->in_manager);
    configure(replica);
    return replica;
}

/* Takes the replica out of everything but the log. */
static void retire(struct replica *replica, enum partition_event_type why)
{
    replica_refuse_queued(replica, KAFKA_NOT_LEADER_OR_FOLLOWER);
    replica_fetcher_forget(replica);
    struct partition_event event = {.type = why, .now_us = env_now_us(replica->manager->env)};
    replica_feed(replica, &event);
    cancel_proposal(replica);
    replica_forget_flush(replica);
}

static void free_replica(struct replica *replica)
{
    replica_fetch_unwatch(replica);
    if (list_is_linked(&replica->to_retain)) list_remove(&replica->to_retain);
    map_remove(&replica->manager->replicas, MAP_KEY(&replica->target));
    list_remove(&replica->in_manager);
    partition_deinit(&replica->partition);
    topic_traffic_unref(&replica->manager->counters, replica->traffic);
    producer_gaps_deinit(&replica->gaps);
    mem_free(replica);
}

static void delete_replica(struct replica *replica)
{
    retire(replica, PARTITION_REMOVED);
    struct log_dir *dir = replica->dir;
    dir->log_count--;
    replica_delete_log(replica);
    free_replica(replica);
    replica_drop_claims(dir);
}

/* ---- metadata ---- */

static void assign(struct replica *replica, const struct image_partition *now)
{
    struct replica_manager *m = replica->manager;
    struct partition_member members[REPLICAS_MAX];
    struct node_ids replicas = image_replicas(now), isr = image_isr(now), elr = image_elr(now);
    ASSERT(replicas.count <= REPLICAS_MAX);
    for (uint32_t i = 0; i < replicas.count; i++) {
        const struct image_broker *broker = image_broker_get(m->image, replicas.ids[i]);
        members[i] = (struct partition_member){.id = replicas.ids[i],
                                               .is_eligible = image_broker_is_active(broker),
                                               .is_electable = node_ids_contain(elr, replicas.ids[i]),
                                               .broker_epoch = broker ? broker->epoch : -1};
    }
    struct partition_event event = {
        .type = PARTITION_ASSIGNED,
        .now_us = env_now_us(m->env),
        .assigned = {.leader_id = now->leader,
                     .leader_epoch = now->leader_epoch,
                     .partition_epoch = now->partition_epoch,
                     .members = members,
                     .member_count = replicas.count,
                     .isr = isr.ids,
                     .isr_count = isr.count},
    };
    replica_feed(replica, &event);
    replica_fetcher_assign(replica);
}

/* We have said so when the directory failed; but a fetch of before, that came late, may have brought the replica back into the ISR. */
static void report_lost(struct replica *replica, const struct image_partition *now)
{
    struct replica_manager *m = replica->manager;
    int32_t id = m->options.node_id;
    bool is_counted_on = node_ids_contain(image_isr(now), id) || node_ids_contain(image_elr(now), id);
    if (is_counted_on && m->channel) controller_channel_on_offline(m->channel, &replica->target, 1);
}

static void apply_partition(struct replica_manager *m, const struct image_topic *topic, int32_t partition)
{
    const struct image_partition *now = &topic->partitions[partition];
    struct replica *replica = replica_find(m, topic->id, partition);
    if (!node_ids_contain(image_replicas(now), m->options.node_id)) {
        if (replica) delete_replica(replica);
        return;
    }
    if (!replica) replica = create_replica(m, topic, partition);
    if (!replica) return;
    if (replica->partition.role == PARTITION_OFFLINE)
        report_lost(replica, now);
    else
        assign(replica, now);
}

void replica_begin_anew(struct replica *replica)
{
    struct replica_manager *m = replica->manager;
    struct fetch_target target = replica->target;
    ASSERT(replica->partition.role == PARTITION_FOLLOWER);
    log_line(env_logger(m->env), LOG_WARN, "replica", "%s: our log starts at %lld, above the end of leader %d's history: beginning anew",
             plog_name(replica->log), (long long)replica->partition.log_start, replica->partition.leader_id);
    env_mark(m->env, "a follower began anew");
    delete_replica(replica);
    const struct image_topic *topic = image_topic_by_id(m->image, target.topic_id);
    if (topic) apply_partition(m, topic, target.partition);
}

static void apply_removed_topic(struct replica_manager *m, const struct image_topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct replica *replica = replica_find(m, topic->id, i);
        if (replica) delete_replica(replica);
    }
}

static void reconfigure(struct replica *replica, const struct image_topic *topic)
{
    struct replica_manager *m = replica->manager;
    topic_settings_resolve(&m->options.topic_defaults, m->image, m->options.node_id, topic, &replica->settings);
    plog_configure(replica->log, &replica->settings.log);
    take_throttles(replica, topic);
    replica_fetcher_on_throttle(replica);
    configure(replica);
}

static void apply_topic_config(struct replica_manager *m, const struct image_topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct replica *replica = replica_find(m, topic->id, i);
        if (replica && replica->partition.role != PARTITION_OFFLINE) reconfigure(replica, topic);
    }
}

static void take_rates(struct replica_manager *m)
{
    for (int side = 0; side < THROTTLE_SIDES; side++)
        m->throttles[side].rate =
            replica_throttle_rate(m->image, m->options.node_id, (enum throttle_side)side, m->options.throttled_rates[side]);
}

/* Cluster-wide or node-wide defaults changed. */
static void apply_broker_configs(struct replica_manager *m)
{
    take_rates(m);
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        const struct image_topic *topic = image_topic_by_id(m->image, replica->target.topic_id);
        if (topic && replica->partition.role != PARTITION_OFFLINE) reconfigure(replica, topic);
    }
}

/* Who may join an ISR has changed, and where leaders are. */
static void apply_brokers(struct replica_manager *m, const struct broker_list *brokers)
{
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        const struct fetch_target *target = &replica->target;
        const struct image_partition *now = image_partition_get(m->image, target->topic_id, target->partition);
        if (now && replica->partition.role == PARTITION_LEADER) assign(replica, now);
    }
    for (uint32_t i = 0; i < brokers->count; i++) replica_fetchers_on_broker(m, brokers->ids[i]);
}

void replica_manager_apply(struct replica_manager *m, const struct image_delta *delta)
{
    if (!m->is_started || m->is_closing) return;
    for (uint32_t i = 0; i < delta->topics_removed.count; i++) apply_removed_topic(m, delta->topics_removed.items[i]);
    for (uint32_t i = 0; i < delta->topics_configured.count; i++) apply_topic_config(m, delta->topics_configured.items[i]);
    /* Before the partitions: a raised minimum holds for an ISR that shrinks with it. */
    if (delta->broker_configs.count) apply_broker_configs(m);
    for (uint32_t i = 0; i < delta->partition_count; i++) apply_partition(m, delta->partitions[i].topic, delta->partitions[i].partition);
    if (delta->brokers.count) apply_brokers(m, &delta->brokers);
}

static void delete_unknown_replicas(struct replica_manager *m)
{
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (!image_partition_get(m->image, replica->target.topic_id, replica->target.partition)) delete_replica(replica);
    }
}

void replica_manager_apply_all(struct replica_manager *m)
{
    if (!m->is_started || m->is_closing) return;
    delete_unknown_replicas(m);
    const struct image_topic *topic = NULL;
    for (uint32_t at = 0; (topic = image_next_topic(m->image, &at)) != NULL;) {
        apply_topic_config(m, topic);
        for (int32_t i = 0; i < topic->partition_count; i++) apply_partition(m, topic, i);
    }
    const struct image_broker *broker = NULL;
    for (uint32_t at = 0; (broker = image_next_broker(m->image, &at)) != NULL;) replica_fetchers_on_broker(m, broker->id);
}

void replica_manager_start(struct replica_manager *m, int64_t broker_epoch)
{
    ASSERT(m->channel != NULL);
    ASSERT(broker_epoch > m->broker_epoch);
    if (m->is_closing) return; /* nobody claims the logs any more: that makes none of them a stray */
    bool is_first = !m->is_started;
    m->broker_epoch = broker_epoch;
    m->is_started = true;
    take_rates(m);
    replica_manager_apply_all(m);
    if (is_first) replica_set_aside_orphans(m);
}

/* ---- time ---- */

static void set_timer(struct replica_manager *m, struct env_timer *timer, int64_t after_ms)
{
    env_timer_set(m->env, timer, saturating_add_i64(env_now_us(m->env), after_ms * 1000));
}

static void on_tick(struct env_timer *timer, int64_t now_us)
{
    struct replica_manager *m = CONTAINER_OF(timer, struct replica_manager, tick);
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        struct partition_event event = {.type = PARTITION_TICK, .now_us = now_us};
        if (partition_is_leader(&replica->partition)) replica_feed(replica, &event);
    }
    set_timer(m, timer, max_i64(1, m->options.replica_lag_max_ms / TICKS_PER_LAG));
}

static void on_checkpoint(struct env_timer *timer, int64_t now_us)
{
    (void)now_us;
    struct replica_manager *m = CONTAINER_OF(timer, struct replica_manager, checkpoint);
    replica_write_checkpoints(m);
    replica_write_epochs(m);
    set_timer(m, timer, m->options.checkpoint_interval_ms);
}

/* Appends, then the commit rounds that make them durable, then readers, then answers. What the answers bring about runs in
 * another round of the same turn. */
static void on_turn_end(struct env_turn_end *turn_end, int64_t now_us)
{
    struct replica_manager *m = CONTAINER_OF(turn_end, struct replica_manager, turn_end);
    struct list_node *node = NULL;
    while ((node = list_pop_front(&m->to_append)) != NULL) replica_append_queued(CONTAINER_OF(node, struct replica, to_append), now_us);
    replica_retain_queued(m);
    replica_start_commits(m);
    replica_write_wanted_starts(m);
    replica_fetch_run_woken(m, now_us);
    while ((node = list_pop_front(&m->produced)) != NULL) {
        struct replica_produce *request = CONTAINER_OF(node, struct replica_produce, node);
        request->done(request, now_us);
    }
    while ((node = list_pop_front(&m->fetched)) != NULL) {
        struct replica_fetch *request = CONTAINER_OF(node, struct replica_fetch, node);
        request->done(request, now_us);
    }
    while ((node = list_pop_front(&m->deleted)) != NULL) {
        struct replica_delete_records *request = CONTAINER_OF(node, struct replica_delete_records, node);
        request->done(request, now_us);
    }
    while ((node = list_pop_front(&m->listed)) != NULL) {
        struct replica_list_offset *request = CONTAINER_OF(node, struct replica_list_offset, node);
        request->done(request, now_us);
    }
}

/* ---- life ---- */

static void init_lists(struct replica_manager *m)
{
    struct list *lists[] = {&m->all,    &m->orphan_list, &m->to_append, &m->to_retain, &m->produces, &m->produced,
                            &m->parked, &m->woken,       &m->fetched,   &m->listing,   &m->listed,   &m->deleted};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) list_init(lists[i]);
    struct map *maps[] = {&m->replicas, &m->orphans, &m->fetchers};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) map_init(maps[i], env_random64(m->env));
}

static void start_timers(struct replica_manager *m)
{
    m->turn_end.run = on_turn_end;
    env_timer_init(&m->tick, on_tick);
    env_timer_init(&m->checkpoint, on_checkpoint);
    env_timer_init(&m->retention, replica_on_retention);
    env_timer_init(&m->stop.timer, on_stop);
    set_timer(m, &m->tick, max_i64(1, m->options.replica_lag_max_ms / TICKS_PER_LAG));
    set_timer(m, &m->checkpoint, m->options.checkpoint_interval_ms);
    set_timer(m, &m->retention, m->options.retention_check_ms);
}

enum err replica_manager_create(struct env *env, const struct replica_manager_options *options, const struct image *image,
                                struct replica_manager **out, char reason[REPLICA_REASON_MAX])
{
    ASSERT(options->node_id >= 0);
    ASSERT(options->log_dir_count > 0 && options->log_dir_count <= LOG_DIRS_MAX);
    *out = NULL;
    struct replica_manager *m = mem_alloc(sizeof *m);
    m->env = env;
    m->options = *options;
    m->image = image;
    m->broker_epoch = -1;
    m->partition_settings = (struct partition_settings){
        .local_id = options->node_id, .counts_unflushed = options->counts_unflushed, .lag_max_us = options->replica_lag_max_ms * 1000};
    init_lists(m);
    replica_counters_init(&m->counters, env_random64(env));
    plog_shared_init(&m->logs, env, options->open_files_max, options->tail_bytes_max);
    fetch_session_cache_init(&m->sessions, options->fetch_sessions_max, env_random64(env), replica_fetch_session_ended, m);
    start_timers(m);
    enum err err = replica_manager_recover(m, reason);
    if (err != ERR_OK) {
        replica_manager_destroy(m);
        return err;
    }
    *out = m;
    return ERR_OK;
}

void replica_manager_set_channel(struct replica_manager *m, struct controller_channel *channel) { m->channel = channel; }

static void stop_timers(struct replica_manager *m)
{
    env_timer_clear(m->env, &m->tick);
    env_timer_clear(m->env, &m->checkpoint);
    env_timer_clear(m->env, &m->retention);
    env_timer_clear(m->env, &m->stop.timer);
}

/* Closes what can be closed; ERR_AGAIN while a disk works for one of the logs. */
static enum err close_logs(struct replica_manager *m, struct log_dir *dir)
{
    enum err err = log_dir_is_busy(dir) ? ERR_AGAIN : ERR_OK;
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (err == ERR_OK && replica->dir == dir) err = plog_close_clean(replica->log);
    }
    LIST_FOR_EACH (&m->orphan_list, node) {
        struct orphan *orphan = CONTAINER_OF(node, struct orphan, node);
        if (err == ERR_OK && orphan->dir == dir) err = plog_close_clean(orphan->log);
    }
    return err;
}

static bool mark_clean(struct replica_manager *m, struct log_dir *dir)
{
    return replica_write_checkpoints_wait(dir) &&
           file_replace_wait(m->env, dir->path, CHECKPOINT_CLEAN_SHUTDOWN, SLICE_LITERAL("{\"version\":0}")) == ERR_OK;
}

static void on_stop(struct env_timer *timer, int64_t now_us)
{
    struct replica_manager *m = CONTAINER_OF(timer, struct replica_manager, stop.timer);
    bool is_clean = true, must_wait = false;
    for (size_t i = 0; i < m->dir_count; i++) {
        enum err err = m->dirs[i]->is_online ? close_logs(m, m->dirs[i]) : ERR_IO;
        is_clean &= err == ERR_OK;
        must_wait |= err == ERR_AGAIN;
    }
    if (must_wait && now_us < m->stop.deadline_us) {
        env_timer_set(m->env, timer, now_us + STOP_AGAIN_US);
        return;
    }
    for (size_t i = 0; is_clean && i < m->dir_count; i++) is_clean = mark_clean(m, m->dirs[i]);
    m->stop.done(m->stop.user, is_clean);
}

void replica_manager_stop(struct replica_manager *m, void (*done)(void *user, bool is_clean), void *user)
{
    ASSERT(!m->is_closing);
    m->is_closing = true;
    stop_timers(m);
    LIST_FOR_EACH (&m->all, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        if (replica->partition.role != PARTITION_OFFLINE) retire(replica, PARTITION_REMOVED);
    }
    replica_fetch_finish_all(m);
    replica_manager_schedule(m);
    m->stop.done = done;
    m->stop.user = user;
    m->stop.deadline_us = saturating_add_i64(env_now_us(m->env), STOP_PATIENCE_US);
    env_timer_set(m->env, &m->stop.timer, env_now_us(m->env) + 1);
}

static void destroy_replica(struct replica *replica)
{
    LIST_FOR_EACH (&replica->partition.produce.waiters, node) list_remove(node);
    cancel_proposal(replica);
    replica_drop_deletions(replica);
    replica_forget_flush(replica);
    plog_abandon(replica->log);
    free_replica(replica);
}

static void drop_requests(struct replica_manager *m)
{
    LIST_FOR_EACH (&m->produces, node) {
        struct replica_produce *request = CONTAINER_OF(node, struct replica_produce, node);
        env_timer_clear(m->env, &request->timer);
        list_remove(node);
    }
    LIST_FOR_EACH (&m->fetched, node) replica_manager_release_fetch(CONTAINER_OF(node, struct replica_fetch, node));
    LIST_FOR_EACH (&m->listing, node) replica_manager_abandon_list_offset(CONTAINER_OF(node, struct replica_list_offset, node));
    struct list *lists[] = {&m->produced, &m->fetched, &m->listed, &m->deleted};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        while (list_pop_front(lists[i]) != NULL) continue;
}

void replica_manager_destroy(struct replica_manager *m)
{
    m->is_closing = true;
    stop_timers(m);
    replica_fetchers_destroy(m);
    replica_fetch_finish_all(m);
    LIST_FOR_EACH (&m->all, node) replica_refuse_queued(CONTAINER_OF(node, struct replica, in_manager), KAFKA_NOT_LEADER_OR_FOLLOWER);
    drop_requests(m);
    LIST_FOR_EACH (&m->all, node) destroy_replica(CONTAINER_OF(node, struct replica, in_manager));
    replica_drop_orphans(m);
    fetch_session_cache_deinit(&m->sessions);
    env_cancel_turn_end(m->env, &m->turn_end);
    for (size_t i = 0; i < m->dir_count; i++) replica_abandon_dir(m->dirs[i]);
    plog_shared_deinit(&m->logs);
    map_deinit(&m->replicas);
    map_deinit(&m->orphans);
    map_deinit(&m->fetchers);
    replica_counters_deinit(&m->counters);
    mem_free(m->damaged);
    mem_free(m);
}

/* ---- looking at it ---- */

static struct replica_info info_of(const struct replica *replica)
{
    const struct partition *p = &replica->partition;
    return (struct replica_info){
        .role = p->role,
        .leader_id = p->leader_id,
        .leader_epoch = p->leader_epoch,
        .partition_epoch = p->partition_epoch,
        .log_start = p->log_start,
        .log_end = p->log_end,
        .durable_end = p->durable_end,
        .high_watermark = p->high_watermark,
        .size_bytes = plog_size(replica->log),
        .replica_count = p->replica_count,
        .isr_count = (size_t)isr_count(p->isr),
        .is_under_min_isr = p->replica_count > 0 && isr_count(p->isr) < isr_effective_minimum(p->min_insync, p->replica_count),
        .directory_id = replica->dir->meta.directory_id,
    };
}

bool replica_manager_info(const struct replica_manager *m, struct uuid topic_id, int32_t partition, struct replica_info *info)
{
    const struct replica *replica = replica_find(m, topic_id, partition);
    if (!replica) return false;
    *info = info_of(replica);
    return true;
}

size_t replica_manager_count(const struct replica_manager *m) { return map_count(&m->replicas); }

void replica_manager_each(const struct replica_manager *m,
                          void (*each)(void *context, struct uuid topic_id, int32_t partition, const struct replica_info *info),
                          void *context)
{
    LIST_FOR_EACH (&m->all, node) {
        const struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        struct replica_info info = info_of(replica);
        each(context, replica->target.topic_id, replica->target.partition, &info);
    }
}
