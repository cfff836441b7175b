#!/usr/bin/env bash
# Apache Kafka's DumpLogSegments reads what our log writes, batch by batch and record by record, and finds no fault: segments,
# both indexes, producer snapshots; of a log that was closed cleanly, one recovered after a crash, one truncated and continued.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/tests/compat/kafka-env.sh"
write_log=${WRITE_LOG:-$root/build/release/write-log}

missing=$(kafka_missing)
[[ -z $missing ]] || { echo "1..0 # SKIP $missing"; exit 0; }
kafka_resolve || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

dump() { "$root/tests/compat/kafka-tool.sh" kafka-dump-log --files "$(echo "$work"/*/*."$1" | tr ' ' ,)" "${@:2}" >"$work/$1.out" 2>&1; }
report() { # NAME FAULTS
  if [[ -z $2 ]]; then echo "ok - $1"; else echo "not ok - $1"; sed 's/^/# /' <<<"$2" | head -20; fi
}

echo "1..5"
if "$write_log" "$work"; then echo "ok - logs are written"; else echo "not ok - logs are written"; exit 1; fi

# Kafka 4.3 expects the first record of every file at offset 0: "-1 is followed by BASE" is said of Kafka's own segments too.
dump log --deep-iteration
report "segments" "$(grep -vE '^(Dumping|Log starting offset:|baseOffset: .* isvalid: true|\| offset: )' "$work/log.out" |
  awk '/^Non-consecutive offsets in/ { file = $4; getline; n = split(file, part, "/"); if ($1 == -1 && $5 + 0 == substr(part[n], 1, 20) + 0) next; print file } { print }')"
records=$(grep -c '^| offset: ' "$work/log.out") batches=$(grep -c '^baseOffset: ' "$work/log.out")
report "segments hold records of every kind" "$( ((records > 5000 && batches > 500)) && grep -q 'isTransactional: true isControl: true' "$work/log.out" &&
  grep -q 'endTxnMarker: COMMIT' "$work/log.out" && grep -q 'LogAppendTime' "$work/log.out" || echo "$batches batches, $records records")"

dump index
dump timeindex
report "offset and time indexes" "$(cat "$work/index.out" "$work/timeindex.out" |
  grep -vE '^(Dumping|offset: [0-9]+ position: [0-9]+$|timestamp: [0-9]+ offset: [0-9]+$)')"
dump snapshot
report "producer snapshots" "$(grep -vE '^(Dumping|producerId: [0-9]+ producerEpoch: )' "$work/snapshot.out")"
