#include "common/err.h"

#include "common/assert.h"

static const char *const texts[ERR_COUNT] = {
#define ERR(name, text) [ERR_##name] = (text),
#include "common/err.def"
#undef ERR
};

const char *err_text(enum err err)
{
    ASSERT((unsigned)err < ERR_COUNT);
    return texts[err];
}
