#include "proto/errors.h"

#include <stddef.h>

#define CODE_MIN (-1)

struct error_text {
    const char *name, *message;
    bool is_retriable;
};

static const struct error_text texts[] = {
#define KAFKA_ERROR(name, code, retriable, message) [(code)-CODE_MIN] = {#name, message, retriable},
#include "proto/errors.def"
#undef KAFKA_ERROR
};
#define TEXT_COUNT ((int)(sizeof texts / sizeof texts[0]))

/* The codes have no gaps: a line missing in errors.def does not compile. */
enum {
#define KAFKA_ERROR(name, code, retriable, message) LINE_OF_##name,
#include "proto/errors.def"
#undef KAFKA_ERROR
    LINE_COUNT
};
_Static_assert(sizeof texts / sizeof texts[0] == LINE_COUNT, "error codes without gaps or doubles");

static const struct error_text *text_of(int16_t code)
{
    static const struct error_text unknown = {"UNKNOWN_ERROR_CODE", "An error code that this version does not know.", false};
    int index = code - CODE_MIN;
    return index >= 0 && index < TEXT_COUNT ? &texts[index] : &unknown;
}

const char *kafka_error_name(int16_t code) { return text_of(code)->name; }
const char *kafka_error_message(int16_t code) { return text_of(code)->message; }
bool kafka_error_is_retriable(int16_t code) { return text_of(code)->is_retriable; }
