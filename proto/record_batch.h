/* Record batches, format 2 (the only one that Kafka 4 writes), in memory, on the wire and on disk alike:
 *
 *     0  baseOffset int64 | 8  batchLength int32 | 12 partitionLeaderEpoch int32 | 16 magic int8 | 17 crc uint32
 *    21  attributes int16 | 23 lastOffsetDelta int32 | 27 baseTimestamp int64 | 35 maxTimestamp int64
 *    43  producerId int64 | 51 producerEpoch int16 | 53 baseSequence int32 | 57 count int32 | 61 records
 *
 * The CRC-32C covers everything from the attributes on: a leader may set base offset and leader epoch in place.
 * batchLength counts from byte 12.  Compression covers the records, never the header.
 *
 * A struct record_batch is a decoded header that borrows the bytes it came from.  No state: any thread. */
#ifndef SKIFF_PROTO_RECORD_BATCH_H
#define SKIFF_PROTO_RECORD_BATCH_H

#include "common/attr.h"
#include "common/err.h"
#include "common/reader.h"
#include "common/writer.h"
#include "proto/compression.h"
#include "proto/errors.h"

#define RECORD_BATCH_PREFIX   12 /* baseOffset and batchLength: what it takes to know the size */
#define RECORD_BATCH_HEADER   61
#define RECORD_BATCH_MAGIC    2
#define RECORD_BATCH_MAGIC_AT 16
#define RECORD_BATCH_CRC_FROM 21 /* the CRC covers the batch from here on */

#define NO_PRODUCER_ID    (-1)
#define NO_PRODUCER_EPOCH (-1)
#define NO_SEQUENCE       (-1)
#define NO_TIMESTAMP      (-1)

enum record_batch_attribute {
    RECORD_BATCH_COMPRESSION = 0x07,
    RECORD_BATCH_LOG_APPEND_TIME = 0x08, /* else create time */
    RECORD_BATCH_TRANSACTIONAL = 0x10,
    RECORD_BATCH_CONTROL = 0x20,
    RECORD_BATCH_DELETE_HORIZON = 0x40, /* baseTimestamp is the delete horizon */
};

struct record_batch {
    int64_t base_offset;
    int32_t partition_leader_epoch;
    uint32_t crc;
    int16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp, max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count;
    struct slice bytes; /* the whole batch */
};

/* The size of the batch that starts here, from its first RECORD_BATCH_PREFIX bytes.  ERR_AGAIN: fewer bytes than that;
 * ERR_CORRUPT: a length that no batch has. */
NODISCARD enum err record_batch_peek_size(struct slice bytes, size_t *size);
/* The header of the batch at the start of `bytes`, which may hold more behind it.  ERR_AGAIN: the batch is cut short;
 * ERR_CORRUPT: not a batch of format 2.  The CRC and the records are not looked at. */
NODISCARD enum err record_batch_parse(struct slice bytes, struct record_batch *out);
/* The same for bytes that hold the header but perhaps not the whole batch of *size bytes: out->bytes is the header alone. */
NODISCARD enum err record_batch_parse_header(struct slice bytes, struct record_batch *out, size_t *size);
bool record_batch_is_crc_valid(const struct record_batch *batch);

static inline size_t record_batch_size(const struct record_batch *b) { return b->bytes.n; }
static inline int64_t record_batch_last_offset(const struct record_batch *b) { return b->base_offset + b->last_offset_delta; }
static inline int64_t record_batch_next_offset(const struct record_batch *b) { return record_batch_last_offset(b) + 1; }
static inline struct slice record_batch_payload(const struct record_batch *b)
{
    return slice_make(b->bytes.p + RECORD_BATCH_HEADER, b->bytes.n - RECORD_BATCH_HEADER);
}
/* May be a value that is no codec: check with compression_is_known(). */
static inline enum compression record_batch_compression(const struct record_batch *b)
{
    return (enum compression)(b->attributes & RECORD_BATCH_COMPRESSION);
}
static inline bool record_batch_is_transactional(const struct record_batch *b) { return b->attributes & RECORD_BATCH_TRANSACTIONAL; }
static inline bool record_batch_is_control(const struct record_batch *b) { return b->attributes & RECORD_BATCH_CONTROL; }
static inline bool record_batch_is_log_append_time(const struct record_batch *b) { return b->attributes & RECORD_BATCH_LOG_APPEND_TIME; }
static inline bool record_batch_has_producer(const struct record_batch *b) { return b->producer_id != NO_PRODUCER_ID; }
/* Sequences wrap from INT32_MAX to 0. */
int32_t record_batch_last_sequence(const struct record_batch *batch);

/* -- changing a batch in place ------------------------------------------------------------------------------------- */

/* What a leader assigns; outside the CRC.  `batch` points to at least a header. */
void record_batch_stamp(uint8_t *batch, int64_t base_offset, int32_t partition_leader_epoch);
/* Both compute the CRC anew; `size` is the batch's. */
void record_batch_set_max_timestamp(uint8_t *batch, size_t size, int64_t max_timestamp);
void record_batch_set_log_append_time(uint8_t *batch, size_t size, int64_t timestamp);

/* -- records ------------------------------------------------------------------------------------------------------- */

struct record {
    int64_t offset, timestamp;
    int32_t offset_delta;
    struct slice key, value; /* may be null */
    int32_t header_count;
    struct slice headers; /* for record_next_header */
};
struct record_header {
    struct slice key, value; /* the value may be null */
};

/* Walks the records of a batch, decompressing first where needed.  Slices live as long as the batch's bytes and the
 * iterator. */
struct record_iterator {
    const struct record_batch *batch;
    struct reader r;
    struct buf *decompressed;
    int32_t index; /* of the record that comes next */
};
/* ERR_CORRUPT: the compressed data is damaged; ERR_LIMIT: it expands beyond decompressed_max; ERR_INVALID: unknown codec.
 * Deinit in any case. */
NODISCARD enum err record_iterator_init(struct record_iterator *it, const struct record_batch *batch, size_t decompressed_max);
void record_iterator_deinit(struct record_iterator *it);
/* False at the end and at the first damage. */
bool record_iterator_next(struct record_iterator *it, struct record *record);
/* After the last record: as many as the header says, and nothing behind them. */
bool record_iterator_is_whole(const struct record_iterator *it);
/* False at the end (or on damage, which the iterator has excluded). */
bool record_next_header(struct record *record, struct record_header *header);

/* -- validation ---------------------------------------------------------------------------------------------------- */

struct record_batch_rules {
    bool is_from_client;   /* no control batches, and sequences with producer ids */
    bool needs_keys;       /* compacted topic */
    bool opens_compressed; /* also look at compressed records; needs_keys implies it */
    size_t bytes_max;      /* max.message.bytes */
    size_t decompressed_max;
    int64_t timestamp_min, timestamp_max; /* create times outside are refused; INT64_MIN and INT64_MAX for none */
};

struct record_batch_verdict {
    enum kafka_error error; /* KAFKA_NONE: valid */
    int32_t record_index;   /* the record at fault; -1: the batch */
    const char *message;    /* static text for the client; NULL when valid */
    int64_t max_timestamp;  /* of the records, when they were walked; else the header's */
};

/* Everything that can be wrong with a parsed batch. */
struct record_batch_verdict record_batch_validate(const struct record_batch *batch, const struct record_batch_rules *rules);
/* The same, and looks at compressed records, too. Of a valid batch that is compressed, *decompressed is its records (a reference);
 * otherwise NULL. */
struct record_batch_verdict record_batch_validate_and_open(const struct record_batch *batch, const struct record_batch_rules *rules,
                                                           struct buf **decompressed);
/* A record that the rules refuse. */
struct record_fault {
    int32_t index;
    enum kafka_error error;
    const char *message; /* static text */
};
/* Of a batch that was refused for a record: all that are at fault, at most `max` of them, in order. How many there are. */
int32_t record_batch_list_faults(const struct record_batch *batch, const struct record_batch_rules *rules, struct record_fault *faults,
                                 int32_t max);
/* The records field of one partition in a Produce request: exactly one batch, well formed; then record_batch_validate. */
struct record_batch_verdict record_batch_parse_produced(struct slice records, struct record_batch *out);

/* The same batch in another codec: *out is a new one (a reference). `records` is what its payload holds, decompressed. Offsets,
 * timestamps and producer stay as they are. ERR_NOT_FOUND: the codec's library is not installed; ERR_LIMIT: too large for a batch. */
NODISCARD enum err record_batch_convert(const struct record_batch *batch, struct slice records, enum compression type, int32_t level,
                                        struct buf **out);

/* -- building ------------------------------------------------------------------------------------------------------ */

/* Builds one batch: for internal topics, tests and the simulator.  Zero-initialise the spec, then set what differs:
 * record_batch_spec_init gives no producer, create time, no compression. */
struct record_batch_spec {
    int64_t base_offset;
    int32_t partition_leader_epoch;
    enum compression compression;
    bool is_transactional, is_control, is_log_append_time;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
};
struct record_batch_builder {
    struct record_batch_spec spec;
    struct writer w; /* header space, then records, uncompressed */
    int32_t count;
    int64_t base_timestamp, max_timestamp;
};
void record_batch_spec_init(struct record_batch_spec *spec);
void record_batch_builder_init(struct record_batch_builder *b, const struct record_batch_spec *spec);
/* Offsets go up by one. */
void record_batch_builder_add(struct record_batch_builder *b, int64_t timestamp, struct slice key, struct slice value,
                              const struct record_header *headers, int32_t header_count);
/* Bytes so far, before compression. */
size_t record_batch_builder_size(const struct record_batch_builder *b);
/* The finished batch (one reference), at least one record in it; the builder is done with. */
struct buf *record_batch_builder_finish(struct record_batch_builder *b);
/* Gives up without a batch. */
void record_batch_builder_deinit(struct record_batch_builder *b);

#endif
