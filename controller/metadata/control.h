/* What the control functions share. A control function decides: it reads an image and a request, and writes records and an answer.
 * It changes nothing, so it may be asked again, or dropped, at any time. What it decided takes effect when its records are
 * committed and replayed; until then the caller holds the locks of the keys that it read and writes (node/controller_pending.h),
 * so the image it saw still holds when the records are applied. One owner thread: the controller's. */
#ifndef SKIFF_CONTROLLER_METADATA_CONTROL_H
#define SKIFF_CONTROLLER_METADATA_CONTROL_H

#include "common/arena.h"
#include "common/prng.h"
#include "controller/metadata/image.h"
#include "controller/metadata/records.h"
#include "proto/errors.h"

/* From the static configuration of the node that decides; what must be alike on all nodes is metadata instead. */
struct control_settings {
    int32_t default_partitions;         /* num.partitions */
    int16_t default_replication_factor; /* default.replication.factor */
    bool is_topic_deletion_enabled;     /* delete.topic.enable */
    uint32_t internal_replicas;         /* offsets.topic.replication.factor: what internal topics grow to as brokers join */
};

struct control {
    const struct image *image;
    const struct control_settings *settings;
    struct prng *prng;               /* placement, topic ids */
    struct arena *arena;             /* answers and scratch; lives until the answer is encoded */
    struct records *records;         /* out */
    struct quota_mutation *mutation; /* whose partitions are counted; NULL: nobody's */
};

/* Refusal of one item: a code and a text (in the arena, or static); KAFKA_NONE when there is none. */
struct refusal {
    enum kafka_error error;
    struct slice message;
};
#define NOT_REFUSED                ((struct refusal){KAFKA_NONE, SLICE_NULL})
#define REFUSE(control, code, ...) ((struct refusal){KAFKA_##code, arena_explain((control)->arena, __VA_ARGS__)})
static inline bool is_refused(struct refusal refusal) { return refusal.error != KAFKA_NONE; }

#endif
