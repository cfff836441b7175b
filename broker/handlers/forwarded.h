/* Requests that only the active controller decides: passed on as they came, and so is its answer. */
#ifndef SKIFF_BROKER_HANDLERS_FORWARDED_H
#define SKIFF_BROKER_HANDLERS_FORWARDED_H

#include "broker/handlers/handler.h"

/* Later requests of the connection wait for the answer: a client that creates a topic and produces at once means it in this order. */
enum request_progress forward_call(struct call *call, const void *message, int64_t timeout_ms);

/* The same for `body`, a part of what was asked: `answer` finds in `state` what it needs to answer the whole. `told` is the body of the
 * controller's answer, gone afterwards. */
typedef void forward_answer_fn(struct call *call, void *state, struct slice told);
enum request_progress forward_part(struct call *call, const void *message, int64_t timeout_ms, struct slice body, forward_answer_fn *answer,
                                   void *state);

/* An answer of the API that says `error` of everything that was asked for. */
void respond_error(struct call *call, const void *message, enum kafka_error error, struct slice text);

#endif
