/* A torn tail or rot? What a power cut can have done to bytes that no flush had covered, and what it cannot.
 *
 * Segment files are only appended to and never recycled, a disk writes whole sectors, and a file system gives zeros for what
 * never reached the medium. So a lost sector ends in zeros from the end of an earlier append on, mostly from its beginning; and a
 * file whose size was not journaled ends early. The first bad batch above everything that is known to be durable is
 *
 *     torn    when it lies on such a sector, or the file ends inside it;
 *     rotten  when all its bytes are there but wrong, or when only its length or its offset is wrong: what follows was flushed
 *             perhaps, and nobody may cut it.
 *
 * What follows a torn batch does not matter: pages reach the medium in any order. */
#include "broker/log/recovery_internal.h"
#include "common/assert.h"
#include "common/checked.h"
#include "common/crc32c.h"

#define SECTOR       ((int64_t)512)
#define OFFSET_BYTES 8

/* The first bad batch. */
struct suspect {
    struct segment_cursor cursor;
    int64_t at, file_size;
    int64_t expected;  /* its base offset */
    int64_t end;       /* when `fits` */
    bool fits;         /* a length is there, and the file holds so many bytes */
    bool has_header;   /* the fields below are there */
    bool looks_right;  /* base offset and magic are what they may be */
    bool is_crc_right; /* only with `fits` */
    uint32_t crc;
};

/* ---- holes --------------------------------------------------------------------------------------------------------- */

static enum err is_zero(struct suspect *suspect, int64_t from, int64_t to, bool *zero)
{
    struct slice bytes = SLICE_NULL;
    ASSERT(from < to && to - from <= SECTOR);
    enum err err = segment_cursor_bytes(&suspect->cursor, from, (size_t)(to - from), &bytes);
    *zero = !err;
    for (size_t i = 0; *zero && i < bytes.n; i++) *zero = bytes.p[i] == 0;
    return err;
}

/* A batch never begins with so many zeros: its length would be among them, or its offset. */
static bool cannot_begin_with_zeros(const struct suspect *suspect, int64_t count)
{
    if (count >= RECORD_BATCH_PREFIX) return true;
    int64_t missing = OFFSET_BYTES - min_i64(count, OFFSET_BYTES);
    return (uint64_t)suspect->expected >> (8 * missing) != 0;
}

/* A sector that overlaps [at, to) and was not written since the batch was appended. */
static enum err find_hole(struct suspect *suspect, int64_t to, bool *is_found)
{
    enum err err = ERR_OK;
    *is_found = false;
    for (int64_t sector = suspect->at / SECTOR * SECTOR; !err && !*is_found && sector < to; sector += SECTOR) {
        int64_t from = max_i64(sector, suspect->at), end = min_i64(sector + SECTOR, suspect->file_size);
        err = is_zero(suspect, from, end, is_found);
        if (from == suspect->at && !cannot_begin_with_zeros(suspect, end - from)) *is_found = false;
    }
    return err;
}

/* ---- the header ---------------------------------------------------------------------------------------------------- */

static enum err look_at_crc(struct suspect *suspect)
{
    bool is_good = false;
    enum err err = recovery_check_crc(&suspect->cursor, suspect->at, (size_t)(suspect->end - suspect->at), suspect->crc, &is_good);
    suspect->is_crc_right = is_good;
    return err;
}

static enum err look_at_header(struct suspect *suspect)
{
    struct slice bytes = SLICE_NULL;
    int64_t left = suspect->file_size - suspect->at;
    if (left < RECORD_BATCH_HEADER) return ERR_OK;
    enum err err = segment_cursor_bytes(&suspect->cursor, suspect->at, RECORD_BATCH_HEADER, &bytes);
    if (err) return err;
    size_t size = 0;
    suspect->fits = record_batch_peek_size(bytes, &size) == ERR_OK && (int64_t)size <= left;
    suspect->end = suspect->fits ? suspect->at + (int64_t)size : 0;
    struct reader r = reader_make(bytes);
    int64_t base_offset = reader_i64(&r);
    (void)reader_bytes(&r, RECORD_BATCH_MAGIC_AT - OFFSET_BYTES);
    suspect->has_header = true;
    suspect->looks_right = reader_i8(&r) == RECORD_BATCH_MAGIC && base_offset >= suspect->expected;
    suspect->crc = reader_u32(&r);
    return suspect->fits ? look_at_crc(suspect) : ERR_OK;
}

/* ---- a length that is wrong ---------------------------------------------------------------------------------------- */

static enum err can_end_at(struct suspect *suspect, int64_t end, bool *can)
{
    struct slice bytes = SLICE_NULL;
    struct record_batch head;
    size_t size = 0;
    *can = end == suspect->file_size;
    if (suspect->file_size - end < RECORD_BATCH_HEADER) return ERR_OK;
    enum err err = segment_cursor_bytes(&suspect->cursor, end, RECORD_BATCH_HEADER, &bytes);
    *can = !err && record_batch_parse_header(bytes, &head, &size) == ERR_OK && head.base_offset > suspect->expected;
    return err;
}

/* The batch says that it goes on behind the end of the file. Does it fill its checksum before? */
static enum err is_whole_but_for_length(struct suspect *suspect, bool *is_whole)
{
    uint32_t crc = 0;
    enum err err = ERR_OK;
    *is_whole = false;
    for (int64_t at = suspect->at + RECORD_BATCH_CRC_FROM; !err && !*is_whole && at < suspect->file_size;) {
        struct slice bytes = SLICE_NULL;
        size_t n = (size_t)min_i64(suspect->file_size - at, SEGMENT_CHUNK_LOOKUP);
        err = segment_cursor_bytes(&suspect->cursor, at, n, &bytes);
        uint8_t chunk[SEGMENT_CHUNK_LOOKUP];
        if (!err) memcpy(chunk, bytes.p, n); /* looking at a place behind it may refill the cursor */
        for (size_t i = 0; !err && !*is_whole && i < n; i++) {
            crc = crc32c_extend(crc, slice_make(chunk + i, 1));
            if (crc == suspect->crc) err = can_end_at(suspect, at + (int64_t)i + 1, is_whole);
        }
        at += (int64_t)n;
    }
    return err;
}

/* ---- the verdict --------------------------------------------------------------------------------------------------- */

/* Everything is there as far as its length tells. */
static enum err judge_whole(struct suspect *suspect, bool *is_torn)
{
    /* With a right checksum only what lies outside it can be wrong, and of that only the offset can be lost with a sector. */
    return find_hole(suspect, suspect->is_crc_right ? suspect->at + RECORD_BATCH_PREFIX : suspect->end, is_torn);
}

/* The file ends inside it, or its length is not one. */
static enum err judge_short(struct recovery *recovery, struct suspect *suspect, const struct damage *damage, bool *is_torn)
{
    bool is_rotten = false;
    enum err err = find_hole(suspect, min_i64(suspect->at + RECORD_BATCH_HEADER, suspect->file_size), is_torn);
    if (err || *is_torn) return err;
    if (suspect->looks_right)
        err = is_whole_but_for_length(suspect, &is_rotten);
    else if (suspect->has_header)
        err = recovery_look_behind(recovery, damage, damage->segment + 1, &is_rotten);
    *is_torn = !is_rotten;
    return err;
}

/* A segment that begins too late: the file before it ends early. One that begins too early has no such excuse. */
static enum err judge_gap(struct recovery *recovery, const struct damage *damage, bool *is_torn)
{
    const struct plog *log = recovery->log;
    bool is_rotten = false;
    enum err err = ERR_OK;
    if (log->segments[damage->segment]->base_offset < damage->offset)
        err = recovery_look_behind(recovery, damage, log->segment_count, &is_rotten);
    *is_torn = !is_rotten;
    return err;
}

enum err recovery_is_torn(struct recovery *recovery, const struct damage *damage, bool *is_torn)
{
    ASSERT(damage->is_found);
    if (damage->is_gap) return judge_gap(recovery, damage, is_torn);
    struct segment *segment = recovery->log->segments[damage->segment];
    struct suspect suspect = {.at = segment->size, .file_size = damage->file_size, .expected = damage->offset};
    ASSERT(suspect.at < suspect.file_size);
    segment_cursor_init(&suspect.cursor, segment, SEGMENT_CHUNK_SCAN, true);
    enum err err = look_at_header(&suspect);
    if (!err) err = suspect.fits ? judge_whole(&suspect, is_torn) : judge_short(recovery, &suspect, damage, is_torn);
    segment_cursor_deinit(&suspect.cursor);
    return err;
}
