#!/usr/bin/env bash
# Apache Kafka's own tools against controllers and brokers in nodes of their own: they find the brokers, and see the controllers as voters
# and the brokers as observers of the quorum.
. "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"
. "$root/tests/compat/kafka-env.sh"
missing=$(kafka_missing)
[[ -z $missing ]] || skip_all "$missing"

on_cluster() { local name=$1; shift; "$root/tests/compat/kafka-tool.sh" "$name" --bootstrap-server "$bootstrap" "$@" 2>&1; }

configure_roles 6 3 3
for node in 0 1 2 3 4 5; do cluster restart "$node"; done
must "three brokers are ready" await 120 "$probe" ready 3 ${bootstrap//,/ }
same "create" "Created topic orders." "$(on_cluster kafka-topics --create --topic orders --partitions 3 --replication-factor 3)"
said=$(on_cluster kafka-metadata-quorum describe --status)
matches "quorum status: voters and observers" \
  'LeaderId: +[0-2].*CurrentVoters: .*"id": 0.*"id": 1.*"id": 2.*CurrentObservers: .*"id": 3.*"id": 4.*"id": 5' "$said"
said=$(on_cluster kafka-metadata-quorum describe --replication)
same "quorum replication" "2 Follower 1 Leader 3 Observer" \
  "$(grep -oE '(Leader|Follower|Observer)[[:space:]]*$' <<<"$said" | tr -d ' \t' | sort | uniq -c | xargs)"
