/* F2: what a node reads as a client of others, and what it reads from internal topics: every message that is no request. */
#include "proto/codec_fields.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum kmsg messages[KMSG_COUNT];
    size_t count = 0;
    for (int i = 0; i < KMSG_COUNT; i++) {
        const struct schema_message *m = &schema_messages[i];
        if (m->kind != SCHEMA_REQUEST && m->version_max >= m->version_min) messages[count++] = (enum kmsg)i;
    }
    if (size == 0) return 0;
    /* One byte does not reach them all: its top bit moves to the upper half. */
    size_t half = data[0] & 0x80 ? count / 2 : 0;
    fuzz_message(messages + half, count - half, data, size);
    return 0;
}
