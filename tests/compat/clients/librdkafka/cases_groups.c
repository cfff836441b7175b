/* Members of consumer groups: they share, leave, come back, and outlive their coordinator. */
#include "tests/compat/clients/librdkafka/kit.h"

#include <stdio.h>
#include <string.h>

enum { PARTITIONS = 4, MEMBERS = 3, OFFSETS_MAX = 1000 };

struct member {
    rd_kafka_t *client; /* NULL: not a member now */
    int owned;          /* partitions */
    int handled;        /* records */
};

/* All members of one group in this process, and what they have handled. */
struct group {
    char *name, *topic;
    struct member members[MEMBERS];
    uint8_t seen[PARTITIONS][OFFSETS_MAX];
    int handled, twice;
};

static void join(struct group *group, int i, const char *settings)
{
    char all[256];
    (void)snprintf(all, sizeof all, "session.timeout.ms=6000 heartbeat.interval.ms=300 auto.commit.interval.ms=200 %s", settings);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(topics, group->topic, RD_KAFKA_PARTITION_UA);
    group->members[i] = (struct member){.client = kit_consumer(group->name, all)};
    kit_expect_error("subscribe", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_subscribe(group->members[i].client, topics));
    rd_kafka_topic_partition_list_destroy(topics);
}

static void leave(struct group *group, int i)
{
    rd_kafka_resp_err_t error = rd_kafka_commit(group->members[i].client, NULL, 0);
    if (error != RD_KAFKA_RESP_ERR__NO_OFFSET) kit_expect_error("commit", RD_KAFKA_RESP_ERR_NO_ERROR, error);
    kit_expect_error("close", RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_consumer_close(group->members[i].client));
    rd_kafka_destroy(group->members[i].client);
    group->members[i].client = NULL;
    group->members[i].owned = 0;
}

static void handle(struct group *group, struct member *member, const rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return; /* a broker that has not heard of the new topic yet */
    kit_expect_error("read", RD_KAFKA_RESP_ERR_NO_ERROR, message->err);
    kit_expect(message->partition < PARTITIONS && message->offset < OFFSETS_MAX, "a record from elsewhere");
    uint8_t *seen = &group->seen[message->partition][message->offset];
    if (*seen)
        group->twice++;
    else
        group->handled++;
    *seen = 1;
    member->handled++;
}

/* The members read, and take part in rebalances. */
static void poll(struct group *group)
{
    for (int i = 0; i < MEMBERS; i++) {
        struct member *member = &group->members[i];
        rd_kafka_topic_partition_list_t *owned;
        if (!member->client) continue;
        for (rd_kafka_message_t *m; (m = rd_kafka_consumer_poll(member->client, 5)); rd_kafka_message_destroy(m)) handle(group, member, m);
        if (rd_kafka_assignment(member->client, &owned)) continue;
        member->owned = owned->cnt;
        rd_kafka_topic_partition_list_destroy(owned);
    }
}

static void await_owned(struct group *group, int first, int second)
{
    int64_t deadline_ms = kit_now_ms() + 20000;
    while (group->members[0].owned != first || group->members[1].owned != second) {
        kit_expect(kit_now_ms() < deadline_ms, "members own %d and %d partitions, not %d and %d", group->members[0].owned,
                   group->members[1].owned, first, second);
        poll(group);
    }
}

static void await_handled(struct group *group, int count)
{
    int64_t deadline_ms = kit_now_ms() + 20000;
    while (group->handled < count) {
        kit_expect(kit_now_ms() < deadline_ms, "%d of %d records are handled", group->handled, count);
        poll(group);
    }
}

static void send_to(const struct group *group, int first, int last)
{
    struct kit_deliveries deliveries = {0};
    rd_kafka_t *producer = kit_producer("acks=all", &deliveries);
    kit_send_numbered(producer, group->topic, first, last, 0);
    kit_flush(producer, &deliveries);
    rd_kafka_destroy(producer);
}

static void begin(struct group *group, const char *suffix, int partitions)
{
    *group = (struct group){.name = kit_name(suffix)};
    group->topic = kit_topic(suffix, partitions, "");
}

/* Two share, one leaves, the other has all, a third goes on from what is committed. */
static void share(const char *suffix, const char *settings)
{
    struct group group;
    begin(&group, suffix, PARTITIONS);
    join(&group, 0, settings);
    await_owned(&group, PARTITIONS, 0);
    join(&group, 1, settings);
    await_owned(&group, 2, 2);
    send_to(&group, 1, 400);
    await_handled(&group, 400);
    kit_expect(group.members[0].handled && group.members[1].handled, "one member has handled everything");
    leave(&group, 1);
    await_owned(&group, PARTITIONS, 0);
    send_to(&group, 401, 800);
    await_handled(&group, 800);
    leave(&group, 0);
    join(&group, 2, settings);
    send_to(&group, 801, 900);
    await_handled(&group, 900);
    leave(&group, 2);
    kit_expect(group.twice == 0, "%d records were handled twice", group.twice);
    kit_expect(group.members[2].handled == 100, "the new member handled %d records", group.members[2].handled);
}

void cases_group(void) { share("group", "partition.assignment.strategy=range"); }
void cases_group_cooperative(void) { share("cooperative", "partition.assignment.strategy=cooperative-sticky"); }

/* A static member that closes does not leave: it keeps its partitions, and the other one hears nothing. */
void cases_group_static(void)
{
    struct group group;
    begin(&group, "static", PARTITIONS);
    join(&group, 0, "group.instance.id=instance-0");
    await_owned(&group, PARTITIONS, 0);
    join(&group, 1, "group.instance.id=instance-1");
    await_owned(&group, 2, 2);
    char *member_id = rd_kafka_memberid(group.members[0].client);
    int64_t deadline_ms = kit_now_ms() + 2000; /* more than a few heartbeats */
    leave(&group, 1);
    while (kit_now_ms() < deadline_ms) {
        poll(&group);
        kit_expect(group.members[0].owned == 2, "the other member owns %d partitions", group.members[0].owned);
    }
    join(&group, 1, "group.instance.id=instance-1");
    await_owned(&group, 2, 2);
    send_to(&group, 1, 400);
    await_handled(&group, 400);
    kit_expect(group.twice == 0, "%d records were handled twice", group.twice);
    char *member_id_now = rd_kafka_memberid(group.members[0].client);
    kit_expect(member_id && member_id_now && strcmp(member_id, member_id_now) == 0, "the other member had to join again");
}

/* The partition of __consumer_offsets that has a group: Java's hash of its name. */
static int32_t partition_of(const char *group)
{
    uint32_t hash = 0;
    for (const char *c = group; *c; c++) hash = hash * 31 + (uint8_t)*c;
    return (int32_t)(hash & INT32_MAX) % kit_partition_count("__consumer_offsets");
}

static int64_t committed(rd_kafka_t *consumer, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(list, topic, 0);
    rd_kafka_resp_err_t error = rd_kafka_committed(consumer, list, 5000);
    int64_t offset = error ? -1 : list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return offset;
}

static void await_committed(struct group *group, int64_t offset)
{
    int64_t deadline_ms = kit_now_ms() + 20000;
    while (committed(group->members[0].client, group->topic) != offset) {
        kit_expect(kit_now_ms() < deadline_ms, "offset %lld does not become committed", (long long)offset);
        poll(group);
    }
}

void cases_group_killed(void)
{
    struct group group;
    begin(&group, "killed", 1);
    send_to(&group, 1, 200);
    join(&group, 0, "");
    await_handled(&group, 200);
    await_committed(&group, 200);
    kit_kill_leader("__consumer_offsets", partition_of(group.name));
    send_to(&group, 201, 400);
    await_handled(&group, 400);
    await_committed(&group, 400);
    leave(&group, 0);
    join(&group, 1, "");
    send_to(&group, 401, 450);
    await_handled(&group, 450);
    kit_expect(group.members[1].handled == 50, "the new member handled %d records", group.members[1].handled);
}
