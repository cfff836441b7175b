# Sourced by drivers of the client matrix.

# run_limited SECONDS COMMAND...: COMMAND with a time limit, in a process group of its own. Its status is returned: 124 or 137 when it was
# cut off. Nothing that it started outlives it, however this ends: not a JVM that hears SIGTERM and goes on, either.
run_limited() (
  timeout -k 5 "$@" &
  trap 'kill -KILL -- -$! 2>/dev/null' EXIT
  wait "$!"
)
