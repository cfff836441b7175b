/* Forwards to the implementation; timers and turn ends are the same in both and live here. */
#include "common/env.h"

#include "common/assert.h"
#include "common/limits.h"

#include <string.h>

#define TURN_END_ROUNDS_MAX 1000

void env_init(struct env *env, const struct env_ops *ops, const struct logger *logger, int64_t now_us)
{
    *env = (struct env){.ops = ops, .logger = logger, .now_us = now_us};
    heap_init(&env->timers);
    list_init(&env->turn_ends);
}

void env_deinit(struct env *env) { heap_deinit(&env->timers); }

int64_t env_wall_ms(struct env *env) { return env->ops->wall_ms(env); }
int64_t env_clock_ns(struct env *env) { return env->ops->clock_ns(env); }
uint64_t env_random64(struct env *env) { return env->ops->random64(env); }
int64_t env_now_us(struct env *env) { return env->now_us; }
const struct logger *env_logger(struct env *env) { return env->logger; }

void env_timer_init(struct env_timer *timer, void (*fire)(struct env_timer *timer, int64_t now_us))
{
    *timer = (struct env_timer){.fire = fire};
}

static void deadline_changed(struct env *env)
{
    struct heap_node *first = heap_first(&env->timers);
    env->ops->deadline_changed(env, first ? first->key : INT64_MAX);
}

void env_timer_set(struct env *env, struct env_timer *timer, int64_t at_us)
{
    ASSERT(timer->fire != NULL);
    if (heap_is_linked(&timer->node)) {
        if (timer->node.key == at_us) return;
        heap_remove(&env->timers, &timer->node);
    }
    heap_insert(&env->timers, &timer->node, at_us);
    deadline_changed(env);
}

void env_timer_clear(struct env *env, struct env_timer *timer)
{
    if (!heap_is_linked(&timer->node)) return;
    heap_remove(&env->timers, &timer->node);
    deadline_changed(env);
}

void env_run_timers(struct env *env)
{
    /* A timer that is set again to the past inside fire() waits for the next turn: bounded by the count at the start. */
    uint32_t due = env->timers.count;
    for (struct heap_node *node; due > 0 && (node = heap_first(&env->timers)) && node->key <= env->now_us; due--) {
        struct env_timer *timer = CONTAINER_OF(node, struct env_timer, node);
        heap_remove(&env->timers, node);
        timer->fire(timer, env->now_us);
    }
    deadline_changed(env);
}

void env_at_turn_end(struct env *env, struct env_turn_end *turn_end)
{
    ASSERT(turn_end->run != NULL);
    if (!list_is_linked(&turn_end->node)) list_push_back(&env->turn_ends, &turn_end->node);
}

void env_cancel_turn_end(struct env *env, struct env_turn_end *turn_end)
{
    (void)env;
    if (list_is_linked(&turn_end->node)) list_remove(&turn_end->node);
}

void env_run_turn_ends(struct env *env)
{
    struct list_node *node = NULL;
    uint64_t runs = 0, runs_max = TURN_END_ROUNDS_MAX;
    LIST_FOR_EACH (&env->turn_ends, counted) runs_max += TURN_END_ROUNDS_MAX;
    while ((node = list_pop_front(&env->turn_ends))) {
        struct env_turn_end *turn_end = CONTAINER_OF(node, struct env_turn_end, node);
        ASSERT(++runs < runs_max);
        turn_end->run(turn_end, env->now_us);
    }
}

enum err env_open(struct env *env, const char *path, unsigned flags, struct env_file **out)
{
    return env->ops->open(env, path, flags, out);
}

struct env_file *env_file_ref(struct env_file *file)
{
    uint32_t before = atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return file;
}

void env_file_unref(struct env_file *file)
{
    if (!file) return;
    uint32_t before = atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1) file->ops->file_close(file);
}

enum err env_file_size(struct env_file *file, int64_t *size) { return file->ops->file_size(file, size); }
enum err env_pwritev(struct env *env, struct env_file *file, const struct slice *slices, size_t count, int64_t position)
{
    ASSERT(position >= 0);
    return env->ops->pwritev(env, file, slices, count, position);
}
enum err env_truncate(struct env *env, struct env_file *file, int64_t size)
{
    ASSERT(size >= 0);
    return env->ops->truncate(env, file, size);
}
enum err env_allocate(struct env *env, struct env_file *file, int64_t position, int64_t size)
{
    return env->ops->allocate(env, file, position, size);
}
enum err env_pread_now(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    return env->ops->pread_now(env, file, into, size, position, got);
}
enum err env_pread_wait(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    return env->ops->pread_wait(env, file, into, size, position, got);
}
enum err env_rename(struct env *env, const char *from, const char *to) { return env->ops->rename(env, from, to); }
enum err env_unlink(struct env *env, const char *path) { return env->ops->unlink(env, path); }
enum err env_mkdir(struct env *env, const char *path) { return env->ops->mkdir(env, path); }
enum err env_mkdir_durable(struct env *env, const char *path)
{
    char parent[PATH_BYTES_MAX];
    const char *const directories[] = {parent};
    enum err err = env_mkdir(env, path);
    size_t length = strlen(path);
    if (err != ERR_OK) return err;
    ASSERT(length > 0 && length < sizeof parent);
    while (length > 1 && path[length - 1] == '/') length--;
    /* Also those that exist: an earlier start may have been killed before it could commit them. */
    for (size_t end = length; end-- > 0;) {
        if (path[end] != '/' && end > 0) continue;
        bool is_relative = path[end] != '/';
        memcpy(parent, is_relative ? "." : path, end > 0 ? end : 1);
        parent[end > 0 ? end : 1] = 0;
        err = env_commit_wait(env, NULL, 0, directories, 1);
        /* A parent that we may not open was not made by us. */
        if (err != ERR_OK && err != ERR_DENIED) return err;
    }
    return ERR_OK;
}
enum err env_rmdir(struct env *env, const char *path) { return env->ops->rmdir(env, path); }
enum err env_list(struct env *env, const char *path, void (*each)(void *context, const char *name, bool is_directory), void *context)
{
    return env->ops->list(env, path, each, context);
}
enum err env_space(struct env *env, const char *path, int64_t *free_bytes, int64_t *total_bytes)
{
    return env->ops->space(env, path, free_bytes, total_bytes);
}
enum err env_lock_file(struct env *env, const char *path) { return env->ops->lock_file(env, path); }

void env_pread(struct env *env, struct env_op *op, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    ASSERT(op->done != NULL);
    env->ops->pread(env, op, file, into, size, position, got);
}
void env_commit(struct env *env, struct env_op *op, struct env_file *const *files, size_t file_count, const char *const *directories,
                size_t directory_count)
{
    ASSERT(op->done != NULL);
    env->ops->commit(env, op, files, file_count, directories, directory_count);
}
enum err env_commit_wait(struct env *env, struct env_file *const *files, size_t file_count, const char *const *directories,
                         size_t directory_count)
{
    return env->ops->commit_wait(env, files, file_count, directories, directory_count);
}

enum err env_listen(struct env *env, const char *host, uint16_t port, env_accept_fn accepted, void *user, struct env_listener **out)
{
    return env->ops->listen(env, host, port, accepted, user, out);
}
uint16_t env_listener_port(const struct env_listener *listener) { return listener->ops->listener_port(listener); }
void env_listener_close(struct env *env, struct env_listener *listener) { env->ops->listener_close(env, listener); }
void env_listener_pause(struct env *env, struct env_listener *listener, bool is_paused) { env->ops->listener_pause(listener, is_paused); }
bool env_address(struct env *env, struct slice text, char address[static ENV_ADDRESS_MAX])
{
    char copy[ENV_ADDRESS_MAX];
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, 0, text.n)) return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return env->ops->address(copy, address);
}
struct env_stream *env_connect(struct env *env, const char *host, uint16_t port, int64_t timeout_us, env_stream_fn handler, void *user)
{
    ASSERT(handler != NULL);
    return env->ops->connect(env, host, port, timeout_us, handler, user);
}
void env_stream_handle(struct env_stream *stream, env_stream_fn handler, void *user)
{
    stream->handler = handler;
    stream->user = user;
}
void env_write(struct env *env, struct env_stream *stream, const struct env_piece *pieces, size_t count)
{
    env->ops->write(env, stream, pieces, count);
}
int64_t env_stream_queued(const struct env_stream *stream) { return stream->ops->queued(stream); }
void env_stream_pause(struct env *env, struct env_stream *stream) { env->ops->pause(env, stream, true); }
void env_stream_resume(struct env *env, struct env_stream *stream) { env->ops->pause(env, stream, false); }
void env_stream_close(struct env *env, struct env_stream *stream) { env->ops->stream_close(env, stream, false); }
void env_stream_finish(struct env *env, struct env_stream *stream) { env->ops->stream_close(env, stream, true); }
void env_stream_read_into(struct env_stream *stream, uint8_t *room, size_t size)
{
    stream->room = room;
    stream->room_size = size;
}
const char *env_stream_peer(const struct env_stream *stream) { return stream->ops->peer(stream); }

void env_drop_messages(struct list *messages)
{
    for (struct list_node *node; (node = list_pop_front(messages));) {
        struct env_message *message = CONTAINER_OF(node, struct env_message, node);
        if (message->dropped) message->dropped(message);
    }
}

void env_work(struct env *env, struct env_op *op, void (*fn)(void *arg), void *arg)
{
    ASSERT(op->done != NULL);
    env->ops->work(env, op, fn, arg);
}
void env_post(struct env *target, struct env_message *message)
{
    ASSERT(message->deliver != NULL);
    target->ops->post(target, message);
}
void env_mark(struct env *env, const char *name) { env->ops->mark(env, name); }
