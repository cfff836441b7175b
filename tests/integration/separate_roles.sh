#!/usr/bin/env bash
# Controllers and brokers in processes of their own (process.roles): the active controller is killed, then a partition's leader, then all
# controllers, while records stream. In the end every acknowledged record is there once, in order.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_nodes() { local i; for i; do must "node $i starts" cluster restart "$i"; done; }
ready() { "$probe" ready "$1" ${bootstrap//,/ }; } # BROKERS
quorum() { "$probe" quorum "${bootstrap##*,}"; }
active_controller() { quorum | sed -n 's/^leader=\([0-9]*\) .*/\1/p'; }
is_led_by_another() { local now; now=$(active_controller) && [[ -n $now && $now != "$1" ]]; }
observes() { [[ $(quorum) =~ voters=([0-9]+:[0-9]+,?){$1}\ observers=([0-9]+:[0-9]+,?){$2}$ ]]; } # VOTERS OBSERVERS

# ---- three controllers, three brokers --------------------------------------------------------------------------------
configure_roles 6 3 3
start_nodes 3 0 4 1 5 2
must "three brokers are ready" await 60 ready 3
check "the quorum has three voters and three observers" await 20 observes 3 3
same "clients see brokers only" "3 4 5" "$("$probe" brokers "${bootstrap##*,}" | sed 's/.* brokers=//' | tr , '\n' | sort | xargs)"
client_start "$bootstrap" separate --rate 4000 --lines 20000 --request-timeout 5000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3

first=$(active_controller)
must "the active controller, node $first, is killed" cluster kill "$first"
must "every partition takes records without it" ask await-acks
check "another controller is active" await 10 is_led_by_another "$first"
must "a topic is created meanwhile" "$tools/admin" "$bootstrap" create-many meanwhile 3 2 3
victim=$(leader_of 3 separate 0)
must "the leader of a partition, node $victim, is killed" cluster kill "$victim"
must "every partition takes records without it" ask await-acks
start_nodes "$first" "$victim"
must "all replicas are in sync again" ask await-isr 3

must "no controller is left: 0" cluster kill 0
must "no controller is left: 1" cluster kill 1
must "no controller is left: 2" cluster kill 2
must "every partition goes on taking records" ask await-acks
start_nodes 2 1 0
check "the controllers have found each other" await 20 observes 3 3

last=$(active_controller)
must "the active controller is stopped" cluster stop "$last"
must "a broker is stopped" cluster stop 5
must "every partition takes records" ask await-acks
start_nodes 5 "$last"
must "all replicas are in sync at last" ask await-isr 3
check "nothing is lost, doubled or reordered" client_finish

# ---- one node that is both, two brokers ------------------------------------------------------------------------------
cluster clean
configure_roles 3 1 0
start_nodes 0 1 2
must "mixed: three brokers are ready" await 60 ready 3
check "mixed: the quorum has one voter and two observers" await 20 observes 1 2
client_start "$bootstrap" mixed --rate 4000 --lines 8000 --request-timeout 5000
must "mixed: records stream" ask await-acks
must "mixed: all replicas are in sync" ask await-isr 3
must "mixed: a broker is killed" cluster kill 1
must "mixed: every partition takes records" ask await-acks
must "mixed: the only controller is killed" cluster kill 0
start_nodes 0 1
must "mixed: all replicas are in sync again" ask await-isr 3
check "mixed: nothing is lost, doubled or reordered" client_finish

# ---- a broker of another cluster -------------------------------------------------------------------------------------
[[ -z ${SKIFF_SERVER:-} ]] || exit 0 # our own words
must "mixed: all nodes are stopped" cluster stop
rm -rf "$work/cluster/0/data"
start_nodes 0
status=0
timeout 20 "$skiff" server --config "$work/cluster/1/server.properties" >"$work/refused" 2>&1 </dev/null || status=$?
same "a broker does not join another cluster" 1 "$status"
matches "it says why" 'belong to another cluster' "$(cat "$work/refused")"
rm -rf "$work/cluster/1/data/controller"
status=0
timeout 20 "$skiff" server --config "$work/cluster/1/server.properties" >"$work/refused" 2>&1 </dev/null || status=$?
same "nor one that has lost its metadata, but no records" 1 "$status"
matches "it says why again" 'belong to another cluster' "$(cat "$work/refused")"
