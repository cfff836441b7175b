/* Headers of record batches, changes in place, and the walk over records. */
#include "proto/record_batch.h"

#include "common/assert.h"
#include "common/crc32c.h"

#define LENGTH_AT        8
#define LEADER_EPOCH_AT  12
#define CRC_AT           17
#define ATTRIBUTES_AT    RECORD_BATCH_CRC_FROM
#define MAX_TIMESTAMP_AT 35
#define LENGTH_MIN       (RECORD_BATCH_HEADER - RECORD_BATCH_PREFIX)

static void put_big_endian(uint8_t *at, uint64_t value, size_t n)
{
    for (size_t i = n; i-- > 0; value >>= 8) at[i] = (uint8_t)value;
}

enum err record_batch_peek_size(struct slice bytes, size_t *size)
{
    struct reader r = reader_make(bytes);
    (void)reader_i64(&r);
    int32_t length = reader_i32(&r);
    if (!reader_ok(&r)) return ERR_AGAIN;
    if (length < LENGTH_MIN || length > INT32_MAX - RECORD_BATCH_PREFIX) return ERR_CORRUPT;
    *size = RECORD_BATCH_PREFIX + (size_t)length;
    return ERR_OK;
}

enum err record_batch_parse_header(struct slice bytes, struct record_batch *out, size_t *size)
{
    enum err err = record_batch_peek_size(bytes, size);
    if (err) return err;
    if (bytes.n > RECORD_BATCH_MAGIC_AT && bytes.p[RECORD_BATCH_MAGIC_AT] != RECORD_BATCH_MAGIC) return ERR_CORRUPT;
    if (bytes.n < RECORD_BATCH_HEADER) return ERR_AGAIN;
    struct reader r = reader_make(slice_make(bytes.p, RECORD_BATCH_HEADER));
    out->base_offset = reader_i64(&r);
    (void)reader_i32(&r); /* the length is known */
    out->partition_leader_epoch = reader_i32(&r);
    (void)reader_i8(&r); /* so is the magic */
    out->crc = reader_u32(&r);
    out->attributes = reader_i16(&r);
    out->last_offset_delta = reader_i32(&r);
    out->base_timestamp = reader_i64(&r);
    out->max_timestamp = reader_i64(&r);
    out->producer_id = reader_i64(&r);
    out->producer_epoch = reader_i16(&r);
    out->base_sequence = reader_i32(&r);
    out->count = reader_i32(&r);
    out->bytes = slice_make(bytes.p, RECORD_BATCH_HEADER);
    ASSERT(reader_done(&r));
    return ERR_OK;
}

enum err record_batch_parse(struct slice bytes, struct record_batch *out)
{
    size_t size = 0;
    enum err err = record_batch_parse_header(bytes, out, &size);
    if (err) return err;
    if (bytes.n < size) return ERR_AGAIN;
    out->bytes.n = size;
    return ERR_OK;
}

static struct slice checked_part(const uint8_t *batch, size_t size)
{
    ASSERT(size >= RECORD_BATCH_HEADER);
    return slice_make(batch + ATTRIBUTES_AT, size - ATTRIBUTES_AT);
}

bool record_batch_is_crc_valid(const struct record_batch *batch)
{
    return crc32c(checked_part(batch->bytes.p, batch->bytes.n)) == batch->crc;
}

int32_t record_batch_last_sequence(const struct record_batch *batch)
{
    if (batch->base_sequence == NO_SEQUENCE) return NO_SEQUENCE;
    return (int32_t)(((uint32_t)batch->base_sequence + (uint32_t)batch->last_offset_delta) & INT32_MAX);
}

/* ---- changes in place -------------------------------------------------------------------------------------------- */

void record_batch_stamp(uint8_t *batch, int64_t base_offset, int32_t partition_leader_epoch)
{
    ASSERT(base_offset >= 0);
    ASSERT(batch[RECORD_BATCH_MAGIC_AT] == RECORD_BATCH_MAGIC);
    put_big_endian(batch, (uint64_t)base_offset, 8);
    put_big_endian(batch + LEADER_EPOCH_AT, (uint32_t)partition_leader_epoch, 4);
}

void record_batch_set_max_timestamp(uint8_t *batch, size_t size, int64_t max_timestamp)
{
    ASSERT(size >= RECORD_BATCH_HEADER);
    ASSERT(batch[RECORD_BATCH_MAGIC_AT] == RECORD_BATCH_MAGIC);
    put_big_endian(batch + MAX_TIMESTAMP_AT, (uint64_t)max_timestamp, 8);
    put_big_endian(batch + CRC_AT, crc32c(checked_part(batch, size)), 4);
}

void record_batch_set_log_append_time(uint8_t *batch, size_t size, int64_t timestamp)
{
    batch[ATTRIBUTES_AT + 1] |= RECORD_BATCH_LOG_APPEND_TIME;
    record_batch_set_max_timestamp(batch, size, timestamp);
}

enum err record_batch_convert(const struct record_batch *batch, struct slice records, enum compression type, int32_t level,
                              struct buf **out)
{
    struct writer w;
    ASSERT(compression_is_known(type));
    writer_init(&w, RECORD_BATCH_HEADER + records.n / 2);
    writer_bytes(&w, slice_make(batch->bytes.p, RECORD_BATCH_HEADER));
    enum err err = compression_compress_at(type, level, records, &w);
    if (!err && writer_size(&w) > INT32_MAX) err = ERR_LIMIT;
    struct buf *buf = writer_take(&w);
    if (err) {
        buf_unref(buf);
        return err;
    }
    put_big_endian(buf->data + LENGTH_AT, (uint32_t)(buf->size - RECORD_BATCH_PREFIX), 4);
    buf->data[ATTRIBUTES_AT + 1] = (uint8_t)((buf->data[ATTRIBUTES_AT + 1] & ~RECORD_BATCH_COMPRESSION) | (int)type);
    record_batch_set_max_timestamp(buf->data, buf->size, batch->max_timestamp);
    *out = buf;
    return ERR_OK;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

enum err record_iterator_init(struct record_iterator *it, const struct record_batch *batch, size_t decompressed_max)
{
    *it = (struct record_iterator){.batch = batch, .r = reader_make(record_batch_payload(batch))};
    enum compression compression = record_batch_compression(batch);
    if (compression == COMPRESSION_NONE) return ERR_OK;
    struct writer out;
    writer_init(&out, 0);
    enum err err = compression_decompress(compression, record_batch_payload(batch), decompressed_max, &out);
    it->decompressed = writer_take(&out);
    it->r = reader_make(buf_slice(it->decompressed));
    if (err) reader_fail(&it->r);
    return err;
}

void record_iterator_deinit(struct record_iterator *it)
{
    buf_unref(it->decompressed);
    it->decompressed = NULL;
}

/* A varint length, -1 for null where allowed, and its bytes. */
static struct slice read_field(struct reader *r, bool is_nullable)
{
    int32_t length = reader_varint32(r);
    if (length < -1 || (length == -1 && !is_nullable)) reader_fail(r);
    if (length < 0 || !reader_ok(r)) return SLICE_NULL;
    return reader_bytes(r, (size_t)length);
}

static struct record_header read_header(struct reader *r)
{
    struct record_header header;
    header.key = read_field(r, false);
    header.value = read_field(r, true);
    return header;
}

/* Reads them once, so that record_next_header() cannot fail. */
static void read_headers(struct reader *r, struct record *record)
{
    record->header_count = reader_varint32(r);
    if (record->header_count < 0 || (size_t)record->header_count > r->left / 2) reader_fail(r);
    record->headers = slice_make(r->p, r->left);
    for (int32_t i = 0; i < record->header_count && reader_ok(r); i++) (void)read_header(r);
}

/* Sums wrap: the numbers are the producer's and may be anything. */
static int64_t add_wrapping(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

static void read_record(struct reader *r, const struct record_batch *batch, struct record *record)
{
    (void)reader_i8(r); /* attributes: none are defined */
    int64_t timestamp_delta = reader_varint64(r);
    record->offset_delta = reader_varint32(r);
    record->offset = add_wrapping(batch->base_offset, record->offset_delta);
    record->timestamp =
        record_batch_is_log_append_time(batch) ? batch->max_timestamp : add_wrapping(batch->base_timestamp, timestamp_delta);
    record->key = read_field(r, true);
    record->value = read_field(r, true);
    read_headers(r, record);
}

bool record_iterator_next(struct record_iterator *it, struct record *record)
{
    if (it->index >= it->batch->count || !reader_ok(&it->r)) return false;
    int32_t length = reader_varint32(&it->r);
    if (length < 0) reader_fail(&it->r);
    struct reader r = reader_make(reader_bytes(&it->r, length < 0 ? 0 : (size_t)length));
    read_record(&r, it->batch, record);
    if (!reader_done(&r)) reader_fail(&it->r);
    if (!reader_ok(&it->r)) return false;
    it->index++;
    return true;
}

bool record_iterator_is_whole(const struct record_iterator *it) { return it->index == it->batch->count && reader_done(&it->r); }

bool record_next_header(struct record *record, struct record_header *header)
{
    if (record->header_count == 0) return false;
    struct reader r = reader_make(record->headers);
    *header = read_header(&r);
    record->headers = slice_make(r.p, r.left);
    record->header_count--;
    return reader_ok(&r);
}
