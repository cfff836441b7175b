#include "proto/channel.h"

#include "common/assert.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/reader.h"
#include "common/writer.h"
#include "proto/assembler.h"

#define CORRELATION_BYTES 4
/* The peer was chosen by us: answers up to this size are believed to come whole, and read in place. */
#define WHOLE_BYTES_MAX (16 << 20)

struct channel {
    struct env *env;
    struct env_stream *stream; /* NULL: broken or closed */
    struct channel_handler handler;
    char *client_id;
    struct assembler assembler;
    struct list calls;       /* unanswered, oldest first */
    struct env_piece *early; /* written before the connection stood */
    size_t early_count;
    int32_t next_correlation_id;
    bool is_connected;
    bool is_closed; /* by the owner: no more callbacks */
    bool is_busy;   /* inside callbacks: freed afterwards */
};

static void channel_free(struct channel *channel)
{
    ASSERT(list_is_empty(&channel->calls));
    for (size_t i = 0; i < channel->early_count; i++) {
        buf_unref(channel->early[i].buf);
        env_file_unref(channel->early[i].file);
    }
    mem_free(channel->early);
    assembler_deinit(&channel->assembler);
    mem_free(channel->client_id);
    mem_free(channel);
}

static void forget(struct channel_call *call)
{
    ASSERT(call->channel != NULL);
    env_timer_clear(call->channel->env, &call->timer);
    list_remove(&call->node);
    call->channel = NULL;
}

void channel_cancel(struct channel_call *call)
{
    if (call->channel) forget(call);
}

void channel_close(struct channel *channel)
{
    for (struct list_node *node; (node = list_first(&channel->calls));) forget(CONTAINER_OF(node, struct channel_call, node));
    if (channel->stream) env_stream_close(channel->env, channel->stream);
    channel->stream = NULL;
    channel->is_closed = true;
    if (!channel->is_busy) channel_free(channel);
}

/* The stream is gone: everybody learns it, the calls first. */
static void break_off(struct channel *channel, enum err err, int64_t now_us)
{
    enum err told = err == ERR_TIMEOUT ? ERR_RESET : err; /* a call that times out leaves the channel */
    channel->stream = NULL;
    channel->is_connected = false;
    channel->is_busy = true;
    for (struct list_node *node; (node = list_first(&channel->calls));) {
        struct channel_call *call = CONTAINER_OF(node, struct channel_call, node);
        forget(call);
        call->done(call, told, NULL, SLICE_NULL, now_us);
    }
    if (!channel->is_closed) channel->handler.on_closed(channel->handler.user, channel, err, now_us);
    channel_free(channel);
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

static void skip_tagged_fields(struct reader *r)
{
    uint32_t count = reader_uvarint32(r);
    if (count > TAG_COUNT_MAX) reader_fail(r);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        (void)reader_uvarint32(r);
        (void)reader_bytes(r, reader_uvarint32(r));
    }
}

/* False: not an answer to anything that was asked. */
static bool on_frame(struct channel *channel, struct buf *frame, int64_t now_us)
{
    struct reader r = reader_make(buf_slice(frame));
    int32_t correlation_id = reader_i32(&r);
    struct list_node *node = list_first(&channel->calls);
    struct channel_call *call = node ? CONTAINER_OF(node, struct channel_call, node) : NULL;
    int32_t oldest = call ? call->correlation_id : channel->next_correlation_id;
    /* Answers come in order; one that is older than the oldest call belongs to a forgotten one. Differences survive a wrap. */
    if ((int32_t)((uint32_t)correlation_id - (uint32_t)oldest) < 0) return true;
    if (!call || correlation_id != oldest) return false;
    if (call->is_flexible) skip_tagged_fields(&r);
    if (!reader_ok(&r)) return false;
    forget(call);
    call->done(call, ERR_OK, frame, slice_make(r.p, r.left), now_us);
    return true;
}

static void on_bytes(struct channel *channel, struct slice input, int64_t now_us)
{
    bool is_sound = true;
    channel->is_busy = true;
    while (is_sound && channel->stream && input.n > 0) {
        struct buf *frame = NULL;
        enum assembler_result result = assembler_feed(&channel->assembler, &input, &frame);
        is_sound = result == ASSEMBLER_MORE || (result == ASSEMBLER_FRAME && on_frame(channel, frame, now_us));
        buf_unref(frame);
    }
    channel->is_busy = false;
    if (channel->is_closed) {
        channel_free(channel);
    } else if (is_sound) {
        uint8_t *room = NULL;
        size_t size = assembler_room(&channel->assembler, &room);
        env_stream_read_into(channel->stream, room, size);
    } else {
        log_line(env_logger(channel->env), LOG_WARN, "channel", "closed the connection to %s: its answer is malformed",
                 env_stream_peer(channel->stream));
        env_stream_close(channel->env, channel->stream);
        break_off(channel, ERR_CORRUPT, now_us);
    }
}

static void on_connected(struct channel *channel, int64_t now_us)
{
    channel->is_connected = true;
    if (channel->early_count) env_write(channel->env, channel->stream, channel->early, channel->early_count);
    mem_free(channel->early);
    channel->early = NULL;
    channel->early_count = 0;
    if (!channel->handler.on_connected) return;
    channel->is_busy = true;
    channel->handler.on_connected(channel->handler.user, channel, now_us);
    channel->is_busy = false;
    if (channel->is_closed) channel_free(channel);
}

static void on_event(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct channel *channel = user;
    ASSERT(channel->stream == stream);
    switch (event->type) {
    case ENV_STREAM_CONNECTED: on_connected(channel, event->now_us); break;
    case ENV_STREAM_BYTES: on_bytes(channel, event->bytes, event->now_us); break;
    case ENV_STREAM_DRAINED: break;
    case ENV_STREAM_CLOSED: break_off(channel, event->err, event->now_us); break;
    }
}

struct channel *channel_open(struct env *env, const char *host, uint16_t port, const char *client_id, int64_t connect_timeout_us,
                             int32_t frame_bytes_max, const struct channel_handler *handler)
{
    ASSERT(handler->on_closed != NULL);
    struct channel *channel = mem_alloc(sizeof *channel);
    channel->env = env;
    channel->handler = *handler;
    channel->client_id = mem_strdup(client_id);
    ASSERT(strlen(client_id) <= CLIENT_ID_MAX);
    list_init(&channel->calls);
    assembler_init(&channel->assembler, CORRELATION_BYTES, frame_bytes_max);
    channel->assembler.whole_max = WHOLE_BYTES_MAX;
    channel->stream = env_connect(env, host, port, connect_timeout_us, on_event, channel);
    return channel;
}

bool channel_is_connected(const struct channel *channel) { return channel->is_connected; }
int64_t channel_queued(const struct channel *channel) { return channel->stream ? env_stream_queued(channel->stream) : 0; }

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static struct buf *request_header(const struct channel *channel, const struct channel_call *call, int64_t body_bytes)
{
    struct slice client_id = slice_str(channel->client_id);
    struct writer w;
    writer_init(&w, 4 + 10 + client_id.n + 1);
    int64_t size = 10 + (int64_t)client_id.n + (call->is_flexible ? 1 : 0) + body_bytes;
    ASSERT(size <= INT32_MAX);
    writer_i32(&w, (int32_t)size);
    writer_i16(&w, call->api_key);
    writer_i16(&w, call->api_version);
    writer_i32(&w, call->correlation_id);
    writer_i16(&w, (int16_t)client_id.n);
    writer_bytes(&w, client_id);
    if (call->is_flexible) writer_u8(&w, 0); /* no tagged fields */
    return writer_take(&w);
}

static void write_pieces(struct channel *channel, const struct env_piece *pieces, size_t count)
{
    if (channel->is_connected) {
        env_write(channel->env, channel->stream, pieces, count);
        return;
    }
    channel->early = mem_realloc(channel->early, channel->early_count + count, sizeof *pieces);
    memcpy(channel->early + channel->early_count, pieces, count * sizeof *pieces);
    channel->early_count += count;
}

static void on_timeout(struct env_timer *timer, int64_t now_us)
{
    struct channel_call *call = CONTAINER_OF(timer, struct channel_call, timer);
    forget(call);
    call->done(call, ERR_TIMEOUT, NULL, SLICE_NULL, now_us);
}

void channel_send(struct channel *channel, struct channel_call *call, const struct env_piece *pieces, size_t count, int64_t timeout_us)
{
    ASSERT(channel->stream != NULL);
    ASSERT(call->channel == NULL);
    ASSERT(call->done != NULL);
    call->channel = channel;
    call->correlation_id = channel->next_correlation_id;
    channel->next_correlation_id = (int32_t)((uint32_t)channel->next_correlation_id + 1);
    list_push_back(&channel->calls, &call->node);
    env_timer_init(&call->timer, on_timeout);
    env_timer_set(channel->env, &call->timer, env_now_us(channel->env) + timeout_us);
    int64_t body_bytes = 0;
    for (size_t i = 0; i < count; i++) body_bytes += pieces[i].length;
    struct env_piece header = env_piece_buf(request_header(channel, call, body_bytes));
    write_pieces(channel, &header, 1);
    if (count) write_pieces(channel, pieces, count);
}
