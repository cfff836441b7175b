/* A call that asks the group coordinator once: the part that all group handlers share.
 * One owner thread: the broker's. */
#ifndef SKIFF_BROKER_HANDLERS_GROUP_CALL_H
#define SKIFF_BROKER_HANDLERS_GROUP_CALL_H

#include "broker/handlers/handler.h"
#include "broker/node/group_coordinator.h"

/* The answers of a call that asks about several groups: each has a place of its own. */
struct group_fan;
typedef void group_fan_fn(struct group_fan *fan);
struct group_fan_item {
    struct group_call group;
    struct group_fan *fan;
    bool is_asked;
};
struct group_fan {
    struct call *call;
    size_t count, pending;
    bool can_release_frame; /* the answer needs nothing of the request, which may wait for minutes */
    group_fan_fn *answer;   /* all have answered: encodes the response out of items[] */
    void *context;          /* the handler's, in the call's arena */
    struct group_fan_item items[];
};

struct group_fan *group_fan_create(struct call *call, size_t count, group_fan_fn *answer);
/* Instead: more groups than GROUPS_PER_REQUEST_MAX are asked about. */
enum request_progress group_fan_refuse(struct call *call, int32_t count);
/* Sends what group_fan_ask() has marked and answers when all are done. */
enum request_progress group_fan_send(struct group_fan *fan);
/* The request of one item, to be filled. Items that are not asked for stay out of it. */
struct group_request *group_fan_ask(struct group_fan *fan, size_t item, enum group_request_type type, struct slice group_id);

#endif
