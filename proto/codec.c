#include "proto/codec.h"

#include "common/checked.h"
#include "common/limits.h"
#include "proto/codec_fields.h"

#define STRING_MAX 32767 /* Kafka writes no longer ones, whatever the length prefix could hold */

/* Bytes on the wire of the types of fixed size, 0 for the others. */
static const uint8_t wire_sizes[] = {
    [SCHEMA_BOOL] = 1,    [SCHEMA_INT8] = 1,  [SCHEMA_INT16] = 2,  [SCHEMA_UINT16] = 2, [SCHEMA_INT32] = 4,   [SCHEMA_INT64] = 8,
    [SCHEMA_FLOAT64] = 8, [SCHEMA_UUID] = 16, [SCHEMA_STRING] = 0, [SCHEMA_BYTES] = 0,  [SCHEMA_RECORDS] = 0, [SCHEMA_STRUCT] = 0,
};
_Static_assert(sizeof(double) == 8, "float64 is copied bit by bit");

const char *codec_name(enum kmsg kmsg)
{
    ASSERT(kmsg < KMSG_COUNT);
    return schema_text + schema_messages[kmsg].name;
}

bool codec_has_version(enum kmsg kmsg, int16_t version)
{
    ASSERT(kmsg < KMSG_COUNT);
    return schema_messages[kmsg].version_min <= version && version <= schema_messages[kmsg].version_max;
}

bool codec_is_flexible(enum kmsg kmsg, int16_t version)
{
    ASSERT(kmsg < KMSG_COUNT);
    return version >= schema_messages[kmsg].flexible_min;
}

size_t codec_struct_size(enum kmsg kmsg)
{
    ASSERT(kmsg < KMSG_COUNT);
    return schema_structs[schema_messages[kmsg].root].size;
}

/* ---- a field by its name ------------------------------------------------------------------------------------------- */

/* Of those that every answer of the version has; NULL: it has none of that name. */
static const struct schema_op *find_op(enum kmsg kmsg, int16_t version, const char *name)
{
    const struct schema_layout *layout = &schema_layouts[message_layout(kmsg, version)];
    const struct schema_op *op = &schema_ops[layout->op_first];
    for (uint8_t i = 0; i < layout->present; i++, op++)
        if (op->type == SCHEMA_INT32 && !(op->flags & SCHEMA_ARRAY) && strcmp(schema_text + schema_fields[op->field].name, name) == 0)
            return op;
    return NULL;
}

int32_t *codec_find_i32(enum kmsg kmsg, int16_t version, void *message, const char *name)
{
    const struct schema_op *op = find_op(kmsg, version, name);
    return op ? (int32_t *)(void *)((uint8_t *)message + op->offset) : NULL;
}

bool codec_begins_with(enum kmsg kmsg, int16_t version, const char *name)
{
    const struct schema_op *op = find_op(kmsg, version, name);
    return op && op == &schema_ops[schema_layouts[message_layout(kmsg, version)].op_first];
}

/* ---- defaults ---------------------------------------------------------------------------------------------------- */

static void set_struct_defaults(uint16_t of, struct arena *arena, uint8_t *base)
{
    const struct schema_struct *s = &schema_structs[of];
    memset(base, 0, s->size);
    for (uint16_t i = 0; i < s->field_count; i++) {
        const struct schema_field *field = &schema_fields[s->field_first + i];
        field_set_default(field, arena, base + field->offset);
    }
}

/* Where a null struct is not the default, an empty one is: that needs the arena; without one it stays NULL. */
static void set_pointer_default(const struct schema_field *field, struct arena *arena, void *at)
{
    uint8_t *inner = NULL;
    if (!(field->flags & SCHEMA_NULL_DEFAULT) && arena) inner = arena_try_alloc(arena, schema_structs[field->of].size);
    if (inner) set_struct_defaults(field->of, arena, inner);
    *(void **)at = inner;
}

void field_set_default(const struct schema_field *field, struct arena *arena, void *at)
{
    bool is_null = field->flags & SCHEMA_NULL_DEFAULT;
    if (field->flags & SCHEMA_ARRAY) {
        *(void **)at = NULL;
        *array_count(at) = is_null ? -1 : 0;
        return;
    }
    switch ((enum schema_type)field->type) {
    case SCHEMA_BOOL: *(bool *)at = field->value != 0; return;
    case SCHEMA_INT8: *(int8_t *)at = (int8_t)field->value; return;
    case SCHEMA_INT16: *(int16_t *)at = (int16_t)field->value; return;
    case SCHEMA_UINT16: *(uint16_t *)at = (uint16_t)field->value; return;
    case SCHEMA_INT32: *(int32_t *)at = (int32_t)field->value; return;
    case SCHEMA_INT64: *(int64_t *)at = field->value; return;
    case SCHEMA_FLOAT64: *(double *)at = 0; return;
    case SCHEMA_UUID: *(struct uuid *)at = UUID_ZERO; return;
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS: *(struct slice *)at = is_null ? SLICE_NULL : SLICE_LITERAL(""); return;
    case SCHEMA_STRUCT:
        if (field->flags & SCHEMA_POINTER)
            set_pointer_default(field, arena, at);
        else
            set_struct_defaults(field->of, arena, at);
        return;
    }
    UNREACHABLE();
}

static bool is_struct_default(uint16_t of, const uint8_t *base)
{
    const struct schema_struct *s = &schema_structs[of];
    for (uint16_t i = 0; i < s->field_count; i++) {
        const struct schema_field *field = &schema_fields[s->field_first + i];
        if (!field_is_default(field, base + field->offset)) return false;
    }
    return true;
}

bool field_is_default(const struct schema_field *field, const void *at)
{
    bool is_null = field->flags & SCHEMA_NULL_DEFAULT;
    if (field->flags & SCHEMA_ARRAY) return *array_count_const(at) == (is_null ? -1 : 0);
    switch ((enum schema_type)field->type) {
    case SCHEMA_BOOL: return *(const bool *)at == (field->value != 0);
    case SCHEMA_INT8: return *(const int8_t *)at == field->value;
    case SCHEMA_INT16: return *(const int16_t *)at == field->value;
    case SCHEMA_UINT16: return *(const uint16_t *)at == field->value;
    case SCHEMA_INT32: return *(const int32_t *)at == field->value;
    case SCHEMA_INT64: return *(const int64_t *)at == field->value;
    case SCHEMA_FLOAT64: return *(const double *)at == 0;
    case SCHEMA_UUID: return uuid_is_zero(*(const struct uuid *)at);
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS: return slice_equal(*(const struct slice *)at, is_null ? SLICE_NULL : SLICE_LITERAL(""));
    case SCHEMA_STRUCT: {
        const void *inner = field->flags & SCHEMA_POINTER ? *(const void *const *)at : at;
        return inner ? !is_null && is_struct_default(field->of, inner) : is_null;
    }
    }
    UNREACHABLE();
}

void codec_init_struct(enum kmsg_struct of, void *at) { set_struct_defaults((uint16_t)of, NULL, at); }

void *codec_new(struct arena *arena, enum kmsg_struct of, size_t count)
{
    size_t size = schema_structs[of].size;
    uint8_t *structs = arena_calloc(arena, count, size);
    for (size_t i = 0; i < count; i++) set_struct_defaults((uint16_t)of, NULL, structs + i * size);
    return structs;
}

void codec_set_defaults(enum kmsg kmsg, void *message)
{
    ASSERT(kmsg < KMSG_COUNT);
    ASSERT(schema_messages[kmsg].version_max >= 0);
    set_struct_defaults(schema_messages[kmsg].root, NULL, message);
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

struct decoder {
    struct reader r;
    struct arena *arena;
    bool is_over_budget;
};

static void decode_struct(struct decoder *d, uint16_t index, uint8_t *base);

static void *take(struct decoder *d, size_t count, size_t size)
{
    size_t total = 0;
    void *memory = NULL;
    if (checked_mul_size(count, size, &total)) memory = arena_try_alloc(d->arena, total);
    if (memory) return memory;
    d->is_over_budget = true;
    reader_fail(&d->r);
    return NULL;
}

/* The length of a string, bytes or array; -1 is null.  Null where there is none, and lengths below -1, fail. */
static int64_t decode_length(struct decoder *d, const struct schema_op *op, bool is_short)
{
    int64_t length;
    if (op->flags & SCHEMA_COMPACT)
        length = (int64_t)reader_uvarint32(&d->r) - 1;
    else
        length = is_short ? reader_i16(&d->r) : reader_i32(&d->r);
    if (length < -1 || (length == -1 && !(op->flags & SCHEMA_NULLABLE))) reader_fail(&d->r);
    return reader_ok(&d->r) ? length : -1;
}

static void decode_slice(struct decoder *d, const struct schema_op *op, struct slice *out)
{
    int64_t length = decode_length(d, op, op->type == SCHEMA_STRING);
    if (op->type == SCHEMA_STRING && length > STRING_MAX) reader_fail(&d->r);
    *out = length < 0 ? SLICE_NULL : reader_bytes(&d->r, (size_t)length);
}

/* A nullable struct outside an array: a byte, negative for null, then the struct. */
static void decode_pointer(struct decoder *d, const struct schema_op *op, void **out)
{
    *out = NULL;
    if ((op->flags & SCHEMA_NULLABLE) && reader_i8(&d->r) < 0) return;
    if (reader_ok(&d->r)) *out = take(d, 1, schema_structs[schema_layouts[op->layout].of].size);
    if (*out) decode_struct(d, op->layout, *out);
}

static void decode_scalar(struct decoder *d, const struct schema_op *op, void *at)
{
    switch ((enum schema_type)op->type) {
    case SCHEMA_BOOL: *(bool *)at = reader_i8(&d->r) != 0; return;
    case SCHEMA_INT8: *(int8_t *)at = reader_i8(&d->r); return;
    case SCHEMA_INT16: *(int16_t *)at = reader_i16(&d->r); return;
    case SCHEMA_UINT16: *(uint16_t *)at = reader_u16(&d->r); return;
    case SCHEMA_INT32: *(int32_t *)at = reader_i32(&d->r); return;
    case SCHEMA_INT64: *(int64_t *)at = reader_i64(&d->r); return;
    case SCHEMA_FLOAT64: {
        int64_t bits = reader_i64(&d->r);
        memcpy(at, &bits, sizeof bits);
        return;
    }
    case SCHEMA_UUID: {
        struct slice bytes = reader_bytes(&d->r, sizeof(struct uuid));
        if (bytes.p) memcpy(at, bytes.p, bytes.n);
        return;
    }
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS: decode_slice(d, op, at); return;
    case SCHEMA_STRUCT:
        if (op->flags & SCHEMA_POINTER)
            decode_pointer(d, op, at);
        else
            decode_struct(d, op->layout, at);
        return;
    }
    UNREACHABLE();
}

/* No element is shorter than this, so that a count can be held against the bytes left before anything is allocated. */
static size_t element_wire_min(const struct schema_op *op)
{
    if (op->type == SCHEMA_STRUCT) return max_size(schema_layouts[op->layout].size_min, 1);
    if (wire_sizes[op->type]) return wire_sizes[op->type];
    return op->flags & SCHEMA_COMPACT ? 1 : 2;
}

static void decode_array(struct decoder *d, const struct schema_op *op, void *at)
{
    int64_t count = decode_length(d, op, false);
    *array_count(at) = count < 0 ? -1 : 0;
    *(void **)at = NULL;
    if (count <= 0) return;
    if (count > ARRAY_COUNT_MAX || (uint64_t)count > d->r.left / element_wire_min(op)) {
        reader_fail(&d->r);
        return;
    }
    size_t size = op_element_size(op);
    uint8_t *elements = take(d, (size_t)count, size);
    const struct schema_op element = op_element(op);
    for (size_t i = 0; i < (size_t)count && reader_ok(&d->r); i++) decode_scalar(d, &element, elements + i * size);
    if (!reader_ok(&d->r)) return;
    *(void **)at = elements;
    *array_count(at) = (int32_t)count;
}

static void decode_field(struct decoder *d, const struct schema_op *op, void *at)
{
    if (op->flags & SCHEMA_ARRAY)
        decode_array(d, op, at);
    else
        decode_scalar(d, op, at);
}

/* A tagged field's value fills its bytes exactly. */
static void decode_tagged(struct decoder *d, const struct schema_op *op, struct slice bytes, void *at)
{
    struct decoder inner = {.r = reader_make(bytes), .arena = d->arena};
    decode_field(&inner, op, at);
    if (!reader_done(&inner.r)) reader_fail(&d->r);
    d->is_over_budget |= inner.is_over_budget;
}

/* Unknown tags are skipped: they are how newer peers extend a version. */
static void decode_tags(struct decoder *d, const struct schema_layout *layout, uint8_t *base)
{
    const struct schema_op *op = &schema_ops[layout->op_first + layout->present];
    const struct schema_op *end = op + layout->tagged;
    uint32_t count = reader_uvarint32(&d->r);
    if (count > TAG_COUNT_MAX || count > d->r.left / 2) reader_fail(&d->r);
    int64_t previous = -1;
    for (uint32_t i = 0; i < count && reader_ok(&d->r); i++) {
        uint32_t tag = reader_uvarint32(&d->r);
        struct slice bytes = reader_bytes(&d->r, reader_uvarint32(&d->r));
        if (tag <= previous) reader_fail(&d->r);
        previous = tag;
        while (op < end && op->tag < tag) op++;
        if (reader_ok(&d->r) && op < end && op->tag == tag) decode_tagged(d, op, bytes, base + op->offset);
    }
}

static void decode_struct(struct decoder *d, uint16_t index, uint8_t *base)
{
    const struct schema_layout *layout = &schema_layouts[index];
    const struct schema_op *op = &schema_ops[layout->op_first];
    const struct schema_op *present_end = op + layout->present, *end = present_end + layout->tagged + layout->absent;
    for (; op < present_end; op++) decode_field(d, op, base + op->offset);
    for (; op < end; op++) field_set_default(&schema_fields[op->field], d->arena, base + op->offset);
    if (layout->is_flexible) decode_tags(d, layout, base);
}

size_t codec_decode_budget(size_t wire_size)
{
    if (wire_size > (DECODE_BYTES_MAX - DECODE_BUDGET_BASE) / DECODE_BUDGET_FACTOR) return DECODE_BYTES_MAX;
    return wire_size * DECODE_BUDGET_FACTOR + DECODE_BUDGET_BASE;
}

enum err codec_decode(enum kmsg kmsg, int16_t version, struct reader *r, struct arena *arena, void *message)
{
    uint16_t layout = message_layout(kmsg, version);
    struct decoder d = {.r = *r, .arena = arena};
    memset(message, 0, codec_struct_size(kmsg));
    decode_struct(&d, layout, message);
    *r = d.r;
    if (reader_ok(r)) return ERR_OK;
    return d.is_over_budget ? ERR_LIMIT : ERR_CORRUPT;
}

enum err codec_decode_exact(enum kmsg kmsg, int16_t version, struct slice bytes, struct arena *arena, void *message)
{
    struct reader r = reader_make(bytes);
    enum err err = codec_decode(kmsg, version, &r, arena, message);
    if (err) return err;
    return reader_done(&r) ? ERR_OK : ERR_CORRUPT;
}

enum err codec_decode_request(enum kmsg kmsg, int16_t version, struct slice bytes, struct arena *arena, void *message)
{
    struct reader r = reader_make(bytes);
    return codec_decode(kmsg, version, &r, arena, message);
}

/* ---- encoding, first pass: measure and check --------------------------------------------------------------------- */

struct sizer {
    size_t bytes;   /* all of it */
    size_t records; /* the part that is records */
    enum err err;   /* sticky */
};

static void size_struct(struct sizer *z, uint16_t index, const uint8_t *base);

static void size_fail(struct sizer *z, enum err err)
{
    if (!z->err) z->err = err;
}

/* `length` -1 is null. */
static void size_length(struct sizer *z, const struct schema_op *op, bool is_short, int64_t length)
{
    if (length < 0 && !(op->flags & SCHEMA_NULLABLE)) size_fail(z, ERR_INVALID);
    if (op->flags & SCHEMA_COMPACT)
        z->bytes += uvarint_size((uint64_t)(length + 1));
    else
        z->bytes += is_short ? 2 : 4;
}

static void size_slice(struct sizer *z, const struct schema_op *op, struct slice s)
{
    bool is_string = op->type == SCHEMA_STRING;
    if (s.n > (is_string ? STRING_MAX : INT32_MAX - 1)) {
        size_fail(z, ERR_LIMIT);
        return;
    }
    size_length(z, op, is_string, slice_is_null(s) ? -1 : (int64_t)s.n);
    z->bytes += s.n;
    if (op->type == SCHEMA_RECORDS) z->records += s.n;
}

static void size_pointer(struct sizer *z, const struct schema_op *op, const void *inner)
{
    if (op->flags & SCHEMA_NULLABLE) z->bytes++;
    if (inner)
        size_struct(z, op->layout, inner);
    else if (!(op->flags & SCHEMA_NULLABLE))
        size_fail(z, ERR_INVALID);
}

static void size_scalar(struct sizer *z, const struct schema_op *op, const void *at)
{
    if (wire_sizes[op->type])
        z->bytes += wire_sizes[op->type];
    else if (op->type != SCHEMA_STRUCT)
        size_slice(z, op, *(const struct slice *)at);
    else if (op->flags & SCHEMA_POINTER)
        size_pointer(z, op, *(const void *const *)at);
    else
        size_struct(z, op->layout, at);
}

static void size_array(struct sizer *z, const struct schema_op *op, const void *at)
{
    const uint8_t *elements = *(const uint8_t *const *)at;
    int32_t count = *array_count_const(at);
    ASSERT(count <= 0 || elements != NULL);
    size_length(z, op, false, count < 0 ? -1 : count);
    if (wire_sizes[op->type] && count > 0) {
        z->bytes += (size_t)count * wire_sizes[op->type];
        return;
    }
    size_t size = op_element_size(op);
    const struct schema_op element = op_element(op);
    for (int32_t i = 0; i < count && !z->err; i++) size_scalar(z, &element, elements + (size_t)i * size);
}

static void size_field(struct sizer *z, const struct schema_op *op, const void *at)
{
    if (op->flags & SCHEMA_ARRAY)
        size_array(z, op, at);
    else
        size_scalar(z, op, at);
}

static void size_tags(struct sizer *z, const struct schema_op *op, const struct schema_op *end, const uint8_t *base)
{
    size_t count = 0;
    for (; op < end; op++) {
        const void *at = base + op->offset;
        if (field_is_default(&schema_fields[op->field], at)) continue;
        size_t before = z->bytes;
        size_field(z, op, at);
        z->bytes += uvarint_size(op->tag) + uvarint_size(z->bytes - before);
        count++;
    }
    z->bytes += uvarint_size(count);
}

static void size_struct(struct sizer *z, uint16_t index, const uint8_t *base)
{
    const struct schema_layout *layout = &schema_layouts[index];
    const struct schema_op *op = &schema_ops[layout->op_first];
    const struct schema_op *present_end = op + layout->present, *tagged_end = present_end + layout->tagged;
    const struct schema_op *end = tagged_end + layout->absent;
    for (; op < present_end; op++) size_field(z, op, base + op->offset);
    if (layout->is_flexible) size_tags(z, present_end, tagged_end, base);
    for (op = tagged_end; op < end; op++) {
        if (!(op->flags & SCHEMA_FORBIDDEN)) continue;
        if (!field_is_default(&schema_fields[op->field], base + op->offset)) size_fail(z, ERR_INVALID);
    }
}

static struct sizer size_message(uint16_t layout, const void *message)
{
    struct sizer z = {0};
    size_struct(&z, layout, message);
    if (z.bytes > INT32_MAX || z.bytes - z.records > ANSWER_BYTES_MAX) size_fail(&z, ERR_LIMIT);
    return z;
}

enum err codec_size(enum kmsg kmsg, int16_t version, const void *message, size_t *size)
{
    struct sizer z = size_message(message_layout(kmsg, version), message);
    *size = z.bytes;
    return z.err;
}

/* ---- encoding, second pass: write what was measured; nothing can fail -------------------------------------------- */

struct encoder {
    uint8_t *at;
    const uint8_t *start;
    size_t before; /* bytes in the writer before `start` */
    codec_records_fn *on_records;
    void *context;
};

static void encode_struct(struct encoder *e, uint16_t index, const uint8_t *base);

static void put_big_endian(struct encoder *e, uint64_t value, size_t n)
{
    for (size_t i = n; i-- > 0; value >>= 8) e->at[i] = (uint8_t)value;
    e->at += n;
}

static void put_signed(struct encoder *e, int64_t value, size_t n) { put_big_endian(e, (uint64_t)value, n); }

static void put_uvarint(struct encoder *e, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) *e->at++ = (uint8_t)(value | 0x80);
    *e->at++ = (uint8_t)value;
}

static void put_length(struct encoder *e, const struct schema_op *op, bool is_short, int64_t length)
{
    if (op->flags & SCHEMA_COMPACT)
        put_uvarint(e, (uint64_t)(length + 1));
    else
        put_signed(e, length, is_short ? 2 : 4);
}

static void encode_slice(struct encoder *e, const struct schema_op *op, struct slice s)
{
    put_length(e, op, op->type == SCHEMA_STRING, slice_is_null(s) ? -1 : (int64_t)s.n);
    if (s.n == 0) return;
    if (op->type == SCHEMA_RECORDS && e->on_records) {
        e->on_records(e->context, e->before + (size_t)(e->at - e->start), s);
        return;
    }
    memcpy(e->at, s.p, s.n);
    e->at += s.n;
}

static void encode_pointer(struct encoder *e, const struct schema_op *op, const void *inner)
{
    if (op->flags & SCHEMA_NULLABLE) put_signed(e, inner ? 1 : -1, 1);
    if (inner) encode_struct(e, op->layout, inner);
}

static void encode_scalar(struct encoder *e, const struct schema_op *op, const void *at)
{
    switch ((enum schema_type)op->type) {
    case SCHEMA_BOOL: put_big_endian(e, *(const bool *)at, 1); return;
    case SCHEMA_INT8: put_signed(e, *(const int8_t *)at, 1); return;
    case SCHEMA_INT16: put_signed(e, *(const int16_t *)at, 2); return;
    case SCHEMA_UINT16: put_big_endian(e, *(const uint16_t *)at, 2); return;
    case SCHEMA_INT32: put_signed(e, *(const int32_t *)at, 4); return;
    case SCHEMA_INT64: put_signed(e, *(const int64_t *)at, 8); return;
    case SCHEMA_FLOAT64: {
        uint64_t bits = 0;
        memcpy(&bits, at, sizeof bits);
        put_big_endian(e, bits, 8);
        return;
    }
    case SCHEMA_UUID:
        memcpy(e->at, at, sizeof(struct uuid));
        e->at += sizeof(struct uuid);
        return;
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS: encode_slice(e, op, *(const struct slice *)at); return;
    case SCHEMA_STRUCT:
        if (op->flags & SCHEMA_POINTER)
            encode_pointer(e, op, *(const void *const *)at);
        else
            encode_struct(e, op->layout, at);
        return;
    }
    UNREACHABLE();
}

static void encode_field(struct encoder *e, const struct schema_op *op, const void *at)
{
    if (!(op->flags & SCHEMA_ARRAY)) {
        encode_scalar(e, op, at);
        return;
    }
    const uint8_t *elements = *(const uint8_t *const *)at;
    int32_t count = *array_count_const(at);
    put_length(e, op, false, count < 0 ? -1 : count);
    size_t size = op_element_size(op);
    const struct schema_op element = op_element(op);
    for (int32_t i = 0; i < count; i++) encode_scalar(e, &element, elements + (size_t)i * size);
}

/* Tagged fields carry their size in front: the one thing that is measured twice. */
static void encode_tags(struct encoder *e, const struct schema_op *op, const struct schema_op *end, const uint8_t *base)
{
    uint8_t *count = e->at++;
    *count = 0;
    for (; op < end; op++) {
        const void *at = base + op->offset;
        if (field_is_default(&schema_fields[op->field], at)) continue;
        struct sizer z = {0};
        size_field(&z, op, at);
        put_uvarint(e, op->tag);
        put_uvarint(e, z.bytes);
        encode_field(e, op, at);
        ++*count;
        ASSERT(*count < 128); /* still a varint of one byte */
    }
}

static void encode_struct(struct encoder *e, uint16_t index, const uint8_t *base)
{
    const struct schema_layout *layout = &schema_layouts[index];
    const struct schema_op *op = &schema_ops[layout->op_first], *end = op + layout->present;
    for (; op < end; op++) encode_field(e, op, base + op->offset);
    if (layout->is_flexible) encode_tags(e, end, end + layout->tagged, base);
}

enum err codec_encode_pieces(enum kmsg kmsg, int16_t version, const void *message, struct writer *w, codec_records_fn *on_records,
                             void *context, size_t *records_bytes)
{
    uint16_t layout = message_layout(kmsg, version);
    struct sizer z = size_message(layout, message);
    if (records_bytes) *records_bytes = z.records;
    if (z.err) return z.err;
    size_t size = on_records ? z.bytes - z.records : z.bytes, before = writer_size(w);
    uint8_t *start = writer_reserve(w, size);
    struct encoder e = {.at = start, .start = start, .before = before, .on_records = on_records, .context = context};
    encode_struct(&e, layout, message);
    ASSERT((size_t)(e.at - start) == size);
    return ERR_OK;
}

enum err codec_encode(enum kmsg kmsg, int16_t version, const void *message, struct writer *w)
{
    return codec_encode_pieces(kmsg, version, message, w, NULL, NULL, NULL);
}
