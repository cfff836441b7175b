#include "tests/integration/wire.h"

#include "common/crc32c.h"
#include "common/str.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until fd can do `events`; false when the time is up. */
static bool await(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left_ms = deadline_ms - now_ms();
        if (left_ms < 0) return false;
        struct pollfd ready = {.fd = fd, .events = events};
        int n = poll(&ready, 1, (int)left_ms);
        if (n > 0) return true;
        if (n == 0 || errno != EINTR) return false;
    }
}

static bool connect_to(struct wire *w, const struct addrinfo *to)
{
    w->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd < 0) return false;
    int error = 0;
    socklen_t size = sizeof error;
    int on = 1;
    if ((connect(w->fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS) && await(w->fd, POLLOUT, now_ms() + w->timeout_ms) &&
        getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) {
        (void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return true;
    }
    wire_close(w);
    return false;
}

bool wire_open(struct wire *w, const char *address, int timeout_ms)
{
    struct slice host;
    uint16_t port = 0;
    char name[256], service[8];
    *w = (struct wire){.fd = -1, .timeout_ms = timeout_ms};
    if (!str_parse_host_port(slice_str(address), &host, &port) || host.n >= sizeof name) return false;
    (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(host));
    (void)snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(name, service, &hints, &found) != 0) return false;
    for (struct addrinfo *at = found; at && w->fd < 0; at = at->ai_next) (void)connect_to(w, at);
    freeaddrinfo(found);
    return w->fd >= 0;
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0) (void)close(w->fd);
    w->fd = -1;
}

bool wire_send(struct wire *w, struct slice bytes)
{
    int64_t deadline_ms = now_ms() + w->timeout_ms;
    while (bytes.n > 0) {
        ssize_t n = send(w->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n >= 0)
            bytes = slice_make(bytes.p + n, bytes.n - (size_t)n);
        else if (errno != EINTR && (errno != EAGAIN || !await(w->fd, POLLOUT, deadline_ms)))
            return false;
    }
    return true;
}

bool wire_send_request(struct wire *w, int16_t key, int16_t version, bool flexible, struct slice body)
{
    struct writer out;
    writer_init(&out, body.n + 64);
    writer_i32(&out, 0);
    writer_i16(&out, key);
    writer_i16(&out, version);
    writer_i32(&out, ++w->correlation);
    wire_put_string(&out, "wire");
    if (flexible) writer_u8(&out, 0);
    writer_bytes(&out, body);
    writer_patch_i32(&out, 0, (int32_t)(writer_size(&out) - 4));
    bool sent = wire_send(w, writer_slice(&out));
    writer_deinit(&out);
    return sent;
}

static enum wire_outcome receive_exactly(struct wire *w, uint8_t *to, size_t n, int64_t deadline_ms)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = recv(w->fd, to + got, n - got, 0);
        if (r > 0)
            got += (size_t)r;
        else if (r == 0 || (errno != EAGAIN && errno != EINTR))
            return WIRE_CLOSED;
        else if (errno == EAGAIN && !await(w->fd, POLLIN, deadline_ms))
            return WIRE_SILENT;
    }
    return WIRE_ANSWERED;
}

enum wire_outcome wire_receive(struct wire *w, struct buf **frame)
{
    uint8_t prefix[4];
    int64_t deadline_ms = now_ms() + w->timeout_ms;
    *frame = NULL;
    enum wire_outcome outcome = receive_exactly(w, prefix, sizeof prefix, deadline_ms);
    if (outcome != WIRE_ANSWERED) return outcome;
    struct reader length = reader_make(slice_make(prefix, sizeof prefix));
    uint32_t size = reader_u32(&length);
    if (size > WIRE_FRAME_MAX) return WIRE_CLOSED;
    struct buf *got = buf_create(size);
    got->size = size;
    outcome = receive_exactly(w, got->data, size, deadline_ms);
    if (outcome == WIRE_ANSWERED)
        *frame = got;
    else
        buf_unref(got);
    return outcome;
}

struct buf *wire_call(struct wire *w, int16_t key, int16_t version, bool flexible, struct slice body, struct reader *answer)
{
    struct buf *frame = NULL;
    if (!wire_send_request(w, key, version, flexible, body) || wire_receive(w, &frame) != WIRE_ANSWERED) return NULL;
    *answer = reader_make(buf_slice(frame));
    bool matches = reader_i32(answer) == w->correlation;
    if (flexible && key != WIRE_API_VERSIONS) wire_skip_tags(answer);
    if (matches && reader_ok(answer)) return frame;
    buf_unref(frame);
    return NULL;
}

void wire_put_string(struct writer *w, const char *text)
{
    if (text == NULL) {
        writer_i16(w, -1);
        return;
    }
    writer_i16(w, (int16_t)strlen(text));
    writer_bytes(w, slice_str(text));
}

struct slice wire_get_string(struct reader *r)
{
    int16_t n = reader_i16(r);
    return n < 0 ? SLICE_NULL : reader_bytes(r, (size_t)n);
}

void wire_put_compact_string(struct writer *w, const char *text)
{
    writer_uvarint(w, strlen(text) + 1);
    writer_bytes(w, slice_str(text));
}

struct slice wire_get_compact_string(struct reader *r)
{
    uint32_t n = reader_uvarint32(r);
    return n == 0 ? SLICE_NULL : reader_bytes(r, n - 1);
}

uint32_t wire_get_compact_count(struct reader *r)
{
    uint32_t n = reader_uvarint32(r);
    return n == 0 ? 0 : n - 1;
}

void wire_skip_tags(struct reader *r)
{
    for (uint32_t n = reader_uvarint32(r); n > 0 && reader_ok(r); n--) {
        (void)reader_uvarint32(r);
        (void)reader_bytes(r, reader_uvarint32(r));
    }
}

size_t wire_begin_batch(struct writer *w, int32_t records)
{
    size_t start = writer_size(w);
    writer_i64(w, 0);  /* base offset */
    writer_i32(w, 0);  /* length, patched */
    writer_i32(w, -1); /* partition leader epoch */
    writer_i8(w, 2);   /* magic */
    writer_u32(w, 0);  /* CRC, patched */
    writer_i16(w, 0);  /* attributes */
    writer_i32(w, records - 1);
    writer_i64(w, 1700000000000);
    writer_i64(w, 1700000000000);
    writer_i64(w, -1); /* producer id */
    writer_i16(w, -1);
    writer_i32(w, -1);
    writer_i32(w, records);
    return start;
}

void wire_end_batch(struct writer *w, size_t start)
{
    writer_patch_i32(w, start + WIRE_BATCH_LENGTH_AT, (int32_t)(writer_size(w) - start - WIRE_BATCH_LENGTH_AT - 4));
}

void wire_seal_batch(struct writer *w, size_t start)
{
    size_t from = start + WIRE_BATCH_CRC_AT + 4;
    struct slice sealed = slice_make(writer_slice(w).p + from, writer_size(w) - from);
    writer_patch_i32(w, start + WIRE_BATCH_CRC_AT, (int32_t)crc32c(sealed));
}
