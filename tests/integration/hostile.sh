#!/usr/bin/env bash
# Crowds of connections that idle, send a byte now and then, stop in the middle, hoard request memory or do not read: what they cost is
# bounded, and a client beside them is served.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$root/tests/integration/crowd.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "the bounds are Skiff's"
(($(ulimit -n) >= 4096)) || skip_all "needs 4096 open files (ulimit -n is $(ulimit -n))"

start_cluster 1 --set queued.max.request.bytes=8388608 --set socket.request.max.bytes=4194304
address=$(address_of 0)
pid=$(node_pid 0)
must "a topic" "$tools/admin" "$bootstrap" create hostile 1 1
answered_within "alone" 10000 1000 20
grown_kb() { echo $(($(rss_kb "$pid") - before)); }

# ---- who does nothing --------------------------------------------------------------------------------------------------
before=$(rss_kb "$pid")
crowd_start idle idle 2000
at_most "2,000 idle connections" 5120 "$(grown_kb)" KB
answered_within "beside 2,000 idle connections" 10000 1000 20
crowd_end idle
same "none of them was closed" 0 "$(told closed "$crowd")"

# ---- who sends slowly --------------------------------------------------------------------------------------------------
before=$(rss_kb "$pid")
crowd_start drip drip 500
crowd_start half half 500
at_most "500 that send a byte at a time, 500 that stop in a request" 20480 "$(grown_kb)" KB
answered_within "beside 1,000 slow senders" 10000 100000 20
crowd_end drip
crowd_end half

# ---- who announces much and keeps what that takes ----------------------------------------------------------------------
before=$(rss_kb "$pid")
crowd_start hoard hoard 40 --bytes 4000000
answered_within "beside 40 that hoard request memory" 30000 100000 5
at_most "40 that hoard request memory" 20480 "$(grown_kb)" KB
crowd_end hoard
at_least "those in the way are cut off" 1 "$(told closed "$crowd")"

# ---- 10,000 partitions, and who does not read of them ------------------------------------------------------------------
must "10,000 partitions" "$tools/admin" "$bootstrap" create wide 10000 1
knows_all() { [[ $("$probe" topic "$address" wide | wc -l) -eq 10000 ]]; }
check "10,000 partitions in one Metadata" await 20 knows_all
before=$(rss_kb "$pid")
crowd_start deaf deaf 24
answered_within "beside 24 that do not read 22 MB of answers" 30000 1000 5
at_most "24 that do not read" 100000 "$(grown_kb)" KB
crowd_end deaf
echo "# $crowd"
check "a client can still connect" await 30 "$probe" ready 1 "$address"
