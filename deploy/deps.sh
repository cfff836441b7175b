#!/bin/bash
# Installs what is missing to build Skiff (deps.sh build), to run the demo (deps.sh demo) or the tests (deps.sh tests).
# Debian and Ubuntu, as root or through sudo.  Elsewhere, or without the right to install, it lists what is missing and fails.
set -u
build=(gcc make pkg-config protobuf-c-compiler libprotobuf-c-dev libuv1-dev libssl-dev libzstd-dev liblz4-dev zlib1g-dev libmicrohttpd-dev)
demo=(librdkafka-dev procps)
tests=(librdkafka-dev procps check kcat libsnappy1v5)
case ${1:-build} in
  build) want=("${build[@]}") ;;
  demo) want=("${build[@]}" "${demo[@]}") ;;
  tests) want=("${build[@]}" "${tests[@]}") ;;
  *) echo "usage: $0 [build|demo|tests]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  missing=()
  for lib in libuv openssl libzstd liblz4 zlib libprotobuf-c libmicrohttpd rdkafka; do pkg-config --exists "$lib" 2>/dev/null || missing+=("$lib"); done
  for tool in gcc make protoc-c; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  [ ${#missing[@]} = 0 ] && exit 0
  echo "Not a Debian system: install the development files of these, then run this again:" >&2
  echo "  ${missing[*]}" >&2
  echo "Debian's names: ${want[*]}" >&2
  exit 1
fi

missing=()
for package in "${want[@]}"; do
  case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in *' installed') ;; *) missing+=("$package") ;; esac
done
[ ${#missing[@]} = 0 ] && exit 0

if [ "$(id -u)" = 0 ]; then root=(); elif sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }; then root=(sudo); else
  echo "These packages are missing, and installing them needs root:" >&2
  echo "  apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "Installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
if ! install; then
  "${root[@]}" apt-get update >"$log" 2>&1 && install || { tail -20 "$log" >&2; echo "could not install: ${missing[*]}" >&2; exit 1; }
fi
