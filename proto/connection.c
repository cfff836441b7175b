/* One connection: bytes -> frames -> requests -> ordered answers. Reading stops while no request may start; what the last read
 * brought beyond that is held. */
#include "proto/connection_internal.h"

#include "common/assert.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/reader.h"

#include <stdarg.h>
#include <stdio.h>

#define FRAME_HEADER_BYTES 8         /* length, correlation id */
#define OUTPUT_BYTES_MAX   (4 << 20) /* a peer that does not read its answers gets no further requests served */

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static void request_free(struct request *request)
{
    for (size_t i = 0; i < request->answer_count; i++) {
        buf_unref(request->answer[i].buf);
        env_file_unref(request->answer[i].file);
    }
    mem_free(request->answer);
    buf_unref(request->frame);
    mem_free(request);
}

static void abandon(struct request *request)
{
    if (request->is_finished) {
        request_free(request);
        return;
    }
    request->connection = NULL;
    request->charged = 0;
    if (request->on_abandoned) request->on_abandoned(request);
}

static void maybe_free(struct connection *connection)
{
    if (connection->stream || connection->is_pumping) return;
    ASSERT(list_is_empty(&connection->requests));
    assembler_deinit(&connection->assembler);
    buf_unref(connection->held);
    mem_free(connection);
}

/* The stream is gone already. */
static void end(struct connection *connection)
{
    connection->stream = NULL;
    connection->is_ending = true;
    connection->starting = connection->blocking = NULL;
    memory_abandon(connection);
    env_timer_clear(connection->server->env, &connection->unmute);
    relief_on_drained(connection);
    for (struct list_node *node; (node = list_pop_front(&connection->requests));) {
        struct request *request = CONTAINER_OF(node, struct request, node);
        memory_release(request->memory, request->charged);
        abandon(request);
    }
    connection->request_count = 0;
    const struct server_handler *handler = &connection->server->handler;
    if (handler->on_closed) handler->on_closed(handler->user, connection);
    server_forget(connection);
    maybe_free(connection);
}

void connection_close(struct connection *connection)
{
    if (!connection->stream) return;
    env_stream_close(connection->server->env, connection->stream);
    end(connection);
}

static void log_closing(struct connection *connection, enum server_cause cause, const char *reason)
{
    struct server *server = connection->server;
    log_line_limited(env_logger(server->env), &server->log_limits[cause], env_now_us(server->env), server_cause_text(cause), "connection",
                     "closed %s on listener %s: %s", connection_peer(connection), connection->listener->name, reason);
}

void connection_refuse(struct connection *connection, enum server_cause cause, const char *format, ...)
{
    char reason[LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    log_closing(connection, cause, reason);
    connection_close(connection);
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

static void write_answer(struct connection *connection, const struct request *request, const struct env_piece *pieces, size_t count)
{
    int64_t size = 4, in_memory = FRAME_HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].length;
        if (pieces[i].buf) in_memory += pieces[i].length;
    }
    ASSERT(size <= INT32_MAX);
    struct buf *header = buf_create(FRAME_HEADER_BYTES);
    header->size = FRAME_HEADER_BYTES;
    uint32_t fields[2] = {(uint32_t)size, (uint32_t)request->correlation_id};
    for (size_t i = 0; i < FRAME_HEADER_BYTES; i++) header->data[i] = (uint8_t)(fields[i / 4] >> (24 - 8 * (i % 4)));
    struct env_piece first = env_piece_buf(header);
    env_write(connection->server->env, connection->stream, &first, 1);
    if (count) env_write(connection->server->env, connection->stream, pieces, count);
    connection->turn_bytes += in_memory;
    connection->server->turn_bytes += in_memory;
    bool is_too_much = relief_on_answer(connection, in_memory);
    if (is_too_much || env_stream_queued(connection->stream) > OUTPUT_BYTES_MAX) connection->is_output_full = true;
}

static void forget_request(struct connection *connection, struct request *request)
{
    list_remove(&request->node);
    ASSERT(connection->request_count > 0);
    connection->request_count--;
    memory_release(request->memory, request->charged);
    request->charged = 0;
}

/* Sends what is finished at the front of the line. */
static void flush(struct connection *connection)
{
    for (struct list_node *node; (node = list_first(&connection->requests));) {
        struct request *request = CONTAINER_OF(node, struct request, node);
        if (!request->is_finished) return;
        if (request->ends_connection) {
            env_stream_finish(connection->server->env, connection->stream);
            end(connection);
            return;
        }
        forget_request(connection, request);
        if (!request->is_silent) write_answer(connection, request, request->answer, request->answer_count);
        request->answer_count = 0; /* the stream has the references */
        request_free(request);
    }
}

static bool may_start(const struct connection *connection)
{
    return connection->stream && !connection->is_ending && !connection->blocking && !connection->is_output_full &&
           connection->muted_until_us == 0 && connection->request_count < UNANSWERED_REQUESTS_MAX &&
           !list_is_linked(&connection->waiting_node);
}

static void finish(struct request *request, const struct env_piece *pieces, size_t count)
{
    struct connection *connection = request->connection;
    ASSERT(!request->is_finished);
    request->is_finished = true;
    if (connection && connection->starting == request) connection->starting = NULL;
    if (connection && connection->blocking == request) connection->blocking = NULL;
    if (connection && list_first(&connection->requests) == &request->node && !request->is_silent && !request->ends_connection) {
        forget_request(connection, request);
        write_answer(connection, request, pieces, count);
        request_free(request);
    } else {
        request->answer = mem_calloc(count, sizeof *pieces);
        if (count) memcpy(request->answer, pieces, count * sizeof *pieces);
        request->answer_count = count;
        if (!connection) {
            request_free(request);
            return;
        }
    }
    flush(connection);
}

/* After `connection` may have become able to start the next request. */
static void after_finish(struct connection *connection)
{
    if (connection->held && !connection->is_pumping && may_start(connection)) server_make_ready(connection);
}

void request_respond(struct request *request, const struct env_piece *pieces, size_t count)
{
    struct connection *connection = request->connection;
    bool goes_on = connection && !connection->is_ending; /* an ending one may be freed below */
    finish(request, pieces, count);
    if (goes_on) after_finish(connection);
}

void request_respond_buf(struct request *request, struct buf *body)
{
    struct env_piece piece = env_piece_buf(body);
    request_respond(request, &piece, 1);
}

void request_finish(struct request *request)
{
    request->is_silent = true;
    request_respond(request, NULL, 0);
}

void request_close(struct request *request, const char *format, ...)
{
    struct connection *connection = request->connection;
    if (connection) {
        char reason[LOG_LINE_MAX];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(reason, sizeof reason, format, arguments);
        va_end(arguments);
        log_closing(connection, SERVER_BAD_REQUEST, reason);
        connection->is_ending = true;
    }
    request->ends_connection = true;
    finish(request, NULL, 0);
}

void request_unblock(struct request *request)
{
    struct connection *connection = request->connection;
    if (!connection || connection->blocking != request) return;
    connection->blocking = NULL;
    after_finish(connection);
}

void request_release_frame(struct request *request)
{
    request->body = request->client_id = SLICE_NULL;
    buf_unref(request->frame);
    request->frame = NULL;
    memory_release(request->memory, request->charged);
    request->charged = 0;
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static struct request *parse_request(struct connection *connection, struct buf *frame, int64_t now_us)
{
    struct request *request = mem_alloc(sizeof *request);
    struct reader r = reader_make(buf_slice(frame));
    request->frame = frame;
    request->connection = connection;
    request->received_us = now_us;
    request->api_key = reader_i16(&r);
    request->api_version = reader_i16(&r);
    request->correlation_id = reader_i32(&r);
    int16_t client_id_bytes = reader_i16(&r);
    if (client_id_bytes < -1) reader_fail(&r);
    if (client_id_bytes >= 0) request->client_id = reader_bytes(&r, (size_t)client_id_bytes);
    request->body = slice_make(r.p, r.left);
    if (reader_ok(&r)) return request;
    request_free(request);
    return NULL;
}

static void start_request(struct connection *connection, struct buf *frame)
{
    struct server *server = connection->server;
    struct request *request = parse_request(connection, frame, env_now_us(server->env));
    if (!request) {
        connection_refuse(connection, SERVER_BAD_FRAME, "the header of a request is cut short");
        return;
    }
    request->memory = connection->memory;
    request->charged = connection->charged;
    connection->charged = 0;
    list_push_back(&connection->requests, &request->node);
    connection->request_count++;
    connection->starting = request;
    enum request_progress progress = server->handler.on_request(server->handler.user, request);
    if (!connection->starting) return; /* finished inside, or the connection is gone */
    connection->starting = NULL;
    ASSERT(progress != REQUEST_DONE);
    if (progress == REQUEST_BLOCKED) connection->blocking = request;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static bool may_grow(struct assembler *assembler, size_t capacity)
{
    struct connection *connection = CONTAINER_OF(assembler, struct connection, assembler);
    if (assembler->frame_size <= FRAME_CHARGE_MIN) return true;
    return memory_charge(connection, (int64_t)capacity);
}

static void refuse_size(struct connection *connection)
{
    const struct assembler *assembler = &connection->assembler;
    const char *guess = assembler_guess(assembler->length);
    connection_refuse(connection, SERVER_BAD_FRAME, "a frame of %d bytes is not between %d and %d (socket.request.max.bytes)%s%s",
                      assembler->frame_size, assembler->frame_bytes_min, assembler->frame_bytes_max, guess ? ": this looks like " : "",
                      guess ? guess : "");
}

/* Starts the requests in *input as far as they may start; a few at a time when the answers are large. */
static void pump(struct connection *connection, struct slice *input)
{
    ASSERT(!connection->is_pumping);
    connection->is_pumping = true;
    connection->turn_bytes = 0;
    while (input->n > 0 && may_start(connection) && connection->turn_bytes < TURN_ANSWER_BYTES) {
        if (assembler_is_idle(&connection->assembler)) connection->frame_started_us = env_now_us(connection->server->env);
        struct buf *frame = NULL;
        switch (assembler_feed(&connection->assembler, input, &frame)) {
        case ASSEMBLER_FRAME: start_request(connection, frame); break;
        case ASSEMBLER_MORE: break;
        case ASSEMBLER_NO_SPACE: ASSERT(list_is_linked(&connection->waiting_node)); break;
        case ASSEMBLER_BAD_SIZE: refuse_size(connection); break;
        }
    }
    connection->is_pumping = false;
}

static void hold(struct connection *connection, struct slice rest)
{
    size_t before = connection->held ? connection->held->size - connection->held_at : 0;
    struct buf *held = buf_create(before + rest.n);
    if (before) memcpy(held->data, connection->held->data + connection->held_at, before);
    memcpy(held->data + before, rest.p, rest.n);
    held->size = before + rest.n;
    buf_unref(connection->held);
    connection->held = held;
    connection->held_at = 0;
    env_stream_pause(connection->server->env, connection->stream);
}

/* The rest of a frame may come in place, unless bytes before it are held. */
static void offer_room(struct connection *connection)
{
    uint8_t *room = NULL;
    size_t size = connection->held ? 0 : assembler_room(&connection->assembler, &room);
    env_stream_read_into(connection->stream, room, size);
}

static void on_bytes(struct connection *connection, struct slice input)
{
    if (!connection->held) pump(connection, &input);
    if (!connection->stream) {
        maybe_free(connection);
        return;
    }
    if (connection->is_ending) return;
    if (input.n > 0) hold(connection, input);
    offer_room(connection);
    if (connection->held) after_finish(connection);
}

void connection_continue(struct connection *connection)
{
    if (!connection->held || !may_start(connection)) return;
    struct buf *held = connection->held;
    struct slice input = slice_make(held->data + connection->held_at, held->size - connection->held_at);
    connection->frame_started_us = env_now_us(connection->server->env);
    pump(connection, &input);
    if (!connection->stream) {
        maybe_free(connection);
        return;
    }
    connection->held_at = held->size - input.n;
    if (input.n > 0) {
        after_finish(connection);
        return;
    }
    buf_unref(held);
    connection->held = NULL;
    if (connection->is_ending) return;
    offer_room(connection);
    env_stream_resume(connection->server->env, connection->stream);
}

static void on_event(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct connection *connection = user;
    ASSERT(connection->stream == stream);
    connection->last_active_us = event->now_us;
    switch (event->type) {
    case ENV_STREAM_CONNECTED: UNREACHABLE();
    case ENV_STREAM_BYTES: on_bytes(connection, event->bytes); break;
    case ENV_STREAM_DRAINED:
        connection->is_output_full = false;
        relief_on_drained(connection);
        after_finish(connection);
        break;
    case ENV_STREAM_CLOSED: end(connection); break;
    }
}

static void on_unmute(struct env_timer *timer, int64_t now_us)
{
    struct connection *connection = CONTAINER_OF(timer, struct connection, unmute);
    (void)now_us;
    connection->muted_until_us = 0;
    after_finish(connection);
}

void connection_open(struct server *server, struct server_listener *listener, struct server_address *address, struct env_stream *stream,
                     int64_t now_us)
{
    struct connection *connection = mem_alloc(sizeof *connection);
    connection->server = server;
    connection->listener = listener;
    connection->address = address;
    connection->stream = stream;
    connection->memory = &server->memory;
    connection->last_active_us = now_us;
    connection->noted_us = now_us;
    list_init(&connection->requests);
    env_timer_init(&connection->unmute, on_unmute);
    assembler_init(&connection->assembler, FRAME_BYTES_MIN, server->limits.frame_bytes_max);
    connection->assembler.may_grow = may_grow;
    list_push_back(&server->connections, &connection->node);
    env_stream_handle(stream, on_event, connection);
}

/* ---- what handlers ask --------------------------------------------------------------------------------------------- */

const char *connection_peer(const struct connection *connection) { return connection->address->text; }
const char *connection_listener(const struct connection *connection) { return connection->listener->name; }
const char *connection_principal(const struct connection *connection)
{
    (void)connection;
    return "User:ANONYMOUS";
}
void *connection_user(const struct connection *connection) { return connection->user; }
void connection_set_user(struct connection *connection, void *user) { connection->user = user; }
int64_t connection_noted_us(const struct connection *connection) { return connection->noted_us; }
void connection_note(struct connection *connection, int64_t now_us) { connection->noted_us = now_us; }

void connection_use_reserve(struct connection *connection)
{
    ASSERT(!list_is_linked(&connection->waiting_node));
    if (connection->charged == 0) connection->memory = &connection->server->reserve;
}

void connection_mute(struct connection *connection, int64_t until_us)
{
    if (!connection->stream || until_us <= connection->muted_until_us) return;
    connection->muted_until_us = until_us;
    env_timer_set(connection->server->env, &connection->unmute, until_us);
}
