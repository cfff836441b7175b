/* F1 and F2, requests and responses, are the same harness over different messages. */
#ifndef SKIFF_TESTS_FUZZ_MESSAGE_H
#define SKIFF_TESTS_FUZZ_MESSAGE_H

#include "gen/kmsg.h"

/* The first two bytes choose the message and its version, the rest is the message.  `choices` holds `count` messages.
 * What decodes stays within its budget, prints, encodes, and comes back the same. */
void fuzz_message(const enum kmsg *choices, size_t count, const uint8_t *data, size_t size);

#endif
