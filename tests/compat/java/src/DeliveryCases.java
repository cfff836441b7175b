import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** At most once and at least once, as tutorials explain them: a consumer is killed in the middle of a batch, and another goes on. */
final class DeliveryCases {
    private static final int RECORDS = 1000;
    private static final int HANG = 250;

    private DeliveryCases() {}

    static void addTo(Map<String, Matrix.Case> cases) {
        cases.put("at-most-once", DeliveryCases::atMostOnce);
        cases.put("at-least-once", DeliveryCases::atLeastOnce);
    }

    /** What was committed and not handled is lost; nothing is handled twice. */
    private static void atMostOnce(Lab lab) throws Exception {
        List<Integer> handled = killInMidBatch(lab, "most");
        int before = handled.indexOf(HANG - 1) + 1;
        Check.same("handled before the kill", range(0, HANG), handled.subList(0, before));
        Check.that(before < handled.size(), "nothing was handled after the kill");
        int next = handled.get(before);
        Check.same("handled after the kill", range(next, RECORDS), handled.subList(before, handled.size()));
        Check.that(next > HANG && next <= HANG + Delivery.BATCH_RECORDS, "it goes on at " + next);
    }

    /** What was handled and not committed is handled again; nothing is lost. */
    private static void atLeastOnce(Lab lab) throws Exception {
        List<Integer> handled = killInMidBatch(lab, "least");
        Check.same("handled before the kill", range(0, HANG + 1), handled.subList(0, HANG + 1));
        Check.that(HANG + 1 < handled.size(), "nothing was handled after the kill");
        int next = handled.get(HANG + 1);
        Check.same("handled after the kill", range(next, RECORDS), handled.subList(HANG + 1, handled.size()));
        Check.that(next <= HANG && next > HANG - Delivery.BATCH_RECORDS, "it goes on at " + next);
    }

    private static List<Integer> range(int from, int to) { return IntStream.range(from, to).boxed().collect(Collectors.toList()); }

    /** All that both programs handled, in order. */
    private static List<Integer> killInMidBatch(Lab lab, String mode) throws Exception {
        String topic = lab.topic(mode + "-once", 1, 3);
        File file = File.createTempFile(mode, ".handled");
        file.deleteOnExit();
        produce(lab, topic);
        killWhen(start(lab, topic, mode, file, Integer.toString(HANG)), "a program that hangs", () -> lines(file).contains("hangs"));
        killWhen(start(lab, topic, mode, file, "nowhere"), "the end", () -> lines(file).contains("end"));
        return lines(file).stream().filter(line -> !line.equals("hangs") && !line.equals("end")).map(Integer::valueOf)
            .collect(Collectors.toList());
    }

    private static void killWhen(Process program, String what, Check.Condition condition) throws InterruptedException {
        try {
            Check.await(what, 40, condition);
        } finally {
            program.destroyForcibly().waitFor();
        }
    }

    private static void produce(Lab lab, String topic) {
        try (KafkaProducer<byte[], byte[]> producer = lab.producer()) {
            for (int i = 0; i < RECORDS; i++) send(producer, topic, Integer.toString(i));
            send(producer, topic, "end");
        }
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, String value) {
        producer.send(new ProducerRecord<>(topic, value.getBytes(StandardCharsets.UTF_8)));
    }

    private static Process start(Lab lab, String topic, String mode, File file, String hang) throws Exception {
        String java = System.getProperty("java.home") + "/bin/java";
        return new ProcessBuilder(java, "-Xmx128M", "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "Delivery", lab.settings().getProperty("bootstrap.servers"),
            lab.name("delivery-" + mode), topic, mode, file.getPath(), hang)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    private static List<String> lines(File file) throws Exception { return Files.readAllLines(file.toPath()); }
}
