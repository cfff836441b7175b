/* librdkafka in the client matrix (tests/compat/clients/matrix.sh): BOOTSTRAP, PREFIX, WORK and KILL_LEADER in, TAP out. With the argument
 * `version` it says which librdkafka it runs with; with names of cases, it runs those. */
#include "tests/compat/clients/librdkafka/kit.h"

#include <stdio.h>
#include <string.h>

static const struct kit_case cases[] = {
    {"codec-none", cases_codec_none, false},
    {"codec-gzip", cases_codec_gzip, false},
    {"codec-snappy", cases_codec_snappy, false},
    {"codec-lz4", cases_codec_lz4, false},
    {"codec-zstd", cases_codec_zstd, false},
    {"headers", cases_headers, false},
    {"null-key-value", cases_null_key_value, false},
    {"big-record", cases_big_record, false},
    {"idempotence", cases_idempotence, false},
    {"partitioner", cases_partitioner, false},
    {"offsets", cases_offsets, false},
    {"group", cases_group, false},
    {"group-cooperative", cases_group_cooperative, false},
    {"group-static", cases_group_static, false},
    {"admin", cases_admin, false},
    {"txn-refused", cases_txn_refused, false},
    /* These leave a node down. */
    {"group-killed", cases_group_killed, true},
    {"leader-killed", cases_leader_killed, true},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static bool is_wanted(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return true;
    return count == 0;
}

int main(int argc, char **argv)
{
    struct kit_case wanted[CASES];
    size_t count = 0;
    if (argc == 2 && strcmp(argv[1], "version") == 0) return printf("librdkafka %s (C)\n", rd_kafka_version_str()) < 0;
    for (size_t i = 0; i < CASES; i++)
        if (is_wanted(cases[i].name, argc - 1, argv + 1)) wanted[count++] = cases[i];
    return kit_run(wanted, count);
}
