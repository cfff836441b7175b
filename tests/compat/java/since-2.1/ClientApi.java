import java.util.Collections;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;

/** What kafka-clients 2.1 calls otherwise than 3.9 and later. */
final class ClientApi {
    static final boolean HAS_COOPERATIVE = false;
    static final Class<? extends Throwable> FENCED = null;

    private ClientApi() {}

    static KafkaFuture<TopicDescription> describe(AdminClient admin, String topic) {
        return admin.describeTopics(Collections.singleton(topic)).values().get(topic);
    }

    /** Replaces all configs of the resource: the incremental way came with 2.3. */
    static KafkaFuture<Void> setConfig(AdminClient admin, ConfigResource resource, String key, String value) {
        return admin.alterConfigs(Map.of(resource, new Config(Collections.singleton(new ConfigEntry(key, value))))).all();
    }
}
