/* F1: request headers, and the request of every API at every version. */
#include "proto/api.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum kmsg requests[API_KEY_COUNT];
    struct frame_request header;
    size_t count = 0;
    for (int16_t key = 0; key < API_KEY_COUNT; key++) {
        if (api_is_known(key)) requests[count++] = api_request(key);
    }
    (void)!frame_parse_request(slice_make(data, size), &header);
    fuzz_message(requests, count, data, size);
    return 0;
}
