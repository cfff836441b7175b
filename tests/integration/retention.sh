#!/usr/bin/env bash
# What a topic keeps, and how: retention, segments, sizes, codecs and times, changed while clients work; and how the offsets topic stays
# small. kcat and librdkafka's admin client against one node, or three.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v kcat >/dev/null || skip_all "kcat is not installed"

admin() { "$tools/admin" "$bootstrap" "$@"; }
produce() { kcat -q -b "$bootstrap" -P -p 0 "$@"; }
consume() { kcat -q -b "$bootstrap" -C -e -p 0 "$@"; }
first_offset() { kcat -b "$bootstrap" -Q -t "$1:0:-2" | grep -oE '[0-9]+$'; }
end_offset() { kcat -b "$bootstrap" -Q -t "$1:0:-1" | grep -oE '[0-9]+$'; }
directory() { echo "$work/cluster/$1"/data/"$2-0"; }
segments() { find "$(directory 0 "$1")" -name '*.log' | wc -l; }
lines() { seq -f "%0100g" "$1" "$2"; }
begins_at_least_at() { (($(first_offset "$1") >= $2)); }
has_segments() { (($(segments "$1") >= $2)); }

retention_by_size() {
  must "a topic of small segments" admin create sized 1 1 segment.bytes=1048576
  lines 1 40000 | produce -t sized
  check "more than three segments" has_segments sized 3
  same "nothing goes without a limit" 0 "$(first_offset sized)"
  must "retention.bytes is set" admin alter sized retention.bytes=1500000
  check "old segments go, without a restart" await 30 begins_at_least_at sized 1
  same "the last record is there" "$(lines 40000 40000)" "$(consume -t sized -o -1)"
  same "an offset that has gone leads to the first" "$(first_offset sized)" \
    "$(consume -t sized -o 0 -c 1 -f '%o' -X auto.offset.reset=earliest)"
}

retention_by_time() {
  must "a topic that is kept for a week" admin create timed 1 1
  seq 1 100 | produce -t timed
  same "it is kept" 0 "$(first_offset timed)"
  must "retention.ms is set" admin alter timed retention.ms=1
  check "all of it goes, though no segment was full" await 30 begins_at_least_at timed 100
  must "retention.ms is a day again" admin alter timed retention.ms=86400000
  seq 101 110 | produce -t timed
  same "what comes then stays, at its offset" "100 101" "$(consume -t timed -o beginning -f '%o %s\n' | head -n 1)"
}

segments_at_run_time() {
  must "a topic of one large segment" admin create rolled 1 1
  lines 1 25000 | produce -t rolled
  same "one segment" 1 "$(segments rolled)"
  must "segment.bytes is lowered" admin alter rolled segment.bytes=1048576
  lines 25001 50000 | produce -t rolled
  check "segments end sooner now" has_segments rolled 3
  must "segment.ms is lowered" admin alter rolled segment.bytes=1073741824 segment.ms=1
  local before
  before=$(segments rolled)
  for i in 1 2 3; do echo "$i" | produce -t rolled; done
  check "and by time" has_segments rolled $((before + 3))
  same "every record is there" 50003 "$(consume -t rolled -o beginning | wc -l)"
}

# The bytes of FILE at OFFSET as one number, the highest first.
number_at() { # FILE OFFSET BYTES
  local byte number=0
  for byte in $(od -An -v -tu1 -j "$2" -N "$3" "$1"); do number=$((number * 256 + byte)); done
  echo "$number"
}

# The attributes of the last batch of a log of one segment: 1 gzip, 2 snappy, 3 lz4, 4 zstd, +8 log append time.
last_attributes() {
  local file at=0 size end
  file=$(directory 0 "$1")/00000000000000000000.log
  end=$(stat -c %s "$file")
  while ((at + 61 < end)); do
    size=$(($(number_at "$file" $((at + 8)) 4) + 12))
    ((size > 12 && at + size < end)) || break
    (($(number_at "$file" $((at + size + 8)) 4) > 0)) || break
    at=$((at + size))
  done
  number_at "$file" $((at + 22)) 1
}

codecs() {
  local codec number=0
  must "a topic that keeps what producers send" admin create codec 1 1
  lines 1 1000 >"$work/text"
  for codec in gzip snappy lz4 zstd; do
    number=$((number + 1))
    must "compression.type=$codec" admin alter codec compression.type="$codec"
    produce -t codec -z none -l "$work/text"
    same "an uncompressed batch is compressed" $number "$(last_attributes codec)"
    produce -t codec -z gzip -l "$work/text" -X enable.idempotence=true
    same "one in gzip is in the topic's codec" $number "$(last_attributes codec)"
  done
  must "compression.type=uncompressed" admin alter codec compression.type=uncompressed
  produce -t codec -z zstd -l "$work/text" -X enable.idempotence=true
  same "one in zstd is kept plain" 0 "$(last_attributes codec)"
  must "compression.type=producer" admin alter codec compression.type=producer
  produce -t codec -z lz4 -l "$work/text"
  same "and as it comes again" 3 "$(last_attributes codec)"
  same "every record is there, at its offset" 9999 "$(consume -t codec -o -1 -f '%o')"
  same "and is what was sent" "$(for _ in {1..10}; do cat "$work/text"; done | md5sum)" "$(consume -t codec -o beginning | md5sum)"
}

times() {
  must "a topic of the producers' times" admin create clock 1 1
  echo early | produce -t clock
  same "the producer's" 0 "$(last_attributes clock)"
  must "message.timestamp.type=LogAppendTime" admin alter clock message.timestamp.type=LogAppendTime
  echo late | produce -t clock
  same "the broker's" 8 "$(last_attributes clock)"
  must "times that are far away are refused" admin alter clock message.timestamp.type=CreateTime message.timestamp.before.max.ms=0
  matches "with Kafka's error" 'INVALID_TIMESTAMP|[Ii]nvalid timestamp' "$(echo never | kcat -b "$bootstrap" -P -p 0 -t clock -X linger.ms=300 2>&1)"
}

sizes_and_keys() {
  must "a topic of large records" admin create large 1 1
  head -c 300000 /dev/urandom | base64 -w0 >"$work/large"
  check "400 kB are accepted" produce -t large "$work/large"
  must "max.message.bytes is lowered" admin alter large max.message.bytes=100000
  matches "and no more" 'MSG_SIZE_TOO_LARGE|too large' "$(kcat -b "$bootstrap" -P -p 0 -t large "$work/large" 2>&1)"
  must "a compacted topic" admin create compacted 1 1 cleanup.policy=compact
  check "takes records with keys" produce -t compacted -K: <<<"a:1"
  matches "and no others" 'INVALID_RECORD|validate record' "$(kcat -b "$bootstrap" -P -p 0 -t compacted <<<"no key" 2>&1)"
}

# ---- the offsets topic -----------------------------------------------------------------------------------------------

offsets_log_start() { awk '$1 == "__consumer_offsets" && $2 == 0 { print $3 }' "$work/cluster/$1/data/log-start-offset-checkpoint" 2>/dev/null; }
every_offsets_log_begins_later() { for i in 0 1 2; do [[ $(offsets_log_start $i) -gt 0 ]] || return 1; done; }
offsets_log_was_written_again() { grep -q '__consumer_offsets-0 is written again' "$work"/cluster/*/log; }

offsets_stay_small() {
  must "a topic" admin create events 1 3
  must "a group that stays as it is" admin commit still events 77
  check "a group that commits all the time" admin commit busy events 3000
  check "the offsets are written again" offsets_log_was_written_again
  for node in 0 1 2; do cluster kill $node; done
  for node in 0 1 2; do cluster restart $node; done
  must "all nodes were killed, and are back" await 60 "$probe" ready 3 ${bootstrap//,/ }
  same "the still group is where it was" 77 "$(admin committed still events)"
  same "and so is the busy one" 3000 "$(admin committed busy events)"
  check "it goes on" admin commit busy events 3001
  check "the log begins where it was written again, on every node" await 30 every_offsets_log_begins_later
}

start_cluster 1 --set log.retention.check.interval.ms=300
retention_by_size
retention_by_time
segments_at_run_time
codecs
times
sizes_and_keys
cluster clean

[[ -z ${SKIFF_SERVER:-} ]] || exit $((failures > 0)) # Kafka compacts its offsets
start_cluster 3 --set offsets.topic.snapshot.min.bytes=3000 --set offsets.topic.num.partitions=1 --set group.initial.rebalance.delay.ms=0
offsets_stay_small
exit $((failures > 0))
