#!/usr/bin/env python3
"""A Python client in the client matrix (tests/compat/clients/matrix.sh).

  driver.py ADAPTER [CASE...]     ADAPTER is a module of this folder; without names, every case
  driver.py ADAPTER --version
"""

import functools
import importlib
import sys

import cases
import kit


def main():
    adapter = importlib.import_module(sys.argv[1])
    wanted = sys.argv[2:]
    if wanted == ["--version"]:
        print(adapter.version())
        return 0
    results = [kit.run_case(name, functools.partial(case, adapter)) for name, case in cases.CASES if not wanted or name in wanted]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
