#!/usr/bin/env bash
# max.connections, max.connections.per.ip and connections.max.idle.ms: those beyond are turned away, those within are served, idle ones end.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$root/tests/integration/crowd.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "the log lines are Skiff's"

set_to() { sed -i '/^max\.connections\|^connections\.max/d' "$work/cluster/0/server.properties"; printf '%s\n' "$@" >>"$work/cluster/0/server.properties"; }
is_closed() { [[ $(told closed "$(tail -n 1 "$work/closed")") == "$1" ]]; }
# How many of COUNT connections that say nothing the node closes within SECONDS.
closed_of() { "$tools/hostile" "$address" silent "$1" --seconds "$2" | tail -n 1 >"$work/closed"; }

start_cluster 1 --set max.connections.per.ip=30
address=$(address_of 0)
closed_of 50 2
check "30 connections of one address, the others are turned away" is_closed 20
check "the log says which limit" shows 'it has 30 connections \(max.connections.per.ip\)' node_log 0
check "when they are gone there is room" "$probe" ready 1 "$address"

set_to max.connections=25
must "with max.connections=25" cluster restart 0 --wait
closed_of 40 2
check "25 connections, the others are turned away" is_closed 15
check "the log says which limit" shows 'there are 25 connections \(max.connections\)' node_log 0

set_to connections.max.idle.ms=1000
must "with connections.max.idle.ms=1000" cluster restart 0 --wait
closed_of 20 5
check "idle connections end" is_closed 20
"$tools/hostile" "$address" drip 20 --seconds 5 | tail -n 1 >"$work/closed"
check "those that say something now and then do not" is_closed 0
