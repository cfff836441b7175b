/* broker/replica/fetch_session: KIP-227's rules, dirty lists, slots. */
#include "broker/replica/fetch_session.h"

#include <check.h>
#include <stdlib.h>

static struct fetch_session_cache cache;
static int ended;
static void *overtaken;

static void on_end(void *user, struct fetch_session *session)
{
    (void)user;
    session->parked = NULL;
    ended++;
}
static void on_parked(void *user, void *parked)
{
    (void)user;
    overtaken = parked;
    for (struct list_node *n = cache.by_use.head.next; n != &cache.by_use.head; n = n->next)
        CONTAINER_OF(n, struct fetch_session, in_cache)->parked = NULL;
}

static void setup(void)
{
    ended = 0;
    overtaken = NULL;
    fetch_session_cache_init(&cache, 2, 7, on_end, NULL);
}
static void teardown(void) { fetch_session_cache_deinit(&cache); }

static struct fetch_position at(int32_t partition, int64_t offset)
{
    return (struct fetch_position){
        .target = {.topic_id = {{1}}, .partition = partition}, .current_leader_epoch = -1, .offset = offset, .last_fetched_epoch = -1};
}

static struct fetch_session *begin(struct fetch_session_request request, enum kafka_error *error)
{
    request.has_sessions = true;
    request.random = 41;
    return fetch_session_begin(&cache, &request, on_parked, error);
}

static struct fetch_session *begin_new(bool is_follower, int64_t now_us)
{
    struct fetch_position positions[3] = {at(0, 0), at(1, 0), at(2, 0)};
    enum kafka_error error = KAFKA_NONE;
    return begin((struct fetch_session_request){.positions = positions, .position_count = 3, .is_follower = is_follower, .now_us = now_us},
                 &error);
}

static size_t dirty_count(const struct fetch_session *session)
{
    size_t n = 0;
    LIST_FOR_EACH (&session->dirty, node) n++;
    return n;
}
static struct fetch_entry *first_dirty(const struct fetch_session *session)
{
    return CONTAINER_OF(list_first(&session->dirty), struct fetch_entry, dirty);
}

START_TEST(a_full_fetch_begins_a_session_and_the_next_names_only_what_changed)
{
    struct fetch_session *session = begin_new(false, 0);
    ck_assert_int_ne(fetch_session_answer_id(session), 0);
    ck_assert_uint_eq(dirty_count(session), 3);
    while (!list_is_empty(&session->dirty)) fetch_session_clear(first_dirty(session));
    struct fetch_position moved = at(1, 5);
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session_request next = {.session_id = session->id, .session_epoch = 1, .positions = &moved, .position_count = 1};
    ck_assert_ptr_eq(begin(next, &error), session);
    ck_assert_uint_eq(dirty_count(session), 1);
    ck_assert_int_eq(first_dirty(session)->position.offset, 5);
}
END_TEST

START_TEST(wrong_ids_and_epochs_are_refused_with_kafkas_errors)
{
    struct fetch_session *session = begin_new(false, 0);
    enum kafka_error error = KAFKA_NONE;
    ck_assert_ptr_null(begin((struct fetch_session_request){.session_id = session->id + 1, .session_epoch = 1}, &error));
    ck_assert_int_eq(error, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ck_assert_ptr_null(begin((struct fetch_session_request){.session_id = session->id, .session_epoch = 2}, &error));
    ck_assert_int_eq(error, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    /* A consumer cannot take over a follower's session. */
    ck_assert_ptr_null(begin((struct fetch_session_request){.session_id = session->id, .session_epoch = 1, .is_follower = true}, &error));
    ck_assert_int_eq(error, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    /* Nobody has a session who asks by names. */
    struct fetch_session_request by_name = {.session_id = session->id, .session_epoch = 1};
    ck_assert_ptr_null(fetch_session_begin(&cache, &by_name, on_parked, &error));
    ck_assert_int_eq(error, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}
END_TEST

START_TEST(the_epoch_wraps_to_one)
{
    struct fetch_session *session = begin_new(false, 0);
    session->epoch = INT32_MAX;
    enum kafka_error error = KAFKA_NONE;
    ck_assert_ptr_eq(begin((struct fetch_session_request){.session_id = session->id, .session_epoch = INT32_MAX}, &error), session);
    ck_assert_int_eq(session->epoch, 1);
}
END_TEST

START_TEST(forgotten_partitions_leave)
{
    struct fetch_session *session = begin_new(false, 0);
    struct fetch_target gone = {.topic_id = {{1}}, .partition = 2};
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session_request next = {.session_id = session->id, .session_epoch = 1, .forgotten = &gone, .forgotten_count = 1};
    ck_assert_ptr_eq(begin(next, &error), session);
    ck_assert_uint_eq(map_count(&session->by_target), 2);
    ck_assert_uint_eq(dirty_count(session), 2);
}
END_TEST

/* As in Kafka: it may begin with nothing, and ends when the next request leaves it with nothing. */
START_TEST(a_consumers_session_of_nothing_ends)
{
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session *session = begin((struct fetch_session_request){0}, &error);
    int32_t id = fetch_session_answer_id(session);
    ck_assert_int_ne(id, FETCH_SESSION_NONE);
    session = begin((struct fetch_session_request){.session_id = id, .session_epoch = 1}, &error);
    ck_assert_int_eq(error, KAFKA_NONE);
    ck_assert_int_eq(fetch_session_answer_id(session), FETCH_SESSION_NONE);
    fetch_session_destroy(session);
    ck_assert_int_eq(ended, 1);
    ck_assert_ptr_null(begin((struct fetch_session_request){.session_id = id, .session_epoch = 2}, &error));
    ck_assert_int_eq(error, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}
END_TEST

/* A follower is soon given partitions again. */
START_TEST(a_followers_session_of_nothing_stays)
{
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session *session = begin((struct fetch_session_request){.is_follower = true}, &error);
    struct fetch_session_request next = {.session_id = session->id, .session_epoch = 1, .is_follower = true};
    ck_assert_ptr_eq(begin(next, &error), session);
}
END_TEST

START_TEST(a_follower_is_left_alone_with_what_it_was_given_until_it_asks_again)
{
    struct fetch_session *session = begin_new(true, 0);
    struct fetch_entry *entry = first_dirty(session);
    fetch_session_given(entry);
    ck_assert(!fetch_session_mark(entry));
    ck_assert_uint_eq(dirty_count(session), 2);
    struct fetch_position moved = entry->position;
    moved.offset = 9;
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session_request next = {
        .session_id = session->id, .session_epoch = 1, .is_follower = true, .positions = &moved, .position_count = 1};
    ck_assert_ptr_eq(begin(next, &error), session);
    ck_assert_uint_eq(dirty_count(session), 3);
    fetch_session_clear(entry);
    ck_assert(fetch_session_mark(entry));
}
END_TEST

START_TEST(a_consumers_entry_with_data_goes_behind_the_others)
{
    struct fetch_session *session = begin_new(false, 0);
    struct fetch_entry *entry = first_dirty(session);
    fetch_session_given(entry);
    ck_assert_uint_eq(dirty_count(session), 3);
    ck_assert_ptr_ne(first_dirty(session), entry);
}
END_TEST

START_TEST(a_newer_request_overtakes_the_parked_one)
{
    struct fetch_session *session = begin_new(true, 0);
    int parked = 0;
    session->parked = &parked;
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session_request next = {.session_id = session->id, .session_epoch = 1, .is_follower = true};
    ck_assert_ptr_eq(begin(next, &error), session);
    ck_assert_ptr_eq(overtaken, &parked);
}
END_TEST

START_TEST(without_a_slot_a_consumer_fetches_outside_sessions_and_a_follower_takes_one)
{
    begin_new(false, 0);
    begin_new(false, 1);
    struct fetch_session *outside = begin_new(false, 2);
    ck_assert_int_eq(fetch_session_answer_id(outside), FETCH_SESSION_NONE);
    fetch_session_destroy(outside);
    struct fetch_session *follower = begin_new(true, 3);
    ck_assert_int_ne(fetch_session_answer_id(follower), FETCH_SESSION_NONE);
    ck_assert_int_eq(ended, 1);
    /* An idle one gives way to anybody. */
    struct fetch_session *later = begin_new(false, FETCH_SESSION_IDLE_US + 2);
    ck_assert_int_ne(fetch_session_answer_id(later), FETCH_SESSION_NONE);
    ck_assert_int_eq(ended, 2);
}
END_TEST

START_TEST(a_full_fetch_that_names_a_session_ends_it)
{
    struct fetch_session *session = begin_new(false, 0);
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session *outside =
        begin((struct fetch_session_request){.session_id = session->id, .session_epoch = FETCH_EPOCH_FINAL}, &error);
    ck_assert_int_eq(ended, 1);
    ck_assert_uint_eq(map_count(&cache.sessions), 0);
    fetch_session_destroy(outside);
}
END_TEST

START_TEST(a_partition_named_twice_is_one_entry)
{
    struct fetch_position positions[2] = {at(0, 1), at(0, 2)};
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session *session = begin((struct fetch_session_request){.positions = positions, .position_count = 2}, &error);
    ck_assert_uint_eq(map_count(&session->by_target), 1);
    ck_assert_int_eq(first_dirty(session)->position.offset, 2);
}
END_TEST

/* Each entry that waits is looked at with each append: named 200,000 times, a partition took 46 ms for a record. */
START_TEST(a_partition_named_twice_is_one_entry_without_a_session_too)
{
    struct fetch_position positions[2] = {at(0, 1), at(0, 2)};
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session_request request = {.session_epoch = FETCH_EPOCH_FINAL, .positions = positions, .position_count = 2};
    struct fetch_session *session = begin(request, &error);
    ck_assert_int_eq(fetch_session_answer_id(session), FETCH_SESSION_NONE);
    ck_assert_uint_eq(dirty_count(session), 1);
    ck_assert_int_eq(first_dirty(session)->position.offset, 2);
    fetch_session_destroy(session);
}
END_TEST

/* Partitions that a client names need not exist: what is remembered of them has a bound. */
START_TEST(sessions_remember_so_many_partitions_and_no_more)
{
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session *kept = begin_new(false, 0), *none = NULL;
    ck_assert_uint_eq(cache.entry_count, 3);
    cache.entry_count += FETCH_SESSION_ENTRIES_MAX - 5;
    none = begin_new(false, 0);
    ck_assert_int_eq(fetch_session_answer_id(none), 0);
    fetch_session_destroy(none);
    ck_assert_int_ne(fetch_session_answer_id(begin_new(true, 0)), 0); /* followers are not counted */
    struct fetch_position more[3] = {at(3, 0), at(4, 0), at(5, 0)};
    struct fetch_session_request next = {.session_id = kept->id, .session_epoch = 1, .positions = more, .position_count = 3};
    ck_assert_ptr_null(begin(next, &error));
    ck_assert_int_eq(error, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ck_assert_int_eq(ended, 1);
    cache.entry_count -= FETCH_SESSION_ENTRIES_MAX - 5;
    ck_assert_uint_eq(cache.entry_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fetch_session");
    TCase *tcase = tcase_create("fetch_session");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_full_fetch_begins_a_session_and_the_next_names_only_what_changed);
    tcase_add_test(tcase, wrong_ids_and_epochs_are_refused_with_kafkas_errors);
    tcase_add_test(tcase, the_epoch_wraps_to_one);
    tcase_add_test(tcase, forgotten_partitions_leave);
    tcase_add_test(tcase, a_consumers_session_of_nothing_ends);
    tcase_add_test(tcase, a_followers_session_of_nothing_stays);
    tcase_add_test(tcase, a_follower_is_left_alone_with_what_it_was_given_until_it_asks_again);
    tcase_add_test(tcase, a_consumers_entry_with_data_goes_behind_the_others);
    tcase_add_test(tcase, a_newer_request_overtakes_the_parked_one);
    tcase_add_test(tcase, without_a_slot_a_consumer_fetches_outside_sessions_and_a_follower_takes_one);
    tcase_add_test(tcase, a_full_fetch_that_names_a_session_ends_it);
    tcase_add_test(tcase, a_partition_named_twice_is_one_entry);
    tcase_add_test(tcase, a_partition_named_twice_is_one_entry_without_a_session_too);
    tcase_add_test(tcase, sessions_remember_so_many_partitions_and_no_more);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
