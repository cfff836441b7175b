/* Asks nodes what they know, over plain sockets: for deploy/local-cluster.sh and for tests.
 *
 *   probe ready N ADDRESS...      status 0 when each address knows N brokers and a controller
 *   probe brokers ADDRESS         "controller=1 brokers=0,1,2"
 *   probe topic ADDRESS NAME      one line per partition: "0 leader=1 replicas=1,2,0 isr=1,2,0 offline="
 *   probe quorum ADDRESS          "leader=1 epoch=3 high_watermark=120 voters=0:120,1:120,2:119 observers="
 *   probe versions ADDRESS        one line per API key: "3 0 13"
 *
 * Exit status 1 when a node gives no usable answer within --timeout-ms (first argument, default 1000). */
#include "tests/integration/wire.h"

#include "common/str.h"

#include <stdio.h>
#include <stdlib.h>

static int timeout_ms = 1000;

/* Prints an int32 array as "1,2,3". */
static void print_ids(struct reader *r)
{
    int32_t count = reader_i32(r);
    for (int32_t i = 0; i < count && reader_ok(r); i++) (void)printf("%s%d", i ? "," : "", reader_i32(r));
}

/* Metadata v4, the first that can be told not to create the topic: about one topic, or none. */
static struct buf *ask_metadata(const char *address, const char *topic, struct reader *answer)
{
    struct wire w;
    struct writer body;
    if (!wire_open(&w, address, timeout_ms)) return NULL;
    writer_init(&body, 64);
    writer_i32(&body, topic ? 1 : 0);
    if (topic) wire_put_string(&body, topic);
    writer_i8(&body, 0); /* do not create it */
    struct buf *frame = wire_call(&w, WIRE_METADATA, 4, false, writer_slice(&body), answer);
    writer_deinit(&body);
    wire_close(&w);
    return frame;
}

struct brokers {
    int32_t count, controller;
    int32_t ids[128];
};

static bool read_brokers(struct reader *r, struct brokers *found)
{
    (void)reader_i32(r); /* throttle */
    found->count = reader_i32(r);
    if (found->count < 0 || found->count > 128) return false;
    for (int32_t i = 0; i < found->count; i++) {
        found->ids[i] = reader_i32(r);
        (void)wire_get_string(r); /* host */
        (void)reader_i32(r);      /* port */
        (void)wire_get_string(r); /* rack */
    }
    (void)wire_get_string(r); /* cluster id */
    found->controller = reader_i32(r);
    return reader_ok(r);
}

static bool ask_brokers(const char *address, struct brokers *found)
{
    struct reader r;
    struct buf *frame = ask_metadata(address, NULL, &r);
    bool ok = frame && read_brokers(&r, found);
    buf_unref(frame);
    return ok;
}

static int command_ready(int count, char **addresses)
{
    int64_t wanted = 0;
    struct brokers found;
    if (count < 2 || !str_parse_i64(slice_str(addresses[0]), &wanted)) return 2;
    for (int i = 1; i < count; i++)
        if (!ask_brokers(addresses[i], &found) || found.count != wanted || found.controller < 0) return 1;
    return 0;
}

static int command_brokers(const char *address)
{
    struct brokers found;
    if (!ask_brokers(address, &found)) return 1;
    (void)printf("controller=%d brokers=", found.controller);
    for (int32_t i = 0; i < found.count; i++) (void)printf("%s%d", i ? "," : "", found.ids[i]);
    (void)printf("\n");
    return 0;
}

static int print_topic(struct reader *r)
{
    struct brokers brokers;
    if (!read_brokers(r, &brokers) || reader_i32(r) != 1 || reader_i16(r) != 0) return 1;
    (void)wire_get_string(r); /* name */
    (void)reader_i8(r);       /* internal */
    int32_t partitions = reader_i32(r);
    for (int32_t i = 0; i < partitions && reader_ok(r); i++) {
        (void)reader_i16(r); /* error */
        int32_t index = reader_i32(r);
        (void)printf("%d leader=%d replicas=", index, reader_i32(r));
        print_ids(r);
        (void)printf(" isr=");
        print_ids(r);
        (void)printf("\n");
    }
    return reader_ok(r) ? 0 : 1;
}

static int command_topic(const char *address, const char *topic)
{
    struct reader r;
    struct buf *frame = ask_metadata(address, topic, &r);
    int status = frame ? print_topic(&r) : 1;
    buf_unref(frame);
    return status;
}

static void print_quorum_members(const char *name, struct reader *r)
{
    (void)printf(" %s=", name);
    uint32_t count = wire_get_compact_count(r);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        int32_t id = reader_i32(r);
        (void)printf("%s%d:%lld", i ? "," : "", id, (long long)reader_i64(r));
        wire_skip_tags(r);
    }
}

/* DescribeQuorum v0: one topic, one partition. */
static int print_quorum(struct reader *r)
{
    if (reader_i16(r) != 0 || wire_get_compact_count(r) != 1) return 1;
    (void)wire_get_compact_string(r);
    if (wire_get_compact_count(r) != 1) return 1;
    (void)reader_i32(r); /* partition */
    if (reader_i16(r) != 0) return 1;
    int32_t leader = reader_i32(r), epoch = reader_i32(r);
    (void)printf("leader=%d epoch=%d high_watermark=%lld", leader, epoch, (long long)reader_i64(r));
    print_quorum_members("voters", r);
    print_quorum_members("observers", r);
    (void)printf("\n");
    return reader_ok(r) ? 0 : 1;
}

static int command_quorum(const char *address)
{
    struct wire w;
    struct writer body;
    struct reader r;
    if (!wire_open(&w, address, timeout_ms)) return 1;
    writer_init(&body, 64);
    writer_uvarint(&body, 2); /* one topic */
    wire_put_compact_string(&body, "__cluster_metadata");
    writer_uvarint(&body, 2); /* one partition */
    writer_i32(&body, 0);
    writer_uvarint(&body, 0);
    writer_uvarint(&body, 0);
    writer_uvarint(&body, 0);
    struct buf *frame = wire_call(&w, WIRE_DESCRIBE_QUORUM, 0, true, writer_slice(&body), &r);
    writer_deinit(&body);
    wire_close(&w);
    int status = frame ? print_quorum(&r) : 1;
    buf_unref(frame);
    return status;
}

static int command_versions(const char *address)
{
    struct wire w;
    struct reader r;
    if (!wire_open(&w, address, timeout_ms)) return 1;
    struct buf *frame = wire_call(&w, WIRE_API_VERSIONS, 0, false, SLICE_LITERAL(""), &r);
    wire_close(&w);
    int status = 1;
    if (frame && reader_i16(&r) == 0) {
        for (int32_t n = reader_i32(&r); n > 0 && reader_ok(&r); n--) {
            int16_t key = reader_i16(&r), low = reader_i16(&r);
            (void)printf("%d %d %d\n", key, low, reader_i16(&r));
        }
        status = reader_ok(&r) ? 0 : 1;
    }
    buf_unref(frame);
    return status;
}

int main(int argc, char **argv)
{
    int64_t limit = 0;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--timeout-ms") == 0 && str_parse_i64(slice_str(argv[2]), &limit) && limit > 0) {
        timeout_ms = (int)(limit < 600000 ? limit : 600000);
        first = 3;
    }
    const char *command = first < argc ? argv[first] : "";
    int count = argc - first - 1;
    char **arguments = argv + first + 1;
    if (strcmp(command, "ready") == 0 && count >= 2) return command_ready(count, arguments);
    if (strcmp(command, "brokers") == 0 && count == 1) return command_brokers(arguments[0]);
    if (strcmp(command, "topic") == 0 && count == 2) return command_topic(arguments[0], arguments[1]);
    if (strcmp(command, "quorum") == 0 && count == 1) return command_quorum(arguments[0]);
    if (strcmp(command, "versions") == 0 && count == 1) return command_versions(arguments[0]);
    (void)fprintf(stderr, "usage: probe [--timeout-ms N] ready N ADDRESS... | brokers ADDRESS | topic ADDRESS NAME | "
                          "quorum ADDRESS | versions ADDRESS\n");
    return 2;
}
