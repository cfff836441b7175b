/* The loop: turns, timers, messages, signals, life and death. */
#include "common/io/io_internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Effects of effects leave together, but a loop that feeds itself lets the sockets have their turn. */
#define TURN_ROUNDS_MAX 4

#define COMMIT_THREADS 4
#define READ_THREADS   2

/* ---- turns --------------------------------------------------------------------------------------------------------- */

static int64_t clock_us(void) { return (int64_t)(uv_hrtime() / 1000); }

void io_enter(struct io *io)
{
    if (io->is_now_fresh) return;
    io->is_now_fresh = true;
    io->env.now_us = clock_us();
}

static void on_idle(uv_idle_t *idle) { (void)idle; }

static bool has_turn_work(const struct io *io) { return !list_is_empty(&io->env.turn_ends) || !list_is_empty(&io->unsent); }

static void end_turn(struct io *io)
{
    for (int round = 0; round < TURN_ROUNDS_MAX && has_turn_work(io); round++) {
        io_enter(io);
        env_run_turn_ends(&io->env);
        io_flush(io);
    }
    io_free_dead_streams(io);
    /* With work left the next poll must not wait. */
    if (has_turn_work(io))
        uv_idle_start(&io->idle, on_idle);
    else
        uv_idle_stop(&io->idle);
}

static void on_timer(uv_timer_t *timer)
{
    struct io *io = CONTAINER_OF(timer, struct io, timer);
    io_enter(io);
    io->armed_us = INT64_MAX;
    env_run_timers(&io->env);
}

static void arm_timer(struct io *io)
{
    if (io->deadline_us == io->armed_us) return;
    io->armed_us = io->deadline_us;
    if (io->deadline_us == INT64_MAX) {
        uv_timer_stop(&io->timer);
        return;
    }
    uv_update_time(&io->loop);
    uint64_t at_ms = io->deadline_us > 0 ? ((uint64_t)io->deadline_us + 999) / 1000 : 0, now_ms = uv_now(&io->loop);
    uv_timer_start(&io->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

/* Before the poll: what timers and callers outside the loop left. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct io *io = CONTAINER_OF(prepare, struct io, prepare);
    end_turn(io);
    arm_timer(io);
    io->is_now_fresh = false;
}

static void on_check(uv_check_t *check)
{
    struct io *io = CONTAINER_OF(check, struct io, check);
    end_turn(io);
    io->is_now_fresh = false;
}

static void deadline_changed(struct env *env, int64_t at_us) { io_of(env)->deadline_us = at_us; }

/* ---- mailbox ------------------------------------------------------------------------------------------------------- */

static void take_all(struct list *from, struct list *to)
{
    for (struct list_node *node; (node = list_pop_front(from));) list_push_back(to, node);
}

static void on_async(uv_async_t *async)
{
    struct io *io = CONTAINER_OF(async, struct io, async);
    struct list messages, jobs;
    list_init(&messages);
    list_init(&jobs);
    uv_mutex_lock(&io->mailbox);
    take_all(&io->messages, &messages);
    take_all(&io->finished_jobs, &jobs);
    uv_mutex_unlock(&io->mailbox);
    io_enter(io);
    for (struct list_node *node; (node = list_pop_front(&messages));) {
        struct env_message *message = CONTAINER_OF(node, struct env_message, node);
        message->deliver(message, io->env.now_us);
    }
    for (struct list_node *node; (node = list_pop_front(&jobs));) {
        struct lane_job *job = CONTAINER_OF(node, struct lane_job, node);
        job->finish(job, true);
    }
    if (atomic_load(&io->is_stopping)) uv_stop(&io->loop);
}

static void push_to_mailbox(struct io *io, struct list *list, struct list_node *node)
{
    uv_mutex_lock(&io->mailbox);
    bool was_empty = list_is_empty(&io->messages) && list_is_empty(&io->finished_jobs);
    list_push_back(list, node);
    uv_mutex_unlock(&io->mailbox);
    if (was_empty) uv_async_send(&io->async);
}

static void post(struct env *target, struct env_message *message)
{
    struct io *io = io_of(target);
    push_to_mailbox(io, &io->messages, &message->node);
}

void io_finish_job(struct io *io, struct lane_job *job) { push_to_mailbox(io, &io->finished_jobs, &job->node); }

/* ---- clock and randomness ------------------------------------------------------------------------------------------ */

static int64_t wall_ms(struct env *env)
{
    struct timespec now;
    (void)env;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t clock_ns(struct env *env)
{
    (void)env;
    return (int64_t)uv_hrtime();
}

static uint64_t random64(struct env *env)
{
    struct io *io = io_of(env);
    if (io->random_left == 0) {
        ssize_t got = getrandom(io->random, sizeof io->random, 0);
        ASSERT(got == (ssize_t)sizeof io->random); /* up to 256 bytes are never interrupted */
        io->random_left = sizeof io->random / sizeof *io->random;
    }
    return io->random[--io->random_left];
}

/* Coverage of rare states is the simulator's business. */
static void mark(struct env *env, const char *name)
{
    (void)env;
    (void)name;
}

static const struct env_ops ops = {
    .wall_ms = wall_ms,
    .clock_ns = clock_ns,
    .random64 = random64,
    .open = io_file_open,
    .file_close = io_file_close,
    .file_size = io_file_size,
    .pwritev = io_file_pwritev,
    .truncate = io_file_truncate,
    .allocate = io_file_allocate,
    .pread_now = io_file_pread_now,
    .pread_wait = io_file_pread_wait,
    .rename = io_file_rename,
    .unlink = io_file_unlink,
    .mkdir = io_file_mkdir,
    .rmdir = io_file_rmdir,
    .list = io_file_list,
    .space = io_file_space,
    .lock_file = io_file_lock,
    .pread = io_later_pread,
    .commit = io_later_commit,
    .commit_wait = io_commit_wait,
    .listen = io_listen,
    .listener_port = io_listener_port,
    .listener_close = io_listener_close,
    .listener_pause = io_listener_pause,
    .address = io_address,
    .connect = io_connect,
    .write = io_stream_write,
    .queued = io_stream_queued,
    .pause = io_stream_pause,
    .stream_close = io_stream_close,
    .peer = io_stream_peer,
    .work = io_later_work,
    .post = post,
    .mark = mark,
    .deadline_changed = deadline_changed,
};
const struct env_ops *io_ops(void) { return &ops; }

/* ---- signals ------------------------------------------------------------------------------------------------------- */

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct io_signal *signal = CONTAINER_OF(handle, struct io_signal, handle);
    io_enter(CONTAINER_OF(handle->loop, struct io, loop));
    signal->fn(signal->user, signal_number);
}

void io_on_signal(struct io *io, int signal_number, void (*fn)(void *user, int signal_number), void *user)
{
    ASSERT(io->signal_count < IO_SIGNALS_MAX);
    struct io_signal *signal = &io->signals[io->signal_count++];
    signal->fn = fn;
    signal->user = user;
    int failed = uv_signal_init(&io->loop, &signal->handle) || uv_signal_start(&signal->handle, on_signal, signal_number);
    ASSERT(!failed);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void init_loop(struct io *io)
{
    int failed = uv_loop_init(&io->loop);
    ASSERT(!failed);
    failed = uv_async_init(&io->loop, &io->async, on_async) || uv_mutex_init(&io->mailbox);
    ASSERT(!failed);
    uv_prepare_init(&io->loop, &io->prepare);
    uv_prepare_start(&io->prepare, on_prepare);
    uv_check_init(&io->loop, &io->check);
    uv_check_start(&io->check, on_check);
    uv_idle_init(&io->loop, &io->idle);
    uv_timer_init(&io->loop, &io->timer);
}

struct io *io_create(const struct logger *logger)
{
    struct io *io = mem_alloc(sizeof *io);
    /* A peer that went away is an error code of the write, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    init_loop(io);
    env_init(&io->env, &ops, logger, clock_us());
    io->deadline_us = io->armed_us = INT64_MAX;
    struct list *lists[] = {&io->messages, &io->finished_jobs, &io->streams, &io->listeners, &io->unsent, &io->dead, &io->locks};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) list_init(lists[i]);
    lane_init(&io->commit_lane, io, "commit", COMMIT_THREADS);
    lane_init(&io->read_lane, io, "read", READ_THREADS);
    lane_init(&io->work_lane, io, "work", 1);
    lane_init(&io->resolve_lane, io, "resolve", 1);
    io->spare_fd = -1;
    return io;
}

struct env *io_env(struct io *io) { return &io->env; }

void io_run(struct io *io)
{
    uv_run(&io->loop, UV_RUN_DEFAULT);
    atomic_store(&io->is_stopping, false);
}

void io_stop(struct io *io)
{
    atomic_store(&io->is_stopping, true);
    uv_async_send(&io->async);
}

static void thread_main(void *arg)
{
    struct io *io = arg;
    pthread_setname_np(pthread_self(), io->thread_name);
    io_run(io);
}

void io_start_thread(struct io *io, const char *name)
{
    (void)snprintf(io->thread_name, sizeof io->thread_name, "%s", name);
    int failed = uv_thread_create(&io->thread, thread_main, io);
    ASSERT(!failed);
}

void io_join_thread(struct io *io) { uv_thread_join(&io->thread); }

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void io_destroy(struct io *io)
{
    struct lane *lanes[] = {&io->commit_lane, &io->read_lane, &io->work_lane, &io->resolve_lane};
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++) lane_deinit(lanes[i]);
    for (struct list_node *node; (node = list_pop_front(&io->finished_jobs));) {
        struct lane_job *job = CONTAINER_OF(node, struct lane_job, node);
        job->finish(job, false);
    }
    env_drop_messages(&io->messages);
    io_listeners_close_all(io);
    LIST_FOR_EACH (&io->streams, node) io_stream_release(CONTAINER_OF(node, struct io_stream, io_link));
    io_free_dead_streams(io);
    uv_walk(&io->loop, close_handle, NULL);
    while (uv_run(&io->loop, UV_RUN_DEFAULT)) {
    }
    int failed = uv_loop_close(&io->loop);
    ASSERT(!failed);
    uv_mutex_destroy(&io->mailbox);
    io_file_release_locks(io);
    if (io->spare_fd >= 0) close(io->spare_fd);
    env_deinit(&io->env);
    mem_free(io);
}
