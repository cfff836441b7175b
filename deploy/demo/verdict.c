#include "deploy/demo/verdict.h"

#include "common/assert.h"
#include "common/mem.h"

#include <openssl/evp.h>

enum { DIGEST_SIZE = 32 };

struct verdict_key {
    char *name;
    uint32_t sent;
    uint32_t next[READER_COUNT]; /* sequence within the key that the reader expects at least */
    EVP_MD_CTX *input, *output[READER_COUNT];
};

struct verdict_place {
    int64_t offset;
    int32_t partition; /* -1: not there */
};

struct verdict_record {
    struct verdict_key *key;
    uint64_t fingerprint;
    uint32_t sequence; /* within the key */
    struct verdict_place acked, read[READER_COUNT];
};

static const struct verdict_place NOWHERE = {.offset = -1, .partition = -1};

static EVP_MD_CTX *digest_create(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    ASSERT(digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    return digest;
}

/* A line and its end, so that "ab" "c" differs from "a" "bc". */
static void digest_line(EVP_MD_CTX *digest, struct slice line)
{
    ASSERT(EVP_DigestUpdate(digest, line.p, line.n) == 1);
    ASSERT(EVP_DigestUpdate(digest, "\n", 1) == 1);
}

void verdict_init(struct verdict *v)
{
    *v = (struct verdict){0};
    map_init(&v->keys, 0);
    for (int r = 0; r < READER_COUNT; r++)
        for (int p = 0; p < VERDICT_PARTITIONS_MAX; p++) v->readers[r].last_offset[p] = -1;
}

void verdict_deinit(struct verdict *v)
{
    MAP_FOR_EACH (&v->keys, struct verdict_key, key) {
        EVP_MD_CTX_free(key->input);
        for (int r = 0; r < READER_COUNT; r++) EVP_MD_CTX_free(key->output[r]);
        mem_free(key->name);
        mem_free(key);
    }
    map_deinit(&v->keys);
    mem_free(v->records);
}

static struct verdict_key *key_of(struct verdict *v, struct slice name)
{
    struct verdict_key *key = map_get(&v->keys, name);
    if (key) return key;
    key = mem_alloc(sizeof *key);
    key->name = mem_strndup((const char *)name.p, name.n);
    key->input = digest_create();
    for (int r = 0; r < READER_COUNT; r++) key->output[r] = digest_create();
    map_put(&v->keys, slice_make(key->name, name.n), key);
    return key;
}

uint32_t verdict_sent(struct verdict *v, struct slice name, struct slice value)
{
    if (v->record_count == v->record_capacity) {
        v->record_capacity = v->record_capacity ? 2 * v->record_capacity : 4096;
        v->records = mem_realloc(v->records, v->record_capacity, sizeof *v->records);
    }
    struct verdict_key *key = key_of(v, name);
    v->records[v->record_count] = (struct verdict_record){
        .key = key, .fingerprint = map_hash(0, value), .sequence = key->sent++, .acked = NOWHERE, .read = {NOWHERE, NOWHERE}};
    digest_line(key->input, value);
    return v->record_count++;
}

void verdict_acked(struct verdict *v, uint32_t number, int32_t partition, int64_t offset)
{
    ASSERT(number < v->record_count && v->records[number].acked.partition < 0);
    v->records[number].acked = (struct verdict_place){.offset = offset, .partition = partition};
    v->acked++;
}

void verdict_read(struct verdict *v, enum reader_id reader, uint32_t number, int32_t partition, int64_t offset, struct slice name,
                  struct slice value)
{
    ASSERT(partition >= 0 && partition < VERDICT_PARTITIONS_MAX);
    v->readers[reader].read++;
    if (offset <= v->readers[reader].last_offset[partition]) v->readers[reader].reordered++;
    v->readers[reader].last_offset[partition] = offset;
    struct verdict_record *record = number < v->record_count ? &v->records[number] : NULL;
    if (!record || !slice_equal_str(name, record->key->name) || map_hash(0, value) != record->fingerprint) {
        v->readers[reader].strangers++;
        return;
    }
    if (record->read[reader].partition >= 0)
        v->readers[reader].duplicates++;
    else
        record->read[reader] = (struct verdict_place){.offset = offset, .partition = partition};
    if (record->sequence < record->key->next[reader])
        v->readers[reader].reordered++;
    else
        record->key->next[reader] = record->sequence + 1;
    digest_line(record->key->output[reader], value);
}

static bool same_digest(EVP_MD_CTX *input, EVP_MD_CTX *output)
{
    unsigned char a[DIGEST_SIZE], b[DIGEST_SIZE];
    EVP_MD_CTX *copy = EVP_MD_CTX_new(); /* the input is compared with every reader */
    ASSERT(copy && EVP_MD_CTX_copy_ex(copy, input) == 1 && EVP_DigestFinal_ex(copy, a, NULL) == 1);
    ASSERT(EVP_DigestFinal_ex(output, b, NULL) == 1);
    EVP_MD_CTX_free(copy);
    return memcmp(a, b, DIGEST_SIZE) == 0;
}

static void judge_record(const struct verdict_record *record, enum reader_id reader, struct verdict_result *result)
{
    const struct verdict_place *acked = &record->acked, *read = &record->read[reader];
    if (acked->partition < 0)
        result->unacked++;
    else if (read->partition < 0)
        result->lost++;
    else if (acked->partition != read->partition || acked->offset != read->offset)
        result->misplaced++;
}

bool verdict_judge(struct verdict *v, enum reader_id reader, struct verdict_result *result)
{
    *result = (struct verdict_result){
        .keys = map_count(&v->keys),
        .sent = v->record_count,
        .acked = v->acked,
        .read = v->readers[reader].read,
        .duplicates = v->readers[reader].duplicates,
        .reordered = v->readers[reader].reordered,
        .strangers = v->readers[reader].strangers,
    };
    for (uint32_t i = 0; i < v->record_count; i++) judge_record(&v->records[i], reader, result);
    MAP_FOR_EACH (&v->keys, struct verdict_key, key)
        if (!same_digest(key->input, key->output[reader])) result->digests_bad++;
    return result->sent > 0 && result->sent == result->acked && result->acked == result->read && result->unacked == 0 &&
           result->lost == 0 && result->misplaced == 0 && result->duplicates == 0 && result->reordered == 0 && result->strangers == 0 &&
           result->digests_bad == 0;
}
