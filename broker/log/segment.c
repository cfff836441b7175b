#include "broker/log/segment.h"

#include "broker/log/checkpoint.h"
#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#include <stdio.h>

/* Index files are at most segment.index.bytes, which Kafka lets be any int32; one this large is not ours. */
#define INDEX_FILE_BYTES_MAX ((int64_t)64 * 1024 * 1024)
/* Space is reserved ahead in steps, but not for logs that stay small, and never more than a half of what is there. */
#define ALLOCATE_FROM     ((int64_t)4 * 1024 * 1024)
#define ALLOCATE_STEP_MAX ((int64_t)32 * 1024 * 1024)

char *segment_path(const char *directory, int64_t base_offset, const char *suffix)
{
    size_t size = strlen(directory) + strlen(suffix) + 24;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%020lld%s", directory, (long long)base_offset, suffix);
    return path;
}

/* ---- life, file ---------------------------------------------------------------------------------------------------- */

static void close_file(struct segment *segment)
{
    env_file_unref(segment->file);
    segment->file = NULL;
}

static void unload_index(struct segment *segment)
{
    segment_index_deinit(&segment->index);
    segment->is_index_loaded = false;
}

static void on_evict(struct file_cache_entry *entry)
{
    struct segment *segment = CONTAINER_OF(entry, struct segment, cached);
    ASSERT(!segment->is_dirty);
    file_cache_remove(&segment->shared->files, entry);
    close_file(segment);
    if (segment->is_closed) unload_index(segment);
}

struct segment *segment_create(struct plog_shared *shared, const char *directory, int64_t base_offset)
{
    ASSERT(base_offset >= 0);
    struct segment *segment = mem_alloc(sizeof *segment);
    *segment = (struct segment){.shared = shared,
                                .directory = directory,
                                .base_offset = base_offset,
                                .next_offset = base_offset,
                                .first_timestamp_ms = -1,
                                .max_timestamp_ms = -1,
                                .max_timestamp_last = -1,
                                .appended_us = -1,
                                .is_index_loaded = true,
                                .index_state = SEGMENT_INDEX_DURABLE};
    segment->cached.evict = on_evict;
    segment_index_init(&segment->index);
    return segment;
}

void segment_destroy(struct segment *segment)
{
    file_cache_remove(&segment->shared->files, &segment->cached);
    close_file(segment);
    segment_index_deinit(&segment->index);
    mem_free(segment);
}

/* Tells the cache what the segment holds that can be given back. A dirty segment keeps its descriptor: the kernel reports a
 * failed write-back to descriptors that were open when it happened. */
static void update_cache(struct segment *segment)
{
    struct file_cache *cache = &segment->shared->files;
    size_t index_bytes = segment->is_closed && segment->is_index_loaded ? segment_index_bytes(&segment->index) : 0;
    if (segment->is_dirty || (!segment->file && index_bytes == 0))
        file_cache_remove(cache, &segment->cached);
    else
        file_cache_use(cache, &segment->cached, segment->file != NULL, index_bytes);
}

static enum err open_log_file(struct segment *segment, bool may_create, bool *is_created)
{
    char *path = segment_path(segment->directory, segment->base_offset, ".log");
    enum err err = env_open(segment->shared->env, path, ENV_OPEN_READ | ENV_OPEN_WRITE, &segment->file);
    if (err == ERR_NOT_FOUND && may_create) {
        err = env_open(segment->shared->env, path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &segment->file);
        *is_created = err == ERR_OK;
    }
    mem_free(path);
    return err;
}

enum err segment_open(struct segment *segment, bool may_create, bool *is_created, struct env_file **file)
{
    *is_created = false;
    if (!segment->file) {
        enum err err = open_log_file(segment, may_create, is_created);
        if (err) return err;
    }
    update_cache(segment);
    *file = segment->file;
    return ERR_OK;
}

void segment_close_file(struct segment *segment)
{
    close_file(segment);
    update_cache(segment);
}

void segment_mark_dirty(struct segment *segment, bool is_dirty)
{
    segment->is_dirty = is_dirty;
    update_cache(segment);
}

void segment_replace_file(struct segment *segment, struct env_file *file)
{
    close_file(segment);
    segment->file = file;
    segment->published = 0;
    segment->allocated = 0;
    update_cache(segment);
}

enum err segment_reserve(struct segment *segment, int64_t size, int64_t segment_bytes)
{
    ASSERT(segment->file != NULL);
    int64_t end = segment->size + size;
    if (end < ALLOCATE_FROM || end <= segment->allocated || segment->size >= segment_bytes) return ERR_OK;
    int64_t until = min_i64(end + min_i64(ALLOCATE_STEP_MAX, end / 2), max_i64(segment_bytes, end));
    enum err err = env_allocate(segment->shared->env, segment->file, segment->size, until - segment->size);
    /* Not enough for the step may be enough for the write. */
    segment->allocated = err ? end : until;
    return err == ERR_NO_SPACE ? ERR_OK : err;
}

/* ---- batches ------------------------------------------------------------------------------------------------------- */

static uint32_t relative_of(const struct segment *segment, int64_t offset)
{
    ASSERT(offset >= segment->base_offset);
    return (uint32_t)min_i64(offset - segment->base_offset, SEGMENT_POSITION_MAX);
}

/* The same rule as Kafka's, so that both write the same index: an entry before the batch that follows an interval. */
static void add_index_entries(struct segment *segment, int64_t last_offset)
{
    segment_index_add_offset(&segment->index, relative_of(segment, last_offset), (uint32_t)segment->size);
    if (segment->max_timestamp_ms >= 0)
        segment_index_add_time(&segment->index, segment->max_timestamp_ms, relative_of(segment, segment->max_timestamp_last));
    segment->bytes_since_index = 0;
}

static void note_timestamp(struct segment *segment, const struct record_batch *head)
{
    if (head->max_timestamp <= segment->max_timestamp_ms) return;
    segment->max_timestamp_ms = head->max_timestamp;
    segment->max_timestamp_last = record_batch_last_offset(head);
}

bool segment_note_plain(struct segment *segment, int64_t position, const struct record_batch *head, size_t size)
{
    if (record_batch_compression(head) == COMPRESSION_ZSTD) return false;
    if (segment->plain_end == position) segment->plain_end += (int64_t)size;
    return true;
}

void segment_add(struct segment *segment, const struct record_batch *head, size_t size, int64_t index_interval_bytes)
{
    int64_t last_offset = record_batch_last_offset(head);
    ASSERT(!segment->is_closed && segment->is_index_loaded);
    ASSERT(head->base_offset >= segment->next_offset && segment->size + (int64_t)size <= SEGMENT_POSITION_MAX);
    if (segment->size == 0) segment->first_timestamp_ms = head->max_timestamp;
    note_timestamp(segment, head);
    if (segment->bytes_since_index > index_interval_bytes) add_index_entries(segment, last_offset);
    (void)segment_note_plain(segment, segment->size, head, size);
    segment->size += (int64_t)size;
    segment->bytes_since_index += (int64_t)size;
    segment->next_offset = last_offset + 1;
}

/* The largest timestamp is the last time entry's, or one of a batch behind the last index entry. */
enum err segment_read_rest_wait(struct segment *segment, int64_t *next_offset)
{
    const struct segment_index *index = &segment->index;
    const struct time_entry *last = index->time_count ? &index->times[index->time_count - 1] : NULL;
    int64_t position = index->offset_count ? index->offsets[index->offset_count - 1].position : 0;
    segment->max_timestamp_ms = last ? last->timestamp_ms : -1;
    segment->max_timestamp_last = last ? segment->base_offset + last->relative : -1;
    segment->bytes_since_index = segment->size - position;

    struct segment_cursor cursor;
    segment_cursor_init(&cursor, segment, SEGMENT_CHUNK_LOOKUP, true);
    enum err err = ERR_OK;
    while (!err && position < segment->size) {
        struct record_batch head;
        size_t size = 0;
        err = segment_cursor_head(&cursor, position, &head, &size);
        if (err) break;
        note_timestamp(segment, &head);
        *next_offset = record_batch_next_offset(&head);
        position += (int64_t)size;
    }
    segment_cursor_deinit(&cursor);
    return err;
}

enum err segment_cut_wait(struct segment *segment, int64_t position, int64_t next_offset)
{
    ASSERT(position <= segment->size && segment->is_index_loaded);
    ASSERT(next_offset >= segment->base_offset);
    segment->size = position;
    segment->plain_end = min_i64(segment->plain_end, position);
    segment->next_offset = next_offset;
    segment->is_closed = false;
    segment->allocated = 0;
    segment->index_state = SEGMENT_INDEX_DURABLE;
    segment_index_truncate(&segment->index, relative_of(segment, next_offset), (uint32_t)position);
    if (position == 0) segment->first_timestamp_ms = -1;
    update_cache(segment);
    int64_t end_of_batches = 0;
    return segment_read_rest_wait(segment, &end_of_batches);
}

/* ---- index files --------------------------------------------------------------------------------------------------- */

static enum err write_file(struct segment *segment, const char *suffix, struct slice bytes, struct file_set *unsynced)
{
    struct env *env = segment->shared->env;
    struct env_file *file = NULL;
    char *path = segment_path(segment->directory, segment->base_offset, suffix);
    enum err err = env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (!err && bytes.n) err = env_pwritev(env, file, &bytes, 1, 0);
    if (!err) file_set_add_file(unsynced, file);
    env_file_unref(file);
    if (err == ERR_NO_SPACE) {
        err = env_unlink(env, path);
        if (err == ERR_NOT_FOUND) err = ERR_OK;
    }
    mem_free(path);
    file_set_add_directory(unsynced, segment->directory);
    return err;
}

enum err segment_write_index(struct segment *segment, struct file_set *unsynced)
{
    ASSERT(segment->is_index_loaded);
    struct writer w;
    writer_init(&w, segment_index_bytes(&segment->index));
    segment_index_write_offsets(&segment->index, &w);
    enum err err = write_file(segment, ".index", writer_slice(&w), unsynced);
    writer_deinit(&w);
    if (err) return err;
    writer_init(&w, segment_index_bytes(&segment->index));
    segment_index_write_times(&segment->index, &w);
    err = write_file(segment, ".timeindex", writer_slice(&w), unsynced);
    writer_deinit(&w);
    segment->index_state = SEGMENT_INDEX_WRITTEN;
    return err;
}

void segment_finish_index(struct segment *segment)
{
    ASSERT(segment->is_index_loaded);
    if (segment->max_timestamp_ms >= 0)
        segment_index_add_time(&segment->index, segment->max_timestamp_ms, relative_of(segment, segment->max_timestamp_last));
}

enum err segment_give_back(struct segment *segment)
{
    struct env_file *file = NULL;
    bool is_created = false;
    /* Also when another process reserved it, which left no note. */
    if (segment->size < ALLOCATE_FROM) return ERR_OK;
    segment->allocated = 0;
    enum err err = segment_open(segment, false, &is_created, &file);
    return err ? err : env_truncate(segment->shared->env, file, segment->size);
}

enum err segment_close(struct segment *segment, int64_t now_ms, struct file_set *unsynced)
{
    ASSERT(!segment->is_closed && segment->size > 0);
    enum err err = segment_give_back(segment);
    if (err) return err;
    segment_finish_index(segment);
    err = segment_write_index(segment, unsynced);
    if (err) return err;
    segment->is_closed = true;
    segment->closed_ms = now_ms;
    update_cache(segment);
    return ERR_OK;
}

static enum err read_file_wait(struct segment *segment, const char *suffix, struct buf **out)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%020lld%s", (long long)segment->base_offset, suffix);
    return file_read_wait(segment->shared->env, segment->directory, name, (size_t)INDEX_FILE_BYTES_MAX, out);
}

/* The last `entry_bytes` of a file of whole entries; zero bytes for an empty one. */
static enum err read_last_wait(struct segment *segment, const char *suffix, size_t entry_bytes, uint8_t *entry, bool *is_empty)
{
    struct env *env = segment->shared->env;
    struct env_file *file = NULL;
    int64_t size = 0;
    size_t got = 0;
    char *path = segment_path(segment->directory, segment->base_offset, suffix);
    enum err err = env_open(env, path, ENV_OPEN_READ, &file);
    mem_free(path);
    if (err) return err;
    err = env_file_size(file, &size);
    *is_empty = size == 0;
    if (!err && size % (int64_t)entry_bytes != 0) err = ERR_CORRUPT;
    if (!err && size > 0) err = env_pread_wait(env, file, entry, entry_bytes, size - (int64_t)entry_bytes, &got);
    if (!err && size > 0 && got < entry_bytes) err = ERR_CORRUPT;
    env_file_unref(file);
    return err;
}

enum err segment_check_index_wait(struct segment *segment, bool *is_good)
{
    uint8_t offset_entry[OFFSET_INDEX_ENTRY_BYTES] = {0}, time_entry[TIME_INDEX_ENTRY_BYTES] = {0};
    bool no_offsets = true, no_times = true;
    *is_good = false;
    enum err err = read_last_wait(segment, ".index", sizeof offset_entry, offset_entry, &no_offsets);
    if (!err) err = read_last_wait(segment, ".timeindex", sizeof time_entry, time_entry, &no_times);
    if (err) return err == ERR_IO ? err : ERR_OK;
    if (!no_offsets) {
        struct reader r = reader_make(slice_make(offset_entry, sizeof offset_entry));
        int32_t relative = reader_i32(&r), position = reader_i32(&r);
        if (relative < 0 || position < 0 || position >= segment->size) return ERR_OK;
    }
    if (!no_times) {
        struct reader r = reader_make(slice_make(time_entry, sizeof time_entry));
        segment->max_timestamp_ms = reader_i64(&r);
        int32_t relative = reader_i32(&r);
        if (relative < 0) return ERR_OK;
        segment->max_timestamp_last = segment->base_offset + relative;
    }
    *is_good = true;
    return ERR_OK;
}

enum err segment_read_index_wait(struct segment *segment, bool *is_good)
{
    struct buf *offsets = NULL, *times = NULL;
    enum err err = read_file_wait(segment, ".index", &offsets);
    if (!err) err = read_file_wait(segment, ".timeindex", &times);
    *is_good = !err && segment_index_parse(&segment->index, buf_slice(offsets), buf_slice(times), segment->size);
    segment->is_index_loaded = *is_good;
    if (*is_good && segment->index.time_count) {
        const struct time_entry *last = &segment->index.times[segment->index.time_count - 1];
        segment->max_timestamp_ms = last->timestamp_ms;
        segment->max_timestamp_last = segment->base_offset + last->relative;
    }
    buf_unref(offsets);
    buf_unref(times);
    update_cache(segment);
    return err == ERR_IO ? ERR_IO : ERR_OK;
}

static enum err read_file_now(struct segment *segment, const char *suffix, struct plog_want *want, struct buf **out)
{
    struct env *env = segment->shared->env;
    struct env_file *file = NULL;
    int64_t size = 0;
    char *path = segment_path(segment->directory, segment->base_offset, suffix);
    enum err err = env_open(env, path, ENV_OPEN_READ, &file);
    mem_free(path);
    if (err) return err;
    err = env_file_size(file, &size);
    if (!err && size > INDEX_FILE_BYTES_MAX) err = ERR_LIMIT;
    if (!err) {
        struct buf *buf = buf_create((size_t)size);
        err = env_pread_now(env, file, buf->data, (size_t)size, 0, &buf->size);
        if (err)
            buf_unref(buf);
        else
            *out = buf;
    }
    if (err == ERR_AGAIN) *want = (struct plog_want){.file = env_file_ref(file), .size = (size_t)size};
    env_file_unref(file);
    return err;
}

enum err segment_load_index(struct segment *segment, struct plog_want *want)
{
    if (segment->is_index_loaded) return ERR_OK;
    ASSERT(segment->is_closed);
    struct buf *offsets = NULL, *times = NULL;
    enum err err = read_file_now(segment, ".index", want, &offsets);
    if (!err) err = read_file_now(segment, ".timeindex", want, &times);
    /* Without an index every search walks from the start; the next start of the node makes a new one. */
    bool is_good = !err && segment_index_parse(&segment->index, buf_slice(offsets), buf_slice(times), segment->size);
    buf_unref(offsets);
    buf_unref(times);
    if (err && err != ERR_NOT_FOUND) return err;
    if (!is_good) env_mark(segment->shared->env, "log: a closed segment has no index");
    segment->is_index_loaded = true;
    update_cache(segment);
    return ERR_OK;
}
