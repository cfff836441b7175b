/* Life of a log: creation, its directory, its segments, rolling. */
#include "broker/log/log_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>

#define INDEX_CACHE_BYTES ((size_t)32 * 1024 * 1024) /* indexes of closed segments of all logs of a node */

const struct plog_config plog_config_default = {
    .segment_bytes = 1024LL * 1024 * 1024,
    .segment_ms = 7LL * 24 * 3600 * 1000,
    .segment_index_bytes = 10LL * 1024 * 1024,
    .index_interval_bytes = 4096,
    .producer_id_expiration_ms = 24LL * 3600 * 1000,
};

void plog_shared_init(struct plog_shared *shared, struct env *env, uint32_t files_max, size_t tail_bytes_max)
{
    shared->env = env;
    file_cache_init(&shared->files, files_max, INDEX_CACHE_BYTES);
    tail_cache_init(&shared->tails, tail_bytes_max);
}

void plog_shared_deinit(struct plog_shared *shared)
{
    file_cache_deinit(&shared->files);
    tail_cache_deinit(&shared->tails);
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

bool plog_parse_name(struct slice name, struct slice *topic, int32_t *partition)
{
    size_t dash = name.n;
    while (dash > 0 && name.p[dash - 1] != '-') dash--;
    if (dash < 2 || dash == name.n) return false;
    struct slice number = slice_make(name.p + dash, name.n - dash);
    int64_t value = 0;
    /* "-5" in "a--5" is topic "a-", partition 5; a leading zero is nobody's. */
    if (number.p[0] < '0' || number.p[0] > '9' || (number.p[0] == '0' && number.n > 1)) return false;
    *topic = slice_make(name.p, dash - 1);
    return str_parse_i64(number, &value) && checked_narrow_i32(value, partition);
}

static char *join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s", directory, name);
    return path;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

struct plog *plog_alloc(struct plog_shared *shared, const char *log_dir, const char *name, const struct plog_config *config)
{
    struct plog *log = mem_alloc(sizeof *log);
    struct slice topic = SLICE_NULL;
    bool is_name = plog_parse_name(slice_str(name), &topic, &log->partition);
    ASSERT(is_name);
    log->shared = shared;
    log->log_dir = mem_strdup(log_dir);
    log->name = mem_strdup(name);
    log->directory = join(log_dir, name);
    log->topic = mem_strndup((const char *)topic.p, topic.n);
    log->config = *config;
    log->references = 1;
    log->epochs_missing = INT64_MAX;
    tail_init(&log->tail, &shared->tails);
    epoch_cache_init(&log->epochs);
    producer_state_init(&log->producers, env_random64(shared->env));
    file_set_init(&log->unsynced);
    file_set_init(&log->flushing);
    list_init(&log->removals);
    return log;
}

struct plog *plog_create(struct plog_shared *shared, const char *log_dir, const char *topic, int32_t partition, struct uuid topic_id,
                         const struct plog_config *config)
{
    char name[TOPIC_NAME_MAX + 16];
    ASSERT(partition >= 0 && strlen(topic) <= TOPIC_NAME_MAX);
    (void)snprintf(name, sizeof name, "%s-%d", topic, partition);
    struct plog *log = plog_alloc(shared, log_dir, name, config);
    log->topic_id = topic_id;
    (void)plog_push_segment(log, 0);
    plog_invariants(log);
    return log;
}

void plog_ref(struct plog *log)
{
    ASSERT(log->references > 0);
    log->references++;
}

void plog_unref(struct plog *log)
{
    ASSERT(log->references > 0);
    if (--log->references > 0) return;
    ASSERT(!log->is_flushing && !log->epochs_write && !log->is_removing && log->truncation == TRUNCATION_NONE);
    for (struct list_node *node; (node = list_pop_front(&log->removals));) mem_free(CONTAINER_OF(node, struct removal, node));
    for (uint32_t i = 0; i < log->segment_count; i++) segment_destroy(log->segments[i]);
    mem_free(log->segments);
    mem_free(log->snapshots);
    tail_deinit(&log->tail);
    epoch_cache_deinit(&log->epochs);
    producer_state_deinit(&log->producers);
    file_set_deinit(&log->unsynced);
    file_set_deinit(&log->flushing);
    mem_free(log->deletion);
    mem_free(log->topic);
    mem_free(log->directory);
    mem_free(log->name);
    mem_free(log->log_dir);
    mem_free(log);
}

void plog_destroy(struct plog *log)
{
    tail_truncate(&log->tail, INT64_MIN);
    plog_unref(log);
}

void plog_abandon(struct plog *log)
{
    if (log->epochs_write) file_replace_abandon(&log->epochs_write->replace);
    mem_free(log->epochs_write);
    log->epochs_write = NULL;
    env_file_unref(log->truncation_copy);
    log->is_flushing = log->is_removing = false;
    log->truncation = TRUNCATION_NONE;
    log->references = 1;
    plog_unref(log);
}

enum err plog_close_clean(struct plog *log)
{
    if (plog_is_busy(log) || log->is_flushing || log->epochs_write) return ERR_AGAIN;
    struct segment *active = plog_active(log);
    struct env *env = log->shared->env;
    if (log->is_failed) return ERR_IO;
    if (!log->has_directory) return ERR_OK;
    enum err err = ERR_OK;
    if (active->size > 0) {
        segment_finish_index(active);
        err = segment_give_back(active);
        if (!err) err = segment_write_index(active, &log->unsynced);
        if (!err) err = plog_write_snapshot(log);
    }
    struct writer w;
    writer_init(&w, 64);
    epoch_cache_write(&log->epochs, &w);
    if (!err && log->epochs_missing != INT64_MAX) err = file_replace_wait(env, log->directory, LEADER_EPOCH_FILE, writer_slice(&w));
    writer_deinit(&w);
    if (err) return plog_check(log, err);
    log->epochs_missing = INT64_MAX;

    struct plog_flush flush;
    struct file_set set;
    file_set_init(&set);
    if (plog_flush_begin(log, &set, &flush)) {
        err = file_set_commit_wait(&set, env);
        (void)plog_flush_done(log, &flush, err);
    }
    file_set_deinit(&set);
    ASSERT_IMPLIES(!log->is_failed, log->flushed_end == plog_end(log));
    return log->is_failed ? ERR_IO : ERR_OK;
}

void plog_fail(struct plog *log, enum err err)
{
    if (!log->is_failed && !log->is_deleted)
        log_line(env_logger(log->shared->env), LOG_ERROR, "log", "%s: %s: taking it offline", log->directory, err_text(err));
    log->is_failed = true;
}

enum err plog_check(struct plog *log, enum err err)
{
    if (err == ERR_OK || err == ERR_NO_SPACE || err == ERR_AGAIN) return err;
    plog_fail(log, err);
    return ERR_IO;
}

/* ---- accessors ----------------------------------------------------------------------------------------------------- */

void plog_configure(struct plog *log, const struct plog_config *config) { log->config = *config; }
const char *plog_name(const struct plog *log) { return log->name; }
struct uuid plog_topic_id(const struct plog *log) { return log->topic_id; }
int64_t plog_start(const struct plog *log) { return log->start; }
int64_t plog_end(const struct plog *log) { return plog_active(log)->next_offset; }
int64_t plog_flushed_end(const struct plog *log) { return log->flushed_end; }
bool plog_is_failed(const struct plog *log) { return log->is_failed; }
bool plog_is_busy(const struct plog *log) { return log->truncation != TRUNCATION_NONE; }

int64_t plog_size(const struct plog *log)
{
    int64_t size = 0;
    for (uint32_t i = 0; i < log->segment_count; i++) size += log->segments[i]->size;
    return size;
}

int32_t plog_last_epoch(const struct plog *log) { return epoch_cache_last(&log->epochs); }
int32_t plog_epoch_at(const struct plog *log, int64_t offset) { return epoch_cache_at(&log->epochs, offset); }

void plog_epoch_end(const struct plog *log, int32_t epoch, int32_t *found_epoch, int64_t *end_offset)
{
    epoch_cache_end(&log->epochs, epoch, plog_end(log), found_epoch, end_offset);
}

void plog_expire_producers(struct plog *log, int64_t now_ms)
{
    producer_state_expire(&log->producers, now_ms, log->config.producer_id_expiration_ms);
}

int64_t plog_first_unstable(const struct plog *log) { return producer_state_first_unstable(&log->producers); }

/* ---- directory, segments ------------------------------------------------------------------------------------------- */

static enum err write_partition_metadata(struct plog *log)
{
    struct env_file *file = NULL;
    struct writer w;
    writer_init(&w, 64);
    partition_metadata_write(log->topic_id, &w);
    struct slice text = writer_slice(&w);
    char *path = join(log->directory, CHECKPOINT_PARTITION);
    enum err err = env_open(log->shared->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (!err) err = env_pwritev(log->shared->env, file, &text, 1, 0);
    if (!err) file_set_add_file(&log->unsynced, file);
    env_file_unref(file);
    mem_free(path);
    writer_deinit(&w);
    return err;
}

enum err plog_ensure_directory(struct plog *log)
{
    if (log->has_directory) return ERR_OK;
    enum err err = env_mkdir(log->shared->env, log->directory);
    if (!err) err = write_partition_metadata(log);
    if (err) return plog_check(log, err);
    file_set_add_directory(&log->unsynced, log->log_dir);
    file_set_add_directory(&log->unsynced, log->directory);
    log->has_directory = true;
    return ERR_OK;
}

struct segment *plog_push_segment(struct plog *log, int64_t base_offset)
{
    ASSERT_IMPLIES(log->segment_count > 0, plog_active(log)->base_offset < base_offset);
    if (log->segment_count == log->segment_capacity) {
        log->segment_capacity = log->segment_capacity ? 2 * log->segment_capacity : 1;
        log->segments = mem_realloc(log->segments, log->segment_capacity, sizeof(struct segment *));
    }
    struct segment *segment = segment_create(log->shared, log->directory, base_offset);
    int64_t jitter_ms = min_i64(log->config.segment_jitter_ms, log->config.segment_ms);
    if (jitter_ms > 0) segment->jitter_ms = (int64_t)(env_random64(log->shared->env) % (uint64_t)jitter_ms);
    log->segments[log->segment_count++] = segment;
    return segment;
}

int64_t plog_segment_ms(const struct plog *log, const struct segment *segment)
{
    return log->config.segment_ms - min_i64(segment->jitter_ms, log->config.segment_ms);
}

uint32_t plog_segment_at(const struct plog *log, int64_t offset)
{
    uint32_t low = 1, high = log->segment_count; /* first segment that begins above offset */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (log->segments[middle]->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

enum err plog_open_active(struct plog *log, struct env_file **file)
{
    bool is_created = false;
    enum err err = plog_ensure_directory(log);
    if (!err) err = segment_open(plog_active(log), true, &is_created, file);
    if (!err && is_created) file_set_add_directory(&log->unsynced, log->directory);
    return plog_check(log, err);
}

enum err plog_roll(struct plog *log)
{
    struct segment *active = plog_active(log);
    if (active->size == 0) return ERR_OK;
    int64_t end = plog_end(log);
    enum err err = segment_close(active, env_wall_ms(log->shared->env), &log->unsynced);
    if (!err) err = plog_write_snapshot(log);
    if (err) return plog_check(log, err);
    (void)plog_push_segment(log, end);
    return ERR_OK;
}

void plog_epochs_changed(struct plog *log, int64_t offset) { log->epochs_missing = min_i64(log->epochs_missing, offset); }

/* ---- invariants ---------------------------------------------------------------------------------------------------- */

static void check_segments(const struct plog *log)
{
    for (uint32_t i = 0; i + 1 < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        ASSERT(segment->is_closed && segment->size > 0);
        ASSERT(segment->next_offset <= log->segments[i + 1]->base_offset);
    }
}

void plog_invariants(const struct plog *log)
{
    /* One that failed stopped in the middle of something, one that is deleted loses its parts; both are only waited for. */
    if (log->is_failed || log->is_deleted) return;
    const struct segment *active = plog_active(log);
    ASSERT(log->segment_count > 0);
    ASSERT(!active->is_closed && active->is_index_loaded);
    ASSERT(active->base_offset <= active->next_offset);
    ASSERT((active->size == 0) == (active->base_offset == active->next_offset));
    ASSERT(0 <= log->start && log->start <= plog_end(log));
    ASSERT(0 <= log->flushed_end && log->flushed_end <= plog_end(log));
    ASSERT_IMPLIES(log->epochs.count > 0, log->epochs.entries[log->epochs.count - 1].start < plog_end(log));
#ifdef SKIFF_VERIFY
    check_segments(log);
#else
    (void)check_segments;
#endif
}
