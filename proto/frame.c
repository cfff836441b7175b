#include "proto/frame.h"

#include "common/assert.h"
#include "common/limits.h"
#include "proto/api.h"

#define SIZE_BYTES 4

enum err frame_check_size(int32_t size, int32_t size_max)
{
    if (size < FRAME_BYTES_MIN) return ERR_CORRUPT;
    return size > size_max ? ERR_LIMIT : ERR_OK;
}

const char *frame_foreign_protocol(const uint8_t first[static 4])
{
    static const char *const methods[] = {"GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI "};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (memcmp(first, methods[i], 4) == 0) return "an HTTP request";
    }
    bool is_tls = first[0] == 0x16 && first[1] == 0x03 && first[2] <= 0x04;
    if (is_tls) return "a TLS handshake";
    return memcmp(first, "SSH-", 4) == 0 ? "an SSH client" : NULL;
}

/* The three numbers come first in every version, and tell which version the rest has. */
enum err frame_parse_request(struct slice frame, struct frame_request *out)
{
    struct reader peek = reader_make(frame), r = peek;
    *out = (struct frame_request){.api_key = reader_i16(&peek), .api_version = reader_i16(&peek)};
    if (!reader_ok(&peek) || out->api_version < 0) return ERR_CORRUPT;
    struct arena none;
    arena_init(&none, 0);
    struct request_header header;
    int16_t header_version = api_request_header_version(out->api_key, out->api_version);
    enum err err = codec_decode(KMSG_REQUEST_HEADER, header_version, &r, &none, &header);
    arena_deinit(&none);
    if (err) return ERR_CORRUPT;
    out->correlation_id = header.correlation_id;
    out->client_id = header.client_id;
    out->body = slice_make(r.p, r.left);
    return ERR_OK;
}

enum err frame_parse_response(struct slice frame, int16_t api_key, int16_t api_version, int32_t *correlation_id, struct slice *body)
{
    struct reader r = reader_make(frame);
    struct arena none;
    arena_init(&none, 0);
    struct response_header header;
    enum err err = codec_decode(KMSG_RESPONSE_HEADER, api_response_header_version(api_key, api_version), &r, &none, &header);
    arena_deinit(&none);
    if (err) return ERR_CORRUPT;
    *correlation_id = header.correlation_id;
    *body = slice_make(r.p, r.left);
    return ERR_OK;
}

static size_t begin(struct writer *w, enum kmsg kmsg, int16_t header_version, const void *header)
{
    size_t start = writer_size(w);
    writer_i32(w, 0);
    enum err err = codec_encode(kmsg, header_version, header, w);
    ASSERT(err == ERR_OK);
    return start;
}

size_t frame_begin_request(struct writer *w, int16_t api_key, int16_t api_version, int32_t correlation_id, struct slice client_id)
{
    ASSERT(client_id.n <= CLIENT_ID_MAX);
    const struct request_header header = {
        .request_api_key = api_key, .request_api_version = api_version, .correlation_id = correlation_id, .client_id = client_id};
    return begin(w, KMSG_REQUEST_HEADER, api_request_header_version(api_key, api_version), &header);
}

size_t frame_begin_response(struct writer *w, int16_t api_key, int16_t api_version, int32_t correlation_id)
{
    const struct response_header header = {.correlation_id = correlation_id};
    return begin(w, KMSG_RESPONSE_HEADER, api_response_header_version(api_key, api_version), &header);
}

void frame_end(struct writer *w, size_t begin, size_t outside)
{
    ASSERT(begin + SIZE_BYTES <= writer_size(w));
    size_t size = writer_size(w) - begin - SIZE_BYTES + outside;
    ASSERT(size <= INT32_MAX);
    writer_patch_i32(w, begin, (int32_t)size);
}

/* Ends the frame, or takes it back. */
static enum err finish(struct writer *w, size_t begin, enum err err, size_t outside)
{
    if (!err && writer_size(w) - begin - SIZE_BYTES + outside > INT32_MAX) err = ERR_LIMIT;
    if (err)
        w->buf->size = begin;
    else
        frame_end(w, begin, outside);
    return err;
}

enum err frame_encode_request(int16_t api_key, int16_t api_version, int32_t correlation_id, struct slice client_id, const void *message,
                              struct writer *w)
{
    size_t begin = frame_begin_request(w, api_key, api_version, correlation_id, client_id);
    return finish(w, begin, codec_encode(api_request(api_key), api_version, message, w), 0);
}

enum err frame_encode_response(int16_t api_key, int16_t api_version, int32_t correlation_id, const void *message, struct writer *w,
                               codec_records_fn *on_records, void *context)
{
    size_t begin = frame_begin_response(w, api_key, api_version, correlation_id), records = 0;
    enum err err = codec_encode_pieces(api_response(api_key), api_version, message, w, on_records, context, &records);
    return finish(w, begin, err, on_records ? records : 0);
}
