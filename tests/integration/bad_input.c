/* Says to a broker what no client would, and looks at how it takes it: each case on a connection of its own.
 *
 *   bad-input ADDRESS TOPIC [CASE]      TOPIC has a partition 0 that the broker leads; one CASE by name, or all
 *
 * TAP on stdout. */
#include "tests/integration/wire.h"

#include "common/prng.h"

#include <stdio.h>
#include <sys/socket.h>

enum { TIMEOUT_MS = 5000, BATCH_MAGIC_AT = 16, BATCH_COUNT_AT = 57 };

enum { CORRUPT_MESSAGE = 2, UNSUPPORTED_VERSION = 35, INVALID_RECORD = 87, NO_ANSWER = -1000 };

struct target {
    const char *address, *topic;
};

static const char *outcome_name(enum wire_outcome outcome)
{
    static const char *const names[] = {"an answer", "a closed connection", "silence"};
    return names[outcome];
}

static bool expect(enum wire_outcome wanted, enum wire_outcome got)
{
    if (wanted != got) (void)printf("# expected %s, got %s\n", outcome_name(wanted), outcome_name(got));
    return wanted == got;
}

/* Sends bytes as they are; with `half_close` nothing more will follow. */
static enum wire_outcome say(const struct target *t, struct slice bytes, bool half_close)
{
    struct wire w;
    struct buf *frame = NULL;
    if (!wire_open(&w, t->address, TIMEOUT_MS)) return WIRE_SILENT;
    enum wire_outcome outcome = WIRE_CLOSED;
    if (wire_send(&w, bytes)) {
        if (half_close) (void)shutdown(w.fd, SHUT_WR);
        outcome = wire_receive(&w, &frame);
    }
    buf_unref(frame);
    wire_close(&w);
    return outcome;
}

static bool closes(const struct target *t, struct slice bytes) { return expect(WIRE_CLOSED, say(t, bytes, false)); }

static bool http_request(const struct target *t)
{
    return closes(t, SLICE_LITERAL("GET /topics HTTP/1.1\r\nHost: localhost:9092\r\nAccept: */*\r\n\r\n"));
}

static bool tls_hello(const struct target *t)
{
    static const uint8_t hello[] = {0x16, 0x03, 0x01, 0x00, 0x2f, 0x01, 0x00, 0x00, 0x2b, 0x03, 0x03, 0x5a, 0x5a};
    return closes(t, slice_make(hello, sizeof hello));
}

static bool frame_length(const struct target *t, uint32_t length)
{
    uint8_t bytes[64] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
    return closes(t, slice_make(bytes, sizeof bytes));
}
static bool two_gigabytes(const struct target *t) { return frame_length(t, 0x7fffffff); }
static bool negative_length(const struct target *t) { return frame_length(t, 0xffffffff); }
static bool empty_frame(const struct target *t) { return frame_length(t, 0); }
static bool frame_shorter_than_its_header(const struct target *t) { return frame_length(t, 5); }

/* The first bit is set: as a length it is negative, so it cannot pass for the start of something long. */
static bool random_bytes(const struct target *t)
{
    struct prng random;
    uint8_t bytes[1024];
    prng_init(&random, 20240229);
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)prng_next(&random);
        bytes[0] |= 0x80;
        if (!closes(t, slice_make(bytes, sizeof bytes))) return false;
    }
    return true;
}

/* Random bytes behind a right length and a served API key. */
static bool random_bodies(const struct target *t)
{
    static const uint8_t keys[] = {WIRE_PRODUCE, 1, WIRE_LIST_OFFSETS, WIRE_METADATA, 19, 22, 32};
    struct prng random;
    uint8_t bytes[260] = {0, 0, 1, 0};
    prng_init(&random, 7);
    for (int round = 0; round < 100; round++) {
        for (size_t i = 4; i < sizeof bytes; i++) bytes[i] = (uint8_t)prng_next(&random);
        bytes[4] = 0;
        bytes[5] = keys[(size_t)round % sizeof keys];
        bytes[6] = 0;
        bytes[7] = 4;
        if (say(t, slice_make(bytes, sizeof bytes), true) == WIRE_SILENT) return expect(WIRE_CLOSED, WIRE_SILENT);
    }
    return true;
}

static bool truncated_frames(const struct target *t)
{
    static const uint8_t request[] = {0, 0, 0, 21, 0, WIRE_METADATA, 0, 1, 0, 0, 0, 1, 0, 3, 'b', 'a', 'd', 0, 0, 0, 1, 0, 1, 't', 0};
    for (size_t n = 1; n < sizeof request; n++)
        if (!expect(WIRE_CLOSED, say(t, slice_make(request, n), true))) return false;
    return true;
}

/* A request whose array promises more than the frame can hold. */
static bool count_beyond_the_frame(const struct target *t)
{
    struct wire w;
    struct buf *frame = NULL;
    if (!wire_open(&w, t->address, TIMEOUT_MS)) return false;
    enum wire_outcome outcome = WIRE_CLOSED;
    if (wire_send_request(&w, WIRE_METADATA, 1, false, SLICE_LITERAL("\x7f\xff\xff\xff"))) outcome = wire_receive(&w, &frame);
    buf_unref(frame);
    wire_close(&w);
    return expect(WIRE_CLOSED, outcome);
}

static bool request_closes(const struct target *t, int16_t key, int16_t version)
{
    struct wire w;
    struct buf *frame = NULL;
    if (!wire_open(&w, t->address, TIMEOUT_MS)) return false;
    enum wire_outcome outcome = WIRE_CLOSED;
    if (wire_send_request(&w, key, version, false, SLICE_LITERAL(""))) outcome = wire_receive(&w, &frame);
    buf_unref(frame);
    wire_close(&w);
    return expect(WIRE_CLOSED, outcome);
}
static bool unknown_api(const struct target *t) { return request_closes(t, 9999, 0); }
static bool metadata_from_the_future(const struct target *t) { return request_closes(t, WIRE_METADATA, 999); }

/* A client newer than the broker learns what the broker speaks: an answer at version 0. */
static bool api_versions_from_the_future(const struct target *t)
{
    struct wire w;
    struct reader r;
    if (!wire_open(&w, t->address, TIMEOUT_MS)) return false;
    struct buf *frame = wire_call(&w, WIRE_API_VERSIONS, 999, true, SLICE_LITERAL(""), &r);
    wire_close(&w);
    int error = frame ? reader_i16(&r) : NO_ANSWER;
    bool lists = frame && reader_i32(&r) > 0;
    buf_unref(frame);
    if (error != UNSUPPORTED_VERSION || !lists) (void)printf("# error %d, versions listed: %d\n", error, lists);
    return error == UNSUPPORTED_VERSION && lists;
}

/* ---- record batches ---- */

/* Not sealed. */
static void write_batch(struct writer *w)
{
    size_t start = wire_begin_batch(w, 1);
    writer_varint32(w, 9); /* one record of 9 bytes: null key, value "bad" */
    writer_i8(w, 0);
    writer_varint64(w, 0);
    writer_varint32(w, 0);
    writer_varint32(w, -1);
    writer_varint32(w, 3);
    writer_bytes(w, SLICE_LITERAL("bad"));
    writer_varint32(w, 0);
    wire_end_batch(w, start);
}

/* Produces the records as they are, acks=all; the partition's error, or NO_ANSWER when the connection closes. */
static int produce(const struct target *t, struct slice records)
{
    struct wire w;
    struct reader r;
    struct writer body;
    if (!wire_open(&w, t->address, TIMEOUT_MS)) return NO_ANSWER;
    writer_init(&body, 256);
    wire_put_string(&body, NULL); /* transactional id */
    writer_i16(&body, -1);
    writer_i32(&body, TIMEOUT_MS);
    writer_i32(&body, 1);
    wire_put_string(&body, t->topic);
    writer_i32(&body, 1);
    writer_i32(&body, 0);
    writer_i32(&body, (int32_t)records.n);
    writer_bytes(&body, records);
    struct buf *frame = wire_call(&w, WIRE_PRODUCE, 3, false, writer_slice(&body), &r);
    writer_deinit(&body);
    wire_close(&w);
    if (!frame) return NO_ANSWER;
    (void)reader_i32(&r);
    (void)wire_get_string(&r);
    (void)reader_i32(&r);
    (void)reader_i32(&r);
    int error = reader_i16(&r);
    bool whole = reader_ok(&r);
    buf_unref(frame);
    return whole ? error : NO_ANSWER;
}

static bool expect_error(int wanted, int got)
{
    if (got != wanted) (void)printf("# expected error %d, got %d\n", wanted, got);
    return got == wanted;
}

static bool good_batch(const struct target *t)
{
    struct writer w;
    writer_init(&w, 128);
    write_batch(&w);
    wire_seal_batch(&w, 0);
    int error = produce(t, writer_slice(&w));
    writer_deinit(&w);
    return expect_error(0, error);
}

/* One byte of a sound batch is changed, after or before the CRC is taken. */
static int produce_changed(const struct target *t, size_t at, uint8_t value, bool seal_after)
{
    struct writer w;
    writer_init(&w, 128);
    write_batch(&w);
    if (!seal_after) wire_seal_batch(&w, 0);
    w.buf->data[at] = value;
    if (seal_after) wire_seal_batch(&w, 0);
    int error = produce(t, writer_slice(&w));
    writer_deinit(&w);
    return error;
}
/* Kafka's own answers: a client tries again after CORRUPT_MESSAGE and gives up after INVALID_RECORD. */
static bool wrong_crc(const struct target *t) { return expect_error(CORRUPT_MESSAGE, produce_changed(t, WIRE_BATCH_CRC_AT, 0x55, false)); }
static bool magic_of_the_future(const struct target *t)
{
    return expect_error(CORRUPT_MESSAGE, produce_changed(t, BATCH_MAGIC_AT, 3, true));
}
static bool magic_of_the_past(const struct target *t) { return expect_error(INVALID_RECORD, produce_changed(t, BATCH_MAGIC_AT, 1, true)); }
static bool count_beyond_the_batch(const struct target *t)
{
    return expect_error(INVALID_RECORD, produce_changed(t, BATCH_COUNT_AT, 0x7f, true));
}
static bool length_beyond_the_records(const struct target *t)
{
    return expect_error(INVALID_RECORD, produce_changed(t, WIRE_BATCH_LENGTH_AT, 0x7f, true));
}
static bool record_beyond_the_batch(const struct target *t)
{
    return expect_error(INVALID_RECORD, produce_changed(t, BATCH_COUNT_AT + 4, 0x7e, true));
}

static bool cut_batch(const struct target *t)
{
    struct writer w;
    writer_init(&w, 128);
    write_batch(&w);
    wire_seal_batch(&w, 0);
    struct slice all = writer_slice(&w);
    int error = produce(t, slice_make(all.p, all.n - 5));
    writer_deinit(&w);
    return expect_error(INVALID_RECORD, error);
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    bool (*run)(const struct target *t);
} CASES[] = {
    {"http-request", http_request},
    {"tls-hello", tls_hello},
    {"two-gigabytes", two_gigabytes},
    {"negative-length", negative_length},
    {"empty-frame", empty_frame},
    {"frame-shorter-than-its-header", frame_shorter_than_its_header},
    {"random-bytes", random_bytes},
    {"random-bodies", random_bodies},
    {"truncated-frames", truncated_frames},
    {"count-beyond-the-frame", count_beyond_the_frame},
    {"unknown-api", unknown_api},
    {"metadata-from-the-future", metadata_from_the_future},
    {"api-versions-from-the-future", api_versions_from_the_future},
    {"good-batch", good_batch},
    {"wrong-crc", wrong_crc},
    {"magic-of-the-future", magic_of_the_future},
    {"magic-of-the-past", magic_of_the_past},
    {"count-beyond-the-batch", count_beyond_the_batch},
    {"length-beyond-the-records", length_beyond_the_records},
    {"record-beyond-the-batch", record_beyond_the_batch},
    {"cut-batch", cut_batch},
};

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc < 3 || argc > 4) {
        (void)fprintf(stderr, "usage: bad-input ADDRESS TOPIC [CASE]\n");
        return 2;
    }
    struct target target = {.address = argv[1], .topic = argv[2]};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        if (argc == 4 && strcmp(argv[3], CASES[i].name) != 0) continue;
        bool good = CASES[i].run(&target);
        (void)printf("%s - bad_input: %s\n", good ? "ok" : "not ok", CASES[i].name);
        if (!good) failed++;
    }
    return failed ? 1 : 0;
}
