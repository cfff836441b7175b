#include "controller/node/raft_store_snapshot.h"

#include "common/assert.h"
#include "common/crc32c.h"
#include "common/reader.h"
#include "common/writer.h"
#include "controller/raft/raft_membership.h"

#include <inttypes.h>
#include <stdio.h>

#define SNAPSHOT_MAGIC       0x534b5253u
#define SNAPSHOT_VERSION     1
#define SNAPSHOT_FIXED_BYTES 32   /* of the header, before the membership */
#define SNAPSHOT_HEADER_MAX  1024 /* with the largest membership */
#define SNAPSHOT_NAME_BYTES  40   /* 20 digits, '-', 10 digits, ".snapshot" */

static void final_path(const struct store_snapshot *snapshot, const struct raft_snapshot *which, char path[static PATH_BYTES_MAX])
{
    (void)snprintf(path, PATH_BYTES_MAX, "%s/%020" PRId64 "-%010" PRId64 ".snapshot", snapshot->directory, which->index, which->term);
}
static void temporary_path(const struct store_snapshot_writer *writer, char path[static PATH_BYTES_MAX])
{
    (void)snprintf(path, PATH_BYTES_MAX, "%s/%s", writer->snapshot->directory, writer->name);
}
static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static enum err parse_header(struct slice bytes, struct raft_snapshot *description, int64_t *data_position)
{
    struct reader r = reader_make(bytes);
    struct uuid cluster_id;
    if (reader_u32(&r) != SNAPSHOT_MAGIC || reader_u16(&r) != SNAPSHOT_VERSION) return ERR_CORRUPT;
    uint16_t membership_bytes = reader_u16(&r);
    *description = (struct raft_snapshot){.index = reader_i64(&r)};
    description->term = reader_i64(&r);
    description->size = reader_i64(&r);
    struct slice membership = reader_bytes(&r, membership_bytes);
    size_t covered = bytes.n - r.left;
    uint32_t crc = reader_u32(&r);
    if (!reader_ok(&r) || crc != crc32c(slice_make(bytes.p, covered))) return ERR_CORRUPT;
    if (description->index < 1 || description->term < 1 || description->size < 0) return ERR_CORRUPT;
    *data_position = (int64_t)covered + 4;
    return raft_membership_decode(membership, &cluster_id, &description->membership);
}

enum err store_snapshot_load(struct store_snapshot *snapshot, struct buf **bytes)
{
    ASSERT(snapshot->file);
    int64_t file_size = 0, size = snapshot->current.size;
    enum err err = env_file_size(snapshot->file, &file_size);
    if (err != ERR_OK) return err;
    if (file_size - snapshot->data_position - 4 != size) return ERR_CORRUPT;
    struct buf *data = buf_create((size_t)size + 4);
    err = env_pread_wait(snapshot->env, snapshot->file, data->data, (size_t)size + 4, snapshot->data_position, &data->size);
    if (err == ERR_OK && data->size != (size_t)size + 4) err = ERR_CORRUPT;
    if (err == ERR_OK) {
        struct reader r = reader_make(slice_make(data->data + size, 4));
        data->size = (size_t)size;
        if (reader_u32(&r) != crc32c(buf_slice(data))) err = ERR_CORRUPT;
    }
    if (err == ERR_OK)
        *bytes = data;
    else
        buf_unref(data);
    return err;
}

struct newest {
    char name[64];
};

static void find_newest(void *context, const char *name, bool is_directory)
{
    struct newest *newest = context;
    size_t n = strlen(name);
    if (is_directory || n != SNAPSHOT_NAME_BYTES || !has_suffix(name, ".snapshot")) return;
    memcpy(newest->name, name, n + 1); /* names come in order, and the index in them is padded */
}

static enum err open_newest(struct store_snapshot *snapshot, const char *name, struct buf **bytes)
{
    char path[PATH_BYTES_MAX];
    uint8_t header[SNAPSHOT_HEADER_MAX];
    size_t got = 0;
    (void)snprintf(path, sizeof path, "%s/%s", snapshot->directory, name);
    enum err err = env_open(snapshot->env, path, ENV_OPEN_READ, &snapshot->file);
    if (err == ERR_OK) err = env_pread_wait(snapshot->env, snapshot->file, header, sizeof header, 0, &got);
    if (err == ERR_OK) err = parse_header(slice_make(header, got), &snapshot->current, &snapshot->data_position);
    if (err == ERR_OK) err = store_snapshot_load(snapshot, bytes);
    if (err != ERR_OK)
        log_line(env_logger(snapshot->env), LOG_ERROR, "raft",
                 "cannot use %s: %s; empty the directory, and the node catches up from the others", path, err_text(err));
    return err;
}

static void remove_quietly(struct store_snapshot *snapshot, const char *path)
{
    enum err err = env_unlink(snapshot->env, path);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        log_line(env_logger(snapshot->env), LOG_WARN, "raft", "cannot remove %s: %s", path, err_text(err));
}

/* What a newer one replaced, and what was never finished. */
struct older {
    struct store_snapshot *snapshot;
    const char *newest;
};

static void remove_older(void *context, const char *name, bool is_directory)
{
    struct older *older = context;
    bool is_ours = has_suffix(name, ".snapshot") || has_suffix(name, ".snapshot.tmp");
    if (is_directory || !is_ours || strcmp(name, older->newest) == 0) return;
    char path[PATH_BYTES_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", older->snapshot->directory, name);
    remove_quietly(older->snapshot, path);
}

enum err store_snapshot_open(struct store_snapshot *snapshot, struct env *env, const char *directory, struct buf **bytes)
{
    *snapshot = (struct store_snapshot){.env = env, .directory = directory};
    *bytes = NULL;
    struct newest newest = {""};
    enum err err = env_list(env, directory, find_newest, &newest);
    if (err == ERR_OK && newest.name[0]) err = open_newest(snapshot, newest.name, bytes);
    if (err == ERR_OK) err = env_list(env, directory, remove_older, &(struct older){snapshot, newest.name});
    if (err != ERR_OK) store_snapshot_close(snapshot);
    return err;
}

void store_snapshot_close(struct store_snapshot *snapshot)
{
    if (snapshot->file) env_file_unref(snapshot->file);
    snapshot->file = NULL;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

enum err store_snapshot_begin(struct store_snapshot_writer *writer, const struct raft_snapshot *description)
{
    char path[PATH_BYTES_MAX];
    temporary_path(writer, path);
    if (writer->file) env_file_unref(writer->file);
    writer->file = NULL;
    enum err err =
        env_open(writer->snapshot->env, path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &writer->file);
    if (err != ERR_OK) return err;
    struct buf *membership = raft_membership_encode(UUID_ZERO, &description->membership);
    struct writer w;
    writer_init(&w, SNAPSHOT_HEADER_MAX);
    writer_u32(&w, SNAPSHOT_MAGIC);
    writer_u16(&w, SNAPSHOT_VERSION);
    writer_u16(&w, (uint16_t)membership->size);
    writer_i64(&w, description->index);
    writer_i64(&w, description->term);
    writer_i64(&w, description->size);
    ASSERT(writer_size(&w) == SNAPSHOT_FIXED_BYTES);
    writer_bytes(&w, buf_slice(membership));
    writer_u32(&w, crc32c(writer_slice(&w)));
    ASSERT(writer_size(&w) <= SNAPSHOT_HEADER_MAX);
    struct slice header = writer_slice(&w);
    err = env_pwritev(writer->snapshot->env, writer->file, &header, 1, 0);
    writer->description = *description;
    writer->data_position = (int64_t)header.n;
    writer->offset = 0;
    writer->crc = 0;
    writer_deinit(&w);
    buf_unref(membership);
    return err;
}

enum err store_snapshot_append(struct store_snapshot_writer *writer, struct slice bytes)
{
    ASSERT(writer->file);
    ASSERT((int64_t)bytes.n <= writer->description.size - writer->offset);
    int64_t position = writer->data_position + writer->offset;
    writer->crc = crc32c_extend(writer->crc, bytes);
    writer->offset += (int64_t)bytes.n;
    return env_pwritev(writer->snapshot->env, writer->file, &bytes, 1, position);
}

enum err store_snapshot_end(struct store_snapshot_writer *writer)
{
    ASSERT(writer->offset == writer->description.size);
    struct writer w;
    writer_init(&w, 4);
    writer_u32(&w, writer->crc);
    struct slice crc = writer_slice(&w);
    enum err err = env_pwritev(writer->snapshot->env, writer->file, &crc, 1, writer->data_position + writer->description.size);
    writer_deinit(&w);
    return err;
}

enum err store_snapshot_rename(struct store_snapshot_writer *writer)
{
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    temporary_path(writer, from);
    final_path(writer->snapshot, &writer->description, to);
    return env_rename(writer->snapshot->env, from, to);
}

void store_snapshot_switch(struct store_snapshot_writer *writer)
{
    ASSERT(writer->file);
    struct store_snapshot *snapshot = writer->snapshot;
    bool is_newer = writer->description.index > snapshot->current.index;
    char path[PATH_BYTES_MAX];
    final_path(snapshot, is_newer ? &snapshot->current : &writer->description, path);
    if (snapshot->current.index != writer->description.index && snapshot->file) remove_quietly(snapshot, path);
    if (is_newer) {
        if (snapshot->file) env_file_unref(snapshot->file);
        snapshot->file = env_file_ref(writer->file);
        snapshot->current = writer->description;
        snapshot->data_position = writer->data_position;
    }
    store_snapshot_abandon(writer);
}

void store_snapshot_abandon(struct store_snapshot_writer *writer)
{
    if (writer->file) env_file_unref(writer->file);
    writer->file = NULL;
}
