/* Leader epochs of a log against the list of the epochs of its offsets (P-05). */
#include "broker/log/epoch_cache.h"
#include "common/checked.h"
#include "common/prng.h"

#include <check.h>
#include <stdlib.h>

#define OFFSETS_MAX 150

/* epochs[o] is the epoch of the record at offset o; the log is [start, end). */
struct list {
    int32_t epochs[OFFSETS_MAX];
    int64_t start, end;
};

#define CHECK(condition)                                                                                                                   \
    do {                                                                                                                                   \
        if (!(condition)) ck_abort_msg("%s", #condition);                                                                                  \
    } while (0)

static void check_equal(const struct epoch_cache *cache, const struct list *list)
{
    uint32_t expected = 0;
    for (int64_t o = list->start; o < list->end; o++) {
        CHECK(epoch_cache_at(cache, o) == list->epochs[o]);
        bool is_first = o == list->start || list->epochs[o] != list->epochs[o - 1];
        if (is_first) CHECK(cache->entries[expected].start == o);
        expected += is_first;
    }
    CHECK(cache->count == expected);
    CHECK(epoch_cache_at(cache, list->start - 1) == -1);
    CHECK(epoch_cache_last(cache) == (list->start < list->end ? list->epochs[list->end - 1] : -1));
}

/* KIP-279 by its definition: the largest epoch that is not above the asked one, and where a larger one begins. */
static void check_ends(const struct epoch_cache *cache, const struct list *list, int32_t asked)
{
    int32_t want = asked, found = 0;
    int64_t want_end = list->end, end = 0;
    for (int64_t o = list->start; o < list->end; o++) {
        if (list->epochs[o] <= asked) want = list->epochs[o];
        if (list->epochs[o] > asked) {
            want_end = o;
            break;
        }
    }
    epoch_cache_end(cache, asked, list->end, &found, &end);
    CHECK(found == want);
    CHECK(end == want_end);
}

static void check_text(const struct epoch_cache *cache)
{
    struct writer w;
    struct epoch_cache copy;
    writer_init(&w, 64);
    epoch_cache_write(cache, &w);
    epoch_cache_init(&copy);
    CHECK(epoch_cache_parse(&copy, writer_slice(&w)));
    CHECK(copy.count == cache->count);
    for (uint32_t i = 0; i < copy.count; i++)
        CHECK(copy.entries[i].epoch == cache->entries[i].epoch && copy.entries[i].start == cache->entries[i].start);
    writer_deinit(&w);
    epoch_cache_deinit(&copy);
}

static void step(struct epoch_cache *cache, struct list *list, struct prng *prng, int32_t *epoch)
{
    uint64_t what = prng_below(prng, 10);
    if (what < 7) {
        if (prng_chance(prng, 1, 3)) *epoch += (int32_t)prng_below(prng, 4);
        int64_t count = prng_range(prng, 1, 6);
        if (list->end + count > OFFSETS_MAX) return;
        bool is_new = list->start == list->end || list->epochs[list->end - 1] != *epoch;
        CHECK(epoch_cache_assign(cache, *epoch, list->end) == is_new);
        while (count-- > 0) list->epochs[list->end++] = *epoch;
    } else if (what < 9) {
        list->end = prng_range(prng, list->start, list->end);
        (void)epoch_cache_cut_end(cache, list->end);
    } else {
        list->start = prng_range(prng, list->start, list->end);
        (void)epoch_cache_cut_start(cache, list->start);
        (void)epoch_cache_cut_end(cache, list->end);
    }
}

START_TEST(l_epoch_agrees_with_the_list_of_offsets)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct epoch_cache cache;
        struct list list = {.start = 0};
        struct prng prng;
        int32_t epoch = 0;
        epoch_cache_init(&cache);
        prng_init(&prng, seed);
        for (int i = 0; i < 60; i++) {
            step(&cache, &list, &prng, &epoch);
            check_equal(&cache, &list);
            check_text(&cache);
            for (int32_t asked = max_i32(0, epoch - 20); asked <= epoch + 1; asked++) check_ends(&cache, &list, asked);
        }
        epoch_cache_deinit(&cache);
    }
}
END_TEST

START_TEST(the_file_is_kafkas)
{
    struct epoch_cache cache;
    struct writer w;
    epoch_cache_init(&cache);
    (void)epoch_cache_assign(&cache, 0, 0);
    (void)epoch_cache_assign(&cache, 3, 42);
    writer_init(&w, 64);
    epoch_cache_write(&cache, &w);
    ck_assert(slice_equal_str(writer_slice(&w), "0\n2\n0 0\n3 42\n"));
    writer_deinit(&w);
    epoch_cache_deinit(&cache);
}
END_TEST

START_TEST(a_bad_file_is_refused)
{
    static const char *const bad[] = {"",
                                      "0\n",
                                      "0\n1\n",
                                      "1\n0\n",
                                      "0\n1\n0 0",
                                      "0\n1\n0 0\n1 1\n",
                                      "0\n2\n1 0\n1 5\n",
                                      "0\n2\n1 5\n2 5\n",
                                      "0\n1\n-1 0\n",
                                      "0\n1\n1 -1\n",
                                      "0\n1\n0\n",
                                      "0\n-1\n",
                                      "0\n1\n9999999999 0\n",
                                      "0\n1\n0 0 0\n"};
    struct epoch_cache cache;
    epoch_cache_init(&cache);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!epoch_cache_parse(&cache, slice_str(bad[i])), "%s", bad[i]);
        ck_assert_uint_eq(cache.count, 0);
    }
    epoch_cache_deinit(&cache);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("epoch_cache");
    TCase *tcase = tcase_create("core");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, l_epoch_agrees_with_the_list_of_offsets);
    tcase_add_test(tcase, the_file_is_kafkas);
    tcase_add_test(tcase, a_bad_file_is_refused);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
