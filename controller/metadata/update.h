/* What the controller tells the broker of the same process: env_post() messages, in order.
 *
 * The broker feeds RECORDS to image_replay() and SNAPSHOT to snapshot_load() on its own image. The first update after the start
 * is a SNAPSHOT or the RECORDS from the log's begin. The receiver owns the message and frees it with metadata_update_destroy().
 * Any thread: immutable once posted. */
#ifndef SKIFF_CONTROLLER_METADATA_UPDATE_H
#define SKIFF_CONTROLLER_METADATA_UPDATE_H

#include "common/buf.h"
#include "common/env.h"

enum metadata_update_type {
    METADATA_UPDATE_SNAPSHOT, /* `bytes`: a snapshot at `index` */
    METADATA_UPDATE_RECORDS,  /* `bytes`: the batch at `index` */
    METADATA_UPDATE_LEADER,   /* the active controller changed; leader_id -1: not known now */
};

struct metadata_update {
    struct env_message message; /* deliver is set by the poster: the broker gives its function at start */
    void *receiver;             /* what the broker asked to get back */
    enum metadata_update_type type;
    struct buf *bytes; /* one reference */
    int64_t index;
    int32_t leader_id;
    int64_t term;
    uint16_t port;    /* of the leader's controller listener */
    const char *host; /* its host; in this allocation, "" without a known leader */
};

/* SNAPSHOT or RECORDS. Takes over the reference to `bytes` (may be NULL). */
struct metadata_update *metadata_update_create(enum metadata_update_type type, struct buf *bytes, int64_t index);
struct metadata_update *metadata_update_create_leader(int32_t leader_id, int64_t term, const char *host, uint16_t port);
void metadata_update_destroy(struct metadata_update *update);
static inline struct metadata_update *metadata_update_of(struct env_message *message)
{
    return CONTAINER_OF(message, struct metadata_update, message);
}

#endif
