/* Nodes and their loops: turns, timers, completions, messages, death. */
#include "tests/sim/sim_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* A loop that wakes itself for ever: no real node needs so many turns in a second of virtual time. */
#define TURNS_PER_SECOND_MAX 100000

/* ---- turns --------------------------------------------------------------------------------------------------------- */

static void schedule_turn(struct sim_env *env)
{
    int64_t at_us = env->wake_at < env->deadline_at ? env->wake_at : env->deadline_at;
    if (at_us == INT64_MAX)
        sim_event_cancel(env->node->sim, &env->turn);
    else if (env->turn.place == 0 || env->turn.at_us != at_us)
        sim_event_schedule(env->node->sim, &env->turn, at_us);
}

/* The loop comes round soon: mostly within microseconds, now and then when something else held the CPU. */
static void wake(struct sim_env *env)
{
    struct prng *prng = &env->node->timing;
    if (env->wake_at != INT64_MAX || sim_node_is_dead(env->node)) return;
    int64_t delay_us = prng_chance(prng, 1, 100) ? prng_range(prng, 0, 2 * SIM_MS) : prng_range(prng, 0, 20);
    env->wake_at = env->node->sim->now_us + delay_us;
    schedule_turn(env);
}

static void count_turn(struct sim_env *env)
{
    int64_t now_us = env->node->sim->now_us;
    if (now_us - env->turns_window_start >= SIM_SECOND) env->turns_window_start = now_us, env->turns_in_window = 0;
    ASSERT(++env->turns_in_window <= TURNS_PER_SECOND_MAX);
}

/* What came before the turn began; what comes during it waits for the next. */
static void deliver_inbox(struct sim_env *env)
{
    struct list batch;
    list_init(&batch);
    for (struct list_node *node; (node = list_pop_front(&env->inbox));) list_push_back(&batch, node);
    for (struct list_node *node; (node = list_pop_front(&batch));) {
        struct sim_item *item = CONTAINER_OF(node, struct sim_item, node);
        if (env->node->is_doomed) continue;
        item->deliver(item);
    }
}

static void deliver_messages(struct sim_env *env)
{
    struct list batch;
    list_init(&batch);
    for (struct list_node *node; (node = list_pop_front(&env->messages));) list_push_back(&batch, node);
    for (struct list_node *node; (node = list_pop_front(&batch));) {
        struct env_message *message = CONTAINER_OF(node, struct env_message, node);
        if (!env->node->is_doomed) message->deliver(message, env->env.now_us);
    }
}

static void run_turn(struct sim *sim, struct sim_event *event)
{
    struct sim_env *env = CONTAINER_OF(event, struct sim_env, turn);
    struct sim_node *node = env->node;
    ASSERT(node->is_running && !node->is_doomed);
    env->wake_at = INT64_MAX;
    if (node->is_paused) {
        env->is_turn_missed = true;
        return;
    }
    count_turn(env);
    sim->current = env;
    sim->last = node;
    struct sim_node *owner = sim_memory_enter(node);
    env->env.now_us = sim_env_local_us(env);
    bool timers_first = prng_chance(&node->timing, 1, 2);
    if (timers_first) env_run_timers(&env->env);
    deliver_messages(env);
    deliver_inbox(env);
    if (!timers_first && !node->is_doomed) env_run_timers(&env->env);
    if (!node->is_doomed) env_run_turn_ends(&env->env);
    if (!node->is_doomed) sim_net_flush(env);
    sim_memory_enter(owner);
    sim->current = NULL;
    if (!list_is_empty(&env->inbox) || !list_is_empty(&env->messages)) wake(env);
    schedule_turn(env);
    sim_node_reap(node);
}

void sim_env_deliver(struct sim_env *env, struct sim_item *item)
{
    if (list_is_linked(&item->node)) return;
    list_push_back(&env->inbox, &item->node);
    wake(env);
}

void sim_wake_idle_envs(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        sim_node_reap(sim->nodes[i]);
        if (sim->nodes[i]->is_paused) continue; /* its turn would do nothing, for ever */
        LIST_FOR_EACH (&sim->nodes[i]->envs, link) {
            struct sim_env *env = CONTAINER_OF(link, struct sim_env, node_link);
            if (!list_is_empty(&env->env.turn_ends) || !list_is_empty(&env->unsent)) wake(env);
        }
    }
}

/* ---- completions --------------------------------------------------------------------------------------------------- */

static void operation_free(struct sim_operation *operation)
{
    sim_event_cancel(operation->env->node->sim, &operation->event);
    if (list_is_linked(&operation->item.node)) list_remove(&operation->item.node);
    list_remove(&operation->env_link);
    operation->release(operation);
}

static void deliver_operation(struct sim_item *item)
{
    struct sim_operation *operation = CONTAINER_OF(item, struct sim_operation, item);
    struct sim_env *env = operation->env;
    struct env_op *op = operation->op;
    enum err err = operation->err;
    operation_free(operation);
    op->done(op, err, env->env.now_us);
}

static void finish_operation(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    struct sim_operation *operation = CONTAINER_OF(event, struct sim_operation, event);
    struct sim_node *owner = sim_memory_enter(operation->env->node);
    if (operation->perform) operation->perform(operation);
    sim_memory_enter(owner);
    sim_env_deliver(operation->env, &operation->item);
}

void sim_operation_begin(struct sim_env *env, struct sim_operation *operation, struct env_op *op, int64_t delay_us)
{
    operation->env = env;
    operation->op = op;
    operation->item.deliver = deliver_operation;
    operation->event.run = finish_operation;
    list_push_back(&env->operations, &operation->env_link);
    sim_event_schedule(env->node->sim, &operation->event, env->node->sim->now_us + delay_us);
}

struct work_operation {
    struct sim_operation operation;
    void (*fn)(void *arg);
    void *arg;
};

static void perform_work(struct sim_operation *operation)
{
    struct work_operation *work = CONTAINER_OF(operation, struct work_operation, operation);
    work->fn(work->arg);
}

static void release_work(struct sim_operation *operation) { sim_free(CONTAINER_OF(operation, struct work_operation, operation)); }

static void node_work(struct env *base, struct env_op *op, void (*fn)(void *arg), void *arg)
{
    struct sim_env *env = sim_env_of(base);
    if (sim_node_is_dead(env->node)) return;
    struct work_operation *work = sim_alloc(sizeof *work);
    *work = (struct work_operation){.operation = {.perform = perform_work, .release = release_work}, .fn = fn, .arg = arg};
    sim_operation_begin(env, &work->operation, op, sim_delay(&env->node->timing, 10, 200));
}

static void node_post(struct env *base, struct env_message *message)
{
    struct sim_env *target = sim_env_of(base);
    if (sim_node_is_dead(target->node)) return;
    list_push_back(&target->messages, &message->node);
    wake(target);
}

/* ---- time and the rest of the table -------------------------------------------------------------------------------- */

/* Deadlines further away are not stretched: nobody waits for them, and the product would overflow. */
#define STRETCH_MAX_US (1000000 * (int64_t)SIM_SECOND)

static int64_t local_us(const struct sim_node *node)
{
    int64_t passed_us = node->sim->now_us - node->base_us;
    return node->local_base_us + passed_us + passed_us * node->drift_us / SIM_SECOND;
}
int64_t sim_env_local_us(const struct sim_env *env) { return local_us(env->node); }

/* The first virtual time at which the local clock shows that. */
static int64_t virtual_us(const struct sim_node *node, int64_t local)
{
    int64_t left_us = local - node->local_base_us;
    if (left_us < STRETCH_MAX_US && node->drift_us != 0) {
        left_us = left_us * SIM_SECOND / (SIM_SECOND + node->drift_us);
        while (left_us + left_us * node->drift_us / SIM_SECOND < local - node->local_base_us) left_us++;
    }
    return node->base_us + left_us;
}

static int64_t node_wall_ms(struct env *env)
{
    const struct sim_node *node = sim_env_of(env)->node;
    return node->sim->now_us / SIM_MS + node->wall_offset_ms;
}
static int64_t node_clock_ns(struct env *env)
{
    struct sim *sim = sim_env_of(env)->node->sim;
    sim->work_ns += sim->work_step_ns;
    return sim->now_us * 1000 + sim->work_ns;
}
static uint64_t node_random64(struct env *env) { return prng_next(&sim_env_of(env)->node->random); }
static void node_mark(struct env *env, const char *name) { sim_mark_add(sim_env_of(env)->node->sim, name); }

static void node_deadline_changed(struct env *base, int64_t at_us)
{
    struct sim_env *env = sim_env_of(base);
    if (sim_node_is_dead(env->node)) return;
    /* Never at once: a timer in the past fires in the next turn. */
    int64_t earliest_us = env->node->sim->now_us + 1;
    env->local_deadline_at = at_us;
    env->deadline_at = at_us == INT64_MAX ? INT64_MAX : virtual_us(env->node, at_us);
    if (env->deadline_at < earliest_us) env->deadline_at = earliest_us;
    if (env->node->sim->current != env) schedule_turn(env);
}

static const struct env_ops ops = {
    .wall_ms = node_wall_ms,
    .clock_ns = node_clock_ns,
    .random64 = node_random64,
    .open = sim_file_open,
    .file_close = sim_file_close,
    .file_size = sim_file_size,
    .pwritev = sim_file_pwritev,
    .truncate = sim_file_truncate,
    .allocate = sim_file_allocate,
    .pread_now = sim_file_pread_now,
    .pread_wait = sim_file_pread_wait,
    .rename = sim_file_rename,
    .unlink = sim_file_unlink,
    .mkdir = sim_file_mkdir,
    .rmdir = sim_file_rmdir,
    .list = sim_file_list,
    .space = sim_file_space,
    .lock_file = sim_file_lock,
    .pread = sim_file_pread,
    .commit = sim_file_commit,
    .commit_wait = sim_file_commit_wait,
    .listen = sim_net_listen,
    .listener_port = sim_net_listener_port,
    .listener_close = sim_net_listener_close,
    .listener_pause = sim_net_listener_pause,
    .address = sim_net_address,
    .connect = sim_net_connect,
    .write = sim_net_write,
    .queued = sim_net_queued,
    .pause = sim_net_pause,
    .stream_close = sim_net_stream_close,
    .peer = sim_net_peer,
    .work = node_work,
    .post = node_post,
    .mark = node_mark,
    .deadline_changed = node_deadline_changed,
};
const struct env_ops *sim_env_ops(void) { return &ops; }

/* SIM_LOG=DEBUG|INFO|WARN|ERROR in the environment shows the nodes' log lines on stderr. */
static void log_to_stderr(void *context, enum log_level level, const char *component, const char *text)
{
    const struct sim_env *env = context;
    int64_t now_us = env->node->sim->now_us;
    (void)fprintf(stderr, "%5lld.%06lld %s %-5s [%s] %s\n", (long long)(now_us / SIM_SECOND), (long long)(now_us % SIM_SECOND),
                  env->node->host, log_level_name(level), component, text);
}

static void init_logger(struct sim_env *env)
{
    const char *wanted = getenv("SIM_LOG");
    env->logger = (struct logger){.context = env};
    for (int level = LOG_DEBUG; wanted && level <= LOG_ERROR; level++) {
        if (strcmp(wanted, log_level_name((enum log_level)level)) != 0) continue;
        env->logger.level = (enum log_level)level;
        env->logger.sink = log_to_stderr;
    }
}

struct env *sim_env_create(struct sim_node *node)
{
    ASSERT(!sim_node_is_dead(node));
    struct sim_env *env = sim_alloc(sizeof *env);
    env->node = node;
    env->turn.run = run_turn;
    env->wake_at = env->deadline_at = env->local_deadline_at = INT64_MAX;
    init_logger(env);
    env_init(&env->env, &ops, &env->logger, sim_env_local_us(env));
    struct list *lists[] = {&env->inbox, &env->messages, &env->operations, &env->streams, &env->unsent};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) list_init(lists[i]);
    list_push_back(&node->envs, &env->node_link);
    return &env->env;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

struct sim_node *sim_node_add(struct sim *sim, const char *host, const struct sim_process *process)
{
    ASSERT(sim->node_count < SIM_NODES_MAX);
    char purpose[64];
    struct sim_node *node = sim_alloc(sizeof *node);
    node->sim = sim;
    node->index = sim->node_count;
    node->host = sim_strdup(host);
    if (process) node->process = *process;
    list_init(&node->envs);
    list_init(&node->listeners);
    list_init(&node->files);
    list_init(&node->memory);
    (void)snprintf(purpose, sizeof purpose, "node %u", node->index);
    node->random = sim_prng(sim, purpose);
    (void)snprintf(purpose, sizeof purpose, "timing %u", node->index);
    node->timing = sim_prng(sim, purpose);
    (void)snprintf(purpose, sizeof purpose, "disk %u", node->index);
    disk_init(&node->disk, sim_prng(sim, purpose));
    node->local_base_us = prng_range(&node->timing, 0, 1000000 * (int64_t)SIM_SECOND);
    node->wall_offset_ms = INT64_C(1790000000000) + prng_range(&node->timing, -50, 50);
    sim->nodes[sim->node_count++] = node;
    return node;
}

void sim_node_start(struct sim_node *node)
{
    sim_node_reap(node);
    ASSERT(!node->is_running);
    if (!node->is_host_up) {
        node->is_host_up = true;
        sim_net_host_is_up(node);
    }
    node->is_running = true;
    node->is_paused = false;
    sim_hash_add(node->sim, 0x57a27000u + node->index);
    node->sim->last = node;
    struct sim_node *owner = sim_memory_enter(node);
    if (node->process.start) node->process.start(node->process.user, node);
    sim_memory_enter(owner);
    LIST_FOR_EACH (&node->envs, link) wake(CONTAINER_OF(link, struct sim_env, node_link));
}

bool sim_node_is_running(const struct sim_node *node) { return !sim_node_is_dead(node); }
const char *sim_node_host(const struct sim_node *node) { return node->host; }

/* Takes everything away that would call back into the process. */
static void env_abandon(struct sim_env *env, enum sim_crash how)
{
    sim_event_cancel(env->node->sim, &env->turn);
    LIST_FOR_EACH (&env->operations, link) {
        struct sim_operation *operation = CONTAINER_OF(link, struct sim_operation, env_link);
        struct env_op *op = operation->op;
        operation_free(operation);
        env_op_drop(op);
    }
    sim_net_abandon(env, how);
}

static void node_die(struct sim_node *node, enum sim_crash how)
{
    ASSERT(node->is_running && (!node->sim->current || node->sim->current->node != node));
    sim_hash_add(node->sim, 0xdead0000u + node->index + (uint64_t)how * 256);
    node->is_doomed = true;
    LIST_FOR_EACH (&node->envs, link) env_abandon(CONTAINER_OF(link, struct sim_env, node_link), how);
    sim_net_abandon_listeners(node);
    node->sim->last = node;
    struct sim_node *owner = sim_memory_enter(node);
    if (node->process.destroy) node->process.destroy(node->process.user, node);
    sim_memory_enter(owner);
    LIST_FOR_EACH (&node->envs, link) {
        struct sim_env *env = CONTAINER_OF(link, struct sim_env, node_link);
        env_drop_messages(&env->messages);
        sim_net_free(env);
        env_deinit(&env->env);
        list_remove(&env->node_link);
        sim_free(env);
    }
    sim_files_free(node);
    sim_memory_purge(node);
    node->is_running = node->is_doomed = node->is_paused = false;
    if (how == SIM_CRASH_PROCESS) return;
    node->is_host_up = false;
    disk_power_cut(&node->disk);
}

void sim_node_doom(struct sim_node *node, enum sim_crash how)
{
    if (sim_node_is_dead(node)) return;
    node->is_doomed = true;
    node->doom = how;
}

/* Ends a doomed process, unless one of its callbacks is still running. */
void sim_node_reap(struct sim_node *node)
{
    if (node->is_doomed && node->is_running && (!node->sim->current || node->sim->current->node != node)) node_die(node, node->doom);
}

void sim_node_crash(struct sim_node *node, enum sim_crash how)
{
    if (!node->is_running && node->is_host_up && how == SIM_CRASH_POWER) {
        node->is_host_up = false;
        disk_power_cut(&node->disk);
    }
    sim_node_doom(node, how);
    sim_node_reap(node);
}

void sim_node_exit(struct sim_node *node) { sim_node_doom(node, SIM_CRASH_PROCESS); }

void sim_node_pause(struct sim_node *node) { node->is_paused = node->is_running; }

void sim_node_resume(struct sim_node *node)
{
    node->is_paused = false;
    LIST_FOR_EACH (&node->envs, link) {
        struct sim_env *env = CONTAINER_OF(link, struct sim_env, node_link);
        if (env->is_turn_missed) wake(env);
        env->is_turn_missed = false;
    }
}

void sim_node_shift_wall_clock(struct sim_node *node, int64_t delta_ms) { node->wall_offset_ms += delta_ms; }

void sim_node_set_clock_drift(struct sim_node *node, int64_t drift_us)
{
    ASSERT(drift_us > -SIM_SECOND / 2 && drift_us < SIM_SECOND / 2);
    node->local_base_us = local_us(node);
    node->base_us = node->sim->now_us;
    node->drift_us = drift_us;
    LIST_FOR_EACH (&node->envs, link) {
        struct sim_env *env = CONTAINER_OF(link, struct sim_env, node_link);
        node_deadline_changed(&env->env, env->local_deadline_at);
    }
}

void sim_node_free(struct sim_node *node)
{
    ASSERT(!node->is_running);
    disk_deinit(&node->disk);
    sim_free(node->host);
    sim_free(node);
}
