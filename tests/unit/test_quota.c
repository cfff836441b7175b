/* Client quotas on an image, in logical time: whose quota holds, and how long who exceeds it must be silent. */
#include "controller/metadata/quota.h"
#include "tests/unit/metadata_fixture.h"

#define SECOND 1000000
#define RATE   1000

static struct meta meta;
static struct quotas quotas;

static void setup(void)
{
    meta_init(&meta, 3);
    quotas_init(&quotas, 3);
}

static void teardown(void)
{
    quotas_deinit(&quotas);
    meta_deinit(&meta);
}

/* NULL: not of a user, or a client id; "": the default; 0: no more. */
static void set(const char *user, const char *client_id, const char *key, double value)
{
    struct quota_entity entity = {.has = {[QUOTA_USER] = user != NULL, [QUOTA_CLIENT_ID] = client_id != NULL}};
    if (user && *user) entity.names[QUOTA_USER] = mem_strdup(user);
    if (client_id && *client_id) entity.names[QUOTA_CLIENT_ID] = mem_strdup(client_id);
    records_add_quota(&meta.records, &entity, key, value > 0 ? &value : NULL);
    records_cut(&meta.records);
    ck_assert_uint_eq(meta_commit(&meta), 1);
    mem_free(entity.names[QUOTA_USER]);
    mem_free(entity.names[QUOTA_CLIENT_ID]);
}

static int64_t produce(const char *user, const char *client_id, int64_t bytes, int64_t now_us)
{
    return quotas_charge(&quotas, &meta.image, QUOTA_PRODUCE, slice_str(user), slice_str(client_id), bytes, now_us);
}

static int64_t rate_of(const char *user, const char *client_id)
{
    return quotas_rate(&meta.image, QUOTA_PRODUCE, slice_str(user), slice_str(client_id));
}

START_TEST(without_a_quota_nobody_waits)
{
    ck_assert_int_eq(produce("alice", "a", INT64_MAX, 0), 0);
    set("", NULL, "consumer_byte_rate", RATE);
    ck_assert_int_eq(produce("alice", "a", INT64_MAX, 0), 0);
    ck_assert_int_eq(rate_of("alice", "a"), INT64_MAX);
    ck_assert_uint_eq(map_count(&quotas.buckets[QUOTA_PRODUCE]), 0);
}
END_TEST

START_TEST(a_debt_is_waited_for_and_the_mean_is_the_rate)
{
    set(NULL, "a", "producer_byte_rate", RATE);
    ck_assert_int_eq(produce("alice", "a", RATE, 0), 0); /* a second's worth is there at first */
    int64_t wait_us = produce("alice", "a", 5 * RATE, 0);
    ck_assert_int_ge(wait_us, 5 * SECOND);
    ck_assert_int_le(wait_us, 5 * SECOND + 10);
    ck_assert_int_eq(produce("alice", "a", 0, wait_us), 0);
    int64_t now_us = 100 * (int64_t)SECOND, passed = 0;
    (void)produce("alice", "a", RATE, now_us);
    for (; passed < 100 * RATE; passed += 300) now_us += produce("alice", "a", 300, now_us);
    ck_assert_int_ge(now_us, 199 * (int64_t)SECOND);
    ck_assert_int_le(now_us, 201 * (int64_t)SECOND);
    ck_assert_uint_gt(quotas.throttled[QUOTA_PRODUCE], 0);
}
END_TEST

START_TEST(the_most_special_quota_holds)
{
    static const char *const order[][2] = {{NULL, ""}, {NULL, "a"},     {"", NULL},    {"", ""},
                                           {"", "a"},  {"alice", NULL}, {"alice", ""}, {"alice", "a"}};
    size_t count = sizeof order / sizeof *order;
    for (size_t i = 0; i < count; i++) {
        set(order[i][0], order[i][1], "producer_byte_rate", (double)(i + 1));
        ck_assert_int_eq(rate_of("alice", "a"), (int64_t)i + 1);
    }
    ck_assert_int_eq(rate_of("alice", "b"), 7);
    ck_assert_int_eq(rate_of("bob", "a"), 5);
    ck_assert_int_eq(rate_of("bob", "b"), 4);
    for (size_t i = count; i-- > 0;) {
        ck_assert_int_eq(rate_of("alice", "a"), (int64_t)i + 1);
        set(order[i][0], order[i][1], "producer_byte_rate", 0);
    }
    ck_assert_int_eq(rate_of("alice", "a"), INT64_MAX);
}
END_TEST

START_TEST(a_default_holds_for_each_by_itself_and_a_users_quota_for_all_its_clients)
{
    set(NULL, "", "producer_byte_rate", RATE);
    ck_assert_int_gt(produce("alice", "a", 3 * RATE, 0), 0);
    ck_assert_int_gt(produce("bob", "a", 0, 0), 0); /* a client id is one, whoever uses it */
    ck_assert_int_eq(produce("alice", "b", RATE, 0), 0);
    set("alice", NULL, "producer_byte_rate", RATE);
    ck_assert_int_gt(produce("alice", "c", 3 * RATE, 0), 0);
    ck_assert_int_gt(produce("alice", "d", 0, 0), 0);
    ck_assert_int_eq(quotas_charge(&quotas, &meta.image, QUOTA_FETCH, slice_str("alice"), slice_str("d"), 3 * RATE, 0), 0);
}
END_TEST

START_TEST(a_quota_may_change_while_somebody_owes)
{
    set(NULL, "a", "producer_byte_rate", RATE);
    ck_assert_int_ge(produce("alice", "a", 11 * RATE, 0), 10 * SECOND);
    set(NULL, "a", "producer_byte_rate", 10 * RATE);
    ck_assert_int_le(produce("alice", "a", 0, 0), SECOND + 10);
    set(NULL, "a", "producer_byte_rate", 0);
    ck_assert_int_eq(produce("alice", "a", 100 * RATE, 0), 0);
}
END_TEST

START_TEST(strangers_with_many_names_cost_no_more_than_the_limit)
{
    char name[32];
    set(NULL, "", "producer_byte_rate", RATE);
    for (int i = 0; i < QUOTA_BUCKETS_MAX; i++) {
        (void)snprintf(name, sizeof name, "client-%d", i);
        ck_assert_int_gt(produce("alice", name, 2 * RATE, 0), 0);
    }
    ck_assert_int_gt(produce("alice", "another", 2 * RATE, 0), 0);
    ck_assert_int_gt(produce("alice", "yet another", 0, 0), 0); /* newcomers share what they owe */
    ck_assert_uint_eq(map_count(&quotas.buckets[QUOTA_PRODUCE]), QUOTA_BUCKETS_MAX);
    ck_assert_int_eq(produce("alice", "late", RATE, 10 * SECOND), 0); /* those who owe nothing any more go */
    ck_assert_uint_eq(map_count(&quotas.buckets[QUOTA_PRODUCE]), 1);
}
END_TEST

static void set_address(const char *address, double rate)
{
    struct quota_entity entity = {.has = {[QUOTA_IP] = true}};
    if (*address) entity.names[QUOTA_IP] = mem_strdup(address);
    records_add_quota(&meta.records, &entity, "connection_creation_rate", rate > 0 ? &rate : NULL);
    records_cut(&meta.records);
    ck_assert_uint_eq(meta_commit(&meta), 1);
    mem_free(entity.names[QUOTA_IP]);
}
static int64_t connect_from(const char *address, int64_t now_us)
{
    return quotas_connect(&quotas, &meta.image, slice_str(address), now_us);
}

START_TEST(who_connects_too_often_waits_and_what_was_refused_does_not_count)
{
    ck_assert_int_eq(connect_from("10.0.0.1", 0), 0);
    set_address("", 2);
    set_address("10.0.0.2", 1);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(connect_from("10.0.0.1", 0), 0);
    for (int i = 0; i < 100; i++) {
        int64_t wait_us = connect_from("10.0.0.1", 0);
        ck_assert_int_gt(wait_us, 0);
        ck_assert_int_le(wait_us, SECOND / 2 + 1);
    }
    ck_assert_uint_eq(quotas.throttled[QUOTA_CONNECT], 100);
    ck_assert_int_eq(connect_from("10.0.0.3", 0), 0); /* a default holds for each by itself */
    ck_assert_int_eq(connect_from("10.0.0.2", 0), 0);
    ck_assert_int_gt(connect_from("10.0.0.2", 0), SECOND / 2);
    ck_assert_int_eq(connect_from("10.0.0.1", SECOND / 2 + 1), 0);
    ck_assert_int_gt(connect_from("10.0.0.1", SECOND / 2 + 1), 0);
    set_address("", 0);
    ck_assert_int_eq(connect_from("10.0.0.1", SECOND / 2 + 1), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota");
    TCase *tcase = tcase_create("quota");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, without_a_quota_nobody_waits);
    tcase_add_test(tcase, a_debt_is_waited_for_and_the_mean_is_the_rate);
    tcase_add_test(tcase, the_most_special_quota_holds);
    tcase_add_test(tcase, a_default_holds_for_each_by_itself_and_a_users_quota_for_all_its_clients);
    tcase_add_test(tcase, a_quota_may_change_while_somebody_owes);
    tcase_add_test(tcase, strangers_with_many_names_cost_no_more_than_the_limit);
    tcase_add_test(tcase, who_connects_too_often_waits_and_what_was_refused_does_not_count);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
