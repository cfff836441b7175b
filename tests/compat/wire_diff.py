#!/usr/bin/env python3
"""Asks Apache Kafka and Skiff the same things, and tells in what field the answers differ.

    wire_diff.py KAFKA-ADDRESS SKIFF-ADDRESS [-v] [-k PATTERN]     TAP: one test for each API and version
                 --generated [--seed N] [--most N]                 asks what wire_generate.py makes from the schemas
                 --three                                           asks node 0 of three what is in wire_cases_three.py

Both are clusters of one node, but for --three, with fresh data. What is asked otherwise is in wire_cases.py; what may differ, and
why, in wire_may_differ.py.
"""
import argparse
import os
import re
import struct
import sys
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kmsg
import wire_cases
import wire_cases_three
import wire_generate
from wire_may_differ import MAY_DIFFER, NEWER
from wire_peer import KEYS, SCHEMA, Peer, Unready, error_codes, header


# ---- what is the same although it is not equal -----------------------------------------------------------------------

ORDER = ("Name", "Topic", "TopicName", "ResourceName", "Key", "TopicId", "ApiKey", "NodeId", "BrokerId", "ReplicaId", "PartitionIndex",
         "Partition", "Index", "BatchIndex",
         "EntityType", "ResourceType", "GroupId", "MemberId")
SIGNS = {"SessionId", "ProducerId", "LogAppendTimeMs", "LastFetchTimestamp", "LastCaughtUpTimestamp", "LogEndOffset", "PartitionSize",
         "TotalBytes", "UsableBytes"}
MASKED = {"LogDir", "Host", "Port", "ClusterId", "FinalizedFeaturesEpoch"}
TEXTS = {"ErrorMessage", "BatchIndexErrorMessage", "Documentation"}


def order_of(item):
    return [str(item[k]) for k in ORDER if k in item] if isinstance(item, dict) else [str(item)]


def canonical(value, peer, name=""):
    if isinstance(value, dict):
        return {k: canonical(v, peer, k) for k, v in value.items()}
    if isinstance(value, list):
        inner = [canonical(v, peer, name) for v in value]
        return sorted(inner, key=order_of) if inner and isinstance(inner[0], dict) else inner
    if name == "ReplicaDirectoryId":
        return "masked"
    if isinstance(value, uuid.UUID):
        names = [n for n, i in peer.ids.items() if i == value]
        return names[0] if names else "zero" if value.int == 0 else "unknown" if value == wire_cases.UNKNOWN_ID else "new"
    if name in MASKED:
        return "masked" if value else value
    if name in SIGNS:
        return (value > 0) - (value < 0)
    if name == "ControllerId":  # Kafka names some broker
        return "a broker" if value >= 0 else value
    if name in TEXTS:
        return "text" if value else value
    if name in ("MemberId", "Leader") and value:
        return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "random", value)
    return value


def differences(kafka, skiff, path=""):
    if isinstance(kafka, dict) and isinstance(skiff, dict):
        for key in sorted(set(kafka) | set(skiff)):
            yield from differences(kafka.get(key, "absent"), skiff.get(key, "absent"), f"{path}.{key}")
    elif isinstance(kafka, list) and isinstance(skiff, list) and all(isinstance(v, dict) for v in kafka + skiff):
        left, right = {str(order_of(v)): v for v in kafka}, {str(order_of(v)): v for v in skiff}
        if len(left) < len(kafka) or len(right) < len(skiff):  # without a key of their own: by position
            left, right = dict(enumerate(kafka)), dict(enumerate(skiff))
            if len(left) != len(right):
                yield f"{path}.length", len(kafka), len(skiff)
                return
        for key in sorted(set(left) | set(right), key=str):
            yield from differences(left.get(key, "absent"), right.get(key, "absent"), f"{path}{key}")
    elif kafka != skiff:
        yield path, kafka, skiff


def may_differ(api, case, difference):
    return any(re.fullmatch(a, api) and re.fullmatch(c, case) and re.search(p, difference) for a, c, p, _ in MAY_DIFFER)


def short(value):
    text = repr(value)
    return text if len(text) < 160 else text[:157] + "..."


# ---- the run ---------------------------------------------------------------------------------------------------------

def written(cases, api, version):
    """Those that somebody wrote down: (name, prepare)."""
    for of, name, build, first, last in cases:
        if of == api and first <= version <= last:
            yield name, lambda peer, build=build: (header(api, version), kmsg.encode(SCHEMA[api + "Request"], version, build(peer, version)))


def answer_of(peer, api, version, prepare):
    try:
        head, body = prepare(peer)
        return peer.ask_bytes(api, version, body, head)
    except ValueError as error:
        return f"cannot be decoded: {error}"
    except Unready as error:
        return f"could not be asked: {error}"


def has_unknown_error(answer):
    """UNKNOWN_SERVER_ERROR: an exception that Kafka did not expect. Skiff may answer such a request in its own way."""
    return -1 in [code for _, code in error_codes(answer)]


class Run:
    def __init__(self, kafka, skiff, options):
        self.kafka, self.skiff, self.options = kafka, skiff, options
        self.failures, self.asked, self.generated = 0, 0, {}

    def run(self):
        for peer in (self.kafka, self.skiff):
            (peer.set_up_three if self.options.three else peer.set_up)()
        kafka, skiff = self.kafka.versions(), self.skiff.versions()
        served = {api: (max(first, kafka[api][0], SCHEMA[api + "Request"].versions.first), min(last, kafka[api][1]))
                  for api, (first, last) in skiff.items() if api in kafka}
        if self.options.generated:
            for case in wire_generate.generate(served, self.options.seed, self.options.most, beside_kafka=True):
                self.generated.setdefault((case.api, case.version), []).append((case.name, case.prepare))
        # Looking for a coordinator makes both create topics of their own.
        groups = ("FindCoordinator", "DeleteTopics") + wire_cases.GROUP_APIS
        has_groups = False
        of_three = {case[0] for case in wire_cases_three.CASES}
        asked = [api for api in skiff if not self.options.three or api in of_three]
        for api in sorted(asked, key=lambda name: (name in groups, groups.index(name) if name in groups else 0, KEYS[name])):
            if api in wire_cases.GROUP_APIS + ("FindCoordinator",) and not has_groups:
                self.kafka.await_groups()
                self.skiff.await_groups()
                has_groups = True
            has_same = kafka.get(api) == skiff[api] or api in kafka and (kafka[api][0], NEWER.get(api)) == skiff[api]
            self.report(f"{api}: Kafka has it at the same versions", [] if has_same else [f"{kafka.get(api)} {skiff[api]}"])
            for version in range(served[api][0], served[api][1] + 1):
                self.run_version(api, version)
            for version in (skiff[api][1] + 1, 99):
                self.beyond(api, version)
        print(f"# {self.asked} requests were compared")

    def run_version(self, api, version):
        told = []
        for name, prepare in self.cases(api, version):
            if re.search(self.options.k, f"{api} {version} {name}"):
                told += self.compare(api, version, name, prepare)
        self.report(f"{api} version {version}", told)

    def cases(self, api, version):
        if self.options.generated:
            return self.generated.get((api, version), [])
        return written(wire_cases_three.CASES if self.options.three else wire_cases.CASES, api, version)

    def compare(self, api, version, name, prepare):
        kafka, skiff = [answer_of(peer, api, version, prepare) for peer in (self.kafka, self.skiff)]
        self.asked += 1
        for peer, answer in ((self.kafka, kafka), (self.skiff, skiff)):
            if api == "Fetch" and name.startswith("session: begin") and isinstance(answer, dict):
                peer.sessions[version] = answer["SessionId"]
        if self.options.v and self.options.k:
            print(f"# {api} {version} {name}\n#   Kafka: {kafka}\n#   Skiff: {skiff}")
        if has_unknown_error(kafka) and not has_unknown_error(skiff):
            return []
        found = [f"{path or 'the answer'}: Kafka {short(k)}, Skiff {short(s)}"
                 for path, k, s in differences(canonical(kafka, self.kafka), canonical(skiff, self.skiff))]
        return [f"{name}: {difference}" for difference in found if not may_differ(api, f"{version} {name}", difference)]

    def beyond(self, api, version):
        """A version that is not served; ApiVersions is answered all the same."""
        answers = [peer.call(api, version, b"\0" * 16) for peer in (self.kafka, self.skiff)]
        if api == "ApiVersions":
            answers = [a if isinstance(a, str) else {k: v for k, v in p.read(api, version, a).items() if k != "ApiKeys"}
                       for a, p in zip(answers, (self.kafka, self.skiff))]
        self.report(f"{api}: version {version} is refused alike", [] if answers[0] == answers[1] else [str(answers)])

    def report(self, name, told):
        self.failures += bool(told)
        print(f"{'not ok' if told else 'ok'} - {name}")
        for line in told:
            print(f"  {line}")
        sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(usage="wire_diff.py KAFKA-ADDRESS SKIFF-ADDRESS [-v] [-k PATTERN] [--three | --generated [--seed N] [--most N]]")
    parser.add_argument("kafka")
    parser.add_argument("skiff")
    parser.add_argument("-v", action="store_true", help="print every answer")
    parser.add_argument("-k", default="", help="only the cases `API VERSION NAME` that match")
    parser.add_argument("--generated", action="store_true", help="ask what wire_generate.py makes")
    parser.add_argument("--three", action="store_true", help="ask node 0 of three")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=20000, help="no more generated cases than these")
    options = parser.parse_args()
    run = Run(Peer(options.kafka), Peer(options.skiff), options)
    run.run()
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
