/* F8: a Raft node among peers that say anything at all. The input is a series of steps: time passes, the disk answers, the owner
 * proposes, or a message comes, either made of a few small numbers, so that it fits what the node knows, or decoded from raw bytes as
 * the network brings them. Nobody's message may stop the node: its assertions are about itself.
 *
 * Byte 0: how it begins (empty, follower, alone). Then each step: an operation, and the bytes that it takes. */
#include "common/assert.h"
#include "common/mem.h"
#include "common/reader.h"
#include "controller/node/raft_wire.h"
#include "controller/raft/raft_state.h"
#include "proto/pb.h"
#include "tests/fuzz/fuzz.h"

#define ENTRIES_MAX 4
#define STEPS_MAX   300

struct node {
    struct raft *raft;
    struct raft_actions actions;
    int64_t now_us;
    int64_t installing; /* index of the snapshot that waits for the disk */
    uint64_t request;
    struct reader input;
};

static const struct uuid cluster = {{9}};

static struct raft_member member(uint8_t byte)
{
    struct raft_member m = {.id = byte % 4};
    m.directory_id.bytes[0] = (uint8_t)(1 + m.id + (byte & 0x40));
    return m;
}

static void begin(struct node *node, uint8_t how)
{
    struct raft_config config = {
        .self = member(0),
        .listed_count = how % 3 == 2 ? 1 : 3,
        .listed = {0, 1, 2},
        .proposed_cluster_id = cluster,
        .heartbeat_us = 100000,
        .election_timeout_us = 1000000,
        .fetch_timeout_us = 2000000,
        .message_bytes_max = 100,
        .trailing_entries = 1,
    };
    struct raft_recovered recovered = {.hard_state.vote = RAFT_NO_MEMBER, .first_index = 1};
    struct raft_entry entry = {.term = 1, .type = RAFT_ENTRY_DATA};
    if (how % 3 == 1) {
        recovered.hard_state.term = 1;
        recovered.hard_state.cluster_id = cluster;
        for (uint8_t i = 0; i < 3; i++) raft_voters_put(&recovered.hard_state.founders, member(i));
        entry.bytes = buf_create(0);
        recovered.entries = &entry;
        recovered.count = 1;
    }
    node->now_us = 1000000;
    node->raft = raft_create(&config, &recovered, node->now_us, how);
}

static void step(struct node *node, struct raft_event event)
{
    event.now_us = node->now_us;
    event.random = (uint64_t)node->now_us;
    raft_step(node->raft, &event, &node->actions);
    raft_invariants_full(node->raft);
    const struct raft_snapshot_chunk *chunk = node->actions.persist.chunk;
    if (chunk && chunk->is_last) node->installing = chunk->snapshot.index;
}

/* ---- messages -------------------------------------------------------------------------------------------------------- */

static int64_t small(struct node *node) { return (int8_t)reader_u8(&node->input); }

static void fill_append(struct node *node, struct raft_message *message, struct raft_entry *entries, struct buf *const *bytes)
{
    message->append.prev_index = small(node);
    message->append.prev_term = small(node);
    message->append.commit = small(node);
    message->append.count = reader_u8(&node->input) % (ENTRIES_MAX + 1);
    message->append.entries = entries;
    for (uint32_t i = 0; i < message->append.count; i++) {
        uint8_t kind = reader_u8(&node->input) % 4;
        entries[i] = (struct raft_entry){.term = small(node), .type = RAFT_ENTRY_DATA, .bytes = bytes[0]};
        if (kind == 1) entries[i].type = RAFT_ENTRY_LEADER;
        if (kind >= 2) entries[i].type = RAFT_ENTRY_VOTERS, entries[i].bytes = bytes[kind - 1];
    }
}

static void fill_snapshot(struct node *node, struct raft_message *message, const struct raft_membership *membership)
{
    static const uint8_t zeros[64];
    message->snapshot.index = small(node);
    message->snapshot.term = small(node);
    message->snapshot.size = small(node);
    message->snapshot.offset = small(node);
    message->snapshot.bytes = slice_make(zeros, reader_u8(&node->input) % sizeof zeros);
    message->snapshot.membership = membership;
}

static void fill_rest(struct node *node, struct raft_message *message)
{
    uint8_t flags = reader_u8(&node->input);
    switch (message->type) {
    case RAFT_PROBE:
    case RAFT_PROBE_ANSWER:
        message->probe.is_born = flags & 1;
        message->probe.proposed_cluster_id = cluster;
        message->probe.leader = flags & 2 ? member(reader_u8(&node->input)) : RAFT_NO_MEMBER;
        for (uint8_t i = 0; i < 3; i++) {
            struct raft_member voter = member((uint8_t)(i | (flags & 4 && i == 0 ? 0x40 : 0)));
            if (!message->probe.is_born && !(flags & 8)) voter.directory_id = UUID_ZERO; /* else a promise */
            raft_voters_put(&message->probe.voters, voter);
        }
        break;
    case RAFT_VOTE:
        message->vote.is_pre_vote = flags & 1;
        message->vote.is_transfer = flags & 2;
        message->vote.last_index = small(node);
        message->vote.last_term = small(node);
        break;
    case RAFT_VOTE_ANSWER:
        message->vote_answer.is_pre_vote = flags & 1;
        message->vote_answer.is_granted = flags & 2;
        break;
    case RAFT_APPEND_ANSWER:
        message->append_answer.is_rejected = flags & 1;
        message->append_answer.index = small(node);
        message->append_answer.hint_index = small(node);
        message->append_answer.hint_term = small(node);
        break;
    case RAFT_HEARTBEAT:
        message->heartbeat.commit = small(node);
        message->heartbeat.rank = flags % 4;
        message->heartbeat.sent_us = small(node);
        break;
    case RAFT_HEARTBEAT_ANSWER: message->heartbeat_answer.sent_us = small(node); break;
    case RAFT_SNAPSHOT_ANSWER:
        message->snapshot_answer.index = small(node);
        message->snapshot_answer.offset = small(node);
        break;
    case RAFT_FOLLOW:
        message->follow.is_snapshot = flags & 1;
        message->follow.is_rejected = flags & 2;
        message->follow.index = small(node);
        message->follow.hint_index = small(node);
        message->follow.hint_term = small(node);
        message->follow.snapshot_index = small(node);
        message->follow.snapshot_offset = small(node);
        break;
    case RAFT_APPEND:
    case RAFT_SNAPSHOT:
    case RAFT_TIMEOUT_NOW:
    case RAFT_TIMEOUT_NOW_ANSWER:
    case RAFT_MESSAGE_TYPES: break;
    }
}

static void receive(struct node *node, struct raft_message *message, bool is_answer)
{
    message->request = raft_message_is_request(message->type) && !is_answer ? ++node->request : 0;
    bool is_possible =
        message->request || !raft_message_is_request(message->type) || message->type == RAFT_APPEND || message->type == RAFT_SNAPSHOT;
    if (is_possible) step(node, (struct raft_event){.type = RAFT_RECEIVE, .message = message});
}

static void receive_made(struct node *node)
{
    uint8_t how = reader_u8(&node->input), who = reader_u8(&node->input);
    struct raft_message message = {.type = (enum raft_message_type)(how % RAFT_MESSAGE_TYPES), .from = member(who)};
    message.to = member((uint8_t)(how & 0x40));
    message.cluster_id = how & 0x80 ? UUID_ZERO : cluster;
    message.term = reader_u8(&node->input) % 16;
    if (message.from.id == 0) message.from.id = 1;
    struct raft_membership same = {0}, replaced = {0};
    for (uint8_t i = 0; i < 3; i++) raft_voters_put(&same.current, member(i));
    replaced.outgoing = same.current;
    replaced.current = same.current;
    raft_voters_put(&replaced.current, member((uint8_t)(0x40 | who % 3)));
    struct buf *bytes[3] = {buf_create(0), raft_membership_encode(cluster, &same), raft_membership_encode(cluster, &replaced)};
    struct raft_entry entries[ENTRIES_MAX];
    if (message.type == RAFT_APPEND)
        fill_append(node, &message, entries, bytes);
    else if (message.type == RAFT_SNAPSHOT)
        fill_snapshot(node, &message, who & 0x20 ? &replaced : &same);
    else
        fill_rest(node, &message);
    receive(node, &message, who & 0x10);
    for (int i = 0; i < 3; i++) buf_unref(bytes[i]);
}

static void receive_raw(struct node *node)
{
    struct slice bytes = reader_bytes(&node->input, reader_u8(&node->input));
    struct arena arena;
    struct raft_message message;
    struct raft_wire_parts parts;
    arena_init(&arena, pb_unpack_budget(bytes.n));
    if (raft_wire_decode(bytes, &arena, &message, &parts)) {
        struct buf *again = raft_wire_encode(&message, message.type == RAFT_SNAPSHOT ? message.snapshot.bytes : SLICE_NULL);
        buf_unref(again);
        receive(node, &message, false);
    }
    raft_wire_release(&parts);
    arena_deinit(&arena);
}

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

static void persist(struct node *node)
{
    step(node, (struct raft_event){.type = RAFT_PERSISTED, .write = node->raft->last_write});
    if (!node->installing) return;
    struct raft_event event = {.type = RAFT_SNAPSHOT_INSTALLED, .snapshot_installed = {.index = node->installing}};
    node->installing = 0;
    step(node, event);
}

static void propose(struct node *node)
{
    struct buf *bytes = buf_create(0);
    step(node, (struct raft_event){.type = RAFT_PROPOSE, .entry = bytes});
    step(node, (struct raft_event){.type = RAFT_REPLICATE});
    buf_unref(bytes);
}

static void run_step(struct node *node)
{
    uint8_t operation = reader_u8(&node->input);
    int32_t peer = 1 + (operation >> 4) % 3;
    switch (operation % 12) {
    case 0:
        node->now_us = max_i64(node->now_us, node->actions.deadline_us == RAFT_NEVER ? 0 : node->actions.deadline_us);
        step(node, (struct raft_event){.type = RAFT_TICK});
        break;
    case 1: persist(node); break;
    case 2: propose(node); break;
    case 3: step(node, (struct raft_event){.type = RAFT_CONNECTION_BROKEN, .node_id = peer}); break;
    case 4: step(node, (struct raft_event){.type = RAFT_SEND_FAILED, .node_id = peer}); break;
    case 5: step(node, (struct raft_event){.type = RAFT_TRANSFER, .node_id = operation & 0x80 ? RAFT_NOBODY : peer}); break;
    case 6:
        if (node->raft->commit_index > node->raft->snapshot.index)
            step(node, (struct raft_event){.type = RAFT_SNAPSHOT_TAKEN, .snapshot_taken = {node->raft->commit_index, operation}});
        break;
    case 7: receive_raw(node); break;
    default: receive_made(node); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct node node = {.input = reader_make(slice_make(data, size))};
    begin(&node, reader_u8(&node.input));
    step(&node, (struct raft_event){.type = RAFT_TICK});
    for (int i = 0; i < STEPS_MAX && node.input.left > 0; i++) run_step(&node);
    raft_destroy(node.raft);
    return 0;
}
