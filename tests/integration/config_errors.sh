#!/usr/bin/env bash
# What is wrong with a config or with the machine is said in one line that names it; exit status 1.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "Skiff's own messages"

write_config() { # KEY=VALUE...: instead of the default for that key, or after the defaults
  local line kept=()
  for line in node.id=0 process.roles=broker,controller "controller.quorum.voters=0@127.0.0.1:$controller_port" \
    "listeners=PLAINTEXT://127.0.0.1:$client_port,CONTROLLER://127.0.0.1:$controller_port" controller.listener.names=CONTROLLER \
    "log.dirs=$work/data"; do
    [[ " $*" == *" ${line%%=*}="* ]] || kept+=("$line")
  done
  printf '%s\n' "${kept[@]}" "$@" >"$work/server.properties"
}

# refused NAME PATTERN: the server ends with status 1 after one line of complaint that matches (the log is not meant).
refused() {
  local status=0 said
  timeout 10 "$skiff" server --config "${3:-$work/server.properties}" >"$work/stdout" 2>"$work/stderr" </dev/null || status=$?
  said=$(grep -v '^\[20' "$work/stderr")
  same "$1: exit status" 1 "$status"
  same "$1: one line" 1 "$(wc -l <<<"$said")" || echo "$said"
  matches "$1: it says what and where" "$2" "$said"
}

client_port=$(free_port) controller_port=$(free_port)
write_config log.segment.bytes=many
refused "a number that is none" 'server\.properties:7.*log\.segment\.bytes.*many'
write_config num.partitions=0
refused "a number out of range" 'server\.properties:7.*num\.partitions.*0'
write_config auto.create.topics.enable=perhaps
refused "a boolean that is none" 'auto\.create\.topics\.enable.*perhaps'
write_config listeners=PLAINTEXT:9092
refused "a listener without an address" 'listeners.*PLAINTEXT:9092'
write_config process.roles=broker,dancer
refused "a role that does not exist" 'process\.roles.*dancer'
write_config process.roles=broker
refused "a broker with a controller's listener" 'listeners: CONTROLLER is in controller\.listener\.names'
write_config process.roles=controller
refused "a controller with a listener for clients" 'listeners: PLAINTEXT is not in controller\.listener\.names'
refused "a file that is not there" 'absent\.properties' "$work/absent.properties"

touch "$work/file"
write_config "log.dirs=$work/file/data"
refused "a log directory that cannot be made" "$work/file/data"
write_config "log.dirs=/proc/data"
refused "a log directory that cannot be written" "/proc/data"

write_config
mkdir -p "$work/data"
echo nonsense >"$work/data/meta.properties"
refused "somebody else's directory" "$work/data/meta.properties cannot be read; restore it"
printf '%s\n' version=1 cluster.id=lX1yKVH6QOK9nl3VOhm5qg node.id=7 directory.id=FOBz4YvlQjq_vVyJ1TUTmw >"$work/data/meta.properties"
refused "another node's directory" 'belongs to node 7, this is node 0; set node.id or log.dirs'
rm -r "$work/data"

must "a node runs" cluster start --nodes 1 --port 0 --wait
taken=$(address_of 0)
write_config "listeners=PLAINTEXT://$taken,CONTROLLER://127.0.0.1:$controller_port"
refused "a port in use" "${taken##*:}.*in use"
node_data=$work/cluster/0/data
write_config "log.dirs=$node_data"
refused "a log directory in use by another node" "$node_data"

write_config log.retention.hour=5 zookeeper.connect=localhost:2181
"$skiff" server --config "$work/server.properties" >"$work/warned" 2>&1 </dev/null &
background+=("$!")
warned=$!
check "an unknown key does not stop the start" await 10 "$probe" ready 1 "127.0.0.1:$client_port"
matches "it is a warning with the nearest name" 'log\.retention\.hour.*log\.retention\.hours' "$(cat "$work/warned")"
kill "$warned"
wait "$warned"
