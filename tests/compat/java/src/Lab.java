import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What a case works with: where the brokers are, names that nobody else uses, clients, and how to kill a leader. */
final class Lab {
    private final String bootstrap = variable("BOOTSTRAP");
    private final String prefix = variable("PREFIX");
    /** What the case has to say though it passed. */
    volatile String note = "";

    private static String variable(String name) {
        String value = System.getenv(name);
        if (value == null) throw new IllegalStateException("the environment lacks " + name);
        return value;
    }

    String name(String what) { return prefix + what; }

    Properties settings(String... pairs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) settings.put(pairs[i], pairs[i + 1]);
        return settings;
    }

    KafkaProducer<byte[], byte[]> producer(String... pairs) {
        Properties settings = settings("acks", "all");
        settings.putAll(settings(pairs));
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Without offsets of its own a consumer starts at the beginning. */
    KafkaConsumer<byte[], byte[]> consumer(String... pairs) {
        Properties settings = settings("auto.offset.reset", "earliest", "enable.auto.commit", "false");
        settings.putAll(settings(pairs));
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    AdminClient admin() { return AdminClient.create(settings()); }

    /** Creates a topic and waits until it can be described; returns its full name. */
    String topic(String what, int partitions, int replicas, String... configs) throws Exception {
        String name = name(what);
        Map<String, String> map = new HashMap<>();
        for (int i = 0; i < configs.length; i += 2) map.put(configs[i], configs[i + 1]);
        try (AdminClient admin = admin()) {
            admin.createTopics(Collections.singleton(new NewTopic(name, partitions, (short) replicas).configs(map))).all().get();
            Check.await("topic " + name, 20, () -> isDescribed(admin, name, partitions));
        }
        return name;
    }

    private static boolean isDescribed(AdminClient admin, String name, int partitions) throws InterruptedException {
        try {
            return ClientApi.describe(admin, name).get().partitions().size() == partitions;
        } catch (ExecutionException e) {
            return false;
        }
    }

    static List<TopicPartition> partitions(String topic, int n) {
        List<TopicPartition> all = new ArrayList<>();
        for (int i = 0; i < n; i++) all.add(new TopicPartition(topic, i));
        return all;
    }

    /** Reads a topic from its beginning to its end: for each partition its records in order. */
    Map<Integer, List<ConsumerRecord<byte[], byte[]>>> readAll(String topic, int partitions) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            Collection<TopicPartition> all = partitions(topic, partitions);
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
            Check.await("the end of " + topic, 30, () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                return all.stream().allMatch(p -> consumer.position(p) >= ends.get(p));
            });
            return records.stream().collect(Collectors.groupingBy(ConsumerRecord::partition));
        }
    }

    /** Begins to kill, with no warning, the node that leads a partition. */
    Process killLeader(String topic, int partition) throws Exception {
        List<String> command = new ArrayList<>(List.of(variable("KILL_LEADER").trim().split("\\s+")));
        command.add(topic);
        command.add(Integer.toString(partition));
        return new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }
}
