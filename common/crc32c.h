/* CRC-32C (Castagnoli), as in Kafka's record batches and our own file formats.  Uses SSE4.2 where the processor has it. */
#ifndef SKIFF_COMMON_CRC32C_H
#define SKIFF_COMMON_CRC32C_H

#include "common/slice.h"

/* `crc` is the value of the bytes before (0 at the start). */
uint32_t crc32c_extend(uint32_t crc, struct slice bytes);
static inline uint32_t crc32c(struct slice bytes) { return crc32c_extend(0, bytes); }
/* The portable one, for the test that holds both against each other. */
uint32_t crc32c_extend_portable(uint32_t crc, struct slice bytes);

#endif
