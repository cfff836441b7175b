/* Server side of Kafka-framed connections: listeners, framing, pipelining, limits.
 *
 * A struct server holds the listeners and connections of one node role (the broker's, or the controller's) and lives on one env
 * thread. Frames come in, requests go out to the handler in the order of their arrival; answers leave in the same order,
 * however the handler finishes them.
 *
 * What bounds a connection (reasons in common/limits.h): the frame size; a frame's buffer grows with the bytes that came, not
 * with the length that was announced; at most UNANSWERED_REQUESTS_MAX requests are unanswered, then reading stops; reading stops
 * also while much output is queued and while the node's request memory is used up. Idle connections hold no buffer.
 *
 * What bounds all of them together: request memory for what comes, ANSWERS_BYTES_MAX for what waits to leave. Who holds one of the
 * two, gets on with nothing and keeps others from theirs is cut off (proto/relief.c).
 *
 * Who owns a request: the handler, from on_request() until it calls request_respond(), request_finish() or request_close(), also
 * when the connection breaks meanwhile: answers to a broken connection are dropped. */
#ifndef SKIFF_PROTO_CONNECTION_H
#define SKIFF_PROTO_CONNECTION_H

#include "common/env.h"
#include "common/limits.h"
#include "common/log_limit.h"
#include "common/map.h"
#include "common/token_bucket.h"
#include "proto/address_limits.h"
#include "proto/assembler.h"

struct connection;
struct request_memory;

/* ---- requests ------------------------------------------------------------------------------------------------------ */

enum request_progress {
    REQUEST_DONE,    /* finished already: the pointer is no longer valid */
    REQUEST_PARKED,  /* will be finished later; later requests of this connection may start now */
    REQUEST_BLOCKED, /* will be finished later; nothing later starts before request_unblock() or the finish */
};

struct request {
    struct list_node node;         /* the connection's, in order of arrival */
    struct connection *connection; /* NULL: broken meanwhile */
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct slice client_id; /* as sent, may be null; in the frame */
    struct slice body;      /* what follows the client id: with a flexible header first its tagged fields; in the frame */
    struct buf *frame;      /* whole frame without the length; NULL after request_release_frame() */
    int64_t received_us;
    /* The connection broke. Optional, set by the handler when it parks; it may finish the request in here. */
    void (*on_abandoned)(struct request *request);
    void *user; /* the handler's */
    /* the connection's: */
    struct env_piece *answer; /* kept until the answers before it have left */
    size_t answer_count;
    struct request_memory *memory; /* that `charged` bytes came from */
    int64_t charged;
    bool is_finished, is_silent, ends_connection;
};

/* The answer: the pieces follow the correlation id (a flexible response header begins with its tagged fields). Takes the
 * references of the pieces over. */
void request_respond(struct request *request, const struct env_piece *pieces, size_t count);
/* The same for one buffer. */
void request_respond_buf(struct request *request, struct buf *body);
/* No answer is due (Produce with acks=0). */
void request_finish(struct request *request);
/* Closes the connection after the answers before this one, with one log line that gives the reason. */
void request_close(struct request *request, const char *format, ...) PRINTF_LIKE(2, 3);
/* Later requests may start now; the answer still comes later. */
void request_unblock(struct request *request);
/* The frame is no longer needed (the records are appended): gives the request memory back. Slices into the frame are void
 * unless the caller took its own reference first. */
void request_release_frame(struct request *request);

/* ---- connections --------------------------------------------------------------------------------------------------- */

/* "127.0.0.1" */
const char *connection_peer(const struct connection *connection);
const char *connection_listener(const struct connection *connection);
/* "User:ANONYMOUS" until somebody authenticates. */
const char *connection_principal(const struct connection *connection);
/* A place for the handler, NULL at first. */
void *connection_user(const struct connection *connection);
void connection_set_user(struct connection *connection, void *user);
/* A time for the handler; when the connection was opened, at first. */
int64_t connection_noted_us(const struct connection *connection);
void connection_note(struct connection *connection, int64_t now_us);
/* Another node: its frames are charged to the reserve, so that clients cannot starve replication. */
void connection_use_reserve(struct connection *connection);
/* No request that comes from now on starts before that time (KIP-219); answers go on leaving. A later time that was set stays. */
void connection_mute(struct connection *connection, int64_t until_us);
/* At once. Its requests are abandoned; on_closed() is called. */
void connection_close(struct connection *connection);

/* ---- the server ---------------------------------------------------------------------------------------------------- */

struct server_limits {
    int32_t frame_bytes_max;         /* socket.request.max.bytes */
    int64_t memory_bytes_max;        /* queued.max.request.bytes */
    int64_t idle_timeout_us;         /* connections.max.idle.ms; 0: never */
    uint32_t connections_max;        /* max.connections */
    uint32_t connections_per_ip_max; /* max.connections.per.ip, for addresses that server->overrides does not name */
    uint32_t connections_per_s_max;  /* max.connection.creation.rate */
};
#define CONNECTION_RATE_UNLIMITED INT32_MAX

struct server_handler {
    enum request_progress (*on_request)(void *user, struct request *request);
    /* Optional; the connection is gone when it returns. Its requests have been abandoned before. */
    void (*on_closed)(void *user, struct connection *connection);
    /* Optional: somebody connects. Not 0: too often; for so long it should not come again. */
    int64_t (*on_connecting)(void *user, const char *address, int64_t now_us);
    void *user;
};

/* Memory for frames above FRAME_CHARGE_MIN. A connection that does not get its next piece stops reading and waits in order, for all
 * that its frame still needs. The first in the queue may overdraw when all that is used is held by the unfinished frames of those who wait:
 * so somebody always gets on, and the excess is at most one frame. */
struct request_memory {
    int64_t limit;
    int64_t used;
    int64_t held_by_waiting;
    struct list waiting; /* connections */
};

/* Why a peer is cut off or turned away; the log lines of each cause are limited. */
enum server_cause {
    SERVER_BAD_FRAME,
    SERVER_BAD_REQUEST,
    SERVER_OVERLOADED,   /* it held memory that others wait for */
    SERVER_FULL,         /* max.connections */
    SERVER_ADDRESS_FULL, /* max.connections.per.ip */
    SERVER_ADDRESS_FAST, /* on_connecting() */
    SERVER_CAUSE_COUNT
};

struct server {
    struct env *env;
    struct server_limits limits;
    struct server_handler handler;
    struct request_memory memory;
    struct request_memory reserve; /* for connections between nodes: one frame at least */
    struct list connections;
    struct list ready; /* connections that may go on with bytes they hold */
    struct list listeners;
    struct map addresses;            /* connections by peer address */
    struct address_limits overrides; /* max.connections.per.ip.overrides */
    uint32_t connection_count;       /* without those of protected listeners */
    uint64_t accepted_count, refused_count, delayed_count;
    struct token_bucket creation; /* of connections; when it is empty listeners pause until accept_timer */
    struct env_timer accept_timer;
    struct list lingering; /* turned away, but not closed yet */
    uint32_t lingering_count;
    struct env_timer linger_timer;
    int64_t turn_bytes;    /* of answers, since the ready ones were gone through last */
    int64_t answers_bytes; /* answers in memory that wait for their readers; at least what there is */
    struct env_timer ready_timer;
    struct env_timer sweep_timer;    /* idle and slow connections */
    struct env_timer request_relief; /* somebody waits for request memory */
    struct env_timer answer_relief;  /* answers_bytes is beyond its limit */
    struct log_limit log_limits[SERVER_CAUSE_COUNT];
};

void server_init(struct server *server, struct env *env, const struct server_limits *limits, const struct server_handler *handler);
/* `name` is the listener's name in the config. Connections of a protected listener (between nodes) do not count against
 * the limits of connections. Port 0 asks the system; *bound is the port. */
NODISCARD enum err server_listen(struct server *server, const char *name, const char *host, uint16_t port, bool is_protected,
                                 uint16_t *bound);
/* No new connections; those that are there go on. */
void server_stop_listening(struct server *server);
/* For /metrics. */
struct server_traffic {
    struct {
        const char *name; /* lives as long as the server */
        uint32_t connections;
    } listeners[LISTENERS_MAX];
    size_t listener_count;
    uint64_t accepted, refused; /* since the start */
    uint64_t delayed;           /* times that new ones had to wait */
};
void server_traffic(const struct server *server, struct server_traffic *traffic);
/* Closes all. Requests that are still out belong to their handlers and can be finished afterwards. */
void server_deinit(struct server *server);

#endif
