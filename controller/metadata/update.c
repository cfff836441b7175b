#include "controller/metadata/update.h"

#include "common/mem.h"

struct metadata_update *metadata_update_create(enum metadata_update_type type, struct buf *bytes, int64_t index)
{
    struct metadata_update *update = mem_alloc(sizeof *update);
    update->type = type;
    update->bytes = bytes;
    update->index = index;
    update->leader_id = -1;
    return update;
}

void metadata_update_destroy(struct metadata_update *update)
{
    buf_unref(update->bytes);
    mem_free(update);
}
