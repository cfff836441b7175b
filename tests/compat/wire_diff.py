#!/usr/bin/env python3
"""Asks Apache Kafka and Skiff the same things, and tells in what field the answers differ.

    wire_diff.py KAFKA-ADDRESS SKIFF-ADDRESS [-v] [-k PATTERN]     TAP: one test for each API and version

Both are clusters of one node with fresh data. What is asked is in wire_cases.py, what may differ, and why, in MAY_DIFFER.
"""
import argparse
import os
import re
import socket
import struct
import sys
import time
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kmsg
import wire_cases

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SCHEMA = kmsg.load(os.path.join(ROOT, "proto", "schema"))
APIS = {m.key: name[:-len("Request")] for name, m in SCHEMA.items() if name.endswith("Request") and m.kind == "request"}
KEYS = {name: key for key, name in APIS.items()}
CLOSED, NOTHING, SILENT = "the connection was closed", "nothing", "no answer within 10 s"

# Patterns of the API, of "VERSION CASE", and of "PATH: Kafka ..., Skiff ..."; and why it may differ.
MAY_DIFFER = [
    ("Produce", ".*", r"ErrorMessage: Kafka None, Skiff 'text'", "says what is wrong"),
    ("Produce", ".*", r"LogStartOffset: Kafka 0, Skiff -1", "with an error; a batch is checked before its log is looked at"),
    ("Produce", ".*", r"'p'.*BaseOffset: Kafka \d+, Skiff \d+", "follows from what else was accepted"),
    ("Produce", r"\d+ (transactional without an id|a transactional id without.*)", "", "transactions are not served"),
    ("Produce", r"\d+ (deltas from 1|producer without epoch|log append time from a client)", "", "Kafka lets it through, consumers stumble"),
    ("Produce", ".*", r"RecordErrors.*: Kafka 'absent', Skiff {", "names the record at fault, Kafka only some"),
    ("Produce", r"\d+ unknown codec", "", "Kafka: UNKNOWN_SERVER_ERROR"),
    ("Produce", r"\d+ (snappy|zstd) that is none", "", "compressed records are opened for compacted topics only"),
    ("Produce", r"\d+ a partition twice", "", "one answer for each entry; Kafka drops all but the last"),
    ("Produce", r"\d+ idempotent .*", r"LogAppendTimeMs: Kafka 1, Skiff -1", "of a duplicate, Kafka tells the create time"),
    ("Fetch", ".*", r"AbortedTransactions: Kafka \[\], Skiff None", "empty either way"),
    ("Fetch", ".*", r"LogStartOffset: Kafka -1, Skiff 0", "out of range: tells where the log begins"),
    ("Fetch", r"\d+ (negative bytes|isolation 2)", "", "Kafka: UNKNOWN_SERVER_ERROR"),
    ("Fetch", r"([789]|1[012]) session.*", "", "sessions go by topic ids only; session 0 says so"),
    ("Fetch", r"\d+ last epoch 1 .*", "", "a follower is told where it diverges"),
    ("ListOffsets", r"\d+ (a partition twice|isolation 2)", "", "Kafka: UNKNOWN_SERVER_ERROR, and one answer for two entries"),
    ("OffsetForLeaderEpoch", r"\d+ epoch -2.*", "", "there is no such epoch"),
    ("Metadata", r"1[01] by .*", "", "ids are served from the version that has them; by Kafka from 12 on"),
    ("CreatePartitions", r"\d+ 20,000", "", "Kafka: UNKNOWN_SERVER_ERROR"),
    ("Metadata", r"\d+ by nothing", "", "an error of the topic, not of the request"),
    ("FindCoordinator", r"\d+ type 1.*", "", "there are no transactions yet"),
    ("OffsetCommit|OffsetDelete", r"\d+ none", "", "an empty answer either way"),
    ("OffsetDelete", r"\d+ (a topic that is )?not there", "", "what a topic that is gone has left behind can be forgotten"),
    ("FindCoordinator", ".*", r"ErrorMessage: Kafka ('text'|''|None), Skiff ('text'|None)", "says what is wrong"),
    ("CreateTopics|DescribeConfigs", ".*", r"errors\.deadletterqueue", "Kafka 4.4 has it"),
    ("CreateTopics|CreatePartitions|DeleteTopics", r".* twice.*", r"\d: Kafka 'absent'", "one answer for each entry"),
    ("CreateTopics", r"\d+ leader.replication.throttled.replicas=x", "", "it has no effect and is not looked at"),
    ("CreateTopics", r"\d+ a key twice", "", "Kafka takes either of them"),
    ("CreatePartitions", ".*", r"ErrorMessage: Kafka None, Skiff 'text'", "says what is wrong"),
    ("DeleteTopics", r"\d+ twice in a request", r"TopicId: Kafka 'zero'", "the id is known"),
    ("DeleteTopics", r"\d+ (twice what is not there|by name and by its id)", "", "nothing is deleted either way"),
    ("(Alter|IncrementalAlter)Configs", r"\d+ .*broker.*", "", "what a broker cannot change is INVALID_CONFIG, also what it does not know"),
    ("IncrementalAlterConfigs", r"\d+ operation 9", "", "Kafka: UNKNOWN_SERVER_ERROR"),
    ("DescribeConfigs", ".*", r"ErrorMessage: Kafka '', Skiff (None|'text')", "says what is wrong, or nothing"),
    ("DescribeConfigs", r"\d+ (broker|every broker|one broker key)", "", "not the same settings, nor the same config file"),
    ("DescribeConfigs", ".*", r"Synonyms.*: Kafka 'absent', Skiff .*'Source': 5", "the default is told under each name"),
    ("DescribeQuorum", ".*", r"(ErrorMessage|HighWatermark|LeaderEpoch|LeaderId): ", "another log"),
    ("DescribeQuorum", ".*", r"Nodes", "told with errors too"),
    ("DescribeQuorum", r"\d+ twice", "", "each is answered"),
    ("DescribeTopicPartitions", r"\d+ cursor (at another|behind|-1)", "", "no answer gave such a cursor; it still says where to go on"),
    ("DescribeCluster", r"\d+ (controllers|endpoint 9)", r"(ClusterId|ControllerId|EndpointType): ", "beside an error"),
    ("AlterPartitionReassignments", r"\d+ nothing", r"ErrorMessage: Kafka '', Skiff None", "nothing either way"),
    ("UpdateFeatures", ".*", r"Results.*ErrorMessage: Kafka 'text', Skiff None", "of a success; Kafka says NONE"),
    ("UpdateFeatures", r"0 safely down", "", "Kafka does not look at AllowDowngrade"),
    ("ApiVersions", ".*", r"(ApiKeys|Features)", "what is served is compared API by API"),
]


# Greatest versions that only a newer Kafka than the one asked here has.
NEWER = {"DeleteGroups": 3}


class Peer:
    """One of the two brokers."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.ids, self.producers, self.sessions = {}, {}, {}
        self.fresh_count = 0

    def call(self, api, version, body):
        """The answer; CLOSED, SILENT, or NOTHING when the broker goes on to the next request without one, as with acks=0."""
        flexible = version in SCHEMA[api + "Request"].flexible
        frame = struct.pack(">hhih", KEYS[api], version, 7, 4) + b"diff" + (b"\0" if flexible else b"") + body
        after = struct.pack(">hhih", KEYS["ApiVersions"], 0, 8, 4) + b"diff"
        with socket.create_connection(self.address, timeout=10) as s:
            s.sendall(struct.pack(">i", len(frame)) + frame + struct.pack(">i", len(after)) + after)
            try:
                size = self._receive(s, 4)
                answer = size and self._receive(s, struct.unpack(">i", size)[0])
            except socket.timeout:
                return SILENT
            except ConnectionError:
                return CLOSED
        return NOTHING if answer and struct.unpack(">i", answer[:4])[0] == 8 else answer or CLOSED

    @staticmethod
    def _receive(s, size):
        data = bytearray()
        while len(data) < size:
            part = s.recv(size - len(data))
            if not part:
                return None
            data += part
        return bytes(data)

    def ask(self, api, version, request):
        answer = self.call(api, version, kmsg.encode(SCHEMA[api + "Request"], version, request))
        return answer if isinstance(answer, str) else self.read(api, version, answer)

    def read(self, api, version, answer):
        of = SCHEMA[api + "Response"]
        if api == "ApiVersions":
            return kmsg.decode(of, version if struct.unpack(">h", answer[4:6])[0] != 35 else 0, answer[4:])
        return kmsg.decode(of, version, answer[5 if version in of.flexible else 4:])

    # What a case's request is made from.

    def topic_id(self, name):
        return self.ids.get(name, wire_cases.UNKNOWN_ID)

    def producer(self, name):
        while self.producers.get(name, -1) < 0:  # a broker that has just started has none yet
            self.producers[name] = self.ask("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60000})["ProducerId"]
        return self.producers[name]

    def session(self, version):
        return self.sessions.get(version, 0)

    def fresh(self, name):
        if name.startswith("="):
            return name[1:]
        self.fresh_count += 1
        return f"{name}-{self.fresh_count}"

    def learn_ids(self):
        for topic in self.ask("Metadata", 12, {"Topics": None})["Topics"]:
            self.ids[topic["Name"]] = topic["TopicId"]


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
    if name in TEXTS:
        return "text" if value else value
    if name == "MemberId" and value:
        return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "random", value)
    return value


def differences(kafka, skiff, path=""):
    if isinstance(kafka, dict) and isinstance(skiff, dict):
        for key in sorted(set(kafka) | set(skiff)):
            yield from differences(kafka.get(key, "absent"), skiff.get(key, "absent"), f"{path}.{key}")
    elif isinstance(kafka, list) and isinstance(skiff, list) and all(isinstance(v, dict) for v in kafka + skiff):
        left, right = {str(order_of(v)): v for v in kafka}, {str(order_of(v)): v for v in skiff}
        if len(left) < len(kafka) or len(right) < len(skiff):  # without a key of their own: by position
            left, right = dict(enumerate(kafka)), dict(enumerate(skiff))
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

class Run:
    def __init__(self, kafka, skiff, options):
        self.kafka, self.skiff, self.options = kafka, skiff, options
        self.failures, self.asked = 0, 0

    def both(self, api, version, request):
        return [self.settled(peer, api, version, request) for peer in (self.kafka, self.skiff)]

    def settled(self, peer, api, version, request):
        try:
            return peer.ask(api, version, request(peer, version))
        except ValueError as error:
            return f"cannot be decoded: {error}"

    def set_up(self):
        """Topics that the cases speak of, and what is in them."""
        batch, pause = wire_cases.batch, time.sleep
        topics = [("t", 3, ()), ("u", 2, (("retention.ms", "100000"),)), ("p", 1, ()), ("idempotent", 1, ()), ("grows", 1, ()), ("gone-by-id", 1, ()),
                  ("compacted", 1, (("cleanup.policy", "compact"),)), ("stamped", 1, (("message.timestamp.type", "LogAppendTime"),)),
                  ("small", 1, (("max.message.bytes", "1000"),))] + [(f"gone-{v}", 1, ()) for v in range(1, 7)]
        for peer in (self.kafka, self.skiff):
            for name, partitions, configs in topics:
                peer.ask("CreateTopics", 7, wire_cases.create(peer, "=" + name, partitions=partitions, configs=configs))
            deadline = time.monotonic() + 20
            while not all(name in peer.ids for name, _, _ in topics) and time.monotonic() < deadline:
                pause(0.05)
                peer.learn_ids()
            for step in range(3):
                records = batch((b"a", b"b"), timestamp=wire_cases.START_MS + 10 * step)
                while time.monotonic() < deadline:
                    answer = peer.ask("Produce", 9, wire_cases.produce(peer, 9, records, "t"))
                    if answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0:
                        break
                    pause(0.05)

    def await_groups(self):
        """Until both take a commit, after which every coordinator is there."""
        for peer in (self.kafka, self.skiff):
            deadline = time.monotonic() + 30
            for group in ("g", "h", "j", "nobody", ""):
                while time.monotonic() < deadline:
                    peer.ask("FindCoordinator", 3, {"Key": group, "KeyType": 0})
                    if peer.ask("OffsetCommit", 8, wire_cases.commit((0, 0), group=group)(peer, 8))["Topics"][0]["Partitions"][0]["ErrorCode"] == 0:
                        break
                    time.sleep(0.05)
            peer.learn_ids()
        return True

    def versions(self):
        ranges = []
        for peer in (self.kafka, self.skiff):
            answer = peer.ask("ApiVersions", 3, {"ClientSoftwareName": "test", "ClientSoftwareVersion": "1"})
            ranges.append({APIS[k["ApiKey"]]: (k["MinVersion"], k["MaxVersion"]) for k in answer["ApiKeys"] if k["ApiKey"] in APIS})
        return ranges

    def run(self):
        self.set_up()
        kafka, skiff = self.versions()
        # Looking for a coordinator makes both create topics of their own.
        groups = ("FindCoordinator", "DeleteTopics") + wire_cases.GROUP_APIS
        has_groups = False
        for api in sorted(skiff, key=lambda name: (name in groups, groups.index(name) if name in groups else 0, KEYS[name])):
            if api in wire_cases.GROUP_APIS + ("FindCoordinator",) and not has_groups:
                has_groups = self.await_groups()
            has_same = kafka.get(api) == skiff[api] or api in kafka and (kafka[api][0], NEWER.get(api)) == skiff[api]
            self.report(f"{api}: Kafka has it at the same versions", [] if has_same else [f"{kafka.get(api)} {skiff[api]}"])
            first = max(kafka[api][0], skiff[api][0], SCHEMA[api + "Request"].versions.first)
            for version in range(first, min(kafka[api][1], skiff[api][1]) + 1):
                self.run_version(api, version)
            for version in (skiff[api][1] + 1, 99):
                self.beyond(api, version)

    def run_version(self, api, version):
        told = []
        for of, name, build, first, last in wire_cases.CASES:
            if of == api and first <= version <= last and re.search(self.options.k, f"{api} {version} {name}"):
                told += self.compare(api, version, name, build)
        self.report(f"{api} version {version}", told)

    def compare(self, api, version, name, build):
        kafka, skiff = self.both(api, version, build)
        for _ in range(20):  # for seconds, now and then, Kafka 4.3.1 closes every connection
            if kafka != CLOSED or skiff == CLOSED:
                break
            time.sleep(0.5)
            kafka = self.settled(self.kafka, api, version, build)
        self.asked += 1
        for peer, answer in ((self.kafka, kafka), (self.skiff, skiff)):
            if api == "Fetch" and name == "session: begin" and isinstance(answer, dict):
                peer.sessions[version] = answer["SessionId"]
        if self.options.v and self.options.k:
            print(f"# {api} {version} {name}\n#   Kafka: {kafka}\n#   Skiff: {skiff}")
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
    parser = argparse.ArgumentParser(usage="wire_diff.py KAFKA-ADDRESS SKIFF-ADDRESS [-v] [-k PATTERN]")
    parser.add_argument("kafka")
    parser.add_argument("skiff")
    parser.add_argument("-v", action="store_true", help="print every answer")
    parser.add_argument("-k", default="", help="only the cases `API VERSION NAME` that match")
    options = parser.parse_args()
    run = Run(Peer(options.kafka), Peer(options.skiff), options)
    run.run()
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
