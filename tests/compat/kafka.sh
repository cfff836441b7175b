#!/usr/bin/env bash
# Clusters of Apache Kafka, from Maven, as the reference beside which Skiff is tested and measured.
#
#   tests/compat/kafka.sh start N [--port P] [--set key=value]... [--no-wait]     returns when clients can produce
#   tests/compat/kafka.sh stop|clean|status|bootstrap, kill|restart|pause|resume|logs I     as deploy/local-cluster.sh
#   tests/compat/kafka.sh env                  variables for scripts: the bootstrap address, the folder, the version
#
# The nodes are combined KRaft nodes on free ports; files in $KAFKA_CLUSTER_DIR or build/kafka-cluster.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/kafka-env.sh"

cluster=$kafka_root/deploy/local-cluster.sh
export SKIFF_CLUSTER_DIR=${KAFKA_CLUSTER_DIR:-$kafka_root/build/kafka-cluster}
export SKIFF_SERVER=$kafka_root/tests/compat/kafka-node.sh

start() { # N [arguments of local-cluster.sh]
  local n=${1:?number of nodes} ready=--wait arguments=() replicas
  shift
  for a; do if [[ $a == --no-wait ]]; then ready=; else arguments+=("$a"); fi; done
  replicas=$((n < 3 ? n : 3))
  kafka_resolve
  rm -rf "$SKIFF_CLUSTER_DIR"
  "$cluster" start --nodes "$n" --port 0 --timeout 120 ${ready:+$ready} \
    --set "offsets.topic.replication.factor=$replicas" --set "transaction.state.log.replication.factor=$replicas" \
    --set "transaction.state.log.min.isr=$((replicas > 1 ? 2 : 1))" --set "share.coordinator.state.topic.replication.factor=$replicas" \
    --set "share.coordinator.state.topic.min.isr=$((replicas > 1 ? 2 : 1))" --set group.initial.rebalance.delay.ms=0 \
    ${arguments[@]+"${arguments[@]}"}
}

case ${1:-} in
  start) shift; start "$@" ;;
  env) printf '%s\n' "KAFKA_BOOTSTRAP=$("$cluster" bootstrap)" "KAFKA_CLUSTER_DIR=$SKIFF_CLUSTER_DIR" "KAFKA_VERSION=$kafka_version" ;;
  stop | clean | status | bootstrap | kill | restart | pause | resume | logs) exec "$cluster" "$@" ;;
  *) sed -n '4,6p' "${BASH_SOURCE[0]}" | sed 's/^# *//' >&2; exit 2 ;;
esac
