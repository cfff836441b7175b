#!/usr/bin/env bash
# `skiff server` with no arguments: a broker on localhost:9092 with its data in a fresh directory that it prints. Then the
# same directory through a config file, stopped in order and by force.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "only Skiff starts without a config"
command -v kcat >/dev/null || skip_all "kcat is not installed"
getent hosts localhost >/dev/null || skip_all "this machine cannot resolve localhost"
(exec 3<>/dev/tcp/127.0.0.1/9092) 2>/dev/null && skip_all "port 9092 is in use on this machine"

server_pid=
start_server() { # ARGUMENTS of `skiff server`
  (cd "$work" && exec "$skiff" server "$@" </dev/null >>"$work/server.log" 2>&1) &
  server_pid=$!
  background+=("$server_pid")
}
answers() { "$probe" ready 1 "$1"; }
stop_server() { # SIGNAL; sets `status`
  status=0
  kill "-$1" "$server_pid"
  wait "$server_pid" 2>/dev/null || status=$?
}
produce() { seq "$1" "$2" | kcat -q -b "$3" -P -t numbers -p 0 -X acks=all; }
numbers() { kcat -q -b "$1" -C -e -t numbers -p 0 -f '%s\n' | xargs; }

start_server
must "it takes clients on localhost:9092" await 10 answers localhost:9092
data=$(grep -oE '/[^ ,"]+' "$work/server.log" | while read -r path; do [[ -d $path ]] && echo "$path" && break; done)
check "it prints its data directory" test -d "$data"
check "which holds its identity" test -e "$data/meta.properties"
matches "it prints Kafka's line" 'Kafka Server started|started \(kafka\.server' "$(cat "$work/server.log")"
must "a topic" "$tools/admin" localhost:9092 create numbers 1 1
check "produce" produce 1 3 localhost:9092
same "consume" "1 2 3" "$(numbers localhost:9092)"
stop_server TERM
same "SIGTERM ends it with status 0" 0 "$status"
check "it left the mark of a clean shutdown" test -e "$data/.kafka_cleanshutdown"

port=$(free_port)
controller=$(free_port)
cat >"$work/server.properties" <<CONFIG
node.id=0
process.roles=broker,controller
controller.quorum.voters=0@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
log.dirs=$work/not/there/yet
CONFIG
start_server --config "$work/server.properties"
must "with a config it takes clients there" await 10 answers "127.0.0.1:$port"
check "a missing log directory is made, with parents" test -e "$work/not/there/yet/meta.properties"
must "a topic" "$tools/admin" "127.0.0.1:$port" create numbers 1 1
for round in 1 2 3; do
  check "round $round: produce" produce "$round" "$round" "127.0.0.1:$port"
  stop_server KILL
  start_server --config "$work/server.properties"
  must "round $round: after kill -9 it starts again" await 10 answers "127.0.0.1:$port"
done
same "nothing is lost" "1 2 3" "$(numbers "127.0.0.1:$port")"
stop_server TERM
same "SIGTERM ends it with status 0" 0 "$status"
[[ -z $data || $data == "$work"* || $data == / ]] || rm -rf "$data"
