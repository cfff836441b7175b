#include "controller/metadata/update.h"

#include "common/mem.h"

struct metadata_update *metadata_update_create(enum metadata_update_type type, struct buf *bytes, int64_t index)
{
    struct metadata_update *update = mem_alloc(sizeof *update);
    update->type = type;
    update->bytes = bytes;
    update->index = index;
    update->leader_id = -1;
    update->host = "";
    return update;
}

struct metadata_update *metadata_update_create_leader(int32_t leader_id, int64_t term, const char *host, uint16_t port)
{
    size_t host_size = strlen(host) + 1;
    struct metadata_update *update = mem_alloc(sizeof *update + host_size);
    update->type = METADATA_UPDATE_LEADER;
    update->leader_id = leader_id;
    update->term = term;
    update->host = memcpy(update + 1, host, host_size);
    update->port = port;
    return update;
}

void metadata_update_destroy(struct metadata_update *update)
{
    buf_unref(update->bytes);
    mem_free(update);
}
