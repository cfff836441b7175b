#!/usr/bin/env bash
# All nodes lose power at once: kill -9, then by hand what a power cut leaves of writes that no flush had covered, a hole with a
# good batch behind it, in every replica. The cluster comes back by itself with every acknowledged record. When bits have rotted
# in all replicas instead, nothing is cut until an operator says so.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v kcat >/dev/null || skip_all "kcat is not installed"

numbers() { kcat -q -b "$bootstrap" -C -e -t cut -p 0 -f '%s\n'; }
produce() { kcat -q -b "$bootstrap" -P -t cut -p 0 -X acks=all -X linger.ms=5 -X batch.num.messages=100; }
segment_of() { ls "$work/cluster/$1/data/cut-0/"*.log | tail -n 1; }
is_led() { for node in 0 1 2; do is_partition_led "$node" cut 0 || return 1; done; }
in_sync() { [[ $("$probe" topic "$(address_of 0)" cut | sed 's/.*isr=\([0-9,]*\).*/\1/' | tr ',' '\n' | wc -l) == 3 ]]; }
kill_all() {
  local node killers=()
  for node in 0 1 2; do cluster kill "$node" & killers+=($!); done
  wait "${killers[@]}"
}
restart_all() { for node in 0 1 2; do cluster restart "$node" || return 1; done; }
logged() { for node in 0 1 2; do [[ $(node_log "$node" | grep -c "$1") -gt 0 ]] || return 1; done; }
tear_all() { for node in 0 1 2; do "$tools/tear" "$1" "$(segment_of "$node")" || return 1; done; }
begin() { # the topic, its records, all replicas in sync
  must "$1: a topic" "$tools/admin" "$bootstrap" create cut 1 3 min.insync.replicas=2
  seq 1 5000 | produce
  must "$1: all replicas are in sync" await 20 in_sync
}

start_cluster 3
begin fsync
must "fsync: all nodes are killed" kill_all
must "fsync: every replica has a hole behind its end, and a good batch behind that" tear_all hole
must "fsync: all nodes start" restart_all
must "fsync: the partition has a leader" await 30 is_led
check "fsync: every acknowledged record is there" cmp <(seq 1 5000) <(numbers)
check "fsync: each node says what it cut" logged 'cut-0: cut what a crash left .* the log ends at 5000'
must "fsync: all replicas are in sync again" await 30 in_sync
seq 5001 5010 | produce
check "fsync: new ones follow" cmp <(seq 1 5010) <(numbers)

must "rot: all nodes are killed" kill_all
must "rot: a bit flips in every replica" tear_all flip
must "rot: all nodes start" restart_all
must "rot: each node says what is damaged" await 30 logged 'cut-0 is damaged: no good batch at offset'
has_no_leader() { [[ $(leader_of 0 cut 0) == -1 ]]; }
must "rot: nobody leads what nobody can vouch for" await 30 has_no_leader
must "rot: an operator takes what is left" "$tools/admin" "$bootstrap" alter cut min.insync.replicas=2 unclean.leader.election.enable=true
must "rot: the partition has a leader" await 30 is_led
must "rot: all replicas are in sync again" await 30 in_sync
is_beginning() { local count; count=$(numbers | tee "$work/left" | wc -l) && ((count > 0 && count < 5010)) && cmp <(seq 1 "$count") "$work/left"; }
check "rot: the good beginning is served" is_beginning
cluster clean

start_cluster 3 --set log.flush.policy=os
begin os
must "os: all nodes are killed" kill_all
must "os: every replica has a hole behind its end, and a good batch behind that" tear_all hole
must "os: all nodes start" restart_all
must "os: whoever led last leads again" await 30 is_led
must "os: the others follow" await 30 in_sync
check "os: what reached the disks is there" cmp <(seq 1 5000) <(numbers)
