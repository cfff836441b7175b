/* Reading small files and replacing them: write a temporary one, commit it, rename it over, commit the directory. The order
 * matters: a rename that reaches the disk before the data leaves an empty file. */
#include "broker/log/checkpoint.h"

#include "common/assert.h"
#include "common/limits.h"
#include "common/mem.h"

#include <stdio.h>

#define TEMPORARY_SUFFIX ".tmp" /* Kafka's */

static char *path_of(const char *directory, const char *name, const char *suffix)
{
    size_t size = strlen(directory) + strlen(name) + strlen(suffix) + 2;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s%s", directory, name, suffix);
    return path;
}

static enum err read_whole(struct env *env, struct env_file *file, size_t bytes_max, struct buf **out)
{
    int64_t size = 0;
    enum err err = env_file_size(file, &size);
    if (err) return err;
    if ((uint64_t)size > bytes_max) return ERR_LIMIT;
    struct buf *buf = buf_create((size_t)size);
    err = env_pread_wait(env, file, buf->data, (size_t)size, 0, &buf->size);
    if (err) {
        buf_unref(buf);
        return err;
    }
    *out = buf;
    return ERR_OK;
}

enum err file_read_wait(struct env *env, const char *directory, const char *name, size_t bytes_max, struct buf **out)
{
    struct env_file *file = NULL;
    char *path = path_of(directory, name, "");
    enum err err = env_open(env, path, ENV_OPEN_READ, &file);
    mem_free(path);
    if (err) return err;
    err = read_whole(env, file, bytes_max, out);
    env_file_unref(file);
    return err;
}

/* The temporary file with the bytes in it, not yet committed; one reference. */
static enum err write_temporary(struct env *env, const char *temporary, struct slice bytes, struct env_file **out)
{
    enum err err = env_open(env, temporary, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, out);
    if (err) return err;
    err = env_pwritev(env, *out, &bytes, 1, 0);
    if (!err) return ERR_OK;
    env_file_unref(*out);
    *out = NULL;
    return env_unlink(env, temporary) == ERR_IO ? ERR_IO : err;
}

enum err file_replace_wait(struct env *env, const char *directory, const char *name, struct slice bytes)
{
    struct env_file *file = NULL;
    char *path = path_of(directory, name, ""), *temporary = path_of(directory, name, TEMPORARY_SUFFIX);
    enum err err = write_temporary(env, temporary, bytes, &file);
    if (!err) err = env_commit_wait(env, &file, 1, NULL, 0);
    if (!err) err = env_rename(env, temporary, path);
    if (!err) err = env_commit_wait(env, NULL, 0, &directory, 1);
    env_file_unref(file);
    mem_free(path);
    mem_free(temporary);
    return err;
}

enum err file_remove_wait(struct env *env, const char *directory, const char *name)
{
    char *path = path_of(directory, name, "");
    enum err err = env_unlink(env, path);
    mem_free(path);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    return err ? err : env_commit_wait(env, NULL, 0, &directory, 1);
}

void file_replace_abandon(struct file_replace *replace)
{
    mem_free(replace->directory);
    mem_free(replace->path);
    mem_free(replace->temporary);
    replace->directory = replace->path = replace->temporary = NULL;
}

static void replace_end(struct file_replace *replace, enum err err, int64_t now_us)
{
    file_replace_abandon(replace);
    replace->done(replace, err, now_us);
}

static void on_committed(struct env_op *op, enum err err, int64_t now_us)
{
    struct file_replace *replace = CONTAINER_OF(op, struct file_replace, op);
    if (!err && !replace->is_renamed && !replace->is_cancelled) {
        err = env_rename(replace->env, replace->temporary, replace->path);
        if (!err) {
            const char *directory = replace->directory;
            replace->is_renamed = true;
            env_commit(replace->env, op, NULL, 0, &directory, 1);
            return;
        }
    }
    replace_end(replace, err, now_us);
}

enum err file_replace_start(struct file_replace *replace, struct env *env, const char *directory, const char *name, struct slice bytes)
{
    ASSERT(replace->done != NULL && replace->path == NULL);
    struct env_file *file = NULL;
    char *temporary = path_of(directory, name, TEMPORARY_SUFFIX);
    enum err err = write_temporary(env, temporary, bytes, &file);
    if (err) {
        mem_free(temporary);
        return err;
    }
    replace->env = env;
    replace->op.done = on_committed;
    replace->directory = mem_strdup(directory);
    replace->path = path_of(directory, name, "");
    replace->temporary = temporary;
    replace->is_renamed = replace->is_cancelled = false;
    env_commit(env, &replace->op, &file, 1, NULL, 0);
    env_file_unref(file);
    return ERR_OK;
}
