/* broker/coordinator/offset_rows: packed offsets beside a plain list of them. */
#include "broker/coordinator/offset_rows.h"

#include "common/prng.h"

#include <check.h>
#include <stdlib.h>

#define MODEL_MAX 64

struct model {
    struct committed_offset offsets[MODEL_MAX]; /* by place, which is no partition */
    bool is_there[MODEL_MAX];
    uint32_t count;
};

static struct committed_offset ordinary(int32_t partition, int64_t offset)
{
    return (struct committed_offset){.partition = partition,
                                     .leader_epoch = 7,
                                     .offset = offset,
                                     .commit_ms = 1700000000000 + offset % 1000000,
                                     .expire_ms = -1,
                                     .topic_id = {{1, 2, 3}},
                                     .metadata = SLICE_LITERAL("")};
}

static void check_equal(const struct committed_offset *x, const struct committed_offset *y)
{
    ck_assert_int_eq(x->partition, y->partition);
    ck_assert_int_eq(x->leader_epoch, y->leader_epoch);
    ck_assert_int_eq(x->offset, y->offset);
    ck_assert_int_eq(x->commit_ms, y->commit_ms);
    ck_assert_int_eq(x->expire_ms, y->expire_ms);
    ck_assert(uuid_equal(x->topic_id, y->topic_id));
    ck_assert(slice_equal(x->metadata, y->metadata));
}

static void check_all(const struct offset_rows *rows, const struct model *model)
{
    ck_assert_uint_eq(rows->count, model->count);
    offset_rows_invariants(rows);
    for (int i = 0; i < MODEL_MAX; i++) {
        uint32_t at = 0;
        const struct committed_offset *want = &model->offsets[i];
        if (!model->is_there[i]) continue;
        ck_assert(offset_rows_find(rows, want->partition, &at));
        struct committed_offset got = offset_rows_at(rows, at);
        check_equal(&got, want);
    }
}

/* Mostly what is usual, and now and then the ends of what the types hold. */
static int64_t any_number(struct prng *prng, int64_t usual, int64_t least, int64_t most)
{
    switch (prng_below(prng, 8)) {
    case 0: return least;
    case 1: return most;
    case 2: return least + (int64_t)prng_below(prng, 1000);
    default: return usual + (int64_t)prng_below(prng, 100000);
    }
}

static struct committed_offset any_offset(struct prng *prng, int32_t partition)
{
    static const char *const texts[] = {"", "", "", "a note", "another, longer one"};
    struct committed_offset offset = ordinary(partition, 0);
    offset.leader_epoch = (int32_t)any_number(prng, 0, -1, INT32_MAX);
    offset.offset = any_number(prng, 0, INT64_MIN, INT64_MAX);
    offset.commit_ms = any_number(prng, offset.commit_ms, INT64_MIN, INT64_MAX);
    if (prng_chance(prng, 1, 8)) offset.expire_ms = any_number(prng, 1700000000000, -1, INT64_MAX);
    if (prng_chance(prng, 1, 8)) offset.topic_id = (struct uuid){{(uint8_t)prng_below(prng, 4)}};
    offset.metadata = slice_str(texts[prng_below(prng, 5)]);
    return offset;
}

static void change_one(struct prng *prng, struct offset_rows *rows, struct model *model)
{
    size_t i = prng_below(prng, MODEL_MAX);
    int32_t partition = i == 0 ? INT32_MIN : i == 1 ? INT32_MAX : (int32_t)i * 37 - 200;
    if (prng_chance(prng, 1, 3)) {
        ck_assert(offset_rows_remove(rows, partition) == model->is_there[i]);
        model->count -= model->is_there[i];
        model->is_there[i] = false;
        return;
    }
    model->offsets[i] = any_offset(prng, partition);
    ck_assert(offset_rows_put(rows, &model->offsets[i]) == !model->is_there[i]);
    model->count += !model->is_there[i];
    model->is_there[i] = true;
}

START_TEST(random_changes_agree_with_a_list)
{
    struct prng prng;
    struct offset_rows rows = {0};
    struct model model = {0};
    prng_init(&prng, (uint64_t)_i);
    for (int step = 0; step < 500; step++) {
        change_one(&prng, &rows, &model);
        if (step % 10 == 0) check_all(&rows, &model);
    }
    check_all(&rows, &model);
    offset_rows_deinit(&rows);
}
END_TEST

START_TEST(rows_are_in_the_order_of_the_partitions)
{
    struct offset_rows rows = {0};
    static const int32_t partitions[] = {5, -3, 300, 0, INT32_MAX, INT32_MIN, 70000},
                         sorted[] = {INT32_MIN, -3, 0, 5, 300, 70000, INT32_MAX};
    for (int i = 0; i < 7; i++) {
        struct committed_offset offset = ordinary(partitions[i], i);
        ck_assert(offset_rows_put(&rows, &offset));
        ck_assert(!offset_rows_put(&rows, &offset));
    }
    for (uint32_t i = 0; i < 7; i++) ck_assert_int_eq(offset_rows_at(&rows, i).partition, sorted[i]);
    uint32_t at = 0;
    ck_assert(!offset_rows_find(&rows, 1, &at));
    ck_assert(!offset_rows_remove(&rows, 1));
    offset_rows_deinit(&rows);
}
END_TEST

START_TEST(an_ordinary_offset_takes_a_dozen_bytes)
{
    struct offset_rows rows = {0};
    for (int32_t i = 0; i < 1000; i++) {
        struct committed_offset offset = ordinary(i, INT64_C(5000000000) + i * INT64_C(12345));
        (void)offset_rows_put(&rows, &offset);
    }
    ck_assert_uint_le(rows.row_bytes, 12);
    ck_assert_uint_le(rows.bytes, (size_t)15 * rows.count);
    ck_assert_ptr_null(rows.metadata);
    offset_rows_deinit(&rows);
    ck_assert_uint_eq(rows.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("offset_rows");
    TCase *tcase = tcase_create("offset_rows");
    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(tcase, random_changes_agree_with_a_list, 0, 40);
    tcase_add_test(tcase, rows_are_in_the_order_of_the_partitions);
    tcase_add_test(tcase, an_ordinary_offset_takes_a_dozen_bytes);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
