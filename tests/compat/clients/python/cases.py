"""The cases, for any library behind an adapter. An adapter is a module with

  TOO_LARGE, HAS_COOPERATIVE, HAS_STATIC    the error's name; what the library has
  UNSENT_HEADERS, UNSENT_RECORDS            what it refuses to send itself
  version()                                 name and version
  error_name(error)                         Kafka's name of an error, or the library's own
  create_topic(name, partitions, configs)
  producer(**options)                       codec, idempotent, record_bytes_max; has send(topic, Record, done), poll(), flush();
                                            done(error or None) is called for each record
  reader(topic, offsets)                    {partition: offset | "earliest" | "latest"}; has poll() -> [Message], seek(), close()
  offset_for_time(topic, partition, ms)     None past the last record
  first_and_last(topic, partition)
  member(group, topic, cooperative, instance_id)     has poll() -> [Message], owned(), committed(), close(), identity()
  partitions_of(topic)
  partitioners()                            {settings of producer(): function(key, count)}
  admin_case()                              the case "admin"
  transaction(topic, name)                  one record in a transaction; raises what the library raises
"""

import itertools
import time

from kit import Record, Skip, expect, expect_error, kill_leader, name, same, wait_for

KEYS = 97


def numbered(first, last, begin_ms=None):
    return [Record(f"key-{i % KEYS}".encode(), f"value {i}".encode(), timestamp_ms=begin_ms and begin_ms + i) for i in range(first, last + 1)]


def number(message):
    return int(message.value.removeprefix(b"value "))


def send(lib, topic, records, **options):
    """All acknowledged, or the first error is raised."""
    errors = []
    producer = lib.producer(**options)
    for record in records:
        producer.send(topic, record, lambda error: error and errors.append(error))
    producer.flush()
    if errors:
        raise errors[0]


def read_all(lib, topic):
    ends = {p: lib.first_and_last(topic, p)[1] for p in range(lib.partitions_of(topic))}
    reader = lib.reader(topic, {p: "earliest" for p in ends})
    messages, next_offsets = [], dict.fromkeys(ends, 0)

    def step():
        for message in reader.poll():
            messages.append(message)
            next_offsets[message.partition] = message.offset + 1

    wait_for(lambda: f"read up to {next_offsets}, not to {ends}", lambda: next_offsets == ends, step)
    reader.close()
    return messages


def expect_numbered(messages, count):
    """Each record once, with its key, in order in its partition."""
    last = {}
    for message in messages:
        expect(number(message) > last.get(message.partition, 0), f"record {number(message)} came after {last.get(message.partition)}")
        same(f"key of record {number(message)}", f"key-{number(message) % KEYS}".encode(), message.key)
        last[message.partition] = number(message)
    same("records", list(range(1, count + 1)), sorted(map(number, messages)))


# ---- records -------------------------------------------------------------------------------------------------------------


def codec(codec_name):
    def case(lib):
        topic, begin_ms = name(f"codec-{codec_name}"), int(time.time() * 1000) - 3600000
        lib.create_topic(topic, 3, {})
        send(lib, topic, numbered(1, 1000, begin_ms), codec=codec_name)
        messages = read_all(lib, topic)
        expect_numbered(messages, 1000)
        expect(all(m.timestamp_ms == begin_ms + number(m) for m in messages), "other timestamps came back")

    return case


def without(everything, unsent):
    """What the library sends, and a note about what it refuses to send itself."""
    note = f"without {', '.join(map(str, unsent))}: the library does not send it" if unsent else ""
    return [one for one in everything if one not in unsent], note


def headers(lib):
    topic = name("headers")
    sent, note = without([("colour", b"red"), ("colour", b"blue"), ("empty", b""), ("null", None)], lib.UNSENT_HEADERS)
    lib.create_topic(topic, 1, {})
    send(lib, topic, [Record(None, b"value", sent)])
    same("headers", sent, [tuple(header) for header in read_all(lib, topic)[0].headers])
    return note


def null_key_value(lib):
    topic = name("nulls")
    sent, note = without([(None, b"value"), (b"key", None), (b"key", b""), (b"", b"value"), (None, None)], lib.UNSENT_RECORDS)
    lib.create_topic(topic, 1, {})
    send(lib, topic, [Record(key, value) for key, value in sent])
    same("keys and values", sent, [(message.key, message.value) for message in read_all(lib, topic)])
    return note


def big_record(lib):
    small, large = name("big"), name("bigger")
    big, bigger = bytes(i * i * 31 % 251 for i in range(900000)), bytes(i * i * 17 % 241 for i in range(2000000))
    lib.create_topic(small, 1, {"max.message.bytes": "1048588"})
    lib.create_topic(large, 1, {"max.message.bytes": "4194304"})
    send(lib, small, [Record(None, big)])
    expect([m.value for m in read_all(lib, small)] == [big], "the record of 900,000 bytes came back changed")
    expect_error("2,000,000 bytes", lib.TOO_LARGE, lambda: send(lib, small, [Record(None, bigger)], record_bytes_max=4000000), lib.error_name)
    send(lib, large, [Record(None, bigger)], record_bytes_max=4000000)
    expect([m.value for m in read_all(lib, large)] == [bigger], "the record of 2,000,000 bytes came back changed")


def idempotence(lib):
    topic = name("idempotence")
    lib.create_topic(topic, 1, {})
    send(lib, topic, numbered(1, 5000), idempotent=True)
    expect_numbered(read_all(lib, topic), 5000)


def partitioner(lib):
    keys = [f"customer-{i}".encode() for i in range(50)]
    for label, (options, partition_of) in lib.partitioners().items():
        topic = name(label)
        lib.create_topic(topic, 5, {})
        send(lib, topic, [Record(key, b"x") for key in keys], **options)
        found = {message.key: message.partition for message in read_all(lib, topic)}
        same(f"partitions by {label}", {key: partition_of(key, 5) for key in keys}, found)
    topic = name("explicit")
    lib.create_topic(topic, 5, {})
    send(lib, topic, [Record(b"key", b"x", partition=p) for p in range(5)])
    same("explicit partitions", list(range(5)), sorted(message.partition for message in read_all(lib, topic)))


def first_of(reader):
    """The offset at which reading goes on."""
    found = []
    wait_for("no record comes", lambda: found, lambda: found.extend(reader.poll()))
    return found[0].offset


def offsets(lib):
    topic, begin_ms = name("offsets"), int(time.time() * 1000) - 3600000  # record N, at offset N - 1, is of begin_ms + N
    lib.create_topic(topic, 1, {})
    send(lib, topic, numbered(1, 100, begin_ms))
    same("first and last offset", (0, 100), tuple(lib.first_and_last(topic, 0)))
    for start, expected in (("earliest", 0), (42, 42), (97, 97)):
        reader = lib.reader(topic, {0: start})
        same(f"reading from {start}", expected, first_of(reader))
        reader.seek(topic, 0, 77)
        same("reading after a seek", 77, first_of(reader))
        reader.close()
    for time_ms, expected in ((begin_ms - 1000, 0), (begin_ms + 51, 50), (begin_ms + 101, None)):
        same("offset for a time", expected, lib.offset_for_time(topic, 0, time_ms))
    reader, found, following = lib.reader(topic, {0: "latest"}), [], itertools.count(101)

    def send_one_and_look():  # until one comes after the reader has found the end
        i = next(following)
        send(lib, topic, numbered(i, i))
        found.extend(reader.poll())

    wait_for("reading from latest: nothing comes", lambda: found, send_one_and_look)
    expect(found[0].offset >= 100, f"reading from latest: offset {found[0].offset} comes")
    reader.close()


# ---- groups --------------------------------------------------------------------------------------------------------------


class Group:
    """The members of a group in this process and what they have handled."""

    def __init__(self, lib, suffix, partitions, **settings):
        self.lib, self.settings = lib, settings
        self.name = self.topic = name(suffix)
        self.members, self.handled, self.seen = {}, {}, []
        lib.create_topic(self.topic, partitions, {})

    def join(self, member, **settings):
        self.members[member] = self.lib.member(self.name, self.topic, **self.settings, **settings)
        self.handled[member] = 0

    def leave(self, member):
        self.handle(member, self.members.pop(member).close())

    def handle(self, member, messages):
        self.seen += [(message.partition, message.offset) for message in messages]
        self.handled[member] += len(messages)

    def poll(self):
        for member, client in self.members.items():
            self.handle(member, client.poll())

    def owned(self):
        return {member: client.owned() for member, client in self.members.items()}

    def await_owned(self, **expected):
        wait_for(lambda: f"partitions are {self.owned()}, not {expected}", lambda: self.owned() == expected, self.poll)

    def send(self, first, last):
        send(self.lib, self.topic, numbered(first, last))

    def await_handled(self, count):
        wait_for(lambda: f"{len(set(self.seen))} of {count} records are handled", lambda: len(set(self.seen)) >= count, self.poll)

    def expect_nothing_twice(self):
        same("records handled twice", 0, len(self.seen) - len(set(self.seen)))


def share(lib, suffix, **settings):
    """Two share, one leaves, the other has all, a third goes on from what is committed."""
    group = Group(lib, suffix, 4, **settings)
    group.join("a")
    group.await_owned(a=4)
    group.join("b")
    group.await_owned(a=2, b=2)
    group.send(1, 400)
    group.await_handled(400)
    expect(all(group.handled.values()), f"one member has handled everything: {group.handled}")
    group.leave("b")
    group.await_owned(a=4)
    group.send(401, 800)
    group.await_handled(800)
    group.leave("a")
    group.join("c")
    group.send(801, 900)
    group.await_handled(900)
    same("records that the new member handled", 100, group.handled["c"])
    group.leave("c")
    group.expect_nothing_twice()


def group(lib):
    share(lib, "group")


def group_cooperative(lib):
    if not lib.HAS_COOPERATIVE:
        raise Skip("the library has no cooperative assignor")
    share(lib, "cooperative", cooperative=True)


def group_static(lib):
    """A static member that goes without a word and comes back in time: the other one hears nothing of it."""
    if not lib.HAS_STATIC:
        raise Skip("the library has no static members")
    group = Group(lib, "static", 4)
    group.join("a", instance_id="instance-a")
    group.await_owned(a=4)
    group.join("b", instance_id="instance-b")
    group.await_owned(a=2, b=2)
    identity = group.members["a"].identity()
    group.leave("b")
    deadline = time.monotonic() + 2  # more than a few heartbeats
    while time.monotonic() < deadline:
        group.poll()
        same("partitions of the other member", {"a": 2}, group.owned())
    group.join("b", instance_id="instance-b")
    group.await_owned(a=2, b=2)
    group.send(1, 400)
    group.await_handled(400)
    group.expect_nothing_twice()
    same("the other member's identity", identity, group.members["a"].identity())


def partition_of_group(lib, group_name):
    """Java's hash of the group's name."""
    value = 0
    for byte in group_name.encode():
        value = (31 * value + byte) & 0xFFFFFFFF
    return (value & 0x7FFFFFFF) % lib.partitions_of("__consumer_offsets")


def group_killed(lib):
    group = Group(lib, "killed", 1)
    group.send(1, 200)
    group.join("a")
    group.await_handled(200)
    wait_for("200 records do not become committed", lambda: group.members["a"].committed() == 200, group.poll)
    kill_leader("__consumer_offsets", partition_of_group(lib, group.name))
    group.send(201, 400)
    group.await_handled(400)
    wait_for("400 records do not become committed", lambda: group.members["a"].committed() == 400, group.poll)
    group.leave("a")
    group.join("b")
    group.send(401, 450)
    group.await_handled(450)
    same("records that the new member handled", 50, group.handled["b"])


# ---- failures ------------------------------------------------------------------------------------------------------------


def admin(lib):
    return lib.admin_case()


def leader_killed(lib):
    topic, count, step = name("stream"), 20000, 200
    lib.create_topic(topic, 3, {})
    acked, failed, messages = [], [], []
    producer = lib.producer(idempotent=True)
    reader = lib.reader(topic, {p: "earliest" for p in range(3)})
    for first in range(1, count, step):
        for record in numbered(first, first + step - 1):
            producer.send(topic, record, lambda error, record=record: failed.append(error) if error else acked.append(record))
        producer.poll()
        messages += reader.poll()
        if first == count // 2 + 1:
            wait_for("nothing is read before the kill", lambda: messages, lambda: messages.extend(reader.poll()))
            kill_leader(topic, 0)
    producer.flush()
    same("records that were not acknowledged", [], [lib.error_name(error) for error in failed])
    same("acknowledged records", count, len(acked))
    wait_for(lambda: f"{len(messages)} of {count} records are read", lambda: len(messages) >= count, lambda: messages.extend(reader.poll()))
    expect_numbered(messages, count)
    expect_numbered(read_all(lib, topic), count)


def txn_refused(lib):
    topic = name("txn")
    lib.create_topic(topic, 1, {})
    begin = time.monotonic()
    try:
        lib.transaction(topic, topic)
    except Exception as error:
        expect(time.monotonic() - begin < 30, f"an answer only after {time.monotonic() - begin:.0f} s: {error}")
        return f"refused: {lib.error_name(error)}"
    return "served"


# Those that leave a node down come last.
CASES = [
    *((f"codec-{codec_name}", codec(codec_name)) for codec_name in ("none", "gzip", "snappy", "lz4", "zstd")),
    ("headers", headers),
    ("null-key-value", null_key_value),
    ("big-record", big_record),
    ("idempotence", idempotence),
    ("partitioner", partitioner),
    ("offsets", offsets),
    ("group", group),
    ("group-cooperative", group_cooperative),
    ("group-static", group_static),
    ("admin", admin),
    ("txn-refused", txn_refused),
    ("group-killed", group_killed),
    ("leader-killed", leader_killed),
]
