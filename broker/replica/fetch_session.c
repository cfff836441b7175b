/* See fetch_session.h. */
#include "broker/replica/fetch_session.h"

#include "common/mem.h"

_Static_assert(sizeof(struct fetch_target) == 20, "a map key has no padding");

static struct fetch_entry *entry_in_session(struct list_node *node) { return CONTAINER_OF(node, struct fetch_entry, in_session); }
static struct fetch_session *session_in_cache(struct list_node *node) { return CONTAINER_OF(node, struct fetch_session, in_cache); }

/* ---- entries ---- */

static void make_dirty(struct fetch_entry *entry)
{
    if (!list_is_linked(&entry->dirty)) list_push_back(&entry->session->dirty, &entry->dirty);
}

bool fetch_session_mark(struct fetch_entry *entry)
{
    ASSERT(entry->session != NULL);
    if (entry->is_quiet) return false;
    make_dirty(entry);
    return true;
}

void fetch_session_clear(struct fetch_entry *entry)
{
    if (list_is_linked(&entry->dirty)) list_remove(&entry->dirty);
}

void fetch_session_given(struct fetch_entry *entry)
{
    fetch_session_clear(entry);
    entry->is_quiet = entry->session->is_follower;
    if (!entry->is_quiet) make_dirty(entry);
}

static void set_position(struct fetch_entry *entry, const struct fetch_position *position)
{
    entry->position = *position;
    entry->is_quiet = entry->is_noted = false;
    make_dirty(entry);
}

static void add_entry(struct fetch_session *session, const struct fetch_position *position)
{
    struct fetch_entry *entry = mem_alloc(sizeof *entry);
    entry->session = session;
    entry->sent_watermark = entry->sent_log_start = -1;
    list_push_back(&session->entries, &entry->in_session);
    set_position(entry, position);
    map_put(&session->by_target, MAP_KEY(&entry->position.target), entry);
    if (session->cache && !session->is_follower) session->cache->entry_count++;
}

static void remove_entry(struct fetch_entry *entry)
{
    struct fetch_session *session = entry->session;
    map_remove(&session->by_target, MAP_KEY(&entry->position.target));
    if (session->cache && !session->is_follower) session->cache->entry_count--;
    list_remove(&entry->in_session);
    if (list_is_linked(&entry->dirty)) list_remove(&entry->dirty);
    if (list_is_linked(&entry->watch)) list_remove(&entry->watch);
    mem_free(entry);
}

static struct fetch_entry *find_entry(const struct fetch_session *session, const struct fetch_target *target)
{
    return map_get(&session->by_target, MAP_KEY(target));
}

static void take_positions(struct fetch_session *session, const struct fetch_session_request *request)
{
    /* What was given up and taken up again since the last request is in both lists, and wanted. */
    for (size_t i = 0; i < request->forgotten_count; i++) {
        struct fetch_entry *entry = find_entry(session, &request->forgotten[i]);
        if (entry) remove_entry(entry);
    }
    for (size_t i = 0; i < request->position_count; i++) {
        struct fetch_entry *entry = find_entry(session, &request->positions[i].target);
        if (entry)
            set_position(entry, &request->positions[i]);
        else
            add_entry(session, &request->positions[i]);
    }
}

/* ---- sessions ---- */

static struct fetch_session *session_create(const struct fetch_session_cache *cache, bool is_follower)
{
    struct fetch_session *session = mem_alloc(sizeof *session);
    session->is_follower = is_follower;
    map_init(&session->by_target, cache->seed);
    list_init(&session->entries);
    list_init(&session->dirty);
    return session;
}

static void session_free(struct fetch_session *session)
{
    while (!list_is_empty(&session->entries)) remove_entry(entry_in_session(list_first(&session->entries)));
    map_deinit(&session->by_target);
    mem_free(session);
}

void fetch_session_destroy(struct fetch_session *session)
{
    ASSERT(session->cache == NULL);
    session_free(session);
}

static void end_session(struct fetch_session *session)
{
    struct fetch_session_cache *cache = session->cache;
    ASSERT(cache != NULL);
    cache->on_end(cache->user, session);
    ASSERT(session->parked == NULL);
    map_remove(&cache->sessions, MAP_KEY(&session->id));
    list_remove(&session->in_cache);
    session_free(session);
}

void fetch_session_cache_init(struct fetch_session_cache *cache, uint32_t slots, uint64_t seed,
                              void (*on_end)(void *user, struct fetch_session *session), void *user)
{
    *cache = (struct fetch_session_cache){.slots = slots, .seed = seed, .on_end = on_end, .user = user};
    map_init(&cache->sessions, seed);
    list_init(&cache->by_use);
}

void fetch_session_cache_deinit(struct fetch_session_cache *cache)
{
    while (!list_is_empty(&cache->by_use)) end_session(session_in_cache(list_first(&cache->by_use)));
    map_deinit(&cache->sessions);
}

static struct fetch_session *find_session(const struct fetch_session_cache *cache, int32_t id, bool is_follower)
{
    struct fetch_session *session = map_get(&cache->sessions, MAP_KEY(&id));
    return session && session->is_follower == is_follower ? session : NULL;
}

static void touch(struct fetch_session *session, int64_t now_us)
{
    session->used_us = now_us;
    list_remove(&session->in_cache);
    list_push_back(&session->cache->by_use, &session->in_cache);
}

/* Whoever names many partitions, most of which need not exist, fetches without a session: then they live as long as the fetch. */
static bool has_room_for(const struct fetch_session_cache *cache, const struct fetch_session_request *request)
{
    return request->is_follower || request->position_count <= FETCH_SESSION_ENTRIES_MAX - cache->entry_count;
}

/* Frees a slot: the session unused for longest when it is idle; for a follower, which would pay most, any consumer's. */
static bool make_room(struct fetch_session_cache *cache, bool is_follower, int64_t now_us)
{
    if (map_count(&cache->sessions) < cache->slots) return true;
    LIST_FOR_EACH (&cache->by_use, node) {
        struct fetch_session *session = session_in_cache(node);
        bool is_idle = now_us - session->used_us > FETCH_SESSION_IDLE_US;
        if (!is_idle && !is_follower) return false; /* the others were used later */
        if (!is_idle && session->is_follower) continue;
        end_session(session);
        return true;
    }
    return false;
}

static int32_t free_id(const struct fetch_session_cache *cache, uint32_t random)
{
    int32_t id = (int32_t)(random & INT32_MAX);
    while (id == FETCH_SESSION_NONE || map_get(&cache->sessions, MAP_KEY(&id)) != NULL) id = id == INT32_MAX ? 1 : id + 1;
    return id;
}

static void enter_cache(struct fetch_session_cache *cache, struct fetch_session *session, const struct fetch_session_request *request)
{
    session->cache = cache;
    session->id = free_id(cache, request->random);
    session->epoch = 1;
    session->used_us = request->now_us;
    map_put(&cache->sessions, MAP_KEY(&session->id), session);
    list_push_back(&cache->by_use, &session->in_cache);
}

/* A full fetch: every partition is named; ends the session that it names. */
static struct fetch_session *begin_full(struct fetch_session_cache *cache, const struct fetch_session_request *request)
{
    struct fetch_session *old = find_session(cache, request->session_id, request->is_follower);
    if (old) end_session(old);
    struct fetch_session *session = session_create(cache, request->is_follower);
    bool wants_session = request->has_sessions && request->session_epoch == FETCH_EPOCH_INITIAL;
    if (wants_session && has_room_for(cache, request) && make_room(cache, request->is_follower, request->now_us))
        enter_cache(cache, session, request);
    take_positions(session, request);
    return session;
}

/* A consumer that is left with nothing gives up its session, and is told so. (A follower is soon given partitions again.) */
static struct fetch_session *replace_by_none(struct fetch_session *session)
{
    const struct fetch_session_cache *cache = session->cache;
    end_session(session);
    return session_create(cache, false);
}

struct fetch_session *fetch_session_begin(struct fetch_session_cache *cache, const struct fetch_session_request *request,
                                          void (*on_parked)(void *user, void *parked), enum kafka_error *error)
{
    *error = KAFKA_NONE;
    if (request->session_epoch == FETCH_EPOCH_FINAL || request->session_epoch == FETCH_EPOCH_INITIAL) return begin_full(cache, request);
    struct fetch_session *session = request->has_sessions ? find_session(cache, request->session_id, request->is_follower) : NULL;
    if (session && !has_room_for(cache, request)) {
        end_session(session);
        session = NULL;
    }
    if (!session) {
        *error = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
        return NULL;
    }
    if (session->epoch != request->session_epoch) {
        *error = KAFKA_INVALID_FETCH_SESSION_EPOCH;
        return NULL;
    }
    if (session->parked && on_parked) on_parked(cache->user, session->parked);
    ASSERT(session->parked == NULL);
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    touch(session, request->now_us);
    take_positions(session, request);
    return list_is_empty(&session->entries) && !session->is_follower ? replace_by_none(session) : session;
}
