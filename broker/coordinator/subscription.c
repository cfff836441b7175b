/* See subscription.h. The layout: int16 version, array of topics (int32 count, then int16 length and bytes each), bytes of the
 * assignor's own, and what later versions added. */
#include "broker/coordinator/subscription.h"

#include "common/reader.h"

bool subscription_mark(struct slice metadata, const struct map *topics)
{
    struct reader r = reader_make(metadata);
    int16_t version = reader_i16(&r);
    int32_t count = reader_i32(&r);
    if (!reader_ok(&r) || version < 0 || count < 0) return false;
    for (int32_t i = 0; i < count && reader_ok(&r); i++) {
        int16_t length = reader_i16(&r);
        if (length < 0) return false;
        struct slice name = reader_bytes(&r, (size_t)length);
        bool *is_named = reader_ok(&r) ? map_get(topics, name) : NULL;
        if (is_named) *is_named = true;
    }
    int32_t user_data = reader_i32(&r);
    if (user_data < -1) return false;
    if (user_data > 0) reader_bytes(&r, (size_t)user_data);
    return reader_ok(&r);
}
