# Sourced by the setup of a client in Go: builds the client's folder into build/compat/CLIENT/driver.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$here/../../../../build/compat/$(basename "$here")

command -v go >/dev/null || { echo "go is not installed"; exit 77; }
mkdir -p "$out"
cd "$here"
go mod download >"$out/setup.log" 2>&1 || { echo "go could not fetch the modules: see $out/setup.log"; exit 77; }
go build -mod=readonly -trimpath -o "$out/driver" .
