/* The only code that reads and writes Kafka messages: one interpreter of the tables in schema.h for every message at every
 * version.  Structs and the enum kmsg come from gen/kmsg.h.
 *
 * Decoding takes contiguous bytes.  Strings, bytes and records become slices into them (record bytes are never touched);
 * arrays and nullable structs come from the caller's arena, which gets the cap codec_decode_budget(size).  Input may be
 * hostile: a count is checked against the bytes left before anything is allocated, lengths before they are used, tags must
 * increase strictly, and a message ends where its bytes end.
 *
 * Encoding appends to a writer, all or nothing.  A field of type `records` is either copied, or left out and reported to a
 * hook, which learns where in the output it belongs: a Fetch response then leaves as header bytes and file ranges.
 *
 * Recursion is bounded by the nesting of the schema, never by input.  No state: any thread. */
#ifndef SKIFF_PROTO_CODEC_H
#define SKIFF_PROTO_CODEC_H

#include "common/arena.h"
#include "common/attr.h"
#include "common/err.h"
#include "common/prng.h"
#include "common/reader.h"
#include "common/writer.h"
#include "gen/kmsg.h"

const char *codec_name(enum kmsg kmsg);
bool codec_has_version(enum kmsg kmsg, int16_t version);
bool codec_is_flexible(enum kmsg kmsg, int16_t version);
/* Bytes of the C struct. */
size_t codec_struct_size(enum kmsg kmsg);

/* -- reading ------------------------------------------------------------------------------------------------------- */

/* The arena cap for a message of `wire_size` bytes: a multiple of them, up to a bound. */
size_t codec_decode_budget(size_t wire_size);
/* Reads one message and leaves the reader behind it.  `message` is the struct of `kmsg`; fields that the version lacks get
 * their defaults.  ERR_CORRUPT: malformed; ERR_LIMIT: over the arena's cap.  The version must be one that it has. */
NODISCARD enum err codec_decode(enum kmsg kmsg, int16_t version, struct reader *r, struct arena *arena, void *message);
/* The same for bytes that hold exactly one message: anything behind it is ERR_CORRUPT. */
NODISCARD enum err codec_decode_exact(enum kmsg kmsg, int16_t version, struct slice bytes, struct arena *arena, void *message);
/* The same for what a client asks: like Kafka, what is behind the message is not looked at. librdkafka 2.x leaves three zero bytes
 * behind a Metadata request for all topics. */
NODISCARD enum err codec_decode_request(enum kmsg kmsg, int16_t version, struct slice bytes, struct arena *arena, void *message);

/* Where the message's own int32 of that name is in its struct; NULL: the version has none. */
int32_t *codec_find_i32(enum kmsg kmsg, int16_t version, void *message, const char *name);
/* It is the first on the wire. */
bool codec_begins_with(enum kmsg kmsg, int16_t version, const char *name);

/* -- writing ------------------------------------------------------------------------------------------------------- */

/* Fields start from their defaults, and those are often not zero (-1, "", null): a message, or an element of one of its
 * arrays, is made by one of these two and then filled.
 *     struct fetch_response *response = CODEC_NEW(arena, fetch_response, 1);
 *     response->responses = CODEC_NEW(arena, fetch_response_responses, n);     a count is set by hand
 *     struct fetch_request request;
 *     CODEC_INIT(fetch_request, &request); */
#define CODEC_NEW(arena, name, count) ((struct name *)codec_new(arena, KMSG_STRUCT_##name, count))
#define CODEC_INIT(name, pointer)     codec_init_struct(KMSG_STRUCT_##name, 1 ? (pointer) : (struct name *)NULL)
/* `count` structs side by side; the arena must have room. */
void *codec_new(struct arena *arena, enum kmsg_struct of, size_t count);
void codec_init_struct(enum kmsg_struct of, void *at);
/* Everything to its default; a nullable struct to NULL. */
void codec_set_defaults(enum kmsg kmsg, void *message);
/* ERR_INVALID: null where the version has no null, or a value that this version cannot carry and that may not be dropped;
 * ERR_LIMIT: a string beyond 32767 bytes, more than ANSWER_BYTES_MAX beside the records, or than 2 GiB in all.  On an error nothing
 * is written. */
NODISCARD enum err codec_encode(enum kmsg kmsg, int16_t version, const void *message, struct writer *w);
/* A field of type records that was left out of the output: its bytes belong in front of output byte `position` (counted from
 * the writer's start).  With a hook the codec never follows records.p: it may be any non-NULL token of the caller. */
typedef void codec_records_fn(void *context, size_t position, struct slice records);
/* Leaves the bytes of records that are not empty to `on_records`, called in order; *records_bytes (may be NULL) is their sum. */
NODISCARD enum err codec_encode_pieces(enum kmsg kmsg, int16_t version, const void *message, struct writer *w, codec_records_fn *on_records,
                                       void *context, size_t *records_bytes);
/* Bytes that codec_encode would write, records included. */
NODISCARD enum err codec_size(enum kmsg kmsg, int16_t version, const void *message, size_t *size);

/* -- looking at it (codec_text.c) ---------------------------------------------------------------------------------- */

/* For logs and tests: {name: value, ...}, the version's fields only, tagged ones when they differ from their default.  Long
 * strings and arrays are cut, bytes shown as their length, secrets not at all, control characters escaped.  Always
 * NUL-terminated; returns the length, < size. */
size_t codec_print(enum kmsg kmsg, int16_t version, const void *message, char *out, size_t size);
/* A random value of that version, valid for codec_encode; arrays and strings are short and live in the arena. */
void codec_randomize(enum kmsg kmsg, int16_t version, struct prng *prng, struct arena *arena, void *message);

#endif
