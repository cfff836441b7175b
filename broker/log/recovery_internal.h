/* Recovery's own state, shared by log_recovery.c (what to open, what to do about it), log_scan.c (what is in the files) and
 * log_torn.c (what damage means). */
#ifndef SKIFF_BROKER_LOG_RECOVERY_INTERNAL_H
#define SKIFF_BROKER_LOG_RECOVERY_INTERNAL_H

#include "broker/log/log_internal.h"

struct recovery {
    struct plog *log;
    const struct plog_claims *claims;
    struct plog_recovery *report;
    /* The claims, as far as they may be believed. */
    int64_t recovery_point;
    int64_t durable_end; /* everything below it was durable once: damage there is no torn tail */
    bool are_epochs_known;
    uint32_t first_scanned; /* segments from here on were read */
    char **junk;            /* names of files to remove */
    size_t junk_count;
};

struct damage {
    bool is_found;
    bool is_gap;       /* the segment does not continue the one before it; else a batch in it is bad */
    uint32_t segment;  /* index */
    int64_t offset;    /* where the good batches end */
    int64_t behind;    /* position in the segment from which on there may be another batch */
    int64_t file_size; /* of the segment */
};

/* Reads the segments that are not to be believed, and takes the others as they say they are; fills segment by segment what is in
 * memory of them. Stops at the first damage. */
NODISCARD enum err recovery_scan(struct recovery *recovery, struct damage *damage);
/* Does a good batch stand behind the damage, in its segment or in a later one below number `until`? */
NODISCARD enum err recovery_look_behind(struct recovery *recovery, const struct damage *damage, uint32_t until, bool *is_found);
/* The CRC of the `size` bytes at `position`. */
NODISCARD enum err recovery_check_crc(struct segment_cursor *cursor, int64_t position, size_t size, uint32_t expected, bool *is_good);
/* Can a power cut have done this to bytes that no flush covered? Whether one had is for the caller to know. */
NODISCARD enum err recovery_is_torn(struct recovery *recovery, const struct damage *damage, bool *is_torn);

#endif
