/* One batch of a Produce request on its way into the log: is it valid, and is it in its topic's codec (compression.type)? It is
 * decompressed at most once for both. What takes long goes to another thread (env_work), which touches nothing but this struct and the
 * bytes of the batch; the rest of the struct is its owner's. */
#ifndef SKIFF_BROKER_NODE_BATCH_CHECK_H
#define SKIFF_BROKER_NODE_BATCH_CHECK_H

#include "common/env.h"
#include "proto/record_batch.h"

struct produce_partition;

struct batch_check {
    /* In. */
    struct slice records; /* one batch, not yet looked at */
    int16_t api_version;  /* of Produce */
    bool is_recompressed; /* the topic has a codec of its own */
    enum compression compression;
    int32_t level;
    struct record_batch_rules rules;
    /* Out. */
    struct record_batch_verdict verdict;
    struct record_fault *faults; /* the records that are not valid; NULL: the batch as a whole is not, or is */
    int32_t fault_count;
    int32_t last_offset_delta;
    struct buf *converted; /* the batch in the topic's codec, a reference; NULL: it is as it came */
    /* The owner's, while another thread has it. */
    struct env_op op;
    struct buf *buf;                /* keeps `records` */
    struct produce_partition *part; /* NULL: nobody waits any more */
};

/* What a batch may expand to: 64 times what the topic accepts compressed, between 1 and 64 MiB. */
size_t batch_check_decompressed_max(int64_t message_bytes_max);
/* Would batch_check_run() hold the loop up? */
bool batch_check_is_long(const struct batch_check *check);
void batch_check_run(struct batch_check *check);
/* What batch_check_run() listed; what it converted is the caller's. */
void batch_check_deinit(struct batch_check *check);
/* The same of one on the heap. */
void batch_check_destroy(struct batch_check *check);

#endif
