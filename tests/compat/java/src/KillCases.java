import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.utils.Utils;

/** A node is killed under the clients; and what is not served says so. */
final class KillCases {
    private static final int PARTITIONS = 3;
    private static final int RECORDS = 20_000;
    private static final int KEYS = 50;
    private static final String OFFSETS_TOPIC = "__consumer_offsets";

    private KillCases() {}

    static void addTo(Map<String, Matrix.Case> cases) {
        cases.put("txn-refused", KillCases::transactions);
        cases.put("group-killed", KillCases::coordinatorKilled);
        cases.put("leader-killed", KillCases::leaderKilled);
    }

    /** Numbers in order, a key each; at most 500 on their way. The leader is killed while they stream. */
    private static void stream(Lab lab, String topic, AtomicInteger acknowledged, AtomicReference<Exception> refused) throws Exception {
        Semaphore window = new Semaphore(500);
        try (KafkaProducer<byte[], byte[]> producer = lab.producer("enable.idempotence", "true", "batch.size", "2000")) {
            Process kill = null;
            for (int i = 0; i < RECORDS; i++) {
                if (i == RECORDS / 4) kill = lab.killLeader(topic, 0);
                if (i == RECORDS / 2) Check.same("the status of the kill", 0, kill.waitFor());
                window.acquire();
                producer.send(new ProducerRecord<>(topic, RecordCases.bytes(i % KEYS), RecordCases.bytes(i)), (metadata, e) -> {
                    if (e == null) acknowledged.incrementAndGet(); else refused.compareAndSet(null, e);
                    window.release();
                });
            }
        }
    }

    private static void leaderKilled(Lab lab) throws Exception {
        String topic = lab.topic("killed", PARTITIONS, 3, "min.insync.replicas", "2");
        AtomicInteger acknowledged = new AtomicInteger();
        AtomicReference<Exception> refused = new AtomicReference<>();
        AtomicReference<Exception> ended = new AtomicReference<>();
        Thread producer = new Thread(() -> {
            try {
                stream(lab, topic, acknowledged, refused);
            } catch (Exception e) {
                ended.set(e);
            }
        });
        producer.start();
        Map<Integer, Integer> lastOfKey = new HashMap<>();
        int read = readWhile(lab, topic, producer, acknowledged, lastOfKey);
        if (ended.get() != null) throw ended.get();
        Check.that(refused.get() == null, "a record was refused: " + refused.get());
        Check.same("acknowledged records", RECORDS, acknowledged.get());
        Check.same("records that were read", RECORDS, read);
    }

    /** Reads until the producer has ended and as many records came as were acknowledged, and a little longer. */
    private static int readWhile(Lab lab, String topic, Thread producer, AtomicInteger acknowledged, Map<Integer, Integer> lastOfKey) {
        AtomicInteger read = new AtomicInteger();
        try (KafkaConsumer<byte[], byte[]> consumer = lab.consumer()) {
            consumer.assign(Lab.partitions(topic, PARTITIONS));
            Check.await("every record", 50, () -> {
                boolean isDone = !producer.isAlive() && read.get() >= acknowledged.get();
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    follows(lastOfKey, record);
                    read.incrementAndGet();
                }
                return isDone;
            });
        }
        return read.get();
    }

    /** Within a key each number is the next one: none is missing, none comes twice. */
    private static void follows(Map<Integer, Integer> lastOfKey, ConsumerRecord<byte[], byte[]> record) {
        int key = RecordCases.number(record.key());
        int expected = lastOfKey.containsKey(key) ? lastOfKey.get(key) + KEYS : key;
        Check.same("the number after that in key " + key + " (offset " + record.offset() + ")", expected,
            RecordCases.number(record.value()));
        lastOfKey.put(key, expected);
    }

    private static int coordinatingPartition(KafkaConsumer<byte[], byte[]> consumer, AdminClient admin, String group) throws Exception {
        List<PartitionInfo> all = consumer.partitionsFor(OFFSETS_TOPIC);
        int partition = Utils.abs(group.hashCode()) % all.size();
        int leader = all.stream().filter(p -> p.partition() == partition).findFirst().get().leader().id();
        int coordinator = admin.describeConsumerGroups(Collections.singleton(group)).all().get().get(group).coordinator().id();
        Check.same("the coordinator is who leads the group's partition", leader, coordinator);
        return partition;
    }

    private static void coordinatorKilled(Lab lab) throws Exception {
        String topic = lab.topic("coordinated", 4, 3);
        String group = lab.name("coordinated");
        Map<Integer, Integer> read = new HashMap<>();
        GroupCases.produce(lab, topic, 0, 400);
        try (Member member = new Member(lab, group, topic, read, "session.timeout.ms", "20000"); AdminClient admin = lab.admin()) {
            Member.awaitReadOnce(read, 400, member);
            member.consumer.commitSync();
            Map<TopicPartition, OffsetAndMetadata> before = GroupCases.committed(lab, group);
            int partition = coordinatingPartition(member.consumer, admin, group);
            Check.same("the status of the kill", 0, lab.killLeader(OFFSETS_TOPIC, partition).waitFor());
            Check.await("an answer of the new coordinator", 40, () -> knowsOffsets(lab, group, before));
            GroupCases.produce(lab, topic, 400, 500);
            Member.awaitReadOnce(read, 500, member);
            commit(member);
        }
        try (Member next = new Member(lab, group, topic, read)) {
            GroupCases.produce(lab, topic, 500, 540);
            Member.awaitReadOnce(read, 540, next);
        }
    }

    /** Old admins ask the coordinator that they found first until their time is over. */
    private static boolean knowsOffsets(Lab lab, String group, Map<TopicPartition, OffsetAndMetadata> expected) throws Exception {
        try {
            Check.same("the offsets that the new coordinator knows", expected, GroupCases.committed(lab, group));
            return true;
        } catch (ExecutionException e) {
            return false;
        }
    }

    private static void commit(Member member) {
        Check.await("a commit", 30, () -> {
            try {
                member.consumer.commitSync();
                return true;
            } catch (RetriableException e) {
                member.poll();
                return false;
            }
        });
    }

    /** Where transactions are not served, the producer learns that at once. */
    private static void transactions(Lab lab) {
        long start = System.nanoTime();
        try (KafkaProducer<byte[], byte[]> producer = lab.producer("transactional.id", lab.name("txn"), "max.block.ms", "40000")) {
            producer.initTransactions();
            lab.note = "served";
        } catch (Exception e) {
            long seconds = (System.nanoTime() - start) / 1_000_000_000L;
            Check.that(seconds < 10 * Check.PATIENCE, "initTransactions took " + seconds + " s to say " + e);
            lab.note = "refused: " + e.getClass().getSimpleName();
        }
    }
}
