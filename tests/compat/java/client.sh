# Sourced by setup, version and run: which client this is. They are links in tests/compat/clients/CLIENT, beside the client's pom.xml.

home=$(dirname "$(readlink -f "$0")")
client_dir=$(cd "$(dirname "$0")" && pwd)
client=$(basename "$client_dir")
root=$(cd "$home/../../.." && pwd)
build=$root/build/compat/$client
