# Sourced: starts failover-client beside the script and gives it commands (deploy/demo/main.c lists them).
#
# client_start BOOTSTRAP TOPIC [OPTION...]    $client_program
# ask COMMAND...     prints the answer; status 0 when the client says "ok"
# client_finish      asks for the verdict; status 0 only when it is good
# client_abort       ends the client, if it runs

client_pid=
line_start= # on a terminal: over the client's progress line
[[ ! -t 1 ]] || line_start=$'\r\e[K'

client_start() {
  local bootstrap=$1 topic=$2
  shift 2
  coproc client { exec "$client_program" --bootstrap "$bootstrap" --topic "$topic" "$@"; }
  client_pid=$client_PID
  exec {client_in}>&"${client[1]}" {client_out}<&"${client[0]}" # bash drops its own two when the client ends
}

ask() {
  local line
  printf '%s\n' "$*" >&"$client_in" || return
  while IFS= read -r line <&"$client_out"; do
    case $line in
      ok) return 0 ;;
      failed) return 1 ;;
      *) printf '%s   %s\n' "$line_start" "$line" ;;
    esac
  done
  echo "   the client ended during '$*'"
  return 1
}

client_finish() {
  local good=0
  ask finish || good=1
  wait "$client_pid" || good=1
  client_pid=
  return "$good"
}

client_abort() {
  [[ -n $client_pid ]] || return 0
  kill "$client_pid" 2>/dev/null
  wait "$client_pid" 2>/dev/null
  client_pid=
}
