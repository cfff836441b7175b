# shellcheck shell=bash disable=SC2034,SC2154 # what lib.sh and the scenarios have
# Sourced after lib.sh by the scenarios with many connections: tests/integration/hostile.c in the background.
#
# crowd_start NAME BEHAVIOUR COUNT [OPTION...]   returns when all of them have got as far as they go
# crowd_end NAME                                 sets `crowd`: what became of them
declare -A crowd_pid

crowd_start() {
  local name=$1
  shift
  "$tools/hostile" "$address" "$@" >"$work/$name.crowd" 2>&1 &
  crowd_pid[$name]=$!
  background+=("$!")
  must "$name: $2 connections, $1" await 60 grep -q ready "$work/$name.crowd"
}
crowd_end() {
  kill "${crowd_pid[$1]}"
  wait "${crowd_pid[$1]}"
  crowd=$(tail -n 1 "$work/$1.crowd")
}
# A number out of what hostile.c reports.
told() { sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" <<<"$2"; } # KEY REPORT
# at_most NAME LIMIT ACTUAL [UNIT]
at_most() {
  if [[ -n $3 ]] && (($3 <= $2)); then ok "$1 ($3 ${4:-}, at most $2)"; else not_ok "$1: ${3:-nothing} ${4:-}, at most $2"; return 1; fi
}
at_least() {
  if [[ -n $3 ]] && (($3 >= $2)); then ok "$1 ($3 ${4:-}, at least $2)"; else not_ok "$1: ${3:-nothing} ${4:-}, at least $2"; return 1; fi
}
# A client that produces one request after the other (acks=all, BYTES each) gets COUNT answers, and waits for none longer than LIMIT ms: on
# a machine with much else to do, so the limits are wide.
answered_within() { # NAME LIMIT BYTES COUNT
  local report
  report=$("$tools/hostile" "$address" ping 1 --topic hostile --bytes "$3" --answers "$4" --seconds 60 | tail -n 1)
  same "$1: no error" 0 "$(told errors "$report")"
  at_least "$1: answers" "$4" "$(told answers "$report")"
  at_most "$1: the longest wait" "$2" "$(told longest_ms "$report")" ms
}
