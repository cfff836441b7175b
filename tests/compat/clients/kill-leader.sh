#!/usr/bin/env bash
# What a driver of the client matrix runs to kill the leader of a partition:
#
#   kill-leader.sh TOPIC PARTITION    brings back the node that was killed before, waits until every replica of the partition is in
#                                     sync, kills its leader with SIGKILL and returns
#   kill-leader.sh                    brings back every node that is down, and waits until nothing is under-replicated
#
# The cluster is the one in the folder $COMPAT_CLUSTER.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
probe=$root/build/release/probe
: "${COMPAT_CLUSTER:?the folder of the cluster}"

cluster() { "$root/deploy/local-cluster.sh" "$@" --dir "$COMPAT_CLUSTER"; }
await() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || { echo "kill-leader: no success in time: $*" >&2; return 1; }
    sleep 0.05
  done
}

revive() {
  local node
  for node in $(cluster status | awk '$3 == "down" { print $2 }'); do cluster restart "$node" --wait --timeout 300; done
}

describe() { # TOPIC: one line per partition, or nothing
  local address
  for address in $(cluster bootstrap | tr ',' ' '); do "$probe" topic "$address" "$1" 2>/dev/null && return; done
  return 0
}
# Every partition of the topic (or the one named) has a leader and all its replicas in sync.
is_whole() { # TOPIC [PARTITION]
  describe "$1" | awk -v only="${2:-}" '
    only != "" && $1 != only { next }
    { seen = 1; replicas = $3; isr = $4; if ($2 == "leader=-1" || gsub(",", "", replicas) != gsub(",", "", isr)) bad = 1 }
    END { exit bad || !seen }'
}
has_no_topic() { [[ -z $(describe "$1") ]]; }
is_settled() { has_no_topic __consumer_offsets || is_whole __consumer_offsets; }

revive
if (($# == 2)); then
  await 60 is_whole "$1" "$2"
  leader=$(describe "$1" | awk -v p="$2" '$1 == p { sub("leader=", "", $2); print $2 }')
  cluster kill "$leader"
else
  await 60 is_settled
fi
