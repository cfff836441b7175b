#!/usr/bin/env bash
# A node loses its directories, comes back empty, and the leader dies within 10 ms: the empty node must not help to elect
# anybody who lacks what was committed. AMNESIA_ROUNDS rounds (5; the full test is 50), one topic made in each.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v kcat >/dev/null || skip_all "kcat is not installed"

rounds=${AMNESIA_ROUNDS:-5}
topics_at() { kcat -b "$(address_of "$1")" -L 2>/dev/null | sed -n 's/^  topic "\(round-[0-9]*\)".*/\1/p' | sort; }
knows_all_topics() { [[ $(topics_at "$1" | wc -l) == "$2" ]]; }
create_topic() { "$tools/admin" "$bootstrap" create "$1" 1 3; }

start_cluster 3
client_start "$bootstrap" amnesia --rate 2000 --lines 10000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
for ((round = 1; round <= rounds; round++)); do
  must "round $round: a topic is created" create_topic "round-$round"
  find_raft_leader
  wiped=$(((leader + 1 + round % 2) % 3))
  cluster kill "$wiped"
  rm -rf "$work/cluster/$wiped/data"
  leader_pid=$(node_pid "$leader")
  cluster restart "$wiped" && kill -KILL "$leader_pid"
  must "round $round: node $leader, killed right after node $wiped was wiped, is started again" cluster restart "$leader"
  must "round $round: every partition takes records" ask await-acks
  must "round $round: all replicas are in sync" ask await-isr 3
  for node in 0 1 2; do
    must "round $round: node $node knows every topic" await 20 knows_all_topics "$node" "$round"
  done
done
check "nothing is lost, doubled or reordered" client_finish
