#include "broker/cli/memory_limit.h"

#include "common/limits.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

#define UNLIMITED (INT64_C(1) << 60) /* version 1 writes the largest number of whole pages */

static int64_t least(int64_t a, int64_t b) { return a == 0 || (b > 0 && b < a) ? b : a; }

/* 0: the file does not say ("max"), or is not there. */
static int64_t read_limit(const char *path)
{
    char text[32] = "";
    int64_t bytes = 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    bool is_read = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    return is_read && str_parse_i64(str_trim(slice_str(text)), &bytes) && bytes > 0 && bytes < UNLIMITED ? bytes : 0;
}

/* From the group up to the mount. In a container the group's path may be that of the host, and only the mount itself be there. */
static int64_t read_limits(const char *mount, struct slice group, const char *file)
{
    char path[PATH_BYTES_MAX];
    int64_t limit = 0;
    for (;;) {
        while (group.n > 0 && group.p[group.n - 1] == '/') group.n--;
        int n = snprintf(path, sizeof path, "%s%.*s/%s", mount, (int)group.n, group.n ? (const char *)group.p : "", file);
        if (n > 0 && (size_t)n < sizeof path) limit = least(limit, read_limit(path));
        if (group.n == 0) return limit;
        while (group.n > 0 && group.p[group.n - 1] != '/') group.n--;
    }
}

static bool has_word(struct slice list, const char *word)
{
    struct slice part;
    while (str_split(&list, ',', &part))
        if (slice_equal_str(part, word)) return true;
    return false;
}

/* "0::/GROUP" of version 2, "NUMBER:memory:/GROUP" of version 1. */
static int64_t limit_of_line(const char *mount, struct slice line)
{
    char directory[PATH_BYTES_MAX];
    struct slice number, controllers;
    if (!str_split(&line, ':', &number) || !str_split(&line, ':', &controllers) || line.n == 0) return 0;
    if (controllers.n == 0) return read_limits(mount, line, "memory.max");
    if (!has_word(controllers, "memory")) return 0;
    (void)snprintf(directory, sizeof directory, "%s/memory", mount);
    return read_limits(directory, line, "memory.limit_in_bytes");
}

int64_t memory_limit_find(const char *membership, const char *mount)
{
    char line[PATH_BYTES_MAX];
    int64_t limit = 0;
    FILE *file = fopen(membership, "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) limit = least(limit, limit_of_line(mount, str_trim(slice_str(line))));
    (void)fclose(file);
    return limit;
}
