/* librdkafka in the client matrix (tests/compat/clients/matrix.sh): BOOTSTRAP, PREFIX, WORK and KILL_LEADER in, TAP out. With the argument
 * `version` it says which librdkafka it runs with; with names of cases, it runs those. */
#include "tests/compat/clients/librdkafka/kit.h"

#include <stdio.h>
#include <string.h>

static const struct kit_case cases[] = {
    {"codec-none", 60, cases_codec_none},
    {"codec-gzip", 60, cases_codec_gzip},
    {"codec-snappy", 60, cases_codec_snappy},
    {"codec-lz4", 60, cases_codec_lz4},
    {"codec-zstd", 60, cases_codec_zstd},
    {"headers", 60, cases_headers},
    {"null-key-value", 60, cases_null_key_value},
    {"big-record", 60, cases_big_record},
    {"idempotence", 60, cases_idempotence},
    {"partitioner", 60, cases_partitioner},
    {"offsets", 60, cases_offsets},
    {"group", 60, cases_group},
    {"group-cooperative", 60, cases_group_cooperative},
    {"group-static", 60, cases_group_static},
    {"admin", 60, cases_admin},
    {"txn-refused", 60, cases_txn_refused},
    /* These leave a node down, and wait for one that comes back. */
    {"group-killed", 120, cases_group_killed},
    {"leader-killed", 120, cases_leader_killed},
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
