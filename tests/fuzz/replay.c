/* Runs a harness over its committed corpus, tests/fuzz/corpus/NAME, each input as it is and a few hundred times changed, always
 * in the same way: what fuzzing found stays found, on any compiler.  One TAP line.  Arguments are inputs to run instead. */
#include "common/mem.h"
#include "common/prng.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX  (1u << 20)
#define VARIANTS   200
#define INPUTS_MAX 4096

static size_t read_input(const char *path, uint8_t *data)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("not ok - cannot read %s\n", path);
        exit(1);
    }
    size_t size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    return size;
}

/* Harnesses get memory of exactly the input's size, so that a sanitizer sees the byte behind it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = mem_alloc(size);
    if (size) memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    mem_free(exact);
}

static size_t change(uint8_t *data, size_t size, struct prng *prng)
{
    for (uint64_t n = 1 + prng_below(prng, 4); n > 0 && size > 0; n--) {
        size_t at = (size_t)prng_below(prng, size);
        switch (prng_below(prng, 4)) {
        case 0: data[at] = (uint8_t)prng_next(prng); break;
        case 1: data[at] ^= (uint8_t)(1u << prng_below(prng, 8)); break;
        case 2: data[at] = prng_chance(prng, 1, 2) ? 0xff : 0x7f; break;
        case 3: size = at; break;
        }
    }
    return size;
}

static void run_variants(const char *path)
{
    static uint8_t data[INPUT_MAX], changed[INPUT_MAX];
    struct prng prng;
    size_t size = read_input(path, data);
    prng_init(&prng, size);
    run(data, size);
    for (int i = 0; i < VARIANTS; i++) {
        memcpy(changed, data, size);
        run(changed, change(changed, size, &prng));
    }
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* In the order of their names. */
static int run_corpus(const char *directory)
{
    static char *names[INPUTS_MAX];
    size_t count = 0;
    DIR *dir = opendir(directory);
    if (!dir) return 0;
    for (struct dirent *entry; count < INPUTS_MAX && (entry = readdir(dir));) {
        if (entry->d_name[0] != '.') names[count++] = mem_strdup(entry->d_name);
    }
    closedir(dir);
    qsort(names, count, sizeof names[0], compare);
    for (size_t i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        run_variants(path);
        mem_free(names[i]);
    }
    return (int)count;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    char directory[256];
    snprintf(directory, sizeof directory, "tests/fuzz/corpus/%s", strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
    for (int i = 1; i < argc; i++) run_variants(argv[i]);
    int count = argc > 1 ? argc - 1 : run_corpus(directory);
    printf("%s - %s: %d inputs, %d variants of each\n", count ? "ok" : "not ok", name, count, VARIANTS);
    return count ? 0 : 1;
}
