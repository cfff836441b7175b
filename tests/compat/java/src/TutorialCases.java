import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** The first program that tutorials print: a topic that comes into being by itself, and settings that are pasted since 2012. */
final class TutorialCases {
    private static final String STRINGS = "org.apache.kafka.common.serialization.String";

    private TutorialCases() {}

    static void addTo(Map<String, Matrix.Case> cases) {
        cases.put("tutorial-program", TutorialCases::program);
        cases.put("tutorial-groups", TutorialCases::groups);
    }

    private static void program(Lab lab) throws Exception {
        String topic = lab.name("my-topic");
        Properties settings = lab.settings("acks", "all", "retries", "0", "batch.size", "16384", "linger.ms", "1", "buffer.memory",
            "33554432", "key.serializer", STRINGS + "Serializer", "value.serializer", STRINGS + "Serializer");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (int i = 0; i < 100; i++) producer.send(new ProducerRecord<>(topic, 0, Integer.toString(i), "my msg " + i)).get();
        }
        List<String> printed = consume(lab, topic);
        for (int i = 0; i < 100; i++) {
            Check.same("line " + i, "offset = " + i + ", key = " + i + ", value = my msg " + i, printed.get(i));
        }
    }

    private static List<String> consume(Lab lab, String topic) {
        Properties settings = lab.settings("group.id", lab.name("group-1"), "enable.auto.commit", "true", "auto.commit.interval.ms", "1000",
            "auto.offset.reset", "earliest", "session.timeout.ms", "30000", "key.deserializer", STRINGS + "Deserializer",
            "value.deserializer", STRINGS + "Deserializer");
        List<String> printed = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(Collections.singletonList(topic));
            Check.await("100 lines", 30, () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    printed.add(String.format("offset = %d, key = %s, value = %s", record.offset(), record.key(), record.value()));
                }
                return printed.size() >= 100;
            });
        }
        return printed;
    }

    /** Two groups on four partitions: two members share them; of five one idles, until another dies. */
    private static void groups(Lab lab) throws Exception {
        String topic = lab.topic("shared", 4, 3);
        Map<Integer, Integer> readByTwo = new HashMap<>();
        Map<Integer, Integer> readByFive = new HashMap<>();
        Member[] two = members(lab, "two", topic, readByTwo, 2);
        Member[] five = members(lab, "five", topic, readByFive, 5);
        Member.awaitOwned(4, 2, two);
        Member.awaitOwned(4, 4, five);
        GroupCases.produce(lab, topic, 0, 400);
        Member.awaitReadOnce(readByTwo, 400, two);
        Member.awaitReadOnce(readByFive, 400, five);
        Member owner = Arrays.stream(five).filter(member -> !member.owned.isEmpty()).findFirst().get();
        Member[] four = Arrays.stream(five).filter(member -> member != owner).toArray(Member[]::new);
        owner.consumer.commitSync();
        owner.close();
        Member.awaitOwned(4, 4, four);
        GroupCases.produce(lab, topic, 400, 480);
        Member.awaitReadOnce(readByFive, 480, four);
        Member.awaitReadOnce(readByTwo, 480, two);
        for (Member member : two) member.close();
        for (Member member : four) member.close();
    }

    private static Member[] members(Lab lab, String group, String topic, Map<Integer, Integer> read, int n) {
        Member[] members = new Member[n];
        for (int i = 0; i < n; i++) members[i] = new Member(lab, lab.name(group), topic, read);
        return members;
    }
}
