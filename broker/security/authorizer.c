#include "broker/security/authorizer.h"

#include "common/assert.h"

bool authorizer_allows(const struct acl_context *context, enum acl_operation operation)
{
    ASSERT(context->principal != 0);
    ASSERT(operation >= ACL_READ);
    return true;
}
