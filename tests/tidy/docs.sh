#!/bin/bash
# The docs agree with the code: tables made from its lists, and every file and function that a page names exists.
#   docs.sh SKIFF            check; TAP
#   docs.sh SKIFF --write    make the tables again
set -u
cd "$(dirname "$0")/../.." || exit 2
skiff=${1:-build/release/skiff}

fill() { # PAGE
  local line name
  while IFS= read -r line; do
    printf '%s\n' "$line"
    if [[ $line =~ ^'<!-- table: '([a-z]+)' -->'$ ]]; then
      name=${BASH_REMATCH[1]}
      "$skiff" internal "$name-table" || exit 1
      while IFS= read -r line && [[ $line != '<!-- end -->' ]]; do :; done
      printf '%s\n' "$line"
    fi
  done <"$1"
}

made=$(mktemp)
trap 'rm -f "$made"' EXIT
for page in $(grep -l '^<!-- table: ' docs/*.md); do
  fill "$page" >"$made"
  if [ "${2:-}" = --write ]; then
    cat "$made" >"$page"
  elif diff -u "$page" "$made"; then
    echo "ok - $page has the tables of the code"
  else
    echo "not ok - $page is out of date: make docs"
  fi
done
[ "${2:-}" = --write ] && exit

missing=$(grep -ohE '`(common|proto|controller|broker|tests|deploy|docs)/[A-Za-z0-9_./-]*`' README.md docs/*.md proto/README.md | tr -d '`' | sort -u |
  while read -r path; do [ -e "$path" ] || echo "$path"; done)
if [ -z "$missing" ]; then echo "ok - every file that the docs name exists"; else echo "not ok - the docs name files that are not there:" $missing; fi

# x_ stands for any module.
missing=$(grep -ohE '`[a-z][a-z0-9_]*\(\)`' README.md docs/*.md proto/README.md | tr -d '`()' | sort -u |
  while read -r name; do [[ $name == x_* ]] || grep -rqwF "$name" common proto controller broker tests || echo "$name()"; done)
if [ -z "$missing" ]; then echo "ok - every function that the docs name exists"; else echo "not ok - the docs name functions that are not there:" $missing; fi
