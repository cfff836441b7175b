/* What the codec's files share: fields of C structs, seen through the tables.  Private to proto/. */
#ifndef SKIFF_PROTO_CODEC_FIELDS_H
#define SKIFF_PROTO_CODEC_FIELDS_H

#include "common/arena.h"
#include "common/assert.h"
#include "proto/schema.h"

/* `at` is the field.  A nullable struct whose default is not null comes from the arena when there is one. */
void field_set_default(const struct schema_field *field, struct arena *arena, void *at);
bool field_is_default(const struct schema_field *field, const void *at);

/* An array is a pointer with its count right behind it. */
static inline int32_t *array_count(void *at) { return (int32_t *)(void *)((uint8_t *)at + sizeof(void *)); }
static inline const int32_t *array_count_const(const void *at)
{
    return (const int32_t *)(const void *)((const uint8_t *)at + sizeof(void *));
}

/* The op of an array's elements: they are never null. */
static inline struct schema_op op_element(const struct schema_op *op)
{
    struct schema_op element = *op;
    element.flags = (uint8_t)(op->flags & (SCHEMA_COMPACT | SCHEMA_SECRET));
    return element;
}

/* Bytes that an element takes in memory. */
static inline size_t op_element_size(const struct schema_op *op)
{
    static const uint8_t sizes[] = {
        [SCHEMA_BOOL] = sizeof(bool),
        [SCHEMA_INT8] = 1,
        [SCHEMA_INT16] = 2,
        [SCHEMA_UINT16] = 2,
        [SCHEMA_INT32] = 4,
        [SCHEMA_INT64] = 8,
        [SCHEMA_FLOAT64] = 8,
        [SCHEMA_UUID] = 16,
        [SCHEMA_STRING] = sizeof(struct slice),
        [SCHEMA_BYTES] = sizeof(struct slice),
        [SCHEMA_RECORDS] = sizeof(struct slice),
    };
    return op->type == SCHEMA_STRUCT ? schema_structs[schema_layouts[op->layout].of].size : sizes[op->type];
}

/* The layout of a message at a version that it has. */
static inline uint16_t message_layout(enum kmsg kmsg, int16_t version)
{
    ASSERT(kmsg < KMSG_COUNT);
    const struct schema_message *m = &schema_messages[kmsg];
    ASSERT(m->version_min <= version);
    ASSERT(version <= m->version_max);
    return schema_version_layouts[m->version_layouts + (version - m->version_min)];
}

#endif
