#include "controller/metadata/image.h"

#include "common/assert.h"

static void check_nodes(const struct image *image, const struct image_partition *p)
{
    struct node_ids replicas = image_replicas(p), isr = image_isr(p), elr = image_elr(p);
    ASSERT(replicas.count > 0);
    for (uint32_t i = 0; i < replicas.count; i++) ASSERT(!node_ids_contain((struct node_ids){replicas.ids, i}, replicas.ids[i]));
    for (uint32_t i = 0; i < isr.count; i++) {
        ASSERT(node_ids_contain(replicas, isr.ids[i]));
        ASSERT(image_is_active(image, isr.ids[i]));
        ASSERT(!node_ids_contain(elr, isr.ids[i]));
        ASSERT(!node_ids_contain((struct node_ids){isr.ids, i}, isr.ids[i]));
    }
    for (uint32_t i = 0; i < elr.count; i++) {
        ASSERT(node_ids_contain(replicas, elr.ids[i]));
        ASSERT(!node_ids_contain((struct node_ids){elr.ids, i}, elr.ids[i]));
    }
}

static void check_partition(const struct image *image, const struct image_topic *topic, const struct image_partition *p)
{
    check_nodes(image, p);
    ASSERT_IMPLIES(p->isr_count >= image_min_isr(image, topic, p), p->elr_count == 0);
    ASSERT_IMPLIES(p->leader != NO_LEADER, node_ids_contain(image_isr(p), p->leader));
    ASSERT_IMPLIES(p->leader == NO_LEADER, p->isr_count == 0);
    ASSERT_IMPLIES(p->leader != NO_LEADER, p->last_known_leader == NO_BROKER);
    ASSERT(p->leader_epoch >= 0);
    ASSERT(p->partition_epoch >= p->leader_epoch);
}

void image_check(const struct image *image)
{
    int64_t partitions = 0;
    ASSERT(map_count(&image->topics) == map_count(&image->topics_by_id));
    MAP_FOR_EACH (&image->topics, struct image_topic, topic) {
        ASSERT(image_topic_by_id(image, topic->id) == topic);
        for (int32_t i = 0; i < topic->partition_count; i++) check_partition(image, topic, &topic->partitions[i]);
        partitions += topic->partition_count;
    }
    ASSERT(partitions == image->partition_count);
    MAP_FOR_EACH (&image->brokers, struct image_broker, broker) {
        ASSERT(broker->epoch <= image->last_broker_epoch);
        ASSERT(broker->unfenced_epoch <= broker->epoch);
    }
}
