/* auto.create.topics.enable: a topic that somebody asked for is created in the background, once however many ask.
 * One owner thread: the broker's. */
#ifndef SKIFF_BROKER_HANDLERS_TOPIC_CREATION_H
#define SKIFF_BROKER_HANDLERS_TOPIC_CREATION_H

#include "broker/handlers/handler.h"

/* `name` is valid and no topic of the image. Does nothing when it is being created, or too many are. */
void topic_creation_start(struct dispatch *dispatch, struct slice name);

#endif
