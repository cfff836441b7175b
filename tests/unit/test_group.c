/* broker/coordinator: membership of a classic group: join, sync, heartbeat, leave, rebalance. */
#include "tests/unit/group_fixture.h"

#include <stdlib.h>

static struct fixture f;

static void setup(void) { fixture_init(&f); }
static void teardown(void)
{
    if (f.flight_count == 0 && f.shard.state == GROUP_SHARD_ACTIVE) check_replay(&f);
    fixture_deinit(&f);
}

static int16_t join_error(const struct ask *ask)
{
    ck_assert(ask->is_done);
    return ask->request.out.join.error_code;
}
static int16_t sync_error(const struct ask *ask)
{
    ck_assert(ask->is_done);
    return ask->request.out.sync.error_code;
}
static enum group_state state(void) { return find_group(&f, "g")->state; }

/* Two members, joined; the first leads. */
static void join_two(struct ask *asks[2])
{
    asks[0] = join(&f, (struct joiner){.version = 3, .metadata = "one"});
    asks[1] = join(&f, (struct joiner){.version = 3, .metadata = "two"});
    pass_ms(&f, 6000); /* the second one extends the delay once */
    ck_assert_int_eq(join_error(asks[0]), KAFKA_NONE);
    ck_assert_int_eq(join_error(asks[1]), KAFKA_NONE);
}

static void stable_two(const char *ids[2])
{
    struct ask *asks[2];
    join_two(asks);
    ids[0] = member_of(asks[0]);
    ids[1] = member_of(asks[1]);
    struct ask *second = sync_group(&f, ids[1], 1);
    ck_assert(!second->is_done);
    struct ask *first = sync_with(&f, "g", ids[0], 1, ids, (const char *[]){"a", "b"}, 2);
    ck_assert_int_eq(sync_error(first), KAFKA_NONE);
    ck_assert_int_eq(sync_error(second), KAFKA_NONE);
    ck_assert_int_eq(state(), GROUP_STABLE);
}

START_TEST(a_member_without_an_id_is_told_one_first)
{
    struct ask *ask = join(&f, (struct joiner){.version = 4});
    ck_assert_int_eq(join_error(ask), KAFKA_MEMBER_ID_REQUIRED);
    const char *id = member_of(ask);
    ck_assert_uint_eq(strlen(id), strlen("client-") + 36);
    ck_assert_int_eq(strncmp(id, "client-", 7), 0);
    ck_assert_int_eq(id[7 + 14], '4'); /* a version 4 UUID */
    struct ask *again = join(&f, (struct joiner){.version = 4, .member = id});
    ck_assert(!again->is_done);
    pass_ms(&f, 3000);
    ck_assert_int_eq(join_error(again), KAFKA_NONE);
    ck_assert_str_eq(member_of(again), id);
    ck_assert_int_eq(generation_of(again), 1);
    ck_assert_int_eq(again->request.out.join.members_count, 1);
    ck_assert(slice_equal_str(again->request.out.join.leader, id));
}
END_TEST

START_TEST(an_id_that_is_not_used_expires_with_the_session)
{
    struct ask *ask = join(&f, (struct joiner){.version = 4});
    const char *id = member_of(ask);
    pass_ms(&f, 10001);
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 4, .member = id})), KAFKA_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(a_pending_id_holds_a_rebalance_until_it_is_used_or_gone)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3});
    struct ask *ask = join(&f, (struct joiner){.version = 4});
    ck_assert_int_eq(state(), GROUP_STABLE);
    struct ask *rejoin = join(&f, (struct joiner){.version = 4, .member = member}); /* the leader: rebalance */
    ck_assert(!rejoin->is_done);
    pass_ms(&f, 9000);
    ck_assert(!rejoin->is_done);
    pass_ms(&f, 1000);
    ck_assert_int_eq(join_error(rejoin), KAFKA_NONE);
    (void)ask;
}
END_TEST

START_TEST(g_gen_requests_of_another_generation_or_member_are_refused)
{
    const char *ids[2];
    stable_two(ids);
    ck_assert_int_eq(heartbeat(&f, ids[0], 1, NULL), KAFKA_NONE);
    ck_assert_int_eq(heartbeat(&f, ids[0], 0, NULL), KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(heartbeat(&f, "nobody", 1, NULL), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(heartbeat(&f, ids[0], 1, "instance"), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(sync_error(sync_group(&f, ids[0], 2)), KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(sync_error(sync_group(&f, "nobody", 1)), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.member = ids[0], .is_member = true, .generation = 0})),
                     KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.member = "nobody", .is_member = true, .generation = 1})),
                     KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.offset = 1})), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.member = ids[1], .is_member = true, .generation = 1})), KAFKA_NONE);
}
END_TEST

START_TEST(g_gen_survives_the_coordinator)
{
    const char *ids[2];
    stable_two(ids);
    struct fixture successor;
    load_into(&successor, &f);
    ck_assert_int_eq(heartbeat(&successor, ids[0], 1, NULL), KAFKA_NONE);
    ck_assert_int_eq(heartbeat(&successor, ids[1], 1, NULL), KAFKA_NONE);
    struct ask *synced = sync_group(&successor, ids[1], 1);
    ck_assert(slice_equal_str(synced->request.out.sync.assignment, "b"));
    struct ask *rejoin = join(&successor, (struct joiner){.version = 5, .member = ids[0], .metadata = "one"});
    struct ask *other = join(&successor, (struct joiner){.version = 5, .member = ids[1], .metadata = "two"});
    ck_assert_int_eq(join_error(rejoin), KAFKA_NONE);
    ck_assert_int_eq(join_error(other), KAFKA_NONE);
    ck_assert_int_eq(generation_of(rejoin), 2);
    fixture_deinit(&successor);
}
END_TEST

START_TEST(g_leader_only_its_assignment_counts)
{
    struct ask *asks[2];
    join_two(asks);
    const char *ids[2] = {member_of(asks[0]), member_of(asks[1])};
    ck_assert_int_eq(asks[0]->request.out.join.members_count, 2);
    ck_assert_int_eq(asks[1]->request.out.join.members_count, 0);
    ck_assert(slice_equal_str(asks[0]->request.out.join.members[1].metadata, "two"));
    struct ask *second = sync_with(&f, "g", ids[1], 1, ids, (const char *[]){"x", "y"}, 2);
    ck_assert_int_eq(state(), GROUP_COMPLETING_REBALANCE);
    f.is_auto = false;
    struct ask *first = sync_with(&f, "g", ids[0], 1, ids, (const char *[]){"a", "b"}, 2);
    ck_assert_uint_eq(f.flight_count, 1);
    struct ask *twice = sync_with(&f, "g", ids[0], 1, ids, (const char *[]){"c", "d"}, 2);
    ck_assert_uint_eq(f.flight_count, 1);
    ck_assert_int_eq(sync_error(first), KAFKA_REBALANCE_IN_PROGRESS); /* its client has given it up */
    ck_assert(!second->is_done);
    commit_all(&f);
    ck_assert(slice_equal_str(twice->request.out.sync.assignment, "a"));
    ck_assert(slice_equal_str(second->request.out.sync.assignment, "b"));
    ck_assert_int_eq(state(), GROUP_STABLE);
}
END_TEST

START_TEST(g_own_an_assignment_shows_when_it_is_committed)
{
    struct ask *asks[2];
    join_two(asks);
    const char *ids[2] = {member_of(asks[0]), member_of(asks[1])};
    f.is_auto = false;
    struct ask *first = sync_with(&f, "g", ids[0], 1, ids, (const char *[]){"a", "b"}, 2);
    ck_assert(!first->is_done);
    ck_assert_int_eq(state(), GROUP_COMPLETING_REBALANCE);
    /* Somebody joins meanwhile: the stored assignment is history. */
    struct ask *third = join(&f, (struct joiner){.version = 3});
    ck_assert_int_eq(sync_error(first), KAFKA_REBALANCE_IN_PROGRESS);
    ck_assert_int_eq(state(), GROUP_PREPARING_REBALANCE);
    commit_all(&f);
    ck_assert_int_eq(state(), GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(sync_error(sync_group(&f, ids[1], 1)), KAFKA_REBALANCE_IN_PROGRESS);
    struct ask *again0 = join(&f, (struct joiner){.version = 3, .member = ids[0]});
    struct ask *again1 = join(&f, (struct joiner){.version = 3, .member = ids[1]});
    ck_assert_int_eq(generation_of(third), 2);
    ck_assert_int_eq(generation_of(again0), 2);
    ck_assert_int_eq(generation_of(again1), 2);
}
END_TEST

START_TEST(an_assignment_that_cannot_be_stored_is_assigned_again)
{
    static const struct {
        enum kafka_error of_log, to_client;
    } errors[] = {
        {KAFKA_NOT_ENOUGH_REPLICAS, KAFKA_COORDINATOR_NOT_AVAILABLE},
        {KAFKA_NOT_LEADER_OR_FOLLOWER, KAFKA_NOT_COORDINATOR},
        {KAFKA_MESSAGE_TOO_LARGE, KAFKA_UNKNOWN_SERVER_ERROR},
        {KAFKA_KAFKA_STORAGE_ERROR, KAFKA_NOT_COORDINATOR},
    };
    struct ask *asks[2];
    join_two(asks);
    const char *ids[2] = {member_of(asks[0]), member_of(asks[1])};
    f.is_auto = false;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        int32_t generation = find_group(&f, "g")->generation;
        struct ask *second = sync_group(&f, ids[1], generation);
        struct ask *first = sync_with(&f, "g", ids[0], generation, ids, (const char *[]){"a", "b"}, 2);
        refuse_one(&f, errors[i].of_log);
        ck_assert_int_eq(sync_error(first), errors[i].to_client);
        ck_assert_int_eq(sync_error(second), errors[i].to_client);
        ck_assert_int_eq(state(), GROUP_PREPARING_REBALANCE);
        join(&f, (struct joiner){.version = 3, .member = ids[0]});
        join(&f, (struct joiner){.version = 3, .member = ids[1]});
        ck_assert_int_eq(state(), GROUP_COMPLETING_REBALANCE);
    }
    ck_assert_int_eq(group_reasons_at(&find_group(&f, "g")->reasons, 0)->cause, REBALANCE_STORE_FAILED);
}
END_TEST

START_TEST(the_initial_delay_is_extended_up_to_the_rebalance_timeout)
{
    struct ask *first = join(&f, (struct joiner){.version = 3, .rebalance_ms = 8000});
    pass_ms(&f, 2000);
    join(&f, (struct joiner){.version = 3, .rebalance_ms = 8000});
    pass_ms(&f, 1000); /* 3 s: extended by 3 s */
    ck_assert(!first->is_done);
    join(&f, (struct joiner){.version = 3, .rebalance_ms = 8000});
    pass_ms(&f, 3000); /* 6 s: extended by the 2 s that are left */
    ck_assert(!first->is_done);
    join(&f, (struct joiner){.version = 3, .rebalance_ms = 8000});
    pass_ms(&f, 1999);
    ck_assert(!first->is_done);
    pass_ms(&f, 1);
    ck_assert_int_eq(join_error(first), KAFKA_NONE);
    ck_assert_int_eq(first->request.out.join.members_count, 4);
}
END_TEST

START_TEST(nobody_else_came_the_delay_ends)
{
    struct ask *first = join(&f, (struct joiner){.version = 3});
    pass_ms(&f, 2999);
    ck_assert(!first->is_done);
    pass_ms(&f, 1);
    ck_assert_int_eq(join_error(first), KAFKA_NONE);
}
END_TEST

START_TEST(the_protocol_that_all_have_and_most_prefer_is_selected)
{
    struct ask *a = join(&f, (struct joiner){.version = 3, .protocols = {"x", "y", "z"}});
    struct ask *b = join(&f, (struct joiner){.version = 3, .protocols = {"y", "z"}});
    struct ask *c = join(&f, (struct joiner){.version = 3, .protocols = {"z", "y", "w"}});
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 3, .protocols = {"w"}})), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 3, .protocols = {"y"}, .type = "connect"})),
                     KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    pass_ms(&f, 6000);
    ck_assert(slice_equal_str(a->request.out.join.protocol_name, "y"));
    ck_assert(slice_equal_str(b->request.out.join.protocol_name, "y"));
    ck_assert(slice_equal_str(c->request.out.join.protocol_type, "consumer"));
}
END_TEST

START_TEST(a_group_of_any_type_and_bytes_is_coordinated)
{
    stable_alone(&f, (struct joiner){.version = 3, .type = "connect", .protocols = {"sessioned", "compatible"}, .metadata = "\x01\xff"});
    ck_assert(slice_equal_str(find_group(&f, "g")->protocol_type, "connect"));
    stable_alone(&f, (struct joiner){.version = 0, .group = "sr", .type = "sr", .protocols = {"v0"}});
    ck_assert_int_eq(find_group(&f, "sr")->state, GROUP_STABLE);
}
END_TEST

START_TEST(joins_that_make_no_sense_are_refused)
{
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 4, .group = ""})), KAFKA_INVALID_GROUP_ID);
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 4, .session_ms = 5999})), KAFKA_INVALID_SESSION_TIMEOUT);
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 4, .session_ms = 1800001})), KAFKA_INVALID_SESSION_TIMEOUT);
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 4, .member = "unknown"})), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 4, .type = ""})), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    struct ask *none = prepare_join(&f, (struct joiner){.version = 4});
    none->join.protocols_count = 0;
    send(&f, none);
    ck_assert_int_eq(join_error(none), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    ck_assert_ptr_null(find_group(&f, "g"));
    ck_assert_uint_eq(f.log_count, 0);
    stable_alone(&f, (struct joiner){.version = 3});
    struct ask *ask = join(&f, (struct joiner){.version = 4, .member = "unknown"});
    ck_assert_int_eq(join_error(ask), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert(slice_equal_str(ask->request.out.join.protocol_name, "")); /* version 4 has no null there */
    ask = join(&f, (struct joiner){.version = 7, .member = "unknown"});
    ck_assert(slice_is_null(ask->request.out.join.protocol_name));
}
END_TEST

START_TEST(a_leader_that_joins_again_starts_a_rebalance_a_follower_does_not)
{
    const char *ids[2];
    stable_two(ids);
    struct ask *follower = join(&f, (struct joiner){.version = 5, .member = ids[1], .metadata = "two"});
    ck_assert_int_eq(join_error(follower), KAFKA_NONE);
    ck_assert_int_eq(generation_of(follower), 1);
    ck_assert_int_eq(state(), GROUP_STABLE);
    struct ask *leader = join(&f, (struct joiner){.version = 5, .member = ids[0], .metadata = "one", .reason = "topics changed"});
    ck_assert(!leader->is_done);
    ck_assert_int_eq(state(), GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(heartbeat(&f, ids[1], 1, NULL), KAFKA_REBALANCE_IN_PROGRESS);
    const struct rebalance_reason *reason = group_reasons_at(&find_group(&f, "g")->reasons, 0);
    ck_assert_int_eq(reason->cause, REBALANCE_LEADER_REJOINED);
    ck_assert_str_eq(reason->told, "topics changed");
    ck_assert_str_eq(reason->member, ids[0]);
    join(&f, (struct joiner){.version = 5, .member = ids[1], .metadata = "two"});
    ck_assert_int_eq(generation_of(leader), 2);
}
END_TEST

START_TEST(a_changed_subscription_starts_a_rebalance)
{
    const char *ids[2];
    stable_two(ids);
    struct ask *follower = join(&f, (struct joiner){.version = 5, .member = ids[1], .metadata = "other"});
    ck_assert(!follower->is_done);
    ck_assert_int_eq(group_reasons_at(&find_group(&f, "g")->reasons, 0)->cause, REBALANCE_PROTOCOLS_CHANGED);
    struct ask *leader = join(&f, (struct joiner){.version = 5, .member = ids[0], .metadata = "one"});
    ck_assert(slice_equal_str(leader->request.out.join.members[1].metadata, "other"));
}
END_TEST

START_TEST(a_join_that_was_lost_is_answered_again)
{
    struct ask *asks[2];
    join_two(asks);
    struct ask *again = join(&f, (struct joiner){.version = 5, .member = member_of(asks[0]), .metadata = "one"});
    ck_assert_int_eq(generation_of(again), 1);
    ck_assert_int_eq(again->request.out.join.members_count, 2);
    again = join(&f, (struct joiner){.version = 5, .member = member_of(asks[1]), .metadata = "two"});
    ck_assert_int_eq(generation_of(again), 1);
    ck_assert_int_eq(again->request.out.join.members_count, 0);
    ck_assert_int_eq(state(), GROUP_COMPLETING_REBALANCE);
}
END_TEST

START_TEST(g_live_who_does_not_rejoin_is_out_after_the_rebalance_timeout)
{
    const char *ids[2];
    stable_two(ids);
    struct ask *leader = join(&f, (struct joiner){.version = 5, .member = ids[0], .rebalance_ms = 20000});
    for (int i = 0; i < 12; i++) {
        pass_ms(&f, 5000);
        if (i < 11) ck_assert_int_eq(heartbeat(&f, ids[1], 1, NULL), KAFKA_REBALANCE_IN_PROGRESS);
    }
    ck_assert_int_eq(join_error(leader), KAFKA_NONE); /* 60 s: the longer of the two */
    ck_assert_int_eq(leader->request.out.join.members_count, 1);
    ck_assert_int_eq(heartbeat(&f, ids[1], 1, NULL), KAFKA_UNKNOWN_MEMBER_ID);
    const struct rebalance_reason *reason = group_reasons_at(&find_group(&f, "g")->reasons, 0);
    ck_assert_int_eq(reason->cause, REBALANCE_NOT_REJOINED);
    ck_assert_str_eq(reason->member, ids[1]);
    ck_assert_int_eq(reason->gap_ms, 5000);
}
END_TEST

START_TEST(a_leader_that_does_not_rejoin_is_replaced)
{
    const char *ids[2];
    stable_two(ids);
    struct ask *follower = join(&f, (struct joiner){.version = 5, .member = ids[1], .metadata = "other"});
    pass_ms(&f, 10001); /* the leader's session */
    ck_assert_int_eq(join_error(follower), KAFKA_NONE);
    ck_assert(slice_equal_str(follower->request.out.join.leader, ids[1]));
    ck_assert_int_eq(follower->request.out.join.members_count, 1);
}
END_TEST

START_TEST(g_live_a_silent_member_is_out_after_its_session)
{
    const char *ids[2];
    stable_two(ids);
    pass_ms(&f, 9000);
    ck_assert_int_eq(heartbeat(&f, ids[0], 1, NULL), KAFKA_NONE);
    pass_ms(&f, 1001);
    ck_assert_int_eq(state(), GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(heartbeat(&f, ids[1], 1, NULL), KAFKA_UNKNOWN_MEMBER_ID);
    const struct rebalance_reason *reason = group_reasons_at(&find_group(&f, "g")->reasons, 0);
    ck_assert_int_eq(reason->cause, REBALANCE_MEMBER_TIMED_OUT);
    ck_assert_int_ge(reason->gap_ms, 10000);
    ck_assert_int_eq(reason->generation, 1);
    struct ask *ask = join(&f, (struct joiner){.version = 5, .member = ids[0]});
    ck_assert_int_eq(generation_of(ask), 2);
}
END_TEST

START_TEST(a_commit_keeps_the_session)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3});
    for (int i = 0; i < 5; i++) {
        pass_ms(&f, 9000);
        ck_assert_int_eq(commit_error(commit(&f, (struct committer){.member = member, .is_member = true, .generation = 1})), KAFKA_NONE);
    }
    ck_assert_int_eq(state(), GROUP_STABLE);
}
END_TEST

START_TEST(who_waits_needs_no_heartbeat)
{
    const char *ids[2];
    stable_two(ids);
    struct ask *leader = join(&f, (struct joiner){.version = 5, .member = ids[0]});
    for (int i = 0; i < 4; i++) {
        pass_ms(&f, 9000);
        heartbeat(&f, ids[1], 1, NULL);
    }
    ck_assert(!leader->is_done);
    ck_assert_uint_eq(group_member_count(find_group(&f, "g")), 2);
}
END_TEST

START_TEST(g_live_who_joins_and_does_not_sync_is_out)
{
    struct ask *asks[2];
    join_two(asks);
    const char *ids[2] = {member_of(asks[0]), member_of(asks[1])};
    struct ask *second = sync_group(&f, ids[1], 1);
    for (int i = 0; i < 12; i++) {
        pass_ms(&f, 5000);
        heartbeat(&f, ids[0], 1, NULL); /* alive, yet the leader assigns nothing */
    }
    ck_assert_int_eq(sync_error(second), KAFKA_REBALANCE_IN_PROGRESS);
    ck_assert_int_eq(heartbeat(&f, ids[0], 1, NULL), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group_reasons_at(&find_group(&f, "g")->reasons, 0)->cause, REBALANCE_NOT_SYNCED);
    struct ask *again = join(&f, (struct joiner){.version = 5, .member = ids[1]});
    ck_assert_int_eq(generation_of(again), 2);
}
END_TEST

START_TEST(a_new_member_whose_client_is_gone_is_out_after_five_minutes)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3, .rebalance_ms = 1000000});
    struct ask *ghost = join(&f, (struct joiner){.version = 3, .rebalance_ms = 1000000});
    for (int i = 0; i < 59; i++) {
        pass_ms(&f, 5000);
        ck_assert_int_eq(heartbeat(&f, member, 1, NULL), KAFKA_REBALANCE_IN_PROGRESS);
        ck_assert(!ghost->is_done);
    }
    pass_ms(&f, 5000);
    ck_assert_int_eq(join_error(ghost), KAFKA_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(sync_checks_the_protocol_that_the_client_names)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3});
    struct ask *ask = new_ask(&f, GROUP_SYNC, 5, "g");
    ask->sync = (struct sync_group_request){.group_id = T("g"),
                                            .generation_id = 1,
                                            .member_id = T(member),
                                            .group_instance_id = SLICE_NULL,
                                            .protocol_type = T("consumer"),
                                            .protocol_name = T("range")};
    ask->request.in.sync = &ask->sync;
    send(&f, ask);
    ck_assert_int_eq(sync_error(ask), KAFKA_NONE);
    struct ask *wrong = new_ask(&f, GROUP_SYNC, 5, "g");
    wrong->sync = ask->sync;
    wrong->sync.protocol_name = T("sticky");
    wrong->request.in.sync = &wrong->sync;
    send(&f, wrong);
    ck_assert_int_eq(sync_error(wrong), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    struct ask *type = new_ask(&f, GROUP_SYNC, 5, "g");
    type->sync = ask->sync;
    type->sync.protocol_type = T("connect");
    type->request.in.sync = &type->sync;
    send(&f, type);
    ck_assert_int_eq(sync_error(type), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}
END_TEST

START_TEST(commits_wait_for_the_new_assignment)
{
    struct ask *asks[2];
    join_two(asks);
    ck_assert_int_eq(
        commit_error(commit(&f, (struct committer){.member = member_of(asks[0]), .is_member = true, .generation = 1, .offset = 4})),
        KAFKA_REBALANCE_IN_PROGRESS);
}
END_TEST

START_TEST(commits_of_the_old_generation_count_while_others_rejoin)
{
    const char *ids[2];
    stable_two(ids);
    join(&f, (struct joiner){.version = 5, .member = ids[0]});
    ck_assert_int_eq(state(), GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.member = ids[1], .is_member = true, .generation = 1, .offset = 4})),
                     KAFKA_NONE);
    ck_assert_int_eq(fetched(&f, "t", 0), 4);
}
END_TEST

START_TEST(the_last_one_leaves_an_empty_group_in_the_log)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3});
    size_t records = f.log_count;
    ck_assert_int_eq(leave_error(leave(&f, member, NULL)), KAFKA_NONE);
    ck_assert_int_eq(state(), GROUP_EMPTY);
    ck_assert_uint_eq(f.log_count, records + 1);
    ck_assert_int_eq(find_group(&f, "g")->generation, 2);
    ck_assert_int_eq(leave_error(leave(&f, member, NULL)), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(heartbeat(&f, member, 2, NULL), KAFKA_UNKNOWN_MEMBER_ID);
    /* What comes next begins at the next generation, and with the delay. */
    struct ask *next = join(&f, (struct joiner){.version = 3});
    ck_assert(!next->is_done);
    pass_ms(&f, 3000);
    ck_assert_int_eq(generation_of(next), 3);
}
END_TEST

START_TEST(leaving_while_waiting_ends_the_wait)
{
    const char *ids[2];
    stable_two(ids);
    struct ask *rejoin = join(&f, (struct joiner){.version = 5, .member = ids[0], .metadata = "one"});
    leave(&f, ids[0], NULL);
    ck_assert_int_eq(join_error(rejoin), KAFKA_UNKNOWN_MEMBER_ID);
    struct ask *other = join(&f, (struct joiner){.version = 5, .member = ids[1]});
    ck_assert_int_eq(generation_of(other), 2);
    ck_assert_int_eq(group_reasons_at(&find_group(&f, "g")->reasons, 0)->cause, REBALANCE_LEADER_REJOINED);
}
END_TEST

START_TEST(leave_of_old_versions_has_one_error_and_no_list)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3});
    for (int i = 0; i < 2; i++) {
        struct ask *ask = new_ask(&f, GROUP_LEAVE, 2, "g");
        ask->leave = (struct leave_group_request){.group_id = T("g"), .member_id = T(member)};
        ask->request.in.leave = &ask->leave;
        send(&f, ask);
        ck_assert_int_eq(ask->request.out.leave.error_code, i == 0 ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID);
        ck_assert_int_eq(ask->request.out.leave.members_count, 0);
    }
}
END_TEST

START_TEST(group_max_size_holds)
{
    f.config.group_max_size = 2;
    const char *ids[2];
    stable_two(ids);
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 3})), KAFKA_GROUP_MAX_SIZE_REACHED);
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 4})), KAFKA_GROUP_MAX_SIZE_REACHED);
    ck_assert_int_eq(state(), GROUP_STABLE);
    /* A smaller maximum: the last ones to join again find no place. */
    f.config.group_max_size = 1;
    struct ask *leader = join(&f, (struct joiner){.version = 5, .member = ids[0]});
    ck_assert_int_eq(join_error(join(&f, (struct joiner){.version = 5, .member = ids[1]})), KAFKA_GROUP_MAX_SIZE_REACHED);
    pass_ms(&f, 60000);
    ck_assert_int_eq(leader->request.out.join.members_count, 1);
}
END_TEST

START_TEST(a_loaded_group_over_capacity_rebalances)
{
    const char *ids[2];
    stable_two(ids);
    struct fixture successor;
    f.config.group_max_size = 1;
    load_into(&successor, &f);
    ck_assert_int_eq(find_group(&successor, "g")->state, GROUP_PREPARING_REBALANCE);
    f.config.group_max_size = 10;
    fixture_deinit(&successor);
}
END_TEST

/* ---- static members (KIP-345, KIP-814) ---- */

static const char *stable_static(int16_t version, const char *instance)
{
    return stable_alone(&f, (struct joiner){.version = version, .instance = instance, .metadata = "m"});
}

START_TEST(a_static_member_needs_no_second_join_for_its_id)
{
    const char *member = stable_static(5, "one");
    ck_assert_int_eq(strncmp(member, "one-", 4), 0);
    ck_assert_int_eq(heartbeat(&f, member, 1, "one"), KAFKA_NONE);
    ck_assert_int_eq(heartbeat(&f, "other", 1, "one"), KAFKA_FENCED_INSTANCE_ID);
}
END_TEST

START_TEST(a_static_member_comes_back_without_a_rebalance)
{
    const char *old = stable_static(9, "one");
    f.is_auto = false;
    struct ask *back = join(&f, (struct joiner){.version = 9, .instance = "one", .metadata = "m"});
    ck_assert(!back->is_done); /* not before it is in the log */
    commit_all(&f);
    ck_assert_int_eq(join_error(back), KAFKA_NONE);
    ck_assert_int_eq(generation_of(back), 1);
    ck_assert(back->request.out.join.skip_assignment);
    ck_assert_int_eq(back->request.out.join.members_count, 1);
    const char *member = member_of(back);
    ck_assert(slice_equal_str(back->request.out.join.leader, member));
    ck_assert_int_eq(state(), GROUP_STABLE);
    ck_assert_int_eq(heartbeat(&f, old, 1, "one"), KAFKA_FENCED_INSTANCE_ID);
    ck_assert_int_eq(commit_error(commit(&f, (struct committer){.member = old, .instance = "one", .is_member = true, .generation = 1})),
                     KAFKA_FENCED_INSTANCE_ID);
    struct ask *synced = sync_group(&f, member, 1);
    ck_assert(slice_equal_str(synced->request.out.sync.assignment, "all"));
}
END_TEST

START_TEST(before_version_9_a_returning_leader_is_told_that_another_leads)
{
    const char *old = stable_static(8, "one");
    struct ask *back = join(&f, (struct joiner){.version = 8, .instance = "one", .metadata = "m"});
    ck_assert_int_eq(join_error(back), KAFKA_NONE);
    ck_assert(slice_equal_str(back->request.out.join.leader, old));
    ck_assert(!back->request.out.join.skip_assignment);
    ck_assert_int_eq(back->request.out.join.members_count, 0);
}
END_TEST

START_TEST(a_replacement_that_cannot_be_stored_is_taken_back)
{
    const char *old = stable_static(9, "one");
    f.is_auto = false;
    struct ask *back = join(&f, (struct joiner){.version = 9, .instance = "one", .metadata = "m", .session_ms = 7000});
    refuse_one(&f, KAFKA_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(join_error(back), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(heartbeat(&f, old, 1, "one"), KAFKA_NONE);
    ck_assert_int_eq(find_group(&f, "g")->leader->session_timeout_ms, 10000);
}
END_TEST

/* Its session does not count while it waits, and must count afterwards: its process may be gone. */
START_TEST(g_live_a_replacement_that_was_stored_late_has_a_session)
{
    (void)stable_static(9, "one");
    f.config.offsets_commit_timeout_ms = 60000;
    f.is_auto = false;
    struct ask *back = join(&f, (struct joiner){.version = 9, .instance = "one", .metadata = "m"});
    pass_ms(&f, 20000);
    commit_all(&f);
    ck_assert_int_eq(join_error(back), KAFKA_NONE);
    pass_ms(&f, 9999);
    ck_assert_int_eq(state(), GROUP_STABLE);
    pass_ms(&f, 1);
    ck_assert_int_eq(state(), GROUP_EMPTY);
    commit_all(&f);
}
END_TEST

START_TEST(a_replacement_with_another_choice_of_protocol_rebalances)
{
    const char *old = stable_alone(&f, (struct joiner){.version = 9, .instance = "one", .protocols = {"a", "b"}});
    struct ask *back = join(&f, (struct joiner){.version = 9, .instance = "one", .protocols = {"b", "a"}});
    ck_assert_int_eq(join_error(back), KAFKA_NONE); /* alone: the rebalance completes at once */
    ck_assert_int_eq(generation_of(back), 2);
    ck_assert(slice_equal_str(back->request.out.join.protocol_name, "b"));
    ck_assert_int_eq(heartbeat(&f, old, 1, "one"), KAFKA_FENCED_INSTANCE_ID);
    ck_assert_int_eq(group_reasons_at(&find_group(&f, "g")->reasons, 0)->cause, REBALANCE_STATIC_REPLACED);
}
END_TEST

START_TEST(a_replacement_fences_who_waits)
{
    struct ask *first = join(&f, (struct joiner){.version = 9, .instance = "one"});
    ck_assert(!first->is_done);
    struct ask *second = join(&f, (struct joiner){.version = 9, .instance = "one"});
    ck_assert_int_eq(join_error(first), KAFKA_FENCED_INSTANCE_ID);
    ck_assert(!second->is_done);
    pass_ms(&f, 3000);
    ck_assert_int_eq(join_error(second), KAFKA_NONE);
    /* And who waits for an assignment: the leader may have seen the old id, so the group rebalances. */
    struct ask *third = join(&f, (struct joiner){.version = 9, .instance = "one"});
    ck_assert_int_eq(join_error(third), KAFKA_NONE);
    ck_assert_int_eq(generation_of(third), 2);
}
END_TEST

START_TEST(a_static_member_that_does_not_rejoin_stays_until_its_session_ends)
{
    struct ask *one = join(&f, (struct joiner){.version = 9, .instance = "one", .session_ms = 120000, .rebalance_ms = 10000});
    struct ask *two = join(&f, (struct joiner){.version = 9, .instance = "two", .session_ms = 120000, .rebalance_ms = 10000});
    pass_ms(&f, 6000);
    const char *ids[2] = {member_of(one), member_of(two)};
    sync_group(&f, ids[1], 1);
    sync_with(&f, "g", ids[0], 1, ids, (const char *[]){"a", "b"}, 2);
    struct ask *leader =
        join(&f, (struct joiner){.version = 9, .member = ids[0], .instance = "one", .session_ms = 120000, .rebalance_ms = 10000});
    pass_ms(&f, 10000);
    ck_assert_int_eq(generation_of(leader), 2);
    ck_assert_int_eq(leader->request.out.join.members_count, 2);
    ck_assert_int_eq(heartbeat(&f, ids[1], 2, "two"), KAFKA_NONE);
}
END_TEST

START_TEST(an_administrator_removes_a_static_member_by_its_instance)
{
    stable_static(9, "one");
    ck_assert_int_eq(leave_error(leave(&f, "", "nobody")), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(leave_error(leave(&f, "wrong", "one")), KAFKA_FENCED_INSTANCE_ID);
    ck_assert_int_eq(leave_error(leave(&f, "", "one")), KAFKA_NONE);
    ck_assert_int_eq(state(), GROUP_EMPTY);
    struct ask *next = join(&f, (struct joiner){.version = 9, .instance = "one"});
    pass_ms(&f, 3000);
    ck_assert_int_eq(join_error(next), KAFKA_NONE);
}
END_TEST

START_TEST(the_ring_of_reasons_keeps_the_last_ones)
{
    const char *member = stable_alone(&f, (struct joiner){.version = 3});
    for (int i = 0; i < 40; i++) {
        int32_t generation = find_group(&f, "g")->generation;
        struct ask *again = join(&f, (struct joiner){.version = 8, .member = member, .reason = i == 39 ? "last\n" : "earlier"});
        ck_assert_int_eq(generation_of(again), generation + 1);
        sync_group(&f, member, generation + 1);
    }
    const struct group_reasons *reasons = &find_group(&f, "g")->reasons;
    ck_assert_uint_eq(group_reasons_count(reasons), GROUP_REASONS_KEPT);
    ck_assert_str_eq(group_reasons_at(reasons, 0)->told, "last?");
    for (uint32_t i = 1; i < GROUP_REASONS_KEPT; i++) {
        ck_assert_str_eq(group_reasons_at(reasons, i)->told, "earlier");
        ck_assert_int_eq(group_reasons_at(reasons, i)->generation, group_reasons_at(reasons, 0)->generation - (int32_t)i);
        ck_assert_ptr_nonnull(rebalance_cause_text(group_reasons_at(reasons, i)->cause));
    }
}
END_TEST

START_TEST(a_new_group_whose_first_record_is_refused_does_not_exist)
{
    f.is_auto = false;
    struct ask *ask = join(&f, (struct joiner){.version = 3});
    ck_assert_ptr_null(find_group(&f, "g"));
    refuse_one(&f, KAFKA_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(join_error(ask), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_uint_eq(map_count(&f.shard.groups), 0);
    ck_assert_uint_eq(f.shard.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group");
    TCase *tcase = tcase_create("group");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_member_without_an_id_is_told_one_first);
    tcase_add_test(tcase, an_id_that_is_not_used_expires_with_the_session);
    tcase_add_test(tcase, a_pending_id_holds_a_rebalance_until_it_is_used_or_gone);
    tcase_add_test(tcase, g_gen_requests_of_another_generation_or_member_are_refused);
    tcase_add_test(tcase, g_gen_survives_the_coordinator);
    tcase_add_test(tcase, g_leader_only_its_assignment_counts);
    tcase_add_test(tcase, g_own_an_assignment_shows_when_it_is_committed);
    tcase_add_test(tcase, an_assignment_that_cannot_be_stored_is_assigned_again);
    tcase_add_test(tcase, the_initial_delay_is_extended_up_to_the_rebalance_timeout);
    tcase_add_test(tcase, nobody_else_came_the_delay_ends);
    tcase_add_test(tcase, the_protocol_that_all_have_and_most_prefer_is_selected);
    tcase_add_test(tcase, a_group_of_any_type_and_bytes_is_coordinated);
    tcase_add_test(tcase, joins_that_make_no_sense_are_refused);
    tcase_add_test(tcase, a_leader_that_joins_again_starts_a_rebalance_a_follower_does_not);
    tcase_add_test(tcase, a_changed_subscription_starts_a_rebalance);
    tcase_add_test(tcase, a_join_that_was_lost_is_answered_again);
    tcase_add_test(tcase, g_live_who_does_not_rejoin_is_out_after_the_rebalance_timeout);
    tcase_add_test(tcase, a_leader_that_does_not_rejoin_is_replaced);
    tcase_add_test(tcase, g_live_a_silent_member_is_out_after_its_session);
    tcase_add_test(tcase, a_commit_keeps_the_session);
    tcase_add_test(tcase, who_waits_needs_no_heartbeat);
    tcase_add_test(tcase, g_live_who_joins_and_does_not_sync_is_out);
    tcase_add_test(tcase, a_new_member_whose_client_is_gone_is_out_after_five_minutes);
    tcase_add_test(tcase, sync_checks_the_protocol_that_the_client_names);
    tcase_add_test(tcase, commits_wait_for_the_new_assignment);
    tcase_add_test(tcase, commits_of_the_old_generation_count_while_others_rejoin);
    tcase_add_test(tcase, the_last_one_leaves_an_empty_group_in_the_log);
    tcase_add_test(tcase, leaving_while_waiting_ends_the_wait);
    tcase_add_test(tcase, leave_of_old_versions_has_one_error_and_no_list);
    tcase_add_test(tcase, group_max_size_holds);
    tcase_add_test(tcase, a_loaded_group_over_capacity_rebalances);
    tcase_add_test(tcase, a_static_member_needs_no_second_join_for_its_id);
    tcase_add_test(tcase, a_static_member_comes_back_without_a_rebalance);
    tcase_add_test(tcase, before_version_9_a_returning_leader_is_told_that_another_leads);
    tcase_add_test(tcase, a_replacement_that_cannot_be_stored_is_taken_back);
    tcase_add_test(tcase, g_live_a_replacement_that_was_stored_late_has_a_session);
    tcase_add_test(tcase, a_replacement_with_another_choice_of_protocol_rebalances);
    tcase_add_test(tcase, a_replacement_fences_who_waits);
    tcase_add_test(tcase, a_static_member_that_does_not_rejoin_stays_until_its_session_ends);
    tcase_add_test(tcase, an_administrator_removes_a_static_member_by_its_instance);
    tcase_add_test(tcase, the_ring_of_reasons_keeps_the_last_ones);
    tcase_add_test(tcase, a_new_group_whose_first_record_is_refused_does_not_exist);
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
