/* What a power cut leaves of the uncommitted changes.
 *
 * A file: a first part of its changes is taken as the target (all of them for most outcomes); then target and durable version
 * are mixed page by page or sector by sector, in one outcome with all versions between. A directory: a first part of its changes, as a
 * journal keeps it. So a renamed file may be there with none of its bytes, and a file with all its bytes may have lost its name. */
#include "tests/sim/sim_internal.h"

#define PAGE   4096u
#define SECTOR 512u

static uint32_t count_changes(const struct inode *inode)
{
    uint32_t count = 0;
    LIST_FOR_EACH (&inode->changes, node) count++;
    return count;
}

/* The durable version with the first `count` changes, the next one of them cut at a sector border when it is a write. */
static void build_prefix(const struct inode *file, uint32_t count, struct prng *prng, struct bytes *out)
{
    bytes_copy(out, &file->durable);
    LIST_FOR_EACH (&file->changes, node) {
        const struct change *change = CONTAINER_OF(node, struct change, node);
        if (count-- > 0) {
            change_apply_to_file(change, out);
            continue;
        }
        if (change->type != CHANGE_WRITE || !prng) return;
        size_t from = (size_t)change->position, to = from + change->data.size;
        size_t cut = (size_t)prng_range(prng, (int64_t)from, (int64_t)to) / SECTOR * SECTOR;
        if (cut > from) bytes_write(out, change->data.p, cut - from, from);
        return;
    }
}

/* Bytes [from, to) of the result come from the durable version, zeros where it has none. */
static void restore_old(const struct inode *file, struct bytes *out, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < out->size; i++) out->p[i] = i < file->durable.size ? file->durable.p[i] : 0;
}

static void mix_pages(const struct inode *file, struct prng *prng, struct bytes *out)
{
    for (size_t page = 0; page < out->size; page += PAGE) {
        if (prng_chance(prng, 1, 2)) restore_old(file, out, page, page + PAGE);
    }
}

/* One page has some new and some old sectors; nothing that was written behind it arrived. */
static void tear(const struct inode *file, struct prng *prng, struct bytes *out)
{
    size_t first = 0, shared = out->size < file->durable.size ? out->size : file->durable.size;
    while (first < shared && out->p[first] == file->durable.p[first]) first++;
    if (first == out->size) return;
    size_t pages = (out->size - first + PAGE - 1) / PAGE;
    size_t page = (first / PAGE + (size_t)prng_below(prng, pages)) * PAGE;
    for (size_t sector = page; sector < page + PAGE; sector += SECTOR) {
        if (prng_chance(prng, 1, 2)) restore_old(file, out, sector, sector + SECTOR);
    }
    if (page + PAGE < out->size) bytes_resize(out, page + PAGE);
    if (file->durable.size > out->size) bytes_write(out, file->durable.p + out->size, file->durable.size - out->size, out->size);
}

/* Restores all sectors that changed but the last, or only the first. */
static void keep_edge(const struct inode *file, bool keeps_last, struct bytes *out)
{
    size_t first = SIZE_MAX, last = 0;
    for (size_t i = 0; i < out->size; i++) {
        if (out->p[i] == (i < file->durable.size ? file->durable.p[i] : 0)) continue;
        if (first == SIZE_MAX) first = i / SECTOR * SECTOR;
        last = i / SECTOR * SECTOR;
    }
    if (first == SIZE_MAX) return;
    if (keeps_last)
        restore_old(file, out, first, last);
    else
        restore_old(file, out, first, first + SECTOR);
}

static void take_sectors(const struct bytes *now, const uint32_t *moments, uint32_t moment, struct bytes *out)
{
    if (out->size < now->size) bytes_resize(out, now->size);
    for (size_t at = 0; at < now->size; at += SECTOR) {
        size_t size = now->size - at < SECTOR ? now->size - at : SECTOR;
        if (moments[at / SECTOR] == moment) memcpy(out->p + at, now->p + at, size);
    }
}

/* Data reaches the medium sector by sector whenever the kernel likes; a truncation comes with the journal, and nothing from before
 * it shows behind its cut. */
static void mix_moments(const struct inode *file, uint32_t count, struct prng *prng, struct bytes *out)
{
    struct bytes now = {0};
    uint32_t reached = prng_chance(prng, 1, 2) ? count : (uint32_t)prng_below(prng, count + 1u), moment = 0;
    size_t size = file->durable.size;
    LIST_FOR_EACH (&file->changes, node) {
        const struct change *change = CONTAINER_OF(node, struct change, node);
        size_t end = (size_t)change->position + (change->type == CHANGE_WRITE ? change->data.size : 0);
        size = end > size ? end : size;
    }
    uint32_t *moments = sim_alloc((size / SECTOR + 1) * sizeof *moments);
    for (size_t i = 0; i <= size / SECTOR; i++) moments[i] = (uint32_t)prng_below(prng, reached + 1u);
    bytes_copy(&now, &file->durable);
    bytes_copy(out, &file->durable);
    LIST_FOR_EACH (&file->changes, node) {
        const struct change *change = CONTAINER_OF(node, struct change, node);
        if (moment++ == reached) break;
        change_apply_to_file(change, &now);
        if (change->type == CHANGE_TRUNCATE) change_apply_to_file(change, out);
        take_sectors(&now, moments, moment, out);
    }
    bytes_resize(out, now.size);
    bytes_free(&now);
    sim_free(moments);
}

static void cut_file(struct disk *disk, struct inode *file)
{
    struct prng *prng = &disk->prng;
    enum sim_disk_outcome outcome = disk->outcome;
    if (outcome == SIM_DISK_RANDOM) outcome = (enum sim_disk_outcome)(1 + prng_below(prng, SIM_DISK_OUTCOME_COUNT - 1));
    uint32_t count = count_changes(file);
    struct bytes out = {0};
    switch (outcome) {
    case SIM_DISK_DROP_ALL: build_prefix(file, 0, NULL, &out); break;
    case SIM_DISK_KEEP_ALL: build_prefix(file, count, NULL, &out); break;
    case SIM_DISK_PREFIX: build_prefix(file, (uint32_t)prng_below(prng, count + 1u), prng, &out); break;
    case SIM_DISK_PAGES:
        build_prefix(file, count, NULL, &out);
        mix_pages(file, prng, &out);
        break;
    case SIM_DISK_TORN:
        build_prefix(file, count, NULL, &out);
        tear(file, prng, &out);
        break;
    case SIM_DISK_ZERO_EXTEND:
        build_prefix(file, count, NULL, &out);
        restore_old(file, &out, 0, out.size);
        break;
    case SIM_DISK_MOMENTS: mix_moments(file, count, prng, &out); break;
    case SIM_DISK_LAST_ONLY:
    case SIM_DISK_FIRST_LOST:
        build_prefix(file, count, NULL, &out);
        keep_edge(file, outcome == SIM_DISK_LAST_ONLY, &out);
        break;
    case SIM_DISK_RANDOM:
    case SIM_DISK_OUTCOME_COUNT: UNREACHABLE();
    }
    bytes_free(&file->durable);
    file->durable = out;
    bytes_copy(&file->live, &file->durable);
}

static void cut_directory(struct disk *disk, struct inode *directory)
{
    uint32_t count = count_changes(directory), kept = (uint32_t)prng_below(&disk->prng, count + 1u);
    if (disk->outcome == SIM_DISK_KEEP_ALL) kept = count;
    if (disk->outcome == SIM_DISK_DROP_ALL) kept = 0;
    LIST_FOR_EACH (&directory->changes, node) {
        if (kept-- == 0) break;
        change_apply_to_directory(CONTAINER_OF(node, struct change, node), &directory->durable_entries);
    }
}

static void drop_changes(struct inode *inode)
{
    LIST_FOR_EACH (&inode->changes, node) change_free(CONTAINER_OF(node, struct change, node));
}

void disk_power_cut(struct disk *disk)
{
    /* Every inode is held while names come and go, or the walk would lose its footing. */
    LIST_FOR_EACH (&disk->inodes, node) inode_ref(CONTAINER_OF(node, struct inode, disk_link));
    LIST_FOR_EACH (&disk->inodes, node) {
        struct inode *inode = CONTAINER_OF(node, struct inode, disk_link);
        if (inode->is_directory)
            cut_directory(disk, inode);
        else if (!list_is_empty(&inode->changes) || inode->live.size != inode->durable.size ||
                 (inode->live.size && memcmp(inode->live.p, inode->durable.p, inode->live.size) != 0))
            cut_file(disk, inode);
    }
    LIST_FOR_EACH (&disk->inodes, node) {
        struct inode *inode = CONTAINER_OF(node, struct inode, disk_link);
        drop_changes(inode);
        if (inode->is_directory) entries_assign(&inode->live_entries, &inode->durable_entries);
    }
    disk->used = 0;
    LIST_FOR_EACH (&disk->inodes, node) disk->used += (int64_t)CONTAINER_OF(node, struct inode, disk_link)->live.size;
    LIST_FOR_EACH (&disk->inodes, node) inode_unref(CONTAINER_OF(node, struct inode, disk_link));
}
