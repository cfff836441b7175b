#!/usr/bin/env bash
# Client quotas that are not of bytes, on three nodes: partitions that a client creates (controller_mutation_rate, KIP-599), and the time of the
# broker's thread that its requests take (request_percentage, KIP-124).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$root/tests/integration/crowd.sh"
limits() { "$tools/limits" "$address" "$@"; }
# Whoever asks: brokers hear of a quota one after the other.
is_refused() { [[ $(limits create 7 "$1" 4) =~ ^error=89\ throttle_ms=[1-9] ]]; }

start_cluster 3
address=$(address_of 0)

# ---- partitions ------------------------------------------------------------------------------------------------------
must "two partitions a second of each client" limits quota client-id "" controller_mutation_rate=2
same "as many at once as eleven seconds allow, and more" "error=0 throttle_ms=0" "$(limits create 7 first 40)"
check "then a client that knows the error is refused, and told how long to wait" is_refused second
address=$(address_of 1)
check "by whatever broker it asks" is_refused second
matches "one that does not waits afterwards" '^error=0 throttle_ms=[1-9]' "$(limits create 5 second 1)"
must "no quota any more" limits quota client-id "" controller_mutation_rate=
same "nobody is refused" "error=0 throttle_ms=0" "$(limits create 7 third 4)"

# ---- time ------------------------------------------------------------------------------------------------------------
report=$(limits ask 200)
echo "# without a quota: $report"
same "without a quota everything is answered" 200 "$(told answered "$report")"
quick=$(told ms "$report")
# A tenth of a percent is a millisecond of each second: what is asked below takes several.
must "a tenth of a percent of the thread for each client" limits quota client-id "" request_percentage=0.1
report=$(limits ask 200)
echo "# with a quota: $report"
same "with one, too" 200 "$(told answered "$report")"
at_least "but it takes longer" $((quick + 300)) "$(told ms "$report")" ms
must "no quota any more" limits quota client-id "" request_percentage=
