/* See offset_rows.h. */
#include "broker/coordinator/offset_rows.h"

#include "common/assert.h"
#include "common/mem.h"

struct stored_text {
    uint32_t size;
    uint8_t bytes[];
};

static size_t text_bytes(const struct stored_text *text) { return text ? sizeof *text + text->size : 0; }

/* ---- an offset as a row of numbers, which are small when it is an ordinary one ---- */

static uint64_t zigzag(int64_t value) { return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0); }
static int64_t unzigzag(uint64_t value) { return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0)); }

static void to_numbers(const struct offset_rows *rows, const struct committed_offset *offset, uint64_t numbers[static OFFSET_COLUMNS])
{
    uint64_t id[2], base[2];
    memcpy(id, offset->topic_id.bytes, sizeof id);
    memcpy(base, rows->topic_id.bytes, sizeof base);
    numbers[COLUMN_PARTITION] = (uint32_t)offset->partition;
    numbers[COLUMN_EPOCH] = (uint32_t)offset->leader_epoch + 1u;
    numbers[COLUMN_OFFSET] = zigzag(offset->offset);
    numbers[COLUMN_COMMIT] = zigzag((int64_t)((uint64_t)offset->commit_ms - (uint64_t)rows->base_ms));
    numbers[COLUMN_EXPIRE] = (uint64_t)offset->expire_ms + 1;
    numbers[COLUMN_ID_HIGH] = id[0] ^ base[0];
    numbers[COLUMN_ID_LOW] = id[1] ^ base[1];
}

static struct committed_offset from_numbers(const struct offset_rows *rows, const uint64_t numbers[static OFFSET_COLUMNS])
{
    uint64_t id[2];
    struct committed_offset offset = {
        .partition = (int32_t)numbers[COLUMN_PARTITION],
        .leader_epoch = (int32_t)((uint32_t)numbers[COLUMN_EPOCH] - 1),
        .offset = unzigzag(numbers[COLUMN_OFFSET]),
        .commit_ms = (int64_t)((uint64_t)unzigzag(numbers[COLUMN_COMMIT]) + (uint64_t)rows->base_ms),
        .expire_ms = (int64_t)(numbers[COLUMN_EXPIRE] - 1),
    };
    memcpy(id, rows->topic_id.bytes, sizeof id);
    id[0] ^= numbers[COLUMN_ID_HIGH];
    id[1] ^= numbers[COLUMN_ID_LOW];
    memcpy(offset.topic_id.bytes, id, sizeof id);
    return offset;
}

/* ---- rows of bytes ---- */

static uint8_t width_of(uint64_t number)
{
    uint8_t width = 0;
    for (; number; number >>= 8) width++;
    return width;
}

static uint64_t get(const uint8_t *at, uint8_t width)
{
    uint64_t number = 0;
    while (width-- > 0) number = number << 8 | at[width];
    return number;
}

static void set(uint8_t *at, uint8_t width, uint64_t number)
{
    for (uint8_t i = 0; i < width; i++, number >>= 8) at[i] = (uint8_t)number;
    ASSERT(number == 0);
}

static uint8_t *row_at(const struct offset_rows *rows, uint32_t at) { return rows->rows + (size_t)at * rows->row_bytes; }

static void read_row(const struct offset_rows *rows, uint32_t at, uint64_t numbers[static OFFSET_COLUMNS])
{
    const uint8_t *p = row_at(rows, at);
    for (int c = 0; c < OFFSET_COLUMNS; p += rows->widths[c++]) numbers[c] = get(p, rows->widths[c]);
}

static void write_row(struct offset_rows *rows, uint32_t at, const uint64_t numbers[static OFFSET_COLUMNS])
{
    uint8_t *p = row_at(rows, at);
    for (int c = 0; c < OFFSET_COLUMNS; p += rows->widths[c++]) set(p, rows->widths[c], numbers[c]);
}

/* Only the first column is looked at: it is what the rows are sorted by. */
static int32_t partition_at(const struct offset_rows *rows, uint32_t at)
{
    _Static_assert(COLUMN_PARTITION == 0, "the first");
    return (int32_t)get(row_at(rows, at), rows->widths[COLUMN_PARTITION]);
}

/* Makes the columns wide enough for one more row. */
static void widen(struct offset_rows *rows, const uint64_t numbers[static OFFSET_COLUMNS])
{
    struct offset_rows wide = *rows;
    uint64_t row[OFFSET_COLUMNS];
    for (int c = 0; c < OFFSET_COLUMNS; c++) {
        uint8_t width = width_of(numbers[c]);
        if (width <= wide.widths[c]) continue;
        wide.row_bytes = (uint8_t)(wide.row_bytes + width - wide.widths[c]);
        wide.widths[c] = width;
    }
    if (wide.row_bytes == rows->row_bytes) return;
    wide.rows = mem_calloc(wide.capacity, wide.row_bytes);
    wide.bytes += (size_t)wide.capacity * (size_t)(wide.row_bytes - rows->row_bytes);
    for (uint32_t i = 0; i < rows->count; i++) {
        read_row(rows, i, row);
        write_row(&wide, i, row);
    }
    mem_free(rows->rows);
    *rows = wide;
}

static void reserve(struct offset_rows *rows)
{
    if (rows->count < rows->capacity) return;
    uint32_t more = rows->capacity / 4 + 1;
    size_t each = rows->row_bytes + (rows->metadata ? sizeof *rows->metadata : 0);
    rows->capacity += more;
    rows->rows = mem_realloc(rows->rows, rows->capacity, rows->row_bytes);
    if (rows->metadata) rows->metadata = mem_realloc(rows->metadata, rows->capacity, sizeof *rows->metadata);
    rows->bytes += more * each;
}

/* ---- metadata ---- */

static struct stored_text *text_at(const struct offset_rows *rows, uint32_t at) { return rows->metadata ? rows->metadata[at] : NULL; }

static void set_text(struct offset_rows *rows, uint32_t at, struct slice text)
{
    if (text.n > 0 && !rows->metadata) {
        rows->metadata = mem_calloc(rows->capacity, sizeof *rows->metadata);
        rows->bytes += rows->capacity * sizeof *rows->metadata;
    }
    struct stored_text *old = text_at(rows, at), *copy = NULL;
    if (text.n > 0) {
        copy = mem_alloc(sizeof *copy + text.n);
        copy->size = (uint32_t)text.n;
        memcpy(copy->bytes, text.p, text.n);
    }
    rows->bytes += text_bytes(copy);
    rows->bytes -= text_bytes(old);
    if (rows->metadata) rows->metadata[at] = copy;
    mem_free(old);
}

/* ---- the table ---- */

void offset_rows_deinit(struct offset_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) mem_free(text_at(rows, i));
    mem_free(rows->metadata);
    mem_free(rows->rows);
    *rows = (struct offset_rows){0};
}

/* The first row whose partition is not below. */
static uint32_t lower_bound(const struct offset_rows *rows, int32_t partition)
{
    uint32_t low = 0, high = rows->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (partition_at(rows, middle) < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool offset_rows_find(const struct offset_rows *rows, int32_t partition, uint32_t *at)
{
    *at = lower_bound(rows, partition);
    return *at < rows->count && partition_at(rows, *at) == partition;
}

static void open_gap(struct offset_rows *rows, uint32_t at)
{
    ASSERT(at <= rows->count);
    reserve(rows);
    memmove(row_at(rows, at) + rows->row_bytes, row_at(rows, at), (size_t)(rows->count - at) * rows->row_bytes);
    if (rows->metadata) {
        memmove(&rows->metadata[at + 1], &rows->metadata[at], (rows->count - at) * sizeof *rows->metadata);
        rows->metadata[at] = NULL;
    }
    rows->count++;
}

bool offset_rows_put(struct offset_rows *rows, const struct committed_offset *offset)
{
    uint64_t numbers[OFFSET_COLUMNS];
    uint32_t at = 0;
    if (rows->count == 0) {
        rows->base_ms = offset->commit_ms;
        rows->topic_id = offset->topic_id;
    }
    to_numbers(rows, offset, numbers);
    widen(rows, numbers);
    bool is_new = !offset_rows_find(rows, offset->partition, &at);
    if (is_new) open_gap(rows, at);
    write_row(rows, at, numbers);
    set_text(rows, at, offset->metadata);
    return is_new;
}

bool offset_rows_remove(struct offset_rows *rows, int32_t partition)
{
    uint32_t at = 0;
    if (!offset_rows_find(rows, partition, &at)) return false;
    set_text(rows, at, SLICE_NULL);
    rows->count--;
    memmove(row_at(rows, at), row_at(rows, at) + rows->row_bytes, (size_t)(rows->count - at) * rows->row_bytes);
    if (rows->metadata) memmove(&rows->metadata[at], &rows->metadata[at + 1], (rows->count - at) * sizeof *rows->metadata);
    return true;
}

struct committed_offset offset_rows_at(const struct offset_rows *rows, uint32_t at)
{
    uint64_t numbers[OFFSET_COLUMNS];
    ASSERT(at < rows->count);
    read_row(rows, at, numbers);
    struct committed_offset offset = from_numbers(rows, numbers);
    const struct stored_text *text = text_at(rows, at);
    offset.metadata = text ? slice_make(text->bytes, text->size) : SLICE_LITERAL("");
    return offset;
}

void offset_rows_invariants(const struct offset_rows *rows)
{
    size_t bytes = (size_t)rows->capacity * (rows->row_bytes + (rows->metadata ? sizeof *rows->metadata : 0)), row_bytes = 0;
    ASSERT(rows->count <= rows->capacity);
    for (int c = 0; c < OFFSET_COLUMNS; c++) row_bytes += rows->widths[c];
    for (uint32_t i = 1; i < rows->count; i++) ASSERT(partition_at(rows, i - 1) < partition_at(rows, i));
    for (uint32_t i = 0; i < rows->count; i++) bytes += text_bytes(text_at(rows, i));
    ASSERT(row_bytes == rows->row_bytes);
    ASSERT(bytes == rows->bytes);
}
