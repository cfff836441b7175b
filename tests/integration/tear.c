/* Does to a segment file by hand what a power cut or a rotting disk does:
 *
 *   tear hole FILE     behind the last batch: zeros over a whole sector, then a good batch, the last one under a later offset
 *   tear flip FILE     one bit in the batch in the middle
 *
 * Knows of record batches only their length and offset. Exit status 1 when the file holds none. */
#include "common/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX = 12, OFFSET_DELTA_AT = 23, HEADER = 61, SECTOR = 512 };

static uint8_t *bytes;
static size_t size;

static uint64_t get(const uint8_t *at, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) value = value << 8 | at[i];
    return value;
}

static void put(uint8_t *at, uint64_t value)
{
    for (size_t i = 8; i-- > 0; value >>= 8) at[i] = (uint8_t)value;
}

static int read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) return -1;
    size = (size_t)ftell(file);
    bytes = mem_alloc(2 * size + 4 * (size_t)SECTOR);
    rewind(file);
    size_t got = fread(bytes, 1, size, file);
    return fclose(file) == 0 && got == size ? 0 : -1;
}

static int write_file(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file) return -1;
    size_t put_out = fwrite(bytes, 1, size, file);
    return fclose(file) == 0 && put_out == size ? 0 : -1;
}

/* The size of the batch at `at`; 0: none is there. */
static size_t batch_at(size_t at)
{
    if (at + HEADER > size) return 0;
    size_t length = (size_t)get(bytes + at + 8, 4) + PREFIX;
    return length >= HEADER && length <= size - at ? length : 0;
}

/* The last batch that begins at or before `limit`. */
static size_t find_batch(size_t limit)
{
    size_t at = 0;
    for (size_t n; (n = batch_at(at)) > 0 && at + n <= limit && batch_at(at + n) > 0;) at += n;
    return at;
}

static void tear_hole(void)
{
    size_t last = find_batch(size), n = batch_at(last), end = last + n;
    size_t after = (end / SECTOR + 2) * SECTOR + 100;
    memset(bytes + end, 0, after - end);
    memcpy(bytes + after, bytes + last, n);
    put(bytes + after, get(bytes + last, 8) + get(bytes + last + OFFSET_DELTA_AT, 4) + 2);
    size = after + n;
}

static void flip(void)
{
    size_t at = find_batch(size / 2);
    bytes[at + batch_at(at) - 2] ^= 4;
}

int main(int argc, char **argv)
{
    int status = argc == 3 ? read_file(argv[2]) : 2;
    if (status == 2) (void)fprintf(stderr, "usage: tear hole|flip FILE\n");
    if (status == 0 && batch_at(0) == 0) status = 1;
    if (status == 0) {
        if (strcmp(argv[1], "hole") == 0)
            tear_hole();
        else
            flip();
        status = write_file(argv[2]);
    }
    if (status != 0 && status != 2) (void)fprintf(stderr, "tear: %s cannot be read and written as a segment\n", argv[2]);
    mem_free(bytes);
    return status == 0 ? 0 : status == 2 ? 2 : 1;
}
