#!/usr/bin/env bash
# A cluster of nodes on this machine, for trying things out and for tests.
#
#   deploy/local-cluster.sh start [--nodes 3] [--dir DIR] [--port 9092] [--set key=value]... [--wait]
#   deploy/local-cluster.sh configure [as start]     writes the nodes' configs and starts nothing
#   deploy/local-cluster.sh stop [N]          SIGTERM, and SIGKILL after 20 s
#   deploy/local-cluster.sh kill N            SIGKILL
#   deploy/local-cluster.sh restart N [--wait]
#   deploy/local-cluster.sh pause N | resume N    SIGSTOP, SIGCONT
#   deploy/local-cluster.sh status [--json]
#   deploy/local-cluster.sh bootstrap         the addresses for clients, host:port,...
#   deploy/local-cluster.sh logs N [-f]
#   deploy/local-cluster.sh clean             stop the nodes and remove DIR
#
# Node I (0, 1, ...) takes clients on PORT+I and controllers on PORT+100+I, and keeps server.properties, pid, log and
# data/ in DIR/I; --port 0 looks for free ports. `start` and `restart` return at once; --wait returns when clients can produce (--timeout SECONDS, 60).
# DIR is $SKIFF_CLUSTER_DIR or build/local-cluster. --server PROGRAM (or $SKIFF_SERVER) runs another program than
# build/release/skiff, as `PROGRAM server --config FILE`; the cluster remembers it, its port and its number of nodes.
set -euo pipefail

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${SKIFF_CLUSTER_DIR:-$home/build/local-cluster}
server=${SKIFF_SERVER:-$home/build/release/skiff}
probe=${SKIFF_PROBE:-$home/build/release/probe}
nodes=3 port=9092 wait=0 timeout=60 json=0 follow=0 command= node=
settings=()

die() { echo "local-cluster: $*" >&2; exit 1; }
usage() { sed -n '4,13p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,3\}//' >&2; exit 2; }
is_number() { [[ $1 =~ ^[0-9]+$ ]]; }

parse_arguments() {
  while (($#)); do
    case $1 in
      --nodes | --dir | --port | --set | --server | --timeout)
        [[ -n ${2-} ]] || die "$1 needs a value"
        case $1 in
          --nodes) nodes=$2 ;;
          --dir) dir=$2 ;;
          --port) port=$2 ;;
          --set) settings+=("$2") ;;
          --server) server=$2 ;;
          --timeout) timeout=$2 ;;
        esac
        shift
        ;;
      --wait) wait=1 ;;
      --json) json=1 ;;
      -f) follow=1 ;;
      [0-9]*) [[ -z $node ]] || usage; node=$1 ;;
      [a-z]*) [[ -z $command ]] || usage; command=$1 ;;
      *) usage ;;
    esac
    shift
  done
  [[ -n $command ]] || usage
  check_arguments
}

check_arguments() {
  local setting
  is_number "$nodes" && ((nodes >= 1 && nodes <= 99)) || die "--nodes $nodes: give a number from 1 to 99"
  is_number "$port" && ((port + 100 + nodes <= 65536)) || die "--port $port: give 0 (any) or a port up to $((65436 - nodes))"
  is_number "$timeout" || die "--timeout $timeout: give seconds"
  [[ -z $node ]] || is_number "$node" || die "$node is not a node number"
  [[ -z $node || $command =~ ^(stop|kill|restart|pause|resume|logs)$ ]] || die "$command takes no node; how many there are says --nodes"
  for setting in ${settings[@]+"${settings[@]}"}; do [[ $setting == ?*=* ]] || die "--set $setting: give key=value"; done
  [[ $dir == /* ]] || dir=$PWD/$dir
  [[ $server == */* && $server != /* ]] && server=$PWD/$server
  return 0
}

is_port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the range from which the system itself hands out ports.
choose_ports() {
  local i
  for ((port = 10000 + RANDOM % 20000; ; port = 10000 + RANDOM % 20000)); do
    for ((i = 0; i < nodes; i++)); do
      is_port_free $((port + i)) && is_port_free $((port + 100 + i)) || continue 2
    done
    return
  done
}

# What `start` was told, for the later commands.
remember_cluster() { mkdir -p "$dir"; printf '%s\n' "nodes=$nodes" "port=$port" "server=$server" >"$dir/cluster"; }
recall_cluster() {
  local key value
  [[ -r $dir/cluster ]] || die "no cluster in $dir: start one with '$0 start --dir $dir'"
  while IFS='=' read -r key value; do
    case $key in nodes) nodes=$value ;; port) port=$value ;; server) server=$value ;; esac
  done <"$dir/cluster"
}
need_node() {
  [[ -n $node ]] || die "$command needs the number of a node"
  ((node < nodes)) || die "there is no node $node in $dir: it has nodes 0 to $((nodes - 1))"
}

client_address() { echo "127.0.0.1:$((port + $1))"; }
controller_address() { echo "127.0.0.1:$((port + 100 + $1))"; }

write_config() { # NODE
  local i voters=
  for ((i = 0; i < nodes; i++)); do voters+="${voters:+,}$i@$(controller_address "$i")"; done
  mkdir -p "$dir/$1"
  {
    echo "node.id=$1"
    echo "process.roles=broker,controller"
    echo "controller.quorum.voters=$voters"
    echo "listeners=PLAINTEXT://$(client_address "$1"),CONTROLLER://$(controller_address "$1")"
    echo "advertised.listeners=PLAINTEXT://$(client_address "$1")"
    echo "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    echo "inter.broker.listener.name=PLAINTEXT"
    echo "controller.listener.names=CONTROLLER"
    echo "log.dirs=$dir/$1/data"
    ((${#settings[@]} == 0)) || printf '%s\n' "${settings[@]}"
  } >"$dir/$1/server.properties"
}

# R, S, T (stopped), Z (ended) ...; nothing when there is no such process.
state_of() { sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null; } # PID
# The first thread may have ended while another still closes the sockets.
is_alive() {
  local threads=("/proc/$1/task"/*)
  [[ $(state_of "$1") == [^ZX] ]] || ((${#threads[@]} > 1))
}

# Whether a process is the node: its last argument is the node's config. A process that is just ending has none.
is_node() { # PID NODE
  local line
  line=$(tr '\0' ' ' <"/proc/$1/cmdline") 2>/dev/null || return 1
  [[ -z $line || $line == *" $dir/$2/server.properties " ]]
}

# The pid of a node that runs, or nothing: a pid that the system gave to another process meanwhile does not count.
pid_of() { # NODE
  local pid
  pid=$(cat "$dir/$1/pid" 2>/dev/null) && is_number "$pid" && is_alive "$pid" && is_node "$pid" "$1" && echo "$pid"
  return 0
}

# A node outlives this script: it must not hold the caller's pipes open.
close_inherited_files() {
  local fd
  for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    ((fd <= 2)) || eval "exec $fd>&-"
  done
}

launch() { # NODE
  [[ -x $server ]] || die "$server is not there: run 'make' first"
  (
    close_inherited_files
    exec setsid "$server" server --config "$dir/$1/server.properties" </dev/null >>"$dir/$1/log" 2>&1
  ) &
  echo $! >"$dir/$1/pid"
  # Until exec it is still this script.
  while is_alive $! && ! is_node $! "$1"; do sleep 0.001; done
}

await_exit() { # PID SECONDS
  local deadline=$((SECONDS + $2))
  while is_alive "$1"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.02
  done
}

end_node() { # NODE: orderly, then by force
  local pid
  pid=$(pid_of "$1")
  [[ -n $pid ]] || return 0
  kill -TERM "$pid" 2>/dev/null && kill -CONT "$pid" 2>/dev/null || return 0
  await_exit "$pid" 20 && return
  echo "local-cluster: node $1 (pid $pid) did not end within 20 s of SIGTERM; killed" >&2
  kill -KILL "$pid" && await_exit "$pid" 10
}

end_nodes() { # NODE...: all at the same time
  local i
  for i; do end_node "$i" & done
  wait
}

# Clients can produce when every node that runs, or was started just now, knows every other and a controller.
await_ready() { # STARTED...
  local i running=() addresses=() deadline=$((SECONDS + timeout))
  for ((i = 0; i < nodes; i++)); do
    [[ " $* " == *" $i "* || -n $(pid_of "$i") ]] && running+=("$i") && addresses+=("$(client_address "$i")")
  done
  until "$probe" ready "${#running[@]}" "${addresses[@]}" >/dev/null 2>&1; do
    for i in "${running[@]}"; do
      [[ -n $(pid_of "$i") ]] || { tail -n 5 "$dir/$i/log" >&2; die "node $i ended; its log is $dir/$i/log"; }
    done
    ((SECONDS < deadline)) || die "the nodes were not ready within $timeout s; their logs are $dir/*/log"
    sleep 0.02
  done
}

command_configure() {
  local i
  if [[ -r $dir/cluster ]]; then
    for i in "$dir"/[0-9]*; do
      [[ -z $(pid_of "${i##*/}") ]] || die "node ${i##*/} already runs in $dir (pid $(pid_of "${i##*/}")): stop it first"
    done
  fi
  ((port > 0)) || choose_ports
  remember_cluster
  for ((i = 0; i < nodes; i++)); do write_config "$i"; done
}

command_start() {
  local i
  command_configure
  for ((i = 0; i < nodes; i++)); do launch "$i"; done
  ((!wait)) || await_ready $(seq 0 $((nodes - 1)))
}

command_stop() {
  recall_cluster
  if [[ -n $node ]]; then need_node; end_node "$node"; else end_nodes $(seq 0 $((nodes - 1))); fi
}

command_kill() {
  local pid
  recall_cluster
  need_node
  pid=$(pid_of "$node")
  [[ -n $pid ]] || die "node $node does not run"
  kill -KILL "$pid" && await_exit "$pid" 10
}

command_restart() {
  recall_cluster
  need_node
  end_node "$node"
  launch "$node"
  ((!wait)) || await_ready "$node"
}

command_signal() { # SIGNAL
  local pid
  recall_cluster
  need_node
  pid=$(pid_of "$node")
  [[ -n $pid ]] || die "node $node does not run"
  kill "-$1" "$pid"
}

json_text() { local text=${1//\\/\\\\}; echo "${text//\"/\\\"}"; }

# "leader", "follower" (of the controllers), "paused", "down", or "unknown" when the node gives no answer.
role_of() { # NODE PID
  local answer
  [[ -n $2 ]] || { echo down; return; }
  [[ $(state_of "$2") == T ]] && { echo paused; return; }
  answer=$("$probe" quorum "$(client_address "$1")" 2>/dev/null) || { echo unknown; return; }
  if [[ $answer == "leader=$1 "* ]]; then echo leader; else echo follower; fi
}

# Where a node that runs serves HTTP (admin.http.listener), which its log says; nothing when it does not.
http_address() { # NODE PID
  [[ -n $2 ]] && grep -q '^admin\.http\.listener=.' "$dir/$1/server.properties" || return 0
  sed -n 's/.* INFO \[admin\] HTTP on \([^ ]*:[0-9]*\): .*/\1/p' "$dir/$1/log" | tail -n 1
}

command_status() {
  local i pid role http
  recall_cluster
  ((json)) && echo '['
  for ((i = 0; i < nodes; i++)); do
    pid=$(pid_of "$i") role=$(role_of "$i" "$(pid_of "$i")")
    http=$(http_address "$i" "$pid")
    if ((json)); then
      http=${http:+\"$http\"} http=${http:-null}
      printf '  {"id": %d, "pid": %s, "client": "%s", "controller": "%s", "role": "%s", "http": %s, "log_dirs": ["%s"]}%s\n' \
        "$i" "${pid:-null}" "$(client_address "$i")" "$(controller_address "$i")" "$role" "$http" "$(json_text "$dir/$i/data")" \
        "$( ((i + 1 < nodes)) && echo ,)"
    else
      printf 'node %d  %-8s  pid %-7s  clients %s  controllers %s  %s\n' \
        "$i" "$role" "${pid:--}" "$(client_address "$i")" "$(controller_address "$i")" "$dir/$i${http:+  http $http}"
    fi
  done
  ((!json)) || echo ']'
}

command_bootstrap() {
  local i all=
  recall_cluster
  for ((i = 0; i < nodes; i++)); do all+="${all:+,}$(client_address "$i")"; done
  echo "$all"
}

command_logs() {
  recall_cluster
  need_node
  if ((follow)); then exec tail -n 100 -f "$dir/$node/log"; else cat "$dir/$node/log"; fi
}

command_clean() {
  [[ -r $dir/cluster ]] || return 0
  command_stop
  rm -rf "$dir"
}

parse_arguments "$@"
case $command in
  configure | start | stop | kill | restart | status | bootstrap | logs | clean) "command_$command" ;;
  pause) command_signal STOP ;;
  resume) command_signal CONT ;;
  *) usage ;;
esac
