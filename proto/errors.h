/* Kafka's error codes: failures that a peer sees.  KAFKA_NONE is 0 and means success; the values are those on the wire. */
#ifndef SKIFF_PROTO_ERRORS_H
#define SKIFF_PROTO_ERRORS_H

#include <stdbool.h>
#include <stdint.h>

enum kafka_error {
#define KAFKA_ERROR(name, code, retriable, message) KAFKA_##name = (code),
#include "proto/errors.def"
#undef KAFKA_ERROR
};

/* "NOT_LEADER_OR_FOLLOWER"; "UNKNOWN_ERROR_CODE" for a code that a newer peer may have sent. */
const char *kafka_error_name(int16_t code);
const char *kafka_error_message(int16_t code);
/* The same request may succeed later, perhaps on another broker. */
bool kafka_error_is_retriable(int16_t code);

#endif
