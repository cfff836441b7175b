/* What a broker checks before it appends a batch (the rules of Kafka's own validator, and its error codes). */
#include "proto/record_batch.h"

#include "common/assert.h"
#include "common/checked.h"

static struct record_batch_verdict refuse(enum kafka_error error, const char *message)
{
    return (struct record_batch_verdict){.error = error, .record_index = -1, .message = message};
}

static struct record_batch_verdict refuse_record(enum kafka_error error, int32_t index, const char *message)
{
    return (struct record_batch_verdict){.error = error, .record_index = index, .message = message};
}

static struct record_batch_verdict accept(int64_t max_timestamp)
{
    return (struct record_batch_verdict){.error = KAFKA_NONE, .record_index = -1, .max_timestamp = max_timestamp};
}

struct record_batch_verdict record_batch_parse_produced(struct slice records, struct record_batch *out)
{
    if (slice_is_null(records) || records.n == 0)
        return refuse(KAFKA_INVALID_RECORD, "A partition needs exactly one record batch, and has none.");
    bool is_old = records.n > RECORD_BATCH_MAGIC_AT && records.p[RECORD_BATCH_MAGIC_AT] < RECORD_BATCH_MAGIC;
    if (is_old) return refuse(KAFKA_INVALID_RECORD, "Record batches must have format 2 (Kafka 0.11 or newer).");
    enum err err = record_batch_parse(records, out);
    /* As Kafka, for which a cut batch is no batch: asking again would not help. */
    if (err == ERR_AGAIN) return refuse(KAFKA_INVALID_RECORD, "A partition needs exactly one record batch, and this one is cut short.");
    if (err != ERR_OK) return refuse(KAFKA_CORRUPT_MESSAGE, "The header of the record batch is damaged.");
    if (record_batch_size(out) != records.n)
        return refuse(KAFKA_INVALID_RECORD, "A partition needs exactly one record batch, and has more.");
    return accept(out->max_timestamp);
}

/* What no producer may send. */
static struct record_batch_verdict check_client_header(const struct record_batch *b)
{
    if (b->base_offset != 0) return refuse(KAFKA_INVALID_RECORD, "The base offset of a client's batch must be 0.");
    if (b->count < 1) return refuse(KAFKA_INVALID_RECORD, "The record batch has no records.");
    if (b->last_offset_delta != b->count - 1)
        return refuse(KAFKA_INVALID_RECORD, "The batch's last offset does not match its number of records.");
    if (record_batch_is_control(b)) return refuse(KAFKA_INVALID_RECORD, "Clients may not write control batches.");
    if (b->attributes & RECORD_BATCH_DELETE_HORIZON) return refuse(KAFKA_INVALID_RECORD, "Clients may not set a delete horizon.");
    if (b->producer_id < NO_PRODUCER_ID) return refuse(KAFKA_INVALID_RECORD, "The producer id is negative.");
    if (record_batch_has_producer(b) && (b->base_sequence < 0 || b->producer_epoch < 0)) {
        return refuse(KAFKA_INVALID_RECORD, "The batch has a producer id, but no valid epoch and sequence.");
    }
    if (record_batch_is_transactional(b) && !record_batch_has_producer(b)) {
        return refuse(KAFKA_INVALID_RECORD, "The batch is transactional, but has no producer id.");
    }
    if (record_batch_is_log_append_time(b))
        return refuse(KAFKA_INVALID_TIMESTAMP, "Clients may not set the timestamp type to log append time.");
    return accept(b->max_timestamp);
}

static bool is_timestamp_allowed(int64_t timestamp, const struct record_batch_rules *rules)
{
    return timestamp == NO_TIMESTAMP || (rules->timestamp_min <= timestamp && timestamp <= rules->timestamp_max);
}

static struct record_batch_verdict check_record(const struct record *record, int32_t index, const struct record_batch_rules *rules)
{
    if (record->offset_delta != index) return refuse_record(KAFKA_INVALID_RECORD, index, "The records' offsets are not consecutive.");
    if (rules->needs_keys && slice_is_null(record->key)) {
        return refuse_record(KAFKA_INVALID_RECORD, index, "A compacted topic accepts no record without a key.");
    }
    if (!is_timestamp_allowed(record->timestamp, rules)) {
        return refuse_record(KAFKA_INVALID_TIMESTAMP, index, "The record's timestamp is outside the range that the topic accepts.");
    }
    return accept(record->timestamp);
}

static struct record_batch_verdict walk(struct record_iterator *it, const struct record_batch_rules *rules)
{
    int64_t max_timestamp = NO_TIMESTAMP;
    for (struct record record; record_iterator_next(it, &record);) {
        struct record_batch_verdict v = check_record(&record, it->index - 1, rules);
        if (v.error) return v;
        max_timestamp = max_i64(max_timestamp, record.timestamp);
    }
    if (!record_iterator_is_whole(it)) return refuse_record(KAFKA_INVALID_RECORD, it->index, "The record is malformed.");
    return accept(max_timestamp);
}

int32_t record_batch_list_faults(const struct record_batch *batch, const struct record_batch_rules *rules, struct record_fault *faults,
                                 int32_t max)
{
    struct record_iterator it;
    int32_t count = 0;
    ASSERT(max > 0);
    if (record_iterator_init(&it, batch, rules->decompressed_max) == ERR_OK) {
        for (struct record record; count < max && record_iterator_next(&it, &record);) {
            struct record_batch_verdict v = check_record(&record, it.index - 1, rules);
            if (v.error) faults[count++] = (struct record_fault){.index = v.record_index, .error = v.error, .message = v.message};
        }
    }
    record_iterator_deinit(&it);
    ASSERT(count <= max);
    return count;
}

static struct record_batch_verdict refuse_compressed(enum err err)
{
    if (err == ERR_NOT_FOUND)
        return refuse(KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "This broker lacks the library for the batch's compression.");
    if (err == ERR_LIMIT) return refuse(KAFKA_INVALID_RECORD, "The batch expands beyond what the broker accepts.");
    return refuse(KAFKA_CORRUPT_MESSAGE, "The batch's compressed data is damaged.");
}

static struct record_batch_verdict check_records(const struct record_batch *batch, const struct record_batch_rules *rules,
                                                 struct buf **decompressed)
{
    struct record_iterator it;
    enum err err = record_iterator_init(&it, batch, rules->decompressed_max);
    struct record_batch_verdict v = err ? refuse_compressed(err) : walk(&it, rules);
    if (decompressed && !v.error && it.decompressed) *decompressed = buf_ref(it.decompressed);
    record_iterator_deinit(&it);
    return v;
}

static struct record_batch_verdict validate(const struct record_batch *batch, const struct record_batch_rules *rules, bool opens,
                                            struct buf **decompressed)
{
    if (record_batch_size(batch) > rules->bytes_max) {
        return refuse(KAFKA_MESSAGE_TOO_LARGE, "The record batch is larger than the topic's max.message.bytes.");
    }
    if (!record_batch_is_crc_valid(batch)) return refuse(KAFKA_CORRUPT_MESSAGE, "The record batch's checksum does not match its content.");
    if (!compression_is_known(record_batch_compression(batch))) {
        return refuse(KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "The batch's compression is unknown.");
    }
    struct record_batch_verdict v = rules->is_from_client ? check_client_header(batch) : accept(batch->max_timestamp);
    if (v.error) return v;
    bool is_opened = record_batch_compression(batch) == COMPRESSION_NONE || rules->needs_keys || opens;
    if (is_opened) return check_records(batch, rules, decompressed);
    /* Records lie between the two, as far as the producer is honest; damage shows when somebody opens the batch. */
    if (!is_timestamp_allowed(batch->base_timestamp, rules) || !is_timestamp_allowed(batch->max_timestamp, rules)) {
        return refuse(KAFKA_INVALID_TIMESTAMP, "The batch's timestamps are outside the range that the topic accepts.");
    }
    return v;
}

struct record_batch_verdict record_batch_validate(const struct record_batch *batch, const struct record_batch_rules *rules)
{
    return validate(batch, rules, rules->opens_compressed, NULL);
}

struct record_batch_verdict record_batch_validate_and_open(const struct record_batch *batch, const struct record_batch_rules *rules,
                                                           struct buf **decompressed)
{
    *decompressed = NULL;
    return validate(batch, rules, true, decompressed);
}
