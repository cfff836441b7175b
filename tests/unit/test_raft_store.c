/* The store under power cuts: a script of everything that Raft asks of it, cut short at every single operation of the disk, with
 * every way in which a disk can lose what was not committed; then recovery, compared with a list.
 *
 * The script is played by a real Raft core, a follower that is told what to do: appends, conflicts, a restart behind an installed
 * snapshot, snapshots of its own, compaction. */
#include "common/mem.h"
#include "common/writer.h"
#include "controller/node/raft_store.h"
#include "controller/raft/raft_state.h"
#include "tests/sim/sim.h"

#include <check.h>
#include <stdio.h>

#define DIRECTORY   "/data/metadata"
#define STATES_MAX  64
#define ENTRIES_MAX 512

/* The log as it should be after a write: terms by index. */
struct state {
    uint64_t write;
    int64_t base, last, term;
    int64_t kept; /* the least index that the log was cut back to by this write; INT64_MAX: not at all */
    int64_t terms[ENTRIES_MAX];
};

struct rig {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct raft *raft;
    struct raft_store *store;
    uint64_t random;
    /* What was asked for and what was promised; they outlive the process. */
    struct state states[STATES_MAX];
    int state_count;
    uint64_t durable_write;
    int64_t durable_snapshot;
    enum err open_err;
    bool is_reopened;
    struct raft_store_recovered recovered;
};

static struct raft_member member(int32_t id)
{
    struct raft_member m = {.id = id};
    memset(m.directory_id.bytes, 10 + id, 16);
    return m;
}

/* ---- the process ----------------------------------------------------------------------------------------------------- */

static void feed(struct rig *rig, struct raft_event event);

static void on_durable(void *user, uint64_t write, int64_t now_us)
{
    struct rig *rig = user;
    (void)now_us;
    rig->durable_write = write;
    feed(rig, (struct raft_event){.type = RAFT_PERSISTED, .write = write});
    raft_store_flush(rig->store);
}
static void on_taken(void *user, int64_t index, int64_t size, int64_t now_us)
{
    struct rig *rig = user;
    (void)now_us;
    rig->durable_snapshot = index;
    feed(rig, (struct raft_event){.type = RAFT_SNAPSHOT_TAKEN, .snapshot_taken = {index, size}});
}
static void on_installed(void *user, int64_t index, int64_t now_us)
{
    struct rig *rig = user;
    (void)now_us;
    rig->durable_snapshot = index;
    feed(rig, (struct raft_event){.type = RAFT_SNAPSHOT_INSTALLED, .snapshot_installed = {.index = index}});
    raft_store_flush(rig->store);
}
static void on_failed(void *user, enum err err, const char *what, int64_t now_us) { (void)user, (void)err, (void)what, (void)now_us; }

static void start(void *user, struct sim_node *node)
{
    struct rig *rig = user;
    struct raft_store_callbacks callbacks = {rig, on_durable, on_taken, on_installed, on_failed};
    rig->env = sim_env_create(node);
    rig->store = NULL;
    rig->open_err = raft_store_open(rig->env, DIRECTORY, 0, UUID_ZERO, &callbacks, &rig->store, &rig->recovered);
    if (rig->open_err != ERR_OK || rig->is_reopened) return;
    struct raft_config config = {
        .self = {0, rig->recovered.identity.directory_id},
        .listed_count = 3,
        .listed = {0, 1, 2},
        .heartbeat_us = 100000,
        .election_timeout_us = 1000000,
        .fetch_timeout_us = 2000000,
        .message_bytes_max = 1000,
    };
    rig->raft = raft_create(&config, &rig->recovered.raft, env_now_us(rig->env), 1);
}

static void destroy(void *user, struct sim_node *node)
{
    struct rig *rig = user;
    (void)node;
    if (rig->store) raft_store_close(rig->store);
    if (rig->raft) raft_destroy(rig->raft);
    rig->store = NULL;
    rig->raft = NULL;
}

static void note_state(struct rig *rig, const struct raft_actions *actions)
{
    struct state *state = &rig->states[rig->state_count++];
    ck_assert_int_lt(rig->state_count, STATES_MAX);
    *state = (struct state){.write = actions->write, .kept = INT64_MAX};
    state->term = rig->raft->hard.term;
    state->base = rig->raft->log.base_index;
    state->last = raft_log_last_index(&rig->raft->log);
    if (actions->persist.truncate_from) state->kept = actions->persist.truncate_from - 1;
    if (actions->persist.restart_after) state->kept = 0;
    ck_assert_int_lt(state->last, ENTRIES_MAX);
    for (int64_t i = state->base + 1; i <= state->last; i++) state->terms[i] = raft_log_at(&rig->raft->log, i)->term;
}

static void feed(struct rig *rig, struct raft_event event)
{
    struct raft_actions actions;
    if (!rig->store) return;
    event.now_us = env_now_us(rig->env);
    event.random = rig->random++;
    uint64_t before = rig->raft->last_write;
    raft_step(rig->raft, &event, &actions);
    raft_store_write(rig->store, rig->raft, &actions);
    if (actions.write != before) note_state(rig, &actions);
    if (actions.persist.chunk) raft_store_chunk(rig->store, actions.persist.chunk);
    if (actions.compact_to) raft_store_compact(rig->store, actions.compact_to);
}

/* ---- the script ------------------------------------------------------------------------------------------------------ */

static bool is_alive(const struct rig *rig) { return sim_node_is_running(rig->node) && rig->store; }

static void hear(struct rig *rig, struct raft_message message)
{
    if (!is_alive(rig)) return;
    message.to = rig->raft->config.self;
    message.request = 1;
    feed(rig, (struct raft_event){.type = RAFT_RECEIVE, .message = &message});
}

static void join(struct rig *rig)
{
    if (!is_alive(rig)) return;
    struct raft_message probe = {
        .type = RAFT_PROBE_ANSWER, .from = member(1), .cluster_id = {{5}}, .probe = {.is_born = true, .leader = RAFT_NO_MEMBER}};
    raft_voters_put(&probe.probe.voters, rig->raft->config.self);
    raft_voters_put(&probe.probe.voters, member(1));
    raft_voters_put(&probe.probe.voters, member(2));
    hear(rig, probe);
}

static void append(struct rig *rig, int32_t leader, int64_t term, int64_t prev, int64_t prev_term, uint32_t count, int64_t commit,
                   size_t size)
{
    struct raft_entry entries[16];
    ck_assert_uint_le(count, 16);
    for (uint32_t i = 0; i < count; i++) {
        struct buf *bytes = buf_create(size);
        memset(bytes->data, (int)(term * 16 + i), size);
        bytes->size = size;
        entries[i] = (struct raft_entry){.term = term, .type = RAFT_ENTRY_DATA, .bytes = bytes};
    }
    struct raft_message message = {.type = RAFT_APPEND, .from = member(leader), .cluster_id = {{5}}, .term = term};
    message.append.prev_index = prev;
    message.append.prev_term = prev_term;
    message.append.entries = entries;
    message.append.count = count;
    message.append.commit = commit;
    hear(rig, message);
    for (uint32_t i = 0; i < count; i++) buf_unref(entries[i].bytes);
}

static void chunk(struct rig *rig, int64_t index, int64_t term, struct slice all, int64_t offset, size_t length)
{
    if (!is_alive(rig)) return;
    struct raft_membership membership = {0};
    raft_voters_put(&membership.current, rig->raft->config.self);
    raft_voters_put(&membership.current, member(1));
    raft_voters_put(&membership.current, member(2));
    struct raft_message message = {.type = RAFT_SNAPSHOT, .from = member(2), .cluster_id = {{5}}, .term = term};
    message.snapshot.index = index;
    message.snapshot.term = term;
    message.snapshot.size = (int64_t)all.n;
    message.snapshot.membership = &membership;
    message.snapshot.offset = offset;
    message.snapshot.bytes = slice_make(all.p + offset, length);
    hear(rig, message);
}

static void take_snapshot(struct rig *rig)
{
    if (!is_alive(rig)) return;
    struct raft_snapshot snapshot;
    raft_describe_snapshot(rig->raft, rig->raft->commit_index, &snapshot);
    struct buf *bytes = buf_create(5000);
    memset(bytes->data, 3, 5000);
    bytes->size = 5000;
    (void)raft_store_take_snapshot(rig->store, &snapshot, bytes);
    buf_unref(bytes);
}

static void flush(struct rig *rig)
{
    if (is_alive(rig)) raft_store_flush(rig->store);
}
/* Until the disk has answered everything. */
static void settle(struct rig *rig)
{
    flush(rig);
    sim_run_for(rig->sim, 100 * SIM_MS);
}

static void play(struct rig *rig)
{
    uint8_t state[9000];
    memset(state, 9, sizeof state);
    join(rig);
    settle(rig);
    append(rig, 1, 1, 0, 0, 5, 0, 30);
    settle(rig);
    append(rig, 1, 1, 5, 1, 10, 3, 700);
    flush(rig);
    append(rig, 1, 1, 15, 1, 3, 3, 30); /* while a commit is under way */
    append(rig, 2, 2, 8, 1, 2, 5, 30);  /* a conflict, partly with what is still under way */
    settle(rig);
    append(rig, 1, 3, 9, 2, 4, 9, 30); /* and another one, within one segment */
    settle(rig);
    take_snapshot(rig);
    append(rig, 1, 3, 13, 3, 8, 13, 2000);
    settle(rig);
    append(rig, 2, 4, 14, 3, 3, 14, 30);
    settle(rig);
    chunk(rig, 40, 4, slice_make(state, sizeof state), 0, 4000); /* it was away for long */
    chunk(rig, 40, 4, slice_make(state, sizeof state), 4000, 5000);
    settle(rig);
    append(rig, 2, 4, 40, 4, 6, 42, 300);
    settle(rig);
    take_snapshot(rig);
    settle(rig);
    append(rig, 1, 6, 44, 4, 2, 44, 30);
    settle(rig);
}

/* ---- recovery -------------------------------------------------------------------------------------------------------- */

/* The recovered log is the log after some write, or the beginning of one, no shorter than what was promised. */
static bool is_explained_by(const struct rig *rig, int s, int64_t kept)
{
    const struct state *state = &rig->states[s];
    const struct raft_recovered *raft = &rig->recovered.raft;
    int64_t last = raft->first_index + raft->count - 1;
    if (last > state->last) return false;
    for (int64_t i = 0; i < raft->count; i++) {
        int64_t index = raft->first_index + i;
        if (index > state->base && state->terms[index] != raft->entries[i].term) return false;
    }
    return last >= min_i64(kept, state->last) || last >= state->last;
}

static const char *find_fault(const struct rig *rig)
{
    static char text[200];
    const struct raft_recovered *raft = &rig->recovered.raft;
    int64_t kept = 0;
    bool is_explained = rig->durable_write == 0 && raft->count == 0;
    for (int s = 0; s < rig->state_count && !is_explained; s++) {
        const struct state *state = &rig->states[s];
        if (state->write < rig->durable_write) continue;
        kept = state->write == rig->durable_write ? state->last : min_i64(kept, state->kept);
        if (state->write == rig->durable_write && raft->hard_state.term < state->term) return "the term went back";
        is_explained = is_explained_by(rig, s, kept);
    }
    if (raft->snapshot.index < rig->durable_snapshot) return "a durable snapshot is gone";
    if (is_explained || raft->snapshot.index > rig->durable_snapshot) return NULL;
    snprintf(text, sizeof text, "after durable write %llu: %lld entries from %lld do not fit any state",
             (unsigned long long)rig->durable_write, (long long)raft->count, (long long)raft->first_index);
    return text;
}

static struct rig *begin(uint64_t seed)
{
    struct rig *rig = mem_alloc(sizeof *rig);
    rig->sim = sim_create(seed);
    rig->random = seed;
    struct sim_process process = {.start = start, .destroy = destroy, .user = rig};
    rig->node = sim_node_add(rig->sim, "node0", &process);
    return rig;
}

static void end(struct rig *rig)
{
    sim_destroy(rig->sim);
    mem_free(rig);
}

static void start_and_play(struct rig *rig)
{
    sim_node_start(rig->node);
    if (rig->open_err != ERR_OK) return;
    mem_free(rig->recovered.raft.entries); /* the references went to the core */
    play(rig);
}

static uint64_t count_operations(void)
{
    struct rig *rig = begin(1);
    start_and_play(rig);
    ck_assert_uint_eq(rig->durable_write, rig->raft->last_write);
    uint64_t operations = sim_disk_operations(rig->node);
    end(rig);
    return operations;
}

static void crash_and_recover(uint64_t operation, enum sim_disk_outcome outcome, uint64_t seed)
{
    struct rig *rig = begin(seed);
    sim_disk_set_outcome(rig->node, outcome);
    sim_disk_crash_at(rig->node, operation);
    start_and_play(rig);
    sim_disk_crash_at(rig->node, 0);
    sim_run_for(rig->sim, 10 * SIM_MS);
    if (sim_node_is_running(rig->node)) sim_node_crash(rig->node, SIM_CRASH_POWER);
    rig->is_reopened = true;
    sim_node_start(rig->node);
    if (rig->open_err != ERR_OK)
        ck_abort_msg("operation %llu, outcome %d: does not open: %s", (unsigned long long)operation, (int)outcome, err_text(rig->open_err));
    const char *fault = find_fault(rig);
    if (fault) ck_abort_msg("operation %llu, outcome %d: %s", (unsigned long long)operation, (int)outcome, fault);
    raft_store_forget(&rig->recovered);
    end(rig);
}

START_TEST(r_dur_a_power_cut_at_every_operation)
{
    uint64_t operations = count_operations();
    ck_assert_uint_gt(operations, 50);
    enum sim_disk_outcome outcome = (enum sim_disk_outcome)_i;
    uint64_t seeds = outcome == SIM_DISK_RANDOM ? 40 : 2; /* there each file has a fate of its own */
    for (uint64_t operation = 1; operation <= operations; operation++)
        for (uint64_t seed = 1; seed <= seeds; seed++) crash_and_recover(operation, outcome, operation * 1000 + seed);
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------------------------------- */

static void find_segment(void *context, const char *name, bool is_directory)
{
    (void)is_directory;
    if (strstr(name, ".log")) snprintf(context, PATH_BYTES_MAX, "%s/%s", DIRECTORY, name);
}

/* Plays a few durable appends, then stops the node; the path of the last segment. */
static struct rig *stopped_rig(char path[static PATH_BYTES_MAX])
{
    struct rig *rig = begin(3);
    sim_node_start(rig->node);
    mem_free(rig->recovered.raft.entries);
    join(rig);
    settle(rig);
    append(rig, 1, 1, 0, 0, 3, 0, 100);
    settle(rig);
    append(rig, 1, 1, 3, 1, 3, 0, 100);
    settle(rig);
    ck_assert_int_eq(env_list(rig->env, DIRECTORY, find_segment, path), ERR_OK);
    sim_node_crash(rig->node, SIM_CRASH_PROCESS);
    rig->is_reopened = true;
    return rig;
}

START_TEST(damage_before_acknowledged_entries_is_refused)
{
    char path[PATH_BYTES_MAX];
    struct rig *rig = stopped_rig(path);
    ck_assert(sim_disk_flip_bit(rig->node, path, 32 + 37 + 50, 3)); /* entry 1: entries 4 to 6 say that it was durable */
    sim_node_start(rig->node);
    ck_assert_int_eq(rig->open_err, ERR_CORRUPT);
    end(rig);
}
END_TEST

START_TEST(a_torn_end_is_cut)
{
    char path[PATH_BYTES_MAX];
    uint8_t bytes[4096];
    size_t size = 0;
    struct rig *rig = stopped_rig(path);
    ck_assert(sim_disk_read(rig->node, path, bytes, sizeof bytes, &size));
    memset(bytes + size, 0xab, 200);
    sim_disk_write(rig->node, path, bytes, size + 200);
    sim_node_start(rig->node);
    ck_assert_int_eq(rig->open_err, ERR_OK);
    ck_assert_int_eq(rig->recovered.raft.count, 6);
    raft_store_forget(&rig->recovered);
    end(rig);
}
END_TEST

START_TEST(a_log_without_its_vote_is_refused)
{
    char path[PATH_BYTES_MAX];
    struct rig *rig = stopped_rig(path);
    sim_disk_write(rig->node, DIRECTORY "/quorum-state", "", 0);
    sim_node_start(rig->node);
    ck_assert_int_eq(rig->open_err, ERR_CORRUPT);
    end(rig);
}
END_TEST

START_TEST(another_nodes_directory_is_refused)
{
    struct rig *rig = begin(4);
    sim_node_start(rig->node);
    mem_free(rig->recovered.raft.entries);
    join(rig);
    settle(rig);
    struct raft_store *other = NULL;
    struct raft_store_recovered recovered;
    struct raft_store_callbacks callbacks = {rig, on_durable, on_taken, on_installed, on_failed};
    ck_assert_int_eq(raft_store_open(rig->env, DIRECTORY, 7, UUID_ZERO, &callbacks, &other, &recovered), ERR_CORRUPT);
    ck_assert_ptr_null(other);
    end(rig);
}
END_TEST

static bool has_failed_store;
static void note_failure(void *user, enum err err, const char *what, int64_t now_us)
{
    (void)user, (void)what, (void)now_us;
    ck_assert_int_eq(err, ERR_IO);
    ck_assert(!has_failed_store); /* once */
    has_failed_store = true;
}

START_TEST(a_failed_commit_is_final)
{
    struct rig *rig = begin(5);
    sim_node_start(rig->node);
    raft_store_close(rig->store);
    mem_free(rig->recovered.raft.entries);
    struct raft_store_callbacks callbacks = {rig, on_durable, on_taken, on_installed, note_failure};
    ck_assert_int_eq(raft_store_open(rig->env, DIRECTORY, 0, UUID_ZERO, &callbacks, &rig->store, &rig->recovered), ERR_OK);
    mem_free(rig->recovered.raft.entries);
    rig->raft->config.self.directory_id = rig->recovered.identity.directory_id;
    sim_disk_fail_commits(rig->node, 1);
    join(rig);
    settle(rig);
    ck_assert(has_failed_store);
    append(rig, 1, 1, 0, 0, 3, 0, 100); /* the next commit would succeed, and prove nothing */
    settle(rig);
    ck_assert_uint_eq(rig->durable_write, 0);
    end(rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raft_store");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, r_dur_a_power_cut_at_every_operation, 0, SIM_DISK_OUTCOME_COUNT);
    tcase_add_test(tcase, damage_before_acknowledged_entries_is_refused);
    tcase_add_test(tcase, a_torn_end_is_cut);
    tcase_add_test(tcase, a_log_without_its_vote_is_refused);
    tcase_add_test(tcase, another_nodes_directory_is_refused);
    tcase_add_test(tcase, a_failed_commit_is_final);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
