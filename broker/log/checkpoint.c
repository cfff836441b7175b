#include "broker/log/checkpoint.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/limits.h"
#include "common/str.h"

#include <stdio.h>

bool checkpoint_next_line(struct slice *text, struct slice *line)
{
    const uint8_t *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
    if (!end) return false;
    *line = slice_make(text->p, (size_t)(end - text->p));
    *text = slice_make(end + 1, text->n - line->n - 1);
    return true;
}

bool checkpoint_parse_head(struct slice *text, int64_t *count)
{
    struct slice line = SLICE_NULL;
    int64_t version = -1;
    if (!checkpoint_next_line(text, &line) || !str_parse_i64(line, &version) || version != 0) return false;
    return checkpoint_next_line(text, &line) && str_parse_i64(line, count) && *count >= 0;
}

void checkpoint_write_number(struct writer *w, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    ASSERT(n > 0 && (size_t)n < sizeof text);
    writer_bytes(w, slice_make(text, (size_t)n));
}

void checkpoint_write_head(struct writer *w, size_t count)
{
    writer_bytes(w, SLICE_LITERAL("0\n"));
    checkpoint_write_number(w, (int64_t)count);
    writer_u8(w, '\n');
}

void offset_checkpoint_write_entry(struct writer *w, struct slice topic, int32_t partition, int64_t offset)
{
    writer_bytes(w, topic);
    writer_u8(w, ' ');
    checkpoint_write_number(w, partition);
    writer_u8(w, ' ');
    checkpoint_write_number(w, offset);
    writer_u8(w, '\n');
}

bool offset_checkpoint_parse(struct slice text, void (*each)(void *context, struct slice topic, int32_t partition, int64_t offset),
                             void *context)
{
    int64_t count = 0;
    if (!checkpoint_parse_head(&text, &count)) return false;
    for (; count > 0; count--) {
        struct slice line = SLICE_NULL, topic = SLICE_NULL, number = SLICE_NULL;
        int64_t partition = 0, offset = 0;
        int32_t narrow = 0;
        if (!checkpoint_next_line(&text, &line) || !str_split(&line, ' ', &topic) || topic.n == 0) return false;
        if (!str_split(&line, ' ', &number) || !str_parse_i64(number, &partition)) return false;
        if (!checked_narrow_i32(partition, &narrow) || narrow < 0) return false;
        if (slice_is_null(line) || !str_parse_i64(line, &offset) || offset < 0) return false;
        each(context, topic, narrow, offset);
    }
    return text.n == 0;
}

/* ---- properties ---------------------------------------------------------------------------------------------------- */

static void write_property(struct writer *w, const char *key, const char *value)
{
    writer_bytes(w, slice_str(key));
    writer_u8(w, '=');
    writer_bytes(w, slice_str(value));
    writer_u8(w, '\n');
}

void log_dir_meta_write(const struct log_dir_meta *meta, struct writer *w)
{
    char id[UUID_TEXT_SIZE], number[24];
    uuid_text(meta->directory_id, id);
    write_property(w, "version", "1");
    write_property(w, "cluster.id", meta->cluster_id);
    (void)snprintf(number, sizeof number, "%d", meta->node_id);
    write_property(w, "node.id", number);
    write_property(w, "directory.id", id);
    if (meta->broker_epoch < 0) return;
    (void)snprintf(number, sizeof number, "%lld", (long long)meta->broker_epoch);
    write_property(w, "skiff.broker.epoch", number);
}

static bool parse_property(struct log_dir_meta *meta, struct slice key, struct slice value, bool *has_node_id)
{
    int64_t number = 0;
    if (slice_equal_str(key, "version")) return slice_equal_str(value, "1");
    if (slice_equal_str(key, "cluster.id")) {
        if (value.n >= sizeof meta->cluster_id) return false;
        memcpy(meta->cluster_id, value.p, value.n);
        meta->cluster_id[value.n] = 0;
    } else if (slice_equal_str(key, "node.id")) {
        *has_node_id = true;
        return str_parse_i64(value, &number) && checked_narrow_i32(number, &meta->node_id);
    } else if (slice_equal_str(key, "directory.id")) {
        return uuid_parse(value, &meta->directory_id);
    } else if (slice_equal_str(key, "skiff.broker.epoch")) {
        return str_parse_i64(value, &meta->broker_epoch);
    }
    return true; /* a key of a later version, or of another tool */
}

bool log_dir_meta_parse(struct log_dir_meta *meta, struct slice text)
{
    struct slice line = SLICE_NULL;
    bool has_node_id = false;
    *meta = (struct log_dir_meta){.node_id = -1, .broker_epoch = -1};
    while (checkpoint_next_line(&text, &line)) {
        struct slice key = SLICE_NULL;
        line = str_trim(line);
        if (line.n == 0 || line.p[0] == '#') continue;
        if (!str_split(&line, '=', &key) || slice_is_null(line)) return false;
        if (!parse_property(meta, str_trim(key), str_trim(line), &has_node_id)) return false;
    }
    /* Our writer ends each line: an unfinished one means a torn file. */
    return text.n == 0 && has_node_id;
}

void partition_metadata_write(struct uuid topic_id, struct writer *w)
{
    char text[UUID_TEXT_SIZE];
    uuid_text(topic_id, text);
    writer_bytes(w, SLICE_LITERAL("version: 0\ntopic_id: "));
    writer_bytes(w, slice_str(text));
}

bool partition_metadata_parse(struct slice text, struct uuid *topic_id)
{
    struct slice line = SLICE_NULL;
    const struct slice label = SLICE_LITERAL("topic_id: ");
    if (!checkpoint_next_line(&text, &line) || !slice_equal_str(str_trim(line), "version: 0")) return false;
    line = str_trim(text);
    if (line.n <= label.n || memcmp(line.p, label.p, label.n) != 0) return false;
    return uuid_parse(slice_make(line.p + label.n, line.n - label.n), topic_id);
}
