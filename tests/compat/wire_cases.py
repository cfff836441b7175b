"""What tests/compat/wire_diff.py asks both brokers: cases by name, each a request to one API at each of its versions.

`peer` is the broker asked: its topics' ids and what it answered before differ from those of the other one, the requests built
with them mean the same. Not asked is what Kafka 4.3.1 never answers: Produce with null records, AlterConfigs of a topic twice.
"""
import copy
import struct
import time
import uuid
import zlib

START_MS = int(time.time() * 1000) - 3600_000
UNKNOWN_ID = uuid.UUID("11111111-2222-3333-4444-555555555555")


# ---- record batches --------------------------------------------------------------------------------------------------

def _crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def zigzag(value):
    value = value << 1 ^ value >> 63
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def record(delta, key, value, headers=(), timestamp_delta=0):
    def data(raw):
        return zigzag(-1) if raw is None else zigzag(len(raw)) + raw
    body = b"\0" + zigzag(timestamp_delta) + zigzag(delta) + data(key) + data(value) + zigzag(len(headers))
    body += b"".join(data(k) + data(v) for k, v in headers)
    return zigzag(len(body)) + body


def batch(values=(b"x",), key=b"k", magic=2, attributes=0, timestamp=START_MS, pid=-1, epoch=-1, sequence=-1, base=0, **change):
    """`change`: last_delta, count, crc, length, records, deltas: what differs from a right batch."""
    deltas = change.get("deltas", range(len(values)))
    records = change.get("records", b"".join(record(d, key, v) for d, v in zip(deltas, values)))
    if attributes & 7 == 1:
        packer = zlib.compressobj(wbits=31)
        records = packer.compress(records) + packer.flush()
    body = struct.pack(">hiqqqhii", attributes, change.get("last_delta", len(values) - 1), timestamp, timestamp, pid, epoch, sequence,
                       change.get("count", len(values))) + records
    crc = change.get("crc", crc32c(body))
    return struct.pack(">qiibI", base, change.get("length", len(body) + 9), -1, magic, crc) + body


# ---- requests --------------------------------------------------------------------------------------------------------

def produce(peer, version, records, topic="p", partition=0, acks=-1, transactional=None):
    name = {"TopicId": peer.topic_id(topic)} if version >= 13 else {"Name": topic}
    return {"Acks": acks, "TimeoutMs": 5000, "TransactionalId": transactional,
            "TopicData": [{**name, "PartitionData": [{"Index": partition, "Records": records}]}]}


def fetch(peer, version, topic="t", offset=0, session=0, session_epoch=-1, wait_ms=0, top=None, **partition):
    name = {"TopicId": topic if isinstance(topic, uuid.UUID) else peer.topic_id(topic)} if version >= 13 else {"Topic": str(topic)}
    return {"MaxWaitMs": wait_ms, "MinBytes": 1, "MaxBytes": 1 << 20, "SessionId": session, "SessionEpoch": session_epoch,
            "Topics": [{**name, "Partitions": [{"Partition": 0, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20, **partition}]}], **(top or {})}


def in_session(peer, version, epoch, forgotten=None):
    """The next request of the session that the version began, which asks for nothing more."""
    name = {"TopicId": peer.topic_id(forgotten)} if version >= 13 else {"Topic": forgotten}
    return {"MaxWaitMs": 0, "MinBytes": 1, "SessionId": peer.session(version), "SessionEpoch": epoch,
            "ForgottenTopicsData": [{**name, "Partitions": [0]}] if forgotten else []}


def list_offsets(timestamp, topic="t", partitions=(0,), **more):
    return {"ReplicaId": -1, "TimeoutMs": 1000,
            "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": p, "Timestamp": timestamp, **more} for p in partitions]}]}


def epoch_end(epoch, topic="t", partition=0, current=-1):
    return {"ReplicaId": -1, "Topics": [{"Topic": topic, "Partitions": [
        {"Partition": partition, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]}]}


def create(peer, *names, partitions=1, replicas=1, configs=(), assignments=(), only_check=False, timeout_ms=10000):
    return {"TimeoutMs": timeout_ms, "ValidateOnly": only_check, "Topics": [
        {"Name": peer.fresh(n), "NumPartitions": partitions, "ReplicationFactor": replicas,
         "Configs": [{"Name": k, "Value": v} for k, v in configs],
         "Assignments": [{"PartitionIndex": i, "BrokerIds": ids} for i, ids in assignments]} for n in names]}


def metadata(*topics, auto=False, **more):
    return {"Topics": [{"Name": t} if isinstance(t, str) else t for t in topics], "AllowAutoTopicCreation": auto, **more}


def describe(kind, name, keys=None, **more):
    return {"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}], **more}


def alter(kind, name, *changes, only_check=False):
    """A change is (name, value) or (name, value, operation)."""
    return {"ValidateOnly": only_check, "Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": [
        dict(zip(("Name", "Value", "ConfigOperation"), c)) for c in changes]}]}


def grow(name, count, assignments=None, only_check=False, timeout_ms=10000):
    return {"TimeoutMs": timeout_ms, "ValidateOnly": only_check, "Topics": [
        {"Name": name, "Count": count, "Assignments": None if assignments is None else [{"BrokerIds": a} for a in assignments]}]}


def delete(peer, version, *names, timeout_ms=10000):
    if version < 6:
        return {"TopicNames": list(names), "TimeoutMs": timeout_ms}
    return {"Topics": [{"Name": n} for n in names], "TimeoutMs": timeout_ms}


def find(version, kind, *keys):
    return {"Key": keys[0], "KeyType": kind} if version < 4 else {"KeyType": kind, "CoordinatorKeys": list(keys)}


def of_producer(peer, sequence, epoch=0, values=(b"x",), name="producer", **change):
    return batch(values, pid=peer.producer(name), epoch=epoch, sequence=sequence, **change)


CASES = []


def case(api, name, build, first=0, last=99):
    """build(peer, version) -> the request; at the versions from first to last that both brokers have."""
    CASES.append((api, name, build, first, last))


def table(api, requests):
    for name, request in requests.items():
        case(api, name, lambda peer, version, request=request: copy.deepcopy(request))


PRODUCED = {
    "a record": batch(), "three records": batch((b"a", b"b", b"c")), "gzip": batch((b"a", b"b"), attributes=1),
    "null key and value": batch((None,), key=None), "base offset not 0": batch(base=77),
    "no bytes": b"", "half a batch": batch()[:30], "half a header": batch()[:8],
    "wrong CRC": batch(crc=1), "magic 1": batch(magic=1), "magic 0": batch(magic=0), "magic 3": batch(magic=3), "magic -1": batch(magic=-1),
    "length too small": batch(length=20), "length too large": batch(length=5000), "negative length": batch(length=-5),
    "two batches": batch() + batch(), "count too large": batch(count=2), "count 0": batch(count=0), "negative count": batch(count=-1),
    "no records": batch((), records=b"", last_delta=-1, count=0), "last delta too large": batch(last_delta=5),
    "deltas with a hole": batch((b"a", b"b"), deltas=(0, 2), last_delta=2), "deltas from 1": batch((b"a", b"b"), deltas=(1, 2)),
    "control batch": batch(attributes=0x20), "transactional without an id": batch(attributes=0x10),
    "unknown codec": batch(attributes=5), "snappy that is none": batch(attributes=2, records=b"nonsense"),
    "zstd that is none": batch(attributes=4, records=b"nonsense"), "log append time from a client": batch(attributes=8),
    "in the far future": batch(timestamp=START_MS + 10 ** 10), "time -1": batch(timestamp=-1), "time -5": batch(timestamp=-5),
    "larger than max.message.bytes": batch((b"x" * 1100000,)),
    "record longer than its batch": batch(records=zigzag(500) + b"\0\0\0\0"), "record of no length": batch(records=zigzag(0)),
    "left-over bytes": batch(records=record(0, b"k", b"v") + b"xx"), "negative header count": batch(records=zigzag(6) + b"\0\0\0\1\1\1"),
    "a header": batch(records=record(0, b"k", b"v", ((b"h", b"1"), (b"h", None)))),
    "a header without key": batch(records=record(0, b"k", b"v", ((None, b"1"),))),
    "producer without sequence": batch(pid=5, epoch=0, sequence=-1), "producer without epoch": batch(pid=5, epoch=-1, sequence=0),
    "sequence without producer": batch(sequence=3),
}
for name_, bytes_ in PRODUCED.items():
    case("Produce", name_, lambda peer, v, b=bytes_: produce(peer, v, b))
for acks_ in (0, 1, 2, -2):
    case("Produce", f"acks {acks_}", lambda peer, v, a=acks_: produce(peer, v, batch(), acks=a))
case("Produce", "acks 0 to no partition", lambda peer, v: produce(peer, v, batch(), partition=9, acks=0))
case("Produce", "no such partition", lambda peer, v: produce(peer, v, batch(), partition=9))
case("Produce", "partition -1", lambda peer, v: produce(peer, v, batch(), partition=-1))
case("Produce", "no such topic", lambda peer, v: produce(peer, v, batch(), topic="absent"))
case("Produce", "no key in a compacted topic", lambda peer, v: produce(peer, v, batch(key=None), topic="compacted"))
case("Produce", "a key in a compacted topic", lambda peer, v: produce(peer, v, batch(), topic="compacted"))
case("Produce", "log append time", lambda peer, v: produce(peer, v, batch((b"a", b"b")), topic="stamped"))
case("Produce", "log append time, gzip", lambda peer, v: produce(peer, v, batch((b"a", b"b"), attributes=1), topic="stamped"))
case("Produce", "above the topic's max.message.bytes", lambda peer, v: produce(peer, v, batch((b"x" * 2000,)), topic="small"))
case("Produce", "a partition twice", lambda peer, v: (lambda r: (r["TopicData"][0]["PartitionData"].append(dict(r["TopicData"][0]["PartitionData"][0])), r)[1])(produce(peer, v, batch())))
case("Produce", "nothing", lambda peer, v: {"Acks": -1, "TimeoutMs": 1000})
case("Produce", "a transactional id without a transaction", lambda peer, v: produce(peer, v, batch(), transactional="tx"), last=11)
# One producer per version: its numbers begin again.
for step_, (sequence_, epoch_, what_) in enumerate((
        (0, 0, "first"), (0, 0, "first again"), (1, 0, "second"), (3, 0, "a gap"), (0, 0, "first, late"), (2, 0, "third"), (0, 1, "next epoch"),
        (3, 0, "old epoch"), (5, 2, "next epoch, not from 0"), (0, 1, "an old one again"))):
    case("Produce", f"idempotent {step_}: {what_}",
         lambda peer, v, s=sequence_, e=epoch_: produce(peer, v, of_producer(peer, s, e, name=f"of {v}"), topic="idempotent"))
case("Produce", "unknown producer at 7", lambda peer, v: produce(peer, v, batch(pid=900000 + v, epoch=0, sequence=7), topic="idempotent"))

for offset_ in (0, 3, 6, 7, -1, 10 ** 9):
    case("Fetch", f"offset {offset_}", lambda peer, v, o=offset_: fetch(peer, v, offset=o))
for epoch_ in (0, 1, -2):
    case("Fetch", f"current epoch {epoch_}", lambda peer, v, e=epoch_: fetch(peer, v, CurrentLeaderEpoch=e), first=9)
    case("Fetch", f"last epoch {epoch_} at 3", lambda peer, v, e=epoch_: fetch(peer, v, offset=3, LastFetchedEpoch=e), first=12)
    case("Fetch", f"last epoch {epoch_} above the end", lambda peer, v, e=epoch_: fetch(peer, v, offset=99, LastFetchedEpoch=e), first=12)
case("Fetch", "no such topic", lambda peer, v: fetch(peer, v, topic=UNKNOWN_ID if v >= 13 else "absent"))
case("Fetch", "zero topic id", lambda peer, v: fetch(peer, v, topic=uuid.UUID(int=0)), first=13)
case("Fetch", "no such partition", lambda peer, v: fetch(peer, v, Partition=9))
case("Fetch", "partition -1", lambda peer, v: fetch(peer, v, Partition=-1))
case("Fetch", "one byte", lambda peer, v: fetch(peer, v, PartitionMaxBytes=1))
case("Fetch", "no byte", lambda peer, v: fetch(peer, v, PartitionMaxBytes=0))
case("Fetch", "negative bytes", lambda peer, v: fetch(peer, v, PartitionMaxBytes=-1))
case("Fetch", "no byte in all", lambda peer, v: fetch(peer, v, top={"MaxBytes": 0}))
case("Fetch", "committed", lambda peer, v: fetch(peer, v, top={"IsolationLevel": 1}))
case("Fetch", "isolation 2", lambda peer, v: fetch(peer, v, top={"IsolationLevel": 2}))
case("Fetch", "nothing", lambda peer, v: {"MaxWaitMs": 0, "MinBytes": 1})
case("Fetch", "nothing, no byte wanted", lambda peer, v: {"MaxWaitMs": 0, "MinBytes": 0})
case("Fetch", "empty partition, wait 50 ms", lambda peer, v: fetch(peer, v, wait_ms=50, Partition=1))
case("Fetch", "empty partition, no byte wanted", lambda peer, v: fetch(peer, v, wait_ms=5000, Partition=1, top={"MinBytes": 0}))
case("Fetch", "session: no such", lambda peer, v: fetch(peer, v, session=12345, session_epoch=1), first=7)
case("Fetch", "session: close none", lambda peer, v: fetch(peer, v, session=12345, session_epoch=-1), first=7)
case("Fetch", "session: begin", lambda peer, v: fetch(peer, v, session_epoch=0), first=7)
case("Fetch", "session: next", lambda peer, v: in_session(peer, v, 1), first=7)
case("Fetch", "session: skip one", lambda peer, v: in_session(peer, v, 5), first=7)
case("Fetch", "session: add", lambda peer, v: fetch(peer, v, session=peer.session(v), session_epoch=2, offset=6, Partition=1), first=7)
case("Fetch", "session: add what is not there", lambda peer, v: fetch(peer, v, session=peer.session(v), session_epoch=3, Partition=9), first=7)
case("Fetch", "session: the end", lambda peer, v: in_session(peer, v, -1), first=7)
case("Fetch", "session: after its end", lambda peer, v: in_session(peer, v, 4), first=7)
case("Fetch", "session: begin with nothing", lambda peer, v: {"MaxWaitMs": 0, "MinBytes": 1, "SessionEpoch": 0}, first=7)
case("Fetch", "session: nothing again", lambda peer, v: in_session(peer, v, 1), first=7)
case("Fetch", "session: after nothing", lambda peer, v: in_session(peer, v, 2), first=7)
case("Fetch", "session: begin once more", lambda peer, v: fetch(peer, v, session_epoch=0), first=7)
case("Fetch", "session: forget all", lambda peer, v: in_session(peer, v, 1, forgotten="t"), first=7)
case("Fetch", "session: after all is forgotten", lambda peer, v: in_session(peer, v, 2), first=7)

for timestamp_ in (-1, -2, -3, -4, -5, -6, -7, 0, 1, START_MS, START_MS + 1, START_MS + 10, 10 ** 14):
    case("ListOffsets", f"at {timestamp_ if timestamp_ < START_MS else timestamp_ - START_MS}", lambda peer, v, t=timestamp_: list_offsets(t))
    case("ListOffsets", f"of an empty partition, at {timestamp_ if timestamp_ < START_MS else timestamp_ - START_MS}",
         lambda peer, v, t=timestamp_: list_offsets(t, partitions=(1,)))
table("ListOffsets", {
    "no such topic": list_offsets(-1, "absent"), "no such partition": list_offsets(-1, partitions=(9,)), "partition -1": list_offsets(-1, partitions=(-1,)),
    "a partition twice": list_offsets(-1, partitions=(0, 0)), "current epoch 0": list_offsets(-1, CurrentLeaderEpoch=0),
    "newer epoch": list_offsets(-1, CurrentLeaderEpoch=4), "committed": {**list_offsets(-1), "IsolationLevel": 1},
    "isolation 2": {**list_offsets(-1), "IsolationLevel": 2}, "nothing": {"ReplicaId": -1}, "debugging replica": {**list_offsets(-1), "ReplicaId": -2},
})
table("OffsetForLeaderEpoch", {
    **{f"epoch {e}": epoch_end(e) for e in (-2, -1, 0, 1, 99)}, **{f"epoch {e}, empty": epoch_end(e, partition=1) for e in (-1, 0, 1)},
    "no such topic": epoch_end(0, "absent"), "no such partition": epoch_end(0, partition=9), "current epoch": epoch_end(0, current=0),
    "newer current epoch": epoch_end(0, current=7), "nothing": {},
})

case("Metadata", "every topic", lambda peer, v: {"Topics": None if v else []})
case("Metadata", "no topic", lambda peer, v: {"Topics": []}, first=1)
table("Metadata", {
    "one": metadata("t"), "twice": metadata("t", "t"), "mixed": metadata("t", "p"), "an empty name": metadata(""),
    "a bad name": metadata("a b"), "dots": metadata(".."), "too long": metadata("x" * 250), "operations": metadata("t", IncludeTopicAuthorizedOperations=True),
    "a bad name to create": metadata("a b", auto=True),
})
case("Metadata", "no such", lambda peer, v: metadata("t", "absent"), first=4)
case("Metadata", "an internal topic", lambda peer, v: metadata("__consumer_offsets"), first=4)
case("Metadata", "cluster operations", lambda peer, v: metadata("t", IncludeClusterAuthorizedOperations=True), first=8, last=10)
case("Metadata", "by id", lambda peer, v: metadata({"TopicId": peer.topic_id("t"), "Name": None}), first=10)
case("Metadata", "by id and name", lambda peer, v: metadata({"TopicId": peer.topic_id("t"), "Name": "t"}), first=10)
case("Metadata", "by no such id", lambda peer, v: metadata({"TopicId": UNKNOWN_ID, "Name": None}), first=10)
case("Metadata", "by nothing", lambda peer, v: metadata({"Name": None}), first=10)

case("CreateTopics", "plain", lambda peer, v: create(peer, "plain"))
case("CreateTopics", "defaults", lambda peer, v: create(peer, "defaults", partitions=-1, replicas=-1), first=4)
case("CreateTopics", "defaults, too old", lambda peer, v: create(peer, "old", partitions=-1, replicas=-1), last=3)
case("CreateTopics", "check only", lambda peer, v: create(peer, "checked", only_check=True))
case("CreateTopics", "there already", lambda peer, v: create(peer, "=t"))
case("CreateTopics", "there already, check only", lambda peer, v: create(peer, "=t", only_check=True))
case("CreateTopics", "twice in a request", lambda peer, v: create(peer, "=twice", "=twice"))
case("CreateTopics", "no replica", lambda peer, v: create(peer, "none", replicas=0))
case("CreateTopics", "more replicas than brokers", lambda peer, v: create(peer, "many", replicas=4))
case("CreateTopics", "replicas -2", lambda peer, v: create(peer, "minus", replicas=-2))
case("CreateTopics", "no partition", lambda peer, v: create(peer, "zero", partitions=0))
case("CreateTopics", "partitions -2", lambda peer, v: create(peer, "minus", partitions=-2))
case("CreateTopics", "20,000 partitions", lambda peer, v: create(peer, "huge", partitions=20000))
for bad_ in ("", ".", "..", "a b", "a/b", "x" * 250, "ünder"):
    case("CreateTopics", f"name {bad_[:9]!r}", lambda peer, v, n=bad_: create(peer, "=" + n))
case("CreateTopics", "249 characters", lambda peer, v: create(peer, "=" + "y" * 247 + f"{v:02}"))
case("CreateTopics", "a period, then an underscore", lambda peer, v: create(peer, f"=col.{v}"))
case("CreateTopics", "an underscore for a period", lambda peer, v: create(peer, f"=col_{v}"))
for key_, value_ in (("retention.ms", "86400000"), ("retention.ms", "-2"), ("retention.ms", "soon"), ("retention.ms", None), ("no.such.key", "1"),
                     ("cleanup.policy", "compact,delete"), ("cleanup.policy", "keep"), ("cleanup.policy", ""), ("segment.bytes", "100"),
                     ("min.insync.replicas", "0"), ("compression.type", "zip"), ("message.timestamp.type", "LogAppendTime"),
                     ("preallocate", "maybe"), ("max.message.bytes", "99999999999"), ("retention.ms", " 5000 "), ("unclean.leader.election.enable", "TRUE"),
                     ("min.cleanable.dirty.ratio", "0.5"), ("min.cleanable.dirty.ratio", "2"), ("leader.replication.throttled.replicas", "0:1"),
                     ("leader.replication.throttled.replicas", "x")):
    case("CreateTopics", f"{key_}={value_}", lambda peer, v, k=key_, w=value_: create(peer, "config", configs=((k, w),), only_check=True))
case("CreateTopics", "a key twice", lambda peer, v: create(peer, "config", configs=(("retention.ms", "1"), ("retention.ms", "2")), only_check=True))
case("CreateTopics", "assigned", lambda peer, v: create(peer, "assigned", partitions=-1, replicas=-1, assignments=((0, [0]), (1, [0]))))
case("CreateTopics", "assigned and counted", lambda peer, v: create(peer, "assigned", assignments=((0, [0]),)))
case("CreateTopics", "assigned to no such broker", lambda peer, v: create(peer, "assigned", partitions=-1, replicas=-1, assignments=((0, [99]),)))
case("CreateTopics", "assigned twice to one", lambda peer, v: create(peer, "assigned", partitions=-1, replicas=-1, assignments=((0, [0, 0]),)))
case("CreateTopics", "assigned to nobody", lambda peer, v: create(peer, "assigned", partitions=-1, replicas=-1, assignments=((0, []),)))
case("CreateTopics", "assigned with a hole", lambda peer, v: create(peer, "assigned", partitions=-1, replicas=-1, assignments=((0, [0]), (2, [0]))))
case("CreateTopics", "a partition assigned twice", lambda peer, v: create(peer, "assigned", partitions=-1, replicas=-1, assignments=((0, [0]), (0, [0]))))
case("CreateTopics", "nothing", lambda peer, v: {"TimeoutMs": 1000})
case("CreateTopics", "one good, one bad", lambda peer, v: create(peer, "good", "=a b"))

case("CreatePartitions", "more", lambda peer, v: grow("grows", 2 + v))
case("CreatePartitions", "check only", lambda peer, v: grow("grows", 40, only_check=True))
table("CreatePartitions", {
    "as many": grow("t", 3), "fewer": grow("t", 2), "none": grow("t", 0), "minus": grow("t", -1), "no such topic": grow("absent", 3), "bad name": grow("a b", 3),
    "no name": grow("", 3), "assigned to too few": grow("t", 5, [[0]]), "assigned to too many": grow("t", 4, [[0], [0]]),
    "assigned to no such broker": grow("t", 4, [[99]]), "assigned to nobody": grow("t", 4, [[]]), "assigned to two": grow("t", 4, [[0, 1]]),
    "assigned, check only": grow("t", 4, [[0]], True), "20,000": grow("t", 20000, only_check=True), "nothing": {"TimeoutMs": 1000},
    "twice": {"TimeoutMs": 9000, "Topics": [grow("t", 4)["Topics"][0]] * 2}, "empty assignment": grow("t", 4, []),
})

case("DeleteTopics", "no such topic", lambda peer, v: delete(peer, v, "absent"))
case("DeleteTopics", "one", lambda peer, v: delete(peer, v, f"gone-{v}"))
case("DeleteTopics", "the same again", lambda peer, v: delete(peer, v, f"gone-{v}"))
case("DeleteTopics", "twice in a request", lambda peer, v: delete(peer, v, "t", "t"))
case("DeleteTopics", "twice what is not there", lambda peer, v: delete(peer, v, "absent", "absent"))
case("DeleteTopics", "bad name", lambda peer, v: delete(peer, v, "a b", ""))
case("DeleteTopics", "nothing", lambda peer, v: delete(peer, v))
case("DeleteTopics", "by no such id", lambda peer, v: {"Topics": [{"TopicId": UNKNOWN_ID}], "TimeoutMs": 5000}, first=6)
case("DeleteTopics", "by id and name", lambda peer, v: {"Topics": [{"TopicId": UNKNOWN_ID, "Name": "t"}], "TimeoutMs": 5000}, first=6)
case("DeleteTopics", "by nothing", lambda peer, v: {"Topics": [{}], "TimeoutMs": 5000}, first=6)
case("DeleteTopics", "by name and by its id", lambda peer, v: {"Topics": [{"TopicId": peer.topic_id("t")}, {"Name": "t"}], "TimeoutMs": 5000}, first=6)
case("DeleteTopics", "by id and by its name", lambda peer, v: {"Topics": [{"Name": "t"}, {"TopicId": peer.topic_id("t")}], "TimeoutMs": 5000}, first=6)
case("DeleteTopics", "by name and by its id, twice", lambda peer, v: {"Topics": [{"Name": "t"}, {"TopicId": peer.topic_id("t")}] * 2, "TimeoutMs": 5000}, first=6)
case("DeleteTopics", "by name and twice by its id", lambda peer, v: {"Topics": [{"Name": "t"}] + [{"TopicId": peer.topic_id("t")}] * 2, "TimeoutMs": 5000}, first=6)
case("DeleteTopics", "twice by name and by its id", lambda peer, v: {"Topics": [{"Name": "named-twice"}] * 2 + [{"TopicId": peer.topic_id("named-twice")}], "TimeoutMs": 5000}, first=6)
case("DeleteTopics", "by id", lambda peer, v: {"Topics": [{"TopicId": peer.topic_id("gone-by-id")}], "TimeoutMs": 5000}, first=6)

table("InitProducerId", {
    "idempotent": {"TransactionalId": None, "TransactionTimeoutMs": 2 ** 31 - 1}, "timeout 0": {"TransactionalId": None, "TransactionTimeoutMs": 0},
    "empty transactional id": {"TransactionalId": "", "TransactionTimeoutMs": 60000},
    "id without epoch": {"TransactionalId": None, "ProducerId": 5, "ProducerEpoch": -1}, "epoch without id": {"TransactionalId": None, "ProducerId": -1, "ProducerEpoch": 3},
    "id and epoch": {"TransactionalId": None, "ProducerId": 5, "ProducerEpoch": 3},
})
table("DescribeCluster", {"plain": {}, "operations": {"IncludeClusterAuthorizedOperations": True}, "fenced too": {"IncludeFencedBrokers": True}})
case("DescribeCluster", "controllers", lambda peer, v: {"EndpointType": 2}, first=1)
case("DescribeCluster", "endpoint 9", lambda peer, v: {"EndpointType": 9}, first=1)
table("DescribeTopicPartitions", {
    "every topic": {"Topics": []}, "one": {"Topics": [{"Name": "t"}]}, "not there": {"Topics": [{"Name": "absent"}]}, "bad name": {"Topics": [{"Name": "a b"}]},
    "twice": {"Topics": [{"Name": "t"}, {"Name": "t"}]}, "unsorted": {"Topics": [{"Name": "t"}, {"Name": "absent"}, {"Name": "p"}]},
    "limit 1": {"Topics": [{"Name": "t"}], "ResponsePartitionLimit": 1}, "limit 4": {"Topics": [{"Name": "t"}, {"Name": "u"}], "ResponsePartitionLimit": 4},
    "limit 3": {"Topics": [{"Name": "t"}, {"Name": "u"}], "ResponsePartitionLimit": 3},
    "limit 0": {"Topics": [{"Name": "t"}], "ResponsePartitionLimit": 0}, "limit -1": {"Topics": [{"Name": "t"}], "ResponsePartitionLimit": -1},
    "cursor": {"Topics": [{"Name": "t"}], "Cursor": {"TopicName": "t", "PartitionIndex": 1}},
    "cursor above": {"Topics": [{"Name": "t"}], "Cursor": {"TopicName": "t", "PartitionIndex": 9}},
    "cursor at another": {"Topics": [{"Name": "t"}], "Cursor": {"TopicName": "a", "PartitionIndex": 0}},
    "cursor behind": {"Topics": [{"Name": "t"}], "Cursor": {"TopicName": "z", "PartitionIndex": 0}},
    "cursor -1": {"Topics": [{"Name": "t"}], "Cursor": {"TopicName": "t", "PartitionIndex": -1}},
    "cursor at what is not there": {"Topics": [{"Name": "absent"}], "Cursor": {"TopicName": "absent", "PartitionIndex": 0}},
})
QUORUM = {"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}
table("DescribeQuorum", {
    "plain": {"Topics": [QUORUM]}, "nothing": {"Topics": []}, "another topic": {"Topics": [{"TopicName": "t", "Partitions": [{"PartitionIndex": 0}]}]},
    "another partition": {"Topics": [{"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 1}]}]}, "twice": {"Topics": [QUORUM, QUORUM]},
})
for kind_, key_ in ((0, ""), (1, ""), (2, "x"), (3, "x"), (-1, "x")):
    case("FindCoordinator", f"type {kind_} key {key_!r}", lambda peer, v, k=kind_, key=key_: find(v, k, key), first=1)
case("FindCoordinator", "no key", lambda peer, v: find(v, 0), first=4)

table("DescribeConfigs", {
    "topic": describe(2, "t", IncludeSynonyms=True, IncludeDocumentation=True), "topic, no synonyms": describe(2, "t"), "one key": describe(2, "t", ["retention.ms"]),
    "one set": describe(2, "u", ["retention.ms", "cleanup.policy"], IncludeSynonyms=True), "no such key": describe(2, "t", ["no.such.key"]),
    "no key": describe(2, "t", []), "no such topic": describe(2, "absent"), "bad name": describe(2, "a b"), "no name": describe(2, ""),
    "broker": describe(4, "0", IncludeSynonyms=True, IncludeDocumentation=True), "another broker": describe(4, "99"), "every broker": describe(4, "", IncludeSynonyms=True),
    "broker by name": describe(4, "zero"), "type 0": describe(0, "x"), "type 99": describe(99, "x"), "type -1": describe(-1, "x"), "nothing": {},
    "one broker key": describe(4, "0", ["log.retention.ms", "log.segment.bytes"], IncludeSynonyms=True),
    "twice": {"Resources": describe(2, "t", ["retention.ms"])["Resources"] * 2},
})
ALTERED = {
    "set": alter(2, "u", ("retention.ms", "777")), "no such key": alter(2, "u", ("no.such.key", "1")), "wrong value": alter(2, "u", ("retention.ms", "soon")),
    "check only": alter(2, "u", ("retention.ms", "5"), only_check=True), "check only, wrong": alter(2, "u", ("retention.ms", "soon"), only_check=True),
    "null": alter(2, "u", ("retention.ms", None)), "no such topic": alter(2, "absent", ("retention.ms", "5")), "bad name": alter(2, "a b", ("retention.ms", "5")),
    "no name": alter(2, "", ("retention.ms", "5")), "no change": alter(2, "u"), "nothing": {}, "a key twice": alter(2, "u", ("retention.ms", "1"), ("retention.ms", "2")),
    "type 0": alter(0, "u", ("retention.ms", "1")), "type 99": alter(99, "u", ("retention.ms", "1")), "another broker": alter(4, "99", ("log.retention.ms", "1")),
    "broker by name": alter(4, "zero", ("log.retention.ms", "1")), "read-only key of a broker": alter(4, "0", ("log.dirs", "/x")),
    "no such key of a broker": alter(4, "0", ("no.such.key", "1")), "an empty list": alter(2, "u", ("cleanup.policy", "")),
}
table("AlterConfigs", ALTERED)
table("IncrementalAlterConfigs", {
    **ALTERED, "a topic twice": {"Resources": alter(2, "u", ("retention.ms", "5"))["Resources"] * 2}, "delete": alter(2, "u", ("retention.ms", None, 1)), "delete what is not set": alter(2, "u", ("segment.ms", None, 1)),
    "delete no such key": alter(2, "u", ("no.such.key", None, 1)), "append": alter(2, "u", ("cleanup.policy", "compact", 2)),
    "append again": alter(2, "u", ("cleanup.policy", "compact", 2)), "subtract": alter(2, "u", ("cleanup.policy", "delete", 3)),
    "subtract what is not in it": alter(2, "u", ("cleanup.policy", "delete", 3)), "append wrong": alter(2, "u", ("cleanup.policy", "keep", 2)),
    "append to a number": alter(2, "u", ("retention.ms", "5", 2)), "append null": alter(2, "u", ("cleanup.policy", None, 2)), "operation 9": alter(2, "u", ("retention.ms", "5", 9)),
    "set and delete": alter(2, "u", ("retention.ms", "5", 0), ("retention.ms", None, 1)), "back": alter(2, "u", ("cleanup.policy", None, 1)),
})
table("ApiVersions", {
    "plain": {"ClientSoftwareName": "test", "ClientSoftwareVersion": "1"}, "no name": {"ClientSoftwareName": "", "ClientSoftwareVersion": "1"},
    "odd name": {"ClientSoftwareName": "-a", "ClientSoftwareVersion": "1"}, "odd version": {"ClientSoftwareName": "a", "ClientSoftwareVersion": "1 2"},
})


# ---- what operators ask ----------------------------------------------------------------------------------------------

def cut(topic, *parts, timeout_ms=10000):
    return {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": p, "Offset": o} for p, o in parts]}], "TimeoutMs": timeout_ms}


def move(*parts, topic="grows", **more):
    return {"TimeoutMs": 10000, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": p, "Replicas": r} for p, r in parts]}], **more}


def elect(*partitions, topic="t", kind=0):
    return {"ElectionType": kind, "TopicPartitions": [{"Topic": topic, "Partitions": list(partitions)}], "TimeoutMs": 10000}


def quota(entity, *changes, only_check=False):
    return {"Entries": [{"Entity": [{"EntityType": t, "EntityName": n} for t, n in entity],
                         "Ops": [{"Key": k, "Value": v or 0.0, "Remove": v is None} for k, v in changes]}], "ValidateOnly": only_check}


def quotas(*filters, strict=False):
    return {"Components": [{"EntityType": t, "MatchType": k, "Match": m} for t, k, m in filters], "Strict": strict}


table("DeleteRecords", {
    "to 1": cut("t", (0, 1)), "to 0": cut("t", (0, 0)), "to the end": cut("u", (0, -1)), "beyond the end": cut("t", (0, 1000)), "to -2": cut("t", (0, -2)),
    "not there": cut("absent", (0, 0)), "partition 9": cut("t", (9, 0)), "partition -1": cut("t", (-1, 0)), "nothing": {"TimeoutMs": 1000},
    "compacted": cut("compacted", (0, 0)), "no time": cut("t", (0, 2), timeout_ms=0), "bad name": cut("a b", (0, 0)),
})
table("DescribeLogDirs", {
    "one": {"Topics": [{"Topic": "t", "Partitions": [0, 1]}]}, "not there": {"Topics": [{"Topic": "absent", "Partitions": [0]}]},
    "partition 9": {"Topics": [{"Topic": "t", "Partitions": [9]}]}, "nothing": {"Topics": []}, "twice": {"Topics": [{"Topic": "t", "Partitions": [0, 0]}]},
})
table("DescribeProducers", {
    "one": {"Topics": [{"Name": "t", "PartitionIndexes": [0]}]}, "not there": {"Topics": [{"Name": "absent", "PartitionIndexes": [0]}]},
    "partition 9": {"Topics": [{"Name": "t", "PartitionIndexes": [9]}]}, "bad name": {"Topics": [{"Name": "a b", "PartitionIndexes": [0]}]}, "nothing": {},
})
table("ElectLeaders", {
    "preferred": elect(0), "unclean": elect(0, kind=1), "not there": elect(0, topic="absent"), "partition 9": elect(9), "all": {"TopicPartitions": None, "TimeoutMs": 10000},
    "nothing": {"TopicPartitions": [], "TimeoutMs": 10000}, "two": elect(0, 1),
})
table("AlterPartitionReassignments", {
    "as it is": move((0, [0])), "cancel": move((0, None)), "no replicas": move((0, [])), "twice": move((0, [0, 0])), "another broker": move((0, [9])),
    "broker -1": move((0, [-1])), "not there": move((0, [0]), topic="absent"), "partition 9": move((9, [0])), "nothing": {"TimeoutMs": 1000},
    "cancel what is not there": move((0, None), topic="absent"),
})
case("AlterPartitionReassignments", "another factor", lambda peer, v: move((0, [0, 9]), AllowReplicationFactorChange=False), first=1)
table("ListPartitionReassignments", {
    "all": {"Topics": None, "TimeoutMs": 1000}, "one": {"Topics": [{"Name": "t", "PartitionIndexes": [0]}], "TimeoutMs": 1000},
    "not there": {"Topics": [{"Name": "absent", "PartitionIndexes": [0]}], "TimeoutMs": 1000}, "nothing": {"Topics": [], "TimeoutMs": 1000},
})
table("AlterClientQuotas", {
    "user": quota([("user", "alice")], ("producer_byte_rate", 1000.0), ("request_percentage", 12.5)), "default": quota([("client-id", None)], ("consumer_byte_rate", 5.0)),
    "both": quota([("user", "bob"), ("client-id", "x")], ("consumer_byte_rate", 7.0)), "address": quota([("ip", "127.0.0.9")], ("connection_creation_rate", 5.0)),
    "check only": quota([("user", "carol")], ("producer_byte_rate", 1.0), only_check=True), "no entity": quota([], ("producer_byte_rate", 1.0)),
    "odd entity": quota([("planet", "earth")], ("producer_byte_rate", 1.0)), "empty name": quota([("user", "")], ("producer_byte_rate", 1.0)),
    "odd key": quota([("user", "alice")], ("colour", 1.0)), "key of another": quota([("user", "alice")], ("connection_creation_rate", 1.0)),
    "zero": quota([("user", "alice")], ("producer_byte_rate", 0.0)), "negative": quota([("user", "alice")], ("producer_byte_rate", -1.0)),
    "half": quota([("user", "alice")], ("producer_byte_rate", 1.5)), "user and address": quota([("user", "a"), ("ip", "127.0.0.9")], ("producer_byte_rate", 1.0)),
    "remove": quota([("user", "alice")], ("request_percentage", None)), "remove what is not set": quota([("user", "dave")], ("request_percentage", None)), "nothing": {},
})
table("DescribeClientQuotas", {
    "all": quotas(), "users": quotas(("user", 2, None)), "alice": quotas(("user", 0, "alice")), "default": quotas(("client-id", 1, None)),
    "only users": quotas(("user", 2, None), strict=True), "both": quotas(("user", 2, None), ("client-id", 2, None)), "nobody": quotas(("user", 0, "nobody")),
    "odd entity": quotas(("planet", 2, None)), "empty entity": quotas(("", 2, None)), "twice": quotas(("user", 2, None), ("user", 1, None)),
    "match 9": quotas(("user", 9, None)), "no name": quotas(("user", 0, None)), "a name too many": quotas(("user", 1, "x")),
    "user and address": quotas(("user", 2, None), ("ip", 2, None)), "address": quotas(("ip", 2, None)),
})
table("DescribeUserScramCredentials", {"all": {"Users": None}, "nobody": {"Users": []}, "one": {"Users": [{"Name": "alice"}]}, "twice": {"Users": [{"Name": "a"}, {"Name": "a"}]}, "no name": {"Users": [{"Name": ""}]}})
table("DescribeAcls", {"any": {"ResourceTypeFilter": 1, "PatternTypeFilter": 3, "Operation": 1, "PermissionType": 1}})
table("ListConfigResources", {"default": {}})
for type_ in (2, 4, 8, 16, 32, 99, 0):
    case("ListConfigResources", f"type {type_}", lambda peer, v, t=type_: {"ResourceTypes": [t]}, first=1)


# No level changes: the cases after it would be about something else. java_admin.sh changes one.
def level(name, to, kind=1, only_check=False):
    def build(peer, version):
        update = {"Feature": name, "MaxVersionLevel": to}
        update.update({"AllowDowngrade": kind > 1} if version == 0 else {"UpgradeType": kind})
        return {"TimeoutMs": 10000, "FeatureUpdates": [update], **({"ValidateOnly": only_check} if version > 0 else {})}
    return build


for name_, build_ in {
    "same": level("eligible.leader.replicas.version", 1), "down": level("eligible.leader.replicas.version", 0), "safely down": level("eligible.leader.replicas.version", 0, 2, only_check=True),
    "up": level("eligible.leader.replicas.version", 1), "too high": level("eligible.leader.replicas.version", 9), "negative": level("eligible.leader.replicas.version", -1),
    "unknown": level("no.such.version", 1), "type 9": level("eligible.leader.replicas.version", 1, 9), "metadata down": level("metadata.version", 1, 2),
}.items():
    case("UpdateFeatures", name_, build_)
table("UpdateFeatures", {"nothing": {"TimeoutMs": 10000}})
table("UnregisterBroker", {"not there": {"BrokerId": 9}, "-1": {"BrokerId": -1}})


# ---- groups ----------------------------------------------------------------------------------------------------------
# Asked last, when both brokers have their __consumer_offsets. Group "g" stores offsets and has no members.

GROUP_APIS = ("OffsetCommit", "OffsetFetch", "JoinGroup", "Heartbeat", "LeaveGroup", "SyncGroup", "DescribeGroups", "ListGroups", "OffsetDelete",
              "DeleteGroups")


def commit(*offsets, group="g", topic="t", member="", generation=-1, metadata="note", **more):
    def build(peer, version):
        name = {"TopicId": peer.topic_id(topic)} if version >= 10 else {"Name": topic}
        return {"GroupId": group, "MemberId": member, "GenerationIdOrMemberEpoch": generation, **more, "Topics": [
            {**name, "Partitions": [{"PartitionIndex": p, "CommittedOffset": o, "CommittedMetadata": metadata} for p, o in offsets]}]}
    return build


def committed(*partitions, group="g", topic="t", every=False, stable=False):
    def build(peer, version):
        name = {"TopicId": peer.topic_id(topic)} if version >= 10 else {"Name": topic}
        topics = None if every else [{**name, ("PartitionIndexes"): list(partitions)}]
        asked = {"RequireStable": stable} if version >= 7 else {}
        return {**asked, "GroupId": group, "Topics": topics} if version < 8 else {**asked, "Groups": [{"GroupId": group, "Topics": topics}]}
    return build


def join(group="j", member="", session_ms=10000, kind="consumer", protocols=(("range", b"\0\0"),), instance=None):
    def build(peer, version):
        return {"GroupId": group, "SessionTimeoutMs": session_ms, "MemberId": member, "ProtocolType": kind,
                "Protocols": [{"Name": n, "Metadata": m} for n, m in protocols], **({"RebalanceTimeoutMs": 10000} if version > 0 else {}),
                **({"GroupInstanceId": instance} if version >= 5 else {})}
    return build


def leaving(*members, group="g"):
    def build(peer, version):
        return {"GroupId": group, "MemberId": members[0]} if version < 3 else {"GroupId": group, "Members": [{"MemberId": m} for m in members]}
    return build


for name_, build_ in {
    "one": commit((0, 1)), "two": commit((0, 2), (1, 3)), "none": commit(), "a partition that is not there": commit((9, 1)), "-1": commit((0, -1)), "negative": commit((0, -7)),
    "partition -1": commit((-1, 1)), "a topic that is not there": commit((0, 1), topic="absent"), "twice": commit((0, 4), (0, 5)), "back": commit((0, 1)),
    "no text": commit((0, 1), metadata=None), "empty text": commit((0, 1), metadata=""), "a text too long": commit((0, 1), metadata="x" * 4097),
    "the longest text": commit((0, 1), metadata="x" * 4096), "a member in a group without": commit((0, 1), member="m", generation=1),
    "a member of no group": commit((0, 1), group="nobody", member="m", generation=1), "a generation without member": commit((0, 1), generation=3),
    "no name": commit((0, 1), group=""), "another group": commit((0, 1), group="h"),
}.items():
    case("OffsetCommit", name_, build_)
case("OffsetCommit", "kept for a day", commit((2, 8), RetentionTimeMs=86400000), first=2, last=4)
for name_, build_ in {
    "one": committed(0), "all": committed(every=True), "some": committed(0, 1, 2, 9, -1), "none": committed(), "twice": committed(0, 0), "a topic that is not there": committed(0, topic="absent"),
    "a group that is not there": committed(0, group="nobody"), "all of a group that is not there": committed(every=True, group="nobody"), "no name": committed(0, group=""),
}.items():
    case("OffsetFetch", name_, build_, first=2 if "all" in name_ else 0)
case("OffsetFetch", "stable", committed(0, stable=True), first=7)
for name_, build_ in {
    "unknown member": join(member="stranger"), "no group": join(group=""), "session too short": join(session_ms=5999), "session too long": join(session_ms=1800001),
    "session 0": join(session_ms=0), "unknown static member": join(member="stranger", instance="i"),
}.items():
    case("JoinGroup", name_, build_, first=5 if "static" in name_ else 0)
case("JoinGroup", "an id first", join(), first=4)
for api_, more_ in (("Heartbeat", {}), ("SyncGroup", {"Assignments": []})):
    for name_, group_, member_, generation_ in (("a group that is not there", "nobody", "m", 1), ("a member that is not there", "g", "m", 1),
                                                ("no member", "g", "", -1), ("no group", "", "m", 1)):
        case(api_, name_, lambda peer, v, g=group_, m=member_, e=generation_, x=more_, a=api_: {
            "GroupId": g, "MemberId": m, "GenerationId": e, **x,
            **({"ProtocolType": "consumer", "ProtocolName": "range"} if a == "SyncGroup" and v >= 5 else {})})
for name_, build_ in {"a group that is not there": leaving("m", group="nobody"), "a member that is not there": leaving("m"), "no group": leaving("m", group=""),
                      "an empty id": leaving("")}.items():
    case("LeaveGroup", name_, build_)
case("LeaveGroup", "two", leaving("m", "n"), first=3)
table("DescribeGroups", {"one": {"Groups": ["g"]}, "two": {"Groups": ["g", "h"]}, "not there": {"Groups": ["nobody"]}, "none": {"Groups": []}, "no name": {"Groups": [""]},
                         "twice": {"Groups": ["g", "g"]}})
case("DescribeGroups", "operations", lambda peer, v: {"Groups": ["g", "nobody"], "IncludeAuthorizedOperations": True}, first=3)
table("ListGroups", {"all": {}})
for states_ in (["Empty"], ["empty"], ["Stable"], ["Dead"], ["odd"], ["Stable", "Empty"]):
    case("ListGroups", f"states {states_}", lambda peer, v, s=states_: {"StatesFilter": s}, first=4)
for types_ in (["classic"], ["Classic"], ["consumer"], ["odd"]):
    case("ListGroups", f"types {types_}", lambda peer, v, t=types_: {"TypesFilter": t}, first=5)


def forget(*partitions, group="g", topic="t"):
    return {"GroupId": group, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": p} for p in partitions]}]}


table("OffsetDelete", {"one": forget(1), "again": forget(1), "not there": forget(9), "a topic that is not there": forget(0, topic="absent"), "none": forget(),
                       "a group that is not there": forget(0, group="nobody"), "no group": forget(0, group="")})
table("DeleteGroups", {"not there": {"GroupsNames": ["nobody"]}, "none": {"GroupsNames": []}})
case("DeleteGroups", "one", lambda peer, v: {"GroupsNames": ["h"]}, first=2)
