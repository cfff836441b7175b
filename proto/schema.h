/* The constant tables that kmsgc makes from the schema files (proto/schema), and that codec.c interprets.
 *
 * A message is a tree of structs.  For each struct and each version there is a layout: the list of its fields as that
 * version has them on the wire, resolved when the project is built, so that decoding looks nothing up and compares no
 * versions.  Versions that look alike share a layout.  The tables hold indices instead of pointers: they need no
 * relocation, and their pages stay shared with the file.
 *
 * Everything here is immutable: any thread. */
#ifndef SKIFF_PROTO_SCHEMA_H
#define SKIFF_PROTO_SCHEMA_H

#include "gen/kmsg.h"

enum schema_type {
    SCHEMA_BOOL,
    SCHEMA_INT8,
    SCHEMA_INT16,
    SCHEMA_UINT16,
    SCHEMA_INT32,
    SCHEMA_INT64,
    SCHEMA_FLOAT64,
    SCHEMA_UUID,
    SCHEMA_STRING,
    SCHEMA_BYTES,
    SCHEMA_RECORDS,
    SCHEMA_STRUCT,
};

enum schema_flag {
    SCHEMA_ARRAY = 1,   /* T *name; int32_t name_count */
    SCHEMA_POINTER = 2, /* a struct that may be null in some version */
    SCHEMA_NULL_DEFAULT = 4,
    SCHEMA_SECRET = 8,     /* never printed */
    SCHEMA_NULLABLE = 16,  /* in this version (ops only), as are the two below */
    SCHEMA_COMPACT = 32,   /* lengths are unsigned varints of n + 1 */
    SCHEMA_FORBIDDEN = 64, /* absent, and may not be dropped silently when it holds something */
};

enum schema_kind {
    SCHEMA_REQUEST,
    SCHEMA_RESPONSE,
    SCHEMA_HEADER,
    SCHEMA_DATA,
    SCHEMA_METADATA,
    SCHEMA_COORDINATOR_KEY,
    SCHEMA_COORDINATOR_VALUE,
};

#define SCHEMA_FLEXIBLE_NEVER INT16_MAX

/* A field of a C struct, whatever the version. */
struct schema_field {
    int64_t value;   /* default of numbers and bools */
    uint32_t name;   /* offset in schema_text */
    uint16_t offset; /* in the C struct; an array's count follows its pointer */
    uint16_t of;     /* SCHEMA_STRUCT: index in schema_structs */
    uint8_t type;
    uint8_t flags;
};

struct schema_struct {
    uint32_t size; /* sizeof */
    uint16_t field_first, field_count;
};

/* A field at one version. */
struct schema_op {
    uint16_t field;
    uint16_t offset;
    uint16_t layout; /* SCHEMA_STRUCT: layout of the inner struct at this version */
    uint16_t tag;
    uint8_t type;
    uint8_t flags;
};

/* A struct at one version: `present` ops in wire order, then `tagged` ones by tag, then the `absent`. */
struct schema_layout {
    uint32_t op_first;
    uint16_t of;
    uint16_t size_min; /* no value is shorter on the wire */
    uint8_t present, tagged, absent;
    bool is_flexible;
};

struct schema_message {
    uint32_t name;
    uint16_t root;                    /* index in schema_structs */
    uint16_t version_layouts;         /* index in schema_version_layouts of version_min's layout */
    int16_t key;                      /* API key or record type; -1 where there is none */
    int16_t version_min, version_max; /* max < min: no version is left */
    int16_t flexible_min;             /* SCHEMA_FLEXIBLE_NEVER when there is none */
    uint8_t kind;
    bool is_latest_unstable;
};

struct schema_api {
    uint32_t name;              /* "Produce"; 0 for an unused key */
    uint16_t request, response; /* enum kmsg */
};

extern const char schema_text[];
extern const struct schema_struct schema_structs[];
extern const struct schema_field schema_fields[];
extern const struct schema_op schema_ops[];
extern const struct schema_layout schema_layouts[];
extern const uint16_t schema_version_layouts[];
extern const struct schema_message schema_messages[KMSG_COUNT];
extern const struct schema_api schema_apis[API_KEY_COUNT];

#endif
