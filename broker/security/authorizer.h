/* Who may do what.  Every request passes authorizer_allows() once, in dispatch, before its handler; for now everybody may do
 * everything, as in Kafka without an authorizer. No state: any thread. */
#ifndef SKIFF_BROKER_SECURITY_AUTHORIZER_H
#define SKIFF_BROKER_SECURITY_AUTHORIZER_H

#include <stdbool.h>

/* Kafka's numbers. */
enum acl_operation {
    ACL_READ = 3,
    ACL_WRITE = 4,
    ACL_CREATE = 5,
    ACL_DELETE = 6,
    ACL_ALTER = 7,
    ACL_DESCRIBE = 8,
    ACL_CLUSTER_ACTION = 9,
    ACL_DESCRIBE_CONFIGS = 10,
    ACL_ALTER_CONFIGS = 11,
    ACL_IDEMPOTENT_WRITE = 12,
};
/* Bit sets of operations, as Metadata and DescribeCluster report them. */
#define ACL_BIT(operation) (1 << (operation))
#define ACL_TOPIC_OPERATIONS                                                                                                               \
    (ACL_BIT(ACL_READ) | ACL_BIT(ACL_WRITE) | ACL_BIT(ACL_CREATE) | ACL_BIT(ACL_DELETE) | ACL_BIT(ACL_ALTER) | ACL_BIT(ACL_DESCRIBE) |     \
     ACL_BIT(ACL_DESCRIBE_CONFIGS) | ACL_BIT(ACL_ALTER_CONFIGS))
#define ACL_CLUSTER_OPERATIONS                                                                                                             \
    (ACL_BIT(ACL_CREATE) | ACL_BIT(ACL_ALTER) | ACL_BIT(ACL_DESCRIBE) | ACL_BIT(ACL_CLUSTER_ACTION) | ACL_BIT(ACL_DESCRIBE_CONFIGS) |      \
     ACL_BIT(ACL_ALTER_CONFIGS) | ACL_BIT(ACL_IDEMPOTENT_WRITE))

struct acl_context {
    const char *principal; /* "User:ANONYMOUS" */
    const char *address;
    const char *listener;
};

bool authorizer_allows(const struct acl_context *context, enum acl_operation operation);

#endif
