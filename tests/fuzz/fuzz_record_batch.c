/* F6: record batches: parsing, validation, every codec.  Bit 0 of the first byte repairs magic, length and CRC, so that the
 * records are reached; bits 1-3 choose the codec then; bit 4 makes it a client's batch.
 * What is accepted can be read, and survives being written again. */
#include "common/assert.h"
#include "common/mem.h"
#include "proto/record_batch.h"
#include "tests/fuzz/fuzz.h"

#define DECOMPRESSED_MAX (1u << 20)
#define HEADERS_MAX      64

static void repair(uint8_t *batch, size_t size, uint8_t choice)
{
    uint32_t length = (uint32_t)(size - RECORD_BATCH_PREFIX);
    for (int i = 0; i < 4; i++) batch[8 + i] = (uint8_t)(length >> (24 - 8 * i));
    batch[RECORD_BATCH_MAGIC_AT] = RECORD_BATCH_MAGIC;
    batch[22] = (uint8_t)((batch[22] & ~RECORD_BATCH_COMPRESSION) | (choice >> 1 & RECORD_BATCH_COMPRESSION));
    record_batch_set_max_timestamp(batch, size, 1000);
}

static bool add(struct record_batch_builder *b, struct record *record)
{
    struct record_header headers[HEADERS_MAX];
    int32_t count = record->header_count;
    if (count > HEADERS_MAX || record->timestamp != 0) return false;
    for (int32_t i = 0; i < count; i++) ASSERT(record_next_header(record, &headers[i]));
    record_batch_builder_add(b, record->timestamp, record->key, record->value, headers, count);
    return true;
}

static void check_same(const struct record_batch *a, const struct record_batch *b, int32_t count)
{
    struct record_iterator x, y;
    struct record left, right;
    enum err err = record_iterator_init(&x, a, DECOMPRESSED_MAX);
    ASSERT(err == ERR_OK);
    err = record_iterator_init(&y, b, DECOMPRESSED_MAX);
    ASSERT(err == ERR_OK);
    for (int32_t i = 0; i < count; i++) {
        bool is_there = record_iterator_next(&x, &left) && record_iterator_next(&y, &right);
        ASSERT(is_there && slice_equal(left.key, right.key) && slice_equal(left.value, right.value));
    }
    record_iterator_deinit(&x);
    record_iterator_deinit(&y);
}

/* A batch that passed validation: all its records are there; those before the first odd one are written anew. */
static void check_accepted(const struct record_batch *batch)
{
    struct record_iterator it;
    struct record_batch_spec spec;
    struct record_batch_builder b;
    record_batch_spec_init(&spec);
    record_batch_builder_init(&b, &spec);
    enum err err = record_iterator_init(&it, batch, DECOMPRESSED_MAX);
    ASSERT(err == ERR_OK);
    bool is_copying = true;
    for (struct record record; record_iterator_next(&it, &record);) is_copying = is_copying && add(&b, &record);
    ASSERT(record_iterator_is_whole(&it));
    ASSERT(!it.decompressed || it.decompressed->size <= DECOMPRESSED_MAX);
    record_iterator_deinit(&it);
    int32_t count = b.count;
    if (count > 0) {
        struct record_batch copy;
        struct buf *buf = record_batch_builder_finish(&b);
        err = record_batch_parse(buf_slice(buf), &copy);
        ASSERT(err == ERR_OK && record_batch_is_crc_valid(&copy));
        check_same(batch, &copy, count);
        buf_unref(buf);
    }
    record_batch_builder_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct buf *buf = buf_copy(slice_make(data + 1, size - 1));
    if ((data[0] & 1) && buf->size >= RECORD_BATCH_HEADER) repair(buf->data, buf->size, data[0]);
    const struct record_batch_rules rules = {.is_from_client = data[0] & 16,
                                             .opens_compressed = true,
                                             .bytes_max = 1 << 20,
                                             .decompressed_max = DECOMPRESSED_MAX,
                                             .timestamp_min = INT64_MIN,
                                             .timestamp_max = INT64_MAX};
    struct record_batch batch;
    if (record_batch_parse_produced(buf_slice(buf), &batch).error == KAFKA_NONE &&
        record_batch_validate(&batch, &rules).error == KAFKA_NONE) {
        check_accepted(&batch);
    }
    buf_unref(buf);
    return 0;
}
