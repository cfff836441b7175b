#!/usr/bin/env bash
# The Raft leader, which leads a partition too, is stopped (SIGSTOP) for longer than its session and then goes on: others
# have taken over, and its late answers do no harm.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_cluster 3 --set broker.session.timeout.ms=3000 --set broker.heartbeat.interval.ms=500
client_start "$bootstrap" pause-leader --rate 4000 --lines 20000 --request-timeout 3000
must "records stream" ask await-acks
must "all replicas are in sync" ask await-isr 3
# Leaderships move back soon after a node is in sync. librdkafka does not survive that such a move and a pause come together: a batch that
# waits in the paused node is overtaken by its successor, sent to the new leader, and it gives up with OUT_OF_ORDER_SEQUENCE_NUMBER.
preferred_lead() {
  local lines
  lines=$(ask describe) && ! grep -qvE 'Leader: ([0-9]+)  Replicas: \1,' <<<"$lines"
}
for round in 1 2; do
  find_raft_leader
  paused=$leader
  must "round $round: node $paused is paused" cluster pause "$paused"
  must "round $round: every partition takes records without it" ask await-acks
  another_leads() { local leader; leader=$(raft_leader); [[ -n $leader && $leader != "$paused" ]]; }
  check "round $round: another node is the Raft leader" await 10 another_leads
  must "round $round: node $paused goes on" cluster resume "$paused"
  must "round $round: it is back in sync" ask await-isr 3
  must "round $round: preferred replicas lead" await 30 preferred_lead
  must "round $round: every partition takes records" ask await-acks
done
check "nothing is lost, doubled or reordered" client_finish
