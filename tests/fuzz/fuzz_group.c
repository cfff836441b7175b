/* F10: a shard of the group coordinator. First it loads records that may be anything, then requests come in that are made of a few small
 * numbers and of raw bytes where a client's bytes are opaque, while appends are committed or refused, time passes, and at last the
 * partition moves away. Nobody's bytes may stop it; each request is answered once; and what it wrote, it can load.
 *
 * Input: records (uint8 key length, key, uint8 value length, 255 for a tombstone, value) up to an empty key; then operations. */
#include "broker/coordinator/group_shard.h"
#include "broker/coordinator/subscription.h"
#include "common/assert.h"
#include "common/mem.h"
#include "common/reader.h"
#include "tests/fuzz/fuzz.h"

#define RECORDS_MAX  200
#define REQUESTS_MAX 200
#define FLIGHT_MAX   256

struct ask {
    struct group_request request;
    bool is_done;
    union {
        struct join_group_request join;
        struct sync_group_request sync;
        struct heartbeat_request heartbeat;
        struct leave_group_request leave;
        struct offset_commit_request commit;
        struct offset_fetch_request_groups fetch;
        struct offset_delete_request offset_delete;
    } in;
    struct join_group_request_protocols protocols[2];
    struct sync_group_request_assignments assignment;
    struct leave_group_request_members leaver;
    struct offset_commit_request_topics commit_topic;
    struct offset_commit_request_partitions commit_partition;
    struct offset_fetch_request_groups_topics fetch_topic;
    int32_t fetch_partition;
    struct offset_delete_request_topics delete_topic;
    struct offset_delete_request_partitions delete_partition;
};

struct run {
    struct group_config config;
    struct group_shard shard, successor;
    struct reader input;
    int64_t now_ms;
    struct ask *asks[REQUESTS_MAX];
    size_t ask_count;
    const struct group_append *flight[FLIGHT_MAX];
    size_t flight_count;
    struct slice members[8]; /* ids that were given out */
    size_t member_count;
};

static void note_member(struct run *run, const struct ask *ask)
{
    if (ask->request.type != GROUP_JOIN || ask->request.out.join.member_id.n == 0) return;
    run->members[run->member_count++ % 8] = ask->request.out.join.member_id;
}

static void step(struct run *run, struct group_event event)
{
    struct group_actions actions;
    struct list_node *node = NULL;
    event.now_ms = run->now_ms;
    event.wall_ms = 1000000 + run->now_ms;
    event.random[0] = event.random[1] = (uint64_t)run->ask_count;
    group_shard_step(&run->shard, &event, &actions);
    while ((node = list_pop_front(&actions.completed))) {
        struct ask *ask = CONTAINER_OF(CONTAINER_OF(node, struct group_request, node), struct ask, request);
        ASSERT(!ask->is_done);
        ask->is_done = true;
        note_member(run, ask);
    }
    while ((node = list_pop_front(&actions.appends))) {
        ASSERT(run->flight_count < FLIGHT_MAX);
        run->flight[run->flight_count++] = CONTAINER_OF(node, struct group_append, node);
    }
}

/* What is committed goes to the successor, too. */
static void append(struct run *run, enum kafka_error error)
{
    if (run->flight_count == 0) return;
    size_t at = error == KAFKA_NONE ? 0 : run->flight_count - 1;
    const struct group_append *batch = run->flight[at];
    run->flight_count--;
    if (error == KAFKA_NONE) memmove(&run->flight[0], &run->flight[1], run->flight_count * sizeof run->flight[0]);
    for (size_t i = 0; error == KAFKA_NONE && i < batch->count; i++) {
        struct group_event record = {.type = GROUP_EVENT_RECORD, .record = batch->records[i]};
        struct group_actions actions;
        group_shard_step(&run->successor, &record, &actions);
    }
    step(run, (struct group_event){.type = GROUP_EVENT_APPENDED, .appended = {batch->token, error}});
}

static void load(struct run *run)
{
    for (int i = 0; i < RECORDS_MAX; i++) {
        struct slice key = reader_bytes(&run->input, reader_u8(&run->input));
        if (!reader_ok(&run->input) || key.n == 0) break;
        uint8_t size = reader_u8(&run->input);
        struct slice value = size == 255 ? SLICE_NULL : reader_bytes(&run->input, size);
        if (!reader_ok(&run->input)) break;
        struct group_event event = {.type = GROUP_EVENT_RECORD, .record = {key, value}};
        step(run, event);
        struct group_actions actions;
        group_shard_step(&run->successor, &event, &actions);
    }
    step(run, (struct group_event){.type = GROUP_EVENT_LOADED});
}

static struct slice opaque(struct run *run) { return reader_bytes(&run->input, reader_u8(&run->input) % 40); }

static struct slice one_of(struct run *run, const char *const *texts, size_t count)
{
    return slice_str(texts[reader_u8(&run->input) % count]);
}

static struct slice some_member(struct run *run)
{
    uint8_t byte = reader_u8(&run->input);
    if (byte < 100 || run->member_count == 0) return SLICE_LITERAL("");
    if (byte < 110) return SLICE_LITERAL("m");
    return run->members[byte % (run->member_count < 8 ? run->member_count : 8)];
}

static const char *const groups[] = {"g", "h", ""}, *const types[] = {"consumer", "connect", ""}, *const names[] = {"range", "sticky", "x"},
                         *const instances[] = {NULL, NULL, "one", "two"}, *const topics[] = {"t", "u"};

static void fill_join(struct run *run, struct ask *ask)
{
    ask->protocols[0] = (struct join_group_request_protocols){one_of(run, names, 3), opaque(run)};
    ask->protocols[1] = (struct join_group_request_protocols){one_of(run, names, 3), opaque(run)};
    ask->in.join = (struct join_group_request){.session_timeout_ms = 6000 + reader_u8(&run->input) * 10,
                                               .rebalance_timeout_ms = reader_i16(&run->input),
                                               .member_id = some_member(run),
                                               .group_instance_id = one_of(run, instances, 4),
                                               .protocol_type = one_of(run, types, 3),
                                               .protocols = ask->protocols,
                                               .protocols_count = reader_u8(&run->input) % 3,
                                               .reason = opaque(run)};
}

static void fill_offsets(struct run *run, struct ask *ask)
{
    struct slice topic = one_of(run, topics, 2);
    int32_t partition = reader_u8(&run->input) % 3;
    ask->commit_partition = (struct offset_commit_request_partitions){partition, reader_i8(&run->input), 1, opaque(run)};
    ask->commit_topic = (struct offset_commit_request_topics){.name = topic, .partitions = &ask->commit_partition, .partitions_count = 1};
    ask->fetch_partition = partition;
    ask->fetch_topic = (struct offset_fetch_request_groups_topics){
        .name = topic, .partition_indexes = &ask->fetch_partition, .partition_indexes_count = 1};
    ask->delete_partition.partition_index = partition;
    ask->delete_topic = (struct offset_delete_request_topics){.name = topic, .partitions = &ask->delete_partition, .partitions_count = 1};
}

static void fill(struct run *run, struct ask *ask)
{
    int32_t generation = reader_i8(&run->input);
    switch (ask->request.type) {
    case GROUP_JOIN: fill_join(run, ask); break;
    case GROUP_SYNC:
        ask->assignment = (struct sync_group_request_assignments){some_member(run), opaque(run)};
        ask->in.sync = (struct sync_group_request){.generation_id = generation,
                                                   .member_id = some_member(run),
                                                   .group_instance_id = one_of(run, instances, 4),
                                                   .protocol_type = SLICE_NULL,
                                                   .protocol_name = SLICE_NULL,
                                                   .assignments = &ask->assignment,
                                                   .assignments_count = 1};
        break;
    case GROUP_HEARTBEAT:
        ask->in.heartbeat = (struct heartbeat_request){
            .generation_id = generation, .member_id = some_member(run), .group_instance_id = one_of(run, instances, 4)};
        break;
    case GROUP_LEAVE:
        ask->leaver = (struct leave_group_request_members){some_member(run), one_of(run, instances, 4), opaque(run)};
        ask->in.leave = (struct leave_group_request){.member_id = some_member(run), .members = &ask->leaver, .members_count = 1};
        break;
    case GROUP_OFFSET_COMMIT:
        fill_offsets(run, ask);
        ask->in.commit = (struct offset_commit_request){.generation_id_or_member_epoch = generation,
                                                        .member_id = some_member(run),
                                                        .group_instance_id = one_of(run, instances, 4),
                                                        .retention_time_ms = reader_i8(&run->input),
                                                        .topics = &ask->commit_topic,
                                                        .topics_count = 1};
        break;
    case GROUP_OFFSET_FETCH:
        fill_offsets(run, ask);
        ask->request.require_stable = generation & 1;
        ask->in.fetch = (struct offset_fetch_request_groups){.topics = generation & 2 ? NULL : &ask->fetch_topic,
                                                             .topics_count = generation & 2 ? -1 : 1};
        break;
    case GROUP_OFFSET_DELETE:
        fill_offsets(run, ask);
        ask->in.offset_delete = (struct offset_delete_request){.topics = &ask->delete_topic, .topics_count = 1};
        break;
    case GROUP_DELETE: break;
    }
    ask->request.in.join = &ask->in.join; /* the first member of each union is where all begin */
}

static void request(struct run *run, uint8_t type)
{
    if (run->ask_count == REQUESTS_MAX) return;
    struct ask *ask = mem_alloc(sizeof *ask);
    int16_t version = reader_u8(&run->input) % 10;
    group_request_init(&ask->request, (enum group_request_type)type, version, one_of(run, groups, 3));
    ask->request.client_id = opaque(run);
    ask->request.client_host = SLICE_LITERAL("/h");
    fill(run, ask);
    run->asks[run->ask_count++] = ask;
    step(run, (struct group_event){.type = GROUP_EVENT_REQUEST, .request = &ask->request});
}

static void operate(struct run *run)
{
    uint8_t operation = reader_u8(&run->input);
    if (operation < 160)
        request(run, operation % 8);
    else if (operation < 210)
        append(run, KAFKA_NONE);
    else if (operation < 220)
        append(run, KAFKA_NOT_ENOUGH_REPLICAS);
    else if (operation < 224)
        step(run, (struct group_event){.type = GROUP_EVENT_TOPIC_DELETED, .topic = {one_of(run, topics, 2), UUID_ZERO}});
    else {
        run->now_ms += operation < 250 ? reader_u8(&run->input) * 20 : 4000;
        step(run, (struct group_event){.type = GROUP_EVENT_TICK});
    }
    while (run->flight_count > FLIGHT_MAX - 16) append(run, KAFKA_NONE);
}

static void compare(const struct run *run)
{
    ASSERT(run->shard.offset_count == run->successor.offset_count);
    uint32_t position = 0;
    const struct group *group = NULL;
    while ((group = group_shard_next(&run->shard, &position))) {
        const struct group *other = group_shard_find(&run->successor, group->id);
        ASSERT(other != NULL);
        ASSERT(group->offsets.count == other->offsets.count);
    }
}

static void finish(struct run *run)
{
    while (run->flight_count > 0) append(run, KAFKA_NONE);
    compare(run);
    step(run, (struct group_event){.type = GROUP_EVENT_UNLOADED});
    for (size_t i = 0; i < run->ask_count; i++) {
        ASSERT(run->asks[i]->is_done);
        group_request_deinit(&run->asks[i]->request);
        mem_free(run->asks[i]);
    }
    group_shard_deinit(&run->shard);
    struct group_event event = {.type = GROUP_EVENT_LOADED};
    struct group_actions actions;
    group_shard_step(&run->successor, &event, &actions);
    event.type = GROUP_EVENT_UNLOADED;
    group_shard_step(&run->successor, &event, &actions);
    group_shard_deinit(&run->successor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;
    bool is_subscribed = false;
    struct map subscribed;
    map_init(&subscribed, 0);
    map_put(&subscribed, SLICE_LITERAL("t"), &is_subscribed);
    (void)!subscription_mark(slice_make(data, size), &subscribed);
    map_deinit(&subscribed);
    run = (struct run){.input = reader_make(slice_make(data, size))};
    run.config = (struct group_config){
        .group_initial_rebalance_delay_ms = 100,
        .group_max_size = 4,
        .group_min_session_timeout_ms = 6000,
        .group_max_session_timeout_ms = 10000,
        .offset_metadata_max_bytes = 20,
        .offsets_commit_timeout_ms = 5000,
        .offsets_retention_ms = 20000,
        .offsets_retention_check_interval_ms = 5000,
        .bytes_max = 1u << 20,
    };
    group_shard_init(&run.shard, &run.config, 1);
    group_shard_init(&run.successor, &run.config, 2);
    load(&run);
    while (run.input.left > 0) operate(&run);
    finish(&run);
    return 0;
}
