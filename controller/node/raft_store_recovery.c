/* Reading the log back: raft_store_log.h has the rules. Waits for the disk; runs once, at start. */
#include "common/assert.h"
#include "common/crc32c.h"
#include "common/mem.h"
#include "common/reader.h"
#include "controller/node/raft_store_log.h"
#include "controller/raft/raft_membership.h"

#include <inttypes.h>
#include <stdio.h>

struct recovery {
    struct store_log *log;
    const struct raft_snapshot *snapshot;
    struct raft_entry *entries;
    uint32_t *crcs; /* of each entry's frame */
    int64_t count, capacity;
    int64_t first_index; /* of entries[0] */
};

struct frame {
    uint32_t crc, previous_crc;
    int64_t index, term, durable_index;
    uint8_t type;
    struct slice bytes;
    int64_t size;
};

static bool parse_frame(struct slice bytes, struct frame *frame)
{
    struct reader r = reader_make(bytes);
    uint32_t length = reader_u32(&r);
    frame->crc = reader_u32(&r);
    if (!reader_ok(&r) || length < FRAME_HEADER_BYTES - 8 || length > r.left) return false;
    struct slice covered = {r.p, length};
    if (crc32c(covered) != frame->crc) return false;
    r = reader_make(covered);
    frame->previous_crc = reader_u32(&r);
    frame->index = reader_i64(&r);
    frame->term = reader_i64(&r);
    frame->durable_index = reader_i64(&r);
    frame->type = reader_u8(&r);
    frame->bytes = reader_bytes(&r, r.left);
    frame->size = 8 + (int64_t)length;
    return reader_ok(&r);
}

static bool is_valid_entry(const struct frame *frame)
{
    struct uuid cluster_id;
    struct raft_membership membership;
    if (frame->term < 1 || frame->index < 1) return false;
    if (frame->type == RAFT_ENTRY_VOTERS) return raft_membership_decode(frame->bytes, &cluster_id, &membership) == ERR_OK;
    return frame->type == RAFT_ENTRY_DATA || frame->type == RAFT_ENTRY_LEADER;
}

static int64_t next_index(const struct recovery *recovery) { return recovery->first_index + recovery->count; }

static void drop_from(struct recovery *recovery, int64_t keep)
{
    for (int64_t i = keep; i < recovery->count; i++) buf_unref(recovery->entries[i].bytes);
    recovery->count = keep;
}

static void add_entry(struct recovery *recovery, const struct frame *frame)
{
    if (recovery->count == recovery->capacity) {
        recovery->capacity = recovery->capacity ? 2 * recovery->capacity : 256;
        recovery->entries = mem_realloc(recovery->entries, (size_t)recovery->capacity, sizeof *recovery->entries);
        recovery->crcs = mem_realloc(recovery->crcs, (size_t)recovery->capacity, sizeof *recovery->crcs);
    }
    recovery->crcs[recovery->count] = frame->crc;
    recovery->entries[recovery->count++] =
        (struct raft_entry){.term = frame->term, .type = (enum raft_entry_type)frame->type, .bytes = buf_copy(frame->bytes)};
}

/* ---- finding the segments -------------------------------------------------------------------------------------------- */

static bool parse_number(const char **p, size_t digits, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < digits; i++, (*p)++) {
        if (**p < '0' || **p > '9') return false;
        if (__builtin_mul_overflow(*value, 10u, value) || __builtin_add_overflow(*value, (uint64_t)(**p - '0'), value)) return false;
    }
    return true;
}

static void find_segment(void *context, const char *name, bool is_directory)
{
    struct store_log *log = context;
    const char *p = name;
    uint64_t first, generation;
    if (is_directory || !parse_number(&p, 20, &first) || *p++ != '-' || !parse_number(&p, 10, &generation) || strcmp(p, ".log") != 0)
        return;
    struct log_segment *segment = store_log_add_segment(log, name, generation, (int64_t)first);
    struct list_node *before = segment->node.prev; /* keep the list in the order of the generations */
    list_remove(&segment->node);
    while (before != &log->segments.head && CONTAINER_OF(before, struct log_segment, node)->generation > generation) before = before->prev;
    list_insert_before(before->next, &segment->node);
}

static enum err read_file(struct store_log *log, struct log_segment *segment, struct buf **bytes)
{
    int64_t size = 0;
    enum err err = env_open(log->env, segment->path, ENV_OPEN_READ | ENV_OPEN_WRITE, &segment->file);
    if (err == ERR_OK) err = env_file_size(segment->file, &size);
    if (err != ERR_OK) return err;
    *bytes = buf_create((size_t)size);
    err = env_pread_wait(log->env, segment->file, (*bytes)->data, (size_t)size, 0, &(*bytes)->size);
    if (err != ERR_OK) buf_unref(*bytes);
    return err;
}

/* ---- one segment ----------------------------------------------------------------------------------------------------- */

static enum err corrupt(struct recovery *recovery, const struct log_segment *segment, int64_t position, const char *what)
{
    log_line(env_logger(recovery->log->env), LOG_ERROR, "raft",
             "%s: %s at byte %" PRId64 "; acknowledged metadata is lost on this disk: empty the directory, and the node catches up "
             "from the others",
             segment->path, what, position);
    return ERR_CORRUPT;
}

/* A frame behind the damage that was written when the damaged place was durable. */
static bool has_acknowledged_frame(struct slice bytes, int64_t damaged_index)
{
    struct frame frame;
    for (size_t at = 0; at + FRAME_HEADER_BYTES <= bytes.n; at++)
        if (parse_frame(slice_make(bytes.p + at, bytes.n - at), &frame) && frame.durable_index >= damaged_index) return true;
    return false;
}

struct header {
    bool is_restart;
    int64_t first_index;
    uint32_t previous_crc;
};

static bool parse_header(struct slice bytes, const struct log_segment *segment, struct header *header)
{
    if (bytes.n < SEGMENT_HEADER_BYTES) return false;
    struct reader r = reader_make(slice_make(bytes.p, SEGMENT_HEADER_BYTES));
    uint32_t magic = reader_u32(&r);
    uint16_t version = reader_u16(&r);
    header->is_restart = reader_u8(&r) != 0;
    (void)reader_u8(&r);
    uint64_t generation = (uint64_t)reader_i64(&r);
    header->first_index = reader_i64(&r);
    header->previous_crc = reader_u32(&r);
    uint32_t crc = reader_u32(&r);
    return magic == SEGMENT_MAGIC && version == SEGMENT_VERSION && generation == segment->generation &&
           header->first_index == segment->first_index && header->first_index > 0 &&
           crc == crc32c(slice_make(bytes.p, SEGMENT_HEADER_BYTES - 4));
}

/* Where this segment takes over from the ones before. */
static enum err take_over(struct recovery *recovery, const struct log_segment *segment, const struct header *header)
{
    int64_t first = header->first_index;
    bool is_gap = recovery->count > 0 && (first > next_index(recovery) || first < recovery->first_index);
    if (header->is_restart || recovery->count == 0 || (is_gap && first <= recovery->snapshot->index + 1)) {
        drop_from(recovery, 0);
        recovery->first_index = first;
        recovery->log->last_crc = header->previous_crc;
        return ERR_OK;
    }
    if (is_gap) return corrupt(recovery, segment, 0, "entries are missing before this segment");
    drop_from(recovery, first - recovery->first_index);
    if (recovery->count > 0 && recovery->crcs[recovery->count - 1] != header->previous_crc)
        return corrupt(recovery, segment, 0, "it does not continue what is before it");
    recovery->log->last_crc = header->previous_crc;
    return ERR_OK;
}

static enum err read_frames(struct recovery *recovery, struct log_segment *segment, struct slice bytes)
{
    int64_t position = SEGMENT_HEADER_BYTES, size = (int64_t)bytes.n;
    while (position < size) {
        struct frame frame;
        struct slice rest = {bytes.p + position, bytes.n - (size_t)position};
        bool is_next = parse_frame(rest, &frame) && frame.index == next_index(recovery) && frame.previous_crc == recovery->log->last_crc &&
                       is_valid_entry(&frame);
        if (!is_next) break;
        store_log_add_position(segment, position);
        add_entry(recovery, &frame);
        recovery->log->last_crc = frame.crc;
        position += frame.size;
    }
    segment->size = position;
    if (position == size) return ERR_OK;
    struct slice rest = {bytes.p + position, bytes.n - (size_t)position};
    if (has_acknowledged_frame(rest, next_index(recovery))) return corrupt(recovery, segment, position, "a damaged entry");
    log_line(env_logger(recovery->log->env), LOG_INFO, "raft", "%s: cut %" PRId64 " bytes of an unfinished write after entry %" PRId64,
             segment->path, size - position, next_index(recovery) - 1);
    return env_truncate(recovery->log->env, segment->file, position);
}

static enum err read_segment(struct recovery *recovery, struct log_segment *segment)
{
    struct buf *bytes = NULL;
    enum err err = read_file(recovery->log, segment, &bytes);
    if (err != ERR_OK) return err;
    struct header header;
    bool is_last = list_next(&recovery->log->segments, &segment->node) == NULL;
    if (parse_header(buf_slice(bytes), segment, &header)) {
        err = take_over(recovery, segment, &header);
        if (err == ERR_OK) err = read_frames(recovery, segment, buf_slice(bytes));
    } else if (!is_last || has_acknowledged_frame(buf_slice(bytes), segment->first_index)) {
        err = corrupt(recovery, segment, 0, "a damaged header");
    } else { /* its creation was never finished */
        store_log_drop_segment(recovery->log, segment);
    }
    buf_unref(bytes);
    return err;
}

/* ---- all of them ----------------------------------------------------------------------------------------------------- */

/* Segments that later generations took over from their first index on. */
static void drop_replaced(struct recovery *recovery)
{
    int64_t from = INT64_MAX;
    for (struct list_node *node = list_last(&recovery->log->segments), *before; node; node = before) {
        before = node->prev == &recovery->log->segments.head ? NULL : node->prev;
        struct log_segment *segment = CONTAINER_OF(node, struct log_segment, node);
        bool is_replaced = segment->first_index >= from || segment->first_index < recovery->first_index;
        if (is_replaced) {
            store_log_drop_segment(recovery->log, segment);
            continue;
        }
        if (segment->first_index + segment->count > from) {
            segment->size = segment->positions[from - segment->first_index];
            segment->count = from - segment->first_index;
        }
        from = segment->first_index;
    }
}

/* The log must reach from the snapshot on; one that ends before it, or parts from it, is of no use any more. */
static enum err fit_to_snapshot(struct recovery *recovery)
{
    int64_t snapshot_index = recovery->snapshot->index;
    if (recovery->count > 0 && recovery->first_index > snapshot_index + 1) {
        log_line(env_logger(recovery->log->env), LOG_ERROR, "raft",
                 "%s: the log begins at entry %" PRId64 ", the snapshot ends at %" PRId64
                 ": empty the directory, and the node catches up from the others",
                 recovery->log->directory, recovery->first_index, snapshot_index);
        return ERR_CORRUPT;
    }
    if (snapshot_index == 0) return ERR_OK;
    int64_t at = snapshot_index - recovery->first_index;
    bool is_joined = at == -1 || (at >= 0 && at < recovery->count && recovery->entries[at].term == recovery->snapshot->term);
    if (is_joined && list_first(&recovery->log->segments)) return ERR_OK;
    drop_from(recovery, 0);
    recovery->first_index = snapshot_index + 1;
    struct store_log_commit commit = {0};
    return store_log_restart(recovery->log, snapshot_index, &commit);
}

static enum err recover(struct recovery *recovery)
{
    struct store_log *log = recovery->log;
    enum err err = env_list(log->env, log->directory, find_segment, log);
    LIST_FOR_EACH (&log->segments, node) {
        struct log_segment *segment = CONTAINER_OF(node, struct log_segment, node);
        if (segment->generation >= log->next_generation) log->next_generation = segment->generation + 1;
        if (err == ERR_OK) err = read_segment(recovery, segment);
    }
    if (err != ERR_OK) return err;
    drop_replaced(recovery);
    err = fit_to_snapshot(recovery);
    log->next_index = next_index(recovery);
    return err;
}

enum err store_log_open(struct store_log *log, struct env *env, const char *directory, const struct raft_snapshot *snapshot,
                        struct raft_entry **entries, int64_t *first_index, int64_t *count)
{
    *log = (struct store_log){.env = env, .directory = directory, .next_index = snapshot->index + 1, .next_generation = 1};
    list_init(&log->segments);
    struct recovery recovery = {.log = log, .snapshot = snapshot, .first_index = snapshot->index + 1};
    enum err err = recover(&recovery);
    mem_free(recovery.crcs);
    if (err != ERR_OK) {
        drop_from(&recovery, 0);
        mem_free(recovery.entries);
        store_log_close(log);
        return err;
    }
    *entries = recovery.entries;
    *first_index = recovery.first_index;
    *count = recovery.count;
    return ERR_OK;
}
