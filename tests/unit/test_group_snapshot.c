/* The state written again: whatever was under way, and wherever the log then begins, a successor knows the same. */
#include "broker/node/group_log.h"
#include "tests/unit/group_fixture.h"

#include <stdio.h>

static struct fixture f;

static void setup(void) { fixture_init(&f); }
static void teardown(void) { fixture_deinit(&f); }

/* A simple group all of whose offsets were deleted has no record of its own: it exists as long as its coordinator. */
static bool is_remembered(const struct group *group) { return group->offsets.count > 0 || !slice_is_null(group->logged); }

static uint32_t count_remembered(const struct group_shard *shard)
{
    uint32_t position = 0, count = 0;
    const struct group *group = NULL;
    while ((group = group_shard_next(shard, &position))) count += is_remembered(group);
    return count;
}

/* Loads a successor from the records from `start` on. */
static void check_from(size_t start)
{
    struct fixture successor;
    uint32_t position = 0;
    const struct group *group = NULL;
    fixture_init_loading(&successor);
    successor.now_ms = f.now_ms;
    for (size_t i = start; i < f.log_count; i++) step(&successor, (struct group_event){.type = GROUP_EVENT_RECORD, .record = f.log[i]});
    step(&successor, (struct group_event){.type = GROUP_EVENT_LOADED});
    ck_assert_uint_eq(successor.shard.counters.records_malformed, 0);
    while ((group = group_shard_next(&f.shard, &position))) {
        const struct group *other = group_shard_find(&successor.shard, group->id);
        if (!is_remembered(group)) continue;
        ck_assert_ptr_nonnull(other);
        compare_offsets(group, other);
        ck_assert(slice_equal(group->logged, other->logged));
    }
    ck_assert_uint_eq(count_remembered(&f.shard), count_remembered(&successor.shard));
    fixture_deinit(&successor);
}

/* Where the log may begin once the snapshot is done. */
static size_t begin_snapshot(void)
{
    size_t start = f.log_count;
    ck_assert(group_shard_can_snapshot(&f.shard));
    step(&f, (struct group_event){.type = GROUP_EVENT_SNAPSHOT});
    return start;
}

static void commit_offset(const char *group, int32_t partition, int64_t offset)
{
    (void)commit(&f, (struct committer){.group = group, .partition = partition, .offset = offset, .metadata = "m"});
}

START_TEST(g_offdur_the_log_may_begin_at_a_snapshot)
{
    (void)stable_alone(&f, (struct joiner){.version = 3, .group = "members"});
    (void)stable_alone(&f, (struct joiner){.version = 3, .group = "left"});
    for (int32_t p = 0; p < 30; p++) commit_offset("simple", p, p * 10);
    commit_offset("deleted", 0, 1);
    (void)delete_offset(&f, "simple", "t", 7);
    (void)delete_group(&f, "deleted");
    size_t start = begin_snapshot();
    ck_assert_int_eq(f.shard.snapshot.state, GROUP_SNAPSHOT_DONE);
    ck_assert_uint_eq(f.shard.snapshot.records, 2 + 29);
    ck_assert_uint_eq(f.log_count, start + 2 + 29);
    for (size_t from = 0; from <= start; from++) check_from(from);
    commit_offset("simple", 3, 1000);
    size_t next = begin_snapshot();
    ck_assert_int_eq(f.shard.snapshot.state, GROUP_SNAPSHOT_DONE);
    check_from(next);
}
END_TEST

START_TEST(g_offdur_a_snapshot_does_not_undo_what_is_under_way)
{
    for (int32_t p = 0; p < 3; p++) commit_offset("g", p, 5);
    f.is_auto = false;
    commit_offset("g", 1, 6);
    (void)delete_offset(&f, "g", "t", 2);
    size_t start = begin_snapshot();
    ck_assert_int_eq(f.shard.snapshot.state, GROUP_SNAPSHOT_RUNNING);
    ck_assert_uint_eq(f.shard.snapshot.records, 1); /* the others lie behind its beginning */
    commit_offset("g", 0, 7);
    commit_all(&f);
    ck_assert_int_eq(f.shard.snapshot.state, GROUP_SNAPSHOT_DONE);
    f.is_auto = true;
    ck_assert_int_eq(fetched(&f, "t", 0), 7);
    ck_assert_int_eq(fetched(&f, "t", 1), 6);
    ck_assert_int_eq(fetched(&f, "t", 2), -1);
    check_from(start);
}
END_TEST

START_TEST(g_offdur_an_append_that_is_refused_spoils_the_snapshot)
{
    commit_offset("g", 0, 5);
    f.is_auto = false;
    commit_offset("g", 0, 6);
    (void)begin_snapshot();
    refuse_one(&f, KAFKA_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(f.shard.snapshot.state, GROUP_SNAPSHOT_FAILED); /* 5 lies before its beginning, 6 nowhere */
    f.is_auto = true;
    check_from(0);
    ck_assert_int_eq(fetched(&f, "t", 0), 5);
    size_t start = begin_snapshot();
    ck_assert_int_eq(f.shard.snapshot.state, GROUP_SNAPSHOT_DONE);
    check_from(start);
}
END_TEST

START_TEST(a_large_snapshot_goes_in_lots)
{
    char name[32];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof name, "group-%d", i / 100);
        commit_offset(name, i % 100, i);
    }
    f.is_auto = false;
    size_t start = begin_snapshot();
    uint64_t first = f.shard.snapshot.records;
    ck_assert_uint_gt(first, 0);
    commit_all(&f);
    ck_assert_int_eq(f.shard.snapshot.state, GROUP_SNAPSHOT_DONE);
    ck_assert_uint_eq(f.shard.snapshot.records, 3000);
    f.is_auto = true;
    check_from(start);
}
END_TEST

START_TEST(a_log_with_records_of_others_is_not_written_again)
{
    struct fixture other;
    static const uint8_t key[] = {0, 3, 0, 1, 'g'}; /* a KIP-848 group */
    fixture_init_loading(&other);
    step(&other, (struct group_event){.type = GROUP_EVENT_RECORD, .record = {slice_make(key, sizeof key), SLICE_NULL}});
    step(&other, (struct group_event){.type = GROUP_EVENT_LOADED});
    ck_assert(!group_shard_can_snapshot(&other.shard));
    fixture_deinit(&other);
}
END_TEST

/* Names are in memory once and in every record: what was just written is no reason to write it again. */
START_TEST(a_snapshot_does_not_make_the_next_one_due)
{
    struct group_log log;
    char topic[250];
    memset(topic, 't', sizeof topic);
    topic[sizeof topic - 1] = '\0';
    for (int32_t p = 0; p < 500; p++) (void)commit(&f, (struct committer){.group = topic, .topic = topic, .partition = p, .offset = 1});
    group_log_init(&log, 500, 1 << 20, 1000);
    ck_assert(group_log_begin(&log, &f.shard));
    (void)begin_snapshot();
    ck_assert_int_eq(group_log_end(&log, &f.shard), 500);
    ck_assert_int_eq(group_log_end(&log, &f.shard), -1);
    group_log_appended(&log, (int64_t)f.shard.snapshot.bytes);
    ck_assert_uint_gt(f.shard.snapshot.bytes, 4 * group_shard_bytes(&f.shard));
    ck_assert(!group_log_begin(&log, &f.shard));
    group_log_appended(&log, 3 * (int64_t)f.shard.snapshot.bytes + 1);
    ck_assert(group_log_begin(&log, &f.shard));
}
END_TEST

/* ---- at random ---- */

static uint32_t state;
static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static void act(void)
{
    static const char *const groups[] = {"a", "b", "c", "d"};
    static const char *const topics[] = {"t", "u"};
    const char *group = groups[draw(4)], *topic = topics[draw(2)];
    switch (draw(10)) {
    case 0: (void)delete_offset(&f, group, topic, (int32_t)draw(4)); break;
    case 1:
        if (draw(4) == 0) (void)delete_group(&f, group);
        break;
    case 2:
    case 3: commit_all(&f); break;
    case 4:
        if (f.flight_count > 0 && draw(4) == 0) refuse_one(&f, KAFKA_NOT_ENOUGH_REPLICAS);
        break;
    default:
        (void)commit(&f, (struct committer){.group = group, .topic = topic, .partition = (int32_t)draw(4), .offset = (int64_t)draw(1000)});
    }
    while (f.flight_count > 30) commit_one(&f);
}

START_TEST(g_offdur_at_random)
{
    uint64_t done = 0, failed = 0;
    state = (uint32_t)_i + 1;
    size_t start = 0, next = 0;
    (void)stable_alone(&f, (struct joiner){.version = 3, .group = "members"});
    f.is_auto = false;
    for (int i = 0; i < 1500; i++) {
        act();
        if (f.shard.snapshot.state == GROUP_SNAPSHOT_DONE && next > start) {
            start = next;
            done++;
            check_from(start);
        }
        if (f.shard.snapshot.state == GROUP_SNAPSHOT_FAILED && next > start) {
            next = start;
            failed++;
        }
        if (draw(20) == 0 && group_shard_can_snapshot(&f.shard)) next = begin_snapshot();
        if (draw(10) == 0) check_from(start);
    }
    commit_all(&f);
    check_from(start);
    ck_assert_uint_gt(done, 5);
    ck_assert_uint_gt(failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_snapshot");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, g_offdur_the_log_may_begin_at_a_snapshot);
    tcase_add_test(tcase, g_offdur_a_snapshot_does_not_undo_what_is_under_way);
    tcase_add_test(tcase, g_offdur_an_append_that_is_refused_spoils_the_snapshot);
    tcase_add_test(tcase, a_large_snapshot_goes_in_lots);
    tcase_add_test(tcase, a_log_with_records_of_others_is_not_written_again);
    tcase_add_test(tcase, a_snapshot_does_not_make_the_next_one_due);
    tcase_add_loop_test(tcase, g_offdur_at_random, 0, 20);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
