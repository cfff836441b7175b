/* See subscription.h. The layout: int16 version, array of topics (int32 count, then int16 length and bytes each), bytes of the
 * assignor's own, and what later versions added. */
#include "broker/coordinator/subscription.h"

#include "common/reader.h"

enum subscription_answer subscription_find(struct slice metadata, struct slice topic)
{
    struct reader r = reader_make(metadata);
    int16_t version = reader_i16(&r);
    int32_t count = reader_i32(&r);
    if (!reader_ok(&r) || version < 0 || count < 0) return SUBSCRIPTION_MALFORMED;
    bool is_found = false;
    for (int32_t i = 0; i < count && reader_ok(&r); i++) {
        int16_t length = reader_i16(&r);
        if (length < 0) return SUBSCRIPTION_MALFORMED;
        struct slice name = reader_bytes(&r, (size_t)length);
        is_found |= reader_ok(&r) && slice_equal(name, topic);
    }
    int32_t user_data = reader_i32(&r);
    if (user_data < -1) return SUBSCRIPTION_MALFORMED;
    if (user_data > 0) reader_bytes(&r, (size_t)user_data);
    if (!reader_ok(&r)) return SUBSCRIPTION_MALFORMED;
    return is_found ? SUBSCRIPTION_WITH : SUBSCRIPTION_WITHOUT;
}
