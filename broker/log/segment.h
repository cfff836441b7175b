/* One segment of a log: BASE.log with its indexes. The last segment of a log is open: batches are added to it; the others are
 * closed. Files are opened on first use and may be closed again by the file cache at any time between two calls, except while
 * the segment holds bytes that no commit has covered. Owner: the log.
 *
 * [0, size) of the file holds whole batches; what lies behind it in the file is leftover of a failed write. */
#ifndef SKIFF_BROKER_LOG_SEGMENT_H
#define SKIFF_BROKER_LOG_SEGMENT_H

#include "broker/log/file_set.h"
#include "broker/log/log.h"
#include "broker/log/segment_index.h"
#include "proto/record_batch.h"

#define SEGMENT_POSITION_MAX INT32_MAX /* positions and relative offsets are int32 in the index files */

struct segment {
    struct plog_shared *shared;
    const char *directory; /* the log's, borrowed */
    int64_t base_offset;
    int64_t next_offset; /* end of its last batch; base_offset while it is empty */
    int64_t size;
    int64_t first_timestamp_ms; /* largest of the first batch; -1 unknown */
    int64_t max_timestamp_ms;   /* -1 while there is none */
    int64_t max_timestamp_last; /* last offset of the batch that brought it */
    int64_t closed_ms;          /* when this process closed or found it: the latest that its records can have been appended */
    int64_t appended_us;        /* by the monotonic clock; -1: before this process */
    int64_t jitter_ms;          /* it is closed that much before segment.ms */
    int64_t bytes_since_index;
    int64_t published;          /* readers may hold file ranges below this position */
    int64_t plain_end;          /* the batches of [0, plain_end) are known not to be of zstd */
    int64_t allocated;          /* reserved on disk */
    struct env_file *file;      /* or NULL */
    struct segment_index index; /* of a closed segment: only when is_index_loaded */
    struct file_cache_entry cached;
    bool is_closed;
    bool is_index_loaded;
    bool is_dirty; /* bytes that no commit covers */
    enum segment_index_state { SEGMENT_INDEX_WRITTEN, SEGMENT_INDEX_FLUSHING, SEGMENT_INDEX_DURABLE } index_state; /* closed ones */
};

struct segment *segment_create(struct plog_shared *shared, const char *directory, int64_t base_offset);
/* Gives back file and memory; the files stay. */
void segment_destroy(struct segment *segment);

/* The file, opened when it is not; borrowed. Creates it when `may_create`; *is_created says so. */
NODISCARD enum err segment_open(struct segment *segment, bool may_create, bool *is_created, struct env_file **file);
/* A batch of `size` bytes is now at the end: counts it in, with its index entries. */
void segment_add(struct segment *segment, const struct record_batch *head, size_t size, int64_t index_interval_bytes);
/* The batch at `position` was looked at: false when it is of zstd. */
bool segment_note_plain(struct segment *segment, int64_t position, const struct record_batch *head, size_t size);
/* Closes the index: a last time entry, then the files, which are left to be committed in `unsynced`. A full disk leaves no index
 * file: the next start rebuilds it. */
NODISCARD enum err segment_close(struct segment *segment, int64_t now_ms, struct file_set *unsynced);
/* Writes .index and .timeindex as they are in memory. */
/* segment_close() does these steps. Gives back what was reserved on disk behind the end. */
NODISCARD enum err segment_give_back(struct segment *segment);
/* The largest timestamp so far becomes the last time entry. */
void segment_finish_index(struct segment *segment);
NODISCARD enum err segment_write_index(struct segment *segment, struct file_set *unsynced);
/* A look at the ends of both files, which tells the largest timestamp; false when they are missing or cannot be this segment's.
 * Waits for the disk, as the next one. */
NODISCARD enum err segment_check_index_wait(struct segment *segment, bool *is_good);
/* Reads them; false when they are missing or cannot be this segment's. */
NODISCARD enum err segment_read_index_wait(struct segment *segment, bool *is_good);
/* The index of a closed segment into memory, without waiting. */
NODISCARD enum err segment_load_index(struct segment *segment, struct plog_want *want);
/* Reads the headers behind the last index entry, waiting: largest timestamp, and *next_offset after the last of them. */
NODISCARD enum err segment_read_rest_wait(struct segment *segment, int64_t *next_offset);
/* In memory only: the segment ends at `position`, `next_offset`, and is open again. Its index must be loaded. Reads the headers
 * behind the last index entry, waiting. */
NODISCARD enum err segment_cut_wait(struct segment *segment, int64_t position, int64_t next_offset);
/* A copy of [0, size) has taken the name of the file; takes the reference over. */
void segment_replace_file(struct segment *segment, struct env_file *file);
/* Closes the file also of a dirty segment: only in recovery, where nothing was written through it. */
void segment_close_file(struct segment *segment);
/* Bytes were written, or a commit covers them all. */
void segment_mark_dirty(struct segment *segment, bool is_dirty);
/* Room for `size` more bytes of a segment that will grow to `segment_bytes`: space on disk comes in large steps. */
NODISCARD enum err segment_reserve(struct segment *segment, int64_t size, int64_t segment_bytes);

/* DIRECTORY/%020d.SUFFIX; the caller frees it. */
char *segment_path(const char *directory, int64_t base_offset, const char *suffix);

/* ---- walking the batch headers ------------------------------------------------------------------------------------- */

#define SEGMENT_CHUNK_LOOKUP 4096                 /* an index interval */
#define SEGMENT_CHUNK_SCAN   ((size_t)256 * 1024) /* whole segments */

/* Reads a segment through one buffer. */
struct segment_cursor {
    struct segment *segment;
    bool may_wait;          /* start-up and truncation; else ERR_AGAIN and *want */
    struct plog_want *want; /* with !may_wait */
    size_t want_size;       /* how much to ask for: the caller's guess of what it will need */
    struct buf *chunk;      /* NULL before the first read */
    size_t chunk_capacity;
    int64_t chunk_at;
};
void segment_cursor_init(struct segment_cursor *cursor, struct segment *segment, size_t chunk_capacity, bool may_wait);
void segment_cursor_deinit(struct segment_cursor *cursor);
/* `size` bytes at `position`, at most chunk_capacity; they live until the next call. ERR_NOT_FOUND: the file ends before. */
NODISCARD enum err segment_cursor_bytes(struct segment_cursor *cursor, int64_t position, size_t size, struct slice *bytes);
/* The same with another end of the segment, which recovery does not know yet. */
NODISCARD enum err segment_cursor_head_within(struct segment_cursor *cursor, int64_t position, int64_t end, struct record_batch *head,
                                              size_t *size);
/* The header of the batch at `position` < segment->size; head->bytes is the header alone. ERR_CORRUPT: none is there. */
NODISCARD enum err segment_cursor_head(struct segment_cursor *cursor, int64_t position, struct record_batch *head, size_t *size);
/* The first batch that ends above `offset`, from where the index says. ERR_NOT_FOUND: the segment has none. */
NODISCARD enum err segment_cursor_seek(struct segment_cursor *cursor, int64_t offset, int64_t *position, struct record_batch *head,
                                       size_t *size);

#endif
