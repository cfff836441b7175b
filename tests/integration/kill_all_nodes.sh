#!/usr/bin/env bash
# kill -9 of all nodes at once under load, twice: after the restart the stream goes on and nothing acknowledged is missing.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_cluster 3
client_start "$bootstrap" kill-all --rate 4000 --lines 20000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
for round in 1 2; do
  killers=()
  for node in 0 1 2; do cluster kill "$node" & killers+=($!); done
  wait "${killers[@]}"
  for node in 0 1 2; do must "round $round: node $node is started again" cluster restart "$node"; done
  must "round $round: every partition takes records again" ask await-acks
  must "round $round: all replicas are in sync again" ask await-isr 3
done
check "nothing is lost, doubled or reordered" client_finish
