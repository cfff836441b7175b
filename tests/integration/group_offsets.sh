#!/usr/bin/env bash
# `skiff consumer-groups` on a cluster of three: every way to reset offsets, plans as CSV, deletion; a group with members is left alone.
# What is committed is read by a program of its own (group-watch). On Apache Kafka: SKIFF_SERVER=tests/compat/kafka-node.sh.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v kcat >/dev/null || skip_all "kcat is not installed"

tool() { "$tools/skiff" consumer-groups "$@"; }
groups() { tool --bootstrap-server "$bootstrap" "$@" 2>&1; }
reset() { groups --reset-offsets --group readers --execute "$@"; }
# "0 100 200": what a group committed for the partitions of a topic.
committed() { # GROUP TOPIC
  "$tools/group-watch" offsets "$bootstrap" "$1" | awk -v topic="$2" '$1 == topic { print $2, $3 }' | sort -n | awk '{ print $2 }' | xargs
}
# resets NAME EXPECTED ARGUMENTS...: status 0, and then the group readers has these offsets of `events`.
resets() {
  check "$1" reset "${@:3}"
  same "$1: it is committed" "$2" "$(committed readers events)"
}
# refused NAME STATUS REGEX ARGUMENTS...: with that status and text, and nothing is changed.
refused() {
  local before said status
  before=$(committed readers events)
  said=$(groups "${@:4}")
  status=$?
  matches "$1 is refused" "$3" "$said"
  same "$1: status" "$2" "$status"
  same "$1: nothing is changed" "$before" "$(committed readers events)"
}
produce() { # TOPIC PARTITION FROM TO
  seq "$3" "$4" | kcat -q -b "$bootstrap" -P -t "$1" -p "$2"
}

# Three partitions of 100 records, half of them from before $moment.
setting_up() {
  local p
  must "topics" eval "'$tools/admin' $bootstrap create events 3 3 && '$tools/admin' $bootstrap create other 1 3"
  for p in 0 1 2; do produce events "$p" 1 50; done
  sleep 0.01 # the next millisecond has begun
  moment=$(date -u +%Y-%m-%dT%H:%M:%S.%3N)
  for p in 0 1 2; do produce events "$p" 51 100; done
  produce other 0 1 10
}

each_way() {
  resets "a group that is not there gets offsets" "0 0 0" --topic events --to-earliest
  resets "--to-latest" "100 100 100" --topic events --to-latest
  resets "--to-offset" "10 10 10" --topic events --to-offset 10
  resets "--shift-by" "15 15 15" --topic events --shift-by 5
  resets "--shift-by back" "12 12 12" --topic events --shift-by -3
  resets "--to-current" "12 12 12" --topic events --to-current
  resets "--to-datetime" "50 50 50" --topic events --to-datetime "$moment"
  resets "--to-datetime with a zone" "50 50 50" --topic events --to-datetime "${moment}Z"
  resets "--to-datetime to come" "100 100 100" --topic events --to-datetime 2100-01-01T00:00:00.000
  resets "--to-datetime long ago" "0 0 0" --topic events --to-datetime 1969-12-31T23:59:59.999
  resets "--by-duration of no time" "100 100 100" --topic events --by-duration PT0S
  resets "--by-duration" "0 0 0" --topic events --by-duration P1DT1H
  resets "--to-offset stops at the end" "100 100 100" --topic events --to-offset 100000
  resets "--shift-by stops at the beginning" "0 0 0" --topic events --shift-by -1000
  resets "one partition" "0 20 0" --topic events:1 --to-offset 20
  resets "two partitions" "5 20 5" --topic events:0,2 --to-offset 5
  check "another topic" reset --topic other --to-latest
  resets "--all-topics" "6 21 6" --all-topics --shift-by 1
  same "--all-topics: of the other topic, too" 10 "$(committed readers other)"
  resets "two topics, one with partitions" "7 21 6" --topic events:0 --topic other --to-offset 7
  same "two topics: the other" 7 "$(committed readers other)"
  same "--dry-run shows" "events 0 100 events 1 100 events 2 100" \
    "$(groups --reset-offsets --group readers --topic events --to-latest --dry-run | awk '$1 == "readers" { print $2, $3, $4 }' | xargs)"
  same "--dry-run changes nothing" "7 21 6" "$(committed readers events)"
  matches "without --execute it says so" "Nothing was changed" "$(groups --reset-offsets --group readers --topic events --to-latest)"
  same "without --execute nothing changes" "7 21 6" "$(committed readers events)"
}

plan() { tool --bootstrap-server "$bootstrap" --reset-offsets --to-current --export "$@" 2>/dev/null; }
plans() {
  plan --group readers --topic events >"$work/one.csv"
  same "--export of one group" "events,0,7 events,1,21 events,2,6" "$(xargs <"$work/one.csv")"
  resets "another place" "100 100 100" --topic events --to-latest
  resets "--from-file" "7 21 6" --from-file "$work/one.csv"
  check "a group whose name wants quotes" groups --reset-offsets --group 'a "b", c' --topic events:2 --to-offset 9 --execute
  plan --all-groups --all-topics >"$work/all.csv"
  same "--export of all groups" '"a ""b"", c",events,2,9|readers,events,0,7|readers,events,1,21|readers,events,2,6|readers,other,0,7' \
    "$(paste -sd '|' "$work/all.csv")"
  check "all at the end" groups --reset-offsets --all-groups --all-topics --to-latest --execute
  check "--from-file for two groups" groups --reset-offsets --group readers --group 'a "b", c' --from-file "$work/all.csv" --execute
  same "--from-file: the first" "7 21 6" "$(committed readers events)"
  same "--from-file: the other" 9 "$(committed 'a "b", c' events)"
  printf 'events,0,1\r\nevents,0,2\n\n' >"$work/windows.csv"
  resets "the last line of a partition counts" "2 21 6" --from-file "$work/windows.csv"
  printf 'events,0,1\nevents;1;2\n' >"$work/broken.csv"
  refused "a file with a line that is none" 1 'broken.csv:2: not TOPIC,PARTITION,OFFSET' \
    --reset-offsets --group readers --from-file "$work/broken.csv" --execute
  refused "a file that is not there" 1 'absent.csv cannot be read' --reset-offsets --group readers --from-file "$work/absent.csv" --execute
  refused "a file without the group" 1 'no offsets for group stranger' \
    --reset-offsets --group stranger --from-file "$work/all.csv" --execute
}

refusing() {
  refused "a topic that is not there" 1 'absent: .*UNKNOWN_TOPIC_OR_PARTITION' \
    --reset-offsets --group readers --topic events --topic absent --to-latest --execute
  refused "a partition that is not there" 1 'events-7 does not exist' \
    --reset-offsets --group readers --topic events:0,7 --to-latest --execute
  refused "--shift-by without an offset" 1 'has no offset that could be shifted' \
    --reset-offsets --group nobody --topic events --shift-by 1 --execute
  refused "a reset without a scope" 2 'needs --topic or --all-topics' --reset-offsets --group readers --to-latest --execute
  refused "a time that is none" 2 'to-datetime cannot be' --reset-offsets --group readers --topic events --to-datetime now --execute
  refused "a group that is not there" 1 GROUP_ID_NOT_FOUND --describe --group nobody
  refused "deleting it" 1 GROUP_ID_NOT_FOUND --delete --group nobody
  matches "a broker that is not there" 'was not answered' "$(tool --bootstrap-server 127.0.0.1:1 --list 2>&1)"
}

is_live() { shows ' Stable +1$' groups --describe --group readers --state; }
is_empty() { shows ' Empty +0$' groups --describe --group readers --state; }
living() {
  local member
  kcat -q -b "$bootstrap" -G readers -X enable.auto.commit=false events >/dev/null 2>&1 &
  member=$!
  background+=("$member")
  must "a member joins" await 40 is_live
  refused "a reset" 1 'group readers is Stable [(]members: 1[)]' --reset-offsets --group readers --topic events --to-latest --execute
  refused "a deletion" 1 'group readers has members' --delete --group readers
  refused "deleting offsets that it uses" 1 'events +1 +Error: The group subscribes' --delete-offsets --group readers --topic events:1
  same "offsets that it does not use are deleted" "other 0 Successful" \
    "$(groups --delete-offsets --group readers --topic other | tail -n 1 | xargs)"
  matches "--members" "readers +rdkafka-[^ ]+ +/127.0.0.1 +rdkafka +3\$" "$(groups --describe --group readers --members)"
  matches "--members --verbose" " 3 +- +events:0,1,2 +- +-\$" "$(groups --describe --group readers --members --verbose)"
  matches "--list --state" "readers +Stable" "$(groups --list --state)"
  same "--list --state empty" 'a "b", c Empty' "$(groups --list --state empty | tail -n +2 | tr -s ' ')"
  matches "--list --type --state" "readers +Classic +Stable" "$(groups --list --type --state)"
  kill "$member"
  wait "$member" 2>/dev/null
  check "it leaves" await 60 is_empty
  # The record of this commit stands behind the one that says that the group is empty: Kafka tells of that before it is replicated.
  resets "a reset of the group that it left" "90 90 90" --topic events --to-offset 90
}

# The coordinator dies: the next one is found.
surviving() {
  local coordinator
  coordinator=$(groups --describe --group readers --state | awk '$1 == "readers" { print $3 }' | tr -d '()')
  must "its coordinator $coordinator is killed" cluster kill "$coordinator"
  check "a reset without it" reset --topic events --to-offset 30 --timeout 40000
  same "a reset without it: committed" "30 30 30" "$(committed readers events)"
  must "node $coordinator is back" cluster restart "$coordinator" --wait
}

deleting() {
  same "--delete-offsets" "events 0 Successful" "$(groups --delete-offsets --group readers --topic events:0 | tail -n 1 | xargs)"
  same "two are left" "30 30" "$(committed readers events)"
  matches "of a topic that is not there" "absent +- +Error" "$(groups --delete-offsets --group readers --topic absent --topic events:1)"
  same "the others are deleted" "30" "$(committed readers events)"
  matches "--delete" "Group 'readers' is deleted" "$(groups --delete --group readers)"
  same "it is gone" 'a "b", c' "$(groups --list)"
  check "--delete --all-groups" groups --delete --all-groups
  same "all are gone" "" "$(groups --list)"
}

start_cluster 3 --set offsets.topic.num.partitions=8 --set group.initial.rebalance.delay.ms=0
setting_up
each_way
plans
refusing
living
surviving
deleting
