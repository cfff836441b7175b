#!/usr/bin/env bash
# A part of the client matrix that needs nothing to be installed: kcat on Skiff, without the kills.
here=$(dirname "${BASH_SOURCE[0]}")
COMPAT_NO_KILLS=1 COMPAT_RESULTS=$here/../../../build/compat/fast exec "$here/matrix.sh" --only kcat --system skiff
