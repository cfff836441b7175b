#!/usr/bin/env bash
# Hostile and broken input: each connection is closed or answered with the right error, costs one line in the log (a flood fewer) and no
# memory, and does no harm to a client that works beside it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_cluster 1 --set offsets.topic.replication.factor=1
address=$(address_of 0)
must "a topic for it" "$tools/admin" "$bootstrap" create bad 1 1
client_start "$bootstrap" beside --partitions 1 --replicas 1 --min-insync 1 --rate 1000 --lines 1000
must "another client works" ask await-acks

log_lines() { node_log 0 | wc -l; }
logged_one_line() { [[ $(log_lines) -eq $((before + 1)) ]]; }
for case in http-request tls-hello two-gigabytes negative-length count-beyond-the-frame unknown-api; do
  before=$(log_lines)
  "$tools/bad-input" "$address" bad "$case" >/dev/null
  await 5 logged_one_line
  same "$case: one line in the log" 1 $(($(log_lines) - before)) || node_log 0 | tail -n +$((before + 1)) | cut -c1-300
done

"$tools/bad-input" "$address" bad >"$work/cases" 2>&1 || failures=$((failures + 1))
cat "$work/cases"

must "the other client goes on" ask await-acks
pid=$(node_pid 0)
rss_before=$(rss_kb "$pid")
before=$(log_lines)
for _ in 1 2 3 4 5 6 7 8; do "$tools/bad-input" "$address" bad >/dev/null; done
grown=$(($(rss_kb "$pid") - rss_before))
if ((grown <= 2048)); then ok "no growth over 8 rounds more"; else not_ok "grew by $grown KB over 8 rounds more"; fi
# Two causes; 20 lines each until they count as floods, then one in ten seconds.
lines=$(($(log_lines) - before))
if ((lines <= 50)); then ok "few log lines over 8 rounds more"; else not_ok "$lines log lines over 8 rounds more"; fi

check "the other client lost nothing" client_finish
check "a client can still connect" "$probe" ready 1 "$address"
