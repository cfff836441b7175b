#!/usr/bin/env bash
# Skiff and Apache Kafka are asked what wire_generate.py makes from the schemas; the answers differ only where wire_may_differ.py
# says why. GENERATED_SEED=N asks other versions.
. "$(dirname "${BASH_SOURCE[0]}")/beside_kafka.sh"
command -v python3 >/dev/null || skip_all "python3 is not installed"

must "Apache Kafka starts" kafka start 1
start_cluster 1 --set group.initial.rebalance.delay.ms=0
python3 "$root/tests/compat/wire_diff.py" "$(kafka bootstrap)" "$bootstrap" --generated --seed "${GENERATED_SEED:-1}" || failures=1
