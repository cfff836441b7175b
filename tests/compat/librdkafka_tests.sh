#!/usr/bin/env bash
# librdkafka's own test-suite, unmodified, against Apache Kafka, to know what passes there, and against Skiff: three nodes each,
# one test number a process, scored for each subtest.
#
#   LIBRDKAFKA=CHECKOUT tests/compat/librdkafka_tests.sh [--system kafka|skiff] [--only NNNN,NNNN] [--jobs N] [--limit SECONDS] [--record]
#
# CHECKOUT is a built checkout of librdkafka (./configure && make && make -C tests build). Its tests for which no broker is needed are
# left out. A test that fails for no known reason (clients/librdkafka-tests.reasons) is run once more, alone; subtests behind one that
# failed, which the other system reached, are run by themselves. Without --only everything is run, else the other tests' results stay
# as they were; --system runs one system only and compares with the last results of the other. The comparison (librdkafka_score.py)
# says what differs, and with --record writes the table that docs/COMPATIBILITY.md takes. Logs and results stay in
# build/compat/librdkafka-tests.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/tests/compat/kafka-env.sh"
results=$root/build/compat/librdkafka-tests
reasons=$root/tests/compat/clients/librdkafka-tests.reasons
checkout=${LIBRDKAFKA:-}
systems=(kafka skiff) only='' jobs=2 limit=900 record=()

usage() { sed -n '5p' "${BASH_SOURCE[0]}" | sed 's/^# *//' >&2; exit 2; }
skip_all() { echo "1..0 # SKIP librdkafka_tests: $1"; exit 0; }
score() { python3 "$root/tests/compat/librdkafka_score.py" "$@"; }

while (($#)); do
  case $1 in
    --system) systems=("${2:?}"); shift ;;
    --only) only=${2:?}; shift ;;
    --jobs) jobs=${2:?}; shift ;;
    --limit) limit=${2:?}; shift ;;
    --record) record=(--record) ;;
    *) usage ;;
  esac
  shift
done

# ---- what is needed --------------------------------------------------------------------------------------------------
[[ -n $checkout ]] || skip_all "LIBRDKAFKA names no built checkout of librdkafka"
runner=$checkout/tests/test-runner
[[ -x $runner ]] || skip_all "$runner is not built"
command -v python3 >/dev/null || skip_all "python3 is not installed"
missing=$(kafka_missing)
[[ -z $missing ]] || skip_all "$missing"

# ---- the clusters ----------------------------------------------------------------------------------------------------
cluster() { "$root/deploy/local-cluster.sh" "$@"; }

# What librdkafka's own clusters for its tests have: topics are created with four partitions on three replicas; racks; ACLs, which
# Skiff does not serve yet.
settings() { # SYSTEM SCENARIO
  local auto=true setting acls=()
  [[ $2 != noautocreate ]] || auto=false
  [[ $1 == skiff ]] || acls=(authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer super.users=User:ANONYMOUS)
  for setting in "${acls[@]}" "auto.create.topics.enable=$auto" num.partitions=4 default.replication.factor=3 \
    replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector \
    offsets.topic.replication.factor=3 transaction.state.log.replication.factor=3 transaction.state.log.min.isr=2; do
    printf '%s\n' --set "$setting"
  done
}

start_cluster() { # SYSTEM SCENARIO
  local i arguments
  mapfile -t arguments < <(settings "$1" "$2")
  cluster configure --nodes 3 --port 0 "${arguments[@]}" || return
  for i in 0 1 2; do echo "broker.rack=RACK$i" >>"$SKIFF_CLUSTER_DIR/$i/server.properties"; done
  for i in 0 1; do cluster restart "$i" || return; done
  cluster restart 2 --wait --timeout 240
}

# What the tests look for: Kafka's own tools, and their own sources beside the folder they run in.
link_tools() {
  local tool
  mkdir -p "$results/kafka-path/bin"
  ln -sfn "$checkout/src" "$results/src"
  for tool in kafka-topics kafka-acls; do
    printf '%s\n' '#!/bin/sh' "exec '$root/tests/compat/kafka-tool.sh' $tool \"\$@\"" >"$results/kafka-path/bin/$tool.sh"
    chmod +x "$results/kafka-path/bin/$tool.sh"
  done
}

# ---- the tests -------------------------------------------------------------------------------------------------------
# run_test SCENARIO NUMBER [SUBTEST [SUFFIX]]: its output goes to SCENARIO.NUMBER[SUFFIX].log. -L: not what needs no broker; -D: topics are
# deleted at the end (those with the prefix, which is why each has its own); CI: longer limits.
run_test() {
  local name=$1.$2${4-} pid
  printf '%s\n' "bootstrap.servers=$bootstrap" broker.address.family=v4 "test.topic.prefix=rdk$2" >"$logs/$name.conf"
  cd "$scratch" || exit
  env CI=1 BROKERS="$bootstrap" KAFKA_PATH="$results/kafka-path" LD_LIBRARY_PATH="$checkout/src:$checkout/src-cpp" TEST_KAFKA_VERSION="$kafka_version" \
    RDKAFKA_TEST_CONF="$logs/$name.conf" TEST_SCENARIO="$1" TESTS="$2" SUBTESTS="${3-}" \
    timeout -k 5 "$limit" "$runner" -L -D -p1 >"$logs/$name.log" 2>&1 </dev/null &
  pid=$!
  trap 'kill "$pid"; wait "$pid"' TERM
  wait "$pid" 2>/dev/null
  echo "exit status $?" >>"$logs/$name.log"
}

run_all() { # SCENARIO NUMBERS...
  local number
  for number in "${@:2}"; do
    while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done
    run_test "$1" "$number" &
  done
  wait
}

wanted() { # SCENARIO: the numbers of its tests
  local number
  for number in $(score list "$checkout/tests/test.c" "$1"); do
    [[ -z $only || ,$only, == *,$number,* ]] && echo "$number"
  done
}

run_scenario() { # SYSTEM SCENARIO
  local numbers number subtest
  mapfile -t numbers < <(wanted "$2")
  ((${#numbers[@]})) || return 0
  for number in "${numbers[@]}"; do rm -f "$logs/$2.$number".*; done
  start_cluster "$1" "$2" || { echo "not ok - $1: three nodes start"; return 1; }
  bootstrap=$(cluster bootstrap)
  run_all "$2" "${numbers[@]}"
  for number in $(score failed "$logs" "$reasons" "$2" "${numbers[@]}"); do
    run_test "$2" "$number" "" .again &
    wait $!
  done
  while read -r number subtest; do
    run_test "$2" "$number" "$subtest" ".sub.${subtest//:/.}" &
    wait $!
  done < <(score unreached "$results" "$reasons" "$1" "$2" "${numbers[@]}")
  cluster stop
}

leave() {
  local pids
  mapfile -t pids < <(jobs -rp)
  ((${#pids[@]} == 0)) || kill "${pids[@]}"
  wait
  [[ -z ${SKIFF_CLUSTER_DIR-} || ! -r $SKIFF_CLUSTER_DIR/cluster ]] || cluster stop
  rm -rf "${scratch-}"
}
trap leave EXIT
trap 'exit 1' TERM INT

run_system() { # SYSTEM
  local scenario
  logs=$results/$1 scratch=$results/$1.scratch
  mkdir -p "$logs" "$scratch"
  unset SKIFF_SERVER
  [[ $1 == skiff ]] || export SKIFF_SERVER=$root/tests/compat/kafka-node.sh
  for scenario in default noautocreate; do
    export SKIFF_CLUSTER_DIR=$results/$1.cluster.$scenario
    [[ ! -r $SKIFF_CLUSTER_DIR/cluster ]] || cluster clean
    run_scenario "$1" "$scenario" || exit 1
  done
  rm -rf "$scratch"
}

link_tools
for system in "${systems[@]}"; do run_system "$system"; done
score compare "$results" "$checkout/tests/test.c" "$reasons" "${record[@]+"${record[@]}"}"
