/* Who listens on a port of this machine, for "port in use" messages.  Reads /proc; knows only processes that we may look at. */
#ifndef SKIFF_BROKER_ADMIN_PORT_OWNER_H
#define SKIFF_BROKER_ADMIN_PORT_OWNER_H

#include <stdbool.h>
#include <stdint.h>

struct port_owner {
    int pid;
    char name[64];
};
/* False: nobody, or nobody that we can see. */
bool port_owner_find(uint16_t port, struct port_owner *owner);

#endif
