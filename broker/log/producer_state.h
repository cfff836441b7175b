/* What a log remembers of idempotent and transactional producers: enough to answer a retry with the original offset and to
 * refuse a gap (I-DUP, I-GAP, I-EPOCH, I-NOSTATE). Pure: no clock, no files. Owner: the log.
 *
 * The state is a function of the batches in the log (I-REPL): a follower, or a leader after a restart, gives the same answers.
 * Only expiry looks at the clock, and only at when this process last saw the producer, because record timestamps are the
 * client's to choose. */
#ifndef SKIFF_BROKER_LOG_PRODUCER_STATE_H
#define SKIFF_BROKER_LOG_PRODUCER_STATE_H

#include "common/attr.h"
#include "common/limits.h"
#include "common/map.h"
#include "common/writer.h"

#define PRODUCER_NO_SEQUENCE (-1)

struct producer_batch {
    int32_t last_sequence;
    int32_t offset_delta; /* last offset - base offset; also last - first sequence, modulo the wrap */
    int64_t last_offset;
    int64_t timestamp_ms; /* largest in the batch */
};

struct producer {
    int64_t id;
    int16_t epoch;
    uint8_t batch_count;
    int32_t coordinator_epoch;                            /* of the last transaction marker; -1 */
    int64_t txn_first_offset;                             /* of the open transaction; -1 */
    int64_t last_timestamp_ms;                            /* of the last batch or marker */
    int64_t seen_ms;                                      /* wall clock */
    struct producer_batch batches[PRODUCER_BATCHES_KEPT]; /* of this epoch, oldest first */
};

struct producer_state {
    struct map producers;       /* by id */
    uint32_t open_transactions; /* producers with txn_first_offset >= 0 */
};

/* The part of a batch header that matters here. */
struct producer_event {
    int64_t producer_id; /* >= 0 */
    int16_t producer_epoch;
    int32_t first_sequence; /* data batches */
    int32_t offset_delta;
    int64_t base_offset;
    int64_t timestamp_ms;
    bool is_transactional;
    bool is_marker;            /* the end of a transaction */
    int32_t coordinator_epoch; /* markers */
};

enum producer_verdict { PRODUCER_OK, PRODUCER_DUPLICATE, PRODUCER_OUT_OF_ORDER, PRODUCER_OLD_EPOCH, PRODUCER_BAD_TXN_STATE };

void producer_state_init(struct producer_state *state, uint64_t seed);
void producer_state_deinit(struct producer_state *state);
void producer_state_clear(struct producer_state *state);

/* May a leader append this? Changes nothing; base_offset is not looked at. DUPLICATE: *original is the batch that is in the log
 * already. */
enum producer_verdict producer_state_check(const struct producer_state *state, const struct producer_event *event,
                                           const struct producer_batch **original);
/* What a producer was before an append. */
struct producer_undo {
    struct producer before;
    bool is_new;
};
/* It was appended: by a leader after the check, or by a follower or recovery, which take what the log says. */
void producer_state_append(struct producer_state *state, const struct producer_event *event, int64_t now_ms);
/* For an append that can still fail: *undo takes the producer back, in the reverse order of several appends. */
void producer_state_prepare_undo(const struct producer_state *state, int64_t producer_id, struct producer_undo *undo);
void producer_state_undo(struct producer_state *state, const struct producer_undo *undo);
/* Forgets those that were not seen for `expiration_ms`, but never one with an open transaction (I-EXPIRE). */
void producer_state_expire(struct producer_state *state, int64_t now_ms, int64_t expiration_ms);
const struct producer *producer_state_get(const struct producer_state *state, int64_t producer_id);
static inline uint32_t producer_state_count(const struct producer_state *state) { return map_count(&state->producers); }
/* Of the oldest open transaction; -1. */
int64_t producer_state_first_unstable(const struct producer_state *state);

/* The last sequence of a run of offset_delta + 1: after INT32_MAX comes 0. */
int32_t producer_last_sequence(int32_t first_sequence, int32_t offset_delta);

/* Kafka's .snapshot file. Its entry has room for one batch; a producer with several is written as several entries, oldest
 * first. Kafka keeps the last entry of an id, which is what it would have written; we get all five back. */
void producer_snapshot_write(const struct producer_state *state, struct writer *w);
/* False: torn or foreign; the state is then empty. */
NODISCARD bool producer_snapshot_parse(struct producer_state *state, struct slice bytes, int64_t now_ms);

#endif
