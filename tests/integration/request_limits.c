/* Every string, array and bytes of every request that a broker serves, one after the other as large as the frame allows.
 *
 *   request-limits ADDRESS PID FRAME-BYTES [API]      PID: the broker's; a topic `limits` exists
 *
 * Each request gets an answer that can be read, or costs its connection, within the time limit, and the broker's memory stays within a
 * multiple of the frame. TAP on stdout, one line for each API, with the numbers. */
#include "tests/integration/wire.h"
#include "tests/unit/extreme_request.h"

#include "common/str.h"
#include "proto/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TIMEOUT_MS = 60000, CONNECT_MS = 5000 };
/* Of the frame: decoded structs have 16, answers about as much, and both are copied once. Few answers are larger than what asked for them;
 * those have a bound of their own. */
#define MEMORY_FACTOR    40
#define MEMORY_BYTES_MIN (ANSWER_BYTES_MAX + (32u << 20))

struct target {
    const char *address, *pid;
    size_t frame_bytes;
};
struct tally {
    int answered, closed, silent, unreadable;
    int64_t slowest_ms, grown_kb;
    char worst[64]; /* took most memory */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* "VmRSS:" or "VmHWM:" */
static int64_t memory_kb(const struct target *t, const char *what)
{
    char path[64], line[128];
    int64_t kb = 0;
    (void)snprintf(path, sizeof path, "/proc/%s/status", t->pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, what, strlen(what)) == 0) kb = strtoll(line + strlen(what), NULL, 10);
    if (file) (void)fclose(file);
    return kb;
}

static void forget_peak(const struct target *t)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%s/clear_refs", t->pid);
    FILE *file = fopen(path, "w");
    if (!file) return;
    (void)fputs("5", file);
    (void)fclose(file);
}

static bool is_readable(int16_t key, int16_t version, struct reader *r)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    void *response = arena_alloc(&arena, codec_struct_size(api_response(key)));
    enum err err = codec_decode_exact(api_response(key), version, slice_make(r->p, r->left), &arena, response);
    arena_deinit(&arena);
    return err == ERR_OK;
}

static void send_and_judge(const struct target *t, int16_t key, const struct extreme *x, struct slice body, struct tally *tally)
{
    struct wire w;
    struct buf *frame = NULL;
    if (!wire_open(&w, t->address, CONNECT_MS)) {
        tally->silent++;
        return;
    }
    w.timeout_ms = TIMEOUT_MS;
    enum wire_outcome outcome = WIRE_CLOSED;
    if (wire_send_request(&w, key, x->version, api_request_header_version(key, x->version) == 2, body)) outcome = wire_receive(&w, &frame);
    tally->answered += outcome == WIRE_ANSWERED;
    tally->closed += outcome == WIRE_CLOSED;
    tally->silent += outcome == WIRE_SILENT;
    if (outcome == WIRE_ANSWERED) {
        struct reader r = reader_make(buf_slice(frame));
        (void)reader_i32(&r);
        if (api_response_header_version(key, x->version) > 0) wire_skip_tags(&r);
        tally->unreadable += !is_readable(key, x->version, &r);
    }
    buf_unref(frame);
    wire_close(&w);
}

static void ask(const struct target *t, int16_t key, const struct extreme *x, struct slice body, struct tally *tally)
{
    forget_peak(t);
    int64_t before_kb = memory_kb(t, "VmRSS:"), started_ms = now_ms();
    send_and_judge(t, key, x, body, tally);
    int64_t took_ms = now_ms() - started_ms, grown_kb = memory_kb(t, "VmHWM:") - before_kb;
    if (took_ms > tally->slowest_ms) tally->slowest_ms = took_ms;
    if (grown_kb <= tally->grown_kb) return;
    tally->grown_kb = grown_kb;
    (void)snprintf(tally->worst, sizeof tally->worst, "%.40s v%d shape %d", x->field, x->version, x->shape);
}

static void ask_all(const struct target *t, int16_t key, int16_t version, struct tally *tally)
{
    for (enum extreme_shape shape = 0; shape < EXTREME_SHAPE_COUNT; shape++) {
        struct extreme x = {.kmsg = api_request(key), .version = version, .shape = shape, .frame_bytes = t->frame_bytes};
        for (bool more = true; more; x.target++) {
            struct writer w;
            writer_init(&w, t->frame_bytes);
            more = extreme_build(&x, &w);
            if (more) ask(t, key, &x, writer_slice(&w), tally);
            writer_deinit(&w);
        }
    }
}

static bool judge(const struct target *t, int16_t key, const struct tally *tally)
{
    int64_t limit_kb = (int64_t)(max_size(t->frame_bytes * MEMORY_FACTOR, MEMORY_BYTES_MIN) >> 10);
    bool good = tally->silent == 0 && tally->unreadable == 0 && tally->grown_kb <= limit_kb;
    (void)printf("%s - request_limits: %s (%d answered, %d closed, %d silent, %d unreadable; %lld ms, %lld KB at most: %s)\n",
                 good ? "ok" : "not ok", api_name(key), tally->answered, tally->closed, tally->silent, tally->unreadable,
                 (long long)tally->slowest_ms, (long long)tally->grown_kb, tally->worst);
    (void)fflush(stdout);
    return good;
}

/* The least and the greatest version: between them, fields come and go but do not change their kind. */
static bool try_api(const struct target *t, int16_t key, int16_t least, int16_t greatest)
{
    struct tally tally = {0};
    ask_all(t, key, least, &tally);
    if (greatest != least) ask_all(t, key, greatest, &tally);
    return judge(t, key, &tally);
}

/* What the broker says it serves. */
static int try_all(const struct target *t, const char *only)
{
    struct wire w;
    struct reader r;
    int failed = 0;
    struct buf *frame = wire_open(&w, t->address, CONNECT_MS) ? wire_call(&w, WIRE_API_VERSIONS, 0, false, SLICE_LITERAL(""), &r) : NULL;
    wire_close(&w);
    if (!frame) return 1;
    (void)reader_i16(&r);
    for (int32_t n = reader_i32(&r); n > 0 && reader_ok(&r); n--) {
        int16_t key = reader_i16(&r), least = reader_i16(&r), greatest = reader_i16(&r);
        if (key == WIRE_PRODUCE && least < 3) least = 3; /* advertised for old clients, not served (KAFKA-18659) */
        if (!only || strcmp(only, api_name(key)) == 0) failed += !try_api(t, key, least, greatest);
    }
    buf_unref(frame);
    return failed;
}

int main(int argc, char **argv)
{
    int64_t frame_bytes = 0;
    if (argc < 4 || argc > 5 || !str_parse_i64(slice_str(argv[3]), &frame_bytes) || frame_bytes < 65536) {
        (void)fprintf(stderr, "usage: request-limits ADDRESS PID FRAME-BYTES [API]\n");
        return 2;
    }
    struct target target = {.address = argv[1], .pid = argv[2], .frame_bytes = (size_t)frame_bytes};
    return try_all(&target, argc == 5 ? argv[4] : NULL) ? 1 : 0;
}
