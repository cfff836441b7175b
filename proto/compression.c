#include "proto/compression.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/reader.h"

#include <dlfcn.h>
#include <lz4frame.h>
#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define WINDOW          65536u /* output grows by this much at a time */
#define ZSTD_WINDOW_LOG 24     /* streaming keeps a window of 16 MiB at most; see zstd_at_once() */

static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
#define COUNT (sizeof names / sizeof names[0])

bool compression_is_known(enum compression type) { return (size_t)type < COUNT; }
const char *compression_name(enum compression type) { return compression_is_known(type) ? names[type] : "unknown"; }

enum err compression_parse(struct slice name, enum compression *out)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (!slice_equal_str(name, names[i])) continue;
        *out = (enum compression)i;
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

/* ---- bounded output ---------------------------------------------------------------------------------------------- */

/* Codecs write into windows of the output.  A window is one byte larger than what may still come, so that too much output
 * shows as such and not as a codec that waits for room. */
struct sink {
    struct writer *out;
    size_t left;
    size_t window; /* bytes reserved, of which sink_end keeps some */
};

static uint8_t *sink_begin(struct sink *s)
{
    s->window = min_size(s->left + 1, WINDOW);
    return writer_reserve(s->out, s->window);
}

static enum err sink_end(struct sink *s, size_t produced)
{
    ASSERT(produced <= s->window);
    s->out->buf->size -= s->window - produced;
    if (produced > s->left) return ERR_LIMIT;
    s->left -= produced;
    return ERR_OK;
}

/* ---- gzip -------------------------------------------------------------------------------------------------------- */

#define GZIP_WINDOW_BITS (15 + 16) /* zlib's way to say gzip */

/* One window of output.  *is_over when the last member has ended with the input. */
static enum err gunzip_window(z_stream *z, struct sink *s, bool *is_over)
{
    z->next_out = sink_begin(s);
    z->avail_out = (uInt)s->window;
    int status = inflate(z, Z_NO_FLUSH);
    enum err err = sink_end(s, s->window - z->avail_out);
    if (err) return err;
    if (status == Z_STREAM_END) {
        *is_over = z->avail_in == 0;
        return *is_over || inflateReset(z) == Z_OK ? ERR_OK : ERR_CORRUPT;
    }
    bool is_stuck = status == Z_BUF_ERROR || (z->avail_in == 0 && z->avail_out > 0);
    return status == Z_OK && !is_stuck ? ERR_OK : ERR_CORRUPT;
}

static enum err gunzip(struct slice in, struct sink *s)
{
    z_stream z = {.next_in = in.p, .avail_in = (uInt)in.n};
    if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK) return ERR_CORRUPT;
    enum err err = ERR_OK;
    for (bool is_over = false; !err && !is_over;) err = gunzip_window(&z, s, &is_over);
    inflateEnd(&z);
    return err;
}

static enum err gzip(struct slice in, int32_t level, struct writer *out)
{
    z_stream z = {.next_in = in.p, .avail_in = (uInt)in.n};
    int status = deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY);
    ASSERT(status == Z_OK);
    size_t bound = deflateBound(&z, (uLong)in.n);
    z.next_out = writer_reserve(out, bound);
    z.avail_out = (uInt)bound;
    status = deflate(&z, Z_FINISH);
    ASSERT(status == Z_STREAM_END);
    out->buf->size -= z.avail_out;
    deflateEnd(&z);
    return ERR_OK;
}

#define LZ4_LEVEL_DEFAULT 9 /* as Kafka counts */
#define LZ4_FAST          0 /* as the library does */
#define LZ4_THOROUGH_MIN  3
#define LZ4_THOROUGH_MAX  12

/* ---- lz4 --------------------------------------------------------------------------------------------------------- */

static enum err unlz4_frame(LZ4F_dctx *context, struct slice in, struct sink *s)
{
    LZ4F_frameInfo_t info;
    size_t consumed = in.n, want = LZ4F_getFrameInfo(context, &info, in.p, &consumed);
    if (LZ4F_isError(want) || info.dictID != 0) return ERR_CORRUPT;
    if (info.blockMode != LZ4F_blockIndependent) return ERR_CORRUPT; /* Kafka, and so every Java consumer, refuses these */
    for (size_t at = consumed; want != 0;) {
        uint8_t *window = sink_begin(s);
        size_t produced = s->window;
        consumed = in.n - at;
        want = LZ4F_decompress(context, window, &produced, in.p + at, &consumed, NULL);
        if (LZ4F_isError(want)) produced = 0;
        enum err err = sink_end(s, produced);
        if (err) return err;
        bool is_stuck = consumed == 0 && produced == 0;
        if (LZ4F_isError(want) || (want != 0 && is_stuck)) return ERR_CORRUPT;
        at += consumed;
        if (want == 0 && at != in.n) return ERR_CORRUPT;
    }
    return ERR_OK;
}

static enum err unlz4(struct slice in, struct sink *s)
{
    LZ4F_dctx *context = NULL;
    size_t status = LZ4F_createDecompressionContext(&context, LZ4F_VERSION);
    ASSERT(!LZ4F_isError(status));
    enum err err = unlz4_frame(context, in, s);
    LZ4F_freeDecompressionContext(context);
    return err;
}

static enum err lz4(struct slice in, int32_t level, struct writer *out)
{
    /* Independent blocks: Kafka's reader knows no others. */
    const LZ4F_preferences_t preferences = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level == LZ4_LEVEL_DEFAULT ? LZ4_FAST : min_i32(max_i32(level, LZ4_THOROUGH_MIN), LZ4_THOROUGH_MAX),
    };
    size_t bound = LZ4F_compressFrameBound(in.n, &preferences);
    size_t size = LZ4F_compressFrame(writer_reserve(out, bound), bound, in.p, in.n, &preferences);
    ASSERT(!LZ4F_isError(size));
    out->buf->size -= bound - size;
    return ERR_OK;
}

/* ---- zstd -------------------------------------------------------------------------------------------------------- */

/* A frame whose window is too large to keep aside can be decoded straight into its output, which then is the window: the
 * highest levels of compression write such frames.  Room is tried in doubling steps, because what a frame says about its
 * size is not to be trusted. */
static enum err zstd_at_once(ZSTD_DCtx *context, struct slice in, struct sink *s)
{
    for (size_t room = WINDOW;; room *= 2) {
        room = min_size(room, s->left);
        uint8_t *at = writer_reserve(s->out, room);
        size_t size = ZSTD_decompressDCtx(context, at, room, in.p, in.n);
        s->out->buf->size -= ZSTD_isError(size) ? room : room - size;
        if (!ZSTD_isError(size)) return ERR_OK;
        if (ZSTD_getErrorCode(size) != ZSTD_error_dstSize_tooSmall) return ERR_CORRUPT;
        if (room == s->left) return ERR_LIMIT;
    }
}

static enum err zstd_stream(ZSTD_DCtx *context, struct slice in, struct sink *s)
{
    ZSTD_inBuffer input = {in.p, in.n, 0};
    for (size_t want = 1; want != 0 || input.pos < input.size;) {
        ZSTD_outBuffer output = {sink_begin(s), s->window, 0};
        size_t before = input.pos;
        want = ZSTD_decompressStream(context, &output, &input);
        enum err err = sink_end(s, output.pos);
        if (err) return err;
        bool is_first = before == 0 && output.pos == 0;
        if (is_first && ZSTD_getErrorCode(want) == ZSTD_error_frameParameter_windowTooLarge) return ERR_AGAIN;
        bool is_stuck = input.pos == before && output.pos == 0;
        if (ZSTD_isError(want) || is_stuck) return ERR_CORRUPT;
    }
    return ERR_OK;
}

static enum err unzstd(struct slice in, struct sink *s)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ASSERT(context != NULL);
    size_t status = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
    ASSERT(!ZSTD_isError(status));
    enum err err = zstd_stream(context, in, s);
    if (err == ERR_AGAIN) err = zstd_at_once(context, in, s);
    ZSTD_freeDCtx(context);
    return err;
}

static enum err zstd(struct slice in, int32_t level, struct writer *out)
{
    size_t bound = ZSTD_compressBound(in.n);
    size_t size = ZSTD_compress(writer_reserve(out, bound), bound, in.p, in.n, level);
    ASSERT(!ZSTD_isError(size));
    out->buf->size -= bound - size;
    return ERR_OK;
}

/* ---- snappy ------------------------------------------------------------------------------------------------------ */

/* The functions of snappy-c.h; status 0 is success. */
struct snappy {
    int (*compress)(const char *in, size_t in_size, char *out, size_t *out_size);
    int (*uncompress)(const char *in, size_t in_size, char *out, size_t *out_size);
    int (*uncompressed_length)(const char *in, size_t in_size, size_t *size);
    size_t (*max_compressed_length)(size_t size);
};

/* The library stays in the process once it is loaded; looking it up again is cheap. */
static enum err snappy_load(struct snappy *snappy)
{
    void *library = dlopen("libsnappy.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) return ERR_NOT_FOUND;
    *(void **)&snappy->compress = dlsym(library, "snappy_compress");
    *(void **)&snappy->uncompress = dlsym(library, "snappy_uncompress");
    *(void **)&snappy->uncompressed_length = dlsym(library, "snappy_uncompressed_length");
    *(void **)&snappy->max_compressed_length = dlsym(library, "snappy_max_compressed_length");
    dlclose(library);
    bool is_whole = snappy->compress && snappy->uncompress && snappy->uncompressed_length && snappy->max_compressed_length;
    return is_whole ? ERR_OK : ERR_NOT_FOUND;
}

/* A block says how long it will be; no block expands more than 64 bytes out of 3, so a claim beyond that is a lie. */
#define SNAPPY_RATIO_MAX 22

static enum err unsnappy_block(const struct snappy *snappy, struct slice in, struct sink *s)
{
    size_t size = 0;
    const char *bytes = (const char *)in.p;
    if (snappy->uncompressed_length(bytes, in.n, &size) != 0) return ERR_CORRUPT;
    if (size > s->left) return ERR_LIMIT;
    if (size / SNAPPY_RATIO_MAX > in.n) return ERR_CORRUPT;
    char *at = (char *)writer_reserve(s->out, size);
    size_t produced = size;
    int status = snappy->uncompress(bytes, in.n, at, &produced);
    if (status != 0 || produced != size) {
        s->out->buf->size -= size;
        return ERR_CORRUPT;
    }
    s->left -= size;
    return ERR_OK;
}

/* Java's clients write xerial's framing: a magic, two versions, then blocks with an int32 size each. */
static enum err unsnappy(struct slice in, struct sink *s)
{
    static const uint8_t magic[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    struct snappy snappy = {0};
    enum err err = snappy_load(&snappy);
    if (err) return err;
    if (in.n < sizeof magic + 8 || memcmp(in.p, magic, sizeof magic) != 0) return unsnappy_block(&snappy, in, s);
    struct reader r = reader_make(slice_make(in.p + sizeof magic + 8, in.n - sizeof magic - 8));
    while (!err && !reader_done(&r)) {
        int32_t size = reader_i32(&r);
        if (size <= 0) return ERR_CORRUPT;
        struct slice block = reader_bytes(&r, (size_t)size);
        err = reader_ok(&r) ? unsnappy_block(&snappy, block, s) : ERR_CORRUPT;
    }
    return err;
}

static enum err snappy_compress(struct slice in, struct writer *out)
{
    struct snappy snappy = {0};
    enum err err = snappy_load(&snappy);
    if (err) return err;
    size_t bound = snappy.max_compressed_length(in.n), size = bound;
    int status = snappy.compress((const char *)in.p, in.n, (char *)writer_reserve(out, bound), &size);
    ASSERT(status == 0);
    out->buf->size -= bound - size;
    return ERR_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ */

enum err compression_decompress(enum compression type, struct slice in, size_t out_max, struct writer *out)
{
    ASSERT(in.n <= INT32_MAX);
    ASSERT(out_max < SIZE_MAX);
    struct sink s = {.out = out, .left = out_max};
    switch (type) {
    case COMPRESSION_NONE:
        if (in.n > out_max) return ERR_LIMIT;
        writer_bytes(out, in);
        return ERR_OK;
    case COMPRESSION_GZIP: return gunzip(in, &s);
    case COMPRESSION_SNAPPY: return unsnappy(in, &s);
    case COMPRESSION_LZ4: return unlz4(in, &s);
    case COMPRESSION_ZSTD: return unzstd(in, &s);
    }
    return ERR_INVALID;
}

int32_t compression_default_level(enum compression type)
{
    switch (type) {
    case COMPRESSION_GZIP: return Z_DEFAULT_COMPRESSION;
    case COMPRESSION_LZ4: return LZ4_LEVEL_DEFAULT;
    case COMPRESSION_ZSTD: return ZSTD_CLEVEL_DEFAULT;
    case COMPRESSION_NONE:
    case COMPRESSION_SNAPPY: break;
    }
    return 0;
}

enum err compression_compress(enum compression type, struct slice in, struct writer *out)
{
    return compression_compress_at(type, compression_default_level(type), in, out);
}

enum err compression_compress_at(enum compression type, int32_t level, struct slice in, struct writer *out)
{
    ASSERT(in.n <= INT32_MAX);
    switch (type) {
    case COMPRESSION_NONE: writer_bytes(out, in); return ERR_OK;
    case COMPRESSION_GZIP: return gzip(in, level, out);
    case COMPRESSION_SNAPPY: return snappy_compress(in, out);
    case COMPRESSION_LZ4: return lz4(in, level, out);
    case COMPRESSION_ZSTD: return zstd(in, level, out);
    }
    return ERR_INVALID;
}
