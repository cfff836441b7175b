#include "controller/metadata/image.h"

#include "common/assert.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/writer.h"
#include "controller/metadata/image_edit.h"

_Static_assert(sizeof(struct image_partition) <= 48, "10,000 partitions are to cost half a megabyte");

/* ---- lifecycle ------------------------------------------------------------------------------------------------------- */

void image_init(struct image *image, uint64_t seed)
{
    *image = (struct image){.controller_id = NO_BROKER, .cluster_id = mem_strdup("")};
    map_init(&image->topics, seed);
    map_init(&image->topics_by_id, seed);
    map_init(&image->brokers, seed);
    map_init(&image->broker_configs, seed);
    map_init(&image->reassignments, seed);
    map_init(&image->quotas, seed);
}

static void configs_deinit(struct image_configs *configs)
{
    for (uint32_t i = 0; i < configs->count; i++) {
        mem_free(configs->items[i].name);
        mem_free(configs->items[i].value);
    }
    mem_free(configs->items);
}

void image_broker_forget_claims(struct image_broker *broker)
{
    for (uint32_t i = 0; i < broker->listener_count; i++) {
        mem_free(broker->listeners[i].name);
        mem_free(broker->listeners[i].host);
    }
    for (uint32_t i = 0; i < broker->feature_count; i++) mem_free(broker->features[i].name);
    mem_free(broker->listeners);
    mem_free(broker->features);
    mem_free(broker->directories);
    mem_free(broker->rack);
    broker->listeners = NULL, broker->features = NULL, broker->directories = NULL, broker->rack = NULL;
    broker->listener_count = broker->feature_count = broker->directory_count = 0;
}

static void broker_destroy(struct image_broker *broker)
{
    image_broker_forget_claims(broker);
    mem_free(broker);
}

static void quota_destroy(struct image_quota *quota)
{
    for (uint32_t i = 0; i < quota->count; i++) mem_free(quota->values[i].key);
    for (size_t i = 0; i < QUOTA_ENTITY_TYPES; i++) mem_free(quota->entity.names[i]);
    mem_free(quota->values);
    mem_free(quota->key);
    mem_free(quota);
}

void image_topic_destroy(struct image_topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (topic->partitions[i].replica_count > INLINE_NODES / 2) mem_free(topic->partitions[i].nodes.far);
    mem_free(topic->partitions);
    configs_deinit(&topic->configs);
    mem_free(topic->name);
    mem_free(topic);
}

void image_deinit(struct image *image)
{
    MAP_FOR_EACH (&image->topics, struct image_topic, topic) image_topic_destroy(topic);
    MAP_FOR_EACH (&image->brokers, struct image_broker, broker) broker_destroy(broker);
    MAP_FOR_EACH (&image->broker_configs, struct image_broker_configs, entry) {
        configs_deinit(&entry->configs);
        mem_free(entry);
    }
    MAP_FOR_EACH (&image->quotas, struct image_quota, quota) quota_destroy(quota);
    MAP_FOR_EACH (&image->reassignments, struct image_reassignment, reassignment) mem_free(reassignment);
    for (uint32_t i = 0; i < image->feature_count; i++) mem_free(image->features[i].name);
    mem_free(image->features);
    mem_free(image->cluster_id);
    map_deinit(&image->topics);
    map_deinit(&image->topics_by_id);
    map_deinit(&image->brokers);
    map_deinit(&image->broker_configs);
    map_deinit(&image->reassignments);
    map_deinit(&image->quotas);
}

/* ---- looking --------------------------------------------------------------------------------------------------------- */

bool node_ids_contain(struct node_ids nodes, int32_t id)
{
    for (uint32_t i = 0; i < nodes.count; i++)
        if (nodes.ids[i] == id) return true;
    return false;
}

bool node_ids_equal(struct node_ids a, struct node_ids b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.ids, b.ids, a.count * sizeof *a.ids) == 0);
}

struct image_topic *image_topic_by_name(const struct image *image, struct slice name) { return map_get(&image->topics, name); }
struct image_topic *image_topic_by_id(const struct image *image, struct uuid id) { return map_get(&image->topics_by_id, MAP_KEY(&id)); }
struct image_broker *image_broker_get(const struct image *image, int32_t id) { return map_get(&image->brokers, MAP_KEY(&id)); }
bool image_is_active(const struct image *image, int32_t broker_id) { return image_broker_is_active(image_broker_get(image, broker_id)); }
struct image_topic *image_next_topic(const struct image *image, uint32_t *at) { return map_next(&image->topics, at); }
struct image_broker *image_next_broker(const struct image *image, uint32_t *at) { return map_next(&image->brokers, at); }

const struct image_partition *image_partition_get(const struct image *image, struct uuid topic_id, int32_t partition)
{
    const struct image_topic *topic = image_topic_by_id(image, topic_id);
    return topic && partition >= 0 && partition < topic->partition_count ? &topic->partitions[partition] : NULL;
}

const struct image_listener *image_broker_listener(const struct image_broker *broker, struct slice name)
{
    for (uint32_t i = 0; i < broker->listener_count; i++)
        if (slice_equal_str(name, broker->listeners[i].name)) return &broker->listeners[i];
    return NULL;
}

const char *image_configs_get(const struct image_configs *configs, const char *name)
{
    for (uint32_t i = 0; i < configs->count; i++)
        if (strcmp(configs->items[i].name, name) == 0) return configs->items[i].value;
    return NULL;
}

const struct image_configs *image_broker_configs(const struct image *image, int32_t id)
{
    static const struct image_configs none;
    const struct image_broker_configs *entry = map_get(&image->broker_configs, MAP_KEY(&id));
    return entry ? &entry->configs : &none;
}

const char *image_topic_config(const struct image *image, const struct image_topic *topic, const char *name, const char *broker_name)
{
    const char *own = image_configs_get(&topic->configs, name);
    if (own || !broker_name) return own;
    return image_configs_get(image_broker_configs(image, NO_BROKER), broker_name);
}

uint32_t image_feature_level(const struct image *image, const char *name)
{
    for (uint32_t i = 0; i < image->feature_count; i++)
        if (strcmp(image->features[i].name, name) == 0) return image->features[i].level_max;
    return 0;
}

const struct image_reassignment *image_reassignment_get(const struct image *image, struct uuid topic_id, int32_t partition)
{
    struct image_partition_key key = {topic_id, partition};
    return map_count(&image->reassignments) ? map_get(&image->reassignments, MAP_KEY(&key)) : NULL;
}

int32_t image_min_isr_configured(const struct image *image, const struct image_topic *topic)
{
    const char *text = image_topic_config(image, topic, "min.insync.replicas", "min.insync.replicas");
    int64_t value = 1;
    if (text && (!str_parse_i64(slice_str(text), &value) || value < 1)) value = 1;
    return value < INT32_MAX ? (int32_t)value : INT32_MAX;
}

int32_t image_min_isr(const struct image *image, const struct image_topic *topic, const struct image_partition *partition)
{
    int32_t value = image_min_isr_configured(image, topic);
    return value < partition->replica_count ? value : partition->replica_count;
}

/* ---- topics and partitions ------------------------------------------------------------------------------------------- */

struct image_topic *image_add_topic(struct image *image, struct uuid id, struct slice name)
{
    ASSERT(name.n > 0 && !image_topic_by_name(image, name));
    struct image_topic *topic = mem_alloc(sizeof *topic);
    topic->id = id;
    topic->name = mem_strndup((const char *)name.p, name.n);
    topic->name_size = (uint32_t)name.n;
    map_put(&image->topics, slice_make(topic->name, topic->name_size), topic);
    map_put(&image->topics_by_id, MAP_KEY(&topic->id), topic);
    return topic;
}

static void drop_reassignments(struct image *image, const struct image_topic *topic)
{
    struct node_ids none = {0};
    for (int32_t i = 0; i < topic->partition_count && map_count(&image->reassignments); i++)
        image_set_reassignment(image, topic->id, i, none, none);
}

void image_take_topic(struct image *image, struct image_topic *topic)
{
    drop_reassignments(image, topic);
    void *by_name = map_remove(&image->topics, slice_make(topic->name, topic->name_size));
    void *by_id = map_remove(&image->topics_by_id, MAP_KEY(&topic->id));
    ASSERT(by_name == topic && by_id == topic);
    image->partition_count -= topic->partition_count;
}

struct image_partition *image_add_partition(struct image *image, struct image_topic *topic)
{
    if (topic->partition_count == topic->partition_capacity) {
        /* By a quarter: a large topic wastes little, and n additions still cost O(n) copies. */
        topic->partition_capacity += 1 + topic->partition_capacity / 4;
        topic->partitions = mem_realloc(topic->partitions, (size_t)topic->partition_capacity, sizeof *topic->partitions);
    }
    struct image_partition *partition = &topic->partitions[topic->partition_count++];
    *partition = (struct image_partition){.leader = NO_LEADER, .last_known_leader = NO_BROKER};
    image->partition_count++;
    return partition;
}

void image_partition_set_replicas(struct image_partition *partition, struct node_ids replicas)
{
    ASSERT(replicas.count > 0 && replicas.count <= UINT8_MAX);
    if (partition->replica_count > INLINE_NODES / 2) mem_free(partition->nodes.far);
    partition->isr_count = partition->elr_count = 0;
    partition->replica_count = (uint8_t)replicas.count;
    int32_t *nodes = partition->nodes.near;
    if (replicas.count > INLINE_NODES / 2) nodes = partition->nodes.far = mem_calloc((size_t)replicas.count * 2, sizeof *nodes);
    memcpy(nodes, replicas.ids, replicas.count * sizeof *nodes);
}

void image_partition_set_isr(struct image_partition *partition, struct node_ids isr, struct node_ids elr)
{
    ASSERT(isr.count + elr.count <= partition->replica_count);
    int32_t *nodes = partition->replica_count > INLINE_NODES / 2 ? partition->nodes.far : partition->nodes.near;
    nodes += partition->replica_count;
    if (isr.count) memcpy(nodes, isr.ids, isr.count * sizeof *nodes);
    if (elr.count) memcpy(nodes + isr.count, elr.ids, elr.count * sizeof *nodes);
    partition->isr_count = (uint8_t)isr.count;
    partition->elr_count = (uint8_t)elr.count;
}

void image_set_reassignment(struct image *image, struct uuid topic_id, int32_t partition, struct node_ids adding, struct node_ids removing)
{
    struct image_partition_key key = {topic_id, partition};
    if (adding.count + removing.count + map_count(&image->reassignments) == 0) return;
    mem_free(map_remove(&image->reassignments, MAP_KEY(&key)));
    if (adding.count + removing.count == 0) return;
    struct image_reassignment *r = mem_alloc(sizeof *r + (adding.count + removing.count) * sizeof *r->ids);
    r->key = key;
    r->adding_count = adding.count;
    r->removing_count = removing.count;
    if (adding.count) memcpy(r->ids, adding.ids, adding.count * sizeof *r->ids);
    if (removing.count) memcpy(r->ids + adding.count, removing.ids, removing.count * sizeof *r->ids);
    map_put(&image->reassignments, MAP_KEY(&r->key), r);
}

/* ---- brokers, configs, features -------------------------------------------------------------------------------------- */

struct image_broker *image_add_broker(struct image *image, int32_t id)
{
    struct image_broker *broker = mem_alloc(sizeof *broker);
    broker->id = id;
    broker->unfenced_epoch = -1;
    map_put(&image->brokers, MAP_KEY(&broker->id), broker);
    return broker;
}

void image_remove_broker(struct image *image, struct image_broker *broker)
{
    map_remove(&image->brokers, MAP_KEY(&broker->id));
    broker_destroy(broker);
}

static struct image_config *configs_find(struct image_configs *configs, const char *name)
{
    for (uint32_t i = 0; i < configs->count; i++)
        if (strcmp(configs->items[i].name, name) == 0) return &configs->items[i];
    return NULL;
}

static void configs_remove(struct image_configs *configs, struct image_config *item)
{
    mem_free(item->name);
    mem_free(item->value);
    /* The order is part of the state: snapshots write it. */
    memmove(item, item + 1, (size_t)(configs->items + --configs->count - item) * sizeof *item);
}

bool image_configs_set(struct image_configs *configs, const char *name, const char *value)
{
    struct image_config *item = configs_find(configs, name);
    if (!value) {
        if (item) configs_remove(configs, item);
        return item != NULL;
    }
    if (item) {
        if (strcmp(item->value, value) == 0) return false;
        mem_free(item->value);
        item->value = mem_strdup(value);
        return true;
    }
    if (configs->count == configs->capacity) {
        configs->capacity = configs->capacity ? configs->capacity * 2 : 2;
        configs->items = mem_realloc(configs->items, configs->capacity, sizeof *configs->items);
    }
    configs->items[configs->count++] = (struct image_config){mem_strdup(name), mem_strdup(value)};
    return true;
}

bool image_set_broker_config(struct image *image, int32_t id, const char *name, const char *value)
{
    struct image_broker_configs *entry = map_get(&image->broker_configs, MAP_KEY(&id));
    if (!entry) {
        if (!value) return false;
        entry = mem_alloc(sizeof *entry);
        entry->id = id;
        map_put(&image->broker_configs, MAP_KEY(&entry->id), entry);
    }
    bool changed = image_configs_set(&entry->configs, name, value);
    if (entry->configs.count == 0) {
        /* No empty entries: a loaded snapshot has none either. */
        map_remove(&image->broker_configs, MAP_KEY(&entry->id));
        configs_deinit(&entry->configs);
        mem_free(entry);
    }
    return changed;
}

void image_set_feature(struct image *image, const char *name, uint32_t level)
{
    for (uint32_t i = 0; i < image->feature_count; i++) {
        struct image_feature *feature = &image->features[i];
        if (strcmp(feature->name, name) != 0) continue;
        feature->level_min = feature->level_max = level;
        if (level) return;
        mem_free(feature->name);
        memmove(feature, feature + 1, (size_t)(--image->feature_count - i) * sizeof *feature);
        return;
    }
    if (!level) return;
    image->features = mem_realloc(image->features, (size_t)image->feature_count + 1, sizeof *image->features);
    image->features[image->feature_count++] = (struct image_feature){mem_strdup(name), level, level};
}

/* One text for each entity; what follows a length cannot be taken for the next part. */
static void quota_key(const struct quota_entity *entity, struct writer *out)
{
    for (size_t i = 0; i < QUOTA_ENTITY_TYPES; i++) {
        const char *name = entity->names[i];
        writer_u8(out, (uint8_t)(entity->has[i] ? (name ? 2 : 1) : 0));
        if (!entity->has[i] || !name) continue;
        writer_u32(out, (uint32_t)strlen(name));
        writer_bytes(out, slice_str(name));
    }
}

static struct image_quota *quota_find(const struct image *image, const struct quota_entity *entity)
{
    struct writer key;
    writer_init(&key, 64);
    quota_key(entity, &key);
    struct image_quota *quota = map_get(&image->quotas, writer_slice(&key));
    writer_deinit(&key);
    return quota;
}

const struct image_quota *image_quota_get(const struct image *image, const struct quota_entity *entity)
{
    return quota_find(image, entity);
}

static struct image_quota *quota_add(struct image *image, const struct quota_entity *entity)
{
    struct image_quota *quota = mem_alloc(sizeof *quota);
    struct writer key;
    writer_init(&key, 64);
    quota_key(entity, &key);
    struct slice bytes = writer_slice(&key);
    quota->key = mem_strndup((const char *)bytes.p, bytes.n);
    quota->entity = *entity;
    for (size_t i = 0; i < QUOTA_ENTITY_TYPES; i++)
        if (entity->names[i]) quota->entity.names[i] = mem_strdup(entity->names[i]);
    map_put(&image->quotas, slice_make(quota->key, bytes.n), quota);
    quota->key_size = (uint32_t)bytes.n;
    writer_deinit(&key);
    return quota;
}

static struct image_quota_value *quota_value(struct image_quota *quota, const char *key)
{
    for (uint32_t i = 0; i < quota->count; i++)
        if (strcmp(quota->values[i].key, key) == 0) return &quota->values[i];
    return NULL;
}

static void quota_remove(struct image *image, struct image_quota *quota, struct image_quota_value *value)
{
    mem_free(value->key);
    memmove(value, value + 1, (size_t)(quota->values + --quota->count - value) * sizeof *value);
    if (quota->count > 0) return;
    map_remove(&image->quotas, slice_make(quota->key, quota->key_size));
    quota_destroy(quota);
}

void image_set_quota(struct image *image, const struct quota_entity *entity, const char *key, const double *value)
{
    struct image_quota *quota = quota_find(image, entity);
    struct image_quota_value *now = quota ? quota_value(quota, key) : NULL;
    if (!value) {
        if (now) quota_remove(image, quota, now);
        return;
    }
    if (!quota) quota = quota_add(image, entity);
    if (!now) {
        quota->values = mem_realloc(quota->values, (size_t)quota->count + 1, sizeof *quota->values);
        now = &quota->values[quota->count++];
        now->key = mem_strdup(key);
    }
    now->value = *value;
}

void image_set_cluster_id(struct image *image, const char *cluster_id)
{
    mem_free(image->cluster_id);
    image->cluster_id = mem_strdup(cluster_id);
}
