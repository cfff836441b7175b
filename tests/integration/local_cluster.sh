#!/usr/bin/env bash
# deploy/local-cluster.sh itself: every command, the files it keeps, what it says to mistakes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

field() { cluster status --json | grep "\"id\": $1," | sed "s/.*\"$2\": \"\{0,1\}\([^\",}]*\).*/\1/"; } # NODE KEY
role_is() { [[ $(field "$1" role) == "$2" ]]; }
one_leader() { [[ $(cluster status --json | grep -c '"role": "leader"') == 1 ]]; }

matches "status before start" 'no cluster in' "$(cluster status 2>&1)"
start_cluster 3 --set num.partitions=7 --set log.segment.bytes=1048576
check "--wait: a client can produce at once" "$probe" ready 3 "$(address_of 0)"
check "--set reaches every node" test "$(grep -l '^num.partitions=7$' "$work"/cluster/[0-2]/server.properties | wc -l)" = 3
for node in 0 1 2; do
  same "node $node: its pid file names the process" "$(field "$node" pid)" "$(node_pid "$node")"
  same "node $node: clients" "$(address_of "$node")" "$(field "$node" client)"
  check "node $node: log and data" test -s "$work/cluster/$node/server.properties" -a -e "$work/cluster/$node/log" -a -d "$work/cluster/$node/data"
done
port=${bootstrap%%,*} port=${port##*:}
same "ports count up" "127.0.0.1:$((port + 2)) 127.0.0.1:$((port + 102))" "$(field 2 client) $(field 2 controller)"
check "one Raft leader" await 10 one_leader
matches "start again" 'already runs' "$(cluster start --nodes 3 2>&1)"

must "pause" cluster pause 1
same "a paused node" paused "$(field 1 role)"
must "resume" cluster resume 1
goes_on() { role_is 1 follower || role_is 1 leader; }
check "it is no longer paused" await 20 goes_on
must "kill" cluster kill 1
same "a killed node" "null down" "$(field 1 pid) $(field 1 role)"
matches "kill it again" 'does not run' "$(cluster kill 1 2>&1)"
must "restart --wait" cluster restart 1 --wait
check "it runs" kill -0 "$(node_pid 1)"
must "stop one" cluster stop 2
same "a stopped node" down "$(field 2 role)"
matches "logs" '.' "$(cluster logs 0)"
matches "no such node" 'there is no node 5' "$(cluster kill 5 2>&1)"
matches "no node given" 'needs the number' "$(cluster kill 2>&1)"
matches "a node too many" 'takes no node' "$(cluster start 3 2>&1)"
matches "an option without its value" '--nodes needs a value' "$("$root/deploy/local-cluster.sh" start --nodes 2>&1)"
matches "a setting without a value" 'give key=value' "$(cluster start --set nonsense 2>&1)"
matches "a wrong port" 'give 0 .* or a port' "$(cluster start --port 99999 2>&1)"
must "stop" cluster stop
same "all are down" 3 "$(cluster status | grep -c ' down ')"

# What stands in a pid file may be another process by now.
sleep 60 &
bystander=$! background+=($!)
echo "$bystander" >"$work/cluster/1/pid"
same "a stale pid file: the node is down" "null down" "$(field 1 pid) $(field 1 role)"
matches "and cannot be killed" 'does not run' "$(cluster kill 1 2>&1)"
must "stop leaves the other process alone" cluster stop
check "which lives" kill -0 "$bystander"
(exec -a "$work/cluster/1/server.properties local-cluster" sleep 60) &
echo $! >"$work/cluster/1/pid"
background+=($!)
same "also one that looks alike" "null down" "$(field 1 pid) $(field 1 role)"

must "clean" cluster clean
check "nothing is left" test ! -e "$work/cluster"
said=$(cluster --wait start --nodes 1 --port 0 --set num.partitions=many 2>&1)
matches "--wait tells at once why a node cannot start" 'num\.partitions.*node 0 ended' "${said//$'\n'/ }"
must "clean again" cluster clean
