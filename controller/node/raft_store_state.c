#include "controller/node/raft_store_state.h"

#include "common/assert.h"
#include "common/crc32c.h"
#include "common/reader.h"
#include "common/writer.h"
#include "controller/raft/raft_membership.h"

#include <stdio.h>

#define STATE_MAGIC   0x534b5153u
#define STATE_VERSION 1
#define SLOT_BYTES    4096 /* a page each: a torn page is one slot */
#define CONTENT_BYTES 512  /* what is used of it; the voters fit */

static void write_uuid(struct writer *w, struct uuid uuid) { writer_bytes(w, slice_make(uuid.bytes, 16)); }
static struct uuid read_uuid(struct reader *r)
{
    struct uuid uuid = UUID_ZERO;
    struct slice bytes = reader_bytes(r, 16);
    if (bytes.n == 16) memcpy(uuid.bytes, bytes.p, 16);
    return uuid;
}
static void write_member(struct writer *w, struct raft_member member)
{
    writer_i32(w, member.id);
    write_uuid(w, member.directory_id);
}
static struct raft_member read_member(struct reader *r)
{
    struct raft_member member = {.id = reader_i32(r)};
    member.directory_id = read_uuid(r);
    return member;
}

enum err store_state_write(struct store_state *state, const struct raft_hard_state *hard_state)
{
    struct writer w;
    writer_init(&w, CONTENT_BYTES);
    writer_u32(&w, STATE_MAGIC);
    writer_u16(&w, STATE_VERSION);
    uint64_t sequence = state->durable_sequence + 1;
    writer_i64(&w, (int64_t)sequence);
    write_member(&w, (struct raft_member){state->identity.node_id, state->identity.directory_id});
    write_uuid(&w, state->identity.proposed_cluster_id);
    write_uuid(&w, hard_state->cluster_id);
    writer_i64(&w, hard_state->term);
    write_member(&w, hard_state->vote);
    writer_u8(&w, (uint8_t)hard_state->founders.count);
    for (uint32_t i = 0; i < hard_state->founders.count; i++) write_member(&w, hard_state->founders.voters[i]);
    size_t padding = CONTENT_BYTES - 4 - writer_size(&w);
    memset(writer_reserve(&w, padding), 0, padding);
    writer_u32(&w, crc32c(writer_slice(&w)));
    ASSERT(writer_size(&w) == CONTENT_BYTES);
    struct slice content = writer_slice(&w);
    enum err err = env_pwritev(state->env, state->file, &content, 1, (int64_t)(sequence % 2) * SLOT_BYTES);
    writer_deinit(&w);
    return err;
}

struct slot {
    uint64_t sequence;
    struct raft_store_identity identity;
    struct raft_hard_state hard_state;
};

static bool parse_slot(struct slice bytes, struct slot *slot)
{
    if (bytes.n < CONTENT_BYTES) return false;
    struct reader r = reader_make(slice_make(bytes.p + CONTENT_BYTES - 4, 4));
    if (reader_u32(&r) != crc32c(slice_make(bytes.p, CONTENT_BYTES - 4))) return false;
    r = reader_make(slice_make(bytes.p, CONTENT_BYTES - 4));
    if (reader_u32(&r) != STATE_MAGIC || reader_u16(&r) != STATE_VERSION) return false;
    *slot = (struct slot){.sequence = (uint64_t)reader_i64(&r)};
    struct raft_member self = read_member(&r);
    slot->identity = (struct raft_store_identity){.node_id = self.id, .directory_id = self.directory_id};
    slot->identity.proposed_cluster_id = read_uuid(&r);
    slot->hard_state.cluster_id = read_uuid(&r);
    slot->hard_state.term = reader_i64(&r);
    slot->hard_state.vote = read_member(&r);
    uint32_t count = reader_u8(&r);
    if (count > VOTERS_MAX) return false;
    slot->hard_state.founders.count = count;
    for (uint32_t i = 0; i < count; i++) slot->hard_state.founders.voters[i] = read_member(&r);
    return reader_ok(&r) && slot->hard_state.term >= 0 && raft_voters_are_valid(&slot->hard_state.founders);
}

static struct uuid draw_uuid(struct env *env)
{
    struct uuid uuid;
    while (!uuid_from_random(env_random64(env), env_random64(env), &uuid)) continue;
    return uuid;
}

static enum err create(struct store_state *state, int32_t node_id, struct uuid proposed_cluster_id, struct raft_hard_state *hard_state)
{
    *hard_state = (struct raft_hard_state){.vote = RAFT_NO_MEMBER};
    state->identity = (struct raft_store_identity){.node_id = node_id, .directory_id = draw_uuid(state->env), .is_new = true};
    state->identity.proposed_cluster_id = uuid_is_zero(proposed_cluster_id) ? draw_uuid(state->env) : proposed_cluster_id;
    return store_state_write(state, hard_state);
}

static enum err load(struct store_state *state, const char *path, int32_t node_id, const uint8_t *bytes, size_t size,
                     struct raft_hard_state *hard_state)
{
    struct slot slots[2];
    bool is_whole[2] = {
        parse_slot(slice_make(bytes, size), &slots[0]),
        size > SLOT_BYTES && parse_slot(slice_make(bytes + SLOT_BYTES, size - SLOT_BYTES), &slots[1]),
    };
    ASSERT(is_whole[0] || is_whole[1]);
    const struct slot *slot = is_whole[0] ? &slots[0] : &slots[1];
    if (is_whole[0] && is_whole[1] && slots[1].sequence > slots[0].sequence) slot = &slots[1];
    if (slot->identity.node_id != node_id) {
        log_line(env_logger(state->env), LOG_ERROR, "raft", "%s belongs to node %d, but node.id is %d: give each node its own log.dirs",
                 path, slot->identity.node_id, node_id);
        return ERR_CORRUPT;
    }
    state->durable_sequence = slot->sequence;
    state->identity = slot->identity;
    *hard_state = slot->hard_state;
    return ERR_OK;
}

/* The first write goes to the second slot: while the first is blank, nothing was ever acknowledged. */
static bool is_unfinished(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size && i < CONTENT_BYTES; i++)
        if (bytes[i] != 0) return false;
    return true;
}

enum err store_state_open(struct store_state *state, struct env *env, const char *directory, int32_t node_id,
                          struct uuid proposed_cluster_id, struct raft_hard_state *hard_state)
{
    *state = (struct store_state){.env = env};
    char path[PATH_BYTES_MAX];
    (void)snprintf(path, sizeof path, "%s/quorum-state", directory);
    uint8_t bytes[SLOT_BYTES + CONTENT_BYTES];
    size_t size = 0;
    enum err err = env_open(env, path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, &state->file);
    if (err == ERR_OK) err = env_pread_wait(env, state->file, bytes, sizeof bytes, 0, &size);
    if (err != ERR_OK) {
        log_line(env_logger(env), LOG_ERROR, "raft", "cannot read %s: %s", path, err_text(err));
        store_state_close(state);
        return err;
    }
    struct slot slot;
    bool is_whole = parse_slot(slice_make(bytes, size), &slot) ||
                    (size > SLOT_BYTES && parse_slot(slice_make(bytes + SLOT_BYTES, size - SLOT_BYTES), &slot));
    if (is_whole) {
        err = load(state, path, node_id, bytes, size, hard_state);
    } else if (is_unfinished(bytes, size)) {
        err = create(state, node_id, proposed_cluster_id, hard_state);
    } else {
        log_line(env_logger(env), LOG_ERROR, "raft", "%s is damaged: empty the directory, and the node catches up from the others", path);
        err = ERR_CORRUPT;
    }
    if (err != ERR_OK) store_state_close(state);
    return err;
}

void store_state_close(struct store_state *state)
{
    if (state->file) env_file_unref(state->file);
    state->file = NULL;
}
