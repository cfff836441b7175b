/* A harness with a planted fault: `make fuzz` must find it, or the fuzzing itself is broken. */
#include "common/assert.h"
#include "common/reader.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_make(slice_make(data, size));
    uint32_t length = reader_uvarint32(&r);
    struct slice text = reader_bytes(&r, length);
    ASSERT(!reader_ok(&r) || text.n != 3 || memcmp(text.p, "bug", 3) != 0);
    return 0;
}
