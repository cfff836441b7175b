#include "controller/metadata/config_control.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/limits.h"
#include "common/str.h"
#include "controller/metadata/replication_control.h"
#include "controller/metadata/topic_control.h"

#include <stdio.h>

#define CONFIGS_MAX 1000 /* in one resource of a request: there are fewer keys, and looking for doubles is quadratic */

enum config_operation { CONFIG_SET = 0, CONFIG_DELETE = 1, CONFIG_APPEND = 2, CONFIG_SUBTRACT = 3 };

/* One resource of a request, with the values that it would have. */
struct config_edit {
    struct control *control;
    Skiff__ConfigResource kind;
    const char *resource_name;
    const struct image_topic *topic; /* NULL: of a broker */
    const struct image_configs *now;
    bool is_min_isr_changed;
    int64_t min_isr;
    struct min_isr_changes *min_isr_changes;
};

/* Whose min.insync.replicas the request has changed so far. */
struct min_isr_changes {
    bool is_of_brokers, is_of_topics;
};

static const char *text_of(struct control *control, struct slice s)
{
    return (const char *)arena_printf(control->arena, "%.*s", SLICE_ARG(s)).p;
}

struct slice config_effective(const struct image *image, const struct setting *setting, struct slice own, enum config_source *source)
{
    const char *dynamic = setting->broker_name ? image_configs_get(image_broker_configs(image, NO_BROKER), setting->broker_name) : NULL;
    *source = !slice_is_null(own) ? CONFIG_SOURCE_TOPIC : dynamic ? CONFIG_SOURCE_BROKER_DEFAULT : CONFIG_SOURCE_DEFAULT;
    if (*source == CONFIG_SOURCE_TOPIC) return own;
    return slice_str(dynamic ? dynamic : setting->default_text);
}

/* ---- the resource ---------------------------------------------------------------------------------------------------- */

static struct refusal begin_topic(struct config_edit *edit, struct slice name)
{
    struct refusal refusal = topic_check_name(edit->control, name);
    if (name.n == 0) return REFUSE(edit->control, INVALID_REQUEST, "Default topic resources are not allowed.");
    if (is_refused(refusal)) return refusal;
    edit->topic = image_topic_by_name(edit->control->image, name);
    if (!edit->topic) return REFUSE(edit->control, UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.", SLICE_ARG(name));
    edit->kind = SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC;
    edit->resource_name = edit->topic->name;
    edit->now = &edit->topic->configs;
    return NOT_REFUSED;
}

static struct refusal begin_broker(struct config_edit *edit, struct slice name)
{
    int64_t id = NO_BROKER;
    if (name.n > 0 && (!str_parse_i64(name, &id) || id < 0 || id > INT32_MAX))
        return REFUSE(edit->control, INVALID_REQUEST, "Unable to parse broker name '%.*s' as a base 10 number.", SLICE_ARG(name));
    if (id != NO_BROKER && !image_broker_get(edit->control->image, (int32_t)id))
        return REFUSE(edit->control, BROKER_ID_NOT_REGISTERED, "No node with id %lld found.", (long long)id);
    edit->kind = SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_BROKER;
    edit->resource_name = id == NO_BROKER ? "" : (const char *)arena_printf(edit->control->arena, "%lld", (long long)id).p;
    edit->now = image_broker_configs(edit->control->image, (int32_t)id);
    return NOT_REFUSED;
}

/* Resources of one request must differ: each is decided on the state before the request. Of those that do not, none is
 * changed. `counts` has the resources of the whole request. */
static struct slice resource_key(struct control *control, int8_t type, struct slice name)
{
    return arena_printf(control->arena, "%d:%.*s", type, SLICE_ARG(name));
}
static void count_resource(struct control *control, struct map *counts, int8_t type, struct slice name)
{
    struct slice key = resource_key(control, type, name);
    uint32_t *count = map_get(counts, key);
    if (!count) map_put(counts, key, count = arena_calloc(control->arena, 1, sizeof *count));
    ++*count;
}
static bool is_repeated(struct control *control, const struct map *counts, int8_t type, struct slice name)
{
    const uint32_t *count = map_get(counts, resource_key(control, type, name));
    ASSERT(count != NULL);
    return *count > 1;
}

static struct refusal begin(struct config_edit *edit, int8_t type, struct slice name, int32_t count)
{
    struct control *control = edit->control;
    if (count > CONFIGS_MAX) return REFUSE(control, INVALID_REQUEST, "More than %d configs for one resource.", CONFIGS_MAX);
    if (type == CONFIG_RESOURCE_TOPIC) return begin_topic(edit, name);
    if (type == CONFIG_RESOURCE_BROKER) return begin_broker(edit, name);
    return REFUSE(control, INVALID_REQUEST, "Unsupported config resource type %d.", type);
}

/* ---- one value ------------------------------------------------------------------------------------------------------- */

/* The topic setting whose values a broker setting takes; NULL: of no topic. */
static const struct setting *setting_of(const struct config_edit *edit, struct slice name)
{
    if (edit->topic) return setting_find(topic_config_table, TOPIC_CONFIG_COUNT, name);
    for (size_t i = 0; i < TOPIC_CONFIG_COUNT; i++)
        if (topic_config_table[i].broker_name && slice_equal_str(name, topic_config_table[i].broker_name)) return &topic_config_table[i];
    return NULL;
}

/* "a, b", as far as anybody is told. */
static struct slice shown_list(struct control *control, struct slice list)
{
    struct writer out;
    struct slice item;
    writer_init(&out, min_size(list.n, EXPLANATION_MAX) + 2);
    while (list.n > 0 && writer_size(&out) < EXPLANATION_MAX && str_split(&list, ',', &item)) {
        if (writer_size(&out)) writer_bytes(&out, SLICE_LITERAL(", "));
        writer_bytes(&out, str_trim(item));
    }
    struct slice shown = arena_copy(control->arena, writer_slice(&out));
    writer_deinit(&out);
    return shown;
}

static struct refusal check_value(struct control *control, const struct setting *setting, struct slice value)
{
    char why[SETTING_REASON_MAX];
    int64_t number = 0;
    bool is_fine = setting_parse(setting, value, &number, why);
    if (!is_fine && strcmp(setting->range, SETTING_REPLICAS) == 0)
        return REFUSE(control, INVALID_CONFIG, "Invalid value [%.*s] for configuration %s: %s", SLICE_ARG(shown_list(control, value)),
                      setting->name, why);
    if (!is_fine)
        return REFUSE(control, INVALID_CONFIG, "Invalid value %.*s for configuration %s: %s", SLICE_ARG(value), setting->name, why);
    /* A switch that this version cannot turn on: accepted, so that scripts that set the default work. */
    if (setting->type == SETTING_BOOLEAN && strcmp(setting->range, "false") == 0 && number)
        return REFUSE(control, INVALID_CONFIG, "Invalid value true for configuration %s: %s", setting->name, setting->doc);
    return NOT_REFUSED;
}

static struct refusal check_known(struct control *control, struct slice name, struct slice value)
{
    const struct setting *setting = setting_find(topic_config_table, TOPIC_CONFIG_COUNT, name);
    if (!setting) return REFUSE(control, INVALID_CONFIG, "Unknown topic config name: %.*s", SLICE_ARG(name));
    return check_value(control, setting, value);
}

static void note_min_isr(struct config_edit *edit, struct slice name, struct slice value)
{
    if (!slice_equal_str(name, "min.insync.replicas")) return;
    edit->is_min_isr_changed = true;
    if (slice_is_null(value)) {
        const char *cluster =
            edit->topic ? image_configs_get(image_broker_configs(edit->control->image, NO_BROKER), "min.insync.replicas") : NULL;
        value = slice_str(cluster ? cluster : "1");
    }
    if (!str_parse_i64(str_trim(value), &edit->min_isr) || edit->min_isr < 1) edit->min_isr = 1;
}

/* Only the default of all brokers is seen by whoever elects (image_min_isr()): one broker's own would be obeyed by nobody. */
static bool is_min_isr_of_one_broker(const struct config_edit *edit, struct slice name)
{
    return !edit->topic && edit->resource_name[0] && slice_equal_str(name, "min.insync.replicas");
}

/* What follows for a topic's partitions from the one would be decided without the other: on a minimum that is about to go, and twice. */
static struct refusal check_min_isr_alone(struct config_edit *edit, struct slice name)
{
    struct min_isr_changes *changes = edit->min_isr_changes;
    if (!slice_equal_str(name, "min.insync.replicas")) return NOT_REFUSED;
    if (edit->topic ? changes->is_of_brokers : changes->is_of_topics)
        return REFUSE(edit->control, INVALID_REQUEST,
                      "min.insync.replicas of a topic and of all brokers cannot be changed in one request: change one after the other.");
    *(edit->topic ? &changes->is_of_topics : &changes->is_of_brokers) = true;
    return NOT_REFUSED;
}

/* A null value removes. */
static struct refusal put(struct config_edit *edit, struct slice name, struct slice value)
{
    /* What is stored ends there: it would be another name or value than the one that was checked. */
    if ((name.n && memchr(name.p, 0, name.n)) || (value.n && memchr(value.p, 0, value.n)))
        return REFUSE(edit->control, INVALID_CONFIG, "A config contains a zero byte.");
    if (is_min_isr_of_one_broker(edit, name))
        return REFUSE(edit->control, INVALID_CONFIG,
                      "min.insync.replicas cannot be set for one broker: set it for a topic, or for all brokers.");
    if (!slice_is_null(value)) {
        value = str_trim(value);
        const struct setting *setting = setting_of(edit, name);
        struct refusal wrong =
            setting || edit->topic ? check_known(edit->control, setting ? slice_str(setting->name) : name, value) : NOT_REFUSED;
        if (is_refused(wrong)) return wrong;
    }
    const char *key = text_of(edit->control, name);
    const char *now = image_configs_get(edit->now, key);
    bool is_same = now ? slice_equal_str(value, now) : slice_is_null(value);
    if (is_same) return NOT_REFUSED;
    struct refusal refusal = check_min_isr_alone(edit, name);
    if (is_refused(refusal)) return refusal;
    records_add_config(edit->control->records, edit->kind, edit->resource_name, key,
                       slice_is_null(value) ? NULL : text_of(edit->control, value));
    note_min_isr(edit, name, value);
    return NOT_REFUSED;
}

static void note_items(struct map *seen, struct slice items)
{
    struct slice part;
    while (items.n > 0 && str_split(&items, ',', &part)) {
        part = str_trim(part);
        if (part.n > 0 && !map_get(seen, part)) map_put(seen, part, seen);
    }
}

/* Those that are not in `seen`, where they are from then on: a list may be long. */
static void append_items(struct writer *out, struct slice items, struct map *seen)
{
    struct slice part;
    while (items.n > 0 && str_split(&items, ',', &part)) {
        part = str_trim(part);
        if (part.n == 0 || map_get(seen, part)) continue;
        map_put(seen, part, seen);
        if (writer_size(out)) writer_u8(out, ',');
        writer_bytes(out, part);
    }
}

/* Items of `list`, then (APPEND) those of `value` that it lacks; or (SUBTRACT) without those of `value`. */
static struct slice change_list(struct control *control, struct slice list, struct slice value, bool is_append)
{
    struct writer out;
    struct map seen;
    map_init(&seen, image_seed(control->image));
    writer_init(&out, list.n + value.n + 1);
    if (!is_append) note_items(&seen, value);
    append_items(&out, list, &seen);
    if (is_append) append_items(&out, value, &seen);
    struct slice result = arena_copy(control->arena, writer_slice(&out));
    writer_deinit(&out);
    map_deinit(&seen);
    return result;
}

static struct refusal put_list(struct config_edit *edit, struct slice name, struct slice value, bool is_append)
{
    const struct setting *setting = setting_of(edit, name);
    if (!setting || setting->type != SETTING_LIST)
        return REFUSE(edit->control, INVALID_CONFIG, "Can't %s config %.*s because it is not a list.",
                      is_append ? "append to" : "subtract from", SLICE_ARG(name));
    enum config_source source;
    struct slice own = slice_str(image_configs_get(edit->now, text_of(edit->control, name)));
    struct slice list = config_effective(edit->control->image, setting, own, &source);
    return put(edit, name, change_list(edit->control, list, value, is_append));
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static void finish(struct config_edit *edit, struct refusal refusal, bool validate_only)
{
    struct control *control = edit->control;
    if (!is_refused(refusal) && edit->is_min_isr_changed) replication_min_isr_changes(control, edit->topic, (int32_t)edit->min_isr);
    if (is_refused(refusal) || validate_only) records_rollback(control->records);
    records_cut(control->records);
}

static bool has_key_before(const struct slice *keys, int32_t at, int32_t stride, struct slice key)
{
    for (int32_t i = 0; i < at; i++) {
        const struct slice *other = (const struct slice *)(const void *)((const uint8_t *)keys + (size_t)i * (size_t)stride);
        if (slice_compare(*other, key) == 0) return true;
    }
    return false;
}

static struct refusal alter_one(struct config_edit *edit, const struct incremental_alter_configs_request_configs *change)
{
    struct control *control = edit->control;
    bool needs_value = change->config_operation != CONFIG_DELETE;
    if (needs_value && slice_is_null(change->value))
        return REFUSE(control, INVALID_REQUEST, "Null value not supported for : %.*s", SLICE_ARG(change->name));
    switch (change->config_operation) {
    case CONFIG_SET: return put(edit, change->name, change->value);
    case CONFIG_DELETE: return put(edit, change->name, SLICE_NULL);
    case CONFIG_APPEND: return put_list(edit, change->name, change->value, true);
    case CONFIG_SUBTRACT: return put_list(edit, change->name, change->value, false);
    default:
        return REFUSE(control, INVALID_REQUEST, "Unknown operation %d for config %.*s.", change->config_operation, SLICE_ARG(change->name));
    }
}

static struct refusal alter_incrementally(struct config_edit *edit, const struct incremental_alter_configs_request_resources *resource)
{
    struct refusal refusal = begin(edit, resource->resource_type, resource->resource_name, resource->configs_count);
    for (int32_t i = 0; !is_refused(refusal) && i < resource->configs_count; i++) {
        if (has_key_before(&resource->configs->name, i, sizeof *resource->configs, resource->configs[i].name))
            refusal = REFUSE(edit->control, INVALID_REQUEST, "Error due to duplicate config keys");
        else
            refusal = alter_one(edit, &resource->configs[i]);
    }
    return refusal;
}

void config_incremental_alter(struct control *control, const struct incremental_alter_configs_request *request,
                              struct incremental_alter_configs_response *response)
{
    struct min_isr_changes min_isr_changes = {0};
    struct map counts;
    map_init(&counts, image_seed(control->image));
    for (int32_t i = 0; i < request->resources_count; i++)
        count_resource(control, &counts, request->resources[i].resource_type, request->resources[i].resource_name);
    response->responses_count = request->resources_count;
    response->responses = arena_calloc(control->arena, (size_t)request->resources_count, sizeof *response->responses);
    for (int32_t i = 0; i < request->resources_count; i++) {
        struct config_edit edit = {.control = control, .min_isr_changes = &min_isr_changes};
        bool repeated = is_repeated(control, &counts, request->resources[i].resource_type, request->resources[i].resource_name);
        struct refusal refusal = repeated ? REFUSE(control, INVALID_REQUEST, "Each resource must appear at most once.")
                                          : alter_incrementally(&edit, &request->resources[i]);
        finish(&edit, refusal, request->validate_only);
        response->responses[i].resource_type = request->resources[i].resource_type;
        response->responses[i].resource_name = request->resources[i].resource_name;
        response->responses[i].error_code = (int16_t)refusal.error;
        response->responses[i].error_message = refusal.message;
    }
    map_deinit(&counts);
}

/* The old way: what is not named goes back to its default. */
static struct refusal alter_whole(struct config_edit *edit, const struct alter_configs_request_resources *resource)
{
    struct refusal refusal = begin(edit, resource->resource_type, resource->resource_name, resource->configs_count);
    for (int32_t i = 0; !is_refused(refusal) && i < resource->configs_count; i++) {
        const struct alter_configs_request_configs *config = &resource->configs[i];
        if (has_key_before(&resource->configs->name, i, sizeof *resource->configs, config->name))
            refusal = REFUSE(edit->control, INVALID_REQUEST, "Error due to duplicate config keys");
        else if (slice_is_null(config->value))
            refusal = REFUSE(edit->control, INVALID_REQUEST, "Null value not supported for : %.*s", SLICE_ARG(config->name));
        else
            refusal = put(edit, config->name, config->value);
    }
    for (uint32_t i = 0; !is_refused(refusal) && i < edit->now->count; i++) {
        struct slice name = slice_str(edit->now->items[i].name);
        if (!has_key_before(&resource->configs->name, resource->configs_count, sizeof *resource->configs, name))
            refusal = put(edit, name, SLICE_NULL);
    }
    return refusal;
}

void config_alter(struct control *control, const struct alter_configs_request *request, struct alter_configs_response *response)
{
    struct min_isr_changes min_isr_changes = {0};
    struct map counts;
    map_init(&counts, image_seed(control->image));
    for (int32_t i = 0; i < request->resources_count; i++)
        count_resource(control, &counts, request->resources[i].resource_type, request->resources[i].resource_name);
    response->responses_count = request->resources_count;
    response->responses = arena_calloc(control->arena, (size_t)request->resources_count, sizeof *response->responses);
    for (int32_t i = 0; i < request->resources_count; i++) {
        struct config_edit edit = {.control = control, .min_isr_changes = &min_isr_changes};
        bool repeated = is_repeated(control, &counts, request->resources[i].resource_type, request->resources[i].resource_name);
        struct refusal refusal = repeated ? REFUSE(control, INVALID_REQUEST, "Each resource must appear at most once.")
                                          : alter_whole(&edit, &request->resources[i]);
        finish(&edit, refusal, request->validate_only);
        response->responses[i].resource_type = request->resources[i].resource_type;
        response->responses[i].resource_name = request->resources[i].resource_name;
        response->responses[i].error_code = (int16_t)refusal.error;
        response->responses[i].error_message = refusal.message;
    }
    map_deinit(&counts);
}

struct refusal config_check_new_topic(struct control *control, const struct create_topics_request_configs *configs, int32_t count)
{
    if (count > CONFIGS_MAX) return REFUSE(control, INVALID_REQUEST, "More than %d configs for one topic.", CONFIGS_MAX);
    for (int32_t i = 0; i < count; i++) {
        if (slice_is_null(configs[i].value))
            return REFUSE(control, INVALID_CONFIG, "Null value not supported for topic configs: %.*s", SLICE_ARG(configs[i].name));
        if (has_key_before(&configs->name, i, sizeof *configs, configs[i].name))
            return REFUSE(control, INVALID_CONFIG, "Duplicate topic config: %.*s", SLICE_ARG(configs[i].name));
        struct refusal refusal = check_known(control, configs[i].name, configs[i].value);
        if (is_refused(refusal)) return refusal;
    }
    return NOT_REFUSED;
}
