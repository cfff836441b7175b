# Sourced by the scripts that run Apache Kafka's own programs: resolves them from Maven once and sets the class path.
#
# kafka_missing      why Kafka cannot be run here, or nothing
# kafka_resolve      copies the jars into build/kafka-VERSION/libs
# kafka_java ARGS    java with the class path; with kafka_prefix=exec in place of the shell

kafka_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
kafka_version=$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$kafka_root/tests/compat/pom.xml")
kafka_dir=$kafka_root/build/kafka-$kafka_version

kafka_missing() {
  command -v java >/dev/null || { echo "java is not installed"; return; }
  [[ -e $kafka_dir/resolved ]] && return
  command -v mvn >/dev/null || { echo "mvn (Maven) is not installed"; return; }
  kafka_resolve 2>/dev/null || echo "Maven could not fetch Apache Kafka $kafka_version (see $kafka_dir/maven.log)"
}

kafka_resolve() {
  [[ -e $kafka_dir/resolved ]] && return
  mkdir -p "$kafka_dir"
  if ! mvn -q -B -f "$kafka_root/tests/compat/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$kafka_dir/libs" >"$kafka_dir/maven.log" 2>&1; then
    echo "mvn could not fetch Apache Kafka $kafka_version: see $kafka_dir/maven.log" >&2
    return 1
  fi
  touch "$kafka_dir/resolved"
}

# Warnings only: the tools' output is compared with text that Kafka prints on stdout.
kafka_java() {
  ${kafka_prefix-} java -cp "$kafka_dir/libs/*" -Dorg.slf4j.simpleLogger.defaultLogLevel="${KAFKA_LOG_LEVEL:-warn}" \
    -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS "$@"
}
