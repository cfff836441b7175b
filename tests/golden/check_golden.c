/* Bytes that Apache Kafka's own classes wrote (Golden.java, messages.gz) decode and encode to the same bytes: one TAP line a
 * message, with all its versions.  Record batches are read with every codec, and ours come out as Kafka's. */
#include "common/mem.h"
#include "proto/api.h"
#include "proto/codec.h"
#include "proto/record_batch.h"
#include "proto/schema.h"

#include <stdio.h>

#define PATH         "tests/golden/messages.gz"
#define PLAIN_MAX    (64u << 20)
#define VERSIONS_MAX 64

struct entry {
    struct slice name;
    int16_t version;
    struct slice bytes;
};

struct tally {
    int values;
    bool is_covered[VERSIONS_MAX];
    char fault[512]; /* the first one */
};

static struct buf *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    struct writer w;
    writer_init(&w, 1 << 20);
    for (size_t n = 1; n > 0;) {
        uint8_t chunk[4096];
        n = fread(chunk, 1, sizeof chunk, file);
        writer_bytes(&w, slice_make(chunk, n));
    }
    fclose(file);
    return writer_take(&w);
}

static bool next_entry(struct reader *r, struct entry *e)
{
    if (r->left == 0) return false;
    e->name = reader_bytes(r, reader_u16(r));
    e->version = reader_i16(r);
    e->bytes = reader_bytes(r, reader_u32(r));
    return reader_ok(r);
}

static int find_message(struct slice name)
{
    for (int i = 0; i < KMSG_COUNT; i++) {
        if (slice_equal_str(name, codec_name((enum kmsg)i))) return i;
    }
    return -1;
}

/* NULL when the bytes come back as they were. */
static const char *check_bytes(enum kmsg kmsg, int16_t version, struct slice bytes)
{
    if (!codec_has_version(kmsg, version)) return "no such version";
    struct arena arena;
    struct writer w;
    arena_init(&arena, codec_decode_budget(bytes.n));
    writer_init(&w, 0);
    void *message = mem_alloc(codec_struct_size(kmsg));
    const char *fault = NULL;
    if (codec_decode_exact(kmsg, version, bytes, &arena, message) != ERR_OK)
        fault = "does not decode";
    else if (codec_encode(kmsg, version, message, &w) != ERR_OK)
        fault = "does not encode";
    else if (!slice_equal(bytes, writer_slice(&w)))
        fault = "comes back different";
    mem_free(message);
    writer_deinit(&w);
    arena_deinit(&arena);
    return fault;
}

static void check_entry(const struct entry *e, enum kmsg kmsg, struct tally *t)
{
    const char *fault = check_bytes(kmsg, e->version, e->bytes);
    t->values++;
    if (e->version < VERSIONS_MAX) t->is_covered[e->version] = true;
    if (fault && !t->fault[0]) snprintf(t->fault, sizeof t->fault, "version %d, %zu bytes: %s", e->version, e->bytes.n, fault);
}

/* Versions that our schema has and the captured Kafka lacks, " v1 v2". */
static void list_uncovered(const struct schema_message *m, const struct tally *t, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int v = m->version_min; v <= m->version_max && used < size; v++) {
        if (!t->is_covered[v]) used += (size_t)snprintf(out + used, size - used, " v%d", v);
    }
}

static int report(enum kmsg kmsg, const struct tally *t)
{
    char uncovered[256];
    const struct schema_message *m = &schema_messages[kmsg];
    if (m->version_max < m->version_min) return 0;
    if (t->fault[0]) {
        printf("not ok - %s: %s\n", codec_name(kmsg), t->fault);
        return 1;
    }
    if (t->values) printf("ok - %s: %d values\n", codec_name(kmsg), t->values);
    list_uncovered(m, t, uncovered, sizeof uncovered);
    if (uncovered[0]) printf("ok - %s%s # SKIP newer than the Kafka that wrote the file\n", codec_name(kmsg), uncovered);
    return 0;
}

/* ---- record batches ---------------------------------------------------------------------------------------------- */

static struct slice format(char *text, size_t size, const char *prefix, int number)
{
    return slice_make(text, (size_t)snprintf(text, size, "%s%d", prefix, number));
}

/* The batch of Golden.java, made by us: with no codec the bytes must be Kafka's. */
static struct buf *build_batch(void)
{
    struct record_batch_spec spec;
    record_batch_spec_init(&spec);
    spec.base_offset = 1234567890123;
    spec.partition_leader_epoch = 9;
    spec.is_transactional = true;
    spec.producer_id = 77;
    spec.producer_epoch = 3;
    spec.base_sequence = 2147483600;
    struct record_batch_builder b;
    record_batch_builder_init(&b, &spec);
    for (int i = 0; i < 200; i++) {
        char key[16], value[32];
        uint8_t byte = (uint8_t)i;
        const struct record_header headers[] = {{SLICE_LITERAL("h"), {&byte, 1}}, {SLICE_LITERAL("n"), SLICE_NULL}};
        record_batch_builder_add(&b, 1700000000000 + i * 1000, i % 5 == 4 ? SLICE_NULL : format(key, sizeof key, "key ", i % 7),
                                 i % 11 == 10 ? SLICE_NULL : format(value, sizeof value, "value ", i * i), headers, i % 3 ? 0 : 2);
    }
    return record_batch_builder_finish(&b);
}

static bool is_same_record(const struct record *a, const struct record *b)
{
    return a->offset == b->offset && a->timestamp == b->timestamp && slice_equal(a->key, b->key) && slice_equal(a->value, b->value) &&
           a->header_count == b->header_count && slice_equal(a->headers, b->headers);
}

static bool has_same_records(const struct record_batch *a, const struct record_batch *b)
{
    struct record_iterator x, y;
    struct record left, right;
    bool is_same = record_iterator_init(&x, a, PLAIN_MAX) == ERR_OK;
    is_same = record_iterator_init(&y, b, PLAIN_MAX) == ERR_OK && is_same;
    while (is_same && record_iterator_next(&x, &left)) is_same = record_iterator_next(&y, &right) && is_same_record(&left, &right);
    is_same = is_same && record_iterator_is_whole(&x) && record_iterator_is_whole(&y);
    record_iterator_deinit(&x);
    record_iterator_deinit(&y);
    return is_same;
}

static int check_batch(const struct entry *e)
{
    struct record_batch theirs, ours;
    struct buf *built = build_batch();
    bool is_parsed =
        record_batch_parse(buf_slice(built), &ours) == ERR_OK && record_batch_parse_produced(e->bytes, &theirs).error == KAFKA_NONE;
    enum compression codec = is_parsed ? record_batch_compression(&theirs) : COMPRESSION_NONE;
    bool is_good =
        is_parsed && codec == (enum compression)e->version && record_batch_is_crc_valid(&theirs) && has_same_records(&ours, &theirs);
    if (codec == COMPRESSION_NONE) is_good = is_good && slice_equal(buf_slice(built), e->bytes);
    printf("%sok - record batch, %s\n", is_good ? "" : "not ", compression_name((enum compression)e->version));
    buf_unref(built);
    return !is_good;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static int check_all(struct slice plain)
{
    static struct tally tallies[KMSG_COUNT];
    struct reader r = reader_make(plain);
    int failed = 0;
    for (struct entry e; next_entry(&r, &e);) {
        int kmsg = find_message(e.name);
        if (slice_equal_str(e.name, "RecordBatch"))
            failed += check_batch(&e);
        else if (kmsg >= 0)
            check_entry(&e, (enum kmsg)kmsg, &tallies[kmsg]);
        else
            failed += printf("not ok - %.*s is not in the schema\n", SLICE_ARG(e.name)) > 0;
    }
    if (!reader_done(&r)) failed += printf("not ok - " PATH " is damaged\n") > 0;
    for (int i = 0; i < KMSG_COUNT; i++) failed += report((enum kmsg)i, &tallies[i]);
    return failed;
}

int main(void)
{
    struct buf *packed = read_file(PATH);
    struct writer w;
    writer_init(&w, 0);
    bool is_read = packed && compression_decompress(COMPRESSION_GZIP, buf_slice(packed), PLAIN_MAX, &w) == ERR_OK;
    int failed = is_read ? check_all(writer_slice(&w)) : printf("not ok - cannot read " PATH " (run from the top of the tree)\n") > 0;
    writer_deinit(&w);
    buf_unref(packed);
    return failed != 0;
}
