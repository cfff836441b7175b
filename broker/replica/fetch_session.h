/* Incremental fetch sessions (KIP-227), for consumers and followers, so that a fetch costs O(changed partitions).
 *
 * A session remembers what its client wants of each partition. An entry is *dirty* when it may have something to say: the client
 * moved it, or the partition changed. A fetch looks at dirty entries only. An entry that is watched links to its partition's list
 * of watchers (fetch_entry.watch); whoever changes the partition marks them with fetch_session_mark().
 *
 * A fetch outside any session (epoch -1: librdkafka) gets a session of its own that is never entered in the cache.
 *
 * Followers: an entry that was given something (data, a divergence, an error) is *quiet* until the follower names it again, since
 * until then it is busy with that: flushing, truncating, backing off. Consumers follow Kafka: given data, an entry stays dirty.
 *
 * Knows no log, network or clock. One owner thread. */
#ifndef SKIFF_BROKER_REPLICA_FETCH_SESSION_H
#define SKIFF_BROKER_REPLICA_FETCH_SESSION_H

#include "common/limits.h"
#include "common/list.h"
#include "common/map.h"
#include "common/uuid.h"
#include "proto/errors.h"

#define FETCH_SESSION_NONE    0         /* id */
#define FETCH_EPOCH_INITIAL   0         /* a full fetch that asks for a session */
#define FETCH_EPOCH_FINAL     (-1)      /* a full fetch outside sessions; closes the one it names */
#define FETCH_SESSION_IDLE_US 120000000 /* unused for so long, a session gives way to any other (Kafka's 2 minutes) */

struct fetch_target {
    struct uuid topic_id;
    int32_t partition;
};
/* What a client wants of one partition. */
struct fetch_position {
    struct fetch_target target;
    int32_t current_leader_epoch; /* -1: not said */
    int64_t offset;
    int32_t last_fetched_epoch; /* -1: no divergence check */
    int64_t log_start;          /* a follower's; -1 */
    int32_t bytes_max;
};

struct fetch_session;
struct fetch_entry {
    struct fetch_position position;
    struct fetch_session *session;
    struct list_node in_session; /* all entries, in the order of the first request */
    struct list_node dirty;      /* linked: looked at by the next fetch */
    struct list_node watch;      /* in the partition's list of watchers, by the caller */
    bool is_quiet;
    bool is_noted;          /* the caller's, false for each new position: a follower's was counted as its progress */
    int64_t sent_watermark; /* what the client was told last; -1 */
    int64_t sent_log_start;
};

struct fetch_session_cache;
struct fetch_session {
    struct fetch_session_cache *cache; /* NULL: outside the cache */
    int32_t id;
    int32_t epoch; /* expected in the next request */
    bool is_follower;
    int64_t used_us;
    struct list entries;
    struct list dirty;
    struct map by_target;
    struct list_node in_cache;
    void *parked; /* the caller's request that waits on this session */
};

struct fetch_session_cache {
    struct map sessions; /* by id */
    struct list by_use;  /* least recently used first */
    size_t entry_count;  /* of consumers; at most FETCH_SESSION_ENTRIES_MAX */
    uint32_t slots;
    uint64_t seed;
    /* A session ends (evicted, replaced, closed): answer what is parked on it, unlink the entries' watches. */
    void (*on_end)(void *user, struct fetch_session *session);
    void *user;
};

void fetch_session_cache_init(struct fetch_session_cache *cache, uint32_t slots, uint64_t seed,
                              void (*on_end)(void *user, struct fetch_session *session), void *user);
void fetch_session_cache_deinit(struct fetch_session_cache *cache);

struct fetch_session_request {
    int32_t session_id, session_epoch;
    bool has_sessions; /* false: the protocol version cannot (names instead of ids) */
    bool is_follower;
    const struct fetch_position *positions;
    size_t position_count;
    const struct fetch_target *forgotten;
    size_t forgotten_count;
    int64_t now_us;
    uint32_t random; /* for a new id */
};
/* The session that serves this request, its entries updated and marked; NULL with *error. What was parked on it before must be
 * answered first: it is passed to `on_parked` (may be NULL) before anything changes. One without a cache slot is destroyed by the
 * caller after the answer. */
struct fetch_session *fetch_session_begin(struct fetch_session_cache *cache, const struct fetch_session_request *request,
                                          void (*on_parked)(void *user, void *parked), enum kafka_error *error);
/* Outside the cache only. */
void fetch_session_destroy(struct fetch_session *session);

/* The partition of this entry changed, or it has more to give. No-op for a quiet one; true when it is dirty now. */
bool fetch_session_mark(struct fetch_entry *entry);
/* The entry has nothing to say for now. */
void fetch_session_clear(struct fetch_entry *entry);
/* The entry was given data, a divergence or an error. Moves it behind the others, so that each gets its turn. */
void fetch_session_given(struct fetch_entry *entry);
/* What goes into the header of the answer: the session's id, 0 outside the cache. */
static inline int32_t fetch_session_answer_id(const struct fetch_session *session)
{
    return session->cache ? session->id : FETCH_SESSION_NONE;
}

#endif
