#!/usr/bin/env bash
# Three nodes with the address and undefined-behaviour sanitizers, leak detection on: topics are created and metrics asked for without a
# pause while each node in turn is told to end, so that commits, requests and messages are under way when it does. None of them may be left behind.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "only Skiff has a build with sanitizers"
skiff=$root/build/asan/skiff
[[ -x $skiff ]] || skip_all "build/asan/skiff is not built (make MODE=asan)"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1

create_topics() { # until it is ended
  local i=0
  while :; do "$tools/admin" "$bootstrap" create "t$((i++))" 3 3; done
}
ask_metrics() { # until it is ended
  local i path
  while :; do
    for i in 0 1 2; do
      for path in /metrics /ready; do "$tools/scrape" "$(http_of "$i")" "$path"; done
    done
  done
}
complaints() { grep -hE -A25 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$work"/cluster/*/log | head -60; }

start_cluster 3 --set admin.http.listener=127.0.0.1:0
create_topics >/dev/null 2>&1 &
creator=$!
ask_metrics >/dev/null 2>&1 &
reader=$!
background+=("$creator" "$reader")
for round in 1 2; do
  for node in 0 1 2; do
    must "round $round: node $node ends" cluster stop "$node"
    must "round $round: node $node starts again" cluster restart "$node" --wait
  done
done
check "metrics can be read" "$tools/scrape" "$(http_of 0)" /metrics
kill "$creator"
must "all end" cluster stop
kill "$reader"
same "no sanitizer found a fault or a leak" "" "$(complaints)"
