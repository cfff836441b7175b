#include "controller/node/raft_wire.h"

#include "common/assert.h"
#include "common/crc32c.h"
#include "common/mem.h"
#include "controller/raft/raft_membership.h"
#include "gen/raft.pb-c.h"
#include "proto/pb.h"
#include "proto/private_api.h"

int16_t raft_wire_key(enum raft_message_type type)
{
    switch (type) {
    case RAFT_PROBE: return PRIVATE_API_PROBE;
    case RAFT_VOTE: return PRIVATE_API_VOTE;
    case RAFT_APPEND: return PRIVATE_API_APPEND;
    case RAFT_HEARTBEAT: return PRIVATE_API_HEARTBEAT;
    case RAFT_SNAPSHOT: return PRIVATE_API_SNAPSHOT;
    case RAFT_TIMEOUT_NOW: return PRIVATE_API_TIMEOUT_NOW;
    case RAFT_FOLLOW: return PRIVATE_API_FOLLOW;
    case RAFT_PROBE_ANSWER:
    case RAFT_VOTE_ANSWER:
    case RAFT_APPEND_ANSWER:
    case RAFT_HEARTBEAT_ANSWER:
    case RAFT_SNAPSHOT_ANSWER:
    case RAFT_TIMEOUT_NOW_ANSWER:
    case RAFT_MESSAGE_TYPES: break;
    }
    UNREACHABLE();
}

/* ---- encoding -------------------------------------------------------------------------------------------------------- */

static ProtobufCBinaryData bytes_of(const uint8_t *bytes, size_t size)
{
    ProtobufCBinaryData data = {.len = size};
    memcpy(&data.data, &bytes, sizeof data.data); /* protobuf-c only reads it */
    return data;
}

static ProtobufCBinaryData uuid_bytes(const struct uuid *uuid) { return bytes_of(uuid->bytes, uuid_is_zero(*uuid) ? 0 : 16); }

static void put_member(Skiff__RaftMember *out, const struct raft_member *member)
{
    skiff__raft_member__init(out);
    out->id = member->id;
    out->directory_id = uuid_bytes(&member->directory_id);
}

struct voters_out {
    Skiff__RaftMember members[VOTERS_MAX];
    Skiff__RaftMember *pointers[VOTERS_MAX];
};

static size_t put_voters(struct voters_out *out, const struct raft_voters *voters)
{
    for (uint32_t i = 0; i < voters->count; i++) {
        put_member(&out->members[i], &voters->voters[i]);
        out->pointers[i] = &out->members[i];
    }
    return voters->count;
}

static struct buf *pack(const struct raft_message *message, Skiff__RaftEnvelope *envelope)
{
    Skiff__RaftMember from, to;
    put_member(&from, &message->from);
    put_member(&to, &message->to);
    envelope->from = &from;
    envelope->to = &to;
    envelope->cluster_id = uuid_bytes(&message->cluster_id);
    envelope->term = message->term;
    struct buf *buf = pb_pack(&envelope->base);
    envelope->from = envelope->to = NULL;
    return buf;
}

static struct buf *encode_probe(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    Skiff__RaftProbe probe = SKIFF__RAFT_PROBE__INIT;
    Skiff__RaftMember leader;
    struct voters_out voters;
    put_member(&leader, &message->probe.leader);
    probe.is_born = message->probe.is_born;
    probe.proposed_cluster_id = uuid_bytes(&message->probe.proposed_cluster_id);
    probe.leader = &leader;
    probe.n_voters = put_voters(&voters, &message->probe.voters);
    probe.voters = voters.pointers;
    bool is_answer = message->type == RAFT_PROBE_ANSWER;
    envelope.body_case = is_answer ? SKIFF__RAFT_ENVELOPE__BODY_PROBE_ANSWER : SKIFF__RAFT_ENVELOPE__BODY_PROBE;
    envelope.probe = &probe;
    return pack(message, &envelope);
}

static struct buf *encode_append(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    uint32_t count = message->append.count;
    Skiff__RaftEntry *entries = mem_calloc(count, sizeof *entries);
    Skiff__RaftEntry **pointers = mem_calloc(count, sizeof(Skiff__RaftEntry *));
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_entry *entry = &message->append.entries[i];
        skiff__raft_entry__init(&entries[i]);
        entries[i].term = entry->term;
        entries[i].type = (int32_t)entry->type;
        entries[i].bytes = bytes_of(entry->bytes->data, entry->bytes->size);
        pointers[i] = &entries[i];
    }
    Skiff__RaftAppend append = SKIFF__RAFT_APPEND__INIT;
    append.prev_index = message->append.prev_index;
    append.prev_term = message->append.prev_term;
    append.commit = message->append.commit;
    append.n_entries = count;
    append.entries = pointers;
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_APPEND;
    envelope.append = &append;
    struct buf *buf = pack(message, &envelope);
    mem_free(entries);
    mem_free(pointers);
    return buf;
}

static struct buf *encode_snapshot(const struct raft_message *message, struct slice chunk)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    Skiff__RaftSnapshotChunk snapshot = SKIFF__RAFT_SNAPSHOT_CHUNK__INIT;
    Skiff__RaftMembership membership = SKIFF__RAFT_MEMBERSHIP__INIT;
    struct voters_out current, outgoing;
    membership.n_current = put_voters(&current, &message->snapshot.membership->current);
    membership.current = current.pointers;
    membership.n_outgoing = put_voters(&outgoing, &message->snapshot.membership->outgoing);
    membership.outgoing = outgoing.pointers;
    snapshot.index = message->snapshot.index;
    snapshot.term = message->snapshot.term;
    snapshot.size = message->snapshot.size;
    snapshot.offset = message->snapshot.offset;
    snapshot.membership = &membership;
    snapshot.bytes = bytes_of(chunk.p, chunk.n);
    snapshot.crc = crc32c(chunk);
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_SNAPSHOT;
    envelope.snapshot = &snapshot;
    return pack(message, &envelope);
}

static struct buf *encode_vote(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    Skiff__RaftVote vote = SKIFF__RAFT_VOTE__INIT;
    vote.is_pre_vote = message->vote.is_pre_vote;
    vote.is_transfer = message->vote.is_transfer;
    vote.last_index = message->vote.last_index;
    vote.last_term = message->vote.last_term;
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_VOTE;
    envelope.vote = &vote;
    return pack(message, &envelope);
}

static struct buf *encode_vote_answer(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    Skiff__RaftVoteAnswer answer = SKIFF__RAFT_VOTE_ANSWER__INIT;
    answer.is_pre_vote = message->vote_answer.is_pre_vote;
    answer.is_granted = message->vote_answer.is_granted;
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_VOTE_ANSWER;
    envelope.vote_answer = &answer;
    return pack(message, &envelope);
}

static struct buf *encode_append_answer(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    Skiff__RaftAppendAnswer answer = SKIFF__RAFT_APPEND_ANSWER__INIT;
    answer.is_rejected = message->append_answer.is_rejected;
    answer.index = message->append_answer.index;
    answer.hint_index = message->append_answer.hint_index;
    answer.hint_term = message->append_answer.hint_term;
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_APPEND_ANSWER;
    envelope.append_answer = &answer;
    return pack(message, &envelope);
}

static struct buf *encode_heartbeat(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    Skiff__RaftHeartbeat heartbeat = SKIFF__RAFT_HEARTBEAT__INIT;
    heartbeat.commit = message->heartbeat.commit;
    heartbeat.rank = message->heartbeat.rank;
    heartbeat.sent_us = message->heartbeat.sent_us;
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_HEARTBEAT;
    envelope.heartbeat = &heartbeat;
    return pack(message, &envelope);
}

static struct buf *encode_heartbeat_answer(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_HEARTBEAT_ANSWER;
    envelope.heartbeat_answer = message->heartbeat_answer.sent_us;
    return pack(message, &envelope);
}

static struct buf *encode_snapshot_answer(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    Skiff__RaftSnapshotAnswer answer = SKIFF__RAFT_SNAPSHOT_ANSWER__INIT;
    answer.index = message->snapshot_answer.index;
    answer.offset = message->snapshot_answer.offset;
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_SNAPSHOT_ANSWER;
    envelope.snapshot_answer = &answer;
    return pack(message, &envelope);
}

static struct buf *encode_follow(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    Skiff__RaftFollow follow = SKIFF__RAFT_FOLLOW__INIT;
    follow.is_snapshot = message->follow.is_snapshot;
    follow.is_rejected = message->follow.is_rejected;
    follow.index = message->follow.index;
    follow.hint_index = message->follow.hint_index;
    follow.hint_term = message->follow.hint_term;
    follow.snapshot_index = message->follow.snapshot_index;
    follow.snapshot_offset = message->follow.snapshot_offset;
    envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_FOLLOW;
    envelope.follow = &follow;
    return pack(message, &envelope);
}

static struct buf *encode_empty(const struct raft_message *message)
{
    Skiff__RaftEnvelope envelope = SKIFF__RAFT_ENVELOPE__INIT;
    switch (message->type) {
    case RAFT_TIMEOUT_NOW: envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_TIMEOUT_NOW; break;
    case RAFT_TIMEOUT_NOW_ANSWER: envelope.body_case = SKIFF__RAFT_ENVELOPE__BODY_TIMEOUT_NOW_ANSWER; break;
    case RAFT_PROBE:
    case RAFT_PROBE_ANSWER:
    case RAFT_VOTE:
    case RAFT_VOTE_ANSWER:
    case RAFT_APPEND:
    case RAFT_APPEND_ANSWER:
    case RAFT_HEARTBEAT:
    case RAFT_HEARTBEAT_ANSWER:
    case RAFT_SNAPSHOT:
    case RAFT_SNAPSHOT_ANSWER:
    case RAFT_FOLLOW:
    case RAFT_MESSAGE_TYPES: UNREACHABLE();
    }
    envelope.timeout_now = true; /* the two share their place in the union */
    return pack(message, &envelope);
}

struct buf *raft_wire_encode(const struct raft_message *message, struct slice chunk)
{
    switch (message->type) {
    case RAFT_PROBE:
    case RAFT_PROBE_ANSWER: return encode_probe(message);
    case RAFT_VOTE: return encode_vote(message);
    case RAFT_VOTE_ANSWER: return encode_vote_answer(message);
    case RAFT_APPEND: return encode_append(message);
    case RAFT_APPEND_ANSWER: return encode_append_answer(message);
    case RAFT_HEARTBEAT: return encode_heartbeat(message);
    case RAFT_SNAPSHOT: return encode_snapshot(message, chunk);
    case RAFT_SNAPSHOT_ANSWER: return encode_snapshot_answer(message);
    case RAFT_FOLLOW: return encode_follow(message);
    case RAFT_HEARTBEAT_ANSWER: return encode_heartbeat_answer(message);
    case RAFT_TIMEOUT_NOW:
    case RAFT_TIMEOUT_NOW_ANSWER: return encode_empty(message);
    case RAFT_MESSAGE_TYPES: break;
    }
    UNREACHABLE();
}

/* ---- decoding -------------------------------------------------------------------------------------------------------- */

/* Terms and indexes beyond this are nobody's, and what is added to them must not overflow. */
#define NUMBER_MAX (INT64_MAX / 4)
static bool is_number(int64_t n) { return n >= 0 && n <= NUMBER_MAX; }

/* Absent is zero. */
static bool get_uuid(ProtobufCBinaryData data, struct uuid *uuid)
{
    *uuid = UUID_ZERO;
    return data.len == 0 || pb_uuid(data, uuid);
}

static bool get_member(const Skiff__RaftMember *in, struct raft_member *member)
{
    *member = RAFT_NO_MEMBER;
    if (!in) return false;
    member->id = in->id;
    return get_uuid(in->directory_id, &member->directory_id);
}

static bool get_voters(size_t count, Skiff__RaftMember **in, struct raft_voters *voters)
{
    if (count > VOTERS_MAX) return false;
    voters->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        if (!get_member(in[i], &voters->voters[i])) return false;
    return true;
}

static bool decode_probe(const Skiff__RaftProbe *in, struct raft_message *message)
{
    message->probe.is_born = in->is_born;
    return get_uuid(in->proposed_cluster_id, &message->probe.proposed_cluster_id) && get_member(in->leader, &message->probe.leader) &&
           get_voters(in->n_voters, in->voters, &message->probe.voters);
}

static bool decode_append(const Skiff__RaftAppend *in, struct arena *arena, struct raft_message *message, struct raft_wire_parts *parts)
{
    message->append.prev_index = in->prev_index;
    message->append.prev_term = in->prev_term;
    message->append.commit = in->commit;
    if (in->n_entries > UINT16_MAX || !is_number(in->prev_index) || !is_number(in->prev_term) || !is_number(in->commit)) return false;
    parts->entries = arena_try_alloc(arena, in->n_entries * sizeof *parts->entries + 1);
    if (!parts->entries) return false;
    for (size_t i = 0; i < in->n_entries; i++) {
        const Skiff__RaftEntry *entry = in->entries[i];
        if (entry->type < RAFT_ENTRY_DATA || entry->type > RAFT_ENTRY_VOTERS) return false; /* of a later version */
        parts->entries[i] = (struct raft_entry){.term = entry->term, .type = (enum raft_entry_type)entry->type};
        parts->entries[i].bytes = buf_copy(pb_slice(entry->bytes));
        parts->count++;
    }
    message->append.count = parts->count;
    message->append.entries = parts->entries;
    return true;
}

static bool decode_snapshot(const Skiff__RaftSnapshotChunk *in, struct raft_message *message, struct raft_wire_parts *parts)
{
    message->snapshot.index = in->index;
    message->snapshot.term = in->term;
    message->snapshot.size = in->size;
    message->snapshot.offset = in->offset;
    message->snapshot.bytes = pb_slice(in->bytes);
    message->snapshot.length = (int64_t)in->bytes.len;
    message->snapshot.membership = &parts->membership;
    return is_number(in->index) && is_number(in->size) && is_number(in->offset) && in->membership &&
           get_voters(in->membership->n_current, in->membership->current, &parts->membership.current) &&
           get_voters(in->membership->n_outgoing, in->membership->outgoing, &parts->membership.outgoing) &&
           crc32c(message->snapshot.bytes) == in->crc;
}

static void decode_follow(const Skiff__RaftFollow *in, struct raft_message *message)
{
    message->follow.is_snapshot = in->is_snapshot;
    message->follow.is_rejected = in->is_rejected;
    message->follow.index = in->index;
    message->follow.hint_index = in->hint_index;
    message->follow.hint_term = in->hint_term;
    message->follow.snapshot_index = in->snapshot_index;
    message->follow.snapshot_offset = in->snapshot_offset;
}

static bool decode_body(const Skiff__RaftEnvelope *in, struct arena *arena, struct raft_message *message, struct raft_wire_parts *parts)
{
    switch (in->body_case) {
    case SKIFF__RAFT_ENVELOPE__BODY_PROBE: message->type = RAFT_PROBE; return decode_probe(in->probe, message);
    case SKIFF__RAFT_ENVELOPE__BODY_PROBE_ANSWER: message->type = RAFT_PROBE_ANSWER; return decode_probe(in->probe_answer, message);
    case SKIFF__RAFT_ENVELOPE__BODY_VOTE:
        message->type = RAFT_VOTE;
        message->vote.is_pre_vote = in->vote->is_pre_vote;
        message->vote.is_transfer = in->vote->is_transfer;
        message->vote.last_index = in->vote->last_index;
        message->vote.last_term = in->vote->last_term;
        return true;
    case SKIFF__RAFT_ENVELOPE__BODY_VOTE_ANSWER:
        message->type = RAFT_VOTE_ANSWER;
        message->vote_answer.is_pre_vote = in->vote_answer->is_pre_vote;
        message->vote_answer.is_granted = in->vote_answer->is_granted;
        return true;
    case SKIFF__RAFT_ENVELOPE__BODY_APPEND: message->type = RAFT_APPEND; return decode_append(in->append, arena, message, parts);
    case SKIFF__RAFT_ENVELOPE__BODY_APPEND_ANSWER:
        message->type = RAFT_APPEND_ANSWER;
        message->append_answer.is_rejected = in->append_answer->is_rejected;
        message->append_answer.index = in->append_answer->index;
        message->append_answer.hint_index = in->append_answer->hint_index;
        message->append_answer.hint_term = in->append_answer->hint_term;
        return true;
    case SKIFF__RAFT_ENVELOPE__BODY_HEARTBEAT:
        message->type = RAFT_HEARTBEAT;
        message->heartbeat.commit = in->heartbeat->commit;
        message->heartbeat.rank = in->heartbeat->rank;
        message->heartbeat.sent_us = in->heartbeat->sent_us;
        return true;
    case SKIFF__RAFT_ENVELOPE__BODY_HEARTBEAT_ANSWER:
        message->type = RAFT_HEARTBEAT_ANSWER;
        message->heartbeat_answer.sent_us = in->heartbeat_answer;
        return true;
    case SKIFF__RAFT_ENVELOPE__BODY_SNAPSHOT: message->type = RAFT_SNAPSHOT; return decode_snapshot(in->snapshot, message, parts);
    case SKIFF__RAFT_ENVELOPE__BODY_SNAPSHOT_ANSWER:
        message->type = RAFT_SNAPSHOT_ANSWER;
        message->snapshot_answer.index = in->snapshot_answer->index;
        message->snapshot_answer.offset = in->snapshot_answer->offset;
        return true;
    case SKIFF__RAFT_ENVELOPE__BODY_TIMEOUT_NOW: message->type = RAFT_TIMEOUT_NOW; return true;
    case SKIFF__RAFT_ENVELOPE__BODY_TIMEOUT_NOW_ANSWER: message->type = RAFT_TIMEOUT_NOW_ANSWER; return true;
    case SKIFF__RAFT_ENVELOPE__BODY_FOLLOW:
        message->type = RAFT_FOLLOW;
        decode_follow(in->follow, message);
        return true;
    case SKIFF__RAFT_ENVELOPE__BODY__NOT_SET:
    case _SKIFF__RAFT_ENVELOPE__BODY__CASE_IS_INT_SIZE: break;
    }
    return false;
}

bool raft_wire_decode(struct slice bytes, struct arena *arena, struct raft_message *message, struct raft_wire_parts *parts)
{
    *message = (struct raft_message){0};
    *parts = (struct raft_wire_parts){0};
    const Skiff__RaftEnvelope *in = pb_unpack(&skiff__raft_envelope__descriptor, bytes, arena);
    if (!in) return false;
    bool is_sound = get_member(in->from, &message->from) && get_member(in->to, &message->to) &&
                    get_uuid(in->cluster_id, &message->cluster_id) && message->from.id >= 0 && !uuid_is_zero(message->from.directory_id) &&
                    is_number(in->term);
    message->term = in->term;
    if (is_sound && decode_body(in, arena, message, parts)) return true;
    raft_wire_release(parts);
    return false;
}

void raft_wire_release(struct raft_wire_parts *parts)
{
    for (uint32_t i = 0; i < parts->count; i++) buf_unref(parts->entries[i].bytes);
    parts->count = 0;
}
