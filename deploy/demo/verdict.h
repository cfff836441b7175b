/* Was anything lost, doubled, reordered or changed?  The bookkeeping behind the demo's verdict and the failover tests.
 *
 * Every record that is sent gets a number, which travels with it in a header; what was acknowledged and what each reader
 * saw is noted under that number.  Nothing here knows Kafka's client, so the checker is itself tested with planted faults
 * (tests/integration/test_verdict.c).  Not thread-safe: the caller locks. */
#ifndef SKIFF_DEPLOY_DEMO_VERDICT_H
#define SKIFF_DEPLOY_DEMO_VERDICT_H

#include "common/map.h"

/* Who reads: consumers beside the producer, and the one that reads all again at the end. */
enum reader_id { READER_LIVE, READER_FINAL, READER_COUNT };

enum { VERDICT_PARTITIONS_MAX = 64 };

struct verdict_key;
struct verdict_record;

struct verdict {
    struct map keys; /* struct verdict_key by name */
    struct verdict_record *records;
    uint32_t record_count, record_capacity;
    uint64_t acked;
    struct {
        uint64_t read, duplicates, reordered, strangers;
        int64_t last_offset[VERDICT_PARTITIONS_MAX];
    } readers[READER_COUNT];
};

/* All counts of faults are 0 in a clean run. */
struct verdict_result {
    uint64_t keys, sent, acked, read;
    uint64_t unacked;     /* sent, but the cluster never confirmed it */
    uint64_t lost;        /* acknowledged, but not read */
    uint64_t misplaced;   /* read at another place than acknowledged */
    uint64_t duplicates;  /* read at a second offset */
    uint64_t reordered;   /* read before an earlier record of its key, or at an offset already passed */
    uint64_t strangers;   /* never sent, or with other bytes */
    uint64_t digests_bad; /* keys whose SHA-256 differs between input and output */
};

void verdict_init(struct verdict *v);
void verdict_deinit(struct verdict *v);
/* Returns the number of the record. */
uint32_t verdict_sent(struct verdict *v, struct slice key, struct slice value);
void verdict_acked(struct verdict *v, uint32_t number, int32_t partition, int64_t offset);
/* `number` is what the record's header says; UINT32_MAX when it has none. */
void verdict_read(struct verdict *v, enum reader_id reader, uint32_t number, int32_t partition, int64_t offset, struct slice key,
                  struct slice value);
/* What a reader that has read everything must have seen.  True when nothing is wrong.  Once for each reader: it closes the digests. */
bool verdict_judge(struct verdict *v, enum reader_id reader, struct verdict_result *result);

#endif
