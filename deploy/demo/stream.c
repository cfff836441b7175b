#include "deploy/demo/stream.h"

#include "common/assert.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ADMIN_TIMEOUT_MS = 30000, METADATA_TIMEOUT_MS = 3000, DRAIN_TIMEOUT_MS = 60000, CHECK_EVERY_US = 5000 };

int64_t stream_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- acknowledgements ---- */

static void note_ack(struct stream *s, uint32_t number, int32_t partition, int64_t offset)
{
    struct stream_gap *gap = &s->gaps[partition];
    int64_t now_us = stream_now_us();
    verdict_acked(&s->verdict, number, partition, offset);
    if (number >= s->awaited) gap->acked_awaited = true;
    if (now_us - gap->last_ack_us > gap->longest_us) gap->longest_us = now_us - gap->last_ack_us;
    gap->last_ack_us = now_us;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct stream *s = opaque;
    (void)client;
    (void)pthread_mutex_lock(&s->lock);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        note_ack(s, (uint32_t)(uintptr_t)message->_private, message->partition, message->offset);
    } else if (s->failed++ == 0) {
        (void)fprintf(stderr, "\na record was refused: %s\n", rd_kafka_err2str(message->err));
    }
    (void)pthread_mutex_unlock(&s->lock);
}

rd_kafka_conf_t *stream_conf(const char *const settings[][2], size_t count)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < count; i++) ASSERT(rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) == RD_KAFKA_CONF_OK);
    return conf;
}

static rd_kafka_t *producer_create(struct stream *s)
{
    char why[256];
    const char *const settings[][2] = {
        {"bootstrap.servers", s->options.bootstrap},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"linger.ms", "5"},
        {"message.timeout.ms", "300000"},
        {"request.timeout.ms", s->options.request_timeout_ms},
        {"socket.timeout.ms", s->options.request_timeout_ms},
        {"log_level", "0"},
    };
    rd_kafka_conf_t *conf = stream_conf(settings, sizeof settings / sizeof *settings);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, s);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!producer) (void)fprintf(stderr, "no producer: %s\n", why);
    return producer;
}

/* ---- the topic ---- */

static rd_kafka_resp_err_t created(rd_kafka_event_t *event, const char **text)
{
    size_t count = 0;
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    *text = rd_kafka_event_error_string(event);
    if (error) return error;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    *text = rd_kafka_topic_result_error_string(results[0]);
    return rd_kafka_topic_result_error(results[0]);
}

static bool create_topic(struct stream *s)
{
    char why[256] = "";
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(s->options.topic, s->options.partitions, s->options.replicas, why, sizeof why);
    if (!topic) {
        (void)fprintf(stderr, "topic %s: %s\n", s->options.topic, why);
        return false;
    }
    (void)rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", s->options.min_insync);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(s->producer);
    rd_kafka_CreateTopics(s->producer, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_TIMEOUT_MS);
    const char *text = "no answer";
    rd_kafka_resp_err_t error = event ? created(event, &text) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (error) (void)fprintf(stderr, "topic %s: %s\n", s->options.topic, text ? text : rd_kafka_err2str(error));
    if (event) rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void print_ids(FILE *out, const char *name, const int32_t *ids, int count)
{
    (void)fprintf(out, "  %s: ", name);
    for (int i = 0; i < count; i++) (void)fprintf(out, "%s%d", i ? "," : "", ids[i]);
}

static const struct rd_kafka_metadata *ask_metadata(struct stream *s)
{
    const struct rd_kafka_metadata *answer = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(s->producer, s->options.topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(s->producer, 0, topic, &answer, METADATA_TIMEOUT_MS);
    rd_kafka_topic_destroy(topic);
    if (error) return NULL;
    if (answer->topic_cnt == 1 && answer->topics[0].partition_cnt == s->options.partitions) return answer;
    rd_kafka_metadata_destroy(answer);
    return NULL;
}

bool stream_describe(struct stream *s, FILE *out)
{
    const struct rd_kafka_metadata *answer = ask_metadata(s);
    if (!answer) return false;
    const struct rd_kafka_metadata_topic *topic = &answer->topics[0];
    for (int i = 0; i < topic->partition_cnt; i++) {
        const struct rd_kafka_metadata_partition *p = &topic->partitions[i];
        (void)fprintf(out, "Topic: %s  Partition: %d  Leader: ", topic->topic, p->id);
        if (p->leader < 0)
            (void)fprintf(out, "none");
        else
            (void)fprintf(out, "%d", p->leader);
        print_ids(out, "Replicas", p->replicas, p->replica_cnt);
        print_ids(out, "Isr", p->isrs, p->isr_cnt);
        (void)fprintf(out, "\n");
    }
    rd_kafka_metadata_destroy(answer);
    return true;
}

static bool is_in_sync(struct stream *s, int members)
{
    const struct rd_kafka_metadata *answer = ask_metadata(s);
    bool all = answer != NULL;
    for (int i = 0; all && i < answer->topics[0].partition_cnt; i++) {
        const struct rd_kafka_metadata_partition *p = &answer->topics[0].partitions[i];
        all = p->leader >= 0 && p->isr_cnt == members;
    }
    if (answer) rd_kafka_metadata_destroy(answer);
    return all;
}

bool stream_await_isr(struct stream *s, int members, int timeout_ms)
{
    int64_t deadline_us = stream_now_us() + (int64_t)timeout_ms * 1000;
    while (!is_in_sync(s, members)) {
        if (stream_now_us() > deadline_us) return false;
        (void)usleep(10 * CHECK_EVERY_US);
    }
    return true;
}

/* ---- producing ---- */

/* Records without an acknowledgement: at most five seconds' worth, so that a slow cluster slows the stream down. */
static uint64_t backlog_max(const struct stream *s) { return s->options.lines_per_s ? 5 * s->options.lines_per_s : UINT64_MAX; }

enum turn { TURN_NOW, TURN_LATER, TURN_NEVER };

static enum turn next_turn(struct stream *s, uint64_t sent)
{
    (void)pthread_mutex_lock(&s->lock);
    bool aborted = s->aborted, finishing = s->finishing, is_full = sent - s->verdict.acked >= backlog_max(s);
    (void)pthread_mutex_unlock(&s->lock);
    if (aborted || (finishing && sent >= s->options.lines_min)) return TURN_NEVER;
    if (finishing || s->options.lines_per_s == 0) return TURN_NOW;
    uint64_t due = (uint64_t)(stream_now_us() - s->started_us) * s->options.lines_per_s / 1000000;
    return sent <= due && !is_full ? TURN_NOW : TURN_LATER;
}

/* Waits for its turn, serving acknowledgements meanwhile.  False when the stream is to end. */
static bool pace(struct stream *s, uint64_t sent)
{
    enum turn turn = next_turn(s, sent);
    for (; turn == TURN_LATER; turn = next_turn(s, sent)) (void)rd_kafka_poll(s->producer, 1);
    return turn == TURN_NOW;
}

static rd_kafka_resp_err_t produce(struct stream *s, struct slice key, struct slice line, uint32_t number)
{
    rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = s->options.topic},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)key.p, key.n}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)line.p, line.n}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"n", &number, sizeof number}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)number},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(s->producer, parts, sizeof parts / sizeof *parts);
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_destroy(error);
    return code;
}

static void send_line(struct stream *s)
{
    struct slice key, line;
    lines_next(&s->lines, &key, &line);
    (void)pthread_mutex_lock(&s->lock);
    uint32_t number = verdict_sent(&s->verdict, key, line);
    (void)pthread_mutex_unlock(&s->lock);
    rd_kafka_resp_err_t error = produce(s, key, line, number);
    while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        (void)rd_kafka_poll(s->producer, 100);
        error = produce(s, key, line, number);
    }
    if (error) {
        (void)fprintf(stderr, "\ncannot produce: %s\n", rd_kafka_err2str(error));
        (void)pthread_mutex_lock(&s->lock);
        s->failed++;
        s->aborted = true;
        (void)pthread_mutex_unlock(&s->lock);
    }
}

static void *produce_run(void *argument)
{
    struct stream *s = argument;
    for (uint64_t sent = 0; pace(s, sent); sent++) {
        send_line(s);
        if (sent % 64 == 0) (void)rd_kafka_poll(s->producer, 0);
    }
    rd_kafka_resp_err_t error = rd_kafka_flush(s->producer, DRAIN_TIMEOUT_MS);
    (void)pthread_mutex_lock(&s->lock);
    s->flushed = error == RD_KAFKA_RESP_ERR_NO_ERROR;
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- life ---- */

bool stream_init(struct stream *s, const struct stream_options *options)
{
    *s = (struct stream){.options = *options};
    ASSERT(options->partitions > 0 && options->partitions <= VERDICT_PARTITIONS_MAX);
    (void)pthread_mutex_init(&s->lock, NULL);
    verdict_init(&s->verdict);
    if (!lines_init(&s->lines)) {
        (void)fprintf(stderr, "this machine has no text files to stream\n");
        return false;
    }
    s->producer = producer_create(s);
    return s->producer && create_topic(s);
}

void stream_deinit(struct stream *s)
{
    if (s->producer) rd_kafka_destroy(s->producer);
    lines_deinit(&s->lines);
    verdict_deinit(&s->verdict);
    (void)pthread_mutex_destroy(&s->lock);
}

static void reader_start(struct stream *s, struct stream_reader *reader, enum reader_id id, int32_t partition, int64_t end)
{
    *reader = (struct stream_reader){.stream = s, .id = id, .partition = partition, .end = end};
    ASSERT(pthread_create(&reader->thread, NULL, stream_reader_run, reader) == 0);
}

void stream_start(struct stream *s)
{
    s->started_us = stream_now_us();
    stream_mark(s);
    ASSERT(pthread_create(&s->thread, NULL, produce_run, s) == 0);
    for (int32_t p = 0; p < s->options.partitions; p++) reader_start(s, &s->live[p], READER_LIVE, p, -1);
}

void stream_mark(struct stream *s)
{
    int64_t now_us = stream_now_us();
    (void)pthread_mutex_lock(&s->lock);
    for (int32_t p = 0; p < s->options.partitions; p++) s->gaps[p] = (struct stream_gap){.last_ack_us = now_us};
    (void)pthread_mutex_unlock(&s->lock);
}

bool stream_await_acks(struct stream *s, int timeout_ms)
{
    int64_t deadline_us = stream_now_us() + (int64_t)timeout_ms * 1000;
    (void)pthread_mutex_lock(&s->lock);
    s->awaited = s->verdict.record_count;
    for (int32_t p = 0; p < s->options.partitions; p++) s->gaps[p].acked_awaited = false;
    (void)pthread_mutex_unlock(&s->lock);
    for (bool all = false; !all;) {
        if (stream_now_us() > deadline_us) return false;
        (void)usleep(CHECK_EVERY_US);
        all = true;
        (void)pthread_mutex_lock(&s->lock);
        for (int32_t p = 0; p < s->options.partitions; p++) all = all && s->gaps[p].acked_awaited;
        (void)pthread_mutex_unlock(&s->lock);
    }
    return true;
}

void stream_print_gaps(struct stream *s, FILE *out)
{
    (void)pthread_mutex_lock(&s->lock);
    (void)fprintf(out, "longest gap between acks:");
    for (int32_t p = 0; p < s->options.partitions; p++)
        (void)fprintf(out, "%s partition %d %.0f ms", p ? "," : "", p, (double)s->gaps[p].longest_us / 1000);
    (void)fprintf(out, "\n");
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- the end ---- */

/* Waits for the readers; those that are not through in time are stopped. */
static bool readers_join(struct stream *s, struct stream_reader *readers, int64_t deadline_us)
{
    bool all = false;
    while (!all) {
        (void)pthread_mutex_lock(&s->lock);
        all = true;
        for (int32_t p = 0; p < s->options.partitions; p++) all = all && readers[p].complete;
        if (!all && stream_now_us() > deadline_us) s->aborted = true;
        bool aborted = s->aborted;
        (void)pthread_mutex_unlock(&s->lock);
        if (aborted) break;
        if (!all) (void)usleep(CHECK_EVERY_US);
    }
    for (int32_t p = 0; p < s->options.partitions; p++) (void)pthread_join(readers[p].thread, NULL);
    return all;
}

/* librdkafka asks the node that its cache takes for the leader, and does not ask for the leader anew when it is no longer that: for up
 * to topic.metadata.refresh.interval.ms it would repeat NOT_LEADER_OR_FOLLOWER. */
static rd_kafka_resp_err_t query_offsets(struct stream *s, int32_t partition, int64_t deadline_us, int64_t *low, int64_t *high)
{
    for (;;) {
        *low = *high = -1;
        rd_kafka_resp_err_t error =
            rd_kafka_query_watermark_offsets(s->producer, s->options.topic, partition, low, high, METADATA_TIMEOUT_MS);
        if (!error || stream_now_us() > deadline_us) return error;
        const struct rd_kafka_metadata *fresh = ask_metadata(s);
        if (fresh) rd_kafka_metadata_destroy(fresh);
        (void)usleep(CHECK_EVERY_US);
    }
}

static bool read_everything(struct stream *s, FILE *out)
{
    struct stream_reader final[VERDICT_PARTITIONS_MAX];
    int64_t deadline_us = stream_now_us() + (int64_t)DRAIN_TIMEOUT_MS * 1000;
    for (int32_t p = 0; p < s->options.partitions; p++) {
        int64_t low, high;
        rd_kafka_resp_err_t error = query_offsets(s, p, deadline_us, &low, &high);
        if (error || low != 0) {
            (void)fprintf(out, "partition %d: offsets %lld to %lld: %s\n", p, (long long)low, (long long)high, rd_kafka_err2str(error));
            s->aborted = true;
            high = 0;
        }
        (void)pthread_mutex_lock(&s->lock);
        s->live[p].end = high;
        (void)pthread_mutex_unlock(&s->lock);
        reader_start(s, &final[p], READER_FINAL, p, high);
    }
    bool live = readers_join(s, s->live, deadline_us);
    return readers_join(s, final, deadline_us) && live;
}

static bool print_verdict(struct stream *s, enum reader_id reader, FILE *out)
{
    struct verdict_result r;
    bool ok = verdict_judge(&s->verdict, reader, &r);
    (void)fprintf(out, "%s: %llu keys, %llu sent, %llu acked, %llu read; ",
                  reader == READER_LIVE ? "read while it ran" : "read again from offset 0", (unsigned long long)r.keys,
                  (unsigned long long)r.sent, (unsigned long long)r.acked, (unsigned long long)r.read);
    (void)fprintf(out,
                  "lost %llu, duplicated %llu, out of order %llu, at another offset %llu, strange %llu, keys with another SHA-256 %llu\n",
                  (unsigned long long)r.lost, (unsigned long long)r.duplicates, (unsigned long long)r.reordered,
                  (unsigned long long)r.misplaced, (unsigned long long)r.strangers, (unsigned long long)r.digests_bad);
    return ok;
}

bool stream_finish(struct stream *s, FILE *out)
{
    (void)pthread_mutex_lock(&s->lock);
    s->finishing = true;
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    if (!s->flushed) (void)fprintf(out, "not every record was acknowledged in time\n");
    bool read = read_everything(s, out);
    if (!read) (void)fprintf(out, "not every record could be read within %d s\n", DRAIN_TIMEOUT_MS / 1000);
    bool live_ok = print_verdict(s, READER_LIVE, out);
    return print_verdict(s, READER_FINAL, out) && live_ok && read && s->flushed && s->failed == 0;
}
