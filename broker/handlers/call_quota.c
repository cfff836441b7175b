/* What a call costs its client: bytes, and the time of the broker's thread that it takes (request_percentage, KIP-124).
 *
 * Time is measured from the decoding of the request to the end of its handler, and again whenever a call that waited is taken up: that is
 * nearly all of what the thread does for a client; what many share (appends of a turn, flushes, the sending of bytes) is not. It is read
 * from the clock only for clients that have such a quota. Answers of other brokers' requests cost nobody anything. */
#include "broker/handlers/handler.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/reader.h"
#include "proto/api.h"

#define THROTTLE_TIME "throttle_time_ms"
/* Who took too much time waits so long at a time, as in Kafka: what it still owes is asked for with its next request. */
#define TIME_WAIT_US_MAX 1000000

static struct slice user_of(const struct connection *connection) { return quota_user(connection_principal(connection)); }

static void mute(struct call *call, int64_t wait_us)
{
    connection_mute(call->request->connection, env_now_us(call->dispatch->env) + wait_us);
    if (!call->is_throttled) call->dispatch->throttled[call->timed_as]++;
    call->is_throttled = true;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

int64_t call_quota(const struct call *call, enum quota_kind kind, struct slice client_id)
{
    const struct connection *connection = call->request->connection;
    return connection ? quotas_rate(call_image(call), kind, user_of(connection), client_id) : INT64_MAX;
}

int32_t call_charge(struct call *call, enum quota_kind kind, struct slice client_id, int64_t bytes)
{
    struct dispatch *dispatch = call->dispatch;
    struct connection *connection = call->request->connection;
    if (!call_has_quotas(call) || !connection) return 0;
    int64_t now_us = env_now_us(dispatch->env);
    int64_t wait_us = quotas_charge(&dispatch->quotas, dispatch->image, kind, user_of(connection), client_id, bytes, now_us);
    if (wait_us == 0) return 0;
    mute(call, wait_us);
    return (int32_t)((wait_us + 999) / 1000);
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

void call_meter(struct call *call)
{
    const struct connection *connection = call->request->connection;
    if (!call_has_quotas(call) || call_quota(call, QUOTA_REQUEST, call->request->client_id) == INT64_MAX) return;
    call->user = arena_copy(&call->arena, user_of(connection));
    call->client_id = arena_copy(&call->arena, call->request->client_id);
    call->is_metered = true;
    call_resume(call);
}

void call_resume(struct call *call)
{
    if (call->is_metered && call->working_since_ns == 0) call->working_since_ns = env_clock_ns(call->dispatch->env);
}

int64_t call_count_time(struct call *call)
{
    struct dispatch *dispatch = call->dispatch;
    if (call->working_since_ns == 0) return 0;
    int64_t now_ns = env_clock_ns(dispatch->env), spent_ns = now_ns - call->working_since_ns;
    ASSERT(spent_ns >= 0);
    call->working_since_ns = now_ns;
    return quotas_charge(&dispatch->quotas, dispatch->image, QUOTA_REQUEST, call->user, call->client_id, spent_ns,
                         env_now_us(dispatch->env));
}

void call_pause(struct call *call)
{
    (void)call_count_time(call);
    call->working_since_ns = 0;
}

int32_t call_throttle(struct call *call)
{
    if (!call->is_metered || !call->request->connection) return 0;
    call_resume(call);
    int64_t wait_us = min_i64(call_count_time(call), TIME_WAIT_US_MAX);
    if (wait_us == 0) return 0;
    mute(call, wait_us);
    return (int32_t)((wait_us + 999) / 1000);
}

/* ---- in the answer ------------------------------------------------------------------------------------------------- */

const void *call_with_throttle(struct call *call, const void *response, int32_t throttle_ms)
{
    enum kmsg kmsg = api_response(call->api_key);
    if (throttle_ms == 0) return response;
    call->arena.cap = SIZE_MAX; /* an answer that is nearly too large stays one */
    void *copy = arena_alloc(&call->arena, codec_struct_size(kmsg));
    memcpy(copy, response, codec_struct_size(kmsg));
    int32_t *field = codec_find_i32(kmsg, call->api_version, copy, THROTTLE_TIME);
    if (field && *field < throttle_ms) *field = throttle_ms;
    return copy;
}

/* The controller counts partitions, and may say for how long the client must be silent. */
bool call_heed_throttle(struct call *call, struct slice body, int32_t throttle_ms)
{
    struct reader r = reader_make(body);
    if (!codec_begins_with(api_response(call->api_key), call->api_version, THROTTLE_TIME)) return false;
    int32_t told_ms = reader_i32(&r);
    if (!reader_ok(&r)) return false;
    if (told_ms > 0 && call->request->connection) mute(call, told_ms * INT64_C(1000));
    return told_ms < throttle_ms;
}
