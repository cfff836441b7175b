/* The loop around raft_step(). One event goes through process():
 *
 *     event -> raft_step() -> store (queued) -> messages that may leave -> deadline -> committed entries to the owner
 *
 * and at the end of the turn, once: RAFT_REPLICATE for what was proposed, then one commit for all that was queued. When it is
 * durable, RAFT_PERSISTED and the messages that waited for it.
 *
 * The owner's callbacks run last, outside raft_step(), and may propose; what that brings is applied by the same loop. */
#include "controller/node/raft_node.h"

#include "common/assert.h"
#include "common/map.h"
#include "common/mem.h"
#include "controller/node/raft_peers.h"
#include "controller/node/raft_store.h"
#include "controller/node/raft_wire.h"
#include "proto/pb.h"
#include "proto/private_api.h"

#include <inttypes.h>
#include <stdio.h>

#define HEARTBEAT_MS        100
#define ELECTION_TIMEOUT_MS 1000 /* Kafka's controller.quorum.election.timeout.ms */
#define FETCH_TIMEOUT_MS    2000 /* Kafka's controller.quorum.fetch.timeout.ms */
#define SNAPSHOT_LOG_BYTES  (4 << 20)
#define MESSAGE_BYTES_MAX   (1 << 20) /* a few ms of a slow network; entries beyond travel in the next */
#define TRAILING_ENTRIES    1000      /* a follower that was away for a moment needs no snapshot */
#define UNCOMMITTED_MAX     10000     /* entries: beyond that the majority is not keeping up, and the proposer must wait */
#define ORPHAN_US           30000000  /* long enough for the others of a cluster to start */
#define SNAPSHOT_FACTOR     2         /* the log may grow to this many snapshots before the next one */

/* A message that waits for a write. */
struct waiting_message {
    struct list_node node;
    uint64_t write;
    struct raft_message message;
};

/* A peer's request that has no answer yet. */
struct incoming_request {
    uint64_t token;
    struct raft_node *node;
    struct request *request;
};

/* A chunk that is being read for a peer. */
struct outgoing_chunk {
    struct list_node list_node;
    struct raft_store_read read;
    struct raft_node *node; /* NULL: destroyed meanwhile */
    struct raft_message message;
    struct raft_membership membership;
};

struct raft_node {
    struct env *env;
    struct raft_node_config config;
    struct raft_node_callbacks callbacks;
    struct raft *raft;
    struct raft_store *store;
    struct raft_peers *peers;
    struct raft_store_identity identity;

    struct env_timer timer;
    struct env_turn_end turn_end;
    uint64_t durable_write;
    struct list waiting; /* struct waiting_message, by write */
    struct map requests; /* struct incoming_request by token */
    uint64_t next_token;
    struct list chunks;

    int64_t applied_index;
    int64_t bytes_since_snapshot;
    struct raft_node_leader told_leader;
    bool has_told_cluster;
    bool has_told_stranger; /* ... that a controller belongs to another cluster */
    bool has_told_orphan;   /* ... that a controller waits for disks that are gone */
    bool has_found_leader;  /* since the start */
    int64_t started_us;
    bool is_started;
    bool is_applying;
    bool must_load;    /* an installed snapshot, before anything else is applied */
    bool has_proposed; /* RAFT_REPLICATE is due */
    bool has_failed;
    enum err failure;
    const char *failure_text;
};

static void process(struct raft_node *node, const struct raft_event *event);

static struct raft_event make_event(struct raft_node *node, enum raft_event_type type)
{
    return (struct raft_event){.type = type, .now_us = env_now_us(node->env), .random = env_random64(node->env)};
}

static void fail(struct raft_node *node, enum err err, const char *text)
{
    if (node->has_failed) return;
    node->has_failed = true;
    node->failure = err;
    node->failure_text = text;
    env_timer_clear(node->env, &node->timer);
    env_at_turn_end(node->env, &node->turn_end); /* the owner is told from there: it may destroy the node */
}

/* ---- messages -------------------------------------------------------------------------------------------------------- */

static void answer(struct raft_node *node, const struct raft_message *message, struct slice chunk)
{
    struct incoming_request *incoming = map_remove(&node->requests, MAP_KEY(&message->request));
    if (!incoming) return; /* its connection broke */
    struct request *request = incoming->request;
    mem_free(incoming);
    request_respond_buf(request, raft_wire_encode(message, chunk));
}

static enum raft_lane lane_of(const struct raft_message *message)
{
    bool waits_for_disk = message->type == RAFT_APPEND || message->type == RAFT_SNAPSHOT || message->type == RAFT_FOLLOW ||
                          (message->type == RAFT_VOTE && !message->vote.is_pre_vote);
    return waits_for_disk ? RAFT_LANE_DATA : RAFT_LANE_CONTROL;
}

static void request(struct raft_node *node, const struct raft_message *message, struct slice chunk)
{
    enum raft_lane lane = lane_of(message);
    int64_t timeout_us = node->config.fetch_timeout_ms * 1000 * (lane == RAFT_LANE_DATA ? 5 : 1); /* a slow disk is not a dead one */
    struct buf *body = raft_wire_encode(message, chunk);
    raft_peers_send(node->peers, message->to.id, lane, raft_wire_key(message->type), body, timeout_us);
}

static void deliver(struct raft_node *node, const struct raft_message *message, struct slice chunk)
{
    if (message->request)
        answer(node, message, chunk);
    else
        request(node, message, chunk);
}

static void on_chunk_read(struct raft_store_read *read, enum err err, struct buf *bytes, int64_t now_us)
{
    struct outgoing_chunk *chunk = CONTAINER_OF(read, struct outgoing_chunk, read);
    struct raft_node *node = chunk->node;
    (void)now_us;
    if (node) list_remove(&chunk->list_node);
    if (node && err != ERR_OK) fail(node, err, "reading a snapshot");
    if (node && err == ERR_OK) deliver(node, &chunk->message, buf_slice(bytes));
    buf_unref(bytes);
    mem_free(chunk);
}

static void on_chunk_dropped(struct raft_store_read *read)
{
    struct outgoing_chunk *chunk = CONTAINER_OF(read, struct outgoing_chunk, read);
    if (chunk->node) list_remove(&chunk->list_node);
    mem_free(chunk);
}

static void deliver_chunk(struct raft_node *node, const struct raft_message *message)
{
    struct outgoing_chunk *chunk = mem_alloc(sizeof *chunk);
    chunk->node = node;
    chunk->message = *message;
    chunk->membership = *message->snapshot.membership;
    chunk->message.snapshot.membership = &chunk->membership;
    chunk->read.done = on_chunk_read;
    chunk->read.dropped = on_chunk_dropped;
    list_push_back(&node->chunks, &chunk->list_node);
    bool is_there =
        raft_store_read_snapshot(node->store, &chunk->read, message->snapshot.index, message->snapshot.offset, message->snapshot.length);
    ASSERT(is_there); /* Raft offers only what SNAPSHOT_TAKEN or SNAPSHOT_INSTALLED said */
}

static void send(struct raft_node *node, const struct raft_message *message)
{
    if (message->type == RAFT_SNAPSHOT)
        deliver_chunk(node, message);
    else
        deliver(node, message, SLICE_NULL);
}

static void send_when_durable(struct raft_node *node, uint64_t write, const struct raft_message *message)
{
    ASSERT(message->type != RAFT_APPEND && message->type != RAFT_SNAPSHOT); /* those borrow from the log */
    if (write <= node->durable_write) {
        send(node, message);
        return;
    }
    struct waiting_message *waiting = mem_alloc(sizeof *waiting);
    waiting->write = write;
    waiting->message = *message;
    list_push_back(&node->waiting, &waiting->node);
}

static void send_waiting(struct raft_node *node)
{
    for (struct list_node *first; (first = list_first(&node->waiting));) {
        struct waiting_message *waiting = CONTAINER_OF(first, struct waiting_message, node);
        if (waiting->write > node->durable_write) return;
        list_remove(first);
        send(node, &waiting->message);
        mem_free(waiting);
    }
}

/* ---- what the owner sees --------------------------------------------------------------------------------------------- */

static void tell_cluster(struct raft_node *node)
{
    if (node->has_told_cluster || node->applied_index == 0) return;
    struct raft_status status;
    raft_status(node->raft, &status);
    node->has_told_cluster = true;
    if (node->callbacks.cluster)
        node->callbacks.cluster(node->callbacks.user, status.cluster_id, node->identity.directory_id, env_now_us(node->env));
}

static void tell_leader(struct raft_node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    struct raft_node_leader leader = {.id = status.leader.id, .term = status.term};
    leader.is_self = status.role == RAFT_LEADER && node->applied_index >= status.term_first_index;
    raft_peers_watch(node->peers, status.role == RAFT_FOLLOWER || status.role == RAFT_LEARNER ? leader.id : RAFT_NOBODY);
    bool is_news =
        leader.id != node->told_leader.id || leader.term != node->told_leader.term || leader.is_self != node->told_leader.is_self;
    if (!is_news) return;
    node->told_leader = leader;
    node->has_found_leader |= leader.id != RAFT_NOBODY;
    log_line(env_logger(node->env), LOG_INFO, "raft", "%s, term %" PRId64 ", leader %d%s", raft_role_name(status.role), status.term,
             leader.id, leader.is_self ? ", serving" : "");
    if (node->callbacks.leader) node->callbacks.leader(node->callbacks.user, &leader, env_now_us(node->env));
}

static void load_snapshot(struct raft_node *node)
{
    struct raft_status status;
    struct buf *bytes = NULL;
    node->must_load = false;
    raft_status(node->raft, &status);
    enum err err = raft_store_load_snapshot(node->store, &bytes);
    if (err == ERR_OK) {
        err = node->callbacks.load_snapshot(node->callbacks.user, status.snapshot.index, status.snapshot.term, buf_slice(bytes),
                                            env_now_us(node->env));
        buf_unref(bytes);
    }
    node->applied_index = status.snapshot.index;
    node->bytes_since_snapshot = 0;
    if (err != ERR_OK) fail(node, err, "loading a snapshot");
}

static void take_snapshot(struct raft_node *node)
{
    struct raft_snapshot snapshot;
    struct raft_status status;
    int64_t enough = node->config.snapshot_log_bytes;
    if (node->bytes_since_snapshot < enough) return;
    raft_status(node->raft, &status);
    if (enough < SNAPSHOT_FACTOR * status.snapshot.size) enough = SNAPSHOT_FACTOR * status.snapshot.size;
    if (node->bytes_since_snapshot < enough || node->applied_index <= status.snapshot.index) return;
    raft_describe_snapshot(node->raft, node->applied_index, &snapshot);
    struct buf *bytes = node->callbacks.take_snapshot(node->callbacks.user);
    if (raft_store_take_snapshot(node->store, &snapshot, bytes)) node->bytes_since_snapshot = 0;
    buf_unref(bytes);
}

static void log_voters(struct raft_node *node, const struct raft_entry *entry)
{
    struct uuid cluster_id;
    struct raft_membership membership;
    char text[VOTERS_MAX * 40] = "";
    size_t n = 0;
    if (raft_membership_decode(buf_slice(entry->bytes), &cluster_id, &membership) != ERR_OK) return; /* checked when it was appended */
    for (uint32_t i = 0; i < membership.current.count && n < sizeof text; i++) {
        char directory_id[UUID_TEXT_SIZE];
        uuid_text(membership.current.voters[i].directory_id, directory_id);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%d (%s)", i ? ", " : "", membership.current.voters[i].id, directory_id);
    }
    log_line(env_logger(node->env), LOG_INFO, "raft", "voters: %s%s", text, membership.outgoing.count ? "; a change is on its way" : "");
}

static void apply_next(struct raft_node *node)
{
    int64_t index = node->applied_index + 1;
    const struct raft_entry *entry = raft_entry_at(node->raft, index);
    int64_t term = entry->term;
    if (entry->type == RAFT_ENTRY_VOTERS) log_voters(node, entry);
    struct buf *bytes = entry->type == RAFT_ENTRY_DATA ? buf_ref(entry->bytes) : NULL; /* the log may move under the callback */
    node->applied_index = index;
    node->bytes_since_snapshot += (int64_t)entry->bytes->size;
    node->callbacks.committed(node->callbacks.user, index, term, bytes, env_now_us(node->env));
    buf_unref(bytes);
}

/* Everything that is committed goes to the owner, also what its callbacks bring. */
static void apply(struct raft_node *node)
{
    if (node->is_applying) return;
    node->is_applying = true;
    while (!node->has_failed) {
        if (node->must_load)
            load_snapshot(node);
        else if (node->applied_index < raft_commit_index(node->raft))
            apply_next(node);
        else
            break;
    }
    if (!node->has_failed) {
        tell_cluster(node);
        take_snapshot(node);
        tell_leader(node);
    }
    node->is_applying = false;
}

/* ---- the loop -------------------------------------------------------------------------------------------------------- */

static void process(struct raft_node *node, const struct raft_event *event)
{
    if (node->has_failed) return;
    struct raft_actions actions;
    raft_step(node->raft, event, &actions);
    raft_store_write(node->store, node->raft, &actions);
    if (actions.persist.chunk) raft_store_chunk(node->store, actions.persist.chunk);
    for (size_t i = 0; i < actions.send_now_count; i++) send(node, &actions.send_now[i]);
    for (size_t i = 0; i < actions.send_after_persist_count; i++) send_when_durable(node, actions.write, &actions.send_after_persist[i]);
    if (actions.compact_to) raft_store_compact(node->store, actions.compact_to);
    if (actions.snapshot_installed) node->must_load = true;
    env_timer_set(node->env, &node->timer, actions.deadline_us);
    env_at_turn_end(node->env, &node->turn_end);
    if (event->type != RAFT_PROPOSE) apply(node); /* a proposal commits nothing; its caller is not called back */
}

static void on_turn_end(struct env_turn_end *turn_end, int64_t now_us)
{
    struct raft_node *node = CONTAINER_OF(turn_end, struct raft_node, turn_end);
    if (node->has_proposed) {
        node->has_proposed = false;
        struct raft_event event = make_event(node, RAFT_REPLICATE);
        process(node, &event);
    }
    if (!node->has_failed) raft_store_flush(node->store);
    if (node->has_failed && node->failure_text) {
        const char *text = node->failure_text;
        node->failure_text = NULL;
        node->callbacks.failed(node->callbacks.user, node->failure, text, now_us); /* may destroy the node */
    }
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    struct raft_node *node = CONTAINER_OF(timer, struct raft_node, timer);
    (void)now_us;
    struct raft_event event = make_event(node, RAFT_TICK);
    process(node, &event);
}

static void on_durable(void *user, uint64_t write, int64_t now_us)
{
    struct raft_node *node = user;
    (void)now_us;
    node->durable_write = write;
    struct raft_event event = make_event(node, RAFT_PERSISTED);
    event.write = write;
    process(node, &event);
    if (!node->has_failed) send_waiting(node);
}

static void on_snapshot_taken(void *user, int64_t index, int64_t size, int64_t now_us)
{
    struct raft_node *node = user;
    (void)now_us;
    struct raft_event event = make_event(node, RAFT_SNAPSHOT_TAKEN);
    event.snapshot_taken.index = index;
    event.snapshot_taken.size = size;
    process(node, &event);
}

static void on_snapshot_installed(void *user, int64_t index, int64_t now_us)
{
    struct raft_node *node = user;
    (void)now_us;
    struct raft_event event = make_event(node, RAFT_SNAPSHOT_INSTALLED);
    event.snapshot_installed.index = index;
    process(node, &event);
}

static void on_store_failed(void *user, enum err err, const char *what, int64_t now_us)
{
    (void)now_us;
    fail(user, err, what);
}

/* ---- from the network ------------------------------------------------------------------------------------------------ */

static bool is_listed(const struct raft_node_config *config)
{
    for (uint32_t i = 0; i < config->voter_count; i++)
        if (config->voters[i].id == config->node_id) return true;
    return false;
}

/* Raft takes no notice of other clusters, but a person should know that controller.quorum.voters leads to one. A voter goes on: the others
 * may be right. A node that is only a broker and has not found its own cluster would wait for ever. */
static void check_cluster(struct raft_node *node, const struct raft_message *answer)
{
    char theirs[UUID_TEXT_SIZE], ours[UUID_TEXT_SIZE];
    struct uuid own = raft_cluster_id(node->raft);
    if (uuid_is_zero(own)) own = node->config.expected_cluster_id;
    if (node->has_told_stranger || uuid_is_zero(own) || uuid_is_zero(answer->cluster_id) || uuid_equal(own, answer->cluster_id)) return;
    node->has_told_stranger = true;
    uuid_text(answer->cluster_id, theirs);
    uuid_text(own, ours);
    log_line(env_logger(node->env), LOG_ERROR, "raft",
             "controller %d belongs to cluster %s, this node's data to cluster %s: check controller.quorum.voters and the log "
             "directories",
             answer->from.id, theirs, ours);
    if (!is_listed(&node->config) && !node->has_found_leader)
        fail(node, ERR_INVALID, "the controllers in controller.quorum.voters belong to another cluster");
}

/* An empty node, and a controller in a cluster that counts another directory in its place and cannot elect anybody. If it is so for good, a
 * majority of that cluster's disks is lost, and nobody here can tell whether something was committed on them (docs/RAFT.md). */
static void check_orphan(struct raft_node *node, const struct raft_message *answer)
{
    struct raft_status status;
    bool is_leaderless = answer->type == RAFT_PROBE_ANSWER && answer->probe.is_born && answer->probe.leader.id == RAFT_NOBODY;
    if (!is_leaderless || node->has_told_orphan || env_now_us(node->env) - node->started_us < ORPHAN_US) return;
    raft_status(node->raft, &status);
    if (status.role != RAFT_UNBORN) return;
    char cluster_id[UUID_TEXT_SIZE];
    uuid_text(answer->cluster_id, cluster_id);
    node->has_told_orphan = true;
    log_line(env_logger(node->env), LOG_ERROR, "raft",
             "controller %d is in cluster %s, which has no leader and counts another directory in this node's place: start its other "
             "controllers, with their directories; if those are lost for good, empty the metadata directory of controller %d too",
             answer->from.id, cluster_id, answer->from.id);
}

/* False: not a message that we understand. */
static bool receive(struct raft_node *node, struct slice body, uint64_t token, int16_t api_key)
{
    struct arena arena;
    struct raft_message message;
    struct raft_wire_parts parts;
    arena_init(&arena, pb_unpack_budget(body.n));
    bool is_sound = raft_wire_decode(body, &arena, &message, &parts);
    bool is_request = is_sound && raft_message_is_request(message.type);
    if (is_sound && token) is_sound = is_request && raft_wire_key(message.type) == api_key;
    /* Answers to FOLLOW are APPEND and SNAPSHOT; nothing else may come as an answer that is none. */
    if (is_sound && !token && is_request) is_sound = message.type == RAFT_APPEND || message.type == RAFT_SNAPSHOT;
    if (is_sound && !token) check_cluster(node, &message);
    if (is_sound && !token) check_orphan(node, &message);
    if (is_sound) {
        message.request = token;
        struct raft_event event = make_event(node, RAFT_RECEIVE);
        event.message = &message;
        process(node, &event);
    }
    raft_wire_release(&parts);
    arena_deinit(&arena);
    return is_sound;
}

static void on_answered(void *user, int32_t node_id, struct slice body, int64_t now_us)
{
    struct raft_node *node = user;
    (void)now_us;
    if (!receive(node, body, 0, 0))
        log_line(env_logger(node->env), LOG_WARN, "raft", "node %d answered with something that is not a message", node_id);
}

static void on_send_failed(void *user, int32_t node_id, int64_t now_us)
{
    struct raft_node *node = user;
    (void)now_us;
    struct raft_event event = make_event(node, RAFT_SEND_FAILED);
    event.node_id = node_id;
    process(node, &event);
}

static void on_broken(void *user, int32_t node_id, int64_t now_us)
{
    struct raft_node *node = user;
    (void)now_us;
    struct raft_event event = make_event(node, RAFT_CONNECTION_BROKEN);
    event.node_id = node_id;
    process(node, &event);
}

static void on_abandoned(struct request *request)
{
    struct incoming_request *incoming = request->user;
    (void)map_remove(&incoming->node->requests, MAP_KEY(&incoming->token));
    mem_free(incoming);
    request_finish(request);
}

enum request_progress raft_node_on_request(struct raft_node *node, struct request *request)
{
    ASSERT(private_api_is_raft(request->api_key));
    if (!node->is_started || node->has_failed) {
        request_close(request, "the controller does not serve");
        return REQUEST_DONE;
    }
    struct incoming_request *incoming = mem_alloc(sizeof *incoming);
    uint64_t token = ++node->next_token;
    *incoming = (struct incoming_request){.token = token, .node = node, .request = request};
    map_put(&node->requests, MAP_KEY(&incoming->token), incoming);
    request->user = incoming;
    request->on_abandoned = on_abandoned;
    bool is_sound = request->api_version == PRIVATE_API_VERSION && receive(node, request->body, token, request->api_key);
    if (map_get(&node->requests, MAP_KEY(&token)) == NULL) return REQUEST_DONE;
    if (is_sound) return REQUEST_PARKED;
    (void)map_remove(&node->requests, MAP_KEY(&token));
    mem_free(incoming);
    request_close(request, "not a message of this version between controllers");
    return REQUEST_DONE;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void fill_defaults(struct raft_node_config *config)
{
    if (!config->heartbeat_ms) config->heartbeat_ms = HEARTBEAT_MS;
    if (!config->election_timeout_ms) config->election_timeout_ms = ELECTION_TIMEOUT_MS;
    if (!config->fetch_timeout_ms) config->fetch_timeout_ms = FETCH_TIMEOUT_MS;
    if (!config->snapshot_log_bytes) config->snapshot_log_bytes = SNAPSHOT_LOG_BYTES;
    config->directory = NULL; /* the store has its own copy */
}

static void make_raft_config(const struct raft_node *node, struct raft_config *config)
{
    *config = (struct raft_config){
        .self = {node->config.node_id, node->identity.directory_id},
        .expected_cluster_id = node->config.expected_cluster_id,
        .proposed_cluster_id = node->identity.proposed_cluster_id,
        .heartbeat_us = node->config.heartbeat_ms * 1000,
        .election_timeout_us = node->config.election_timeout_ms * 1000,
        .fetch_timeout_us = node->config.fetch_timeout_ms * 1000,
        .message_bytes_max = MESSAGE_BYTES_MAX,
        .trailing_entries = TRAILING_ENTRIES,
    };
    for (uint32_t i = 0; i < node->config.voter_count; i++) { /* sorted */
        uint32_t at = config->listed_count++;
        for (; at > 0 && config->listed[at - 1] > node->config.voters[i].id; at--) config->listed[at] = config->listed[at - 1];
        config->listed[at] = node->config.voters[i].id;
    }
}

static bool is_alone(const struct raft_node_config *config) { return config->voter_count == 1 && config->voters[0].id == config->node_id; }

static enum err open_store(struct raft_node *node, const char *directory, struct raft_store_recovered *recovered)
{
    struct raft_store_callbacks callbacks = {node, on_durable, on_snapshot_taken, on_snapshot_installed, on_store_failed};
    enum err err =
        raft_store_open(node->env, directory, node->config.node_id, node->config.proposed_cluster_id, &callbacks, &node->store, recovered);
    if (err != ERR_OK) return err;
    if (!is_alone(&node->config)) err = raft_store_settle(node->store);
    if (err == ERR_OK && recovered->snapshot_bytes) {
        const struct raft_snapshot *snapshot = &recovered->raft.snapshot;
        err = node->callbacks.load_snapshot(node->callbacks.user, snapshot->index, snapshot->term, buf_slice(recovered->snapshot_bytes),
                                            env_now_us(node->env));
        node->applied_index = snapshot->index;
    }
    if (err != ERR_OK) raft_store_forget(recovered);
    return err;
}

static void log_start(const struct raft_node *node, const struct raft_store_recovered *recovered)
{
    char directory_id[UUID_TEXT_SIZE], cluster_id[UUID_TEXT_SIZE];
    uuid_text(recovered->identity.directory_id, directory_id);
    uuid_text(recovered->raft.hard_state.cluster_id, cluster_id);
    log_line(env_logger(node->env), LOG_INFO, "raft",
             "node %d, directory %s, cluster %s, term %" PRId64 ", snapshot up to %" PRId64 ", %" PRId64 " entries in the log",
             node->config.node_id, directory_id, uuid_is_zero(recovered->raft.hard_state.cluster_id) ? "none yet" : cluster_id,
             recovered->raft.hard_state.term, recovered->raft.snapshot.index, recovered->raft.count);
}

static struct raft_node *allocate(struct env *env, const struct raft_node_config *config, const struct raft_node_callbacks *callbacks)
{
    struct raft_node *node = mem_alloc(sizeof *node);
    node->env = env;
    node->config = *config;
    node->callbacks = *callbacks;
    fill_defaults(&node->config);
    node->told_leader.id = RAFT_NOBODY;
    env_timer_init(&node->timer, on_timer);
    node->turn_end.run = on_turn_end;
    list_init(&node->waiting);
    list_init(&node->chunks);
    map_init(&node->requests, env_random64(env));
    return node;
}

/* A vote cannot be given back by a change of the config. */
static bool is_runaway_voter(const struct raft_node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    if (status.role == RAFT_UNBORN || status.role == RAFT_LEARNER || is_listed(&node->config)) return false;
    log_line(
        env_logger(node->env), LOG_ERROR, "raft",
        "node %d is one of the voters of its cluster: name it in controller.quorum.voters, with the controller among its process.roles",
        node->config.node_id);
    return true;
}

enum err raft_node_create(struct env *env, const struct raft_node_config *config, const struct raft_node_callbacks *callbacks,
                          struct raft_node **out)
{
    ASSERT(config->voter_count > 0 && config->voter_count <= VOTERS_MAX);
    ASSERT(callbacks->committed && callbacks->take_snapshot && callbacks->load_snapshot && callbacks->failed);
    *out = NULL;
    struct raft_node *node = allocate(env, config, callbacks);
    struct raft_store_recovered recovered;
    enum err err = open_store(node, config->directory, &recovered);
    if (err == ERR_OK) {
        struct raft_config raft_config;
        struct raft_peers_handler handler = {node, on_answered, on_send_failed, on_broken};
        node->identity = recovered.identity;
        make_raft_config(node, &raft_config);
        node->raft = raft_create(&raft_config, &recovered.raft, env_now_us(env), env_random64(env));
        node->peers = raft_peers_create(env, &node->config, &handler);
        log_start(node, &recovered);
        if (is_runaway_voter(node)) {
            raft_node_destroy(node);
            err = ERR_INVALID;
        } else
            *out = node;
    } else {
        if (node->store) raft_store_close(node->store);
        map_deinit(&node->requests);
        mem_free(node);
    }
    buf_unref(recovered.snapshot_bytes);
    mem_free(recovered.raft.entries);
    return err;
}

void raft_node_start(struct raft_node *node)
{
    ASSERT(!node->is_started);
    node->is_started = true;
    node->started_us = env_now_us(node->env);
    struct raft_event event = make_event(node, RAFT_TICK);
    process(node, &event);
}

void raft_node_destroy(struct raft_node *node)
{
    env_timer_clear(node->env, &node->timer);
    env_cancel_turn_end(node->env, &node->turn_end);
    raft_peers_destroy(node->peers);
    MAP_FOR_EACH (&node->requests, struct incoming_request, incoming) {
        incoming->request->on_abandoned = NULL;
        request_finish(incoming->request);
        mem_free(incoming);
    }
    map_deinit(&node->requests);
    LIST_FOR_EACH (&node->waiting, item) mem_free(CONTAINER_OF(item, struct waiting_message, node));
    LIST_FOR_EACH (&node->chunks, item) CONTAINER_OF(item, struct outgoing_chunk, list_node)->node = NULL;
    raft_store_close(node->store);
    raft_destroy(node->raft);
    mem_free(node);
}

/* ---- the owner's side ------------------------------------------------------------------------------------------------ */

enum err raft_node_propose(struct raft_node *node, struct buf *bytes, int64_t *index, int64_t *term)
{
    if (node->has_failed || !node->is_started) return ERR_CLOSED;
    if (bytes->size > RAFT_ENTRY_BYTES_MAX) return ERR_LIMIT;
    if (!raft_is_leader(node->raft)) return ERR_CLOSED;
    int64_t before = raft_last_index(node->raft);
    if (before - raft_commit_index(node->raft) >= UNCOMMITTED_MAX) return ERR_LIMIT;
    struct raft_event event = make_event(node, RAFT_PROPOSE);
    event.entry = bytes;
    process(node, &event);
    if (raft_last_index(node->raft) == before) return ERR_CLOSED; /* handing over */
    node->has_proposed = true;
    *index = before + 1;
    *term = raft_term(node->raft);
    return ERR_OK;
}

void raft_node_transfer(struct raft_node *node)
{
    struct raft_event event = make_event(node, RAFT_TRANSFER);
    event.node_id = RAFT_NOBODY;
    process(node, &event);
}

void raft_node_status(const struct raft_node *node, struct raft_status *status) { raft_status(node->raft, status); }

size_t raft_node_peers_status(const struct raft_node *node, struct raft_peer_status *peers, size_t capacity)
{
    return raft_peers_status(node->raft, peers, capacity);
}

int64_t raft_node_confirmed_us(const struct raft_node *node) { return raft_confirmed_us(node->raft); }
int64_t raft_node_applied_index(const struct raft_node *node) { return node->applied_index; }
struct uuid raft_node_directory_id(const struct raft_node *node) { return node->identity.directory_id; }
const struct raft *raft_node_raft(const struct raft_node *node) { return node->raft; }
