/* What this machine takes to move the bytes and do nothing else: the least that a server's CPU time per GB can be here.
 *
 *   floor DIRECTORY MEGABYTES      a line `NAME SECONDS-PER-GB` for each of
 *
 *     receive     from a loopback connection into one buffer that stays in the cache
 *     write       from such a buffer to the end of a new file in DIRECTORY
 *     produce     both: receive, write
 *     send        from memory to a loopback connection
 *     consume     the same from a file (sendfile)
 *     replicate   three times `produce`, twice `send`: a leader and two followers
 *
 * A virtual machine pays for memory that its host has yet to give it; `write` says how much of that is in a run. The same
 * socket options as common/io sets. CPU time is this process's; its peer is another one. */
#include "common/assert.h"
#include "common/mem.h"
#include "common/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 << 10, PATIENCE_S = 120 };

struct floor {
    const char *directory;
    int64_t bytes;
    uint8_t *piece;
    int file, peer; /* -1: the step needs none */
};

static void require(bool is_true, const char *what)
{
    if (is_true) return;
    perror(what);
    exit(1);
}

static double cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the steps, until all bytes have passed ---- */

static int64_t receive_some(const struct floor *f)
{
    ssize_t got = read(f->peer, f->piece, PIECE);
    require(got > 0, "read");
    return got;
}

static void write_all(const struct floor *f, int64_t size, int64_t position)
{
    for (int64_t done = 0; done < size;) {
        ssize_t written = pwrite(f->file, f->piece + done, (size_t)(size - done), position + done);
        require(written > 0, "pwrite");
        done += written;
    }
}

static void receive_step(const struct floor *f)
{
    for (int64_t done = 0; done < f->bytes;) done += receive_some(f);
}

static void write_step(const struct floor *f)
{
    for (int64_t done = 0; done < f->bytes; done += PIECE) write_all(f, PIECE, done);
}

static void produce_step(const struct floor *f)
{
    for (int64_t done = 0; done < f->bytes;) {
        int64_t got = receive_some(f);
        write_all(f, got, done);
        done += got;
    }
}

static void send_step(const struct floor *f)
{
    for (int64_t done = 0; done < f->bytes;) {
        ssize_t sent = send(f->peer, f->piece, PIECE, MSG_NOSIGNAL);
        require(sent > 0, "send");
        done += sent;
    }
}

static void sendfile_step(const struct floor *f)
{
    for (off_t done = 0; done < f->bytes;) require(sendfile(f->peer, f->file, &done, PIECE) > 0, "sendfile");
}

/* ---- what they work on ---- */

static void open_file(struct floor *f)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/floor.XXXXXX", f->directory);
    require(length > 0 && (size_t)length < sizeof path, "the directory's name");
    f->file = mkstemp(path);
    require(f->file >= 0 && unlink(path) == 0, path);
    (void)fallocate(f->file, FALLOC_FL_KEEP_SIZE, 0, f->bytes); /* it saves, where there is such a thing */
}

static void tune(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
}

/* A child runs `role` on the other end. */
static pid_t open_peer(struct floor *f, void (*role)(const struct floor *f))
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr *any = (struct sockaddr *)(void *)&address;
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(listener >= 0 && bind(listener, any, size) == 0 && listen(listener, 1) == 0 && getsockname(listener, any, &size) == 0,
            "listen");
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        (void)alarm(PATIENCE_S);
        f->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        require(f->peer >= 0 && connect(f->peer, any, size) == 0, "connect");
        tune(f->peer);
        role(f);
        _exit(0);
    }
    f->peer = accept(listener, NULL, NULL);
    require(f->peer >= 0, "accept");
    tune(f->peer);
    close(listener);
    return child;
}

struct step {
    const char *name;
    void (*run)(const struct floor *f);
    void (*peer)(const struct floor *f);
    bool has_file, has_content;
};

static double measure(struct floor *f, const struct step *step)
{
    f->file = f->peer = -1;
    if (step->has_file) open_file(f);
    if (step->has_content) write_step(f);
    pid_t child = step->peer ? open_peer(f, step->peer) : 0;
    double before_s = cpu_s();
    step->run(f);
    double seconds = cpu_s() - before_s;
    if (f->peer >= 0) close(f->peer);
    if (f->file >= 0) close(f->file);
    int status = 0;
    if (child) require(waitpid(child, &status, 0) == child && status == 0, "the peer");
    return seconds / ((double)f->bytes / 1e9);
}

int main(int argc, char **argv)
{
    static const struct step steps[] = {
        {.name = "receive", .run = receive_step, .peer = send_step},
        {.name = "write", .run = write_step, .has_file = true},
        {.name = "produce", .run = produce_step, .peer = send_step, .has_file = true},
        {.name = "send", .run = send_step, .peer = receive_step},
        {.name = "consume", .run = sendfile_step, .peer = receive_step, .has_file = true, .has_content = true},
    };
    int64_t megabytes = 0;
    if (argc != 3 || !str_parse_i64(slice_str(argv[2]), &megabytes) || megabytes < 1 || megabytes > 100000) {
        (void)fprintf(stderr, "usage: floor DIRECTORY MEGABYTES\n");
        return 2;
    }
    struct floor f = {.directory = argv[1], .bytes = (megabytes * 1000000 / PIECE + 1) * PIECE, .piece = mem_calloc(1, PIECE)};
    double produce_s = 0, send_s = 0;
    (void)alarm(PATIENCE_S * (unsigned)(sizeof steps / sizeof *steps));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        double seconds = measure(&f, &steps[i]);
        if (steps[i].run == produce_step) produce_s = seconds;
        if (steps[i].run == send_step) send_s = seconds;
        (void)printf("%s %.3f\n", steps[i].name, seconds);
        (void)fflush(stdout);
    }
    (void)printf("replicate %.3f\n", 3 * produce_s + 2 * send_s);
    mem_free(f.piece);
    return 0;
}
