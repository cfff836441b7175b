/* HTTP for people and their monitoring: /metrics (Prometheus text), /health, /ready.
 *
 *   GET --> libmicrohttpd's thread --question--> broker's loop, controller's loop --> one page of text
 *
 * It only reads. /health is 200 while the loops answer, which a stuck process does not; /ready is 200 when clients can be served, else
 * 503 with the reason as JSON. Requests are served one after the other, and an answer serves all who ask within ADMIN_FRESH_MS: whoever
 * asks all the time does not keep the loops from their work. A loop that does not answer costs ADMIN_PATIENCE_MS.
 * Nobody is asked for a name or a password: the listener belongs on the loopback or in a network of operators.
 *
 * Owned by the thread that starts the node; close it before the loops are destroyed. */
#ifndef SKIFF_BROKER_ADMIN_ADMIN_H
#define SKIFF_BROKER_ADMIN_ADMIN_H

#include "broker/admin/question.h"
#include "common/config.h"

#define ADMIN_LOOPS_MAX   2
#define ADMIN_PATIENCE_MS 3000 /* no loop of a node that is well is away for so long */
#define ADMIN_FRESH_MS    100

struct admin;
struct admin_loop {
    struct env *env;
    report_fn *fill;
    void *user;
};
struct admin_options {
    const char *listener; /* HOST:PORT */
    const char *version;
    int32_t node_id;
    uint32_t series_max;
    struct admin_loop loops[ADMIN_LOOPS_MAX];
    size_t loop_count;
};

/* Listens and answers at once. On an error `reason` says what, where and what to do. */
NODISCARD enum err admin_open(const struct admin_options *options, struct admin **out, char reason[static CONFIG_LINE_MAX]);
/* Where it listens, for a port that the config leaves to the system. */
uint16_t admin_port(const struct admin *admin);
/* The loop runs: it is asked from now on. Before that, the node is starting. */
void admin_loop_runs(struct admin *admin, size_t loop);
/* NULL is a no-op. */
void admin_close(struct admin *admin);

#endif
