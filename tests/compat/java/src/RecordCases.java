import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.utils.Utils;

/** What is written is read: codecs, headers, nulls, sizes, partitions. */
final class RecordCases {
    private static final int PARTITIONS = 3;
    private static final int MEGABYTE = 1 << 20;

    private RecordCases() {}

    static void addTo(Map<String, Matrix.Case> cases) {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) cases.put("codec-" + codec, lab -> codec(lab, codec));
        cases.put("headers", RecordCases::headers);
        cases.put("null-key-value", RecordCases::nulls);
        cases.put("big-record", RecordCases::bigRecord);
        cases.put("idempotence", RecordCases::idempotence);
        cases.put("partitioner", RecordCases::partitioner);
    }

    static byte[] bytes(String text) { return text == null ? null : text.getBytes(UTF_8); }
    static byte[] bytes(int number) { return bytes(Integer.toString(number)); }
    static String text(byte[] bytes) { return bytes == null ? null : new String(bytes, UTF_8); }
    static int number(byte[] bytes) { return Integer.parseInt(text(bytes)); }

    /** Sends all, and returns where each went. */
    private static List<RecordMetadata> send(KafkaProducer<byte[], byte[]> producer, List<ProducerRecord<byte[], byte[]>> records)
        throws Exception {
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        for (ProducerRecord<byte[], byte[]> record : records) futures.add(producer.send(record));
        producer.flush();
        List<RecordMetadata> all = new ArrayList<>();
        for (Future<RecordMetadata> future : futures) all.add(future.get());
        return all;
    }

    private static String shown(ProducerRecord<byte[], byte[]> record, long timestamp) {
        return shown(record.key(), record.value(), timestamp, record.headers().toArray());
    }

    private static String shown(ConsumerRecord<byte[], byte[]> record) {
        return shown(record.key(), record.value(), record.timestamp(), record.headers().toArray());
    }

    private static String shown(byte[] key, byte[] value, long timestamp, Header[] headers) {
        return text(key) + "=" + text(value) + "@" + timestamp
            + Arrays.stream(headers).map(h -> h.key() + ":" + text(h.value())).collect(Collectors.toList());
    }

    /** What was sent is what is read, in order, at the offsets that the producer was told. */
    private static void compare(Lab lab, String topic, int partitions, List<ProducerRecord<byte[], byte[]>> sent, List<RecordMetadata> at) {
        Map<Integer, List<String>> expected = new HashMap<>();
        for (int i = 0; i < sent.size(); i++) {
            List<String> there = expected.computeIfAbsent(at.get(i).partition(), p -> new ArrayList<>());
            Check.same("the offset of record " + i, (long) there.size(), at.get(i).offset());
            there.add(shown(sent.get(i), at.get(i).timestamp()));
        }
        Map<Integer, List<String>> read = new HashMap<>();
        lab.readAll(topic, partitions).forEach((p, records) -> {
            for (int i = 0; i < records.size(); i++) Check.same("an offset that was read", (long) i, records.get(i).offset());
            read.put(p, records.stream().map(RecordCases::shown).collect(Collectors.toList()));
        });
        Check.that(expected.equals(read), "what is read of " + topic + " is not what was sent: " + difference(expected, read));
    }

    private static String difference(Map<Integer, List<String>> expected, Map<Integer, List<String>> read) {
        for (Map.Entry<Integer, List<String>> entry : expected.entrySet()) {
            List<String> found = read.getOrDefault(entry.getKey(), List.of());
            for (int i = 0; i < entry.getValue().size(); i++) {
                String actual = i < found.size() ? found.get(i) : "nothing";
                if (!actual.equals(entry.getValue().get(i))) {
                    return "partition " + entry.getKey() + " offset " + i + ": expected " + entry.getValue().get(i) + ", found " + actual;
                }
            }
        }
        return "more was read than was sent";
    }

    private static void codec(Lab lab, String codec) throws Exception {
        String topic = lab.topic("codec-" + codec, PARTITIONS, 3);
        long start = System.currentTimeMillis() - 1_000_000;
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            records.add(new ProducerRecord<>(topic, null, start + i, bytes("key " + i % 17), bytes("value " + i + " " + "ab".repeat(i % 50))));
        }
        try (KafkaProducer<byte[], byte[]> producer = lab.producer("compression.type", codec, "linger.ms", "20")) {
            List<RecordMetadata> at = send(producer, records);
            for (int i = 0; i < at.size(); i++) Check.same("the timestamp of record " + i, start + i, at.get(i).timestamp());
            compare(lab, topic, PARTITIONS, records, at);
        }
    }

    private static void headers(Lab lab) throws Exception {
        String topic = lab.topic("headers", 1, 3);
        List<Header> headers = List.of(new RecordHeader("a", bytes("first")), new RecordHeader("a", bytes("second")),
            new RecordHeader("empty", new byte[0]), new RecordHeader("null", (byte[]) null), new RecordHeader("größe", bytes("ü")));
        List<ProducerRecord<byte[], byte[]>> records = List.of(new ProducerRecord<>(topic, 0, bytes("k"), bytes("v"), headers),
            new ProducerRecord<>(topic, 0, bytes("k"), bytes("none")));
        try (KafkaProducer<byte[], byte[]> producer = lab.producer()) {
            compare(lab, topic, 1, records, send(producer, records));
        }
    }

    private static void nulls(Lab lab) throws Exception {
        String topic = lab.topic("nulls", 1, 3);
        String[][] pairs = {{null, "v"}, {"k", null}, {"k", ""}, {"", "v"}, {null, null}, {"", ""}};
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (String[] pair : pairs) records.add(new ProducerRecord<>(topic, bytes(pair[0]), bytes(pair[1])));
        try (KafkaProducer<byte[], byte[]> producer = lab.producer()) {
            compare(lab, topic, 1, records, send(producer, records));
        }
    }

    private static byte[] random(int n) {
        byte[] bytes = new byte[n];
        new Random(n).nextBytes(bytes);
        return bytes;
    }

    private static void bigRecord(Lab lab) throws Exception {
        String small = lab.topic("big", 1, 3, "max.message.bytes", "1048588");
        String large = lab.topic("bigger", 1, 3, "max.message.bytes", Integer.toString(4 * MEGABYTE));
        try (KafkaProducer<byte[], byte[]> producer = lab.producer("max.request.size", Integer.toString(8 * MEGABYTE))) {
            producer.send(new ProducerRecord<>(small, random(900_000))).get();
            Check.fails("2 MB where 1 MB is the limit", RecordTooLargeException.class,
                producer.send(new ProducerRecord<>(small, random(2 * MEGABYTE))));
            producer.send(new ProducerRecord<>(large, random(2 * MEGABYTE))).get();
        }
        readsBack(lab, small, random(900_000));
        readsBack(lab, large, random(2 * MEGABYTE));
    }

    private static void readsBack(Lab lab, String topic, byte[] value) {
        List<ConsumerRecord<byte[], byte[]>> records = lab.readAll(topic, 1).getOrDefault(0, List.of());
        Check.same("the records of " + topic, 1, records.size());
        Check.that(Arrays.equals(value, records.get(0).value()), "the record of " + topic + " is not the one that was sent");
    }

    private static void idempotence(Lab lab) throws Exception {
        String topic = lab.topic("idempotence", PARTITIONS, 3);
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < 5000; i++) records.add(new ProducerRecord<>(topic, bytes(i % 100), bytes(i)));
        try (KafkaProducer<byte[], byte[]> producer = lab.producer("enable.idempotence", "true", "batch.size", "2000", "retries", "100",
                 "max.in.flight.requests.per.connection", "5")) {
            compare(lab, topic, PARTITIONS, records, send(producer, records));
        }
    }

    private static void partitioner(Lab lab) throws Exception {
        int partitions = 7;
        String topic = lab.topic("partitioner", partitions, 3);
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < 200; i++) records.add(new ProducerRecord<>(topic, bytes("key " + i), bytes(i)));
        for (int i = 0; i < 70; i++) records.add(new ProducerRecord<>(topic, i % partitions, bytes("key " + i), bytes(i)));
        try (KafkaProducer<byte[], byte[]> producer = lab.producer()) {
            List<RecordMetadata> at = send(producer, records);
            for (int i = 0; i < records.size(); i++) {
                Integer chosen = records.get(i).partition();
                int expected = chosen != null ? chosen : Utils.toPositive(Utils.murmur2(records.get(i).key())) % partitions;
                Check.same("the partition of record " + i, expected, at.get(i).partition());
            }
            compare(lab, topic, partitions, records, at);
        }
    }
}
