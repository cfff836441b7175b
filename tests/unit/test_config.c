/* server.properties as people paste it: tutorials T-020 to T-022, errors with their place, listeners. */
#include "common/config.h"
#include "common/listeners.h"
#include "common/mem.h"
#include "common/topic_config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct config config;
    char warnings[4096];
};

static void on_warning(void *user, const char *line)
{
    struct fixture *f = user;
    size_t n = strlen(f->warnings);
    (void)snprintf(f->warnings + n, sizeof f->warnings - n, "%s\n", line);
}

static struct fixture *load(const char *text, enum err expected)
{
    struct fixture *f = mem_alloc(sizeof *f);
    config_init(&f->config, on_warning, f);
    enum err err = config_load(&f->config, "server.properties", slice_str(text));
    if (!err) err = config_finish(&f->config);
    ck_assert_msg(err == expected, "%s", f->config.error);
    return f;
}

static void unload(struct fixture *f)
{
    config_deinit(&f->config);
    mem_free(f);
}

static const char kafka_2x[] =
    "\xef\xbb\xbf# The id of the broker.\r\nbroker.id=0\r\nlisteners=PLAINTEXT://localhost:9092 "
    "\r\nnum.network.threads=3\t\r\nnum.io.threads=8\r\n"
    "socket.send.buffer.bytes=102400\r\nsocket.request.max.bytes=104857600\r\nlog.dirs=\xc2\xa0/tmp/"
    "kafka-logs\xc2\xa0\r\nnum.partitions=3\r\n"
    "num.recovery.threads.per.data.dir=1\r\noffsets.topic.replication.factor=1\r\nlog.retention.hours=168\r\nlog.segment.bytes="
    "1073741824\r\n"
    "zookeeper.connect=localhost:2181\r\nzookeeper.connection.timeout.ms=6000\r\ngroup.initial.rebalance.delay.ms=0";

START_TEST(a_pasted_file_is_read)
{
    struct fixture *f = load(kafka_2x, ERR_OK);
    ck_assert_int_eq(config_node_id(&f->config), 0);
    ck_assert_int_eq(config_number(&f->config, CONFIG_NUM_PARTITIONS), 3);
    ck_assert(slice_equal_str(config_log_dirs(&f->config), "/tmp/kafka-logs"));
    ck_assert_int_eq(config_retention_ms(&f->config), 604800000);
    ck_assert_int_eq(config_number(&f->config, CONFIG_FETCH_MAX_BYTES), 57671680);
    ck_assert_ptr_nonnull(strstr(f->warnings, "server.properties:14: zookeeper.connect has no effect"));
    ck_assert_ptr_null(strstr(f->warnings, "zookeeper.connection"));
    ck_assert_ptr_nonnull(strstr(f->warnings, "without effect here: num.network.threads, num.io.threads"));
    ck_assert_ptr_null(strstr(f->warnings, "there is no setting"));
    struct listeners listeners;
    char reason[CONFIG_LINE_MAX] = "";
    ck_assert_msg(listeners_parse(&listeners, &f->config, "machine", reason) == ERR_OK, "%s", reason);
    ck_assert_uint_eq(listeners.count, 2);
    ck_assert_str_eq(listeners.items[0].host, "localhost");
    ck_assert(listeners.items[1].is_controller);
    ck_assert_str_eq(listeners.items[1].host, "127.0.0.1");
    ck_assert_uint_eq(listeners.voter_count, 1);
    unload(f);
}
END_TEST

START_TEST(old_names_work_and_are_explained)
{
    struct fixture *f = load("broker.id=1\nport=9093\nhost.name=192.168.7.100\nlog.dirs=/tmp/kafka-logs-1\n", ERR_OK);
    ck_assert_int_eq(config_node_id(&f->config), 1);
    ck_assert_str_eq(config_text(&f->config, CONFIG_LISTENERS), "PLAINTEXT://192.168.7.100:9093");
    ck_assert_ptr_nonnull(strstr(f->warnings, "write listeners=PLAINTEXT://192.168.7.100:9093"));
    unload(f);
}
END_TEST

START_TEST(comments_continuations_and_escapes)
{
    struct fixture *f = load("! old style\n  log.dirs : /a,\\\n   /b\nbroker.rack\\\n=east\\u0020side\nnum.partitions 7\n", ERR_OK);
    ck_assert(slice_equal_str(config_log_dirs(&f->config), "/a,/b"));
    ck_assert_str_eq(config_text(&f->config, CONFIG_BROKER_RACK), "east side");
    ck_assert_int_eq(config_number(&f->config, CONFIG_NUM_PARTITIONS), 7);
    unload(f);
}
END_TEST

START_TEST(what_would_protect_is_said_to_be_missing)
{
    struct fixture *f = load("ssl.keystore.location=/keys\nsasl.enabled.mechanisms=PLAIN\nssl.no.such=1\nnum.io.threads=2\n", ERR_OK);
    ck_assert_ptr_nonnull(strstr(f->warnings, "server.properties:1: ssl.keystore.location has no effect: TLS is not available yet"));
    ck_assert_ptr_nonnull(strstr(f->warnings, "server.properties:2: sasl.enabled.mechanisms has no effect: authentication is not"));
    ck_assert_ptr_nonnull(strstr(f->warnings, "server.properties:3: ssl.no.such has no effect: TLS is not available yet"));
    ck_assert_ptr_null(strstr(f->warnings, "num.io.threads has no effect"));
    unload(f);
}
END_TEST

START_TEST(an_unknown_name_is_a_warning_with_the_nearest_one)
{
    struct fixture *f = load("log.retension.hours=1\nwhat.is.this=1\n", ERR_OK);
    ck_assert_ptr_nonnull(
        strstr(f->warnings, "server.properties:1: there is no setting log.retension.hours; did you mean log.retention.hours?"));
    ck_assert_ptr_nonnull(strstr(f->warnings, "server.properties:2: there is no setting what.is.this; it is ignored"));
    unload(f);
}
END_TEST

static const struct {
    const char *text, *error;
} wrong[] = {
    {"a=b\n\nnum.partitions=zero\n", "server.properties:3: num.partitions=zero: it must be a whole number from 1 to 2147483647"},
    {"num.partitions=0", "server.properties:1: num.partitions=0: it must be a whole number from 1 to 2147483647"},
    {"auto.create.topics.enable=yes", "server.properties:1: auto.create.topics.enable=yes: it must be true or false"},
    {"log.flush.policy=never", "server.properties:1: log.flush.policy=never: it must be one of fsync|os"},
    {"log.cleanup.policy=delete,shred", "server.properties:1: log.cleanup.policy=delete,shred: it must be a list of delete|compact"},
    {"max.connections.per.ip=0", "max.connections.per.ip can be 0 only with max.connections.per.ip.overrides: nobody could connect"},
    {"broker.id=1\nnode.id=2", "broker.id=1 and node.id=2 contradict each other: keep node.id only"},
};

START_TEST(a_wrong_value_names_its_place_and_what_is_allowed)
{
    struct fixture *f = load(wrong[_i].text, ERR_INVALID);
    ck_assert_str_eq(f->config.error, wrong[_i].error);
    unload(f);
}
END_TEST

START_TEST(an_authorizer_that_is_not_there_stops_the_start)
{
    struct fixture *f = load("authorizer.class.name=org.example.Authorizer", ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(f->config.error, "authorization is not available yet"));
    unload(f);
}
END_TEST

START_TEST(overrides_win)
{
    struct fixture *f = load("num.partitions=2", ERR_OK);
    ck_assert_int_eq(config_override(&f->config, "num.partitions=5"), ERR_OK);
    ck_assert_int_eq(config_number(&f->config, CONFIG_NUM_PARTITIONS), 5);
    ck_assert_int_eq(config_override(&f->config, "num.partitions"), ERR_INVALID);
    ck_assert_str_eq(f->config.error, "--override num.partitions: give it as key=value");
    ck_assert_int_eq(config_override(&f->config, "num.partitions=-5"), ERR_INVALID);
    ck_assert_str_eq(f->config.error, "--override: num.partitions=-5: it must be a whole number from 1 to 2147483647");
    unload(f);
}
END_TEST

static const char three[] =
    "node.id=1\nprocess.roles=broker,controller\ncontroller.quorum.voters=0@127.0.0.1:9192,1@127.0.0.1:9193,2@127.0.0.1:9194\n"
    "listeners=PLAINTEXT://127.0.0.1:9093,CONTROLLER://127.0.0.1:9193\nadvertised.listeners=PLAINTEXT://broker1.example:19093\n"
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\ninter.broker.listener.name=PLAINTEXT\n"
    "controller.listener.names=CONTROLLER\n";

START_TEST(a_cluster_config_gives_listeners_and_voters)
{
    struct fixture *f = load(three, ERR_OK);
    struct listeners listeners;
    char reason[CONFIG_LINE_MAX] = "";
    ck_assert_msg(listeners_parse(&listeners, &f->config, "machine", reason) == ERR_OK, "%s", reason);
    ck_assert_uint_eq(listeners.count, 2);
    ck_assert_uint_eq(listeners.voter_count, 3);
    ck_assert_int_eq(listeners.voters[2].port, 9194);
    ck_assert_str_eq(listeners.items[listeners.inter_broker].advertised_host, "broker1.example");
    ck_assert_int_eq(listeners.items[listeners.inter_broker].advertised_port, 19093);
    ck_assert_str_eq(f->warnings, "");
    unload(f);
}
END_TEST

START_TEST(a_node_may_be_a_controller_only_or_a_broker_only)
{
    struct fixture *controller = load("node.id=1\nprocess.roles=controller\ncontroller.quorum.voters=1@c1:9193,2@c2:9193\n"
                                      "listeners=CONTROLLER://c1:9193\ncontroller.listener.names=CONTROLLER\n",
                                      ERR_OK);
    struct fixture *broker = load("node.id=7\nprocess.roles=broker\ncontroller.quorum.voters=1@c1:9193,2@c2:9193\n"
                                  "listeners=PLAINTEXT://b7:9092\ncontroller.listener.names=CONTROLLER\n",
                                  ERR_OK);
    struct listeners listeners;
    char reason[CONFIG_LINE_MAX] = "";
    ck_assert_msg(listeners_parse(&listeners, &controller->config, "machine", reason) == ERR_OK, "%s", reason);
    ck_assert(listeners.count == 1 && listeners.items[0].is_controller);
    ck_assert_msg(listeners_parse(&listeners, &broker->config, "machine", reason) == ERR_OK, "%s", reason);
    ck_assert(listeners.count == 1 && !listeners.items[0].is_controller && listeners.inter_broker == 0);
    ck_assert_uint_eq(listeners.voter_count, 2);
    unload(controller);
    unload(broker);
}
END_TEST

static const struct {
    const char *text, *part;
} wrong_listeners[] = {
    {"listeners=localhost:9092", "is not of the form NAME://HOST:PORT"},
    {"listeners=PLAINTEXT://:9092,PLAINTEXT://:9093", "the name PLAINTEXT is given twice"},
    {"listeners=INSIDE://:9092", "add INSIDE:PLAINTEXT to listener.security.protocol.map"},
    {"listeners=SASL_SSL://:9092", "is not available yet"},
    {"advertised.listeners=PLAINTEXT://0.0.0.0:9092", "name an address that clients can reach"},
    {"advertised.listeners=OUTSIDE://a:9092", "OUTSIDE is not among the listeners"},
    {"controller.quorum.voters=0@a:1,1@b", "1@b is not of the form ID@HOST:PORT"},
    {"controller.quorum.voters=1@a:1", "does not name this node (node.id=0)"},
    {"controller.quorum.voters=0@a:1", "name the listener that the controllers use"},
    {"process.roles=broker\ncontroller.listener.names=CONTROLLER", "needs to know its controllers"},
    {"process.roles=broker\ncontroller.quorum.voters=1@a:1", "name the listener that the controllers use"},
    {"process.roles=broker\ncontroller.quorum.voters=0@a:1\ncontroller.listener.names=CONTROLLER", "names this node (node.id=0)"},
    {"process.roles=broker\ncontroller.quorum.voters=1@a:1\ncontroller.listener.names=C\nlisteners=C://:1", "connects to it, and has none"},
    {"process.roles=broker\ncontroller.quorum.voters=1@a:1\ncontroller.listener.names=SSL", "wants SSL, which is not available yet"},
    {"process.roles=broker\ncontroller.quorum.voters=1@a:1\ncontroller.listener.names=C\n"
     "listener.security.protocol.map=PLAINTEXT:PLAINTEXT",
     "add C:PLAINTEXT to listener.security.protocol.map"},
    {"process.roles=controller\ncontroller.quorum.voters=0@a:1", "name the listener that the controllers use"},
    {"process.roles=controller\ncontroller.quorum.voters=0@a:1\ncontroller.listener.names=C",
     "PLAINTEXT is not in controller.listener.names"},
    {"process.roles=controller\ncontroller.quorum.voters=1@a:1\ncontroller.listener.names=C\nlisteners=C://:1", "does not name this node"},
};

START_TEST(wrong_listeners_are_explained)
{
    struct fixture *f = load(wrong_listeners[_i].text, ERR_OK);
    struct listeners listeners;
    char reason[CONFIG_LINE_MAX] = "";
    ck_assert_int_eq(listeners_parse(&listeners, &f->config, "machine", reason), ERR_INVALID);
    ck_assert_msg(strstr(reason, wrong_listeners[_i].part) != NULL, "%s", reason);
    unload(f);
}
END_TEST

START_TEST(topic_settings_have_valid_defaults_and_known_origins)
{
    for (size_t i = 0; i < TOPIC_CONFIG_COUNT; i++) {
        const struct setting *setting = &topic_config_table[i];
        char reason[SETTING_REASON_MAX];
        int64_t number = 0;
        ck_assert_msg(setting_parse(setting, slice_str(setting->default_text), &number, reason), "%s %s", setting->name, reason);
        if (setting->broker_name)
            ck_assert_msg(setting_find(config_table, CONFIG_COUNT, slice_str(setting->broker_name)) != NULL, "%s", setting->broker_name);
        if (i > 0) ck_assert_int_lt(strcmp(topic_config_table[i - 1].name, setting->name), 0);
    }
    ck_assert_ptr_null(setting_find(topic_config_table, TOPIC_CONFIG_COUNT, SLICE_LITERAL("no.such")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("core");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, a_pasted_file_is_read);
    tcase_add_test(tcase, old_names_work_and_are_explained);
    tcase_add_test(tcase, comments_continuations_and_escapes);
    tcase_add_test(tcase, what_would_protect_is_said_to_be_missing);
    tcase_add_test(tcase, an_unknown_name_is_a_warning_with_the_nearest_one);
    tcase_add_loop_test(tcase, a_wrong_value_names_its_place_and_what_is_allowed, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(tcase, an_authorizer_that_is_not_there_stops_the_start);
    tcase_add_test(tcase, overrides_win);
    tcase_add_test(tcase, a_cluster_config_gives_listeners_and_voters);
    tcase_add_test(tcase, a_node_may_be_a_controller_only_or_a_broker_only);
    tcase_add_loop_test(tcase, wrong_listeners_are_explained, 0, (int)(sizeof wrong_listeners / sizeof *wrong_listeners));
    tcase_add_test(tcase, topic_settings_have_valid_defaults_and_known_origins);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
