# Sourced by the drivers of the client matrix that run Apache Kafka's own programs. A case is a function case_NAME, with _ for -; it runs
# as a process of its own with a time limit, and what it prints is its note or its reason.

client_dir=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$client_dir/../../../.." && pwd)
build=$root/build/compat/$(basename "$client_dir")
patience=${COMPAT_PATIENCE:-1} # multiplies all time limits, for machines that have other work
case_limit=$((180 * patience)) # seconds: each of these programs starts a JVM
. "$root/tests/compat/kafka-env.sh"
. "$root/tests/compat/clients/run_limited.sh"

fail() { echo "$*"; exit 1; }
same() { [[ $2 == "$3" ]] || fail "$1: expected '${2:0:300}', found '${3:0:300}'"; }
matches() { [[ $3 =~ $2 ]] || fail "$1: no match for '$2' in '${3:0:500}'"; }
await() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1 * patience))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

tool() { "$root/tests/compat/kafka-tool.sh" "$@"; }
on_cluster() { local name=$1; shift; tool "$name" --bootstrap-server "$BOOTSTRAP" "$@"; }
create() { # TOPIC PARTITIONS [ARGUMENT...]
  local said
  said=$(on_cluster kafka-topics --create --topic "$1" --partitions "$2" --replication-factor 3 "${@:3}" 2>&1)
  [[ $said == *"Created topic $1."* ]] || fail "create $1: $said"
}

# start NAME COMMAND...: in the background; sets `pid`. What it prints goes to $WORK/NAME.
start() {
  local name=$1
  shift
  "$@" >"$WORK/$name" 2>"$WORK/$name.errors" &
  pid=$!
}
start_tool() { local name=$1; shift; start "$name" "$root/tests/compat/kafka-tool.sh" "$@"; }
stop() { # PID [SIGNAL]
  kill "-${2:-TERM}" "$1" 2>/dev/null
  wait "$1" 2>/dev/null || true # it ends by the signal
}
# stream_past FILE COMMAND...: COMMAND 0, COMMAND 1, ... until something has happened, of which FILE is the sign, and ten times more.
stream_past() {
  local file=$1 i left=10
  shift
  for ((i = 0; left > 0 && i < 3000; i++)); do
    "$@" "$i"
    [[ ! -e $file ]] || left=$((left - 1))
    sleep 0.2
  done
}
is_running() { kill -0 "$1" 2>/dev/null; }

one_line() { tr '\n|#' ' / ' <<<"$1" | sed 's/  */ /g; s/ *$//'; }
run_case() { # NAME
  local said status
  said=$(run_limited "$case_limit" "$0" "$1" 2>>"$WORK/$1.log")
  status=$?
  said=$(one_line "$said")
  ((status != 124 && status != 137)) || said="no end within $case_limit s. $said"
  echo "$( ((status == 0)) && echo ok || echo not ok) - $1${said:+: $said}"
  return "$status"
}
# run_cases "$@" -- NAME...: with an argument to the driver that case, without every one.
run_cases() {
  local name failed=0
  if [[ $1 != -- ]]; then
    trap 'xargs -r kill -KILL <<<"$(jobs -p)" 2>/dev/null' EXIT
    "case_${1//-/_}"
    exit
  fi
  shift
  for name; do run_case "$name" || failed=1; done
  exit "$failed"
}
