#!/usr/bin/env bash
# Each node is stopped with SIGTERM and started again, as an upgrade does, while records stream: leadership moves before a
# node leaves, so the stream hardly notices.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_cluster 3
client_start "$bootstrap" rolling --rate 4000 --lines 20000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
for node in 0 1 2; do
  ask mark
  began=$EPOCHREALTIME
  must "node $node stops" cluster stop "$node"
  took_ms=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }')
  check "within 10 s ($took_ms ms)" test "$took_ms" -le 10500
  must "every partition takes records without node $node" ask await-acks
  ask gaps | sed 's/^/#/'
  must "node $node is started again" cluster restart "$node"
  must "node $node is back in sync" ask await-isr 3
done
check "nothing is lost, doubled or reordered" client_finish
