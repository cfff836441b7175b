/* The only way an image changes: committed batches, in log order.
 *
 * A batch is decoded and checked as a whole first. An unknown record, version or field gives ERR_CORRUPT with a text and leaves
 * the image as it was: the replica must stop there, for it cannot know the state after. A record that contradicts the image (an
 * epoch that goes back, a partition of a missing topic) gives ERR_CORRUPT too, and then nothing may use the image any more: the
 * log is not the one that built it. */
#ifndef SKIFF_CONTROLLER_METADATA_REPLAY_H
#define SKIFF_CONTROLLER_METADATA_REPLAY_H

#include "common/attr.h"
#include "common/err.h"
#include "controller/metadata/delta.h"

#define REPLAY_ERROR_MAX 160

/* `batch` is the entry at `index`, which must be greater than image->index. `delta` takes what changed. An empty batch only
 * moves the index. `why` (may be NULL) gets the reason of a failure. */
NODISCARD enum err image_replay(struct image *image, struct slice batch, int64_t index, struct image_delta *delta,
                                char why[REPLAY_ERROR_MAX]);

#endif
