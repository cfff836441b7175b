# Sourced by setups: fetch DIR BUILD copies the jars that DIR/pom.xml asks for to BUILD/libs, once.
fetch() {
  if ! cmp -s "$1/pom.xml" "$2/resolved"; then
    mkdir -p "$2"
    rm -rf "$2/libs"
    if ! mvn -q -B -f "$1/pom.xml" dependency:copy-dependencies -DoutputDirectory="$2/libs" >"$2/maven.log" 2>&1; then
      echo "Maven could not fetch what $1/pom.xml asks for (see $2/maven.log)"
      exit 77
    fi
    cp "$1/pom.xml" "$2/resolved"
  fi
}
needs() { # PROGRAM...
  local program
  for program; do command -v "$program" >/dev/null || { echo "$program is not installed"; exit 77; }; done
}
