/* The two versions of every inode and the changes between them. */
#include "tests/sim/disk.h"

#include "tests/sim/sim_internal.h"

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

void bytes_resize(struct bytes *bytes, size_t size)
{
    if (size > bytes->capacity) {
        size_t capacity = bytes->capacity ? bytes->capacity : 64;
        while (capacity < size) capacity *= 2;
        bytes->p = sim_realloc(bytes->p, capacity);
        bytes->capacity = capacity;
    }
    if (size > bytes->size) memset(bytes->p + bytes->size, 0, size - bytes->size);
    bytes->size = size;
}

void bytes_write(struct bytes *bytes, const void *data, size_t size, size_t position)
{
    if (position + size > bytes->size) bytes_resize(bytes, position + size);
    if (size) memcpy(bytes->p + position, data, size);
}

void bytes_copy(struct bytes *to, const struct bytes *from)
{
    to->size = 0;
    bytes_write(to, from->p, from->size, 0);
}

void bytes_free(struct bytes *bytes)
{
    sim_free(bytes->p);
    *bytes = (struct bytes){0};
}

/* ---- directory entries --------------------------------------------------------------------------------------------- */

static int compare_names(const char *name, const char *other, size_t other_size)
{
    int order = strncmp(name, other, other_size);
    return order ? order : name[other_size] != 0;
}

/* The place of the name, or where it would go. */
static uint32_t entries_place(const struct entries *entries, const char *name, size_t name_size, bool *found)
{
    uint32_t low = 0, high = entries->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (compare_names(entries->at[middle].name, name, name_size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < entries->count && compare_names(entries->at[low].name, name, name_size) == 0;
    return low;
}

static void entries_remove(struct entries *entries, const char *name, size_t name_size)
{
    bool found = false;
    uint32_t place = entries_place(entries, name, name_size, &found);
    if (!found) return;
    struct entry gone = entries->at[place];
    memmove(&entries->at[place], &entries->at[place + 1], (entries->count - place - 1) * sizeof *entries->at);
    entries->count--;
    sim_free(gone.name);
    inode_unref(gone.inode);
}

static void entries_put(struct entries *entries, const char *name, size_t name_size, struct inode *inode)
{
    inode_ref(inode);
    entries_remove(entries, name, name_size);
    if (entries->count == entries->capacity) {
        entries->capacity = entries->capacity ? entries->capacity * 2 : 4;
        entries->at = sim_realloc(entries->at, entries->capacity * sizeof *entries->at);
    }
    bool found = false;
    uint32_t place = entries_place(entries, name, name_size, &found);
    memmove(&entries->at[place + 1], &entries->at[place], (entries->count - place) * sizeof *entries->at);
    char *copy = sim_alloc(name_size + 1);
    memcpy(copy, name, name_size);
    entries->at[place] = (struct entry){copy, inode};
    entries->count++;
}

static void entries_clear(struct entries *entries)
{
    while (entries->count) entries_remove(entries, entries->at[entries->count - 1].name, strlen(entries->at[entries->count - 1].name));
    sim_free(entries->at);
    *entries = (struct entries){0};
}

void entries_assign(struct entries *to, const struct entries *from)
{
    struct entries fresh = {0};
    for (uint32_t i = 0; i < from->count; i++) entries_put(&fresh, from->at[i].name, strlen(from->at[i].name), from->at[i].inode);
    entries_clear(to);
    *to = fresh;
}

/* ---- inodes -------------------------------------------------------------------------------------------------------- */

static struct inode *inode_create(struct disk *disk, bool is_directory)
{
    struct inode *inode = sim_alloc(sizeof *inode);
    inode->references = 1;
    inode->is_directory = is_directory;
    inode->disk = disk;
    list_init(&inode->changes);
    list_push_back(&disk->inodes, &inode->disk_link);
    return inode;
}

struct inode *inode_ref(struct inode *inode)
{
    ASSERT(inode->references > 0);
    inode->references++;
    return inode;
}

void change_free(struct change *change)
{
    list_remove(&change->node);
    struct inode *inode = change->inode;
    bytes_free(&change->data);
    sim_free(change->name);
    sim_free(change->new_name);
    sim_free(change);
    if (inode) inode_unref(inode);
}

static void forget_changes(struct inode *inode)
{
    LIST_FOR_EACH (&inode->changes, node) change_free(CONTAINER_OF(node, struct change, node));
}

void inode_unref(struct inode *inode)
{
    ASSERT(inode->references > 0);
    if (--inode->references > 0) return;
    inode->disk->used -= (int64_t)inode->live.size;
    list_remove(&inode->disk_link);
    forget_changes(inode);
    entries_clear(&inode->live_entries);
    entries_clear(&inode->durable_entries);
    bytes_free(&inode->live);
    bytes_free(&inode->durable);
    bytes_free(&inode->lost_pages);
    sim_free(inode);
}

/* ---- changes ------------------------------------------------------------------------------------------------------- */

void change_apply_to_file(const struct change *change, struct bytes *bytes)
{
    if (change->type == CHANGE_WRITE)
        bytes_write(bytes, change->data.p, change->data.size, (size_t)change->position);
    else
        bytes_resize(bytes, (size_t)change->position);
}

void change_apply_to_directory(const struct change *change, struct entries *entries)
{
    bool found = false;
    size_t name_size = strlen(change->name);
    if (change->type == CHANGE_LINK) {
        entries_put(entries, change->name, name_size, change->inode);
    } else if (change->type == CHANGE_UNLINK) {
        entries_remove(entries, change->name, name_size);
    } else {
        uint32_t place = entries_place(entries, change->name, name_size, &found);
        if (!found) return;
        struct inode *moved = inode_ref(entries->at[place].inode);
        entries_remove(entries, change->name, name_size);
        entries_put(entries, change->new_name, strlen(change->new_name), moved);
        inode_unref(moved);
    }
}

static struct change *change_add(struct inode *inode, enum change_type type)
{
    struct change *change = sim_alloc(sizeof *change);
    change->type = type;
    change->sequence = ++inode->disk->next_sequence;
    list_push_back(&inode->changes, &change->node);
    return change;
}

static char *copy_name(const char *name, size_t size)
{
    char *copy = sim_alloc(size + 1);
    memcpy(copy, name, size);
    return copy;
}

struct inode *directory_create(struct inode *directory, const char *name, size_t name_size, bool is_directory)
{
    ASSERT(directory->is_directory);
    struct inode *inode = inode_create(directory->disk, is_directory);
    struct change *change = change_add(directory, CHANGE_LINK);
    change->name = copy_name(name, name_size);
    change->inode = inode; /* takes over the first reference */
    change_apply_to_directory(change, &directory->live_entries);
    return inode;
}

void directory_unlink(struct inode *directory, const char *name, size_t name_size)
{
    struct change *change = change_add(directory, CHANGE_UNLINK);
    change->name = copy_name(name, name_size);
    change_apply_to_directory(change, &directory->live_entries);
}

void directory_rename(struct inode *directory, const char *from, size_t from_size, const char *to, size_t to_size)
{
    struct change *change = change_add(directory, CHANGE_RENAME);
    change->name = copy_name(from, from_size);
    change->new_name = copy_name(to, to_size);
    change_apply_to_directory(change, &directory->live_entries);
}

static void lose_pages(struct inode *file, const struct change *change)
{
    size_t from = (size_t)change->position / DISK_PAGE, to = ((size_t)change->position + change->data.size + DISK_PAGE - 1) / DISK_PAGE;
    if (file->lost_pages.size < to) bytes_resize(&file->lost_pages, to);
    memset(file->lost_pages.p + from, 1, to - from);
}

/* A page goes to the disk as a whole: a write to one that a failed commit has called clean brings back what was lost around it. */
static void write_whole_pages(struct inode *file, struct change *change)
{
    size_t from = (size_t)change->position, to = from + change->data.size, pages = file->lost_pages.size;
    if (change->data.size == 0 || to > file->live.size) return;
    size_t first = from / DISK_PAGE, last = (to - 1) / DISK_PAGE;
    if (first < pages && file->lost_pages.p[first]) from = first * DISK_PAGE;
    if (last < pages && file->lost_pages.p[last]) to = (last + 1) * DISK_PAGE < file->live.size ? (last + 1) * DISK_PAGE : file->live.size;
    for (size_t page = first; page <= last && page < pages; page++) file->lost_pages.p[page] = 0;
    if (to - from == change->data.size) return;
    bytes_resize(&change->data, 0);
    bytes_write(&change->data, file->live.p + from, to - from, 0);
    change->position = (int64_t)from;
}

void file_write(struct inode *file, const void *data, size_t size, size_t position)
{
    ASSERT(!file->is_directory);
    struct change *change = change_add(file, CHANGE_WRITE);
    change->position = (int64_t)position;
    bytes_write(&change->data, data, size, 0);
    size_t before = file->live.size;
    change_apply_to_file(change, &file->live);
    file->disk->used += (int64_t)(file->live.size - before);
    write_whole_pages(file, change);
}

void file_truncate(struct inode *file, size_t size)
{
    ASSERT(!file->is_directory);
    struct change *change = change_add(file, CHANGE_TRUNCATE);
    change->position = (int64_t)size;
    file->disk->used += (int64_t)size - (int64_t)file->live.size;
    change_apply_to_file(change, &file->live);
}

void inode_commit(struct inode *inode, uint64_t up_to)
{
    LIST_FOR_EACH (&inode->changes, node) {
        struct change *change = CONTAINER_OF(node, struct change, node);
        if (change->sequence > up_to) break;
        if (inode->is_directory)
            change_apply_to_directory(change, &inode->durable_entries);
        else
            change_apply_to_file(change, &inode->durable);
        change_free(change);
    }
}

void inode_lose_changes(struct inode *inode, uint64_t up_to)
{
    LIST_FOR_EACH (&inode->changes, node) {
        struct change *change = CONTAINER_OF(node, struct change, node);
        if (change->sequence > up_to) break;
        /* Directories and sizes stay as they are: a journal that failed is retried, dropped data pages are not. */
        if (inode->is_directory) return;
        if (change->type != CHANGE_WRITE) continue;
        lose_pages(inode, change);
        change_free(change);
    }
    LIST_FOR_EACH (&inode->changes, node) {
        struct change *change = CONTAINER_OF(node, struct change, node);
        if (change->type == CHANGE_WRITE) write_whole_pages(inode, change);
    }
}

/* ---- paths --------------------------------------------------------------------------------------------------------- */

/* Cuts the next part off *path; 0 at the end. "." and empty parts are skipped. */
static size_t next_part(const char **path, const char **part)
{
    for (;;) {
        while (**path == '/') ++*path;
        *part = *path;
        while (**path && **path != '/') ++*path;
        size_t size = (size_t)(*path - *part);
        if (size != 1 || **part != '.') return size;
    }
}

struct inode *directory_get(const struct inode *directory, const char *name, size_t name_size)
{
    bool found = false;
    uint32_t place = entries_place(&directory->live_entries, name, name_size, &found);
    return found ? directory->live_entries.at[place].inode : NULL;
}

struct inode *disk_find(const struct disk *disk, const char *path)
{
    struct inode *at = disk->root;
    const char *part = NULL;
    for (size_t size = 0; (size = next_part(&path, &part)) > 0;) {
        if (!at->is_directory) return NULL;
        at = directory_get(at, part, size);
        if (!at) return NULL;
    }
    return at;
}

struct inode *disk_find_parent(const struct disk *disk, const char *path, const char **name, size_t *name_size)
{
    struct inode *at = disk->root;
    *name_size = next_part(&path, name);
    ASSERT(*name_size > 0);
    for (;;) {
        const char *part = NULL;
        size_t size = next_part(&path, &part);
        if (size == 0) return at;
        at = directory_get(at, *name, *name_size);
        if (!at || !at->is_directory) return NULL;
        *name = part;
        *name_size = size;
    }
}

/* ---- disks --------------------------------------------------------------------------------------------------------- */

void disk_init(struct disk *disk, struct prng prng)
{
    *disk = (struct disk){.prng = prng, .commit_least_us = 100, .commit_mean_us = 300, .cold_per_million = 50000};
    disk->capacity = INT64_C(1) << 40;
    list_init(&disk->inodes);
    disk->root = inode_create(disk, true);
}

void disk_deinit(struct disk *disk)
{
    /* Changes may hold the last references of inodes that hold changes; directories first, until nothing is left. */
    inode_unref(disk->root);
    ASSERT(list_is_empty(&disk->inodes));
}
