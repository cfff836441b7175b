/* Files and directories that one commit makes durable together: what the logs of one directory collect for env_commit().
 * Holds references to the files and copies of the paths until file_set_clear(). */
#ifndef SKIFF_BROKER_LOG_FILE_SET_H
#define SKIFF_BROKER_LOG_FILE_SET_H

#include "common/env.h"

struct file_set {
    struct env_file **files;
    char **directories;
    uint32_t file_count, file_capacity;
    uint32_t directory_count, directory_capacity;
};

void file_set_init(struct file_set *set);
void file_set_deinit(struct file_set *set);
void file_set_add_file(struct file_set *set, struct env_file *file);
void file_set_add_directory(struct file_set *set, const char *path);
void file_set_clear(struct file_set *set);
static inline bool file_set_is_empty(const struct file_set *set) { return set->file_count + set->directory_count == 0; }
/* The env takes its own references: the set may be cleared at once. */
void file_set_commit(struct file_set *set, struct env *env, struct env_op *op);
NODISCARD enum err file_set_commit_wait(struct file_set *set, struct env *env);

#endif
