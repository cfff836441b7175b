/* DescribeConfigs: every setting with its value and where that comes from (clients that read, change and write back erase what is
 * left out). AlterConfigs and IncrementalAlterConfigs: settings of brokers are checked here, where their table is; the controller
 * checks those of topics. */
#include "broker/handlers/forwarded.h"
#include "broker/node/dynamic_config.h"
#include "common/assert.h"
#include "common/str.h"
#include "common/topic_config.h"
#include "proto/api.h"

#include <stdio.h>

/* Kafka's numbers. */
enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { SOURCE_TOPIC = 1, SOURCE_BROKER = 2, SOURCE_BROKER_DEFAULT = 3, SOURCE_STATIC = 4, SOURCE_DEFAULT = 5 };

#define SYNONYMS_MAX     5
#define OPERATION_DELETE 1
#define ALTERED_MAX      100000 /* resources in one request: each may need a text of its own */

/* One setting: its possible values, the one that holds first. */
struct chain {
    struct describe_configs_response_synonyms items[SYNONYMS_MAX];
    int32_t count;
};

static void chain_add(struct chain *chain, const char *name, struct slice value, int8_t source)
{
    ASSERT(chain->count < SYNONYMS_MAX);
    chain->items[chain->count++] = (struct describe_configs_response_synonyms){.name = slice_str(name), .value = value, .source = source};
}
static void chain_add_text(struct chain *chain, const char *name, const char *value, int8_t source)
{
    if (value) chain_add(chain, name, slice_str(value), source);
}

/* ---- where values come from ---------------------------------------------------------------------------------------- */

/* The names that give one default, the strongest first; the value is in milliseconds. */
static const enum config_key retention_keys[] = {CONFIG_LOG_RETENTION_MS, CONFIG_LOG_RETENTION_MINUTES, CONFIG_LOG_RETENTION_HOURS};
static const enum config_key roll_keys[] = {CONFIG_LOG_ROLL_MS, CONFIG_LOG_ROLL_HOURS};

static void chain_add_duration(struct chain *chain, struct call *call, const enum config_key *keys, size_t count, int64_t value_ms)
{
    for (size_t i = 0; i < count; i++) {
        if (!config_is_set(call->dispatch->config, keys[i])) continue;
        chain_add(chain, config_table[keys[i]].name, arena_printf(&call->arena, "%lld", (long long)value_ms), SOURCE_STATIC);
        return;
    }
}

static void chain_add_static(struct chain *chain, struct call *call, const struct setting *topic_setting)
{
    const struct config *config = call->dispatch->config;
    const struct setting *setting = setting_find(config_table, CONFIG_COUNT, slice_str(topic_setting->broker_name));
    if (topic_setting == &topic_config_table[TOPIC_CONFIG_RETENTION_MS])
        chain_add_duration(chain, call, retention_keys, sizeof retention_keys / sizeof *retention_keys, config_retention_ms(config));
    else if (topic_setting == &topic_config_table[TOPIC_CONFIG_SEGMENT_MS])
        chain_add_duration(chain, call, roll_keys, sizeof roll_keys / sizeof *roll_keys, config_segment_ms(config));
    else if (setting && config->values[setting - config_table].is_set)
        chain_add(chain, setting->name, config->values[setting - config_table].text, SOURCE_STATIC);
}

static void topic_chain(struct chain *chain, struct call *call, const struct image_topic *topic, const struct setting *setting)
{
    chain_add_text(chain, setting->name, image_configs_get(&topic->configs, setting->name), SOURCE_TOPIC);
    if (setting->broker_name) {
        const struct image_configs *defaults = image_broker_configs(call_image(call), NO_BROKER);
        const struct image_configs *own = image_broker_configs(call_image(call), call->dispatch->node_id);
        chain_add_text(chain, setting->broker_name, image_configs_get(own, setting->broker_name), SOURCE_BROKER);
        chain_add_text(chain, setting->broker_name, image_configs_get(defaults, setting->broker_name), SOURCE_BROKER_DEFAULT);
        chain_add_static(chain, call, setting);
    }
    chain_add_text(chain, setting->broker_name ? setting->broker_name : setting->name, setting->default_text, SOURCE_DEFAULT);
}

static void broker_chain(struct chain *chain, struct call *call, int32_t id, const struct setting *setting)
{
    const struct config_value *value = &call->dispatch->config->values[setting - config_table];
    if (id != NO_BROKER)
        chain_add_text(chain, setting->name, image_configs_get(image_broker_configs(call_image(call), id), setting->name), SOURCE_BROKER);
    chain_add_text(chain, setting->name, image_configs_get(image_broker_configs(call_image(call), NO_BROKER), setting->name),
                   SOURCE_BROKER_DEFAULT);
    if (id == NO_BROKER) return;
    if (value->is_set) chain_add(chain, setting->name, value->text, SOURCE_STATIC);
    chain_add_text(chain, setting->name, setting->default_text, SOURCE_DEFAULT);
}

/* Null: fine. A broker speaks for itself and for all, as in Kafka: clients know whom to ask. */
static struct slice check_broker_name(struct call *call, struct slice name)
{
    int64_t id = 0;
    if (name.n == 0) return SLICE_NULL;
    if (!str_parse_i64(name, &id)) return arena_printf(&call->arena, "Node id must be an integer, but it is: %.*s", SLICE_ARG(shown(name)));
    if (id == call->dispatch->node_id) return SLICE_NULL;
    return arena_printf(&call->arena, "Unexpected broker id, expected %d or empty string, but received %lld: ask that broker itself.",
                        call->dispatch->node_id, (long long)id);
}

/* ---- describing ---------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct describe_configs_request_resources *resource, const struct setting *setting)
{
    if (resource->configuration_keys_count <= 0) return true; /* to Kafka, none are all, like null */
    for (int32_t i = 0; i < resource->configuration_keys_count; i++)
        if (slice_equal_str(resource->configuration_keys[i], setting->name)) return true;
    return false;
}

static void describe_one(struct call *call, const struct describe_configs_request *request, const struct setting *setting,
                         const struct chain *chain, bool is_read_only, struct describe_configs_response_results *out)
{
    bool is_secret = setting->type == SETTING_PASSWORD;
    struct describe_configs_response_configs *config = &out->configs[out->configs_count++];
    *config =
        (struct describe_configs_response_configs){.name = slice_str(setting->name),
                                                   .value = chain->count && !is_secret ? chain->items[0].value : SLICE_NULL,
                                                   .read_only = is_read_only,
                                                   .config_source = (int8_t)(chain->count ? chain->items[0].source : SOURCE_DEFAULT),
                                                   .is_sensitive = is_secret,
                                                   .config_type = (int8_t)setting->type,
                                                   .documentation = request->include_documentation ? slice_str(setting->doc) : SLICE_NULL};
    if (!request->include_synonyms || is_secret) return;
    config->synonyms_count = chain->count;
    config->synonyms = arena_calloc(&call->arena, (size_t)chain->count, sizeof *config->synonyms);
    memcpy(config->synonyms, chain->items, (size_t)chain->count * sizeof *config->synonyms);
}

static void describe_topic(struct call *call, const struct describe_configs_request *request,
                           const struct describe_configs_request_resources *resource, struct describe_configs_response_results *out)
{
    const struct image_topic *topic = image_topic_by_name(call_image(call), resource->resource_name);
    if (!topic) {
        out->error_code = is_valid_topic_name(resource->resource_name) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_INVALID_TOPIC_EXCEPTION;
        out->error_message = error_text((enum kafka_error)out->error_code);
        return;
    }
    out->configs = arena_calloc(&call->arena, TOPIC_CONFIG_COUNT, sizeof *out->configs);
    for (size_t i = 0; i < TOPIC_CONFIG_COUNT; i++) {
        struct chain chain = {.count = 0};
        if (!is_wanted(resource, &topic_config_table[i])) continue;
        topic_chain(&chain, call, topic, &topic_config_table[i]);
        describe_one(call, request, &topic_config_table[i], &chain, false, out);
    }
}

static void describe_broker(struct call *call, const struct describe_configs_request *request,
                            const struct describe_configs_request_resources *resource, struct describe_configs_response_results *out)
{
    bool is_default = resource->resource_name.n == 0;
    int32_t id = is_default ? NO_BROKER : call->dispatch->node_id;
    out->error_message = check_broker_name(call, resource->resource_name);
    if (!slice_is_null(out->error_message)) {
        out->error_code = KAFKA_INVALID_REQUEST;
        return;
    }
    out->configs = arena_calloc(&call->arena, CONFIG_COUNT, sizeof *out->configs);
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        struct chain chain = {.count = 0};
        if (!is_wanted(resource, &config_table[i])) continue;
        broker_chain(&chain, call, id, &config_table[i]);
        /* The defaults of all brokers are only what somebody set. */
        if (is_default && chain.count == 0) continue;
        describe_one(call, request, &config_table[i], &chain, dynamic_config_mode(&config_table[i]) == DYNAMIC_CONFIG_NEVER, out);
    }
}

enum request_progress handle_describe_configs(struct call *call, const void *message)
{
    const struct describe_configs_request *request = message;
    struct describe_configs_response response = {.results_count = request->resources_count};
    response.results = arena_calloc(&call->arena, (size_t)request->resources_count, sizeof *response.results);
    for (int32_t i = 0; i < request->resources_count; i++) {
        const struct describe_configs_request_resources *resource = &request->resources[i];
        struct describe_configs_response_results *out = &response.results[i];
        *out =
            (struct describe_configs_response_results){.resource_type = resource->resource_type, .resource_name = resource->resource_name};
        if (call_is_too_much(call)) return call_refuse_too_much(call);
        if (resource->configuration_keys_count > CONFIG_NAMES_MAX) {
            out->error_code = KAFKA_INVALID_REQUEST;
            out->error_message = arena_printf(&call->arena, "%d settings are named; at most %d can be at a time.",
                                              resource->configuration_keys_count, CONFIG_NAMES_MAX);
        } else if (resource->resource_type == RESOURCE_TOPIC) {
            describe_topic(call, request, resource, out);
        } else if (resource->resource_type == RESOURCE_BROKER) {
            describe_broker(call, request, resource, out);
        } else {
            out->error_code = KAFKA_INVALID_REQUEST;
            out->error_message = arena_printf(&call->arena, "Resources of type %d have no settings here; topics (2) and brokers (4) do.",
                                              resource->resource_type);
        }
    }
    call_respond(call, &response);
    return REQUEST_DONE;
}

/* ---- altering ------------------------------------------------------------------------------------------------------ */

/* What would keep everybody out, for ever: nobody could take it back. */
static bool keeps_all_out(struct call *call, enum config_key key)
{
    const char *overrides = config_table[CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES].name;
    const char *dynamic = dynamic_config_text(call_image(call), call->dispatch->node_id, overrides);
    if (key == CONFIG_MAX_CONNECTION_CREATION_RATE) return true;
    return key == CONFIG_MAX_CONNECTIONS_PER_IP &&
           !*(dynamic ? dynamic : config_text(call->dispatch->config, CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES));
}

static bool check_connections(struct call *call, const struct setting *setting, struct slice value, int64_t number,
                              char reason[static SETTING_REASON_MAX])
{
    enum config_key key = (enum config_key)(setting - config_table);
    if (key == CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES) return address_limits_check(call->dispatch->env, value, reason);
    if (number != 0 || !keeps_all_out(call, key)) return true;
    (void)snprintf(reason, SETTING_REASON_MAX, "would keep everybody out%s",
                   key == CONFIG_MAX_CONNECTIONS_PER_IP ? " without max.connections.per.ip.overrides" : "");
    return false;
}

/* Null: fine. The value is null when the setting is to be removed. */
static struct slice check_broker_setting(struct call *call, struct slice resource_name, struct slice name, struct slice value)
{
    const struct setting *setting = setting_find(config_table, CONFIG_COUNT, name);
    char reason[SETTING_REASON_MAX];
    int64_t number = 0;
    if (!setting) return arena_printf(&call->arena, "Brokers have no setting %.*s.", SLICE_ARG(shown(name)));
    enum dynamic_config_mode mode = dynamic_config_mode(setting);
    if (mode == DYNAMIC_CONFIG_NEVER)
        return arena_printf(&call->arena,
                            "Cannot update these configs dynamically: Set(%s). Set it in server.properties and restart the broker.",
                            setting->name);
    if (mode == DYNAMIC_CONFIG_CLUSTER && resource_name.n > 0)
        return arena_printf(&call->arena, "%s can only be changed for all brokers (--entity-default): controllers decide by it.",
                            setting->name);
    if (slice_is_null(value) || (setting_parse(setting, value, &number, reason) && check_connections(call, setting, value, number, reason)))
        return SLICE_NULL;
    return arena_printf(&call->arena, "%s=%.*s: it %s.", setting->name, SLICE_ARG(shown(value)), reason);
}

/* Each resource is decided by itself, as in Kafka: the controller gets those that are not refused here, and the answers are put
 * together in the order of the request. */
struct alteration {
    const void *message;
    struct slice *refusals; /* of each resource; null: the controller decides */
    int32_t passed_count;
};

/* NULL: there are too many resources, and that was the answer. */
static struct alteration *alteration_create(struct call *call, const void *message, int32_t count)
{
    if (count > ALTERED_MAX) {
        respond_error(call, message, KAFKA_INVALID_REQUEST, SLICE_LITERAL("More than 100000 resources in one request."));
        return NULL;
    }
    struct alteration *a = arena_alloc(&call->arena, sizeof *a);
    a->message = message;
    a->refusals = arena_calloc(&call->arena, (size_t)count, sizeof *a->refusals);
    return a;
}

static int64_t alter_timeout_ms(const struct call *call)
{
    return config_number(call->dispatch->config, CONFIG_CONTROLLER_SOCKET_TIMEOUT_MS);
}

/* `passed` is the request without what is refused. */
static enum request_progress forward_passed(struct call *call, struct alteration *a, const void *passed, forward_answer_fn *answer)
{
    struct writer w;
    writer_init(&w, call->body.n);
    enum err err = codec_encode(api_request(call->api_key), call->api_version, passed, &w);
    ASSERT(err == ERR_OK); /* it came at this version */
    enum request_progress progress = forward_part(call, a->message, alter_timeout_ms(call), writer_slice(&w), answer, a);
    writer_deinit(&w);
    return progress;
}

static bool decode_told(struct call *call, struct slice told, void *response)
{
    return codec_decode_exact(api_response(call->api_key), call->api_version, told, &call->arena, response) == ERR_OK;
}

/* What the controller said cannot be read, or is not about what it was asked. */
static void answer_nonsense(struct call *call, const struct alteration *a)
{
    respond_error(call, a->message, KAFKA_UNKNOWN_SERVER_ERROR, SLICE_LITERAL("The controller's answer cannot be read."));
}

/* ---- AlterConfigs ---- */

static void answer_altered(struct call *call, void *state, struct slice told)
{
    const struct alteration *a = state;
    const struct alter_configs_request *request = a->message;
    struct alter_configs_response passed = {0}, response = {.responses_count = request->resources_count};
    if (a->passed_count > 0 && (!decode_told(call, told, &passed) || passed.responses_count != a->passed_count)) {
        answer_nonsense(call, a);
        return;
    }
    response.responses = arena_calloc(&call->arena, (size_t)request->resources_count, sizeof *response.responses);
    for (int32_t i = 0, at = 0; i < request->resources_count; i++) {
        const struct alter_configs_request_resources *resource = &request->resources[i];
        if (slice_is_null(a->refusals[i])) {
            ASSERT(passed.responses && at < passed.responses_count);
            response.responses[i] = passed.responses[at++];
            continue;
        }
        response.responses[i] = (struct alter_configs_response_responses){.error_code = KAFKA_INVALID_REQUEST, /* KAFKA-13609 */
                                                                          .error_message = a->refusals[i],
                                                                          .resource_type = resource->resource_type,
                                                                          .resource_name = resource->resource_name};
    }
    call_respond(call, &response);
}

static struct slice check_altered(struct call *call, const struct alter_configs_request_resources *resource)
{
    if (resource->resource_type != RESOURCE_BROKER) return SLICE_NULL;
    struct slice refusal = check_broker_name(call, resource->resource_name);
    for (int32_t k = 0; slice_is_null(refusal) && k < resource->configs_count; k++)
        refusal = check_broker_setting(call, resource->resource_name, resource->configs[k].name, resource->configs[k].value);
    return refusal;
}

enum request_progress handle_alter_configs(struct call *call, const void *message)
{
    const struct alter_configs_request *request = message;
    struct alter_configs_request passed = *request;
    struct alteration *a = alteration_create(call, message, request->resources_count);
    if (!a) return REQUEST_DONE;
    passed.resources = arena_calloc(&call->arena, (size_t)request->resources_count, sizeof *passed.resources);
    for (int32_t i = 0; i < request->resources_count; i++) {
        a->refusals[i] = check_altered(call, &request->resources[i]);
        if (slice_is_null(a->refusals[i])) passed.resources[a->passed_count++] = request->resources[i];
    }
    if (a->passed_count == request->resources_count) return forward_call(call, message, alter_timeout_ms(call));
    passed.resources_count = a->passed_count;
    if (a->passed_count > 0) return forward_passed(call, a, &passed, answer_altered);
    answer_altered(call, a, SLICE_NULL);
    return REQUEST_DONE;
}

/* ---- IncrementalAlterConfigs ---- */

static void answer_incrementally_altered(struct call *call, void *state, struct slice told)
{
    const struct alteration *a = state;
    const struct incremental_alter_configs_request *request = a->message;
    struct incremental_alter_configs_response passed = {0}, response = {.responses_count = request->resources_count};
    if (a->passed_count > 0 && (!decode_told(call, told, &passed) || passed.responses_count != a->passed_count)) {
        answer_nonsense(call, a);
        return;
    }
    response.responses = arena_calloc(&call->arena, (size_t)request->resources_count, sizeof *response.responses);
    for (int32_t i = 0, at = 0; i < request->resources_count; i++) {
        const struct incremental_alter_configs_request_resources *resource = &request->resources[i];
        if (slice_is_null(a->refusals[i])) {
            ASSERT(passed.responses && at < passed.responses_count);
            response.responses[i] = passed.responses[at++];
            continue;
        }
        response.responses[i] = (struct incremental_alter_configs_response_responses){.error_code = KAFKA_INVALID_REQUEST,
                                                                                      .error_message = a->refusals[i],
                                                                                      .resource_type = resource->resource_type,
                                                                                      .resource_name = resource->resource_name};
    }
    call_respond(call, &response);
}

static struct slice check_incremental(struct call *call, const struct incremental_alter_configs_request_resources *resource)
{
    if (resource->resource_type != RESOURCE_BROKER) return SLICE_NULL;
    struct slice refusal = check_broker_name(call, resource->resource_name);
    for (int32_t k = 0; slice_is_null(refusal) && k < resource->configs_count; k++) {
        /* kafka-configs deletes with an empty value. */
        bool is_deleted = resource->configs[k].config_operation == OPERATION_DELETE;
        refusal = check_broker_setting(call, resource->resource_name, resource->configs[k].name,
                                       is_deleted ? SLICE_NULL : resource->configs[k].value);
    }
    return refusal;
}

enum request_progress handle_incremental_alter_configs(struct call *call, const void *message)
{
    const struct incremental_alter_configs_request *request = message;
    struct incremental_alter_configs_request passed = *request;
    struct alteration *a = alteration_create(call, message, request->resources_count);
    if (!a) return REQUEST_DONE;
    passed.resources = arena_calloc(&call->arena, (size_t)request->resources_count, sizeof *passed.resources);
    for (int32_t i = 0; i < request->resources_count; i++) {
        a->refusals[i] = check_incremental(call, &request->resources[i]);
        if (slice_is_null(a->refusals[i])) passed.resources[a->passed_count++] = request->resources[i];
    }
    if (a->passed_count == request->resources_count) return forward_call(call, message, alter_timeout_ms(call));
    passed.resources_count = a->passed_count;
    if (a->passed_count > 0) return forward_passed(call, a, &passed, answer_incrementally_altered);
    answer_incrementally_altered(call, a, SLICE_NULL);
    return REQUEST_DONE;
}
