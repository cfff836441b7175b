/* Walking the batch headers of a segment. */
#include "broker/log/segment.h"
#include "common/assert.h"
#include "common/checked.h"

void segment_cursor_init(struct segment_cursor *cursor, struct segment *segment, size_t chunk_capacity, bool may_wait)
{
    ASSERT(chunk_capacity >= RECORD_BATCH_HEADER);
    *cursor =
        (struct segment_cursor){.segment = segment, .may_wait = may_wait, .chunk_capacity = chunk_capacity, .want_size = chunk_capacity};
}

void segment_cursor_deinit(struct segment_cursor *cursor)
{
    buf_unref(cursor->chunk);
    cursor->chunk = NULL;
}

static enum err fill(struct segment_cursor *cursor, int64_t position)
{
    struct env *env = cursor->segment->shared->env;
    struct env_file *file = NULL;
    bool is_created = false;
    enum err err = segment_open(cursor->segment, false, &is_created, &file);
    if (err) return err;
    if (!cursor->chunk) cursor->chunk = buf_create(cursor->chunk_capacity);
    cursor->chunk_at = position;
    cursor->chunk->size = 0;
    if (cursor->may_wait) return env_pread_wait(env, file, cursor->chunk->data, cursor->chunk_capacity, position, &cursor->chunk->size);
    err = env_pread_now(env, file, cursor->chunk->data, cursor->chunk_capacity, position, &cursor->chunk->size);
    if (err == ERR_AGAIN) {
        ASSERT(cursor->want != NULL && cursor->want->file == NULL);
        size_t size = max_size(cursor->want_size, cursor->chunk_capacity);
        *cursor->want = (struct plog_want){.file = env_file_ref(file), .position = position, .size = size};
    }
    return err;
}

enum err segment_cursor_bytes(struct segment_cursor *cursor, int64_t position, size_t size, struct slice *bytes)
{
    ASSERT(size <= cursor->chunk_capacity && position >= 0);
    int64_t chunk_end = cursor->chunk ? cursor->chunk_at + (int64_t)cursor->chunk->size : 0;
    if (position < cursor->chunk_at || position + (int64_t)size > chunk_end) {
        enum err err = fill(cursor, position);
        if (err) return err;
        if (cursor->chunk->size < size) return ERR_NOT_FOUND;
    }
    *bytes = slice_make(cursor->chunk->data + (position - cursor->chunk_at), size);
    return ERR_OK;
}

/* What the rest of the code may rely on without looking again. */
static bool is_head_sane(const struct segment *segment, const struct record_batch *head)
{
    int64_t last = 0;
    if (head->base_offset < segment->base_offset || head->last_offset_delta < 0 || head->partition_leader_epoch < 0) return false;
    return checked_add_i64(head->base_offset, head->last_offset_delta, &last) && last - segment->base_offset <= SEGMENT_POSITION_MAX;
}

enum err segment_cursor_head(struct segment_cursor *cursor, int64_t position, struct record_batch *head, size_t *size)
{
    return segment_cursor_head_within(cursor, position, cursor->segment->size, head, size);
}

enum err segment_cursor_head_within(struct segment_cursor *cursor, int64_t position, int64_t end, struct record_batch *head, size_t *size)
{
    struct slice bytes = SLICE_NULL;
    ASSERT(position < end);
    enum err err = segment_cursor_bytes(cursor, position, RECORD_BATCH_HEADER, &bytes);
    if (err) return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    err = record_batch_parse_header(bytes, head, size);
    if (err || !is_head_sane(cursor->segment, head)) return ERR_CORRUPT;
    return position + (int64_t)*size <= end ? ERR_OK : ERR_CORRUPT;
}

enum err segment_cursor_seek(struct segment_cursor *cursor, int64_t offset, int64_t *position, struct record_batch *head, size_t *size)
{
    struct segment *segment = cursor->segment;
    ASSERT(segment->is_index_loaded);
    int64_t relative = max_i64(0, min_i64(offset - segment->base_offset, SEGMENT_POSITION_MAX));
    int64_t at = segment_index_floor(&segment->index, (uint32_t)relative);
    while (at < segment->size) {
        enum err err = segment_cursor_head(cursor, at, head, size);
        if (err) return err;
        if (record_batch_last_offset(head) >= offset) {
            *position = at;
            return ERR_OK;
        }
        at += (int64_t)*size;
    }
    return ERR_NOT_FOUND;
}
