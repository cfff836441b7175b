#!/usr/bin/env bash
# Runs one of Apache Kafka's own tools by the name it has in Kafka's bin/ (or by its class):
#   tests/compat/kafka-tool.sh kafka-topics --bootstrap-server localhost:9092 --list
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/kafka-env.sh"

class_of() {
  case $1 in
    kafka-topics) echo org.apache.kafka.tools.TopicCommand ;;
    kafka-configs) echo kafka.admin.ConfigCommand ;;
    kafka-console-producer) echo org.apache.kafka.tools.ConsoleProducer ;;
    kafka-console-consumer) echo org.apache.kafka.tools.consumer.ConsoleConsumer ;;
    kafka-producer-perf-test) echo org.apache.kafka.tools.ProducerPerformance ;;
    kafka-consumer-perf-test) echo org.apache.kafka.tools.ConsumerPerformance ;;
    kafka-e2e-latency) echo org.apache.kafka.tools.EndToEndLatency ;;
    kafka-streams-application-reset) echo org.apache.kafka.tools.StreamsResetter ;;
    connect-standalone) echo org.apache.kafka.connect.cli.ConnectStandalone ;;
    connect-distributed) echo org.apache.kafka.connect.cli.ConnectDistributed ;;
    kafka-metadata-quorum) echo org.apache.kafka.tools.MetadataQuorumCommand ;;
    kafka-cluster) echo org.apache.kafka.tools.ClusterTool ;;
    kafka-broker-api-versions) echo org.apache.kafka.tools.BrokerApiVersionsCommand ;;
    kafka-dump-log) echo org.apache.kafka.tools.DumpLogSegments ;;
    kafka-consumer-groups) echo org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    kafka-groups) echo org.apache.kafka.tools.GroupsCommand ;;
    kafka-verifiable-consumer) echo org.apache.kafka.tools.VerifiableConsumer ;;
    kafka-verifiable-producer) echo org.apache.kafka.tools.VerifiableProducer ;;
    kafka-get-offsets) echo org.apache.kafka.tools.GetOffsetShell ;;
    kafka-log-dirs) echo org.apache.kafka.tools.LogDirsCommand ;;
    kafka-delete-records) echo org.apache.kafka.tools.DeleteRecordsCommand ;;
    kafka-leader-election) echo org.apache.kafka.tools.LeaderElectionCommand ;;
    kafka-reassign-partitions) echo org.apache.kafka.tools.reassign.ReassignPartitionsCommand ;;
    kafka-features) echo org.apache.kafka.tools.FeatureCommand ;;
    kafka-acls) echo org.apache.kafka.tools.AclCommand ;;
    kafka-transactions) echo org.apache.kafka.tools.TransactionsCommand ;;
    *.*) echo "$1" ;;
    *) echo "kafka-tool.sh: no tool is called $1" >&2; exit 2 ;;
  esac
}

[[ $# -gt 0 ]] || { sed -n '2,3p' "${BASH_SOURCE[0]}" | sed 's/^# *//' >&2; exit 2; }
kafka_resolve
class=$(class_of "$1")
shift
kafka_prefix=exec
kafka_java -Xmx256M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$class" "$@"
