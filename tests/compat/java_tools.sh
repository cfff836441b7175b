#!/usr/bin/env bash
# Apache Kafka's own tools, unmodified, against a cluster of three: they work, and print what they print on Kafka (the
# expectations were checked there: SKIFF_SERVER=tests/compat/kafka-node.sh tests/compat/java_tools.sh).
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
. "$root/tests/compat/kafka-env.sh"
missing=$(kafka_missing)
[[ -z $missing ]] || skip_all "$missing"

tool() { "$root/tests/compat/kafka-tool.sh" "$@" 2>&1; }
on_cluster() { local name=$1; shift; tool "$name" --bootstrap-server "$bootstrap" "$@"; }
topics() { on_cluster kafka-topics "$@"; }
tab=$'\t'

topics_tool() {
  same "create" "Created topic orders." "$(topics --create --topic orders --partitions 3 --replication-factor 3 --config retention.ms=86400000)"
  matches "create again" "^Error while executing topic command : Topic 'orders' already exists\." "$(topics --create --topic orders)"
  matches "too many replicas" 'InvalidReplicationFactorException' "$(topics --create --topic many --replication-factor 9)"
  matches "a bad name" 'InvalidTopicException|is illegal' "$(topics --create --topic 'a b')"
  topics --create --topic single --partitions 1 --replication-factor 1 >/dev/null
  same "list" "orders single" "$(topics --list | grep -v '^__' | xargs)"
  local described
  described=$(topics --describe --topic orders)
  matches "describe: the topic" \
    "Topic: orders${tab}TopicId: [A-Za-z0-9_-]{22}${tab}PartitionCount: 3${tab}ReplicationFactor: 3${tab}Configs: .*retention.ms=86400000" "$described"
  same "describe: three partitions, each with leader, three replicas and ISR" 3 "$(grep -cE \
    "^${tab}Topic: orders${tab}Partition: [0-2]${tab}Leader: [0-2]${tab}Replicas: [0-2],[0-2],[0-2]${tab}Isr: [0-2],[0-2],[0-2]${tab}Elr: ${tab}LastKnownElr: \$" <<<"$described")"
  same "the leaders are spread" 3 "$(grep -oE 'Leader: [0-2]' <<<"$described" | sort -u | wc -l)"
  same "no under-replicated partition" "" "$(topics --describe --under-replicated-partitions)"
  same "alter is silent" "" "$(topics --alter --topic single --partitions 2)"
  matches "and works" 'PartitionCount: 2' "$(topics --describe --topic single)"
  same "delete is silent" "" "$(topics --delete --topic single)"
  same "and works" "orders" "$(topics --list | grep -v '^__' | xargs)"
  matches "delete again" "Topic 'single' does not exist as expected" "$(topics --delete --topic single)"
}

console_tools() {
  printf 'a:first\nb:zwei, drei\nc:über\n' >"$work/lines"
  topics --create --topic console --partitions 1 --replication-factor 3 >/dev/null
  same "console producer is silent" "" "$(on_cluster kafka-console-producer --topic console \
    --reader-property parse.key=true --reader-property key.separator=: <"$work/lines")"
  matches "console consumer: keys, values, the count" "^a:first"$'\n'"b:zwei, drei"$'\n'"c:über"$'\n'"Processed a total of 3 messages" \
    "$(on_cluster kafka-console-consumer --topic console --partition 0 --from-beginning --max-messages 3 --timeout-ms 20000 \
      --formatter-property print.key=true --formatter-property key.separator=:)"
  matches "from an offset" "^zwei, drei"$'\n' \
    "$(on_cluster kafka-console-consumer --topic console --partition 0 --offset 1 --max-messages 2 --timeout-ms 20000)"
  same "get-offsets" "console:0:3" "$(on_cluster kafka-get-offsets --topic console)"
}

configs_tool() {
  same "alter a topic's config" "Completed updating config for topic console." \
    "$(on_cluster kafka-configs --alter --entity-type topics --entity-name console --add-config retention.ms=172800000,max.message.bytes=2000000)"
  matches "describe it" "Dynamic configs for topic console are:.*retention.ms=172800000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention.ms=172800000" \
    "$(on_cluster kafka-configs --describe --entity-type topics --entity-name console)"
  on_cluster kafka-configs --alter --entity-type topics --entity-name console --delete-config retention.ms >/dev/null
  same "delete one" 0 "$(on_cluster kafka-configs --describe --entity-type topics --entity-name console | grep -c retention.ms=172800000)"
  matches "a key that does not exist" 'InvalidConfigurationException|Unknown topic config name' \
    "$(on_cluster kafka-configs --alter --entity-type topics --entity-name console --add-config retention.msec=1)"
  matches "a wrong value" 'InvalidConfigurationException|Invalid value' \
    "$(on_cluster kafka-configs --alter --entity-type topics --entity-name console --add-config retention.ms=soon)"
  local brokers=(kafka-configs --alter --entity-type brokers)
  same "alter a broker's" "Completed updating config for broker 1." \
    "$(on_cluster "${brokers[@]}" --entity-name 1 --add-config log.retention.ms=3600000,max.connections.per.ip=5000)"
  same "alter the default of all" "Completed updating default config for brokers in the cluster." \
    "$(on_cluster "${brokers[@]}" --entity-default --add-config log.retention.ms=7200000)"
  matches "describe a broker's" \
    'Dynamic configs for broker 1 are:.*log.retention.ms=3600000 sensitive=false synonyms=\{DYNAMIC_BROKER_CONFIG:log.retention.ms=3600000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7200000' \
    "$(on_cluster kafka-configs --describe --entity-type brokers --entity-name 1)"
  matches "describe the default" 'Default configs for brokers in the cluster are:.*log.retention.ms=7200000 sensitive=false synonyms=\{DYNAMIC_DEFAULT_BROKER_CONFIG' \
    "$(on_cluster kafka-configs --describe --entity-type brokers --entity-default)"
  on_cluster "${brokers[@]}" --entity-name 1 --delete-config log.retention.ms >/dev/null
  on_cluster "${brokers[@]}" --entity-default --delete-config log.retention.ms >/dev/null
  same "delete both" 0 "$(on_cluster kafka-configs --describe --entity-type brokers --entity-name 1 | grep -c log.retention.ms)"
  matches "a setting that needs a restart" 'InvalidRequestException.*Cannot update these configs dynamically: Set\(log.dirs\)' \
    "$(on_cluster "${brokers[@]}" --entity-name 1 --add-config log.dirs=/elsewhere)"
  matches "all of a broker's" 'log.segment.bytes=1073741824 sensitive=false' "$(on_cluster kafka-configs --describe --all --entity-type brokers --entity-name 0)"
}

load_tool() {
  local said
  said=$(on_cluster kafka-producer-perf-test --topic orders --num-records 50000 --record-size 100 --throughput -1)
  matches "producer-perf-test" '50000 records sent, [0-9.]+ records/sec' "$said"
  same "every record arrived" 50000 "$(on_cluster kafka-get-offsets --topic orders | awk -F: '{ n += $3 } END { print n }')"
}

quorum_and_cluster_tools() {
  local said
  said=$(on_cluster kafka-metadata-quorum describe --status)
  matches "quorum status" 'ClusterId: +[A-Za-z0-9_-]{22}.*LeaderId: +[0-2].*LeaderEpoch: +[0-9]+.*HighWatermark: +[0-9]+.*CurrentVoters: .*"id": 0.*"id": 1.*"id": 2' "$said"
  said=$(on_cluster kafka-metadata-quorum describe --replication)
  same "quorum replication: one leader, two followers" "2 Follower 1 Leader" \
    "$(grep -oE '(Leader|Follower)[[:space:]]*$' <<<"$said" | tr -d ' \t' | sort | uniq -c | xargs)"
  # Any controller will do: the tool finds the active one.
  local controllers controller
  controllers=$(cluster status | sed -n 's/.* controllers \([^ ]*\) .*/\1/p')
  for controller in $controllers; do
    said=$(tool kafka-metadata-quorum --bootstrap-controller "$controller" describe --status)
    matches "quorum status from the controller at $controller" 'ClusterId: +[A-Za-z0-9_-]{22}.*LeaderId: +[0-2].*HighWatermark: +[0-9]+.*"id": 2' "$said"
  done
  said=$(tool kafka-metadata-quorum --bootstrap-controller "$(xargs <<<"$controllers" | tr ' ' ,)" describe --replication)
  same "quorum replication from the controllers" "2 Follower 1 Leader" \
    "$(grep -oE '(Leader|Follower)[[:space:]]*$' <<<"$said" | tr -d ' \t' | sort | uniq -c | xargs)"
  matches "cluster id" '^Cluster ID: [A-Za-z0-9_-]{22}$' "$(tool kafka-cluster cluster-id --bootstrap-server "$bootstrap")"
  same "endpoints of three brokers" 3 "$(tool kafka-cluster list-endpoints --bootstrap-server "$bootstrap" | grep -cE '^[0-2] +127\.0\.0\.1 +[0-9]+')"
  said=$(on_cluster kafka-broker-api-versions)
  same "api versions of three brokers" 3 "$(grep -cE '^127\.0\.0\.1:[0-9]+ \(id: [0-2] rack: null.*\) -> \($' <<<"$said")"
  for api in 'Produce\(0\)' 'Fetch\(1\)' 'ListOffsets\(2\)' 'Metadata\(3\)' 'ApiVersions\(18\)' 'CreateTopics\(19\)' 'InitProducerId\(22\)' \
    'OffsetForLeaderEpoch\(23\)' 'DescribeConfigs\(32\)' 'CreatePartitions\(37\)' 'IncrementalAlterConfigs\(44\)' 'DescribeCluster\(60\)' 'DescribeTopicPartitions\(75\)'; do
    matches "usable: $api" "$api: [0-9]+( to [0-9]+)? \[usable: [0-9]+\]" "$said"
  done
}

# Runs last: it stops the cluster, so that no segment is being written.
dump_log() {
  local log said
  must "all stop" cluster stop
  for log in "$work"/cluster/0/data/{orders-[0-2],console-0}/*.log; do
    said=$(tool kafka-dump-log --deep-iteration --print-data-log --files "$log")
    matches "dump-log reads ${log#"$work"/cluster/0/data/}" 'baseOffset: 0 .*isvalid: true' "$said"
    same "and finds no fault" 0 "$(grep -ciE 'isvalid: false|mismatch|exception|error' <<<"$said")" || head -c 2000 <<<"$said"
  done
  same "dump-log counts every record of console-0" 3 "$(tool kafka-dump-log --deep-iteration --files "$work"/cluster/0/data/console-0/*.log | grep -c '^| offset')"
  for log in "$work"/cluster/0/data/orders-[0-2]/*index; do
    said=$(tool kafka-dump-log --index-sanity-check --files "$log")
    matches "dump-log checks ${log#"$work"/cluster/0/data/}" 'passed sanity check' "$said"
    said=$(tool kafka-dump-log --verify-index-only --files "$log")
    same "and its entries" 0 "$(grep -ciE 'mismatch|exception|error' <<<"$said")" || head -c 2000 <<<"$said"
  done
}

start_cluster 3
topics_tool
console_tools
configs_tool
load_tool
quorum_and_cluster_tools
dump_log
