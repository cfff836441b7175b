/* Reassignments (KIP-455), elections, removal of brokers, feature levels and quotas, decided on an image. */
#include "tests/unit/metadata_fixture.h"

#include "controller/metadata/feature_control.h"
#include "controller/metadata/quota_control.h"
#include "controller/metadata/reassign_control.h"

#include <stdlib.h>

static struct meta meta;

static void setup(void)
{
    meta_init(&meta, 11);
    cluster_bootstrap(&meta.control, "cluster", &(struct cluster_defaults){.min_insync_replicas = 1, .is_flushing = true});
    meta_commit(&meta);
    meta_start_brokers(&meta, 5);
}
static void teardown(void)
{
    /* Whatever was done: a snapshot says the same. */
    struct writer bytes;
    struct image copy;
    struct image_delta delta;
    writer_init(&bytes, 1024);
    snapshot_write(&meta.image, &bytes);
    image_init(&copy, 1);
    image_delta_init(&delta, &copy);
    ck_assert_int_eq(snapshot_load(&copy, writer_slice(&bytes), meta.image.index, &delta, NULL), ERR_OK);
    image_check(&copy);
    ck_assert_uint_eq(image_hash(&copy), image_hash(&meta.image));
    ck_assert_int_eq(copy.last_broker_epoch, meta.image.last_broker_epoch);
    image_delta_deinit(&delta);
    image_deinit(&copy);
    writer_deinit(&bytes);
    meta_deinit(&meta);
}

#define IDS(...) ((struct node_ids){(const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)})

static void expect(struct node_ids is, struct node_ids should)
{
    ck_assert_uint_eq(is.count, should.count);
    for (uint32_t i = 0; i < is.count; i++) ck_assert_int_eq(is.ids[i], should.ids[i]);
}

static const struct image_partition *topic_on(const char *name, struct node_ids replicas)
{
    int32_t ids[8];
    memcpy(ids, replicas.ids, replicas.count * sizeof *ids);
    struct create_topics_request_assignments assignment = {.broker_ids = ids, .broker_ids_count = (int32_t)replicas.count};
    struct create_topics_request_topics topic = {
        .name = slice_str(name), .num_partitions = -1, .replication_factor = -1, .assignments = &assignment, .assignments_count = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1};
    struct create_topics_response response = {0};
    topic_create(&meta.control, &request, &response);
    ck_assert_int_eq(response.topics[0].error_code, 0);
    meta_commit(&meta);
    return meta_partition(&meta, name, 0);
}
/* "t": one partition on those brokers. */
static const struct image_partition *partition_on(struct node_ids replicas) { return topic_on("t", replicas); }

/* No ids: cancel. */
static enum kafka_error reassign_with(struct node_ids target, bool may_change_factor)
{
    int32_t ids[80];
    if (target.count) memcpy(ids, target.ids, target.count * sizeof *ids);
    struct alter_partition_reassignments_request_partitions partition = {.replicas = ids,
                                                                         .replicas_count = target.count ? (int32_t)target.count : -1};
    struct alter_partition_reassignments_request_topics topic = {
        .name = SLICE_LITERAL("t"), .partitions = &partition, .partitions_count = 1};
    struct alter_partition_reassignments_request request = {
        .topics = &topic, .topics_count = 1, .allow_replication_factor_change = may_change_factor};
    struct alter_partition_reassignments_response response = {0};
    reassign_partitions(&meta.control, &request, &response);
    enum kafka_error error = (enum kafka_error)response.responses[0].partitions[0].error_code;
    meta_commit(&meta);
    return error;
}
static enum kafka_error reassign(struct node_ids target) { return reassign_with(target, true); }
static enum kafka_error cancel(void) { return reassign((struct node_ids){0}); }

static const struct image_reassignment *under_way(void)
{
    return image_reassignment_get(&meta.image, image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->id, 0);
}

static enum kafka_error alter_isr(struct node_ids isr)
{
    struct alter alter = {.broker_id = meta_partition(&meta, "t", 0)->leader, .leader_epoch = -1, .partition_epoch = -1};
    memcpy(alter.isr, isr.ids, isr.count * sizeof *alter.isr);
    alter.isr_count = isr.count;
    return meta_alter(&meta, "t", 0, &alter);
}

START_TEST(a_reassignment_ends_when_all_that_it_adds_are_in_sync)
{
    const struct image_partition *p = partition_on(IDS(0, 1, 2));
    ck_assert_int_eq(reassign(IDS(3, 4, 2)), KAFKA_NONE);
    expect(image_replicas(p), IDS(3, 4, 2, 0, 1));
    expect(image_adding(under_way()), IDS(3, 4));
    expect(image_removing(under_way()), IDS(0, 1));
    expect(image_isr(p), IDS(0, 1, 2));
    ck_assert_int_eq(p->leader, 0);
    ck_assert_int_eq(alter_isr(IDS(0, 1, 2, 3)), KAFKA_NONE);
    expect(image_replicas(p), IDS(3, 4, 2, 0, 1));
    ck_assert_int_eq(alter_isr(IDS(0, 1, 2, 3, 4)), KAFKA_NONE);
    expect(image_replicas(p), IDS(3, 4, 2));
    ck_assert_ptr_null(under_way());
    ck_assert_int_eq(p->isr_count, 3);
    ck_assert_int_eq(p->leader, 3);
    ck_assert_int_eq(p->leader_epoch, 1);
}
END_TEST

START_TEST(fewer_replicas_or_another_order_need_no_wait)
{
    const struct image_partition *p = partition_on(IDS(0, 1, 2));
    ck_assert_int_eq(reassign(IDS(2, 1, 0)), KAFKA_NONE);
    expect(image_replicas(p), IDS(2, 1, 0));
    ck_assert_int_eq(p->leader, 0);
    ck_assert_int_eq(reassign(IDS(1)), KAFKA_NONE);
    expect(image_replicas(p), IDS(1));
    expect(image_isr(p), IDS(1));
    ck_assert_int_eq(p->leader, 1);
    ck_assert_ptr_null(under_way());
    int32_t epoch = p->partition_epoch;
    ck_assert_int_eq(reassign(IDS(1)), KAFKA_NONE);
    ck_assert_int_eq(p->partition_epoch, epoch);
}
END_TEST

START_TEST(a_reassignment_is_cancelled)
{
    const struct image_partition *p = partition_on(IDS(0, 1, 2));
    ck_assert_int_eq(cancel(), KAFKA_NO_REASSIGNMENT_IN_PROGRESS);
    ck_assert_int_eq(reassign(IDS(3, 4)), KAFKA_NONE);
    ck_assert_int_eq(alter_isr(IDS(0, 1, 2, 3)), KAFKA_NONE);
    ck_assert_int_eq(cancel(), KAFKA_NONE);
    expect(image_replicas(p), IDS(0, 1, 2));
    expect(image_isr(p), IDS(0, 1, 2));
    ck_assert_ptr_null(under_way());
}
END_TEST

START_TEST(a_cancellation_never_leaves_only_those_who_lack_records)
{
    const struct image_partition *p = partition_on(IDS(0, 1));
    ck_assert_int_eq(reassign(IDS(2, 3)), KAFKA_NONE);
    ck_assert_int_eq(alter_isr(IDS(0, 1, 2)), KAFKA_NONE);
    meta_fence(&meta, 1);
    meta_fence(&meta, 0);
    expect(image_isr(p), IDS(2));
    ck_assert_int_eq(cancel(), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(reassign(IDS(4, 0)), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    expect(image_isr(p), IDS(2));
    ck_assert_int_eq(p->leader, 2);
}
END_TEST

/* Else what a broker fetched before it learnt of its removal could bring it into the ISR once it is back: and then it empties its log. */
START_TEST(p_isr_a_removed_replica_ends_the_leader_epoch)
{
    const struct image_partition *p = partition_on(IDS(0, 1, 2));
    ck_assert_int_eq(reassign(IDS(0, 1)), KAFKA_NONE);
    ck_assert_int_eq(p->leader, 0);
    ck_assert_int_eq(p->leader_epoch, 1);
    ck_assert_int_eq(reassign(IDS(0, 1, 2)), KAFKA_NONE);
    ck_assert_int_eq(p->leader_epoch, 1);
    ck_assert_int_eq(cancel(), KAFKA_NONE);
    expect(image_replicas(p), IDS(0, 1));
    ck_assert_int_eq(p->leader, 0);
    ck_assert_int_eq(p->leader_epoch, 2);
    ck_assert_int_eq(reassign(IDS(1, 0)), KAFKA_NONE);
    ck_assert_int_eq(p->leader_epoch, 2);
}
END_TEST

/* Else an acknowledged record would be on one disk. */
START_TEST(a_reassignment_does_not_end_below_min_insync_replicas)
{
    const struct image_partition *p = partition_on(IDS(0, 1, 2));
    records_add_config(&meta.records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", "2");
    meta_commit(&meta);
    ck_assert_int_eq(alter_isr(IDS(0, 1)), KAFKA_NONE);
    ck_assert_int_eq(reassign(IDS(0, 2)), KAFKA_NONE);
    expect(image_replicas(p), IDS(0, 2, 1));
    expect(image_isr(p), IDS(0, 1));
    ck_assert_int_eq(alter_isr(IDS(0, 1, 2)), KAFKA_NONE);
    expect(image_replicas(p), IDS(0, 2));
    expect(image_isr(p), IDS(0, 2));
    ck_assert_int_eq(reassign(IDS(3, 4)), KAFKA_NONE);
    ck_assert_int_eq(alter_isr(IDS(0, 2, 3)), KAFKA_NONE);
    meta_fence(&meta, 2);
    ck_assert_int_eq(cancel(), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    expect(image_isr(p), IDS(0, 3));
}
END_TEST

/* What is asked of it then is there already, and nothing else would bring that up. */
START_TEST(a_reassignment_ends_when_min_insync_replicas_is_lowered)
{
    const struct image_partition *p = partition_on(IDS(0, 1, 2));
    records_add_config(&meta.records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", "2");
    meta_commit(&meta);
    ck_assert_int_eq(alter_isr(IDS(0, 1)), KAFKA_NONE);
    ck_assert_int_eq(reassign(IDS(0, 2)), KAFKA_NONE);
    expect(image_replicas(p), IDS(0, 2, 1));
    replication_min_isr_changes(&meta.control, image_topic_by_name(&meta.image, SLICE_LITERAL("t")), 1);
    records_add_config(&meta.records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", "1");
    meta_commit(&meta);
    expect(image_replicas(p), IDS(0, 2));
    expect(image_isr(p), IDS(0));
    ck_assert_ptr_null(under_way());
}
END_TEST

START_TEST(a_second_reassignment_replaces_the_first)
{
    const struct image_partition *p = partition_on(IDS(0, 1));
    ck_assert_int_eq(reassign(IDS(2, 3)), KAFKA_NONE);
    ck_assert_int_eq(alter_isr(IDS(0, 1, 2)), KAFKA_NONE);
    ck_assert_int_eq(reassign(IDS(3, 4)), KAFKA_NONE);
    expect(image_replicas(p), IDS(3, 4, 0, 1));
    expect(image_adding(under_way()), IDS(3, 4));
    expect(image_isr(p), IDS(0, 1));
    ck_assert_int_eq(alter_isr(IDS(0, 1, 3, 4)), KAFKA_NONE);
    expect(image_replicas(p), IDS(3, 4));
}
END_TEST

START_TEST(wrong_reassignments_are_refused)
{
    partition_on(IDS(0, 1));
    ck_assert_int_eq(reassign(IDS(0, 0)), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(reassign(IDS(0, 9)), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(reassign_with(IDS(0, 1, 2), false), KAFKA_INVALID_REPLICATION_FACTOR);
    ck_assert_int_eq(reassign_with(IDS(1, 2), false), KAFKA_NONE);
    ck_assert_int_eq(reassign_with(IDS(3, 4), false), KAFKA_NONE);
}
END_TEST

START_TEST(internal_topics_get_more_replicas_as_brokers_join)
{
    const struct image_partition *t = partition_on(IDS(0)), *p = topic_on("__consumer_offsets", IDS(1));
    meta_fence(&meta, 4);
    ck_assert_uint_eq(reassign_grow_internal_topics(&meta.control, 1, 10), 0);
    ck_assert_uint_eq(reassign_grow_internal_topics(&meta.control, 3, 10), 1);
    meta_commit(&meta);
    ck_assert_uint_eq(p->replica_count, 3);
    ck_assert_uint_eq(p->isr_count, 1);
    ck_assert_int_eq(image_replicas(p).ids[0], 1);
    ck_assert(!node_ids_contain(image_replicas(p), 4));
    ck_assert_uint_eq(reassign_grow_internal_topics(&meta.control, 3, 10), 0); /* one at a time */
    struct alter alter = {.broker_id = 1, .leader_epoch = -1, .partition_epoch = -1, .isr_count = 3};
    memcpy(alter.isr, image_replicas(p).ids, 3 * sizeof *alter.isr);
    ck_assert_int_eq(meta_alter(&meta, "__consumer_offsets", 0, &alter), KAFKA_NONE);
    ck_assert_uint_eq(map_count(&meta.image.reassignments), 0);
    ck_assert_uint_eq(reassign_grow_internal_topics(&meta.control, 3, 10), 0);
    ck_assert_uint_eq(t->replica_count, 1);
}
END_TEST

static enum kafka_error elect(enum election_type type)
{
    int32_t partition = 0;
    struct elect_leaders_request_topic_partitions topic = {.topic = SLICE_LITERAL("t"), .partitions = &partition, .partitions_count = 1};
    struct elect_leaders_request request = {.election_type = (int8_t)type, .topic_partitions = &topic, .topic_partitions_count = 1};
    struct elect_leaders_response response = {0};
    elect_leaders(&meta.control, &request, &response);
    enum kafka_error error = (enum kafka_error)response.replica_election_results[0].partition_result[0].error_code;
    meta_commit(&meta);
    return error;
}

START_TEST(leaders_are_elected_when_asked_for)
{
    const struct image_partition *p = partition_on(IDS(0, 1));
    ck_assert_int_eq(elect(ELECTION_PREFERRED), KAFKA_ELECTION_NOT_NEEDED);
    ck_assert_int_eq(elect(ELECTION_UNCLEAN), KAFKA_ELECTION_NOT_NEEDED);
    ck_assert_int_eq(elect((enum election_type)9), KAFKA_INVALID_REQUEST);
    meta_fence(&meta, 0);
    ck_assert_int_eq(p->leader, 1);
    ck_assert_int_eq(elect(ELECTION_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    meta_heartbeat(&meta, 0, false, false);
    ck_assert_int_eq(elect(ELECTION_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    ck_assert_int_eq(alter_isr(IDS(1, 0)), KAFKA_NONE);
    struct elect_leaders_request all = {.topic_partitions_count = -1};
    struct elect_leaders_response response = {0};
    elect_leaders(&meta.control, &all, &response);
    ck_assert_int_eq(response.replica_election_results_count, 1);
    ck_assert_int_eq(response.replica_election_results[0].partition_result[0].error_code, 0);
    meta_commit(&meta);
    ck_assert_int_eq(p->leader, 0);
    response = (struct elect_leaders_response){0};
    elect_leaders(&meta.control, &all, &response);
    ck_assert_int_eq(response.replica_election_results_count, 1);
    ck_assert_int_eq(response.replica_election_results[0].partition_result_count, 0);
    /* One that lacks records leads only when it is asked for uncleanly. */
    meta_fence(&meta, 1);
    meta_fence(&meta, 0);
    meta_heartbeat(&meta, 1, false, false);
    ck_assert_int_eq(p->leader, NO_LEADER);
    ck_assert_int_eq(elect(ELECTION_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    ck_assert_int_eq(elect(ELECTION_UNCLEAN), KAFKA_NONE);
    ck_assert_int_eq(p->leader, 1);
    ck_assert(p->recovering);
}
END_TEST

START_TEST(b_epoch_a_broker_is_unregistered_and_epochs_go_on)
{
    const struct image_partition *p = partition_on(IDS(0, 4));
    struct unregister_broker_response response = {0};
    int64_t last = meta.image.last_broker_epoch;
    ck_assert_int_eq(image_broker_get(&meta.image, 4)->epoch, last);
    cluster_unregister_broker(&meta.control, 4, &response);
    ck_assert_int_eq(response.error_code, 0);
    meta_commit(&meta);
    ck_assert_ptr_null(image_broker_get(&meta.image, 4));
    expect(image_isr(p), IDS(0));
    expect(image_replicas(p), IDS(0, 4));
    response = (struct unregister_broker_response){0};
    cluster_unregister_broker(&meta.control, 4, &response);
    ck_assert_int_eq(response.error_code, KAFKA_BROKER_ID_NOT_REGISTERED);
    ck_assert_int_eq(meta.image.last_broker_epoch, last);
}
END_TEST

static enum kafka_error update_feature(const char *name, int16_t level, int8_t type)
{
    struct update_features_request_feature_updates update = {.feature = slice_str(name), .max_version_level = level, .upgrade_type = type};
    struct update_features_request request = {.feature_updates = &update, .feature_updates_count = 1};
    struct update_features_response response = {0};
    feature_update(&meta.control, 2, &request, &response);
    enum kafka_error error = (enum kafka_error)response.error_code;
    meta_commit(&meta);
    return error;
}

START_TEST(feature_levels_are_changed_within_what_all_support)
{
    ck_assert_int_eq(update_feature("eligible.leader.replicas.version", 0, 1), KAFKA_INVALID_UPDATE_VERSION);
    ck_assert_int_eq(update_feature("eligible.leader.replicas.version", 0, 2), KAFKA_NONE);
    ck_assert_uint_eq(image_feature_level(&meta.image, "eligible.leader.replicas.version"), 0);
    ck_assert_int_eq(update_feature("eligible.leader.replicas.version", 1, 1), KAFKA_NONE);
    ck_assert_uint_eq(image_feature_level(&meta.image, "eligible.leader.replicas.version"), 1);
    ck_assert_int_eq(update_feature("eligible.leader.replicas.version", 2, 1), KAFKA_INVALID_UPDATE_VERSION);
    ck_assert_int_eq(update_feature("metadata.version", 29, 2), KAFKA_INVALID_UPDATE_VERSION);
    ck_assert_int_eq(update_feature("skiff.version", 1, 3), KAFKA_INVALID_UPDATE_VERSION);
    ck_assert_int_eq(update_feature("no.such.version", 1, 1), KAFKA_INVALID_UPDATE_VERSION);
}
END_TEST

/* An older node would stop at records that it does not know. */
START_TEST(an_older_level_writes_nothing_that_it_lacks)
{
    const struct image_partition *p = partition_on(IDS(0, 1));
    records_add_feature(&meta.records, "skiff.version", 1);
    meta_commit(&meta);
    int32_t ids[] = {2};
    struct alter_partition_reassignments_request_partitions partition = {.replicas = ids, .replicas_count = 1};
    struct alter_partition_reassignments_request_topics topic = {
        .name = SLICE_LITERAL("t"), .partitions = &partition, .partitions_count = 1};
    struct alter_partition_reassignments_request request = {.topics = &topic, .topics_count = 1};
    struct alter_partition_reassignments_response response = {0};
    reassign_partitions(&meta.control, &request, &response);
    ck_assert_int_eq(response.error_code, KAFKA_UNSUPPORTED_VERSION);
    struct unregister_broker_response unregistered = {0};
    cluster_unregister_broker(&meta.control, 4, &unregistered);
    ck_assert_int_eq(unregistered.error_code, KAFKA_UNSUPPORTED_VERSION);
    ck_assert_uint_eq(meta_commit(&meta), 0);
    expect(image_replicas(p), IDS(0, 1));
    ck_assert_int_eq(update_feature("skiff.version", 2, 1), KAFKA_NONE);
}
END_TEST

static enum kafka_error set_quota(const char *type, const char *name, const char *key, double value)
{
    struct alter_client_quotas_request_entity entity = {slice_str(type), name ? slice_str(name) : SLICE_NULL};
    struct alter_client_quotas_request_ops op = {.key = slice_str(key), .value = value, .remove = value == 0};
    struct alter_client_quotas_request_entries entry = {.entity = &entity, .entity_count = 1, .ops = &op, .ops_count = 1};
    struct alter_client_quotas_request request = {.entries = &entry, .entries_count = 1};
    struct alter_client_quotas_response response = {0};
    quota_alter(&meta.control, &request, &response);
    enum kafka_error error = (enum kafka_error)response.entries[0].error_code;
    meta_commit(&meta);
    return error;
}

static int32_t count_quotas(const char *type, int8_t match_type, const char *match, bool is_strict)
{
    struct describe_client_quotas_request_components component = {slice_str(type), match_type, match ? slice_str(match) : SLICE_NULL};
    struct describe_client_quotas_request request = {.components = &component, .components_count = 1, .strict = is_strict};
    struct describe_client_quotas_response response = {0};
    quota_describe(&meta.image, &request, &meta.arena, &response);
    ck_assert_int_eq(response.error_code, 0);
    return response.entries_count;
}

START_TEST(a_quota_is_changed_once_in_an_entry)
{
    struct alter_client_quotas_request_entity entity = {SLICE_LITERAL("user"), SLICE_LITERAL("alice")};
    struct alter_client_quotas_request_ops op = {.key = SLICE_LITERAL("producer_byte_rate"), .value = 5}, ops[] = {op, op};
    struct alter_client_quotas_request_entries entry = {.entity = &entity, .entity_count = 1, .ops = ops, .ops_count = 2};
    struct alter_client_quotas_request request = {.entries = &entry, .entries_count = 1};
    struct alter_client_quotas_response response = {0};
    quota_alter(&meta.control, &request, &response);
    ck_assert_int_eq(response.entries[0].error_code, KAFKA_INVALID_REQUEST);
}
END_TEST

START_TEST(quotas_are_stored_and_shown)
{
    ck_assert_int_eq(set_quota("user", "alice", "producer_byte_rate", 1000), KAFKA_NONE);
    ck_assert_int_eq(set_quota("user", "alice", "request_percentage", 12.5), KAFKA_NONE);
    ck_assert_int_eq(set_quota("user", NULL, "consumer_byte_rate", 7), KAFKA_NONE);
    ck_assert_int_eq(set_quota("ip", "127.0.0.1", "connection_creation_rate", 5), KAFKA_NONE);
    ck_assert_int_eq(count_quotas("user", 2, NULL, true), 2);
    ck_assert_int_eq(count_quotas("user", 1, NULL, true), 1);
    ck_assert_int_eq(count_quotas("user", 0, "alice", false), 1);
    ck_assert_int_eq(count_quotas("user", 0, "bob", false), 0);
    ck_assert_int_eq(set_quota("user", "alice", "producer_byte_rate", -1), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(set_quota("user", "alice", "producer_byte_rate", 1.5), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(set_quota("user", "alice", "connection_creation_rate", 5), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(set_quota("user", "alice", "producer_byte_rate", 1e19), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(set_quota("user", "", "producer_byte_rate", 5), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(set_quota("planet", "earth", "producer_byte_rate", 5), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(set_quota("user", "alice", "producer_byte_rate", 0), KAFKA_NONE);
    ck_assert_int_eq(set_quota("user", "alice", "request_percentage", 0), KAFKA_NONE);
    ck_assert_int_eq(count_quotas("user", 0, "alice", false), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reassign_control");
    TCase *tcase = tcase_create("core");
    tcase_add_checked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, a_reassignment_ends_when_all_that_it_adds_are_in_sync);
    tcase_add_test(tcase, fewer_replicas_or_another_order_need_no_wait);
    tcase_add_test(tcase, a_reassignment_is_cancelled);
    tcase_add_test(tcase, p_isr_a_removed_replica_ends_the_leader_epoch);
    tcase_add_test(tcase, a_cancellation_never_leaves_only_those_who_lack_records);
    tcase_add_test(tcase, a_reassignment_does_not_end_below_min_insync_replicas);
    tcase_add_test(tcase, a_reassignment_ends_when_min_insync_replicas_is_lowered);
    tcase_add_test(tcase, a_second_reassignment_replaces_the_first);
    tcase_add_test(tcase, wrong_reassignments_are_refused);
    tcase_add_test(tcase, internal_topics_get_more_replicas_as_brokers_join);
    tcase_add_test(tcase, leaders_are_elected_when_asked_for);
    tcase_add_test(tcase, b_epoch_a_broker_is_unregistered_and_epochs_go_on);
    tcase_add_test(tcase, feature_levels_are_changed_within_what_all_support);
    tcase_add_test(tcase, an_older_level_writes_nothing_that_it_lacks);
    tcase_add_test(tcase, a_quota_is_changed_once_in_an_entry);
    tcase_add_test(tcase, quotas_are_stored_and_shown);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
