/* Writes partition logs with everything that a log can hold, on the real file system, for Apache Kafka's DumpLogSegments to judge.
 *
 *     write-log DIRECTORY     makes DIRECTORY/sample-0 (closed cleanly), sample-1 (recovered after a crash with a torn tail)
 *                             and sample-2 (truncated over several segments, then continued) */
#include "broker/log/log.h"
#include "common/io/io.h"
#include "common/prng.h"
#include "proto/record_batch.h"

#include <stdio.h>
#include <stdlib.h>

#define PRODUCERS 4

struct job {
    struct plog_op op;
    struct io *io;
    struct env *env;
    struct plog_shared shared;
    struct plog *log;
    const char *directory;
    struct prng prng;
    int64_t time_ms;
    int32_t epoch;
    int32_t sequences[PRODUCERS];
    int64_t producer_base;
    enum err err;
};

static void fail_if(enum err err, const char *what)
{
    if (!err) return;
    fprintf(stderr, "write-log: %s: %s\n", what, err_text(err));
    exit(EXIT_FAILURE);
}

static void append(struct job *job, struct record_batch_builder *builder)
{
    struct buf *buf = record_batch_builder_finish(builder);
    struct plog_batch batch = {.buf = buf, .size = buf->size};
    fail_if(plog_append_leader(job->log, &batch, 1, job->epoch), "append");
    if (batch.verdict != PLOG_APPENDED) fail_if(ERR_INVALID, "verdict");
    buf_unref(buf);
}

static void append_marker(struct job *job, int64_t producer_id)
{
    static const uint8_t commit_key[4] = {0, 0, 0, 1}, value[6] = {0, 0, 0, 0, 0, 9};
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    record_batch_spec_init(&spec);
    spec.is_control = spec.is_transactional = true;
    spec.producer_id = producer_id;
    spec.producer_epoch = 0;
    record_batch_builder_init(&builder, &spec);
    record_batch_builder_add(&builder, job->time_ms, slice_make(commit_key, 4), slice_make(value, 6), NULL, 0);
    append(job, &builder);
}

/* Half of the batches come from idempotent producers, the last of which works in transactions of one batch. */
static void append_batch(struct job *job)
{
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    struct record_header header = {SLICE_LITERAL("header"), SLICE_LITERAL("of a record")};
    uint8_t value[300];
    int32_t count = (int32_t)prng_below(&job->prng, 20) + 1;
    uint64_t who = prng_below(&job->prng, 2 * PRODUCERS);
    record_batch_spec_init(&spec);
    spec.compression = (enum compression)prng_below(&job->prng, 5);
    if (spec.compression == COMPRESSION_SNAPPY) spec.compression = COMPRESSION_NONE; /* its library may be absent */
    if (who < PRODUCERS) {
        spec.producer_id = (int64_t)who + job->producer_base;
        spec.producer_epoch = 0;
        spec.base_sequence = job->sequences[who];
        spec.is_transactional = who + 1 == PRODUCERS;
        job->sequences[who] = (int32_t)(((int64_t)job->sequences[who] + count) & INT32_MAX);
    }
    record_batch_builder_init(&builder, &spec);
    for (int32_t i = 0; i < count; i++) {
        char key[16];
        int key_size = snprintf(key, sizeof key, "key-%d", (int)prng_below(&job->prng, 100));
        size_t size = (size_t)prng_below(&job->prng, sizeof value);
        memset(value, 'a' + i, size);
        job->time_ms += (int64_t)prng_below(&job->prng, 30) - 5; /* some records are late */
        record_batch_builder_add(&builder, job->time_ms, slice_make(key, (size_t)key_size), i % 7 ? slice_make(value, size) : SLICE_NULL,
                                 &header, i % 3 == 0);
    }
    append(job, &builder);
    if (spec.is_transactional) append_marker(job, spec.producer_id);
}

static void append_many(struct job *job, int batches)
{
    for (int i = 0; i < batches; i++) {
        if (i % 50 == 49) job->epoch++;
        append_batch(job);
    }
}

static void create(struct job *job, int32_t partition)
{
    struct plog_config config = plog_config_default;
    config.segment_bytes = 100000;
    config.index_interval_bytes = 2000;
    config.is_log_append_time = partition == 2;
    for (int i = 0; i < PRODUCERS; i++) job->sequences[i] = 0;
    job->log = plog_create(&job->shared, job->directory, "sample", partition, (struct uuid){{1, 2, 3}}, &config);
}

static void close_clean(struct job *job)
{
    fail_if(plog_close_clean(job->log), "close");
    plog_destroy(job->log);
}

static void commit(struct job *job)
{
    struct file_set set;
    struct plog_flush flush;
    file_set_init(&set);
    if (plog_flush_begin(job->log, &set, &flush)) (void)plog_flush_done(job->log, &flush, file_set_commit_wait(&set, job->env));
    file_set_deinit(&set);
    fail_if(plog_is_failed(job->log) ? ERR_IO : ERR_OK, "flush");
}

/* ---- the three logs ------------------------------------------------------------------------------------------------ */

static void find_last_log(void *context, const char *name, bool is_directory)
{
    size_t n = strlen(name);
    if (!is_directory && n == 24 && strcmp(name + 20, ".log") == 0) memcpy(context, name, n + 1);
}

/* The process ends without notice and the last bytes of the log are lost. */
static void crash(struct job *job)
{
    char directory[2048], name[32] = "", path[4096];
    struct env_file *file = NULL;
    int64_t size = 0;
    plog_destroy(job->log);
    (void)snprintf(directory, sizeof directory, "%s/sample-1", job->directory);
    fail_if(env_list(job->env, directory, find_last_log, name), directory);
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    fail_if(env_open(job->env, path, ENV_OPEN_READ | ENV_OPEN_WRITE, &file), path);
    fail_if(env_file_size(file, &size), path);
    fail_if(env_truncate(job->env, file, size - 7), path);
    env_file_unref(file);
}

static void write_recovered(struct job *job)
{
    struct plog_recovery report;
    create(job, 1);
    struct plog_config config = plog_config_default;
    append_many(job, 150);
    commit(job);
    append_many(job, 150);
    crash(job);
    config.segment_bytes = 100000;
    config.index_interval_bytes = 2000;
    fail_if(plog_open(&job->shared, job->directory, "sample-1", &config, &(struct plog_claims){0}, &job->log, &report), report.reason);
    if (report.found != PLOG_CUT) fail_if(ERR_INVALID, "the torn tail was not seen");
    close_clean(job);
}

static void on_truncated(struct plog_op *op, enum err err, int64_t now_us)
{
    struct job *job = CONTAINER_OF(op, struct job, op);
    (void)now_us;
    job->err = err;
    io_stop(job->io);
}

static void write_truncated(struct job *job)
{
    create(job, 2);
    append_many(job, 300);
    commit(job);
    job->op.done = on_truncated;
    plog_truncate_to(job->log, plog_end(job->log) / 2, &job->op);
    io_run(job->io);
    fail_if(job->err, "truncate");
    job->epoch++;
    for (int i = 0; i < PRODUCERS; i++) job->sequences[i] = INT32_MAX - 50; /* other producers, whose sequences wrap */
    job->producer_base += 100;
    append_many(job, 100);
    close_clean(job);
}

int main(int argc, char **argv)
{
    struct logger logger = io_stderr_logger(LOG_WARN);
    if (argc != 2) {
        fprintf(stderr, "usage: write-log DIRECTORY\n");
        return EXIT_FAILURE;
    }
    struct job job = {.directory = argv[1], .time_ms = 1700000000000, .producer_base = 1000};
    prng_init(&job.prng, 7);
    job.io = io_create(&logger);
    job.env = io_env(job.io);
    plog_shared_init(&job.shared, job.env, 20, 1 << 20);
    create(&job, 0);
    append_many(&job, 300);
    close_clean(&job);
    write_recovered(&job);
    write_truncated(&job);
    plog_shared_deinit(&job.shared);
    io_destroy(job.io);
    return EXIT_SUCCESS;
}
