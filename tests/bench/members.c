#include "tests/bench/members.h"

#include "common/mem.h"
#include "tests/bench/load.h"
#include "tests/bench/raw.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { API_JOIN = 11, API_HEARTBEAT = 12, API_SYNC = 14, EVENTS_MAX = 256, QUIET_MS = 300 };
enum { COORDINATOR_LOAD_IN_PROGRESS = 14, COORDINATOR_NOT_AVAILABLE = 15, NOT_COORDINATOR = 16 };
enum { ILLEGAL_GENERATION = 22, REBALANCE_IN_PROGRESS = 27, SESSION_MS = 45000, REBALANCE_MS = 60000 };

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static void put_bytes(struct writer *w, struct slice bytes)
{
    writer_i32(w, (int32_t)bytes.n);
    writer_bytes(w, bytes);
}

static bool send_body(struct member *member, int16_t api, int16_t version, struct writer *body)
{
    bool is_sent = wire_send_request(&member->wire, api, version, false, writer_slice(body));
    writer_deinit(body);
    return is_sent;
}

static bool send_join(const struct members *m, struct member *member)
{
    struct writer body, subscription;
    writer_init(&subscription, 64);
    writer_i16(&subscription, 0);
    writer_i32(&subscription, 1);
    wire_put_string(&subscription, "a.topic.of.usual.length");
    writer_i32(&subscription, 4);
    writer_i32(&subscription, m->round);
    writer_init(&body, 256);
    wire_put_string(&body, m->group);
    writer_i32(&body, SESSION_MS);
    writer_i32(&body, REBALANCE_MS);
    wire_put_string(&body, member->id);
    wire_put_string(&body, "consumer");
    writer_i32(&body, 1);
    wire_put_string(&body, "range");
    put_bytes(&body, writer_slice(&subscription));
    writer_deinit(&subscription);
    member->phase = MEMBER_JOINING;
    return send_body(member, API_JOIN, 3, &body);
}

/* The leader gives one partition to each of those that it was told of. */
static void put_assignments(struct writer *body, struct reader *members)
{
    static const uint8_t one_partition[] = {0,   0, 0, 0, 0, 1, 0, 7, 'a', '.', 't', 'o', 'p', 'i',
                                            'c', 0, 0, 0, 1, 0, 0, 0, 0,   255, 255, 255, 255};
    int32_t count = reader_i32(members);
    writer_i32(body, count);
    for (int32_t i = 0; i < count && reader_ok(members); i++) {
        struct slice id = wire_get_string(members);
        int32_t metadata = reader_i32(members);
        (void)reader_bytes(members, metadata > 0 ? (size_t)metadata : 0);
        writer_i16(body, (int16_t)id.n);
        writer_bytes(body, id);
        put_bytes(body, slice_make(one_partition, sizeof one_partition));
    }
}

static bool send_sync(const struct members *m, struct member *member, struct reader *members)
{
    struct writer body;
    writer_init(&body, 256);
    wire_put_string(&body, m->group);
    writer_i32(&body, member->generation);
    wire_put_string(&body, member->id);
    put_assignments(&body, members);
    member->phase = MEMBER_SYNCING;
    return send_body(member, API_SYNC, 2, &body);
}

static bool send_beat(const struct members *m, struct member *member)
{
    struct writer body;
    writer_init(&body, 128);
    wire_put_string(&body, m->group);
    writer_i32(&body, member->generation);
    wire_put_string(&body, member->id);
    member->phase = MEMBER_BEATING;
    return send_body(member, API_HEARTBEAT, 2, &body);
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

static bool join_again(struct members *m, struct member *member)
{
    if (member->generation == m->newest) m->stable -= member->phase == MEMBER_BEATING;
    return send_join(m, member);
}

/* Kafka names a coordinator that has not loaded its groups yet. */
static bool is_coming_up(int16_t error)
{
    return error == COORDINATOR_LOAD_IN_PROGRESS || error == COORDINATOR_NOT_AVAILABLE || error == NOT_COORDINATOR;
}

/* Followers are told of nobody, and so send no assignments. */
static bool take_join(struct members *m, struct member *member, int16_t error, struct reader *r)
{
    if (is_coming_up(error)) (void)usleep(RETRY_US);
    if (error == REBALANCE_IN_PROGRESS || is_coming_up(error)) return send_join(m, member);
    member->generation = reader_i32(r);
    (void)wire_get_string(r); /* protocol */
    (void)wire_get_string(r); /* leader */
    struct slice id = wire_get_string(r);
    (void)snprintf(member->id, sizeof member->id, "%.*s", SLICE_ARG(id));
    return error == 0 && reader_ok(r) && send_sync(m, member, r);
}

static void become_stable(struct members *m, struct member *member)
{
    member->phase = MEMBER_STABLE;
    if (member->generation > m->newest) {
        m->newest = member->generation;
        m->stable = 0;
    }
    m->stable += member->generation == m->newest;
}

static bool is_call_to_join(int16_t error) { return error == REBALANCE_IN_PROGRESS || error == ILLEGAL_GENERATION; }

static bool take_answer(struct members *m, struct member *member)
{
    struct buf *frame = NULL;
    if (wire_receive(&member->wire, &frame) != WIRE_ANSWERED) return false;
    struct reader r = reader_make(buf_slice(frame));
    (void)reader_i32(&r); /* correlation */
    (void)reader_i32(&r); /* throttle */
    int16_t error = reader_i16(&r);
    bool ok = reader_ok(&r);
    if (ok && member->phase == MEMBER_JOINING)
        ok = take_join(m, member, error, &r);
    else if (ok && is_call_to_join(error))
        ok = join_again(m, member);
    else if (ok && error == 0 && member->phase == MEMBER_SYNCING)
        become_stable(m, member);
    else if (ok && error == 0 && member->phase == MEMBER_BEATING)
        member->phase = MEMBER_STABLE;
    else
        ok = false;
    buf_unref(frame);
    return ok;
}

/* False: an error. *is_quiet: nothing came for a while. */
static bool take_answers(struct members *m, bool *is_quiet)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(m->poller, events, EVENTS_MAX, QUIET_MS);
    *is_quiet = n == 0;
    for (int i = 0; i < n; i++)
        if (!take_answer(m, events[i].data.ptr)) return false;
    return n >= 0;
}

/* ---- all together -------------------------------------------------------------------------------------------------- */

/* Only for those who were left behind while the group came together: a heartbeat tells them. */
static bool beat_stable(struct members *m)
{
    for (int i = 0; i < m->count; i++)
        if (m->list[i].phase == MEMBER_STABLE && !send_beat(m, &m->list[i])) return false;
    return true;
}

bool members_rebalance(struct members *m)
{
    int64_t deadline_us = raw_now_us() + PATIENCE_US;
    bool is_quiet = false;
    m->stable = 0;
    m->round++;
    for (int i = 0; i < m->count; i++)
        if (!send_join(m, &m->list[i])) return false;
    while (m->stable < m->count) {
        if (raw_now_us() > deadline_us || !take_answers(m, &is_quiet)) return false;
        if (is_quiet && !beat_stable(m)) return false;
    }
    return true;
}

static bool is_any_beating(const struct members *m)
{
    for (int i = 0; i < m->count; i++)
        if (m->list[i].phase == MEMBER_BEATING) return true;
    return false;
}

bool members_beat(struct members *m)
{
    bool is_quiet = false;
    if (!beat_stable(m)) return false;
    while (is_any_beating(m))
        if (!take_answers(m, &is_quiet)) return false;
    return m->stable == m->count;
}

bool members_open(struct members *m, const char *address, const char *group, int count)
{
    char coordinator[RAW_ADDRESS_MAX];
    *m = (struct members){.group = group, .list = mem_calloc((size_t)count, sizeof *m->list), .poller = epoll_create1(0)};
    if (m->poller < 0 || !raw_await_coordinator(address, group, coordinator)) return false;
    for (; m->count < count; m->count++) {
        struct member *member = &m->list[m->count];
        if (!wire_open(&member->wire, coordinator, RAW_TIMEOUT_MS)) return false;
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = member};
        if (epoll_ctl(m->poller, EPOLL_CTL_ADD, member->wire.fd, &wanted) != 0) return false;
    }
    return true;
}

void members_close(struct members *m)
{
    for (int i = 0; i < m->count; i++) wire_close(&m->list[i].wire);
    mem_free(m->list);
    if (m->poller >= 0) (void)close(m->poller);
}
