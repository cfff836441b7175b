#!/usr/bin/env bash
# request_percentage (KIP-124) on a node of Skiff and of Apache Kafka: the same program under the same limit. Requests cost either what they
# cost; what the limit leaves of the pace at which the client is served without one is the same share.
. "$(dirname "${BASH_SOURCE[0]}")/beside_kafka.sh"
. "$root/tests/integration/crowd.sh"
limits() { "$tools/limits" "$address" "$@"; }
set_quota() { must "$1: request_percentage=${2:-none}" limits quota client-id "" request_percentage="$2"; } # SYSTEM PERCENT
is_throttled() { (($(told throttled "$(limits ask 50)") > 0)); }
quickest_ms() { # of some rounds: on a machine with much else to do, the others say more about that
  for _ in 1 2 3 4 5 6; do told ms "$(limits ask 400)"; done | sort -n | head -n 1
}
is_free() { (($(told throttled "$(limits ask 50)") == 0)); }

# Sets `share`: thousandths of the pace without a limit that one percent leaves.
measure() { # SYSTEM ADDRESS
  local report slow
  address=$2
  matches "$1: a topic that takes time to tell of" '^error=0 ' "$(limits create 7 wide 200)"
  same "$1: nobody is told to wait" 0 "$(told throttled "$(limits ask 1000)")"
  set_quota "$1" 1
  check "$1: until the client has used up what it may at once" await 60 is_throttled
  report=$(limits ask 400)
  echo "# $1: $report"
  same "$1: everything is answered" 400 "$(told answered "$report")"
  slow=$(told ms "$report")
  at_most "$1: the longest wait that is told" 1000 "$(told most_ms "$report")" ms
  at_least "$1: what is told is what the client waits" $((slow / 2)) "$(told told_ms "$report")" ms
  set_quota "$1" ""
  check "$1: then the debt is forgotten" await 10 is_free
  share=$((1000 * $(quickest_ms) / slow))
  at_least "$1: more than a hundredth is left, for some of a request's time is the network's and the client's" 5 "$share" thousandths
  at_most "$1: but not much more" 100 "$share" thousandths
}

# The averages of one second that Skiff has, too: else ten seconds' worth goes through at first.
must "Apache Kafka starts" kafka start 1 --set quota.window.num=2
start_cluster 1
measure Kafka "$(kafka bootstrap)"
kafka_share=$share
measure Skiff "$bootstrap"
at_least "Skiff leaves as much as Kafka" $((kafka_share / 4)) "$share" thousandths
at_most "and no more" $((kafka_share * 4)) "$share" thousandths
