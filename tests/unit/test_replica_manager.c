/* broker/node/replica_manager on a simulated host: what a client is told, and when, against the disk. Above 1,000 lines because all
 * cases share the host, its image and its requests, which the first 250 lines build. */
#include "broker/node/controller_channel.h"
#include "broker/node/replica_internal.h"
#include "broker/node/replica_manager.h"
#include "proto/connection.h"
#include "proto/pb.h"
#include "proto/private_api.h"
#include "proto/record_batch.h"
#include "tests/sim/sim.h"
#include "tests/unit/metadata_fixture.h"

#include <stdlib.h>

#define NODE 0

struct world {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct meta meta;
    struct replica_manager *manager;
    struct controller_channel *channel;
    char failure[REPLICA_REASON_MAX];
    bool has_failed;
    uint64_t incarnation;
    bool counts_unflushed;
    const char *compression; /* compression.type; NULL: producer */
    int64_t segment_bytes;   /* 0: the default */
    const char *dirs[2];     /* NULL: "data" alone */
};

static void on_failed(void *user, const char *reason)
{
    struct world *w = user;
    w->has_failed = true;
    (void)snprintf(w->failure, sizeof w->failure, "%s", reason);
}

/* ---- the host's process: a replica manager whose metadata the test writes ---- */

static void start_process(void *user, struct sim_node *node)
{
    struct world *w = user;
    w->env = sim_env_create(node);
    struct replica_manager_options options = replica_manager_options_default;
    options.node_id = NODE;
    options.log_dirs = w->dirs;
    options.log_dir_count = 1 + (w->dirs[1] != NULL);
    options.topic_defaults = topic_settings_default;
    options.counts_unflushed = w->counts_unflushed;
    if (w->segment_bytes) options.topic_defaults.log.segment_bytes = w->segment_bytes;
    if (w->compression) topic_settings_set_compression(&options.topic_defaults, w->compression);
    options.checkpoint_interval_ms = 1000;
    options.on_failed = on_failed;
    options.user = w;
    char reason[REPLICA_REASON_MAX] = "";
    enum err err = replica_manager_create(w->env, &options, &w->meta.image, &w->manager, reason);
    ck_assert_msg(err == ERR_OK, "%s", reason);
    struct controller_channel_listener listener = {"PLAINTEXT", "node0", 9092, 0};
    struct controller_channel_options link = {.node_id = NODE,
                                              .incarnation = meta_uuid(++w->incarnation),
                                              .listeners = &listener,
                                              .listener_count = 1,
                                              .heartbeat_interval_ms = 2000,
                                              .request_timeout_ms = 30000};
    w->channel = controller_channel_create(w->env, &link, w->manager, &w->meta.image);
    replica_manager_set_channel(w->manager, w->channel);
}

static void destroy_process(void *user, struct sim_node *node)
{
    (void)node;
    struct world *w = user;
    controller_channel_destroy(w->channel);
    replica_manager_destroy(w->manager);
    w->manager = NULL;
}

static void begin(struct world *w, uint64_t seed, int32_t brokers)
{
    *w = (struct world){
        .counts_unflushed = w->counts_unflushed, .compression = w->compression, .segment_bytes = w->segment_bytes, .dirs = {"data"}};
    meta_init(&w->meta, seed);
    meta_start_brokers(&w->meta, brokers);
    w->sim = sim_create(seed);
    w->node = sim_node_add(w->sim, "node0", &(struct sim_process){start_process, destroy_process, w});
    sim_node_start(w->node);
    replica_manager_start(w->manager, 1);
}

static void end(struct world *w)
{
    sim_destroy(w->sim);
    meta_deinit(&w->meta);
}

static void begin_fsync(struct world *w, uint64_t seed, int32_t brokers)
{
    w->counts_unflushed = false;
    w->compression = NULL;
    w->segment_bytes = 0;
    begin(w, seed, brokers);
}

static void create_topic(struct world *w, const char *name, int32_t partitions, int16_t replicas, int32_t min_isr)
{
    ck_assert_int_eq(meta_create_topic(&w->meta, name, partitions, replicas, min_isr), KAFKA_NONE);
    replica_manager_apply(w->manager, &w->meta.delta);
}

static void delete_topic(struct world *w, const char *name)
{
    struct delete_topics_request_topics named = {.name = slice_str(name)};
    struct delete_topics_request request = {.topics = &named, .topics_count = 1};
    struct delete_topics_response response = {0};
    topic_delete(&w->meta.control, 6, &request, &response);
    meta_commit(&w->meta);
}

static struct uuid topic_id(struct world *w, const char *name) { return image_topic_by_name(&w->meta.image, slice_str(name))->id; }

static int32_t led_here(struct world *w, const char *name)
{
    const struct image_topic *topic = image_topic_by_name(&w->meta.image, slice_str(name));
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (topic->partitions[i].leader == NODE) return i;
    ck_abort_msg("no partition of %s is led here", name);
}

static void restart(struct world *w, enum sim_crash how)
{
    sim_node_crash(w->node, how);
    sim_run_for(w->sim, SIM_MS);
    sim_node_start(w->node);
    replica_manager_start(w->manager, 1);
}

static struct replica_info info(struct world *w, const char *name, int32_t partition)
{
    struct replica_info info;
    ck_assert(replica_manager_info(w->manager, topic_id(w, name), partition, &info));
    return info;
}

/* ---- clients ---- */

struct producing {
    struct replica_produce request;
    struct produce_partition part;
    bool is_done;
};

static void on_produced(struct replica_produce *request, int64_t now_us)
{
    (void)now_us;
    struct producing *p = request->user;
    ck_assert(!p->is_done);
    p->is_done = true;
}

static struct buf *make_batch(int count, int64_t producer_id, int32_t sequence)
{
    struct record_batch_spec spec;
    record_batch_spec_init(&spec);
    spec.producer_id = producer_id;
    spec.producer_epoch = producer_id < 0 ? -1 : 0;
    spec.base_sequence = sequence;
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &spec);
    for (int i = 0; i < count; i++)
        record_batch_builder_add(&builder, 1700000000000, SLICE_LITERAL("key"), SLICE_LITERAL("value"), NULL, 0);
    return record_batch_builder_finish(&builder);
}

static void produce_batch(struct world *w, struct producing *p, const char *topic, int32_t partition, int16_t acks, struct buf *batch)
{
    *p = (struct producing){.part = {.topic_id = topic_id(w, topic), .partition = partition, .records = buf_slice(batch)}};
    p->request = (struct replica_produce){.buf = batch,
                                          .acks = acks,
                                          .api_version = 9,
                                          .timeout_ms = 1000,
                                          .partitions = &p->part,
                                          .partition_count = 1,
                                          .done = on_produced,
                                          .user = p};
    replica_manager_produce(w->manager, &p->request);
    buf_unref(batch);
    ck_assert(!p->is_done);
}

static void produce(struct world *w, struct producing *p, const char *topic, int32_t partition, int16_t acks, int count)
{
    produce_batch(w, p, topic, partition, acks, make_batch(count, -1, -1));
}

static bool is_produced(void *context) { return ((struct producing *)context)->is_done; }

static enum kafka_error produced(struct world *w, struct producing *p)
{
    ck_assert(sim_wait(w->sim, is_produced, p, 5 * SIM_SECOND));
    return p->part.error;
}

struct fetching {
    struct replica_fetch request;
    struct fetch_position position;
    bool is_done;
};

static void on_fetched(struct replica_fetch *request, int64_t now_us)
{
    (void)now_us;
    struct fetching *f = request->user;
    ck_assert(!f->is_done);
    f->is_done = true;
}

static void fetch(struct world *w, struct fetching *f, const char *topic, int32_t partition, int64_t offset)
{
    *f = (struct fetching){.position = {.target = {topic_id(w, topic), partition},
                                        .current_leader_epoch = -1,
                                        .offset = offset,
                                        .last_fetched_epoch = -1,
                                        .log_start = -1,
                                        .bytes_max = 1 << 20}};
    f->request = (struct replica_fetch){.replica_id = -1,
                                        .replica_epoch = -1,
                                        .max_wait_ms = 100,
                                        .min_bytes = 1,
                                        .max_bytes = 1 << 20,
                                        .has_sessions = true,
                                        .session_epoch = FETCH_EPOCH_FINAL,
                                        .partitions = &f->position,
                                        .partition_count = 1,
                                        .done = on_fetched,
                                        .user = f};
}

static void send(struct world *w, struct fetching *f)
{
    f->is_done = false;
    replica_manager_fetch(w->manager, &f->request);
    ck_assert(!f->is_done);
}

static bool is_fetched(void *context) { return ((struct fetching *)context)->is_done; }

static const struct fetch_result *fetched(struct world *w, struct fetching *f)
{
    ck_assert(sim_wait(w->sim, is_fetched, f, 5 * SIM_SECOND));
    ck_assert_int_eq(f->request.error, KAFKA_NONE);
    return f->request.result_count ? &f->request.results[0] : NULL;
}

/* ---- produce ---- */

START_TEST(q_ack_all_waits_for_the_own_flush_and_acks_1_does_not)
{
    struct world w;
    begin_fsync(&w, 1, 1);
    create_topic(&w, "t", 1, 1, 1);
    sim_disk_stall_commits(w.node, sim_now_us(w.sim) + SIM_SECOND / 2);
    struct producing one, all;
    produce(&w, &one, "t", 0, 1, 3);
    produce(&w, &all, "t", 0, -1, 2);
    ck_assert_int_eq(produced(&w, &one), KAFKA_NONE);
    ck_assert_int_eq(one.part.base_offset, 0);
    sim_run_for(w.sim, SIM_SECOND / 4);
    ck_assert(!all.is_done);
    ck_assert_int_eq(info(&w, "t", 0).high_watermark, 0);
    ck_assert_int_eq(info(&w, "t", 0).log_end, 5);
    ck_assert_int_eq(produced(&w, &all), KAFKA_NONE);
    ck_assert_int_eq(all.part.base_offset, 3);
    ck_assert_int_eq(info(&w, "t", 0).high_watermark, 5);
    end(&w);
}
END_TEST

START_TEST(with_policy_os_the_page_cache_is_enough)
{
    struct world w = {.counts_unflushed = true};
    begin(&w, 2, 1);
    create_topic(&w, "t", 1, 1, 1);
    sim_disk_stall_commits(w.node, INT64_MAX / 2);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 1);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    end(&w);
}
END_TEST

START_TEST(batches_of_a_turn_share_one_commit_round)
{
    struct world w;
    begin_fsync(&w, 3, 1);
    create_topic(&w, "t", 40, 1, 1);
    struct producing *p = mem_calloc(40, sizeof *p);
    for (int32_t i = 0; i < 40; i++) produce(&w, &p[i], "t", i, -1, 1);
    ck_assert_int_eq(produced(&w, &p[7]), KAFKA_NONE);
    for (int i = 0; i < 40; i++) ck_assert(p[i].is_done);
    mem_free(p);
    end(&w);
}
END_TEST

START_TEST(bad_requests_get_kafkas_errors_and_leave_no_trace)
{
    struct world w;
    begin_fsync(&w, 4, 2);
    create_topic(&w, "t", 4, 1, 1);
    int32_t here = led_here(&w, "t"), elsewhere = 0;
    while (meta_partition(&w.meta, "t", elsewhere)->leader == NODE) elsewhere++;
    struct producing p;
    produce(&w, &p, "t", elsewhere, 1, 1);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(p.part.leader_id, 1);
    produce(&w, &p, "t", 9, 1, 1);
    ck_assert_int_eq(produced(&w, &p), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct buf *batch = make_batch(2, -1, -1);
    batch->data[70] ^= 1;
    produce_batch(&w, &p, "t", here, 1, batch);
    ck_assert_int_eq(produced(&w, &p), KAFKA_CORRUPT_MESSAGE);
    ck_assert_int_eq(p.part.base_offset, -1);
    ck_assert_int_eq(info(&w, "t", here).log_end, 0);
    end(&w);
}
END_TEST

/* The large one is compressed by another thread; the small one behind it would be out of order without it. */
START_TEST(i_seq_a_batch_waits_for_the_larger_one_before_it)
{
    struct world w = {.counts_unflushed = false, .compression = "zstd"};
    begin(&w, 31, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing large, small;
    produce_batch(&w, &large, "t", 0, -1, make_batch(3000, 7, 0));
    produce_batch(&w, &small, "t", 0, -1, make_batch(1, 7, 3000));
    ck_assert_int_eq(produced(&w, &small), KAFKA_NONE);
    ck_assert_int_eq(produced(&w, &large), KAFKA_NONE);
    ck_assert_int_eq(large.part.base_offset, 0);
    ck_assert_int_eq(small.part.base_offset, 3000);
    ck_assert_int_lt(info(&w, "t", 0).size_bytes, 4000); /* of 50,000 */
    produce_batch(&w, &large, "t", 0, -1, make_batch(3000, 7, 0));
    ck_assert_int_eq(produced(&w, &large), KAFKA_NONE); /* a retry */
    ck_assert_int_eq(large.part.base_offset, 0);
    ck_assert_int_eq(info(&w, "t", 0).log_end, 3001);
    end(&w);
}
END_TEST

START_TEST(a_batch_that_is_being_compressed_may_lose_its_replica_or_its_process)
{
    struct world w = {.counts_unflushed = false, .compression = "gzip"};
    begin(&w, 32, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing large, small;
    produce_batch(&w, &large, "t", 0, -1, make_batch(3000, -1, -1));
    produce_batch(&w, &small, "t", 0, -1, make_batch(1, -1, -1));
    delete_topic(&w, "t");
    replica_manager_apply(w.manager, &w.meta.delta);
    ck_assert_int_eq(produced(&w, &large), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(produced(&w, &small), KAFKA_NOT_LEADER_OR_FOLLOWER);
    sim_run_for(w.sim, SIM_SECOND);
    create_topic(&w, "u", 1, 1, 1);
    produce_batch(&w, &large, "u", 0, -1, make_batch(3000, -1, -1));
    restart(&w, SIM_CRASH_PROCESS);
    sim_run_for(w.sim, SIM_SECOND);
    end(&w);
}
END_TEST

START_TEST(i_dup_a_retry_gets_the_original_offset_when_that_is_committed)
{
    struct world w;
    begin_fsync(&w, 5, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing p, other, again;
    produce_batch(&w, &p, "t", 0, -1, make_batch(3, 7, 0));
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    sim_disk_stall_commits(w.node, sim_now_us(w.sim) + SIM_SECOND / 2);
    produce(&w, &other, "t", 0, -1, 2);
    produce_batch(&w, &again, "t", 0, -1, make_batch(3, 7, 0));
    ck_assert_int_eq(produced(&w, &again), KAFKA_NONE);
    ck_assert_int_eq(again.part.base_offset, 0);
    ck_assert(!other.is_done);
    ck_assert_int_eq(produced(&w, &other), KAFKA_NONE);
    produce_batch(&w, &again, "t", 0, -1, make_batch(1, 7, 9));
    ck_assert_int_eq(produced(&w, &again), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    end(&w);
}
END_TEST

START_TEST(a_follower_that_stays_away_costs_the_produce_its_timeout)
{
    struct world w;
    begin_fsync(&w, 6, 2);
    create_topic(&w, "t", 4, 2, 1);
    int32_t here = led_here(&w, "t");
    struct producing p;
    int64_t before = sim_now_us(w.sim);
    produce(&w, &p, "t", here, -1, 1);
    ck_assert_int_eq(produced(&w, &p), KAFKA_REQUEST_TIMED_OUT);
    ck_assert_int_ge(sim_now_us(w.sim) - before, SIM_SECOND);
    ck_assert_int_eq(info(&w, "t", here).high_watermark, 0);
    end(&w);
}
END_TEST

START_TEST(q_ack_refuses_before_the_append_below_min_insync_replicas)
{
    struct world w;
    begin_fsync(&w, 7, 2);
    create_topic(&w, "t", 4, 2, 2);
    int32_t here = led_here(&w, "t");
    struct producing waits, refused;
    produce(&w, &waits, "t", here, -1, 1);
    sim_run_for(w.sim, 50 * SIM_MS);
    meta_fence(&w.meta, 1);
    replica_manager_apply(w.manager, &w.meta.delta);
    ck_assert_int_eq(produced(&w, &waits), KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    produce(&w, &refused, "t", here, -1, 1);
    ck_assert_int_eq(produced(&w, &refused), KAFKA_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(info(&w, "t", here).log_end, 1);
    end(&w);
}
END_TEST

/* ---- fetch ---- */

START_TEST(q_repeat_a_consumer_sees_nothing_above_the_watermark)
{
    struct world w;
    begin_fsync(&w, 8, 1);
    create_topic(&w, "t", 1, 1, 1);
    int64_t flushed_at = sim_now_us(w.sim) + SIM_SECOND / 2;
    sim_disk_stall_commits(w.node, flushed_at);
    struct producing p;
    produce(&w, &p, "t", 0, 1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    struct fetching f;
    fetch(&w, &f, "t", 0, 0);
    f.request.max_wait_ms = 2000;
    send(&w, &f);
    const struct fetch_result *result = fetched(&w, &f);
    ck_assert_int_ge(sim_now_us(w.sim), flushed_at);
    ck_assert_int_lt(sim_now_us(w.sim), flushed_at + 20 * SIM_MS);
    ck_assert_int_gt(result->bytes, 0);
    ck_assert_int_eq(result->high_watermark, 3);
    replica_manager_release_fetch(&f.request);
    end(&w);
}
END_TEST

START_TEST(an_empty_long_poll_ends_in_time_and_one_for_more_bytes_with_what_there_is)
{
    struct world w;
    begin_fsync(&w, 9, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct fetching f;
    fetch(&w, &f, "t", 0, 0);
    int64_t before = sim_now_us(w.sim);
    send(&w, &f);
    const struct fetch_result *result = fetched(&w, &f);
    ck_assert_int_ge(sim_now_us(w.sim) - before, 100 * SIM_MS);
    ck_assert_int_eq(result->bytes, 0);
    ck_assert_int_eq(result->error, KAFKA_NONE);
    replica_manager_release_fetch(&f.request);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 1);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    fetch(&w, &f, "t", 0, 0);
    f.request.min_bytes = 1 << 20;
    before = sim_now_us(w.sim);
    send(&w, &f);
    result = fetched(&w, &f);
    ck_assert_int_ge(sim_now_us(w.sim) - before, 100 * SIM_MS);
    ck_assert_int_gt(result->bytes, 0);
    replica_manager_release_fetch(&f.request);
    end(&w);
}
END_TEST

START_TEST(offsets_outside_the_log_are_out_of_range_and_its_end_is_not)
{
    struct world w;
    begin_fsync(&w, 10, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 5);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    struct fetching f;
    for (int64_t offset = 4; offset <= 6; offset++) {
        fetch(&w, &f, "t", 0, offset);
        f.request.max_wait_ms = 0;
        send(&w, &f);
        const struct fetch_result *result = fetched(&w, &f);
        ck_assert_int_eq(result->error, offset <= 5 ? KAFKA_NONE : KAFKA_OFFSET_OUT_OF_RANGE);
        ck_assert_int_eq(result->bytes > 0, offset < 5);
        replica_manager_release_fetch(&f.request);
    }
    end(&w);
}
END_TEST

START_TEST(a_session_answers_only_what_changed)
{
    struct world w;
    begin_fsync(&w, 11, 1);
    create_topic(&w, "t", 3, 1, 1);
    struct fetch_position positions[3];
    struct fetching f;
    for (int32_t i = 0; i < 3; i++) {
        fetch(&w, &f, "t", i, 0);
        positions[i] = f.position;
    }
    f.request.partitions = positions;
    f.request.partition_count = 3;
    f.request.session_epoch = FETCH_EPOCH_INITIAL;
    f.request.max_wait_ms = 0;
    send(&w, &f);
    fetched(&w, &f);
    ck_assert_uint_eq(f.request.result_count, 3);
    int32_t id = f.request.answer_session_id;
    ck_assert_int_ne(id, FETCH_SESSION_NONE);
    replica_manager_release_fetch(&f.request);
    f.request.partition_count = 0;
    f.request.session_id = id;
    f.request.session_epoch = 1;
    f.request.max_wait_ms = 500;
    send(&w, &f);
    sim_run_for(w.sim, 10 * SIM_MS);
    ck_assert(!f.is_done);
    struct producing p;
    produce(&w, &p, "t", 2, -1, 1);
    fetched(&w, &f);
    ck_assert_uint_eq(f.request.result_count, 1);
    ck_assert_int_eq(f.request.results[0].partition, 2);
    ck_assert_int_gt(f.request.results[0].bytes, 0);
    replica_manager_release_fetch(&f.request);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    end(&w);
}
END_TEST

/* ---- followers of this leader ---- */

static void fetch_as_follower(struct world *w, struct fetching *f, const char *topic, int32_t partition, int64_t offset, int32_t last_epoch)
{
    fetch(w, f, topic, partition, offset);
    f->request.replica_id = 1;
    f->request.replica_epoch = image_broker_get(&w->meta.image, 1)->epoch;
    f->position.current_leader_epoch = meta_partition(&w->meta, topic, partition)->leader_epoch;
    f->position.last_fetched_epoch = last_epoch;
}

START_TEST(q_hw_a_follower_reads_the_unreplicated_tail_and_its_next_fetch_commits_it)
{
    struct world w;
    begin_fsync(&w, 12, 2);
    create_topic(&w, "t", 4, 2, 2);
    int32_t here = led_here(&w, "t");
    struct producing p;
    produce(&w, &p, "t", here, -1, 4);
    sim_run_for(w.sim, 50 * SIM_MS);
    ck_assert(!p.is_done);
    struct fetching f;
    fetch_as_follower(&w, &f, "t", here, 0, -1);
    send(&w, &f);
    const struct fetch_result *result = fetched(&w, &f);
    ck_assert_int_gt(result->bytes, 0);
    ck_assert_int_eq(result->high_watermark, 0);
    ck_assert_ptr_null(result->pieces[0].file); /* above the watermark: never a file range */
    replica_manager_release_fetch(&f.request);
    fetch_as_follower(&w, &f, "t", here, 4, meta_partition(&w.meta, "t", here)->leader_epoch);
    send(&w, &f);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    ck_assert_int_eq(info(&w, "t", here).high_watermark, 4);
    fetched(&w, &f);
    replica_manager_release_fetch(&f.request);
    end(&w);
}
END_TEST

START_TEST(q_match_a_diverging_follower_is_answered_and_not_counted)
{
    struct world w;
    begin_fsync(&w, 13, 2);
    create_topic(&w, "t", 4, 2, 1);
    int32_t here = led_here(&w, "t");
    struct producing p;
    produce(&w, &p, "t", here, 1, 4);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    sim_run_for(w.sim, 50 * SIM_MS);
    struct fetching f;
    int32_t epoch = meta_partition(&w.meta, "t", here)->leader_epoch;
    fetch_as_follower(&w, &f, "t", here, 9, epoch);
    send(&w, &f);
    const struct fetch_result *result = fetched(&w, &f);
    ck_assert_int_eq(result->error, KAFKA_NONE);
    ck_assert(result->is_diverging);
    ck_assert_int_eq(result->diverging_epoch, epoch);
    ck_assert_int_eq(result->diverging_end_offset, 4);
    ck_assert_int_eq(info(&w, "t", here).high_watermark, 0);
    replica_manager_release_fetch(&f.request);
    end(&w);
}
END_TEST

START_TEST(q_fence_a_fetch_of_another_leader_epoch_has_no_effect)
{
    struct world w;
    begin_fsync(&w, 14, 2);
    create_topic(&w, "t", 4, 2, 1);
    int32_t here = led_here(&w, "t");
    struct fetching f;
    static const enum kafka_error errors[] = {KAFKA_FENCED_LEADER_EPOCH, KAFKA_NONE, KAFKA_UNKNOWN_LEADER_EPOCH};
    meta_fence(&w.meta, 1); /* moves the epoch of what it led; not of ours */
    replica_manager_apply(w.manager, &w.meta.delta);
    int32_t epoch = meta_partition(&w.meta, "t", here)->leader_epoch;
    for (int32_t i = epoch > 0 ? 0 : 1; i < 3; i++) {
        fetch(&w, &f, "t", here, 0);
        f.request.max_wait_ms = 0;
        f.position.current_leader_epoch = epoch - 1 + i;
        send(&w, &f);
        ck_assert_int_eq(fetched(&w, &f)->error, errors[i]);
        replica_manager_release_fetch(&f.request);
    }
    end(&w);
}
END_TEST

START_TEST(an_overtaken_long_poll_of_a_session_is_answered_at_once)
{
    struct world w;
    begin_fsync(&w, 15, 2);
    create_topic(&w, "t", 4, 2, 1);
    int32_t here = led_here(&w, "t");
    struct fetching first, poll, next;
    fetch_as_follower(&w, &first, "t", here, 0, -1);
    first.request.session_epoch = FETCH_EPOCH_INITIAL;
    first.request.max_wait_ms = 0;
    send(&w, &first);
    fetched(&w, &first);
    int32_t id = first.request.answer_session_id;
    replica_manager_release_fetch(&first.request);
    fetch_as_follower(&w, &poll, "t", here, 0, -1);
    poll.request.session_id = id;
    poll.request.session_epoch = 1;
    poll.request.partition_count = 0;
    poll.request.max_wait_ms = 5000;
    send(&w, &poll);
    sim_run_for(w.sim, 10 * SIM_MS);
    ck_assert(!poll.is_done);
    next = poll;
    next.request.user = &next;
    next.request.partitions = &next.position;
    next.request.session_epoch = 2;
    send(&w, &next);
    fetched(&w, &poll);
    ck_assert_uint_eq(poll.request.result_count, 0);
    replica_manager_abandon_fetch(&next.request);
    replica_manager_release_fetch(&poll.request);
    end(&w);
}
END_TEST

/* ---- offsets ---- */

static void on_listed(struct replica_list_offset *request, int64_t now_us)
{
    (void)now_us;
    *(bool *)request->user = true;
}
static bool is_true(void *context) { return *(bool *)context; }

static struct replica_list_offset list_offset(struct world *w, const char *topic, int32_t partition, int64_t timestamp)
{
    bool is_done = false;
    struct replica_list_offset request = {.topic_id = topic_id(w, topic),
                                          .partition = partition,
                                          .current_leader_epoch = -1,
                                          .timestamp = timestamp,
                                          .done = on_listed,
                                          .user = &is_done};
    struct replica_list_offset *asked = mem_alloc(sizeof *asked);
    *asked = request;
    replica_manager_list_offset(w->manager, asked);
    ck_assert(sim_wait(w->sim, is_true, &is_done, 5 * SIM_SECOND));
    request = *asked;
    mem_free(asked);
    return request;
}

START_TEST(offsets_are_listed_with_the_epoch_they_have)
{
    struct world w;
    begin_fsync(&w, 16, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 5);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    struct replica_list_offset latest = list_offset(&w, "t", 0, LIST_OFFSETS_LATEST);
    ck_assert_int_eq(latest.error, KAFKA_NONE);
    ck_assert_int_eq(latest.offset, 5);
    ck_assert_int_eq(list_offset(&w, "t", 0, LIST_OFFSETS_EARLIEST).offset, 0);
    ck_assert_int_eq(list_offset(&w, "t", 0, LIST_OFFSETS_LATEST_TIERED).offset, -1);
    struct replica_list_offset by_time = list_offset(&w, "t", 0, 1600000000000);
    ck_assert_int_eq(by_time.offset, 0);
    ck_assert_int_eq(by_time.found_timestamp, 1700000000000);
    ck_assert_int_eq(list_offset(&w, "t", 0, 1800000000000).offset, -1);
    end(&w);
}
END_TEST

START_TEST(q_hw_a_new_leader_does_not_tell_the_end_before_it_knows_it)
{
    struct world w;
    begin_fsync(&w, 17, 2);
    create_topic(&w, "t", 4, 2, 1);
    int32_t here = led_here(&w, "t");
    struct producing p;
    produce(&w, &p, "t", here, 1, 5);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    sim_run_for(w.sim, 50 * SIM_MS);
    ck_assert_int_eq(list_offset(&w, "t", here, LIST_OFFSETS_LATEST).offset, 0);
    restart(&w, SIM_CRASH_PROCESS); /* as if elected anew with unreplicated records */
    ck_assert_int_eq(list_offset(&w, "t", here, LIST_OFFSETS_LATEST).error, KAFKA_OFFSET_NOT_AVAILABLE);
    ck_assert_int_eq(list_offset(&w, "t", here, LIST_OFFSETS_EARLIEST).error, KAFKA_NONE);
    end(&w);
}
END_TEST

/* ---- disks, restarts, deletion ---- */

START_TEST(acknowledged_records_survive_a_power_cut)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w;
        begin_fsync(&w, seed, 1);
        create_topic(&w, "t", 2, 1, 1);
        struct producing p;
        int64_t acked = 0;
        for (int i = 0; i < 10; i++) {
            produce(&w, &p, "t", 1, -1, 3);
            ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
            acked = p.part.base_offset + 3;
        }
        produce(&w, &p, "t", 1, 1, 3);
        restart(&w, SIM_CRASH_POWER);
        ck_assert_int_ge(info(&w, "t", 1).log_end, acked);
        sim_run_for(w.sim, 50 * SIM_MS); /* what recovery found is flushed before it counts */
        ck_assert_int_ge(info(&w, "t", 1).durable_end, acked);
        end(&w);
    }
}
END_TEST

struct stopping {
    bool is_done, is_clean;
};

static void on_stopped(void *user, bool is_clean)
{
    struct stopping *stopping = user;
    stopping->is_done = true;
    stopping->is_clean = is_clean;
}

START_TEST(a_clean_end_leaves_the_mark_and_nothing_to_recover)
{
    struct world w;
    begin_fsync(&w, 21, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    ck_assert(!replica_manager_was_clean(w.manager));
    struct producing last;
    produce(&w, &last, "t", 0, 1, 2); /* its flush is under way when the end comes */
    ck_assert_int_eq(produced(&w, &last), KAFKA_NONE);
    struct stopping stopping = {0};
    replica_manager_stop(w.manager, on_stopped, &stopping);
    ck_assert(sim_wait(w.sim, is_true, &stopping.is_done, 5 * SIM_SECOND));
    ck_assert(stopping.is_clean);
    restart(&w, SIM_CRASH_POWER);
    ck_assert(replica_manager_was_clean(w.manager));
    ck_assert_int_ge(info(&w, "t", 0).high_watermark, 3);
    ck_assert_int_eq(info(&w, "t", 0).durable_end, 5);
    restart(&w, SIM_CRASH_PROCESS);
    ck_assert(!replica_manager_was_clean(w.manager));
    end(&w);
}
END_TEST

/* The registration of a node that was told to end while it started may still come through. */
START_TEST(a_start_after_the_end_sets_nothing_aside)
{
    struct world w;
    begin_fsync(&w, 26, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    sim_node_crash(w.node, SIM_CRASH_PROCESS);
    sim_node_start(w.node);
    struct stopping stopping = {0};
    replica_manager_stop(w.manager, on_stopped, &stopping);
    replica_manager_start(w.manager, 2);
    ck_assert(sim_wait(w.sim, is_true, &stopping.is_done, 5 * SIM_SECOND));
    restart(&w, SIM_CRASH_PROCESS);
    ck_assert_uint_eq(sim_mark_count(w.sim, "a stray log was set aside"), 0);
    ck_assert_int_eq(info(&w, "t", 0).log_end, 3);
    end(&w);
}
END_TEST

static void on_epoch_written(void *user, enum err err, int64_t now_us)
{
    (void)now_us;
    ck_assert_int_eq(err, ERR_OK);
    *(bool *)user = true;
}

START_TEST(the_broker_epoch_is_on_the_disk_when_it_says_so)
{
    struct world w;
    begin_fsync(&w, 22, 1);
    bool is_written = false;
    replica_manager_write_epoch(w.manager, 42, "the-cluster", on_epoch_written, &is_written);
    ck_assert(sim_wait(w.sim, is_true, &is_written, 5 * SIM_SECOND));
    restart(&w, SIM_CRASH_POWER);
    struct replica_directory directories[LOG_DIRS_MAX];
    ck_assert_uint_eq(replica_manager_directories(w.manager, directories), 1);
    ck_assert_int_eq(directories[0].written_epoch, 42);
    ck_assert_str_eq(replica_manager_cluster_id(w.manager), "the-cluster");
    end(&w);
}
END_TEST

static bool is_attached(void *context)
{
    struct world *w = context;
    struct replica_info unused;
    return replica_manager_info(w->manager, topic_id(w, "t"), 0, &unused);
}

START_TEST(d_resurrect_a_topic_of_the_same_name_begins_empty)
{
    struct world w;
    begin_fsync(&w, 23, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    struct uuid old = topic_id(&w, "t");
    delete_topic(&w, "t");
    if (_i == 0) replica_manager_apply(w.manager, &w.meta.delta); /* else the node is down meanwhile */
    create_topic(&w, "t", 1, 1, 1);
    if (_i == 1) restart(&w, SIM_CRASH_PROCESS);
    ck_assert(sim_wait(w.sim, is_attached, &w, 5 * SIM_SECOND));
    ck_assert_int_eq(info(&w, "t", 0).log_end, 0);
    struct replica_info unused;
    ck_assert(!replica_manager_info(w.manager, old, 0, &unused));
    produce(&w, &p, "t", 0, -1, 1);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    ck_assert_int_eq(p.part.base_offset, 0);
    ck_assert_uint_eq(sim_mark_count(w.sim, "a stray log was set aside"), (uint64_t)_i);
    end(&w);
}
END_TEST

/* The checkpoints know the old log by the same name, with offsets that the new one does not have. */
START_TEST(d_resurrect_a_new_log_inherits_no_claims)
{
    struct world w;
    begin_fsync(&w, 27, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    sim_run_for(w.sim, 3 * SIM_SECOND); /* the checkpoints know of three records */
    struct delete_topics_request_topics named = {.name = slice_str("t")};
    struct delete_topics_request request = {.topics = &named, .topics_count = 1};
    struct delete_topics_response response = {0};
    topic_delete(&w.meta.control, 6, &request, &response);
    meta_commit(&w.meta);
    if (_i == 0) replica_manager_apply(w.manager, &w.meta.delta); /* else the node is down meanwhile */
    create_topic(&w, "t", 1, 1, 1);
    if (_i == 1) restart(&w, SIM_CRASH_PROCESS);
    ck_assert(sim_wait(w.sim, is_attached, &w, 5 * SIM_SECOND));
    produce(&w, &p, "t", 0, 1, 1);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    restart(&w, SIM_CRASH_PROCESS);
    size_t damaged = 0;
    (void)replica_manager_damaged(w.manager, &damaged);
    ck_assert_uint_eq(damaged, 0);
    ck_assert_int_eq(info(&w, "t", 0).log_end, 1);
    ck_assert_int_eq(info(&w, "t", 0).high_watermark, 0);
    end(&w);
}
END_TEST

static void write_epoch(struct world *w, int64_t epoch)
{
    bool is_written = false;
    replica_manager_write_epoch(w->manager, epoch, "the-cluster", on_epoch_written, &is_written);
    ck_assert(sim_wait(w->sim, is_true, &is_written, 5 * SIM_SECOND));
}

/* A disk is taken away, what it held is filled again on another one, and then it is back. */
START_TEST(d_resurrect_a_directory_that_comes_back_does_not_replace_what_was_filled_again)
{
    struct world w;
    struct producing p;
    begin_fsync(&w, 30, 1);
    create_topic(&w, "t", 1, 1, 1);
    write_epoch(&w, 1);
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    w.dirs[0] = "spare";
    restart(&w, SIM_CRASH_POWER);
    write_epoch(&w, _i == 0 ? 2 : 1);
    produce(&w, &p, "t", 0, -1, 5);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    w.dirs[0] = "data";
    w.dirs[1] = "spare";
    restart(&w, SIM_CRASH_POWER);
    size_t damaged = 0;
    const struct fetch_target *targets = replica_manager_damaged(w.manager, &damaged);
    ck_assert_uint_eq(damaged, (size_t)_i); /* one that it cannot tell from the other it does not vouch for */
    if (_i == 0) ck_assert_int_eq(info(&w, "t", 0).log_end, 5);
    if (_i == 1) ck_assert(uuid_equal(targets[0].topic_id, topic_id(&w, "t")));
    end(&w);
}
END_TEST

/* ---- a controller that knows the broker no more, once ---- */

struct forgetful_controller {
    struct server server;
    size_t registrations;
    size_t damaged[2]; /* lists that came with each */
};

static struct buf *answer_registration(struct forgetful_controller *c, struct slice body)
{
    struct arena arena;
    Skiff__Outcome outcome;
    Skiff__RegisterBrokerResponse response;
    skiff__outcome__init(&outcome);
    skiff__register_broker_response__init(&response);
    arena_init(&arena, pb_unpack_budget(body.n));
    const Skiff__RegisterBrokerRequest *request = pb_unpack(&skiff__register_broker_request__descriptor, body, &arena);
    ck_assert_ptr_nonnull(request);
    ck_assert_uint_lt(c->registrations, 2);
    c->damaged[c->registrations++] = request->n_damaged;
    arena_deinit(&arena);
    response.outcome = &outcome;
    response.broker_epoch = (int64_t)c->registrations + 1;
    response.cluster_id = pb_lend("the-cluster");
    return pb_pack(&response.base);
}

static struct buf *answer_heartbeat(const struct forgetful_controller *c)
{
    Skiff__Outcome outcome;
    Skiff__BrokerHeartbeatResponse response;
    skiff__outcome__init(&outcome);
    skiff__broker_heartbeat_response__init(&response);
    outcome.error_code = c->registrations == 1 ? KAFKA_STALE_BROKER_EPOCH : KAFKA_NONE;
    response.outcome = &outcome;
    response.is_fenced = true;
    return pb_pack(&response.base);
}

static enum request_progress on_controller_request(void *user, struct request *request)
{
    struct forgetful_controller *c = user;
    bool is_registration = request->api_key == PRIVATE_API_REGISTER_BROKER;
    request_respond_buf(request, is_registration ? answer_registration(c, request->body) : answer_heartbeat(c));
    return REQUEST_DONE;
}

static void start_controller(void *user, struct sim_node *node)
{
    struct forgetful_controller *c = user;
    struct server_limits limits = {.frame_bytes_max = 1 << 20,
                                   .memory_bytes_max = 1 << 20,
                                   .connections_max = 8,
                                   .connections_per_ip_max = 8,
                                   .connections_per_s_max = CONNECTION_RATE_UNLIMITED};
    struct server_handler handler = {.on_request = on_controller_request, .user = c};
    uint16_t bound = 0;
    server_init(&c->server, sim_env_create(node), &limits, &handler);
    ck_assert_int_eq(server_listen(&c->server, "CONTROLLER", "", 9093, true, &bound), ERR_OK);
}

static void destroy_controller(void *user, struct sim_node *node)
{
    (void)node;
    server_deinit(&((struct forgetful_controller *)user)->server);
}

static bool is_registered_again(void *context) { return ((struct forgetful_controller *)context)->registrations == 2; }

/* What was damaged may be filled and in sync by then. */
START_TEST(a_broker_that_registers_anew_does_not_report_damage_again)
{
    struct world w;
    struct producing p;
    struct forgetful_controller controller = {0};
    begin_fsync(&w, 31, 1);
    create_topic(&w, "t", 1, 1, 1);
    write_epoch(&w, 1);
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    w.dirs[0] = "spare";
    restart(&w, SIM_CRASH_POWER);
    write_epoch(&w, 1);
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    w.dirs[0] = "data";
    w.dirs[1] = "spare";
    restart(&w, SIM_CRASH_POWER);
    struct sim_process process = {start_controller, destroy_controller, &controller};
    sim_node_start(sim_node_add(w.sim, "controller", &process));
    controller_channel_on_leader(w.channel, 7, "controller", 9093, 1);
    ck_assert(sim_wait(w.sim, is_registered_again, &controller, 5 * SIM_SECOND));
    ck_assert_uint_eq(controller.damaged[0], 1);
    ck_assert_uint_eq(controller.damaged[1], 0);
    end(&w);
}
END_TEST

/* The replica is taken away in the middle of a truncation that takes longer than the next log of that name needs to begin. */
START_TEST(d_resurrect_a_truncation_ends_before_the_next_log_of_that_name_begins)
{
    struct world w = {.segment_bytes = 300};
    struct producing p;
    begin(&w, 29, 2);
    meta_fence(&w.meta, 1);
    create_topic(&w, "t", 1, 1, 1);
    for (int i = 0; i < 30; i++) {
        produce(&w, &p, "t", 0, -1, 3);
        ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    }
    meta_fence(&w.meta, NODE);
    replica_manager_apply(w.manager, &w.meta.delta);
    replica_truncate(replica_find(w.manager, topic_id(&w, "t"), 0), 1);
    delete_topic(&w, "t");
    replica_manager_apply(w.manager, &w.meta.delta);
    (void)meta_heartbeat(&w.meta, NODE, false, false);
    replica_manager_apply(w.manager, &w.meta.delta);
    create_topic(&w, "t", 1, 1, 1);
    ck_assert(sim_wait(w.sim, is_attached, &w, 5 * SIM_SECOND));
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    sim_run_for(w.sim, 5 * SIM_SECOND);
    restart(&w, SIM_CRASH_POWER);
    ck_assert_int_eq(info(&w, "t", 0).log_end, 3);
    ck_assert(!w.has_failed);
    end(&w);
}
END_TEST

START_TEST(a_full_disk_refuses_and_recovers)
{
    struct world w;
    begin_fsync(&w, 24, 1);
    create_topic(&w, "t", 1, 1, 1);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    sim_disk_set_capacity(w.node, sim_disk_used(w.node) + 10);
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_KAFKA_STORAGE_ERROR);
    ck_assert(!w.has_failed);
    sim_disk_set_capacity(w.node, INT64_MAX);
    produce(&w, &p, "t", 0, -1, 3);
    ck_assert_int_eq(produced(&w, &p), KAFKA_NONE);
    ck_assert_int_eq(p.part.base_offset, 3);
    end(&w);
}
END_TEST

START_TEST(a_failed_or_stalled_flush_takes_the_directory_offline)
{
    struct world w;
    begin_fsync(&w, 25, 1);
    create_topic(&w, "t", 1, 1, 1);
    if (_i == 0)
        sim_disk_fail_commits(w.node, 1);
    else
        sim_disk_stall_commits(w.node, sim_now_us(w.sim) + 60 * SIM_SECOND);
    struct producing p;
    produce(&w, &p, "t", 0, -1, 3);
    p.request.timeout_ms = 30000;
    ck_assert(sim_wait(w.sim, is_true, &w.has_failed, 20 * SIM_SECOND));
    ck_assert_ptr_nonnull(strstr(w.failure, "offline"));
    ck_assert_int_eq(produced(&w, &p), _i == 0 ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_REQUEST_TIMED_OUT);
    struct producing later;
    produce(&w, &later, "t", 0, 1, 1);
    ck_assert_int_eq(produced(&w, &later), KAFKA_KAFKA_STORAGE_ERROR);
    end(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replica_manager");
    TCase *tcase = tcase_create("replica_manager");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, q_ack_all_waits_for_the_own_flush_and_acks_1_does_not);
    tcase_add_test(tcase, with_policy_os_the_page_cache_is_enough);
    tcase_add_test(tcase, batches_of_a_turn_share_one_commit_round);
    tcase_add_test(tcase, bad_requests_get_kafkas_errors_and_leave_no_trace);
    tcase_add_test(tcase, i_seq_a_batch_waits_for_the_larger_one_before_it);
    tcase_add_test(tcase, a_batch_that_is_being_compressed_may_lose_its_replica_or_its_process);
    tcase_add_test(tcase, i_dup_a_retry_gets_the_original_offset_when_that_is_committed);
    tcase_add_test(tcase, a_follower_that_stays_away_costs_the_produce_its_timeout);
    tcase_add_test(tcase, q_ack_refuses_before_the_append_below_min_insync_replicas);
    tcase_add_test(tcase, q_repeat_a_consumer_sees_nothing_above_the_watermark);
    tcase_add_test(tcase, an_empty_long_poll_ends_in_time_and_one_for_more_bytes_with_what_there_is);
    tcase_add_test(tcase, offsets_outside_the_log_are_out_of_range_and_its_end_is_not);
    tcase_add_test(tcase, a_session_answers_only_what_changed);
    tcase_add_test(tcase, q_hw_a_follower_reads_the_unreplicated_tail_and_its_next_fetch_commits_it);
    tcase_add_test(tcase, q_match_a_diverging_follower_is_answered_and_not_counted);
    tcase_add_test(tcase, q_fence_a_fetch_of_another_leader_epoch_has_no_effect);
    tcase_add_test(tcase, an_overtaken_long_poll_of_a_session_is_answered_at_once);
    tcase_add_test(tcase, offsets_are_listed_with_the_epoch_they_have);
    tcase_add_test(tcase, q_hw_a_new_leader_does_not_tell_the_end_before_it_knows_it);
    tcase_add_test(tcase, acknowledged_records_survive_a_power_cut);
    tcase_add_test(tcase, a_clean_end_leaves_the_mark_and_nothing_to_recover);
    tcase_add_test(tcase, a_start_after_the_end_sets_nothing_aside);
    tcase_add_test(tcase, the_broker_epoch_is_on_the_disk_when_it_says_so);
    tcase_add_loop_test(tcase, d_resurrect_a_topic_of_the_same_name_begins_empty, 0, 2);
    tcase_add_loop_test(tcase, d_resurrect_a_new_log_inherits_no_claims, 0, 2);
    tcase_add_loop_test(tcase, d_resurrect_a_directory_that_comes_back_does_not_replace_what_was_filled_again, 0, 2);
    tcase_add_test(tcase, a_broker_that_registers_anew_does_not_report_damage_again);
    tcase_add_test(tcase, d_resurrect_a_truncation_ends_before_the_next_log_of_that_name_begins);
    tcase_add_test(tcase, a_full_disk_refuses_and_recovers);
    tcase_add_loop_test(tcase, a_failed_or_stalled_flush_takes_the_directory_offline, 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
