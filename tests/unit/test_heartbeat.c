/* Sessions: evidence and timeouts in logical time. */
#include "controller/metadata/heartbeat.h"
#include "tests/unit/metadata_fixture.h"

#define SECOND  1000000
#define TIMEOUT (9 * SECOND)

static struct meta meta;
static struct heartbeats heartbeats;
static uint64_t last_dial; /* begun by next_dial() */

/* Brokers 0, 1, 2, unfenced; a controller that has just taken office at time 0. */
static void setup(void)
{
    meta_init(&meta, 3);
    meta_start_brokers(&meta, 3);
    heartbeats_init(&heartbeats, TIMEOUT);
    heartbeats_take_office(&heartbeats, &meta.image, 0);
}

static void teardown(void)
{
    heartbeats_deinit(&heartbeats);
    meta_deinit(&meta);
}

static int32_t next_dial(int64_t now_us) { return heartbeats_next_dial(&heartbeats, &meta.image, &last_dial, now_us); }

static int32_t lost(int64_t now_us)
{
    uint32_t at = 0;
    return heartbeats_next_lost(&heartbeats, &meta.image, &at, now_us);
}

/* All brokers speak, on connections 10, 11, 12; nobody is dialed any more. */
static void all_speak(int64_t now_us)
{
    for (int32_t id = 0; id < 3; id++) heartbeats_on_contact(&heartbeats, id, 10 + (uint64_t)id, 5, now_us);
}

START_TEST(evidence_is_a_closed_connection_and_a_refused_dial)
{
    all_speak(0);
    ck_assert_int_eq(next_dial(SECOND), NO_BROKER);
    ck_assert_int_eq(heartbeats_on_closed(&heartbeats, 11, SECOND), 1);
    ck_assert_msg(lost(SECOND) == NO_BROKER, "a close alone is no evidence");
    ck_assert_int_eq(next_dial(SECOND), 1);
    ck_assert_int_eq(next_dial(SECOND), NO_BROKER);
    heartbeats_on_dialed(&heartbeats, 1, last_dial, true, SECOND);
    ck_assert_int_eq(lost(SECOND), 1);
    ck_assert(heartbeats_is_gone(&heartbeats, image_broker_get(&meta.image, 1), SECOND));
    ck_assert(!heartbeats_is_gone(&heartbeats, image_broker_get(&meta.image, 0), SECOND));
}
END_TEST

/* The old process is dialed, and refuses; before the answer is here a new one has registered, and loses its connection. */
START_TEST(late_dial_says_nothing_about_the_next_incarnation)
{
    all_speak(0);
    heartbeats_on_closed(&heartbeats, 11, SECOND);
    ck_assert_int_eq(next_dial(SECOND), 1);
    uint64_t late = last_dial;
    heartbeats_on_registered(&heartbeats, image_broker_get(&meta.image, 1), 21, 2 * SECOND);
    heartbeats_on_closed(&heartbeats, 21, 3 * SECOND);
    ck_assert_msg(next_dial(3 * SECOND) == 1, "its own dial does not wait for the late one");
    heartbeats_on_dialed(&heartbeats, 1, late, true, 3 * SECOND);
    ck_assert_int_eq(lost(3 * SECOND), NO_BROKER);
    heartbeats_on_dialed(&heartbeats, 1, last_dial, true, 3 * SECOND);
    ck_assert_int_eq(lost(3 * SECOND), 1);
}
END_TEST

START_TEST(late_dial_says_nothing_in_the_next_office)
{
    ck_assert_int_eq(next_dial(0), 0);
    uint64_t late = last_dial;
    heartbeats_resign(&heartbeats);
    heartbeats_take_office(&heartbeats, &meta.image, SECOND);
    ck_assert_int_eq(next_dial(SECOND), 0);
    heartbeats_on_dialed(&heartbeats, 0, late, true, SECOND);
    ck_assert_int_eq(lost(SECOND), NO_BROKER);
}
END_TEST

START_TEST(dial_that_connects_proves_nothing_and_is_repeated)
{
    all_speak(0);
    heartbeats_on_closed(&heartbeats, 11, SECOND);
    ck_assert_int_eq(next_dial(SECOND), 1);
    heartbeats_on_dialed(&heartbeats, 1, last_dial, false, SECOND);
    ck_assert_int_eq(lost(SECOND), NO_BROKER);
    ck_assert(heartbeats_is_undecided(&heartbeats, image_broker_get(&meta.image, 1), SECOND));
    int64_t again = heartbeats_deadline_us(&heartbeats, &meta.image);
    ck_assert(again > SECOND && again <= SECOND + 10000);
    ck_assert_int_eq(next_dial(again), 1);
    heartbeats_on_dialed(&heartbeats, 1, last_dial, false, again);
    ck_assert_msg(heartbeats_deadline_us(&heartbeats, &meta.image) > again + 10000, "less and less often");
}
END_TEST

START_TEST(refusal_does_not_count_when_the_broker_spoke_meanwhile)
{
    all_speak(0);
    heartbeats_on_closed(&heartbeats, 11, SECOND);
    ck_assert_int_eq(next_dial(SECOND), 1);
    heartbeats_on_contact(&heartbeats, 1, 21, 5, SECOND);
    heartbeats_on_dialed(&heartbeats, 1, last_dial, true, SECOND);
    ck_assert_int_eq(lost(SECOND), NO_BROKER);
    ck_assert_msg(heartbeats_on_closed(&heartbeats, 11, SECOND) == NO_BROKER, "not its current connection");
}
END_TEST

START_TEST(silence_ends_a_session_after_the_timeout)
{
    all_speak(0);
    heartbeats_on_contact(&heartbeats, 0, 10, 5, 5 * SECOND);
    heartbeats_on_contact(&heartbeats, 2, 12, 5, 5 * SECOND);
    ck_assert_int_eq(heartbeats_deadline_us(&heartbeats, &meta.image), TIMEOUT);
    ck_assert_int_eq(lost(TIMEOUT - 1), NO_BROKER);
    ck_assert_int_eq(lost(TIMEOUT), 1);
}
END_TEST

START_TEST(stall_of_the_controller_is_no_silence_of_the_brokers)
{
    all_speak(0);
    heartbeats_forgive(&heartbeats, 20 * SECOND);
    ck_assert_int_eq(lost(20 * SECOND + TIMEOUT - 1), NO_BROKER);
    ck_assert_int_eq(lost(20 * SECOND + TIMEOUT), 0);
}
END_TEST

START_TEST(new_office_dials_all_and_gives_the_silent_a_full_timeout)
{
    heartbeats_take_office(&heartbeats, &meta.image, 100 * SECOND);
    for (int32_t id = 0; id < 3; id++) ck_assert_int_eq(next_dial(100 * SECOND), id);
    heartbeats_on_dialed(&heartbeats, 2, last_dial, true, 100 * SECOND);
    ck_assert_int_eq(lost(100 * SECOND), 2);
    meta_fence(&meta, 2);
    ck_assert_int_eq(lost(100 * SECOND + TIMEOUT - 1), NO_BROKER);
    ck_assert_int_eq(lost(100 * SECOND + TIMEOUT), 0);
}
END_TEST

START_TEST(wrongly_fenced_broker_is_judged_by_time_only)
{
    all_speak(0);
    heartbeats_on_closed(&heartbeats, 11, SECOND);
    next_dial(SECOND);
    heartbeats_on_dialed(&heartbeats, 1, last_dial, true, SECOND);
    meta_fence(&meta, 1);
    heartbeats_on_contact(&heartbeats, 1, 31, 5, 2 * SECOND);
    meta_heartbeat(&meta, 1, false, false);
    heartbeats_on_closed(&heartbeats, 31, 3 * SECOND);
    ck_assert_msg(next_dial(3 * SECOND) == NO_BROKER, "its refusals have lied once");
    heartbeats_on_contact(&heartbeats, 0, 10, 5, 10 * SECOND);
    heartbeats_on_contact(&heartbeats, 2, 12, 5, 10 * SECOND);
    ck_assert_int_eq(lost(2 * SECOND + TIMEOUT - 1), NO_BROKER);
    ck_assert_int_eq(lost(2 * SECOND + TIMEOUT), 1);
    for (int64_t at = 20; at <= 62; at += 5) all_speak(at * SECOND);
    heartbeats_on_closed(&heartbeats, 11, 62 * SECOND);
    ck_assert_int_eq(next_dial(62 * SECOND), 1);
}
END_TEST

START_TEST(lowest_applied_counts_active_brokers_only)
{
    all_speak(0);
    heartbeats_on_contact(&heartbeats, 0, 10, 9, 0);
    heartbeats_on_contact(&heartbeats, 1, 11, 7, 0);
    heartbeats_on_contact(&heartbeats, 2, 12, 8, 0);
    ck_assert_int_eq(heartbeats_lowest_applied(&heartbeats, &meta.image, NO_BROKER), 7);
    ck_assert_int_eq(heartbeats_lowest_applied(&heartbeats, &meta.image, 1), 8);
    meta_fence(&meta, 1);
    ck_assert_int_eq(heartbeats_lowest_applied(&heartbeats, &meta.image, NO_BROKER), 8);
    heartbeats_on_contact(&heartbeats, 2, 12, 3, 0);
    ck_assert_msg(heartbeats_lowest_applied(&heartbeats, &meta.image, NO_BROKER) == 8, "an applied index does not go back");
}
END_TEST

START_TEST(fenced_broker_is_replaced_as_soon_as_its_connection_is_gone)
{
    all_speak(0);
    meta_fence(&meta, 1);
    const struct image_broker *broker = image_broker_get(&meta.image, 1);
    ck_assert(!heartbeats_is_gone(&heartbeats, broker, SECOND));
    heartbeats_on_closed(&heartbeats, 11, SECOND);
    ck_assert(heartbeats_is_gone(&heartbeats, broker, SECOND));
    ck_assert_int_eq(next_dial(SECOND), NO_BROKER);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heartbeat");
    TCase *tests = tcase_create("heartbeat");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, evidence_is_a_closed_connection_and_a_refused_dial);
    tcase_add_test(tests, late_dial_says_nothing_about_the_next_incarnation);
    tcase_add_test(tests, late_dial_says_nothing_in_the_next_office);
    tcase_add_test(tests, dial_that_connects_proves_nothing_and_is_repeated);
    tcase_add_test(tests, refusal_does_not_count_when_the_broker_spoke_meanwhile);
    tcase_add_test(tests, silence_ends_a_session_after_the_timeout);
    tcase_add_test(tests, stall_of_the_controller_is_no_silence_of_the_brokers);
    tcase_add_test(tests, new_office_dials_all_and_gives_the_silent_a_full_timeout);
    tcase_add_test(tests, wrongly_fenced_broker_is_judged_by_time_only);
    tcase_add_test(tests, lowest_applied_counts_active_brokers_only);
    tcase_add_test(tests, fenced_broker_is_replaced_as_soon_as_its_connection_is_gone);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
