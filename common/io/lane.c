/* Threads that wait in the loop's place. Owner of the queue: whoever holds the mutex. */
#include "common/io/io_internal.h"

#include <pthread.h>
#include <signal.h>

static void lane_thread(void *arg)
{
    struct lane *lane = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), lane->name);
    uv_mutex_lock(&lane->mutex);
    for (;;) {
        while (list_is_empty(&lane->jobs) && !lane->is_stopping) {
            lane->idle++;
            uv_cond_wait(&lane->wake, &lane->mutex);
            lane->idle--;
        }
        if (lane->is_stopping) break;
        struct list_node *node = list_pop_front(&lane->jobs);
        ASSERT(node != NULL);
        struct lane_job *job = CONTAINER_OF(node, struct lane_job, node);
        uv_mutex_unlock(&lane->mutex);
        job->run(job);
        io_finish_job(lane->io, job);
        uv_mutex_lock(&lane->mutex);
    }
    uv_mutex_unlock(&lane->mutex);
}

void lane_init(struct lane *lane, struct io *io, const char *name, unsigned thread_max)
{
    *lane = (struct lane){.io = io, .name = name, .thread_max = thread_max};
    ASSERT(thread_max <= sizeof lane->threads / sizeof *lane->threads);
    int failed = uv_mutex_init(&lane->mutex) || uv_cond_init(&lane->wake);
    ASSERT(!failed);
    list_init(&lane->jobs);
}

void lane_submit(struct lane *lane, struct lane_job *job)
{
    uv_mutex_lock(&lane->mutex);
    list_push_back(&lane->jobs, &job->node);
    bool wants_thread = lane->idle == 0 && lane->thread_count < lane->thread_max;
    unsigned place = lane->thread_count;
    if (wants_thread) lane->thread_count++;
    uv_mutex_unlock(&lane->mutex);
    if (!wants_thread) {
        uv_cond_signal(&lane->wake);
        return;
    }
    int failed = uv_thread_create(&lane->threads[place], lane_thread, lane);
    ASSERT(!failed);
}

void lane_deinit(struct lane *lane)
{
    uv_mutex_lock(&lane->mutex);
    lane->is_stopping = true;
    uv_cond_broadcast(&lane->wake);
    uv_mutex_unlock(&lane->mutex);
    for (unsigned i = 0; i < lane->thread_count; i++) uv_thread_join(&lane->threads[i]);
    for (struct list_node *node; (node = list_pop_front(&lane->jobs));) {
        struct lane_job *job = CONTAINER_OF(node, struct lane_job, node);
        job->finish(job, false);
    }
    uv_cond_destroy(&lane->wake);
    uv_mutex_destroy(&lane->mutex);
}
