#include "controller/metadata/feature_control.h"

/* metadata.version 30 is Kafka's 4.3-IV0: the newest level that both 4.3's and 4.4's tools have a name for. skiff.version is the level
 * of our own records and requests. */
const struct feature FEATURES[] = {
    {"metadata.version", 7, 30, 30, true},
    {"eligible.leader.replicas.version", 0, 1, 1, true},
    {"skiff.version", 1, 2, 2, false},
};
const size_t FEATURE_COUNT = sizeof FEATURES / sizeof *FEATURES;

static const Skiff__FeatureRange *find(Skiff__FeatureRange *const *ranges, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(ranges[i]->name, name) == 0) return ranges[i];
    return NULL;
}

struct refusal feature_check_broker(struct control *control, Skiff__FeatureRange *const *ranges, size_t count)
{
    for (uint32_t i = 0; i < control->image->feature_count; i++) {
        const struct image_feature *finalized = &control->image->features[i];
        const Skiff__FeatureRange *range = find(ranges, count, finalized->name);
        if (range && finalized->level_max >= range->level_min && finalized->level_max <= range->level_max) continue;
        return REFUSE(control, UNSUPPORTED_VERSION, "The cluster runs %s at level %u, which this broker does not support.", finalized->name,
                      finalized->level_max);
    }
    return NOT_REFUSED;
}

struct refusal feature_check_level(struct control *control, uint32_t level, const char *what)
{
    uint32_t now = image_feature_level(control->image, "skiff.version");
    if (now >= level) return NOT_REFUSED;
    return REFUSE(control, UNSUPPORTED_VERSION,
                  "%s need skiff.version %u, and the cluster runs %u: when all nodes are of this version, run kafka-features upgrade "
                  "--feature skiff.version=%u.",
                  what, level, now, level);
}

/* ---- UpdateFeatures -------------------------------------------------------------------------------------------------- */

enum upgrade_type { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

static const struct feature *find_feature(struct slice name)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if (slice_equal_str(name, FEATURES[i].name)) return &FEATURES[i];
    return NULL;
}

static bool is_supported_everywhere(const struct control *control, const struct feature *feature, uint32_t level)
{
    const struct image_broker *broker = NULL;
    for (uint32_t at = 0; (broker = image_next_broker(control->image, &at));) {
        bool has = false;
        for (uint32_t i = 0; i < broker->feature_count; i++) {
            const struct image_feature *range = &broker->features[i];
            has |= strcmp(range->name, feature->name) == 0 && level >= range->level_min && level <= range->level_max;
        }
        if (!has) return false;
    }
    return true;
}

/* Level 0 removes what need not be there. */
static struct refusal update_one(struct control *control, struct slice name, int16_t level, enum upgrade_type type)
{
    const struct feature *feature = find_feature(name);
    if (!feature)
        return REFUSE(control, INVALID_UPDATE_VERSION,
                      "Invalid update version %d for feature %.*s. The controller does not support this feature.", level, SLICE_ARG(name));
    uint32_t now = image_feature_level(control->image, feature->name);
    if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
        return REFUSE(control, INVALID_UPDATE_VERSION,
                      "Invalid update version %d for feature %s. The controller does not support the given upgrade type.", level,
                      feature->name);
    if (level < 0)
        return REFUSE(control, INVALID_UPDATE_VERSION, "Invalid update version %d for feature %s. A feature version cannot be less than 0.",
                      level, feature->name);
    uint32_t wanted = (uint32_t)level;
    if (wanted < feature->level_min || wanted > feature->level_max)
        return REFUSE(control, INVALID_UPDATE_VERSION,
                      "Invalid update version %d for feature %s. Local controller only supports versions %u-%u", level, feature->name,
                      feature->level_min, feature->level_max);
    if (wanted > 0 && !is_supported_everywhere(control, feature, wanted))
        return REFUSE(control, INVALID_UPDATE_VERSION, "Invalid update version %d for feature %s. Not all brokers support it.", level,
                      feature->name);
    if (wanted < now && type == UPGRADE)
        return REFUSE(control, INVALID_UPDATE_VERSION,
                      "Invalid update version %d for feature %s. Can't downgrade the version of this feature without setting the upgrade "
                      "type to either safe or unsafe downgrade.",
                      level, feature->name);
    /* What higher levels wrote would not be understood any more. */
    if (wanted < now && strcmp(feature->name, "eligible.leader.replicas.version") != 0)
        return REFUSE(control, INVALID_UPDATE_VERSION, "Invalid update version %d for feature %s. It cannot be downgraded.", level,
                      feature->name);
    if (wanted > now && type != UPGRADE)
        return REFUSE(control, INVALID_UPDATE_VERSION, "Invalid update version %d for feature %s. Can't downgrade to a newer version.",
                      level, feature->name);
    if (wanted != now) records_add_feature(control->records, feature->name, wanted);
    return NOT_REFUSED;
}

void feature_update(struct control *control, int16_t version, const struct update_features_request *request,
                    struct update_features_response *response)
{
    struct refusal first = NOT_REFUSED;
    response->results_count = request->feature_updates_count;
    response->results = arena_calloc(control->arena, (size_t)request->feature_updates_count, sizeof *response->results);
    for (int32_t i = 0; i < request->feature_updates_count; i++) {
        const struct update_features_request_feature_updates *asked = &request->feature_updates[i];
        enum upgrade_type type = version > 0 ? (enum upgrade_type)asked->upgrade_type : asked->allow_downgrade ? SAFE_DOWNGRADE : UPGRADE;
        struct refusal refusal = update_one(control, asked->feature, asked->max_version_level, type);
        response->results[i].feature = asked->feature;
        if (is_refused(refusal) && !is_refused(first)) first = refusal;
    }
    /* All or nothing (KIP-584). */
    if (is_refused(first) || request->validate_only) records_rollback(control->records);
    response->error_message = SLICE_NULL;
    if (!is_refused(first)) return;
    response->results_count = 0;
    response->error_code = (int16_t)first.error;
    response->error_message = arena_explain(
        control->arena, "The update failed for all features since the following feature had an error: %.*s", SLICE_ARG(first.message));
}

void feature_bootstrap(struct control *control)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if (FEATURES[i].level_first) records_add_feature(control->records, FEATURES[i].name, FEATURES[i].level_first);
}
