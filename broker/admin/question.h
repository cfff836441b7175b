/* Asking a loop of this process from another thread: the loop fills a report when it comes to it, or it does not come to it in time.
 *
 *   HTTP thread: question_ask() --env_post--> loop: fills the report --> HTTP thread: questions_await(), question_done()
 *
 * A report belongs to the loop until it is answered, and to the asker afterwards; one that is given up is freed by the loop. What they
 * share is the gate: a lock around a few flags, counted, since a loop may come late. */
#ifndef SKIFF_BROKER_ADMIN_QUESTION_H
#define SKIFF_BROKER_ADMIN_QUESTION_H

#include "common/env.h"
#include "common/metrics.h"

#define REPORT_REASON_MAX 160

struct report {
    bool wants_metrics;     /* in: fill `metrics`, too */
    struct metrics metrics; /* out */
    bool is_ready;
    char reason[REPORT_REASON_MAX]; /* when it is not */
};
/* Runs on the loop. */
typedef void report_fn(void *user, struct report *report);

struct gate;
struct gate *gate_create(void);
/* Whoever waits goes on, and nobody waits any more. */
void gate_close(struct gate *gate);
void gate_unref(struct gate *gate);

struct question;
struct question *question_ask(struct gate *gate, struct env *loop, report_fn *fill, void *user, bool wants_metrics, uint32_t series_max);
/* Waits for all of them, timeout_ms at most. Those that are not answered by then are given up: NULL in `questions`. */
void questions_await(struct gate *gate, struct question **questions, size_t count, int64_t timeout_ms);
/* After questions_await(). */
const struct report *question_report(const struct question *question);
/* Frees it; NULL is a no-op. */
void question_done(struct question *question);

#endif
