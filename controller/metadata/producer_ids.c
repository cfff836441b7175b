#include "controller/metadata/producer_ids.h"

#include "proto/pb.h"

void producer_ids_allocate(struct control *control, const Skiff__AllocateProducerIdsRequest *request,
                           Skiff__AllocateProducerIdsResponse *response)
{
    const struct image_broker *broker = image_broker_get(control->image, request->broker_id);
    if (!broker || broker->epoch != request->broker_epoch) {
        response->outcome->error_code = KAFKA_STALE_BROKER_EPOCH;
        return;
    }
    if (control->image->next_producer_id > INT64_MAX - PRODUCER_ID_BLOCK) {
        response->outcome->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
        response->outcome->error_message = pb_lend("No producer ids are left.");
        return;
    }
    response->first = control->image->next_producer_id;
    response->count = PRODUCER_ID_BLOCK;
    records_add_producer_ids(control->records, response->first + PRODUCER_ID_BLOCK);
    records_cut(control->records);
}
