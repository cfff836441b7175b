/* CreateTopics, DeleteTopics and CreatePartitions: Kafka's requests and answers, its codes and texts. Each topic of a
 * request stands or falls by itself; its records are one atomic batch. Answers live in the arena. */
#ifndef SKIFF_CONTROLLER_METADATA_TOPIC_CONTROL_H
#define SKIFF_CONTROLLER_METADATA_TOPIC_CONTROL_H

#include "controller/metadata/control.h"
#include "gen/kmsg.h"

/* INVALID_TOPIC_EXCEPTION, or nothing. */
struct refusal topic_check_name(struct control *control, struct slice name);
void topic_create(struct control *control, const struct create_topics_request *request, struct create_topics_response *response);
/* `version` says which of the request's two forms is used (by name before 6). */
void topic_delete(struct control *control, int16_t version, const struct delete_topics_request *request,
                  struct delete_topics_response *response);
void topic_create_partitions(struct control *control, const struct create_partitions_request *request,
                             struct create_partitions_response *response);

#endif
