#include "broker/handlers/handler.h"
#include "common/assert.h"
#include "common/metrics.h"
#include "common/reader.h"
#include "proto/api.h"
#include "proto/frame.h"

#include <stdarg.h>
#include <stdio.h>

#define PIECES_NEAR        16              /* answers with more pieces take an allocation */
#define RESPONSE_BYTES_MAX (1024ull << 20) /* structs of one answer; handlers refuse what passes ANSWER_BYTES_MAX long before */

const struct handler handlers[] = {
#define HANDLER(api_key_, version_min_, version_max_, function, operation_)                                                                \
    {.api_key = (api_key_), .version_min = (version_min_), .version_max = (version_max_), .handle = (function), .operation = (operation_)},
#include "broker/handlers/handlers.def"
#undef HANDLER
};
const size_t handler_count = sizeof handlers / sizeof *handlers;

const struct handler *handler_find(int16_t api_key)
{
    for (size_t i = 0; i < handler_count; i++)
        if (handlers[i].api_key == api_key) return &handlers[i];
    return NULL;
}

/* ---- the life of a call -------------------------------------------------------------------------------------------- */

void call_end(struct call *call)
{
    int64_t now_us = env_now_us(call->dispatch->env);
    (void)call_count_time(call);
    if (call->dispatch->running == call) call->dispatch->running = NULL;
    histogram_add(&call->dispatch->times[call->timed_as], now_us - call->received_us, now_us);
    arena_deinit(&call->arena);
    mem_free(call);
}

void call_finish(struct call *call)
{
    request_finish(call->request);
    call_end(call);
}

void call_close(struct call *call, const char *format, ...)
{
    char reason[LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    call->dispatch->refused_count++;
    request_close(call->request, "%s", reason);
    call_end(call);
}

bool call_is_too_much(const struct call *call) { return call->arena.used > ANSWER_BYTES_MAX; }

enum request_progress call_refuse_too_much(struct call *call)
{
    call_close(call, "the answer to %s (key %d) takes more than %u MB: ask for less at a time", api_name(call->api_key), call->api_key,
               ANSWER_BYTES_MAX >> 20);
    return REQUEST_DONE;
}

void call_release_frame(struct call *call)
{
    call->body = SLICE_NULL;
    request_release_frame(call->request);
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

/* The end of a flexible response header: no tagged fields. */
static void begin_answer(const struct call *call, struct writer *w, size_t capacity)
{
    writer_init(w, capacity);
    if (api_response_header_version(call->api_key, call->api_version) > 0) writer_u8(w, 0);
}

static void encoding_failed(struct call *call, enum err err)
{
    request_close(call->request, "the answer to %s version %d cannot be written: %s", api_name(call->api_key), call->api_version,
                  err_text(err));
}

void call_respond(struct call *call, const void *response)
{
    struct writer w;
    response = call_with_throttle(call, response, call_throttle(call));
    begin_answer(call, &w, 256);
    enum err err = codec_encode(api_response(call->api_key), call->api_version, response, &w);
    if (err) {
        writer_deinit(&w);
        encoding_failed(call, err);
    } else {
        request_respond_buf(call->request, writer_take(&w));
    }
    call_end(call);
}

void call_respond_encoded(struct call *call, struct buf *frame, struct slice body)
{
    struct writer w;
    struct env_piece pieces[2];
    size_t count = 0;
    int32_t throttle_ms = call_throttle(call);
    begin_answer(call, &w, 8);
    if (call_heed_throttle(call, body, throttle_ms)) {
        writer_i32(&w, throttle_ms);
        body = slice_make(body.p + 4, body.n - 4);
    }
    if (writer_size(&w) > 0) pieces[count++] = env_piece_buf(writer_take(&w));
    if (body.n > 0)
        pieces[count++] = (struct env_piece){.buf = buf_ref(frame), .position = body.p - frame->data, .length = (int64_t)body.n};
    writer_deinit(&w);
    request_respond(call->request, pieces, count);
    call_end(call);
}

/* Where record bytes go into an encoded answer. */
struct splice {
    size_t position;
    struct slice token;
};
struct splices {
    struct arena *arena;
    struct splice *items;
    size_t count, capacity;
};

static void on_splice(void *context, size_t position, struct slice token)
{
    struct splices *splices = context;
    if (splices->count == splices->capacity) {
        size_t capacity = splices->capacity ? 2 * splices->capacity : 8;
        struct splice *items = arena_calloc(splices->arena, capacity, sizeof *items);
        if (splices->count) memcpy(items, splices->items, splices->count * sizeof *items);
        splices->items = items;
        splices->capacity = capacity;
    }
    splices->items[splices->count++] = (struct splice){position, token};
}

struct pieces {
    struct arena *arena;
    struct env_piece *items;
    size_t count, capacity;
};

static void add_piece(struct pieces *pieces, struct env_piece piece)
{
    if (pieces->count == pieces->capacity) {
        struct env_piece *more = arena_calloc(pieces->arena, pieces->capacity * 2, sizeof *more);
        memcpy(more, pieces->items, pieces->count * sizeof *more);
        pieces->items = more;
        pieces->capacity *= 2;
    }
    if (piece.buf) buf_ref(piece.buf);
    if (piece.file) env_file_ref(piece.file);
    pieces->items[pieces->count++] = piece;
}

static void add_text(struct pieces *pieces, struct buf *text, size_t from, size_t to)
{
    if (to > from) add_piece(pieces, (struct env_piece){.buf = text, .position = (int64_t)from, .length = (int64_t)(to - from)});
}

void call_send_pieces(struct call *call, const void *response, call_records_fn *on_records, void *context)
{
    struct writer w;
    struct splices splices = {.arena = &call->arena};
    struct env_piece near[PIECES_NEAR];
    struct pieces pieces = {.arena = &call->arena, .items = near, .capacity = PIECES_NEAR};
    size_t at = 0;
    begin_answer(call, &w, 512);
    enum err err = codec_encode_pieces(api_response(call->api_key), call->api_version, response, &w, on_splice, &splices, NULL);
    struct buf *text = writer_take(&w);
    for (size_t i = 0; !err && i < splices.count; i++) {
        const struct env_piece *records = NULL;
        size_t count = 0;
        add_text(&pieces, text, at, splices.items[i].position);
        at = splices.items[i].position;
        on_records(context, splices.items[i].token, &records, &count);
        for (size_t k = 0; k < count; k++) add_piece(&pieces, records[k]);
    }
    if (err) {
        encoding_failed(call, err);
    } else {
        add_text(&pieces, text, at, text->size);
        request_respond(call->request, pieces.items, pieces.count);
    }
    buf_unref(text);
}

/* ---- dispatch ------------------------------------------------------------------------------------------------------ */

static enum request_progress refuse(struct dispatch *dispatch, struct request *request, const char *what)
{
    dispatch->refused_count++;
    request_close(request, "%s: %s (key %d) version %d", what, api_name(request->api_key), request->api_key, request->api_version);
    return REQUEST_DONE;
}

static bool is_allowed(const struct request *request, enum acl_operation operation)
{
    struct acl_context context = {.principal = connection_principal(request->connection),
                                  .address = connection_peer(request->connection),
                                  .listener = connection_listener(request->connection)};
    return authorizer_allows(&context, operation);
}

bool call_is_allowed(const struct call *call, enum acl_operation operation) { return is_allowed(call->request, operation); }

static struct call *call_create(struct dispatch *dispatch, struct request *request, const struct handler *handler, struct slice body)
{
    struct call *call = mem_alloc(sizeof *call);
    call->dispatch = dispatch;
    call->request = request;
    call->api_key = request->api_key;
    call->api_version = request->api_version;
    call->body = body;
    call->received_us = request->received_us;
    call->timed_as = (size_t)(handler - handlers);
    call->is_metered = call->is_throttled = false;
    call->working_since_ns = 0;
    arena_init(&call->arena, SIZE_MAX);
    call_meter(call);
    call->arena.cap = call->arena.used + codec_decode_budget(body.n);
    return call;
}

enum request_progress dispatch_request(void *user, struct request *request)
{
    struct dispatch *dispatch = user;
    const struct handler *handler = handler_find(request->api_key);
    struct frame_request frame;
    if (!handler) return refuse(dispatch, request, "an API that is not served");
    /* The one API that must be answered at any version (KIP-511); its handler sees what it asks for. */
    bool is_api_versions = handler->handle == handle_api_versions;
    bool has_version = request->api_version >= handler->version_min && request->api_version <= handler->version_max;
    if (!has_version && !is_api_versions) return refuse(dispatch, request, "a version that is not served");
    if (!is_allowed(request, (enum acl_operation)handler->operation)) return refuse(dispatch, request, "not authorized");
    if (frame_parse_request(buf_slice(request->frame), &frame)) return refuse(dispatch, request, "a malformed header");
    struct call *call = call_create(dispatch, request, handler, frame.body);
    enum kmsg kmsg = api_request(request->api_key);
    void *message = arena_try_alloc(&call->arena, codec_struct_size(kmsg));
    ASSERT(message != NULL);
    enum err err = has_version ? codec_decode_request(kmsg, request->api_version, frame.body, &call->arena, message) : ERR_OK;
    if (err) {
        call_close(call, "a malformed request: %s (key %d) version %d", api_name(request->api_key), request->api_key, request->api_version);
        return REQUEST_DONE;
    }
    call->arena.cap = RESPONSE_BYTES_MAX;
    dispatch->running = call;
    enum request_progress progress = handler->handle(call, message);
    bool has_ended = dispatch->running != call;
    dispatch->running = NULL;
    if (!has_ended) call_pause(call);
    return progress;
}

void dispatch_init(struct dispatch *dispatch, struct env *env, const struct config *config, const struct image *image,
                   struct replica_manager *replicas, struct controller_channel *controller, struct group_coordinator *groups,
                   int32_t node_id)
{
    *dispatch = (struct dispatch){
        .env = env, .config = config, .image = image, .replicas = replicas, .controller = controller, .groups = groups, .node_id = node_id};
    dispatch->times = mem_calloc(handler_count + 1, sizeof *dispatch->times);
    dispatch->throttled = mem_calloc(handler_count + 1, sizeof *dispatch->throttled);
    list_init(&dispatch->creations);
    leader_hold_init(&dispatch->hold, env, image, replicas, node_id);
    quotas_init(&dispatch->quotas, env_random64(env));
}

/* ---- times --------------------------------------------------------------------------------------------------------- */

void call_is_of_follower(struct call *call)
{
    ASSERT(call->api_key == API_FETCH);
    call->timed_as = handler_count;
    call->is_metered = false;
    call->working_since_ns = 0;
}

void dispatch_measure(const struct dispatch *dispatch, struct metrics *metrics)
{
    for (size_t i = 0; i <= handler_count; i++) {
        const struct histogram *times = &dispatch->times[i];
        const char *name = i == handler_count                 ? "FetchFollower"
                           : handlers[i].api_key == API_FETCH ? "FetchConsumer"
                                                              : api_name(handlers[i].api_key);
        struct slice label = slice_str(name);
        bool has_byte_rate = i < handler_count && (handlers[i].api_key == API_PRODUCE || handlers[i].api_key == API_FETCH);
        metrics_put_labelled(metrics, METRIC_REQUESTS, &label, (double)times->count);
        if (dispatch->throttled[i] > 0 || has_byte_rate)
            metrics_put_labelled(metrics, METRIC_REQUESTS_THROTTLED, &label, (double)dispatch->throttled[i]);
        if (times->count > 0) metrics_put_histogram(metrics, METRIC_REQUEST_SECONDS, &label, times);
    }
    metrics_put(metrics, METRIC_REQUESTS_REFUSED, (double)dispatch->refused_count);
}

/* ---- small things that several handlers need ----------------------------------------------------------------------- */

void endpoints_add(struct endpoints *endpoints, int32_t id)
{
    for (size_t i = 0; i < endpoints->count; i++)
        if (endpoints->ids[i] == id) return;
    if (id >= 0 && endpoints->count < REPLICAS_MAX) endpoints->ids[endpoints->count++] = id;
}

const struct image_listener *call_endpoint(const struct call *call, const struct image_broker *broker)
{
    if (!broker || !call->request->connection) return NULL;
    return image_broker_listener(broker, slice_str(connection_listener(call->request->connection)));
}

bool is_valid_topic_name(struct slice name)
{
    if (name.n == 0 || name.n > TOPIC_NAME_MAX || slice_equal_str(name, ".") || slice_equal_str(name, "..")) return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i], letter = c | 0x20;
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}
