/* Brokers as members: registration with what a restarting broker may claim, fencing, controlled shutdown. */
#include "controller/metadata/config_control.h"
#include "tests/unit/metadata_fixture.h"

static struct meta meta;

static void setup(void) { meta_init(&meta, 3); }
static void teardown(void) { meta_deinit(&meta); }

static bool is_in_isr_or_elr(const char *topic, int32_t id)
{
    const struct image_partition *p = meta_partition(&meta, topic, 0);
    return node_ids_contain(image_isr(p), id) || node_ids_contain(image_elr(p), id);
}

/* Three brokers, topic "t" on all of them with min.insync.replicas 2, and "own" on broker `id` alone. */
static void start_cluster(int32_t id)
{
    meta_start_brokers(&meta, 3);
    ck_assert_int_eq(meta_create_topic(&meta, "t", 1, 3, 2), 0);
    struct create_topics_request_assignments assignment = {.broker_ids = &id, .broker_ids_count = 1};
    struct create_topics_request_topics topic = {
        .name = SLICE_LITERAL("own"), .num_partitions = -1, .replication_factor = -1, .assignments = &assignment, .assignments_count = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1};
    struct create_topics_response response = {0};
    topic_create(&meta.control, &request, &response);
    ck_assert_int_eq(response.topics[0].error_code, 0);
    meta_commit(&meta);
}

/* How broker 1 comes back after a kill: the directory of before, written in its last unfenced epoch, fsync. */
static struct claim proven_claim(void)
{
    return (struct claim){
        .id = 1, .incarnation = 2, .directory = 2, .written_epoch = image_broker_get(&meta.image, 1)->epoch, .is_flushing = true};
}

START_TEST(b_epoch_proven_claim_keeps_the_broker_eligible)
{
    start_cluster(1);
    int64_t before = image_broker_get(&meta.image, 1)->epoch;
    struct claim claim = proven_claim();
    struct registered result = meta_register(&meta, &claim, PREVIOUS_IS_GONE);
    ck_assert_int_eq(result.error, KAFKA_NONE);
    ck_assert_int_gt(result.epoch, before);
    ck_assert(image_broker_get(&meta.image, 1)->fenced);
    const struct image_partition *own = meta_partition(&meta, "own", 0);
    ck_assert_int_eq(own->leader, NO_LEADER);
    ck_assert(node_ids_contain(image_elr(own), 1));
    ck_assert_int_eq(meta_heartbeat(&meta, 1, true, false), HEARTBEAT_NOTHING);
    ck_assert_int_eq(meta_heartbeat(&meta, 1, false, false), HEARTBEAT_UNFENCE);
    ck_assert_int_eq(own->leader, 1);
    ck_assert_int_eq(own->leader_epoch, 2);
    ck_assert(!own->recovering);
}
END_TEST

START_TEST(b_epoch_unproven_claims_leave_isr_and_elr)
{
    start_cluster(1);
    for (int i = 0; i < 3; i++) {
        struct claim claim = proven_claim();
        claim.incarnation = 2 + (uint64_t)i;
        if (i == 0) claim.directory = 99;                        /* wiped */
        if (i == 1) claim.written_epoch = 0;                     /* an old copy */
        if (i == 2) claim.directory = 99, claim.is_clean = true; /* a clean mark, but elsewhere */
        ck_assert(is_in_isr_or_elr("own", 1));
        ck_assert_int_eq(meta_register(&meta, &claim, PREVIOUS_IS_GONE).error, KAFKA_NONE);
        ck_assert(!is_in_isr_or_elr("own", 1));
        ck_assert(!is_in_isr_or_elr("t", 1));
        ck_assert_int_eq(meta_heartbeat(&meta, 1, false, false), HEARTBEAT_UNFENCE);
        ck_assert_msg(meta_partition(&meta, "own", 0)->leader == NO_LEADER, "it flushed, so a loss is not forgiven");
        teardown();
        setup();
        start_cluster(1);
    }
}
END_TEST

START_TEST(b_epoch_crash_without_fsync_proves_nothing_but_a_clean_mark_does)
{
    start_cluster(1);
    struct claim claim = proven_claim();
    claim.is_flushing = false;
    meta_register(&meta, &claim, PREVIOUS_IS_GONE);
    meta_heartbeat(&meta, 1, false, false);
    ck_assert_int_eq(meta_partition(&meta, "own", 0)->leader, 1);
    /* It ran with `os`: the next crash is Kafka's stance, the last leader comes back and says that it recovers. */
    claim.incarnation = 3, claim.written_epoch = image_broker_get(&meta.image, 1)->epoch;
    meta_register(&meta, &claim, PREVIOUS_IS_GONE);
    ck_assert(!is_in_isr_or_elr("own", 1));
    meta_heartbeat(&meta, 1, false, false);
    ck_assert_int_eq(meta_partition(&meta, "own", 0)->leader, 1);
    ck_assert(meta_partition(&meta, "own", 0)->recovering);
    claim.incarnation = 4, claim.is_clean = true, claim.written_epoch = image_broker_get(&meta.image, 1)->epoch;
    meta_register(&meta, &claim, PREVIOUS_IS_GONE);
    ck_assert(is_in_isr_or_elr("own", 1));
}
END_TEST

START_TEST(b_epoch_damaged_replicas_leave_isr_and_elr)
{
    start_cluster(1);
    struct image_topic *topic = image_topic_by_name(&meta.image, SLICE_LITERAL("own"));
    int32_t partition = 0;
    Skiff__PartitionList list, *lists = &list;
    skiff__partition_list__init(&list);
    list.topic_id = pb_uuid_data(&topic->id);
    list.n_partitions = 1, list.partitions = &partition;
    struct claim claim = proven_claim();
    claim.damaged = &lists, claim.damaged_count = 1;
    meta_register(&meta, &claim, PREVIOUS_IS_GONE);
    ck_assert(!is_in_isr_or_elr("own", 1));
}
END_TEST

START_TEST(b_epoch_live_broker_is_not_replaced)
{
    start_cluster(1);
    struct claim claim = proven_claim();
    ck_assert_int_eq(meta_register(&meta, &claim, PREVIOUS_MAY_LIVE).error, KAFKA_DUPLICATE_BROKER_REGISTRATION);
    ck_assert(!image_broker_get(&meta.image, 1)->fenced);
    /* Its own process may register again: it gets a new epoch and is fenced until it says more. */
    claim.incarnation = 1;
    int64_t before = image_broker_get(&meta.image, 1)->epoch;
    ck_assert_int_gt(meta_register(&meta, &claim, PREVIOUS_MAY_LIVE).epoch, before);
    ck_assert(is_in_isr_or_elr("own", 1));
}
END_TEST

START_TEST(b_epoch_heartbeats_of_old_epochs_are_stale)
{
    meta_start_brokers(&meta, 1);
    Skiff__BrokerHeartbeatRequest request;
    skiff__broker_heartbeat_request__init(&request);
    request.broker_id = 0, request.broker_epoch = image_broker_get(&meta.image, 0)->epoch - 1;
    ck_assert_int_eq(cluster_heartbeat_wish(&meta.image, &request, 0, 0), HEARTBEAT_STALE);
    request.broker_id = 5;
    ck_assert_int_eq(cluster_heartbeat_wish(&meta.image, &request, 0, 0), HEARTBEAT_STALE);
}
END_TEST

START_TEST(unfencing_waits_for_the_own_registration)
{
    struct claim claim = {.id = 0, .incarnation = 1, .directory = 1, .written_epoch = -1};
    meta_register(&meta, &claim, PREVIOUS_IS_GONE);
    Skiff__BrokerHeartbeatRequest request;
    skiff__broker_heartbeat_request__init(&request);
    request.broker_epoch = image_broker_get(&meta.image, 0)->epoch;
    request.applied_index = meta.image.index - 1;
    ck_assert_int_eq(cluster_heartbeat_wish(&meta.image, &request, 0, 0), HEARTBEAT_NOTHING);
    request.applied_index = meta.image.index;
    ck_assert_int_eq(cluster_heartbeat_wish(&meta.image, &request, 0, 0), HEARTBEAT_UNFENCE);
}
END_TEST

START_TEST(controlled_shutdown_moves_leaderships_before_the_broker_leaves)
{
    start_cluster(1);
    ck_assert_int_eq(meta_heartbeat(&meta, 1, false, true), HEARTBEAT_SHUT_DOWN);
    ck_assert_int_ne(meta_partition(&meta, "t", 0)->leader, 1);
    ck_assert_int_ne(meta_partition(&meta, "t", 0)->leader, NO_LEADER);
    const struct image_broker *broker = image_broker_get(&meta.image, 1);
    ck_assert(!broker->fenced && broker->in_controlled_shutdown);
    Skiff__BrokerHeartbeatRequest request;
    skiff__broker_heartbeat_request__init(&request);
    request.broker_id = 1, request.broker_epoch = broker->epoch, request.want_shutdown = true;
    ck_assert_int_eq(cluster_heartbeat_wish(&meta.image, &request, meta.image.index - 1, meta.image.index), HEARTBEAT_NOTHING);
    ck_assert_int_eq(cluster_heartbeat_wish(&meta.image, &request, meta.image.index, meta.image.index), HEARTBEAT_LEAVE);
    ck_assert_int_eq(meta_heartbeat(&meta, 1, false, true), HEARTBEAT_LEAVE);
    ck_assert(broker->fenced);
}
END_TEST

START_TEST(foreign_cluster_and_level_are_refused)
{
    struct cluster_defaults defaults = {.min_insync_replicas = 2, .is_flushing = true};
    cluster_bootstrap(&meta.control, "here", &defaults);
    meta_commit(&meta);
    ck_assert_uint_eq(image_feature_level(&meta.image, "metadata.version"), 30);
    ck_assert_str_eq(image_configs_get(image_broker_configs(&meta.image, NO_BROKER), "min.insync.replicas"), "2");
    cluster_bootstrap(&meta.control, "there", &defaults);
    ck_assert_msg(meta_commit(&meta) == 0, "a cluster is born once");
    records_add_feature(&meta.records, "skiff.version", 100);
    meta_commit(&meta);
    struct claim claim = {.id = 0, .incarnation = 1, .directory = 1};
    ck_assert_int_eq(meta_register(&meta, &claim, PREVIOUS_IS_GONE).error, KAFKA_UNSUPPORTED_VERSION);
}
END_TEST

static int16_t set_config(const char *broker, struct slice name, const char *value)
{
    struct incremental_alter_configs_request_configs change = {.name = name, .value = slice_str(value)};
    struct incremental_alter_configs_request_resources resource = {CONFIG_RESOURCE_BROKER, slice_str(broker), &change, 1};
    struct incremental_alter_configs_request request = {.resources = &resource, .resources_count = 1};
    struct incremental_alter_configs_response response = {0};
    config_incremental_alter(&meta.control, &request, &response);
    int16_t error = response.responses[0].error_code; /* the commit frees it */
    meta_commit(&meta);
    return error;
}

static int16_t set_min_isr(const char *broker, const char *value)
{
    return set_config(broker, SLICE_LITERAL("min.insync.replicas"), value);
}

START_TEST(p_isr_no_config_is_stored_under_another_name_than_was_checked)
{
    start_cluster(1);
    ck_assert_int_eq(set_config("", slice_make("min.insync.replicas\0x", 21), "none"), KAFKA_INVALID_CONFIG);
    ck_assert_ptr_null(image_configs_get(image_broker_configs(&meta.image, NO_BROKER), "min.insync.replicas"));
}
END_TEST

START_TEST(p_isr_one_brokers_min_isr_empties_no_elr)
{
    start_cluster(1);
    ck_assert_int_eq(set_min_isr("", "2"), KAFKA_NONE);
    struct create_topics_request_topics topic = {.name = SLICE_LITERAL("u"), .num_partitions = 1, .replication_factor = 3};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1};
    struct create_topics_response response = {0};
    topic_create(&meta.control, &request, &response);
    meta_commit(&meta);
    for (int32_t id = 1; id < 3; id++) {
        cluster_fence_broker(&meta.control, id);
        meta_commit(&meta);
    }
    ck_assert_uint_gt(meta_partition(&meta, "u", 0)->elr_count, 0);
    ck_assert_int_eq(set_min_isr("0", "1"), KAFKA_INVALID_CONFIG);
    ck_assert_uint_gt(meta_partition(&meta, "u", 0)->elr_count, 0);
    ck_assert_int_eq(set_min_isr("", "1"), KAFKA_NONE);
    ck_assert_uint_eq(meta_partition(&meta, "u", 0)->elr_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cluster_control");
    TCase *tests = tcase_create("cluster_control");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, b_epoch_proven_claim_keeps_the_broker_eligible);
    tcase_add_test(tests, b_epoch_unproven_claims_leave_isr_and_elr);
    tcase_add_test(tests, b_epoch_crash_without_fsync_proves_nothing_but_a_clean_mark_does);
    tcase_add_test(tests, b_epoch_damaged_replicas_leave_isr_and_elr);
    tcase_add_test(tests, b_epoch_live_broker_is_not_replaced);
    tcase_add_test(tests, b_epoch_heartbeats_of_old_epochs_are_stale);
    tcase_add_test(tests, unfencing_waits_for_the_own_registration);
    tcase_add_test(tests, controlled_shutdown_moves_leaderships_before_the_broker_leaves);
    tcase_add_test(tests, p_isr_no_config_is_stored_under_another_name_than_was_checked);
    tcase_add_test(tests, p_isr_one_brokers_min_isr_empties_no_elr);
    tcase_add_test(tests, foreign_cluster_and_level_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
