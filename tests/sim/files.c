/* The file calls of struct env on the simulated disk, and its faults. */
#include "tests/sim/sim_internal.h"

#include "common/crc32c.h"

struct sim_file {
    struct env_file file;
    struct list_node node_link;
    struct sim_node *node;
    struct inode *inode;
    unsigned flags;
    bool is_lock;
};

static struct sim_file *file_of(const struct env_file *file)
{
    return CONTAINER_OF((struct env_file *)(uintptr_t)file, struct sim_file, file);
}
static struct sim_node *node_of(struct env *env) { return sim_env_of(env)->node; }

/* ---- every changing operation is counted, and may be the one during which power fails ------------------------------- */

static bool begin_change(struct sim_node *node, char kind, uint64_t detail)
{
    if (sim_node_is_dead(node)) return false;
    node->disk.operations++;
    sim_hash_add(node->sim, (uint64_t)kind << 56 ^ (uint64_t)node->index << 48 ^ detail);
    return true;
}

static enum err end_change(struct sim_node *node, enum err err)
{
    if (node->disk.crash_at != 0 && node->disk.operations >= node->disk.crash_at) {
        node->disk.crash_at = 0;
        sim_node_doom(node, SIM_CRASH_POWER);
        return ERR_IO;
    }
    return err;
}

static bool takes_fault(uint32_t *count)
{
    if (*count == 0) return false;
    --*count;
    return true;
}

/* ---- opening and closing ------------------------------------------------------------------------------------------- */

static struct sim_file *handle_create(struct sim_node *node, struct inode *inode, unsigned flags)
{
    struct sim_file *file = sim_alloc(sizeof *file);
    file->file.ops = sim_env_ops();
    atomic_init(&file->file.references, 1);
    file->node = node;
    file->inode = inode_ref(inode);
    file->flags = flags;
    list_push_back(&node->files, &file->node_link);
    return file;
}

void sim_file_close(struct env_file *handle)
{
    struct sim_file *file = file_of(handle);
    list_remove(&file->node_link);
    inode_unref(file->inode);
    sim_free(file);
}

void sim_files_free(struct sim_node *node)
{
    LIST_FOR_EACH (&node->files, link) sim_file_close(&CONTAINER_OF(link, struct sim_file, node_link)->file);
}

/* The file's inode, created when asked for. */
static enum err find_or_create(struct sim_node *node, const char *path, bool create, struct inode **out)
{
    const char *name = NULL;
    size_t size = 0;
    struct inode *parent = disk_find_parent(&node->disk, path, &name, &size);
    if (!parent) return ERR_NOT_FOUND;
    *out = directory_get(parent, name, size);
    if (*out) return (*out)->is_directory ? ERR_INVALID : ERR_OK;
    if (!create) return ERR_NOT_FOUND;
    if (!begin_change(node, 'c', size)) return ERR_IO;
    *out = directory_create(parent, name, size, false);
    return end_change(node, ERR_OK);
}

enum err sim_file_open(struct env *env, const char *path, unsigned flags, struct env_file **out)
{
    struct sim_node *node = node_of(env);
    struct inode *inode = NULL;
    *out = NULL;
    if (sim_node_is_dead(node)) return ERR_IO;
    enum err err = find_or_create(node, path, (flags & ENV_OPEN_CREATE) != 0, &inode);
    if (err != ERR_OK) return err;
    if ((flags & ENV_OPEN_TRUNCATE) && inode->live.size > 0) {
        if (!begin_change(node, 't', 0)) return ERR_IO;
        file_truncate(inode, 0);
        if ((err = end_change(node, ERR_OK)) != ERR_OK) return err;
    }
    *out = &handle_create(node, inode, flags)->file;
    return ERR_OK;
}

enum err sim_file_lock(struct env *env, const char *path)
{
    struct sim_node *node = node_of(env);
    struct inode *inode = NULL;
    enum err err = find_or_create(node, path, true, &inode);
    if (err != ERR_OK) return err;
    LIST_FOR_EACH (&node->files, link) {
        const struct sim_file *other = CONTAINER_OF(link, struct sim_file, node_link);
        if (other->is_lock && other->inode == inode) return ERR_IN_USE;
    }
    handle_create(node, inode, ENV_OPEN_WRITE)->is_lock = true;
    return ERR_OK;
}

enum err sim_file_size(struct env_file *file, int64_t *size)
{
    *size = (int64_t)file_of(file)->inode->live.size;
    return sim_node_is_dead(file_of(file)->node) ? ERR_IO : ERR_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static size_t slices_size(const struct slice *slices, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += slices[i].n;
    return size;
}

/* How many of the bytes fit on the disk; what overwrites costs nothing. */
static size_t bytes_that_fit(const struct disk *disk, const struct inode *inode, size_t position, size_t size)
{
    int64_t room = disk->capacity - disk->used;
    size_t end = position + size, free_end = inode->live.size + (size_t)(room > 0 ? room : 0);
    if (end <= free_end || end <= inode->live.size) return size;
    return free_end > position ? free_end - position : 0;
}

enum err sim_file_pwritev(struct env *env, struct env_file *handle, const struct slice *slices, size_t count, int64_t position)
{
    struct sim_node *node = node_of(env);
    struct sim_file *file = file_of(handle);
    ASSERT(file->node == node && (file->flags & ENV_OPEN_WRITE));
    size_t size = slices_size(slices, count);
    if (!begin_change(node, 'w', (uint64_t)position << 16 ^ size)) return ERR_IO;
    if (takes_fault(&node->disk.writes_to_fail)) return end_change(node, ERR_IO);
    size_t fits = bytes_that_fit(&node->disk, file->inode, (size_t)position, size), at = 0;
    struct bytes all = {0};
    for (size_t i = 0; i < count; at += slices[i++].n) bytes_write(&all, slices[i].p, slices[i].n, at);
    if (fits > 0) file_write(file->inode, all.p, fits, (size_t)position);
    sim_hash_add(node->sim, crc32c(slice_make(all.p, all.size)));
    bytes_free(&all);
    return end_change(node, fits == size ? ERR_OK : ERR_NO_SPACE);
}

enum err sim_file_truncate(struct env *env, struct env_file *handle, int64_t size)
{
    struct sim_node *node = node_of(env);
    ASSERT(file_of(handle)->flags & ENV_OPEN_WRITE);
    if (!begin_change(node, 't', (uint64_t)size)) return ERR_IO;
    file_truncate(file_of(handle)->inode, (size_t)size);
    return end_change(node, ERR_OK);
}

enum err sim_file_allocate(struct env *env, struct env_file *handle, int64_t position, int64_t size)
{
    struct sim_file *file = file_of(handle);
    if (sim_node_is_dead(node_of(env))) return ERR_IO;
    size_t fits = bytes_that_fit(&file->node->disk, file->inode, (size_t)position, (size_t)size);
    return fits == (size_t)size ? ERR_OK : ERR_NO_SPACE;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

size_t sim_file_read_live(const struct env_file *handle, void *into, size_t size, int64_t position)
{
    const struct bytes *live = &file_of(handle)->inode->live;
    if ((size_t)position >= live->size) return 0;
    size_t got = live->size - (size_t)position;
    if (got > size) got = size;
    memcpy(into, live->p + position, got);
    return got;
}

static enum err read_live(struct sim_node *node, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    *got = 0;
    if (sim_node_is_dead(node) || takes_fault(&node->disk.reads_to_fail)) return ERR_IO;
    *got = sim_file_read_live(file, into, size, position);
    return ERR_OK;
}

enum err sim_file_pread_wait(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    return read_live(node_of(env), file, into, size, position, got);
}

enum err sim_file_pread_now(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    struct disk *disk = &node_of(env)->disk;
    *got = 0;
    if (disk->cold_per_million > 0 && prng_chance(&disk->prng, disk->cold_per_million, 1000000)) return ERR_AGAIN;
    return read_live(node_of(env), file, into, size, position, got);
}

struct read_operation {
    struct sim_operation operation;
    struct env_file *file; /* counted */
    void *into;
    size_t size, *got;
    int64_t position;
};

static void perform_read(struct sim_operation *operation)
{
    struct read_operation *read = CONTAINER_OF(operation, struct read_operation, operation);
    operation->err = read_live(operation->env->node, read->file, read->into, read->size, read->position, read->got);
}

static void release_read(struct sim_operation *operation)
{
    struct read_operation *read = CONTAINER_OF(operation, struct read_operation, operation);
    env_file_unref(read->file);
    sim_free(read);
}

void sim_file_pread(struct env *env, struct env_op *op, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    struct sim_node *node = node_of(env);
    if (sim_node_is_dead(node)) return;
    struct read_operation *read = sim_alloc(sizeof *read);
    *read = (struct read_operation){.operation = {.perform = perform_read, .release = release_read}};
    read->file = env_file_ref(file);
    read->into = into, read->size = size, read->position = position, read->got = got;
    sim_operation_begin(sim_env_of(env), &read->operation, op, sim_delay(&node->disk.prng, 60, 100));
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

enum err sim_file_rename(struct env *env, const char *from, const char *to)
{
    struct sim_node *node = node_of(env);
    const char *from_name = NULL, *to_name = NULL;
    size_t from_size = 0, to_size = 0;
    struct inode *parent = disk_find_parent(&node->disk, from, &from_name, &from_size);
    if (!parent || !directory_get(parent, from_name, from_size)) return ERR_NOT_FOUND;
    /* A rename between directories is not one change on every file system: nothing here may count on it. */
    ASSERT(parent == disk_find_parent(&node->disk, to, &to_name, &to_size));
    const struct inode *target = directory_get(parent, to_name, to_size);
    if (target && target->is_directory && target->live_entries.count > 0) return ERR_EXISTS;
    if (!begin_change(node, 'r', from_size << 8 ^ to_size)) return ERR_IO;
    directory_rename(parent, from_name, from_size, to_name, to_size);
    return end_change(node, ERR_OK);
}

static enum err remove_name(struct env *env, const char *path, bool directory)
{
    struct sim_node *node = node_of(env);
    const char *name = NULL;
    size_t size = 0;
    struct inode *parent = disk_find_parent(&node->disk, path, &name, &size);
    const struct inode *inode = parent ? directory_get(parent, name, size) : NULL;
    if (!inode) return ERR_NOT_FOUND;
    if (inode->is_directory != directory) return ERR_INVALID;
    if (inode->live_entries.count > 0) return ERR_EXISTS;
    if (!begin_change(node, 'u', size)) return ERR_IO;
    directory_unlink(parent, name, size);
    return end_change(node, ERR_OK);
}

enum err sim_file_unlink(struct env *env, const char *path) { return remove_name(env, path, false); }
enum err sim_file_rmdir(struct env *env, const char *path) { return remove_name(env, path, true); }

enum err sim_file_mkdir(struct env *env, const char *path)
{
    struct sim_node *node = node_of(env);
    size_t length = strlen(path);
    ASSERT(length < PATH_BYTES_MAX);
    char part[PATH_BYTES_MAX];
    memcpy(part, path, length + 1);
    for (size_t end = 1; end <= length; end++) {
        if (path[end] != '/' && path[end] != 0) continue;
        part[end] = 0;
        const struct inode *found = disk_find(&node->disk, part);
        if (found && !found->is_directory) return ERR_EXISTS;
        const char *name = NULL;
        size_t size = 0;
        if (!found) {
            struct inode *parent = disk_find_parent(&node->disk, part, &name, &size);
            if (!begin_change(node, 'm', size)) return ERR_IO;
            directory_create(parent, name, size, true);
            enum err err = end_change(node, ERR_OK);
            if (err != ERR_OK) return err;
        }
        part[end] = path[end];
    }
    return ERR_OK;
}

enum err sim_file_list(struct env *env, const char *path, void (*each)(void *, const char *, bool), void *context)
{
    const struct inode *directory = disk_find(&node_of(env)->disk, path);
    if (!directory) return ERR_NOT_FOUND;
    if (!directory->is_directory) return ERR_INVALID;
    /* `each` may change the directory. */
    struct entries copy = {0};
    entries_assign(&copy, &directory->live_entries);
    for (uint32_t i = 0; i < copy.count; i++) each(context, copy.at[i].name, copy.at[i].inode->is_directory);
    entries_assign(&copy, &(struct entries){0});
    return ERR_OK;
}

enum err sim_file_space(struct env *env, const char *path, int64_t *free_bytes, int64_t *total_bytes)
{
    const struct disk *disk = &node_of(env)->disk;
    if (!disk_find(disk, path)) return ERR_NOT_FOUND;
    *total_bytes = disk->capacity;
    *free_bytes = disk->used < disk->capacity ? disk->capacity - disk->used : 0;
    return ERR_OK;
}

/* ---- commit -------------------------------------------------------------------------------------------------------- */

struct commit_operation {
    struct sim_operation operation;
    uint64_t up_to; /* sequence of the last change before the call */
    bool fails;
    size_t count;
    struct inode *inodes[]; /* counted */
};

static enum err commit_collect(struct sim_node *node, struct env_file *const *files, size_t file_count, const char *const *directories,
                               size_t directory_count, struct commit_operation **out)
{
    enum err err = ERR_OK;
    struct commit_operation *commit = sim_alloc(sizeof *commit + (file_count + directory_count) * sizeof *commit->inodes);
    commit->up_to = node->disk.next_sequence;
    commit->fails = takes_fault(&node->disk.commits_to_fail);
    for (size_t i = 0; i < file_count; i++) commit->inodes[commit->count++] = inode_ref(file_of(files[i])->inode);
    for (size_t i = 0; i < directory_count; i++) {
        struct inode *directory = disk_find(&node->disk, directories[i]);
        if (directory && directory->is_directory) commit->inodes[commit->count++] = inode_ref(directory);
    }
    *out = commit;
    return err;
}

static void perform_commit(struct sim_operation *operation)
{
    struct commit_operation *commit = CONTAINER_OF(operation, struct commit_operation, operation);
    for (size_t i = 0; i < commit->count; i++) {
        if (commit->fails)
            inode_lose_changes(commit->inodes[i], commit->up_to);
        else
            inode_commit(commit->inodes[i], commit->up_to);
    }
    if (commit->fails) operation->err = ERR_IO;
}

static void release_commit(struct sim_operation *operation)
{
    struct commit_operation *commit = CONTAINER_OF(operation, struct commit_operation, operation);
    for (size_t i = 0; i < commit->count; i++) inode_unref(commit->inodes[i]);
    sim_free(commit);
}

void sim_file_commit(struct env *env, struct env_op *op, struct env_file *const *files, size_t file_count, const char *const *directories,
                     size_t directory_count)
{
    struct sim_node *node = node_of(env);
    struct disk *disk = &node->disk;
    if (!begin_change(node, 'f', file_count << 8 ^ directory_count)) return;
    if (end_change(node, ERR_OK) != ERR_OK) return;
    struct commit_operation *commit = NULL;
    enum err err = commit_collect(node, files, file_count, directories, directory_count, &commit);
    commit->operation = (struct sim_operation){.perform = perform_commit, .release = release_commit, .err = err};
    int64_t delay_us = sim_delay(&disk->prng, disk->commit_least_us, disk->commit_mean_us), now_us = node->sim->now_us;
    if (disk->stall_until_us > now_us + delay_us) delay_us = disk->stall_until_us - now_us;
    sim_operation_begin(sim_env_of(env), &commit->operation, op, delay_us);
}

enum err sim_file_commit_wait(struct env *env, struct env_file *const *files, size_t file_count, const char *const *directories,
                              size_t directory_count)
{
    struct sim_node *node = node_of(env);
    if (!begin_change(node, 'f', file_count << 8 ^ directory_count)) return ERR_IO;
    if (end_change(node, ERR_OK) != ERR_OK) return ERR_IO;
    struct commit_operation *commit = NULL;
    commit_collect(node, files, file_count, directories, directory_count, &commit);
    enum err err = commit->operation.err;
    perform_commit(&commit->operation);
    if (commit->operation.err != ERR_OK) err = commit->operation.err;
    release_commit(&commit->operation);
    return err;
}

/* ---- what tests set and look at ------------------------------------------------------------------------------------ */

void sim_disk_set_outcome(struct sim_node *node, enum sim_disk_outcome outcome) { node->disk.outcome = outcome; }
uint64_t sim_disk_operations(const struct sim_node *node) { return node->disk.operations; }
void sim_disk_crash_at(struct sim_node *node, uint64_t operation) { node->disk.crash_at = operation; }
void sim_disk_set_commit_latency(struct sim_node *node, int64_t least_us, int64_t mean_us)
{
    node->disk.commit_least_us = least_us;
    node->disk.commit_mean_us = mean_us;
}
void sim_disk_stall_commits(struct sim_node *node, int64_t until_us) { node->disk.stall_until_us = until_us; }
void sim_disk_fail_commits(struct sim_node *node, uint32_t count) { node->disk.commits_to_fail = count; }
void sim_disk_fail_writes(struct sim_node *node, uint32_t count) { node->disk.writes_to_fail = count; }
void sim_disk_fail_reads(struct sim_node *node, uint32_t count) { node->disk.reads_to_fail = count; }
void sim_disk_set_capacity(struct sim_node *node, int64_t bytes) { node->disk.capacity = bytes; }
int64_t sim_disk_used(const struct sim_node *node) { return node->disk.used; }
void sim_disk_set_cold_rate(struct sim_node *node, uint32_t per_million) { node->disk.cold_per_million = per_million; }

void sim_disk_wipe(struct sim_node *node)
{
    sim_node_reap(node);
    ASSERT(!node->is_running && list_is_empty(&node->files));
    struct inode *root = node->disk.root;
    while (root->live_entries.count) {
        const char *name = root->live_entries.at[0].name;
        directory_unlink(root, name, strlen(name));
    }
    inode_commit(root, node->disk.next_sequence);
}

bool sim_disk_read(const struct sim_node *node, const char *path, void *into, size_t capacity, size_t *size)
{
    const struct inode *inode = disk_find(&node->disk, path);
    if (!inode || inode->is_directory) return false;
    *size = inode->live.size;
    size_t copied = *size < capacity ? *size : capacity;
    if (copied) memcpy(into, inode->live.p, copied);
    return true;
}

void sim_disk_write(struct sim_node *node, const char *path, const void *bytes, size_t size)
{
    const char *name = NULL;
    size_t name_size = 0;
    struct inode *parent = disk_find_parent(&node->disk, path, &name, &name_size);
    ASSERT(parent != NULL);
    struct inode *file = directory_get(parent, name, name_size);
    if (!file) file = directory_create(parent, name, name_size, false);
    file_truncate(file, 0);
    if (size) file_write(file, bytes, size, 0);
    inode_commit(parent, node->disk.next_sequence);
    inode_commit(file, node->disk.next_sequence);
}

bool sim_disk_flip_bit(struct sim_node *node, const char *path, int64_t position, unsigned bit)
{
    struct inode *file = disk_find(&node->disk, path);
    ASSERT(bit < 8);
    if (!file || file->is_directory || (size_t)position >= file->live.size) return false;
    file->live.p[position] ^= (uint8_t)(1u << bit);
    if ((size_t)position < file->durable.size) file->durable.p[position] ^= (uint8_t)(1u << bit);
    return true;
}
