#!/usr/bin/env python3
"""Asks Skiff what wire_generate.py makes from the schemas, and looks only at the form of the answers.

    wire_alone.py ADDRESS [--seed N] [--most N]     TAP: one test for each API

A right answer can be decoded at its version to its last byte, has error codes that Kafka has, and none that says "I did not expect
that". Only what is malformed may end the connection, and the next one is served. With Apache Kafka beside it, wire_diff.py
--generated compares what the answers say.
"""
import argparse
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire_generate
from wire_cases import GROUP_APIS
from wire_peer import CLOSED, NOTHING, ROOT, SILENT, Peer, Unready, error_codes

# Asked last, when there are coordinators.
GROUPS = ("FindCoordinator",) + GROUP_APIS


def known_errors():
    with open(os.path.join(ROOT, "proto", "errors.def"), encoding="utf-8") as file:
        return {int(code) for code in re.findall(r"^KAFKA_ERROR\(\w+, (-?\d+),", file.read(), re.M)} - {-1}


def complaint(case, answer, known):
    """What is wrong with an answer, or nothing."""
    if answer == CLOSED and case.is_malformed or answer == NOTHING and case.api == "Produce" and case.name == "Acks 0":
        return None
    if answer in (CLOSED, NOTHING, SILENT):
        return answer
    return ", ".join(f"{name} {code}" for name, code in error_codes(answer) if code not in known)


def ask(peer, case):
    try:
        head, body = case.prepare(peer)
        return peer.ask_bytes(case.api, case.version, body, head), None
    except ValueError as error:
        return None, f"cannot be decoded: {error}"
    except Unready as error:
        return None, f"could not be asked: {error}"


def check(peer, api, cases, known):
    """One TAP line; whether all is well."""
    told = []
    for case in cases:
        answer, why = ask(peer, case)
        why = why or complaint(case, answer, known)
        told += [f"  version {case.version} {case.name}: {why}"] if why else []
    print(f"{'not ok' if told else 'ok'} - {api}: answers to {len(cases)} generated requests have the right form")
    print("\n".join(told), end="\n" if told else "", flush=True)
    return not told


def main():
    parser = argparse.ArgumentParser(usage="wire_alone.py ADDRESS [--seed N] [--most N]")
    parser.add_argument("address")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=20000)
    options = parser.parse_args()
    peer, known = Peer(options.address), known_errors()
    peer.set_up()
    by_api = {}
    for case in wire_generate.generate(peer.versions(), options.seed, options.most, beside_kafka=False):
        by_api.setdefault(case.api, []).append(case)
    alone = [check(peer, api, cases, known) for api, cases in by_api.items() if api not in GROUPS]
    peer.await_groups()
    groups = [check(peer, api, cases, known) for api, cases in by_api.items() if api in GROUPS]
    return 0 if all(alone + groups) else 1


if __name__ == "__main__":
    sys.exit(main())
