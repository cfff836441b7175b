/* File calls that are answered at once. */
#include "common/io/io_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_MODE       0644
#define DIRECTORY_MODE  0755
#define SLICES_PER_CALL 64

enum err io_err(int error_number)
{
    switch (error_number) {
    case 0: return ERR_OK;
    case EAGAIN: return ERR_AGAIN;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY: return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS: return ERR_DENIED;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS: return ERR_LIMIT;
    case EINVAL:
    case EISDIR:
    case ENOTDIR:
    case ENAMETOOLONG: return ERR_INVALID;
    case EADDRINUSE: return ERR_IN_USE;
    case ECONNREFUSED: return ERR_REFUSED;
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN: return ERR_RESET;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL: return ERR_UNREACHABLE_HOST;
    default: return ERR_IO;
    }
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

enum err io_file_open(struct env *env, const char *path, unsigned flags, struct env_file **out)
{
    (void)env;
    *out = NULL;
    int mode = flags & ENV_OPEN_WRITE ? (flags & ENV_OPEN_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    if (flags & ENV_OPEN_CREATE) mode |= O_CREAT;
    if (flags & ENV_OPEN_TRUNCATE) mode |= O_TRUNC;
    int fd = open(path, mode | O_CLOEXEC, FILE_MODE);
    if (fd < 0) return io_err(errno);
    struct io_file *file = mem_alloc(sizeof *file);
    file->file.ops = io_ops();
    atomic_init(&file->file.references, 1);
    file->fd = fd;
    *out = &file->file;
    return ERR_OK;
}

void io_file_close(struct env_file *handle)
{
    struct io_file *file = CONTAINER_OF(handle, struct io_file, file);
    close(file->fd);
    mem_free(file);
}

enum err io_file_size(struct env_file *file, int64_t *size)
{
    struct stat status;
    if (fstat(io_fd(file), &status) != 0) return io_err(errno);
    *size = status.st_size;
    return ERR_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

/* Writes at least something; *written says how much. */
static enum err write_some(int fd, const struct iovec *parts, int count, int64_t position, size_t *written)
{
    ssize_t result = 0;
    do {
        result = pwritev(fd, parts, count, position);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return io_err(errno);
    *written = (size_t)result;
    /* A write of nothing without an error: the device takes no more. */
    return result == 0 ? ERR_NO_SPACE : ERR_OK;
}

enum err io_file_pwritev(struct env *env, struct env_file *file, const struct slice *slices, size_t count, int64_t position)
{
    (void)env;
    size_t skip = 0; /* bytes of slices[0] that are written */
    while (count > 0) {
        struct iovec parts[SLICES_PER_CALL];
        size_t used = 0, total = 0, written = 0;
        for (; used < count && used < SLICES_PER_CALL; used++) {
            size_t skipped = used == 0 ? skip : 0;
            parts[used] = (struct iovec){(void *)(uintptr_t)(slices[used].p + skipped), slices[used].n - skipped};
            total += parts[used].iov_len;
        }
        if (total > 0) {
            enum err err = write_some(io_fd(file), parts, (int)used, position, &written);
            if (err != ERR_OK) return err;
        }
        position += (int64_t)written;
        for (written += skip; count > 0 && written >= slices->n; slices++, count--) written -= slices->n;
        skip = count > 0 ? written : 0;
    }
    return ERR_OK;
}

enum err io_file_truncate(struct env *env, struct env_file *file, int64_t size)
{
    (void)env;
    return ftruncate(io_fd(file), size) == 0 ? ERR_OK : io_err(errno);
}

enum err io_file_allocate(struct env *env, struct env_file *file, int64_t position, int64_t size)
{
    (void)env;
    if (fallocate(io_fd(file), FALLOC_FL_KEEP_SIZE, position, size) == 0) return ERR_OK;
    return errno == EOPNOTSUPP || errno == ENOSYS ? ERR_OK : io_err(errno);
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static enum err read_all(int fd, void *into, size_t size, int64_t position, int flags, size_t *got)
{
    *got = 0;
    while (*got < size) {
        struct iovec part = {(uint8_t *)into + *got, size - *got};
        ssize_t result = preadv2(fd, &part, 1, position + (int64_t)*got, flags);
        if (result == 0) return ERR_OK;
        if (result > 0)
            *got += (size_t)result;
        else if (flags != 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
            flags = 0; /* tmpfs and others cannot tell what is resident: "later" would be said for ever */
        else if (errno != EINTR)
            return io_err(errno);
    }
    return ERR_OK;
}

enum err io_file_pread_now(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    (void)env;
    return read_all(io_fd(file), into, size, position, RWF_NOWAIT, got);
}

enum err io_file_pread_wait(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    (void)env;
    return read_all(io_fd(file), into, size, position, 0, got);
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

enum err io_file_rename(struct env *env, const char *from, const char *to)
{
    (void)env;
    return rename(from, to) == 0 ? ERR_OK : io_err(errno);
}

enum err io_file_unlink(struct env *env, const char *path)
{
    (void)env;
    return unlink(path) == 0 ? ERR_OK : io_err(errno);
}

enum err io_file_rmdir(struct env *env, const char *path)
{
    (void)env;
    return rmdir(path) == 0 ? ERR_OK : io_err(errno);
}

static enum err make_one(const char *path)
{
    struct stat status;
    if (mkdir(path, DIRECTORY_MODE) == 0) return ERR_OK;
    if (errno != EEXIST) return io_err(errno);
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? ERR_OK : ERR_EXISTS;
}

enum err io_file_mkdir(struct env *env, const char *path)
{
    (void)env;
    char part[PATH_BYTES_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) return ERR_INVALID;
    memcpy(part, path, length + 1);
    for (size_t end = 1; end <= length; end++) {
        if (path[end] != '/' && path[end] != 0) continue;
        part[end] = 0;
        enum err err = make_one(part);
        if (err != ERR_OK) return err;
        part[end] = path[end];
    }
    return ERR_OK;
}

static int compare_entries(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static bool entry_is_directory(const char *path, const struct dirent *entry)
{
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK) return entry->d_type == DT_DIR;
    char full[PATH_BYTES_MAX];
    struct stat status;
    int length = snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
    return length > 0 && (size_t)length < sizeof full && stat(full, &status) == 0 && S_ISDIR(status.st_mode);
}

enum err io_file_list(struct env *env, const char *path, void (*each)(void *, const char *, bool), void *context)
{
    (void)env;
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, compare_entries);
    if (count < 0) return io_err(errno);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) each(context, name, entry_is_directory(path, entries[i]));
        free(entries[i]);
    }
    free((void *)entries);
    return ERR_OK;
}

enum err io_file_space(struct env *env, const char *path, int64_t *free_bytes, int64_t *total_bytes)
{
    (void)env;
    struct statvfs status;
    if (statvfs(path, &status) != 0) return io_err(errno);
    *free_bytes = (int64_t)(status.f_bavail * status.f_frsize);
    *total_bytes = (int64_t)(status.f_blocks * status.f_frsize);
    return ERR_OK;
}

struct held_lock {
    struct list_node node;
    int fd;
};

enum err io_file_lock(struct env *env, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0) return io_err(errno);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        enum err err = errno == EWOULDBLOCK ? ERR_IN_USE : io_err(errno);
        close(fd);
        return err;
    }
    struct held_lock *lock = mem_alloc(sizeof *lock);
    lock->fd = fd;
    list_push_back(&io_of(env)->locks, &lock->node);
    return ERR_OK;
}

void io_file_release_locks(struct io *io)
{
    LIST_FOR_EACH (&io->locks, node) {
        struct held_lock *lock = CONTAINER_OF(node, struct held_lock, node);
        close(lock->fd);
        mem_free(lock);
    }
}

/* ---- making durable ------------------------------------------------------------------------------------------------ */

enum err io_sync_file(int fd) { return fdatasync(fd) == 0 ? ERR_OK : ERR_IO; }

enum err io_sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Removed or renamed since: making that durable is the business of the directory that it was in. */
    if (fd < 0) return errno == ENOENT ? ERR_OK : io_err(errno);
    enum err err = fsync(fd) == 0 ? ERR_OK : ERR_IO;
    close(fd);
    return err;
}

enum err io_commit_wait(struct env *env, struct env_file *const *files, size_t file_count, const char *const *directories,
                        size_t directory_count)
{
    (void)env;
    enum err err = ERR_OK;
    for (size_t i = 0; i < file_count && err == ERR_OK; i++) err = io_sync_file(io_fd(files[i]));
    for (size_t i = 0; i < directory_count && err == ERR_OK; i++) err = io_sync_directory(directories[i]);
    return err;
}
