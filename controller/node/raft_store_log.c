#include "controller/node/raft_store_log.h"

#include "common/assert.h"
#include "common/crc32c.h"
#include "common/mem.h"
#include "common/reader.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- segments -------------------------------------------------------------------------------------------------------- */

static struct log_segment *last_segment(struct store_log *log)
{
    struct list_node *node = list_last(&log->segments);
    return node ? CONTAINER_OF(node, struct log_segment, node) : NULL;
}

static void destroy_segment(struct log_segment *segment)
{
    if (list_is_linked(&segment->node)) list_remove(&segment->node);
    if (segment->file) env_file_unref(segment->file);
    mem_free(segment->positions);
    mem_free(segment);
}

struct log_segment *store_log_add_segment(struct store_log *log, const char *name, uint64_t generation, int64_t first_index)
{
    struct log_segment *segment = mem_alloc(sizeof *segment);
    segment->generation = generation;
    segment->first_index = first_index;
    (void)snprintf(segment->path, sizeof segment->path, "%s/%s", log->directory, name);
    list_push_back(&log->segments, &segment->node);
    return segment;
}

void store_log_add_position(struct log_segment *segment, int64_t position)
{
    if (segment->count == segment->capacity) {
        segment->capacity = segment->capacity ? 2 * segment->capacity : 64;
        segment->positions = mem_realloc(segment->positions, (size_t)segment->capacity, sizeof *segment->positions);
    }
    segment->positions[segment->count++] = position;
}

/* The file goes; an error leaves garbage that recovery skips. */
void store_log_drop_segment(struct store_log *log, struct log_segment *segment)
{
    enum err err = env_unlink(log->env, segment->path);
    if (err != ERR_OK) log_line(env_logger(log->env), LOG_WARN, "raft", "cannot remove %s: %s", segment->path, err_text(err));
    destroy_segment(segment);
}

int64_t store_log_bytes(const struct store_log *log)
{
    int64_t bytes = 0;
    LIST_FOR_EACH (&log->segments, node) bytes += CONTAINER_OF(node, struct log_segment, node)->size;
    return bytes;
}

size_t store_log_segment_count(const struct store_log *log)
{
    size_t count = 0;
    LIST_FOR_EACH (&log->segments, node) count++;
    return count;
}

void store_log_close(struct store_log *log)
{
    LIST_FOR_EACH (&log->segments, node) destroy_segment(CONTAINER_OF(node, struct log_segment, node));
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void add_file(struct store_log_commit *commit, struct env_file *file)
{
    for (size_t i = 0; i < commit->count; i++)
        if (commit->files[i] == file) return;
    ASSERT(commit->count < STORE_LOG_COMMIT_FILES_MAX);
    commit->files[commit->count++] = file;
}

/* *out is the new last one. */
static enum err begin_segment(struct store_log *log, bool is_restart, struct store_log_commit *commit, struct log_segment **out)
{
    char name[64];
    uint64_t generation = log->next_generation;
    (void)snprintf(name, sizeof name, "%020" PRId64 "-%010" PRIu64 ".log", log->next_index, generation);
    struct log_segment *segment = store_log_add_segment(log, name, generation, log->next_index);
    enum err err = env_open(log->env, segment->path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &segment->file);
    if (err != ERR_OK) {
        destroy_segment(segment);
        return err;
    }
    log->next_generation++;
    struct writer w;
    writer_init(&w, SEGMENT_HEADER_BYTES);
    writer_u32(&w, SEGMENT_MAGIC);
    writer_u16(&w, SEGMENT_VERSION);
    writer_u8(&w, is_restart);
    writer_u8(&w, 0);
    writer_i64(&w, (int64_t)generation);
    writer_i64(&w, log->next_index);
    writer_u32(&w, is_restart ? 0 : log->last_crc);
    writer_u32(&w, crc32c(writer_slice(&w)));
    ASSERT(writer_size(&w) == SEGMENT_HEADER_BYTES);
    struct slice header = writer_slice(&w);
    err = env_pwritev(log->env, segment->file, &header, 1, 0);
    segment->size = SEGMENT_HEADER_BYTES;
    if (is_restart) log->last_crc = 0;
    *out = segment;
    commit->has_names = true;
    writer_deinit(&w);
    return err;
}

/* Appends the frame to `w`; its crc is the next one's previous crc. */
static uint32_t write_frame(struct writer *w, const struct log_entry *entry, uint32_t previous_crc, int64_t durable_index)
{
    size_t start = writer_size(w);
    writer_u32(w, (uint32_t)(FRAME_HEADER_BYTES - 8 + entry->bytes->size));
    writer_u32(w, 0);
    writer_u32(w, previous_crc);
    writer_i64(w, entry->index);
    writer_i64(w, entry->term);
    writer_i64(w, durable_index);
    writer_u8(w, (uint8_t)entry->type);
    ASSERT(writer_size(w) - start == FRAME_HEADER_BYTES);
    writer_bytes(w, buf_slice(entry->bytes));
    struct slice all = writer_slice(w);
    uint32_t crc = crc32c(slice_make(all.p + start + 8, all.n - start - 8));
    writer_patch_i32(w, start + 4, (int32_t)crc);
    return crc;
}

enum err store_log_append(struct store_log *log, const struct log_entry *entries, size_t count, struct store_log_commit *commit)
{
    ASSERT(count > 0);
    ASSERT(entries[0].index == log->next_index);
    struct log_segment *segment = last_segment(log);
    if (!segment || segment->size >= SEGMENT_ROLL_BYTES) {
        enum err err = begin_segment(log, segment == NULL, commit, &segment);
        if (err != ERR_OK) return err;
    }
    struct writer w;
    writer_init(&w, 4096);
    int64_t durable_index = log->next_index - 1; /* by contract: everything before is */
    for (size_t i = 0; i < count; i++) {
        ASSERT(entries[i].index == log->next_index);
        store_log_add_position(segment, segment->size + (int64_t)writer_size(&w));
        log->last_crc = write_frame(&w, &entries[i], log->last_crc, durable_index);
        log->next_index++;
    }
    struct slice frames = writer_slice(&w);
    enum err err = env_pwritev(log->env, segment->file, &frames, 1, segment->size);
    segment->size += (int64_t)frames.n;
    writer_deinit(&w);
    add_file(commit, segment->file);
    return err;
}

/* The crc of the last frame that stays, from the frame after it; the store never keeps them all. */
static enum err read_previous_crc(struct store_log *log, struct log_segment *segment, int64_t position, uint32_t *crc)
{
    uint8_t bytes[FRAME_HEADER_BYTES];
    size_t got = 0;
    enum err err = env_pread_wait(log->env, segment->file, bytes, sizeof bytes, position, &got);
    if (err != ERR_OK) return err;
    if (got < sizeof bytes) return ERR_CORRUPT;
    struct reader r = reader_make(slice_make(bytes + 8, 4));
    *crc = reader_u32(&r);
    return ERR_OK;
}

enum err store_log_truncate(struct store_log *log, int64_t from, struct store_log_commit *commit)
{
    ASSERT(from < log->next_index);
    struct log_segment *segment = last_segment(log);
    while (segment && segment->first_index > from) {
        store_log_drop_segment(log, segment);
        commit->has_names = true;
        segment = last_segment(log);
    }
    ASSERT(segment); /* what is committed is never truncated, and the log reaches back that far */
    int64_t keep = from - segment->first_index;
    ASSERT(keep < segment->count);
    enum err err = read_previous_crc(log, segment, segment->positions[keep], &log->last_crc);
    if (err != ERR_OK) return err;
    segment->size = segment->positions[keep];
    segment->count = keep;
    err = env_truncate(log->env, segment->file, segment->size);
    if (err != ERR_OK) return err;
    add_file(commit, segment->file);
    log->next_index = from;
    err = begin_segment(log, false, commit, &segment);
    if (err == ERR_OK) add_file(commit, segment->file);
    return err;
}

enum err store_log_restart(struct store_log *log, int64_t after_index, struct store_log_commit *commit)
{
    ASSERT(after_index > 0);
    while (last_segment(log)) store_log_drop_segment(log, last_segment(log));
    log->next_index = after_index + 1;
    struct log_segment *segment = NULL;
    enum err err = begin_segment(log, true, commit, &segment);
    if (err == ERR_OK) add_file(commit, segment->file);
    return err;
}

void store_log_compact(struct store_log *log, int64_t index)
{
    LIST_FOR_EACH (&log->segments, node) {
        struct list_node *next = list_next(&log->segments, node);
        if (!next || CONTAINER_OF(next, struct log_segment, node)->first_index > index + 1) break;
        store_log_drop_segment(log, CONTAINER_OF(node, struct log_segment, node));
    }
}
