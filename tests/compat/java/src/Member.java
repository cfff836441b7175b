import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** A consumer in a group that notes what it owns, what it gave up, and what it read; it commits before it gives partitions up. */
final class Member implements AutoCloseable {
    final KafkaConsumer<byte[], byte[]> consumer;
    final Set<Integer> owned = new TreeSet<>();
    int revoked;
    private final Map<Integer, Integer> timesRead;

    /** The members of one test share `timesRead`: how often each record (a number) was read. */
    Member(Lab lab, String group, String topic, Map<Integer, Integer> timesRead, String... pairs) {
        String[] settings = Arrays.copyOf(pairs, pairs.length + 2);
        settings[pairs.length] = "group.id";
        settings[pairs.length + 1] = group;
        this.timesRead = timesRead;
        consumer = lab.consumer(settings);
        consumer.subscribe(Collections.singleton(topic), new ConsumerRebalanceListener() {
            @Override public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                if (!partitions.isEmpty()) consumer.commitSync();
                revoked += partitions.size();
                partitions.forEach(p -> owned.remove(p.partition()));
            }

            /** Overrides a method that came with 2.4: who lost partitions may not commit. */
            public void onPartitionsLost(Collection<TopicPartition> partitions) { partitions.forEach(p -> owned.remove(p.partition())); }

            @Override public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                partitions.forEach(p -> owned.add(p.partition()));
            }
        });
    }

    void poll() {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) {
            timesRead.merge(RecordCases.number(record.value()), 1, Integer::sum);
        }
    }

    /** Polls all until the partitions are shared out like this: how many each owns. */
    static void awaitShares(int[] shares, Member... members) {
        Check.await(Arrays.toString(shares) + " partitions for the members", 40, () -> {
            for (Member member : members) member.poll();
            for (int i = 0; i < shares.length; i++) {
                if (members[i].owned.size() != shares[i]) return false;
            }
            return true;
        });
    }

    /** Polls all until so many partitions are owned, and by so many of the members. */
    static void awaitOwned(int partitions, int owners, Member... members) {
        Check.await(owners + " owners of " + partitions + " partitions", 40, () -> {
            for (Member member : members) member.poll();
            return Arrays.stream(members).mapToInt(member -> member.owned.size()).sum() == partitions
                && Arrays.stream(members).filter(member -> !member.owned.isEmpty()).count() == owners;
        });
    }

    /** Polls all until every number below `n` was read, and none twice. */
    static void awaitReadOnce(Map<Integer, Integer> timesRead, int n, Member... members) {
        Check.await("all " + n + " records", 30, () -> {
            for (Member member : members) member.poll();
            return timesRead.size() >= n;
        });
        Map<Integer, Integer> twice = new HashMap<>(timesRead);
        twice.values().removeIf(times -> times == 1);
        Check.same("records that were read more than once", Collections.emptyMap(), twice);
    }

    @Override public void close() { consumer.close(); }
}
