#include "common/assert.h"
#include "common/checked.h"
#include "proto/record_batch.h"

void record_batch_spec_init(struct record_batch_spec *spec)
{
    *spec = (struct record_batch_spec){.producer_id = NO_PRODUCER_ID, .producer_epoch = NO_PRODUCER_EPOCH, .base_sequence = NO_SEQUENCE};
}

void record_batch_builder_init(struct record_batch_builder *b, const struct record_batch_spec *spec)
{
    *b = (struct record_batch_builder){.spec = *spec, .max_timestamp = NO_TIMESTAMP};
    writer_init(&b->w, (size_t)2 * RECORD_BATCH_HEADER);
    memset(writer_reserve(&b->w, RECORD_BATCH_HEADER), 0, RECORD_BATCH_HEADER);
}

static size_t varint_size(int64_t value) { return uvarint_size((uint64_t)value << 1 ^ (0u - ((uint64_t)value >> 63))); }

static size_t field_size(struct slice field) { return slice_is_null(field) ? varint_size(-1) : varint_size((int64_t)field.n) + field.n; }

static void put_field(struct writer *w, struct slice field)
{
    ASSERT(field.n <= INT32_MAX);
    writer_varint32(w, slice_is_null(field) ? -1 : (int32_t)field.n);
    writer_bytes(w, field);
}

void record_batch_builder_add(struct record_batch_builder *b, int64_t timestamp, struct slice key, struct slice value,
                              const struct record_header *headers, int32_t header_count)
{
    ASSERT(header_count >= 0);
    ASSERT(b->count < INT32_MAX);
    if (b->count == 0) b->base_timestamp = timestamp;
    b->max_timestamp = max_i64(b->max_timestamp, timestamp);
    int64_t timestamp_delta = timestamp - b->base_timestamp;
    size_t size =
        1 + varint_size(timestamp_delta) + varint_size(b->count) + field_size(key) + field_size(value) + varint_size(header_count);
    for (int32_t i = 0; i < header_count; i++) size += field_size(headers[i].key) + field_size(headers[i].value);
    ASSERT(size <= INT32_MAX);
    writer_varint32(&b->w, (int32_t)size);
    writer_i8(&b->w, 0);
    writer_varint64(&b->w, timestamp_delta);
    writer_varint32(&b->w, b->count);
    put_field(&b->w, key);
    put_field(&b->w, value);
    writer_varint32(&b->w, header_count);
    for (int32_t i = 0; i < header_count; i++) {
        ASSERT(!slice_is_null(headers[i].key));
        put_field(&b->w, headers[i].key);
        put_field(&b->w, headers[i].value);
    }
    b->count++;
}

size_t record_batch_builder_size(const struct record_batch_builder *b) { return writer_size(&b->w); }

static int16_t attributes_of(const struct record_batch_spec *spec)
{
    int bits = (int)spec->compression;
    if (spec->is_log_append_time) bits |= RECORD_BATCH_LOG_APPEND_TIME;
    if (spec->is_transactional) bits |= RECORD_BATCH_TRANSACTIONAL;
    if (spec->is_control) bits |= RECORD_BATCH_CONTROL;
    return (int16_t)bits;
}

/* The header, written separately and then copied over the space kept for it. */
static void fill_header(const struct record_batch_builder *b, uint8_t *batch, size_t size)
{
    struct writer h;
    writer_init(&h, RECORD_BATCH_HEADER);
    writer_i64(&h, b->spec.base_offset);
    writer_i32(&h, (int32_t)(size - RECORD_BATCH_PREFIX));
    writer_i32(&h, b->spec.partition_leader_epoch);
    writer_i8(&h, RECORD_BATCH_MAGIC);
    writer_u32(&h, 0); /* the CRC, set below */
    writer_i16(&h, attributes_of(&b->spec));
    writer_i32(&h, b->count - 1);
    writer_i64(&h, b->base_timestamp);
    writer_i64(&h, b->max_timestamp);
    writer_i64(&h, b->spec.producer_id);
    writer_i16(&h, b->spec.producer_epoch);
    writer_i32(&h, b->spec.base_sequence);
    writer_i32(&h, b->count);
    ASSERT(writer_size(&h) == RECORD_BATCH_HEADER);
    memcpy(batch, writer_slice(&h).p, RECORD_BATCH_HEADER);
    writer_deinit(&h);
    record_batch_set_max_timestamp(batch, size, b->max_timestamp);
}

/* Packs what has been added; the codec of a spec is one that this machine has. */
static void compress(struct record_batch_builder *b)
{
    struct writer packed;
    struct slice plain = writer_slice(&b->w);
    writer_init(&packed, plain.n);
    memset(writer_reserve(&packed, RECORD_BATCH_HEADER), 0, RECORD_BATCH_HEADER);
    struct slice records = slice_make(plain.p + RECORD_BATCH_HEADER, plain.n - RECORD_BATCH_HEADER);
    enum err err = compression_compress(b->spec.compression, records, &packed);
    ASSERT(err == ERR_OK);
    writer_deinit(&b->w);
    b->w = packed;
}

struct buf *record_batch_builder_finish(struct record_batch_builder *b)
{
    ASSERT(b->count > 0);
    if (b->spec.compression != COMPRESSION_NONE) compress(b);
    struct buf *buf = writer_take(&b->w);
    ASSERT(buf->size <= INT32_MAX);
    fill_header(b, buf->data, buf->size);
    return buf;
}

void record_batch_builder_deinit(struct record_batch_builder *b) { writer_deinit(&b->w); }
