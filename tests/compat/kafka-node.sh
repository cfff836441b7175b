#!/usr/bin/env bash
# One node of Apache Kafka behind Skiff's command line, so that deploy/local-cluster.sh can run either:
#   kafka-node.sh server --config FILE     becomes the java process (same pid), after formatting the storage if need be
#   kafka-node.sh format --config FILE     formats the storage only
# The options of the JVM are those of Kafka's own kafka-server-start.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/kafka-env.sh"

[[ $# -eq 3 && $1 =~ ^(server|format)$ && $2 == --config ]] || { echo "usage: kafka-node.sh server|format --config FILE" >&2; exit 2; }
config=$3
data=$(sed -n 's/^log\.dirs=//p' "$config")
cluster_id=c2tpZmYtdGVzdHMta2Fma2
if [[ ! -e $data/meta.properties ]]; then
  kafka_java -Xshare:auto -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format -t "$cluster_id" -c "$config"
fi
[[ $1 == server ]] || exit 0
exec java -Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
  -XX:+ExplicitGCInvokesConcurrent -XX:MaxInlineLevel=15 -Djava.awt.headless=true \
  -Dorg.slf4j.simpleLogger.defaultLogLevel="${KAFKA_LOG_LEVEL:-warn}" -cp "$kafka_dir/libs/*" kafka.Kafka "$config"
