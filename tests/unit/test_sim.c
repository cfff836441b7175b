/* The simulator's kernel: its disk loses what was not committed, its network cuts, its runs repeat. */
#include "common/assert.h"
#include "tests/sim/sim.h"

#include <check.h>

/* ---- disk ---------------------------------------------------------------------------------------------------------- */

struct disk_test {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
};

static void start_env(void *user, struct sim_node *node)
{
    struct disk_test *test = user;
    test->env = sim_env_create(node);
}

static void disk_begin(struct disk_test *test, uint64_t seed, enum sim_disk_outcome outcome)
{
    test->sim = sim_create(seed);
    test->node = sim_node_add(test->sim, "node0", &(struct sim_process){.start = start_env, .user = test});
    sim_disk_set_outcome(test->node, outcome);
    sim_disk_set_cold_rate(test->node, 0);
    sim_node_start(test->node);
}

static void disk_cycle(struct disk_test *test)
{
    sim_node_crash(test->node, SIM_CRASH_POWER);
    sim_node_start(test->node);
}

static struct env_file *open_file(struct disk_test *test, const char *path)
{
    struct env_file *file = NULL;
    ck_assert_int_eq(env_open(test->env, path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file), ERR_OK);
    return file;
}

static void write_at(struct disk_test *test, struct env_file *file, const char *text, int64_t position)
{
    struct slice slice = slice_str(text);
    ck_assert_int_eq(env_pwritev(test->env, file, &slice, 1, position), ERR_OK);
}

/* A file with committed name and content. */
static struct env_file *committed_file(struct disk_test *test, const char *path, const char *text)
{
    static const char *const root[] = {"/"};
    struct env_file *file = open_file(test, path);
    write_at(test, file, text, 0);
    ck_assert_int_eq(env_commit_wait(test->env, &file, 1, root, 1), ERR_OK);
    return file;
}

static size_t content(const struct disk_test *test, const char *path, uint8_t *into, size_t capacity)
{
    size_t size = SIZE_MAX;
    return sim_disk_read(test->node, path, into, capacity, &size) ? size : SIZE_MAX;
}

static void expect_content(const struct disk_test *test, const char *path, const char *text)
{
    uint8_t bytes[256];
    size_t size = content(test, path, bytes, sizeof bytes);
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_mem_eq(bytes, text, size);
}

START_TEST(disk_keeps_what_was_committed)
{
    for (int outcome = SIM_DISK_RANDOM; outcome < SIM_DISK_OUTCOME_COUNT; outcome++) {
        struct disk_test test;
        disk_begin(&test, 1, (enum sim_disk_outcome)outcome);
        committed_file(&test, "/a", "hello");
        disk_cycle(&test);
        expect_content(&test, "/a", "hello");
        sim_destroy(test.sim);
    }
}
END_TEST

START_TEST(disk_drops_uncommitted_bytes_and_names)
{
    struct disk_test test;
    disk_begin(&test, 2, SIM_DISK_DROP_ALL);
    struct env_file *file = committed_file(&test, "/a", "hello");
    write_at(&test, file, "HE", 0);
    write_at(&test, open_file(&test, "/b"), "new", 0);
    ck_assert_int_eq(env_mkdir(test.env, "/dir/sub"), ERR_OK);
    expect_content(&test, "/a", "HEllo");
    disk_cycle(&test);
    expect_content(&test, "/a", "hello");
    ck_assert_uint_eq(content(&test, "/b", NULL, 0), SIZE_MAX);
    ck_assert_int_eq(env_unlink(test.env, "/dir/sub/x"), ERR_NOT_FOUND);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(disk_a_process_crash_loses_nothing)
{
    struct disk_test test;
    disk_begin(&test, 2, SIM_DISK_DROP_ALL);
    write_at(&test, open_file(&test, "/b"), "new", 0);
    sim_node_crash(test.node, SIM_CRASH_PROCESS);
    sim_node_start(test.node);
    expect_content(&test, "/b", "new");
    /* ... but it is still not durable */
    disk_cycle(&test);
    ck_assert_uint_eq(content(&test, "/b", NULL, 0), SIZE_MAX);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(disk_file_bytes_without_its_name_are_lost)
{
    struct disk_test test;
    disk_begin(&test, 3, SIM_DISK_DROP_ALL);
    struct env_file *file = open_file(&test, "/a");
    write_at(&test, file, "x", 0);
    ck_assert_int_eq(env_commit_wait(test.env, &file, 1, NULL, 0), ERR_OK);
    disk_cycle(&test);
    ck_assert_uint_eq(content(&test, "/a", NULL, 0), SIZE_MAX);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(disk_a_rename_may_outlive_the_bytes)
{
    unsigned empty = 0, old = 0, whole = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct disk_test test;
        disk_begin(&test, seed, SIM_DISK_RANDOM);
        committed_file(&test, "/final", "old");
        write_at(&test, open_file(&test, "/tmp"), "fresh", 0);
        ck_assert_int_eq(env_rename(test.env, "/tmp", "/final"), ERR_OK);
        disk_cycle(&test);
        uint8_t bytes[16] = {0};
        size_t size = content(&test, "/final", bytes, sizeof bytes);
        old += size == 3 && memcmp(bytes, "old", 3) == 0;
        empty += size == 0;
        whole += size == 5 && memcmp(bytes, "fresh", 5) == 0;
        sim_destroy(test.sim);
    }
    ck_assert_uint_gt(empty, 0);
    ck_assert_uint_gt(old, 0);
    ck_assert_uint_gt(whole, 0);
}
END_TEST

#define BIG 20000

START_TEST(disk_outcomes_tear_pages_sectors_and_tails)
{
    static uint8_t ones[BIG], bytes[BIG];
    memset(ones, 1, sizeof ones);
    for (int outcome = SIM_DISK_PREFIX; outcome < SIM_DISK_OUTCOME_COUNT; outcome++) {
        unsigned short_files = 0, mixed_pages = 0, torn_pages = 0;
        for (uint64_t seed = 0; seed < 50; seed++) {
            struct disk_test test;
            disk_begin(&test, seed, (enum sim_disk_outcome)outcome);
            struct env_file *file = committed_file(&test, "/a", "");
            struct slice slice = slice_make(ones, sizeof ones);
            ck_assert_int_eq(env_pwritev(test.env, file, &slice, 1, 0), ERR_OK);
            disk_cycle(&test);
            size_t size = content(&test, "/a", bytes, sizeof bytes);
            ck_assert_uint_le(size, sizeof bytes);
            short_files += size < sizeof bytes;
            unsigned new_pages = 0, old_pages = 0;
            for (size_t page = 0; page < size; page += 4096) {
                size_t end = page + 4096 < size ? page + 4096 : size, set = 0;
                for (size_t i = page; i < end; i++) set += bytes[i];
                torn_pages += set > 0 && set < end - page;
                new_pages += set == end - page;
                old_pages += set == 0;
            }
            mixed_pages += new_pages > 0 && old_pages > 0;
            if (outcome == SIM_DISK_ZERO_EXTEND) ck_assert_uint_eq(new_pages, 0);
            sim_destroy(test.sim);
        }
        bool is_by_sector = outcome == SIM_DISK_MOMENTS || outcome == SIM_DISK_LAST_ONLY || outcome == SIM_DISK_FIRST_LOST;
        ck_assert((outcome == SIM_DISK_PREFIX || outcome == SIM_DISK_TORN || outcome == SIM_DISK_MOMENTS) == (short_files > 0));
        ck_assert(is_by_sector || (outcome == SIM_DISK_PAGES) == (mixed_pages > 0));
        ck_assert((is_by_sector || outcome == SIM_DISK_TORN) == (torn_pages > 0));
    }
}
END_TEST

START_TEST(disk_a_failed_commit_is_not_made_good_by_the_next)
{
    struct disk_test test;
    disk_begin(&test, 4, SIM_DISK_KEEP_ALL);
    struct env_file *file = committed_file(&test, "/a", "hello");
    write_at(&test, file, "HE", 0);
    sim_disk_fail_commits(test.node, 1);
    ck_assert_int_eq(env_commit_wait(test.env, &file, 1, NULL, 0), ERR_IO);
    ck_assert_int_eq(env_commit_wait(test.env, &file, 1, NULL, 0), ERR_OK);
    expect_content(&test, "/a", "HEllo");
    disk_cycle(&test);
    expect_content(&test, "/a", "hello");
    sim_destroy(test.sim);
}
END_TEST

START_TEST(disk_a_failed_commit_loses_pages_and_a_write_to_one_brings_it_back)
{
    struct disk_test test;
    disk_begin(&test, 6, SIM_DISK_KEEP_ALL);
    struct env_file *file = committed_file(&test, "/a", "hello");
    write_at(&test, file, "HE", 0);
    sim_disk_fail_commits(test.node, 1);
    ck_assert_int_eq(env_commit_wait(test.env, &file, 1, NULL, 0), ERR_IO);
    write_at(&test, file, "O", 4);
    ck_assert_int_eq(env_commit_wait(test.env, &file, 1, NULL, 0), ERR_OK);
    disk_cycle(&test);
    expect_content(&test, "/a", "HEllO");
    sim_destroy(test.sim);
}
END_TEST

START_TEST(disk_is_full_at_its_capacity)
{
    struct disk_test test;
    disk_begin(&test, 5, SIM_DISK_KEEP_ALL);
    sim_disk_set_capacity(test.node, 8);
    struct env_file *file = committed_file(&test, "/a", "hello");
    struct slice slice = SLICE_LITERAL("world");
    ck_assert_int_eq(env_pwritev(test.env, file, &slice, 1, 5), ERR_NO_SPACE);
    expect_content(&test, "/a", "hellowor");
    ck_assert_int_eq(env_truncate(test.env, file, 5), ERR_OK);
    write_at(&test, file, "WORLD", 0);
    expect_content(&test, "/a", "WORLD");
    sim_destroy(test.sim);
}
END_TEST

/* Which of three committed steps survive a crash at operation k: always a prefix, and all that was answered before. */
START_TEST(disk_crash_at_every_operation)
{
    uint64_t operations = 0;
    for (uint64_t crash_at = 0; crash_at <= operations; crash_at++) {
        struct disk_test test;
        disk_begin(&test, crash_at, SIM_DISK_RANDOM);
        sim_disk_crash_at(test.node, crash_at);
        static const char *const names[] = {"/1", "/2", "/3"}, *const root[] = {"/"};
        size_t answered = 0;
        for (size_t i = 0; i < 3; i++) {
            struct env_file *file = NULL;
            struct slice slice = SLICE_LITERAL("step");
            if (env_open(test.env, names[i], ENV_OPEN_CREATE | ENV_OPEN_WRITE, &file) != ERR_OK) break;
            if (env_pwritev(test.env, file, &slice, 1, 0) != ERR_OK) break;
            if (env_commit_wait(test.env, &file, 1, root, 1) != ERR_OK) break;
            answered++;
        }
        if (crash_at == 0) operations = sim_disk_operations(test.node);
        ck_assert(sim_node_is_running(test.node) == (crash_at == 0));
        if (crash_at > 0) {
            sim_node_start(test.node);
            ck_assert_uint_eq(answered, (crash_at - 1) / 3);
        }
        for (size_t i = 0; i < answered; i++) expect_content(&test, names[i], "step");
        sim_destroy(test.sim);
    }
    ck_assert_uint_eq(operations, 9);
}
END_TEST

struct commit_wait {
    struct env_op op;
    bool is_done;
    enum err err;
};
static void on_committed(struct env_op *op, enum err err, int64_t now_us)
{
    struct commit_wait *wait = CONTAINER_OF(op, struct commit_wait, op);
    wait->is_done = true;
    wait->err = err;
    (void)now_us;
}
static bool is_committed(void *context) { return ((struct commit_wait *)context)->is_done; }

START_TEST(disk_commit_covers_only_what_came_before_the_call)
{
    struct disk_test test;
    disk_begin(&test, 6, SIM_DISK_DROP_ALL);
    struct env_file *file = committed_file(&test, "/a", "hello");
    struct commit_wait wait = {.op = {.done = on_committed}};
    write_at(&test, file, "1", 0);
    sim_disk_stall_commits(test.node, sim_now_us(test.sim) + SIM_SECOND);
    env_commit(test.env, &wait.op, &file, 1, NULL, 0);
    write_at(&test, file, "2", 1);
    ck_assert(!sim_wait(test.sim, is_committed, &wait, SIM_SECOND / 2));
    ck_assert(sim_wait(test.sim, is_committed, &wait, SIM_SECOND));
    ck_assert_int_eq(wait.err, ERR_OK);
    disk_cycle(&test);
    expect_content(&test, "/a", "1ello");
    sim_destroy(test.sim);
}
END_TEST

START_TEST(disk_lists_in_name_order_and_locks)
{
    struct disk_test test;
    disk_begin(&test, 7, SIM_DISK_RANDOM);
    ck_assert_int_eq(env_mkdir(test.env, "/d"), ERR_OK);
    open_file(&test, "/d/b");
    open_file(&test, "/d/a.x");
    open_file(&test, "/d/a");
    ck_assert_int_eq(env_rmdir(test.env, "/d"), ERR_EXISTS);
    ck_assert_int_eq(env_lock_file(test.env, "/d/.lock"), ERR_OK);
    ck_assert_int_eq(env_lock_file(test.env, "/d/.lock"), ERR_IN_USE);
    sim_destroy(test.sim);
}
END_TEST

/* ---- network ------------------------------------------------------------------------------------------------------- */

/* Two nodes: 1 listens and checks that byte i of every stream is a function of i; 0 connects and sends. */
struct net_test {
    struct sim *sim;
    struct sim_node *nodes[2];
    struct env *env[2];
    struct env_stream *client, *server;
    uint64_t received, echoed;
    bool connected, drained, client_closed, server_closed;
    enum err client_err, server_err;
};

static uint8_t pattern(uint64_t i) { return (uint8_t)(i * 31 + (i >> 8)); }

static void on_server(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct net_test *test = user;
    if (event->type == ENV_STREAM_BYTES) {
        ck_assert_uint_gt(event->bytes.n, 0);
        size_t wrong = 0;
        for (size_t i = 0; i < event->bytes.n; i++) wrong += event->bytes.p[i] != pattern(test->received + i);
        ck_assert_uint_eq(wrong, 0);
        test->received += event->bytes.n;
        struct env_piece piece = env_piece_buf(buf_copy(event->bytes));
        env_write(test->env[1], stream, &piece, 1);
    } else if (event->type == ENV_STREAM_CLOSED) {
        test->server_closed = true;
        test->server_err = event->err;
        test->server = NULL;
    }
}

static void on_accept(void *user, struct env_stream *stream, int64_t now_us)
{
    struct net_test *test = user;
    (void)now_us;
    ck_assert_str_eq(env_stream_peer(stream), "node0");
    test->server = stream;
    env_stream_handle(stream, on_server, test);
}

static void on_client(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct net_test *test = user;
    (void)stream;
    switch (event->type) {
    case ENV_STREAM_CONNECTED: test->connected = true; break;
    case ENV_STREAM_BYTES: test->echoed += event->bytes.n; break;
    case ENV_STREAM_DRAINED: test->drained = true; break;
    case ENV_STREAM_CLOSED:
        test->client_closed = true;
        test->client_err = event->err;
        test->client = NULL;
        break;
    }
}

static void start_net(void *user, struct sim_node *node)
{
    struct net_test *test = user;
    unsigned i = node == test->nodes[0] ? 0 : 1;
    test->env[i] = sim_env_create(node);
    struct env_listener *listener = NULL;
    if (i == 1) ck_assert_int_eq(env_listen(test->env[1], "", 9092, on_accept, test, &listener), ERR_OK);
}

static void net_begin(struct net_test *test, uint64_t seed)
{
    *test = (struct net_test){.sim = sim_create(seed)};
    for (unsigned i = 0; i < 2; i++) {
        test->nodes[i] = sim_node_add(test->sim, i ? "node1" : "node0", &(struct sim_process){.start = start_net, .user = test});
    }
    for (unsigned i = 0; i < 2; i++) sim_node_start(test->nodes[i]);
}

static void net_connect(struct net_test *test, const char *host, uint16_t port)
{
    test->client = env_connect(test->env[0], host, port, SIM_SECOND, on_client, test);
}

static void net_send(struct net_test *test, uint64_t from, size_t size)
{
    struct buf *buf = buf_create(size);
    buf->size = size;
    for (size_t i = 0; i < size; i++) buf->data[i] = pattern(from + i);
    struct env_piece piece = env_piece_buf(buf);
    env_write(test->env[0], test->client, &piece, 1);
}

START_TEST(net_streams_keep_order_and_echo)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct net_test test;
        net_begin(&test, seed);
        net_connect(&test, "node1", 9092);
        for (uint64_t i = 0; i < 10; i++) net_send(&test, i * 10000, 10000);
        ck_assert_int_eq(env_stream_queued(test.client), 100000);
        sim_run_for(test.sim, 20 * SIM_SECOND);
        ck_assert(test.connected && test.drained && !test.client_closed);
        ck_assert_uint_eq(test.received, 100000);
        ck_assert_uint_eq(test.echoed, 100000);
        env_stream_close(test.env[0], test.client);
        sim_run_for(test.sim, SIM_SECOND);
        ck_assert(test.server_closed && !test.client_closed);
        sim_destroy(test.sim);
    }
}
END_TEST

START_TEST(net_connect_failures_are_told_apart)
{
    struct net_test test;
    net_begin(&test, 1);
    net_connect(&test, "node1", 1);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_int_eq(test.client_err, ERR_REFUSED);
    net_connect(&test, "nowhere", 1);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_int_eq(test.client_err, ERR_UNRESOLVED);
    sim_net_block(test.sim, test.nodes[1], test.nodes[0]);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, 2 * SIM_SECOND);
    ck_assert_int_eq(test.client_err, ERR_TIMEOUT);
    sim_net_heal(test.sim);
    sim_node_crash(test.nodes[1], SIM_CRASH_PROCESS);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, 2 * SIM_SECOND);
    ck_assert_int_eq(test.client_err, ERR_REFUSED);
    sim_node_start(test.nodes[1]);
    sim_node_crash(test.nodes[1], SIM_CRASH_POWER);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, 2 * SIM_SECOND);
    ck_assert_int_eq(test.client_err, ERR_TIMEOUT);
    ck_assert(!test.connected);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(net_a_cut_stream_delivers_a_prefix)
{
    unsigned nothing = 0, part = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct net_test test;
        net_begin(&test, seed);
        net_connect(&test, "node1", 9092);
        sim_run_for(test.sim, SIM_SECOND);
        net_send(&test, 0, 100000);
        struct prng prng = sim_prng(test.sim, "cut");
        sim_run_for(test.sim, prng_range(&prng, 0, 1000));
        sim_net_cut(test.sim, test.nodes[0], NULL);
        sim_run_for(test.sim, SIM_SECOND);
        ck_assert(test.client_closed && test.server_closed);
        ck_assert_int_eq(test.server_err, ERR_RESET);
        nothing += test.received == 0;
        part += test.received > 0 && test.received < 100000;
        sim_destroy(test.sim);
    }
    ck_assert_uint_gt(nothing, 0);
    ck_assert_uint_gt(part, 0);
}
END_TEST

START_TEST(net_a_blocked_direction_stalls_and_goes_on)
{
    struct net_test test;
    net_begin(&test, 3);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, SIM_SECOND);
    sim_net_block(test.sim, test.nodes[1], test.nodes[0]);
    net_send(&test, 0, 3000);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_uint_eq(test.received, 3000);
    ck_assert_uint_eq(test.echoed, 0);
    sim_net_heal(test.sim);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_uint_eq(test.echoed, 3000);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(net_bytes_of_a_dead_process_still_arrive)
{
    struct net_test test;
    net_begin(&test, 4);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, SIM_SECOND);
    sim_net_set_delay(test.sim, 100 * SIM_MS, 0);
    net_send(&test, 0, 1000);
    sim_run_for(test.sim, 50 * SIM_MS);
    sim_node_crash(test.nodes[0], SIM_CRASH_PROCESS);
    ck_assert_uint_eq(test.received, 0);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert(test.server_closed);
    ck_assert_uint_eq(test.received, 1000);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(net_power_loss_is_silent_until_the_host_is_back)
{
    struct net_test test;
    net_begin(&test, 5);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, SIM_SECOND);
    sim_node_crash(test.nodes[1], SIM_CRASH_POWER);
    net_send(&test, 0, 1000);
    sim_run_for(test.sim, 10 * SIM_SECOND);
    ck_assert(!test.client_closed);
    sim_node_start(test.nodes[1]);
    net_send(&test, 0, 1000);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_int_eq(test.client_err, ERR_RESET);
    ck_assert_uint_eq(test.received, 0);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(net_pause_holds_bytes_back_and_the_window_slows_the_sender)
{
    struct net_test test;
    net_begin(&test, 6);
    sim_net_set_window(test.sim, 5000, 5000);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, SIM_SECOND);
    env_stream_pause(test.env[1], test.server);
    net_send(&test, 0, 100000);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_uint_eq(test.received, 0);
    ck_assert_int_eq(env_stream_queued(test.client), 95000);
    env_stream_resume(test.env[1], test.server);
    sim_run_for(test.sim, 10 * SIM_SECOND);
    ck_assert_uint_eq(test.received, 100000);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(net_file_bytes_are_read_when_they_leave)
{
    struct net_test test;
    net_begin(&test, 7);
    sim_net_set_window(test.sim, 5000, 5000);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, SIM_SECOND);
    static uint8_t bytes[20000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = pattern(i);
    sim_disk_write(test.nodes[0], "/log", bytes, sizeof bytes);
    struct env_file *file = NULL;
    ck_assert_int_eq(env_open(test.env[0], "/log", ENV_OPEN_READ | ENV_OPEN_WRITE, &file), ERR_OK);
    env_stream_pause(test.env[1], test.server);
    struct env_piece piece = env_piece_file(env_file_ref(file), 0, sizeof bytes);
    env_write(test.env[0], test.client, &piece, 1);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_int_eq(env_truncate(test.env[0], file, 12000), ERR_OK);
    env_stream_resume(test.env[1], test.server);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_int_eq(test.client_err, ERR_IO);
    ck_assert(test.server_closed);
    ck_assert_uint_ge(test.received, 5000);
    ck_assert_uint_le(test.received, 12000);
    sim_destroy(test.sim);
}
END_TEST

START_TEST(net_finish_sends_the_rest_and_then_closes)
{
    struct net_test test;
    net_begin(&test, 8);
    net_connect(&test, "node1", 9092);
    sim_run_for(test.sim, SIM_SECOND);
    net_send(&test, 0, 50000);
    env_stream_finish(test.env[0], test.client);
    sim_run_for(test.sim, 10 * SIM_SECOND);
    ck_assert(test.server_closed && !test.client_closed);
    sim_destroy(test.sim);
}
END_TEST

/* ---- time ---------------------------------------------------------------------------------------------------------- */

struct timers {
    struct env_timer first, second;
    int64_t fired_at[2];
    int64_t start_us;
};
static void on_first(struct env_timer *timer, int64_t now_us)
{
    struct timers *timers = CONTAINER_OF(timer, struct timers, first);
    timers->fired_at[0] = now_us;
}
static void on_second(struct env_timer *timer, int64_t now_us)
{
    struct timers *timers = CONTAINER_OF(timer, struct timers, second);
    timers->fired_at[1] = now_us;
}

START_TEST(time_timers_fire_no_earlier_and_not_while_paused)
{
    struct disk_test test;
    disk_begin(&test, 9, SIM_DISK_RANDOM);
    struct timers timers = {.start_us = env_now_us(test.env)};
    env_timer_init(&timers.first, on_first);
    env_timer_init(&timers.second, on_second);
    env_timer_set(test.env, &timers.first, timers.start_us + SIM_SECOND);
    env_timer_set(test.env, &timers.second, timers.start_us + 3 * SIM_SECOND);
    sim_run_for(test.sim, 2 * SIM_SECOND);
    ck_assert_int_eq(timers.fired_at[0], timers.start_us + SIM_SECOND);
    sim_node_pause(test.node);
    sim_run_for(test.sim, 10 * SIM_SECOND);
    ck_assert_int_eq(timers.fired_at[1], 0);
    sim_node_resume(test.node);
    sim_run_for(test.sim, SIM_SECOND);
    ck_assert_int_ge(timers.fired_at[1], timers.start_us + 12 * SIM_SECOND);
    sim_destroy(test.sim);
}
END_TEST

/* ---- repeatability ------------------------------------------------------------------------------------------------- */

static uint64_t hash_of_run(uint64_t seed)
{
    struct net_test test;
    net_begin(&test, seed);
    sim_net_set_reset_rate(test.sim, 1000);
    net_connect(&test, "node1", 9092);
    net_send(&test, 0, 60000);
    sim_run_for(test.sim, 20 * SIM_MS);
    sim_node_crash(test.nodes[1], SIM_CRASH_POWER);
    sim_run_for(test.sim, SIM_SECOND);
    uint64_t hash = sim_hash(test.sim);
    sim_destroy(test.sim);
    return hash;
}

START_TEST(equal_seeds_give_equal_hashes)
{
    for (uint64_t seed = 0; seed < 20; seed++) ck_assert_uint_eq(hash_of_run(seed), hash_of_run(seed));
    ck_assert_uint_ne(hash_of_run(1), hash_of_run(2));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim");
    TCase *disk = tcase_create("disk");
    tcase_add_test(disk, disk_keeps_what_was_committed);
    tcase_add_test(disk, disk_drops_uncommitted_bytes_and_names);
    tcase_add_test(disk, disk_a_process_crash_loses_nothing);
    tcase_add_test(disk, disk_file_bytes_without_its_name_are_lost);
    tcase_add_test(disk, disk_a_rename_may_outlive_the_bytes);
    tcase_add_test(disk, disk_outcomes_tear_pages_sectors_and_tails);
    tcase_add_test(disk, disk_a_failed_commit_is_not_made_good_by_the_next);
    tcase_add_test(disk, disk_a_failed_commit_loses_pages_and_a_write_to_one_brings_it_back);
    tcase_add_test(disk, disk_is_full_at_its_capacity);
    tcase_add_test(disk, disk_crash_at_every_operation);
    tcase_add_test(disk, disk_commit_covers_only_what_came_before_the_call);
    tcase_add_test(disk, disk_lists_in_name_order_and_locks);
    suite_add_tcase(suite, disk);
    TCase *net = tcase_create("network");
    tcase_add_test(net, net_streams_keep_order_and_echo);
    tcase_add_test(net, net_connect_failures_are_told_apart);
    tcase_add_test(net, net_a_cut_stream_delivers_a_prefix);
    tcase_add_test(net, net_a_blocked_direction_stalls_and_goes_on);
    tcase_add_test(net, net_bytes_of_a_dead_process_still_arrive);
    tcase_add_test(net, net_power_loss_is_silent_until_the_host_is_back);
    tcase_add_test(net, net_pause_holds_bytes_back_and_the_window_slows_the_sender);
    tcase_add_test(net, net_file_bytes_are_read_when_they_leave);
    tcase_add_test(net, net_finish_sends_the_rest_and_then_closes);
    suite_add_tcase(suite, net);
    TCase *time = tcase_create("time");
    tcase_add_test(time, time_timers_fire_no_earlier_and_not_while_paused);
    tcase_add_test(time, equal_seeds_give_equal_hashes);
    suite_add_tcase(suite, time);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
