#include "tests/fuzz/message.h"

#include "common/mem.h"
#include "proto/codec.h"
#include "proto/codec_fields.h"

static void check_text(enum kmsg kmsg, int16_t version, const void *message)
{
    char text[256];
    size_t n = codec_print(kmsg, version, message, text, sizeof text);
    ASSERT(n == strlen(text));
}

static struct slice encode(enum kmsg kmsg, int16_t version, const void *message, struct writer *w)
{
    size_t size = 0;
    enum err err = codec_encode(kmsg, version, message, w);
    ASSERT(err == ERR_OK);
    err = codec_size(kmsg, version, message, &size);
    ASSERT(err == ERR_OK && size == writer_size(w));
    return writer_slice(w);
}

/* The first encoding is canonical: from there on, decoding and encoding change nothing. */
static void check_again(enum kmsg kmsg, int16_t version, void *message, struct arena *arena)
{
    struct writer first, second;
    writer_init(&first, 0);
    writer_init(&second, 0);
    struct slice bytes = encode(kmsg, version, message, &first);
    enum err err = codec_decode_exact(kmsg, version, bytes, arena, message);
    ASSERT(err == ERR_OK);
    ASSERT(slice_equal(bytes, encode(kmsg, version, message, &second)));
    writer_deinit(&first);
    writer_deinit(&second);
}

void fuzz_message(const enum kmsg *choices, size_t count, const uint8_t *data, size_t size)
{
    if (size < 2 || count == 0) return;
    enum kmsg kmsg = choices[data[0] % count];
    const struct schema_message *m = &schema_messages[kmsg];
    int16_t version = (int16_t)(m->version_min + data[1] % (m->version_max - m->version_min + 1));
    struct slice bytes = slice_make(data + 2, size - 2);
    struct arena arena, again;
    arena_init(&arena, codec_decode_budget(bytes.n));
    arena_init(&again, 2 * codec_decode_budget(bytes.n));
    void *message = mem_alloc(codec_struct_size(kmsg));
    if (codec_decode_exact(kmsg, version, bytes, &arena, message) == ERR_OK) {
        ASSERT(arena.used <= codec_decode_budget(bytes.n));
        check_text(kmsg, version, message);
        check_again(kmsg, version, message, &again);
    }
    mem_free(message);
    arena_deinit(&arena);
    arena_deinit(&again);
}
