#!/usr/bin/env bash
# What unmodified clients do every day: kcat and librdkafka's producer, consumer and admin on one node and on three.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v kcat >/dev/null || skip_all "kcat is not installed"

consume() { kcat -q -b "$bootstrap" -C -e -f '%s\n' "$@"; } # to the end of each partition
produce() { kcat -q -b "$bootstrap" -P "$@"; }
admin() { "$tools/admin" "$bootstrap" "$@"; }

topics_and_configs() { # REPLICAS
  must "create a topic" admin create events 3 "$1" retention.ms=86400000
  matches "create it again" TOPIC_ALREADY_EXISTS "$(admin create events 3 "$1" 2>&1)"
  matches "more replicas than nodes" INVALID_REPLICATION_FACTOR "$(admin create too-many 1 9 2>&1)"
  matches "a name that is not allowed" '(INVALID_TOPIC|TOPIC_EXCEPTION)' "$(admin create 'a b' 1 1 2>&1)"
  matches "a config that does not exist" INVALID_CONFIG "$(admin create odd 1 1 no.such.key=1 2>&1)"
  matches "its config is described" 'retention\.ms=86400000' "$(admin configs events)"
  check "its config is changed" admin alter events retention.ms=3600000 max.message.bytes=2000000
  matches "and described as changed" 'retention\.ms=3600000' "$(admin configs events)"
  matches "a wrong value is refused" INVALID_CONFIG "$(admin alter events retention.ms=soon 2>&1)"
  check "partitions are added" admin partitions events 5
  matches "fewer are refused" INVALID_PARTITIONS "$(admin partitions events 2 2>&1)"
  matches "kcat lists five partitions" 'topic "events" with 5 partitions' "$(kcat -b "$bootstrap" -L -t events)"
}

records() {
  local codec text=$work/text
  seq 1 5000 | sed 's/^/line /' >"$text"
  for codec in none gzip snappy lz4 zstd; do
    admin create "c-$codec" 1 1
    check "produce, $codec" produce -t "c-$codec" -p 0 -z "$codec" -l "$text"
    check "consume, $codec: the same lines" cmp "$text" <(consume -t "c-$codec" -p 0)
  done
  same "from an offset" "line 4999 line 5000" "$(consume -t c-lz4 -p 0 -o 4998 | xargs)"
  same "the last two" "line 4999 line 5000" "$(consume -t c-zstd -p 0 -o -2 | xargs)"
  same "from the end: nothing" "" "$(consume -t c-none -p 0 -o end)"
  matches "an offset beyond the end is an error" 'out of range|Offset out' "$(kcat -q -b "$bootstrap" -C -e -t c-none -p 0 -o 999999 -X auto.offset.reset=error 2>&1)"
}

keys_headers_times() {
  admin create shapes 1 1
  printf 'k1:v1\n:empty key\nk3:\n' | produce -t shapes -p 0 -K: -H colour=red -H empty=
  same "keys, values and headers" "k1=v1[colour=red,empty=] =empty key[colour=red,empty=] k3=[colour=red,empty=] " \
    "$(kcat -q -b "$bootstrap" -C -e -t shapes -p 0 -f '%k=%s[%h] ')"
  printf 'gone:\n' | produce -t shapes -p 0 -K: -Z
  same "a null value" "-1" "$(kcat -q -b "$bootstrap" -C -e -t shapes -p 0 -o -1 -f '%S')"
  local now
  now=$(($(date +%s) * 1000))
  same "offset for a time in the past" "shapes [0] offset 0" "$(kcat -b "$bootstrap" -Q -t "shapes:0:$((now - 3600000))")"
  matches "offset for a time to come" 'shapes \[0\] offset (-1|4)' "$(kcat -b "$bootstrap" -Q -t "shapes:0:$((now + 3600000))")"
  head -c 900000 /dev/zero | tr '\0' x >"$work/large"
  produce -t shapes -p 0 "$work/large"
  same "a record of 900,000 bytes" 900000 "$(kcat -q -b "$bootstrap" -C -e -t shapes -p 0 -o -1 -f '%S')"
  head -c 1500000 /dev/zero | tr '\0' x >"$work/larger"
  matches "a larger one than the topic takes" 'MSG_SIZE_TOO_LARGE|too large' \
    "$(kcat -b "$bootstrap" -P -t shapes -p 0 -X message.max.bytes=3000000 "$work/larger" 2>&1)"
}

acks_and_absence() {
  local acks
  for acks in 0 1 all; do
    admin create "acks-$acks" 1 1
    seq 1 1000 | produce -t "acks-$acks" -p 0 -X "acks=$acks"
    same "acks=$acks: every record" 1000 "$(consume -t "acks-$acks" -p 0 | wc -l)"
  done
  check "a topic is deleted" admin delete acks-0
  check "and is gone" await 10 lacks '"acks-0"' kcat -b "$bootstrap" -L
  matches "delete what is not there" UNKNOWN_TOPIC_OR_PART "$(admin delete acks-0 2>&1)"
  check "it can be made again" admin create acks-0 1 1
  same "and is empty" "" "$(consume -t acks-0 -p 0)"
  seq 1 10 | produce -t acks-0 -p 0 -X enable.idempotence=true
  same "idempotent producer" 10 "$(consume -t acks-0 -p 0 | wc -l)"
}

follow_the_tail() { # a consumer that waits gets a record as soon as it is there
  admin create tail 1 1
  timeout 20 kcat -q -u -b "$bootstrap" -C -t tail -p 0 -c 3 -f '%s\n' >"$work/tail" &
  local reader=$!
  background+=("$reader")
  for line in a b c; do echo "$line" | produce -t tail -p 0; done
  check "a waiting consumer gets three records" wait "$reader"
  same "in order" "a b c" "$(xargs <"$work/tail")"
}

for nodes in 1 3; do
  scenario="clients, $nodes node(s)"
  start_cluster "$nodes" --set offsets.topic.replication.factor=1
  topics_and_configs "$nodes"
  records
  keys_headers_times
  acks_and_absence
  follow_the_tail
  cluster clean
done
