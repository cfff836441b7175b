/* Outgoing connections: name look-up on its lane, then one address after the other. The reason of a failure is evidence
 * (DESIGN 3): ERR_REFUSED only when every address that was tried refused. */
#include "common/io/io_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void io_tune_socket(int fd)
{
    static const char algorithm[] = "cubic";
    int on = 1;
    /* Best effort: a socket works without any of them. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, sizeof algorithm - 1);
}

/* ---- one address --------------------------------------------------------------------------------------------------- */

static socklen_t address_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* A connect to a free port of the ephemeral range can meet itself: nobody listens there. */
static bool is_connected_to_itself(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t here_size = sizeof here, there_size = sizeof there;
    return getsockname(fd, (struct sockaddr *)&here, &here_size) == 0 && getpeername(fd, (struct sockaddr *)&there, &there_size) == 0 &&
           here_size == there_size && memcmp(&here, &there, here_size) == 0;
}

static void note_failure(struct io_stream *stream, int error_number)
{
    enum err err = io_err(error_number);
    if (stream->connect_err == ERR_OK || stream->connect_err == ERR_REFUSED) stream->connect_err = err;
}

/* False: it failed at once. */
static bool try_address(struct io_stream *stream, const struct sockaddr_storage *address)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        note_failure(stream, errno);
        return false;
    }
    io_tune_socket(fd);
    if (connect(fd, (const struct sockaddr *)address, address_size(address)) != 0 && errno != EINPROGRESS) {
        note_failure(stream, errno);
        close(fd);
        return false;
    }
    io_stream_set_peer(stream, (const struct sockaddr *)address);
    io_stream_attach(stream, fd);
    return true;
}

static void try_next(struct io_stream *stream)
{
    while (stream->address_at < stream->address_count) {
        if (try_address(stream, &stream->addresses[stream->address_at++])) return;
    }
    io_stream_fail_later(stream, stream->connect_err);
}

void io_connect_on_writable(struct io_stream *stream)
{
    int error_number = 0;
    socklen_t size = sizeof error_number;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error_number, &size) != 0) error_number = errno;
    if (error_number == 0 && is_connected_to_itself(stream->fd)) error_number = ECONNREFUSED;
    if (error_number == 0) {
        mem_free(stream->addresses);
        stream->addresses = NULL;
        io_stream_connected(stream);
        return;
    }
    note_failure(stream, error_number);
    io_stream_detach_fd(stream);
    try_next(stream);
}

/* ---- look-up ------------------------------------------------------------------------------------------------------- */

struct io_resolve {
    struct lane_job job;
    struct io_stream *stream; /* NULL: nobody waits any more */
    char host[HOST_MAX + 1], port[8];
    int result;
    struct addrinfo *found;
};

static void run_resolve(struct lane_job *job)
{
    struct io_resolve *resolve = CONTAINER_OF(job, struct io_resolve, job);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
    resolve->result = getaddrinfo(resolve->host, resolve->port, &hints, &resolve->found);
    /* A machine with nothing but loopback has no address that ADDRCONFIG would count. */
    hints.ai_flags = AI_NUMERICSERV;
    if (resolve->result != 0) resolve->result = getaddrinfo(resolve->host, resolve->port, &hints, &resolve->found);
    if (resolve->result != 0 && io_is_localhost(resolve->host))
        resolve->result = getaddrinfo(IO_LOOPBACK, resolve->port, &hints, &resolve->found);
}

static void take_addresses(struct io_stream *stream, const struct addrinfo *found)
{
    stream->addresses = mem_calloc(ADDRESSES_MAX, sizeof *stream->addresses);
    for (; found && stream->address_count < ADDRESSES_MAX; found = found->ai_next) {
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6) continue;
        memcpy(&stream->addresses[stream->address_count++], found->ai_addr, found->ai_addrlen);
    }
}

static void finish_resolve(struct lane_job *job, bool tells)
{
    struct io_resolve *resolve = CONTAINER_OF(job, struct io_resolve, job);
    struct io_stream *stream = resolve->stream;
    if (stream) {
        stream->resolve = NULL;
        if (resolve->result == 0) take_addresses(stream, resolve->found);
        stream->connect_err = stream->address_count ? ERR_OK : ERR_UNRESOLVED;
        if (tells) try_next(stream);
    }
    if (resolve->found) freeaddrinfo(resolve->found);
    mem_free(resolve);
}

void io_connect_cancel(struct io_stream *stream)
{
    if (stream->resolve) stream->resolve->stream = NULL;
    stream->resolve = NULL;
    mem_free(stream->addresses);
    stream->addresses = NULL;
}

static bool parse_numeric(const char *host, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    *out = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return true;
}

struct env_stream *io_connect(struct env *env, const char *host, uint16_t port, int64_t timeout_us, env_stream_fn handler, void *user)
{
    struct io *io = io_of(env);
    struct io_stream *stream = io_stream_create(io, handler, user);
    stream->is_connecting = true;
    env_timer_set(env, &stream->timer, env->now_us + timeout_us);
    struct sockaddr_storage address;
    if (strlen(host) > HOST_MAX) {
        io_stream_fail_later(stream, ERR_UNRESOLVED);
    } else if (parse_numeric(host, port, &address)) {
        stream->addresses = mem_calloc(1, sizeof *stream->addresses);
        stream->addresses[0] = address;
        stream->address_count = 1;
        try_next(stream);
    } else {
        struct io_resolve *resolve = mem_alloc(sizeof *resolve);
        resolve->job = (struct lane_job){.run = run_resolve, .finish = finish_resolve};
        resolve->stream = stream;
        (void)snprintf(resolve->host, sizeof resolve->host, "%s", host);
        (void)snprintf(resolve->port, sizeof resolve->port, "%u", port);
        stream->resolve = resolve;
        lane_submit(&io->resolve_lane, &resolve->job);
    }
    return &stream->stream;
}
