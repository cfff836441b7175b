#!/bin/bash
# Every header compiles alone, seen from the layer it lives in.   headers.sh CC FLAGS
set -u
cc=$1 flags=$2 bad=0 n=0
layer() {
  case $1 in
    common/io/*) echo io ;; common/*) echo common ;; proto/*) echo proto ;;
    controller/raft/*) echo raft ;; controller/metadata/*) echo metadata ;; controller/node/*) echo cnode ;;
    broker/log/*) echo log ;; broker/replica/*) echo replica ;; broker/node/*) echo bnode ;;
    broker/*/*) b=${1#broker/}; echo "${b%%/*}" ;; broker/*) echo main ;; *) echo tests ;;
  esac
}
while read -r header; do
  n=$((n + 1))
  echo "#include \"$header\"" | $cc $flags -D_GNU_SOURCE -x c -fsyntax-only -Ibuild/inc/"$(layer "$header")" -Wno-pedantic -Ibuild/gen - || { echo "not self-sufficient: $header"; bad=1; }
done < <(git ls-files 'common/*.h' 'proto/*.h' 'controller/*.h' 'broker/*.h' 'tests/*.h')
[ "$bad" = 0 ] && echo "headers: ok ($n)"
exit "$bad"
