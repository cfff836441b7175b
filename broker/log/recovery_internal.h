/* Recovery's own state, shared by log_recovery.c (what to open, what to do about it) and log_scan.c (what is in the files). */
#ifndef SKIFF_BROKER_LOG_RECOVERY_INTERNAL_H
#define SKIFF_BROKER_LOG_RECOVERY_INTERNAL_H

#include "broker/log/log_internal.h"

struct recovery {
    struct plog *log;
    const struct plog_claims *claims;
    struct plog_recovery *report;
    int64_t recovery_point, high_watermark; /* the claims, as far as they may be believed */
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
    int64_t behind;    /* position in the segment from which on good batches would speak against a torn tail */
    int64_t file_size; /* of the segment */
};

/* Reads the segments that are not to be believed, and takes the others as they say they are; fills segment by segment what is in
 * memory of them. Stops at the first damage. */
NODISCARD enum err recovery_scan(struct recovery *recovery, struct damage *damage);
/* Does a good batch stand behind the damage? It speaks against a torn tail. */
NODISCARD enum err recovery_look_behind(struct recovery *recovery, const struct damage *damage, bool *is_found);

#endif
