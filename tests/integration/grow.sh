#!/usr/bin/env bash
# A cluster that begins with one node: the group's offsets have one replica. Two brokers join, and __consumer_offsets grows to three replicas
# (offsets.topic.replication.factor) by itself. The offsets stay what they are, whichever node is asked, and commits go on.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v kcat >/dev/null || skip_all "kcat is not installed"

ready() { "$probe" ready "$1" $(cluster bootstrap | cut -d, -f"1-$1" | tr , ' '); } # BROKERS: the first ones
offsets_topic() { "$probe" topic "$(address_of "$1")" __consumer_offsets; }         # as node NODE sees it
lists() { # replicas|isr NUMBER NODE: so many in each partition
  (($(offsets_topic "$3" | sed -n "s/.* $1=\([0-9,]*\).*/\1/p" | awk -F, -v n="$2" 'NF == n' | wc -l) == 8))
}
committed() { "$tools/group-watch" offsets "$(address_of "$1")" readers | awk '{ n += $3 } END { print n + 0 }'; } # asked through node NODE
is_committed() { (($(committed "$2") == $1)); }
# Reads what there is to read as the only member of the group, and commits.
consume() {
  timeout 30 kcat -q -b "$(address_of 0)" -G readers -X auto.offset.reset=earliest -X auto.commit.interval.ms=100 -c "$1" numbers
}

configure_roles 3 1 0
for i in 0 1 2; do echo offsets.topic.num.partitions=8 >>"$work/cluster/$i/server.properties"; done
must "one node starts" cluster restart 0
must "and is ready" await 30 ready 1
must "a topic" "$tools/admin" "$(address_of 0)" create numbers 4 1
seq 1 1000 | kcat -q -b "$(address_of 0)" -P -t numbers
same "a consumer reads" 1000 "$(consume 1000 | wc -l)"
check "and commits" await 10 is_committed 1000 0
check "to a topic with one replica" lists replicas 1 0

must "a second broker joins" cluster restart 1
must "and is ready" await 30 ready 2
must "a third one" cluster restart 2
must "is ready, too" await 30 ready 3
for i in 0 1 2; do
  check "the offsets have three replicas, as node $i knows" await 60 lists replicas 3 "$i" || offsets_topic "$i"
  check "all of them in sync" await 60 lists isr 3 "$i" || offsets_topic "$i"
  check "and are what they were, asked through node $i" await 10 is_committed 1000 "$i"
done
seq 1001 1500 | kcat -q -b "$(address_of 0)" -P -t numbers
same "the group goes on from there" 500 "$(consume 500 | wc -l)"
check "and commits to three replicas" await 10 is_committed 1500 1
