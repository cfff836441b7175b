/* Frames: an int32 size, a header, a body.  Every request, and every response in the order of the requests, is one frame.
 *
 * The header's version follows from the API key and version (api.h); client ids are never compact, and ApiVersions answers
 * always have the oldest header.  Private keys (Skiff's own RPCs) have request header 1 and response header 0.
 * No state: any thread. */
#ifndef SKIFF_PROTO_FRAME_H
#define SKIFF_PROTO_FRAME_H

#include "proto/codec.h"

/* -- reading ------------------------------------------------------------------------------------------------------- */

/* Is this the size of a frame (the bytes behind the size)?  ERR_CORRUPT: negative or too short for a header; ERR_LIMIT: above
 * size_max.  Either ends the connection. */
NODISCARD enum err frame_check_size(int32_t size, int32_t size_max);
/* Names what the first four bytes of a connection look like when they are no Kafka frame ("an HTTP request", "a TLS
 * handshake"); NULL when they may be one. */
const char *frame_foreign_protocol(const uint8_t first[static 4]);

struct frame_request {
    int16_t api_key, api_version;
    int32_t correlation_id;
    struct slice client_id; /* may be null */
    struct slice body;
};
/* `frame` is what follows the size.  Unknown keys and versions are read as far as possible: deciding about them is the
 * caller's.  ERR_CORRUPT when the header is malformed. */
NODISCARD enum err frame_parse_request(struct slice frame, struct frame_request *out);
/* The answer to a request of that key and version. */
NODISCARD enum err frame_parse_response(struct slice frame, int16_t api_key, int16_t api_version, int32_t *correlation_id,
                                        struct slice *body);

/* -- writing ------------------------------------------------------------------------------------------------------- */

/* A whole frame of a Kafka API, size included; errors as in codec_encode, with nothing written. */
NODISCARD enum err frame_encode_request(int16_t api_key, int16_t api_version, int32_t correlation_id, struct slice client_id,
                                        const void *message, struct writer *w);
/* Record bytes are left to on_records (codec.h), or copied when it is NULL; the frame's size counts them either way. */
NODISCARD enum err frame_encode_response(int16_t api_key, int16_t api_version, int32_t correlation_id, const void *message,
                                         struct writer *w, codec_records_fn *on_records, void *context);

/* The same by hand, for bodies that are not Kafka messages: begin, append the body, end with what begin returned.
 * `outside` counts bytes of the frame that are not in the writer. */
NODISCARD size_t frame_begin_request(struct writer *w, int16_t api_key, int16_t api_version, int32_t correlation_id,
                                     struct slice client_id);
NODISCARD size_t frame_begin_response(struct writer *w, int16_t api_key, int16_t api_version, int32_t correlation_id);
void frame_end(struct writer *w, size_t begin, size_t outside);

#endif
