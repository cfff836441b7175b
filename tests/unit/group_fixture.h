/* A shard of the group coordinator with a log that is an array, for tests of broker/coordinator.
 *
 * step() feeds one event and takes the actions apart: batches wait in `flight` until commit_all(), commit_one() or refuse_one(); with
 * `is_auto` they are committed at once. What was committed stands in `log`, from which check_replay() loads a second shard and compares:
 * a successor must know what this one knows. */
#ifndef SKIFF_TESTS_UNIT_GROUP_FIXTURE_H
#define SKIFF_TESTS_UNIT_GROUP_FIXTURE_H

#include "broker/coordinator/group_shard.h"
#include "common/assert.h"
#include "common/mem.h"
#include "common/prng.h"

#include <check.h>

#define FLIGHT_MAX 64
#define T(text)    slice_str(text)

struct ask {
    struct group_request request;
    bool is_done;
    struct join_group_request join;
    struct join_group_request_protocols protocols[4];
    struct sync_group_request sync;
    struct sync_group_request_assignments assignments[8];
    struct heartbeat_request heartbeat;
    struct leave_group_request leave;
    struct leave_group_request_members leavers[4];
    struct offset_commit_request commit;
    struct offset_commit_request_topics commit_topic;
    struct offset_commit_request_partitions commit_partitions[4];
    struct offset_fetch_request_groups fetch;
    struct offset_fetch_request_groups_topics fetch_topic;
    int32_t fetch_partitions[4];
    struct offset_delete_request delete_offsets;
    struct offset_delete_request_topics delete_topic;
    struct offset_delete_request_partitions delete_partition;
    struct ask *next; /* all of a fixture, to be freed */
};

struct fixture {
    struct group_config config;
    struct group_shard shard;
    struct group_actions actions;
    int64_t now_ms, wall_ms;
    uint64_t ids;
    bool is_auto;
    const struct group_append *flight[FLIGHT_MAX];
    uint64_t tokens[FLIGHT_MAX];
    size_t flight_count;
    struct group_record *log; /* owned bytes */
    size_t log_count, log_capacity;
    struct ask *asks;
    struct ask *completed[FLIGHT_MAX * 4]; /* by the last step, in order */
    size_t completed_count;
};

static inline struct slice keep(struct slice bytes)
{
    if (slice_is_null(bytes)) return SLICE_NULL;
    uint8_t *copy = mem_alloc(bytes.n);
    if (bytes.n) memcpy(copy, bytes.p, bytes.n);
    return slice_make(copy, bytes.n);
}

static inline void drop(struct slice bytes)
{
    uintptr_t memory = (uintptr_t)bytes.p;
    mem_free((void *)memory);
}

static inline void commit_one(struct fixture *f);

static inline void step(struct fixture *f, struct group_event event)
{
    event.now_ms = f->now_ms;
    event.wall_ms = f->wall_ms + f->now_ms;
    event.random[0] = prng_splitmix(&f->ids);
    event.random[1] = prng_splitmix(&f->ids);
    group_shard_step(&f->shard, &event, &f->actions);
    struct list_node *node = NULL;
    while ((node = list_pop_front(&f->actions.appends))) {
        const struct group_append *append = CONTAINER_OF(node, struct group_append, node);
        ck_assert_uint_lt(f->flight_count, FLIGHT_MAX);
        f->tokens[f->flight_count] = append->token;
        f->flight[f->flight_count++] = append;
    }
    while ((node = list_pop_front(&f->actions.completed))) {
        struct ask *ask = CONTAINER_OF(CONTAINER_OF(node, struct group_request, node), struct ask, request);
        ck_assert(!ask->is_done);
        ask->is_done = true;
        f->completed[f->completed_count++ % (FLIGHT_MAX * 4)] = ask;
    }
    while (f->is_auto && f->flight_count > 0) commit_one(f);
}

static inline uint64_t take_flight(struct fixture *f, size_t at)
{
    ck_assert_uint_lt(at, f->flight_count);
    uint64_t token = f->tokens[at];
    f->flight_count--;
    for (size_t i = at; i < f->flight_count; i++) {
        f->flight[i] = f->flight[i + 1];
        f->tokens[i] = f->tokens[i + 1];
    }
    return token;
}

static inline void commit_one(struct fixture *f)
{
    ck_assert_uint_gt(f->flight_count, 0);
    const struct group_append *append = f->flight[0];
    for (size_t i = 0; i < append->count; i++) {
        if (f->log_count == f->log_capacity) {
            f->log_capacity = f->log_capacity ? f->log_capacity * 2 : 64;
            f->log = mem_realloc(f->log, f->log_capacity, sizeof *f->log);
        }
        f->log[f->log_count++] = (struct group_record){keep(append->records[i].key), keep(append->records[i].value)};
    }
    uint64_t token = take_flight(f, 0);
    step(f, (struct group_event){.type = GROUP_EVENT_APPENDED, .appended = {token, KAFKA_NONE}});
}

static inline void commit_all(struct fixture *f)
{
    while (f->flight_count > 0) commit_one(f);
}

static inline void refuse_one(struct fixture *f, enum kafka_error error)
{
    uint64_t token = take_flight(f, f->flight_count - 1);
    step(f, (struct group_event){.type = GROUP_EVENT_APPENDED, .appended = {token, error}});
}

static inline void tick(struct fixture *f) { step(f, (struct group_event){.type = GROUP_EVENT_TICK}); }

/* Time passes; every deadline on the way is kept. */
static inline void pass_ms(struct fixture *f, int64_t ms)
{
    int64_t end = f->now_ms + ms;
    while (f->actions.deadline_ms <= end) {
        f->now_ms = f->actions.deadline_ms > f->now_ms ? f->actions.deadline_ms : f->now_ms;
        tick(f);
    }
    f->now_ms = end;
    tick(f);
}

static inline void fixture_config(struct group_config *config)
{
    *config = (struct group_config){
        .group_initial_rebalance_delay_ms = 3000,
        .group_max_size = INT32_MAX,
        .group_min_session_timeout_ms = 6000,
        .group_max_session_timeout_ms = 1800000,
        .offset_metadata_max_bytes = 4096,
        .offsets_commit_timeout_ms = 5000,
        .offsets_retention_ms = 7 * 86400000LL,
        .offsets_retention_check_interval_ms = 600000,
        .bytes_max = 1u << 30,
    };
}

static inline void fixture_init_loading(struct fixture *f)
{
    *f = (struct fixture){.now_ms = 1000, .wall_ms = 1700000000000, .is_auto = true};
    fixture_config(&f->config);
    group_shard_init(&f->shard, &f->config, 7);
}

static inline void fixture_init(struct fixture *f)
{
    fixture_init_loading(f);
    step(f, (struct group_event){.type = GROUP_EVENT_LOADED});
}

static inline void fixture_deinit(struct fixture *f)
{
    f->flight_count = 0;
    step(f, (struct group_event){.type = GROUP_EVENT_UNLOADED});
    group_shard_deinit(&f->shard);
    while (f->asks) {
        struct ask *ask = f->asks;
        f->asks = ask->next;
        ck_assert(ask->is_done);
        group_request_deinit(&ask->request);
        mem_free(ask);
    }
    for (size_t i = 0; i < f->log_count; i++) {
        drop(f->log[i].key);
        drop(f->log[i].value);
    }
    mem_free(f->log);
}

/* ---- requests ---- */

static inline struct ask *new_ask(struct fixture *f, enum group_request_type type, int16_t version, const char *group)
{
    struct ask *ask = mem_alloc(sizeof *ask);
    group_request_init(&ask->request, type, version, T(group));
    ask->next = f->asks;
    f->asks = ask;
    return ask;
}

static inline void send(struct fixture *f, struct ask *ask)
{
    step(f, (struct group_event){.type = GROUP_EVENT_REQUEST, .request = &ask->request});
}

struct joiner {
    int16_t version;
    const char *group, *member, *instance; /* NULL: the defaults "g", "", none */
    const char *type;                      /* "consumer" */
    const char *protocols[4];              /* {"range"} */
    const char *metadata;                  /* "" */
    int32_t session_ms, rebalance_ms;      /* 10 s, 60 s */
    const char *reason;
};

static inline struct ask *prepare_join(struct fixture *f, struct joiner j)
{
    struct ask *ask = new_ask(f, GROUP_JOIN, j.version, j.group ? j.group : "g");
    ask->request.client_id = T("client");
    ask->request.client_host = T("/127.0.0.1");
    int32_t count = 0;
    if (!j.protocols[0]) j.protocols[0] = "range";
    for (; count < 4 && j.protocols[count]; count++)
        ask->protocols[count] = (struct join_group_request_protocols){T(j.protocols[count]), T(j.metadata ? j.metadata : "")};
    ask->join = (struct join_group_request){
        .group_id = ask->request.group_id,
        .session_timeout_ms = j.session_ms ? j.session_ms : 10000,
        .rebalance_timeout_ms = j.rebalance_ms ? j.rebalance_ms : 60000,
        .member_id = T(j.member ? j.member : ""),
        .group_instance_id = T(j.instance),
        .protocol_type = T(j.type ? j.type : "consumer"),
        .protocols = ask->protocols,
        .protocols_count = count,
        .reason = T(j.reason),
    };
    ask->request.in.join = &ask->join;
    return ask;
}

static inline struct ask *join(struct fixture *f, struct joiner j)
{
    struct ask *ask = prepare_join(f, j);
    send(f, ask);
    return ask;
}

/* A NUL-terminated copy that lives as long as the request that it was told in. */
static inline const char *text_of(struct ask *ask, struct slice s)
{
    return (const char *)arena_printf(&ask->request.arena, "%.*s", SLICE_ARG(s)).p;
}
static inline const char *member_of(struct ask *ask) { return text_of(ask, ask->request.out.join.member_id); }
static inline int32_t generation_of(const struct ask *ask) { return ask->request.out.join.generation_id; }

static inline struct ask *sync_with(struct fixture *f, const char *group, const char *member, int32_t generation, const char *const *to,
                                    const char *const *what, int32_t count)
{
    struct ask *ask = new_ask(f, GROUP_SYNC, 5, group);
    for (int32_t i = 0; i < count; i++) ask->assignments[i] = (struct sync_group_request_assignments){T(to[i]), T(what[i])};
    ask->sync = (struct sync_group_request){
        .group_id = T(group),
        .generation_id = generation,
        .member_id = T(member),
        .group_instance_id = SLICE_NULL,
        .protocol_type = SLICE_NULL,
        .protocol_name = SLICE_NULL,
        .assignments = ask->assignments,
        .assignments_count = count,
    };
    ask->request.in.sync = &ask->sync;
    send(f, ask);
    return ask;
}

static inline struct ask *sync_group(struct fixture *f, const char *member, int32_t generation)
{
    return sync_with(f, "g", member, generation, NULL, NULL, 0);
}

static inline int16_t heartbeat(struct fixture *f, const char *member, int32_t generation, const char *instance)
{
    struct ask *ask = new_ask(f, GROUP_HEARTBEAT, 4, "g");
    ask->heartbeat = (struct heartbeat_request){
        .group_id = T("g"), .generation_id = generation, .member_id = T(member), .group_instance_id = T(instance)};
    ask->request.in.heartbeat = &ask->heartbeat;
    send(f, ask);
    ck_assert(ask->is_done);
    return ask->request.out.heartbeat.error_code;
}

static inline struct ask *leave(struct fixture *f, const char *member, const char *instance)
{
    struct ask *ask = new_ask(f, GROUP_LEAVE, 5, "g");
    ask->leavers[0] = (struct leave_group_request_members){T(member), T(instance), SLICE_NULL};
    ask->leave = (struct leave_group_request){.group_id = T("g"), .members = ask->leavers, .members_count = 1};
    ask->request.in.leave = &ask->leave;
    send(f, ask);
    ck_assert(ask->is_done);
    return ask;
}
static inline int16_t leave_error(const struct ask *ask) { return ask->request.out.leave.members[0].error_code; }

struct committer {
    int16_t version; /* 9 */
    const char *group, *member, *instance;
    bool is_member; /* generation counts; else -1 */
    int32_t generation;
    const char *topic; /* "t" */
    int32_t partition;
    int64_t offset;
    const char *metadata;
    struct uuid topic_id;
    int64_t retention_ms; /* 0: by the broker's setting */
};

static inline struct ask *commit(struct fixture *f, struct committer c)
{
    struct ask *ask = new_ask(f, GROUP_OFFSET_COMMIT, c.version ? c.version : 9, c.group ? c.group : "g");
    ask->commit_partitions[0] = (struct offset_commit_request_partitions){
        .partition_index = c.partition, .committed_offset = c.offset, .committed_leader_epoch = 3, .committed_metadata = T(c.metadata)};
    ask->commit_topic = (struct offset_commit_request_topics){
        .name = T(c.topic ? c.topic : "t"), .topic_id = c.topic_id, .partitions = ask->commit_partitions, .partitions_count = 1};
    ask->commit = (struct offset_commit_request){
        .group_id = ask->request.group_id,
        .generation_id_or_member_epoch = c.is_member ? c.generation : -1,
        .member_id = T(c.member ? c.member : ""),
        .group_instance_id = T(c.instance),
        .retention_time_ms = c.retention_ms ? c.retention_ms : -1,
        .topics = &ask->commit_topic,
        .topics_count = 1,
    };
    ask->request.in.commit = &ask->commit;
    send(f, ask);
    return ask;
}
static inline int16_t commit_error(const struct ask *ask)
{
    ck_assert(ask->is_done);
    return ask->request.out.commit.topics[0].partitions[0].error_code;
}

static inline struct ask *fetch(struct fixture *f, const char *group, const char *topic, int32_t partition, bool require_stable)
{
    struct ask *ask = new_ask(f, GROUP_OFFSET_FETCH, 9, group);
    ask->fetch_partitions[0] = partition;
    ask->fetch_topic = (struct offset_fetch_request_groups_topics){
        .name = T(topic), .partition_indexes = ask->fetch_partitions, .partition_indexes_count = 1};
    ask->fetch = (struct offset_fetch_request_groups){
        .group_id = T(group), .member_id = SLICE_NULL, .topics = topic ? &ask->fetch_topic : NULL, .topics_count = topic ? 1 : -1};
    ask->request.in.fetch = &ask->fetch;
    ask->request.require_stable = require_stable;
    send(f, ask);
    return ask;
}
static inline int64_t fetched(struct fixture *f, const char *topic, int32_t partition)
{
    struct ask *ask = fetch(f, "g", topic, partition, false);
    ck_assert(ask->is_done);
    return ask->request.out.fetch.topics[0].partitions[0].committed_offset;
}

static inline struct ask *delete_offset(struct fixture *f, const char *group, const char *topic, int32_t partition)
{
    struct ask *ask = new_ask(f, GROUP_OFFSET_DELETE, 0, group);
    ask->delete_partition.partition_index = partition;
    ask->delete_topic =
        (struct offset_delete_request_topics){.name = T(topic), .partitions = &ask->delete_partition, .partitions_count = 1};
    ask->delete_offsets = (struct offset_delete_request){.group_id = T(group), .topics = &ask->delete_topic, .topics_count = 1};
    ask->request.in.offset_delete = &ask->delete_offsets;
    send(f, ask);
    return ask;
}

static inline struct ask *delete_group(struct fixture *f, const char *group)
{
    struct ask *ask = new_ask(f, GROUP_DELETE, 2, group);
    send(f, ask);
    return ask;
}

static inline const struct group *find_group(const struct fixture *f, const char *group) { return group_shard_find(&f->shard, T(group)); }

/* One dynamic member (version 3: no id to ask for first), joined and synced: Stable. Its id. */
static inline const char *stable_alone(struct fixture *f, struct joiner j)
{
    struct ask *joined = join(f, j);
    pass_ms(f, f->config.group_initial_rebalance_delay_ms);
    ck_assert(joined->is_done);
    ck_assert_int_eq(joined->request.out.join.error_code, KAFKA_NONE);
    const char *member = member_of(joined);
    struct ask *synced =
        sync_with(f, j.group ? j.group : "g", member, generation_of(joined), (const char *[]){member}, (const char *[]){"all"}, 1);
    ck_assert(synced->is_done);
    ck_assert_int_eq(synced->request.out.sync.error_code, KAFKA_NONE);
    return member;
}

/* ---- a successor ---- */

static inline void compare_offsets(const struct group *a, const struct group *b)
{
    ck_assert_uint_eq(a->offsets.count, b->offsets.count);
    MAP_FOR_EACH (&a->offsets.topics, const struct group_topic, topic) {
        const struct group_topic *other = group_offsets_topic(&b->offsets, group_topic_name(topic));
        ck_assert_ptr_nonnull(other);
        ck_assert_uint_eq(group_topic_count(topic), group_topic_count(other));
        for (uint32_t i = 0; i < group_topic_count(topic); i++) {
            struct committed_offset x = group_topic_at(topic, i), y = group_topic_at(other, i);
            ck_assert_int_eq(x.partition, y.partition);
            ck_assert_int_eq(x.offset, y.offset);
            ck_assert_int_eq(x.leader_epoch, y.leader_epoch);
            ck_assert_int_eq(x.commit_ms, y.commit_ms);
            ck_assert_int_eq(x.expire_ms, y.expire_ms);
            ck_assert(uuid_equal(x.topic_id, y.topic_id));
            ck_assert(slice_equal(x.metadata, y.metadata));
        }
    }
}

static inline void compare_members(const struct group *a, const struct group *b)
{
    ck_assert_int_eq(a->generation, b->generation);
    ck_assert_uint_eq(group_member_count(a), group_member_count(b));
    ck_assert(slice_equal(a->protocol_type, b->protocol_type));
    ck_assert(slice_equal(a->protocol_name, b->protocol_name));
    ck_assert(slice_equal(a->leader->id, b->leader->id));
    MAP_FOR_EACH (&a->members, const struct group_member, member) {
        const struct group_member *other = map_get(&b->members, member->id);
        ck_assert_ptr_nonnull(other);
        ck_assert(slice_equal(member->assignment, other->assignment));
        ck_assert(slice_equal(member->instance_id, other->instance_id));
        ck_assert(slice_equal(member->client_id, other->client_id));
        ck_assert(slice_equal(group_member_metadata(member, a->protocol_name), group_member_metadata(other, a->protocol_name)));
        ck_assert_int_eq(member->session_timeout_ms, other->session_timeout_ms);
        ck_assert_int_eq(member->rebalance_timeout_ms, other->rebalance_timeout_ms);
    }
}

static inline void load_into(struct fixture *successor, const struct fixture *f)
{
    fixture_init_loading(successor);
    successor->now_ms = f->now_ms;
    successor->config = f->config;
    for (size_t i = 0; i < f->log_count; i++) step(successor, (struct group_event){.type = GROUP_EVENT_RECORD, .record = f->log[i]});
    step(successor, (struct group_event){.type = GROUP_EVENT_LOADED});
    ck_assert_uint_eq(successor->shard.counters.records_malformed, 0);
}

/* Everything committed, and the members of each group that is Stable: as its successor will have them. */
static inline void check_replay(const struct fixture *f)
{
    struct fixture successor;
    load_into(&successor, f);
    uint32_t position = 0, other_position = 0, count = 0, other_count = 0;
    const struct group *group = NULL;
    while ((group = group_shard_next(&f->shard, &position))) {
        const struct group *other = group_shard_find(&successor.shard, group->id);
        ck_assert_ptr_nonnull(other);
        compare_offsets(group, other);
        if (group->state == GROUP_STABLE) compare_members(group, other);
        ck_assert_int_le(other->generation, group->generation);
        count++;
    }
    while (group_shard_next(&successor.shard, &other_position)) other_count++;
    ck_assert_uint_eq(count, other_count);
    fixture_deinit(&successor);
}

#endif
