/* The committed offsets of one group in one topic, packed: rows sorted by partition, each column as many bytes wide as its largest
 * value needs. Columns of one topic are much alike: no metadata, no expiry of their own, one topic id, commits of the same days; a
 * column that only says the usual takes no room. So an ordinary offset is a row of ten to thirteen bytes, not a struct of 64.
 *
 * Columns widen when a value comes that does not fit, and stay wide. Whoever looks gets a struct. One owner thread. */
#ifndef SKIFF_BROKER_COORDINATOR_OFFSET_ROWS_H
#define SKIFF_BROKER_COORDINATOR_OFFSET_ROWS_H

#include "common/uuid.h"

#include <stddef.h>

struct committed_offset {
    int32_t partition;
    int32_t leader_epoch; /* -1: not told */
    int64_t offset;
    int64_t commit_ms;     /* wall clock of the commit */
    int64_t expire_ms;     /* -1: by retention; else from OffsetCommit v2-4 with a retention of its own */
    struct uuid topic_id;  /* zero: committed by name only */
    struct slice metadata; /* never null; of an offset that was looked up: until the rows change */
};

enum offset_column {
    COLUMN_PARTITION,
    COLUMN_EPOCH,   /* plus one */
    COLUMN_OFFSET,  /* zigzag, as the next one */
    COLUMN_COMMIT,  /* distance from the rows' base_ms */
    COLUMN_EXPIRE,  /* plus one */
    COLUMN_ID_HIGH, /* exclusive or with the rows' topic_id, as the next one */
    COLUMN_ID_LOW,
    OFFSET_COLUMNS,
};

struct offset_rows {
    uint32_t count, capacity;       /* rows */
    uint8_t widths[OFFSET_COLUMNS]; /* bytes */
    uint8_t row_bytes;              /* their sum */
    uint8_t *rows;
    struct stored_text **metadata; /* [capacity]; NULL: all are empty */
    int64_t base_ms;               /* of the first commit */
    struct uuid topic_id;          /* of the first commit */
    size_t bytes;                  /* heap that all this takes */
};

/* Zeroed memory is an empty table. */
void offset_rows_deinit(struct offset_rows *rows);
/* Replaces that of the partition; copies the metadata. True: there was none before. */
bool offset_rows_put(struct offset_rows *rows, const struct committed_offset *offset);
/* False: there was none. */
bool offset_rows_remove(struct offset_rows *rows, int32_t partition);
struct committed_offset offset_rows_at(const struct offset_rows *rows, uint32_t at);
/* False: there is none. */
bool offset_rows_find(const struct offset_rows *rows, int32_t partition, uint32_t *at);
/* Sorted, unique, counted: for tests and VERIFY builds. */
void offset_rows_invariants(const struct offset_rows *rows);

#endif
