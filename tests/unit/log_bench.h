/* A log on a simulated disk beside a list of the batches that must be in it. For the tests of broker/log. */
#ifndef SKIFF_TESTS_UNIT_LOG_BENCH_H
#define SKIFF_TESTS_UNIT_LOG_BENCH_H

#include "broker/log/log.h"
#include "common/checked.h"
#include "common/mem.h"
#include "proto/record_batch.h"
#include "tests/sim/sim.h"

#include <check.h>
#include <stdio.h>

/* ck_assert() writes a note to a pipe each time, which is most of the time of a test that checks millions of things. */
#define CHECK(condition)                                                                                                                   \
    do {                                                                                                                                   \
        if (!(condition)) ck_abort_msg("%s", #condition);                                                                                  \
    } while (0)

#define BENCH_DIR      "/data"
#define BENCH_NAME     "topic-0"
#define BENCH_TOPIC_ID ((struct uuid){{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}})

/* ---- the model ----------------------------------------------------------------------------------------------------- */

struct model_batch {
    int64_t base, end;
    int32_t epoch;
    struct buf *bytes; /* as they must be read */
};
struct model {
    struct model_batch *batches;
    size_t count, capacity;
    int64_t start, end;
};

static inline void model_push(struct model *model, struct slice bytes)
{
    struct record_batch head;
    CHECK(record_batch_parse(bytes, &head) == ERR_OK);
    CHECK(record_batch_is_crc_valid(&head));
    if (model->count == model->capacity) {
        model->capacity = model->capacity ? 2 * model->capacity : 16;
        model->batches = mem_realloc(model->batches, model->capacity, sizeof *model->batches);
    }
    CHECK(head.base_offset == model->end);
    model->end = record_batch_next_offset(&head);
    model->batches[model->count++] =
        (struct model_batch){.base = head.base_offset, .end = model->end, .epoch = head.partition_leader_epoch, .bytes = buf_copy(bytes)};
}

/* Drops the batches that end above `offset`. */
static inline void model_truncate(struct model *model, int64_t offset)
{
    while (model->count > 0 && model->batches[model->count - 1].end > offset) {
        model->end = model->batches[--model->count].base;
        buf_unref(model->batches[model->count].bytes);
    }
}

static inline void model_clear(struct model *model, int64_t offset)
{
    model_truncate(model, -1);
    model->start = model->end = offset;
}

static inline void model_deinit(struct model *model)
{
    model_clear(model, 0);
    mem_free(model->batches);
    *model = (struct model){0};
}

/* Index of the batch that contains the offset; count when there is none. */
static inline size_t model_find(const struct model *model, int64_t offset)
{
    size_t i = 0;
    while (i < model->count && model->batches[i].end <= offset) i++;
    return i;
}

/* ---- the bench ----------------------------------------------------------------------------------------------------- */

struct bench {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct plog_shared shared;
    struct plog *log;
    struct plog *doomed; /* being deleted */
    struct plog_config config;
    struct model model;
    bool has_shared;
    uint32_t files_max;
    size_t tail_bytes_max;
};

static inline void bench_on_start(void *user, struct sim_node *node)
{
    struct bench *bench = user;
    bench->env = sim_env_create(node);
    plog_shared_init(&bench->shared, bench->env, bench->files_max, bench->tail_bytes_max);
    bench->has_shared = true;
}

static inline void bench_on_destroy(void *user, struct sim_node *node)
{
    struct bench *bench = user;
    (void)node;
    if (bench->log) plog_abandon(bench->log);
    if (bench->doomed) plog_abandon(bench->doomed);
    bench->log = bench->doomed = NULL;
    if (bench->has_shared) plog_shared_deinit(&bench->shared);
    bench->has_shared = false;
}

static inline void bench_begin(struct bench *bench, uint64_t seed)
{
    *bench = (struct bench){.config = plog_config_default, .files_max = 100, .tail_bytes_max = 1 << 20};
    bench->config.segment_bytes = 4000;
    bench->config.index_interval_bytes = 300;
    bench->sim = sim_create(seed);
    bench->node =
        sim_node_add(bench->sim, "node0", &(struct sim_process){.start = bench_on_start, .destroy = bench_on_destroy, .user = bench});
}

static inline void bench_start(struct bench *bench) { sim_node_start(bench->node); }

/* The log directory is there before the first log, as the broker sees to it. */
static inline void bench_make_log_dir(struct bench *bench)
{
    const char *root = "/";
    CHECK(env_mkdir(bench->env, BENCH_DIR) == ERR_OK);
    CHECK(env_commit_wait(bench->env, NULL, 0, &root, 1) == ERR_OK);
}

static inline void bench_create(struct bench *bench)
{
    bench->log = plog_create(&bench->shared, BENCH_DIR, "topic", 0, BENCH_TOPIC_ID, &bench->config);
}

static inline enum err bench_open(struct bench *bench, const struct plog_claims *claims, struct plog_recovery *report)
{
    return plog_open(&bench->shared, BENCH_DIR, BENCH_NAME, &bench->config, claims, &bench->log, report);
}

static inline void bench_end(struct bench *bench)
{
    model_deinit(&bench->model);
    sim_destroy(bench->sim);
}

/* ---- waiting for operations ---------------------------------------------------------------------------------------- */

struct bench_op {
    struct plog_op op;
    struct env_op commit;
    struct plog_disk_read disk_read;
    bool is_done;
    enum err err;
    struct plog **gone; /* set to NULL when it is done */
};
static inline void bench_on_op(struct plog_op *op, enum err err, int64_t now_us)
{
    struct bench_op *wait = CONTAINER_OF(op, struct bench_op, op);
    (void)now_us;
    wait->is_done = true;
    wait->err = err;
    if (wait->gone) *wait->gone = NULL;
}
static inline void bench_on_commit(struct env_op *op, enum err err, int64_t now_us)
{
    struct bench_op *wait = CONTAINER_OF(op, struct bench_op, commit);
    (void)now_us;
    wait->is_done = true;
    wait->err = err;
}
static inline void bench_on_disk_read(struct plog_disk_read *op, enum err err, int64_t now_us)
{
    struct bench_op *wait = CONTAINER_OF(op, struct bench_op, disk_read);
    (void)now_us;
    wait->is_done = true;
    wait->err = err;
}
#define BENCH_OP                                                                                                                           \
    (struct bench_op) { .op.done = bench_on_op, .commit.done = bench_on_commit, .disk_read.done = bench_on_disk_read }

static inline bool bench_is_done(void *context)
{
    struct bench_op *wait = context;
    return wait->is_done;
}
/* False: the process died first. */
static inline bool bench_wait(struct bench *bench, struct bench_op *wait) { return sim_wait(bench->sim, bench_is_done, wait, SIM_SECOND); }

static inline void bench_on_time(struct env_timer *timer, int64_t now_us) { (void)timer, (void)now_us; }

/* Time passes, and the process takes notice. */
static inline void bench_pass(struct bench *bench, int64_t us)
{
    struct env_timer timer;
    env_timer_init(&timer, bench_on_time);
    env_timer_set(bench->env, &timer, sim_now_us(bench->sim) + us);
    sim_run_for(bench->sim, us);
    if (bench->log) env_timer_clear(bench->env, &timer);
}

static inline bool bench_flush(struct bench *bench)
{
    struct file_set set;
    struct plog_flush flush;
    struct bench_op wait = BENCH_OP;
    file_set_init(&set);
    bool is_begun = plog_flush_begin(bench->log, &set, &flush);
    if (is_begun) file_set_commit(&set, bench->env, &wait.commit);
    file_set_deinit(&set);
    if (!is_begun) return true;
    if (!bench_wait(bench, &wait) || !bench->log) return false;
    (void)plog_flush_done(bench->log, &flush, wait.err);
    return wait.err == ERR_OK;
}

/* ---- batches ------------------------------------------------------------------------------------------------------- */

struct batch_wish {
    int64_t base_offset; /* a follower's */
    int32_t epoch;
    int32_t records;
    size_t value_bytes;
    int64_t timestamp_ms;
    int64_t producer_id; /* 0: none */
    int16_t producer_epoch;
    int32_t sequence;
    enum compression compression;
};

static inline struct buf *make_batch(const struct batch_wish *wish)
{
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    uint8_t value[4096];
    CHECK(wish->value_bytes <= sizeof value && wish->records > 0);
    record_batch_spec_init(&spec);
    spec.base_offset = wish->base_offset;
    spec.partition_leader_epoch = wish->epoch;
    spec.compression = wish->compression;
    if (wish->producer_id) {
        spec.producer_id = wish->producer_id;
        spec.producer_epoch = wish->producer_epoch;
        spec.base_sequence = wish->sequence;
    }
    record_batch_builder_init(&builder, &spec);
    for (int32_t i = 0; i < wish->records; i++) {
        memset(value, 'a' + i % 26, wish->value_bytes);
        record_batch_builder_add(&builder, wish->timestamp_ms + i, SLICE_NULL, slice_make(value, wish->value_bytes), NULL, 0);
    }
    return record_batch_builder_finish(&builder);
}

static inline struct plog_batch wish_batch(const struct batch_wish *wish)
{
    struct buf *buf = make_batch(wish);
    return (struct plog_batch){.buf = buf, .size = buf->size};
}

/* One batch through the leader's door, into the model when it is appended. */
static inline enum plog_verdict bench_append(struct bench *bench, const struct batch_wish *wish)
{
    struct plog_batch batch = wish_batch(wish);
    enum err err = plog_append_leader(bench->log, &batch, 1, wish->epoch);
    CHECK(!err == (batch.verdict != PLOG_FAILED));
    if (batch.verdict == PLOG_APPENDED) model_push(&bench->model, buf_slice(batch.buf));
    buf_unref(batch.buf);
    return batch.verdict;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* plog_read, fetching from the disk as often as it asks for it. */
static inline enum err bench_read(struct bench *bench, struct plog_read *read)
{
    for (;;) {
        enum err err = plog_read(bench->log, read);
        if (err != ERR_AGAIN) return err;
        struct bench_op wait = BENCH_OP;
        plog_fetch_from_disk(bench->env, &wait.disk_read, &read->want);
        CHECK(bench_wait(bench, &wait));
        CHECK(wait.err == ERR_OK);
    }
}

static inline struct buf *bench_bytes(struct bench *bench, const struct plog_read *read)
{
    struct buf *all = buf_create((size_t)read->bytes);
    for (size_t i = 0; i < read->piece_count; i++) {
        const struct env_piece *piece = &read->pieces[i];
        size_t got = (size_t)piece->length;
        CHECK(all->size + got <= all->capacity);
        if (piece->buf)
            memcpy(all->data + all->size, piece->buf->data + piece->position, got);
        else
            CHECK(env_pread_wait(bench->env, piece->file, all->data + all->size, got, piece->position, &got) == ERR_OK);
        CHECK((int64_t)got == piece->length);
        all->size += got;
    }
    CHECK((int64_t)all->size == read->bytes);
    return all;
}

static inline bool model_is_zstd(const struct model *model, size_t i)
{
    struct record_batch head;
    CHECK(i < model->count && record_batch_parse(buf_slice(model->batches[i].bytes), &head) == ERR_OK);
    return record_batch_compression(&head) == COMPRESSION_ZSTD;
}

/* What the read gave is a run of the model's batches that begins with the one that contains the offset and keeps the limits. */
static inline void bench_check_read(struct bench *bench, struct plog_read *read)
{
    const struct model *model = &bench->model;
    struct buf *bytes = bench_bytes(bench, read);
    size_t i = model_find(model, read->offset), at = 0;
    int64_t limit = read->offset < read->file_limit && !read->is_in_memory ? min_i64(read->limit, read->file_limit) : read->limit;
    int64_t next = read->offset;
    for (; at < bytes->size; i++) {
        CHECK(i < model->count);
        const struct buf *want = model->batches[i].bytes;
        CHECK(bytes->size - at >= want->size && memcmp(bytes->data + at, want->data, want->size) == 0);
        CHECK(model->batches[i].end <= limit);
        CHECK(!read->refuses_zstd || !model_is_zstd(model, i));
        at += want->size;
        next = model->batches[i].end;
    }
    CHECK(next == read->next_offset);
    bool has_first = i < model->count && at == 0 && model->batches[i].end <= limit;
    if (read->is_before_zstd) CHECK(read->refuses_zstd && model_is_zstd(model, i) && model->batches[i].end <= limit);
    if (has_first && !read->is_before_zstd) CHECK(!read->is_first_whole && (int64_t)model->batches[i].bytes->size > read->bytes_max);
    if (read->bytes > read->bytes_max) CHECK(read->is_first_whole && model->batches[i - 1].base <= read->offset);
    for (size_t p = 0; p < read->piece_count; p++) CHECK(!read->pieces[p].file || read->next_offset <= read->file_limit);
    buf_unref(bytes);
}

/* The first record at or after the time, or, for a negative one, the largest time. */
static inline enum err bench_find_time(struct bench *bench, int64_t timestamp_ms, struct plog_found_offset *found)
{
    for (;;) {
        enum err err =
            timestamp_ms < 0 ? plog_find_max_timestamp(bench->log, found) : plog_find_timestamp(bench->log, timestamp_ms, INT64_MAX, found);
        if (err != ERR_AGAIN) return err;
        struct bench_op wait = BENCH_OP;
        plog_fetch_from_disk(bench->env, &wait.disk_read, &found->want);
        CHECK(bench_wait(bench, &wait));
    }
}

/* The largest timestamp is the model's; a batch below the log start that is still in a file may have a larger one. */
static inline void bench_check_max_timestamp(struct bench *bench)
{
    struct plog_found_offset found;
    int64_t largest = -1;
    for (size_t i = 0; i < bench->model.count; i++) {
        struct record_batch head;
        CHECK(record_batch_parse(buf_slice(bench->model.batches[i].bytes), &head) == ERR_OK);
        if (bench->model.batches[i].end > bench->model.start) largest = max_i64(largest, head.max_timestamp);
    }
    CHECK(bench_find_time(bench, -1, &found) == ERR_OK);
    if (found.offset >= bench->model.start) CHECK(found.timestamp_ms == largest);
}

/* The whole log, read from start to end, and everything derived from it. */
static inline void bench_check_all(struct bench *bench)
{
    const struct model *model = &bench->model;
    CHECK(plog_start(bench->log) == model->start);
    CHECK(plog_end(bench->log) == model->end);
    for (int in_memory = 0; in_memory < 2; in_memory++) {
        struct plog_read read = {.offset = model->start,
                                 .limit = INT64_MAX,
                                 .file_limit = INT64_MAX,
                                 .bytes_max = 1500,
                                 .is_first_whole = true,
                                 .is_in_memory = in_memory};
        while (read.offset < model->end) {
            CHECK(bench_read(bench, &read) == ERR_OK);
            CHECK(read.next_offset > read.offset);
            bench_check_read(bench, &read);
            read.offset = read.next_offset;
            plog_read_release(&read);
        }
    }
    int32_t last_epoch = -1;
    for (size_t i = 0; i < model->count; i++) {
        if (model->batches[i].end <= model->start) continue;
        CHECK(plog_epoch_at(bench->log, max_i64(model->batches[i].base, model->start)) == model->batches[i].epoch);
        last_epoch = model->batches[i].epoch;
    }
    CHECK(plog_last_epoch(bench->log) == last_epoch);
    bench_check_max_timestamp(bench);
    plog_invariants(bench->log);
}

#endif
