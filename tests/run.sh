#!/usr/bin/env bash
# Runs test programs one after the other and adds up what they report.
#
#   tests/run.sh [-t SECONDS] [-o DIR] PROGRAM...     run; -t: time limit of each program (default 300)
#   tests/run.sh --total FILE                         print the sum of the runs that were noted in FILE
#
# A program reports in TAP: in the file $CK_TAP_LOG_FILE_NAME (libcheck does), or else on stdout. A program that exits
# with an error, runs out of time, reports nothing or breaks its own plan (`1..N`) counts as one failed test more.
# A program finds its time limit in $TEST_TIMEOUT; one test of a libcheck program may take nearly all of it, for how fast a machine
# is says nothing of the test. Everything a program printed stays in DIR (default build/test-output).
#
# The last line is `N passed, N failed, N skipped`; the exit status is 1 when a test failed or none ran at all. With
# SKIFF_TOTALS=FILE in the environment the counts are noted in FILE instead, for one sum over several runs.
set -uo pipefail

limit=${TEST_TIMEOUT:-300} out=build/test-output
passed=0 failed=0 skipped=0

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }

print_total() { # PASSED FAILED SKIPPED; the status says whether that is a success
  echo "$1 passed, $2 failed, $3 skipped"
  (($2 == 0 && $1 + $3 > 0))
}

sum_of_file() {
  local p=0 f=0 s=0 a b c
  [[ -r $1 ]] || { echo "run.sh: no totals in $1" >&2; exit 1; }
  while read -r a b c; do p=$((p + a)) f=$((f + b)) s=$((s + c)); done <"$1"
  print_total "$p" "$f" "$s"
}

# Counts the TAP lines of FILE: passed, failed, skipped, planned (-1 without a plan).
count_tap() {
  awk 'BEGIN { plan = -1 }
       /^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; if (plan == 0 && tolower($0) ~ /# *skip/) { s++; plan = 1 } }
       /^not ok/ { if (tolower($0) ~ /# *(skip|todo)/) s++; else f++; next }
       /^ok/ { if (tolower($0) ~ /# *skip/) s++; else p++ }
       END { print p + 0, f + 0, s + 0, plan }' "$1"
}

# Why the program as a whole failed, or nothing.
complaint() { # STATUS REPORTED FAILED PLAN
  if (($1 == 124 || $1 == 137)); then echo "ended by the time limit of $limit s or by SIGKILL (status $1)"
  elif (($1 > 128)); then echo "ended by signal $(($1 - 128))"
  elif (($1 != 0 && $3 == 0)); then echo "exit status $1"
  elif (($2 == 0)); then echo "reported no test"
  elif (($4 >= 0 && $2 != $4)); then echo "planned $4 tests, reported $2"
  fi
}

show_failure() { # NAME TAP STDOUT WHY
  printf -- '---- %s\n' "$1"
  grep -iE '^not ok' "$2" | grep -ivE '# *(skip|todo)'
  [[ -n $4 ]] && echo "not ok - $1: $4"
  grep -vE '^(not )?ok\b|^1\.\.[0-9]' "$3" | tail -n 60 | sed 's/^/    /'
  printf -- '---- all of it: %s\n' "$3"
}

run_one() {
  local program=$1 name stdout tap status p f s plan why started=$EPOCHREALTIME seconds
  name=${program#./} name=${name#build/} name=${name//\//_}
  stdout=$out/$name.log tap=$out/$name.tap
  rm -f "$tap"
  CK_TAP_LOG_FILE_NAME=$tap CK_DEFAULT_TIMEOUT=$((limit * 9 / 10)) TEST_TIMEOUT=$limit timeout -k 20 "$limit" "$program" >"$stdout" 2>&1 </dev/null
  status=$?
  [[ -s $tap ]] || tap=$stdout
  read -r p f s plan < <(count_tap "$tap")
  why=$(complaint "$status" $((p + f + s)) "$f" "$plan")
  [[ -n $why ]] && f=$((f + 1))
  seconds=$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  printf '%-7s %-52s %4d passed %3d failed %3d skipped %7s s\n' \
    "$( ((f)) && echo FAILED || echo ok)" "${program#build/}" "$p" "$f" "$s" "$seconds"
  ((f)) && show_failure "$name" "$tap" "$stdout" "$why"
  ((s)) && grep -iE '^(not )?ok.*# *(skip|todo)|^1\.\.0' "$tap" | sed 's/^/        /'
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

while (($#)); do
  case $1 in
    -t) limit=${2:?seconds}; shift 2 ;;
    -o) out=${2:?folder}; shift 2 ;;
    --total) sum_of_file "${2:?file}"; exit ;;
    -*) usage ;;
    *) break ;;
  esac
done
mkdir -p "$out"
for program; do run_one "$program"; done
if [[ -n ${SKIFF_TOTALS:-} ]]; then
  echo "$passed $failed $skipped" >>"$SKIFF_TOTALS"
  ((failed == 0 && passed + skipped > 0))
else
  print_total "$passed" "$failed" "$skipped"
fi
