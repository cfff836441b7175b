#include "deploy/demo/lines.h"

#include "common/assert.h"
#include "common/mem.h"

#include <fts.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static bool has_ending(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcmp(path + n - m, ending) == 0;
}

static bool is_text(const char *path)
{
    return has_ending(path, ".list") || has_ending(path, ".md5sums") || has_ending(path, ".h") || has_ending(path, "/copyright") ||
           strstr(path, "/common-licenses/") != NULL;
}

static void add_path(struct lines *lines, const char *path)
{
    if (lines->path_count == lines->path_capacity) {
        lines->path_capacity = lines->path_capacity ? 2 * lines->path_capacity : 1024;
        lines->paths = mem_realloc(lines->paths, lines->path_capacity, sizeof *lines->paths);
    }
    lines->paths[lines->path_count++] = mem_strdup(path);
}

bool lines_init(struct lines *lines)
{
    char folders[][32] = {"/var/lib/dpkg/info", "/usr/include", "/usr/share/common-licenses", "/usr/share/doc"};
    char *roots[] = {folders[0], folders[1], folders[2], folders[3], NULL};
    *lines = (struct lines){0};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!walk) return false;
    for (FTSENT *at = fts_read(walk); at; at = fts_read(walk))
        if (at->fts_info == FTS_F && at->fts_statp->st_size > 0 && is_text(at->fts_path) && access(at->fts_path, R_OK) == 0)
            add_path(lines, at->fts_path);
    (void)fts_close(walk);
    return lines->path_count > 0;
}

static void file_close(struct lines_file *file)
{
    if (file->stream) (void)fclose(file->stream);
    mem_free(file->key);
    *file = (struct lines_file){0};
}

void lines_deinit(struct lines *lines)
{
    for (uint32_t i = 0; i < LINES_OPEN; i++) file_close(&lines->open[i]);
    for (uint32_t i = 0; i < lines->path_count; i++) mem_free(lines->paths[i]);
    mem_free(lines->paths);
    free(lines->buffer); /* getline's own allocation */
}

static void file_open_next(struct lines *lines, struct lines_file *file)
{
    char key[4096 + 16];
    if (lines->next == lines->path_count) {
        lines->next = 0;
        lines->round++;
    }
    const char *path = lines->paths[lines->next++];
    file->stream = fopen(path, "re");
    if (lines->round == 0)
        (void)snprintf(key, sizeof key, "%s", path);
    else
        (void)snprintf(key, sizeof key, "%s #%u", path, lines->round + 1);
    if (file->stream) file->key = mem_strdup(key);
}

void lines_next(struct lines *lines, struct slice *key, struct slice *line)
{
    for (;;) {
        struct lines_file *file = &lines->open[lines->turn++ % LINES_OPEN];
        if (!file->stream) file_open_next(lines, file);
        if (!file->stream) continue;
        ssize_t n = getline(&lines->buffer, &lines->buffer_size, file->stream);
        if (n < 0) {
            file_close(file);
            continue;
        }
        if (n > 0 && lines->buffer[n - 1] == '\n') n--;
        if (n > LINE_MAX_BYTES) continue;
        *key = slice_str(file->key);
        *line = slice_make(lines->buffer, (size_t)n);
        return;
    }
}
