/* ApiVersions: the first request of every client (docs/PROTOCOL.md; KIP-511, KIP-584). */
#include "broker/handlers/handler.h"

#define SUPPORTED_WITH_LEVEL_0_FROM 4 /* older clients stumble over features whose least level is 0 (KAFKA-17492) */

static bool is_word(struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i], letter = c | 0x20;
        bool is_inner = i > 0 && i + 1 < text.n && (c == '-' || c == '.');
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && !is_inner) return false;
    }
    return text.n > 0;
}

static void answer_error(struct call *call, enum kafka_error error)
{
    struct api_versions_response_api_keys key = {0};
    struct api_versions_response response = {.error_code = (int16_t)error, .finalized_features_epoch = -1};
    if (error == KAFKA_UNSUPPORTED_VERSION) {
        /* An answer of version 0 with this one row: clients ask again with its greatest version, and franz-go only when there is
         * no other row. */
        key = (struct api_versions_response_api_keys){API_API_VERSIONS, 0, handler_find(API_API_VERSIONS)->version_max};
        response.api_keys = &key;
        response.api_keys_count = 1;
        call->api_version = 0;
    }
    call_respond(call, &response);
}

static void add_features(struct call *call, struct api_versions_response *response)
{
    const struct image *image = call_image(call);
    const struct image_broker *self = image_broker_get(image, call->dispatch->node_id);
    uint32_t supported = self ? self->feature_count : 0;
    response->finalized_features_epoch = image->index > 0 ? image->index : -1;
    response->supported_features = arena_calloc(&call->arena, supported, sizeof *response->supported_features);
    response->finalized_features = arena_calloc(&call->arena, image->feature_count, sizeof *response->finalized_features);
    for (uint32_t i = 0; i < supported; i++) {
        const struct image_feature *feature = &self->features[i];
        if (feature->level_min == 0 && call->api_version < SUPPORTED_WITH_LEVEL_0_FROM) continue;
        response->supported_features[response->supported_features_count++] = (struct api_versions_response_supported_features){
            .name = slice_str(feature->name), .min_version = (int16_t)feature->level_min, .max_version = (int16_t)feature->level_max};
    }
    for (uint32_t i = 0; i < image->feature_count; i++) {
        const struct image_feature *feature = &image->features[i];
        if (feature->level_max == 0) continue;
        response->finalized_features[response->finalized_features_count++] =
            (struct api_versions_response_finalized_features){.name = slice_str(feature->name),
                                                              .max_version_level = (int16_t)feature->level_max,
                                                              .min_version_level = (int16_t)feature->level_max};
    }
}

enum request_progress handle_api_versions(struct call *call, const void *message)
{
    const struct api_versions_request *request = message;
    if (call->api_version < 0 || call->api_version > handler_find(API_API_VERSIONS)->version_max) {
        answer_error(call, KAFKA_UNSUPPORTED_VERSION);
        return REQUEST_DONE;
    }
    if (call->api_version >= 3 && (!is_word(request->client_software_name) || !is_word(request->client_software_version))) {
        answer_error(call, KAFKA_INVALID_REQUEST);
        return REQUEST_DONE;
    }
    struct api_versions_response response = {.finalized_features_epoch = -1};
    response.api_keys = arena_calloc(&call->arena, handler_count, sizeof *response.api_keys);
    for (size_t i = 0; i < handler_count; i++) {
        const struct handler *handler = &handlers[i];
        /* librdkafka before 2.11.1 turns compression off unless Produce 0 is there (KAFKA-18659); 0 to 2 are refused all the same. */
        int16_t version_min = handler->version_min;
        if (handler->api_key == API_PRODUCE) version_min = 0;
        response.api_keys[i] = (struct api_versions_response_api_keys){handler->api_key, version_min, handler->version_max};
    }
    response.api_keys_count = (int32_t)handler_count;
    if (call->api_version >= 3) add_features(call, &response);
    call_respond(call, &response);
    return REQUEST_DONE;
}
