/* See group_records.h. */
#include "broker/coordinator/group_records.h"

#include "common/assert.h"

enum {
    TYPE_LEGACY_OFFSET = 0, /* written by brokers of 0.8; the same fields */
    TYPE_OFFSET = 1,
    TYPE_METADATA = 2,
};
#define OFFSET_VERSION             4
#define OFFSET_VERSION_WITH_EXPIRY 1
#define METADATA_VERSION           3

static enum err decode_key(enum kmsg kmsg, struct reader *r, void *out)
{
    struct arena none;
    arena_init(&none, 0); /* keys have no arrays */
    if (codec_decode(kmsg, 0, r, &none, out) != ERR_OK || !reader_done(r)) return ERR_CORRUPT;
    return ERR_OK;
}

enum err group_record_parse_key(struct slice key, struct group_record_key *out)
{
    *out = (struct group_record_key){.type = GROUP_RECORD_OTHER};
    struct reader r = reader_make(key);
    int16_t type = reader_i16(&r);
    if (!reader_ok(&r)) return ERR_CORRUPT;
    if (type == TYPE_OFFSET || type == TYPE_LEGACY_OFFSET) {
        struct offset_commit_key offset;
        if (decode_key(KMSG_OFFSET_COMMIT_KEY, &r, &offset) != ERR_OK) return ERR_CORRUPT;
        *out = (struct group_record_key){GROUP_RECORD_OFFSET, offset.group, offset.topic, offset.partition};
    } else if (type == TYPE_METADATA) {
        struct group_metadata_key metadata;
        if (decode_key(KMSG_GROUP_METADATA_KEY, &r, &metadata) != ERR_OK) return ERR_CORRUPT;
        *out = (struct group_record_key){.type = GROUP_RECORD_METADATA, .group = metadata.group};
    }
    return ERR_OK;
}

static enum err parse_value(enum kmsg kmsg, struct slice value, struct arena *arena, void *out)
{
    struct reader r = reader_make(value);
    int16_t version = reader_i16(&r);
    if (!reader_ok(&r)) return ERR_CORRUPT;
    if (!codec_has_version(kmsg, version)) return ERR_INVALID;
    if (codec_decode(kmsg, version, &r, arena, out) != ERR_OK || !reader_done(&r)) return ERR_CORRUPT;
    return ERR_OK;
}

enum err group_record_parse_offset(struct slice value, struct offset_commit_value *out)
{
    struct arena none;
    arena_init(&none, 0);
    return parse_value(KMSG_OFFSET_COMMIT_VALUE, value, &none, out);
}

enum err group_record_parse_metadata(struct slice value, struct arena *arena, struct group_metadata_value *out)
{
    return parse_value(KMSG_GROUP_METADATA_VALUE, value, arena, out);
}

static void write_message(enum kmsg kmsg, int16_t prefix, int16_t version, const void *message, struct writer *w)
{
    writer_i16(w, prefix);
    enum err err = codec_encode(kmsg, version, message, w);
    ASSERT(err == ERR_OK); /* every string came from a request of at least as narrow a type, or from such a record */
}

void group_record_write_offset_key(struct writer *w, struct slice group, struct slice topic, int32_t partition)
{
    struct offset_commit_key key = {.group = group, .topic = topic, .partition = partition};
    write_message(KMSG_OFFSET_COMMIT_KEY, TYPE_OFFSET, 0, &key, w);
}

void group_record_write_metadata_key(struct writer *w, struct slice group)
{
    struct group_metadata_key key = {.group = group};
    write_message(KMSG_GROUP_METADATA_KEY, TYPE_METADATA, 0, &key, w);
}

void group_record_write_offset(struct writer *w, const struct offset_commit_value *value)
{
    int16_t version = value->expire_timestamp >= 0 ? OFFSET_VERSION_WITH_EXPIRY : OFFSET_VERSION;
    write_message(KMSG_OFFSET_COMMIT_VALUE, version, version, value, w);
}

void group_record_write_metadata(struct writer *w, const struct group_metadata_value *value)
{
    write_message(KMSG_GROUP_METADATA_VALUE, METADATA_VERSION, METADATA_VERSION, value, w);
}
