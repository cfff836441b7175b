/* Loaded with LD_PRELOAD into a node: makes its disk fail on demand.
 *
 * The file named by $SKIFF_FAULT holds one line, or nothing: "CALL ERRNO-NUMBER PART-OF-PATH", e.g. "pwritev 28 /orders-0/".
 * While it says so, that call on a file whose path contains the part fails with that error.  Read anew at each call, so a
 * test switches the fault on and off from outside. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* 0, or the error that `call` on `fd` has to fail with. */
static int planned_error(const char *call, int fd)
{
    char line[512] = "", link[64], path[1024], wanted[32], part[256];
    int error = 0;
    const char *control = getenv("SKIFF_FAULT");
    FILE *file = control ? fopen(control, "re") : NULL;
    if (!file) return 0;
    bool planned = fgets(line, sizeof line, file) && sscanf(line, "%31s %d %255s", wanted, &error, part) == 3;
    (void)fclose(file);
    if (!planned || strcmp(wanted, call) != 0) return 0;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = '\0';
    return strstr(path, part) ? error : 0;
}

static int sync_with(const char *call, int fd)
{
    union {
        void *symbol;
        int (*call)(int);
    } real = {.symbol = dlsym(RTLD_NEXT, call)};
    int error = planned_error(call, fd);
    if (error == 0) return real.call(fd);
    errno = error;
    return -1;
}

__attribute__((visibility("default"))) int fsync(int fd) { return sync_with("fsync", fd); }
__attribute__((visibility("default"))) int fdatasync(int fd) { return sync_with("fdatasync", fd); }

__attribute__((visibility("default"))) ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t position)
{
    union {
        void *symbol;
        ssize_t (*call)(int, const struct iovec *, int, off_t);
    } real = {.symbol = dlsym(RTLD_NEXT, "pwritev")};
    int error = planned_error("pwritev", fd);
    if (error == 0) return real.call(fd, parts, count, position);
    errno = error;
    return -1;
}
