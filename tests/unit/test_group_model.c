/* broker/coordinator, F10: a group under random clients, appends, refusals, time and failovers, against what must hold whatever happens:
 *
 *   G-OFFMON  what is fetched is what the last committed record of that partition says, in the order of the log
 *   G-OFFDUR  an acknowledged commit is in the log
 *   G-OWN     in a generation an assignment is given to one member, or to those who took its instance id over
 *   G-LEADER  all assignments of a generation come from one SyncGroup
 *   G-GEN     a generation that was answered to a SyncGroup never comes back lower, across failovers
 *   A-REPLAY  a successor knows what this coordinator knows
 *   and each request is answered once (the fixture checks that), the shard's invariants hold after each step. */
#include "tests/unit/group_fixture.h"

#include "common/prng.h"

#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 6
#define STEPS   1500
#define SEEDS   12
#define TOPICS  2
#define PARTS   3
#define SYNCED  4096

struct client {
    const char *instance; /* NULL: dynamic */
    const char *member;
    int32_t generation;
    struct ask *join, *sync;
    const char *others[8]; /* leader: whom to assign */
    int32_t other_count;
};

struct model {
    struct fixture f;
    struct prng prng;
    struct client clients[CLIENTS];
    int32_t syncs;       /* SyncGroups of leaders, for unique assignments */
    int64_t next_offset; /* unique */
    struct {
        int32_t generation, sync;
        char who[64], what[32];
    } synced[SYNCED]; /* assignments that were answered */
    size_t synced_count;
    size_t log_seen;    /* a group's tombstone ends its generations */
    struct ask *commit; /* the last one, not yet looked at */
};

static const char *const topics[TOPICS] = {"t", "u"};

static uint64_t below(struct model *m, uint64_t bound) { return prng_below(&m->prng, bound); }

/* ---- the reference: the log itself ---- */

static int64_t last_in_log(const struct model *m, const char *topic, int32_t partition)
{
    for (size_t i = m->f.log_count; i-- > 0;) {
        struct group_record_key key;
        ck_assert_int_eq(group_record_parse_key(m->f.log[i].key, &key), ERR_OK);
        if (key.type != GROUP_RECORD_OFFSET || key.partition != partition || !slice_equal_str(key.topic, topic)) continue;
        if (slice_is_null(m->f.log[i].value)) return -1;
        struct offset_commit_value value;
        ck_assert_int_eq(group_record_parse_offset(m->f.log[i].value, &value), ERR_OK);
        return value.offset;
    }
    return -1;
}

static bool is_in_log(const struct model *m, int64_t offset)
{
    for (size_t i = m->f.log_count; i-- > 0;) {
        struct group_record_key key;
        struct offset_commit_value value;
        if (group_record_parse_key(m->f.log[i].key, &key) != ERR_OK || key.type != GROUP_RECORD_OFFSET) continue;
        if (slice_is_null(m->f.log[i].value) || group_record_parse_offset(m->f.log[i].value, &value) != ERR_OK) continue;
        if (value.offset == offset) return true;
    }
    return false;
}

static void check_fetch(struct model *m)
{
    const char *topic = topics[below(m, TOPICS)];
    int32_t partition = (int32_t)below(m, PARTS);
    ck_assert_int_eq(fetched(&m->f, topic, partition), last_in_log(m, topic, partition));
}

/* ---- what clients learn ---- */

static void note_assignment(struct model *m, const struct client *client, const struct ask *ask)
{
    struct slice assignment = ask->request.out.sync.assignment;
    if (assignment.n == 0) return;
    char what[32];
    int sync = 0;
    snprintf(what, sizeof what, "%.*s", SLICE_ARG(assignment));
    ck_assert_int_eq(sscanf(what, "%d:", &sync), 1);
    const char *who = client->instance ? client->instance : client->member;
    int32_t generation = ask->sync.generation_id;
    for (size_t i = 0; i < m->synced_count; i++) ck_assert_int_le(m->synced[i].generation, generation);
    for (size_t i = 0; i < m->synced_count; i++) {
        if (m->synced[i].generation != generation) continue;
        ck_assert_int_eq(m->synced[i].sync, sync);
        if (strcmp(m->synced[i].what, what) == 0) ck_assert_str_eq(m->synced[i].who, who);
    }
    ck_assert_uint_lt(m->synced_count, SYNCED);
    m->synced[m->synced_count].generation = generation;
    m->synced[m->synced_count].sync = sync;
    snprintf(m->synced[m->synced_count].who, sizeof m->synced[0].who, "%s", who);
    snprintf(m->synced[m->synced_count++].what, sizeof m->synced[0].what, "%s", what);
}

static void learn_join(struct client *client)
{
    struct ask *ask = client->join;
    const struct join_group_response *out = &ask->request.out.join;
    client->join = NULL;
    client->other_count = 0;
    if (out->error_code == KAFKA_MEMBER_ID_REQUIRED || out->error_code == KAFKA_NONE) client->member = member_of(ask);
    if (out->error_code == KAFKA_UNKNOWN_MEMBER_ID || out->error_code == KAFKA_FENCED_INSTANCE_ID) client->member = "";
    if (out->error_code != KAFKA_NONE) return;
    client->generation = out->generation_id;
    ck_assert_int_le(out->members_count, 8);
    if (out->skip_assignment) return;
    for (int32_t i = 0; i < out->members_count; i++) client->others[client->other_count++] = text_of(ask, out->members[i].member_id);
}

static void forget_deleted(struct model *m)
{
    for (; m->log_seen < m->f.log_count; m->log_seen++) {
        struct group_record_key key;
        ck_assert_int_eq(group_record_parse_key(m->f.log[m->log_seen].key, &key), ERR_OK);
        if (key.type == GROUP_RECORD_METADATA && slice_is_null(m->f.log[m->log_seen].value)) m->synced_count = 0;
    }
}

static void learn(struct model *m)
{
    forget_deleted(m);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &m->clients[i];
        if (client->join && client->join->is_done) learn_join(client);
        if (client->sync && client->sync->is_done) {
            if (client->sync->request.out.sync.error_code == KAFKA_NONE) note_assignment(m, client, client->sync);
            client->sync = NULL;
        }
    }
    if (m->commit && m->commit->is_done) {
        if (commit_error(m->commit) == KAFKA_NONE) ck_assert(is_in_log(m, m->commit->commit_partitions[0].committed_offset));
        m->commit = NULL;
    }
}

/* ---- what clients do ---- */

static void client_join(struct model *m, struct client *client)
{
    if (client->join) return;
    static const char *const metadata[] = {"x", "y"};
    struct joiner j = {
        .version = (int16_t)below(m, 10),
        .member = client->member,
        .session_ms = 10000,
        .rebalance_ms = 15000,
        .protocols = {"range", below(m, 2) ? "sticky" : NULL},
        .metadata = metadata[below(m, 10) == 0],
    };
    if (client->instance && j.version < 5) j.version = 5;
    if (client->instance && below(m, 5) == 0) j.member = ""; /* its process was restarted */
    j.instance = client->instance;
    client->join = join(&m->f, j);
}

static void client_sync(struct model *m, struct client *client)
{
    if (client->sync || client->member[0] == 0) return;
    char texts[8][32];
    const char *what[8];
    int32_t sync = ++m->syncs;
    for (int32_t i = 0; i < client->other_count; i++) {
        snprintf(texts[i], sizeof texts[i], "%d:%d", sync, i);
        what[i] = texts[i];
    }
    client->sync = sync_with(&m->f, "g", client->member, client->generation, client->others, what, client->other_count);
}

static void client_commit(struct model *m, const struct client *client)
{
    bool is_member = below(m, 4) != 0;
    struct ask *ask = commit(&m->f, (struct committer){
                                        .version = 9,
                                        .member = is_member ? client->member : "",
                                        .instance = is_member ? client->instance : NULL,
                                        .is_member = is_member,
                                        .generation = client->generation - (below(m, 10) == 0),
                                        .topic = topics[below(m, TOPICS)],
                                        .partition = (int32_t)below(m, PARTS),
                                        .offset = ++m->next_offset,
                                    });
    if (!m->commit) m->commit = ask;
}

/* Some of what was under way may have reached the log all the same. */
static void fail_over(struct model *m)
{
    struct fixture *f = &m->f;
    size_t reached = below(m, f->flight_count + 1);
    for (size_t i = 0; i < reached; i++) {
        for (size_t k = 0; k < f->flight[i]->count; k++) {
            f->log_capacity = f->log_count + 1;
            f->log = mem_realloc(f->log, f->log_capacity, sizeof *f->log);
            f->log[f->log_count++] = (struct group_record){keep(f->flight[i]->records[k].key), keep(f->flight[i]->records[k].value)};
        }
    }
    f->flight_count = 0;
    step(f, (struct group_event){.type = GROUP_EVENT_UNLOADED});
    group_shard_deinit(&f->shard);
    group_shard_init(&f->shard, &f->config, m->next_offset > 0 ? (uint64_t)m->next_offset : 1);
    for (size_t i = 0; i < f->log_count; i++) step(f, (struct group_event){.type = GROUP_EVENT_RECORD, .record = f->log[i]});
    step(f, (struct group_event){.type = GROUP_EVENT_LOADED});
}

static void act(struct model *m)
{
    struct client *client = &m->clients[below(m, CLIENTS)];
    struct fixture *f = &m->f;
    uint64_t dice = below(m, 1000);
    if (dice < 200)
        client_join(m, client);
    else if (dice < 400)
        client_sync(m, client);
    else if (dice < 480)
        (void)heartbeat(f, client->member, client->generation, client->instance);
    else if (dice < 600)
        client_commit(m, client);
    else if (dice < 800 && f->flight_count > 0)
        commit_one(f);
    else if (dice < 820 && f->flight_count > 0)
        refuse_one(f, below(m, 2) ? KAFKA_NOT_ENOUGH_REPLICAS : KAFKA_MESSAGE_TOO_LARGE);
    else if (dice < 900)
        pass_ms(f, (int64_t)below(m, 2500));
    else if (dice < 910)
        pass_ms(f, (int64_t)below(m, 40000));
    else if (dice < 930)
        (void)leave(f, client->instance ? "" : client->member, client->instance);
    else if (dice < 940)
        (void)delete_group(f, "g");
    else if (dice < 960)
        (void)delete_offset(f, "g", topics[below(m, TOPICS)], (int32_t)below(m, PARTS));
    else if (dice < 965)
        step(f, (struct group_event){.type = GROUP_EVENT_TOPIC_DELETED, .topic = {T(topics[below(m, TOPICS)]), UUID_ZERO}});
    else if (dice < 970)
        (void)fetch(f, "g", "t", 0, true);
    else if (dice < 973)
        fail_over(m);
    else
        check_fetch(m);
    if (f->flight_count > FLIGHT_MAX - 8) commit_all(f);
    if (f->flight_count > 0 && below(m, 3) == 0) commit_one(f);
    learn(m);
}

static void run(uint64_t seed)
{
    static struct model m;
    m = (struct model){0};
    prng_init(&m.prng, seed);
    fixture_init(&m.f);
    m.f.is_auto = false;
    m.f.config.group_initial_rebalance_delay_ms = (int32_t)below(&m, 2) * 3000;
    m.f.config.group_max_size = below(&m, 4) ? CLIENTS : CLIENTS - 2;
    m.f.config.offsets_retention_ms = below(&m, 2) ? 60000 : INT64_C(604800000);
    m.f.config.offsets_retention_check_interval_ms = 20000;
    static const char *const instances[CLIENTS] = {"one", "two", "two"};
    for (int i = 0; i < CLIENTS; i++) m.clients[i] = (struct client){.instance = instances[i], .member = ""};
    for (int i = 0; i < STEPS; i++) act(&m);
    commit_all(&m.f);
    learn(&m);
    for (int t = 0; t < TOPICS; t++)
        for (int32_t p = 0; p < PARTS; p++) ck_assert_int_eq(fetched(&m.f, topics[t], p), last_in_log(&m, topics[t], p));
    check_replay(&m.f);
    fixture_deinit(&m.f);
}

START_TEST(g_own_g_gen_g_leader_g_offmon_hold_under_random_clients)
{
    const char *first = getenv("GROUP_MODEL_SEED"); /* others than those of every run */
    run((first ? strtoul(first, NULL, 10) : 1000u) + (uint64_t)_i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_model");
    TCase *tcase = tcase_create("group_model");
    tcase_add_loop_test(tcase, g_own_g_gen_g_leader_g_offmon_hold_under_random_clients, 0, SEEDS);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
