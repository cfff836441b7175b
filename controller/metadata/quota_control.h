/* Client quotas: AlterClientQuotas and DescribeClientQuotas, with Kafka's codes and texts. What they do is in
 * controller/metadata/quota.h. Answers live in the arena. */
#ifndef SKIFF_CONTROLLER_METADATA_QUOTA_CONTROL_H
#define SKIFF_CONTROLLER_METADATA_QUOTA_CONTROL_H

#include "controller/metadata/control.h"
#include "gen/kmsg.h"

/* Each entry stands or falls by itself. */
void quota_alter(struct control *control, const struct alter_client_quotas_request *request, struct alter_client_quotas_response *response);
/* From an image alone: any node answers it. */
void quota_describe(const struct image *image, const struct describe_client_quotas_request *request, struct arena *arena,
                    struct describe_client_quotas_response *response);

#endif
