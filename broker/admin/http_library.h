/* libmicrohttpd, loaded when somebody asks for HTTP: it brings GnuTLS, which no other node should map. No state but the library,
 * which stays in the process. Any thread. */
#ifndef SKIFF_BROKER_ADMIN_HTTP_LIBRARY_H
#define SKIFF_BROKER_ADMIN_HTTP_LIBRARY_H

#include <microhttpd.h>
#include <stdbool.h>

#define HTTP_LIBRARY_FILE "libmicrohttpd.so.12"

/* The functions of microhttpd.h without their prefix. */
struct http_library {
    struct MHD_Daemon *(*start_daemon)(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept, void *accept_user,
                                       MHD_AccessHandlerCallback handle, void *handle_user, ...);
    void (*stop_daemon)(struct MHD_Daemon *daemon);
    struct MHD_Response *(*create_response)(size_t size, void *bytes, enum MHD_ResponseMemoryMode mode);
    enum MHD_Result (*add_header)(struct MHD_Response *response, const char *name, const char *value);
    enum MHD_Result (*queue_response)(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response);
    void (*destroy_response)(struct MHD_Response *response);
};

/* False: it is not installed, or lacks something. */
bool http_library_load(struct http_library *library);

#endif
