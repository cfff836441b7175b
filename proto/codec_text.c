/* Messages as text, and random messages: for logs and tests. */
#include "common/checked.h"
#include "proto/codec.h"
#include "proto/codec_fields.h"

#include <stdarg.h>
#include <stdio.h>

#define SHOWN_BYTES_MAX    64 /* of a string */
#define SHOWN_ELEMENTS_MAX 8

/* ---- print ------------------------------------------------------------------------------------------------------- */

struct printer {
    char *out;
    size_t size, used; /* used < size; what does not fit is dropped */
};

static void print_struct(struct printer *p, uint16_t index, const uint8_t *base);

static void print_char(struct printer *p, char c)
{
    if (p->used + 1 < p->size) p->out[p->used++] = c;
}

static void print_text(struct printer *p, const char *text)
{
    while (*text) print_char(p, *text++);
}

static PRINTF_LIKE(2, 3) void print_format(struct printer *p, const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_text(p, text);
}

static void print_string(struct printer *p, struct slice s)
{
    size_t shown = min_size(s.n, SHOWN_BYTES_MAX);
    print_char(p, '"');
    for (size_t i = 0; i < shown; i++) {
        uint8_t c = s.p[i];
        if (c == '"' || c == '\\')
            print_format(p, "\\%c", c);
        else if (c >= 0x20 && c < 0x7f)
            print_char(p, (char)c);
        else
            print_format(p, "\\x%02x", c);
    }
    print_char(p, '"');
    if (shown < s.n) print_format(p, "... %zu bytes", s.n);
}

static void print_slice(struct printer *p, const struct schema_op *op, struct slice s)
{
    if (slice_is_null(s))
        print_text(p, "null");
    else if (op->flags & SCHEMA_SECRET)
        print_text(p, "<hidden>");
    else if (op->type == SCHEMA_STRING)
        print_string(p, s);
    else
        print_format(p, "<%zu bytes>", s.n);
}

static void print_uuid(struct printer *p, const struct uuid *uuid)
{
    char text[UUID_TEXT_SIZE];
    uuid_text(*uuid, text);
    print_text(p, text);
}

static void print_scalar(struct printer *p, const struct schema_op *op, const void *at)
{
    switch ((enum schema_type)op->type) {
    case SCHEMA_BOOL: print_text(p, *(const bool *)at ? "true" : "false"); return;
    case SCHEMA_INT8: print_format(p, "%d", *(const int8_t *)at); return;
    case SCHEMA_INT16: print_format(p, "%d", *(const int16_t *)at); return;
    case SCHEMA_UINT16: print_format(p, "%d", *(const uint16_t *)at); return;
    case SCHEMA_INT32: print_format(p, "%d", *(const int32_t *)at); return;
    case SCHEMA_INT64: print_format(p, "%lld", (long long)*(const int64_t *)at); return;
    case SCHEMA_FLOAT64: print_format(p, "%.17g", *(const double *)at); return;
    case SCHEMA_UUID: print_uuid(p, at); return;
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS: print_slice(p, op, *(const struct slice *)at); return;
    case SCHEMA_STRUCT: {
        const void *inner = op->flags & SCHEMA_POINTER ? *(const void *const *)at : at;
        if (inner)
            print_struct(p, op->layout, inner);
        else
            print_text(p, "null");
        return;
    }
    }
    UNREACHABLE();
}

static void print_array(struct printer *p, const struct schema_op *op, const void *at)
{
    const uint8_t *elements = *(const uint8_t *const *)at;
    int32_t count = *array_count_const(at);
    if (count < 0) {
        print_text(p, "null");
        return;
    }
    const struct schema_op element = op_element(op);
    size_t size = op_element_size(op);
    print_char(p, '[');
    for (int32_t i = 0; i < count && i < SHOWN_ELEMENTS_MAX; i++) {
        if (i) print_text(p, ", ");
        print_scalar(p, &element, elements + (size_t)i * size);
    }
    if (count > SHOWN_ELEMENTS_MAX) print_format(p, ", ... %d in all", count);
    print_char(p, ']');
}

static void print_struct(struct printer *p, uint16_t index, const uint8_t *base)
{
    const struct schema_layout *layout = &schema_layouts[index];
    const char *separator = "";
    print_char(p, '{');
    for (uint32_t i = 0; i < (uint32_t)layout->present + layout->tagged; i++) {
        const struct schema_op *op = &schema_ops[layout->op_first + i];
        const struct schema_field *field = &schema_fields[op->field];
        const void *at = base + op->offset;
        if (i >= layout->present && field_is_default(field, at)) continue;
        print_text(p, separator);
        print_text(p, schema_text + field->name);
        print_text(p, ": ");
        if (op->flags & SCHEMA_ARRAY)
            print_array(p, op, at);
        else
            print_scalar(p, op, at);
        separator = ", ";
    }
    print_char(p, '}');
}

size_t codec_print(enum kmsg kmsg, int16_t version, const void *message, char *out, size_t size)
{
    ASSERT(size > 0);
    struct printer p = {.out = out, .size = size};
    print_struct(&p, message_layout(kmsg, version), message);
    out[p.used] = '\0';
    return p.used;
}

/* ---- randomize --------------------------------------------------------------------------------------------------- */

struct randomizer {
    struct prng *prng;
    struct arena *arena;
};

static void randomize_struct(struct randomizer *z, uint16_t index, uint8_t *base);

static struct slice random_slice(struct randomizer *z, const struct schema_op *op)
{
    if ((op->flags & SCHEMA_NULLABLE) && prng_chance(z->prng, 1, 4)) return SLICE_NULL;
    size_t n = prng_below(z->prng, prng_chance(z->prng, 1, 16) ? 300 : 12);
    uint8_t *bytes = arena_alloc(z->arena, n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(op->type == SCHEMA_STRING ? prng_range(z->prng, 'a', 'z') : (int64_t)prng_next(z->prng) & 0xff);
    return slice_make(bytes, n);
}

static void randomize_pointer(struct randomizer *z, const struct schema_op *op, void **out)
{
    *out = NULL;
    if ((op->flags & SCHEMA_NULLABLE) && prng_chance(z->prng, 1, 3)) return;
    *out = arena_alloc(z->arena, schema_structs[schema_layouts[op->layout].of].size);
    randomize_struct(z, op->layout, *out);
}

static void random_uuid(struct prng *prng, struct uuid *out)
{
    for (size_t i = 0; i < sizeof out->bytes; i++) out->bytes[i] = (uint8_t)prng_next(prng);
}

static void randomize_scalar(struct randomizer *z, const struct schema_op *op, void *at)
{
    uint64_t value = prng_next(z->prng);
    switch ((enum schema_type)op->type) {
    case SCHEMA_BOOL: *(bool *)at = value & 1; return;
    case SCHEMA_INT8: *(int8_t *)at = (int8_t)value; return;
    case SCHEMA_INT16: *(int16_t *)at = (int16_t)value; return;
    case SCHEMA_UINT16: *(uint16_t *)at = (uint16_t)value; return;
    case SCHEMA_INT32: *(int32_t *)at = (int32_t)value; return;
    case SCHEMA_INT64: *(int64_t *)at = (int64_t)value; return;
    case SCHEMA_FLOAT64: *(double *)at = (double)(int64_t)value / 1024; return;
    case SCHEMA_UUID: random_uuid(z->prng, at); return;
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS: *(struct slice *)at = random_slice(z, op); return;
    case SCHEMA_STRUCT:
        if (op->flags & SCHEMA_POINTER)
            randomize_pointer(z, op, at);
        else
            randomize_struct(z, op->layout, at);
        return;
    }
    UNREACHABLE();
}

static void randomize_array(struct randomizer *z, const struct schema_op *op, void *at)
{
    *(void **)at = NULL;
    bool is_null = (op->flags & SCHEMA_NULLABLE) && prng_chance(z->prng, 1, 4);
    bool is_long = op->type != SCHEMA_STRUCT && prng_chance(z->prng, 1, 32);
    int32_t count = is_null ? -1 : (int32_t)prng_below(z->prng, is_long ? 200 : 4);
    *array_count(at) = count;
    if (count <= 0) return;
    size_t size = op_element_size(op);
    uint8_t *elements = arena_calloc(z->arena, (size_t)count, size);
    const struct schema_op element = op_element(op);
    for (int32_t i = 0; i < count; i++) randomize_scalar(z, &element, elements + (size_t)i * size);
    *(void **)at = elements;
}

static void randomize_struct(struct randomizer *z, uint16_t index, uint8_t *base)
{
    const struct schema_layout *layout = &schema_layouts[index];
    for (uint32_t i = 0; i < (uint32_t)layout->present + layout->tagged + layout->absent; i++) {
        const struct schema_op *op = &schema_ops[layout->op_first + i];
        void *at = base + op->offset;
        bool is_kept = i >= layout->present && (i >= layout->present + layout->tagged || prng_chance(z->prng, 1, 2));
        if (is_kept)
            field_set_default(&schema_fields[op->field], z->arena, at);
        else if (op->flags & SCHEMA_ARRAY)
            randomize_array(z, op, at);
        else
            randomize_scalar(z, op, at);
    }
}

void codec_randomize(enum kmsg kmsg, int16_t version, struct prng *prng, struct arena *arena, void *message)
{
    struct randomizer z = {.prng = prng, .arena = arena};
    memset(message, 0, codec_struct_size(kmsg));
    randomize_struct(&z, message_layout(kmsg, version), message);
}
