/* Codecs: round trips, bounded output, damage. */
#include "common/prng.h"
#include "proto/compression.h"

#include <check.h>
#include <zlib.h>
#include <zstd.h>

static const enum compression codecs[] = {COMPRESSION_GZIP, COMPRESSION_SNAPPY, COMPRESSION_LZ4, COMPRESSION_ZSTD};
#define CODECS (int)(sizeof codecs / sizeof codecs[0])

/* Half repeats, half noise. */
static struct buf *sample(size_t n, uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct buf *buf = buf_create(n);
    for (size_t i = 0; i < n; i++) buf->data[i] = (uint8_t)(i / 4096 % 2 ? prng_next(&prng) : i / 64);
    buf->size = n;
    return buf;
}

static struct buf *compressed(enum compression codec, struct slice in)
{
    struct writer w;
    writer_init(&w, 0);
    ck_assert(compression_compress(codec, in, &w) == ERR_OK);
    return writer_take(&w);
}

static enum err decompressed(enum compression codec, struct slice in, size_t out_max, struct buf **out)
{
    struct writer w;
    writer_init(&w, 0);
    enum err err = compression_decompress(codec, in, out_max, &w);
    *out = writer_take(&w);
    return err;
}

START_TEST(names_parse_back)
{
    for (int i = COMPRESSION_NONE; i <= COMPRESSION_ZSTD; i++) {
        enum compression parsed;
        ck_assert(compression_parse(slice_str(compression_name((enum compression)i)), &parsed) == ERR_OK);
        ck_assert_int_eq(parsed, i);
    }
    ck_assert(!compression_is_known((enum compression)5));
    ck_assert(compression_parse(SLICE_LITERAL("brotli"), &(enum compression){0}) == ERR_NOT_FOUND);
}
END_TEST

START_TEST(round_trips_up_to_the_cap)
{
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf *plain = sample(sizes[i], i), *packed = compressed(codecs[_i], buf_slice(plain)), *out;
        ck_assert(decompressed(codecs[_i], buf_slice(packed), sizes[i], &out) == ERR_OK);
        ck_assert(slice_equal(buf_slice(plain), buf_slice(out)));
        buf_unref(out);
        if (sizes[i]) {
            ck_assert(decompressed(codecs[_i], buf_slice(packed), sizes[i] - 1, &out) == ERR_LIMIT);
            ck_assert_uint_le(out->size, sizes[i]);
            buf_unref(out);
        }
        buf_unref(plain);
        buf_unref(packed);
    }
}
END_TEST

START_TEST(bombs_stop_at_the_cap)
{
    struct buf *zeros = buf_create(64 << 20), *out;
    zeros->size = zeros->capacity;
    memset(zeros->data, 0, zeros->size);
    struct buf *packed = compressed(codecs[_i], buf_slice(zeros));
    buf_unref(zeros);
    ck_assert(decompressed(codecs[_i], buf_slice(packed), 1 << 20, &out) == ERR_LIMIT);
    ck_assert_uint_le(out->capacity, 4 << 20);
    buf_unref(out);
    buf_unref(packed);
}
END_TEST

START_TEST(every_cut_fails)
{
    struct buf *plain = sample(5000, 1), *packed = compressed(codecs[_i], buf_slice(plain)), *out;
    for (size_t n = 0; n < packed->size; n++) {
        ck_assert_msg(decompressed(codecs[_i], slice_make(packed->data, n), 1 << 20, &out) != ERR_OK, "%zu of %zu bytes", n, packed->size);
        buf_unref(out);
    }
    buf_unref(plain);
    buf_unref(packed);
}
END_TEST

/* Damage may go unnoticed where a codec has no checksum, but never does harm. */
START_TEST(damage_is_harmless)
{
    struct buf *plain = sample(3000, 2), *packed = compressed(codecs[_i], buf_slice(plain)), *out;
    struct prng prng;
    prng_init(&prng, 3);
    for (int i = 0; i < 3000; i++) {
        struct buf *bad = buf_copy(buf_slice(packed));
        for (int j = 0; j < 3; j++) bad->data[prng_below(&prng, bad->size)] = (uint8_t)prng_next(&prng);
        (void)!decompressed(codecs[_i], buf_slice(bad), 1 << 16, &out);
        ck_assert_uint_le(out->size, (1 << 16) + 1);
        buf_unref(out);
        buf_unref(bad);
    }
    buf_unref(plain);
    buf_unref(packed);
}
END_TEST

START_TEST(snappy_reads_xerial_framing)
{
    struct buf *plain = sample(100000, 4), *out;
    struct writer w;
    writer_init(&w, 0);
    writer_bytes(&w, SLICE_LITERAL("\x82SNAPPY\0\0\0\0\1\0\0\0\1"));
    for (size_t at = 0; at < plain->size; at += 32768) {
        size_t n = plain->size - at < 32768 ? plain->size - at : 32768;
        struct buf *block = compressed(COMPRESSION_SNAPPY, slice_make(plain->data + at, n));
        writer_i32(&w, (int32_t)block->size);
        writer_bytes(&w, buf_slice(block));
        buf_unref(block);
    }
    ck_assert(decompressed(COMPRESSION_SNAPPY, writer_slice(&w), plain->size, &out) == ERR_OK);
    ck_assert(slice_equal(buf_slice(plain), buf_slice(out)));
    buf_unref(out);
    /* CVE-2023-34455, CVE-2023-43642: chunk lengths that are negative or huge. */
    static const int32_t lengths[] = {-1, 0, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 4; i++) {
        writer_patch_i32(&w, 16, lengths[i]);
        ck_assert(decompressed(COMPRESSION_SNAPPY, writer_slice(&w), 1 << 20, &out) == ERR_CORRUPT);
        buf_unref(out);
    }
    /* A preamble that claims 4 GiB less one. */
    ck_assert(decompressed(COMPRESSION_SNAPPY, SLICE_LITERAL("\xff\xff\xff\xff\x0f\0"), SIZE_MAX - 1, &out) == ERR_CORRUPT);
    buf_unref(out);
    writer_deinit(&w);
    buf_unref(plain);
}
END_TEST

START_TEST(gzip_reads_several_members)
{
    struct buf *a = compressed(COMPRESSION_GZIP, SLICE_LITERAL("one ")), *b = compressed(COMPRESSION_GZIP, SLICE_LITERAL("two")), *out;
    struct writer w;
    writer_init(&w, 0);
    writer_bytes(&w, buf_slice(a));
    writer_bytes(&w, buf_slice(b));
    ck_assert(decompressed(COMPRESSION_GZIP, writer_slice(&w), 100, &out) == ERR_OK);
    ck_assert(slice_equal_str(buf_slice(out), "one two"));
    buf_unref(out);
    buf_unref(a);
    buf_unref(b);
    writer_deinit(&w);
}
END_TEST

/* Apache Kafka takes no LZ4 frame whose blocks depend on each other, so no Java consumer could read what we had taken. */
START_TEST(lz4_refuses_blocks_that_depend_on_each_other)
{
    static const char block[] = "\5\0\0\x80hello\0\0\0\0"; /* five bytes as they are, and the end mark */
    const struct {
        struct slice header;
        enum err expected;
    } frames[] = {{SLICE_LITERAL("\x04\x22\x4d\x18\x60\x40\x82"), ERR_OK}, {SLICE_LITERAL("\x04\x22\x4d\x18\x40\x40\xc0"), ERR_CORRUPT}};
    for (int i = 0; i < 2; i++) {
        struct buf *out;
        struct writer w;
        writer_init(&w, 0);
        writer_bytes(&w, frames[i].header);
        writer_bytes(&w, slice_make(block, sizeof block - 1));
        ck_assert_int_eq(decompressed(COMPRESSION_LZ4, writer_slice(&w), 100, &out), frames[i].expected);
        ck_assert(slice_equal_str(buf_slice(out), frames[i].expected == ERR_OK ? "hello" : ""));
        buf_unref(out);
        writer_deinit(&w);
    }
}
END_TEST

/* Level 22 without a known size writes a window of 128 MiB; the data itself may be small. */
START_TEST(zstd_reads_frames_with_a_huge_window_without_allocating_it)
{
    struct buf *plain = sample(300000, 5), *packed = buf_create(ZSTD_compressBound(plain->size)), *out;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
    ZSTD_outBuffer output = {packed->data, packed->capacity, 0};
    ZSTD_inBuffer half = {plain->data, 1000, 0}, rest = {plain->data + 1000, plain->size - 1000, 0};
    ZSTD_compressStream2(context, &output, &half, ZSTD_e_flush);
    ck_assert_uint_eq(ZSTD_compressStream2(context, &output, &rest, ZSTD_e_end), 0);
    ZSTD_freeCCtx(context);
    packed->size = output.pos;
    ck_assert(decompressed(COMPRESSION_ZSTD, buf_slice(packed), 1 << 20, &out) == ERR_OK);
    ck_assert(slice_equal(buf_slice(plain), buf_slice(out)));
    buf_unref(out);
    ck_assert(decompressed(COMPRESSION_ZSTD, buf_slice(packed), plain->size - 1, &out) == ERR_LIMIT);
    buf_unref(out);
    buf_unref(packed);
    buf_unref(plain);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("compression");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, names_parse_back);
    tcase_add_loop_test(tcase, round_trips_up_to_the_cap, 0, CODECS);
    tcase_add_loop_test(tcase, bombs_stop_at_the_cap, 0, CODECS);
    tcase_add_loop_test(tcase, every_cut_fails, 0, CODECS);
    tcase_add_loop_test(tcase, damage_is_harmless, 0, CODECS);
    tcase_add_test(tcase, snappy_reads_xerial_framing);
    tcase_add_test(tcase, gzip_reads_several_members);
    tcase_add_test(tcase, lz4_refuses_blocks_that_depend_on_each_other);
    tcase_add_test(tcase, zstd_reads_frames_with_a_huge_window_without_allocating_it);
    Suite *suite = suite_create("compression");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
