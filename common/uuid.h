/* 16 raw bytes; text is Kafka's: URL-safe base64 without padding, 22 characters. */
#ifndef SKIFF_COMMON_UUID_H
#define SKIFF_COMMON_UUID_H

#include "common/slice.h"

#define UUID_TEXT_SIZE 23 /* with the NUL */

struct uuid {
    uint8_t bytes[16];
};

#define UUID_ZERO ((struct uuid){{0}})
static inline bool uuid_equal(struct uuid a, struct uuid b) { return memcmp(a.bytes, b.bytes, 16) == 0; }
static inline bool uuid_is_zero(struct uuid a) { return uuid_equal(a, UUID_ZERO); }
/* A version 4 UUID whose text does not begin with '-' (it would read as an option), as Kafka draws them.  When the bits
 * give one that does, other bits are needed: false. */
bool uuid_from_random(uint64_t high, uint64_t low, struct uuid *out);
void uuid_text(struct uuid uuid, char text[static UUID_TEXT_SIZE]);
bool uuid_parse(struct slice text, struct uuid *out);

#endif
