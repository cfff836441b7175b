/* F7: opening a log directory that somebody tampered with.  A small log of several segments is made, then the input changes its
 * files: byte 0 bit 0 claims a clean stop; then five bytes a change: file, action, position (2), value.
 *
 * After an unclean stop every batch before the first change is there and whatever else is served is whole, or the log is
 * refused; opening it again gives the same.  After a clean stop nothing is promised but that nothing breaks. */
#include "broker/log/log.h"
#include "common/assert.h"
#include "common/mem.h"
#include "proto/record_batch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim.h"

#include <stdio.h>

#define FILES_MAX     32
#define FILE_SIZE_MAX 8192
#define CHANGE_BYTES  5
#define CHANGES_MAX   16
#define DIRECTORY     "/data/t-0"

struct tampered_file {
    char path[64];
    uint8_t before[FILE_SIZE_MAX], after[FILE_SIZE_MAX];
    size_t size_before, size_after;
};
struct stage {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct plog_shared shared;
    struct tampered_file files[FILES_MAX];
    size_t file_count;
    int64_t end;
};

static const struct plog_config config = {.segment_bytes = 900,
                                          .segment_ms = INT64_MAX,
                                          .segment_index_bytes = 1 << 20,
                                          .index_interval_bytes = 200,
                                          .producer_id_expiration_ms = 1};

static void on_start(void *user, struct sim_node *node) { ((struct stage *)user)->env = sim_env_create(node); }

static void append(struct plog *log, int32_t i)
{
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    record_batch_spec_init(&spec);
    spec.producer_id = i % 2;
    spec.producer_epoch = 0;
    spec.base_sequence = i / 2 * 2;
    record_batch_builder_init(&builder, &spec);
    for (int r = 0; r < 2; r++) record_batch_builder_add(&builder, 1000 + i, SLICE_NULL, SLICE_LITERAL("some value of a record"), NULL, 0);
    struct buf *buf = record_batch_builder_finish(&builder);
    struct plog_batch batch = {.buf = buf, .size = buf->size};
    enum err err = plog_append_leader(log, &batch, 1, i / 7);
    ASSERT(err == ERR_OK && batch.verdict == PLOG_APPENDED);
    buf_unref(buf);
}

static void add_file(void *context, const char *name, bool is_directory)
{
    struct stage *stage = context;
    ASSERT(!is_directory && stage->file_count < FILES_MAX);
    struct tampered_file *file = &stage->files[stage->file_count++];
    (void)snprintf(file->path, sizeof file->path, "%s/%.40s", DIRECTORY, name);
    bool is_there = sim_disk_read(stage->node, file->path, file->before, FILE_SIZE_MAX, &file->size_before);
    ASSERT(is_there && file->size_before <= FILE_SIZE_MAX);
    memcpy(file->after, file->before, file->size_before);
    file->size_after = file->size_before;
}

static void make_log(struct stage *stage)
{
    *stage = (struct stage){.sim = sim_create(1)};
    stage->node = sim_node_add(stage->sim, "n", &(struct sim_process){.start = on_start, .user = stage});
    sim_disk_set_cold_rate(stage->node, 0);
    sim_node_start(stage->node);
    plog_shared_init(&stage->shared, stage->env, 4, 1000);
    struct plog *log = plog_create(&stage->shared, "/data", "t", 0, (struct uuid){{1}}, &config);
    for (int32_t i = 0; i < 20; i++) append(log, i);
    enum err err = plog_close_clean(log);
    ASSERT(err == ERR_OK);
    stage->end = plog_end(log);
    plog_destroy(log);
    err = env_list(stage->env, DIRECTORY, add_file, stage);
    ASSERT(err == ERR_OK);
}

static void change(struct tampered_file *file, const uint8_t *bytes)
{
    size_t position = file->size_after ? ((size_t)bytes[2] << 8 | bytes[3]) % file->size_after : 0;
    switch (bytes[1] % 5) {
    case 0:
        if (file->size_after) file->after[position] ^= bytes[4];
        break;
    case 1: file->size_after = position; break;
    case 2:
        for (size_t i = position; i < position + bytes[4] && i < file->size_after; i++) file->after[i] = 0;
        break;
    case 3: /* more at the end: a copy of something */
        for (size_t i = 0; i < bytes[4] && file->size_after < FILE_SIZE_MAX; i++, file->size_after++)
            file->after[file->size_after] = file->after[position + i < file->size_after ? position + i : 0];
        break;
    case 4: /* something moves */
        for (size_t i = 0; i < bytes[4] && position + i < file->size_after; i++)
            file->after[position + i] = file->after[(position + i + 61) % file->size_after];
        break;
    }
}

static void tamper(struct stage *stage, const uint8_t *data, size_t size)
{
    for (size_t at = 0, n = 0; at + CHANGE_BYTES <= size && n < CHANGES_MAX; at += CHANGE_BYTES, n++)
        change(&stage->files[data[at] % stage->file_count], data + at);
    for (size_t i = 0; i < stage->file_count; i++)
        sim_disk_write(stage->node, stage->files[i].path, stage->files[i].after, stage->files[i].size_after);
}

/* ---- what must be there -------------------------------------------------------------------------------------------- */

static bool is_log_file(const struct tampered_file *file)
{
    size_t n = strlen(file->path);
    return n > 4 && strcmp(file->path + n - 4, ".log") == 0;
}

/* The first offset whose batch, in the order of the files, is not what it was. */
static int64_t first_change(const struct stage *stage, bool *is_changed)
{
    *is_changed = false;
    int64_t offset = 0;
    for (size_t i = 0; i < stage->file_count; i++) {
        const struct tampered_file *file = &stage->files[i];
        if (!is_log_file(file)) continue;
        for (size_t at = 0; at < file->size_before;) {
            struct record_batch batch;
            enum err err = record_batch_parse(slice_make(file->before + at, file->size_before - at), &batch);
            ASSERT(err == ERR_OK);
            size_t size = record_batch_size(&batch);
            *is_changed = at + size > file->size_after || memcmp(file->before + at, file->after + at, size) != 0;
            if (*is_changed) return offset;
            offset = record_batch_next_offset(&batch);
            at += size;
        }
        *is_changed = file->size_after != file->size_before;
        if (*is_changed) return offset;
    }
    return offset;
}

/* Reads all that the log serves; after an unclean stop it must be whole. */
static void read_all(struct plog *log, bool must_be_whole)
{
    struct plog_read read = {.offset = plog_start(log), .limit = INT64_MAX, .file_limit = 0, .bytes_max = 500, .is_first_whole = true};
    while (read.offset < plog_end(log)) {
        int64_t expected = read.offset;
        enum err err = plog_read(log, &read);
        ASSERT(err == ERR_OK || !must_be_whole);
        if (err || read.next_offset == read.offset) break;
        for (size_t at = 0; must_be_whole && at < (size_t)read.bytes;) {
            struct record_batch batch;
            const struct buf *bytes = read.pieces[0].buf;
            err = record_batch_parse(slice_make(bytes->data + at, bytes->size - at), &batch);
            ASSERT(err == ERR_OK && record_batch_is_crc_valid(&batch) && batch.base_offset == expected);
            expected = record_batch_next_offset(&batch);
            at += record_batch_size(&batch);
        }
        read.offset = read.next_offset;
        plog_read_release(&read);
    }
    plog_read_release(&read);
}

static void open_and_check(struct stage *stage, bool claims_clean)
{
    struct plog_claims claims = {.is_clean = claims_clean};
    struct plog_recovery report, again;
    struct plog *log = NULL;
    bool is_changed = false;
    int64_t change_at = first_change(stage, &is_changed);
    enum err err = plog_open(&stage->shared, "/data", "t-0", &config, &claims, &log, &report);
    if (err) {
        ASSERT(err == ERR_CORRUPT && report.found == PLOG_DAMAGED);
        ASSERT(is_changed || claims_clean);
        return;
    }
    if (!claims_clean) {
        ASSERT(plog_end(log) >= change_at);
        if (!is_changed) ASSERT(plog_end(log) == stage->end && report.found == PLOG_WHOLE);
    }
    read_all(log, !claims_clean);
    int64_t end = plog_end(log);
    plog_destroy(log);
    err = plog_open(&stage->shared, "/data", "t-0", &config, &claims, &log, &again);
    ASSERT(err == ERR_OK && plog_end(log) == end);
    plog_destroy(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct stage *stage = mem_alloc(sizeof *stage);
    make_log(stage);
    tamper(stage, data + 1, size - 1);
    open_and_check(stage, data[0] & 1);
    plog_shared_deinit(&stage->shared);
    sim_destroy(stage->sim);
    mem_free(stage);
    return 0;
}
