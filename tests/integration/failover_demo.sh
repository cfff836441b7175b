#!/usr/bin/env bash
# The demo that users run is a test too: its exit status is its verdict.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_cluster 3
output=$("$root/deploy/failover-demo.sh" --dir "$work/cluster" 2>&1)
same "the demo's status" 0 $?
matches "its verdict" 'VERDICT: ok' "$output"
matches "it killed the Raft leader" 'kill -9 of node [0-9]: it is the Raft leader and leads a partition' "$output"
matches "it streamed 200,000 lines" ' [2-9][0-9]{5} sent' "$output"
((failures == 0)) || printf '%s\n' "$output"
