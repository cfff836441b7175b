/* Listening sockets. */
#include "common/io/io_internal.h"
#include "common/log_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64   /* so that a storm of new connections does not starve the old ones */
#define BACKLOG          4096 /* the kernel cuts it to net.core.somaxconn */

struct io_listener {
    struct env_listener listener;
    struct io *io;
    struct list_node io_link;
    uv_poll_t poll;
    int fd;
    uint16_t port;
    struct log_limit log_limit; /* of those turned away */
    env_accept_fn accepted;
    void *user;
    bool is_closed, is_paused;
};

static struct io_listener *listener_of(const struct env_listener *listener)
{
    return CONTAINER_OF((struct env_listener *)(uintptr_t)listener, struct io_listener, listener);
}

/* ---- accepting ----------------------------------------------------------------------------------------------------- */

static int open_spare(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

/* Out of descriptors: without this the connection would stay in the queue and wake the loop for ever. */
static void turn_one_away(struct io_listener *listener)
{
    struct io *io = listener->io;
    log_line_limited(io->env.logger, &listener->log_limit, env_now_us(&io->env), "connections turned away for lack of file descriptors",
                     "io", "out of file descriptors: a new connection on port %u is turned away (raise the limit, ulimit -n)",
                     listener->port);
    if (io->spare_fd >= 0) close(io->spare_fd);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    io->spare_fd = open_spare();
}

static void on_accepted(struct io_listener *listener, int fd, const struct sockaddr *peer)
{
    struct io_stream *stream = io_stream_create(listener->io, NULL, NULL);
    io_stream_set_peer(stream, peer);
    io_stream_attach(stream, fd);
    listener->accepted(listener->user, &stream->stream, listener->io->env.now_us);
    if (!stream->stream.handler) io_stream_release(stream);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct io_listener *listener = CONTAINER_OF(poll, struct io_listener, poll);
    (void)status;
    (void)events;
    io_enter(listener->io);
    for (int i = 0; i < ACCEPTS_PER_TURN && !listener->is_closed && !listener->is_paused; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t size = sizeof peer;
        int fd = accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            on_accepted(listener, fd, (const struct sockaddr *)&peer);
        else if (errno == EMFILE || errno == ENFILE)
            turn_one_away(listener);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* ---- listening ----------------------------------------------------------------------------------------------------- */

static enum err bind_and_listen(int fd, const struct addrinfo *address)
{
    int on = 1, off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ai_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    /* Accepted sockets inherit these: no calls for each connection. */
    io_tune_socket(fd);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0) return io_err(errno);
    return listen(fd, BACKLOG) == 0 ? ERR_OK : io_err(errno);
}

static enum err open_listener(const char *host, uint16_t port, int *out)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    int result = getaddrinfo(*host ? host : NULL, service, &hints, &found);
    if (result != 0 && io_is_localhost(host)) result = getaddrinfo(IO_LOOPBACK, service, &hints, &found);
    if (result != 0) return ERR_UNRESOLVED;
    enum err err = ERR_UNRESOLVED;
    /* For all interfaces IPv6's wildcard comes first where it can, because it takes IPv4 too. */
    for (int want_v6 = *host ? -1 : 1; want_v6 >= -1 && err != ERR_OK; want_v6--) {
        for (const struct addrinfo *at = found; at && err != ERR_OK && err != ERR_IN_USE; at = at->ai_next) {
            if (want_v6 >= 0 && (at->ai_family == AF_INET6) != want_v6) continue;
            int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            if (fd < 0) {
                err = io_err(errno);
                continue;
            }
            err = bind_and_listen(fd, at);
            if (err == ERR_OK)
                *out = fd;
            else
                close(fd);
        }
    }
    freeaddrinfo(found);
    return err;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {0}};
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size) != 0) return 0;
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

static void watch(struct io_listener *listener)
{
    int failed = uv_poll_start(&listener->poll, UV_READABLE, on_acceptable);
    ASSERT(!failed);
}

enum err io_listen(struct env *env, const char *host, uint16_t port, env_accept_fn accepted, void *user, struct env_listener **out)
{
    struct io *io = io_of(env);
    int fd = -1;
    *out = NULL;
    enum err err = open_listener(host, port, &fd);
    if (err != ERR_OK) return err;
    if (io->spare_fd < 0) io->spare_fd = open_spare();
    struct io_listener *listener = mem_alloc(sizeof *listener);
    listener->listener.ops = io_ops();
    listener->io = io;
    listener->fd = fd;
    listener->port = bound_port(fd);
    listener->accepted = accepted;
    listener->user = user;
    list_push_back(&io->listeners, &listener->io_link);
    int failed = uv_poll_init(&io->loop, &listener->poll, fd);
    ASSERT(!failed);
    watch(listener);
    *out = &listener->listener;
    return ERR_OK;
}

uint16_t io_listener_port(const struct env_listener *listener) { return listener_of(listener)->port; }

void io_listener_pause(struct env_listener *base, bool is_paused)
{
    struct io_listener *listener = listener_of(base);
    ASSERT(!listener->is_closed);
    if (listener->is_paused == is_paused) return;
    listener->is_paused = is_paused;
    if (is_paused)
        (void)uv_poll_stop(&listener->poll);
    else
        watch(listener);
}

static void on_closed(uv_handle_t *handle) { mem_free(CONTAINER_OF((uv_poll_t *)handle, struct io_listener, poll)); }

static void close_listener(struct io_listener *listener)
{
    listener->is_closed = true;
    list_remove(&listener->io_link);
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    close(listener->fd);
}

void io_listener_close(struct env *env, struct env_listener *listener)
{
    (void)env;
    close_listener(listener_of(listener));
}

void io_listeners_close_all(struct io *io)
{
    LIST_FOR_EACH (&io->listeners, node) close_listener(CONTAINER_OF(node, struct io_listener, io_link));
}
