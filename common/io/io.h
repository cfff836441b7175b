/* struct env over the real system: one libuv loop, its sockets and files, and the lanes that wait for disks in its place.
 *
 * An io belongs to the thread that runs it. Only io_stop(), env_post() to its env and the file references are for any thread.
 * Sockets are watched with uv_poll and served with our own readv, writev and sendfile: all that is written to a stream in one
 * turn leaves in one call. Waiting system calls (fdatasync, cold reads, name look-ups, work) run on lanes: small sets of threads
 * that are made when first needed and never shared between kinds, so that a slow disk does not delay a name look-up. */
#ifndef SKIFF_COMMON_IO_IO_H
#define SKIFF_COMMON_IO_IO_H

#include "common/env.h"

struct io;

/* The logger must outlive it. */
struct io *io_create(const struct logger *logger);
struct env *io_env(struct io *io);
/* Serves until io_stop(); may be called again. */
void io_run(struct io *io);
void io_stop(struct io *io); /* any thread */
/* Ends the lanes (jobs that wait are dropped, those that run are waited for), closes what is open. No callback comes any more. */
void io_destroy(struct io *io);

/* Runs the io on a thread of its own, until io_stop(). */
void io_start_thread(struct io *io, const char *name);
void io_join_thread(struct io *io);

/* Calls fn on the loop's thread whenever the signal comes. At most one registration a signal. */
void io_on_signal(struct io *io, int signal_number, void (*fn)(void *user, int signal_number), void *user);

/* Lines on stderr: [2026-01-31 12:00:00,123] INFO [component] text */
struct logger io_stderr_logger(enum log_level level);

#endif
