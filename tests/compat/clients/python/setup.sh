# Sourced by the setup of a Python client: a virtual environment below build/compat with what its requirements.txt pins.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/../../../../build/compat/${here##*/}

command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
cmp -s "$here/requirements.txt" "$venv/installed" && exit 0
rm -rf "$venv"
python3 -m venv "$venv" >&2 || { echo "python3 has no venv"; exit 77; }
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2 || { echo "pip could not install it"; exit 77; }
cp "$here/requirements.txt" "$venv/installed"
