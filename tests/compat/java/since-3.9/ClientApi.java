import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.FencedInstanceIdException;

/** What kafka-clients 3.9 and later call otherwise than 2.1. */
final class ClientApi {
    static final boolean HAS_COOPERATIVE = true;
    static final Class<? extends Throwable> FENCED = FencedInstanceIdException.class;

    private ClientApi() {}

    static KafkaFuture<TopicDescription> describe(AdminClient admin, String topic) {
        return admin.describeTopics(Collections.singleton(topic)).topicNameValues().get(topic);
    }

    static KafkaFuture<Void> setConfig(AdminClient admin, ConfigResource resource, String key, String value) {
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        return admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all();
    }
}
