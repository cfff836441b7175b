/* An image as bytes and back: the records that would build it, in batches. The bytes are canonical: equal images give equal
 * bytes, so a snapshot taken on any node at one index is the same file. */
#ifndef SKIFF_CONTROLLER_METADATA_SNAPSHOT_H
#define SKIFF_CONTROLLER_METADATA_SNAPSHOT_H

#include "common/writer.h"
#include "controller/metadata/replay.h"

/* Appends the snapshot of `image` at image->index. */
void snapshot_write(const struct image *image, struct writer *out);
/* Replaces the content of `image` by the snapshot's, as of `index`; `delta` takes the difference, so the owner reacts as to any other
 * change. ERR_CORRUPT leaves the image as it was. */
NODISCARD enum err snapshot_load(struct image *image, struct slice bytes, int64_t index, struct image_delta *delta,
                                 char why[REPLAY_ERROR_MAX]);

#endif
