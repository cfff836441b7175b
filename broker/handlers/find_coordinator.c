/* FindCoordinator: there are no groups and no transactions yet, and the protocol's word for that is "not available". */
#include "broker/handlers/handler.h"

#define BATCHES_FROM 4 /* one answer for each of several keys (KIP-699) */

enum request_progress handle_find_coordinator(struct call *call, const void *message)
{
    const struct find_coordinator_request *request = message;
    const int16_t error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    const struct slice text = SLICE_LITERAL("Consumer groups and transactions are not served yet.");
    struct find_coordinator_response response = {.host = SLICE_LITERAL("")};
    if (call->api_version < BATCHES_FROM) {
        response.error_code = error;
        response.error_message = text;
        response.node_id = response.port = -1;
    } else {
        response.coordinators_count = request->coordinator_keys_count;
        response.coordinators = arena_calloc(&call->arena, (size_t)request->coordinator_keys_count, sizeof *response.coordinators);
        for (int32_t i = 0; i < request->coordinator_keys_count; i++)
            response.coordinators[i] = (struct find_coordinator_response_coordinators){.key = request->coordinator_keys[i],
                                                                                       .node_id = -1,
                                                                                       .host = SLICE_LITERAL(""),
                                                                                       .port = -1,
                                                                                       .error_code = error,
                                                                                       .error_message = text};
    }
    call_respond(call, &response);
    return REQUEST_DONE;
}
