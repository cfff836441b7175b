# Apache Kafka's own programs against ours; they need Java and Maven, and are skipped without.
COMPAT := tests/compat/java_tools.sh tests/compat/java_groups.sh tests/compat/java_admin.sh
COMPAT_RUN += $(COMPAT)
# Minutes: Apache Kafka itself runs beside Skiff.
COMPAT_LONG := tests/compat/wire_diff.sh
check-compat: all $(INTEGRATION_NEEDS) ## run Apache Kafka's own tools, and compare answers (needs Java and Maven)
	tests/run.sh -t 600 $(COMPAT) $(COMPAT_LONG)
NIGHTLY += check-compat
.PHONY: check-compat
