#include "broker/admin/admin.h"

#include "broker/admin/http_library.h"
#include "broker/admin/http_listen.h"
#include "broker/admin/process_metrics.h"
#include "common/assert.h"
#include "common/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define CONNECTIONS_MAX        64 /* Prometheus keeps one; people a few */
#define CONNECTIONS_PER_IP_MAX 32
#define CONNECTION_BYTES       ((size_t)16384) /* a request's head and an answer's */
#define CONNECTION_TIMEOUT_S   15u
#define STACK_BYTES            ((size_t)262144)

#define OK          200u
#define NOT_FOUND   404u
#define NOT_ALLOWED 405u
#define UNAVAILABLE 503u

#define TEXT    "text/plain; charset=utf-8"
#define JSON    "application/json"
#define METRICS "text/plain; version=0.0.4; charset=utf-8"

struct answer {
    unsigned status;
    const char *type;
    struct writer body;
    int64_t made_ms;
    bool is_made;
};

/* What the loops said. */
struct round {
    struct question *questions[ADMIN_LOOPS_MAX];
    size_t loops[ADMIN_LOOPS_MAX]; /* of each question */
    size_t count;
    bool is_starting; /* not all of them run */
    bool is_complete; /* all that run have answered */
};

struct page {
    const char *path;
    void (*make)(struct admin *admin, struct answer *answer);
};
#define PAGE_COUNT 3

struct admin {
    struct admin_options options;
    char version[32];
    struct http_library library;
    struct MHD_Daemon *daemon;
    uint16_t port;
    struct gate *gate;
    atomic_bool runs[ADMIN_LOOPS_MAX];
    struct answer answers[PAGE_COUNT]; /* libmicrohttpd's thread */
};

static int64_t now_ms(void)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_MONOTONIC, &now);
    ASSERT(!failed);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(struct answer *answer, unsigned status, const char *type, const char *text)
{
    answer->status = status;
    answer->type = type;
    writer_bytes(&answer->body, slice_str(text));
}

/* ---- asking the loops ---------------------------------------------------------------------------------------------- */

static void round_begin(struct admin *admin, struct round *round, bool wants_metrics)
{
    *round = (struct round){0};
    for (size_t i = 0; i < admin->options.loop_count; i++) {
        const struct admin_loop *loop = &admin->options.loops[i];
        if (!atomic_load(&admin->runs[i])) {
            round->is_starting = true;
            continue;
        }
        round->loops[round->count] = i;
        round->questions[round->count++] =
            question_ask(admin->gate, loop->env, loop->fill, loop->user, wants_metrics, admin->options.series_max);
    }
    questions_await(admin->gate, round->questions, round->count, ADMIN_PATIENCE_MS);
    round->is_complete = true;
    for (size_t i = 0; i < round->count; i++) round->is_complete &= round->questions[i] != NULL;
}

static void round_end(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) question_done(round->questions[i]);
}

/* ---- pages --------------------------------------------------------------------------------------------------------- */

static void fill_process_page(const struct admin *admin, const struct round *round, struct metrics *metrics)
{
    char node_id[16];
    uint64_t left_out = 0;
    (void)snprintf(node_id, sizeof node_id, "%d", admin->options.node_id);
    struct slice labels[] = {slice_str(admin->version), slice_str(node_id)};
    for (size_t i = 0; i < round->count; i++)
        if (round->questions[i]) left_out += question_report(round->questions[i])->metrics.left_out;
    metrics_put(metrics, METRIC_SERIES_LEFT_OUT, (double)left_out);
    metrics_put_labelled(metrics, METRIC_BUILD_INFO, labels, 1);
    process_measure(metrics);
}

static void make_metrics(struct admin *admin, struct answer *answer)
{
    struct round round;
    struct metrics own;
    const struct metrics *pages[ADMIN_LOOPS_MAX + 1];
    size_t count = 0;
    round_begin(admin, &round, true);
    metrics_init(&own, 1); /* the only metric with labels has one series */
    if (round.is_complete) {
        fill_process_page(admin, &round, &own);
        for (size_t i = 0; i < round.count; i++) pages[count++] = &question_report(round.questions[i])->metrics;
        pages[count++] = &own;
        answer->status = OK;
        answer->type = METRICS;
        metrics_write(pages, count, &answer->body);
    } else {
        /* A part would look like a node whose counters are gone. */
        say(answer, UNAVAILABLE, TEXT, "a loop of this process does not answer\n");
    }
    metrics_deinit(&own);
    round_end(&round);
}

/* One that is not running yet is no sign of trouble: recovery may take its time. */
static void make_health(struct admin *admin, struct answer *answer)
{
    struct round round;
    round_begin(admin, &round, false);
    if (!round.is_complete)
        say(answer, UNAVAILABLE, JSON, "{\"status\":\"stuck\",\"reason\":\"a loop of this process does not answer\"}\n");
    else
        say(answer, OK, JSON, round.is_starting ? "{\"status\":\"starting\"}\n" : "{\"status\":\"ok\"}\n");
    round_end(&round);
}

/* Reasons are words of ours: nothing in them needs an escape. */
static void refuse_ready(struct answer *answer, const char *reason)
{
    char text[REPORT_REASON_MAX + 64];
    (void)snprintf(text, sizeof text, "{\"status\":\"not ready\",\"reason\":\"%s\"}\n", reason);
    say(answer, UNAVAILABLE, JSON, text);
}

static void make_ready(struct admin *admin, struct answer *answer)
{
    struct round round;
    const char *reason = NULL;
    round_begin(admin, &round, false);
    if (!round.is_complete)
        reason = "a loop of this process does not answer";
    else if (round.is_starting)
        reason = "the logs are being recovered";
    for (size_t i = 0; !reason && i < round.count; i++)
        if (!question_report(round.questions[i])->is_ready) reason = question_report(round.questions[i])->reason;
    if (reason)
        refuse_ready(answer, reason);
    else
        say(answer, OK, JSON, "{\"status\":\"ready\"}\n");
    round_end(&round);
}

static const struct page pages[PAGE_COUNT] = {{"/metrics", make_metrics}, {"/health", make_health}, {"/ready", make_ready}};

/* ---- HTTP ---------------------------------------------------------------------------------------------------------- */

static enum MHD_Result send_answer(const struct admin *admin, struct MHD_Connection *connection, const struct answer *answer)
{
    const struct http_library *http = &admin->library;
    struct slice body = writer_slice(&answer->body);
    void *bytes = answer->body.buf ? answer->body.buf->data : NULL;
    struct MHD_Response *response = http->create_response(body.n, bytes, MHD_RESPMEM_MUST_COPY);
    if (!response) return MHD_NO;
    (void)http->add_header(response, "Content-Type", answer->type);
    (void)http->add_header(response, "Cache-Control", "no-store");
    if (answer->status == NOT_ALLOWED) (void)http->add_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = http->queue_response(connection, answer->status, response);
    http->destroy_response(response);
    return result;
}

static enum MHD_Result send_text(const struct admin *admin, struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct answer answer = {0};
    writer_init(&answer.body, 128);
    say(&answer, status, TEXT, text);
    enum MHD_Result result = send_answer(admin, connection, &answer);
    writer_deinit(&answer.body);
    return result;
}

static enum MHD_Result send_page(struct admin *admin, struct MHD_Connection *connection, size_t page)
{
    struct answer *answer = &admin->answers[page];
    if (!answer->is_made || now_ms() - answer->made_ms >= ADMIN_FRESH_MS) {
        writer_deinit(&answer->body);
        writer_init(&answer->body, 256);
        pages[page].make(admin, answer);
        answer->made_ms = now_ms();
        answer->is_made = true;
    }
    return send_answer(admin, connection, answer);
}

/* Called when the head of a request is there; its body, if any, is not waited for. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **request)
{
    struct admin *admin = user;
    (void)version, (void)upload, (void)request;
    *upload_size = 0;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_text(admin, connection, NOT_ALLOWED, "only GET and HEAD are served here\n");
    for (size_t i = 0; i < PAGE_COUNT; i++)
        if (strcmp(path, pages[i].path) == 0) return send_page(admin, connection, i);
    return send_text(admin, connection, NOT_FOUND, "there is /metrics, /health and /ready\n");
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static enum err start_daemon(struct admin *admin, int socket, char *reason)
{
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ITC;
    admin->daemon = admin->library.start_daemon(
        flags, 0, NULL, NULL, on_request, admin, MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CONNECTIONS_PER_IP_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_TIMEOUT_S, MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, MHD_OPTION_END);
    if (admin->daemon) return ERR_OK; /* the socket is the library's, also when this fails */
    (void)snprintf(reason, CONFIG_LINE_MAX, "admin.http.listener: libmicrohttpd does not start; set it to nothing to go without");
    return ERR_IO;
}

enum err admin_open(const struct admin_options *options, struct admin **out, char reason[static CONFIG_LINE_MAX])
{
    ASSERT(options->loop_count > 0 && options->loop_count <= ADMIN_LOOPS_MAX);
    int socket = -1;
    struct admin *admin = mem_alloc(sizeof *admin);
    *out = NULL;
    admin->options = *options;
    (void)snprintf(admin->version, sizeof admin->version, "%s", options->version);
    admin->gate = gate_create();
    enum err err = ERR_NOT_FOUND;
    if (!http_library_load(&admin->library))
        (void)snprintf(reason, CONFIG_LINE_MAX, "admin.http.listener needs %s: install libmicrohttpd12, or set it to nothing",
                       HTTP_LIBRARY_FILE);
    else
        err = http_listen(options->listener, &socket, &admin->port, reason);
    if (!err) err = start_daemon(admin, socket, reason);
    if (err) {
        admin_close(admin);
        return err;
    }
    *out = admin;
    return ERR_OK;
}

uint16_t admin_port(const struct admin *admin) { return admin->port; }

void admin_loop_runs(struct admin *admin, size_t loop)
{
    ASSERT(loop < admin->options.loop_count);
    atomic_store(&admin->runs[loop], true);
}

void admin_close(struct admin *admin)
{
    if (!admin) return;
    gate_close(admin->gate);
    if (admin->daemon) admin->library.stop_daemon(admin->daemon); /* closes the socket, ends the thread */
    for (size_t i = 0; i < PAGE_COUNT; i++) writer_deinit(&admin->answers[i].body);
    gate_unref(admin->gate);
    mem_free(admin);
}
