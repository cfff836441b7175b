/* Replay under random operations from a seed: P-ISR, P-PE, B-EPOCH and Q-LEADER after each batch; A-REPLAY: the live image, one
 * that replays the log from its begin, and one that starts from a snapshot are equal. */
#include "controller/metadata/config_control.h"
#include "tests/unit/metadata_fixture.h"

#define BROKERS 5
#define STEPS   600

/* ---- unknown records stop the replica -------------------------------------------------------------------------------- */

static enum err replay_bytes(struct meta *meta, const void *bytes, size_t size)
{
    char why[REPLAY_ERROR_MAX] = "";
    enum err err = image_replay(&meta->image, slice_make(bytes, size), meta->image.index + 1, &meta->delta, why);
    ck_assert_msg((err == ERR_OK) == (why[0] == 0), "a failure says why");
    return err;
}

START_TEST(a_replay_stops_before_what_it_does_not_know)
{
    struct meta meta;
    meta_init(&meta, 1);
    meta_start_brokers(&meta, 1);
    uint64_t hash = image_hash(&meta.image);
    /* records[0] is a valid topic "a"; then: an unknown type, an unknown version, an unknown field in it. */
    static const uint8_t topic[] = {0x0a, 0x17, 0x32, 0x15, 0x0a, 0x01, 'a', 0x12, 0x10, 1,  2,  3, 4,
                                    5,    6,    7,    8,    9,    10,   11,  12,   13,   14, 15, 16};
    static const uint8_t type[] = {0x0a, 0x03, 0xfa, 0x06, 0x00};
    static const uint8_t version[] = {0x0a, 0x04, 0x08, 0x01, 0x5a, 0x00};
    static const uint8_t field[] = {0x0a, 0x05, 0x5a, 0x03, 0x98, 0x06, 0x01};
    static const uint8_t batch_field[] = {0x98, 0x06, 0x01};
    const struct slice unknown[] = {
        {type, sizeof type}, {version, sizeof version}, {field, sizeof field}, {batch_field, sizeof batch_field}};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        uint8_t batch[64];
        memcpy(batch, topic, sizeof topic);
        memcpy(batch + sizeof topic, unknown[i].p, unknown[i].n);
        ck_assert_int_eq(replay_bytes(&meta, batch, sizeof topic + unknown[i].n), ERR_CORRUPT);
        ck_assert_msg(image_hash(&meta.image) == hash, "nothing is applied, not even what came before it");
    }
    ck_assert_int_eq(replay_bytes(&meta, topic, sizeof topic), ERR_OK);
    ck_assert_ptr_nonnull(image_topic_by_name(&meta.image, SLICE_LITERAL("a")));
    meta_deinit(&meta);
}
END_TEST

START_TEST(p_pe_epochs_never_go_back)
{
    struct meta meta;
    meta_init(&meta, 1);
    meta_start_brokers(&meta, 1);
    meta_create_topic(&meta, "t", 1, 1, 1);
    struct image_topic *topic = image_topic_by_name(&meta.image, SLICE_LITERAL("t"));
    static const struct {
        int32_t leader, leader_epoch, partition_epoch;
    } WRONG[] = {{0, 0, 0}, {0, 0, 2}, {0, -1, 1}, {NO_LEADER, 0, 1}};
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        struct partition_state state;
        uint32_t count = 0;
        partition_state_of(&meta.image, topic, 0, &state);
        state.leader = WRONG[i].leader, state.leader_epoch = WRONG[i].leader_epoch, state.partition_epoch = WRONG[i].partition_epoch;
        records_add_partition_change(&meta.records, topic->id, 0, &state);
        struct buf **batches = records_take(&meta.records, &count);
        ck_assert_int_eq(replay_bytes(&meta, batches[0]->data, batches[0]->size), ERR_CORRUPT);
        buf_unref(batches[0]);
        mem_free(batches);
    }
    meta_deinit(&meta);
}
END_TEST

/* ---- random operations ----------------------------------------------------------------------------------------------- */

struct random_run {
    struct meta meta;
    struct image behind; /* one batch behind the live image while a batch is checked */
    struct image_delta behind_delta;
    uint64_t next_incarnation;
    uint32_t next_topic;
};

static struct random_run *run_of(struct meta *meta) { return CONTAINER_OF(meta, struct random_run, meta); }

/* Q-LEADER and P-PE, on what the delta says changed. */
static void check_change(const struct random_run *run, const struct partition_change *change)
{
    const struct image_partition *now = partition_change_now(change);
    const struct image_partition *before = image_partition_get(&run->behind, change->topic->id, change->partition);
    if (!before) return;
    ck_assert_int_gt(now->partition_epoch, before->partition_epoch);
    ck_assert_int_ge(now->leader_epoch, before->leader_epoch);
    if (now->leader == before->leader) return;
    ck_assert_int_gt(now->leader_epoch, before->leader_epoch);
    if (now->leader == NO_LEADER || now->recovering) return;
    ck_assert_msg(node_ids_contain(image_isr(before), now->leader) || node_ids_contain(image_elr(before), now->leader),
                  "a clean leader comes from the ISR or the ELR");
}

static void check_batch(struct meta *meta)
{
    struct random_run *run = run_of(meta);
    for (uint32_t i = 0; i < meta->delta.partition_count; i++) check_change(run, &meta->delta.partitions[i]);
}

static void keep_behind(struct meta *meta, struct slice batch)
{
    /* The batch before this one. */
    struct random_run *run = run_of(meta);
    (void)batch;
    if (meta->log_count == 0) return;
    struct buf *last = meta->log[meta->log_count - 1];
    ck_assert_int_eq(image_replay(&run->behind, buf_slice(last), run->behind.index + 1, &run->behind_delta, NULL), ERR_OK);
    image_delta_clear(&run->behind_delta, &run->behind);
}

static struct image_topic *random_topic(struct random_run *run)
{
    uint32_t at = 0, count = map_count(&run->meta.image.topics);
    if (count == 0) return NULL;
    struct image_topic *topic = NULL;
    for (uint64_t skip = prng_below(&run->meta.prng, count) + 1; skip > 0; skip--) topic = image_next_topic(&run->meta.image, &at);
    return topic;
}

static void random_registration(struct random_run *run, int32_t id)
{
    struct meta *meta = &run->meta;
    const struct image_broker *before = image_broker_get(&meta->image, id);
    bool is_wiped = prng_chance(&meta->prng, 1, 4), is_old = prng_chance(&meta->prng, 1, 6);
    struct claim claim = {.id = id,
                          .incarnation = ++run->next_incarnation,
                          .directory = is_wiped ? run->next_incarnation << 8 : (uint64_t)id + 1,
                          .written_epoch = before && !is_wiped && !is_old ? before->epoch : -1,
                          .is_flushing = prng_chance(&meta->prng, 3, 4),
                          .is_clean = prng_chance(&meta->prng, 1, 3)};
    int64_t last = meta->image.last_broker_epoch;
    struct registered result = meta_register(meta, &claim, PREVIOUS_IS_GONE);
    ck_assert_int_eq(result.error, KAFKA_NONE);
    ck_assert_msg(result.epoch > last, "B-EPOCH");
}

static void random_alter(struct random_run *run)
{
    struct meta *meta = &run->meta;
    struct image_topic *topic = random_topic(run);
    if (!topic) return;
    int32_t index = (int32_t)prng_below(&meta->prng, (uint64_t)topic->partition_count);
    const struct image_partition *partition = &topic->partitions[index];
    struct alter alter = {.broker_id = prng_chance(&meta->prng, 9, 10) ? partition->leader : 0, .leader_epoch = -1, .partition_epoch = -1};
    if (prng_chance(&meta->prng, 1, 10)) alter.partition_epoch = partition->partition_epoch - 1;
    if (prng_chance(&meta->prng, 1, 10)) alter.leader_epoch = partition->leader_epoch - 1;
    for (uint32_t i = 0; i < partition->replica_count; i++) {
        int32_t id = image_replicas(partition).ids[i];
        if (id == partition->leader || prng_chance(&meta->prng, 2, 3)) alter.isr[alter.isr_count++] = id;
    }
    if (alter.isr_count) meta_alter(meta, topic->name, index, &alter);
}

static void random_config(struct random_run *run)
{
    struct meta *meta = &run->meta;
    static const char *const SETS[][2] = {{"min.insync.replicas", "1"},
                                          {"min.insync.replicas", "2"},
                                          {"min.insync.replicas", "3"},
                                          {"unclean.leader.election.enable", "true"},
                                          {"unclean.leader.election.enable", "false"},
                                          {"retention.ms", "5"}};
    struct image_topic *topic = random_topic(run);
    if (!topic) return;
    uint64_t pick = prng_below(&meta->prng, 6);
    struct incremental_alter_configs_request_configs change = {slice_str(SETS[pick][0]), prng_chance(&meta->prng, 1, 4),
                                                               slice_str(SETS[pick][1])};
    struct incremental_alter_configs_request_resources resource = {CONFIG_RESOURCE_TOPIC, slice_str(topic->name), &change, 1};
    if (prng_chance(&meta->prng, 1, 4)) resource.resource_type = CONFIG_RESOURCE_BROKER, resource.resource_name = SLICE_LITERAL("");
    struct incremental_alter_configs_request request = {.resources = &resource, .resources_count = 1};
    struct incremental_alter_configs_response response = {0};
    config_incremental_alter(&meta->control, &request, &response);
    ck_assert_int_eq(response.responses[0].error_code, 0);
    meta_commit(meta);
}

static void random_topic_change(struct random_run *run)
{
    struct meta *meta = &run->meta;
    struct image_topic *topic = random_topic(run);
    if (!topic || prng_chance(&meta->prng, 1, 2)) {
        char name[32];
        snprintf(name, sizeof name, "topic%u", run->next_topic++ % 20);
        meta_create_topic(meta, name, (int32_t)prng_range(&meta->prng, 1, 5), (int16_t)prng_range(&meta->prng, 1, BROKERS),
                          (int32_t)prng_range(&meta->prng, 1, 3));
    } else if (prng_chance(&meta->prng, 1, 2)) {
        struct slice name = slice_str(topic->name);
        struct delete_topics_request request = {.topic_names = &name, .topic_names_count = 1};
        struct delete_topics_response response = {0};
        topic_delete(&meta->control, 5, &request, &response);
        ck_assert_int_eq(response.responses[0].error_code, 0);
        meta_commit(meta);
    } else {
        struct create_partitions_request_topics more = {
            .name = slice_str(topic->name), .count = topic->partition_count + 2, .assignments_count = -1};
        struct create_partitions_request request = {.topics = &more, .topics_count = 1};
        struct create_partitions_response response = {0};
        topic_create_partitions(&meta->control, &request, &response);
        meta_commit(meta);
    }
}

static void random_step(struct random_run *run)
{
    struct meta *meta = &run->meta;
    int32_t id = (int32_t)prng_below(&meta->prng, BROKERS);
    switch (prng_below(&meta->prng, 10)) {
    case 0: random_registration(run, id); break;
    case 1: meta_fence(meta, id); break;
    case 2: meta_heartbeat(meta, id, false, prng_chance(&meta->prng, 1, 5)); break;
    case 3: meta_heartbeat(meta, id, prng_chance(&meta->prng, 1, 8), false); break;
    case 4: random_topic_change(run); break;
    case 5: random_config(run); break;
    case 6:
        replication_balance(&meta->control, true, 100);
        meta_commit(meta);
        break;
    default: random_alter(run);
    }
}

/* An image from the snapshot at `from` (NULL: from nothing), with the rest of the log. */
static uint64_t hash_of_replay(const struct meta *meta, struct slice snapshot, uint32_t from)
{
    struct image image;
    struct image_delta delta;
    image_init(&image, 1234);
    image_delta_init(&delta, &image);
    if (snapshot.n) ck_assert_int_eq(snapshot_load(&image, snapshot, from, &delta, NULL), ERR_OK);
    for (uint32_t i = from; i < meta->log_count; i++)
        ck_assert_int_eq(image_replay(&image, buf_slice(meta->log[i]), i + 1, &delta, NULL), ERR_OK);
    uint64_t hash = image_hash(&image);
    image_delta_deinit(&delta);
    image_deinit(&image);
    return hash;
}

START_TEST(a_replay_random_operations_keep_the_invariants)
{
    struct random_run run = {0};
    struct meta *meta = &run.meta;
    struct writer snapshot;
    uint32_t snapshot_at = 0;
    meta_init(meta, (uint64_t)_i + 1);
    image_init(&run.behind, 5);
    image_delta_init(&run.behind_delta, &run.behind);
    writer_init(&snapshot, 0);
    meta->before_batch = keep_behind;
    meta->after_batch = check_batch;
    struct cluster_defaults defaults = {.min_insync_replicas = 1 + _i % 2, .is_flushing = true};
    cluster_bootstrap(&meta->control, "cluster", &defaults);
    meta_commit(meta);
    meta_start_brokers(meta, BROKERS);
    for (int step = 0; step < STEPS; step++) {
        random_step(&run);
        if (!prng_chance(&meta->prng, 1, STEPS / 3)) continue;
        writer_deinit(&snapshot);
        snapshot_write(&meta->image, &snapshot);
        snapshot_at = meta->log_count;
    }
    uint64_t hash = image_hash(&meta->image);
    ck_assert(hash_of_replay(meta, SLICE_NULL, 0) == hash);
    ck_assert(hash_of_replay(meta, writer_slice(&snapshot), snapshot_at) == hash);
    writer_deinit(&snapshot);
    image_delta_deinit(&run.behind_delta);
    image_deinit(&run.behind);
    meta_deinit(meta);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replay");
    TCase *tests = tcase_create("replay");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_replay_stops_before_what_it_does_not_know);
    tcase_add_test(tests, p_pe_epochs_never_go_back);
    tcase_add_loop_test(tests, a_replay_random_operations_keep_the_invariants, 0, 50);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
