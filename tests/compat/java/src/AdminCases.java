import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What an operator's program asks, and the exceptions by which it learns that it cannot be. */
final class AdminCases {
    private AdminCases() {}

    static void addTo(Map<String, Matrix.Case> cases) { cases.put("admin", AdminCases::admin); }

    private static void admin(Lab lab) throws Exception {
        String topic = lab.topic("admin", 2, 3, "retention.ms", "86400000", "cleanup.policy", "delete");
        try (AdminClient admin = lab.admin()) {
            cluster(admin);
            topic(admin, topic);
            configs(admin, topic);
            refusals(admin, lab, topic);
            groups(lab, admin, topic);
            records(lab, admin, topic);
            admin.deleteTopics(Collections.singleton(topic)).all().get();
            Check.await("the topic is gone", 20, () -> !admin.listTopics().names().get().contains(topic));
        }
    }

    private static void cluster(AdminClient admin) throws Exception {
        Check.same("the nodes of the cluster", 3, admin.describeCluster().nodes().get().size());
        Check.that(admin.describeCluster().controller().get() != null, "no controller is known");
        Check.same("the length of the cluster's id", 22, admin.describeCluster().clusterId().get().length());
    }

    private static void topic(AdminClient admin, String topic) throws Exception {
        Check.that(admin.listTopics().names().get().contains(topic), topic + " is not listed");
        Check.that(admin.listTopics().namesToListings().get().values().stream().noneMatch(listing -> listing.isInternal()),
            "internal topics are listed unasked");
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        Check.await("two partitions more", 20, () -> ClientApi.describe(admin, topic).get().partitions().size() == 4);
        TopicDescription described = ClientApi.describe(admin, topic).get();
        Check.that(!described.isInternal(), topic + " is said to be internal");
        described.partitions().forEach(p -> {
            Check.that(p.leader() != null, "partition " + p.partition() + " has no leader");
            Check.same("the replicas of partition " + p.partition(), 3, p.replicas().size());
        });
    }

    private static ConfigResource resource(String topic) { return new ConfigResource(ConfigResource.Type.TOPIC, topic); }

    private static Config configOf(AdminClient admin, ConfigResource resource) throws Exception {
        return admin.describeConfigs(Collections.singleton(resource)).all().get().get(resource);
    }

    private static void configs(AdminClient admin, String topic) throws Exception {
        Config before = configOf(admin, resource(topic));
        Check.same("retention.ms", "86400000", before.get("retention.ms").value());
        Check.that(!before.get("retention.ms").isDefault(), "retention.ms is said to be a default");
        Check.that(before.get("segment.bytes").isDefault(), "segment.bytes is not said to be a default");
        ClientApi.setConfig(admin, resource(topic), "retention.ms", "172800000").get();
        Check.await("the new retention.ms", 20,
            () -> configOf(admin, resource(topic)).get("retention.ms").value().equals("172800000"));
        int broker = admin.describeCluster().nodes().get().iterator().next().id();
        Config ofBroker = configOf(admin, new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(broker)));
        Check.that(ofBroker.get("log.dirs").isReadOnly(), "log.dirs of a broker is not read-only");
        Check.fails("a config that does not exist", InvalidConfigurationException.class,
            ClientApi.setConfig(admin, resource(topic), "retention.msec", "1"));
        Check.fails("a wrong value", InvalidConfigurationException.class,
            ClientApi.setConfig(admin, resource(topic), "retention.ms", "soon"));
    }

    private static KafkaFuture<Void> create(AdminClient admin, String name, int partitions, int replicas) {
        return admin.createTopics(Collections.singleton(new NewTopic(name, partitions, (short) replicas))).all();
    }

    private static void refusals(AdminClient admin, Lab lab, String topic) {
        String other = lab.name("other");
        Check.fails("create it again", TopicExistsException.class, create(admin, topic, 1, 1));
        Check.fails("no partitions", InvalidPartitionsException.class, create(admin, other, 0, 1));
        Check.fails("nine replicas on three nodes", InvalidReplicationFactorException.class, create(admin, other, 1, 9));
        Check.fails("a name with a space", InvalidTopicException.class, create(admin, "a b", 1, 1));
        Check.fails("an unknown config", InvalidConfigurationException.class,
            admin.createTopics(Collections.singleton(new NewTopic(other, 1, (short) 1).configs(Map.of("no.such", "1")))).all());
        Check.fails("fewer partitions", InvalidPartitionsException.class,
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
        Check.fails("partitions of an unknown topic", UnknownTopicOrPartitionException.class,
            admin.createPartitions(Map.of(other, NewPartitions.increaseTo(3))).all());
        Check.fails("describe an unknown topic", UnknownTopicOrPartitionException.class, ClientApi.describe(admin, other));
        Check.fails("the configs of an unknown topic", UnknownTopicOrPartitionException.class,
            admin.describeConfigs(Collections.singleton(resource(other))).all());
        Check.fails("delete an unknown topic", UnknownTopicOrPartitionException.class,
            admin.deleteTopics(Collections.singleton(other)).all());
    }

    private static void groups(Lab lab, AdminClient admin, String topic) throws Exception {
        String group = lab.name("admin");
        Collection<String> named = Collections.singleton(group);
        GroupCases.produce(lab, topic, 0, 100);
        Map<Integer, Integer> read = new HashMap<>();
        try (Member member = new Member(lab, group, topic, read, "client.id", "clerk")) {
            Member.awaitReadOnce(read, 100, member);
            ConsumerGroupDescription described = admin.describeConsumerGroups(named).all().get().get(group);
            Check.same("the state", "Stable", described.state().toString());
            Check.same("the assignor", "range", described.partitionAssignor());
            Check.same("the members' client ids", List.of("clerk"),
                described.members().stream().map(m -> m.clientId()).collect(Collectors.toList()));
            Check.same("the partitions of the member", 4, described.members().iterator().next().assignment().topicPartitions().size());
            Check.fails("delete it", GroupNotEmptyException.class, admin.deleteConsumerGroups(named).all());
            member.consumer.commitSync();
        }
        Check.that(admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group)), "the group is not listed");
        Check.same("committed partitions", 4, GroupCases.committed(lab, group).size());
        admin.deleteConsumerGroups(named).all().get();
        Check.fails("delete it again", GroupIdNotFoundException.class, admin.deleteConsumerGroups(named).all());
    }

    private static void records(Lab lab, AdminClient admin, String topic) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        long low = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(10))).lowWatermarks().get(partition).get().lowWatermark();
        Check.same("the low watermark", 10L, low);
        Check.same("the first offset that is read", 10L, lab.readAll(topic, 1).get(0).get(0).offset());
        Check.fails("delete records that do not exist", OffsetOutOfRangeException.class,
            admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(1000))).all());
    }
}
