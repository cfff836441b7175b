#!/usr/bin/env bash
# Requests generated from the schemas, legal and not: each answer has the right form, and the node outlives them all. The seed is
# the same in every run; `make compat` asks all of them, beside Apache Kafka.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v python3 >/dev/null || skip_all "python3 is not installed"

start_cluster 1 --set offsets.topic.replication.factor=1 --set group.initial.rebalance.delay.ms=0
pid=$(node_pid 0)
python3 "$root/tests/compat/wire_alone.py" "$bootstrap" --most "${GENERATED_REQUESTS:-1500}" || failures=$((failures + 1))
same "it is still the same process" "$pid" "$(node_pid 0)"
check "which serves" "$probe" ready 1 "$bootstrap"
