/* See group_request.h. */
#include "broker/coordinator/group_request.h"

#include "common/assert.h"

#define NULL_PROTOCOL_FROM 7 /* JoinGroup: before, no protocol is the empty text */

void group_request_init(struct group_request *request, enum group_request_type type, int16_t version, struct slice group_id)
{
    *request = (struct group_request){.type = type, .version = version, .group_id = group_id, .is_input_needed = true};
    arena_init(&request->arena, SIZE_MAX); /* the answer's size follows from what the group may hold */
    switch (type) {
    case GROUP_JOIN: CODEC_INIT(join_group_response, &request->out.join); break;
    case GROUP_SYNC: CODEC_INIT(sync_group_response, &request->out.sync); break;
    case GROUP_HEARTBEAT: CODEC_INIT(heartbeat_response, &request->out.heartbeat); break;
    case GROUP_LEAVE: CODEC_INIT(leave_group_response, &request->out.leave); break;
    case GROUP_OFFSET_COMMIT: CODEC_INIT(offset_commit_response, &request->out.commit); break;
    case GROUP_OFFSET_FETCH: CODEC_INIT(offset_fetch_response_groups, &request->out.fetch); break;
    case GROUP_OFFSET_DELETE: CODEC_INIT(offset_delete_response, &request->out.offset_delete); break;
    case GROUP_DELETE: request->out.deleted = KAFKA_NONE; break;
    }
}

void group_request_deinit(struct group_request *request)
{
    ASSERT(!list_is_linked(&request->node));
    arena_deinit(&request->arena);
}

/* Every partition of the request with one error; NONE is where a commit starts. */
static void fill_commit(struct group_request *request, enum kafka_error error)
{
    const struct offset_commit_request *in = request->in.commit;
    struct offset_commit_response *out = &request->out.commit;
    out->topics = CODEC_NEW(&request->arena, offset_commit_response_topics, (size_t)in->topics_count);
    out->topics_count = in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct offset_commit_request_topics *from = &in->topics[i];
        struct offset_commit_response_topics *to = &out->topics[i];
        to->name = from->name;
        to->topic_id = from->topic_id;
        to->partitions = CODEC_NEW(&request->arena, offset_commit_response_partitions, (size_t)from->partitions_count);
        to->partitions_count = from->partitions_count;
        for (int32_t k = 0; k < from->partitions_count; k++) {
            to->partitions[k].partition_index = from->partitions[k].partition_index;
            to->partitions[k].error_code = (int16_t)error;
        }
    }
}

static void fail_commit(struct group_request *request, enum kafka_error error)
{
    struct offset_commit_response *out = &request->out.commit;
    if (!out->topics) fill_commit(request, error);
    for (int32_t i = 0; i < out->topics_count; i++)
        for (int32_t k = 0; k < out->topics[i].partitions_count; k++) out->topics[i].partitions[k].error_code = (int16_t)error;
}

/* From version 2 on the error is the group's; before, each partition carries it. */
static void fail_fetch(struct group_request *request, enum kafka_error error)
{
    const struct offset_fetch_request_groups *in = request->in.fetch;
    struct offset_fetch_response_groups *out = &request->out.fetch;
    out->group_id = request->group_id;
    out->error_code = (int16_t)error;
    if (request->version >= 2 || in->topics_count < 0) return;
    out->topics = CODEC_NEW(&request->arena, offset_fetch_response_groups_topics, (size_t)in->topics_count);
    out->topics_count = in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct offset_fetch_request_groups_topics *from = &in->topics[i];
        struct offset_fetch_response_groups_topics *to = &out->topics[i];
        to->name = from->name;
        to->partitions_count = from->partition_indexes_count;
        to->partitions = CODEC_NEW(&request->arena, offset_fetch_response_groups_topics_partitions, (size_t)to->partitions_count);
        for (int32_t k = 0; k < to->partitions_count; k++) {
            struct offset_fetch_response_groups_topics_partitions *partition = &to->partitions[k];
            partition->partition_index = from->partition_indexes[k];
            partition->committed_offset = -1;
            partition->metadata = SLICE_LITERAL("");
            partition->error_code = (int16_t)error;
        }
    }
}

void group_request_fail(struct group_request *request, enum kafka_error error)
{
    ASSERT(error != KAFKA_NONE || request->type == GROUP_OFFSET_COMMIT);
    switch (request->type) {
    case GROUP_JOIN:
        request->out.join.error_code = (int16_t)error;
        request->out.join.protocol_name = request->version < NULL_PROTOCOL_FROM ? SLICE_LITERAL("") : SLICE_NULL;
        break;
    case GROUP_SYNC: request->out.sync.error_code = (int16_t)error; break;
    case GROUP_HEARTBEAT: request->out.heartbeat.error_code = (int16_t)error; break;
    case GROUP_LEAVE: request->out.leave.error_code = (int16_t)error; break;
    case GROUP_OFFSET_COMMIT: fail_commit(request, error); break;
    case GROUP_OFFSET_FETCH: fail_fetch(request, error); break;
    case GROUP_OFFSET_DELETE: request->out.offset_delete = (struct offset_delete_response){.error_code = (int16_t)error}; break;
    case GROUP_DELETE: request->out.deleted = error; break;
    }
}
