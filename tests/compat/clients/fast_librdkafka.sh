#!/usr/bin/env bash
# A part of the client matrix that needs nothing to be installed: Debian's librdkafka on Skiff.
here=$(dirname "${BASH_SOURCE[0]}")
COMPAT_RESULTS=$here/../../../build/compat/fast exec "$here/matrix.sh" --only librdkafka --system skiff
