#include "controller/raft/raft_membership.h"

#include "common/assert.h"
#include "common/mem.h"
#include "common/reader.h"
#include "common/writer.h"

#define MEMBERSHIP_FORMAT 1

const struct raft_member *raft_voters_find(const struct raft_voters *voters, int32_t id)
{
    ASSERT(voters->count <= VOTERS_MAX);
    for (uint32_t i = 0; i < voters->count; i++)
        if (voters->voters[i].id == id) return &voters->voters[i];
    return NULL;
}

bool raft_voters_contain(const struct raft_voters *voters, struct raft_member member)
{
    const struct raft_member *found = raft_voters_find(voters, member.id);
    return found && uuid_equal(found->directory_id, member.directory_id);
}

bool raft_voters_equal(const struct raft_voters *a, const struct raft_voters *b)
{
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!raft_member_equal(a->voters[i], b->voters[i])) return false;
    return true;
}

void raft_voters_put(struct raft_voters *voters, struct raft_member member)
{
    ASSERT(member.id >= 0);
    uint32_t at = 0;
    while (at < voters->count && voters->voters[at].id < member.id) at++;
    if (at < voters->count && voters->voters[at].id == member.id) {
        voters->voters[at] = member;
        return;
    }
    ASSERT(voters->count < VOTERS_MAX);
    for (uint32_t i = voters->count; i > at; i--) voters->voters[i] = voters->voters[i - 1];
    voters->voters[at] = member;
    voters->count++;
}

bool raft_voters_are_valid(const struct raft_voters *voters)
{
    if (voters->count > VOTERS_MAX) return false;
    for (uint32_t i = 0; i < voters->count; i++) {
        if (voters->voters[i].id < 0 || uuid_is_zero(voters->voters[i].directory_id)) return false;
        if (i > 0 && voters->voters[i - 1].id >= voters->voters[i].id) return false;
    }
    return true;
}

bool raft_membership_contains(const struct raft_membership *membership, struct raft_member member)
{
    return raft_voters_contain(&membership->current, member) || raft_voters_contain(&membership->outgoing, member);
}

/* ---- as an entry ----------------------------------------------------------------------------------------------------- */

static void encode_voters(struct writer *w, const struct raft_voters *voters)
{
    writer_u8(w, (uint8_t)voters->count);
    for (uint32_t i = 0; i < voters->count; i++) {
        writer_i32(w, voters->voters[i].id);
        writer_bytes(w, slice_make(voters->voters[i].directory_id.bytes, 16));
    }
}

struct buf *raft_membership_encode(struct uuid cluster_id, const struct raft_membership *membership)
{
    ASSERT(raft_voters_are_valid(&membership->current));
    ASSERT(membership->current.count > 0);
    struct writer w;
    writer_init(&w, 32 + 20 * (size_t)(membership->current.count + membership->outgoing.count));
    writer_u8(&w, MEMBERSHIP_FORMAT);
    writer_bytes(&w, slice_make(cluster_id.bytes, 16));
    encode_voters(&w, &membership->current);
    encode_voters(&w, &membership->outgoing);
    return writer_take(&w);
}

static void read_uuid(struct reader *r, struct uuid *uuid)
{
    struct slice bytes = reader_bytes(r, 16);
    if (bytes.n == 16) memcpy(uuid->bytes, bytes.p, 16);
}

static void decode_voters(struct reader *r, struct raft_voters *voters)
{
    uint32_t count = reader_u8(r);
    if (count > VOTERS_MAX) {
        reader_fail(r);
        return;
    }
    voters->count = count;
    for (uint32_t i = 0; i < count; i++) {
        voters->voters[i].id = reader_i32(r);
        read_uuid(r, &voters->voters[i].directory_id);
    }
}

enum err raft_membership_decode(struct slice bytes, struct uuid *cluster_id, struct raft_membership *membership)
{
    *membership = (struct raft_membership){0};
    *cluster_id = UUID_ZERO;
    struct reader r = reader_make(bytes);
    if (reader_u8(&r) != MEMBERSHIP_FORMAT) return ERR_CORRUPT;
    read_uuid(&r, cluster_id);
    decode_voters(&r, &membership->current);
    decode_voters(&r, &membership->outgoing);
    bool is_valid = reader_done(&r) && membership->current.count > 0 && raft_voters_are_valid(&membership->current) &&
                    raft_voters_are_valid(&membership->outgoing);
    return is_valid ? ERR_OK : ERR_CORRUPT;
}

/* ---- history --------------------------------------------------------------------------------------------------------- */

void raft_history_init(struct raft_history *history, int64_t index, const struct raft_membership *membership)
{
    *history = (struct raft_history){0};
    raft_history_append(history, index, membership);
}

void raft_history_deinit(struct raft_history *history) { mem_free(history->items); }

void raft_history_append(struct raft_history *history, int64_t index, const struct raft_membership *membership)
{
    ASSERT(history->count == 0 || raft_history_last(history)->index < index);
    if (history->count == history->capacity) {
        history->capacity = history->capacity ? 2 * history->capacity : 2;
        history->items = mem_realloc(history->items, history->capacity, sizeof *history->items);
    }
    history->items[history->count++] = (struct raft_history_item){index, *membership};
}

void raft_history_truncate(struct raft_history *history, int64_t from)
{
    while (history->count > 1 && raft_history_last(history)->index >= from) history->count--;
    ASSERT(raft_history_last(history)->index < from);
}

void raft_history_compact(struct raft_history *history, int64_t index)
{
    size_t keep = (size_t)(raft_history_at(history, index) - history->items);
    history->count -= keep;
    memmove(history->items, history->items + keep, history->count * sizeof *history->items);
}

const struct raft_history_item *raft_history_at(const struct raft_history *history, int64_t index)
{
    ASSERT(history->items[0].index <= index);
    size_t at = history->count - 1;
    while (history->items[at].index > index) at--;
    return &history->items[at];
}
