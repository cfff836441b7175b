/* Writes tests/golden/messages.gz: for every message class of Apache Kafka on the class path, at every version, the bytes
 * that Kafka's own code writes for its defaults and for seeded random values, then record batches of every codec.
 * The same jars give the same file.   java -cp 'KAFKA/libs/*' Golden.java OUT
 *
 * An entry: int16 length and name of the message, int16 version, int32 length and bytes. */

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.record.TimestampType;

public class Golden {
    static final int RANDOM_VALUES = 8;

    final DataOutputStream out;
    Random random;

    Golden(DataOutputStream out) {
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        GZIPOutputStream gzip = new GZIPOutputStream(new FileOutputStream(args[0])) {{ def.setLevel(9); }};
        try (DataOutputStream out = new DataOutputStream(gzip)) {
            Golden golden = new Golden(out);
            for (Map.Entry<String, Class<? extends Message>> e : messageClasses().entrySet()) golden.writeMessage(e.getKey(), e.getValue());
            for (CompressionType type : CompressionType.values()) golden.writeBatch(type);
        }
    }

    /** By the name in the schema: the classes of requests, responses and headers end in Data, those of records do not. */
    static Map<String, Class<? extends Message>> messageClasses() throws Exception {
        Map<String, Class<? extends Message>> classes = new TreeMap<>();
        for (String path : System.getProperty("java.class.path").split(":")) {
            if (!path.endsWith(".jar") || !Path.of(path).getFileName().toString().startsWith("kafka")) continue;
            try (JarFile jar = new JarFile(path)) {
                for (String entry : (Iterable<String>) jar.stream().map(e -> e.getName())::iterator) {
                    if (!entry.matches("org/apache/kafka/(common/(message|metadata)|coordinator/.*/generated)/[A-Za-z]+\\.class")) continue;
                    Class<?> c = Class.forName(entry.replace('/', '.').replace(".class", ""));
                    if (!Message.class.isAssignableFrom(c) || c.isInterface()) continue;
                    classes.put(c.getSimpleName().replaceAll("(Request|Response|Header)Data$", "$1"), c.asSubclass(Message.class));
                }
            }
        }
        return classes;
    }

    void writeMessage(String name, Class<? extends Message> c) throws Exception {
        Schema[] schemas = (Schema[]) c.getField("SCHEMAS").get(null);
        Message first = c.getConstructor().newInstance();
        for (short version = first.lowestSupportedVersion(); version <= first.highestSupportedVersion(); version++) {
            for (int i = 0; i <= RANDOM_VALUES; i++) {
                random = new Random(name.hashCode() * 1000003L + version * 1009L + i);
                Message message = c.getConstructor().newInstance();
                if (i > 0) fill(message, schemas[version]);
                writeEntry(name, version, toBytes(message, version));
            }
        }
    }

    static byte[] toBytes(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) throw new IllegalStateException(message + " is shorter than its size");
        return buffer.array();
    }

    void writeEntry(String name, int version, byte[] bytes) throws IOException {
        byte[] text = name.getBytes(StandardCharsets.UTF_8);
        out.writeShort(text.length);
        out.write(text);
        out.writeShort(version);
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    /** Random values for the fields that the version has, half of the tagged ones. */
    void fill(Object object, Schema schema) throws Exception {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (var field : tagged.fields().values()) {
                    if (random.nextBoolean()) fillField(object, field.name, field.type);
                }
            } else {
                fillField(object, bound.def.name, bound.def.type);
            }
        }
    }

    void fillField(Object object, String name, org.apache.kafka.common.protocol.types.Type type) throws Exception {
        Field field = findField(object.getClass(), name);
        boolean isNull = type.isNullable() && random.nextInt(4) == 0;
        field.set(object, isNull ? null : value(type, field.getType(), field.getGenericType()));
    }

    /** transactional_id is transactionalId. */
    static Field findField(Class<?> c, String name) {
        String plain = name.replace("_", "").toLowerCase();
        Field field = Stream.of(c.getDeclaredFields())
            .filter(f -> !Modifier.isStatic(f.getModifiers()) && f.getName().toLowerCase().equals(plain)).findFirst().orElseThrow();
        field.setAccessible(true);
        return field;
    }

    Object value(org.apache.kafka.common.protocol.types.Type type, Class<?> c, Type generic) throws Exception {
        if (type.isArray()) return collection(type.arrayElementType().get(), c, generic);
        if (type instanceof Schema schema) {
            Object struct = c.getDeclaredConstructor().newInstance();
            fill(struct, schema);
            return struct;
        }
        return scalar(type.toString(), c);
    }

    @SuppressWarnings("unchecked")
    Object collection(org.apache.kafka.common.protocol.types.Type element, Class<?> c, Type generic) throws Exception {
        Collection<Object> elements = c == List.class ? new ArrayList<>() : (Collection<Object>) c.getDeclaredConstructor().newInstance();
        Type holder = c == List.class ? generic : c.getGenericSuperclass();
        Class<?> elementClass = (Class<?>) ((ParameterizedType) holder).getActualTypeArguments()[0];
        for (int n = random.nextInt(4); n > 0; n--) elements.add(value(element, elementClass, null));
        return elements;
    }

    Object scalar(String type, Class<?> c) {
        if (c == boolean.class) return random.nextBoolean();
        if (c == byte.class || c == Byte.class) return (byte) random.nextInt();
        if (c == short.class || c == Short.class) return (short) random.nextInt();
        if (type.equals("UINT16")) return random.nextInt(65536);
        if (c == int.class || c == Integer.class) return random.nextInt();
        if (c == long.class || c == Long.class) return random.nextLong();
        if (c == double.class) return random.nextDouble();
        if (c == Uuid.class) return new Uuid(random.nextLong(), random.nextLong());
        if (c == String.class) return text();
        byte[] bytes = new byte[random.nextInt(20)];
        random.nextBytes(bytes);
        if (c == byte[].class) return bytes;
        if (c == ByteBuffer.class) return ByteBuffer.wrap(bytes);
        return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes));
    }

    /** Now and then beyond ASCII, and now and then so long that its compact length takes two bytes. */
    String text() {
        StringBuilder text = new StringBuilder();
        for (int n = random.nextInt(40) == 0 ? 200 : random.nextInt(10); n > 0; n--) text.append("abcdeé√".charAt(random.nextInt(7)));
        return text.toString();
    }

    /** The same records with each codec; the test knows them (check_golden.c). */
    void writeBatch(CompressionType type) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
        Compression compression = Compression.of(type).build();
        try (MemoryRecordsBuilder builder = new MemoryRecordsBuilder(buffer, RecordBatch.MAGIC_VALUE_V2, compression, TimestampType.CREATE_TIME,
                1234567890123L, RecordBatch.NO_TIMESTAMP, 77L, (short) 3, 2147483600, true, false, 9, 1 << 16)) {
            for (int i = 0; i < 200; i++) {
                byte[] key = i % 5 == 4 ? null : ("key " + i % 7).getBytes(StandardCharsets.UTF_8);
                byte[] value = i % 11 == 10 ? null : ("value " + i * i).getBytes(StandardCharsets.UTF_8);
                Header[] headers = i % 3 == 0 ? new Header[] {new RecordHeader("h", new byte[] {(byte) i}), new RecordHeader("n", (byte[]) null)} : new Header[0];
                builder.append(new SimpleRecord(1700000000000L + i * 1000L, key, value, headers));
            }
            ByteBuffer records = builder.build().buffer();
            byte[] bytes = new byte[records.remaining()];
            records.get(bytes);
            writeEntry("RecordBatch", type.id, bytes);
        }
    }
}
