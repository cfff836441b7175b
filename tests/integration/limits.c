/* What limits do to a client, with requests of its own:
 *
 *   limits ADDRESS broker KEY=VALUE...                   dynamic settings of all brokers; no VALUE removes
 *   limits ADDRESS quota user|client-id|ip NAME KEY=VALUE    no NAME ("") is the default; no VALUE removes
 *   limits ADDRESS connect COUNT                         connects, asks, and hangs up, one after the other
 *   limits ADDRESS ask COUNT                             on one connection: Metadata of all topics; also prints of how many answers
 *                                                        a throttle was told, their sum, and the longest
 *   limits ADDRESS create VERSION TOPIC PARTITIONS       "error=CODE throttle_ms=N"
 *
 * Status 0 on success; connect and ask print how many were answered, and how many milliseconds that took. */
#include "tests/integration/wire.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CREATE_TOPICS = 19, ALTER_CONFIGS = 44, ALTER_CLIENT_QUOTAS = 49 };
enum { CREATE_TOPICS_FLEXIBLE = 5, METADATA_VERSION = 3, BROKER = 4, SET = 0, DELETE = 1, TIMEOUT_MS = 30000 };

static const char *address;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* NULL, and a line on stderr, without an answer. */
static struct buf *call(int16_t key, int16_t version, bool flexible, struct writer *body, struct reader *answer)
{
    struct wire wire;
    struct buf *frame = NULL;
    if (wire_open(&wire, address, TIMEOUT_MS)) {
        frame = wire_call(&wire, key, version, flexible, writer_slice(body), answer);
        wire_close(&wire);
    }
    writer_deinit(body);
    if (!frame) (void)fprintf(stderr, "%s gives no answer\n", address);
    return frame;
}

static int explain(int16_t error, struct slice message)
{
    if (error == 0) return 0;
    (void)fprintf(stderr, "error %d: %.*s\n", error, SLICE_ARG(message));
    return 1;
}

/* ---- what is set --------------------------------------------------------------------------------------------------- */

static void put_slice(struct writer *w, struct slice text)
{
    writer_i16(w, (int16_t)text.n);
    writer_bytes(w, text);
}

static int set_broker(int count, char **assignments)
{
    struct writer w;
    struct reader answer;
    writer_init(&w, 256);
    writer_i32(&w, 1);
    writer_i8(&w, BROKER);
    wire_put_string(&w, "");
    writer_i32(&w, count);
    for (int i = 0; i < count; i++) {
        struct slice value = slice_str(assignments[i]), key;
        ASSERT(str_split(&value, '=', &key));
        put_slice(&w, key);
        writer_i8(&w, value.n ? SET : DELETE);
        put_slice(&w, value);
    }
    writer_i8(&w, 0); /* not only validated */
    struct buf *frame = call(ALTER_CONFIGS, 0, false, &w, &answer);
    if (!frame) return 1;
    (void)reader_i32(&answer); /* throttle time */
    (void)reader_i32(&answer); /* one resource */
    int16_t error = reader_i16(&answer);
    int status = explain(error, wire_get_string(&answer));
    buf_unref(frame);
    return status;
}

static int set_quota(const char *type, const char *name, const char *assignment)
{
    struct slice value = slice_str(assignment), key;
    struct writer w;
    struct reader answer;
    ASSERT(str_split(&value, '=', &key));
    double rate = value.n ? strtod((const char *)value.p, NULL) : 0;
    uint64_t bits = 0;
    memcpy(&bits, &rate, sizeof bits);
    writer_init(&w, 256);
    writer_i32(&w, 1);
    writer_i32(&w, 1);
    wire_put_string(&w, type);
    wire_put_string(&w, *name ? name : NULL);
    writer_i32(&w, 1);
    put_slice(&w, key);
    writer_i64(&w, (int64_t)bits);
    writer_i8(&w, value.n == 0);
    writer_i8(&w, 0); /* not only validated */
    struct buf *frame = call(ALTER_CLIENT_QUOTAS, 0, false, &w, &answer);
    if (!frame) return 1;
    (void)reader_i32(&answer); /* throttle time */
    (void)reader_i32(&answer); /* one entry */
    int16_t error = reader_i16(&answer);
    int status = explain(error, wire_get_string(&answer));
    buf_unref(frame);
    return status;
}

/* ---- what it does -------------------------------------------------------------------------------------------------- */

static bool ask(struct wire *wire, int16_t key, int16_t version, struct slice body)
{
    struct reader answer;
    struct buf *frame = wire_call(wire, key, version, false, body, &answer);
    buf_unref(frame);
    return frame != NULL;
}

static int report(int64_t answered, int64_t asked, int64_t began_ms)
{
    (void)printf("answered=%lld refused=%lld ms=%lld\n", (long long)answered, (long long)(asked - answered),
                 (long long)(now_ms() - began_ms));
    return 0;
}

static int connect_often(int64_t count)
{
    int64_t answered = 0, began_ms = now_ms();
    for (int64_t i = 0; i < count; i++) {
        struct wire wire;
        if (!wire_open(&wire, address, TIMEOUT_MS)) continue;
        answered += ask(&wire, WIRE_API_VERSIONS, 0, SLICE_LITERAL(""));
        wire_close(&wire);
    }
    return report(answered, count, began_ms);
}

static int ask_often(int64_t count)
{
    struct wire wire;
    int64_t answered = 0, throttled = 0, told_ms = 0, most_ms = 0, began_ms = now_ms();
    if (!wire_open(&wire, address, TIMEOUT_MS)) return 1;
    for (int64_t i = 0; i < count; i++) {
        struct reader answer;
        struct buf *frame = wire_call(&wire, WIRE_METADATA, METADATA_VERSION, false, SLICE_LITERAL("\xff\xff\xff\xff"), &answer);
        if (!frame) break;
        int64_t throttle_ms = reader_i32(&answer);
        answered++;
        throttled += throttle_ms > 0;
        told_ms += throttle_ms;
        most_ms = max_i64(most_ms, throttle_ms);
        buf_unref(frame);
    }
    wire_close(&wire);
    (void)printf("throttled=%lld told_ms=%lld most_ms=%lld ", (long long)throttled, (long long)told_ms, (long long)most_ms);
    return report(answered, count, began_ms);
}

static void put_topic(struct writer *w, int16_t version, const char *topic, int32_t partitions)
{
    bool flexible = version >= CREATE_TOPICS_FLEXIBLE;
    if (flexible) {
        writer_uvarint(w, 2);
        wire_put_compact_string(w, topic);
    } else {
        writer_i32(w, 1);
        wire_put_string(w, topic);
    }
    writer_i32(w, partitions);
    writer_i16(w, 1); /* replicas */
    if (flexible) {
        writer_bytes(w, SLICE_LITERAL("\1\1\0"));
    } else {
        writer_i32(w, 0); /* assignments */
        writer_i32(w, 0); /* configs */
    }
    writer_i32(w, TIMEOUT_MS);
    writer_i8(w, 0); /* not only validated */
    if (flexible) writer_u8(w, 0);
}

static int create(int16_t version, const char *topic, int32_t partitions)
{
    bool flexible = version >= CREATE_TOPICS_FLEXIBLE;
    struct writer w;
    struct reader answer;
    writer_init(&w, 256);
    put_topic(&w, version, topic, partitions);
    struct buf *frame = call(CREATE_TOPICS, version, flexible, &w, &answer);
    if (!frame) return 1;
    int32_t throttle_ms = reader_i32(&answer);
    if (flexible) {
        (void)wire_get_compact_count(&answer);
        (void)wire_get_compact_string(&answer);
        if (version >= 7) (void)reader_bytes(&answer, 16); /* its id */
    } else {
        (void)reader_i32(&answer);
        (void)wire_get_string(&answer);
    }
    int16_t error = reader_i16(&answer);
    buf_unref(frame);
    (void)printf("error=%d throttle_ms=%d\n", error, throttle_ms);
    return 0;
}

static int64_t number(const char *text)
{
    int64_t value = 0;
    ASSERT(str_parse_i64(slice_str(text), &value));
    return value;
}

int main(int argc, char **argv)
{
    const char *command = argc > 2 ? argv[2] : "";
    char **arguments = argv + 3;
    int count = argc - 3;
    address = argc > 1 ? argv[1] : "";
    if (strcmp(command, "broker") == 0 && count > 0) return set_broker(count, arguments);
    if (strcmp(command, "quota") == 0 && count == 3) return set_quota(arguments[0], arguments[1], arguments[2]);
    if (strcmp(command, "connect") == 0 && count == 1) return connect_often(number(arguments[0]));
    if (strcmp(command, "ask") == 0 && count == 1) return ask_often(number(arguments[0]));
    if (strcmp(command, "create") == 0 && count == 3)
        return create((int16_t)number(arguments[0]), arguments[1], (int32_t)number(arguments[2]));
    (void)fprintf(stderr, "usage: limits ADDRESS broker|quota|connect|ask|create ARGUMENT...\n");
    return 2;
}
