/* A disk with a page cache that a power cut takes away. Internal to the simulator's kernel.
 *
 * Every file and directory is an inode with two versions: `live` is what the process sees, `durable` what the medium holds for
 * sure. Between them lies the ordered list of uncommitted changes. A commit applies the changes up to its call to the durable
 * version; a power cut chooses a mixture of the two versions and makes it both. */
#ifndef SKIFF_TESTS_SIM_DISK_H
#define SKIFF_TESTS_SIM_DISK_H

#include "tests/sim/sim.h"

#define DISK_PAGE 4096u

struct bytes {
    uint8_t *p;
    size_t size, capacity;
};

struct inode;
struct entry {
    char *name;
    struct inode *inode; /* counted */
};
/* Sorted by name. */
struct entries {
    struct entry *at;
    uint32_t count, capacity;
};

enum change_type { CHANGE_WRITE, CHANGE_TRUNCATE, CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME };
struct change {
    struct list_node node;
    uint64_t sequence;
    enum change_type type;
    int64_t position; /* WRITE; TRUNCATE: the new size */
    struct bytes data;
    char *name, *new_name;
    struct inode *inode; /* LINK: counted */
};

struct inode {
    uint32_t references; /* of entries, changes, open files and commits */
    bool is_directory;
    struct disk *disk;
    struct list_node disk_link;
    struct bytes live, durable;                   /* files */
    struct entries live_entries, durable_entries; /* directories */
    struct list changes;
    struct bytes lost_pages; /* a byte for each page: not 0 when a failed commit has called it clean */
};

struct disk {
    struct prng prng;
    struct inode *root;
    struct list inodes;
    uint64_t next_sequence;
    uint64_t operations, crash_at;
    enum sim_disk_outcome outcome;
    int64_t commit_least_us, commit_mean_us, stall_until_us;
    uint32_t commits_to_fail, writes_to_fail, reads_to_fail, cold_per_million;
    int64_t capacity, used;
};

void bytes_write(struct bytes *bytes, const void *data, size_t size, size_t position);
void bytes_resize(struct bytes *bytes, size_t size); /* zeros beyond the old size */
void bytes_free(struct bytes *bytes);
void bytes_copy(struct bytes *to, const struct bytes *from);

void disk_init(struct disk *disk, struct prng prng);
void disk_deinit(struct disk *disk);
/* Power is gone: each inode becomes what its outcome leaves (crash.c). */
void disk_power_cut(struct disk *disk);

struct inode *inode_ref(struct inode *inode);
void inode_unref(struct inode *inode);
/* NULL when absent. Not counted. */
struct inode *disk_find(const struct disk *disk, const char *path);
/* The directory that holds the last part of `path`, which *name then points to; NULL when that directory does not exist. */
struct inode *disk_find_parent(const struct disk *disk, const char *path, const char **name, size_t *name_size);
struct inode *directory_get(const struct inode *directory, const char *name, size_t name_size);
/* Uncommitted changes; they show in the live version at once. */
struct inode *directory_create(struct inode *directory, const char *name, size_t name_size, bool is_directory);
void directory_unlink(struct inode *directory, const char *name, size_t name_size);
void directory_rename(struct inode *directory, const char *from, size_t from_size, const char *to, size_t to_size);
void file_write(struct inode *file, const void *data, size_t size, size_t position);
void file_truncate(struct inode *file, size_t size);
/* Applies the changes with sequence <= `up_to` to the durable version; or forgets them, as after a failed fsync. */
void inode_commit(struct inode *inode, uint64_t up_to);
void inode_lose_changes(struct inode *inode, uint64_t up_to);
/* For crash.c. */
void change_apply_to_file(const struct change *change, struct bytes *bytes);
void change_apply_to_directory(const struct change *change, struct entries *entries);
void change_free(struct change *change);
void entries_assign(struct entries *to, const struct entries *from);

#endif
