#!/usr/bin/env python3
"""Makes docs/COMPATIBILITY.md from what matrix.sh found (build/compat/results).

Clients that were not run, or on one system only, keep what the document says of them. The exit status is 1 when the two systems
differ, or something fails, and differences.txt does not say why, or when it explains what does not happen.

  report.py [--results DIR]
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DOCUMENT = ROOT / "docs" / "COMPATIBILITY.md"
SYSTEMS = ("skiff", "kafka")
TAP_LINE = re.compile(r"(not )?ok - ([A-Za-z0-9_.-]+)(?:: (.*?))?(?: # SKIP (.*))?$")

INTRODUCTION = """\
# Compatibility

Unmodified clients against three nodes of Skiff and three of Apache Kafka {kafka}, with the same programs. `make compat` makes
it; `tests/compat/clients/matrix.sh --only CLIENT` and then `tests/compat/clients/report.py` renew one client.
"""


def read_table(path, width):
    """The rows of a committed table: fields between bars; # begins a comment."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    rows = [[field.strip() for field in line.split("|", width - 1)] for line in lines]
    assert all(len(row) == width for row in rows), f"{path}: every row has {width} fields"
    return rows


def describe(failed, note, skipped):
    """One TAP line as a cell of the document."""
    if skipped is not None:
        return f"skipped: {skipped}"
    word = "FAILED" if failed else "passed"
    return f"{word}: {note}" if note else word


def read_results(folder):
    """{client: {"version": text, "cells": {case: {system: cell}}}} of every result file."""
    clients = {}
    for path in sorted(folder.glob("*.*.tap")):
        system, client = path.stem.split(".", 1)
        found = clients.setdefault(client, {"version": "", "cells": {}})
        for line in path.read_text().splitlines():
            if line.startswith("# version "):
                found["version"] = line.removeprefix("# version ")
            elif match := TAP_LINE.match(line):
                failed, case, note, skipped = match.groups()
                found["cells"].setdefault(case, {})[system] = describe(failed, note, skipped).replace("|", "/")
    return clients


def read_document():
    """What the document says now, in the form of read_results()."""
    clients, current = {}, None
    for line in DOCUMENT.read_text().splitlines() if DOCUMENT.exists() else ():
        if line.startswith("<!-- client: "):
            current = clients.setdefault(line.split()[2], {"version": "", "cells": {}})
        elif line.startswith("<!-- end"):
            current = None
        elif current is not None and line.startswith("Version: "):
            current["version"] = line.removeprefix("Version: ")
        elif current is not None and line.startswith("| "):
            case, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            if case not in ("case", "---"):
                current["cells"][case] = {system: cell for system, cell in zip(SYSTEMS, cells) if cell}
    return clients


def merge(old, new):
    """A system that was run replaces all that was known of the client on it."""
    for client, found in new.items():
        known = old.setdefault(client, {"version": "", "cells": {}})
        known["version"] = found["version"] or known["version"]
        run = {system for cells in found["cells"].values() for system in cells}
        for case in known["cells"]:
            for system in run:
                known["cells"][case].pop(system, None)
        for case, cells in found["cells"].items():
            known["cells"].setdefault(case, {}).update(cells)
        known["cells"] = {case: cells for case, cells in known["cells"].items() if cells}
    return old


def outcome(cell):
    return cell.split(":")[0]


def kinds_of(cells):
    """Which rows of differences.txt may explain one case. A system that was not run may fail or not."""
    skiff, kafka = (cells.get(system, "") for system in SYSTEMS)
    failed = [system for system in SYSTEMS if outcome(cells.get(system, "")) == "FAILED"]
    if len(failed) == 1:
        return {f"{failed[0]}-fails"} | (set() if skiff and kafka else {"both-fail"})
    if failed:
        return {"both-fail"}
    return {"differs"} if skiff and kafka and skiff != kafka else set()


def judge(clients, differences):
    """Complaints: what is not explained, and explanations of what did not happen."""
    used, complaints = set(), []
    for client, found in clients.items():
        for case, cells in found["cells"].items():
            kinds = kinds_of(cells)
            rows = [row for row in differences if row[0] in (client, "*") and row[1] == case and row[2] in kinds]
            used.update(map(tuple, rows))
            must_explain = kinds and (kinds != {"differs"} or len({outcome(cell) for cell in cells.values()}) > 1)
            if must_explain and not rows:
                complaints.append(f"{client}, {case}: {cells} is not in differences.txt")
    stale = [row for row in differences if tuple(row) not in used and row[0] in clients]
    return complaints + [f"differences.txt explains what does not happen: {' | '.join(row)}" for row in stale]


def order_of(names, cases):
    """Cases in the order of cases.txt, others after them."""
    known = [row[0] for row in cases]
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def count(found, system):
    outcomes = [outcome(cells[system]) for cells in found["cells"].values() if system in cells]
    words = [f"{outcomes.count(word)} {word}" for word in ("passed", "FAILED", "skipped") if word in outcomes]
    return ", ".join(words) or "not run"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def section(client, found, cases):
    rows = [[case, *(found["cells"][case].get(system, "") for system in SYSTEMS)] for case in order_of(found["cells"], cases)]
    return f"\n<!-- client: {client} -->\n## {client}\n\nVersion: {found['version']}\n\n" + table(["case", "Skiff", "Kafka"], rows) + "<!-- end -->\n"


def render(clients, cases, differences):
    kafka = re.search(r"<kafka.version>(.*?)<", (ROOT / "tests/compat/pom.xml").read_text()).group(1)
    overview = [[name, found["version"], *(count(found, system) for system in SYSTEMS)] for name, found in sorted(clients.items())]
    text = INTRODUCTION.format(kafka=kafka) + "\n" + table(["client", "version", "on Skiff", f"on Kafka {kafka}"], overview)
    text += "\n## What a case does\n\n" + table(["case", "what"], cases)
    explained = [[client.replace("*", "all"), case, kind.replace("-", " "), why] for client, case, kind, why in differences]
    text += "\n## Known differences\n\n" + table(["client", "case", "which", "why"], explained)
    text += "".join(section(name, found, cases) for name, found in sorted(clients.items()))
    suite = HERE / "librdkafka-tests.txt"
    return text + ("\n" + suite.read_text() if suite.exists() else "")


def main():
    results = pathlib.Path(sys.argv[2]) if sys.argv[1:2] == ["--results"] else ROOT / "build" / "compat" / "results"
    cases, differences = read_table(HERE / "cases.txt", 2), read_table(HERE / "differences.txt", 4)
    clients = merge(read_document(), read_results(results))
    DOCUMENT.write_text(render(clients, cases, differences))
    complaints = judge(clients, differences)
    print("\n".join(complaints) or f"{DOCUMENT.name}: {len(clients)} clients; every difference has its reason")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
