/* See group_offsets.h. */
#include "broker/coordinator/group_offsets.h"

#include "common/assert.h"
#include "common/mem.h"

/* ---- names ---- */

#define NAME_OVERHEAD (sizeof(struct topic_name) + sizeof(struct map_entry) + 2 * sizeof(uint32_t))

static struct slice name_slice(const struct topic_name *name) { return slice_make(name->bytes, name->size); }

void topic_names_init(struct topic_names *names, uint64_t seed)
{
    *names = (struct topic_names){0};
    map_init(&names->names, seed);
}

void topic_names_deinit(struct topic_names *names)
{
    ASSERT(map_count(&names->names) == 0);
    map_deinit(&names->names);
}

static struct topic_name *take_name(struct topic_names *names, struct slice text)
{
    struct topic_name *name = map_get(&names->names, text);
    if (!name) {
        ASSERT(text.n <= INT16_MAX);
        name = mem_alloc(sizeof *name + text.n);
        name->size = (uint32_t)text.n;
        if (text.n) memcpy(name->bytes, text.p, text.n);
        map_put(&names->names, name_slice(name), name);
        names->bytes += NAME_OVERHEAD + text.n;
    }
    name->references++;
    return name;
}

static void drop_name(struct topic_names *names, struct topic_name *name)
{
    ASSERT(name->references > 0);
    if (--name->references > 0) return;
    names->bytes -= NAME_OVERHEAD + name->size;
    map_remove(&names->names, name_slice(name));
    mem_free(name);
}

/* ---- offsets ---- */

#define TOPIC_OVERHEAD (sizeof(struct group_topic) + sizeof(struct map_entry) + 2 * sizeof(uint32_t))

static size_t text_bytes(const struct stored_text *text) { return text ? sizeof *text + text->size : 0; }

void group_offsets_init(struct group_offsets *offsets, struct topic_names *names, uint64_t seed)
{
    *offsets = (struct group_offsets){.names = names};
    map_init(&offsets->topics, seed);
}

static void destroy_topic(struct group_offsets *offsets, struct group_topic *topic)
{
    for (uint32_t i = 0; i < topic->count; i++) {
        offsets->bytes -= text_bytes(topic->offsets[i].metadata);
        mem_free(topic->offsets[i].metadata);
    }
    offsets->count -= topic->count;
    offsets->bytes -= TOPIC_OVERHEAD + topic->capacity * sizeof *topic->offsets;
    map_remove(&offsets->topics, group_topic_name(topic));
    drop_name(offsets->names, topic->name);
    mem_free(topic->offsets);
    mem_free(topic);
}

void group_offsets_deinit(struct group_offsets *offsets)
{
    MAP_FOR_EACH (&offsets->topics, struct group_topic, topic) destroy_topic(offsets, topic);
    ASSERT(offsets->count == 0);
    ASSERT(offsets->bytes == 0);
    map_deinit(&offsets->topics);
}

/* The first entry whose partition is not below. */
static uint32_t lower_bound(const struct group_topic *topic, int32_t partition)
{
    uint32_t low = 0, high = topic->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (topic->offsets[middle].partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct group_topic *topic, uint32_t at, int32_t partition)
{
    return at < topic->count && topic->offsets[at].partition == partition;
}

static struct group_topic *topic_for(struct group_offsets *offsets, struct slice name)
{
    struct group_topic *topic = map_get(&offsets->topics, name);
    if (topic) return topic;
    topic = mem_alloc(sizeof *topic);
    topic->name = take_name(offsets->names, name);
    map_put(&offsets->topics, group_topic_name(topic), topic);
    offsets->bytes += TOPIC_OVERHEAD;
    return topic;
}

/* Room for one entry at `at`. */
static void open_gap(struct group_offsets *offsets, struct group_topic *topic, uint32_t at)
{
    ASSERT(at <= topic->count);
    if (topic->count == topic->capacity) {
        uint32_t capacity = topic->capacity + topic->capacity / 2 + 1;
        topic->offsets = mem_realloc(topic->offsets, capacity, sizeof *topic->offsets);
        offsets->bytes += (capacity - topic->capacity) * sizeof *topic->offsets;
        topic->capacity = capacity;
    }
    memmove(&topic->offsets[at + 1], &topic->offsets[at], (topic->count - at) * sizeof *topic->offsets);
    topic->offsets[at].metadata = NULL;
    topic->count++;
    offsets->count++;
}

static struct stored_text *copy_text(struct slice text)
{
    if (text.n == 0) return NULL;
    struct stored_text *copy = mem_alloc(sizeof *copy + text.n);
    copy->size = (uint32_t)text.n;
    memcpy(copy->bytes, text.p, text.n);
    return copy;
}

void group_offsets_put(struct group_offsets *offsets, struct slice topic_name, const struct committed_offset *offset, struct slice metadata)
{
    struct group_topic *topic = topic_for(offsets, topic_name);
    uint32_t at = lower_bound(topic, offset->partition);
    if (!is_at(topic, at, offset->partition)) open_gap(offsets, topic, at);
    struct committed_offset *entry = &topic->offsets[at];
    struct stored_text *old = entry->metadata;
    *entry = *offset;
    entry->metadata = copy_text(metadata);
    offsets->bytes += text_bytes(entry->metadata);
    offsets->bytes -= text_bytes(old);
    mem_free(old);
}

bool group_offsets_remove(struct group_offsets *offsets, struct slice topic_name, int32_t partition)
{
    struct group_topic *topic = map_get(&offsets->topics, topic_name);
    if (!topic) return false;
    uint32_t at = lower_bound(topic, partition);
    if (!is_at(topic, at, partition)) return false;
    if (topic->count == 1) {
        destroy_topic(offsets, topic);
        return true;
    }
    offsets->bytes -= text_bytes(topic->offsets[at].metadata);
    mem_free(topic->offsets[at].metadata);
    memmove(&topic->offsets[at], &topic->offsets[at + 1], (topic->count - at - 1) * sizeof *topic->offsets);
    topic->count--;
    offsets->count--;
    return true;
}

const struct group_topic *group_offsets_topic(const struct group_offsets *offsets, struct slice topic)
{
    return map_get(&offsets->topics, topic);
}

const struct committed_offset *group_offsets_find(const struct group_topic *topic, int32_t partition)
{
    if (!topic) return NULL;
    uint32_t at = lower_bound(topic, partition);
    return is_at(topic, at, partition) ? &topic->offsets[at] : NULL;
}

void group_offsets_invariants(const struct group_offsets *offsets)
{
    uint64_t count = 0;
    size_t bytes = 0;
    MAP_FOR_EACH (&offsets->topics, const struct group_topic, topic) {
        ASSERT(topic->count > 0);
        ASSERT(topic->count <= topic->capacity);
        for (uint32_t i = 1; i < topic->count; i++) ASSERT(topic->offsets[i - 1].partition < topic->offsets[i].partition);
        for (uint32_t i = 0; i < topic->count; i++) bytes += text_bytes(topic->offsets[i].metadata);
        bytes += TOPIC_OVERHEAD + topic->capacity * sizeof *topic->offsets;
        count += topic->count;
    }
    ASSERT(count == offsets->count);
    ASSERT(bytes == offsets->bytes);
}
