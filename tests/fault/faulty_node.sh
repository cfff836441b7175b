#!/usr/bin/env bash
# `skiff server --config FILE` with a disk that fails on demand: the file `fault` beside the config says how (disk_fault.c).
build=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../build/release" && pwd)
SKIFF_FAULT=$(dirname "$3")/fault LD_PRELOAD=$build/disk-fault.so exec "$build/skiff" "$@"
