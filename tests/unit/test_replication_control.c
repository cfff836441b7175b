/* ISR, ELR and leaders: the rules of partition_edit.h and KIP-497/841/903/966. */
#include "tests/unit/metadata_fixture.h"

static struct meta meta;

static void setup(void) { meta_init(&meta, 11); }
static void teardown(void) { meta_deinit(&meta); }

static bool has(struct node_ids nodes, int32_t id) { return node_ids_contain(nodes, id); }

/* A topic "t" with one partition on brokers 0, 1, 2; returns it with its leader in *leader. */
static const struct image_partition *one_partition(int32_t min_isr, int32_t *leader)
{
    meta_start_brokers(&meta, 3);
    ck_assert_int_eq(meta_create_topic(&meta, "t", 1, 3, min_isr), 0);
    const struct image_partition *p = meta_partition(&meta, "t", 0);
    *leader = p->leader;
    ck_assert_uint_eq(p->isr_count, 3);
    return p;
}

START_TEST(p_isr_fenced_broker_leaves_the_isr_and_another_leads)
{
    int32_t leader = 0;
    const struct image_partition *p = one_partition(2, &leader);
    meta_fence(&meta, leader);
    ck_assert_int_ne(p->leader, leader);
    ck_assert(has(image_isr(p), p->leader));
    ck_assert(!has(image_isr(p), leader));
    ck_assert_msg(p->elr_count == 0, "two are in sync: nobody needs to be eligible besides");
    ck_assert_int_eq(p->leader_epoch, 1);
}
END_TEST

START_TEST(p_isr_below_min_isr_those_who_leave_stay_eligible)
{
    int32_t leader = 0;
    const struct image_partition *p = one_partition(2, &leader);
    int32_t second = image_replicas(p).ids[1], third = image_replicas(p).ids[2];
    meta_fence(&meta, third);
    ck_assert(!has(image_elr(p), third));
    meta_fence(&meta, second);
    ck_assert_uint_eq(p->isr_count, 1);
    ck_assert_msg(has(image_elr(p), second) && !has(image_elr(p), third), "the high watermark moved on without the third");
    meta_fence(&meta, leader);
    ck_assert_int_eq(p->leader, NO_LEADER);
    ck_assert_int_eq(p->last_known_leader, leader);
    ck_assert(has(image_elr(p), leader) && has(image_elr(p), second));
    /* The third comes back first: it must not lead. */
    meta_heartbeat(&meta, third, false, false);
    ck_assert_int_eq(p->leader, NO_LEADER);
    meta_heartbeat(&meta, second, false, false);
    ck_assert_int_eq(p->leader, second);
    ck_assert_uint_eq(p->isr_count, 1);
    ck_assert(has(image_elr(p), leader));
    ck_assert(!p->recovering);
}
END_TEST

START_TEST(q_leader_never_out_of_isr_and_elr_unless_allowed)
{
    int32_t leader = 0;
    const struct image_partition *p = one_partition(1, &leader);
    int32_t second = image_replicas(p).ids[1];
    struct alter shrink = {.broker_id = leader, .leader_epoch = -1, .partition_epoch = -1, .isr = {leader}, .isr_count = 1};
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &shrink), KAFKA_NONE);
    meta_fence(&meta, leader);
    ck_assert_int_eq(p->leader, NO_LEADER);
    ck_assert(has(image_elr(p), leader));
    replication_balance(&meta.control, true, 100);
    ck_assert_uint_eq(meta_commit(&meta), 0);
    records_add_config(&meta.records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, "t", "unclean.leader.election.enable", "true");
    meta_commit(&meta);
    replication_balance(&meta.control, true, 100);
    meta_commit(&meta);
    ck_assert_int_eq(p->leader, second);
    ck_assert(p->recovering);
    ck_assert_uint_eq(p->elr_count, 0);
    /* It recovers when it says so. */
    struct alter recovered = {.broker_id = second, .leader_epoch = -1, .partition_epoch = -1, .isr = {second}, .isr_count = 1};
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &recovered), KAFKA_NONE);
    ck_assert(!p->recovering);
}
END_TEST

START_TEST(p_pe_alter_partition_is_compare_and_set)
{
    int32_t leader = 0;
    const struct image_partition *p = one_partition(1, &leader);
    int32_t second = image_replicas(p).ids[1];
    struct alter shrink = {.broker_id = leader, .leader_epoch = -1, .partition_epoch = -1, .isr = {leader, second}, .isr_count = 2};
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &shrink), KAFKA_NONE);
    ck_assert_int_eq(p->partition_epoch, 1);
    ck_assert_int_eq(p->leader_epoch, 0);
    struct alter stale = shrink;
    stale.partition_epoch = 0;
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &stale), KAFKA_INVALID_UPDATE_VERSION);
    stale.partition_epoch = 9;
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &stale), KAFKA_NOT_CONTROLLER);
    stale.partition_epoch = -1;
    stale.leader_epoch = 3;
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &stale), KAFKA_NOT_CONTROLLER);
    meta_fence(&meta, leader);
    stale.leader_epoch = 0;
    ck_assert_msg(meta_alter(&meta, "t", 0, &stale) == KAFKA_FENCED_LEADER_EPOCH, "a deposed leader changes nothing");
    ck_assert(!has(image_isr(p), leader));
}
END_TEST

START_TEST(p_isr_only_live_incarnations_join)
{
    int32_t leader = 0;
    const struct image_partition *p = one_partition(1, &leader);
    int32_t second = image_replicas(p).ids[1], third = image_replicas(p).ids[2];
    struct alter isr = {.broker_id = leader, .leader_epoch = -1, .partition_epoch = -1, .isr = {leader, second}, .isr_count = 2};
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &isr), KAFKA_NONE);
    meta_fence(&meta, third);
    isr = (struct alter){.broker_id = leader, .leader_epoch = -1, .partition_epoch = -1, .isr = {leader, second, third}, .isr_count = 3};
    ck_assert_msg(meta_alter(&meta, "t", 0, &isr) == KAFKA_INELIGIBLE_REPLICA, "fenced");
    meta_heartbeat(&meta, third, false, false);
    isr.member_epoch = 1;
    ck_assert_msg(meta_alter(&meta, "t", 0, &isr) == KAFKA_INELIGIBLE_REPLICA, "an older incarnation");
    isr.member_epoch = 0;
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &isr), KAFKA_NONE);
    ck_assert_uint_eq(p->isr_count, 3);
    isr = (struct alter){.broker_id = leader, .leader_epoch = -1, .partition_epoch = -1, .isr = {second}, .isr_count = 1};
    ck_assert_msg(meta_alter(&meta, "t", 0, &isr) == KAFKA_INVALID_REQUEST, "without its leader");
    isr = (struct alter){.broker_id = leader, .leader_epoch = -1, .partition_epoch = -1, .isr = {leader, 77}, .isr_count = 2};
    ck_assert_msg(meta_alter(&meta, "t", 0, &isr) == KAFKA_INVALID_REQUEST, "not a replica");
    isr.broker_id = second;
    ck_assert_msg(meta_alter(&meta, "t", 0, &isr) == KAFKA_INVALID_REQUEST, "not the leader");
}
END_TEST

/* The leader repeats a proposal when its connection breaks, and the copies may come in any order. */
START_TEST(p_pe_a_copy_of_a_refused_proposal_is_stale)
{
    int32_t leader = 0;
    const struct image_partition *p = one_partition(1, &leader);
    int32_t second = image_replicas(p).ids[1], third = image_replicas(p).ids[2];
    meta_fence(&meta, third);
    int32_t epoch = p->partition_epoch, leader_epoch = p->leader_epoch;
    struct alter isr = {.broker_id = leader, .leader_epoch = -1, .partition_epoch = epoch, .isr = {leader, second, third}, .isr_count = 3};
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &isr), KAFKA_INELIGIBLE_REPLICA);
    ck_assert_int_eq(p->partition_epoch, epoch + 1);
    ck_assert_int_eq(p->leader_epoch, leader_epoch);
    ck_assert_int_eq(p->leader, leader);
    ck_assert_uint_eq(p->isr_count, 2);
    meta_heartbeat(&meta, third, false, false);
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &isr), KAFKA_INVALID_UPDATE_VERSION);
    isr.partition_epoch = -1;
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &isr), KAFKA_NONE);
    ck_assert_uint_eq(p->isr_count, 3);
}
END_TEST

START_TEST(q_leader_preferred_replica_gets_its_leadership_back)
{
    int32_t leader = 0;
    const struct image_partition *p = one_partition(1, &leader);
    ck_assert_int_eq(leader, image_replicas(p).ids[0]);
    meta_fence(&meta, leader);
    int32_t other = p->leader;
    meta_heartbeat(&meta, leader, false, false);
    replication_balance(&meta.control, true, 100);
    ck_assert_msg(meta_commit(&meta) == 0, "not in sync yet");
    struct alter join = {.broker_id = other, .leader_epoch = -1, .partition_epoch = -1, .isr_count = 3};
    memcpy(join.isr, image_replicas(p).ids, sizeof(int32_t) * 3);
    ck_assert_int_eq(meta_alter(&meta, "t", 0, &join), KAFKA_NONE);
    ck_assert_uint_eq(replication_balance(&meta.control, true, 100), 1);
    meta_commit(&meta);
    ck_assert_int_eq(p->leader, leader);
    ck_assert_int_eq(p->leader_epoch, 2);
    ck_assert_uint_eq(p->isr_count, 3);
}
END_TEST

START_TEST(p_isr_lower_min_isr_clears_the_elr)
{
    int32_t leader = 0;
    const struct image_partition *p = one_partition(2, &leader);
    meta_fence(&meta, image_replicas(p).ids[2]);
    meta_fence(&meta, image_replicas(p).ids[1]);
    ck_assert_uint_eq(p->elr_count, 1);
    records_add_config(&meta.records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", "1");
    replication_min_isr_changes(&meta.control, image_topic_by_name(&meta.image, SLICE_LITERAL("t")), 1);
    meta_commit(&meta);
    ck_assert_uint_eq(p->elr_count, 0);
}
END_TEST

START_TEST(fencing_a_broker_of_many_partitions_takes_several_batches)
{
    meta_start_brokers(&meta, 3);
    ck_assert_int_eq(meta_create_topic(&meta, "a", 9000, 3, 1), 0);
    ck_assert_int_eq(meta_create_topic(&meta, "b", 9000, 3, 1), 0);
    cluster_fence_broker(&meta.control, 1);
    ck_assert_uint_ge(meta_commit(&meta), 2);
    ck_assert(image_broker_get(&meta.image, 1)->fenced);
    for (int32_t i = 0; i < 9000; i++) ck_assert(!has(image_isr(meta_partition(&meta, "b", i)), 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replication_control");
    TCase *tests = tcase_create("replication_control");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, p_isr_fenced_broker_leaves_the_isr_and_another_leads);
    tcase_add_test(tests, p_isr_below_min_isr_those_who_leave_stay_eligible);
    tcase_add_test(tests, q_leader_never_out_of_isr_and_elr_unless_allowed);
    tcase_add_test(tests, p_pe_alter_partition_is_compare_and_set);
    tcase_add_test(tests, p_isr_only_live_incarnations_join);
    tcase_add_test(tests, p_pe_a_copy_of_a_refused_proposal_is_stale);
    tcase_add_test(tests, q_leader_preferred_replica_gets_its_leadership_back);
    tcase_add_test(tests, p_isr_lower_min_isr_clears_the_elr);
    tcase_add_test(tests, fencing_a_broker_of_many_partitions_takes_several_batches);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
