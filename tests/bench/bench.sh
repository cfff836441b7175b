#!/usr/bin/env bash
# Skiff beside Apache Kafka on this machine, in one run:
#
#   tests/bench/bench.sh [--rounds 3] [--megabytes 1000] [--only SYSTEM,...]
#
# Four systems in turn, round by round: skiff-os and kafka (no flush before an acknowledgement: Kafka's default), skiff-fsync
# (Skiff's default) and kafka-fsync (flush.messages=1). The load generator sends both the same bytes. Single results are in
# build/bench/results, the table shows the median and (lowest-highest). Without Java or Maven, Kafka's columns are absent.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/build/release
work=$root/build/bench
client_program=$tools/failover-client
rounds=3 megabytes=1000 only=skiff-os,kafka,skiff-fsync,kafka-fsync
. "$root/deploy/demo/steer.sh"
. "$root/tests/compat/kafka-env.sh"

while (($#)); do
  case $1 in
    --rounds) rounds=${2:?}; shift 2 ;;
    --megabytes) megabytes=${2:?}; shift 2 ;;
    --only) only=${2:?}; shift 2 ;;
    *) sed -n '4p' "${BASH_SOURCE[0]}" | sed 's/^# *//' >&2; exit 2 ;;
  esac
done

cluster() { "$root/deploy/local-cluster.sh" "$@" --dir "$work/cluster"; }
record() { echo "$system $1 $2" >>"$work/results"; printf '  %-12s %-38s %s\n' "$system" "$1" "$2"; }
leave() {
  client_abort
  for pid_file in "$work"/cluster/*/pid; do
    [[ -e $pid_file ]] && cluster stop >/dev/null 2>&1 && break
  done
  rm -rf "$work/cluster"
}

# ---- the systems -----------------------------------------------------------------------------------------------------
choose_system() { # NAME
  system=$1 settings=()
  case $system in
    skiff-*) server=$tools/skiff settings=("log.flush.policy=${system#skiff-}") ;;
    kafka*) server=$root/tests/compat/kafka-node.sh settings=(group.initial.rebalance.delay.ms=0 "offsets.topic.replication.factor=$2") ;;
  esac
  [[ $system != kafka-fsync ]] || settings+=(log.flush.interval.messages=1)
}

# Fresh directories, formatted where the system needs it; sets `address` (node 0's) and `pids`.
start_nodes() { # N
  local i arguments=()
  rm -rf "$work/cluster"
  for i in "${settings[@]}"; do arguments+=(--set "$i"); done
  cluster configure --nodes "$1" --port 0 --server "$server" "${arguments[@]}"
  if [[ $system == kafka* ]]; then
    for ((i = 0; i < $1; i++)); do "$server" format --config "$work/cluster/$i/server.properties" >/dev/null 2>&1; done
  fi
  address=$(cluster bootstrap)
  address=${address%%,*} pids=() started=$EPOCHREALTIME
  for ((i = 0; i < $1; i++)); do
    "$server" server --config "$work/cluster/$i/server.properties" >>"$work/cluster/$i/log" 2>&1 </dev/null &
    pids+=($!)
    echo $! >"$work/cluster/$i/pid"
    disown # its end is no news
  done
}
cpu_ticks() { local pid sum=0; for pid in "${pids[@]}"; do sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat"))); done; echo "$sum"; }
rss_mb() { awk '$1 == "VmRSS:" { printf "%.1f", $2 / 1024 }' "/proc/${pids[0]}/status"; }
per_gb() { awk -v t="$1" -v hz="$(getconf CLK_TCK)" -v mb="$2" 'BEGIN { printf "%.3f", t / hz / (mb / 1000) }'; }
load() { "$tools/load" "$@"; }

# ---- measurements ----------------------------------------------------------------------------------------------------
measure_start() { # NODES
  record "start-to-first-ack-ms-$1-node" "$(load first-ack "$address" first "$1" "$started")"
  "$tools/probe" --timeout-ms 60000 ready "$1" "$address" || sleep 1
  sleep 2 # idle
  record "rss-idle-mb-$1-node" "$(rss_mb)"
}

measure_produce() { # METRIC REPLICAS
  local before speed
  load create "$address" warm 1 "$2" >/dev/null
  load create "$address" bulk 1 "$2" >/dev/null
  load produce "$address" warm -1 $((megabytes / 2)) >/dev/null
  before=$(cpu_ticks)
  speed=$(load produce "$address" bulk -1 "$megabytes")
  record "$1-cpu-s-per-gb" "$(per_gb $(($(cpu_ticks) - before)) "$megabytes")"
  record "$1-mb-per-s" "$speed"
}

measure_consume() {
  local before read speed
  load consume "$address" warm >/dev/null
  before=$(cpu_ticks)
  read -r read speed < <(load consume "$address" bulk)
  record consume-cpu-s-per-gb "$(per_gb $(($(cpu_ticks) - before)) "$read")"
  record consume-mb-per-s "$speed"
}

measure_latency() {
  local p50 p99 p999 longest
  load create "$address" latency 1 3 >/dev/null
  load latency "$address" latency 1000 3 >/dev/null
  read -r p50 p99 p999 longest < <(load latency "$address" latency 1000 10)
  record latency-rf3-1000-per-s-p50-us "$p50"
  record latency-rf3-1000-per-s-p99-us "$p99"
}

partition_led_by() { ask describe | sed -n "s/.*Partition: \([0-9]*\)  Leader: $1 .*/\1/p" | head -n 1; }
gap_of() { sed -n "s/.*partition $2 \([0-9]*\) ms.*/\1/p" <<<"$1"; }
raft_leader() { cluster status | awk '$3 == "leader" { id = $2 } END { print id }'; }

kill_and_measure() { # NODE METRIC-OF-ITS-PARTITION [METRIC-OF-THE-OTHERS]
  local led gaps p others=0 gap
  led=$(partition_led_by "$1")
  ask mark
  cluster kill "$1"
  ask await-acks
  gaps=$(ask gaps)
  record "$2" "$(gap_of "$gaps" "$led")"
  if [[ -n ${3:-} ]]; then
    for p in 0 1 2; do gap=$(gap_of "$gaps" "$p"); ((p == led || gap <= others)) || others=$gap; done
    record "$3" "$others"
  fi
  cluster restart "$1"
  ask await-isr 3
}

measure_failover() {
  local leader
  client_start "$(cluster bootstrap)" failover --rate 3000 --lines 1000 2>/dev/null
  ask await-acks
  ask await-isr 3
  leader=$(raft_leader)
  kill_and_measure $(((leader + 1) % 3)) kill-leader-to-next-ack-ms kill-follower-to-next-ack-ms
  # It leads nothing any more, until the preferred leaders are elected; the Raft leader still leads its own partition.
  kill_and_measure "$(raft_leader)" kill-leader-and-controller-to-next-ack-ms
  client_finish >"$work/verdict" || { cat "$work/verdict"; echo "bench: records were lost" >&2; exit 1; }
}

run_system() { # NAME
  choose_system "$1" 1
  start_nodes 1
  measure_start 1
  measure_produce produce-rf1 1
  measure_consume
  record create-1000-partitions-ms "$(load create "$address" many 1000 1)"
  cluster stop
  choose_system "$1" 3
  start_nodes 3
  measure_start 3
  measure_produce replicate-rf3 3
  measure_latency
  measure_failover
  cluster stop
}

# ---- the table -------------------------------------------------------------------------------------------------------
print_table() {
  echo
  echo "$(nproc) cores, Linux $(uname -r), TCP $(cat /proc/sys/net/ipv4/tcp_congestion_control), $(findmnt -no FSTYPE -T "$work")," \
    "Kafka ${kafka_version}${kafka_absent:+ absent: $kafka_absent}; $rounds rounds, $megabytes MB; median (lowest-highest)"
  sort -k3,3n "$work/results" | awk '
    function number(v) { return v >= 100 ? sprintf("%.0f", v) : v >= 10 ? sprintf("%.1f", v) : sprintf("%.3g", v) }
    NR == FNR { if (!($2 in seen)) { seen[$2] = 1; order[++metrics] = $2 } next }
    { key = $2 SUBSEP $1; n[key]++; value[key, n[key]] = $3 }
    function cell(m, s,  k, c) { k = m SUBSEP s; c = n[k]; if (!c) return "absent"
      middle[s] = c % 2 ? value[k, (c + 1) / 2] : (value[k, c / 2] + value[k, c / 2 + 1]) / 2
      return number(middle[s]) " (" number(value[k, 1]) "-" number(value[k, c]) ")" }
    function ratio(m, a, b) { return n[m, a] && n[m, b] && middle[a] > 0 ? sprintf("%.1fx", (m ~ /per-s$/) ? middle[a] / middle[b] : middle[b] / middle[a]) : "-" }
    END {
      printf "%-44s | %-22s | %-22s | %-7s | %-22s | %-22s | %s\n", "", "Skiff, os", "Kafka", "ratio", "Skiff, fsync", "Kafka, flush.messages=1", "ratio"
      for (i = 1; i <= metrics; i++) { m = order[i]
        a = cell(m, "skiff-os"); b = cell(m, "kafka"); c = cell(m, "skiff-fsync"); d = cell(m, "kafka-fsync")
        printf "%-44s | %-22s | %-22s | %-7s | %-22s | %-22s | %s\n", m, a, b, ratio(m, "skiff-os", "kafka"), c, d, ratio(m, "skiff-fsync", "kafka-fsync") } }' "$work/results" -
}

rm -rf "$work"
mkdir -p "$work"
trap leave EXIT
kafka_absent=$(kafka_missing)
for ((round = 1; round <= rounds; round++)); do
  echo "round $round of $rounds"
  for name in ${only//,/ }; do
    [[ $name != kafka* || -z $kafka_absent ]] || continue
    run_system "$name"
  done
done
print_table
