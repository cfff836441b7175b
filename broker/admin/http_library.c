#include "broker/admin/http_library.h"

#include <dlfcn.h>

static bool find(void *file, const char *name, void *function)
{
    *(void **)function = dlsym(file, name);
    return *(void **)function != NULL;
}

bool http_library_load(struct http_library *library)
{
    void *file = dlopen(HTTP_LIBRARY_FILE, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!file) return false;
    bool is_whole = find(file, "MHD_start_daemon", &library->start_daemon) && find(file, "MHD_stop_daemon", &library->stop_daemon) &&
                    find(file, "MHD_create_response_from_buffer", &library->create_response) &&
                    find(file, "MHD_add_response_header", &library->add_header) &&
                    find(file, "MHD_queue_response", &library->queue_response) &&
                    find(file, "MHD_destroy_response", &library->destroy_response);
    dlclose(file);
    return is_whole;
}
