"""confluent-kafka (librdkafka in a wheel) behind the interface of cases.py."""

import functools
import zlib

import confluent_kafka as ck
from confluent_kafka import admin

from kit import Message, bootstrap, expect, expect_error, name, same

HAS_COOPERATIVE = True
HAS_STATIC = True
UNSENT_HEADERS, UNSENT_RECORDS = [], []
TOO_LARGE = "MSG_SIZE_TOO_LARGE"
WAIT_S = 20


def version():
    return f"confluent-kafka {ck.version()[0] if isinstance(ck.version(), tuple) else ck.version()} (librdkafka {ck.libversion()[0]})"


def error_name(error):
    if isinstance(error, ck.KafkaException):
        error = error.args[0]
    return error.name() if isinstance(error, ck.KafkaError) else type(error).__name__


def conf(**settings):
    return {"bootstrap.servers": bootstrap(), "log_level": 0, **settings}


@functools.cache  # a client that is collected gives up what it was asked
def admin_client():
    return admin.AdminClient(conf())


def create_topic(topic, partitions, configs):
    new = admin.NewTopic(topic, num_partitions=partitions, replication_factor=3, config={"min.insync.replicas": "2", **configs})
    admin_client().create_topics([new])[topic].result(WAIT_S)


def partitions_of(topic):
    return len(admin_client().list_topics(topic, WAIT_S).topics[topic].partitions)


class Producer:
    def __init__(self, codec="none", idempotent=False, record_bytes_max=1000000, **settings):
        basic = {"acks": "all", "compression.type": codec, "enable.idempotence": idempotent, "message.max.bytes": record_bytes_max}
        self.client = ck.Producer(conf(**basic, **settings))

    def send(self, topic, record, done):
        partition = {} if record.partition is None else {"partition": record.partition}
        stamp = {} if record.timestamp_ms is None else {"timestamp": record.timestamp_ms}
        self.client.produce(topic, value=record.value, key=record.key, headers=list(record.headers), **partition, **stamp,
                            on_delivery=lambda error, _: done(error and ck.KafkaException(error)))

    def poll(self):
        self.client.poll(0.01)

    def flush(self):
        expect(self.client.flush(WAIT_S) == 0, "the producer did not send everything in time")


def producer(**options):
    return Producer(**options)


def message_of(message):
    if message.error():
        raise ck.KafkaException(message.error())
    return Message(message.partition(), message.offset(), message.key(), message.value(), message.headers() or [], message.timestamp()[1])


def is_news(message):
    """Not of a connection that ended: the client heals that itself."""
    return not message.error() or message.error().code() not in (ck.KafkaError._TRANSPORT, ck.KafkaError._ALL_BROKERS_DOWN)


class Reader:
    def __init__(self, topic, offsets):
        special = {"earliest": ck.OFFSET_BEGINNING, "latest": ck.OFFSET_END}
        self.client = ck.Consumer(conf(**{"group.id": topic, "enable.auto.commit": False}))
        self.client.assign([ck.TopicPartition(topic, p, special.get(offset, offset)) for p, offset in offsets.items()])

    def poll(self):
        return [message_of(message) for message in self.client.consume(1000, 0.1) if is_news(message)]

    def seek(self, topic, partition, offset):
        self.client.seek(ck.TopicPartition(topic, partition, offset))

    def close(self):
        self.client.close()


def reader(topic, offsets):
    return Reader(topic, offsets)


def offset_for_time(topic, partition, time_ms):
    client = ck.Consumer(conf(**{"group.id": topic}))
    found = client.offsets_for_times([ck.TopicPartition(topic, partition, time_ms)], WAIT_S)[0].offset
    client.close()
    return None if found == ck.OFFSET_END else found


def first_and_last(topic, partition):
    client = ck.Consumer(conf(**{"group.id": topic}))
    found = client.get_watermark_offsets(ck.TopicPartition(topic, partition), WAIT_S)
    client.close()
    return found


class Member:
    def __init__(self, group, topic, cooperative=False, instance_id=None):
        settings = {"group.id": group, "auto.offset.reset": "earliest", "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
                    "auto.commit.interval.ms": 200, "partition.assignment.strategy": "cooperative-sticky" if cooperative else "range"}
        if instance_id:
            settings["group.instance.id"] = instance_id
        self.topic, self.client = topic, ck.Consumer(conf(**settings))
        self.client.subscribe([topic])

    def poll(self):
        return [message_of(message) for message in self.client.consume(1000, 0.02) if is_news(message)]

    def owned(self):
        return len(self.client.assignment())

    def committed(self):
        try:
            return self.client.committed([ck.TopicPartition(self.topic, 0)], 5)[0].offset
        except ck.KafkaException:  # the coordinator moves
            return None

    def identity(self):
        return self.client.memberid()

    def close(self):
        self.client.close()
        return []


def member(group, topic, **settings):
    return Member(group, topic, **settings)


def partitioners():
    """CRC-32 is librdkafka's default."""
    return {"consistent": ({"partitioner": "consistent"}, lambda key, count: zlib.crc32(key) % count)}


def transaction(topic, transactional_id):
    client = ck.Producer(conf(**{"transactional.id": transactional_id}))
    client.init_transactions(WAIT_S)
    client.begin_transaction()
    client.produce(topic, value=b"value")
    client.commit_transaction(WAIT_S)


# ---- admin ---------------------------------------------------------------------------------------------------------------


def config_of(client, topic, key):
    resource = admin.ConfigResource(admin.ResourceType.TOPIC, topic)
    return client.describe_configs([resource])[resource].result(WAIT_S)[key].value


def alter_config(client, topic, key, value):
    entry = admin.ConfigEntry(key, value, incremental_operation=admin.AlterConfigOpType.SET)
    resource = admin.ConfigResource(admin.ResourceType.TOPIC, topic, incremental_configs=[entry])
    return client.incremental_alter_configs([resource])[resource].result(WAIT_S)


def refused(what, expected, futures):
    for future in futures.values():
        expect_error(what, expected, lambda future=future: future.result(WAIT_S), error_name)


def admin_topics(client, topic):
    absent, new = name("absent"), admin.NewTopic
    client.create_topics([new(topic, 3, 3, config={"retention.ms": "86400000"})])[topic].result(WAIT_S)
    refused("create it again", "TOPIC_ALREADY_EXISTS", client.create_topics([new(topic, 3, 3)]))
    refused("more replicas than nodes", "INVALID_REPLICATION_FACTOR", client.create_topics([new(absent, 1, 9)]))
    refused("a name that is not allowed", "TOPIC_EXCEPTION", client.create_topics([new("a b", 1, 1)]))
    same("retention.ms", "86400000", config_of(client, topic, "retention.ms"))
    alter_config(client, topic, "retention.ms", "3600000")
    same("retention.ms", "3600000", config_of(client, topic, "retention.ms"))
    expect_error("a wrong value", "INVALID_CONFIG", lambda: alter_config(client, topic, "retention.ms", "soon"), error_name)
    client.create_partitions([admin.NewPartitions(topic, 5)])[topic].result(WAIT_S)
    refused("fewer partitions", "INVALID_PARTITIONS", client.create_partitions([admin.NewPartitions(topic, 2)]))
    described = client.describe_topics(ck.TopicCollection([topic]))[topic].result(WAIT_S)
    same("partitions and replicas", [3] * 5, [len(partition.isr) for partition in described.partitions])
    refused("an unknown topic", "UNKNOWN_TOPIC_OR_PART", client.describe_topics(ck.TopicCollection([absent])))


def admin_records(client, topic):
    writer, first = ck.Producer(conf()), ck.TopicPartition(topic, 0)
    for i in range(10):
        writer.produce(topic, value=str(i), partition=0)
    writer.flush(WAIT_S)
    same("records below 4 are deleted", 4, client.delete_records([ck.TopicPartition(topic, 0, 4)])[first].result(WAIT_S).low_watermark)
    for spec, expected in ((admin.OffsetSpec.earliest(), 4), (admin.OffsetSpec.latest(), 10)):
        same("offset listed", expected, client.list_offsets({first: spec})[first].result(WAIT_S).offset)
    refused("leaders that are elected already", "ELECTION_NOT_NEEDED",
            {0: ElectionOf(client.elect_leaders(ck.ElectionType.PREFERRED, [first]), first)})


class ElectionOf:
    """One partition's result of an election, as a future."""

    def __init__(self, future, partition):
        self.future, self.partition = future, partition

    def result(self, timeout):
        error = self.future.result(timeout)[self.partition]
        if error:
            raise ck.KafkaException(error)


def admin_groups(client, topic):
    group, offset = name("admin-group"), ck.TopicPartition(topic, 0, 7)
    consumer = ck.Consumer(conf(**{"group.id": group}))
    consumer.commit(offsets=[offset], asynchronous=False)
    consumer.close()
    listed = client.list_consumer_groups().result(WAIT_S)
    expect(group in [one.group_id for one in listed.valid] and not listed.errors, "the group is not listed")
    same("state", "EMPTY", client.describe_consumer_groups([group])[group].result(WAIT_S).state.name)
    of = ck.ConsumerGroupTopicPartitions
    same("offset", 7, client.list_consumer_group_offsets([of(group, [ck.TopicPartition(topic, 0)])])[group].result(WAIT_S).topic_partitions[0].offset)
    client.alter_consumer_group_offsets([of(group, [ck.TopicPartition(topic, 0, 3)])])[group].result(WAIT_S)
    same("altered offset", 3, client.list_consumer_group_offsets([of(group)])[group].result(WAIT_S).topic_partitions[0].offset)
    client.delete_consumer_groups([group])[group].result(WAIT_S)
    refused("delete it again", "GROUP_ID_NOT_FOUND", client.delete_consumer_groups([group]))


def admin_case():
    client, topic = admin_client(), name("admin")
    cluster = client.describe_cluster().result(WAIT_S)
    expect(len(cluster.nodes) == 3 and cluster.controller and len(cluster.cluster_id) == 22, f"the cluster is described as {cluster.nodes}")
    admin_topics(client, topic)
    admin_records(client, topic)
    admin_groups(client, topic)
    client.delete_topics([topic])[topic].result(WAIT_S)
    refused("delete it again", "UNKNOWN_TOPIC_OR_PART", client.delete_topics([topic]))
