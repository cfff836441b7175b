# Sourced by the scenarios in this folder: TAP, a cluster of its own for each, waiting on conditions, cleaning up.
#
# The cluster is Skiff's release build; SKIFF_SERVER=tests/compat/kafka-node.sh runs the same scenario on Apache Kafka.
# What a scenario leaves (configs, logs, data) stays in build/integration/NAME when it fails.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scenario=$(basename "$0" .sh)
work=$root/build/integration/$scenario
tools=$root/build/release
probe=$tools/probe
skiff=${SKIFF_SERVER:-$tools/skiff}
client_program=$tools/failover-client
. "$root/deploy/demo/steer.sh"

cluster() { SKIFF_SERVER=$skiff "$root/deploy/local-cluster.sh" "$@" --dir "$work/cluster"; }

# ---- reporting -------------------------------------------------------------------------------------------------------
failures=0
ok() { echo "ok - $scenario: $1"; }
not_ok() { echo "not ok - $scenario: $1"; failures=$((failures + 1)); }
skip() { echo "ok - $scenario: $1 # SKIP $2"; }
skip_all() { echo "1..0 # SKIP $scenario: $1"; exit 0; }
# check NAME COMMAND...: ok when the command succeeds; its output is shown when it does not. (Not in a subshell: the client
# is this shell's child.)
check() {
  local name=$1
  shift
  if "$@" >"$work/output" 2>&1; then ok "$name"; else not_ok "$name"; echo "failed: $*"; cat "$work/output"; return 1; fi
}
# For a step without which the rest makes no sense.
must() { check "$@" || exit 1; }
# same NAME EXPECTED ACTUAL
same() {
  if [[ $2 == "$3" ]]; then ok "$1"; else not_ok "$1"; printf 'expected: %s\nactual:   %s\n' "$2" "$3"; return 1; fi
}
matches() { # NAME REGULAR-EXPRESSION TEXT
  if [[ $3 =~ $2 ]]; then ok "$1"; else not_ok "$1"; printf 'no match for %s in:\n%s\n' "$2" "$3"; return 1; fi
}

# shows REGEX COMMAND...: the command succeeds and a line of what it prints matches. Its output is read to the end: `ask | grep -q` would
# leave the rest of the answer to the next question, and a tool that dies of SIGPIPE would pass for one that failed.
shows() {
  local text
  text=$("${@:2}" 2>&1) && grep -qE -- "$1" <<<"$text"
}
lacks() { # REGEX COMMAND...: the command succeeds and no line matches
  local text
  text=$("${@:2}" 2>&1) && ! grep -qE -- "$1" <<<"$text"
}

# ---- waiting ---------------------------------------------------------------------------------------------------------
await() { # SECONDS COMMAND...: until it succeeds
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.02
  done
}

# ---- the cluster -----------------------------------------------------------------------------------------------------
start_cluster() { # NODES [arguments of local-cluster.sh]
  local n=$1
  shift
  cluster start --nodes "$n" --port 0 --wait --timeout 60 "$@" || { not_ok "start $n nodes"; exit 1; }
  bootstrap=$(cluster bootstrap)
}
# configure_roles NODES VOTERS FIRST-BROKER: nodes before VOTERS are controllers, those from FIRST-BROKER on are brokers.
# Starts none, and sets `bootstrap`.
configure_roles() {
  local i file voters
  cluster configure --nodes "$1" --port 0 || { not_ok "configure $1 nodes"; exit 1; }
  for ((i = 0; i < $1; i++)); do
    file=$work/cluster/$i/server.properties
    voters=$(sed -n 's/^controller.quorum.voters=//p' "$file" | cut -d, -f"1-$2")
    sed -i "s/^controller.quorum.voters=.*/controller.quorum.voters=$voters/" "$file"
    ((i >= $2)) && sed -i -e 's/^process.roles=.*/process.roles=broker/' -e 's/^\(listeners=.*\),CONTROLLER:.*/\1/' "$file"
    ((i < $3)) && sed -i -e 's/^process.roles=.*/process.roles=controller/' -e 's/^listeners=.*,\(CONTROLLER:.*\)/listeners=\1/' \
      -e '/^advertised.listeners=/d' -e '/^inter.broker.listener.name=/d' "$file"
  done
  bootstrap=$(cluster bootstrap | cut -d, -f"$(($3 + 1))-")
}
address_of() { cluster bootstrap | cut -d, -f$(($1 + 1)); }
raft_leader() { cluster status | awk '$3 == "leader" { id = $2 } END { print id }'; }
has_raft_leader() { leader=$(raft_leader) && [[ -n $leader ]]; }
find_raft_leader() { must "there is a Raft leader" await 20 has_raft_leader; } # sets `leader`
node_pid() { cat "$work/cluster/$1/pid"; }
node_log() { cat "$work/cluster/$1/log"; }
# Where a node serves HTTP (admin.http.listener).
http_of() { node_log "$1" | sed -n 's/.* INFO \[admin\] HTTP on \([^ ]*\): .*/\1/p' | tail -n 1; }
rss_kb() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$1/status"; }
# The broker that leads a partition, as node NODE sees it; -1 for none.
leader_of() { # NODE TOPIC PARTITION
  "$probe" topic "$(address_of "$1")" "$2" | awk -v p="$3" '$1 == p { sub("leader=", "", $2); print $2 }'
}
is_partition_led() { # NODE TOPIC PARTITION
  local leader
  leader=$(leader_of "$@")
  [[ -n $leader && $leader != -1 ]]
}
# Some node's address that is up and neither of those given.
free_port() {
  local port=$((10000 + RANDOM % 20000))
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((10000 + RANDOM % 20000)); done
  echo "$port"
}

# ---- setting up and cleaning up --------------------------------------------------------------------------------------
background=()
leave() {
  local status=$? i
  client_abort
  for i in ${background[@]+"${background[@]}"}; do kill "$i" 2>/dev/null; done
  if ((failures > 0 || status != 0)); then
    for i in "$work"/cluster/*/log; do
      [[ -s $i ]] && { echo "--- the end of $i"; tail -n 15 "$i" | cut -c1-300; }
    done
    for i in "$work"/cluster/[0-9]*; do [[ -d $i ]] && cluster kill "${i##*/}" 2>/dev/null; done
    exit 1
  fi
  cluster clean
  rm -rf "$work"
}
[[ -x $skiff ]] || { not_ok "$skiff is not built"; exit 1; }
[[ ! -r $work/cluster/cluster ]] || cluster clean
rm -rf "$work"
mkdir -p "$work"
trap leave EXIT
trap 'exit 1' TERM INT
