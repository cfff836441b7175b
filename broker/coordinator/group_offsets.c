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

void group_offsets_init(struct group_offsets *offsets, struct topic_names *names, uint64_t seed)
{
    *offsets = (struct group_offsets){.names = names};
    map_init(&offsets->topics, seed);
}

static void destroy_topic(struct group_offsets *offsets, struct group_topic *topic)
{
    offsets->count -= topic->rows.count;
    offsets->bytes -= TOPIC_OVERHEAD + topic->rows.bytes;
    map_remove(&offsets->topics, group_topic_name(topic));
    drop_name(offsets->names, topic->name);
    offset_rows_deinit(&topic->rows);
    mem_free(topic);
}

void group_offsets_deinit(struct group_offsets *offsets)
{
    MAP_FOR_EACH (&offsets->topics, struct group_topic, topic) destroy_topic(offsets, topic);
    ASSERT(offsets->count == 0);
    ASSERT(offsets->bytes == 0);
    map_deinit(&offsets->topics);
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

void group_offsets_put(struct group_offsets *offsets, struct slice topic_name, const struct committed_offset *offset)
{
    struct group_topic *topic = topic_for(offsets, topic_name);
    size_t before = topic->rows.bytes;
    offsets->count += offset_rows_put(&topic->rows, offset);
    offsets->bytes += topic->rows.bytes;
    offsets->bytes -= before;
}

bool group_offsets_remove(struct group_offsets *offsets, struct slice topic_name, int32_t partition)
{
    struct group_topic *topic = map_get(&offsets->topics, topic_name);
    if (!topic) return false;
    size_t before = topic->rows.bytes;
    if (!offset_rows_remove(&topic->rows, partition)) return false;
    offsets->count--;
    offsets->bytes -= before - topic->rows.bytes;
    if (topic->rows.count == 0) destroy_topic(offsets, topic);
    return true;
}

const struct group_topic *group_offsets_topic(const struct group_offsets *offsets, struct slice topic)
{
    return map_get(&offsets->topics, topic);
}

bool group_offsets_has(const struct group_topic *topic, int32_t partition)
{
    uint32_t at = 0;
    return topic && offset_rows_find(&topic->rows, partition, &at);
}

bool group_offsets_find(const struct group_topic *topic, int32_t partition, struct committed_offset *offset)
{
    uint32_t at = 0;
    if (!topic || !offset_rows_find(&topic->rows, partition, &at)) return false;
    *offset = offset_rows_at(&topic->rows, at);
    return true;
}

void group_offsets_invariants(const struct group_offsets *offsets)
{
    uint64_t count = 0;
    size_t bytes = 0;
    MAP_FOR_EACH (&offsets->topics, const struct group_topic, topic) {
        ASSERT(topic->rows.count > 0);
        offset_rows_invariants(&topic->rows);
        bytes += TOPIC_OVERHEAD + topic->rows.bytes;
        count += topic->rows.count;
    }
    ASSERT(count == offsets->count);
    ASSERT(bytes == offsets->bytes);
}
