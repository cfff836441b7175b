/* Connected sockets. What is written during a turn is queued and leaves when the turn ends, as much as the socket takes; the
 * rest when it is writable again. Reads go into the room that the owner gave, and into the loop's one buffer: an idle connection
 * holds none. */
#include "common/checked.h"
#include "common/io/io_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READS_PER_TURN       4         /* of one stream, before others have their turn */
#define WRITE_BYTES_PER_TURN (4 << 20) /* the same */
#define PARTS_PER_CALL       64
#define FINISH_US            5000000

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void on_deadline(struct env_timer *timer, int64_t now_us)
{
    struct io_stream *stream = CONTAINER_OF(timer, struct io_stream, timer);
    (void)now_us;
    if (stream->is_finishing)
        io_stream_release(stream);
    else
        io_stream_fail(stream, ERR_TIMEOUT);
}

struct io_stream *io_stream_create(struct io *io, env_stream_fn handler, void *user)
{
    struct io_stream *stream = mem_alloc(sizeof *stream);
    stream->stream = (struct env_stream){.ops = io_ops(), .handler = handler, .user = user};
    stream->io = io;
    stream->fd = -1;
    env_timer_init(&stream->timer, on_deadline);
    list_push_back(&io->streams, &stream->io_link);
    return stream;
}

static void release_pieces(struct io_stream *stream)
{
    for (; stream->count > 0; stream->count--) {
        const struct env_piece *piece = &stream->pieces[stream->first++ % stream->capacity];
        buf_unref(piece->buf);
        env_file_unref(piece->file);
    }
    mem_free(stream->pieces);
    stream->pieces = NULL;
    stream->first = stream->capacity = 0;
    stream->queued = 0;
}

static void on_poll_closed(uv_handle_t *handle) { mem_free(CONTAINER_OF((uv_poll_t *)handle, struct io_poll, poll)); }

/* The watcher lives on until libuv lets go of it; the descriptor is free at once. */
void io_stream_detach_fd(struct io_stream *stream)
{
    if (stream->fd < 0) return;
    uv_close((uv_handle_t *)&stream->watch->poll, on_poll_closed);
    stream->watch->stream = NULL;
    stream->watch = NULL;
    close(stream->fd);
    stream->fd = -1;
    stream->mask = 0;
}

void io_stream_release(struct io_stream *stream)
{
    if (stream->is_closed) return;
    stream->is_closed = true;
    env_timer_clear(&stream->io->env, &stream->timer);
    io_connect_cancel(stream);
    release_pieces(stream);
    io_stream_detach_fd(stream);
    if (list_is_linked(&stream->unsent_link)) list_remove(&stream->unsent_link);
    list_remove(&stream->io_link);
    /* A callback of this stream may be running: the struct goes with the other dead ones when the turn is over. */
    list_push_back(&stream->io->dead, &stream->io_link);
}

void io_free_dead_streams(struct io *io)
{
    for (struct list_node *node; (node = list_pop_front(&io->dead));) mem_free(CONTAINER_OF(node, struct io_stream, io_link));
}

void io_stream_fail(struct io_stream *stream, enum err err)
{
    if (stream->is_closed) return;
    env_stream_fn handler = stream->is_finishing ? NULL : stream->stream.handler;
    io_stream_release(stream);
    if (!handler) return;
    struct env_stream_event event = {.type = ENV_STREAM_CLOSED, .now_us = stream->io->env.now_us, .err = err};
    handler(stream->stream.user, &stream->stream, &event);
}

static void mark_unsent(struct io_stream *stream)
{
    if (!list_is_linked(&stream->unsent_link)) list_push_back(&stream->io->unsent, &stream->unsent_link);
}

void io_stream_fail_later(struct io_stream *stream, enum err err)
{
    stream->pending_err = err;
    mark_unsent(stream);
}

/* ---- watching and reading ------------------------------------------------------------------------------------------ */

static void tell(struct io_stream *stream, enum env_stream_event_type type, struct slice bytes)
{
    struct env_stream_event event = {.type = type, .now_us = stream->io->env.now_us, .bytes = bytes};
    stream->stream.handler(stream->stream.user, &stream->stream, &event);
}

/* What came, in the order of the parts. The owner may close or pause the stream over the first: the rest of a paused one is for
 * it to hold. */
static void tell_bytes(struct io_stream *stream, const struct iovec parts[static 2], size_t got)
{
    for (int i = 0; i < 2 && got > 0 && !stream->is_closed && !stream->is_finishing; i++) {
        size_t size = min_size(got, parts[i].iov_len);
        got -= size;
        if (size == 0) continue;
        env_stream_read_into(&stream->stream, NULL, 0);
        tell(stream, ENV_STREAM_BYTES, slice_make(parts[i].iov_base, size));
    }
}

/* False: nothing more to read now. */
static bool read_once(struct io_stream *stream)
{
    struct io *io = stream->io;
    size_t room = stream->stream.room_size;
    /* The first bytes of many, and of a large frame that may have to wait for memory, are few: what cannot be used yet is kept. */
    bool is_small = room >= sizeof io->read_buffer - CONNECTION_SPILL_BYTES || (room == 0 && !stream->is_flowing);
    size_t spill = is_small ? CONNECTION_SPILL_BYTES : sizeof io->read_buffer - room;
    struct iovec parts[] = {{stream->stream.room, room}, {io->read_buffer, spill}};
    ssize_t got = readv(stream->fd, parts, 2);
    if (got < 0) {
        if (errno == EINTR) return true;
        if (errno != EAGAIN) io_stream_fail(stream, io_err(errno) == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_RESET);
        return false;
    }
    if (got == 0) {
        io_stream_fail(stream, ERR_RESET);
        return false;
    }
    stream->is_flowing = (size_t)got == room + spill;
    tell_bytes(stream, parts, (size_t)got);
    return (size_t)got == room + spill;
}

static void read_socket(struct io_stream *stream)
{
    for (int i = 0; i < READS_PER_TURN && !stream->is_closed && (!stream->is_paused || stream->is_finishing); i++)
        if (!read_once(stream)) return;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct io_stream *stream = CONTAINER_OF(poll, struct io_poll, poll)->stream;
    if (!stream) return;
    io_enter(stream->io);
    if (stream->is_connecting) {
        io_connect_on_writable(stream);
        return;
    }
    if (events & UV_WRITABLE) {
        stream->is_write_blocked = false;
        mark_unsent(stream);
    }
    if (status < 0) {
        /* An error condition of the socket; libuv has stopped the watcher. Reading shows which, after what is left to read. */
        stream->mask = 0;
        if (stream->is_paused && !stream->is_finishing) io_stream_fail(stream, ERR_RESET);
    }
    if (status < 0 || (events & UV_READABLE)) read_socket(stream);
    if (!stream->is_closed) io_stream_watch(stream);
}

void io_stream_watch(struct io_stream *stream)
{
    bool reads = !stream->is_connecting && (!stream->is_paused || stream->is_finishing);
    bool writes = stream->is_connecting || stream->is_write_blocked;
    int mask = (reads ? UV_READABLE : 0) | (writes ? UV_WRITABLE : 0);
    if (stream->fd < 0 || mask == stream->mask) return;
    stream->mask = mask;
    if (mask)
        uv_poll_start(&stream->watch->poll, mask, on_poll);
    else
        uv_poll_stop(&stream->watch->poll);
}

void io_stream_attach(struct io_stream *stream, int fd)
{
    ASSERT(stream->fd < 0 && fd >= 0);
    stream->fd = fd;
    stream->watch = mem_alloc(sizeof *stream->watch);
    stream->watch->stream = stream;
    int failed = uv_poll_init(&stream->io->loop, &stream->watch->poll, fd);
    ASSERT(!failed);
    io_stream_watch(stream);
}

void io_stream_set_peer(struct io_stream *stream, const struct sockaddr *address)
{
    const void *bytes = NULL;
    struct in6_addr v6;
    if (address->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else {
        memcpy(&v6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof v6);
        bytes = &v6;
    }
    /* ::ffff:10.0.0.1 is 10.0.0.1 that came through a socket for both families. */
    bool is_mapped = address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6);
    if (is_mapped) bytes = v6.s6_addr + 12;
    if (!inet_ntop(is_mapped ? AF_INET : address->sa_family, bytes, stream->peer, sizeof stream->peer)) stream->peer[0] = 0;
}

bool io_address(const char *text, char *address)
{
    struct in6_addr v6;
    struct in_addr v4;
    bool is_v4 = inet_pton(AF_INET, text, &v4) == 1;
    if (!is_v4 && inet_pton(AF_INET6, text, &v6) != 1) return false;
    if (!is_v4 && IN6_IS_ADDR_V4MAPPED(&v6)) {
        memcpy(&v4, v6.s6_addr + 12, sizeof v4);
        is_v4 = true;
    }
    return inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? (const void *)&v4 : &v6, address, ENV_ADDRESS_MAX) != NULL;
}

void io_stream_connected(struct io_stream *stream)
{
    stream->is_connecting = false;
    env_timer_clear(&stream->io->env, &stream->timer);
    io_stream_watch(stream);
    if (stream->count > 0) mark_unsent(stream);
    if (stream->is_finishing)
        mark_unsent(stream);
    else
        tell(stream, ENV_STREAM_CONNECTED, SLICE_NULL);
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static struct env_piece *first_piece(struct io_stream *stream) { return &stream->pieces[stream->first % stream->capacity]; }

/* `size` bytes of the first pieces have left. */
static void advance(struct io_stream *stream, int64_t size)
{
    stream->queued -= size;
    while (size > 0) {
        struct env_piece *piece = first_piece(stream);
        int64_t taken = size < piece->length ? size : piece->length;
        piece->position += taken;
        piece->length -= taken;
        size -= taken;
        if (piece->length > 0) return;
        buf_unref(piece->buf);
        env_file_unref(piece->file);
        stream->first++;
        stream->count--;
    }
}

static ssize_t send_bufs(struct io_stream *stream)
{
    struct iovec parts[PARTS_PER_CALL];
    uint32_t count = 0;
    for (; count < stream->count && count < PARTS_PER_CALL; count++) {
        const struct env_piece *piece = &stream->pieces[(stream->first + count) % stream->capacity];
        if (!piece->buf) break;
        parts[count] = (struct iovec){piece->buf->data + piece->position, (size_t)piece->length};
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    /* More follows at once: let the kernel fill the packet. */
    return sendmsg(stream->fd, &message, MSG_NOSIGNAL | (count < stream->count ? MSG_MORE : 0));
}

static ssize_t send_file(struct io_stream *stream)
{
    const struct env_piece *piece = first_piece(stream);
    off_t position = piece->position;
    size_t size = piece->length < WRITE_BYTES_PER_TURN ? (size_t)piece->length : WRITE_BYTES_PER_TURN;
    return sendfile(stream->fd, io_fd(piece->file), &position, size);
}

/* False when the stream failed. */
static bool write_socket(struct io_stream *stream)
{
    for (int64_t sent = 0; stream->count > 0 && sent < WRITE_BYTES_PER_TURN;) {
        bool is_file = first_piece(stream)->file != NULL;
        ssize_t result = is_file ? send_file(stream) : send_bufs(stream);
        if (result > 0) {
            advance(stream, result);
            sent += result;
        } else if (result == 0 && is_file) {
            /* The file is shorter than the length that was promised to the peer. */
            io_stream_fail(stream, ERR_IO);
            return false;
        } else if (result < 0 && errno == EAGAIN) {
            break;
        } else if (result < 0 && errno != EINTR) {
            io_stream_fail(stream, io_err(errno) == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_RESET);
            return false;
        }
    }
    stream->is_write_blocked = stream->count > 0;
    return true;
}

static void on_drained(struct io_stream *stream)
{
    mem_free(stream->pieces);
    stream->pieces = NULL;
    stream->first = stream->capacity = 0;
    if (!stream->is_finishing) {
        if (stream->tells_drained) {
            stream->tells_drained = false;
            tell(stream, ENV_STREAM_DRAINED, SLICE_NULL);
        }
    } else if (!stream->is_shut_down) {
        /* Closing with unread input would reset the connection and take our last words with it: read on until the peer closes. */
        stream->is_shut_down = true;
        shutdown(stream->fd, SHUT_WR);
    }
}

static void flush_stream(struct io_stream *stream)
{
    if (stream->pending_err != ERR_OK) {
        io_stream_fail(stream, stream->pending_err);
        return;
    }
    if (stream->is_connecting || stream->is_write_blocked || !write_socket(stream)) return;
    if (stream->count == 0) on_drained(stream);
    if (!stream->is_closed) io_stream_watch(stream);
}

void io_flush(struct io *io)
{
    struct list batch;
    list_init(&batch);
    for (struct list_node *node; (node = list_pop_front(&io->unsent));) list_push_back(&batch, node);
    for (struct list_node *node; (node = list_pop_front(&batch));) flush_stream(CONTAINER_OF(node, struct io_stream, unsent_link));
}

static void grow(struct io_stream *stream)
{
    uint32_t capacity = stream->capacity ? stream->capacity * 2 : 4;
    struct env_piece *pieces = mem_calloc(capacity, sizeof *pieces);
    for (uint32_t i = 0; i < stream->count; i++) pieces[i] = stream->pieces[(stream->first + i) % stream->capacity];
    mem_free(stream->pieces);
    stream->pieces = pieces;
    stream->first = 0;
    stream->capacity = capacity;
}

void io_stream_write(struct env *env, struct env_stream *handle, const struct env_piece *pieces, size_t count)
{
    struct io_stream *stream = io_stream_of(handle);
    (void)env;
    for (size_t i = 0; i < count; i++) {
        ASSERT(pieces[i].length >= 0 && pieces[i].position >= 0 && (pieces[i].buf != NULL) != (pieces[i].file != NULL));
        if (stream->is_closed || stream->is_finishing || pieces[i].length == 0) {
            buf_unref(pieces[i].buf);
            env_file_unref(pieces[i].file);
            continue;
        }
        if (stream->count == stream->capacity) grow(stream);
        stream->pieces[(stream->first + stream->count++) % stream->capacity] = pieces[i];
        stream->queued += pieces[i].length;
        stream->tells_drained = true;
        mark_unsent(stream);
    }
}

int64_t io_stream_queued(const struct env_stream *stream) { return io_stream_of(stream)->queued; }
const char *io_stream_peer(const struct env_stream *stream) { return io_stream_of(stream)->peer; }

void io_stream_pause(struct env *env, struct env_stream *handle, bool paused)
{
    struct io_stream *stream = io_stream_of(handle);
    (void)env;
    stream->is_paused = paused;
    io_stream_watch(stream);
}

void io_stream_close(struct env *env, struct env_stream *handle, bool after_drain)
{
    struct io_stream *stream = io_stream_of(handle);
    if (stream->is_closed || stream->is_finishing) return;
    if (!after_drain || stream->pending_err != ERR_OK) {
        io_stream_release(stream);
        return;
    }
    stream->is_finishing = true;
    env_stream_read_into(handle, NULL, 0); /* the owner is gone */
    env_timer_set(env, &stream->timer, env->now_us + FINISH_US);
    mark_unsent(stream);
    io_stream_watch(stream);
}
