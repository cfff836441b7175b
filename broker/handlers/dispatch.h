/* From requests to handlers: looks the API up in handlers.def, checks version and permission, decodes, calls.
 * One owner thread: the broker's. */
#ifndef SKIFF_BROKER_HANDLERS_DISPATCH_H
#define SKIFF_BROKER_HANDLERS_DISPATCH_H

#include "broker/handlers/leader_hold.h"
#include "common/config.h"
#include "common/histogram.h"
#include "controller/metadata/quota.h"
#include "proto/connection.h"

struct call;
struct image;
struct replica_manager;
struct controller_channel;
struct group_coordinator;

struct handler {
    int16_t api_key, version_min, version_max;
    enum request_progress (*handle)(struct call *call, const void *message);
    int operation; /* enum acl_operation */
};
extern const struct handler handlers[];
extern const size_t handler_count;
/* NULL: not served. */
const struct handler *handler_find(int16_t api_key);

/* What handlers work with; the parts belong to broker_node and outlive all calls. */
struct dispatch {
    struct env *env;
    const struct config *config;
    const struct image *image;
    struct replica_manager *replicas;
    struct controller_channel *controller;
    struct group_coordinator *groups;
    int32_t node_id;
    bool is_stopping;      /* a new wait is not begun */
    struct list creations; /* topics that are being created because somebody asked for them */
    uint32_t creation_count;
    struct log_limit creation_log;
    struct leader_hold hold;
    struct quotas quotas;
    size_t waiting_fetch_bytes; /* of fetches that are not answered yet; beyond WAITING_FETCH_BYTES_MAX none waits any longer */
    struct histogram *times;    /* of the APIs in the order of handlers[], then of the fetches of followers */
    uint64_t *throttled;        /* in the same order: answers that told somebody to wait */
    struct call *running;       /* its handler runs */
    uint64_t refused_count;     /* requests that cost their connection */
};

void dispatch_init(struct dispatch *dispatch, struct env *env, const struct config *config, const struct image *image,
                   struct replica_manager *replicas, struct controller_channel *controller, struct group_coordinator *groups,
                   int32_t node_id);
void dispatch_deinit(struct dispatch *dispatch);
/* For struct server_handler; `user` is the dispatch. */
enum request_progress dispatch_request(void *user, struct request *request);

/* Requests and their times, by API. */
struct metrics;
void dispatch_measure(const struct dispatch *dispatch, struct metrics *metrics);

static inline const struct image *dispatch_image(const struct dispatch *dispatch) { return dispatch->image; }

#endif
