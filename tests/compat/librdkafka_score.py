#!/usr/bin/env python3
"""Scores what librdkafka's test runner printed, for librdkafka_tests.sh.

  list TEST_C SCENARIO                      the numbers of the tests that need a broker and belong to the scenario
  failed LOGS REASONS SCENARIO NUMBER...    those that did not pass, and no reason is known
  unreached RESULTS REASONS SYSTEM SCENARIO NUMBER...   `NUMBER SUBTEST` of what the other system reached and this one, for no
                                            known reason, did not
  compare RESULTS TEST_C REASONS [--record] TAP and a table: what passes on Apache Kafka has to pass on Skiff, or there is a reason

RESULTS/SYSTEM holds the logs SCENARIO.NUMBER[.again|.sub.FUNCTION.LINE].log. A line of REASONS is a pattern for TEST or TEST/SUBTEST
and why Skiff differs there.
"""

import fnmatch
import functools
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SYSTEMS = ("kafka", "skiff")
NAMES = {"kafka": "Apache Kafka", "skiff": "Skiff"}
PASSED, FAILED, SKIPPED, MISSING = "passed", "failed", "skipped", "not reached"
WORST = [FAILED, PASSED, SKIPPED]

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SAID = r"^\[(\w+) */ *[\d.]+s\] "
SUB_END = re.compile(SAID + r"\[ (\w+):(\d+)(?:: (.*?))?: (?:PASS \([\d.]+s\)|SKIP: (.*)) \]$")
SUB_START = re.compile(SAID + r"\[ (\w+):(\d+)(?:: (.*))? \]$")
STARTED = re.compile(SAID + r"=+ Running test (\w+) =+$")
FAILURE = re.compile(r'^### Test "(\w+)(?: \((\w+):(\d+)(?:: .*)?\))?" failed at (.*):\w+\(\) at ')
SUMMARY = re.compile(r"^\| *(\w+) +\| +(PASSED|FAILED|SKIPPED|RUNNING|DNS) \| +([\d.]+)s *\| ?(.*)$")
EXIT = re.compile(r"^exit status (\d+)$")
# What differs from run to run in the name of a subtest.
RANDOM = [
    (re.compile(r"_rnd[0-9a-f]+"), "_rnd"),
    (re.compile(r"#(producer|consumer)-\d+"), r"#\1"),
    (re.compile(r"\d{9,}"), "N"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
]


@dataclass
class Part:
    """A test or a subtest."""

    state: str
    reason: str = ""
    place: str = ""  # FUNCTION:LINE of a subtest
    attempts: int = 1


@dataclass
class Test:
    whole: Part = field(default_factory=lambda: Part(MISSING))
    subtests: dict = field(default_factory=dict)
    open: str = ""

    def note(self, name, part):
        """The same subtest may run several times: the worst counts."""
        known = self.subtests.get(name)
        if known is None or WORST.index(part.state) < WORST.index(known.state):
            self.subtests[name] = part


# ---- one log ---------------------------------------------------------------------------------------------------------
def subtest_name(function, text):
    for pattern, instead in RANDOM:
        text = pattern.sub(instead, text or "")
    return f"{function}: {text}" if text else function


def close(test, state, reason=""):
    """The subtest that was going on, if any, ends without a word."""
    if test.open:
        name, place = test.open
        test.note(name, Part(state, reason, place))
    test.open = ""


class Log:
    def __init__(self, text):
        self.tests = {}
        self.reason_of = None
        self.status = None
        for line in COLOUR.sub("", text).splitlines():
            self.read(line.rstrip())
        for test in self.tests.values():
            self.finish(test)
        if self.status and all(test.whole.state != FAILED for test in self.tests.values()):
            for test in self.tests.values():
                test.whole = Part(FAILED, f"passed, but the process ended with exit status {self.status}")

    def test(self, name):
        return self.tests.setdefault(name, Test())

    def read(self, line):
        if self.reason_of is not None:
            self.reason_of.reason = self.reason_of.reason or line.strip()
            self.reason_of = None
            return
        for pattern, act in self.PATTERNS:
            found = pattern.match(line)
            if found:
                act(self, *found.groups())
                return

    def on_started(self, _, name):
        self.test(name)

    def on_sub_start(self, test, function, line, text):
        test = self.test(test)
        close(test, PASSED)
        test.open = (subtest_name(function, text), f"{function}:{line}")

    def on_sub_end(self, test, function, line, text, skipped):
        test = self.test(test)
        test.open = ""
        test.note(subtest_name(function, text), Part(SKIPPED if skipped else PASSED, skipped or "", f"{function}:{line}"))

    def on_failure(self, name, function, line, place):
        test = self.test(name)
        part = test.whole if test.whole.state == FAILED else Part(FAILED)
        if function and test.open:
            part.place = test.open[1]
            test.note(test.open[0], part)
        test.whole = part
        self.reason_of = part

    def on_summary(self, name, state, _, reason):
        test = self.test(name)
        if state in ("PASSED", "SKIPPED") and test.whole.state != FAILED:
            test.whole = Part(state.lower(), reason.strip())
        elif test.whole.state != FAILED:
            test.whole = Part(FAILED, reason.strip() or "did not end")

    def on_exit(self, status):
        self.status = int(status)

    def finish(self, test):
        if test.whole.state == MISSING:
            ended = "by its time limit" if self.status in (124, 137) else f"with exit status {self.status}"
            test.whole = Part(FAILED, f"the process ended {ended}")
        close(test, PASSED if test.whole.state == PASSED else FAILED, test.whole.reason)

    PATTERNS = [
        (SUB_END, on_sub_end),
        (SUB_START, on_sub_start),
        (STARTED, on_started),
        (FAILURE, on_failure),
        (SUMMARY, on_summary),
        (EXIT, on_exit),
    ]


# ---- the logs of a system --------------------------------------------------------------------------------------------
def read_log(path):
    return Log(path.read_text(errors="replace")) if path.exists() else Log("")


def read_number(logs, scenario, number):
    """The tests of one number: the second attempt counts; subtests that were run by themselves are added."""
    first, again = read_log(logs / f"{scenario}.{number}.log"), read_log(logs / f"{scenario}.{number}.again.log")
    tests = first.tests
    for name, test in again.tests.items():
        for part in (test.whole, *test.subtests.values()):
            part.attempts = 2
        tests[name] = test
    for path in sorted(logs.glob(f"{scenario}.{number}.sub.*.log")):
        for name, test in read_log(path).tests.items():
            for key, part in test.subtests.items():
                tests.setdefault(name, Test()).subtests.setdefault(key, part)
    return tests


def read_system(logs, test_c):
    tests = {}
    for scenario in ("default", "noautocreate"):
        for number in numbers_of(test_c, scenario):
            ours = read_number(logs, scenario, number)
            tests.update((name, ours[name]) for name in names_of(test_c, scenario) if name in ours)
    return tests


# ---- the list of tests -----------------------------------------------------------------------------------------------
@functools.cache
def names_of(test_c, scenario):
    names = []
    for entry in Path(test_c).read_text().split("{NULL}};")[0].split("\n    _TEST(")[1:]:
        name, rest = entry.split(",", 1)
        wanted = re.search(r'\.scenario *= *"(.*?)"', rest)
        scenarios = wanted.group(1).split(",") if wanted else ["default"]
        if scenario in scenarios and not re.search("TEST_F_(LOCAL|MANUAL)", rest):
            names.append(name)
    return names


def numbers_of(test_c, scenario):
    return list(dict.fromkeys(name.split("_")[0] for name in names_of(test_c, scenario)))


def command_list(test_c, scenario):
    print("\n".join(numbers_of(test_c, scenario)))


def command_failed(logs, reasons, scenario, *numbers):
    reasons = read_reasons(reasons)
    for number in numbers:
        log = read_log(Path(logs) / f"{scenario}.{number}.log")
        failed = [name for name, test in log.tests.items() if test.whole.state == FAILED]
        if not all(reason_for(reasons, name) for name in failed) or (log.status and not failed):
            print(number)


def command_unreached(results, reasons, system, scenario, *numbers):
    other, reasons = SYSTEMS[1 - SYSTEMS.index(system)], read_reasons(reasons)
    for number in numbers:
        mine, theirs = (read_number(Path(results) / name, scenario, number) for name in (system, other))
        places = {}
        for name, test in theirs.items():
            reached = mine.get(name, Test()).subtests
            places |= {part.place: 0 for key, part in test.subtests.items() if key not in reached and not reason_for(reasons, f"{name}/{key}")}
        for place in places:
            print(number, place)


# ---- the comparison --------------------------------------------------------------------------------------------------
def read_reasons(path):
    lines = [line.split(None, 1) for line in Path(path).read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [(pattern, reason.strip()) for pattern, reason in lines]


def reason_for(reasons, name):
    return next((reason for pattern, reason in reasons if fnmatch.fnmatchcase(name, pattern)), "")


def keys_of(name, kafka, skiff):
    """The subtests that either system reached."""
    return list(dict.fromkeys([*kafka.get(name, Test()).subtests, *skiff.get(name, Test()).subtests]))


def rows_of(kafka, skiff):
    """(name, part on Kafka, part on Skiff) of every test, and of its subtests behind it."""
    for name in sorted(set(kafka) | set(skiff)):
        on = [tests.get(name, Test()) for tests in (kafka, skiff)]
        yield name, on[0].whole, on[1].whole
        for key in keys_of(name, kafka, skiff):
            yield f"{name}/{key}", *(test.subtests.get(key, Part(MISSING)) for test in on)


def verdict(name, kafka, skiff, reasons):
    """One TAP line."""
    if skiff.state == PASSED:
        return f"ok - {name}" + (f" (Apache Kafka: {kafka.state})" if kafka.state != PASSED else "")
    if kafka.state != PASSED:
        return f"ok - {name} # SKIP Apache Kafka: {kafka.state}; Skiff: {skiff.state}"
    reason = reason_for(reasons, name)
    return f"not ok - {name}: {skiff.state}: " + (f"# SKIP {reason}" if reason else skiff.reason)


def counts(parts):
    states = Counter(part.state for part in parts)
    return " | ".join(str(states[state]) for state in (PASSED, FAILED, SKIPPED, MISSING))


def version_of(test_c):
    """2.15.0 of 0x020f00ff."""
    number = re.search(r"#define RD_KAFKA_VERSION +0x(\w{8})", (Path(test_c).parents[1] / "src/rdkafka.h").read_text()).group(1)
    return ".".join(str(part) for part in bytes.fromhex(number)[:3])


def cell(text):
    return text.replace("|", "\\|")


def outcome(test, subtests):
    """`failed, 3 of 5`: how it ended, and how many of the subtests passed."""
    passed = sum(part.state == PASSED for part in test.subtests.values())
    return test.whole.state + (f", {passed} of {subtests}" if subtests else "")


def why(name, kafka, skiff, reasons):
    """The reasons of the test and of its subtests that differ; without one, what Skiff or else Kafka said."""
    rows = [(name, kafka.whole, skiff.whole)] + [
        (f"{name}/{key}", part, skiff.subtests.get(key, Part(MISSING))) for key, part in kafka.subtests.items()
    ]
    known = [reason_for(reasons, row[0]) for row in rows if row[2].state != PASSED]
    said = skiff.whole.reason if skiff.whole.state != PASSED else kafka.whole.reason
    return "; ".join(dict.fromkeys(filter(None, known))) or said


def table(kafka, skiff, reasons, version):
    """Markdown for docs/COMPATIBILITY.md."""
    yield "## librdkafka's own tests"
    yield ""
    yield f"The test-suite of librdkafka {version}, unmodified: those of its tests that need a broker, against three nodes each, every test"
    yield "number in a process of its own (`tests/compat/librdkafka_tests.sh`). Not reached: not run on that system, or behind a subtest"
    yield "that failed there or was cut off by the time limit of its process."
    yield ""
    yield "|  | passed | failed | skipped | not reached |"
    yield "|---|--:|--:|--:|--:|"
    names = sorted(set(kafka) | set(skiff))
    keys = [(name, key) for name in names for key in keys_of(name, kafka, skiff)]
    for system, tests in (("Apache Kafka", kafka), ("Skiff", skiff)):
        yield f"| tests, {system} | {counts(tests.get(name, Test()).whole for name in names)} |"
        yield f"| subtests, {system} | {counts(tests.get(name, Test()).subtests.get(key, Part(MISSING)) for name, key in keys)} |"
    yield from ("", "What does not pass on both, with the number of subtests that pass:", "")
    yield from ("| test | Apache Kafka | Skiff | why |", "|---|---|---|---|")
    for name in names:
        on = [tests.get(name, Test()) for tests in (kafka, skiff)]
        total = len(keys_of(name, kafka, skiff))
        cells = [outcome(test, total) for test in on]
        if cells[0] != cells[1] or on[0].whole.state != PASSED:
            yield f"| {name} | {cells[0]} | {cells[1]} | {cell(why(name, *on, reasons))} |"


def command_compare(results, test_c, reasons_path, *options):
    results, reasons = Path(results), read_reasons(reasons_path)
    kafka, skiff = (read_system(results / system, test_c) for system in SYSTEMS)
    rows = list(rows_of(kafka, skiff))
    lines = [verdict(*row, reasons) for row in rows]
    print("\n".join(lines))
    text = "\n".join(table(kafka, skiff, reasons, version_of(test_c))) + "\n"
    print("\n".join("# " + line for line in text.splitlines()))
    if "--record" in options:
        Path(reasons_path).with_suffix(".txt").write_text(text)
    return int(any(line.startswith("not ok") and "# SKIP" not in line for line in lines))


COMMANDS = {"list": command_list, "failed": command_failed, "unreached": command_unreached, "compare": command_compare}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
