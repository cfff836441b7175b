#!/bin/bash
# Static analysis: what each tool finds is an error.  A tool that is not installed is said to be skipped.
#   lint.sh            everything that git knows
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0
ran=()
files=$(git ls-files 'common/*.c' 'proto/*.c' 'controller/*.c' 'broker/*.c' | grep -v '^proto/kmsgc.c$')
view() {
  case $1 in
    common/io/*) echo io ;; common/*) echo common ;; proto/*) echo proto ;;
    controller/raft/*) echo raft ;; controller/metadata/*) echo metadata ;; controller/node/*) echo cnode ;;
    broker/node/*) echo bnode ;; broker/main.c) echo main ;; broker/*/*) d=${1#broker/}; echo "${d%%/*}" ;;
  esac
}

tests/tidy/tidy.sh || bad=1
ran+=(tidy)

echo "gcc -fanalyzer"
for f in $files; do echo "$(view "$f") $f"; done |
  xargs -P "$(nproc)" -n 2 bash -c 'gcc -std=c17 -O1 -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-use-of-uninitialized-value -Werror -D_GNU_SOURCE -Ibuild/inc/$0 -Ibuild/gen -c -o /dev/null "$1" || exit 1' || bad=1
ran+=(gcc-analyzer)

if command -v clang-tidy >/dev/null; then
  echo "clang-tidy"
  for f in $files; do echo "$(view "$f") $f"; done |
    xargs -P "$(nproc)" -n 2 bash -c 'clang-tidy --quiet "$1" -- -std=c17 -D_GNU_SOURCE -Ibuild/inc/$0 -Ibuild/gen 2>/dev/null || exit 1' || bad=1
  ran+=(clang-tidy)
else
  echo "clang-tidy: SKIPPED (not installed)"
fi

if command -v cppcheck >/dev/null; then
  echo "cppcheck"
  cppcheck --quiet -j "$(nproc)" --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --suppress=missingIncludeSystem \
    --suppress=unknownMacro --suppress=normalCheckLevelMaxBranches -I. -Ibuild/gen $files || bad=1
  ran+=(cppcheck)
else
  echo "cppcheck: SKIPPED (not installed)"
fi

[ "$bad" = 0 ] && echo "lint: clean (${ran[*]})"
exit "$bad"
