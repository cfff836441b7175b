/* The node's settings in the shapes that the parts of a broker want. */
#ifndef SKIFF_BROKER_NODE_BROKER_OPTIONS_H
#define SKIFF_BROKER_NODE_BROKER_OPTIONS_H

#include "broker/node/controller_channel.h"
#include "broker/node/replica_manager.h"
#include "common/config.h"
#include "common/listeners.h"
#include "proto/connection.h"

struct log_dir_names {
    char *names[LOG_DIRS_MAX];
    size_t count;
};
/* The strings are copies, until deinit. */
void log_dir_names_init(struct log_dir_names *dirs, const struct config *config);
void log_dir_names_deinit(struct log_dir_names *dirs);

/* The cluster that the records in the log directories belong to; zero: there are none, or they will not be used. */
struct uuid broker_cluster_id(struct env *env, const struct config *config);
struct server_limits broker_server_limits(const struct config *config);
struct replica_manager_options broker_replica_options(const struct config *config, const struct listeners *listeners,
                                                      uint32_t open_files_max);
/* `ports` are the bound ones, in the order of the listeners; `advertised` takes what the options point to. */
struct controller_channel_options broker_channel_options(const struct config *config, const struct listeners *listeners,
                                                         const uint16_t *ports,
                                                         struct controller_channel_listener advertised[static LISTENERS_MAX]);
struct uuid broker_draw_uuid(struct env *env);
/* Why a listener could not be opened, and what to do. */
void broker_explain_listen(const struct listener_config *listener, enum err err, char reason[static CONFIG_LINE_MAX]);

#endif
