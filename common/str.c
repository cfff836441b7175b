#include "common/str.h"

#include "common/checked.h"

bool str_parse_i64(struct slice text, int64_t *out)
{
    bool negative = text.n > 0 && text.p[0] == '-';
    size_t at = negative ? 1 : 0;
    if (at == text.n) return false;
    int64_t value = 0;
    for (; at < text.n; at++) {
        if (text.p[at] < '0' || text.p[at] > '9') return false;
        int64_t digit = text.p[at] - '0';
        if (!checked_mul_i64(value, 10, &value)) return false;
        if (!checked_add_i64(value, negative ? -digit : digit, &value)) return false;
    }
    *out = value;
    return true;
}

static size_t blank_at_start(struct slice text)
{
    if (text.n && strchr(" \t\r\n", text.p[0]) && text.p[0]) return 1;
    return text.n >= 2 && text.p[0] == 0xc2 && text.p[1] == 0xa0 ? 2 : 0;
}

static size_t blank_at_end(struct slice text)
{
    if (text.n && strchr(" \t\r\n", text.p[text.n - 1]) && text.p[text.n - 1]) return 1;
    return text.n >= 2 && text.p[text.n - 2] == 0xc2 && text.p[text.n - 1] == 0xa0 ? 2 : 0;
}

struct slice str_trim(struct slice text)
{
    for (size_t n; (n = blank_at_start(text)) > 0;) text = slice_make(text.p + n, text.n - n);
    for (size_t n; (n = blank_at_end(text)) > 0;) text.n -= n;
    return text;
}

bool str_split(struct slice *rest, char separator, struct slice *part)
{
    if (slice_is_null(*rest)) return false;
    const uint8_t *found = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    if (!found) {
        *part = *rest;
        *rest = SLICE_NULL;
        return true;
    }
    *part = slice_make(rest->p, (size_t)(found - rest->p));
    *rest = slice_make(found + 1, rest->n - part->n - 1);
    return true;
}

bool str_parse_host_port(struct slice text, struct slice *host, uint16_t *port)
{
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':') colon--;
    int64_t number = 0;
    if (colon == 0 || !str_parse_i64(slice_make(text.p + colon, text.n - colon), &number)) return false;
    if (number < 0 || number > UINT16_MAX) return false;
    *host = slice_make(text.p, colon - 1);
    if (host->n >= 2 && host->p[0] == '[' && host->p[host->n - 1] == ']') *host = slice_make(host->p + 1, host->n - 2);
    *port = (uint16_t)number;
    return true;
}

#define DISTANCE_TEXT_MAX 64u

unsigned str_distance(struct slice a, struct slice b)
{
    if (a.n > DISTANCE_TEXT_MAX || b.n > DISTANCE_TEXT_MAX) return UINT32_MAX;
    unsigned row[DISTANCE_TEXT_MAX + 1];
    for (unsigned j = 0; j <= b.n; j++) row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned change = diagonal + (a.p[i - 1] != b.p[j - 1]);
            unsigned shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < shorter ? change : shorter;
        }
    }
    return row[b.n];
}
