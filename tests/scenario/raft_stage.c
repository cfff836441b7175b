#include "tests/scenario/raft_stage.h"

#include "common/mem.h"

#include <inttypes.h>
#include <string.h>

static struct uuid directory_of(uint8_t byte)
{
    struct uuid uuid;
    memset(uuid.bytes, byte, sizeof uuid.bytes);
    return uuid;
}

static struct raft_member self_of(const struct stage *stage, int n)
{
    return (struct raft_member){n, directory_of(stage->nodes[n].disk.directory)};
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

void stage_init(struct stage *stage, FILE *out)
{
    memset(stage, 0, sizeof *stage);
    stage->out = out;
    stage->now_us = 1000000;
    stage->random = stage->next_token = 1;
    list_init(&stage->network);
}

static void free_message(struct stage_message *message)
{
    for (uint32_t i = 0; message->entries && i < message->message.append.count; i++) buf_unref(message->entries[i].bytes);
    mem_free(message->entries);
    mem_free(message);
}

static void free_write(struct stage_write *write)
{
    for (int64_t i = 0; i < write->count; i++) buf_unref(write->entries[i].bytes);
    mem_free(write->entries);
    mem_free(write);
}

static void drop_disk_entries(struct stage_disk *disk, int64_t keep)
{
    for (int64_t i = keep; i < disk->count; i++) buf_unref(disk->entries[i].bytes);
    if (disk->count > keep) disk->count = keep;
}

void stage_crash(struct stage *stage, int n)
{
    struct stage_node *node = &stage->nodes[n];
    if (node->raft) raft_destroy(node->raft);
    node->raft = NULL;
    node->installing.index = 0;
    LIST_FOR_EACH (&node->writes, item) {
        list_remove(item);
        free_write(CONTAINER_OF(item, struct stage_write, node));
    }
    LIST_FOR_EACH (&node->waiting, item) {
        list_remove(item);
        free_message(CONTAINER_OF(item, struct stage_message, node));
    }
}

void stage_deinit(struct stage *stage)
{
    for (int n = 0; n < stage->count; n++) {
        stage_crash(stage, n);
        drop_disk_entries(&stage->nodes[n].disk, 0);
    }
    LIST_FOR_EACH (&stage->network, item) free_message(CONTAINER_OF(item, struct stage_message, node));
}

void stage_new(struct stage *stage, int voters, int learners)
{
    stage->voters = voters;
    stage->count = voters + learners;
    ASSERT(stage->count <= STAGE_NODES_MAX);
    for (int n = 0; n < stage->count; n++) {
        struct stage_node *node = &stage->nodes[n];
        list_init(&node->writes);
        list_init(&node->waiting);
        node->disk.hard.vote = RAFT_NO_MEMBER;
        node->disk.directory = (uint8_t)(n + 1);
    }
}

void stage_past(struct stage *stage, int n, int64_t term, const int64_t *terms, int count)
{
    struct stage_disk *disk = &stage->nodes[n].disk;
    disk->hard.term = term;
    disk->hard.cluster_id = directory_of(99);
    for (int v = 0; v < stage->voters; v++) raft_voters_put(&disk->hard.founders, self_of(stage, v));
    for (int i = 0; i < count; i++)
        disk->entries[disk->count++] = (struct raft_entry){.term = terms[i], .type = RAFT_ENTRY_DATA, .bytes = buf_create(0)};
}

void stage_start(struct stage *stage, int n)
{
    struct stage_node *node = &stage->nodes[n];
    struct raft_config config = {
        .self = self_of(stage, n),
        .listed_count = (uint32_t)stage->voters,
        .proposed_cluster_id = directory_of((uint8_t)(100 + n)),
        .heartbeat_us = 100000,
        .election_timeout_us = 1000000,
        .fetch_timeout_us = 2000000,
        .message_bytes_max = 1000,
        .trailing_entries = 1,
    };
    for (int v = 0; v < stage->voters; v++) config.listed[v] = v;
    struct raft_recovered recovered = {.hard_state = node->disk.hard, .snapshot = node->disk.snapshot};
    recovered.first_index = node->disk.base + 1;
    recovered.count = node->disk.count;
    recovered.entries = node->disk.entries;
    for (int64_t i = 0; i < node->disk.count; i++) buf_ref(node->disk.entries[i].bytes);
    ASSERT(!node->raft);
    node->raft = raft_create(&config, &recovered, stage->now_us, stage->random++);
    node->shown_role = node->raft->role;
    node->shown_term = node->raft->hard.term;
    node->shown_commit = node->raft->commit_index;
    stage_event(stage, n, (struct raft_event){.type = RAFT_TICK});
}

void stage_wipe(struct stage *stage, int n)
{
    struct stage_node *node = &stage->nodes[n];
    stage_crash(stage, n);
    drop_disk_entries(&node->disk, 0);
    uint8_t directory = (uint8_t)(node->disk.directory + 16);
    memset(&node->disk, 0, sizeof node->disk);
    node->disk.hard.vote = RAFT_NO_MEMBER;
    node->disk.directory = directory;
}

void stage_cut(struct stage *stage, int n, bool is_cut) { stage->nodes[n].is_cut = is_cut; }

/* ---- the transcript -------------------------------------------------------------------------------------------------- */

static void show_voters(struct stage *stage, const struct raft_voters *voters)
{
    for (uint32_t v = 0; v < voters->count; v++)
        fprintf(stage->out, " %d/%d", voters->voters[v].id, voters->voters[v].directory_id.bytes[0]);
}

static void show_message(struct stage *stage, const struct raft_message *m, bool is_later)
{
    if (m->type == RAFT_HEARTBEAT || m->type == RAFT_HEARTBEAT_ANSWER) return;
    fprintf(stage->out, "    %d>%d %s term %" PRId64, m->from.id, m->to.id, raft_message_name(m->type), m->term);
    if (m->type == RAFT_VOTE)
        fprintf(stage->out, "%s%s, log ends (%" PRId64 ", term %" PRId64 ")", m->vote.is_pre_vote ? " pre" : "",
                m->vote.is_transfer ? " transfer" : "", m->vote.last_index, m->vote.last_term);
    if (m->type == RAFT_VOTE_ANSWER)
        fprintf(stage->out, "%s %s", m->vote_answer.is_pre_vote ? " pre" : "", m->vote_answer.is_granted ? "granted" : "refused");
    if (m->type == RAFT_APPEND)
        fprintf(stage->out, " %" PRIu32 " after (%" PRId64 ", term %" PRId64 "), commit %" PRId64, m->append.count, m->append.prev_index,
                m->append.prev_term, m->append.commit);
    if (m->type == RAFT_APPEND_ANSWER && m->append_answer.is_rejected)
        fprintf(stage->out, " refused after %" PRId64 ", try (%" PRId64 ", term %" PRId64 ")", m->append_answer.index,
                m->append_answer.hint_index, m->append_answer.hint_term);
    if (m->type == RAFT_APPEND_ANSWER && !m->append_answer.is_rejected) fprintf(stage->out, " has %" PRId64, m->append_answer.index);
    if (m->type == RAFT_SNAPSHOT)
        fprintf(stage->out, " up to %" PRId64 ", bytes %" PRId64 "..%" PRId64 " of %" PRId64, m->snapshot.index, m->snapshot.offset,
                m->snapshot.offset + m->snapshot.length, m->snapshot.size);
    if (m->type == RAFT_SNAPSHOT_ANSWER)
        fprintf(stage->out, " up to %" PRId64 ", next byte %" PRId64, m->snapshot_answer.index, m->snapshot_answer.offset);
    if (m->type == RAFT_PROBE_ANSWER) fprintf(stage->out, " %s, leader %d", m->probe.is_born ? "born" : "unborn", m->probe.leader.id);
    bool has_promised = (m->type == RAFT_PROBE || m->type == RAFT_PROBE_ANSWER) && !m->probe.is_born && m->probe.voters.count > 0 &&
                        !uuid_is_zero(m->probe.voters.voters[0].directory_id);
    if (has_promised) {
        fprintf(stage->out, ", promised");
        show_voters(stage, &m->probe.voters);
    }
    if (m->type == RAFT_FOLLOW && !m->follow.is_snapshot)
        fprintf(stage->out, " %s %" PRId64, m->follow.is_rejected ? "from" : "has",
                m->follow.is_rejected ? m->follow.hint_index : m->follow.index);
    fprintf(stage->out, "%s\n", is_later ? " (when durable)" : "");
}

static void show_changes(struct stage *stage, int n, const struct raft_actions *actions)
{
    struct stage_node *node = &stage->nodes[n];
    const struct raft *raft = node->raft;
    if (actions->persist.truncate_from) fprintf(stage->out, "    %d truncates from %" PRId64 "\n", n, actions->persist.truncate_from);
    if (actions->snapshot_installed) fprintf(stage->out, "    %d loads the snapshot up to %" PRId64 "\n", n, raft->snapshot.index);
    bool is_shown = raft->role != node->shown_role || raft->hard.term != node->shown_term;
    if (is_shown) fprintf(stage->out, "    %d is %s in term %" PRId64 "\n", n, raft_role_name(raft->role), raft->hard.term);
    if (actions->persist.hard_state && raft->role == RAFT_UNBORN) {
        fprintf(stage->out, "    %d promises", n);
        show_voters(stage, &raft->hard.founders);
        fprintf(stage->out, "\n");
    }
    if (raft->commit_index != node->shown_commit) fprintf(stage->out, "    %d commits up to %" PRId64 "\n", n, raft->commit_index);
    for (int64_t i = actions->persist.append_from; i <= actions->persist.append_to; i++) {
        const struct raft_entry *entry = raft_log_at(&raft->log, i);
        if (entry->type != RAFT_ENTRY_VOTERS) continue;
        const struct raft_membership *membership = &raft_history_at(&raft->history, i)->membership;
        fprintf(stage->out, "    %d appends voters at %" PRId64 ":", n, i);
        show_voters(stage, &membership->current);
        if (membership->outgoing.count) fprintf(stage->out, ", and the old majority too");
        fprintf(stage->out, "\n");
    }
    node->shown_role = raft->role;
    node->shown_term = raft->hard.term;
    node->shown_commit = raft->commit_index;
}

void stage_show(struct stage *stage, int n)
{
    const struct stage_node *node = &stage->nodes[n];
    const struct raft *raft = node->raft;
    if (!raft) {
        fprintf(stage->out, "    %d is down\n", n);
        return;
    }
    fprintf(stage->out, "    %d %s, term %" PRId64 ", vote %d, leader %d, commit %" PRId64 ", log", n, raft_role_name(raft->role),
            raft->hard.term, raft->hard.vote.id, raft->leader.id, raft->commit_index);
    if (raft->log.base_index) fprintf(stage->out, " (.. %" PRId64 ")", raft->log.base_index);
    for (int64_t i = raft_log_first_index(&raft->log); i <= raft_log_last_index(&raft->log); i++)
        fprintf(stage->out, " %" PRId64 "%s", raft_log_at(&raft->log, i)->term, i > raft->log.durable_index ? "?" : "");
    fprintf(stage->out, "\n");
}

/* ---- events and what they ask for ------------------------------------------------------------------------------------ */

static struct stage_message *copy_message(const struct raft_message *message)
{
    struct stage_message *copy = mem_alloc(sizeof *copy);
    copy->message = *message;
    if (message->type == RAFT_SNAPSHOT) {
        static const uint8_t bytes[1000];
        copy->membership = *message->snapshot.membership;
        copy->message.snapshot.bytes = slice_make(bytes, (size_t)message->snapshot.length);
    }
    if (message->type != RAFT_APPEND || message->append.count == 0) return copy;
    copy->entries = mem_calloc(message->append.count, sizeof *copy->entries);
    for (uint32_t i = 0; i < message->append.count; i++) {
        copy->entries[i] = message->append.entries[i];
        buf_ref(copy->entries[i].bytes);
    }
    return copy;
}

static void put_on_network(struct stage *stage, struct stage_message *message)
{
    struct raft_message *m = &message->message;
    bool is_cut = stage->nodes[m->from.id].is_cut || stage->nodes[m->to.id].is_cut;
    if (is_cut)
        free_message(message);
    else
        list_push_back(&stage->network, &message->node);
}

static void queue_write(struct stage_node *node, const struct raft_actions *actions)
{
    struct stage_write *write = mem_alloc(sizeof *write);
    write->number = actions->write;
    write->has_hard = actions->persist.hard_state != NULL;
    if (write->has_hard) write->hard = *actions->persist.hard_state;
    write->truncate_from = actions->persist.truncate_from;
    write->restart_after = actions->persist.restart_after;
    write->from = actions->persist.append_from;
    write->count = max_i64(0, actions->persist.append_to - actions->persist.append_from + 1);
    write->entries = mem_calloc((size_t)write->count, sizeof *write->entries);
    for (int64_t i = 0; i < write->count; i++) {
        write->entries[i] = *raft_log_at(&node->raft->log, write->from + i);
        buf_ref(write->entries[i].bytes);
    }
    list_push_back(&node->writes, &write->node);
}

static void compact_disk(struct stage_disk *disk, int64_t to)
{
    int64_t gone = to - disk->base;
    if (gone <= 0 || gone > disk->count) return;
    for (int64_t i = 0; i < gone; i++) buf_unref(disk->entries[i].bytes);
    disk->count -= gone;
    memmove(disk->entries, disk->entries + gone, (size_t)disk->count * sizeof *disk->entries);
    disk->base = to;
}

void stage_event(struct stage *stage, int n, struct raft_event event)
{
    struct stage_node *node = &stage->nodes[n];
    struct raft_actions actions;
    if (!node->raft) return;
    event.now_us = stage->now_us;
    event.random = stage->random++;
    uint64_t write_before = node->raft->last_write;
    raft_step(node->raft, &event, &actions);
    raft_invariants_full(node->raft);
    node->deadline_us = actions.deadline_us;
    show_changes(stage, n, &actions);
    if (actions.write != write_before) queue_write(node, &actions);
    if (actions.persist.chunk && actions.persist.chunk->is_last) {
        node->installing = actions.persist.chunk->snapshot;
    }
    if (actions.compact_to) compact_disk(&node->disk, actions.compact_to);
    for (size_t i = 0; i < actions.send_now_count; i++) {
        show_message(stage, &actions.send_now[i], false);
        put_on_network(stage, copy_message(&actions.send_now[i]));
    }
    for (size_t i = 0; i < actions.send_after_persist_count; i++) {
        bool is_later = actions.write > node->raft->durable_write;
        struct stage_message *message = copy_message(&actions.send_after_persist[i]);
        message->write = actions.write;
        show_message(stage, &message->message, is_later);
        if (is_later)
            list_push_back(&node->waiting, &message->node);
        else
            put_on_network(stage, message);
    }
}

static void apply_write(struct stage_disk *disk, const struct stage_write *write)
{
    if (write->has_hard) disk->hard = write->hard;
    if (write->restart_after) {
        drop_disk_entries(disk, 0);
        disk->base = write->restart_after;
    }
    if (write->truncate_from) drop_disk_entries(disk, write->truncate_from - disk->base - 1);
    for (int64_t i = 0; i < write->count; i++) {
        ASSERT(disk->count < STAGE_ENTRIES_MAX);
        disk->entries[disk->count] = write->entries[i];
        buf_ref(write->entries[i].bytes);
        disk->count++;
    }
}

void stage_persist(struct stage *stage, int n)
{
    struct stage_node *node = &stage->nodes[n];
    uint64_t number = 0;
    for (struct list_node *item; (item = list_pop_front(&node->writes));) {
        struct stage_write *write = CONTAINER_OF(item, struct stage_write, node);
        apply_write(&node->disk, write);
        number = write->number;
        free_write(write);
    }
    if (number) stage_event(stage, n, (struct raft_event){.type = RAFT_PERSISTED, .write = number});
    for (struct list_node *item; (item = list_first(&node->waiting));) {
        struct stage_message *message = CONTAINER_OF(item, struct stage_message, node);
        if (message->write > node->raft->durable_write) break;
        list_remove(item);
        put_on_network(stage, message);
    }
    if (node->installing.index) {
        struct raft_event event = {.type = RAFT_SNAPSHOT_INSTALLED, .snapshot_installed = {.index = node->installing.index}};
        node->disk.snapshot = node->installing;
        node->installing.index = 0;
        stage_event(stage, n, event);
    }
}

/* ---- the network ----------------------------------------------------------------------------------------------------- */

static bool goes(const struct stage_message *message, int from, int to)
{
    return (from < 0 || message->message.from.id == from) && (to < 0 || message->message.to.id == to);
}

static void deliver_one(struct stage *stage, struct stage_message *message)
{
    struct raft_message *m = &message->message;
    struct stage_node *node = &stage->nodes[m->to.id];
    m->append.entries = m->type == RAFT_APPEND ? message->entries : m->append.entries;
    if (m->type == RAFT_SNAPSHOT) m->snapshot.membership = &message->membership;
    if (m->request)
        m->request = 0; /* an answer */
    else if (raft_message_is_request(m->type))
        m->request = stage->next_token++;
    bool is_lost = !node->raft || node->is_cut || stage->nodes[m->from.id].is_cut;
    if (!is_lost)
        stage_event(stage, m->to.id, (struct raft_event){.type = RAFT_RECEIVE, .message = m});
    else if (!node->raft && m->request)
        stage_event(stage, m->from.id, (struct raft_event){.type = RAFT_SEND_FAILED, .node_id = m->to.id});
    free_message(message);
}

int stage_deliver(struct stage *stage, int from, int to)
{
    struct list batch;
    int count = 0;
    list_init(&batch);
    LIST_FOR_EACH (&stage->network, item) {
        if (!goes(CONTAINER_OF(item, struct stage_message, node), from, to)) continue;
        list_remove(item);
        list_push_back(&batch, item);
        count++;
    }
    for (struct list_node *item; (item = list_pop_front(&batch));) deliver_one(stage, CONTAINER_OF(item, struct stage_message, node));
    return count;
}

void stage_lose(struct stage *stage, int from, int to)
{
    LIST_FOR_EACH (&stage->network, item) {
        if (!goes(CONTAINER_OF(item, struct stage_message, node), from, to)) continue;
        list_remove(item);
        free_message(CONTAINER_OF(item, struct stage_message, node));
    }
}

void stage_settle(struct stage *stage)
{
    for (int round = 0; round < 100; round++) {
        bool has_work = stage_deliver(stage, -1, -1) > 0;
        for (int n = 0; n < stage->count; n++) {
            const struct stage_node *node = &stage->nodes[n];
            if (!node->raft || (list_is_empty(&node->writes) && !node->installing.index)) continue;
            stage_persist(stage, n);
            has_work = true;
        }
        if (!has_work) return;
    }
    fprintf(stage->out, "    it does not settle\n");
}

/* ---- more events ----------------------------------------------------------------------------------------------------- */

void stage_tick(struct stage *stage, int n, int64_t ms)
{
    const struct stage_node *node = &stage->nodes[n];
    if (ms >= 0)
        stage->now_us += ms * 1000;
    else if (node->deadline_us != RAFT_NEVER)
        stage->now_us = max_i64(stage->now_us, node->deadline_us);
    stage_event(stage, n, (struct raft_event){.type = RAFT_TICK});
}

void stage_propose(struct stage *stage, int n, const char *text)
{
    struct buf *bytes = buf_copy(slice_str(text));
    stage_event(stage, n, (struct raft_event){.type = RAFT_PROPOSE, .entry = bytes});
    stage_event(stage, n, (struct raft_event){.type = RAFT_REPLICATE});
    buf_unref(bytes);
}

void stage_snapshot(struct stage *stage, int n)
{
    struct stage_node *node = &stage->nodes[n];
    raft_describe_snapshot(node->raft, node->raft->commit_index, &node->disk.snapshot);
    node->disk.snapshot.size = 1500;
    struct raft_event event = {.type = RAFT_SNAPSHOT_TAKEN, .snapshot_taken = {node->disk.snapshot.index, 1500}};
    stage_event(stage, n, event);
}
