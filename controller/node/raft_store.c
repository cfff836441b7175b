#include "controller/node/raft_store.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/mutant.h"
#include "controller/node/raft_store_log.h"
#include "controller/node/raft_store_snapshot.h"
#include "controller/node/raft_store_state.h"

#include <inttypes.h>
#include <stdio.h>

/* What waits for the next commit, already put together: a truncation only of what is in the files, then entries. */
struct pending {
    uint64_t write; /* the last one in here; 0: nothing is pending */
    bool has_hard_state;
    struct raft_hard_state hard_state;
    int64_t restart_after, truncate_from; /* 0: no */
    struct log_entry *entries;
    size_t count, capacity;
};

/* One that the env may answer after the store is gone. */
struct operation {
    struct env_op op;
    struct raft_store *store; /* NULL: closed meanwhile */
    bool is_under_way;
};

/* A snapshot on its way to the disk. */
struct snapshot_job {
    struct store_snapshot_writer writer;
    struct operation *commit; /* all of it is written; first the file, then its name are made durable */
};

struct raft_store {
    struct env *env;
    struct raft_store_callbacks callbacks;
    char directory[PATH_BYTES_MAX];
    struct store_state state;
    struct store_log log;
    struct store_snapshot snapshot;

    struct pending pending;
    uint64_t last_write;      /* that was asked for */
    uint64_t write_under_way; /* 0: no commit is */
    bool has_state_under_way;
    struct operation *commit;

    struct snapshot_job own, leaders;

    bool has_failed;
};

static struct operation *create_operation(struct raft_store *store)
{
    struct operation *operation = mem_alloc(sizeof *operation);
    operation->store = store;
    return operation;
}

static void on_operation_dropped(struct env_op *op)
{
    struct operation *operation = CONTAINER_OF(op, struct operation, op);
    operation->is_under_way = false;
    if (!operation->store) mem_free(operation);
}

static void begin_operation(struct operation *operation, void (*done)(struct env_op *op, enum err err, int64_t now_us))
{
    ASSERT(!operation->is_under_way);
    operation->is_under_way = true;
    operation->op.done = done;
    operation->op.dropped = on_operation_dropped;
}

/* NULL: nobody waits for it any more. */
static struct raft_store *end_operation(struct env_op *op)
{
    struct operation *operation = CONTAINER_OF(op, struct operation, op);
    struct raft_store *store = operation->store;
    operation->is_under_way = false;
    if (!store) mem_free(operation);
    return store && !store->has_failed ? store : NULL;
}

static void forget_operation(struct operation *operation)
{
    operation->store = NULL;
    if (!operation->is_under_way) mem_free(operation);
}

static void fail(struct raft_store *store, enum err err, const char *what, int64_t now_us)
{
    if (store->has_failed) return;
    store->has_failed = true;
    log_line(env_logger(store->env), LOG_ERROR, "raft", "%s: %s failed: %s", store->directory, what, err_text(err));
    store->callbacks.failed(store->callbacks.user, err, what, now_us);
}

/* What was read may be in the page cache only: a process that was killed leaves it there, a power cut then takes it away. Before
 * any of it is called durable, it is made so. */
enum err raft_store_settle(struct raft_store *store)
{
    const char *directory = store->directory;
    size_t count = 0;
    struct env_file **files = mem_calloc(store_log_segment_count(&store->log) + 2, sizeof(struct env_file *));
    files[count++] = store->state.file;
    if (store->snapshot.file) files[count++] = store->snapshot.file;
    LIST_FOR_EACH (&store->log.segments, node) files[count++] = CONTAINER_OF(node, struct log_segment, node)->file;
    enum err err = env_commit_wait(store->env, files, count, &directory, 1);
    mem_free(files);
    if (err != ERR_OK) {
        log_line(env_logger(store->env), LOG_ERROR, "raft", "cannot make %s durable: %s", store->directory, err_text(err));
        return err;
    }
    if (store->state.identity.is_new) store_state_durable(&store->state);
    store->state.identity.is_new = false;
    return ERR_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------------------- */

/* Entries of a term whose hard state the crash took: they were never acknowledged, nor a vote in that term. */
static void raise_term(struct raft_store_recovered *recovered)
{
    struct raft_recovered *raft = &recovered->raft;
    int64_t last_term = raft->count ? raft->entries[raft->count - 1].term : raft->snapshot.term;
    if (last_term <= raft->hard_state.term) return;
    raft->hard_state.term = last_term;
    raft->hard_state.vote = RAFT_NO_MEMBER;
}

/* A log without the cluster that it belongs to: the file quorum-state was lost alone. Voting again would be amnesia. */
static enum err check_together(struct raft_store *store, const struct raft_store_recovered *recovered)
{
    bool has_log = recovered->raft.count > 0 || recovered->raft.snapshot.index > 0;
    if (!has_log || !uuid_is_zero(recovered->raft.hard_state.cluster_id)) return ERR_OK;
    log_line(env_logger(store->env), LOG_ERROR, "raft",
             "%s holds a log but quorum-state is new or older than it: empty the directory, and the node catches up from the others",
             store->directory);
    return ERR_CORRUPT;
}

static enum err recover(struct raft_store *store, int32_t node_id, struct uuid proposed_cluster_id, struct raft_store_recovered *recovered)
{
    struct raft_entry *entries = NULL;
    enum err err = env_mkdir_durable(store->env, store->directory);
    if (err != ERR_OK) {
        log_line(env_logger(store->env), LOG_ERROR, "raft", "cannot create %s: %s", store->directory, err_text(err));
        return err;
    }
    err = store_state_open(&store->state, store->env, store->directory, node_id, proposed_cluster_id, &recovered->raft.hard_state);
    if (err != ERR_OK) return err;
    err = store_snapshot_open(&store->snapshot, store->env, store->directory, &recovered->snapshot_bytes);
    if (err == ERR_OK)
        err = store_log_open(&store->log, store->env, store->directory, &store->snapshot.current, &entries, &recovered->raft.first_index,
                             &recovered->raft.count);
    recovered->raft.entries = entries;
    recovered->raft.snapshot = store->snapshot.current;
    recovered->identity = store->state.identity;
    if (err == ERR_OK) err = check_together(store, recovered);
    if (err == ERR_OK) raise_term(recovered);
    bool must_settle = !store->state.identity.is_new && !MUTANT("recovered_without_commit");
    return err == ERR_OK && must_settle ? raft_store_settle(store) : err;
}

static void drop_entries(struct pending *pending, size_t keep)
{
    for (size_t i = keep; i < pending->count; i++) buf_unref(pending->entries[i].bytes);
    pending->count = keep;
}

void raft_store_close(struct raft_store *store)
{
    drop_entries(&store->pending, 0);
    mem_free(store->pending.entries);
    forget_operation(store->commit);
    forget_operation(store->own.commit);
    forget_operation(store->leaders.commit);
    store_snapshot_abandon(&store->own.writer);
    store_snapshot_abandon(&store->leaders.writer);
    store_log_close(&store->log);
    store_snapshot_close(&store->snapshot);
    store_state_close(&store->state);
    mem_free(store);
}

enum err raft_store_open(struct env *env, const char *directory, int32_t node_id, struct uuid proposed_cluster_id,
                         const struct raft_store_callbacks *callbacks, struct raft_store **out, struct raft_store_recovered *recovered)
{
    struct raft_store *store = mem_alloc(sizeof *store);
    *recovered = (struct raft_store_recovered){.raft.hard_state.vote = RAFT_NO_MEMBER};
    *out = NULL;
    store->env = env;
    store->callbacks = *callbacks;
    list_init(&store->log.segments);
    store->commit = create_operation(store);
    store->own.commit = create_operation(store);
    store->own.writer = (struct store_snapshot_writer){.snapshot = &store->snapshot, .name = "own.snapshot.tmp"};
    store->leaders.commit = create_operation(store);
    store->leaders.writer = (struct store_snapshot_writer){.snapshot = &store->snapshot, .name = "leader.snapshot.tmp"};
    (void)snprintf(store->directory, sizeof store->directory, "%s", directory);
    enum err err = recover(store, node_id, proposed_cluster_id, recovered);
    if (err == ERR_OK) {
        *out = store;
        return ERR_OK;
    }
    raft_store_forget(recovered);
    raft_store_close(store);
    return err;
}

void raft_store_forget(struct raft_store_recovered *recovered)
{
    for (int64_t i = 0; recovered->raft.entries && i < recovered->raft.count; i++) buf_unref(recovered->raft.entries[i].bytes);
    mem_free(recovered->raft.entries);
    buf_unref(recovered->snapshot_bytes);
    *recovered = (struct raft_store_recovered){.raft.hard_state.vote = RAFT_NO_MEMBER};
}

/* ---- queueing -------------------------------------------------------------------------------------------------------- */

static void queue_truncation(struct raft_store *store, int64_t from)
{
    struct pending *pending = &store->pending;
    size_t keep = pending->count;
    while (keep > 0 && pending->entries[keep - 1].index >= from) keep--;
    drop_entries(pending, keep);
    if (from < store->log.next_index && !pending->restart_after)
        pending->truncate_from = pending->truncate_from ? min_i64(pending->truncate_from, from) : from;
}

static void queue_entry(struct pending *pending, int64_t index, const struct raft_entry *entry)
{
    ASSERT(pending->count == 0 || pending->entries[pending->count - 1].index + 1 == index);
    if (pending->count == pending->capacity) {
        pending->capacity = pending->capacity ? 2 * pending->capacity : 64;
        pending->entries = mem_realloc(pending->entries, pending->capacity, sizeof *pending->entries);
    }
    pending->entries[pending->count++] = (struct log_entry){index, entry->term, entry->type, buf_ref(entry->bytes)};
}

void raft_store_write(struct raft_store *store, const struct raft *raft, const struct raft_actions *actions)
{
    struct pending *pending = &store->pending;
    if (actions->persist.hard_state) {
        pending->has_hard_state = true;
        pending->hard_state = *actions->persist.hard_state;
    }
    if (actions->persist.restart_after) {
        drop_entries(pending, 0);
        pending->truncate_from = 0;
        pending->restart_after = actions->persist.restart_after;
    }
    if (actions->persist.truncate_from) queue_truncation(store, actions->persist.truncate_from);
    for (int64_t i = actions->persist.append_from; i <= actions->persist.append_to; i++) queue_entry(pending, i, raft_entry_at(raft, i));
    /* A step that asks for nothing leaves nothing to commit: else each completion would ask for the next commit. */
    if (actions->write == store->last_write) return;
    ASSERT(actions->write == store->last_write + 1);
    pending->write = store->last_write = actions->write;
}

/* ---- committing ------------------------------------------------------------------------------------------------------ */

static void on_committed(struct env_op *op, enum err err, int64_t now_us)
{
    struct raft_store *store = end_operation(op);
    if (!store) return;
    uint64_t write = store->write_under_way;
    ASSERT(write > 0);
    store->write_under_way = 0;
    if (err != ERR_OK) {
        fail(store, err, "making the metadata log durable", now_us);
        return;
    }
    if (store->has_state_under_way) store_state_durable(&store->state);
    store->callbacks.durable(store->callbacks.user, write, now_us);
    /* The owner flushes again at the end of its turn. */
}

static enum err write_pending(struct raft_store *store, struct store_log_commit *commit)
{
    struct pending *pending = &store->pending;
    enum err err = ERR_OK;
    store->has_state_under_way = pending->has_hard_state || store->state.identity.is_new;
    if (pending->has_hard_state) err = store_state_write(&store->state, &pending->hard_state);
    if (store->has_state_under_way) commit->files[commit->count++] = store->state.file;
    if (err == ERR_OK && pending->restart_after) err = store_log_restart(&store->log, pending->restart_after, commit);
    if (err == ERR_OK && pending->truncate_from) err = store_log_truncate(&store->log, pending->truncate_from, commit);
    if (err == ERR_OK && pending->count) err = store_log_append(&store->log, pending->entries, pending->count, commit);
    drop_entries(pending, 0);
    pending->has_hard_state = false;
    pending->restart_after = pending->truncate_from = 0;
    return err;
}

void raft_store_flush(struct raft_store *store)
{
    if (store->has_failed || store->write_under_way || store->pending.write == 0) return;
    struct store_log_commit commit = {0};
    store->write_under_way = store->pending.write;
    store->pending.write = 0;
    enum err err = write_pending(store, &commit);
    if (err != ERR_OK) {
        fail(store, err, "writing the metadata log", env_now_us(store->env));
        return;
    }
    const char *directory = store->directory;
    if (store->state.identity.is_new) commit.has_names = true;
    store->state.identity.is_new = false;
    begin_operation(store->commit, on_committed);
    env_commit(store->env, &store->commit->op, commit.files, commit.count, &directory, commit.has_names ? 1 : 0);
}

void raft_store_compact(struct raft_store *store, int64_t index) { store_log_compact(&store->log, index); }

int64_t raft_store_log_bytes(const struct raft_store *store) { return store_log_bytes(&store->log); }

/* ---- snapshots ------------------------------------------------------------------------------------------------------- */

static struct snapshot_job *job_of(struct raft_store *store, const struct env_op *op)
{
    return op == &store->own.commit->op ? &store->own : &store->leaders;
}

static void on_snapshot_named(struct env_op *op, enum err err, int64_t now_us)
{
    struct raft_store *store = end_operation(op);
    if (!store) return;
    struct snapshot_job *job = job_of(store, op);
    if (err != ERR_OK) {
        fail(store, err, "making a snapshot's name durable", now_us);
        return;
    }
    store_snapshot_switch(&job->writer);
    const struct raft_snapshot *written = &job->writer.description;
    log_line(env_logger(store->env), LOG_INFO, "raft", "%s snapshot up to entry %" PRId64 " (%" PRId64 " bytes)",
             job == &store->own ? "took a" : "installed the leader's", written->index, written->size);
    if (job == &store->own)
        store->callbacks.snapshot_taken(store->callbacks.user, written->index, written->size, now_us);
    else
        store->callbacks.snapshot_installed(store->callbacks.user, written->index, now_us);
}

static void on_snapshot_written(struct env_op *op, enum err err, int64_t now_us)
{
    struct raft_store *store = end_operation(op);
    if (!store) return;
    struct snapshot_job *job = job_of(store, op);
    if (err == ERR_OK) err = store_snapshot_rename(&job->writer);
    if (err != ERR_OK) {
        fail(store, err, "writing a snapshot", now_us);
        return;
    }
    const char *directory = store->directory;
    begin_operation(job->commit, on_snapshot_named);
    env_commit(store->env, &job->commit->op, NULL, 0, &directory, 1);
}

static enum err commit_snapshot(struct raft_store *store, struct snapshot_job *job)
{
    enum err err = store_snapshot_end(&job->writer);
    if (err != ERR_OK) return err;
    begin_operation(job->commit, on_snapshot_written);
    env_commit(store->env, &job->commit->op, &job->writer.file, 1, NULL, 0);
    return ERR_OK;
}

bool raft_store_take_snapshot(struct raft_store *store, const struct raft_snapshot *description, struct buf *bytes)
{
    struct snapshot_job *job = &store->own;
    if (job->commit->is_under_way || store->has_failed) return false;
    struct raft_snapshot snapshot = *description;
    snapshot.size = (int64_t)bytes->size;
    enum err err = store_snapshot_begin(&job->writer, &snapshot);
    if (err == ERR_OK) err = store_snapshot_append(&job->writer, buf_slice(bytes));
    if (err == ERR_OK) err = commit_snapshot(store, job);
    if (err != ERR_OK) fail(store, err, "writing a snapshot", env_now_us(store->env));
    return err == ERR_OK;
}

void raft_store_chunk(struct raft_store *store, const struct raft_snapshot_chunk *chunk)
{
    struct snapshot_job *job = &store->leaders;
    ASSERT(!job->commit->is_under_way); /* Raft lets no chunk in before it is installed */
    if (store->has_failed) return;
    enum err err = ERR_OK;
    if (chunk->offset == 0) err = store_snapshot_begin(&job->writer, &chunk->snapshot);
    if (err == ERR_OK) err = store_snapshot_append(&job->writer, chunk->bytes);
    if (err == ERR_OK && chunk->is_last) err = commit_snapshot(store, job);
    if (err != ERR_OK) fail(store, err, "writing the leader's snapshot", env_now_us(store->env));
}

enum err raft_store_load_snapshot(struct raft_store *store, struct buf **bytes)
{
    enum err err = store_snapshot_load(&store->snapshot, bytes);
    if (err != ERR_OK) fail(store, err, "reading a snapshot", env_now_us(store->env));
    return err;
}

/* ---- reading for a peer ---------------------------------------------------------------------------------------------- */

static void on_read_dropped(struct env_op *op)
{
    struct raft_store_read *read = CONTAINER_OF(op, struct raft_store_read, op);
    buf_unref(read->bytes);
    read->bytes = NULL;
    read->dropped(read);
}

static void on_read(struct env_op *op, enum err err, int64_t now_us)
{
    struct raft_store_read *read = CONTAINER_OF(op, struct raft_store_read, op);
    struct buf *bytes = read->bytes;
    read->bytes = NULL;
    bytes->size = read->got;
    if (err == ERR_OK && read->got < read->wanted) err = ERR_CORRUPT;
    if (err != ERR_OK) {
        buf_unref(bytes);
        bytes = NULL;
    }
    read->done(read, err, bytes, now_us);
}

bool raft_store_read_snapshot(struct raft_store *store, struct raft_store_read *read, int64_t index, int64_t offset, int64_t length)
{
    const struct store_snapshot *snapshot = &store->snapshot;
    if (!snapshot->file || snapshot->current.index != index) return false;
    ASSERT(offset >= 0 && length >= 0 && offset + length <= snapshot->current.size);
    read->bytes = buf_create((size_t)length);
    read->wanted = (size_t)length;
    read->got = 0;
    read->op.done = on_read;
    read->op.dropped = on_read_dropped;
    env_pread(store->env, &read->op, snapshot->file, read->bytes->data, (size_t)length, snapshot->data_position + offset, &read->got);
    return true;
}
