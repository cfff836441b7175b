# Apache Kafka's own programs against ours; they need Java and Maven, and are skipped without.
COMPAT := tests/compat/java_tools.sh tests/compat/java_groups.sh tests/compat/java_admin.sh
COMPAT_RUN += $(COMPAT)
# Minutes: every way to reset offsets, with two tools; controllers and brokers apart; Apache Kafka itself runs beside Skiff.
COMPAT_LONG := tests/compat/java_group_tool.sh tests/compat/java_throttle.sh tests/compat/request_percentage.sh tests/compat/java_roles.sh tests/compat/wire_diff.sh tests/compat/wire_generated.sh tests/compat/wire_three.sh
