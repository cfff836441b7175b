/* Requests that only the active controller decides: passed on as they came, and so is its answer. */
#ifndef SKIFF_BROKER_HANDLERS_FORWARDED_H
#define SKIFF_BROKER_HANDLERS_FORWARDED_H

#include "broker/handlers/handler.h"

/* Later requests of the connection wait for the answer: a client that creates a topic and produces at once means it in this order. */
enum request_progress forward_call(struct call *call, const void *message, int64_t timeout_ms);

/* An answer of the API that says `error` of everything that was asked for. */
void respond_error(struct call *call, const void *message, enum kafka_error error, struct slice text);

#endif
