/* See log_dir.h. */
#include "broker/node/log_dir.h"

#include "common/limits.h"
#include "common/mem.h"

#include <stdio.h>

#define META_BYTES_MAX       65536
#define CHECKPOINT_BYTES_MAX (64 << 20) /* 100,000 partitions take about 3 MB */

static bool join_path(const char *directory, const char *name, char path[static PATH_BYTES_MAX])
{
    int n = snprintf(path, PATH_BYTES_MAX, "%s/%s", directory, name);
    return n > 0 && n < PATH_BYTES_MAX;
}

static void draw_directory_id(struct env *env, struct uuid *id)
{
    while (!uuid_from_random(env_random64(env), env_random64(env), id)) continue;
}

static enum err write_meta(struct log_dir *dir)
{
    struct writer w;
    writer_init(&w, 256);
    log_dir_meta_write(&dir->meta, &w);
    enum err err = file_replace_wait(dir->env, dir->path, CHECKPOINT_META, writer_slice(&w));
    writer_deinit(&w);
    return err;
}

/* Written with the first broker epoch, when the cluster's id is known. */
static enum err begin_identity(struct log_dir *dir, int32_t node_id)
{
    dir->meta = (struct log_dir_meta){.node_id = node_id, .broker_epoch = -1};
    draw_directory_id(dir->env, &dir->meta.directory_id);
    return ERR_OK;
}

struct uuid log_dir_cluster_id(struct env *env, const char *path)
{
    struct log_dir_meta meta;
    struct uuid cluster_id = {{0}};
    struct buf *text = NULL;
    if (file_read_wait(env, path, CHECKPOINT_META, META_BYTES_MAX, &text) != ERR_OK) return cluster_id;
    if (!log_dir_meta_parse(&meta, buf_slice(text)) || !uuid_parse(slice_str(meta.cluster_id), &cluster_id))
        cluster_id = (struct uuid){{0}};
    buf_unref(text);
    return cluster_id;
}

/* ERR_NOT_FOUND: nobody's yet. */
static enum err read_meta(struct env *env, const char *path, int32_t node_id, struct log_dir_meta *meta, char *reason, size_t reason_size)
{
    struct buf *text = NULL;
    enum err err = file_read_wait(env, path, CHECKPOINT_META, META_BYTES_MAX, &text);
    if (err != ERR_OK) return err;
    bool is_good = log_dir_meta_parse(meta, buf_slice(text));
    buf_unref(text);
    if (!is_good) {
        (void)snprintf(reason, reason_size, "%s/%s cannot be read; restore it, or point log.dirs to another directory", path,
                       CHECKPOINT_META);
        return ERR_CORRUPT;
    }
    if (meta->node_id == node_id) return ERR_OK;
    (void)snprintf(reason, reason_size, "%s belongs to node %d, this is node %d; set node.id or log.dirs", path, meta->node_id, node_id);
    return ERR_INVALID;
}

enum err log_dir_check(struct env *env, const char *path, int32_t node_id, char *reason, size_t reason_size)
{
    struct log_dir_meta meta;
    enum err err = read_meta(env, path, node_id, &meta, reason, reason_size);
    return err == ERR_CORRUPT || err == ERR_INVALID ? err : ERR_OK;
}

/* meta.properties: ours, fresh, or somebody else's. */
static enum err read_identity(struct log_dir *dir, int32_t node_id, char *reason, size_t reason_size)
{
    enum err err = read_meta(dir->env, dir->path, node_id, &dir->meta, reason, reason_size);
    if (err == ERR_NOT_FOUND) return begin_identity(dir, node_id);
    if (err != ERR_OK) return err;
    if (!uuid_is_zero(dir->meta.directory_id)) return ERR_OK;
    draw_directory_id(dir->env, &dir->meta.directory_id);
    return write_meta(dir);
}

/* The mark holds for one start: from here on a crash must show. */
static enum err take_clean_mark(struct log_dir *dir)
{
    struct buf *mark = NULL;
    enum err err = file_read_wait(dir->env, dir->path, CHECKPOINT_CLEAN_SHUTDOWN, META_BYTES_MAX, &mark);
    buf_unref(mark);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err != ERR_OK) return err;
    dir->was_clean = true;
    return file_remove_wait(dir->env, dir->path, CHECKPOINT_CLEAN_SHUTDOWN);
}

static enum err lock(struct log_dir *dir, char *reason, size_t reason_size)
{
    char path[PATH_BYTES_MAX];
    if (!join_path(dir->path, ".lock", path)) return ERR_LIMIT;
    enum err err = env_lock_file(dir->env, path);
    if (err == ERR_IN_USE) (void)snprintf(reason, reason_size, "another process uses the log directory %s; stop it first", dir->path);
    return err;
}

static enum err open_steps(struct log_dir *dir, int32_t node_id, char *reason, size_t reason_size)
{
    enum err err = env_mkdir_durable(dir->env, dir->path);
    if (err == ERR_OK) err = lock(dir, reason, reason_size);
    if (err == ERR_OK) err = read_identity(dir, node_id, reason, reason_size);
    if (err == ERR_OK) err = take_clean_mark(dir);
    return err;
}

enum err log_dir_open(struct env *env, const char *path, int32_t node_id, struct log_dir **out, char *reason, size_t reason_size)
{
    *out = NULL;
    reason[0] = '\0';
    struct log_dir *dir = mem_alloc(sizeof *dir);
    dir->env = env;
    dir->path = mem_strdup(path);
    dir->is_online = true;
    list_init(&dir->to_flush);
    list_init(&dir->flushing);
    list_init(&dir->truncations);
    list_init(&dir->deletions);
    enum err err = open_steps(dir, node_id, reason, reason_size);
    if (err == ERR_OK) {
        *out = dir;
        return ERR_OK;
    }
    if (!reason[0]) (void)snprintf(reason, reason_size, "log directory %s: %s; log.dirs names it", path, err_text(err));
    log_dir_destroy(dir);
    return err;
}

void log_dir_destroy(struct log_dir *dir)
{
    ASSERT(list_is_empty(&dir->to_flush) && list_is_empty(&dir->flushing));
    ASSERT(list_is_empty(&dir->truncations) && list_is_empty(&dir->deletions));
    mem_free(dir->path);
    mem_free(dir);
}

bool log_dir_is_busy(const struct log_dir *dir)
{
    bool is_busy = dir->is_committing || dir->is_writing_meta || !list_is_empty(&dir->truncations) || !list_is_empty(&dir->deletions);
    for (size_t i = 0; i < LOG_DIR_CHECKPOINTS; i++) is_busy |= dir->checkpoints[i].is_under_way;
    return is_busy;
}

/* ---- offset checkpoints ---- */

struct offset_entry {
    int64_t offset;
    size_t name_size;
    char name[];
};

static void add_offset(void *context, struct slice topic, int32_t partition, int64_t offset)
{
    struct offset_map *map = context;
    struct offset_entry *entry = mem_alloc(sizeof *entry + topic.n + 13);
    entry->offset = offset;
    int n = snprintf(entry->name, topic.n + 13, "%.*s-%d", SLICE_ARG(topic), partition);
    entry->name_size = (size_t)n;
    if (map_get(&map->by_name, slice_make(entry->name, entry->name_size)) == NULL)
        map_put(&map->by_name, slice_make(entry->name, entry->name_size), entry);
    else
        mem_free(entry);
}

void offset_map_load(struct offset_map *map, const struct log_dir *dir, const char *file)
{
    map_init(&map->by_name, env_random64(dir->env));
    struct buf *text = NULL;
    enum err err = file_read_wait(dir->env, dir->path, file, CHECKPOINT_BYTES_MAX, &text);
    bool is_whole = err == ERR_OK && offset_checkpoint_parse(buf_slice(text), add_offset, map);
    if (!is_whole && err != ERR_NOT_FOUND)
        log_line(env_logger(dir->env), LOG_WARN, "log", "%s/%s cannot be read as a whole; what is missing is recovered from the logs",
                 dir->path, file);
    buf_unref(text);
}

void offset_map_deinit(struct offset_map *map)
{
    MAP_FOR_EACH (&map->by_name, struct offset_entry, entry) mem_free(entry);
    map_deinit(&map->by_name);
}

int64_t offset_map_get(const struct offset_map *map, const char *name)
{
    const struct offset_entry *entry = map_get(&map->by_name, slice_str(name));
    return entry ? entry->offset : 0;
}
