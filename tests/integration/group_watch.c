/* Watches a group from outside, over plain sockets, the way a monitor does:
 *
 *   group-watch coordinator BOOTSTRAP GROUP     the id of the node that coordinates it
 *   group-watch offsets BOOTSTRAP GROUP         one line per partition: "TOPIC PARTITION OFFSET"
 *   group-watch follow BOOTSTRAP GROUP          asks for the committed offsets until SIGTERM. Status 0 when no offset ever went
 *                                               back or was forgotten, whoever answered; prints how often it asked
 *
 * Any node of BOOTSTRAP that answers will do; it tries for 20 s. */
#include "tests/integration/wire.h"

#include "common/assert.h"
#include "common/mem.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

enum { WIRE_OFFSET_FETCH = 9, WIRE_FIND_COORDINATOR = 10 };
enum { PATIENCE_MS = 20000, PAUSE_MS = 5, CALL_MS = 2000, ADDRESS_MAX = 300, TRACKED_MAX = 1000 };

static volatile sig_atomic_t is_over;
static void on_term(int number) { is_over = number; }

struct tracked {
    char topic[250];
    int32_t partition;
    int64_t offset;
};
static struct tracked tracked[TRACKED_MAX];
static size_t tracked_count;
static bool has_gone_back;

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void rest(void) { (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL); }

/* ---- the coordinator ----------------------------------------------------------------------------------------------- */

struct coordinator {
    int32_t node;
    char address[ADDRESS_MAX];
};

/* FindCoordinator v0. */
static bool ask_node(const char *address, const char *group, struct coordinator *found)
{
    struct wire w;
    struct writer body;
    struct reader r;
    if (!wire_open(&w, address, CALL_MS)) return false;
    writer_init(&body, 64);
    wire_put_string(&body, group);
    struct buf *frame = wire_call(&w, WIRE_FIND_COORDINATOR, 0, false, writer_slice(&body), &r);
    writer_deinit(&body);
    wire_close(&w);
    if (!frame) return false;
    bool is_found = reader_i16(&r) == 0;
    found->node = reader_i32(&r);
    struct slice host = wire_get_string(&r);
    (void)snprintf(found->address, sizeof found->address, "%.*s:%d", (int)host.n, (const char *)host.p, reader_i32(&r));
    is_found = is_found && reader_ok(&r);
    buf_unref(frame);
    return is_found;
}

static bool find(const char *bootstrap, const char *group, struct coordinator *found)
{
    char address[ADDRESS_MAX];
    for (const char *at = bootstrap; *at;) {
        size_t size = strcspn(at, ",");
        (void)snprintf(address, sizeof address, "%.*s", (int)size, at);
        if (ask_node(address, group, found)) return true;
        at += size + (at[size] == ',');
    }
    return false;
}

static bool find_patiently(const char *bootstrap, const char *group, struct coordinator *found)
{
    for (int64_t until = now_ms() + PATIENCE_MS; now_ms() < until; rest())
        if (find(bootstrap, group, found)) return true;
    (void)fprintf(stderr, "nobody knows who coordinates %s\n", group);
    return false;
}

/* ---- offsets ------------------------------------------------------------------------------------------------------- */

static void track(struct slice topic, int32_t partition, int64_t offset)
{
    size_t i = 0;
    while (i < tracked_count && !(slice_equal_str(topic, tracked[i].topic) && tracked[i].partition == partition)) i++;
    ASSERT(i < TRACKED_MAX);
    if (i == tracked_count) {
        tracked_count++;
        (void)snprintf(tracked[i].topic, sizeof tracked[i].topic, "%.*s", (int)topic.n, (const char *)topic.p);
        tracked[i].partition = partition;
    } else if (offset < tracked[i].offset) {
        (void)printf("%s-%d went back from %lld to %lld\n", tracked[i].topic, partition, (long long)tracked[i].offset, (long long)offset);
        has_gone_back = true;
    }
    tracked[i].offset = offset;
}

/* All offsets of the group (OffsetFetch v2); their number, or -1: no answer, or an error. */
static int64_t read_offsets(struct reader *r)
{
    int64_t count = 0;
    struct reader first = *r;
    for (int pass = 0; pass < 2; pass++) { /* the error comes last */
        for (int32_t topics = reader_i32(r); topics > 0 && reader_ok(r); topics--) {
            struct slice topic = wire_get_string(r);
            for (int32_t n = reader_i32(r); n > 0 && reader_ok(r); n--) {
                int32_t partition = reader_i32(r);
                int64_t offset = reader_i64(r);
                (void)wire_get_string(r);
                if (pass == 1 && reader_i16(r) == 0) track(topic, partition, offset);
                if (pass == 0) (void)reader_i16(r);
                count += pass;
            }
        }
        if (reader_i16(r) != 0 || !reader_ok(r)) return -1;
        if (pass == 0) *r = first;
    }
    return count;
}

static int64_t ask_offsets(const char *address, const char *group)
{
    struct wire w;
    struct writer body;
    struct reader r;
    if (!wire_open(&w, address, CALL_MS)) return -1;
    writer_init(&body, 64);
    wire_put_string(&body, group);
    writer_i32(&body, -1); /* all */
    struct buf *frame = wire_call(&w, WIRE_OFFSET_FETCH, 2, false, writer_slice(&body), &r);
    writer_deinit(&body);
    wire_close(&w);
    int64_t count = frame ? read_offsets(&r) : -1;
    buf_unref(frame);
    return count;
}

static int print_offsets(const char *bootstrap, const char *group)
{
    struct coordinator at;
    for (int64_t until = now_ms() + PATIENCE_MS; now_ms() < until; rest()) {
        if (!find(bootstrap, group, &at) || ask_offsets(at.address, group) < 0) continue;
        for (size_t i = 0; i < tracked_count; i++)
            (void)printf("%s %d %lld\n", tracked[i].topic, tracked[i].partition, (long long)tracked[i].offset);
        return 0;
    }
    return 1;
}

static int follow(const char *bootstrap, const char *group)
{
    struct coordinator at;
    uint64_t asked = 0, refused = 0;
    (void)signal(SIGTERM, on_term);
    if (!find_patiently(bootstrap, group, &at)) return 1;
    for (; !is_over && !has_gone_back; rest()) {
        int64_t count = ask_offsets(at.address, group);
        asked++;
        if (count >= 0 && (size_t)count < tracked_count) {
            (void)printf("%zu partitions had offsets, and now %lld\n", tracked_count, (long long)count);
            has_gone_back = true;
        }
        if (count >= 0) continue;
        refused++;
        (void)find(bootstrap, group, &at);
    }
    (void)printf("asked %llu times, %llu without an answer\n", (unsigned long long)asked, (unsigned long long)refused);
    return has_gone_back ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct coordinator at;
    const char *command = argc == 4 ? argv[1] : "";
    if (strcmp(command, "offsets") == 0) return print_offsets(argv[2], argv[3]);
    if (strcmp(command, "follow") == 0) return follow(argv[2], argv[3]);
    if (strcmp(command, "coordinator") == 0) {
        if (!find_patiently(argv[2], argv[3], &at)) return 1;
        (void)printf("%d\n", at.node);
        return 0;
    }
    (void)fprintf(stderr, "usage: group-watch coordinator|offsets|follow BOOTSTRAP GROUP\n");
    return 2;
}
