#include "broker/admin/http_listen.h"

#include "broker/admin/port_owner.h"
#include "common/limits.h"
#include "common/str.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 16

static enum err fail(enum err err, char *reason, const char *listener, const char *what)
{
    (void)snprintf(reason, CONFIG_LINE_MAX, "admin.http.listener=%.260s: %s", listener, what);
    return err;
}

static enum err explain(int error, char *reason, const char *listener, uint16_t port)
{
    char text[200] = "";
    struct port_owner owner;
    if (error != EADDRINUSE) {
        (void)snprintf(text, sizeof text, "cannot listen there: %s", strerror(error));
        return fail(ERR_IO, reason, listener, text);
    }
    if (port_owner_find(port, &owner))
        (void)snprintf(text, sizeof text, "the port is in use (%s, pid %d, has it): choose another", owner.name, owner.pid);
    else
        (void)snprintf(text, sizeof text, "the port is in use: stop the other program, or choose another");
    return fail(ERR_IN_USE, reason, listener, text);
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address = {0};
    char service[NI_MAXSERV];
    socklen_t size = sizeof address;
    int64_t port = 0;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return 0;
    if (getnameinfo((struct sockaddr *)&address, size, NULL, 0, service, sizeof service, NI_NUMERICSERV) != 0) return 0;
    return str_parse_i64(slice_str(service), &port) ? (uint16_t)port : 0;
}

/* 0, or errno. */
static int listen_on(const struct addrinfo *address, int *out)
{
    int on = 1, off = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ai_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        *out = fd;
        return 0;
    }
    int error = errno;
    (void)close(fd);
    return error;
}

enum err http_listen(const char *listener, int *socket, uint16_t *port, char reason[static CONFIG_LINE_MAX])
{
    struct slice host_part;
    char host[HOST_MAX + 1], service[8];
    if (!str_parse_host_port(slice_str(listener), &host_part, port) || host_part.n > HOST_MAX)
        return fail(ERR_INVALID, reason, listener, "give HOST:PORT, e.g. 127.0.0.1:9644, or nothing for no HTTP");
    (void)snprintf(host, sizeof host, "%.*s", SLICE_ARG(host_part));
    (void)snprintf(service, sizeof service, "%u", *port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    if (getaddrinfo(*host ? host : NULL, service, &hints, &found) != 0)
        return fail(ERR_UNRESOLVED, reason, listener, "this machine has no such address");
    int error = EADDRNOTAVAIL, fd = -1;
    for (const struct addrinfo *at = found; at && fd < 0 && error != EADDRINUSE; at = at->ai_next) error = listen_on(at, &fd);
    freeaddrinfo(found);
    if (fd < 0) return explain(error, reason, listener, *port);
    *socket = fd;
    *port = port_of(fd);
    return ERR_OK;
}
