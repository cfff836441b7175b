/* The socket of the HTTP listener. */
#ifndef SKIFF_BROKER_ADMIN_HTTP_LISTEN_H
#define SKIFF_BROKER_ADMIN_HTTP_LISTEN_H

#include "common/config.h"

/* `listener` is HOST:PORT; port 0 asks the system, and no host means all interfaces. On an error `reason` says what and what to do. */
NODISCARD enum err http_listen(const char *listener, int *socket, uint16_t *port, char reason[static CONFIG_LINE_MAX]);

#endif
