#!/usr/bin/env bash
# The disk is full: produce is refused with an error, what was acknowledged stays readable, the node stays up and takes
# records again as soon as there is room.
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "the fault is planted in Skiff"
command -v kcat >/dev/null || skip_all "kcat is not installed"
skiff=$root/tests/fault/faulty_node.sh

numbers() { kcat -q -b "$bootstrap" -C -e -t full -p 0 -f '%s\n'; }
produce() { kcat -b "$bootstrap" -P -t full -p 0 -X acks=all -X message.timeout.ms=3000 2>&1; }
refused() { local said; said=$(echo lost | produce) || true; [[ $said == *"elivery failed"* ]]; }
fault() { printf '%s' "$1" >"$work/cluster/0/fault"; }

start_cluster 1 --set offsets.topic.replication.factor=1
must "a topic" "$tools/admin" "$bootstrap" create full 1 1
seq 1 1000 | produce
fault "pwritev 28 /full-0/"
check "with a full disk a record is refused" refused
check "what is there can be read" cmp <(seq 1 1000) <(numbers)
check "the node stays up" "$probe" ready 1 "$(address_of 0)"
fault ""
seq 1001 1010 | produce
check "with room again records are taken, after the last good one" cmp <(seq 1 1010) <(numbers)
must "the node is killed" cluster kill 0
must "and starts again" cluster restart 0 --wait
check "every record is there" cmp <(seq 1 1010) <(numbers)
