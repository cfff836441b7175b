#!/usr/bin/env bash
# What a crash leaves at the end of a segment: garbage, zeros, half a batch. The node starts, keeps every acknowledged
# record, drops the torn tail and takes new ones. With three nodes, a replica whose file lost acknowledged records is
# filled again from the leader.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v kcat >/dev/null || skip_all "kcat is not installed"

numbers() { kcat -q -b "$bootstrap" -C -e -t torn -p 0 -f '%s\n'; }
produce() { kcat -q -b "$bootstrap" -P -t torn -p 0 -X acks=all -X linger.ms=5; }
segment_of() { ls "$work/cluster/$1/data/torn-0/"*.log | tail -n 1; }
# The first batch may be of one record only: a whole one at the end would be no torn one.
size_of_first_batch() { echo $((12 + $(od -An -j 8 -N 4 -t u4 --endian=big "$1"))); }
append_tail() { # KIND FILE
  case $1 in
    garbage) head -c 777 /dev/urandom >>"$2" ;;
    zeros) head -c 4096 /dev/zero >>"$2" ;;
    half-a-batch) head -c $(($(size_of_first_batch "$2") / 2)) "$2" >"$work/half" && cat "$work/half" >>"$2" ;;
    a-header-only) head -c 61 "$2" >"$work/half" && cat "$work/half" >>"$2" ;;
  esac
}

start_cluster 1 --set offsets.topic.replication.factor=1
must "a topic" "$tools/admin" "$bootstrap" create torn 1 1
seq 1 1000 | produce
count=1000
for kind in garbage zeros half-a-batch a-header-only; do
  must "$kind: the node is killed" cluster kill 0
  append_tail "$kind" "$(segment_of 0)"
  must "$kind: it starts again" cluster restart 0 --wait
  check "$kind: every record is there" cmp <(seq 1 "$count") <(numbers)
  seq $((count + 1)) $((count + 10)) | produce
  count=$((count + 10))
  check "$kind: new ones follow" cmp <(seq 1 "$count") <(numbers)
done
cluster clean

start_cluster 3
must "a topic on three nodes" "$tools/admin" "$bootstrap" create torn 1 3 min.insync.replicas=2
seq 1 20000 | produce
leader=$(leader_of 0 torn 0)
follower=$(((leader + 1) % 3))
in_sync() { [[ $("$probe" topic "$(address_of "$leader")" torn | sed 's/.*isr=//' | tr ',' '\n' | wc -l) == 3 ]]; }
must "all replicas are in sync" await 20 in_sync
must "a follower is killed" cluster kill "$follower"
segment=$(segment_of "$follower")
truncate -s $(($(stat -c %s "$segment") / 2)) "$segment"
must "half its log is gone; it starts again" cluster restart "$follower"
must "it is back in sync" await 30 in_sync
must "the follower is killed again" cluster kill "$follower"
must "a bit flips in its log" "$tools/tear" flip "$(segment_of "$follower")"
must "it starts again" cluster restart "$follower"
told='torn-0 is damaged: no good batch at offset .* this replica leaves the in-sync replicas'
must "it says what is damaged and what it does" await 30 shows "$told" node_log "$follower"
must "it is refilled and back in sync" await 30 in_sync
check "the leader has every record" cmp <(seq 1 20000) <(numbers)
must "the leader is killed" cluster kill "$leader"
led_by_another() { local l; l=$(leader_of "$follower" torn 0); [[ -n $l && $l != -1 && $l != "$leader" ]]; }
must "another leads" await 30 led_by_another
check "every record is there without it" cmp <(seq 1 20000) <(numbers)
must "the old leader comes back" cluster restart "$leader"
leader=$(leader_of "$follower" torn 0)
must "in sync" await 30 in_sync
must "all stop" cluster stop
check "node 1's log equals node 0's, byte for byte" cmp "$(segment_of 0)" "$(segment_of 1)"
check "node 2's log equals node 0's, byte for byte" cmp "$(segment_of 0)" "$(segment_of 2)"
