#!/usr/bin/env bash
# run_limited.sh: whatever happens, nothing that a case started outlives it.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/run_limited.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# A case as Kafka's programs are: it starts a process that goes on at SIGTERM, and says which.
stubborn='trap "" TERM; sleep 1000 >/dev/null 2>&1 & echo $! >"$1"; echo said; eval "$2"'
has_ended() { # FILE
  local pid state
  pid=$(<"$1")
  [[ -n $pid ]] || return 1
  for _ in {1..200}; do
    state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null)
    [[ -n $state && $state != Z ]] || return 0
    sleep 0.05
  done
  return 1
}
check() { # NAME PID-FILE EXPECTED FOUND
  if [[ $3 == "$4" ]] && has_ended "$2"; then echo "ok - $1"; else echo "not ok - $1: '$4' instead of '$3', or its process lives on"; failed=1; fi
}

said=$(run_limited 20 bash -c "$stubborn" case "$work/ended" 'exit 3')
check "the status and the words of a case that ends" "$work/ended" "said 3" "$said $?"
said=$(run_limited 1 bash -c "$stubborn" case "$work/cut" wait 2>/dev/null)
check "a case that goes on at SIGTERM is killed" "$work/cut" "said 137" "$said $?"
timeout 1 bash -c '. "$1"; said=$(run_limited 100 bash -c "$2" case "$3" wait)' driver "${BASH_SOURCE[0]%/*}/run_limited.sh" "$stubborn" "$work/outer" 2>/dev/null
check "a case whose driver is ended" "$work/outer" 124 $?
exit "$failed"
