#!/usr/bin/env bash
# Kills the leader while records stream, and shows that nothing was lost.
#
#   deploy/failover-demo.sh [--dir DIR] [--lines 200000] [--rate 10000]
#
# Runs on the cluster of deploy/local-cluster.sh in DIR (its default when absent); when none runs there, it starts one of
# three nodes and stops it at the end. The exit status is 0 only when every acknowledged record was read back from its
# one offset, in order within its key, with equal SHA-256 of each key's input and output.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${here%/*}/build/release
dir=${SKIFF_CLUSTER_DIR:-${here%/*}/build/local-cluster}
lines=200000 rate=10000
while (($#)); do
  case $1 in
    --dir) dir=${2:?}; shift 2 ;;
    --lines) lines=${2:?}; shift 2 ;;
    --rate) rate=${2:?}; shift 2 ;;
    *) sed -n '4p' "${BASH_SOURCE[0]}" | sed 's/^# *//' >&2; exit 2 ;;
  esac
done
client_program=$build/failover-client
. "$here/demo/steer.sh"
topic=failover-demo-$(date +%H%M%S)
started_by_us=0 began=$SECONDS

cluster() { "$here/local-cluster.sh" "$@" --dir "$dir"; }
die() { echo "failover-demo: $*" >&2; exit 1; }
say() { printf '%s\n== %s\n' "$line_start" "$*"; }

leave() {
  client_abort
  ((started_by_us)) && cluster stop
  return 0
}

ensure_cluster() {
  if ! status=$(cluster status 2>/dev/null) || [[ $status != *leader* ]]; then
    say "starting three nodes in $dir"
    cluster start --wait
    started_by_us=1
  fi
  cluster status
}

# The node that is the Raft leader, as the nodes themselves say.
raft_leader() { cluster status | awk '$3 == "leader" { id = $2 } END { print id }'; }
leads_partition() { [[ $(ask describe) == *"Leader: $1 "* ]]; }

# One that is up and neither of the arguments.
another_node() { cluster status | awk -v a="$1" -v b="$2" '$2 != a && $2 != b && $3 != "down" { id = $2 } END { print id }'; }

# After something was done to a node: how long clients had to wait, and what the topic looks like.
show_failover() {
  ask await-acks || die "a partition takes no records"
  ask gaps
  ask describe
}

bring_back() { # NODE
  say "starting node $1 again"
  ask mark
  cluster restart "$1"
  ask await-isr 3 || die "node $1 did not come back into the in-sync replicas"
  ask gaps
  ask describe
}

start_client() {
  say "streaming lines of files on this machine into $topic: 3 partitions, 3 replicas, min.insync.replicas=2, acks=all"
  client_start "$(cluster bootstrap)" "$topic" --lines "$lines" --rate "$rate"
  ask await-acks || die "no acknowledgement"
  ask await-isr 3 || die "not all replicas came into sync"
  ask describe
}

[[ -x $client_program && -x $build/probe ]] || die "run 'make demo' first: it builds the client"
trap leave EXIT
ensure_cluster
start_client
ask mark
sleep 2 # of undisturbed streaming, for comparison
ask gaps

first=$(raft_leader)
[[ -n $first ]] || die "no node says that it is the Raft leader"
leads_partition "$first" || die "node $first, the Raft leader, leads no partition"
say "kill -9 of node $first: it is the Raft leader and leads a partition"
ask mark
cluster kill "$first"
show_failover
echo "   Raft leader now: node $(raft_leader)"
bring_back "$first"

second=$(another_node "$first" "$(raft_leader)")
[[ -n $second ]] || second=$(another_node "$first" none)
say "SIGTERM to node $second: controlled shutdown"
ask mark
cluster stop "$second"
show_failover
bring_back "$second"

say "the rest of the lines, then everything again from offset 0"
verdict=0
client_finish || verdict=1
if ((verdict == 0)); then say "VERDICT: ok, nothing lost, doubled or reordered ($((SECONDS - began)) s)"; else say "VERDICT: FAILED"; fi
exit "$verdict"
