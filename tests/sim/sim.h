/* The simulator's kernel: virtual time, nodes, a network of byte streams, a disk per node. One thread, one seed, and the run
 * repeats bit for bit (sim_hash() tells).
 *
 * A node is a host with one process on it. The process has any number of struct envs (its loops); what runs on them is
 * production code, unchanged. `start` is called to bring the process up, `destroy` when it died, to free its memory: no
 * callback of its envs comes after that, and its file references, streams and listeners are taken away by the kernel, so
 * destroy need not close them (but may: calls of a dead process do nothing).
 *
 *     struct sim *sim = sim_create(seed);
 *     struct sim_node *node = sim_node_add(sim, "node0", &(struct sim_process){.start = ..., .destroy = ..., .user = ...});
 *     sim_node_start(node);                     // start() creates its envs with sim_env_create(node)
 *     sim_run_for(sim, 5 * SIM_SECOND);
 *     sim_node_crash(node, SIM_CRASH_POWER);    // what was not committed is lost, torn or kept, as the seed wants
 *     sim_node_start(node);
 *
 * A test may also call env functions itself, outside any callback; completions then come during sim_run_...(). */
#ifndef SKIFF_TESTS_SIM_SIM_H
#define SKIFF_TESTS_SIM_SIM_H

#include "common/env.h"
#include "common/prng.h"

#define SIM_MS        1000
#define SIM_SECOND    1000000
#define SIM_NODES_MAX 64

struct sim;
struct sim_node;

struct sim *sim_create(uint64_t seed);
/* Kills the nodes that still run (destroy is called), then frees everything. */
/* Work takes no time here; for those who measure it, so much passes between two looks at env_clock_ns(). */
void sim_set_work(struct sim *sim, int64_t step_ns);
void sim_destroy(struct sim *sim);

/* ---- time ---------------------------------------------------------------------------------------------------------- */

int64_t sim_now_us(const struct sim *sim);
/* A stream of random numbers for `purpose`: switching one source of faults off does not shift the others. */
struct prng sim_prng(const struct sim *sim, const char *purpose);
/* Processes one event; false when there is none left. */
bool sim_step(struct sim *sim);
void sim_run_until(struct sim *sim, int64_t at_us);
void sim_run_for(struct sim *sim, int64_t duration_us);
/* Runs until holds(context), at most `timeout_us`; whether it holds. */
bool sim_wait(struct sim *sim, bool (*holds)(void *context), void *context, int64_t timeout_us);
/* Calls the test at that time, outside every node. */
void sim_at(struct sim *sim, int64_t at_us, void (*fn)(void *context), void *context);
/* Called after every event: the place of invariants. */
void sim_after_each_event(struct sim *sim, void (*check)(void *context), void *context);
/* The node whose turn the event was; NULL when no code of a node ran. */
struct sim_node *sim_last_node(const struct sim *sim);
uint64_t sim_event_count(const struct sim *sim);
/* Mixes in every event, every byte delivered and every file operation: equal seeds must give equal hashes. */
uint64_t sim_hash(const struct sim *sim);
/* Lets a checker or client add its own observations. */
void sim_hash_add(struct sim *sim, uint64_t value);

/* env_mark() calls of all nodes, counted by name. */
uint64_t sim_mark_count(const struct sim *sim, const char *name);
void sim_mark_each(const struct sim *sim, void (*each)(void *context, const char *name, uint64_t count), void *context);

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

/* In a program that is linked as sim.mk says, memory belongs to the node whose code allocated it and goes with its process:
 * `destroy` may then be NULL. */
struct sim_process {
    void (*start)(void *user, struct sim_node *node);
    void (*destroy)(void *user, struct sim_node *node);
    void *user;
};
/* `host` is its name in the network; "localhost", "127.0.0.1" and "" mean the node itself. Not running yet. */
struct sim_node *sim_node_add(struct sim *sim, const char *host, const struct sim_process *process);
void sim_node_start(struct sim_node *node);
bool sim_node_is_running(const struct sim_node *node);
const char *sim_node_host(const struct sim_node *node);
/* One more loop of the node's process; the kernel frees it when the process ends. Outside start(): the process must run. */
struct env *sim_env_create(struct sim_node *node);

enum sim_crash {
    SIM_CRASH_PROCESS, /* kill -9: peers see a reset, connects are refused, the page cache survives */
    SIM_CRASH_POWER,   /* peers see nothing, connects time out until the next start; uncommitted data as the disk model says */
};
/* Called from inside one of the node's callbacks, it takes effect when the callback returns. Power can fail after the process
 * died, too. */
void sim_node_crash(struct sim_node *node, enum sim_crash how);
/* The process asks to end (main would return): as SIM_CRASH_PROCESS. Callable from its callbacks. */
void sim_node_exit(struct sim_node *node);
/* SIGSTOP and SIGCONT: the kernel goes on receiving for it. */
void sim_node_pause(struct sim_node *node);
void sim_node_resume(struct sim_node *node);
/* Bytes that the process holds; 0 when not tracked. */
size_t sim_node_memory(const struct sim_node *node);
/* Added to the node's wall clock from now on. */
void sim_node_shift_wall_clock(struct sim_node *node, int64_t delta_ms);
/* From now on the node's monotonic clock gains that many microseconds in each second (less than 0: loses). */
void sim_node_set_clock_drift(struct sim_node *node, int64_t drift_us);

/* ---- network ------------------------------------------------------------------------------------------------------- */

/* Every link: `least_us` plus an exponential part around `mean_us`. Default 50 + 100. */
void sim_net_set_delay(struct sim *sim, int64_t least_us, int64_t mean_us);
/* Most bytes in flight on a connection, drawn anew in [least, most] for each. Default 4 KiB to 256 KiB. */
void sim_net_set_window(struct sim *sim, size_t least, size_t most);
/* Nothing passes from one to the other (one direction only); streams stall and go on after sim_net_heal, connects time out. */
void sim_net_block(struct sim *sim, const struct sim_node *from, const struct sim_node *to);
void sim_net_unblock(struct sim *sim, const struct sim_node *from, const struct sim_node *to);
/* Sets of nodes as bit masks of their order of creation; blocks both directions between the sets. */
void sim_net_partition(struct sim *sim, uint64_t side_a, uint64_t side_b);
void sim_net_heal(struct sim *sim);
/* Resets all connections between the two; the bytes in flight are lost from a random place on. NULL: any node. */
void sim_net_cut(struct sim *sim, const struct sim_node *a, const struct sim_node *b);
/* Chance in a million, for every piece of data handed to the network, that its connection is reset. */
void sim_net_set_reset_rate(struct sim *sim, uint32_t per_million);

/* ---- disks --------------------------------------------------------------------------------------------------------- */

/* What a power cut does to the uncommitted changes of a file, per file. Directory changes keep a prefix, whatever is set
 * (KEEP_ALL and DROP_ALL: all and nothing). */
enum sim_disk_outcome {
    SIM_DISK_RANDOM, /* one of the following, drawn per file */
    SIM_DISK_KEEP_ALL,
    SIM_DISK_DROP_ALL,
    SIM_DISK_PREFIX,      /* the first writes, the last of them in part */
    SIM_DISK_PAGES,       /* each 4 KiB page old or new */
    SIM_DISK_TORN,        /* one page torn between its 512-byte sectors, what follows is lost */
    SIM_DISK_ZERO_EXTEND, /* the new size, zeros where the new bytes should be */
    SIM_DISK_MOMENTS,     /* each sector as it was after some of the changes, and so the size: write-back has no order */
    SIM_DISK_LAST_ONLY,   /* of the sectors that changed only the last arrived */
    SIM_DISK_FIRST_LOST,  /* of the sectors that changed only the first did not arrive */
    SIM_DISK_OUTCOME_COUNT
};
void sim_disk_set_outcome(struct sim_node *node, enum sim_disk_outcome outcome);
/* Changing operations (create, write, truncate, rename, unlink, mkdir, rmdir, commit) since the node was added. */
uint64_t sim_disk_operations(const struct sim_node *node);
/* Power fails during the operation with this number, counted as above: it and everything before is uncommitted data for the
 * outcome. That call and all later ones of this process fail with ERR_IO, and the process dies when the callback returns, or
 * at the next sim_step when the test itself made the call. 0: off. */
void sim_disk_crash_at(struct sim_node *node, uint64_t operation);
/* Completion times of env_commit: least + exponential part. Default 100 us + 300 us. */
void sim_disk_set_commit_latency(struct sim_node *node, int64_t least_us, int64_t mean_us);
/* Commits asked for from now on complete no earlier than this time. */
void sim_disk_stall_commits(struct sim_node *node, int64_t until_us);
/* The next `count` commits fail with ERR_IO; their pages count as clean: no later commit brings them back. */
void sim_disk_fail_commits(struct sim_node *node, uint32_t count);
/* The next `count` writes fail with ERR_IO. */
void sim_disk_fail_writes(struct sim_node *node, uint32_t count);
/* The next `count` reads fail with ERR_IO. */
void sim_disk_fail_reads(struct sim_node *node, uint32_t count);
/* Bytes of all files together above which writes fail with ERR_NO_SPACE. Default 1 TiB. */
void sim_disk_set_capacity(struct sim_node *node, int64_t bytes);
int64_t sim_disk_used(const struct sim_node *node);
/* Chance in a million that env_pread_now answers ERR_AGAIN. Default 50,000. */
void sim_disk_set_cold_rate(struct sim_node *node, uint32_t per_million);
/* An empty disk; the node must not run. */
void sim_disk_wipe(struct sim_node *node);
/* Tampering and looking, past the process and committed at once. Files must exist for reading; false when it does not. */
bool sim_disk_read(const struct sim_node *node, const char *path, void *into, size_t capacity, size_t *size);
void sim_disk_write(struct sim_node *node, const char *path, const void *bytes, size_t size);
bool sim_disk_flip_bit(struct sim_node *node, const char *path, int64_t position, unsigned bit);

#endif
