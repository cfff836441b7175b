/* What connection.c, server.c, admission.c and relief.c share; nobody else includes it. */
#ifndef SKIFF_PROTO_CONNECTION_INTERNAL_H
#define SKIFF_PROTO_CONNECTION_INTERNAL_H

#include "proto/connection.h"

struct server_listener {
    struct list_node node;
    struct server *server;
    struct env_listener *socket; /* NULL: closed */
    char *name;
    bool is_protected;
    uint32_t connection_count;
};

struct server_address {
    uint32_t connection_count;
    struct slice key; /* text */
    char text[];
};

struct connection {
    struct list_node node;
    struct list_node ready_node;
    struct list_node waiting_node; /* in memory->waiting */
    struct server *server;
    struct server_listener *listener;
    struct server_address *address;
    struct env_stream *stream; /* NULL: closed, freed as soon as nobody works on it */
    struct assembler assembler;
    struct request_memory *memory;
    int64_t charged; /* for the unfinished frame */
    int64_t wanted;  /* while waiting: bytes more */
    int64_t waiting_since_us;
    struct list requests; /* in order of arrival; the first is not finished */
    uint32_t request_count;
    struct request *starting; /* inside on_request() */
    struct request *blocking; /* nothing starts before it is finished or unblocked */
    struct buf *held;         /* bytes that came when no request could start; reading is paused */
    size_t held_at;
    int64_t last_active_us;
    int64_t frame_started_us;
    struct env_timer unmute;
    int64_t muted_until_us;     /* 0: not muted */
    int64_t turn_bytes;         /* of answers, since it began to start requests */
    int64_t answers_bytes;      /* its share of server->answers_bytes */
    int64_t answers_left;       /* queued when relief last looked */
    int64_t answers_stalled_us; /* since when nothing has left, as far as relief has seen; 0: it has not looked */
    bool is_output_full;
    bool is_ending; /* closes when the answers are out; nothing starts any more */
    bool is_pumping;
    void *user;
    int64_t noted_us; /* the handler's */
};

void connection_open(struct server *server, struct server_listener *listener, struct server_address *address, struct env_stream *stream,
                     int64_t now_us);
/* Goes on with what it holds. */
void connection_continue(struct connection *connection);
/* One log line, then connection_close(). */
void connection_refuse(struct connection *connection, enum server_cause cause, const char *format, ...) PRINTF_LIKE(3, 4);

/* admission.c: who may connect. */
void admission_init(struct server *server);
void admission_deinit(struct server *server);
/* An env_accept_fn; `user` is the listener. */
void admission_on_accepted(void *user, struct env_stream *stream, int64_t now_us);
/* A connection no longer counts. */
void admission_forget(struct connection *connection);

/* For log lines. */
const char *server_cause_text(enum server_cause cause);
/* The server's part of a connection's end. */
void server_forget(struct connection *connection);
/* connection_continue() in the next turn: never from inside the call that made it possible. */
void server_make_ready(struct connection *connection);

/* Charges the connection's unfinished frame up to `capacity` bytes; false: it waits in the queue. */
NODISCARD bool memory_charge(struct connection *connection, int64_t capacity);
void memory_release(struct request_memory *memory, int64_t bytes);
/* Leaves the queue and gives back what the unfinished frame holds. */
void memory_abandon(struct connection *connection);

/* relief.c: who holds what others need, and does nothing with it. */
void relief_init(struct server *server);
void relief_deinit(struct server *server);
/* The connection waits for request memory from now on. */
void relief_on_waiting(struct connection *connection);
/* `bytes` of answers in memory were queued; whether the node has too much of that. */
NODISCARD bool relief_on_answer(struct connection *connection, int64_t bytes);
/* All answers have left, or never will. */
void relief_on_drained(struct connection *connection);

#endif
