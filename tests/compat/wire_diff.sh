#!/usr/bin/env bash
# Skiff and Apache Kafka are asked the same at every version (wire_cases.py); the answers differ only where
# wire_may_differ.py says why.
. "$(dirname "${BASH_SOURCE[0]}")/beside_kafka.sh"
command -v python3 >/dev/null || skip_all "python3 is not installed"

must "Apache Kafka starts" kafka start 1
start_cluster 1
python3 "$root/tests/compat/wire_diff.py" "$(kafka bootstrap)" "$bootstrap" || failures=1
