/* What a handler gets and gives.  A handler checks, finds the owner, acts and answers: each exit is one Kafka error code. The
 * codec has decoded the request before; what it points to lives in the call's arena and in the request's frame.
 *
 * One owner thread: the broker's. A call lives from dispatch until call_respond(), call_finish() or call_close(). */
#ifndef SKIFF_BROKER_HANDLERS_HANDLER_H
#define SKIFF_BROKER_HANDLERS_HANDLER_H

#include "broker/handlers/dispatch.h"
#include "broker/node/controller_channel.h"
#include "broker/node/replica_manager.h"
#include "broker/security/authorizer.h"
#include "common/arena.h"
#include "common/config.h"
#include "common/limits.h"
#include "common/mem.h"
#include "controller/metadata/image.h"
#include "gen/kmsg.h"
#include "proto/codec.h"
#include "proto/connection.h"
#include "proto/errors.h"

struct call {
    struct dispatch *dispatch;
    struct request *request;
    int16_t api_key, api_version;
    struct slice body; /* the request's body as it came; in the frame */
    int64_t received_us;
    size_t timed_as; /* place in dispatch.times */
    struct arena arena;
    void *state; /* of a handler that waits; in the arena */
    /* Its client has a quota of time (call_quota.c). */
    bool is_metered, is_throttled;
    struct slice user, client_id; /* while it is metered: in the arena */
    int64_t working_since_ns;     /* 0: nobody works on it, or it is not metered */
};

/* Answers and ends the call. `response` is the API's response struct. */
void call_respond(struct call *call, const void *response);
/* Answers without ending the call, for Fetch: records of the response are tokens, and on_records says what stands for them; the
 * answer takes references of its own. */
typedef void call_records_fn(void *context, struct slice token, const struct env_piece **pieces, size_t *count);
void call_send_pieces(struct call *call, const void *response, call_records_fn *on_records, void *context);
/* After call_send_pieces() only: frees the call. */
void call_end(struct call *call);
/* The body of an answer that is encoded already, inside `frame` (which keeps the caller's reference). */
void call_respond_encoded(struct call *call, struct buf *frame, struct slice body);
/* No answer. */
void call_finish(struct call *call);
/* Closes the connection, with one log line. */
void call_close(struct call *call, const char *format, ...) PRINTF_LIKE(2, 3);
/* What the call holds, its answer above all, has outgrown ANSWER_BYTES_MAX: handlers whose answer is not bounded by the request's size
 * look now and then, and end the call with call_refuse_too_much(). */
bool call_is_too_much(const struct call *call);
enum request_progress call_refuse_too_much(struct call *call);
/* A fetch is a follower's, which has times of its own. */
void call_is_of_follower(struct call *call);
/* May the caller do this, beyond what handlers.def asks for? */
bool call_is_allowed(const struct call *call, enum acl_operation operation);
/* Bytes a second that the caller may have; INT64_MAX: as many as it likes. */
int64_t call_quota(const struct call *call, enum quota_kind kind, struct slice client_id);
/* The caller's bytes pass (client quotas): for how many milliseconds it must be silent, as the answer says; its connection is muted for so
 * long. */
int32_t call_charge(struct call *call, enum quota_kind kind, struct slice client_id, int64_t bytes);
/* A call that waited is taken up again, beyond answering: its time counts. */
void call_resume(struct call *call);
/* For how long the client must be silent because of the time that it took; its connection is muted for so long. call_respond() does it. */
int32_t call_throttle(struct call *call);
/* Of dispatch.c: a call begins; it waits, for somebody or for its end; its answer says how long to be silent, unless it does already. */
void call_meter(struct call *call);
void call_pause(struct call *call);
int64_t call_count_time(struct call *call);
const void *call_with_throttle(struct call *call, const void *response, int32_t throttle_ms);
/* Of an answer that is encoded already: whether throttle_ms goes in place of its first four bytes. */
bool call_heed_throttle(struct call *call, struct slice body, int32_t throttle_ms);
/* The records are on their way into the log: the call keeps no slice of the frame. */
void call_release_frame(struct call *call);

/* A growing set of node ids whose addresses an answer gives (KIP-951). */
struct endpoints {
    int32_t ids[REPLICAS_MAX];
    size_t count;
};
void endpoints_add(struct endpoints *endpoints, int32_t id);
/* The address of a broker on the listener that this call came by; NULL when it has none there. */
const struct image_listener *call_endpoint(const struct call *call, const struct image_broker *broker);

static inline const struct image *call_image(const struct call *call) { return dispatch_image(call->dispatch); }
/* Else nobody is charged. */
static inline bool call_has_quotas(const struct call *call) { return map_count(&call_image(call)->quotas) > 0; }
/* Of what a client wrote, that much goes into a message to people: the message must stay a string that can be sent. */
static inline struct slice shown(struct slice text) { return slice_make(text.p, text.n < CLIENT_ID_MAX ? text.n : CLIENT_ID_MAX); }
/* May be null: the text of an error code that is not NONE. */
static inline struct slice error_text(enum kafka_error error)
{
    return error ? slice_str(kafka_error_message((int16_t)error)) : SLICE_NULL;
}

/* Kafka's rules: [a-zA-Z0-9._-]{1,249}, not "." nor "..". */
bool is_valid_topic_name(struct slice name);

/* A function may stand in several lines of handlers.def: repeated declarations are one. */
#define HANDLER(api_key, version_min, version_max, function, operation)                                                                    \
    enum request_progress function(struct call *call, const void *message);
#include "broker/handlers/handlers.def"
#undef HANDLER

#endif
