#!/usr/bin/env bash
# /metrics, /health and /ready of three nodes (admin.http.listener): every page passes a strict reader while records stream and a node is
# killed, counters only grow, and the numbers that people are woken for move as they should.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "Skiff's own listener"
scrape=$tools/scrape

told_of() { cluster status --json | sed -n "s/.*\"id\": $1,.*\"http\": \"\([^\"]*\)\".*/\1/p"; }       # NODE
status_of() { "$scrape" "$(http_of "$1")" "$2" | sed -n 's/^status //p;q'; }                         # NODE PATH
answers() { [[ $(status_of "$1" "$2") == "$3" ]]; }                                                  # NODE PATH STATUS
metric() { "$scrape" "$(http_of "$1")" /metrics | awk -v name="$2" '$1 == name { print $2 }'; }      # NODE SERIES
# Over the nodes given, as whole numbers.
sum_of() { # SERIES NODE...
  local name=$1 i
  shift
  for i; do metric "$i" "$name"; done | awk '{ sum += $1 } END { printf "%d", sum }'
}
is_sum() { local want=$1; shift; [[ $(sum_of "$@") == "$want" ]]; }
is_above() { local least=$1; shift; (($(sum_of "$@") > least)); }
# Counters and buckets of a node: "SERIES VALUE".
counters_of() { "$scrape" "$(http_of "$1")" /metrics | grep -E '^[a-z_]+(_total|_bucket|_count)[{ ]'; }
grew_only() { awk 'NR == FNR { before[$1] = $2; next } $2 < before[$1] { print; bad = 1 } END { exit bad }' "$1" "$2"; } # BEFORE AFTER

# ---- a node that cannot join -----------------------------------------------------------------------------------------
must "three nodes are configured" cluster configure --nodes 3 --port 0 --set admin.http.listener=127.0.0.1:0 --set group.initial.rebalance.delay.ms=0
bootstrap=$(cluster bootstrap)
must "one of three starts" cluster restart 0
check "/health: its loops work" await 10 answers 0 /health 200
same "/ready: it is not" 503 "$(status_of 0 /ready)"
matches "/ready says why" '"reason":"the broker has not joined the cluster yet"' "$("$scrape" "$(http_of 0)" /ready)"
check "/metrics is a page all the same" answers 0 /metrics 200
must "the second starts" cluster restart 1
must "the third starts" cluster restart 2 --wait
for node in 0 1 2; do check "node $node: ready" await 20 answers "$node" /ready 200; done
same "status --json says where" "$(http_of 1)" "$(told_of 1)"
same "another path" 404 "$(status_of 0 /other)"
check "a node that idles with HTTP takes less than 12 MB" test "$(rss_kb "$(node_pid 0)")" -lt 12288

# ---- while records stream --------------------------------------------------------------------------------------------
client_start "$bootstrap" metrics --rate 4000 --lines 20000 --request-timeout 5000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
for round in 1 2 3; do
  for node in 0 1 2; do
    counters_of "$node" >"$work/after.$node"
    [[ $round == 1 ]] || check "node $node, round $round: counters only grow" grew_only "$work/before.$node" "$work/after.$node"
    mv "$work/after.$node" "$work/before.$node"
  done
done
check "messages and bytes are counted" is_above 100 skiff_topic_messages_in_total'{topic="metrics"}' 0 1 2
check "also under the names of Kafka's dashboards" is_above 1000 kafka_server_brokertopicmetrics_bytesin_total'{topic="metrics"}' 0 1 2
check "followers fetch" is_above 1000 skiff_replication_bytes_out_total 0 1 2
check "and append" is_above 1000 skiff_replication_bytes_in_total 0 1 2
check "produce requests are timed" is_above 10 skiff_request_seconds_count'{api="Produce"}' 0 1 2
check "with quantiles in milliseconds" is_above -1 kafka_network_requestmetrics_totaltimems'{request="Produce",quantile="0.99"}' 0 1 2
check "flushes are timed" is_above 10 skiff_flush_seconds_count 0 1 2
check "no partition is under-replicated" is_sum 0 skiff_under_replicated_partitions 0 1 2
same "one controller is active" 1 "$(sum_of kafka_controller_kafkacontroller_activecontrollercount 0 1 2)"
same "three brokers are alive" 3 "$(sum_of skiff_active_brokers 0 1 2)"

# ---- a node is killed ------------------------------------------------------------------------------------------------
elections=$(sum_of skiff_leader_elections_total 1 2) shrinks=$(sum_of skiff_isr_shrinks_total 1 2)
must "node 0 is killed" cluster kill 0
check "partitions are under-replicated" await 20 is_above 0 skiff_under_replicated_partitions 1 2
check "a broker is fenced" await 20 is_sum 1 skiff_fenced_brokers 1 2
check "in-sync sets shrank" await 20 is_above "$shrinks" skiff_isr_shrinks_total 1 2
check "leaders were elected" await 20 is_above "$elections" skiff_leader_elections_total 1 2
check "no partition is offline" is_sum 0 kafka_controller_kafkacontroller_offlinepartitionscount 1 2
check "the others stay ready" answers 1 /ready 200
expands=$(sum_of skiff_isr_expands_total 1 2)
must "it comes back" cluster restart 0 --wait
check "no partition is under-replicated any more" await 30 is_sum 0 kafka_server_replicamanager_underreplicatedpartitions 0 1 2
check "in-sync sets grew" is_above "$expands" skiff_isr_expands_total 0 1 2
check "it is ready" await 20 answers 0 /ready 200
check "nothing is lost, doubled or reordered" client_finish

# ---- lag of a group --------------------------------------------------------------------------------------------------
if command -v kcat >/dev/null; then
  must "a topic" "$tools/admin" "$bootstrap" create lagging 1 3
  seq 1 100 | kcat -q -b "$bootstrap" -P -t lagging -p 0 -X acks=all
  timeout 60 kcat -q -b "$bootstrap" -G counters -c 40 -X auto.offset.reset=earliest lagging >/dev/null
  offset() { sum_of skiff_group_committed_offset'{group="counters",topic="lagging",partition="0"}' 0 1 2; }
  lag() { sum_of kafka_consumergroup_lag'{consumergroup="counters",topic="lagging",partition="0"}' 0 1 2; }
  adds_up() { local o; o=$(offset) && ((o > 0 && o + $(lag) == 100)); }
  check "offset and lag of a group add up" await 20 adds_up
  seq 101 150 | kcat -q -b "$bootstrap" -P -t lagging -p 0 -X acks=all
  grows() { local o; o=$(offset) && ((o + $(lag) == 150)); }
  check "lag grows" await 20 grows
else
  skip "lag of a group" "kcat is not installed"
fi

# ---- strangers -------------------------------------------------------------------------------------------------------
address=$(http_of 1) host=${address%:*} port=${address##*:}
first_line() { timeout 20 bash -c 'exec 3<>"/dev/tcp/$0/$1"; cat >&3; head -n 1 <&3' "$host" "$port" 2>/dev/null | tr -d '\r'; }
matches "POST is refused" '^HTTP/1.1 405 ' "$(printf 'POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789' | first_line)"
matches "a header without end is refused" '^(HTTP/1.[01] 4..|$)' "$({ printf 'GET /metrics HTTP/1.1\r\nX: '; head -c 200000 /dev/zero | tr '\0' x; } | first_line)"
matches "what is no HTTP is refused" '^(HTTP/1.[01] 4..|$)' "$(head -c 5000 /dev/urandom | first_line)"
held=()
for ((i = 0; i < 100; i++)); do { exec {fd}<>"/dev/tcp/$host/$port"; } 2>/dev/null && held+=("$fd") && printf 'GET /me' >&"$fd"; done 2>/dev/null
for fd in "${held[@]}"; do exec {fd}>&-; done
check "a hundred unfinished requests later it answers" await 20 answers 1 /health 200
check "the page is well-formed" answers 1 /metrics 200
check "memory stays bounded" test "$(rss_kb "$(node_pid 1)")" -lt 40960

# ---- a port in use, a wrong value ------------------------------------------------------------------------------------
refused() { # NAME VALUE PATTERN
  local status=0
  timeout 10 "$skiff" server --config "$work/cluster/2/server.properties" --override admin.http.listener="$2" >/dev/null 2>"$work/stderr" </dev/null || status=$?
  same "$1: exit status" 1 "$status"
  matches "$1: one line says it" "$3" "$(grep -v '^\[20' "$work/stderr")"
}
must "node 2 stops" cluster stop 2
refused "a port in use" "$address" "^skiff: admin.http.listener=$address: the port is in use \(skiff, pid $(node_pid 1), has it\): choose another$"
refused "no port" localhost '^skiff: admin.http.listener=localhost: give HOST:PORT'
refused "an address of another machine" 192.0.2.1:9644 '^skiff: admin.http.listener=192.0.2.1:9644: cannot listen there: '

# ---- who does not ask for it does not pay for it ---------------------------------------------------------------------
maps_http() { grep -qE 'libmicrohttpd|libgnutls' "/proc/$(node_pid "$1")/maps"; }
check "a node with HTTP maps its library" maps_http 1
sed -i '/^admin\.http/d' "$work/cluster/2/server.properties"
must "node 2 starts without HTTP" cluster restart 2 --wait
check "a node without does not" eval '! maps_http 2'
same "and status --json says none" "" "$(told_of 2)"
