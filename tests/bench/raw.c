#include "tests/bench/raw.h"

#include "common/assert.h"
#include "common/mem.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { API_FETCH = 1, API_FIND_COORDINATOR = 10, API_CREATE_TOPICS = 19 };

int64_t raw_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct buf *ask(const char *address, int16_t key, int16_t version, struct slice body, struct reader *answer)
{
    struct wire w;
    if (!wire_open(&w, address, RAW_TIMEOUT_MS)) return NULL;
    struct buf *frame = wire_call(&w, key, version, false, body, answer);
    wire_close(&w);
    return frame;
}

struct buf *raw_frame(int16_t key, int16_t version, struct slice body)
{
    struct writer w;
    writer_init(&w, body.n + 32);
    writer_i32(&w, 0); /* length, patched */
    writer_i16(&w, key);
    writer_i16(&w, version);
    writer_i32(&w, 1); /* correlation */
    wire_put_string(&w, "bench");
    writer_bytes(&w, body);
    writer_patch_i32(&w, 0, (int32_t)(writer_size(&w) - 4));
    return writer_take(&w);
}

/* ---- metadata ---- */

static void read_brokers(struct reader *r, struct raw_topic *out)
{
    (void)reader_i32(r); /* throttle */
    int32_t count = reader_i32(r);
    for (int32_t i = 0; i < count && reader_ok(r) && out->brokers < 16; i++) {
        int32_t id = reader_i32(r);
        struct slice host = wire_get_string(r);
        int32_t port = reader_i32(r);
        (void)wire_get_string(r); /* rack */
        out->broker[out->brokers].id = id;
        (void)snprintf(out->broker[out->brokers++].address, RAW_ADDRESS_MAX, "%.*s:%d", SLICE_ARG(host), port);
    }
    (void)wire_get_string(r); /* cluster id */
    int32_t controller = reader_i32(r);
    for (int32_t i = 0; i < out->brokers; i++)
        if (out->broker[i].id == controller) (void)snprintf(out->controller, RAW_ADDRESS_MAX, "%s", out->broker[i].address);
}

static void skip_ids(struct reader *r)
{
    int32_t count = reader_i32(r);
    if (count > 0) (void)reader_bytes(r, (size_t)count * 4);
}

static void read_partitions(struct reader *r, struct raw_topic *out)
{
    int32_t count = reader_i32(r);
    if (count < 0 || (size_t)count > r->left) return;
    out->leaders = mem_calloc((size_t)count, sizeof *out->leaders);
    for (int32_t i = 0; i < count && reader_ok(r); i++) {
        (void)reader_i16(r); /* error */
        int32_t index = reader_i32(r), leader = reader_i32(r);
        skip_ids(r);
        skip_ids(r);
        if (index < 0 || index >= count) continue;
        out->leaders[index] = leader;
        if (leader < 0) out->leaderless++;
    }
    out->partitions = count;
}

/* Metadata v4. */
bool raw_describe(const char *address, const char *topic, struct raw_topic *out)
{
    struct writer body;
    struct reader r;
    *out = (struct raw_topic){0};
    writer_init(&body, 64);
    writer_i32(&body, 1);
    wire_put_string(&body, topic);
    writer_i8(&body, 0); /* do not create it */
    struct buf *frame = ask(address, WIRE_METADATA, 4, writer_slice(&body), &r);
    writer_deinit(&body);
    if (!frame) return false;
    read_brokers(&r, out);
    if (reader_i32(&r) == 1 && reader_i16(&r) == 0) {
        (void)wire_get_string(&r);
        (void)reader_i8(&r);
        read_partitions(&r, out);
    }
    bool whole = reader_ok(&r);
    buf_unref(frame);
    return whole;
}

void raw_topic_deinit(struct raw_topic *topic) { mem_free(topic->leaders); }

const char *raw_leader_address(const struct raw_topic *topic, int32_t partition)
{
    for (int32_t i = 0; partition < topic->partitions && i < topic->brokers; i++)
        if (topic->broker[i].id == topic->leaders[partition]) return topic->broker[i].address;
    return NULL;
}

/* CreateTopics v2. */
int raw_create_topic(const char *address, const char *topic, int32_t partitions, int16_t replicas)
{
    struct writer body;
    struct reader r;
    writer_init(&body, 128);
    writer_i32(&body, 1);
    wire_put_string(&body, topic);
    writer_i32(&body, partitions);
    writer_i16(&body, replicas);
    writer_i32(&body, 0); /* assignments */
    writer_i32(&body, 0); /* configs */
    writer_i32(&body, RAW_TIMEOUT_MS);
    writer_i8(&body, 0); /* not only validate */
    struct buf *frame = ask(address, API_CREATE_TOPICS, 2, writer_slice(&body), &r);
    writer_deinit(&body);
    if (!frame) return RAW_NO_ANSWER;
    (void)reader_i32(&r); /* throttle */
    (void)reader_i32(&r); /* one topic */
    (void)wire_get_string(&r);
    int error = reader_i16(&r);
    bool whole = reader_ok(&r);
    buf_unref(frame);
    return whole ? error : RAW_NO_ANSWER;
}

/* ---- produce ---- */

/* Values that do not repeat from record to record, so that nothing on the way gains from equal bytes. */
static void write_record(struct writer *w, int32_t delta, size_t size)
{
    struct writer record;
    writer_init(&record, size + 32);
    writer_i8(&record, 0);
    writer_varint64(&record, 0);
    writer_varint32(&record, delta);
    writer_varint32(&record, -1); /* null key */
    writer_varint32(&record, (int32_t)size);
    uint8_t *value = writer_reserve(&record, size);
    for (size_t i = 0; i < size; i++) value[i] = (uint8_t)('a' + (i * 7 + (size_t)delta * 13) % 26);
    writer_varint32(&record, 0); /* headers */
    writer_varint32(w, (int32_t)writer_size(&record));
    writer_bytes(w, writer_slice(&record));
    writer_deinit(&record);
}

static void write_batch(struct writer *w, int32_t records, size_t size)
{
    size_t start = wire_begin_batch(w, records);
    for (int32_t i = 0; i < records; i++) write_record(w, i, size);
    wire_end_batch(w, start);
    wire_seal_batch(w, start);
}

/* Produce v3. */
struct buf *raw_produce_frame(const char *topic, int16_t acks, int32_t records, size_t size)
{
    struct writer w;
    writer_init(&w, (size_t)records * (size + 16) + 256);
    wire_put_string(&w, NULL); /* transactional id */
    writer_i16(&w, acks);
    writer_i32(&w, RAW_TIMEOUT_MS);
    writer_i32(&w, 1);
    wire_put_string(&w, topic);
    writer_i32(&w, 1);
    writer_i32(&w, 0); /* partition */
    size_t length_at = writer_size(&w);
    writer_i32(&w, 0); /* of the records, patched */
    write_batch(&w, records, size);
    writer_patch_i32(&w, length_at, (int32_t)(writer_size(&w) - length_at - 4));
    struct buf *frame = raw_frame(WIRE_PRODUCE, 3, writer_slice(&w));
    writer_deinit(&w);
    return frame;
}

int raw_produce_error(const struct buf *answer)
{
    struct reader r = reader_make(buf_slice(answer));
    (void)reader_i32(&r); /* correlation */
    (void)reader_i32(&r);
    (void)wire_get_string(&r);
    (void)reader_i32(&r);
    (void)reader_i32(&r);
    int error = reader_i16(&r);
    return reader_ok(&r) ? error : RAW_NO_ANSWER;
}

/* ---- list offsets ---- */

static int32_t read_offsets(struct reader *r)
{
    int32_t serving = 0;
    if (reader_i32(r) != 1) return 0;
    (void)wire_get_string(r);
    for (int32_t n = reader_i32(r); n > 0 && reader_ok(r); n--) {
        (void)reader_i32(r);
        if (reader_i16(r) == 0) serving++;
        (void)reader_i64(r);
        (void)reader_i64(r);
    }
    return reader_ok(r) ? serving : 0;
}

/* ListOffsets v1. */
int32_t raw_count_serving(const char *address, const char *topic, const struct raw_topic *about)
{
    struct writer body;
    struct reader r;
    int32_t led = 0;
    writer_init(&body, (size_t)about->partitions * 12 + 128);
    writer_i32(&body, -1); /* no replica */
    writer_i32(&body, 1);
    wire_put_string(&body, topic);
    size_t count_at = writer_size(&body);
    writer_i32(&body, 0); /* patched */
    for (int32_t p = 0; p < about->partitions; p++) {
        const char *leader = raw_leader_address(about, p);
        if (!leader || strcmp(leader, address) != 0) continue;
        writer_i32(&body, p);
        writer_i64(&body, -1); /* latest */
        led++;
    }
    writer_patch_i32(&body, count_at, led);
    struct buf *frame = led > 0 ? ask(address, WIRE_LIST_OFFSETS, 1, writer_slice(&body), &r) : NULL;
    writer_deinit(&body);
    int32_t serving = frame ? read_offsets(&r) : 0;
    buf_unref(frame);
    return serving;
}

/* ---- fetch ---- */

void raw_put_fetch(struct writer *body, int16_t version, const char *topic, int32_t partition, int64_t offset, int32_t bytes_max)
{
    ASSERT(version == 4 || version == 11);
    writer_i32(body, -1);  /* no replica */
    writer_i32(body, 500); /* wait at most */
    writer_i32(body, 1);   /* for so many bytes */
    writer_i32(body, bytes_max);
    writer_i8(body, 0);                     /* isolation */
    if (version >= 7) writer_i32(body, 0);  /* no session */
    if (version >= 7) writer_i32(body, -1); /* nor a new one */
    writer_i32(body, 1);
    wire_put_string(body, topic);
    writer_i32(body, 1);
    writer_i32(body, partition);
    if (version >= 9) writer_i32(body, -1); /* any leader epoch */
    writer_i64(body, offset);
    if (version >= 5) writer_i64(body, -1); /* no log start: not a replica */
    writer_i32(body, bytes_max);
    if (version >= 7) writer_i32(body, 0); /* nothing forgotten */
    if (version >= 11) wire_put_string(body, "");
}

/* ---- find coordinator ---- */

/* v0. */
static bool find_coordinator(const char *address, const char *group, char coordinator[RAW_ADDRESS_MAX])
{
    struct writer body;
    struct reader r;
    writer_init(&body, 64);
    wire_put_string(&body, group);
    struct buf *frame = ask(address, API_FIND_COORDINATOR, 0, writer_slice(&body), &r);
    writer_deinit(&body);
    if (!frame) return false;
    int16_t error = reader_i16(&r);
    (void)reader_i32(&r); /* node */
    struct slice host = wire_get_string(&r);
    int32_t port = reader_i32(&r);
    bool is_known = reader_ok(&r) && error == 0;
    if (is_known) (void)snprintf(coordinator, RAW_ADDRESS_MAX, "%.*s:%d", SLICE_ARG(host), port);
    buf_unref(frame);
    return is_known;
}

bool raw_await_coordinator(const char *address, const char *group, char coordinator[RAW_ADDRESS_MAX])
{
    int64_t deadline_us = raw_now_us() + (int64_t)RAW_TIMEOUT_MS * 1000;
    while (!find_coordinator(address, group, coordinator)) {
        if (raw_now_us() > deadline_us) return false;
        (void)usleep(1000);
    }
    return true;
}
