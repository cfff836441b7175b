/* Inside of struct plog, for the log_*.c files only.
 *
 *   segments[0 .. count-1], base offsets increase; the last one is open, the others closed. At least one.
 *   unsynced: index, snapshot and metadata files and directories that no commit covers; dirty segments are found by their flag.
 *   A flush under way has taken what was unsynced into `flushing`.
 *
 * Removal of segment files is a queue: one segment at a time, its directory committed before the next goes. A crash between two
 * steps so leaves a contiguous run of segments: retention removes from the front, truncation from the back. */
#ifndef SKIFF_BROKER_LOG_LOG_INTERNAL_H
#define SKIFF_BROKER_LOG_LOG_INTERNAL_H

#include "broker/log/checkpoint.h"
#include "broker/log/epoch_cache.h"
#include "broker/log/log.h"
#include "broker/log/producer_state.h"
#include "broker/log/segment.h"

/* Holds the offset that an older recovery-point checkpoint must not pass (see plog_recovery_point()). Ours, not Kafka's. */
#define RECOVERY_LIMIT_FILE "recovery-limit"
#define LEADER_EPOCH_FILE   "leader-epoch-checkpoint"

/* A segment whose files must go. */
struct removal {
    struct list_node node;
    int64_t base_offset;
    bool is_renamed; /* to .deleted, for retention; a truncated one goes at once */
};

enum truncation_step { TRUNCATION_NONE, TRUNCATION_LIMIT, TRUNCATION_REMOVE, TRUNCATION_COPY, TRUNCATION_LAST };

/* A write of leader-epoch-checkpoint that is under way. */
struct epochs_write {
    struct file_replace replace;
    struct plog *log;
    int64_t missing; /* offset from which on the file may differ if it fails */
};
/* The end of a log. */
struct deletion {
    struct plog *log;
    struct plog_op *done;
    enum err err;
    struct env_op op;
};

/* There are thousands of them, most of them idle: what only a log at work needs is allocated when it begins. */
struct plog {
    struct plog_shared *shared;
    char *name, *log_dir, *directory;
    char *topic;
    int32_t partition;
    struct uuid topic_id;
    struct plog_config config;
    uint32_t references; /* the owner's and one for each operation under way */

    struct segment **segments;
    uint32_t segment_count, segment_capacity;
    int64_t *snapshots; /* offsets of the snapshot files, increasing */
    uint32_t snapshot_count, snapshot_capacity;
    int64_t start, flushed_end;
    uint64_t generation;
    struct tail tail;
    struct epoch_cache epochs;
    struct producer_state producers;

    /* -- durability -- */
    struct file_set unsynced, flushing;
    bool is_flushing;
    bool has_directory;
    bool is_metadata_dirty;            /* partition.metadata is there, but perhaps not on the medium */
    int64_t recovery_claimed;          /* largest recovery point or high watermark that may be in a checkpoint file */
    bool has_limit;                    /* there is a RECOVERY_LIMIT_FILE */
    int64_t epochs_missing;            /* offset from which on leader-epoch-checkpoint may differ; INT64_MAX: nowhere */
    struct epochs_write *epochs_write; /* under way, or NULL */

    /* -- failure -- */
    bool is_failed;
    bool is_deleted;

    /* -- background -- */
    struct list removals;
    bool is_removing;
    struct env_op removal_op;
    enum truncation_step truncation;
    struct plog_op *truncation_done;
    struct env_op truncation_op;
    struct env_file *truncation_copy; /* replaces the last segment's file, of which readers hold ranges above the cut */
    struct deletion *deletion;        /* once it has begun */
};

/* ---- log.c --------------------------------------------------------------------------------------------------------- */

struct plog *plog_alloc(struct plog_shared *shared, const char *log_dir, const char *name, const struct plog_config *config);
void plog_ref(struct plog *log);
void plog_unref(struct plog *log);
/* The disk cannot be trusted any more. */
void plog_fail(struct plog *log, enum err err);
/* ERR_IO and whatever else means that the disk cannot be trusted: notes it and gives ERR_IO; other errors pass through. */
NODISCARD enum err plog_check(struct plog *log, enum err err);
static inline struct segment *plog_active(const struct plog *log) { return log->segments[log->segment_count - 1]; }
struct segment *plog_push_segment(struct plog *log, int64_t base_offset);
/* How long the segment may be open: segment.ms, less its jitter. */
int64_t plog_segment_ms(const struct plog *log, const struct segment *segment);
/* Index of the segment whose range contains `offset`; offsets past the end belong to the last. */
uint32_t plog_segment_at(const struct plog *log, int64_t offset);
/* The directory and partition.metadata are there. */
NODISCARD enum err plog_ensure_directory(struct plog *log);
/* What no flush has covered: the directory, its name, partition.metadata. */
NODISCARD enum err plog_add_unsynced(struct plog *log, struct file_set *set);
/* The active segment's file, created when missing. */
NODISCARD enum err plog_open_active(struct plog *log, struct env_file **file);
/* Closes the active segment and begins the next; nothing happens when it is empty. */
NODISCARD enum err plog_roll(struct plog *log);
/* leader-epoch-checkpoint no longer says what is true from `offset` on. */
void plog_epochs_changed(struct plog *log, int64_t offset);

/* ---- log_producers.c ----------------------------------------------------------------------------------------------- */

/* False when the batch has no producer that concerns us. `head` needs its records only for markers. */
bool plog_producer_event(const struct record_batch *batch, struct producer_event *event);
/* A snapshot of the state at the log end; a full disk means none. */
NODISCARD enum err plog_write_snapshot(struct plog *log);
/* The state at the log end from the newest good snapshot and the batch headers behind it; waits for the disk. */
NODISCARD enum err plog_rebuild_producers_wait(struct plog *log);
void plog_note_snapshot(struct plog *log, int64_t offset);

/* ---- log_truncate.c ------------------------------------------------------------------------------------------------ */

void plog_queue_removal(struct plog *log, struct segment *segment, bool is_renamed);
void plog_run_removals(struct plog *log);
/* The segment's files, now and not yet durably. */
NODISCARD enum err plog_unlink_segment(struct plog *log, int64_t base_offset);
/* The indexes of a segment that was cut: they speak of more than it holds. */
NODISCARD enum err plog_unlink_indexes(struct plog *log, int64_t base_offset);

/* ---- log_flush.c --------------------------------------------------------------------------------------------------- */

/* What plog_recovery_point() would say, without remembering it. */
int64_t plog_recoverable_end(const struct plog *log);

#endif
