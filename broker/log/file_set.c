#include "broker/log/file_set.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

void file_set_init(struct file_set *set) { *set = (struct file_set){0}; }

void file_set_deinit(struct file_set *set)
{
    file_set_clear(set);
    mem_free(set->files);
    mem_free(set->directories);
    *set = (struct file_set){0};
}

void file_set_add_file(struct file_set *set, struct env_file *file)
{
    ASSERT(file != NULL);
    if (set->file_count == set->file_capacity) {
        set->file_capacity = set->file_capacity ? 2 * set->file_capacity : 8;
        set->files = mem_realloc(set->files, set->file_capacity, sizeof(struct env_file *));
    }
    set->files[set->file_count++] = env_file_ref(file);
}

void file_set_add_directory(struct file_set *set, const char *path)
{
    /* A log adds its own directory and then the one that holds all logs: looking at the newest two finds most repetitions, and
     * one more costs a commit of something clean. */
    for (uint32_t i = set->directory_count; i > 0 && i + 2 > set->directory_count; i--)
        if (strcmp(set->directories[i - 1], path) == 0) return;
    if (set->directory_count == set->directory_capacity) {
        set->directory_capacity = set->directory_capacity ? 2 * set->directory_capacity : 8;
        set->directories = mem_realloc(set->directories, set->directory_capacity, sizeof(char *));
    }
    set->directories[set->directory_count++] = mem_strdup(path);
}

void file_set_clear(struct file_set *set)
{
    for (uint32_t i = 0; i < set->file_count; i++) env_file_unref(set->files[i]);
    for (uint32_t i = 0; i < set->directory_count; i++) mem_free(set->directories[i]);
    set->file_count = set->directory_count = 0;
}

static const char *const *set_paths(const struct file_set *set) { return (const char *const *)set->directories; }

void file_set_commit(struct file_set *set, struct env *env, struct env_op *op)
{
    env_commit(env, op, set->files, set->file_count, set_paths(set), set->directory_count);
}

enum err file_set_commit_wait(struct file_set *set, struct env *env)
{
    if (file_set_is_empty(set)) return ERR_OK;
    return env_commit_wait(env, set->files, set->file_count, set_paths(set), set->directory_count);
}
