/* Virtual time: a heap of events. Also memory, hash and marks. */
#include "tests/sim/sim_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* A loop that feeds itself without time passing. */
#define EVENTS_AT_ONE_INSTANT_MAX 100000

/* ---- memory -------------------------------------------------------------------------------------------------------- */

void *sim_alloc(size_t size)
{
    void *pointer = calloc(1, size ? size : 1);
    ASSERT(pointer != NULL);
    return pointer;
}

void *sim_realloc(void *pointer, size_t size)
{
    void *grown = realloc(pointer, size ? size : 1);
    ASSERT(grown != NULL);
    return grown;
}

void sim_free(void *pointer) { free(pointer); }

char *sim_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(sim_alloc(size), text, size);
}

/* ---- the heap ------------------------------------------------------------------------------------------------------ */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->tie < b->tie;
}

static void heap_put(struct sim *sim, uint32_t at, struct sim_event *event)
{
    sim->events[at] = event;
    event->place = at + 1;
}

static void sift_up(struct sim *sim, uint32_t at, struct sim_event *event)
{
    for (; at > 0 && is_before(event, sim->events[(at - 1) / 2]); at = (at - 1) / 2) heap_put(sim, at, sim->events[(at - 1) / 2]);
    heap_put(sim, at, event);
}

static void sift_down(struct sim *sim, uint32_t at, struct sim_event *event)
{
    for (uint32_t child = 0; (child = 2 * at + 1) < sim->event_count; at = child) {
        if (child + 1 < sim->event_count && is_before(sim->events[child + 1], sim->events[child])) child++;
        if (!is_before(sim->events[child], event)) break;
        heap_put(sim, at, sim->events[child]);
    }
    heap_put(sim, at, event);
}

void sim_event_cancel(struct sim *sim, struct sim_event *event)
{
    if (event->place == 0) return;
    uint32_t at = event->place - 1;
    ASSERT(sim->events[at] == event);
    event->place = 0;
    struct sim_event *last = sim->events[--sim->event_count];
    if (last == event) return;
    sift_down(sim, at, last);
    sift_up(sim, last->place - 1, last);
}

void sim_event_schedule(struct sim *sim, struct sim_event *event, int64_t at_us)
{
    ASSERT(event->run != NULL);
    sim_event_cancel(sim, event);
    event->at_us = at_us > sim->now_us ? at_us : sim->now_us;
    event->tie = prng_next(&sim->ties);
    if (sim->event_count == sim->event_capacity) {
        sim->event_capacity = sim->event_capacity ? sim->event_capacity * 2 : 64;
        sim->events = sim_realloc(sim->events, sim->event_capacity * sizeof *sim->events);
    }
    sift_up(sim, sim->event_count++, event);
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

static void run_first(struct sim *sim)
{
    struct sim_event *event = sim->events[0];
    ASSERT(event->at_us >= sim->now_us);
    sim->events_at_this_instant = event->at_us == sim->now_us ? sim->events_at_this_instant + 1 : 0;
    ASSERT(sim->events_at_this_instant <= EVENTS_AT_ONE_INSTANT_MAX);
    sim->now_us = event->at_us;
    sim->last = NULL;
    sim->events_run++;
    sim_hash_add(sim, (uint64_t)event->at_us ^ event->tie);
    sim_event_cancel(sim, event);
    event->run(sim, event);
    if (sim->check) sim->check(sim->check_context);
}

bool sim_step(struct sim *sim)
{
    sim_wake_idle_envs(sim);
    if (sim->event_count == 0) return false;
    run_first(sim);
    return true;
}

void sim_run_until(struct sim *sim, int64_t at_us)
{
    for (;;) {
        sim_wake_idle_envs(sim);
        if (sim->event_count == 0 || sim->events[0]->at_us > at_us) break;
        run_first(sim);
    }
    if (sim->now_us < at_us) sim->now_us = at_us;
}

void sim_run_for(struct sim *sim, int64_t duration_us) { sim_run_until(sim, sim->now_us + duration_us); }

bool sim_wait(struct sim *sim, bool (*holds)(void *context), void *context, int64_t timeout_us)
{
    int64_t end_us = sim->now_us + timeout_us;
    while (!holds(context)) {
        sim_wake_idle_envs(sim);
        if (sim->event_count == 0 || sim->events[0]->at_us > end_us) {
            if (sim->now_us < end_us) sim->now_us = end_us;
            return holds(context);
        }
        run_first(sim);
    }
    return true;
}

struct call {
    struct sim_event event;
    void (*fn)(void *context);
    void *context;
};

static void run_call(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    struct call call = *CONTAINER_OF(event, struct call, event);
    sim_free(CONTAINER_OF(event, struct call, event));
    call.fn(call.context);
}

void sim_at(struct sim *sim, int64_t at_us, void (*fn)(void *context), void *context)
{
    struct call *call = sim_alloc(sizeof *call);
    *call = (struct call){.event = {.run = run_call}, .fn = fn, .context = context};
    sim_event_schedule(sim, &call->event, at_us);
}

void sim_after_each_event(struct sim *sim, void (*check)(void *context), void *context)
{
    sim->check = check;
    sim->check_context = context;
}

int64_t sim_now_us(const struct sim *sim) { return sim->now_us; }
struct sim_node *sim_last_node(const struct sim *sim) { return sim->last; }
uint64_t sim_event_count(const struct sim *sim) { return sim->events_run; }

/* ---- randomness, hash, marks --------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    uint64_t state = hash ^ value;
    return prng_splitmix(&state);
}

struct prng sim_prng(const struct sim *sim, const char *purpose)
{
    uint64_t seed = sim->seed;
    for (const char *c = purpose; *c; c++) seed = mix(seed, (uint8_t)*c);
    struct prng prng;
    prng_init(&prng, seed);
    return prng;
}

int64_t sim_delay(struct prng *prng, int64_t least_us, int64_t mean_us)
{
    /* -ln(u) is ln 2 times (leading zeros of u plus a fraction): close enough to exponential. */
    uint64_t bits = prng_next(prng) | 1;
    int64_t halvings = __builtin_clzll(bits), fraction = (int64_t)prng_below(prng, 1000);
    return least_us + mean_us * (halvings * 1000 + fraction) / 1443;
}

void sim_hash_add(struct sim *sim, uint64_t value) { sim->hash = mix(sim->hash, value); }
uint64_t sim_hash(const struct sim *sim) { return sim->hash; }

static struct sim_mark *find_mark(const struct sim *sim, const char *name)
{
    for (uint32_t i = 0; i < sim->mark_count; i++) {
        if (strcmp(sim->marks[i].name, name) == 0) return &sim->marks[i];
    }
    return NULL;
}

void sim_mark_add(struct sim *sim, const char *name)
{
    struct sim_mark *mark = find_mark(sim, name);
    if (!mark) {
        if (sim->mark_count == sim->mark_capacity) {
            sim->mark_capacity = sim->mark_capacity ? sim->mark_capacity * 2 : 16;
            sim->marks = sim_realloc(sim->marks, sim->mark_capacity * sizeof *sim->marks);
        }
        mark = &sim->marks[sim->mark_count++];
        *mark = (struct sim_mark){.name = sim_strdup(name)};
    }
    mark->count++;
}

uint64_t sim_mark_count(const struct sim *sim, const char *name)
{
    const struct sim_mark *mark = find_mark(sim, name);
    return mark ? mark->count : 0;
}

void sim_mark_each(const struct sim *sim, void (*each)(void *context, const char *name, uint64_t count), void *context)
{
    for (uint32_t i = 0; i < sim->mark_count; i++) each(context, sim->marks[i].name, sim->marks[i].count);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

struct sim *sim_create(uint64_t seed)
{
    struct sim *sim = sim_alloc(sizeof *sim);
    sim->seed = seed;
    sim->now_us = SIM_SECOND;
    sim->ties = sim_prng(sim, "ties");
    sim->net = sim_prng(sim, "network");
    list_init(&sim->connections);
    sim_net_set_delay(sim, 50, 100);
    sim_net_set_window(sim, 4096, 262144);
    return sim;
}

void sim_set_work(struct sim *sim, int64_t step_ns) { sim->work_step_ns = step_ns; }

void sim_destroy(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (sim->nodes[i]->is_running) sim_node_crash(sim->nodes[i], SIM_CRASH_PROCESS);
    }
    sim_net_free_connections(sim);
    for (uint32_t i = 0; i < sim->node_count; i++) sim_node_free(sim->nodes[i]);
    for (uint32_t i = 0; i < sim->mark_count; i++) sim_free(sim->marks[i].name);
    /* What is left was scheduled with sim_at() and never came. */
    while (sim->event_count) {
        struct sim_event *event = sim->events[0];
        ASSERT(event->run == run_call);
        sim_event_cancel(sim, event);
        sim_free(CONTAINER_OF(event, struct call, event));
    }
    sim_free(sim->marks);
    sim_free(sim->events);
    sim_free(sim);
}
