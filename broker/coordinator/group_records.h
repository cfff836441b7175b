/* The records of __consumer_offsets, as bytes: Kafka's own keys and values.
 *
 *   key     int16 type, then the message of that type at version 0; 0 and 1 are offsets, 2 is a classic group's metadata
 *   value   int16 version, then the message at that version; a null value is a tombstone
 *
 * What other coordinators of Kafka keep in the same log (KIP-848, share and streams groups: types 3 and up) is GROUP_RECORD_OTHER
 * here: whoever replays counts and skips it, and it stays in the log. Parsed slices point into the input. No state: any thread. */
#ifndef SKIFF_BROKER_COORDINATOR_GROUP_RECORDS_H
#define SKIFF_BROKER_COORDINATOR_GROUP_RECORDS_H

#include "proto/codec.h"

enum group_record_type {
    GROUP_RECORD_OFFSET,
    GROUP_RECORD_METADATA,
    GROUP_RECORD_OTHER,
};

struct group_record_key {
    enum group_record_type type;
    struct slice group;
    struct slice topic; /* OFFSET */
    int32_t partition;  /* OFFSET */
};

/* One record of a batch to append. `value` is SLICE_NULL for a tombstone. */
struct group_record {
    struct slice key, value;
};

/* ERR_CORRUPT: not a key. */
NODISCARD enum err group_record_parse_key(struct slice key, struct group_record_key *out);
/* A value that is no tombstone. ERR_CORRUPT: malformed; ERR_INVALID: a version that is not known. */
NODISCARD enum err group_record_parse_offset(struct slice value, struct offset_commit_value *out);
/* The members come from the arena, whose cap the caller sets with codec_decode_budget(). */
NODISCARD enum err group_record_parse_metadata(struct slice value, struct arena *arena, struct group_metadata_value *out);

void group_record_write_offset_key(struct writer *w, struct slice group, struct slice topic, int32_t partition);
void group_record_write_metadata_key(struct writer *w, struct slice group);
/* Version 4, as Kafka 4.3 writes (the topic id is a tagged field, left out when zero); version 1 when the commit carries an expiry
 * of its own (OffsetCommit v2-4). */
void group_record_write_offset(struct writer *w, const struct offset_commit_value *value);
/* Version 3. */
void group_record_write_metadata(struct writer *w, const struct group_metadata_value *value);

#endif
