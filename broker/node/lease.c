#include "broker/node/lease.h"

#include "common/checked.h"
#include "common/mutant.h"

void lease_init(struct lease *lease) { *lease = (struct lease){.until_us = INT64_MIN, .pending_until_us = INT64_MIN}; }

void lease_on_applied(struct lease *lease, int64_t applied_index)
{
    if (lease->pending_until_us == INT64_MIN || applied_index < lease->pending_index) return;
    lease->until_us = max_i64(lease->until_us, lease->pending_until_us);
    lease->pending_until_us = INT64_MIN;
}

void lease_on_promise(struct lease *lease, const struct lease_promise *promise, int64_t sent_us, int64_t applied_index)
{
    int64_t lasts_us = LEASE_SHARE(promise->session_timeout_us) - promise->confirmed_ago_us;
    if (promise->session_timeout_us <= 0 || promise->confirmed_ago_us < 0) return;
    lease->session_timeout_us = promise->session_timeout_us;
    lease->others_applied = promise->others_applied;
    lease_on_applied(lease, applied_index);
    /* An older one stays: were it replaced each time, metadata that is always a little late would never catch up. */
    if (lease->pending_until_us != INT64_MIN || lasts_us <= 0) return;
    lease->pending_until_us = saturating_add_i64(sent_us, lasts_us);
    lease->pending_index = promise->index;
    lease_on_applied(lease, applied_index);
}

void lease_drop(struct lease *lease) { lease->until_us = lease->pending_until_us = INT64_MIN; }

bool lease_holds(const struct lease *lease, int64_t now_us) { return now_us < lease->until_us || MUTANT("coordinator_without_lease"); }

bool lease_is_handed_over(const struct lease *lease, const struct handover *handover, int64_t now_us)
{
    if (handover->index == 0 || lease->others_applied >= handover->index) return true;
    return lease->session_timeout_us > 0 && now_us - handover->seen_us >= lease->session_timeout_us;
}
