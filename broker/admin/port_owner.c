#include "broker/admin/port_owner.h"

#include "common/str.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0a
#define PATH_SIZE    300 /* "/proc/PID/fd/" and a name of at most 255 bytes */

/* The socket that listens on the port, by a table like /proc/net/tcp; 0: none. */
static unsigned long find_socket(const char *table, uint16_t port)
{
    char line[512];
    unsigned long found = 0;
    FILE *file = fopen(table, "re");
    if (!file) return 0;
    while (!found && fgets(line, sizeof line, file)) {
        unsigned local_port = 0, state = 0;
        unsigned long inode = 0;
        /* slot, local address:port, remote address:port, state, queues, timers, retransmissions, user, timeout, inode */
        int fields = sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu", &local_port, &state, &inode);
        if (fields == 3 && local_port == port && state == STATE_LISTEN) found = inode;
    }
    (void)fclose(file);
    return found;
}

static bool holds_socket(int pid, const char *socket)
{
    char path[PATH_SIZE], target[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    struct dirent *entry = NULL;
    bool holds = false;
    while (dir && !holds && (entry = readdir(dir))) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, entry->d_name);
        ssize_t size = readlink(path, target, sizeof target - 1);
        if (size <= 0) continue;
        target[size] = '\0';
        holds = strcmp(target, socket) == 0;
    }
    if (dir) (void)closedir(dir);
    return holds;
}

static void read_name(struct port_owner *owner)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%d/comm", owner->pid);
    (void)snprintf(owner->name, sizeof owner->name, "a process");
    FILE *file = fopen(path, "re");
    if (!file) return;
    char name[sizeof owner->name];
    if (fgets(name, sizeof name, file)) (void)snprintf(owner->name, sizeof owner->name, "%.*s", (int)strcspn(name, "\n"), name);
    (void)fclose(file);
}

bool port_owner_find(uint16_t port, struct port_owner *owner)
{
    char socket[64];
    unsigned long inode = find_socket("/proc/net/tcp", port);
    if (!inode) inode = find_socket("/proc/net/tcp6", port);
    if (!inode) return false;
    (void)snprintf(socket, sizeof socket, "socket:[%lu]", inode);
    DIR *dir = opendir("/proc");
    struct dirent *entry = NULL;
    bool is_found = false;
    while (dir && !is_found && (entry = readdir(dir))) {
        int64_t pid = 0;
        if (!str_parse_i64(slice_str(entry->d_name), &pid) || !holds_socket((int)pid, socket)) continue;
        owner->pid = (int)pid;
        read_name(owner);
        is_found = true;
    }
    if (dir) (void)closedir(dir);
    return is_found;
}
