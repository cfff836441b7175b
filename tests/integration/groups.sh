#!/usr/bin/env bash
# Consumers in a group of three on three nodes, with the clients that everybody has (kcat, librdkafka): the coordinator is killed in
# mid-consumption, and every record is handled at least once while no committed offset ever goes back. Eager, cooperative, static.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v kcat >/dev/null || skip_all "kcat is not installed"
records=20000 # of each phase, in two halves

watch() { "$tools/group-watch" "$1" "$bootstrap" "$2"; }
produce() { seq "$1" "$2" | sed "s/.*/&:&/" | kcat -q -b "$bootstrap" -P -t "$topic" -K:; }
# consume MEMBER [kcat's settings]: what it reads goes to $work/$group.MEMBER, what it says of rebalances to .said
consume() {
  local member=$1
  shift
  kcat -u -b "$bootstrap" -G "$group" -X auto.offset.reset=earliest -X auto.commit.interval.ms=100 -X session.timeout.ms=6000 \
    -X heartbeat.interval.ms=300 -X topic.metadata.refresh.interval.ms=1000 "$@" -f '%p %o %s\n' "$topic" \
    >>"$work/$group.$member" 2>>"$work/$group.$member.said" &
  pids[$member]=$!
  background+=("$!")
}
assignments() { grep -hc 'assigned: ' "$work/$group.$1.said"; }
handled() { cat "$work/$group".[0-9] | awk '{ print $3 }' | sort -nu | wc -l; }
has_handled() { (($(handled) >= $1)); }
is_sharing() { [[ $(cat "$work/$group".[0-9] | wc -l) -gt 0 && -s $work/$group.0 && -s $work/$group.1 && -s $work/$group.2 ]]; }
is_committed() { (($(watch offsets "$group" | awk '{ n += $3 } END { print n + 0 }') == $1)); }
end_members() {
  local member
  for member in "${!pids[@]}"; do kill "${pids[$member]}" 2>/dev/null; done
  for member in "${!pids[@]}"; do wait "${pids[$member]}"; done 2>/dev/null
  pids=()
}

begin() { # NAME [settings]: a topic and a group of three
  group=$1 topic=t-$1
  shift
  pids=()
  "$tools/admin" "$bootstrap" create "$topic" 6 3 || not_ok "create $topic"
  "$tools/group-watch" follow "$bootstrap" "$group" >"$work/watch" 2>&1 &
  watcher=$!
  background+=("$watcher")
  for member in 0 1 2; do consume "$member" "$@"; done
}

# The coordinator dies in mid-consumption; the node comes back.
survive() { # NAME [settings]
  begin "$@"
  produce 1 $((records / 2))
  must "$group: all three get records" await 30 is_sharing
  local coordinator
  coordinator=$(watch coordinator "$group")
  # (Kept by the coordinator: on a fresh cluster it is still the one that the members joined.)
  [[ $group != eager ]] || matches "$group: why it rebalanced" "generation [0-9]+: a member joined \(rdkafka-" \
    "$(groups_tool --describe --group "$group" --verbose)"
  cluster kill "$coordinator"
  produce $((records / 2 + 1)) "$records"
  check "$group: every record is handled, coordinator $coordinator killed" await 40 has_handled "$records" ||
    tail -n 3 "$work/$group".*.said
  check "$group: every offset is committed" await 20 is_committed "$records" || watch offsets "$group"
  matches "$group: another node coordinates" "^[^$coordinator]\$" "$(watch coordinator "$group")"
  must "$group: node $coordinator is back" cluster restart "$coordinator" --wait
  end_members
  kill -TERM "$watcher"
  check "$group: no committed offset went back ($(tail -n 1 "$work/watch"))" wait "$watcher" || cat "$work/watch"
}

groups_tool() { "$tools/skiff" consumer-groups --bootstrap-server "$bootstrap" "$@" 2>&1; }
# A person looks at a group of three that has read everything.
look() {
  local said
  matches "skiff consumer-groups lists it" "(^|"$'\n'")$group("$'\n'"|\$)" "$(groups_tool --list)"
  said=$(groups_tool --describe --group "$group" --verbose)
  matches "and shows its state" "^$group: Stable, 3 members, protocol [a-z-]+ \(consumer\), coordinator [0-2]" "$said"
  same "six partitions, each with an owner and no lag, in records and in seconds" 6 \
    "$(grep -cE "^$group +$topic +[0-5] +[0-9]+ +[0-9]+ +0 +0\.0 +[^ -][^ ]* +/127.0.0.1 +rdkafka\$" <<<"$said")"
  same "three members with two partitions each" 3 "$(grep -cE "^$group +[^ ]+ +instance-[0-2] +/127.0.0.1 +rdkafka +2 +- +$topic:[0-5],[0-5] " <<<"$said")"
  matches "a group that is not there" GROUP_ID_NOT_FOUND "$(groups_tool --describe --group nobody)"
  ((failures == 0)) || echo "$said"
}

# A static member that comes back in time keeps its partitions: nobody else hears of it.
restart_static() {
  group=static topic=t-static
  pids=()
  "$tools/admin" "$bootstrap" create "$topic" 6 3 || not_ok "create $topic"
  for member in 0 1 2; do consume "$member" -X group.instance.id="instance-$member"; done
  produce 1 $((records / 2))
  must "static: all three get records" await 30 is_sharing
  must "static: every record is handled" await 30 has_handled $((records / 2))
  check "static: every offset is committed" await 20 is_committed $((records / 2)) && look
  local before coordinator
  before="$(assignments 0) $(assignments 1)"
  kill -9 "${pids[2]}" # leaves without a word, as a container that is replaced
  wait "${pids[2]}" 2>/dev/null
  consume 2 -X group.instance.id=instance-2
  produce $((records / 2 + 1)) "$records"
  check "static: the member that came back goes on" await 30 has_handled "$records" || tail -n 3 "$work/$group".*.said
  same "static: the others were not disturbed" "$before" "$(assignments 0) $(assignments 1)"
  coordinator=$(watch coordinator "$group")
  must "static: coordinator $coordinator is stopped" cluster stop "$coordinator"
  check "static: every offset is committed" await 20 is_committed "$records" || watch offsets "$group"
  same "static: and they were not disturbed" "$before" "$(assignments 0) $(assignments 1)"
  must "static: node $coordinator is back" cluster restart "$coordinator" --wait
  end_members
}

start_cluster 3 --set group.initial.rebalance.delay.ms=500 --set offsets.topic.num.partitions=8
survive eager -X partition.assignment.strategy=range
survive cooperative -X partition.assignment.strategy=cooperative-sticky
restart_static
