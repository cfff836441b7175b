#!/usr/bin/env bash
# fdatasync fails on one node of three: pages may be lost though the next call succeeds, so the node must not go on with
# that disk. The others do, and nothing is lost.
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "the fault is planted in Skiff"
skiff=$root/tests/fault/faulty_node.sh

ended() { [[ $(cluster status) == *"node $1  down"* ]]; }

start_cluster 3
client_start "$bootstrap" sync-error --rate 2000 --lines 10000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
for node in 0 1; do
  printf 'fdatasync 5 /data/' >"$work/cluster/$node/fault"
  check "node $node, whose only disk fails, ends" await 20 ended "$node"
  matches "and says why" '[Ii]nput/output error|EIO|offline' "$(node_log "$node")"
  must "every partition takes records without it" ask await-acks
  rm "$work/cluster/$node/fault"
  must "with a sound disk it starts again" cluster restart "$node"
  must "and is back in sync" ask await-isr 3
done
check "nothing is lost, doubled or reordered" client_finish
