#!/usr/bin/env bash
# Apache Kafka's own consumers and its tools for consumer groups, unmodified, against a cluster of three: they work, and print what
# they print on Kafka (checked there: SKIFF_SERVER=tests/compat/kafka-node.sh tests/compat/java_groups.sh).
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
. "$root/tests/compat/kafka-env.sh"
missing=$(kafka_missing)
[[ -z $missing ]] || skip_all "$missing"

on_cluster() { local name=$1; shift; "$root/tests/compat/kafka-tool.sh" "$name" --bootstrap-server "$bootstrap" "$@" 2>&1; }
groups() { on_cluster kafka-consumer-groups "$@"; }
# The rows of the last table.
rows() { awk '$1 == "GROUP" { n = 0; next } NF > 2 { row[n++] = $0 } END { for (i = 0; i < n; i++) print row[i] }'; }
sum() { awk -v at="$1" '{ n += $at } END { print n + 0 }'; }

# start NAME TOOL ARGUMENTS...: in the background; its output goes to $work/NAME
start() {
  local name=$1 tool=$2
  shift 2
  "$root/tests/compat/kafka-tool.sh" "$tool" --bootstrap-server "$bootstrap" "$@" >"$work/$name" 2>&1 &
  job=$!
  background+=("$job")
}
end() { kill -TERM "$1" && wait "$1" 2>/dev/null; }

setting_up() {
  on_cluster kafka-topics --create --topic events --partitions 3 --replication-factor 3 >/dev/null
  seq 1 300 | sed 's/.*/&:line &/' >"$work/lines"
  on_cluster kafka-console-producer --topic events --reader-property parse.key=true --reader-property key.separator=: <"$work/lines"
  same "a group reads every record" "$(cut -d: -f2 "$work/lines" | sort)" \
    "$(on_cluster kafka-console-consumer --topic events --group readers --from-beginning --max-messages 300 --timeout-ms 30000 | grep ^line | sort)"
}

looking() {
  local said
  same "list" "readers" "$(groups --list | xargs)"
  matches "list --state" $'\n'"readers +Empty" "$(groups --list --state)"
  matches "list --type" $'\n'"readers +Classic" "$(groups --list --type)"
  matches "kafka-groups lists it" $'\n'"readers +Classic +consumer" "$(on_cluster kafka-groups --list)"
  said=$(groups --describe --group readers)
  matches "describe: nobody is there" "Consumer group 'readers' has no active members." "$said"
  same "describe: three partitions" 3 "$(rows <<<"$said" | grep -c '^readers *events')"
  same "describe: offsets, ends and no lag" "300 300 0" "$(rows <<<"$said" | sum 4) $(rows <<<"$said" | sum 5) $(rows <<<"$said" | sum 6)"
  matches "describe --state" "readers +127.0.0.1:[0-9]+ +\([0-2]\) .*Empty +0" "$(groups --describe --group readers --state)"
  matches "describe a group that is not there" "does not exist|GroupIdNotFoundException" "$(groups --describe --group nobody)"
}

# What each way of reset says: the new offsets of the three partitions, added up.
reset() { groups --reset-offsets --group readers --topic events "$@"; }
new_offsets() { rows | sum 4; }
resetting() {
  local now
  same "reset --to-earliest" 0 "$(reset --to-earliest --execute | new_offsets)"
  same "it counts" "0 300" "$(groups --describe --group readers | rows | awk '{ o += $4; l += $6 } END { print o, l }')"
  same "--to-latest" 300 "$(reset --to-latest --execute | new_offsets)"
  same "--to-offset" 30 "$(reset --to-offset 10 --execute | new_offsets)"
  same "--shift-by" 45 "$(reset --shift-by 5 --execute | new_offsets)"
  same "--to-current" 45 "$(reset --to-current --execute | new_offsets)"
  now=$(date -u -d '1 hour' +%Y-%m-%dT%H:%M:%S.000)
  same "--to-datetime to come" 300 "$(reset --to-datetime "$now" --execute | new_offsets)"
  same "--by-duration" 0 "$(reset --by-duration PT1H --execute | new_offsets)"
  same "--dry-run" 300 "$(reset --to-latest --dry-run | new_offsets)"
  same "changes nothing" 0 "$(groups --describe --group readers | rows | sum 4)"
  reset --to-offset 7 --export --dry-run >"$work/plan.csv"
  same "--export, --from-file" 21 "$(groups --reset-offsets --group readers --from-file "$work/plan.csv" --execute | new_offsets)"
  same "one partition" 20 "$(groups --reset-offsets --group readers --topic events:1 --to-offset 20 --execute | new_offsets)"
  same "--all-topics" 34 "$(groups --reset-offsets --group readers --all-topics --to-current --execute | new_offsets)"
  same "two partitions" 10 "$(groups --reset-offsets --group readers --topic events:0,2 --to-offset 5 --execute | new_offsets)"
  same "--shift-by stops at the beginning" 0 "$(reset --shift-by -1000 --execute | new_offsets)"
  same "--to-offset stops at the end" 300 "$(reset --to-offset 100000 --execute | new_offsets)"
  same "--to-datetime long ago" 0 "$(reset --to-datetime 2001-01-01T00:00:00.000 --execute | new_offsets)"
  same "--all-groups" 300 "$(groups --reset-offsets --all-groups --topic events --to-latest --execute | new_offsets)"
  matches "without --execute it says that it does nothing" 'No action will be performed as the --execute option is missing' "$(reset --to-earliest)"
  matches "a topic that is not there" 'UnknownTopicOrPartition|does not exist' \
    "$(groups --reset-offsets --group readers --topic absent --to-earliest --execute)"
}

is_stable() { shows "Stable +$1\$" groups --describe --group live --state; }
living() {
  local first second said
  start one kafka-console-consumer --topic events --group live --from-beginning
  first=$job
  start two kafka-console-consumer --topic events --group live --from-beginning \
    --command-property partition.assignment.strategy=org.apache.kafka.clients.consumer.RangeAssignor --command-property client.id=second
  second=$job
  check "two members are stable" await 40 is_stable 2
  said=$(groups --describe --group live --members --verbose)
  same "members: both" 2 "$(grep -c '^live ' <<<"$said")"
  matches "members: the client's name and host" "second-[0-9a-f-]{36} +/127.0.0.1 +second +[12]" "$said"
  same "members: all partitions" 3 "$(grep -oE 'events\([0-9,]+\)|events:[0-9,]+' <<<"$said" | grep -oE '[0-9]+' | wc -l)" || echo "$said"
  matches "reset is refused" "Assignments can only be reset if the group 'live' is inactive, but the current state is Stable" \
    "$(groups --reset-offsets --group live --topic events --to-earliest --execute)"
  matches "delete is refused" "GroupNotEmptyException" "$(groups --delete --group live)"
  end "$first"
  end "$second"
  is_empty() { shows "Empty +0\$" groups --describe --group live --state; }
  check "they leave" await 40 is_empty
}

deleting() {
  matches "delete the offsets of a partition" "events +0 +Successful" "$(groups --delete-offsets --group readers --topic events:0)"
  same "two are left" 2 "$(groups --describe --group readers | rows | grep -c '^readers *events')"
  matches "delete a group" "Deletion of requested consumer groups \('readers'\) was successful." "$(groups --delete --group readers)"
  same "it is gone" "live" "$(groups --list | xargs)"
  matches "delete it again" "GroupIdNotFoundException|does not exist" "$(groups --delete --group readers)"
}

# A Java consumer goes on when its coordinator is killed.
verifying() {
  local consumer coordinator
  start verified kafka-verifiable-consumer --group-id verified --topic events --reset-policy earliest --session-timeout 6000 --verbose \
    --assignment-strategy org.apache.kafka.clients.consumer.CooperativeStickyAssignor
  consumer=$job
  has_read() { (($(grep -c '"name":"record_data"' "$work/verified") >= $1)); }
  check "verifiable consumer: 300 records" await 40 has_read 300
  coordinator=$(on_cluster kafka-consumer-groups --describe --group verified --state | grep -oE '\([0-2]\)' | tr -d '()')
  must "its coordinator $coordinator is killed" cluster kill "$coordinator"
  on_cluster kafka-verifiable-producer --topic events --max-messages 100 --acks -1 >"$work/produced"
  same "verifiable producer: 100 acknowledged" 100 "$(grep -c '"name":"producer_send_success"' "$work/produced")"
  check "the consumer reads on" await 40 has_read 400 || tail -n 5 "$work/verified"
  end "$consumer"
  same "and said nothing of lost commits" 0 "$(grep -c '"success":false' "$work/verified")"
}

start_cluster 3 --set offsets.topic.num.partitions=8 --set group.initial.rebalance.delay.ms=0
setting_up
looking
resetting
living
deleting
verifying
