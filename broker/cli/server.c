/* `skiff server`: reads the config, puts a controller and a broker together, and ends them in order.
 *
 *   main thread: the broker's loop, signals          controller thread: the controller's loop
 *
 * process.roles=controller: there is no broker, and the main thread waits for signals. process.roles=broker: the controller has no
 * listener and no vote; it follows the quorum's log for the broker of its process.
 *
 * A node with one disk and one core does its work in these two and in the lanes of common/io, which wait for the disk.
 * SIGTERM or SIGINT: leaderships move away, logs are flushed and marked clean, Raft leadership goes on, the process ends; the
 * second one ends it at once. */
#include "broker/admin/admin.h"
#include "broker/admin/port_owner.h"
#include "broker/cli/cli.h"
#include "broker/cli/memory_limit.h"
#include "broker/node/broker_node.h"
#include "broker/node/broker_options.h"
#include "broker/node/log_dir.h"
#include "common/assert.h"
#include "common/checked.h"
#include "common/config.h"
#include "common/io/io.h"
#include "common/listeners.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/node/controller_node.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROLLED_SHUTDOWN_MS 10000
#define RESIGN_US              1000000 /* a successor is found in a round trip, or there is none */
#define RESIGN_LOOK_US         2000
#define REBALANCE_UNIT_MS      1000 /* leader.imbalance.check.interval.seconds */

/* Log lines of the start: whoever gives a wrong config reads one line, the error. */
struct held_line {
    struct list_node node;
    enum log_level level;
    char *component, *text;
};

struct process {
    struct logger logger; /* of both loops; holds lines until the listeners are open, then writes to stderr */
    struct list held;
    struct config config;
    struct listeners listeners;
    struct io *main_io, *controller_io;
    struct controller_node *controller;
    struct broker_node *broker;
    struct admin *admin; /* NULL: no HTTP */
    char *controller_directory;
    uint16_t controller_port;
    int32_t other_voters;
    bool is_controller, is_broker; /* process.roles */
    bool is_directory_ours;        /* made for this run */
    bool has_controller_thread;
    bool is_stopping;
    int status;
    struct env_message resign;  /* main thread -> controller thread */
    struct env_timer resigning; /* controller thread */
    int64_t resigned_us;
};

/* ---- messages to people -------------------------------------------------------------------------------------------- */

static int fail(const char *reason)
{
    (void)fprintf(stderr, "skiff: %s\n", reason);
    return 1;
}

static void hold_line(void *context, enum log_level level, const char *component, const char *text)
{
    struct process *process = context;
    struct held_line *line = mem_alloc(sizeof *line);
    line->level = level;
    line->component = mem_strdup(component);
    line->text = mem_strdup(text);
    list_push_back(&process->held, &line->node);
}

/* Before there is a second thread. */
static void release_lines(struct process *process, enum log_level least)
{
    process->logger = io_stderr_logger(LOG_INFO);
    for (struct list_node *node; (node = list_pop_front(&process->held));) {
        struct held_line *line = CONTAINER_OF(node, struct held_line, node);
        if (line->level >= least) log_line(&process->logger, line->level, line->component, "%s", line->text);
        mem_free(line->component);
        mem_free(line->text);
        mem_free(line);
    }
}

static void on_warning(void *user, const char *line)
{
    struct process *process = user;
    log_line(&process->logger, LOG_WARN, "config", "%s", line);
}

/* ---- config -------------------------------------------------------------------------------------------------------- */

/* One line: the file that is not there, and those that are. */
static int explain_missing(const char *path)
{
    char directory[PATH_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    (void)snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    (void)fprintf(stderr, "skiff: cannot read the config %s: %s", path, strerror(errno));
    DIR *dir = opendir(directory);
    struct dirent *entry = NULL;
    int found = 0;
    while (dir && (entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);
        if (n < 11 || strcmp(entry->d_name + n - 11, ".properties") != 0) continue;
        (void)fprintf(stderr, "%s%s", found++ ? ", " : "; there is ", entry->d_name);
    }
    (void)fprintf(stderr, "\n");
    if (dir) (void)closedir(dir);
    return 1;
}

static int read_config(struct process *process, const char *path)
{
    FILE *file = fopen(path, "re");
    struct writer text;
    size_t got = 0;
    if (!file) return explain_missing(path);
    writer_init(&text, 4096);
    for (char part[4096]; (got = fread(part, 1, sizeof part, file)) > 0;) writer_bytes(&text, slice_make(part, got));
    bool is_readable = !ferror(file);
    (void)fclose(file);
    enum err err = is_readable ? config_load(&process->config, path, writer_slice(&text)) : ERR_IO;
    writer_deinit(&text);
    if (!is_readable) (void)fprintf(stderr, "skiff: cannot read the config %s: is it a file?\n", path);
    if (err && is_readable) return fail(process->config.error);
    return err ? 1 : 0;
}

/* Without a config: one node on localhost:9092 that keeps its data in a new directory. */
static int choose_defaults(struct process *process)
{
    const char *base = getenv("TMPDIR");
    char directory[PATH_BYTES_MAX], assignment[PATH_BYTES_MAX + 16];
    (void)snprintf(directory, sizeof directory, "%s/skiff-XXXXXX", base && *base ? base : "/tmp");
    if (!config_is_set(&process->config, CONFIG_LOG_DIRS) && !config_is_set(&process->config, CONFIG_LOG_DIR)) {
        if (!mkdtemp(directory)) {
            (void)fprintf(stderr, "skiff: cannot make a directory for data in %s: %s\n", base && *base ? base : "/tmp", strerror(errno));
            return 1;
        }
        process->is_directory_ours = true;
        (void)snprintf(assignment, sizeof assignment, "log.dirs=%s", directory);
        if (config_override(&process->config, assignment)) return fail(process->config.error);
    }
    if (!config_is_set(&process->config, CONFIG_LISTENERS) && config_override(&process->config, "listeners=PLAINTEXT://localhost:9092"))
        return fail(process->config.error);
    return 0;
}

static int usage(void)
{
    (void)fprintf(stderr, "usage: skiff server [--config FILE] [--override KEY=VALUE]...\n");
    return 1;
}

static int configure(struct process *process, int argc, char **argv)
{
    const char *file = NULL;
    int overrides = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--override") == 0 && i + 1 < argc)
            argv[++overrides] = argv[++i]; /* collected at the front: a file is read before them, wherever it stands */
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc && !file)
            file = argv[++i];
        else if (argv[i][0] != '-' && !file)
            file = argv[i];
        else
            return usage();
    }
    if (file && read_config(process, file)) return 1;
    for (int i = 1; i <= overrides; i++)
        if (config_override(&process->config, argv[i])) return fail(process->config.error);
    if (!file && choose_defaults(process)) return 1;
    if (config_finish(&process->config)) return fail(process->config.error);
    return 0;
}

static int resolve_listeners(struct process *process)
{
    char host[HOST_MAX + 1] = "localhost", reason[CONFIG_LINE_MAX];
    if (gethostname(host, sizeof host - 1) != 0) (void)snprintf(host, sizeof host, "localhost");
    if (listeners_parse(&process->listeners, &process->config, host, reason)) return fail(reason);
    process->is_controller = config_has_role(&process->config, "controller");
    process->is_broker = config_has_role(&process->config, "broker");
    for (size_t i = 0; i < process->listeners.voter_count; i++)
        if (process->listeners.voters[i].id != config_node_id(&process->config)) process->other_voters++;
    return 0;
}

static void find_memory_limit(struct process *process)
{
    struct config *config = &process->config;
    int64_t before = broker_server_limits(config).memory_bytes_max;
    config->memory_limit_bytes = memory_limit_find("/proc/self/cgroup", "/sys/fs/cgroup");
    int64_t after = broker_server_limits(config).memory_bytes_max;
    if (after < before)
        log_line(&process->logger, LOG_INFO, "config",
                 "this process may have %lld MB of memory (control group): queued.max.request.bytes is %lld",
                 (long long)config->memory_limit_bytes >> 20, (long long)after);
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

/* "... (skiff, pid 4711, has it)" */
static void name_port_owner(const struct process *process, char reason[static CONFIG_LINE_MAX])
{
    struct port_owner owner;
    for (size_t i = 0; i < process->listeners.count; i++) {
        size_t size = strlen(reason);
        if (!port_owner_find(process->listeners.items[i].port, &owner)) continue;
        (void)snprintf(reason + size, CONFIG_LINE_MAX - size, " (%s, pid %d, has it)", owner.name, owner.pid);
        return;
    }
}

/* Descriptors for connections and for segments: as many as the system lets us have, half for each. */
static uint32_t raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 512;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 1000000) return 500000;
    return (uint32_t)(limit.rlim_cur / 2);
}

/* The controller's metadata, on its way to a broker that may not be there yet: its logs are recovered meanwhile. */
static void on_update(struct env_message *message, int64_t now_us)
{
    struct metadata_update *update = metadata_update_of(message);
    struct process *process = update->receiver;
    /* A node that is its own only controller learns its port from the system. */
    if (update->type == METADATA_UPDATE_LEADER && update->port == 0) update->port = process->controller_port;
    update->receiver = process->broker;
    broker_node_on_update(message, now_us);
}

static void end_process(struct process *process, int status)
{
    process->status = status;
    io_stop(process->main_io);
}

static void on_broker_failed(void *user, const char *reason)
{
    struct process *process = user;
    log_line(&process->logger, LOG_ERROR, "server", "this node ends: %s", reason);
    end_process(process, 1);
}

static void on_controller_failed(void *user, const char *reason)
{
    struct process *process = user;
    if (!process->has_controller_thread) release_lines(process, LOG_ERROR);
    log_line(&process->logger, LOG_ERROR, "controller", "this node ends: %s", reason);
    (void)fflush(NULL);
    _exit(1); /* on the controller's thread: nothing may be acknowledged from now on */
}

static int explain_directory(const char *path, enum err err)
{
    if (err == ERR_IN_USE)
        (void)fprintf(stderr, "skiff: the data in %s is in use by another process: stop it, or choose other log.dirs\n", path);
    else if (err == ERR_EXISTS)
        (void)fprintf(stderr, "skiff: cannot make the directory %s: a file is in the way: remove it, or choose other log.dirs\n", path);
    else
        (void)fprintf(stderr, "skiff: cannot use the directory %s: %s: make it writable, or choose other log.dirs\n", path, err_text(err));
    return 1;
}

static int make_directories(struct process *process)
{
    struct env *env = io_env(process->controller_io);
    const char *own = config_text(&process->config, CONFIG_METADATA_LOG_DIR);
    struct slice rest = config_log_dirs(&process->config), dir, first = own && *own ? slice_str(own) : SLICE_NULL;
    char path[PATH_BYTES_MAX], lock[PATH_BYTES_MAX + 8], reason[CONFIG_LINE_MAX];
    enum err err = ERR_OK;
    /* A controller has no use for more than one. */
    while ((process->is_broker || slice_is_null(first)) && str_split(&rest, ',', &dir)) {
        dir = str_trim(dir);
        if (dir.n == 0) continue;
        if (slice_is_null(first)) first = dir;
        (void)snprintf(path, sizeof path, "%.*s", SLICE_ARG(dir));
        if ((err = env_mkdir(env, path))) return explain_directory(path, err);
        if (log_dir_check(env, path, config_node_id(&process->config), reason, sizeof reason)) return fail(reason);
    }
    (void)snprintf(path, sizeof path, "%.*s/controller", SLICE_ARG(str_trim(first)));
    (void)snprintf(lock, sizeof lock, "%s/.lock", path);
    process->controller_directory = mem_strdup(path);
    err = env_mkdir(env, path);
    if (!err) err = env_lock_file(env, lock);
    return err ? explain_directory(path, err) : 0;
}

/* NULL for a node that is only a broker. */
static const struct listener_config *controller_listener(const struct process *process)
{
    for (size_t i = 0; i < process->listeners.count; i++)
        if (process->listeners.items[i].is_controller) return &process->listeners.items[i];
    ASSERT(!process->is_controller); /* listeners_parse() has seen to it that there is one */
    return NULL;
}

/* On the heap: it has room for all voters. */
static struct controller_node_config *controller_config(struct process *process, const struct listener_config *listener)
{
    const struct config *config = &process->config;
    struct controller_node_config *c = mem_alloc(sizeof *c);
    *c = (struct controller_node_config){
        .raft = {.node_id = config_node_id(config),
                 .directory = process->controller_directory,
                 .voter_count = (uint32_t)process->listeners.voter_count,
                 .expected_cluster_id = process->is_broker ? broker_cluster_id(io_env(process->main_io), config) : (struct uuid){{0}},
                 .election_timeout_ms = config_is_set(config, CONFIG_CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS)
                                            ? config_number(config, CONFIG_CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS)
                                            : 0,
                 .snapshot_log_bytes = config_number(config, CONFIG_METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS)},
        .listener_name = listener ? listener->name : NULL,
        .host = listener ? listener->host : NULL,
        .port = listener ? listener->port : 0,
        .limits = broker_server_limits(config),
        .session_timeout_ms = config_number(config, CONFIG_BROKER_SESSION_TIMEOUT_MS),
        .rebalance_interval_ms = config_flag(config, CONFIG_AUTO_LEADER_REBALANCE_ENABLE)
                                     ? config_number(config, CONFIG_LEADER_IMBALANCE_CHECK_INTERVAL_SECONDS) * REBALANCE_UNIT_MS
                                     : 0,
        .settings = {.default_partitions = (int32_t)config_number(config, CONFIG_NUM_PARTITIONS),
                     .default_replication_factor = (int16_t)config_number(config, CONFIG_DEFAULT_REPLICATION_FACTOR),
                     .is_topic_deletion_enabled = config_flag(config, CONFIG_DELETE_TOPIC_ENABLE),
                     .internal_replicas = (uint32_t)min_i64(config_number(config, CONFIG_OFFSETS_TOPIC_REPLICATION_FACTOR), REPLICAS_MAX)},
        .defaults = {.min_insync_replicas = (int32_t)config_number(config, CONFIG_MIN_INSYNC_REPLICAS),
                     .is_flushing = strcmp(config_text(config, CONFIG_LOG_FLUSH_POLICY), "fsync") == 0,
                     .is_unclean_allowed = config_flag(config, CONFIG_UNCLEAN_LEADER_ELECTION_ENABLE)},
        .broker_env = process->is_broker ? io_env(process->main_io) : NULL,
        .on_update = on_update,
        .receiver = process,
        .on_failed = on_controller_failed,
        .user = process,
    };
    for (size_t i = 0; i < process->listeners.voter_count; i++) {
        const struct voter_config *from = &process->listeners.voters[i];
        struct raft_node_voter *to = &c->raft.voters[i];
        to->id = from->id;
        to->port = from->port;
        (void)snprintf(to->host, sizeof to->host, "%s", from->host);
    }
    return c;
}

static int start_controller(struct process *process)
{
    const struct listener_config *listener = controller_listener(process);
    struct controller_node_config *config = controller_config(process, listener);
    enum err err = controller_node_create(io_env(process->controller_io), config, &process->controller);
    mem_free(config);
    if (err) {
        char reason[CONFIG_LINE_MAX];
        if (listener && (err == ERR_IN_USE || err == ERR_UNRESOLVED)) {
            broker_explain_listen(listener, err, reason);
            if (err == ERR_IN_USE) name_port_owner(process, reason);
        } else {
            (void)snprintf(reason, sizeof reason, "the controller cannot start with the metadata in %s: %s", process->controller_directory,
                           err_text(err));
        }
        release_lines(process, LOG_ERROR);
        return fail(reason);
    }
    release_lines(process, LOG_INFO);
    process->controller_port = controller_node_port(process->controller);
    process->has_controller_thread = true;
    io_start_thread(process->controller_io, "controller");
    return 0;
}

static void on_active(void *user, int64_t now_us)
{
    (void)user, (void)now_us;
    (void)fflush(NULL);
}

static int listen_for_clients(struct process *process)
{
    char reason[CONFIG_LINE_MAX] = "";
    struct broker_node_options options = {.config = &process->config,
                                          .listeners = &process->listeners,
                                          .open_files_max = raise_file_limit(),
                                          .on_active = on_active,
                                          .on_failed = on_broker_failed,
                                          .user = process};
    enum err err = broker_node_create(io_env(process->main_io), &options, &process->broker, reason);
    if (err == ERR_IN_USE) name_port_owner(process, reason);
    return err ? fail(reason) : 0;
}

static int start_broker(struct process *process)
{
    char reason[CONFIG_LINE_MAX] = "";
    return broker_node_open(process->broker, reason) ? fail(reason) : 0;
}

/* ---- HTTP ---------------------------------------------------------------------------------------------------------- */

enum { MAIN_LOOP, CONTROLLER_LOOP, LOOP_COUNT };

static void report_main(void *user, struct report *report)
{
    const struct process *process = user;
    report->is_ready = true;
    if (!process->is_broker) return;
    if (report->wants_metrics) broker_node_measure(process->broker, &report->metrics);
    report->is_ready = broker_node_is_ready(process->broker, report->reason);
}

/* A broker knows more about whether clients can be served. */
static void report_controller(void *user, struct report *report)
{
    const struct process *process = user;
    if (report->wants_metrics) controller_node_measure(process->controller, &report->metrics);
    report->is_ready = controller_node_is_ready(process->controller, report->reason) || process->is_broker;
}

static int open_admin(struct process *process)
{
    const char *listener = config_text(&process->config, CONFIG_ADMIN_HTTP_LISTENER);
    char reason[CONFIG_LINE_MAX] = "";
    if (!listener || !*listener) return 0;
    struct admin_options options = {.listener = listener,
                                    .version = SKIFF_VERSION,
                                    .node_id = config_node_id(&process->config),
                                    .series_max = (uint32_t)config_number(&process->config, CONFIG_ADMIN_METRICS_SERIES_MAX),
                                    .loops = {[MAIN_LOOP] = {io_env(process->main_io), report_main, process},
                                              [CONTROLLER_LOOP] = {io_env(process->controller_io), report_controller, process}},
                                    .loop_count = LOOP_COUNT};
    if (admin_open(&options, &process->admin, reason)) return fail(reason);
    const char *port = strrchr(listener, ':');
    log_line(&process->logger, LOG_INFO, "admin", "HTTP on %.*s:%u: /metrics, /health, /ready", (int)(port - listener), listener,
             admin_port(process->admin));
    return 0;
}

static void admin_runs(struct process *process, size_t loop)
{
    if (process->admin) admin_loop_runs(process->admin, loop);
}

/* ---- end ----------------------------------------------------------------------------------------------------------- */

static void on_resigning(struct env_timer *timer, int64_t now_us)
{
    struct process *process = CONTAINER_OF(timer, struct process, resigning);
    if (controller_node_is_leader(process->controller) && now_us - process->resigned_us < RESIGN_US)
        env_timer_set(io_env(process->controller_io), timer, now_us + RESIGN_LOOK_US);
    else
        io_stop(process->main_io);
}

static void on_resign(struct env_message *message, int64_t now_us)
{
    struct process *process = CONTAINER_OF(message, struct process, resign);
    process->resigned_us = now_us;
    controller_node_resign(process->controller);
    env_timer_init(&process->resigning, on_resigning);
    env_timer_set(io_env(process->controller_io), &process->resigning, now_us);
}

static void resign(struct process *process)
{
    if (!process->is_controller || process->other_voters == 0) {
        io_stop(process->main_io);
        return;
    }
    process->resign.deliver = on_resign;
    env_post(io_env(process->controller_io), &process->resign);
}

static void on_broker_stopped(void *user, bool is_clean)
{
    struct process *process = user;
    if (!is_clean) log_line(&process->logger, LOG_WARN, "server", "not everything could be flushed: the next start looks through the logs");
    process->status = is_clean ? 0 : 1;
    resign(process);
}

static void on_signal(void *user, int signal_number)
{
    struct process *process = user;
    if (process->is_stopping) _exit(128 + signal_number);
    process->is_stopping = true;
    log_line(&process->logger, LOG_INFO, "server", "stopping: a second signal ends at once");
    if (process->broker)
        broker_node_stop(process->broker, CONTROLLED_SHUTDOWN_MS, on_broker_stopped, process);
    else
        resign(process);
}

static void greet(const struct process *process)
{
    struct slice dirs = config_log_dirs(&process->config), rest = dirs, dir;
    while (str_split(&rest, ',', &dir))
        if (!process->is_directory_ours && dir.n > 5 && memcmp(dir.p, "/tmp/", 5) == 0)
            log_line(&process->logger, LOG_WARN, "config", "%.*s is under /tmp: the system may delete it", SLICE_ARG(dir));
    /* A controller has none but its own. */
    const struct listener_config *listener = &process->listeners.items[process->is_broker ? process->listeners.inter_broker : 0];
    uint16_t port = listener->advertised_port;
    if (port == 0)
        port = process->is_broker ? broker_node_port(process->broker, process->listeners.inter_broker) : process->controller_port;
    (void)printf("skiff %s: %s %d on %s:%u, data in %.*s\n", SKIFF_VERSION, process->is_broker ? "broker" : "controller",
                 config_node_id(&process->config), listener->advertised_host, port, SLICE_ARG(dirs));
    (void)fflush(stdout);
}

static int run(struct process *process)
{
    /* Ports and directories first: what is wrong with them is said before anything is done. Then the controller, whose quorum
     * need not wait for the logs of the broker. */
    if ((process->is_broker && listen_for_clients(process)) || open_admin(process) || make_directories(process) ||
        start_controller(process))
        return 1;
    admin_runs(process, CONTROLLER_LOOP);
    greet(process);
    if (process->is_broker && start_broker(process)) return 1;
    /* Scripts that drive Kafka wait for these words; a broker says them when it takes clients. */
    if (!process->is_broker)
        log_line(&process->logger, LOG_INFO, "server", "[KafkaRaftServer nodeId=%d] Kafka Server started",
                 config_node_id(&process->config));
    io_on_signal(process->main_io, SIGTERM, on_signal, process);
    io_on_signal(process->main_io, SIGINT, on_signal, process);
    admin_runs(process, MAIN_LOOP);
    io_run(process->main_io);
    return process->status;
}

static void release(struct process *process)
{
    admin_close(process->admin);
    if (process->controller) {
        io_stop(process->controller_io);
        io_join_thread(process->controller_io);
        controller_node_destroy(process->controller);
    }
    broker_node_destroy(process->broker);
    if (process->main_io) io_destroy(process->main_io);
    if (process->controller_io) io_destroy(process->controller_io);
    release_lines(process, LOG_ERROR);
    mem_free(process->controller_directory);
    config_deinit(&process->config);
    mem_free(process);
}

int command_server(int argc, char **argv)
{
    mem_keep_freed();
    struct process *process = mem_alloc(sizeof *process);
    process->logger = (struct logger){.level = LOG_INFO, .sink = hold_line, .context = process};
    list_init(&process->held);
    config_init(&process->config, on_warning, process);
    int status = configure(process, argc, argv);
    if (!status) status = resolve_listeners(process);
    if (!status) find_memory_limit(process);
    if (!status) {
        process->main_io = io_create(&process->logger);
        process->controller_io = io_create(&process->logger);
        status = run(process);
    }
    release(process);
    return status;
}
