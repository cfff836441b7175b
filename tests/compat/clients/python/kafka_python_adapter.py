"""kafka-python (pure Python) behind the interface of cases.py."""

import concurrent.futures

import kafka
from kafka import errors
from kafka.admin import ConfigResource
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.partitioner.default import murmur2
from kafka.structs import OffsetAndMetadata, TopicPartition

from kit import Message, bootstrap, expect, expect_error, name, same

HAS_COOPERATIVE = True
HAS_STATIC = True
UNSENT_HEADERS, UNSENT_RECORDS = [("null", None)], [(None, None)]
TOO_LARGE = "MessageSizeTooLargeError"
WAIT_S = 20


def version():
    return f"kafka-python {kafka.__version__}"


def error_name(error):
    return type(error).__name__


def servers():
    return {"bootstrap_servers": bootstrap().split(",")}


def create_topic(topic, partitions, configs):
    options = {"num_partitions": partitions, "replication_factor": 3, "configs": {"min.insync.replicas": "2", **configs}}
    with kafka.KafkaAdminClient(**servers()) as client:
        client.create_topics({topic: options})


def partitions_of(topic):
    with kafka.KafkaAdminClient(**servers()) as client:
        return len(client.describe_topics([topic])[0]["partitions"])


class Producer:
    def __init__(self, codec="none", idempotent=False, record_bytes_max=1048576, **settings):
        basic = {"acks": "all", "enable_idempotence": idempotent, "max_request_size": record_bytes_max, "linger_ms": 5}
        self.client = kafka.KafkaProducer(**servers(), **basic, compression_type=None if codec == "none" else codec, **settings)

    def send(self, topic, record, done):
        future = self.client.send(topic, value=record.value, key=record.key, headers=list(record.headers), partition=record.partition,
                                  timestamp_ms=record.timestamp_ms)
        future.add_callback(lambda _: done(None)).add_errback(done)

    def poll(self):
        """Its own thread sends."""

    def flush(self):
        self.client.flush(WAIT_S)


def producer(**options):
    return Producer(**options)


def messages_of(polled):
    return [Message(m.partition, m.offset, m.key, m.value, m.headers, m.timestamp) for records in polled.values() for m in records]


class Reader:
    def __init__(self, topic, offsets):
        self.client = kafka.KafkaConsumer(**servers(), enable_auto_commit=False)
        self.client.assign([TopicPartition(topic, p) for p in offsets])
        for partition, offset in offsets.items():
            special = {"earliest": self.client.seek_to_beginning, "latest": self.client.seek_to_end}
            if offset in special:
                special[offset](TopicPartition(topic, partition))
            else:
                self.client.seek(TopicPartition(topic, partition), offset)

    def poll(self):
        return messages_of(self.client.poll(timeout_ms=100, max_records=1000))

    def seek(self, topic, partition, offset):
        self.client.seek(TopicPartition(topic, partition), offset)

    def close(self):
        self.client.close()


def reader(topic, offsets):
    return Reader(topic, offsets)


def offset_for_time(topic, partition, time_ms):
    at = TopicPartition(topic, partition)
    with kafka.KafkaConsumer(**servers()) as client:
        found = client.offsets_for_times({at: time_ms})[at]
    return found and found.offset


def first_and_last(topic, partition):
    at = TopicPartition(topic, partition)
    with kafka.KafkaConsumer(**servers()) as client:
        return client.beginning_offsets([at])[at], client.end_offsets([at])[at]


class Member:
    """Polls in a thread of its own, long each time, as applications do: 3.0.12 loses an assignment that comes when poll() has just
    given up waiting for it, and says that it has none for ever after."""

    def __init__(self, group, topic, cooperative=False, instance_id=None):
        assignor = CooperativeStickyAssignor if cooperative else RangePartitionAssignor
        self.topic, self.client = topic, kafka.KafkaConsumer(
            topic, **servers(), group_id=group, auto_offset_reset="earliest", session_timeout_ms=6000, heartbeat_interval_ms=300,
            auto_commit_interval_ms=200, partition_assignment_strategy=[assignor], group_instance_id=instance_id)
        self.thread = concurrent.futures.ThreadPoolExecutor(1)
        self.polled = self.ask(self.client.poll, timeout_ms=2000, max_records=1000)

    def ask(self, call, *arguments, **options):
        return self.thread.submit(call, *arguments, **options)

    def poll(self):
        if not concurrent.futures.wait([self.polled], 0.02).done:
            return []
        messages = messages_of(self.polled.result())
        self.polled = self.ask(self.client.poll, timeout_ms=2000, max_records=1000)
        return messages

    def owned(self):
        return len(self.client.assignment())

    def committed(self):
        return self.ask(self.client.committed, TopicPartition(self.topic, 0)).result()

    def identity(self):
        return self.client.group_metadata().member_id

    def close(self):
        messages = messages_of(self.polled.result())
        self.ask(self.client.close).result()
        self.thread.shutdown()
        return messages


def member(group, topic, **settings):
    return Member(group, topic, **settings)


def partitioners():
    """murmur2 as in Java is its default."""
    return {"murmur2": ({}, lambda key, count: (murmur2(key) & 0x7FFFFFFF) % count)}


def transaction(topic, transactional_id):
    client = kafka.KafkaProducer(**servers(), transactional_id=transactional_id, max_block_ms=WAIT_S * 1000)
    client.init_transactions()
    client.begin_transaction()
    client.send(topic, value=b"value")
    client.commit_transaction()


# ---- admin ---------------------------------------------------------------------------------------------------------------


def config_of(client, topic, key):
    return client.describe_configs([ConfigResource("topic", topic)], config_filter="all")["topic"][topic][key]["value"]


def refused(what, expected, call):
    expect_error(what, expected, call, error_name)


def admin_topics(client, topic):
    absent = name("absent")
    client.create_topics({topic: {"num_partitions": 3, "replication_factor": 3, "configs": {"retention.ms": "86400000"}}})
    refused("create it again", "TopicAlreadyExistsError", lambda: client.create_topics([topic]))
    refused("more replicas than nodes", "InvalidReplicationFactorError", lambda: client.create_topics({absent: {"replication_factor": 9}}))
    refused("a name that is not allowed", "InvalidTopicError", lambda: client.create_topics(["a b"]))
    same("retention.ms", "86400000", config_of(client, topic, "retention.ms"))
    client.alter_configs([ConfigResource("topic", topic, {"retention.ms": "3600000"})])
    same("retention.ms", "3600000", config_of(client, topic, "retention.ms"))
    client.create_partitions({topic: 5})
    refused("fewer partitions", "InvalidPartitionsError", lambda: client.create_partitions({topic: 2}))
    described = client.describe_topics([topic])[0]["partitions"]
    same("partitions and replicas", [3] * 5, [len(partition["isr_nodes"]) for partition in described])
    expect(topic in client.list_topics(), "the topic is not listed")
    refused("delete an unknown topic", "UnknownTopicOrPartitionError", lambda: client.delete_topics([absent]))


def admin_records(client, topic):
    first, writer = TopicPartition(topic, 0), kafka.KafkaProducer(**servers())
    for i in range(10):
        writer.send(topic, value=str(i).encode(), partition=0)
    writer.flush(WAIT_S)
    same("records below 4 are deleted", 4, client.delete_records({first: 4})[first]["low_watermark"])
    same("first and last offset", (4, 10), first_and_last(topic, 0))
    client.elect_leaders(0, {topic: [0]})
    expect(client.describe_log_dirs(), "no log directories are described")


def admin_groups(client, topic):
    group, first = name("admin-group"), TopicPartition(topic, 0)
    with kafka.KafkaConsumer(**servers(), group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign([first])
        consumer.commit({first: OffsetAndMetadata(7, "text", -1)})
    expect(group in [one["group_id"] for one in client.list_groups()], "the group is not listed")
    same("state", "Empty", client.describe_groups([group])[group]["group_state"])
    found = client.list_group_offsets({group: [first]})[group][first]
    same("offset and metadata", (7, "text"), (found.offset, found.metadata))
    client.alter_group_offsets(group, {first: OffsetAndMetadata(3, "", -1)})
    same("altered offset", 3, client.list_group_offsets({group: None})[group][first].offset)
    client.delete_group_offsets(group, [first])
    same("offsets after deleting one", {}, client.list_group_offsets({group: None})[group])
    same("delete a group", {group: "OK"}, client.delete_groups([group]))
    same("delete it again", {group: errors.GroupIdNotFoundError.__name__}, client.delete_groups([group]))


def admin_case():
    topic = name("admin")
    with kafka.KafkaAdminClient(**servers()) as client:
        cluster = client.describe_cluster()
        expect(len(cluster["brokers"]) == 3 and len(cluster["cluster_id"]) == 22, f"the cluster is described as {cluster}")
        admin_topics(client, topic)
        admin_records(client, topic)
        admin_groups(client, topic)
        client.delete_topics([topic])
        refused("delete it again", "UnknownTopicOrPartitionError", lambda: client.delete_topics([topic]))
