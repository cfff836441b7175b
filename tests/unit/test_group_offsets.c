/* broker/coordinator: committed offsets: commit, fetch, delete, expiry, deleted topics, deleted groups, and who waits for whom. */
#include "tests/unit/group_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static struct fixture f;

static void setup(void) { fixture_init(&f); }
static void teardown(void)
{
    if (f.flight_count == 0 && f.shard.state == GROUP_SHARD_ACTIVE) check_replay(&f);
    fixture_deinit(&f);
}

static const struct uuid first_id = {{1}}, second_id = {{2}};

static void consumer_metadata(char bytes[32], const char *topic, size_t *n)
{
    size_t length = strlen(topic);
    const char head[] = {0, 1, 0, 0, 0, 1, 0, (char)length};
    memcpy(bytes, head, sizeof head);
    memcpy(bytes + sizeof head, topic, length);
    memset(bytes + sizeof head + length, 0, 4);
    *n = sizeof head + length + 4;
}

/* A Stable consumer group of one, subscribed to `topic`. */
static const char *subscribed(const char *topic)
{
    static char bytes[32];
    size_t n = 0;
    consumer_metadata(bytes, topic, &n);
    struct ask *ask = prepare_join(&f, (struct joiner){.version = 3, .session_ms = 1800000});
    ask->protocols[0].metadata = slice_make(bytes, n);
    send(&f, ask);
    pass_ms(&f, 3000);
    const char *member = member_of(ask);
    sync_group(&f, member, generation_of(ask));
    return member;
}

START_TEST(a_simple_consumer_commits_to_a_group_that_nobody_joined)
{
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.offset = 42, .metadata = "note \xc3\xa4"})), KAFKA_NONE);
    struct ask *ask = fetch(&f, "g", "t", 0, false);
    const struct offset_fetch_response_groups_topics_partitions *got = ask->request.out.fetch.topics[0].partitions;
    ck_assert_int_eq(got->committed_offset, 42);
    ck_assert_int_eq(got->committed_leader_epoch, 3);
    ck_assert(slice_equal_str(got->metadata, "note \xc3\xa4"));
    ck_assert_int_eq(find_group(&f, "g")->state, GROUP_EMPTY);
    ck_assert(slice_is_null(find_group(&f, "g")->protocol_type));
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.group = "", .offset = 1})), KAFKA_NONE); /* an empty id is legal here */
}
END_TEST

START_TEST(a_generation_of_an_unknown_group_is_refused_by_version)
{
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.version = 8, .is_member = true, .generation = 1})),
                     KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.version = 9, .is_member = true, .generation = 1})),
                     KAFKA_GROUP_ID_NOT_FOUND);
    ck_assert_uint_eq(map_count(&f.shard.groups), 0);
}
END_TEST

START_TEST(every_partition_asked_for_is_answered)
{
    struct ask *ask = fetch(&f, "nobody", "t", 7, false);
    ck_assert_int_eq(ask->request.out.fetch.error_code, KAFKA_NONE);
    ck_assert_int_eq(ask->request.out.fetch.topics[0].partitions[0].committed_offset, -1);
    ck_assert_int_eq(ask->request.out.fetch.topics[0].partitions[0].committed_leader_epoch, -1);
    ck_assert(slice_equal_str(ask->request.out.fetch.topics[0].partitions[0].metadata, ""));
    ck_assert_int_eq(ask->request.out.fetch.topics[0].partitions[0].partition_index, 7);
}
END_TEST

START_TEST(all_topics_are_fetched_when_none_is_named)
{
    for (int32_t i = 9; i >= 0; i--) commit(&f, (struct committer){.topic = i % 2 ? "odd" : "even", .partition = i, .offset = i * 10});
    struct ask *ask = fetch(&f, "g", NULL, 0, false);
    const struct offset_fetch_response_groups *out = &ask->request.out.fetch;
    ck_assert_int_eq(out->topics_count, 2);
    for (int32_t t = 0; t < 2; t++) {
        ck_assert_int_eq(out->topics[t].partitions_count, 5);
        for (int32_t i = 0; i < 5; i++)
            ck_assert_int_eq(out->topics[t].partitions[i].committed_offset, out->topics[t].partitions[i].partition_index * 10);
    }
    ck_assert_int_eq(fetch(&f, "nobody", NULL, 0, false)->request.out.fetch.topics_count, 0);
}
END_TEST

START_TEST(who_fetches_all_is_told_to_what_topic_each_was_committed)
{
    const struct uuid ids[] = {first_id, UUID_ZERO, second_id};
    for (int32_t i = 0; i < 3; i++) commit(&f, (struct committer){.version = 10, .partition = i, .offset = i, .topic_id = ids[i]});
    const struct group_request *request = &fetch(&f, "g", NULL, 0, false)->request;
    ck_assert_int_eq(request->out.fetch.topics_count, 1);
    ck_assert_int_eq(request->out.fetch.topics[0].partitions_count, 3);
    for (int32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(request->out.fetch.topics[0].partitions[i].partition_index, i);
        ck_assert(uuid_equal(request->fetched_ids[i], ids[i]));
    }
}
END_TEST

START_TEST(metadata_has_a_limit_in_characters)
{
    f.config.offset_metadata_max_bytes = 4;
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.metadata = "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"})), KAFKA_NONE);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.metadata = "12345"})), KAFKA_OFFSET_METADATA_TOO_LARGE);
    /* Two UTF-16 units each, as Kafka counts. */
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.metadata = "\xf0\x9f\x90\x9f\xf0\x9f\x90\x9f\xf0\x9f\x90\x9f"})),
                     KAFKA_OFFSET_METADATA_TOO_LARGE);
}
END_TEST

START_TEST(g_offmon_a_commit_shows_when_it_is_committed_in_the_order_of_the_log)
{
    f.is_auto = false;
    struct ask *first = commit(&f, (struct committer){.offset = 1});
    struct ask *second = commit(&f, (struct committer){.offset = 2});
    ck_assert(!first->is_done);
    ck_assert_ptr_null(find_group(&f, "g"));
    ck_assert_int_eq(fetched(&f, "t", 0), -1);
    commit_one(&f);
    ck_assert(first->is_done);
    ck_assert(!second->is_done);
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    commit_one(&f);
    ck_assert(second->is_done);
    ck_assert_int_eq(fetched(&f, "t", 0), 2);
}
END_TEST

START_TEST(g_offmon_a_stable_fetch_waits_for_what_is_being_committed)
{
    f.is_auto = false;
    commit(&f, (struct committer){.offset = 1});
    commit(&f, (struct committer){.offset = 2});
    struct ask *stable = fetch(&f, "g", "t", 0, true);
    struct ask *at_once = fetch(&f, "g", "t", 0, false);
    ck_assert(at_once->is_done);
    ck_assert(!stable->is_done);
    commit_one(&f);
    ck_assert(!stable->is_done);
    commit_one(&f);
    ck_assert(stable->is_done);
    ck_assert_int_eq(stable->request.out.fetch.topics[0].partitions[0].committed_offset, 2);
}
END_TEST

START_TEST(a_refused_commit_changes_nothing)
{
    commit(&f, (struct committer){.offset = 1});
    f.is_auto = false;
    struct ask *ask = commit(&f, (struct committer){.offset = 2});
    struct ask *stable = fetch(&f, "g", "t", 0, true);
    refuse_one(&f, KAFKA_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(commit_error(ask), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(stable->request.out.fetch.topics[0].partitions[0].committed_offset, 1);
    struct ask *other = commit(&f, (struct committer){.group = "new", .offset = 2});
    refuse_one(&f, KAFKA_MESSAGE_TOO_LARGE);
    ck_assert_int_eq(commit_error(other), KAFKA_UNKNOWN_SERVER_ERROR);
    ck_assert_uint_eq(map_count(&f.shard.groups), 1);
}
END_TEST

START_TEST(a_commit_in_doubt_is_answered_in_time_and_takes_effect_later)
{
    f.is_auto = false;
    struct ask *ask = commit(&f, (struct committer){.offset = 5});
    struct ask *stable = fetch(&f, "g", "t", 0, true);
    pass_ms(&f, 4999);
    ck_assert(!ask->is_done);
    pass_ms(&f, 1);
    ck_assert_int_eq(commit_error(ask), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(stable->request.out.fetch.error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(fetch(&f, "g", "t", 0, true)->request.out.fetch.error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(fetched(&f, "t", 0), -1);
    commit_one(&f);
    ck_assert_int_eq(fetched(&f, "t", 0), 5);
}
END_TEST

START_TEST(offsets_of_a_topic_recreated_under_its_name_do_not_count)
{
    commit(&f, (struct committer){.version = 10, .offset = 5, .topic_id = first_id});
    struct ask *ask = fetch(&f, "g", "t", 0, false);
    ck_assert_int_eq(ask->request.out.fetch.topics[0].partitions[0].committed_offset, 5);
    for (int i = 0; i < 2; i++) {
        struct ask *by_id = new_ask(&f, GROUP_OFFSET_FETCH, 10, "g");
        by_id->fetch_topic = ask->fetch_topic;
        by_id->fetch_topic.topic_id = i ? second_id : first_id;
        by_id->fetch = ask->fetch;
        by_id->fetch.topics = &by_id->fetch_topic;
        by_id->request.in.fetch = &by_id->fetch;
        send(&f, by_id);
        ck_assert_int_eq(by_id->request.out.fetch.topics[0].partitions[0].committed_offset, i ? -1 : 5);
    }
}
END_TEST

START_TEST(offset_delete_checks_the_group_and_the_subscription)
{
    struct ask *ask = delete_offset(&f, "nobody", "t", 0);
    ck_assert_int_eq(ask->request.out.offset_delete.error_code, KAFKA_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(delete_offset(&f, "", "t", 0)->request.out.offset_delete.error_code, KAFKA_INVALID_GROUP_ID);
    const char *member = subscribed("t");
    commit(&f, (struct committer){.member = member, .is_member = true, .generation = 1, .offset = 1});
    commit(&f, (struct committer){.member = member, .is_member = true, .generation = 1, .offset = 2, .topic = "u"});
    ask = delete_offset(&f, "g", "t", 0);
    ck_assert_int_eq(ask->request.out.offset_delete.topics[0].partitions[0].error_code, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    ask = delete_offset(&f, "g", "u", 0);
    ck_assert_int_eq(ask->request.out.offset_delete.topics[0].partitions[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    ck_assert_int_eq(fetched(&f, "u", 0), -1);
    stable_alone(&f, (struct joiner){.version = 3, .group = "c", .type = "connect"});
    ck_assert_int_eq(delete_offset(&f, "c", "t", 0)->request.out.offset_delete.error_code, KAFKA_NON_EMPTY_GROUP);
}
END_TEST

START_TEST(g_proto_garbage_for_a_subscription_only_keeps_its_own_offsets)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3, .metadata = "\x7f\xff\x7f\xff\xff\xff"});
    commit(&f, (struct committer){.member = member, .is_member = true, .generation = 1, .offset = 1});
    struct ask *ask = delete_offset(&f, "g", "t", 0);
    ck_assert_int_eq(ask->request.out.offset_delete.topics[0].partitions[0].error_code, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
}
END_TEST

START_TEST(offset_delete_counts_what_is_being_committed)
{
    f.is_auto = false;
    commit(&f, (struct committer){.offset = 1});
    struct ask *ask = delete_offset(&f, "g", "t", 0);
    ck_assert(!ask->is_done);
    commit_all(&f);
    ck_assert(ask->is_done);
    ck_assert_int_eq(fetched(&f, "t", 0), -1);
}
END_TEST

/* ---- requests that name very much ---- */

enum { MANY = 30000 };

/* `count` commits of partition 0 in one request, and none of them in the log yet. */
static struct ask *commit_often(const char *group, int32_t count)
{
    struct ask *ask = new_ask(&f, GROUP_OFFSET_COMMIT, 9, group);
    struct offset_commit_request_partitions *partitions = arena_calloc(&ask->request.arena, (size_t)count, sizeof *partitions);
    for (int32_t i = 0; i < count; i++)
        partitions[i] = (struct offset_commit_request_partitions){.committed_offset = i, .committed_metadata = SLICE_LITERAL("")};
    ask->commit_topic = (struct offset_commit_request_topics){.name = T("t"), .partitions = partitions, .partitions_count = count};
    ask->commit = (struct offset_commit_request){.group_id = ask->request.group_id,
                                                 .generation_id_or_member_epoch = -1,
                                                 .member_id = T(""),
                                                 .group_instance_id = SLICE_NULL,
                                                 .retention_time_ms = -1,
                                                 .topics = &ask->commit_topic,
                                                 .topics_count = 1};
    ask->request.in.commit = &ask->commit;
    send(&f, ask);
    return ask;
}

/* One partition of `topic`, named often; each time in a topic of its own. */
static struct ask *delete_often(const char *topic, int32_t partition)
{
    struct ask *ask = new_ask(&f, GROUP_OFFSET_DELETE, 0, "g");
    struct offset_delete_request_topics *topics = arena_calloc(&ask->request.arena, MANY, sizeof *topics);
    ask->delete_partition.partition_index = partition;
    for (int32_t i = 0; i < MANY; i++)
        topics[i] = (struct offset_delete_request_topics){.name = T(topic), .partitions = &ask->delete_partition, .partitions_count = 1};
    ask->delete_offsets = (struct offset_delete_request){.group_id = T("g"), .topics = topics, .topics_count = MANY};
    ask->request.in.offset_delete = &ask->delete_offsets;
    send(&f, ask);
    return ask;
}

/* Each of the one was once looked for among all of the other: minutes, in which nobody else is served. */
START_TEST(offset_delete_looks_once_at_what_is_being_committed)
{
    f.is_auto = false;
    struct ask *written = commit_often("g", MANY);
    ck_assert(delete_often("t", 1)->is_done);
    commit_all(&f);
    ck_assert_int_eq(written->request.out.commit.topics[0].partitions[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(fetched(&f, "t", 0), MANY - 1);
}
END_TEST

/* "topic1", "topic2", ... */
static struct slice long_subscription(struct ask *ask)
{
    struct writer w;
    writer_init(&w, 65536);
    writer_i16(&w, 0);
    writer_i32(&w, MANY);
    for (int32_t i = 0; i < MANY; i++) {
        struct slice name = arena_printf(&ask->request.arena, "topic%d", i);
        writer_i16(&w, (int16_t)name.n);
        writer_bytes(&w, name);
    }
    writer_i32(&w, -1);
    struct slice subscription = arena_copy(&ask->request.arena, writer_slice(&w));
    writer_deinit(&w);
    return subscription;
}

START_TEST(offset_delete_looks_once_at_the_subscriptions)
{
    struct ask *ask = prepare_join(&f, (struct joiner){.version = 3});
    ask->protocols[0].metadata = long_subscription(ask);
    send(&f, ask);
    pass_ms(&f, 3000);
    ck_assert(ask->is_done);
    struct ask *deleted = delete_often("other", 0);
    ck_assert_int_eq(deleted->request.out.offset_delete.topics[MANY - 1].partitions[0].error_code, KAFKA_NONE);
    deleted = delete_often("topic29999", 0);
    ck_assert_int_eq(deleted->request.out.offset_delete.topics[0].partitions[0].error_code, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
}
END_TEST

/* Each record has the name of its group: this would be a gigabyte, for half a megabyte that was sent. */
START_TEST(a_commit_that_no_log_takes_is_refused_while_it_is_small)
{
    static char group[32767];
    memset(group, 'g', sizeof group - 1);
    f.is_auto = false;
    struct ask *ask = commit_often(group, MANY);
    ck_assert(ask->is_done);
    ck_assert_uint_eq(f.flight_count, 0);
    ck_assert_int_eq(ask->request.out.commit.topics[0].partitions[MANY - 1].error_code, KAFKA_UNKNOWN_SERVER_ERROR);
    ck_assert_ptr_null(find_group(&f, group));
}
END_TEST

/* A thousand tombstones that have such a name are more than a log takes at a time. */
START_TEST(a_group_with_a_long_name_can_be_deleted)
{
    static char group[32767];
    memset(group, 'g', sizeof group - 1);
    for (int32_t i = 0; i < 100; i++) commit(&f, (struct committer){.group = group, .partition = i, .offset = 1});
    f.is_auto = false;
    struct ask *ask = delete_group(&f, group);
    for (size_t i = 0; i < f.flight_count; i++) ck_assert_uint_lt(f.flight[i]->bytes, 512 << 10);
    commit_all(&f);
    ck_assert_int_eq(ask->request.out.deleted, KAFKA_NONE);
    ck_assert_ptr_null(find_group(&f, group));
}
END_TEST

START_TEST(delete_group_checks_and_deletes_all)
{
    ck_assert_int_eq(delete_group(&f, "g")->request.out.deleted, KAFKA_GROUP_ID_NOT_FOUND);
    const char *member = stable_alone(&f, (struct joiner){.version = 3});
    for (int32_t i = 0; i < 10; i++)
        commit(&f, (struct committer){.member = member, .is_member = true, .generation = 1, .partition = i, .offset = 1});
    ck_assert_int_eq(delete_group(&f, "g")->request.out.deleted, KAFKA_NON_EMPTY_GROUP);
    leave(&f, member, NULL);
    ck_assert_int_eq(delete_group(&f, "g")->request.out.deleted, KAFKA_NONE);
    ck_assert_ptr_null(find_group(&f, "g"));
    ck_assert_uint_eq(f.shard.offset_count, 0);
    ck_assert_uint_eq(group_shard_bytes(&f.shard), 0);
}
END_TEST

/* All tombstones of a large group in one record batch would be more than max.message.bytes: it could never be deleted. */
START_TEST(a_large_group_is_deleted_in_several_appends)
{
    for (int32_t i = 0; i < 2500; i++) commit(&f, (struct committer){.partition = i, .offset = 1});
    f.is_auto = false;
    struct ask *under_way = commit(&f, (struct committer){.partition = 2500, .offset = 1});
    struct ask *deletion = delete_group(&f, "g");
    ck_assert_uint_eq(f.flight_count, 4);
    for (size_t i = 0; i < f.flight_count; i++) ck_assert_uint_le(f.flight[i]->count, GROUP_BATCH_RECORDS_MAX);
    struct ask *after = commit(&f, (struct committer){.offset = 3});
    commit_one(&f);
    commit_one(&f);
    ck_assert(under_way->is_done);
    ck_assert(!deletion->is_done);
    refuse_one(&f, KAFKA_NOT_ENOUGH_REPLICAS); /* the last, with the group's own tombstone */
    ck_assert_int_eq(deletion->request.out.deleted, KAFKA_COORDINATOR_NOT_AVAILABLE);
    commit_all(&f);
    ck_assert_int_eq(commit_error(after), KAFKA_NONE);
    ck_assert_uint_eq(f.shard.offset_count, 502); /* what the last append would have deleted, and the commit that waited */
    deletion = delete_group(&f, "g");
    commit_all(&f);
    ck_assert_int_eq(deletion->request.out.deleted, KAFKA_NONE);
    ck_assert_ptr_null(find_group(&f, "g"));
    ck_assert_uint_eq(f.shard.offset_count, 0);
}
END_TEST

START_TEST(who_comes_while_a_group_is_deleted_waits_for_the_outcome)
{
    commit(&f, (struct committer){.offset = 1});
    f.is_auto = false;
    struct ask *late = commit(&f, (struct committer){.offset = 2, .partition = 1});
    struct ask *deletion = delete_group(&f, "g");
    struct ask *after = commit(&f, (struct committer){.offset = 3});
    struct ask *joined = join(&f, (struct joiner){.version = 3});
    struct ask *again = delete_group(&f, "g");
    ck_assert_uint_eq(f.flight_count, 2);
    commit_one(&f);
    ck_assert(late->is_done);
    commit_one(&f);
    ck_assert_int_eq(deletion->request.out.deleted, KAFKA_NONE);
    ck_assert(!after->is_done); /* under way, to the new group of that name */
    /* The join found that one Empty, so the second deletion found it with a member. */
    ck_assert_int_eq(again->request.out.deleted, KAFKA_NON_EMPTY_GROUP);
    commit_all(&f);
    ck_assert_int_eq(commit_error(after), KAFKA_NONE);
    ck_assert_int_eq(fetched(&f, "t", 0), 3);
    ck_assert_int_eq(fetched(&f, "t", 1), -1);
    pass_ms(&f, 3000);
    ck_assert(joined->is_done);
    ck_assert_int_eq(find_group(&f, "g")->generation, 1);
}
END_TEST

START_TEST(each_of_those_who_waited_gets_an_id_of_its_own)
{
    commit(&f, (struct committer){.offset = 1});
    f.is_auto = false;
    delete_group(&f, "g");
    struct ask *one = join(&f, (struct joiner){.version = 4}), *two = join(&f, (struct joiner){.version = 4});
    commit_all(&f);
    ck_assert_int_eq(one->request.out.join.error_code, KAFKA_MEMBER_ID_REQUIRED);
    ck_assert_int_eq(two->request.out.join.error_code, KAFKA_MEMBER_ID_REQUIRED);
    ck_assert_str_ne(member_of(one), member_of(two));
}
END_TEST

START_TEST(a_refused_deletion_leaves_the_group_to_those_who_waited)
{
    commit(&f, (struct committer){.offset = 1});
    f.is_auto = false;
    struct ask *deletion = delete_group(&f, "g");
    struct ask *after = commit(&f, (struct committer){.offset = 3, .partition = 1});
    refuse_one(&f, KAFKA_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(deletion->request.out.deleted, KAFKA_COORDINATOR_NOT_AVAILABLE);
    commit_all(&f);
    ck_assert_int_eq(commit_error(after), KAFKA_NONE);
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    ck_assert_int_eq(fetched(&f, "t", 1), 3);
}
END_TEST

START_TEST(who_waits_for_a_deletion_in_doubt_is_answered_in_time)
{
    commit(&f, (struct committer){.offset = 1});
    f.is_auto = false;
    struct ask *deletion = delete_group(&f, "g");
    struct ask *after = commit(&f, (struct committer){.offset = 3});
    pass_ms(&f, 5000);
    ck_assert_int_eq(deletion->request.out.deleted, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(commit_error(after), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_ptr_nonnull(find_group(&f, "g"));
    commit_all(&f);
    ck_assert_ptr_null(find_group(&f, "g"));
}
END_TEST

/* ---- G-EXP ---- */

#define DAY_MS INT64_C(86400000)

START_TEST(g_exp_offsets_of_an_empty_group_expire_since_it_is_empty)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3, .session_ms = 1800000});
    commit(&f, (struct committer){.member = member, .is_member = true, .generation = 1, .offset = 1});
    for (int i = 0; i < 700; i++) { /* long alive: nothing expires */
        pass_ms(&f, 1200000);
        ck_assert_int_eq(heartbeat(&f, member, 1, NULL), KAFKA_NONE);
    }
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    leave(&f, member, NULL);
    pass_ms(&f, 7 * DAY_MS - 600001);
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    pass_ms(&f, 1200001);
    ck_assert_ptr_null(find_group(&f, "g"));
    ck_assert_uint_eq(f.shard.counters.offsets_expired, 1);
}
END_TEST

START_TEST(g_exp_offsets_of_a_simple_group_expire_since_their_commit)
{
    commit(&f, (struct committer){.offset = 1});
    pass_ms(&f, 4 * DAY_MS);
    commit(&f, (struct committer){.offset = 2, .partition = 1});
    pass_ms(&f, 4 * DAY_MS);
    ck_assert_int_eq(fetched(&f, "t", 0), -1);
    ck_assert_int_eq(fetched(&f, "t", 1), 2);
    pass_ms(&f, 4 * DAY_MS);
    ck_assert_ptr_null(find_group(&f, "g"));
}
END_TEST

START_TEST(g_exp_a_commit_may_bring_its_own_expiry)
{
    commit(&f, (struct committer){.version = 4, .offset = 1, .retention_ms = 3600000});
    commit(&f, (struct committer){.version = 4, .offset = 2, .partition = 1, .retention_ms = 30 * DAY_MS});
    pass_ms(&f, 3000000);
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    pass_ms(&f, 1200000);
    ck_assert_int_eq(fetched(&f, "t", 0), -1);
    pass_ms(&f, 20 * DAY_MS);
    ck_assert_int_eq(fetched(&f, "t", 1), 2);
}
END_TEST

START_TEST(g_exp_a_running_consumer_group_loses_only_what_it_left)
{
    const char *member = subscribed("t");
    commit(&f, (struct committer){.member = member, .is_member = true, .generation = 1, .offset = 1});
    commit(&f, (struct committer){.member = member, .is_member = true, .generation = 1, .offset = 2, .topic = "u"});
    for (int i = 0; i < 8 * 24 * 3; i++) {
        pass_ms(&f, 1200000);
        heartbeat(&f, member, 1, NULL);
    }
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    ck_assert_int_eq(fetched(&f, "u", 0), -1);
}
END_TEST

START_TEST(g_exp_the_tombstone_is_committed_before_anything_is_forgotten)
{
    commit(&f, (struct committer){.offset = 1});
    pass_ms(&f, 7 * DAY_MS - 1200000);
    f.is_auto = false;
    pass_ms(&f, 2400000);
    ck_assert_uint_eq(f.flight_count, 1);
    ck_assert_uint_eq(f.flight[0]->count, 2); /* the offset's and the group's */
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    refuse_one(&f, KAFKA_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(fetched(&f, "t", 0), 1);
    pass_ms(&f, 600000);
    commit_all(&f);
    ck_assert_ptr_null(find_group(&f, "g"));
}
END_TEST

START_TEST(g_exp_what_is_being_committed_again_does_not_expire)
{
    commit(&f, (struct committer){.offset = 1});
    pass_ms(&f, 7 * DAY_MS - 1200000);
    f.config.offsets_commit_timeout_ms = INT32_MAX;
    f.is_auto = false;
    struct ask *ask = commit(&f, (struct committer){.offset = 2});
    pass_ms(&f, 2400000);
    ck_assert_uint_eq(f.flight_count, 1);
    commit_all(&f);
    ck_assert_int_eq(commit_error(ask), KAFKA_NONE);
    ck_assert_int_eq(fetched(&f, "t", 0), 2);
}
END_TEST

START_TEST(g_exp_a_large_group_goes_in_rounds)
{
    for (int32_t i = 0; i < 2500; i++) commit(&f, (struct committer){.partition = i, .offset = 1});
    pass_ms(&f, 8 * DAY_MS);
    ck_assert_ptr_null(find_group(&f, "g"));
    ck_assert_uint_eq(f.shard.counters.offsets_expired, 2500);
}
END_TEST

static void load_offset(struct fixture *g, int32_t partition, int64_t commit_ms)
{
    struct writer key, value;
    struct offset_commit_value offset = {
        .offset = 1, .leader_epoch = -1, .metadata = T(""), .commit_timestamp = commit_ms, .expire_timestamp = -1};
    writer_init(&key, 64);
    writer_init(&value, 64);
    group_record_write_offset_key(&key, T("g"), T("t"), partition);
    group_record_write_offset(&value, &offset);
    step(g, (struct group_event){.type = GROUP_EVENT_RECORD, .record = {writer_slice(&key), writer_slice(&value)}});
    writer_deinit(&key);
    writer_deinit(&value);
}

/* A client that calls itself an administrator's writes what it likes into the log. */
START_TEST(g_exp_times_without_sense_are_long_ago_or_never)
{
    struct fixture loaded;
    fixture_init_loading(&loaded);
    load_offset(&loaded, 0, INT64_MIN);
    load_offset(&loaded, 1, INT64_MAX);
    step(&loaded, (struct group_event){.type = GROUP_EVENT_LOADED});
    pass_ms(&loaded, 8 * DAY_MS);
    ck_assert_int_eq(fetched(&loaded, "t", 0), -1);
    ck_assert_int_eq(fetched(&loaded, "t", 1), 1);
    fixture_deinit(&loaded);
}
END_TEST

START_TEST(offsets_of_a_deleted_topic_go_with_it)
{
    commit(&f, (struct committer){.version = 10, .offset = 1, .topic_id = first_id});
    commit(&f, (struct committer){.version = 10, .offset = 2, .partition = 1, .topic_id = second_id});
    commit(&f, (struct committer){.offset = 3, .partition = 2});
    commit(&f, (struct committer){.offset = 4, .topic = "u"});
    f.is_auto = false;
    commit(&f, (struct committer){.offset = 5, .partition = 3});
    step(&f, (struct group_event){.type = GROUP_EVENT_TOPIC_DELETED, .topic = {T("t"), first_id}});
    commit_all(&f);
    ck_assert_int_eq(fetched(&f, "t", 0), -1);
    ck_assert_int_eq(fetched(&f, "t", 1), 2); /* of the topic that has the name now */
    ck_assert_int_eq(fetched(&f, "t", 2), -1);
    ck_assert_int_eq(fetched(&f, "t", 3), -1);
    ck_assert_int_eq(fetched(&f, "u", 0), 4);
}
END_TEST

/* ---- loading and unloading ---- */

START_TEST(g_offdur_nothing_is_served_before_all_is_loaded)
{
    struct fixture g;
    fixture_init_loading(&g);
    struct ask *ask = fetch(&g, "g", "t", 0, false);
    ck_assert_int_eq(ask->request.out.fetch.error_code, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_int_eq(commit_error(commit(&g, (struct committer){.offset = 1})), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_int_eq(join(&g, (struct joiner){.version = 4})->request.out.join.error_code, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_int_eq(sync_group(&g, "m", 1)->request.out.sync.error_code, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_int_eq(heartbeat(&g, "m", 1, NULL), KAFKA_NONE); /* the member goes on */
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct describe_groups_response_groups described;
    group_shard_describe(&g.shard, T("g"), 5, &arena, &described);
    ck_assert_int_eq(described.error_code, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    arena_deinit(&arena);
    fixture_deinit(&g);
}
END_TEST

START_TEST(g_race_who_waits_is_sent_on_when_the_coordinator_moves)
{
    struct ask *joining = join(&f, (struct joiner){.version = 3});
    f.is_auto = false;
    struct ask *committing = commit(&f, (struct committer){.group = "other", .offset = 1});
    struct ask *reading = fetch(&f, "other", "t", 0, true);
    struct ask *deleting = delete_group(&f, "other");
    struct ask *waiting = commit(&f, (struct committer){.group = "other", .offset = 2});
    step(&f, (struct group_event){.type = GROUP_EVENT_UNLOADED});
    ck_assert_int_eq(joining->request.out.join.error_code, KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(commit_error(committing), KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(reading->request.out.fetch.error_code, KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(deleting->request.out.deleted, KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(commit_error(waiting), KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(heartbeat(&f, "m", 1, NULL), KAFKA_NOT_COORDINATOR);
    /* What was under way when it moved is nobody's any more. */
    step(&f, (struct group_event){.type = GROUP_EVENT_APPENDED, .appended = {f.tokens[0], KAFKA_NONE}});
    ck_assert_uint_eq(map_count(&f.shard.groups), 0);
}
END_TEST

START_TEST(records_of_other_coordinators_are_skipped_and_counted)
{
    struct fixture g;
    fixture_init_loading(&g);
    const char future[] = {0, 9, 1, 2, 3};
    step(&g, (struct group_event){.type = GROUP_EVENT_RECORD, .record = {slice_make(future, sizeof future), T("x")}});
    ck_assert_uint_eq(g.shard.counters.records_skipped, 1);
    const char torn[] = {0, 1, 0, 5, 'g'};
    step(&g, (struct group_event){.type = GROUP_EVENT_RECORD, .record = {slice_make(torn, sizeof torn), T("x")}});
    ck_assert_uint_eq(g.shard.counters.records_malformed, 1);
    ck_assert_uint_eq(map_count(&g.shard.groups), 0);
    fixture_deinit(&g);
}
END_TEST

START_TEST(memory_has_a_limit_and_known_offsets_go_on)
{
    commit(&f, (struct committer){.offset = 1});
    f.config.bytes_max = group_shard_bytes(&f.shard);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.offset = 2})), KAFKA_NONE);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.offset = 2, .partition = 1})), KAFKA_INVALID_COMMIT_OFFSET_SIZE);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.group = "new", .offset = 2})), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(join(&f, (struct joiner){.version = 4, .group = "new"})->request.out.join.error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(join(&f, (struct joiner){.version = 4})->request.out.join.error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_uint_eq(map_count(&f.shard.groups), 1);
}
END_TEST

#define COMPACT_COUNT 100000

START_TEST(many_offsets_are_compact)
{
    struct fixture g;
    fixture_init_loading(&g);
    struct writer w;
    for (int32_t i = 0; i < COMPACT_COUNT; i++) {
        char topic[32], group[32];
        int t = snprintf(topic, sizeof topic, "some.topic.name-%d", i / 10 % 1000);
        int n = snprintf(group, sizeof group, "consumers-of-%d", i / 1000);
        writer_init(&w, 256);
        group_record_write_offset_key(&w, slice_make(group, (size_t)n), slice_make(topic, (size_t)t), i % 10);
        size_t key = writer_size(&w);
        struct offset_commit_value value = {
            .offset = i, .leader_epoch = 1, .metadata = SLICE_LITERAL(""), .commit_timestamp = 1, .expire_timestamp = -1};
        group_record_write_offset(&w, &value);
        struct slice all = writer_slice(&w);
        step(&g,
             (struct group_event){.type = GROUP_EVENT_RECORD, .record = {slice_make(all.p, key), slice_make(all.p + key, all.n - key)}});
        writer_deinit(&w);
    }
    ck_assert_uint_eq(g.shard.offset_count, COMPACT_COUNT);
    ck_assert_uint_le(group_shard_bytes(&g.shard), 30 * COMPACT_COUNT);
    fixture_deinit(&g);
}
END_TEST

/* ---- questions ---- */

START_TEST(tools_see_groups_as_kafka_shows_them)
{
    stable_alone(&f, (struct joiner){.version = 3, .metadata = "meta"});
    commit(&f, (struct committer){.group = "simple", .offset = 1});
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct describe_groups_response_groups out;
    group_shard_describe(&f.shard, T("g"), 5, &arena, &out);
    ck_assert(slice_equal_str(out.group_state, "Stable"));
    ck_assert(slice_equal_str(out.protocol_data, "range"));
    ck_assert_int_eq(out.members_count, 1);
    ck_assert(slice_equal_str(out.members[0].member_metadata, "meta"));
    ck_assert(slice_equal_str(out.members[0].member_assignment, "all"));
    ck_assert(slice_equal_str(out.members[0].client_host, "/127.0.0.1"));
    group_shard_describe(&f.shard, T("simple"), 5, &arena, &out);
    ck_assert(slice_equal_str(out.group_state, "Empty"));
    ck_assert(slice_equal_str(out.protocol_type, ""));
    group_shard_describe(&f.shard, T("nobody"), 5, &arena, &out);
    ck_assert_int_eq(out.error_code, KAFKA_NONE);
    ck_assert(slice_equal_str(out.group_state, "Dead"));
    group_shard_describe(&f.shard, T("nobody"), 6, &arena, &out);
    ck_assert_int_eq(out.error_code, KAFKA_GROUP_ID_NOT_FOUND);
    ck_assert(!slice_is_null(out.error_message));
    arena_deinit(&arena);
}
END_TEST

START_TEST(lists_filter_by_state_and_type_in_any_case)
{
    stable_alone(&f, (struct joiner){.version = 3});
    const struct group *group = find_group(&f, "g");
    struct slice stable = T(" STABLE "), empty = T("empty"), classic = T("Classic"), modern = T("consumer");
    ck_assert(group_matches_filters(group, NULL, 0, NULL, 0));
    ck_assert(group_matches_filters(group, &stable, 1, &classic, 1));
    ck_assert(!group_matches_filters(group, &empty, 1, NULL, 0));
    ck_assert(!group_matches_filters(group, NULL, 0, &modern, 1));
    struct list_groups_response_groups entry;
    group_list_entry(group, &entry);
    ck_assert(slice_equal_str(entry.group_state, "Stable"));
    ck_assert(slice_equal_str(entry.group_type, "classic"));
    ck_assert(slice_equal_str(entry.protocol_type, "consumer"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_offsets");
    TCase *tcase = tcase_create("group_offsets");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_simple_consumer_commits_to_a_group_that_nobody_joined);
    tcase_add_test(tcase, a_generation_of_an_unknown_group_is_refused_by_version);
    tcase_add_test(tcase, every_partition_asked_for_is_answered);
    tcase_add_test(tcase, all_topics_are_fetched_when_none_is_named);
    tcase_add_test(tcase, who_fetches_all_is_told_to_what_topic_each_was_committed);
    tcase_add_test(tcase, metadata_has_a_limit_in_characters);
    tcase_add_test(tcase, g_offmon_a_commit_shows_when_it_is_committed_in_the_order_of_the_log);
    tcase_add_test(tcase, g_offmon_a_stable_fetch_waits_for_what_is_being_committed);
    tcase_add_test(tcase, a_refused_commit_changes_nothing);
    tcase_add_test(tcase, a_commit_in_doubt_is_answered_in_time_and_takes_effect_later);
    tcase_add_test(tcase, offsets_of_a_topic_recreated_under_its_name_do_not_count);
    tcase_add_test(tcase, offset_delete_checks_the_group_and_the_subscription);
    tcase_add_test(tcase, g_proto_garbage_for_a_subscription_only_keeps_its_own_offsets);
    tcase_add_test(tcase, offset_delete_counts_what_is_being_committed);
    tcase_add_test(tcase, offset_delete_looks_once_at_what_is_being_committed);
    tcase_add_test(tcase, offset_delete_looks_once_at_the_subscriptions);
    tcase_add_test(tcase, a_commit_that_no_log_takes_is_refused_while_it_is_small);
    tcase_add_test(tcase, a_group_with_a_long_name_can_be_deleted);
    tcase_add_test(tcase, delete_group_checks_and_deletes_all);
    tcase_add_test(tcase, a_large_group_is_deleted_in_several_appends);
    tcase_add_test(tcase, who_comes_while_a_group_is_deleted_waits_for_the_outcome);
    tcase_add_test(tcase, each_of_those_who_waited_gets_an_id_of_its_own);
    tcase_add_test(tcase, a_refused_deletion_leaves_the_group_to_those_who_waited);
    tcase_add_test(tcase, who_waits_for_a_deletion_in_doubt_is_answered_in_time);
    tcase_add_test(tcase, g_exp_offsets_of_an_empty_group_expire_since_it_is_empty);
    tcase_add_test(tcase, g_exp_offsets_of_a_simple_group_expire_since_their_commit);
    tcase_add_test(tcase, g_exp_a_commit_may_bring_its_own_expiry);
    tcase_add_test(tcase, g_exp_a_running_consumer_group_loses_only_what_it_left);
    tcase_add_test(tcase, g_exp_the_tombstone_is_committed_before_anything_is_forgotten);
    tcase_add_test(tcase, g_exp_what_is_being_committed_again_does_not_expire);
    tcase_add_test(tcase, g_exp_a_large_group_goes_in_rounds);
    tcase_add_test(tcase, g_exp_times_without_sense_are_long_ago_or_never);
    tcase_add_test(tcase, offsets_of_a_deleted_topic_go_with_it);
    tcase_add_test(tcase, g_offdur_nothing_is_served_before_all_is_loaded);
    tcase_add_test(tcase, g_race_who_waits_is_sent_on_when_the_coordinator_moves);
    tcase_add_test(tcase, records_of_other_coordinators_are_skipped_and_counted);
    tcase_add_test(tcase, memory_has_a_limit_and_known_offsets_go_on);
    tcase_add_test(tcase, many_offsets_are_compact);
    tcase_add_test(tcase, tools_see_groups_as_kafka_shows_them);
    tcase_add_test(tcase, lists_filter_by_state_and_type_in_any_case);
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
