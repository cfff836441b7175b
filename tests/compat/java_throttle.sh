#!/usr/bin/env bash
# Apache Kafka's own clients and tools, unmodified, on three nodes in racks of their own: a producer and a consumer above their quota (KIP-219), replicas
# that move under a throttle (KIP-73), and a consumer that reads from the follower in its rack (KIP-392).
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
. "$root/tests/compat/kafka-env.sh"
missing=$(kafka_missing)
[[ -z $missing ]] || skip_all "$missing"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "reads Skiff's own metrics"

tool() { "$root/tests/compat/kafka-tool.sh" "$@" 2>&1; }
on_cluster() { local name=$1; shift; tool "$name" --bootstrap-server "$bootstrap" "$@"; }
metric() { "$tools/scrape" "$(http_of "$1")" /metrics | awk -v name="$2" '$1 == name { printf "%d", $2 }'; } # NODE SERIES
produce() { # TOPIC CLIENT-ID: five megabytes; prints how many seconds it took, whole ones
  local began=$SECONDS
  tool kafka-producer-perf-test --topic "$1" --num-records 5000 --record-size 1000 --throughput -1 \
    --producer-props bootstrap.servers="$bootstrap" client.id="$2" batch.size=50000 linger.ms=5 acks=1 >"$work/produced" || cat "$work/produced"
  echo $((SECONDS - began))
}
consume() { # TOPIC CLIENT-ID [properties]: all of it; prints how many records
  local topic=$1 id=$2 properties=() each
  shift 2
  for each; do properties+=(--consumer-property "$each"); done
  on_cluster kafka-console-consumer --topic "$topic" --from-beginning --max-messages 5000 --timeout-ms 30000 \
    --consumer-property client.id="$id" ${properties[@]+"${properties[@]}"} | grep -cE '^[A-Z]{1000}$'
}
set_quota() { on_cluster kafka-configs --alter --entity-type clients --entity-name slow --add-config "$1" >/dev/null; }

must "three nodes are configured" cluster configure --nodes 3 --port 0 --set admin.http.listener=127.0.0.1:0 \
  --set replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector
bootstrap=$(cluster bootstrap)
for i in 0 1 2; do
  echo "broker.rack=rack$i" >>"$work/cluster/$i/server.properties"
  must "node $i starts" cluster restart "$i"
done
must "they are ready" await 60 "$probe" ready 3 ${bootstrap//,/ }

# ---- quotas ----------------------------------------------------------------------------------------------------------
on_cluster kafka-topics --create --topic slow --replica-assignment 0 >/dev/null
set_quota producer_byte_rate=500000,consumer_byte_rate=500000
took=$(produce slow slow)
matches "a producer above its quota is slowed down: it took $took s" '^([7-9]|1[0-9])$' "$took"
matches "and was told to" '^[1-9]' "$(metric 0 'skiff_requests_throttled_total{api="Produce"}')"
began=$SECONDS
same "a consumer gets everything" 5000 "$(consume slow slow)"
matches "slowly: it took $((SECONDS - began)) s" '^([7-9]|[12][0-9])$' "$((SECONDS - began))"
matches "and was told to" '^[1-9]' "$(metric 0 'skiff_requests_throttled_total{api="FetchConsumer"}')"
told=$(metric 0 'skiff_requests_throttled_total{api="Produce"}')
produce slow quick >/dev/null
same "another client is not held back" "$told" "$(metric 0 'skiff_requests_throttled_total{api="Produce"}')"

# ---- a throttled reassignment ----------------------------------------------------------------------------------------
on_cluster kafka-topics --create --topic moving --replica-assignment 0 >/dev/null
produce moving quick >/dev/null
echo '{"version":1,"partitions":[{"topic":"moving","partition":0,"replicas":[0,1]}]}' >"$work/move.json"
move() { on_cluster kafka-reassign-partitions --reassignment-json-file "$work/move.json" "$@"; }
began=$SECONDS
matches "a move under a throttle" 'The inter-broker throttle limit was set to 500000 B/s.*Successfully started' "$(move --execute --throttle 500000 | xargs)"
matches "is still under way" 'is still in progress' "$(move --verify --preserve-throttles)"
is_complete() { shows 'is completed' move --verify --preserve-throttles; }
check "ends" await 60 is_complete
matches "not before the rate allows it: $((SECONDS - began)) s" '^([7-9]|[1-4][0-9])$' "$((SECONDS - began))"
matches "the throttle is still set" 'leader.replication.throttled.rate=500000' "$(on_cluster kafka-configs --describe --entity-type brokers --entity-name 0)"
matches "verify clears it" 'Clearing broker-level throttles.*Clearing topic-level throttles' "$(move --verify | xargs)"
check "on the brokers" lacks 'throttled' on_cluster kafka-configs --describe --entity-type brokers --entity-name 0
check "and of the topic" lacks 'throttled' on_cluster kafka-configs --describe --entity-type topics --entity-name moving

# ---- the nearest replica ---------------------------------------------------------------------------------------------
on_cluster kafka-topics --create --topic near --replica-assignment 0:1:2 >/dev/null
produce near quick >/dev/null
before=$(metric 2 skiff_bytes_out_total)
leader_before=$(metric 0 skiff_bytes_out_total)
same "a consumer in rack2 reads all" 5000 "$(consume near near client.rack=rack2)"
matches "from the follower there" '^[5-9][0-9]{6}$' "$(($(metric 2 skiff_bytes_out_total) - before))"
same "and nothing from the leader" 0 "$(($(metric 0 skiff_bytes_out_total) - leader_before))"
