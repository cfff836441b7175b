import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Consumer groups: sharing, handing over, going on where it was. */
final class GroupCases {
    private static final int PARTITIONS = 4;
    private static final String[] COOPERATIVE =
        {"partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"};

    private GroupCases() {}

    static void addTo(Map<String, Matrix.Case> cases) {
        cases.put("group", GroupCases::group);
        cases.put("group-cooperative", GroupCases::cooperative);
        cases.put("group-static", GroupCases::staticMembers);
    }

    /** The numbers from `first` up to `end`, a fourth to each partition. */
    static void produce(Lab lab, String topic, int first, int end) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = lab.producer()) {
            for (int i = first; i < end; i++) {
                producer.send(new ProducerRecord<>(topic, i % PARTITIONS, null, RecordCases.bytes(i)));
            }
        }
    }

    static Map<TopicPartition, OffsetAndMetadata> committed(Lab lab, String group) throws Exception {
        try (AdminClient admin = lab.admin()) {
            ListConsumerGroupOffsetsOptions soon = new ListConsumerGroupOffsetsOptions().timeoutMs(8000);
            return admin.listConsumerGroupOffsets(group, soon).partitionsToOffsetAndMetadata().get();
        }
    }

    private static long committedSum(Lab lab, String group) throws Exception {
        return committed(lab, group).values().stream().mapToLong(OffsetAndMetadata::offset).sum();
    }

    private static void group(Lab lab) throws Exception {
        String topic = lab.topic("group", PARTITIONS, 3);
        String group = lab.name("group");
        Map<Integer, Integer> read = new HashMap<>();
        produce(lab, topic, 0, 400);
        try (Member first = new Member(lab, group, topic, read)) {
            Member.awaitShares(new int[] {4}, first);
            try (Member second = new Member(lab, group, topic, read)) {
                Member.awaitShares(new int[] {2, 2}, first, second);
                Member.awaitReadOnce(read, 400, first, second);
                produce(lab, topic, 400, 500);
                Member.awaitReadOnce(read, 500, first, second);
                second.consumer.commitSync();
            }
            Member.awaitShares(new int[] {4}, first);
            produce(lab, topic, 500, 600);
            Member.awaitReadOnce(read, 600, first);
            first.consumer.commitSync();
        }
        Check.same("the committed offsets, added up", 600L, committedSum(lab, group));
        try (Member third = new Member(lab, group, topic, read)) {
            produce(lab, topic, 600, 640);
            Member.awaitReadOnce(read, 640, third);
        }
    }

    private static void cooperative(Lab lab) throws Exception {
        if (!ClientApi.HAS_COOPERATIVE) throw new Check.Skip("the library is older than the cooperative protocol (2.4)");
        String topic = lab.topic("cooperative", PARTITIONS, 3);
        String group = lab.name("cooperative");
        Map<Integer, Integer> read = new HashMap<>();
        produce(lab, topic, 0, 400);
        try (Member first = new Member(lab, group, topic, read, COOPERATIVE)) {
            Member.awaitShares(new int[] {4}, first);
            Set<Integer> before = new HashSet<>(first.owned);
            try (Member second = new Member(lab, group, topic, read, COOPERATIVE)) {
                Member.awaitShares(new int[] {2, 2}, first, second);
                Check.same("the partitions that the first gave up", 2, first.revoked);
                Check.that(before.containsAll(first.owned), "the first got partitions that it had not had");
                Member.awaitReadOnce(read, 400, first, second);
            }
            Member.awaitShares(new int[] {4}, first);
            produce(lab, topic, 400, 480);
            Member.awaitReadOnce(read, 480, first);
            Check.same("the partitions that the first ever gave up", 2, first.revoked);
        }
    }

    private static String[] instance(String name) {
        return new String[] {"group.instance.id", name, "session.timeout.ms", "20000"};
    }

    /** A static member that comes back within its session's timeout gets its partitions back, and nobody notices. */
    private static void staticMembers(Lab lab) throws Exception {
        if (ClientApi.FENCED == null) throw new Check.Skip("the library is older than static members (2.3)");
        String topic = lab.topic("static", PARTITIONS, 3);
        String group = lab.name("static");
        Map<Integer, Integer> read = new HashMap<>();
        produce(lab, topic, 0, 400);
        try (Member stays = new Member(lab, group, topic, read, instance("stays"))) {
            Set<Integer> owned;
            int revoked;
            try (Member goes = new Member(lab, group, topic, read, instance("goes"))) {
                Member.awaitShares(new int[] {2, 2}, stays, goes);
                Member.awaitReadOnce(read, 400, stays, goes);
                owned = new HashSet<>(goes.owned);
                revoked = stays.revoked;
                goes.consumer.commitSync();
            }
            try (Member again = new Member(lab, group, topic, read, instance("goes"))) {
                Member.awaitShares(new int[] {2, 2}, stays, again);
                Check.same("the partitions of the member that came back", owned, again.owned);
                Check.same("the partitions that the other gave up meanwhile", revoked, stays.revoked);
                produce(lab, topic, 400, 480);
                Member.awaitReadOnce(read, 480, stays, again);
                fences(lab, group, topic, stays, again);
            }
        }
    }

    /** A second consumer with the same instance id takes the first one's place. */
    private static void fences(Lab lab, String group, String topic, Member stays, Member old) {
        try (Member usurper = new Member(lab, group, topic, new HashMap<>(), instance("goes"))) {
            Member.awaitShares(new int[] {2, 2}, stays, usurper);
            Check.fails("the member whose name another took", ClientApi.FENCED, () -> {
                for (int i = 0; i < 200; i++) {
                    old.poll();
                    old.consumer.commitSync(Collections.emptyMap());
                    stays.poll();
                    usurper.poll();
                }
            });
        }
    }
}
