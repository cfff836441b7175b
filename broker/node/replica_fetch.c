/* Fetch, for followers and consumers: sessions, long polls, and what of the log may leave.
 *
 * A request looks at the dirty entries of its session only. It is answered when they have min_bytes, an error or a divergence, or
 * when its time is up; else it is parked, and a change of one of its partitions wakes it for the end of that turn.
 * Q-REPEAT: a consumer gets nothing at or above the high watermark. Only bytes below it leave as file ranges, which never change. */
#include "broker/node/replica_internal.h"
#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#define NEWS_DELAY_US 5000 /* a follower that waits learns a new high watermark this late at most: usually with the next record */

/* A cold range on its way into memory; outlives the request when it must. */
struct fetch_cold_read {
    struct plog_disk_read disk_read;
    struct replica_fetch *request; /* NULL: nobody waits for it any more */
};

static struct fetch_entry *entry_of_dirty(struct list_node *node) { return CONTAINER_OF(node, struct fetch_entry, dirty); }

/* ---- one partition ---- */

enum finding {
    FINDING_NOTHING, /* nothing new */
    FINDING_NEWS,    /* only offsets that the client does not know yet */
    FINDING_GIVEN,   /* an error, a divergence or records */
    FINDING_LATER,   /* has records, but they did not fit, or are not in memory */
};
struct draft {
    struct fetch_entry *entry;
    enum finding finding;
    struct fetch_result result;
};

static bool is_follower(const struct replica_fetch *request) { return request->replica_id >= 0; }

static enum kafka_error check_access(const struct replica_fetch *request, const struct replica *replica,
                                     const struct fetch_position *position)
{
    const struct partition *p = &replica->partition;
    enum kafka_error error = KAFKA_NONE;
    if (is_follower(request))
        error = partition_check_follower(p, request->replica_id, request->replica_epoch, position->current_leader_epoch);
    else if (request->may_read_followers)
        error = partition_check_reader(p, position->current_leader_epoch);
    else
        error = partition_check_leader(p, position->current_leader_epoch);
    if (error != KAFKA_NONE) return error;
    /* Whatever the epochs say (KAFKA-12996); an offset beyond our end may be a divergence. */
    return position->offset < p->log_start ? KAFKA_OFFSET_OUT_OF_RANGE : KAFKA_NONE;
}

/* ---- the nearest replica (KIP-392) ---- */

static bool is_in_rack(const struct replica_manager *m, int32_t broker_id, struct slice rack)
{
    const struct image_broker *broker = image_broker_get(m->image, broker_id);
    return broker && !broker->fenced && slice_equal_str(rack, broker->rack);
}

static bool may_serve(const struct partition *p, size_t i, int64_t offset)
{
    const struct partition_replica *replica = &p->replicas[i];
    return isr_has(p->isr, i) && replica->end_offset >= offset && replica->log_start <= offset;
}

/* The one in the consumer's rack that holds most; -1 when that is the leader, or nobody. */
static int32_t preferred_replica(const struct replica_fetch *request, const struct replica *replica, int64_t offset)
{
    const struct replica_manager *m = request->manager;
    const struct partition *p = &replica->partition;
    const struct partition_replica *best = NULL;
    if (!m->options.is_rack_aware || request->rack.n == 0 || !request->may_read_followers || !partition_is_leader(p)) return -1;
    if (is_in_rack(m, m->options.node_id, request->rack)) return -1;
    for (size_t i = 0; i < p->replica_count; i++) {
        const struct partition_replica *each = &p->replicas[i];
        if (i == p->local || !may_serve(p, i, offset) || !is_in_rack(m, each->id, request->rack)) continue;
        if (!best || each->end_offset > best->end_offset) best = each;
    }
    return best ? best->id : -1;
}

/* KIP-595's answer to a client whose last epoch ended earlier here, or never was. */
static bool find_divergence(const struct replica *replica, const struct fetch_position *position, struct fetch_result *result)
{
    if (position->last_fetched_epoch < 0) return false;
    plog_epoch_end(replica->log, position->last_fetched_epoch, &result->diverging_epoch, &result->diverging_end_offset);
    result->is_diverging = result->diverging_epoch < position->last_fetched_epoch || result->diverging_end_offset < position->offset;
    return result->is_diverging;
}

/* Everything but the records: errors, divergence, a nearer replica, offsets. The replica, if records may follow. */
static struct replica *begin_result(struct replica_fetch *request, const struct fetch_entry *entry, struct fetch_result *result)
{
    struct replica_manager *m = request->manager;
    const struct fetch_position *position = &entry->position;
    struct replica *replica = replica_find(m, position->target.topic_id, position->target.partition);
    *result = (struct fetch_result){
        .topic_id = position->target.topic_id,
        .partition = position->target.partition,
        .high_watermark = -1,
        .last_stable_offset = -1,
        .log_start_offset = -1,
        .preferred_replica = -1,
    };
    enum kafka_error error =
        replica ? check_access(request, replica, position) : replica_absent_error(m, position->target.topic_id, position->target.partition);
    ASSERT(replica || (error != KAFKA_NONE && error != KAFKA_OFFSET_OUT_OF_RANGE));
    bool is_diverging = error == KAFKA_NONE && find_divergence(replica, position, result);
    if (error == KAFKA_NONE && !is_diverging && position->offset > replica->partition.log_end) error = KAFKA_OFFSET_OUT_OF_RANGE;
    result->error = error;
    replica_leader_hint(m, result->topic_id, result->partition, result->error, &result->leader_id, &result->leader_epoch);
    /* A follower that fell behind starts over from here. */
    if (error == KAFKA_OFFSET_OUT_OF_RANGE) result->log_start_offset = replica->partition.log_start;
    if (error != KAFKA_NONE) return NULL;
    result->high_watermark = replica->partition.high_watermark;
    result->last_stable_offset = replica_visible_end(replica, true);
    result->log_start_offset = replica->partition.log_start;
    if (!is_diverging && !is_follower(request)) result->preferred_replica = preferred_replica(request, replica, position->offset);
    return is_diverging || result->preferred_replica >= 0 ? NULL : replica;
}

static struct plog_read read_of(const struct replica_fetch *request, const struct replica *replica, const struct fetch_position *position)
{
    return (struct plog_read){
        .offset = position->offset,
        .limit = is_follower(request) ? replica->partition.log_end : replica_visible_end(replica, request->is_read_committed),
        .file_limit = replica->partition.high_watermark,
        .bytes_max = position->bytes_max,
        .is_in_memory = request->is_in_memory,
        .refuses_zstd = request->refuses_zstd,
    };
}

static bool is_news(const struct fetch_entry *entry, const struct fetch_result *result)
{
    return entry->sent_watermark != result->high_watermark || entry->sent_log_start != result->log_start_offset;
}

/* ---- is there enough? ---- */

static int64_t measure(const struct replica_fetch *request, struct replica *replica, const struct fetch_position *position)
{
    struct plog_read read = read_of(request, replica, position);
    if (read.limit <= read.offset) return 0;
    if (request->min_bytes <= 1) return 1;
    read.is_first_whole = true;
    enum err err = plog_read(replica->log, &read);
    plog_read_release(&read);
    /* Else the answer will say what is wrong, or fetch it from the disk; before a batch of zstd waiting brings no more. */
    return err == ERR_OK && !read.is_before_zstd ? read.bytes : position->bytes_max;
}

/* KIP-73: the throttle that a follower's fetch is under; NULL: none. Who is in sync stays so. */
static struct replica_throttle *throttle_of(const struct replica_fetch *request, const struct replica *replica)
{
    const struct partition *p = &replica->partition;
    int32_t follower = is_follower(request) && replica->is_throttled[THROTTLE_LEADER] ? partition_find(p, request->replica_id) : -1;
    if (follower < 0 || isr_has(p->isr, (size_t)follower)) return NULL;
    return &request->manager->throttles[THROTTLE_LEADER];
}

static int64_t held_back_us(const struct replica_fetch *request, const struct replica *replica)
{
    struct replica_throttle *throttle = throttle_of(request, replica);
    ASSERT(request->manager != NULL);
    return throttle ? replica_throttle_wait_us(throttle, env_now_us(request->manager->env)) : 0;
}

struct prospect {
    int64_t bytes;
    int64_t held_back_us; /* for so long at most; 0: no partition is */
    bool is_urgent, is_news;
};

static void look_at_entry(struct replica_fetch *request, struct fetch_entry *entry, struct prospect *prospect)
{
    struct fetch_result result;
    struct replica *replica = begin_result(request, entry, &result);
    if (replica && !list_is_linked(&entry->watch)) list_push_back(&replica->watchers, &entry->watch);
    int64_t held_us = replica ? held_back_us(request, replica) : 0;
    int64_t bytes = replica && !held_us ? measure(request, replica, &entry->position) : 0;
    prospect->bytes += bytes;
    prospect->held_back_us = max_i64(prospect->held_back_us, held_us);
    if (!replica)
        prospect->is_urgent = true;
    else if (is_news(entry, &result))
        prospect->is_news = true;
    else if (bytes == 0 && !held_us)
        fetch_session_clear(entry);
}

static struct prospect look(struct replica_fetch *request)
{
    struct prospect prospect = {0};
    LIST_FOR_EACH (&request->session->dirty, node) look_at_entry(request, entry_of_dirty(node), &prospect);
    return prospect;
}

/* ---- the answer ---- */

static void end_request(struct replica_fetch *request)
{
    struct replica_manager *m = request->manager;
    env_timer_clear(m->env, &request->timer);
    if (list_is_linked(&request->node)) list_remove(&request->node);
    if (request->cold) request->cold->request = NULL;
    request->cold = NULL;
    struct fetch_session *session = request->session;
    request->session = NULL;
    if (!session) return;
    session->parked = NULL;
    if (!session->cache) fetch_session_destroy(session);
}

static void finish(struct replica_fetch *request)
{
    struct replica_manager *m = request->manager;
    end_request(request);
    list_push_back(&m->fetched, &request->node);
    replica_manager_schedule(m);
}

static void on_cold_read(struct plog_disk_read *disk_read, enum err err, int64_t now_us)
{
    (void)err; /* a real damage shows when the range is read again */
    (void)now_us;
    struct fetch_cold_read *cold = CONTAINER_OF(disk_read, struct fetch_cold_read, disk_read);
    struct replica_fetch *request = cold->request;
    mem_free(cold);
    if (!request) return;
    request->cold = NULL;
    list_remove(&request->node);
    list_push_back(&request->manager->woken, &request->node);
    replica_manager_schedule(request->manager);
}

static void start_cold_read(struct replica_fetch *request, struct plog_want *want)
{
    ASSERT(request->manager != NULL);
    if (request->cold || !want->file) {
        if (want->file) env_file_unref(want->file);
        want->file = NULL;
        return;
    }
    struct fetch_cold_read *cold = mem_alloc(sizeof *cold);
    cold->disk_read.done = on_cold_read;
    cold->request = request;
    request->cold = cold;
    plog_fetch_from_disk(request->manager->env, &cold->disk_read, want);
}

static void take_pieces(struct fetch_result *result, const struct plog_read *read)
{
    if (read->bytes == 0) return;
    result->pieces = mem_calloc(read->piece_count, sizeof *result->pieces);
    memcpy(result->pieces, read->pieces, read->piece_count * sizeof *result->pieces);
    result->piece_count = read->piece_count;
    result->bytes = read->bytes;
}

static void refuse_records(struct fetch_result *result, enum kafka_error error)
{
    *result = (struct fetch_result){.topic_id = result->topic_id,
                                    .partition = result->partition,
                                    .error = error,
                                    .high_watermark = -1,
                                    .last_stable_offset = -1,
                                    .log_start_offset = -1,
                                    .leader_id = -1,
                                    .leader_epoch = -1,
                                    .preferred_replica = -1};
}

static enum finding fail_read(struct replica *replica, struct fetch_result *result, enum err err)
{
    log_line(env_logger(replica->manager->env), LOG_ERROR, "fetch", "%s cannot be read: %s", plog_name(replica->log), err_text(err));
    refuse_records(result, err == ERR_CORRUPT ? KAFKA_CORRUPT_MESSAGE : KAFKA_KAFKA_STORAGE_ERROR);
    if (err == ERR_IO) replica_on_log_error(replica, "a read", err);
    return FINDING_GIVEN;
}

static enum finding read_records(struct replica_fetch *request, struct replica *replica, struct draft *draft, int64_t *left)
{
    struct plog_read read = read_of(request, replica, &draft->entry->position);
    enum finding nothing = is_news(draft->entry, &draft->result) ? FINDING_NEWS : FINDING_NOTHING;
    if (read.limit <= read.offset) return nothing;
    const struct replica_throttle *throttle = throttle_of(request, replica);
    if (held_back_us(request, replica) > 0) return FINDING_LATER;
    if (throttle) read.bytes_max = replica_throttle_cut(throttle, read.bytes_max);
    bool is_first = *left == request->max_bytes;
    if (*left <= 0 && !is_first) return FINDING_LATER;
    read.bytes_max = (int32_t)max_i64(min_i64(read.bytes_max, *left), 0);
    read.is_first_whole = is_first;
    enum err err = plog_read(replica->log, &read);
    if (err == ERR_AGAIN) {
        start_cold_read(request, &read.want);
        plog_read_release(&read);
        return FINDING_LATER;
    }
    if (err != ERR_OK) {
        plog_read_release(&read);
        return fail_read(replica, &draft->result, err);
    }
    if (read.bytes == 0 && read.is_before_zstd) {
        refuse_records(&draft->result, KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
        return FINDING_GIVEN;
    }
    take_pieces(&draft->result, &read);
    *left -= read.bytes;
    return read.bytes > 0 ? FINDING_GIVEN : FINDING_LATER;
}

static void draft_entry(struct replica_fetch *request, struct draft *draft, int64_t *left)
{
    struct replica *replica = begin_result(request, draft->entry, &draft->result);
    draft->finding = replica ? read_records(request, replica, draft, left) : FINDING_GIVEN;
}

/* Fills drafts for all dirty entries; true when one of them is worth an answer. */
static bool draft_all(struct replica_fetch *request, struct draft *drafts)
{
    int64_t left = request->max_bytes; /* the first batch goes out whatever it says (KIP-74) */
    size_t i = 0;
    bool has_given = false;
    LIST_FOR_EACH (&request->session->dirty, node) {
        drafts[i].entry = entry_of_dirty(node);
        draft_entry(request, &drafts[i], &left);
        has_given |= drafts[i++].finding == FINDING_GIVEN;
    }
    return has_given;
}

static void release_pieces(struct fetch_result *result)
{
    for (size_t i = 0; i < result->piece_count; i++) {
        buf_unref(result->pieces[i].buf);
        if (result->pieces[i].file) env_file_unref(result->pieces[i].file);
    }
    mem_free(result->pieces);
}

/* The entry's state after its draft was sent; false when it is left out of the answer. */
static bool commit_draft(struct draft *draft, bool is_full)
{
    struct fetch_entry *entry = draft->entry;
    if (draft->finding == FINDING_GIVEN)
        fetch_session_given(entry);
    else if (draft->finding != FINDING_LATER)
        fetch_session_clear(entry);
    bool is_included = is_full || draft->finding == FINDING_GIVEN || is_news(entry, &draft->result);
    if (is_included) {
        /* A follower that has to cut its log takes nothing else from the answer. */
        bool is_taken = !draft->result.is_diverging;
        entry->sent_watermark = is_taken ? draft->result.high_watermark : -1;
        entry->sent_log_start = is_taken ? draft->result.log_start_offset : -1;
    }
    return is_included;
}

/* What leaves of throttled replicas counts, also for those who are in sync. */
static void count_throttled(const struct replica_fetch *request, const struct fetch_result *result)
{
    struct replica_manager *m = request->manager;
    struct replica_throttle *throttle = &m->throttles[THROTTLE_LEADER];
    if (throttle->rate <= 0 || result->bytes == 0 || !is_follower(request)) return;
    const struct replica *replica = replica_find(m, result->topic_id, result->partition);
    if (replica && replica->is_throttled[THROTTLE_LEADER]) replica_throttle_passed(throttle, result->bytes, env_now_us(m->env));
}

static void answer(struct replica_fetch *request, struct draft *drafts, size_t count)
{
    bool is_full = request->session->cache == NULL;
    request->results = mem_calloc(count + 1, sizeof *request->results);
    for (size_t i = 0; i < count; i++)
        if (commit_draft(&drafts[i], is_full)) request->results[request->result_count++] = drafts[i].result;
    for (size_t i = 0; i < request->result_count; i++) count_throttled(request, &request->results[i]);
    replica_count_fetched(request);
    finish(request);
}

static size_t count_dirty(const struct fetch_session *session)
{
    size_t count = 0;
    LIST_FOR_EACH (&session->dirty, node) count++;
    return count;
}

/* Answers, unless all that there is must come from the disk first and there is time to wait for it. */
static bool try_answer(struct replica_fetch *request, int64_t now_us)
{
    size_t count = count_dirty(request->session);
    struct draft *drafts = mem_calloc(count + 1, sizeof *drafts);
    bool is_worth = draft_all(request, drafts);
    bool waits = !is_worth && request->cold && now_us < request->disk_deadline_us;
    if (waits)
        for (size_t i = 0; i < count; i++) release_pieces(&drafts[i].result);
    else
        answer(request, drafts, count);
    mem_free(drafts);
    return !waits;
}

static void park(struct replica_fetch *request, int64_t deadline_us)
{
    struct replica_manager *m = request->manager;
    list_push_back(&m->parked, &request->node);
    env_timer_set(m->env, &request->timer, deadline_us);
}

/* ---- a follower's progress ---- */

/* A follower's fetch offset says what is durable there (Q-MATCH: only if our log has the same up to it). */
static void note_follower(struct replica_fetch *request, struct fetch_entry *entry, int64_t now_us)
{
    const struct fetch_position *position = &entry->position;
    struct replica *replica = replica_find(request->manager, position->target.topic_id, position->target.partition);
    if (!replica || check_access(request, replica, position) != KAFKA_NONE) return;
    struct fetch_result unused;
    struct partition_event event = {
        .type = PARTITION_FETCHED_BY,
        .now_us = now_us,
        .fetched_by = {.replica_id = request->replica_id,
                       .broker_epoch = request->replica_epoch,
                       .offset = position->offset,
                       .log_start = position->log_start,
                       .is_matching = !find_divergence(replica, position, &unused)},
    };
    entry->is_noted = true;
    replica_feed(replica, &event);
}

/* Not when the request arrives but when it is looked at: a follower may learn of our office before we do, and asks only once. */
static void note_progress(struct replica_fetch *request, int64_t now_us)
{
    LIST_FOR_EACH (&request->session->dirty, node) {
        struct fetch_entry *entry = entry_of_dirty(node);
        if (!entry->is_noted) note_follower(request, entry, now_us);
    }
}

/* Parked requests hold no bytes: each look starts anew. */
static void run_request(struct replica_fetch *request, int64_t now_us)
{
    if (is_follower(request)) note_progress(request, now_us);
    struct prospect prospect = look(request);
    if (prospect.is_news && is_follower(request)) request->deadline_us = min_i64(request->deadline_us, now_us + NEWS_DELAY_US);
    bool is_due = prospect.is_urgent || prospect.bytes >= max_i64(request->min_bytes, 1) || now_us >= request->deadline_us;
    if (!is_due)
        park(request, prospect.held_back_us ? min_i64(request->deadline_us, now_us + prospect.held_back_us) : request->deadline_us);
    else if (!try_answer(request, now_us))
        park(request, request->disk_deadline_us);
}

void replica_fetch_run_woken(struct replica_manager *m, int64_t now_us)
{
    struct list_node *node = NULL;
    while ((node = list_pop_front(&m->woken)) != NULL) run_request(CONTAINER_OF(node, struct replica_fetch, node), now_us);
}

static void wake(struct replica_fetch *request)
{
    /* Wakes when the disk has answered; or is being looked at. */
    if (request->cold || !list_is_linked(&request->node)) return;
    list_remove(&request->node);
    list_push_back(&request->manager->woken, &request->node);
    replica_manager_schedule(request->manager);
}

static void on_fetch_timeout(struct env_timer *timer, int64_t now_us)
{
    (void)now_us;
    struct replica_fetch *request = CONTAINER_OF(timer, struct replica_fetch, timer);
    if (request->cold) request->cold->request = NULL;
    request->cold = NULL;
    wake(request);
}

void replica_fetch_wake(struct replica *replica)
{
    LIST_FOR_EACH (&replica->watchers, node) {
        struct fetch_entry *entry = CONTAINER_OF(node, struct fetch_entry, watch);
        if (fetch_session_mark(entry) && entry->session->parked) wake(entry->session->parked);
    }
}

void replica_fetch_unwatch(struct replica *replica)
{
    replica_fetch_wake(replica);
    while (list_pop_front(&replica->watchers) != NULL) continue;
}

/* ---- the request ---- */

/* A newer request of the session came: whoever waits has nothing, or it would not wait. What it would have got goes out next. */
static void on_overtaken(void *manager, void *parked)
{
    (void)manager;
    finish(parked);
}

void replica_fetch_session_ended(void *manager, struct fetch_session *session)
{
    if (session->parked) on_overtaken(manager, session->parked);
}

static void refuse(struct replica_fetch *request, enum kafka_error error)
{
    request->error = error;
    finish(request);
}

void replica_manager_fetch(struct replica_manager *m, struct replica_fetch *request)
{
    ASSERT(!m->is_closing);
    int64_t now_us = env_now_us(m->env);
    request->manager = m;
    request->error = KAFKA_NONE;
    request->answer_session_id = FETCH_SESSION_NONE;
    request->results = NULL;
    request->result_count = 0;
    request->cold = NULL;
    request->session = NULL;
    list_node_init(&request->node);
    env_timer_init(&request->timer, on_fetch_timeout);
    request->deadline_us = saturating_add_i64(now_us, max_i64(request->max_wait_ms, 0) * 1000);
    request->disk_deadline_us = saturating_add_i64(request->deadline_us, m->options.flush_stall_ms * 1000);
    struct fetch_session_request begin = {
        .session_id = request->session_id,
        .session_epoch = request->session_epoch,
        .has_sessions = request->has_sessions,
        .is_follower = is_follower(request),
        .positions = request->partitions,
        .position_count = request->partition_count,
        .forgotten = request->forgotten,
        .forgotten_count = request->forgotten_count,
        .now_us = now_us,
        .random = (uint32_t)env_random64(m->env),
    };
    enum kafka_error error = KAFKA_NONE;
    struct fetch_session *session = fetch_session_begin(&m->sessions, &begin, on_overtaken, &error);
    if (!session) {
        refuse(request, error);
        return;
    }
    request->session = session;
    request->answer_session_id = fetch_session_answer_id(session);
    session->parked = request;
    list_push_back(&m->woken, &request->node);
    replica_manager_schedule(m);
}

void replica_manager_release_fetch(struct replica_fetch *request)
{
    for (size_t i = 0; i < request->result_count; i++) release_pieces(&request->results[i]);
    mem_free(request->results);
    request->results = NULL;
    request->result_count = 0;
}

void replica_manager_abandon_fetch(struct replica_fetch *request)
{
    end_request(request);
    replica_manager_release_fetch(request);
}

void replica_fetch_finish_all(struct replica_manager *m)
{
    struct list *lists[] = {&m->parked, &m->woken};
    for (size_t i = 0; i < 2; i++)
        while (!list_is_empty(lists[i])) finish(CONTAINER_OF(list_first(lists[i]), struct replica_fetch, node));
}
