#!/usr/bin/env bash
# Runs the libFuzzer harnesses that `make fuzz` has built: first the canary, whose planted fault must be found, then each
# harness from its committed corpus.   fuzz.sh SECONDS LIMITS HARNESS...
set -euo pipefail
seconds=$1 limits=$2
shift 2
programs=build/fuzz/tests/fuzz corpora=build/fuzz/corpus
mkdir -p "$corpora"

if "$programs/canary" -max_total_time=60 -use_value_profile=1 -artifact_prefix="$corpora/canary-" >"$corpora/canary.log" 2>&1; then
  echo "fuzz: the canary's fault was not found within 60 s: fuzzing proves nothing here" >&2
  exit 1
fi
echo "fuzz: the canary's fault was found"
for harness in "$@"; do
  name=${harness#fuzz_}
  mkdir -p "$corpora/$name"
  echo "fuzz: $name for $seconds s"
  # shellcheck disable=SC2086 # several options
  "$programs/$harness" $limits -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$corpora/$name-" \
    "$corpora/$name" "tests/fuzz/corpus/$name" >"$corpora/$name.log" 2>&1 ||
    { tail -n 40 "$corpora/$name.log"; echo "fuzz: $name failed: $corpora/$name.log"; exit 1; }
  grep -E 'stat::number_of_executed_units|DONE' "$corpora/$name.log"
done
