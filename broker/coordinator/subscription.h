/* What members of consumer groups send as protocol metadata (ConsumerProtocolSubscription): the topics that they subscribe to.
 *
 * The coordinator has no business with these bytes (Connect and others send theirs); it looks at them for one question only: may the
 * offsets of a topic be deleted under a running group? They are a stranger's, so nothing is trusted and nothing is allocated (G-PROTO).
 * Any version is read by its prefix, which is version 0. */
#ifndef SKIFF_BROKER_COORDINATOR_SUBSCRIPTION_H
#define SKIFF_BROKER_COORDINATOR_SUBSCRIPTION_H

#include "common/attr.h"
#include "common/map.h"

/* Sets those of `topics` (name -> bool) that are in it; false: it is malformed, and which are set means nothing. */
NODISCARD bool subscription_mark(struct slice metadata, const struct map *topics);

#endif
