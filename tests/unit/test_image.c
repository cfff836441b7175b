/* The image: lookups, deltas, snapshots. */
#include "common/mem.h"
#include "controller/metadata/records.h"
#include "controller/metadata/snapshot.h"

#include <check.h>

static struct image image;
static struct image_delta delta;
static struct records records;

static void setup(void)
{
    image_init(&image, 7);
    image_delta_init(&delta, &image);
    records_init(&records);
}

static void teardown(void)
{
    records_deinit(&records);
    image_delta_deinit(&delta);
    image_deinit(&image);
}

static struct uuid topic_id(uint8_t n)
{
    struct uuid id = {{0}};
    id.bytes[0] = 1, id.bytes[15] = n;
    return id;
}

/* Commits what `records` holds. */
static void commit(void)
{
    uint32_t count = 0;
    struct buf **batches = records_take(&records, &count);
    for (uint32_t i = 0; i < count; i++) {
        char why[REPLAY_ERROR_MAX] = "";
        enum err err = image_replay(&image, buf_slice(batches[i]), image.index + 1, &delta, why);
        ck_assert_msg(err == ERR_OK, "%s", why);
        buf_unref(batches[i]);
    }
    mem_free(batches);
}

static struct partition_state led_by(int32_t leader, int32_t epoch, const int32_t *isr, uint32_t isr_count)
{
    struct partition_state state = {.leader = leader, .leader_epoch = epoch, .partition_epoch = epoch, .last_known_leader = NO_BROKER};
    state.isr_count = isr_count;
    memcpy(state.isr, isr, isr_count * sizeof *isr);
    return state;
}

static const int32_t REPLICAS[] = {1, 2, 3, 4};

static void add_topic(uint8_t n, const char *name, int32_t partitions, uint32_t replicas)
{
    records_add_topic(&records, topic_id(n), slice_str(name));
    for (int32_t i = 0; i < partitions; i++) {
        struct partition_state state = led_by(1, 0, REPLICAS, replicas);
        records_add_partition(&records, topic_id(n), i, (struct node_ids){REPLICAS, replicas}, &state);
    }
}

START_TEST(finds_what_was_replayed)
{
    records_add_cluster(&records, "cluster");
    add_topic(1, "one", 2, 3);
    add_topic(2, "four-replicas", 1, 4);
    records_add_config(&records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, "one", "min.insync.replicas", "2");
    records_add_config(&records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_BROKER, "", "min.insync.replicas", "9");
    commit();
    ck_assert_str_eq(image.cluster_id, "cluster");
    struct image_topic *one = image_topic_by_name(&image, SLICE_LITERAL("one"));
    struct image_topic *four = image_topic_by_id(&image, topic_id(2));
    ck_assert_ptr_eq(one, image_topic_by_id(&image, topic_id(1)));
    ck_assert_int_eq(one->partition_count, 2);
    ck_assert_int_eq(image.partition_count, 3);
    ck_assert_uint_eq(image_isr(&one->partitions[1]).count, 3);
    ck_assert_uint_eq(image_replicas(&four->partitions[0]).count, 4);
    ck_assert_int_eq(image_replicas(&four->partitions[0]).ids[3], 4);
    ck_assert_int_eq(image_min_isr(&image, one, &one->partitions[0]), 2);
    ck_assert_msg(image_min_isr(&image, four, &four->partitions[0]) == 4, "never more than there are replicas");
    ck_assert_ptr_null(image_partition_get(&image, topic_id(1), 2));
    ck_assert_ptr_null(image_partition_get(&image, topic_id(3), 0));
}
END_TEST

START_TEST(delta_has_one_row_for_each_thing)
{
    add_topic(1, "one", 2, 3);
    commit();
    ck_assert_uint_eq(delta.partition_count, 2);
    ck_assert(delta.partitions[0].is_new);
    ck_assert_uint_eq(delta.topics_created.count, 1);
    image_delta_clear(&delta, &image);
    ck_assert(image_delta_is_empty(&delta));

    struct partition_state state = led_by(2, 1, REPLICAS, 3);
    records_add_partition_change(&records, topic_id(1), 1, &state);
    state = led_by(3, 2, REPLICAS, 3);
    records_add_partition_change(&records, topic_id(1), 1, &state);
    commit();
    ck_assert_uint_eq(delta.partition_count, 1);
    ck_assert_int_eq(delta.partitions[0].old_leader, 1);
    ck_assert_int_eq(delta.partitions[0].old_leader_epoch, 0);
    ck_assert_int_eq(partition_change_now(&delta.partitions[0])->leader, 3);
}
END_TEST

START_TEST(delta_forgets_what_came_and_went)
{
    add_topic(1, "ghost", 2, 1);
    records_add_config(&records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, "ghost", "retention.ms", "1");
    records_add_remove_topic(&records, topic_id(1));
    add_topic(2, "ghost", 1, 1);
    commit();
    ck_assert_uint_eq(delta.topics_removed.count, 0);
    ck_assert_uint_eq(delta.topics_configured.count, 0);
    ck_assert_uint_eq(delta.topics_created.count, 1);
    ck_assert_uint_eq(delta.partition_count, 1);
    image_delta_clear(&delta, &image);
    records_add_remove_topic(&records, topic_id(2));
    commit();
    ck_assert_uint_eq(delta.topics_removed.count, 1);
    ck_assert_str_eq(delta.topics_removed.items[0]->name, "ghost");
    ck_assert_int_eq(image.partition_count, 0);
}
END_TEST

START_TEST(snapshot_gives_the_same_image)
{
    records_add_cluster(&records, "cluster");
    records_add_feature(&records, "skiff.version", 1);
    add_topic(1, "one", 3, 3);
    add_topic(2, "two", 1, 4);
    records_add_config(&records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, "two", "retention.ms", "5");
    records_add_config(&records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_BROKER, "3", "a", "b");
    records_add_producer_ids(&records, 3000);
    commit();
    struct writer bytes;
    writer_init(&bytes, 0);
    snapshot_write(&image, &bytes);

    struct image other;
    struct image_delta change;
    image_init(&other, 99);
    image_delta_init(&change, &other);
    ck_assert(snapshot_load(&other, writer_slice(&bytes), image.index, &change, NULL) == ERR_OK);
    ck_assert(image_hash(&other) == image_hash(&image));
    ck_assert_uint_eq(change.partition_count, 4);
    ck_assert_uint_eq(change.topics_created.count, 2);
    image_delta_clear(&change, &other);

    /* A replica that has part of it sees the difference only. */
    records_add_remove_topic(&records, topic_id(2));
    struct partition_state state = led_by(2, 1, REPLICAS, 3);
    records_add_partition_change(&records, topic_id(1), 2, &state);
    commit();
    writer_deinit(&bytes);
    snapshot_write(&image, &bytes);
    ck_assert(snapshot_load(&other, writer_slice(&bytes), image.index, &change, NULL) == ERR_OK);
    ck_assert_uint_eq(change.partition_count, 1);
    ck_assert_int_eq(change.partitions[0].old_leader, 1);
    ck_assert_uint_eq(change.topics_removed.count, 1);
    ck_assert(image_hash(&other) == image_hash(&image));
    /* And what is damaged changes nothing. */
    image_delta_clear(&change, &other);
    for (size_t size = 0; size + 1 < writer_size(&bytes); size++) {
        enum err err = snapshot_load(&other, slice_make(writer_slice(&bytes).p, size), image.index, &change, NULL);
        if (err == ERR_OK) image_delta_clear(&change, &other);
    }
    image_delta_deinit(&change);
    image_deinit(&other);
    writer_deinit(&bytes);
}
END_TEST

START_TEST(ten_thousand_partitions_take_under_two_megabytes)
{
    add_topic(1, "large", 10000, 3);
    commit();
    struct image_topic *topic = image_topic_by_id(&image, topic_id(1));
    ck_assert_uint_lt((size_t)topic->partition_capacity * sizeof *topic->partitions, 1 << 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *tests = tcase_create("image");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, finds_what_was_replayed);
    tcase_add_test(tests, delta_has_one_row_for_each_thing);
    tcase_add_test(tests, delta_forgets_what_came_and_went);
    tcase_add_test(tests, snapshot_gives_the_same_image);
    tcase_add_test(tests, ten_thousand_partitions_take_under_two_megabytes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
