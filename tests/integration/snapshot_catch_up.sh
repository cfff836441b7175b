#!/usr/bin/env bash
# A voter that was away while the others took snapshots and cut their logs comes back through a snapshot, and can then
# replace the ones it learned from.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

topics_known_by() { # NODE
  local i n=0
  for i in 0 99 199; do "$probe" topic "$(address_of "$1")" "many-$i" >/dev/null && n=$((n + 1)); done
  echo "$n"
}
knows_all() { [[ $(topics_known_by "$1") == 3 ]]; }
snapshots_of() { # Skiff's and Kafka's names
  find "$work/cluster/$1/data" -path '*/controller/*.snapshot' -o -path '*/__cluster_metadata-0/*.checkpoint' | wc -l
}
has_snapshot() { (($(snapshots_of "$1") > 0)); }

start_cluster 3 --set metadata.log.max.record.bytes.between.snapshots=4096
client_start "$bootstrap" snapshot --rate 2000 --lines 10000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
find_raft_leader
away=$(((leader + 1) % 3))
must "node $away goes away" cluster kill "$away"
find_raft_leader
must "the others know it" await 20 "$probe" ready 2 "$(address_of "$leader")" "$(address_of $((3 - away - leader)))"
must "200 topics are created meanwhile" "$tools/admin" "$bootstrap" create-many many 200 2 2
# More changes than a leader keeps for those who are a little behind.
must "and 1,500 changes made" "$tools/admin" "$bootstrap" alter-many many-0 1500
check "the leader took a snapshot" await 20 has_snapshot "$leader"
must "node $away comes back" cluster restart "$away"
must "node $away knows every topic" await 30 knows_all "$away"
[[ -n ${SKIFF_SERVER:-} ]] || matches "it got there through a snapshot" "installed the leader's snapshot" "$(node_log "$away")"
must "all replicas are in sync again" ask await-isr 3
third=$((3 - away - leader))
must "the leader, node $leader, is killed" cluster kill "$leader"
must "every partition takes records" ask await-acks
must "the leader comes back" cluster restart "$leader"
must "all replicas are in sync" ask await-isr 3
must "node $third is killed" cluster kill "$third"
must "every partition takes records" ask await-acks
check "node $away still knows every topic" await 10 knows_all "$away"
must "node $third comes back" cluster restart "$third"
check "nothing is lost, doubled or reordered" client_finish
