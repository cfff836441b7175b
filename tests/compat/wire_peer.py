"""A broker that is asked by raw requests: what it answers, and what the requests to it are made from."""
import os
import socket
import struct
import time

import kmsg
import wire_cases
import wire_cases_three

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SCHEMA = kmsg.load(os.path.join(ROOT, "proto", "schema"))
APIS = {m.key: name[:-len("Request")] for name, m in SCHEMA.items() if name.endswith("Request") and m.kind == "request"}
KEYS = {name: key for key, name in APIS.items()}
CLOSED, NOTHING, SILENT = "the connection was closed", "nothing", "no answer within 10 s"


def header(api, version, client_id=b"\0\4diff", tags=None):
    """`tags`: the tagged fields behind it; by default none where the version has room for them."""
    if tags is None:
        tags = b"\0" if version in SCHEMA[api + "Request"].flexible else b""
    return struct.pack(">hhi", KEYS[api], version, 7) + client_id + tags


def error_codes(value):
    """(field, code) of each in an answer."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name.endswith("ErrorCode"):
                yield name, inner
            else:
                yield from error_codes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from error_codes(inner)


class Unready(Exception):
    """A broker did not do what a case needs before it can be asked."""


class Peer:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.ids, self.producers, self.sessions = {}, {}, {}
        self.fresh_count = 0

    def call(self, api, version, body, head=None):
        """The answer; CLOSED, SILENT, or NOTHING when the broker goes on to the next request without one, as with acks=0."""
        frame = (head or header(api, version)) + body
        after = struct.pack(">hhih", KEYS["ApiVersions"], 0, 8, 4) + b"diff"
        with socket.create_connection(self.address, timeout=10) as s:
            try:
                s.sendall(struct.pack(">i", len(frame)) + frame + struct.pack(">i", len(after)) + after)
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

    def ask(self, api, version, request, head=None):
        return self.ask_bytes(api, version, kmsg.encode(SCHEMA[api + "Request"], version, request), head)

    def ask_bytes(self, api, version, body, head=None):
        answer = self.call(api, version, body, head)
        return answer if isinstance(answer, str) else self.read(api, version, answer)

    def must(self, api, version, request):
        answer = self.ask(api, version, request)
        if isinstance(answer, str):
            raise Unready(f"{api}: {answer}")
        return answer

    def read(self, api, version, answer):
        of = SCHEMA[api + "Response"]
        if api == "ApiVersions":
            return kmsg.decode(of, version if struct.unpack(">h", answer[4:6])[0] != 35 else 0, answer[4:])
        return kmsg.decode(of, version, answer[5 if version in of.flexible else 4:])

    # What a case's request is made from.

    def topic_id(self, name):
        return self.ids.get(name, wire_cases.UNKNOWN_ID)

    def producer(self, name):
        if name not in self.producers:
            self.producers[name] = self.must("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60000})["ProducerId"]
        return self.producers[name]

    def session(self, version):
        return self.sessions.get(version, 0)

    def fresh(self, name):
        if name.startswith("="):
            return name[1:]
        self.fresh_count += 1
        return f"{name}-{self.fresh_count}"

    def new_topic(self):
        """A topic of this case alone; its name is the same at both brokers."""
        name = self.fresh("topic")
        self.ids[name] = self.must("CreateTopics", 7, wire_cases.create(self, "=" + name))["Topics"][0]["TopicId"]
        return name

    def member(self):
        """The only member of a group of this case alone, with its assignment."""
        group = self.fresh("group")
        joined = self.must("JoinGroup", 3, wire_cases.join(group=group, session_ms=1800000)(self, 3))
        member = {"GroupId": group, "GenerationId": joined["GenerationId"], "MemberId": joined["MemberId"]}
        self.must("SyncGroup", 2, {**member, "Assignments": [{"MemberId": member["MemberId"], "Assignment": b"\0"}]})
        return member

    def learn_ids(self):
        for topic in self.must("Metadata", 12, {"Topics": None})["Topics"]:
            self.ids[topic["Name"]] = topic["TopicId"]

    # Before the cases.

    def versions(self):
        answer = self.must("ApiVersions", 3, {"ClientSoftwareName": "test", "ClientSoftwareVersion": "1"})
        return {APIS[k["ApiKey"]]: (k["MinVersion"], k["MaxVersion"]) for k in answer["ApiKeys"] if k["ApiKey"] in APIS}

    def set_up(self):
        """Topics that the cases speak of, and what is in them."""
        for name, partitions, configs in TOPICS:
            self.must("CreateTopics", 7, wire_cases.create(self, "=" + name, partitions=partitions, configs=configs))
        until(lambda: self.learn_ids() or all(name in self.ids for name, _, _ in TOPICS))
        until(lambda: self.must("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60000})["ErrorCode"] == 0)
        for step in range(3):
            records = wire_cases.batch((b"a", b"b"), timestamp=wire_cases.START_MS + 10 * step)
            until(lambda r=records: self.must("Produce", 9, wire_cases.produce(self, 9, r, "t"))["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0)

    def set_up_three(self):
        """The topics of wire_cases_three.py, when every replica is in sync."""
        topics = wire_cases_three.TOPICS
        until(lambda: len(self.must("DescribeCluster", 0, {})["Brokers"]) == 3)
        for name, assignments, configs in topics:
            self.must("CreateTopics", 7, wire_cases.create(self, "=" + name, partitions=-1, replicas=-1, assignments=assignments, configs=configs))
        until(lambda: self.learn_ids() or all(name in self.ids for name, _, _ in topics))
        until(lambda: all(len(p["IsrNodes"]) == len(p["ReplicaNodes"]) and p["LeaderId"] == p["ReplicaNodes"][0]
                          for topic in self.must("Metadata", 12, {"Topics": [{"Name": name} for name, _, _ in topics]})["Topics"]
                          for p in topic["Partitions"]))

    def await_groups(self):
        """Until it takes a commit of each group, after which every coordinator is there."""
        for group in ("g", "h", "j", "nobody", ""):
            self.must("FindCoordinator", 3, {"Key": group, "KeyType": 0})
            until(lambda g=group: self.must("OffsetCommit", 8, wire_cases.commit((0, 0), group=g)(self, 8))["Topics"][0]["Partitions"][0]["ErrorCode"] == 0)
        self.learn_ids()


TOPICS = [("t", 3, ()), ("u", 2, (("retention.ms", "100000"),)), ("p", 1, ()), ("idempotent", 1, ()), ("grows", 1, ()), ("gone-by-id", 1, ()), ("named-twice", 1, ()),
          ("compacted", 1, (("cleanup.policy", "compact"),)), ("stamped", 1, (("message.timestamp.type", "LogAppendTime"),)),
          ("small", 1, (("max.message.bytes", "1000"),))] + [(f"gone-{v}", 1, ()) for v in range(1, 7)]


def until(is_so):
    deadline = time.monotonic() + 30
    while True:
        try:
            if is_so():
                return
        except Unready:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("a broker did not become ready")
        time.sleep(0.05)
