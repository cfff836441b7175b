/* Requests at their limits, made from the schemas: each string, array and bytes of each message in turn as large as it can be, everything
 * else small.  For the simulator's nodes and for real ones.
 *
 *     struct extreme x = {.kmsg = kmsg, .version = v, .frame_bytes = 1 << 20, .shape = shape};
 *     for (x.target = 0; extreme_build(&x, &w); x.target++) ... writer_slice(&w) is the body, x.field names the target */
#ifndef SKIFF_TESTS_UNIT_EXTREME_REQUEST_H
#define SKIFF_TESTS_UNIT_EXTREME_REQUEST_H

#include "common/checked.h"
#include "common/limits.h"
#include "proto/codec.h"
#include "proto/codec_fields.h"

#include <stdio.h>

#define EXTREME_STRING 32767
#define EXTREME_TOPIC  "limits" /* exists */

/* What stands in the small strings and in the int8s, most of which choose between kinds of resources. */
enum extreme_shape {
    EXTREME_STRANGERS,  /* a different name that nobody knows, wherever there are several */
    EXTREME_SAME_TOPIC, /* the same topic over and over */
    EXTREME_SAME_NODE,  /* the same node */
    EXTREME_SHAPE_COUNT
};
struct extreme {
    enum kmsg kmsg;
    int16_t version;
    int target; /* which string, array or bytes is extreme, in the order of the schema */
    enum extreme_shape shape;
    size_t frame_bytes;
    const char *field; /* the target's name; NULL: there are no more */
    /* while it is built: */
    struct arena arena;
    int counter;
    int32_t count, serial;
    uint8_t *text;
    size_t bytes;
};

static inline void extreme_fill_struct(struct extreme *x, uint16_t layout, uint8_t *base);

static inline bool extreme_is_target(struct extreme *x, const struct schema_op *op)
{
    if (x->counter++ != x->target) return false;
    x->field = schema_text + schema_fields[op->field].name;
    return true;
}

static inline struct slice extreme_name(struct extreme *x)
{
    switch (x->shape) {
    case EXTREME_SAME_TOPIC: return SLICE_LITERAL(EXTREME_TOPIC);
    case EXTREME_SAME_NODE: return SLICE_LITERAL("0");
    case EXTREME_STRANGERS:
    case EXTREME_SHAPE_COUNT: break;
    }
    return arena_printf(&x->arena, "s%07d", x->serial);
}

static inline int8_t extreme_kind(const struct extreme *x)
{
    static const int8_t kinds[EXTREME_SHAPE_COUNT] = {[EXTREME_SAME_TOPIC] = 2, [EXTREME_SAME_NODE] = 4};
    return kinds[x->shape];
}

static inline void extreme_fill_pointer(struct extreme *x, const struct schema_op *op, void **at)
{
    uint16_t of = schema_layouts[op->layout].of;
    uint8_t *inner = arena_alloc(&x->arena, schema_structs[of].size);
    codec_init_struct((enum kmsg_struct)of, inner);
    extreme_fill_struct(x, op->layout, inner);
    *at = inner;
}

static inline void extreme_fill_one(struct extreme *x, const struct schema_op *op, uint8_t *at)
{
    switch ((enum schema_type)op->type) {
    case SCHEMA_STRING:
        *(struct slice *)(void *)at = extreme_is_target(x, op) ? slice_make(x->text, EXTREME_STRING) : extreme_name(x);
        return;
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS:
        if (extreme_is_target(x, op)) *(struct slice *)(void *)at = slice_make(x->text, x->bytes);
        return;
    case SCHEMA_INT8: *(int8_t *)at = extreme_kind(x); return;
    case SCHEMA_INT16: *(int16_t *)(void *)at = -1; return; /* acks of all: else Produce has no answer */
    case SCHEMA_STRUCT:
        if (op->flags & SCHEMA_POINTER)
            extreme_fill_pointer(x, op, (void **)(void *)at);
        else
            extreme_fill_struct(x, op->layout, at);
        return;
    case SCHEMA_BOOL:
    case SCHEMA_UINT16:
    case SCHEMA_INT32:
    case SCHEMA_INT64:
    case SCHEMA_FLOAT64:
    case SCHEMA_UUID: return;
    }
}

static inline void extreme_fill_op(struct extreme *x, const struct schema_op *op, uint8_t *at)
{
    if (!(op->flags & SCHEMA_ARRAY)) {
        extreme_fill_one(x, op, at);
        return;
    }
    bool is_target = extreme_is_target(x, op);
    size_t count = is_target ? (size_t)x->count : 1, size = op_element_size(op);
    const struct schema_op element = op_element(op);
    uint8_t *elements = arena_calloc(&x->arena, count, size);
    int counter = x->counter;
    for (size_t i = 0; i < count; i++) {
        x->counter = counter;
        if (is_target) x->serial = (int32_t)i;
        if (op->type == SCHEMA_STRUCT) codec_init_struct((enum kmsg_struct)schema_layouts[op->layout].of, elements + i * size);
        extreme_fill_one(x, &element, elements + i * size);
    }
    *(void **)(void *)at = elements;
    *array_count(at) = (int32_t)count;
}

/* Recursion ends with the nesting of the schema. */
static inline void extreme_fill_struct(struct extreme *x, uint16_t layout, uint8_t *base)
{
    const struct schema_layout *l = &schema_layouts[layout];
    const struct schema_op *op = &schema_ops[l->op_first], *end = op + l->present + l->tagged;
    for (; op < end; op++) extreme_fill_op(x, op, base + op->offset);
}

static inline void *extreme_fill(struct extreme *x, int32_t count, size_t bytes)
{
    void *message = arena_alloc(&x->arena, codec_struct_size(x->kmsg));
    x->counter = x->serial = 0;
    x->count = count;
    x->bytes = bytes;
    x->field = NULL;
    codec_set_defaults(x->kmsg, message);
    extreme_fill_struct(x, message_layout(x->kmsg, x->version), message);
    return message;
}

static inline size_t extreme_size(struct extreme *x, int32_t count)
{
    size_t size = 0;
    enum err err = codec_size(x->kmsg, x->version, extreme_fill(x, count, 0), &size);
    ASSERT(err == ERR_OK);
    return size;
}

/* False: there is no such target. Appends the body. */
static inline bool extreme_build(struct extreme *x, struct writer *w)
{
    arena_init(&x->arena, SIZE_MAX);
    x->text = arena_alloc(&x->arena, max_size(x->frame_bytes, EXTREME_STRING));
    memset(x->text, 'x', max_size(x->frame_bytes, EXTREME_STRING));
    size_t one = extreme_size(x, 1), each = (extreme_size(x, 11) - one) / 10, room = x->frame_bytes - min_size(x->frame_bytes, one + 64);
    int32_t count = each == 0 ? 1 : (int32_t)min_size(1 + room / each, ARRAY_COUNT_MAX);
    const void *message = extreme_fill(x, count, room);
    if (x->field) {
        enum err err = codec_encode(x->kmsg, x->version, message, w);
        ASSERT(err == ERR_OK);
    }
    arena_deinit(&x->arena);
    x->text = NULL;
    return x->field != NULL;
}

#endif
