# Apache Kafka's own programs against ours; they need Java and Maven, and are skipped without.
COMPAT := tests/compat/java_tools.sh tests/compat/wire_diff.sh tests/compat/java_roles.sh
COMPAT_RUN += $(COMPAT)
check-compat: all $(INTEGRATION_NEEDS) ## run Apache Kafka's own tools against a cluster (needs Java and Maven)
	tests/run.sh -t 300 $(COMPAT)
.PHONY: check-compat
