/* The idempotent producer's rules (reliability ids I-...), against a small model and one by one; the snapshot format. */
#include "broker/log/producer_state.h"
#include "common/prng.h"

#include <check.h>
#include <stdlib.h>

static struct producer_event data(int64_t id, int16_t epoch, int32_t first_sequence, int32_t count, int64_t base_offset)
{
    return (struct producer_event){.producer_id = id,
                                   .producer_epoch = epoch,
                                   .first_sequence = first_sequence,
                                   .offset_delta = count - 1,
                                   .base_offset = base_offset,
                                   .timestamp_ms = base_offset};
}

static enum producer_verdict check(struct producer_state *state, struct producer_event event)
{
    const struct producer_batch *original = NULL;
    return producer_state_check(state, &event, &original);
}

static void append(struct producer_state *state, struct producer_event event)
{
    ck_assert_int_eq(check(state, event), PRODUCER_OK);
    producer_state_append(state, &event, 1);
}

START_TEST(i_dup_the_last_five_are_known)
{
    struct producer_state state;
    producer_state_init(&state, 1);
    for (int32_t i = 0; i < 8; i++) append(&state, data(7, 0, 10 * i, 10, 100 + 10 * i));
    for (int32_t i = 0; i < 8; i++) {
        const struct producer_batch *original = NULL;
        struct producer_event retry = data(7, 0, 10 * i, 10, 999);
        enum producer_verdict verdict = producer_state_check(&state, &retry, &original);
        ck_assert_int_eq(verdict, i >= 3 ? PRODUCER_DUPLICATE : PRODUCER_OUT_OF_ORDER);
        if (i >= 3) ck_assert_int_eq(original->last_offset - original->offset_delta, 100 + 10 * i);
    }
    producer_state_deinit(&state);
}
END_TEST

START_TEST(i_gap_order_of_sequences_is_order_of_offsets)
{
    struct producer_state state;
    producer_state_init(&state, 1);
    append(&state, data(7, 0, 0, 10, 0));
    ck_assert_int_eq(check(&state, data(7, 0, 11, 1, 10)), PRODUCER_OUT_OF_ORDER); /* gap */
    ck_assert_int_eq(check(&state, data(7, 0, 5, 10, 10)), PRODUCER_OUT_OF_ORDER); /* overlap */
    ck_assert_int_eq(check(&state, data(7, 0, 0, 9, 10)), PRODUCER_OUT_OF_ORDER);  /* not the same batch */
    ck_assert_int_eq(check(&state, data(7, 0, 10, 1, 10)), PRODUCER_OK);
    producer_state_deinit(&state);
}
END_TEST

START_TEST(i_gap_sequences_wrap_to_zero)
{
    struct producer_state state;
    producer_state_init(&state, 1);
    append(&state, data(7, 0, INT32_MAX - 4, 3, 0));
    append(&state, data(7, 0, INT32_MAX - 1, 5, 3)); /* INT32_MAX - 1, INT32_MAX, 0, 1, 2 */
    ck_assert_int_eq(producer_state_get(&state, 7)->batches[1].last_sequence, 2);
    ck_assert_int_eq(check(&state, data(7, 0, INT32_MAX - 1, 5, 8)), PRODUCER_DUPLICATE);
    append(&state, data(7, 0, 3, 1, 8));
    append(&state, data(8, 0, INT32_MAX, 1, 9));
    ck_assert_int_eq(check(&state, data(8, 0, 1, 1, 10)), PRODUCER_OUT_OF_ORDER);
    append(&state, data(8, 0, 0, 1, 10));
    ck_assert_int_eq(producer_last_sequence(INT32_MAX, 1), 0);
    producer_state_deinit(&state);
}
END_TEST

START_TEST(i_epoch_older_is_fenced_newer_starts_at_zero)
{
    struct producer_state state;
    producer_state_init(&state, 1);
    append(&state, data(7, 3, 0, 10, 0));
    ck_assert_int_eq(check(&state, data(7, 2, 10, 1, 10)), PRODUCER_OLD_EPOCH);
    ck_assert_int_eq(check(&state, data(7, 2, 0, 10, 10)), PRODUCER_OLD_EPOCH); /* also when it looks like a retry */
    ck_assert_int_eq(check(&state, data(7, 4, 10, 1, 10)), PRODUCER_OUT_OF_ORDER);
    append(&state, data(7, 4, 0, 1, 10));
    ck_assert_int_eq(check(&state, data(7, 3, 10, 1, 11)), PRODUCER_OLD_EPOCH);
    producer_state_deinit(&state);
}
END_TEST

START_TEST(i_nostate_an_unknown_producer_may_start_anywhere)
{
    struct producer_state state;
    producer_state_init(&state, 1);
    append(&state, data(7, 5, 1234, 10, 0));
    ck_assert_int_eq(check(&state, data(7, 5, 0, 1, 10)), PRODUCER_OUT_OF_ORDER);
    producer_state_deinit(&state);
}
END_TEST

START_TEST(i_expire_never_with_an_open_transaction)
{
    struct producer_state state;
    struct producer_event in_txn = data(8, 0, 0, 1, 5);
    in_txn.is_transactional = true;
    producer_state_init(&state, 1);
    append(&state, data(7, 0, 0, 1, 0)); /* timestamp 0: long ago, but seen at 1 */
    append(&state, in_txn);
    producer_state_expire(&state, 100, 100);
    ck_assert_uint_eq(producer_state_count(&state), 2);
    producer_state_expire(&state, 101, 100);
    ck_assert_uint_eq(producer_state_count(&state), 1);
    ck_assert_int_eq(producer_state_first_unstable(&state), 5);
    producer_state_deinit(&state);
}
END_TEST

START_TEST(a_marker_ends_the_transaction)
{
    struct producer_state state;
    struct producer_event batch = data(8, 1, 0, 3, 5);
    struct producer_event marker = {.producer_id = 8, .producer_epoch = 1, .base_offset = 8, .is_marker = true, .coordinator_epoch = 4};
    batch.is_transactional = true;
    producer_state_init(&state, 1);
    append(&state, batch);
    ck_assert_int_eq(check(&state, data(8, 1, 3, 1, 8)), PRODUCER_BAD_TXN_STATE);
    append(&state, marker);
    ck_assert_int_eq(producer_state_first_unstable(&state), -1);
    marker.coordinator_epoch = 3;
    ck_assert_int_eq(check(&state, marker), PRODUCER_OLD_EPOCH);
    append(&state, data(8, 1, 3, 1, 9)); /* sequences go on */
    producer_state_deinit(&state);
}
END_TEST

/* ---- snapshots ----------------------------------------------------------------------------------------------------- */

static void fill(struct producer_state *state, uint64_t seed)
{
    struct prng prng;
    int32_t next[20] = {0};
    int16_t epochs[20] = {0};
    prng_init(&prng, seed);
    for (int64_t offset = 0; offset < 500;) {
        size_t p = (size_t)prng_below(&prng, 20);
        if (prng_chance(&prng, 1, 20)) epochs[p]++, next[p] = 0;
        struct producer_event event = data((int64_t)p + 1, epochs[p], next[p], (int32_t)prng_below(&prng, 5) + 1, offset);
        event.is_transactional = p >= 15;
        append(state, event);
        next[p] += event.offset_delta + 1;
        offset += event.offset_delta + 1;
        if (p < 15 || prng_chance(&prng, 1, 2)) continue;
        append(state, (struct producer_event){.producer_id = event.producer_id,
                                              .producer_epoch = epochs[p],
                                              .base_offset = offset++,
                                              .is_marker = true,
                                              .coordinator_epoch = 2});
    }
}

static void check_equal(const struct producer_state *a, const struct producer_state *b)
{
    ck_assert_uint_eq(producer_state_count(a), producer_state_count(b));
    ck_assert_uint_eq(a->open_transactions, b->open_transactions);
    ck_assert_int_eq(producer_state_first_unstable(a), producer_state_first_unstable(b));
    MAP_FOR_EACH (&a->producers, struct producer, producer) {
        const struct producer *other = producer_state_get(b, producer->id);
        ck_assert(other != NULL);
        ck_assert_int_eq(other->epoch, producer->epoch);
        ck_assert_int_eq(other->txn_first_offset, producer->txn_first_offset);
        ck_assert_int_eq(other->coordinator_epoch, producer->coordinator_epoch);
        ck_assert_int_eq(other->last_timestamp_ms, producer->last_timestamp_ms);
        ck_assert_uint_eq(other->batch_count, producer->batch_count);
        for (size_t i = 0; i < producer->batch_count; i++) {
            ck_assert_int_eq(other->batches[i].last_sequence, producer->batches[i].last_sequence);
            ck_assert_int_eq(other->batches[i].last_offset, producer->batches[i].last_offset);
            ck_assert_int_eq(other->batches[i].offset_delta, producer->batches[i].offset_delta);
        }
    }
}

START_TEST(i_repl_a_snapshot_brings_all_back)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct producer_state state, copy;
        struct writer w;
        producer_state_init(&state, seed);
        producer_state_init(&copy, seed + 1);
        fill(&state, seed);
        writer_init(&w, 64);
        producer_snapshot_write(&state, &w);
        ck_assert(producer_snapshot_parse(&copy, writer_slice(&w), 1));
        check_equal(&state, &copy);
        writer_deinit(&w);
        producer_state_deinit(&state);
        producer_state_deinit(&copy);
    }
}
END_TEST

START_TEST(p_23_a_torn_snapshot_is_refused)
{
    struct producer_state state, copy;
    struct writer w;
    producer_state_init(&state, 1);
    producer_state_init(&copy, 2);
    fill(&state, 3);
    writer_init(&w, 64);
    producer_snapshot_write(&state, &w);
    struct slice whole = writer_slice(&w);
    uint8_t *bytes = w.buf->data;
    for (size_t n = 0; n < whole.n; n++) {
        ck_assert(!producer_snapshot_parse(&copy, slice_make(whole.p, n), 1));
        ck_assert_uint_eq(producer_state_count(&copy), 0);
    }
    for (size_t bit = 0; bit < 8 * whole.n; bit += 7) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert(!producer_snapshot_parse(&copy, whole, 1));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    writer_deinit(&w);
    producer_state_deinit(&state);
    producer_state_deinit(&copy);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producer_state");
    TCase *tcase = tcase_create("core");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, i_dup_the_last_five_are_known);
    tcase_add_test(tcase, i_gap_order_of_sequences_is_order_of_offsets);
    tcase_add_test(tcase, i_gap_sequences_wrap_to_zero);
    tcase_add_test(tcase, i_epoch_older_is_fenced_newer_starts_at_zero);
    tcase_add_test(tcase, i_nostate_an_unknown_producer_may_start_anywhere);
    tcase_add_test(tcase, i_expire_never_with_an_open_transaction);
    tcase_add_test(tcase, a_marker_ends_the_transaction);
    tcase_add_test(tcase, i_repl_a_snapshot_brings_all_back);
    tcase_add_test(tcase, p_23_a_torn_snapshot_is_refused);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
