#!/usr/bin/env bash
# 200 producers with acks=all against a node that may have 64 MB of memory (a cgroup): with small batches and with large ones nobody waits
# for ever, no error, and the node lives. BUDGET_ROUNDS=N: N times as much.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$root/tests/integration/crowd.sh"
[[ -z ${SKIFF_SERVER:-} ]] || skip_all "64 MB are too few for a JVM"
limit=$((64 << 20)) rounds=${BUDGET_ROUNDS:-1}

# A group of our own below the one that we are in, with version 1 or 2 of the kernel's interface. Sets `group` and `limit_file`.
make_group() {
  local path
  if path=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup) && [[ -n $path && -d /sys/fs/cgroup/memory$path ]]; then
    group=/sys/fs/cgroup/memory$path/skiff-test-$$ limit_file=memory.limit_in_bytes
  elif path=$(sed -n 's/^0:://p' /proc/self/cgroup) && grep -qw memory "/sys/fs/cgroup$path/cgroup.subtree_control" 2>/dev/null; then
    group=/sys/fs/cgroup$path/skiff-test-$$ limit_file=memory.max
  else
    return 1
  fi
  mkdir "$group" 2>/dev/null && echo "$limit" >"$group/$limit_file"
}
# Kills by the kernel for lack of memory; both versions of the interface have the line.
oom_kills() { cat "$group"/memory.oom_control "$group"/memory.events 2>/dev/null | awk '$1 == "oom_kill" { print $2 }'; }
peak_kb() { awk '$1 == "VmHWM:" { print $2 }' "/proc/$1/status"; }
remove_group() { rmdir "$group" 2>/dev/null; }

make_group || skip_all "no memory cgroup can be made here (needs root, and the memory controller)"
cat >"$work/server" <<END
#!/usr/bin/env bash
echo \$\$ >$group/cgroup.procs
exec $skiff "\$@"
END
chmod +x "$work/server"
skiff=$work/server
# The group can go when the node has.
trap '(leave); status=$?; await 10 remove_group; exit "$status"' EXIT

start_cluster 1
check "without a setting, requests get an eighth of the limit" shows 'may have 64 MB of memory .*: queued.max.request.bytes is 8388608' node_log 0
address=$(address_of 0)
pid=$(node_pid 0)
same "the node is in the group" "$pid" "$(cat "$group/cgroup.procs")"
must "a topic" "$tools/admin" "$bootstrap" create hostile 1 1

produce() { # NAME BYTES ANSWERS
  crowd=$("$tools/hostile" "$address" produce 200 --bytes "$2" --answers "$3" --seconds 80 | tail -n 1)
  echo "# $1: $crowd; peak $(peak_kb "$pid") KB"
  same "$1: no error" 0 "$(told errors "$crowd")"
  at_least "$1: answers to each of them" "$3" "$(told least "$crowd")"
}
produce "200 producers, batches of 1 KB" 1000 $((10 * rounds))
produce "200 producers, batches of 15 KB" 15000 $((5 * rounds))
produce "200 producers, batches of 900 KB" 900000 "$rounds"
same "the kernel killed nobody for lack of memory" 0 "$(oom_kills)"
check "a client can still connect" "$probe" ready 1 "$address"
must "the node ends" cluster stop 0
check "the group is empty" await 10 remove_group
