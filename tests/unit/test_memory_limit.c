/* The memory limit of a process, from trees of control groups as both versions of the kernel's interface show them. */
#include "broker/cli/memory_limit.h"
#include "broker/node/broker_options.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MB (1 << 20)

static char root[64], membership[128];

static void setup(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(root, sizeof root, "%s/skiff-memory-XXXXXX", base && *base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(root));
    (void)snprintf(membership, sizeof membership, "%s/membership", root);
}
static void teardown(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0); // NOLINT(cert-env33-c): the path is ours
}

static void put(const char *path, const char *text)
{
    char full[256];
    (void)snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        (void)mkdir(full, 0755);
        *at = '/';
    }
    FILE *file = fopen(full, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}
static int64_t find(void) { return memory_limit_find(membership, root); }

START_TEST(without_groups_there_is_no_limit)
{
    ck_assert_int_eq(find(), 0);
    put("membership", "");
    ck_assert_int_eq(find(), 0);
    put("membership", "0::/\n");
    ck_assert_int_eq(find(), 0);
    put("membership", "garbage\n::\n0:\n");
    ck_assert_int_eq(find(), 0);
}
END_TEST

START_TEST(version_2_the_least_of_the_group_and_those_above)
{
    put("membership", "0::/system.slice/skiff.service\n");
    put("system.slice/skiff.service/memory.max", "max\n");
    ck_assert_int_eq(find(), 0);
    put("system.slice/memory.max", "500000000\n");
    ck_assert_int_eq(find(), 500000000);
    put("system.slice/skiff.service/memory.max", "67108864\n");
    ck_assert_int_eq(find(), 64 * MB);
    put("memory.max", "1000000\n"); /* a container's: the root of what it sees */
    ck_assert_int_eq(find(), 1000000);
}
END_TEST

START_TEST(version_1_beside_an_empty_version_2)
{
    put("membership", "9:name=systemd:/\n5:cpu,memory:/docker/abc\n0::/\n");
    put("memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_int_eq(find(), 0);
    put("memory/docker/abc/memory.limit_in_bytes", "67108864\n");
    put("memory/memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_int_eq(find(), 64 * MB);
}
END_TEST

START_TEST(a_group_that_is_not_where_its_name_says_is_that_of_the_mount)
{
    put("membership", "4:memory:/docker/abc\n0::/docker/abc\n");
    put("memory/memory.limit_in_bytes", "67108864\n");
    ck_assert_int_eq(find(), 64 * MB);
}
END_TEST

static const struct {
    int64_t limit, memory;
} shares[] = {{0, 400 * MB}, {64 * MB, 8 * MB}, {1 * MB, 4 * MB}, {64 * (int64_t)1024 * MB, 400 * MB}};

START_TEST(requests_get_an_eighth_of_it)
{
    struct config config;
    config_init(&config, NULL, NULL);
    config.memory_limit_bytes = shares[_i].limit;
    ck_assert_int_eq(broker_server_limits(&config).memory_bytes_max, shares[_i].memory);
    ck_assert_int_eq(config_override(&config, "queued.max.request.bytes=1234567"), ERR_OK);
    ck_assert_int_eq(broker_server_limits(&config).memory_bytes_max, 1234567);
    config_deinit(&config);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_limit");
    TCase *tcase = tcase_create("memory_limit");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, without_groups_there_is_no_limit);
    tcase_add_test(tcase, version_2_the_least_of_the_group_and_those_above);
    tcase_add_test(tcase, version_1_beside_an_empty_version_2);
    tcase_add_test(tcase, a_group_that_is_not_where_its_name_says_is_that_of_the_mount);
    tcase_add_loop_test(tcase, requests_get_an_eighth_of_it, 0, sizeof shares / sizeof *shares);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
