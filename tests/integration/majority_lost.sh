#!/usr/bin/env bash
# With two of three nodes dead nothing can be acknowledged under acks=all and min.insync.replicas=2; when they return, the
# stream goes on and nothing is missing.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

no_acks() { ! ask await-acks 3000; }

start_cluster 3
client_start "$bootstrap" majority --rate 2000 --lines 10000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
find_raft_leader
left=$leader
for node in 0 1 2; do ((node == left)) || must "node $node is killed" cluster kill "$node"; done
check "no partition acknowledges alone" no_acks
for node in 0 1 2; do ((node == left)) || must "node $node comes back" cluster restart "$node"; done
must "every partition takes records again" ask await-acks
must "all replicas are in sync again" ask await-isr 3
check "nothing is lost, doubled or reordered" client_finish
