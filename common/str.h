/* Parsing and printing of short texts. */
#ifndef SKIFF_COMMON_STR_H
#define SKIFF_COMMON_STR_H

#include "common/slice.h"

/* Whole decimal number with optional '-'; false on anything else, overflow included. */
bool str_parse_i64(struct slice text, int64_t *out);
/* Without leading and trailing blanks, tabs, CR, LF and no-break spaces (UTF-8). */
struct slice str_trim(struct slice text);
/* Cuts the part before the first `separator` off *rest (all of it when there is none).  False when *rest is null: the end. */
bool str_split(struct slice *rest, char separator, struct slice *part);
/* "HOST:PORT", "[V6]:PORT" or ":PORT"; the host slice may be empty. */
bool str_parse_host_port(struct slice text, struct slice *host, uint16_t *port);
/* Damerau-Levenshtein without transposition, for "did you mean"; texts above 64 bytes count as far apart. */
unsigned str_distance(struct slice a, struct slice b);

#endif
