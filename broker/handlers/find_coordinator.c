/* FindCoordinator: there are no groups and no transactions yet, and the protocol's word for that is "not available". */
#include "broker/handlers/handler.h"

#define TYPE_GROUP       0
#define TYPE_TRANSACTION 1
#define BATCHES_FROM     4 /* one answer for each of several keys (KIP-699) */

enum request_progress handle_find_coordinator(struct call *call, const void *message)
{
    const struct find_coordinator_request *request = message;
    bool is_known = request->key_type == TYPE_GROUP || request->key_type == TYPE_TRANSACTION;
    const int16_t error = is_known ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_INVALID_REQUEST;
    const struct slice text = is_known ? SLICE_LITERAL("Consumer groups and transactions are not served yet.")
                                       : SLICE_LITERAL("Only groups (0) and transactions (1) have coordinators here.");
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
