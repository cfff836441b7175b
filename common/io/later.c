/* Calls whose answer comes later: they run on the lanes. */
#include "common/io/io_internal.h"

/* ---- cold reads ---------------------------------------------------------------------------------------------------- */

struct read_job {
    struct lane_job job;
    struct io *io;
    struct env_op *op;
    struct env_file *file; /* counted */
    void *into;
    size_t size, got;
    size_t *got_out;
    int64_t position;
    enum err err;
};

static void run_read(struct lane_job *job)
{
    struct read_job *read = CONTAINER_OF(job, struct read_job, job);
    read->err = io_file_pread_wait(NULL, read->file, read->into, read->size, read->position, &read->got);
}

static void finish_read(struct lane_job *job, bool tells)
{
    struct read_job *read = CONTAINER_OF(job, struct read_job, job);
    struct env_op *op = read->op;
    enum err err = read->err;
    int64_t now_us = read->io->env.now_us;
    if (tells) *read->got_out = read->got;
    env_file_unref(read->file);
    mem_free(read);
    if (tells)
        op->done(op, err, now_us);
    else
        env_op_drop(op);
}

void io_later_pread(struct env *env, struct env_op *op, struct env_file *file, void *into, size_t size, int64_t position, size_t *got)
{
    struct read_job *read = mem_alloc(sizeof *read);
    *read = (struct read_job){.job = {.run = run_read, .finish = finish_read}, .io = io_of(env), .op = op, .file = env_file_ref(file)};
    read->into = into, read->size = size, read->position = position, read->got_out = got;
    lane_submit(&read->io->read_lane, &read->job);
}

/* ---- commit: a job for every file and directory, so that their flushes overlap -------------------------------------- */

struct commit {
    struct io *io;
    struct env_op *op;
    size_t unfinished; /* jobs; touched on the loop's thread only */
    enum err err;
};
struct commit_job {
    struct lane_job job;
    struct commit *commit;
    struct env_file *file; /* counted, or NULL: the directory */
    enum err err;
    char directory[];
};

static void run_commit(struct lane_job *job)
{
    struct commit_job *part = CONTAINER_OF(job, struct commit_job, job);
    part->err = part->file ? io_sync_file(io_fd(part->file)) : io_sync_directory(part->directory);
}

static void finish_commit(struct lane_job *job, bool tells)
{
    struct commit_job *part = CONTAINER_OF(job, struct commit_job, job);
    struct commit *commit = part->commit;
    if (part->err != ERR_OK) commit->err = part->err;
    env_file_unref(part->file);
    mem_free(part);
    if (--commit->unfinished > 0) return;
    struct env_op *op = commit->op;
    enum err err = commit->err;
    int64_t now_us = commit->io->env.now_us;
    mem_free(commit);
    if (tells)
        op->done(op, err, now_us);
    else
        env_op_drop(op);
}

static void add_commit_job(struct commit *commit, struct env_file *file, const char *directory)
{
    size_t size = directory ? strlen(directory) + 1 : 0;
    struct commit_job *part = mem_alloc(sizeof *part + size);
    part->job = (struct lane_job){.run = run_commit, .finish = finish_commit};
    part->commit = commit;
    if (file) part->file = env_file_ref(file);
    if (size) memcpy(part->directory, directory, size);
    commit->unfinished++;
    lane_submit(&commit->io->commit_lane, &part->job);
}

static void run_nothing(void *arg) { (void)arg; }

void io_later_commit(struct env *env, struct env_op *op, struct env_file *const *files, size_t file_count, const char *const *directories,
                     size_t directory_count)
{
    if (file_count + directory_count == 0) {
        io_later_work(env, op, run_nothing, NULL);
        return;
    }
    struct commit *commit = mem_alloc(sizeof *commit);
    *commit = (struct commit){.io = io_of(env), .op = op, .err = ERR_OK};
    for (size_t i = 0; i < file_count; i++) add_commit_job(commit, files[i], NULL);
    for (size_t i = 0; i < directory_count; i++) add_commit_job(commit, NULL, directories[i]);
}

/* ---- work ---------------------------------------------------------------------------------------------------------- */

struct work_job {
    struct lane_job job;
    struct io *io;
    struct env_op *op;
    void (*fn)(void *arg);
    void *arg;
};

static void run_work(struct lane_job *job)
{
    struct work_job *work = CONTAINER_OF(job, struct work_job, job);
    work->fn(work->arg);
}

static void finish_work(struct lane_job *job, bool tells)
{
    struct work_job *work = CONTAINER_OF(job, struct work_job, job);
    struct env_op *op = work->op;
    int64_t now_us = work->io->env.now_us;
    mem_free(work);
    if (tells)
        op->done(op, ERR_OK, now_us);
    else
        env_op_drop(op);
}

void io_later_work(struct env *env, struct env_op *op, void (*fn)(void *arg), void *arg)
{
    struct work_job *work = mem_alloc(sizeof *work);
    *work = (struct work_job){.job = {.run = run_work, .finish = finish_work}, .io = io_of(env), .op = op, .fn = fn, .arg = arg};
    lane_submit(&work->io->work_lane, &work->job);
}
