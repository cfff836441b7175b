#!/usr/bin/env bash
# Every string, array and bytes of every request at its limit (LIMITS_FRAME_BYTES, 200 KB): an answer or a close, in bounded memory.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "the bounds are Skiff's"

start_cluster 1 --set auto.create.topics.enable=false
address=$(address_of 0)
must "a topic" "$tools/admin" "$bootstrap" create limits 3 1
"$tools/request-limits" "$address" "$(node_pid 0)" "${LIMITS_FRAME_BYTES:-200000}" || failures=$((failures + 1))
check "the node is there" "$probe" ready 1 "$address"
