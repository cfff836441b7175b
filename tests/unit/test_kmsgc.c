/* The schema compiler, run as the build runs it: what it refuses, where it says the fault is, and what it makes. */
#include "common/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPILER "build/kmsgc"

static char directory[] = "/tmp/skiff-kmsgc-XXXXXX";

static void read_all(FILE *file, char *out, size_t size)
{
    size_t n = fread(out, 1, size - 1, file);
    out[n] = '\0';
}

/* Compiles `text`; the exit status is 0 on success.  What the compiler printed goes to `output`. */
static int compile(const char *text, char *output, size_t size)
{
    char command[256], path[64];
    snprintf(path, sizeof path, "%s/in.kmsg", directory);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    snprintf(command, sizeof command, COMPILER " %s/out %s 2>&1", directory, path);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    read_all(pipe, output, size);
    return pclose(pipe);
}

static void read_generated(const char *suffix, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%s/out%s", directory, suffix);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    read_all(file, out, size);
    fclose(file);
}

#define HEAD "M => data, versions 0-3, flexible 2+\n"

static const struct refusal {
    const char *text, *complaint;
} refusals[] = {
    {"M => thing 1, versions 0\n", "in.kmsg:1: error: unknown kind of message 'thing'"},
    {"M => data, versions 0+\n", "in.kmsg:1: error: the versions of a message have an end"},
    {"M => data, versions 0-2, flexible 5+\n", "in.kmsg:1: error: flexible versions are outside"},
    {"M => data, versions 0\nM => data, versions 0\n", "in.kmsg:2: error: M is defined twice"},
    {"A => request 1, versions 0\n", "in.kmsg:1: error: key 1 has a request or a response only"},
    {"A => request 1, versions 0\nB => request 1, versions 0\n", "in.kmsg:2: error: B: key 1 is taken by A"},
    {"ARequest => request 1, versions 0\nAResponse => response 1, versions 0-1\n",
     "in.kmsg:2: error: versions differ from those of ARequest"},
    {HEAD "  A: int33\n", "in.kmsg:2: error: unknown type 'int33'"},
    {HEAD "  A int32\n", "in.kmsg:2: error: expected ':' before 'int32'"},
    {HEAD "  A: int32\n  A: int8\n", "in.kmsg:3: error: A is defined twice"},
    {HEAD "   A: int32\n", "in.kmsg:2: error: indent by two spaces"},
    {HEAD "  A: int32\n    B: int32\n", "in.kmsg:3: error: indented too deep"},
    {HEAD "  A: int32?\n", "in.kmsg:2: error: A: int32 cannot be null"},
    {HEAD "  A: string = null\n", "in.kmsg:2: error: A cannot be null"},
    {HEAD "  A: int8 = 200\n", "in.kmsg:2: error: 200 is not in -128..127"},
    {HEAD "  A: string = 5\n", "in.kmsg:2: error: A: only null can be the default of this type"},
    {HEAD "  A: int8 = true\n", "in.kmsg:2: error: A is not a bool"},
    {HEAD "  A: int8, v4+\n", "in.kmsg:2: error: A: versions outside those of the struct around it"},
    {HEAD "  A: int8, tag 0\n", "in.kmsg:2: error: A: a tagged field needs flexible versions"},
    {HEAD "  A: int8, v2+, tag 0\n  B: int8, v2+, tag 0\n", "in.kmsg:3: error: tag 0 is taken by A"},
    {HEAD "  A: [bytes]\n", "in.kmsg:2: error: A: no arrays of bytes"},
    {HEAD "  A: int8 5\n", "in.kmsg:2: error: unexpected '5'"},
    {HEAD "  A: [Missing]\n", "in.kmsg:2: error: unknown type 'Missing'"},
    {HEAD "  A: int8\n  struct S\n", "in.kmsg:3: error: shared structs come before the fields"},
    {HEAD "\tA: int8\n", "in.kmsg:2: error: "},
    {"FetchA => data, versions 0\n  Bit: =>\n    X: int8\nFetchABit => data, versions 0\n  X: int8\n",
     "in.kmsg:4: error: two structs are called fetch_a_bit"},
};

START_TEST(faults_are_named_with_file_and_line)
{
    char output[512];
    ck_assert_int_ne(compile(refusals[_i].text, output, sizeof output), 0);
    ck_assert_msg(strstr(output, refusals[_i].complaint) != NULL, "wanted: %s\n   got: %s", refusals[_i].complaint, output);
}
END_TEST

START_TEST(structs_are_named_by_field_and_by_path_where_needed)
{
    char output[512], header[8192];
    const char *text =
        HEAD "  struct Shared\n    Id: uuid\n"
             "  // First one.\n  Topics: [=>]\n    Parts: [=>]?2+\n      KRaftV3: int16 = -1\n    One: =>? = null\n      X: float64\n"
             "  Lost: =>\n    Parts: [Shared]\n    Other: =>\n      Parts: =>\n        Y: bool = true\n";
    ck_assert_msg(compile(text, output, sizeof output) == 0, "%s", output);
    read_generated(".h", header, sizeof header);
    ck_assert_ptr_nonnull(strstr(header, "struct m_topics_parts {\n    int16_t k_raft_v3;\n};"));
    ck_assert_ptr_nonnull(strstr(header, "struct m_lost_other_parts {\n    bool y;\n};"));
    ck_assert_ptr_nonnull(strstr(header, "    struct m_topics_parts *parts;\n    int32_t parts_count;\n    struct m_one *one;\n"));
    ck_assert_ptr_nonnull(strstr(header, "    struct m_shared *parts;\n    int32_t parts_count;\n    struct m_other other;\n"));
    ck_assert_ptr_nonnull(strstr(header, "    /* First one. */\n    struct m_topics *topics;\n"));
}
END_TEST

START_TEST(versions_that_look_alike_share_a_layout)
{
    char output[512];
    static char tables[16384];
    const char *text = HEAD "  A: int8\n  B: int32, v3+\n";
    ck_assert_msg(compile(text, output, sizeof output) == 0, "%s", output);
    read_generated(".c", tables, sizeof tables);
    ck_assert_ptr_nonnull(strstr(tables, "schema_version_layouts[] = {\n    0, 0, 1, 2,"));
}
END_TEST

int main(void)
{
    if (!mkdtemp(directory)) return 1;
    TCase *tcase = tcase_create("kmsgc");
    tcase_add_loop_test(tcase, faults_are_named_with_file_and_line, 0, sizeof refusals / sizeof refusals[0]);
    tcase_add_test(tcase, structs_are_named_by_field_and_by_path_where_needed);
    tcase_add_test(tcase, versions_that_look_alike_share_a_layout);
    Suite *suite = suite_create("kmsgc");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    static const char *const files[] = {"in.kmsg", "out.h", "out.c"};
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        unlink(path);
    }
    rmdir(directory);
    return failed != 0;
}
