/* Feature levels: what this build supports and what a new cluster starts with (reference: KIP-584). Constant: any thread. */
#ifndef SKIFF_CONTROLLER_METADATA_FEATURE_CONTROL_H
#define SKIFF_CONTROLLER_METADATA_FEATURE_CONTROL_H

#include "controller/metadata/control.h"
#include "gen/controller_rpc.pb-c.h"
#include "gen/kmsg.h"

struct feature {
    const char *name;
    uint32_t level_min, level_max;
    uint32_t level_first; /* of a new cluster; 0: not finalized */
    bool is_public;       /* shown to Kafka's clients in ApiVersions */
};
extern const struct feature FEATURES[];
extern const size_t FEATURE_COUNT;

/* Every finalized level of the image is within the ranges that the broker supports; `why` says which is not. */
struct refusal feature_check_broker(struct control *control, Skiff__FeatureRange *const *ranges, size_t count);
/* UNSUPPORTED_VERSION while the finalized skiff.version is below `level`: `what` cannot be written yet. */
struct refusal feature_check_level(struct control *control, uint32_t level, const char *what);
/* UpdateFeatures. */
void feature_update(struct control *control, int16_t version, const struct update_features_request *request,
                    struct update_features_response *response);
/* The levels of a new cluster. */
void feature_bootstrap(struct control *control);

#endif
