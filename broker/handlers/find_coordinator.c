/* FindCoordinator: there are no groups and no transactions yet, and the protocol's word for that is "not available". */
#include "broker/handlers/handler.h"

enum request_progress handle_find_coordinator(struct call *call, const void *message)
{
    const struct find_coordinator_request *request = message;
    const int16_t error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    const struct slice text = SLICE_LITERAL("Consumer groups and transactions are not served yet.");
    struct find_coordinator_response response = {.error_code = error, .error_message = text, .node_id = -1, .host = SLICE_LITERAL(""), .port = -1};
    if (call->api_version >= 4) {
        response.error_code = KAFKA_NONE;
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
