/* scrape HOST:PORT PATH: one GET. Prints "status N" and the body; a page of metrics is checked by the strict reader first, and printed
 * as "SERIES VALUE" lines without comments. Exit status 1: no answer, or text that Prometheus would refuse. */
#include "tests/integration/exposition.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_S 10

static int connect_to(const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    if (!colon) return -1;
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) return -1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd >= 0) (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* All that comes until the peer closes, NUL-terminated. */
static char *read_all(int fd)
{
    size_t size = 0, capacity = 1 << 16;
    char *text = malloc(capacity);
    while (text) {
        ssize_t got = recv(fd, text + size, capacity - size - 1, 0);
        if (got <= 0) break;
        size += (size_t)got;
        if (capacity - size < 4096) text = realloc(text, capacity *= 2);
    }
    if (text) text[size] = '\0';
    return text;
}

static int print_metrics(const char *body)
{
    struct exposition *e = exposition_read(body);
    if (*e->error)
        (void)fprintf(stderr, "scrape: %s\n", e->error);
    else
        for (size_t i = 0; i < e->sample_count; i++)
            (void)printf("%.*s %.17g\n", (int)e->samples[i].size, e->samples[i].at, e->samples[i].value);
    int status = *e->error ? 1 : 0;
    free(e);
    return status;
}

int main(int argc, char **argv)
{
    char request[512];
    if (argc != 3) return fprintf(stderr, "usage: scrape HOST:PORT PATH\n"), 2;
    int fd = connect_to(argv[1]), status = 0, result = 1;
    if (fd < 0) return fprintf(stderr, "scrape: %s does not answer\n", argv[1]), 1;
    int size = snprintf(request, sizeof request, "GET %.200s HTTP/1.1\r\nHost: skiff\r\nConnection: close\r\n\r\n", argv[2]);
    char *text = send(fd, request, (size_t)size, MSG_NOSIGNAL) == size ? read_all(fd) : NULL;
    char *body = text ? strstr(text, "\r\n\r\n") : NULL;
    if (body && sscanf(text, "HTTP/1.1 %d", &status) == 1) {
        bool is_metrics = status == 200 && strstr(text, "text/plain; version=0.0.4") && strstr(text, "version=0.0.4") < body;
        (void)printf("status %d\n", status);
        result = is_metrics ? print_metrics(body + 4) : (printf("%s", body + 4), 0);
    } else {
        (void)fprintf(stderr, "scrape: no HTTP answer\n");
    }
    free(text);
    (void)close(fd);
    return result;
}
