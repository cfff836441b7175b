#!/usr/bin/env bash
# max.connections, max.connections.per.ip with its overrides, and connections.max.idle.ms: those beyond are turned away, those within are served,
# idle ones end. How fast new ones may come: max.connection.creation.rate makes them wait, connection_creation_rate turns away.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$root/tests/integration/crowd.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "the log lines are Skiff's"

set_to() { sed -i '/^max\.connections\|^connections\.max/d' "$work/cluster/0/server.properties"; printf '%s\n' "$@" >>"$work/cluster/0/server.properties"; }
is_closed() { [[ $(told closed "$(tail -n 1 "$work/closed")") == "$1" ]]; }
# How many of COUNT connections that say nothing the node closes within SECONDS.
closed_of() { "$tools/hostile" "$address" silent "$1" --seconds "$2" | tail -n 1 >"$work/closed"; }
limits() { "$tools/limits" "$address" "$@"; }
refusal() { limits "$@" 2>&1 || true; }

start_cluster 1 --set max.connections.per.ip=30
address=$(address_of 0)
closed_of 50 2
check "30 connections of one address, the others are turned away" is_closed 20
check "the log says which limit" shows 'it has 30 connections \(max.connections.per.ip\)' node_log 0
check "when they are gone there is room" "$probe" ready 1 "$address"
check "a limit of 0 is refused where no address has another" shows 'without max.connections.per.ip.overrides' refusal broker max.connections.per.ip=0

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

# ---- of single addresses, and while the node runs -------------------------------------------------------------------------
set_to max.connections.per.ip=0 max.connections.per.ip.overrides=127.0.0.1:20,::1:20
must "with max.connections.per.ip=0 and an override" cluster restart 0 --wait
closed_of 30 2
check "20 connections of that address, the others are turned away" is_closed 10
must "an override at run time" limits broker max.connections.per.ip.overrides=::ffff:127.0.0.1:12
closed_of 30 2
check "12 connections, the others are turned away" is_closed 18
check "one without a count is refused" shows 'it must be ADDRESS:COUNT' refusal broker max.connections.per.ip.overrides=127.0.0.1
must "the override goes" limits broker max.connections.per.ip.overrides= max.connections.per.ip=1000

# ---- rates -----------------------------------------------------------------------------------------------------------
must "4 new connections a second" limits broker max.connection.creation.rate=4
report=$(limits connect 12)
same "nobody is turned away" 12 "$(told answered "$report")"
at_least "but they wait" 1000 "$(told ms "$report")" ms
check "a rate of 0 is refused" shows 'it would keep everybody out' refusal broker max.connection.creation.rate=0
must "no limit any more" limits broker max.connection.creation.rate=
must "4 a second of this address" limits quota ip 127.0.0.1 connection_creation_rate=4
report=$(limits connect 12)
at_least "those above it are turned away" 1 "$(told refused "$report")"
at_least "those below it are not" 4 "$(told answered "$report")"
check "the log says why" shows 'it connects too often \(connection_creation_rate\)' node_log 0
