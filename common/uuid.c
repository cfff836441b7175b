#include "common/uuid.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool uuid_from_random(uint64_t high, uint64_t low, struct uuid *out)
{
    high = (high & ~UINT64_C(0xf000)) | 0x4000;
    low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    for (int i = 0; i < 8; i++) {
        out->bytes[i] = (uint8_t)(high >> (56 - 8 * i));
        out->bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    return alphabet[out->bytes[0] >> 2] != '-';
}

void uuid_text(struct uuid uuid, char text[static UUID_TEXT_SIZE])
{
    unsigned bits = 0, have = 0, at = 0;
    for (int i = 0; i < 16; i++) {
        bits = bits << 8 | uuid.bytes[i];
        for (have += 8; have >= 6; have -= 6) text[at++] = alphabet[bits >> (have - 6) & 63];
    }
    text[at++] = alphabet[bits << (6 - have) & 63];
    text[at] = '\0';
}

static int digit_of(uint8_t c)
{
    const char *found = c ? strchr(alphabet, c) : NULL;
    return found ? (int)(found - alphabet) : -1;
}

bool uuid_parse(struct slice text, struct uuid *out)
{
    if (text.n != UUID_TEXT_SIZE - 1) return false;
    unsigned bits = 0, have = 0, at = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = digit_of(text.p[i]);
        if (digit < 0) return false;
        bits = bits << 6 | (unsigned)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out->bytes[at++] = (uint8_t)(bits >> have);
        }
    }
    return (bits & ((1u << have) - 1)) == 0;
}
