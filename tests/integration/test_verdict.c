/* The checker is checked: each fault that the failover demo looks for is planted, and must be found under its own name. */
#include "deploy/demo/verdict.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECORDS = 200, KEYS = 5, PARTITIONS = 3 };

/* What is done to the record in the middle on its way to the final reader. */
enum fault { NONE, DROP, DUPLICATE, SWAP, CHANGE, MOVE, RENAME, NEVER_ACKED, HEADER_LOST, DUPLICATE_FAR };

struct sample {
    char key[16], value[32];
    uint32_t number;
    int32_t partition;
    int64_t offset;
};

static void make_samples(struct sample *samples)
{
    int64_t next[PARTITIONS] = {0};
    for (int i = 0; i < RECORDS; i++) {
        struct sample *s = &samples[i];
        s->partition = i % KEYS % PARTITIONS;
        s->offset = next[s->partition]++;
        (void)snprintf(s->key, sizeof s->key, "file-%d", i % KEYS);
        (void)snprintf(s->value, sizeof s->value, "line %d", i / 10); /* equal lines within a key, too */
    }
}

static void read_sample(struct verdict *v, const struct sample *s, int64_t shift)
{
    verdict_read(v, READER_FINAL, s->number, s->partition, s->offset + shift, slice_str(s->key), slice_str(s->value));
}

/* The samples as the reader gets them: two of one key change their bytes, as if the log held them in the other order. */
static void swap_contents(struct sample *a, struct sample *b)
{
    uint32_t number = a->number;
    a->number = b->number;
    b->number = number;
    char value[sizeof a->value];
    memcpy(value, a->value, sizeof value);
    memcpy(a->value, b->value, sizeof value);
    memcpy(b->value, value, sizeof value);
}

static void plant(struct sample *samples, enum fault fault)
{
    struct sample *s = &samples[RECORDS / 2];
    if (fault == SWAP) swap_contents(s, s + KEYS);
    if (fault == CHANGE) s->value[0] ^= 1;
    if (fault == RENAME) (void)snprintf(s->key, sizeof s->key, "file-%d", KEYS);
    if (fault == HEADER_LOST) s->number = UINT32_MAX;
}

static bool run(enum fault fault, struct verdict_result *result)
{
    struct verdict v;
    struct sample samples[RECORDS];
    int64_t shift[PARTITIONS] = {0};
    verdict_init(&v);
    make_samples(samples);
    for (int i = 0; i < RECORDS; i++) {
        samples[i].number = verdict_sent(&v, slice_str(samples[i].key), slice_str(samples[i].value));
        if (fault != NEVER_ACKED || i != RECORDS / 2) verdict_acked(&v, samples[i].number, samples[i].partition, samples[i].offset);
    }
    plant(samples, fault);
    for (int i = 0; i < RECORDS; i++) {
        bool here = i == RECORDS / 2;
        if (here && fault == DROP) continue;
        if (here && fault == MOVE) shift[samples[i].partition]++;
        read_sample(&v, &samples[i], shift[samples[i].partition]);
        if (here && fault == DUPLICATE) read_sample(&v, &samples[i], ++shift[samples[i].partition]);
    }
    if (fault == DUPLICATE_FAR) read_sample(&v, &samples[RECORDS / 2], RECORDS);
    bool good = verdict_judge(&v, READER_FINAL, result);
    verdict_deinit(&v);
    return good;
}

START_TEST(clean_history_passes)
{
    struct verdict_result r;
    ck_assert(run(NONE, &r));
    ck_assert_uint_eq(r.keys, KEYS);
    ck_assert_uint_eq(r.read, RECORDS);
}
END_TEST

START_TEST(nothing_sent_is_no_success)
{
    struct verdict v;
    struct verdict_result r;
    verdict_init(&v);
    ck_assert(!verdict_judge(&v, READER_FINAL, &r));
    verdict_deinit(&v);
}
END_TEST

START_TEST(drop_is_a_loss)
{
    struct verdict_result r;
    ck_assert(!run(DROP, &r));
    ck_assert_uint_eq(r.lost, 1);
    ck_assert_uint_eq(r.digests_bad, 1);
    ck_assert_uint_eq(r.duplicates + r.reordered + r.strangers + r.misplaced, 0);
}
END_TEST

START_TEST(duplicate_is_found_near_and_far)
{
    struct verdict_result r;
    ck_assert(!run(DUPLICATE, &r));
    ck_assert_uint_eq(r.duplicates, 1);
    ck_assert_uint_eq(r.lost, 0);
    ck_assert_uint_eq(r.digests_bad, 1);
    ck_assert(!run(DUPLICATE_FAR, &r));
    ck_assert_uint_eq(r.duplicates, 1);
}
END_TEST

START_TEST(swap_is_out_of_order)
{
    struct verdict_result r;
    ck_assert(!run(SWAP, &r));
    ck_assert_uint_eq(r.reordered, 1);
    ck_assert_uint_eq(r.misplaced, 2);
    ck_assert_uint_eq(r.lost + r.duplicates, 0);
}
END_TEST

START_TEST(change_is_a_stranger)
{
    static const enum fault changes[] = {CHANGE, RENAME, HEADER_LOST};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct verdict_result r;
        ck_assert(!run(changes[i], &r));
        ck_assert_uint_eq(r.strangers, 1);
        ck_assert_uint_eq(r.lost, 1);
    }
}
END_TEST

START_TEST(move_is_misplaced)
{
    struct verdict_result r;
    ck_assert(!run(MOVE, &r));
    ck_assert_uint_gt(r.misplaced, 0);
    ck_assert_uint_eq(r.lost + r.duplicates + r.digests_bad, 0);
}
END_TEST

START_TEST(unacked_is_no_success)
{
    struct verdict_result r;
    ck_assert(!run(NEVER_ACKED, &r));
    ck_assert_uint_eq(r.unacked, 1);
    ck_assert_uint_eq(r.lost, 0);
}
END_TEST

int main(void)
{
    TCase *planted = tcase_create("planted faults");
    tcase_add_test(planted, clean_history_passes);
    tcase_add_test(planted, nothing_sent_is_no_success);
    tcase_add_test(planted, drop_is_a_loss);
    tcase_add_test(planted, duplicate_is_found_near_and_far);
    tcase_add_test(planted, swap_is_out_of_order);
    tcase_add_test(planted, change_is_a_stranger);
    tcase_add_test(planted, move_is_misplaced);
    tcase_add_test(planted, unacked_is_no_success);
    Suite *suite = suite_create("verdict");
    suite_add_tcase(suite, planted);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
