/* One partition's log, in Apache Kafka's on-disk format: a directory TOPIC-PARTITION with segments (%020d.log and its .index,
 * .timeindex), producer snapshots, leader-epoch-checkpoint and partition.metadata. It knows nothing of replication: the high
 * watermark comes in as an argument where a rule needs it.
 *
 * Offsets: log_start <= flushed_end <= end, and recovery_point <= flushed_end. `end` is the offset of the next record.
 *   - Appending gives offsets without gaps (L-ORDER); batch epochs never decrease (L-EPOCH).
 *   - What plog_flush_done() has counted survives a power cut: the flushed end never passes an unsynced segment, directory
 *     entry or epoch; a flush that a truncation overtook does not count (generation).
 *   - Bytes once handed out as a file range never change: segments are appended to or replaced, not overwritten.
 *
 * Files appear with the first append; an idle log holds no descriptor (struct plog_shared keeps the LRU).
 *
 * Errors. ERR_NO_SPACE: the log was cut back to its last good batch and stays usable. ERR_IO: the log is unusable from now on,
 * and the caller takes its whole log directory offline. Owner: one thread, the env's. */
#ifndef SKIFF_BROKER_LOG_LOG_H
#define SKIFF_BROKER_LOG_LOG_H

#include "broker/log/file_cache.h"
#include "broker/log/file_set.h"
#include "broker/log/tail_cache.h"
#include "common/env.h"
#include "common/uuid.h"

struct plog;
struct producer;

/* ---- life ---------------------------------------------------------------------------------------------------------- */

/* What all logs of a node share. Outlives them. */
struct plog_shared {
    struct env *env;
    struct file_cache files; /* open segments, oldest use first out */
    struct tail_cache tails; /* the newest bytes of all logs, for replication and tailing consumers */
};
/* files_max descriptors, tail_bytes_max bytes of recent appends. */
void plog_shared_init(struct plog_shared *shared, struct env *env, uint32_t files_max, size_t tail_bytes_max);
void plog_shared_deinit(struct plog_shared *shared);

/* Topic settings, under Kafka's names. */
struct plog_config {
    int64_t segment_bytes;             /* segment.bytes */
    int64_t segment_ms;                /* segment.ms */
    int64_t segment_jitter_ms;         /* segment.jitter.ms */
    int64_t segment_index_bytes;       /* segment.index.bytes */
    int64_t index_interval_bytes;      /* index.interval.bytes */
    int64_t producer_id_expiration_ms; /* producer.id.expiration.ms (a broker setting) */
    bool is_log_append_time;           /* message.timestamp.type=LogAppendTime */
    bool is_compacted;                 /* cleanup.policy has compact: a follower accepts gaps between batches */
};
/* Kafka's defaults. */
extern const struct plog_config plog_config_default;

/* A new, empty log that starts at offset 0. Writes nothing. `log_dir` is the log directory that holds the partition's. */
struct plog *plog_create(struct plog_shared *shared, const char *log_dir, const char *topic, int32_t partition, struct uuid topic_id,
                         const struct plog_config *config);

/* What the checkpoints of the log directory say of a log; 0 where they say nothing. */
struct plog_claims {
    int64_t recovery_point;
    int64_t log_start;
    int64_t high_watermark; /* what plog_durable_watermark() gave: flushed */
    bool is_clean;          /* .kafka_cleanshutdown was there: nothing is scanned */
    bool cut_damage;        /* cut at the first damage whatever follows: only when an operator or a refill from the leader says so */
};
enum plog_found {
    PLOG_WHOLE,   /* everything that is in the files is good */
    PLOG_CUT,     /* a torn tail was cut: never anything that had been flushed */
    PLOG_DAMAGED, /* something that had been flushed is wrong or missing: nothing was changed */
};
struct plog_recovery {
    enum plog_found found;
    int64_t end; /* where the good batches end */
    int64_t scanned_bytes;
    int64_t cut_bytes;
    char reason[160]; /* of a cut or damage, for the operator */
};
/* Opens the log in `log_dir`/`name` and recovers it, waiting for the disk: start-up only. ERR_CORRUPT goes with PLOG_DAMAGED:
 * *log is NULL then and the directory is as it was; the caller reports it and may set it aside. */
NODISCARD enum err plog_open(struct plog_shared *shared, const char *log_dir, const char *name, const struct plog_config *config,
                             const struct plog_claims *claims, struct plog **log, struct plog_recovery *recovery);
/* "TOPIC-PARTITION" -> its parts; false for anything else (also for names that end in -delete, -stray, -future). */
bool plog_parse_name(struct slice name, struct slice *topic, int32_t *partition);

/* Writes indexes and the producer snapshot and commits everything, waiting: before the clean shutdown mark is written.
 * ERR_AGAIN: a flush, a truncation or a file of the log is under way. */
NODISCARD enum err plog_close_clean(struct plog *log);
/* Operations under way end by themselves (their done() still comes); then the memory goes. */
void plog_destroy(struct plog *log);

/* Frees the log at once, though operations are under way: their completions never come, because the process is dead. Only the
 * simulator outlives its processes. */
void plog_abandon(struct plog *log);

void plog_configure(struct plog *log, const struct plog_config *config);
const char *plog_name(const struct plog *log); /* TOPIC-PARTITION */
/* From partition.metadata; zero when that file was missing or unreadable: the caller decides whose log this is. */
struct uuid plog_topic_id(const struct plog *log);
int64_t plog_start(const struct plog *log);       /* log start offset */
int64_t plog_end(const struct plog *log);         /* log end offset */
int64_t plog_flushed_end(const struct plog *log); /* <= end */
/* For recovery-point-offset-checkpoint: <= flushed end. What it returned is remembered: a truncation below it leaves a note in
 * the log's directory, so that an older checkpoint cannot make recovery trust what was appended after the truncation. */
int64_t plog_recovery_point(struct plog *log);
/* For replication-offset-checkpoint: the part of the high watermark that is flushed here. A follower that fell out of the in-sync
 * set, or any replica with log.flush.policy=os, can know of a higher one. Remembered as the recovery point is. */
int64_t plog_durable_watermark(struct plog *log, int64_t high_watermark);
int64_t plog_size(const struct plog *log);   /* bytes in all segments */
bool plog_is_failed(const struct plog *log); /* after ERR_IO */

/* ---- append -------------------------------------------------------------------------------------------------------- */

enum plog_verdict {
    PLOG_APPENDED,
    PLOG_DUPLICATE,          /* one of the producer's last five: success with the original offset, nothing appended */
    PLOG_OUT_OF_ORDER,       /* OUT_OF_ORDER_SEQUENCE_NUMBER: a gap, an overlap, or older than the five */
    PLOG_OLD_PRODUCER_EPOCH, /* INVALID_PRODUCER_EPOCH */
    PLOG_BAD_TXN_STATE,      /* INVALID_TXN_STATE */
    PLOG_TOO_LARGE,          /* RECORD_LIST_TOO_LARGE: more than segment.bytes */
    PLOG_FAILED,             /* not appended; the call's error says why */
};

/* One record batch on its way into the log. */
struct plog_batch {
    /* In: the batch is size bytes at buf->data + at. The log stamps it in place and keeps a reference: the caller must not
     * have shared the buffer yet, and does not write to it any more. */
    struct buf *buf;
    size_t at, size;
    /* Out. */
    enum plog_verdict verdict;
    int64_t base_offset;    /* APPENDED and DUPLICATE; else -1 */
    int64_t append_time_ms; /* LogAppendTime topics; else -1 */
};

/* The leader's append of batches that proto/record_batch.h found valid: stamps offsets, the leader epoch and, for
 * LogAppendTime, the time; checks sequences and producer epochs (message.timestamp.*.max.ms are rules of record_batch_validate()).
 * All of the call goes out in one write for each segment. ERR_OK: see each verdict. Otherwise no batch with verdict FAILED is in
 * the log. */
NODISCARD enum err plog_append_leader(struct plog *log, struct plog_batch *batches, size_t count, int32_t leader_epoch);

/* The follower's append of what a leader answered: whole batches at the start of the bytes; an unfinished one at their end is
 * left out. Accepts exactly what continues the log: right CRC, next offset, epochs that do not decrease and are at most
 * max_epoch; else ERR_CORRUPT, with the batches before the bad one appended. */
struct plog_follower_append {
    int64_t first_offset; /* of what was appended */
    int64_t bytes;        /* 0: nothing was */
};
NODISCARD enum err plog_append_follower(struct plog *log, struct buf *buf, size_t at, size_t size, int32_t max_epoch,
                                        struct plog_follower_append *out);

/* ---- read ---------------------------------------------------------------------------------------------------------- */

#define PLOG_READ_PIECES_MAX 16

/* A range of a segment that must come from the disk first. */
struct plog_want {
    struct env_file *file; /* a reference, or NULL */
    int64_t position;
    size_t size;
};
struct plog_read {
    /* In. */
    int64_t offset;
    int64_t limit;      /* only batches that end at or below this offset: HW, LSO or the log end */
    int64_t file_limit; /* ranges below it (the high watermark) may go out as file pieces; bytes above it come as buffers */
    int32_t bytes_max;
    bool is_first_whole; /* the first batch is returned even when it is larger than bytes_max (KIP-74) */
    bool is_in_memory;   /* buffers only, e.g. for TLS */
    bool refuses_zstd;   /* ends before the first batch of zstd */
    /* Out: whole batches, the first one contains `offset`. The references are the caller's. */
    struct env_piece pieces[PLOG_READ_PIECES_MAX];
    size_t piece_count;
    int64_t bytes;
    int64_t next_offset;   /* first offset after them; `offset` when there are none */
    bool is_before_zstd;   /* one of zstd follows, so they ended there */
    struct plog_want want; /* ERR_AGAIN: pass it to plog_fetch_from_disk(), then read again */
};
/* ERR_NOT_FOUND: offset is outside [start, end]. ERR_AGAIN: the bytes are not in memory. ERR_CORRUPT: the file does not hold
 * the batch that it must hold. Never blocks. */
NODISCARD enum err plog_read(struct plog *log, struct plog_read *read);
void plog_read_release(struct plog_read *read);

/* Brings a wanted range into memory; takes the reference over. */
struct plog_disk_read {
    void (*done)(struct plog_disk_read *disk_read, enum err err, int64_t now_us); /* the caller's */
    struct env_op op;
    struct env_file *file;
    uint8_t *bytes;
    size_t got;
};
void plog_fetch_from_disk(struct env *env, struct plog_disk_read *disk_read, struct plog_want *want);

/* A record found by time. */
struct plog_found_offset {
    int64_t offset; /* -1: none */
    int64_t timestamp_ms;
    int32_t leader_epoch; /* of that offset */
    struct plog_want want;
};
/* The first record whose timestamp is at least timestamp_ms, below `limit`. ERR_AGAIN as in plog_read(). */
NODISCARD enum err plog_find_timestamp(struct plog *log, int64_t timestamp_ms, int64_t limit, struct plog_found_offset *out);
/* The first record with the greatest timestamp. */
NODISCARD enum err plog_find_max_timestamp(struct plog *log, struct plog_found_offset *out);

/* ---- leader epochs ------------------------------------------------------------------------------------------------- */

/* Of the last batch; -1 for an empty log that never held one. */
int32_t plog_last_epoch(const struct plog *log);
/* Of the batch at `offset`; -1 when unknown. */
int32_t plog_epoch_at(const struct plog *log, int64_t offset);
/* Where `epoch` ends in this log (KIP-101, KIP-279): *found_epoch is the largest epoch <= `epoch` that the log has, *end_offset
 * the start of the next one, or the log end. Below the first epoch of the log, or in an empty one: found_epoch = `epoch`, and
 * the first epoch's start, or the log end. Refusing an epoch above the leader's own is the caller's. */
void plog_epoch_end(const struct plog *log, int32_t epoch, int32_t *found_epoch, int64_t *end_offset);

/* Writes leader-epoch-checkpoint in the background when it lacks something. The recovery point never passes an epoch that the
 * file lacks: call this some time before each recovery-point checkpoint. */
void plog_write_epochs(struct plog *log);

/* ---- flush --------------------------------------------------------------------------------------------------------- */

struct plog_flush {
    uint64_t generation;
    int64_t end;
};
/* Adds to `set` what must be committed so that everything up to flush->end is durable. False when there is nothing to do or a
 * flush of this log is under way. Then commit the set (of many logs at once: env_commit) and report to plog_flush_done(). */
bool plog_flush_begin(struct plog *log, struct file_set *set, struct plog_flush *flush);
/* True when the flushed end moved. An error makes the log failed. Must come for every flush that was begun, also after
 * plog_truncate_to(), plog_delete() and plog_destroy(). */
bool plog_flush_done(struct plog *log, const struct plog_flush *flush, enum err err);

/* ---- truncate, delete ---------------------------------------------------------------------------------------------- */

/* An operation on one log that ends later; the caller's memory until done(). Between the call and done() the log takes no
 * appends; plog_end() and the rest show the new state at once. */
struct plog_op {
    void (*done)(struct plog_op *op, enum err err, int64_t now_us);
};
/* Cuts everything at and above `offset` (a batch that contains it goes as a whole); done() when that is durable. */
void plog_truncate_to(struct plog *log, int64_t offset, struct plog_op *op);
/* Drops everything; the log is empty and starts at `offset`. */
void plog_truncate_fully(struct plog *log, int64_t offset, struct plog_op *op);
bool plog_is_busy(const struct plog *log); /* one of these is under way */

/* Moves the log start up (DeleteRecords, or a follower behind its leader's start), at most to its end. Segments wholly below it go
 * with the next plog_delete_old_segments(). False: it was there already. */
bool plog_advance_start(struct plog *log, int64_t offset);
/* Removes whole closed segments wholly below `high_watermark` that are older than retention_ms, or that the log does not need
 * to stay above retention_bytes, or that are below the log start; -1: no such limit. Closes an active segment that is older than
 * segment.ms, or most of which lies below the log start, or all of which may go, and then removes that one, too. A clock that jumped
 * ahead does not do so (RET-1): what this process appended must have rested as long by the monotonic clock.
 * Returns the number of segments; their files go in the background, Kafka's way (.deleted). */
uint32_t plog_delete_old_segments(struct plog *log, int64_t retention_ms, int64_t retention_bytes, int64_t now_ms, int64_t high_watermark);

/* Renames the directory to TOPIC-PARTITION.UNIQUE-delete at once, so that a new log can take the name; removes it in the
 * background, after the rename is durable, and destroys the log. done() at the end. A truncation under way ends without another step. */
void plog_delete(struct plog *log, struct plog_op *op);
/* For start-up, waiting: removes a directory that a crash left half deleted, with its files. */
NODISCARD enum err plog_remove_directory(struct env *env, const char *log_dir, const char *name);
/* For start-up, waiting: TOPIC-PARTITION -> TOPIC-PARTITION.UNIQUE-stray: never attached, kept for the operator. */
NODISCARD enum err plog_set_aside(struct env *env, const char *log_dir, const char *name);

/* ---- producers ----------------------------------------------------------------------------------------------------- */

/* Forgets producers that have been silent for producer.id.expiration.ms. */
void plog_expire_producers(struct plog *log, int64_t now_ms);
/* The producers that are not forgotten, one after the other; *at begins at 0. NULL: no more. */
const struct producer *plog_next_producer(const struct plog *log, uint32_t *at);
/* Some batch of it was appended, and is not forgotten. */
bool plog_knows_producer(const struct plog *log, int64_t producer_id);
/* First offset of the oldest open transaction, or -1: the last stable offset is this or the high watermark. */
int64_t plog_first_unstable(const struct plog *log);

/* Checks every rule above that is cheap; asserts. SKIFF_VERIFY builds call it after each operation. */
void plog_invariants(const struct plog *log);

#endif
