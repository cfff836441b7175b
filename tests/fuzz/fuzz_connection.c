/* F4: bytes on connections to a whole node, in the simulator: raw ones, frames with any body, frames with a random body that is valid, in
 * pieces of any size, with pauses, without reading, closed in the middle.
 *
 * What the node owes its peers: each answer is for the oldest request that has none yet, and can be read as that API at that version; or
 * the connection ends. And whatever came, somebody else is answered afterwards.
 *
 * One node serves a few inputs in a row, since starting one takes longer than an input. */
#include "common/assert.h"
#include "tests/fuzz/fuzz.h"

/* The fixture's checks, where no test runner is. */
#include <check.h>
#undef ck_assert
#undef ck_assert_msg
#undef ck_assert_int_eq
#undef ck_abort_msg
#define ck_assert(expression)          ASSERT(expression)
#define ck_assert_msg(expression, ...) ASSERT(expression)
#define ck_assert_int_eq(a, b)         ASSERT((a) == (b))
#define ck_abort_msg(format, reason)   ASSERT((reason) == NULL)

#include "tests/unit/node_fixture.h"

#include "broker/handlers/handler.h"
#include "common/reader.h"

#define INPUTS_PER_NODE  50
#define FRAMES_MAX       200 /* of an input */
#define STREAM_BYTES_MAX (1 << 20)
#define REPEATS_MAX      70 /* more than may be unanswered */

struct fuzz_peer {
    struct fixture *f;
    struct env_stream *stream; /* NULL: closed */
    struct writer sent;        /* what the node could have read on this connection */
    size_t asked_at;           /* up to here the answers have come, or were not due */
    struct writer came;        /* answers, from the first one that is not whole */
    bool is_deaf;
};
struct fuzz_run {
    struct reader input;
    struct fuzz_peer peer;
    struct writer frame; /* the last one, for repeating */
    size_t piece;        /* bytes in one write; 0: all */
    int frames;
};

static struct fixture *fixture;
static int inputs;

/* ---- what is owed -------------------------------------------------------------------------------------------------- */

struct asked {
    int16_t key, version;
    int32_t correlation;
    struct slice rest;
};

/* The next request in what was sent; false: there is no whole one. */
static bool next_asked(struct fuzz_peer *peer, struct asked *asked)
{
    struct slice sent = writer_slice(&peer->sent);
    struct reader r = reader_make(slice_make(sent.p + peer->asked_at, sent.n - peer->asked_at));
    int32_t size = reader_i32(&r);
    struct slice frame = size >= 0 ? reader_bytes(&r, (size_t)size) : SLICE_NULL;
    if (!reader_ok(&r) || size < FRAME_BYTES_MIN) return false;
    r = reader_make(frame);
    asked->key = reader_i16(&r);
    asked->version = reader_i16(&r);
    asked->correlation = reader_i32(&r);
    asked->rest = slice_make(r.p, r.left);
    peer->asked_at += 4 + (size_t)size;
    return true;
}

static void check_body(const struct asked *asked, struct slice body)
{
    const struct handler *handler = handler_find(asked->key);
    ASSERT(handler != NULL);
    bool is_served = handler->version_min <= asked->version && asked->version <= handler->version_max;
    ASSERT(is_served || asked->key == API_API_VERSIONS);
    int16_t version = is_served ? asked->version : 0;
    struct reader r = reader_make(body);
    if (is_served && api_response_header_version(asked->key, version) > 0) ASSERT(reader_u8(&r) == 0);
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    void *response = arena_alloc(&arena, codec_struct_size(api_response(asked->key)));
    enum err err = codec_decode_exact(api_response(asked->key), version, slice_make(r.p, r.left), &arena, response);
    ASSERT(err == ERR_OK);
    arena_deinit(&arena);
}

/* Only Produce with acks=0 has no answer. */
static void check_answer(struct fuzz_peer *peer, struct slice frame)
{
    struct reader r = reader_make(frame);
    struct asked asked;
    int32_t correlation = reader_i32(&r);
    ASSERT(reader_ok(&r));
    for (;;) {
        bool is_asked = next_asked(peer, &asked);
        ASSERT(is_asked);
        if (asked.correlation == correlation) break;
        ASSERT(asked.key == API_PRODUCE);
    }
    check_body(&asked, slice_make(r.p, r.left));
}

static void check_answers(struct fuzz_peer *peer)
{
    struct slice came = writer_slice(&peer->came);
    size_t at = 0;
    while (came.n - at >= 4) {
        struct reader r = reader_make(slice_make(came.p + at, came.n - at));
        int32_t size = reader_i32(&r);
        ASSERT(size >= 4);
        struct slice frame = reader_bytes(&r, (size_t)size);
        if (!reader_ok(&r)) break;
        check_answer(peer, frame);
        at += 4 + (size_t)size;
    }
    struct writer rest;
    writer_init(&rest, came.n - at);
    writer_bytes(&rest, slice_make(came.p + at, came.n - at));
    writer_deinit(&peer->came);
    peer->came = rest;
}

/* ---- a peer -------------------------------------------------------------------------------------------------------- */

static void on_event(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct fuzz_peer *peer = user;
    (void)stream;
    if (event->type == ENV_STREAM_BYTES) {
        writer_bytes(&peer->came, event->bytes);
        check_answers(peer);
    }
    if (event->type == ENV_STREAM_CLOSED) peer->stream = NULL;
}

static void open_peer(struct fuzz_peer *peer)
{
    writer_init(&peer->sent, 256);
    writer_init(&peer->came, 256);
    peer->asked_at = 0;
    peer->is_deaf = false;
    peer->stream = env_connect(peer->f->client, "node", 9092, SIM_SECOND, on_event, peer);
}

static void close_peer(struct fuzz_peer *peer)
{
    if (peer->stream) env_stream_close(peer->f->client, peer->stream);
    peer->stream = NULL;
    writer_deinit(&peer->sent);
    writer_deinit(&peer->came);
}

static void send_bytes(struct fuzz_run *run, struct slice bytes)
{
    struct fuzz_peer *peer = &run->peer;
    if (writer_size(&peer->sent) + bytes.n > STREAM_BYTES_MAX) return;
    while (bytes.n > 0 && peer->stream) {
        size_t n = run->piece && run->piece < bytes.n ? run->piece : bytes.n;
        struct env_piece piece = env_piece_buf(buf_copy(slice_make(bytes.p, n)));
        writer_bytes(&peer->sent, slice_make(bytes.p, n));
        env_write(peer->f->client, peer->stream, &piece, 1);
        bytes = slice_make(bytes.p + n, bytes.n - n);
        if (run->piece) sim_run_for(peer->f->sim, 100);
    }
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

static struct slice take(struct fuzz_run *run, size_t n) { return reader_bytes(&run->input, n < run->input.left ? n : run->input.left); }

static void begin_frame(struct fuzz_run *run, int16_t key, int16_t version)
{
    writer_deinit(&run->frame);
    writer_init(&run->frame, 256);
    writer_i32(&run->frame, 0);
    writer_i16(&run->frame, key);
    writer_i16(&run->frame, version);
    writer_i32(&run->frame, ++run->frames);
    writer_i16(&run->frame, 1);
    writer_u8(&run->frame, 'f');
}

static void send_frame(struct fuzz_run *run)
{
    writer_patch_i32(&run->frame, 0, (int32_t)(writer_size(&run->frame) - 4));
    send_bytes(run, writer_slice(&run->frame));
}

/* A served API, at one of its versions or just beside them. */
static const struct handler *choose(struct fuzz_run *run, int16_t *version)
{
    const struct handler *handler = &handlers[reader_u8(&run->input) % handler_count];
    uint8_t byte = reader_u8(&run->input);
    *version = (int16_t)(handler->version_min + byte % (handler->version_max - handler->version_min + 1));
    if (byte == 255) *version = (int16_t)(handler->version_max + 1);
    return handler;
}

static void send_any_body(struct fuzz_run *run)
{
    int16_t version = 0;
    const struct handler *handler = choose(run, &version);
    begin_frame(run, handler->api_key, version);
    writer_bytes(&run->frame, take(run, reader_u8(&run->input)));
    send_frame(run);
}

static void send_valid_body(struct fuzz_run *run)
{
    int16_t version = 0;
    const struct handler *handler = choose(run, &version);
    enum kmsg kmsg = api_request(handler->api_key);
    if (version > handler->version_max) return;
    struct arena arena;
    struct prng prng;
    arena_init(&arena, 1 << 20);
    prng_init(&prng, reader_u16(&run->input));
    void *message = arena_alloc(&arena, codec_struct_size(kmsg));
    codec_randomize(kmsg, version, &prng, &arena, message);
    begin_frame(run, handler->api_key, version);
    if (api_request_header_version(handler->api_key, version) == 2) writer_u8(&run->frame, 0);
    enum err err = codec_encode(kmsg, version, message, &run->frame);
    ASSERT(err == ERR_OK);
    arena_deinit(&arena);
    send_frame(run);
}

/* ---- an input ------------------------------------------------------------------------------------------------------ */

static void operate(struct fuzz_run *run)
{
    struct fuzz_peer *peer = &run->peer;
    uint8_t operation = reader_u8(&run->input), amount = 0;
    switch (operation % 8) {
    case 0: send_bytes(run, take(run, reader_u8(&run->input))); break;
    case 1:
    case 2: send_any_body(run); break;
    case 3:
    case 4: send_valid_body(run); break;
    case 5:
        amount = reader_u8(&run->input);
        for (int i = 0; i < amount % REPEATS_MAX; i++) send_bytes(run, writer_slice(&run->frame));
        break;
    case 6:
        amount = reader_u8(&run->input);
        run->piece = amount % 16;
        sim_run_for(peer->f->sim, (int64_t)amount * SIM_MS);
        break;
    case 7:
        if (!peer->stream) {
            close_peer(peer);
            open_peer(peer);
        } else if (peer->is_deaf || operation & 8) {
            peer->is_deaf = !peer->is_deaf;
            if (peer->is_deaf)
                env_stream_pause(peer->f->client, peer->stream);
            else
                env_stream_resume(peer->f->client, peer->stream);
        }
        break;
    default: break;
    }
}

static void somebody_else_is_answered(struct fixture *f)
{
    static const struct api_versions_request request = {
        .client_software_name = {(const uint8_t *)"test", 4}, .client_software_version = {(const uint8_t *)"1.0", 3}, .node_id = -1};
    const struct api_versions_response *response = NULL;
    if (!f->channel) fixture_connect(f);
    response = fixture_ask(f, API_API_VERSIONS, 3, &request);
    ASSERT(response != NULL);
    ASSERT(response->error_code == KAFKA_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!fixture) {
        fixture = fixture_create("group.initial.rebalance.delay.ms=0\n");
        (void)fixture_create_topic(fixture, "t", 2);
    }
    struct fuzz_run run = {.input = reader_make(slice_make(data, size)), .peer.f = fixture};
    writer_init(&run.frame, 16);
    open_peer(&run.peer);
    while (run.input.left > 0 && run.frames < FRAMES_MAX) operate(&run);
    sim_run_for(fixture->sim, SIM_SECOND);
    close_peer(&run.peer);
    writer_deinit(&run.frame);
    somebody_else_is_answered(fixture);
    if (++inputs % INPUTS_PER_NODE == 0) {
        fixture_end(fixture);
        fixture = NULL;
    }
    return 0;
}
