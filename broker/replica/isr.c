/* See isr.h. */
#include "broker/replica/isr.h"

#include "common/assert.h"
#include "common/checked.h"

isr_set isr_all(size_t count)
{
    ASSERT(count <= REPLICAS_MAX);
    return count == 64 ? ~(isr_set)0 : isr_of(count) - 1;
}

int64_t isr_least_end(const int64_t ends[static 1], size_t count, isr_set maximal)
{
    ASSERT(maximal != 0);
    ASSERT(isr_contains(isr_all(count), maximal));
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!isr_has(maximal, i)) continue;
        if (ends[i] == ISR_OFFSET_UNKNOWN) return ISR_OFFSET_UNKNOWN;
        least = min_i64(least, ends[i]);
    }
    return least;
}

int32_t isr_effective_minimum(int32_t min_insync, size_t replica_count)
{
    ASSERT(min_insync > 0);
    ASSERT(replica_count > 0 && replica_count <= REPLICAS_MAX);
    return min_i32(min_insync, (int32_t)replica_count);
}

int64_t isr_high_watermark(const struct isr_watermark_input *input)
{
    if (isr_count(input->committed) < isr_effective_minimum(input->min_insync, input->count)) return input->high_watermark;
    int64_t least = isr_least_end(input->ends, input->count, isr_maximal(input->committed, input->proposed));
    return max_i64(input->high_watermark, least);
}
