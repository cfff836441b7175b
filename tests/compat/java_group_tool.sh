#!/usr/bin/env bash
# `skiff consumer-groups` beside Apache Kafka's own kafka-consumer-groups, on one cluster: the same arguments set the same offsets, show
# the same rows, refuse the same. On Apache Kafka: SKIFF_SERVER=tests/compat/kafka-node.sh tests/compat/java_group_tool.sh.
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
. "$root/tests/compat/kafka-env.sh"
missing=$(kafka_missing)
[[ -z $missing ]] || skip_all "$missing"
command -v kcat >/dev/null || skip_all "kcat is not installed"
long=a.topic.with.a.name.that.kafkas.tool.quotes

theirs() { "$root/tests/compat/kafka-tool.sh" kafka-consumer-groups --bootstrap-server "$bootstrap" "$@"; }
ours() { "$tools/skiff" consumer-groups --bootstrap-server "$bootstrap" "$@"; }
committed() { # GROUP...
  local group
  for group; do "$tools/group-watch" offsets "$bootstrap" "$group" | sed "s/^/$group /"; done | sort
}
produce() { # TOPIC PARTITION FROM TO
  seq "$3" "$4" | kcat -q -b "$bootstrap" -P -t "$1" -p "$2"
}

setting_up() {
  local p
  must "topics" eval "'$tools/admin' $bootstrap create events 3 1 && '$tools/admin' $bootstrap create other 1 1 &&
    '$tools/admin' $bootstrap create $long 1 1"
  for p in 0 1 2; do produce events "$p" 1 50; done
  sleep 0.01 # the next millisecond has begun
  moment=$(date -u +%Y-%m-%dT%H:%M:%S.%3N)
  for p in 0 1; do produce events "$p" 51 100; done
  produce other 0 1 10
  produce "$long" 0 1 10
  printf '%s\n' readers,events,0,10 readers,events,1,20 readers,events,2,30 readers,other,0,5 "writers,$long,0,3" >"$work/begin.csv"
}
# Both groups are what the file says, whatever they were.
begin() {
  ours --delete --group readers --group writers --group strangers >/dev/null 2>&1
  ours --reset-offsets --group readers --group writers --from-file "$work/begin.csv" --execute >/dev/null || not_ok "the groups cannot be set up"
}

# What a tool did: whether it refused anything, what it showed in its table (or as CSV, without quotes), and what is committed then. Kafka's tool
# ends with 0 when a broker refuses, so its text tells.
outcome() { # theirs|ours ARGUMENTS...
  local said status verdict="done"
  begin
  said=$("$@" 2>"$work/said")
  status=$?
  [[ $1 == ours ]] || ! grep -q 'Error: ' <<<"$said" || status=1
  ((status == 0)) || verdict=refused
  echo "$verdict"
  grep -vE '^(GROUP|TOPIC|Request|Group|Deletion|These|\*|Error|Warn|$)' <<<"$said" | tr -d '"' | tr -s ' ' | sed 's/Error: .*/Error/' | sed 's/ $//' | grep -E '[ ,][0-9-]+' | sort
  echo "then:"
  committed readers writers strangers
}
# alike NAME ARGUMENTS...: both tools do the same.
alike() {
  local one other
  one=$(outcome theirs "${@:2}")
  other=$(outcome ours "${@:2}")
  same "$1" "$one" "$other" || cat "$work/said"
}
resets_alike() { alike "$1" --reset-offsets --group readers "${@:2}" --execute; }

resetting() {
  resets_alike "--to-earliest" --topic events --to-earliest
  resets_alike "--to-latest, all topics" --all-topics --to-latest
  resets_alike "--to-current" --topic events --topic "$long" --to-current
  resets_alike "--to-offset" --topic events --to-offset 70
  resets_alike "--to-offset below" --topic events --to-offset -5
  resets_alike "--shift-by" --all-topics --shift-by 7
  resets_alike "--shift-by back" --topic events --shift-by -15
  resets_alike "--shift-by without an offset" --topic "$long" --shift-by 1
  resets_alike "--to-datetime" --topic events --to-datetime "$moment"
  resets_alike "--to-datetime with a zone" --topic events --to-datetime "${moment}+01:00"
  resets_alike "--to-datetime that is none" --topic events --to-datetime 2024-02-30T00:00:00.000
  resets_alike "--by-duration" --topic events --by-duration P1DT1H
  resets_alike "--by-duration of no time" --topic events --by-duration PT0S
  resets_alike "--by-duration that is none" --topic events --by-duration 1h
  resets_alike "partitions" --topic events:0,2 --topic other --to-latest
  resets_alike "a partition that is not there" --topic events:0,9 --to-latest
  resets_alike "a topic that is not there" --topic events --topic absent --to-latest
  resets_alike "no topic" --to-latest
  resets_alike "two ways" --topic events --to-latest --to-earliest
  alike "a group that is not there" --reset-offsets --group strangers --topic events --to-offset 4 --execute
  alike "all groups" --reset-offsets --all-groups --all-topics --to-earliest --execute
  alike "two groups" --reset-offsets --group readers --group strangers --topic other --to-latest --execute
  alike "--dry-run" --reset-offsets --group readers --all-topics --to-latest --dry-run
  alike "neither --dry-run nor --execute" --reset-offsets --group readers --all-topics --to-latest
}

plans() {
  local side other
  alike "--export of one group" --reset-offsets --group readers --all-topics --to-current --export --dry-run
  alike "--export of all groups" --reset-offsets --all-groups --all-topics --shift-by 1 --export --dry-run
  alike "--export --execute" --reset-offsets --group readers --all-topics --to-latest --export --execute
  begin
  for side in theirs ours; do
    "$side" --reset-offsets --group writers --all-topics --shift-by 4 --export --dry-run >"$work/$side.one" 2>/dev/null
    "$side" --reset-offsets --all-groups --all-topics --shift-by -2 --export --dry-run >"$work/$side.all" 2>/dev/null
  done
  for side in theirs ours; do
    [[ $side == ours ]] && other=theirs || other=ours
    alike "--from-file, of one group, written by $side" --reset-offsets --group writers --from-file "$work/$side.one" --execute
    alike "--from-file, of all groups, written by $side" --reset-offsets --all-groups --from-file "$work/$side.all" --execute
  done
  alike "--from-file with groups, for one" --reset-offsets --group readers --from-file "$work/theirs.all" --execute
  alike "--from-file without groups, for two" --reset-offsets --group readers --group writers --from-file "$work/theirs.one" --execute
  alike "--from-file without the group" --reset-offsets --group strangers --from-file "$work/theirs.all" --execute
  alike "--from-file that is not there" --reset-offsets --group readers --from-file "$work/absent" --execute
}

deleting() {
  alike "--delete" --delete --group writers
  alike "--delete a group that is not there" --delete --group readers --group strangers
  alike "--delete --all-groups" --delete --all-groups
  alike "--delete without a group" --delete
  alike "--delete-offsets" --delete-offsets --group readers --topic events:0,1
  alike "--delete-offsets of a topic" --delete-offsets --group readers --topic events --topic other
  same "--delete-offsets of a group that is not there" refused "$(outcome ours --delete-offsets --group strangers --topic events | head -n 1)"
}

# The rows of a table, whatever its widths; unknown and missing look alike.
rows_of() { "$@" 2>/dev/null | awk '$1 == "GROUP" { is_table = 1; next } is_table && NF { print }' | tr -s ' ' | sed 's/ $//' | sort; }
looks_alike() { # NAME ARGUMENTS...
  same "$1" "$(rows_of theirs "${@:2}")" "$(rows_of ours "${@:2}")"
}
is_live() { shows " Stable +1\$" ours --describe --group live --state; }
looking() {
  local member
  begin
  kcat -q -b "$bootstrap" -G live -X auto.offset.reset=earliest -X auto.commit.interval.ms=100 events other >/dev/null 2>&1 &
  member=$!
  background+=("$member")
  must "a member joins" await 40 is_live
  is_committed() { (($(committed live | awk '{ n += $4 } END { print n + 0 }') == 260)); }
  check "it commits" await 20 is_committed
  same "--list" "$(theirs --list 2>/dev/null | sort)" "$(ours --list | sort)"
  looks_alike "--list --state" --list --state
  looks_alike "--list --state empty --type" --list --state empty --type
  looks_alike "--describe" --describe --group readers
  looks_alike "--describe a live one" --describe --group live
  looks_alike "--describe --all-groups" --describe --all-groups --offsets
  looks_alike "--members" --describe --group live --members
  looks_alike "--members --verbose" --describe --group live --members --verbose
  looks_alike "--members of none" --describe --group readers --members
  same "--state" "$(rows_of theirs --describe --group live --state)" "$(rows_of ours --describe --group live --state)"
  alike "a reset of a live group" --reset-offsets --group live --topic events --to-earliest --execute
  alike "deletion of a live group" --delete --group live
  alike "deletion of offsets that it uses" --delete-offsets --group live --topic events:1
  alike "deletion of offsets that it does not use" --delete-offsets --group live --topic "$long" --topic absent
  same "and nothing is changed" 260 "$(committed live | awk '{ n += $4 } END { print n }')"
  end_member() { kill "$1" && wait "$1"; }
  end_member "$member" 2>/dev/null
}

start_cluster 1 --set offsets.topic.num.partitions=8 --set group.initial.rebalance.delay.ms=0 --set offsets.topic.replication.factor=1
setting_up
resetting
plans
deleting
looking
