/* broker/coordinator: the records of __consumer_offsets against bytes that Kafka 4.3.1's own classes wrote
 * (GroupCoordinatorRecordHelpers with GroupCoordinatorRecordSerde, and GroupMetadataValue at every version); subscriptions. */
#include "broker/coordinator/group_records.h"
#include "broker/coordinator/subscription.h"

#include <check.h>
#include <stdlib.h>

#define OFFSET_KEY   "000100086d792d67726f75700005746f70696300000007"
#define METADATA_KEY "000200086d792d67726f7570"
#define NOW_MS       1700000000123

static uint8_t from_hex_bytes[1024];

static struct slice from_hex(const char *hex)
{
    size_t n = strlen(hex) / 2;
    ck_assert_uint_le(n, sizeof from_hex_bytes);
    for (size_t i = 0; i < n; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        from_hex_bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return slice_make(from_hex_bytes, n);
}

static void expect_bytes(struct writer *w, const char *hex)
{
    ck_assert(slice_equal(writer_slice(w), from_hex(hex)));
    writer_deinit(w);
    writer_init(w, 0);
}

START_TEST(keys_are_kafkas)
{
    struct writer w;
    writer_init(&w, 0);
    group_record_write_offset_key(&w, slice_str("my-group"), slice_str("topic"), 7);
    expect_bytes(&w, OFFSET_KEY);
    group_record_write_metadata_key(&w, slice_str("my-group"));
    expect_bytes(&w, METADATA_KEY);
    writer_deinit(&w);
    struct group_record_key key;
    ck_assert_int_eq(group_record_parse_key(from_hex(OFFSET_KEY), &key), ERR_OK);
    ck_assert_int_eq(key.type, GROUP_RECORD_OFFSET);
    ck_assert(slice_equal_str(key.group, "my-group"));
    ck_assert(slice_equal_str(key.topic, "topic"));
    ck_assert_int_eq(key.partition, 7);
    ck_assert_int_eq(group_record_parse_key(from_hex(METADATA_KEY), &key), ERR_OK);
    ck_assert_int_eq(key.type, GROUP_RECORD_METADATA);
}
END_TEST

START_TEST(keys_of_others_are_known_as_such_and_damage_is_noticed)
{
    struct group_record_key key;
    ck_assert_int_eq(group_record_parse_key(from_hex("000300086d792d67726f7570"), &key), ERR_OK);
    ck_assert_int_eq(key.type, GROUP_RECORD_OTHER);
    ck_assert_int_eq(group_record_parse_key(from_hex("ffff"), &key), ERR_OK);
    ck_assert_int_eq(key.type, GROUP_RECORD_OTHER);
    ck_assert_int_eq(group_record_parse_key(from_hex("00"), &key), ERR_CORRUPT);
    ck_assert_int_eq(group_record_parse_key(from_hex("000200086d79"), &key), ERR_CORRUPT);
    ck_assert_int_eq(group_record_parse_key(from_hex(METADATA_KEY "00"), &key), ERR_CORRUPT);
    /* Type 0, of brokers of 0.8. */
    ck_assert_int_eq(group_record_parse_key(from_hex("000000086d792d67726f75700005746f70696300000007"), &key), ERR_OK);
    ck_assert_int_eq(key.type, GROUP_RECORD_OFFSET);
}
END_TEST

START_TEST(offsets_are_written_as_kafka_4_3_does)
{
    struct writer w;
    writer_init(&w, 0);
    struct offset_commit_value value = {.offset = 0x0102030405060708,
                                        .leader_epoch = 9,
                                        .metadata = SLICE_LITERAL("note"),
                                        .commit_timestamp = NOW_MS,
                                        .expire_timestamp = -1};
    group_record_write_offset(&w, &value);
    expect_bytes(&w, "0004010203040506070800000009056e6f74650000018bcfe5687b00");
    value = (struct offset_commit_value){
        .offset = 5,
        .leader_epoch = -1,
        .metadata = SLICE_LITERAL(""),
        .commit_timestamp = NOW_MS,
        .expire_timestamp = -1,
        .topic_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
    };
    group_record_write_offset(&w, &value);
    expect_bytes(&w, "00040000000000000005ffffffff010000018bcfe5687b0100100102030405060708090a0b0c0d0e0f10");
    value = (struct offset_commit_value){
        .offset = 5, .leader_epoch = -1, .metadata = SLICE_LITERAL("x"), .commit_timestamp = NOW_MS, .expire_timestamp = 1700000060000};
    group_record_write_offset(&w, &value);
    expect_bytes(&w, "000100000000000000050001780000018bcfe5687b0000018bcfe65260");
    writer_deinit(&w);
}
END_TEST

START_TEST(offsets_of_every_version_are_read)
{
    static const char *const versions[] = {
        "000000000000000000050001780000000000000006", "000100000000000000050001780000000000000006ffffffffffffffff",
        "000200000000000000050001780000000000000006", "00030000000000000005ffffffff0001780000000000000006",
        "00040000000000000005ffffffff0278000000000000000600"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct offset_commit_value value;
        ck_assert_int_eq(group_record_parse_offset(from_hex(versions[i]), &value), ERR_OK);
        ck_assert_int_eq(value.offset, 5);
        ck_assert_int_eq(value.leader_epoch, -1);
        ck_assert_int_eq(value.commit_timestamp, 6);
        ck_assert_int_eq(value.expire_timestamp, -1);
        ck_assert(slice_equal_str(value.metadata, "x"));
        struct slice torn = from_hex(versions[i]);
        torn.n--;
        ck_assert_int_eq(group_record_parse_offset(torn, &value), ERR_CORRUPT);
    }
    struct offset_commit_value value;
    ck_assert_int_eq(group_record_parse_offset(from_hex("0005"), &value), ERR_INVALID);
}
END_TEST

static const char *const metadata_versions[] = {
    "00000008636f6e73756d657200000004000572616e676500036d2d310000000200036d2d3100016300092f31302e302e302e370000271000000002010200"
    "0000010300036d2d3200016300092f31302e302e302e38000027100000000000000000",
    "00010008636f6e73756d657200000004000572616e676500036d2d310000000200036d2d3100016300092f31302e302e302e370000ea6000002710000000"
    "020102000000010300036d2d3200016300092f31302e302e302e380000ea60000027100000000000000000",
    "00020008636f6e73756d657200000004000572616e676500036d2d310000018bcfe5687b0000000200036d2d3100016300092f31302e302e302e370000ea"
    "6000002710000000020102000000010300036d2d3200016300092f31302e302e302e380000ea60000027100000000000000000",
    "00030008636f6e73756d657200000004000572616e676500036d2d310000018bcfe5687b0000000200036d2d3100016900016300092f31302e302e302e37"
    "0000ea6000002710000000020102000000010300036d2d32ffff00016300092f31302e302e302e380000ea60000027100000000000000000",
    "000409636f6e73756d6572000000040672616e6765046d2d310000018bcfe5687b03046d2d31026902630a2f31302e302e302e370000ea60000027100301"
    "02020300046d2d320002630a2f31302e302e302e380000ea600000271001010000",
};

START_TEST(groups_of_every_version_are_read_and_written_as_kafka_4_3_does)
{
    for (size_t i = 0; i < sizeof metadata_versions / sizeof *metadata_versions; i++) {
        struct arena arena;
        arena_init(&arena, 65536);
        struct group_metadata_value value;
        ck_assert_int_eq(group_record_parse_metadata(from_hex(metadata_versions[i]), &arena, &value), ERR_OK);
        ck_assert_int_eq(value.generation, 4);
        ck_assert(slice_equal_str(value.protocol_type, "consumer"));
        ck_assert(slice_equal_str(value.leader, "m-1"));
        ck_assert_int_eq(value.current_state_timestamp, i >= 2 ? NOW_MS : -1);
        ck_assert_int_eq(value.members_count, 2);
        ck_assert_int_eq(value.members[0].rebalance_timeout, i >= 1 ? 60000 : -1);
        ck_assert(slice_equal_str(value.members[0].group_instance_id, i >= 3 ? "i" : NULL));
        ck_assert_uint_eq(value.members[0].subscription.n, 2);
        if (i == 3) {
            struct writer w;
            writer_init(&w, 0);
            group_record_write_metadata(&w, &value);
            ck_assert(slice_equal(writer_slice(&w), slice_make(from_hex_bytes, strlen(metadata_versions[i]) / 2)));
            writer_deinit(&w);
        }
        arena_deinit(&arena);
    }
}
END_TEST

START_TEST(an_empty_group_is_written_as_kafka_4_3_does)
{
    struct writer w;
    writer_init(&w, 0);
    struct group_metadata_value value = {
        .protocol_type = SLICE_LITERAL(""), .protocol = SLICE_NULL, .leader = SLICE_NULL, .current_state_timestamp = NOW_MS};
    group_record_write_metadata(&w, &value);
    expect_bytes(&w, "0003000000000000ffffffff0000018bcfe5687b00000000");
    writer_deinit(&w);
}
END_TEST

/* ---- subscriptions ---- */

enum subscription_answer { SUBSCRIPTION_WITHOUT, SUBSCRIPTION_WITH, SUBSCRIPTION_MALFORMED };

static enum subscription_answer find(const char *hex, const char *topic)
{
    bool is_named = false;
    struct map topics;
    map_init(&topics, 0);
    map_put(&topics, slice_str(topic), &is_named);
    bool is_well_formed = subscription_mark(from_hex(hex), &topics);
    map_deinit(&topics);
    if (!is_well_formed) return SUBSCRIPTION_MALFORMED;
    return is_named ? SUBSCRIPTION_WITH : SUBSCRIPTION_WITHOUT;
}

START_TEST(g_proto_topics_of_a_subscription_are_found)
{
    const char *two = "0000"
                      "00000002"
                      "000174"
                      "00027575"
                      "00000000";
    ck_assert_int_eq(find(two, "t"), SUBSCRIPTION_WITH);
    ck_assert_int_eq(find(two, "uu"), SUBSCRIPTION_WITH);
    ck_assert_int_eq(find(two, "u"), SUBSCRIPTION_WITHOUT);
    /* Version 3, with all that came later, is read by its prefix; null user data. */
    ck_assert_int_eq(find("0003"
                          "00000001"
                          "000174"
                          "ffffffff"
                          "00000000ffffffff0001",
                          "t"),
                     SUBSCRIPTION_WITH);
    ck_assert_int_eq(find("00000000000000000000", "t"), SUBSCRIPTION_WITHOUT);
}
END_TEST

START_TEST(g_proto_malformed_subscriptions_are_that_and_no_more)
{
    static const char *const bad[] = {
        "",
        "00",
        "0000",
        "000000",
        "ffff0000000000000000",         /* negative version */
        "0000ffffffff00000000",         /* null topics */
        "00007fffffff",                 /* two billion topics */
        "0000000000010005",             /* a topic longer than the bytes */
        "000000000001ffff00000000",     /* a null topic */
        "000000000001000174",           /* no user data */
        "000000000001000174fffffffe",   /* user data of length -2 */
        "0000000000010001740000000500", /* cut user data */
        "00000000000200017400000000",   /* one topic fewer than promised */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert_int_eq(find(bad[i], "t"), SUBSCRIPTION_MALFORMED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_records");
    TCase *tcase = tcase_create("group_records");
    tcase_add_test(tcase, keys_are_kafkas);
    tcase_add_test(tcase, keys_of_others_are_known_as_such_and_damage_is_noticed);
    tcase_add_test(tcase, offsets_are_written_as_kafka_4_3_does);
    tcase_add_test(tcase, offsets_of_every_version_are_read);
    tcase_add_test(tcase, groups_of_every_version_are_read_and_written_as_kafka_4_3_does);
    tcase_add_test(tcase, an_empty_group_is_written_as_kafka_4_3_does);
    tcase_add_test(tcase, g_proto_topics_of_a_subscription_are_found);
    tcase_add_test(tcase, g_proto_malformed_subscriptions_are_that_and_no_more);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
