#!/usr/bin/env bash
# kill -9 of each node in turn while records stream: each time the others go on, the node comes back into sync, and in the
# end every acknowledged record is there once, in order.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_cluster 3
client_start "$bootstrap" kill-each --rate 4000 --lines 20000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
for node in 0 1 2; do
  must "node $node is killed" cluster kill "$node"
  must "every partition takes records without node $node" ask await-acks
  must "node $node is started again" cluster restart "$node"
  must "node $node is back in sync" ask await-isr 3
done
check "nothing is lost, doubled or reordered" client_finish
