#!/usr/bin/env bash
# Client quotas that are not of bytes: partitions that a client creates (controller_mutation_rate, KIP-599) on three nodes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
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
