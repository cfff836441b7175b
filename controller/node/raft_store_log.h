/* The segments of the metadata log.
 *
 *     segment:  magic "SKRL" | version u16 | is_restart u8 | 0 u8 | generation u64 | first index i64 | previous crc u32 | crc u32
 *     frame:    length u32 | crc u32 | previous crc u32 | index i64 | term i64 | durable index i64 | type u8 | bytes
 *
 * All big-endian; a crc (CRC-32C) covers what follows it in its frame, or what precedes it in the segment's header. `length` counts
 * what follows the crc. `previous crc` is the crc of the entry before: the log is a chain, so that a frame of a forgotten past can
 * never continue a newer one, whatever the disk brings back after a crash.
 *
 * A segment is only ever appended to, each time after everything before is durable. Truncation shortens it and begins a new
 * generation; so does a restart behind an installed snapshot, which says so (is_restart). Recovery goes through the generations in
 * order: a later one takes over from its first index on.
 *
 * The log may end in frames that were never durable. A damaged frame is such a torn end, and is cut, unless a frame behind it says that
 * it was written when that place was already durable ("durable index"): then something acknowledged is lost, and the store refuses
 * to open. */
#ifndef SKIFF_CONTROLLER_NODE_RAFT_STORE_LOG_H
#define SKIFF_CONTROLLER_NODE_RAFT_STORE_LOG_H

#include "common/env.h"
#include "common/writer.h"
#include "controller/raft/raft.h"

#define SEGMENT_HEADER_BYTES 32
#define FRAME_HEADER_BYTES   37        /* up to and with the type */
#define SEGMENT_ROLL_BYTES   (4 << 20) /* small enough that compaction frees space soon, large enough to be rare */

struct log_segment {
    struct list_node node;
    uint64_t generation;
    int64_t first_index;
    struct env_file *file;
    int64_t size;
    int64_t *positions; /* of the frame of first_index + i */
    int64_t count, capacity;
    char path[PATH_BYTES_MAX];
};

struct store_log {
    struct env *env;
    const char *directory;
    struct list segments; /* struct log_segment, by generation; the last one takes appends */
    int64_t next_index;
    uint32_t last_crc; /* of the frame next_index - 1 */
    uint64_t next_generation;
};

struct log_entry {
    int64_t index, term;
    enum raft_entry_type type;
    struct buf *bytes;
};

/* Recovers; nothing is durable before the caller commits all segments and the directory. *entries (mem_free) and their references go to the
 * caller. `snapshot_index` says which entries must be there. */
NODISCARD enum err store_log_open(struct store_log *log, struct env *env, const char *directory, const struct raft_snapshot *snapshot,
                                  struct raft_entry **entries, int64_t *first_index, int64_t *count);
void store_log_close(struct store_log *log);
int64_t store_log_bytes(const struct store_log *log);
size_t store_log_segment_count(const struct store_log *log);

/* The three changes. Everything before must be durable; each leaves the files that a commit must name in `files` (no references),
 * and sets *has_names when the directory must be named too. */
#define STORE_LOG_COMMIT_FILES_MAX 8 /* quorum-state, the segment that was cut, the new one */
struct store_log_commit {
    struct env_file *files[STORE_LOG_COMMIT_FILES_MAX];
    size_t count;
    bool has_names;
};
NODISCARD enum err store_log_append(struct store_log *log, const struct log_entry *entries, size_t count, struct store_log_commit *commit);
NODISCARD enum err store_log_truncate(struct store_log *log, int64_t from, struct store_log_commit *commit);
NODISCARD enum err store_log_restart(struct store_log *log, int64_t after_index, struct store_log_commit *commit);
/* For recovery. */
struct log_segment *store_log_add_segment(struct store_log *log, const char *name, uint64_t generation, int64_t first_index);
void store_log_add_position(struct log_segment *segment, int64_t position);
void store_log_drop_segment(struct store_log *log, struct log_segment *segment);
#define SEGMENT_MAGIC   0x534b524cu
#define SEGMENT_VERSION 1

/* Unlinks segments that have only entries up to `index`. Needs no commit: what comes back after a crash is skipped. */
void store_log_compact(struct store_log *log, int64_t index);

#endif
