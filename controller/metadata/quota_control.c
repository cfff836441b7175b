#include "controller/metadata/quota_control.h"

#include "common/assert.h"
#include "controller/metadata/feature_control.h"

#include <math.h>

static const char *const TYPE_NAMES[QUOTA_ENTITY_TYPES] = {"user", "client-id", "ip"};

/* QUOTA_ENTITY_TYPES: unknown. */
static enum quota_entity_type type_of(struct slice name)
{
    size_t i = 0;
    while (i < QUOTA_ENTITY_TYPES && !slice_equal_str(name, TYPE_NAMES[i])) i++;
    return (enum quota_entity_type)i;
}

/* ---- AlterClientQuotas ----------------------------------------------------------------------------------------------- */

static const struct quota_key {
    const char *name;
    bool is_of_ip, is_whole;
} KEYS[] = {
    {"producer_byte_rate", false, true},        {"consumer_byte_rate", false, true},      {"request_percentage", false, false},
    {"controller_mutation_rate", false, false}, {"connection_creation_rate", true, true},
};

static struct refusal read_entity(struct control *control, const struct alter_client_quotas_request_entity *parts, int32_t count,
                                  struct quota_entity *entity)
{
    if (count <= 0) return REFUSE(control, INVALID_REQUEST, "Invalid empty client quota entity");
    for (int32_t i = 0; i < count; i++) {
        enum quota_entity_type type = type_of(parts[i].entity_type);
        if (type == QUOTA_ENTITY_TYPES)
            return REFUSE(control, INVALID_REQUEST, "Unhandled client quota entity type: %.*s", SLICE_ARG(parts[i].entity_type));
        if (entity->has[type])
            return REFUSE(control, INVALID_REQUEST, "Invalid client quota entity, contains duplicate entity type %s", TYPE_NAMES[type]);
        bool is_default = slice_is_null(parts[i].entity_name);
        if (!is_default && (parts[i].entity_name.n == 0 || memchr(parts[i].entity_name.p, 0, parts[i].entity_name.n)))
            return REFUSE(control, INVALID_REQUEST, "Empty %s not supported", TYPE_NAMES[type]);
        entity->has[type] = true;
        if (is_default) continue;
        struct slice name = arena_printf(control->arena, "%.*s", SLICE_ARG(parts[i].entity_name));
        memcpy(&entity->names[type], &name.p, sizeof entity->names[type]);
    }
    if (entity->has[QUOTA_IP] && (entity->has[QUOTA_USER] || entity->has[QUOTA_CLIENT_ID]))
        return REFUSE(control, INVALID_REQUEST, "Invalid quota entity combination, entity type(s) ip cannot be with user or client-id");
    return NOT_REFUSED;
}

static const struct quota_key *find_key(const struct quota_entity *entity, struct slice name)
{
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (slice_equal_str(name, KEYS[i].name) && KEYS[i].is_of_ip == entity->has[QUOTA_IP]) return &KEYS[i];
    return NULL;
}

static struct refusal set_one(struct control *control, const struct quota_entity *entity, const struct alter_client_quotas_request_ops *op)
{
    const struct quota_key *key = find_key(entity, op->key);
    if (!key) return REFUSE(control, INVALID_REQUEST, "Invalid configuration key %.*s", SLICE_ARG(op->key));
    if (op->remove) {
        records_add_quota(control->records, entity, key->name, NULL);
        return NOT_REFUSED;
    }
    if (!(op->value > 0) || isinf(op->value)) return REFUSE(control, INVALID_REQUEST, "Quota %s must be greater than 0", key->name);
    if (key->is_whole && (fabs(op->value - rint(op->value)) > 1e-6 || op->value >= 0x1p63))
        return REFUSE(control, INVALID_REQUEST, "Configuration %s must be a Long value", key->name);
    records_add_quota(control->records, entity, key->name, &op->value);
    return NOT_REFUSED;
}

/* Each key once. */
static struct refusal set_all(struct control *control, const struct quota_entity *entity, const struct alter_client_quotas_request_ops *ops,
                              int32_t count)
{
    struct refusal refusal = NOT_REFUSED;
    uint32_t seen = 0;
    for (int32_t i = 0; !is_refused(refusal) && i < count; i++) {
        const struct quota_key *key = find_key(entity, ops[i].key);
        uint32_t bit = key ? 1u << (key - KEYS) : 0;
        if (seen & bit) return REFUSE(control, INVALID_REQUEST, "Duplicate quota key %s", key->name);
        seen |= bit;
        refusal = set_one(control, entity, &ops[i]);
    }
    return refusal;
}

static struct refusal alter_entry(struct control *control, const struct alter_client_quotas_request_entries *entry)
{
    struct quota_entity entity = {0};
    struct refusal refusal = feature_check_level(control, 2, "Client quotas");
    if (!is_refused(refusal)) refusal = read_entity(control, entry->entity, entry->entity_count, &entity);
    return is_refused(refusal) ? refusal : set_all(control, &entity, entry->ops, entry->ops_count);
}

void quota_alter(struct control *control, const struct alter_client_quotas_request *request, struct alter_client_quotas_response *response)
{
    response->entries_count = request->entries_count;
    response->entries = arena_calloc(control->arena, (size_t)request->entries_count, sizeof *response->entries);
    for (int32_t i = 0; i < request->entries_count; i++) {
        const struct alter_client_quotas_request_entries *entry = &request->entries[i];
        struct alter_client_quotas_response_entries *out = &response->entries[i];
        struct refusal refusal = alter_entry(control, entry);
        out->error_code = (int16_t)refusal.error;
        out->error_message = refusal.message;
        out->entity_count = entry->entity_count;
        out->entity = arena_calloc(control->arena, (size_t)entry->entity_count, sizeof *out->entity);
        for (int32_t e = 0; e < entry->entity_count; e++)
            out->entity[e] = (struct alter_client_quotas_response_entity){entry->entity[e].entity_type, entry->entity[e].entity_name};
        if (is_refused(refusal) || request->validate_only) records_rollback(control->records);
        records_cut(control->records);
    }
}

/* ---- DescribeClientQuotas -------------------------------------------------------------------------------------------- */

enum match_type { MATCH_EXACT = 0, MATCH_DEFAULT = 1, MATCH_SPECIFIED = 2 };

struct filter {
    bool has[QUOTA_ENTITY_TYPES];
    enum match_type match[QUOTA_ENTITY_TYPES];
    struct slice names[QUOTA_ENTITY_TYPES];
    bool is_strict;
};

static enum kafka_error read_component(struct filter *filter, const struct describe_client_quotas_request_components *component,
                                       const char **message)
{
    enum quota_entity_type type = type_of(component->entity_type);
    *message = component->entity_type.n == 0 ? "Invalid empty entity type." : "Unsupported entity type.";
    if (component->entity_type.n == 0) return KAFKA_INVALID_REQUEST;
    if (type == QUOTA_ENTITY_TYPES) return KAFKA_UNSUPPORTED_VERSION;
    *message = "Duplicate entity type filter.";
    if (filter->has[type]) return KAFKA_INVALID_REQUEST;
    *message = "Unknown match type.";
    if (component->match_type < MATCH_EXACT || component->match_type > MATCH_SPECIFIED) return KAFKA_INVALID_REQUEST;
    bool is_exact = component->match_type == MATCH_EXACT;
    *message = is_exact ? "Request specified MATCH_TYPE_EXACT, but set match string to null."
                        : "Request specified a match string, but the match type takes none.";
    if (is_exact == slice_is_null(component->match)) return KAFKA_INVALID_REQUEST;
    filter->has[type] = true;
    filter->match[type] = (enum match_type)component->match_type;
    filter->names[type] = component->match;
    return KAFKA_NONE;
}

static enum kafka_error read_filter(const struct describe_client_quotas_request *request, struct filter *filter, const char **message)
{
    enum kafka_error error = KAFKA_NONE;
    filter->is_strict = request->strict;
    for (int32_t i = 0; error == KAFKA_NONE && i < request->components_count; i++)
        error = read_component(filter, &request->components[i], message);
    if (error != KAFKA_NONE) return error;
    *message = "Invalid entity filter component combination.";
    bool is_mixed = filter->has[QUOTA_IP] && (filter->has[QUOTA_USER] || filter->has[QUOTA_CLIENT_ID]);
    return is_mixed ? KAFKA_INVALID_REQUEST : KAFKA_NONE;
}

static bool is_match(const struct filter *filter, const struct quota_entity *entity)
{
    for (size_t i = 0; i < QUOTA_ENTITY_TYPES; i++) {
        if (!filter->has[i]) {
            if (filter->is_strict && entity->has[i]) return false;
            continue;
        }
        const char *name = entity->names[i];
        if (!entity->has[i]) return false;
        if (filter->match[i] == MATCH_DEFAULT && name) return false;
        if (filter->match[i] == MATCH_EXACT && (!name || !slice_equal_str(filter->names[i], name))) return false;
    }
    return true;
}

static void describe_one(const struct image_quota *quota, struct arena *arena, struct describe_client_quotas_response_entries *out)
{
    out->entity = arena_calloc(arena, QUOTA_ENTITY_TYPES, sizeof *out->entity);
    for (size_t i = 0; i < QUOTA_ENTITY_TYPES; i++) {
        if (!quota->entity.has[i]) continue;
        const char *name = quota->entity.names[i];
        out->entity[out->entity_count++] =
            (struct describe_client_quotas_response_entity){slice_str(TYPE_NAMES[i]), name ? slice_str(name) : SLICE_NULL};
    }
    out->values = arena_calloc(arena, quota->count, sizeof *out->values);
    for (uint32_t i = 0; i < quota->count; i++)
        out->values[out->values_count++] =
            (struct describe_client_quotas_response_values){slice_str(quota->values[i].key), quota->values[i].value};
}

void quota_describe(const struct image *image, const struct describe_client_quotas_request *request, struct arena *arena,
                    struct describe_client_quotas_response *response)
{
    struct filter filter = {0};
    const char *message = NULL;
    enum kafka_error error = read_filter(request, &filter, &message);
    if (error != KAFKA_NONE) {
        response->error_code = (int16_t)error;
        response->error_message = slice_str(message);
        response->entries_count = -1;
        return;
    }
    response->entries_count = 0;
    response->entries = arena_calloc(arena, map_count(&image->quotas), sizeof *response->entries);
    MAP_FOR_EACH (&image->quotas, struct image_quota, quota)
        if (is_match(&filter, &quota->entity)) describe_one(quota, arena, &response->entries[response->entries_count++]);
}
