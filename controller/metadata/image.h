/* The cluster's metadata as of one index of the metadata log: what the controller decides from and the broker serves from.
 *
 * Only replay.h and snapshot.h change an image; everything else reads it. Each owner (the controller, the broker) keeps its own, fed with
 * the same batches in the same order, so two images at the same index are equal (image_hash()). One owner thread, no lock.
 *
 * Lookups are O(1). Everything iterates in an order that replay and snapshots keep, so runs repeat bit for bit.
 * Pointers into an image live until the next replay or snapshot load; removed topics live on in the delta until it is cleared.
 *
 * Memory: a partition with up to three replicas takes 48 bytes and no allocation of its own. */
#ifndef SKIFF_CONTROLLER_METADATA_IMAGE_H
#define SKIFF_CONTROLLER_METADATA_IMAGE_H

#include "common/map.h"
#include "common/uuid.h"

#define NO_LEADER    (-1)
#define NO_BROKER    (-1)
#define INLINE_NODES 6 /* replicas + ISR + ELR of three replicas */

/* Broker ids, in an order that means something (replicas: the first is the preferred leader). Borrowed. */
struct node_ids {
    const int32_t *ids;
    uint32_t count;
};
bool node_ids_contain(struct node_ids nodes, int32_t id);
bool node_ids_equal(struct node_ids a, struct node_ids b);

struct image_partition {
    int32_t leader; /* NO_LEADER */
    int32_t leader_epoch;
    int32_t partition_epoch;   /* +1 with every change */
    int32_t last_known_leader; /* while there is no leader: the one before; otherwise NO_BROKER */
    uint32_t touched;          /* number of the delta that has a row for it */
    uint8_t replica_count, isr_count, elr_count;
    bool recovering; /* the leader's unclean election is not yet confirmed by it */
    union {
        int32_t near[INLINE_NODES];
        int32_t *far; /* more than three replicas; room for 2 * replica_count ids: ISR and ELR are disjoint subsets of the replicas */
    } nodes;
};
static inline const int32_t *image_partition_nodes(const struct image_partition *p)
{
    return p->replica_count > INLINE_NODES / 2 ? p->nodes.far : p->nodes.near;
}
static inline struct node_ids image_replicas(const struct image_partition *p)
{
    return (struct node_ids){image_partition_nodes(p), p->replica_count};
}
static inline struct node_ids image_isr(const struct image_partition *p)
{
    return (struct node_ids){image_partition_nodes(p) + p->replica_count, p->isr_count};
}
/* Eligible leader replicas (KIP-966): out of the ISR, yet sure to hold every committed record. */
static inline struct node_ids image_elr(const struct image_partition *p)
{
    return (struct node_ids){image_partition_nodes(p) + p->replica_count + p->isr_count, p->elr_count};
}

/* A reassignment under way. The replicas are its target, then those that are to be removed. Adding: not of the assignment that it
 * began with; when they are all in the ISR it ends. */
struct image_reassignment {
    struct image_partition_key {
        struct uuid topic_id;
        int32_t partition;
    } key;
    uint32_t adding_count, removing_count;
    int32_t ids[]; /* adding, then removing */
};
static inline struct node_ids image_adding(const struct image_reassignment *r)
{
    return (struct node_ids){r ? r->ids : NULL, r ? r->adding_count : 0};
}
static inline struct node_ids image_removing(const struct image_reassignment *r)
{
    return (struct node_ids){r ? r->ids + r->adding_count : NULL, r ? r->removing_count : 0};
}

/* Settings of one resource that differ from the defaults, in order of their first setting. */
struct image_config {
    char *name, *value;
};
struct image_configs {
    struct image_config *items;
    uint32_t count, capacity;
};
/* NULL when not set. */
const char *image_configs_get(const struct image_configs *configs, const char *name);

struct image_topic {
    struct uuid id;
    char *name;
    uint32_t name_size;
    uint32_t configured; /* number of the delta that lists it in topics_configured */
    int32_t partition_count;
    int32_t partition_capacity;
    struct image_partition *partitions; /* [partition_count] */
    struct image_configs configs;
};

struct image_listener {
    char *name, *host;
    uint16_t port;
    int16_t security_protocol; /* Kafka's number */
};
struct image_feature {
    char *name;
    uint32_t level_min, level_max;
};
struct image_broker {
    int32_t id;
    bool fenced;
    bool in_controlled_shutdown;
    bool is_flushing;         /* this incarnation runs log.flush.policy=fsync */
    int64_t epoch;            /* of this registration */
    int64_t unfenced_epoch;   /* the last epoch in which it was unfenced; -1: never */
    int64_t registered_index; /* of the batch that registered it */
    struct uuid incarnation;
    char *rack;                       /* "" : none */
    struct image_listener *listeners; /* the first one is for brokers */
    uint32_t listener_count;
    uint32_t directory_count;
    struct uuid *directories;
    struct image_feature *features; /* the ranges it supports */
    uint32_t feature_count;
};
/* Alive as clients see it: may lead, be in an ISR, get new replicas. */
static inline bool image_broker_is_active(const struct image_broker *broker)
{
    return broker && !broker->fenced && !broker->in_controlled_shutdown;
}
/* NULL when the broker has no listener of that name. */
const struct image_listener *image_broker_listener(const struct image_broker *broker, struct slice name);

/* Dynamic configs of one broker, or of all of them (id NO_BROKER: the cluster-wide default). */
struct image_broker_configs {
    int32_t id;
    struct image_configs configs;
};

/* Whose quota: a user, a client id, both, or an address. */
enum quota_entity_type { QUOTA_USER, QUOTA_CLIENT_ID, QUOTA_IP, QUOTA_ENTITY_TYPES };
struct quota_entity {
    bool has[QUOTA_ENTITY_TYPES];
    char *names[QUOTA_ENTITY_TYPES]; /* NULL: the default of all, when it has that part */
};
struct image_quota_value {
    char *key;
    double value;
};
struct image_quota {
    char *key; /* of the map; bytes */
    uint32_t key_size, count;
    struct quota_entity entity;
    struct image_quota_value *values; /* in order of their first setting */
};

struct image {
    int64_t index;                  /* of the last applied batch; 0: none */
    int32_t controller_id;          /* the active controller as its owner knows it; not replicated */
    char *cluster_id;               /* "" until the first batch */
    struct map topics;              /* name -> struct image_topic, in order of creation */
    struct map topics_by_id;        /* id -> the same */
    struct map brokers;             /* id -> struct image_broker */
    struct map broker_configs;      /* id -> struct image_broker_configs */
    struct map reassignments;       /* key -> struct image_reassignment */
    struct map quotas;              /* entity -> struct image_quota */
    struct image_feature *features; /* finalized: level_min == level_max */
    uint32_t feature_count;
    int64_t last_broker_epoch; /* greatest ever given */
    int64_t next_producer_id;
    int64_t partition_count; /* over all topics */
    uint32_t delta_serial;   /* numbers deltas, for image_partition.touched */
};

/* `seed` is for the hash tables only; it does not show in any order or hash. */
void image_init(struct image *image, uint64_t seed);
/* For other tables whose keys strangers choose. */
static inline uint64_t image_seed(const struct image *image) { return image->topics.seed; }
void image_deinit(struct image *image);

struct image_topic *image_topic_by_name(const struct image *image, struct slice name);
struct image_topic *image_topic_by_id(const struct image *image, struct uuid id);
/* NULL when there is no such topic or partition. */
const struct image_partition *image_partition_get(const struct image *image, struct uuid topic_id, int32_t partition);
/* NULL: none is under way. */
const struct image_reassignment *image_reassignment_get(const struct image *image, struct uuid topic_id, int32_t partition);
struct image_broker *image_broker_get(const struct image *image, int32_t id);
bool image_is_active(const struct image *image, int32_t broker_id);
/* Iterate: `for (uint32_t at = 0; (topic = image_next_topic(image, &at));)`. */
struct image_topic *image_next_topic(const struct image *image, uint32_t *at);
struct image_broker *image_next_broker(const struct image *image, uint32_t *at);
/* Of one broker, or (NO_BROKER) of all. Never NULL. */
const struct image_configs *image_broker_configs(const struct image *image, int32_t id);
/* NULL: the entity has none. */
const struct image_quota *image_quota_get(const struct image *image, const struct quota_entity *entity);
/* A dynamic value that holds for the topic: its own, else the cluster-wide default for brokers under `broker_name` (may be NULL); NULL:
 * the static configuration decides. */
const char *image_topic_config(const struct image *image, const struct image_topic *topic, const char *name, const char *broker_name);
/* The finalized level; 0: not finalized. */
uint32_t image_feature_level(const struct image *image, const char *name);
/* min.insync.replicas of the topic, at most the number of the partition's replicas. From the image alone, so that every
 * controller decides alike. */
int32_t image_min_isr(const struct image *image, const struct image_topic *topic, const struct image_partition *partition);
/* As configured. */
int32_t image_min_isr_configured(const struct image *image, const struct image_topic *topic);
/* Of the whole replicated state: equal images give equal hashes. O(size). */
uint64_t image_hash(const struct image *image);
/* P-ISR and the consistency of the image itself, whole: O(size). */
void image_check(const struct image *image);

#endif
