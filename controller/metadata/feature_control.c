#include "controller/metadata/feature_control.h"

/* metadata.version 30 is Kafka's 4.3-IV0: the newest level that both 4.3's and 4.4's tools have a name for. skiff.version is the level
 * of our own records and requests. */
const struct feature FEATURES[] = {
    {"metadata.version", 7, 30, 30, true},
    {"eligible.leader.replicas.version", 0, 1, 1, true},
    {"skiff.version", 1, 1, 1, false},
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

void feature_bootstrap(struct control *control)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if (FEATURES[i].level_first) records_add_feature(control->records, FEATURES[i].name, FEATURES[i].level_first);
}
