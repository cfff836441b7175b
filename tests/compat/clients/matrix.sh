#!/usr/bin/env bash
# The client matrix: unmodified clients against three nodes of Skiff and three of Apache Kafka, with the same programs.
#
#   matrix.sh [--only CLIENT,...] [--system skiff,kafka]
#
# Each folder here that has a `run` is a client:
#   setup     installs it below build/compat/CLIENT; status 77: it cannot be had here, and why is on stdout
#   version   prints its name and version on one line
#   run       prints `ok - CASE[: note]`, `not ok - CASE: reason` or `ok - CASE # SKIP reason` for each case of cases.txt that it
#             has; finds the cluster in BOOTSTRAP, a name for its topics and groups in PREFIX, a folder in WORK, and
#             in KILL_LEADER a program (kill-leader.sh)
# What it prints goes to $COMPAT_RESULTS/SYSTEM.CLIENT.tap (build/compat/results), from which report.py makes the document. A failure
# that differences.txt explains is reported as known (todo, in TAP).
. "$(dirname "${BASH_SOURCE[0]}")/../../integration/lib.sh"
. "$root/tests/compat/kafka-env.sh"

here=$root/tests/compat/clients
results=${COMPAT_RESULTS:-$root/build/compat/results}
cases=$work
patience=${COMPAT_PATIENCE:-1}    # multiplies time limits, for machines that have other work
client_limit=$((900 * patience)) # seconds
systems=(skiff kafka) clients=()
for i in "$here"/*/run; do i=${i%/run}; clients+=("${i##*/}"); done

parse_arguments() {
  while (($#)); do
    case $1 in
      --only) IFS=, read -ra clients <<<"${2:?client,...}" ;;
      --system) IFS=, read -ra systems <<<"${2:?skiff,kafka}" ;;
      *) echo "usage: matrix.sh [--only CLIENT,...] [--system skiff,kafka]" >&2; exit 2 ;;
    esac
    shift 2
  done
  for i in "${clients[@]}"; do [[ -x $here/$i/run ]] || { not_ok "there is no client $i in $here"; exit 1; }; done
  for i in "${systems[@]}"; do [[ $i == skiff || $i == kafka ]] || { not_ok "there is no system $i"; exit 1; }; done
}

# ---- clients ---------------------------------------------------------------------------------------------------------
set_up_clients() { # keeps in `clients` those that can run here
  local client reason status usable=()
  for client in "${clients[@]}"; do
    reason=$("$here/$client/setup" 2>"$results/$client.setup.log")
    status=$?
    case $status in
      0) usable+=("$client") ;;
      77) skip "$client" "$reason" ;;
      *) not_ok "$client: its setup ended with status $status"; tail -n 20 "$results/$client.setup.log" ;;
    esac
  done
  clients=(${usable[@]+"${usable[@]}"})
}

# Why CASE of CLIENT is known to fail on SYSTEM, or nothing.
known_failure() { # SYSTEM CLIENT CASE
  awk -F ' *[|] *' -v on="$1" -v client="$2" -v name="$3" '
    /^#/ || NF < 4 { next }
    ($1 == client || $1 == "*") && $2 == name && ($3 == on "-fails" || $3 == "both-fail") { print $4; exit }' "$here/differences.txt"
}

judge() { # SYSTEM CLIENT: the driver's lines on stdin
  local line name reason
  while IFS= read -r line; do
    case $line in
      'ok - '*) echo "ok - $1, $2: ${line#ok - }" ;;
      'not ok - '*)
        name=${line#not ok - }
        reason=$(known_failure "$1" "$2" "${name%%:*}")
        if [[ -n $reason ]]; then echo "not ok - $1, $2: $name # todo $reason"; else not_ok "$1, $2: $name"; fi
        ;;
    esac
  done
}

# In the background, so that a signal to this script is heard while it waits.
run_client() { # SYSTEM CLIENT
  local system=$1 client=$2 tap=$results/$1.$2.tap status started=$SECONDS
  echo "# version $("$here/$client/version")" >"$tap"
  mkdir -p "$work/$client"
  BOOTSTRAP=$bootstrap PREFIX=$client-$$ WORK=$work/$client KILL_LEADER=$here/kill-leader.sh COMPAT_CLUSTER=$work/cluster \
    timeout -k 10 "$client_limit" "$here/$client/run" >>"$tap" 2>"$work/$client/stderr" </dev/null &
  background+=("$!")
  wait "$!"
  status=$?
  grep -qE '^(not )?ok - ' "$tap" || ((status)) || status=1
  if ((status)) && ! grep -q '^not ok - ' "$tap"; then echo "not ok - driver: it ended with status $status" >>"$tap"; fi
  judge "$system" "$client" <"$tap"
  echo "# $system, $client: $((SECONDS - started)) s"
}

# ---- systems ---------------------------------------------------------------------------------------------------------
start_system() { # SYSTEM
  work=$cases/$1
  mkdir -p "$work"
  if [[ $1 == kafka ]]; then
    skiff=$root/tests/compat/kafka-node.sh
    KAFKA_CLUSTER_DIR=$work/cluster "$root/tests/compat/kafka.sh" start 3 --timeout $((120 * patience)) --set offsets.topic.num.partitions=8 ||
      { not_ok "start three nodes of Apache Kafka"; exit 1; }
    bootstrap=$(cluster bootstrap)
  else
    skiff=$root/build/release/skiff
    start_cluster 3 --set offsets.topic.num.partitions=8 --set group.initial.rebalance.delay.ms=0
  fi
}

run_system() { # SYSTEM
  local client before=$failures reason
  reason=$([[ $1 != kafka ]] || kafka_missing)
  [[ -z $reason ]] || { skip "$1" "$reason"; return; }
  start_system "$1"
  for client in "${clients[@]}"; do
    run_client "$1" "$client"
    COMPAT_CLUSTER=$work/cluster check "$1: three nodes after $client" "$here/kill-leader.sh"
  done
  cluster stop
  ((failures > before)) || rm -rf "$work"
}

parse_arguments "$@"
mkdir -p "$results"
set_up_clients
((${#clients[@]} == 0)) || for system in "${systems[@]}"; do run_system "$system"; done
