/* What the parts of the simulator's kernel share. The kernel allocates with sim_alloc(), never with mem_alloc(): memory from
 * mem_alloc() belongs to the simulated programs. */
#ifndef SKIFF_TESTS_SIM_SIM_INTERNAL_H
#define SKIFF_TESTS_SIM_SIM_INTERNAL_H

#include "common/assert.h"
#include "common/limits.h"
#include "tests/sim/disk.h"
#include "tests/sim/sim.h"

void *sim_alloc(size_t size); /* zeroed */
void *sim_realloc(void *pointer, size_t size);
void sim_free(void *pointer);
char *sim_strdup(const char *text);

/* ---- kernel.c ------------------------------------------------------------------------------------------------------ */

/* Something that happens at a virtual time; embedded where it is needed. Equal times are ordered by a random number. */
struct sim_event {
    int64_t at_us;
    uint64_t tie;
    uint32_t place; /* in the heap, + 1; 0: not scheduled */
    void (*run)(struct sim *sim, struct sim_event *event);
};
/* Replaces an earlier time. */
void sim_event_schedule(struct sim *sim, struct sim_event *event, int64_t at_us);
void sim_event_cancel(struct sim *sim, struct sim_event *event);
/* least + an exponential part, in whole microseconds without floating point. */
int64_t sim_delay(struct prng *prng, int64_t least_us, int64_t mean_us);
void sim_mark_add(struct sim *sim, const char *name);

struct sim_mark {
    char *name;
    uint64_t count;
};

struct sim {
    uint64_t seed;
    int64_t now_us;
    int64_t work_ns, work_step_ns; /* of sim_set_work() */
    struct sim_event **events;
    uint32_t event_count, event_capacity;
    uint64_t events_run, events_at_this_instant;
    uint64_t hash;
    struct prng ties;
    struct sim_node *nodes[SIM_NODES_MAX];
    uint32_t node_count;
    struct sim_env *current; /* whose turn it is, or NULL */
    struct sim_node *last;   /* whose turn the last event was, or NULL */
    void (*check)(void *context);
    void *check_context;
    struct sim_mark *marks;
    uint32_t mark_count, mark_capacity;
    /* network */
    struct prng net;
    struct list connections;
    uint64_t blocked[SIM_NODES_MAX]; /* [from] bit `to` */
    int64_t delay_least_us, delay_mean_us;
    size_t window_least, window_most;
    uint32_t reset_per_million;
};

/* ---- node.c -------------------------------------------------------------------------------------------------------- */

struct sim_node {
    struct sim *sim;
    uint32_t index;
    char *host;
    struct sim_process process;
    bool is_running; /* start() was called, the process did not die */
    bool is_host_up; /* answers packets */
    bool is_paused;
    bool is_doomed; /* dies when the current callback returns; its calls have no effect any more */
    enum sim_crash doom;
    /* The local monotonic clock showed local_base_us at the virtual time base_us, and gains drift_us in a second since. */
    int64_t base_us, local_base_us, drift_us;
    int64_t wall_offset_ms;
    struct list envs, listeners, files;
    struct list memory; /* what its process allocated (memory.c) */
    size_t memory_bytes;
    struct prng random, timing;
    struct disk disk;
};

/* Waits in an env's inbox for its next turn. */
struct sim_item {
    struct list_node node;
    void (*deliver)(struct sim_item *item);
};

struct sim_env {
    struct env env;
    struct sim_node *node;
    struct list_node node_link;
    struct logger logger;
    struct sim_event turn;
    int64_t wake_at, deadline_at; /* virtual; the turn runs at the earlier one */
    int64_t local_deadline_at;    /* what the deadline is by the node's clock */
    bool is_turn_missed;          /* while paused */
    int64_t turns_window_start;
    uint32_t turns_in_window;
    struct list inbox, messages, operations, streams, unsent;
};

/* A completion that is on its way. */
struct sim_operation {
    struct sim_item item;
    struct sim_event event;
    struct list_node env_link;
    struct sim_env *env;
    struct env_op *op;
    enum err err;
    void (*perform)(struct sim_operation *operation); /* at the end of the virtual wait */
    void (*release)(struct sim_operation *operation); /* frees what it holds */
};

static inline struct sim_env *sim_env_of(struct env *env) { return CONTAINER_OF(env, struct sim_env, env); }
const struct env_ops *sim_env_ops(void);
static inline bool sim_node_is_dead(const struct sim_node *node) { return !node->is_running || node->is_doomed; }
int64_t sim_env_local_us(const struct sim_env *env);
/* Puts the item into the next turn. No-op when it is there already. */
void sim_env_deliver(struct sim_env *env, struct sim_item *item);
/* `operation` comes zeroed from sim_alloc but for perform and release. */
void sim_operation_begin(struct sim_env *env, struct sim_operation *operation, struct env_op *op, int64_t delay_us);
/* Ends the process now or when the running callback returns. */
void sim_node_doom(struct sim_node *node, enum sim_crash how);
void sim_node_reap(struct sim_node *node);
void sim_node_free(struct sim_node *node);
void sim_wake_idle_envs(struct sim *sim);

/* ---- memory.c ------------------------------------------------------------------------------------------------------ */

/* From now on allocations belong to `node` (NULL: to the test program); returns whose they were. */
struct sim_node *sim_memory_enter(struct sim_node *node);
void sim_memory_purge(struct sim_node *node);

/* ---- net.c --------------------------------------------------------------------------------------------------------- */

enum err sim_net_listen(struct env *env, const char *host, uint16_t port, env_accept_fn accepted, void *user, struct env_listener **out);
uint16_t sim_net_listener_port(const struct env_listener *listener);
void sim_net_listener_close(struct env *env, struct env_listener *listener);
void sim_net_listener_pause(struct env_listener *listener, bool is_paused);
bool sim_net_address(const char *text, char *address);
struct env_stream *sim_net_connect(struct env *env, const char *host, uint16_t port, int64_t timeout_us, env_stream_fn handler, void *user);
void sim_net_write(struct env *env, struct env_stream *stream, const struct env_piece *pieces, size_t count);
int64_t sim_net_queued(const struct env_stream *stream);
void sim_net_pause(struct env *env, struct env_stream *stream, bool paused);
void sim_net_stream_close(struct env *env, struct env_stream *stream, bool after_drain);
const char *sim_net_peer(const struct env_stream *stream);
/* End of a turn: hands what was written to the network. */
void sim_net_flush(struct sim_env *env);
/* The process is gone: its streams end as its death wants; the structs stay until sim_net_free(). */
void sim_net_abandon(struct sim_env *env, enum sim_crash how);
void sim_net_abandon_listeners(struct sim_node *node);
void sim_net_free(struct sim_env *env);
void sim_net_free_connections(struct sim *sim);
/* A link or a host works again: what waited for it goes on. */
void sim_net_retry_stalled(struct sim *sim);
/* The host of `node` has power again: what came meanwhile is sent once more, and what its dead connections wait for is refused. */
void sim_net_host_is_up(struct sim_node *node);

/* ---- files.c ------------------------------------------------------------------------------------------------------- */

enum err sim_file_open(struct env *env, const char *path, unsigned flags, struct env_file **out);
void sim_file_close(struct env_file *file);
enum err sim_file_size(struct env_file *file, int64_t *size);
enum err sim_file_pwritev(struct env *env, struct env_file *file, const struct slice *slices, size_t count, int64_t position);
enum err sim_file_truncate(struct env *env, struct env_file *file, int64_t size);
enum err sim_file_allocate(struct env *env, struct env_file *file, int64_t position, int64_t size);
enum err sim_file_pread_now(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
enum err sim_file_pread_wait(struct env *env, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
enum err sim_file_rename(struct env *env, const char *from, const char *to);
enum err sim_file_unlink(struct env *env, const char *path);
enum err sim_file_mkdir(struct env *env, const char *path);
enum err sim_file_rmdir(struct env *env, const char *path);
enum err sim_file_list(struct env *env, const char *path, void (*each)(void *, const char *, bool), void *context);
enum err sim_file_space(struct env *env, const char *path, int64_t *free_bytes, int64_t *total_bytes);
enum err sim_file_lock(struct env *env, const char *path);
void sim_file_pread(struct env *env, struct env_op *op, struct env_file *file, void *into, size_t size, int64_t position, size_t *got);
void sim_file_commit(struct env *env, struct env_op *op, struct env_file *const *files, size_t file_count, const char *const *directories,
                     size_t directory_count);
enum err sim_file_commit_wait(struct env *env, struct env_file *const *files, size_t file_count, const char *const *directories,
                              size_t directory_count);
/* What the network reads when it drains a file piece: live bytes, as many as there are. */
size_t sim_file_read_live(const struct env_file *file, void *into, size_t size, int64_t position);
void sim_files_free(struct sim_node *node);

#endif
