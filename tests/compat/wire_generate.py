"""Requests made from the schemas: each field of each request that is served, at its first, its last and some version between, set in
turn to what is legal and what is not; and frames that are cut, too long, or have another header than their version's.

A case starts from a right request (BASES), so that everything but the one field says something. The seed decides which versions in
between are asked and, when there are more than `most`, which cases; the same seed makes the same cases.
"""
import copy
import random
import re
import struct
import uuid
import zlib

import kmsg
import wire_cases as w
from wire_peer import SCHEMA, header

LONGEST = 32767
INTEGERS = {"int8": 7, "int16": 15, "uint16": 16, "int32": 31, "int64": 63}


class Case:
    """`prepare(peer)`: the header and the body that it is sent. What is malformed may be answered by closing the connection."""

    def __init__(self, api, version, name, base, change, is_malformed=False):
        self.api, self.version, self.name, self.base, self.change, self.is_malformed = api, version, name, base, change, is_malformed

    def prepare(self, peer):
        request = copy.deepcopy(self.base(peer, self.version))
        return self.change(self.api, self.version, request)


# ---- right requests --------------------------------------------------------------------------------------------------

BASES = []


def base(api, build, name="", first=0, last=99):
    BASES.append((api, name, build, first, last))


def same(api, request, name="", first=0, last=99):
    base(api, lambda peer, version: {k: v for k, v in request.items() if k in fields_at(api, version)}, name, first, last)


def fields_at(api, version):
    return {f.name for f in SCHEMA[api + "Request"].fields if version in f.present}


def of_member(api, **more):
    base(api, lambda peer, v: {**peer.member(), **{k: x for k, x in more.items() if k in fields_at(api, v)}})


def leave(peer, version):
    member = peer.member()
    if version < 3:
        return {"GroupId": member["GroupId"], "MemberId": member["MemberId"]}
    return {"GroupId": member["GroupId"], "Members": [{"MemberId": member["MemberId"]}]}


def forget_in_session(peer, version):
    name = {"TopicId": peer.topic_id("u")} if version >= 13 else {"Topic": "u"}
    return w.fetch(peer, version, session_epoch=0, top={"ForgottenTopicsData": [{**name, "Partitions": [0]}]})


base("Produce", lambda peer, v: w.produce(peer, v, w.batch()))
base("Fetch", w.fetch)
base("Fetch", forget_in_session, "a session", first=7)
same("ListOffsets", w.list_offsets(-1))
same("ListOffsets", w.list_offsets(w.START_MS + 5), "by time")
same("Metadata", w.metadata("t"))
base("Metadata", lambda peer, v: w.metadata({"TopicId": peer.topic_id("t"), "Name": None}), "by id", first=10)
base("FindCoordinator", lambda peer, v: w.find(v, 0, "g"))
base("OffsetCommit", w.commit((0, 1)))
base("OffsetFetch", w.committed(0))
base("ListGroups", lambda peer, v: {**({"StatesFilter": ["Empty"]} if v >= 4 else {}), **({"TypesFilter": ["classic"]} if v >= 5 else {})})
same("DescribeGroups", {"Groups": ["g"]})
base("JoinGroup", lambda peer, v: w.join(group=peer.fresh("joins"))(peer, v))
of_member("Heartbeat")
of_member("SyncGroup", ProtocolType="consumer", ProtocolName="range", Assignments=[{"MemberId": "m", "Assignment": b"\0"}])
base("LeaveGroup", leave)
same("OffsetDelete", w.forget(2))
same("DeleteGroups", {"GroupsNames": ["nobody"]})
same("ApiVersions", {"ClientSoftwareName": "test", "ClientSoftwareVersion": "1"})
base("CreateTopics", lambda peer, v: w.create(peer, "made", configs=(("retention.ms", "1000"),), only_check=True))
base("CreateTopics", lambda peer, v: w.create(peer, "made", partitions=-1, replicas=-1, assignments=((0, [0]),), only_check=True), "assigned")
base("DeleteTopics", lambda peer, v: w.delete(peer, v, peer.new_topic()))
base("DeleteTopics", lambda peer, v: {"Topics": [{"TopicId": peer.topic_id(peer.new_topic())}], "TimeoutMs": 5000}, "by id", first=6)
same("DeleteRecords", w.cut("t", (0, 0)))
same("InitProducerId", {"TransactionalId": None, "TransactionTimeoutMs": 60000})
same("OffsetForLeaderEpoch", w.epoch_end(0))
same("DescribeAcls", {"ResourceTypeFilter": 1, "PatternTypeFilter": 3, "Operation": 1, "PermissionType": 1, "ResourceNameFilter": None,
                      "PrincipalFilter": None, "HostFilter": None})
same("DescribeConfigs", w.describe(2, "u", ["retention.ms", "cleanup.policy"]))
for alters_ in ("AlterConfigs", "IncrementalAlterConfigs"):
    same(alters_, w.alter(2, "u", ("retention.ms", "777")))
    same(alters_, w.alter(2, "u", ("retention.ms", "777"), only_check=True), "check only")
same("DescribeLogDirs", {"Topics": [{"Topic": "t", "Partitions": [0]}]})
same("CreatePartitions", w.grow("t", 4, only_check=True))
same("CreatePartitions", w.grow("t", 4, [[0]], only_check=True), "assigned")
same("ElectLeaders", w.elect(0))
same("AlterPartitionReassignments", w.move((0, [0])))
same("ListPartitionReassignments", {"Topics": [{"Name": "t", "PartitionIndexes": [0]}], "TimeoutMs": 1000})
same("AlterClientQuotas", w.quota([("user", "alice")], ("producer_byte_rate", 1000.0)))
same("AlterClientQuotas", w.quota([("ip", "127.0.0.9")], ("connection_creation_rate", 10.0), only_check=True), "of an address")
same("DescribeClientQuotas", w.quotas(("user", 0, "alice")))
same("DescribeUserScramCredentials", {"Users": [{"Name": "alice"}]})
same("DescribeQuorum", {"Topics": [w.QUORUM]})
base("UpdateFeatures", w.level("eligible.leader.replicas.version", 1))
same("DescribeCluster", {})
same("DescribeProducers", {"Topics": [{"Name": "t", "PartitionIndexes": [0]}]})
same("UnregisterBroker", {"BrokerId": 9})
same("ListConfigResources", {"ResourceTypes": [2]})
same("DescribeTopicPartitions", {"Topics": [{"Name": "t"}]})
same("DescribeTopicPartitions", {"Topics": [{"Name": "t"}], "Cursor": {"TopicName": "t", "PartitionIndex": 1}}, "from a cursor")

# API, what is changed, the last version of which this holds; and why it is not asked.
NOT_ASKED = [
    ("UnregisterBroker", "BrokerId 0", 99, "the only broker would be gone"),
    ("Metadata", "Topics.Name a name that is not there", 3, "the topic would come into being"),
]
NOT_ASKED_OF_KAFKA = [
    ("LeaveGroup", "Members.GroupInstanceId length -2", 99, "Kafka takes it for null, and the member leaves: from then on groups differ"),
    ("Produce", "TopicData.PartitionData.Records (null|length -2)", 99, "Kafka 4.3.1 never answers"),
    ("AlterConfigs", "Resources (doubled|100 times)", 99, "the same"),
    ("DescribeClientQuotas", "Components.EntityType the longest", 99, "the same"),
    ("JoinGroup", r"Protocols (doubled|100 times)|Protocols\.Metadata 100 KB", 3, "the same, and not what comes after it to the same partition"),
]


def is_asked(api, version, name, not_asked):
    return not any(api == a and re.fullmatch(n, name) and version <= last for a, n, last, _ in not_asked)


# ---- values ----------------------------------------------------------------------------------------------------------

class Value:
    """What a field is set to: `of(now)` makes it from what the base has there."""

    def __init__(self, name, of, is_malformed=False):
        self.name, self.is_malformed = name, is_malformed
        self.of = of if callable(of) else lambda now: of


def integers(bits, is_unsigned=False):
    least, most = (0, 2 ** bits - 1) if is_unsigned else (-2 ** bits, 2 ** bits - 1)
    named = {0: "0", 1: "1", 99: "99", most: "the greatest"}
    named.update({} if is_unsigned else {-1: "-1", -2: "-2", least: "the least"})
    return [Value(name, value) for value, name in named.items()]


def longest(now):
    return ((now or "") + "x" * LONGEST)[:LONGEST]


def length(compact, form, count):
    """Only a length, of what is not there."""
    return kmsg.Raw(kmsg.varint(count + 1) if compact else struct.pack(form, count))


def lengths(compact, form):
    found = [Value("longer than the rest", length(compact, form, 20000), is_malformed=True)]
    return found if compact else found + [Value("length -2", length(compact, form, -2), is_malformed=True)]


def texts(compact):
    return [Value("empty", ""), Value("a name that is not there", lambda now: "absent"), Value("with a blank", "a b"), Value("a NUL", "a\0b"),
            Value("not ASCII", "\u00fcnder \u20ac"), Value("the longest", longest), Value("no UTF-8", b"a\xff\xfe", is_malformed=True)] + lengths(compact, ">h")


def values_of(field, compact):
    if field.type == "bool":
        return [Value("false", False), Value("true", True)]
    if field.type == "float64":
        return [Value(str(x), x) for x in (0.0, -1.5, float("nan"), float("inf"), float("-inf"), 1e308)]
    if field.type in INTEGERS:
        return integers(INTEGERS[field.type], field.type == "uint16")
    if field.type == "uuid":
        return [Value("zero", uuid.UUID(int=0)), Value("unknown", w.UNKNOWN_ID), Value("all ones", uuid.UUID(int=2 ** 128 - 1))]
    if field.type == "string":
        return texts(compact)
    return [Value("empty", b""), Value("a byte", b"\xff"), Value("doubled", lambda now: now * 2), Value("100 KB", b"z" * 100000)] + lengths(compact, ">i")


def null_of(field, version, inside_array=False):
    is_legal = version in field.nullable and not inside_array
    return Value("null", lambda now: None, is_malformed=not is_legal)


def values_at(field, version, compact):
    """What a field is set to. Elements of an array of plain values are set by elements_at()."""
    if field.is_array:
        more = [Value("empty", []), Value("doubled", lambda now: (now or []) * 2), Value("100 times", lambda now: (now or []) * 100)]
        more += [Value("a default", lambda now: [{}])] if field.struct else []
        return more + [null_of(field, version)] + lengths(compact, ">i")
    if field.struct:
        return ([null_of(field, version)] if version in field.nullable else []) + [Value("a default", {})]
    return values_of(field, compact) + ([null_of(field, version)] if field.type in ("string", "bytes", "records") else [])


def elements_at(field, version, compact):
    if not field.is_array or field.struct:
        return []
    plain = [null_of(field, version, inside_array=True)] if field.type in ("string", "bytes") else []
    return [Value("with " + v.name, lambda now, v=v: (now or [])[:1] + [v.of(None)], v.is_malformed) for v in values_of(field, compact) + plain]


# ---- changes ---------------------------------------------------------------------------------------------------------

def places(struct_, version, value, path=()):
    """(path, field) of every field of the version; in an array of structs, of its first element, if the base has one."""
    for field in struct_.fields:
        if version not in field.present:
            continue
        here = path + (field.name,)
        yield here, field
        inner = (value or {}).get(field.name, field.default)
        if field.struct and field.is_array and inner:
            yield from places(field.struct, version, inner[0], here + (0,))
        elif field.struct and not field.is_array and inner is not None:
            yield from places(field.struct, version, inner, here)


def change_at(request, path, change):
    """The request with what stands at `path` changed; structs on the way that the base left out appear."""
    at = request
    for step in path[:-1]:
        at = at[step] if isinstance(step, int) else at.setdefault(step, {})
    at[path[-1]] = change(at.get(path[-1]))
    return request


def encoded(change):
    """`change(request)` for a frame with the right header."""
    return lambda api, version, request: (header(api, version), kmsg.encode(SCHEMA[api + "Request"], version, change(request)))


def set_to(path, field, value):
    default = copy.deepcopy(field.default)
    return encoded(lambda request: change_at(request, path, lambda now: value.of(default if now is None else now)))


def tagged(path):
    def add(request):
        at = request
        for step in path:
            at = at[step] if isinstance(step, int) else at.setdefault(step, {})
        at["tag 8000"] = b"unknown"
        return request
    return encoded(add)


def framed(head=None, body=lambda b: b):
    return lambda api, version, request: ((head or header)(api, version), body(kmsg.encode(SCHEMA[api + "Request"], version, request)))


def another_header(api, version):
    return header(api, version, tags=b"" if version in SCHEMA[api + "Request"].flexible else b"\0")


FRAMES = {
    "as it is": (framed(), False),
    "a byte behind it": (framed(body=lambda b: b + b"\0"), True),
    "bytes behind it": (framed(body=lambda b: b + b"\x07" * 9), True),
    "without its last byte": (framed(body=lambda b: b[:-1]), True),
    "half of it": (framed(body=lambda b: b[:len(b) // 2]), True),
    "no body": (framed(body=lambda b: b""), True),
    "another header": (framed(another_header), True),
    "no client id": (framed(lambda api, version: header(api, version, b"\xff\xff")), False),
    "an empty client id": (framed(lambda api, version: header(api, version, b"\0\0")), False),
    "a client id that ends behind the frame": (framed(lambda api, version: header(api, version, b"\x7f\xffdiff")), True),
}
FLEXIBLE_FRAMES = {
    "a tag in the header": (framed(lambda api, version: header(api, version, tags=b"\1\7\3abc")), False),
    "a tag in the header longer than the frame": (framed(lambda api, version: header(api, version, tags=b"\1\7\xff\xff\x03abc")), True),
}


# ---- cases -----------------------------------------------------------------------------------------------------------

class Nobody:
    """In place of a broker, to see what the bases have: nothing is sent."""

    def __getattr__(self, name):
        return {"topic_id": lambda topic: w.UNKNOWN_ID, "fresh": lambda name: name, "new_topic": lambda: "t",
                "member": lambda: {"GroupId": "g", "GenerationId": 1, "MemberId": "m"}}[name]


def described(path):
    return ".".join(step for step in path if isinstance(step, str))


def changes_of(api, version, request):
    """(name, change, is malformed) of everything that is done to a request."""
    message = SCHEMA[api + "Request"]
    flexible = version in message.flexible
    for path, field in places(message, version, request):
        compact = flexible and not field.is_classic
        for value in values_at(field, version, compact) + elements_at(field, version, compact):
            yield f"{described(path)} {value.name}", set_to(path, field, value), value.is_malformed
    for name, (change, is_malformed) in {**FRAMES, **(FLEXIBLE_FRAMES if flexible else {})}.items():
        yield name, change, is_malformed
    for path in dict.fromkeys(path[:-1] for path, _ in places(message, version, request)) if flexible else ():
        yield f"a tag in {described(path) or 'the body'}", tagged(path), False


def every_case(ranges, not_asked):
    """`ranges`: {API: (first, last)} that are asked."""
    for api, what, build, first, last in BASES:
        if api not in ranges:
            continue
        for version in range(max(first, ranges[api][0], SCHEMA[api + "Request"].versions.first), min(last, ranges[api][1]) + 1):
            for name, change, is_malformed in changes_of(api, version, build(Nobody(), version)):
                if is_asked(api, version, name, not_asked):
                    yield Case(api, version, f"{what}: {name}" if what else name, build, change, is_malformed)


def chosen(found, seed):
    """Of one change at several versions: the first, the last, and one between."""
    between = random.Random(f"{seed} {found[0].api} {found[0].name}")
    return found[:1] + ([between.choice(found[1:-1])] if len(found) > 2 else []) + (found[-1:] if len(found) > 1 else [])


def generate(ranges, seed, most, beside_kafka):
    by_change = {}
    for case in every_case(ranges, NOT_ASKED + (NOT_ASKED_OF_KAFKA if beside_kafka else [])):
        by_change.setdefault((case.api, case.name), []).append(case)
    cases = [case for found in by_change.values() for case in chosen(found, seed)]
    if len(cases) > most:
        ranked = sorted(cases, key=lambda c: zlib.crc32(f"{seed} {c.api} {c.version} {c.name}".encode()))
        cases = ranked[:most]
    return sorted(cases, key=lambda c: c.version)
