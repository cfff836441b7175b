"""What tests/compat/wire_diff.py --three asks node 0 of both clusters of three nodes, in the form of wire_cases.py: what one node cannot show.

Replicas are assigned by the cases, so that both clusters have the same leaders: partition P of "spread" is led by node P.
"""
import wire_cases as w

TOPICS = [("spread", ((0, [0, 1, 2]), (1, [1, 2, 0]), (2, [2, 0, 1])), ()), ("two", ((0, [0, 1]), (1, [1, 2])), ()), ("elsewhere", ((0, [1]), (1, [2])), ()),
          ("moves", ((0, [0, 1]), (1, [1, 2]), (2, [2, 0])), ()), ("strict", ((0, [0, 1]),), (("min.insync.replicas", "3"),))]
CASES = []


def case(api, name, build, first=0, last=99):
    CASES.append((api, name, build, first, last))


def table(api, requests, first=0):
    for name, request in requests.items():
        case(api, name, lambda peer, version, request=request: request, first)


def assigned(peer, *replicas, check_only=False, name="assigned"):
    return w.create(peer, name, partitions=-1, replicas=-1, assignments=tuple(enumerate(replicas)), only_check=check_only)


for partition_ in (0, 1, 2):
    case("Produce", f"to the leader {partition_}", lambda peer, v, p=partition_: w.produce(peer, v, w.batch(), "spread", p))
    case("Fetch", f"from the leader {partition_}", lambda peer, v, p=partition_: w.fetch(peer, v, "spread", Partition=p))
    case("Fetch", f"leader {partition_}, epoch 5", lambda peer, v, p=partition_: w.fetch(peer, v, "spread", Partition=p, CurrentLeaderEpoch=5), first=9)
case("Produce", "to who has no replica", lambda peer, v: w.produce(peer, v, w.batch(), "elsewhere", 1))
case("Produce", "to who has no replica, acks 1", lambda peer, v: w.produce(peer, v, w.batch(), "elsewhere", 1, acks=1))
case("Produce", "too few in sync", lambda peer, v: w.produce(peer, v, w.batch(), "strict"))
case("Produce", "too few in sync, acks 1", lambda peer, v: w.produce(peer, v, w.batch(), "strict", acks=1))
case("Fetch", "who has no replica", lambda peer, v: w.fetch(peer, v, "elsewhere", Partition=1))
case("Fetch", "in a rack", lambda peer, v: w.fetch(peer, v, "spread", top={"RackId": "r"}), first=11)
table("ListOffsets", {**{f"leader {p}": w.list_offsets(-1, "spread", (p,)) for p in (1, 2)}, "no replica": w.list_offsets(-1, "elsewhere", (1,)),
                      "the debugging replica": {**w.list_offsets(-1, "spread", (1,)), "ReplicaId": -2}})
table("OffsetForLeaderEpoch", {**{f"leader {p}": w.epoch_end(0, "spread", p) for p in (1, 2)}, "no replica": w.epoch_end(0, "elsewhere", 1)})
table("Metadata", {"spread": w.metadata("spread"), "elsewhere": w.metadata("elsewhere"), "all of them": w.metadata("spread", "two", "elsewhere", "strict")})
table("DescribeCluster", {"brokers": {}})
table("DescribeTopicPartitions", {"spread": {"Topics": [{"Name": "spread"}]}, "a page": {"Topics": [{"Name": "spread"}, {"Name": "two"}], "ResponsePartitionLimit": 4}})
case("CreateTopics", "assigned", lambda peer, v: assigned(peer, [2, 1, 0], [1, 0, 2]))
case("CreateTopics", "assigned, check only", lambda peer, v: assigned(peer, [2, 1], [1, 0], check_only=True))
case("CreateTopics", "assigned unevenly", lambda peer, v: assigned(peer, [0, 1], [2]))
case("CreateTopics", "assigned twice to one", lambda peer, v: assigned(peer, [0, 1, 0]))
case("CreateTopics", "assigned to a fourth", lambda peer, v: assigned(peer, [0, 1, 3]))
case("CreateTopics", "assigned to -1", lambda peer, v: assigned(peer, [0, -1]))
for replicas_ in (1, 2, 3, 4, -1):
    case("CreateTopics", f"{replicas_} replicas", lambda peer, v, r=replicas_: w.create(peer, "of", partitions=2, replicas=r, only_check=True), first=4)
table("CreatePartitions", {
    "one more": w.grow("two", 3, [[2, 0]], only_check=True), "one replica too many": w.grow("two", 3, [[2, 0, 1]], only_check=True),
    "one too few": w.grow("two", 3, [[2]], only_check=True), "twice on one": w.grow("two", 3, [[2, 2]], only_check=True), "a fourth": w.grow("two", 3, [[2, 3]], only_check=True),
    "unevenly": w.grow("two", 4, [[2, 0], [1]], only_check=True),
})
table("DeleteRecords", {f"leader {p}": w.cut("spread", (p, 0)) for p in (0, 1, 2)})
table("DeleteRecords", {"no replica": w.cut("elsewhere", (1, 0))})
table("DescribeProducers", {**{f"leader {p}": {"Topics": [{"Name": "spread", "PartitionIndexes": [p]}]} for p in (1, 2)},
                            "no replica": {"Topics": [{"Name": "elsewhere", "PartitionIndexes": [1]}]}})
table("DescribeLogDirs", {"spread": {"Topics": [{"Topic": "spread", "Partitions": [0, 1, 2]}]}, "elsewhere": {"Topics": [{"Topic": "elsewhere", "Partitions": [0, 1]}]}})
table("DescribeQuorum", {"plain": {"Topics": [w.QUORUM]}})
table("DescribeConfigs", {"another broker": w.describe(4, "1", ["log.retention.ms"]), "a fourth": w.describe(4, "3", ["log.retention.ms"])})
for alters_ in ("AlterConfigs", "IncrementalAlterConfigs"):
    table(alters_, {"another broker": w.alter(4, "1", ("log.retention.ms", "777"), only_check=True), "a fourth": w.alter(4, "3", ("log.retention.ms", "777"), only_check=True)})
table("ElectLeaders", {"preferred": w.elect(0, 1, 2, topic="spread"), "unclean": w.elect(0, 1, 2, topic="spread", kind=1), "one too many": w.elect(0, 3, topic="spread")})
table("AlterPartitionReassignments", {
    "as it is": w.move((0, [0, 1]), topic="moves"), "to a fourth": w.move((0, [0, 3]), topic="moves"), "twice to one": w.move((0, [1, 1]), topic="moves"),
    "to nobody": w.move((0, []), topic="moves"), "to -1": w.move((0, [0, -1]), topic="moves"), "cancel what is not there": w.move((0, None), topic="spread"),
    "one good, one bad": w.move((0, [0, 1]), (9, [0, 1]), topic="moves"), "another order": w.move((1, [2, 1]), topic="moves"),
    "another replica": w.move((0, [0, 2]), topic="moves"), "one more": w.move((2, [2, 0, 1]), topic="moves"), "one less": w.move((2, [2, 0]), topic="moves"),
})
case("AlterPartitionReassignments", "another factor", lambda peer, v: w.move((1, [0, 1, 2]), topic="moves", AllowReplicationFactorChange=False), first=1)
table("ListPartitionReassignments", {"nothing moves": {"Topics": [{"Name": "spread", "PartitionIndexes": [0, 1, 2]}], "TimeoutMs": 1000}})
table("UnregisterBroker", {"a fourth": {"BrokerId": 3}})
