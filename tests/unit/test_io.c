/* common/io over loopback, real files and real threads. */
#include "common/assert.h"
#include "common/io/io.h"
#include "common/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define SECOND_US 1000000
#define LIMIT_US  (20 * (int64_t)SECOND_US)

/* A loop that is stopped by the test's callbacks, or by a deadline that fails the test. */
struct loop {
    struct io *io;
    struct env *env;
    struct env_timer deadline;
    bool is_late;
};
static void on_deadline(struct env_timer *timer, int64_t now_us)
{
    struct loop *loop = CONTAINER_OF(timer, struct loop, deadline);
    (void)now_us;
    loop->is_late = true;
    io_stop(loop->io);
}
static void loop_init(struct loop *loop)
{
    *loop = (struct loop){.io = io_create(NULL)};
    loop->env = io_env(loop->io);
    env_timer_init(&loop->deadline, on_deadline);
}
static void loop_run(struct loop *loop)
{
    env_timer_set(loop->env, &loop->deadline, env_now_us(loop->env) + LIMIT_US);
    io_run(loop->io);
    ck_assert(!loop->is_late);
    env_timer_clear(loop->env, &loop->deadline);
}

/* A directory that goes with the test. */
struct place {
    char directory[128], file[160];
};
static void place_init_in(struct place *place, const char *base)
{
    (void)snprintf(place->directory, sizeof place->directory, "%s/skiff-test-io-XXXXXX", base);
    ck_assert_ptr_nonnull(mkdtemp(place->directory));
    (void)snprintf(place->file, sizeof place->file, "%s/file", place->directory);
}
static void place_init(struct place *place)
{
    const char *base = getenv("TMPDIR");
    place_init_in(place, base ? base : "/tmp");
}
static void place_deinit(const struct place *place)
{
    (void)unlink(place->file);
    (void)rmdir(place->directory);
}

static uint8_t pattern(uint64_t i) { return (uint8_t)(i * 31 + (i >> 8)); }

/* ---- streams ------------------------------------------------------------------------------------------------------- */

struct echo {
    struct loop loop;
    struct env_listener *listener;
    struct env_stream *client, *server;
    uint64_t to_send, sent, received, pauses, closed;
    enum err err;
    struct env_file *file; /* what the server sends instead of an echo */
    struct env_timer resume;
    unsigned drained;
    uint8_t *room; /* of room_size bytes, or NULL */
    size_t room_size;
    unsigned in_room, elsewhere;
};

static void on_echo_server(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct echo *echo = user;
    if (event->type == ENV_STREAM_CLOSED) echo->server = NULL;
    if (event->type != ENV_STREAM_BYTES) return;
    struct env_piece piece = env_piece_buf(buf_copy(event->bytes));
    env_write(echo->loop.env, stream, &piece, 1);
}

static void on_accept(void *user, struct env_stream *stream, int64_t now_us)
{
    struct echo *echo = user;
    (void)now_us;
    ck_assert_str_eq(env_stream_peer(stream), "127.0.0.1");
    echo->server = stream;
    env_stream_handle(stream, on_echo_server, echo);
}

static void send_more(struct echo *echo)
{
    size_t size = echo->to_send - echo->sent < 100000 ? (size_t)(echo->to_send - echo->sent) : 100000;
    struct buf *buf = buf_create(size + 3);
    buf->size = size;
    for (size_t i = 0; i < size; i++) buf->data[i] = pattern(echo->sent + i);
    /* In two pieces that share the buffer. */
    struct env_piece pieces[] = {{.buf = buf_ref(buf), .length = (int64_t)size / 2},
                                 {.buf = buf, .position = (int64_t)size / 2, .length = (int64_t)(size - size / 2)}};
    env_write(echo->loop.env, echo->client, pieces, 2);
    echo->sent += size;
}

static void check_bytes(struct echo *echo, struct slice bytes)
{
    size_t wrong = 0;
    for (size_t i = 0; i < bytes.n; i++) wrong += bytes.p[i] != pattern(echo->received + i);
    ck_assert_uint_eq(wrong, 0);
    echo->received += bytes.n;
    if (echo->received == echo->to_send) io_stop(echo->loop.io);
}

static void on_resume(struct env_timer *timer, int64_t now_us)
{
    struct echo *echo = CONTAINER_OF(timer, struct echo, resume);
    (void)now_us;
    env_stream_resume(echo->loop.env, echo->client);
}

static void on_client(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct echo *echo = user;
    switch (event->type) {
    case ENV_STREAM_CONNECTED: ck_assert_ptr_eq(stream, echo->client); break;
    case ENV_STREAM_DRAINED:
        echo->drained++;
        if (echo->sent < echo->to_send) send_more(echo);
        break;
    case ENV_STREAM_BYTES:
        check_bytes(echo, event->bytes);
        if (event->bytes.p == echo->room)
            echo->in_room++;
        else
            echo->elsewhere++;
        env_stream_read_into(stream, echo->room, echo->room_size);
        if (echo->received / 500000 <= echo->pauses) break;
        echo->pauses++;
        env_stream_pause(echo->loop.env, stream);
        env_timer_set(echo->loop.env, &echo->resume, event->now_us + 2000);
        break;
    case ENV_STREAM_CLOSED:
        echo->closed++;
        echo->err = event->err;
        io_stop(echo->loop.io);
        break;
    }
}

static void echo_begin(struct echo *echo, env_accept_fn accepted)
{
    *echo = (struct echo){0};
    loop_init(&echo->loop);
    env_timer_init(&echo->resume, on_resume);
    ck_assert_int_eq(env_listen(echo->loop.env, "127.0.0.1", 0, accepted, echo, &echo->listener), ERR_OK);
}
static void echo_connect(struct echo *echo, const char *host, uint16_t port)
{
    echo->client = env_connect(echo->loop.env, host, port, 5 * SECOND_US, on_client, echo);
}

START_TEST(stream_echoes_megabytes_with_pauses)
{
    struct echo echo;
    echo_begin(&echo, on_accept);
    echo.to_send = 5000000;
    echo_connect(&echo, "127.0.0.1", env_listener_port(echo.listener));
    send_more(&echo);
    ck_assert_int_eq(env_stream_queued(echo.client), 100000);
    loop_run(&echo.loop);
    ck_assert_uint_eq(echo.received, echo.to_send);
    ck_assert_uint_gt(echo.pauses, 5);
    ck_assert_uint_ge(echo.drained, 49);
    io_destroy(echo.loop.io);
}
END_TEST

static void on_unpause(struct env_timer *timer, int64_t now_us)
{
    struct echo *echo = CONTAINER_OF(timer, struct echo, resume);
    (void)now_us;
    ck_assert_uint_eq(echo->received, 0);
    env_listener_pause(echo->loop.env, echo->listener, false);
}

START_TEST(listener_that_is_paused_accepts_nobody_until_it_goes_on)
{
    struct echo echo;
    echo_begin(&echo, on_accept);
    env_timer_init(&echo.resume, on_unpause);
    echo.to_send = 1000;
    env_listener_pause(echo.loop.env, echo.listener, true);
    env_listener_pause(echo.loop.env, echo.listener, true);
    echo_connect(&echo, "127.0.0.1", env_listener_port(echo.listener));
    send_more(&echo);
    env_timer_set(echo.loop.env, &echo.resume, env_now_us(echo.loop.env) + 50000);
    loop_run(&echo.loop);
    ck_assert_uint_eq(echo.received, echo.to_send);
    io_destroy(echo.loop.io);
}
END_TEST

START_TEST(address_has_one_form)
{
    static const char *const forms[][2] = {{"10.0.0.1", "10.0.0.1"},
                                           {"::ffff:10.0.0.1", "10.0.0.1"},
                                           {"0:0:0:0:0:0:0:1", "::1"},
                                           {"2001:DB8::1", "2001:db8::1"},
                                           {"::", "::"}};
    static const char *const wrong[] = {"", "localhost", "10.0.0", "10.0.0.1:80", "[::1]", "010.0.0.1"};
    struct loop loop;
    char address[ENV_ADDRESS_MAX];
    loop_init(&loop);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        ck_assert(env_address(loop.env, slice_str(forms[i][0]), address));
        ck_assert_str_eq(address, forms[i][1]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) ck_assert(!env_address(loop.env, slice_str(wrong[i]), address));
    io_destroy(loop.io);
}
END_TEST

static const size_t room_sizes[] = {1, 5000, 60000, 300000};

START_TEST(stream_reads_into_room)
{
    struct echo echo;
    echo_begin(&echo, on_accept);
    echo.to_send = 5000000;
    echo.room_size = room_sizes[_i];
    echo.room = mem_calloc(1, echo.room_size);
    echo_connect(&echo, "127.0.0.1", env_listener_port(echo.listener));
    send_more(&echo);
    loop_run(&echo.loop);
    ck_assert_uint_eq(echo.received, echo.to_send);
    ck_assert_uint_gt(echo.in_room, 10);
    ck_assert_uint_ge(echo.elsewhere, 1); /* the first bytes */
    io_destroy(echo.loop.io);
    mem_free(echo.room);
}
END_TEST

START_TEST(stream_resolves_names)
{
    struct echo echo;
    echo_begin(&echo, on_accept);
    echo.to_send = 1;
    echo_connect(&echo, "localhost", env_listener_port(echo.listener));
    send_more(&echo);
    loop_run(&echo.loop);
    ck_assert_uint_eq(echo.received, 1);
    echo_connect(&echo, "no-such-host.invalid", 1);
    loop_run(&echo.loop);
    ck_assert_int_eq(echo.err, ERR_UNRESOLVED);
    io_destroy(echo.loop.io);
}
END_TEST

static void on_file_accept(void *user, struct env_stream *stream, int64_t now_us)
{
    struct echo *echo = user;
    (void)now_us;
    env_stream_handle(stream, on_echo_server, echo);
    struct env_piece pieces[] = {env_piece_buf(buf_copy(SLICE_LITERAL("\0\037"))), env_piece_file(env_file_ref(echo->file), 2, 9999998)};
    pieces[0].buf->data[1] = pattern(1);
    env_write(echo->loop.env, stream, pieces, 2);
    env_stream_finish(echo->loop.env, stream);
}

static void write_pattern(struct env *env, struct env_file *file, size_t size)
{
    uint8_t *bytes = mem_alloc(size);
    for (size_t i = 0; i < size; i++) bytes[i] = pattern(i);
    struct slice slices[] = {{bytes, 1}, {bytes + 1, 0}, {bytes + 1, size - 1}};
    ck_assert_int_eq(env_pwritev(env, file, slices, 3, 0), ERR_OK);
    mem_free(bytes);
}

START_TEST(stream_sends_files_and_finishes)
{
    struct place place;
    struct echo echo;
    place_init(&place);
    echo_begin(&echo, on_file_accept);
    ck_assert_int_eq(env_open(echo.loop.env, place.file, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &echo.file), ERR_OK);
    write_pattern(echo.loop.env, echo.file, 10000000);
    echo.to_send = UINT64_MAX;
    echo_connect(&echo, "127.0.0.1", env_listener_port(echo.listener));
    loop_run(&echo.loop);
    ck_assert_uint_eq(echo.received, 10000000);
    ck_assert_uint_eq(echo.closed, 1);
    ck_assert_int_eq(echo.err, ERR_RESET);
    ck_assert_uint_gt(echo.pauses, 5);
    env_file_unref(echo.file);
    io_destroy(echo.loop.io);
    place_deinit(&place);
}
END_TEST

START_TEST(stream_resets_when_a_file_is_shorter_than_promised)
{
    struct place place;
    struct echo echo;
    place_init(&place);
    echo_begin(&echo, on_file_accept);
    ck_assert_int_eq(env_open(echo.loop.env, place.file, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &echo.file), ERR_OK);
    write_pattern(echo.loop.env, echo.file, 1000);
    echo.to_send = UINT64_MAX;
    echo_connect(&echo, "127.0.0.1", env_listener_port(echo.listener));
    loop_run(&echo.loop);
    ck_assert_uint_le(echo.received, 1000);
    ck_assert_uint_eq(echo.closed, 1);
    env_file_unref(echo.file);
    io_destroy(echo.loop.io);
    place_deinit(&place);
}
END_TEST

START_TEST(stream_refused_is_told_exactly)
{
    struct echo echo;
    echo_begin(&echo, on_accept);
    uint16_t port = env_listener_port(echo.listener);
    struct env_listener *again = NULL;
    ck_assert_int_eq(env_listen(echo.loop.env, "127.0.0.1", port, on_accept, &echo, &again), ERR_IN_USE);
    env_listener_close(echo.loop.env, echo.listener);
    echo_connect(&echo, "127.0.0.1", port);
    ck_assert_uint_eq(echo.closed, 0); /* never from inside the call */
    loop_run(&echo.loop);
    ck_assert_int_eq(echo.err, ERR_REFUSED);
    echo_connect(&echo, "localhost", port);
    loop_run(&echo.loop);
    ck_assert_int_eq(echo.err, ERR_REFUSED);
    ck_assert_uint_eq(echo.closed, 2);
    io_destroy(echo.loop.io);
}
END_TEST

START_TEST(stream_close_of_the_peer_is_a_reset)
{
    struct echo echo;
    echo_begin(&echo, on_accept);
    echo.to_send = 10;
    echo_connect(&echo, "127.0.0.1", env_listener_port(echo.listener));
    send_more(&echo);
    loop_run(&echo.loop);
    env_stream_close(echo.loop.env, echo.server);
    loop_run(&echo.loop);
    ck_assert_int_eq(echo.err, ERR_RESET);
    io_destroy(echo.loop.io);
}
END_TEST

/* With no descriptor left a connection is turned away; the loop neither spins nor dies, and serves again later. */
START_TEST(listener_survives_running_out_of_descriptors)
{
    struct echo echo;
    int hoard[64];
    size_t count = 0;
    echo_begin(&echo, on_accept);
    struct rlimit limit = {.rlim_cur = 40, .rlim_max = 40};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    echo_connect(&echo, "127.0.0.1", env_listener_port(echo.listener));
    for (; count < 64 && (hoard[count] = dup(0)) >= 0; count++) {
    }
    loop_run(&echo.loop);
    ck_assert_int_eq(echo.err, ERR_RESET);
    for (size_t i = 0; i < count; i++) close(hoard[i]);
    echo.to_send = 10;
    echo_connect(&echo, "127.0.0.1", env_listener_port(echo.listener));
    send_more(&echo);
    loop_run(&echo.loop);
    ck_assert_uint_eq(echo.received, 10);
    io_destroy(echo.loop.io);
}
END_TEST

/* ---- files --------------------------------------------------------------------------------------------------------- */

struct completion {
    struct loop loop;
    struct env_op op;
    unsigned done;
    enum err err;
    int result;
};
static void on_done(struct env_op *op, enum err err, int64_t now_us)
{
    struct completion *completion = CONTAINER_OF(op, struct completion, op);
    (void)now_us;
    completion->done++;
    completion->err = err;
    io_stop(completion->loop.io);
}
static void work(void *arg) { *(int *)arg = 42; }

START_TEST(file_commit_read_and_work_complete_later)
{
    struct place place;
    struct completion c = {.op = {.done = on_done}};
    struct env_file *file = NULL;
    char text[16];
    size_t got = 0;
    place_init(&place);
    loop_init(&c.loop);
    const char *directories[] = {place.directory};
    ck_assert_int_eq(env_open(c.loop.env, place.file, ENV_OPEN_READ, &file), ERR_NOT_FOUND);
    ck_assert_int_eq(env_open(c.loop.env, place.file, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file), ERR_OK);
    struct slice slices[] = {SLICE_LITERAL("hello "), SLICE_LITERAL("world")};
    ck_assert_int_eq(env_pwritev(c.loop.env, file, slices, 2, 0), ERR_OK);
    env_commit(c.loop.env, &c.op, &file, 1, directories, 1);
    ck_assert_uint_eq(c.done, 0);
    loop_run(&c.loop);
    ck_assert_int_eq(c.err, ERR_OK);
    env_pread(c.loop.env, &c.op, file, text, sizeof text, 6, &got);
    loop_run(&c.loop);
    ck_assert_uint_eq(got, 5);
    ck_assert_mem_eq(text, "world", 5);
    env_work(c.loop.env, &c.op, work, &c.result);
    loop_run(&c.loop);
    ck_assert_int_eq(c.result, 42);
    env_commit(c.loop.env, &c.op, NULL, 0, NULL, 0);
    loop_run(&c.loop);
    directories[0] = "no/such/directory";
    env_commit(c.loop.env, &c.op, &file, 1, directories, 1);
    loop_run(&c.loop);
    ck_assert_int_eq(c.err, ERR_OK); /* removed since: its removal is the parent's */
    ck_assert_uint_eq(c.done, 5);
    env_file_unref(file);
    io_destroy(c.loop.io);
    place_deinit(&place);
}
END_TEST

#define NAMES_SIZE 128

static void count_entry(void *context, const char *name, bool is_directory)
{
    char *names = context;
    size_t used = strlen(names);
    (void)snprintf(names + used, NAMES_SIZE - used, "%s%s ", name, is_directory ? "/" : "");
}

struct counted_op {
    struct env_op op;
    int *done, *dropped;
};
static void on_counted_done(struct env_op *op, enum err err, int64_t now_us)
{
    (void)err, (void)now_us;
    ++*CONTAINER_OF(op, struct counted_op, op)->done;
    mem_free(CONTAINER_OF(op, struct counted_op, op));
}
static void on_counted_dropped(struct env_op *op)
{
    ++*CONTAINER_OF(op, struct counted_op, op)->dropped;
    mem_free(CONTAINER_OF(op, struct counted_op, op));
}
struct counted_message {
    struct env_message message;
    int *dropped;
};
static void on_message_delivered(struct env_message *message, int64_t now_us)
{
    (void)message, (void)now_us;
    ck_abort_msg("nobody runs the loop");
}
static void on_message_dropped(struct env_message *message)
{
    ++*CONTAINER_OF(message, struct counted_message, message)->dropped;
    mem_free(CONTAINER_OF(message, struct counted_message, message));
}

/* The loop ends with operations and messages under way: whoever would have freed them is told, once each. */
START_TEST(file_operations_that_the_loop_does_not_live_to_see_are_dropped)
{
    struct loop loop;
    struct env_file *file = NULL;
    int done = 0, dropped = 0, lost = 0;
    size_t got[10];
    char into[10];
    struct place place;
    place_init(&place);
    loop_init(&loop);
    ck_assert_int_eq(env_open(loop.env, place.file, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file), ERR_OK);
    for (int i = 0; i < 10; i++) {
        struct counted_op *ops[2];
        for (int j = 0; j < 2; j++) {
            ops[j] = mem_alloc(sizeof *ops[j]);
            *ops[j] = (struct counted_op){{.done = on_counted_done, .dropped = on_counted_dropped}, &done, &dropped};
        }
        env_commit(loop.env, &ops[0]->op, &file, 1, NULL, 0);
        env_pread(loop.env, &ops[1]->op, file, &into[i], 1, 0, &got[i]);
    }
    struct counted_message *message = mem_alloc(sizeof *message);
    *message = (struct counted_message){.message = {.deliver = on_message_delivered, .dropped = on_message_dropped}, .dropped = &lost};
    env_post(loop.env, &message->message);
    env_file_unref(file);
    io_destroy(loop.io);
    place_deinit(&place);
    ck_assert_int_eq(done, 0);
    ck_assert_int_eq(dropped, 20);
    ck_assert_int_eq(lost, 1);
}
END_TEST

START_TEST(file_calls_that_answer_at_once)
{
    struct place place;
    struct loop loop;
    struct env_file *file = NULL;
    char text[16], names[NAMES_SIZE] = "", path[200], other[200];
    size_t got = 0;
    int64_t size = 0, free_bytes = 0, total_bytes = 0;
    place_init(&place);
    loop_init(&loop);
    ck_assert_int_eq(env_open(loop.env, place.file, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file), ERR_OK);
    struct slice slice = SLICE_LITERAL("0123456789");
    ck_assert_int_eq(env_pwritev(loop.env, file, &slice, 1, 5), ERR_OK);
    ck_assert_int_eq(env_truncate(loop.env, file, 12), ERR_OK);
    ck_assert_int_eq(env_allocate(loop.env, file, 0, 1 << 20), ERR_OK);
    ck_assert_int_eq(env_file_size(file, &size), ERR_OK);
    ck_assert_int_eq(size, 12);
    enum err err = env_pread_now(loop.env, file, text, sizeof text, 3, &got);
    ck_assert(err == ERR_OK || err == ERR_AGAIN);
    ck_assert_int_eq(env_pread_wait(loop.env, file, text, sizeof text, 3, &got), ERR_OK);
    ck_assert_uint_eq(got, 9);
    ck_assert_mem_eq(text,
                     "\0\0"
                     "0123456",
                     9);
    (void)snprintf(path, sizeof path, "%s/a/b", place.directory);
    ck_assert_int_eq(env_mkdir(loop.env, path), ERR_OK);
    ck_assert_int_eq(env_mkdir(loop.env, path), ERR_OK);
    ck_assert_int_eq(env_list(loop.env, place.directory, count_entry, names), ERR_OK);
    ck_assert_str_eq(names, "a/ file ");
    (void)snprintf(other, sizeof other, "%s/a/c", place.directory);
    ck_assert_int_eq(env_rename(loop.env, path, other), ERR_OK);
    ck_assert_int_eq(env_lock_file(loop.env, place.file), ERR_OK);
    ck_assert_int_eq(env_lock_file(loop.env, place.file), ERR_IN_USE);
    ck_assert_int_eq(env_rmdir(loop.env, path), ERR_NOT_FOUND);
    ck_assert_int_eq(env_rmdir(loop.env, other), ERR_OK);
    (void)snprintf(path, sizeof path, "%s/a", place.directory);
    ck_assert_int_eq(env_rmdir(loop.env, path), ERR_OK);
    ck_assert_int_eq(env_space(loop.env, place.directory, &free_bytes, &total_bytes), ERR_OK);
    ck_assert(free_bytes > 0 && free_bytes <= total_bytes);
    ck_assert_int_eq(env_unlink(loop.env, place.file), ERR_OK);
    env_file_unref(file);
    io_destroy(loop.io);
    place_deinit(&place);
}
END_TEST

/* tmpfs does not tell what is resident. Who reads after ERR_AGAIN waits for the disk and asks again: that must come to an end. */
START_TEST(file_reads_come_to_an_end_on_tmpfs)
{
    struct place place;
    struct loop loop;
    struct env_file *file = NULL;
    char text[16];
    size_t got = 0;
    if (access("/dev/shm", W_OK) != 0) return;
    place_init_in(&place, "/dev/shm");
    loop_init(&loop);
    ck_assert_int_eq(env_open(loop.env, place.file, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file), ERR_OK);
    struct slice slice = SLICE_LITERAL("0123456789");
    ck_assert_int_eq(env_pwritev(loop.env, file, &slice, 1, 0), ERR_OK);
    ck_assert_int_eq(env_pread_wait(loop.env, file, text, sizeof text, 0, &got), ERR_OK);
    ck_assert_int_eq(env_pread_now(loop.env, file, text, sizeof text, 0, &got), ERR_OK);
    ck_assert_uint_eq(got, 10);
    env_file_unref(file);
    io_destroy(loop.io);
    place_deinit(&place);
}
END_TEST

/* ---- timers, turns, threads ---------------------------------------------------------------------------------------- */

struct ticks {
    struct loop loop;
    struct env_timer timer;
    struct env_turn_end turn_end;
    int64_t due_us;
    unsigned fired, turn_ends;
};
static void on_turn_end(struct env_turn_end *turn_end, int64_t now_us)
{
    struct ticks *ticks = CONTAINER_OF(turn_end, struct ticks, turn_end);
    (void)now_us;
    ticks->turn_ends++;
    if (ticks->turn_ends < 100) env_at_turn_end(ticks->loop.env, turn_end);
}
static void on_tick(struct env_timer *timer, int64_t now_us)
{
    struct ticks *ticks = CONTAINER_OF(timer, struct ticks, timer);
    ck_assert_int_ge(now_us, ticks->due_us);
    env_at_turn_end(ticks->loop.env, &ticks->turn_end);
    if (++ticks->fired == 20) io_stop(ticks->loop.io);
    ticks->due_us = now_us + 300;
    env_timer_set(ticks->loop.env, timer, ticks->due_us);
}

START_TEST(timers_fire_no_earlier_and_turn_ends_run)
{
    struct ticks ticks = {.turn_end = {.run = on_turn_end}};
    loop_init(&ticks.loop);
    env_timer_init(&ticks.timer, on_tick);
    ticks.due_us = env_now_us(ticks.loop.env) + 5000;
    env_timer_set(ticks.loop.env, &ticks.timer, ticks.due_us);
    loop_run(&ticks.loop);
    ck_assert_uint_eq(ticks.fired, 20);
    ck_assert_uint_ge(ticks.turn_ends, 100);
    ck_assert_int_gt(env_wall_ms(ticks.loop.env), 1600000000000);
    ck_assert_uint_ne(env_random64(ticks.loop.env), env_random64(ticks.loop.env));
    io_destroy(ticks.loop.io);
}
END_TEST

#define ROUNDS 2000

struct ball {
    struct env_message message;
    struct loop *home;
    struct env *away;
    bool is_home;
    unsigned rounds;
    uint64_t sum;
};
static void on_ball(struct env_message *message, int64_t now_us)
{
    struct ball *ball = CONTAINER_OF(message, struct ball, message);
    (void)now_us;
    ball->sum += ball->rounds;
    ball->is_home = !ball->is_home;
    if (ball->is_home && ++ball->rounds == ROUNDS)
        io_stop(ball->home->io);
    else
        env_post(ball->is_home ? ball->away : ball->home->env, message);
}

START_TEST(messages_cross_between_two_loops)
{
    struct loop home;
    loop_init(&home);
    struct io *away = io_create(NULL);
    io_start_thread(away, "away");
    struct ball ball = {.message = {.deliver = on_ball}, .home = &home, .away = io_env(away), .is_home = true};
    env_post(ball.away, &ball.message);
    loop_run(&home);
    ck_assert_uint_eq(ball.rounds, ROUNDS);
    io_stop(away);
    io_join_thread(away);
    io_destroy(away);
    io_destroy(home.io);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("io");
    TCase *streams = tcase_create("streams");
    tcase_add_test(streams, stream_echoes_megabytes_with_pauses);
    tcase_add_loop_test(streams, stream_reads_into_room, 0, sizeof room_sizes / sizeof *room_sizes);
    tcase_add_test(streams, stream_resolves_names);
    tcase_add_test(streams, listener_that_is_paused_accepts_nobody_until_it_goes_on);
    tcase_add_test(streams, address_has_one_form);
    tcase_add_test(streams, stream_sends_files_and_finishes);
    tcase_add_test(streams, stream_resets_when_a_file_is_shorter_than_promised);
    tcase_add_test(streams, stream_refused_is_told_exactly);
    tcase_add_test(streams, stream_close_of_the_peer_is_a_reset);
    tcase_add_test(streams, listener_survives_running_out_of_descriptors);
    tcase_set_timeout(streams, 60);
    suite_add_tcase(suite, streams);
    TCase *files = tcase_create("files");
    tcase_add_test(files, file_commit_read_and_work_complete_later);
    tcase_add_test(files, file_operations_that_the_loop_does_not_live_to_see_are_dropped);
    tcase_add_test(files, file_calls_that_answer_at_once);
    tcase_add_test(files, file_reads_come_to_an_end_on_tmpfs);
    suite_add_tcase(suite, files);
    TCase *loops = tcase_create("loops");
    tcase_add_test(loops, timers_fire_no_earlier_and_turn_ends_run);
    tcase_add_test(loops, messages_cross_between_two_loops);
    tcase_set_timeout(loops, 60);
    suite_add_tcase(suite, loops);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
