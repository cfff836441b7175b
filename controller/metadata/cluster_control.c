#include "controller/metadata/cluster_control.h"

#include "common/assert.h"
#include "controller/metadata/feature_control.h"
#include "controller/metadata/replication_control.h"
#include "proto/pb.h"

#include <stdio.h>

/* ---- registration ---------------------------------------------------------------------------------------------------- */

static void refuse(Skiff__Outcome *outcome, struct refusal refusal)
{
    outcome->error_code = refusal.error;
    if (refusal.message.p) outcome->error_message = pb_lend((const char *)refusal.message.p);
}

static const Skiff__LogDirectory *directory_of(const Skiff__RegisterBrokerRequest *request, struct uuid id)
{
    for (size_t i = 0; i < request->n_directories; i++)
        if (slice_equal(pb_slice(request->directories[i]->directory_id), slice_make(id.bytes, sizeof id.bytes)))
            return request->directories[i];
    return NULL;
}

bool cluster_has_directories(const struct image_broker *before, const Skiff__RegisterBrokerRequest *request)
{
    for (uint32_t i = 0; i < before->directory_count; i++)
        if (!directory_of(request, before->directories[i])) return false;
    return true;
}

bool cluster_has_endpoint(const struct image_broker *before, const Skiff__RegisterBrokerRequest *request)
{
    const Skiff__Listener *now = request->n_listeners ? request->listeners[0] : NULL;
    return now && now->port == before->listeners[0].port && strcmp(now->host, before->listeners[0].host) == 0;
}

bool cluster_is_claim_proven(const struct image_broker *before, const Skiff__RegisterBrokerRequest *request)
{
    if (slice_equal(pb_slice(request->incarnation_id), slice_make(before->incarnation.bytes, 16))) return true;
    if (!request->clean_shutdown && !before->is_flushing) return false;
    /* All directories of then are here, and none is an old copy: each has seen the last epoch in which the broker took part. */
    if (!cluster_has_directories(before, request)) return false;
    for (uint32_t i = 0; i < before->directory_count; i++)
        if (directory_of(request, before->directories[i])->written_epoch < before->unfenced_epoch) return false;
    return true;
}

static bool are_listeners_valid(const Skiff__RegisterBrokerRequest *request)
{
    for (size_t i = 0; i < request->n_listeners; i++) {
        const Skiff__Listener *listener = request->listeners[i];
        if (listener->port == 0 || listener->port > UINT16_MAX || listener->security_protocol > 3) return false;
        if (!listener->host[0] || strlen(listener->host) > HOST_MAX) return false;
    }
    return request->n_listeners > 0 && request->n_listeners <= LISTENERS_MAX;
}

static bool are_directories_valid(const Skiff__RegisterBrokerRequest *request)
{
    for (size_t i = 0; i < request->n_directories; i++)
        if (request->directories[i]->directory_id.len != sizeof(struct uuid)) return false;
    return request->n_directories > 0 && request->n_directories <= LOG_DIRS_MAX;
}

static struct refusal check_registration(struct control *control, const Skiff__RegisterBrokerRequest *request,
                                         enum previous_session previous)
{
    const struct image *image = control->image;
    if (request->sender->cluster_id[0] && strcmp(request->sender->cluster_id, image->cluster_id) != 0)
        return REFUSE(control, INCONSISTENT_CLUSTER_ID, "Broker %d belongs to cluster %s, but this is cluster %s.", request->broker_id,
                      request->sender->cluster_id, image->cluster_id);
    if (request->broker_id < 0 || request->incarnation_id.len != sizeof(struct uuid) || !are_listeners_valid(request) ||
        !are_directories_valid(request))
        return REFUSE(control, INVALID_REQUEST, "The registration of broker %d lacks a valid incarnation, listener or log directory.",
                      request->broker_id);
    const struct image_broker *before = image_broker_get(image, request->broker_id);
    if (!before && map_count(&image->brokers) >= BROKERS_MAX)
        return REFUSE(control, INVALID_REQUEST, "A cluster has at most %d brokers.", BROKERS_MAX);
    bool is_other = before && !slice_equal(pb_slice(request->incarnation_id), slice_make(before->incarnation.bytes, 16));
    if (is_other && previous == PREVIOUS_MAY_LIVE)
        return REFUSE(control, DUPLICATE_BROKER_REGISTRATION, "Another broker is registered with id %d and may be running, at %s:%u.",
                      request->broker_id, before->listeners[0].host, before->listeners[0].port);
    return feature_check_broker(control, request->features, request->n_features);
}

static void add_registration(struct control *control, const Skiff__RegisterBrokerRequest *request, int64_t epoch)
{
    Skiff__RegisterBrokerRecord body;
    skiff__register_broker_record__init(&body);
    body.broker_id = request->broker_id;
    body.broker_epoch = epoch;
    body.incarnation_id = request->incarnation_id;
    body.n_listeners = request->n_listeners, body.listeners = request->listeners;
    body.rack = request->rack;
    body.n_directory_ids = request->n_directories;
    body.directory_ids = arena_calloc(control->arena, request->n_directories, sizeof *body.directory_ids);
    for (size_t i = 0; i < request->n_directories; i++) body.directory_ids[i] = request->directories[i]->directory_id;
    body.flush_policy = request->flush_policy == SKIFF__FLUSH_POLICY__FLUSH_POLICY_FSYNC ? SKIFF__FLUSH_POLICY__FLUSH_POLICY_FSYNC
                                                                                         : SKIFF__FLUSH_POLICY__FLUSH_POLICY_OS;
    body.n_features = request->n_features, body.features = request->features;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_REGISTER_BROKER, record.register_broker = &body;
    records_add(control->records, &record);
    records_cut(control->records);
}

void cluster_register_broker(struct control *control, const Skiff__RegisterBrokerRequest *request, enum previous_session previous,
                             Skiff__RegisterBrokerResponse *response)
{
    struct refusal refusal = check_registration(control, request, previous);
    if (is_refused(refusal)) {
        refuse(response->outcome, refusal);
        return;
    }
    const struct image_broker *before = image_broker_get(control->image, request->broker_id);
    /* It is fenced until it has recovered: out of every ISR. What it cannot vouch for it leaves for good. */
    if (before)
        replication_broker_leaves(control, request->broker_id,
                                  cluster_is_claim_proven(before, request) ? BROKER_LEAVES_ISR : BROKER_LEAVES_ISR_AND_ELR,
                                  request->damaged, request->n_damaged);
    int64_t epoch = control->image->last_broker_epoch + 1;
    add_registration(control, request, epoch);
    response->broker_epoch = epoch;
    response->cluster_id = control->image->cluster_id;
}

/* ---- heartbeats ------------------------------------------------------------------------------------------------------ */

enum heartbeat_wish cluster_heartbeat_wish(const struct image *image, const Skiff__BrokerHeartbeatRequest *request, int64_t others_applied,
                                           int64_t shutdown_index)
{
    const struct image_broker *broker = image_broker_get(image, request->broker_id);
    if (!broker || broker->epoch != request->broker_epoch) return HEARTBEAT_STALE;
    if (request->n_offline) return HEARTBEAT_LOSE_REPLICAS;
    if (request->want_shutdown) {
        if (broker->fenced) return HEARTBEAT_NOTHING;
        if (!broker->in_controlled_shutdown) return HEARTBEAT_SHUT_DOWN;
        return others_applied >= shutdown_index ? HEARTBEAT_LEAVE : HEARTBEAT_NOTHING;
    }
    if (request->want_fence) return broker->fenced ? HEARTBEAT_NOTHING : HEARTBEAT_FENCE;
    bool has_own_registration = request->applied_index >= broker->registered_index;
    return broker->fenced && has_own_registration ? HEARTBEAT_UNFENCE : HEARTBEAT_NOTHING;
}

void cluster_fence_broker(struct control *control, int32_t broker_id)
{
    const struct image_broker *broker = image_broker_get(control->image, broker_id);
    if (!broker || broker->fenced) return;
    replication_broker_leaves(control, broker_id, BROKER_LEAVES_ISR, NULL, 0);
    records_add_broker_change(control->records, broker, true, broker->in_controlled_shutdown);
    records_cut(control->records);
}

static void unfence(struct control *control, const struct image_broker *broker)
{
    records_add_broker_change(control->records, broker, false, false);
    records_cut(control->records);
    replication_broker_arrives(control, broker->id);
}

/* Its leaderships move while it still serves; whoever has applied the records asks the new leaders. */
static void shut_down(struct control *control, const struct image_broker *broker)
{
    control->records->announce = true;
    replication_broker_leaves(control, broker->id, BROKER_LEAVES_ISR, NULL, 0);
    records_add_broker_change(control->records, broker, false, true);
    records_cut(control->records);
}

void cluster_heartbeat(struct control *control, const Skiff__BrokerHeartbeatRequest *request, enum heartbeat_wish wish,
                       Skiff__BrokerHeartbeatResponse *response)
{
    if (wish == HEARTBEAT_STALE) {
        response->outcome->error_code = KAFKA_STALE_BROKER_EPOCH;
        return;
    }
    const struct image_broker *broker = image_broker_get(control->image, request->broker_id);
    ASSERT(broker);
    if (wish == HEARTBEAT_UNFENCE) unfence(control, broker);
    if (wish == HEARTBEAT_FENCE || wish == HEARTBEAT_LEAVE) cluster_fence_broker(control, broker->id);
    if (wish == HEARTBEAT_SHUT_DOWN) shut_down(control, broker);
    if (wish == HEARTBEAT_LOSE_REPLICAS)
        replication_broker_leaves(control, broker->id, BROKER_LEAVES_NOTHING, request->offline, request->n_offline);
    response->is_fenced = wish == HEARTBEAT_FENCE || wish == HEARTBEAT_LEAVE || (broker->fenced && wish != HEARTBEAT_UNFENCE);
    response->should_shutdown = request->want_shutdown && response->is_fenced;
}

/* ---- UnregisterBroker ------------------------------------------------------------------------------------------------ */

void cluster_unregister_broker(struct control *control, int32_t broker_id, struct unregister_broker_response *response)
{
    const struct image_broker *broker = image_broker_get(control->image, broker_id);
    struct refusal refusal = feature_check_level(control, 2, "Removals of brokers");
    if (!is_refused(refusal) && !broker)
        refusal = REFUSE(control, BROKER_ID_NOT_REGISTERED, "Broker ID %d is not currently registered", broker_id);
    response->error_code = (int16_t)refusal.error;
    response->error_message = refusal.message;
    if (is_refused(refusal)) return;
    /* With the registration goes what it could prove when it comes back. */
    replication_broker_leaves(control, broker_id, BROKER_LEAVES_ISR_AND_ELR, NULL, 0);
    records_add_unregister_broker(control->records, broker);
    records_cut(control->records);
}

/* ---- birth ----------------------------------------------------------------------------------------------------------- */

static void add_default(struct control *control, const char *name, const char *value)
{
    records_add_config(control->records, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_BROKER, "", name, value);
}

void cluster_bootstrap(struct control *control, const char *cluster_id, const struct cluster_defaults *defaults)
{
    if (control->image->cluster_id[0]) return;
    char text[16];
    records_add_cluster(control->records, cluster_id);
    feature_bootstrap(control);
    (void)snprintf(text, sizeof text, "%d", defaults->min_insync_replicas);
    add_default(control, "min.insync.replicas", text);
    add_default(control, "log.flush.policy", defaults->is_flushing ? "fsync" : "os");
    if (defaults->is_unclean_allowed) add_default(control, "unclean.leader.election.enable", "true");
    records_cut(control->records);
}
