/* Blocks of producer ids: each broker takes PRODUCER_ID_BLOCK at a time, and no id is ever given twice (KIP-730). */
#ifndef SKIFF_CONTROLLER_METADATA_PRODUCER_IDS_H
#define SKIFF_CONTROLLER_METADATA_PRODUCER_IDS_H

#include "controller/metadata/control.h"
#include "gen/controller_rpc.pb-c.h"

void producer_ids_allocate(struct control *control, const Skiff__AllocateProducerIdsRequest *request,
                           Skiff__AllocateProducerIdsResponse *response);

#endif
