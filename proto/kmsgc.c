/* kmsgc: the schema compiler.  Reads proto/schema/NAME.kmsg and writes one header (a struct for every message and nested
 * struct, enum kmsg, enum api_key) and one source of constant tables (proto/schema.h) that proto/codec.c interprets.
 *
 *     kmsgc OUTPREFIX FILES...
 *
 * The grammar, by example (two spaces of indentation per level; README.md has all of it):
 *
 *     // A comment belongs to the line below it.
 *     FetchRequest => request 1, versions 4-18, flexible 12+
 *       struct Shared                           a shape used by several fields of this message
 *         Id: int32
 *       ClusterId: string? = null, v12+, tag 0, ignorable
 *       Topics: [=>]                            an array of the struct that follows
 *         TopicId: uuid, v13+
 *         Owners: [Shared]?14+                  may be null from version 14
 *
 * A program that runs for an instant at build time: memory is not freed, and the first error ends it. */
#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NORETURN          __attribute__((noreturn))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum {
    VERSION_MAX = 32767,
    MESSAGES_MAX = 512,
    STRUCTS_MAX = 2048,
    FIELDS_MAX = 8192,
    LAYOUTS_MAX = 8192,
    OPS_MAX = 60000,
    VERSION_LAYOUTS_MAX = 4096,
    FIELDS_PER_STRUCT_MAX = 250,
    DEPTH_MAX = 16,
    KEY_MAX = 512,
    NONE = -1
};

enum type { T_BOOL, T_INT8, T_INT16, T_UINT16, T_INT32, T_INT64, T_FLOAT64, T_UUID, T_STRING, T_BYTES, T_RECORDS, T_STRUCT, T_COUNT };

static const struct type_info {
    const char *name, *c_type, *tag;
    int wire_min; /* smallest encoding; variable-size types add what their length costs */
} types[T_COUNT] = {
    {"bool", "bool", "BOOL", 1},
    {"int8", "int8_t", "INT8", 1},
    {"int16", "int16_t", "INT16", 2},
    {"uint16", "uint16_t", "UINT16", 2},
    {"int32", "int32_t", "INT32", 4},
    {"int64", "int64_t", "INT64", 8},
    {"float64", "double", "FLOAT64", 8},
    {"uuid", "struct uuid", "UUID", 16},
    {"string", "struct slice", "STRING", 2},
    {"bytes", "struct slice", "BYTES", 4},
    {"records", "struct slice", "RECORDS", 4},
    {"=>", NULL, "STRUCT", 0},
};

enum kind { REQUEST, RESPONSE, HEADER, DATA, METADATA, COORDINATOR_KEY, COORDINATOR_VALUE, KIND_COUNT };
static const struct kind_info {
    const char *name, *tag;
    bool has_key;
} kinds[KIND_COUNT] = {
    {"request", "REQUEST", true},
    {"response", "RESPONSE", true},
    {"header", "HEADER", false},
    {"data", "DATA", false},
    {"metadata", "METADATA", true},
    {"coordinator-key", "COORDINATOR_KEY", true},
    {"coordinator-value", "COORDINATOR_VALUE", true},
};

/* Inclusive; empty when min > max. */
struct versions {
    int min, max;
};

struct field {
    const char *name, *snake, *comment;
    const char *file;
    int line;
    enum type type;
    int of; /* T_STRUCT: its struct */
    bool is_array, is_ignorable, is_classic, is_secret, is_default_null;
    long long value; /* the default of numbers and bools */
    int tag;
    struct versions present, nullable;
    int next;   /* in its struct */
    int number; /* in the table */
};

/* A message's body, a nested struct, or a shared one. */
struct node {
    const char *name, *snake, *c_name, *comment;
    int parent; /* NONE for a body; the body for a shared struct */
    int message;
    struct versions present;
    int first, last, field_count;
    int first_number;
};

struct message {
    const char *name, *snake, *comment, *file;
    int line;
    enum kind kind;
    int key;
    struct versions versions, flexible;
    bool is_latest_unstable;
    int root;            /* NONE when no version is left */
    int version_layouts; /* index of the first version's layout */
};

/* A field at one version. */
struct op {
    int field, layout, tag;
    bool is_nullable, is_compact, is_forbidden;
};

/* A struct at one version, shared by all versions that look alike: fields in wire order, tagged fields by tag, absent fields. */
struct layout {
    int of, ops, present, tagged, absent, size_min;
    bool is_flexible;
};

static struct compiler {
    struct message messages[MESSAGES_MAX];
    struct node nodes[STRUCTS_MAX];
    struct field fields[FIELDS_MAX];
    struct layout layouts[LAYOUTS_MAX];
    struct op ops[OPS_MAX];
    int version_layouts[VERSION_LAYOUTS_MAX];
    int message_count, node_count, field_count, layout_count, op_count, version_layout_count;
    int requests[KEY_MAX], responses[KEY_MAX];
} c;

/* The line being parsed, and where fields of each depth go. */
static struct parser {
    const char *file;
    int line;
    const char *at;
    const char *comment; /* of the lines just above */
    int message;
    int open[DEPTH_MAX]; /* struct that takes the fields of this depth */
    int depth_max;       /* deepest indentation that may follow */
} p;

/* ---- errors, memory, text ---------------------------------------------------------------------------------------- */

static NORETURN PRINTF_LIKE(3, 4) void fail_at(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: error: ", file, line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}
#define FAIL(...) fail_at(p.file, p.line, __VA_ARGS__)

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) {
        fprintf(stderr, "kmsgc: out of memory\n");
        exit(1);
    }
    return memory;
}

static int take(int *count, int max, const char *what)
{
    if (*count == max) FAIL("more than %d %s: raise the limit in kmsgc.c", max, what);
    return (*count)++;
}

static char *copy_text(const char *text, size_t size)
{
    char *copy = allocate(size + 1);
    memcpy(copy, text, size);
    return copy;
}

static PRINTF_LIKE(1, 2) char *format_text(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof text) FAIL("name too long");
    return copy_text(text, (size_t)n);
}

/* TopicId -> topic_id, KRaftVersion -> k_raft_version, V3AndBelow -> v3_and_below. */
static char *to_snake(const char *name)
{
    char *out = allocate(2 * strlen(name) + 1), *o = out;
    for (const char *n = name; *n; n++) {
        bool is_upper = isupper((unsigned char)*n) != 0;
        bool is_start = n > name && is_upper && (!isupper((unsigned char)n[-1]) || islower((unsigned char)n[1]));
        if (is_start) *o++ = '_';
        *o++ = (char)tolower((unsigned char)*n);
    }
    return out;
}

static char *to_upper(const char *text)
{
    char *out = copy_text(text, strlen(text));
    for (char *o = out; *o; o++) *o = (char)toupper((unsigned char)*o);
    return out;
}

/* ---- versions ---------------------------------------------------------------------------------------------------- */

static bool is_empty(struct versions v) { return v.min > v.max; }
static bool has_version(struct versions v, int version) { return v.min <= version && version <= v.max; }
static struct versions no_versions(void) { return (struct versions){1, 0}; }
static struct versions intersect(struct versions a, struct versions b)
{
    return (struct versions){a.min > b.min ? a.min : b.min, a.max < b.max ? a.max : b.max};
}

/* ---- the line cursor --------------------------------------------------------------------------------------------- */

static void skip_spaces(void)
{
    while (*p.at == ' ') p.at++;
}

static bool accept(const char *text)
{
    skip_spaces();
    size_t n = strlen(text);
    if (strncmp(p.at, text, n) != 0) return false;
    if (isalpha((unsigned char)text[n - 1]) && isalpha((unsigned char)p.at[n])) return false;
    p.at += n;
    return true;
}

static void expect(const char *text)
{
    if (!accept(text)) FAIL("expected '%s' before '%s'", text, p.at);
}

static void expect_end(void)
{
    skip_spaces();
    if (*p.at) FAIL("unexpected '%s'", p.at);
}

static char *parse_name(void)
{
    skip_spaces();
    const char *start = p.at;
    while (isalnum((unsigned char)*p.at) || *p.at == '-') p.at++;
    if (p.at == start) FAIL("expected a name before '%s'", p.at);
    return copy_text(start, (size_t)(p.at - start));
}

static long long parse_number(long long min, long long max)
{
    skip_spaces();
    char *end = NULL;
    long long value = strtoll(p.at, &end, 0);
    if (end == p.at) FAIL("expected a number before '%s'", p.at);
    if (value < min || value > max) FAIL("%lld is not in %lld..%lld", value, min, max);
    p.at = end;
    return value;
}

/* 4 | 4+ | 4-18 */
static struct versions parse_versions(void)
{
    int min = (int)parse_number(0, VERSION_MAX - 1);
    if (accept("+")) return (struct versions){min, VERSION_MAX};
    if (!accept("-")) return (struct versions){min, min};
    return (struct versions){min, (int)parse_number(min, VERSION_MAX - 1)};
}

/* ---- parsing ----------------------------------------------------------------------------------------------------- */

static int add_node(const char *name, int parent, struct versions present)
{
    int index = take(&c.node_count, STRUCTS_MAX, "structs");
    c.nodes[index] = (struct node){.name = name,
                                   .snake = to_snake(name),
                                   .parent = parent,
                                   .message = p.message,
                                   .present = present,
                                   .first = NONE,
                                   .last = NONE,
                                   .comment = p.comment};
    return index;
}

static void parse_kind(struct message *m)
{
    char *name = parse_name();
    for (int k = 0; k < KIND_COUNT; k++) {
        if (strcmp(name, kinds[k].name) != 0) continue;
        m->kind = (enum kind)k;
        m->key = kinds[k].has_key ? (int)parse_number(0, KEY_MAX - 1) : NONE;
        return;
    }
    FAIL("unknown kind of message '%s'", name);
}

static void register_api(int index)
{
    const struct message *m = &c.messages[index];
    if (m->kind != REQUEST && m->kind != RESPONSE) return;
    int *slot = m->kind == REQUEST ? &c.requests[m->key] : &c.responses[m->key];
    if (*slot != NONE) FAIL("%s: key %d is taken by %s", m->name, m->key, c.messages[*slot].name);
    *slot = index;
}

/* NAME => KIND [KEY], versions RANGE|none [, flexible N+] [, latest unstable] */
static void parse_message(void)
{
    char *name = parse_name();
    for (int i = 0; i < c.message_count; i++) {
        if (strcmp(c.messages[i].name, name) == 0) FAIL("%s is defined twice", name);
    }
    p.message = take(&c.message_count, MESSAGES_MAX, "messages");
    struct message *m = &c.messages[p.message];
    *m = (struct message){.name = name,
                          .snake = to_snake(name),
                          .comment = p.comment,
                          .file = p.file,
                          .line = p.line,
                          .versions = no_versions(),
                          .flexible = no_versions(),
                          .root = NONE,
                          .version_layouts = NONE};
    expect("=>");
    parse_kind(m);
    expect(",");
    expect("versions");
    if (!accept("none")) m->versions = parse_versions();
    if (m->versions.max == VERSION_MAX) FAIL("the versions of a message have an end");
    while (accept(",")) {
        if (accept("flexible")) {
            m->flexible = intersect(parse_versions(), m->versions);
            if (is_empty(m->flexible)) FAIL("flexible versions are outside the message's versions");
        } else {
            expect("latest unstable");
            m->is_latest_unstable = true;
        }
    }
    expect_end();
    register_api(p.message);
    p.depth_max = 0;
    if (is_empty(m->versions)) return;
    m->root = p.open[1] = add_node(name, NONE, m->versions);
    p.depth_max = 1;
}

/* struct NAME [, vRANGE] */
static void parse_shared_struct(int depth)
{
    if (depth != 1) FAIL("a shared struct is defined directly in its message");
    const struct node *body = &c.nodes[p.open[1]];
    if (body->field_count) FAIL("shared structs come before the fields");
    char *name = parse_name();
    struct versions present = body->present;
    if (accept(",")) {
        expect("v");
        present = intersect(parse_versions(), present);
    }
    expect_end();
    p.open[2] = add_node(name, p.open[1], present);
    p.depth_max = 2;
}

static int find_shared_struct(const char *name)
{
    for (int i = c.messages[p.message].root + 1; i < c.node_count; i++) {
        if (c.nodes[i].parent == c.messages[p.message].root && strcmp(c.nodes[i].name, name) == 0) return i;
    }
    FAIL("unknown type '%s'", name);
}

/* TYPE | [TYPE], where TYPE is a scalar, => or a shared struct's name. */
static void parse_type(struct field *f)
{
    f->is_array = accept("[");
    f->type = T_STRUCT;
    f->of = NONE;
    if (!accept("=>")) {
        char *name = parse_name();
        int t = 0;
        while (t < T_STRUCT && strcmp(types[t].name, name) != 0) t++;
        f->type = (enum type)t;
        if (f->type == T_STRUCT) f->of = find_shared_struct(name);
    }
    if (f->is_array) expect("]");
}

static void parse_default(struct field *f)
{
    static const struct {
        long long min, max;
    } ranges[] = {[T_BOOL] = {0, 1},
                  [T_INT8] = {-128, 127},
                  [T_INT16] = {-32768, 32767},
                  [T_UINT16] = {0, 65535},
                  [T_INT32] = {-2147483647LL - 1, 2147483647LL},
                  [T_INT64] = {-9223372036854775807LL - 1, 9223372036854775807LL}};
    if (accept("null")) {
        if (is_empty(f->nullable)) FAIL("%s cannot be null", f->name);
        f->is_default_null = true;
    } else if (f->is_array || f->type > T_INT64) {
        FAIL("%s: only null can be the default of this type", f->name);
    } else if (accept("true")) {
        if (f->type != T_BOOL) FAIL("%s is not a bool", f->name);
        f->value = 1;
    } else {
        f->value = parse_number(ranges[f->type].min, ranges[f->type].max);
    }
}

static void parse_attribute(struct field *f, struct versions parent)
{
    if (accept("ignorable")) {
        f->is_ignorable = true;
    } else if (accept("classic")) {
        f->is_classic = true;
    } else if (accept("secret")) {
        f->is_secret = true;
    } else if (accept("tag")) {
        f->tag = (int)parse_number(0, 9999);
    } else {
        expect("v");
        struct versions given = parse_versions();
        f->present = intersect(given, parent);
        if (is_empty(f->present)) FAIL("%s: versions outside those of the struct around it", f->name);
    }
}

static void check_field(const struct node *s, const struct field *f)
{
    const struct message *m = &c.messages[s->message];
    bool can_be_null = f->is_array || f->type >= T_STRING;
    if (!is_empty(f->nullable) && !can_be_null) FAIL("%s: %s cannot be null", f->name, types[f->type].name);
    if (f->is_array && (f->type == T_BYTES || f->type == T_RECORDS)) FAIL("%s: no arrays of %s", f->name, types[f->type].name);
    if (f->tag != NONE && f->present.min < m->flexible.min) FAIL("%s: a tagged field needs flexible versions", f->name);
    if (f->tag != NONE && f->type == T_RECORDS) FAIL("%s: records cannot be tagged", f->name);
    for (int i = s->first; i != NONE; i = c.fields[i].next) {
        if (strcmp(c.fields[i].snake, f->snake) == 0) FAIL("%s is defined twice", f->name);
        if (f->tag != NONE && c.fields[i].tag == f->tag) FAIL("tag %d is taken by %s", f->tag, c.fields[i].name);
    }
}

static void append_field(struct node *s, int index)
{
    if (s->first == NONE)
        s->first = index;
    else
        c.fields[s->last].next = index;
    s->last = index;
    if (++s->field_count > FIELDS_PER_STRUCT_MAX) FAIL("more than %d fields", FIELDS_PER_STRUCT_MAX);
}

/* NAME: TYPE[?[RANGE]] [= DEFAULT] {, ATTRIBUTE} */
static void parse_field(int depth)
{
    struct node *s = &c.nodes[p.open[depth]];
    int index = take(&c.field_count, FIELDS_MAX, "fields");
    struct field *f = &c.fields[index];
    *f = (struct field){.name = parse_name(),
                        .comment = p.comment,
                        .file = p.file,
                        .line = p.line,
                        .tag = NONE,
                        .next = NONE,
                        .present = s->present,
                        .nullable = no_versions()};
    f->snake = to_snake(f->name);
    expect(":");
    parse_type(f);
    if (accept("?")) {
        f->nullable = (struct versions){0, VERSION_MAX};
        if (isdigit((unsigned char)*p.at)) f->nullable = parse_versions();
    }
    if (accept("=")) parse_default(f);
    while (accept(",")) parse_attribute(f, s->present);
    expect_end();
    f->nullable = intersect(f->nullable, f->present);
    check_field(s, f);
    append_field(s, index);
    p.depth_max = depth;
    if (f->type == T_STRUCT && f->of == NONE) {
        if (depth + 1 == DEPTH_MAX) FAIL("structs nest too deep");
        f->of = p.open[depth + 1] = add_node(f->name, p.open[depth], f->present);
        p.depth_max = depth + 1;
    }
}

static void parse_comment(const char *text)
{
    while (*text == ' ') text++;
    p.comment = p.comment ? format_text("%s %s", p.comment, text) : copy_text(text, strlen(text));
}

static void parse_line(char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
    size_t spaces = strspn(line, " ");
    p.at = line + spaces;
    if (!*p.at) return;
    if (strncmp(p.at, "//", 2) == 0) {
        parse_comment(p.at + 2);
        return;
    }
    if (strchr(p.at, '\t')) FAIL("indent with spaces");
    int depth = (int)(spaces / 2);
    if (spaces % 2) FAIL("indent by two spaces");
    if (depth > p.depth_max) FAIL("indented too deep");
    if (depth == 0)
        parse_message();
    else if (accept("struct "))
        parse_shared_struct(depth);
    else
        parse_field(depth);
    p.comment = NULL;
}

static void parse_file(const char *path)
{
    char line[512];
    FILE *file = fopen(path, "r");
    p = (struct parser){.file = path};
    if (!file) FAIL("cannot open");
    while (fgets(line, sizeof line, file)) {
        p.line++;
        if (!strchr(line, '\n') && !feof(file)) FAIL("line too long");
        parse_line(line);
    }
    if (ferror(file)) FAIL("cannot read");
    fclose(file);
}

/* ---- names, numbers, whole-input checks -------------------------------------------------------------------------- */

static bool is_snake_shared(int index)
{
    for (int i = 0; i < c.node_count; i++) {
        bool is_rival = i != index && c.nodes[i].message == c.nodes[index].message && c.nodes[i].parent != NONE;
        if (is_rival && strcmp(c.nodes[i].snake, c.nodes[index].snake) == 0) return true;
    }
    return false;
}

/* The path of fields from the message's body, joined by '_'. */
static const char *path_of(int index)
{
    const struct node *s = &c.nodes[index];
    if (s->parent == NONE || c.nodes[s->parent].parent == NONE) return s->snake;
    return format_text("%s_%s", path_of(s->parent), s->snake);
}

static void name_structs(void)
{
    for (int i = 0; i < c.node_count; i++) {
        struct node *s = &c.nodes[i];
        const char *message = c.messages[s->message].snake;
        if (s->parent == NONE)
            s->c_name = message;
        else
            s->c_name = format_text("%s_%s", message, is_snake_shared(i) ? path_of(i) : s->snake);
    }
    for (int i = 0; i < c.node_count; i++) {
        for (int j = 0; j < i; j++) {
            const struct message *m = &c.messages[c.nodes[i].message];
            if (strcmp(c.nodes[i].c_name, c.nodes[j].c_name) == 0) {
                fail_at(m->file, m->line, "two structs are called %s", c.nodes[i].c_name);
            }
        }
    }
}

static void number_fields(void)
{
    int number = 0;
    for (int i = 0; i < c.node_count; i++) {
        c.nodes[i].first_number = number;
        for (int f = c.nodes[i].first; f != NONE; f = c.fields[f].next) c.fields[f].number = number++;
    }
}

static void check_apis(void)
{
    for (int key = 0; key < KEY_MAX; key++) {
        if (c.requests[key] == NONE && c.responses[key] == NONE) continue;
        bool is_pair = c.requests[key] != NONE && c.responses[key] != NONE;
        const struct message *m = &c.messages[c.requests[key] != NONE ? c.requests[key] : c.responses[key]];
        if (!is_pair) fail_at(m->file, m->line, "key %d has a request or a response only", key);
        const struct message *r = &c.messages[c.responses[key]];
        bool is_same = m->versions.min == r->versions.min && m->versions.max == r->versions.max && m->flexible.min == r->flexible.min;
        if (!is_same) fail_at(r->file, r->line, "versions differ from those of %s", m->name);
    }
}

/* ---- layouts: each struct at each version ------------------------------------------------------------------------ */

static bool is_same_op(const struct op *a, const struct op *b)
{
    return a->field == b->field && a->layout == b->layout && a->tag == b->tag && a->is_nullable == b->is_nullable &&
           a->is_compact == b->is_compact && a->is_forbidden == b->is_forbidden;
}

static bool is_same_layout(const struct layout *a, const struct layout *b)
{
    bool is_same =
        a->of == b->of && a->present == b->present && a->tagged == b->tagged && a->absent == b->absent && a->is_flexible == b->is_flexible;
    for (int i = 0; is_same && i < a->present + a->tagged + a->absent; i++) {
        is_same = is_same_op(&c.ops[a->ops + i], &c.ops[b->ops + i]);
    }
    return is_same;
}

static int op_size_min(const struct op *op)
{
    const struct field *f = &c.fields[op->field];
    if (f->is_array) return op->is_compact ? 1 : 4;
    if (f->type == T_STRUCT) return is_empty(f->nullable) ? c.layouts[op->layout].size_min : 1;
    if (f->type >= T_STRING && op->is_compact) return 1;
    return types[f->type].wire_min;
}

static struct op make_op(const struct field *f, int field, int version, bool is_flexible, int layout)
{
    return (struct op){.field = field,
                       .layout = layout,
                       .tag = f->tag,
                       .is_nullable = has_version(f->nullable, version),
                       .is_compact = is_flexible && !f->is_classic,
                       .is_forbidden = !has_version(f->present, version) && !f->is_ignorable};
}

enum group { PRESENT, TAGGED, ABSENT };

/* Adds the ops of one group; returns how many.  Tags are kept in order because the wire has them in order. */
static int add_group(int node, int version, bool is_flexible, enum group group, const int *child_layouts)
{
    int start = c.op_count, n = 0;
    for (int i = c.nodes[node].first; i != NONE; i = c.fields[i].next, n++) {
        const struct field *f = &c.fields[i];
        bool is_present = has_version(f->present, version);
        enum group own = !is_present ? ABSENT : f->tag != NONE ? TAGGED : PRESENT;
        if (own != group) continue;
        int at = take(&c.op_count, OPS_MAX, "field versions");
        for (; group == TAGGED && at > start && c.ops[at - 1].tag > f->tag; at--) c.ops[at] = c.ops[at - 1];
        c.ops[at] = make_op(f, i, version, is_flexible, is_present ? child_layouts[n] : 0);
    }
    return c.op_count - start;
}

static int find_or_keep(const struct layout *new)
{
    for (int i = c.layout_count - 1; i >= 0; i--) {
        if (!is_same_layout(&c.layouts[i], new)) continue;
        c.op_count = new->ops;
        return i;
    }
    int index = take(&c.layout_count, LAYOUTS_MAX, "layouts");
    c.layouts[index] = *new;
    return index;
}

/* The depth is that of the schema, not of any input. */
static int layout_of(int node, int version, bool is_flexible)
{
    int child_layouts[FIELDS_PER_STRUCT_MAX] = {0}, n = 0;
    for (int i = c.nodes[node].first; i != NONE; i = c.fields[i].next, n++) {
        const struct field *f = &c.fields[i];
        if (f->type == T_STRUCT && has_version(f->present, version)) child_layouts[n] = layout_of(f->of, version, is_flexible);
    }
    struct layout new = {.of = node, .ops = c.op_count, .is_flexible = is_flexible, .size_min = is_flexible ? 1 : 0};
    new.present = add_group(node, version, is_flexible, PRESENT, child_layouts);
    new.tagged = add_group(node, version, is_flexible, TAGGED, child_layouts);
    new.absent = add_group(node, version, is_flexible, ABSENT, child_layouts);
    for (int i = 0; i < new.present; i++) new.size_min += op_size_min(&c.ops[new.ops + i]);
    return find_or_keep(&new);
}

static void resolve_layouts(void)
{
    for (int i = 0; i < c.message_count; i++) {
        struct message *m = &c.messages[i];
        m->version_layouts = c.version_layout_count;
        for (int version = m->versions.min; version <= m->versions.max; version++) {
            int slot = take(&c.version_layout_count, VERSION_LAYOUTS_MAX, "message versions");
            c.version_layouts[slot] = layout_of(m->root, version, has_version(m->flexible, version));
        }
    }
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

static void write_comment(FILE *out, int indent, const char *comment)
{
    if (comment) fprintf(out, "%*s/* %s */\n", indent, "", comment);
}

static void write_member(FILE *out, const struct field *f)
{
    write_comment(out, 4, f->comment);
    const char *star = f->is_array || (f->type == T_STRUCT && !is_empty(f->nullable)) ? "*" : "";
    if (f->type == T_STRUCT)
        fprintf(out, "    struct %s %s%s;\n", c.nodes[f->of].c_name, star, f->snake);
    else
        fprintf(out, "    %s %s%s;\n", types[f->type].c_type, star, f->snake);
    if (f->is_array) fprintf(out, "    int32_t %s_count;\n", f->snake);
}

/* Inner structs first: a field's struct is always numbered above the struct around it, or shared and written before. */
static void write_struct(FILE *out, int index, bool *is_written)
{
    const struct node *s = &c.nodes[index];
    if (is_written[index]) return;
    is_written[index] = true;
    for (int i = s->first; i != NONE; i = c.fields[i].next) {
        if (c.fields[i].type == T_STRUCT) write_struct(out, c.fields[i].of, is_written);
    }
    write_comment(out, 0, s->comment);
    fprintf(out, "struct %s {\n", s->c_name);
    for (int i = s->first; i != NONE; i = c.fields[i].next) write_member(out, &c.fields[i]);
    if (!s->field_count) fprintf(out, "    char empty; /* C has no empty structs */\n");
    fprintf(out, "};\n");
}

static size_t api_name_size(const struct message *m) { return strlen(m->name) - strlen("Request"); }

static void write_enums(FILE *out)
{
    fprintf(out, "enum kmsg {\n");
    for (int i = 0; i < c.message_count; i++) fprintf(out, "    KMSG_%s,\n", to_upper(c.messages[i].snake));
    fprintf(out, "    KMSG_COUNT\n};\n\nenum api_key {\n");
    int last = 0;
    for (int key = 0; key < KEY_MAX; key++) {
        if (c.requests[key] == NONE) continue;
        const struct message *m = &c.messages[c.requests[key]];
        fprintf(out, "    API_%s = %d,\n", to_upper(to_snake(copy_text(m->name, api_name_size(m)))), key);
        last = key;
    }
    fprintf(
        out,
        "    API_KEY_COUNT = %d\n};\n\n/* Every struct by its name, for CODEC_NEW and CODEC_INIT (proto/codec.h). */\nenum kmsg_struct {\n",
        last + 1);
    for (int i = 0; i < c.node_count; i++) fprintf(out, "    KMSG_STRUCT_%s,\n", c.nodes[i].c_name);
    fprintf(out, "};\n\n");
}

static void write_header(FILE *out)
{
    static bool is_written[STRUCTS_MAX];
    fprintf(out, "/* Made by kmsgc from proto/schema: Kafka's messages as structs.\n"
                 " * A slice with p == NULL is null, an array with count -1 is null, a NULL struct pointer is null. */\n"
                 "#ifndef SKIFF_GEN_KMSG_H\n#define SKIFF_GEN_KMSG_H\n\n"
                 "#include \"common/slice.h\"\n#include \"common/uuid.h\"\n\n#include <stdbool.h>\n#include <stdint.h>\n\n");
    write_enums(out);
    for (int i = 0; i < c.node_count; i++) write_struct(out, i, is_written);
    fprintf(out, "\n#endif\n");
}

/* ---- the tables -------------------------------------------------------------------------------------------------- */

/* Names live in one text so that the tables hold no pointers and need no relocation. */
static int write_text(FILE *out, const char *text, size_t size)
{
    static int used = 1; /* offset 0 is the empty name */
    int at = used;
    fprintf(out, "    \"%.*s\\0\"\n", (int)size, text);
    used += (int)size + 1;
    return at;
}

static int message_names[MESSAGES_MAX], field_names[FIELDS_MAX], api_names[KEY_MAX];

static void write_texts(FILE *out)
{
    fprintf(out, "const char schema_text[] =\n    \"\\0\"\n");
    for (int i = 0; i < c.message_count; i++) {
        const struct message *m = &c.messages[i];
        message_names[i] = write_text(out, m->name, strlen(m->name));
        if (m->kind == REQUEST) api_names[m->key] = write_text(out, m->name, api_name_size(m));
    }
    for (int i = 0; i < c.field_count; i++) field_names[i] = write_text(out, c.fields[i].snake, strlen(c.fields[i].snake));
    fprintf(out, "    ;\n\n");
}

static void write_flags(FILE *out, const struct field *f, const struct op *op)
{
    fprintf(out, "0");
    if (f->is_array) fprintf(out, " | SCHEMA_ARRAY");
    if (f->type == T_STRUCT && !f->is_array && !is_empty(f->nullable)) fprintf(out, " | SCHEMA_POINTER");
    if (f->is_default_null) fprintf(out, " | SCHEMA_NULL_DEFAULT");
    if (f->is_secret) fprintf(out, " | SCHEMA_SECRET");
    if (op && op->is_nullable) fprintf(out, " | SCHEMA_NULLABLE");
    if (op && op->is_compact) fprintf(out, " | SCHEMA_COMPACT");
    if (op && op->is_forbidden) fprintf(out, " | SCHEMA_FORBIDDEN");
}

static void write_structs(FILE *out)
{
    fprintf(out, "const struct schema_struct schema_structs[] = {\n");
    for (int i = 0; i < c.node_count; i++) {
        const struct node *s = &c.nodes[i];
        fprintf(out, "    {sizeof(struct %s), %d, %d},\n", s->c_name, s->first_number, s->field_count);
    }
    fprintf(out, "};\n\nconst struct schema_field schema_fields[] = {\n");
    for (int i = 0; i < c.node_count; i++) {
        for (int j = c.nodes[i].first; j != NONE; j = c.fields[j].next) {
            const struct field *f = &c.fields[j];
            fprintf(out, "    {%lldLL%s, %d, offsetof(struct %s, %s), %d, SCHEMA_%s, ",
                    f->value == -9223372036854775807LL - 1 ? f->value + 1 : f->value, f->value == -9223372036854775807LL - 1 ? " - 1" : "",
                    field_names[j], c.nodes[i].c_name, f->snake, f->type == T_STRUCT ? f->of : 0, types[f->type].tag);
            write_flags(out, f, NULL);
            fprintf(out, "},\n");
        }
    }
    fprintf(out, "};\n\n");
}

static void write_layouts(FILE *out)
{
    fprintf(out, "const struct schema_op schema_ops[] = {\n");
    for (int i = 0; i < c.layout_count; i++) {
        const struct layout *l = &c.layouts[i];
        for (int j = l->ops; j < l->ops + l->present + l->tagged + l->absent; j++) {
            const struct op *op = &c.ops[j];
            const struct field *f = &c.fields[op->field];
            fprintf(out, "    {%d, offsetof(struct %s, %s), %d, %d, SCHEMA_%s, ", f->number, c.nodes[l->of].c_name, f->snake, op->layout,
                    op->tag == NONE ? 0 : op->tag, types[f->type].tag);
            write_flags(out, f, op);
            fprintf(out, "},\n");
        }
    }
    fprintf(out, "};\n\nconst struct schema_layout schema_layouts[] = {\n");
    for (int i = 0, ops = 0; i < c.layout_count; i++) {
        const struct layout *l = &c.layouts[i];
        fprintf(out, "    {%d, %d, %d, %d, %d, %d, %d},\n", ops, l->of, l->size_min, l->present, l->tagged, l->absent, l->is_flexible);
        ops += l->present + l->tagged + l->absent;
    }
    fprintf(out, "};\n\n");
}

static void write_messages(FILE *out)
{
    fprintf(out, "const uint16_t schema_version_layouts[] = {\n");
    for (int i = 0; i < c.version_layout_count; i++)
        fprintf(out, "%s%d,%s", i % 16 ? " " : "    ", c.version_layouts[i], i % 16 == 15 ? "\n" : "");
    fprintf(out, "\n};\n\nconst struct schema_message schema_messages[KMSG_COUNT] = {\n");
    for (int i = 0; i < c.message_count; i++) {
        const struct message *m = &c.messages[i];
        bool is_none = m->root == NONE;
        fprintf(out, "    [KMSG_%s] = {%d, %d, %d, %d, %d, %d, %d, SCHEMA_%s, %d},\n", to_upper(m->snake), message_names[i],
                is_none ? 0 : m->root, m->version_layouts, m->key, is_none ? 0 : m->versions.min, is_none ? -1 : m->versions.max,
                is_empty(m->flexible) ? VERSION_MAX : m->flexible.min, kinds[m->kind].tag, m->is_latest_unstable);
    }
    fprintf(out, "};\n\nconst struct schema_api schema_apis[API_KEY_COUNT] = {\n");
    for (int key = 0; key < KEY_MAX; key++) {
        if (c.requests[key] == NONE) continue;
        fprintf(out, "    [%d] = {%d, KMSG_%s, KMSG_%s},\n", key, api_names[key], to_upper(c.messages[c.requests[key]].snake),
                to_upper(c.messages[c.responses[key]].snake));
    }
    fprintf(out, "};\n");
}

static void write_tables(FILE *out)
{
    fprintf(out, "/* Made by kmsgc from proto/schema: see proto/schema.h. */\n"
                 "#include \"proto/schema.h\"\n\n#include <stddef.h>\n\n");
    write_texts(out);
    write_structs(out);
    write_layouts(out);
    write_messages(out);
}

static void write_file(const char *prefix, const char *suffix, void (*write)(FILE *out))
{
    const char *path = format_text("%s%s", prefix, suffix);
    FILE *out = fopen(path, "w");
    if (!out) fail_at(path, 0, "cannot open");
    write(out);
    bool is_written = !ferror(out);
    if (fclose(out) != 0 || !is_written) fail_at(path, 0, "cannot write");
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: kmsgc OUTPREFIX FILES...\n");
        return 2;
    }
    for (int key = 0; key < KEY_MAX; key++) c.requests[key] = c.responses[key] = NONE;
    for (int i = 2; i < argc; i++) parse_file(argv[i]);
    check_apis();
    name_structs();
    number_fields();
    resolve_layouts();
    write_file(argv[1], ".c", write_tables);
    write_file(argv[1], ".h", write_header);
    return 0;
}
