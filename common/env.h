/* The only door to the outside: clock, randomness, files, byte streams, timers, work and messages between threads.
 *
 * Two implementations: common/io (libuv, OpenSSL; the real process) and tests/sim (virtual time, a network that delays, cuts
 * and splits, disks that lose or tear what was not committed). Everything else is written against this header and linked
 * unchanged into both.
 *
 * A struct env is one loop thread. All functions are called on that thread and all callbacks come on it, never from inside
 * the call that asked for them; the exceptions are marked "any thread". Monotonic time (microseconds, starts anywhere) comes
 * with each callback as now_us. One turn of the loop delivers any number of callbacks and then, once, those registered with
 * env_at_turn_end(): that is where appends and replies of the turn are put together.
 *
 * Errors are enum err. Paths are absolute or relative to the working directory, UTF-8, at most PATH_BYTES_MAX bytes. */
#ifndef SKIFF_COMMON_ENV_H
#define SKIFF_COMMON_ENV_H

#include "common/buf.h"
#include "common/err.h"
#include "common/heap.h"
#include "common/list.h"
#include "common/logger.h"

#define ENV_ADDRESS_MAX 64 /* an address as text, with its end */

struct env;
struct env_file;
struct env_stream;
struct env_listener;

/* ---- time and randomness ------------------------------------------------------------------------------------------- */

/* Milliseconds since 1970. May jump either way: for record timestamps and retention, never for timeouts. */
int64_t env_wall_ms(struct env *env);
uint64_t env_random64(struct env *env);
/* Nanoseconds, monotonic, at this moment rather than in this turn: to measure what work costs, never for deadlines. */
int64_t env_clock_ns(struct env *env);
/* The time of the current turn, for code that is started outside a callback. */
int64_t env_now_us(struct env *env);
const struct logger *env_logger(struct env *env);

/* One deadline, owned by the caller and embedded where it is needed. */
struct env_timer {
    struct heap_node node; /* the env's */
    void (*fire)(struct env_timer *timer, int64_t now_us);
};
void env_timer_init(struct env_timer *timer, void (*fire)(struct env_timer *timer, int64_t now_us));
/* Replaces an earlier setting. A time in the past fires in the next turn. */
void env_timer_set(struct env *env, struct env_timer *timer, int64_t at_us);
/* No-op when not set. */
void env_timer_clear(struct env *env, struct env_timer *timer);

/* Called at the end of this turn, once; scheduling it again before that is a no-op. Inside run() it may be scheduled again:
 * it then runs in this same turn, so that effects of effects leave together (bounded by the caller). */
struct env_turn_end {
    struct list_node node; /* the env's */
    void (*run)(struct env_turn_end *turn_end, int64_t now_us);
};
void env_at_turn_end(struct env *env, struct env_turn_end *turn_end);
void env_cancel_turn_end(struct env *env, struct env_turn_end *turn_end);

/* ---- completions --------------------------------------------------------------------------------------------------- */

/* An operation that completes later; embedded in the caller's own state, which must live until done() is called. There is no
 * cancelling: done() comes exactly once, unless the env ends before: then dropped() does. */
struct env_op {
    void (*done)(struct env_op *op, enum err err, int64_t now_us);
    void (*dropped)(struct env_op *op); /* optional: frees what only done() would have freed, and does nothing else */
    void *internal[4];                  /* the env's */
};

/* ---- files, at once ------------------------------------------------------------------------------------------------ */

enum env_open_flags {
    ENV_OPEN_READ = 1,
    ENV_OPEN_WRITE = 2,
    ENV_OPEN_CREATE = 4,   /* when missing; durable only after a commit that names its directory */
    ENV_OPEN_TRUNCATE = 8, /* empty it */
};
/* One reference. */
NODISCARD enum err env_open(struct env *env, const char *path, unsigned flags, struct env_file **out);
struct env_file *env_file_ref(struct env_file *file); /* any thread */
void env_file_unref(struct env_file *file);           /* any thread; the last one closes */
NODISCARD enum err env_file_size(struct env_file *file, int64_t *size);

/* Writes all the slices one after the other at `position`, or fails: ERR_NO_SPACE (part of it may be in the file) or ERR_IO.
 * Goes to the page cache: durable only after a commit. */
NODISCARD enum err env_pwritev(struct env *env, struct env_file *file, const struct slice *slices, size_t count, int64_t position);
NODISCARD enum err env_truncate(struct env *env, struct env_file *file, int64_t size);
/* Reserves space without changing the size. A file system that cannot is not an error. */
NODISCARD enum err env_allocate(struct env *env, struct env_file *file, int64_t position, int64_t size);
/* Up to `size` bytes without waiting for a disk; *got < size only at the end of the file. ERR_AGAIN: not in memory.
 * Waits after all on a file system that cannot tell. */
NODISCARD enum err env_pread_now(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
/* The same, waiting for the disk: start-up, recovery and tools only. */
NODISCARD enum err env_pread_wait(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);

NODISCARD enum err env_rename(struct env *env, const char *from, const char *to);
NODISCARD enum err env_unlink(struct env *env, const char *path);
NODISCARD enum err env_mkdir(struct env *env, const char *path); /* with missing parents; an existing directory is ok */
/* The same, and its name and those of its parents are durable: waits for the disk, for start-up. */
NODISCARD enum err env_mkdir_durable(struct env *env, const char *path);
NODISCARD enum err env_rmdir(struct env *env, const char *path);
/* Calls `each` for every entry but "." and "..", in byte order of the names. The name lives only during the call. */
NODISCARD enum err env_list(struct env *env, const char *path, void (*each)(void *context, const char *name, bool is_directory),
                            void *context);
/* Free and total bytes of the file system. */
NODISCARD enum err env_space(struct env *env, const char *path, int64_t *free_bytes, int64_t *total_bytes);
/* Exclusive until the process ends; ERR_IN_USE when another process holds it. */
NODISCARD enum err env_lock_file(struct env *env, const char *path);

/* ---- files, later -------------------------------------------------------------------------------------------------- */

/* `into` must live until done(). op->internal is the env's; *got is set before done(). */
void env_pread(struct env *env, struct env_op *op, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);

/* Makes durable: all that was written to the files before this call, and the creations, renames and removals before this call
 * in the directories. done(OK) means it survives a power cut. Any error means that the state of the medium is unknown, even if
 * a later commit succeeds (Linux marks the lost pages clean): the caller takes the log directory offline.
 * The env takes its own file references and copies of the paths. Commits may complete in another order than asked. A directory
 * that is gone by then is not an error: its removal is durable with a commit of the directory that it was in. */
void env_commit(struct env *env, struct env_op *op, struct env_file *const *files, size_t file_count, const char *const *directories,
                size_t directory_count);
/* The same, waiting: start-up and shutdown only. */
NODISCARD enum err env_commit_wait(struct env *env, struct env_file *const *files, size_t file_count, const char *const *directories,
                                   size_t directory_count);

/* ---- byte streams -------------------------------------------------------------------------------------------------- */

enum env_stream_event_type {
    ENV_STREAM_CONNECTED, /* of env_connect() */
    ENV_STREAM_BYTES,     /* some bytes came; the slice lives during the callback only */
    ENV_STREAM_DRAINED,   /* all that was written has been handed to the kernel */
    ENV_STREAM_CLOSED,    /* by the peer, by an error, or connect failed; the last event: the stream is gone when it returns */
};
struct env_stream_event {
    enum env_stream_event_type type;
    int64_t now_us;
    struct slice bytes; /* BYTES */
    enum err err;       /* CLOSED: ERR_RESET, ERR_REFUSED (nobody listens there: DESIGN 3's evidence), ERR_TIMEOUT, ERR_UNRESOLVED, ... */
};
typedef void (*env_stream_fn)(void *user, struct env_stream *stream, const struct env_stream_event *event);

/* Part of an output. The stream takes over the reference. */
struct env_piece {
    struct buf *buf;       /* or NULL: a file range */
    struct env_file *file; /* or NULL */
    int64_t position;      /* first byte: in buf->data, or in the file */
    int64_t length;
};
static inline struct env_piece env_piece_buf(struct buf *buf) { return (struct env_piece){.buf = buf, .length = (int64_t)buf->size}; }
static inline struct env_piece env_piece_file(struct env_file *file, int64_t position, int64_t length)
{
    return (struct env_piece){.file = file, .position = position, .length = length};
}

/* `accepted` is called for each new connection and sets its handler with env_stream_handle(); one it does not handle is closed. */
typedef void (*env_accept_fn)(void *user, struct env_stream *stream, int64_t now_us);
/* Port 0 asks the system for one. Host: an address, a name, or "" for all interfaces. */
NODISCARD enum err env_listen(struct env *env, const char *host, uint16_t port, env_accept_fn accepted, void *user,
                              struct env_listener **out);
uint16_t env_listener_port(const struct env_listener *listener);
void env_listener_close(struct env *env, struct env_listener *listener);
/* While it is paused nobody is accepted: new connections wait in the system's queue. */
void env_listener_pause(struct env *env, struct env_listener *listener, bool is_paused);
/* An address in the words of env_stream_peer(); false: the text is none. Names are not looked up. */
NODISCARD bool env_address(struct env *env, struct slice text, char address[static ENV_ADDRESS_MAX]);

/* Never fails at once: a failure comes as CLOSED. `timeout_us` bounds resolving and connecting. */
struct env_stream *env_connect(struct env *env, const char *host, uint16_t port, int64_t timeout_us, env_stream_fn handler, void *user);
void env_stream_handle(struct env_stream *stream, env_stream_fn handler, void *user);
/* Queues the pieces; they leave together at the end of the turn at the latest, in order. Always accepted: look at
 * env_stream_queued() for back-pressure. */
void env_write(struct env *env, struct env_stream *stream, const struct env_piece *pieces, size_t count);
/* Bytes written and not yet handed to the kernel. */
int64_t env_stream_queued(const struct env_stream *stream);
/* No BYTES until resumed; the peer is slowed down by TCP. */
void env_stream_pause(struct env *env, struct env_stream *stream);
void env_stream_resume(struct env *env, struct env_stream *stream);
/* Drops what is queued; no further event; the stream is gone. */
void env_stream_close(struct env *env, struct env_stream *stream);
/* The same after what is queued has left (at most 5 s). */
void env_stream_finish(struct env *env, struct env_stream *stream);
/* Room for the next bytes: they go there as far as it reaches, and the slice of their BYTES says so by its address. Spares a long
 * message a copy. It holds for one BYTES, and must stay until that or the end of the stream; size 0 takes it back. The read that
 * fills it may bring a second BYTES at once, also after the first paused the stream. */
void env_stream_read_into(struct env_stream *stream, uint8_t *room, size_t size);
/* The peer's address without port, e.g. "127.0.0.1"; lives as long as the stream. */
const char *env_stream_peer(const struct env_stream *stream);

/* ---- work and messages --------------------------------------------------------------------------------------------- */

/* Runs fn(arg) on another thread (the simulator: later, on this one), then op->done(OK). fn shares nothing with the loop but
 * `arg`, immutable buffers and file references. */
void env_work(struct env *env, struct env_op *op, void (*fn)(void *arg), void *arg);

/* A message between loops of one process, embedded in the sender's struct; ownership moves with it. */
struct env_message {
    struct list_node node;                                        /* the env's */
    void (*deliver)(struct env_message *message, int64_t now_us); /* on the target's thread */
    void (*dropped)(struct env_message *message);                 /* optional: the target ended first; frees the message */
};
void env_post(struct env *target, struct env_message *message); /* any thread */

/* For the implementations, when an env ends. */
static inline void env_op_drop(struct env_op *op)
{
    if (op->dropped) op->dropped(op);
}
void env_drop_messages(struct list *messages);

/* "This rare thing happened": the simulator's nightly run fails when one never did (reliability: state coverage). */
void env_mark(struct env *env, const char *name);

/* ---- for the implementations ----------------------------------------------------------------------------------------
 * env.c forwards each call above to this table; an implementation embeds struct env first in its own struct. */
struct env_ops {
    int64_t (*wall_ms)(struct env *env);
    uint64_t (*random64)(struct env *env);
    int64_t (*clock_ns)(struct env *env);
    enum err (*open)(struct env *env, const char *path, unsigned flags, struct env_file **out);
    void (*file_close)(struct env_file *file); /* last reference; any thread */
    enum err (*file_size)(struct env_file *file, int64_t *size);
    enum err (*pwritev)(struct env *env, struct env_file *file, const struct slice *slices, size_t count, int64_t position);
    enum err (*truncate)(struct env *env, struct env_file *file, int64_t size);
    enum err (*allocate)(struct env *env, struct env_file *file, int64_t position, int64_t size);
    enum err (*pread_now)(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
    enum err (*pread_wait)(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
    enum err (*rename)(struct env *env, const char *from, const char *to);
    enum err (*unlink)(struct env *env, const char *path);
    enum err (*mkdir)(struct env *env, const char *path);
    enum err (*rmdir)(struct env *env, const char *path);
    enum err (*list)(struct env *env, const char *path, void (*each)(void *, const char *, bool), void *context);
    enum err (*space)(struct env *env, const char *path, int64_t *free_bytes, int64_t *total_bytes);
    enum err (*lock_file)(struct env *env, const char *path);
    void (*pread)(struct env *env, struct env_op *op, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
    void (*commit)(struct env *env, struct env_op *op, struct env_file *const *files, size_t file_count, const char *const *directories,
                   size_t directory_count);
    enum err (*commit_wait)(struct env *env, struct env_file *const *files, size_t file_count, const char *const *directories,
                            size_t directory_count);
    enum err (*listen)(struct env *env, const char *host, uint16_t port, env_accept_fn accepted, void *user, struct env_listener **out);
    uint16_t (*listener_port)(const struct env_listener *listener);
    void (*listener_close)(struct env *env, struct env_listener *listener);
    void (*listener_pause)(struct env_listener *listener, bool is_paused);
    bool (*address)(const char *text, char *address);
    struct env_stream *(*connect)(struct env *env, const char *host, uint16_t port, int64_t timeout_us, env_stream_fn handler, void *user);
    void (*write)(struct env *env, struct env_stream *stream, const struct env_piece *pieces, size_t count);
    int64_t (*queued)(const struct env_stream *stream);
    void (*pause)(struct env *env, struct env_stream *stream, bool paused);
    void (*stream_close)(struct env *env, struct env_stream *stream, bool after_drain);
    const char *(*peer)(const struct env_stream *stream);
    void (*work)(struct env *env, struct env_op *op, void (*fn)(void *arg), void *arg);
    void (*post)(struct env *target, struct env_message *message);
    void (*mark)(struct env *env, const char *name);
    /* The first timer changed: wake up then. INT64_MAX: no timer. */
    void (*deadline_changed)(struct env *env, int64_t at_us);
};

struct env {
    const struct env_ops *ops;
    const struct logger *logger;
    int64_t now_us; /* of this turn; the implementation sets it before callbacks */
    struct heap timers;
    struct list turn_ends;
};
/* First members of every implementation's file and stream structs. */
struct env_file {
    const struct env_ops *ops;
    _Atomic uint32_t references;
};
struct env_stream {
    const struct env_ops *ops;
    env_stream_fn handler;
    void *user;
    uint8_t *room; /* of env_stream_read_into() */
    size_t room_size;
};
struct env_listener {
    const struct env_ops *ops;
};
void env_init(struct env *env, const struct env_ops *ops, const struct logger *logger, int64_t now_us);
void env_deinit(struct env *env);
/* Fires the timers that are due at env->now_us. */
void env_run_timers(struct env *env);
/* Runs the registered turn ends until none is left; asserts after 1,000 rounds (a loop that feeds itself). */
void env_run_turn_ends(struct env *env);

#endif
