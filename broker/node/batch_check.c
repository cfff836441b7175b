#include "broker/node/batch_check.h"

#include "common/checked.h"
#include "common/mem.h"

#define LONG_FROM            ((size_t)16 << 10) /* bytes of a batch that is opened or compressed: some hundred microseconds */
#define EXPANSION_MAX        64
#define DECOMPRESSED_LEAST   ((int64_t)1 << 20)
#define DECOMPRESSED_MOST    ((int64_t)64 << 20)
#define ZSTD_FROM_VERSION    7
#define FAULTS_MAX           1000
#define COMPRESSION_OF(head) ((head)[RECORD_BATCH_CRC_FROM + 1] & RECORD_BATCH_COMPRESSION)

size_t batch_check_decompressed_max(int64_t message_bytes_max)
{
    int64_t wanted = min_i64(message_bytes_max, DECOMPRESSED_MOST) * EXPANSION_MAX;
    return (size_t)max_i64(min_i64(wanted, DECOMPRESSED_MOST), DECOMPRESSED_LEAST);
}

bool batch_check_is_long(const struct batch_check *check)
{
    if (check->records.n < LONG_FROM || check->records.n > check->rules.bytes_max) return false;
    enum compression compression = (enum compression)COMPRESSION_OF(check->records.p);
    if (check->is_recompressed && compression != check->compression) return true;
    return compression != COMPRESSION_NONE && check->rules.needs_keys;
}

static struct record_batch_verdict refuse(enum kafka_error error, const char *message)
{
    return (struct record_batch_verdict){.error = error, .record_index = -1, .message = message};
}

/* As Kafka: every record that is not valid is told, and one whose time is out of range decides what the batch is refused for. */
static void list_faults(struct batch_check *check, const struct record_batch *batch)
{
    struct record_fault *faults = mem_calloc(FAULTS_MAX, sizeof *faults);
    int32_t count = record_batch_list_faults(batch, &check->rules, faults, FAULTS_MAX);
    check->faults = faults;
    check->fault_count = count;
    for (int32_t i = 0; i < count && check->verdict.error != KAFKA_INVALID_TIMESTAMP; i++) {
        if (faults[i].error != KAFKA_INVALID_TIMESTAMP) continue;
        check->verdict.error = faults[i].error;
        check->verdict.message = faults[i].message;
    }
}

/* Offsets, timestamps, producer and sequence stay, so that the log's rules see the batch that the producer sent. */
static void convert(struct batch_check *check, const struct record_batch *batch)
{
    struct buf *decompressed = NULL;
    check->verdict = record_batch_validate_and_open(batch, &check->rules, &decompressed);
    if (check->verdict.error != KAFKA_NONE) return;
    struct slice records = decompressed ? buf_slice(decompressed) : record_batch_payload(batch);
    enum err err = record_batch_convert(batch, records, check->compression, check->level, &check->converted);
    buf_unref(decompressed);
    if (err) {
        check->verdict = refuse(KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "This broker lacks the library for the topic's compression.type.");
    } else if (check->converted->size > check->rules.bytes_max) {
        buf_unref(check->converted);
        check->converted = NULL;
        check->verdict = refuse(KAFKA_MESSAGE_TOO_LARGE,
                                "In the topic's compression.type the record batch is larger than the topic's max.message.bytes.");
    }
}

void batch_check_run(struct batch_check *check)
{
    struct record_batch batch;
    check->converted = NULL;
    check->faults = NULL;
    check->fault_count = 0;
    check->verdict = record_batch_parse_produced(check->records, &batch);
    if (check->verdict.error != KAFKA_NONE) return;
    check->last_offset_delta = batch.last_offset_delta;
    if (check->api_version < ZSTD_FROM_VERSION && record_batch_compression(&batch) == COMPRESSION_ZSTD)
        check->verdict = refuse(KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "Produce knows zstd from version 7 on.");
    else if (check->is_recompressed && record_batch_compression(&batch) != check->compression)
        convert(check, &batch);
    else
        check->verdict = record_batch_validate(&batch, &check->rules);
    if (check->verdict.record_index >= 0) list_faults(check, &batch);
}

void batch_check_deinit(struct batch_check *check)
{
    mem_free(check->faults);
    check->faults = NULL;
}

void batch_check_destroy(struct batch_check *check)
{
    batch_check_deinit(check);
    buf_unref(check->buf);
    mem_free(check);
}
