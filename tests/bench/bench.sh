#!/usr/bin/env bash
# Skiff beside Apache Kafka on this machine, in one run:
#
#   tests/bench/bench.sh [--rounds 3] [--megabytes 1000] [--only SYSTEM,...] [--quick] [--groups | --kills]
#
# Four systems in turn, round by round: skiff-os and kafka (no flush before an acknowledgement: Kafka's default), skiff-fsync
# (Skiff's default) and kafka-fsync (flush.messages=1). The load generator sends both the same bytes. Single results are in
# build/bench/results, the table shows the median and (lowest-highest), in Markdown. Without Java or Maven, Kafka's columns are
# absent. `floor` is what this machine takes to move the same bytes and do nothing else (tests/bench/floor.c). --quick: one round
# with 200 MB, a few minutes with Kafka, no spread. --groups: only consumer groups, many partitions and many
# connections; --kills: only what a client sees of a killed node.
#
# Before the first round the free memory is filled with pages of a file: a virtual machine pays its host for memory that it touches
# for the first time, a server that has run for a while does not. --cold leaves that out.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/build/release
work=$root/build/bench
client_program=$tools/failover-client
rounds=3 megabytes=1000 only=skiff-os,kafka,skiff-fsync,kafka-fsync cold=0 parts="bytes groups kills"
. "$root/deploy/demo/steer.sh"
. "$root/tests/compat/kafka-env.sh"

while (($#)); do
  case $1 in
    --rounds) rounds=${2:?}; shift 2 ;;
    --megabytes) megabytes=${2:?}; shift 2 ;;
    --only) only=${2:?}; shift 2 ;;
    --quick) rounds=1 megabytes=200; shift ;;
    --cold) cold=1; shift ;;
    --groups | --kills) parts=${1#--}; shift ;;
    *) sed -n '4p' "${BASH_SOURCE[0]}" | sed 's/^# *//' >&2; exit 2 ;;
  esac
done

measures() { [[ " $parts " == *" $1 "* ]]; } # PART
cluster() { "$root/deploy/local-cluster.sh" "$@" --dir "$work/cluster"; }
record() { echo "$system $1 $2" >>"$work/results"; printf '  %-12s %-38s %s\n' "$system" "$1" "$2"; }
leave() {
  client_abort
  for pid_file in "$work"/cluster/*/pid; do
    [[ -e $pid_file ]] && cluster stop >/dev/null 2>&1 && break
  done
  rm -rf "$work/cluster" "$work/holes"
}

# ---- the systems -----------------------------------------------------------------------------------------------------
choose_system() { # NAME
  system=$1 settings=(group.initial.rebalance.delay.ms=0)
  case $system in
    skiff-*) server=$tools/skiff settings+=("log.flush.policy=${system#skiff-}") ;;
    kafka*) server=$root/tests/compat/kafka-node.sh settings+=("offsets.topic.replication.factor=$2" leader.imbalance.check.interval.seconds=2) ;;
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
  address=${address%%,*}
  launch_nodes "$1"
}

launch_nodes() { # N
  local i
  pids=() started=$EPOCHREALTIME
  for ((i = 0; i < $1; i++)); do
    "$server" server --config "$work/cluster/$i/server.properties" >>"$work/cluster/$i/log" 2>&1 </dev/null &
    pids+=($!)
    echo $! >"$work/cluster/$i/pid"
    disown # its end is no news
  done
}
cpu_ticks() { local pid sum=0; for pid in "${pids[@]}"; do sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat"))); done; echo "$sum"; }
rss_mb() { awk '$1 == "VmRSS:" { printf "%.1f", $2 / 1024 }' "/proc/${pids[0]}/status"; }
cpu_ms() { awk -v t="$1" -v hz="$(getconf CLK_TCK)" -v n="$2" 'BEGIN { printf "%.3f", t * 1000 / hz / n }'; } # TICKS COUNT
per_gb() { awk -v t="$1" -v hz="$(getconf CLK_TCK)" -v mb="$2" 'BEGIN { printf "%.3f", t / hz / (mb / 1000) }'; }
load() { "$tools/load" "$@"; }

# Page cache, which the kernel takes back when it needs memory, in place of memory that the host has yet to give.
touch_memory() {
  local kb
  kb=$(awk '$1 == "MemFree:" { print int($2 * 0.9) }' /proc/meminfo)
  truncate -s "${kb}K" "$work/holes"
  cat "$work/holes" >/dev/null
}
measure_floor() {
  local name value
  system=floor
  while read -r name value; do record "floor-$name" "$value"; done < <("$tools/floor" "$work" "$((megabytes / 2))")
}

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
  before=$(cpu_ticks)
  read -r read speed < <(load consume "$address" bulk 4)
  record consume-v4-cpu-s-per-gb "$(per_gb $(($(cpu_ticks) - before)) "$read")"
}

# In two topics: Kafka's controller does not create more than 10,000 records at a time.
measure_many() {
  local before p50 p99 p999 longest
  start_nodes 1
  load first-ack "$address" first 1 "$started" >/dev/null
  load create "$address" many 5000 1 >/dev/null
  load create "$address" more 5000 1 >/dev/null
  sleep 3 # what it took to create them is given back
  record rss-10000-partitions-mb "$(rss_mb)"
  load metadata "$address" 100 >/dev/null
  before=$(cpu_ticks)
  read -r p50 p99 p999 longest < <(load metadata "$address" 200)
  record metadata-10000-partitions-p50-us "$p50"
  record metadata-10000-partitions-p99-us "$p99"
  record metadata-10000-partitions-cpu-ms "$(cpu_ms $(($(cpu_ticks) - before)) 200)"
  read -r _ before < <(load hold "$address" 2000 "${pids[0]}")
  record rss-10000-partitions-2000-connections-mb "$(awk -v kb="$before" 'BEGIN { printf "%.1f", kb / 1024 }')"
  cluster stop
}

measure_rebalances() {
  local members ms cpu
  for members in 10 100 1000; do
    read -r ms cpu < <(load rebalance "$address" "members-$members" "$members" $((members < 1000 ? 50 : 10)) "${pids[@]}")
    record "rebalance-$members-members-ms" "$ms"
    record "rebalance-$members-members-cpu-ms" "$cpu"
  done
}

# All groups have one coordinator. A thousand of them commit a thousand partitions each; then the node starts again.
measure_coordinator() {
  settings+=(offsets.topic.num.partitions=1)
  start_nodes 1
  load first-ack "$address" first 1 "$started" >/dev/null
  load create "$address" many 1000 1 >/dev/null
  measure_rebalances
  load commit-many "$address" many 1000 >/dev/null
  cluster stop
  launch_nodes 1
  record load-1000000-offsets-ms "$(load await-offset "$address" many-999 many "$started")"
  sleep 3
  record rss-1000000-offsets-mb "$(rss_mb)"
  cluster stop
}

measure_commits() {
  local p50 p99 p999 longest
  load create "$address" commits 1 3 >/dev/null
  load commit "$address" commits 1000 3 >/dev/null
  read -r p50 p99 p999 longest < <(load commit "$address" commits 1000 10)
  record commit-rf3-1000-per-s-p50-us "$p50"
  record commit-rf3-1000-per-s-p99-us "$p99"
}

measure_idle() {
  local before
  load create "$address" idle 1000 3 >/dev/null
  sleep 10
  before=$(cpu_ticks)
  sleep 20
  record idle-1000-partitions-cpu-percent "$(cpu_ms $(($(cpu_ticks) - before)) 200)" # of 20 s, in hundredths
  record idle-100-clients-cpu-percent "$(load idle "$address" idle 100 20 "${pids[@]}")"
}

measure_latency() {
  local p50 p99 p999 longest
  load create "$address" latency 1 3 >/dev/null
  load latency "$address" latency 1000 3 >/dev/null
  read -r p50 p99 p999 longest < <(load latency "$address" latency 1000 10)
  record latency-rf3-1000-per-s-p50-us "$p50"
  record latency-rf3-1000-per-s-p99-us "$p99"
}

partition_led_by() { ask describe | awk -v leader="$1" '!led && $0 ~ "Leader: " leader " " { sub(".*Partition: ", ""); print $1; led = 1 }'; }
gap_of() { sed -n "s/.*partition $2 \([0-9]*\) ms.*/\1/p" <<<"$1"; }
raft_leader() { cluster status | awk '$3 == "leader" { id = $2 } END { print id }'; }

# Only then has the client a connection to every node: to one that was dead it waits up to ten seconds (reconnect.backoff.max.ms), which
# would be measured in place of the servers.
is_settled() {
  local lines
  lines=$(ask describe) && ! grep -qvE 'Leader: ([0-9]+)  Replicas: \1,' <<<"$lines"
}
settle() {
  local deadline=$((SECONDS + 60))
  until is_settled; do
    ((SECONDS < deadline)) || { echo "bench: the preferred replicas do not lead" >&2; exit 1; }
    sleep 0.1
  done
  ask await-acks
}

kill_and_measure() { # NODE METRIC-OF-ITS-PARTITION [METRIC-OF-THE-OTHERS]
  local led gaps p others=0 gap
  settle
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
  client_start "$(cluster bootstrap)" failover --rate 3000 --lines 1000 2>"$work/client.log"
  ask await-acks
  ask await-isr 3
  leader=$(raft_leader)
  kill_and_measure $(((leader + 1) % 3)) kill-leader-to-next-ack-ms kill-follower-to-next-ack-ms
  kill_and_measure "$(raft_leader)" kill-leader-and-controller-to-next-ack-ms
  client_finish >"$work/verdict" || { cat "$work/verdict"; echo "bench: records were lost" >&2; exit 1; }
}

measure_one_node() {
  start_nodes 1
  measure_start 1
  measure_produce produce-rf1 1
  measure_consume
  record create-1000-partitions-ms "$(load create "$address" many 1000 1)"
  cluster stop
}

run_system() { # NAME
  choose_system "$1" 1
  if measures bytes; then measure_one_node; fi
  if measures groups; then measure_many; measure_coordinator; fi
  choose_system "$1" 3
  start_nodes 3
  measure_start 3
  if measures bytes; then measure_produce replicate-rf3 3; measure_latency; fi
  if measures groups; then measure_commits; measure_idle; fi
  if measures kills; then measure_failover; fi
  cluster stop
}

# ---- the table -------------------------------------------------------------------------------------------------------
# METRIC | what the reader calls it | target for Skiff with `os` | name of its floor
rows() {
  cat <<'ROWS'
start-to-first-ack-ms-1-node|start to first acknowledged produce, one node, ms|30|
start-to-first-ack-ms-3-node|the same, three nodes, ms|300|
rss-idle-mb-1-node|resident memory, idle node, MB|12|
rss-10000-partitions-mb|the same with 10,000 partitions, MB|24|
rss-10000-partitions-2000-connections-mb|the same with 10,000 partitions and 2,000 idle connections, MB|26|
produce-rf1-cpu-s-per-gb|server CPU s/GB, produce, one replica|0.35|produce
replicate-rf3-cpu-s-per-gb|server CPU s/GB, three replicas, acks=all|1.1|replicate
consume-cpu-s-per-gb|server CPU s/GB, consume|0.10|consume
consume-v4-cpu-s-per-gb|the same with Fetch v4, whose clients may not be given zstd|0.10|consume
latency-rf3-1000-per-s-p50-us|acks=all, three replicas, 1,000 records/s, open loop: p50, µs|200|
latency-rf3-1000-per-s-p99-us|the same: p99, µs|1000|
commit-rf3-1000-per-s-p50-us|OffsetCommit, three replicas, 1,000 commits/s, open loop: p50, µs|150|
commit-rf3-1000-per-s-p99-us|the same: p99, µs|1000|
load-1000000-offsets-ms|a node with 1,000,000 committed offsets starts again: first OffsetFetch answered after, ms|1000|
rss-1000000-offsets-mb|its resident memory then, MB|40|
rebalance-10-members-ms|rebalance of 10 members, first JoinGroup to last SyncGroup answered, ms||
rebalance-100-members-ms|of 100 members|10|
rebalance-1000-members-ms|of 1,000 members|100|
rebalance-10-members-cpu-ms|server CPU of a rebalance of 10 members, ms||
rebalance-100-members-cpu-ms|of 100 members|10|
rebalance-1000-members-cpu-ms|of 1,000 members|100|
metadata-10000-partitions-p50-us|Metadata of 10,000 partitions: p50, µs||
metadata-10000-partitions-p99-us|the same: p99, µs||
metadata-10000-partitions-cpu-ms|server CPU of one, ms||
idle-1000-partitions-cpu-percent|CPU of three nodes with 1,000 partitions and no clients, % of a core|1.5|
idle-100-clients-cpu-percent|the same with 100 consumers and 100 producers that wait||
create-1000-partitions-ms|1,000 partitions created and served, ms||
kill-leader-to-next-ack-ms|kill -9 of a leader to the next ack, ms|300|
kill-follower-to-next-ack-ms|the same for partitions that the dead node followed, ms|50|
kill-leader-and-controller-to-next-ack-ms|kill -9 of the leader that is the controller too, ms|300|
produce-rf1-mb-per-s|MB/s, produce, one replica||
replicate-rf3-mb-per-s|MB/s, three replicas, acks=all||
consume-mb-per-s|MB/s, consume||
ROWS
}
print_table() {
  echo
  echo "$(nproc) cores, Linux $(uname -r), TCP $(cat /proc/sys/net/ipv4/tcp_congestion_control), $(findmnt -no FSTYPE -T "$work")," \
    "Kafka ${kafka_version}${kafka_absent:+ absent: $kafka_absent}; $rounds rounds, $megabytes MB; median (lowest-highest)"
  echo
  echo '| | Skiff `os` | Kafka | Skiff `fsync` | Kafka, flush.messages=1 | target (`os`) | floor here |'
  echo '|---|--:|--:|--:|--:|--:|--:|'
  sort -k3,3n "$work/results" | awk -F'|' '
    function number(v) { return v >= 100 ? sprintf("%.0f", v) : v >= 1 ? sprintf("%.1f", v) : sprintf("%.2f", v) }
    NR == FNR { metric[++metrics] = $1; title[metrics] = $2; target[metrics] = $3; least[metrics] = $4; next }
    { split($0, part, " "); key = part[2] SUBSEP part[1]; value[key, ++n[key]] = part[3] }
    function cell(m, s,  k, c, middle) { k = m SUBSEP s; c = n[k]; if (!c) return ""
      middle = c % 2 ? value[k, (c + 1) / 2] : (value[k, c / 2] + value[k, c / 2 + 1]) / 2
      return number(middle) (c > 1 ? " (" number(value[k, 1]) "-" number(value[k, c]) ")" : "") }
    END {
      for (i = 1; i <= metrics; i++) { m = metric[i]
        if (!((m SUBSEP "skiff-os") in n) && !((m SUBSEP "skiff-fsync") in n)) continue
        printf "| %s | %s | %s | %s | %s | %s | %s |\n", title[i], cell(m, "skiff-os"), cell(m, "kafka"), cell(m, "skiff-fsync"),
          cell(m, "kafka-fsync"), target[i], least[i] ? cell("floor-" least[i], "floor") : "" } }' <(rows) -
}

rm -rf "$work"
mkdir -p "$work"
trap leave EXIT
kafka_absent=$(kafka_missing)
ulimit -Sn "$(ulimit -Hn)" # thousands of partitions and connections
if measures bytes && ! ((cold)); then touch_memory; fi
for ((round = 1; round <= rounds; round++)); do
  echo "round $round of $rounds"
  if measures bytes; then measure_floor; fi
  for name in ${only//,/ }; do
    [[ $name != kafka* || -z $kafka_absent ]] || continue
    run_system "$name"
  done
done
print_table
