# shellcheck shell=bash disable=SC2154 # what lib.sh and kafka-env.sh have
# Sourced in place of lib.sh by the scripts that run clusters of Skiff and of Apache Kafka side by side:
#
# kafka ARGUMENTS    tests/compat/kafka.sh for the cluster of this script, which goes away with it
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
. "$root/tests/compat/kafka-env.sh"
missing=$(kafka_missing)
[[ -z $missing ]] || skip_all "$missing"

kafka() { KAFKA_CLUSTER_DIR=$work/kafka "$root/tests/compat/kafka.sh" "$@"; }
trap 'status=$?; kafka clean; (exit "$status"); leave' EXIT
