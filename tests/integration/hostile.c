/* Many connections to a broker at once that behave as no good client would, or as many good ones do.
 *
 *   hostile ADDRESS BEHAVIOUR COUNT [--topic T] [--bytes N] [--seconds S] [--answers N]
 *
 * Prints "ready" when all of them have got as far as they go by themselves, and goes on until SIGTERM, until S seconds are over, or
 * until each has N answers; then what became of them: how many the broker closed, answers, errors in answers, the longest that one of them
 * waited for an answer. */
#include "tests/integration/wire.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/str.h"
#include "proto/record_batch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECT_MS = 20000,
    TICK_MS = 50,
    PEERS_MAX = 5000,
    HEAD_BYTES = 64,
    ROUND_BYTES = 65536,
    ACKS_ALL = -1,
    PRODUCE_TIMEOUT_MS = 60000
};

enum asking { ASKS_NOTHING, ASKS_VERSIONS, ASKS_ALL_TOPICS, PRODUCES };

struct behaviour {
    const char *name;
    enum asking asking;
    int depth;       /* requests without an answer, at most; 0: no bound */
    size_t drip;     /* bytes in each tick; 0: as many as the socket takes */
    size_t at_once;  /* of the first request, before it drips */
    bool stops_half; /* in the first request, where it began to drip */
    bool is_deaf;    /* reads nothing */
    bool asks_once;
};
static const struct behaviour BEHAVIOURS[] = {
    {.name = "silent", .asking = ASKS_NOTHING},
    {.name = "idle", .asking = ASKS_VERSIONS, .depth = 1, .asks_once = true},
    {.name = "drip", .asking = ASKS_VERSIONS, .depth = 1, .drip = 1},
    {.name = "half", .asking = ASKS_VERSIONS, .depth = 1, .at_once = 9, .stops_half = true},
    {.name = "hoard", .asking = PRODUCES, .depth = 1, .drip = 100, .at_once = 65536}, /* 2 KB/s */
    {.name = "deaf", .asking = ASKS_ALL_TOPICS, .depth = 64, .is_deaf = true},
    {.name = "produce", .asking = PRODUCES, .depth = 5},
    {.name = "ping", .asking = PRODUCES, .depth = 1},
};

struct peer {
    int fd;         /* -1: closed by the broker */
    size_t written; /* of the request under way */
    size_t total;   /* bytes */
    int64_t asked, answered, failed;
    int64_t waiting_since_ms, longest_ms;
    uint8_t head[HEAD_BYTES]; /* the beginning of an answer */
    size_t got;               /* of the answer, its length included */
};

struct crowd {
    const struct behaviour *how;
    const char *address, *topic;
    size_t bytes;
    int64_t end_ms, answers; /* 0: no end */
    struct slice request;
    size_t error_at; /* of its int16 in an answer; 0: none */
    struct peer *peers;
    struct pollfd *polled;
    size_t count, closed;
    int64_t next_tick_ms;
    bool is_told; /* "ready" */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static void put_batch(struct writer *w, size_t bytes)
{
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    uint8_t *value = mem_alloc(bytes);
    record_batch_spec_init(&spec);
    record_batch_builder_init(&builder, &spec);
    record_batch_builder_add(&builder, 1700000000000, SLICE_NULL, slice_make(value, bytes), NULL, 0);
    struct buf *batch = record_batch_builder_finish(&builder);
    writer_i32(w, (int32_t)batch->size);
    writer_bytes(w, buf_slice(batch));
    buf_unref(batch);
    record_batch_builder_deinit(&builder);
    mem_free(value);
}

static void put_body(struct crowd *crowd, struct writer *w)
{
    if (crowd->how->asking == ASKS_ALL_TOPICS) writer_i32(w, -1);
    if (crowd->how->asking != PRODUCES) return;
    wire_put_string(w, NULL); /* transactional id */
    writer_i16(w, ACKS_ALL);
    writer_i32(w, PRODUCE_TIMEOUT_MS);
    writer_i32(w, 1);
    wire_put_string(w, crowd->topic);
    writer_i32(w, 1);
    writer_i32(w, 0);
    put_batch(w, crowd->bytes);
    /* length, correlation, topics, name, partitions, index */
    crowd->error_at = 4 + 4 + 4 + 2 + strlen(crowd->topic) + 4 + 4;
    ASSERT(crowd->error_at + 2 <= HEAD_BYTES);
}

/* All peers send the same bytes. */
static struct buf *make_request(struct crowd *crowd)
{
    static const int16_t keys[] = {[ASKS_VERSIONS] = WIRE_API_VERSIONS, [ASKS_ALL_TOPICS] = WIRE_METADATA, [PRODUCES] = WIRE_PRODUCE};
    static const int16_t versions[] = {[ASKS_VERSIONS] = 0, [ASKS_ALL_TOPICS] = 1, [PRODUCES] = 3};
    struct writer w;
    writer_init(&w, 256);
    writer_i32(&w, 0);
    writer_i16(&w, keys[crowd->how->asking]);
    writer_i16(&w, versions[crowd->how->asking]);
    writer_i32(&w, 1);
    wire_put_string(&w, "hostile");
    put_body(crowd, &w);
    writer_patch_i32(&w, 0, (int32_t)(writer_size(&w) - 4));
    struct buf *request = writer_take(&w);
    crowd->request = buf_slice(request);
    return request;
}

/* ---- one peer ------------------------------------------------------------------------------------------------------ */

static void lose(struct crowd *crowd, struct peer *peer)
{
    (void)close(peer->fd);
    peer->fd = -1;
    crowd->closed++;
}

/* Bytes that it may send now; `is_tick`: a drip is due. */
static size_t allowance(const struct crowd *crowd, const struct peer *peer, bool is_tick)
{
    const struct behaviour *how = crowd->how;
    size_t rest = crowd->request.n - peer->written;
    bool is_new = peer->written == 0;
    if (how->asking == ASKS_NOTHING || (how->asks_once && peer->asked > 0 && is_new)) return 0;
    if (is_new && how->depth > 0 && peer->asked - peer->answered >= how->depth) return 0;
    if (peer->total < how->at_once) return min_size(rest, how->at_once - peer->total);
    if (how->stops_half) return 0;
    return how->drip == 0 ? rest : is_tick ? min_size(rest, how->drip) : 0;
}

static void write_some(struct crowd *crowd, struct peer *peer, bool is_tick)
{
    for (size_t n; peer->fd >= 0 && (n = allowance(crowd, peer, is_tick)) > 0;) {
        ssize_t sent = send(peer->fd, crowd->request.p + peer->written, n, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR) lose(crowd, peer);
            return;
        }
        peer->written += (size_t)sent;
        peer->total += (size_t)sent;
        if (crowd->how->drip > 0 && peer->total > crowd->how->at_once) is_tick = false;
        if (peer->written < crowd->request.n) continue;
        peer->written = 0;
        if (peer->asked++ == peer->answered) peer->waiting_since_ms = now_ms();
        if (crowd->request.n > ROUND_BYTES) return;
    }
}

static void on_answer(const struct crowd *crowd, struct peer *peer)
{
    int64_t now = now_ms();
    size_t at = crowd->error_at;
    peer->answered++;
    if (at > 0 && (peer->head[at] != 0 || peer->head[at + 1] != 0)) peer->failed++;
    peer->longest_ms = max_i64(peer->longest_ms, now - peer->waiting_since_ms);
    peer->waiting_since_ms = now;
    peer->got = 0;
}

static void take(const struct crowd *crowd, struct peer *peer, struct slice bytes)
{
    while (bytes.n > 0) {
        size_t size = 4;
        if (peer->got >= 4) {
            struct reader r = reader_make(slice_make(peer->head, 4));
            size += reader_u32(&r);
        }
        size_t n = min_size(bytes.n, size - peer->got);
        if (peer->got < HEAD_BYTES) memcpy(peer->head + peer->got, bytes.p, min_size(n, HEAD_BYTES - peer->got));
        peer->got += n;
        bytes = slice_make(bytes.p + n, bytes.n - n);
        if (size > 4 && peer->got == size) on_answer(crowd, peer);
    }
}

static void read_some(struct crowd *crowd, struct peer *peer)
{
    static uint8_t into[65536];
    for (;;) {
        ssize_t got = recv(peer->fd, into, sizeof into, 0);
        if (got > 0) {
            take(crowd, peer, slice_make(into, (size_t)got));
            continue;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) lose(crowd, peer);
        return;
    }
}

/* ---- all of them --------------------------------------------------------------------------------------------------- */

static bool is_settled(const struct crowd *crowd, const struct peer *peer)
{
    const struct behaviour *how = crowd->how;
    if (peer->fd < 0) return true;
    if (how->asks_once) return peer->answered > 0;
    return how->asking == ASKS_NOTHING || (how->at_once > 0 ? peer->total >= how->at_once : peer->total > 0);
}

static void tell_when_ready(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        if (crowd->is_told || !is_settled(crowd, &crowd->peers[i])) return;
    crowd->is_told = true;
    (void)puts("ready");
    (void)fflush(stdout);
}

static void wait_for_events(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        const struct peer *peer = &crowd->peers[i];
        bool writes = peer->fd >= 0 && crowd->how->drip == 0 && allowance(crowd, peer, false) > 0;
        crowd->polled[i] = (struct pollfd){.fd = peer->fd, .events = (short)((crowd->how->is_deaf ? 0 : POLLIN) | (writes ? POLLOUT : 0))};
    }
    (void)poll(crowd->polled, crowd->count, TICK_MS);
}

static void serve_all(struct crowd *crowd)
{
    bool is_tick = now_ms() >= crowd->next_tick_ms;
    if (is_tick) crowd->next_tick_ms = now_ms() + TICK_MS;
    for (size_t i = 0; i < crowd->count; i++) {
        struct peer *peer = &crowd->peers[i];
        short events = crowd->polled[i].revents;
        if (peer->fd >= 0 && crowd->how->is_deaf && (events & (POLLERR | POLLHUP))) lose(crowd, peer);
        if (peer->fd >= 0 && !crowd->how->is_deaf && events) read_some(crowd, peer);
        if (peer->fd >= 0) write_some(crowd, peer, is_tick);
    }
}

static bool all_have_their_answers(const struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        if (crowd->peers[i].answered < crowd->answers) return false;
    return crowd->answers > 0;
}

static volatile sig_atomic_t is_ended;
static void on_signal(int signal_number) { is_ended = signal_number; }

static void run(struct crowd *crowd)
{
    while (!is_ended && !all_have_their_answers(crowd) && (crowd->end_ms == 0 || now_ms() < crowd->end_ms)) {
        wait_for_events(crowd);
        serve_all(crowd);
        if (!crowd->is_told) tell_when_ready(crowd);
    }
}

static bool open_all(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        struct wire w;
        int few = 4096;
        if (!wire_open(&w, crowd->address, CONNECT_MS)) return false;
        if (crowd->how->is_deaf) (void)setsockopt(w.fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
        crowd->peers[i].fd = w.fd;
    }
    return true;
}

static void report(const struct crowd *crowd)
{
    int64_t answered = 0, failed = 0, longest_ms = 0, least = INT64_MAX, end = now_ms();
    for (size_t i = 0; i < crowd->count; i++) {
        const struct peer *peer = &crowd->peers[i];
        answered += peer->answered;
        failed += peer->failed;
        least = min_i64(least, peer->answered);
        longest_ms = max_i64(longest_ms, peer->longest_ms);
        if (peer->asked > peer->answered && !crowd->how->is_deaf) longest_ms = max_i64(longest_ms, end - peer->waiting_since_ms);
    }
    (void)printf("closed=%zu answers=%lld errors=%lld least=%lld longest_ms=%lld\n", crowd->closed, (long long)answered, (long long)failed,
                 (long long)least, (long long)longest_ms);
}

static const struct behaviour *find_behaviour(const char *name)
{
    for (size_t i = 0; i < sizeof BEHAVIOURS / sizeof *BEHAVIOURS; i++)
        if (strcmp(BEHAVIOURS[i].name, name) == 0) return &BEHAVIOURS[i];
    return NULL;
}

static bool parse(struct crowd *crowd, int argc, char **argv)
{
    int64_t count = 0, bytes = 1000, seconds = 0;
    bool good = argc >= 4 && argc % 2 == 0 && (crowd->how = find_behaviour(argv[2])) && str_parse_i64(slice_str(argv[3]), &count);
    crowd->topic = "hostile";
    for (int i = 4; good && i < argc; i += 2) {
        if (strcmp(argv[i], "--topic") == 0)
            crowd->topic = argv[i + 1];
        else if (strcmp(argv[i], "--bytes") == 0)
            good = str_parse_i64(slice_str(argv[i + 1]), &bytes);
        else if (strcmp(argv[i], "--answers") == 0)
            good = str_parse_i64(slice_str(argv[i + 1]), &crowd->answers);
        else
            good = strcmp(argv[i], "--seconds") == 0 && str_parse_i64(slice_str(argv[i + 1]), &seconds);
    }
    if (!good || count < 1 || count > PEERS_MAX || bytes < 0) return false;
    crowd->address = argv[1];
    crowd->count = (size_t)count;
    crowd->bytes = (size_t)bytes;
    if (seconds > 0) crowd->end_ms = now_ms() + seconds * 1000;
    return true;
}

int main(int argc, char **argv)
{
    struct crowd crowd = {0};
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    if (!parse(&crowd, argc, argv)) {
        (void)fprintf(stderr,
                      "usage: hostile ADDRESS silent|idle|drip|half|hoard|deaf|produce|ping COUNT [--topic T] [--bytes N] [--seconds S] "
                      "[--answers N]\n");
        return 2;
    }
    crowd.peers = mem_calloc(crowd.count, sizeof *crowd.peers);
    crowd.polled = mem_calloc(crowd.count, sizeof *crowd.polled);
    struct buf *request = make_request(&crowd);
    bool opened = open_all(&crowd);
    if (opened) {
        run(&crowd);
        report(&crowd);
    }
    buf_unref(request);
    mem_free(crowd.polled);
    mem_free(crowd.peers);
    return opened ? 0 : 1;
}
