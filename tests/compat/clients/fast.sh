#!/usr/bin/env bash
# The part of the client matrix that needs nothing to be installed: kcat and Debian's librdkafka, on Skiff.
here=$(dirname "${BASH_SOURCE[0]}")
COMPAT_RESULTS=$here/../../../build/compat/fast exec "$here/matrix.sh" --only kcat --system skiff
