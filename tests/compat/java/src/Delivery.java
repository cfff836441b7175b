import java.io.FileOutputStream;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Collections;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The consumer that is killed in DeliveryCases, a process of its own. To handle a record is to append it to a file.
 *
 *   java Delivery BOOTSTRAP GROUP TOPIC most|least FILE HANG
 *
 * At most once it commits what it polled before it handles it, at least once after that. It hangs, for somebody to kill it, when it
 * comes to the record HANG: at most once before it is handled, at least once behind it. It ends with the record "end".
 */
public final class Delivery {
    static final int BATCH_RECORDS = 100;

    private final boolean isMost;
    private final String hang;
    private final PrintStream handled;

    private Delivery(String mode, PrintStream handled, String hang) {
        this.isMost = mode.equals("most");
        this.handled = handled;
        this.hang = hang;
    }

    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("group.id", arguments[1]);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("session.timeout.ms", "6000"); // who is killed is missed this late
        settings.put("max.poll.records", Integer.toString(BATCH_RECORDS));
        try (PrintStream handled = new PrintStream(new FileOutputStream(arguments[4], true), true, "UTF-8");
             KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(Collections.singleton(arguments[2]));
            new Delivery(arguments[3], handled, arguments[5]).run(consumer);
        }
    }

    private void run(KafkaConsumer<String, String> consumer) throws InterruptedException {
        boolean isOver = false;
        while (!isOver) {
            ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
            if (isMost && !records.isEmpty()) consumer.commitSync();
            for (ConsumerRecord<String, String> record : records) isOver |= handle(record.value());
            if (!isMost && !records.isEmpty()) consumer.commitSync();
        }
    }

    private boolean handle(String value) throws InterruptedException {
        boolean hangs = value.equals(hang);
        if (hangs && isMost) hang();
        handled.println(value);
        if (hangs) hang();
        return value.equals("end");
    }

    private void hang() throws InterruptedException {
        handled.println("hangs");
        Thread.sleep(Long.MAX_VALUE);
    }
}
