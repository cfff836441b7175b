#include "broker/node/replica_metrics.h"

#include "broker/node/replica_internal.h"
#include "common/assert.h"
#include "common/mem.h"
#include "common/metrics.h"

#include <stdio.h>

/* ---- counting ------------------------------------------------------------------------------------------------------ */

void replica_counters_init(struct replica_counters *counters, uint64_t seed)
{
    *counters = (struct replica_counters){0};
    map_init(&counters->topics, seed);
}

void replica_counters_deinit(struct replica_counters *counters)
{
    ASSERT(map_count(&counters->topics) == 0);
    map_deinit(&counters->topics);
}

struct topic_traffic *topic_traffic_ref(struct replica_counters *counters, struct uuid topic_id)
{
    struct topic_traffic *traffic = map_get(&counters->topics, MAP_KEY(&topic_id));
    if (!traffic) {
        traffic = mem_alloc(sizeof *traffic);
        traffic->topic_id = topic_id;
        map_put(&counters->topics, MAP_KEY(&traffic->topic_id), traffic);
    }
    traffic->references++;
    return traffic;
}

void topic_traffic_unref(struct replica_counters *counters, struct topic_traffic *traffic)
{
    ASSERT(traffic->references > 0);
    if (--traffic->references > 0) return;
    map_remove(&counters->topics, MAP_KEY(&traffic->topic_id));
    mem_free(traffic);
}

static void add_in(struct traffic *traffic, int64_t messages, int64_t bytes)
{
    traffic->messages_in += (uint64_t)messages;
    traffic->bytes_in += (uint64_t)bytes;
}

void replica_count_appended(struct replica *replica, int64_t messages, int64_t bytes)
{
    ASSERT(messages > 0 && bytes > 0);
    add_in(&replica->manager->counters.traffic, messages, bytes);
    add_in(&replica->traffic->traffic, messages, bytes);
}

void replica_count_fetched(const struct replica_fetch *request)
{
    struct replica_counters *counters = &request->manager->counters;
    counters->fetch_partitions += request->result_count;
    for (size_t i = 0; i < request->result_count; i++) {
        const struct fetch_result *result = &request->results[i];
        if (result->error != KAFKA_NONE) counters->fetch_failed++;
        if (result->bytes == 0) continue;
        if (request->replica_id >= 0) {
            counters->replication_bytes_out += (uint64_t)result->bytes;
            continue;
        }
        struct topic_traffic *topic = map_get(&counters->topics, MAP_KEY(&result->topic_id));
        counters->traffic.bytes_out += (uint64_t)result->bytes;
        if (topic) topic->traffic.bytes_out += (uint64_t)result->bytes;
    }
}

void replica_count_isr(struct replica *replica, int32_t before)
{
    struct replica_counters *counters = &replica->manager->counters;
    int32_t now = isr_count(replica->partition.isr);
    /* Before its first assignment a replica knows of none. */
    if (!partition_is_leader(&replica->partition) || before == 0) return;
    if (now < before) counters->isr_shrinks++;
    if (now > before) counters->isr_expands++;
}

/* ---- the page ------------------------------------------------------------------------------------------------------ */

struct replica_totals {
    int64_t leaders, under_replicated, under_min_isr, at_min_isr, offline;
    int64_t log_bytes;
};

static void count_leader(const struct partition *p, struct replica_totals *totals)
{
    int32_t in_sync = isr_count(p->isr), least = isr_effective_minimum(p->min_insync, p->replica_count);
    totals->leaders++;
    totals->under_replicated += (size_t)in_sync < p->replica_count;
    totals->under_min_isr += in_sync < least;
    totals->at_min_isr += in_sync == least;
}

static void put_watermark(struct metrics *metrics, const struct replica *replica, const struct image_topic *topic)
{
    char partition[16];
    (void)snprintf(partition, sizeof partition, "%d", replica->target.partition);
    struct slice labels[] = {slice_make(topic->name, topic->name_size), slice_str(partition)};
    metrics_put_labelled(metrics, METRIC_HIGH_WATERMARK, labels, (double)replica->partition.high_watermark);
}

static void put_totals(struct metrics *metrics, const struct replica_manager *m)
{
    struct replica_totals totals = {0};
    const struct image_topic *topic = NULL;
    LIST_FOR_EACH (&m->all, node) {
        const struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        int64_t bytes = plog_size(replica->log);
        replica->traffic->log_bytes += bytes;
        totals.log_bytes += bytes;
        totals.offline += replica->partition.role == PARTITION_OFFLINE;
        if (!partition_is_leader(&replica->partition)) continue;
        count_leader(&replica->partition, &totals);
        /* Mostly the one before: replicas come topic by topic. */
        if (!topic || !uuid_equal(topic->id, replica->target.topic_id)) topic = image_topic_by_id(m->image, replica->target.topic_id);
        if (topic && !metrics_is_full(metrics, METRIC_HIGH_WATERMARK))
            put_watermark(metrics, replica, topic);
        else
            metrics_leave_out(metrics, 1);
    }
    metrics_put(metrics, METRIC_PARTITIONS, (double)replica_manager_count(m));
    metrics_put(metrics, METRIC_LEADERS, (double)totals.leaders);
    metrics_put(metrics, METRIC_UNDER_REPLICATED, (double)totals.under_replicated);
    metrics_put(metrics, METRIC_UNDER_MIN_ISR, (double)totals.under_min_isr);
    metrics_put(metrics, METRIC_AT_MIN_ISR, (double)totals.at_min_isr);
    metrics_put(metrics, METRIC_OFFLINE_REPLICAS, (double)totals.offline);
    metrics_put(metrics, METRIC_LOG_BYTES, (double)totals.log_bytes);
}

/* After put_totals(). */
static void put_topics(struct metrics *metrics, const struct replica_manager *m)
{
    uint32_t at = 0;
    for (struct topic_traffic *t; (t = map_next(&m->counters.topics, &at)) != NULL;) {
        int64_t log_bytes = t->log_bytes;
        t->log_bytes = 0;
        const struct image_topic *topic = image_topic_by_id(m->image, t->topic_id);
        if (!topic || metrics_is_full(metrics, METRIC_TOPIC_LOG_BYTES)) {
            metrics_leave_out(metrics, 4);
            continue;
        }
        struct slice name = slice_make(topic->name, topic->name_size);
        metrics_put_labelled(metrics, METRIC_TOPIC_MESSAGES_IN, &name, (double)t->traffic.messages_in);
        metrics_put_labelled(metrics, METRIC_TOPIC_BYTES_IN, &name, (double)t->traffic.bytes_in);
        metrics_put_labelled(metrics, METRIC_TOPIC_BYTES_OUT, &name, (double)t->traffic.bytes_out);
        metrics_put_labelled(metrics, METRIC_TOPIC_LOG_BYTES, &name, (double)log_bytes);
    }
}

static void put_counters(struct metrics *metrics, const struct replica_counters *counters)
{
    metrics_put(metrics, METRIC_MESSAGES_IN, (double)counters->traffic.messages_in);
    metrics_put(metrics, METRIC_BYTES_IN, (double)counters->traffic.bytes_in);
    metrics_put(metrics, METRIC_BYTES_OUT, (double)counters->traffic.bytes_out);
    metrics_put(metrics, METRIC_REPLICATION_BYTES_IN, (double)counters->replication_bytes_in);
    metrics_put(metrics, METRIC_REPLICATION_BYTES_OUT, (double)counters->replication_bytes_out);
    metrics_put(metrics, METRIC_PRODUCE_BATCHES, (double)counters->produce_batches);
    metrics_put(metrics, METRIC_PRODUCE_FAILED, (double)counters->produce_failed);
    metrics_put(metrics, METRIC_FETCH_PARTITIONS, (double)counters->fetch_partitions);
    metrics_put(metrics, METRIC_FETCH_FAILED, (double)counters->fetch_failed);
    metrics_put(metrics, METRIC_ISR_SHRINKS, (double)counters->isr_shrinks);
    metrics_put(metrics, METRIC_ISR_EXPANDS, (double)counters->isr_expands);
    metrics_put_histogram(metrics, METRIC_FLUSH_SECONDS, NULL, &counters->flushes);
}

void replica_manager_measure(const struct replica_manager *m, struct metrics *metrics)
{
    size_t offline = 0;
    for (size_t i = 0; i < m->dir_count; i++) offline += !m->dirs[i]->is_online;
    metrics_put(metrics, METRIC_OFFLINE_DIRS, (double)offline);
    put_counters(metrics, &m->counters);
    put_totals(metrics, m);
    put_topics(metrics, m);
}

struct replica_readiness replica_manager_readiness(const struct replica_manager *m)
{
    struct replica_readiness readiness = {0};
    LIST_FOR_EACH (&m->all, node) {
        const struct replica *replica = CONTAINER_OF(node, struct replica, in_manager);
        const struct image_partition *now = image_partition_get(m->image, replica->target.topic_id, replica->target.partition);
        enum partition_role role = replica->partition.role;
        readiness.offline_count += role == PARTITION_OFFLINE;
        readiness.idle_count += role == PARTITION_IDLE && now && now->leader != NO_LEADER;
    }
    return readiness;
}
