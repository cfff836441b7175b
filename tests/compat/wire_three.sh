#!/usr/bin/env bash
# What one node cannot show, asked of three nodes of Skiff and of Apache Kafka each (wire_cases_three.py); the answers differ only
# where wire_may_differ.py says why.
. "$(dirname "${BASH_SOURCE[0]}")/beside_kafka.sh"
command -v python3 >/dev/null || skip_all "python3 is not installed"

must "Apache Kafka starts" kafka start 3
start_cluster 3
python3 "$root/tests/compat/wire_diff.py" "$(kafka bootstrap | cut -d, -f1)" "$(address_of 0)" --three || failures=1
