/* A raw connection to a broker, for probes and for tests that say what no client library would.
 * Deliberately written by hand against Kafka's protocol description and not with proto/: a mistake there must not hide
 * here.  Blocking, with one time limit for each call.  One owner thread. */
#ifndef SKIFF_TESTS_INTEGRATION_WIRE_H
#define SKIFF_TESTS_INTEGRATION_WIRE_H

#include "common/buf.h"
#include "common/reader.h"
#include "common/writer.h"

enum { WIRE_PRODUCE = 0, WIRE_LIST_OFFSETS = 2, WIRE_METADATA = 3, WIRE_API_VERSIONS = 18, WIRE_DESCRIBE_QUORUM = 55 };
enum { WIRE_FRAME_MAX = 64 << 20 };

struct wire {
    int fd; /* -1: not connected */
    int timeout_ms;
    int32_t correlation; /* of the last request */
};

/* How the peer took what was sent. */
enum wire_outcome { WIRE_ANSWERED, WIRE_CLOSED, WIRE_SILENT };

/* "HOST:PORT".  False when nobody listens there or the time is up. */
bool wire_open(struct wire *w, const char *address, int timeout_ms);
void wire_close(struct wire *w);
/* All bytes, or false. */
bool wire_send(struct wire *w, struct slice bytes);
/* One frame with a request header: v2 (flexible) or v1. */
bool wire_send_request(struct wire *w, int16_t key, int16_t version, bool flexible, struct slice body);
/* The next whole frame without its length; *frame is one reference, NULL unless WIRE_ANSWERED. */
enum wire_outcome wire_receive(struct wire *w, struct buf **frame);
/* Request and answer; NULL on any failure.  *body reads the answer after its header and borrows from the frame. */
struct buf *wire_call(struct wire *w, int16_t key, int16_t version, bool flexible, struct slice body, struct reader *answer);

/* Strings and arrays as the older versions write them; a null string writes as null. */
void wire_put_string(struct writer *w, const char *text);
struct slice wire_get_string(struct reader *r);
/* The same for flexible versions. */
void wire_put_compact_string(struct writer *w, const char *text);
struct slice wire_get_compact_string(struct reader *r);
/* Length of a compact array; 0 for null. */
uint32_t wire_get_compact_count(struct reader *r);
void wire_skip_tags(struct reader *r);

/* A record batch: its header, then `records` records by the caller, then its length, then its CRC. */
enum { WIRE_BATCH_LENGTH_AT = 8, WIRE_BATCH_CRC_AT = 17 };
/* Returns where it begins. */
size_t wire_begin_batch(struct writer *w, int32_t records);
void wire_end_batch(struct writer *w, size_t start);
void wire_seal_batch(struct writer *w, size_t start);

#endif
