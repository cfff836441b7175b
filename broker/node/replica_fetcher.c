/* See replica_fetcher.h. */
#include "broker/node/replica_fetcher.h"

#include "common/checked.h"
#include "common/mem.h"
#include "proto/channel.h"
#include "proto/codec.h"

#include <stdio.h>

#define FETCH_API_VERSION     17    /* topic ids, replica state, directory ids */
#define FETCHES_OUT_MAX       2     /* the long poll, and one that brings news and ends it */
#define HOLD_US               2000  /* a flush that is nearly done saves the request that would only wait */
#define BACKOFF_FIRST_US      10000 /* failover: the new leader learns of its office about as fast as its followers */
#define CONNECT_TIMEOUT_US    3000000
#define FETCH_FRAME_BYTES_MAX (1 << 30) /* the leader is one of us; a first batch may be larger than what was asked for */

struct fetch_call {
    struct channel_call call;
    struct replica_fetcher *fetcher;
    uint64_t serial;
    uint64_t session; /* the fetcher's count of sessions when it was sent */
    bool is_full;
};

struct replica_fetcher {
    struct replica_manager *manager;
    int32_t leader_id; /* key in the map */
    char host[HOST_MAX + 1];
    uint16_t port;
    int64_t leader_broker_epoch;
    struct channel *channel; /* NULL: not open */
    struct fetch_call calls[FETCHES_OUT_MAX];
    size_t out;
    uint64_t serial;

    uint64_t sessions; /* begun so far */
    int32_t session_id, session_epoch;
    bool is_beginning; /* the full fetch of this session is out */
    struct fetch_target *forgotten;
    size_t forgotten_count, forgotten_capacity;

    struct list replicas;
    struct list ready, delayed;
    size_t counts[REPLICA_FETCH_DELAYED + 1]; /* replicas by state */

    struct env_turn_end pump;
    struct env_timer timer;
    int64_t hold_until_us, reconnect_at_us;
    uint32_t failures;
};

static void schedule(struct replica_fetcher *f) { env_at_turn_end(f->manager->env, &f->pump); }

static int64_t backoff_us(const struct replica_manager *m, uint32_t failures)
{
    int64_t first = BACKOFF_FIRST_US, last = max_i64(m->options.fetch_backoff_ms * 1000, first);
    return failures > 16 ? last : min_i64(first << failures, last);
}

/* ---- states of a replica ---- */

static void set_state(struct replica *replica, enum replica_fetch_state state)
{
    struct replica_fetch_view *view = &replica->fetch;
    struct replica_fetcher *f = view->fetcher;
    ASSERT(f != NULL);
    if (list_is_linked(&view->in_state)) list_remove(&view->in_state);
    f->counts[view->state]--;
    f->counts[state]++;
    view->state = state;
    if (state == REPLICA_FETCH_READY) list_push_back(&f->ready, &view->in_state);
    if (state == REPLICA_FETCH_DELAYED) list_push_back(&f->delayed, &view->in_state);
    schedule(f);
}

static void delay(struct replica *replica)
{
    struct replica_manager *m = replica->manager;
    replica->fetch.delayed_until_us = env_now_us(m->env) + backoff_us(m, replica->fetch.failures++);
    set_state(replica, REPLICA_FETCH_DELAYED);
}

/* KIP-73: the throttle that it is under; NULL: none. Who is in sync stays so. */
static struct replica_throttle *throttle_of(const struct replica *replica)
{
    const struct partition *p = &replica->partition;
    bool is_under = replica->is_throttled[THROTTLE_FOLLOWER] && !isr_has(p->isr, p->local);
    return is_under ? &replica->manager->throttles[THROTTLE_FOLLOWER] : NULL;
}

static void make_ready_or_busy(struct replica *replica)
{
    struct replica_throttle *throttle = throttle_of(replica);
    int64_t held_us = throttle ? replica_throttle_wait_us(throttle, env_now_us(replica->manager->env)) : 0;
    if (!partition_can_fetch(&replica->partition)) {
        set_state(replica, REPLICA_FETCH_BUSY);
    } else if (held_us > 0) {
        replica->fetch.delayed_until_us = env_now_us(replica->manager->env) + held_us;
        set_state(replica, REPLICA_FETCH_DELAYED);
    } else {
        set_state(replica, REPLICA_FETCH_READY);
    }
}

static struct replica *replica_in_state(struct list_node *node) { return CONTAINER_OF(node, struct replica, fetch.in_state); }

static void wake_delayed(struct replica_fetcher *f, int64_t now_us)
{
    LIST_FOR_EACH (&f->delayed, node) {
        struct replica *replica = replica_in_state(node);
        if (replica->fetch.delayed_until_us <= now_us) make_ready_or_busy(replica);
    }
}

static void remember_forgotten(struct replica_fetcher *f, const struct replica *replica)
{
    if (f->session_epoch == FETCH_EPOCH_INITIAL && !f->is_beginning) return;
    if (f->forgotten_count == f->forgotten_capacity) {
        f->forgotten_capacity = f->forgotten_capacity ? 2 * f->forgotten_capacity : 16;
        f->forgotten = mem_realloc(f->forgotten, f->forgotten_capacity, sizeof *f->forgotten);
    }
    f->forgotten[f->forgotten_count++] = replica->target;
}

/* It is back before the leader was told: a request that names and forgets it at once would drop it from the session. */
static void recall_forgotten(struct replica_fetcher *f, const struct replica *replica)
{
    for (size_t i = 0; i < f->forgotten_count; i++) {
        const struct fetch_target *target = &f->forgotten[i];
        if (target->partition != replica->target.partition || !uuid_equal(target->topic_id, replica->target.topic_id)) continue;
        f->forgotten[i--] = f->forgotten[--f->forgotten_count];
    }
}

/* ---- the session ---- */

/* The next request names everything anew. */
static void restart_session(struct replica_fetcher *f)
{
    f->sessions++;
    f->session_id = FETCH_SESSION_NONE;
    f->session_epoch = FETCH_EPOCH_INITIAL;
    f->is_beginning = false;
    f->forgotten_count = 0;
    LIST_FOR_EACH (&f->replicas, node) {
        struct replica *replica = CONTAINER_OF(node, struct replica, fetch.in_fetcher);
        if (replica->fetch.state == REPLICA_FETCH_ASKED) make_ready_or_busy(replica);
    }
}

static void disconnect(struct replica_fetcher *f)
{
    if (f->channel) channel_close(f->channel);
    f->channel = NULL;
    f->out = 0;
    restart_session(f);
    schedule(f);
}

static void back_off(struct replica_fetcher *f, int64_t now_us)
{
    disconnect(f);
    f->reconnect_at_us = now_us + backoff_us(f->manager, f->failures++);
}

/* ---- the request ---- */

static struct fetch_call *free_call(struct replica_fetcher *f)
{
    for (size_t i = 0; i < FETCHES_OUT_MAX; i++)
        if (!channel_call_is_pending(&f->calls[i].call)) return &f->calls[i];
    UNREACHABLE();
}

static void name_replica(struct replica *replica, uint64_t serial, struct fetch_request_partitions *out)
{
    struct partition *p = &replica->partition;
    const struct replica_throttle *throttle = throttle_of(replica);
    int32_t bytes_max = replica->manager->options.fetch_partition_bytes;
    ASSERT(partition_can_fetch(p));
    *out = (struct fetch_request_partitions){
        .partition = replica->target.partition,
        .current_leader_epoch = p->leader_epoch,
        .fetch_offset = p->log_end,
        .last_fetched_epoch = plog_last_epoch(replica->log),
        .log_start_offset = replica->durable_start,
        .partition_max_bytes = throttle ? replica_throttle_cut(throttle, bytes_max) : bytes_max,
        .high_watermark = INT64_MAX,
    };
    replica->fetch.asked_leader_epoch = p->leader_epoch;
    replica->fetch.asked_offset = p->log_end;
    replica->fetch.asked_serial = serial;
    set_state(replica, REPLICA_FETCH_ASKED);
}

/* Replicas of one topic that stand together in the list share an entry. */
static void name_ready(struct replica_fetcher *f, uint64_t serial, struct fetch_request *request)
{
    size_t count = f->counts[REPLICA_FETCH_READY], topic_count = 0, i = 0;
    struct fetch_request_partitions *partitions = mem_calloc(count + 1, sizeof *partitions);
    struct fetch_request_topics *topics = mem_calloc(count + 1, sizeof *topics);
    while (!list_is_empty(&f->ready)) {
        struct replica *replica = replica_in_state(list_first(&f->ready));
        bool is_same = topic_count > 0 && uuid_equal(topics[topic_count - 1].topic_id, replica->target.topic_id);
        if (!is_same)
            topics[topic_count++] = (struct fetch_request_topics){.topic_id = replica->target.topic_id, .partitions = &partitions[i]};
        topics[topic_count - 1].partitions_count++;
        name_replica(replica, serial, &partitions[i++]);
    }
    ASSERT(i == count);
    request->topics = topics;
    request->topics_count = (int32_t)topic_count;
    if (topic_count == 0) mem_free(partitions);
}

static void name_forgotten(struct replica_fetcher *f, struct fetch_request *request)
{
    request->forgotten_topics_data = mem_calloc(f->forgotten_count + 1, sizeof *request->forgotten_topics_data);
    for (size_t i = 0; i < f->forgotten_count; i++)
        request->forgotten_topics_data[i] = (struct fetch_request_forgotten_topics_data){
            .topic_id = f->forgotten[i].topic_id, .partitions = &f->forgotten[i].partition, .partitions_count = 1};
    request->forgotten_topics_data_count = (int32_t)f->forgotten_count;
}

static struct buf *encode(struct replica_fetcher *f, const struct fetch_call *call)
{
    const struct replica_manager *m = f->manager;
    struct fetch_request request;
    codec_set_defaults(KMSG_FETCH_REQUEST, &request);
    request.replica_state = (struct fetch_request_replica_state){.replica_id = m->options.node_id, .replica_epoch = m->broker_epoch};
    /* The id of a new session is wanted at once: until then nothing can be added. */
    request.max_wait_ms = call->is_full ? 0 : (int32_t)m->options.fetch_wait_max_ms;
    request.min_bytes = 1;
    request.max_bytes = m->options.fetch_response_bytes;
    request.session_id = f->session_id;
    request.session_epoch = f->session_epoch;
    name_forgotten(f, &request);
    name_ready(f, call->serial, &request);
    struct writer w;
    writer_init(&w, 256);
    enum err err = codec_encode(KMSG_FETCH_REQUEST, FETCH_API_VERSION, &request, &w);
    ASSERT(err == ERR_OK);
    if (request.topics_count > 0) mem_free(request.topics[0].partitions);
    mem_free(request.topics);
    mem_free(request.forgotten_topics_data);
    f->forgotten_count = 0;
    return writer_take(&w);
}

static void on_answer(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us);

static void send_fetch(struct replica_fetcher *f)
{
    ASSERT(f->out < FETCHES_OUT_MAX);
    struct fetch_call *call = free_call(f);
    *call = (struct fetch_call){
        .call = {.api_key = API_FETCH, .api_version = FETCH_API_VERSION, .is_flexible = true, .done = on_answer},
        .fetcher = f,
        .serial = ++f->serial,
        .session = f->sessions,
        .is_full = f->session_epoch == FETCH_EPOCH_INITIAL,
    };
    struct env_piece piece = env_piece_buf(encode(f, call));
    f->is_beginning = call->is_full;
    f->session_epoch = f->session_epoch == INT32_MAX ? 1 : f->session_epoch + 1;
    f->out++;
    channel_send(f->channel, &call->call, &piece, 1, f->manager->options.socket_timeout_ms * 1000);
}

/* ---- the answer ---- */

static void on_divergence(struct replica *replica, const struct fetch_response_diverging_epoch *leader)
{
    struct partition *p = &replica->partition;
    int32_t own_epoch = -1;
    int64_t own_end = 0;
    plog_epoch_end(replica->log, leader->epoch, &own_epoch, &own_end);
    int64_t target = partition_cut_offset(p, leader->end_offset, own_end);
    if (leader->end_offset < p->log_start && !replica->truncation) {
        replica_begin_anew(replica);
        return;
    }
    if (target >= p->log_end || replica->truncation) {
        delay(replica);
        return;
    }
    log_line(env_logger(replica->manager->env), LOG_INFO, "replica",
             "%s: our log, %lld to %lld, last epoch %d, leaves that of leader %d, whose epoch %d ends at %lld: cut at %lld",
             plog_name(replica->log), (long long)p->log_start, (long long)p->log_end, plog_last_epoch(replica->log), p->leader_id,
             leader->epoch, (long long)leader->end_offset, (long long)target);
    set_state(replica, REPLICA_FETCH_BUSY);
    replica_truncate(replica, target);
    if (replica->fetch.state == REPLICA_FETCH_BUSY) make_ready_or_busy(replica);
}

static void on_out_of_range(struct replica *replica, int64_t leader_start)
{
    const struct partition *p = &replica->partition;
    /* We hold nothing, so no epoch shows that we are beyond the leader's end. */
    if (leader_start <= p->log_end && p->log_start == p->log_end && !replica->truncation) {
        replica_begin_anew(replica);
        return;
    }
    if (leader_start <= p->log_end || replica->truncation) {
        delay(replica);
        return;
    }
    log_line(env_logger(replica->manager->env), LOG_INFO, "replica", "%s: our log ends at %lld, the leader's starts at %lld: starting over",
             plog_name(replica->log), (long long)p->log_end, (long long)leader_start);
    set_state(replica, REPLICA_FETCH_BUSY);
    replica_restart_log(replica, leader_start);
    if (replica->fetch.state == REPLICA_FETCH_BUSY) make_ready_or_busy(replica);
}

static void on_error(struct replica *replica, const struct fetch_response_partitions *part)
{
    if (part->error_code == KAFKA_OFFSET_OUT_OF_RANGE) {
        on_out_of_range(replica, part->log_start_offset);
        return;
    }
    if (replica->fetch.failures == 6) /* about a second */
        log_line(env_logger(replica->manager->env), LOG_WARN, "replica", "%s: leader %d, epoch %d answers %s", plog_name(replica->log),
                 replica->partition.leader_id, replica->partition.leader_epoch, kafka_error_name(part->error_code));
    delay(replica);
}

/* Never beyond what is durable: a log of which all has gone claims by its start what it holds. */
static void follow_start(struct replica *replica)
{
    const struct partition *p = &replica->partition;
    int64_t start = min_i64(replica->fetch.leader_start, min_i64(p->high_watermark, partition_held_end(p)));
    if (start > p->log_start && plog_advance_start(replica->log, start))
        replica_feed_log(replica, PARTITION_TRIMMED, plog_start(replica->log));
}

static void learn_offsets(struct replica *replica, const struct fetch_response_partitions *part, int64_t now_us)
{
    struct partition_event event = {
        .type = PARTITION_FETCHED, .now_us = now_us, .fetched = {.leader_high_watermark = part->high_watermark}};
    replica_feed(replica, &event);
    replica->fetch.leader_start = part->log_start_offset;
    follow_start(replica);
}

static void on_records(struct replica *replica, struct buf *frame, const struct fetch_response_partitions *part, int64_t now_us)
{
    struct plog_follower_append appended = {0};
    set_state(replica, REPLICA_FETCH_BUSY);
    enum err err = plog_append_follower(replica->log, frame, (size_t)(part->records.p - frame->data), part->records.n,
                                        replica->fetch.asked_leader_epoch, &appended);
    if (plog_end(replica->log) > replica->partition.log_end) replica_feed_log(replica, PARTITION_APPENDED, plog_end(replica->log));
    if (err == ERR_OK && appended.bytes > 0) {
        replica->fetch.failures = 0;
        replica->manager->counters.replication_bytes_in += (uint64_t)appended.bytes;
        if (replica->is_throttled[THROTTLE_FOLLOWER])
            replica_throttle_passed(&replica->manager->throttles[THROTTLE_FOLLOWER], appended.bytes, now_us);
        learn_offsets(replica, part, now_us);
        make_ready_or_busy(replica);
        return;
    }
    log_line(env_logger(replica->manager->env), LOG_WARN, "replica", "%s: records of leader %d at %lld do not fit: %s",
             plog_name(replica->log), replica->partition.leader_id, (long long)replica->partition.log_end,
             err_text(err == ERR_OK ? ERR_LIMIT : err));
    delay(replica);
    if (err == ERR_IO || err == ERR_NO_SPACE) replica_on_log_error(replica, "an append", err);
}

/* Z-01: an answer counts only for the leader epoch and offset that were asked, and only if they still hold. */
static bool is_wanted(const struct fetch_call *call, const struct replica *replica)
{
    if (!replica || replica->fetch.fetcher != call->fetcher || replica->fetch.state != REPLICA_FETCH_ASKED) return false;
    const struct replica_fetch_view *view = &replica->fetch;
    const struct partition *p = &replica->partition;
    return call->serial >= view->asked_serial && view->asked_leader_epoch == p->leader_epoch && view->asked_offset == p->log_end;
}

static void apply_partition(struct fetch_call *call, struct buf *frame, struct uuid topic_id, const struct fetch_response_partitions *part,
                            int64_t now_us)
{
    struct replica *replica = replica_find(call->fetcher->manager, topic_id, part->partition_index);
    if (!is_wanted(call, replica)) return;
    ASSERT(replica->partition.role == PARTITION_FOLLOWER);
    if (part->error_code != KAFKA_NONE)
        on_error(replica, part);
    else if (part->diverging_epoch.end_offset >= 0)
        on_divergence(replica, &part->diverging_epoch);
    else if (part->records.n > 0)
        on_records(replica, frame, part, now_us);
    else
        learn_offsets(replica, part, now_us);
}

static void apply_response(struct fetch_call *call, struct buf *frame, const struct fetch_response *response, int64_t now_us)
{
    struct replica_fetcher *f = call->fetcher;
    if (call->session != f->sessions) return; /* of a session that was given up */
    if (response->error_code != KAFKA_NONE) {
        env_mark(f->manager->env, "a leader ended a fetch session");
        restart_session(f);
        return;
    }
    if (call->is_full) {
        f->is_beginning = false;
        f->session_id = response->session_id;
    }
    for (int32_t i = 0; i < response->responses_count; i++)
        for (int32_t j = 0; j < response->responses[i].partitions_count; j++)
            apply_partition(call, frame, response->responses[i].topic_id, &response->responses[i].partitions[j], now_us);
    if (f->session_id == FETCH_SESSION_NONE) restart_session(f); /* the leader keeps none: each request names all */
}

static void on_answer(struct channel_call *channel_call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct fetch_call *call = CONTAINER_OF(channel_call, struct fetch_call, call);
    struct replica_fetcher *f = call->fetcher;
    ASSERT(f->out > 0);
    f->out--;
    if (err == ERR_TIMEOUT) back_off(f, now_us);
    if (err != ERR_OK) return; /* on_closed() follows */
    struct arena arena;
    arena_init(&arena, codec_decode_budget(body.n));
    struct fetch_response response;
    err = codec_decode_exact(KMSG_FETCH_RESPONSE, FETCH_API_VERSION, body, &arena, &response);
    if (err == ERR_OK) {
        f->failures = 0;
        apply_response(call, frame, &response, now_us);
        f->hold_until_us = now_us + HOLD_US;
        schedule(f);
    } else {
        log_line(env_logger(f->manager->env), LOG_WARN, "replica", "broker %d: a fetch response cannot be read: %s", f->leader_id,
                 err_text(err));
        back_off(f, now_us);
    }
    arena_deinit(&arena);
}

/* ---- the connection ---- */

const struct image_listener *replica_manager_endpoint(const struct replica_manager *manager, int32_t broker_id, int64_t *broker_epoch)
{
    const struct image_broker *broker = image_broker_get(manager->image, broker_id);
    if (!broker || broker->listener_count == 0) return NULL;
    *broker_epoch = broker->epoch;
    const char *name = manager->options.listener_name;
    const struct image_listener *listener = name ? image_broker_listener(broker, slice_str(name)) : NULL;
    return listener ? listener : &broker->listeners[0];
}

static void on_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    struct replica_fetcher *f = user;
    const struct replica_manager_options *options = &f->manager->options;
    if (f->channel != channel) return;
    f->channel = NULL;
    /* A break is news once; a leader that stays away is none. */
    if (f->failures == 0 && (err == ERR_RESET || err == ERR_REFUSED) && options->on_leader_lost)
        options->on_leader_lost(options->user, f->leader_id, now_us);
    back_off(f, now_us);
}

static void connect_to_leader(struct replica_fetcher *f)
{
    const struct image_listener *listener = replica_manager_endpoint(f->manager, f->leader_id, &f->leader_broker_epoch);
    if (!listener) return; /* its registration will come by metadata */
    (void)snprintf(f->host, sizeof f->host, "%s", listener->host);
    f->port = listener->port;
    char client_id[64];
    (void)snprintf(client_id, sizeof client_id, "broker-%d-fetcher", f->manager->options.node_id);
    struct channel_handler handler = {.on_closed = on_closed, .user = f};
    f->channel = channel_open(f->manager->env, f->host, f->port, client_id, CONNECT_TIMEOUT_US, FETCH_FRAME_BYTES_MAX, &handler);
}

/* ---- what to do next ---- */

static bool is_worth_sending(const struct replica_fetcher *f, int64_t now_us)
{
    if (f->out >= FETCHES_OUT_MAX || f->is_beginning) return false;
    if (f->counts[REPLICA_FETCH_READY] > 0) return true;
    if (f->session_epoch == FETCH_EPOCH_INITIAL || f->counts[REPLICA_FETCH_ASKED] == 0) return false;
    if (f->out > 0) return f->forgotten_count > 0;
    return f->counts[REPLICA_FETCH_BUSY] == 0 || now_us >= f->hold_until_us;
}

static void set_timer(struct replica_fetcher *f, int64_t now_us)
{
    int64_t at_us = INT64_MAX;
    LIST_FOR_EACH (&f->delayed, node) at_us = min_i64(at_us, replica_in_state(node)->fetch.delayed_until_us);
    if (!f->channel) at_us = min_i64(at_us, f->reconnect_at_us);
    if (f->channel && f->out == 0 && f->hold_until_us > now_us) at_us = min_i64(at_us, f->hold_until_us);
    if (at_us == INT64_MAX)
        env_timer_clear(f->manager->env, &f->timer);
    else
        env_timer_set(f->manager->env, &f->timer, max_i64(at_us, now_us + 1));
}

static void destroy_fetcher(struct replica_fetcher *f)
{
    struct replica_manager *m = f->manager;
    ASSERT(list_is_empty(&f->replicas));
    if (f->channel) channel_close(f->channel);
    env_timer_clear(m->env, &f->timer);
    env_cancel_turn_end(m->env, &f->pump);
    map_remove(&m->fetchers, MAP_KEY(&f->leader_id));
    mem_free(f->forgotten);
    mem_free(f);
}

static void on_pump(struct env_turn_end *turn_end, int64_t now_us)
{
    struct replica_fetcher *f = CONTAINER_OF(turn_end, struct replica_fetcher, pump);
    if (list_is_empty(&f->replicas)) {
        destroy_fetcher(f);
        return;
    }
    wake_delayed(f, now_us);
    if (!f->channel && now_us >= f->reconnect_at_us) connect_to_leader(f);
    if (f->channel && is_worth_sending(f, now_us)) send_fetch(f);
    set_timer(f, now_us);
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    (void)now_us;
    schedule(CONTAINER_OF(timer, struct replica_fetcher, timer));
}

/* ---- who follows whom ---- */

static struct replica_fetcher *find_fetcher(struct replica_manager *m, int32_t leader_id)
{
    struct replica_fetcher *f = map_get(&m->fetchers, MAP_KEY(&leader_id));
    if (f) return f;
    f = mem_alloc(sizeof *f);
    f->manager = m;
    f->leader_id = leader_id;
    list_init(&f->replicas);
    list_init(&f->ready);
    list_init(&f->delayed);
    f->pump.run = on_pump;
    env_timer_init(&f->timer, on_timer);
    map_put(&m->fetchers, MAP_KEY(&f->leader_id), f);
    return f;
}

void replica_fetcher_forget(struct replica *replica)
{
    struct replica_fetcher *f = replica->fetch.fetcher;
    if (!f) return;
    remember_forgotten(f, replica);
    set_state(replica, REPLICA_FETCH_NONE);
    list_remove(&replica->fetch.in_fetcher);
    replica->fetch.fetcher = NULL;
}

static void join_fetcher(struct replica *replica, struct replica_fetcher *f)
{
    ASSERT(replica->fetch.fetcher == NULL);
    replica->fetch.fetcher = f;
    recall_forgotten(f, replica);
    list_push_back(&f->replicas, &replica->fetch.in_fetcher);
    f->counts[REPLICA_FETCH_NONE]++;
}

void replica_fetcher_assign(struct replica *replica)
{
    const struct partition *p = &replica->partition;
    struct replica_fetcher *old = replica->fetch.fetcher;
    if (p->role != PARTITION_FOLLOWER) {
        replica_fetcher_forget(replica);
        return;
    }
    bool is_same = old && old->leader_id == p->leader_id;
    if (is_same && replica->fetch.asked_leader_epoch == p->leader_epoch && replica->fetch.state == REPLICA_FETCH_ASKED) return;
    if (!is_same) {
        replica_fetcher_forget(replica);
        join_fetcher(replica, find_fetcher(replica->manager, p->leader_id));
    }
    replica->fetch.failures = 0;
    replica->fetch.leader_start = 0;
    make_ready_or_busy(replica);
}

void replica_fetcher_on_durable(struct replica *replica)
{
    follow_start(replica);
    if (replica->fetch.fetcher && replica->fetch.state == REPLICA_FETCH_BUSY) make_ready_or_busy(replica);
}

void replica_fetcher_on_start_durable(struct replica *replica)
{
    if (replica->fetch.fetcher && replica->fetch.state == REPLICA_FETCH_ASKED) make_ready_or_busy(replica);
}

void replica_fetcher_on_throttle(struct replica *replica)
{
    if (replica->fetch.fetcher && replica->fetch.state == REPLICA_FETCH_DELAYED) make_ready_or_busy(replica);
}

void replica_fetchers_on_broker(struct replica_manager *m, int32_t broker_id)
{
    struct replica_fetcher *f = map_get(&m->fetchers, MAP_KEY(&broker_id));
    if (!f) return;
    int64_t epoch = -1;
    const struct image_listener *listener = replica_manager_endpoint(m, broker_id, &epoch);
    bool is_same =
        listener && epoch == f->leader_broker_epoch && listener->port == f->port && slice_equal_str(slice_str(f->host), listener->host);
    if (f->channel && !is_same) disconnect(f);
    if (f->channel) return;
    f->failures = 0;
    f->reconnect_at_us = 0;
    schedule(f);
}

void replica_fetchers_destroy(struct replica_manager *m)
{
    LIST_FOR_EACH (&m->all, node) replica_fetcher_forget(CONTAINER_OF(node, struct replica, in_manager));
    MAP_FOR_EACH (&m->fetchers, struct replica_fetcher, f) destroy_fetcher(f);
}
