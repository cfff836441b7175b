/* Kafka's error codes. */
#include "proto/errors.h"

#include <check.h>
#include <string.h>

START_TEST(codes_are_kafkas)
{
    ck_assert_int_eq(KAFKA_NONE, 0);
    ck_assert_int_eq(KAFKA_UNKNOWN_SERVER_ERROR, -1);
    ck_assert_int_eq(KAFKA_NOT_LEADER_OR_FOLLOWER, 6);
    ck_assert_int_eq(KAFKA_UNSUPPORTED_VERSION, 35);
    ck_assert_int_eq(KAFKA_FENCED_LEADER_EPOCH, 74);
    ck_assert_int_eq(KAFKA_INVALID_RECORD, 87);
    ck_assert_int_eq(KAFKA_UNKNOWN_TOPIC_ID, 100);
    ck_assert_int_eq(KAFKA_REBOOTSTRAP_REQUIRED, 129);
    ck_assert_int_eq(KAFKA_CONTROLLER_ID_NOT_REGISTERED, 136);
}
END_TEST

START_TEST(every_code_has_texts)
{
    for (int16_t code = -1; code <= KAFKA_CONTROLLER_ID_NOT_REGISTERED; code++) {
        ck_assert_str_ne(kafka_error_name(code), "UNKNOWN_ERROR_CODE");
        ck_assert_uint_gt(strlen(kafka_error_message(code)), 5);
    }
    ck_assert_str_eq(kafka_error_name(KAFKA_NOT_CONTROLLER), "NOT_CONTROLLER");
}
END_TEST

START_TEST(codes_of_the_future_have_texts_too)
{
    ck_assert_str_eq(kafka_error_name(-2), "UNKNOWN_ERROR_CODE");
    ck_assert_str_eq(kafka_error_name(INT16_MAX), "UNKNOWN_ERROR_CODE");
    ck_assert(!kafka_error_is_retriable(INT16_MIN));
}
END_TEST

START_TEST(retriable_ones)
{
    ck_assert(kafka_error_is_retriable(KAFKA_NOT_LEADER_OR_FOLLOWER));
    ck_assert(kafka_error_is_retriable(KAFKA_COORDINATOR_NOT_AVAILABLE));
    ck_assert(!kafka_error_is_retriable(KAFKA_INVALID_TOPIC_EXCEPTION));
    ck_assert(!kafka_error_is_retriable(KAFKA_NONE));
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("errors");
    tcase_add_test(tcase, codes_are_kafkas);
    tcase_add_test(tcase, every_code_has_texts);
    tcase_add_test(tcase, codes_of_the_future_have_texts_too);
    tcase_add_test(tcase, retriable_ones);
    Suite *suite = suite_create("errors");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
