import java.time.Duration;
import java.util.Collections;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Positions: the ends, any offset, by time. */
final class OffsetCases {
    private static final int RECORDS = 100;
    private static final long START = 1_700_000_000_000L;
    private static final long STEP = 1000;

    private OffsetCases() {}

    static void addTo(Map<String, Matrix.Case> cases) { cases.put("offsets", OffsetCases::offsets); }

    private static void offsets(Lab lab) throws Exception {
        // The records are years old: they must not expire while they are read.
        String topic = lab.topic("offsets", 1, 3, "retention.ms", "-1");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = lab.producer()) {
            for (int i = 0; i < RECORDS; i++) {
                producer.send(new ProducerRecord<>(topic, 0, START + i * STEP, null, RecordCases.bytes(i)));
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = lab.consumer()) {
            consumer.assign(Collections.singleton(partition));
            seeks(consumer, partition);
            times(consumer, partition);
        }
        startsAt(lab, partition, "earliest", 0);
        startsAt(lab, partition, "latest", RECORDS);
        outOfRange(lab, partition);
    }

    private static int next(KafkaConsumer<byte[], byte[]> consumer) {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofSeconds(10 * Check.PATIENCE));
        Check.that(!records.isEmpty(), "nothing was read in 10 s");
        ConsumerRecord<byte[], byte[]> record = records.iterator().next();
        Check.same("the offset of the value", (long) RecordCases.number(record.value()), record.offset());
        return (int) record.offset();
    }

    private static void seeks(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        Check.same("beginningOffsets", Map.of(partition, 0L), consumer.beginningOffsets(Collections.singleton(partition)));
        Check.same("endOffsets", Map.of(partition, (long) RECORDS), consumer.endOffsets(Collections.singleton(partition)));
        consumer.seek(partition, 40);
        Check.same("the record after seek(40)", 40, next(consumer));
        consumer.seekToBeginning(Collections.singleton(partition));
        Check.same("the record at the beginning", 0, next(consumer));
        consumer.seekToEnd(Collections.singleton(partition));
        Check.same("the position at the end", (long) RECORDS, consumer.position(partition));
        consumer.seek(partition, RECORDS - 1);
        Check.same("the last record", RECORDS - 1, next(consumer));
    }

    private static void times(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        time(consumer, partition, START - 1, 0);
        time(consumer, partition, START + 30 * STEP, 30);
        time(consumer, partition, START + 30 * STEP + 1, 31);
        long after = START + RECORDS * STEP;
        Check.same("the offset after the last time", null, consumer.offsetsForTimes(Map.of(partition, after)).get(partition));
    }

    private static void time(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, long time, int expected) {
        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, time)).get(partition);
        Check.that(found != null, "no offset for time " + time);
        Check.same("the offset for time " + time, (long) expected, found.offset());
        Check.same("its timestamp", START + expected * STEP, found.timestamp());
        consumer.seek(partition, found.offset());
        Check.same("the record there", expected, next(consumer));
    }

    private static void startsAt(Lab lab, TopicPartition partition, String reset, long expected) {
        try (KafkaConsumer<byte[], byte[]> consumer = lab.consumer("auto.offset.reset", reset)) {
            consumer.assign(Collections.singleton(partition));
            Check.same("the first position with " + reset, expected, consumer.position(partition));
        }
    }

    private static void outOfRange(Lab lab, TopicPartition partition) {
        try (KafkaConsumer<byte[], byte[]> consumer = lab.consumer("auto.offset.reset", "none")) {
            consumer.assign(Collections.singleton(partition));
            consumer.seek(partition, RECORDS + 50);
            Check.fails("an offset beyond the end", OffsetOutOfRangeException.class, () -> {
                for (int i = 0; i < 20; i++) consumer.poll(Duration.ofMillis(500));
            });
        }
    }
}
