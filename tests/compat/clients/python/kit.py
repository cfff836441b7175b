"""What the Python drivers of the client matrix share: the run's settings, records, and cases as processes with a time limit."""

import collections
import os
import select
import signal
import subprocess
import sys
import time
import traceback

WAIT_S = 30

Record = collections.namedtuple("Record", "key value headers partition timestamp_ms", defaults=((), None, None))
Message = collections.namedtuple("Message", "partition offset key value headers timestamp_ms")


class Failure(Exception):
    """What the case found wrong."""


class Skip(Exception):
    """What the library cannot do."""


def bootstrap():
    return os.environ["BOOTSTRAP"]


def name(suffix):
    return f"{os.environ['PREFIX']}-{suffix}"


def bring_back_nodes():
    subprocess.run([os.environ["KILL_LEADER"]], check=True, stdout=sys.stderr)


def kill_leader(topic, partition):
    subprocess.run([os.environ["KILL_LEADER"], topic, str(partition)], check=True, stdout=sys.stderr)


def expect(is_right, what):
    if not is_right:
        raise Failure(what)


def same(what, expected, found):
    expect(expected == found, f"{what}: expected {expected!r:.200}, found {found!r:.200}")


def wait_for(what, condition, step):
    """Calls step() until condition() holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        expect(time.monotonic() < deadline, what() if callable(what) else what)
        step()


def expect_error(what, expected, call, error_name):
    """call() must raise an error of this name."""
    try:
        call()
    except Exception as error:  # the libraries' errors have no common base
        same(what, expected, error_name(error))
        return
    raise Failure(f"{what}: no error, {expected} expected")


def one_line(text):
    return " ".join(text.replace("|", "/").replace("#", "").split())[:300]


def child(case, write_end):
    """Runs the case; what it says goes through the pipe; the exit status is the verdict."""
    status, said = 0, ""
    try:
        said = case() or ""
    except Skip as skip:
        status, said = 77, str(skip)
    except BaseException as error:
        status, said = 1, f"{error}" if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
        traceback.print_exc()
    os.write(write_end, one_line(said).encode())
    sys.stderr.flush()
    os._exit(status)


def run_case(case_name, case):
    limit_s = 120
    if case_name.endswith("-killed"):
        limit_s = 240
        bring_back_nodes()
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        child(case, write_end)
    os.close(write_end)
    ready, _, _ = select.select([read_end], [], [], limit_s)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    said = os.read(read_end, 4096).decode(errors="replace") if ready else f"no end within {limit_s} s"
    os.close(read_end)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 77:
        print(f"ok - {case_name} # SKIP {said}")
    else:
        said = said or (f"it ended with status {status}" if status else "")
        print(f"{'not ' if status else ''}ok - {case_name}{': ' + said if said else ''}")
    return status in (0, 77)
