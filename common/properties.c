#include "common/properties.h"

#include "common/str.h"

void properties_begin(struct properties *properties, struct slice text)
{
    static const char bom[3] = "\xef\xbb\xbf";
    if (text.n >= sizeof bom && memcmp(text.p, bom, sizeof bom) == 0) text = slice_make(text.p + sizeof bom, text.n - sizeof bom);
    *properties = (struct properties){.rest = text, .next_line = 1};
}

/* One line of the file; CR, LF and CR LF end it. */
static bool next_line(struct properties *properties, struct slice *line)
{
    struct slice rest = properties->rest;
    if (rest.n == 0) return false;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '\n' && rest.p[n] != '\r') n++;
    *line = slice_make(rest.p, n);
    if (n < rest.n) n += rest.p[n] == '\r' && n + 1 < rest.n && rest.p[n + 1] == '\n' ? 2 : 1;
    properties->rest = slice_make(rest.p + n, rest.n - n);
    properties->next_line++;
    return true;
}

/* An odd number of backslashes at its end (blanks behind them are a slip of the hand). */
static bool is_continued(struct slice line)
{
    size_t n = 0;
    while (n < line.n && line.p[line.n - 1 - n] == '\\') n++;
    return n % 2 == 1;
}

/* The continued lines as one, each without its blanks. */
static struct slice join(struct properties *properties, struct arena *arena, struct slice first)
{
    struct slice line = first;
    size_t size = 0, end = 0;
    struct properties ahead = *properties;
    for (bool more = true; more; more = is_continued(str_trim(line)) && next_line(&ahead, &line)) size += line.n;
    uint8_t *text = arena_alloc(arena, size + 1);
    line = first;
    for (bool more = true; more;) {
        struct slice part = str_trim(line);
        bool is_last = !is_continued(part);
        if (!is_last) part.n--;
        memcpy(text + end, part.p, part.n);
        end += part.n;
        more = !is_last && next_line(properties, &line);
    }
    return slice_make(text, end);
}

static size_t put_utf8(uint8_t *out, unsigned code)
{
    if (code < 0x80) return out[0] = (uint8_t)code, 1;
    if (code < 0x800) return out[0] = (uint8_t)(0xc0 | code >> 6), out[1] = (uint8_t)(0x80 | (code & 0x3f)), 2;
    out[0] = (uint8_t)(0xe0 | code >> 12);
    out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code & 0x3f));
    return 3;
}

static bool parse_hex4(struct slice text, unsigned *code)
{
    *code = 0;
    if (text.n < 4) return false;
    for (size_t i = 0; i < 4; i++) {
        unsigned c = text.p[i];
        unsigned digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 16;
        if (digit == 16) return false;
        *code = *code * 16 + digit;
    }
    return true;
}

/* Resolves backslashes. */
static struct slice unescape(struct arena *arena, struct slice text)
{
    uint8_t *out = arena_alloc(arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned code = 0;
        if (text.p[i] != '\\' || i + 1 == text.n) {
            out[n++] = text.p[i];
            continue;
        }
        uint8_t c = text.p[++i];
        if (c == 'u' && parse_hex4(slice_make(text.p + i + 1, text.n - i - 1), &code)) {
            n += put_utf8(out + n, code);
            i += 4;
        } else {
            out[n++] = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
        }
    }
    return slice_make(out, n);
}

/* The key ends at the first '=', ':' or blank that is not escaped. */
static void split(struct slice line, struct slice *key, struct slice *value)
{
    size_t n = 0;
    while (n < line.n && line.p[n] != '=' && line.p[n] != ':' && line.p[n] != ' ' && line.p[n] != '\t') n += line.p[n] == '\\' ? 2 : 1;
    if (n > line.n) n = line.n;
    *key = str_trim(slice_make(line.p, n));
    struct slice rest = str_trim(slice_make(line.p + n, line.n - n));
    if (rest.n > 0 && (rest.p[0] == '=' || rest.p[0] == ':')) rest = str_trim(slice_make(rest.p + 1, rest.n - 1));
    *value = rest;
}

bool properties_next(struct properties *properties, struct arena *arena, struct property *out)
{
    struct slice line;
    int number = properties->next_line;
    while (next_line(properties, &line)) {
        struct slice text = str_trim(line), key, value;
        if (text.n == 0 || text.p[0] == '#' || text.p[0] == '!') {
            number = properties->next_line;
            continue;
        }
        split(join(properties, arena, line), &key, &value);
        *out = (struct property){.key = unescape(arena, key), .value = unescape(arena, value), .line = number};
        return true;
    }
    return false;
}
