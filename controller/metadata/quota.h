/* Client quotas: how many bytes a second a user, a client id, or both may produce and consume on this broker (KIP-13, KIP-219), how much of
 * the time of its thread (KIP-124), how many partitions they may create and delete (KIP-599), and how often an address may connect
 * (KIP-612).
 *
 * What is set is in the metadata (image.quotas), in Kafka's order of precedence; a quota of a default holds for each user or client id by
 * itself. Who exceeds its quota is answered at once, told for how long it should be silent, and not read from for so long: the caller does
 * both. Kafka averages over the last eleven seconds; here a bucket holds one second's worth (common/token_bucket.h).
 *
 * With no quota set a charge costs one comparison. Memory: one small entry for each that has a quota and was heard of; QUOTA_BUCKETS_MAX of
 * them, then those that owe nothing go, and if nobody can go the newcomers share one.
 * Pure; one owner thread: of the broker, or of the controller, which counts partitions. */
#ifndef SKIFF_CONTROLLER_METADATA_QUOTA_H
#define SKIFF_CONTROLLER_METADATA_QUOTA_H

#include "common/token_bucket.h"
#include "controller/metadata/image.h"

#define QUOTA_BUCKETS_MAX 4096

enum quota_kind { QUOTA_PRODUCE, QUOTA_FETCH, QUOTA_REQUEST, QUOTA_CONNECT, QUOTA_MUTATION, QUOTA_KINDS };

struct quotas {
    struct map buckets[QUOTA_KINDS];             /* struct quota_bucket by the name of whose it is */
    struct token_bucket for_others[QUOTA_KINDS]; /* when there are too many */
    uint64_t throttled[QUOTA_KINDS];             /* answers that told somebody to wait */
};

void quotas_init(struct quotas *quotas, uint64_t seed);
void quotas_deinit(struct quotas *quotas);
/* Bytes (of requests: nanoseconds) a second; INT64_MAX: there is no quota for them. `user` without "User:". */
int64_t quotas_rate(const struct image *image, enum quota_kind kind, struct slice user, struct slice client_id);
/* Somebody's bytes pass, or nanoseconds of the thread. How long the client must be silent, in microseconds; 0: not at all. */
int64_t quotas_charge(struct quotas *quotas, const struct image *image, enum quota_kind kind, struct slice user, struct slice client_id,
                      int64_t bytes, int64_t now_us);
/* "User:alice" is alice. */
struct slice quota_user(const char *principal);

/* A request that creates or deletes partitions. */
struct quota_mutation {
    struct quotas *quotas;
    struct slice user, client_id;
    int64_t now_us;
    bool is_strict;  /* whoever owes is refused; else it only waits */
    int64_t wait_us; /* out: how long the client must be silent */
};
/* False: refused, which does not count. Like Kafka's, this bucket holds eleven seconds' worth. */
bool quotas_mutate(struct quota_mutation *mutation, const struct image *image, int64_t partitions);

/* Somebody connects. 0: it may; else for how long, in microseconds, it should not, and this one does not count. */
int64_t quotas_connect(struct quotas *quotas, const struct image *image, struct slice address, int64_t now_us);

#endif
