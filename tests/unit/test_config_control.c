/* Dynamic configs: Kafka's operations, codes and texts. */
#include "controller/metadata/config_control.h"
#include "tests/unit/metadata_fixture.h"

static struct meta meta;

static void setup(void)
{
    meta_init(&meta, 3);
    meta_start_brokers(&meta, 3);
    ck_assert_int_eq(meta_create_topic(&meta, "t", 2, 3, 1), 0);
}
static void teardown(void) { meta_deinit(&meta); }

enum { SET, DELETE, APPEND, SUBTRACT };

static char message[512];

/* One change of one resource; the error code. */
static int16_t alter(int8_t type, const char *resource_name, const char *name, int8_t operation, const char *value, bool validate_only)
{
    struct incremental_alter_configs_request_configs change = {slice_str(name), operation, slice_str(value)};
    struct incremental_alter_configs_request_resources resource = {type, slice_str(resource_name), &change, 1};
    struct incremental_alter_configs_request request = {&resource, 1, validate_only};
    struct incremental_alter_configs_response response = {0};
    config_incremental_alter(&meta.control, &request, &response);
    int16_t error = response.responses[0].error_code;
    snprintf(message, sizeof message, "%.*s", SLICE_ARG(response.responses[0].error_message));
    ck_assert((error == 0) == slice_is_null(response.responses[0].error_message));
    meta_commit(&meta);
    return error;
}

static const char *value_of(const char *name)
{
    return image_configs_get(&image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->configs, name);
}

START_TEST(sets_and_deletes)
{
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", SET, "1000", false), KAFKA_NONE);
    ck_assert_str_eq(value_of("retention.ms"), "1000");
    ck_assert_uint_eq(meta.delta.topics_configured.count, 1);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", SET, "2000", true), KAFKA_NONE);
    ck_assert_msg(strcmp(value_of("retention.ms"), "1000") == 0, "validate_only changes nothing");
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", DELETE, NULL, false), KAFKA_NONE);
    ck_assert_ptr_null(value_of("retention.ms"));
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", DELETE, NULL, false), KAFKA_NONE);
}
END_TEST

START_TEST(appends_and_subtracts)
{
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "cleanup.policy", APPEND, "compact", false), KAFKA_NONE);
    ck_assert_msg(strcmp(value_of("cleanup.policy"), "delete,compact") == 0, "the default is part of the list");
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "cleanup.policy", APPEND, "compact", false), KAFKA_NONE);
    ck_assert_str_eq(value_of("cleanup.policy"), "delete,compact");
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "cleanup.policy", SUBTRACT, "delete", false), KAFKA_NONE);
    ck_assert_str_eq(value_of("cleanup.policy"), "compact");
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", APPEND, "1", false), KAFKA_INVALID_CONFIG);
}
END_TEST

START_TEST(a_resource_named_twice_is_not_changed)
{
    struct incremental_alter_configs_request_configs change = {SLICE_LITERAL("retention.ms"), SET, SLICE_LITERAL("1")};
    struct incremental_alter_configs_request_resources twice[] = {{CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), &change, 1},
                                                                  {CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), &change, 1}};
    struct incremental_alter_configs_request request = {twice, 2, false};
    struct incremental_alter_configs_response response = {0};
    config_incremental_alter(&meta.control, &request, &response);
    ck_assert_int_eq(response.responses[0].error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(response.responses[1].error_code, KAFKA_INVALID_REQUEST);
    meta_commit(&meta);
    ck_assert_ptr_null(value_of("retention.ms"));
}
END_TEST

START_TEST(blanks_around_a_number_do_not_count)
{
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", SET, " 5000 ", false), KAFKA_NONE);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "preallocate", SET, "FALSE ", false), KAFKA_NONE);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "min.cleanable.dirty.ratio", SET, " 0.7 ", false), KAFKA_NONE);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "min.cleanable.dirty.ratio", SET, "2", false), KAFKA_INVALID_CONFIG);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "min.cleanable.dirty.ratio", SET, "nan", false), KAFKA_INVALID_CONFIG);
}
END_TEST

static const char *const throttled[] = {"*", "", " * ", "0:1,,1:2", "0:1,0:1", " 0:1 , 1:0 ", "0:1,1:2", "0:1"};
static const char *const not_throttled[][2] = {{"foo", "foo"}, {"0:a", "0:a"},     {"0", "0"},       {"*,0:1", "*, 0:1"}, {"-1:0", "-1:0"},
                                               {":", ":"},     {"0:1:2", "0:1:2"}, {"none", "none"}, {"0: 1", "0: 1"},    {"**", "**"}};

START_TEST(throttled_replicas_are_pairs_or_a_star)
{
    static const char *const names[] = {"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"};
    char expected[512];
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < sizeof throttled / sizeof *throttled; i++)
            ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", names[side], SET, throttled[i], false), KAFKA_NONE);
        for (size_t i = 0; i < sizeof not_throttled / sizeof *not_throttled; i++) {
            ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", names[side], SET, not_throttled[i][0], false), KAFKA_INVALID_CONFIG);
            (void)snprintf(expected, sizeof expected,
                           "Invalid value [%s] for configuration %s: %s must be the literal '*' or a list of replicas in the following "
                           "format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                           not_throttled[i][1], names[side], names[side]);
            ck_assert_str_eq(message, expected);
        }
        ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", names[side], APPEND, "x", false), KAFKA_INVALID_CONFIG);
        ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", names[side], APPEND, "1:2", false), KAFKA_NONE);
        ck_assert_str_eq(value_of(names[side]), "0:1,1:2");
    }
}
END_TEST

/* "x,x,..." as long as a string can be: the text that quotes it once took half a gigabyte to write. */
START_TEST(a_long_list_takes_little_memory)
{
    static char list[32767];
    for (size_t i = 0; i + 1 < sizeof list; i++) list[i] = i % 2 ? ',' : 'x';
    struct incremental_alter_configs_request_configs change = {SLICE_LITERAL("leader.replication.throttled.replicas"), SET,
                                                               slice_str(list)};
    struct incremental_alter_configs_request_resources resource = {CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), &change, 1};
    struct incremental_alter_configs_request request = {&resource, 1, false};
    struct incremental_alter_configs_response response = {0};
    config_incremental_alter(&meta.control, &request, &response);
    ck_assert_int_eq(response.responses[0].error_code, KAFKA_INVALID_CONFIG);
    ck_assert_uint_lt(meta.arena.used, 65536);
}
END_TEST

/* Distinct items, as many as a string holds; each is in the result once. */
START_TEST(a_long_list_is_joined_once)
{
    static char list[32767];
    static const char *const name = "follower.replication.throttled.replicas";
    size_t size = 0;
    for (int i = 0; size + 12 < sizeof list; i++) size += (size_t)snprintf(list + size, sizeof list - size, "%s%d:1", i ? "," : "", i);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", name, SET, list, false), KAFKA_NONE);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", name, APPEND, list, false), KAFKA_NONE);
    ck_assert_str_eq(value_of(name), list);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", name, SUBTRACT, list + 4, false), KAFKA_NONE);
    ck_assert_str_eq(value_of(name), "0:1");
}
END_TEST

START_TEST(refuses_what_is_wrong)
{
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "a b", "retention.ms", SET, "1", false), KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "", "retention.ms", SET, "1", false), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "nope", "retention.ms", SET, "1", false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention", SET, "1", false), KAFKA_INVALID_CONFIG);
    ck_assert_str_eq(message, "Unknown topic config name: retention");
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", SET, "soon", false), KAFKA_INVALID_CONFIG);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", SET, "0", false), KAFKA_INVALID_CONFIG);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "cleanup.policy", SET, "shred", false), KAFKA_INVALID_CONFIG);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "remote.storage.enable", SET, "true", false), KAFKA_INVALID_CONFIG);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", SET, NULL, false), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_BROKER, "one", "log.retention.ms", SET, "1", false), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_BROKER, "17", "log.retention.ms", SET, "1", false), KAFKA_BROKER_ID_NOT_REGISTERED);
    ck_assert_int_eq(alter(99, "x", "y", SET, "1", false), KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", 9, "1", false), KAFKA_INVALID_REQUEST);
    ck_assert_uint_eq(image_topic_by_name(&meta.image, SLICE_LITERAL("t"))->configs.count, 1);
}
END_TEST

START_TEST(broker_defaults_hold_for_topics)
{
    ck_assert_int_eq(alter(CONFIG_RESOURCE_BROKER, "", "log.retention.ms", SET, "77", false), KAFKA_NONE);
    ck_assert_uint_eq(meta.delta.broker_configs.count, 1);
    const struct setting *setting = setting_find(topic_config_table, TOPIC_CONFIG_COUNT, SLICE_LITERAL("retention.ms"));
    enum config_source source;
    ck_assert(slice_equal_str(config_effective(&meta.image, setting, SLICE_NULL, &source), "77"));
    ck_assert_int_eq(source, CONFIG_SOURCE_BROKER_DEFAULT);
    ck_assert(slice_equal_str(config_effective(&meta.image, setting, SLICE_LITERAL("5"), &source), "5"));
    ck_assert_int_eq(source, CONFIG_SOURCE_TOPIC);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_BROKER, "", "log.retention.ms", DELETE, NULL, false), KAFKA_NONE);
    ck_assert(slice_equal_str(config_effective(&meta.image, setting, SLICE_NULL, &source), "604800000"));
    ck_assert_int_eq(source, CONFIG_SOURCE_DEFAULT);
}
END_TEST

START_TEST(p_isr_min_isr_of_the_cluster_reaches_topics_without_their_own)
{
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", DELETE, NULL, false), KAFKA_NONE);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_BROKER, "", "min.insync.replicas", SET, "3", false), KAFKA_NONE);
    meta_fence(&meta, 1);
    ck_assert_uint_eq(meta_partition(&meta, "t", 0)->elr_count, 1);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_BROKER, "", "min.insync.replicas", SET, "2", false), KAFKA_NONE);
    ck_assert_uint_eq(meta_partition(&meta, "t", 0)->elr_count, 0);
    ck_assert_uint_eq(meta_partition(&meta, "t", 1)->elr_count, 0);
}
END_TEST

/* Each would be decided on what the other is about to change: two changes of one partition, or a minimum that never was. */
START_TEST(p_isr_min_isr_of_a_topic_and_of_all_brokers_do_not_change_at_once)
{
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", DELETE, NULL, false), KAFKA_NONE);
    ck_assert_int_eq(alter(CONFIG_RESOURCE_BROKER, "", "min.insync.replicas", SET, "2", false), KAFKA_NONE);
    meta_fence(&meta, 1);
    meta_fence(&meta, 2);
    ck_assert_uint_eq(meta_partition(&meta, "t", 0)->elr_count, 1);
    struct incremental_alter_configs_request_configs change = {SLICE_LITERAL("min.insync.replicas"), SET, SLICE_LITERAL("1")};
    struct incremental_alter_configs_request_resources both[] = {{CONFIG_RESOURCE_BROKER, SLICE_LITERAL(""), &change, 1},
                                                                 {CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), &change, 1}};
    struct incremental_alter_configs_request request = {both, 2, false};
    struct incremental_alter_configs_response response = {0};
    config_incremental_alter(&meta.control, &request, &response);
    ck_assert_int_eq(response.responses[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(response.responses[1].error_code, KAFKA_INVALID_REQUEST);
    meta_commit(&meta);
    ck_assert_uint_eq(meta_partition(&meta, "t", 0)->elr_count, 0);
}
END_TEST

START_TEST(old_alter_replaces_the_whole)
{
    ck_assert_int_eq(alter(CONFIG_RESOURCE_TOPIC, "t", "retention.ms", SET, "1000", false), KAFKA_NONE);
    struct alter_configs_request_configs config = {SLICE_LITERAL("retention.bytes"), SLICE_LITERAL("5")};
    struct alter_configs_request_resources resource = {CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), &config, 1};
    struct alter_configs_request request = {&resource, 1, false};
    struct alter_configs_response response = {0};
    config_alter(&meta.control, &request, &response);
    ck_assert_int_eq(response.responses[0].error_code, 0);
    meta_commit(&meta);
    ck_assert_str_eq(value_of("retention.bytes"), "5");
    ck_assert_ptr_null(value_of("retention.ms"));
    ck_assert_ptr_null(value_of("min.insync.replicas"));
}
END_TEST

START_TEST(one_wrong_key_leaves_the_resource_alone)
{
    struct incremental_alter_configs_request_configs changes[] = {{SLICE_LITERAL("retention.ms"), SET, SLICE_LITERAL("1")},
                                                                  {SLICE_LITERAL("retention.ms"), SET, SLICE_LITERAL("2")}};
    struct incremental_alter_configs_request_resources resources[] = {{CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), changes, 2},
                                                                      {CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), changes, 1}};
    struct incremental_alter_configs_request request = {resources, 2, false};
    struct incremental_alter_configs_response response = {0};
    config_incremental_alter(&meta.control, &request, &response);
    ck_assert_int_eq(response.responses[0].error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(response.responses[1].error_code, KAFKA_INVALID_REQUEST);
    ck_assert_uint_eq(meta_commit(&meta), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_control");
    TCase *tests = tcase_create("config_control");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, sets_and_deletes);
    tcase_add_test(tests, appends_and_subtracts);
    tcase_add_test(tests, a_resource_named_twice_is_not_changed);
    tcase_add_test(tests, blanks_around_a_number_do_not_count);
    tcase_add_test(tests, refuses_what_is_wrong);
    tcase_add_test(tests, throttled_replicas_are_pairs_or_a_star);
    tcase_add_test(tests, a_long_list_takes_little_memory);
    tcase_add_test(tests, a_long_list_is_joined_once);
    tcase_add_test(tests, broker_defaults_hold_for_topics);
    tcase_add_test(tests, p_isr_min_isr_of_the_cluster_reaches_topics_without_their_own);
    tcase_add_test(tests, p_isr_min_isr_of_a_topic_and_of_all_brokers_do_not_change_at_once);
    tcase_add_test(tests, old_alter_replaces_the_whole);
    tcase_add_test(tests, one_wrong_key_leaves_the_resource_alone);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
