/* What the parts of common/io share. */
#ifndef SKIFF_COMMON_IO_IO_INTERNAL_H
#define SKIFF_COMMON_IO_IO_INTERNAL_H

#include "common/assert.h"
#include "common/io/io.h"
#include "common/limits.h"
#include "common/mem.h"

#include <stdatomic.h>
#include <uv.h>

#define IO_SIGNALS_MAX 8

/* ---- lanes (lane.c) ------------------------------------------------------------------------------------------------ */

/* Threads that take jobs from one queue. */
struct lane {
    struct io *io;
    const char *name;
    uv_mutex_t mutex;
    uv_cond_t wake;
    struct list jobs;
    unsigned thread_count, thread_max, idle;
    bool is_stopping;
    uv_thread_t threads[4];
};
/* Runs on a lane; then `finish` on the loop's thread, which frees it and, when `tells`, completes the operation (not when the
 * loop is being destroyed). */
struct lane_job {
    struct list_node node;
    void (*run)(struct lane_job *job);
    void (*finish)(struct lane_job *job, bool tells);
};
void lane_init(struct lane *lane, struct io *io, const char *name, unsigned thread_max);
/* Waits for the jobs that run; those that wait are dropped. */
void lane_deinit(struct lane *lane);
void lane_submit(struct lane *lane, struct lane_job *job);

/* ---- io.c ---------------------------------------------------------------------------------------------------------- */

struct io {
    struct env env;
    uv_loop_t loop;
    uv_async_t async;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t timer;
    int64_t deadline_us, armed_us;
    bool is_now_fresh;
    _Atomic bool is_stopping;
    uv_thread_t thread;
    char thread_name[16];

    uv_mutex_t mailbox; /* guards the two lists */
    struct list messages, finished_jobs;

    struct lane commit_lane, read_lane, work_lane, resolve_lane;

    struct list streams, listeners, unsent;
    struct list dead; /* streams to free when the turn is over */
    int spare_fd;     /* given up to accept and close one more when descriptors run out */
    struct list locks;
    uint64_t random[32];
    unsigned random_left;
    struct io_signal {
        uv_signal_t handle;
        void (*fn)(void *user, int signal_number);
        void *user;
    } signals[IO_SIGNALS_MAX];
    unsigned signal_count;
    uint8_t read_buffer[CONNECTION_READ_BYTES];
};
static inline struct io *io_of(struct env *env) { return CONTAINER_OF(env, struct io, env); }
/* First thing in every callback of libuv: takes the time once a turn. */
void io_enter(struct io *io);
void io_finish_job(struct io *io, struct lane_job *job); /* any thread */
enum err io_err(int error_number);
const struct env_ops *io_ops(void);

/* ---- file.c, later.c ----------------------------------------------------------------------------------------------- */

struct io_file {
    struct env_file file;
    int fd;
};
static inline int io_fd(struct env_file *file) { return CONTAINER_OF(file, struct io_file, file)->fd; }

enum err io_file_open(struct env *env, const char *path, unsigned flags, struct env_file **out);
void io_file_close(struct env_file *file);
enum err io_file_size(struct env_file *file, int64_t *size);
enum err io_file_pwritev(struct env *env, struct env_file *file, const struct slice *slices, size_t count, int64_t position);
enum err io_file_truncate(struct env *env, struct env_file *file, int64_t size);
enum err io_file_allocate(struct env *env, struct env_file *file, int64_t position, int64_t size);
enum err io_file_pread_now(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
enum err io_file_pread_wait(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
enum err io_file_rename(struct env *env, const char *from, const char *to);
enum err io_file_unlink(struct env *env, const char *path);
enum err io_file_mkdir(struct env *env, const char *path);
enum err io_file_rmdir(struct env *env, const char *path);
enum err io_file_list(struct env *env, const char *path, void (*each)(void *, const char *, bool), void *context);
enum err io_file_space(struct env *env, const char *path, int64_t *free_bytes, int64_t *total_bytes);
enum err io_file_lock(struct env *env, const char *path);
void io_file_release_locks(struct io *io);
/* Waits for the medium. */
enum err io_sync_file(int fd);
enum err io_sync_directory(const char *path);

void io_later_pread(struct env *env, struct env_op *op, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
void io_later_commit(struct env *env, struct env_op *op, struct env_file *const *files, size_t file_count, const char *const *directories,
                     size_t directory_count);
enum err io_commit_wait(struct env *env, struct env_file *const *files, size_t file_count, const char *const *directories,
                        size_t directory_count);
void io_later_work(struct env *env, struct env_op *op, void (*fn)(void *arg), void *arg);

/* ---- stream.c, connect.c, listen.c --------------------------------------------------------------------------------- */

#define ADDRESSES_MAX 8

struct io_resolve; /* of connect.c: the look-up that is under way */
struct io_stream;
/* libuv holds its watcher a little longer than we hold the stream. */
struct io_poll {
    uv_poll_t poll;
    struct io_stream *stream; /* NULL: gone */
};
struct io_stream {
    struct env_stream stream;
    struct io *io;
    struct list_node io_link, unsent_link;
    struct io_poll *watch; /* of fd */
    int fd;                /* -1: none yet */
    int mask;
    bool is_connecting, is_paused, is_write_blocked, is_finishing, is_shut_down, is_closed;
    bool is_flowing; /* the last read was full */
    bool tells_drained;
    enum err pending_err;     /* to be told as CLOSED at the end of the turn */
    struct env_piece *pieces; /* a queue: [first, first + count) of a ring */
    uint32_t first, count, capacity;
    int64_t queued;
    struct env_timer timer; /* of connecting, then of finishing */
    struct io_resolve *resolve;
    enum err connect_err;               /* of the addresses tried so far */
    struct sockaddr_storage *addresses; /* that connecting still has to try */
    uint32_t address_at, address_count;
    char peer[48]; /* INET6_ADDRSTRLEN is 46 */
};
static inline struct io_stream *io_stream_of(const struct env_stream *stream)
{
    return CONTAINER_OF((struct env_stream *)(uintptr_t)stream, struct io_stream, stream);
}
struct io_stream *io_stream_create(struct io *io, env_stream_fn handler, void *user);
/* Takes over the descriptor and begins to watch it. */
void io_stream_attach(struct io_stream *stream, int fd);
void io_stream_set_peer(struct io_stream *stream, const struct sockaddr *address);
void io_stream_watch(struct io_stream *stream);
/* The connection is there. */
void io_stream_connected(struct io_stream *stream);
/* CLOSED comes at the end of the turn. */
void io_stream_fail_later(struct io_stream *stream, enum err err);
void io_stream_fail(struct io_stream *stream, enum err err);
void io_stream_release(struct io_stream *stream);
/* Writes what the sockets take; called when a turn ends. */
void io_flush(struct io *io);
void io_free_dead_streams(struct io *io);
void io_stream_detach_fd(struct io_stream *stream);

void io_stream_write(struct env *env, struct env_stream *stream, const struct env_piece *pieces, size_t count);
int64_t io_stream_queued(const struct env_stream *stream);
void io_stream_pause(struct env *env, struct env_stream *stream, bool paused);
void io_stream_close(struct env *env, struct env_stream *stream, bool after_drain);
const char *io_stream_peer(const struct env_stream *stream);

/* RFC 6761: "localhost" is loopback, also where no hosts file says so (containers, fresh chroots). */
#define IO_LOOPBACK "127.0.0.1"
static inline bool io_is_localhost(const char *host) { return strcmp(host, "localhost") == 0; }

struct env_stream *io_connect(struct env *env, const char *host, uint16_t port, int64_t timeout_us, env_stream_fn handler, void *user);
void io_connect_on_writable(struct io_stream *stream);
void io_connect_cancel(struct io_stream *stream);
/* TCP_NODELAY, keep-alive, and cubic in place of a paced congestion control: BBR costs loopback and LAN links dearly. */
void io_tune_socket(int fd);

enum err io_listen(struct env *env, const char *host, uint16_t port, env_accept_fn accepted, void *user, struct env_listener **out);
uint16_t io_listener_port(const struct env_listener *listener);
void io_listener_close(struct env *env, struct env_listener *listener);
void io_listener_pause(struct env_listener *listener, bool is_paused);
bool io_address(const char *text, char *address);
void io_listeners_close_all(struct io *io);

#endif
