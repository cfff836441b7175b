#include "broker/admin/question.h"

#include "common/assert.h"
#include "common/mem.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t references; /* under the mutex */
    bool is_closed;
};

struct question {
    struct env_message message;
    struct gate *gate;
    report_fn *fill;
    void *user;
    struct report report;
    /* Under the gate's mutex. */
    bool is_answered, is_dropped;
    bool is_given_up; /* the loop frees it */
};

/* ---- the gate ------------------------------------------------------------------------------------------------------ */

static void must(int failed) { ASSERT(!failed); }

struct gate *gate_create(void)
{
    struct gate *gate = mem_alloc(sizeof *gate);
    pthread_condattr_t monotonic;
    must(pthread_mutex_init(&gate->mutex, NULL));
    must(pthread_condattr_init(&monotonic));
    must(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC));
    must(pthread_cond_init(&gate->changed, &monotonic));
    must(pthread_condattr_destroy(&monotonic));
    gate->references = 1;
    return gate;
}

static void lock(struct gate *gate) { must(pthread_mutex_lock(&gate->mutex)); }
static void unlock(struct gate *gate) { must(pthread_mutex_unlock(&gate->mutex)); }

void gate_close(struct gate *gate)
{
    lock(gate);
    gate->is_closed = true;
    must(pthread_cond_broadcast(&gate->changed));
    unlock(gate);
}

void gate_unref(struct gate *gate)
{
    lock(gate);
    ASSERT(gate->references > 0);
    uint32_t left = --gate->references;
    unlock(gate);
    if (left > 0) return;
    must(pthread_cond_destroy(&gate->changed));
    must(pthread_mutex_destroy(&gate->mutex));
    mem_free(gate);
}

/* ---- on the loop --------------------------------------------------------------------------------------------------- */

static void free_question(struct question *question)
{
    struct gate *gate = question->gate;
    metrics_deinit(&question->report.metrics);
    mem_free(question);
    gate_unref(gate);
}

static void end(struct question *question, bool is_answered)
{
    struct gate *gate = question->gate;
    lock(gate);
    bool is_given_up = question->is_given_up;
    question->is_answered = is_answered;
    question->is_dropped = !is_answered;
    must(pthread_cond_broadcast(&gate->changed));
    unlock(gate); /* from here on it is the asker's, unless that has gone */
    if (is_given_up) free_question(question);
}

static bool is_wanted(struct question *question)
{
    lock(question->gate);
    bool is_wanted = !question->is_given_up;
    unlock(question->gate);
    return is_wanted;
}

static void deliver(struct env_message *message, int64_t now_us)
{
    struct question *question = CONTAINER_OF(message, struct question, message);
    bool is_answered = is_wanted(question);
    question->report.metrics.now_us = now_us;
    if (is_answered) question->fill(question->user, &question->report);
    end(question, is_answered);
}

static void drop(struct env_message *message) { end(CONTAINER_OF(message, struct question, message), false); }

/* ---- who asks ------------------------------------------------------------------------------------------------------ */

struct question *question_ask(struct gate *gate, struct env *loop, report_fn *fill, void *user, bool wants_metrics, uint32_t series_max)
{
    struct question *question = mem_alloc(sizeof *question);
    question->message = (struct env_message){.deliver = deliver, .dropped = drop};
    question->gate = gate;
    question->fill = fill;
    question->user = user;
    question->report.wants_metrics = wants_metrics;
    metrics_init(&question->report.metrics, series_max);
    lock(gate);
    gate->references++;
    unlock(gate);
    env_post(loop, &question->message);
    return question;
}

static bool are_over(struct question *const *questions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!questions[i]->is_answered && !questions[i]->is_dropped) return false;
    return true;
}

void questions_await(struct gate *gate, struct question **questions, size_t count, int64_t timeout_ms)
{
    struct list dropped; /* their loop has ended: nobody else frees them */
    struct timespec until;
    list_init(&dropped);
    must(clock_gettime(CLOCK_MONOTONIC, &until));
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    lock(gate);
    while (!gate->is_closed && !are_over(questions, count))
        if (pthread_cond_timedwait(&gate->changed, &gate->mutex, &until) == ETIMEDOUT) break;
    for (size_t i = 0; i < count; i++) {
        struct question *question = questions[i];
        if (question->is_answered) continue;
        questions[i] = NULL;
        question->is_given_up = true;
        if (question->is_dropped) list_push_back(&dropped, &question->message.node);
    }
    unlock(gate);
    for (struct list_node *node; (node = list_pop_front(&dropped));) free_question(CONTAINER_OF(node, struct question, message.node));
}

const struct report *question_report(const struct question *question) { return question ? &question->report : NULL; }

void question_done(struct question *question)
{
    if (question) free_question(question);
}
