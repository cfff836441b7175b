#!/usr/bin/env bash
# Apache Kafka's own tools for operators, unmodified, against a cluster of three: they work, and print what they print on Kafka (the
# expectations were checked there: SKIFF_SERVER=tests/compat/kafka-node.sh tests/compat/java_admin.sh).
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
. "$root/tests/compat/kafka-env.sh"
missing=$(kafka_missing)
[[ -z $missing ]] || skip_all "$missing"

on_cluster() { local name=$1; shift; "$root/tests/compat/kafka-tool.sh" "$name" --bootstrap-server "$bootstrap" "$@" 2>&1; }
topics() { on_cluster kafka-topics "$@"; }
line() { xargs <<<"$1"; }
tab=$'\t'

log_tools() {
  topics --create --topic orders --partitions 2 --replication-factor 3 >/dev/null
  seq 1 100 | on_cluster kafka-console-producer --topic orders >/dev/null
  matches "log-dirs: three brokers, each with both partitions" \
    '"brokers":\[(\{"broker":[0-2],"logDirs":\[\{"partitions":\[(\{"partition":"orders-[01]","size":[0-9]+,"offsetLag":0,"isFuture":false\},?){2}\],"error":null,"logDir":"[^"]+"\}\]\},?){3}\]' \
    "$(on_cluster kafka-log-dirs --describe --topic-list orders)"
  local before after
  before=$(on_cluster kafka-get-offsets --topic orders | awk -F: '{ n += $3 } END { print n }')
  same "a hundred records" 100 "$before"
  echo '{"partitions":[{"topic":"orders","partition":0,"offset":-1},{"topic":"orders","partition":1,"offset":0}],"version":1}' >"$work/delete.json"
  matches "delete-records" 'Executing records delete operation.*Records delete operation completed:.*partition: orders-[01]'"$tab"'low_watermark: [0-9]+' \
    "$(line "$(on_cluster kafka-delete-records --offset-json-file "$work/delete.json")" | sed "s/ low_watermark/${tab}low_watermark/g")"
  before=$(on_cluster kafka-get-offsets --topic orders --time latest | grep orders:0)
  after=$(on_cluster kafka-get-offsets --topic orders --time earliest | grep orders:0)
  same "the log starts where it ended" "$before" "$after"
  echo '{"partitions":[{"topic":"orders","partition":0,"offset":100000}],"version":1}' >"$work/delete.json"
  matches "delete-records beyond the end" 'OffsetOutOfRangeException' "$(on_cluster kafka-delete-records --offset-json-file "$work/delete.json")"
  matches "producers of a partition" "^ProducerId${tab}ProducerEpoch${tab}LatestCoordinatorEpoch${tab}LastSequence" \
    "$(on_cluster kafka-transactions describe-producers --topic orders --partition 1)"
}

leaders_tool() {
  same "election: nothing to do" "" "$(on_cluster kafka-leader-election --election-type preferred --all-topic-partitions)"
  matches "election of one partition" 'Valid replica already elected for partitions orders-0' \
    "$(on_cluster kafka-leader-election --election-type unclean --topic orders --partition 0)"
  matches "election of an unknown partition" 'UnknownTopicOrPartitionException|could not be changed|could not complete' \
    "$(on_cluster kafka-leader-election --election-type preferred --topic orders --partition 9)"
}

reassign_tool() {
  topics --create --topic moving --replica-assignment 0:1 >/dev/null
  seq 1 1000 | on_cluster kafka-console-producer --topic moving >/dev/null
  echo '{"topics":[{"topic":"moving"}],"version":1}' >"$work/topics.json"
  matches "generate" 'Current partition replica assignment.*"replicas":\[0,1\].*Proposed partition reassignment configuration.*"topic":"moving"' \
    "$(line "$(on_cluster kafka-reassign-partitions --generate --topics-to-move-json-file "$work/topics.json" --broker-list 0,1,2 | tr -d '\n' | sed 's/"/\\"/g')")"
  echo '{"version":1,"partitions":[{"topic":"moving","partition":0,"replicas":[2,1],"log_dirs":["any","any"]}]}' >"$work/move.json"
  matches "execute" 'Successfully started partition reassignment for moving-0' \
    "$(on_cluster kafka-reassign-partitions --execute --reassignment-json-file "$work/move.json" --throttle 100000000)"
  is_moved() {
    shows 'Reassignment of partition moving-0 is completed' \
      on_cluster kafka-reassign-partitions --verify --reassignment-json-file "$work/move.json"
  }
  check "verify: it is completed" await 30 is_moved
  matches "the new replicas are in sync" "Leader: [12]${tab}Replicas: 2,1${tab}Isr: (1,2|2,1)" "$(topics --describe --topic moving)"
  same "all records are there" "moving:0:1000" "$(on_cluster kafka-get-offsets --topic moving)"
  matches "none is listed" 'No partition reassignments found' "$(on_cluster kafka-reassign-partitions --list)"
  matches "cancel: nothing to cancel" 'None of the specified partition reassignments are active|No partition reassignments found|[Nn]one of' \
    "$(on_cluster kafka-reassign-partitions --cancel --reassignment-json-file "$work/move.json")"
  echo '{"version":1,"partitions":[{"topic":"moving","partition":0,"replicas":[2,9]}]}' >"$work/wrong.json"
  matches "a broker that does not exist" 'Unknown broker id 9|InvalidReplicaAssignment' \
    "$(on_cluster kafka-reassign-partitions --execute --reassignment-json-file "$work/wrong.json")"
}

settings_tools() {
  matches "a client's quota" 'Completed updating config for client clerk' \
    "$(on_cluster kafka-configs --alter --entity-type clients --entity-name clerk --add-config producer_byte_rate=1024,request_percentage=12.5)"
  matches "is shown" "Quota configs for client-id 'clerk' are .*producer_byte_rate=1024.0" \
    "$(on_cluster kafka-configs --describe --entity-type clients --entity-name clerk)"
  matches "a user's default quota" 'Completed updating default config for users' \
    "$(on_cluster kafka-configs --alter --entity-type users --entity-default --add-config consumer_byte_rate=2048)"
  matches "is shown too" "Quota configs for the default user-principal are consumer_byte_rate=2048.0" \
    "$(on_cluster kafka-configs --describe --entity-type users)"
  on_cluster kafka-configs --alter --entity-type clients --entity-name clerk --delete-config producer_byte_rate,request_percentage >/dev/null
  on_cluster kafka-configs --alter --entity-type users --entity-default --delete-config consumer_byte_rate >/dev/null
  same "and goes" "" "$(on_cluster kafka-configs --describe --entity-type clients --entity-name clerk)"
  matches "a wrong quota" 'InvalidRequestException|Invalid config|Unknown' \
    "$(on_cluster kafka-configs --alter --entity-type clients --entity-name clerk --add-config producer_byte_rate=-1)"
  matches "features" "Feature: metadata.version +SupportedMinVersion: .*FinalizedVersionLevel: 4.3-IV0" "$(on_cluster kafka-features describe)"
  matches "a feature's level goes down" 'eligible.leader.replicas.version was (disabled|downgraded to 0)' \
    "$(on_cluster kafka-features downgrade --feature eligible.leader.replicas.version=0)"
  matches "and up" 'eligible.leader.replicas.version was upgraded to 1' \
    "$(on_cluster kafka-features upgrade --feature eligible.leader.replicas.version=1)"
  matches "a level that does not exist" 'Could not upgrade|InvalidUpdateVersion|cannot|Can' "$(on_cluster kafka-features upgrade --feature eligible.leader.replicas.version=9)"
  matches "no ACLs without an authorizer" 'SecurityDisabledException: No Authorizer is configured' "$(on_cluster kafka-acls --list)"
}

# Last: one broker less.
brokers_tool() {
  matches "unregister a broker that is not there" 'Broker ID 9 is not currently registered|BrokerIdNotRegistered' \
    "$("$root/tests/compat/kafka-tool.sh" kafka-cluster unregister --bootstrap-server "$bootstrap" --id 9 2>&1)"
  must "node 2 stops" cluster kill 2
  is_fenced() { lacks 'Leader: 2|Isr: [0-9,]*2' topics --describe --topic orders; }
  must "and is out of every ISR" await 30 is_fenced
  matches "unregister it" 'Broker 2 is no longer registered' \
    "$("$root/tests/compat/kafka-tool.sh" kafka-cluster unregister --bootstrap-server "${bootstrap%,*}" --id 2 2>&1)"
  must "node 2 starts" cluster restart 2
  is_back() { topics --describe --topic orders | grep -cE 'Isr: [0-9,]*2' | grep -qx 2; }
  check "it registers anew and joins its ISRs" await 30 is_back
  is_preferred() { [[ -z $(topics --describe --topic orders | awk '{ for (i = 1; i < NF; i++) { if ($i == "Leader:") l = $(i+1); if ($i == "Replicas:") { split($(i+1), r, ","); if (r[1] != l) print } } }') ]]; }
  if [[ $skiff == *kafka-node.sh ]]; then
    skip "and leads again what it is preferred for" "Apache Kafka looks for that every 300 s"
  else
    check "and leads again what it is preferred for" await 30 is_preferred
  fi
}

start_cluster 3
log_tools
leaders_tool
reassign_tool
settings_tools
brokers_tool
