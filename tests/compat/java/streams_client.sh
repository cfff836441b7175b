# Sourced by the drivers that count words with Kafka Streams, at least once: lines of words go in; what the program last says of each word
# is compared with a count of the lines. The driver says which `program` that is, with which `arguments`, and its topics `input` and `output`.

application=$PREFIX-words
fed=$WORK/fed

start_application() {
  printf '%s\n' "application.id=$application" "bootstrap.servers=$BOOTSTRAP" "state.dir=$WORK/state" replication.factor=3 \
    commit.interval.ms=500 session.timeout.ms=10000 min.insync.replicas=1 >"$WORK/streams.properties"
  start application java -Xmx256M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$build/classes:$build/libs/*" \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Djava.io.tmpdir="$WORK" "$program" "$WORK/streams.properties" ${arguments[@]+"${arguments[@]}"}
  application_pid=$pid
}
stop_application() {
  is_running "$application_pid" || fail "the application ended: $(tail -n 3 "$WORK/application.errors")"
  stop "$application_pid"
}
words() { tr ' ' '\n' <"$fed" | wc -l; }
# The first records of the output topic, one for each word that was counted; without a number, those that are there.
read_counts() { # [RECORDS]
  local idle_ms=$((5000 * patience))
  ((!$#)) || idle_ms=$((60000 * patience))
  on_cluster kafka-console-consumer --topic "$output" --from-beginning --timeout-ms "$idle_ms" ${1:+--max-messages "$1"} \
    --formatter-property print.key=true --formatter-property value.deserializer=org.apache.kafka.common.serialization.LongDeserializer \
    >"$WORK/counts" 2>"$WORK/counts.errors"
  (($(wc -l <"$WORK/counts") >= ${1:-0})) || fail "$(wc -l <"$WORK/counts") of $1 counts; $(tail -n 1 "$WORK/application.errors")"
}

lines() { # FIRST LAST
  seq "$1" "$2" | awk '{ print "line of group" $1 % 7 " with word" $1 % 41 " and Word" $1 % 3 }'
}
feed() { tee -a "$fed" | on_cluster kafka-console-producer --topic "$input" || fail "the lines cannot be produced"; }
expected() { tr ' ' '\n' <"$fed" | tr '[:upper:]' '[:lower:]' | sort | uniq -c | awk '{ print $2 "\t" $1 }'; }
counted() { awk -F'\t' '{ last[$1] = $2 } END { for (w in last) print w "\t" last[w] }' "$WORK/counts" | sort; }
is_counted() { cmp -s <(expected) <(counted); }
# At least once: a word may have been counted again where a node was lost, and never less.
is_counted_at_least() {
  join -t $'\t' -a 1 -e 0 -o 0,1.2,2.2 <(expected) <(counted) | awk -F'\t' '$3 < $2 { bad = 1 } END { exit bad || !NR }'
}
difference() { diff <(expected) <(counted) | head -n 4; }
check_counts() {
  read_counts "$(words)"
  is_counted || fail "other counts: $(difference)"
}

case_streams_word_count() {
  create "$input" 3
  create "$output" 3 --config cleanup.policy=compact
  lines 1 200 | feed
  start_application
  check_counts
  stop_application
}

# The counts go on where they were, also where the state on disk is lost: the changelog has it.
case_streams_restart() {
  start_application
  lines 201 300 | feed
  check_counts
  stop_application
  rm -rf "$WORK/state"
  lines 301 400 | feed
  start_application
  check_counts
  stop_application
}
